import ArgumentParser
import ConsentBench
import ConsentEngine
import ConsentKernel
import ConsentModel
import ConsentRegister
import Foundation

struct Bench: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Measure this build, beside a peer or a floor in the same run.",
        discussion: """
            'figures' measures everything, at the size of the targets; 'peer' needs redis-server.

            EXAMPLES
              consentd bench figures
              consentd bench peer --seconds 10
              consentd bench index --identifiers 1000000
            """,
        subcommands: [IndexCase.self, LedgerCase.self, PeerCase.self, DurableCase.self, SyncCase.self, All.self])

    struct Options: ParsableArguments {
        @Flag(help: "Small sizes that only show that everything runs; the figures say nothing.")
        var smoke = false
        @Flag(help: "Print JSON, one figure a line.")
        var json = false
    }

    struct IndexCase: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "index", abstract: "Lookups in one process, beside one dependent memory access.")

        @OptionGroup var options: Options
        @Option(help: "Identifiers in the index.") var identifiers = 10_000_000

        func run() async throws {
            try await measure(options) {
                try await withFolder { folder in
                    try IndexBench(identifiers: options.smoke ? 100_000 : identifiers, folder: folder).run(
                        progress: note)
                }
            }
        }
    }

    struct LedgerCase: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "ledger", abstract: "Import of a register, clean restart, and rebuild of the index.")

        @OptionGroup var options: Options
        @Option(help: "People in the register; the sample has about three identifiers for each.")
        var subjects = 3_400_000

        func run() async throws {
            try await measure(options) {
                try await withFolder { try await ledgerFigures($0, subjects: options.smoke ? 2000 : subjects) }
            }
        }
    }

    struct PeerCase: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "peer",
            abstract: "50 connections, pipelines of 1, 16 and 128, in rounds that alternate with Redis GETBIT.")

        @OptionGroup var options: Options
        @Option(help: "Identifiers, and keys in Redis.") var identifiers = 1_000_000
        @Option(help: "Seconds of a round.") var seconds = 4.0

        func run() async throws {
            try await measure(options) {
                try await withFolder { folder in
                    try await peerFigures(
                        folder, identifiers: options.smoke ? 2000 : identifiers, seconds: options.smoke ? 0.3 : seconds)
                }
            }
        }
    }

    struct DurableCase: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "durable", abstract: "Single durable events from 50 connections without pipeline.")

        @OptionGroup var options: Options
        @Option(help: "Seconds.") var seconds = 8.0

        func run() async throws {
            try await measure(options) {
                try await withFolder { try await durableFigures($0, seconds: options.smoke ? 0.5 : seconds) }
            }
        }
    }

    struct SyncCase: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "sync",
            abstract: "A snapshot, changes on their way to who maps an edge's index, and a breaking revision.")

        @OptionGroup var options: Options
        @Option(help: "Identifiers of the node.") var identifiers = 10_000_000
        @Option(help: "Changes, one each thousandth of a second.") var changes = 20_000

        func run() async throws {
            try await measure(options) {
                try await withFolder { folder in
                    try await syncFigures(
                        folder, identifiers: options.smoke ? 20_000 : identifiers,
                        changes: options.smoke ? 300 : changes)
                }
            }
        }
    }

    struct All: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "figures", abstract: "All of them, one after the other.")

        @OptionGroup var options: Options

        func run() async throws {
            try await measure(options) {
                let isSmall = options.smoke
                var figures = try await withFolder { folder in
                    try IndexBench(identifiers: isSmall ? 100_000 : 10_000_000, folder: folder).run(progress: note)
                }
                figures += try await withFolder {
                    try await peerFigures($0, identifiers: isSmall ? 2000 : 1_000_000, seconds: isSmall ? 0.3 : 4)
                }
                figures += try await withFolder { try await durableFigures($0, seconds: isSmall ? 0.5 : 8) }
                figures += try await withFolder { try await ledgerFigures($0, subjects: isSmall ? 2000 : 3_400_000) }
                figures += try await withFolder {
                    try await syncFigures(
                        $0, identifiers: isSmall ? 20_000 : 10_000_000, changes: isSmall ? 300 : 20_000)
                }
                return figures
            }
        }
    }
}

func note(_ text: String) { Output.error("consentd bench: \(text)") }

