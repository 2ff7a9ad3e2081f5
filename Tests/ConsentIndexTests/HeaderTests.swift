import ConsentKernel
import ConsentModel
import ConsentTestSupport
import Testing

@testable import ConsentIndex

/// Files that are not what they should be are refused by name, and never crash who opens them.
struct HeaderTests {
    /// An index of three rows, closed in order.
    private static func closedIndex() throws -> TemporaryFolder {
        let folder = TemporaryFolder()
        defer { withExtendedLifetime(folder) {} }
        let writer = try IndexWriter(creating: folder, purposes: 70)
        for number in 0..<3 { try writer.put(customer(number), IndexRow(permitted: [number]), owner: 9) }
        writer.setApplied(sequence: 3, chain: 33)
        try writer.close()
        return folder
    }

    private static func problem(
        opening folder: TemporaryFolder, history: [UInt8] = testHistory, keyCheck: UInt64 = testKey.check
    ) -> IndexProblem? {
        problem { _ = try IndexWriter(opening: folder.index, history: history, keyCheck: keyCheck) }
    }

    private static func problem(mapping folder: TemporaryFolder, keyCheck: UInt64 = testKey.check) -> IndexProblem? {
        problem { _ = try IndexPublication(mapping: folder.index, keyCheck: keyCheck) }
    }

    private static func problem(_ body: () throws -> Void) -> IndexProblem? {
        do {
            try body()
        } catch let problem as IndexProblem {
            return problem
        } catch {
            Issue.record("\(error)")
        }
        return nil
    }

    @Test func everyByteOfTheHeaderCounts() throws {
        let folder = try Self.closedIndex()
        let file = folder.currentFile
        let sound = try File.read(file)
        for offset in 0..<72 {
            for mask in [1, 2, 4, 8, 16, 32, 64, 128, 255] as [UInt8] {
                try overwrite(file, at: offset, [sound[offset] ^ mask])
                for problem in [Self.problem(opening: folder), Self.problem(mapping: folder)] {
                    let isRight =
                        switch problem {
                        case .notAnIndex: offset < 8
                        case .formatVersion: (8..<16).contains(offset)
                        case .headerDamaged: offset >= 16
                        default: false
                        }
                    #expect(isRight, "byte \(offset) ^ \(mask): \(String(describing: problem))")
                }
            }
            try overwrite(file, at: offset, [sound[offset]])
        }
        // A refusal leaves the file as it was.
        #expect(try File.read(file) == sound)
        #expect(try IndexWriter(opening: folder).rows == 3)
    }

    @Test func anotherFormatVersionIsNamed() throws {
        let folder = try Self.closedIndex()
        for version in [1, 3] as [UInt64] {
            try overwrite(folder.currentFile, at: 8, littleEndian(version))
            #expect(Self.problem(opening: folder) == .formatVersion(version))
            #expect(Self.problem(mapping: folder) == .formatVersion(version))
        }
    }

    @Test func theIndexOfAnotherLedgerIsRefused() throws {
        let folder = try Self.closedIndex()
        #expect(Self.problem(opening: folder, history: Array(2...17)) == .anotherHistory)
        // A reader has no ledger.
        #expect(Self.problem(mapping: folder) == nil)
    }

    @Test func anIndexOfAnotherKeyIsRefused() throws {
        let folder = try Self.closedIndex()
        #expect(Self.problem(opening: folder, keyCheck: testKey.check ^ 1) == .anotherKey)
        #expect(Self.problem(mapping: folder, keyCheck: testKey.check ^ 1) == .anotherKey)
    }

    @Test func everyTruncationIsRefused() throws {
        let folder = try Self.closedIndex()
        let size = try File.read(folder.currentFile).count
        for other in Array(stride(from: size - 1, through: 0, by: -509)) + [1, 0] {
            try FileDescriptor.open(folder.currentFile, .readWrite).truncate(size: other)
            let expected = other < 8_192 ? IndexProblem.notAnIndex : .sizeWrong(other, expected: size)
            #expect(Self.problem(opening: folder) == expected, "\(other) bytes")
            #expect(Self.problem(mapping: folder) == expected, "\(other) bytes")
        }
    }

