/// Where a server listens.
public enum Endpoint: Sendable, Hashable, CustomStringConvertible {
    case tcp(host: String, port: Int)
    /// TLS over TCP: the server must prove that it is this host.
    case tls(host: String, port: Int)
    case unix(path: String)

    /// Reads `host:port`, `[::1]:port`, either with `tls:` before it, `unix:/path` and `/path`. Nil for anything else.
    public init?(_ text: String) {
        if text.hasPrefix("/") {
            self = .unix(path: text)
            return
        }
        if text.hasPrefix("unix:") {
            guard text.utf8.count > 5 else { return nil }
            self = .unix(path: String(text.dropFirst(5)))
            return
        }
        let isTLS = text.hasPrefix("tls:")
        let text = isTLS ? text.dropFirst(4) : text[...]
        guard let colon = text.lastIndex(of: ":"), let port = UInt16(text[text.index(after: colon)...]), port > 0 else {
            return nil
        }
        var host = text[..<colon]
        if host.hasPrefix("["), host.hasSuffix("]") {
            host = host.dropFirst().dropLast()
        } else if host.contains(":") {
            return nil
        }
        guard !host.isEmpty else { return nil }
        self = isTLS ? .tls(host: String(host), port: Int(port)) : .tcp(host: String(host), port: Int(port))
    }

    public var description: String {
        switch self {
        case .tls(let host, let port): "tls:\(Endpoint.tcp(host: host, port: port))"
        case .tcp(let host, let port): host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
        case .unix(let path): "unix:\(path)"
        }
    }
}