private func measure(_ options: Bench.Options, _ body: () async throws -> [Figure]) async throws {
    try await reportingFailures {
        let figures = try await body()
        if options.json {
            for figure in figures {
                Output.json([
                    "name": figure.name, "value": figure.value, "unit": figure.unit,
                    "target": figure.target ?? Output.null,
                    "isFloor": figure.isFloor, "reached": figure.isReached ?? Output.null, "smoke": options.smoke,
                ])
            }
            return
        }
        let rows = figures.map { figure in
            let target = figure.target.map { "\(figure.isFloor ? "at least" : "at most") \(decimal($0))" } ?? ""
            let verdict = options.smoke ? "" : figure.isReached.map { $0 ? "reached" : "NOT REACHED" } ?? ""
            return [figure.name, "\(decimal(figure.value)) \(figure.unit)", target, verdict]
        }
        Output.table([["FIGURE", "MEASURED", "TARGET", options.smoke ? "small run, says nothing" : ""]] + rows)
    }
}

private func decimal(_ value: Double) -> String {
    value >= 1000 ? "\(Int(value.rounded()))" : String(format: value >= 100 ? "%.0f" : "%.2f", value)
}

private func withFolder<Value>(_ body: (String) async throws -> Value) async throws -> Value {
    let folder = try temporaryFolder()
    defer { try? FileManager.default.removeItem(atPath: folder) }
    return try await body(folder)
}

private func temporaryFolder() throws -> String {
    let url = FileManager.default.temporaryDirectory.appending(path: "consentd-bench-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
    return url.path
}

/// Runs this very program with other arguments, and waits.
private func runSelf(_ arguments: [String], in folder: String) async throws -> (seconds: Double, output: String) {
    let start = Clock.monotonicNanos()
    let process = Process()
    let output = Pipe()
    process.executableURL = URL(filePath: try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe"))
    process.arguments = arguments
    process.standardOutput = output
    try process.run()
    let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
    process.waitUntilExit()
    guard process.terminationStatus == 0 else {
        throw Failure(code: Exit.failed, message: "'consentd \(arguments.joined(separator: " "))' failed")
    }
    return (Double(Clock.monotonicNanos() - start) / 1e9, text)
}

/// Starts this very program as a server on a free port.
func startServer(_ data: String, processor: Int?) throws -> (PeerProcess, SocketAddress, readyMillis: Double) {
    let path = try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
    return try startListening(
        ["serve", "--data", data, "--listen", "127.0.0.1:0", "--loops", "1", "--json"], path: path,
        processor: processor)
}

/// Starts this very program as an edge on a free port.
func startEdge(_ data: String, of upstream: SocketAddress) throws -> (PeerProcess, SocketAddress) {
    let path = try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
    let (edge, address, _) = try startListening(
        [
            "edge", "--data", data, "--upstream", "\(upstream)", "--listen", "127.0.0.1:0", "--loops", "1", "--json",
        ], path: path, processor: nil)
    return (edge, address)
}

private func startListening(
    _ arguments: [String], path: String, processor: Int?
) throws -> (PeerProcess, SocketAddress, readyMillis: Double) {
    let server = try PeerProcess(path, arguments, processor: processor)
    let line = try "{" + server.line(after: "{")
    guard let object = try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any],
        let addresses = object["listening"] as? [String],
        let port = addresses.first?.split(separator: ":").last.flatMap({ UInt16($0) })
    else { throw PeerProcess.Failure.notReady("consentd") }
    return (server, .tcp(host: "127.0.0.1", port: port), object["readyMillis"] as? Double ?? 0)
}

private func field(_ name: String, of text: String) -> Double {
    let object = try? JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any]
    return object?[name] as? Double ?? 0
}

private func ledgerFigures(_ folder: String, subjects: Int) async throws -> [Figure] {
    let (data, register) = (folder + "/node", folder + "/register.csv")
    _ = try await runSelf(["init", "--data", data], in: folder)
    _ = try await runSelf(["sample-register", register, "--subjects", "\(subjects)"], in: folder)
    note("importing a register of \(subjects) people")
    let imported = try await runSelf(["import", register, "--data", data, "--json"], in: folder)
    let (server, _, ready) = try startServer(data, processor: nil)
    server.end()
    note("rebuilding")
    let rebuilt = try await runSelf(["rebuild", "--data", data, "--json"], in: folder)
    let identifiers = field("identifiers", of: rebuilt.output)
    let stats = try await runSelf(["stats", "--data", data, "--json"], in: folder)
    return [
        Figure("identifiers in the ledger", identifiers, ""),
        Figure("events in the ledger", field("sequence", of: stats.output), ""),
        .atLeast("import of a CSV", field("eventsPerSecond", of: imported.output), "events/s", 80_000),
        .atMost("clean restart, ready after", ready / 1000, "s", 0.5),
        .atLeast("rebuild from SQLite", identifiers / field("seconds", of: rebuilt.output), "identifiers/s", 1_500_000),
        .atMost(
            "index file, \(Int(identifiers)) identifiers, rebuilt", field("index_size_bytes", of: stats.output) / 1e6,
            "MB", 45 * identifiers / 1e6),
        Figure(
            "ledger per event", field("ledger_size_bytes", of: stats.output) / field("sequence", of: stats.output), "B"),
    ]
}

