package import ConsentIndex
import ConsentKernel
package import ConsentLedger
package import ConsentModel

/// A group of changes on its way into one transaction. It remembers every subject that it touches, so that a subject
/// with many events in the group is read and written once.
final class Group {
    private let transaction: LedgerTransaction
    private let hashKey: IdentifierHashKey
    private(set) var catalog: Catalog
    private let now: Timestamp
    private let firstSequence: UInt64
    private var subjects: [Int64: SubjectWork] = [:]
    private var owners: [IdentifierHash: Int64] = [:]
    private var keys: [IdempotencyKey: UInt64] = [:]

    /// A subject that the group works on.
    private struct SubjectWork {
        var record: SubjectRecord
        /// Of all its identifiers; nil until they are needed.
        var hashes: [IdentifierHash]?
        var changedPurposes: Set<Int> = []
        var isNew = false
        var hasNewIdentifier = false
    }

    init(_ transaction: LedgerTransaction, hashKey: IdentifierHashKey, catalog: Catalog, now: Timestamp) {
        self.transaction = transaction
        self.hashKey = hashKey
        self.catalog = catalog
        self.now = now
        firstSequence = transaction.head.sequence + 1
    }

    var head: ChainHead { transaction.head }
    var hasAppended: Bool { head.sequence >= firstSequence }

    // MARK: Events

    /// Judges one event and, if it is taken, appends it.
    ///
    /// - Throws: only what the ledger throws; a rule that the event breaks is an outcome.
    func record(_ offered: Result<ConsentEvent, AdmissionError>) throws -> EventOutcome {
        do {
            return try recordOrRefuse(offered.get())
        } catch let error as AdmissionError {
            return .refused(error)
        }
    }

    private func recordOrRefuse(_ offered: ConsentEvent) throws -> EventOutcome {
        if let known = try sequence(of: offered.key) { return try compare(offered, with: known) }
        let (admitted, purpose) = try admit(offered, catalog: catalog, now: now)
        let hashes = admitted.identifiers.map(hashKey.hash)
        let event = withoutNationalIDs(admitted, hashes)
        let owner = try owner(of: hashes, admitted.identifiers)
        if let owner, event.key == nil, offered.capturedAt != nil,
            let twin = try transaction.sequence(ofEventLike: event, subject: owner, purposeBit: purpose.bit),
            case .duplicate(let sequence) = try compare(offered, with: twin)
        {
            return .duplicate(sequence: sequence)
        }
        let refersTo = try grantToConfirm(by: event, subject: owner, purpose: purpose)
        let subject = try owner ?? addSubject()
        try attach(event.identifiers, hashes, to: subject)
        return .recorded(sequence: try append(event, subject: subject, purpose: purpose, refersTo: refersTo))
    }

    private func append(
        _ event: ConsentEvent, subject: Int64, purpose: Purpose, refersTo: UInt64
    ) throws -> UInt64 {
        let sequence = try transaction.append(
            event, subject: subjects[subject]!.record, purposeBit: purpose.bit, recordedAt: now, refersTo: refersTo)
        if let key = event.key { keys[key] = sequence }
        let recorded = RecordedEvent(
            sequence: sequence, subject: subject, recordedAt: now, event: event, refersTo: refersTo, hash: [])
        subjects[subject]!.record.standings[purpose.bit, default: Standing()].fold(Act(recorded))
        subjects[subject]!.changedPurposes.insert(purpose.bit)
        return sequence
    }

    /// National ids are kept as their keyed hash only; it takes the place of the value in everything that is stored.
    private func withoutNationalIDs(_ event: ConsentEvent, _ hashes: [IdentifierHash]) -> ConsentEvent {
        guard event.identifiers.contains(where: { $0.type == .nationalId }) else { return event }
        var event = event
        event.identifiers = zip(event.identifiers, hashes).map { identifier, hash in
            identifier.type == .nationalId ? Identifier(nationalIDHash: hash.bytes) : identifier
        }
        return event
    }

    private func sequence(of key: IdempotencyKey?) throws -> UInt64? {
        guard let key else { return nil }
        return try keys[key] ?? transaction.sequence(forKey: key)
    }

