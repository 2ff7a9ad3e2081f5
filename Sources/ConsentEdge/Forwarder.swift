import ConsentEngine
import ConsentIndex
import ConsentKernel
import ConsentModel
import ConsentServer
import ConsentTLS
import ConsentWire
import Synchronization

/// Hands requests on to whom an edge follows, as they came, over one connection, and its answers back. Connects when there
/// is something to ask; what is not answered in time, or was in flight when the connection broke, fails.
///
/// Whoever is told of a change may ask this edge next, so the answer waits, for a second at the most, until the change
/// holds here.
final class Forwarder: Sendable {
    typealias Complete = @Sendable (@escaping Encode) -> Void

    fileprivate struct Order {
        var frame: [UInt8]
        /// Of the client.
        var request: UInt32
        var complete: Complete
    }

    fileprivate struct Inbox {
        var orders: [Order] = []
        /// Those that were taken and are not answered yet too.
        var count = 0
        var mustStop = false
    }

    private let inbox = Mutex(Inbox())
    private let wakeup: Wakeup
    private let thread = Mutex<ConsentKernel.Thread?>(nil)

    /// - Parameters:
    ///   - service: what answers here; nothing is handed on to a node of another history, or whose purposes have other bits.
    init(
        to upstream: SocketAddress, tls: TLSPeer?, token: [UInt8], version: String,
        service: @escaping @Sendable () -> Service
    ) throws {
        wakeup = try Wakeup()
        let epoll = try Epoll(eventsPerWaitMax: 4)
        let loop = ForwarderLoop(self, upstream, tls, token: token, version: version, service: service, epoll: epoll)
        thread.withLock { $0 = ConsentKernel.Thread(name: "forwarder") { loop.run() } }
    }

    /// Returns at once; `complete` is called exactly once.
    func forward(_ frame: [UInt8], request: UInt32, complete: @escaping Complete) {
        enum Refusal { case closing, busy }
        let refusal: Refusal? = inbox.withLock { inbox in
            if inbox.mustStop { return .closing }
            // What the upstream lets one connection have in flight.
            if inbox.count >= WireLimit.requestsInFlightMax { return .busy }
            inbox.count += 1
            inbox.orders.append(Order(frame: frame, request: request, complete: complete))
            return nil
        }
        switch refusal {
        case .closing: fail(complete, request, .shuttingDown, "this edge drains")
        case .busy: fail(complete, request, .busy, "\(WireLimit.requestsInFlightMax) requests wait for the upstream")
        case nil: wakeup.raise()
        }
    }

    /// Fails what is not answered, and ends the thread.
    func close() {
        inbox.withLock { $0.mustStop = true }
        wakeup.raise()
        thread.withLock { thread in
            defer { thread = nil }
            return thread
        }?.join()
    }

    fileprivate var wakeupDescriptor: Int32 { wakeup.raw }

    fileprivate func takeAll() -> (orders: [Order], mustStop: Bool) {
        wakeup.clear()
        return inbox.withLock { inbox in
            defer { inbox.orders = [] }
            return (inbox.orders, inbox.mustStop)
        }
    }

    fileprivate func finished() { inbox.withLock { $0.count -= 1 } }
}

private func fail(_ complete: Forwarder.Complete, _ request: UInt32, _ code: ErrorCode, _ message: String) {
    let answer = ErrorAnswer(WireError(code, message))
    complete { answer.encode(request: request, into: &$0) }
}

/// The thread of a ``Forwarder``.
// Sendable because it is made before the thread starts, and used only there.
private final class ForwarderLoop: @unchecked Sendable {
    private struct Asked {
        /// Of the client.
        var request: UInt32
        var complete: Forwarder.Complete
        /// Monotonic nanoseconds.
        var deadline: Int64
        /// Of an answer in several frames, those that have come.
        var begun: [UInt8] = []
    }