    @Test(arguments: [1, 64, 4_096]) func aFileThatIsTooLongIsRefused(by excess: Int) throws {
        let folder = try Self.closedIndex()
        let size = try File.read(folder.currentFile).count
        try FileDescriptor.open(folder.currentFile, .readWrite).truncate(size: size + excess)
        #expect(Self.problem(opening: folder) == .sizeWrong(size + excess, expected: size))
        #expect(Self.problem(mapping: folder) == .sizeWrong(size + excess, expected: size))
    }

    @Test func noIndexIsNoIndex() throws {
        let folder = TemporaryFolder()
        defer { withExtendedLifetime(folder) {} }
        #expect(Self.problem(opening: folder) == .missing)
        #expect(Self.problem(mapping: folder) == .missing)
        let other = try Self.closedIndex()
        try File.remove(other.currentFile)
        #expect(Self.problem(opening: other) == .missing)
        #expect(Self.problem(mapping: other) == .missing)
    }

    @Test func aWriterNeedsTheOwnersAndAReaderDoesNot() throws {
        let folder = try Self.closedIndex()
        let owners = folder.currentFile + ".owners"
        try FileDescriptor.open(owners, .readWrite).truncate(size: 100)
        #expect(Self.problem(opening: folder) == .notAnIndex)
        try File.remove(owners)
        #expect(Self.problem(opening: folder) == .missing)
        #expect(Self.problem(mapping: folder) == nil)
    }

    /// Bytes that changed on the disk or by hand: in tags, sequences, ends, bits, places and subjects.
    @Test func aChangedByteOfARowOrItsOwnerIsNoticed() throws {
        let folder = try Self.closedIndex()
        let owners = folder.currentFile + ".owners"
        for (file, size, begin) in [(folder.currentFile, 64, 8_192), (owners, 8, 0)] {
            let sound = try File.read(file)
            let used = try #require((begin..<sound.count).first { sound[$0] != 0 })
            let row = begin + (used - begin) / size * size
            for offset in row..<row + size {
                try overwrite(file, at: offset, [sound[offset] ^ 0x10])
                #expect(Self.problem(opening: folder) == .digestWrong, "byte \(offset) of \(file)")
                try overwrite(file, at: offset, [sound[offset]])
            }
        }
        #expect(try IndexWriter(opening: folder).rows == 3)
    }

    @Test func garbageIsRefused() throws {
        let folder = try Self.closedIndex()
        var generator = SeededGenerator(seed: 1)
        for size in [0, 8, 4_096, 36_864] {
            try File.replace(
                folder.currentFile, with: (0..<size).map { _ in UInt8.random(in: 0...255, using: &generator) })
            #expect(Self.problem(opening: folder) == .notAnIndex)
            #expect(Self.problem(mapping: folder) == .notAnIndex)
        }
    }

    @Test func aLinkThatNamesNoGenerationIsNoIndex() throws {
        let folder = try Self.closedIndex()
        let file = try File.linkTarget(folder.index.currentPath)
        for target in ["nothing", "generation-x.cidx", "generation-99.cidx"] {
            try File.replaceLink(folder.index.currentPath, target: target)
            #expect(Self.problem(opening: folder) == .missing)
        }
        try File.replaceLink(folder.index.currentPath, target: file)
        #expect(Self.problem(opening: folder) == nil)
    }

    @Test func anIndexThatWasClosedOpensOnAnotherBoot() throws {
        let folder = try Self.closedIndex()
        try overwrite(folder.currentFile, at: 184, Array("00000000-0000-0000-0000-000000000000".utf8))
        #expect(Self.problem(mapping: folder) == nil)
        let writer = try IndexWriter(opening: folder)
        #expect(writer.rows == 3 && writer.appliedSequence == 3 && writer.appliedChain == 33)
        #expect(try writer.publication.current.bootID == System.bootID())
    }