    /// A repeated event gets its first answer again; another one under the same key is refused.
    private func compare(_ offered: ConsentEvent, with sequence: UInt64) throws -> EventOutcome {
        guard let recorded = try transaction.event(sequence) else {
            throw LedgerError.corrupt(where: "event \(sequence)", what: "a key leads to it, but it is not there")
        }
        // As it would have been admitted; a rule that came later does not make the first answer wrong.
        let admitted = (try? admit(offered, catalog: catalog, now: now).event) ?? offered
        var event = withoutNationalIDs(admitted, admitted.identifiers.map(hashKey.hash))
        // The sender left the moment to the node, or its clock ran ahead and the node's counted.
        if offered.capturedAt.map({ $0 >= recorded.recordedAt }) ?? true,
            recorded.event.capturedAt == recorded.recordedAt
        {
            event.capturedAt = recorded.recordedAt
        }
        let isSame = event == recorded.event
        return isSame ? .duplicate(sequence: sequence) : .refused(.keyReused(sequence: sequence))
    }

    /// The subject that the identifiers lead to; nil if none of them is known.
    private func owner(of hashes: [IdentifierHash], _ identifiers: [Identifier]) throws -> Int64? {
        var owner: Int64?
        for (hash, identifier) in zip(hashes, identifiers) {
            guard let found = try subject(identifiedBy: hash) else { continue }
            if let owner, owner != found { throw AdmissionError.identifierConflict(identifier) }
            owner = found
        }
        if let owner { try load(owner) }
        return owner
    }

    private func subject(identifiedBy hash: IdentifierHash) throws -> Int64? {
        if let known = owners[hash] { return known }
        let found = try transaction.subject(identifiedBy: hash.bytes)
        if let found { owners[hash] = found }
        return found
    }

    private func load(_ subject: Int64) throws {
        if subjects[subject] == nil { subjects[subject] = SubjectWork(record: try transaction.subject(subject)) }
    }

    private func addSubject() throws -> Int64 {
        let record = try transaction.addSubject(salt: SystemRandom.bytes(16))
        subjects[record.id] = SubjectWork(record: record, hashes: [], isNew: true)
        return record.id
    }

    private func attach(_ identifiers: [Identifier], _ hashes: [IdentifierHash], to subject: Int64) throws {
        for (identifier, hash) in zip(identifiers, hashes) where owners[hash] == nil {
            let value = identifier.type == .nationalId ? nil : identifier.value
            let known =
                try subjects[subject]!.hashes
                ?? transaction.identifierHashes(of: subject).map(IdentifierHash.init(bytes:))
            try transaction.add(
                StoredIdentifier(hash: hash.bytes, type: identifier.type, value: value), to: subject,
                ordinal: known.count)
            owners[hash] = subject
            subjects[subject]!.hashes = known + [hash]
            subjects[subject]!.hasNewIdentifier = true
        }
    }

    /// A confirmation names the grant that decides now.
    private func grantToConfirm(by event: ConsentEvent, subject: Int64?, purpose: Purpose) throws -> UInt64 {
        guard event.state == .confirmed else { return 0 }
        guard let subject, let act = subjects[subject]!.record.standings[purpose.bit]?.decidingAct,
            act.state.isGrant, event.capturedAt! >= act.capturedAt
        else { throw AdmissionError.nothingToConfirm(purpose: purpose.id) }
        return act.sequence
    }

    // MARK: Time

    /// Records the end of every consent of a subject that has passed.
    func recordEnds(of subject: Int64) throws {
        try load(subject)
        for (bit, standing) in subjects[subject]!.record.standings.sorted(by: { $0.key < $1.key }) {
            guard let purpose = catalog.purpose(bit: bit), let act = standing.decidingAct, act.state.isGrant,
                !standing.isRecordedExpired
            else { continue }
            let verdict = decide(standing, catalog: catalog, purpose: purpose, at: now)
            guard verdict.reason == .expired, let expiresAt = verdict.expiresAt else { continue }
            var event = ConsentEvent(identifiers: [], purpose: purpose.id, state: .expired)
            event.party = .system
            event.capturedAt = expiresAt
            event.revision = act.revision
            _ = try append(event, subject: subject, purpose: purpose, refersTo: act.sequence)
        }
        // Also where nothing is recorded, such as for a revision that took over: the row is decided anew.
        subjects[subject]!.changedPurposes.formUnion(subjects[subject]!.record.standings.keys)
    }

