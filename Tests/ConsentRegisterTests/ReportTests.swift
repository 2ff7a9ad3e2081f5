import ConsentModel
import Testing

@testable import ConsentRegister

@Suite struct RejectFileTests {
    private func rejectFile(_ bytes: [UInt8]) throws -> [UInt8] {
        var file = RejectFile.header
        for rejection in try readRegister(bytes).rejections { RejectFile.append(rejection, to: &file) }
        return file
    }

    private func rejected(_ bytes: [UInt8]) throws -> [ReadRow] { try readCSV(try rejectFile(bytes)) }

    @Test func readsBackWithLineRuleMessageAndText() throws {
        let rows = try rejected(Array("customer,purpose\n1,\"a,\"\"b\"\"\",c\n2,sms\n3,\n".utf8))
        #expect(
            rows.map(\.fields) == [
                ["2", "too_many_fields", CSVFault.tooManyFields(3, expected: 2).message, "1,\"a,\"\"b\"\"\",c"],
                ["4", "purpose_missing", RowFault.purposeMissing.message, "3,"],
            ])
    }

    @Test func isValidTextWhateverTheRowHeld() throws {
        let rows = try rejected(Array("customer,purpose\n1,".utf8) + [0xF8, 0x0A] + Array("2,\u{0}\n".utf8))
        #expect(rows.map(\.fault) == [nil, nil])
        #expect(rows.map { $0.fields[3] } == ["1,\u{FFFD}", "2,\u{FFFD}"])
    }

    /// Whatever a spreadsheet takes for the end of a cell, none begins with what it would calculate.
    @Test(arguments: [",", ";", "\t"])
    func holdsNoFormula(delimiter: String) throws {
        let cells = [
            "=1", "+2", "-3", "@4", " =5", "a;=6", "\"b\n=7\"", "\"\t=8\"", "\"\"\"=9\"", "\"c,+1;-2\"", "'=3",
        ]
        let names = [
            "customer", "email", "phone", "device", "cookie", "state", "actor", "form", "channel", "system", "evidence",
        ]
        let text =
            (names + ["purpose"]).joined(separator: delimiter) + "\n"
            + (cells + ["x"]).joined(separator: delimiter) + "\n"
            + "=broken\n"
        let file = try rejectFile(Array(text.utf8))
        let written = Array(String(decoding: file, as: UTF8.self))
        for (position, character) in written.enumerated() where "=+-@".contains(character) {
            let before = written[..<position].reversed().first { $0 != " " }
            #expect(before.map { !",;\t\"\n\r".contains($0) } ?? false, "\(String(written[..<position].suffix(20)))")
        }
    }

    /// The text of a rejected row, put into a register again, says what the row said.
    @Test(arguments: [",", ";", "\t"])
    func aCopiedRowReadsAsTheRowItself(delimiter: String) throws {
        let names = ["phone", "customer", "purpose", "state", "captured_at", "evidence"].joined(separator: delimiter)
        let notes = [
            "=1", "a;=2", "\"a,-3\"", "\"a\n +4\"", "\"say \"\"=5\"\"\"", "'=6", "'", "it's", "\"\t=7\"", "", "''=8",
        ].filter { !$0.contains(delimiter) || $0.hasPrefix("\"") }
        for note in notes {
            let row = ["+47 90 00 00 00", "-c", "@sms", "withdrawn", "", note].joined(separator: delimiter)
            let broken = ["+47 90 00 00 00", "-c", "@sms", "sometime", "", note].joined(separator: delimiter)
            let direct = try readRegister(names + "\n" + row + "\n").events
            let copied = try #require(try rejected(Array((names + "\n" + broken + "\n").utf8)).first?.fields[3])
            let mended = copied.replacing("sometime", with: "withdrawn", maxReplacements: 1)
            #expect(try readRegister(names + "\n" + mended + "\n").events == direct, "\(note)")
            #expect(direct.count == 1)
        }
    }

    @Test func everyShortNoteIsCopiedSoThatItReadsTheSame() throws {
        let alphabet = ["=", "'", "\"\"", ";", "\t", " ", "a"]
        var notes = [""]
        for _ in 0..<4 { notes += notes.flatMap { note in alphabet.map { note + $0 } } }
        let names = "customer,purpose,state,evidence\n"
        func rows(_ state: String) -> String { notes.map { "1,sms,\(state),\"\($0)\"\n" }.joined() }
        let direct = try readRegister(names + rows("withdrawn")).events
        let copied = try rejected(Array((names + rows("sometime")).utf8)).map { $0.fields[3] + "\n" }.joined()
        #expect(direct.count == notes.count)
        #expect(try readRegister(names + copied.replacing("sometime", with: "withdrawn")).events == direct)
    }

    @Test(arguments: [[], ["national_id"]])
    func holdsNoNationalId(ignored: [String]) throws {
        var options = RegisterOptions()
        options.ignoredColumns = ignored
        let number = "01017012345"
        let text =
            "customer,National ID,purpose,state\n1,\(number),,withdrawn\n2,\" \(number)\",sms,what\n3,,sms,what\n"
            + "4,\(number),sms\n5,\"\(number),sms,given\n"
        var file = RejectFile.header
        let register = try readRegister(Array(text.utf8), options: options)
        for rejection in register.rejections { RejectFile.append(rejection, to: &file) }
        #expect(register.rejections.count == 5)
        #expect(!String(decoding: file, as: UTF8.self).contains(number))
        let copied = try readCSV(file).map { $0.fields[3] }
        let note = "(not copied: the register holds national ids)"
        #expect(copied == ["1,(withheld),,withdrawn", "2,\"(withheld)\",sms,what", "3,,sms,what", note, note])
    }

    /// Or many people would be the one whose national id is the note.
    @Test func aRowCopiedWithoutItsNationalIdIsNobodyElses() throws {
        let register = try readRegister(
            "customer,national_id,purpose,state\n1,(withheld),sms,requested\n2,(withheld),sms,withdrawn\n"
                + ",(withheld),sms,withdrawn\n")
        #expect(register.rules == ["national_id_withheld", "national_id_withheld"])
        #expect(register.events.map { $0.identifiers.map(\.text) } == [["customer:2"]])
    }

    @Test func longRowsAreCutBetweenCharacters() throws {
        for padding in ["", "x", "xx", "xxx"] {
            let text = "customer,purpose\n" + padding + String(repeating: "😀ø", count: 30_000) + ",\n"
            let field = try #require(try rejected(Array(text.utf8)).first?.fields[3])
            #expect(field.hasSuffix("…") && !field.contains("\u{FFFD}"))
            #expect(field.utf8.count <= RegisterLimit.rejectTextSizeMax + "…".utf8.count)
        }
    }

    @Test func rowsOfManyLinesAreCutToBeReadableAgain() throws {
        let note = "\"" + String(repeating: "l\n", count: 60) + "\""
        let rows = try rejected(Array("customer,purpose,evidence,form\n1,,\(note),\(note)\n2,,,\n".utf8))
        #expect(rows.map(\.fault) == [nil, nil])
        #expect(rows.map { $0.fields[0] } == ["2", "123"])
    }
}

