package import ConsentModel
package import ConsentWire

/// What a feed tells of. Real nodes and simulated ones.
package protocol FeedSource {
    /// Of the rows; zero while there are none that could be followed.
    var history: ID16 { get }
    var hashKey: [UInt8] { get }
    var log: DeltaLog { get }
    /// Of the rows, which may be ahead of the log.
    var appliedSequence: UInt64 { get }
    /// The moment up to which the rows hold everything, by the node's clock of the boot; zero: not known.
    var vouchedAt: UInt64 { get }
    var rowCount: Int { get }
    /// Of each row's bitsets.
    var words: Int { get }

    /// Whether an event of the past has this chain; nil where that is not known.
    func knows(sequence: UInt64, chain: UInt64) -> Bool?

    /// Hands out the rows of some places that have changed after a sequence, as they are now.
    ///
    /// - Parameter catalog: the one that rows may be made by.
    /// - Returns: false if rows may be made by another catalog; then what was handed out must be thrown away.
    func forEachRow(places: Range<UInt64>, after: UInt64, by catalog: SyncCatalog, _ body: (SyncRow) -> Void) -> Bool
}

/// A moment as an edge or a feed knows it.
package struct SyncMoment: Sendable {
    /// Of the clock of the boot.
    package var bootMillis: UInt64
    /// Of the clock that can be set; only people are shown it.
    package var time: Timestamp

    package init(bootMillis: UInt64, time: Timestamp) {
        self.bootMillis = bootMillis
        self.time = time
    }
}

package struct FeedOptions: Sendable {
    /// Who is further behind than this many events takes a snapshot.
    package var distanceMax: UInt64 = 4_000_000
    /// Bytes of a snapshot's chunk, about. One is encoded at a time, between the turns of all other edges.
    package var chunkSize = 256 << 10
    package var heartbeatMillis: UInt64 = 1000
    /// An edge that says nothing for so long is cut off.
    package var silenceMillis: UInt64 = 10_000
    /// Walks in a row after each of which the log has gone on without the edge.
    package var catchUpsMax = 16

    package init() {}
}

