import ConsentKernel
import ConsentModel
import ConsentTestSupport
import Testing

@testable import ConsentIndex

/// How readers find the next generation.
struct GrowthTests {
    private static func mapped(_ folder: TemporaryFolder) throws -> IndexPublication {
        try IndexPublication(mapping: folder.index, keyCheck: testKey.check)
    }

    private static func grow(_ writer: IndexWriter) throws {
        try writer.reserve(identifiers: writer.publication.current.geometry.usedMax + 1)
    }

    @Test func theOlderGenerationIsSupersededBeforeTheNewerChanges() throws {
        let folder = TemporaryFolder()
        defer { withExtendedLifetime(folder) {} }
        let writer = try IndexWriter(creating: folder)
        var number = 0
        let older = writer.publication.current
        while writer.generation == older.generation {
            #expect(!older.isSuperseded && writer.publication.current === older)
            try writer.put(customer(number), IndexRow(permitted: [1]))
            number += 1
        }
        #expect(older.isSuperseded && !writer.publication.current.isSuperseded)
        // The change that made it grow is in the newer one alone.
        #expect(older.rows == number - 1 && writer.rows == number)
        #expect(older.row(customer(number - 1)) == nil && writer.row(customer(number - 1)) != nil)
    }

    @Test func aPersonsIdentifiersAllGoIntoTheIndexThatGrowsAmongThem() throws {
        let folder = TemporaryFolder()
        defer { withExtendedLifetime(folder) {} }
        let writer = try IndexWriter(creating: folder)
        let first = writer.generation
        let hashes = (0..<5000).map(customer)
        let row = IndexRow(permitted: [1])
        // The second time each is there; one of them twice.
        for _ in 0..<2 { try writer.put((hashes + [hashes[7]])[...], row, owner: 3) }
        #expect(writer.generation > first + 1)
        #expect(writer.rows == hashes.count)
        #expect(hashes.allSatisfy { writer.row($0) == row && writer.owner(of: $0) == 3 })
        #expect(writer.totals == writer.publication.current.counted())
        // A row that needs more room for its purposes than there is.
        let wide = IndexRow(permitted: [1, 200])
        try writer.put(hashes[..<10], wide, owner: 3)
        #expect(hashes[..<10].allSatisfy { writer.row($0) == wide } && writer.row(hashes[10]) == row)
        #expect(writer.totals == writer.publication.current.counted())
    }

    @Test(arguments: [1, 2, 5])
    func aReaderAsleepAcrossGenerationsStillAnswersRight(generations: Int) throws {
        let folder = TemporaryFolder()
        defer { withExtendedLifetime(folder) {} }
        let writer = try IndexWriter(creating: folder)
        for number in 0..<64 { try writer.put(customer(number), IndexRow(permitted: [number])) }
        writer.setApplied(sequence: 1, chain: 1)
        var here = IndexReader(writer.publication)
        var elsewhere = IndexReader(try Self.mapped(folder))
        for _ in 0..<generations {
            try Self.grow(writer)
            for number in 0..<64 { try writer.put(customer(number), IndexRow(denied: [number])) }
        }
        try writer.setDefaults(granted: PurposeSet([40]), denied: PurposeSet([41]))
        writer.setApplied(sequence: 2, chain: 2)
        #expect(writer.generation == 1 + UInt64(generations))
        for number in 0..<40 {
            #expect(here.reason(customer(number), purposeBit: number, now: 1) == .withdrawn)
            #expect(elsewhere.reason(customer(number), purposeBit: number, now: 1) == .withdrawn)
        }
        #expect(here.reason(customer(99), purposeBit: 40, now: 1) == .basisHolds)
        #expect(elsewhere.reason(customer(99), purposeBit: 40, now: 1) == .basisHolds)
        #expect(elsewhere.reason(customer(41), purposeBit: 41, now: 1) == .invalidated)
        #expect(here.appliedSequence == 2 && elsewhere.appliedSequence == 2)
    }

