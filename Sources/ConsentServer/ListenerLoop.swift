import ConsentEngine
import ConsentIndex
import ConsentKernel
import ConsentModel
import ConsentSync
import ConsentTLS
import ConsentWire
import Synchronization

/// What other threads leave for a loop.
final class LoopInbox: Sendable {
    struct Answer {
        var connection: UInt64
        var isOfQuestion: Bool
        var encode: Encode
    }

    struct Contents {
        var answers: [Answer] = []
        var mustDrain = false

        var isEmpty: Bool { answers.isEmpty && !mustDrain }
    }

    private let contents = Mutex(Contents())
    let wakeup: Wakeup

    init() throws(SystemError) { wakeup = try Wakeup() }

    func leave(_ change: (inout Contents) -> Void) {
        let isFirst = contents.withLock { contents in
            defer { change(&contents) }
            return contents.isEmpty
        }
        // The loop was told of what lies there already, and takes all of it.
        if isFirst { wakeup.raise() }
    }

    func takeAll() -> Contents {
        contents.withLock { contents in
            defer { contents = Contents() }
            return contents
        }
    }
}

/// A thread that serves connections: `wait → receive → session → send`, over and over; each step for all connections that
/// have something to say, before the next. What one step needs of the kernel's code and of the index's rows is so fetched
/// once for many.
struct ListenerLoop: ~Copyable {
    private let node: any ServedNode
    private let options: ServerOptions
    private let inService: InService
    private let inbox: LoopInbox
    private let counters: ServerCounters
    private let feed: FeedHub
    private let epoll: Epoll
    private let listeners: [Listener]
    private var checks: CheckPath
    /// What was in service when this loop last looked, and how often that had changed by then.
    private var service: Service
    private var serviceChanges: Int
    private var settings: SessionSettings
    private var output = OutputBuffer(capacity: 1 << 17)
    private var actions: [SessionAction] = []
    /// Whole frames always fit behind what was left of the last read.
    private let input = UnsafeMutableRawBufferPointer.allocate(
        byteCount: WireLimit.frameSizeMax + readSizeMax, alignment: 64)
    /// What was received in this turn and is not answered yet: where it stands in `input`, one after the other.
    private var arrivals: [Arrival] = []
    private var arrivedSize = 0
    /// By slot; a slot's number in a token tells reused slots apart.
    private var connections: [Connection?] = []
    private var reuses: [UInt32] = []
    private var freeSlots: [Int] = []
    /// Connections that were given output outside of their own turn.
    private var touched: [Int] = []
    private var nextSweep: Int64 = 0
    private var listenersArePaused = false
    private var drainDeadline: Int64?
    private var isStopping = false
    private var idle: IdleStrategy

    /// A connection whose descriptor is past this is told that there is no room: what is left is for the node's own
    /// files, without which an index cannot grow and the ledger cannot be read.
    private let socketMax: Int
    private static let descriptorsKept = 32

    private static let readSizeMax = 1 << 18
    static let eventsPerWaitMax = 256
    private static let waitMillisMax: Int32 = 1000
    private static let lingerNanos: Int64 = 1_000_000_000
    /// Reads of what nobody will answer, before the others have their turn.
    private static let dropsPerTurnMax = 4
    /// Pause after `goingAway` in which a client may still send what it had begun.
    private static let drainPauseNanos: Int64 = 200_000_000
    /// Tokens from here on are not connections.
    private static let listenerToken = UInt64.max - 1024
    private static let inboxToken = UInt64.max

    /// One read of a connection, behind what was left of the read before.
    private struct Arrival {
        var token: UInt64
        var bytes: Range<Int>
        /// Bytes that the session took, and where its answers stand in the loop's output.
        var taken = 0
        var answers = 0..<0
        /// Whether there may be more to read, which nothing else would tell of.
        var mustReadOn: Bool
    }

