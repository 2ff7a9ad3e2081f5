import Histogram

/// What a command measured, as a program reads it and as a later report reads it again.
package struct ReportDocument: Codable, Sendable {
    package var format = 1
    package var machine: MachineFacts
    package var runs: [RunSummary] = []
    package var cases: [ComparisonCase] = []
    package var micro: [MicroResult] = []
    /// The highest rate that a ramp found to be kept; nil without one.
    package var kneePerSecond: Double?

    package static let formatRead = 1

    package init(machine: MachineFacts) { self.machine = machine }
}

/// A run of the generator.
package struct RunSummary: Codable, Sendable {
    package var name: String
    /// Runs of one group are shown in one plot.
    package var group: String
    package var parameters: [Parameter]
    package var seconds: Double
    package var answers: Int
    package var answersPerSecond: Double
    package var unitsPerSecond: Double
    package var answersInAll: Int
    package var wrong: Int
    package var refused: Int
    package var unanswered: Int
    package var unsent: Int
    package var firstWrong: String?
    /// All operations together, then each if there are several.
    package var operations: [OperationSummary]
    package var timeline: [Moment]
    package var generatorProcessorShare: Double
    package var generatorBusyShare: Double
    package var sendLatenessP99Micros: Double
    package var serverProcessorShare: Double?
    package var serverMicrosPerUnit: Double?
    package var notices: [Notice]

    package struct Parameter: Codable, Sendable, Equatable {
        package var name: String
        package var value: String

        package init(_ name: String, _ value: String) {
            self.name = name
            self.value = value
        }
    }

    package struct OperationSummary: Codable, Sendable {
        package var name: String
        package var units: Int
        package var response: TimeSummary
        package var service: TimeSummary
    }

    package struct Moment: Codable, Sendable {
        package var second: Double
        package var perSecond: Double
        package var p50Micros: Double
        package var p99Micros: Double
    }

    /// A ``LoadNotice``, by name.
    package struct Notice: Codable, Sendable, Equatable {
        package var kind: Kind
        package var value: Double

        package enum Kind: String, Codable, Sendable, CaseIterable {
            case generatorFull, generatorLate, wrong, refused, unanswered, unsent
        }
    }

    package init(_ result: LoadResult, name: String, group: String, parameters: [Parameter]) {
        self.name = name
        self.group = group
        self.parameters = parameters
        seconds = result.seconds
        answers = result.answers
        answersPerSecond = result.perSecond
        unitsPerSecond = result.unitsPerSecond
        answersInAll = result.answersInAll
        wrong = result.wrong
        refused = result.refused
        unanswered = result.unanswered
        unsent = result.unsent
        firstWrong = result.firstWrong
        func summary(_ name: String, _ units: Int, _ latencies: Latencies) -> OperationSummary {
            OperationSummary(
                name: name, units: units, response: TimeSummary(latencies.response),
                service: TimeSummary(latencies.service))
        }
        operations = [summary("all", 1, result.latencies)]
        if result.operations.count > 1 {
            operations += result.operations.map { summary($0.operation.name, $0.operation.units, $0.latencies) }
        } else {
            operations[0].units = result.operations.first?.operation.units ?? 1
        }
        timeline = result.timeline.map {
            Moment(
                second: ($0.second * 1000).rounded() / 1000, perSecond: $0.perSecond.rounded(),
                p50Micros: ($0.p50Micros * 10).rounded() / 10, p99Micros: ($0.p99Micros * 10).rounded() / 10)
        }
        generatorProcessorShare = result.generator.processorShare
        generatorBusyShare = result.generator.busyShare
        sendLatenessP99Micros = result.generator.lateP99Micros
        serverProcessorShare = result.serverShare
        serverMicrosPerUnit = result.serverNanosPerUnit.map { $0 / 1000 }
        notices = result.notices.map(Notice.init)
    }
}

extension RunSummary.Notice {
    init(_ notice: LoadNotice) {
        (kind, value) =
            switch notice {
            case .generatorFull(let share): (.generatorFull, share)
            case .generatorLate(let micros): (.generatorLate, micros)
            case .wrong(let count): (.wrong, Double(count))
            case .refused(let count): (.refused, Double(count))
            case .unanswered(let count): (.unanswered, Double(count))
            case .unsent(let count): (.unsent, Double(count))
            }
    }
}

/// How times are spread, in microseconds.
package struct TimeSummary: Codable, Sendable {
    package var count: UInt64
    package var mean: Double
    package var p50: Double
    package var p90: Double
    package var p99: Double
    package var p999: Double
    package var p9999: Double
    package var max: Double
    /// Percentiles and their times, closer together towards the end.
    package var curve: [Point]

    package struct Point: Codable, Sendable {
        package var percentile: Double
        package var micros: Double
    }

    init(_ histogram: Histogram<UInt64>) {
        count = histogram.totalCount
        mean = count == 0 ? 0 : histogram.mean / 1000
        p50 = LoadResult.micros(histogram, 50)
        p90 = LoadResult.micros(histogram, 90)
        p99 = LoadResult.micros(histogram, 99)
        p999 = LoadResult.micros(histogram, 99.9)
        p9999 = LoadResult.micros(histogram, 99.99)
        max = LoadResult.micros(histogram, 100)
        curve = []
        guard count > 0 else { return }
        for value in histogram.percentiles(ticksPerHalfDistance: 5) {
            let percentile = (value.percentileLevelIteratedTo * 1e7).rounded() / 1e7
            curve.append(Point(percentile: percentile, micros: Double(value.value) / 1000))
        }
    }
}
