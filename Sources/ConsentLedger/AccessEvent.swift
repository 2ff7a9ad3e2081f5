import ConsentModel

// That personal data was read. What it says stands in the column `detail`, and is hashed:
//
//     body 4      = detail
//     detail 4    = question u8 · rows u64 · subject u64 · identifier hash 16 bytes · after u64 · about u64 · from i64
//                   · until i64 (0: none) · actor, client, purpose, except, declaration, revision, recipient, a text8 each
//
// It is in nobody's history, and no identifier is in it, so that an erasure has nothing to take out of it.

extension AccessEntry {
    var detail: [UInt8] {
        var bytes: [UInt8] = [question.rawValue]
        bytes.appendInteger(rows)
        bytes.appendInteger(subject)
        bytes += identifierHash
        bytes.appendInteger(after)
        bytes.appendInteger(about)
        bytes.appendInteger(UInt64(bitPattern: from?.millis ?? 0))
        bytes.appendInteger(UInt64(bitPattern: until?.millis ?? 0))
        for text in [reader.actor, reader.client, purpose, except, declaration, revision, recipient] {
            bytes.append(UInt8(text.utf8.count))
            bytes += text.utf8
        }
        return bytes
    }

    /// Nil if the bytes do not have the layout.
    init?(detail: [UInt8]) {
        var rest = detail[...]
        func take(_ count: Int) -> ArraySlice<UInt8>? {
            guard rest.count >= count else { return nil }
            defer { rest = rest.dropFirst(count) }
            return rest.prefix(count)
        }
        func number() -> UInt64? { take(8).map { $0.reversed().reduce(0) { $0 << 8 | UInt64($1) } } }
        func text() -> String? {
            take(1)?.first.flatMap { take(Int($0)) }.flatMap { String(validating: $0, as: UTF8.self) }
        }
        func moment(_ bits: UInt64) -> Timestamp? { bits == 0 ? nil : Timestamp(millis: Int64(bitPattern: bits)) }
        guard let question = take(1)?.first.flatMap(AccessQuestion.init(rawValue:)), let rows = number(),
            let subject = number(), let hash = take(16), let after = number(), let about = number(),
            let from = number(), let until = number(), let actor = text(), let client = text(), let purpose = text(),
            let except = text(), let declaration = text(), let revision = text(), let recipient = text(), rest.isEmpty
        else { return nil }
        self.init(question, by: AccessReader(actor: actor, client: client))
        (self.rows, self.subject, identifierHash) = (rows, subject, Array(hash))
        (self.after, self.about, self.from, self.until) = (after, about, moment(from), moment(until))
        (self.purpose, self.except, self.recipient) = (purpose, except, recipient)
        (self.declaration, self.revision) = (declaration, revision)
    }
}