    init(
        node: any ServedNode, options: ServerOptions, inbox: LoopInbox, counters: ServerCounters, feed: FeedHub,
        listeners: [Listener], epoll: consuming Epoll
    ) throws(SystemError) {
        self.node = node
        self.options = options
        inService = node.inService
        self.inbox = inbox
        self.counters = counters
        self.feed = feed
        self.listeners = listeners
        // Two a loop: one that was told, and may still be reading that, and the next one.
        socketMax = System.descriptorsMax - Self.descriptorsKept - 2 * options.loops
        serviceChanges = inService.changes
        service = inService.value
        settings = SessionSettings(service, node.elsewhere, options)
        checks = CheckPath(service, vouchedBy: node.role == .edge ? try BootClock() : nil)
        self.epoll = epoll
        idle = IdleStrategy(spinMicros: options.spinMicros)
    }

    deinit { input.deallocate() }

    /// Serves until told to stop.
    mutating func run() throws(SystemError) {
        try epoll.add(inbox.wakeup.raw, .readable, token: Self.inboxToken)
        try listen()
        while !isStopping {
            let count = try waitForEvents()
            let now = Clock.monotonicNanos()
            checks.beginTurn(nowMillis: Clock.realtimeMillis())
            takeService(now)
            for position in 0..<count { try handle(epoll.event(position), now: now) }
            answerArrivals(now)
            flushTouched()
            if now >= nextSweep { sweep(now) }
        }
        for slot in connections.indices where connections[slot] != nil { close(slot) }
    }

    /// Blocks, or looks for events for a while and then blocks.
    private mutating func waitForEvents() throws(SystemError) -> Int {
        guard idle.mayEverSpin else { return try epoll.wait(timeoutMillis: Self.waitMillisMax) }
        let begin = Clock.monotonicNanos()
        repeat {
            let count = try epoll.wait(timeoutMillis: 0)
            if count > 0 {
                idle.foundWork()
                return count
            }
        } while Clock.monotonicNanos() - begin < idle.spinNanos
        idle.spunInVain()
        let count = try epoll.wait(timeoutMillis: Self.waitMillisMax)
        if count > 0 { idle.wokeUp(afterNanos: Clock.monotonicNanos() - begin) }
        return count
    }

    private mutating func handle(_ event: Epoll.Event, now: Int64) throws(SystemError) {
        if event.token == Self.inboxToken {
            inbox.wakeup.clear()
            try takeInbox(now)
        } else if event.token >= Self.listenerToken {
            accept(listeners[Int(event.token - Self.listenerToken)], now: now)
        } else if let slot = slot(of: event.token) {
            if event.isWritable { flush(slot) }
            // Sending may have found the peer gone.
            if event.isReadable, connections[slot] != nil { receive(slot, isFinished: event.isFinished, now: now) }
        }
    }

    // MARK: Connections

    private func token(_ slot: Int) -> UInt64 { UInt64(reuses[slot]) << 32 | UInt64(slot) }

    /// Nil for a connection that is gone, whose slot another may have by now.
    private func slot(of token: UInt64) -> Int? {
        let slot = Int(UInt32(truncatingIfNeeded: token))
        return slot < reuses.count && reuses[slot] == UInt32(token >> 32) && connections[slot] != nil ? slot : nil
    }

    /// Takes all that wait, so that one wakeup serves a burst.
    private mutating func accept(_ listener: Listener, now: Int64) {
        for _ in 0..<64 {
            do throws(SystemError) {
                guard let socket = try Socket.accept(listener.socket) else { return }
                Socket.setNoDelay(socket.raw)
                let isPastRoom = socket.raw > socketMax
                let session = listener.isTLS ? TLSSession(options.tls!.context) : nil
                open(StreamSocket(socket, session), isPastRoom: isPastRoom, now: now)
                if isPastRoom { return pauseListeners() }
            } catch {
                // No descriptor or memory is left.
                return pauseListeners()
            }
        }
    }

    /// Who waits would wake the loop again and again: look later.
    private mutating func pauseListeners() {
        listenersArePaused = true
        for listener in listeners { try? epoll.remove(listener.socket) }
    }

    private mutating func listen() throws(SystemError) {
        for (position, listener) in listeners.enumerated() {
            try epoll.add(listener.socket, [.readable, .exclusive], token: Self.listenerToken + UInt64(position))
        }
        listenersArePaused = false
    }

