package import ConsentModel
import GRDB

/// One state of the ledger, read beside the writer. Valid inside the call that hands it out.
package final class LedgerSnapshot {
    private let memory: ReaderMemory
    private let identity: NodeIdentity
    private let walks: HistoryWalks
    private var areOutdatingsRead = false

    init(_ memory: ReaderMemory, identity: NodeIdentity, walks: HistoryWalks) {
        self.walks = walks
        self.memory = memory
        self.identity = identity
    }

    private func prepare(_ sql: String) throws -> Statement { try Statement(memory.statements, sql) }

    private func outdatings() throws -> Outdatings {
        if !areOutdatingsRead { try memory.outdatings.readOn(prepare(Outdatings.select)) }
        areOutdatingsRead = true
        return memory.outdatings
    }

    /// Whether consents ever became outdated for everybody at once: then what is kept of a person may name too early an end.
    package func hasOutdated() throws -> Bool { try !outdatings().all.isEmpty }

    package func head() throws -> ChainHead {
        let last = try prepare("SELECT sequence, hash FROM event ORDER BY sequence DESC LIMIT 1")
        guard try last.step() else { return ChainHead(history: identity.history) }
        return ChainHead(
            sequence: UInt64(clamping: last.int64(0)), hash: try EventColumns.hash(last, 1, of: last.int64(0)))
    }

    /// What the next group goes on from.
    package func end() throws -> LedgerEnd {
        let subject = try prepare("SELECT ifnull(max(id), 0) + 1 FROM subject")
        return LedgerEnd(head: try head(), nextSubject: try subject.step() ? subject.int64(0) : 1)
    }

    /// The hash of one event, nil if there is none.
    package func chainHead(at sequence: UInt64) throws -> ChainHead? {
        if sequence == 0 { return ChainHead(history: identity.history) }
        let select = try prepare("SELECT hash FROM event WHERE sequence = ?")
        select.bind(1, Int64(clamping: sequence))
        return try select.step()
            ? ChainHead(sequence: sequence, hash: try EventColumns.hash(select, 0, of: Int64(sequence))) : nil
    }

    /// The hashes of events in their order.
    ///
    /// - Throws: ``LedgerError`` `corrupt` if one of them is not there.
    package func hashes(_ sequences: ClosedRange<UInt64>) throws -> [ChainHash] {
        let select = try prepare("SELECT sequence, hash FROM event WHERE sequence BETWEEN ? AND ? ORDER BY sequence")
        select.bind(1, Int64(clamping: sequences.lowerBound))
        select.bind(2, Int64(clamping: sequences.upperBound))
        var hashes: [ChainHash] = []
        for sequence in sequences {
            guard try select.step(), select.int64(0) == sequence else {
                throw LedgerError.corrupt(where: "event \(sequence)", what: "it is missing")
            }
            hashes.append(try EventColumns.hash(select, 1, of: Int64(sequence)))
        }
        return hashes
    }

    /// One event as a link of the chain; nil if there is none with this sequence.
    ///
    /// - Throws: ``LedgerError`` `corrupt` if it does not follow from the one before it.
    package func evidence(of sequence: UInt64) throws -> ChainEvidence? {
        guard sequence > 0, let before = try chainHead(at: sequence - 1) else { return nil }
        let select = try prepare("\(EventColumns.select) WHERE event.sequence = ?")
        select.bind(1, Int64(clamping: sequence))
        guard try select.step() else { return nil }
        _ = try EventColumns.verified(select, previous: before.hash)
        let hashed = try EventColumns.hashed(select, previous: before.hash)
        let entry = ChainEntry(
            sequence: sequence, kind: hashed.kind, recordedAt: Timestamp(millis: select.int64(2)),
            capturedAt: Timestamp(millis: select.int64(3)), previous: before.hash, body: hashed.chain.body)
        var evidence = ChainEvidence(
            entry: entry, event: hashed.event, access: hashed.access, commitment: hashed.commitment)
        if case .consent(let recorded) = hashed.event,
            hashed.parts != nil || !recorded.event.identifiers.isEmpty || !recorded.event.evidence.isEmpty
        {
            (evidence.salt, evidence.parts) = (Salt.read(select.rawBytes(26)), hashed.parts)
        }
        return evidence
    }

    /// The erasures that took something out of a consent event, as the chain has them; none if nothing is gone.
    package func erasures(of evidence: ChainEvidence) throws -> [ErasureEvidence] {
        guard case .consent(let recorded) = evidence.event else { return [] }
        let select = try prepare(
            """
            SELECT erased_event.sequence IS NOT NULL, erased_part.parts
            FROM event
                LEFT JOIN erased_event ON erased_event.sequence = event.sequence
                LEFT JOIN erased_part ON erased_part.sequence = event.sequence
            WHERE event.sequence = ?
            """)
        select.bind(1, Int64(recorded.sequence))
        guard try select.step(), let erased = ErasedParts(select.rawBytes(1)) else {
            throw LedgerError.corrupt(
                where: "event \(recorded.sequence)", what: "what was erased of it cannot be read")
        }
        let isEmptied = select.int64(0) != 0 && erased[ErasedPart.whole] == nil
        var erasures = try Set(erased.entries.map(\.erasure)).sorted().map { erasure in
            ErasureEvidence(entries: [try entry(erasure).entry], parts: try parts(takenBy: erasure))
        }
        if isEmptied, let entries = try wayToErasure(of: recorded.subject, after: recorded.sequence) {
            erasures.append(ErasureEvidence(entries: entries, parts: nil))
        }
        return erasures
    }

    /// The links by which a history became part of an erased person's, and the erasure; nil if none came after an event.
    private func wayToErasure(of subject: Int64, after event: UInt64) throws -> [ChainEntry]? {
        let select = try prepare("SELECT erasure, last_event FROM subject WHERE id = ?")
        var (entries, subject, last) = ([ChainEntry](), subject, event)
        while true {
            select.bind(1, subject)
            guard try select.step() else {
                throw LedgerError.corrupt(where: "subject \(subject)", what: "an event names it, but it is not there")
            }
            let (erasure, end) = (UInt64(clamping: select.int64(0)), UInt64(clamping: select.int64(1)))
            select.reset()
            guard erasure > event else { return nil }
            let (entry, said) = try entry(erasure)
            guard case .erasure(let recorded) = said else {
                throw LedgerError.corrupt(
                    where: "event \(erasure)", what: "it is not the erasure that it is said to be")
            }
            if recorded.subject == subject { return entries + [entry] }
            guard end > last, case (let entry, .link(let link)) = try self.entry(end), link.action == .joinedTo else {
                throw LedgerError.corrupt(
                    where: "subject \(subject)",
                    what: "it is erased by event \(erasure), but its history does not end in whose that is")
            }
            entries.append(entry)
            (subject, last) = (link.other, end)
        }
    }

    private func entry(_ sequence: UInt64) throws -> (entry: ChainEntry, said: SubjectEvent?) {
        guard let evidence = try evidence(of: sequence) else {
            throw LedgerError.corrupt(where: "event \(sequence)", what: "it is missing")
        }
        return (evidence.entry, evidence.event)
    }

    /// All that an erasure took out of events of others, by event and number; nil if there is too much of it.
    private func parts(takenBy erasure: UInt64) throws -> [ErasedPart]? {
        let select = try prepare("SELECT sequence, parts FROM erased_part WHERE sequence < ? ORDER BY sequence")
        select.bind(1, Int64(clamping: erasure))
        var parts: [ErasedPart] = []
        while try select.step() {
            let event = UInt64(clamping: select.int64(0))
            guard let erased = ErasedParts(select.rawBytes(1)) else {
                throw LedgerError.corrupt(where: "event \(event)", what: "what was erased of it cannot be read")
            }
            parts += erased.entries.filter { $0.erasure == erasure }.sorted { $0.number < $1.number }.map {
                ErasedPart(event: event, number: $0.number, hash: $0.hash)
            }
            guard parts.count <= ErasureEvidence.partsMax else { return nil }
        }
        return parts
    }

    /// The latest record time; the node's clock never goes back behind it.
    package func lastRecordedAt() throws -> Timestamp {
        let select = try prepare("SELECT recorded_at FROM event ORDER BY sequence DESC LIMIT 1")
        return Timestamp(millis: try select.step() ? select.int64(0) : 0)
    }

    /// The moment of the newest note that a revision became current, or of the last applied catalog.
    package func lastCatalogMoment() throws -> Timestamp? {
        let select = try prepare(
            "SELECT captured_at FROM event WHERE kind BETWEEN 2 AND 3 ORDER BY sequence DESC LIMIT 1")
        return try select.step() ? Timestamp(millis: select.int64(0)) : nil
    }

    package func catalog() throws -> StoredCatalog? {
        let select = try prepare("\(Self.selectCatalogs) DESC LIMIT 1")
        guard try select.step() else { return nil }
        return StoredCatalog(version: select.int(0), document: select.text(1), digest: select.bytes(2))
    }

    /// Every catalog that was ever applied, oldest first.
    package func catalogs() throws -> [StoredCatalog] {
        let select = try prepare(Self.selectCatalogs)
        var catalogs: [StoredCatalog] = []
        while try select.step() {
            catalogs.append(
                StoredCatalog(version: select.int(0), document: select.text(1), digest: select.bytes(2)))
        }
        return catalogs
    }

    /// When each catalog of ``catalogs()`` came into force: the sequence and the record time of its event.
    package func catalogMoments() throws -> [(sequence: UInt64, recordedAt: Timestamp)] {
        let select = try prepare(
            "SELECT sequence, recorded_at FROM event WHERE kind BETWEEN 2 AND 3 AND catalog IS NOT NULL ORDER BY sequence"
        )
        var moments: [(sequence: UInt64, recordedAt: Timestamp)] = []
        while try select.step() {
            moments.append((UInt64(clamping: select.int64(0)), Timestamp(millis: select.int64(1))))
        }
        return moments
    }

    /// A catalog is in force by its event, which the chain holds.
    private static let selectCatalogs = """
        SELECT catalog.version, catalog.document, catalog.digest
        FROM event JOIN catalog ON catalog.version = event.catalog
        WHERE event.kind BETWEEN 2 AND 3 AND event.catalog IS NOT NULL ORDER BY event.sequence
        """

    /// Versions of catalogs that stand there without having been applied.
    package func catalogsWithoutEvent() throws -> [Int] {
        let select = try prepare(
            """
            SELECT version FROM catalog WHERE version NOT IN
                (SELECT catalog FROM event WHERE kind BETWEEN 2 AND 3 AND catalog IS NOT NULL) ORDER BY version
            """)
        var versions: [Int] = []
        while try select.step() { versions.append(select.int(0)) }
        return versions
    }

    /// What a derived file must hold.
    package func totals(of file: DerivedFile) throws -> DerivedTotals {
        let select = try prepare("SELECT rows, digest, owners_digest FROM derived_file WHERE name = ?")
        select.bind(1, file.rawValue)
        guard try select.step() else { return DerivedTotals() }
        return DerivedTotals(
            rows: select.int(0), digest: UInt64(bitPattern: select.int64(1)),
            ownersDigest: UInt64(bitPattern: select.int64(2)))
    }

    /// The purposes of a catalog that do not have their bit in the ledger, and the revisions whose digest is not kept.
    package func namesMissing(of catalog: Catalog) throws -> [String] {
        let purpose = try prepare("SELECT 1 FROM purpose WHERE bit = ? AND id = ?")
        let revision = try prepare("SELECT 1 FROM revision WHERE declaration = ? AND revision = ? AND digest = ?")
        var missing: [String] = []
        for entry in catalog.purposes {
            purpose.bind(1, entry.bit)
            purpose.bind(2, entry.id)
            if try !purpose.step() { missing.append("purpose '\(entry.id)'") }
            purpose.reset()
        }
        for declaration in catalog.declarations {
            for entry in declaration.revisions {
                revision.bind(1, declaration.id)
                revision.bind(2, entry.name)
                revision.bind(3, entry.digest)
                if try !revision.step() { missing.append("revision '\(declaration.id) \(entry.name)'") }
                revision.reset()
            }
        }
        return missing
    }

    package func counts() throws -> LedgerCounts {
        func one(_ sql: String) throws -> UInt64 {
            let select = try prepare(sql)
            return try select.step() ? UInt64(clamping: select.int64(0)) : 0
        }
        return LedgerCounts(
            events: try one("SELECT ifnull(max(sequence), 0) FROM event"),
            subjects: try one("SELECT ifnull(max(id), 0) FROM subject"),
            catalogVersion: UInt64(try catalog()?.version ?? 0),
            size: try one("SELECT page_count * page_size FROM pragma_page_count, pragma_page_size"))
    }

    /// Nil if there is none with this number.
    package func subject(_ id: Int64) throws -> SubjectRecord? {
        let select = try prepare("\(SubjectColumns.select) WHERE id = ?")
        select.bind(1, id)
        guard try select.step() else { return nil }
        do {
            return try SubjectColumns.read(select, memory.revisions, outdatings())
        } catch {
            // Where it stands may name a revision that was added since.
            memory.revisions = try RevisionNumbers(prepare(RevisionNumbers.select))
            return try SubjectColumns.read(select, memory.revisions, outdatings())
        }
    }

    /// Those who became part of a subject.
    package func parts(of subject: Int64) throws -> [Int64] {
        let select = try prepare(SubjectColumns.selectParts)
        select.bind(1, subject)
        var parts: [Int64] = []
        while try select.step() { parts.append(select.int64(0)) }
        return parts
    }

    /// What was recorded about a person with a later sequence than `after`, oldest first.
    package func events(
        of subject: SubjectRecord, after: UInt64, countMax: Int, withLinks: Bool
    ) throws -> [SubjectEvent] {
        try histories().events(of: subject, after: after, countMax: countMax, withLinks: withLinks)
    }

    /// For the histories of many people.
    package func histories() throws -> SubjectHistories { try SubjectHistories(memory.statements, walks) }

    /// One event by its sequence.
    package func event(_ sequence: UInt64) throws -> RecordedEvent? {
        let select = try prepare("\(EventColumns.selectOne) WHERE event.sequence = ?")
        select.bind(1, Int64(clamping: sequence))
        guard try select.step(), case .consent(let event) = try EventColumns.verified(select) else { return nil }
        return event
    }

    /// - Throws: ``LedgerError`` `corrupt` unless the event is there, and is what was recorded.
    package func requireWhole(_ sequence: UInt64) throws {
        let select = try prepare("\(EventColumns.selectOne) WHERE event.sequence = ?")
        select.bind(1, Int64(clamping: sequence))
        guard try select.step() else { throw LedgerError.corrupt(where: "event \(sequence)", what: "it is missing") }
        _ = try EventColumns.verified(select)
    }

    /// Entries of the access log after a sequence, oldest first, until the body says that it has enough.
    package func walkAccesses(after sequence: UInt64, _ body: (RecordedAccess) throws -> Bool) throws {
        let select = try prepare(
            "\(EventColumns.selectOne) WHERE event.kind = 4 AND event.sequence > ? ORDER BY event.sequence")
        select.bind(1, Int64(clamping: sequence))
        while try select.step() {
            _ = try EventColumns.verified(select)
            guard try body(EventColumns.access(select)) else { return }
        }
    }

    /// Erasures whose traces may still be in the database's log.
    package func erasuresPending() throws -> [UInt64] {
        let select = try prepare("SELECT sequence FROM erasure_pending ORDER BY sequence")
        var pending: [UInt64] = []
        while try select.step() { pending.append(UInt64(clamping: select.int64(0))) }
        return pending
    }

    /// An erasure by its sequence.
    package func erasure(_ sequence: UInt64) throws -> RecordedErasure? {
        let select = try prepare("\(EventColumns.selectOne) WHERE event.sequence = ?")
        select.bind(1, Int64(clamping: sequence))
        guard try select.step(), case .erasure(let erasure) = try EventColumns.verified(select) else { return nil }
        return erasure
    }

    /// Every confirmation token that is known.
    package func forEachToken(_ body: (StoredToken) throws -> Void) throws {
        let select = try prepare("\(StoredToken.select) ORDER BY hash")
        while try select.step() { try body(try StoredToken(select)) }
    }

    /// Confirmation tokens that have neither been used nor lapsed.
    package func waitingTokenCount() throws -> UInt64 {
        let select = try prepare("SELECT count(*) FROM confirmation_token WHERE state = 0")
        return try select.step() ? UInt64(clamping: select.int64(0)) : 0
    }

    /// The keys of events after a sequence, oldest first.
    package func forEachKey(after sequence: UInt64, _ body: (IdempotencyKey, UInt64) throws -> Void) throws {
        let select = try prepare(
            "SELECT sequence, key FROM event WHERE kind = 1 AND sequence > ? AND key IS NOT NULL ORDER BY sequence")
        select.bind(1, Int64(clamping: sequence))
        while try select.step() {
            let event = UInt64(clamping: select.int64(0))
            guard let key = IdempotencyKey(bytes: select.rawBytes(1)) else {
                throw LedgerError.corrupt(where: "event \(event)", what: "its key has not sixteen bytes")
            }
            try body(key, event)
        }
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
        let select = try prepare("SELECT 1 FROM event WHERE sequence > ? AND kind BETWEEN 2 AND 3 LIMIT 1")
        select.bind(1, Int64(clamping: sequence))
        return try select.step()
    }

    /// Every subject, in the order of their numbers.
    package func forEachSubject(_ body: (SubjectRecord) throws -> Void) throws {
        let (revisions, outdatings) = try (RevisionNumbers(prepare(RevisionNumbers.select)), outdatings())
        let select = try prepare("\(SubjectColumns.select) ORDER BY id")
        while try select.step() { try body(SubjectColumns.read(select, revisions, outdatings)) }
    }

    /// Subjects after a number, in their order, until the body says that it has enough.
    package func walkSubjects(after number: Int64, _ body: (SubjectRecord) throws -> Bool) throws {
        let (revisions, outdatings) = try (RevisionNumbers(prepare(RevisionNumbers.select)), outdatings())
        let select = try prepare("\(SubjectColumns.select) WHERE id > ? ORDER BY id")
        select.bind(1, number)
        while try select.step() {
            guard try body(SubjectColumns.read(select, revisions, outdatings)) else { return }
        }
    }

    /// Every subject with what the index says of its identifiers, and nothing more of it: as fast as they can be read.
    ///
    /// - Parameter body: the identifiers, as ``SubjectRecord/identifiers``, are valid during the call.
    package func forEachProjection(_ body: (Int64, UnsafeRawBufferPointer, Projection) throws -> Void) throws {
        let select = try prepare(
            "SELECT id, identifiers, permitted, denied, wide, ends_at, sequence FROM subject ORDER BY id")
        let outdatings = try outdatings()
        while try select.step() {
            let projection = try Projection(select, from: 2, of: select.int64(0), outdatings)
            try SubjectColumns.requireWhole(select.rawBytes(1), of: select.int64(0))
            try body(select.int64(0), select.rawBytes(1), projection)
        }
    }

    /// Walks the chain to its end.
    ///
    /// - Parameters:
    ///   - start: the event to begin behind; zero walks the whole chain.
    ///   - body: called for every event in order, with the one before it of the same subject, and with what was erased
    ///     of it by itself, by which erasure; nil for one that is not about a subject.
    /// - Throws: ``LedgerError`` `corrupt` at the first event that does not follow from the one before.
    @discardableResult
    package func walkChain(
        after start: UInt64 = 0,
        _ body: (
            UInt64, (event: SubjectEvent, previous: UInt64, erased: [(part: ErasedPart, by: UInt64)])?
        ) throws -> Void
    ) throws -> ChainHead {
        guard var head = try chainHead(at: start) else {
            throw LedgerError.corrupt(where: "event \(start)", what: "it is missing")
        }
        let select = try prepare("\(EventColumns.select) WHERE event.sequence > ? ORDER BY event.sequence")
        select.bind(1, Int64(clamping: start))
        while try select.step() {
            let sequence = UInt64(clamping: select.int64(0))
            guard sequence == head.sequence + 1 else {
                throw LedgerError.corrupt(
                    where: "event \(head.sequence + 1)", what: "it is missing; the next one is \(sequence)")
            }
            let (recorded, hash) = try EventColumns.verified(select, previous: head.hash)
            head = ChainHead(sequence: sequence, hash: hash)
            let erased = try EventColumns.erasedParts(select).entries.map { entry in
                (ErasedPart(event: sequence, number: entry.number, hash: entry.hash), entry.erasure)
            }
            try body(sequence, recorded.map { ($0, UInt64(clamping: select.int64(27)), erased) })
        }
        return head
    }
}

/// What a connection that reads keeps from one snapshot to the next: statements, and what is only ever added to.
// Confined to the connection's queue, like its statements.
final class ReaderMemory {
    let statements: StatementCache
    var revisions = RevisionNumbers()
    var outdatings = Outdatings()

    init(_ connection: OpaquePointer) { statements = StatementCache(connection) }
}
