import ConsentIndex
import ConsentKernel
import ConsentModel
import ConsentTLS
import ConsentWire

/// The thread of a ``FeedHub``: `wait → changes into the log → frames of edges → what comes next for each`.
struct FeedLoop: ~Copyable {
    struct Start: Sendable {
        var identity: FeedIdentity
        var publication: IndexPublication
        var log: DeltaLog
        var options: FeedHubOptions
        var past: @Sendable (UInt64, UInt64) -> Bool?
    }

    /// One edge's connection.
    private final class Edge {
        let number: UInt64
        let socket: StreamSocket
        var feed: Feed
        var received: [UInt8]
        /// Output that the system has not taken; nothing more is written while there is some.
        var unsent: [UInt8]
        /// What of it has been taken.
        var sentCount = 0
        /// When the system last took something, by the clock of the boot.
        var movedAt: UInt64
        let since: Timestamp
        var heardAt: Timestamp
        /// Since when it has not enforced everything.
        var behindSince: Timestamp?
        var knownEnforced: UInt64?
        var isWatchedForRoom = false
        /// It is told why, then the connection is closed.
        var endsBecause: String?
        /// Everything is said; the edge may still be reading. Then the time at which the socket is closed anyway.
        var lingersUntil: UInt64?

        init(_ number: UInt64, _ newcomer: FeedHub.Newcomer, _ feed: Feed, _ now: SyncMoment) {
            self.number = number
            socket = newcomer.socket
            self.feed = feed
            received = newcomer.received
            unsent = newcomer.unsent
            movedAt = now.bootMillis
            since = now.time
            heardAt = now.time
        }

        var isBlocked: Bool { sentCount < unsent.count || socket.hasUnsent }
    }