    @Test func aReaderThatRefreshesLetsGoOfTheOlderGeneration() throws {
        let folder = TemporaryFolder()
        defer { withExtendedLifetime(folder) {} }
        let writer = try IndexWriter(creating: folder)
        let publication = try Self.mapped(folder)
        var reader = IndexReader(publication)
        try Self.grow(writer)
        #expect(folder.mapped.contains { $0.contains("generation-1.cidx") })
        reader.refresh()
        #expect(!folder.mapped.contains { $0.contains("generation-1.cidx") })
        #expect(folder.mapped.contains { $0.contains("generation-2.cidx") })
        #expect(publication.current.generation == 2)
        _ = reader.appliedSequence
    }

    @Test func onlyTheCurrentGenerationsFilesAreKept() throws {
        let folder = TemporaryFolder()
        defer { withExtendedLifetime(folder) {} }
        var writer = try IndexWriter(creating: folder)
        // The next name begins as the first does.
        for _ in 0..<10 { try Self.grow(writer) }
        #expect(folder.names == ["current", "generation-11.cidx", "generation-11.cidx.owners"])
        try writer.close()
        writer = try IndexWriter(opening: folder)
        #expect(folder.names == ["current", "generation-11.cidx", "generation-11.cidx.owners"])
        writer = try IndexWriter(creating: folder)
        #expect(folder.names == ["current", "generation-12.cidx", "generation-12.cidx.owners"])
    }

    @Test func anIndexThatIsBeingRebuiltIsNotSeenUntilItIsPublished() throws {
        let folder = TemporaryFolder()
        defer { withExtendedLifetime(folder) {} }
        let first = try IndexWriter(creating: folder)
        try first.put(customer(1), IndexRow(permitted: [1]))
        var reader = IndexReader(try Self.mapped(folder))
        let second = try IndexWriter(
            creating: folder.index, history: testHistory, keyCheck: testKey.check, identifiers: 10, purposes: 1)
        try second.put(customer(1), IndexRow(denied: [1]))
        for number in 2..<2_000 { try second.put(customer(number), IndexRow()) }
        #expect(second.generation > 2)
        #expect(reader.reason(customer(1), purposeBit: 1, now: 1) == .given)
        try second.publish()
        #expect(reader.reason(customer(1), purposeBit: 1, now: 1) == .withdrawn)
    }

