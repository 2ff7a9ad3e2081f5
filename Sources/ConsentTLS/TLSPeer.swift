/// The server that a client means to reach by TLS.
package struct TLSPeer: Sendable {
    private enum Trust {
        /// Of those whose certificates stand in this file; nil: of those that the machine trusts.
        case authorities(String?)
        case server(SelfSigned)
    }

    private let trust: Trust
    /// What its certificate must be for: a host name, or a numeric address.
    package let name: String

    /// - Parameter authorities: file with the certificates that are trusted (PEM); nil: those that the machine trusts.
    /// - Throws: ``TLSFailure`` if the file cannot be read, or the name can be nobody's.
    package init(name: String, authorities: String?) throws(TLSFailure) {
        // An empty name would be none that is asked for, and one that begins with a dot all those below it.
        guard (1...253).contains(name.utf8.count), !name.hasPrefix("."), !name.utf8.contains(0) else {
            throw TLSFailure("'\(name.prefix(80))' is no name that a certificate can be for")
        }
        self.name = name
        trust = .authorities(authorities)
        _ = try session()
    }

    /// A server that only its own certificate vouches for.
    package init(name: String, trusting server: SelfSigned) {
        self.name = name
        trust = .server(server)
    }

    /// For a new connection. The file is read again, so that authorities which have changed count from then on.
    package func session() throws(TLSFailure) -> TLSSession {
        let context: TLSContext =
            switch trust {
            case .authorities(let file): try .client(authorities: file)
            case .server(let server): try .client(trusting: server)
            }
        return TLSSession(context, to: name)
    }
}
