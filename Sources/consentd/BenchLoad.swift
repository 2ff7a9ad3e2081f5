import ArgumentParser
import ConsentBench
import ConsentEngine
import ConsentKernel
import ConsentTLS
import Foundation

struct BenchPrepare: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "prepare", abstract: "Make a node whose people are known, to be served and loaded.",
        discussion: """
            For a server on another machine: prepare there, serve the folder with --listen and a token, and run 'bench \
            load --server' elsewhere with the same --subjects. A folder that was prepared is left as it is.

            EXAMPLES
              consentd bench prepare --data bench-10m --subjects 10M
            """)

    @Option(help: "Folder of the node.") var data: String
    @Option(help: "People; one in three refused, the others agreed.") var subjects = SubjectCount(1_000_000)
    @Flag(help: "Print JSON.") var json = false

    func run() async throws {
        try await reportingFailures {
            let node = try prepareNode(data, subjects)
            if json {
                Output.json(["data": data, "subjects": node.population.subjects])
            } else {
                Output.line("\(data) holds \(Output.counted(node.population.subjects, "subject")).")
            }
        }
    }
}

func prepareNode(_ path: String, _ subjects: SubjectCount) throws -> BenchNode {
    let bar = ProgressBar("preparing", unit: "subjects")
    let node = try BenchNode(path: path, subjects: subjects.value) { bar.show($0, of: subjects.value) }
    bar.finish(subjects.value)
    return node
}

