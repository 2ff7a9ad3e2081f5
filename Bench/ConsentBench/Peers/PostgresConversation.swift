import ConsentModel

/// PostgreSQL, by its own protocol, version 3: one row of an event table a transaction, by a statement that was prepared
/// once. Nothing but the row, and an index by which a person's events are found.
package struct PostgresConversation: Conversation, Sendable {
    package let operations = [PeerQuestion.record.operation]
    package let greetings: [[UInt8]]
    private let template: [UInt8]
    private let nameOffset: Int
    private let freshName: BenchName
    private var freshCount: UInt32 = 0

    static let table = """
        CREATE TABLE events (
            sequence bigserial PRIMARY KEY, subject text NOT NULL, purpose smallint NOT NULL, state smallint NOT NULL,
            method smallint NOT NULL, recorded_at timestamptz NOT NULL DEFAULT now(), declaration text NOT NULL,
            revision text NOT NULL, language text NOT NULL);
        CREATE INDEX events_subject ON events (subject);
        """

    package init(user: String, catalog: BenchCatalog, runSeed: UInt64, thread: Int) {
        var numbers = SeededNumbers(seed: runSeed &+ UInt64(thread) &* 0x1_0001)
        freshName = BenchName.fresh(&numbers)
        let startup =
            Self.integer(196_608) + Self.text("user") + Self.text(user) + Self.text("database")
            + Self.text("postgres") + [0]
        let statement =
            "INSERT INTO events (subject, purpose, state, method, declaration, revision, language) VALUES "
            + "($1, \(catalog.purposeBit), 4, 5, '\(catalog.revision.declaration)', '\(catalog.revision.revision)', "
            + "'\(catalog.language)')"
        let parse = Self.message("P", Self.text("add") + Self.text(statement) + [0, 0])
        let sync = Self.message("S", [])
        greetings = [Self.integer(Int32(startup.count + 4)) + startup, parse + sync]
        let name = Array(BenchName.subject.text(0).utf8)
        let head = Self.text("") + Self.text("add") + [0, 0, 0, 1] + Self.integer(Int32(name.count))
        nameOffset = 5 + head.count
        template = Self.message("B", head + name + [0, 0]) + Self.message("E", Self.text("") + [0, 0, 0, 0]) + sync
    }

    private static func integer(_ value: Int32) -> [UInt8] {
        withUnsafeBytes(of: value.bigEndian) { Array($0) }
    }

    private static func text(_ text: String) -> [UInt8] { Array(text.utf8) + [0] }

    private static func message(_ kind: Character, _ body: [UInt8]) -> [UInt8] {
        [kind.asciiValue!] + integer(Int32(body.count + 4)) + body
    }

    package func isWelcome(_ answer: UnsafeRawBufferPointer) -> Bool { !Self.kinds(answer).contains(UInt8(ascii: "E")) }

    package mutating func appendRequest(_ number: UInt32, to bytes: inout RequestBytes) -> Asked {
        freshCount += 1
        freshName.write(freshCount, to: bytes.append(template) + nameOffset)
        return Asked(operation: 0, value: UInt64(freshCount))
    }

    /// Messages up to `ReadyForQuery`.
    package func answerSize(_ bytes: UnsafeRawBufferPointer) -> Int? {
        var place = 0
        while place + 5 <= bytes.count {
            let size = Int(UInt32(bigEndian: bytes.loadUnaligned(fromByteOffset: place + 1, as: UInt32.self)))
            guard size >= 4, size < 1 << 20 else { return -1 }
            let kind = bytes[place]
            place += 1 + size
            if place > bytes.count { return nil }
            if kind == UInt8(ascii: "Z") { return place }
        }
        return nil
    }

    package func order(of answer: UnsafeRawBufferPointer) -> AnswerOrder { .next }

    /// `BindComplete`, `CommandComplete` with one row, `ReadyForQuery` outside of a transaction.
    package mutating func judge(_ answer: UnsafeRawBufferPointer, _ asked: Asked) -> Judgement {
        answer.elementsEqual(
            [0x32, 0, 0, 0, 4] + Self.message("C", Self.text("INSERT 0 1")) + Self.message("Z", [0x49]))
            ? .right : .wrong
    }

    package func describe(_ asked: Asked) -> String {
        "the row of '\(freshName.text(UInt32(truncatingIfNeeded: asked.value)))' was not inserted"
    }

    private static func kinds(_ bytes: UnsafeRawBufferPointer) -> [UInt8] {
        var (kinds, place): ([UInt8], Int) = ([], 0)
        while place + 5 <= bytes.count {
            kinds.append(bytes[place])
            place += 1 + Int(UInt32(bigEndian: bytes.loadUnaligned(fromByteOffset: place + 1, as: UInt32.self)))
        }
        return kinds
    }
}
