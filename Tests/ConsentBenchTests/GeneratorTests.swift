import ConsentKernel
import Histogram
import Testing

@testable import ConsentBench

struct GeneratorTests {
    private static func asking() -> Asking {
        var asking = Asking(Population(subjects: 300))
        asking.deniedShare = 0
        return asking
    }

    private static func talk(_ thread: Int) -> RedisConversation {
        RedisConversation(.single, asking: asking(), runSeed: 1, thread: thread)
    }

    @Test(arguments: [1, 3], [1, 4])
    func aClosedLoopAsksAsOftenAsItWasToldAndEveryAnswerIsCounted(connections: Int, pipeline: Int) throws {
        let server = try LineServer(connections: connections)
        var plan = LoadPlan(server.address)
        (plan.connections, plan.pipeline, plan.warmUpSeconds) = (connections, pipeline, 0)
        plan.extent = .requests(500)
        let result = try LoadRun.run(plan, conversation: Self.talk)
        #expect(result.answersInAll == 500 && result.answers == 500)
        #expect(result.wrong == 0 && result.unanswered == 0 && result.unsent == 0)
        #expect(result.latencies.response.totalCount == 500 && result.latencies.service.totalCount == 500)
        #expect(server.answered == 500)
    }

    @Test func threadsShareTheRequests() throws {
        let server = try LineServer(connections: 4)
        var plan = LoadPlan(server.address)
        (plan.connections, plan.threads, plan.warmUpSeconds, plan.extent) = (4, 3, 0, .requests(101))
        let result = try LoadRun.run(plan, conversation: Self.talk)
        #expect(result.answersInAll == 101 && server.answered == 101)
    }

    @Test func wrongAnswersAreCountedAndTheFirstIsDescribed() throws {
        let server = try LineServer(connections: 1) { $0 % 10 == 3 ? ":0\r\n" : ":1\r\n" }
        var plan = LoadPlan(server.address)
        (plan.connections, plan.warmUpSeconds, plan.extent) = (1, 0, .requests(100))
        let result = try LoadRun.run(plan, conversation: Self.talk)
        #expect(result.wrong == 10 && result.answersInAll == 100)
        #expect(try #require(result.firstWrong).contains("subject-"))
        #expect(result.notices.contains(.wrong(10)))
    }

    /// While the server stands still, requests go on being due. Each of them has waited, though it was sent late or not at
    /// all: a generator that measured from the sending would have seen one slow answer.
    @Test func whatWasDueWhileTheServerStoodStillHasWaited() throws {
        let pauseMillis: Int32 = 300
        let server = try LineServer(connections: 1) { number in
            if number == 200 { Wakeup.pause(millis: pauseMillis) }
            return ":1\r\n"
        }
        var plan = LoadPlan(server.address)
        (plan.connections, plan.pipeline, plan.warmUpSeconds) = (1, 1, 0)
        plan.pace = .open(perSecond: 1000, isPoisson: false)
        plan.extent = .requests(800)
        let result = try LoadRun.run(plan, conversation: Self.talk)
        let (response, service) = (result.latencies.response, result.latencies.service)
        #expect(response.totalCount == 800)
        // Those due in the first half of the pause waited for its second half at least.
        let long = UInt64(pauseMillis) * 1_000_000 / 2
        #expect(response.count(within: long...UInt64.max / 4) >= 140)
        #expect(service.count(within: 0...UInt64.max / 4) == 800)
        #expect(response.count(within: long...UInt64.max / 4) > service.count(within: long...UInt64.max / 4))
    }

    @Test func whatCouldNotBeSentBeforeTheEndIsCounted() throws {
        let server = try LineServer(connections: 1) { _ in
            Wakeup.pause(millis: 40)
            return ":1\r\n"
        }
        var plan = LoadPlan(server.address)
        (plan.connections, plan.pipeline, plan.warmUpSeconds) = (1, 1, 0)
        (plan.pace, plan.extent) = (.open(perSecond: 1000, isPoisson: true), .seconds(0.3))
        let result = try LoadRun.run(plan, conversation: Self.talk)
        #expect(result.unsent > 100)
        #expect(result.notices.contains(.unsent(result.unsent)))
        #expect(result.latencies.response.totalCount == UInt64(result.answersInAll + result.unsent))
    }

    @Test func aServerThatHangsUpIsAnError() throws {
        let server = try LineServer(connections: 1, answersMax: 5)
        var plan = LoadPlan(server.address)
        (plan.connections, plan.extent) = (1, .requests(100))
        #expect(throws: LoadFailure.self) { try LoadRun.run(plan, conversation: Self.talk) }
    }

    @Test func aServerOfAnotherProtocolIsAnError() throws {
        let server = try LineServer(connections: 1) { _ in "what?\r\n" }
        var plan = LoadPlan(server.address)
        (plan.connections, plan.extent) = (1, .requests(10))
        #expect(throws: LoadFailure.self) { try LoadRun.run(plan, conversation: Self.talk) }
    }

