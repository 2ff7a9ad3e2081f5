package import ConsentIndex
import ConsentModel

/// Identifiers of which something holds at every moment, whatever their rows are rewritten to meanwhile.
package enum WatchedClass: Int, CaseIterable, Sendable {
    /// No purpose that rests on consent is ever permitted.
    case never
    /// ``WatchedClass/alwaysBit`` is permitted without end.
    case always
    /// ``WatchedClass/toggledBit`` is permitted now and then, and nothing else is.
    case toggled
    /// Now ``WatchedClass/endedBit`` is permitted with an end that has passed, now ``WatchedClass/endlessBit`` without
    /// end.
    case ended
    /// An objection stands against ``WatchedClass/basisBit``.
    case objected

    package static let alwaysBit = 1, toggledBit = 5, endedBit = 7, endlessBit = 8
    /// Granted where no row says otherwise.
    package static let basisBit = 9
    /// What may be denied of anybody.
    package static let otherBits = 20..<64
    package static let numbers = 0..<40
    package static let now: UInt32 = 1_000
    package static let key = IdentifierHashKey(k0: 0x1111_2222_3333_4444, k1: 0x5555_6666_7777_8888)

    package func hash(_ number: Int) -> IdentifierHash {
        var value = "\(self)-\(number)"
        return value.withUTF8 { Self.key.hash(.other, UnsafeRawBufferPointer($0)) }
    }

    /// The purposes that may ever be granted, as a word of bits.
    private var granted: UInt64 {
        switch self {
        case .never: 1 << Self.basisBit
        case .always: 1 << Self.alwaysBit | 1 << Self.basisBit
        case .toggled: 1 << Self.toggledBit | 1 << Self.basisBit
        case .ended: 1 << Self.endlessBit | 1 << Self.basisBit
        case .objected: 0
        }
    }

    /// The purposes that are granted at every moment.
    private var mustBeGranted: UInt64 { self == .always ? 1 << Self.alwaysBit : 0 }

    func isWrong(granted bits: UInt64) -> Bool { bits & ~granted != 0 || mustBeGranted & ~bits != 0 }

    func isWrong(_ decision: Decision, purposeBit bit: Int) -> Bool {
        decision == .granted ? granted >> UInt64(bit) & 1 == 0 : mustBeGranted >> UInt64(bit) & 1 == 1
    }
}

/// Reads and counts; remembers the first answer that must not be.
package struct Watcher: ~Copyable {
    private var reader: IndexReader
    private var state: UInt64
    private let hashes = WatchedClass.allCases.map { watched in WatchedClass.numbers.map { watched.hash($0) } }
    package private(set) var reads = 0
    package private(set) var granted = 0
    package private(set) var wrong = 0
    package private(set) var firstWrong = ""

    package init(_ publication: IndexPublication, seed: UInt64) {
        reader = IndexReader(publication)
        state = seed | 1
    }

    /// Some hundreds of checks.
    package mutating func watch() {
        for _ in 0..<100 {
            for watched in WatchedClass.allCases {
                // Xorshift (Marsaglia 2003): the choice must not cost more than the check.
                state ^= state << 13
                state ^= state >> 7
                state ^= state << 17
                let number = Int(state >> 32) % WatchedClass.numbers.count
                check(watched, number, purposeBit: Int(state >> 8 & 15))
            }
        }
    }

    private mutating func check(_ watched: WatchedClass, _ number: Int, purposeBit bit: Int) {
        let hash = hashes[watched.rawValue][number]
        let decision = reader.check(hash, purposeBit: bit, now: WatchedClass.now).decision
        let many = reader.check(hash, purposes: .max, word: 0, now: WatchedClass.now).granted
        reads += 2
        if decision == .granted { granted += 1 }
        if watched.isWrong(decision, purposeBit: bit) { note("\(watched) \(number): \(decision) at \(bit)") }
        if watched.isWrong(granted: many) { note("\(watched) \(number): granted \(String(many, radix: 2))") }
    }

    private mutating func note(_ text: String) {
        if wrong == 0 { firstWrong = text }
        wrong += 1
    }
}
