package import ConsentModel
import GRDB

/// The writer's hands on the ledger inside one transaction.
// Confined to the database's writer queue. Its statements and what it remembers live as long as no transaction fails.
package final class LedgerTransaction {
    private let identity: NodeIdentity
    package private(set) var head: ChainHead
    private var purposeIDs: [Int: String] = [:]
    private var revisionIDs: [RevisionName: Int64] = [:]
    private var revisionNames: [Int64: RevisionName] = [:]
    private var sourceIDs: [EventSource: Int64] = [:]
    private var nextSubject: Int64

    private let findIdentifier: Statement
    private let insertIdentifier: Statement
    private let selectIdentifiers: Statement
    private let insertSubject: Statement
    private let selectSubject: Statement
    private let updateSubject: Statement
    private let selectStandings: Statement
    private let putStanding: Statement
    private let insertEvent: Statement
    private let findKey: Statement
    private let findTwin: Statement
    private let insertSource: Statement
    private let selectDue: Statement
    private let selectEvent: Statement
    private let selectNextEnd: Statement
    private let general: (String) throws -> Statement

    init(_ connection: OpaquePointer, identity: NodeIdentity) throws {
        self.identity = identity
        general = { try Statement(connection, $0) }
        func prepare(_ sql: String) throws -> Statement { try Statement(connection, sql) }
        findIdentifier = try prepare("SELECT subject FROM identifier WHERE hash = ?")
        insertIdentifier = try prepare(
            "INSERT INTO identifier (subject, ordinal, hash, type, value) VALUES (?,?,?,?,?)")
        selectIdentifiers = try prepare("SELECT hash FROM identifier WHERE subject = ?")
        insertSubject = try prepare("INSERT INTO subject (id, salt) VALUES (?, ?)")
        selectSubject = try prepare("SELECT salt, permitted, denied, wide, ends_at, sequence FROM subject WHERE id = ?")
        updateSubject = try prepare(
            "UPDATE subject SET permitted = ?, denied = ?, wide = ?, ends_at = ?, sequence = ? WHERE id = ?")
        selectStandings = try prepare("SELECT \(StandingColumns.names) FROM standing WHERE subject = ?")
        putStanding = try prepare(
            "INSERT OR REPLACE INTO standing (subject, \(StandingColumns.names)) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)"
        )
        insertEvent = try prepare(
            """
            INSERT INTO event (sequence, kind, recorded_at, captured_at, subject, purpose, state, revision, language,
                method, party, explicit, age, expires_at, refers_to, source, actor, key, personal, catalog, hash)
            VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)
            """)
        findKey = try prepare("SELECT sequence FROM event WHERE key = ?")
        findTwin = try prepare(
            "SELECT sequence FROM event WHERE subject = ? AND purpose = ? AND captured_at = ? AND state = ?")
        insertSource = try prepare("INSERT INTO source (system, channel, form) VALUES (?,?,?) RETURNING id")
        selectEvent = try prepare("\(EventColumns.select) WHERE event.sequence = ?")
        selectNextEnd = try prepare("SELECT min(ends_at) FROM subject WHERE ends_at IS NOT NULL")
        selectDue = try prepare("SELECT id FROM subject WHERE ends_at <= ? ORDER BY ends_at LIMIT ?")
        head = ChainHead(history: identity.history)
        nextSubject = 1
        try load(prepare)
    }

    private func load(_ prepare: (String) throws -> Statement) throws {
        let last = try prepare("SELECT sequence, hash FROM event ORDER BY sequence DESC LIMIT 1")
        if try last.step() { head = ChainHead(sequence: UInt64(last.int64(0)), hash: last.bytes(1)) }
        let subject = try prepare("SELECT ifnull(max(id), 0) + 1 FROM subject")
        if try subject.step() { nextSubject = subject.int64(0) }
        let purposes = try prepare("SELECT bit, id FROM purpose")
        while try purposes.step() { purposeIDs[purposes.int(0)] = purposes.text(1) }
        let revisions = try prepare("SELECT id, declaration, revision FROM revision")
        while try revisions.step() {
            remember(RevisionName(declaration: revisions.text(1), revision: revisions.text(2)), revisions.int64(0))
        }
        let sources = try prepare("SELECT id, system, channel, form FROM source")
        while try sources.step() {
            let source = EventSource(system: sources.text(1), channel: sources.text(2), form: sources.text(3))
            sourceIDs[source] = sources.int64(0)
        }
    }

    private func remember(_ name: RevisionName, _ id: Int64) {
        revisionIDs[name] = id
        revisionNames[id] = name
    }

    // MARK: Subjects

    /// Whose identifier this is.
    package func subject(identifiedBy hash: [UInt8]) throws -> Int64? {
        findIdentifier.bind(1, hash)
        defer { findIdentifier.reset() }
        return try findIdentifier.step() ? findIdentifier.int64(0) : nil
    }

    package func addSubject(salt: [UInt8]) throws -> SubjectRecord {
        insertSubject.bind(1, nextSubject)
        insertSubject.bind(2, salt)
        try insertSubject.run()
        defer { nextSubject += 1 }
        return SubjectRecord(id: nextSubject, salt: salt)
    }

    package func subject(_ id: Int64) throws -> SubjectRecord {
        selectSubject.bind(1, id)
        defer { selectSubject.reset() }
        guard try selectSubject.step() else {
            throw LedgerError.corrupt(where: "subject \(id)", what: "an identifier leads to it, but it is not there")
        }
        let projection = Projection(selectSubject, from: 1)
        return SubjectRecord(
            id: id, salt: selectSubject.bytes(0), projection: projection, standings: try standings(of: id))
    }

    package func standings(of subject: Int64) throws -> [Int: Standing] {
        selectStandings.bind(1, subject)
        defer { selectStandings.reset() }
        var standings: [Int: Standing] = [:]
        while try selectStandings.step() {
            let (bit, standing) = StandingColumns.read(selectStandings, from: 0, revisions: revisionNames)
            standings[bit] = standing
        }
        return standings
    }

    package func identifierHashes(of subject: Int64) throws -> [[UInt8]] {
        selectIdentifiers.bind(1, subject)
        defer { selectIdentifiers.reset() }
        var hashes: [[UInt8]] = []
        while try selectIdentifiers.step() { hashes.append(selectIdentifiers.bytes(0)) }
        return hashes
    }

    /// - Parameter ordinal: how many identifiers the subject has already.
    /// - Precondition: no subject has it.
    package func add(_ identifier: StoredIdentifier, to subject: Int64, ordinal: Int) throws {
        insertIdentifier.bind(1, subject)
        insertIdentifier.bind(2, ordinal)
        insertIdentifier.bind(3, identifier.hash)
        insertIdentifier.bind(4, Int64(identifier.type.rawValue))
        insertIdentifier.bind(5, identifier.value)
        try insertIdentifier.run()
    }

    package func put(_ standing: Standing, subject: Int64, purposeBit: Int) throws {
        putStanding.bind(1, subject)
        StandingColumns.bind(putStanding, from: 2, purposeBit: purposeBit, standing, revisions: revisionIDs)
        try putStanding.run()
    }

    package func put(_ projection: Projection, subject: Int64) throws {
        projection.bind(updateSubject, from: 1)
        updateSubject.bind(6, subject)
        try updateSubject.run()
    }

    /// Subjects with a consent that may have ended, those first that ended first.
    package func subjectsDue(at now: Timestamp, countMax: Int) throws -> [Int64] {
        selectDue.bind(1, now.millis)
        selectDue.bind(2, countMax)
        defer { selectDue.reset() }
        var subjects: [Int64] = []
        while try selectDue.step() { subjects.append(selectDue.int64(0)) }
        return subjects
    }

    /// Subjects that have a standing for one of these purposes.
    package func subjects(withStandingFor purposeBits: [Int]) throws -> [Int64] {
        let marks = purposeBits.map(String.init).joined(separator: ",")
        let select = try general("SELECT DISTINCT subject FROM standing WHERE purpose IN (\(marks)) ORDER BY subject")
        var subjects: [Int64] = []
        while try select.step() { subjects.append(select.int64(0)) }
        return subjects
    }

    // MARK: Events

    /// The event that was recorded with this key.
    package func sequence(forKey key: IdempotencyKey) throws -> UInt64? {
        findKey.bind(1, key.bytes)
        defer { findKey.reset() }
        return try findKey.step() ? UInt64(findKey.int64(0)) : nil
    }

    /// An event of the subject with the same purpose, state and capture time.
    package func sequence(ofEventLike event: ConsentEvent, subject: Int64, purposeBit: Int) throws -> UInt64? {
        findTwin.bind(1, subject)
        findTwin.bind(2, purposeBit)
        findTwin.bind(3, event.capturedAt?.millis)
        findTwin.bind(4, Int64(event.state.rawValue))
        defer { findTwin.reset() }
        return try findTwin.step() ? UInt64(findTwin.int64(0)) : nil
    }

    /// One event by its sequence.
    package func event(_ sequence: UInt64) throws -> RecordedEvent? {
        selectEvent.bind(1, Int64(sequence))
        defer { selectEvent.reset() }
        return try selectEvent.step() ? try EventColumns.read(selectEvent).recorded : nil
    }

    /// The next moment at which some consent may end.
    package func nextEnd() throws -> Timestamp? {
        defer { selectNextEnd.reset() }
        return try selectNextEnd.step() ? selectNextEnd.optionalInt64(0).map(Timestamp.init(millis:)) : nil
    }

    /// Appends a consent event to the chain.
    ///
    /// - Returns: its sequence.
    package func append(
        _ event: ConsentEvent, subject: SubjectRecord, purposeBit: Int, recordedAt: Timestamp, refersTo: UInt64 = 0
    ) throws -> UInt64 {
        let personal = Personal.encode(event)
        let capturedAt = event.capturedAt ?? recordedAt
        var chain = begin(.consent, recordedAt: recordedAt, capturedAt: capturedAt)
        chain.append(
            event, subject: subject.id, refersTo: refersTo,
            commitment: Personal.commitment(salt: subject.salt, personal: personal))
        insertEvent.bind(5, subject.id)
        insertEvent.bind(6, purposeBit)
        insertEvent.bind(7, Int64(event.state.rawValue))
        insertEvent.bind(8, event.revision.flatMap { revisionIDs[$0] })
        insertEvent.bind(9, event.language)
        insertEvent.bind(10, Int64(event.method.rawValue))
        insertEvent.bind(11, Int64(event.party.rawValue))
        insertEvent.bind(12, event.isExplicit ? 1 : 0)
        insertEvent.bind(13, event.subjectAge)
        insertEvent.bind(14, event.expiresAt?.millis)
        insertEvent.bind(15, refersTo == 0 ? nil : Int64(refersTo))
        insertEvent.bind(16, try sourceID(event.source))
        insertEvent.bind(17, event.actor)
        insertEvent.bind(18, event.key?.bytes)
        insertEvent.bind(19, personal)
        insertEvent.bind(20, nil as Int64?)
        return try finish(chain)
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
        var chain = begin(.catalog, recordedAt: recordedAt, capturedAt: recordedAt)
        chain.append(UInt64(document.version))
        chain.append(document.digest)
        for column in Int32(5)...20 { insertEvent.bind(column, nil as Int64?) }
        insertEvent.bind(20, document.version)
        return try finish(chain)
    }

    /// Appends the note that a revision became current by time.
    package func appendRevisionChange(effectiveAt: Timestamp, recordedAt: Timestamp) throws -> UInt64 {
        let chain = begin(.revisionBecameCurrent, recordedAt: recordedAt, capturedAt: effectiveAt)
        for column in Int32(5)...20 { insertEvent.bind(column, nil as Int64?) }
        return try finish(chain)
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
                if let id = revisionIDs[name] {
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
                remember(name, insertRevision.int64(0))
                insertRevision.reset()
            }
        }
    }

    private func begin(_ kind: EventKind, recordedAt: Timestamp, capturedAt: Timestamp) -> ChainBytes {
        let sequence = head.sequence + 1
        insertEvent.bind(1, Int64(sequence))
        insertEvent.bind(2, Int64(kind.rawValue))
        insertEvent.bind(3, recordedAt.millis)
        insertEvent.bind(4, capturedAt.millis)
        return ChainBytes(
            previous: head.hash, sequence: sequence, kind: kind, recordedAt: recordedAt.millis,
            capturedAt: capturedAt.millis)
    }

    private func finish(_ chain: ChainBytes) throws -> UInt64 {
        let hash = chain.hash
        insertEvent.bind(21, hash)
        try insertEvent.run()
        head = ChainHead(sequence: head.sequence + 1, hash: hash)
        return head.sequence
    }

    private func sourceID(_ source: EventSource) throws -> Int64 {
        if let id = sourceIDs[source] { return id }
        insertSource.bind(1, source.system)
        insertSource.bind(2, source.channel)
        insertSource.bind(3, source.form)
        _ = try insertSource.step()
        let id = insertSource.int64(0)
        insertSource.reset()
        sourceIDs[source] = id
        return id
    }
}

