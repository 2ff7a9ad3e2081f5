package import ConsentEngine
import ConsentIndex
package import ConsentModel
package import ConsentWire

/// What a request needs that the session cannot answer by itself. Carried out by whoever drives the session.
package enum SessionAction {
    /// For the node itself.
    case here(NodeAction)
    /// A frame as it came, for whoever has the ledger.
    case elsewhere(Elsewhere, request: UInt32, frame: [UInt8], isQuestion: Bool)
}

/// What a node does for a session.
package enum NodeAction {
    case record(request: UInt32, events: [Result<ConsentEvent, AdmissionError>])
    case question(request: UInt32, Question)
}

/// The way to whoever has the ledger, where a node has none.
package struct Elsewhere: Sendable {
    /// Takes a frame and its request id, and answers on any thread, exactly once.
    package let forward:
        @Sendable (_ frame: [UInt8], _ request: UInt32, _ complete: @escaping @Sendable (@escaping Encode) -> Void) ->
            Void

    package init(
        _ forward:
            @escaping @Sendable (
                _ frame: [UInt8], _ request: UInt32, _ complete: @escaping @Sendable (@escaping Encode) -> Void
            ) -> Void
    ) { self.forward = forward }
}

/// A request that a node answers on another thread than the session's.
package enum Question: Sendable, Equatable {
    case catalog
    case catalogDocument
    case statistics
    case status(serverVersion: String)
    case enforcement(EnforcementRequest)
    case countGranted(CountGrantedRequest)
    case applyCatalog(ApplyCatalogRequest)
    case erase(EraseRequest)
    case link(LinkIdentifierRequest)
    case unlink(UnlinkIdentifierRequest)
    case issueToken(IssueTokenRequest)
    case confirmToken(ConfirmTokenRequest)
    case checkpoint
    /// Answered when it stands in the access log that it was asked, and by whom.
    case read(ReadQuestion, by: AccessReader)
}

/// A request that reads personal data.
package enum ReadQuestion: Sendable, Equatable {
    case explain(Identifier, purposeBit: Int)
    case history(HistoryRequest)
    case people(PeopleQuestion)
    case prove(ProveRequest)
    case accessLog(AccessLogQuestion)

    init(_ kind: ReadKind, _ frame: Frame, _ catalog: AppliedCatalog) throws(WireError) {
        switch kind {
        case .explain:
            let request = try CheckRequest(frame)
            guard let purpose = catalog.catalog.purpose(bit: Int(request.purposeBit)) else {
                throw WireError(
                    .purposeUnknown, detail: UInt32(request.purposeBit),
                    "the catalog has no purpose with bit \(request.purposeBit)")
            }
            self = .explain(try request.identifier().identifier, purposeBit: purpose.bit)
        case .history: self = .history(try HistoryRequest(frame))
        case .people: self = .people(try PeopleQuestion(frame))
        case .prove: self = .prove(try ProveRequest(frame))
        case .accessLog: self = .accessLog(try AccessLogQuestion(frame))
        }
    }
}

/// What a session must know of its server. Fixed for the life of a connection but for the catalog.
package struct SessionSettings: Sendable {
    package var deployment: ID16
    package var history: ID16
    /// Where what needs the ledger goes; nil where it is here.
    package var elsewhere: Elsewhere?
    /// Nil: none is wanted.
    package var token: [UInt8]?
    package var requestsInFlightMax: Int
    package var serverVersion: String

    package init(
        deployment: ID16, history: ID16, elsewhere: Elsewhere? = nil, token: [UInt8]?,
        requestsInFlightMax: Int = WireLimit.requestsInFlightMax, serverVersion: String
    ) {
        self.deployment = deployment
        self.history = history
        self.elsewhere = elsewhere
        self.token = token
        self.requestsInFlightMax = requestsInFlightMax
        self.serverVersion = serverVersion
    }
}

extension SessionSettings {
    init(_ service: Service, _ elsewhere: Elsewhere?, _ options: ServerOptions) {
        self.init(
            deployment: ID16(bytes: service.identity.deployment), history: ID16(bytes: service.identity.history),
            elsewhere: elsewhere, token: options.token,
            requestsInFlightMax: options.requestsInFlightMax, serverVersion: options.version)
    }
}

