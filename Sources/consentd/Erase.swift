import ArgumentParser
import ConsentClient
import ConsentEngine
import ConsentKernel
import Foundation

struct Erase: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Erase a person (GDPR art. 17), and say so in a certificate.",
        discussion: """
            Removes identifiers, evidence and salt of everything recorded about the person, whichever identifier is \
            named, from the database and its log; then it looks for them in every file of the node. The hash chain \
            still verifies. An identifier that was taken off somebody ('consentd unlink') is removed from that person's \
            events, which stay otherwise. What the person agreed to does not count any more; a "no" stands as an objection, as \
            before. A keyed hash of each identifier is kept, so that a register that is imported later cannot bring the \
            person back: only what the person does anew can. The certificate says all this as JSON; it names nobody.

            --reason is one of no_longer_needed, consent_withdrawn, objection, unlawful, legal_obligation, \
            child_service: GDPR art. 17 (1) (a) to (f). Exits 0 when no trace is left, 3 if one may be: while somebody \
            reads the database, its log stays, and the server removes it when the reader is done. 'consentd stats' then \
            says that no erasure is pending; the same command again looks once more. On another machine's node \
            (--server) nothing can be searched, and the certificate says so. 5 if nobody is known by the identifier.

            EXAMPLES
              consentd erase email:kari@example.no --reason consent_withdrawn --as clerk-7
              consentd erase customer:100001 --reason objection --certificate kari.json
            """)

    @OptionGroup var node: NodeOptions

    @Argument(help: "A person, as type:value.", transform: readSubject)
    var subject: Subject

    @Option(help: "Why: a letter of GDPR art. 17 (1), by its name.")
    var reason: String

    @Option(name: .customLong("as"), help: "Who carries it out; stays in the ledger.")
    var actor = ""

    @Option(help: "File to write the certificate to, besides printing it.")
    var certificate: String?

    func run() async throws {
        guard let reason = ErasureReason(name: reason) else {
            throw ValidationError("--reason is one of \(ErasureReason.names)")
        }
        var values = ErasedValues(subject)
        var outcome: ErasureOutcome?
        var server: ServerInfo?
        try await node.withClient(as: actor) { client in
            for entry in try await client.timeline(of: subject) { values.add(entry) }
            outcome = try await client.erase(subject, reason: reason, by: actor)
            server = client.server
        }
        guard let outcome, let server else { return }
        try await reportingFailures {
            // Not before: closing a file of the database would let go of the locks that this process has on it.
            let traces = try node.localFolder.map { try values.traces(in: $0.path) }
            let document = ErasureCertificate(outcome, server, values, traces)
            if let certificate { try document.write(to: certificate) }
            if node.json { Output.json(document.object) } else { document.print() }
            if !document.isClean { throw Exit.failed }
        }
    }
}

/// What was erased, when and by whom, what is left, and whether it was looked for.
private struct ErasureCertificate {
    let object: [String: Any]
    let isClean: Bool
    private let lines: [String]

    init(_ outcome: ErasureOutcome, _ server: ServerInfo, _ values: ErasedValues, _ traces: ByteSearch?) {
        let found = (traces?.places ?? []).map { place in
            ["file": place.file, "offset": place.offset, "value": values.values[place.value].kind] as [String: Any]
        }
        let state =
            outcome.isPending ? "pending" : traces == nil ? "not_searched" : found.isEmpty ? "gone" : "found"
        isClean = ["gone", "not_searched"].contains(state)
        object = [
            "certificate": "consentd erasure 1", "deployment": server.deployment, "history": server.history,
            "sequence": outcome.sequence, "hash": Self.hex(outcome.hash), "erasedAt": outcome.erasedAt.description,
            "reason": outcome.reason.name, "by": outcome.actor, "repeated": outcome.isRepeated,
            "emptiedEvents": outcome.emptiedEvents, "objectionsKept": outcome.objections,
            "suppressed": outcome.suppressed.map { ["type": $0.type.name, "keyedHash": Self.hex($0.hash)] },
            "traces": [
                "state": state, "searchedAt": Moment(millis: Clock.realtimeMillis()).description,
                "files": traces?.fileCount ?? 0, "bytes": traces?.size ?? 0, "values": values.values.count,
                "valuesTooShort": values.tooShort, "found": found,
            ] as [String: Any],
            "kept": Self.kept,
        ]
        lines = [
            (outcome.isRepeated ? "was erased already" : "erased")
                + "  sequence \(outcome.sequence), \(outcome.erasedAt), "
                + Output.counted(outcome.emptiedEvents, "event") + " emptied",
            "suppressed  " + Output.counted(outcome.suppressed.count, "identifier") + ", as keyed hashes",
            "objections  " + (outcome.objections.isEmpty ? "none" : outcome.objections.joined(separator: ", ")),
            "traces  " + Self.words(state, found, traces),
        ]
    }

    private static let kept = [
        "for each identifier a hash under the node's key, so that an import cannot bring the person back",
        "the skeleton of each event under a number: purpose, state, times, revision, source; the hash chain needs it",
        "each no, as an objection, under that number",
        "what else the events of a person say off whom an identifier was taken: the identifier is removed from them",
        "copies outside the node's folder: backups, exports, reject files of imports",
    ]

    private static func words(_ state: String, _ found: [[String: Any]], _ traces: ByteSearch?) -> String {
        switch state {
        case "gone": "none in \(Output.counted(traces?.fileCount ?? 0, "file"))"
        case "found": found.map { "\($0["value"]!) in \($0["file"]!) at \($0["offset"]!)" }.joined(separator: "; ")
        case "pending": "may be left in the database's log while somebody reads it; the server goes on removing them"
        default: "not looked for: the node's files are not on this machine; run the command there"
        }
    }

    private static func hex(_ bytes: [UInt8]) -> String { bytes.map { String(format: "%02x", $0) }.joined() }

    /// For its owner alone, and never over another.
    func write(to path: String) throws {
        let data = try JSONSerialization.data(
            withJSONObject: object, options: [.sortedKeys, .withoutEscapingSlashes, .prettyPrinted])
        let file = try FileDescriptor.open(path, .createNew, mode: 0o600)
        try file.write(Array(data) + [UInt8(ascii: "\n")])
        try file.synchronize()
    }

    func print() { for line in lines { Swift.print(line) } }
}