struct BenchLoad: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "load", abstract: "Generate load, and judge every answer.",
        discussion: """
            Without --server it prepares a node, serves it, and loads that. With --rate it sends by a timetable, evenly or \
            with --poisson, and measures from when a request was due, so that a server which stalls is not asked less. \
            Without --rate each connection sends its next pipeline when the last one is answered.

            Response time begins when a request was due, service time when it was sent. Every answer is judged by what \
            is known of the people; wrong ones are counted, and the command ends with exit code 7.

            EXAMPLES
              consentd bench load --subjects 1M --rate 50000 --seconds 30
              consentd bench load --workload check:95,record:5 --keys zipf:0.99
              consentd bench load --workload batch --batch 1000 --connections 8
              consentd bench load --ramp --seconds 3 --report ramp.html
              consentd bench load --server 10.0.0.7:7411 --token-file token --json
            """)

    @OptionGroup var target: LoadTarget
    @OptionGroup var question: LoadQuestion
    @OptionGroup var pace: LoadPace
    @OptionGroup var output: BenchOutput

    @Option(help: "Folder for the distributions as .hgrm files.") var hgrm: String?
    @Option(help: "Name of the run in reports.") var name = "run"

    func validate() throws {
        if name.isEmpty || name.contains("/") { throw ValidationError("--name is a word without a slash") }
    }

    func run() async throws {
        try await reportingFailures {
            if target.server != nil { return try load(folder: nil) }
            if target.data != nil { return try load(folder: nil) }
            try withBenchFolder { try load(folder: $0) }
        }
    }

    private func load(folder: String?) throws {
        let server = try LoadServer(target, pace, temporaryFolder: folder)
        defer { server.end() }
        let workload = question.parsed
        let catalog = try BenchCatalog()
        let asking = question.asking(subjects: target.subjects.value, seed: pace.seed)
        let token = try target.token()
        let line = LoadLine()
        func run(_ plan: LoadPlan) throws -> LoadResult {
            let seed = freshSeed()
            let result = try LoadRun.ask(
                plan, processorNanos: { server.processorNanos }, progress: line.show,
                conversation: {
                    ConsentConversation(
                        workload, asking: asking, catalog: catalog, token: token, runSeed: seed, thread: $0)
                })
            line.finish()
            return result
        }
        try probe(server, asking.population, catalog, token)
        let plan = try pace.plan(server)
        try plan.validate()
        var document = ReportDocument(machine: .now())
        if pace.ramp {
            try ramp(plan, run, &document)
        } else {
            try once(plan, try run(plan), &document)
        }
    }

    /// Asks about a few people first: load on a node that holds others would count every answer as wrong.
    private func probe(
        _ server: borrowing LoadServer, _ population: Population, _ catalog: BenchCatalog, _ token: [UInt8]
    ) throws {
        var plan = LoadPlan(server.address)
        plan.tls = server.tls
        (plan.connections, plan.extent, plan.warmUpSeconds) = (1, .requests(64), 0)
        var asking = Asking(population)
        asking.missingShare = 0.2
        let result = try LoadRun.ask(plan) {
            ConsentConversation(
                Workload([.check: 1]), asking: asking, catalog: catalog, token: token, runSeed: 1, thread: $0)
        }
        guard result.wrong == 0 else {
            throw Failure(
                code: Exit.refused,
                message:
                    "the server at \(server.address) does not hold the \(population.subjects) people that 'consentd bench "
                    + "prepare --subjects \(population.subjects)' makes: \(result.firstWrong ?? "")")
        }
    }

    private func once(_ plan: LoadPlan, _ result: LoadResult, _ document: inout ReportDocument) throws {
        document.runs = [summary(result, plan, name: name)]
        if let hgrm {
            for path in try HistogramFile.write(result, folder: hgrm, name: name, eachOperation: true) {
                benchNote("wrote \(path)")
            }
        }
        let machine = document.machine
        try output.write(document) { print(result, plan, machine) }
        for notice in result.notices { benchNote("\(notice)") }
        try requireRight(result)
    }

    private func ramp(
        _ plan: LoadPlan, _ run: (LoadPlan) throws -> LoadResult, _ document: inout ReportDocument
    ) throws {
        var wrong: LoadResult?
        let ramp = try Ramp(plan, isPoisson: pace.poisson, run: run) { step in
            benchNote(
                "\(benchNumber(step.perSecond))/s due, \(benchNumber(step.result.perSecond))/s answered, p99 "
                    + "\(benchNumber(step.result.responseMicros(99))) µs\(step.isPastKnee ? ": past the knee" : "")")
            if step.result.wrong > 0 { wrong = step.result }
        }
        let steps = ramp.steps.sorted { $0.perSecond < $1.perSecond }
        document.runs = [summary(ramp.closedMax, plan, name: "\(name), closed loop")]
        document.runs += steps.map { step in
            var open = plan
            open.pace = .open(perSecond: step.perSecond, isPoisson: pace.poisson)
            open.pipeline = max(plan.pipeline, 64)
            return summary(step.result, open, name: "\(name), \(benchNumber(step.perSecond))/s")
        }
        document.kneePerSecond = ramp.knee
        try output.write(document) {
            Output.table(
                [["DUE/S", "ANSWERED/S", "P50 µs", "P99 µs", "P99.9 µs", ""]]
                    + steps.map { step in
                        [benchNumber(step.perSecond), benchNumber(step.result.perSecond)]
                            + [50, 99, 99.9].map { benchNumber(step.result.responseMicros($0)) }
                            + [step.isPastKnee ? "past the knee" : ""]
                    })
            Output.line(
                "closed loop: \(benchNumber(ramp.closedMax.perSecond))/s; knee: "
                    + (ramp.knee.map { "\(benchNumber($0))/s" } ?? "below the first step"))
        }
        try requireRight(wrong ?? ramp.closedMax)
    }

    private func requireRight(_ result: LoadResult) throws {
        if result.wrong > 0 { throw WrongAnswers(result, server: "the server") }
        if result.refused > 0, result.refused == result.answersInAll {
            throw Failure(code: Exit.failed, message: "the server refused every request")
        }
    }

    private func summary(_ result: LoadResult, _ plan: LoadPlan, name: String) -> RunSummary {
        RunSummary(
            result, name: name, group: pace.ramp ? "ramp" : question.workload,
            parameters: plan.parameters + question.parameters + [.init("subjects", "\(target.subjects.value)")])
    }

    private func print(_ result: LoadResult, _ plan: LoadPlan, _ machine: MachineFacts) {
        Output.line(machineLine(machine))
        Output.line(
            (plan.parameters + question.parameters).map { "\($0.name) \($0.value)" }.joined(separator: ", ")
                + ", subjects \(target.subjects.value)")
        Output.line("")
        let all = result.operations.count > 1 ? [("all", result.latencies)] : []
        let kinds = all + result.operations.map { ($0.operation.name, $0.latencies) }
        let percentiles = [50, 90, 99, 99.9, 99.99, 100]
        var rows = [["µs", "", "P50", "P90", "P99", "P99.9", "P99.99", "MAX"]]
        for (name, latencies) in kinds {
            for (kind, histogram) in [("response", latencies.response), ("service", latencies.service)] {
                rows.append([name, kind] + percentiles.map { benchNumber(LoadResult.micros(histogram, $0)) })
            }
        }
        Output.table(rows)
        Output.line("")
        let server = result.serverNanosPerUnit.map {
            ", server \(benchNumber($0 / 1000)) µs a question, \(Int((result.serverShare ?? 0) * 100)) % of a processor"
        }
        Output.line(
            "\(benchNumber(result.perSecond)) answers/s, \(benchNumber(result.unitsPerSecond)) questions/s over "
                + "\(benchNumber(result.seconds)) s; \(result.answersInAll) answers judged, \(result.wrong) wrong, "
                + "\(result.refused) refused\(server ?? ""); generator "
                + "\(Int(result.generator.processorShare * 100)) % of a processor")
    }
}

