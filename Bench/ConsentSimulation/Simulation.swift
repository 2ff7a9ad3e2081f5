import ConsentModel
import ConsentSync
import ConsentWire

/// A deliberately broken edge, which the simulator must find.
package enum Canary: String, CaseIterable, Sendable {
    /// Answers however old its rows are.
    case failOpen = "fail-open"
    /// Takes every digest for the right one.
    case skipDigest = "skip-digest"
    /// Takes every row for a newer one.
    case skipSequence = "skip-sequence"
}

/// What must never be, and was.
package struct SimulationFailure: Error, CustomStringConvertible {
    package let seed: UInt64
    package let step: Int
    package let what: String
    /// The last steps before it.
    package let trace: [String]

    package var description: String { "seed \(seed), step \(step): \(what)" }
}

/// What a simulation does to its nodes, their disks and what they say to each other.
package enum SimulatedFault: CaseIterable, Sendable {
    case messageLost, messageDoubled, messageCorrupted, messageDelayed, messageCut
    case connectionCut, connectionFrozen, connectionBroken
    case writeFails, edgeKilled, powerLost, timePasses
    case rootRestarted, rootOlder, rootWithoutItsPast, upstreamChanged, edgeStartsOver
}

/// What a run has come to: equal for equal seeds.
package struct SimulationResult: Equatable, Sendable {
    package var steps = 0
    package var answers: UInt64 = 0
    package var snapshots: UInt64 = 0
    package var resumed: UInt64 = 0
    package var mismatches: UInt64 = 0
    package var reconnects: UInt64 = 0
    package var held: UInt64 = 0
    package var kills: UInt64 = 0
    package var faults: [SimulatedFault: Int] = [:]
    /// Over the final state of every node.
    package var digest: UInt64 = 0

    package init() {}

    package static func += (sum: inout SimulationResult, other: SimulationResult) {
        sum.steps += other.steps
        sum.answers += other.answers
        sum.snapshots += other.snapshots
        sum.resumed += other.resumed
        sum.mismatches += other.mismatches
        sum.reconnects += other.reconnects
        sum.held += other.held
        sum.kills += other.kills
        sum.faults.merge(other.faults, uniquingKeysWith: +)
        sum.digest = sum.digest &* 0x9E37_79B9_7F4A_7C15 ^ other.digest
    }
}

