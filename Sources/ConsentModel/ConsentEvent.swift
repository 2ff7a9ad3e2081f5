/// One act, as it is offered to the ledger. What the ledger adds (sequence, record time, subject, hash) stands in
/// ``RecordedEvent``. A value of many texts that is handed on often, so its copies share one box, which never changes: who
/// sets much of it makes ``Fields`` first.
package struct ConsentEvent: Sendable, Equatable {
    private var box: Box

    package init(_ fields: Fields) { box = Box(fields) }

    package init(identifiers: [Identifier], purpose: String, state: EventState) {
        self.init(Fields(identifiers: identifiers, purpose: purpose, state: state))
    }

    package static func == (left: ConsentEvent, right: ConsentEvent) -> Bool {
        left.box === right.box || left.box.fields == right.box.fields
    }

    /// What an event says, while it is put together.
    package struct Fields: Sendable, Equatable {
        /// Makes a repeated request harmless; nil where the sender has none (then an event with the same content and
        /// capture time counts as the same).
        package var key: IdempotencyKey?
        /// The names by which the subject is known; the first that the ledger knows decides who it is.
        package var identifiers: [Identifier]
        package var purpose: String
        package var state: EventState
        package var party: Party = .subject
        /// Who the guardian is, where one acts. Personal: erasure removes it.
        package var guardian: Guardian?
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

    private final class Box: Sendable {
        let fields: Fields
        init(_ fields: Fields) { self.fields = fields }
    }

    private var fields: Fields {
        get { box.fields }
        _modify {
            var fields = box.fields
            defer { box = Box(fields) }
            yield &fields
        }
    }
}

/// Its fields; each change makes another box.
extension ConsentEvent {
    package var key: IdempotencyKey? {
        get { box.fields.key }
        _modify { yield &fields.key }
    }
    package var identifiers: [Identifier] {
        get { box.fields.identifiers }
        _modify { yield &fields.identifiers }
    }
    package var purpose: String {
        get { box.fields.purpose }
        _modify { yield &fields.purpose }
    }
    package var state: EventState {
        get { box.fields.state }
        _modify { yield &fields.state }
    }
    package var party: Party {
        get { box.fields.party }
        _modify { yield &fields.party }
    }
    package var guardian: Guardian? {
        get { box.fields.guardian }
        _modify { yield &fields.guardian }
    }
    package var capturedAt: Timestamp? {
        get { box.fields.capturedAt }
        _modify { yield &fields.capturedAt }
    }
    package var expiresAt: Timestamp? {
        get { box.fields.expiresAt }
        _modify { yield &fields.expiresAt }
    }
    package var revision: RevisionName? {
        get { box.fields.revision }
        _modify { yield &fields.revision }
    }
    package var language: String {
        get { box.fields.language }
        _modify { yield &fields.language }
    }
    package var method: EvidenceMethod {
        get { box.fields.method }
        _modify { yield &fields.method }
    }
    package var isExplicit: Bool {
        get { box.fields.isExplicit }
        _modify { yield &fields.isExplicit }
    }
    package var subjectAge: Int? {
        get { box.fields.subjectAge }
        _modify { yield &fields.subjectAge }
    }
    package var source: EventSource {
        get { box.fields.source }
        _modify { yield &fields.source }
    }
    package var actor: String {
        get { box.fields.actor }
        _modify { yield &fields.actor }
    }
    package var evidence: String {
        get { box.fields.evidence }
        _modify { yield &fields.evidence }
    }

    /// Leaves nothing of it that an erasure would remove.
    package mutating func dropPersonal() { (identifiers, evidence, guardian) = ([], "", nil) }
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

    // Byte for byte, as it is hashed and stored: a String's own equality takes canonically equivalent spellings for the
    // same.
    package static func == (left: EventSource, right: EventSource) -> Bool {
        left.system.hasBytes(of: right.system) && left.channel.hasBytes(of: right.channel)
            && left.form.hasBytes(of: right.form)
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

    /// For one of several events that are recorded in place of one: other content, so another key, which is found again
    /// from the first.
    package func ofPart(_ part: Int) -> IdempotencyKey {
        part == 0 ? self : IdempotencyKey(high: max(1, ~high), low: low ^ UInt64(part) << 32)
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
