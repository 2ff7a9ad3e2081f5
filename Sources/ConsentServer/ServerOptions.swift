package import ConsentKernel
package import ConsentSync
package import ConsentTLS

/// How a server listens, and what it lets clients do.
package struct ServerOptions: Sendable {
    package var addresses: [SocketAddress]
    /// Of the Unix sockets: who may write may connect.
    package var unixSocketMode: UInt32 = 0o660
    /// What clients must show; nil: nothing, and then only local addresses are taken.
    package var token: [UInt8]?
    /// Who the server is, to those who connect to a ``SocketAddress/tls(host:port:)``.
    package var tls: TLSIdentity?
    /// Threads that serve connections.
    package var loops = System.processorCount
    /// Processor of the first loop; the others follow. Nil leaves it to the system.
    package var firstProcessor: Int?
    /// Microseconds that a loop looks for work before it blocks, see ``IdleStrategy``. Zero: it blocks at once.
    package var spinMicros = 0
    /// Over all loops.
    package var connectionsMax = 10_000
    package var requestsInFlightMax = 1024
    /// A connection that says nothing for so long is closed.
    package var idleSecondsMax = 300
    /// A connection that has not shaken hands by then is closed.
    package var handshakeSecondsMax = 10
    /// How long connections may finish when the server drains.
    package var drainMillis: UInt32 = 5000
    /// For those who follow this node.
    package var feed = FeedHubOptions()
    package var version: String

    package init(addresses: [SocketAddress], version: String) {
        self.addresses = addresses
        self.version = version
    }
}