    /// The answer to a change that has not come to this edge yet.
    private struct Held {
        /// Of the change.
        var sequence: UInt64
        /// Monotonic nanoseconds.
        var until: Int64
        var answer: [UInt8]
        var complete: Forwarder.Complete
    }

    private enum Link {
        case none
        case connecting
        case greeting
        /// What its purposes are, which another connection need not have found as this one does.
        case asking
        case open
    }

    private let forwarder: Forwarder
    private let upstream: SocketAddress
    private let tls: TLSPeer?
    private let token: [UInt8]
    private let version: String
    private let service: @Sendable () -> Service
    private let epoll: Epoll
    private var link = Link.none
    private var socket: StreamSocket?
    /// By the number that they have here.
    private var asked: [UInt32: Asked] = [:]
    /// In the order in which they came.
    private var held: [Held] = []
    private var lastNumber = ForwarderLoop.catalogNumber
    /// Frames that wait until the connection is open.
    private var waiting: [UInt8] = []
    private var output = OutputBuffer(capacity: 4096)
    private var received: [UInt8] = []
    private var isWatchedForRoom = false
    private var connectBy: Int64 = 0

    private static let answerNanos: Int64 = 30_000_000_000
    private static let connectNanos: Int64 = 5_000_000_000
    private static let heldNanos: Int64 = 1_000_000_000
    private static let inboxToken = UInt64.max
    private static let socketToken: UInt64 = 1
    private static let readSize = 1 << 18
    private static let helloNumber: UInt32 = 1
    private static let catalogNumber: UInt32 = 2

    init(
        _ forwarder: Forwarder, _ upstream: SocketAddress, _ tls: TLSPeer?, token: [UInt8], version: String,
        service: @escaping @Sendable () -> Service, epoll: consuming Epoll
    ) {
        self.forwarder = forwarder
        self.upstream = upstream
        self.tls = tls
        self.token = token
        self.version = version
        self.service = service
        self.epoll = epoll
    }

    func run() {
        do {
            try epoll.add(forwarder.wakeupDescriptor, .readable, token: Self.inboxToken)
            while try turn() {}
        } catch {
            failAll("this edge cannot wait for its upstream: \(error)")
        }
        failAll("this edge drains")
        for one in held { handOn(one.answer, one.complete) }
        closeSocket()
    }

    /// - Returns: false when it is over.
    private func turn() throws(SystemError) -> Bool {
        let count = try epoll.wait(timeoutMillis: held.isEmpty ? asked.isEmpty ? -1 : 250 : 1)
        let now = Clock.monotonicNanos()
        let (orders, mustStop) = forwarder.takeAll()
        if mustStop {
            for order in orders { take(order, now) }
            return false
        }
        for position in 0..<count where epoll.event(position).token == Self.socketToken {
            handle(epoll.event(position), now)
        }
        for order in orders { take(order, now) }
        if !asked.isEmpty, link == .none { connect(now) }
        passTime(now)
        handOnWhatHolds(now)
        if link == .open || link == .greeting || link == .asking { send() }
        return true
    }

    /// Behind what was taken before, under a number of its own.
    private func take(_ order: Forwarder.Order, _ now: Int64) {
        repeat { lastNumber &+= 1 } while lastNumber <= Self.catalogNumber || asked[lastNumber] != nil
        asked[lastNumber] = Asked(
            request: order.request, complete: order.complete, deadline: now + Self.answerNanos)
        var frame = order.frame
        frame.replaceSubrange(8..<12, with: (0..<4).map { UInt8(truncatingIfNeeded: lastNumber >> (8 * $0)) })
        if link == .open { output.bytes(frame) } else { waiting += frame }
    }

    private func passTime(_ now: Int64) {
        if link == .connecting || link == .greeting || link == .asking, now >= connectBy {
            fail("the upstream \(upstream) gave no welcome in time")
        } else if asked.values.contains(where: { now >= $0.deadline }) {
            // Whatever comes behind it would come later still.
            fail("the upstream \(upstream) has not answered in time")
        }
    }

    // MARK: The connection

