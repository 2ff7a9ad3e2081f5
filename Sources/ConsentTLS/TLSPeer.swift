/// The server that a client means to reach by TLS.
package struct TLSPeer: Sendable {
    private let context: TLSContext
    /// What its certificate must be for: a host name, or a numeric address.
    package let name: String

    /// - Parameter authorities: file with the certificates that are trusted (PEM); nil: those that the machine trusts.
    /// - Throws: ``TLSFailure`` if the file cannot be read.
    package init(name: String, authorities: String?) throws(TLSFailure) {
        context = try .client(authorities: authorities)
        self.name = name
    }

    /// A server that only its own certificate vouches for.
    package init(name: String, trusting server: SelfSigned) throws(TLSFailure) {
        context = try .client(trusting: server)
        self.name = name
    }

    /// For a new connection.
    package var session: TLSSession { TLSSession(context, to: name) }
}
