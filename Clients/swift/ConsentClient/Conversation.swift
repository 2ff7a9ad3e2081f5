import ConsentModel
import ConsentWire

/// The client's side of one connection: requests and received bytes in, bytes to send and events out. It knows no socket
/// and no clock.
///
/// It trusts nothing that it receives. The first frame that breaks the protocol ends it: nothing behind that frame is
/// read, and no request is answered any more.
struct Conversation: ~Copyable {
    enum Event {
        case welcomed(Welcome)
        /// Before the welcome: the server does not want this client.
        case turnedAway(ErrorAnswer)
        case answered(UInt32, Answer)
        case refused(UInt32, ErrorAnswer)
        case goingAway(millis: UInt32)
        case catalogChanged(version: UInt32)
        /// The server closes the connection, for a reason that concerns no single request.
        case ended(ErrorAnswer)
        /// The server broke the protocol.
        case broken(Violation)
    }

    private enum Phase {
        case greeting(request: UInt32)
        case open
        case over
    }

    private struct Sent {
        var expectation: Expectation
        var isCounted: Bool
        /// Nobody waits any more; the id stays taken until its answer has come.
        var isAbandoned = false
        /// Of an answer that comes in several frames, those that have come.
        var begun = ""
    }

    private var phase: Phase
    private var received: [UInt8] = []
    private var inFlight: [UInt32: Sent] = [:]
    /// Where the search for a free id begins.
    var nextRequest: UInt32
    /// Requests unanswered that the server counts, abandoned ones among them.
    private(set) var countedInFlight = 0
    /// What is to be sent.
    private(set) var output = OutputBuffer(capacity: 4096)

    /// Who reads; see ``ClientOptions/actor``.
    private let actor: String

    init(_ hello: Hello, actor: String = "", nextRequest: UInt32 = 1) {
        self.actor = actor
        self.nextRequest = nextRequest
        phase = .over
        let request = takeRequest()
        phase = .greeting(request: request)
        hello.encode(request: request, into: &output)
    }

    mutating func clearOutput() { output.clear() }

    /// - Returns: the id by which its answer will be known.
    mutating func send(_ request: Request, purposes: PurposeTable) throws(UnknownPurpose) -> UInt32 {
        let id = takeRequest()
        let expectation: Expectation
        if request.isRead, !actor.isEmpty {
            var inner = OutputBuffer(capacity: 256)
            expectation = try request.encode(request: 0, purposes: purposes, into: &inner)
            ReadAsRequest.encode(AccessReader(actor: actor), inner.bytes, request: id, into: &output)
        } else {
            expectation = try request.encode(request: id, purposes: purposes, into: &output)
        }
        inFlight[id] = Sent(expectation: expectation, isCounted: request.isCounted)
        if request.isCounted { countedInFlight += 1 }
        return id
    }

    /// A late answer will be dropped. Until then the id is not used again.
    mutating func abandon(_ id: UInt32) { inFlight[id]?.isAbandoned = true }

    private mutating func takeRequest() -> UInt32 {
        // Zero speaks of the connection as a whole.
        while nextRequest == 0 || inFlight[nextRequest] != nil { nextRequest &+= 1 }
        defer { nextRequest &+= 1 }
        return nextRequest
    }

    /// Every event that the bytes complete, in their order. The last one may be `broken` or `ended`; nothing comes then.
    mutating func receive(_ bytes: UnsafeRawBufferPointer) -> [Event] {
        if case .over = phase { return [] }
        // Taken out while it is read, so that what is read may change the rest of this value.
        var buffer: [UInt8] = []
        swap(&buffer, &received)
        buffer.append(contentsOf: bytes)
        var events: [Event] = []
        let used = buffer.withUnsafeMutableBytes { readFrames($0, into: &events) }
        buffer.removeSubrange(..<used)
        swap(&buffer, &received)
        return events
    }

    /// - Returns: the bytes that were read.
    private mutating func readFrames(_ bytes: UnsafeMutableRawBufferPointer, into events: inout [Event]) -> Int {
        var used = 0
        while true {
            if case .over = phase { return bytes.count }
            switch scanFrame(UnsafeMutableRawBufferPointer(rebasing: bytes[used...])) {
            case .incomplete: return used
            case .broken(let code, _):
                phase = .over
                events.append(.broken(Violation("a frame has an impossible length (\(code))")))
            case .frame(let frame):
                used += frame.size
                do throws(Violation) {
                    if let event = try read(frame) { events.append(event) }
                } catch {
                    phase = .over
                    events.append(.broken(error))
                }
            }
        }
    }

