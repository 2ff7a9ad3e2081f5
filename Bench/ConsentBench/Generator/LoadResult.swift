package import Histogram

/// What a run came to.
package struct LoadResult: Sendable {
    /// Of the part that is measured.
    package var seconds = 0.0
    /// Answers that came in that time.
    package var answers = 0
    /// Questions that they answered.
    package var units = 0
    /// Over the whole run, its warm-up included.
    package var answersInAll = 0
    package var wrong = 0
    package var refused = 0
    /// Sent, and not answered when the run stopped waiting.
    package var unanswered = 0
    /// Due, and not sent before the end as no connection had room.
    package var unsent = 0
    /// What was wrong about the first wrong answer.
    package var firstWrong: String?
    package var operations: [(operation: Operation, latencies: Latencies)] = []
    package var timeline: [Moment] = []
    package var generator = Generator()
    /// Processor time of the server while the answers came; nil if it is not known.
    package var serverNanos: Int64?

    /// A short part of a run.
    package struct Moment: Sendable {
        /// Since the measured part began, negative in the warm-up.
        package var second = 0.0
        package var perSecond = 0.0
        package var p50Micros = 0.0
        package var p99Micros = 0.0
    }

    /// How the generator itself fared.
    package struct Generator: Sendable {
        /// The busiest thread's share of a processor.
        package var processorShare = 0.0
        /// The busiest thread's share of time in which it did not look for work in vain.
        package var busyShare = 0.0
        package var isSpinning = false
        /// How late requests were sent though a connection had room.
        package var lateP99Micros = 0.0
    }

    package var perSecond: Double { seconds > 0 ? Double(answers) / seconds : 0 }
    package var unitsPerSecond: Double { seconds > 0 ? Double(units) / seconds : 0 }
    /// Of one question.
    package var serverNanosPerUnit: Double? {
        guard let serverNanos, units > 0 else { return nil }
        return Double(serverNanos) / Double(units)
    }
    /// Of one processor.
    package var serverShare: Double? { serverNanos.map { Double($0) / (seconds * 1e9) } }

    /// Of all operations together.
    package var latencies: Latencies {
        var all = Latencies()
        for (_, latencies) in operations { all.add(latencies) }
        return all
    }

    /// Of all operations together.
    package func responseMicros(_ percentile: Double) -> Double { Self.micros(latencies.response, percentile) }

    package static func micros(_ histogram: Histogram<UInt64>, _ percentile: Double) -> Double {
        histogram.totalCount == 0 ? 0 : Double(histogram.valueAtPercentile(percentile)) / 1000
    }

    /// What a reader must know before believing the figures.
    package var notices: [LoadNotice] {
        var notices: [LoadNotice] = []
        let own = generator.isSpinning ? generator.busyShare : generator.processorShare
        let isServerFull = (serverShare ?? 0) >= 0.95
        if own >= 0.95, !isServerFull { notices.append(.generatorFull(share: own)) }
        let p99 = responseMicros(99)
        if generator.lateP99Micros > 100, generator.lateP99Micros > p99 / 4 {
            notices.append(.generatorLate(micros: generator.lateP99Micros))
        }
        if wrong > 0 { notices.append(.wrong(wrong)) }
        if refused > 0 { notices.append(.refused(refused)) }
        if unanswered > 0 { notices.append(.unanswered(unanswered)) }
        if unsent > 0 { notices.append(.unsent(unsent)) }
        return notices
    }
}

/// Something to be said beside the figures of a run.
package enum LoadNotice: Sendable, Equatable {
    case generatorFull(share: Double)
    case generatorLate(micros: Double)
    case wrong(Int)
    case refused(Int)
    case unanswered(Int)
    case unsent(Int)
}

extension LoadNotice: CustomStringConvertible {
    package var description: String {
        switch self {
        case .generatorFull(let share):
            "the generator was the limit, not the server: it used \(Int(share * 100)) % of its processor"
        case .generatorLate(let micros):
            "the generator sent late: one request in a hundred by \(Int(micros)) µs or more; give it a processor of its "
                + "own, or a lower rate"
        case .wrong(let count): "\(count) answers were WRONG"
        case .refused(let count): "\(count) requests were refused as the server was busy"
        case .unanswered(let count): "\(count) requests were never answered"
        case .unsent(let count):
            "\(count) requests were due but not sent before the end, and count as having waited until then"
        }
    }
}
