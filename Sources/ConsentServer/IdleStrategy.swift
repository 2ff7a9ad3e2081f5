/// Whether a loop that has nothing to do looks for work a while before it blocks. On a virtual machine most of a round
/// trip is waking up, which who spins need not do; but spinning takes a whole processor. So it is done as long as it pays:
/// each time that nothing came the next spin is half as long, down to none, and the first request that comes soon after
/// blocking brings it back.
package struct IdleStrategy: Sendable {
    /// Zero: it always blocks.
    package let spinNanosMax: Int64
    /// How long the next spin may take.
    package private(set) var spinNanos: Int64
    /// Shorter spins are none.
    private static let spinNanosMin: Int64 = 1000

    package init(spinMicros: Int) {
        spinNanosMax = Int64(spinMicros) * 1000
        spinNanos = spinNanosMax
    }

    package var mayEverSpin: Bool { spinNanosMax > 0 }

    package mutating func foundWork() { spinNanos = spinNanosMax }

    package mutating func spunInVain() { spinNanos = spinNanos / 2 >= Self.spinNanosMin ? spinNanos / 2 : 0 }

    /// - Parameter nanos: since there was nothing to do.
    package mutating func wokeUp(afterNanos nanos: Int64) {
        if nanos <= spinNanosMax { spinNanos = spinNanosMax }
    }
}
