import Testing

@testable import ConsentRegister

/// Bad rows among good ones: each bad row is reported where it stands, and no good row is lost.
@Suite struct CSVRecoveryTests {
    struct BadRow: Sendable, CustomTestStringConvertible {
        var name: String
        var bytes: [UInt8]
        var fault: CSVFault
        var testDescription: String { name }

        init(_ name: String, _ text: String, _ fault: CSVFault) {
            self.init(name, Array(text.utf8), fault)
        }

        init(_ name: String, _ bytes: [UInt8], _ fault: CSVFault) {
            self.name = name
            self.bytes = bytes
            self.fault = fault
        }
    }

    static let badRows = [
        BadRow("long field", String(repeating: "x", count: 64 * 1024 + 1) + ",y,z", .fieldTooLong),
        BadRow("1 MB field", "a," + String(repeating: "x", count: 1 << 20) + ",z", .fieldTooLong),
        BadRow("1 MB quoted field", "a,\"" + String(repeating: "x", count: 1 << 20) + "\",z", .fieldTooLong),
        BadRow("million fields", String(repeating: ",", count: 1_100_000), .rowTooLong),
        BadRow("NUL", "a,\u{0},c", .nulByte),
        BadRow("Latin-1", [0x61, 0x2C, 0xF8, 0x2C, 0x63], .invalidUTF8),
        BadRow("overlong", [0x61, 0x2C, 0xC0, 0xAF, 0x2C, 0x63], .invalidUTF8),
        BadRow("surrogate", [0x61, 0x2C, 0xED, 0xA0, 0x80, 0x2C, 0x63], .invalidUTF8),
        BadRow("too few", "a,b", .tooFewFields(2, expected: 3)),
        BadRow("one field", "a", .tooFewFields(1, expected: 3)),
        BadRow("too many", "a,b,c,d", .tooManyFields(4, expected: 3)),
        BadRow("too many over two lines", "a,\"b\nx,y,z\",c,d", .tooManyFields(4, expected: 3)),
        BadRow("open quote", "a,\"b,c", .quoteUnclosed),
        BadRow("open quote at the end", "a,b,\"", .quoteUnclosed),
        BadRow("quote too many", "a,\"b\"\",c", .quoteUnclosed),
        BadRow("text after quote", "a,\"b\"x,c", .quoteMisplaced),
        BadRow("blank after quote", "a,\"b\" ,c", .quoteMisplaced),
    ]

    @Test(arguments: badRows, ["\n", "\r\n", "\r"])
    func rowsAroundABadOneAreRead(_ bad: BadRow, _ lineEnd: String) throws {
        let end = Array(lineEnd.utf8)
        let good = (0..<80).map { "g\($0),h,i" }
        let before = good[..<3].flatMap { Array($0.utf8) + end }
        let after = good[3...].flatMap { Array($0.utf8) + end }
        let rows = try readCSV(Array("a,b,c".utf8) + end + before + bad.bytes + end + after)

        #expect(rows.filter { $0.fault == nil }.map { $0.fields.joined(separator: ",") } == good)
        let faults = rows.filter { $0.fault != nil }
        #expect(faults.map(\.fault) == [bad.fault])
        #expect(faults.map(\.line) == [5])
        #expect(faults.map(\.offset) == [UInt64(before.count + 5 + end.count)])
        #expect(faults[0].text == Array(bad.bytes.prefix(RegisterLimit.rejectTextSizeMax)))
    }

    @Test(arguments: badRows)
    func badRowAtTheEndOfTheFileIsReported(_ bad: BadRow) throws {
        let rows = try readCSV(Array("a,b,c\n1,2,3\n".utf8) + bad.bytes)
        #expect(rows.count == 2)
        #expect(rows[0].fields == ["1", "2", "3"])
        if case .tooFewFields(let count, let expected) = bad.fault {
            #expect(rows[1].fault == .truncated(count, expected: expected))
        } else {
            #expect(rows[1].fault == bad.fault)
        }
    }

    @Test func everyOpenQuoteOfManyIsReported() throws {
        let rows = try readCSV("a,b\n" + String(repeating: "x,\"y\n1,2\n", count: 500))
        // Each is misled by the next one's quote, which closes it in the wrong place; only the last finds none.
        #expect(rows.filter { $0.fault == .quoteMisplaced }.count == 499)
        #expect(rows.filter { $0.fault == .quoteUnclosed }.count == 1)
        #expect(rows.filter { $0.fields == ["1", "2"] }.count == 500)
    }

    @Test func rowsReadAfterAnOpenQuoteAreMarked() throws {
        let good = String(repeating: "1,2\n", count: 100)
        let rows = try readCSV("a,b\n1,2\nx,\"y\n" + good)
        #expect(rows.map(\.isRecovered).prefix(2) == [false, false])
        #expect(rows.filter(\.isRecovered).count == RegisterLimit.quotedLinesMax - 1)
        #expect(rows.last?.isRecovered == false)
    }

