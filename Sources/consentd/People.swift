import ArgumentParser
import ConsentCatalog
import ConsentClient
import ConsentKernel
import ConsentModel
import ConsentWire
import Foundation

/// What all lists of people print.
struct PeopleOptions: ParsableArguments {
    @OptionGroup var node: ReadOptions

    @Option(help: "Print only identifiers of this type, and leave out people who have none.")
    var type: String?

    func validate() throws {
        if let type, ConsentModel.IdentifierType(name: type) == nil {
            throw ValidationError("--type is one of \(ConsentModel.IdentifierType.names)")
        }
    }
}

extension PeopleOptions {
    /// Prints the answer page by page as it comes, so that a list of any length takes the same memory.
    ///
    /// - Parameters:
    ///   - since: what the column of the first moment is called; nil for a list of identifiers alone.
    ///   - until: of the second.
    func list(_ question: PeopleQuestion, since: String? = nil, until: String = "ENDS") async throws {
        try await node.withClient { client in
            var question = question
            var (people, last) = (0, UInt64(0))
            var hasHeader = false
            while true {
                let page = try await client.people(question)
                let found = page.people.compactMap(ofType)
                for person in found where person.subject != last {
                    people += 1
                    last = person.subject
                }
                if node.json {
                    for person in found { Output.json(object(person)) }
                } else if let since {
                    let header = ["PERSON", "PURPOSE", "STATE", "REVISION", since, until]
                    Output.table((hasHeader || found.isEmpty ? [] : [header]) + found.map(row))
                    hasHeader = hasHeader || !found.isEmpty
                } else {
                    for person in found { print(names(person)) }
                }
                guard page.hasMore else { break }
                question.after = page.next
                // All pages are of one state of the ledger where the question can say so.
                if question.asOf == 0 { question.asOf = question.selection == .active ? page.head : 0 }
            }
            if !node.json { Output.error(Output.counted(people, "person", "people")) }
        }
    }

    private func ofType(_ person: FoundPerson) -> FoundPerson? {
        guard let type else { return person }
        var person = person
        person.identifiers = person.identifiers.filter { $0.type.name == type }
        return person.identifiers.isEmpty ? nil : person
    }

    private func names(_ person: FoundPerson) -> String {
        let names = person.identifiers.map { Output.printable($0.text) }.joined(separator: " ")
        return names.isEmpty ? "person \(person.subject)" : names
    }

    private func row(_ person: FoundPerson) -> [String] {
        [
            names(person), person.purpose, Output.words(person.state.name), person.revision?.text ?? "",
            person.since?.iso8601 ?? "", person.until?.iso8601 ?? "",
        ]
    }

    private func object(_ person: FoundPerson) -> [String: Any] {
        [
            "person": person.subject, "identifiers": person.identifiers.map(\.text), "purpose": person.purpose,
            "state": person.state.name, "declaration": person.revision?.declaration ?? Output.null,
            "revision": person.revision?.revision ?? Output.null, "since": person.since?.iso8601 ?? Output.null,
            "until": person.until?.iso8601 ?? Output.null,
        ]
    }
}

struct Audience: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "List everybody who may be addressed for a purpose, or count them.",
        discussion: """
            One person a line, with all identifiers. Whoever withdraws while the list is made or used is still in it: \
            check each person again before each use. --count counts identifiers, in the index, and is done at once.

            EXAMPLES
              consentd audience -p newsletter --type email
              consentd audience -p newsletter --not profiling --json
              consentd audience -p newsletter --count
            """)

    @OptionGroup var people: PeopleOptions

    @Option(name: .shortAndLong, help: "Purpose that must be granted.")
    var purpose: String

    @Option(help: "Purpose that must not be granted.")
    var not: String?

    @Flag(help: "Count identifiers instead of listing people.")
    var count = false

    func validate() throws {
        guard !count || people.type == nil else { throw ValidationError("--count does not know types") }
    }

    func run() async throws {
        guard count else {
            var question = PeopleQuestion(.audience)
            question.purpose = purpose
            question.except = not ?? ""
            return try await people.list(question)
        }
        try await people.node.withClient { client in
            let counted = try await client.countGranted(purpose, except: not)
            if people.node.json {
                Output.json(["granted": counted.granted, "known": counted.known, "sequence": counted.sequence])
            } else {
                print("\(counted.granted) of \(Output.counted(counted.known, "identifier"))")
            }
        }
    }
}

