import ArgumentParser
import ConsentCatalog
import ConsentClient
import ConsentKernel
import ConsentModel
import ConsentRegister
import Foundation

struct Access: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Export everything about a person, for the person (GDPR art. 15 and 20).",
        discussion: """
            One JSON document: identifiers, where each purpose stands and why, the texts agreed to and those in force, \
            who receives the data, every event, and what each field means. With --csv the events as a register; a file \
            that --output names gets a second one beside it, FILE.fields.csv, with what each column means. \
            'consentd import' reads both forms, on this node or another one. The file is personal data: it is made \
            for its owner alone, and an existing one is left as it is. Of whom nothing is recorded it says so on \
            standard error, and what holds for everybody stands in the document, as of 'history' exits 0.

            EXAMPLES
              consentd access email:kari@example.no
              consentd access email:kari@example.no --output kari.json
              consentd access customer:100001 --csv --output kari.csv
            """)

    @OptionGroup var node: ReadOptions

    @Argument(help: "A person, as type:value.", transform: readSubject)
    var subject: Subject

    @Flag(help: "Write the events as CSV.")
    var csv = false

    @Option(name: .shortAndLong, help: "File to write, instead of standard output.")
    var output: String?

    func validate() throws {
        guard !csv || !node.json else { throw ValidationError("--csv and --json exclude each other") }
    }

    func run() async throws {
        try await node.withClient { client in
            let timeline = try await client.timeline(of: subject)
            let links = timeline.compactMap { if case .link(let entry) = $0 { entry } else { nil } }
            let entries = timeline.compactMap { if case .act(let entry) = $0 { object(entry) } else { nil } }
            if timeline.isEmpty {
                Output.error("consentd: nothing is recorded about \(Output.printable(subject.description))")
            }
            if csv {
                try write(AccessRegister(entries).bytes, to: output)
                if let output { try write(AccessField.table(of: AccessField.columns), to: output + ".fields.csv") }
                return
            }
            let catalog = try CatalogDocument(text: try await client.catalogDocument().text, file: "catalog").catalog
            let document = AccessDocument(catalog)
            var explanations: [(Purpose, Explanation)] = []
            for purpose in catalog.purposes {
                explanations.append((purpose, try await client.explain(subject, purpose: purpose.id)))
            }
            let export = document.object(subject, entries, links, explanations)
            var options: JSONSerialization.WritingOptions = [.sortedKeys, .withoutEscapingSlashes]
            if !node.json { options.insert(.prettyPrinted) }
            let data = try JSONSerialization.data(withJSONObject: export, options: options)
            try write(Array(data) + [UInt8(ascii: "\n")], to: output)
        }
    }

    private func write(_ bytes: [UInt8], to path: String?) throws {
        guard let path else {
            FileHandle.standardOutput.write(Data(bytes))
            return
        }
        try FileDescriptor.open(path, .createNew, mode: 0o600).write(bytes)
        Output.error("consentd: wrote \(path)")
    }
}

/// What is said about a person besides the events.
private struct AccessDocument {
    let catalog: Catalog

    init(_ catalog: Catalog) { self.catalog = catalog }

