import Foundation
import Testing

/// A register goes in at one end.
struct ImportTests {
    private static let header =
        "customer,email,purpose,state,captured_at,declaration,revision,language,method,list_source\n"
    private static func row(_ number: Int, _ more: String = "") -> String {
        "\(number),p\(number)@example.no,newsletter,given,2026-05-0\(number % 9 + 1)T10:00:00Z,"
            + "club-membership-marketing,1.2,nb,double_opt_in,own\(more)\n"
    }

    private func importing(_ data: String, _ path: String, _ more: [String] = []) async throws -> Binary.Run {
        try await Binary.run(["import", path, "--data", data, "--json"] + more)
    }

    @Test func goodRowsAreTakenAndBadOnesReportedByLine() async throws {
        let folder = try Folder()
        let data = try await folder.node()
        var bytes = Data((Self.header + Self.row(1)).utf8)
        bytes += Data([0x32, 0x2C, 0xE6, 0x2C] + Array("newsletter,given,,,,,,\n".utf8))
        bytes += Data(Self.row(3).utf8)
        bytes += Data("4,\(String(repeating: "x", count: 1_000_000)),newsletter,given,,,,,,own\n".utf8)
        bytes += Data(Self.row(5).utf8)
        bytes += Data("6,a\u{0}b,newsletter,given,,,,,,own\n".utf8)
        bytes += Data(Self.row(7).utf8)
        bytes += Data("8,p8@example.no,newsletter,given,,,,,,bought\n".utf8)
        bytes += Data(
            "9,p9@example.no,no-such-purpose,given,2026-05-01,club-membership-marketing,1.2,nb,button,own\n".utf8)
        bytes += Data("10,p10@example.no,newsletter,given,,,,,,own\n".utf8)
        bytes += Data("11,\"p11@example.no,newsletter,given\n".utf8)
        bytes += Data(Self.row(12).utf8)
        bytes += Data("13,p13@exa".utf8)
        let run = try await importing(data, try folder.write("register.csv", bytes))
        let summary = try #require(run.objects.last)
        #expect(summary["accepted"] as? Int == 5, "\(run)")
        #expect(summary["withoutProof"] as? Int == 1)
        let rejects = try String(contentsOfFile: folder.path + "/register.csv.rejects.csv", encoding: .utf8)
        for line in [3, 5, 7, 9, 10, 12, 14] {
            #expect(rejects.contains("\n\(line),"), "line \(line): \(rejects.prefix(600))")
        }
        for number in [1, 3, 5, 7, 12] {
            let check = try await Binary.run(["check", "customer:\(number)", "-p", "newsletter", "--data", data])
            #expect(check.status == 0, "customer \(number)")
        }
        #expect(try await Binary.run(["check", "customer:10", "-p", "newsletter", "--data", data]).status == 2)
        #expect(try await Binary.run(["verify", "--data", data]).status == 0)
    }

    @Test func importingTwiceRecordsNothingTwice() async throws {
        let folder = try Folder()
        let data = try await folder.node()
        let path = try folder.write("register.csv", Data((Self.header + (1...50).map { Self.row($0) }.joined()).utf8))
        let first = try await importing(data, path).objects.last
        let second = try await importing(data, path).objects.last
        #expect(first?["eventsRecorded"] as? Int == 50)
        #expect(second?["eventsRecorded"] as? Int == 0 && second?["eventsKnown"] as? Int == 50)
    }

