import ConsentModel
import ConsentTestSupport
import Testing

@testable import ConsentIndex

struct AnswerTests {
    private static func answer(
        _ row: IndexRow?, granted: [Int] = [], denied: [Int] = [], bit: Int = 5, now: UInt32 = 1_000
    ) throws -> ConsentState {
        let folder = TemporaryFolder()
        defer { withExtendedLifetime(folder) {} }
        let writer = try IndexWriter(creating: folder)
        try writer.setDefaults(granted: PurposeSet(granted), denied: PurposeSet(denied))
        if let row { try writer.put(customer(1), row) }
        try writer.put(customer(2), IndexRow(permitted: Array(0..<64)))
        var reader = IndexReader(writer.publication)
        return reader.reason(customer(1), purposeBit: bit, now: now)
    }

    @Test func anAbsentRowAnswersWithTheDefaults() throws {
        #expect(try Self.answer(nil) == .unknown)
        #expect(try Self.answer(nil, granted: [5]) == .basisHolds)
        #expect(try Self.answer(nil, denied: [5]) == .invalidated)
        #expect(try Self.answer(nil, granted: [5], denied: [5]) == .invalidated)
        #expect(try Self.answer(nil, granted: [4, 6], denied: [4, 6]) == .unknown)
    }

    @Test func aRowThatSaysNothingAnswersWithTheDefaults() throws {
        #expect(try Self.answer(IndexRow(permitted: [4], denied: [6])) == .unknown)
        #expect(try Self.answer(IndexRow(permitted: [4], denied: [6]), granted: [5]) == .basisHolds)
        // That another consent has ended is nothing to a purpose that needs none.
        #expect(try Self.answer(IndexRow(permitted: [4], endsAt: 0), granted: [5]) == .basisHolds)
    }

    @Test func aConsentIsGivenOrWithdrawn() throws {
        #expect(try Self.answer(IndexRow(permitted: [5])) == .given)
        #expect(try Self.answer(IndexRow(denied: [5])) == .withdrawn)
    }

    @Test func anObjectionStandsAgainstABasis() throws {
        #expect(try Self.answer(IndexRow(denied: [5]), granted: [5]) == .objected)
    }

    @Test func aRetiredPurposeIsDeniedWhateverTheRowSays() throws {
        for row in [IndexRow(permitted: [5]), IndexRow(denied: [5]), IndexRow(permitted: [5], endsAt: 1), IndexRow()] {
            for granted in [[], [5]] {
                #expect(try Self.answer(row, granted: granted, denied: [5]) == .invalidated)
            }
        }
    }

    @Test func aConsentEndsInTheSecondThatIsItsEnd() throws {
        let row = IndexRow(permitted: [5], endsAt: 1_000)
        #expect(try Self.answer(row, now: 999) == .given)
        #expect(try Self.answer(row, now: 1_000) == .expired)
        #expect(try Self.answer(row, now: 1_001) == .expired)
        #expect(try Self.answer(row, now: .max) == .expired)
        #expect(try Self.answer(IndexRow(permitted: [5], endsAt: 0), now: 0) == .expired)
    }

    @Test func aConsentWithoutEndHoldsUntilTheLastSecondOfThe32Bits() throws {
        #expect(try Self.answer(IndexRow(permitted: [5]), now: .max - 1) == .given)
        #expect(try Self.answer(IndexRow(permitted: [5]), now: .max) == .expired)
    }

    @Test func anEndConcernsEveryConsentOfTheRowAndNoDenial() throws {
        let row = IndexRow(permitted: [5, 7], denied: [6], endsAt: 1_000)
        #expect(try Self.answer(row, bit: 7) == .expired)
        #expect(try Self.answer(row, bit: 6) == .withdrawn)
    }

    @Test func aPurposePastTheRowsWidthIsUnknown() throws {
        for bit in [64, 200, 959] {
            #expect(try Self.answer(IndexRow(permitted: Array(0..<64)), granted: Array(0..<64), bit: bit) == .unknown)
        }
    }

    /// Per purpose all that a row and the defaults can say, in every word.
    @Test(arguments: [1, 3, 7, 15])
    func manyPurposesAreAnsweredAsEachAlone(words: Int) throws {
        let folder = TemporaryFolder()
        defer { withExtendedLifetime(folder) {} }
        let writer = try IndexWriter(creating: folder, purposes: words * 64)
        let bits = 0..<words * 64
        var model = IndexModel()
        (model.granted, model.denied) = (
            PurposeSet(bits.filter { $0 & 1 != 0 }), PurposeSet(bits.filter { $0 & 2 != 0 && $0 % 5 == 0 })
        )
        try writer.setDefaults(granted: model.granted, denied: model.denied)
        for (number, endsAt) in [0, 999, 1_000, 1_001, IndexRow.never].enumerated() {
            model.rows[customer(number)] = IndexRow(
                permitted: bits.filter { $0 & 4 != 0 }, denied: bits.filter { $0 & 8 != 0 }, endsAt: endsAt)
        }
        for (hash, row) in model.rows { try writer.put(hash, row) }
        var reader = IndexReader(writer.publication)
        for hash in (0...model.rows.count).map(customer) {
            for mask: UInt64 in [.max, 0, 0x5555_AAAA_F00F_1234] {
                for word in 0...words {
                    let answer = reader.check(hash, purposes: mask, word: word, now: 1_000)
                    for bit in 0..<64 {
                        let single = reader.reason(hash, purposeBit: word * 64 + bit, now: 1_000)
                        let isAsked = mask >> UInt64(bit) & 1 == 1
                        let (granted, denied) = (
                            answer.granted >> UInt64(bit) & 1 == 1, answer.denied >> UInt64(bit) & 1 == 1
                        )
                        let agrees =
                            granted == (isAsked && single.decision == .granted)
                            && denied == (isAsked && single.decision == .denied)
                        let isRight =
                            word == words || single == model.reason(hash, purposeBit: word * 64 + bit, now: 1_000)
                        if !agrees || !isRight {
                            Issue.record("purpose \(word * 64 + bit): \(single), granted \(granted), denied \(denied)")
                            return
                        }
                    }
                }
            }
        }
    }

    @Test func theReasonAndTheDecisionOfAnAnswerAgree() {
        for bits in 0..<32 as Range<UInt64> {
            let answer = IndexAnswer(
                permitted: bits & 1, denied: bits >> 1 & 1, ended: bits >> 2 & 1, grantedByDefault: bits >> 3 & 1,
                deniedByDefault: bits >> 4)
            #expect(answer.decision == answer.reason.decision)
            #expect(answer.decisionByte == answer.decision.rawValue && answer.reasonByte == answer.reason.rawValue)
        }
    }
}
