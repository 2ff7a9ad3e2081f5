import ArgumentParser
import ConsentClient
import ConsentModel
import ConsentWire
import Foundation

/// For commands that read personal data from the ledger: who reads stands in its access log.
struct ReadOptions: ParsableArguments {
    @OptionGroup var node: NodeOptions

    @Option(
        name: .customLong("as"),
        help:
            "Who reads, an account or a role; stays in the access log [env: CONSENTD_ACTOR; default: this user's name]."
    )
    var actor: String = Self.named ?? NSUserName()

    private static var named: String? {
        ProcessInfo.processInfo.environment["CONSENTD_ACTOR"].flatMap { $0.isEmpty ? nil : $0 }
    }

    var json: Bool { node.json }

    func validate() throws {
        guard actor.contains(where: { !$0.isWhitespace }) else { throw ValidationError("--as names who reads") }
    }

    /// As ``NodeOptions/withClient(as:_:)``.
    func withClient(_ body: (ConsentClient) async throws -> Void) async throws {
        try await node.withClient(as: actor, body)
    }
}

struct AccessLog: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "access-log",
        abstract: "List who read personal data, what, and when.",
        discussion: """
            Every read of personal data is in the ledger, under its hash chain, before its answer is given: explain, \
            history, access, the lists of people, proofs, receipts, and this log. Plain checks are not. PERSON is the \
            person's number in the ledger; a person that is named here is found by any identifier, and only reads about \
            that person alone are listed. ROWS are events or people that were given; a list of many pages has one \
            entry each.

            EXAMPLES
              consentd access-log
              consentd access-log email:kari@example.no --json
              consentd access-log --actor clerk-7 --since 2026-11-01 --until 2026-12-01
            """)

    @OptionGroup var reading: ReadOptions

    @Argument(help: "A person, as type:value.", transform: readSubject)
    var subject: Subject?

    @Option(help: "Only reads at this moment or later, RFC 3339; a date alone is its start.")
    var since: String?

    @Option(help: "Only reads before this moment.")
    var until: String?

    @Option(help: "Only reads by this account or role.")
    var actor: String?

    @Option(help: "Only entries after this sequence.")
    var after: UInt64 = 0

    func validate() throws {
        let (since, until) = try moments()
        if let since, let until, until <= since { throw ValidationError("--until is not after --since") }
    }

    private func moments() throws -> (since: Timestamp?, until: Timestamp?) {
        (try since.map { try readMoment($0, "--since") }, try until.map { try readMoment($0, "--until") })
    }

    func run() async throws {
        var question = AccessLogQuestion()
        (question.since, question.until) = try moments()
        (question.actor, question.after) = (actor ?? "", after)
        try await reading.withClient { client in
            var hasHeader = false
            while true {
                let page = try await client.accessPage(question, about: subject)
                if reading.json {
                    for access in page.entries { Output.json(object(access)) }
                } else if !page.entries.isEmpty {
                    let header = ["SEQUENCE", "AT", "ACTOR", "CLIENT", "READ", "PERSON", "ROWS", "ASKED"]
                    Output.table((hasHeader ? [] : [header]) + page.entries.map(row))
                    hasHeader = true
                }
                guard page.hasMore else { break }
                question.after = page.next
            }
        }
    }

    private func object(_ access: RecordedAccess) -> [String: Any] {
        let entry = access.entry
        return [
            "sequence": access.sequence, "at": access.recordedAt.iso8601, "actor": entry.reader.actor,
            "client": entry.reader.client, "read": entry.question.name, "rows": entry.rows,
            "person": entry.subject == 0 ? Output.null : entry.subject,
            "unknownPerson": entry.identifierHash.allSatisfy { $0 == 0 }
                ? Output.null : entry.identifierHash.map { String(format: "%02x", $0) }.joined(),
            "asked": Dictionary(uniqueKeysWithValues: asked(entry)),
        ]
    }

    private func row(_ access: RecordedAccess) -> [String] {
        let entry = access.entry
        let person = entry.identifierHash.allSatisfy { $0 == 0 } ? "" : "unknown"
        return [
            "\(access.sequence)", access.recordedAt.iso8601, entry.reader.actor, entry.reader.client,
            Output.words(entry.question.name), entry.subject == 0 ? person : "\(entry.subject)", "\(entry.rows)",
            asked(entry).map { "\($0.0) \($0.1)" }.joined(separator: ", "),
        ].map(Output.printable)
    }

    private func asked(_ entry: AccessEntry) -> [(String, String)] {
        [
            ("purpose", entry.purpose), ("except", entry.except), ("declaration", entry.declaration),
            ("revision", entry.revision), ("recipient", entry.recipient), ("from", entry.from?.iso8601 ?? ""),
            ("until", entry.until?.iso8601 ?? ""), ("event", entry.about == 0 ? "" : "\(entry.about)"),
            ("after", entry.after == 0 ? "" : "\(entry.after)"),
        ].filter { !$0.1.isEmpty }
    }
}
