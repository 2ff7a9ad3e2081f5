import ConsentKernel
import ConsentModel
import Foundation

/// One figure of ours beside a peer's or a floor's in the same run.
package struct ComparisonCase: Codable, Sendable {
    /// Of ``ComparisonRow``; nil for what no row asks for.
    package var row: Int?
    package var name: String
    package var unit: String
    package var ours: Double?
    package var peerName: String
    package var peer: Double?
    /// The median of the rounds, turned so that larger is better for us.
    package var ratio: Double?
    package var least: Double?
    package var most: Double?
    /// At least this ratio; nil where nothing was aimed at.
    package var target: Double?
    /// Why it was not run; nil if it was.
    package var reason: String?

    package var isReached: Bool? {
        guard let target, let ratio else { return nil }
        return ratio >= target
    }

    private enum CodingKeys: String, CodingKey {
        case row, name, unit, ours, peerName, peer, ratio, least, most, target, reason, reached
    }

    package init(row: Int?, name: String, unit: String, peerName: String, target: Double?) {
        self.row = row
        self.name = name
        self.unit = unit
        self.peerName = peerName
        self.target = target
    }

    package init(from decoder: any Decoder) throws {
        let values = try decoder.container(keyedBy: CodingKeys.self)
        row = try values.decodeIfPresent(Int.self, forKey: .row)
        name = try values.decode(String.self, forKey: .name)
        unit = try values.decode(String.self, forKey: .unit)
        ours = try values.decodeIfPresent(Double.self, forKey: .ours)
        peerName = try values.decode(String.self, forKey: .peerName)
        peer = try values.decodeIfPresent(Double.self, forKey: .peer)
        ratio = try values.decodeIfPresent(Double.self, forKey: .ratio)
        least = try values.decodeIfPresent(Double.self, forKey: .least)
        most = try values.decodeIfPresent(Double.self, forKey: .most)
        target = try values.decodeIfPresent(Double.self, forKey: .target)
        reason = try values.decodeIfPresent(String.self, forKey: .reason)
    }

    /// Every field of every case: null where there is nothing.
    package func encode(to encoder: any Encoder) throws {
        var values = encoder.container(keyedBy: CodingKeys.self)
        try values.encode(row, forKey: .row)
        try values.encode(name, forKey: .name)
        try values.encode(unit, forKey: .unit)
        try values.encode(ours, forKey: .ours)
        try values.encode(peerName, forKey: .peerName)
        try values.encode(peer, forKey: .peer)
        try values.encode(ratio, forKey: .ratio)
        try values.encode(least, forKey: .least)
        try values.encode(most, forKey: .most)
        try values.encode(target, forKey: .target)
        try values.encode(reason, forKey: .reason)
        try values.encode(isReached, forKey: .reached)
    }
}

/// What is compared; each row has one case or several.
package enum ComparisonRow: Int, CaseIterable, Sendable {
    case noPipeline = 1
    case pipeline16
    case pipeline128
    case thousandPerFrame
    case oneAtATime
    case oneAtATimeSpinning
    case openLoop
    case mappedCheck
    case mappedBatch
    case growth
    case durable
    case durablePipelined
    case memory
    case rebuild

    package var title: String {
        switch self {
        case .noPipeline: "50 connections, no pipeline"
        case .pipeline16: "50 connections, pipeline of 16"
        case .pipeline128: "50 connections, pipeline of 128"
        case .thousandPerFrame: "1,000 identifiers in a request"
        case .oneAtATime: "one connection, one request at a time, blocking"
        case .oneAtATimeSpinning: "one connection, one request at a time, spinning"
        case .openLoop: "open loop at 70 % of Redis's own maximum"
        case .mappedCheck: "mapped check, dependent"
        case .mappedBatch: "mapped batch of 1,000"
        case .growth: "cost from few identifiers to many"
        case .durable: "durable events, 50 connections, no pipeline"
        case .durablePipelined: "durable events, 50 connections, pipeline of 16"
        case .memory: "memory per identifier, 20 purposes"
        case .rebuild: "rebuild from SQLite"
        }
    }

    /// Rows that ask servers, and so need a node.
    var needsNode: Bool {
        switch self {
        case .mappedCheck, .mappedBatch, .growth: false
        default: true
        }
    }
}

