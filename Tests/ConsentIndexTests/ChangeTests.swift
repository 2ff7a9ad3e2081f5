import ConsentModel
import ConsentTestSupport
import Testing

@testable import ConsentIndex

struct ChangeTests {
    @Test func puttingTheSameTwiceChangesNothing() throws {
        let folder = TemporaryFolder()
        defer { withExtendedLifetime(folder) {} }
        let writer = try IndexWriter(creating: folder, purposes: 100)
        let row = IndexRow(permitted: [3, 70], denied: [4], endsAt: 99, sequence: 12)
        try writer.put(customer(1), row)
        let (digest, used) = (writer.digest, writer.publication.current.usedSlots)
        try writer.put(customer(1), row)
        #expect(writer.digest == digest && writer.rows == 1 && writer.publication.current.usedSlots == used)
        #expect(writer.row(customer(1)) == row)
    }

    @Test func rowsComeBackAsTheyWerePut() throws {
        let folder = TemporaryFolder()
        defer { withExtendedLifetime(folder) {} }
        let writer = try IndexWriter(creating: folder, purposes: Limit.purposesMax)
        let everything = IndexRow(
            permitted: Array(0..<Limit.purposesMax), denied: Array(0..<Limit.purposesMax), endsAt: 0,
            sequence: Limit.sequenceMax)
        let rows = [
            IndexRow(), everything, IndexRow(permitted: [0]), IndexRow(denied: [959]),
            IndexRow(endsAt: .max - 1, sequence: 1 << 32), IndexRow(sequence: UInt64(UInt32.max)),
        ]
        for (number, row) in rows.enumerated() { try writer.put(customer(number), row) }
        for (number, row) in rows.enumerated() { #expect(writer.row(customer(number)) == row) }
        for (number, row) in rows.reversed().enumerated() { try writer.put(customer(number), row) }
        for (number, row) in rows.reversed().enumerated() { #expect(writer.row(customer(number)) == row) }
    }

    @Test func theDigestTellsEveryPartOfARow() throws {
        let folder = TemporaryFolder()
        defer { withExtendedLifetime(folder) {} }
        let writer = try IndexWriter(creating: folder, purposes: Limit.purposesMax)
        var rows = [
            IndexRow(), IndexRow(sequence: 2), IndexRow(sequence: 1 << 32 | 1), IndexRow(endsAt: 5),
            IndexRow(endsAt: 6),
        ]
        for bit in 0..<Limit.purposesMax { rows += [IndexRow(permitted: [bit]), IndexRow(denied: [bit])] }
        var digests: Set<UInt64> = [writer.digest]
        for row in rows {
            try writer.put(customer(1), row)
            digests.insert(writer.digest)
        }
        for number in 2..<100 {
            writer.erase(customer(number - 1))
            try writer.put(customer(number), IndexRow())
            digests.insert(writer.digest)
        }
        #expect(digests.count == 1 + rows.count + 98)
    }

    @Test func anErasedRowIsGoneAndLeavesNoDigest() throws {
        let folder = TemporaryFolder()
        defer { withExtendedLifetime(folder) {} }
        let writer = try IndexWriter(creating: folder)
        try writer.put(customer(1), IndexRow(permitted: [1]))
        let digest = writer.digest
        try writer.put(customer(2), IndexRow(permitted: [2]))
        writer.erase(customer(2))
        writer.erase(customer(2))
        writer.erase(customer(3))
        #expect(writer.row(customer(2)) == nil)
        #expect(writer.digest == digest && writer.rows == 1)
        let counted = writer.publication.current.counted()
        #expect(counted == writer.publication.current.totals)
        #expect(counted.digest == digest && counted.rows == 1 && counted.usedSlots == 2)
    }

    /// Readers may still be reading it: a slot that was erased is free only in the next generation.
    @Test func theSlotOfAnErasedRowIsNotUsedAgainInTheSameFile() throws {
        let folder = TemporaryFolder()
        defer { withExtendedLifetime(folder) {} }
        let writer = try IndexWriter(creating: folder)
        let first = writer.generation
        var puts = 0
        while writer.generation == first {
            try writer.put(customer(1), IndexRow(permitted: [1]))
            writer.erase(customer(1))
            puts += 1
        }
        // A little more than the used slots that a file allows.
        #expect(puts == IndexGeometry(identifiers: 0, purposes: 64).usedMax + 1)
        let table = writer.publication.current
        #expect(table.usedSlots == 1 && table.rows == 0 && table.digest == 0)
        #expect(table.geometry.slots == IndexGeometry.slotsMin)
    }

    @Test func equalContentHasEqualDigestWhateverTheWayThere() throws {
        let (first, second, third) = (TemporaryFolder(), TemporaryFolder(), TemporaryFolder())
        let narrow = try IndexWriter(creating: first, purposes: 10)
        let wide = try IndexWriter(creating: second, purposes: 900)
        let grown = try IndexWriter(creating: third, purposes: 10)
        for number in 0..<2_000 {
            let row = IndexRow(permitted: [number % 64], denied: [number % 7], sequence: UInt64(number))
            try narrow.put(customer(number), row)
            try wide.put(customer(1_999 - number), IndexRow(denied: [899], sequence: 7))
            try grown.put(customer(number), row)
            try grown.put(customer(-number - 1), row)
        }
        for number in 0..<2_000 {
            let row = IndexRow(permitted: [number % 64], denied: [number % 7], sequence: UInt64(number))
            try wide.put(customer(number), row)
            grown.erase(customer(-number - 1))
        }
        // Widening alone changes nothing.
        try grown.setDefaults(granted: PurposeSet([500]), denied: PurposeSet())
        #expect(grown.publication.current.geometry.words == 15)
        #expect(narrow.digest == wide.digest && narrow.digest == grown.digest && narrow.digest != 0)
        withExtendedLifetime((first, second, third)) {}
    }

    @Test func aWiderRowWidensTheFileAndKeepsTheOthers() throws {
        let folder = TemporaryFolder()
        defer { withExtendedLifetime(folder) {} }
        let writer = try IndexWriter(creating: folder, purposes: 1)
        var model = IndexModel()
        for (number, bit) in [63, 64, 191, 192, 447, 448, 959].enumerated() {
            for other in 0..<50 {
                let row = IndexRow(permitted: [bit], denied: [other], sequence: UInt64(other))
                try writer.put(customer(number * 50 + other), row)
                model.rows[customer(number * 50 + other)] = row
            }
            #expect(model.difference(writer) == nil)
        }
        #expect(writer.publication.current.geometry.words == 15)
        // Wide rows stay so, whatever comes after.
        try writer.put(customer(0), IndexRow(permitted: [0]))
        try writer.reserve(identifiers: 5_000)
        #expect(writer.publication.current.geometry.words == 15)
        #expect(writer.row(customer(349)) == IndexRow(permitted: [959], denied: [49], sequence: 49))
    }

    @Test func reservedRoomIsThereAtOnceAndNotTakenTwice() throws {
        let folder = TemporaryFolder()
        defer { withExtendedLifetime(folder) {} }
        let writer = try IndexWriter(creating: folder)
        try writer.reserve(identifiers: 3_000)
        let generation = writer.generation
        try writer.reserve(identifiers: 3_000)
        for number in 0..<3_000 { try writer.put(customer(number), IndexRow()) }
        #expect(writer.generation == generation && writer.rows == 3_000)
    }
}
