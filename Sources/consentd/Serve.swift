import ArgumentParser
import ConsentEngine
import ConsentKernel
import ConsentServer
import Foundation
import Synchronization

struct Serve: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Serve a node.",
        discussion: """
            Listens on 127.0.0.1:7411 and on consentd.sock in the node's folder. An address of other machines needs a \
            token; see 'consentd init --token'. Port 0 is a free one, which is printed.

            SIGTERM and Ctrl-C drain: clients are told, what they have begun is finished, and the files are closed in \
            order. On a corrupt index the node rebuilds it. On a corrupt ledger it stops with 6 and says where, whoever \
            finds that: the opening, a request, or 'consentd verify' beside the server. From then on the node stays \
            closed until 'consentd verify' finds it sound.

            EXAMPLES
              consentd serve --data club
              consentd serve --data club --listen 0.0.0.0:7411
              consentd serve --data club --listen 127.0.0.1:0
            """)

    @OptionGroup var node: FolderOptions

    @Option(help: "File with the token to ask for, mode 0600 [default: 'token' in the node's folder].")
    var tokenFile: String?

    @Option(help: "Address to listen on, host:port; may be repeated. 'none' leaves the Unix socket only.")
    var listen: [String] = ["127.0.0.1:7411"]

    @Option(help: "Threads that serve connections [default: one per processor].")
    var loops: Int?

    @Option(help: "Processor of the first of these threads; the next ones follow.")
    var pin: Int?

    @Option(
        help: """
            Microseconds that each of these threads looks for requests before it sleeps. Answers come sooner, and each \
            thread takes up to a whole processor while it is asked.
            """)
    var spinMicros = 0

    @Option(help: "Connections at the most.")
    var maxConnections = 10_000

    @Option(help: "Requests of one connection that may be unanswered, checks and pings excepted.")
    var maxInFlight = 1024

    @Option(help: "Seconds after which a connection that says nothing is closed.")
    var idleSeconds = 300

    @Option(help: "Seconds within which a connection must shake hands.")
    var handshakeSeconds = 10

    @Option(help: "Milliseconds that connections may take to finish when the server drains.")
    var drainMillis: UInt32 = 5000

    func validate() throws {
        if let loops, !(1...256).contains(loops) { throw ValidationError("--loops is 1 to 256") }
        if !(0...1_000_000).contains(spinMicros) { throw ValidationError("--spin-micros is 0 to 1000000") }
        guard maxConnections > 0, maxInFlight > 0, idleSeconds > 0, handshakeSeconds > 0 else {
            throw ValidationError("limits are greater than zero")
        }
        _ = try addresses()
    }

    func run() throws {
        do {
            try serve(SignalWatch([SignalWatch.terminate, SignalWatch.interrupt]))
        } catch {
            throw report(error)
        }
    }

    private func serve(_ signals: borrowing SignalWatch) throws {
        let startedAt = Clock.monotonicNanos()
        System.raiseDescriptorsMax()
        if System.descriptorsMax < maxConnections {
            Output.error(
                "consentd: this process may have \(System.descriptorsMax) files and connections open, fewer than "
                    + "--max-connections; raise 'ulimit -n'")
        }
        let damage = Damage()
        let engine = try Engine(
            try node.existingFolder(),
            progress: { done, all in Output.error("consentd: rebuilding the index, \(done) of \(all) identifiers") },
            fatal: { failure in
                switch failure {
                case .ledgerDamaged(let finding): damage.stop(finding)
                case .indexBehind(let reason):
                    Output.error(
                        "consentd: \(reason); the server stops rather than answer from an index that is behind")
                    Foundation.exit(failure.exitCode.rawValue)
                }
            })
        let server: Server
        do {
            // The kernel goes on handing connections to a loop that is gone, and nobody would answer them.
            server = try Server(engine, try options()) { reason in
                Output.error("consentd: \(reason); the server stops rather than leave connections without an answer")
                Foundation.exit(Exit.failed.rawValue)
            }
        } catch {
            try engine.close()
            throw error
        }
        announce(server, engine, millis: Double(Clock.monotonicNanos() - startedAt) / 1e6)
        let signal = signals.wait()
        if !damage.isFound {
            Output.error("consentd: draining (\(signal == SignalWatch.terminate ? "SIGTERM" : "SIGINT"))")
        }
        server.drain()
        try engine.close()
        if damage.isFound { throw Exit.damaged }
    }

    /// Ends the server when the ledger turns out to be damaged: who asked is answered, and clients are told.
    private final class Damage: Sendable {
        private let found = Atomic(false)

        var isFound: Bool { found.load(ordering: .acquiring) }

        func stop(_ finding: String) {
            Output.error(
                "consentd: \(finding)\nconsentd: the server stops, and the node stays closed until 'consentd verify' finds it sound"
            )
            found.store(true, ordering: .releasing)
            kill(getpid(), SignalWatch.terminate)
        }
    }

    private func options() throws -> ServerOptions {
        let local = SocketAddress.unix(path: node.folder.socketPath)
        var options = ServerOptions(addresses: try addresses() + [local], version: version)
        options.token = try readToken(tokenFile, in: node.folder)
        if let loops { options.loops = loops }
        options.firstProcessor = pin
        options.spinMicros = spinMicros
        options.connectionsMax = maxConnections
        options.requestsInFlightMax = maxInFlight
        options.idleSecondsMax = idleSeconds
        options.handshakeSecondsMax = handshakeSeconds
        options.drainMillis = drainMillis
        return options
    }

    private func addresses() throws -> [SocketAddress] {
        try listen.filter { $0 != "none" }.map { text in
            guard let colon = text.lastIndex(of: ":"), let port = UInt16(text[text.index(after: colon)...]) else {
                throw ValidationError("--listen: '\(text)' is not host:port")
            }
            let host = text[..<colon]
            let parts = host.split(separator: ".", omittingEmptySubsequences: false)
            guard host == "localhost" || (parts.count == 4 && parts.allSatisfy { UInt8($0) != nil }) else {
                throw ValidationError(
                    "--listen: '\(host)' is not an IPv4 address such as 127.0.0.1; 0.0.0.0 stands for all of this machine"
                )
            }
            return .tcp(host: String(host), port: port)
        }
    }

    private func announce(_ server: Server, _ engine: Engine, millis: Double) {
        if node.json {
            Output.json([
                "listening": server.addresses.map(\.description), "readyMillis": millis,
                "recovery": engine.recovery.description, "catalogVersion": engine.catalog.version,
            ])
            return
        }
        for address in server.addresses { Output.line("listening on \(address)") }
        if engine.catalog.version == 0 { Output.line("no catalog is applied: every check is an error until one is") }
        if ((try? readToken(tokenFile, in: node.folder)) ?? nil) == nil {
            Output.line("no token: only processes of this machine can connect")
        }
        Output.line(String(format: "ready after %.0f ms: %@", millis, engine.recovery.description))
    }
}
