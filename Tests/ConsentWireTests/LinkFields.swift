import ConsentModel
import ConsentTestSupport
import ConsentWire

extension LinkOutcome {
    init(_ fields: Json) throws {
        self.init(
            sequence: try fields["sequence"].number(), recordedAt: try fields["recordedAt"].number(),
            hash: try fields["hash"].bytes, identifiers: try fields["identifiers"].number(),
            denied: try fields["denied"].array.map { try $0.text })
    }

    var fields: [String: Json] {
        [
            "sequence": .decimal(sequence), "recordedAt": .decimal(recordedAt), "hash": .hex(hash),
            "identifiers": .small(identifiers), "denied": .array(denied.map(Json.text)),
        ]
    }
}

extension RecordedLinkMessage {
    init(_ fields: Json) throws {
        self.init(
            sequence: try fields["sequence"].number(), recordedAt: try fields["recordedAt"].number(),
            other: try fields["other"].number(), hash: try fields["hash"].bytes, action: try fields["action"].named(),
            actor: try fields["actor"].text,
            identifiers: try fields["identifiers"].array.map {
                Identifier(recorded: try $0["type"].named(), value: try $0["value"].text)
            })
    }

    var fields: Json {
        .object([
            "sequence": .decimal(sequence), "recordedAt": .decimal(recordedAt), "other": .decimal(other),
            "hash": .hex(hash), "action": .named(action), "actor": .text(actor),
            "identifiers": .array(
                identifiers.map { .object(["type": .named($0.type), "value": .text($0.value)]) }),
        ])
    }
}
