import ConsentEngine
import ConsentIndex
import ConsentKernel
import ConsentLedger
import ConsentModel
import ConsentTestSupport
import Testing

/// A hundred thousand decisions a run, about people and under catalogs that nobody thought of: decision function, index,
/// explain, and a replay of the ledger say the same.
struct ManyDecisionsTests {
    private static let nodes = 25
    private static let peoplePerNode = 250
    private static let purposesPerNode = 16
    /// Asking the ledger costs far more than asking the index; that many of the answers are compared.
    private static let explainedOneIn: UInt64 = 10

    @Test func theNumbersMakeAHundredThousand() {
        #expect(Self.nodes * Self.peoplePerNode * Self.purposesPerNode == 100_000)
    }

    @Test(arguments: 0..<nodes) func allAgreeAboutEverybodyAndEveryPurpose(_ number: Int) throws {
        var generator = SeededGenerator(salt: 9000 + UInt64(number))
        let catalog = Self.catalog(&generator)
        let node = try TestNode(catalog)
        let people = (0..<Self.peoplePerNode).map { Identifier.customer("\($0)") }
        for _ in 0..<4 {
            let events = (0..<300).map { _ in Self.event(people, catalog, node.clockAheadMillis, &generator) }
            _ = try node.engine.record(events)
            if generator.oneIn(3) { node.clockAheadMillis += Int64(generator.below(4 * 86_400_000)) }
        }
        // What time alone has changed is recorded with what comes next.
        _ = try node.engine.record([ConsentEvent([people[0]], "p0", .refused)])
        var decided = 0
        for person in people {
            let place = "CONSENT_TEST_SEED=\(TestSeed.value), node \(number), \(person.text)"
            let isExplained = generator.oneIn(Self.explainedOneIn)
            decided += catalog.purposes.count
            guard var wrong = try disagreement(node, person, isExplained) else { continue }
            // An end may have come between two of the questions.
            sleep(until: now.advanced(millis: 300))
            guard let still = try disagreement(node, person, isExplained) else { continue }
            wrong = still
            Issue.record("\(place): \(wrong)")
            return
        }
        #expect(decided == Self.peoplePerNode * Self.purposesPerNode)
        try node.expectSound()
    }

    private func disagreement(_ node: TestNode, _ person: Identifier, _ isExplained: Bool) throws -> String? {
        let engine = node.engine
        let catalog = engine.catalog.catalog
        let acts = Dictionary(grouping: try engine.events(person), by: \.event.purpose).mapValues { $0.map(Act.init) }
        for purpose in catalog.purposes {
            let history = acts[purpose.id] ?? []
            let moment = now.advanced(millis: node.clockAheadMillis)
            let decided = decide(history, catalog: catalog, purpose: purpose, at: moment)
            let answer = engine.answer(person, purpose.bit, at: moment)
            let hasEnded =
                engine.publication.current.row(engine.hashKey.hash(person)).map {
                    $0.endsAt != IndexRow.never && Int64($0.endsAt) <= moment.secondsRoundedDown
                } ?? false
            // Past its row's earliest end, a consent that could be the one that ended is not granted.
            guard answer.decision == decided.decision || hasEnded && answer.decision == .unknown else {
                return "\(purpose.id): index \(answer.reason), events \(decided.reason)\n\(history)"
            }
            guard isExplained else { continue }
            let explained = try engine.explain(person, purposeBit: purpose.bit).verdict
            guard explained.reason == decided.reason, explained.decidingSequence == decided.decidingSequence else {
                return "\(purpose.id): explain \(explained.reason), events \(decided.reason)\n\(history)"
            }
        }
        return nil
    }

    // MARK: Making it up

    private static func catalog(_ generator: inout SeededGenerator) -> SampleCatalog {
        let bases = ["consent", "consent", "consent", "consent", "legitimate_interest", "public_task", "contract"]
        var bit = 0
        let purposes = (0..<purposesPerNode).map { number -> SampleCatalog.PurposeLines in
            bit += 1 + generator.below(10)
            var purpose = SampleCatalog.PurposeLines(
                "p\(number)", bit: bit, basis: number == 0 ? "consent" : generator.pick(bases))
            if generator.oneIn(4) { purpose.more.append("doubleOptIn: true") }
            if generator.oneIn(5) { purpose.more.append("explicit: true") }
            if generator.oneIn(4) { purpose.more.append("minimumAge: 15") }
            if generator.oneIn(4) { purpose.more.append("directMarketing: true") }
            if generator.oneIn(3) {
                purpose.more.append("validityDuration: \(generator.pick(["P3D", "P10D", "P30D", "P2Y"]))")
            }
            if number > 0, generator.oneIn(12) { purpose.more.append("active: false") }
            return purpose
        }
        return SampleCatalog(purposes, revisions: revisions(of: purposes.map(\.id), &generator))
    }

    /// A tree of revisions: each takes over from nobody or from any before it, and covers some or all purposes.
    private static func revisions(
        of purposes: [String], _ generator: inout SeededGenerator
    ) -> [SampleCatalog.RevisionLines] {
        var revisions: [SampleCatalog.RevisionLines] = [
            .init("1.0", effectiveAt: SampleCatalog.begin, purposes: purposes)
        ]
        var effectiveAt = secondsAgo(60 * 86_400)
        for number in 1..<2 + generator.below(6) {
            let covered = generator.oneIn(2) ? purposes : purposes.filter { _ in !generator.oneIn(3) }
            let earlier = generator.oneIn(3) ? nil : generator.pick(revisions).name
            revisions.append(
                .init(
                    "1.\(number)", effectiveAt: effectiveAt, compatibleWith: earlier,
                    purposes: covered.isEmpty ? purposes : covered))
            effectiveAt = effectiveAt.advanced(bySeconds: Int64(1 + generator.below(25 * 86_400)))
        }
        return revisions
    }

    private static let states: [EventState] =
        [.given, .given, .given, .given, .renewed, .confirmed, .confirmed, .withdrawn] + EventState.allCases

    private static func event(
        _ people: [Identifier], _ catalog: SampleCatalog, _ ahead: Int64, _ generator: inout SeededGenerator
    ) -> ConsentEvent {
        let moment = now.advanced(millis: ahead)
        var event = ConsentEvent.grant([generator.pick(people)], generator.pick(catalog.purposes).id)
        event.state = generator.pick(states)
        if generator.oneIn(2) {
            event.capturedAt = moment.advanced(bySeconds: -Int64(generator.below(50 * 86_400)))
        }
        let current = catalog.revisions.last { $0.effectiveAt <= event.capturedAt ?? moment }
        let name = generator.oneIn(8) ? generator.pick(catalog.revisions).name : current?.name
        event.revision = RevisionName(declaration: "club", revision: name ?? "1.0")
        event.method = generator.oneIn(4) ? .doubleOptIn : .tickedBox
        event.isExplicit = generator.oneIn(2)
        if generator.oneIn(2) { event.subjectAge = 13 + generator.below(5) }
        if generator.oneIn(4) { event = event.by(generator.pick(Party.allCases)) }
        if generator.oneIn(4) {
            event.expiresAt = moment.advanced(bySeconds: Int64(generator.below(6 * 86_400)) - 3600)
        }
        return event
    }
}
