import ArgumentParser
import ConsentClient
import ConsentEngine
import ConsentLedger
import Foundation

struct History: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "List everything that was recorded about a person, oldest first.",
        discussion: """
            EXAMPLES
              consentd history customer:100001
              consentd history email:kari@example.no --json
            """)

    @OptionGroup var node: ReadOptions

    @Argument(help: "A person, as type:value.", transform: readSubject)
    var subject: Subject

    @Option(help: "Only events after this sequence.")
    var after: UInt64 = 0

    func run() async throws {
        try await node.withClient { client in
            let entries = try await client.timeline(of: subject, after: after)
            if node.json {
                for entry in entries { Output.json(object(entry)) }
                return
            }
            if entries.isEmpty { print("nothing is recorded about \(Output.printable(subject.description))") }
            Output.table(
                (entries.isEmpty ? [] : [["SEQUENCE", "CAPTURED", "STATE", "PURPOSE", "REVISION", "HOW", "WHERE"]])
                    + entries.map(row))
        }
    }

    private func row(_ entry: TimelineEntry) -> [String] {
        switch entry {
        case .act(let entry): row(entry)
        case .link(let entry):
            [
                "\(entry.sequence)", entry.recordedAt.description, entry.action.name,
                entry.subjects.map(\.description).joined(separator: " "), "", "", entry.actor,
            ].map(Output.printable)
        }
    }

    private func row(_ entry: HistoryEntry) -> [String] {
        let act = entry.act
        let place = [act.system, act.channel, act.form].filter { !$0.isEmpty }.joined(separator: "/")
        let guardian = act.guardian.map { "by \($0)" } ?? (act.party == .guardian ? "by guardian" : "")
        let how = [act.method == .none ? "" : act.method.name, act.language, guardian].filter { !$0.isEmpty }
        return [
            "\(entry.sequence)", act.capturedAt?.description ?? "", act.state.name, act.purpose,
            [act.declaration, act.revision].filter { !$0.isEmpty }.joined(separator: " "),
            how.joined(separator: " "), place,
        ].map(Output.printable)
    }
}

/// What was recorded about a person as all commands print it.
func object(_ entry: TimelineEntry) -> [String: Any] {
    switch entry {
    case .act(let entry): object(entry)
    case .link(let entry): linkObject(entry)
    }
}

/// An event as all commands print it.
func object(_ entry: HistoryEntry) -> [String: Any] {
    let act = entry.act
    return [
        "sequence": entry.sequence, "recordedAt": entry.recordedAt.description,
        "capturedAt": act.capturedAt?.description ?? Output.null, "state": act.state.name, "purpose": act.purpose,
        "declaration": act.declaration, "revision": act.revision, "language": act.language,
        "method": act.method.name, "explicit": act.isExplicit, "party": act.party.name,
        "age": act.subjectAge ?? Output.null,
        "expiresAt": act.expiresAt?.description ?? Output.null,
        "refersTo": entry.refersTo ?? Output.null, "system": act.system, "channel": act.channel, "form": act.form,
        "actor": act.actor, "evidence": act.evidence,
        "guardianRelation": act.guardian?.relation.name ?? Output.null,
        "guardian": act.guardian?.identifier.description ?? Output.null, "identifiers": act.subjects.map(\.description),
        "hash": entry.hash.map { String(format: "%02x", $0) }.joined(),
    ]
}

struct Stats: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Show the node's counters and sizes.",
        discussion: """
            EXAMPLES
              consentd stats
              consentd stats --json
            """)

    @OptionGroup var node: NodeOptions

    func run() async throws {
        try await node.withClient { client in
            let values = try await client.statistics()
            if node.json {
                Output.json(Dictionary(uniqueKeysWithValues: values.map { ($0.name, $0.value as Any) }))
            } else {
                Output.table(values.map { [$0.name, "\($0.value)"] })
            }
        }
    }
}

struct Ping: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Measure round trips to the server.",
        discussion: """
            Needs a server that runs; exits 4 if none answers.

            EXAMPLES
              consentd ping
              consentd ping --count 100 --server 127.0.0.1:7411
              consentd ping --count 1 --ready
            """)

    @OptionGroup var node: NodeOptions

    @Option(name: .shortAndLong, help: "Round trips.")
    var count = 5

    @Flag(help: "Also ask whether the node may answer checks; exits 3, with the reason, if not.")
    var ready = false

    func validate() throws {
        guard count > 0 else { throw ValidationError("--count is greater than zero") }
    }

    func run() async throws {
        try await node.withServer { client in
            for number in 1...count {
                let took = try await client.ping()
                let micros = Double(took.components.attoseconds) / 1e12 + Double(took.components.seconds) * 1e6
                if node.json {
                    Output.json(["number": number, "micros": (micros * 10).rounded() / 10])
                } else {
                    print(String(format: "answer %d after %.0f µs", number, micros))
                }
            }
            if ready { try await requireReady(client) }
        }
    }
}

