import ArgumentParser
import ConsentBench
import ConsentEngine
import Foundation

struct BenchFigures: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "figures",
        abstract: "The figures that this project promises: index, Redis, events, import, rebuild.",
        discussion: """
            At the size of the targets it takes some minutes; needs redis-server.

            EXAMPLES
              consentd bench figures
              consentd bench figures --smoke
            """)

    @Flag(help: "Small sizes that only show that everything runs; the figures say nothing.")
    var smoke = false
    @Flag(help: "Print JSON, one figure a line.")
    var json = false

    func run() async throws {
        try await reportingFailures {
            var figures: [Figure] = []
            try withBenchFolder { figures += try indexFigures($0) }
            try withBenchFolder { figures += try peerFigures($0) }
            try withBenchFolder { figures += try durableFigures($0) }
            try withBenchFolder { figures += try ledgerFigures($0) }
            try withBenchFolder { figures += try revisionFigures($0, identifiers: smoke ? 4000 : 10_000_000) }
            try await withBenchFolderAwaiting { folder in
                figures += try await syncFigures(
                    folder, identifiers: smoke ? 20_000 : 1_000_000, changes: smoke ? 300 : 20_000,
                    edges: smoke ? 5 : 200)
            }
            printFigures(figures, smoke: smoke, json: json)
        }
    }

    private func indexFigures(_ folder: String) throws -> [Figure] {
        let identifiers = smoke ? 100_000 : 10_000_000
        let lookups = smoke ? 100_000 : 2_000_000
        benchNote("looking up in an index of \(identifiers) identifiers")
        let costs = try onThread(processor: nil) {
            try IndexBench(identifiers: identifiers, folder: folder).run(lookups: lookups)
        }
        benchNote("checksum of the answers: \(String(costs.checksum, radix: 16))")
        return [
            .atMost(
                "index file at \(identifiers) identifiers", Double(costs.fileSize) / 1e6, "MB",
                45.0 * Double(identifiers) / 1e6),
            Figure("dependent memory access, same footprint", costs.floorNanos, "ns"),
            Figure("dependent check", costs.dependentNanos, "ns"),
            .atMost("dependent check / dependent access", costs.dependentNanos / costs.floorNanos, "x", 1.6),
            .atMost("check in batches of 1000", costs.batchNanos, "ns", 60),
            Figure("mapped check, Swift", costs.mappedSwiftNanos, "ns"),
            Figure("mapped check, C", costs.mappedCNanos, "ns"),
            .atMost("mapped check, C / dependent check", costs.mappedCNanos / costs.dependentNanos, "x", 1.3),
            .atLeast("rows counted for an audience", costs.countedPerSecond / 1e6, "M/s", 5),
        ]
    }

    private func peerFigures(_ folder: String) throws -> [Figure] {
        var options = smoke ? ComparisonOptions.smoke : ComparisonOptions()
        options.rows = [.noPipeline, .pipeline16, .pipeline128]
        let targets = [1.2, 3, 5]
        let (cases, _) = try compare(options, folder: folder)
        return try cases.flatMap { item -> [Figure] in
            guard let row = item.row else { return [] }
            if let reason = item.reason { throw Failure(code: Exit.failed, message: reason) }
            guard let ours = item.ours, let peer = item.peer, let ratio = item.ratio else { return [] }
            var figures = [
                Figure(item.name, ours, item.unit), Figure("\(item.name), \(item.peerName)", peer, item.unit),
            ]
            if item.unit == "/s" {
                figures.append(.atLeast("\(item.name) against Redis", ratio, "x", targets[row - 1]))
            } else if let limit = ["ns": 0.8, "µs": 1][item.unit], item.target != nil {
                figures.append(.atMost("\(item.name) against Redis", 1 / ratio, "x", limit))
            }
            if let least = item.least, let most = item.most {
                figures += [
                    Figure("of these ratios, least", least, "x"), Figure("of these ratios, most", most, "x"),
                ]
            }
            return figures
        }
    }

    private func durableFigures(_ folder: String) throws -> [Figure] {
        let node = try prepareNode(folder + "/node", SubjectCount(1000))
        let server = try OwnServer(data: node.folder.path, catalog: try BenchCatalog(), processor: nil)
        defer { server.end() }
        benchNote("recording single events")
        var plan = LoadPlan(server.tcp)
        plan.extent = .seconds(smoke ? 0.5 : 8)
        plan.warmUpSeconds = smoke ? 0.1 : 1
        let result = try server.run(plan, Workload([.record: 1]), asking: Asking(node.population))
        if result.wrong > 0 { throw WrongAnswers(result, server: "the server") }
        return [
            .atLeast("durable single events, 50 connections, no pipeline", result.perSecond, "/s", 20_000),
            Figure("of these, p99 until durable and visible", result.responseMicros(99) / 1000, "ms"),
        ]
    }

    private func ledgerFigures(_ folder: String) throws -> [Figure] {
        let subjects = smoke ? 2000 : 3_400_000
        let (data, register) = (folder + "/node", folder + "/register.csv")
        _ = try OwnServer.run(["init", "--data", data])
        _ = try OwnServer.run(["sample-register", register, "--subjects", "\(subjects)"])
        benchNote("importing a register of \(subjects) people")
        let imported = try OwnServer.run(["import", register, "--data", data, "--json"]).object
        let server = try OwnServer(data: data, catalog: try BenchCatalog(), processor: nil)
        server.end()
        benchNote("rebuilding")
        let rebuilt = try OwnServer.run(["rebuild", "--data", data, "--json"]).object
        let stats = try OwnServer.run(["stats", "--data", data, "--json"]).object
        func number(_ name: String, _ object: [String: Any]) -> Double { object[name] as? Double ?? 0 }
        let (identifiers, events) = (number("identifiers", rebuilt), number("sequence", stats))
        return [
            Figure("identifiers in the ledger", identifiers, ""),
            Figure("events in the ledger", events, ""),
            .atLeast("import of a CSV", number("eventsPerSecond", imported), "events/s", 80_000),
            .atMost("clean restart, ready after", server.readyMillis / 1000, "s", 0.5),
            .atLeast(
                "rebuild from SQLite", identifiers / number("seconds", rebuilt), "identifiers/s", 1_500_000),
            .atMost(
                "index file, \(Int(identifiers)) identifiers, rebuilt", number("index_size_bytes", stats) / 1e6,
                "MB", 45 * identifiers / 1e6),
            Figure("ledger per event", number("ledger_size_bytes", stats) / events, "B"),
        ]
    }
}

