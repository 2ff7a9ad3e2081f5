import ConsentWire

/// Why a request has no answer. Whatever it is: nothing was granted.
public enum ConsentClientError: Error, Equatable, Sendable {
    /// No connection could be made, or it ended within the handshake.
    case connectFailed(String)
    /// The server could not prove that it is the host of the endpoint.
    case notTrusted(String)
    /// The server does not want this client: its deployment or credentials are wrong, or it has too many connections.
    case handshakeRefused(code: ServerErrorCode, message: String)
    /// Client and server speak no common version of the protocol; these are the server's.
    case versionUnsupported(serverMin: Int, serverMax: Int)
    /// No answer in time. A change may have been done nevertheless: repeat it with the same keys.
    case timedOut
    /// The connection ended before the answer. Where the request may have been executed and is a change, repeat it with
    /// the same keys.
    case disconnected(requestMayHaveBeenExecuted: Bool)
    /// The task that asked was cancelled. A change may have been done nevertheless.
    case cancelled
    /// The server refused the request; nothing of it took effect.
    case server(code: ServerErrorCode, message: String)
    /// The server sent what the protocol does not allow. The connection was closed and everything in flight failed.
    case protocolViolation(String)
    /// The catalog has no purpose of this name.
    case unknownPurpose(String)
    /// What the caller gave cannot be sent.
    case invalidArgument(String)
    /// The client was closed.
    case closed
}

extension ConsentClientError: CustomStringConvertible {
    public var description: String {
        switch self {
        case .connectFailed(let reason): "no connection to the server: \(reason)"
        case .notTrusted(let reason): "no connection to the server: \(reason)"
        case .handshakeRefused(let code, let message): "the server refused the client: \(message) (\(code.name))"
        case .versionUnsupported(let serverMin, let serverMax):
            "the server speaks versions \(serverMin) to \(serverMax) of the protocol, this client others"
        case .timedOut: "the server did not answer in time"
        case .disconnected(let mayHaveBeenExecuted):
            mayHaveBeenExecuted
                ? "the connection ended before the answer; the request may have been executed"
                : "there is no connection; the request was not sent"
        case .cancelled: "the request was cancelled"
        case .server(let code, let message): "\(message) (\(code.name))"
        case .protocolViolation(let what): "the server broke the protocol: \(what)"
        case .unknownPurpose(let name): "the catalog has no purpose '\(name)'"
        case .invalidArgument(let what): what
        case .closed: "the client is closed"
        }
    }
}

/// An error code of the protocol, such as `busy`.
public struct ServerErrorCode: Hashable, Sendable, CustomStringConvertible {
    /// What a client should do about it. This client has done it already, as long as the deadline allowed.
    public enum Advice: Sendable {
        /// The same request will fail again.
        case doNotRetry
        case retryLater
        /// To another node, or to this one later.
        case reconnect
    }

    public let number: Int
    /// As the protocol names it; `code 123` for one that this client does not know.
    public let name: String
    public let advice: Advice

    init(number: UInt16) {
        self.number = Int(number)
        guard let code = ErrorCode(rawValue: number) else {
            name = "code \(number)"
            advice = .doNotRetry
            return
        }
        name = "\(code)"
        advice =
            switch code.advice {
            case .doNotRetry: .doNotRetry
            case .retryLater: .retryLater
            case .reconnect: .reconnect
            }
    }

    public var description: String { name }
}
