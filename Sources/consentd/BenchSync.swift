import ArgumentParser
import ConsentBench
import ConsentCatalog
import ConsentClient
import ConsentEdge
import ConsentEngine
import ConsentIndex
import ConsentKernel
import ConsentModel
import ConsentSync
import ConsentWire
import Foundation
import Synchronization

/// What an edge costs and how far behind it is: a snapshot, changes one each millisecond, and a revision that asks
/// everybody again.
func syncFigures(_ folder: String, identifiers: Int, changes: Int, edges: Int) async throws -> [Figure] {
    benchNote("making a node of \(identifiers) identifiers")
    try makeNode(folder + "/node", identifiers: identifiers)
    let (server, address) = try startListening(["serve", "--data", folder + "/node"])
    defer { server.end() }
    benchNote("taking a snapshot")
    let snapshot = try await snapshotFigures(folder + "/edge", of: address, server)
    var figures = snapshot.figures
    let listening = try ListeningEdges(edges, of: address, history: snapshot.history, from: snapshot.point)
    defer { listening.stop() }
    let (edge, _) = try startListening(["edge", "--data", folder + "/edge", "--upstream", "\(address)"])
    defer { edge.end() }
    let watch = try EnforcementWatch(folder + "/edge")
    var options = ClientOptions()
    options.name = "consentd bench"
    options.requestTimeout = .seconds(600)
    let client = try await ConsentClient.connect(
        to: .tcp(host: "127.0.0.1", port: port(of: address)), options: options)
    try await watch.wait(for: try await client.status().sequence)
    benchNote("recording changes while \(edges + 1) edges follow")
    let many = try await recordChanges(client, server, from: 0, count: max(1, changes / 4), of: identifiers)
    try await watch.wait(for: many.last)
    try await listening.wait(for: many.last)
    let manyNanos = many.processorNanosAChange(server)
    listening.stop()
    benchNote("recording \(changes) changes, one a millisecond")
    let few = try await recordChanges(client, server, from: many.changes.count, count: changes, of: identifiers)
    try await watch.wait(for: few.last)
    let fewNanos = few.processorNanosAChange(server)
    figures += changeFigures(few, watch)
    figures += [
        Figure("server processor time a change, with 1 edge", fewNanos / 1000, "µs"),
        Figure("server processor time a change, with \(edges + 1) edges", manyNanos / 1000, "µs"),
        Figure("of that, for each edge more", (manyNanos - fewNanos) / 1000 / Double(max(1, edges)), "µs"),
    ]
    benchNote("applying a revision that asks everybody again")
    figures += try await revisionFigures(client, watch)
    await client.close()
    watch.stop()
    return figures
}

private func name(_ number: Int) -> String { "bench-\(number)" }

/// Two of three people have agreed to revision 1.0.
private func makeNode(_ data: String, identifiers: Int) throws {
    let folder = NodeFolder(data)
    try folder.create(now: Timestamp(millis: Clock.realtimeMillis()))
    let engine = try Engine(folder, identifiersExpected: identifiers) { benchNote("\($0)") }
    _ = try engine.apply(
        try CatalogDocument(text: benchCatalog(revisions: [("1.0", "2020-01-01T00:00:00Z")]), file: "catalog"))
    for start in stride(from: 0, to: identifiers, by: 4096) {
        let events = try (start..<min(start + 4096, identifiers)).map { number in
            var event = ConsentEvent(
                identifiers: [try Identifier(type: .customer, value: name(number))], purpose: "newsletter",
                state: number % 3 == 0 ? .refused : .given)
            event.revision = RevisionName(declaration: "club", revision: "1.0")
            event.language = "nb"
            event.method = .button
            return event
        }
        _ = try engine.record(events)
    }
    try engine.close()
}