    private func connect(_ now: Int64) {
        connectBy = now + Self.connectNanos
        precondition(upstream.isTLS == (tls != nil), "nobody is asked in clear who is to be asked by TLS")
        do {
            let session = try tls?.session()
            let connecting = try Socket.beginConnect(upstream)
            try epoll.add(connecting.raw, .writable, token: Self.socketToken)
            socket = StreamSocket(connecting, session)
            link = .connecting
            isWatchedForRoom = true
        } catch {
            fail("the upstream \(upstream) cannot be reached: \(error)")
        }
    }

    private func greet() {
        if let failure = Socket.failure(of: socket!.raw, connectingTo: upstream) {
            return fail("the upstream \(upstream) cannot be reached: \(failure)")
        }
        var hello = Hello()
        hello.deployment = ID16(bytes: service().identity.deployment)
        hello.clientName = "consentd edge"
        hello.clientVersion = version
        hello.token = token
        hello.encode(request: Self.helloNumber, into: &output)
        link = .greeting
    }

    private func handle(_ event: Epoll.Event, _ now: Int64) {
        if link == .connecting { greet() }
        if socket != nil, event.isReadable { receive() }
    }

    private func receive() {
        while let socket {
            let kept = received.count
            received.append(contentsOf: repeatElement(0, count: Self.readSize))
            let transfer = received.withUnsafeMutableBytes {
                socket.receive(into: UnsafeMutableRawBufferPointer(rebasing: $0[kept...]))
            }
            guard case .bytes(let count) = transfer else {
                received.removeLast(received.count - kept)
                if case .closed = transfer { fail(end(of: socket)) }
                return
            }
            received.removeLast(received.count - kept - count)
            takeFrames()
        }
    }

    private func takeFrames() {
        var taken = 0
        var failure: String?
        received.withUnsafeMutableBytes { buffer in
            scan: while failure == nil, taken < buffer.count {
                switch scanFrame(UnsafeMutableRawBufferPointer(rebasing: buffer[taken...])) {
                case .incomplete: break scan
                case .broken: failure = "the upstream \(upstream) sent what is no frame"
                case .frame(let frame):
                    let bytes = Array(buffer[taken..<taken + frame.size])
                    taken += frame.size
                    failure = take(frame, bytes)
                }
            }
        }
        if let failure { return fail(failure) }
        received.removeFirst(taken)
    }

    /// - Returns: why the connection cannot be kept, if it cannot.
    private func take(_ frame: Frame, _ bytes: [UInt8]) -> String? {
        if link == .greeting { return takeWelcome(frame) }
        if link == .asking, frame.request == Self.catalogNumber { return takeCatalog(frame) }
        guard let opcode = Opcode(rawValue: frame.opcode), opcode.rawValue >= 128 else {
            return "the upstream \(upstream) sent opcode \(frame.opcode), which is no answer"
        }
        guard var answered = asked.removeValue(forKey: frame.request) else {
            guard opcode == .error, let error = try? ErrorAnswer(frame) else { return nil }
            return "the upstream \(upstream) ends the connection: \(error.message)"
        }
        var answer = bytes
        answer.replaceSubrange(8..<12, with: (0..<4).map { UInt8(truncatingIfNeeded: answered.request >> (8 * $0)) })
        if opcode == .proved, frame.flags == 1 {
            answered.begun += answer
            guard answered.begun.count <= 2 * WireLimit.proofSizeMax else {
                asked[frame.request] = answered
                return "the upstream \(upstream) sent an answer without end"
            }
            asked[frame.request] = answered
            return nil
        }
        let relayed = answered.begun + answer
        guard let sequence = Self.change(opcode, frame), sequence > appliedSequence else {
            handOn(relayed, answered.complete)
            return nil
        }
        held.append(
            Held(
                sequence: sequence, until: Clock.monotonicNanos() + Self.heldNanos, answer: relayed,
                complete: answered.complete))
        return nil
    }

    // MARK: Changes that were made

