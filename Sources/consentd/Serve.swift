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

    @OptionGroup var listening: ListeningOptions

    func validate() throws { try listening.validate() }

    func run() throws {
        do {
            try serve(SignalWatch([SignalWatch.terminate, SignalWatch.interrupt]))
        } catch {
            throw report(error)
        }
    }

    private func serve(_ signals: borrowing SignalWatch) throws {
        let startedAt = Clock.monotonicNanos()
        let damage = Damage()
        listening.raiseDescriptorsMax()
        let engine = try Engine(
            try node.existingFolder(),
            progress: { done, all in Output.error("consentd: rebuilding the index, \(done) of \(all) identifiers") },
            trouble: { Output.error("consentd: \($0)") },
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
            server = try Server(engine, try listening.options(in: node.folder)) { reason in
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

    private func announce(_ server: Server, _ engine: Engine, millis: Double) {
        if node.json {
            Output.json([
                "listening": server.addresses.map(\.description), "readyMillis": millis,
                "recovery": engine.recovery.description, "keysRebuilt": engine.keysRebuilt ?? Output.null,
                "catalogVersion": engine.catalog.version,
            ])
            return
        }
        for address in server.addresses { Output.line("listening on \(address)") }
        if let reason = engine.keysRebuilt { Output.line(Engine.keysRebuilt(reason)) }
        if engine.catalog.version == 0 { Output.line("no catalog is applied: every check is an error until one is") }
        if ((try? readToken(listening.tokenFile, in: node.folder)) ?? nil) == nil {
            Output.line("no token: only processes of this machine can connect")
        }
        Output.line(String(format: "ready after %.0f ms: %@", millis, engine.recovery.description))
    }
}
