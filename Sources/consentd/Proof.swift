import ArgumentParser
import ConsentClient
import ConsentEngine
import ConsentKernel
import ConsentModel
import ConsentProof
import Foundation

/// The public key that must have signed, for commands that check what a node has signed.
struct SignerOptions: ParsableArguments {
    @Option(
        help: "Public key that must have signed, 64 hexadecimal digits: 'key' of a checkpoint that was kept elsewhere.",
        transform: readKey)
    var key: VerificationKey?

    /// Where nobody says who must have signed, it is shown only that what is there is whole.
    func warnIfUnknown(_ signer: VerificationKey) {
        guard key == nil else { return }
        Output.error(
            "consentd: whose key that is, nobody has said: compare \(signer), or name the key that must have signed "
                + "with --key")
    }
}

private func readKey(_ text: String) throws -> VerificationKey {
    guard let key = VerificationKey(hex: text) else {
        throw ValidationError("a public key has 64 hexadecimal digits")
    }
    return key
}

/// A signed document that was written by this program.
private func readDocument(_ path: String) throws -> JSONValue {
    guard let json = JSONValue(text: String(decoding: try File.read(path, sizeMax: 1 << 24), as: UTF8.self)) else {
        throw Failure(code: Exit.refused, message: "\(path) is no JSON document")
    }
    return json
}

/// For its owner alone, and never over another.
private func write(_ text: String, to path: String) throws {
    let file = try FileDescriptor.open(path, .createNew, mode: 0o600)
    try file.write(Array((text + "\n").utf8))
    try file.synchronize()
    Output.error("consentd: wrote \(path)")
}

struct CheckpointCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "checkpoint",
        abstract: "Sign where the hash chain is now, to keep it elsewhere.",
        discussion: """
            Prints one line of JSON: the ledger, the sequence of its last event, the hash of the chain there, the time, \
            and an Ed25519 signature. Whoever keeps it where the node's owner cannot reach it can show later whether \
            anything before it was changed, or cut off: 'consentd verify --checkpoint'. A server makes one a minute \
            after an event, after 65,536 events, and when it ends; they stand in the file 'checkpoints' of the node's \
            folder.

            EXAMPLES
              consentd checkpoint >> /mnt/elsewhere/club.checkpoints
              consentd checkpoint --server 127.0.0.1:7411 --json
              consentd verify --data club --checkpoint /mnt/elsewhere/club.checkpoints
            """)

    @OptionGroup var node: NodeOptions

    func run() async throws {
        try await node.withClient { client in Output.line(try await client.checkpoint()) }
    }
}

struct ProofGroup: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "proof",
        abstract: "Show all that an auditor needs of one event, and check it without the node.",
        subcommands: [ShowProof.self, VerifyProof.self], defaultSubcommand: ShowProof.self)
}

