package import ConsentModel

/// Where the ledger ends: what the next group goes on from.
package struct LedgerEnd: Sendable {
    package var head: ChainHead
    /// The number of the next new subject.
    package var nextSubject: Int64
}

/// A group of changes on its way into the ledger: what is decided already, and, while it is decided, what the ledger
/// held before. Nothing of it is stored before ``LedgerTransaction/store(_:)``.
// Sendable because it is used by one thread at a time: by who decides, then by who stores it. A draft that follows it
// meanwhile only reads it.
package final class Draft: @unchecked Sendable {
    package private(set) var end: LedgerEnd
    /// Nil once it is decided.
    private var reading: LedgerReading?
    /// The draft that it follows, where that one is not stored yet.
    private var previous: Draft?
    private(set) var events: [DraftedEvent] = []
    private(set) var catalogs: [(stored: StoredCatalog, catalog: Catalog)] = []
    /// What becomes of everybody's consents at once.
    package private(set) var outdatings: [Outdating] = []
    private(set) var erasures: [DraftedErasure] = []
    /// As they will be, by their hashes.
    private(set) var tokens: [[UInt8]: StoredToken] = [:]
    /// What becomes of salts, in this order: new ones by ascending numbers of their subjects.
    private(set) var salts: [(subject: Int64, value: [UInt8])] = []
    private var chain = ChainBytes()
    private let randomBytes: (Int) -> [UInt8]
    private var drawn: ArraySlice<UInt8> = []

    /// - Parameters:
    ///   - previous: the draft that ends there, where the ledger may not hold it yet.
    ///   - randomBytes: draws so many that nobody can guess.
    package init(
        after end: LedgerEnd, reading: LedgerReading, previous: Draft?, randomBytes: @escaping (Int) -> [UInt8]
    ) {
        self.end = end
        self.reading = reading
        self.previous = previous
        self.randomBytes = randomBytes
    }

    /// Sixteen random bytes, fetched for many at once.
    package func draw() -> ArraySlice<UInt8> {
        if drawn.isEmpty { drawn = randomBytes(Personal.nonceSize * min(256, max(4, 2 * events.count)))[...] }
        defer { drawn = drawn.dropFirst(Personal.nonceSize) }
        return drawn.prefix(Personal.nonceSize)
    }

    /// Nothing is asked of it any more.
    package func conclude() {
        reading = nil
        previous = nil
    }

    // MARK: What the ledger holds

    private func known() -> LedgerReading {
        guard let reading else { preconditionFailure("a draft that is concluded is asked nothing") }
        return reading
    }

    /// A stored subject; nil if there is none with this number.
    package func subject(_ id: Int64) throws -> SubjectRecord? { try known().subject(id) }

    /// Subjects with a consent that may have ended.
    package func subjectsDue(at now: Timestamp, countMax: Int) throws -> [Int64] {
        try known().subjectsDue(at: now, countMax: countMax)
    }

    /// Subjects that have a standing for one of these purposes. Looks at all there are.
    package func subjects(withStandingFor purposeBits: Set<Int>) throws -> [Int64] {
        try known().subjects(withStandingFor: purposeBits)
    }

    /// Whether consents for one of these purposes were said to end at some moment, in the ledger or in this draft.
    package func isEnding(anyOf purposes: PurposeSet) -> Bool {
        known().isEnding(anyOf: purposes) || outdatings.contains { $0.isEnding(anyOf: purposes) }
    }

    /// See ``LedgerReading/forEachProjection(withMoreThan:of:outdatings:_:)``; with the outdatings of this draft.
    package func forEachProjection(
        withMoreThan purposes: PurposeSet, of subjects: ClosedRange<Int64>,
        _ body: (Int64, UnsafeRawBufferPointer, Projection) throws -> Void
    ) throws { try known().forEachProjection(withMoreThan: purposes, of: subjects, outdatings: outdatings, body) }

    /// What a person's events with a later sequence than `after` say shortly, newest first.
    ///
    /// - Parameter parts: the person's subject and those who became part of it.
    package func forEachEvent(
        of parts: [SubjectRecord], after: UInt64 = 0,
        _ body: (_ sequence: UInt64, _ purposeBit: Int, EventState?, Timestamp) -> Void
    ) throws {
        var ends = HistoryEnds(parts.map { ($0.id, $0.lastEvent) })
        while let (subject, sequence) = ends.newest, sequence > after {
            let link = try drafted(sequence).map { try $0.link(of: subject) } ?? known().link(sequence, of: subject)
            body(sequence, link.purposeBit, link.state, link.capturedAt)
            ends.step(to: link.previous)
        }
    }

    /// Those who became part of a subject, as it is stored.
    package func storedParts(of subject: Int64) throws -> [Int64] { try known().parts(of: subject) }

    /// One event by its sequence.
    package func event(_ sequence: UInt64) throws -> RecordedEvent? {
        if let drafted = drafted(sequence) { return drafted.recorded }
        return try known().event(sequence)
    }

    /// One event about a person, of whatever kind.
    package func subjectEvent(_ sequence: UInt64) throws -> SubjectEvent? {
        if let drafted = drafted(sequence) { return drafted.subjectEvent }
        return try known().subjectEvent(sequence)
    }

    /// Whether something of an event has been erased by itself, and whether that is evidence.
    package func erasedParts(of sequence: UInt64) throws -> (isAny: Bool, isEvidence: Bool) {
        let erased = try personal(of: sequence)?.erased ?? .none
        return (!erased.isEmpty, erased[ErasedPart.evidence] != nil)
    }

    /// What is personal in an event, as the draft leaves it.
    private func personal(of sequence: UInt64) throws -> EventColumns.StoredPersonal? {
        var personal =
            try drafted(sequence).map { .init(bytes: $0.personal, erased: .none) } ?? known().personal(sequence)
        for draft in [previous, self].compactMap({ $0 }) {
            for erasure in draft.erasures {
                for part in erasure.ofOthers where part.event == sequence {
                    personal?.erased.add(part, by: erasure.sequence)
                }
            }
        }
        return personal
    }

    /// What names somebody in the events of others, by event and number.
    ///
    /// - Parameters:
    ///   - histories: whose events are looked at, each by itself.
    ///   - isMeant: whether an identifier is the one.
    ///   - isMeantToo: whether evidence names it.
    package func parts(
        of histories: [SubjectRecord], where isMeant: (Identifier) -> Bool, orEvidence isMeantToo: (String) -> Bool
    ) throws -> [ErasedPart] {
        var found: [ErasedPart] = []
        for history in histories {
            var sequences: [UInt64] = []
            try forEachEvent(of: [history], after: history.erasure) { sequence, _, _, _ in sequences.append(sequence) }
            for sequence in sequences {
                guard let personal = try personal(of: sequence) else { continue }
                found += Personal.parts(
                    of: sequence, personal.bytes, personal.erased, salt: history.salt, where: isMeant,
                    orEvidence: isMeantToo)
            }
        }
        return found.sorted { ($0.event, $0.number) < ($1.event, $1.number) }
    }

    /// A stored erasure by its sequence.
    package func erasure(_ sequence: UInt64) throws -> RecordedErasure? { try known().erasure(sequence) }

    /// A confirmation token; nil for one that was never issued, or is forgotten.
    package func token(_ hash: [UInt8]) throws -> StoredToken? { try tokens[hash] ?? known().token(hash) }

    /// Those of one subject that wait.
    package func waitingTokens(of subject: Int64) throws -> [StoredToken] {
        let stored = try known().waitingTokens(of: subject).filter { tokens[$0.hash] == nil }
        return stored + tokens.values.filter { $0.subject == subject && $0.state == .waiting }
    }

    /// Stored ones whose time is over.
    package func tokensDue(at now: Timestamp, countMax: Int) throws -> [StoredToken] {
        try known().tokensDue(at: now, countMax: countMax)
    }

    private func drafted(_ sequence: UInt64) -> DraftedEvent? {
        let first = end.head.sequence + 1 - UInt64(events.count)
        if sequence < first { return previous?.drafted(sequence) }
        return sequence <= end.head.sequence ? events[Int(sequence - first)] : nil
    }

    // MARK: What it adds

    /// A subject that is not stored yet.
    package func newSubject(salt: [UInt8]) throws -> SubjectRecord {
        guard end.nextSubject <= UInt32.max else {
            throw LedgerError.unavailable("it holds as many subjects as there are numbers for")
        }
        defer { end.nextSubject += 1 }
        salts.append((end.nextSubject, salt))
        return SubjectRecord(id: end.nextSubject, salt: salt)
    }

    /// Gives a subject that was erased another salt: the person has come back.
    package func bringBack(_ subject: inout SubjectRecord, salt: [UInt8]) {
        replaceSalt(of: &subject, with: salt)
    }

    private func replaceSalt(of subject: inout SubjectRecord, with salt: [UInt8]) {
        subject.salt = salt
        salts.append((subject.id, salt))
    }

    /// Appends an event to the chain.
    ///
    /// - Parameters:
    ///   - event: admitted, with its capture time, and national ids replaced by their hashes.
    ///   - salt: of the subject; empty for one that is erased, whose events commit to nothing that could be guessed.
    /// - Returns: its sequence.
    package func append(_ event: ConsentEvent, at place: EventPlace, salt: [UInt8]) -> UInt64 {
        let personal = Personal.encode(
            event.identifiers, evidence: event.evidence, guardian: event.guardian, nonce: draw)
        let capturedAt = event.capturedAt ?? place.recordedAt
        beginChain(.consent, recordedAt: place.recordedAt, capturedAt: capturedAt)
        chain.append(
            event, subject: place.subject, refersTo: place.refersTo,
            commitment: Personal.commitment(salt: salt, personal: personal))
        return append(
            .consent, recordedAt: place.recordedAt, capturedAt: capturedAt, event: event, place: place,
            personal: personal, isEmpty: salt.isEmpty)
    }

    /// Appends the event that says that a catalog is applied, and the catalog.
    ///
    /// - Returns: the event's sequence.
    package func append(_ document: StoredCatalog, _ catalog: Catalog, recordedAt: Timestamp) -> UInt64 {
        catalogs.append((document, catalog))
        beginChain(.catalog, recordedAt: recordedAt, capturedAt: recordedAt)
        chain.append(UInt64(document.version))
        chain.append(document.digest)
        return append(.catalog, recordedAt: recordedAt, capturedAt: recordedAt, catalogVersion: document.version)
    }

    /// Says what the last event means for everybody.
    package func append(_ outdatings: [Outdating]) {
        self.outdatings += outdatings.map {
            Outdating(sequence: end.head.sequence, purposes: $0.purposes, endsAt: $0.endsAt)
        }
    }

    /// Appends the note that a revision became current by time.
    package func appendRevisionChange(effectiveAt: Timestamp, recordedAt: Timestamp) -> UInt64 {
        beginChain(.revisionBecameCurrent, recordedAt: recordedAt, capturedAt: effectiveAt)
        return append(.revisionBecameCurrent, recordedAt: recordedAt, capturedAt: effectiveAt)
    }

    /// Appends the event that says that somebody reads.
    ///
    /// - Returns: its sequence.
    package func append(_ access: AccessEntry, recordedAt: Timestamp) -> UInt64 {
        let detail = access.detail
        beginChain(.access, recordedAt: recordedAt, capturedAt: recordedAt)
        chain.append(detail)
        return append(.access, recordedAt: recordedAt, capturedAt: recordedAt, detail: detail)
    }

    /// Appends the event that says that a person was erased. What is personal in the person's events before it is taken
    /// out when the draft is stored, and so is what the subject keeps beyond the suppression entry.
    ///
    /// - Parameters:
    ///   - subject: is changed as the event says.
    ///   - parts: those who became part of it; what is personal in their events goes, too.
    ///   - ofOthers: what names the person in the events of others, by event and number.
    package func appendErasure(
        of subject: inout SubjectRecord, parts: [SubjectRecord], ofOthers: [ErasedPart], reason: ErasureReason,
        actor: String, recordedAt: Timestamp
    ) -> RecordedErasure {
        let partsDigest = ErasedPart.digest(ofOthers)
        let detail = RecordedErasure.detail(reason, identifiers: subject.identifiers, partsDigest: partsDigest)
        let place = EventPlace(subject: subject.id, recordedAt: recordedAt, previous: subject.lastEvent)
        beginChain(.erasure, recordedAt: recordedAt, capturedAt: recordedAt)
        chain.append(subject: subject.id, actor: actor, detail: detail)
        let sequence = append(
            .erasure, recordedAt: recordedAt, capturedAt: recordedAt, place: place, actor: actor, detail: detail)
        erasures.append(
            DraftedErasure(
                parts: ([subject] + parts).map { .init(lastEvent: $0.lastEvent, subject: $0.id, salt: $0.salt) },
                ofOthers: ofOthers, sequence: sequence))
        let erased = Set(([subject] + parts).map(\.id))
        tokens = tokens.filter { !erased.contains($0.value.subject) }
        let erasure = RecordedErasure(
            sequence: sequence, subject: subject.id, recordedAt: recordedAt, reason: reason,
            identifiers: subject.identifiers, partsDigest: partsDigest, actor: actor, hash: end.head.hash.bytes)
        replaceSalt(of: &subject, with: [])
        (subject.erasedAt, subject.erasure) = (recordedAt, sequence)
        subject.lastEvent = sequence
        subject.standings.erase(by: erasure)
        return erasure
    }

    /// Takes the salt of somebody who became part of a person that is erased now.
    package func eraseSalt(of part: inout SubjectRecord) { replaceSalt(of: &part, with: []) }

    /// Appends one of the two events that say that an identifier changed hands.
    ///
    /// - Parameters:
    ///   - subject: is changed only in where its history ends.
    ///   - other: the number of the other side, zero if there is none.
    ///   - identifiers: that changed hands, as in a ``SubjectRecord``.
    ///   - named: those of them that were named, national ids replaced by their hashes.
    package func appendLink(
        _ action: LinkAction, of subject: inout SubjectRecord, other: Int64, identifiers: [UInt8],
        named: [Identifier], actor: String, recordedAt: Timestamp
    ) -> RecordedLink {
        let detail = RecordedLink.detail(action, other: other, identifiers: identifiers)
        let personal = Personal.encode(named, evidence: "", guardian: nil, nonce: draw)
        let place = EventPlace(subject: subject.id, recordedAt: recordedAt, previous: subject.lastEvent)
        beginChain(.link, recordedAt: recordedAt, capturedAt: recordedAt)
        chain.append(subject: subject.id, actor: actor, detail: detail)
        chain.append(Personal.commitment(salt: subject.salt, personal: personal))
        let sequence = append(
            .link, recordedAt: recordedAt, capturedAt: recordedAt, place: place, personal: personal, actor: actor,
            detail: detail)
        subject.lastEvent = sequence
        return RecordedLink(
            sequence: sequence, subject: subject.id, recordedAt: recordedAt, action: action, other: other,
            identifiers: identifiers, named: named, actor: actor, hash: end.head.hash.bytes)
    }

    /// Adds a confirmation token, or says what has become of one.
    package func put(_ token: StoredToken) { tokens[token.hash] = token }

    private func beginChain(_ kind: EventKind, recordedAt: Timestamp, capturedAt: Timestamp) {
        chain.begin(
            previous: end.head.hash, sequence: end.head.sequence + 1, kind: kind, recordedAt: recordedAt.millis,
            capturedAt: capturedAt.millis)
    }

    private func append(
        _ kind: EventKind, recordedAt: Timestamp, capturedAt: Timestamp,
        event: ConsentEvent? = nil, place: EventPlace? = nil, personal: [UInt8] = [], catalogVersion: Int? = nil,
        actor: String = "", detail: [UInt8]? = nil, isEmpty: Bool = false
    ) -> UInt64 {
        end.head = ChainHead(sequence: end.head.sequence + 1, hash: chain.hash)
        events.append(
            DraftedEvent(
                kind, sequence: end.head.sequence, recordedAt: recordedAt, capturedAt: capturedAt, event: event,
                place: place, personal: personal, catalogVersion: catalogVersion, actor: actor, detail: detail,
                isEmpty: isEmpty, hash: end.head.hash))
        return end.head.sequence
    }
}

