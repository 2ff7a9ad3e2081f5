import ConsentModel
import ConsentTestSupport
import Testing

/// `PurposeSet` against the standard library's set.
struct PurposeSetTests {
    private static let bitsMax = Limit.purposesMax

    /// Bits at the edges of words, and the last that an index row has.
    private static let edges = [0, 1, 62, 63, 64, 65, 127, 128, 191, 192, 511, 512, 895, 896, 958, 959]

    /// What differs between a set and its model; nil if nothing does.
    private static func difference(_ set: PurposeSet, _ model: Set<Int>) -> String? {
        let sorted = model.sorted()
        if set.bits != sorted { return "bits \(set.bits)" }
        if set.isEmpty != model.isEmpty { return "isEmpty \(set.isEmpty)" }
        let words = max(1, (sorted.last ?? 0) / 64 + 1)
        if set.wordCount != words { return "wordCount \(set.wordCount) instead of \(words)" }
        for bit in edges where set.contains(bit) != model.contains(bit) { return "contains \(bit)" }
        for position in 0..<(words + 2) {
            let expected = model.filter { $0 / 64 == position }.reduce(UInt64(0)) { $0 | (1 << UInt64($1 % 64)) }
            if set[word: position] != expected { return "word \(position)" }
        }
        return nil
    }

    /// The same members by another road: equal, and of the same hash.
    private static func isEqualToAFreshOne(_ set: PurposeSet, _ model: Set<Int>) -> Bool {
        let fresh = PurposeSet(model.sorted())
        return set == fresh && set.hashValue == fresh.hashValue
    }

    @Test func theEmptySetHasOneWordAndNoMember() {
        #expect(Self.difference(PurposeSet(), []) == nil)
        #expect(PurposeSet([]) == PurposeSet())
        #expect(PurposeSet(words: []) == PurposeSet())
        #expect(PurposeSet(words: [0, 0, 0]) == PurposeSet())
        for bit in 0..<Self.bitsMax where PurposeSet().contains(bit) { Issue.record("\(bit)") }
    }

    @Test func everyBitAloneIsFoundAndNoOther() {
        for bit in 0..<Self.bitsMax {
            let set = PurposeSet([bit])
            let found = (0..<Self.bitsMax).filter(set.contains)
            guard found == [bit], set.bits == [bit], set.wordCount == bit / 64 + 1, !set.isEmpty else {
                Issue.record("\(bit): \(found), \(set.wordCount) words")
                return
            }
        }
    }

    @Test func everyBitInsertedAndRemovedLeavesTheSetAsItWas() {
        for others in [[], [0], [63], [64], [0, 63, 64, 500]] {
            let before = PurposeSet(others)
            for bit in 0..<Self.bitsMax where !others.contains(bit) {
                var set = before
                set.insert(bit)
                let isMember = set != before && set.contains(bit)
                set.remove(bit)
                guard isMember, set == before, set.hashValue == before.hashValue, set.wordCount == before.wordCount
                else {
                    Issue.record("\(bit) beside \(others)")
                    return
                }
            }
        }
    }

    /// All 1,024 sets of ten edges, each built in rising and in falling order.
    @Test func everySetOfTheEdgesIsTheSameInBothOrders() {
        let edges = [0, 1, 62, 63, 64, 127, 128, 511, 895, 959]
        for mask in 0..<(1 << edges.count) {
            let members = edges.indices.filter { mask >> $0 & 1 == 1 }.map { edges[$0] }
            let rising = PurposeSet(members)
            guard rising == PurposeSet(members.reversed()), rising.bits == members else {
                Issue.record("\(members)")
                return
            }
        }
    }

    /// Every way to change each of four bits, one after the other, from every set of them.
    @Test func everyChangeOfASmallSetIsThatOfTheModel() {
        let bits = [0, 63, 64, 959]
        for mask in 0..<16 {
            let members = bits.indices.filter { mask >> $0 & 1 == 1 }.map { bits[$0] }
            for first in bits {
                for second in bits {
                    for (insertsFirst, insertsSecond) in [(true, true), (true, false), (false, true), (false, false)] {
                        var (set, model) = (PurposeSet(members), Set(members))
                        set.set(first, to: insertsFirst)
                        if insertsFirst { model.insert(first) } else { model.remove(first) }
                        set.set(second, to: insertsSecond)
                        if insertsSecond { model.insert(second) } else { model.remove(second) }
                        guard Self.difference(set, model) == nil, Self.isEqualToAFreshOne(set, model) else {
                            Issue.record("\(members), \(first) \(insertsFirst), \(second) \(insertsSecond)")
                            return
                        }
                    }
                }
            }
        }
    }

