import Foundation
import Testing

/// One table of exit codes for all commands; the README has it.
struct ExitCodeTests {
    /// Every command that needs a node, without saying which.
    private static let commandsOnANode: [[String]] = [
        ["serve"], ["check", "customer:1", "-p", "newsletter"], ["explain", "customer:1", "-p", "newsletter"],
        ["grant", "customer:1"] + grantOfNewsletter, ["withdraw", "customer:1", "-p", "newsletter"],
        ["object", "customer:1", "-p", "newsletter"], ["confirm", "customer:1", "-p", "newsletter"],
        ["history", "customer:1"], ["audience", "-p", "newsletter"], ["reconsent", "-p", "newsletter"], ["ending"],
        ["coming-of-age"],
        ["breach", "--from", "2026-01-01"], ["access", "customer:1"], ["notices", "club-membership-marketing", "1.2"],
        ["import", "FILE"], ["import", "FILE", "--dry-run"], ["catalog", "diff", "FILE"],
        ["catalog", "apply", "FILE"], ["catalog", "show"], ["stats"], ["verify"], ["rebuild"], ["ping"],
        ["status"], ["enforced", "1"], ["erase", "customer:1", "--reason", "objection"],
        ["link", "cookie:1", "--to", "customer:1"], ["unlink", "cookie:1"],
        ["issue-token", "customer:1", "-p", "newsletter"], ["confirm-token", "none"],
        ["checkpoint"], ["access-log"], ["proof", "show", "1"], ["receipt", "make", "1"],
    ]