    @Test func quotedFieldMayReachOverAsManyLinesAsTheLimitSays() throws {
        let lines = String(repeating: "x\n", count: RegisterLimit.quotedLinesMax - 1)
        let rows = try readCSV("a,b\n1,\"\(lines)y\"\n2,3\n")
        #expect(rows.map(\.fault) == [nil, nil])
        #expect(rows[0].fields[1] == lines + "y")
        let longer = try readCSV("a,b\n1,\"\(lines)y\nz\"\n2,3\n")
        #expect(longer.first?.fault == .quoteUnclosed)
        #expect(longer.last?.fields == ["2", "3"])
    }

    @Test func fieldAsLongAsTheLimitIsRead() throws {
        let field = String(repeating: "x", count: RegisterLimit.fieldSizeMax)
        #expect(try readCSV("a,b\n\(field),1\n\"\(field)\",2\n").map(\.fields) == [[field, "1"], [field, "2"]])
    }

    @Test(arguments: ["1,", "1,\""])
    func endlessFieldIsNotKept(_ start: String) throws {
        var reader = CSVReader()
        var rows: [ReadRow] = []
        try reader.feed(Array("a,b\n\(start)".utf8)) { _ in }
        let chunk = [UInt8](repeating: UInt8(ascii: "x"), count: 100_000)
        for _ in 0..<100 {
            try chunk.withUnsafeBytes { try reader.feed($0) { _ in Issue.record("the row has not ended") } }
            #expect(reader.keptSize <= RegisterLimit.fieldSizeMax)
            #expect(reader.position == FilePosition(offset: 4, line: 2))
        }
        #expect(reader.keptSize == RegisterLimit.rejectTextSizeMax)
        try Array("\n2,ok\n".utf8).withUnsafeBytes { try reader.feed($0) { rows.append(ReadRow($0)) } }
        #expect(rows.map(\.fault) == [.fieldTooLong, nil])
        #expect(rows.map(\.offset) == [4, UInt64(4 + start.utf8.count + 10_000_001)])
        #expect(rows.map(\.line) == [2, 3])
    }

    @Test func messageOnLatin1SaysHowToConvert() {
        #expect(CSVFault.invalidUTF8.message.contains("is the file Latin-1? convert with iconv -f LATIN1 -t UTF-8"))
    }

    /// Damages one row in any way and reads: every other row must come out as it was. Line ends are left alone, since
    /// without one two rows are one; and the good rows hold quoted fields, so that quotes can mislead.
    @Test(arguments: 0..<8)
    func damageToOneRowLosesNoOther(_ seed: UInt64) throws {
        var random = SeededRandom(state: seed)
        let rows = (0..<6).map { "id\($0),\"note \"\"\($0)\"\", long\",plain\($0)" }
        let expected = rows.indices.map { ["id\($0)", "note \"\($0)\", long", "plain\($0)"] }
        for _ in 0..<4000 {
            let damaged = Int.random(in: rows.indices, using: &random)
            var bytes = Array("a,b,c\n".utf8)
            for (position, row) in rows.enumerated() {
                var line = Array(row.utf8)
                if position == damaged { damage(&line, &random) }
                bytes += line + [UInt8(ascii: "\n")]
            }
            let chunkSize = Int.random(in: 1...bytes.count, using: &random)
            let read = try readCSV(bytes, chunkSize: chunkSize).map(\.fields)
            let untouched = expected.indices.filter { $0 != damaged }.map { expected[$0] }
            let found = read.filter { untouched.contains($0) }
            #expect(found.count >= untouched.count, "\(String(decoding: bytes, as: UTF8.self))")
            #expect(untouched.allSatisfy(found.contains), "\(String(decoding: bytes, as: UTF8.self))")
        }
    }

    private func damage(_ line: inout [UInt8], _ random: inout SeededRandom) {
        let special = Array("\",\n\r\u{0};x\"\"".utf8) + [0xF8, 0xFF]
        for _ in 0..<Int.random(in: 1...4, using: &random) where !line.isEmpty {
            let position = Int.random(in: line.indices, using: &random)
            let byte = special.randomElement(using: &random) ?? 0
            switch Int.random(in: 0..<4, using: &random) {
            case 0: line[position] = byte
            case 1: line.insert(byte, at: position)
            case 2: line.remove(at: position)
            default: line.removeSubrange(position...)
            }
        }
    }

    /// Bytes of any kind, fed in any way: no crash, and nothing is read past the end.
    @Test func arbitraryBytesNeverCrash() {
        var random = SeededRandom(state: 99)
        let alphabet = Array("a,b;\t\"\"\n\r\n1".utf8) + [0, 0xC3, 0xB8, 0xFF]
        for _ in 0..<10_000 {
            let size = Int.random(in: 0..<80, using: &random)
            let bytes = (0..<size).map { _ in alphabet.randomElement(using: &random) ?? 0 }
            let whole = Result { () throws(RegisterRefusal) in try readCSV(Array("a,b\n".utf8) + bytes) }
            let cut = Result { () throws(RegisterRefusal) in
                try readCSV(Array("a,b\n".utf8) + bytes, chunkSize: Int.random(in: 1...9, using: &random))
            }
            #expect(whole == cut)
            _ = try? readCSV(bytes)
        }
    }
}

struct SeededRandom: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        let mixed = (state ^ state >> 29) &* 0xBF58_476D_1CE4_E5B9
        return mixed ^ mixed >> 32
    }
}
