import ConsentClient
import Foundation
import GRDB
import Synchronization
import Testing

/// The real server, from outside.
struct ServerTests {
    private func connect(_ server: Server) async throws -> ConsentClient {
        var options = ClientOptions()
        options.reconnects = false
        options.requestTimeout = .seconds(60)
        return try await ConsentClient.connect(to: try #require(Endpoint(server.address)), options: options)
    }

    private func grant(_ number: Int) throws -> ConsentAct {
        var act = ConsentAct(try .customer("c\(number)"), purpose: "newsletter", state: .given)
        act.declaration = "club-membership-marketing"
        act.revision = "1.2"
        act.language = "nb"
        act.method = .doubleOptIn
        return act
    }

    /// Kills the server in the middle of many writes, again and again: whatever was acknowledged is there afterwards.
    private final class Recorded: Sendable {
        let count = Atomic<Int>(0)
    }

    @Test func nothingAcknowledgedIsLostWhenTheServerIsKilled() async throws {
        let folder = try Folder()
        let data = try await folder.node()
        var acknowledged: [Int] = []
        var next = 0
        for round in 0..<5 {
            let server = try Server(data)
            let client = try await connect(server)
            let begin = next
            let recorded = Recorded()
            let killer = Task.detached { [pid = server.process.processIdentifier] in
                try await Task.sleep(for: .milliseconds(150 + 90 * round))
                // On a busy machine little is acknowledged in that time.
                for _ in 0..<12_000 where recorded.count.load(ordering: .relaxed) < 12 {
                    try await Task.sleep(for: .milliseconds(5))
                }
                kill(pid, SIGKILL)
            }
            acknowledged += await withTaskGroup(of: [Int].self) { group in
                for worker in 0..<8 {
                    group.addTask {
                        var done: [Int] = []
                        for step in 0..<100_000 {
                            let number = begin + step * 8 + worker
                            guard let act = try? grant(number),
                                let outcome = try? await client.record([act]).first, outcome.isRecorded
                            else { break }
                            done.append(number)
                            recorded.count.add(1, ordering: .relaxed)
                        }
                        return done
                    }
                }
                return await group.reduce(into: []) { $0 += $1 }
            }
            try await killer.value
            await client.close()
            server.process.waitUntilExit()
            next = begin + 10_000_000
        }
        #expect(acknowledged.count > 50)
        let server = try Server(data)
        let client = try await connect(server)
        let subjects = try acknowledged.map { try Subject.customer("c\($0)") }
        let answer = try await client.check(subjects, purpose: "newsletter")
        #expect(answer.grantedCount == acknowledged.count)
        await client.close()
        #expect(server.end() == 0)
        let verified = try await Binary.run(["verify", "--data", data])
        #expect(verified.status == 0, "\(verified)")
    }

    @Test func aServerThatIsToldToEndFinishesAndLeavesACleanIndex() async throws {
        let folder = try Folder()
        let data = try await folder.node()
        let server = try Server(data)
        let client = try await connect(server)
        #expect(try await client.record([grant(1)]).first?.isRecorded == true)
        #expect(server.end() == 0)
        await client.close()
        let again = try Server(data)
        #expect(again.firstLine["recovery"] as? String == "the index was up to date")
    }

    @Test func aDamagedIndexIsRebuiltAndSaidSo() async throws {
        let folder = try Folder()
        let data = try await folder.node()
        _ = try await Binary.run(["grant", "customer:1", "--data", data] + grantOfNewsletter)
        let current = data + "/index/current"
        let file = try #require(FileHandle(forWritingAtPath: current))
        try file.write(contentsOf: Data(repeating: 0xAA, count: 512))
        try file.close()
        let server = try Server(data)
        #expect((server.firstLine["recovery"] as? String ?? "").contains("rebuilt"))
        #expect(
            try await Binary.run(["check", "customer:1", "-p", "newsletter", "--server", server.address]).status == 0)
    }

