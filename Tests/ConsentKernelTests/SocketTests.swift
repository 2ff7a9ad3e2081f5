import ConsentKernel
import ConsentTestSupport
import Glibc
import Testing

struct SocketTests {
    private let folder = TemporaryFolder()

    /// A listener, one connection's two ends.
    private struct Connection: ~Copyable {
        let listener: FileDescriptor
        let client: FileDescriptor
        let server: FileDescriptor

        init(_ address: SocketAddress) throws(SystemError) {
            let listener = try Socket.listen(address)
            var target = address
            if case .tcp(let host, _) = address { target = .tcp(host: host, port: try Socket.port(of: listener)) }
            let client = try Socket.connect(target)
            let server = try Self.accept(listener.raw)
            self.listener = listener
            self.client = client
            self.server = server
        }

        private static func accept(_ listener: Int32) throws(SystemError) -> FileDescriptor {
            let epoll = try Epoll(eventsPerWaitMax: 1)
            try epoll.add(listener, .readable, token: 1)
            while true {
                if let socket = try Socket.accept(listener) { return socket }
                _ = try epoll.wait(timeoutMillis: 1_000)
            }
        }
    }

    private static func send(_ raw: Int32, _ bytes: [UInt8]) -> Transfer {
        bytes.withUnsafeBytes { Socket.send(raw, $0) }
    }

    private static func receive(_ raw: Int32, sizeMax: Int = 100) -> (Transfer, [UInt8]) {
        var bytes = [UInt8](repeating: 0, count: sizeMax)
        let transfer = bytes.withUnsafeMutableBytes { Socket.receive(raw, into: $0) }
        guard case .bytes(let count) = transfer else { return (transfer, []) }
        return (transfer, Array(bytes[..<count]))
    }

    private func addresses() -> [SocketAddress] {
        [.tcp(host: "127.0.0.1", port: 0), .tcp(host: "localhost", port: 0), .unix(path: folder.path("socket"))]
    }

    /// Whoever may not write to a Unix socket may not connect, and the process's mask says nothing about that.
    @Test(arguments: [0o600, 0o660] as [UInt32])
    func aUnixSocketHasTheModeThatWasAskedFor(_ mode: UInt32) throws {
        let path = folder.path("socket")
        let listener = try Socket.listen(.unix(path: path), mode: mode)
        var status = stat()
        #expect(stat(path, &status) == 0)
        #expect(status.st_mode & 0o777 == mode)
        withExtendedLifetime(listener.raw) {}
    }

    @Test func bytesGoBothWays() throws {
        for address in addresses() {
            let connection = try Connection(address)
            #expect(Self.receive(connection.server.raw).0 == .wouldBlock)
            #expect(Self.send(connection.client.raw, [1, 2, 3]) == .bytes(3))
            #expect(Self.receive(connection.server.raw, sizeMax: 2).1 == [1, 2])
            #expect(Self.receive(connection.server.raw).1 == [3])
            #expect(Self.send(connection.server.raw, [4]) == .bytes(1))
            #expect(Self.receive(connection.client.raw).1 == [4])
        }
    }

    @Test func aPeerThatEndsSendingIsReadToTheEndAndStillAnswered() throws {
        for address in addresses() {
            let connection = try Connection(address)
            #expect(Self.send(connection.client.raw, [1, 2, 3]) == .bytes(3))
            Socket.shutdownSending(connection.client.raw)
            #expect(Self.receive(connection.server.raw).1 == [1, 2, 3])
            #expect(Self.receive(connection.server.raw).0 == .closed)
            #expect(Self.send(connection.server.raw, [9]) == .bytes(1))
            #expect(Self.receive(connection.client.raw).1 == [9])
        }
    }

    /// And not the end of this process.
    @Test func sendingToAPeerThatIsGoneIsClosed() throws {
        let (client, server) = try Self.pair(folder.path("socket"))
        do { _ = FileDescriptor(owning: client) }
        let owner = FileDescriptor(owning: server)
        #expect(Self.send(owner.raw, [1]) == .closed)
        #expect(Self.receive(owner.raw).0 == .closed)
    }

    private static func pair(_ path: String) throws -> (client: Int32, server: Int32) {
        let listener = try Socket.listen(.unix(path: path))
        let client = try Socket.connect(.unix(path: path))
        guard let server = try Socket.accept(listener.raw) else { throw SystemError("accept", code: EAGAIN) }
        return (client.release(), server.release())
    }

