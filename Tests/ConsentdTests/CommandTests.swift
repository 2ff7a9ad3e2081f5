import Foundation
import Testing

/// Every command, from outside.
struct CommandTests {
    /// Part of a history must not pass for all of it.
    @Test(arguments: [
        ["stats"], ["stats", "--json"], ["catalog", "show"], ["check", "customer:1", "-p", "newsletter"],
    ])
    func anOutputThatCannotBeWrittenIsAFailure(_ command: [String]) async throws {
        let folder = try Folder()
        let process = Binary.process(command + ["--data", try await folder.node()])
        let errors = Pipe()
        process.standardOutput = FileHandle(forWritingAtPath: "/dev/full")
        process.standardError = errors
        try process.run()
        process.waitUntilExit()
        let said = String(decoding: errors.fileHandleForReading.availableData, as: UTF8.self)
        #expect(process.terminationReason == .exit && process.terminationStatus == 3, "\(said)")
        #expect(said.contains("cannot be written"), "\(said)")
    }

    @Test func everyCommandHelpsWithAnExampleAndSpeaksJson() async throws {
        let discussions = try await CommandTree.discussions()
        let leaves = try await CommandTree.leaves()
        for leaf in leaves {
            // One for all measurements is enough.
            let names = leaf.path.contains("bench") ? [leaf.path, leaf.path.dropLast()] : [leaf.path]
            let hasExample = discussions.contains { command in
                names.contains(command.path) && command.text.contains("  " + command.path.joined(separator: " "))
            }
            #expect(hasExample, "\(leaf.path)")
            // A server prints its one line of JSON, too.
            #expect(leaf.options.contains("json"), "\(leaf.path)")
        }
        #expect(leaves.count > 20)
    }

    /// On a terminal of 80 columns, or none.
    @Test func everyExampleStandsInTheHelpAsItCanBeCopied() async throws {
        for (path, text) in try await CommandTree.discussions() {
            guard let begin = text.range(of: "EXAMPLE") else { continue }
            let help = try await Binary.run(path.dropFirst() + ["--help"]).output.split(separator: "\n")
            let examples = text[begin.lowerBound...].split(separator: "\n").dropFirst()
            #expect(!examples.isEmpty, "\(path)")
            for example in examples {
                #expect(help.contains(example), "\(example)")
                #expect(example.count <= 80, "\(example)")
                // What follows a command in its line is part of it when it is copied.
                #expect(!example.drop { $0 == " " }.contains("  "), "\(example)")
            }
        }
    }

    @Test func oneIsOneAndNotSeveral() async throws {
        let folder = try Folder()
        let data = try await folder.node(["--catalog", "none"])
        let empty = try await Binary.run(["verify", "--data", data])
        #expect(empty.output == "sound: 0 events, 0 subjects, 0 identifiers\n")
        let other = try Folder()
        let otherData = try await other.node()
        _ = try await Binary.run(["withdraw", "customer:1", "-p", "newsletter", "--data", otherData])
        let verified = try await Binary.run(["verify", "--data", otherData])
        #expect(verified.output.hasSuffix("1 subject, 1 identifier\n"), "\(verified)")
        let rebuilt = try await Binary.run(["rebuild", "--data", otherData])
        #expect(rebuilt.output.hasPrefix("rebuilt 1 identifier in "), "\(rebuilt)")
        let sample = try await Binary.run(["sample-register", folder.path + "/one.csv", "--subjects", "1"])
        #expect(sample.output.contains("about 1 person to"), "\(sample)")
    }

    /// Those who read a log want no end that came at once.
    @Test func shortWorkHasNoProgressBesidesATerminal() async throws {
        let folder = try Folder()
        let data = try await folder.node()
        for command in ["verify", "rebuild"] {
            let run = try await Binary.run([command, "--data", data])
            #expect(run.status == 0 && run.errors.isEmpty, "\(run)")
        }
    }

