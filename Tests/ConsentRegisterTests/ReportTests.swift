import Testing

@testable import ConsentRegister

@Suite struct RejectFileTests {
    private func rejected(_ bytes: [UInt8]) throws -> [ReadRow] {
        var file = RejectFile.header
        for rejection in try readRegister(bytes).rejections { RejectFile.append(rejection, to: &file) }
        return try readCSV(file)
    }

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
    private let point: ProgressPoint = {
        var summary = RegisterSummary()
        summary.count(rejectedBy: "too_few_fields")
        summary.count(rejectedBy: "age_invalid")
        summary.count(rejectedBy: "age_invalid")
        let file = Array("customer,purpose\n".utf8).withUnsafeBytes { RegisterFingerprint(size: 17, head: $0) }
        return ProgressPoint(
            file: file, position: FilePosition(offset: 17, line: 2), rejectFileSize: 99, summary: summary)
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
        #expect(throws: ProgressFault.versionUnknown("2")) {
            try ProgressPoint(text: Array("consentd-import 2\nwhatever\n".utf8))
        }
        #expect(throws: ProgressFault.notProgress) { try ProgressPoint(text: Array("line,rule\n".utf8)) }
        #expect(throws: ProgressFault.notProgress) { try ProgressPoint(text: []) }
    }

    @Test func pointOfAnotherFileIsNotUsed() throws {
        try point.checkBelongs(to: point.file)
        let head = Array("customer,purposf\n".utf8)
        let other = head.withUnsafeBytes { RegisterFingerprint(size: 17, head: $0) }
        #expect(throws: ProgressFault.otherFile) { try point.checkBelongs(to: other) }
        var longer = point.file
        longer.size += 1
        #expect(throws: ProgressFault.otherFile) { try point.checkBelongs(to: longer) }
    }

    @Test func importThatResumesEndsWithTheSameItemsAndSummary() throws {
        let (bytes, _) = sampleRegister(subjectCount: 200, seed: 5)
        let whole = try readRegister(bytes)
        let file = bytes.withUnsafeBytes { RegisterFingerprint(size: UInt64(bytes.count), head: $0) }
        for cut in [500, 5_000, 20_000] {
            var first = RegisterReader()
            var items: [RegisterItem] = []
            try first.feed(Array(bytes[..<cut])) { items.append($0) }
            let stored = ProgressPoint(
                file: file, position: first.position, rejectFileSize: 0, summary: first.summary
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
        read.summary.move(row, toRejectedBy: "purpose_unknown")
        #expect(read.summary.rowCount == 1 && read.summary.eventCount == 0 && read.summary.withoutProofCount == 0)
        #expect(read.summary.rejectedCounts == ["purpose_unknown": 1])
        #expect(RowRejection(row, rule: "purpose_unknown", message: "x").text == Array("1,sms|ads".utf8))
    }
}
