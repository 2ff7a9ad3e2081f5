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
