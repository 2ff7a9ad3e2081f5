import Foundation
import Testing

/// Lists of people and exports, from outside.
struct PeopleCommandTests {
    private func club() async throws -> (folder: Folder, data: String) {
        let folder = try Folder()
        let data = try await folder.node()
        for names in [["customer:1", "email:kari@example.no"], ["customer:2"], ["customer:3"]] {
            let run = try await Binary.run(["grant"] + names + ["--data", data] + grantOfNewsletter)
            #expect(run.status == 0, "\(run)")
        }
        _ = try await Binary.run(["withdraw", "customer:3", "-p", "newsletter", "--data", data])
        return (folder, data)
    }

    @Test func anAudienceIsListedAndCounted() async throws {
        let (folder, data) = try await club()
        defer { withExtendedLifetime(folder) {} }
        func audience(_ more: String...) async throws -> Binary.Run {
            try await Binary.run(["audience", "-p", "newsletter", "--data", data] + more)
        }
        let list = try await audience()
        #expect(list.status == 0 && list.output == "customer:1 email:kari@example.no\ncustomer:2\n", "\(list)")
        #expect(list.errors == "2 people\n")
        #expect(try await audience("--type", "email").output == "email:kari@example.no\n")
        let object = try await audience("--json").objects.first
        #expect(object?["identifiers"] as? [String] == ["customer:1", "email:kari@example.no"])
        #expect(object?["revision"] as? String == "1.2" && object?["state"] as? String == "given")
        #expect(try await audience("--count").output == "3 of 4 identifiers\n")
        let counted = try await audience("--count", "--not", "sms-offers", "--json").objects.first
        #expect(counted?["granted"] as? Int == 3 && counted?["known"] as? Int == 4)
        let unknown = try await audience("--not", "nothing")
        #expect(unknown.status == 5 && unknown.errors.contains("no purpose 'nothing'"), "\(unknown)")
    }

    @Test func whomToAskWhoseConsentEndsAndWhomABreachTouched() async throws {
        let (folder, data) = try await club()
        defer { withExtendedLifetime(folder) {} }
        let asked = try await Binary.run(["reconsent", "-p", "sms-offers", "--data", data, "--json"])
        #expect(asked.objects.map { $0["state"] as? String } == ["unknown", "unknown", "unknown"], "\(asked)")
        let none = try await Binary.run(["reconsent", "-p", "newsletter", "--data", data])
        #expect(none.status == 0 && none.output.isEmpty && none.errors == "0 people\n", "\(none)")
        let ending = try await Binary.run(["ending", "--within", "P20Y", "-p", "newsletter", "--data", data])
        #expect(ending.status == 0 && ending.output.hasPrefix("PERSON"), "\(ending)")
        let breach = try await Binary.run(["breach", "--from", "2026-01-01", "--data", data, "--json"])
        #expect(breach.objects.count == 3, "\(breach)")
        #expect(breach.objects.last?["until"] is String)
        let past = try await Binary.run(
            ["breach", "--from", "2026-01-01", "--as-of", "2", "--data", data, "--json"])
        #expect(past.objects.count == 1, "\(past)")
        let wrong = try await Binary.run(
            ["breach", "--from", "2026-01-01", "--recipient", "nobody", "--data", data])
        #expect(wrong.status == 5 && wrong.errors.contains("nobody"), "\(wrong)")
    }

    @Test func anAccessExportSaysEverythingAndExplainsEveryField() async throws {
        let (folder, data) = try await club()
        defer { withExtendedLifetime(folder) {} }
        let run = try await Binary.run(["access", "email:kari@example.no", "--data", data, "--json"])
        let export = try #require(run.objects.first, "\(run)")
        #expect(export["identifiers"] as? [String] == ["customer:1", "email:kari@example.no"])
        let purposes = try #require(export["purposes"] as? [[String: Any]])
        let newsletter = try #require(purposes.first { $0["id"] as? String == "newsletter" })
        #expect(newsletter["decision"] as? String == "granted" && newsletter["consentedRevision"] as? String == "1.2")
        let texts = try #require((export["declarations"] as? [[String: Any]])?.first?["texts"] as? [String: Any])
        #expect(texts["nb"] != nil && texts["sv"] != nil && texts["en"] != nil)
        let fields = try #require(export["fields"] as? [String: String])
        for (name, value) in export {
            #expect(fields[name] != nil, "\(name)")
            // Of people and companies one sentence says all.
            guard !["recipients", "controllers"].contains(name), let first = (value as? [[String: Any]])?.first
            else { continue }
            for part in first.keys { #expect(fields["\(name).\(part)"] != nil, "\(name).\(part)") }
        }
        let nobody = try await Binary.run(["access", "customer:99", "--data", data, "--json"])
        #expect(nobody.status == 0 && (nobody.objects.first?["events"] as? [Any])?.isEmpty == true, "\(nobody)")
    }

    @Test(arguments: ["json", "csv"]) func anExportIsImportedElsewhere(form: String) async throws {
        let (folder, data) = try await club()
        _ = try await Binary.run(["withdraw", "customer:1", "-p", "newsletter", "--data", data])
        let captured = try await Binary.run(["grant", "customer:1", "--data", data] + grantOfNewsletter)
        #expect(captured.status == 0)
        let file = "\(folder.path)/kari.\(form)"
        let written = try await Binary.run(
            ["access", "customer:1", "--data", data, "--output", file] + (form == "csv" ? ["--csv"] : []))
        #expect(written.status == 0, "\(written)")
        let mode = try FileManager.default.attributesOfItem(atPath: file)[.posixPermissions] as? Int
        #expect(mode == 0o600)
        let again = try await Binary.run(["access", "customer:1", "--data", data, "--output", file])
        #expect(again.status == 3, "\(again)")
        if form == "csv" {
            let columns = try String(contentsOfFile: file + ".fields.csv", encoding: .utf8)
            let header = try String(contentsOfFile: file, encoding: .utf8).split(separator: "\n")[0]
            for column in header.split(separator: ",") { #expect(columns.contains("\n\(column),"), "\(column)") }
        }
        let other = try Folder()
        let otherData = try await other.node()
        let imported = try await Binary.run(["import", file, "--data", otherData, "--json"])
        #expect(imported.status == 0 && imported.objects.last?["eventsRecorded"] as? Int == 3, "\(imported)")
        let check = try await Binary.run(["check", "email:kari@example.no", "-p", "newsletter", "--data", otherData])
        #expect(check.status == 0, "\(check)")
        func states(_ data: String) async throws -> [String?] {
            try await Binary.run(["history", "customer:1", "--data", data, "--json"]).objects.map {
                $0["state"] as? String
            }
        }
        #expect(try await states(otherData) == states(data))
        let twice = try await Binary.run(["import", file, "--data", otherData, "--json"])
        #expect(twice.objects.last?["eventsRecorded"] as? Int == 0, "\(twice)")
    }

    @Test func whatIsNoExportIsRefused() async throws {
        let folder = try Folder()
        let data = try await folder.node()
        for text in ["", "[]", "{\"format\":\"other\",\"events\":[]}"] {
            let file = try folder.write("x.json", Data(text.utf8))
            let run = try await Binary.run(["import", file, "--data", data])
            #expect(run.status == 5 && run.errors.contains("is not an export"), "\(run)")
        }
    }
}
