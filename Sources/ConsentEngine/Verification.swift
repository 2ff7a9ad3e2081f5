import ConsentCatalog
import ConsentIndex
import ConsentKernel
import ConsentLedger
import ConsentModel
package import ConsentProof

/// What a replay of the ledger found. Every list is empty where all agree.
package struct VerificationReport: Sendable {
    package var events: UInt64 = 0
    package var subjects = 0
    package var identifiers = 0
    package var headHash: [UInt8] = []
    /// Checkpoints that the chain was compared with: the node's own, and those that were given.
    package var checkpoints = 0
    /// The last event that one of them covers.
    package var signedThrough: UInt64 = 0
    /// Rows that a running server changed during the replay, and so could not be compared.
    package var changedMeanwhile = 0
    /// Rows of the index and of the map of keys that have not followed the ledger yet. No problem: a process that was
    /// killed leaves some, and the next start brings them up to date.
    package var rowsBehind = 0
    /// The first thing in the ledger itself that does not agree. The node stays closed, and a server that runs on it
    /// stops.
    package var ledgerDamage: String?
    /// Damage was noted before; this report is sound, so the node may be opened again.
    package var isReopened = false
    /// What does not agree, at most ``problemsMax`` of it.
    package var problems: [String] = []
    package var problemCount = 0

    package static let problemsMax = 100

    package var isSound: Bool { problemCount == 0 }

    mutating func add(_ problem: String, inLedger: Bool = true) {
        problemCount += 1
        if inLedger, ledgerDamage == nil { ledgerDamage = problem }
        if problems.count < Self.problemsMax { problems.append(problem) }
    }
}

/// Replays a node's ledger from its first event, checks the chain, and compares what follows from it with what is kept:
/// standings, projections, and the index row by row. Changes nothing of it; a server may be running.
///
/// Damage of the ledger is noted in the folder, which keeps the node closed; a sound report ends that.
///
/// - Parameters:
///   - kept: checkpoints of this node that were kept elsewhere.
///   - key: the one that must have signed all checkpoints; nil for the node's own.
///   - progress: is told events done and all.
/// - Throws: ``CheckpointMismatch`` for one that is not of this node; nothing is compared, and nothing noted, then.
package func verify(
    _ folder: NodeFolder, checkpoints kept: [Checkpoint] = [], key: VerificationKey? = nil,
    progress: (UInt64, UInt64) -> Void = { _, _ in }
) throws -> VerificationReport {
    var report: VerificationReport
    do {
        report = try compareAll(folder, kept, key, progress)
    } catch let error as LedgerError {
        if case .corrupt = error { try folder.noteDamage("\(error)") }
        throw error
    }
    if let damage = report.ledgerDamage {
        try folder.noteDamage(damage)
    } else if report.isSound {
        report.isReopened = try folder.forgetDamage()
    }
    return report
}

/// Why a checkpoint says nothing about a node.
package enum CheckpointMismatch: Error, Sendable, CustomStringConvertible {
    case otherHistory(Checkpoint)
    case otherKey(Checkpoint, expected: VerificationKey)
    case noKey(Checkpoint)

    package var description: String {
        switch self {
        case .otherHistory(let checkpoint):
            "the checkpoint of event \(checkpoint.sequence) is of another ledger, \(checkpoint.history.hex)"
        case .otherKey(let checkpoint, let expected):
            "the checkpoint of event \(checkpoint.sequence) is signed by \(checkpoint.key), not by \(expected)"
        case .noKey(let checkpoint):
            "the node has no key that the checkpoint of event \(checkpoint.sequence) could be held against; name it with --key"
        }
    }
}

/// The node's own checkpoints and those that were kept elsewhere, oldest first. What is wrong with the own ones goes into
/// `problems`: they may have been lost or written over, and the ledger be whole.
private func checkpoints(
    of folder: NodeFolder, _ history: [UInt8], _ kept: [Checkpoint], _ wanted: VerificationKey?,
    _ problems: inout [String]
) throws -> [Checkpoint] {
    let key = try wanted ?? folder.signingKey()?.verificationKey
    for checkpoint in kept {
        guard checkpoint.history == history else { throw CheckpointMismatch.otherHistory(checkpoint) }
        guard let key else { throw CheckpointMismatch.noKey(checkpoint) }
        guard checkpoint.key == key else { throw CheckpointMismatch.otherKey(checkpoint, expected: key) }
    }
    var own: [Checkpoint] = []
    do {
        own = try folder.checkpoints()
    } catch let error as ProofError {
        problems.append("\(folder.checkpointsPath), \(error)")
    }
    for checkpoint in own {
        if checkpoint.history != history {
            problems.append("\(folder.checkpointsPath): \(CheckpointMismatch.otherHistory(checkpoint))")
        } else if let key, checkpoint.key != key {
            problems.append("\(folder.checkpointsPath): \(CheckpointMismatch.otherKey(checkpoint, expected: key))")
        } else {
            continue
        }
        return kept
    }
    return (own + kept).sorted { $0.sequence < $1.sequence }
}