    private mutating func read(_ frame: Frame) throws(Violation) -> Event? {
        guard let opcode = Opcode(rawValue: frame.opcode) else {
            throw Violation("\(frame.opcode) is the opcode of no answer")
        }
        switch (opcode, phase) {
        case (.error, _): return try readError(frame)
        case (.welcome, .greeting(let request)): return try readWelcome(frame, request: request)
        case (_, .greeting): throw Violation("'\(opcode)' came before the welcome")
        case (.goingAway, _): return .goingAway(millis: try readPush(frame))
        case (.catalogChanged, _): return .catalogChanged(version: try readPush(frame))
        default: return try readAnswer(frame, opcode)
        }
    }

    private mutating func readWelcome(_ frame: Frame, request: UInt32) throws(Violation) -> Event {
        let welcome = try Violation.ifAnswerFails { () throws(AnswerError) in try Welcome(frame) }
        guard frame.request == request else { throw Violation("the welcome answers another request than hello") }
        guard (WireVersion.min...WireVersion.max).contains(welcome.version) else {
            throw Violation("the welcome speaks version \(welcome.version), which was not offered")
        }
        guard welcome.hasUsableLimits else { throw Violation("the welcome names limits that nothing fits in") }
        phase = .open
        return .welcomed(welcome)
    }

    private func readPush(_ frame: Frame) throws(Violation) -> UInt32 {
        guard frame.request == 0, frame.flags == 0, frame.argument == 0, frame.payload.isEmpty else {
            throw Violation("a push does not have the layout of the protocol")
        }
        return frame.word
    }

    private mutating func readError(_ frame: Frame) throws(Violation) -> Event? {
        let error = try Violation.ifAnswerFails { () throws(AnswerError) in try ErrorAnswer(frame) }
        guard error.codeNumber != 0 else { throw Violation("an error has no code") }
        if case .greeting(let request) = phase {
            guard frame.request == request || frame.request == 0 else {
                throw Violation("an error answers a request that was not sent")
            }
            phase = .over
            return .turnedAway(error)
        }
        if frame.request == 0 {
            phase = .over
            return .ended(error)
        }
        guard let sent = settle(frame.request) else { throw Violation("an error answers a request that was not sent") }
        return sent.isAbandoned ? nil : .refused(frame.request, error)
    }

    private mutating func readAnswer(_ frame: Frame, _ opcode: Opcode) throws(Violation) -> Event? {
        guard var sent = inFlight[frame.request] else {
            throw Violation("'\(opcode)' answers a request that was not sent")
        }
        var answer = try Answer(frame, opcode, sent.expectation)
        if case .proved(let part) = answer {
            sent.begun += part.document
            guard sent.begun.utf8.count <= WireLimit.proofSizeMax else {
                throw Violation("a document has more than \(WireLimit.proofSizeMax) bytes")
            }
            if part.hasMore {
                inFlight[frame.request] = sent
                return nil
            }
            answer = .proved(ProofText(sent.begun))
        }
        _ = settle(frame.request)
        return sent.isAbandoned ? nil : .answered(frame.request, answer)
    }

    /// Takes a request that is answered out of those in flight.
    private mutating func settle(_ id: UInt32) -> Sent? {
        guard let sent = inFlight.removeValue(forKey: id) else { return nil }
        if sent.isCounted { countedInFlight -= 1 }
        return sent
    }
}

/// What the server did that the protocol does not allow.
struct Violation: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) { self.description = description }

    static func ifAnswerFails<Answer>(_ read: () throws(AnswerError) -> Answer) throws(Violation) -> Answer {
        do throws(AnswerError) { return try read() } catch { throw Violation(error.description) }
    }
}

extension Welcome {
    /// Whether the smallest requests fit, and no limit is past what the protocol's fields can say.
    fileprivate var hasUsableLimits: Bool {
        frameSizeMax >= UInt32(2 * WireLimit.headerSize + WireLimit.identifierSizeMax)
            && frameSizeMax <= UInt32(WireLimit.frameSizeMax) && requestsInFlightMax >= 1
            && subjectsPerCheckMax >= 1 && subjectsPerCheckMax <= UInt32(WireLimit.subjectsPerCheckMax)
            && eventsPerRecordMax >= 1 && eventsPerRecordMax <= UInt32(WireLimit.eventsPerRecordMax)
    }
}
