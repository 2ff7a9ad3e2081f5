import ConsentModel
import Testing

@testable import ConsentIndex

struct GeometryTests {
    @Test func tenMillionIdentifiersAndTwentyPurposesFitIn450MillionBytes() {
        #expect(IndexGeometry(identifiers: 10_000_000, purposes: 20).fileSize <= 450_000_000)
    }

    /// An index that was never told how large it will be grows whenever its slots are used up: at ten million rows it
    /// can have grown anywhere on the way.
    @Test func naturalGrowthStaysWithin45BytesForARowAtItsWorst() {
        var rows = 0
        var geometry = IndexGeometry(identifiers: 0, purposes: 20)
        var bytesPerRowMax = 0.0
        while rows < 12_000_000 {
            rows = geometry.usedMax
            geometry = IndexGeometry(identifiers: rows + 1, purposes: 20)
            if rows > 100_000 { bytesPerRowMax = max(bytesPerRowMax, Double(geometry.fileSize) / Double(rows)) }
        }
        #expect(bytesPerRowMax > 40 && bytesPerRowMax <= 45)
        for identifiers in stride(from: 9_000_000, through: 10_000_000, by: 997) {
            // Grown to hold this many, or told so.
            #expect(IndexGeometry(identifiers: identifiers, purposes: 20).fileSize <= 450_000_000)
        }
    }

    @Test func rowsWidenInFourSteps() {
        let expected = [(1, 1), (64, 1), (65, 3), (192, 3), (193, 7), (448, 7), (449, 15), (960, 15)]
        for (purposes, words) in expected {
            #expect(IndexGeometry(identifiers: 1, purposes: purposes).words == words, "\(purposes) purposes")
        }
        #expect([1, 3, 7, 15].map { IndexGeometry(words: $0, slots: 2).rowSize } == [32, 64, 128, 256])
    }

    @Test func aRowOfUpTo192PurposesNeverStraddlesACacheLine() {
        for words in [1, 3] {
            let geometry = IndexGeometry(words: words, slots: 1024)
            for slot in 0..<geometry.slots {
                let first = IndexTable.headerSize + slot * geometry.rowSize
                #expect(first / 64 == (first + geometry.rowSize - 1) / 64)
            }
        }
    }

    @Test func thereAreAlwaysWholeLinesAndRoomToSpare() {
        for identifiers in Array(0...3_000) + [99_999, 1_000_000, 1_000_001, 123_456_789] {
            for purposes in [1, 65, 193, 960] {
                let geometry = IndexGeometry(identifiers: identifiers, purposes: purposes)
                #expect(geometry.slots % geometry.slotsPerLine == 0)
                #expect(geometry.slots >= IndexGeometry.slotsMin)
                // A new generation takes its rows and at least one more before the next.
                #expect(identifiers < geometry.usedMax && geometry.usedMax < geometry.slots - 1)
            }
        }
    }
}
