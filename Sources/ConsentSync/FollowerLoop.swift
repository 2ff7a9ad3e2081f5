import ConsentIndex
import ConsentKernel
import ConsentModel
import ConsentTLS
import ConsentWire

/// The thread of a ``Follower``: `connect → shake hands → receive → replica → send`, and again after a pause.
struct FollowerLoop: ~Copyable {
    // Sendable because it is made before the thread starts, and used only there.
    final class Start: @unchecked Sendable {
        let store: IndexStore
        let options: FollowerOptions
        let lock: Int32
        let changed: @Sendable (FollowerState) -> Void

        init(
            _ store: IndexStore, _ options: FollowerOptions, lock: Int32,
            changed: @escaping @Sendable (FollowerState) -> Void
        ) {
            self.store = store
            self.options = options
            self.lock = lock
            self.changed = changed
        }
    }

    private enum Link {
        /// Until then, by the clock of the boot.
        case waiting(until: UInt64)
        case connecting(by: UInt64)
        case greeting(by: UInt64)
        case open
    }

    private let follower: Follower
    private let store: IndexStore
    private let options: FollowerOptions
    private let changed: @Sendable (FollowerState) -> Void
    private let lock: FileDescriptor
    private let epoll: Epoll
    private var replica: Replica<IndexStore>
    private var state: FollowerState
    /// As it was put in service last.
    private var servedDeployment = ID16.zero
    /// To those who follow this node.
    private var verifiedTold: UInt64?
    private var replacementsTold: UInt64 = 0
    private var link = Link.waiting(until: 0)
    private var socket: StreamSocket?
    private var output = OutputBuffer(capacity: 4096)
    private var isWatchedForRoom = false
    /// Received, and not taken yet.
    private let input = UnsafeMutableRawBufferPointer.allocate(byteCount: inputSize, alignment: 64)
    private var inputCount = 0
    private var pauseMillis: UInt64
    private var random = SystemRandomNumberGenerator()

    /// Some frames of the largest kind, so that a snapshot is taken in long runs.
    private static let inputSize = 4 << 20
    /// Read before time and those who wait get their turn.
    private static let readsPerTurnMax = 16
    private static let inboxToken = UInt64.max
    private static let socketToken: UInt64 = 1

    init(_ start: Start, _ follower: Follower, epoll: consuming Epoll) {
        self.follower = follower
        self.epoll = epoll
        store = start.store
        options = start.options
        changed = start.changed
        lock = FileDescriptor(owning: start.lock)
        replica = Replica(start.store, start.options.replica)
        state = follower.state
        pauseMillis = start.options.pauseMillisMin
        store.willTakeOver = { [hub = follower.hub] in _ = hub.expectReplacement() }
    }

    deinit { input.deallocate() }

    private static func now() -> SyncMoment {
        SyncMoment(bootMillis: Clock.boottimeMillis(), time: Timestamp(millis: Clock.realtimeMillis()))
    }

    mutating func run() throws {
        try epoll.add(follower.wakeupDescriptor, .readable, token: Self.inboxToken)
        while true {
            let count = try epoll.wait(timeoutMillis: timeout(Self.now()))
            let now = Self.now()
            let (mustStop, mustStartOver) = follower.takeOrders()
            if mustStop { break }
            if mustStartOver { startOver() }
            for position in 0..<count where epoll.event(position).token == Self.socketToken {
                handle(epoll.event(position), now)
            }
            passTime(now)
            tell()
        }
        closeSocket()
        try store.close()
    }

    private func timeout(_ now: SyncMoment) -> Int32 {
        let due =
            switch link {
            case .waiting(let until): until
            case .connecting(let by), .greeting(let by): by
            case .open: replica.nextTick(at: now)
            }
        return due <= now.bootMillis ? 0 : Int32(clamping: min(due - now.bootMillis, 1000))
    }

    private mutating func startOver() {
        replica.options.startsOver = true
        pauseMillis = options.pauseMillisMin
        if case .waiting = link { link = .waiting(until: 0) }
    }

