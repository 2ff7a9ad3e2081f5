import Foundation
import Testing

/// Linking from outside: what the commands say, also on a node that is killed on the way.
struct LinkCommandTests {
    private static func grant(_ purpose: String) -> [String] {
        ["-p", purpose, "--declaration", "club-membership-marketing", "--revision", "1.2", "--language", "nb"]
            + ["--method", "double_opt_in"]
    }

    private func club(_ folder: Folder) async throws -> [String] {
        let there = ["--data", try await folder.node()]
        for (name, purpose) in [("cookie:f3a1-browser", "sms-offers"), ("customer:100001", "newsletter")] {
            let run = try await Binary.run(["grant", name] + Self.grant(purpose) + there)
            #expect(run.status == 0, "\(run)")
        }
        return there
    }

    @Test func aCookieIsLinkedAndTakenOffAndTheHistoryTellsIt() async throws {
        let folder = try Folder()
        let there = try await club(folder)
        let link = try await Binary.run(["link", "cookie:f3a1-browser", "--to", "customer:100001", "--json"] + there)
        #expect(link.status == 0 && link.objects.first?["identifiers"] as? Int == 1, "\(link)")
        let again = try await Binary.run(["link", "cookie:f3a1-browser", "--to", "customer:100001"] + there)
        #expect(again.status == 0 && again.output == "known  they are one person's already\n", "\(again)")
        #expect(try await Binary.run(["check", "customer:100001", "-p", "sms-offers"] + there).status == 0)
        let access = try await Binary.run(["access", "customer:100001", "--json"] + there)
        #expect(access.objects.first?["identifiers"] as? [String] == ["cookie:f3a1-browser", "customer:100001"])
        #expect((access.objects.first?["links"] as? [[String: Any]])?.count == 1)
        let unlink = try await Binary.run(["unlink", "cookie:f3a1-browser", "--as", "clerk-7"] + there)
        #expect(unlink.status == 0 && unlink.output.hasPrefix("unlinked  sequence"), "\(unlink)")
        #expect(try await Binary.run(["check", "cookie:f3a1-browser", "-p", "sms-offers"] + there).status == 2)
        let history = try await Binary.run(["history", "customer:100001", "--json"] + there)
        #expect(history.objects.map { $0["state"] as? String } == ["given", "given", "linked", "unlinked"])
        let table = try await Binary.run(["history", "customer:100001"] + there)
        #expect(table.output.contains("linked") && table.output.contains("cookie:f3a1-browser"), "\(table)")
        let after = try await Binary.run(["access", "customer:100001", "--json"] + there)
        #expect(after.objects.first?["identifiers"] as? [String] == ["customer:100001"])
        #expect(try await Binary.run(["verify"] + there).status == 0)
    }

    @Test func whatIsRefusedExitsWith5AndSaysWhy() async throws {
        let folder = try Folder()
        let there = try await club(folder)
        let two = try await Binary.run(["link", "customer:2", "--to", "customer:100001"] + there)
        #expect(two.status == 5 && two.errors.contains("they are two people"), "\(two)")
        let nobody = try await Binary.run(["link", "cookie:f3a1-browser", "--to", "customer:3"] + there)
        #expect(nobody.status == 5 && nobody.errors.contains("nobody is known"), "\(nobody)")
        let only = try await Binary.run(["unlink", "customer:100001"] + there)
        #expect(only.status == 5 && only.errors.contains("alone"), "\(only)")
    }

    @Test func aPersonWithLinkedSubjectsIsErasedFromEveryFile() async throws {
        let folder = try Folder()
        let there = try await club(folder)
        _ = try await Binary.run(["link", "cookie:f3a1-browser", "--to", "customer:100001"] + there)
        _ = try await Binary.run(["link", "device:never-seen-before", "--to", "customer:100001"] + there)
        let run = try await Binary.run(["erase", "customer:100001", "--reason", "objection", "--json"] + there)
        let traces = try #require(run.objects.first?["traces"] as? [String: Any])
        #expect(run.status == 0 && traces["state"] as? String == "gone" && traces["values"] as? Int == 3, "\(run)")
        #expect((run.objects.first?["suppressed"] as? [[String: Any]])?.count == 3)
    }

    /// Whatever was acknowledged holds after the process was killed, and the node is whole.
    @Test func whatWasLinkedStaysLinkedWhenTheServerIsKilled() async throws {
        let folder = try Folder()
        let there = try await club(folder)
        var server = try Server(there[1])
        for round in 0..<4 {
            let names = (0..<6).map { "device:round-\(round)-\($0)" }
            var acknowledged: [String] = []
            let address = server.address
            await withTaskGroup(of: String?.self) { group in
                for name in names {
                    group.addTask {
                        let arguments = ["link", name, "--to", "customer:100001", "--server", address]
                        return try? await Binary.run(arguments).status == 0 ? name : nil
                    }
                }
                for await name in group {
                    if let name { acknowledged.append(name) }
                    if acknowledged.count == 1 + round { server.kill() }
                }
            }
            if server.process.isRunning { server.kill() }
            server = try Server(there[1])
            for name in acknowledged {
                let run = try await Binary.run(["check", name, "-p", "newsletter", "--server", server.address])
                #expect(run.status == 0, "\(name) \(run)")
            }
        }
        #expect(server.end() == 0)
        #expect(try await Binary.run(["verify"] + there).status == 0)
    }
}