    private let hub: FeedHub
    private let publication: IndexPublication
    private let options: FeedHubOptions
    private let past: @Sendable (UInt64, UInt64) -> Bool?
    private var identity: FeedIdentity
    private var log: DeltaLog
    private let epoll: Epoll
    private var edges: [UInt64: Edge] = [:]
    private var lastNumber: UInt64 = 0
    private var output = OutputBuffer(capacity: 1 << 20)
    private let input = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 16, alignment: 64)
    private var isDraining = false
    /// See ``FeedHub/expectReplacement()``.
    private var replacementsTaken: UInt64 = 0
    private var sweptAt: UInt64 = 0

    static let eventsPerWaitMax = 256
    private static let inboxToken = UInt64.max
    /// Of what an edge may have said that is not a whole frame: all its frames are small.
    private static let receivedMax = 4096
    /// Written for one edge before another one's turn.
    private static let turnSize = 512 << 10
    private static let sweepMillis: UInt64 = 200
    private static let lingerMillis: UInt64 = 1000

    init(_ start: Start, hub: FeedHub, epoll: consuming Epoll) {
        self.hub = hub
        publication = start.publication
        options = start.options
        past = start.past
        identity = start.identity
        log = start.log
        self.epoll = epoll
    }

    deinit { input.deallocate() }

    private static func now() -> SyncMoment {
        SyncMoment(bootMillis: Clock.boottimeMillis(), time: Timestamp(millis: Clock.realtimeMillis()))
    }

    mutating func run() throws(SystemError) {
        try epoll.add(hub.wakeupDescriptor, .readable, token: Self.inboxToken)
        var hasMore = false
        while true {
            let count = try epoll.wait(timeoutMillis: hasMore ? 0 : edges.isEmpty ? 1000 : Int32(Self.sweepMillis))
            let now = Self.now()
            if takeInbox(now) { break }
            for position in 0..<count { handle(epoll.event(position), now) }
            hasMore = tellAll(now)
            if now.bootMillis >= sweptAt + Self.sweepMillis { sweep(now) }
        }
        for edge in edges.values { end(edge, .draining) }
        for edge in edges.values { close(edge, CutOffReason.draining.message) }
    }

    // MARK: Changes

    /// - Returns: whether to stop.
    private mutating func takeInbox(_ now: SyncMoment) -> Bool {
        let inbox = hub.takeAll()
        for change in inbox.changes { take(change) }
        for newcomer in inbox.newcomers { welcome(newcomer, now) }
        if inbox.mustDrain, !isDraining {
            isDraining = true
            for edge in edges.values { end(edge, .draining) }
        }
        return inbox.mustStop
    }

    private mutating func take(_ change: FeedChange) {
        switch change {
        case .made(let after, let point, let catalog, let hasAbsentRows, let rows):
            let isKept = !edges.isEmpty && rows != nil
            var entry = DeltaLog.Entry(
                after: after, point: point, rows: isKept ? rows!() : [], catalog: catalog, isKept: isKept)
            entry.hasAbsentRows = hasAbsentRows
            log.append(entry)
        case .received(let entry): log.append(entry)
        case .verified(let sequence): log.confirm(sequence)
        case .replaced(let number, let identity, let point, let isDigestKnown, let catalog):
            replacementsTaken = number
            self.identity = identity
            log.reset(to: point, isDigestKnown: isDigestKnown, catalog: catalog)
        }
    }

    private func source() -> IndexSource {
        IndexSource(
            history: identity.history, hashKey: identity.hashKey, log: log, table: publication.current, past: past)
    }

    // MARK: Edges

    private mutating func welcome(_ newcomer: FeedHub.Newcomer, _ now: SyncMoment) {
        lastNumber += 1
        let edge = Edge(lastNumber, newcomer, Feed(options.feed, at: now), now)
        edges[edge.number] = edge
        do {
            try epoll.add(edge.socket.raw, [.readable, .finished], token: edge.number)
        } catch {
            return close(edge, "\(error)")
        }
        if isDraining { return end(edge, .draining) }
        if edges.count > options.edgesMax {
            let limit = "\(options.edgesMax) edges follow this node, which is its limit"
            ErrorAnswer(WireError(.tooManyEdges, limit)).encode(request: 0, into: &output)
            edge.endsBecause = limit
            return send(edge, now)
        }
        takeFrames(edge, now)
    }

    private mutating func handle(_ event: Epoll.Event, _ now: SyncMoment) {
        guard let edge = edges[event.token] else { return }
        if event.isWritable { send(edge, now) }
        if event.isReadable, edges[event.token] != nil { receive(edge) }
    }

    private mutating func receive(_ edge: Edge) {
        switch edge.socket.receive(into: input) {
        case .wouldBlock: return watchForRoom(edge, edge.isBlocked)
        case .closed: return close(edge, "it has closed the connection")
        case .bytes(let count): edge.received.append(contentsOf: input[..<count])
        }
        // Whoever is being told that this is the end is not listened to.
        if edge.endsBecause != nil {
            edge.received = []
            return
        }
        // Not that of the turn: what the edge has stamped must not seem to have come before it was sent.
        takeFrames(edge, Self.now())
    }

    private mutating func takeFrames(_ edge: Edge, _ now: SyncMoment) {
        edge.heardAt = now.time
        var received = edge.received
        var taken = 0
        var failure: (WireError, UInt32)?
        let source = source()
        received.withUnsafeMutableBytes { buffer in
            scan: while failure == nil {
                switch scanFrame(UnsafeMutableRawBufferPointer(rebasing: buffer[taken...])) {
                case .incomplete(let needed):
                    if needed > Self.receivedMax { failure = (WireError(.frameTooLarge, "no edge says so much"), 0) }
                    break scan
                case .broken(let code, let request):
                    failure = (WireError(code, "the length field of a frame is out of range"), request)
                case .frame(let frame):
                    taken += frame.size
                    do throws(WireError) {
                        try edge.feed.receive(frame, source, at: now, into: &output)
                    } catch {
                        ErrorAnswer(error).encode(request: frame.request, into: &output)
                        if error.code.closesConnection { edge.endsBecause = error.message }
                    }
                    if edge.endsBecause != nil { break scan }
                }
            }
        }
        edge.received.removeFirst(taken)
        if let (error, request) = failure {
            ErrorAnswer(error).encode(request: request, into: &output)
            edge.endsBecause = error.message
        }
        send(edge, now)
        if let enforced = edge.feed.enforced, enforced.sequence != edge.knownEnforced {
            edge.knownEnforced = enforced.sequence
            if edges[edge.number] === edge { know(edge, now) }
        }
    }

    // MARK: Sending

    /// Lets every edge that has room be told what comes next, each a little.
    ///
    /// - Returns: whether somebody could be told more at once.
    private mutating func tellAll(_ now: SyncMoment) -> Bool {
        var hasMore = false
        let source = source()
        // Looked at after the rows: if those are others already, this shows it.
        guard hub.replacementsExpected == replacementsTaken else { return false }
        for edge in edges.values where !edge.isBlocked && edge.endsBecause == nil {
            while output.count < Self.turnSize, edge.feed.tell(source, at: now, into: &output) {}
            if edge.feed.isEnded { edge.endsBecause = "it was cut off" }
            let isFull = output.count >= Self.turnSize
            send(edge, now)
            if isFull, !edge.isBlocked { hasMore = true }
        }
        return hasMore
    }

    /// Sends what waits, and the loop's output behind it, which is empty afterwards.
    private mutating func send(_ edge: Edge, _ now: SyncMoment) {
        defer { output.clear() }
        guard edges[edge.number] === edge else { return }
        if edge.isBlocked {
            let rest = edge.unsent.withUnsafeBytes { bytes in
                edge.socket.send(UnsafeRawBufferPointer(rebasing: bytes[edge.sentCount...]))
            }
            switch rest {
            case .bytes(let count):
                edge.sentCount += count
                edge.movedAt = now.bootMillis
            case .wouldBlock: break
            case .closed: return close(edge, "it has closed the connection")
            }
            if edge.isBlocked {
                edge.unsent.append(contentsOf: output.bytes)
                return watchForRoom(edge, true)
            }
        }
        edge.unsent.removeAll(keepingCapacity: false)
        edge.sentCount = 0
        if !output.isEmpty {
            switch edge.socket.send(output.bytes) {
            case .bytes(let count):
                edge.movedAt = now.bootMillis
                edge.unsent.append(contentsOf: output.bytes[count...])
            case .wouldBlock:
                edge.movedAt = now.bootMillis
                edge.unsent.append(contentsOf: output.bytes)
            case .closed: return close(edge, "it has closed the connection")
            }
        }
        watchForRoom(edge, edge.isBlocked)
        // What it still sends is read and dropped, so that it gets to read the end.
        if !edge.isBlocked, edge.endsBecause != nil, edge.lingersUntil == nil {
            edge.socket.shutdownSending()
            edge.lingersUntil = now.bootMillis + Self.lingerMillis
        }
    }

    private func watchForRoom(_ edge: Edge, _ isWatched: Bool) {
        guard edge.isWatchedForRoom != isWatched else { return }
        edge.isWatchedForRoom = isWatched
        let interest: Epoll.Interest = isWatched ? [.readable, .finished, .writable] : [.readable, .finished]
        try? epoll.change(edge.socket.raw, interest, token: edge.number)
    }

    private mutating func end(_ edge: Edge, _ reason: CutOffReason) {
        guard edge.endsBecause == nil else { return }
        edge.feed.end(reason, &output)
        edge.endsBecause = reason.message
        send(edge, Self.now())
    }

    private mutating func close(_ edge: Edge, _ reason: String) {
        // With the last reference the socket is closed.
        guard edges.removeValue(forKey: edge.number) != nil else { return }
        let isCutOff = edge.endsBecause != nil
        hub.forget(edge.number, because: edge.endsBecause ?? reason, isCutOff: isCutOff)
    }

    // MARK: Time

    private mutating func sweep(_ now: SyncMoment) {
        sweptAt = now.bootMillis
        for edge in edges.values {
            // Who is cut off now is remembered by what is known of it.
            if edge.lingersUntil == nil { know(edge, now) }
            if let until = edge.lingersUntil {
                if now.bootMillis >= until { close(edge, "it was told to go") }
            } else if edge.isBlocked, now.bootMillis > edge.movedAt + options.stallMillis {
                edge.endsBecause = CutOffReason.tooSlow.message
                close(edge, CutOffReason.tooSlow.message)
            } else if edge.feed.isSilent(at: now) {
                end(edge, .silent)
            }
        }
    }

    private func know(_ edge: Edge, _ now: SyncMoment) {
        let head = log.point.sequence
        let enforced = edge.feed.enforced
        let isBehind = enforced.map { $0.sequence < head } ?? true
        if !isBehind { edge.behindSince = nil } else if edge.behindSince == nil { edge.behindSince = now.time }
        var status = EdgeStatus(
            name: edge.feed.edgeName, phase: .following, since: edge.since, heardAt: edge.heardAt)
        if let (done, all) = edge.feed.snapshotProgress { status.phase = .snapshot(done: done, of: all) }
        if edge.feed.verdict == nil { status.phase = .subscribing }
        status.sent = edge.feed.position
        status.enforced = enforced?.sequence
        status.enforcedAt = enforced?.time
        status.lag = head > enforced?.sequence ?? 0 ? head - (enforced?.sequence ?? 0) : 0
        status.lagMillis = edge.behindSince.map { now.time.millis - $0.millis } ?? 0
        status.waitingSize = edge.unsent.count - edge.sentCount
        hub.know(edge.number, status, enforced)
    }
}
