import Testing

@testable import ConsentRegister

@Suite struct CSVReaderTests {
    @Test(arguments: [",", ";", "\t"], ["\n", "\r\n", "\r"])
    func readsEveryDelimiterAndLineEnd(_ delimiter: String, _ lineEnd: String) throws {
        let lines = ["a,b,c", "1,2,3", "4,\"5\",6"].map { $0.split(separator: ",").joined(separator: delimiter) }
        let rows = try readCSV(lines.joined(separator: lineEnd) + lineEnd)
        #expect(rows.map(\.fields) == [["1", "2", "3"], ["4", "5", "6"]])
        #expect(rows.map(\.line) == [2, 3])
        #expect(rows.map(\.offset) == [UInt64(5 + lineEnd.utf8.count), UInt64(10 + 2 * lineEnd.utf8.count)])
    }

    @Test func delimiterCanBeForced() throws {
        let rows = try readCSV("a;b,c;d\n1;2,3;4\n", delimiter: UInt8(ascii: ","))
        #expect(rows.map(\.fields) == [["1;2", "3;4"]])
    }

    @Test func delimitersInsideQuotedColumnNamesAreNotCounted() throws {
        let rows = try readCSV("\"a,b,c,d\";e\n1;2\n")
        #expect(rows.map(\.fields) == [["1", "2"]])
    }

    @Test func quotedFieldsHoldDelimitersQuotesAndLineEnds() throws {
        let rows = try readCSV("a,b\n\"x,\"\"y\"\"\",\"1\r\n2\r3\n4\"\nz,\"\"\n")
        #expect(rows.map(\.fields) == [["x,\"y\"", "1\r\n2\r3\n4"], ["z", ""]])
        #expect(rows.map(\.line) == [2, 6])
    }

    @Test func quoteWithinAnUnquotedFieldIsText() throws {
        #expect(try readCSV("a,b\n5\" disk,x\"y\"\n").map(\.fields) == [["5\" disk", "x\"y\""]])
    }

    @Test func lastLineNeedsNoLineEnd() throws {
        for last in ["3,4", "\"3\",\"4\"", "3,\"4\"", "3,"] {
            let rows = try readCSV("a,b\n1,2\n" + last)
            #expect(rows.count == 2)
            #expect(rows.allSatisfy { $0.fault == nil })
        }
    }

    @Test func blankLinesArePassedOverButCounted() throws {
        let rows = try readCSV("\n\na,b\n\n1,2\r\n\r\n\n3,4\n\n")
        #expect(rows.map(\.fields) == [["1", "2"], ["3", "4"]])
        #expect(rows.map(\.line) == [5, 8])
    }

    @Test func byteOrderMarkOfUTF8IsSkipped() throws {
        let rows = try readCSV([0xEF, 0xBB, 0xBF] + Array("a,b\n1,2\n".utf8))
        #expect(rows.map(\.fields) == [["1", "2"]])
        #expect(rows.map(\.offset) == [7])
    }

    @Test func fileOfOnlyAHeaderHasNoRows() throws {
        #expect(try readCSV("a,b").isEmpty)
        #expect(try readCSV("a,b\n").isEmpty)
    }

    @Test(arguments: ["", "\n", "\r\n\r\n", "\u{FEFF}", "\u{FEFF}\n"])
    func emptyFileIsRefused(_ text: String) {
        #expect(throws: RegisterRefusal.emptyFile) { try readCSV(text) }
    }

    @Test(arguments: TextEncoding.allCases, [true, false])
    func otherUnicodeIsRefusedByName(_ encoding: TextEncoding, _ hasMark: Bool) {
        let text = (hasMark ? "\u{FEFF}" : "") + "customer,e-post,purpose\n1,kari@example.no,newsletter\n"
        let bytes = encode(text, encoding)
        #expect(throws: RegisterRefusal.encoding(encoding)) { try readCSV(bytes) }
        #expect(throws: RegisterRefusal.encoding(encoding)) { try readCSV(bytes, chunkSize: 1) }
        #expect(RegisterRefusal.encoding(encoding).description.contains("iconv -f \(encoding.iconvName) -t UTF-8"))
    }

