import ConsentModel

/// An event as a row of its table, joined with the names that it refers to.
enum EventColumns {
    static let select = select(with: "")
    /// As above, with what an event that is read by itself follows from: the hash of the one before it, or, of the first,
    /// the history's id.
    static let selectOne = select(
        with: """
            , ifnull(
                (SELECT before.hash FROM event AS before WHERE before.sequence = event.sequence - 1),
                (SELECT value FROM node WHERE name = 'history'))
            """)

    private static func select(with more: String) -> String {
        """
        SELECT event.sequence, event.kind, event.recorded_at, event.captured_at, event.subject, purpose.id, event.state,
            revision.declaration, revision.revision, event.language, event.method, event.party, event.explicit, event.age,
            event.expires_at, event.refers_to, source.system, source.channel, source.form, event.actor, event.key,
            event.personal, erased_event.commitment, event.hash, catalog.version, catalog.digest, salt.value,
            event.previous, event.detail, event.commitment, erased_part.parts\(more)
        FROM event
            LEFT JOIN purpose ON purpose.bit = event.purpose
            LEFT JOIN revision ON revision.id = event.revision
            LEFT JOIN source ON source.id = event.source
            LEFT JOIN catalog ON catalog.version = event.catalog
            LEFT JOIN salt ON salt.subject = event.subject
            LEFT JOIN erased_event ON erased_event.sequence = event.sequence
            LEFT JOIN erased_part ON erased_part.sequence = event.sequence
        """
    }

    /// What an event of a consent always says: purpose, state, language, method, party, explicit, source, actor.
    private static let required: [Int32] = [5, 6, 9, 10, 11, 12, 16, 19]
    private static let texts: [Int32] = [5, 7, 8, 9, 16, 17, 18, 19]
    /// What only an event of a consent says.
    private static let ofConsent: [Int32] = [4, 5, 6, 7, 9, 10, 11, 12, 13, 14, 15, 16, 19, 20, 21, 22, 27, 30]
    /// Of these, what an event about a person as a whole says, too.
    private static let ofSubject: [Int32] = [4, 19, 27]
    /// What links and unlinks also names identifiers.
    private static let ofLink: [Int32] = ofSubject + [21, 22, 30]
    /// Ages from the door; 255 is none in the chain, and must not be one here.
    private static let ages: ClosedRange<Int64> = 0...150

    /// - Throws: ``LedgerError`` `corrupt` for what the door never let in: the chain's bytes have no room for it.
    private static func read(_ row: Statement) throws -> (recorded: RecordedEvent, personal: StoredPersonal?) {
        let sequence = UInt64(clamping: row.int64(0))
        func corrupt(_ what: String) -> LedgerError { .corrupt(where: "event \(sequence)", what: what) }
        guard !required.contains(where: row.isNull) else { throw corrupt("something in it is missing") }
        guard let state = UInt8(exactly: row.int64(6)).flatMap(EventState.init(rawValue:)),
            let method = UInt8(exactly: row.int64(10)).flatMap(EvidenceMethod.init(rawValue:)),
            let party = UInt8(exactly: row.int64(11)).flatMap(Party.init(rawValue:))
        else { throw corrupt("a code in it is not known") }
        guard row.optionalInt64(13).map(ages.contains) ?? true, let refersTo = UInt64(exactly: row.int64(15)),
            !(state.isGrant && row.optionalInt64(14) == 0)
        else { throw corrupt("a number in it cannot be") }
        guard texts.allSatisfy({ row.rawBytes($0).count <= Limit.shortTextSizeMax }) else {
            throw corrupt("a text in it is too long")
        }
        var event = ConsentEvent.Fields(identifiers: [], purpose: row.text(5), state: state)
        let personal = try personal(row)
        if let personal {
            guard let (identifiers, evidence, guardian) = Personal.decode(personal.bytes, personal.erased) else {
                throw corrupt("its personal part cannot be read")
            }
            event.identifiers = identifiers
            event.evidence = evidence
            event.guardian = guardian
        }
        event.capturedAt = Timestamp(millis: row.int64(3))
        if !row.isNull(7) { event.revision = RevisionName(declaration: row.text(7), revision: row.text(8)) }
        event.language = row.text(9)
        event.method = method
        event.party = party
        event.isExplicit = row.int64(12) != 0
        event.subjectAge = row.optionalInt64(13).map { Int($0) }
        event.expiresAt = row.optionalInt64(14).map(Timestamp.init(millis:))
        event.source = EventSource(system: row.text(16), channel: row.text(17), form: row.text(18))
        event.actor = row.text(19)
        event.key = IdempotencyKey(bytes: row.rawBytes(20))
        let recorded = RecordedEvent(
            sequence: sequence, subject: row.int64(4), recordedAt: Timestamp(millis: row.int64(2)),
            event: ConsentEvent(event), refersTo: refersTo, hash: row.bytes(23))
        return (recorded, personal)
    }

