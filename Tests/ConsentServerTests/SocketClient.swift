import ConsentKernel
import ConsentWire
import Glibc

/// A client that blocks, over a real socket. It knows no more than bytes and frames.
final class SocketClient {
    struct TookTooLong: Error {}

    private var socket: FileDescriptor?
    private var received: [UInt8] = []
    private let raw: Int32

    /// Connects, and waits for every answer at most so long.
    init(_ address: SocketAddress, secondsMax: Int = 20) throws {
        let socket = try Socket.connect(address)
        raw = socket.raw
        var limit = timeval(tv_sec: secondsMax, tv_usec: 0)
        setsockopt(raw, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
        setsockopt(raw, SOL_SOCKET, SO_SNDTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
        self.socket = consume socket
    }

    /// Connects and shakes hands.
    static func greeted(_ address: SocketAddress) throws -> SocketClient {
        let client = try SocketClient(address)
        try client.send(Bytes.hello())
        guard try client.receive()?.kind == .welcome else { throw TookTooLong() }
        return client
    }

    func send(_ bytes: [UInt8]) throws {
        var sent = 0
        while sent < bytes.count {
            let transfer = bytes.withUnsafeBytes {
                Socket.send(raw, UnsafeRawBufferPointer(rebasing: $0[sent...]))
            }
            guard case .bytes(let count) = transfer else { throw TookTooLong() }
            sent += count
        }
    }

    /// Sends what the system takes without waiting; how much that was.
    func sendWithoutWaiting(_ bytes: ArraySlice<UInt8>) -> Int {
        bytes.withUnsafeBytes { Glibc.send(raw, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL | MSG_DONTWAIT)) }
    }

    /// The next frame; nil at the end of the stream.
    func receive() throws -> Answer? {
        while true {
            if let answer = takeFrame() { return answer }
            let count = try receiveMore()
            if count == 0 { return nil }
        }
    }

    func receive(_ count: Int) throws -> [Answer] {
        try (0..<count).map { _ in
            guard let answer = try receive() else { throw TookTooLong() }
            return answer
        }
    }

    /// Everything until the server closes.
    func receiveToTheEnd() throws -> [Answer] {
        while try receiveMore() > 0 {}
        defer { received = [] }
        return Answer.all(in: received)
    }

    private func takeFrame() -> Answer? {
        guard received.count >= 4 else { return nil }
        let size = received[..<4].reversed().reduce(0) { $0 << 8 | Int($1) } + 4
        guard received.count >= size else { return nil }
        defer { received.removeFirst(size) }
        return Answer.all(in: Array(received[..<size]))[0]
    }

    private func receiveMore() throws -> Int {
        var chunk = [UInt8](repeating: 0, count: 1 << 17)
        let count = chunk.withUnsafeMutableBytes { recv(raw, $0.baseAddress, $0.count, 0) }
        if count < 0, errno == EAGAIN { throw TookTooLong() }
        // A connection that was reset is closed, too.
        guard count > 0 else { return 0 }
        received += chunk[..<count]
        return count
    }

    func request(_ bytes: [UInt8]) throws -> Answer {
        try send(bytes)
        return try receive(1)[0]
    }

    /// Closes the sending half.
    func finish() { Socket.shutdownSending(raw) }

    func close() { socket = nil }

    /// Closes so that the peer meets a reset.
    func abort() {
        var linger = Glibc.linger(l_onoff: 1, l_linger: 0)
        setsockopt(raw, SOL_SOCKET, SO_LINGER, &linger, socklen_t(MemoryLayout<Glibc.linger>.size))
        close()
    }
}