@Suite struct ProgressPointTests {
    private static let history = Array(repeating: UInt8(0xA0), count: 16)

    private let point: ProgressPoint = {
        var summary = RegisterSummary()
        for rule in ["too_few_fields", "age_invalid", "age_invalid"] {
            let row = try! readRegister("customer,purpose\n1,sms\n").rows[0]
            summary.count(RowRejection(row, rule: rule, message: ""))
        }
        return ProgressPoint(
            fileSize: 17, position: FilePosition(offset: 17, line: 2), prefixDigest: Array(0..<32),
            ledger: LedgerPoint(history: history, sequence: 7), rejectFileSize: 99, summary: summary)
    }()

    @Test func readsBackWhatItWrote() throws {
        #expect(try ProgressPoint(text: Array(point.text.utf8)) == point)
    }

    @Test func everyTruncationIsAnError() {
        let bytes = Array(point.text.utf8)
        for size in 0..<bytes.count {
            #expect(throws: ProgressFault.self) { try ProgressPoint(text: bytes[..<size]) }
        }
    }

    @Test func everyChangedByteIsAnError() {
        let bytes = Array(point.text.utf8)
        for position in bytes.indices {
            for change in [1, 0x20, 0x80] as [UInt8] {
                var changed = bytes
                changed[position] ^= change
                #expect(throws: ProgressFault.self) { try ProgressPoint(text: changed) }
            }
        }
        #expect(throws: ProgressFault.self) { try ProgressPoint(text: bytes + [0x0A]) }
    }