    /// What is personal in an event, and what of it was erased by itself.
    struct StoredPersonal {
        var bytes: [UInt8]
        var erased: ErasedParts

        func commitment(salt: [UInt8]) -> ChainHash { Personal.commitment(salt: salt, personal: bytes, erased) }
    }

    /// What was erased of an event by itself.
    static func erasedParts(_ row: Statement) throws -> ErasedParts {
        guard let parts = ErasedParts(row.rawBytes(30)) else {
            throw LedgerError.corrupt(where: "event \(row.int64(0))", what: "what was erased of it cannot be read")
        }
        return parts
    }

    /// Nil where it has been erased.
    private static func personal(_ row: Statement) throws -> StoredPersonal? {
        if row.isNull(21) { return nil }
        let bytes = row.bytes(21)
        if row.isNull(22) { return StoredPersonal(bytes: bytes, erased: try erasedParts(row)) }
        guard bytes.allSatisfy({ $0 == 0 }) else {
            throw LedgerError.corrupt(
                where: "event \(row.int64(0))", what: "its personal part was erased, but something stands in its place")
        }
        return nil
    }

    static func hash(_ row: Statement, _ column: Int32, of sequence: Int64) throws -> ChainHash {
        guard let hash = ChainHash(row.rawBytes(column)) else {
            throw LedgerError.corrupt(where: "event \(sequence)", what: "one of its hashes has not 32 bytes")
        }
        return hash
    }

    /// What is hashed of an event, from its row.
    struct Hashed {
        var kind: EventKind
        var chain: ChainBytes
        /// Nil for one that is about no person.
        var event: SubjectEvent?
        /// Of an entry of the access log.
        var access: AccessEntry?
        /// Of a consent event.
        var commitment: ChainHash?
        var parts: CommittedParts?

        var hash: ChainHash { chain.hash }
    }

    /// Reads an event of ``selectOne`` and computes its hash anew: whoever reads what was changed finds it.
    ///
    /// - Returns: nil for one that is about no person.
    static func verified(_ row: Statement) throws -> SubjectEvent? {
        let sequence = row.int64(0)
        let before = row.bytes(31)
        guard
            let previous = sequence == 1 && before.count == 16
                ? ChainHead(history: before).hash : ChainHash(bytes: before)
        else { throw LedgerError.corrupt(where: "event \(sequence - 1)", what: "it is missing") }
        return try verified(row, previous: previous).0
    }

    /// Reads an event and computes its hash anew.
    static func verified(_ row: Statement, previous: ChainHash) throws -> (SubjectEvent?, hash: ChainHash) {
        let hashed = try hashed(row, previous: previous)
        let said = hashed.kind == .erasure ? ofSubject : hashed.kind == .link ? ofLink : []
        let isSilent = ofConsent.allSatisfy { row.isNull($0) || said.contains($0) }
        guard hashed.kind == .consent || isSilent, row.isNull(29) else {
            throw LedgerError.corrupt(
                where: "event \(row.int64(0))", what: "it says more than an event of its kind can")
        }
        let hash = hashed.hash
        guard try hash == Self.hash(row, 23, of: row.int64(0)) else {
            throw LedgerError.corrupt(
                where: "event \(row.int64(0))",
                what: "its content or the one before it was changed: the hash is another")
        }
        return (hashed.event, hash)
    }

