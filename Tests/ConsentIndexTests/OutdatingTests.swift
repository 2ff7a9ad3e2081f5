import ConsentIndex
import ConsentModel
import ConsentTestSupport
import Testing

struct OutdatingTests {
    private func hash(_ number: Int) -> IdentifierHash {
        IdentifierHash(high: UInt64(number + 1) << 20, low: UInt64(number &* 7919) << 40)
    }

    private func randomRow(_ bits: [Int], _ sequence: UInt64, _ generator: inout SeededGenerator) -> IndexRow {
        var row = IndexRow()
        for bit in bits {
            switch generator.below(3) {
            case 0: row.permitted.insert(bit)
            case 1: row.denied.insert(bit)
            default: break
            }
        }
        if !row.permitted.isEmpty, generator.oneIn(2) { row.endsAt = UInt32(1_000_000 + generator.below(1_000_000)) }
        row.sequence = sequence
        return row
    }

    /// Rows of one word and of several, and sequences beyond 32 bits.
    @Test(arguments: [[0, 1, 2, 3], [0, 5, 63], [0, 64, 70, 200]], [UInt64(10), 1 << 33])
    func everyRowBecomesWhatItSaysByItself(_ bits: [Int], _ sequence: UInt64) throws {
        var generator = SeededGenerator(salt: UInt64(bits.count) &+ sequence)
        let folder = TemporaryFolder()
        let writer = try IndexWriter(
            creating: IndexFolder(folder.path + "/index"), history: [UInt8](repeating: 1, count: 16), keyCheck: 7,
            identifiers: 2000, purposes: bits.last! + 1)
        var rows: [IndexRow] = []
        for number in 0..<1500 {
            rows.append(randomRow(bits, sequence, &generator))
            try writer.put(hash(number), rows[number], owner: UInt32(number + 1))
        }
        writer.erase(hash(7))
        for round in 1..<12 {
            let outdatings = (0..<1 + generator.below(3)).map { _ in
                Outdating(
                    sequence: sequence + UInt64(round), purposes: PurposeSet(bits.filter { _ in generator.oneIn(2) }),
                    endsAt: generator.oneIn(2) ? nil : Timestamp(seconds: Int64(1_000_000 + generator.below(1_000_000)))
                )
            }
            // Some are said otherwise behind it.
            let changed = (0..<generator.below(20)).map { _ in 8 + generator.below(1490) }
            let changes = Dictionary(
                changed.map { ($0, randomRow(bits, sequence + UInt64(round), &generator)) }, uniquingKeysWith: { $1 })
            let foretold = writer.totals(outdatings: outdatings) { put in
                for (number, row) in changes { put(hash(number), row, UInt32(number + 1)) }
            }
            writer.outdate(outdatings)
            for (number, row) in changes { try writer.put(hash(number), row, owner: UInt32(number + 1)) }
            for number in rows.indices where number != 7 {
                rows[number] = changes[number] ?? rows[number].outdated(by: outdatings) ?? rows[number]
                #expect(writer.row(hash(number)) == rows[number], "CONSENT_TEST_SEED=\(TestSeed.value), round \(round)")
            }
            #expect(writer.row(hash(7)) == nil)
            #expect(writer.totals == foretold)
            #expect(writer.publication.current.counted() == foretold)
        }
        try writer.close()
    }
}
