import ArgumentParser
import ConsentClient
import Foundation

struct Check: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "May a person's data be used for a purpose, now?",
        discussion: """
            One person and one purpose, one person and many purposes, or many people and one purpose. Exits 0 if \
            granted, 1 if denied, 2 if unknown; of several answers, 0 only if all are granted, 1 if any is denied.

            A reason stands for a class, as the index holds three states; 'consentd explain' gives the exact one. Several \
            answers come without reasons, because the protocol has none for them.

            EXAMPLES
              consentd check email:kari@example.no -p newsletter
              consentd check customer:100001 -p newsletter -p profiling
              consentd check customer:100001 customer:100002 -p newsletter
            """)

    @OptionGroup var node: NodeOptions

    @Argument(help: "People, as type:value, for example email:kari@example.no.", transform: readSubject)
    var subjects: [Subject]

    @Option(name: .shortAndLong, help: "Purpose; may be repeated for one person.")
    var purpose: [String]

    func validate() throws {
        guard subjects.count == 1 || purpose.count == 1 else {
            throw ValidationError("ask for several people or for several purposes, not both")
        }
        guard !purpose.isEmpty else { throw ValidationError("name a purpose with --purpose") }
        guard Set(subjects.map(\.type)).count == 1 else {
            throw ValidationError("several people are asked for by one type of identifier")
        }
    }

    func run() async throws {
        var decisions: [Decision] = []
        try await node.withClient { client in
            // The first request of a connection pays for things that later ones do not.
            _ = try await client.ping()
            let start = ContinuousClock.now
            if subjects.count > 1 {
                let answer = try await client.check(subjects, purpose: purpose[0])
                let took = ContinuousClock.now - start
                decisions = answer.decisions
                for (subject, decision) in zip(subjects, answer.decisions) {
                    show(subject, purpose[0], decision, nil, answer.sequence, answer.freshness, took)
                }
            } else if purpose.count > 1 {
                let answer = try await client.check(subjects[0], purposes: purpose)
                let took = ContinuousClock.now - start
                decisions = purpose.map { answer.decision(for: $0) }
                for (purpose, decision) in zip(purpose, decisions) {
                    show(subjects[0], purpose, decision, nil, answer.sequence, answer.freshness, took)
                }
            } else {
                let answer = try await client.check(subjects[0], purpose: purpose[0])
                let took = ContinuousClock.now - start
                decisions = [answer.decision]
                show(subjects[0], purpose[0], answer.decision, answer.reason, answer.sequence, answer.freshness, took)
            }
        }
        if decisions.contains(.denied) { throw Exit.denied }
        if decisions.contains(.unknown) { throw Exit.unknown }
    }

    private func show(
        _ subject: Subject, _ purpose: String, _ decision: Decision, _ reason: Reason?, _ sequence: UInt64,
        _ freshness: Freshness, _ took: Duration
    ) {
        let micros = Double(took.components.attoseconds) / 1e12 + Double(took.components.seconds) * 1e6
        if node.json {
            var object: [String: Any] = [
                "subject": subject.description, "purpose": purpose, "decision": decision.name, "sequence": sequence,
                "freshness": freshness.name, "micros": (micros * 10).rounded() / 10,
            ]
            if let reason { object["reason"] = reason.name }
            Output.json(object)
            return
        }
        var parts = [decision.name.padding(toLength: 8, withPad: " ", startingAt: 0)]
        if let reason { parts.append("reason \(Output.words(reason.name))") }
        parts += [
            "sequence \(sequence)", freshness.name, String(format: "%.0f µs", micros),
            "\(Output.printable(subject.description)) \(purpose)",
        ]
        print(parts.joined(separator: "  "))
    }
}

struct Explain: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Say what decided about a person and a purpose.",
        discussion: """
            Reads the ledger: the exact state, the revision agreed to, the one in force, the end, and the event that decided. \
            It stands in the access log. An edge without --forward-writes says where to ask instead.

            EXAMPLE
              consentd explain customer:100001 -p newsletter
            """)

    @OptionGroup var node: ReadOptions

    @Argument(help: "A person, as type:value.", transform: readSubject)
    var subject: Subject

    @Option(name: .shortAndLong, parsing: .singleValue, help: "Purpose; one.")
    var purpose: [String]

    func validate() throws {
        guard purpose.count == 1 else { throw ValidationError("explain one purpose at a time, with -p") }
    }

    func run() async throws {
        let purpose = purpose[0]
        try await node.withClient { client in
            let answer = try await client.explain(subject, purpose: purpose)
            let rows: [(String, String?)] = [
                ("decision", answer.decision.name), ("reason", answer.reason.name), ("basis", answer.basis.name),
                ("declaration", answer.declaration), ("agreed to revision", answer.consentedRevision),
                ("revision in force", answer.currentRevision), ("ends", answer.expiresAt.map(\.description)),
                ("granted until", answer.grantedUntil.map(\.description)),
                ("decided by event", answer.decidingSequence.map { "\($0)" }),
                ("which was", answer.decidingState?.name), ("captured", answer.decidingCapturedAt.map(\.description)),
                ("guardian", answer.guardian?.identifier.description),
                ("guardian is", answer.guardian.map { Output.words($0.relation.name) }),
                ("sequence", "\(answer.sequence)"), ("freshness", answer.freshness.name),
            ]
            if node.json {
                let keys = [
                    "decision", "reason", "basis", "declaration", "consentedRevision", "currentRevision", "expiresAt",
                    "grantedUntil", "decidingSequence", "decidingState", "decidingCapturedAt", "guardian",
                    "guardianRelation",
                    "sequence", "freshness",
                ]
                var object: [String: Any] = ["subject": subject.description, "purpose": purpose]
                for (key, row) in zip(keys, rows) { object[key] = row.1 ?? Output.null }
                object["sequence"] = answer.sequence
                object["guardianRelation"] = answer.guardian?.relation.name ?? Output.null
                object["decidingSequence"] = answer.decidingSequence ?? Output.null
                Output.json(object)
            } else {
                Output.table([["person", Output.printable(subject.description)], ["purpose", purpose]])
                Output.table(
                    rows.compactMap { name, value in
                        value.map { [name, name == "reason" ? Output.words($0) : Output.printable($0)] }
                    })
            }
        }
    }
}
