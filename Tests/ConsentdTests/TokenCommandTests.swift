import Foundation
import Testing

/// Double opt-in from outside: a token is printed once, counts once, and says why it does not count.
struct TokenCommandTests {
    private static let grant =
        ["-p", "newsletter", "--declaration", "club-membership-marketing", "--revision", "1.2"]
        + ["--language", "nb", "--method", "ticked_box"]

    private func issued(_ run: Binary.Run) throws -> String {
        let line = try #require(run.output.split(separator: "\n").first { $0.hasPrefix("token  ") })
        return String(line.split(separator: " ")[1])
    }

    @Test func aGrantIsConfirmedByTheTokenThatCameWithIt() async throws {
        let folder = try Folder()
        let data = try await folder.node()
        let there = ["--data", data]
        let grant = try await Binary.run(["grant", "email:ola@example.no"] + Self.grant + ["--issue-token"] + there)
        #expect(grant.status == 0, "\(grant)")
        let token = try issued(grant)
        #expect(token.count == 43)
        let check = ["check", "email:ola@example.no", "-p", "newsletter"] + there
        #expect(try await Binary.run(check).status == 2)
        let confirmed = try await Binary.run(["confirm-token", token, "--channel", "mail", "--json"] + there)
        #expect(confirmed.status == 0, "\(confirmed)")
        let object = try #require(confirmed.objects.first)
        #expect(object["purpose"] as? String == "newsletter" && object["revision"] as? String == "1.2")
        #expect(object["refersTo"] as? Int == 2 && object["sequence"] as? Int == 3)
        #expect(try await Binary.run(check).status == 0)
        let again = try await Binary.run(["confirm-token", token] + there)
        #expect(again.status == 5 && again.errors.contains("the token was used at"), "\(again)")
        let unknown = try await Binary.run(["confirm-token", "none"] + there)
        #expect(unknown.status == 5 && unknown.errors.contains("nobody was given this token"), "\(unknown)")
    }

    @Test func aTokenIsIssuedAnewAndWhereNothingWaitsItIsSaid() async throws {
        let folder = try Folder()
        let data = try await folder.node()
        let there = ["--data", data]
        _ = try await Binary.run(["grant", "email:ola@example.no"] + Self.grant + there)
        let run = try await Binary.run(["issue-token", "email:ola@example.no", "-p", "newsletter", "--json"] + there)
        #expect(run.status == 0, "\(run)")
        let object = try #require(run.objects.first)
        #expect((object["token"] as? String)?.count == 43 && object["events"] as? [Int] == [2])
        let sms = try await Binary.run(["issue-token", "email:ola@example.no", "-p", "sms-offers"] + there)
        #expect(sms.status == 5 && sms.errors.contains("waits to be confirmed"), "\(sms)")
        let nobody = try await Binary.run(["issue-token", "email:per@example.no", "-p", "newsletter"] + there)
        #expect(nobody.status == 5, "\(nobody)")
        let plain = Self.grant.map { $0 == "newsletter" ? "sms-offers" : $0 }
        let needless = try await Binary.run(["grant", "email:per@example.no"] + plain + ["--issue-token"] + there)
        #expect(needless.status == 5 && needless.errors.contains("none of the purposes wants double opt-in"))
        #expect(try await Binary.run(["history", "email:per@example.no", "--json"] + there).output.isEmpty)
    }

    @Test func neitherTheServersLogNorItsFilesHoldAToken() async throws {
        let folder = try Folder()
        let server = try Server(try await folder.node(), errors: folder.path + "/log")
        let there = ["--server", server.address]
        let grant = try await Binary.run(["grant", "email:ola@example.no"] + Self.grant + ["--issue-token"] + there)
        let token = try issued(grant)
        _ = try await Binary.run(["confirm-token", "wrong-" + token] + there)
        #expect(try await Binary.run(["confirm-token", token] + there).status == 0)
        #expect(server.end() == 0)
        let files = FileManager.default.enumerator(at: URL(filePath: folder.path), includingPropertiesForKeys: nil)
        for url in files?.compactMap({ $0 as? URL }) ?? [] {
            guard let content = try? Data(contentsOf: url) else { continue }
            #expect(content.range(of: Data(token.utf8)) == nil, "\(url)")
        }
    }
}
