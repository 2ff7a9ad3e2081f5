import ConsentIndex
import ConsentKernel
import ConsentModel
import ConsentTestSupport
import ConsentWire
import Foundation
import Synchronization

/// One authoritative node, three edges, and one edge behind an edge, all as real processes, with faults in between:
///
///     authoritative ── proxy ── edge 1 ── proxy ── edge 4
///                   ├─ proxy ── edge 2
///                   └─ proxy ── edge 3
final class Soak {
    struct Options {
        var seed: UInt64
        var seconds: Double
        var binary: String
        var folder: String
    }

    static let subjects = 200
    /// Purpose 0 fails closed, 1 may be stale.
    static let staleSeconds = 10
    static let behindMillisMax: [Int: Int64] = [0: 5_000, 1: Int64(staleSeconds) * 1_000]

    private let options: Options
    private var random: SeededGenerator
    private let authoritative: Node
    private var edges: [Node] = []
    private var proxies: [FaultProxy] = []
    private let shared = Shared()

    /// What the threads have in common.
    final class Shared: Sendable {
        let oracle = Oracle(behindMillisMax: Soak.behindMillisMax)
        let isStopping = Atomic(false)
        let isWriting = Atomic(true)
        let counts = Mutex<[String: Int]>([:])
        let violations = Mutex<[String]>([])

        func count(_ name: String, _ more: Int = 1) { counts.withLock { $0[name, default: 0] += more } }
        func count(of name: String) -> Int { counts.withLock { $0[name] ?? 0 } }
    }

    init(_ options: Options) throws {
        self.options = options
        random = SeededGenerator(seed: options.seed)
        let (data, address) = (options.folder + "/authoritative", try freeAddress())
        try FileManager.default.createDirectory(atPath: options.folder, withIntermediateDirectories: true)
        let catalog = SampleCatalog([
            SampleCatalog.PurposeLines("p0", bit: 0),
            SampleCatalog.PurposeLines(
                "p1", bit: 1, "failPolicy: static", "maxStaleness: PT\(Self.staleSeconds)S"),
        ])
        try Data(catalog.text.utf8).write(to: URL(filePath: options.folder + "/catalog.yaml"))
        try runCommand(options.binary, ["init", "--data", data, "--catalog", options.folder + "/catalog.yaml"])
        authoritative = Node(
            "authoritative", binary: options.binary, data: data, address: address,
            ["serve", "--data", data, "--listen", "\(address)", "--loops", "1"])
        for number in 1...4 {
            let upstream = number == 4 ? edges[0].address : address
            let proxy = try FaultProxy(to: upstream, seed: random.next())
            proxies.append(proxy)
            let (folder, address) = (options.folder + "/edge-\(number)", try freeAddress())
            edges.append(
                Node(
                    "edge-\(number)", binary: options.binary, data: folder, address: address,
                    [
                        "edge", "--data", folder, "--upstream", "\(proxy.address)", "--listen", "\(address)",
                        "--name", "edge-\(number)", "--loops", "1",
                    ]))
        }
    }

    /// - Throws: what went wrong, in words.
    func run() throws {
        try authoritative.start()
        for edge in edges { try edge.start() }
        defer {
            shared.isStopping.store(true, ordering: .releasing)
            for node in edges + [authoritative] { node.kill() }
        }
        var threads = [writer()]
        for (number, edge) in edges.enumerated() {
            threads.append(checker(edge.name, edge.address, seed: random.next(), asksMany: number % 2 == 1))
            threads.append(mapper(edge.name, edge.data, seed: random.next()))
        }
        defer {
            shared.isStopping.store(true, ordering: .releasing)
            for thread in threads { thread.join() }
            for proxy in proxies { proxy.stop() }
        }
        try awaitConvergence(seconds: 30, "at the beginning")
        try injectFaults()
        try heal()
        shared.isWriting.store(false, ordering: .releasing)
        try awaitConvergence(seconds: 60, "after the faults")
        try requireNoViolation()
        let answered = shared.count(of: "live") + shared.count(of: "stale")
        guard answered > 100, shared.count(of: "acknowledged") > 50 else {
            throw SoakFailure("too little happened to say anything: \(summary)")
        }
    }