/// A node whose customers are named as the generator names them, all with a consent to `receipts-by-mail`'s kin: the
/// first consent purpose of the template.
func makeNode(
    _ data: String, identifiers: Int, catalog: String = "template"
) async throws -> (purposeBit: UInt16, revision: RevisionName) {
    let folder = NodeFolder(data)
    _ = try await runSelf(["init", "--data", data, "--catalog", catalog], in: data)
    let engine = try Engine(folder, identifiersExpected: identifiers) { note($0) }
    let catalog = engine.catalog.catalog
    let now = Timestamp(millis: Clock.realtimeMillis())
    guard
        let (purpose, name) = catalog.purposes.lazy.filter({ $0.basis == .consent && $0.minimumAge == nil })
            .compactMap({ purpose in
                catalog.declarations.lazy.compactMap { declaration in
                    declaration.currentRevision(at: now).flatMap {
                        $0.purposes.contains(purpose.id)
                            ? RevisionName(declaration: declaration.id, revision: $0.name) : nil
                    }
                }.first.map { (purpose, $0) }
            }).first
    else { throw Failure(code: Exit.failed, message: "the template has no consent to measure with") }
    for start in stride(from: 0, to: identifiers, by: 4096) {
        let events = try (start..<min(start + 4096, identifiers)).map { number in
            let customer = try Identifier(type: .customer, value: ClosedLoop.Conversation.name(number))
            var event = ConsentEvent(
                identifiers: [customer], purpose: purpose.id, state: number % 3 == 0 ? .refused : .given)
            event.revision = name
            event.language = "nb"
            event.method = .doubleOptIn
            event.isExplicit = true
            return event
        }
        _ = try engine.record(events)
    }
    try engine.close()
    return (UInt16(purpose.bit), name)
}

private func peerFigures(_ folder: String, identifiers: Int, seconds: Double) async throws -> [Figure] {
    note("making a node of \(identifiers) identifiers, and as many keys in Redis")
    let (purposeBit, _) = try await makeNode(folder + "/node", identifiers: identifiers)
    let serverProcessor = System.processorCount > 1 ? 1 : nil
    let (ours, address, _) = try startServer(folder + "/node", processor: serverProcessor)
    defer { ours.end() }
    let redisAddress = SocketAddress.tcp(host: "127.0.0.1", port: try freePort())
    guard case .tcp(_, let port) = redisAddress else { preconditionFailure("made above") }
    let redis = try PeerProcess(
        "redis-server", ["--port", "\(port)", "--save", "", "--appendonly", "no", "--dir", folder],
        processor: serverProcessor)
    defer { redis.end() }
    try redis.waitUntilAccepting(redisAddress)
    try fillRedis(redisAddress, keys: identifiers)

    let generator = ConsentKernel.Thread.pin(toProcessor: 0)
    note(generator ? "generator on processor 0, servers on processor 1" : "the generator could not be pinned")
    var figures: [Figure] = []
    for (pipeline, target) in [(1, 1.2), (16, 3.0), (128, 5.0)] {
        var rounds: [(ours: Round, redis: Round)] = []
        for _ in 0..<3 {
            let checks = ClosedLoop.Conversation.checks(token: [], identifiers: identifiers, purposeBit: purposeBit) {
                $0 % 3 == 0 ? .denied : .granted
            }
            rounds.append(
                (
                    try round(address, ours, checks, pipeline: pipeline, seconds),
                    try round(redisAddress, redis, .redisGetBit(keys: identifiers), pipeline: pipeline, seconds)
                ))
        }
        func median(_ value: ((ours: Round, redis: Round)) -> Double) -> Double {
            rounds.map(value).sorted()[rounds.count / 2]
        }
        let name = "50 connections, \(pipeline == 1 ? "no pipeline" : "pipeline of \(pipeline)")"
        let throughput = rounds.map { $0.ours.perSecond / $0.redis.perSecond }
        figures += [
            Figure("\(name): checks", median { $0.ours.perSecond }, "/s"),
            Figure("\(name): Redis GETBIT", median { $0.redis.perSecond }, "/s"),
            .atLeast("\(name): throughput against Redis", throughput.sorted()[throughput.count / 2], "x", target),
            Figure("\(name): of these, least", throughput.min()!, "x"),
            Figure("\(name): of these, most", throughput.max()!, "x"),
            Figure("\(name): server processor time per check", median { $0.ours.nanos / 1000 }, "µs"),
            Figure("\(name): server processor time per GETBIT", median { $0.redis.nanos / 1000 }, "µs"),
        ]
        let shares = (ours: median { $0.ours.share }, redis: median { $0.redis.share })
        figures += [
            Figure("\(name): processor in use, our server", shares.ours * 100, "%"),
            Figure("\(name): processor in use, Redis", shares.redis * 100, "%"),
        ]
        // Each server has one processor: what it left idle it was not asked for.
        if min(shares.ours, shares.redis) < 0.9 {
            note(
                "\(name): a server was not kept busy; the generator was the limit, or something ran beside: trust "
                    + "processor time more than throughput")
        }
        let processor = median { $0.ours.nanos / $0.redis.nanos }
        let p99 = median { $0.ours.p99 / $0.redis.p99 }
        figures +=
            pipeline == 1
            ? [
                .atMost("\(name): processor time against Redis", processor, "x", 0.8),
                .atMost("\(name): p99 against Redis", p99, "x", 1),
            ]
            : [
                Figure("\(name): processor time against Redis", processor, "x"),
                Figure("\(name): p99 against Redis", p99, "x"),
            ]
    }
    return figures
}

