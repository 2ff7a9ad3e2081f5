/// A set of purposes, by their bits. The first 64, which most catalogs stay within, need no allocation.
package struct PurposeSet: Hashable, Sendable {
    private var first: UInt64 = 0
    /// Nil where there are none, so that a copy counts no reference; never empty.
    private var rest: [UInt64]?

    package init() {}

    package init(_ bits: some Sequence<Int>) {
        for bit in bits { insert(bit) }
    }

    package init(words: some Sequence<UInt64>) {
        for (position, word) in words.enumerated() { self[word: position] = word }
    }

    /// Words of 64 bits that hold every member; at least one.
    package var wordCount: Int { 1 + (rest?.count ?? 0) }

    package var isEmpty: Bool { first == 0 && rest == nil }

    /// One word of 64 bits; zero past the last.
    package subscript(word position: Int) -> UInt64 {
        get {
            if position == 0 { return first }
            guard let rest, position <= rest.count else { return 0 }
            return rest[position - 1]
        }
        set {
            if position == 0 {
                first = newValue
                return
            }
            var words = rest ?? []
            rest = nil
            while words.count < position, newValue != 0 { words.append(0) }
            if position <= words.count { words[position - 1] = newValue }
            while words.last == 0 { words.removeLast() }
            rest = words.isEmpty ? nil : words
        }
    }

    package func contains(_ bit: Int) -> Bool { self[word: bit >> 6] >> UInt64(bit & 63) & 1 == 1 }

    package mutating func insert(_ bit: Int) { self[word: bit >> 6] |= 1 << UInt64(bit & 63) }

    package mutating func remove(_ bit: Int) { self[word: bit >> 6] &= ~(1 << UInt64(bit & 63)) }

    package mutating func set(_ bit: Int, to isMember: Bool) {
        if isMember { insert(bit) } else { remove(bit) }
    }

    /// The members, in rising order.
    package var bits: [Int] {
        (0..<wordCount).flatMap { position in
            (0..<64).filter { self[word: position] >> UInt64($0) & 1 == 1 }.map { position * 64 + $0 }
        }
    }
}

extension PurposeSet {
    package func union(_ other: PurposeSet) -> PurposeSet {
        PurposeSet(words: (0..<max(wordCount, other.wordCount)).map { self[word: $0] | other[word: $0] })
    }

    /// Without making a set of what they have in common.
    package func isDisjoint(with other: PurposeSet) -> Bool {
        if first & other.first != 0 { return false }
        guard let rest, let others = other.rest else { return true }
        return !zip(rest, others).contains { $0 & $1 != 0 }
    }

    package mutating func subtract(_ other: PurposeSet) {
        first &= ~other.first
        guard rest != nil else { return }
        for word in stride(from: wordCount - 1, through: 1, by: -1) { self[word: word] &= ~other[word: word] }
    }

    package func intersection(_ other: PurposeSet) -> PurposeSet {
        PurposeSet(words: (0..<min(wordCount, other.wordCount)).map { self[word: $0] & other[word: $0] })
    }
}