    var summary: String {
        let counts = shared.counts.withLock { $0 }
        return counts.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value)" }.joined(separator: ", ")
    }

    /// What the edges counted, for people.
    var edgeCounters: String {
        let names = [
            "edge_connects", "edge_snapshots", "edge_snapshots_resumed", "edge_damaged_messages", "edge_gaps",
            "edge_silences", "edge_digest_mismatches",
        ]
        var sums: [String: UInt64] = [:]
        for edge in edges {
            guard let values = try? WireClient(edge.address).statistics() else { continue }
            for name in names { sums[name, default: 0] += values[name] ?? 0 }
        }
        return names.map { "\($0) \(sums[$0] ?? 0)" }.joined(separator: ", ")
    }

    // MARK: Faults

    private func injectFaults() throws {
        let end = Clock.monotonicNanos() + Int64(options.seconds * 1e9)
        var reported = Clock.monotonicNanos()
        while Clock.monotonicNanos() < end {
            try injectOne()
            try requireNoViolation()
            for node in edges + [authoritative] where node.hasEnded {
                throw SoakFailure("\(node.name) ended by itself:\n\(node.lastLines)")
            }
            if Clock.monotonicNanos() - reported > 10_000_000_000 {
                reported = Clock.monotonicNanos()
                let left = Int((end - reported) / 1_000_000_000)
                FileHandle.standardError.write(Data("soak: \(max(0, left)) s left; \(summary)\n".utf8))
            }
        }
    }

    private func injectOne() throws {
        let position = random.below(proxies.count)
        let proxy = proxies[position]
        let millis = Int32(200 + random.below(2_000))
        func during(_ fault: FaultProxy.Fault, _ name: String, millis: Int32) {
            shared.count("fault \(name)")
            proxy.set(fault)
            Wakeup.pause(millis: millis)
            proxy.set(.none)
        }
        switch random.below(12) {
        case 0, 1: during(.delay(millis: Int32(5 + random.below(200))), "delay", millis: millis)
        case 2, 3: during(.cut, "cut", millis: millis / 2)
        // Long enough that answers become stale, or unavailable.
        case 4: during(.blackHole, "black hole", millis: random.oneIn(3) ? millis * 6 : millis)
        case 5, 6: during(.corrupt(oneIn: UInt64(100 + random.below(20_000))), "corrupt", millis: millis)
        case 7, 8: try restart(edges[position], "kill edge", millis: millis)
        case 9: try restart(authoritative, "kill authoritative", millis: millis)
        case 10:
            // Several at once.
            shared.count("fault all cut")
            for proxy in proxies { proxy.set(.cut) }
            Wakeup.pause(millis: millis)
            for proxy in proxies { proxy.set(.none) }
        default: Wakeup.pause(millis: millis)
        }
        Wakeup.pause(millis: Int32(random.below(800)))
    }

    private func restart(_ node: Node, _ name: String, millis: Int32) throws {
        shared.count("fault \(name)")
        node.kill()
        Wakeup.pause(millis: millis / 2)
        try node.start()
    }

    private func heal() throws {
        for proxy in proxies { proxy.set(.none) }
        for node in edges + [authoritative] where !node.isRunning { try node.start() }
    }

    private func requireNoViolation() throws {
        if let first = shared.violations.withLock({ $0.first }) { throw SoakFailure(first) }
    }

    /// Waits until all edges are ready and hold what the authoritative node holds.
    private func awaitConvergence(seconds: Int, _ moment: String) throws {
        let end = Clock.monotonicNanos() + Int64(seconds) * 1_000_000_000
        var last = ""
        while Clock.monotonicNanos() < end {
            Wakeup.pause(millis: 100)
            try requireNoViolation()
            let nodes = [authoritative] + edges
            let statuses = nodes.map { try? WireClient($0.address).status() }
            last = zip(nodes, statuses).map { node, status in
                guard let status else { return "\(node.name) does not answer" }
                return "\(node.name) \(status.sequence) \(String(status.digest, radix: 16)) \(status.notReady)"
            }.joined(separator: "\n")
            guard let head = statuses[0] else { continue }
            // While the writer writes, all that can be asked for is that all are near.
            let isWriting = shared.isWriting.load(ordering: .acquiring)
            let areThere = statuses.allSatisfy { status in
                guard let status, status.isReady else { return false }
                return isWriting
                    ? status.sequence + 1000 > head.sequence
                    : status.sequence == head.sequence && status.digest == head.digest && status.history == head.history
            }
            if areThere, isWriting || shared.count(of: "writers done") == 1 { return }
        }
        throw SoakFailure("the nodes do not agree \(moment):\n\(last)")
    }

    // MARK: Threads

    /// Grants and withdraws, one batch after the other, each asked again until it is acknowledged.
    private func writer() -> ConsentKernel.Thread {
        let (shared, address, seed) = (shared, authoritative.address, random.next())
        return ConsentKernel.Thread(name: "writer") {
            var random = SeededGenerator(seed: seed)
            var client: WireClient?
            while shared.isWriting.load(ordering: .acquiring), !shared.isStopping.load(ordering: .acquiring) {
                var chosen: Set<Oracle.Key> = []
                for _ in 0..<(1 + random.below(8)) {
                    chosen.insert(Oracle.Key(subject: random.below(Soak.subjects), purposeBit: random.below(2)))
                }
                let batch = chosen.map {
                    ($0, random.oneIn(2), IdempotencyKey(high: random.next() | 1, low: random.next()))
                }
                for (key, isGrant, _) in batch { shared.oracle.send(key, isGrant: isGrant) }
                let messages = batch.map { Soak.message($0, isGrant: $1, $2) }
                var isDone = false
                while !isDone, !shared.isStopping.load(ordering: .acquiring) {
                    do {
                        if client == nil { client = try WireClient(address) }
                        let recorded = try client!.record(messages)
                        for ((key, _, _), outcome) in zip(batch, recorded.outcomes) {
                            if let refusal = outcome.refusal {
                                shared.violations.withLock {
                                    $0.append("an event was refused: \(refusal) \(outcome.message)")
                                }
                            }
                            shared.oracle.acknowledge(key, sequence: outcome.sequence)
                        }
                        shared.count("acknowledged", batch.count)
                        isDone = true
                    } catch {
                        client = nil
                        shared.count("writes repeated")
                        Wakeup.pause(millis: 50)
                    }
                }
                // Two acts of one person at one moment would not say which came last.
                Wakeup.pause(millis: Int32(3 + random.below(12)))
            }
            shared.count("writers done")
        }
    }

    private static func message(_ key: Oracle.Key, isGrant: Bool, _ idempotency: IdempotencyKey) -> EventMessage {
        let (customer, purpose) = ("s\(key.subject)", "p\(key.purposeBit)")
        var event =
            isGrant
            ? sampleGrant(customer: customer, purpose: purpose)
            : ConsentEvent([.customer(customer)], purpose, .withdrawn)
        event.key = idempotency
        return EventMessage(event, purposeBit: UInt16(key.purposeBit))
    }

    /// Asks an edge over the wire without end, and has every answer judged.
    private func checker(_ name: String, _ address: SocketAddress, seed: UInt64, asksMany: Bool) -> ConsentKernel.Thread
    {
        let shared = shared
        return ConsentKernel.Thread(name: "checker") {
            var random = SeededGenerator(seed: seed)
            var client: WireClient?
            while !shared.isStopping.load(ordering: .acquiring) {
                do {
                    if client == nil { client = try WireClient(address) }
                    let bit = random.below(2)
                    let asked =
                        asksMany ? (0..<20).map { _ in random.below(Soak.subjects) } : [random.below(Soak.subjects)]
                    let begin = Clock.monotonicNanos()
                    var decisions: [Decision] = []
                    let (freshness, sequence): (Freshness, UInt64)
                    if asksMany {
                        let set = try client!.check(asked.map { "s\($0)" }, purposeBit: UInt16(bit))
                        decisions = asked.indices.map { set.decision($0) }
                        (freshness, sequence) = (set.freshness, set.sequence)
                    } else {
                        let checked = try client!.check("s\(asked[0])", purposeBit: UInt16(bit))
                        decisions = [checked.decision]
                        (freshness, sequence) = (checked.freshness, checked.sequence)
                    }
                    let end = Clock.monotonicNanos()
                    for (subject, decision) in zip(asked, decisions) {
                        Soak.judge(
                            shared, "\(name), asked over the wire", Oracle.Key(subject: subject, purposeBit: bit),
                            Oracle.Seen(
                                decision: decision, freshness: freshness, sequence: sequence, askedAt: begin,
                                answeredAt: end))
                    }
                    Wakeup.pause(millis: 2)
                } catch {
                    client = nil
                    Wakeup.pause(millis: 30)
                }
            }
        }
    }

    /// Maps an edge's index as any process may, and has every answer judged.
    private func mapper(_ name: String, _ data: String, seed: UInt64) -> ConsentKernel.Thread {
        let shared = shared
        return ConsentKernel.Thread(name: "mapper") {
            var random = SeededGenerator(seed: seed)
            while !shared.isStopping.load(ordering: .acquiring) {
                guard let bytes = try? File.read(data + "/index.key", sizeMax: 64),
                    bytes.count == IdentifierHashKey.size
                else {
                    Wakeup.pause(millis: 20)
                    continue
                }
                let key = IdentifierHashKey(bytes: bytes)
                guard var reader = try? MappedReader(IndexFolder(data + "/index"), keyCheck: key.check) else {
                    Wakeup.pause(millis: 20)
                    continue
                }
                for _ in 0..<100 where !shared.isStopping.load(ordering: .acquiring) {
                    let asked = Oracle.Key(subject: random.below(Soak.subjects), purposeBit: random.below(2))
                    let hash = key.hash(.customer("s\(asked.subject)"))
                    let begin = Clock.monotonicNanos()
                    let answer = reader.check(
                        hash, purposeBit: asked.purposeBit, now: UInt32(clamping: Clock.realtimeMillis() / 1000))
                    Soak.judge(
                        shared, "\(name), from its mapped index", asked,
                        Oracle.Seen(
                            decision: answer.answer.decision, freshness: answer.freshness, sequence: nil,
                            askedAt: begin, answeredAt: Clock.monotonicNanos()))
                    Wakeup.pause(millis: 2)
                }
            }
        }
    }

    private static func judge(_ shared: Shared, _ whence: String, _ key: Oracle.Key, _ seen: Oracle.Seen) {
        shared.count("\(seen.freshness)")
        guard let why = shared.oracle.judge(key, seen) else { return }
        shared.violations.withLock { $0.append("\(whence), about s\(key.subject) and p\(key.purposeBit): \(why)") }
    }
}
