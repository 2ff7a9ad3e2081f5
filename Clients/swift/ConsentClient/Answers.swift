/// The answer to one check.
public struct Check: Hashable, Sendable {
    public let decision: Decision
    /// Stands for its class: a check never says `refused` or `revoked`, but `withdrawn`.
    public let reason: Reason
    public let freshness: Freshness
    /// The state of the ledger that the answer rests on.
    public let sequence: UInt64

    public var isGranted: Bool { decision == .granted }
}

/// What one subject permits of several purposes.
public struct PurposeChecks: Hashable, Sendable {
    /// As asked.
    public let purposes: [String]
    /// In the order of ``purposes``.
    public let decisions: [Decision]
    public let freshness: Freshness
    public let sequence: UInt64

    /// Unknown for a purpose that was not asked for.
    public func decision(for purpose: String) -> Decision {
        purposes.firstIndex(of: purpose).map { decisions[$0] } ?? .unknown
    }

    public func isGranted(_ purpose: String) -> Bool { decision(for: purpose) == .granted }
}

/// Which of many subjects permit one purpose.
public struct SubjectChecks: Hashable, Sendable {
    /// In the order of the subjects.
    public let decisions: [Decision]
    /// The least fresh, where several frames were needed.
    public let freshness: Freshness
    /// The oldest, where several frames were needed.
    public let sequence: UInt64

    public var count: Int { decisions.count }
    public var grantedCount: Int { decisions.count { $0 == .granted } }

    public subscript(position: Int) -> Decision { decisions[position] }

    public func isGranted(_ position: Int) -> Bool { decisions[position] == .granted }
}

/// A decision with everything that led to it.
public struct Explanation: Hashable, Sendable {
    public let decision: Decision
    /// The exact one.
    public let reason: Reason
    public let freshness: Freshness
    public let basis: LawfulBasis
    /// The head of the ledger that was read.
    public let sequence: UInt64
    /// What the deciding event states; nil, as the other fields, where no event decided.
    public let decidingState: State?
    public let decidingSequence: UInt64?
    public let decidingCapturedAt: Moment?
    /// The end of the consent's period.
    public let expiresAt: Moment?
    /// The first moment at which the answer may stop being granted, though nobody acts.
    public let grantedUntil: Moment?
    public let declaration: String?
    /// The revision that the person agreed to.
    public let consentedRevision: String?
    public let currentRevision: String?
    /// Who acted for the person, or confirmed what the person did; nil where no guardian is named.
    public let guardian: Guardian?
}

/// How many may be addressed.
public struct AudienceCount: Hashable, Sendable {
    /// Identifiers, not people: most people have several.
    public let granted: Int
    /// All identifiers that are known.
    public let known: Int
    /// Everything up to it is counted.
    public let sequence: UInt64
}

/// What an erasure did: what a certificate states.
public struct ErasureOutcome: Hashable, Sendable {
    /// Of the erasure's event.
    public let sequence: UInt64
    public let erasedAt: Moment
    /// SHA-256 of the ledger's chain at this event.
    public let hash: [UInt8]
    public let reason: ErasureReason
    /// Who carried it out.
    public let actor: String
    /// Events that lost their identifiers and evidence.
    public let emptiedEvents: Int
    /// The person had been erased already; this is that erasure.
    public let isRepeated: Bool
    /// Somebody reads the database, and its log may still hold what was erased. The server goes on removing it.
    public let isPending: Bool
    /// Purposes for which a "no" stands as an objection, as before.
    public let objections: [String]
    /// What is kept so that the person does not come back by an import: for each identifier its type and keyed hash.
    public let suppressed: [SuppressedIdentifier]

    public struct SuppressedIdentifier: Hashable, Sendable {
        public let type: IdentifierType
        /// 16 bytes.
        public let hash: [UInt8]
    }
}

/// That somebody read personal data.
public struct AccessLogEntry: Hashable, Sendable {
    /// Of its event in the ledger.
    public let sequence: UInt64
    /// When the answer was given, or a moment before.
    public let recordedAt: Moment
    /// The account or role; empty where the client did not say.
    public let actor: String
    /// What the client calls itself.
    public let client: String
    public let question: AccessQuestion
    /// Events or people that were given.
    public let rows: Int
    /// Number of the person that it was about; nil for lists, and for somebody who is not known.
    public let subject: UInt64?
    /// The purpose that was asked for; empty where none was.
    public let purpose: String
}