extension Projection {
    /// Reads permitted, denied, wide, ends_at, sequence.
    init(_ row: Statement, from column: Int32) {
        permitted[word: 0] = UInt64(bitPattern: row.int64(column))
        denied[word: 0] = UInt64(bitPattern: row.int64(column + 1))
        if !row.isNull(column + 2) {
            let wide = row.rawBytes(column + 2)
            for position in 0..<wide.count / 16 {
                let pair = (0..<2).map { wide.loadUnaligned(fromByteOffset: position * 16 + $0 * 8, as: UInt64.self) }
                permitted[word: position + 1] = UInt64(littleEndian: pair[0])
                denied[word: position + 1] = UInt64(littleEndian: pair[1])
            }
        }
        endsAt = row.optionalInt64(column + 3).map(Timestamp.init(millis:))
        sequence = UInt64(row.int64(column + 4))
    }

    func bind(_ statement: Statement, from position: Int32) {
        statement.bind(position, Int64(bitPattern: permitted[word: 0]))
        statement.bind(position + 1, Int64(bitPattern: denied[word: 0]))
        let words = max(permitted.wordCount, denied.wordCount)
        var wide: [UInt8] = []
        for word in 1..<max(words, 1) {
            for value in [permitted[word: word], denied[word: word]] {
                withUnsafeBytes(of: value.littleEndian) { wide += $0 }
            }
        }
        statement.bind(position + 2, wide.isEmpty ? nil : wide)
        statement.bind(position + 3, endsAt?.millis)
        statement.bind(position + 4, Int64(sequence))
    }
}