    @Test func plansThatCannotBeAreRefused() {
        for change: (inout LoadPlan) -> Void in [
            { $0.threads = 0 }, { $0.connections = 0 }, { $0.pipeline = 0 }, { $0.warmUpSeconds = -1 },
            { $0.extent = .seconds(0) }, { $0.extent = .requests(0) },
            { $0.pace = .open(perSecond: 0, isPoisson: false) }, { $0.spinMicros = -1 },
        ] {
            var plan = LoadPlan(.unix(path: "/nowhere"))
            change(&plan)
            #expect(throws: LoadFailure.self) { try plan.validate() }
        }
    }

    // MARK: Timetables

    @Test func threadsTakeTurnsEvenly() {
        let threads = 4
        var due: [Int64] = []
        for thread in 0..<threads {
            var timetable = Timetable(
                perSecond: 1e6, isPoisson: false, thread: thread, threads: threads, begin: 5000, seed: 1)
            for _ in 0..<100 {
                due.append(timetable.next)
                timetable.advance()
            }
        }
        #expect(due.sorted() == (0..<400).map { 5000 + Int64($0) * 1000 })
    }

    @Test func aTimetableDoesNotDrift() {
        var timetable = Timetable(perSecond: 3, isPoisson: false, thread: 0, threads: 1, begin: 0, seed: 1)
        for _ in 0..<3_000_000 { timetable.advance() }
        #expect(abs(timetable.next - 1_000_000_000_000_000) < 1000)
    }

    @Test func poissonArrivalsHaveTheirMeanAndTheirSpread() {
        var timetable = Timetable(perSecond: 1000, isPoisson: true, thread: 0, threads: 1, begin: 0, seed: 7)
        var gaps: [Double] = []
        var last: Int64 = 0
        for _ in 0..<100_000 {
            gaps.append(Double(timetable.next - last))
            last = timetable.next
            timetable.advance()
        }
        let mean = gaps.reduce(0, +) / Double(gaps.count)
        let variance = gaps.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(gaps.count)
        #expect(abs(mean / 1e6 - 1) < 0.02)
        #expect(abs(variance.squareRoot() / mean - 1) < 0.03)
        #expect(gaps.allSatisfy { $0 >= 0 })
    }

    // MARK: Times

    @Test func coarseTimesAreRightToASixteenth() {
        for nanos: Int64 in [16, 100, 999, 12_345, 1_000_000, 987_654_321, 60_000_000_000] {
            var times = CoarseTimes()
            times.record(nanos)
            #expect(abs(times.nanos(atShare: 0.99) / Double(nanos) - 1) < 1.0 / 16)
        }
        var times = CoarseTimes()
        for step in 1...1000 { times.record(Int64(step) * 1000) }
        #expect(abs(times.nanos(atShare: 0.5) / 500_000 - 1) < 0.08)
        #expect(abs(times.nanos(atShare: 0.99) / 990_000 - 1) < 0.08)
        #expect(CoarseTimes().nanos(atShare: 0.5) == 0)
        // Beyond what it tells apart.
        times.record(0)
        times.record(.max)
        #expect(times.total == 1002)
    }

    // MARK: The knee

    @Test func theKneeIsBetweenWhatWasKeptAndWhatWasNot() throws {
        // A server that answers 10,000 a second and no more.
        var rates: [Double] = []
        let ramp = try Ramp(LoadPlan(.unix(path: "")), isPoisson: false) { plan in
            var result = LoadResult()
            result.seconds = 1
            result.answers = 10_000
            if case .open(let rate, _) = plan.pace {
                rates.append(rate)
                result.answers = Int(min(rate, 10_500))
            }
            return result
        } step: { _ in
        }
        let knee = try #require(ramp.knee)
        #expect(knee > 10_000 && knee <= 10_500 / Ramp.answeredShareMin)
        #expect(rates.contains { $0 > knee })
        #expect(ramp.closedMax.perSecond == 10_000)
    }

    @Test func whereNothingIsAnsweredInAShortRunALongerOneIsMade() throws {
        var plan = LoadPlan(.unix(path: ""))
        plan.extent = .seconds(0.05)
        var seconds: [Double] = []
        let ramp = try Ramp(plan, isPoisson: false) { plan in
            guard case .seconds(let long) = plan.extent else { return LoadResult() }
            seconds.append(long)
            var result = LoadResult()
            result.seconds = long
            if long > 0.5 { result.answers = 800 }
            return result
        } step: { _ in
        }
        #expect(ramp.closedMax.answers == 800)
        #expect(Array(seconds.prefix(3)) == [0.05, 0.2, 0.8] && seconds.dropFirst(3).allSatisfy { $0 == 0.8 })
        #expect(throws: LoadFailure.self) {
            try Ramp(plan, isPoisson: false) { _ in
                LoadResult()
            } step: { _ in
            }
        }
    }
}
