import Foundation

/// SplitMix64 (Steele, Lea, Flood 2014).
package struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64

    package init(seed: UInt64) { state = seed }

    /// One of several independent sequences from the seed of this run.
    package init(salt: UInt64) { state = TestSeed.value &+ salt &* 0xD134_2543_DE82_EF95 }

    package mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }

    package mutating func oneIn(_ count: UInt64) -> Bool { next() % count == 0 }

    package mutating func below(_ count: Int) -> Int { Int(truncatingIfNeeded: next() % UInt64(count)) }

    package mutating func pick<Element>(_ choices: [Element]) -> Element { choices[below(choices.count)] }
}

package enum TestSeed {
    /// New on every run; `CONSENT_TEST_SEED` repeats one.
    package static let value: UInt64 = {
        let given = ProcessInfo.processInfo.environment["CONSENT_TEST_SEED"].flatMap { UInt64($0) }
        let seed = given ?? UInt64.random(in: 0...(.max))
        print("CONSENT_TEST_SEED=\(seed)")
        return seed
    }()
}
