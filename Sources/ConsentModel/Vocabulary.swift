// The words of the domain that have a number on the wire and in the ledger. Sources: GDPR art. 4, 6, 7, 8, 9 and 21;
// W3C Data Privacy Vocabulary (consent statuses); ISO/IEC TS 27560. The numbers never change once released.

/// The answer to a check. Zero is the answer that permits nothing.
package enum Decision: UInt8, Sendable, CaseIterable {
    case unknown = 0
    case denied = 1
    case granted = 2
}

/// The state of one subject for one purpose, and so the reason of a decision.
package enum ConsentState: UInt8, Sendable, CaseIterable {
    /// Never asked.
    case unknown = 0
    /// Asked and not answered; also given but not yet confirmed, explicit, or covered by a guardian as the purpose wants.
    case requested = 1
    /// Asked; the person will answer later.
    case deferred = 2
    case refused = 3
    case given = 4
    case renewed = 5
    /// Ended by the person.
    case withdrawn = 6
    /// Ended by another party, such as a guardian.
    case revoked = 7
    case expired = 8
    /// Ended by an authority, a court or the controller; also every consent of a purpose that was retired.
    case invalidated = 9
    /// Agreed to a revision that the current one is not compatible with.
    case outdatedRevision = 10
    /// An objection stands (GDPR art. 21).
    case objected = 11
    /// A lawful basis other than consent holds.
    case basisHolds = 12
    /// The subject's data was erased.
    case erased = 13

    /// The decision that this state stands for.
    package var decision: Decision {
        switch self {
        case .given, .renewed, .basisHolds: .granted
        case .refused, .withdrawn, .revoked, .invalidated, .objected: .denied
        case .unknown, .requested, .deferred, .expired, .outdatedRevision, .erased: .unknown
        }
    }
}

/// What a consent event states. The first fourteen numbers are those of ``ConsentState``.
package enum EventState: UInt8, Sendable, CaseIterable {
    case requested = 1
    case deferred = 2
    case refused = 3
    case given = 4
    case renewed = 5
    case withdrawn = 6
    case revoked = 7
    /// Recorded by the node itself when a grant has passed its end; names the grant.
    case expired = 8
    case invalidated = 9
    case objected = 11
    /// Recorded by the node itself; everything before it is gone.
    case erased = 13
    /// The second step of a double opt-in, or a guardian's yes; names the grant it confirms.
    case confirmed = 14
    /// The person, or a controller with compelling grounds, ends an objection.
    case objectionLifted = 15

    package var isGrant: Bool { self == .given || self == .renewed }

    /// Whether it takes away what a grant gave: on equal capture times such an event wins.
    package var takesAway: Bool {
        switch self {
        case .refused, .withdrawn, .revoked, .invalidated, .objected, .erased: true
        case .requested, .deferred, .given, .renewed, .expired, .confirmed, .objectionLifted: false
        }
    }

    /// Whether only the node itself may record it.
    package var isInternal: Bool { self == .expired || self == .erased }
}

/// Why processing may be lawful (GDPR art. 6 (1)).
package enum LawfulBasis: UInt8, Sendable, CaseIterable {
    case consent = 0
    case contract = 1
    case legalObligation = 2
    case vitalInterest = 3
    case publicTask = 4
    case legitimateInterest = 5

    /// Whether the person can object to it (GDPR art. 21).
    package var canBeObjectedTo: Bool { self == .publicTask || self == .legitimateInterest }
}

/// How the person acted.
package enum EvidenceMethod: UInt8, Sendable, CaseIterable {
    case none = 0
    case tickedBox = 1
    case button = 2
    case signature = 3
    case spoken = 4
    case doubleOptIn = 5
    case paper = 6
    case electronicId = 7
    // Not consent: known so that they can be refused by name.
    case preticked = 64
    case silence = 65
    case implied = 66
    case bundled = 67

    /// Whether it is an act by which consent can be given (GDPR art. 4 (11), recital 32).
    package var isActiveConsent: Bool { self != .none && rawValue < EvidenceMethod.preticked.rawValue }
}

/// Who acted.
package enum Party: UInt8, Sendable, CaseIterable {
    case subject = 0
    case guardian = 1
    case controller = 2
    case authority = 3
    case system = 4

    /// Whether its "yes" is consent.
    package var canConsent: Bool { self == .subject || self == .guardian }
}

