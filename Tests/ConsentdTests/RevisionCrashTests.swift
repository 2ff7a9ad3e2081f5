import Foundation
import Testing

/// A revision that asks everybody again, and a process that is killed somewhere on the way.
struct RevisionCrashTests {
    @Test func afterAKillAnywhereEverybodyIsAskedAgainOrNobody() async throws {
        let folder = try Folder()
        let data = try await folder.node()
        let register = folder.path + "/register.csv"
        _ = try await Binary.run(["sample-register", register, "--subjects", "4000"])
        _ = try await Binary.run(["import", register, "--data", data])
        let template = try await Binary.run(["catalog", "template"]).output
        // One to agree to: the sample's revisions are older.
        let ola = ["grant", "customer:ola", "--data", data] + grantOfNewsletter
        #expect(try await Binary.run(ola).status == 0)

        var document = template
        for round in 0..<6 {
            let granted = try await audience(data)
            #expect(granted > 0)
            let next = try appending("9.\(round)", to: document)
            let path = try folder.write("next\(round).yaml", Data(next.utf8))
            let server = try Server(data)
            let apply = Binary.process(["catalog", "apply", path, "--data", data])
            (apply.standardOutput, apply.standardError) = (FileHandle.nullDevice, FileHandle.nullDevice)
            try apply.run()
            // From before it is asked until after it has answered.
            try await Task.sleep(for: .milliseconds(15 * round))
            server.kill()
            apply.waitUntilExit()

            let isApplied = try await version(data) == round + 2
            let left = try await audience(data)
            #expect(left == (isApplied ? 0 : granted), "round \(round): \(left) of \(granted)")
            let verified = try await Binary.run(["verify", "--data", data])
            #expect(verified.status == 0, "\(verified)")
            if !isApplied { _ = try await Binary.run(["catalog", "apply", path, "--data", data]) }
            #expect(try await audience(data) == 0)
            document = next
            let again =
                ["grant", "customer:ola", "--data", data] + grantOfNewsletter.map { $0 == "1.2" ? "9.\(round)" : $0 }
            #expect(try await Binary.run(again).status == 0)
        }
    }

    private func version(_ data: String) async throws -> Int {
        let stats = try await Binary.run(["stats", "--data", data, "--json"])
        return try #require(stats.objects.first?["catalog_version"] as? Int)
    }

    private func audience(_ data: String) async throws -> Int {
        let counted = try await Binary.run(["audience", "-p", "newsletter", "--count", "--data", data, "--json"])
        return try #require(counted.objects.first?["granted"] as? Int, "\(counted)")
    }

    /// A later revision of the marketing declaration, like its last one, that nothing carries over to.
    private func appending(_ name: String, to document: String) throws -> String {
        let lines = document.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
        let begin = try #require(lines.firstIndex { $0.contains("- revision: \"1.2\"") })
        let end = try #require(lines.firstIndex { $0.contains("# A declaration of its own: health data") })
        let copy = lines[begin..<end].prefix { !$0.contains("- revision: \"9.") }.map { line in
            line.replacingOccurrences(of: "\"1.2\"", with: "\"\(name)\"")
                .replacingOccurrences(
                    of: "effectiveAt: 2026-03-01",
                    with:
                        "effectiveAt: \(Date.now.formatted(Date.ISO8601FormatStyle(includingFractionalSeconds: true)))")
        }
        return (lines[..<end] + copy + lines[end...]).joined(separator: "\n")
    }
}