/// An event on its way into its table. A class, as it is handed on often.
final class DraftedEvent: Sendable {
    let kind: EventKind
    let sequence: UInt64
    let recordedAt: Timestamp
    let capturedAt: Timestamp
    /// Nil for one that is about no consent.
    let event: ConsentEvent?
    /// Nil for one that is about no subject.
    let place: EventPlace?
    let personal: [UInt8]
    let catalogVersion: Int?
    /// Of an event about a person as a whole.
    let actor: String
    let detail: [UInt8]?
    /// Whether its personal part is none, as the person is erased.
    let isEmpty: Bool
    let hash: ChainHash

    init(
        _ kind: EventKind, sequence: UInt64, recordedAt: Timestamp, capturedAt: Timestamp, event: ConsentEvent?,
        place: EventPlace?, personal: [UInt8], catalogVersion: Int?, actor: String, detail: [UInt8]?, isEmpty: Bool,
        hash: ChainHash
    ) {
        self.kind = kind
        self.sequence = sequence
        self.recordedAt = recordedAt
        self.capturedAt = capturedAt
        self.event = event
        self.place = place
        self.personal = personal
        self.catalogVersion = catalogVersion
        self.actor = actor
        self.detail = detail
        self.isEmpty = isEmpty
        self.hash = hash
    }

    func link(of subject: Int64) throws -> EventLink {
        guard let place, place.subject == subject else {
            throw LedgerError.corrupt(sequence, isNotOf: subject)
        }
        return EventLink(
            previous: place.previous, purposeBit: place.purposeBit, state: event?.state, capturedAt: capturedAt)
    }

    /// Nil for one that is about no person, or says that one was erased.
    var subjectEvent: SubjectEvent? {
        if let recorded { return .consent(recorded) }
        guard kind == .link, let place, let detail, let named = Personal.decode(personal)?.identifiers else {
            return nil
        }
        return RecordedLink(
            sequence: sequence, subject: place.subject, recordedAt: recordedAt, detail: detail, named: named,
            actor: actor, hash: hash.bytes
        ).map(SubjectEvent.link)
    }

    var recorded: RecordedEvent? {
        guard let event, let place else { return nil }
        return RecordedEvent(
            sequence: sequence, subject: place.subject, recordedAt: place.recordedAt, event: event,
            refersTo: place.refersTo, hash: hash.bytes)
    }
}
