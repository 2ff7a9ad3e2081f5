package import ConsentKernel

/// A generator with a fixed number of connections, each of which sends its next requests, as many as the pipeline is deep
/// and in one write, when all of the last ones are answered. One thread; the same for every peer, so that what differs is
/// the peer.
package struct ClosedLoop {
    /// How to talk to a peer: requests of one shape, and where an answer ends.
    package struct Conversation {
        /// Sent once, answered once, before anything is measured. Empty: nothing is.
        package var greeting: [UInt8]
        /// Appends the next request to the buffer.
        package var nextRequest: (inout [UInt8]) -> Void
        /// The size of the answer at the front of the bytes; nil while it is not whole.
        package var answerSize: (UnsafeRawBufferPointer) -> Int?
        /// Whether an answer is one that was expected.
        package var isRight: (UnsafeRawBufferPointer) -> Bool

        package init(
            greeting: [UInt8], nextRequest: @escaping (inout [UInt8]) -> Void,
            answerSize: @escaping (UnsafeRawBufferPointer) -> Int?, isRight: @escaping (UnsafeRawBufferPointer) -> Bool
        ) {
            self.greeting = greeting
            self.nextRequest = nextRequest
            self.answerSize = answerSize
            self.isRight = isRight
        }
    }

    package struct Result: Sendable {
        package var answers = 0
        /// With those of the warm-up.
        package var answersInAll = 0
        /// With those of the warm-up.
        package var wrong = 0
        package var seconds = 0.0
        /// Sorted.
        package var latenciesMicros: [Float] = []

        package var perSecond: Double { Double(answers) / seconds }
        package func percentile(_ share: Double) -> Double {
            latenciesMicros.isEmpty
                ? 0
                : Double(latenciesMicros[min(latenciesMicros.count - 1, Int(Double(latenciesMicros.count) * share))])
        }
    }

    package enum Failure: Error, CustomStringConvertible {
        case disconnected
        case requestsNotTaken

        package var description: String {
            switch self {
            case .disconnected: "the peer closed a connection"
            case .requestsNotTaken: "a connection did not take a whole pipeline of requests at once; make it less deep"
            }
        }
    }

    private final class Connection {
        let socket: Int32
        var received: [UInt8] = []
        var sentAt: Int64 = 0
        var awaited = 0

        init(_ socket: Int32) { self.socket = socket }
        deinit { _ = FileDescriptor(owning: socket) }
    }

    /// Connects, warms up, then counts for a time.
    package static func run(
        _ address: SocketAddress, connections: Int, pipeline: Int = 1, seconds: Double, warmUp: Double,
        _ conversation: Conversation
    ) throws -> Result {
        let epoll = try Epoll(eventsPerWaitMax: connections)
        var open: [Connection] = []
        for number in 0..<connections {
            let socket = try Socket.connect(address)
            if !conversation.greeting.isEmpty { try greet(socket, conversation) }
            try Socket.setNonBlocking(socket)
            let raw = socket.release()
            open.append(Connection(raw))
            try epoll.add(raw, .readable, token: UInt64(number))
        }
        var requests: [UInt8] = []
        func send(_ connection: Connection, _ now: Int64) throws {
            requests.removeAll(keepingCapacity: true)
            for _ in 0..<pipeline { conversation.nextRequest(&requests) }
            connection.sentAt = now
            connection.awaited = pipeline
            let transfer = requests.withUnsafeBytes { Socket.send(connection.socket, $0) }
            guard transfer == .bytes(requests.count) else { throw Failure.requestsNotTaken }
        }
        let begin = Clock.monotonicNanos()
        for connection in open { try send(connection, begin) }
        let countFrom = begin + Int64(warmUp * 1e9)
        let end = countFrom + Int64(seconds * 1e9)
        var result = Result()
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        var now = begin
        while now < end {
            for position in 0..<(try epoll.wait(timeoutMillis: 1000)) {
                let connection = open[Int(epoll.event(position).token)]
                let transfer = buffer.withUnsafeMutableBytes { Socket.receive(connection.socket, into: $0) }
                guard case .bytes(let count) = transfer else {
                    if transfer == .wouldBlock { continue }
                    throw Failure.disconnected
                }
                now = Clock.monotonicNanos()
                func take(_ bytes: UnsafeRawBufferPointer) -> Int {
                    var used = 0
                    while let size = conversation.answerSize(UnsafeRawBufferPointer(rebasing: bytes[used...])) {
                        let answer = UnsafeRawBufferPointer(rebasing: bytes[used..<used + size])
                        used += size
                        connection.awaited -= 1
                        result.answersInAll += 1
                        // More answers than requests: one of them answers nothing.
                        if connection.awaited < 0 || !conversation.isRight(answer) { result.wrong += 1 }
                        guard now >= countFrom else { continue }
                        result.answers += 1
                        result.latenciesMicros.append(Float(now - connection.sentAt) / 1000)
                    }
                    return used
                }
                if connection.received.isEmpty {
                    let used = buffer.withUnsafeBytes { take(UnsafeRawBufferPointer(rebasing: $0[..<count])) }
                    if used < count { connection.received += buffer[used..<count] }
                } else {
                    connection.received += buffer[..<count]
                    let used = connection.received.withUnsafeBytes(take)
                    connection.received.removeFirst(used)
                }
                if connection.awaited <= 0 { try send(connection, now) }
            }
            now = Clock.monotonicNanos()
        }
        result.seconds = Double(now - countFrom) / 1e9
        result.latenciesMicros.sort()
        return result
    }

    private static func greet(_ socket: borrowing FileDescriptor, _ conversation: Conversation) throws {
        try socket.write(conversation.greeting)
        var received: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 4096)
        while received.withUnsafeBytes({ conversation.answerSize($0) }) == nil {
            let count = try buffer.withUnsafeMutableBytes { try socket.read(into: $0) }
            if count == 0 { throw Failure.disconnected }
            received += buffer[..<count]
        }
    }
}
