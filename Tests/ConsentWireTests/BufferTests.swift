import ConsentTestSupport
import ConsentWire
import Testing

struct OutputBufferTests {
    @Test func numbersAreLittleEndian() {
        var output = OutputBuffer(capacity: 1)
        output.u8(1)
        output.u16(0x0203)
        output.u32(0x0405_0607)
        output.u64(0x0809_0A0B_0C0D_0E0F)
        output.time(-2)
        output.time(nil)
        #expect(
            Array(output.bytes) == [1, 3, 2, 7, 6, 5, 4, 15, 14, 13, 12, 11, 10, 9, 8, 0xFE]
                + [UInt8](repeating: 0xFF, count: 7) + [UInt8](repeating: 0, count: 8))
    }

    @Test func growingKeepsWhatWasWritten() {
        var output = OutputBuffer(capacity: 3)
        var expected: [UInt8] = []
        for size in 0..<200 {
            let piece = (0..<size).map { UInt8(truncatingIfNeeded: $0 &* 7 &+ size) }
            output.bytes(piece)
            expected += piece
        }
        #expect(Array(output.bytes) == expected)
    }

    @Test func takingAwayFromTheFrontKeepsTheRest() {
        var output = OutputBuffer(capacity: 8)
        output.bytes(Array(0..<100))
        output.dropFirst(0)
        output.dropFirst(3)
        #expect(Array(output.bytes) == Array(3..<100))
        output.dropFirst(97)
        let isEmpty = output.isEmpty
        #expect(isEmpty)
    }

    @Test func truncatingForgetsTheEnd() {
        var output = OutputBuffer(capacity: 8)
        output.bytes([1, 2, 3, 4])
        output.truncate(to: 2)
        output.u8(9)
        #expect(Array(output.bytes) == [1, 2, 9])
    }

    @Test func zeroBytesAreZeroEvenWhereSomethingStoodBefore() {
        var output = OutputBuffer(capacity: 64)
        output.bytes([UInt8](repeating: 0xFF, count: 64))
        output.clear()
        let offset = output.zeroBytes(24)
        #expect(offset == 0)
        #expect(Array(output.bytes) == [UInt8](repeating: 0, count: 24))
    }

    @Test func bitsOfABitsetAreThoseOfItsLittleEndianWords() {
        for bit in 0..<128 {
            var output = OutputBuffer(capacity: 8)
            output.u8(0xAA)
            let offset = output.zeroBytes(16)
            output.setBit(bit, inBitsetAt: offset)
            var words: [UInt64] = [0, 0]
            words[bit / 64] = 1 << UInt64(bit % 64)
            var expected = OutputBuffer(capacity: 8)
            expected.u8(0xAA)
            for word in words { expected.u64(word) }
            #expect(Array(output.bytes) == Array(expected.bytes))
        }
    }

    @Test func aSizeCountsWhatFollowsIt() {
        var output = OutputBuffer(capacity: 8)
        output.u8(7)
        let frame = output.beginFrame(.ping, flags: 1, argument: 2, request: 3, word: 4)
        output.u64(5)
        output.endFrame(frame)
        #expect(Array(output.bytes) == [7, 20, 0, 0, 0, 2, 1, 2, 0, 3, 0, 0, 0, 4, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0])
    }

    @Test func theQuickWayToWriteACheckedIsTheSlowWay() {
        var generator = SeededGenerator(salt: 11)
        for _ in 0..<1000 {
            let (decision, reason) = (
                UInt8.random(in: 0...2, using: &generator), UInt8.random(in: 0...13, using: &generator)
            )
            let (request, sequence) = (UInt32.random(in: 0...(.max), using: &generator), generator.next())
            let freshness = UInt8.random(in: 0...2, using: &generator)
            var quick = OutputBuffer(capacity: 1)
            let place = quick.zeroBytes(OutputBuffer.checkedSize)
            quick.setChecked(
                at: place, request: request, decision: decision, reason: reason, freshness: freshness,
                sequence: sequence)
            var slow = OutputBuffer(capacity: 1)
            let frame = slow.beginFrame(
                .checked, argument: UInt16(decision) | UInt16(reason) << 8, request: request, word: UInt32(freshness))
            slow.u64(sequence)
            slow.endFrame(frame)
            #expect(Array(quick.bytes) == Array(slow.bytes))
        }
    }

    @Test(arguments: [
        ("a", 65_534), ("a", 65_535), ("é", 50_000), ("語", 40_000), ("😀", 20_000), ("a", 2_000_000),
        // One character as people see it, however long.
        ("\u{301}", 100_000), ("👩‍👩‍👧‍👦", 5000),
    ])
    func aTextTooLongForItsFieldIsCutToOneThatFits(_ piece: String, _ count: Int) throws {
        let text = "e" + String(repeating: piece, count: count)
        var output = OutputBuffer(capacity: 16)
        output.text16(text)
        var bytes = Array(output.bytes)
        let count = bytes.count
        try bytes.withUnsafeMutableBytes { buffer in
            var reader = ByteReader(buffer)
            let read = reader.text16()
            #expect(reader.isComplete)
            #expect(text.utf8.starts(with: read.utf8))
            #expect(count - 2 <= 65_535)
            if text.utf8.count <= 65_535 { #expect(read.utf8.count == text.utf8.count) }
            try #require(text.utf8.count <= 65_535 || read.utf8.count > 65_000)
        }
    }
}

