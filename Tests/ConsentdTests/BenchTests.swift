import Foundation
import Testing

/// The load generator, from outside, on servers of its own.
struct BenchTests {
    private func run(_ arguments: [String]) async throws -> Binary.Run { try await Binary.run(["bench"] + arguments) }

    @Test(arguments: [
        ["--workload", "check"], ["--workload", "check-many", "--unix"], ["--workload", "batch", "--batch", "70"],
        ["--workload", "explain"], ["--workload", "record"],
        ["--workload", "check:20,check-many:5,batch:5,explain:5,record:5", "--keys", "zipf:0.9", "--missing", "0.2"],
        ["--rate", "2000", "--poisson", "--keys", "hot:0.1:0.9"], ["--threads", "2", "--pipeline", "8"],
    ])
    func everyAnswerOfASoundServerIsRight(_ options: [String]) async throws {
        let run = try await run(
            ["load", "--subjects", "600", "--count", "400", "--connections", "4", "--warm-up", "0", "--json"] + options)
        #expect(run.status == 0, "\(run)")
        let runs = try #require(run.objects.first?["runs"] as? [[String: Any]])
        #expect(runs.first?["wrong"] as? Int == 0 && runs.first?["refused"] as? Int == 0)
        #expect(runs.first?["answersInAll"] as? Int == 400)
        let machine = try #require(run.objects.first?["machine"] as? [String: Any])
        for fact in ["processor", "kernel", "cores", "buildMode", "commit"] { #expect(machine[fact] != nil, "\(fact)") }
    }

    @Test func aPreparedNodeIsUsedAgainAndAnotherOneIsLeftAlone() async throws {
        let folder = try Folder()
        let data = folder.path + "/people"
        let prepared = try await run(["prepare", "--data", data, "--subjects", "300"])
        #expect(prepared.status == 0, "\(prepared)")
        let options = ["load", "--data", data, "--count", "50", "--connections", "1", "--warm-up", "0"]
        let again = try await run(options + ["--subjects", "300"])
        #expect(again.status == 0 && again.output.contains("0 wrong"), "\(again)")
        let larger = try await run(options + ["--subjects", "400"])
        #expect(larger.status == 5 && larger.errors.contains("300"), "\(larger)")
        let club = try await folder.node()
        let taken = try await run(["prepare", "--data", club])
        #expect(taken.status == 5 && taken.errors.contains("stays as it is"), "\(taken)")
    }

    /// A server that knows other people would have every answer counted as wrong.
    @Test func aServerThatHoldsOtherPeopleIsNotLoaded() async throws {
        let folder = try Folder()
        let server = try Server(try await folder.node())
        let run = try await run(["load", "--server", server.address, "--subjects", "300"])
        #expect(run.status == 5 && run.errors.contains("bench prepare --subjects 300"), "\(run)")
    }

    @Test func aServerThatIsNotThereIsSaidToBe() async throws {
        let run = try await run(["load", "--server", "127.0.0.1:1", "--subjects", "300"])
        #expect(run.status == 3 || run.status == 4, "\(run)")
        #expect(run.errors.contains("127.0.0.1:1"), "\(run)")
    }

    /// Told to end while it makes its node, when its server has just been started, and later.
    @Test(arguments: [nil, 0, 5, 300]) func whatItStartedEndsWithIt(millisAfterTheStart: Int?) async throws {
        let folder = try Folder()
        let process = Binary.process(["bench", "load", "--seconds", "3000", "--subjects", "300", "--connections", "1"])
        process.environment?["TMPDIR"] = folder.path
        process.standardError = FileHandle.nullDevice
        process.standardOutput = FileHandle.nullDevice
        try process.run()
        func servers() -> [String] {
            let numbers = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []
            return numbers.filter { number in
                let line = FileManager.default.contents(atPath: "/proc/\(number)/cmdline") ?? Data()
                let text = String(decoding: line, as: UTF8.self)
                return text.contains("serve") && text.contains(folder.path)
            }
        }
        func files() -> [String] { (try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? [] }
        func hasBegun() -> Bool { millisAfterTheStart == nil ? !files().isEmpty : !servers().isEmpty }
        while !hasBegun(), process.isRunning { try await Task.sleep(for: .milliseconds(1)) }
        try await Task.sleep(for: .milliseconds(millisAfterTheStart ?? 0))
        process.terminate()
        process.waitUntilExit()
        #expect(process.terminationReason == .exit && process.terminationStatus == 3)
        #expect(files() == [])
        #expect(servers() == [])
    }

    @Test func aRampNamesTheKnee() async throws {
        let run = try await run([
            "load", "--ramp", "--seconds", "0.05", "--warm-up", "0.01", "--subjects", "300", "--connections", "2",
        ])
        #expect(run.status == 0 && run.output.contains("knee: "), "\(run)")
    }

    @Test func runsAreComparedInOneReport() async throws {
        let folder = try Folder()
        let report = folder.path + "/deep/report.html"
        let options = ["load", "--subjects", "300", "--count", "60", "--connections", "2", "--warm-up", "0"]
        let first = try await run(options + ["--name", "before", "--json", "--hgrm", folder.path + "/hgrm"])
        let json = try folder.write("before.json", Data(first.output.utf8))
        let second = try await run(options + ["--name", "after", "--report", report, "--beside", json])
        #expect(second.status == 0, "\(second)")
        let html = try String(contentsOfFile: report, encoding: .utf8)
        #expect(html.contains("before") && html.contains("after"))
        #expect(FileManager.default.fileExists(atPath: folder.path + "/hgrm/before.response.hgrm"))
        let both = try await run(["report", json, "--output", report])
        #expect(both.status == 0, "\(both)")
        let wrong = try await run(["report", report, "--output", folder.path + "/none.html"])
        #expect(wrong.status == 5 && wrong.errors.contains("--json"), "\(wrong)")
    }

    @Test func partsPrintAChecksumThatIsTheSameEachTime() async throws {
        func checksums() async throws -> [String: String] {
            let run = try await run(["micro", "--smoke", "--json"])
            #expect(run.status == 0, "\(run)")
            let parts = try #require(run.objects.first?["micro"] as? [[String: Any]])
            return Dictionary(
                uniqueKeysWithValues: parts.map { ($0["name"] as? String ?? "", $0["checksum"] as? String ?? "") })
        }
        let first = try await checksums()
        #expect(first.count == 9 && first.values.allSatisfy { !$0.isEmpty })
        #expect(try await checksums() == first)
    }

    /// What a peer lacks is said, and every row has its case.
    @Test func everyRowOfAComparisonHasItsCase() async throws {
        let run = try await run(["compare", "--smoke", "--json"])
        #expect(run.status == 0, "\(run)")
        let cases = try #require(run.objects.first?["cases"] as? [[String: Any]])
        #expect(Set(cases.compactMap { $0["row"] as? Int }) == Set(1...14))
        for item in cases {
            #expect(item["ratio"] is Double || item["reason"] is String, "\(item)")
            // On a machine that is busy, so short a run may end before the first answer.
            if let ratio = item["ratio"] as? Double { #expect(ratio >= 0, "\(item)") }
        }
    }
}