    @Test func aDamagedLedgerStopsTheServerWhichSaysWhereAndStaysDown() async throws {
        let folder = try Folder()
        let data = try await folder.node()
        _ = try await Binary.run(["grant", "customer:1", "--data", data] + grantOfNewsletter)
        let server = try Server(data, errors: folder.path + "/errors")
        var patient = Configuration()
        patient.busyMode = .timeout(5)
        try await DatabaseQueue(path: data + "/ledger.sqlite", configuration: patient).write { database in
            try database.execute(sql: "UPDATE event SET personal = x'00' WHERE sequence = 2")
        }
        let asked = try await Binary.run(["history", "customer:1", "--data", data])
        #expect(asked.status == 6 && asked.errors.contains("event 2"), "\(asked)")
        server.process.waitUntilExit()
        #expect(server.process.terminationStatus == 6)
        let said = try String(contentsOfFile: folder.path + "/errors", encoding: .utf8)
        #expect(said.contains("damaged at event 2"), "\(said)")
        for command in [["serve", "--listen", "none"], ["check", "customer:1", "-p", "newsletter"], ["stats"]] {
            let again = try await Binary.run(command + ["--data", data])
            #expect(again.status == 6 && again.errors.contains("event 2"), "\(again)")
        }
    }

    @Test func aLedgerThatCannotBeWrittenIsAnsweredInSecondsAndLoggedOnce() async throws {
        let folder = try Folder()
        let data = try await folder.node()
        _ = try await Binary.run(["grant", "customer:1", "--data", data] + grantOfNewsletter)
        let server = try Server(data, errors: folder.path + "/errors")
        var patient = Configuration()
        patient.busyMode = .timeout(5)
        func change(_ statement: String) async throws {
            let queue = try DatabaseQueue(path: data + "/ledger.sqlite", configuration: patient)
            try await queue.writeWithoutTransaction { try $0.execute(sql: statement) }
        }
        try await change("ALTER TABLE derived_file RENAME TO hidden")
        for command in [["withdraw", "customer:1", "-p", "newsletter"], ["history", "customer:1"]] {
            let begin = ContinuousClock.now
            let run = try await Binary.run(command + ["--data", data])
            #expect(run.status == 3 && run.errors.contains("the ledger cannot be used now"), "\(run)")
            // Of the 60 seconds that a command waits for a server that is busy.
            #expect(ContinuousClock.now - begin < .seconds(30))
        }
        try await change("ALTER TABLE hidden RENAME TO derived_file")
        #expect(try await Binary.run(["withdraw", "customer:1", "-p", "newsletter", "--data", data]).status == 0)
        #expect(server.end() == 0)
        let said = try String(contentsOfFile: folder.path + "/errors", encoding: .utf8)
        #expect(said.components(separatedBy: "cannot be used now").count == 2, "\(said)")
        #expect(said.contains("can be used again"), "\(said)")
    }

    @Test func anIndexThatIsCutShortEndsTheServerWhichSaysWhichFile() async throws {
        let folder = try Folder()
        let data = try await folder.node()
        _ = try await Binary.run(["grant", "customer:1", "--data", data] + grantOfNewsletter)
        let server = try Server(data, errors: folder.path + "/errors")
        try FileHandle(forWritingTo: URL(filePath: data + "/index/current")).truncate(atOffset: 0)
        server.process.waitUntilExit()
        #expect(server.process.terminationReason == .exit && server.process.terminationStatus == 3)
        let said = try String(contentsOfFile: folder.path + "/errors", encoding: .utf8)
        #expect(said.contains("/index/generation-") && said.contains("cut short"), "\(said)")
        #expect(said.split(separator: "\n").count == 1, "\(said)")
        let again = try Server(data)
        #expect((again.firstLine["recovery"] as? String)?.contains("rebuilt") == true)
        #expect(try await Binary.run(["check", "customer:1", "-p", "newsletter", "--data", data]).status == 0)
        #expect(again.end() == 0)
    }

