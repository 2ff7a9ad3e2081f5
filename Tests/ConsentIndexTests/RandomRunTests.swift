import ConsentModel
import ConsentTestSupport
import Testing

@testable import ConsentIndex

/// Thousands of changes to real files, with growth, widening, reopening and death of the writer in between.
struct RandomRunTests {
    private struct Run {
        let folder = TemporaryFolder()
        let universe = (0..<1_900).map(customer)
        var generator: SeededGenerator
        var model = IndexModel()
        var writer: IndexWriter
        var sequence: UInt64 = 0
        /// Bits below this are used; it rises.
        var purposes = 20

        init(seed: UInt64) throws {
            generator = SeededGenerator(seed: seed)
            writer = try IndexWriter(creating: folder, purposes: purposes)
        }

        mutating func set() -> PurposeSet {
            PurposeSet((0..<generator.below(5)).map { _ in generator.below(purposes) })
        }

        mutating func row() -> IndexRow {
            sequence += 1 + UInt64(generator.below(1 << 28))
            var row = IndexRow(sequence: sequence)
            row.permitted = set()
            row.denied = set()
            if generator.below(3) == 0 { row.endsAt = UInt32(truncatingIfNeeded: generator.next()) }
            return row
        }

        mutating func step() throws {
            let hash = universe[generator.below(universe.count)]
            switch generator.below(1_000) {
            case 0..<2: purposes = min(Limit.purposesMax, purposes + generator.below(300))
            case 2..<5: try reopen(isClean: true)
            case 5..<8: try reopen(isClean: false)
            case 8..<10: try writer.reserve(identifiers: generator.below(4_000))
            case 10..<20:
                (model.granted, model.denied) = (set(), set())
                try writer.setDefaults(granted: model.granted, denied: model.denied)
            case 20..<320:
                writer.erase(hash)
                model.erase(hash)
            default:
                let (row, owner) = (row(), UInt32(truncatingIfNeeded: generator.next()))
                let foretold = writer.totals { put in put(hash, row, owner) }
                try writer.put(hash, row, owner: owner)
                let totals = writer.totals
                #expect(
                    totals.digest == foretold.digest && totals.ownersDigest == foretold.ownersDigest
                        && totals.rows == foretold.rows)
                model.put(hash, row, owner: owner)
            }
        }

        mutating func reopen(isClean: Bool) throws {
            writer.setApplied(sequence: sequence, chain: sequence &* 3)
            let (digest, generation) = (writer.digest, writer.generation)
            if isClean { try writer.close() }
            writer = try IndexWriter(opening: folder)
            #expect(writer.digest == digest && writer.generation == generation)
            #expect(writer.appliedSequence == sequence && writer.appliedChain == sequence &* 3)
        }

        mutating func answersDiffer() -> String? {
            var reader = IndexReader(writer.publication)
            for _ in 0..<200 {
                let (hash, bit) = (universe[generator.below(universe.count)], generator.below(purposes))
                let now = UInt32(truncatingIfNeeded: generator.next())
                let (found, expected) = (
                    reader.reason(hash, purposeBit: bit, now: now), model.reason(hash, purposeBit: bit, now: now)
                )
                if found != expected { return "purpose \(bit) of \(hash): \(found) instead of \(expected)" }
            }
            return nil
        }

        /// The same rows, put once each, in another order, in another index.
        func digestOfAFreshOne() throws -> UInt64 {
            let other = TemporaryFolder()
            let fresh = try IndexWriter(creating: other, purposes: purposes)
            for (hash, row) in model.rows { try fresh.put(hash, row) }
            return fresh.digest
        }
    }

    @Test(arguments: 0..<4)
    func theIndexHoldsWhatADictionaryWouldHold(salt: Int) throws {
        var run = try Run(seed: TestSeed.value &+ UInt64(salt))
        let place = "CONSENT_TEST_SEED=\(TestSeed.value), salt \(salt)"
        for step in 1...4_000 {
            try run.step()
            guard step % 400 == 0 else { continue }
            if let difference = run.model.difference(run.writer, absent: run.universe) ?? run.answersDiffer() {
                Issue.record("\(place), step \(step): \(difference)")
                return
            }
        }
        #expect(try run.digestOfAFreshOne() == run.writer.digest, "\(place)")
        let expected = ["current", "generation-\(run.writer.generation).cidx"]
        #expect(run.folder.names == expected + ["generation-\(run.writer.generation).cidx.owners"], "\(place)")
    }
}