    @Test func peopleReadWordsAndProgramsTheNamesOfTheProtocol() async throws {
        let folder = try Folder()
        let data = try await folder.node()
        var wrong = grantOfNewsletter
        wrong[5] = "1.1"
        let refused = try await Binary.run(["grant", "customer:1", "--data", data] + wrong)
        #expect(refused.errors.contains("(revision not current)"), "\(refused)")
        let asJSON = try await Binary.run(["grant", "customer:1", "--json", "--data", data] + wrong)
        #expect(asJSON.objects.first?["refused"] as? String == "revisionNotCurrent", "\(asJSON)")
        for command in ["check", "explain"] {
            let question = [command, "customer:1", "-p", "receipts", "--data", data]
            let run = try await Binary.run(question)
            #expect(run.output.contains("basis holds"), "\(run)")
            let object = try await Binary.run(question + ["--json"]).objects.first
            #expect(object?["reason"] as? String == "basis_holds")
        }
    }

    @Test func memoryComesFromJemallocForSwiftAndForSQLiteAlike() async throws {
        let process = Binary.process(["--version"])
        // The dynamic linker says what it binds, at once instead of at the first call.
        process.environment?["LD_DEBUG"] = "bindings"
        process.environment?["LD_BIND_NOW"] = "1"
        let bindings = try await Binary.run(process).errors.split(separator: "\n")
        for library in ["libswiftCore.so", "libsqlite3.so"] {
            for function in ["malloc", "free"] {
                let providers = bindings.filter { $0.contains("symbol `\(function)'") }
                    .map { $0.components(separatedBy: " to ") }.filter { $0[0].contains(library) }.map { $0[1] }
                #expect(!providers.isEmpty, "\(library) binds no \(function)")
                #expect(providers.allSatisfy { $0.contains("libjemalloc.so") }, "\(providers)")
            }
        }
    }

    /// What the README says of backups.
    @Test func aLedgerAndItsKeyAreAWholeNode() async throws {
        let folder = try Folder()
        let data = try await folder.node(["--token"])
        _ = try await Binary.run(["grant", "customer:1", "--data", data] + grantOfNewsletter)
        let restored = folder.path + "/restored"
        try FileManager.default.createDirectory(atPath: restored, withIntermediateDirectories: false)
        for file in ["ledger.sqlite", "index.key", "token"] {
            try FileManager.default.copyItem(atPath: "\(data)/\(file)", toPath: "\(restored)/\(file)")
        }
        let check = ["check", "customer:1", "-p", "newsletter", "--data"]
        #expect(try await Binary.run(check + [restored]).status == 0)
        let verified = try await Binary.run(["verify", "--data", restored])
        #expect(verified.status == 0, "\(verified)")
        // Also an older one, put back beside the newer index; what was signed since shows that its end is missing.
        _ = try await Binary.run(["withdraw", "customer:1", "-p", "newsletter", "--data", data])
        try Data(contentsOf: URL(filePath: restored + "/ledger.sqlite"))
            .write(to: URL(filePath: data + "/ledger.sqlite"))
        let cutOff = try await Binary.run(["verify", "--data", data])
        #expect(cutOff.status == 6 && cutOff.errors.contains("the end was cut off"), "\(cutOff)")
        #expect(try await Binary.run(check + [data]).status == 6)
        try FileManager.default.removeItem(atPath: data + "/checkpoints")
        // Its index is of the time that is gone; and until it is found sound, the node is closed.
        #expect(try await Binary.run(["rebuild", "--data", data]).status == 6)
        #expect(try await Binary.run(["verify", "--data", data]).status == 0)
        let older = try await Binary.run(check + [data])
        #expect(older.status == 0, "\(older)")
        #expect(try await Binary.run(["verify", "--data", data]).status == 0)
    }

