import ConsentKernel
import ConsentModel
import ConsentTestSupport
import Testing

@testable import ConsentIndex

/// Rows on their way from one copy of an index to another.
struct CopyTests {
    /// A writer that has not published anything.
    private func beside(_ folder: TemporaryFolder) throws -> IndexWriter {
        try IndexWriter(
            creating: folder.index, history: testHistory, keyCheck: testKey.check, identifiers: 0, purposes: 64)
    }

    /// Copies everything, range by range.
    private func copy(_ table: IndexTable, to writer: IndexWriter, ranges: Int, after sequence: UInt64 = 0) throws {
        for range in 0..<UInt64(ranges) {
            let whole: UInt64 = 1 << 32
            var failure: SystemError?
            let places = range * whole / UInt64(ranges)..<(range + 1) * whole / UInt64(ranges)
            table.forEachRow(places: places, after: sequence) { row in
                do throws(SystemError) { try writer.put(row) } catch { failure = error }
            }
            if let failure { throw failure }
        }
    }

    @Test(arguments: [1, 2, 7, 64, 5000])
    func rangesOfPlacesHoldEveryRowOnce(ranges: Int) throws {
        let (folder, other) = (TemporaryFolder(), TemporaryFolder())
        defer { withExtendedLifetime((folder, other)) {} }
        let (writer, copied) = (try IndexWriter(creating: folder), try IndexWriter(creating: other))
        for number in 0..<3000 {
            var row = IndexRow(permitted: [number % 64], denied: [(number + 1) % 64])
            row.sequence = UInt64(number + 1)
            try writer.put(customer(number), row)
        }
        for number in stride(from: 0, to: 3000, by: 5) { writer.erase(customer(number)) }
        var seen = 0
        for range in 0..<UInt64(ranges) {
            let whole: UInt64 = 1 << 32
            writer.publication.current.forEachRow(
                places: range * whole / UInt64(ranges)..<(range + 1) * whole / UInt64(ranges), after: 0
            ) { _ in seen += 1 }
        }
        #expect(seen == 2400)
        try copy(writer.publication.current, to: copied, ranges: ranges)
        #expect(copied.digest == writer.digest && copied.rows == 2400)
        #expect(copied.publication.current.counted().digest == writer.digest)
        for number in 0..<3000 { #expect(copied.row(customer(number)) == writer.row(customer(number))) }
    }

    @Test func onlyRowsThatHaveChangedSinceAreHandedOut() throws {
        let folder = TemporaryFolder()
        defer { withExtendedLifetime(folder) {} }
        let writer = try IndexWriter(creating: folder)
        for number in 0..<500 {
            var row = IndexRow(permitted: [1])
            row.sequence = UInt64(number + 1)
            try writer.put(customer(number), row)
        }
        var sequences: [UInt64] = []
        writer.publication.current.forEachRow(places: 0..<1 << 32, after: 490) { sequences.append($0.sequence) }
        #expect(sequences.sorted() == Array(491...500))
        #expect(writer.sequence(of: customer(7)) == 8 && writer.sequence(of: customer(777)) == nil)
    }

    @Test func rowsOfAnotherWidthAreKept() throws {
        let (folder, other, narrow) = (TemporaryFolder(), TemporaryFolder(), TemporaryFolder())
        defer { withExtendedLifetime((folder, other, narrow)) {} }
        let wide = try IndexWriter(creating: folder)
        for number in 0..<300 {
            var row = IndexRow(permitted: [number % 300], denied: [0])
            row.sequence = UInt64(number + 1) << 30
            try wide.put(customer(number), row)
        }
        let copied = try IndexWriter(creating: other)
        try copy(wide.publication.current, to: copied, ranges: 3)
        #expect(copied.digest == wide.digest)
        for number in 0..<300 { #expect(copied.row(customer(number)) == wide.row(customer(number))) }
        // What says little needs no wide rows.
        let few = try IndexWriter(creating: narrow)
        wide.publication.current.forEachRow(places: 0..<1 << 32, after: 0) { row in
            if row.sequence <= 60 << 30 { try? few.put(row) }
        }
        #expect(few.publication.current.geometry.words == 1 && few.rows == 60)
    }

    @Test func whatTakesOverIsFoundByTheReadersOfTheOther() throws {
        let folder = TemporaryFolder()
        defer { withExtendedLifetime(folder) {} }
        let older = try IndexWriter(creating: folder)
        try older.put(customer(1), IndexRow(permitted: [1]))
        var reader = IndexReader(older.publication)
        var mapped = IndexReader(try IndexPublication(mapping: folder.index, keyCheck: testKey.check))
        let newer = try beside(folder)
        for number in 2..<2000 { try newer.put(customer(number), IndexRow(permitted: [2])) }
        #expect(reader.check(customer(1), purposeBit: 1, now: 0).decision == .granted)
        #expect(mapped.check(customer(1), purposeBit: 1, now: 0).decision == .granted)
        try newer.takeOver(from: older, keepsBits: true)
        for number in [2, 1999] {
            #expect(reader.check(customer(number), purposeBit: 2, now: 0).decision == .granted)
            #expect(mapped.check(customer(number), purposeBit: 2, now: 0).decision == .granted)
        }
        #expect(reader.check(customer(1), purposeBit: 1, now: 0).decision == .unknown)
        #expect(older.publication.current === newer.publication.current)
        // It may grow, as any.
        for number in 2000..<9000 { try newer.put(customer(number), IndexRow(permitted: [2])) }
        #expect(reader.check(customer(8999), purposeBit: 2, now: 0).decision == .granted)
        #expect(folder.names.filter { $0.hasSuffix(".cidx") }.count == 1)
    }

    @Test func rowsWithTheBitsOfOtherPurposesAnswerNobodyWhoAsksByThoseOfBefore() throws {
        let folder = TemporaryFolder()
        defer { withExtendedLifetime(folder) {} }
        let clock = try BootClock { 1000 }
        let older = try IndexWriter(creating: folder)
        try older.put(customer(1), IndexRow(permitted: [1]))
        older.vouch(at: 1000)
        let lineage = older.publication.current.lineage
        var reader = IndexReader(older.publication)
        #expect(reader.check(customer(1), purposeBit: 1, now: 0).decision == .granted)
        let newer = try beside(folder)
        try newer.put(customer(1), IndexRow(permitted: [1]))
        try newer.takeOver(from: older, keepsBits: false)
        newer.vouch(at: 1000)
        // Also when it grows.
        for grown in 0...1 {
            if grown == 1 { try newer.reserve(identifiers: 9000) }
            #expect(reader.check(customer(1), purposeBit: 1, now: 0) == .unknown)
            #expect(reader.age(vouchedAt: 1000, clock: clock, keyCheck: testKey.check).freshest == .unavailable)
            // Who has not heard of it yet, and begins now.
            let late = IndexReader(newer.publication, lineage: lineage)
            #expect(late.age(vouchedAt: 1000, clock: clock, keyCheck: testKey.check).freshest == .unavailable)
            var other = IndexReader(newer.publication)
            #expect(other.check(customer(1), purposeBit: 1, now: 0).decision == .granted)
            #expect(other.vouchedAt(by: clock) == 1000)
            #expect(other.age(vouchedAt: 1000, clock: clock, keyCheck: testKey.check).isLive)
        }
    }

    @Test func whatIsDiscardedLeavesTheOtherAsItWas() throws {
        let folder = TemporaryFolder()
        defer { withExtendedLifetime(folder) {} }
        let older = try IndexWriter(creating: folder)
        try older.put(customer(1), IndexRow(permitted: [1]))
        let newer = try beside(folder)
        for number in 2..<5000 { try newer.put(customer(number), IndexRow(permitted: [2])) }
        try newer.discard()
        #expect(folder.names.filter { $0.hasSuffix(".cidx") }.count == 1)
        var reader = IndexReader(older.publication)
        #expect(reader.check(customer(1), purposeBit: 1, now: 0).decision == .granted)
    }
}
