package import ConsentModel
import GRDB

/// One state of the ledger, read beside the writer. Valid inside the call that hands it out.
package final class LedgerSnapshot {
    private let database: Database
    private let connection: OpaquePointer
    private let identity: NodeIdentity

    init(_ database: Database, identity: NodeIdentity) {
        self.database = database
        connection = database.sqliteConnection!
        self.identity = identity
    }

    private func prepare(_ sql: String) throws -> Statement { try Statement(connection, sql) }

    package func head() throws -> ChainHead {
        let last = try prepare("SELECT sequence, hash FROM event ORDER BY sequence DESC LIMIT 1")
        guard try last.step() else { return ChainHead(history: identity.history) }
        return ChainHead(sequence: UInt64(last.int64(0)), hash: last.bytes(1))
    }

    /// The hash of one event, nil if there is none.
    package func chainHead(at sequence: UInt64) throws -> ChainHead? {
        if sequence == 0 { return ChainHead(history: identity.history) }
        let select = try prepare("SELECT hash FROM event WHERE sequence = ?")
        select.bind(1, Int64(clamping: sequence))
        return try select.step() ? ChainHead(sequence: sequence, hash: select.bytes(0)) : nil
    }

    /// The latest record time; the node's clock never goes back behind it.
    package func lastRecordedAt() throws -> Timestamp {
        let select = try prepare("SELECT recorded_at FROM event ORDER BY sequence DESC LIMIT 1")
        return Timestamp(millis: try select.step() ? select.int64(0) : 0)
    }

    /// The moment of the newest note that a revision became current, or of the last applied catalog.
    package func lastCatalogMoment() throws -> Timestamp? {
        let select = try prepare(
            "SELECT captured_at FROM event WHERE kind IN (2, 3) ORDER BY sequence DESC LIMIT 1")
        return try select.step() ? Timestamp(millis: select.int64(0)) : nil
    }

    package func catalog() throws -> StoredCatalog? {
        let select = try prepare("SELECT version, document, digest FROM catalog ORDER BY version DESC LIMIT 1")
        guard try select.step() else { return nil }
        return StoredCatalog(version: select.int(0), document: select.text(1), digest: select.bytes(2))
    }

    package func counts() throws -> LedgerCounts {
        func one(_ sql: String) throws -> UInt64 {
            let select = try prepare(sql)
            return try select.step() ? UInt64(select.int64(0)) : 0
        }
        return LedgerCounts(
            events: try one("SELECT ifnull(max(sequence), 0) FROM event"),
            subjects: try one("SELECT ifnull(max(id), 0) FROM subject"),
            identifiers: try one("SELECT count(*) FROM identifier"),
            catalogVersion: try one("SELECT ifnull(max(version), 0) FROM catalog"),
            size: try one("SELECT page_count * page_size FROM pragma_page_count, pragma_page_size"))
    }

    /// An upper bound of the number of identifiers, without counting them.
    package func identifierCount() throws -> Int {
        let select = try prepare("SELECT count(*) FROM identifier")
        return try select.step() ? select.int(0) : 0
    }

    package func subject(identifiedBy hash: [UInt8]) throws -> Int64? {
        let find = try prepare("SELECT subject FROM identifier WHERE hash = ?")
        find.bind(1, hash)
        return try find.step() ? find.int64(0) : nil
    }

    /// Where a subject stands for one purpose.
    package func standing(of subject: Int64, purposeBit: Int) throws -> Standing? {
        let select = try prepare(
            "SELECT \(StandingColumns.names) FROM standing WHERE subject = ? AND purpose = ?")
        select.bind(1, subject)
        select.bind(2, purposeBit)
        return try select.step() ? StandingColumns.read(select, from: 0, revisions: revisionNames()).1 : nil
    }

    /// Events of a subject with a later sequence than `after`, oldest first.
    package func events(of subject: Int64, after: UInt64, countMax: Int) throws -> [RecordedEvent] {
        let select = try prepare(
            "\(EventColumns.select) WHERE event.subject = ? AND event.sequence > ? ORDER BY event.sequence LIMIT ?")
        select.bind(1, subject)
        select.bind(2, Int64(clamping: after))
        select.bind(3, countMax)
        var events: [RecordedEvent] = []
        while try select.step() { events.append(try EventColumns.read(select).recorded) }
        return events
    }

    /// One event by its sequence.
    package func event(_ sequence: UInt64) throws -> RecordedEvent? {
        let select = try prepare("\(EventColumns.select) WHERE event.sequence = ?")
        select.bind(1, Int64(clamping: sequence))
        return try select.step() ? try EventColumns.read(select).recorded : nil
    }

    /// Subjects that events after a sequence are about.
    package func subjectsChanged(after sequence: UInt64) throws -> [Int64] {
        let select = try prepare(
            "SELECT DISTINCT subject FROM event WHERE sequence > ? AND subject IS NOT NULL")
        select.bind(1, Int64(clamping: sequence))
        var subjects: [Int64] = []
        while try select.step() { subjects.append(select.int64(0)) }
        return subjects
    }

    /// Whether an event after a sequence changed the catalog, and with it the rows of people it does not name.
    package func catalogChanged(after sequence: UInt64) throws -> Bool {
        let select = try prepare("SELECT 1 FROM event WHERE sequence > ? AND kind IN (2, 3) LIMIT 1")
        select.bind(1, Int64(clamping: sequence))
        return try select.step()
    }

    /// What the index says of one subject's identifiers.
    package func projection(of subject: Int64) throws -> (Projection, hashes: [[UInt8]]) {
        let select = try prepare("SELECT permitted, denied, wide, ends_at, sequence FROM subject WHERE id = ?")
        select.bind(1, subject)
        guard try select.step() else {
            throw LedgerError.corrupt(where: "subject \(subject)", what: "an event names it, but it is not there")
        }
        let hashes = try prepare("SELECT hash FROM identifier WHERE subject = ?")
        hashes.bind(1, subject)
        var found: [[UInt8]] = []
        while try hashes.step() { found.append(hashes.bytes(0)) }
        return (Projection(select, from: 0), found)
    }

    /// Every identifier's hash with what the index says of it. Two scans side by side, as both tables are in the order of
    /// their subjects.
    ///
    /// - Parameter body: the sixteen bytes are valid during the call.
    package func forEachIdentifier(_ body: (UnsafeRawBufferPointer, Projection) throws -> Void) throws {
        let subjects = try prepare("SELECT id, permitted, denied, wide, ends_at, sequence FROM subject ORDER BY id")
        let identifiers = try prepare("SELECT subject, hash FROM identifier ORDER BY subject, ordinal")
        var (subject, projection): (Int64, Projection) = (0, Projection())
        while try identifiers.step() {
            let owner = identifiers.int64(0)
            while subject < owner {
                guard try subjects.step() else {
                    throw LedgerError.corrupt(where: "subject \(owner)", what: "it has identifiers, but is not there")
                }
                subject = subjects.int64(0)
                if subject == owner { projection = Projection(subjects, from: 1) }
            }
            guard subject == owner else {
                throw LedgerError.corrupt(where: "subject \(owner)", what: "it has identifiers, but is not there")
            }
            try body(identifiers.rawBytes(1), projection)
        }
    }

    /// Every subject with its standings, in the order of their ids.
    package func forEachSubject(_ body: (SubjectRecord) throws -> Void) throws {
        let revisions = try revisionNames()
        let subjects = try prepare(
            "SELECT id, salt, permitted, denied, wide, ends_at, sequence FROM subject ORDER BY id")
        let standings = try prepare("SELECT subject, \(StandingColumns.names) FROM standing ORDER BY subject, purpose")
        var hasStanding = try standings.step()
        while try subjects.step() {
            var record = SubjectRecord(
                id: subjects.int64(0), salt: subjects.bytes(1), projection: Projection(subjects, from: 2))
            while hasStanding, standings.int64(0) == record.id {
                let (bit, standing) = StandingColumns.read(standings, from: 1, revisions: revisions)
                record.standings[bit] = standing
                hasStanding = try standings.step()
            }
            try body(record)
        }
        if hasStanding {
            throw LedgerError.corrupt(
                where: "standing of subject \(standings.int64(0))", what: "there is no such subject")
        }
    }

    private func revisionNames() throws -> [Int64: RevisionName] {
        let select = try prepare("SELECT id, declaration, revision FROM revision")
        var names: [Int64: RevisionName] = [:]
        while try select.step() {
            names[select.int64(0)] = RevisionName(declaration: select.text(1), revision: select.text(2))
        }
        return names
    }

    /// Walks the whole chain.
    ///
    /// - Parameter body: called for every event in order; nil for one that is not about a subject.
    /// - Throws: ``LedgerError`` `corrupt` at the first event that does not follow from the one before.
    package func walkChain(_ body: (UInt64, RecordedEvent?) throws -> Void) throws -> ChainHead {
        var head = ChainHead(history: identity.history)
        let select = try prepare("\(EventColumns.select) ORDER BY event.sequence")
        while try select.step() {
            let sequence = UInt64(select.int64(0))
            guard sequence == head.sequence + 1 else {
                throw LedgerError.corrupt(
                    where: "event \(head.sequence + 1)", what: "it is missing; the next one is \(sequence)")
            }
            let (recorded, hash) = try EventColumns.verified(select, previous: head.hash)
            head = ChainHead(sequence: sequence, hash: hash)
            try body(sequence, recorded)
        }
        return head
    }
}