/// By what right somebody consents for a person: the holders of parental responsibility (GDPR art. 8 (1); Regulation (EU)
/// 2019/1111 art. 2 (2) 8).
package enum GuardianRelation: UInt8, Sendable, CaseIterable {
    case parent = 1
    /// Appointed by a court or an authority, for a child or for an adult.
    case legalGuardian = 2
    /// A body that holds the parental responsibility, such as a child welfare service.
    case institution = 3
}

/// The kind of an identifier. It is part of what is hashed: the same text as e-mail and as customer number is two.
package enum IdentifierType: UInt8, Sendable, CaseIterable {
    case customer = 1
    case email = 2
    case phone = 3
    case device = 4
    case cookie = 5
    case advertising = 6
    case loyaltyCard = 7
    case nationalId = 8
    case other = 15

    /// Whether two people can never share one. A household shares an address, a phone and a browser.
    package var isOfOnePerson: Bool { self == .customer || self == .nationalId }
}

/// Why a person is erased: the letters of GDPR art. 17 (1). A word out of a list, as it stays in the ledger for ever, and
/// what somebody writes about a person must not.
package enum ErasureReason: UInt8, Sendable, CaseIterable {
    /// (a) The data is not needed any more.
    case noLongerNeeded = 1
    /// (b) The person has withdrawn consent.
    case consentWithdrawn = 2
    /// (c) The person has objected.
    case objection = 3
    /// (d) The data was processed unlawfully.
    case unlawful = 4
    /// (e) A law demands it.
    case legalObligation = 5
    /// (f) It was collected from a child.
    case childService = 6
}

/// What became of identifiers, from the side of one of the two subjects.
package enum LinkAction: UInt8, Sendable, CaseIterable {
    /// They came to this subject, and with them all that the other one was, if there was one.
    case linked = 1
    /// This subject became part of the other one.
    case joinedTo = 2
    /// One was taken off this subject.
    case unlinked = 3
    /// This subject began with one that was taken off the other.
    case separated = 4
}

/// A document about one event.
package enum ProofKind: UInt8, Sendable, CaseIterable {
    /// All that an auditor needs.
    case event = 1
    /// For the person: ISO/IEC TS 27560 in the W3C's Data Privacy Vocabulary.
    case dpvReceipt = 2
    /// For the person: Kantara Consent Receipt 1.1.
    case kantaraReceipt = 3
}

/// How current the index is that answered.
package enum Freshness: UInt8, Sendable, CaseIterable {
    /// The authoritative node, or an edge within its heartbeat.
    case live = 0
    /// An edge that has lost its upstream, within the purpose's limit.
    case stale = 1
    /// Past that limit: the answer is unknown.
    case unavailable = 2
}

/// Names as YAML, JSON, CSV and the command line write them.
package protocol NamedInSnakeCase: CaseIterable, RawRepresentable where RawValue == UInt8 {}

extension NamedInSnakeCase {
    /// `legalObligation` → `legal_obligation`.
    package var name: String {
        var text = ""
        for character in "\(self)" {
            if character.isUppercase {
                text += "_" + character.lowercased()
            } else {
                text.append(character)
            }
        }
        return text
    }

    package init?(name: String) {
        guard let value = Self.allCases.first(where: { $0.name == name }) else { return nil }
        self = value
    }

    /// All names, for messages that say what would have been accepted.
    package static var names: String { allCases.map(\.name).joined(separator: ", ") }
}

extension Decision: NamedInSnakeCase {}
extension ConsentState: NamedInSnakeCase {}
extension EventState: NamedInSnakeCase {}
extension LawfulBasis: NamedInSnakeCase {}
extension EvidenceMethod: NamedInSnakeCase {}
extension Party: NamedInSnakeCase {}
extension GuardianRelation: NamedInSnakeCase {}
extension IdentifierType: NamedInSnakeCase {}
extension Freshness: NamedInSnakeCase {}
extension PeopleSelection: NamedInSnakeCase {}
extension ErasureReason: NamedInSnakeCase {}
extension LinkAction: NamedInSnakeCase {}
extension ProofKind: NamedInSnakeCase {}
extension AccessQuestion: NamedInSnakeCase {}
