import CKernel
import Glibc

/// Where a server listens or a client connects.
package enum SocketAddress: Sendable, Equatable, CustomStringConvertible {
    /// A numeric IPv4 address and a port; port 0 lets the system choose.
    case tcp(host: String, port: UInt16)
    /// The same with TLS on it.
    case tls(host: String, port: UInt16)
    case unix(path: String)

    package var description: String {
        switch self {
        case .tcp(let host, let port): "\(host):\(port)"
        case .tls(let host, let port): "tls:\(host):\(port)"
        case .unix(let path): "unix:\(path)"
        }
    }

    /// Whether only processes of this machine can reach it.
    package var isLocal: Bool {
        switch self {
        case .tcp(let host, _), .tls(let host, _): host.hasPrefix("127.") || host == "localhost"
        case .unix: true
        }
    }

    package var isTLS: Bool {
        if case .tls = self { true } else { false }
    }

    fileprivate var isUnix: Bool {
        if case .unix = self { true } else { false }
    }

    /// The same with the port that the system chose.
    package func withPort(_ chosen: UInt16) -> SocketAddress {
        switch self {
        case .tcp(let host, _): .tcp(host: host, port: chosen)
        case .tls(let host, _): .tls(host: host, port: chosen)
        case .unix: self
        }
    }
}

