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

    @Test func aDryRunNeedsNoNodeAndRecordsNothing() async throws {
        let folder = try Folder()
        let path = try folder.write("register.csv", Data((Self.header + Self.row(1)).utf8))
        let run = try await Binary.run(["import", path, "--dry-run", "--json", "--data", folder.path + "/none"])
        #expect(run.status == 0 && run.objects.last?["accepted"] as? Int == 1, "\(run)")
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
}
