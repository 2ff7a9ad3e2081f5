/// That identifiers of two subjects were linked or unlinked.
package struct RecordedLink: Sendable, Equatable {
    package var sequence: UInt64
    package var subject: Int64
    package var recordedAt: Timestamp
    package var action: LinkAction
    /// The number of the other side, zero if there is none.
    package var other: Int64
    /// That changed hands, each as its type's number and the sixteen bytes of its keyed hash.
    package var identifiers: [UInt8]
    /// Those of them that were named; empty once the person is erased. Of a national id there is only its hash.
    package var named: [Identifier]
    /// Who carried it out.
    package var actor: String
    package var hash: [UInt8]

    package init(
        sequence: UInt64, subject: Int64, recordedAt: Timestamp, action: LinkAction, other: Int64,
        identifiers: [UInt8], named: [Identifier], actor: String, hash: [UInt8]
    ) {
        self.sequence = sequence
        self.subject = subject
        self.recordedAt = recordedAt
        self.action = action
        self.other = other
        self.identifiers = identifiers
        self.named = named
        self.actor = actor
        self.hash = hash
    }
}

/// What a history tells of a person.
package enum PersonEvent: Sendable, Equatable {
    case consent(RecordedEvent)
    case link(RecordedLink)
}