/// The serving side of one edge: frames of the edge and the node's state go in, frames for the edge come out. Knows nothing
/// of sockets, and keeps nothing for the edge but where it is.
///
/// The way of an edge: `subscribe → follow → deltas …` or `subscribe → take a snapshot → chunks → deltas …`. A snapshot is a
/// walk through the live index, and so is catching up: the same walk that hands out only rows that have changed since. Rows
/// may change while it goes on; they carry their sequence, and all changes since its start come after it, so that what the
/// edge has then is exact.
package struct Feed: Sendable {
    private enum Phase {
        case subscribing
        /// It was told to take a snapshot.
        case waiting
        /// It goes on from what it has, and is first told whether somebody vouches for what comes.
        case beginning
        case walking(Walk)
        case following
        case ended
    }

    private struct Walk {
        var plan: SnapshotPlan
        /// Nil for a snapshot; else what the edge has already.
        var after: UInt64?
    }

    private let options: FeedOptions
    private var phase = Phase.subscribing
    private var number: UInt32 = 0
    /// What the edge has, as far as it was sent.
    package private(set) var position: UInt64 = 0
    private var sentCatalog: SyncCatalog?
    private var catchUps = 0
    private var heardAt: UInt64
    private var heartbeatAt: UInt64 = 0
    private var stamp: (value: UInt64, at: UInt64)?
    private var isStampNew = false
    /// What it subscribed to.
    private var history = ID16.zero
    private var epoch: UInt64 = 0
    package private(set) var edgeName = ""
    /// What the edge said last.
    package private(set) var enforced: Enforced?
    package private(set) var verdict: SyncVerdict?

    package init(_ options: FeedOptions, at now: SyncMoment) {
        self.options = options
        heardAt = now.bootMillis
    }

    package var isEnded: Bool { if case .ended = phase { true } else { false } }
    /// Chunks that were sent of a snapshot, and all of it; nil while there is none.
    package var snapshotProgress: (done: UInt32, all: UInt32)? {
        if case .walking(let walk) = phase, walk.after == nil {
            (walk.plan.nextChunk, walk.plan.chunkCount)
        } else {
            nil
        }
    }

    // MARK: Frames of the edge

    /// - Throws: what is to be answered; if it closes, this was the last.
    package mutating func receive(
        _ frame: Frame, _ source: some FeedSource, at now: SyncMoment, into output: inout OutputBuffer
    ) throws(WireError) {
        heardAt = now.bootMillis
        switch (Opcode(rawValue: frame.opcode), phase) {
        case (.subscribe, .subscribing):
            try subscribe(SubscribeRequest(frame), frame.request, source, &output)
        case (.takeSnapshot, .waiting), (.takeSnapshot, .beginning), (.takeSnapshot, .following),
            (.takeSnapshot, .walking):
            try takeSnapshot(TakeSnapshotRequest(frame), frame.request, source, &output)
        case (.enforced, .waiting), (.enforced, .beginning), (.enforced, .following), (.enforced, .walking):
            let enforced = try Enforced(frame)
            self.enforced = enforced
            stamp = (enforced.stamp, now.bootMillis)
            isStampNew = true
        case (_, .subscribing): throw WireError(.subscribeExpected, "an edge begins with 'subscribe'")
        default:
            throw WireError(.onlyFollowing, "a connection that has subscribed takes 'takeSnapshot' and 'enforced' only")
        }
    }

    private mutating func subscribe(
        _ request: SubscribeRequest, _ number: UInt32, _ source: some FeedSource, _ output: inout OutputBuffer
    ) throws(WireError) {
        guard source.history != .zero else {
            throw WireError(.feedNotReady, "this node has nothing to follow yet; try again a little later")
        }
        edgeName = request.name
        (history, epoch) = (source.history, source.log.epoch)
        let verdict = judge(request, source)
        self.verdict = verdict
        position = request.point.sequence
        Subscribed(verdict: verdict, history: history, head: source.appliedSequence, hashKey: source.hashKey)
            .encode(request: number, into: &output)
        phase = verdict == .follow ? .beginning : .waiting
    }

    private func judge(_ request: SubscribeRequest, _ source: some FeedSource) -> SyncVerdict {
        guard request.history != .zero else { return .nothingThere }
        guard request.history == source.history else { return .otherHistory }
        let (edge, log) = (request.point, source.log)
        // What was told may not be in service here yet.
        let head = max(source.appliedSequence, log.point.sequence)
        if edge.sequence > head { return .ahead }
        let isKnown =
            log.knows(sequence: edge.sequence, chain: edge.chain)
            ?? source.knows(sequence: edge.sequence, chain: edge.chain)
        if isKnown == false { return .forked }
        if edge.sequence == log.point.sequence, log.isDigestKnown, edge.digest != log.point.digest {
            return .digestDiffers
        }
        // Rows of another past must not come among its own, and here nobody could tell.
        let isTooFar = isKnown == nil || head - edge.sequence > options.distanceMax
        return isTooFar || edge.sequence < log.absentRowsLostUpTo || isSnapshotCheaper(edge.sequence, source)
            ? .tooFarBehind : .follow
    }

    /// Whether all rows have fewer bytes than the changes that the log still has for who is at a sequence: of few rows that
    /// change often. What the log has not any more is walked for, which never hands out more than a snapshot, and needs no
    /// second copy at the edge. What is less than a chunk is not worth the choice.
    private func isSnapshotCheaper(_ sequence: UInt64, _ source: some FeedSource) -> Bool {
        guard let size = source.log.size(after: sequence), size > options.chunkSize else { return false }
        return size > source.rowCount * RowWidth.rowSize(words: source.words)
    }

    private mutating func takeSnapshot(
        _ request: TakeSnapshotRequest, _ number: UInt32, _ source: some FeedSource, _ output: inout OutputBuffer
    ) throws(WireError) {
        guard isSame(source) else { return end(.historyChanged, &output) }
        let plan = request.resumed.flatMap { resumed($0, source) } ?? newPlan(source)
        SnapshotBegun(plan: plan, rows: UInt64(source.rowCount), words: UInt32(source.words))
            .encode(request: number, into: &output)
        phase = .walking(Walk(plan: plan, after: nil))
        catchUps = 0
        position = 0
        sentCatalog = nil
    }

    /// Whether what the edge has was sent of these rows.
    private func isSame(_ source: some FeedSource) -> Bool { source.history == history && source.log.epoch == epoch }

    private func newPlan(_ source: some FeedSource) -> SnapshotPlan {
        let rowsPerChunk = max(1, options.chunkSize / RowWidth.rowSize(words: source.words))
        let count = UInt32(clamping: max(1, source.rowCount / rowsPerChunk))
        return SnapshotPlan(start: source.log.point, chunkCount: count)
    }

    /// The rest of a snapshot, whoever sent its beginning: chunks are ranges of places, which are the same everywhere.
    private func resumed(_ plan: SnapshotPlan, _ source: some FeedSource) -> SnapshotPlan? {
        let start = plan.start
        guard start.sequence <= source.log.point.sequence,
            source.knows(sequence: start.sequence, chain: start.chain) != false,
            source.log.point.sequence - start.sequence <= options.distanceMax,
            start.sequence >= source.log.absentRowsLostUpTo
        else { return nil }
        return plan
    }

    // MARK: What the edge is told

    /// Writes what comes next: at most about a chunk, or one change.
    ///
    /// - Returns: false if there is nothing to say now.
    package mutating func tell(
        _ source: some FeedSource, at now: SyncMoment, into output: inout OutputBuffer
    ) -> Bool {
        switch phase {
        case .subscribing, .ended: return false
        case .waiting: return tellHeartbeat(source, now, &output)
        case .beginning, .walking, .following: break
        }
        guard isSame(source) else {
            end(.historyChanged, &output)
            return true
        }
        if case .beginning = phase {
            phase = .following
            return tellHeartbeat(source, now, &output)
        }
        if sentCatalog == nil { send(source.log.catalog, &output) }
        if case .walking(let walk) = phase {
            if isStampNew, now.bootMillis >= heartbeatAt + 100 { return tellHeartbeat(source, now, &output) }
            return self.walk(walk, source, &output) || tellHeartbeat(source, now, &output)
        }
        switch source.log.next(after: position) {
        case .nothing: return tellHeartbeat(source, now, &output)
        case .entry(let entry):
            catchUps = 0
            if let catalog = entry.catalog { send(catalog, &output) }
            for frame in entry.frames {
                frame.withUnsafeBytes { output.frame($0, word: number) }
                number &+= 1
            }
            position = entry.point.sequence
        case .gone: catchUp(source, &output)
        }
        return true
    }

    private mutating func send(_ catalog: SyncCatalog, _ output: inout OutputBuffer) {
        catalog.encodeRules(number: number, into: &output)
        catalog.encodeText(number: number &+ 1, into: &output)
        number &+= 2
        sentCatalog = catalog
    }

    private mutating func catchUp(_ source: some FeedSource, _ output: inout OutputBuffer) {
        if position < source.log.absentRowsLostUpTo {
            return end(.outdated, &output)
        }
        catchUps += 1
        if catchUps > options.catchUpsMax { return end(.tooSlow, &output) }
        phase = .walking(Walk(plan: newPlan(source), after: position))
    }

    /// Sends the next chunk, and after the last one what the edge has then.
    ///
    /// - Returns: false if that must wait until a catalog is in force.
    private mutating func walk(
        _ walk: Walk, _ source: some FeedSource, _ output: inout OutputBuffer
    ) -> Bool {
        if sentCatalog != source.log.catalog { send(source.log.catalog, &output) }
        var walk = walk
        if walk.plan.nextChunk < walk.plan.chunkCount {
            guard tellChunk(walk, source, &output) else { return false }
            walk.plan.nextChunk += 1
        }
        guard walk.plan.nextChunk == walk.plan.chunkCount else {
            phase = .walking(walk)
            return true
        }
        if let after = walk.after {
            let frame = Delta.begin(
                after: after, to: walk.plan.start, hasDigest: false, words: 1, number: number, into: &output)
            frame.end(isLast: true, into: &output)
            number &+= 1
        }
        position = walk.plan.start.sequence
        phase = .following
        // The edge waits for a digest.
        heartbeatAt = 0
        return true
    }

    private mutating func tellChunk(
        _ walk: Walk, _ source: some FeedSource, _ output: inout OutputBuffer
    ) -> Bool {
        let (chunk, words, start) = (walk.plan.nextChunk, source.words, output.count)
        var number = number
        func begin() -> RowsFrame {
            defer { number &+= 1 }
            guard let after = walk.after else {
                return SnapshotChunk.begin(chunk: chunk, words: words, number: number, into: &output)
            }
            return Delta.begin(
                after: after, to: walk.plan.start, hasDigest: false, words: words, number: number, into: &output)
        }
        var frame: RowsFrame?
        let isWhole = source.forEachRow(
            places: walk.plan.places(chunk), after: walk.after ?? 0, by: sentCatalog!
        ) { row in
            if let full = frame, full.isFull {
                full.end(isLast: false, into: &output)
                frame = nil
            }
            if frame == nil { frame = begin() }
            frame!.append(row, into: &output)
        }
        guard isWhole else {
            output.truncate(to: start)
            return false
        }
        if frame == nil, walk.after == nil { frame = begin() }
        frame?.end(isLast: walk.after == nil, into: &output)
        self.number = number
        return true
    }

    private mutating func tellHeartbeat(
        _ source: some FeedSource, _ now: SyncMoment, _ output: inout OutputBuffer
    ) -> Bool {
        guard isStampNew || now.bootMillis >= heartbeatAt + options.heartbeatMillis else { return false }
        // In this order: what the rows are vouched for is in them.
        let vouchedAt = source.vouchedAt
        let head = source.appliedSequence
        var age = Heartbeat.ageUnknown
        // Of this moment, where there is no stamp yet.
        let stampedAt = stamp?.at ?? now.bootMillis
        if vouchedAt != 0 { age = stampedAt > vouchedAt ? stampedAt - vouchedAt : 0 }
        var isFollowing = false
        if case .following = phase { isFollowing = true }
        let isSentKnown = isFollowing && position == source.log.point.sequence && source.log.isDigestKnown
        Heartbeat(
            sent: isSentKnown ? source.log.point : SyncPoint(sequence: position), isSentKnown: isSentKnown, head: head,
            echo: stamp?.value ?? 0, ageMillis: age, time: now.time
        ).encode(number: number, into: &output)
        number &+= 1
        heartbeatAt = now.bootMillis
        isStampNew = false
        return true
    }

    // MARK: The end

    /// Whether the edge has said nothing for too long.
    package func isSilent(at now: SyncMoment) -> Bool { now.bootMillis > heardAt + options.silenceMillis }

    /// Tells the edge why this is the end.
    package mutating func end(_ reason: CutOffReason, _ output: inout OutputBuffer) {
        if case .ended = phase { return }
        phase = .ended
        CutOff(reason, reason.message).encode(number: number, into: &output)
    }
}

extension CutOffReason {
    /// For people.
    package var message: String {
        switch self {
        case .tooSlow: "the edge does not take what it is sent"
        case .silent: "nothing has come from the edge"
        case .draining: "the node drains"
        case .outdated: "what the edge has cannot be brought up to date"
        case .historyChanged: "other rows have taken the place of those that this edge follows"
        }
    }
}