struct Reconsent: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "List whom to ask for a consent, and why.",
        discussion: """
            Reasons: unknown (never asked), requested (asked, without an answer that counts), expired, outdated (agreed \
            to a revision that the current one is not compatible with), dormant (granted, but nothing the person did is \
            newer than --dormant-after). Who said no is in no list.

            EXAMPLES
              consentd reconsent -p newsletter
              consentd reconsent -p newsletter --why expired --why outdated --json
              consentd reconsent -p newsletter --why dormant --dormant-after P18M
            """)

    @OptionGroup var people: PeopleOptions

    @Option(name: .shortAndLong, help: "Purpose to ask for.")
    var purpose: String

    @Option(help: "unknown, requested, expired, outdated or dormant; may be repeated [default: all].")
    var why: [String] = []

    @Option(help: "Silence that makes dormant, an ISO 8601 period.")
    var dormantAfter = "P2Y"

    private static let reasons: [String: AskAgainReasons] = [
        "unknown": .unknown, "requested": .requested, "expired": .expired, "outdated": .outdated, "dormant": .dormant,
    ]

    func validate() throws {
        for name in why where Self.reasons[name] == nil {
            throw ValidationError("--why: '\(name)' is none of \(Self.reasons.keys.sorted().joined(separator: ", "))")
        }
        _ = try period(dormantAfter, "--dormant-after")
    }

    func run() async throws {
        var question = PeopleQuestion(.askAgain)
        question.purpose = purpose
        question.reasons = why.isEmpty ? .all : AskAgainReasons(why.compactMap { Self.reasons[$0] })
        question.until = systemNow.advanced(bySeconds: -(try period(dormantAfter, "--dormant-after").seconds))
        try await people.list(question, since: "SINCE")
    }
}

struct Ending: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "List consents that end soon if nobody acts.",
        discussion: """
            By their own period, or because a revision takes effect that they do not carry over to.

            EXAMPLES
              consentd ending --within P30D
              consentd ending -p newsletter --within P90D --json
            """)

    @OptionGroup var people: PeopleOptions

    @Option(name: .shortAndLong, help: "Only this purpose.")
    var purpose: String?

    @Option(help: "How soon, an ISO 8601 period.")
    var within = "P30D"

    func validate() throws { _ = try period(within, "--within") }

    func run() async throws {
        var question = PeopleQuestion(.ending)
        question.purpose = purpose ?? ""
        question.until = systemNow.advanced(bySeconds: try period(within, "--within").seconds)
        try await people.list(question, since: "SINCE")
    }
}

struct ComingOfAge: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "List whose guardian consented, and who are to be asked themselves as they come of age.",
        discussion: """
            By the age that was stated when the guardian consented: whoever has certainly reached the purpose's minimum \
            age by then. Who is of age already is listed, too, until they have agreed themselves. Of whom no age was \
            stated, nothing is known.

            EXAMPLES
              consentd coming-of-age --within P30D
              consentd coming-of-age -p junior-club --within P90D --json
            """)

    @OptionGroup var people: PeopleOptions

    @Option(name: .shortAndLong, help: "Only this purpose.")
    var purpose: String?

    @Option(help: "How soon, an ISO 8601 period.")
    var within = "P30D"

    func validate() throws { _ = try period(within, "--within") }

    func run() async throws {
        var question = PeopleQuestion(.comingOfAge)
        question.purpose = purpose ?? ""
        question.until = systemNow.advanced(bySeconds: try period(within, "--within").seconds)
        try await people.list(question, since: "SINCE", until: "OF AGE")
    }
}

