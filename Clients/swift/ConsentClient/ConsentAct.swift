import ConsentModel

/// What a person did, to be recorded. A grant names declaration, revision, language and method; a "no" needs a subject
/// and a purpose and nothing else. Consent to several purposes in one act is several of these.
public struct ConsentAct: Hashable, Sendable {
    /// Makes a repetition harmless. Nil is filled in when the act is sent; give one yourself, and keep it, where the act
    /// must survive an error of the request.
    public var key: IdempotencyKey?
    /// The names by which the person is known; the first that the ledger knows decides who it is.
    public var subjects: [Subject]
    public var purpose: String
    public var state: State
    public var party = Party.subject
    /// Who the guardian is, where `party` is one: a consent by a guardian is refused without. Erased with the person.
    public var guardian: Guardian?
    /// When the person acted; nil is when the server records it. The newest by this time decides, so say it wherever acts of
    /// one person may overtake each other. The start of 1970 and what is before it is refused; a "no" that says so counts
    /// from when it is recorded.
    public var capturedAt: Moment?
    /// The end that the act itself names; nil leaves it to the purpose.
    public var expiresAt: Moment?
    /// What the person was shown.
    public var declaration = ""
    public var revision = ""
    /// Of that text, as BCP 47.
    public var language = ""
    public var method = EvidenceMethod.none
    /// Whether the act was an express statement.
    public var isExplicit = false
    /// The person's age in whole years when acting, as far as it is known.
    public var subjectAge: Int?
    /// Where the act was captured.
    public var system = ""
    public var channel = ""
    public var form = ""
    /// Who entered it.
    public var actor = ""
    /// A note or a reference, at most 4096 bytes.
    public var evidence = ""

    public init(_ subject: Subject, purpose: String, state: State) {
        self.init([subject], purpose: purpose, state: state)
    }

    public init(_ subjects: [Subject], purpose: String, state: State) {
        self.subjects = subjects
        self.purpose = purpose
        self.state = state
    }

    /// A consent that was given.
    public static func grant(
        _ subject: Subject, purpose: String, declaration: String, revision: String, language: String,
        method: EvidenceMethod
    ) -> ConsentAct {
        var act = ConsentAct(subject, purpose: purpose, state: .given)
        act.declaration = declaration
        act.revision = revision
        act.language = language
        act.method = method
        return act
    }

    /// A consent that the person ends.
    public static func withdrawal(_ subject: Subject, purpose: String) -> ConsentAct {
        ConsentAct(subject, purpose: purpose, state: .withdrawn)
    }

    /// An objection to a purpose that does not rest on consent.
    public static func objection(_ subject: Subject, purpose: String) -> ConsentAct {
        ConsentAct(subject, purpose: purpose, state: .objected)
    }
}

/// Who consents for a person, and by what right (GDPR art. 8).
public struct Guardian: Hashable, Sendable, CustomStringConvertible {
    public var relation: GuardianRelation
    /// By which the guardian is found: an identifier, or as `other` a reference, such as a case number.
    public var identifier: Subject

    public init(_ relation: GuardianRelation, _ identifier: Subject) {
        self.relation = relation
        self.identifier = identifier
    }

    /// `parent email:kari@example.no`
    public var description: String { "\(relation.name) \(identifier)" }
}

/// Sixteen random bytes, chosen once per act and repeated whenever it is sent again.
public struct IdempotencyKey: Hashable, Sendable, CustomStringConvertible {
    let high: UInt64
    let low: UInt64

    init(_ key: ConsentModel.IdempotencyKey) {
        high = key.high
        low = key.low
    }

    /// Reads 32 hex digits; nil for anything else, and for zero, which stands for no key.
    public init?(_ text: String) {
        guard text.utf8.count == 32, text.utf8.allSatisfy({ $0 != UInt8(ascii: "+") }),
            let high = UInt64(text.prefix(16), radix: 16), let low = UInt64(text.suffix(16), radix: 16), high | low != 0
        else { return nil }
        self.high = high
        self.low = low
    }

    public static func random() -> IdempotencyKey { IdempotencyKey(ConsentModel.IdempotencyKey.random()) }

    /// 32 hex digits.
    public var description: String {
        [high, low].map { word in
            let digits = String(word, radix: 16)
            return String(repeating: "0", count: 16 - digits.count) + digits
        }.joined()
    }
}

/// What became of one act.
public struct RecordOutcome: Hashable, Sendable {
    /// Nil: the act is recorded, durable, and seen by checks.
    public let refusal: ServerErrorCode?
    /// What was wrong, for people.
    public let message: String
    /// Its place in the ledger; zero where it was refused.
    public let sequence: UInt64
    /// The ledger had it already; this is its first answer again.
    public let isDuplicate: Bool
    /// The key that it was sent with.
    public let key: IdempotencyKey?

    public var isRecorded: Bool { refusal == nil }
}