/// Starts this very program as a server or an edge on a free port.
private func startListening(_ arguments: [String]) throws -> (PeerProcess, SocketAddress) {
    let process = try PeerProcess(
        OwnServer.program(), arguments + ["--listen", "127.0.0.1:0", "--loops", "1", "--json"], processor: nil)
    let line = try "{" + process.line(after: "{")
    guard let object = try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any],
        let addresses = object["listening"] as? [String],
        let port = addresses.first?.split(separator: ":").last.flatMap({ UInt16($0) })
    else { throw PeerProcess.Failure.notReady("consentd") }
    return (process, .tcp(host: "127.0.0.1", port: port))
}

private func port(of address: SocketAddress) -> Int {
    if case .tcp(_, let port) = address { Int(port) } else { 0 }
}

/// One purpose on consent, and a declaration whose revisions each ask everybody again.
private func benchCatalog(revisions: [(name: String, effectiveAt: String)]) -> String {
    """
    format: 1
    languages: [nb]
    controllers:
      - {id: club, name: Klubben AS, contact: post@klubben.example}
    recipients:
      - {id: sender, name: Brevduva AB, address: Duvgränd 7, country: SE, category: e-mail}
    dataCategories:
      - {id: contact, name: Contact details}
    purposes:
      - id: newsletter
        bit: 0
        controller: club
        title: {nb: Nyhetsbrev}
        basis: consent
        failPolicy: static
        maxStaleness: PT15M
    declarations:
      - id: club
        revisions:

    """
        + revisions.map { name, effectiveAt in
            """
                  - revision: "\(name)"
                    effectiveAt: \(effectiveAt)
                    purposes: [newsletter]
                    recipients: [sender]
                    retention: two years
                    withdrawal: on the page
                    texts: {nb: {title: Ja, body: Du samtykker til \(name)., plain: Du sier ja.}}

            """
        }.joined()
}

/// Follows within this process, so that each step of the snapshot can be seen.
private func snapshotFigures(
    _ data: String, of address: SocketAddress, _ server: PeerProcess
) async throws -> (figures: [Figure], history: ID16, point: SyncPoint) {
    var options = FollowerOptions(upstream: address)
    options.replica.name = "bench"
    let before = anonymousMegabytes(of: System.processID)
    let serverBefore = anonymousMegabytes(of: server.processID)
    let edge = try EdgeNode(EdgeFolder(data), options, forwards: false) { benchNote($0) }
    let begin = Clock.monotonicNanos()
    var (first, last): (Int64?, Int64?) = (nil, nil)
    var (peak, serverPeak) = (before, serverBefore)
    while edge.whyNotReady != nil {
        let now = Clock.monotonicNanos()
        guard now - begin < 600_000_000_000 else {
            throw Failure(code: Exit.failed, message: "the edge does not become ready: \(edge.whyNotReady ?? "")")
        }
        if case .snapshot(let done, let all) = edge.follower.state.connection {
            if first == nil { first = now }
            if done < all { last = nil } else if last == nil { last = now }
        } else if case .following = edge.follower.state.connection, last == nil {
            last = now
        }
        peak = max(peak, anonymousMegabytes(of: System.processID))
        serverPeak = max(serverPeak, anonymousMegabytes(of: server.processID))
        usleep(1000)
    }
    let ready = Clock.monotonicNanos()
    let (table, state) = (edge.follower.publication.current, edge.follower.state)
    // A row on the wire: tag, sequence and end, two words of bits, place and flags.
    let megabytes = Double(table.rows) * 40 / 1e6
    edge.close()
    let (from, to) = (first ?? begin, last ?? ready)
    let figures = [
        Figure("identifiers in the snapshot", Double(table.rows), ""),
        .atLeast("snapshot over loopback", megabytes / (Double(max(1, to - from)) / 1e9), "MB/s", 400),
        Figure("snapshot, first to last byte", Double(to - from) / 1e9, "s"),
        .atMost("snapshot, ready after the last byte", Double(ready - to) / 1e9, "s", 2),
        Figure("memory beside the mapped rows, edge, more than before", peak - before, "MB"),
        Figure("memory beside the mapped rows, server, more than before", serverPeak - serverBefore, "MB"),
    ]
    return (figures, state.history, state.point)
}

