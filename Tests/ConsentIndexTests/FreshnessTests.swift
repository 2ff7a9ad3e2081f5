import ConsentKernel
import ConsentModel
import ConsentTestSupport
import Synchronization
import Testing

@testable import ConsentIndex

/// What a reader in another process makes of an index that is vouched for, or not any more.
struct FreshnessTests {
    private let folder = TemporaryFolder()
    private let writer: IndexWriter
    private let clock = BootClock()

    private final class BootClock: Sendable {
        let millis = Atomic<UInt64>(1_000_000)
    }

    /// Purpose 1 has no staleness, 2 a minute, 3 a day; all are given.
    init() throws {
        writer = try IndexWriter(creating: folder)
        try writer.put(customer(1), IndexRow(permitted: [1, 2, 3]))
        try writer.setDefaults(granted: PurposeSet([9]), denied: PurposeSet())
        writer.setMaxStaleness([2: 60, 3: 86_400])
    }

    private func reader() throws -> MappedReader {
        let clock = clock
        return try MappedReader(folder.index, keyCheck: testKey.check) { clock.millis.load(ordering: .relaxed) }
    }

    /// The freshness of a purpose when this much has passed since it was vouched for; its decision must fit.
    private func freshness(_ reader: inout MappedReader, _ bit: Int, afterMillis age: Int64) -> Freshness {
        clock.millis.store(UInt64(1_000_000 + age), ordering: .relaxed)
        let one = reader.check(customer(1), purposeBit: bit, now: 1)
        #expect((one.answer.decision == .granted) == (one.freshness != .unavailable), "purpose \(bit), \(age) ms")
        #expect(reader.check([customer(1)], purposeBit: bit, now: 1) == [one])
        return one.freshness
    }

    @Test func anAnswerAgesByItsPurpose() throws {
        writer.vouch(at: 1_000_000)
        var reader = try reader()
        for bit in 1...3 {
            #expect(freshness(&reader, bit, afterMillis: 0) == .live)
            #expect(freshness(&reader, bit, afterMillis: 5_000) == .live)
        }
        #expect(freshness(&reader, 1, afterMillis: 5_001) == .unavailable)
        #expect(freshness(&reader, 2, afterMillis: 5_001) == .stale)
        #expect(freshness(&reader, 2, afterMillis: 60_000) == .stale)
        #expect(freshness(&reader, 2, afterMillis: 60_001) == .unavailable)
        #expect(freshness(&reader, 3, afterMillis: 86_400_000) == .stale)
        #expect(freshness(&reader, 3, afterMillis: 86_400_001) == .unavailable)
    }

    @Test func whatNobodyVouchedForIsUnavailable() throws {
        var reader = try reader()
        #expect(freshness(&reader, 3, afterMillis: 0) == .unavailable)
    }

    @Test func whatIsVouchedForInTheFutureIsUnavailable() throws {
        writer.vouch(at: 1_000_000)
        var reader = try reader()
        #expect(freshness(&reader, 3, afterMillis: -1) == .unavailable)
    }

    @Test func anotherBasisThanConsentIsNoExcuse() throws {
        writer.vouch(at: 1_000_000)
        var reader = try reader()
        #expect(freshness(&reader, 9, afterMillis: 0) == .live)
        #expect(freshness(&reader, 9, afterMillis: 5_001) == .unavailable)
    }

    @Test func everyByteOfTheBootIDCounts() throws {
        writer.vouch(at: 1_000_000)
        // Closed in order, so that it may be mapped at all.
        try writer.close()
        var reader = try reader()
        let bootID = Array(try System.bootID().utf8)
        for position in bootID.indices {
            try overwrite(folder.currentFile, at: 184 + position, [bootID[position] ^ 1])
            #expect(freshness(&reader, 3, afterMillis: 0) == .unavailable, "byte \(position)")
            try overwrite(folder.currentFile, at: 184 + position, [bootID[position]])
        }
        #expect(freshness(&reader, 3, afterMillis: 0) == .live)
    }

