import ConsentKernel
import ConsentTLS
import Synchronization

/// What the threads of a run share.
final class LoadShared: Sendable {
    /// Threads whose connections are made and greeted.
    let ready = Atomic<Int>(0)
    /// When all begin; zero until then.
    let begin = Atomic<Int64>(0)
    let mustStop = Atomic<Bool>(false)
    let finished = Atomic<Int>(0)
    // What is shown while it runs.
    let answers = Atomic<Int>(0)
    let wrong = Atomic<Int>(0)
    let p99Nanos = Atomic<Int64>(0)
}

/// What one thread found.
struct ThreadResult: Sendable {
    var answers = 0
    var units = 0
    var answersInAll = 0
    var wrong = 0
    var refused = 0
    var unanswered = 0
    var unsent = 0
    var firstWrong: String?
    var latencies: [Latencies]
    /// By part of the run, from the beginning of the measured part.
    var parts: [CoarseTimes] = []
    var lateness = CoarseTimes()
    var processorShare = 0.0
    var busyShare = 0.0
    /// When the last of the measured answers came.
    var lastAnswerAt: Int64 = 0
    var sendingEndedAt: Int64 = 0
}

/// One thread of the generator: `send what is due → wait → receive → judge`, over and over.
struct LoadThread<Talk: Conversation>: ~Copyable {
    private let plan: LoadPlan
    private let number: Int
    private let shared: LoadShared
    private var talk: Talk
    private let epoll: Epoll
    private var connections: [Connection]
    private var requests: RequestBytes
    private let received: ReceiveBuffer
    private var result: ThreadResult
    private let units: [Int]
    private var timetable: Timetable?
    /// The connection that the next request of the timetable is given to.
    private var turn = 0
    /// Since when, by the timetable, no connection has had room; nil while one has.
    private var crowdedSince: Int64?
    private var unansweredInAll = 0
    private var requestsLeft: Int
    // Nanoseconds of the monotonic clock.
    private var measureFrom: Int64 = 0
    private var sendUntil: Int64 = .max
    private var partNanos: Int64 = 0
    private var idleNanos: Int64 = 0
    private var lastWorkAt: Int64 = 0
    private var shownPart = -1

    private struct Pending {
        var dueAt: Int64 = 0
        var sentAt: Int64 = 0
        var asked = Asked(operation: 0, value: 0)
        var isOpen = false
    }

