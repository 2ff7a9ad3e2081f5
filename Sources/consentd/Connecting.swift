import ConsentClient
import ConsentKernel
import Foundation

/// Connects once.
///
/// - Throws: ``Failure``, one sentence: what was tried, what happened, what to do.
func connect(to endpoint: Endpoint, _ options: ClientOptions) async throws -> ConsentClient {
    let start = ContinuousClock.now
    do {
        return try await ConsentClient.connect(to: endpoint, options: options)
    } catch {
        let sentence: String? =
            switch error {
            case .connectFailed(let reason):
                ContinuousClock.now - start >= options.connectTimeout
                    ? strangerSentence(
                        endpoint, "gave no welcome within \(options.connectTimeout.components.seconds) s")
                    : unansweredSentence(endpoint, reason)
            case .notTrusted(let reason):
                "the server cannot be trusted: \(reason); name the authority's certificates with --tls-ca"
            case .protocolViolation: strangerSentence(endpoint, "does not speak the protocol")
            case .handshakeRefused(let code, _) where code.name == "credentialsRefused":
                options.token.isEmpty
                    ? "the server at \(endpoint) wants a token, and none was shown; name its file with --token-file"
                    : "the server at \(endpoint) does not take the token that was shown; name the right file with "
                        + "--token-file"
            case .handshakeRefused(let code, let message):
                "the server at \(endpoint) turned this command away: \(message); "
                    + (code.advice == .doNotRetry ? "name another with --server" : "try again later")
            case .versionUnsupported(let serverMin, let serverMax):
                "the server at \(endpoint) speaks versions \(serverMin) to \(serverMax) of the protocol, this program "
                    + "others; use the program that came with the server"
            default: nil
            }
        throw sentence.map { Failure(code: Exit.unreachable, message: $0) } ?? Failure(error)
    }
}

/// Something is there that behaves like another kind of server.
private func strangerSentence(_ endpoint: Endpoint, _ behaviour: String) -> String {
    "no consentd server answers at \(endpoint): what is there \(behaviour); check the address given with --server"
}

/// Asks the kernel once more, which says plainly why.
private func unansweredSentence(_ endpoint: Endpoint, _ reason: String) -> String {
    let address: SocketAddress =
        switch endpoint {
        case .tcp(let host, let port), .tls(let host, let port): .tcp(host: host, port: UInt16(port))
        case .unix(let path): .unix(path: path)
        }
    let remedy = "start one with 'consentd serve', or name another with --server"
    do {
        _ = try Socket.connect(address)
        if case .tls = endpoint {
            return "no TLS connection could be made to \(reason); check the address and --tls-ca"
        }
        return strangerSentence(endpoint, "ended the connection before its welcome")
    } catch {
        switch error.code {
        case ECONNREFUSED, ENOENT: return "no server answers at \(endpoint): nothing listens there; \(remedy)"
        case EACCES, EPERM:
            return
                "the server at \(endpoint) cannot be asked: this user may not open its socket; become its owner or a "
                + "member of its group"
        case ENAMETOOLONG: return "no server can be at \(endpoint): the path is too long; use a shorter one"
        // The kernel knows numbers only.
        default:
            return "no server answers at \(endpoint): the host is unknown or cannot be reached, or nothing listens "
                + "there; check the address given with --server"
        }
    }
}