package struct ComparisonOptions: Sendable {
    package var rows = Set(ComparisonRow.allCases)
    package var subjects = 1_000_000
    /// Identifiers of the mapped index, and the fewest and the most for what growth costs.
    package var mapped = 10_000_000
    package var mappedFew = 1_000_000
    package var mappedMany = 50_000_000
    package var lookups = 2_000_000
    /// Of a round. Many short ones rather than few long ones: a machine that shares its host changes its speed by a third
    /// from one second to the next, and of nine the median hardly sees that.
    package var seconds = 1.5
    package var warmUpSeconds = 0.5
    package var rounds = 9
    /// Program of another server that is started as Redis is and speaks its protocol.
    package var respServer: String?
    package var spinMicros = 2000
    /// Processors of the generator and of the servers; nil: wherever the system puts them.
    package var generatorProcessor: Int?
    package var serverProcessor: Int?

    package init() {
        if System.processorCount > 1 { (generatorProcessor, serverProcessor) = (0, 1) }
    }

    /// Sizes that only show that everything runs.
    package static var smoke: ComparisonOptions {
        var options = ComparisonOptions()
        options.subjects = 3000
        (options.mapped, options.mappedFew, options.mappedMany) = (20_000, 5000, 40_000)
        options.lookups = 20_000
        (options.seconds, options.warmUpSeconds, options.rounds) = (0.12, 0.03, 1)
        return options
    }
}

/// Answers of a comparison were wrong: its figures say nothing.
package struct WrongAnswers: Error, CustomStringConvertible {
    package let description: String

    package init(_ result: LoadResult, server: String) {
        description =
            "\(server) gave \(result.wrong) wrong answers of \(result.answersInAll): \(result.firstWrong ?? "")"
    }
}