/// What a process holds that is no mapped file.
private func anonymousMegabytes(of process: Int32) -> Double {
    let text = (try? String(contentsOfFile: "/proc/\(process)/status", encoding: .utf8)) ?? ""
    let line = text.split(separator: "\n").first { $0.hasPrefix("RssAnon:") }
    return (line?.split(separator: " ").dropFirst().first.flatMap { Double($0) } ?? 0) / 1000
}

/// Maps an edge's index as any process may, and notes when it came to hold which sequence.
private final class EnforcementWatch: Sendable {
    private let seen = Mutex<[(sequence: UInt64, at: Int64)]>([])
    private let newest = Atomic<UInt64>(0)
    private let isStopping = Atomic(false)
    private let thread = Mutex<ConsentKernel.Thread?>(nil)

    init(_ data: String) throws {
        let key = IdentifierHashKey(bytes: try File.read(data + "/index.key", sizeMax: 64))
        // It is there: this folder has followed before.
        _ = try MappedReader(IndexFolder(data + "/index"), keyCheck: key.check)
        thread.withLock {
            $0 = ConsentKernel.Thread(name: "watch") { [self] in
                guard var reader = try? MappedReader(IndexFolder(data + "/index"), keyCheck: key.check) else { return }
                let nobody = key.hash(.customer, UnsafeRawBufferPointer(start: nil, count: 0))
                while !isStopping.load(ordering: .relaxed) {
                    // Looks at the newest generation too.
                    _ = reader.check(nobody, purposeBit: 0, now: 0)
                    let sequence = reader.appliedSequence
                    if sequence != newest.load(ordering: .relaxed) {
                        let now = Clock.monotonicNanos()
                        seen.withLock { $0.append((sequence, now)) }
                        newest.store(sequence, ordering: .releasing)
                    }
                    usleep(50)
                }
            }
        }
    }

    func stop() {
        isStopping.store(true, ordering: .relaxed)
        thread.withLock { thread in
            defer { thread = nil }
            return thread
        }?.join()
    }

    func wait(for sequence: UInt64) async throws {
        for _ in 0..<600_000 {
            if newest.load(ordering: .acquiring) >= sequence { return }
            try await Task.sleep(for: .milliseconds(1))
        }
        throw Failure(code: Exit.failed, message: "the edge does not come to sequence \(sequence)")
    }

    /// When a sequence was first there; nil if it is not yet.
    func moment(of sequence: UInt64) -> Int64? {
        seen.withLock { seen in
            var (low, high) = (0, seen.count)
            while low < high {
                let middle = (low + high) / 2
                if seen[middle].sequence >= sequence { high = middle } else { low = middle + 1 }
            }
            return low < seen.count ? seen[low].at : nil
        }
    }
}

private struct TimedChange: Sendable {
    var sequence: UInt64
    var sentAt: Int64
    var acknowledgedAt: Int64
}

/// Changes that were recorded one each millisecond, as far as the connection let them.
private struct RecordedChanges {
    var changes: [TimedChange]
    var seconds: Double
    /// Of the server, before them.
    var processorNanosBefore: Int64

    var last: UInt64 { changes.map(\.sequence).max() ?? 0 }

    /// What they have cost the server until now, each.
    func processorNanosAChange(_ server: PeerProcess) -> Double {
        Double(server.processorNanos - processorNanosBefore) / Double(max(1, changes.count))
    }
}

private func recordChanges(
    _ client: ConsentClient, _ server: PeerProcess, from first: Int, count: Int, of identifiers: Int
) async throws -> RecordedChanges {
    let processorNanosBefore = server.processorNanos
    let begin = Clock.monotonicNanos()
    let changes = try await withThrowingTaskGroup(of: TimedChange.self) { group in
        for number in 0..<count {
            let due = begin + Int64(number) * 1_000_000
            let left = due - Clock.monotonicNanos()
            if left > 0 { try await Task.sleep(for: .nanoseconds(left)) }
            let person = try Subject("customer:" + name((first + number) % identifiers))
            group.addTask {
                let sentAt = Clock.monotonicNanos()
                let outcome = try await client.record([.withdrawal(person, purpose: "newsletter")])[0]
                return TimedChange(
                    sequence: outcome.sequence, sentAt: sentAt, acknowledgedAt: Clock.monotonicNanos())
            }
        }
        var all: [TimedChange] = []
        for try await change in group { all.append(change) }
        return all
    }
    return RecordedChanges(
        changes: changes, seconds: Double(Clock.monotonicNanos() - begin) / 1e9,
        processorNanosBefore: processorNanosBefore)
}