    func object(
        _ subject: Subject, _ entries: [[String: Any]], _ links: [LinkEntry],
        _ explanations: [(Purpose, Explanation)]
    ) -> [String: Any] {
        let identifiers = identifiers(entries, links)
        let concerned = explanations.filter { purpose, explained in
            explained.decidingSequence != nil || explained.decision == .granted
                || entries.contains { $0["purpose"] as? String == purpose.id }
        }
        let revisions = names(concerned.map(\.1), entries)
        let recipients = Set(revisions.compactMap(catalog.revision).flatMap(\.recipients))
        let controllers = concerned.map(\.0.controller)
        return [
            "format": AccessFile.format, "askedFor": subject.description,
            "exportedAt": Timestamp(millis: Clock.realtimeMillis()).iso8601,
            "identifiers": identifiers.sorted(), "events": entries,
            "links": links.map(linkObject),
            "purposes": concerned.map(object), "declarations": revisions.compactMap(object),
            "recipients": catalog.recipients.filter { recipients.contains($0.id) }.map { recipient in
                [
                    "id": recipient.id, "name": recipient.name, "address": recipient.address,
                    "country": recipient.country, "category": recipient.category,
                ]
            },
            "controllers": catalog.controllers.filter { controllers.contains($0.id) }.map { controller in
                [
                    "id": controller.id, "name": controller.name, "contact": controller.contact,
                    "dataProtectionOfficer": controller.dataProtectionOfficer,
                    "parent": controller.parent ?? Output.null, "address": controller.address,
                    "phone": controller.phone, "url": controller.url,
                ] as [String: Any]
            },
            "fields": Dictionary(uniqueKeysWithValues: AccessField.ofDocument.map { ($0.name, $0.meaning) }),
        ]
    }

    /// All that the person is known by now: what was taken off is not, unless it came back.
    private func identifiers(_ entries: [[String: Any]], _ links: [LinkEntry]) -> Set<String> {
        var known: Set<String> = []
        var steps = entries.map { entry in
            (sequence: entry["sequence"] as? UInt64 ?? 0, names: entry["identifiers"] as? [String] ?? [], isGone: false)
        }
        steps += links.map { ($0.sequence, $0.subjects.map(\.description), $0.action == .unlinked) }
        for step in steps.sorted(by: { $0.sequence < $1.sequence }) {
            if step.isGone { known.subtract(step.names) } else { known.formUnion(step.names) }
        }
        return known
    }

    /// The revisions that the person was shown, and those of the same declarations that are in force.
    private func names(_ explanations: [Explanation], _ entries: [[String: Any]]) -> [RevisionName] {
        var names = entries.compactMap { entry -> RevisionName? in
            guard let declaration = entry["declaration"] as? String, let revision = entry["revision"] as? String,
                !declaration.isEmpty
            else { return nil }
            return RevisionName(declaration: declaration, revision: revision)
        }
        for explained in explanations {
            guard let declaration = explained.declaration, let revision = explained.currentRevision else { continue }
            names.append(RevisionName(declaration: declaration, revision: revision))
        }
        var seen: Set<RevisionName> = []
        return names.filter { seen.insert($0).inserted }
    }

    private func object(_ purpose: Purpose, _ explained: Explanation) -> [String: Any] {
        [
            "id": purpose.id, "title": purpose.title, "controller": purpose.controller,
            "basis": explained.basis.name, "decision": explained.decision.name, "reason": explained.reason.name,
            "declaration": explained.declaration ?? Output.null,
            "consentedRevision": explained.consentedRevision ?? Output.null,
            "currentRevision": explained.currentRevision ?? Output.null,
            "expiresAt": explained.expiresAt?.description ?? Output.null,
            "grantedUntil": explained.grantedUntil?.description ?? Output.null,
            "decidingSequence": explained.decidingSequence ?? Output.null,
        ]
    }

    private func object(_ name: RevisionName) -> [String: Any]? {
        guard let revision = catalog.revision(name) else { return nil }
        return [
            "declaration": name.declaration, "revision": name.revision,
            "effectiveAt": revision.effectiveAt.iso8601, "purposes": revision.purposes,
            "dataCategories": revision.dataCategories, "recipients": revision.recipients,
            "retention": revision.retention, "storageLocation": revision.storageLocation,
            "jurisdiction": revision.jurisdiction, "withdrawal": revision.withdrawal,
            "texts": revision.texts.mapValues { ["title": $0.title, "body": $0.body, "plain": $0.plain] },
            "digest": revision.digest.map { String(format: "%02x", $0) }.joined(),
        ]
    }
}

/// A field of an export, in words for the person.
struct AccessField {
    var name: String
    var meaning: String

    private init(_ name: String, _ meaning: String) {
        self.name = name
        self.meaning = meaning
    }

