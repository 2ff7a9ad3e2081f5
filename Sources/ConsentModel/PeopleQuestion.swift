/// Which people a question is about.
package enum PeopleSelection: UInt8, Sendable, CaseIterable {
    /// Granted one purpose, and not another.
    case audience = 1
    /// Not granted a purpose that rests on consent, and may be asked; or granted it, but silent for long.
    case askAgain = 2
    /// Granted now, and no longer at a coming moment if nobody acts.
    case ending = 3
    /// Granted at some moment of a window, as it was known at a past sequence.
    case active = 4
    /// Granted until a revision takes effect that their consent does not carry over to.
    case outdatedBy = 5
    /// Granted by a guardian, and of age for the purpose by a coming moment: they have to be asked themselves.
    case comingOfAge = 6
}

/// Why somebody is to be asked again.
package struct AskAgainReasons: OptionSet, Sendable {
    package let rawValue: UInt8
    package init(rawValue: UInt8) { self.rawValue = rawValue }

    /// Never asked.
    package static let unknown = AskAgainReasons(rawValue: 1)
    /// Asked, and without an answer that counts: it waits for its confirmation, or the person will answer later.
    package static let requested = AskAgainReasons(rawValue: 2)
    package static let expired = AskAgainReasons(rawValue: 4)
    package static let outdated = AskAgainReasons(rawValue: 8)
    /// Granted, but nothing that the person did is newer than a given moment.
    package static let dormant = AskAgainReasons(rawValue: 16)
    package static let all = AskAgainReasons(rawValue: 31)

    /// The reason that a state is; nil for a no, for an erased person, and for what is granted.
    package init?(_ state: ConsentState) {
        switch state {
        case .unknown: self = .unknown
        case .requested, .deferred: self = .requested
        case .expired: self = .expired
        case .outdatedRevision: self = .outdated
        case .given, .renewed, .basisHolds, .refused, .withdrawn, .revoked, .invalidated, .objected, .erased: return nil
        }
    }
}

/// A question for people, answered page by page in the order of their numbers. What a selection does not use is empty.
package struct PeopleQuestion: Equatable, Sendable {
    package var selection: PeopleSelection
    /// Of `audience` and `askAgain`; of `ending` and `active` where only one is asked for.
    package var purpose = ""
    /// Of `audience`: not granted this one.
    package var except = ""
    /// Of `outdatedBy`.
    package var revision = RevisionName(declaration: "", revision: "")
    /// Of `active`: only what was disclosed to this recipient.
    package var recipient = ""
    /// Of `askAgain`.
    package var reasons = AskAgainReasons.all
    /// Of `active`: the first moment of the window.
    package var from: Timestamp?
    /// Of `active`: its last moment. Of `ending` and `comingOfAge`: the coming moment. Of `askAgain`: nothing newer makes dormant.
    package var until: Timestamp?
    /// Of `active`: what was recorded later is left out; zero for the end of the ledger.
    package var asOf: UInt64 = 0
    /// Of `outdatedBy`: a catalog that is not applied yet, to judge by instead.
    package var document = ""
    /// Only people with a higher number.
    package var after: UInt64 = 0
    package var countMax = 0

    package init(_ selection: PeopleSelection) { self.selection = selection }
}

/// One person, and why they are in an answer.
package struct FoundPerson: Equatable, Sendable {
    /// The number in the ledger.
    package var subject: UInt64
    package var purpose: String
    /// For what follows from the clock alone, such as an end that comes, the state before it.
    package var state: ConsentState
    /// The revision that the person agreed to.
    package var revision: RevisionName?
    /// When the deciding act was captured; of `active`: from when it was granted within the window.
    package var since: Timestamp?
    /// When it stops being granted, if nobody acts; of `active`: when it stopped within the window. Nil if it does not.
    package var until: Timestamp?
    /// The newest first; what was erased is gone, and of a national id there is only its hash.
    package var identifiers: [Identifier]

    /// More than these are not in an answer: 255 of the longest fit into a frame.
    package static let identifiersMax = 255

    package init(
        subject: UInt64, purpose: String, state: ConsentState, revision: RevisionName?, since: Timestamp?,
        until: Timestamp?, identifiers: [Identifier]
    ) {
        self.subject = subject
        self.purpose = purpose
        self.state = state
        self.revision = revision
        self.since = since
        self.until = until
        self.identifiers = identifiers
    }
}