    @Test func aGrantIsGrantedAndAWithdrawalDeniesByEveryIdentifier() async throws {
        let folder = try Folder()
        let data = try await folder.node()
        func run(_ arguments: [String]) async throws -> Binary.Run {
            try await Binary.run(arguments + ["--data", data])
        }
        #expect(try await run(["check", "customer:7", "-p", "newsletter"]).status == 2)
        let grant = try await run(["grant", "customer:7", "email:Ola@Example.no"] + grantOfNewsletter)
        #expect(grant.status == 0, "\(grant.errors)")
        #expect(try await run(["check", "email:ola@example.no", "-p", "newsletter"]).status == 0)
        let explained = try await run(["explain", "customer:7", "-p", "newsletter", "--json"])
        #expect(explained.objects.first?["consentedRevision"] as? String == "1.2")
        #expect(explained.objects.first?["reason"] as? String == "given")
        #expect(try await run(["withdraw", "email:ola@example.no", "-p", "newsletter"]).status == 0)
        #expect(try await run(["check", "customer:7", "-p", "newsletter"]).status == 1)
        let history = try await run(["history", "customer:7", "--json"])
        #expect(history.objects.map { $0["state"] as? String } == ["given", "withdrawn"])
        let verified = try await run(["verify", "--json"])
        #expect(verified.status == 0 && verified.objects.first?["sound"] as? Bool == true)
        #expect(try await run(["rebuild"]).status == 0)
        #expect(try await run(["check", "customer:7", "-p", "newsletter"]).status == 1)
    }

    @Test func allThreeShapesAnswerAlike() async throws {
        let folder = try Folder()
        let data = try await folder.node()
        _ = try await Binary.run(["grant", "customer:1", "--data", data] + grantOfNewsletter)
        let many = try await Binary.run(
            ["check", "customer:1", "-p", "newsletter", "-p", "receipts", "-p", "sms-offers", "--data", data, "--json"])
        #expect(many.objects.map { $0["decision"] as? String } == ["granted", "granted", "unknown"])
        #expect(many.status == 2)
        let people = try await Binary.run(
            ["check", "customer:1", "customer:2", "-p", "newsletter", "--data", data, "--json"])
        #expect(people.objects.map { $0["decision"] as? String } == ["granted", "unknown"])
    }

