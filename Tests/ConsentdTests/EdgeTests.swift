import ConsentKernel
import ConsentTestSupport
import Foundation
import Testing

/// Edges as somebody would run them: the real program, real sockets, real crashes.
struct EdgeTests {
    /// A program that serves, with what it last said to its standard error.
    private final class Running {
        let process: Process
        let address: String
        let firstLine: [String: Any]

        init(_ arguments: [String], sizeMaxBlocks: Int? = nil) throws {
            process = Binary.process(arguments + ["--loops", "1", "--json"])
            if let sizeMaxBlocks {
                process.arguments =
                    ["-c", "ulimit -f \(sizeMaxBlocks) && exec \"$0\" \"$@\"", Binary.url("consentd").path]
                    + arguments + ["--loops", "1", "--json"]
                process.executableURL = URL(filePath: "/bin/sh")
            }
            let output = Pipe()
            process.standardOutput = output
            process.standardError = FileHandle.nullDevice
            try process.run()
            var text = ""
            while !text.contains("\n") {
                let data = output.fileHandleForReading.availableData
                guard !data.isEmpty else { throw Server.Failure.ended }
                text += String(decoding: data, as: UTF8.self)
            }
            firstLine = try #require(JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any])
            address = try #require((firstLine["listening"] as? [String])?.first)
        }

        func kill() {
            Foundation.kill(process.processIdentifier, SIGKILL)
            process.waitUntilExit()
        }

        func end() -> Int32 {
            process.terminate()
            process.waitUntilExit()
            return process.terminationStatus
        }

        deinit { if process.isRunning { kill() } }
    }

    private let folder: Folder

    init() throws { folder = try Folder() }

    private func serve(_ data: String, at address: String = "127.0.0.1:0") throws -> Running {
        try Running(["serve", "--data", data, "--listen", address])
    }

    private func edge(
        _ name: String, of upstream: String, _ more: [String] = [], sizeMaxBlocks: Int? = nil
    ) throws -> Running {
        try Running(
            [
                "edge", "--data", "\(folder.path)/\(name)", "--upstream", upstream, "--listen", "127.0.0.1:0", "--name",
                name,
            ]
                + more, sizeMaxBlocks: sizeMaxBlocks)
    }

    private func grant(_ customer: String, at server: Running) async throws {
        let run = try await Binary.run(["grant", customer] + grantOfNewsletter + ["--server", server.address])
        #expect(run.status == 0, "\(run)")
    }

    private func withdraw(_ customer: String, at server: Running) async throws -> UInt64 {
        let run = try await Binary.run(["withdraw", customer, "-p", "newsletter", "--server", server.address, "--json"])
        return try #require(run.objects.first?["sequence"] as? NSNumber).uint64Value
    }

    private struct NoAnswer: Error {
        let run: Binary.Run
    }

    /// The first object that a command prints. A node that a busy machine lets welcome nobody in time is asked again.
    ///
    /// - Throws: ``NoAnswer``; nothing is recorded as an issue, so that it may be tried until it holds.
    private func answer(_ command: [String], of node: Running) async throws -> [String: Any] {
        var run = try await Binary.run(command + ["--server", node.address, "--json"])
        for _ in 0..<5 where run.objects.isEmpty {
            try await Task.sleep(for: .milliseconds(50))
            run = try await Binary.run(command + ["--server", node.address, "--json"])
        }
        guard let object = run.objects.first else { throw NoAnswer(run: run) }
        return object
    }

    private func status(_ node: Running) async throws -> [String: Any] { try await answer(["status"], of: node) }

    private func counter(_ name: String, _ node: Running) async throws -> UInt64 {
        try #require(try await answer(["stats"], of: node)[name] as? NSNumber, "\(name)").uint64Value
    }

    /// Decision and freshness, such as `granted live`.
    private func check(_ customer: String, at node: Running) async throws -> String {
        let run = try await Binary.run(["check", customer, "-p", "newsletter", "--server", node.address, "--json"])
        guard let answer = run.objects.first else { return run.errors }
        return "\(answer["decision"] ?? "") \(answer["freshness"] ?? "")"
    }

    /// Waits until something holds; what is asked for may not be there yet.
    private func eventually(
        _ what: String, sourceLocation: SourceLocation = #_sourceLocation, _ holds: () async throws -> Bool
    ) async throws {
        for _ in 0..<600 {
            if (try? await holds()) ?? false { return }
            try await Task.sleep(for: .milliseconds(50))
        }
        Issue.record("\(what) does not come to be", sourceLocation: sourceLocation)
    }