    private mutating func passTime(_ now: SyncMoment) {
        switch link {
        case .waiting(let until): if now.bootMillis >= until { connect(now) }
        case .connecting(let by):
            if now.bootMillis >= by { fail("no connection to \(options.upstream) in time", now) }
        case .greeting(let by):
            if now.bootMillis >= by { fail("\(options.upstream) has not answered 'hello' in time", now) }
        case .open:
            if let end = replica.tick(at: now, into: &output) { return fail(end, now) }
            send(now)
        }
    }

    // MARK: The connection

    private mutating func connect(_ now: SyncMoment) {
        precondition(
            options.upstream.isTLS == (options.tls != nil), "nobody is asked in clear who is to be asked by TLS")
        do {
            let session = try options.tls?.session()
            let connecting = try Socket.beginConnect(options.upstream)
            try epoll.add(connecting.raw, .writable, token: Self.socketToken)
            socket = StreamSocket(connecting, session)
            isWatchedForRoom = true
            link = .connecting(by: now.bootMillis + options.connectMillis)
        } catch {
            fail("\(error)", now)
        }
    }

    private mutating func greet(_ now: SyncMoment) {
        if let failure = Socket.failure(of: socket!.raw, connectingTo: options.upstream) {
            return fail("\(failure)", now)
        }
        state.connects += 1
        var hello = Hello()
        hello.deployment = options.deployment
        hello.clientName = "consentd edge"
        hello.clientVersion = options.version
        hello.token = options.token
        hello.encode(request: 0, into: &output)
        link = .greeting(by: now.bootMillis + options.connectMillis)
        send(now)
    }

    private mutating func handle(_ event: Epoll.Event, _ now: SyncMoment) {
        if case .connecting = link { return greet(now) }
        if event.isWritable { send(now) }
        if event.isReadable { receive(now) }
    }

    private mutating func fail(_ end: ReplicaEnd, _ now: SyncMoment) {
        if case .held(let verdict) = end { state.held = verdict }
        fail(end.description, now)
    }

    private mutating func fail(_ reason: String, _ now: SyncMoment) {
        replica.disconnect()
        closeSocket()
        state.problem = reason
        // Many edges lose their upstream at the same moment: they come back at different ones.
        let pause = UInt64.random(in: pauseMillis / 2...pauseMillis, using: &random)
        pauseMillis = min(pauseMillis * 2, options.pauseMillisMax)
        link = .waiting(until: now.bootMillis + pause)
    }

    private mutating func closeSocket() {
        socket = nil
        inputCount = 0
        output.clear()
        isWatchedForRoom = false
    }