/// Stream sockets. All are non-blocking unless said otherwise, and closed on exec.
package enum Socket {
    /// Listens; on TCP several sockets may share the address (`SO_REUSEPORT`) and the kernel spreads connections.
    ///
    /// - Parameter mode: of a Unix socket, whatever the process's mask: who may write to it may connect.
    package static func listen(
        _ address: SocketAddress, backlog: Int32 = 1024, mode: UInt32 = 0o600
    ) throws(SystemError) -> FileDescriptor {
        let listener = try make(address, flags: SOCK_NONBLOCK.rawValue)
        if !address.isUnix {
            try setOption(listener, SOL_SOCKET, SO_REUSEADDR, 1)
            try setOption(listener, SOL_SOCKET, SO_REUSEPORT, 1)
            if address.isLocal { setSimpleCongestionControl(listener.raw) }
        }
        try unsafe withAddress(address) { pointer, size throws(SystemError) in
            try retrying("bind", "\(address)") { unsafe Int(ckernel_bind(listener.raw, pointer, size)) }
        }
        // Before it listens nobody can connect, so the mode that it was bound with never counts.
        if case .unix(let path) = address { try retrying("chmod", path) { unsafe Int(chmod(path, mode)) } }
        try retrying("listen", "\(address)") { Int(Glibc.listen(listener.raw, backlog)) }
        return listener
    }

    /// Whether a TCP address is free. Sockets that share an address also share it with those of another process, which the
    /// kernel would then hand half of the connections: so ask before.
    ///
    /// - Throws: ``SystemError`` `EADDRINUSE` if something listens there.
    package static func requireFree(_ address: SocketAddress) throws(SystemError) {
        let probe = try make(address, flags: SOCK_NONBLOCK.rawValue)
        // What lingers of closed connections is no listener.
        try setOption(probe, SOL_SOCKET, SO_REUSEADDR, 1)
        try unsafe withAddress(address) { pointer, size throws(SystemError) in
            try retrying("bind", "\(address)") { unsafe Int(ckernel_bind(probe.raw, pointer, size)) }
        }
    }

    /// Accepts one connection; nil if none waits or it is gone again.
    package static func accept(_ listener: Int32) throws(SystemError) -> FileDescriptor? {
        let raw = ckernel_accept(listener)
        if raw >= 0 { return FileDescriptor(owning: raw) }
        switch errno {
        case EAGAIN, EINTR, ECONNABORTED, EPROTO: return nil
        default: throw SystemError("accept")
        }
    }

    /// Connects, blocking until done, and leaves the socket blocking.
    package static func connect(_ address: SocketAddress) throws(SystemError) -> FileDescriptor {
        let socket = try make(address, flags: 0)
        if !address.isUnix, address.isLocal { setSimpleCongestionControl(socket.raw) }
        try unsafe withAddress(address) { pointer, size throws(SystemError) in
            try retrying("connect", "\(address)") { unsafe Int(ckernel_connect(socket.raw, pointer, size)) }
        }
        if !address.isUnix { setNoDelay(socket.raw) }
        return socket
    }

    /// Begins to connect, and leaves the socket non-blocking: when it becomes writable, ``failure(of:)`` says how it went.
    package static func beginConnect(_ address: SocketAddress) throws(SystemError) -> FileDescriptor {
        let socket = try make(address, flags: SOCK_NONBLOCK.rawValue)
        if !address.isUnix, address.isLocal { setSimpleCongestionControl(socket.raw) }
        try unsafe withAddress(address) { pointer, size throws(SystemError) in
            if unsafe ckernel_connect(socket.raw, pointer, size) != 0, errno != EINPROGRESS {
                throw SystemError("connect", "\(address)")
            }
        }
        if !address.isUnix { setNoDelay(socket.raw) }
        return socket
    }

    /// Why a connection could not be made, nil if it was.
    package static func failure(of raw: Int32, connectingTo address: SocketAddress) -> SystemError? {
        var code: Int32 = 0
        var size = socklen_t(4)
        guard unsafe getsockopt(raw, SOL_SOCKET, SO_ERROR, &code, &size) == 0 else {
            return SystemError("connect", "\(address)")
        }
        return code == 0 ? nil : SystemError("connect", "\(address)", code: code)
    }

    package static func setNonBlocking(_ raw: Int32) throws(SystemError) {
        try retrying("fcntl") { Int(fcntl(raw, F_SETFL, O_NONBLOCK)) }
    }

    /// Sends small answers at once. Fails harmlessly on sockets that are not TCP.
    package static func setNoDelay(_ raw: Int32) {
        var one: Int32 = 1
        _ = unsafe setsockopt(raw, Int32(IPPROTO_TCP), TCP_NODELAY, &one, 4)
    }

    /// Nothing congests between processes of one machine, so a model of the path and pacing by it, as BBR has them, only
    /// cost time: the plainest control, which every Linux has. Accepted connections inherit it; harmless where it fails.
    private static func setSimpleCongestionControl(_ raw: Int32) {
        _ = unsafe setsockopt(raw, Int32(IPPROTO_TCP), TCP_CONGESTION, "reno", 4)
    }

    /// The port that the system chose.
    package static func port(of socket: borrowing FileDescriptor) throws(SystemError) -> UInt16 {
        UInt16(try retrying("getsockname") { Int(ckernel_port(socket.raw)) })
    }

    /// Receives what is there, at most the buffer's size.
    package static func receive(_ raw: Int32, into buffer: UnsafeMutableRawBufferPointer) -> Transfer {
        while true {
            let count = unsafe ckernel_receive(raw, buffer.baseAddress, buffer.count)
            if count > 0 { return .bytes(count) }
            if count == 0 { return .closed }
            switch errno {
            case EINTR: continue
            case EAGAIN: return .wouldBlock
            default: return .closed
            }
        }
    }

    /// Sends what the system takes now.
    package static func send(_ raw: Int32, _ bytes: UnsafeRawBufferPointer) -> Transfer {
        while true {
            let count = unsafe ckernel_send(raw, bytes.baseAddress, bytes.count)
            if count >= 0 { return .bytes(count) }
            switch errno {
            case EINTR: continue
            case EAGAIN: return .wouldBlock
            default: return .closed
            }
        }
    }

    /// Ends sending, so that the peer reads to the end before it sees the close.
    package static func shutdownSending(_ raw: Int32) { _ = shutdown(raw, Int32(SHUT_WR)) }

    private static func make(_ address: SocketAddress, flags: UInt32) throws(SystemError) -> FileDescriptor {
        let family =
            switch address {
            case .tcp, .tls: AF_INET
            case .unix: AF_UNIX
            }
        let type = Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue | flags)
        return FileDescriptor(owning: Int32(try retrying("socket") { Int(socket(family, type, 0)) }))
    }

    private static func setOption(
        _ socket: borrowing FileDescriptor, _ level: Int32, _ option: Int32, _ value: Int32
    ) throws(SystemError) {
        var value = value
        try retrying("setsockopt") { unsafe Int(setsockopt(socket.raw, level, option, &value, 4)) }
    }

    private static func withAddress(
        _ address: SocketAddress, _ body: (UnsafePointer<sockaddr>, socklen_t) throws(SystemError) -> Void
    ) throws(SystemError) {
        switch address {
        case .tcp(let host, let port), .tls(let host, let port):
            var internet = sockaddr_in()
            internet.sin_family = sa_family_t(AF_INET)
            internet.sin_port = port.bigEndian
            guard unsafe inet_pton(AF_INET, host == "localhost" ? "127.0.0.1" : host, &internet.sin_addr) == 1 else {
                throw SystemError("parse address", host, code: EINVAL)
            }
            try unsafe withUnsafePointer(to: &internet) { pointer throws(SystemError) in
                try unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { pointer throws(SystemError) in
                    try unsafe body(pointer, socklen_t(MemoryLayout<sockaddr_in>.size))
                }
            }
        case .unix(let path):
            var local = sockaddr_un()
            local.sun_family = sa_family_t(AF_UNIX)
            let capacity = MemoryLayout.size(ofValue: local.sun_path)
            guard path.utf8.count < capacity else { throw SystemError("socket path", path, code: ENAMETOOLONG) }
            unsafe withUnsafeMutableBytes(of: &local.sun_path) { unsafe $0.copyBytes(from: Array(path.utf8)) }
            try unsafe withUnsafePointer(to: &local) { pointer throws(SystemError) in
                try unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { pointer throws(SystemError) in
                    try unsafe body(pointer, socklen_t(MemoryLayout<sockaddr_un>.size))
                }
            }
        }
    }
}
