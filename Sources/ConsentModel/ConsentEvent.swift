/// One act, as it is offered to the ledger. What the ledger adds (sequence, record time, subject, hash) stands in
/// ``RecordedEvent``.
package struct ConsentEvent: Sendable, Equatable {
    /// Makes a repeated request harmless; nil where the sender has none (then an event with the same content and
    /// capture time counts as the same).
    package var key: IdempotencyKey?
    /// The names by which the subject is known; the first that the ledger knows decides who it is.
    package var identifiers: [Identifier]
    package var purpose: String
    package var state: EventState
    package var party: Party = .subject
    /// When the person acted; nil is now.
    package var capturedAt: Timestamp?
    /// The end that the act itself names; nil leaves it to the purpose's validity.
    package var expiresAt: Timestamp?
    /// What the person was shown.
    package var revision: RevisionName?
    package var language = ""
    package var method = EvidenceMethod.none
    /// Whether the act was an express statement.
    package var isExplicit = false
    /// The person's age in whole years when acting, as far as the capturing system knows it.
    package var subjectAge: Int?
    package var source = EventSource()
    package var actor = ""
    /// A note or a reference that supports the act. Personal: erasure removes it.
    package var evidence = ""

    package init(identifiers: [Identifier], purpose: String, state: EventState) {
        self.identifiers = identifiers
        self.purpose = purpose
        self.state = state
    }
}

/// Where an event was captured.
package struct EventSource: Hashable, Sendable {
    package var system = ""
    package var channel = ""
    package var form = ""

    package init(system: String = "", channel: String = "", form: String = "") {
        self.system = system
        self.channel = channel
        self.form = form
    }
}

/// Sixteen bytes that a sender chooses once per event and repeats when it retries.
package struct IdempotencyKey: Hashable, Sendable {
    package var high: UInt64
    package var low: UInt64

    package init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }

    package static func random() -> IdempotencyKey {
        IdempotencyKey(high: .random(in: 1...(.max)), low: .random(in: 0...(.max)))
    }
}

/// An event as the ledger holds it.
package struct RecordedEvent: Sendable, Equatable {
    package var sequence: UInt64
    package var subject: Int64
    package var recordedAt: Timestamp
    package var event: ConsentEvent
    /// The grant that a `confirmed` or `expired` event names; zero otherwise.
    package var refersTo: UInt64
    /// SHA-256 over the previous event's hash and this event.
    package var hash: [UInt8]

    package init(
        sequence: UInt64, subject: Int64, recordedAt: Timestamp, event: ConsentEvent, refersTo: UInt64, hash: [UInt8]
    ) {
        self.sequence = sequence
        self.subject = subject
        self.recordedAt = recordedAt
        self.event = event
        self.refersTo = refersTo
        self.hash = hash
    }
}
