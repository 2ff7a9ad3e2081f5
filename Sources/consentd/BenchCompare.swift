import ArgumentParser
import ConsentBench
import ConsentKernel
import Foundation

struct BenchCompare: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "compare", abstract: "Beside Redis, memcached, PostgreSQL and LMDB, in rounds that alternate.",
        discussion: """
            Starts what is installed, loads the same data, drives all with the same generator and judges every answer. \
            Each ratio is turned so that larger is better for consentd. What cannot run is reported with its reason.

            ROWS
            \(ComparisonRow.allCases.map { "  \($0.rawValue < 10 ? " " : "")\($0.rawValue) \($0.title)" }.joined(separator: "\n"))

            EXAMPLES
              consentd bench compare
              consentd bench compare --rows 1,2,3 --seconds 10 --rounds 5
              consentd bench compare --resp-server /opt/valkey/bin/valkey-server
              consentd bench compare --json --report compare.html
            """)

    @OptionGroup var size: ComparisonSize
    @OptionGroup var output: BenchOutput

    func run() async throws {
        try await reportingFailures {
            var document = ReportDocument(machine: .now())
            (document.cases, document.runs) = try withBenchFolder { try compare(size.options(), folder: $0) }
            let isSmoke = size.smoke
            try output.write(document) { printCases(document, isSmoke: isSmoke) }
        }
    }
}

/// Which rows, and at which size.
struct ComparisonSize: ParsableArguments {
    @Option(help: "Rows to run, such as 1,2,3 [default: all].") var rows: String?
    @Option(help: "People on the node, and keys in its peers.") var subjects = SubjectCount(1_000_000)
    @Option(help: "Identifiers of the mapped index.") var mapped = SubjectCount(10_000_000)
    @Option(help: "Identifiers up to which the growth of its cost is measured.") var mappedMany = SubjectCount(
        50_000_000)
    @Option(help: "Seconds of a round.") var seconds = 1.5
    @Option(help: "Rounds of each server.") var rounds = 9
    @Option(help: "Program of a further server that speaks Redis's protocol.") var respServer: String?
    @Flag(help: "Small sizes that only show that everything runs; the figures say nothing.") var smoke = false

    func validate() throws {
        guard seconds > 0, seconds <= 3600, (1...100).contains(rounds) else {
            throw ValidationError("a round takes up to 3600 seconds, and there are 1 to 100")
        }
        if rows != nil, chosen == nil {
            throw ValidationError("--rows: '\(rows ?? "")' is not a list of rows 1 to \(ComparisonRow.allCases.count)")
        }
        if let respServer, !File.exists(respServer) {
            throw ValidationError("--resp-server: there is no '\(respServer)'")
        }
    }

    private var chosen: Set<ComparisonRow>? {
        guard let rows else { return Set(ComparisonRow.allCases) }
        let parts = rows.split(separator: ",", omittingEmptySubsequences: false)
        let found = parts.compactMap { Int($0).flatMap(ComparisonRow.init(rawValue:)) }
        return found.count == parts.count ? Set(found) : nil
    }

    func options() -> ComparisonOptions {
        var options = smoke ? ComparisonOptions.smoke : ComparisonOptions()
        if !smoke {
            options.subjects = subjects.value
            options.mapped = mapped.value
            options.mappedFew = min(options.mappedFew, mapped.value)
            options.mappedMany = mappedMany.value
            options.seconds = seconds
            options.rounds = rounds
        }
        options.rows = chosen ?? []
        options.respServer = respServer
        return options
    }
}

func compare(_ options: ComparisonOptions, folder: String) throws -> ([ComparisonCase], [RunSummary]) {
    let comparison = try Comparison(options, folder: folder, note: benchNote)
    try comparison.run()
    return (comparison.cases, comparison.runs)
}

func printCases(_ document: ReportDocument, isSmoke: Bool) {
    Output.line(machineLine(document.machine))
    Output.line("Ratios are turned so that larger is better; the median of the rounds, with least and most.\n")
    let head = [
        "ROW", "CASE", "OURS", "BESIDE", "THERE", "RATIO", "ROUNDS", "TARGET", isSmoke ? "small run, says nothing" : "",
    ]
    Output.table(
        [head]
            + document.cases.map { item in
                let spread = item.least.flatMap { least in item.most.map { "\(benchNumber(least))–\(benchNumber($0))" }
                }
                let verdict = item.isReached.map { isSmoke ? "" : $0 ? "reached" : "NOT REACHED" }
                return [
                    item.row.map { "\($0)" } ?? "", item.name,
                    item.ours.map { "\(benchNumber($0)) \(item.unit)" } ?? "–", item.peerName,
                    item.peer.map { "\(benchNumber($0)) \(item.unit)" } ?? "–",
                    item.ratio.map { "\(benchNumber($0)) x" } ?? "–", spread ?? "",
                    item.target.map { "\(benchNumber($0)) x" } ?? "",
                    item.reason.map { "not run: \($0)" } ?? verdict ?? "",
                ]
            })
}

