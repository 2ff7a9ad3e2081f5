import ConsentModel
import GRDB

/// The writer's hands on the ledger inside one transaction.
// Confined to the database's writer queue. Its statements and what it remembers live as long as no transaction fails.
package final class LedgerTransaction {
    /// What was stored before, and what this transaction has stored.
    package let reading: LedgerReading
    private var purposeIDs: [Int: String] = [:]
    private var sourceIDs: [EventSource: Int64] = [:]
    private static let sourcesKeptMax = 4096
    /// Most often the next event has the same.
    private var lastSource: (source: EventSource, id: Int64)?
    private var standingBytes: [UInt8] = []
    private let updateBytes = BoundBytes()

    private let insertSubjects: RowInsert
    private let updateSubject: Statement
    private let upsertSalts: RowInsert
    private let insertEvents: RowInsert
    private let selectSource: Statement
    private let insertSource: Statement
    private let upsertFile: Statement
    private let selectPersonal: Statement
    private let emptyEvent: Statement
    private let updatePersonal: Statement
    private let upsertErasedParts: Statement
    private let insertCommitment: Statement
    private let insertPending: Statement
    private let upsertToken: Statement
    private let deleteTokens: Statement
    private let general: (String) throws -> Statement

    init(_ connection: OpaquePointer, _ eventsRead: EventsRead) throws {
        reading = try LedgerReading(connection, eventsRead)
        general = { try Statement(connection, $0) }
        func prepare(_ sql: String) throws -> Statement { try Statement(connection, sql) }
        insertSubjects = try RowInsert(
            connection, "INSERT INTO subject (id, \(SubjectColumns.derived))", columnCount: 13)
        updateSubject = try prepare(
            """
            UPDATE subject SET permitted = ?, denied = ?, wide = ?, ends_at = ?, sequence = ?, last_event = ?,
                identifiers = ?, standings = ?, erased_at = ?, erasure = ?, joined_to = ?, separated_at = ? WHERE id = ?
            """)
        upsertSalts = try RowInsert(
            connection, "INSERT INTO salt (subject, value)", columnCount: 2,
            "ON CONFLICT (subject) DO UPDATE SET value = excluded.value")
        insertEvents = try RowInsert(
            connection,
            """
            INSERT INTO event (sequence, kind, recorded_at, captured_at, subject, purpose, state, revision, language,
                method, party, explicit, age, expires_at, refers_to, source, actor, key, personal, catalog, previous, hash,
                detail)
            """, columnCount: 23)
        selectSource = try prepare("SELECT id FROM source WHERE system = ? AND channel = ? AND form = ?")
        insertSource = try prepare("INSERT INTO source (system, channel, form) VALUES (?,?,?) RETURNING id")
        upsertFile = try prepare(
            """
            INSERT INTO derived_file (name, rows, digest, owners_digest) VALUES (?,?,?,?) ON CONFLICT (name) DO
                UPDATE SET rows = excluded.rows, digest = excluded.digest, owners_digest = excluded.owners_digest
            """)
        selectPersonal = try prepare(
            """
            SELECT event.subject, event.previous, event.personal, erased_event.sequence IS NOT NULL, erased_part.parts
            FROM event
                LEFT JOIN erased_event ON erased_event.sequence = event.sequence
                LEFT JOIN erased_part ON erased_part.sequence = event.sequence
            WHERE event.sequence = ?
            """)
        emptyEvent = try prepare("UPDATE event SET personal = zeroblob(length(personal)) WHERE sequence = ?")
        updatePersonal = try prepare("UPDATE event SET personal = ? WHERE sequence = ?")
        upsertErasedParts = try prepare(
            "INSERT INTO erased_part (sequence, parts) VALUES (?,?) ON CONFLICT (sequence) DO UPDATE SET parts = excluded.parts"
        )
        insertCommitment = try prepare("INSERT INTO erased_event (sequence, commitment) VALUES (?,?)")
        insertPending = try prepare("INSERT INTO erasure_pending (sequence) VALUES (?)")
        upsertToken = try prepare(StoredToken.upsert)
        deleteTokens = try prepare(StoredToken.deleteOfSubject)
        let purposes = try prepare("SELECT bit, id FROM purpose")
        while try purposes.step() { purposeIDs[purposes.int(0)] = purposes.text(1) }
    }

    /// Stores a draft and the subjects that it is about.
    ///
    /// - Parameter subjects: hands each of them on, with whether it is new.
    package func store(
        _ draft: Draft, subjects: (_ put: (SubjectRecord, _ isNew: Bool) throws -> Void) throws -> Void
    ) throws {
        for (stored, catalog) in draft.catalogs { try put(stored, catalog) }
        for outdating in draft.outdatings { try put(outdating) }
        var newSubjects: [SubjectRecord] = []
        try subjects { if $1 { newSubjects.append($0) } else { try update($0) } }
        try insertSubjects.run(newSubjects) { subject, insert, column, bytes in
            insert.bind(column + 1, subject.id)
            bind(subject, to: insert, after: column + 1, bytes)
        }
        try upsertSalts.run(draft.salts) { salt, upsert, column, bytes in
            upsert.bind(column + 1, salt.subject)
            upsert.bindInPlace(column + 2, Salt.stored(salt.value).withUnsafeBytes(bytes.keep))
        }
        try insertEvents.run(draft.events, bind: bind)
        for erasure in draft.erasures { try empty(erasure) }
        if !draft.tokens.isEmpty { try store(draft.tokens.values) }
    }

    private func store(_ tokens: some Sequence<StoredToken>) throws {
        for token in tokens {
            token.bind(upsertToken)
            try upsertToken.run()
        }
        guard let newest = tokens.lazy.compactMap(\.endedAt).max() else { return }
        let forget = try general(StoredToken.deleteEnded)
        forget.bind(1, newest.advanced(bySeconds: -Limit.endedTokenKept.seconds).millis)
        try forget.run()
    }

    /// Takes out what is personal in the events before an erasure, of the person and of all who became part of the person.
    private func empty(_ erasure: DraftedErasure) throws {
        for part in erasure.parts { try empty(part) }
        for parts in erasure.ofOthers.chunked(by: \.event) { try erase(parts, by: erasure.sequence) }
        insertPending.bind(1, Int64(erasure.sequence))
        try insertPending.run()
    }

    private func empty(_ part: DraftedErasure.Part) throws {
        var sequence = part.lastEvent
        while sequence > 0 {
            selectPersonal.bind(1, Int64(sequence))
            guard try selectPersonal.step(), selectPersonal.int64(0) == part.subject,
                (0..<Int64(sequence)).contains(selectPersonal.int64(1))
            else {
                selectPersonal.reset()
                throw LedgerError.corrupt(sequence, isNotOf: part.subject)
            }
            let previous = UInt64(clamping: selectPersonal.int64(1))
            let personal = selectPersonal.isNull(2) ? nil : selectPersonal.bytes(2)
            let isEmpty = selectPersonal.int64(3) != 0
            let erased = ErasedParts(selectPersonal.rawBytes(4))
            selectPersonal.reset()
            if let personal, !isEmpty {
                try empty(sequence, Personal.commitment(salt: part.salt, personal: personal, erased ?? .none))
            }
            sequence = previous
        }
        deleteTokens.bind(1, part.subject)
        try deleteTokens.run()
    }

    private func empty(_ event: UInt64, _ commitment: ChainHash) throws {
        try put(commitment, of: event)
        emptyEvent.bind(1, Int64(event))
        try emptyEvent.run()
    }

    /// Takes parts out of one event of somebody who is not erased.
    private func erase(_ parts: ArraySlice<ErasedPart>, by erasure: UInt64) throws {
        guard let event = parts.first?.event else { return }
        guard let stored = try reading.personal(event) else {
            throw LedgerError.corrupt(where: "event \(event)", what: "what is to be erased of it is not there")
        }
        var (personal, erased) = (stored.bytes, stored.erased)
        for part in parts { erased.add(part, by: erasure) }
        upsertErasedParts.bind(1, Int64(event))
        upsertErasedParts.bind(2, erased.bytes)
        try upsertErasedParts.run()
        if let whole = parts.first(where: { $0.number == ErasedPart.whole }) { return try empty(event, whole.hash) }
        Personal.erase(Set(parts.map(\.number)), in: &personal)
        updatePersonal.bind(1, personal)
        updatePersonal.bind(2, Int64(event))
        try updatePersonal.run()
    }

    private func put(_ commitment: ChainHash, of event: UInt64) throws {
        insertCommitment.bind(1, Int64(event))
        insertCommitment.bind(2, commitment.bytes)
        try insertCommitment.run()
    }

    private func update(_ subject: SubjectRecord) throws {
        bind(subject, to: updateSubject, after: 0, updateBytes)
        updateSubject.bind(13, subject.id)
        try updateSubject.run()
        updateBytes.clear()
    }

    /// What follows from a subject's events.
    private func bind(_ subject: SubjectRecord, to statement: Statement, after column: Int32, _ bytes: BoundBytes) {
        if subject.joinedTo != nil { reading.notePart() }
        standingBytes.removeAll(keepingCapacity: true)
        subject.standings.encode(into: &standingBytes) { reading.revisions[$0] }
        subject.projection.bind(statement, from: column + 1)
        statement.bind(column + 6, Int64(subject.lastEvent))
        statement.bindInPlace(column + 7, subject.identifiers.withUnsafeBytes(bytes.keep))
        statement.bindInPlace(column + 8, standingBytes.withUnsafeBytes(bytes.keep))
        statement.bind(column + 9, subject.erasedAt?.millis)
        statement.bind(column + 10, subject.erasure == 0 ? nil : Int64(subject.erasure))
        statement.bind(column + 11, subject.joinedTo)
        statement.bind(column + 12, subject.separatedAt?.millis)
    }

    /// Says what a derived file holds when it has followed this transaction.
    package func put(_ totals: DerivedTotals, of file: DerivedFile) throws {
        upsertFile.bind(1, file.rawValue)
        upsertFile.bind(2, totals.rows)
        upsertFile.bind(3, Int64(bitPattern: totals.digest))
        upsertFile.bind(4, Int64(bitPattern: totals.ownersDigest))
        try upsertFile.run()
    }

    private func put(_ outdating: Outdating) throws {
        let insert = try general(Outdatings.insert)
        Outdatings.bind(outdating, insert)
        try insert.run()
    }

    private func put(_ document: StoredCatalog, _ catalog: Catalog) throws {
        let insert = try general("INSERT INTO catalog (version, document, digest) VALUES (?,?,?)")
        insert.bind(1, document.version)
        insert.bind(2, document.document)
        insert.bind(3, document.digest)
        try insert.run()
        try addNames(of: catalog)
    }

    private func bind(_ entry: DraftedEvent, to insert: Statement, after column: Int32, _ bytes: BoundBytes) throws {
        insert.bind(column + 1, Int64(entry.sequence))
        insert.bind(column + 2, Int64(entry.kind.rawValue))
        insert.bind(column + 3, entry.recordedAt.millis)
        insert.bind(column + 4, entry.capturedAt.millis)
        if let event = entry.event, let place = entry.place {
            insert.bind(column + 5, place.subject)
            insert.bind(column + 6, place.purposeBit)
            insert.bind(column + 7, Int64(event.state.rawValue))
            insert.bind(column + 8, event.revision.flatMap { reading.revisions[$0] })
            insert.bindTextInPlace(column + 9, bytes.keep(event.language))
            insert.bind(column + 10, Int64(event.method.rawValue))
            insert.bind(column + 11, Int64(event.party.rawValue))
            insert.bind(column + 12, event.isExplicit ? 1 : 0)
            insert.bind(column + 13, event.subjectAge)
            insert.bind(column + 14, event.expiresAt?.millis)
            insert.bind(column + 15, place.refersTo == 0 ? nil : Int64(place.refersTo))
            insert.bind(column + 16, try sourceID(event.source))
            insert.bindTextInPlace(column + 17, bytes.keep(event.actor))
            insert.bind(column + 18, event.key?.bytes)
            insert.bind(column + 21, place.previous == 0 ? nil : Int64(place.previous))
        } else {
            for other in Int32(5)...21 { insert.bind(column + other, nil as Int64?) }
            if let place = entry.place {
                insert.bind(column + 5, place.subject)
                insert.bind(column + 17, entry.actor)
                insert.bind(column + 21, place.previous == 0 ? nil : Int64(place.previous))
            }
        }
        if entry.kind == .consent || entry.kind == .link {
            insert.bindInPlace(column + 19, entry.personal.withUnsafeBytes(bytes.keep))
        }
        insert.bind(column + 20, entry.catalogVersion)
        insert.bindInPlace(column + 22, entry.hash.withBytes(bytes.keep))
        insert.bind(column + 23, entry.detail)
        if entry.isEmpty { try put(Personal.commitment(salt: [], personal: entry.personal), of: entry.sequence) }
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
                if let id = reading.revisions[name] {
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
                reading.add(name, insertRevision.int64(0))
                insertRevision.reset()
            }
        }
    }

    private func sourceID(_ source: EventSource) throws -> Int64 {
        if let lastSource, lastSource.source == source { return lastSource.id }
        let id = try knownSourceID(source)
        lastSource = (source, id)
        return id
    }

    private func knownSourceID(_ source: EventSource) throws -> Int64 {
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

extension [ErasedPart] {
    /// Neighbours that are alike, together.
    fileprivate func chunked(by key: (ErasedPart) -> UInt64) -> [ArraySlice<ErasedPart>] {
        var (chunks, start) = ([ArraySlice<ErasedPart>](), 0)
        for end in indices where end + 1 == count || key(self[end + 1]) != key(self[end]) {
            chunks.append(self[start...end])
            start = end + 1
        }
        return chunks
    }
}