struct Breach: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "List whom a breach touched: who had what active in a window of time.",
        discussion: """
            Each moment is judged by what was recorded up to it and by the catalog in force then: what checks were \
            answered. --as-of leaves out what was recorded after a sequence. With --recipient, only what was disclosed \
            to that recipient: by the revision that the person agreed to or the one in force then. Without purpose and \
            recipient, only what rests on consent is listed.

            EXAMPLES
              consentd breach --from 2026-11-01 --until 2026-11-03T12:00:00Z
              consentd breach --from 2026-11-01 --recipient brevduva-digital
              consentd breach --from 2026-11-01 --until 2026-11-03 -p newsletter \\
                --as-of 100000 --json
            """)

    @OptionGroup var people: PeopleOptions

    @Option(help: "First moment of the window, RFC 3339; a date alone is its start.")
    var from: String

    @Option(help: "Last moment of the window; a date alone is its end [default: now].")
    var until: String?

    @Option(name: .shortAndLong, help: "Only this purpose.")
    var purpose: String?

    @Option(help: "Only what was disclosed to this recipient.")
    var recipient: String?

    @Option(help: "Only what was recorded up to this sequence.")
    var asOf: UInt64?

    func validate() throws {
        guard try readMoment(from, "--from") <= end() else { throw ValidationError("--until is before --from") }
        guard asOf != 0 else { throw ValidationError("--as-of is greater than zero") }
    }

    private func end() throws -> Timestamp {
        guard let until else { return systemNow }
        let moment = try readMoment(until, "--until")
        let isDate = until.utf8.count == 10
        return isDate ? Timestamp(millis: moment.advanced(bySeconds: 86_400).millis - 1) : moment
    }

    func run() async throws {
        var question = PeopleQuestion(.active)
        question.from = try readMoment(from, "--from")
        question.until = try end()
        question.purpose = purpose ?? ""
        question.recipient = recipient ?? ""
        question.asOf = asOf ?? 0
        try await people.list(question, since: "ACTIVE FROM", until: "UNTIL")
    }
}

struct Notices: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "List who must be told of a revision and asked again.",
        discussion: """
            Those whose consent counts until the revision takes effect and does not carry over to it. --catalog judges \
            by a file that is not applied yet.

            EXAMPLES
              consentd notices club-membership-marketing 1.2
              consentd notices club-membership-marketing 2.0 --catalog next.yaml
            """)

    @OptionGroup var people: PeopleOptions

    @Argument(help: "Declaration.") var declaration: String
    @Argument(help: "Its revision.") var revision: String
    @Option(help: "Catalog file to judge by instead of the applied one.") var catalog: String?

    func run() async throws {
        try await reportingFailures {
            var question = PeopleQuestion(.outdatedBy)
            question.revision = RevisionName(declaration: declaration, revision: revision)
            if let catalog { question.document = try readCatalog(catalog).text }
            try await people.list(question, since: "SINCE")
        }
    }
}

private var systemNow: Timestamp { Timestamp(millis: Clock.realtimeMillis()) }

/// An ISO 8601 period, also as people write it: `2y` is `P2Y`.
func period(_ text: String, _ option: String) throws -> Period {
    let isShort = text.first?.isNumber ?? false
    guard let period = Period(iso8601: isShort ? "P" + text.uppercased() : text) else {
        throw ValidationError("\(option): '\(text)' is not a period such as P30D, P18M or 2y")
    }
    return period
}

func readMoment(_ text: String, _ option: String) throws -> Timestamp {
    guard let moment = Timestamp(iso8601: text) else {
        throw ValidationError("\(option): '\(text)' is not a time such as 2026-11-22T10:15:00Z")
    }
    return moment
}
