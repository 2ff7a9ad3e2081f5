import ArgumentParser
import ConsentClient
import ConsentKernel

/// What every act says.
struct ActOptions: ParsableArguments {
    @Argument(help: "The person, by one or more identifiers, as type:value.", transform: readSubject)
    var subject: [Subject]

    @Option(name: .shortAndLong, help: "Purpose; may be repeated, each is an event of its own.")
    var purpose: [String]

    @Option(
        help: """
            When the person acted, RFC 3339, for example 2026-11-22T10:15:00+01:00 [default: now]. Of a date alone, the \
            end for a withdrawal or objection, the start for everything else.
            """)
    var capturedAt: String?

    @OptionGroup var by: GuardianOptions

    @Option(help: "System that captured the act.")
    var system = "consentd"

    @Option(help: "Channel, for example web, shop or phone.")
    var channel = ""

    @Option(help: "Form or page.")
    var form = ""

    @Option(help: "Who entered it.")
    var actor = ""

    @Option(help: "A note or reference that supports the act; erased with the person.")
    var evidence = ""

    @Option(help: "Idempotency key, 32 hexadecimal digits: the same act sent again is not recorded twice.")
    var key: String?

    func validate() throws {
        guard !purpose.isEmpty else { throw ValidationError("name a purpose with --purpose") }
        if key != nil, purpose.count > 1 { throw ValidationError("--key goes with one purpose") }
        if let key, IdempotencyKey(key) == nil {
            throw ValidationError(
                "--key is 32 hexadecimal digits, not '\(key)'; zeros alone stand for no key, so leave it out or choose "
                    + "another")
        }
    }

    func acts(_ state: State) throws -> [ConsentAct] {
        let capturedAt = state.takesAway ? try endOfMoment() : try moment(self.capturedAt, "--captured-at")
        return purpose.map { purpose in
            var act = ConsentAct(subject, purpose: purpose, state: state)
            act.capturedAt = capturedAt
            act.party = by.isGuardian ? .guardian : .subject
            act.guardian = by.named
            act.system = system
            act.channel = channel
            act.form = form
            act.actor = actor
            act.evidence = evidence
            // It was judged when the command line was read.
            act.key = key.flatMap(IdempotencyKey.init)
            return act
        }
    }
}

/// Whether a guardian acts, and who that is.
struct GuardianOptions: ParsableArguments {
    @Flag(help: "A guardian acts for the person; --guardian-relation and --guardian-id say who, as a consent must.")
    var guardian = false

    @Option(help: "What the guardian is to the person: parent, legal_guardian or institution.", transform: readRelation)
    var guardianRelation: GuardianRelation?

    @Option(
        help: """
            Who the guardian is, as type:value; other:REFERENCE for a reference, such as a case number. Erased with the \
            person.
            """, transform: readSubject)
    var guardianId: Subject?

    func validate() throws {
        guard (guardianRelation == nil) == (guardianId == nil) else {
            throw ValidationError("--guardian-relation and --guardian-id go together")
        }
    }

    var isGuardian: Bool { guardian || named != nil }

    var named: Guardian? {
        guard let guardianRelation, let guardianId else { return nil }
        return Guardian(guardianRelation, guardianId)
    }
}

private func readRelation(_ text: String) throws -> GuardianRelation {
    guard let relation = GuardianRelation(name: text) else {
        throw ValidationError("--guardian-relation is one of \(GuardianRelation.names)")
    }
    return relation
}

extension ActOptions {
    private static let dateSize = 10
    private static let dayMillis: Int64 = 86_400_000

    /// When a "no" was said. A date alone is the whole day, and the "no" counts from its end, so that no grant of that day
    /// outranks it; but never from later than now, which is what nil says.
    private func endOfMoment() throws -> Moment? {
        // The start of 1970 is what systems write for "unknown".
        guard var moment = try moment(capturedAt, "--captured-at"), moment.millis > 0 else { return nil }
        if capturedAt?.utf8.count == Self.dateSize { moment.millis += Self.dayMillis - 1 }
        return moment.millis > Clock.realtimeMillis() ? nil : moment
    }
}

private func moment(_ text: String?, _ option: String) throws -> Moment? {
    guard let text else { return nil }
    guard let moment = Moment(text) else {
        throw ValidationError("\(option): '\(text)' is not a time such as 2026-11-22T10:15:00Z")
    }
    return moment
}

