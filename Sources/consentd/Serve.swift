import ArgumentParser
import ConsentEngine
import ConsentKernel
import ConsentServer
import Foundation

struct Serve: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Serve a node.",
        discussion: """
            Listens on 127.0.0.1:7411 and on consentd.sock in the node's folder. An address of other machines needs a \
            token; see 'consentd init --token'. Port 0 is a free one, which is printed.

            SIGTERM and Ctrl-C drain: clients are told, what they have begun is finished, and the files are closed in \
            order. On a corrupt index the node rebuilds it; on a ledger that cannot be read it stops and says where.
            What was changed inside a readable one, 'consentd verify' finds.

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
        listening.raiseDescriptorsMax()
        let engine = try Engine(
            try node.existingFolder(),
            progress: { done, all in Output.error("consentd: rebuilding the index, \(done) of \(all) identifiers") },
            fatal: { reason in
                Output.error("consentd: \(reason); the server stops rather than answer from an index that is behind")
                Foundation.exit(Exit.failed.rawValue)
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
        Output.error("consentd: draining (\(signal == SignalWatch.terminate ? "SIGTERM" : "SIGINT"))")
        server.drain()
        try engine.close()
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
        if ((try? readToken(listening.tokenFile, in: node.folder)) ?? nil) == nil {
            Output.line("no token: only processes of this machine can connect")
        }
        Output.line(String(format: "ready after %.0f ms: %@", millis, engine.recovery.description))
    }
}