    private mutating func open(_ socket: StreamSocket, isPastRoom: Bool, now: Int64) {
        let slot = freeSlots.popLast() ?? connections.count
        if slot == connections.count {
            connections.append(nil)
            reuses.append(0)
        }
        let connection = Connection(socket: socket, session: Session(settings), now: now)
        connections[slot] = connection
        let isTooMany = counters.connections.add(1, ordering: .relaxed).newValue > options.connectionsMax
        do {
            try epoll.add(socket.raw, Connection.reading, token: token(slot))
        } catch {
            close(slot)
            return
        }
        if isTooMany || isPastRoom {
            let limit =
                isTooMany
                ? "the server has \(options.connectionsMax) connections, which is its limit"
                : "the server has no descriptor left for one more connection"
            end(slot, .tooManyConnections, limit, now)
        }
    }

    private mutating func close(_ slot: Int) {
        guard connections[slot] != nil else { return }
        // With the last reference the socket is closed.
        connections[slot] = nil
        reuses[slot] &+= 1
        freeSlots.append(slot)
        counters.connections.subtract(1, ordering: .relaxed)
    }

    // MARK: Receiving

    /// - Parameter isFinished: whether the end stands behind what there is to read.
    private mutating func receive(_ slot: Int, isFinished: Bool, now: Int64) {
        let connection = connections[slot]!
        if connection.lingersUntil != nil {
            drop(slot, now: now)
            return
        }
        let kept = connection.received.count
        precondition(kept <= WireLimit.frameSizeMax, "what waits is less than a frame, or less than one read")
        // Behind the arrivals, which are answered first where it does not fit.
        if arrivedSize + kept + Self.readSizeMax > input.count { answerArrivals(now) }
        guard connections[slot] === connection else { return }
        let start = arrivedSize
        let space = UnsafeMutableRawBufferPointer(rebasing: input[start + kept..<start + kept + Self.readSizeMax])
        switch connection.socket.receive(into: space) {
        case .wouldBlock:
            updateInterest(slot)
            if connection.socket.mayHaveMore { readOn(slot) }
        case .closed:
            // To who broke TLS nothing can be said any more.
            if connection.socket.failure != nil { return close(slot) }
            connection.isPeerDone = true
            finishIfDone(slot, now)
            updateInterest(slot)
        case .bytes(let count):
            connection.heardAt = now
            if connection.isTLS { connection.isPeerDone = connection.socket.isPeerDone }
            if kept > 0 {
                connection.received.withUnsafeBytes { received in
                    UnsafeMutableRawBufferPointer(rebasing: input[start...]).copyMemory(from: received)
                }
                connection.received = []
            }
            arrivedSize += kept + count
            // What did not fit into the buffer, or is the end, is told of again.
            arrivals.append(
                Arrival(
                    token: token(slot), bytes: start..<arrivedSize,
                    mustReadOn: isFinished || count == Self.readSizeMax
                        || connection.isTLS && connection.socket.mayHaveMore))
        }
    }

    /// Lets the sessions take what has arrived, then sends all answers.
    private mutating func answerArrivals(_ now: Int64) {
        guard !arrivals.isEmpty else { return }
        var firstUnsent = 0
        for position in arrivals.indices {
            guard let slot = slot(of: arrivals[position].token) else { continue }
            let start = output.count
            arrivals[position].taken = take(slot, arrivals[position].bytes)
            arrivals[position].answers = start..<output.count
            if output.count >= Session.outputWaitingMax {
                sendAnswers(of: firstUnsent...position)
                firstUnsent = position + 1
            }
        }
        sendAnswers(of: firstUnsent..<arrivals.count)
        for arrival in arrivals {
            guard let slot = slot(of: arrival.token) else { continue }
            if arrival.taken < arrival.bytes.count || !connections[slot]!.isSettled {
                process(slot, arrival.bytes.dropFirst(arrival.taken), now: now)
            }
            if arrival.mustReadOn { readOn(slot) }
        }
        arrivals.removeAll(keepingCapacity: true)
        arrivedSize = 0
    }

