import ConsentCatalog
import ConsentIndex
import ConsentKernel
import ConsentLedger
import ConsentModel

/// What a replay of the ledger found. Every list is empty where all agree.
package struct VerificationReport: Sendable {
    package var events: UInt64 = 0
    package var subjects = 0
    package var identifiers = 0
    package var headHash: [UInt8] = []
    /// Rows that a running server changed during the replay, and so could not be compared.
    package var changedMeanwhile = 0
    /// What does not agree, at most ``problemsMax`` of it.
    package var problems: [String] = []
    package var problemCount = 0

    package static let problemsMax = 100

    package var isSound: Bool { problemCount == 0 }

    mutating func add(_ problem: String) {
        problemCount += 1
        if problems.count < Self.problemsMax { problems.append(problem) }
    }
}

/// Replays a node's ledger from its first event, checks the chain, and compares what follows from it with what is kept:
/// standings, projections, and the index row by row. Reads only; a server may be running.
///
/// - Parameter progress: is told events done and all.
package func verify(
    _ folder: NodeFolder, progress: (UInt64, UInt64) -> Void = { _, _ in }
) throws -> VerificationReport {
    let ledger = try Ledger(path: folder.ledgerPath)
    let hashKey = try folder.hashKey()
    // Mapped before the ledger is read: rows can only be newer than the replay, and say so.
    let index = try? IndexTable.open(
        path: folder.indexFolder.currentPath, access: .readOnly, history: ledger.identity.history,
        keyCheck: hashKey.check)
    let report = try ledger.read { snapshot in
        var replay = try Replay(snapshot, index: index, hashKey: hashKey)
        return try replay.run(progress)
    }
    try ledger.close()
    return report
}

private struct Replay {
    let snapshot: LedgerSnapshot
    let index: IndexTable?
    let hashKey: IdentifierHashKey
    let catalog: Catalog
    let head: ChainHead
    var report = VerificationReport()
    /// Folded from the events: by subject, then by purpose bit.
    var standings: [Int64: [Int: Standing]] = [:]
    /// Whose identifier each hash is, from the events.
    var owners: [IdentifierHash: Int64] = [:]

    init(_ snapshot: LedgerSnapshot, index: IndexTable?, hashKey: IdentifierHashKey) throws {
        self.snapshot = snapshot
        self.index = index
        self.hashKey = hashKey
        let stored = try snapshot.catalog()
        catalog = try stored.map { try CatalogDocument(text: $0.document, file: "catalog").catalog } ?? Catalog()
        head = try snapshot.head()
    }

    mutating func run(_ progress: (UInt64, UInt64) -> Void) throws -> VerificationReport {
        do {
            try replayChain(progress)
        } catch let error as LedgerError {
            report.add("\(error)")
            return report
        }
        let now = try max(snapshot.lastRecordedAt(), Timestamp(millis: Clock.realtimeMillis()))
        try compareSubjects(now)
        try compareIdentifiers()
        if index == nil { report.add("the index cannot be opened; 'consentd rebuild' makes it anew") }
        return report
    }

    private mutating func replayChain(_ progress: (UInt64, UInt64) -> Void) throws {
        let last = try snapshot.walkChain { sequence, recorded in
            report.events = sequence
            if sequence % 65_536 == 0 { progress(sequence, head.sequence) }
            guard let recorded else { return }
            guard let purpose = catalog.purpose(id: recorded.event.purpose) else {
                report.add("event \(sequence) is about '\(recorded.event.purpose)', which no catalog has")
                return
            }
            standings[recorded.subject, default: [:]][purpose.bit, default: Standing()].fold(Act(recorded))
            for identifier in recorded.event.identifiers where identifier.type != .nationalId {
                let hash = hashKey.hash(identifier)
                if let owner = owners[hash], owner != recorded.subject {
                    report.add(
                        "event \(sequence) gives an identifier to subject \(recorded.subject) that is \(owner)'s")
                }
                owners[hash] = recorded.subject
            }
        }
        report.headHash = last.hash
        progress(head.sequence, head.sequence)
    }

    private mutating func compareSubjects(_ now: Timestamp) throws {
        try snapshot.forEachSubject { subject in
            report.subjects += 1
            let replayed = standings.removeValue(forKey: subject.id) ?? [:]
            if subject.standings != replayed {
                report.add("subject \(subject.id): what is kept of the history is not what the events say")
            }
            var projection = project(replayed, catalog: catalog, at: now)
            projection.sequence = subject.projection.sequence
            // Until an end that has passed is recorded, the kept row still holds the consent, with its end.
            let isBeforeEnd = subject.projection.endsAt.map { $0 <= now } ?? false
            if !isBeforeEnd, projection != subject.projection {
                report.add("subject \(subject.id): the kept bits are not what the decision function says")
            }
        }
        for subject in standings.keys.sorted() { report.add("subject \(subject) has events, but is not there") }
    }

    private mutating func compareIdentifiers() throws {
        try snapshot.forEachIdentifier { bytes, projection in
            report.identifiers += 1
            let hash = IdentifierHash(rawBytes: bytes)
            owners[hash] = nil
            guard let index else { return }
            guard let row = index.row(hash) else {
                report.add("identifier \(report.identifiers): the index has no row for it")
                return
            }
            if row.sequence > head.sequence {
                report.changedMeanwhile += 1
            } else if row != IndexRow(projection) {
                report.add("identifier \(report.identifiers): the index row is not what the ledger says")
            }
        }
        for (_, owner) in owners { report.add("an identifier of subject \(owner) stands in events, but is not kept") }
        if let index, index.appliedSequence <= head.sequence, index.rows != report.identifiers {
            report.add("the index has \(index.rows) rows for \(report.identifiers) identifiers")
        }
        if let index, index.appliedSequence <= head.sequence, index.countedDigest().digest != index.digest {
            report.add("the index rows do not match their digest")
        }
    }
}

/// Makes the index of a node anew.
///
/// - Throws: ``EngineError`` `locked` while a server runs.
/// - Returns: how many identifiers it has.
package func rebuildIndex(_ folder: NodeFolder, progress: (Int, Int) -> Void = { _, _ in }) throws -> Int {
    guard let lock = try folder.lock() else { throw EngineError.locked(path: folder.path) }
    defer { _ = lock.raw }
    let ledger = try Ledger(path: folder.ledgerPath)
    let catalog = try loadCatalog(ledger)
    let index = try rebuildIndex(
        folder: folder, ledger: ledger, hashKey: folder.hashKey(), catalog: catalog, progress: progress)
    try index.close()
    try ledger.close()
    return index.rows
}