    @Test func anObjectionStandsUntilThePersonLiftsIt() async throws {
        let folder = try Folder()
        let data = try await folder.node()
        for (command, status) in [(["object"], Int32(1)), (["object", "--lift"], 0)] {
            let act = try await Binary.run(command + ["customer:5", "-p", "register-cleaning", "--data", data])
            #expect(act.status == 0, "\(act.errors)")
            #expect(
                try await Binary.run(["check", "customer:5", "-p", "register-cleaning", "--data", data]).status
                    == status)
        }
    }

    @Test func aNoOnADayOutranksTheGrantOfThatDayAndIsNeverInTheFuture() async throws {
        let folder = try Folder()
        let data = try await folder.node()
        func run(_ arguments: [String]) async throws -> Binary.Run {
            try await Binary.run(arguments + ["--data", data])
        }
        let day = "2026-05-05"
        _ = try await run(["grant", "customer:1", "--captured-at", day + "T18:00:00Z"] + grantOfNewsletter)
        let withdrawn = try await run(["withdraw", "customer:1", "-p", "newsletter", "--captured-at", day])
        #expect(withdrawn.status == 0, "\(withdrawn.errors)")
        #expect(try await run(["check", "customer:1", "-p", "newsletter"]).status == 1)
        _ = try await run(["object", "customer:1", "-p", "register-cleaning", "--captured-at", day])
        _ = try await run(["object", "customer:1", "-p", "register-cleaning", "--lift", "--captured-at", day])
        #expect(try await run(["check", "customer:1", "-p", "register-cleaning"]).status == 1)
        _ = try await run(["grant", "customer:3"] + grantOfNewsletter)
        _ = try await run(["withdraw", "customer:3", "-p", "newsletter", "--captured-at", "1970-01-01"])
        #expect(try await run(["check", "customer:3", "-p", "newsletter"]).status == 1)
        let today = Date().formatted(.iso8601.year().month().day())
        #expect(try await run(["withdraw", "customer:2", "-p", "newsletter", "--captured-at", today]).status == 0)
        let entry = try #require(try await run(["history", "customer:2", "--json"]).objects.last)
        let (captured, recorded) = (entry["capturedAt"] as? String, entry["recordedAt"] as? String)
        #expect(try #require(captured) <= #require(recorded))
        #expect(try #require(captured) > today + "T00:00:00Z")
    }

    @Test func aNoOfTwoPeopleReachesBoth() async throws {
        let folder = try Folder()
        let data = try await folder.node()
        for person in ["customer:1", "email:kari@example.no"] {
            _ = try await Binary.run(["grant", person, "--data", data] + grantOfNewsletter)
        }
        let run = try await Binary.run(
            ["withdraw", "customer:1", "email:kari@example.no", "-p", "newsletter", "--data", data, "--json"])
        #expect(run.status == 0, "\(run)")
        #expect(run.objects.map { $0["subject"] as? String } == ["customer:1 email:kari@example.no"])
        for person in ["customer:1", "email:kari@example.no"] {
            #expect(try await Binary.run(["check", person, "-p", "newsletter", "--data", data]).status == 1)
        }
    }

    @Test func aRefusedActSaysWhyAndStoresNothing() async throws {
        let folder = try Folder()
        let data = try await folder.node()
        var wrong = grantOfNewsletter
        wrong[5] = "1.1"
        let run = try await Binary.run(["grant", "customer:1", "--data", data] + wrong)
        #expect(run.status == 5)
        #expect(run.errors.contains("1.2"), "\(run.errors)")
        let stats = try await Binary.run(["stats", "--data", data, "--json"])
        #expect(stats.objects.first?["subjects"] as? Int == 0)
    }

    @Test(arguments: [
        [], ["init"], ["serve"], ["check"], ["explain"], ["grant"], ["withdraw"], ["object"], ["confirm"], ["history"],
        ["audience"], ["reconsent"], ["ending"], ["breach"], ["notices"], ["access"], ["import"], ["catalog"],
        ["catalog", "check"], ["catalog", "diff"], ["catalog", "apply"], ["catalog", "show"],
        ["stats"], ["verify"], ["rebuild"], ["ping"], ["bench"],
    ])
    func helpIsThere(command: [String]) async throws {
        let run = try await Binary.run(command + ["--help"])
        #expect(run.status == 0 && run.output.contains("USAGE"))
    }

    @Test(arguments: ["bash", "zsh", "fish"])
    func completionsAreThere(shell: String) async throws {
        let run = try await Binary.run(["--generate-completion-script", shell])
        #expect(run.status == 0 && run.output.contains("withdraw"))
    }

    @Test(arguments: ["customer", "nobody:1", "email:", "customer:\u{7}"])
    func anIdentifierThatIsNoneIsRefused(text: String) async throws {
        let run = try await Binary.run(["check", text, "-p", "newsletter"])
        #expect(run.status == 64)
    }

    @Test func aSecondNodeInTheSameFolderIsRefused() async throws {
        let folder = try Folder()
        let data = try await folder.node()
        let again = try await Binary.run(["init", "--data", data])
        #expect(again.status == 5 && again.errors.contains("already"))
    }

    @Test func aCatalogErrorNamesFileLineAndRuleAndNothingIsApplied() async throws {
        let folder = try Folder()
        let data = try await folder.node()
        let template = try await Binary.run(["catalog", "template"]).output
        let broken = template.replacingOccurrences(of: "basis: contract", with: "basis: contrast")
        let path = try folder.write("broken.yaml", Data(broken.utf8))
        for command in ["check", "apply", "diff"] {
            let node = command == "check" ? [] : ["--data", data]
            let run = try await Binary.run(["catalog", command, path] + node)
            #expect(run.status == 5)
            let line = try #require(
                broken.split(separator: "\n", omittingEmptySubsequences: false).firstIndex {
                    $0.contains("basis: contrast")
                })
            #expect(run.errors.contains("broken.yaml:\(line + 1):"), "\(run.errors)")
        }
        let shown = try await Binary.run(["catalog", "show", "--document", "--data", data])
        #expect(shown.output == template)
    }

    @Test func aBreakingRevisionMakesOlderConsentsOutdated() async throws {
        let folder = try Folder()
        let data = try await folder.node()
        _ = try await Binary.run(["grant", "customer:1", "--data", data] + grantOfNewsletter)
        let next = try breakingRevision(of: try await Binary.run(["catalog", "template"]).output)
        let path = try folder.write("next.yaml", Data(next.utf8))
        let preview = try await Binary.run(["catalog", "diff", path, "--data", data])
        #expect(preview.status == 0 && preview.output.contains("1 person loses 'newsletter'"), "\(preview)")
        #expect(try await Binary.run(["check", "customer:1", "-p", "newsletter", "--data", data]).status == 0)
        let applied = try await Binary.run(["catalog", "apply", path, "--data", data])
        #expect(applied.status == 0, "\(applied.errors)")
        #expect(try await Binary.run(["check", "customer:1", "-p", "newsletter", "--data", data]).status == 2)
        let explained = try await Binary.run(["explain", "customer:1", "-p", "newsletter", "--data", data, "--json"])
        #expect(explained.objects.first?["reason"] as? String == "outdated_revision")
        #expect(try await Binary.run(["verify", "--data", data]).status == 0)
    }

    @Test func aCatalogIsHeldAgainstTheOneBeforeIt() async throws {
        let folder = try Folder()
        let template = try await Binary.run(["catalog", "template"]).output
        let applied = try folder.write("applied.yaml", Data(template.utf8))
        let same = try await Binary.run(["catalog", "check", applied, "--against", applied])
        #expect(same.status == 0, "\(same)")
        let reused = template.replacingOccurrences(of: "- id: warranty", with: "- id: guarantee")
            .replacingOccurrences(of: "[warranty]", with: "[guarantee]")
        let next = try folder.write("next.yaml", Data(reused.utf8))
        #expect(try await Binary.run(["catalog", "check", next]).status == 0)
        let refused = try await Binary.run(["catalog", "check", next, "--against", applied, "--json"])
        #expect(refused.status == 5)
        let problems = try #require(refused.objects.first?["problems"] as? [[String: Any]])
        #expect(problems.compactMap { $0["rule"] as? String }.contains("bit-reassigned"), "\(problems)")
        let line = try #require(problems.last?["line"] as? Int)
        #expect(reused.split(separator: "\n", omittingEmptySubsequences: false)[line - 1].contains("- id: guarantee"))
    }

    /// The template with the marketing declaration's last revision once more, as a later one that nothing carries over to.
    private func breakingRevision(of template: String) throws -> String {
        let lines = template.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
        let begin = try #require(lines.firstIndex { $0.contains("- revision: \"1.2\"") })
        let indent = lines[begin].prefix { $0 == " " }.count
        let end =
            lines[(begin + 1)...].firstIndex { line in
                !line.trimmingCharacters(in: .whitespaces).isEmpty && line.prefix { $0 == " " }.count <= indent
            } ?? lines.count
        let copy = lines[begin..<end].filter { !$0.contains("compatibleWith:") }.map { line in
            line.replacingOccurrences(of: "\"1.2\"", with: "\"2.0\"")
                .replacingOccurrences(
                    of: "effectiveAt: 2026-03-01", with: "effectiveAt: \(Date.now.formatted(.iso8601))")
        }
        return (lines[..<end] + copy + lines[end...]).joined(separator: "\n")
    }
}
