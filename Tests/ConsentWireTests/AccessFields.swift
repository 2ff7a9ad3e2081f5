import ConsentModel
import ConsentTestSupport
import ConsentWire

extension AccessLogQuestion {
    /// The identifier stands beside it.
    init(_ fields: Json) throws {
        func moment(_ name: String) throws -> Timestamp? {
            let millis: Int64 = try fields[name].number()
            return millis == 0 ? nil : Timestamp(millis: millis)
        }
        self.init()
        countMax = try fields["limit"].number()
        after = try fields["after"].number()
        (since, until) = (try moment("since"), try moment("until"))
        actor = try fields["actor"].text
    }

    var fields: [String: Json] {
        [
            "limit": .small(UInt16(countMax)), "after": .decimal(after), "since": .decimal(since?.millis ?? 0),
            "until": .decimal(until?.millis ?? 0), "actor": .text(actor),
            "type": identifier.map { .named($0.type) } ?? .null, "identifier": .text(identifier?.value ?? ""),
        ]
    }
}

extension FoundAccesses {
    init(_ fields: Json) throws {
        self.init(
            hasMore: try fields["more"].bool, head: try fields["head"].number(), next: try fields["next"].number(),
            entries: try fields["entries"].array.map { try RecordedAccess($0) })
    }

    var fields: [String: Json] {
        [
            "more": .bool(hasMore), "head": .decimal(head), "next": .decimal(next),
            "entries": .array(entries.map { .object($0.fields) }),
        ]
    }
}

extension RecordedAccess {
    fileprivate init(_ fields: Json) throws {
        let reader = AccessReader(actor: try fields["actor"].text, client: try fields["client"].text)
        var entry = AccessEntry(try fields["question"].named(), by: reader)
        func moment(_ name: String) throws -> Timestamp? {
            let millis: Int64 = try fields[name].number()
            return millis == 0 ? nil : Timestamp(millis: millis)
        }
        (entry.rows, entry.subject) = (try fields["rows"].number(), try fields["subject"].number())
        entry.identifierHash = try fields["identifierHash"].bytes
        (entry.after, entry.about) = (try fields["after"].number(), try fields["about"].number())
        (entry.from, entry.until) = (try moment("from"), try moment("until"))
        (entry.purpose, entry.except) = (try fields["purpose"].text, try fields["except"].text)
        (entry.declaration, entry.revision) = (try fields["declaration"].text, try fields["revision"].text)
        entry.recipient = try fields["recipient"].text
        self.init(
            sequence: try fields["sequence"].number(),
            recordedAt: Timestamp(millis: try fields["recordedAt"].number()), entry: entry)
    }

    fileprivate var fields: [String: Json] {
        [
            "sequence": .decimal(sequence), "recordedAt": .decimal(recordedAt.millis),
            "question": .named(entry.question), "rows": .decimal(entry.rows), "subject": .decimal(entry.subject),
            "identifierHash": .hex(entry.identifierHash), "after": .decimal(entry.after),
            "about": .decimal(entry.about), "from": .decimal(entry.from?.millis ?? 0),
            "until": .decimal(entry.until?.millis ?? 0), "actor": .text(entry.reader.actor),
            "client": .text(entry.reader.client), "purpose": .text(entry.purpose), "except": .text(entry.except),
            "declaration": .text(entry.declaration), "revision": .text(entry.revision),
            "recipient": .text(entry.recipient),
        ]
    }
}