    @Test func whatWasVouchedForBeforeTheBootIsForgotten() throws {
        writer.vouch(at: 1_000_000)
        try writer.close()
        #expect(try IndexWriter(opening: folder).publication.current.vouchedAt == 1_000_000)
        let again = try IndexWriter(opening: folder)
        try again.close()
        try overwrite(folder.currentFile, at: 184, [UInt8(ascii: "x")])
        #expect(try IndexWriter(opening: folder).publication.current.vouchedAt == 0)
    }

    @Test func aWriterThatStartsMeanwhileMakesNothingOfWhatWasVouchedForInAnotherBoot() throws {
        writer.vouch(at: 1_000_000)
        try writer.close()
        try overwrite(folder.currentFile, at: 184, [UInt8(ascii: "x")])
        let index = folder.index
        // The clock is read when the rows have been.
        var reader = try MappedReader(index, keyCheck: testKey.check) {
            _ = try? IndexWriter(opening: index, history: nil, keyCheck: testKey.check)
            return 1_000_000
        }
        #expect(reader.check(customer(1), purposeBit: 3, now: 1).freshness == .unavailable)
        let again = try IndexWriter(opening: folder)
        #expect(again.publication.current.vouchedAt == 0)
        again.vouch(at: 1_000_000)
        #expect(reader.check(customer(1), purposeBit: 3, now: 1).freshness == .live)
    }

    @Test func rowsAnswerNothingOnceTheirBitsAreNamedOtherwise() throws {
        writer.vouch(at: 1_000_000)
        try folder.index.setPurposes([(1, "newsletter"), (2, "analysis")])
        var reader = try reader()
        try folder.index.setPurposesOfNext([(2, "analysis"), (1, "newsletter"), (3, "profiling")])
        #expect(freshness(&reader, 1, afterMillis: 0) == .live)
        try folder.index.setPurposesOfNext([(1, "newsletter"), (2, "profiling"), (3, "analysis")])
        for bit in 1...3 { #expect(freshness(&reader, bit, afterMillis: 0) == .unavailable) }
        #expect(throws: IndexProblem.superseded) { try IndexWriter(opening: folder) }
    }

    @Test func theNextGenerationInheritsWhatMakesAnswersAge() throws {
        writer.vouch(at: 1_000_000)
        writer.setLiveMillis(300)
        writer.setRole(.edge)
        var reader = try reader()
        try writer.reserve(identifiers: 5_000)
        let table = writer.publication.current
        #expect(table.vouchedAt == 1_000_000 && table.liveMillis == 300 && table.role == .edge)
        #expect(freshness(&reader, 1, afterMillis: 301) == .unavailable)
        #expect(freshness(&reader, 2, afterMillis: 60_000) == .stale)
        writer.vouch(at: 1_060_000)
        #expect(freshness(&reader, 1, afterMillis: 60_000) == .live)
    }

    @Test func everyPurposeHasAStalenessOfItsOwn() throws {
        var seconds: [Int: UInt32] = [:]
        for bit in 0..<Limit.purposesMax { seconds[bit] = UInt32(bit + 1) }
        writer.setMaxStaleness(seconds)
        let table = writer.publication.current
        for bit in 0..<Limit.purposesMax { #expect(table.maxStalenessSeconds(purposeBit: bit) == UInt64(bit + 1)) }
        writer.setMaxStaleness([959: .max])
        #expect(table.maxStalenessSeconds(purposeBit: 958) == 0)
        #expect(table.maxStalenessSeconds(purposeBit: 959) == UInt64(UInt32.max))
    }

    @Test func theListOfPurposesIsReadAsItWasWritten() throws {
        try folder.index.setPurposes([(0, "newsletter"), (959, "profiling")])
        #expect(
            try File.read(folder.index.purposesPath)
                == Array("consentd-purposes 1\n0\tnewsletter\n959\tprofiling\n".utf8))
        #expect(try folder.index.purposes() == ["newsletter": 0, "profiling": 959])
        for text in ["", "consentd-purposes 2\n", "consentd-purposes 1\n960\tx\n", "consentd-purposes 1\nx\n"] {
            try File.replace(folder.index.purposesPath, with: Array(text.utf8))
            #expect(throws: IndexProblem.purposesUnreadable) { try folder.index.purposes() }
        }
    }
}