    @Test func aPeerThatDoesNotReadBlocksTheSenderInTheEnd() throws {
        let connection = try Connection(.tcp(host: "127.0.0.1", port: 0))
        let chunk = [UInt8](repeating: 7, count: 1 << 20)
        var (sent, last) = (0, Transfer.closed)
        for _ in 0..<100 {
            last = Self.send(connection.server.raw, chunk)
            guard case .bytes(let count) = last else { break }
            sent += count
        }
        #expect(last == .wouldBlock && sent > 0)
    }

    @Test func aResetConnectionIsClosed() throws {
        let connection = try Connection(.tcp(host: "127.0.0.1", port: 0))
        // Closing with unread bytes, and without lingering, resets.
        var linger = Glibc.linger(l_onoff: 1, l_linger: 0)
        let raw = connection.client.raw
        setsockopt(raw, SOL_SOCKET, SO_LINGER, &linger, socklen_t(MemoryLayout<Glibc.linger>.size))
        var nothing = sockaddr(sa_family: sa_family_t(AF_UNSPEC), sa_data: (0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0))
        #expect(connect(raw, &nothing, socklen_t(MemoryLayout<sockaddr>.size)) == 0)
        #expect(Self.receive(connection.server.raw).0 == .closed)
        #expect(Self.send(connection.server.raw, [1]) == .closed)
    }

    @Test func whoeverListensTwiceOnOnePortSharesIt() throws {
        let first = try Socket.listen(.tcp(host: "127.0.0.1", port: 0))
        let port = try Socket.port(of: first)
        #expect(port != 0)
        let second = try Socket.listen(.tcp(host: "127.0.0.1", port: port))
        #expect(try Socket.port(of: second) == port)
    }

    @Test func nobodyWaitsToBeAccepted() throws {
        let listener = try Socket.listen(.tcp(host: "127.0.0.1", port: 0))
        let none = try Socket.accept(listener.raw) == nil
        #expect(none)
    }

    @Test func anAcceptedSocketDoesNotBlock() throws {
        let connection = try Connection(.unix(path: folder.path("socket")))
        #expect(fcntl(connection.server.raw, F_GETFL) & O_NONBLOCK != 0)
        #expect(fcntl(connection.client.raw, F_GETFL) & O_NONBLOCK == 0)
        try Socket.setNonBlocking(connection.client.raw)
        #expect(Self.receive(connection.client.raw).0 == .wouldBlock)
    }

    @Test func aConnectionsDescriptorsCloseWithIt() throws {
        var names: [String] = []
        do {
            let connection = try Connection(.unix(path: folder.path("socket")))
            names = [connection.listener.raw, connection.client.raw, connection.server.raw].map(kernelName)
            #expect(openDescriptors(names.contains) == 3)
        }
        #expect(openDescriptors(names.contains) == 0)
    }

    @Test func anAddressThatNobodyListensOnRefuses() throws {
        let address = SocketAddress.unix(path: folder.path("socket"))
        let missing = failure { () throws(SystemError) in _ = try Socket.connect(address) }
        #expect(missing?.code == ENOENT && missing?.description.contains("connect \(address): ") == true)
        do { _ = try Socket.listen(address) }
        #expect(failure { () throws(SystemError) in _ = try Socket.connect(address) }?.code == ECONNREFUSED)
    }

    @Test func aSocketFileThatIsThereIsNotTakenOver() throws {
        let path = folder.path("socket")
        _ = try Socket.listen(.unix(path: path))
        #expect(File.exists(path))
        #expect(failure { () throws(SystemError) in _ = try Socket.listen(.unix(path: path)) }?.code == EADDRINUSE)
    }

    @Test func addressesThatCannotBeAreRefusedAndLeaveNothingOpen() throws {
        let long = "/tmp/" + String(repeating: "x", count: 103)
        #expect(failure { () throws(SystemError) in _ = try Socket.listen(.unix(path: long)) }?.code == ENAMETOOLONG)
        for host in ["", "nowhere", "1.2.3", "::1", "127.0.0.1 "] {
            let address = SocketAddress.tcp(host: host, port: 0)
            #expect(failure { () throws(SystemError) in _ = try Socket.listen(address) }?.code == EINVAL, "\(host)")
        }
    }

    @Test func anAddressKnowsWhetherItIsLocal() {
        #expect(SocketAddress.tcp(host: "127.0.0.1", port: 1).isLocal && SocketAddress.unix(path: "/x").isLocal)
        #expect(SocketAddress.tcp(host: "localhost", port: 1).isLocal)
        #expect(!SocketAddress.tcp(host: "0.0.0.0", port: 1).isLocal)
        #expect("\(SocketAddress.tcp(host: "10.0.0.1", port: 80))" == "10.0.0.1:80")
        #expect("\(SocketAddress.unix(path: "/run/x"))" == "unix:/run/x")
    }
}