    @Test(arguments: commandsOnANode)
    func withoutANodeEveryCommandExitsWith4AndSaysWhatToDo(command: [String]) async throws {
        let folder = try Folder()
        let template = try await Binary.run(["catalog", "template"]).output
        let file = try folder.write("file", Data((command[0] == "import" ? "customer,purpose\n" : template).utf8))
        let arguments = command.map { $0 == "FILE" ? file : $0 }
        let run = try await Binary.run(arguments + ["--data", folder.path + "/none"])
        #expect(run.status == 4 && run.output.isEmpty, "\(run)")
        #expect(
            run.errors
                == "consentd: there is no node in '\(folder.path)/none'; make one with 'consentd init', or name it with --data\n"
        )
    }

    private static let otherCommands: [[String]] =
        [
            ["init"], ["edge", "--upstream", "127.0.0.1:1"], ["catalog", "check", "FILE"], ["catalog", "template"],
            ["sample-register", "FILE"], ["proof", "verify", "FILE"], ["receipt", "verify", "FILE"],
        ]
        + [
            ["load"], ["prepare", "--data", "FILE"], ["compare"], ["micro"], ["revision"], ["sync"], ["figures"],
            ["report", "FILE", "--output", "FILE"], ["suite", "--output", "FILE"],
        ].map { ["bench"] + $0 }

    @Test(arguments: commandsOnANode + otherCommands)
    func aWrongOptionIsWrongUsageForEveryCommand(command: [String]) async throws {
        let run = try await Binary.run(command + ["--no-such-option"])
        #expect(run.status == 64 && run.errors.contains("--no-such-option"), "\(run)")
    }

    @Test func noCommandIsLeftOutOfTheListsAbove() async throws {
        let lists = Self.commandsOnANode + Self.otherCommands
        for leaf in try await CommandTree.leaves() {
            let name = Array(leaf.path.dropFirst())
            #expect(lists.contains { $0.starts(with: name) }, "\(name)")
        }
    }

    @Test(arguments: [
        ["stats", "--server", "nonsense"], ["serve", "--listen", "nonsense"],
        ["edge", "--upstream", "nonsense"], ["edge", "--upstream", "host:1"],
        ["edge", "--upstream", "127.0.0.1:1", "--deployment", "12"], ["serve", "--max-connections", "0"],
        ["init", "--deployment", "12"], ["check", "customer:1", "-p", "a", "--server", "host:70000"],
        [
            "grant", "customer:1", "-p", "a", "--declaration", "d", "--revision", "1", "--language", "nb", "--method",
            "x",
        ],
        ["withdraw", "customer:1", "-p", "a", "--captured-at", "yesterday"], ["check", "customer:1"],
        ["no-such-command"],
        ["bench", "load", "--workload", "chekc"], ["bench", "load", "--keys", "zipf:"],
        ["bench", "load", "--subjects", "2"], ["bench", "load", "--subjects", "5X"], ["bench", "load", "--rate", "0"],
        ["bench", "load", "--denied", "0.8", "--missing", "0.3"], ["bench", "load", "--connections", "0"],
        ["bench", "load", "--ramp", "--rate", "5"], ["bench", "load", "--server", "nonsense"],
        ["bench", "load", "--beside", "FILE"], ["bench", "load", "--pin", "0,x"], ["bench", "compare", "--rows", "0"],
        ["bench", "compare", "--resp-server", "/none"], ["serve", "--spin-micros", "-1"],
        ["sample-register", "FILE", "--subjects", "-1"], ["ping", "--count", "0"],
        ["import", "register.csv", "--rejects", "register.csv"], ["audience", "-p", "a", "--type", "pigeon"],
        ["audience", "-p", "a", "--type", "email", "--count"], ["reconsent", "-p", "a", "--why", "because"],
        ["reconsent", "-p", "a", "--dormant-after", "long"], ["ending", "--within", "soon"],
        ["coming-of-age", "--within", "soon"],
        ["breach", "--from", "yesterday"], ["breach", "--from", "2026-02-01", "--until", "2026-01-01"],
        ["breach", "--from", "2026-02-01", "--as-of", "0"], ["proof", "first"],
        ["proof", "verify", "FILE", "--key", "12"],
        ["receipt", "customer:1"], ["receipt", "1", "-p", "newsletter"], ["receipt", "1", "--form", "paper"],
        ["verify", "--key", "12"], ["access-log", "--since", "soon"],
        ["access-log", "--since", "2026-02-01", "--until", "2026-01-01"],
    ])
    func aValueThatCannotBeMeantIsWrongUsage(arguments: [String]) async throws {
        let folder = try Folder()
        let run = try await Binary.run(arguments.map { $0 == "FILE" ? folder.path + "/file" : $0 })
        #expect(run.status == 64, "\(run)")
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path).isEmpty)
    }

    /// What is wrong, where, and what would be right.
    @Test(arguments: [
        (["enforced", "abc"], "'abc'", "a whole number"), (["proof", "first"], "'first'", "a whole number"),
        (["stats", "--server", "host:99999"], "host:99999", "from 1 to 65535"),
        (["serve", "--listen", "127.0.0.1:99999"], "--listen: '127.0.0.1:99999'", "to 65535"),
        (["grant", "customer:1", "--age", "255"] + grantOfNewsletter, "--age", "0 to 150 years, not 255"),
        (
            ["withdraw", "customer:1", "-p", "a", "--key", String(repeating: "0", count: 32)], "--key",
            "zeros alone stand for no key"
        ),
    ])
    func wrongUsageSaysWhatWouldBeRight(arguments: [String], named: String, said: String) async throws {
        let run = try await Binary.run(arguments)
        #expect(run.status == 64 && run.errors.contains(named) && run.errors.contains(said), "\(run)")
        let json = try await Binary.run(arguments + ["--json"])
        let error = try #require(try failure(json))
        #expect(json.status == 64 && error.code == "wrongUsage" && error.exit == 64, "\(json)")
        #expect(error.message.contains(said), "\(json)")
    }

    /// With --json, why a command fails is the last line of standard error.
    private func failure(_ run: Binary.Run) throws -> (code: String, exit: Int, message: String)? {
        let line = run.errors.split(separator: "\n").last.map(String.init) ?? ""
        let object = try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: [String: Any]]
        guard let error = object?["error"], let code = error["code"] as? String, let exit = error["exit"] as? Int,
            let message = error["message"] as? String
        else { return nil }
        return (code, exit, message)
    }

    @Test func failuresAreObjectsWhereJSONIsAskedFor() async throws {
        let folder = try Folder()
        let data = try await folder.node()
        for (arguments, status, code) in [
            (["erase", "customer:nobody", "--reason", "objection"], 5, "personUnknown"),
            (["proof", "99"], 5, "eventUnknown"), (["check", "customer:1", "-p", "none"], 5, "refused"),
        ] as [([String], Int32, String)] {
            let run = try await Binary.run(arguments + ["--data", data, "--json"])
            let error = try #require(try failure(run))
            #expect(run.status == status && error.code == code && error.exit == Int(status), "\(run)")
            #expect(run.output.isEmpty && !error.message.isEmpty, "\(run)")
            let words = try await Binary.run(arguments + ["--data", data])
            #expect(words.errors == "consentd: \(error.message)\n", "\(words)")
        }
        let missing = try await Binary.run(["stats", "--data", folder.path + "/none", "--json"])
        #expect(try failure(missing)?.code == "unreachable" && missing.status == 4, "\(missing)")
        let help = try await Binary.run(["stats", "--json", "--help"])
        #expect(help.status == 0 && help.output.contains("USAGE"), "\(help)")
    }

    @Test func ofWhomNothingIsRecordedAccessSaysSo() async throws {
        let folder = try Folder()
        let data = try await folder.node()
        for form in [[], ["--csv"], ["--json"]] {
            let run = try await Binary.run(["access", "customer:nobody", "--data", data] + form)
            #expect(run.errors == "consentd: nothing is recorded about customer:nobody\n", "\(run)")
            #expect(run.status == 0 && !run.output.isEmpty, "\(run)")
        }
    }

    /// These work on the files of a folder, and would be about another node than the one that was named.
    @Test(arguments: [["init"], ["serve"], ["verify"], ["rebuild"]])
    func whereAServerHasNoMeaningItIsWrongUsage(command: [String]) async throws {
        let run = try await Binary.run(command + ["--server", "127.0.0.1:7411"])
        #expect(run.status == 64, "\(run)")
        #expect(try await !Binary.run(command + ["--help"]).output.contains("--server"))
    }

    @Test(arguments: [["verify"], ["rebuild"], ["serve", "--listen", "none"], ["stats"]])
    func aLedgerThatCannotBeReadIsDamaged(command: [String]) async throws {
        let folder = try Folder()
        let data = try await folder.node()
        let file = try #require(FileHandle(forWritingAtPath: data + "/ledger.sqlite"))
        try file.write(contentsOf: Data(repeating: 0xAA, count: 8192))
        try file.close()
        let run = try await Binary.run(command + ["--data", data])
        #expect(run.status == 6 && run.errors.contains("ledger.sqlite"), "\(run)")
    }

    @Test(arguments: [["verify"], ["stats"]])
    func anotherNodesKeyIsDamage(command: [String]) async throws {
        let (folder, other) = (try Folder(), try Folder())
        let (data, otherData) = (try await folder.node(), try await other.node())
        try Data(contentsOf: URL(filePath: otherData + "/index.key")).write(to: URL(filePath: data + "/index.key"))
        let run = try await Binary.run(command + ["--data", data])
        #expect(run.status == 6 && run.errors.contains("index.key"), "\(run)")
    }

    @Test(arguments: [["verify"], ["rebuild"], ["serve", "--listen", "none"], ["stats"]])
    func aMissingKeyIsDamageAndSaidSo(command: [String]) async throws {
        let folder = try Folder()
        let data = try await folder.node()
        try FileManager.default.removeItem(atPath: data + "/index.key")
        let run = try await Binary.run(command + ["--data", data])
        #expect(run.status == 6 && run.errors.contains("index.key is missing"), "\(run)")
    }

    @Test func theTableOfTheReadmeIsThatOfTheHelp() async throws {
        let root = URL(filePath: #filePath).resolvingSymlinksInPath()
            .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        let readme = try String(contentsOf: root.appending(path: "README.md"), encoding: .utf8)
        let help = try await Binary.run(["--help"]).output
        let lines = help.split(separator: "\n").map { $0.trimmingCharacters(in: .whitespaces) }
        var rows = 0
        for line in lines {
            let parts = line.split(separator: " ", maxSplits: 1)
            guard parts.count == 2, let code = Int(parts[0]) else { continue }
            rows += 1
            let meaning = parts[1].trimmingCharacters(in: .whitespaces)
            #expect(readme.contains("| \(code) | \(meaning) |"), "\(line)")
        }
        #expect(rows == 9)
    }
}
