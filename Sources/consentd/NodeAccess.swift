import ArgumentParser
import ConsentClient
import ConsentEdge
import ConsentEngine
import ConsentKernel
import ConsentModel
import ConsentServer
import Foundation

/// Where a node is, for commands that work on its files themselves.
struct FolderOptions: ParsableArguments {
    @Option(name: .long, help: "Folder of the node [env: CONSENTD_DATA].")
    var data: String = ProcessInfo.processInfo.environment["CONSENTD_DATA"] ?? "consentd-data"

    @Flag(name: .long, help: "Print JSON, one object a line.")
    var json = false

    var folder: NodeFolder { NodeFolder(data) }

    /// Whether the folder is an edge's, which has no ledger that a command could open.
    var isOfEdge: Bool { !folder.exists && File.exists(EdgeRecord.path(in: folder.path)) }

    /// - Throws: if there is no node, or it lacks its key.
    func existingFolder() throws -> NodeFolder {
        guard !isOfEdge else {
            throw Failure(
                code: Exit.unreachable,
                message: "'\(data)' is the folder of an edge, which has no ledger; name the node that it follows")
        }
        guard folder.exists else {
            // Says so if the folder may not be looked into.
            let isThere = File.exists(data) ? try !File.names(in: data).isEmpty : false
            if isThere, !folder.remains.isEmpty {
                throw Failure(
                    code: Exit.damaged,
                    message:
                        "'\(data)' has \(folder.remains.joined(separator: ", ")) of a node, but no ledger; restore "
                        + "\(folder.ledgerPath) from a backup")
            }
            throw Failure(
                code: Exit.unreachable,
                message: "there is no node in '\(data)'; make one with 'consentd init', or name it with --data")
        }
        guard File.exists(folder.keyPath) else {
            throw Failure(
                code: Exit.damaged,
                message:
                    "\(folder.keyPath) is missing, and without it the ledger finds nobody; restore the one that was "
                    + "backed up")
        }
        return folder
    }
}

/// Which node a command is about, and how to reach its server.
struct NodeOptions: ParsableArguments {
    @OptionGroup var place: FolderOptions

    @Option(
        name: .long,
        help: """
            Talk to a server at host:port, tls:host:port or unix:/path instead of the folder's own [env: CONSENTD_SERVER].
            """)
    var server: String?

    @Option(name: .long, help: "File with the token to show, mode 0600 [default: 'token' in the node's folder].")
    var tokenFile: String?

    @Option(
        name: .long,
        help: """
            Certificates (PEM) of whom a tls server may be vouched for by [env: CONSENTD_TLS_CA; default: those the \
            machine trusts].
            """)
    var tlsCa: String?

    var json: Bool { place.json }
    /// The node's own files; nil for a server that was named, wherever it is.
    var localFolder: NodeFolder? { namedServer == nil ? folder : nil }
    private var folder: NodeFolder { place.folder }

    func validate() throws {
        if let namedServer, Endpoint(namedServer) == nil {
            throw ValidationError(
                "the server '\(namedServer)' is neither host:port, with a port from 1 to 65535, nor tls:host:port, nor unix:/path"
            )
        }
    }

    /// Runs a command against the node: the server that runs on it, or one that lives as long as the command.
    ///
    /// - Parameter actor: who reads, for the access log.
    func withClient(
        as actor: String = "", _ body: (ConsentClient) async throws -> Void
    ) async throws {
        try await reportingFailures {
            guard let engine = try openEngine() else {
                try await run(serverEndpoint, token: try token(), as: actor, body)
                return
            }
            let embedded = try EmbeddedServer(engine)
            do {
                try await run(.unix(path: EmbeddedServer.socketPath(folder)), token: nil, as: actor, body)
            } catch {
                try embedded.close()
                throw error
            }
            try embedded.close()
        }
    }

    /// Runs a command against a server that is there already.
    func withServer(_ body: (ConsentClient) async throws -> Void) async throws {
        try await reportingFailures {
            if namedServer == nil, !place.isOfEdge { _ = try place.existingFolder() }
            try await run(serverEndpoint, token: try token(), body)
        }
    }

    /// Runs a command that records very many events: through the server that runs on the node, or else straight into its
    /// engine, which takes a third less of the processor's time than a conversation with a server would.
    ///
    /// - Parameter identifiersExpected: room to make in the index if the command opens the node itself.
    func withRecorder(identifiersExpected: Int, _ body: (Recorder) async throws -> Void) async throws {
        try await reportingFailures {
            guard let engine = try openEngine(identifiersExpected: identifiersExpected) else {
                try await run(serverEndpoint, token: try token()) { try await body(try await Recorder($0)) }
                return
            }
            do {
                try await body(try Recorder(engine))
            } catch {
                try engine.close()
                throw error
            }
            try engine.close()
        }
    }

