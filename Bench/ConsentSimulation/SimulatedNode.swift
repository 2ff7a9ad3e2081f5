import ConsentModel
import ConsentSync
import ConsentWire

/// The authoritative node: a ledger whose changes reach its rows, and then its log, in steps between which others look.
final class SimulatedRoot: FeedSource {
    private(set) var timeline: Timeline
    private(set) var table: SimulatedTable
    private(set) var log: DeltaLog
    private(set) var vouchedAt: UInt64 = 1
    /// What is on its way: first into the ledger and half a row, then into all rows, then into the log.
    private var change: (Timeline.Change, wishes: [(identifier: Int, wish: Wish?)], stage: Int)?
    private let bits = UnsafeMutablePointer<UInt64>.allocate(capacity: 2)
    private let logSize: Int

    init(_ timeline: Timeline, logSize: Int) {
        self.timeline = timeline
        self.logSize = logSize
        table = SimulatedTable(identifiers: timeline.wishes.count)
        log = DeltaLog(at: SyncPoint(), catalog: .none)
        restart(timeline)
    }

    deinit { bits.deallocate() }

    /// Begins with what a ledger holds.
    func restart(_ timeline: Timeline) {
        self.timeline = timeline
        change = nil
        vouchedAt = 0
        table = SimulatedTable(identifiers: timeline.wishes.count)
        for identifier in table.rows.indices { table.rows[identifier] = timeline.row(identifier) }
        (table.sequence, table.chain) = (timeline.head, timeline.chains[Int(timeline.head)])
        table.catalog = Purposes.catalog(timeline.catalogVersion, sequence: timeline.head)
        (table.granted, table.denied) = (
            Purposes.granted(timeline.catalogVersion), Purposes.denied(timeline.catalogVersion)
        )
        log = DeltaLog(at: table.point, catalog: table.catalog, sizeMax: logSize)
    }

    var isBusy: Bool { change != nil }

    func begin(_ change: Timeline.Change, _ wishes: [(identifier: Int, wish: Wish?)]) {
        self.change = (change, wishes, 0)
    }

    /// Takes what is on its way a step further.
    func advance(at now: UInt64) {
        guard let (change, wishes, stage) = change else { return }
        switch stage {
        case 0:
            timeline.append(change, wishes: wishes, at: now)
            if let version = change.catalog {
                table.granted &= Purposes.granted(version)
                table.denied |= Purposes.denied(version)
            }
            // Half a row: what it permits has been taken away, and not set yet.
            if let (identifier, row) = change.rows.first, let row, let old = table.rows[identifier] {
                table.rows[identifier] = SimulatedRow(
                    sequence: row.sequence, permitted: old.permitted & row.permitted, denied: old.denied | row.denied)
            }
        case 1:
            for (identifier, row) in change.rows { table.rows[identifier] = row }
            if let version = change.catalog {
                table.catalog = Purposes.catalog(version, sequence: change.sequence)
                (table.granted, table.denied) = (Purposes.granted(version), Purposes.denied(version))
            }
            (table.sequence, table.chain) = (change.sequence, change.chain)
        default:
            tell(change)
            self.change = nil
            return
        }
        self.change!.stage += 1
    }

    private func tell(_ change: Timeline.Change) {
        let after = change.sequence - 1
        var entry = DeltaLog.Entry(
            after: after, point: table.point, catalog: change.catalog == nil ? nil : table.catalog,
            hasAbsentRows: change.rows.contains { $0.row == nil }, frames: [])
        var output = OutputBuffer(capacity: 256)
        var frame = Delta.begin(after: after, to: table.point, hasDigest: true, words: 1, into: &output)
        for (identifier, row) in change.rows {
            frame.append(
                first: SimulatedTable.tag(identifier) | change.sequence >> 32,
                second: change.sequence & 0xFFFF_FFFF | (row == nil ? 0 : 0xFFFF_FFFF << 32),
                place: SimulatedTable.place(identifier),
                row.map { (PurposeSet(word: $0.permitted), PurposeSet(word: $0.denied)) }, words: 1, into: &output)
        }
        frame.end(isLast: true, into: &output)
        entry.frames = [Array(output.bytes)]
        log.append(entry)
    }

