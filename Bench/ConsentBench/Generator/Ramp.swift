/// A search for the rate beyond which a server does not follow, or only with waiting: the knee.
package struct Ramp: Sendable {
    /// One step of it.
    package struct Step: Sendable {
        package var perSecond: Double
        package var result: LoadResult
        package var isPastKnee: Bool
    }

    package private(set) var steps: [Step] = []
    /// What the server answered to a closed loop, at its own pace.
    package private(set) var closedMax = LoadResult()
    /// The highest rate that was kept; nil if none was.
    package var knee: Double? { steps.filter { !$0.isPastKnee }.map(\.perSecond).max() }

    /// Shares of the closed loop's maximum that are tried in turn, until one is too much.
    private static let shares = Swift.stride(from: 0.1, through: 1.5, by: 0.1)
    /// Rates tried between the last that was kept and the first that was not.
    private static let refinements = 3
    /// A step that answers fewer than this share of what was due is past the knee.
    static let answeredShareMin = 0.98
    /// So is one whose 99th percentile is this many times that of the first step, and more than a millisecond.
    static let slowdownMax = 8.0
    static let slowMicrosMin = 1000.0
    /// A server that has answered nothing for so long is not measured.
    static let secondsWithoutAnswerMax = 10.0

    /// - Parameters:
    ///   - plan: its pace is set here; a closed loop first, then one rate after another.
    ///   - run: runs a plan.
    ///   - step: is told of each step.
    /// - Throws: ``LoadFailure`` `nothingAnswered`, and what `run` throws.
    package init(
        _ plan: LoadPlan, isPoisson: Bool, run: (LoadPlan) throws -> LoadResult, step: (Step) -> Void
    ) throws {
        var (plan, closed) = (plan, plan)
        closed.pace = .closed
        closedMax = try run(closed)
        // On a machine that does other things, a short run can pass before anything is answered.
        while closedMax.answers == 0, case .seconds(let seconds) = plan.extent {
            guard seconds < Self.secondsWithoutAnswerMax else { throw LoadFailure.nothingAnswered(plan.address) }
            plan.extent = .seconds(seconds * 4)
            closed.extent = plan.extent
            closedMax = try run(closed)
        }
        func attempt(_ rate: Double) throws -> Step {
            var open = plan
            open.pace = .open(perSecond: rate, isPoisson: isPoisson)
            // Room enough that what is due is sent when it is due.
            open.pipeline = max(plan.pipeline, 64)
            let result = try run(open)
            let made = Step(
                perSecond: rate, result: result, isPastKnee: Self.isPastKnee(result, rate, first: steps.first?.result))
            step(made)
            return made
        }
        var (kept, lost): (Double, Double?) = (0, nil)
        for share in Self.shares {
            let made = try attempt(share * closedMax.perSecond)
            steps.append(made)
            if made.isPastKnee {
                lost = made.perSecond
                break
            }
            kept = made.perSecond
        }
        guard var lost, kept > 0 else { return }
        for _ in 0..<Self.refinements {
            let made = try attempt((kept + lost) / 2)
            steps.append(made)
            if made.isPastKnee { lost = made.perSecond } else { kept = made.perSecond }
        }
    }

    static func isPastKnee(_ result: LoadResult, _ rate: Double, first: LoadResult?) -> Bool {
        if result.perSecond < rate * answeredShareMin { return true }
        let limit = max(slowMicrosMin, slowdownMax * (first?.responseMicros(99) ?? .infinity))
        return result.responseMicros(99) > limit
    }
}
