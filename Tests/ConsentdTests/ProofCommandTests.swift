import Foundation
import Testing

/// What can be shown to others, from outside: kept elsewhere, and checked without the node.
struct ProofCommandTests {
    private func club() async throws -> (folder: Folder, data: String) {
        let folder = try Folder()
        let data = try await folder.node()
        let grant = try await Binary.run(
            ["grant", "email:kari.nordmann@example.no", "--data", data, "--evidence", "note 7"] + grantOfNewsletter)
        #expect(grant.status == 0, "\(grant)")
        return (folder, data)
    }

    @Test func aKeptCheckpointShowsWhatWasCutOff() async throws {
        let (folder, data) = try await club()
        let older = folder.path + "/older"
        try FileManager.default.copyItem(atPath: data, toPath: older)
        _ = try await Binary.run(["withdraw", "email:kari.nordmann@example.no", "-p", "newsletter", "--data", data])
        let made = try await Binary.run(["checkpoint", "--data", data])
        #expect(made.status == 0 && made.objects.first?["format"] as? String == "consentd.checkpoint.1", "\(made)")
        let kept = try folder.write("kept", Data(made.output.utf8))
        let sound = try await Binary.run(["verify", "--data", data, "--checkpoint", kept, "--json"])
        #expect(sound.status == 0 && (sound.objects.first?["checkpoints"] as? Int ?? 0) > 1, "\(sound)")
        let cut = try await Binary.run(["verify", "--data", older, "--checkpoint", kept])
        #expect(cut.status == 6 && cut.errors.contains("event 3") && cut.errors.contains("cut off"), "\(cut)")
        #expect(FileManager.default.fileExists(atPath: older + "/damage"))
    }

    @Test func aFileThatIsNoCheckpointOfTheNodeIsRefusedAndHurtsNobody() async throws {
        let (folder, data) = try await club()
        let other = try await club()
        let foreign = try await Binary.run(["checkpoint", "--data", other.data]).output
        let own = try await Binary.run(["checkpoint", "--data", data]).output
        let broken = own.replacingOccurrences(of: "\"sequence\":2", with: "\"sequence\":1")
        for (name, text) in [("foreign", foreign), ("broken", broken), ("text", "nonsense"), ("empty", "\n")] {
            let file = try folder.write(name, Data(text.utf8))
            let run = try await Binary.run(["verify", "--data", data, "--checkpoint", file])
            #expect(run.status == 5 && run.errors.hasPrefix("consentd: "), "\(name): \(run)")
        }
        let missing = try await Binary.run(["verify", "--data", data, "--checkpoint", folder.path + "/none"])
        #expect(missing.status == 3, "\(missing)")
        let verified = try await Binary.run(["verify", "--data", data])
        #expect(verified.status == 0, "\(verified)")
    }

