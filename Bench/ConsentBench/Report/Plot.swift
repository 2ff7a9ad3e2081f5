import Glibc

/// A plot as inline SVG: no script, nothing from elsewhere.
struct Plot {
    struct Series {
        var name: String
        var colour: String
        var isDashed = false
        var points: [(x: Double, y: Double)]
    }

    enum Scale { case linear, logarithmic }

    var xScale = Scale.linear
    var yScale = Scale.linear
    var xTicks: [(place: Double, label: String)] = []
    var yLabel: (Double) -> String
    var series: [Series]

    /// Told apart also by those who see few colours (Okabe and Ito).
    static let colours = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#b8a900"]

    private static let width = 760.0
    private static let height = 300.0
    private static let left = 76.0
    private static let bottom = 30.0
    private static let top = 10.0
    private static let right = 12.0

    var svg: String {
        let points = series.flatMap(\.points)
        guard !points.isEmpty else { return "" }
        let x = Axis(points.map(\.x) + xTicks.map(\.place), xScale, from: Self.left, to: Self.width - Self.right)
        let y = Axis(points.map(\.y), yScale, from: Self.height - Self.bottom, to: Self.top)
        var text = "<svg viewBox=\"0 0 \(Int(Self.width)) \(Int(Self.height))\" role=\"img\">"
        for tick in y.ticks {
            let place = Self.number(y.place(tick))
            text +=
                "<line class=\"grid\" x1=\"\(Self.left)\" x2=\"\(Self.width - Self.right)\" y1=\"\(place)\" y2=\"\(place)\"/>"
            text += "<text x=\"\(Self.left - 6)\" y=\"\(place)\" dy=\"4\" text-anchor=\"end\">\(yLabel(tick))</text>"
        }
        let ticks = xTicks.isEmpty ? x.ticks.map { ($0, Self.tick($0)) } : xTicks
        for (value, label) in ticks {
            let place = Self.number(x.place(value))
            text +=
                "<line class=\"grid\" x1=\"\(place)\" x2=\"\(place)\" y1=\"\(Self.top)\" y2=\"\(Self.height - Self.bottom)\"/>"
            text +=
                "<text x=\"\(place)\" y=\"\(Self.height - 10)\" text-anchor=\"middle\">\(Phrase.escaped(label))</text>"
        }
        for line in series where !line.points.isEmpty {
            let path = line.points.map { "\(Self.number(x.place($0.x))),\(Self.number(y.place($0.y)))" }
            text += "<polyline points=\"\(path.joined(separator: " "))\" stroke=\"\(line.colour)\""
            text +=
                (line.isDashed ? " stroke-dasharray=\"5 4\"" : "")
                + "><title>\(Phrase.escaped(line.name))</title></polyline>"
        }
        return text + "</svg>"
    }

    /// A round number, without digits that say nothing.
    static func tick(_ value: Double) -> String {
        value == value.rounded() && abs(value) < 100 ? "\(Int(value))" : Phrase.decimal(value)
    }

    private static func number(_ value: Double) -> String { "\((value * 10).rounded() / 10)" }

    private struct Axis {
        let low: Double
        let high: Double
        let scale: Scale
        let from: Double
        let to: Double

        init(_ values: [Double], _ scale: Scale, from: Double, to: Double) {
            self.scale = scale
            self.from = from
            self.to = to
            let largest = values.max() ?? 1
            switch scale {
            case .linear: (low, high) = (0, largest > 0 ? largest * 1.02 : 1)
            case .logarithmic:
                let smallest = max(values.filter { $0 > 0 }.min() ?? 1, 1e-6)
                low = pow(10, floor(log10(smallest)))
                high = max(pow(10, ceil(log10(max(largest, smallest)))), low * 10)
            }
        }

        func place(_ value: Double) -> Double {
            let share =
                switch scale {
                case .linear: (value - low) / (high - low)
                case .logarithmic: log10(max(value, low) / low) / log10(high / low)
                }
            return from + (to - from) * share
        }

        var ticks: [Double] {
            switch scale {
            case .linear:
                let rough = (high - low) / 5
                let power = pow(10, floor(log10(rough)))
                let step = [1, 2, 5, 10].map { $0 * power }.first { $0 >= rough } ?? rough
                return Array(Swift.stride(from: low, through: high, by: step))
            case .logarithmic:
                return Array(Swift.sequence(first: low) { $0 * 10 <= high * 1.001 ? $0 * 10 : nil })
            }
        }
    }
}