/// Which server is loaded, and whom it knows.
struct LoadTarget: ParsableArguments {
    @Option(
        help: "A server that serves a prepared node, host:port, tls:host:port or unix:/path [default: one is started].")
    var server: String?

    @Option(help: "File with the token that --server asks for.") var tokenFile: String?

    @Option(help: "Folder of a prepared node, made if it is not there [default: a temporary one].") var data: String?

    @Option(help: "People in it, such as 10M.") var subjects = SubjectCount(100_000)

    @Flag(help: "Reach the server that is started by its Unix socket, not by TCP.") var unix = false

    @Flag(help: "Reach the server that is started by TLS, with a certificate that is made for it.") var tls = false

    @Option(
        help:
            "Certificates (PEM) of whom --server may be vouched for by [env: CONSENTD_TLS_CA; default: the machine's].")
    var tlsCa: String?

    @Option(help: "What the certificate of --server must be for [default: its address].") var tlsName: String?

    @Option(help: "Threads of the server that is started.") var serverLoops = 1

    func validate() throws {
        if server != nil, data != nil || unix || tls {
            throw ValidationError(
                "--data, --unix and --tls are about a server that this command starts; leave out --server")
        }
        if unix, tls { throw ValidationError("--unix and --tls are two ways of reaching one server; name one") }
        _ = try serverAddress()
        guard (1...256).contains(serverLoops) else { throw ValidationError("--server-loops is 1 to 256") }
    }

    func token() throws -> [UInt8] {
        guard let tokenFile else { return [] }
        let bytes = try File.read(tokenFile, sizeMax: 4096)
        return Array(bytes.prefix { $0 != UInt8(ascii: "\n") })
    }

    /// Of a server that runs already; nil where one is to be started.
    func serverAddress() throws -> SocketAddress? {
        try server.map { try readServer($0, of: "--server", zero: "names are not resolved, which would take time") }
    }
}

/// What is asked.
struct LoadQuestion: ParsableArguments {
    @Option(
        help: """
            check, check-many (one person, all purposes), batch (many people), explain, record (a durable event), or \
            several with weights, such as check:90,batch:5,record:5.
            """)
    var workload = "check"

    @Option(help: "People in a batch.") var batch = 100

    @Option(help: "Who is asked about: uniform, zipf:EXPONENT, or hot:SHARE-OF-KEYS:SHARE-OF-REQUESTS.")
    var keys = "uniform"

    @Option(help: "Share of the requests about people who refused.") var denied = 0.33

    @Option(help: "Share of the requests about people whom the server does not know.") var missing = 0.0

    func validate() throws {
        guard Workload(workload) != nil else {
            throw ValidationError("--workload: '\(workload)' is not a list such as check:95,record:5")
        }
        guard KeyDistribution(keys) != nil else {
            throw ValidationError("--keys: '\(keys)' is not uniform, zipf:0.99 or hot:0.01:0.9")
        }
        guard (1...10_000).contains(batch) else { throw ValidationError("--batch is 1 to 10000") }
        guard denied >= 0, missing >= 0, denied + missing <= 1 else {
            throw ValidationError("--denied and --missing are shares, together at most 1")
        }
    }

    /// It was judged when the command line was read.
    var parsed: Workload {
        var workload = Workload(workload) ?? Workload([.check: 1])
        workload.batchCount = batch
        return workload
    }

    func asking(subjects: Int, seed: UInt64) -> Asking {
        var asking = Asking(Population(subjects: subjects))
        asking.distribution = KeyDistribution(keys) ?? .uniform
        (asking.deniedShare, asking.missingShare, asking.seed) = (denied, missing, seed)
        return asking
    }

    var parameters: [RunSummary.Parameter] {
        [
            .init("workload", workload), .init("batch", "\(batch)"), .init("keys", keys),
            .init("denied", "\(denied)"), .init("missing", "\(missing)"),
        ]
    }
}

/// How it is sent.
struct LoadPace: ParsableArguments {
    @Option(help: "Connections.") var connections = 50

