import ConsentKernel
import ConsentWire
import Glibc
import Synchronization

@testable import ConsentTLS

/// That the servers of tests show.
let testCertificate = SelfSigned(names: ["IP:127.0.0.1"])

/// A client that blocks, over a real socket. It knows no more than bytes and frames.
final class SocketClient {
    struct TookTooLong: Error {}

    private var socket: StreamSocket?
    private var received: [UInt8] = []
    private let raw: Int32
    private let secondsMax: Int
    /// Some tests send and receive on two threads; of TLS, both change one state.
    private let turn = Mutex(())
    private let room = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 17, alignment: 8)

    /// Connects, and waits for every answer at most so long.
    init(_ address: SocketAddress, secondsMax: Int = 60) throws {
        let peer = address.isTLS ? TLSPeer(name: "127.0.0.1", trusting: testCertificate) : nil
        let socket = StreamSocket(try Socket.connect(address), try peer?.session())
        try Socket.setNonBlocking(socket.raw)
        raw = socket.raw
        self.secondsMax = secondsMax
        self.socket = socket
        if !socket.isEstablished {
            try send([])
            guard try receiveMore(untilEstablished: true) == 0, socket.isEstablished else { throw TookTooLong() }
        }
    }

    deinit { room.deallocate() }

    /// Connects and shakes hands.
    static func greeted(_ address: SocketAddress) throws -> SocketClient {
        let client = try SocketClient(address)
        try client.send(Bytes.hello())
        guard try client.receive()?.kind == .welcome else { throw TookTooLong() }
        return client
    }

    /// - Parameter isLast: whether the end of TLS follows in the same write, though the connection stays open.
    func send(_ bytes: [UInt8], isLast: Bool = false) throws {
        guard let socket else { throw TookTooLong() }
        if isLast, let session = socket.session {
            bytes.withUnsafeBytes { session.seal($0) }
            session.close()
            return try send([])
        }
        var sent = 0
        while sent < bytes.count || turn.withLock({ _ in socket.hasUnsent }) {
            let transfer = bytes.withUnsafeBytes { rest in
                turn.withLock { _ in socket.send(UnsafeRawBufferPointer(rebasing: rest[sent...])) }
            }
            switch transfer {
            case .bytes(let count): sent += count
            case .wouldBlock: try wait(POLLOUT)
            case .closed: throw TookTooLong()
            }
        }
    }

    private func wait(_ events: Int32) throws {
        var interest = pollfd(fd: raw, events: Int16(events), revents: 0)
        guard poll(&interest, 1, Int32(secondsMax * 1000)) > 0 else { throw TookTooLong() }
    }

    /// Sends what the system takes without waiting; how much that was.
    func sendWithoutWaiting(_ bytes: ArraySlice<UInt8>) -> Int {
        if case .bytes(let count)? = bytes.withUnsafeBytes({ socket?.send($0) }) { count } else { -1 }
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

    private func receiveMore(untilEstablished: Bool = false) throws -> Int {
        guard let socket else { return 0 }
        while true {
            switch turn.withLock({ _ in socket.receive(into: room) }) {
            case .bytes(let count):
                received += room[..<count]
                return count
            // A connection that was reset is closed, too.
            case .closed:
                if let failure = socket.failure { throw failure }
                return 0
            case .wouldBlock:
                if untilEstablished, socket.isEstablished { return 0 }
                try wait(turn.withLock { _ in socket.hasUnsent } ? POLLIN | POLLOUT : POLLIN)
                turn.withLock { _ in
                    if socket.hasUnsent { _ = socket.send(UnsafeRawBufferPointer(start: nil, count: 0)) }
                }
            }
        }
    }

    func request(_ bytes: [UInt8]) throws -> Answer {
        try send(bytes)
        return try receive(1)[0]
    }

    /// Closes the sending half.
    func finish() { socket?.shutdownSending() }

    func close() { socket = nil }

    /// Closes so that the peer meets a reset.
    func abort() {
        var linger = Glibc.linger(l_onoff: 1, l_linger: 0)
        setsockopt(raw, SOL_SOCKET, SO_LINGER, &linger, socklen_t(MemoryLayout<Glibc.linger>.size))
        close()
    }
}
