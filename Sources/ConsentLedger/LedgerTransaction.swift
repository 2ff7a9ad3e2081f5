package import ConsentModel
import GRDB

/// The writer's hands on the ledger inside one transaction. Events are chained when they are appended, and stored by
/// ``storeEvents()``, after the subjects that they name.
// Confined to the database's writer queue. Its statements and what it remembers live as long as no transaction fails.
package final class LedgerTransaction {
    private let identity: NodeIdentity
    package private(set) var head: ChainHead
    private var purposeIDs: [Int: String] = [:]
    private var revisions = RevisionNumbers()
    private var sourceIDs: [EventSource: Int64] = [:]
    private static let sourcesKeptMax = 4096
    private var nextSubject: Int64
    /// Appended and not stored yet; the last one is the head.
    private var pending: [PendingEvent] = []
    private var chain = ChainBytes()
    private var standingBytes: [UInt8] = []

    private let insertSubject: Statement
    private let selectSubject: Statement
    private let updateSubject: Statement
    private let insertEvent: Statement
    private let selectLink: Statement
    private let selectSource: Statement
    private let insertSource: Statement
    private let selectDue: Statement
    private let selectEvent: Statement
    private let upsertFile: Statement
    private let selectNextEnd: Statement
    private let general: (String) throws -> Statement

    /// An event on its way into its table.
    private final class PendingEvent {
        let kind: EventKind
        let recordedAt: Timestamp
        let capturedAt: Timestamp
        /// Nil for one that is about no subject, and so is its place.
        let event: ConsentEvent?
        let place: EventPlace?
        let personal: [UInt8]
        let catalogVersion: Int?
        let hash: ChainHash

        init(
            _ kind: EventKind, recordedAt: Timestamp, capturedAt: Timestamp,
            event: ConsentEvent? = nil, place: EventPlace? = nil, personal: [UInt8] = [], catalogVersion: Int? = nil,
            hash: ChainHash
        ) {
            self.kind = kind
            self.recordedAt = recordedAt
            self.capturedAt = capturedAt
            self.event = event
            self.place = place
            self.personal = personal
            self.catalogVersion = catalogVersion
            self.hash = hash
        }
    }

    init(_ connection: OpaquePointer, identity: NodeIdentity) throws {
        self.identity = identity
        general = { try Statement(connection, $0) }
        func prepare(_ sql: String) throws -> Statement { try Statement(connection, sql) }
        insertSubject = try prepare(
            "INSERT INTO subject (id, salt, \(SubjectColumns.derived)) VALUES (?,?,?,?,?,?,?,?,?,?)")
        selectSubject = try prepare("\(SubjectColumns.select) WHERE id = ?")
        updateSubject = try prepare(
            """
            UPDATE subject SET permitted = ?, denied = ?, wide = ?, ends_at = ?, sequence = ?, last_event = ?,
                identifiers = ?, standings = ? WHERE id = ?
            """)
        insertEvent = try prepare(
            """
            INSERT INTO event (sequence, kind, recorded_at, captured_at, subject, purpose, state, revision, language,
                method, party, explicit, age, expires_at, refers_to, source, actor, key, personal, catalog, previous, hash)
            VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)
            """)
        selectLink = try prepare("SELECT subject, previous, purpose, state, captured_at FROM event WHERE sequence = ?")
        selectSource = try prepare("SELECT id FROM source WHERE system = ? AND channel = ? AND form = ?")
        insertSource = try prepare("INSERT INTO source (system, channel, form) VALUES (?,?,?) RETURNING id")
        selectEvent = try prepare("\(EventColumns.select) WHERE event.sequence = ?")
        upsertFile = try prepare(
            """
            INSERT INTO derived_file (name, rows, digest, owners_digest) VALUES (?,?,?,?) ON CONFLICT (name) DO
                UPDATE SET rows = excluded.rows, digest = excluded.digest, owners_digest = excluded.owners_digest
            """)
        // The index is by day: within the first day that there is, all are looked at.
        selectNextEnd = try prepare(
            """
            SELECT min(ends_at) FROM subject WHERE ends_at IS NOT NULL AND ends_at / 86400000 =
                (SELECT min(ends_at / 86400000) FROM subject WHERE ends_at IS NOT NULL)
            """)
        selectDue = try prepare(
            """
            SELECT id FROM subject WHERE ends_at IS NOT NULL AND ends_at / 86400000 <= ? / 86400000 AND ends_at <= ?
                LIMIT ?
            """)
        head = ChainHead(history: identity.history)
        nextSubject = 1
        try load(prepare)
    }

    private func load(_ prepare: (String) throws -> Statement) throws {
        let last = try prepare("SELECT sequence, hash FROM event ORDER BY sequence DESC LIMIT 1")
        if try last.step() {
            head = ChainHead(
                sequence: UInt64(clamping: last.int64(0)), hash: try EventColumns.hash(last, 1, of: last.int64(0)))
        }
        let subject = try prepare("SELECT ifnull(max(id), 0) + 1 FROM subject")
        if try subject.step() { nextSubject = subject.int64(0) }
        let purposes = try prepare("SELECT bit, id FROM purpose")
        while try purposes.step() { purposeIDs[purposes.int(0)] = purposes.text(1) }
        revisions = try RevisionNumbers(prepare(RevisionNumbers.select))
    }

    // MARK: Subjects

    /// A subject that is not stored yet.
    package func newSubject(salt: [UInt8]) throws -> SubjectRecord {
        guard nextSubject <= UInt32.max else {
            throw LedgerError.unavailable("it holds as many subjects as there are numbers for")
        }
        defer { nextSubject += 1 }
        return SubjectRecord(id: nextSubject, salt: salt)
    }

    /// Nil if there is none with this number.
    package func subject(_ id: Int64) throws -> SubjectRecord? {
        selectSubject.bind(1, id)
        defer { selectSubject.reset() }
        return try selectSubject.step() ? SubjectColumns.read(selectSubject, revisions) : nil
    }

    /// Stores what follows from a subject's events.
    package func put(_ subject: SubjectRecord, isNew: Bool) throws {
        standingBytes.removeAll(keepingCapacity: true)
        subject.standings.encode(into: &standingBytes) { revisions[$0] }
        let statement = isNew ? insertSubject : updateSubject
        var position: Int32 = 1
        if isNew {
            statement.bind(1, subject.id)
            statement.bind(2, subject.salt)
            position = 3
        }
        subject.projection.bind(statement, from: position)
        statement.bind(position + 5, Int64(subject.lastEvent))
        statement.bind(position + 6, subject.identifiers)
        statement.bind(position + 7, standingBytes)
        if !isNew { statement.bind(position + 8, subject.id) }
        try statement.run()
    }

    /// Says what a derived file holds when it has followed this transaction.
    package func put(_ totals: DerivedTotals, of file: DerivedFile) throws {
        upsertFile.bind(1, file.rawValue)
        upsertFile.bind(2, totals.rows)
        upsertFile.bind(3, Int64(bitPattern: totals.digest))
        upsertFile.bind(4, Int64(bitPattern: totals.ownersDigest))
        try upsertFile.run()
    }

    /// Subjects with a consent that may have ended.
    package func subjectsDue(at now: Timestamp, countMax: Int) throws -> [Int64] {
        selectDue.bind(1, now.millis)
        selectDue.bind(2, now.millis)
        selectDue.bind(3, countMax)
        defer { selectDue.reset() }
        var subjects: [Int64] = []
        while try selectDue.step() { subjects.append(selectDue.int64(0)) }
        return subjects
    }

    /// Subjects that have a standing for one of these purposes. Looks at all there are.
    package func subjects(withStandingFor purposeBits: Set<Int>) throws -> [Int64] {
        let select = try general("\(SubjectColumns.select) ORDER BY id")
        var subjects: [Int64] = []
        while try select.step() {
            let subject = try SubjectColumns.read(select, revisions)
            if subject.standings.all.contains(where: { purposeBits.contains($0.purposeBit) }) {
                subjects.append(subject.id)
            }
        }
        return subjects
    }

    // MARK: Events

    /// What a subject's events say shortly, newest first.
    package func forEachEvent(
        of subject: SubjectRecord, _ body: (_ sequence: UInt64, _ purposeBit: Int, EventState?, Timestamp) -> Void
    ) throws {
        var sequence = subject.lastEvent
        while sequence > 0 {
            let link = try link(sequence, of: subject.id)
            body(sequence, link.purposeBit, link.state, link.capturedAt)
            sequence = link.previous
        }
    }

    private func link(
        _ sequence: UInt64, of subject: Int64
    ) throws -> (previous: UInt64, purposeBit: Int, state: EventState?, capturedAt: Timestamp) {
        if let waiting = pendingEvent(sequence) {
            guard let event = waiting.event, let place = waiting.place else { throw notOf(subject, sequence) }
            return (place.previous, place.purposeBit, event.state, waiting.capturedAt)
        }
        selectLink.bind(1, Int64(sequence))
        defer { selectLink.reset() }
        guard try selectLink.step(), selectLink.int64(0) == subject,
            (0..<Int64(sequence)).contains(selectLink.int64(1))
        else { throw notOf(subject, sequence) }
        return (
            UInt64(clamping: selectLink.int64(1)), selectLink.int(2),
            EventState(rawValue: UInt8(clamping: selectLink.int64(3))),
            Timestamp(millis: selectLink.int64(4))
        )
    }

    private func notOf(_ subject: Int64, _ sequence: UInt64) -> LedgerError {
        .corrupt(where: "subject \(subject)", what: "its history leads to event \(sequence), which is not of it")
    }

    private func pendingEvent(_ sequence: UInt64) -> PendingEvent? {
        let first = head.sequence + 1 - UInt64(pending.count)
        return sequence >= first && sequence <= head.sequence ? pending[Int(sequence - first)] : nil
    }

    /// One event by its sequence.
    package func event(_ sequence: UInt64) throws -> RecordedEvent? {
        if let waiting = pendingEvent(sequence) {
            guard let event = waiting.event, let place = waiting.place else { return nil }
            return RecordedEvent(
                sequence: sequence, subject: place.subject, recordedAt: place.recordedAt, event: event,
                refersTo: place.refersTo, hash: waiting.hash.bytes)
        }
        selectEvent.bind(1, Int64(sequence))
        defer { selectEvent.reset() }
        return try selectEvent.step() ? try EventColumns.read(selectEvent).recorded : nil
    }

    /// The next moment at which some consent may end.
    package func nextEnd() throws -> Timestamp? {
        defer { selectNextEnd.reset() }
        return try selectNextEnd.step() ? selectNextEnd.optionalInt64(0).map(Timestamp.init(millis:)) : nil
    }

    /// Appends an event to the chain.
    ///
    /// - Parameters:
    ///   - event: admitted, with its capture time, and national ids replaced by their hashes.
    ///   - salt: of the subject.
    /// - Returns: its sequence.
    package func append(_ event: ConsentEvent, at place: EventPlace, salt: [UInt8]) throws -> UInt64 {
        let personal = Personal.encode(event)
        let capturedAt = event.capturedAt ?? place.recordedAt
        beginChain(.consent, recordedAt: place.recordedAt, capturedAt: capturedAt)
        chain.append(
            event, subject: place.subject, refersTo: place.refersTo,
            commitment: Personal.commitment(salt: salt, personal: personal))
        return append(
            PendingEvent(
                .consent, recordedAt: place.recordedAt, capturedAt: capturedAt, event: event, place: place,
                personal: personal,
                hash: chain.hash))
    }

    /// Stores a catalog and appends the event that says so.
    ///
    /// - Returns: the event's sequence.
    package func append(_ document: StoredCatalog, _ catalog: Catalog, recordedAt: Timestamp) throws -> UInt64 {
        let insert = try general("INSERT INTO catalog (version, document, digest) VALUES (?,?,?)")
        insert.bind(1, document.version)
        insert.bind(2, document.document)
        insert.bind(3, document.digest)
        try insert.run()
        try addNames(of: catalog)
        beginChain(.catalog, recordedAt: recordedAt, capturedAt: recordedAt)
        chain.append(UInt64(document.version))
        chain.append(document.digest)
        return append(
            PendingEvent(
                .catalog, recordedAt: recordedAt, capturedAt: recordedAt, catalogVersion: document.version,
                hash: chain.hash))
    }

    /// Appends the note that a revision became current by time.
    package func appendRevisionChange(effectiveAt: Timestamp, recordedAt: Timestamp) -> UInt64 {
        beginChain(.revisionBecameCurrent, recordedAt: recordedAt, capturedAt: effectiveAt)
        return append(
            PendingEvent(.revisionBecameCurrent, recordedAt: recordedAt, capturedAt: effectiveAt, hash: chain.hash))
    }

    private func beginChain(_ kind: EventKind, recordedAt: Timestamp, capturedAt: Timestamp) {
        chain.begin(
            previous: head.hash, sequence: head.sequence + 1, kind: kind, recordedAt: recordedAt.millis,
            capturedAt: capturedAt.millis)
    }

    private func append(_ entry: PendingEvent) -> UInt64 {
        head = ChainHead(sequence: head.sequence + 1, hash: entry.hash)
        pending.append(entry)
        return head.sequence
    }

    /// Stores what was appended. The subjects must be stored before.
    package func storeEvents() throws {
        var sequence = head.sequence - UInt64(pending.count)
        for entry in pending {
            sequence += 1
            try store(entry, sequence)
        }
        pending.removeAll(keepingCapacity: true)
    }

    private func store(_ entry: PendingEvent, _ sequence: UInt64) throws {
        insertEvent.bind(1, Int64(sequence))
        insertEvent.bind(2, Int64(entry.kind.rawValue))
        insertEvent.bind(3, entry.recordedAt.millis)
        insertEvent.bind(4, entry.capturedAt.millis)
        if let event = entry.event, let place = entry.place {
            insertEvent.bind(5, place.subject)
            insertEvent.bind(6, place.purposeBit)
            insertEvent.bind(7, Int64(event.state.rawValue))
            insertEvent.bind(8, event.revision.flatMap { revisions[$0] })
            insertEvent.bind(9, event.language)
            insertEvent.bind(10, Int64(event.method.rawValue))
            insertEvent.bind(11, Int64(event.party.rawValue))
            insertEvent.bind(12, event.isExplicit ? 1 : 0)
            insertEvent.bind(13, event.subjectAge)
            insertEvent.bind(14, event.expiresAt?.millis)
            insertEvent.bind(15, place.refersTo == 0 ? nil : Int64(place.refersTo))
            insertEvent.bind(16, try sourceID(event.source))
            insertEvent.bind(17, event.actor)
            insertEvent.bind(18, event.key?.bytes)
            insertEvent.bind(21, place.previous == 0 ? nil : Int64(place.previous))
        } else {
            for column in Int32(5)...21 { insertEvent.bind(column, nil as Int64?) }
        }
        insertEvent.bind(20, entry.catalogVersion)
        try entry.hash.withBytes { hash in
            insertEvent.bindInPlace(22, hash)
            try entry.personal.withUnsafeBytes { personal in
                if entry.kind == .consent { insertEvent.bindInPlace(19, personal) }
                try insertEvent.run()
            }
        }
    }

    private func addNames(of catalog: Catalog) throws {
        let insertPurpose = try general("INSERT INTO purpose (bit, id) VALUES (?, ?)")
        for purpose in catalog.purposes where purposeIDs[purpose.bit] == nil {
            insertPurpose.bind(1, purpose.bit)
            insertPurpose.bind(2, purpose.id)
            try insertPurpose.run()
            purposeIDs[purpose.bit] = purpose.id
        }
        let insertRevision = try general(
            "INSERT INTO revision (declaration, revision, digest) VALUES (?,?,?) RETURNING id")
        // A revision that was applied, but never came into force, may be written anew.
        let updateRevision = try general("UPDATE revision SET digest = ? WHERE id = ? AND digest <> ?")
        for declaration in catalog.declarations {
            for revision in declaration.revisions {
                let name = RevisionName(declaration: declaration.id, revision: revision.name)
                if let id = revisions[name] {
                    updateRevision.bind(1, revision.digest)
                    updateRevision.bind(2, id)
                    updateRevision.bind(3, revision.digest)
                    try updateRevision.run()
                    continue
                }
                insertRevision.bind(1, declaration.id)
                insertRevision.bind(2, revision.name)
                insertRevision.bind(3, revision.digest)
                _ = try insertRevision.step()
                revisions.add(name, insertRevision.int64(0))
                insertRevision.reset()
            }
        }
    }

    private func sourceID(_ source: EventSource) throws -> Int64 {
        if let id = sourceIDs[source] { return id }
        // As many as a service has, and no more than memory bears where each event brings another.
        if sourceIDs.count >= Self.sourcesKeptMax { sourceIDs.removeAll(keepingCapacity: true) }
        for statement in [selectSource, insertSource] {
            statement.bind(1, source.system)
            statement.bind(2, source.channel)
            statement.bind(3, source.form)
            defer { statement.reset() }
            if try statement.step() {
                sourceIDs[source] = statement.int64(0)
                return statement.int64(0)
            }
        }
        throw LedgerError.corrupt(where: "table source", what: "a source was neither found nor added")
    }
}
