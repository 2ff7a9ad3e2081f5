import ConsentModel

/// An event as a row of its table, joined with the names that it refers to.
enum EventColumns {
    static let select = """
        SELECT event.sequence, event.kind, event.recorded_at, event.captured_at, event.subject, purpose.id, event.state,
            revision.declaration, revision.revision, event.language, event.method, event.party, event.explicit, event.age,
            event.expires_at, event.refers_to, source.system, source.channel, source.form, event.actor, event.key,
            event.personal, event.commitment, event.hash, catalog.version, catalog.digest, subject.salt,
            event.previous
        FROM event
            LEFT JOIN purpose ON purpose.bit = event.purpose
            LEFT JOIN revision ON revision.id = event.revision
            LEFT JOIN source ON source.id = event.source
            LEFT JOIN catalog ON catalog.version = event.catalog
            LEFT JOIN subject ON subject.id = event.subject
        """

    static func read(_ row: Statement) throws -> (recorded: RecordedEvent, personal: [UInt8]?) {
        let sequence = UInt64(clamping: row.int64(0))
        func corrupt(_ what: String) -> LedgerError { .corrupt(where: "event \(sequence)", what: what) }
        func text(_ column: Int32) throws -> String {
            guard row.rawBytes(column).count <= Limit.shortTextSizeMax else {
                throw corrupt("a text in it is too long")
            }
            return row.text(column)
        }
        guard let state = EventState(rawValue: UInt8(clamping: row.int64(6))),
            let method = EvidenceMethod(rawValue: UInt8(clamping: row.int64(10))),
            let party = Party(rawValue: UInt8(clamping: row.int64(11)))
        else { throw corrupt("a code in it is not known") }
        // 255 stands for none in what is hashed.
        if let age = row.optionalInt64(13), !(0..<255).contains(age) { throw corrupt("its age cannot be right") }
        var event = ConsentEvent(identifiers: [], purpose: try text(5), state: state)
        let personal = row.isNull(21) ? nil : row.bytes(21)
        if let personal {
            guard let (identifiers, evidence) = Personal.decode(personal) else {
                throw corrupt("its personal part cannot be read")
            }
            event.identifiers = identifiers
            event.evidence = evidence
        }
        event.capturedAt = Timestamp(millis: row.int64(3))
        if !row.isNull(7) { event.revision = RevisionName(declaration: try text(7), revision: try text(8)) }
        event.language = try text(9)
        event.method = method
        event.party = party
        event.isExplicit = row.int64(12) != 0
        event.subjectAge = row.optionalInt64(13).map { Int($0) }
        event.expiresAt = row.optionalInt64(14).map(Timestamp.init(millis:))
        event.source = EventSource(system: try text(16), channel: try text(17), form: try text(18))
        event.actor = try text(19)
        event.key = IdempotencyKey(bytes: row.rawBytes(20))
        let recorded = RecordedEvent(
            sequence: sequence, subject: row.int64(4), recordedAt: Timestamp(millis: row.int64(2)), event: event,
            refersTo: UInt64(clamping: row.int64(15)), hash: row.bytes(23))
        return (recorded, personal)
    }

    static func hash(_ row: Statement, _ column: Int32, of sequence: Int64) throws -> ChainHash {
        guard let hash = ChainHash(row.rawBytes(column)) else {
            throw LedgerError.corrupt(where: "event \(sequence)", what: "one of its hashes has not 32 bytes")
        }
        return hash
    }

    /// Reads an event and computes its hash anew.
    static func verified(_ row: Statement, previous: ChainHash) throws -> (RecordedEvent?, hash: ChainHash) {
        let sequence = UInt64(clamping: row.int64(0))
        guard let kind = EventKind(rawValue: UInt8(clamping: row.int64(1))) else {
            throw LedgerError.corrupt(where: "event \(sequence)", what: "its kind is not known")
        }
        var chain = ChainBytes()
        chain.begin(
            previous: previous, sequence: sequence, kind: kind, recordedAt: row.int64(2), capturedAt: row.int64(3))
        var recorded: RecordedEvent?
        switch kind {
        case .consent:
            let (event, personal) = try read(row)
            let commitment =
                try personal.map { Personal.commitment(salt: row.bytes(26), personal: $0) }
                ?? Self.hash(row, 22, of: row.int64(0))
            chain.append(event.event, subject: event.subject, refersTo: event.refersTo, commitment: commitment)
            recorded = event
        case .catalog:
            chain.append(UInt64(clamping: row.int64(24)))
            chain.append(row.bytes(25))
        case .revisionBecameCurrent: break
        }
        let hash = chain.hash
        guard try hash == Self.hash(row, 23, of: row.int64(0)) else {
            throw LedgerError.corrupt(
                where: "event \(sequence)", what: "its content or the one before it was changed: the hash is another")
        }
        return (recorded, hash)
    }
}
