import Foundation
import Testing

/// Erasure from outside: what the certificate says is so, also where the server ends in the middle.
struct ErasureCommandTests {
    private static let names = ["email:kari.nordmann@example.no", "customer:kari-100001", "national_id:01018012345"]
    private static let values = ["kari.nordmann@example.no", "kari-100001", "01018012345", "the note about Kari"]

    private func club() async throws -> (folder: Folder, data: String) {
        let folder = try Folder()
        let data = try await folder.node()
        for (names, note) in [(Self.names, "the note about Kari"), (["email:ola@example.no"], "another note")] {
            let run = try await Binary.run(
                ["grant"] + names + ["--data", data, "--evidence", note] + grantOfNewsletter)
            #expect(run.status == 0, "\(run)")
        }
        let object = try await Binary.run(["object", Self.names[1], "-p", "register-cleaning", "--data", data])
        #expect(object.status == 0, "\(object)")
        return (folder, data)
    }

    /// Files below a folder that hold one of the values.
    private func traces(of values: [String], in data: String) throws -> [String] {
        let files = FileManager.default.enumerator(at: URL(filePath: data), includingPropertiesForKeys: nil)
        return try (files?.compactMap { $0 as? URL } ?? []).filter { url in
            guard try url.resourceValues(forKeys: [.isRegularFileKey]).isRegularFile == true else { return false }
            let content = try Data(contentsOf: url)
            return values.contains { content.range(of: Data($0.utf8)) != nil }
        }.map(\.lastPathComponent)
    }

    private func erase(_ name: String, _ data: String, _ more: String...) async throws -> Binary.Run {
        try await Binary.run(["erase", name, "--reason", "consent_withdrawn", "--data", data] + more)
    }

    @Test func theCertificateSaysWhatWasErasedAndTheFilesBearItOut() async throws {
        let (folder, data) = try await club()
        let certificate = folder.path + "/kari.json"
        let run = try await erase(Self.names[0], data, "--as", "clerk-7", "--json", "--certificate", certificate)
        #expect(run.status == 0, "\(run)")
        let object = try #require(run.objects.first)
        #expect(object["emptiedEvents"] as? Int == 2 && object["repeated"] as? Bool == false)
        #expect(object["reason"] as? String == "consent_withdrawn" && object["by"] as? String == "clerk-7")
        #expect(object["objectionsKept"] as? [String] == ["register-cleaning"])
        #expect((object["suppressed"] as? [[String: Any]])?.count == 3)
        let traces = try #require(object["traces"] as? [String: Any])
        #expect(traces["state"] as? String == "gone" && (traces["files"] as? Int ?? 0) >= 5, "\(traces)")
        #expect(try self.traces(of: Self.values, in: data) == [])
        let written = try JSONSerialization.jsonObject(with: Data(contentsOf: URL(filePath: certificate)))
        #expect((written as? [String: Any])?["hash"] as? String == object["hash"] as? String)
        #expect(try !self.traces(of: Self.values, in: folder.path).contains("kari.json"), "it names nobody")
        let mode = try FileManager.default.attributesOfItem(atPath: certificate)[.posixPermissions] as? Int
        #expect(mode == 0o600)
        let verified = try await Binary.run(["verify", "--data", data, "--json"])
        #expect(verified.status == 0, "\(verified)")
    }

    @Test func anotherPersonsNoteThatSaysTheSameIsFoundAndTold() async throws {
        let (folder, data) = try await club()
        defer { withExtendedLifetime(folder) {} }
        let same = ["grant", "customer:9", "--evidence", "the note about Kari", "--data", data]
        #expect(try await Binary.run(same + grantOfNewsletter).status == 0)
        let run = try await erase(Self.names[0], data)
        #expect(run.status == 3 && run.output.contains("evidence in ledger.sqlite"), "\(run)")
    }

