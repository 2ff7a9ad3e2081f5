import ConsentModel
import ConsentTestSupport
import ConsentWire

extension Erased {
    init(_ fields: Json) throws {
        self.init(
            sequence: try fields["sequence"].number(), erasedAt: try fields["erasedAt"].number(),
            hash: try fields["hash"].bytes, reason: try fields["reason"].named())
        isRepeated = try fields["repeated"].bool
        isPending = try fields["pending"].bool
        emptiedEvents = try fields["emptiedEvents"].number()
        actor = try fields["actor"].text
        objections = try fields["objections"].array.map { try $0.text }
        identifiers = try fields["identifiers"].array.map {
            KeyedIdentifier(type: try $0["type"].named(), hash: try $0["hash"].bytes)
        }
    }

    var fields: [String: Json] {
        [
            "repeated": .bool(isRepeated), "pending": .bool(isPending), "emptiedEvents": .small(emptiedEvents),
            "sequence": .decimal(sequence), "erasedAt": .decimal(erasedAt), "hash": .hex(hash),
            "reason": .named(reason), "actor": .text(actor), "objections": .array(objections.map(Json.text)),
            "identifiers": .array(
                identifiers.map { .object(["type": .named($0.type), "hash": .hex($0.hash)]) }),
        ]
    }
}
