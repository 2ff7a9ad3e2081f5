import ConsentModel
import ConsentTestSupport
import Foundation
import Testing

/// A catalog, one of its purposes, a history and a moment, all at random. Times come from a small set, so that ties and
/// meetings are frequent.
struct Situation: CustomStringConvertible {
    var catalog: Catalog
    var purpose: Purpose
    var history: [Act]
    var clock: Timestamp

    var verdict: Verdict { verdict(at: clock) }

    func verdict(at clock: Timestamp) -> Verdict { decide(history, catalog: catalog, purpose: purpose, at: clock) }

    /// The history with the sequences that its order gives, and one act more.
    func adding(_ act: Act) -> Situation {
        var longer = self
        var act = act
        act.sequence = UInt64(history.count + 1)
        longer.history.append(act)
        return longer
    }

    var description: String {
        let acts = history.map { "  \($0)" }.joined(separator: "\n")
        return "purpose \(purpose)\ndeclarations \(catalog.declarations)\nhistory\n\(acts)\nclock \(clock.iso8601)"
    }
}

enum RandomSituations {
    /// Runs a claim on `count` situations and stops at the first that breaks it.
    ///
    /// - Parameter claim: what is wrong in a situation; nil if nothing is.
    static func check(
        _ count: Int, salt: UInt64, sourceLocation: SourceLocation = #_sourceLocation,
        claim: (Situation, inout SeededGenerator) -> String?
    ) {
        var generator = SeededGenerator(salt: salt)
        for round in 0..<count {
            let situation = make(&generator)
            guard let wrong = claim(situation, &generator) else { continue }
            Issue.record(
                "CONSENT_TEST_SEED=\(TestSeed.value), round \(round): \(wrong)\n\(situation)",
                sourceLocation: sourceLocation)
            return
        }
    }

    /// Days after an arbitrary moment.
    static func day(_ number: Int) -> Timestamp { Timestamp(seconds: 1_772_000_000 + Int64(number) * 86_400) }

    static let lastDay = 40

    /// A moment at, just before or just after one of the days.
    static func moment(_ generator: inout SeededGenerator) -> Timestamp {
        Timestamp(millis: day(generator.below(lastDay)).millis + generator.pick([-1, 0, 0, 1]))
    }

    private static func make(_ generator: inout SeededGenerator) -> Situation {
        let purpose = makePurpose(&generator)
        let declarations = ["a", "b"].prefix(generator.oneIn(3) ? 2 : 1).map { makeDeclaration($0, &generator) }
        let catalog = Catalog(
            dataCategories: [
                DataCategory(id: "purchases", name: "purchases", isSpecial: false),
                DataCategory(id: "health", name: "health", isSpecial: true),
            ],
            purposes: [purpose], declarations: declarations)
        let count = generator.below(8)
        let history = (0..<count).map { makeAct(sequence: $0 + 1, count: count, &generator) }
        return Situation(catalog: catalog, purpose: purpose, history: history, clock: moment(&generator))
    }

    private static func makePurpose(_ generator: inout SeededGenerator) -> Purpose {
        let basis = generator.oneIn(3) ? generator.pick(LawfulBasis.allCases) : .consent
        var purpose = Purpose(id: "p", bit: generator.below(64), controller: "c", title: [:], basis: basis)
        purpose.requiresExplicit = generator.oneIn(5)
        purpose.requiresDoubleOptIn = generator.oneIn(4)
        purpose.isProfiling = generator.oneIn(4)
        purpose.isDirectMarketing = generator.oneIn(4)
        purpose.isActive = !generator.oneIn(12)
        if generator.oneIn(4) { purpose.minimumAge = generator.pick([0, 13, 13]) }
        if generator.oneIn(8) { purpose.dataCategories = generator.pick([["health"], ["purchases"]]) }
        if generator.oneIn(2) { purpose.validity = Period(seconds: Int64(1 + generator.below(30)) * 86_400) }
        return purpose
    }

    private static func makeDeclaration(_ id: String, _ generator: inout SeededGenerator) -> Declaration {
        let count = 1 + generator.below(4)
        var effectiveDay = generator.below(6)
        let revisions = (0..<count).map { number in
            defer { effectiveDay += 1 + generator.below(12) }
            let older = number > 0 && !generator.oneIn(3) ? "\(generator.below(number))" : nil
            return Revision(
                name: "\(number)", effectiveAt: day(effectiveDay), purposes: generator.oneIn(8) ? ["q"] : ["p", "q"],
                dataCategories: generator.oneIn(2) ? generator.pick([["purchases"], ["purchases", "health"]]) : [],
                compatibleWith: older)
        }
        return Declaration(id: id, revisions: revisions)
    }

    private static let states: [EventState] =
        EventState.allCases + [.given, .given, .given, .given, .given, .renewed, .renewed, .confirmed, .confirmed]

    static func makeAct(sequence: Int, count: Int, _ generator: inout SeededGenerator) -> Act {
        var state = generator.pick(states)
        if state == .erased, !generator.oneIn(2) { state = .given }
        var act = Act(sequence: UInt64(sequence), state: state, capturedAt: day(generator.below(20)))
        if !generator.oneIn(12) {
            act.revision = RevisionName(
                declaration: generator.oneIn(4) ? "b" : "a", revision: "\(generator.pick([0, 0, 0, 1, 1, 2, 3]))")
        }
        if generator.oneIn(4) { act.expiresAt = day(generator.below(lastDay)) }
        act.method = generator.oneIn(6) ? .doubleOptIn : .tickedBox
        act.isExplicit = generator.oneIn(2)
        act.party = generator.oneIn(3) ? generator.pick(Party.allCases) : .subject
        if !generator.oneIn(3) { act.subjectAge = generator.oneIn(8) ? 0 : 10 + generator.below(6) }
        if state == .confirmed || state == .expired { act.refersTo = UInt64(generator.below(count + 2)) }
        return act
    }
}