    private mutating func sendAnswers(of positions: some Sequence<Int>) {
        checks.flush(into: &output)
        for position in positions {
            guard let slot = slot(of: arrivals[position].token) else { continue }
            _ = passOn(slot, UnsafeRawBufferPointer(rebasing: output.bytes[arrivals[position].answers]))
        }
        output.clear()
    }

    /// - Returns: how many bytes of the input buffer the session took. Its answers stand in the output.
    private mutating func take(_ slot: Int, _ bytes: Range<Int>) -> Int {
        let connection = connections[slot]!
        let head = connection.session.phase == .handshake ? service.publication.current.appliedSequence : 0
        let taken = connection.session.receive(
            UnsafeMutableRawBufferPointer(rebasing: input[bytes]), checks: &checks, catalog: service.catalog,
            head: head,
            output: &output, actions: &actions)
        perform(slot)
        return taken
    }

    private mutating func readOn(_ slot: Int) {
        guard let connection = connections[slot], connection.interest == Connection.reading else { return }
        try? epoll.change(connection.socket.raw, connection.interest, token: token(slot))
    }

    /// Lets the session take what it can of what stands in the input buffer, and keeps the rest.
    private mutating func process(_ slot: Int, _ bytes: Range<Int>, now: Int64) {
        let connection = connections[slot]!
        var rest = bytes
        // What the session held back for its output goes on at once where the system took all of that: nothing else would
        // come to wake it.
        while !rest.isEmpty, connection.isSent {
            let taken = take(slot, rest)
            guard passOn(slot) else { return }
            if taken == 0 { break }
            rest = rest.dropFirst(taken)
        }
        if connection.session.phase == .handedOver { return handOver(slot, Array(input[rest])) }
        if !rest.isEmpty || !connection.received.isEmpty { connection.received = Array(input[rest]) }
        finishIfDone(slot, now)
        updateInterest(slot)
    }

    /// Leaves a connection to the feed, with what it has said from its `subscribe` on.
    private mutating func handOver(_ slot: Int, _ received: [UInt8]) {
        let connection = connections[slot]!
        try? epoll.remove(connection.socket.raw)
        connections[slot] = nil
        reuses[slot] &+= 1
        freeSlots.append(slot)
        counters.connections.subtract(1, ordering: .relaxed)
        feed.adopt(connection.socket, received: received, unsent: connection.unsent.withBytes { Array($0) })
    }

    private mutating func perform(_ slot: Int) {
        guard !actions.isEmpty else { return }
        let connection = connections[slot]!
        for action in actions {
            switch action {
            case .here(.record), .elsewhere(_, _, _, isQuestion: false): start(action, slot, isQuestion: false)
            case .here(.question), .elsewhere(_, _, _, isQuestion: true): connection.questions.append(action)
            }
        }
        actions.removeAll(keepingCapacity: true)
        askNext(slot)
    }

    private func start(_ action: SessionAction, _ slot: Int, isQuestion: Bool) {
        let (token, inbox) = (token(slot), inbox)
        let complete: @Sendable (@escaping Encode) -> Void = { encode in
            let answer = LoopInbox.Answer(connection: token, isOfQuestion: isQuestion, encode: encode)
            inbox.leave { $0.answers.append(answer) }
        }
        switch action {
        case .here(let action): node.perform(action, feed: feed, complete: complete)
        case .elsewhere(let elsewhere, let request, let frame, _): elsewhere.forward(frame, request, complete)
        }
    }

    private func askNext(_ slot: Int) {
        guard let connection = connections[slot], !connection.isAsking, connection.isSent,
            !connection.questions.isEmpty
        else { return }
        connection.isAsking = true
        start(connection.questions.removeFirst(), slot, isQuestion: true)
    }

    /// What arrives after the end is read and dropped, so that the peer gets to read the end.
    private mutating func drop(_ slot: Int, now: Int64) {
        // It reads into the input buffer.
        answerArrivals(now)
        guard connections[slot] != nil else { return }
        for _ in 0..<Self.dropsPerTurnMax {
            switch connections[slot]!.socket.receive(into: input) {
            case .bytes: continue
            case .wouldBlock:
                if connections[slot]!.socket.mayHaveMore { readOn(slot) }
                return
            case .closed: return close(slot)
            }
        }
        // Who never stops is come back to, after all others have had their turn.
        readOn(slot)
    }

