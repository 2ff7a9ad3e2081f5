package import ConsentModel
package import ConsentWire

package struct ReplicaOptions: Sendable {
    /// What the upstream's people see.
    package var name = ""
    /// Nothing from the upstream for so long: the connection is given up, however open it looks.
    package var silenceMillis: UInt64 = 5000
    /// How often the upstream hears of this node, and this node of how current it is.
    package var stampMillis: UInt64 = 500
    /// What was enforced is told no more often than this.
    package var enforcedMillis: UInt64 = 20
    /// Take what the upstream has even if it is of another history, or older: for the person in charge to decide.
    package var startsOver = false
    /// The rows were vouched for by another upstream than the one that is followed now. Both may say that they have the same
    /// past and yet have gone on from it each in another way, so that counts for nothing once this one is followed.
    package var isUpstreamNew = false

    package init() {}
}

/// Why a replica wants its connection closed.
package enum ReplicaEnd: Equatable, Sendable, CustomStringConvertible {
    case silent
    /// A push is missing.
    case gap
    case damaged(String)
    case refused(String)
    case cutOff(CutOffReason, String)
    case storage(StoreFailure)
    /// What the upstream has must not take the place of what is here.
    case held(SyncVerdict)
    /// A snapshot did not come out as the upstream says.
    case snapshotWrong

    package var description: String {
        switch self {
        case .silent: "the upstream was silent on an open connection"
        case .gap: "a message of the upstream was missing"
        case .damaged(let what): "the upstream sent what cannot be right: \(what)"
        case .refused(let why): "the upstream refused: \(why)"
        case .cutOff(let reason, let message): "the upstream cut this node off (\(reason)): \(message)"
        case .storage(let failure): "the rows cannot be kept: \(failure)"
        case .held(let verdict): verdict.heldBecause
        case .snapshotWrong: "a snapshot's rows do not have the digest that the upstream says"
        }
    }
}

extension SyncVerdict {
    /// For people: why an edge holds what it has.
    package var heldBecause: String {
        switch self {
        case .otherHistory:
            "the upstream has another history than this edge: it is another deployment, or began anew. Nothing is taken over from it until somebody says so with --start-over"
        case .ahead:
            "the upstream is behind this edge: it is an older copy, such as a restored backup. Nothing is taken over from it until somebody says so with --start-over"
        case .forked:
            "the upstream has another past than this edge: a backup was restored and has gone on. Nothing is taken over from it until somebody says so with --start-over"
        case .follow, .nothingThere, .tooFarBehind, .digestDiffers: "the upstream says \(self)"
        }
    }
}

/// What a replica has counted since it was made.
package struct ReplicaCounters: Equatable, Sendable {
    /// That took the place of what was there.
    package var snapshots: UInt64 = 0
    package var snapshotsResumed: UInt64 = 0
    /// Digests that were not those of the upstream.
    package var mismatches: UInt64 = 0
    package var gaps: UInt64 = 0
    package var damaged: UInt64 = 0
    package var silences: UInt64 = 0
    package var storageFailures: UInt64 = 0
    package var subscriptions: UInt64 = 0
    package var deltas: UInt64 = 0

    package init() {}
}