    private var appliedSequence: UInt64 { service().publication.current.appliedSequence }

    private func handOn(_ answer: [UInt8], _ complete: Forwarder.Complete) {
        complete { $0.bytes(answer) }
        forwarder.finished()
    }

    private func handOnWhatHolds(_ now: Int64) {
        guard !held.isEmpty else { return }
        let applied = appliedSequence
        for one in held where one.sequence <= applied || one.until <= now { handOn(one.answer, one.complete) }
        held.removeAll { $0.sequence <= applied || $0.until <= now }
    }

    /// The sequence of the last change that an answer tells of; nil where there is none.
    private static func change(_ opcode: Opcode, _ frame: Frame) -> UInt64? {
        switch opcode {
        case .recorded: try? Recorded(frame).outcomes.map(\.sequence).max()
        case .appliedCatalog: try? CatalogApplied(frame).sequence
        case .erased: try? Erased(frame).sequence
        case .linked, .unlinked: try? LinkOutcome(frame, opcode).sequence
        case .tokenConfirmed: try? TokenConfirmed(frame).consents.map(\.sequence).max()
        default: nil
        }
    }

    private func takeWelcome(_ frame: Frame) -> String? {
        if let error = try? ErrorAnswer(frame), frame.opcode == Opcode.error.rawValue {
            return "the upstream \(upstream) turned this edge away: \(error.message)"
        }
        guard frame.opcode == Opcode.welcome.rawValue, let welcome = try? Welcome(frame) else {
            return "the upstream \(upstream) does not speak the protocol"
        }
        // What is recorded elsewhere would never be seen here.
        guard welcome.history == ID16(bytes: service().identity.history) else {
            return "the upstream \(upstream) has another history than this edge"
        }
        BareRequest.encode(.catalog, request: Self.catalogNumber, into: &output)
        link = .asking
        return nil
    }

    /// A ledger that was put back to an older state keeps its history, and may give its next bits to other purposes than
    /// those that clients of this edge know them for.
    private func takeCatalog(_ frame: Frame) -> String? {
        guard frame.opcode == Opcode.catalogPurposes.rawValue, let catalog = try? CatalogPurposes(frame) else {
            return "the upstream \(upstream) does not say what its purposes are"
        }
        let bits = Dictionary(catalog.purposes.map { ($0.id, Int($0.bit)) }) { first, _ in first }
        guard service().catalog.catalog.purposes.allSatisfy({ bits[$0.id] == $0.bit }) else {
            return "the upstream \(upstream) has other purposes than this edge, or other bits for them"
        }
        link = .open
        output.bytes(waiting)
        waiting = []
        return nil
    }

    private func send() {
        guard let socket else { return }
        if !output.isEmpty || socket.hasUnsent {
            switch socket.send(output.bytes) {
            case .bytes(let count): output.dropFirst(count)
            case .wouldBlock: break
            case .closed: return fail(end(of: socket))
            }
        }
        let mustWait = !output.isEmpty || socket.hasUnsent
        guard mustWait != isWatchedForRoom else { return }
        isWatchedForRoom = mustWait
        try? epoll.change(
            socket.raw, mustWait ? [.readable, .finished, .writable] : [.readable, .finished], token: Self.socketToken)
    }

    /// Why there is no connection any more.
    private func end(of socket: StreamSocket) -> String {
        socket.failure.map { "the upstream \(upstream): \($0)" }
            ?? "the upstream \(upstream) has closed the connection"
    }

    /// What was in flight may have been done or not: it is for the client to ask again.
    private func fail(_ reason: String) {
        closeSocket()
        failAll(reason)
    }

    private func failAll(_ reason: String) {
        let failed = asked
        asked = [:]
        waiting = []
        output.clear()
        for one in failed.values {
            ConsentEdge.fail(one.complete, one.request, .upstreamUnreachable, reason)
            forwarder.finished()
        }
    }

    private func closeSocket() {
        socket = nil
        link = .none
        received = []
        isWatchedForRoom = false
    }
}