    @Test func aProofIsCheckedWithoutTheNode() async throws {
        let (folder, data) = try await club()
        let file = folder.path + "/event-2.json"
        let shown = try await Binary.run(["proof", "2", "--data", data, "--output", file])
        #expect(
            shown.status == 0 && shown.output.contains("note 7") && shown.output.contains("kari.nordmann"), "\(shown)")
        #expect(try FileManager.default.attributesOfItem(atPath: file)[.posixPermissions] as? Int == 0o600)
        let printed = try await Binary.run(["proof", "show", "2", "--data", data, "--json"])
        let key = try #require(try await Binary.run(["checkpoint", "--data", data]).objects.first?["key"] as? String)
        try FileManager.default.removeItem(atPath: data)
        for arguments in [[file], [file, "--key", key], [try folder.write("json", Data(printed.output.utf8))]] {
            let run = try await Binary.run(["proof", "verify", "--json"] + arguments)
            #expect(run.status == 0 && run.objects.first?["textShown"] as? Bool == true, "\(run)")
            #expect(run.errors.contains("nobody has said") == (arguments.count == 1), "\(run)")
        }
        let text = try String(contentsOfFile: file, encoding: .utf8)
        let changed = try folder.write("changed", Data(text.replacingOccurrences(of: "note 7", with: "note 8").utf8))
        #expect(try await Binary.run(["proof", "verify", changed]).status == 6)
        #expect(
            try await Binary.run(["proof", "verify", file, "--key", String(repeating: "3b", count: 32)]).status == 6)
        #expect(try await Binary.run(["proof", "verify", try folder.write("none", Data("{}".utf8))]).status == 5)
    }

    @Test func whatAProofHidesIsSaidAndWhatIsWithheldEndsWithSix() async throws {
        let (folder, data) = try await club()
        let file = folder.path + "/whole.json"
        _ = try await Binary.run(["proof", "2", "--data", data, "--output", file])
        let whole = try #require(
            try JSONSerialization.jsonObject(with: Data(contentsOf: URL(filePath: file))) as? [String: Any])
        var (event, chain, withheld) = (
            try #require(whole["event"] as? [String: Any]), try #require(whole["chain"] as? [String: Any]), whole
        )
        event.merge(["identifiers": [String](), "evidence": "", "erased": true]) { $1 }
        chain.merge(["salt": NSNull(), "parts": NSNull()]) { $1 }
        (withheld["event"], withheld["chain"]) = (event, chain)
        let stripped = try folder.write("withheld", try JSONSerialization.data(withJSONObject: withheld))
        let found = try await Binary.run(["proof", "verify", stripped])
        #expect(
            found.status == 6 && found.output.contains("whom the event named, nor its evidence: withheld"), "\(found)")
        #expect(found.errors.contains("event 2 named is withheld"), "\(found)")
        let json = try await Binary.run(["proof", "verify", stripped, "--json"])
        #expect(json.status == 6 && json.objects.first?["complete"] as? Bool == false, "\(json)")
        _ = try await Binary.run([
            "erase", "email:kari.nordmann@example.no", "--reason", "consent_withdrawn", "--data", data,
        ])
        let erased = folder.path + "/erased.json"
        let shown = try await Binary.run(["proof", "2", "--data", data, "--output", erased])
        #expect(shown.output.contains("took something out of it"), "\(shown)")
        let holds = try await Binary.run(["proof", "verify", erased])
        #expect(holds.status == 0 && holds.output.contains("nor its evidence: erased at sequence "), "\(holds)")
        let object = try #require(try await Binary.run(["proof", "verify", erased, "--json"]).objects.first)
        let hidden = try #require((object["hidden"] as? [[String: Any]])?.first)
        #expect(object["complete"] as? Bool == true && hidden["part"] as? String == "all")
        #expect((hidden["erasedAt"] as? Int ?? 0) > 2)
    }

    @Test(arguments: LongCatalog.allCases)
    func theProofAndReceiptsOfTheLongestCatalogsAreWhole(_ catalog: LongCatalog) async throws {
        let folder = try Folder()
        let document = catalog.document
        #expect(document.utf8.count == LongCatalog.size)
        let data = try await folder.node(["--catalog", try folder.write("long.yaml", Data(document.utf8))])
        let granted = try await Binary.run(LongCatalog.grant + ["--data", data])
        #expect(granted.status == 0, "\(granted)")
        let file = folder.path + "/proof.json"
        let made = try await Binary.run(["proof", "2", "--data", data, "--output", file])
        #expect(made.status == 0, "\(made.errors)")
        let checked = try await Binary.run(["proof", "verify", file, "--json"])
        #expect(checked.status == 0 && checked.objects.first?["textShown"] as? Bool == true, "\(checked)")
        #expect(try Data(contentsOf: URL(filePath: file)).count > 1_048_576)
        for form in ["dpv", "kantara"] {
            let file = folder.path + "/\(form).json"
            let made = try await Binary.run(["receipt", "2", "--form", form, "--data", data, "--output", file])
            let checked = try await Binary.run(["receipt", "verify", file])
            #expect(made.status == 0 && checked.status == 0, "\(form): \(made.errors) \(checked)")
        }
        #expect(try Data(contentsOf: URL(filePath: folder.path + "/dpv.json")).count > 1_048_576)
    }

    @Test func aReceiptIsMadeForAnEventOrAPersonAndCheckedWithoutTheNode() async throws {
        let (folder, data) = try await club()
        let person = ["receipt", "email:kari.nordmann@example.no", "-p", "newsletter", "--data", data]
        for (form, field) in [("dpv", "dpv:hasRecordOfActivity"), ("kantara", "consentReceiptID")] {
            let file = folder.path + "/\(form).json"
            let made = try await Binary.run(person + ["--form", form, "--output", file])
            #expect(made.status == 0 && made.output.isEmpty, "\(made)")
            let printed = try await Binary.run(["receipt", "make", "2", "--form", form, "--json", "--data", data])
            #expect(printed.objects.first?[field] != nil, "\(printed)")
            let checked = try await Binary.run(["receipt", "verify", file, "--json"])
            #expect(checked.status == 0 && checked.objects.first?["form"] as? String == form, "\(checked)")
            let text = try String(contentsOfFile: file, encoding: .utf8)
            let changed = text.replacingOccurrences(of: "kari.nordmann", with: "ola.nordmann")
            let forged = try folder.write("\(form)-forged", Data(changed.utf8))
            #expect(try await Binary.run(["receipt", "verify", forged]).status == 6)
        }
        let nobody = try await Binary.run(["receipt", "customer:nobody", "-p", "newsletter", "--data", data])
        #expect(nobody.status == 5, "\(nobody)")
        let noAct = try await Binary.run(["receipt", "1", "--data", data])
        #expect(noAct.status == 5 && noAct.errors.contains("no act of a person"), "\(noAct)")
        #expect(try await Binary.run(["proof", "99", "--data", data]).status == 5)
    }
}