    /// What a marketer gets from elsewhere, and wants to know before anything is recorded.
    @Test func aRegisterUnderItsOwnNamesSaysWhatItIsWorth() async throws {
        let folder = try Folder()
        let data = try await folder.node()
        let rows = """
            Kundenr;E-post;Formål;Status;Dato;declaration;revision;language;method
            1;a@example.no;newsletter;given;2026-05-01;club-membership-marketing;1.2;nb;double_opt_in
            1;a@example.no;newsletter;given;2026-05-01;club-membership-marketing;1.2;nb;double_opt_in
            2;b@example.no;newsletter;given;2024-12-01;club-membership-marketing;1.1;nb;double_opt_in
            3;a@example.no;newsletter;given;2026-05-01;club-membership-marketing;1.2;nb;double_opt_in
            4;d@example.no;newsletter;given;2026-05-02;club-membership-marketing;1.2;nb;double_opt_in
            4;d@example.no;newsletter;withdrawn;2026-05-02T00:00:00Z;;;;
            5;e@example.no;newsletter;given;;;;;
            6;f@example.no;sms-offers;given;2026-03-02;club-membership-marketing;1.2;nb;button

            """
        let path = try folder.write("kunder.csv", Data(rows.utf8))
        let map = ["customer=Kundenr", "email=E-post", "purpose=Formål", "state=Status", "captured_at=Dato"]
        let options = map.flatMap { ["--map", $0] }
        let ask = folder.path + "/ask.csv"
        let judged = try #require(
            try await importing(
                data, path, options + ["--dry-run", "--dormant-after", "P60D", "--ask-again", ask]
            ).objects.last)
        #expect(judged["rows"] as? Int == 8 && judged["usableToday"] as? Int == 5, "\(judged)")
        #expect(judged["repeated"] as? Int == 1 && judged["contradicted"] as? Int == 1)
        #expect(judged["rejectedByRule"] as? [String: Int] == ["identifierConflict": 1])
        #expect(judged["dormant"] as? Int == 4)
        let asked = try String(contentsOfFile: ask, encoding: .utf8)
        #expect(asked.contains("\n4,\"outdated\"") && asked.contains("\n8,\"without_proof\""), "\(asked)")
        #expect(asked.contains("\n9,\"dormant\""))

        let mapping = try folder.write("columns.txt", Data(map.joined(separator: "\n").utf8))
        let imported = try #require(try await importing(data, path, ["--mapping", mapping]).objects.last)
        for key in ["rows", "usableToday", "worthless", "sayNo"] {
            #expect(judged[key] as? Int == imported[key] as? Int, "\(key)")
        }
        // What is recorded already, the ledger knows.
        #expect(imported["repeated"] is NSNull && imported["eventsKnown"] as? Int == 1)
        let norsk = try await Binary.run(
            ["import", path, "--data", data, "--dry-run", "--mapping", mapping, "--report-language", "nb"])
        #expect(norsk.output.contains("5 av 8 rader kan brukes i dag (62,5 %)"), "\(norsk)")
        #expect(norsk.output.contains("kjennetegnene tilhører flere personer"))
        #expect(norsk.output.contains("bevis mangler: ikke kjent hva det ble samtykket til, hvordan og når"))

