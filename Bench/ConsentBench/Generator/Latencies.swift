package import Histogram

/// Times of one kind of request, in nanoseconds, to three digits.
package struct Latencies: Sendable {
    /// From when a request was due until its answer was there: what a user would have waited. Without a timetable a
    /// request is due when it is sent.
    package private(set) var response = Self.empty
    /// From when a request was sent until its answer was there.
    package private(set) var service = Self.empty

    private static let nanosMax: UInt64 = 600_000_000_000
    private static var empty: Histogram<UInt64> {
        Histogram(highestTrackableValue: nanosMax, numberOfSignificantValueDigits: .three)
    }

    mutating func record(responseNanos: Int64, serviceNanos: Int64) {
        response.record(Self.clamped(responseNanos))
        service.record(Self.clamped(serviceNanos))
    }

    /// A request that was never sent, or never answered: it would have taken at least so long.
    mutating func recordUnanswered(atLeastNanos nanos: Int64) { response.record(Self.clamped(nanos)) }

    mutating func add(_ other: Latencies) {
        response.add(other.response)
        service.add(other.service)
    }

    private static func clamped(_ nanos: Int64) -> UInt64 { min(UInt64(max(1, nanos)), nanosMax) }
}

/// A few hundred counters for times, to a sixteenth of their value: small enough to have one for each part of a run.
struct CoarseTimes: Sendable {
    private var counts = [UInt32](repeating: 0, count: 44 << 4)
    private(set) var total: UInt64 = 0

    mutating func record(_ nanos: Int64) {
        counts[Self.position(nanos)] &+= 1
        total += 1
    }

    mutating func add(_ other: CoarseTimes) {
        for position in counts.indices { counts[position] &+= other.counts[position] }
        total += other.total
    }

    mutating func clear() {
        guard total > 0 else { return }
        for position in counts.indices { counts[position] = 0 }
        total = 0
    }

    /// The time that such a share of all do not exceed; zero if there are none.
    func nanos(atShare share: Double) -> Double {
        let wanted = UInt64((Double(total) * share).rounded(.up))
        var seen: UInt64 = 0
        for position in counts.indices {
            seen += UInt64(counts[position])
            if seen >= wanted, seen > 0 { return Self.value(position) }
        }
        return 0
    }

    private static func position(_ nanos: Int64) -> Int {
        let value = UInt64(max(16, min(nanos, 1 << 46)))
        let exponent = 63 - value.leadingZeroBitCount
        return min((exponent - 4) << 4 | Int(value >> UInt64(exponent - 4) & 15), (44 << 4) - 1)
    }

    /// The middle of what one counter holds.
    private static func value(_ position: Int) -> Double {
        let (exponent, part) = (position >> 4, Double(position & 15))
        return Double(UInt64(1) << UInt64(exponent)) * (16 + part + 0.5)
    }
}