/// Holds the chain, which follows from itself, against what was signed.
private func compare(
    _ snapshot: LedgerSnapshot, with checkpoints: [Checkpoint], _ report: inout VerificationReport
) throws {
    var agreed: [UInt64] = []
    for checkpoint in checkpoints {
        let good = agreed.last { $0 < checkpoint.sequence } ?? 0
        if let finding = try snapshot.disagreement(with: checkpoint, after: good) {
            report.add("\(finding)")
            return
        }
        agreed.append(checkpoint.sequence)
        report.checkpoints += 1
        report.signedThrough = checkpoint.sequence
    }
}

private func compareAll(
    _ folder: NodeFolder, _ kept: [Checkpoint], _ key: VerificationKey?, _ progress: (UInt64, UInt64) -> Void
) throws -> VerificationReport {
    let ledger = try Ledger(path: folder.ledgerPath)
    var unusable: [String] = []
    // Read before the ledger is: what is signed is there by then.
    let signed = try checkpoints(of: folder, ledger.identity.history, kept, key, &unusable)
    let hashKey = try folder.hashKey(of: ledger.identity)
    // Mapped before the ledger is read: a row is newer than the replay, and says so, or has not followed yet.
    let index = openForComparison(folder.indexFolder, ledger, hashKey)
    let keys = openForComparison(folder.keysFolder, ledger, hashKey)
    let header = index.map(IndexHeader.init)
    var (report, head, totals) = try ledger.read { snapshot in
        var replay = try Replay(snapshot, index: index, header: header, keys: keys, hashKey: hashKey)
        for problem in unusable { replay.report.add(problem, inLedger: false) }
        try replay.run(progress)
        try compare(snapshot, with: signed, &replay.report)
        let totals = try (snapshot.totals(of: .index), snapshot.totals(of: .keys))
        guard totals.0.rows == replay.report.identifiers, totals.1.rows == replay.keyed else {
            replay.report.add("the ledger names files of other sizes than follow from its events")
            return (replay.report, replay.head, totals)
        }
        return (replay.report, replay.head, totals)
    }
    try compare(index, "index", totals.0, ledger, head, &report)
    try compare(keys, "map of keys", totals.1, ledger, head, &report)
    try ledger.close()
    return report
}

/// Compares a derived file as a whole with what the ledger names. While a server writes, it cannot be compared.
private func compare(
    _ table: IndexTable?, _ name: String, _ named: DerivedTotals, _ ledger: Ledger, _ head: ChainHead,
    _ report: inout VerificationReport
) throws {
    guard let table, table.appliedSequence == head.sequence else { return }
    let counted = table.counted()
    // The ledger commits first: nothing was changed on the way if it has not grown.
    guard try ledger.read({ try $0.head() }) == head else { return }
    if counted.rows != named.rows {
        report.add("the \(name) has \(counted.rows) rows instead of \(named.rows)", inLedger: false)
    } else if DerivedTotals(counted) != named {
        report.add("the \(name) does not hold what the ledger names", inLedger: false)
    }
    if counted != table.totals { report.add("the \(name) does not match its own digest", inLedger: false) }
}

/// A running server may replace the file between the look at its name and the look at its owners.
private func openForComparison(_ folder: IndexFolder, _ ledger: Ledger, _ hashKey: IdentifierHashKey) -> IndexTable? {
    for _ in 0..<3 {
        let table = try? IndexTable.open(
            path: folder.currentFilePath, access: .readOnly, history: ledger.identity.history,
            keyCheck: hashKey.check, hasOwners: true)
        if let table { return table }
    }
    return nil
}

