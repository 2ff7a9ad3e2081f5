package import ConsentKernel
import Foundation

/// This very program, as a server or with another command.
package final class OwnServer: PeerServer {
    package let name = "consentd"
    package let tcp: SocketAddress
    package let unix: SocketAddress?
    /// Until it was ready, as it says itself.
    package let readyMillis: Double
    private let process: PeerProcess
    private let catalog: BenchCatalog

    /// - Parameters:
    ///   - data: the node's folder.
    ///   - spinMicros: of the server's idle strategy.
    package init(data: String, catalog: BenchCatalog, processor: Int?, loops: Int = 1, spinMicros: Int = 0) throws {
        self.catalog = catalog
        let spin = spinMicros > 0 ? ["--spin-micros", "\(spinMicros)"] : []
        process = try PeerProcess(
            Self.program(),
            ["serve", "--data", data, "--listen", "127.0.0.1:0", "--loops", "\(loops)", "--json"] + spin,
            processor: processor)
        let line = try "{" + process.line(after: "{")
        guard let object = try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any],
            let addresses = object["listening"] as? [String], let ready = object["readyMillis"] as? Double,
            let port = addresses.first?.split(separator: ":").last.flatMap({ UInt16($0) })
        else { throw PeerProcess.Failure.notReady("consentd") }
        tcp = .tcp(host: "127.0.0.1", port: port)
        unix = .unix(path: "\(data)/consentd.sock")
        readyMillis = ready
    }

    package static func program() throws -> String {
        try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
    }

    package var processorNanos: Int64 { process.processorNanos }

    package func run(_ plan: LoadPlan, _ question: PeerQuestion, asking: Asking) throws -> LoadResult? {
        var workload: Workload
        switch question {
        case .single: workload = Workload([.check: 1])
        case .many(let count):
            workload = Workload([.batch: 1])
            workload.batchCount = count
        case .record: workload = Workload([.record: 1])
        }
        return try run(plan, workload, asking: asking)
    }

    package func run(
        _ plan: LoadPlan, _ workload: Workload, asking: Asking, progress: (LoadProgress) -> Void = { _ in }
    ) throws -> LoadResult {
        let seed = freshSeed()
        return try LoadRun.run(
            plan, processorNanos: { self.processorNanos }, progress: progress,
            conversation: {
                ConsentConversation(workload, asking: asking, catalog: self.catalog, runSeed: seed, thread: $0)
            })
    }

    package func end() { process.end() }

    /// Runs a command of this program to its end.
    ///
    /// - Returns: the object that it printed.
    package static func run(_ arguments: [String]) throws -> (seconds: Double, object: [String: Any]) {
        let start = Clock.monotonicNanos()
        let process = Process()
        let output = Pipe()
        process.executableURL = URL(filePath: try program())
        process.arguments = arguments
        process.standardOutput = output
        try process.run()
        let data = output.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        guard process.terminationStatus == 0 else {
            throw PeerProcess.Failure.notReady("'consentd \(arguments.joined(separator: " "))'")
        }
        let object = try? JSONSerialization.jsonObject(with: data) as? [String: Any]
        return (Double(Clock.monotonicNanos() - start) / 1e9, object ?? [:])
    }
}
