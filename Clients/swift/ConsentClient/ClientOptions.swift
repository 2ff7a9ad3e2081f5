/// How a client behaves. The defaults suit a service beside its server.
public struct ClientOptions: Sendable {
    /// The credential; empty where the server wants none.
    public var token: [UInt8] = []
    /// The deployment that the client is meant for, 32 hex digits; a server of another one refuses it. Name it wherever
    /// it is known; nil is for tools.
    public var deployment: String?
    /// File with the certificates (PEM) of the authorities that a server's certificate may be of; nil: those that the
    /// machine trusts. For ``Endpoint/tls(host:port:)``.
    public var tlsAuthorities: String?
    /// What the server's certificate must be for, where that is not the endpoint's host.
    public var tlsName: String?
    /// For the server's log.
    public var name = ""
    /// Who reads personal data through this client, an account or a role: the server's access log keeps it for ever, so it
    /// is neither an e-mail address nor a long number. Empty where nobody in particular does; then the log has ``name``.
    public var actor = ""
    /// For a connection, handshake and first look at the catalog included.
    public var connectTimeout: Duration = .seconds(5)
    /// For one request, retries included.
    public var requestTimeout: Duration = .seconds(10)
    /// Within it, how long a request is sent again while the server says that it cannot carry it out now, as on a full disk;
    /// not where it is only busy.
    public var retryTimeout: Duration = .seconds(60)
    /// Whether a connection that ends is made again. Otherwise all that follows is `disconnected`.
    public var reconnects = true
    /// Before attempt n the client waits a random time up to `backoffMin` × 2ⁿ⁻¹, and never longer than `backoffMax`.
    public var backoffMin: Duration = .milliseconds(100)
    public var backoffMax: Duration = .seconds(5)
    /// How long a connection may be silent before it is pinged.
    public var pingInterval: Duration = .seconds(10)
    /// How long such a ping may be unanswered before the connection counts as dead.
    public var pingTimeout: Duration = .seconds(2)

    public init() {}
}