/// What an index says of itself. The ledger commits first, so a snapshot of it that is taken afterwards holds all of this.
private struct IndexHeader {
    let chain: UInt64
    let sequence: UInt64
    let defaults: (granted: PurposeSet, denied: PurposeSet)

    init(_ index: IndexTable) {
        // In the order in which they are stored: the mark may be of a later event than the sequence, never of an earlier.
        sequence = index.appliedSequence
        chain = index.appliedChain
        defaults = index.defaults
    }
}

private struct Replay {
    let snapshot: LedgerSnapshot
    let index: IndexTable?
    let header: IndexHeader?
    let keys: IndexTable?
    let hashKey: IdentifierHashKey
    let catalog: Catalog
    let head: ChainHead
    var report = VerificationReport()
    /// What the events say of each subject; without salt and projection, which they do not tell.
    var subjects: [Int64: SubjectRecord] = [:]
    /// Events that have an idempotency key.
    var keyed = 0
    /// The first event of each subject that has lost its personal part, if no erasure after it says why.
    var emptied: [Int64: UInt64] = [:]
    /// What of an event was erased by itself, by the erasure that is said to have done it; until that one comes.
    var erasedParts: [UInt64: [ErasedPart]] = [:]
    /// Subjects of whose events something was erased by itself: they do not name all identifiers any more.
    var partlyErased: Set<Int64> = []
    /// Those of which all was, of an event of an earlier build: what they named besides is not told any more.
    var namesLost: Set<Int64> = []
    /// Those who became part of each subject.
    var partsReplayed: [Int64: [Int64]] = [:]
    /// Whose identifier each hash is, from the events.
    var owners: [IdentifierHash: Int64] = [:]

    init(
        _ snapshot: LedgerSnapshot, index: IndexTable?, header: IndexHeader?, keys: IndexTable?,
        hashKey: IdentifierHashKey
    ) throws {
        self.snapshot = snapshot
        self.index = index
        self.header = header
        self.keys = keys
        self.hashKey = hashKey
        var catalog = Catalog()
        for stored in try snapshot.catalogs() {
            do throws(LedgerError) {
                catalog = try AppliedCatalog(stored).catalog
            } catch {
                report.add("\(error)")
            }
        }
        self.catalog = catalog
        head = try snapshot.head()
        for version in try snapshot.catalogsWithoutEvent() {
            report.add("catalog version \(version) is there, but no event applied it")
        }
        for name in try snapshot.namesMissing(of: catalog) {
            report.add("\(name) is not kept as the catalog has it")
        }
    }

    mutating func run(_ progress: (UInt64, UInt64) -> Void) throws {
        do {
            try replayChain(progress)
        } catch let error as LedgerError {
            report.add("\(error)")
            return
        }
        let now = try max(snapshot.lastRecordedAt(), Timestamp(millis: Clock.realtimeMillis()))
        try compareSubjects(now)
        try compareHeader()
        try compareTokens()
        if index == nil { report.add("the index cannot be opened; 'consentd rebuild' makes it anew", inLedger: false) }
        if keys == nil {
            report.add("the map of keys cannot be opened; 'consentd rebuild' makes it anew", inLedger: false)
        }
    }

    private mutating func replayChain(_ progress: (UInt64, UInt64) -> Void) throws {
        let last = try snapshot.walkChain { sequence, entry in
            report.events = sequence
            if sequence % 65_536 == 0 { progress(sequence, head.sequence) }
            guard let (event, previous, erased) = entry else { return }
            compareLink(from: event, to: previous)
            for (part, erasure) in erased { erasedParts[erasure, default: []].append(part) }
            if !erased.isEmpty { partlyErased.insert(event.subject) }
            if erased.contains(where: \.part.isWhole) { namesLost.insert(event.subject) }
            defer { subjects[event.subject]?.lastEvent = sequence }
            guard case .consent(let recorded) = event else {
                if case .erasure(let erasure) = event { replay(erasure) }
                if case .link(let link) = event { replay(link, isPartlyErased: !erased.isEmpty) }
                return
            }
            guard let purpose = catalog.purpose(id: recorded.event.purpose) else {
                report.add("event \(sequence) is about '\(recorded.event.purpose)', which no catalog has")
                return
            }
            replay(recorded, purposeBit: purpose.bit, isPartlyErased: !erased.isEmpty)
            compareKey(of: recorded)
        }
        report.headHash = last.hash.bytes
        progress(head.sequence, head.sequence)
    }