private func changeFigures(_ recorded: RecordedChanges, _ watch: EnforcementWatch) -> [Figure] {
    var (afterAcknowledged, afterSent): ([Double], [Double]) = ([], [])
    for change in recorded.changes {
        guard let enforcedAt = watch.moment(of: change.sequence) else { continue }
        afterAcknowledged.append(Double(max(0, enforcedAt - change.acknowledgedAt)) / 1e6)
        afterSent.append(Double(enforcedAt - change.sentAt) / 1e6)
    }
    func quantile(_ values: [Double], _ share: Double) -> Double {
        let sorted = values.sorted()
        return sorted.isEmpty ? 0 : sorted[min(sorted.count - 1, Int(Double(sorted.count) * share))]
    }
    return [
        Figure("changes recorded", Double(recorded.changes.count) / recorded.seconds, "changes/s"),
        Figure("acknowledged → enforced for a mapped reader, p50", quantile(afterAcknowledged, 0.5), "ms"),
        .atMost("acknowledged → enforced for a mapped reader, p99", quantile(afterAcknowledged, 0.99), "ms", 3),
        Figure("sent by the client → enforced for a mapped reader, p50", quantile(afterSent, 0.5), "ms"),
        Figure("sent by the client → enforced for a mapped reader, p99", quantile(afterSent, 0.99), "ms"),
    ]
}

private func revisionFigures(_ client: ConsentClient, _ watch: EnforcementWatch) async throws -> [Figure] {
    let begin = Clock.monotonicNanos()
    let outcome = try await client.applyCatalog(
        benchCatalog(revisions: [
            ("1.0", "2020-01-01T00:00:00Z"), ("2.0", Timestamp(millis: Clock.realtimeMillis()).iso8601),
        ]))
    let applied = Clock.monotonicNanos()
    guard let sequence = outcome.sequence else {
        throw Failure(code: Exit.failed, message: "the revision changes nothing")
    }
    try await watch.wait(for: sequence)
    let enforced = watch.moment(of: sequence) ?? Clock.monotonicNanos()
    return [
        Figure("breaking revision, applied by the node", Double(applied - begin) / 1e9, "s"),
        .atMost(
            "breaking revision, enforced at the edge after that", Double(max(0, enforced - applied)) / 1e9, "s", 10),
    ]
}

struct BenchSync: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "sync",
        abstract: "A snapshot, changes on their way to who maps an edge's index, and a breaking revision.",
        discussion: """
            EXAMPLE
              consentd bench sync --identifiers 1M
            """)

    @Flag(help: "A small size that only shows that it runs; the figures say nothing.")
    var smoke = false
    @Flag(help: "Print JSON, one figure a line.")
    var json = false
    @Option(help: "Identifiers of the node, such as 250k or 10M.")
    var identifiers = SubjectCount(10_000_000)
    @Option(help: "Changes, one each thousandth of a second.")
    var changes = 20_000
    @Option(help: "Edges that follow besides, to tell what each more of them costs.")
    var edges = 200

    func validate() throws {
        if changes < 1 { throw ValidationError("--changes is greater than zero") }
        if !(1...1000).contains(edges) { throw ValidationError("--edges is from 1 to 1000") }
    }

    func run() async throws {
        try await reportingFailures {
            var figures: [Figure] = []
            try await withBenchFolderAwaiting { folder in
                figures = try await syncFigures(
                    folder, identifiers: smoke ? 20_000 : identifiers.value, changes: smoke ? 300 : changes,
                    edges: smoke ? 5 : edges)
            }
            printFigures(figures, smoke: smoke, json: json)
        }
    }
}