struct BenchMicro: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "micro", abstract: "Codec, hash, lookup, digest, encoding and group commit, one by one.",
        discussion: """
            Each prints a checksum of what it computed, the same for the same program and size.

            EXAMPLES
              consentd bench micro
            """)

    @Flag(help: "Small sizes that only show that everything runs; the figures say nothing.") var smoke = false
    @OptionGroup var output: BenchOutput

    func run() async throws {
        try await reportingFailures {
            var document = ReportDocument(machine: .now())
            let isSmoke = smoke
            document.micro = try withBenchFolder { folder in
                try onThread(processor: nil) { try MicroBench(folder: folder, isSmoke: isSmoke).run() }
            }
            try output.write(document) { printMicro(document) }
        }
    }
}

func printMicro(_ document: ReportDocument) {
    Output.table(
        [["PART", "ns", "OPERATIONS", "CHECKSUM"]]
            + document.micro.map { [$0.name, benchNumber($0.nanos), "\($0.operations)", $0.checksum] })
}

struct BenchReport: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "report", abstract: "One HTML report from the JSON of several runs.",
        discussion: """
            EXAMPLES
              consentd bench load --name before --json > before.json
              consentd bench load --name after --json > after.json
              consentd bench report before.json after.json --output report.html
            """)

    @Argument(help: "What 'bench load --json', 'compare --json' or 'micro --json' printed.") var files: [String]
    @Option(help: "The file to write.") var output: String
    @Flag(help: "Print JSON.") var json = false

    func run() async throws {
        try await reportingFailures {
            try writeText(HTMLReport(try files.map(readReport)).text, to: output)
            if json { Output.json(["report": output]) } else { Output.line("wrote \(output)") }
        }
    }
}

struct BenchSuite: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "suite", abstract: "Everything: loads, comparison, parts; with report, JSON and distributions.",
        discussion: """
            Writes report.html, report.json and the .hgrm files of its loads into a folder.

            EXAMPLES
              consentd bench suite --output results
              consentd bench suite --smoke --output results
            """)

    @OptionGroup var size: ComparisonSize
    @Option(help: "Folder to write into.") var output: String
    @Flag(help: "Print JSON instead of tables.") var json = false

    func run() async throws {
        try await reportingFailures {
            var document = ReportDocument(machine: .now())
            let isSmoke = size.smoke
            try withBenchFolder { folder in
                benchNote("parts")
                let parts = folder + "/parts"
                try File.createDirectory(parts)
                document.micro = try onThread(processor: nil) { try MicroBench(folder: parts, isSmoke: isSmoke).run() }
                document.runs = try loads(folder + "/node")
                let (cases, runs) = try compare(size.options(), folder: folder)
                document.cases = cases
                document.runs += runs
            }
            try writeText(HTMLReport([document]).text, to: output + "/report.html")
            try writeText(try jsonText(document) + "\n", to: output + "/report.json")
            if json { return Output.line(try jsonText(document)) }
            printCases(document, isSmoke: isSmoke)
            Output.line("")
            printMicro(document)
            Output.line("\nwrote \(output)/report.html and report.json")
        }
    }

    /// A mix as a till and an advert server would send it, in both kinds of loop.
    private func loads(_ data: String) throws -> [RunSummary] {
        let options = size.options()
        let node = try prepareNode(data, SubjectCount(options.subjects))
        let server = try OwnServer(data: data, catalog: try BenchCatalog(), processor: options.serverProcessor)
        defer { server.end() }
        let mix = "check:80,check-many:8,batch:8,explain:2,record:2"
        guard let workload = Workload(mix) else { preconditionFailure("a constant") }
        var asking = Asking(node.population)
        asking.distribution = .zipf(exponent: 0.99)
        asking.missingShare = 0.1
        var plan = LoadPlan(server.tcp)
        plan.extent = .seconds(options.seconds)
        plan.warmUpSeconds = options.warmUpSeconds
        plan.processors = [options.generatorProcessor].compactMap(\.self)
        var runs: [RunSummary] = []
        func run(_ name: String, _ plan: LoadPlan) throws -> Double {
            benchNote("load: \(name)")
            let result = try server.run(plan, workload, asking: asking)
            if result.wrong > 0 { throw WrongAnswers(result, server: "the server") }
            for notice in result.notices { benchNote("\(name): \(notice)") }
            _ = try HistogramFile.write(result, folder: output, name: name)
            runs.append(
                RunSummary(
                    result, name: name, group: "mixed load",
                    parameters: plan.parameters + [.init("workload", mix), .init("keys", "zipf:0.99")]))
            return result.perSecond
        }
        let closedMax = try run("mix-closed", plan)
        for share in [0.3, 0.6] {
            plan.pace = .open(perSecond: share * closedMax, isPoisson: true)
            plan.pipeline = 64
            _ = try run("mix-open-\(Int(share * 100))", plan)
        }
        return runs
    }
}