/// Our server and others with the same data, driven by the same generator in rounds that alternate.
package final class Comparison {
    private let options: ComparisonOptions
    private let folder: String
    private let note: (String) -> Void
    private let catalog: BenchCatalog
    private let population: Population
    package private(set) var cases: [ComparisonCase] = []
    package private(set) var runs: [RunSummary] = []
    private var ours: OwnServer?
    private var redis: RedisServer?
    private var others: [any PeerServer] = []
    /// Questions a second that Redis answered at its best.
    private var redisMax: Double?
    private var missing: [String: String] = [:]

    /// One round of one server.
    private struct Sample {
        var perSecond: Double
        var p50: Double
        var p99: Double
        var p999: Double
        var nanosPerUnit: Double
        var serverShare: Double
    }

    /// - Parameter folder: made by the caller, empty.
    package init(_ options: ComparisonOptions, folder: String, note: @escaping (String) -> Void) throws {
        self.options = options
        self.folder = folder
        self.note = note
        catalog = try BenchCatalog()
        population = Population(subjects: options.subjects)
    }

    /// Runs the rows that were chosen, in order. Servers are started when the first row needs them.
    ///
    /// - Throws: ``WrongAnswers``, and what keeps our own server from running. What a peer lacks is a reason in its case.
    package func run() throws {
        defer { endServers() }
        let chosen = ComparisonRow.allCases.filter(options.rows.contains)
        if chosen.contains(where: \.needsNode) {
            note("preparing a node of \(options.subjects) subjects")
            _ = try BenchNode(path: folder + "/node", subjects: options.subjects) { _ in }
        }
        for row in chosen {
            note("\(row.rawValue). \(row.title)")
            switch row {
            case .noPipeline: try pipelines(row, depth: 1)
            case .pipeline16: try pipelines(row, depth: 16)
            case .pipeline128: try pipelines(row, depth: 128)
            case .thousandPerFrame: try thousandPerFrame()
            case .oneAtATime: try oneAtATime(row, isSpinning: false, target: 1)
            case .oneAtATimeSpinning: try spinning()
            case .openLoop: try openLoop()
            case .mappedCheck, .mappedBatch: if row == .mappedCheck || !chosen.contains(.mappedCheck) { try mapped() }
            case .growth: try growth()
            case .durable: try durable()
            case .durablePipelined: try durablePipelined()
            case .memory: try memory()
            case .rebuild: try rebuild()
            }
        }
    }

    // MARK: Servers

    private var asking: Asking { Asking(population) }

    private func ourServer() throws -> OwnServer {
        if let ours { return ours }
        let server = try OwnServer(data: folder + "/node", catalog: catalog, processor: options.serverProcessor)
        ours = server
        return server
    }

    /// The servers of the first rows: ours, Redis, and whatever else can be had.
    private func readingServers() throws -> [any PeerServer] {
        let ours = try ourServer()
        if redis == nil, missing["Redis"] == nil {
            try start("Redis") {
                let server = try RedisServer(folder: self.folder, processor: self.options.serverProcessor)
                try server.fill(self.population)
                self.redis = server
            }
            try start("memcached") {
                let server = try MemcachedServer(processor: self.options.serverProcessor)
                try server.fill(self.population)
                self.others.append(server)
            }
            if let program = options.respServer {
                try start(program) {
                    let name = program.split(separator: "/").last.map(String.init) ?? program
                    let server = try RedisServer(
                        program: program, name: name, folder: self.folder, processor: self.options.serverProcessor)
                    try server.fill(self.population)
                    self.others.append(server)
                }
            }
        }
        return [ours] + [redis].compactMap(\.self) + others
    }

    /// Starts a peer, or keeps why it cannot be had.
    private func start(_ name: String, _ body: () throws -> Void) throws {
        do {
            note("starting \(name)")
            try body()
        } catch PeerProcess.Failure.ending {
            throw PeerProcess.Failure.ending
        } catch let failure as PeerProcess.Failure {
            note("\(failure)")
            missing[name] = "\(failure)"
        }
    }

    private func endServers() {
        ours?.end()
        redis?.end()
        for server in others { server.end() }
        (ours, redis, others) = (nil, nil, [])
    }

    // MARK: Rounds

    private func plan(_ address: SocketAddress, connections: Int, pipeline: Int = 1) -> LoadPlan {
        var plan = LoadPlan(address)
        plan.connections = connections
        plan.pipeline = pipeline
        plan.extent = .seconds(options.seconds)
        plan.warmUpSeconds = options.warmUpSeconds
        plan.processors = [options.generatorProcessor].compactMap(\.self)
        return plan
    }

    /// Runs all servers in turn, round after round, each second round in the opposite order; the last round is kept for
    /// the report.
    private func alternate(
        _ group: String, _ servers: [any PeerServer], _ question: PeerQuestion,
        plan: (any PeerServer) -> LoadPlan?
    ) throws -> [String: [Sample]] {
        var samples: [String: [Sample]] = [:]
        for round in 0..<options.rounds {
            for server in round % 2 == 0 ? servers : servers.reversed() {
                guard let plan = plan(server), let result = try server.run(plan, question, asking: asking) else {
                    continue
                }
                if result.wrong > 0 { throw WrongAnswers(result, server: server.name) }
                samples[server.name, default: []].append(
                    Sample(
                        perSecond: result.unitsPerSecond, p50: result.responseMicros(50),
                        p99: result.responseMicros(99), p999: result.responseMicros(99.9),
                        nanosPerUnit: result.serverNanosPerUnit ?? .nan, serverShare: result.serverShare ?? .nan))
                if round == options.rounds - 1 {
                    runs.append(
                        RunSummary(result, name: server.name, group: group, parameters: Self.parameters(plan, question))
                    )
                    for notice in result.notices { note("\(group), \(server.name): \(notice)") }
                }
            }
        }
        return samples
    }

    package static func parameters(_ plan: LoadPlan, _ question: PeerQuestion) -> [RunSummary.Parameter] {
        plan.parameters + [.init("question", "\(question)")]
    }

    /// Adds a case from the rounds of two servers.
    ///
    /// - Parameter isLargerBetter: otherwise the ratio is turned.
    private func add(
        _ row: ComparisonRow?, _ name: String, _ unit: String, _ samples: [String: [Sample]], peer: String,
        target: Double?, isLargerBetter: Bool = false, _ value: (Sample) -> Double
    ) {
        var item = ComparisonCase(row: row?.rawValue, name: name, unit: unit, peerName: peer, target: target)
        let (ours, theirs) = ((samples["consentd"] ?? []).map(value), (samples[peer] ?? []).map(value))
        if !ours.isEmpty { item.ours = median(ours) }
        if ours.isEmpty || theirs.isEmpty {
            if row != nil { item.reason = missing[peer] ?? "\(peer) cannot be asked so" } else { return }
        } else {
            item.peer = median(theirs)
            item.setRatios(zip(ours, theirs).map { isLargerBetter ? $0 / $1 : $1 / $0 })
        }
        cases.append(item)
    }

    private func add(_ row: ComparisonRow, _ name: String, peer: String, target: Double, notRun reason: String) {
        var item = ComparisonCase(row: row.rawValue, name: name, unit: "", peerName: peer, target: target)
        item.reason = reason
        cases.append(item)
    }

    /// Adds a case whose peer is a number that is known, or was measured once.
    private func add(
        _ row: ComparisonRow?, _ name: String, _ unit: String, ours: Double, peerName: String, peer: Double,
        target: Double?, isLargerBetter: Bool = false
    ) {
        var item = ComparisonCase(row: row?.rawValue, name: name, unit: unit, peerName: peerName, target: target)
        (item.ours, item.peer) = (ours, peer)
        item.setRatios([isLargerBetter ? ours / peer : peer / ours])
        cases.append(item)
    }

    // MARK: Servers' rows

    private func pipelines(_ row: ComparisonRow, depth: Int) throws {
        let servers = try readingServers()
        let samples = try alternate(row.title, servers, .single) { server in
            self.plan(server.tcp, connections: 50, pipeline: depth)
        }
        if depth == 1 { redisMax = samples["Redis"].map { median($0.map(\.perSecond)) } }
        let targets = [1: 1.3, 16: 3, 128: 5]
        for peer in ["Redis"] + others.map(\.name) {
            let isRow = peer == "Redis"
            add(
                isRow ? row : nil, "\(row.title): throughput", "/s", samples, peer: peer,
                target: isRow ? targets[depth] : nil, isLargerBetter: true
            ) { $0.perSecond }
            add(
                isRow && depth == 1 ? row : nil, "\(row.title): server processor time per check", "ns", samples,
                peer: peer, target: isRow && depth == 1 ? 1 / 0.75 : nil
            ) { $0.nanosPerUnit }
            add(
                isRow && depth == 1 ? row : nil, "\(row.title): p50", "µs", samples, peer: peer, target: nil
            ) { $0.p50 }
            add(
                isRow && depth == 1 ? row : nil, "\(row.title): p99", "µs", samples, peer: peer,
                target: isRow && depth == 1 ? 1 : nil
            ) { $0.p99 }
            add(nil, "\(row.title): p99.9", "µs", samples, peer: peer, target: nil) { $0.p999 }
        }
    }

    private func thousandPerFrame() throws {
        let row = ComparisonRow.thousandPerFrame
        let servers = try readingServers()
        let samples = try alternate(row.title, servers, .many(1000)) { self.plan($0.tcp, connections: 10) }
        for peer in ["Redis", "memcached"] {
            add(
                row, "\(row.title): identifiers a second", "/s", samples, peer: peer, target: 10, isLargerBetter: true
            ) { $0.perSecond }
            add(nil, "\(row.title): server processor time per identifier", "ns", samples, peer: peer, target: nil) {
                $0.nanosPerUnit
            }
        }
    }

    private func oneAtATime(_ row: ComparisonRow, isSpinning: Bool, target: Double) throws {
        let servers = try readingServers()
        for isUnix in [false, true] {
            let name = "\(row.title), \(isUnix ? "Unix socket" : "TCP")"
            let samples = try alternate(name, servers, .single) { server in
                guard let address = isUnix ? server.unix : server.tcp else { return nil }
                var plan = self.plan(address, connections: 1)
                if isSpinning { plan.spinMicros = self.options.spinMicros }
                return plan
            }
            add(row, "\(name): p50", "µs", samples, peer: "Redis", target: target) { $0.p50 }
            for peer in others.map(\.name) {
                add(nil, "\(name): p50", "µs", samples, peer: peer, target: nil) { $0.p50 }
            }
        }
    }

    /// Our server with its idle strategy; the generator spins for both.
    private func spinning() throws {
        _ = try readingServers()
        ours?.end()
        ours = try OwnServer(
            data: folder + "/node", catalog: catalog, processor: options.serverProcessor,
            spinMicros: options.spinMicros)
        try oneAtATime(.oneAtATimeSpinning, isSpinning: true, target: 1 / 0.3)
        ours?.end()
        ours = nil
    }

    private func openLoop() throws {
        let row = ComparisonRow.openLoop
        let servers = try readingServers()
        if redisMax == nil, let redis {
            let plan = plan(redis.tcp, connections: 50)
            redisMax = try redis.run(plan, .single, asking: asking)?.unitsPerSecond
        }
        guard let redisMax else {
            add(row, "\(row.title): p99.9", peer: "Redis", target: 1, notRun: missing["Redis"] ?? "no Redis")
            return
        }
        let samples = try alternate(row.title, servers, .single) { server in
            var plan = self.plan(server.tcp, connections: 50, pipeline: 64)
            plan.pace = .open(perSecond: 0.7 * redisMax, isPoisson: false)
            return plan
        }
        add(row, "\(row.title): p99.9", "µs", samples, peer: "Redis", target: 1) { $0.p999 }
        add(nil, "\(row.title): p99", "µs", samples, peer: "Redis", target: nil) { $0.p99 }
        add(nil, "\(row.title): p50", "µs", samples, peer: "Redis", target: nil) { $0.p50 }
    }

    // MARK: Mapped rows

    private func costs(_ identifiers: Int) throws -> IndexCosts {
        let folder = "\(folder)/mapped\(identifiers)"
        try File.createDirectory(folder)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let lookups = options.lookups
        let costs = try onThread(processor: options.serverProcessor) {
            try IndexBench(identifiers: identifiers, folder: folder).run(lookups: lookups)
        }
        note("checksum of the answers: \(String(costs.checksum, radix: 16))")
        return costs
    }

    private func mapped() throws {
        let costs = try costs(options.mapped)
        let size = "at \(options.mapped) identifiers"
        if options.rows.contains(.mappedCheck) {
            add(
                .mappedCheck, "\(ComparisonRow.mappedCheck.title), \(size)", "ns", ours: costs.dependentNanos,
                peerName: "one dependent memory access", peer: costs.floorNanos, target: 1 / 1.4)
        }
        guard options.rows.contains(.mappedBatch) else { return }
        let name = "\(ComparisonRow.mappedBatch.title), \(size)"
        add(.mappedBatch, name, "ns", ours: costs.batchNanos, peerName: "the aim of 50 ns", peer: 50, target: 1)
        do throws(LMDB.Failure) {
            let path = "\(folder)/lmdb"
            let lmdb = try LMDB(path: path, identifiers: options.mapped)
            defer { for suffix in ["", "-lock"] { try? File.remove(path + suffix) } }
            var checksum: UInt64 = 0
            let nanos = try lmdb.nanosPerGet(identifiers: options.mapped, count: options.lookups, checksum: &checksum)
            note("checksum of LMDB's answers: \(String(checksum, radix: 16))")
            add(.mappedBatch, name, "ns", ours: costs.batchNanos, peerName: "LMDB get", peer: nanos, target: 20)
        } catch {
            add(.mappedBatch, name, peer: "LMDB get", target: 20, notRun: "\(error)")
        }
    }

    private func growth() throws {
        let (few, many) = (try costs(options.mappedFew), try costs(options.mappedMany))
        let size = "from \(options.mappedFew) to \(options.mappedMany) identifiers"
        add(
            .growth, "growth of a dependent check, \(size)", "×", ours: many.dependentNanos / few.dependentNanos,
            peerName: "growth of a dependent memory access", peer: many.floorNanos / few.floorNanos, target: 1)
    }

    // MARK: Durable rows

    /// Everything that is written is new, so all servers write the same amount. Neither side is pinned: durable events
    /// take a second thread.
    private func durablePlan(_ server: any PeerServer, pipeline: Int) -> LoadPlan {
        var plan = plan(server.tcp, connections: 50, pipeline: pipeline)
        plan.processors = []
        return plan
    }

    private func durable() throws {
        endServers()
        let row = ComparisonRow.durable
        var servers: [any PeerServer] = [try OwnServer(data: folder + "/node", catalog: catalog, processor: nil)]
        defer { for server in servers { server.end() } }
        try start("Redis, appendfsync always") {
            servers.append(
                try RedisServer(name: "Redis, appendfsync always", isDurable: true, folder: self.folder, processor: nil)
            )
        }
        let samples = try alternate(row.title, servers, .record) { self.durablePlan($0, pipeline: 1) }
        let peer = "Redis, appendfsync always"
        add(row, "\(row.title): events", "/s", samples, peer: peer, target: 1, isLargerBetter: true) { $0.perSecond }
        add(nil, "\(row.title): p99", "µs", samples, peer: peer, target: nil) { $0.p99 }
    }

    private func durablePipelined() throws {
        endServers()
        let row = ComparisonRow.durablePipelined
        var servers: [any PeerServer] = [try OwnServer(data: folder + "/node", catalog: catalog, processor: nil)]
        defer { for server in servers { server.end() } }
        try start("PostgreSQL") {
            servers.append(
                try PostgresServer(
                    folder: self.folder + "/postgres", connections: 50, catalog: self.catalog, processor: nil))
        }
        let samples = try alternate(row.title, servers, .record) { self.durablePlan($0, pipeline: 16) }
        let ours = (samples["consentd"] ?? []).map(\.perSecond)
        var item = ComparisonCase(
            row: row.rawValue, name: "\(row.title): events", unit: "/s", peerName: "the aim of 150,000", target: 1)
        (item.ours, item.peer) = (median(ours), 150_000)
        item.setRatios(ours.map { $0 / 150_000 })
        cases.append(item)
        add(
            row, "\(row.title): events", "/s", samples, peer: "PostgreSQL", target: 5, isLargerBetter: true
        ) { $0.perSecond }
    }

    // MARK: Size and rebuild

    private func memory() throws {
        let row = ComparisonRow.memory
        _ = try readingServers()
        ours?.end()
        ours = nil
        let stats = try OwnServer.run(["stats", "--data", folder + "/node", "--json"]).object
        guard let index = stats["index_size_bytes"] as? Double, let subjects = stats["identifiers"] as? Double else {
            throw PeerProcess.Failure.notReady("'consentd stats'")
        }
        let name = "\(row.title): the index, which answers checks"
        guard let redis else {
            add(row, name, peer: "Redis", target: 2, notRun: missing["Redis"] ?? "no Redis")
            return
        }
        let theirs = try redis.sizePerIdentifier(population)
        add(row, name, "B", ours: index / subjects, peerName: "Redis", peer: theirs, target: 2)
        try add(
            nil, "\(row.title): with the file by which the writer finds people", "B",
            ours: (index + ownersSize()) / subjects,
            peerName: "Redis", peer: theirs, target: nil)
        for case let memcached as MemcachedServer in others {
            add(
                nil, name, "B", ours: index / subjects, peerName: memcached.name,
                peer: try memcached.sizePerIdentifier(population), target: nil)
        }
    }

    private func ownersSize() throws -> Double {
        let path = folder + "/node/index"
        return try File.names(in: path).filter { $0.hasSuffix(".owners") }.reduce(0) { size, name in
            size + Double(try FileDescriptor.open("\(path)/\(name)", .readOnly).size())
        }
    }

    /// Of a register, in which people have about three identifiers each, and of the node above, whose people have one.
    private func rebuild() throws {
        endServers()
        let (data, register) = (folder + "/register", folder + "/register.csv")
        _ = try OwnServer.run(["init", "--data", data])
        _ = try OwnServer.run(["sample-register", register, "--subjects", "\(max(1, options.subjects / 3))"])
        _ = try OwnServer.run(["import", register, "--data", data, "--json"])
        let title = ComparisonRow.rebuild.title
        let aim = "the aim of 3 million"
        add(
            .rebuild, "\(title): identifiers", "/s", ours: try rebuiltPerSecond(data), peerName: aim, peer: 3_000_000,
            target: 1, isLargerBetter: true)
        add(
            nil, "\(title): identifiers, one a person", "/s", ours: try rebuiltPerSecond(folder + "/node"),
            peerName: aim, peer: 3_000_000, target: nil, isLargerBetter: true)
    }

    private func rebuiltPerSecond(_ data: String) throws -> Double {
        let object = try OwnServer.run(["rebuild", "--data", data, "--json"]).object
        guard let identifiers = object["identifiers"] as? Double, let seconds = object["seconds"] as? Double else {
            throw PeerProcess.Failure.notReady("'consentd rebuild'")
        }
        return identifiers / seconds
    }
}

