import ArgumentParser
import ConsentClient
import Foundation

struct Status: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Say who the node is, by which sequence it answers, and who follows it.",
        discussion: """
            Role, history, sequence and digest, how far the node is behind what it follows, each edge that follows it \
            with what it enforces, and, where the node is not ready to answer checks, why. Needs a server that runs. \
            Exits 0 if the node is ready, 3 if not.

            EXAMPLES
              consentd status
              consentd status --server edge.example.no:7411 --json
            """)

    @OptionGroup var node: NodeOptions

    func run() async throws {
        try await node.withServer { client in
            let status = try await client.status()
            if node.json { Output.json(object(status)) } else { show(status) }
            if !status.isReady { throw Exit.failed }
        }
    }

    private func show(_ status: ServerStatus) {
        let rows: [(String, String?)] = [
            ("role", status.isEdge ? "edge" : "authoritative"), ("ready", status.isReady ? "yes" : "no"),
            ("because", status.notReady), ("upstream", status.upstream), ("trouble", status.trouble),
            ("history", status.history), ("deployment", status.deployment), ("sequence", "\(status.sequence)"),
            ("digest", hex(status.digest)), ("behind", behind(status)), ("catalog version", "\(status.catalogVersion)"),
            ("version", status.serverVersion), ("edges", "\(status.edges.count)"),
        ]
        Output.table(rows.compactMap { name, value in value.map { [name, Output.printable($0)] } })
        guard !status.edges.isEmpty else { return }
        print()
        Output.table(
            [["EDGE", "ENFORCES", "BEHIND", "HEARD", "STATE"]]
                + status.edges.map { edge in
                    let missing = status.sequence >= edge.enforced ? status.sequence - edge.enforced : 0
                    return [
                        edge.name, "\(edge.enforced)",
                        "\(missing), \(edge.behind.map(seconds) ?? "not known")",
                        edge.heard.map { "\(seconds($0)) ago" } ?? "never",
                        edge.isConnected
                            ? edge.takesSnapshot ? "takes a snapshot" : "follows" : "gone: \(edge.gone ?? "")",
                    ].map(Output.printable)
                })
    }

    private func behind(_ status: ServerStatus) -> String? {
        guard status.isEdge else { return nil }
        let missing = status.head >= status.sequence ? status.head - status.sequence : 0
        return "\(Output.counted(missing, "sequence")), \(status.age.map(seconds) ?? "for how long is not known")"
    }

    private func object(_ status: ServerStatus) -> [String: Any] {
        [
            "role": status.isEdge ? "edge" : "authoritative", "ready": status.isReady,
            "notReady": status.notReady ?? Output.null, "upstream": status.upstream ?? Output.null,
            "trouble": status.trouble ?? Output.null, "history": status.history, "deployment": status.deployment,
            "sequence": status.sequence, "head": status.head, "digest": hex(status.digest),
            "ageMillis": status.age.map(millis) ?? Output.null, "catalogVersion": status.catalogVersion,
            "version": status.serverVersion,
            "edges": status.edges.map { edge in
                [
                    "name": edge.name, "enforced": edge.enforced, "gone": edge.gone ?? Output.null,
                    "behindMillis": edge.behind.map(millis) ?? Output.null,
                    "heardMillis": edge.heard.map(millis) ?? Output.null, "connected": edge.isConnected,
                    "takesSnapshot": edge.takesSnapshot,
                ] as [String: Any]
            },
        ]
    }
}

struct Enforced: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Say since when each edge answers by an event, such as a withdrawal.",
        discussion: """
            A withdrawal holds on the node that recorded it before it is acknowledged. This command asks that node, or \
            an edge, since when those that follow it answer by it too, each by its own clock. 'consentd history' gives \
            the sequence of an event. An edge of an edge is asked for at the edge that it follows. Needs a server that \
            runs. Exits 0 if every edge that is connected answers by it, 3 if one does not yet.

            EXAMPLES
              consentd enforced 1002
              consentd enforced 1002 --server edge.example.no:7411 --json
            """)

    @OptionGroup var node: NodeOptions

    @Argument(help: "Sequence of the event.", transform: readSequence)
    var sequence: UInt64

    func run() async throws {
        try await node.withServer { client in
            let found = try await client.enforcement(of: sequence)
            if node.json {
                Output.json([
                    "sequence": found.sequence, "head": found.head, "enforcedHere": found.head >= sequence,
                    "edges": found.edges.map { edge in
                        [
                            "name": edge.name, "enforced": edge.enforced, "atTheLatest": edge.isAtTheLatest,
                            "since": edge.since?.description ?? Output.null, "connected": edge.isConnected,
                            "answersByIt": edge.answersByIt,
                        ] as [String: Any]
                    },
                ])
            } else {
                show(found)
            }
            guard found.head >= sequence, found.edges.allSatisfy({ $0.answersByIt || !$0.isConnected }) else {
                throw Exit.failed
            }
        }
    }

    private func show(_ found: Enforcement) {
        print(
            found.head >= sequence
                ? "this node answers by it: it is at sequence \(found.head)"
                : "this node has no such event yet: it is at sequence \(found.head)")
        guard !found.edges.isEmpty else {
            print("nobody follows this node")
            return
        }
        Output.table(
            [["EDGE", "SINCE", "ENFORCES", "STATE"]]
                + found.edges.map { edge in
                    [
                        edge.name,
                        edge.answersByIt
                            ? (edge.isAtTheLatest ? "at the latest " : "") + (edge.since?.description ?? "not known")
                            : "not yet", "\(edge.enforced)",
                        edge.isConnected ? "connected" : "gone",
                    ].map(Output.printable)
                })
    }
}

private func hex(_ digest: UInt64) -> String {
    let digits = String(digest, radix: 16)
    return String(repeating: "0", count: 16 - digits.count) + digits
}

private func millis(_ duration: Duration) -> Int64 {
    duration.components.seconds * 1000 + duration.components.attoseconds / 1_000_000_000_000_000
}

private func seconds(_ duration: Duration) -> String { String(format: "%.1f s", Double(millis(duration)) / 1000) }