    /// What an event says: the name in the document, the column of a register, and the meaning.
    static let ofEvents: [(name: String, column: String, meaning: String)] = [
        ("sequence", "consentd_sequence", "the event's place in the ledger: what was recorded later has a higher one"),
        ("recordedAt", "consentd_recorded_at", "when it was recorded (UTC)"),
        ("capturedAt", "captured_at", "when you, or someone for you, acted (UTC)"),
        (
            "state", "state",
            "what was stated: given, renewed, withdrawn, refused, requested, objected, confirmed and so on"
        ),
        ("purpose", "purpose", "what your data may be used for, by its id"),
        ("declaration", "declaration", "the text that you were shown"),
        ("revision", "revision", "its revision; the text stands under declarations"),
        ("language", "language", "the language in which it was shown"),
        ("method", "method", "how you acted, such as a ticked box or a signature"),
        ("explicit", "explicit", "whether it was an express statement"),
        ("party", "party", "who acted: you (subject), a guardian, the controller, an authority, or the system"),
        ("guardianRelation", "guardian_relation", "what the guardian who acted is to you, if one is named"),
        ("guardian", "guardian", "by what the guardian is found: an identifier or a reference"),
        ("age", "age", "your age in years then, if it was stated"),
        ("expiresAt", "expires_at", "the end that was agreed on, if there was one"),
        ("refersTo", "consentd_refers_to", "the event that this one confirms or ends"),
        ("system", "system", "the system that captured it"), ("channel", "channel", "the channel, such as web or shop"),
        ("form", "form", "the form or page"), ("actor", "actor", "who entered it"),
        ("evidence", "evidence", "a note or reference that supports it"),
        ("hash", "consentd_hash", "a checksum that ties the event to all before it; a changed record would show"),
    ]

    static let columns: [AccessField] =
        ConsentModel.IdentifierType.allCases.filter { $0 != .nationalId }.map {
            AccessField($0.name, "what you are known by: \(Output.words($0.name))")
        }
        + [AccessField("consentd_national_id", "a checksum of your national id, which is not kept itself")]
        + ofEvents.map { AccessField($0.column, $0.meaning) }

    static let ofDocument: [AccessField] =
        ofEvents.map { AccessField("events.\($0.name)", $0.meaning) } + [
            AccessField("format", "what kind of file this is"),
            AccessField("askedFor", "by which identifier you asked"),
            AccessField("exportedAt", "when this was made (UTC)"),
            AccessField("identifiers", "everything you are known by; of a national id only a checksum is kept"),
            AccessField("events", "everything that was recorded about you, oldest first"),
            AccessField("events.identifiers", "what you were known by in this event"),
            AccessField("links", "when identifiers came to you or were taken off you, oldest first"),
            AccessField("links.sequence", "the event's place in the ledger"),
            AccessField("links.recordedAt", "when it was recorded (UTC)"),
            AccessField(
                "links.state",
                "linked: they came to you, with all that was recorded for them; unlinked: they were taken off you; separated: "
                    + "they were taken off somebody else, and your history began"),
            AccessField("links.person", "the number of the other side, if there is one"),
            AccessField("links.identifiers", "which identifiers were named"),
            AccessField("links.actor", "who carried it out"),
            AccessField("links.hash", "a checksum that ties the event to all before it"),
            AccessField("purposes", "what your data may or may not be used for now"),
            AccessField("purposes.id", "the purpose's id"), AccessField("purposes.title", "its name, by language"),
            AccessField("purposes.controller", "who is responsible, by id"),
            AccessField("purposes.basis", "the lawful basis (GDPR art. 6)"),
            AccessField("purposes.decision", "whether your data may be used: granted, denied, or unknown, which is no"),
            AccessField("purposes.reason", "why"),
            AccessField("purposes.declaration", "the text that you agreed to"),
            AccessField("purposes.consentedRevision", "the revision that you agreed to"),
            AccessField("purposes.currentRevision", "the revision in force"),
            AccessField("purposes.expiresAt", "when your consent's period ends"),
            AccessField("purposes.grantedUntil", "the first moment at which it may stop to count if nobody acts"),
            AccessField("purposes.decidingSequence", "the event that decided"),
            AccessField("declarations", "the texts that you were shown, and those in force"),
            AccessField("declarations.declaration", "the text's id"),
            AccessField("declarations.revision", "its revision"),
            AccessField("declarations.effectiveAt", "from when it was in force (UTC)"),
            AccessField("declarations.purposes", "what it asks for"),
            AccessField("declarations.dataCategories", "which data it is about"),
            AccessField("declarations.recipients", "who receives data under it, by id"),
            AccessField("declarations.retention", "how long data is kept"),
            AccessField("declarations.storageLocation", "where it is kept"),
            AccessField("declarations.jurisdiction", "whose law applies"),
            AccessField("declarations.withdrawal", "how to withdraw"),
            AccessField("declarations.texts", "title, body, and the same in plain words, by language"),
            AccessField("declarations.digest", "a checksum of the text"),
            AccessField("recipients", "who receives data: id, name, address, country, category"),
            AccessField(
                "controllers",
                "who is responsible: id, name, contact, data protection officer, parent company, postal address, phone, web address"
            ),
            AccessField("fields", "what each field means"),
        ]

