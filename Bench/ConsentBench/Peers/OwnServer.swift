package import ConsentKernel
package import ConsentTLS
import Foundation

/// This very program, as a server or with another command.
package final class OwnServer: PeerServer {
    package let name = "consentd"
    package let tcp: SocketAddress
    package let unix: SocketAddress?
    /// Nil unless it was asked for.
    package let tls: (address: SocketAddress, peer: TLSPeer)?
    /// Until it was ready, as it says itself.
    package let readyMillis: Double
    private let process: PeerProcess
    private let catalog: BenchCatalog
    private let certificate: Certificate?

    /// - Parameters:
    ///   - data: the node's folder.
    ///   - spinMicros: of the server's idle strategy.
    ///   - isTLS: whether it listens with TLS too, by a certificate of its own.
    package init(
        data: String, catalog: BenchCatalog, processor: Int?, loops: Int = 1, spinMicros: Int = 0, isTLS: Bool = false
    ) throws {
        self.catalog = catalog
        let certificate = isTLS ? try Certificate() : nil
        self.certificate = certificate
        let spin = spinMicros > 0 ? ["--spin-micros", "\(spinMicros)"] : []
        process = try PeerProcess(
            Self.program(),
            ["serve", "--data", data, "--listen", "127.0.0.1:0", "--loops", "\(loops)", "--json"] + spin
                + (certificate?.arguments ?? []),
            processor: processor)
        let line = try "{" + process.line(after: "{")
        guard let object = try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any],
            let addresses = object["listening"] as? [String], let ready = object["readyMillis"] as? Double,
            let port = addresses.first?.split(separator: ":").last.flatMap({ UInt16($0) })
        else { throw PeerProcess.Failure.notReady("consentd") }
        tcp = .tcp(host: "127.0.0.1", port: port)
        unix = .unix(path: "\(data)/consentd.sock")
        if let certificate, addresses.count > 1,
            let port = addresses[1].split(separator: ":").last.flatMap({ UInt16($0) })
        {
            tls = (.tls(host: "127.0.0.1", port: port), certificate.peer)
        } else {
            tls = nil
        }
        readyMillis = ready
    }

    /// Files that are gone with it.
    private final class Certificate {
        private let folder: URL
        private let made = SelfSigned(names: ["IP:127.0.0.1"])

        init() throws {
            folder = FileManager.default.temporaryDirectory.appending(
                path: "consentd-bench-\(UUID().uuidString.prefix(8))")
            try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
            try File.replace(folder.path + "/certificate.pem", with: made.certificate)
            try File.replace(folder.path + "/key.pem", with: made.key, mode: 0o600)
        }

        deinit { try? FileManager.default.removeItem(at: folder) }

        var arguments: [String] {
            [
                "--listen", "tls:127.0.0.1:0", "--tls-certificate", folder.path + "/certificate.pem", "--tls-key",
                folder.path + "/key.pem",
            ]
        }

        var peer: TLSPeer { TLSPeer(name: "127.0.0.1", trusting: made) }
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
        return try LoadRun.ask(
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
        let process = try PeerProcess(program(), arguments, processor: nil, showsErrors: true)
        let (status, data) = process.wait()
        guard status == 0 else {
            throw PeerProcess.Failure.notReady("'consentd \(arguments.joined(separator: " "))'")
        }
        let object = try? JSONSerialization.jsonObject(with: data) as? [String: Any]
        return (Double(Clock.monotonicNanos() - start) / 1e9, object ?? [:])
    }
}