    @Option(
        help: "Requests in one write; with --rate, requests of a connection that may be unanswered [default: 1, 64].")
    var pipeline: Int?

    @Option(help: "Threads of the generator.") var threads = 1

    @Option(help: "Requests a second, by a timetable.") var rate: Double?

    @Flag(help: "With --rate: as independent people would come, not evenly.") var poisson = false

    @Flag(help: "Raise the rate until the server does not follow.") var ramp = false

    @Option(help: "Seconds that are measured, of each step with --ramp.") var seconds = 10.0

    @Option(help: "End after so many requests instead.") var count: Int?

    @Option(help: "Seconds before anything counts.") var warmUp = 1.0

    @Option(help: "Seed of all choices.") var seed: UInt64 = 11

    @Option(help: "Processors of the generator's threads, such as 0,1 [default: apart from the server's].")
    var pin: String?

    @Option(help: "Microseconds that the generator looks for answers before it blocks.") var spinMicros = 0

    @Option(help: "The same of the server that is started.") var serverSpinMicros = 0

    func validate() throws {
        if ramp, rate != nil || count != nil {
            throw ValidationError("--ramp finds the rate, step by step of --seconds")
        }
        if poisson, rate == nil, !ramp { throw ValidationError("--poisson belongs to --rate or --ramp") }
        if let pin, processors(pin) == nil { throw ValidationError("--pin: '\(pin)' is not a list such as 0,1") }
        guard serverSpinMicros >= 0 else { throw ValidationError("--server-spin-micros is 0 or more") }
        do {
            try plan(LoadPlan(.unix(path: "")), processors: []).validate()
        } catch {
            throw ValidationError("\(error)")
        }
    }

    private func processors(_ text: String) -> [Int]? {
        let parts = text.split(separator: ",", omittingEmptySubsequences: false)
        let numbers = parts.compactMap { Int($0) }.filter { (0..<System.processorCount).contains($0) }
        return numbers.count == parts.count ? numbers : nil
    }

    /// Where the generator runs; by default on the first processors, if one is left for the server.
    func generatorProcessors(isServerOurs: Bool) -> [Int] {
        if let pin { return processors(pin) ?? [] }
        return isServerOurs && System.processorCount > threads ? Array(0..<threads) : []
    }

    func plan(_ server: borrowing LoadServer) throws -> LoadPlan {
        var plan = plan(LoadPlan(server.address), processors: generatorProcessors(isServerOurs: server.isOurs))
        plan.tls = server.tls
        return plan
    }

    private func plan(_ plan: LoadPlan, processors: [Int]) -> LoadPlan {
        var plan = plan
        plan.threads = threads
        plan.connections = connections
        plan.pace = rate.map { .open(perSecond: $0, isPoisson: poisson) } ?? .closed
        plan.pipeline = pipeline ?? (rate == nil ? 1 : 64)
        plan.extent = count.map { .requests($0) } ?? .seconds(seconds)
        plan.warmUpSeconds = warmUp
        plan.seed = seed
        plan.processors = processors
        plan.spinMicros = spinMicros
        return plan
    }
}

/// The server that is loaded: one that is there, or one that is started on a prepared node.
struct LoadServer: ~Copyable {
    let address: SocketAddress
    /// Nil where it is reached without TLS.
    let tls: TLSPeer?
    private let own: OwnServer?

    var isOurs: Bool { own != nil }
    var processorNanos: Int64? { own?.processorNanos }

    init(_ target: LoadTarget, _ pace: LoadPace, temporaryFolder: String?) throws {
        if let address = try target.serverAddress() {
            let peer = try tlsPeer(of: address, name: target.tlsName, authorities: target.tlsCa)
            (self.address, tls, own) = (address, peer, nil)
            return
        }
        let path = target.data ?? (temporaryFolder ?? ".") + "/node"
        let node = try prepareNode(path, target.subjects)
        let generator = pace.generatorProcessors(isServerOurs: true)
        // The first that is left, where all loops of the server find room.
        let processor =
            generator.isEmpty || target.serverLoops > 1
            ? nil : (0..<System.processorCount).first { !generator.contains($0) }
        let server = try OwnServer(
            data: node.folder.path, catalog: try BenchCatalog(), processor: processor, loops: target.serverLoops,
            spinMicros: pace.serverSpinMicros, isTLS: target.tls)
        own = server
        address = target.unix ? server.unix ?? server.tcp : server.tls?.address ?? server.tcp
        tls = server.tls?.peer
    }

    borrowing func end() { own?.end() }
}
