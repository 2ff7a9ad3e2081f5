import Foundation
import Testing

/// A guardian's consent, from the command line to the erasure.
struct GuardianCommandTests {
    private let folder: Folder
    private let data: String

    init() async throws {
        folder = try Folder()
        data = try await folder.node()
    }

    private static let child = ["customer:1017", "-p", "junior-club"]
    private static let consent = [
        "--declaration", "junior-club", "--revision", "1.0", "--language", "nb", "--method", "ticked_box", "--age",
        "11",
    ]
    private static let mother = ["--guardian-relation", "parent", "--guardian-id", "email:Anne@Example.no"]

    private func run(_ command: [String], _ data: String? = nil) async throws -> Binary.Run {
        try await Binary.run(command + ["--data", data ?? self.data])
    }

    private func grant(_ more: [String]) async throws -> Binary.Run {
        try await run(["grant"] + Self.child + Self.consent + more)
    }

    @Test func aConsentByAGuardianWhoIsNotNamedIsRefused() async throws {
        let refused = try await grant(["--guardian", "--json"])
        #expect(refused.status == 5 && refused.objects.first?["refused"] as? String == "guardianMissing", "\(refused)")
        let half = try await grant(["--guardian-relation", "parent"])
        #expect(half.status == 64 && half.errors.contains("go together"), "\(half)")
        let aunt = try await grant(["--guardian-relation", "aunt", "--guardian-id", "customer:2"])
        #expect(aunt.status == 64 && aunt.errors.contains("parent, legal_guardian, institution"), "\(aunt)")
        let unnamed = try await run(["confirm-token", "x", "--guardian"])
        #expect(unnamed.status == 64 && unnamed.errors.contains("who the guardian is"), "\(unnamed)")
        #expect(try await run(["history", Self.child[0], "--json"]).objects.isEmpty)
    }

    @Test func everyReadingSaysWhoConsentedUntilTheChildIsErased() async throws {
        let granted = try await grant(Self.mother)
        #expect(granted.status == 0, "\(granted)")
        #expect(try await run(["check"] + Self.child).status == 0)
        let event = try await run(["history", Self.child[0], "--json"]).objects.first
        let explained = try await run(["explain"] + Self.child + ["--json"]).objects.first
        let access = try await run(["access", Self.child[0], "--json"]).objects.first
        let exported = (access?["events"] as? [[String: Any]])?.first
        let proved = try await run(["proof", "2", "--json"]).objects.first?["event"] as? [String: Any]
        for (place, said) in [("history", event), ("explain", explained), ("access", exported), ("proof", proved)] {
            #expect(said?["guardianRelation"] as? String == "parent", "\(place)")
            #expect(said?["guardian"] as? String == "email:anne@example.no", "\(place)")
        }
        let fields = access?["fields"] as? [String: String]
        #expect(fields?["events.guardian"] != nil && fields?["events.guardianRelation"] != nil)
        for command in [["history", Self.child[0]], ["explain"] + Self.child, ["proof", "2"], ["receipt", "2"]] {
            #expect(try await run(command).output.contains("anne@example.no"), "\(command)")
        }
        let erased = try await run(["erase", Self.child[0], "--reason", "child_service"])
        #expect(erased.status == 0, "\(erased)")
        let emptied = try await run(["proof", "2", "--json"])
        #expect(
            !emptied.output.contains("anne@example") && emptied.output.contains("\"party\":\"guardian\""), "\(emptied)")
        #expect(try await run(["verify"]).status == 0)
    }

    /// Both forms of an export, also where the guardian is known by a national id.
    @Test(arguments: [["email:anne@example.no"], ["national_id:13065012345", "--csv"]])
    func anExportTakesTheGuardianAlong(_ form: [String]) async throws {
        let named = ["--guardian-relation", "legal_guardian", "--guardian-id", form[0]]
        #expect(try await grant(named + ["--captured-at", "2026-06-01T12:00:00Z"]).status == 0)
        let file = folder.path + (form.count > 1 ? "/kari.csv" : "/kari.json")
        let made = try await run(["access", Self.child[0], "--output", file] + form.dropFirst())
        #expect(made.status == 0, "\(made)")
        let other = folder.path + "/other"
        #expect(try await Binary.run(["init", "--data", other]).status == 0)
        for _ in 0..<2 {
            let imported = try await run(["import", file, "--json"], other)
            #expect(imported.status == 0 && imported.objects.first?["accepted"] as? Int == 1, "\(imported)")
        }
        let here = try await run(["history", Self.child[0], "--json"]).objects
        let there = try await run(["history", Self.child[0], "--json"], other).objects
        #expect(here.count == 1 && there.count == 1)
        #expect(there.first?["guardian"] as? String == here.first?["guardian"] as? String)
        #expect(there.first?["guardianRelation"] as? String == "legal_guardian")
        #expect(try await run(["check"] + Self.child, other).status == 0)
    }

    @Test func aGuardianMayEndWhatAGuardianGaveWithoutAName() async throws {
        #expect(try await grant(Self.mother).status == 0)
        #expect(try await run(["withdraw"] + Self.child + ["--guardian"]).status == 0)
        #expect(try await run(["check"] + Self.child).status == 1)
        let events = try await run(["history", Self.child[0], "--json"]).objects
        #expect(events.last?["state"] as? String == "revoked" && events.last?["guardian"] is NSNull)
    }
}