    static func hashed(_ row: Statement, previous: ChainHash) throws -> Hashed {
        let sequence = UInt64(clamping: row.int64(0))
        guard let kind = EventKind(rawValue: UInt8(clamping: row.int64(1))) else {
            throw LedgerError.corrupt(where: "event \(sequence)", what: "its kind is not known")
        }
        var hashed = Hashed(kind: kind, chain: ChainBytes())
        hashed.chain.begin(
            previous: previous, sequence: sequence, kind: kind, recordedAt: row.int64(2), capturedAt: row.int64(3))
        switch kind {
        case .consent:
            let (event, personal) = try read(row)
            let commitment = try commitment(row, personal)
            hashed.chain.append(
                event.event, subject: event.subject, refersTo: event.refersTo, commitment: commitment)
            (hashed.event, hashed.commitment) = (.consent(event), commitment)
            hashed.parts = personal.flatMap { Personal.committed($0.bytes, $0.erased) }
        case .link:
            let (link, personal) = try link(row)
            hashed.chain.append(subject: row.int64(4), actor: row.text(19), detail: row.bytes(28))
            hashed.chain.append(try commitment(row, personal))
            hashed.event = .link(link)
        case .catalog:
            hashed.chain.append(UInt64(clamping: row.int64(24)))
            hashed.chain.append(row.bytes(25))
        case .revisionBecameCurrent: break
        case .access:
            hashed.chain.append(row.bytes(28))
            hashed.access = try access(row).entry
        case .erasure:
            hashed.chain.append(subject: row.int64(4), actor: row.text(19), detail: row.bytes(28))
            hashed.event = .erasure(try erasure(row))
        }
        return hashed
    }

    static func access(_ row: Statement) throws -> RecordedAccess {
        guard let entry = AccessEntry(detail: row.bytes(28)) else {
            throw LedgerError.corrupt(where: "event \(row.int64(0))", what: "its detail cannot be read")
        }
        return RecordedAccess(
            sequence: UInt64(clamping: row.int64(0)), recordedAt: Timestamp(millis: row.int64(2)), entry: entry)
    }

    /// What an event committed to.
    private static func commitment(_ row: Statement, _ personal: StoredPersonal?) throws -> ChainHash {
        let kept = try row.isNull(22) ? nil : hash(row, 22, of: row.int64(0))
        let made = try personal.map { personal in
            guard let salt = Salt.read(row.rawBytes(26)) else {
                throw LedgerError.corrupt(
                    where: "event \(row.int64(0))", what: "its subject's salt is missing")
            }
            return personal.commitment(salt: salt)
        }
        guard let commitment = made ?? kept, kept == nil || kept == commitment else {
            throw LedgerError.corrupt(
                where: "event \(row.int64(0))", what: "its personal part is not the one that it committed to")
        }
        return commitment
    }

    private static func link(_ row: Statement) throws -> (recorded: RecordedLink, personal: StoredPersonal?) {
        let personal = try personal(row)
        let named = personal.map { Personal.decode($0.bytes, $0.erased)?.identifiers }
        guard !row.isNull(4), !row.isNull(19), !(named == .some(nil)),
            let link = RecordedLink(row, detail: row.bytes(28), named: (named ?? []) ?? [])
        else { throw LedgerError.corrupt(where: "event \(row.int64(0))", what: "its detail cannot be read") }
        return (link, personal)
    }

    private static func erasure(_ row: Statement) throws -> RecordedErasure {
        guard !row.isNull(4), !row.isNull(19), let erasure = RecordedErasure(row, detail: row.bytes(28)) else {
            throw LedgerError.corrupt(where: "event \(row.int64(0))", what: "its detail cannot be read")
        }
        return erasure
    }
}