    private struct ReceiveBuffer: ~Copyable {
        let bytes = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 18, alignment: 64)
        deinit { bytes.deallocate() }
    }

    private struct Connection {
        let socket: StreamSocket
        /// By the lowest bits of a request's number.
        var pending: [Pending]
        /// Of the next request. Small ones are the greetings'.
        var nextNumber: UInt32 = 16
        /// Of the oldest request that may be unanswered.
        var oldestNumber: UInt32 = 16
        var unanswered = 0
        /// Bytes of an answer that is not whole.
        var received: [UInt8] = []
        /// Bytes that the system did not take yet.
        var unsent: [UInt8] = []
        var isSent: Bool { unsent.isEmpty && !socket.hasUnsent }
        var mask: UInt32 { UInt32(pending.count - 1) }
    }

    /// Connects and greets.
    init(_ plan: LoadPlan, number: Int, shared: LoadShared, talk: Talk) throws {
        let count = plan.connections / plan.threads + (number < plan.connections % plan.threads ? 1 : 0)
        let epoll = try Epoll(eventsPerWaitMax: count)
        let opened = try Self.connect(plan, talk, count: count)
        for (position, connection) in opened.enumerated() {
            try epoll.add(connection.socket.raw, .readable, token: UInt64(position))
        }
        self.epoll = epoll
        connections = opened
        self.plan = plan
        self.number = number
        self.shared = shared
        self.talk = talk
        requests = RequestBytes()
        received = ReceiveBuffer()
        units = talk.operations.map(\.units)
        result = ThreadResult(latencies: talk.operations.map { _ in Latencies() })
        requestsLeft = .max
        if case .requests(let all) = plan.extent {
            requestsLeft = all / plan.threads + (number < all % plan.threads ? 1 : 0)
        }
    }

    private static func connect(_ plan: LoadPlan, _ talk: Talk, count: Int) throws -> [Connection] {
        // Answers may come in another order than requests: room for those that wait for one that takes long.
        let wanted = plan.pace == .closed ? plan.pipeline : plan.pipeline * 16
        let room = 1 << (Int.bitWidth - (wanted - 1).leadingZeroBitCount)
        return try (0..<count).map { _ in
            let session = try plan.tls?.session()
            let socket = StreamSocket(try Socket.connect(plan.address), session)
            try greet(socket, talk, plan.address)
            try Socket.setNonBlocking(socket.raw)
            return Connection(socket: socket, pending: Array(repeating: Pending(), count: room))
        }
    }

    private static func greet(_ socket: StreamSocket, _ talk: Talk, _ address: SocketAddress) throws {
        var buffer = [UInt8](repeating: 0, count: max(4096, StreamSocket.roomMin))
        for greeting in talk.greetings {
            // The socket still blocks, and a greeting is small.
            guard greeting.withUnsafeBytes({ socket.send($0) }) == .bytes(greeting.count) else {
                throw end(of: socket, address)
            }
            var answer: [UInt8] = []
            while true {
                if let size = answer.withUnsafeBytes({ talk.answerSize($0) }) {
                    let isWelcome = answer.withUnsafeBytes {
                        size > 0 && talk.isWelcome(UnsafeRawBufferPointer(rebasing: $0[..<size]))
                    }
                    guard isWelcome else { throw LoadFailure.notUnderstood(address) }
                    break
                }
                switch buffer.withUnsafeMutableBytes({ socket.receive(into: $0) }) {
                case .bytes(let count): answer += buffer[..<count]
                case .wouldBlock: continue
                case .closed: throw end(of: socket, address)
                }
            }
        }
    }

    private static func end(of socket: StreamSocket, _ address: SocketAddress) -> LoadFailure {
        socket.failure.map { .notTrusted(address, $0) } ?? .disconnected(address)
    }

    /// Runs to the end of the plan.
    consuming func run() throws -> ThreadResult {
        shared.ready.add(1, ordering: .releasing)
        while shared.begin.load(ordering: .acquiring) == 0 {
            if shared.mustStop.load(ordering: .relaxed) { return result }
            Wakeup.pause(millis: 1)
        }
        let begin = shared.begin.load(ordering: .acquiring)
        setTimes(begin)
        while Clock.monotonicNanos() < begin {}
        try send()
        return result
    }

    private mutating func setTimes(_ begin: Int64) {
        measureFrom = begin + Int64(plan.warmUpSeconds * 1e9)
        partNanos = LoadRun.partNanos(plan)
        if case .seconds(let seconds) = plan.extent { sendUntil = measureFrom + Int64(seconds * 1e9) }
        if case .open(let rate, let isPoisson) = plan.pace {
            timetable = Timetable(
                perSecond: rate, isPoisson: isPoisson, thread: number, threads: plan.threads, begin: begin,
                seed: plan.seed &+ UInt64(number) &* 7919 &+ 1)
        }
    }

    private mutating func send() throws {
        var now = Clock.monotonicNanos()
        var measured: (at: Int64, processor: Int64, idle: Int64)?
        if timetable == nil { for position in connections.indices { try sendPipeline(position, now) } }
        while now < sendUntil, requestsLeft > 0 || timetable == nil && unansweredInAll > 0 {
            if measured == nil, now >= measureFrom { measured = (now, Clock.threadProcessorNanos(), idleNanos) }
            if timetable != nil { try sendDue(now) }
            try waitAndReceive(now, goesOn: true)
            now = Clock.monotonicNanos()
            if shared.mustStop.load(ordering: .relaxed) { break }
        }
        if let measured, now > measured.at {
            let elapsed = Double(now - measured.at)
            result.processorShare = Double(Clock.threadProcessorNanos() - measured.processor) / elapsed
            result.busyShare = 1 - Double(idleNanos - measured.idle) / elapsed
        }
        result.sendingEndedAt = now
        countUnsent(now)
        let drainUntil = now + LoadPlan.drainNanos
        while unansweredInAll > 0, now < drainUntil, !shared.mustStop.load(ordering: .relaxed) {
            try waitAndReceive(now, goesOn: false)
            now = Clock.monotonicNanos()
        }
        countUnanswered(now)
    }

    // MARK: Sending

    private mutating func sendPipeline(_ position: Int, _ now: Int64) throws {
        requests.clear()
        let count = min(plan.pipeline, requestsLeft)
        for _ in 0..<count { append(position, dueAt: now, now) }
        try passOn(position)
    }

    /// Sends what is due by the timetable, as far as connections have room.
    private mutating func sendDue(_ now: Int64) throws {
        while timetable!.next <= now, timetable!.next < sendUntil, requestsLeft > 0 {
            guard let position = connectionWithRoom() else {
                crowdedSince = crowdedSince ?? timetable!.next
                return
            }
            requests.clear()
            let dueAt = timetable!.next
            append(position, dueAt: dueAt, now)
            // What waited for room was not late through any fault of the generator.
            if let since = crowdedSince, dueAt >= since {
                if timetable!.next >= now { crowdedSince = nil }
            } else {
                result.lateness.record(now - dueAt)
            }
            timetable!.advance()
            try passOn(position)
        }
        if timetable!.next > now { crowdedSince = nil }
    }

    private mutating func connectionWithRoom() -> Int? {
        for _ in connections.indices {
            let position = turn
            turn = turn + 1 == connections.count ? 0 : turn + 1
            let slot = Int(connections[position].nextNumber & connections[position].mask)
            if connections[position].unanswered < plan.pipeline, !connections[position].pending[slot].isOpen {
                return position
            }
        }
        return nil
    }

    private mutating func append(_ position: Int, dueAt: Int64, _ now: Int64) {
        let number = connections[position].nextNumber
        let asked = talk.appendRequest(number, to: &requests)
        connections[position].nextNumber &+= 1
        connections[position].pending[Int(number & connections[position].mask)] = Pending(
            dueAt: dueAt, sentAt: now, asked: asked, isOpen: true)
        connections[position].unanswered += 1
        unansweredInAll += 1
        if dueAt >= measureFrom, requestsLeft != .max { requestsLeft -= 1 }
    }

    private mutating func passOn(_ position: Int) throws {
        guard connections[position].unsent.isEmpty else {
            connections[position].unsent += requests.bytes
            return
        }
        switch connections[position].socket.send(requests.bytes) {
        case .bytes(let count):
            if count == requests.count, connections[position].isSent { return }
            try keep(position, UnsafeRawBufferPointer(rebasing: requests.bytes[count...]))
        case .wouldBlock: try keep(position, requests.bytes)
        case .closed: throw LoadFailure.disconnected(plan.address)
        }
    }

    private mutating func keep(_ position: Int, _ bytes: UnsafeRawBufferPointer) throws {
        connections[position].unsent += bytes
        try epoll.change(connections[position].socket.raw, [.readable, .writable], token: UInt64(position))
    }

    private mutating func sendKept(_ position: Int) throws {
        let transfer = connections[position].unsent.withUnsafeBytes { connections[position].socket.send($0) }
        if case .bytes(let count) = transfer { connections[position].unsent.removeFirst(count) }
        if transfer == .closed { throw LoadFailure.disconnected(plan.address) }
        if connections[position].isSent {
            try epoll.change(connections[position].socket.raw, .readable, token: UInt64(position))
        }
    }

    // MARK: Receiving

    private mutating func waitAndReceive(_ before: Int64, goesOn: Bool) throws {
        let timeout = timeoutNanos(before, goesOn: goesOn)
        let count = try epoll.wait(timeoutNanos: timeout)
        guard count > 0 else {
            idleNanos += Clock.monotonicNanos() - before
            return
        }
        var now = Clock.monotonicNanos()
        if timeout > 0 { idleNanos += now - before }
        lastWorkAt = now
        for position in 0..<count {
            let event = epoll.event(position)
            let connection = Int(event.token)
            if event.isWritable { try sendKept(connection) }
            guard event.isReadable else { continue }
            now = try receive(connection)
            if goesOn, timetable == nil, connections[connection].unanswered == 0, requestsLeft > 0 {
                try sendPipeline(connection, now)
            }
        }
    }

    private func timeoutNanos(_ now: Int64, goesOn: Bool) -> Int64 {
        guard goesOn else { return 100_000_000 }
        if let timetable {
            let isCrowded = timetable.next <= now
            let next = isCrowded ? sendUntil : min(timetable.next, sendUntil)
            return min(max(0, next - now - LoadPlan.wakeupNanos), 100_000_000)
        }
        if now - lastWorkAt < Int64(plan.spinMicros) * 1000 { return 0 }
        return min(max(0, sendUntil - now), 100_000_000)
    }

    /// Reads what is there, and judges every whole answer.
    ///
    /// - Returns: when it was read.
    private mutating func receive(_ position: Int) throws -> Int64 {
        let transfer = connections[position].socket.receive(into: received.bytes)
        let now = Clock.monotonicNanos()
        guard case .bytes(let count) = transfer else {
            if transfer == .wouldBlock { return now }
            throw LoadFailure.disconnected(plan.address)
        }
        let fresh = UnsafeRawBufferPointer(rebasing: received.bytes[..<count])
        let part = partNumber(now)
        if connections[position].received.isEmpty {
            let used = try take(position, fresh, now, part)
            if used < count { connections[position].received += fresh[used...] }
        } else {
            // Taken out so that the answers can be looked at while the connection changes.
            var bytes = connections[position].received
            connections[position].received = []
            bytes += fresh
            let used = try bytes.withUnsafeBytes { try take(position, $0, now, part) }
            bytes.removeFirst(used)
            connections[position].received = bytes
        }
        return now
    }

    private mutating func take(
        _ position: Int, _ bytes: UnsafeRawBufferPointer, _ now: Int64, _ part: Int?
    ) throws -> Int {
        var used = 0
        while let size = talk.answerSize(UnsafeRawBufferPointer(rebasing: bytes[used...])) {
            guard size > 0 else { throw LoadFailure.notUnderstood(plan.address) }
            settle(position, UnsafeRawBufferPointer(rebasing: bytes[used..<used + size]), now, part)
            used += size
        }
        return used
    }

    private mutating func settle(_ position: Int, _ answer: UnsafeRawBufferPointer, _ now: Int64, _ part: Int?) {
        let number: UInt32
        switch talk.order(of: answer) {
        case .none: return
        case .next: number = connections[position].oldestNumber
        case .request(let given): number = given
        }
        let slot = Int(number & connections[position].mask)
        let pending = connections[position].pending[slot]
        result.answersInAll += 1
        // An answer to nothing that was asked.
        guard pending.isOpen, connections[position].nextNumber &- number <= UInt32(connections[position].pending.count)
        else {
            countWrong("an answer that belongs to no request")
            return
        }
        connections[position].pending[slot].isOpen = false
        connections[position].oldestNumber &+= number == connections[position].oldestNumber ? 1 : 0
        connections[position].unanswered -= 1
        unansweredInAll -= 1
        switch talk.judge(answer, pending.asked) {
        case .right: break
        case .refused: result.refused += 1
        case .wrong:
            let description = talk.describe(pending.asked)
            countWrong("\(description); the answer was \(Self.hexadecimal(answer))")
        }
        let operation = Int(pending.asked.operation)
        if let part {
            result.answers += 1
            result.units += units[operation]
            result.lastAnswerAt = now
            result.parts[part].record(now - pending.dueAt)
        }
        if pending.dueAt >= measureFrom {
            result.latencies[operation].record(
                responseNanos: now - pending.dueAt, serviceNanos: now - pending.sentAt)
        }
    }

    private mutating func countWrong(_ what: @autoclosure () -> String) {
        if result.firstWrong == nil { result.firstWrong = what() }
        result.wrong += 1
        shared.wrong.add(1, ordering: .relaxed)
    }

    private static func hexadecimal(_ bytes: UnsafeRawBufferPointer) -> String {
        let digits = bytes.prefix(48).map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }
        return digits.joined() + (bytes.count > 48 ? "… (\(bytes.count) bytes)" : "")
    }

    /// The part of the run that a moment belongs to; nil if it is not measured.
    private mutating func partNumber(_ now: Int64) -> Int? {
        guard now >= measureFrom, now < sendUntil else { return nil }
        let part = Int((now - measureFrom) / partNanos)
        while result.parts.count <= part { result.parts.append(CoarseTimes()) }
        if part != shownPart {
            if shownPart >= 0 {
                shared.answers.add(Int(result.parts[shownPart].total), ordering: .relaxed)
                let p99 = Int64(result.parts[shownPart].nanos(atShare: 0.99))
                shared.p99Nanos.store(p99, ordering: .relaxed)
            }
            shownPart = part
        }
        return part
    }

    // MARK: The end

    /// What was due and not sent would have been answered no sooner than now.
    private mutating func countUnsent(_ now: Int64) {
        guard timetable != nil else { return }
        let end = min(now, sendUntil)
        while timetable!.next < end, requestsLeft > 0 {
            if timetable!.next >= measureFrom {
                result.unsent += 1
                result.latencies[0].recordUnanswered(atLeastNanos: now - timetable!.next)
            }
            if requestsLeft != .max { requestsLeft -= 1 }
            timetable!.advance()
        }
    }

    private mutating func countUnanswered(_ now: Int64) {
        for connection in connections {
            for pending in connection.pending where pending.isOpen {
                result.unanswered += 1
                if pending.dueAt >= measureFrom {
                    result.latencies[Int(pending.asked.operation)]
                        .recordUnanswered(atLeastNanos: now - pending.dueAt)
                }
            }
        }
    }
}