/// A whole deployment in one thread: one authoritative node and at times a second one that disagrees, two edges and one
/// behind an edge, the bytes between them, their disks and their clocks. What happens next is drawn from the seed.
///
/// After every step: nothing is answered as granted that was not granted at the answer's sequence or later, nor anything
/// that has not been granted for longer than an answer may be old; no row goes back; nothing is vouched for that is not
/// there; no other history takes the place of what an edge has. When all faults have stopped, every edge comes to hold
/// exactly what its upstream holds.
package final class Simulation {
    /// A connection between an edge and its upstream. Bytes in flight, and bytes that have come but are no whole frame.
    private final class Link {
        let upstream: Int
        var feed: Feed
        var toEdge: [UInt8] = []
        var toUpstream: [UInt8] = []
        var atEdge: [UInt8] = []
        var atUpstream: [UInt8] = []
        /// Open, and nothing moves.
        var isFrozen = false
        /// What is in flight is the last: then the connection breaks.
        var isBreaking = false
        var movedAt: UInt64

        init(_ upstream: Int, _ feed: Feed, at now: UInt64) {
            self.upstream = upstream
            self.feed = feed
            movedAt = now
        }
    }

    private final class Edge {
        let number: Int
        let store: SimulatedStore
        var replica: Replica<SimulatedStore>
        var upstream: Int
        var link: Link?
        /// Of its clock of the boot, beside the true time.
        var clockOffset: UInt64
        var connectsAt: UInt64 = 0
        var restartsAt: UInt64?
        var losesPower = false
        /// Somebody has said that it may take another history.
        var maySwitch = false
        var lineage = 0
        var vouchedSeen: UInt64 = 0

        init(_ number: Int, _ store: SimulatedStore, upstream: Int, clockOffset: UInt64) {
            self.number = number
            self.store = store
            self.upstream = upstream
            self.clockOffset = clockOffset
            replica = Replica(store, ReplicaOptions())
        }
    }

    private let seed: UInt64
    private var dice: Dice
    private let canary: Canary?
    private var now: UInt64 = 100_000
    private var step = 0
    private var hasFaults = true
    private let identifiers: Int
    private var roots: [SimulatedRoot] = []
    private let rootOffsets: [UInt64]
    private var timelines: [Timeline] = []
    /// Which past each authoritative node had, and from when on.
    private var served: [(root: Int, timeline: Timeline, from: UInt64)] = []
    private var edges: [Edge] = []
    private let feedOptions: FeedOptions
    private var output = OutputBuffer(capacity: 8192)
    private var result = SimulationResult()
    private var trace: [String] = []
    private let isTraced: Bool

    private static let rootCount = 2
    private static let silenceMillis: UInt64 = 10_000
    private static let stepsMax = 320
    private static let roundsMax = 900

    package init(seed: UInt64, canary: Canary? = nil, isTraced: Bool = false) {
        self.seed = seed
        self.canary = canary
        self.isTraced = isTraced
        dice = Dice(seed: seed)
        identifiers = 4 + dice.below(8)
        rootOffsets = [1_000_000 + dice.next() % 1_000_000, 9_000_000]
        var options = FeedOptions()
        options.distanceMax = UInt64(6 + dice.below(60))
        options.chunkSize = RowWidth.rowSize(words: 1) * (1 + dice.below(3))
        options.catchUpsMax = 4
        feedOptions = options
        let logSize = 200 + dice.below(3000)
        let history = newHistory()
        let first = Timeline(identifiers: identifiers, history: history, chain: dice.next())
        timelines = [first]
        roots = [SimulatedRoot(first, logSize: logSize)]
        // The other one: a fork of the same past, or a stranger.
        let isStranger = dice.oneIn(2)
        let other =
            isStranger
            ? Timeline(identifiers: identifiers, history: newHistory(), chain: dice.next()) : Timeline(first, upTo: 0)
        timelines.append(other)
        roots.append(SimulatedRoot(other, logSize: logSize))
        served = [(0, first, 0), (1, other, 0)]
        for number in 0..<3 {
            let store = SimulatedStore(identifiers: identifiers, canary: canary)
            edges.append(
                Edge(
                    number, store, upstream: number == 2 ? Self.rootCount : 0, clockOffset: dice.next() % 5_000_000))
        }
    }

    private func newHistory() -> ID16 {
        ID16(bytes: (0..<16).map { _ in UInt8(truncatingIfNeeded: dice.next() | 1) })
    }

    /// Runs to the end.
    ///
    /// - Throws: what must never be.
    package func run() throws(SimulationFailure) -> SimulationResult {
        let steps = Self.stepsMax / 2 + dice.below(Self.stepsMax)
        while step < steps {
            step += 1
            try takeStep()
        }
        try settle()
        result.steps = step
        return result
    }

    private func note(_ what: @autoclosure () -> String) {
        guard isTraced else { return }
        trace.append("step \(step), \(now) ms: \(what())")
        if trace.count > 400 { trace.removeFirst(200) }
    }

    private func failed(_ what: String) -> SimulationFailure {
        SimulationFailure(seed: seed, step: step, what: what, trace: trace)
    }

    private func count(_ fault: SimulatedFault) { result.faults[fault, default: 0] += 1 }

    // MARK: Steps

    private func takeStep() throws(SimulationFailure) {
        now += UInt64(dice.below(80))
        if dice.oneIn(50) { now += UInt64(dice.below(9000)) }
        switch dice.below(20) {
        case 0..<5: changeLedger(dice.oneIn(5) ? 1 : 0)
        case 5..<17: try work(dice.below(edges.count))
        case 17..<19: for edge in edges.indices { try work(edge) }
        default: breakSomething()
        }
    }

    private func changeLedger(_ number: Int) {
        let root = roots[number]
        if root.isBusy {
            root.advance(at: now)
        } else if dice.oneIn(12) {
            root.begin(root.timeline.nextCatalog(chain: dice.next()), [])
            note("root \(number): a catalog")
        } else {
            var changed: [(identifier: Int, wish: Wish?)] = []
            for _ in 0...dice.below(3) {
                let identifier = dice.below(identifiers)
                guard !changed.contains(where: { $0.identifier == identifier }) else { continue }
                // Erased, or something said anew of every purpose.
                if dice.oneIn(6) {
                    guard root.timeline.wishes[identifier] != nil else { continue }
                    changed.append((identifier, nil))
                } else {
                    let yes = dice.next() & Purposes.all
                    changed.append((identifier, Wish(yes: yes, no: dice.next() & Purposes.all & ~yes)))
                }
            }
            guard !changed.isEmpty else { return }
            root.begin(root.timeline.next(changed, chain: dice.next()), changed)
            note("root \(number): sequence \(root.timeline.head + 1), \(changed)")
        }
        root.vouch(at: now + rootOffsets[number])
    }

    private func breakSomething() {
        let edge = edges[dice.below(edges.count)]
        switch dice.below(13) {
        case 0, 1:
            if edge.link != nil { count(.connectionCut) }
            disconnect(edge)
        case 2:
            if edge.link != nil { count(.connectionFrozen) }
            edge.link?.isFrozen = true
        case 3:
            count(.writeFails)
            edge.store.failsAfter = dice.below(12)
        case 4: edge.store.failsAfter = nil
        case 5, 6:
            edge.store.diesAfter = dice.below(30)
            edge.losesPower = dice.oneIn(4)
        case 7: restartRoot()
        case 8:
            // It is pointed to the wrong node, or back.
            if edge !== edges[2] {
                point(edge, to: edge.upstream == 0 && dice.oneIn(3) ? 1 : 0)
                disconnect(edge)
            }
        case 9: if dice.oneIn(3) { startOver(edge) }
        case 10:
            if edge.link != nil { count(.connectionBroken) }
            edge.link?.isBreaking = true
        case 11:
            count(.timePasses)
            now += UInt64(dice.below(30_000))
        default: edge.link?.isFrozen = false
        }
    }

    private func point(_ edge: Edge, to upstream: Int) {
        if upstream != edge.upstream {
            count(.upstreamChanged)
            edge.replica.options.isUpstreamNew = true
        }
        edge.upstream = upstream
    }

    private func startOver(_ edge: Edge) {
        count(.edgeStartsOver)
        edge.replica.options.startsOver = true
        edge.maySwitch = true
        note("somebody lets edge \(edge.number) start over")
    }

    /// It comes back as it was, as an older copy of itself, or with nothing of its past.
    private func restartRoot() {
        let root = roots[0]
        for edge in edges where edge.link?.upstream == 0 { disconnect(edge) }
        let timeline: Timeline
        switch dice.below(6) {
        case 0:
            count(.rootOlder)
            timeline = Timeline(root.timeline, upTo: UInt64(dice.below(Int(root.timeline.head) + 1)))
        case 1:
            count(.rootWithoutItsPast)
            timeline = Timeline(identifiers: identifiers, history: newHistory(), chain: dice.next())
        default:
            count(.rootRestarted)
            timeline = root.timeline
        }
        note("the root restarts: sequence \(root.timeline.head) → \(timeline.head)")
        if timeline !== root.timeline {
            timelines.append(timeline)
            served.append((0, timeline, now))
        }
        root.restart(timeline)
    }

    private func disconnect(_ edge: Edge) {
        guard edge.link != nil else { return }
        edge.link = nil
        edge.replica.disconnect()
        edge.connectsAt = now + UInt64(dice.below(400))
        result.reconnects += 1
    }

    // MARK: One edge's turn

    private func moment(_ edge: Edge) -> SyncMoment {
        SyncMoment(bootMillis: now + edge.clockOffset, time: Timestamp(millis: Int64(dice.below(1 << 40))))
    }

    private func moment(ofUpstream number: Int) -> SyncMoment {
        if number >= Self.rootCount { return moment(edges[number - Self.rootCount]) }
        return SyncMoment(bootMillis: now + rootOffsets[number], time: Timestamp(millis: Int64(now)))
    }

    private func work(_ number: Int) throws(SimulationFailure) {
        let edge = edges[number]
        for number in roots.indices { roots[number].vouch(at: now + rootOffsets[number]) }
        if let at = edge.restartsAt {
            if now >= at { restart(edge) }
        } else if let link = edge.link {
            if !link.isFrozen { try move(edge, link) }
            if edge.link === link { tick(edge, link) }
        } else if now >= edge.connectsAt, isReachable(edge.upstream) {
            connect(edge)
        }
        if edge.store.isDead, edge.restartsAt == nil { die(edge, number) }
        try check(edge, number)
    }

    private func isReachable(_ upstream: Int) -> Bool {
        upstream < Self.rootCount || edges[upstream - Self.rootCount].restartsAt == nil
    }

    private func connect(_ edge: Edge) {
        note("edge \(edge.number) connects to upstream \(edge.upstream)")
        let link = Link(edge.upstream, Feed(feedOptions, at: moment(ofUpstream: edge.upstream)), at: now)
        edge.link = link
        edge.store.beginConnection()
        edge.replica.connect(at: moment(edge), into: &output)
        link.toUpstream = Array(output.bytes)
        output.clear()
    }

    private func die(_ edge: Edge, _ number: Int) {
        note("edge \(number) is killed")
        result.kills += 1
        count(edge.losesPower ? .powerLost : .edgeKilled)
        disconnect(edge)
        for other in edges where other.link?.upstream == number + Self.rootCount { disconnect(other) }
        edge.restartsAt = now + UInt64(dice.below(3000))
    }

    private func restart(_ edge: Edge) {
        edge.restartsAt = nil
        edge.store.restart(afterPowerLoss: edge.losesPower)
        if edge.losesPower { edge.clockOffset = dice.next() % 5_000_000 }
        edge.losesPower = false
        let options = edge.replica.options
        edge.replica = Replica(edge.store, options)
    }

    private func tick(_ edge: Edge, _ link: Link) {
        if let end = edge.replica.tick(at: moment(edge), into: &output) {
            output.clear()
            note("edge \(edge.number) ends: \(end)")
            return disconnect(edge)
        }
        link.toUpstream.append(contentsOf: output.bytes)
        output.clear()
    }

    /// Bytes in flight arrive, some or all of them; both sides take the frames that are whole, and say what they have to say.
    private func move(_ edge: Edge, _ link: Link) throws(SimulationFailure) {
        carry(&link.toUpstream, to: &link.atUpstream)
        takeAtUpstream(edge, link)
        guard edge.link === link else { return }
        tell(link)
        carry(&link.toEdge, to: &link.atEdge)
        try takeAtEdge(edge, link)
        guard edge.link === link else { return }
        let upstreamNow = moment(ofUpstream: link.upstream)
        if link.isBreaking, link.toEdge.isEmpty || dice.oneIn(3) { return disconnect(edge) }
        if link.feed.isSilent(at: upstreamNow) || now > link.movedAt + Self.silenceMillis { disconnect(edge) }
    }

    private func carry(_ flying: inout [UInt8], to arrived: inout [UInt8]) {
        guard !flying.isEmpty else { return }
        let count = hasFaults && dice.oneIn(2) ? 1 + dice.below(flying.count) : flying.count
        arrived.append(contentsOf: flying[..<count])
        flying.removeFirst(count)
    }

    private func withUpstream(_ number: Int, _ body: (any FeedSource) -> Void) {
        if number < Self.rootCount { body(roots[number]) } else { body(edges[number - Self.rootCount].store) }
    }

    private func takeAtUpstream(_ edge: Edge, _ link: Link) {
        var taken = 0
        var isBroken = false
        let now = moment(ofUpstream: link.upstream)
        withUpstream(link.upstream) { source in
            link.atUpstream.withUnsafeMutableBytes { buffer in
                scan: while !isBroken {
                    switch scanFrame(UnsafeMutableRawBufferPointer(rebasing: buffer[taken...])) {
                    case .incomplete: break scan
                    case .broken: isBroken = true
                    case .frame(let frame):
                        taken += frame.size
                        do throws(WireError) {
                            try link.feed.receive(frame, source, at: now, into: &output)
                        } catch {
                            ErrorAnswer(error).encode(request: frame.request, into: &output)
                            if error.code.closesConnection { link.isBreaking = true }
                        }
                    }
                }
            }
        }
        link.atUpstream.removeFirst(taken)
        send(link)
        if isBroken { disconnect(edge) }
    }

    private func tell(_ link: Link) {
        // A slow edge is told nothing more until it has taken what is in flight.
        guard link.toEdge.count < 1500, !link.feed.isEnded else { return }
        let now = moment(ofUpstream: link.upstream)
        withUpstream(link.upstream) { source in
            for _ in 0...dice.below(4) {
                guard link.feed.tell(source, at: now, into: &output) else { break }
            }
        }
        send(link)
        if link.feed.isEnded { link.isBreaking = true }
    }

    /// What the upstream has written goes on its way, frame by frame, and not all of it as it was.
    private func send(_ link: Link) {
        guard !output.isEmpty else { return }
        var rest = Array(output.bytes)[...]
        output.clear()
        var heldBack: [UInt8] = []
        while !rest.isEmpty {
            let size =
                Int(rest[rest.startIndex]) | Int(rest[rest.startIndex + 1]) << 8
                | Int(rest[rest.startIndex + 2]) << 16
            var frame = Array(rest.prefix(size + 4))
            rest = rest.dropFirst(size + 4)
            guard hasFaults, dice.oneIn(60) else {
                link.toEdge += frame + heldBack
                heldBack = []
                continue
            }
            switch dice.below(5) {
            case 0:
                note("a message is lost")
                count(.messageLost)
            case 1:
                count(.messageDoubled)
                link.toEdge += frame + frame
            case 2:
                count(.messageCorrupted)
                frame[dice.below(frame.count)] ^= UInt8(1 << dice.below(8))
                link.toEdge += frame
            case 3:
                count(.messageDelayed)
                heldBack = frame
            default:
                count(.messageCut)
                link.toEdge += frame.prefix(dice.below(frame.count))
                link.isBreaking = true
            }
        }
        link.toEdge += heldBack
    }

    private func takeAtEdge(_ edge: Edge, _ link: Link) throws(SimulationFailure) {
        var taken = 0
        var isBroken = false
        var failure: SimulationFailure?
        var arrived = link.atEdge
        link.atEdge = []
        let now = moment(edge)
        arrived.withUnsafeMutableBytes { buffer in
            scan: while !isBroken, failure == nil, !edge.store.isDead {
                switch scanFrame(UnsafeMutableRawBufferPointer(rebasing: buffer[taken...])) {
                case .incomplete: break scan
                case .broken: isBroken = true
                case .frame(let frame):
                    taken += frame.size
                    link.movedAt = self.now
                    if canary == .skipDigest { edge.store.digestSaid = Self.digest(in: frame) }
                    let before = (edge.store.history, edge.store.live.point)
                    let end = edge.replica.receive(frame, at: now, into: &output)
                    edge.store.digestSaid = nil
                    failure = checkTakingOver(edge, link, before)
                    tellOnward(edge)
                    if let end {
                        note("edge \(edge.number) ends: \(end)")
                        if case .held = end { result.held += 1 }
                        isBroken = true
                    }
                }
            }
        }
        if let failure { throw failure }
        arrived.removeFirst(taken)
        link.atEdge = arrived
        link.toUpstream.append(contentsOf: output.bytes)
        output.clear()
        if isBroken { disconnect(edge) }
    }

    private static func digest(in frame: Frame) -> UInt64? {
        switch Opcode(rawValue: frame.opcode) {
        case .delta: (try? Delta(frame)).flatMap { $0.hasDigest ? $0.point.digest : nil }
        case .heartbeat: (try? Heartbeat(frame)).flatMap { $0.isSentKnown ? $0.sent.digest : nil }
        default: nil
        }
    }

    private func tellOnward(_ edge: Edge) {
        if let entries = edge.replica.takeOnward() {
            for entry in entries { edge.store.log.append(entry) }
        } else {
            edge.store.log.reset(
                to: edge.store.live.point, isDigestKnown: edge.replica.verifiedSequence != nil,
                catalog: edge.store.live.catalog)
        }
        if let sequence = edge.replica.verifiedSequence { edge.store.log.confirm(sequence) }
    }

    // MARK: What must never be

    /// A snapshot may only take the place of rows of its own past, unless somebody said so; or of an upstream that is an
    /// edge itself, which does not know the past.
    private func checkTakingOver(
        _ edge: Edge, _ link: Link, _ before: (history: ID16, point: SyncPoint)
    ) -> SimulationFailure? {
        guard edge.store.lineage != edge.lineage else { return nil }
        edge.lineage = edge.store.lineage
        result.snapshots += 1
        note(
            "edge \(edge.number) takes a snapshot over from upstream \(link.upstream): \(before.point) → \(edge.store.live.point)"
        )
        defer { edge.maySwitch = false }
        guard before.history != .zero, !edge.maySwitch else { return nil }
        if edge.store.history != before.history { return failed("another history has taken over by itself") }
        let after = edge.store.live.point
        let isOnePast = timelines.contains {
            $0.contains(sequence: before.point.sequence, chain: before.point.chain)
                && $0.contains(sequence: after.sequence, chain: after.chain)
        }
        return isOnePast || link.upstream >= Self.rootCount ? nil : failed("another past has taken over by itself")
    }

    private func check(_ edge: Edge, _ number: Int) throws(SimulationFailure) {
        let store = edge.store
        guard store.history != .zero else { return }
        let point = (sequence: store.live.sequence, chain: store.live.chain)
        let pasts = timelines.filter {
            $0.history == store.history && $0.contains(sequence: point.sequence, chain: point.chain)
        }
        if store.hasGoneBack { throw failed("edge \(number): a row goes back") }
        try checkVouching(edge, number, pasts, point.sequence)
        let bootMillis = now + edge.clockOffset
        for identifier in 0..<identifiers {
            var answered: UInt64 = 0
            let grants = store.live.grants(identifier)
            for bit in 0..<Purposes.count where grants >> UInt64(bit) & 1 == 1 {
                if store.mayAnswer(bit, at: bootMillis) { answered |= 1 << UInt64(bit) }
            }
            guard answered != 0 else { continue }
            result.answers += 1
            var allowed: UInt64 = 0
            for past in pasts {
                for bit in 0..<Purposes.count {
                    let oldest = past.sequence(at: now - min(now, Purposes.ageMax[bit]))
                    allowed |= past.grantedSince(max(point.sequence, oldest), identifier) & 1 << UInt64(bit)
                }
            }
            if answered & ~allowed != 0 {
                throw failed(
                    "edge \(number) answers at sequence \(point.sequence) that \(identifier) grants \(answered), of which only \(allowed) was granted then or since"
                )
            }
        }
    }

    private func checkVouching(
        _ edge: Edge, _ number: Int, _ pasts: [Timeline], _ sequence: UInt64
    ) throws(SimulationFailure) {
        let vouched = edge.store.vouchedAt
        guard vouched != edge.vouchedSeen else { return }
        edge.vouchedSeen = vouched
        note("edge \(number) is vouched for at \(Int64(vouched) - Int64(edge.clockOffset)) ms, sequence \(sequence)")
        guard vouched != 0 else { return }
        guard vouched <= now + edge.clockOffset else {
            throw failed("edge \(number) vouches for a moment that is not yet")
        }
        // What was so before the beginning was nothing.
        guard vouched >= edge.clockOffset else { return }
        let moment = vouched - edge.clockOffset
        let isTrue = served.enumerated().contains { position, service in
            let until = served[(position + 1)...].first { $0.root == service.root }?.from ?? .max
            // An earlier moment than it could have vouched for is only more careful.
            guard moment <= until else { return false }
            let then = service.timeline.sequence(at: moment)
            let chain = service.timeline.chains[Int(then)]
            return sequence >= then
                && pasts.contains {
                    $0.history == service.timeline.history && $0.contains(sequence: then, chain: chain)
                }
        }
        if !isTrue {
            throw failed(
                "edge \(number) vouches at \(moment) for what it does not have (sequence \(sequence) of \(pasts.count) pasts; upstream \(edge.upstream); roots at \(roots.map { $0.timeline.sequence(at: moment) }))"
            )
        }
    }

    // MARK: The end of all faults

    private func settle() throws(SimulationFailure) {
        hasFaults = false
        note("the faults stop")
        for root in roots { while root.isBusy { root.advance(at: now) } }
        for (number, edge) in edges.enumerated() {
            point(edge, to: number == 2 ? Self.rootCount : 0)
            edge.store.failsAfter = nil
            edge.store.diesAfter = nil
            if let link = edge.link, link.upstream != edge.upstream || link.isFrozen { disconnect(edge) }
        }
        for _ in 0..<Self.roundsMax {
            step += 1
            now += 60
            for number in edges.indices {
                try work(number)
                if case .held = edges[number].replica.lastEnd { startOver(edges[number]) }
            }
            if hasConverged { return finish() }
        }
        throw failed("the edges do not come to agree: \(edges.map { "\($0.store.live.point), \($0.replica.phase)" })")
    }

    private var hasConverged: Bool {
        let root = roots[0]
        return edges.allSatisfy { edge in
            edge.store.history == root.history && edge.replica.verifiedSequence == root.table.sequence
                && edge.store.live.point == root.table.point && edge.store.live.rows == root.table.rows
                && edge.store.live.granted == root.table.granted && edge.store.live.denied == root.table.denied
                && edge.store.mayAnswer(0, at: now + edge.clockOffset)
        }
    }

    private func finish() {
        for edge in edges {
            result.resumed += edge.replica.counters.snapshotsResumed
            result.mismatches += edge.replica.counters.mismatches
            result.digest = result.digest &* 31 ^ edge.store.live.point.digest ^ edge.replica.counters.deltas
        }
    }
}