/// The edge side: frames of the upstream, time, and what the store says go in; frames for the upstream and changes of the
/// store come out. Knows nothing of sockets and files.
///
/// What it holds to: a row is only ever replaced by one that is not older. The rows are vouched for only when the upstream
/// has said, later than a moment of this node's own clock, that it has nothing newer and that their digest is this one. A
/// snapshot is built beside what answers, and takes its place only when it is whole and its digest is right. Another
/// history, or an older copy of it, takes the place of nothing until somebody says so.
package struct Replica<Store: ReplicaStore> {
    package enum Phase: Equatable, Sendable {
        case offline
        case subscribing
        /// Asked for a snapshot; what comes until it begins is not listened to.
        case awaitingSnapshot
        case receiving
        case following
    }

    package let store: Store
    package var options: ReplicaOptions
    package private(set) var phase = Phase.offline
    package private(set) var counters = ReplicaCounters()
    /// Why the last connection ended, and what is wrong now.
    package private(set) var lastEnd: ReplicaEnd?
    /// What the upstream last said it has.
    package private(set) var upstreamHead: UInt64 = 0
    package private(set) var upstreamTime: Timestamp?
    /// By the clock of the boot.
    package private(set) var heardAt: UInt64?
    /// A snapshot that is not whole yet, or whole and not verified.
    package private(set) var plan: SnapshotPlan?

    private var target = ReplicaTarget.live
    /// Of the target, while connected.
    private var position = SyncPoint()
    private var number: UInt32 = 0
    private var pendingCatalog: SyncCatalog?
    private var isTextMissing = false
    /// As the upstream says in this connection.
    private var upstream: (history: ID16, hashKey: [UInt8]) = (.zero, [])
    /// Whether it has said that somebody vouches for its rows.
    private var isUpstreamVouchedFor = false
    /// Of the snapshot.
    private var planned: (history: ID16, hashKey: [UInt8]) = (.zero, [])
    private var stampedAt: UInt64 = 0
    /// When the answer that is waited for was asked for; nil: none is.
    private var askedAt: UInt64?
    private var toldSequence: UInt64 = 0
    private var enforcedAt: SyncMoment?
    /// Changes of the live rows, for those who follow this node.
    private var onward: [DeltaLog.Entry] = []
    private var onwardFrames: [[UInt8]] = []
    private var onwardSize = 0
    private var hadAbsentRows = false
    private var catalogTold: SyncCatalog
    private var hasReplacedLive = false
    /// The digest of the live rows was compared with the upstream's at this sequence.
    package private(set) var verifiedSequence: UInt64?

    package init(_ store: Store, _ options: ReplicaOptions) {
        self.store = store
        self.options = options
        catalogTold = store.catalog(.live)
    }

    /// Chunks of a snapshot that are here.
    package var snapshotProgress: (done: UInt32, all: UInt32)? { plan.map { ($0.nextChunk, $0.chunkCount) } }

    // MARK: The connection

    /// The upstream was reached and has shaken hands.
    package mutating func connect(at now: SyncMoment, into output: inout OutputBuffer) {
        phase = .subscribing
        heardAt = now.bootMillis
        askedAt = now.bootMillis
        stampedAt = 0
        toldSequence = 0
        pendingCatalog = nil
        isTextMissing = false
        verifiedSequence = nil
        isUpstreamVouchedFor = false
        counters.subscriptions += 1
        var request = SubscribeRequest()
        request.name = options.name
        // A snapshot that came whole goes on from where it is.
        target = plan.map { $0.nextChunk == $0.chunkCount } ?? false ? .beside : .live
        if target == .beside || (store.history != .zero && !options.startsOver) {
            position = store.point(target)
            request.history = target == .beside ? planned.history : store.history
            request.point = position
        }
        request.encode(request: 1, into: &output)
    }

    /// The connection is gone.
    package mutating func disconnect() {
        phase = .offline
        pendingCatalog = nil
        onwardFrames = []
        onwardSize = 0
    }

    /// Ends what is said: the driver closes the connection.
    private mutating func end(_ reason: ReplicaEnd) -> ReplicaEnd {
        switch reason {
        case .silent: counters.silences += 1
        case .gap: counters.gaps += 1
        case .damaged: counters.damaged += 1
        case .storage: counters.storageFailures += 1
        case .refused, .cutOff, .held, .snapshotWrong: break
        }
        lastEnd = reason
        disconnect()
        return reason
    }

    /// Lets time pass: call it some times a second.
    ///
    /// - Returns: why the connection is to be closed, if it is.
    package mutating func tick(at now: SyncMoment, into output: inout OutputBuffer) -> ReplicaEnd? {
        guard phase != .offline, let heardAt else { return nil }
        // An upstream that says everything but the answer is as good as silent.
        if now.bootMillis > (askedAt ?? heardAt) + options.silenceMillis { return end(.silent) }
        guard phase != .subscribing else { return nil }
        let sequence = store.history == .zero ? 0 : store.point(.live).sequence
        let isDue = now.bootMillis >= stampedAt + options.stampMillis
        let hasNews = sequence != toldSequence && now.bootMillis >= stampedAt + options.enforcedMillis
        guard isDue || hasNews || stampedAt == 0 else { return nil }
        Enforced(sequence: sequence, stamp: now.bootMillis, time: enforcedAt?.time ?? now.time).encode(into: &output)
        stampedAt = now.bootMillis
        toldSequence = sequence
        return nil
    }

    /// When ``tick(at:into:)`` has something to do at the latest.
    package func nextTick(at now: SyncMoment) -> UInt64 {
        guard phase != .offline, phase != .subscribing else { return now.bootMillis + options.stampMillis }
        let sequence = store.history == .zero ? 0 : store.point(.live).sequence
        return stampedAt + (sequence != toldSequence ? options.enforcedMillis : options.stampMillis)
    }

    // MARK: Frames of the upstream

    /// - Returns: why the connection is to be closed, if it is.
    package mutating func receive(
        _ frame: Frame, at now: SyncMoment, into output: inout OutputBuffer
    ) -> ReplicaEnd? {
        heardAt = now.bootMillis
        do {
            return try take(frame, now, &output)
        } catch let failure as StoreFailure {
            return end(.storage(failure))
        } catch let error as WireError {
            return end(.damaged(error.message))
        } catch {
            return end(.damaged("\(error)"))
        }
    }

    private mutating func take(
        _ frame: Frame, _ now: SyncMoment, _ output: inout OutputBuffer
    ) throws -> ReplicaEnd? {
        let opcode = Opcode(rawValue: frame.opcode)
        switch opcode {
        case .subscribed: return try take(Subscribed(frame), &output)
        case .snapshotBegun: return try take(SnapshotBegun(frame))
        case .error:
            let error = try ErrorAnswer(frame)
            return end(.refused(error.message))
        case .goingAway, .catalogChanged: return nil
        case .heartbeat, .catalogRules, .rulesText, .snapshotChunk, .delta, .cutOff: break
        default: return end(.damaged("a frame with opcode \(frame.opcode)"))
        }
        // A number that was there already is a push that comes twice.
        let ahead = Int32(bitPattern: frame.word &- number)
        if ahead < 0 { return nil }
        if ahead > 0 { return end(.gap) }
        number &+= 1
        if opcode == .cutOff {
            let cutOff = try CutOff(frame)
            return end(.cutOff(cutOff.reason, cutOff.message))
        }
        guard phase == .receiving || phase == .following else { return nil }
        switch opcode {
        case .heartbeat: return try take(Heartbeat(frame), now, &output)
        case .catalogRules: try take(SyncCatalog(frame))
        case .rulesText: try takeText(SyncCatalog.text(frame))
        case .snapshotChunk: return try take(SnapshotChunk(frame))
        case .delta: return try take(Delta(frame), frame, now, &output)
        default: break
        }
        return nil
    }

    private mutating func take(_ answer: Subscribed, _ output: inout OutputBuffer) throws -> ReplicaEnd? {
        guard phase == .subscribing else { return end(.damaged("'subscribed' comes twice")) }
        number = 0
        askedAt = nil
        upstreamHead = answer.head
        var verdict = answer.verdict
        // What is hashed with another key is about nobody who is known here.
        if store.history == answer.history, store.hashKey != answer.hashKey { verdict = .otherHistory }
        if store.history == .zero, verdict.isForThePersonInCharge, target == .live { verdict = .nothingThere }
        if verdict.isForThePersonInCharge, target == .beside {
            discardSnapshot()
            return end(.refused("it has another history, or another past, than the snapshot that was begun"))
        }
        if verdict.isForThePersonInCharge, !options.startsOver {
            // It belongs to the past that the upstream does not have any more.
            discardSnapshot()
            return end(.held(verdict))
        }
        upstream = (answer.history, answer.hashKey)
        // Rows of one history are never put among those of another.
        if plan != nil, planned != upstream {
            discardSnapshot()
            if verdict == .follow { return end(.refused("it has another key than the snapshot that was begun")) }
        }
        lastEnd = nil
        if verdict == .follow {
            phase = .following
            if options.isUpstreamNew, target == .live { forgetVouching() }
        } else {
            if verdict == .digestDiffers { countMismatch() }
            askForSnapshot(&output)
        }
        return nil
    }

    /// What answers is not what the upstream has at the same sequence: nothing of it can be relied on.
    private mutating func countMismatch() {
        counters.mismatches += 1
        if target == .live { store.vouch(at: 0) } else { discardSnapshot() }
    }

    /// What the rows were vouched for does not hold for what comes now. Those who follow this node hear it before that.
    private mutating func forgetVouching() {
        options.isUpstreamNew = false
        store.vouch(at: 0)
        hasReplacedLive = true
        onward = []
    }

    private mutating func discardSnapshot() {
        store.discard()
        plan = nil
        target = .live
    }

    private mutating func askForSnapshot(_ output: inout OutputBuffer) {
        phase = .awaitingSnapshot
        askedAt = heardAt
        if let plan, plan.nextChunk == plan.chunkCount { discardSnapshot() }
        TakeSnapshotRequest(resumed: plan).encode(request: 2, into: &output)
    }

    private mutating func take(_ begun: SnapshotBegun) throws -> ReplicaEnd? {
        guard phase == .awaitingSnapshot else { return end(.damaged("a snapshot that nobody asked for")) }
        target = .beside
        askedAt = nil
        pendingCatalog = nil
        isTextMissing = false
        if let plan, plan.nextChunk > 0, begun.plan.nextChunk == plan.nextChunk, isSame(plan, begun.plan) {
            counters.snapshotsResumed += 1
        } else {
            guard begun.plan.nextChunk == 0 else { return end(.damaged("a snapshot begins in its middle")) }
            plan = nil
            try store.begin(begun, history: upstream.history, hashKey: upstream.hashKey)
            plan = begun.plan
            planned = upstream
        }
        phase = .receiving
        return nil
    }

    private func isSame(_ mine: SnapshotPlan, _ other: SnapshotPlan) -> Bool {
        mine.start.sequence == other.start.sequence && mine.start.chain == other.start.chain
            && mine.chunkCount == other.chunkCount
    }

    private mutating func take(_ chunk: SnapshotChunk) throws -> ReplicaEnd? {
        guard phase == .receiving, var plan, chunk.chunk == plan.nextChunk else {
            return end(.damaged("chunk \(chunk.chunk) at the wrong time"))
        }
        // As they come, also in place of newer ones: those are left of a chunk that broke off, and whoever sends it again
        // may be an older copy. That what is there in the end is right is for the digest to show.
        try store.put(chunk.rows, .beside)
        guard chunk.isLast else { return nil }
        plan.nextChunk += 1
        self.plan = plan
        if plan.nextChunk == plan.chunkCount {
            store.setApplied(sequence: plan.start.sequence, chain: plan.start.chain, .beside)
            position = plan.start
            phase = .following
            try landCatalog()
        }
        return nil
    }

    // MARK: Catalogs

    /// Rows of both catalogs may stand beside each other until the new one's have come: until then, only what both allow.
    private mutating func take(_ catalog: SyncCatalog) throws {
        pendingCatalog = catalog
        isTextMissing = true
        let now = store.defaults(target)
        if target == .live {
            try store.setDefaults(
                granted: now.granted.intersection(catalog.grantedDefaults),
                denied: now.denied.union(catalog.deniedDefaults), target)
            let (old, new) = (store.catalog(target).maxStaleness, catalog.maxStaleness)
            store.setMaxStaleness(
                Dictionary(
                    uniqueKeysWithValues: new.compactMap { bit, seconds in
                        old[bit].map { (bit, min($0, seconds)) }
                    }), target)
        }
    }

    private mutating func takeText(_ text: String) throws {
        pendingCatalog?.text = text
        isTextMissing = false
        try landCatalog()
        // No change of rows says so to those who follow this node.
        if pendingCatalog == nil, !isTold(store.catalog(.live)) {
            hasReplacedLive = true
            onward = []
        }
    }

    /// Lets a catalog take over when its rows are there.
    private mutating func landCatalog() throws {
        guard let catalog = pendingCatalog, !isTextMissing, phase == .following, position.sequence >= catalog.sequence
        else { return }
        if store.catalog(target) != catalog { try store.setCatalog(catalog, target) }
        store.setMaxStaleness(catalog.maxStaleness, target)
        try store.setDefaults(granted: catalog.grantedDefaults, denied: catalog.deniedDefaults, target)
        pendingCatalog = nil
    }

    // MARK: Changes

    private mutating func take(
        _ delta: Delta, _ frame: Frame, _ now: SyncMoment, _ output: inout OutputBuffer
    ) throws -> ReplicaEnd? {
        guard phase == .following else { return end(.damaged("a change in the middle of a snapshot")) }
        let point = delta.point
        // What is here already changes nothing.
        guard point.sequence > position.sequence else { return nil }
        guard delta.after <= position.sequence else { return end(.gap) }
        if target == .live, !isUpstreamVouchedFor, store.vouchedAt != 0 { forgetVouching() }
        try apply(delta.rows)
        if target == .live { keepOnward(frame) }
        guard delta.isComplete else { return nil }
        let before = position.sequence
        position = point
        verifiedSequence = nil
        counters.deltas += 1
        try landCatalog()
        if upstreamHead < point.sequence { upstreamHead = point.sequence }
        let hasDigest = delta.hasDigest
        if target == .live { tellOnward(before, hasDigest ? point.digest : nil) }
        // Without a digest nobody knows yet whether rows are still here that are gone there.
        return hasDigest ? try verify(point.digest, now, &output) : nil
    }

    /// A row is replaced only by one that is not older: what comes late, or twice, changes nothing.
    private mutating func apply(_ rows: SyncRows) throws {
        for position in 0..<rows.count {
            let row = rows[position]
            if let known = store.sequence(of: row, target), known > row.sequence { continue }
            if row.isAbsent {
                store.erase(row, target)
                hadAbsentRows = true
            } else {
                try store.put(row, target)
            }
        }
    }

    /// Compares the rows with what the upstream says of them.
    private mutating func verify(
        _ digest: UInt64, _ now: SyncMoment, _ output: inout OutputBuffer
    ) throws -> ReplicaEnd? {
        // Rows and catalog belong together again when it has taken over.
        guard pendingCatalog == nil else { return nil }
        guard store.point(target).digest == digest else {
            let wasSnapshot = target == .beside
            countMismatch()
            if wasSnapshot { return end(.snapshotWrong) }
            askForSnapshot(&output)
            return nil
        }
        if store.point(target).sequence != position.sequence {
            store.setApplied(sequence: position.sequence, chain: position.chain, target)
            enforcedAt = now
        }
        if target == .beside { try takeOver() }
        verifiedSequence = position.sequence
        return nil
    }

    /// The snapshot is whole and right: from now on it answers.
    ///
    /// What the rows before it were vouched for does not pass to it: they may be of a past that the authoritative node does
    /// not have any more, which an upstream that is an edge cannot tell. The next heartbeat vouches for it, mostly the one
    /// that has shown that it is right.
    private mutating func takeOver() throws {
        try store.takeOver()
        plan = nil
        target = .live
        counters.snapshots += 1
        options.startsOver = false
        options.isUpstreamNew = false
        hasReplacedLive = true
        onward = []
    }

    private mutating func take(
        _ heartbeat: Heartbeat, _ now: SyncMoment, _ output: inout OutputBuffer
    ) throws -> ReplicaEnd? {
        upstreamHead = heartbeat.head
        upstreamTime = heartbeat.time
        isUpstreamVouchedFor = heartbeat.ageMillis != Heartbeat.ageUnknown
        guard phase == .following, heartbeat.isSentKnown, heartbeat.sent.sequence == position.sequence,
            pendingCatalog == nil
        else { return nil }
        guard heartbeat.sent.chain == position.chain else { return end(.damaged("another past at the same sequence")) }
        if let failure = try verify(heartbeat.sent.digest, now, &output) { return failure }
        // It was so at a moment that is not before the stamp, so far as the upstream itself is vouched for.
        guard phase == .following, target == .live, heartbeat.head == position.sequence, heartbeat.echo != 0,
            heartbeat.ageMillis < heartbeat.echo
        else { return nil }
        let moment = heartbeat.echo - heartbeat.ageMillis
        if moment > store.vouchedAt, moment <= now.bootMillis { store.vouch(at: moment) }
        return nil
    }

    // MARK: For those who follow this node

    private mutating func keepOnward(_ frame: Frame) {
        onwardSize += frame.size
        if onwardSize > DeltaLog.Entry.sizeMax {
            onwardFrames = []
            return
        }
        let header = WireLimit.headerSize
        let start = UnsafeRawPointer(frame.payload.baseAddress!) - header
        onwardFrames.append(Array(UnsafeRawBufferPointer(start: start, count: frame.size)))
    }

    private mutating func tellOnward(_ after: UInt64, _ digest: UInt64?) {
        defer {
            onwardFrames = []
            onwardSize = 0
        }
        let catalog = store.catalog(.live)
        let isTold = isTold(catalog)
        catalogTold = catalog
        let point = SyncPoint(
            sequence: position.sequence, chain: position.chain, digest: digest ?? store.point(.live).digest)
        // Rows of a walk may be made by a catalog that has not taken over yet, of which those who follow know nothing: they
        // are told of rows when it has.
        let isToBeWalkedFor = pendingCatalog != nil || onwardSize > DeltaLog.Entry.sizeMax
        onward.append(
            DeltaLog.Entry(
                after: after, point: point, catalog: isTold ? nil : catalog,
                hasAbsentRows: hadAbsentRows, hasDigest: digest != nil,
                frames: isToBeWalkedFor ? [] : onwardFrames))
        hadAbsentRows = false
    }

    private func isTold(_ catalog: SyncCatalog) -> Bool {
        catalog.digest == catalogTold.digest && catalog.purposes == catalogTold.purposes
    }

    /// What has changed since it was last asked, for the log of this node; nil: everything may have.
    package mutating func takeOnward() -> [DeltaLog.Entry]? {
        defer {
            onward = []
            hasReplacedLive = false
        }
        if hasReplacedLive { catalogTold = store.catalog(.live) }
        return hasReplacedLive ? nil : onward
    }
}