    static func table(of fields: [AccessField]) -> [UInt8] {
        var rows = RegisterRows(columns: ["column", "meaning"])
        for field in fields { rows.append(["column": field.name, "meaning": field.meaning]) }
        return rows.bytes
    }
}

/// Events as a register: one row each, and more where an event has several identifiers of one type.
struct AccessRegister {
    private var rows = RegisterRows(columns: AccessField.columns.map(\.name))

    init(_ entries: [[String: Any]]) {
        for entry in entries { append(entry) }
    }

    var bytes: [UInt8] { rows.bytes }

    private mutating func append(_ entry: [String: Any]) {
        var values: [String: String] = [:]
        for field in AccessField.ofEvents {
            values[field.column] =
                switch entry[field.name] {
                case let text as String: text
                case let flag as Bool where field.name == "explicit": flag ? "true" : "false"
                case nil, is NSNull: ""
                case let number?: "\(number)"
                }
        }
        if values["method"] == "none" { values["method"] = "" }
        let names = (entry["identifiers"] as? [String] ?? []).compactMap { text -> (column: String, value: String)? in
            guard let colon = text.firstIndex(of: ":") else { return nil }
            let type = String(text[..<colon])
            let column = type == ConsentModel.IdentifierType.nationalId.name ? "consentd_national_id" : type
            return (column, String(text[text.index(after: colon)...]))
        }
        var first = values
        var further: [[String: String]] = []
        for (column, value) in names {
            if first[column] == nil {
                first[column] = value
            } else if let anchor = names.first {
                // Tied to the same person by the first identifier of another type, if there is one.
                var row = values
                if anchor.column != column { row[anchor.column] = anchor.value }
                row[column] = value
                further.append(row)
            }
        }
        for row in [first] + further { rows.append(row) }
    }
}

/// An export as a file.
enum AccessFile {
    static let format = "consentd.access.1"
    /// A person's whole history with every text is far less.
    private static let sizeMax = 1 << 30

    /// The register in an export that is a JSON document; nil for a file that is none.
    ///
    /// - Throws: for JSON that is not an export.
    static func register(_ path: String) throws -> [UInt8]? {
        guard path.lowercased().hasSuffix(".json") else { return nil }
        let data = Data(try File.read(path, sizeMax: sizeMax))
        guard let object = try? JSONSerialization.jsonObject(with: data) as? [String: Any],
            object["format"] as? String == format, let events = object["events"] as? [[String: Any]]
        else { throw Failure(code: Exit.refused, message: "\(path) is not an export of 'consentd access'") }
        return AccessRegister(events).bytes
    }
}