    /// The server that the command was told of; the folder's own if it was not.
    private var serverEndpoint: Endpoint {
        // It was judged when the command line was read.
        namedServer.flatMap(Endpoint.init) ?? .unix(path: folder.socketPath)
    }

    private var namedServer: String? { server ?? ProcessInfo.processInfo.environment["CONSENTD_SERVER"] }

    /// The folder's engine; nil if a server has it, or the command was told of one.
    private func openEngine(identifiersExpected: Int = 0) throws -> Engine? {
        guard namedServer == nil, !place.isOfEdge else { return nil }
        let folder = try place.existingFolder()
        let deadline = ContinuousClock.now + Self.patience
        while true {
            do {
                let engine = try Engine(folder, identifiersExpected: identifiersExpected) { failure in
                    Output.error("consentd: \(failure)")
                    Foundation.exit(failure.exitCode.rawValue)
                }
                if case .rebuilt = engine.recovery { Output.error("consentd: \(engine.recovery)") }
                if let reason = engine.keysRebuilt { Output.error("consentd: \(Engine.keysRebuilt(reason))") }
                return engine
            } catch EngineError.locked {
                if (try? Socket.connect(.unix(path: folder.socketPath))) != nil { return nil }
                guard ContinuousClock.now < deadline else {
                    throw Failure(
                        code: Exit.unreachable,
                        message: "another command works on the node in '\(place.data)'; try again when it is done")
                }
            }
            Wakeup.pause(millis: 20)
        }
    }

    private func token() throws -> [UInt8]? { try readToken(tokenFile, in: folder) }

    /// Whoever has the node may be a server about to listen, or a command that will be done in a moment.
    private static let patience = Duration.seconds(10)

    private func run(
        _ endpoint: Endpoint, token: [UInt8]?, as actor: String = "", _ body: (ConsentClient) async throws -> Void
    ) async throws {
        var options = ClientOptions()
        options.token = token ?? []
        options.tlsAuthorities = tlsCa ?? ProcessInfo.processInfo.environment["CONSENTD_TLS_CA"]
        options.name = "consentd"
        options.actor = actor
        options.requestTimeout = .seconds(60)
        // What stands in the way, such as a full disk, is for the person to mend.
        options.retryTimeout = .seconds(2)
        // A person waits: better to hear at once that the server is gone.
        options.reconnects = false
        let client = try await connect(to: endpoint, options)
        do {
            try await body(client)
        } catch {
            await client.close()
            throw error
        }
        await client.close()
    }
}

/// The token to show, or to ask for; nil where there is none.
///
/// - Parameter path: nil for that of the node's folder, if it has one.
func readToken(_ path: String?, in folder: NodeFolder) throws -> [UInt8]? {
    if path == nil, !File.exists(folder.tokenPath) { return nil }
    let path = path ?? folder.tokenPath
    guard File.exists(path) else {
        throw Failure(code: Exit.failed, message: "there is no token file '\(path)'; 'consentd init --token' makes one")
    }
    let file = try FileDescriptor.open(path, .readOnly)
    guard try file.mode() & 0o077 == 0 else {
        throw Failure(code: Exit.failed, message: "\(path) may be read by others; run 'chmod 600 \(path)'")
    }
    var bytes = try File.read(path, sizeMax: 4096)
    while bytes.last == UInt8(ascii: "\n") || bytes.last == UInt8(ascii: "\r") { bytes.removeLast() }
    guard !bytes.isEmpty else { throw Failure(code: Exit.failed, message: "\(path) is empty") }
    return bytes
}

/// A server inside a command, for a folder that no server runs on. On a socket of its own, as others would find it gone
/// in the middle of what they ask.
private final class EmbeddedServer {
    private let engine: Engine
    private let server: Server

    static func socketPath(_ folder: NodeFolder) -> String { folder.path + "/command.sock" }

    init(_ engine: Engine) throws {
        self.engine = engine
        do {
            var options = ServerOptions(addresses: [.unix(path: Self.socketPath(engine.folder))], version: version)
            options.loops = 1
            options.unixSocketMode = 0o600
            // Nobody else is to wait for.
            options.drainMillis = 0
            server = try Server(engine, options) { Output.error("consentd: \($0)") }
        } catch {
            try engine.close()
            throw error
        }
    }

    func close() throws {
        server.drain()
        try engine.close()
    }
}

/// Reads the sequence of an event from the command line.
func readSequence(_ text: String) throws -> UInt64 {
    guard let sequence = UInt64(text) else {
        throw ValidationError("an event's sequence is a whole number, as 'consentd history' lists it, not '\(text)'")
    }
    return sequence
}

/// Reads `type:value` from the command line.
func readSubject(_ text: String) throws -> Subject {
    do {
        return try Subject(text)
    } catch {
        throw ValidationError("\(error)")
    }
}
