package import ConsentModel

/// What the index says of each identifier of one subject.
package struct Projection: Equatable, Sendable {
    package var permitted = PurposeSet()
    package var denied = PurposeSet()
    /// The earliest moment at which a permitted consent may end.
    package var endsAt: Timestamp?
    /// Of the last change.
    package var sequence: UInt64 = 0

    package init() {}

    /// After what became of everybody's consents since this was said, in the order in which it did.
    package func outdated(by outdatings: some Sequence<Outdating>) -> Projection {
        var outdated = self
        var coming: [Outdating] = []
        for outdating in outdatings
        where outdating.sequence > sequence && !outdated.permitted.isDisjoint(with: outdating.purposes) {
            outdated.sequence = outdating.sequence
            if outdating.endsAt == nil {
                outdated.permitted.subtract(outdating.purposes)
            } else {
                coming.append(outdating)
            }
        }
        if outdated.permitted.isEmpty { outdated.endsAt = nil }
        // What would have ended with consents that have ended since says nothing of those that are left.
        for outdating in coming where !outdated.permitted.isDisjoint(with: outdating.purposes) {
            outdated.endsAt = [outdated.endsAt, outdating.endsAt].compactMap { $0 }.min()
        }
        return outdated
    }
}

/// A subject: what follows from its events.
package struct SubjectRecord: Equatable, Sendable {
    package let id: Int64
    /// Empty while the person is erased.
    package var salt: [UInt8]
    package var projection: Projection
    package var standings: Standings
    /// The sequence of its last event; zero before the first.
    package var lastEvent: UInt64
    /// In the order in which they came, each as its type and the sixteen bytes of its keyed hash.
    package var identifiers: [UInt8]
    package static let identifierSize = 17
    /// When and by which event the person was erased the last time; nil and zero for who never was. What was captured until
    /// then is not taken any more.
    package var erasedAt: Timestamp?
    package var erasure: UInt64 = 0
    /// Whom this is a part of since the two were linked; nil for a person as such. Then nothing else stands here but the
    /// end of its own history.
    package var joinedTo: Int64?
    /// When its first identifier was taken off somebody else; what was captured until then is not taken for it.
    package var separatedAt: Timestamp?

    /// Whether the person was erased and has not come back. Its identifiers are the suppression entry.
    package var isErased: Bool { erasedAt != nil && salt.isEmpty }

    package init(
        id: Int64, salt: [UInt8], projection: Projection = Projection(), standings: Standings = Standings(),
        lastEvent: UInt64 = 0, identifiers: [UInt8] = []
    ) {
        self.id = id
        self.salt = salt
        self.projection = projection
        self.standings = standings
        self.lastEvent = lastEvent
        self.identifiers = identifiers
    }
}

/// What the writer adds to an event.
package struct EventPlace: Sendable {
    package var subject: Int64
    package var purposeBit: Int
    package var recordedAt: Timestamp
    /// The grant that a `confirmed` or `expired` event names; zero otherwise.
    package var refersTo: UInt64
    /// The subject's event before this one; zero if it is the first.
    package var previous: UInt64

    /// Of an event about the person as a whole.
    init(subject: Int64, recordedAt: Timestamp, previous: UInt64) {
        self.init(subject: subject, purposeBit: 0, recordedAt: recordedAt, refersTo: 0, previous: previous)
    }

    package init(
        subject: Int64, purposeBit: Int, recordedAt: Timestamp, refersTo: UInt64, previous: UInt64
    ) {
        self.subject = subject
        self.purposeBit = purposeBit
        self.recordedAt = recordedAt
        self.refersTo = refersTo
        self.previous = previous
    }
}

/// An applied catalog.
package struct StoredCatalog: Equatable, Sendable {
    package var version: Int
    package var document: String
    package var digest: [UInt8]

    package init(version: Int, document: String, digest: [UInt8]) {
        self.version = version
        self.document = document
        self.digest = digest
    }
}

/// A file that is derived from the ledger.
package enum DerivedFile: String, Sendable {
    case index
    case keys
}

/// What such a file holds.
package struct DerivedTotals: Equatable, Sendable {
    package var rows: Int
    package var digest: UInt64
    package var ownersDigest: UInt64

    package init(rows: Int = 0, digest: UInt64 = 0, ownersDigest: UInt64 = 0) {
        self.rows = rows
        self.digest = digest
        self.ownersDigest = ownersDigest
    }
}

/// Sizes of the ledger.
package struct LedgerCounts: Equatable, Sendable {
    package var events: UInt64
    package var subjects: UInt64
    package var catalogVersion: UInt64
    /// Bytes of the database file, without its log.
    package var size: UInt64
}