/// What linking or unlinking an identifier did.
public struct LinkingOutcome: Hashable, Sendable {
    /// Of the event in the person's history; nil if the identifier was the person's already.
    public let sequence: UInt64?
    public let recordedAt: Moment
    /// SHA-256 of the ledger's chain at this event; zeros if there is none.
    public let hash: [UInt8]
    /// How many identifiers changed hands.
    public let identifiers: Int
    /// Of a link: purposes for which one side said no and the other something later, so that the link says no. Of an
    /// unlinking: purposes for which a "no" stands for the identifier.
    public let denied: [String]
}

/// What linked or unlinked identifiers of a person, as a history tells it.
public struct LinkEntry: Hashable, Sendable {
    public enum Action: UInt8, Hashable, Sendable, CaseIterable {
        /// Identifiers came to this person, and with them all that was recorded for them.
        case linked = 1
        /// This history became part of another one.
        case joinedTo = 2
        /// One was taken off this person.
        case unlinked = 3
        /// This history began with one that was taken off another person.
        case separated = 4
    }

    public let sequence: UInt64
    public let recordedAt: Moment
    public let action: Action
    /// The other side's number in the ledger; nil if there is none.
    public let other: UInt64?
    /// Those that were named; of a national id only its hash.
    public let subjects: [Subject]
    /// Who carried it out.
    public let actor: String
    /// SHA-256 of the ledger's chain at this event.
    public let hash: [UInt8]
}

/// Something that was recorded about a person.
public enum TimelineEntry: Hashable, Sendable {
    case act(HistoryEntry)
    case link(LinkEntry)

    public var sequence: UInt64 {
        switch self {
        case .act(let entry): entry.sequence
        case .link(let entry): entry.sequence
        }
    }
}

/// A token that confirms what a person has requested, as it is handed out, once.
public struct ConfirmationToken: Hashable, Sendable {
    /// For the person alone: 43 characters that fit into an address of the web. Do not log it.
    public let token: String
    /// Until when it counts.
    public let endsAt: Moment
    /// The sequences of the grants that it confirms.
    public let events: [UInt64]
}

/// A consent that a token has confirmed.
public struct ConfirmedConsent: Hashable, Sendable {
    /// Of the confirmation.
    public let sequence: UInt64
    /// Of the grant.
    public let refersTo: UInt64
    public let purpose: String
    /// That the grant names.
    public let declaration: String
    public let revision: String
}

/// One event of a subject's history.
public struct HistoryEntry: Hashable, Sendable {
    public let sequence: UInt64
    public let recordedAt: Moment
    /// What was recorded: capture time filled in, identifiers in normal form.
    public let act: ConsentAct
    /// The grant that a `confirmed` or `expired` event names.
    public let refersTo: UInt64?
    /// SHA-256 of the ledger's chain at this event.
    public let hash: [UInt8]
}

/// A purpose of the catalog.
public struct PurposeInfo: Hashable, Sendable {
    /// Its name in every request.
    public let id: String
    /// Its place in every bitset: assigned once, never reused.
    public let bit: Int
    public let controller: String
    public let basis: LawfulBasis
    /// Otherwise it is retired.
    public let isActive: Bool
    public let requiresExplicit: Bool
    public let requiresDoubleOptIn: Bool
    public let isProfiling: Bool
    public let isDirectMarketing: Bool
    public let isSharing: Bool
}

/// What applying a catalog did, or would do.
public struct CatalogOutcome: Hashable, Sendable {
    /// Of the catalog, after the change.
    public let version: Int
    /// Of the event that records the change; nil for a dry run, or where nothing changed.
    public let sequence: UInt64?
    /// For people, one each.
    public let changes: [String]
    public let isDryRun: Bool
}

/// The server, as it introduced itself on the newest connection.
public struct ServerInfo: Hashable, Sendable {
    public let name: String
    public let version: String
    public let protocolVersion: Int
    /// 32 hex digits.
    public let deployment: String
    /// 32 hex digits. Sequences of different histories must not be compared.
    public let history: String
    /// The head of the ledger when the connection was made.
    public let sequence: UInt64
    /// Zero before the first catalog.
    public let catalogVersion: Int
}
