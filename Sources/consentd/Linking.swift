import ArgumentParser
import ConsentClient

struct Link: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Link an identifier, such as a cookie, with a person who turns out to be behind it.",
        discussion: """
            All that was recorded for the identifier becomes the person's, and so do the identifiers that came with it. A \
            "no" wins: where one side said no to a purpose and the other something later, the link itself says no, until \
            the person agrees anew. Two people are not linked: exits 5 if both have a customer number, or both a national \
            id, and if one of them was erased.

            EXAMPLES
              consentd link cookie:f3a1 --to customer:100001
              consentd link device:38400000 --to email:kari@example.no --as login
            """)

    @OptionGroup var node: NodeOptions

    @Argument(help: "The identifier, as type:value.", transform: readSubject)
    var identifier: Subject

    @Option(name: .customLong("to"), help: "The person, by an identifier that is known.", transform: readSubject)
    var person: Subject

    @Option(name: .customLong("as"), help: "Who carries it out; stays in the ledger.")
    var actor = ""

    func run() async throws {
        try await node.withClient { client in
            let outcome = try await client.link(identifier, to: person, by: actor)
            if node.json {
                Output.json(object(outcome))
            } else if let sequence = outcome.sequence {
                print("linked  " + Output.counted(outcome.identifiers, "identifier") + "  sequence \(sequence)")
                for purpose in outcome.denied { print("a no wins  \(purpose)") }
            } else {
                print("known  they are one person's already")
            }
        }
    }
}

struct Unlink: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Take an identifier off its person.",
        discussion: """
            It is unknown from then on, but each "no" that stood stands for it on. The person keeps all that was recorded, \
            and the history of the identifier begins anew. Exits 5 if the person is known by nothing else.

            EXAMPLES
              consentd unlink cookie:f3a1
              consentd unlink email:kari@example.no --as clerk-7 --json
            """)

    @OptionGroup var node: NodeOptions

    @Argument(help: "The identifier, as type:value.", transform: readSubject)
    var identifier: Subject

    @Option(name: .customLong("as"), help: "Who carries it out; stays in the ledger.")
    var actor = ""

    func run() async throws {
        try await node.withClient { client in
            let outcome = try await client.unlink(identifier, by: actor)
            if node.json {
                Output.json(object(outcome))
            } else {
                print("unlinked  sequence \(outcome.sequence ?? 0)")
                for purpose in outcome.denied { print("a no stands  \(purpose)") }
            }
        }
    }
}

private func object(_ outcome: LinkingOutcome) -> [String: Any] {
    [
        "sequence": outcome.sequence ?? Output.null, "recordedAt": outcome.recordedAt.description,
        "identifiers": outcome.identifiers, "denied": outcome.denied,
        "hash": outcome.hash.hex,
    ]
}

extension LinkEntry.Action {
    /// As commands print it.
    var name: String {
        switch self {
        case .linked: "linked"
        case .joinedTo: "joined_to"
        case .unlinked: "unlinked"
        case .separated: "separated"
        }
    }
}

/// What linked or unlinked identifiers, as all commands print it.
func linkObject(_ entry: LinkEntry) -> [String: Any] {
    [
        "sequence": entry.sequence, "recordedAt": entry.recordedAt.description, "state": entry.action.name,
        "person": entry.other ?? Output.null, "identifiers": entry.subjects.map(\.description), "actor": entry.actor,
        "hash": entry.hash.hex,
    ]
}

extension [UInt8] {
    fileprivate var hex: String { map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined() }
}
