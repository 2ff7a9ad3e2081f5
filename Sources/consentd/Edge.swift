import ArgumentParser
import ConsentEdge
import ConsentEngine
import ConsentKernel
import ConsentServer
import ConsentSync
import ConsentWire
import Foundation

struct Edge: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Follow a node, and answer checks from a copy of its index.",
        discussion: """
            Takes a snapshot of the node that --upstream names, then follows its changes, and answers checks over TCP \
            and the Unix socket consentd.sock in its folder. Other processes of the machine may map its index, and \
            other edges may follow it. The folder is made if it is not there; all in it can be had again.

            An edge answers by what it has. When its upstream is silent, a purpose whose catalog says 'failPolicy: \
            static' is answered for as long as its 'maxStaleness' says, every other one not at all after five seconds: \
            unavailable, never granted. Started without an upstream that can be reached it does the same. 'consentd \
            status' and 'consentd ping --ready' tell whether it may answer, and why not.

            It has no ledger: changes, histories and lists of people are refused with the upstream's address, or, with \
            --forward-writes, handed on to it. What comes from an upstream of another deployment, or whose past is \
            another one than that of what the edge has, is not taken over until --start-over says so.

            EXAMPLES
              consentd edge --upstream 10.0.0.1:7411 --data edge
              consentd edge --upstream 10.0.0.1:7411 --data edge --token-file token
              consentd edge --upstream tls:10.0.0.1:7443 --tls-ca ca.pem --data edge
              consentd edge --upstream 127.0.0.1:7411 --data edge --forward-writes
            """)

    @OptionGroup var node: FolderOptions

    @OptionGroup var listening: ListeningOptions

    @Option(help: "The node to follow: host:port, tls:host:port, or unix:/path.")
    var upstream: String

    @Option(help: "File with the token to show the upstream, mode 0600 [default: the one to ask for].")
    var upstreamTokenFile: String?

    @Option(
        help:
            "Certificates (PEM) of whom a tls upstream may be vouched for by [env: CONSENTD_TLS_CA; default: the machine's]."
    )
    var tlsCa: String?

    @Option(help: "What the certificate of a tls upstream must be for [default: its address].")
    var tlsName: String?

    @Option(help: "Deployment that the upstream must be of, 32 hex digits [default: that of what was followed before].")
    var deployment: String?

    @Option(help: "What the upstream calls this edge [default: the name of this machine].")
    var name: String = ProcessInfo.processInfo.hostName

    @Flag(help: "Hand changes, histories and lists of people on to the upstream.")
    var forwardWrites = false

    @Flag(help: "Take over what the upstream has, though it is of another past than what the edge has.")
    var startOver = false

    func validate() throws {
        try listening.validate()
        _ = try upstreamAddress()
        if let deployment, ID16(hex: deployment) == nil {
            throw ValidationError("--deployment: '\(deployment)' is not 32 hexadecimal digits")
        }
        guard !name.isEmpty, name.utf8.count <= 255 else { throw ValidationError("--name has 1 to 255 bytes") }
    }

    private func upstreamAddress() throws -> SocketAddress {
        try readServer(
            upstream, of: "--upstream", zero: "names are not resolved, so that an edge starts without them")
    }

    func run() throws {
        do {
            try serve(SignalWatch([SignalWatch.terminate, SignalWatch.interrupt]))
        } catch {
            throw report(error)
        }
    }

    private func serve(_ signals: borrowing SignalWatch) throws {
        guard !node.folder.exists else {
            throw Failure(
                code: Exit.refused,
                message: "'\(node.data)' is the folder of a node that has a ledger; an edge needs one of its own")
        }
        listening.raiseDescriptorsMax()
        let edge = try EdgeNode(EdgeFolder(node.data), try options(), forwards: forwardWrites) { reason in
            Output.error("consentd: \(reason); the edge stops")
            Foundation.exit(Exit.failed.rawValue)
        }
        let server: Server
        do {
            server = try Server(edge, try listening.options(in: node.folder)) { reason in
                Output.error("consentd: \(reason); the server stops rather than leave connections without an answer")
                Foundation.exit(Exit.failed.rawValue)
            }
        } catch {
            edge.close()
            throw error
        }
        announce(server, edge)
        let signal = watch(edge, signals)
        Output.error("consentd: draining (\(signal == SignalWatch.terminate ? "SIGTERM" : "SIGINT"))")
        server.drain()
        edge.close()
    }

    private func options() throws -> FollowerOptions {
        var options = FollowerOptions(upstream: try upstreamAddress())
        options.tls = try tlsPeer(of: options.upstream, name: tlsName, authorities: tlsCa)
        options.token = try readToken(upstreamTokenFile ?? listening.tokenFile, in: node.folder) ?? []
        options.version = version
        if let deployment { options.deployment = ID16(hex: deployment) ?? .zero }
        options.replica.name = name
        options.replica.startsOver = startOver
        return options
    }

    private func announce(_ server: Server, _ edge: EdgeNode) {
        let notReady = edge.whyNotReady
        if node.json {
            Output.json([
                "listening": server.addresses.map(\.description), "upstream": upstream, "ready": notReady == nil,
                "notReady": notReady ?? Output.null, "sequence": edge.status.sequence,
            ])
            return
        }
        for address in server.addresses { Output.line("listening on \(address)") }
        Output.line("following \(upstream)")
        if ((try? readToken(listening.tokenFile, in: node.folder)) ?? nil) == nil {
            Output.line("no token: only processes of this machine can connect")
        }
        if notReady == nil { Output.line("ready at sequence \(edge.status.sequence), from what was here") }
    }

    /// Until a signal comes; says when readiness changes, and what goes wrong with the upstream, each once.
    private func watch(_ edge: EdgeNode, _ signals: borrowing SignalWatch) -> Int32? {
        var (ready, trouble) = (edge.whyNotReady == nil, "")
        while true {
            if let signal = signals.wait(timeoutMillis: 250) { return signal }
            let status = edge.status
            if status.isReady != ready {
                ready = status.isReady
                Output.error(
                    "consentd: " + (ready ? "ready at sequence \(status.sequence)" : "not ready: \(status.notReady)"))
            }
            if status.trouble != trouble {
                trouble = status.trouble
                if !trouble.isEmpty { Output.error("consentd: \(trouble)") }
            }
        }
    }
}