/// The protocol of one connection: bytes in, bytes and actions out. Knows nothing of sockets.
package struct Session {
    package enum Phase {
        case handshake
        case open
        /// The server drains: what is in flight is finished, changes are refused.
        case draining
        /// The peer follows this node: from its `subscribe` on, the feed has the connection.
        case handedOver
        /// An error has ended the conversation; whatever else arrives is ignored.
        case ended
    }

    package private(set) var phase = Phase.handshake
    /// Actions that have not been answered.
    package private(set) var inFlight = 0
    package private(set) var clientName = ""
    private let settings: SessionSettings
    /// The server drains, and the client is told so when it has shaken hands.
    private var goingAwayMillis: UInt32?
    /// The driver's word: while this much output waits, no more input is taken.
    package static let outputWaitingMax = 1 << 20

    package init(_ settings: SessionSettings) { self.settings = settings }

    /// Takes what it understands from the front of received bytes. Single checks are taken up by the check path, which
    /// the driver flushes before it sends: their places in the output are kept.
    ///
    /// - Parameters:
    ///   - catalog: the applied one, for the names of purposes in events.
    ///   - head: the sequence for `welcome`; needed in the handshake only.
    /// - Returns: bytes taken; the rest is to be offered again with more behind it.
    package mutating func receive(
        _ bytes: UnsafeMutableRawBufferPointer, checks: inout CheckPath, catalog: AppliedCatalog, head: UInt64,
        output: inout OutputBuffer, actions: inout [SessionAction]
    ) -> Int {
        var taken = 0
        scan: while phase != .ended, phase != .handedOver, output.count < Self.outputWaitingMax {
            // A stranger is not given room for more than a hello.
            let sizeMax = phase == .handshake ? WireLimit.helloSizeMax : WireLimit.frameSizeMax
            switch scanFrame(UnsafeMutableRawBufferPointer(rebasing: bytes[taken...]), sizeMax: sizeMax) {
            case .incomplete: break scan
            case .broken(let code, let request):
                fail(WireError(code, "the length field of a frame is out of range"), request, &output)
            case .frame(let frame):
                if frame.opcode == Opcode.subscribe.rawValue, phase != .handshake, handsOver(frame, &output) {
                    break scan
                }
                taken += frame.size
                do throws(WireError) {
                    if phase == .handshake {
                        try shakeHands(frame, catalog: catalog, head: head, into: &output)
                    } else if frame.opcode == Opcode.check.rawValue {
                        try checks.check(frame, into: &output)
                    } else {
                        try handle(frame, checks: &checks, catalog: catalog, output: &output, actions: &actions)
                    }
                } catch {
                    fail(error, frame.request, &output)
                }
            }
        }
        return phase == .ended ? bytes.count : taken
    }

    /// Says that one of the session's actions was answered.
    package mutating func finishAction() { inFlight -= 1 }

    /// Tells the client that the server drains; from now on changes are refused.
    package mutating func drain(graceMillis: UInt32, into output: inout OutputBuffer) {
        if phase == .handshake { goingAwayMillis = graceMillis }
        guard phase == .open else { return }
        phase = .draining
        Push.encode(.goingAway, word: graceMillis, into: &output)
    }

    package func announceCatalog(version: Int, into output: inout OutputBuffer) {
        guard phase == .open else { return }
        Push.encode(.catalogChanged, word: UInt32(version), into: &output)
    }

    /// Ends the conversation with an error that no request asked for.
    package mutating func end(_ code: ErrorCode, _ message: String, into output: inout OutputBuffer) {
        guard phase != .ended else { return }
        fail(WireError(code, message), 0, &output)
        phase = .ended
    }

    private mutating func fail(_ error: WireError, _ request: UInt32, _ output: inout OutputBuffer) {
        ErrorAnswer(error).encode(request: request, into: &output)
        if error.code.closesConnection { phase = .ended }
    }

    /// Whether the feed is to have the connection from this `subscribe` on, which is its own to read.
    private mutating func handsOver(_ frame: Frame, _ output: inout OutputBuffer) -> Bool {
        do throws(WireError) {
            _ = try SubscribeRequest(frame)
            try requireChangesTaken()
            guard inFlight == 0 else {
                throw WireError(
                    .subscribeTooLate, "\(inFlight) requests of this connection are not answered; subscribe on its own")
            }
            phase = .handedOver
            return true
        } catch {
            fail(error, frame.request, &output)
            return false
        }
    }

    // MARK: Handshake

    /// Version, then deployment, then credentials.
    private mutating func shakeHands(
        _ frame: Frame, catalog: AppliedCatalog, head: UInt64, into output: inout OutputBuffer
    ) throws(WireError) {
        let hello = try Hello(frame)
        guard hello.versionMin <= hello.versionMax, hello.versionMin <= WireVersion.max,
            hello.versionMax >= WireVersion.min
        else {
            throw WireError(
                .versionUnsupported, detail: UInt32(WireVersion.min) | UInt32(WireVersion.max) << 16,
                "this server speaks versions \(WireVersion.min) to \(WireVersion.max)")
        }
        guard hello.deployment == .zero || settings.deployment != .zero else {
            throw WireError(
                .identityUnknown, "this edge has never reached its upstream and does not know its deployment")
        }
        guard hello.deployment == .zero || hello.deployment == settings.deployment else {
            throw WireError(
                .deploymentMismatch, "this is deployment \(settings.deployment), not \(hello.deployment)")
        }
        guard settings.token.map({ isSameSecret($0, hello.token) }) ?? true else {
            throw WireError(.credentialsRefused, "the token is missing or wrong")
        }
        phase = .open
        clientName = hello.clientName
        var welcome = Welcome()
        welcome.version = min(hello.versionMax, WireVersion.max)
        welcome.catalogVersion = UInt32(catalog.version)
        welcome.sequence = head
        welcome.deployment = settings.deployment
        welcome.history = settings.history
        welcome.requestsInFlightMax = UInt32(settings.requestsInFlightMax)
        welcome.serverName = "consentd"
        welcome.serverVersion = settings.serverVersion
        welcome.encode(request: frame.request, into: &output)
        if let goingAwayMillis { drain(graceMillis: goingAwayMillis, into: &output) }
    }

    /// Takes the same time wherever the first difference is.
    private func isSameSecret(_ left: [UInt8], _ right: [UInt8]) -> Bool {
        var difference = UInt8(left.count == right.count ? 0 : 1)
        for position in 0..<left.count { difference |= left[position] ^ (position < right.count ? right[position] : 0) }
        return difference == 0
    }

    // MARK: Requests

    /// - Parameter reader: who reads, where the request says so.
    private mutating func handle(
        _ frame: Frame, by reader: AccessReader? = nil, checks: inout CheckPath, catalog: AppliedCatalog,
        output: inout OutputBuffer, actions: inout [SessionAction]
    ) throws(WireError) {
        let opcode = Opcode(rawValue: frame.opcode)
        let reader = reader ?? AccessReader(client: clientName)
        if let elsewhere = settings.elsewhere, let opcode, let isQuestion = Self.needsLedger(opcode) {
            return try send(frame, to: elsewhere, as: isQuestion, by: reader, &actions)
        }
        if let opcode, let kind = ReadKind(opcode) {
            return try ask(.read(ReadQuestion(kind, frame, catalog), by: reader), frame, &actions)
        }
        switch opcode {
        case .ping: Pong(echo: try PingRequest(frame).echo).encode(request: frame.request, into: &output)
        case .checkPurposes: try checks.checkPurposes(frame, into: &output)
        case .checkSubjects: try checks.checkSubjects(frame, into: &output)
        case .record: try record(frame, catalog: catalog, &actions)
        case .applyCatalog:
            let request = try ApplyCatalogRequest(frame)
            if !request.isDryRun { try requireChangesTaken() }
            try ask(.applyCatalog(request), frame, &actions)
        case .erase:
            let request = try EraseRequest(frame)
            try requireChangesTaken()
            try ask(.erase(request), frame, &actions)
        case .link:
            let request = try LinkIdentifierRequest(frame)
            try requireChangesTaken()
            try ask(.link(request), frame, &actions)
        case .unlink:
            let request = try UnlinkIdentifierRequest(frame)
            try requireChangesTaken()
            try ask(.unlink(request), frame, &actions)
        case .issueToken:
            let request = try IssueTokenRequest(frame)
            try requireChangesTaken()
            try ask(.issueToken(request), frame, &actions)
        case .confirmToken:
            let request = try ConfirmTokenRequest(frame)
            try requireChangesTaken()
            try ask(.confirmToken(request), frame, &actions)
        case .catalog: try askBare(.catalog, frame, &actions)
        case .catalogDocument: try askBare(.catalogDocument, frame, &actions)
        case .statistics: try askBare(.statistics, frame, &actions)
        case .status: try askBare(.status(serverVersion: settings.serverVersion), frame, &actions)
        case .enforcement: try ask(.enforcement(EnforcementRequest(frame)), frame, &actions)
        case .countGranted: try ask(.countGranted(CountGrantedRequest(frame)), frame, &actions)
        case .checkpoint: try askBare(.checkpoint, frame, &actions)
        case .readAs:
            let read = try ReadAsRequest(frame)
            var reader = read.reader
            if reader.client.isEmpty { reader.client = clientName }
            try handle(read.inner, by: reader, checks: &checks, catalog: catalog, output: &output, actions: &actions)
        // What stood against it has been told.
        case .subscribe: break
        case .takeSnapshot, .enforced:
            throw WireError(.subscribeExpected, "only a connection that has subscribed can say this")
        case .hello: throw WireError(.helloExpected, "hello came twice")
        default: throw WireError(.opcodeUnknown, "no request has opcode \(frame.opcode)")
        }
    }

    /// Nil for what every node answers; else whether it only asks. Names each opcode, so that a new one is not taken for
    /// what an edge answers itself.
    private static func needsLedger(_ opcode: Opcode) -> Bool? {
        switch opcode {
        case .record, .applyCatalog, .erase, .link, .unlink, .issueToken, .confirmToken: false
        case .explain, .history, .countGranted, .people, .checkpoint, .prove, .accessLog: true
        case .hello, .ping, .check, .checkPurposes, .checkSubjects, .catalog, .catalogDocument, .statistics,
            .status, .enforcement, .readAs, .subscribe, .takeSnapshot, .enforced:
            nil
        // No requests: whoever sends one is told so, wherever that is.
        case .welcome, .pong, .checked, .checkedPurposes, .checkedSubjects, .explained, .recorded, .appliedCatalog,
            .historyPage, .catalogPurposes, .catalogText, .statisticValues, .grantedCount, .peoplePage, .nodeStatus,
            .enforcedBy, .erased, .linked, .unlinked, .tokenIssued, .tokenConfirmed, .checkpointed, .proved,
            .accessPage, .subscribed, .snapshotBegun, .goingAway, .catalogChanged, .error, .heartbeat,
            .catalogRules, .rulesText, .snapshotChunk, .delta, .cutOff:
            nil
        }
    }

    private mutating func send(
        _ frame: Frame, to elsewhere: Elsewhere, as isQuestion: Bool, by reader: AccessReader,
        _ actions: inout [SessionAction]
    ) throws(WireError) {
        if !isQuestion { try requireChangesTaken() }
        try takePlace()
        let start = frame.payload.baseAddress.unsafelyUnwrapped - WireLimit.headerSize
        var bytes = Array(UnsafeRawBufferPointer(start: start, count: frame.size))
        if let opcode = Opcode(rawValue: frame.opcode), ReadKind(opcode) != nil {
            // Who has the ledger would else take this node for the reader.
            bytes.replaceSubrange(8..<12, with: [0, 0, 0, 0])
            var whole = OutputBuffer(capacity: bytes.count + 1024)
            ReadAsRequest.encode(reader, bytes, request: frame.request, into: &whole)
            bytes = Array(whole.bytes)
        }
        actions.append(.elsewhere(elsewhere, request: frame.request, frame: bytes, isQuestion: isQuestion))
    }

    private mutating func record(
        _ frame: Frame, catalog: AppliedCatalog, _ actions: inout [SessionAction]
    ) throws(WireError) {
        let request = try RecordRequest(frame)
        try requireChangesTaken()
        try takePlace()
        let events = request.events.map { message in
            Result { () throws(AdmissionError) in try message.event(in: catalog.catalog) }
        }
        actions.append(.here(.record(request: frame.request, events: events)))
    }

    private func requireChangesTaken() throws(WireError) {
        guard phase == .open else { throw WireError(.shuttingDown, "the server drains and takes no new change") }
    }

    private mutating func askBare(
        _ question: Question, _ frame: Frame, _ actions: inout [SessionAction]
    ) throws(WireError) {
        try BareRequest.decode(frame)
        try ask(question, frame, &actions)
    }

    private mutating func ask(
        _ question: Question, _ frame: Frame, _ actions: inout [SessionAction]
    ) throws(WireError) {
        try takePlace()
        actions.append(.here(.question(request: frame.request, question)))
    }

    private mutating func takePlace() throws(WireError) {
        guard inFlight < settings.requestsInFlightMax else {
            throw WireError(
                .tooManyInFlight, "\(inFlight) requests of this connection are not answered yet; wait for some")
        }
        inFlight += 1
    }
}