    @Test func insertingAndRemovingTwiceIsOnce() {
        for bit in Self.edges {
            var set = PurposeSet([5])
            set.insert(bit)
            let once = set
            set.insert(bit)
            #expect(set == once)
            set.remove(bit)
            set.remove(bit)
            #expect(set == PurposeSet([5]))
        }
    }

    @Test func removingTheHighestLeavesNoWordBehind() {
        var set = PurposeSet([959, 700, 63, 0])
        #expect(set.wordCount == 15)
        set.remove(959)
        #expect(set.wordCount == 11)
        set.remove(700)
        #expect(set.wordCount == 1)
        #expect(set == PurposeSet([0, 63]))
        set.remove(0)
        set.remove(63)
        #expect(set == PurposeSet())
        set.remove(959)
        #expect(set == PurposeSet())
    }

    @Test func lookingPastTheLastWordAddsNone() {
        let set = PurposeSet([3])
        #expect(!set.contains(959))
        #expect(set[word: 14] == 0)
        #expect(set[word: 1_000_000] == 0)
        #expect(set.wordCount == 1)
    }

    @Test func zeroWordsAtTheEndAreNoPartOfTheSet() {
        #expect(PurposeSet(words: [5, 0, 0]) == PurposeSet([0, 2]))
        #expect(PurposeSet(words: [0, 0, 1]) == PurposeSet([128]))
        #expect(PurposeSet(words: [0, 0, 1, 0]).wordCount == 3)
        #expect(PurposeSet(words: [.max]).bits == Array(0..<64))
        #expect(PurposeSet(words: Array(repeating: .max, count: 15)).bits == Array(0..<Self.bitsMax))
        var set = PurposeSet(words: [1, 2, 3])
        set[word: 2] = 0
        #expect(set == PurposeSet(words: [1, 2]))
        set[word: 14] = 0
        #expect(set == PurposeSet(words: [1, 2]))
        set[word: 1] = 0
        #expect(set == PurposeSet([0]))
    }

    @Test func aRandomSetIsItsModelAfterEveryChange() {
        var generator = SeededGenerator(salt: 0x5E7)
        for round in 0..<100 {
            var (set, model) = (PurposeSet(), Set<Int>())
            // Few bits are met again and again, many reach every word.
            let choices = (0..<(1 + generator.below(24))).map { _ in
                generator.oneIn(2) ? generator.pick(Self.edges) : generator.below(Self.bitsMax)
            }
            for step in 0..<20 {
                let bit = generator.pick(choices)
                switch generator.below(4) {
                case 0:
                    set.remove(bit)
                    model.remove(bit)
                case 1:
                    let isMember = generator.oneIn(2)
                    set.set(bit, to: isMember)
                    if isMember { model.insert(bit) } else { model.remove(bit) }
                case 2:
                    let word = generator.oneIn(2) ? 0 : generator.next() & generator.next()
                    set[word: bit / 64] = word
                    model = model.filter { $0 / 64 != bit / 64 }
                    model.formUnion((0..<64).filter { word >> UInt64($0) & 1 == 1 }.map { bit / 64 * 64 + $0 })
                default:
                    set.insert(bit)
                    model.insert(bit)
                }
                let wrong = Self.difference(set, model)
                guard wrong == nil, Self.isEqualToAFreshOne(set, model) else {
                    let place = "CONSENT_TEST_SEED=\(TestSeed.value), round \(round), step \(step)"
                    Issue.record("\(place): \(wrong ?? "unequal")")
                    return
                }
            }
        }
    }

    @Test func aSetIsReadBackFromItsWords() {
        var generator = SeededGenerator(salt: 0x5E8)
        for _ in 0..<300 {
            let members = Set((0..<generator.below(40)).map { _ in generator.below(Self.bitsMax) })
            let set = PurposeSet(members.shuffled(using: &generator))
            let words = (0..<set.wordCount).map { set[word: $0] }
            guard PurposeSet(words: words) == set, PurposeSet(words: words + [0, 0]) == set,
                Self.isEqualToAFreshOne(set, members)
            else {
                Issue.record("CONSENT_TEST_SEED=\(TestSeed.value): \(members.sorted())")
                return
            }
        }
    }

    @Test func setsOfDifferentMembersAreNotEqual() {
        for left in Self.edges {
            for right in Self.edges {
                #expect((PurposeSet([left]) == PurposeSet([right])) == (left == right))
                #expect((PurposeSet([left, right]) == PurposeSet([left])) == (left == right))
            }
        }
    }
}
