import ArgumentParser
import ConsentClient
import Foundation

struct IssueToken: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Issue a token that confirms what a person has requested (double opt-in).",
        discussion: """
            For each purpose there must be a grant that waits to be confirmed. Send the token to the person, and give it \
            to 'confirm-token' when it comes back. It is printed this once: the node keeps its hash alone. It counts once, \
            for as long as the purpose's doubleOptInLifetime says [7 days]; when that is over, the person has to be asked \
            again. A token that was issued before for the same counts on.

            EXAMPLES
              consentd issue-token email:ola@example.no -p newsletter
              consentd grant email:ola@example.no -p newsletter --issue-token \\
                --declaration club-membership-marketing --revision 1.2 \\
                --language nb --method ticked_box
            """)

    @OptionGroup var node: NodeOptions

    @Argument(help: "A person, as type:value.", transform: readSubject)
    var subject: Subject

    @Option(name: .shortAndLong, help: "Purpose that waits to be confirmed; may be repeated, one token is for all.")
    var purpose: [String]

    func validate() throws {
        guard !purpose.isEmpty else { throw ValidationError("name a purpose with --purpose") }
    }

    func run() async throws {
        try await node.withClient { client in
            Output.token(try await client.issueToken(subject, purposes: purpose), json: node.json)
        }
    }
}

struct ConfirmToken: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Confirm exactly what a token was issued for (double opt-in).",
        discussion: """
            A token counts once. Exits 5, and says which, if it is unknown, was used, or has lapsed, or if nothing of what \
            it was issued for waits any more, because the person has withdrawn or agreed anew.

            EXAMPLES
              consentd confirm-token 3q2-7wAAr0V2m0b1t8mSg0y3nq0b5mZ1l8T9rN4uXxY
              consentd confirm-token - < token
              consentd confirm-token - --guardian-relation parent \\
                --guardian-id email:kari@example.no < token
            """)

    @OptionGroup var node: NodeOptions

    @Argument(help: "The token, or - to read it from standard input, where no list of processes shows it.")
    var token: String

    @OptionGroup var by: GuardianOptions

    @Option(help: "System in which the token came back.")
    var system = "consentd"

    @Option(help: "Channel, for example mail or web.")
    var channel = ""

    @Option(help: "Form or page.")
    var form = ""

    @Option(help: "Who entered it.")
    var actor = ""

    func validate() throws {
        guard by.named != nil || !by.guardian else {
            throw ValidationError("say who the guardian is, with --guardian-relation and --guardian-id")
        }
    }

    func run() async throws {
        let token = token == "-" ? (readLine() ?? "") : token
        guard !token.isEmpty else { throw ValidationError("there is no token on standard input") }
        try await node.withClient { client in
            let consents = try await client.confirm(
                token: token, by: by.named, system: system, channel: channel, form: form, actor: actor)
            for consent in consents {
                if node.json {
                    Output.json([
                        "sequence": consent.sequence, "refersTo": consent.refersTo, "purpose": consent.purpose,
                        "declaration": consent.declaration, "revision": consent.revision,
                    ])
                } else {
                    print(
                        "confirmed  \(consent.purpose), \(consent.declaration) \(consent.revision)"
                            + "  sequence \(consent.sequence)")
                }
            }
        }
    }
}

extension Output {
    /// Says a token, once.
    static func token(_ issued: ConfirmationToken, json isJson: Bool) {
        if isJson {
            json(["token": issued.token, "endsAt": issued.endsAt.description, "events": issued.events])
        } else {
            print("token  \(issued.token)  counts once, until \(issued.endsAt)")
        }
    }
}