    private mutating func send(_ now: SyncMoment) {
        guard let socket, !output.isEmpty || socket.hasUnsent || isWatchedForRoom else { return }
        if !output.isEmpty || socket.hasUnsent {
            switch socket.send(output.bytes) {
            case .bytes(let count): output.dropFirst(count)
            case .wouldBlock: break
            case .closed: return fail(end(of: socket), now)
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
        socket.failure.map { "\(options.upstream): \($0)" } ?? "\(options.upstream) has closed the connection"
    }

    // MARK: Frames

    private mutating func receive(_ now: SyncMoment) {
        for _ in 0..<Self.readsPerTurnMax {
            guard let socket else { return }
            let room = UnsafeMutableRawBufferPointer(rebasing: input[inputCount...])
            switch socket.receive(into: room) {
            case .wouldBlock: return send(now)
            case .closed: return fail(end(of: socket), now)
            case .bytes(let count):
                inputCount += count
                takeFrames(now)
                if count < room.count { return send(now) }
            }
        }
        send(now)
    }

    private mutating func takeFrames(_ now: SyncMoment) {
        var taken = 0
        scan: while socket != nil {
            let rest = UnsafeMutableRawBufferPointer(rebasing: input[taken..<inputCount])
            switch scanFrame(rest) {
            case .incomplete: break scan
            case .broken: return fail("\(options.upstream) sent a frame whose length cannot be right", now)
            case .frame(let frame):
                taken += frame.size
                take(frame, now)
            }
        }
        guard socket != nil, taken > 0 else { return }
        input.copyMemory(from: UnsafeRawBufferPointer(rebasing: input[taken..<inputCount]))
        inputCount -= taken
    }

    private mutating func take(_ frame: Frame, _ now: SyncMoment) {
        switch link {
        case .greeting: welcome(frame, now)
        case .open:
            if let end = replica.receive(frame, at: now, into: &output) { return fail(end, now) }
        case .waiting, .connecting: break
        }
    }

    private mutating func welcome(_ frame: Frame, _ now: SyncMoment) {
        do {
            if frame.opcode == Opcode.error.rawValue {
                state.refusals += 1
                return fail("\(options.upstream) refused: \(try ErrorAnswer(frame).message)", now)
            }
            guard frame.opcode == Opcode.welcome.rawValue else {
                return fail("\(options.upstream) does not answer 'hello' with 'welcome'", now)
            }
            let deployment = try Welcome(frame).deployment
            guard options.deployment == .zero || deployment == options.deployment else {
                state.refusals += 1
                return fail("\(options.upstream) is of deployment \(deployment), not \(options.deployment)", now)
            }
            guard deployment != .zero else {
                state.refusals += 1
                return fail("\(options.upstream) has followed nobody yet, and does not know its deployment", now)
            }
            state.deployment = deployment
        } catch {
            return fail("\(error)", now)
        }
        link = .open
        replica.connect(at: now, into: &output)
    }

    // MARK: What others see

    /// In this order: who asks finds in service what the state says, and who follows this node is greeted by what is in
    /// service.
    private mutating func tell() {
        let (before, wasUpstreamNew) = (served, state.isUpstreamNew)
        state.take(store)
        state.upstreamHead = replica.upstreamHead
        state.upstreamTime = replica.upstreamTime
        state.heardAt = replica.heardAt
        state.counters = replica.counters
        state.connection = connection
        state.isUpstreamNew = replica.options.isUpstreamNew
        if replica.phase == .following, replica.verifiedSequence != nil {
            // It is followed, and the rows are right: what was wrong is over.
            state.problem = nil
            state.held = nil
            pauseMillis = options.pauseMillisMin
        }
        let after = served
        if before != after || servedDeployment != state.deployment || wasUpstreamNew != state.isUpstreamNew {
            servedDeployment = state.deployment
            changed(state)
        }
        follower.tell(state)
        tellHub()
    }

    /// What is put in service, but for the deployment.
    private var served: (ID16, [UInt8], Int, [UInt8]) {
        (state.history, state.hashKey, Int(state.catalog.version), state.catalog.digest)
    }

    private var connection: FollowerState.Connection {
        switch link {
        case .waiting: .waiting(state.problem ?? "not connected yet")
        case .connecting, .greeting: .connecting
        case .open:
            switch replica.phase {
            case .offline, .subscribing, .awaitingSnapshot: .subscribing
            case .receiving:
                replica.snapshotProgress.map { .snapshot(done: $0.done, of: $0.all) } ?? .subscribing
            case .following: .following
            }
        }
    }

    private mutating func tellHub() {
        let (entries, expected) = (replica.takeOnward(), follower.hub.replacementsExpected)
        // Also where the rows could not take over: then they are the same as before.
        guard let entries, expected == replacementsTold else {
            replacementsTold = expected
            verifiedTold = replica.verifiedSequence
            let identity = FeedIdentity(history: store.history, hashKey: store.hashKey)
            follower.hub.tell(
                .replaced(
                    expected, identity, store.point(.live), isDigestKnown: replica.verifiedSequence != nil,
                    store.catalog(.live)))
            return
        }
        for entry in entries { follower.hub.tell(.received(entry)) }
        if let sequence = replica.verifiedSequence, sequence != verifiedTold {
            verifiedTold = sequence
            follower.hub.tell(.verified(sequence))
        }
    }
}