    private mutating func compareLink(from event: SubjectEvent, to previous: UInt64) {
        let known = subjects[event.subject]?.lastEvent ?? 0
        guard previous != known else { return }
        report.add(
            "event \(event.sequence) follows event \(previous) in the subject's history instead of \(known)")
    }

    private mutating func replay(_ erasure: RecordedErasure) {
        let subject = erasure.subject
        emptied[subject] = nil
        partlyErased.remove(subject)
        namesLost.remove(subject)
        let taken = (erasedParts.removeValue(forKey: erasure.sequence) ?? []).sorted {
            ($0.event, $0.number) < ($1.event, $1.number)
        }
        if ErasedPart.digest(taken) != erasure.partsDigest {
            report.add("event \(erasure.sequence): what it erased in events of others is not what it says")
        }
        for part in partsReplayed[subject] ?? [] {
            emptied[part] = nil
            partlyErased.remove(part)
            subjects[part]?.erasedAt = erasure.recordedAt
            subjects[part]?.erasure = erasure.sequence
        }
        withUnsafeMutablePointer(to: &subjects[subject, default: SubjectRecord(id: subject, salt: [])]) {
            $0.pointee.standings.erase(by: erasure)
            ($0.pointee.erasedAt, $0.pointee.erasure) = (erasure.recordedAt, erasure.sequence)
            // Where the events that brought them are emptied, this is where they come from.
            $0.pointee.identifiers = erasure.identifiers
        }
        SubjectRecord(id: subject, salt: [], identifiers: erasure.identifiers).forEachIdentifier { _, hash in
            let owner = owners.updateValue(subject, forKey: hash) ?? subject
            if owner != subject {
                report.add(
                    "event \(erasure.sequence) gives an identifier to subject \(subject) that is \(owner)'s")
            }
        }
    }

    private mutating func replay(_ link: RecordedLink, isPartlyErased: Bool) {
        let (sequence, subject, other) = (link.sequence, link.subject, link.other)
        let coming = SubjectRecord(id: subject, salt: [], identifiers: link.identifiers)
        if link.named.isEmpty, link.action != .joinedTo, emptied[subject] == nil, !isPartlyErased {
            emptied[subject] = sequence
        }
        for identifier in link.named {
            let hash = identifier.nationalIDHash.map(IdentifierHash.init(bytes:)) ?? hashKey.hash(identifier)
            if !coming.has(hash) { report.add("event \(sequence) names an identifier that it is not about") }
        }
        var known = subjects[subject] ?? SubjectRecord(id: subject, salt: [])
        var side = subjects[other] ?? SubjectRecord(id: other, salt: [])
        // Of who has been erased since, the events do not say any more which identifiers they brought.
        let isWhole = [subject, other].allSatisfy { emptied[$0] == nil && !partlyErased.contains($0) }
        let giver: Int64
        switch link.action {
        case .joinedTo:
            known.joinedTo = other
            subjects[subject] = known
            for part in partsReplayed[subject] ?? [] { subjects[part]?.joinedTo = other }
            partsReplayed[other, default: []] += [subject] + (partsReplayed.removeValue(forKey: subject) ?? [])
            return
        case .linked:
            giver = other
            if other != 0, side.joinedTo != subject || isWhole && side.identifiers != link.identifiers {
                report.add("event \(sequence): subject \(other) has not become part of subject \(subject)")
            }
            _ = known.standings.join(side.standings, by: link)
            (side.standings, side.identifiers) = (Standings(), [])
            known.identifiers += link.identifiers
        case .unlinked:
            giver = subject
            known.remove(link.identifiers)
            side.standings = known.standings.separated
            side.identifiers = link.identifiers
            side.separatedAt = link.recordedAt
        case .separated:
            giver = subject
            if known.identifiers != link.identifiers {
                report.add("event \(sequence): nothing was taken off subject \(other) for subject \(subject)")
            }
        }
        let receiver = link.action == .unlinked ? other : subject
        coming.forEachIdentifier { _, hash in
            let owner = owners.updateValue(receiver, forKey: hash) ?? 0
            if owner != giver, isWhole || owner != 0 {
                report.add("event \(sequence) moves an identifier of subject \(owner)")
            }
        }
        subjects[subject] = known
        if other != 0, link.action != .separated { subjects[other] = side }
    }