extension Ping {
    private func requireReady(_ client: ConsentClient) async throws {
        let status = try await client.status()
        if node.json {
            Output.json(["ready": status.isReady, "notReady": status.notReady ?? Output.null])
        } else if status.isReady {
            print("ready")
        }
        if !status.isReady {
            throw Failure(code: Exit.failed, message: "not ready: \(status.notReady ?? "the node does not say why")")
        }
    }
}

struct Verify: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Prove that ledger and index agree.",
        discussion: """
            Replays the ledger from its first event: the hash chain, the decision function over every history, and all \
            that is kept beside it: the index row by row, and the map of idempotency keys. A server may be running. \
            Exits 0 if all agree, 6 if anything does not, or the ledger cannot be read. A ledger that is damaged stops \
            the server and keeps the node closed; when all agree again, it may be opened. With --json it prints the hash \
            of the ledger's end.

            The chain is also held against the signed checkpoints in the node's folder, and against those that you name \
            with --checkpoint: so it shows, too, if somebody made the chain anew, or cut off its end. A file that is of \
            another node, is not signed by this one's key (or the one of --key), or was changed, is refused with 5.

            EXAMPLES
              consentd verify --data club
              consentd verify --data club --json
              consentd verify --data club --checkpoint /mnt/elsewhere/club.checkpoints
            """)

    @OptionGroup var node: FolderOptions

    @Option(help: "File with checkpoints that were kept elsewhere, one a line; may be given several times.")
    var checkpoint: [String] = []

    @OptionGroup var signer: SignerOptions

    func run() async throws {
        try await reportingFailures {
            let folder = try node.existingFolder()
            let kept = try readCheckpoints(checkpoint)
            let bar = ProgressBar("Verifying", unit: "events")
            let report = try verify(folder, checkpoints: kept, key: signer.key) { done, all in
                bar.show(Int(done), of: Int(all))
            }
            bar.finish(Int(report.events))
            if node.json {
                Output.json([
                    "sound": report.isSound, "events": report.events, "subjects": report.subjects,
                    "identifiers": report.identifiers, "changedMeanwhile": report.changedMeanwhile,
                    "checkpoints": report.checkpoints, "signedThrough": report.signedThrough,
                    "rowsBehind": report.rowsBehind, "reopened": report.isReopened,
                    "ledgerDamage": report.ledgerDamage ?? Output.null,
                    "headHash": report.headHash.map { String(format: "%02x", $0) }.joined(),
                    "problemCount": report.problemCount, "problems": report.problems,
                ])
            } else {
                for problem in report.problems { Output.error("consentd: \(problem)") }
                if report.problemCount > report.problems.count {
                    Output.error("consentd: and \(report.problemCount - report.problems.count) more")
                }
                print(
                    (report.isSound ? "sound: " : "NOT SOUND: ")
                        + [
                            Output.counted(report.events, "event"), Output.counted(report.subjects, "subject"),
                            Output.counted(report.identifiers, "identifier"),
                        ].joined(separator: ", ")
                        + (kept.isEmpty
                            ? ""
                            : ", \(Output.counted(report.checkpoints, "checkpoint")) to event \(report.signedThrough)")
                        + (report.changedMeanwhile > 0
                            ? ", \(Output.counted(report.changedMeanwhile, "row")) changed meanwhile" : "")
                        + (report.rowsBehind > 0
                            ? ", \(Output.counted(report.rowsBehind, "row")) behind, which the next start brings up to date"
                            : ""))
            }
            if report.isReopened { Output.error("consentd: the node was closed as damaged, and may be opened again") }
            if !report.isSound { throw Exit.damaged }
        }
    }
}

struct Rebuild: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Make the index and the map of keys anew from the ledger.",
        discussion: """
            Only while no server runs on the node. A server does it by itself when they cannot be trusted. It mends no \
            ledger: of a node that is closed as damaged it says so, and exits with 6.

            EXAMPLE
              consentd rebuild --data club
            """)

    @OptionGroup var node: FolderOptions

    func run() async throws {
        try await reportingFailures {
            let bar = ProgressBar("Rebuilding", unit: "identifiers")
            let start = ContinuousClock.now
            let folder = try node.existingFolder()
            let count = try rebuildIndex(folder) { done, all in bar.show(done, of: all) }
            bar.finish(count)
            let took = ContinuousClock.now - start
            let seconds = Double(took.components.seconds) + Double(took.components.attoseconds) / 1e18
            if node.json {
                Output.json([
                    "identifiers": count, "seconds": (seconds * 1000).rounded() / 1000,
                    "ledgerDamage": try folder.damage() ?? Output.null,
                ])
            } else {
                print("rebuilt \(Output.counted(count, "identifier")) in \(String(format: "%.2f", seconds)) s")
            }
            if let finding = try folder.damage() {
                throw LedgerError.closedAsDamaged(path: folder.damagePath, finding: finding)
            }
        }
    }
}