/// A standing as a row of its table.
enum StandingColumns {
    static let names = """
        purpose, flags, sequence, state, captured_at, revision, expires_at, method, party, age, taken_away_at, \
        lifted_by_person_at, lifted_by_others_at, erased_at
        """

    private static let confirmed: Int64 = 1
    private static let confirmedByGuardian: Int64 = 2
    private static let recordedExpired: Int64 = 4
    private static let explicit: Int64 = 8

    static func read(
        _ row: Statement, from column: Int32, revisions: [Int64: RevisionName]
    ) -> (purposeBit: Int, Standing) {
        func moment(_ offset: Int32) -> Timestamp? { row.optionalInt64(column + offset).map(Timestamp.init(millis:)) }
        let flags = row.int64(column + 1)
        var standing = Standing()
        standing.isConfirmed = flags & confirmed != 0
        standing.isConfirmedByGuardian = flags & confirmedByGuardian != 0
        standing.isRecordedExpired = flags & recordedExpired != 0
        standing.erasedAt = moment(13)
        if let state = EventState(rawValue: UInt8(clamping: row.int64(column + 3))), let capturedAt = moment(4) {
            var act = Act(sequence: UInt64(row.int64(column + 2)), state: state, capturedAt: capturedAt)
            act.revision = row.optionalInt64(column + 5).flatMap { revisions[$0] }
            act.expiresAt = moment(6)
            act.method = EvidenceMethod(rawValue: UInt8(clamping: row.int64(column + 7))) ?? .none
            act.party = Party(rawValue: UInt8(clamping: row.int64(column + 8))) ?? .system
            act.subjectAge = row.optionalInt64(column + 9).map { Int($0) }
            act.isExplicit = flags & explicit != 0
            standing.decidingAct = act
        }
        standing.takenAwayAt = moment(10)
        standing.objectionLiftedByPersonAt = moment(11)
        standing.objectionLiftedByOthersAt = moment(12)
        return (row.int(column), standing)
    }