struct BenchRevision: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "revision",
        abstract: "A revision that asks everybody again: applied at once, and announced and then in force.",
        discussion: """
            EXAMPLE
              consentd bench revision --identifiers 1M
            """)

    @Flag(help: "A small size that only shows that it runs; the figures say nothing.")
    var smoke = false
    @Flag(help: "Print JSON, one figure a line.")
    var json = false
    @Option(help: "Identifiers, such as 250k or 10M; four are one person's.")
    var identifiers = SubjectCount(10_000_000)

    func run() async throws {
        try await reportingFailures {
            var figures: [Figure] = []
            try withBenchFolder {
                figures = try revisionFigures($0, identifiers: smoke ? 4000 : identifiers.value)
            }
            printFigures(figures, smoke: smoke, json: json)
        }
    }
}

func printFigures(_ figures: [Figure], smoke: Bool, json: Bool) {
    if json {
        for figure in figures {
            Output.json([
                "name": figure.name, "value": figure.value, "unit": figure.unit,
                "target": figure.target ?? Output.null,
                "isFloor": figure.isFloor, "reached": figure.isReached ?? Output.null, "smoke": smoke,
            ])
        }
        return
    }
    let rows = figures.map { figure in
        let target = figure.target.map { "\(figure.isFloor ? "at least" : "at most") \(benchNumber($0))" } ?? ""
        let verdict = smoke ? "" : figure.isReached.map { $0 ? "reached" : "NOT REACHED" } ?? ""
        return [figure.name, "\(benchNumber(figure.value)) \(figure.unit)", target, verdict]
    }
    Output.table([["FIGURE", "MEASURED", "TARGET", smoke ? "small run, says nothing" : ""]] + rows)
}
