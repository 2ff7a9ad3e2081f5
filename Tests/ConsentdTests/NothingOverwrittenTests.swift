import Foundation
import Testing

/// What a slip of the hand must not cost: keys, ledgers, certificates, and whose consent it is.
struct NothingOverwrittenTests {
    private func content(of folder: String) throws -> [String: Data] {
        let names = FileManager.default.enumerator(atPath: folder)?.compactMap { $0 as? String } ?? []
        var content: [String: Data] = [:]
        for name in names where !name.hasSuffix("lock") {
            content[name] = FileManager.default.contents(atPath: folder + "/" + name) ?? Data()
        }
        return content
    }

    /// Two people whose names differ in a letter that a terminal sends as Latin-1.
    @Test(arguments: [#"customer:bj\370rn"#, #"customer:bj\345rn"#, #"email:\377@example.no"#])
    func aCommandLineThatIsNotUTF8IsRefused(_ name: String) async throws {
        let folder = try Folder()
        let data = try await folder.node()
        for command in [
            ["grant"] + grantOfNewsletter, ["withdraw", "-p", "newsletter"], ["check", "-p", "newsletter"],
        ] {
            let process = Binary.process([])
            process.executableURL = URL(filePath: "/bin/sh")
            process.arguments =
                ["-c", #"name=$(printf "$1") && shift && exec "$0" "$@" "$name""#, Binary.url("consentd").path, name]
                + command + ["--data", data]
            let run = try await Binary.run(process)
            #expect(run.status == 64 && run.errors.contains("is not UTF-8"), "\(command): \(run)")
        }
        let stats = try await Binary.run(["stats", "--data", data, "--json"])
        #expect(stats.objects.first?["sequence"] as? Int == 1, "\(stats)")
    }

    @Test func initLeavesAloneWhatIsLeftOfANode() async throws {
        let folder = try Folder()
        let data = try await folder.node()
        for name in try FileManager.default.contentsOfDirectory(atPath: data) where name.hasPrefix("ledger.sqlite") {
            try FileManager.default.removeItem(atPath: data + "/" + name)
        }
        let before = try content(of: data)
        let again = try await Binary.run(["init", "--data", data])
        #expect(again.status == 5 && again.errors.contains("index.key"), "\(again)")
        #expect(try content(of: data) == before)
        let check = try await Binary.run(["verify", "--data", data])
        #expect(check.status == 6 && check.errors.contains("restore"), "\(check)")
        #expect(!check.errors.contains("consentd init"), "\(check)")
    }

    @Test func initLeavesAnEdgeAloneWhetherItRunsOrNot() async throws {
        let folder = try Folder()
        let node = try Server(try await folder.node())
        defer { node.kill() }
        let data = folder.path + "/edge"
        let edge = Binary.process([
            "edge", "--data", data, "--upstream", node.address, "--listen", "127.0.0.1:0", "--json",
        ])
        let output = Pipe()
        edge.standardOutput = output
        try edge.run()
        _ = output.fileHandleForReading.availableData
        for isRunning in [true, false] {
            if !isRunning {
                edge.terminate()
                edge.waitUntilExit()
            }
            let run = try await Binary.run(["init", "--data", data])
            #expect([4, 5].contains(run.status), "\(run)")
            #expect(!FileManager.default.fileExists(atPath: data + "/ledger.sqlite"))
            #expect(!FileManager.default.fileExists(atPath: data + "/signing.key"))
        }
    }

    /// Also in a dry run.
    @Test(arguments: ["--rejects", "--ask-again"])
    func anImportWritesOverNothingButWhatAnImportMade(_ option: String) async throws {
        let folder = try Folder()
        let data = try await folder.node()
        let register = try folder.write("old.csv", Data("customer,purpose,state\n1,newsletter,nonsense\n".utf8))
        let key = data + "/index.key"
        let before = try Data(contentsOf: URL(filePath: key))
        for more in [[], ["--dry-run"]] {
            let run = try await Binary.run(["import", register, option, key, "--data", data] + more)
            #expect(run.status == 5 && run.errors.contains("no import has made it"), "\(run)")
            #expect(try Data(contentsOf: URL(filePath: key)) == before)
            // What it made itself, it makes again.
            for _ in 0..<2 {
                let list = folder.path + "/list.csv"
                let run = try await Binary.run(["import", register, option, list, "--data", data] + more)
                #expect(run.status == 0, "\(run)")
            }
        }
        let sample = try await Binary.run(["sample-register", register, "--subjects", "3"])
        #expect(sample.status == 3 && sample.errors.contains(register), "\(sample)")
        #expect(try String(contentsOfFile: register, encoding: .utf8).hasPrefix("customer,purpose"))
    }

    @Test func nobodyIsErasedWhoseCertificateHasNoPlace() async throws {
        let folder = try Folder()
        let data = try await folder.node()
        _ = try await Binary.run(["grant", "customer:1", "--data", data] + grantOfNewsletter)
        let taken = try folder.write("taken.json", Data("{}".utf8))
        let erase = ["erase", "customer:1", "--reason", "objection", "--data", data, "--certificate"]
        for path in [taken, folder.path + "/nowhere/kari.json"] {
            let run = try await Binary.run(erase + [path])
            #expect(run.status == 3 && run.errors.contains(path), "\(run)")
        }
        #expect(try await Binary.run(["check", "customer:1", "-p", "newsletter", "--data", data]).status == 0)
        let certificate = folder.path + "/kari.json"
        let run = try await Binary.run(erase + [certificate])
        #expect(run.status == 0 && FileManager.default.fileExists(atPath: certificate), "\(run)")
        // No file is left of what was not done.
        let nobody = folder.path + "/nobody.json"
        var unknown = erase + [nobody]
        unknown[1] = "customer:2"
        #expect(try await Binary.run(unknown).status == 5)
        #expect(!FileManager.default.fileExists(atPath: nobody))
    }

    @Test func whoReadsHasAName() async throws {
        let folder = try Folder()
        let data = try await folder.node()
        for name in ["", "  "] {
            let run = try await Binary.run(["history", "customer:1", "--as", name, "--data", data])
            #expect(run.status == 64 && run.errors.contains("--as"), "\(run)")
        }
    }
}
