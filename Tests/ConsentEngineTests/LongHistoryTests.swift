import ConsentEngine
import ConsentModel
import ConsentTestSupport
import Testing

/// People of whom very much is recorded: a till that is tested, a number that everybody gives.
struct LongHistoryTests {
    private let busy = Identifier.customer("busy")
    private let other = Identifier.customer("other")

    private func event(_ number: Int, of person: Identifier? = nil) -> ConsentEvent {
        let state: EventState = number % 3 == 0 ? .withdrawn : .requested
        return ConsentEvent([person ?? busy], "p\(number % 4)", state, at: secondsAgo(Int64(100_000 - number)))
    }

    @Test func everyPageIsWhatTheWholeHistorySays() throws {
        let node = try TestNode(.consents(bits: 0..<4))
        var recorded = 0
        func record(_ count: Int) throws {
            let events = (recorded..<recorded + count).flatMap { [event($0), event($0, of: other)] }
            _ = try node.engine.record(events)
            recorded += count
        }
        try record(1500)
        for size in [1, 7, 256, 1000] {
            let whole = try node.engine.history(of: busy, after: 0, countMax: .max).events
            #expect(whole.count == recorded)
            var (paged, after): ([UInt64], UInt64) = ([], 0)
            for _ in 0..<(size < 100 ? 5 : 20) {
                let page = try node.engine.history(of: busy, after: after, countMax: size).events
                paged += page.map(\.sequence)
                after = page.last?.sequence ?? after
                // It grows while it is read.
                if paged.count < 500 { try record(3) }
            }
            let now = try node.engine.history(of: busy, after: 0, countMax: .max).events.map(\.sequence)
            #expect(paged == Array(now.prefix(paged.count)), "pages of \(size)")
            if size > 100 { #expect(paged == now) }
            // From the middle, and from behind the end.
            let middle = now[now.count / 2]
            #expect(
                try node.engine.history(of: busy, after: middle, countMax: 5).events.map(\.sequence)
                    == Array(now[(now.count / 2 + 1)...].prefix(5)))
            #expect(try node.engine.history(of: busy, after: now.last!, countMax: 5).events.isEmpty)
        }
        try node.restart()
        #expect(try node.engine.history(of: other, after: 0, countMax: .max).events.count == recorded)
        try node.expectSound()
    }

    /// Without keys, what comes again is known by what it says, however far back that is.
    @Test(arguments: [0, Engine.overlapWeightMin]) func whatComesAgainLateIsKnown(_ overlapWeightMin: Int) throws {
        let node = try TestNode(.consents(bits: 0..<4), overlapWeightMin: overlapWeightMin)
        let events = (0..<2000).map { event($0) }
        let sequences = try node.engine.record(events).outcomes.map(\.sequence)
        for round in 0..<3 {
            for number in [3, 700, 1999, 0, 1200] {
                #expect(
                    try node.engine.recordOne(events[number]) == .duplicate(sequence: sequences[number]!),
                    "round \(round), \(number)")
            }
            // What is new is recorded, and known from then on.
            let late = event(50).with { $0.evidence = "round \(round)" }
            let first = try node.engine.recordOne(late)
            #expect(first.isRecorded)
            #expect(try node.engine.recordOne(late) == .duplicate(sequence: first.sequence!))
            let many = try node.engine.record(events + [late])
            #expect(many.outcomes == (sequences + [first.sequence]).map { .duplicate(sequence: $0!) })
            // More than are walked again.
            let more = (0..<300).map { ConsentEvent([busy], "p1", .deferred, at: secondsAgo(Int64($0 + 1000 * round))) }
            let added = try node.engine.record(more).outcomes.map(\.sequence)
            #expect(try node.engine.record(more).outcomes == added.map { .duplicate(sequence: $0!) })
            if round == 1 { try node.restart() }
        }
        try node.expectSound()
    }
}