    @Test func workbooksAndArchivesAreRefusedByName() {
        for start in [[0x50, 0x4B, 0x03, 0x04, 0x14, 0x00], [0x1F, 0x8B, 0x08, 0x00]] as [[UInt8]] {
            #expect {
                try readCSV(start + Array("whatever\n".utf8))
            } throws: { error in
                if case .notText? = error as? RegisterRefusal { true } else { false }
            }
        }
    }

    @Test func headerWithoutEndIsRefusedWithoutReadingTheWholeFile() {
        var reader = CSVReader()
        let chunk = [UInt8](repeating: UInt8(ascii: "x"), count: 1 << 20)
        #expect(throws: RegisterRefusal.headerTooLong) { try reader.feed(chunk) { _ in } }
        #expect(throws: RegisterRefusal.headerTooLong) { try reader.feed(chunk) { _ in } }
    }

    @Test func unreadableHeaderIsRefused() {
        #expect(throws: RegisterRefusal.headerNotUTF8) { try readCSV([0x61, 0x2C, 0xF8, 0x0A]) }
        #expect(throws: RegisterRefusal.headerUnreadable(.quoteMisplaced)) { try readCSV("a,\"b\"c\n1,2\n") }
        #expect(throws: RegisterRefusal.headerUnreadable(.quoteUnclosed)) { try readCSV("a,\"b\n1,2\n") }
        let columns = (0...RegisterLimit.columnsMax).map(String.init).joined(separator: ",")
        #expect(throws: RegisterRefusal.columnsTooMany(RegisterLimit.columnsMax + 1)) { try readCSV(columns + "\n") }
    }

    @Test(arguments: [1, 2, 3, 7, 64, 1000])
    func chunkSizeChangesNothing(_ chunkSize: Int) throws {
        for bytes in Self.files {
            #expect(try readCSV(bytes, chunkSize: chunkSize) == readCSV(bytes))
        }
    }

    @Test func everyTruncationKeepsTheRowsBeforeIt() throws {
        let bytes = Array("a,b,c\n1,2,3\r\n\"x\ny\",\"q\"\"q\",5\n\n6,7,8\n9,10,11".utf8)
        let whole = try readCSV(bytes)
        #expect(whole.count == 4)
        for size in 6...bytes.count {
            let rows = try readCSV(Array(bytes[..<size]))
            let complete = whole.filter { Int($0.next.offset) <= size && Int($0.next.offset) < bytes.count }
            #expect(Array(rows.prefix(complete.count)) == complete)
            // What is cut is one row; a quote that was open lets its second line out as another.
            #expect(rows.count <= complete.count + 2)
        }
    }

    @Test func readingResumesAtTheEndOfEveryRow() throws {
        for bytes in Self.files {
            let whole = try readCSV(bytes)
            for (position, row) in whole.enumerated() {
                var reader = CSVReader()
                try reader.feed(bytes) { _ in }
                reader.resume(at: row.next)
                var rest: [ReadRow] = []
                try reader.feed(Array(bytes[Int(row.next.offset)...])) { rest.append(ReadRow($0)) }
                try reader.finish { rest.append(ReadRow($0)) }
                for index in rest.indices { rest[index].isRecovered = whole[position + 1 + index].isRecovered }
                #expect(rest == Array(whole[(position + 1)...]))
            }
        }
    }

    /// Files with something of everything.
    static let files: [[UInt8]] = [
        Array("a,b,c\r\n1,2,3\r\n\"x\r\ny\",\"q\"\"q\",5\r\n\r\n6,7,8\r9,10,11".utf8),
        Array("a,b\n1,\"open\n2,fine\n3,\"x\"y\n4,fine\n5\n6,7,8\n9,\u{0}\n10,\"\"\"\"\n11".utf8),
        Array("a,b\n1,".utf8) + [0xF8] + Array("\n2,ok\n".utf8),
        Array("a,b\n1,".utf8) + [UInt8](repeating: 0x78, count: 100_000) + Array("\r\n2,ok\r\n3,\"".utf8)
            + [UInt8](repeating: 0x79, count: 100_000) + Array("\"\r\n4,ok\r\n".utf8),
        Array("a,b\n1,\"".utf8) + Array(String(repeating: "l\r\n", count: 70).utf8) + Array("\",x\n2,ok\n".utf8),
        [0xEF, 0xBB, 0xBF] + Array("\r\n\r\na;b\r\n\"1\";\"2\"\r\n".utf8),
    ]

    private func encode(_ text: String, _ encoding: TextEncoding) -> [UInt8] {
        func bytes(_ number: UInt32, _ size: Int) -> [UInt8] {
            (0..<size).map { UInt8(truncatingIfNeeded: number >> UInt32(8 * $0)) }
        }
        return switch encoding {
        case .utf16LittleEndian: text.utf16.flatMap { bytes(UInt32($0), 2) }
        case .utf16BigEndian: text.utf16.flatMap { bytes(UInt32($0), 2).reversed() }
        case .utf32LittleEndian: text.unicodeScalars.flatMap { bytes($0.value, 4) }
        case .utf32BigEndian: text.unicodeScalars.flatMap { bytes($0.value, 4).reversed() }
        }
    }
}