    @Test func anIndexThatWasInUseWhenTheMachineWentDownIsRefused() throws {
        let folder = try Self.closedIndex()
        _ = try IndexWriter(opening: folder)
        #expect(Self.problem(mapping: folder) == nil)
        try overwrite(folder.currentFile, at: 184, Array("00000000-0000-0000-0000-000000000000".utf8))
        #expect(Self.problem(opening: folder) == .uncleanFromAnotherBoot)
        // Rows of before the crash may stand in it beside rows of after: nobody may be granted anything by them.
        #expect(Self.problem(mapping: folder) == .uncleanFromAnotherBoot)
    }

    @Test func anIndexIsInUseUntilItIsClosed() throws {
        let folder = TemporaryFolder()
        defer { withExtendedLifetime(folder) {} }
        let writer = try IndexWriter(creating: folder)
        let bootID = try System.bootID()
        #expect(!writer.publication.current.isClean && writer.publication.current.bootID == bootID)
        try writer.reserve(identifiers: 5_000)
        #expect(!writer.publication.current.isClean && writer.publication.current.bootID == bootID)
        try writer.close()
        #expect(writer.publication.current.isClean)
        let again = try IndexWriter(opening: folder)
        #expect(!again.publication.current.isClean)
    }

    @Test func theCountersAreCountedAnewAfterTheWriterDied() throws {
        let folder = TemporaryFolder()
        defer { withExtendedLifetime(folder) {} }
        var model = IndexModel()
        do {
            let writer = try IndexWriter(creating: folder)
            for number in 0..<100 {
                model.rows[customer(number)] = IndexRow(permitted: [number % 64])
                try writer.put(customer(number), IndexRow(permitted: [number % 64]))
            }
        }
        // Digest, used slots and rows.
        try overwrite(folder.currentFile, at: 152, littleEndian(1) + littleEndian(2) + littleEndian(3))
        let writer = try IndexWriter(opening: folder)
        #expect(model.difference(writer) == nil)
    }

    /// A writer that dies while it adds a row leaves one without a tag: nobody finds it, and the next may have its slot.
    @Test func aRowWithoutATagIsNoRow() throws {
        let folder = TemporaryFolder()
        defer { withExtendedLifetime(folder) {} }
        let hash = IdentifierHash(high: 9 << 40, low: 0)
        do { _ = try IndexWriter(creating: folder) }
        // The upper bits of a sequence, the lower ones, permitted, denied; in the first slot of all.
        try overwrite(folder.currentFile, at: 8_192, [1, 0, 0, 0, 0, 0, 0, 0])
        try overwrite(folder.currentFile, at: 8_200, [UInt8](repeating: 0xFF, count: 24))
        let writer = try IndexWriter(opening: folder)
        var reader = IndexReader(writer.publication)
        #expect(writer.rows == 0 && writer.digest == 0)
        #expect(reader.reason(hash, purposeBit: 0, now: 0) == .unknown)
        try writer.put(hash, IndexRow(denied: [1]))
        #expect(writer.row(hash) == IndexRow(denied: [1]))
        try writer.reserve(identifiers: 2_000)
        #expect(writer.row(hash) == IndexRow(denied: [1]) && writer.rows == 1)
        #expect(writer.publication.current.counted().usedSlots == 1)
    }

    @Test func problemsSayWhatIsWrong() {
        #expect("\(IndexProblem.formatVersion(7))".contains("7"))
        #expect("\(IndexProblem.sizeWrong(10, expected: 20))" == "it has 10 bytes where its header says 20")
        let plain: [IndexProblem] = [
            .missing, .notAnIndex, .headerDamaged, .anotherHistory, .anotherKey, .uncleanFromAnotherBoot, .digestWrong,
        ]
        #expect(Set(plain.map(\.description)).count == plain.count)
    }
}