    @Test func aRebuildOfANodeThatIsClosedAsDamagedSaysSo() async throws {
        let folder = try Folder()
        let data = try await folder.node()
        _ = try await Binary.run(["grant", "customer:1", "--data", data] + grantOfNewsletter)
        try await DatabaseQueue(path: data + "/ledger.sqlite").write { database in
            try database.execute(sql: "UPDATE event SET actor = 'other' WHERE sequence = 2")
        }
        let opened = try await Binary.run(["check", "customer:1", "-p", "newsletter", "--data", data])
        #expect(opened.status == 6 && FileManager.default.fileExists(atPath: data + "/damage"), "\(opened)")
        let rebuilt = try await Binary.run(["rebuild", "--data", data])
        #expect(rebuilt.status == 6 && rebuilt.errors.contains("event 2"), "\(rebuilt)")
        #expect(rebuilt.errors.contains("Restore a backup"), "\(rebuilt)")
    }

    @Test func aTokenIsWantedWhereThereIsOne() async throws {
        let folder = try Folder()
        let data = try await folder.node(["--token"])
        let server = try Server(data)
        await #expect(throws: ConsentClientError.self) { try await connect(server) }
        let run = try await Binary.run(
            ["check", "customer:1", "-p", "newsletter", "--server", server.address, "--data", data])
        #expect(run.status == 2, "\(run)")
    }

    @Test func withoutATokenItListensOnThisMachineOnly() async throws {
        let folder = try Folder()
        let data = try await folder.node()
        let run = try await Binary.run(["serve", "--data", data, "--listen", "0.0.0.0:0"])
        #expect(run.status == 3 && run.errors.contains("token"), "\(run)")
    }

    @Test func aTokenFileThatOthersMayReadIsRefused() async throws {
        let folder = try Folder()
        let data = try await folder.node(["--token"])
        chmod(data + "/token", 0o644)
        let run = try await Binary.run(["serve", "--data", data, "--listen", "none"])
        #expect(run.status == 3 && run.errors.contains("chmod 600"), "\(run)")
    }

    @Test func twoServersOnOneFolderAreRefused() async throws {
        let folder = try Folder()
        let data = try await folder.node()
        let server = try Server(data)
        let second = try await Binary.run(["serve", "--data", data, "--listen", "none"])
        #expect(second.status == 4 && second.errors.contains("another process"), "\(second)")
        #expect(server.end() == 0)
    }

    /// Or the kernel would hand each of them some of the connections, and people would be asked about in the wrong one.
    @Test func twoServersOnOneAddressAreRefused() async throws {
        let (first, second) = (try Folder(), try Folder())
        let server = try Server(try await first.node())
        let port = try #require(server.address.split(separator: ":").last)
        let data = try await second.node(["--token"])
        for address in [server.address, "0.0.0.0:\(port)"] {
            let run = try await Binary.run(["serve", "--data", data, "--listen", address])
            #expect(run.status == 3 && run.errors.contains("in use"), "\(run)")
        }
        #expect(server.end() == 0)
    }

    @Test func commandsOnOneFolderWaitForEachOther() async throws {
        let folder = try Folder()
        let data = try await folder.node()
        try await withThrowingTaskGroup { group in
            for number in 0..<6 {
                group.addTask {
                    let run = try await Binary.run(
                        ["grant", "customer:\(number)", "--data", data] + grantOfNewsletter)
                    #expect(run.status == 0, "\(run)")
                }
            }
            try await group.waitForAll()
        }
        let check = try await Binary.run(
            ["check"] + (0..<6).map { "customer:\($0)" } + ["-p", "newsletter", "--data", data])
        #expect(check.status == 0, "\(check)")
    }