struct ShowProof: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "show",
        abstract: "Print the proof of an event.",
        discussion: """
            What the event says, the text of the revision as it was shown in its language, the evidence, its place in \
            the hash chain, and the signed checkpoint that covers it. With --json it is one document that 'consentd \
            proof verify' checks without the node: the event's hash follows from what it says, the personal part from \
            its commitment, the text from the catalog that the chain names, and both lead to what was signed. It holds \
            personal data: it is for the auditor. Exits 5 if there is no such event.

            EXAMPLES
              consentd proof 1042
              consentd proof 1042 --json > event-1042.json
              consentd proof show 1042 --output event-1042.json
            """)

    @OptionGroup var node: ReadOptions

    @Argument(help: "Sequence of the event, as 'consentd history' lists it.")
    var sequence: UInt64

    @Option(name: .shortAndLong, help: "File to write the document to, mode 0600, besides printing it.")
    var output: String?

    func run() async throws {
        try await node.withClient { client in
            let text = try await client.document(.event, of: sequence)
            if let output { try write(text, to: output) }
            guard let json = JSONValue(text: text), !node.json else { return Output.line(text) }
            print(json)
        }
    }

    private func print(_ proof: JSONValue) {
        let (event, chain) = (proof["event"] ?? .null, proof["chain"] ?? .null)
        func text(_ json: JSONValue?, _ name: String) -> String {
            let value = json?[name] ?? .null
            return value.isNull
                ? "" : Output.printable((value.text ?? value.canonical).split(separator: "\n").joined(separator: " "))
        }
        var rows = [
            ["event", "\(text(event, "sequence")) \(Output.words(text(event, "kind")))"],
            ["recorded", text(event, "recordedAt")], ["captured", text(event, "capturedAt")],
        ]
        if event["purpose"] != nil {
            let who = (event["identifiers"]?.list ?? []).compactMap(\.text).joined(separator: " ")
            let wherever = ["system", "channel", "form"].map { text(event, $0) }.filter { !$0.isEmpty }
            rows += [
                ["person", event["erased"]?.bool == true ? "erased" : Output.printable(who)],
                ["said", "\(text(event, "state")) \(text(event, "purpose"))"],
                ["how", "\(text(event, "method")) by \(text(event, "party"))"],
                ["guardian", [text(event, "guardianRelation"), text(event, "guardian")].joined(separator: " ")],
                ["where", wherever.joined(separator: "/")], ["actor", text(event, "actor")],
                ["evidence", text(event, "evidence")],
            ]
        }
        if let shown = proof["shown"], !shown.isNull {
            rows += [
                ["shown", "\(text(shown, "declaration")) \(text(shown, "revision")), \(text(shown, "language"))"],
                ["title", text(shown, "title")], ["body", text(shown, "body")], ["plain", text(shown, "plain")],
                ["digest", text(shown, "digest")],
            ]
        }
        rows += (proof["erasures"]?.list ?? []).compactMap { $0["events"]?.list?.last?["event"] }.map { erasure in
            ["erasure", "event \(text(erasure, "sequence")) took something out of it, \(text(erasure, "recordedAt"))"]
        }
        let checkpoint = chain["checkpoint"]
        rows += [
            ["previous", text(chain, "previous")], ["hash", text(chain, "hash")],
            ["commitment", text(chain, "commitment")],
            ["checkpoint", "event \(text(checkpoint, "sequence")), signed \(text(checkpoint, "at"))"],
            ["key", text(checkpoint, "key")], ["signature", text(checkpoint, "signature")],
        ]
        Output.table(rows.filter { !$0[1].allSatisfy(\.isWhitespace) })
    }
}

struct VerifyProof: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "verify",
        abstract: "Check a proof without the node.",
        discussion: """
            Exits 0 if all of it holds, 6 if something in it was changed or is not signed by the key, 5 for a file that \
            is no proof. What the event named and the document does not show, such as the second of its three \
            identifiers, is listed ('hidden' with --json): with the erasure that took it, if the chain shows one; if it \
            does not, it may have been left out, and the command exits with 6.

            EXAMPLES
              consentd proof verify event-1042.json
              consentd proof verify event-1042.json --key "$KEY"
            """)

    @OptionGroup var signer: SignerOptions

    @Argument(help: "Document of 'consentd proof --json'.", completion: .file())
    var file: String

    @Flag(name: .long, help: "Print JSON, one object a line.")
    var json = false

    func run() async throws {
        try await reportingFailures {
            let finding = try EventProof.verify(try readDocument(file), key: signer.key)
            if json {
                Output.json([
                    "holds": true, "complete": finding.isComplete, "sequence": finding.sequence,
                    "key": "\(finding.key)", "signedAt": finding.signedAt.iso8601, "textShown": finding.isTextShown,
                    "hidden": finding.hidden.map(\.object),
                ])
            } else {
                print("holds: event \(finding.sequence), signed \(finding.signedAt.iso8601) by \(finding.key)")
                print(
                    finding.isTextShown
                        ? "the text that was shown is that of the catalog which the chain names"
                        : "it holds no text that the chain could vouch for")
                for part in finding.hidden { print("the document does not show \(part.words)") }
            }
            signer.warnIfUnknown(finding.key)
            guard finding.isComplete else {
                throw Failure(
                    code: Exit.damaged,
                    message:
                        "something that event \(finding.sequence) named is withheld: what stands there holds, but it "
                        + "is not all; ask the node for its proof anew")
            }
        }
    }
}

extension EventProof.HiddenPart {
    fileprivate var words: String {
        let what =
            switch kind {
            case .identifier(let number, let count): "identifier \(number) of \(count)"
            case .evidence: "the evidence"
            case .guardian: "the guardian"
            case .all: "whom the event named, nor its evidence"
            }
        let why = erasure.map { "erased at sequence \($0)" } ?? "withheld, as the chain shows no erasure of it"
        return "\(what): \(why)"
    }

    fileprivate var object: [String: Any] {
        var object: [String: Any] = ["erasedAt": erasure.map { $0 as Any } ?? NSNull()]
        switch kind {
        case .identifier(let number, let count):
            object.merge(["part": "identifier", "number": number, "of": count]) { $1 }
        case .evidence: object["part"] = "evidence"
        case .guardian: object["part"] = "guardian"
        case .all: object["part"] = "all"
        }
        return object
    }
}