    static func bind(
        _ statement: Statement, from position: Int32, purposeBit: Int, _ standing: Standing,
        revisions: [RevisionName: Int64]
    ) {
        let act = standing.decidingAct
        let flags =
            (standing.isConfirmed ? confirmed : 0) | (standing.isConfirmedByGuardian ? confirmedByGuardian : 0)
            | (standing.isRecordedExpired ? recordedExpired : 0) | (act?.isExplicit ?? false ? explicit : 0)
        statement.bind(position, purposeBit)
        statement.bind(position + 1, flags)
        statement.bind(position + 2, act.map { Int64($0.sequence) })
        statement.bind(position + 3, act.map { Int64($0.state.rawValue) })
        statement.bind(position + 4, act?.capturedAt.millis)
        statement.bind(position + 5, act?.revision.flatMap { revisions[$0] })
        statement.bind(position + 6, act?.expiresAt?.millis)
        statement.bind(position + 7, act.map { Int64($0.method.rawValue) })
        statement.bind(position + 8, act.map { Int64($0.party.rawValue) })
        statement.bind(position + 9, act?.subjectAge)
        statement.bind(position + 10, standing.takenAwayAt?.millis)
        statement.bind(position + 11, standing.objectionLiftedByPersonAt?.millis)
        statement.bind(position + 12, standing.objectionLiftedByOthersAt?.millis)
        statement.bind(position + 13, standing.erasedAt?.millis)
    }
}