    @Test func commandsTalkToTheServerThatRunsOnTheFolder() async throws {
        let folder = try Folder()
        let data = try await folder.node()
        let server = try Server(data)
        #expect(try await Binary.run(["grant", "customer:1", "--data", data] + grantOfNewsletter).status == 0)
        #expect(
            try await Binary.run(["check", "customer:1", "-p", "newsletter", "--server", server.address]).status == 0)
        #expect(try await Binary.run(["verify", "--data", data]).status == 0)
        #expect(try await Binary.run(["rebuild", "--data", data]).status == 4)
    }

    /// More people at the door than there are descriptors: they wait, and are let in when others have gone.
    @Test func aServerWithoutDescriptorsGoesOnWhenThereAreSomeAgain() async throws {
        let folder = try Folder()
        let data = try await folder.node()
        let server = try Server(data, ["--loops", "1"], descriptorsMax: 90)
        let first = try await connect(server)
        let port = try #require(server.address.split(separator: ":").last.flatMap { UInt16($0) })
        let crowd = (0..<120).map { _ in connectedSocket(port) }
        #expect(crowd.allSatisfy { $0 >= 0 })
        // Those who are in are served all the while, also where index and keys have to grow for them.
        for round in 0..<3 {
            let acts = try (0..<1000).map { try grant(round * 1000 + $0) }
            #expect(try await first.record(acts).allSatisfy(\.isRecorded))
            try await Task.sleep(for: .milliseconds(300))
        }
        for socket in crowd { close(socket) }
        let later = try await connect(server)
        #expect(try await later.check(.customer("c1"), purpose: "newsletter").isGranted)
        await later.close()
        await first.close()
        #expect(server.end() == 0)
    }

    /// The kernel would go on handing connections to a loop that is not there, and nobody would answer them.
    @Test func aServerThatCannotRunAllItsLoopsStops() async throws {
        let folder = try Folder()
        let data = try await folder.node()
        for descriptors in 16...36 {
            let errors = folder.path + "/errors"
            _ = FileManager.default.createFile(atPath: errors, contents: nil)
            let process = Binary.process(
                ["serve", "--data", data, "--listen", "127.0.0.1:0", "--loops", "4"], descriptorsMax: descriptors)
            let output = Pipe()
            process.standardOutput = output
            process.standardError = try FileHandle(forWritingTo: URL(filePath: errors))
            try process.run()
            // Until it says where it listens, or ends: before that, a signal would kill it.
            _ = output.fileHandleForReading.availableData
            for _ in 0..<10 where process.isRunning { try await Task.sleep(for: .milliseconds(50)) }
            if process.isRunning { process.terminate() }
            process.waitUntilExit()
            let said = try String(contentsOfFile: errors, encoding: .utf8)
            #expect(
                process.terminationStatus == (said.contains("Too many open files") ? 3 : 0), "\(descriptors): \(said)")
        }
    }

    /// As where `consentd serve 2>&1 | tee log` is ended with Ctrl-C, which ends `tee` too.
    @Test func aServerWhoseLogNobodyReadsDrainsAllTheSame() async throws {
        let folder = try Folder()
        let process = Binary.process(["serve", "--data", try await folder.node(), "--listen", "none"])
        let (output, log) = (Pipe(), Pipe())
        process.standardOutput = output
        process.standardError = log
        try process.run()
        var said = ""
        while !said.contains("ready") {
            let more = output.fileHandleForReading.availableData
            guard !more.isEmpty else { break }
            said += String(decoding: more, as: UTF8.self)
        }
        try log.fileHandleForReading.close()
        process.terminate()
        process.waitUntilExit()
        #expect(process.terminationReason == .exit && process.terminationStatus == 0)
    }

    @Test func theServersSocketIsForOwnerAndGroup() async throws {
        let folder = try Folder()
        let data = try await folder.node()
        let server = try Server(data)
        var status = stat()
        #expect(stat(data + "/consentd.sock", &status) == 0)
        #expect(status.st_mode & 0o777 == 0o660)
        #expect(server.end() == 0)
    }

    private func connectedSocket(_ port: UInt16) -> Int32 {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = inet_addr("127.0.0.1")
        let socket = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        let status = withUnsafePointer(to: &address) { address in
            address.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                Foundation.connect(socket, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        return status == 0 ? socket : -1
    }

    @Test func theClientsSampleRuns() async throws {
        let folder = try Folder()
        let server = try Server(try await folder.node())
        let run = try await Binary.run([server.address], name: "consent-client-sample")
        #expect(run.status == 0 && run.output.contains("granted"), "\(run)")
    }
}