struct ReceiptGroup: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "receipt",
        abstract: "Make a signed receipt for a person, and check one without the node.",
        subcommands: [MakeReceipt.self, VerifyReceipt.self], defaultSubcommand: MakeReceipt.self)
}

struct MakeReceipt: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "make",
        abstract: "Print the receipt of an act of a person.",
        discussion: """
            For an event by its sequence, or for a person and a purpose: then of the act that decides. The form is dpv \
            (ISO/IEC TS 27560 in the W3C's Data Privacy Vocabulary, JSON-LD) or kantara (Kantara Consent Receipt 1.1, of \
            consents only). Either is signed with the node's key as W3C Data Integrity says (eddsa-jcs-2022). Exits 5 \
            where there can be no receipt.

            EXAMPLES
              consentd receipt 1042
              consentd receipt email:kari@example.no -p newsletter --form kantara
              consentd receipt make 1042 --output kari.json
            """)

    @OptionGroup var node: ReadOptions

    @Argument(help: "Sequence of an event, or a person as type:value.")
    var of: String

    @Option(name: .shortAndLong, help: "Purpose, where a person is named.")
    var purpose: String?

    @Option(help: "Form of the receipt: dpv or kantara.")
    var form = Form.dpv

    @Option(name: .shortAndLong, help: "File to write the receipt to, mode 0600, instead of printing it.")
    var output: String?

    enum Form: String, ExpressibleByArgument, CaseIterable {
        case dpv
        case kantara
    }

    func validate() throws {
        if UInt64(of) != nil {
            guard purpose == nil else { throw ValidationError("an event is of one purpose; leave --purpose out") }
        } else {
            _ = try readSubject(of)
            guard purpose != nil else { throw ValidationError("of which purpose? name it with --purpose") }
        }
    }

    func run() async throws {
        try await node.withClient { client in
            let text = try await client.document(
                form == .dpv ? .dpvReceipt : .kantaraReceipt, of: try await sequence(client))
            let document = node.json ? text : JSONValue(text: text)?.pretty ?? text
            if let output { try write(document, to: output) } else { Output.line(document) }
        }
    }

    private func sequence(_ client: ConsentClient) async throws -> UInt64 {
        if let sequence = UInt64(of) { return sequence }
        let explained = try await client.explain(try readSubject(of), purpose: purpose ?? "")
        guard let sequence = explained.decidingSequence else {
            throw Failure(code: Exit.refused, message: "nothing that the person said decides about this purpose")
        }
        return sequence
    }
}

struct VerifyReceipt: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "verify",
        abstract: "Check a receipt without the node.",
        discussion: """
            Exits 0 if it is whole and signed, 6 if something in it was changed or it is not signed by the key, 5 for a \
            file that is no receipt.

            EXAMPLES
              consentd receipt verify kari.json
              consentd receipt verify kari.json --key "$KEY"
            """)

    @OptionGroup var signer: SignerOptions

    @Argument(help: "A receipt.", completion: .file())
    var file: String

    @Flag(name: .long, help: "Print JSON, one object a line.")
    var json = false

    func run() async throws {
        try await reportingFailures {
            let finding = try Receipt.verify(try readDocument(file), key: signer.key)
            if json {
                Output.json([
                    "holds": true, "form": finding.kind == .kantaraReceipt ? "kantara" : "dpv",
                    "receipt": finding.identifier, "key": "\(finding.key)", "signedAt": finding.signedAt.iso8601,
                ])
            } else {
                print(
                    "holds: \(finding.kind == .kantaraReceipt ? "Kantara 1.1" : "ISO/IEC TS 27560, DPV") receipt "
                        + "\(finding.identifier), signed \(finding.signedAt.iso8601) by \(finding.key)")
            }
            signer.warnIfUnknown(finding.key)
        }
    }
}

/// Checkpoints in files that were kept elsewhere.
///
/// - Throws: ``Failure`` `refused` for a file that is none.
func readCheckpoints(_ paths: [String]) throws -> [Checkpoint] {
    try paths.flatMap { path in
        do {
            let list = try Checkpoint.list(String(decoding: try File.read(path, sizeMax: 1 << 28), as: UTF8.self))
            guard !list.isEmpty else {
                throw Failure(code: Exit.refused, message: "\(path) holds no checkpoint; the node is as it was")
            }
            return list
        } catch let error as ProofError {
            throw Failure(code: Exit.refused, message: "\(path), \(error); the node is as it was")
        }
    }
}