    private func isReady(_ node: Running) async throws -> Bool { try await status(node)["ready"] as? Bool == true }

    @Test func anEdgeFollowsAndItsEdgeToo() async throws {
        let node = try serve(try await folder.node())
        try await grant("customer:1", at: node)
        let first = try edge("first", of: node.address)
        let second = try edge("second", of: first.address)
        try await eventually("readiness") { try await self.isReady(second) }
        for edge in [first, second] { #expect(try await check("customer:1", at: edge) == "granted live") }
        let sequence = try await withdraw("customer:1", at: node)
        try await eventually("the withdrawal") { try await self.check("customer:1", at: second).hasPrefix("denied") }
        #expect(try await check("customer:1", at: first).hasPrefix("denied"))
        try await eventually("the acknowledgement") {
            let found = try await Binary.run(["enforced", "\(sequence)", "--server", node.address, "--json"])
            let edges = found.objects.first?["edges"] as? [[String: Any]] ?? []
            return found.status == 0 && edges.map { $0["name"] as? String } == ["first"]
                && edges[0]["answersByIt"] as? Bool == true && edges[0]["since"] is String
        }
        // On a busy machine an edge may be between two connections when it is asked.
        try await eventually("the same state at both ends") {
            let (above, below) = (try await self.status(node), try await self.status(second))
            return ["history", "deployment", "sequence", "digest"].allSatisfy { "\(above[$0]!)" == "\(below[$0]!)" }
        }
        let (above, below) = (try await status(node), try await status(second))
        #expect(above["role"] as? String == "authoritative" && below["role"] as? String == "edge")
        for field in ["history", "deployment", "sequence", "digest"] {
            #expect("\(above[field]!)" == "\(below[field]!)")
        }
        #expect((above["edges"] as? [[String: Any]])?.map { $0["name"] as? String } == ["first"])
        let middle = try await status(first)
        #expect((middle["edges"] as? [[String: Any]])?.map { $0["name"] as? String } == ["second"])
        #expect(try await Binary.run(["ping", "--ready", "--count", "1", "--server", second.address]).status == 0)
        #expect(second.end() == 0 && first.end() == 0 && node.end() == 0)
    }

    @Test func afterACrashItGoesOnFromItsFileWithoutASnapshot() async throws {
        let node = try serve(try await folder.node())
        try await grant("customer:1", at: node)
        let before = try edge("oslo", of: node.address)
        try await eventually("readiness") { try await self.isReady(before) }
        #expect(try await counter("edge_snapshots", before) == 1)
        before.kill()
        _ = try await withdraw("customer:1", at: node)
        let after = try edge("oslo", of: node.address)
        try await eventually("the withdrawal") { try await self.check("customer:1", at: after).hasPrefix("denied") }
        #expect(try await counter("edge_snapshots", after) == 0)
    }

    @Test func withoutItsUpstreamItAnswersFromItsFileAsLongAsThePurposeAllows() async throws {
        let node = try serve(try await folder.node())
        try await grant("customer:1", at: node)
        let before = try edge("oslo", of: node.address)
        try await eventually("readiness") { try await self.isReady(before) }
        node.kill()
        #expect(before.end() == 0)
        let after = try edge("oslo", of: node.address)
        #expect(after.firstLine["ready"] as? Bool == true)
        #expect(try await check("customer:1", at: after).hasPrefix("granted"))
        // The purpose may be stale for a quarter of an hour; others of the template may not.
        try await eventually("staleness") { try await self.check("customer:1", at: after) == "granted stale" }
        let closed = try await Binary.run([
            "check", "customer:1", "-p", "profiling", "--server", after.address, "--json",
        ])
        #expect(closed.objects.first?["freshness"] as? String == "unavailable", "\(closed)")
        let status = try await status(after)
        #expect(status["trouble"] is String)
    }

    @Test func whatHasNeverFollowedIsNotReadyAndSaysWhy() async throws {
        let edge = try edge("oslo", of: "127.0.0.1:1")
        #expect(edge.firstLine["ready"] as? Bool == false)
        try await eventually("trouble") { try await self.status(edge)["trouble"] is String }
        let status = try await status(edge)
        #expect((status["notReady"] as? String)?.contains("no snapshot") == true, "\(status)")
        #expect(try await counter("edge_files_unusable", edge) == 0)
        let ping = try await Binary.run(["ping", "--ready", "--count", "1", "--server", edge.address])
        #expect(ping.status == 3 && ping.errors.contains("no snapshot"), "\(ping)")
        #expect(try await Binary.run(["status", "--server", edge.address]).status == 3)
    }

    @Test func aProofThatIsMoreThanAFrameIsHandedOnWhole() async throws {
        let catalog = try folder.write("long.yaml", Data(LongCatalog.text.document.utf8))
        let node = try serve(try await folder.node(["--catalog", catalog]))
        let granted = try await Binary.run(LongCatalog.grant + ["--server", node.address])
        #expect(granted.status == 0, "\(granted)")
        let edge = try edge("forwarding", of: node.address, ["--forward-writes"])
        try await eventually("readiness") { try await self.isReady(edge) }
        let file = folder.path + "/proof.json"
        let made = try await Binary.run(["proof", "2", "--server", edge.address, "--output", file])
        #expect(made.status == 0, "\(made.errors)")
        let checked = try await Binary.run(["proof", "verify", file, "--json"])
        #expect(checked.status == 0 && checked.objects.first?["textShown"] as? Bool == true, "\(checked)")
    }

    @Test func changesAreRefusedWithTheAddressThatTakesThemOrHandedOn() async throws {
        let node = try serve(try await folder.node())
        try await grant("customer:1", at: node)
        let refusing = try edge("refusing", of: node.address)
        let forwarding = try edge("forwarding", of: node.address, ["--forward-writes"])
        for edge in [refusing, forwarding] { try await eventually("readiness") { try await self.isReady(edge) } }
        for command in [
            ["history", "customer:1"], ["withdraw", "customer:1", "-p", "newsletter"],
            ["audience", "-p", "newsletter"],
        ] {
            let refused = try await Binary.run(command + ["--server", refusing.address])
            #expect(refused.status == 3 && refused.errors.contains(node.address), "\(command): \(refused)")
        }
        let history = try await Binary.run(["history", "customer:1", "--server", forwarding.address, "--json"])
        #expect(history.objects.count == 1, "\(history)")
        _ = try await withdraw("customer:1", at: forwarding)
        #expect(try await check("customer:1", at: node).hasPrefix("denied"))
        try await eventually("the way back") { try await self.check("customer:1", at: forwarding).hasPrefix("denied") }
        node.kill()
        let lost = try await Binary.run(["withdraw", "customer:1", "-p", "newsletter", "--server", forwarding.address])
        #expect(lost.status != 0 && lost.errors.contains("upstream"), "\(lost)")
    }

    // MARK: Bad input

    @Test func anUpstreamOfAnotherDeploymentIsNotFollowed() async throws {
        let node = try serve(try await folder.node())
        let edge = try edge("oslo", of: node.address, ["--deployment", String(repeating: "ab", count: 16)])
        try await eventually("trouble") {
            (try await self.status(edge)["trouble"] as? String)?.contains("deployment") == true
        }
        #expect(try await isReady(edge) == false)
        #expect(try await counter("edge_refusals", edge) > 0)
    }

    @Test func anotherHistoryTakesTheRowsPlaceOnlyWhenSomebodySaysSo() async throws {
        let node = try serve(try await folder.node(["--deployment", String(repeating: "ab", count: 16)]))
        try await grant("customer:1", at: node)
        let first = try edge("oslo", of: node.address)
        try await eventually("readiness") { try await self.isReady(first) }
        node.kill()
        let other = folder.path + "/other"
        let made = try await Binary.run(["init", "--data", other, "--deployment", String(repeating: "ab", count: 16)])
        #expect(made.status == 0, "\(made)")
        let usurper = try serve(other, at: node.address)
        try await eventually("the verdict") {
            (try await self.status(first)["trouble"] as? String)?.contains("another history") == true
        }
        #expect(try await counter("edge_upstream_held", first) == 1)
        // What it has goes on to answer within its limits.
        #expect(try await check("customer:1", at: first).hasPrefix("granted"))
        #expect(first.end() == 0)
        let obedient = try edge("oslo", of: usurper.address, ["--start-over"])
        try await eventually("the new history") {
            let (above, below) = (try await self.status(usurper), try await self.status(obedient))
            return above["history"] as? String == below["history"] as? String
        }
        #expect(try await check("customer:1", at: obedient).hasPrefix("unknown"))
    }

    @Test func whatIsDamagedOnTheWayIsCountedAndAskedForAgain() async throws {
        let data = try await folder.node()
        let register = folder.path + "/register.csv"
        #expect(try await Binary.run(["sample-register", register, "--subjects", "20000"]).status == 0)
        #expect(try await Binary.run(["import", register, "--data", data]).status == 0)
        let node = try serve(data)
        let port = try #require(UInt16(node.address.split(separator: ":").last ?? ""))
        let proxy = try FaultProxy(to: .tcp(host: "127.0.0.1", port: port), seed: 1)
        defer { proxy.stop() }
        proxy.set(.corrupt(oneIn: 200_000))
        let edge = try edge("oslo", of: "\(proxy.address)")
        try await eventually("damage") { try await self.counter("edge_damaged_messages", edge) > 0 }
        proxy.set(.none)
        try await eventually("agreement") {
            let (above, below) = (try await self.status(node), try await self.status(edge))
            return below["ready"] as? Bool == true && "\(above["digest"]!)" == "\(below["digest"]!)"
        }
    }

    @Test func aSnapshotLargerThanTheDiskIsSaidAndAnswersNothing() async throws {
        let data = try await folder.node()
        let register = folder.path + "/register.csv"
        #expect(try await Binary.run(["sample-register", register, "--subjects", "20000"]).status == 0)
        #expect(try await Binary.run(["import", register, "--data", data]).status == 0)
        let node = try serve(data)
        // 256 KiB in blocks of 512 bytes: room for an empty index and for the catalog.
        let edge = try edge("oslo", of: node.address, sizeMaxBlocks: 512)
        try await eventually("trouble") { try await self.counter("edge_storage_failures", edge) > 0 }
        let status = try await status(edge)
        #expect((status["trouble"] as? String)?.contains("cannot be kept") == true, "\(status)")
        #expect(status["ready"] as? Bool == false)
        #expect(edge.end() == 0)
        let roomy = try self.edge("oslo", of: node.address)
        try await eventually("readiness") { try await self.isReady(roomy) }
    }

    @Test func aFileOfAnotherFormatIsMadeAnewAndSaysSo() async throws {
        let node = try serve(try await folder.node())
        try await grant("customer:1", at: node)
        let before = try edge("oslo", of: node.address)
        try await eventually("readiness") { try await self.isReady(before) }
        #expect(before.end() == 0)
        let index = folder.path + "/oslo/index/"
        let name = try FileManager.default.destinationOfSymbolicLink(atPath: index + "current")
        let file = try FileHandle(forUpdating: URL(filePath: index + name))
        try file.seek(toOffset: 8)
        try file.write(contentsOf: Data([9, 0, 0, 0, 0, 0, 0, 0]))
        try file.close()
        node.kill()
        let alone = try edge("oslo", of: node.address)
        let status = try await status(alone)
        #expect(status["ready"] as? Bool == false, "\(status)")
        #expect(alone.firstLine["ready"] as? Bool == false)
        #expect((alone.firstLine["notReady"] as? String)?.contains("format version 9") == true, "\(alone.firstLine)")
        #expect(try await counter("edge_files_unusable", alone) == 1)
        #expect(alone.end() == 0)
        let again = try serve(folder.path + "/node")
        let renewed = try edge("oslo", of: again.address)
        try await eventually("readiness") { try await self.isReady(renewed) }
        #expect(try await check("customer:1", at: renewed) == "granted live")
    }

    @Test func aNodesFolderIsNotAnEdges() async throws {
        let run = try await Binary.run(["edge", "--data", try await folder.node(), "--upstream", "127.0.0.1:1"])
        #expect(run.status == 5 && run.errors.contains("has a ledger"), "\(run)")
        let edge = try edge("oslo", of: "127.0.0.1:1")
        let command = try await Binary.run(["verify", "--data", folder.path + "/oslo"])
        #expect(command.status == 4 && command.errors.contains("edge"), "\(command)")
        let second = try await Binary.run(["edge", "--data", folder.path + "/oslo", "--upstream", "127.0.0.1:1"])
        #expect(second.status == 4 && second.errors.contains("another process"), "\(second)")
        #expect(edge.end() == 0)
    }

    /// Crashes, and a network that delays, cuts, swallows and corrupts, while an oracle judges every answer.
    @Test func underFaultsNothingIsGrantedThatMustNotBeAndAllAgreeInTheEnd() async throws {
        let run = try await Binary.run(["--seconds", "20"], name: "consent-soak")
        #expect(run.status == 0, "\(run.output)\n\(run.errors)")
    }
}