    /// Its rows hold all that the ledger holds, unless something is on its way into them.
    func vouch(at now: UInt64) { if change.map({ $0.stage > 1 }) ?? true { vouchedAt = now } }

    // MARK: What a feed tells of

    var history: ID16 { timeline.history }
    var hashKey: [UInt8] { timeline.history.bytes }
    var appliedSequence: UInt64 { table.sequence }
    var rowCount: Int { table.rows.count }
    var words: Int { 1 }

    func knows(sequence: UInt64, chain: UInt64) -> Bool? { timeline.contains(sequence: sequence, chain: chain) }

    func forEachRow(
        places: Range<UInt64>, after sequence: UInt64, by catalog: SyncCatalog, _ body: (SyncRow) -> Void
    ) -> Bool {
        guard PurposeSet(word: table.granted) == catalog.grantedDefaults,
            PurposeSet(word: table.denied) == catalog.deniedDefaults
        else { return false }
        table.forEachRow(places: places, after: sequence, bits, body)
        return true
    }
}

/// Where a simulated edge keeps its rows: what survives the process, and what does not. Any change can fail, or be the last.
final class SimulatedStore: ReplicaStore, FeedSource {
    /// What the disk still holds when the process is gone.
    private(set) var live: SimulatedTable
    private(set) var history = ID16.zero
    private(set) var hashKey: [UInt8] = []
    private(set) var vouchedAt: UInt64 = 0
    private var beside: SimulatedTable?
    private var besideIdentity: (ID16, [UInt8]) = (.zero, [])
    var log: DeltaLog

    /// Changes until one fails; nil: none does.
    var failsAfter: Int?
    /// Changes until the process is killed.
    var diesAfter: Int?
    private(set) var isDead = false
    /// Rises whenever other rows take the place of those before.
    private(set) var lineage = 0
    /// Whether the last taking over was of a history or a past that is not the one before.
    private(set) var hasChangedHistory = false

    /// Whether a row was ever replaced by an older one. Of the copy that is built beside, only what came in this connection
    /// counts: a chunk that broke off comes again whole, from an upstream that may be an older copy by then.
    private(set) var hasGoneBack = false
    /// Put into the copy beside since the connection began.
    private var putBeside: Set<Int> = []

    let canary: Canary?
    /// The digest that the message that is being taken says, for a canary.
    var digestSaid: UInt64?
    private let identifiers: Int
    private let bits = UnsafeMutablePointer<UInt64>.allocate(capacity: 2)

    init(identifiers: Int, canary: Canary?) {
        self.identifiers = identifiers
        self.canary = canary
        live = SimulatedTable(identifiers: identifiers)
        log = DeltaLog(at: SyncPoint(), isDigestKnown: false, catalog: .none)
    }

    deinit { bits.deallocate() }

    /// The process begins anew with what the disk holds; after a loss of power that is nothing that proves itself.
    func restart(afterPowerLoss: Bool) {
        (isDead, failsAfter, diesAfter, beside) = (false, nil, nil, nil)
        if afterPowerLoss {
            live = SimulatedTable(identifiers: identifiers)
            (history, hashKey, vouchedAt) = (.zero, [], 0)
            lineage += 1
        }
        log.reset(to: live.point, isDigestKnown: false, catalog: live.catalog)
    }

    /// Every change comes through here.
    private func isDone() -> Bool {
        if isDead { return false }
        if let left = diesAfter {
            diesAfter = left - 1
            if left <= 0 { isDead = true }
        }
        return !isDead
    }

    private func mayFail() throws(StoreFailure) {
        if let left = failsAfter {
            failsAfter = left - 1
            if left <= 0 { throw StoreFailure("no space left on device") }
        }
        if !isDone() { throw StoreFailure("killed") }
    }

    private func change(_ target: ReplicaTarget, _ change: (inout SimulatedTable) -> Void) {
        if target == .live { change(&live) } else { change(&beside!) }
    }

    private func table(_ target: ReplicaTarget) -> SimulatedTable { target == .live ? live : beside! }

    // MARK: What a replica keeps