struct ByteReaderTests {
    @Test func readsWhatWasWritten() {
        var output = OutputBuffer(capacity: 1)
        output.u8(1)
        output.u16(2)
        output.u32(3)
        output.u64(4)
        output.time(-5)
        output.text8("seks")
        output.text16("sju €")
        output.utf8("resten")
        read(Array(output.bytes)) { reader in
            #expect(reader.u8() == 1)
            #expect(reader.u16() == 2)
            #expect(reader.u32() == 3)
            #expect(reader.u64() == 4)
            #expect(reader.time() == -5)
            #expect(reader.text8() == "seks")
            #expect(reader.text16() == "sju €")
            #expect(!reader.isComplete)
            #expect(reader.restText() == "resten")
            #expect(reader.isComplete)
        }
    }

    @Test func readingPastTheEndGivesZerosAndIsRemembered() {
        read([1, 2, 3]) { reader in
            #expect(reader.u32() == 0)
            #expect(!reader.isIntact)
            #expect(reader.remaining == 0)
            #expect(reader.u8() == 0)
            #expect(reader.bytes(1).isEmpty)
            #expect(reader.array(1 << 40) == [])
            #expect(reader.text16() == "")
            #expect(!reader.isComplete)
        }
    }

    @Test func anEmptyBufferHasNothingAndIsWhole() {
        read([]) { reader in
            #expect(reader.isComplete)
            #expect(reader.rest().isEmpty)
            #expect(reader.isComplete)
            #expect(reader.u8() == 0)
            #expect(!reader.isComplete)
        }
        var reader = ByteReader(UnsafeMutableRawBufferPointer(start: nil, count: 0))
        #expect(reader.isComplete)
        #expect(reader.rest().isEmpty)
    }

    @Test(arguments: [
        [0xC0, 0x80], [0xE0, 0x80, 0x80], [0xED, 0xA0, 0x80], [0xF4, 0x90, 0x80, 0x80], [0xFF], [0xC3],
    ])
    func aTextThatIsNotUTF8IsRememberedToo(_ bytes: [UInt8]) {
        read([UInt8(bytes.count)] + bytes + [7]) { reader in
            #expect(reader.text8() == "")
            #expect(!reader.isIntact)
            // In step all the same: the size said where the next field begins.
            #expect(reader.u8() == 7)
            #expect(!reader.isComplete)
        }
    }

    private func read(_ bytes: [UInt8], _ body: (inout ByteReader) -> Void) {
        var bytes = bytes
        bytes.withUnsafeMutableBytes { buffer in
            var reader = ByteReader(buffer)
            body(&reader)
        }
    }
}