    // MARK: Sending

    private mutating func send(_ slot: Int, now: Int64) {
        guard passOn(slot) else { return }
        finishIfDone(slot, now)
        updateInterest(slot)
    }

    /// Sends the loop's output to a connection, and clears it.
    ///
    /// - Returns: whether the connection is still there.
    private mutating func passOn(_ slot: Int) -> Bool {
        checks.flush(into: &output)
        defer { output.clear() }
        return passOn(slot, output.bytes)
    }

    /// Sends bytes to a connection; what the system does not take now is kept.
    ///
    /// - Returns: whether the connection is still there.
    private mutating func passOn(_ slot: Int, _ bytes: UnsafeRawBufferPointer) -> Bool {
        guard !bytes.isEmpty else { return true }
        let connection = connections[slot]!
        guard connection.unsent.isEmpty else {
            connection.unsent.append(bytes)
            return true
        }
        switch connection.socket.send(bytes) {
        case .bytes(let count) where count == bytes.count: break
        case .bytes(let count): connection.unsent.append(UnsafeRawBufferPointer(rebasing: bytes[count...]))
        case .wouldBlock: connection.unsent.append(bytes)
        case .closed:
            close(slot)
            return false
        }
        return true
    }

    /// The socket takes output again.
    private mutating func flush(_ slot: Int) {
        let connection = connections[slot]!
        let now = Clock.monotonicNanos()
        let transfer = connection.unsent.withBytes { connection.socket.send($0) }
        switch transfer {
        case .bytes(let count):
            connection.unsent.drop(count)
            // Only what had to wait for the peer says that the peer is there.
            if connection.interest.contains(.writable) { connection.heardAt = now }
        case .wouldBlock:
            // To be told when it takes some.
            updateInterest(slot)
            return
        case .closed:
            close(slot)
            return
        }
        askNext(slot)
        if connection.isSent, !connection.received.isEmpty, connection.lingersUntil == nil {
            // Requests that were held back while output waited.
            answerArrivals(now)
            guard connections[slot] === connection else { return }
            connection.received.withUnsafeBytes { input.copyMemory(from: $0) }
            process(slot, 0..<connection.received.count, now: now)
        } else {
            finishIfDone(slot, now)
            updateInterest(slot)
        }
    }

    private mutating func flushTouched() {
        guard !touched.isEmpty else { return }
        for slot in touched where connections[slot] != nil && !connections[slot]!.isSent { flush(slot) }
        touched.removeAll(keepingCapacity: true)
    }

    private mutating func updateInterest(_ slot: Int) {
        guard let connection = connections[slot] else { return }
        // Backpressure: who does not read its answers is not read from.
        let mustRead = connection.lingersUntil != nil || (connection.isSent && !connection.isPeerDone)
        if mustRead, connection.isSent, connection.interest == Connection.reading { return }
        var wanted = mustRead ? Connection.reading : []
        if !connection.isSent { wanted.insert(.writable) }
        guard wanted != connection.interest else { return }
        connection.interest = wanted
        try? epoll.change(connection.socket.raw, wanted, token: token(slot))
    }

    /// Ends a connection that has nothing left to say: at once if the peer is gone, else after it could read the end.
    private mutating func finishIfDone(_ slot: Int, _ now: Int64) {
        guard let connection = connections[slot], connection.isSent else { return }
        if connection.isPeerDone, connection.session.inFlight == 0 {
            close(slot)
        } else if connection.session.phase == .ended, connection.lingersUntil == nil {
            connection.lingersUntil = now + Self.lingerNanos
            connection.received = []
            connection.socket.shutdownSending()
        }
    }

    private mutating func end(_ slot: Int, _ code: ErrorCode, _ message: String, _ now: Int64) {
        connections[slot]!.session.end(code, message, into: &output)
        send(slot, now: now)
    }

