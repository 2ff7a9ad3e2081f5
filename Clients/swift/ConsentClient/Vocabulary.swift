import ConsentModel

/// A word of the domain: a number on the wire, and a name as files and command lines write it.
public protocol Vocabulary: CaseIterable, Hashable, RawRepresentable, Sendable where RawValue == UInt8 {}

extension Vocabulary {
    /// `legalObligation` → `legal_obligation`.
    public var name: String {
        var text = ""
        for character in "\(self)" {
            if character.isUppercase { text += "_" }
            text += character.lowercased()
        }
        return text
    }

    /// Nil for a name that is none of ``names``.
    public init?(name: String) {
        guard let word = Self.allCases.first(where: { $0.name == name }) else { return nil }
        self = word
    }

    /// All names, for messages that say what would have been accepted.
    public static var names: String { allCases.map(\.name).joined(separator: ", ") }
}

/// The answer to a check. Only ``granted`` permits anything.
public enum Decision: UInt8, Vocabulary {
    case unknown = 0
    case denied = 1
    case granted = 2
}

/// Why a decision is what it is. A check's reason stands for its class; ``ConsentClient/explain(_:purpose:)`` gives the
/// exact one.
public enum Reason: UInt8, Vocabulary {
    /// Never asked.
    case unknown = 0
    /// Asked and not answered; also given but not yet confirmed, explicit, or covered by a guardian as the purpose wants.
    case requested = 1
    case deferred = 2
    case refused = 3
    case given = 4
    case renewed = 5
    /// Ended by the person.
    case withdrawn = 6
    /// Ended by another party, such as a guardian.
    case revoked = 7
    case expired = 8
    /// Ended by an authority, a court or the controller.
    case invalidated = 9
    /// Agreed to a revision that the current one is not compatible with.
    case outdatedRevision = 10
    /// An objection stands.
    case objected = 11
    /// A lawful basis other than consent holds.
    case basisHolds = 12
    case erased = 13
}

/// How current the index is that answered.
public enum Freshness: UInt8, Vocabulary {
    /// The authoritative node, or an edge within its heartbeat.
    case live = 0
    /// An edge that has lost its upstream, within the purpose's limit: the decision counts.
    case stale = 1
    /// Past that limit: the decision is unknown.
    case unavailable = 2
}

/// What an event states.
public enum State: UInt8, Vocabulary {
    case requested = 1
    case deferred = 2
    case refused = 3
    case given = 4
    case renewed = 5
    case withdrawn = 6
    case revoked = 7
    /// Recorded by the node alone.
    case expired = 8
    case invalidated = 9
    case objected = 11
    /// Recorded by the node alone.
    case erased = 13
    /// The second step of a double opt-in, or a guardian's yes.
    case confirmed = 14
    case objectionLifted = 15
}

/// Why processing may be lawful (GDPR art. 6 (1)).
public enum LawfulBasis: UInt8, Vocabulary {
    case consent = 0
    case contract = 1
    case legalObligation = 2
    case vitalInterest = 3
    case publicTask = 4
    case legitimateInterest = 5
}

/// How the person acted.
public enum EvidenceMethod: UInt8, Vocabulary {
    case none = 0
    case tickedBox = 1
    case button = 2
    case signature = 3
    case spoken = 4
    case doubleOptIn = 5
    case paper = 6
    case electronicId = 7
    /// Not consent: the server refuses it by name, and so the four.
    case preticked = 64
    case silence = 65
    case implied = 66
    case bundled = 67
}

/// Who acted.
public enum Party: UInt8, Vocabulary {
    case subject = 0
    case guardian = 1
    case controller = 2
    case authority = 3
    case system = 4
}

/// By what right somebody consents for a person.
public enum GuardianRelation: UInt8, Vocabulary {
    case parent = 1
    /// Appointed by a court or an authority, for a child or for an adult.
    case legalGuardian = 2
    /// A body that holds the parental responsibility, such as a child welfare service.
    case institution = 3
}

/// The kind of an identifier. The same text as e-mail and as customer number is two subjects.
public enum IdentifierType: UInt8, Vocabulary {
    case customer = 1
    case email = 2
    case phone = 3
    case device = 4
    case cookie = 5
    case advertising = 6
    case loyaltyCard = 7
    case nationalId = 8
    case other = 15
}

/// Why a person is erased: the letters of GDPR art. 17 (1).
public enum ErasureReason: UInt8, Vocabulary {
    case noLongerNeeded = 1
    case consentWithdrawn = 2
    case objection = 3
    case unlawful = 4
    case legalObligation = 5
    case childService = 6
}

/// What somebody read.
public enum AccessQuestion: UInt8, Vocabulary {
    case explain = 1
    case history = 2
    case audience = 3
    case askAgain = 4
    case ending = 5
    case active = 6
    case outdatedBy = 7
    case proof = 8
    case receipt = 9
    case accessLog = 10
    case comingOfAge = 11
}

/// A document about one event that can be checked without the node.
public enum ProofKind: UInt8, Vocabulary {
    /// All that an auditor needs: the text as it was shown, evidence, the event's place in the chain, and signatures.
    case event = 1
    /// A receipt for the person: ISO/IEC TS 27560 in the W3C's Data Privacy Vocabulary.
    case dpvReceipt = 2
    /// A receipt for the person: Kantara Consent Receipt 1.1; of a consent only.
    case kantaraReceipt = 3
}

extension Vocabulary {
    /// The same word of the model, or back: both sides have the same words with the same numbers, which a test holds.
    init(_ word: some RawRepresentable<UInt8>) { self = Self(rawValue: word.rawValue)! }
}
