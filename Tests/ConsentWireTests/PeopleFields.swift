import ConsentModel
import ConsentTestSupport
import ConsentWire

// What a vector calls the fields of the lists of people.

private let reasonNames = ["unknown", "requested", "expired", "outdated", "dormant"]

extension PeopleQuestion {
    init(_ fields: Json) throws {
        self.init(try fields["selection"].named())
        countMax = try fields["peopleMax"].number()
        reasons = []
        for name in try fields["reasons"].array.map({ try $0.text }) {
            reasons.insert(AskAgainReasons(rawValue: 1 << UInt8(reasonNames.firstIndex(of: name)!)))
        }
        after = try fields["after"].number()
        from = try Timestamp(vector: fields["from"])
        until = try Timestamp(vector: fields["until"])
        asOf = try fields["asOf"].number()
        purpose = try fields["purpose"].text
        except = try fields["except"].text
        revision = RevisionName(declaration: try fields["declaration"].text, revision: try fields["revision"].text)
        recipient = try fields["recipient"].text
        document = try fields["document"].text
    }

    var fields: [String: Json] {
        [
            "selection": .named(selection), "peopleMax": .small(countMax),
            "reasons": .array(
                reasonNames.enumerated().filter { reasons.rawValue >> UInt8($0.offset) & 1 == 1 }
                    .map { .text($0.element) }),
            "after": .decimal(after), "from": .decimal(from?.millis ?? 0), "until": .decimal(until?.millis ?? 0),
            "asOf": .decimal(asOf), "purpose": .text(purpose), "except": .text(except),
            "declaration": .text(revision.declaration), "revision": .text(revision.revision),
            "recipient": .text(recipient), "document": .text(document),
        ]
    }
}

extension FoundPerson {
    init(_ fields: Json) throws {
        let revision = RevisionName(
            declaration: try fields["declaration"].text, revision: try fields["revision"].text)
        self.init(
            subject: try fields["subject"].number(), purpose: try fields["purpose"].text,
            state: try fields["state"].named(), revision: revision.declaration.isEmpty ? nil : revision,
            since: try Timestamp(vector: fields["since"]), until: try Timestamp(vector: fields["until"]),
            identifiers: try fields["identifiers"].array.map {
                try Identifier(type: $0["type"].named(), value: $0["value"].text)
            })
    }

    var fields: Json {
        .object([
            "subject": .decimal(subject), "state": .named(state), "since": .decimal(since?.millis ?? 0),
            "until": .decimal(until?.millis ?? 0), "purpose": .text(purpose),
            "declaration": .text(revision?.declaration ?? ""), "revision": .text(revision?.revision ?? ""),
            "identifiers": .array(
                identifiers.map { .object(["type": .named($0.type), "value": .text($0.value)]) }),
        ])
    }
}

extension Timestamp {
    fileprivate init?(vector: Json) throws {
        let millis = try vector.number(Int64.self)
        if millis == 0 { return nil }
        self.init(millis: millis)
    }
}