    private mutating func replay(_ recorded: RecordedEvent, purposeBit: Int, isPartlyErased: Bool) {
        let sequence = recorded.sequence
        // What is said about somebody who is erased names nobody, if it is a "no".
        let isExpected =
            recorded.event.state.isInternal || isPartlyErased
            || recorded.event.state.takesAway && subjects[recorded.subject]?.erasedAt != nil
        if recorded.event.identifiers.isEmpty, !isExpected, emptied[recorded.subject] == nil {
            emptied[recorded.subject] = sequence
        }
        var new: [(IdentifierType, IdentifierHash)] = []
        for identifier in recorded.event.identifiers {
            let hash = identifier.nationalIDHash.map(IdentifierHash.init(bytes:)) ?? hashKey.hash(identifier)
            if let owner = owners[hash] {
                if owner != recorded.subject {
                    report.add(
                        "event \(sequence) gives an identifier to subject \(recorded.subject) that is \(owner)'s")
                }
                continue
            }
            owners[hash] = recorded.subject
            new.append((identifier.type, hash))
        }
        withUnsafeMutablePointer(
            to: &subjects[recorded.subject, default: SubjectRecord(id: recorded.subject, salt: [])]
        ) {
            $0.pointee.standings.fold(Act(recorded), purposeBit: purposeBit)
            for (type, hash) in new { $0.pointee.add(type, hash) }
        }
    }

    private mutating func compareSubjects(_ now: Timestamp) throws {
        // A revision whose time has come, but whose note is not in the ledger, has not been taken over yet.
        let pending = catalog.nextRevisionChange(after: try snapshot.lastCatalogMoment() ?? now)
        let takenOver = min(now, pending.map { Timestamp(millis: $0.millis - 1) } ?? now)
        let hasOutdated = try snapshot.hasOutdated()
        try snapshot.forEachSubject { subject in
            report.subjects += 1
            let known = subjects.removeValue(forKey: subject.id)
            if known == nil { report.add("subject \(subject.id): no event is about it") }
            let replayed = known ?? SubjectRecord(id: subject.id, salt: [])
            if subject.standings != replayed.standings {
                report.add("subject \(subject.id): what is kept of the history is not what the events say")
            }
            if subject.lastEvent != replayed.lastEvent {
                report.add(
                    "subject \(subject.id): its history ends with event \(replayed.lastEvent), not where it is kept to")
            }
            let areNamesKept =
                namesLost.contains(subject.id)
                ? subject.hasAll(of: replayed.identifiers) : subject.identifiers == replayed.identifiers
            if !areNamesKept {
                report.add("subject \(subject.id): the identifiers that are kept are not those that its events name")
            }
            if subject.erasedAt != replayed.erasedAt || subject.erasure != replayed.erasure {
                report.add("subject \(subject.id): whether and when the person was erased is not what the events say")
            }
            if subject.joinedTo != replayed.joinedTo || subject.separatedAt != replayed.separatedAt {
                report.add("subject \(subject.id): what it was linked with or taken off is not what the events say")
            }
            if subject.salt.isEmpty, subject.erasedAt == nil {
                report.add("subject \(subject.id): its salt is gone, but no event says that the person was erased")
            }
            // Until an end that has passed is recorded, the kept row still holds the consent, with its end.
            let beforeEnd = subject.projection.endsAt.map { min(takenOver, Timestamp(millis: $0.millis - 1)) }
            let isKept = [beforeEnd ?? takenOver, now].contains { moment in
                var projection = project(replayed.standings, catalog: catalog, at: moment)
                projection.sequence = subject.projection.sequence
                // Of several consents the one that was to end first may have become outdated with everybody's: the kept
                // end is too early then, and never too late.
                if hasOutdated, !projection.permitted.isEmpty, let end = subject.projection.endsAt,
                    projection.endsAt.map({ end < $0 }) ?? true
                {
                    projection.endsAt = end
                }
                return projection == subject.projection
            }
            if !isKept {
                report.add("subject \(subject.id): the kept bits are not what the decision function says")
            }
            if subject.projection.sequence > head.sequence {
                report.add("subject \(subject.id): its row is of an event that is not there")
            }
            compareRows(of: subject)
        }
        for subject in subjects.keys.sorted() { report.add("subject \(subject) has events, but is not there") }
        for part in erasedParts.values.joined().sorted(by: { $0.event < $1.event }) {
            report.add("event \(part.event): something in it is gone, but no erasure after it says so")
        }
        for sequence in emptied.values.sorted() {
            report.add("event \(sequence): its personal part is gone, but nothing says that the subject was erased")
        }
    }

