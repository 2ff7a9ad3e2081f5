import ConsentModel

/// What became of everybody's consents at once, as its table keeps it: only ever added to, so that who has read it needs
/// to read only what came since.
struct Outdatings {
    static let select = "SELECT id, sequence, purposes, ends_at FROM outdating WHERE id > ? ORDER BY id"
    static let insert = "INSERT INTO outdating (sequence, purposes, ends_at) VALUES (?,?,?)"

    private(set) var all: [Outdating] = []
    private var last: Int64 = 0

    /// - Throws: ``LedgerError`` `corrupt`.
    mutating func readOn(_ select: Statement) throws {
        select.bind(1, last)
        defer { select.reset() }
        while try select.step() {
            let purposes = select.rawBytes(2)
            guard let sequence = UInt64(exactly: select.int64(1)), purposes.count % 8 == 0,
                purposes.count <= Limit.purposesMax / 8, sequence > 0
            else { throw LedgerError.corrupt(where: "table outdating", what: "row \(select.int64(0)) cannot be read") }
            let words = (0..<purposes.count / 8).map {
                UInt64(littleEndian: purposes.loadUnaligned(fromByteOffset: $0 * 8, as: UInt64.self))
            }
            all.append(
                Outdating(
                    sequence: sequence, purposes: PurposeSet(words: words),
                    endsAt: select.optionalInt64(3).map(Timestamp.init(millis:))))
            last = select.int64(0)
        }
    }

    /// What is not in the table yet.
    mutating func append(_ outdatings: [Outdating]) { all += outdatings }

    static func bind(_ outdating: Outdating, _ insert: Statement) {
        var bytes: [UInt8] = []
        for word in 0..<outdating.purposes.wordCount { bytes.appendInteger(outdating.purposes[word: word]) }
        insert.bind(1, Int64(outdating.sequence))
        insert.bind(2, bytes)
        insert.bind(3, outdating.endsAt?.millis)
    }
}
