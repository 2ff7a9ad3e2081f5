import ConsentModel

/// A subject as a row of its table.
enum SubjectColumns {
    /// What follows from the events.
    static let derived = """
        permitted, denied, wide, ends_at, sequence, last_event, identifiers, standings, erased_at, erasure,
        joined_to, separated_at
        """
    static let selectParts = "SELECT id, last_event, erasure FROM subject WHERE joined_to = ? ORDER BY id"
    static let select = "SELECT id, salt.value, \(derived) FROM subject LEFT JOIN salt ON salt.subject = subject.id"

    static func read(
        _ row: Statement, _ revisions: RevisionNumbers, _ outdatings: Outdatings
    ) throws -> SubjectRecord {
        let id = row.int64(0)
        guard let standings = Standings(decoding: row.rawBytes(9), revisionName: { revisions[$0] }) else {
            throw LedgerError.corrupt(where: "subject \(id)", what: "where it stands cannot be read")
        }
        try requireWhole(row.rawBytes(8), of: id)
        guard let salt = Salt.read(row.rawBytes(1)) else {
            throw LedgerError.corrupt(where: "subject \(id)", what: "its salt is missing")
        }
        var subject = SubjectRecord(
            id: id, salt: salt, projection: try Projection(row, from: 2, of: id, outdatings),
            standings: standings, lastEvent: UInt64(clamping: row.int64(7)), identifiers: row.bytes(8))
        subject.erasedAt = row.optionalInt64(10).map(Timestamp.init(millis:))
        subject.erasure = UInt64(clamping: row.int64(11))
        subject.joinedTo = row.optionalInt64(12)
        subject.separatedAt = row.optionalInt64(13).map(Timestamp.init(millis:))
        return subject
    }
}

/// A subject's salt as its table has it: all zeros while the person is erased.
enum Salt {
    static let size = 16
    private static let erased = [UInt8](repeating: 0, count: size)

    /// - Returns: empty while the person is erased; nil where there is none.
    static func read(_ stored: UnsafeRawBufferPointer) -> [UInt8]? {
        guard stored.count == size else { return nil }
        return stored.elementsEqual(erased) ? [] : Array(stored)
    }

    static func stored(_ salt: [UInt8]) -> [UInt8] { salt.isEmpty ? erased : salt }
}

extension SubjectColumns {
    /// - Throws: ``LedgerError`` `corrupt` for identifiers that are cut off.
    static func requireWhole(_ identifiers: UnsafeRawBufferPointer, of subject: Int64) throws {
        guard identifiers.count % SubjectRecord.identifierSize == 0, UInt32(exactly: subject) != nil else {
            throw LedgerError.corrupt(where: "subject \(subject)", what: "its identifiers cannot be read")
        }
    }
}

/// Revisions by their numbers in the ledger, and the other way around.
struct RevisionNumbers {
    static let select = "SELECT id, declaration, revision FROM revision"

    private var numbers: [RevisionName: Int64] = [:]
    private var names: [Int64: RevisionName] = [:]

    init() {}

    init(_ select: Statement) throws {
        while try select.step() {
            add(RevisionName(declaration: select.text(1), revision: select.text(2)), select.int64(0))
        }
    }

    subscript(name: RevisionName) -> Int64? { numbers[name] }
    subscript(number: Int64) -> RevisionName? { names[number] }

    mutating func add(_ name: RevisionName, _ number: Int64) {
        numbers[name] = number
        names[number] = name
    }
}

extension Projection {
    /// Reads permitted, denied, wide, ends_at, sequence.
    ///
    /// - Throws: ``LedgerError`` `corrupt` for what no index row has room for.
    init(_ row: Statement, from column: Int32, of subject: Int64, _ outdatings: Outdatings) throws {
        try self.init(row, from: column, of: subject)
        if outdatings.all.last.map({ $0.sequence > sequence }) ?? false { self = outdated(by: outdatings.all) }
    }

    private init(_ row: Statement, from column: Int32, of subject: Int64) throws {
        let (wideSize, end) = (row.rawBytes(column + 2).count, row.optionalInt64(column + 3))
        guard wideSize % 16 == 0, wideSize < Limit.purposesMax / 64 * 16, end.map({ $0 > 0 }) ?? true,
            let sequence = UInt64(exactly: row.int64(column + 4)), sequence <= Limit.sequenceMax
        else { throw LedgerError.corrupt(where: "subject \(subject)", what: "what the index says of it cannot be") }
        permitted[word: 0] = UInt64(bitPattern: row.int64(column))
        denied[word: 0] = UInt64(bitPattern: row.int64(column + 1))
        if !row.isNull(column + 2) {
            let wide = row.rawBytes(column + 2)
            for position in 0..<wide.count / 16 {
                let pair = (0..<2).map { wide.loadUnaligned(fromByteOffset: position * 16 + $0 * 8, as: UInt64.self) }
                permitted[word: position + 1] = UInt64(littleEndian: pair[0])
                denied[word: position + 1] = UInt64(littleEndian: pair[1])
            }
        }
        endsAt = end.map(Timestamp.init(millis:))
        self.sequence = sequence
    }

    func bind(_ statement: Statement, from position: Int32) {
        statement.bind(position, Int64(bitPattern: permitted[word: 0]))
        statement.bind(position + 1, Int64(bitPattern: denied[word: 0]))
        let words = max(permitted.wordCount, denied.wordCount)
        var wide: [UInt8] = []
        for word in 1..<max(words, 1) {
            for value in [permitted[word: word], denied[word: word]] {
                withUnsafeBytes(of: value.littleEndian) { wide += $0 }
            }
        }
        statement.bind(position + 2, wide.isEmpty ? nil : wide)
        statement.bind(position + 3, endsAt?.millis)
        statement.bind(position + 4, Int64(sequence))
    }
}