    func point(_ target: ReplicaTarget) -> SyncPoint {
        var point = table(target).point
        if canary == .skipDigest, let digestSaid { point.digest = digestSaid }
        return point
    }

    func catalog(_ target: ReplicaTarget) -> SyncCatalog { table(target).catalog }

    func defaults(_ target: ReplicaTarget) -> (granted: PurposeSet, denied: PurposeSet) {
        let table = table(target)
        return (PurposeSet(word: table.granted), PurposeSet(word: table.denied))
    }

    func sequence(of row: SyncRow, _ target: ReplicaTarget) -> UInt64? {
        canary == .skipSequence ? nil : table(target).rows[SimulatedTable.identifier(row)]?.sequence
    }

    func beginConnection() { putBeside = [] }

    func put(_ row: SyncRow, _ target: ReplicaTarget) throws(StoreFailure) {
        try mayFail()
        let identifier = SimulatedTable.identifier(row)
        let isSeen = target == .live || !putBeside.insert(identifier).inserted
        if isSeen, let old = table(target).rows[identifier], old.sequence > row.sequence { hasGoneBack = true }
        change(target) {
            $0.rows[SimulatedTable.identifier(row)] = SimulatedRow(
                sequence: row.sequence, permitted: row.word(0), denied: row.word(1))
        }
    }

    func erase(_ row: SyncRow, _ target: ReplicaTarget) {
        if isDone() { change(target) { $0.rows[SimulatedTable.identifier(row)] = nil } }
    }

    func setDefaults(granted: PurposeSet, denied: PurposeSet, _ target: ReplicaTarget) throws(StoreFailure) {
        try mayFail()
        change(target) { ($0.granted, $0.denied) = (granted[word: 0], denied[word: 0]) }
    }

    func setMaxStaleness(_ seconds: [Int: UInt32], _ target: ReplicaTarget) {
        if isDone() { change(target) { $0.maxStaleness = seconds } }
    }

    func setCatalog(_ catalog: SyncCatalog, _ target: ReplicaTarget) throws(StoreFailure) {
        try mayFail()
        change(target) { $0.catalog = catalog }
    }

    func setApplied(sequence: UInt64, chain: UInt64, _ target: ReplicaTarget) {
        if isDone() { change(target) { ($0.sequence, $0.chain) = (sequence, chain) } }
    }

    func vouch(at bootMillis: UInt64) { if isDone() { vouchedAt = bootMillis } }

    func begin(_ snapshot: SnapshotBegun, history: ID16, hashKey: [UInt8]) throws(StoreFailure) {
        try mayFail()
        beside = SimulatedTable(identifiers: identifiers)
        besideIdentity = (history, hashKey)
    }

    func discard() { beside = nil }

    func takeOver() throws(StoreFailure) {
        try mayFail()
        hasChangedHistory = history != .zero && history != besideIdentity.0
        (live, beside) = (beside!, nil)
        (history, hashKey) = besideIdentity
        vouchedAt = 0
        lineage += 1
    }

    // MARK: What it would answer

    /// Of an answer about a purpose, at a moment of this node's clock of the boot.
    func mayAnswer(_ purposeBit: Int, at bootMillis: UInt64) -> Bool {
        guard vouchedAt != 0, bootMillis >= vouchedAt else { return false }
        if canary == .failOpen { return true }
        let age = bootMillis - vouchedAt
        return age <= max(5000, UInt64(live.maxStaleness[purposeBit] ?? 0) * 1000)
    }

    // MARK: What a feed tells of

    var appliedSequence: UInt64 { live.sequence }
    var rowCount: Int { identifiers }
    var words: Int { 1 }

    func knows(sequence: UInt64, chain: UInt64) -> Bool? { sequence == 0 ? true : nil }

    func forEachRow(
        places: Range<UInt64>, after sequence: UInt64, by catalog: SyncCatalog, _ body: (SyncRow) -> Void
    ) -> Bool {
        guard PurposeSet(word: live.granted) == catalog.grantedDefaults,
            PurposeSet(word: live.denied) == catalog.deniedDefaults
        else { return false }
        live.forEachRow(places: places, after: sequence, bits, body)
        return true
    }
}