/// Records acts and says what became of each; exits with `refused` if a rule refused one.
///
/// - Parameter issuesToken: also one that confirms all of them that want double opt-in.
private func record(_ acts: [ConsentAct], _ node: NodeOptions, issuesToken: Bool = false) async throws {
    var isRefused = false
    try await node.withClient { client in
        let confirmed = issuesToken ? try await purposesToConfirm(acts, client) : []
        for (act, outcome) in zip(acts, try await client.record(acts)) {
            isRefused = isRefused || outcome.refusal != nil
            let people = act.subjects.map(\.description).joined(separator: " ")
            if node.json {
                var object: [String: Any] = ["purpose": act.purpose, "state": act.state.name, "subject": people]
                object["sequence"] = outcome.sequence
                object["duplicate"] = outcome.isDuplicate
                object["refused"] = outcome.refusal?.name ?? Output.null
                object["message"] = outcome.message
                Output.json(object)
            } else if let refusal = outcome.refusal {
                Output.error(
                    "refused   \(act.purpose): \(Output.printable(outcome.message)) (\(Output.words(refusal.name)))")
            } else {
                let word = outcome.isDuplicate ? "known" : "recorded"
                print("\(word)  \(act.state.name) \(act.purpose)  sequence \(outcome.sequence)")
            }
        }
        if !isRefused, issuesToken {
            Output.token(try await client.issueToken(acts[0].subjects[0], purposes: confirmed), json: node.json)
        }
    }
    if isRefused { throw Exit.refused }
}

/// - Throws: ``Failure`` if there is none; then nothing was recorded.
private func purposesToConfirm(_ acts: [ConsentAct], _ client: ConsentClient) async throws -> [String] {
    let known = try await client.purposes()
    let wanted = acts.map(\.purpose).filter { id in known.contains { $0.id == id && $0.requiresDoubleOptIn } }
    guard !wanted.isEmpty else {
        throw Failure(code: Exit.refused, message: "no token is needed: none of the purposes wants double opt-in")
    }
    return wanted
}

struct Grant: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Record that a person agreed.",
        discussion: """
            EXAMPLE
              consentd grant customer:100003 email:ola@example.no -p newsletter \\
                --declaration club-membership-marketing --revision 1.2 --language nb \\
                --method double_opt_in
              consentd grant customer:100010 -p junior-club --age 11 \\
                --guardian-relation parent --guardian-id email:kari@example.no \\
                --declaration junior-club --revision 1.0 --language nb --method ticked_box
            """)

    @OptionGroup var node: NodeOptions
    @OptionGroup var act: ActOptions

    @Option(help: "Declaration that the person was shown.")
    var declaration: String

    @Option(help: "Its revision.")
    var revision: String

    @Option(help: "Language in which it was shown, for example nb.")
    var language: String

    @Option(help: "How the person acted: ticked_box, button, signature, spoken, double_opt_in, paper, electronic_id.")
    var method: String

    @Option(help: "When the consent ends, RFC 3339 [default: by the purpose's validity].")
    var expiresAt: String?

    @Flag(help: "The act was an express statement.")
    var explicit = false

    @Option(help: "The person's age in years.")
    var age: Int?

    @Flag(help: "Also issue a token by which the person confirms it; see 'issue-token'.")
    var issueToken = false

    func validate() throws {
        if let age, !(0...150).contains(age) { throw ValidationError("--age is 0 to 150 years, not \(age)") }
    }

    func run() async throws {
        guard let method = EvidenceMethod(name: method) else {
            throw ValidationError("--method is one of \(EvidenceMethod.names)")
        }
        var acts = try act.acts(.given)
        for position in acts.indices {
            acts[position].declaration = declaration
            acts[position].revision = revision
            acts[position].language = language
            acts[position].method = method
            acts[position].expiresAt = try moment(expiresAt, "--expires-at")
            acts[position].isExplicit = explicit
            acts[position].subjectAge = age
        }
        try await record(acts, node, issuesToken: issueToken)
    }
}

struct Withdraw: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Record that a person withdrew; with --guardian, that a guardian did.",
        discussion: """
            EXAMPLE
              consentd withdraw email:kari@example.no -p newsletter
            """)

    @OptionGroup var node: NodeOptions
    @OptionGroup var act: ActOptions

    func run() async throws { try await record(act.acts(act.by.isGuardian ? .revoked : .withdrawn), node) }
}

struct Object: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Record an objection (GDPR art. 21), or with --lift its end.",
        discussion: """
            EXAMPLES
              consentd object customer:100001 -p register-cleaning
              consentd object customer:100001 -p register-cleaning --lift
            """)

    @OptionGroup var node: NodeOptions
    @OptionGroup var act: ActOptions

    @Flag(help: "The person lifts the objection.")
    var lift = false

    func run() async throws { try await record(act.acts(lift ? .objectionLifted : .objected), node) }
}

struct Confirm: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Record that a person confirmed the grant before it (double opt-in), or a guardian did.",
        discussion: """
            EXAMPLE
              consentd confirm email:ola@example.no -p newsletter
            """)

    @OptionGroup var node: NodeOptions
    @OptionGroup var act: ActOptions

    func run() async throws { try await record(act.acts(.confirmed), node) }
}