    private mutating func compareRows(of subject: SubjectRecord) {
        guard let index else {
            subject.forEachIdentifier { _, _ in report.identifiers += 1 }
            return
        }
        subject.forEachIdentifier { _, hash in
            report.identifiers += 1
            // Before the row: what has been followed by then shows in it.
            let hasFollowed = subject.projection.sequence <= index.appliedSequence
            let row = index.row(hash)
            if let row, row.sequence > head.sequence {
                report.changedMeanwhile += 1
            } else if let wrong = difference(between: row, index.owner(of: hash), and: subject) {
                if hasFollowed {
                    report.add("subject \(subject.id): \(wrong)", inLedger: false)
                } else {
                    report.rowsBehind += 1
                }
            }
        }
    }

    private func difference(between row: IndexRow?, _ owner: UInt32?, and subject: SubjectRecord) -> String? {
        guard let row else { return "the index has no row for one of its identifiers" }
        if owner.map(Int64.init) != subject.id { return "the index gives one of its identifiers to another" }
        return row == IndexRow(subject.projection) ? nil : "an index row is not what the ledger says"
    }

    private mutating func compareKey(of recorded: RecordedEvent) {
        guard let key = recorded.event.key else { return }
        keyed += 1
        guard let keys else { return }
        let hasFollowed = recorded.sequence <= keys.appliedSequence
        if keys.row(hashKey.hash(key))?.sequence == recorded.sequence { return }
        if hasFollowed {
            report.add("event \(recorded.sequence): the map of keys does not lead to it", inLedger: false)
        } else {
            report.rowsBehind += 1
        }
    }

    /// What confirms requests must be for grants of that person, of whom something is left.
    private mutating func compareTokens() throws {
        try snapshot.forEachToken { token in
            let subject = try snapshot.subject(token.subject)
            if subject.map(\.isErased) ?? true {
                report.add("subject \(token.subject): a token is left, but the person is not there or was erased")
            }
            for sequence in token.events {
                let recorded = try snapshot.event(sequence)
                if let recorded, recorded.subject == token.subject, recorded.event.state.isGrant { continue }
                report.add("event \(sequence): a token is for it, but it is no grant of subject \(token.subject)")
            }
        }
    }

    /// What the index says of itself as a whole.
    private mutating func compareHeader() throws {
        guard let header else { return }
        guard header.sequence <= head.sequence else {
            report.add(
                "the index has followed event \(header.sequence), but the ledger ends with \(head.sequence)",
                inLedger: false)
            return
        }
        if try !isMark(header.chain, from: header.sequence) {
            report.add("the index was derived from another past", inLedger: false)
        }
        guard header.sequence == head.sequence else { return }
        let retired = catalog.purposes.filter { !$0.isActive }.map(\.bit)
        if header.defaults != (PurposeSet(catalog.defaultGrants), PurposeSet(retired)) {
            report.add("the defaults of the index are not those of the catalog", inLedger: false)
        }
    }

    /// Whether a mark is that of an event or, while a server writes, of one that it went on to.
    private func isMark(_ mark: UInt64, from sequence: UInt64) throws -> Bool {
        if sequence == 0, mark == 0 { return true }
        for sequence in sequence...head.sequence where try snapshot.chainHead(at: sequence)?.mark == mark {
            return true
        }
        return false
    }
}

/// Makes the index of a node anew.
///
/// - Throws: ``EngineError`` `locked` while a server runs.
/// - Returns: how many identifiers it has.
package func rebuildIndex(_ folder: NodeFolder, progress: (Int, Int) -> Void = { _, _ in }) throws -> Int {
    guard folder.exists else { throw LedgerError.missing(path: folder.ledgerPath) }
    guard let lock = try folder.lock() else { throw EngineError.locked(path: folder.path) }
    defer { _ = lock.raw }
    let ledger = try Ledger(path: folder.ledgerPath)
    let catalog = try loadCatalog(ledger)
    let hashKey = try folder.hashKey(of: ledger.identity)
    let index = try rebuildIndex(
        folder: folder, ledger: ledger, hashKey: hashKey, catalog: catalog, progress: progress)
    try index.close()
    try KeyMap(rebuilding: folder, ledger: ledger, hashKey: hashKey).close()
    try ledger.close()
    return index.rows
}
