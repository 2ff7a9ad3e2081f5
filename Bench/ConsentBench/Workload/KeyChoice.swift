import Glibc

/// Which of many keys is asked for how often.
package enum KeyDistribution: Sendable, Equatable, CustomStringConvertible {
    case uniform
    /// The key of rank r is asked for in proportion to 1 / r^exponent.
    case zipf(exponent: Double)
    /// A share of the keys gets a share of the requests.
    case hot(keys: Double, requests: Double)

    /// Reads `uniform`, `zipf`, `zipf:0.99`, `hot:0.01:0.9`; nil for anything else.
    package init?(_ text: String) {
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        let numbers = parts.dropFirst().compactMap { Double($0) }
        guard numbers.count == parts.count - 1 else { return nil }
        switch (parts.first, numbers.count) {
        case ("uniform", 0): self = .uniform
        case ("zipf", 0): self = .zipf(exponent: 0.99)
        case ("zipf", 1) where numbers[0] > 0 && numbers[0] < 10: self = .zipf(exponent: numbers[0])
        case ("hot", 2) where numbers.allSatisfy({ $0 > 0 && $0 < 1 }):
            self = .hot(keys: numbers[0], requests: numbers[1])
        default: return nil
        }
    }

    package var description: String {
        switch self {
        case .uniform: "uniform"
        case .zipf(let exponent): "zipf:\(exponent)"
        case .hot(let keys, let requests): "hot:\(keys):\(requests)"
        }
    }
}

/// Chooses keys, from zero up to a count.
struct KeyChoice: Sendable {
    private let count: Int
    private let kind: Kind
    /// Spreads ranks over all keys, so that those asked for often do not lie side by side.
    private let stride: Int

    private enum Kind {
        case uniform
        case zipf(Zipf)
        case hot(keys: Int, requests: Double)
    }

    init(_ distribution: KeyDistribution, count: Int) {
        precondition(count > 0)
        self.count = count
        kind =
            switch distribution {
            case .uniform: .uniform
            case .zipf(let exponent): .zipf(Zipf(count: count, exponent: exponent))
            case .hot(let keys, let requests): .hot(keys: max(1, Int(Double(count) * keys)), requests: requests)
            }
        stride = Self.stride(count)
    }

    @inline(__always)
    func next(_ numbers: inout SeededNumbers) -> Int {
        switch kind {
        case .uniform: return numbers.below(count)
        case .zipf(let zipf): return spread(zipf.rank(&numbers))
        case .hot(let keys, let requests):
            if numbers.unit() < requests || keys == count { return spread(numbers.below(keys)) }
            return spread(keys + numbers.below(count - keys))
        }
    }

    private func spread(_ rank: Int) -> Int { Int((UInt64(rank) &* UInt64(stride)) % UInt64(count)) }

    /// A large number that shares no factor with the count: multiples of it reach every key once.
    private static func stride(_ count: Int) -> Int {
        func divisor(_ left: Int, _ right: Int) -> Int { right == 0 ? left : divisor(right, left % right) }
        var candidate = 2_654_435_761 % count
        while divisor(max(candidate, 1), count) != 1 { candidate += 1 }
        return max(candidate, 1)
    }
}

/// Ranks by Zipf's law, each in constant time and exactly (rejection-inversion; Hörmann and Derflinger, 1996).
private struct Zipf: Sendable {
    private let count: Double
    private let exponent: Double
    private let areaFirst: Double
    private let areaAll: Double
    private let shortcut: Double

    init(count: Int, exponent: Double) {
        self.count = Double(count)
        self.exponent = exponent
        areaFirst = Self.area(1.5, exponent) - 1
        areaAll = Self.area(Double(count) + 0.5, exponent)
        shortcut = 2 - Self.inverse(Self.area(2.5, exponent) - Self.height(2, exponent), exponent)
    }

    /// From zero.
    func rank(_ numbers: inout SeededNumbers) -> Int {
        while true {
            let area = areaAll + numbers.unit() * (areaFirst - areaAll)
            let place = Self.inverse(area, exponent)
            let rank = max(1, min(count, place.rounded()))
            if rank - place <= shortcut || area >= Self.area(rank + 0.5, exponent) - Self.height(rank, exponent) {
                return Int(rank) - 1
            }
        }
    }

    private static func height(_ place: Double, _ exponent: Double) -> Double { exp(-exponent * log(place)) }

    /// Below the curve of the heights, up to a place.
    private static func area(_ place: Double, _ exponent: Double) -> Double {
        let logarithm = log(place)
        let scaled = (1 - exponent) * logarithm
        return (abs(scaled) > 1e-8 ? expm1(scaled) / scaled : 1 + scaled / 2) * logarithm
    }

    private static func inverse(_ area: Double, _ exponent: Double) -> Double {
        let scaled = max(-1, area * (1 - exponent))
        return exp((abs(scaled) > 1e-8 ? log1p(scaled) / scaled : 1 - scaled / 2) * area)
    }
}
