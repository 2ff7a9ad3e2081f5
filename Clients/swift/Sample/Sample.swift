import ConsentClient
import Foundation

/// Asks a server that runs with the template catalog: `consent-client-sample ENDPOINT [TOKEN-FILE]`.
@main struct Sample {
    static func main() async throws {
        guard CommandLine.arguments.count >= 2, let endpoint = Endpoint(CommandLine.arguments[1]) else {
            print("usage: consent-client-sample HOST:PORT|unix:PATH [TOKEN-FILE]")
            exit(64)
        }
        var options = ClientOptions()
        options.name = "consent-client-sample"
        if CommandLine.arguments.count > 2 {
            let text = try String(contentsOfFile: CommandLine.arguments[2], encoding: .utf8)
            options.token = Array(text.trimmingCharacters(in: .whitespacesAndNewlines).utf8)
        }

        // One client for the whole process; any number of tasks may share it.
        let client = try await ConsentClient.connect(to: endpoint, options: options)
        print("connected to \(client.server.name) \(client.server.version)")

        // A person that the server has never seen.
        let kari = try Subject.customer("sample-\(UInt32.random(in: 0...(.max)))")

        // One person, one purpose. Only `granted` permits anything.
        let check = try await client.check(kari, purpose: "sms-offers")
        print("before: \(check.decision.name), because \(check.reason.name), as of \(check.sequence)")

        // The person ticked a box under revision 1.2 of the club's declaration.
        let grant = ConsentAct.grant(
            kari, purpose: "sms-offers", declaration: "club-membership-marketing", revision: "1.2", language: "nb",
            method: .tickedBox)
        for outcome in try await client.record([grant]) {
            print(outcome.refusal.map { "refused: \(outcome.message) (\($0))" } ?? "recorded as \(outcome.sequence)")
        }
        print("granted: \(try await client.check(kari, purpose: "sms-offers").isGranted)")

        // One person, several purposes.
        let purposes = try await client.check(kari, purposes: ["sms-offers", "profiling"])
        for purpose in purposes.purposes { print("\(purpose): \(purposes.decision(for: purpose).name)") }

        // Several people, one purpose.
        let others = try (1...3).map { try Subject.customer("sample-nobody-\($0)") }
        let audience = try await client.check([kari] + others, purpose: "sms-offers")
        print("\(audience.grantedCount) of \(audience.count) may be sent offers")

        // Ending it is as easy as giving it, and counts from the moment in which this returns.
        let outcomes = try await client.record([.withdrawal(kari, purpose: "sms-offers")])
        print("withdrawn: \(outcomes[0].isRecorded)")
        print("after: \(try await client.check(kari, purpose: "sms-offers").decision.name)")

        await client.close()
    }
}