    @Test func whatIsAskedAfterwardsIsUnknownAndTheObjectionStands() async throws {
        let (folder, data) = try await club()
        defer { withExtendedLifetime(folder) {} }
        let server = try Server(data)
        _ = try await erase(Self.names[1], data)
        for name in Self.names {
            let check = try await Binary.run(["check", name, "-p", "newsletter", "--data", data])
            #expect(check.status == 2, "\(check)")
            let objected = try await Binary.run(["check", name, "-p", "register-cleaning", "--data", data])
            #expect(objected.status == 1, "\(objected)")
        }
        let history = try await Binary.run(["history", Self.names[0], "--data", data, "--json"])
        #expect(history.status == 0 && history.objects.isEmpty, "\(history)")
        let explained = try await Binary.run(["explain", Self.names[0], "-p", "newsletter", "--data", data, "--json"])
        #expect(explained.objects.first?["reason"] as? String == "erased", "\(explained)")
        #expect(server.end() == 0)
    }

    @Test func aRegisterThatIsImportedLaterDoesNotBringThePersonBack() async throws {
        let (folder, data) = try await club()
        _ = try await erase(Self.names[0], data)
        let register = try folder.write(
            "old.csv",
            Data(
                """
                email,purpose,state,captured_at,declaration,revision,language,method
                kari.nordmann@example.no,newsletter,given,2026-11-20,club-membership-marketing,1.2,nb,paper
                new@example.no,newsletter,given,2026-11-20,club-membership-marketing,1.2,nb,paper

                """.utf8))
        let run = try await Binary.run(["import", register, "--data", data, "--json"])
        let report = try #require(run.objects.last)
        #expect(report["rejected"] as? Int == 1, "\(run)")
        #expect((report["rejectedByRule"] as? [String: Any])?["personErased"] as? Int == 1, "\(report)")
        #expect(try traces(of: ["kari.nordmann@example.no"], in: data) == [])
        try await Binary.expectRefused(["erase", "email:nobody@example.no", "--reason", "objection", "--data", data])
    }

    @Test func aServerThatIsKilledLeavesNothingBehindOnceItRunsAgain() async throws {
        let (folder, data) = try await club()
        defer { withExtendedLifetime(folder) {} }
        let server = try Server(data)
        for number in 0..<20 {
            _ = try await Binary.run(
                ["grant", "email:other\(number)@example.no", "--data", data] + grantOfNewsletter)
        }
        // Killed at some moment of it, another one each time that the test runs.
        let erasing = Binary.process(["erase", Self.names[0], "--reason", "objection", "--data", data])
        (erasing.standardOutput, erasing.standardError) = (FileHandle.nullDevice, FileHandle.nullDevice)
        try erasing.run()
        try await Task.sleep(for: .milliseconds(Int.random(in: 20...60)))
        server.kill()
        erasing.waitUntilExit()
        let again = try await erase(Self.names[0], data, "--json")
        let object = try #require(again.objects.first, "\(again)")
        #expect((object["suppressed"] as? [Any])?.count == 3)
        #expect(try traces(of: Self.values, in: data) == [])
        #expect(try await Binary.run(["verify", "--data", data]).status == 0)
    }

    @Test func badCommandLinesSayWhatIsWrong() async throws {
        let (folder, data) = try await club()
        defer { withExtendedLifetime(folder) {} }
        let reason = try await Binary.run(["erase", Self.names[0], "--reason", "because", "--data", data])
        #expect(reason.status == 64 && reason.errors.contains("no_longer_needed"), "\(reason)")
        let actor = try await erase(Self.names[0], data, "--as", "kari.nordmann@example.no")
        #expect(actor.status == 5 && actor.errors.contains("such as clerk-7"), "\(actor)")
        let check = try await Binary.run(["check", Self.names[0], "-p", "newsletter", "--data", data])
        #expect(check.status == 0, "nothing was erased: \(check)")
    }
}

extension Binary {
    fileprivate static func expectRefused(_ arguments: [String]) async throws {
        let run = try await run(arguments)
        #expect(run.status == 5 && !run.errors.isEmpty, "\(run)")
    }
}