    @Test func otherFormatAndOtherTextAreToldApart() {
        #expect(throws: ProgressFault.versionUnknown("1")) {
            try ProgressPoint(text: Array("consentd-import 1\nwhatever\n".utf8))
        }
        #expect(throws: ProgressFault.notProgress) { try ProgressPoint(text: Array("line,rule\n".utf8)) }
        #expect(throws: ProgressFault.notProgress) { try ProgressPoint(text: []) }
    }

    @Test func pointOfAnotherFileOrLedgerIsNotUsed() throws {
        func fault(size: UInt64 = 17, rejects: UInt64 = 99, _ ledger: LedgerPoint) -> ProgressFault? {
            do throws(ProgressFault) {
                try point.checkBelongs(toFileOf: size, rejectFileSize: rejects, ledger: ledger)
                return nil
            } catch { return error }
        }
        let ledger = LedgerPoint(history: Self.history, sequence: 7)
        #expect(fault(ledger) == nil)
        #expect(fault(rejects: 100, LedgerPoint(history: Self.history, sequence: 8)) == nil)
        #expect(fault(size: 18, ledger) == .registerChanged && fault(size: 16, ledger) == .registerChanged)
        #expect(fault(rejects: 98, ledger) == .rejectFileCut)
        #expect(fault(LedgerPoint(history: Self.history, sequence: 6)) == .otherLedger)
        #expect(fault(LedgerPoint(history: Array(repeating: 1, count: 16), sequence: 9)) == .otherLedger)
    }

    /// SHA-256 of nothing and of "abc", from FIPS 180-4.
    @Test func digestIsOfAllBytesBeforeThePlaceHoweverTheyWereRead() {
        func hex(_ bytes: [UInt8]) -> String { bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined() }
        var digest = PrefixDigest()
        digest.read(Array("ab".utf8))
        #expect(hex(digest.advance(to: 0)) == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
        digest.read(Array("cd".utf8))
        #expect(hex(digest.advance(to: 3)) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
        let whole = digest.advance(to: 4)
        var other = PrefixDigest()
        other.read(Array("abcdef".utf8))
        #expect(other.advance(to: 4) == whole && other.advance(to: 5) != whole)
    }

    @Test func importThatResumesEndsWithTheSameItemsAndSummary() throws {
        let (bytes, _) = sampleRegister(subjectCount: 200, seed: 5)
        let whole = try readRegister(bytes)
        for cut in [500, 5_000, 20_000] {
            var first = RegisterReader()
            var items: [RegisterItem] = []
            try first.feed(Array(bytes[..<cut])) { items.append($0) }
            let stored = ProgressPoint(
                fileSize: UInt64(bytes.count), position: first.position, prefixDigest: Array(0..<32),
                ledger: LedgerPoint(history: Self.history, sequence: 1), rejectFileSize: 0, summary: first.summary
            ).text

            let point = try ProgressPoint(text: Array(stored.utf8))
            var second = RegisterReader()
            try second.feed(Array(bytes[..<300])) { _ in }
            #expect(second.columns != nil)
            second.resume(at: point)
            try second.feed(Array(bytes[Int(point.position.offset)...])) { items.append($0) }
            try second.finish { items.append($0) }
            #expect(items == whole.items)
            #expect(second.summary == whole.summary)
        }
    }
}

@Suite struct RegisterSummaryTests {
    @Test func rowThatTheServerRefusesMovesToTheRejected() throws {
        var read = try readRegister("customer,purpose\n1,sms|ads\n")
        let row = try #require(read.rows.first)
        read.summary.move(row, to: RowRejection(row, rule: "purpose_unknown", message: "x"))
        #expect(read.summary.rowCount == 1 && read.summary.eventCount == 0 && read.summary.withoutProofCount == 0)
        #expect(read.summary.rejectedCounts == ["purpose_unknown": 1])
        #expect(RowRejection(row, rule: "purpose_unknown", message: "x").text == Array("1,sms|ads".utf8))
    }
}
