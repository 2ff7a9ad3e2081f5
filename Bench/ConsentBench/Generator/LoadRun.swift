import ConsentKernel
import Synchronization

/// How far a run has come, for a line that people watch.
package struct LoadProgress: Sendable {
    /// Since the run began, its warm-up included.
    package var seconds: Double
    package var isWarmUp: Bool
    package var answers: Int
    package var perSecond: Double
    package var p99Micros: Double
    package var wrong: Int
}

/// A generator of load. The same for every server, so that what differs is the server.
package enum LoadRun {
    /// Parts of a run that the timeline has a point for.
    static func partNanos(_ plan: LoadPlan) -> Int64 {
        guard case .seconds(let seconds) = plan.extent else { return 250_000_000 }
        return max(50_000_000, Int64(seconds * 1e9 / 120))
    }

    /// Runs a plan against a server of our own protocol.
    ///
    /// Not generic: whoever calls it from another module would get a generator that the compiler made for any
    /// conversation, which sends a third as much.
    ///
    /// - Parameters:
    ///   - processorNanos: how much processor time the server has used so far; nil if that is not known.
    ///   - progress: is told about twice a second.
    ///   - conversation: makes a thread's own.
    /// - Throws: ``LoadFailure``, ``SystemError``. All connections are closed.
    package static func ask(
        _ plan: LoadPlan, processorNanos: () -> Int64? = { nil }, progress: (LoadProgress) -> Void = { _ in },
        conversation: (_ thread: Int) -> ConsentConversation
    ) throws -> LoadResult {
        try run(plan, processorNanos: processorNanos, progress: progress, conversation: conversation)
    }

    /// Runs a plan to its end.
    ///
    /// - Parameters:
    ///   - processorNanos: how much processor time the server has used so far; nil if that is not known.
    ///   - progress: is told about twice a second.
    ///   - conversation: makes a thread's own.
    /// - Throws: ``LoadFailure``, ``SystemError``. All connections are closed.
    static func run<Talk: Conversation & Sendable>(
        _ plan: LoadPlan, processorNanos: () -> Int64? = { nil }, progress: (LoadProgress) -> Void = { _ in },
        conversation: (_ thread: Int) -> Talk
    ) throws -> LoadResult {
        try plan.validate()
        let shared = LoadShared()
        let outcomes = Outcomes(count: plan.threads)
        var operations: [Operation] = []
        let threads = (0..<plan.threads).map { number in
            let talk = conversation(number)
            operations = talk.operations
            return ConsentKernel.Thread(name: "load \(number)") {
                if !plan.processors.isEmpty {
                    ConsentKernel.Thread.pin(toProcessor: plan.processors[number % plan.processors.count])
                }
                outcomes.set(number, Result { try LoadThread(plan, number: number, shared: shared, talk: talk).run() })
                if outcomes.hasFailed { shared.mustStop.store(true, ordering: .relaxed) }
                shared.finished.add(1, ordering: .releasing)
            }
        }
        let serverNanos = watch(plan, shared, processorNanos, progress)
        for thread in threads { thread.join() }
        let results = try outcomes.all()
        return merge(plan, operations, results, begin: shared.begin.load(ordering: .relaxed), serverNanos)
    }

    /// Starts the threads together, looks on, and measures the server over the measured part.
    private static func watch(
        _ plan: LoadPlan, _ shared: LoadShared, _ processorNanos: () -> Int64?, _ progress: (LoadProgress) -> Void
    ) -> Int64? {
        func isFinished() -> Bool { shared.finished.load(ordering: .acquiring) == plan.threads }
        while shared.ready.load(ordering: .acquiring) < plan.threads, !isFinished(),
            !shared.mustStop.load(ordering: .relaxed)
        { Wakeup.pause(millis: 1) }
        let begin = Clock.monotonicNanos() + 2_000_000
        shared.begin.store(begin, ordering: .releasing)
        let measureFrom = begin + Int64(plan.warmUpSeconds * 1e9)
        var end = Int64.max
        if case .seconds(let seconds) = plan.extent { end = measureFrom + Int64(seconds * 1e9) }
        var (first, last): (Int64?, Int64?)
        var isPastEnd = false
        var (shownAt, shownAnswers) = (begin, 0)
        while !isFinished() {
            let now = Clock.monotonicNanos()
            if first == nil, now >= measureFrom { first = processorNanos() }
            if !isPastEnd { (last, isPastEnd) = (processorNanos(), now >= end) }
            if now - shownAt > 500_000_000 {
                let answers = shared.answers.load(ordering: .relaxed)
                progress(
                    LoadProgress(
                        seconds: Double(now - begin) / 1e9, isWarmUp: now < measureFrom, answers: answers,
                        perSecond: Double(answers - shownAnswers) * 1e9 / Double(now - shownAt),
                        p99Micros: Double(shared.p99Nanos.load(ordering: .relaxed)) / 1000,
                        wrong: shared.wrong.load(ordering: .relaxed)))
                (shownAt, shownAnswers) = (now, answers)
            }
            let next = [measureFrom, end].filter { $0 > now }.min().map { ($0 - now) / 1_000_000 + 1 } ?? 20
            Wakeup.pause(millis: Int32(clamping: min(next, 50)))
        }
        guard let first, let last else { return nil }
        return last - first
    }

    private static func merge(
        _ plan: LoadPlan, _ operations: [Operation], _ threads: [ThreadResult], begin: Int64, _ serverNanos: Int64?
    ) -> LoadResult {
        var result = LoadResult()
        var parts: [CoarseTimes] = []
        var lateness = CoarseTimes()
        result.operations = operations.map { ($0, Latencies()) }
        for thread in threads {
            result.answers += thread.answers
            result.units += thread.units
            result.answersInAll += thread.answersInAll
            result.wrong += thread.wrong
            result.refused += thread.refused
            result.unanswered += thread.unanswered
            result.unsent += thread.unsent
            result.firstWrong = result.firstWrong ?? thread.firstWrong
            for position in operations.indices { result.operations[position].latencies.add(thread.latencies[position]) }
            while parts.count < thread.parts.count { parts.append(CoarseTimes()) }
            for (position, part) in thread.parts.enumerated() { parts[position].add(part) }
            lateness.add(thread.lateness)
            result.generator.processorShare = max(result.generator.processorShare, thread.processorShare)
            result.generator.busyShare = max(result.generator.busyShare, thread.busyShare)
        }
        let measureFrom = begin + Int64(plan.warmUpSeconds * 1e9)
        let ended =
            switch plan.extent {
            case .seconds: threads.map(\.sendingEndedAt).max() ?? measureFrom
            case .requests: threads.map(\.lastAnswerAt).max() ?? measureFrom
            }
        result.seconds = max(1e-9, Double(ended - measureFrom) / 1e9)
        result.timeline = timeline(parts, partSeconds: Double(partNanos(plan)) / 1e9, seconds: result.seconds)
        result.generator.isSpinning = plan.spinMicros > 0 || plan.pace != .closed
        result.generator.lateP99Micros = lateness.nanos(atShare: 0.99) / 1000
        result.serverNanos = serverNanos
        return result
    }

    private static func timeline(
        _ parts: [CoarseTimes], partSeconds: Double, seconds: Double
    ) -> [LoadResult.Moment] {
        parts.enumerated().compactMap { position, part in
            // The last part may be short; a sliver of one says nothing.
            let length = min(partSeconds, seconds - Double(position) * partSeconds)
            guard length > partSeconds / 4 else { return nil }
            return LoadResult.Moment(
                second: Double(position) * partSeconds, perSecond: Double(part.total) / length,
                p50Micros: part.nanos(atShare: 0.5) / 1000, p99Micros: part.nanos(atShare: 0.99) / 1000)
        }
    }
}

/// What the threads ended with.
private final class Outcomes: Sendable {
    private let outcomes: Mutex<[Result<ThreadResult, any Error>?]>

    init(count: Int) { outcomes = Mutex(Array(repeating: nil, count: count)) }

    func set(_ number: Int, _ outcome: Result<ThreadResult, any Error>) {
        outcomes.withLock { $0[number] = outcome }
    }

    var hasFailed: Bool {
        outcomes.withLock { outcomes in
            outcomes.contains { if case .failure = $0 { true } else { false } }
        }
    }

    func all() throws -> [ThreadResult] { try outcomes.withLock { try $0.compactMap { try $0?.get() } } }
}