    /// Decides everything anew about whoever stands somewhere for these purposes.
    func redecide(purposeBits: [Int]) throws {
        guard !purposeBits.isEmpty else { return }
        for subject in try transaction.subjects(withStandingFor: purposeBits) {
            try load(subject)
            subjects[subject]!.changedPurposes.formUnion(purposeBits)
        }
    }

    /// Stores a catalog; everything after it in the group is judged by it.
    func apply(_ document: StoredCatalog, _ catalog: Catalog) throws -> UInt64 {
        self.catalog = catalog
        return try transaction.append(document, catalog, recordedAt: now)
    }

    func recordRevisionChange(effectiveAt: Timestamp) throws -> UInt64 {
        try transaction.appendRevisionChange(effectiveAt: effectiveAt, recordedAt: now)
    }

    // MARK: The end of the group

    /// Writes what was derived, and says which index rows follow from it.
    func finish() throws -> [(hash: IdentifierHash, row: IndexRow)] {
        var rows: [(hash: IdentifierHash, row: IndexRow)] = []
        for id in subjects.keys.sorted() {
            let work = subjects[id]!
            guard !work.changedPurposes.isEmpty else { continue }
            for bit in work.changedPurposes.sorted() {
                if let standing = work.record.standings[bit] {
                    try transaction.put(standing, subject: id, purposeBit: bit)
                }
            }
            var projection = project(work.record.standings, catalog: catalog, at: now)
            projection.sequence = work.record.projection.sequence
            if projection == work.record.projection, !work.hasNewIdentifier, !work.isNew { continue }
            projection.sequence = head.sequence
            try transaction.put(projection, subject: id)
            let hashes = try work.hashes ?? transaction.identifierHashes(of: id).map(IdentifierHash.init(bytes:))
            let row = IndexRow(projection)
            rows += hashes.map { ($0, row) }
        }
        return rows
    }
}

/// What the index says of a subject: the decision function, asked for every purpose that the subject stands somewhere for.
package func project(_ standings: [Int: Standing], catalog: Catalog, at now: Timestamp) -> Projection {
    var projection = Projection()
    for (bit, standing) in standings {
        guard let purpose = catalog.purpose(bit: bit) else { continue }
        let verdict = decide(standing, catalog: catalog, purpose: purpose, at: now)
        switch verdict.decision {
        case .granted where purpose.basis == .consent:
            projection.permitted.insert(bit)
            if let until = verdict.grantedUntil { projection.endsAt = min(projection.endsAt ?? until, until) }
        case .denied: projection.denied.insert(bit)
        case .granted, .unknown: break
        }
    }
    return projection
}

extension IndexRow {
    package init(_ projection: Projection) {
        self.init()
        permitted = projection.permitted
        denied = projection.denied
        endsAt = projection.endsAt.map { UInt32(clamping: $0.secondsRoundedDown) } ?? IndexRow.never
        sequence = projection.sequence
    }
}

extension IdentifierHash {
    /// As the ledger stores it: high, then low, big-endian.
    package var bytes: [UInt8] {
        [UInt8](unsafeUninitializedCapacity: 16) { buffer, count in
            UnsafeMutableRawBufferPointer(buffer).storeBytes(of: high.bigEndian, as: UInt64.self)
            UnsafeMutableRawBufferPointer(buffer).storeBytes(of: low.bigEndian, toByteOffset: 8, as: UInt64.self)
            count = 16
        }
    }

    package init(bytes: [UInt8]) { self = bytes.withUnsafeBytes(IdentifierHash.init(rawBytes:)) }

    package init(rawBytes: UnsafeRawBufferPointer) {
        self.init(
            high: UInt64(bigEndian: rawBytes.loadUnaligned(as: UInt64.self)),
            low: UInt64(bigEndian: rawBytes.loadUnaligned(fromByteOffset: 8, as: UInt64.self)))
    }
}
