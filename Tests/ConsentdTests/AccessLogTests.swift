import Foundation
import Testing

/// Whoever reads personal data by a command stands in the log, on a folder and through a server.
struct AccessLogTests {
    private static let kari = "email:kari.nordmann@example.no"

    private func club() async throws -> (folder: Folder, data: String) {
        let folder = try Folder()
        let data = try await folder.node()
        let grant = try await Binary.run(["grant", Self.kari, "--data", data] + grantOfNewsletter)
        #expect(grant.status == 0, "\(grant)")
        return (folder, data)
    }

    private func entries(_ more: [String]) async throws -> [[String: Any]] {
        let run = try await Binary.run(["access-log", "--json", "--as", "auditor"] + more)
        #expect(run.status == 0, "\(run)")
        return run.objects
    }

    private static let reads: [(arguments: [String], read: String)] = [
        (["explain", kari, "-p", "newsletter"], "explain"), (["history", kari], "history"),
        (["audience", "-p", "newsletter"], "audience"), (["reconsent", "-p", "newsletter"], "ask_again"),
        (["ending"], "ending"), (["breach", "--from", "2026-01-01"], "active"),
        (["notices", "club-membership-marketing", "1.2"], "outdated_by"), (["proof", "2"], "proof"),
        (["receipt", "2"], "receipt"), (["access-log"], "access_log"), (["coming-of-age"], "coming_of_age"),
    ]

    @Test func everyReadOfPersonalDataIsInTheLogBeforeItIsAnswered() async throws {
        let (folder, data) = try await club()
        defer { withExtendedLifetime(folder) {} }
        for (arguments, read) in Self.reads {
            let run = try await Binary.run(arguments + ["--data", data, "--as", "clerk-7"])
            #expect(run.status == 0, "\(run)")
            let last = try #require(try await entries(["--data", data, "--actor", "clerk-7"]).last)
            #expect(last["read"] as? String == read && last["actor"] as? String == "clerk-7", "\(arguments): \(last)")
            #expect(last["client"] as? String == "consentd")
        }
        let named = try await entries([Self.kari, "--data", data])
        #expect(Set(named.compactMap { $0["read"] as? String }).isSuperset(of: ["explain", "history"]), "\(named)")
        #expect(named.allSatisfy { $0["person"] as? Int == 1 })
        let verified = try await Binary.run(["verify", "--data", data])
        #expect(verified.status == 0, "\(verified)")
    }

    @Test func checksCountsAndTheCatalogAreNotInTheLog() async throws {
        let (folder, data) = try await club()
        defer { withExtendedLifetime(folder) {} }
        for arguments in [
            ["check", Self.kari, "-p", "newsletter"], ["audience", "-p", "newsletter", "--count"], ["stats"],
            ["catalog", "show"], ["checkpoint"],
        ] { _ = try await Binary.run(arguments + ["--data", data]) }
        #expect(try await entries(["--data", data]).isEmpty)
    }

    @Test func anExportIsInTheLogAndSoIsWhoWantedIt() async throws {
        let (folder, data) = try await club()
        let file = folder.path + "/kari.json"
        let run = try await Binary.run(["access", Self.kari, "--data", data, "--as", "clerk-9", "--output", file])
        #expect(run.status == 0, "\(run)")
        let found = try await entries(["--data", data, "--actor", "clerk-9"])
        #expect(found.first?["read"] as? String == "history" && found.first?["rows"] as? Int == 1, "\(found)")
    }

    @Test func whoReadsMustBeSayableForEver() async throws {
        let (folder, data) = try await club()
        defer { withExtendedLifetime(folder) {} }
        for actor in ["kari.nordmann@example.no", "12345678"] {
            let run = try await Binary.run(["history", Self.kari, "--data", data, "--as", actor])
            #expect(run.status == 5 && run.output.isEmpty && run.errors.contains("such as clerk-7"), "\(run)")
        }
        #expect(try await entries(["--data", data]).isEmpty)
    }

    @Test func filtersLeaveOutWhatWasNotAskedFor() async throws {
        let (folder, data) = try await club()
        defer { withExtendedLifetime(folder) {} }
        _ = try await Binary.run(["history", Self.kari, "--data", data, "--as", "clerk-7"])
        _ = try await Binary.run(["history", "customer:nobody", "--data", data, "--as", "clerk-8"])
        #expect(try await entries(["--data", data, "--since", "2999-01-01"]).isEmpty)
        #expect(try await entries(["--data", data, "--until", "2026-01-01"]).isEmpty)
        let unknown = try await entries(["customer:nobody", "--data", data, "--actor", "clerk-8"])
        #expect(unknown.count == 1 && unknown[0]["unknownPerson"] is String && unknown[0]["person"] is NSNull)
        let table = try await Binary.run(["access-log", "--data", data, "--actor", "clerk-7"])
        #expect(table.output.contains("clerk-7") && table.output.contains("history"), "\(table)")
    }
}