    // MARK: Other threads' messages

    private mutating func takeInbox(_ now: Int64) throws(SystemError) {
        let contents = inbox.takeAll()
        for answer in contents.answers {
            guard let slot = slot(of: answer.connection) else { continue }
            let connection = connections[slot]!
            connection.session.finishAction()
            if answer.isOfQuestion { connection.isAsking = false }
            // An error that closes is the last thing said.
            if connection.session.phase == .ended { continue }
            answer.encode(&output)
            connection.unsent.append(output.bytes)
            output.clear()
            touched.append(slot)
        }
        if contents.mustDrain, drainDeadline == nil { try drain(now) }
    }

    /// At the beginning of every turn, so that who was told of a new catalog can ask for its purposes at once.
    private mutating func takeService(_ now: Int64) {
        let changes = inService.changes
        guard changes != serviceChanges else { return }
        serviceChanges = changes
        let before = service
        service = inService.value
        checks.serve(service)
        // As long as a connection lasts, a bit keeps its meaning.
        if service.identity != before.identity || !service.catalog.catalog.keepsBits(of: before.catalog.catalog) {
            takeIdentity(now)
        } else if service.catalog.version != before.catalog.version {
            announceCatalog()
        }
    }

    private mutating func announceCatalog() {
        for slot in connections.indices {
            guard let connection = connections[slot] else { continue }
            connection.session.announceCatalog(version: service.catalog.version, into: &output)
            connection.unsent.append(output.bytes)
            output.clear()
            touched.append(slot)
        }
    }

    /// Who was welcomed by a node that it is not any more finds out what it is talking to by shaking hands again.
    private mutating func takeIdentity(_ now: Int64) {
        settings = SessionSettings(service, node.elsewhere, options)
        for slot in connections.indices where connections[slot] != nil && connections[slot]!.lingersUntil == nil {
            end(slot, .nodeChanged, "this edge has another past now than when it welcomed you", now)
        }
    }

    private mutating func drain(_ now: Int64) throws(SystemError) {
        drainDeadline = now + Int64(options.drainMillis) * 1_000_000
        if !listenersArePaused { for listener in listeners { try epoll.remove(listener.socket) } }
        for slot in connections.indices {
            guard let connection = connections[slot] else { continue }
            connection.heardAt = now
            connection.session.drain(graceMillis: options.drainMillis, into: &output)
            connection.unsent.append(output.bytes)
            output.clear()
            touched.append(slot)
        }
        nextSweep = now + Self.drainPauseNanos
    }

    // MARK: Time

    /// Ends connections that took too long, and finishes the drain.
    private mutating func sweep(_ now: Int64) {
        options.tls?.refresh(now)
        nextSweep = now + (drainDeadline == nil ? 1_000_000_000 : 50_000_000)
        if listenersArePaused, drainDeadline == nil { try? listen() }
        for slot in connections.indices {
            guard let connection = connections[slot] else { continue }
            let openFor = (now - connection.openedAt) / 1_000_000_000
            let silentFor = (now - connection.heardAt) / 1_000_000_000
            if let until = connection.lingersUntil {
                if now >= until { close(slot) }
            } else if drainDeadline != nil {
                let isQuiet =
                    connection.session.inFlight == 0 && connection.isSent
                    && now - connection.heardAt >= Self.drainPauseNanos
                if isQuiet || now >= drainDeadline! { close(slot) }
            } else if connection.session.phase == .handshake, openFor >= options.handshakeSecondsMax {
                end(slot, .helloTooLate, "no hello within \(options.handshakeSecondsMax) seconds", now)
            } else if silentFor >= options.idleSecondsMax,
                // Who takes no answers is as silent as who asks nothing, whatever is still to be answered.
                connection.session.inFlight == 0 || !connection.isSent
            {
                if connection.isSent {
                    end(slot, .idleTooLong, "nothing was received for \(options.idleSecondsMax) seconds", now)
                } else {
                    close(slot)
                }
            }
        }
        if drainDeadline != nil, freeSlots.count == connections.count { isStopping = true }
    }
}