extension ComparisonCase {
    fileprivate mutating func setRatios(_ ratios: [Double]) {
        let ratios = ratios.filter(\.isFinite)
        guard !ratios.isEmpty else {
            reason = "the run was too short to measure it"
            return
        }
        ratio = median(ratios)
        if ratios.count > 1 { (least, most) = (ratios.min(), ratios.max()) }
    }
}

extension LoadPlan {
    /// For a report.
    package var parameters: [RunSummary.Parameter] {
        let pace =
            switch self.pace {
            case .closed: "closed loop"
            case .open(let rate, let isPoisson):
                "open loop, \(Int(rate.rounded())) a second, \(isPoisson ? "Poisson" : "constant")"
            }
        let extent =
            switch self.extent {
            case .seconds(let seconds): "\(seconds) s"
            case .requests(let count): "\(count) requests"
            }
        // Where a socket's file lies says nothing about a run, and is gone with it.
        let address =
            if case .unix(let path) = address { "unix:\(path.split(separator: "/").last ?? "")" } else { "\(address)" }
        return [
            .init("address", address), .init("pace", pace), .init("connections", "\(connections)"),
            .init("pipeline", "\(pipeline)"), .init("threads", "\(threads)"), .init("extent", extent),
            .init("warm-up", "\(warmUpSeconds) s"), .init("seed", "\(seed)"),
            .init("processors", processors.isEmpty ? "not pinned" : processors.map(String.init).joined(separator: ",")),
            .init("spin", "\(spinMicros) µs"),
        ]
    }
}