        let bought = try #require(
            try await importing(data, path, ["--mapping", mapping, "--dry-run", "--bought"]).objects.last)
        #expect((bought["rejectedByRule"] as? [String: Int])?["bought_without_proof"] == 1)
        #expect(try await Binary.run(["verify", "--data", data]).status == 0)
    }

    @Test func aMappingThatFitsNothingIsRefusedByName() async throws {
        let folder = try Folder()
        let data = try await folder.node()
        let path = try folder.write("register.csv", Data((Self.header + Self.row(1)).utf8))
        for (options, code, part) in [
            (["--map", "phone=Telefon"], 5, "'telefon'"), (["--map", "navn=customer"], 5, "'navn'"),
            (["--map", "email"], 64, "--map 'email'"), (["--dormant-after", "soon"], 64, "'soon'"),
            (["--report-language", "fi"], 64, "nb, sv, en"), (["--ask-again", path], 64, "overwrite"),
        ] as [([String], Int32, String)] {
            let run = try await importing(data, path, options)
            #expect(run.status == code && run.errors.contains(part), "\(options): \(run)")
        }
        let wrong = try folder.write("columns.txt", Data("customer=customer\nemail\n".utf8))
        let run = try await importing(data, path, ["--mapping", wrong])
        #expect(run.status == 5 && run.errors.contains("line 2"), "\(run)")
    }

    private static let noRegisters: [(name: String, bytes: [UInt8])] = [
        ("UTF-16", [0xFF, 0xFE, 0x61, 0x00, 0x2C, 0x00, 0x62, 0x00, 0x0A, 0x00]), ("empty", []),
        ("no such column", Array("navn,epost\n1,2\n".utf8)), ("zip", [0x50, 0x4B, 3, 4, 0, 0]),
    ]

    @Test(arguments: noRegisters)
    func aFileThatIsNoRegisterIsRefusedWhole(name: String, bytes: [UInt8]) async throws {
        let folder = try Folder()
        let data = try await folder.node()
        let run = try await importing(data, try folder.write("register.csv", Data(bytes)))
        #expect(run.status == 5 && !run.errors.isEmpty, "\(name): \(run)")
        let stats = try await Binary.run(["stats", "--data", data, "--json"])
        #expect(stats.objects.first?["subjects"] as? Int == 0)
    }

    /// With a server on the node's folder the command asks it, else it opens the folder itself.
    @Test(arguments: [false, true])
    func aDryRunJudgesAsTheImportWillAndLeavesNothing(isServed: Bool) async throws {
        let folder = try Folder()
        let data = try await folder.node()
        let server = isServed ? try Server(data) : nil
        let rows = [
            Self.row(1), Self.row(2).replacingOccurrences(of: "1.2", with: "1.1"),
            Self.row(3).replacingOccurrences(of: "nb", with: "fi"),
            Self.row(4).replacingOccurrences(of: "newsletter", with: "no-such-purpose"),
            Self.row(5).replacingOccurrences(of: "newsletter", with: "receipts"),
            "6,,newsletter,given,,,,,,own\n", "7,,newsletter,withdrawn,,,,,,own\n", "8,,newsletter,nonsense,,,,,,own\n",
        ]
        let path = try folder.write("register.csv", Data((Self.header + rows.joined()).utf8))
        let ofEarlier = "line,rule,message,text\n2,of an earlier import,,"
        let earlier = try folder.write("register.csv.rejects.csv", Data(ofEarlier.utf8))
        let files = try FileManager.default.contentsOfDirectory(atPath: folder.path)

        let judged = try #require(try await importing(data, path, ["--dry-run"]).objects.last)
        #expect(judged["dryRun"] as? Bool == true && judged["rejectFile"] is NSNull)
        #expect(judged["eventsAdmitted"] as? Int == 3 && judged["eventsRecorded"] as? Int == 0, "\(judged)")
        #expect(try String(contentsOfFile: earlier, encoding: .utf8) == ofEarlier)
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path) == files)
        let stats = try await Binary.run(["stats", "--data", data, "--json"])
        #expect(stats.objects.first?["subjects"] as? Int == 0)

        let named = folder.path + "/judged.csv"
        _ = try await importing(data, path, ["--dry-run", "--rejects", named])
        let imported = try #require(try await importing(data, path).objects.last)
        #expect(imported["eventsRecorded"] as? Int == 3)
        for key in ["rows", "accepted", "withoutProof", "rejected"] {
            #expect(judged[key] as? Int == imported[key] as? Int, "\(key)")
        }
        #expect(judged["rejectedByRule"] as? [String: Int] == imported["rejectedByRule"] as? [String: Int])
        func linesAndRules(_ path: String) throws -> [[Substring]] {
            try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n").map {
                Array($0.split(separator: ",").prefix(2))
            }
        }
        #expect(try linesAndRules(named) == linesAndRules(earlier))
        #expect(server?.end() ?? 0 == 0)
    }

    @Test func aNodeWithoutACatalogTakesNoRowInADryRunEither() async throws {
        let folder = try Folder()
        let data = try await folder.node(["--catalog", "none"])
        let path = try folder.write("register.csv", Data((Self.header + Self.row(1)).utf8))
        let judged = try await importing(data, path, ["--dry-run"])
        #expect(judged.status == 0 && judged.objects.last?["accepted"] as? Int == 0, "\(judged)")
        let imported = try await importing(data, path)
        #expect(imported.objects.last?["accepted"] as? Int == 0, "\(imported)")
    }

    @Test func aReportSpeaksInWordsAndJudgesNobodysWork() async throws {
        let folder = try Folder()
        let data = try await folder.node()
        let rows = "1,,newsletter,confirmed,,,,,,own\n2,,no-such-purpose,withdrawn,,,,,,own\n"
        let path = try folder.write("register.csv", Data((Self.header + rows).utf8))
        let run = try await Binary.run(["import", path, "--data", data])
        #expect(run.output.contains("captured at missing") && run.output.contains("purpose unknown"), "\(run)")
        #expect(run.output.contains("2 are worthless as they are (100.0 %)"), "\(run)")
        #expect(run.output.hasPrefix("2 rows in "))
        let dry = try await Binary.run(["import", path, "--data", data, "--dry-run"])
        #expect(dry.output.contains("nothing was recorded") && dry.output.contains("captured at missing"), "\(dry)")
        #expect(!dry.output.contains("rejected rows with line"), "\(dry)")
    }

    @Test func anImportThatWasKilledGoesOnAndLosesNothing() async throws {
        let folder = try Folder()
        let data = try await folder.node()
        let path = folder.path + "/register.csv"
        _ = try await Binary.run(["sample-register", path, "--subjects", "3000"])
        let whole = try Folder()
        let wholeData = try await whole.node()
        _ = try await importing(wholeData, path)
        for pause in [200_000, 500_000, 900_000] {
            let process = Binary.process(["import", path, "--data", data])
            process.standardOutput = FileHandle.nullDevice
            process.standardError = FileHandle.nullDevice
            try process.run()
            usleep(UInt32(pause))
            kill(process.processIdentifier, SIGKILL)
            process.waitUntilExit()
        }
        #expect(try await importing(data, path).status == 0)
        func count(_ data: String) async throws -> Int? {
            try await Binary.run(["stats", "--data", data, "--json"]).objects.first?["sequence"] as? Int
        }
        #expect(try await count(data) == count(wholeData))
        #expect(try await Binary.run(["verify", "--data", data]).status == 0)
    }

    // MARK: A "no"

    private static let plainHeader = "customer,email,purpose,state,captured_at,declaration,revision,language,method\n"
    private static let proof = "club-membership-marketing,1.2,nb"

    private func status(_ person: String, _ purpose: String, _ data: String) async throws -> Int32 {
        try await Binary.run(["check", person, "-p", purpose, "--data", data]).status
    }

    private func grant(_ person: String, in data: String, _ more: [String] = []) async throws {
        let run = try await Binary.run(["grant", person, "--data", data] + grantOfNewsletter + more)
        #expect(run.status == 0, "\(run.errors)")
    }

    /// With a server on the node's folder the command talks to it, else it opens the folder itself.
    @Test(arguments: [false, true])
    func undatedActsMeanTheSameWithAServerAndWithout(isServed: Bool) async throws {
        let folder = try Folder()
        let data = try await folder.node()
        let server = isServed ? try Server(data) : nil
        for person in ["customer:1", "customer:6"] {
            let run = try await Binary.run(["object", person, "-p", "register-cleaning", "--data", data])
            #expect(run.status == 0, "\(run.errors)")
        }
        try await grant("customer:4", in: data)
        let path = try folder.write(
            "register.csv",
            Data(
                """
                \(Self.plainHeader)\
                1,,register-cleaning,objection_lifted,,,,,
                2,,newsletter,given,2026-05-01T10:00:00Z,\(Self.proof),button
                2,,newsletter,confirmed,,,,,
                3,,newsletter,given,1970-01-01,\(Self.proof),double_opt_in
                4,,newsletter,given,,\(Self.proof),
                5,,newsletter,confirmed,1970-01-01,,,,
                6,,register-cleaning,objection_lifted,1970-01-01T00:00:00+01:00,,,,

                """.utf8))
        for (recorded, known) in [(3, 0), (0, 3)] {
            let summary = try #require(try await importing(data, path).objects.last)
            #expect(summary["accepted"] as? Int == 1 && summary["withoutProof"] as? Int == 2, "\(summary)")
            #expect(summary["rejectedByRule"] as? [String: Int] == ["captured_at_missing": 4])
            #expect(summary["eventsRecorded"] as? Int == recorded && summary["eventsKnown"] as? Int == known)
            #expect(try await status("customer:1", "register-cleaning", data) == 1)
            #expect(try await status("customer:2", "newsletter", data) == 2)
            #expect(try await status("customer:3", "newsletter", data) == 2)
            #expect(try await status("customer:4", "newsletter", data) == 0)
            #expect(try await status("customer:6", "register-cleaning", data) == 1)
        }
        #expect(server?.end() ?? 0 == 0)
    }

    @Test(arguments: [false, true])
    func anUndatedNoCountsAgainInEachNewRegisterAndOnceInTheSame(isServed: Bool) async throws {
        let folder = try Folder()
        let data = try await folder.node()
        let server = isServed ? try Server(data) : nil
        for more in ["", "2,newsletter,withdrawn\n", "3,sms-offers,withdrawn\n"] {
            let path = try folder.write(
                "register.csv", Data("customer,purpose,state\n1,newsletter,withdrawn\n\(more)".utf8))
            let rows = more.isEmpty ? 1 : 2
            #expect(try await importing(data, path).objects.last?["eventsRecorded"] as? Int == rows)
            #expect(try await status("customer:1", "newsletter", data) == 1)
            try await grant("customer:1", in: data)
            #expect(try await status("customer:1", "newsletter", data) == 0)
            // The grant is newer than what the file says.
            let again = try await importing(data, path).objects.last
            #expect(again?["eventsRecorded"] as? Int == 0 && again?["eventsKnown"] as? Int == rows)
            #expect(try await status("customer:1", "newsletter", data) == 0)
        }
        #expect(server?.end() ?? 0 == 0)
    }

    /// As exporters write them that leave empty fields at the end out, or text unquoted.
    @Test func aNoIsTakenFromAHalfRowAndOneThatIsNotIsNamed() async throws {
        let folder = try Folder()
        let data = try await folder.node()
        for number in 1...5 { try await grant("customer:\(number)", in: data) }
        let path = try folder.write(
            "register.csv",
            Data(
                """
                customer;purpose;state;evidence;captured_at
                1;newsletter;withdrawn
                2;newsletter;withdrawn;a;b;c;d
                3;newsletter;withdrawn;\(String(repeating: "x", count: 70_000));2026-01-01
                ;newsletter;withdrawn;;
                4;newsletter;withdrawn;"x;2026-01-01

                """.utf8))
        let run = try await importing(data, path)
        #expect(run.objects.last?["accepted"] as? Int == 4, "\(run)")
        #expect(run.objects.last?["noNotTaken"] as? Int == 1, "\(run)")
        #expect(run.errors.contains("line 5") && run.errors.contains("says no"), "\(run)")
        for number in 1...4 { #expect(try await status("customer:\(number)", "newsletter", data) == 1) }
        #expect(try await status("customer:5", "newsletter", data) == 0)
        let rejects = try String(contentsOfFile: path + ".rejects.csv", encoding: .utf8)
        #expect(rejects.contains("THE ROW SAYS NO"), "\(rejects)")
    }

    @Test func aNoIsTakenWhateverElseItsRowSays() async throws {
        let folder = try Folder()
        let data = try await folder.node()
        try await grant("customer:1", in: data)
        try await grant("customer:2", in: data)
        let long = String(repeating: "ø", count: 3000)
        let path = try folder.write(
            "register.csv",
            Data(
                """
                customer,email,purpose,state,captured_at,declaration,revision,language,party,system,actor,evidence
                1,,newsletter,withdrawn,22.11.2026,\(long),\(long),\(long),nobody,\(long),\(long),\(long)
                2,a\u{7}@example.no,newsletter,refused,2999-01-01,club-membership-marketing,,,,,,

                """.utf8))
        let run = try await importing(data, path)
        #expect(run.objects.last?["accepted"] as? Int == 2, "\(run)")
        #expect(try await status("customer:1", "newsletter", data) == 1)
        #expect(try await status("customer:2", "newsletter", data) == 1)
    }

    @Test func aNoOnADayOutranksTheGrantOfThatDay() async throws {
        let folder = try Folder()
        let data = try await folder.node()
        try await grant("customer:1", in: data, ["--captured-at", "2026-05-05T18:00:00Z"])
        let path = try folder.write(
            "register.csv",
            Data(
                """
                \(Self.plainHeader)\
                1,,newsletter,withdrawn,2026-05-05,,,,
                2,,newsletter,withdrawn,2026-05-05,,,,
                2,,newsletter,given,2026-05-05,\(Self.proof),double_opt_in

                """.utf8))
        for recorded in [3, 0] {
            #expect(try await importing(data, path).objects.last?["eventsRecorded"] as? Int == recorded)
            #expect(try await status("customer:1", "newsletter", data) == 1)
            #expect(try await status("customer:2", "newsletter", data) == 1)
        }
    }

    @Test(arguments: [false, true])
    func aNoOfTwoPeopleReachesBoth(isServed: Bool) async throws {
        let folder = try Folder()
        let data = try await folder.node()
        let server = isServed ? try Server(data) : nil
        let day = ["--captured-at", "2026-05-05T18:00:00Z"]
        try await grant("customer:1", in: data, day)
        try await grant("email:kari@example.no", in: data, day)
        let path = try folder.write(
            "register.csv",
            Data("\(Self.plainHeader)1,kari@example.no,newsletter,withdrawn,2026-06-05,,,,\n".utf8))
        for (recorded, known) in [(1, 0), (0, 1)] {
            let summary = try #require(try await importing(data, path).objects.last)
            #expect(summary["accepted"] as? Int == 1 && summary["rejected"] as? Int == 0, "\(summary)")
            #expect(summary["eventsRecorded"] as? Int == recorded && summary["eventsKnown"] as? Int == known)
            #expect(try await status("customer:1", "newsletter", data) == 1)
            #expect(try await status("email:kari@example.no", "newsletter", data) == 1)
        }
        #expect(server?.end() ?? 0 == 0)
    }

    // MARK: Order and resuming

    /// A confirmation stands at the head of every batch but the first, and its grant at the end of the one before.
    @Test func aConfirmationNeverOvertakesItsGrant() async throws {
        let folder = try Folder()
        let data = try await folder.node()
        let server = try Server(data)
        var text = Self.plainHeader + "0,,newsletter,refused,2026-05-01,,,,\n"
        for number in 1...10_000 {
            text += "\(number),,newsletter,given,2026-05-01T10:00:00Z,\(Self.proof),button\n"
            text += "\(number),,newsletter,confirmed,2026-05-01T11:00:00Z,,,,\n"
        }
        let summary = try await importing(data, try folder.write("register.csv", Data(text.utf8))).objects.last
        #expect(summary?["rejected"] as? Int == 0, "\(String(describing: summary))")
        #expect(summary?["eventsRecorded"] as? Int == 20_001)
        #expect(server.end() == 0)
    }

    /// Ends an import as a crash would, when it has stored a point to go on from.
    private func killDuringImport(of path: String, into data: String) throws {
        let process = Binary.process(["import", path, "--data", data])
        process.standardOutput = FileHandle.nullDevice
        process.standardError = FileHandle.nullDevice
        try process.run()
        while process.isRunning, !FileManager.default.fileExists(atPath: path + ".progress") { usleep(1000) }
        kill(process.processIdentifier, SIGKILL)
        process.waitUntilExit()
    }

    @Test func anImportGoesOnOnlyWhereNothingBeforeHasChanged() async throws {
        let folder = try Folder()
        let data = try await folder.node()
        func row(_ number: Int, _ state: String = "renewed") -> String {
            "\(number),,newsletter,\(state),2026-05-01T10:00:00Z,\(Self.proof),double_opt_in\n"
        }
        let text = Self.plainHeader + (1...40_000).map { row($0) }.joined()
        let path = try folder.write("register.csv", Data(text.utf8))
        try killDuringImport(of: path, into: data)
        let progress = try Data(contentsOf: URL(filePath: path + ".progress"))
        let other = try Folder()
        let otherData = try await other.node()

        let whole = try await Binary.run(["import", path, "--data", data])
        #expect(whole.status == 0 && whole.errors.contains("going on at line"), "\(whole.errors)")
        #expect(try await status("customer:5000", "newsletter", data) == 0)
        let stats = try await Binary.run(["stats", "--data", data, "--json"])
        #expect(stats.objects.first?["subjects"] as? Int == 40_000, "\(stats)")

        try progress.write(to: URL(filePath: path + ".progress"))
        let elsewhere = try await Binary.run(["import", path, "--data", otherData])
        #expect(elsewhere.status == 0 && elsewhere.errors.contains("begins anew"), "\(elsewhere.errors)")
        #expect(try await status("customer:1", "newsletter", otherData) == 0)

        try progress.write(to: URL(filePath: path + ".progress"))
        _ = try folder.write(
            "register.csv", Data(text.replacingOccurrences(of: row(5000), with: row(5000, "refused")).utf8))
        let changed = try await Binary.run(["import", path, "--data", data])
        #expect(changed.status == 0 && changed.errors.contains("begins anew"), "\(changed.errors)")
        #expect(try await status("customer:5000", "newsletter", data) == 1)
    }

    /// Put back to an older state, the ledger may have grown past the noted sequence since.
    @Test func anImportDoesNotGoOnWhereTheLedgerLacksWhatWasImported() async throws {
        let folder = try Folder()
        let data = try await folder.node()
        let backup = folder.path + "/backup"
        try FileManager.default.copyItem(atPath: data, toPath: backup)
        func rows(_ numbers: ClosedRange<Int>) -> Data {
            Data(
                (Self.plainHeader + numbers.map { "\($0),,newsletter,withdrawn,2026-05-01T10:00:00Z,,,,\n" }.joined())
                    .utf8)
        }
        let path = try folder.write("register.csv", rows(1...40_000))
        try killDuringImport(of: path, into: data)

        let others = try folder.write("others.csv", rows(100_000...150_000))
        #expect(try await importing(backup, others).status == 0)
        let resumed = try await Binary.run(["import", path, "--data", backup])
        #expect(resumed.status == 0 && resumed.errors.contains("begins anew"), "\(resumed.errors)")
        let stats = try await Binary.run(["stats", "--data", backup, "--json"])
        #expect(stats.objects.first?["subjects"] as? Int == 90_001, "\(stats)")
        #expect(try await status("customer:1", "newsletter", backup) == 1)
    }

    // MARK: The reject file

    @Test func theRejectFileHoldsNoFormulaAndNoNationalId() async throws {
        let folder = try Folder()
        let data = try await folder.node()
        let path = try folder.write(
            "register.csv",
            Data(
                """
                phone,national_id,purpose,state,evidence
                +4712345678,01017012345,no-such-purpose,withdrawn,=HYPERLINK(A1)
                +4712345679,01017012346,newsletter,given

                """.utf8))
        #expect(try await importing(data, path).objects.last?["rejected"] as? Int == 2)
        let rejects = try String(contentsOfFile: path + ".rejects.csv", encoding: .utf8)
        #expect(rejects.contains("\"'+4712345678,"), "\(rejects)")
        #expect(rejects.contains(",'=HYPERLINK(A1)"), "\(rejects)")
        #expect(!rejects.contains("010170"), "\(rejects)")
    }
}