private struct Round {
    var perSecond: Double
    var p99: Double
    /// The server's processor time per answer.
    var nanos: Double

    /// How much of one processor the server used.
    var share: Double { nanos * perSecond / 1e9 }
}

/// - Throws: ``Failure`` if an answer was wrong.
private func round(
    _ address: SocketAddress, _ server: PeerProcess, _ conversation: ClosedLoop.Conversation, pipeline: Int,
    _ seconds: Double
) throws -> Round {
    let before = server.processorNanos
    let result = try ClosedLoop.run(
        address, connections: 50, pipeline: pipeline, seconds: seconds, warmUp: seconds / 4, conversation)
    let nanos = Double(server.processorNanos - before)
    guard result.wrong == 0 else { throw Failure(code: Exit.failed, message: "\(result.wrong) answers were wrong") }
    return Round(
        perSecond: result.perSecond, p99: result.percentile(0.99), nanos: nanos / Double(max(1, result.answersInAll)))
}

private func fillRedis(_ address: SocketAddress, keys: Int) throws {
    let socket = try Socket.connect(address)
    var buffer = [UInt8](repeating: 0, count: 1 << 16)
    for start in stride(from: 0, to: keys, by: 1000) {
        var request = ""
        let end = min(start + 1000, keys)
        for number in start..<end {
            let key = ClosedLoop.Conversation.name(number)
            request += "*4\r\n$6\r\nSETBIT\r\n$\(key.utf8.count)\r\n\(key)\r\n$2\r\n19\r\n$1\r\n1\r\n"
        }
        try socket.write(Array(request.utf8))
        var lines = 0
        while lines < end - start {
            let count = try buffer.withUnsafeMutableBytes { try socket.read(into: $0) }
            lines += buffer[..<count].count { $0 == UInt8(ascii: "\n") }
        }
    }
}

private func durableFigures(_ folder: String, seconds: Double) async throws -> [Figure] {
    let (purposeBit, name) = try await makeNode(folder + "/node", identifiers: 1000)
    let (server, address, _) = try startServer(folder + "/node", processor: nil)
    defer { server.end() }
    note("recording single events")
    let records = ClosedLoop.Conversation.records(
        token: [], purposeBit: purposeBit, declaration: name.declaration, revision: name.revision, language: "nb")
    let result = try ClosedLoop.run(address, connections: 50, seconds: seconds, warmUp: seconds / 8, records)
    guard result.wrong == 0 else {
        throw Failure(code: Exit.failed, message: "\(result.wrong) events were refused")
    }
    return [
        .atLeast("durable single events, 50 connections, no pipeline", result.perSecond, "/s", 20_000),
        Figure("of these, p99 until durable and visible", result.percentile(0.99) / 1000, "ms"),
    ]
}