    /// Nobody is granted anything by rows that may have changed since.
    @Test func aReaderThatCannotFindTheNextGenerationAnswersUnknown() throws {
        let folder = TemporaryFolder()
        defer { withExtendedLifetime(folder) {} }
        let writer = try IndexWriter(creating: folder)
        try writer.setDefaults(granted: PurposeSet([2]), denied: PurposeSet())
        try writer.put(customer(1), IndexRow(permitted: [1], denied: [3]))
        var reader = IndexReader(try Self.mapped(folder))
        #expect(reader.check(customer(1), purposes: .max, word: 0, now: 1) == (1 << 1 | 1 << 2, 1 << 3))
        let target = try File.linkTarget(folder.index.currentPath)
        writer.publication.current.supersede()
        for lead in ["generation-9.cidx", target] {
            try File.replaceLink(folder.index.currentPath, target: lead)
            for bit in 1...3 { #expect(reader.reason(customer(1), purposeBit: bit, now: 1) == .unknown) }
            #expect(reader.check(customer(1), purposes: .max, word: 0, now: 1) == (0, 0))
        }
    }

    /// Half of the new defaults may stand there: a writer that was interrupted, or died, while it changed them.
    @Test func whileTheDefaultsChangeNothingIsGranted() throws {
        let folder = TemporaryFolder()
        defer { withExtendedLifetime(folder) {} }
        let writer = try IndexWriter(creating: folder)
        try writer.setDefaults(granted: PurposeSet([2]), denied: PurposeSet())
        try writer.put(customer(1), IndexRow(permitted: [1]))
        var readers = Readers(writer, try Self.mapped(folder))
        let versionOffset = 512
        let version = try File.read(folder.currentFile)[versionOffset]
        #expect(version % 2 == 0 && readers.reasons(1, 2) == [.given, .basisHolds, .given, .basisHolds])
        try overwrite(folder.currentFile, at: versionOffset, [version + 1])
        #expect(readers.reasons(1, 2) == [.unknown, .unknown, .unknown, .unknown])
        // The next writer repairs it, though its defaults are those that stand there.
        let next = try IndexWriter(opening: folder)
        try next.setDefaults(granted: PurposeSet([2]), denied: PurposeSet())
        #expect(readers.reasons(1, 2) == [.given, .basisHolds, .given, .basisHolds])
    }

    /// Of this process and of another.
    private struct Readers: ~Copyable {
        var here: IndexReader
        var elsewhere: IndexReader

        init(_ writer: IndexWriter, _ publication: IndexPublication) {
            here = IndexReader(writer.publication)
            elsewhere = IndexReader(publication)
        }

        mutating func reasons(_ consent: Int, _ basis: Int) -> [ConsentState] {
            [
                here.reason(customer(1), purposeBit: consent, now: 1),
                here.reason(customer(1), purposeBit: basis, now: 1),
                elsewhere.reason(customer(1), purposeBit: consent, now: 1),
                elsewhere.reason(customer(1), purposeBit: basis, now: 1),
            ]
        }
    }

    @Test func aReaderDoesNotFollowIntoTheIndexOfAnotherLedger() throws {
        let folder = TemporaryFolder()
        defer { withExtendedLifetime(folder) {} }
        let writer = try IndexWriter(creating: folder)
        var reader = IndexReader(try Self.mapped(folder))
        try writer.close()
        let other = try IndexWriter(
            creating: folder.index, history: Array(50...65), keyCheck: testKey.check, identifiers: 0, purposes: 1)
        try other.put(customer(1), IndexRow(permitted: [1]))
        try other.publish()
        #expect(reader.reason(customer(1), purposeBit: 1, now: 1) == .unknown)
    }

    /// What the writer does to grow, up to the step at which it dies.
    private enum Death: Int, CaseIterable { case created, copied, named, superseded }

    @Test(arguments: Death.allCases)
    private func aWriterThatDiesWhileItGrowsLeavesAnIndexThatReadersFollow(after step: Death) throws {
        let folder = TemporaryFolder()
        defer { withExtendedLifetime(folder) {} }
        var model = IndexModel()
        var reader: IndexReader
        do {
            let writer = try IndexWriter(creating: folder)
            for number in 0..<100 {
                model.put(customer(number), IndexRow(permitted: [1]), owner: UInt32(number))
                try writer.put(customer(number), IndexRow(permitted: [1]), owner: UInt32(number))
            }
            writer.setApplied(sequence: 8, chain: 9)
            let older = writer.publication.current
            let newer = try IndexTable.create(
                path: folder.index.filePath(generation: 2), geometry: IndexGeometry(identifiers: 3_000, purposes: 64),
                generation: 2, history: testHistory, keyCheck: testKey.check)
            if step.rawValue >= Death.copied.rawValue {
                newer.copyRows(of: older)
                newer.inheritHeader(of: older)
            }
            reader = IndexReader(try Self.mapped(folder))
            if step.rawValue >= Death.named.rawValue { try folder.index.setCurrent(2) }
            if step == .superseded { older.supersede() }
        }
        let writer = try IndexWriter(opening: folder)
        #expect(writer.generation == (step.rawValue >= Death.named.rawValue ? 2 : 1))
        #expect(writer.appliedSequence == 8 && writer.appliedChain == 9)
        #expect(model.difference(writer) == nil)
        try writer.put(customer(1), IndexRow(denied: [1]))
        #expect(reader.reason(customer(1), purposeBit: 1, now: 1) == .withdrawn)
        try Self.grow(writer)
        try writer.put(customer(2), IndexRow(denied: [1]))
        #expect(reader.reason(customer(2), purposeBit: 1, now: 1) == .withdrawn)
        #expect(folder.names.count == 3)
    }
}
