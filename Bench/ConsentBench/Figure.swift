/// One measured figure beside what it should reach.
package struct Figure: Sendable {
    package var name: String
    package var value: Double
    package var unit: String
    /// What it should be at least (`isFloor`) or at most.
    package var target: Double?
    package var isFloor = true

    package init(_ name: String, _ value: Double, _ unit: String) {
        self.name = name
        self.value = value
        self.unit = unit
    }

    package static func atLeast(_ name: String, _ value: Double, _ unit: String, _ target: Double) -> Figure {
        var figure = Figure(name, value, unit)
        figure.target = target
        return figure
    }

    package static func atMost(_ name: String, _ value: Double, _ unit: String, _ target: Double) -> Figure {
        var figure = Figure.atLeast(name, value, unit, target)
        figure.isFloor = false
        return figure
    }

    /// Nil where nothing was aimed at.
    package var isReached: Bool? { target.map { isFloor ? value >= $0 : value <= $0 } }
}

/// Numbers without a pattern, the same for the same seed (SplitMix64, Steele, Lea and Flood).
package struct SeededNumbers: RandomNumberGenerator {
    private var state: UInt64

    package init(seed: UInt64) { state = seed }

    package mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ mixed >> 30) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ mixed >> 27) &* 0x94D0_49BB_1331_11EB
        return mixed ^ mixed >> 31
    }
}
