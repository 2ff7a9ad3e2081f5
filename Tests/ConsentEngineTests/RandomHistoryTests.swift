import ConsentCatalog
import ConsentEngine
import ConsentIndex
import ConsentKernel
import ConsentLedger
import ConsentModel
import ConsentTestSupport
import Testing

/// Histories that nobody thought of, through the whole node: index, ledger and decision function say the same.
struct RandomHistoryTests {
    private static let secondsMax: Int64 = 12

    @Test func indexAndLedgerAndDecisionFunctionAgree() throws {
        var generator = SeededGenerator(salt: 51)
        let end = now.advanced(bySeconds: Self.secondsMax)
        var rounds = 0
        repeat {
            try runOne(&generator, round: rounds)
            rounds += 1
        } while now < end && rounds < 8
    }

    private func runOne(_ generator: inout SeededGenerator, round: Int) throws {
        var catalog = makeCatalog(&generator)
        let node = try TestNode(catalog)
        var names: [Identifier] = []
        for step in 0..<12 {
            let events = (0..<1 + generator.below(40)).map { _ in makeEvent(catalog, &names, &generator) }
            _ = try node.engine.record(events)
            if generator.oneIn(4) { change(&catalog, node, &generator) }
            if generator.oneIn(6) { try node.restart() }
            if generator.oneIn(10) {
                try node.close()
                _ = try rebuildIndex(node.folder)
                try node.open()
            }
            let wrong = try disagreement(node.engine, names)
            if let wrong {
                Issue.record("CONSENT_TEST_SEED=\(TestSeed.value), round \(round), step \(step): \(wrong)")
                return
            }
        }
        #expect(node.fatals.all == [])
        try node.close()
        let report = try verify(node.folder)
        #expect(report.problems == [], "CONSENT_TEST_SEED=\(TestSeed.value), round \(round)")
    }

    /// The first identifier and purpose about which index, explain and the events say different things.
    private func disagreement(_ engine: Engine, _ names: [Identifier]) throws -> String? {
        let applied = engine.catalog.catalog
        for name in Set(names).union([.customer("never seen")]) {
            let acts = try engine.events(name)
            for purpose in applied.purposes {
                let moment = now
                let history = acts.filter { $0.event.purpose == purpose.id }.map(Act.init)
                let decided = decide(history, catalog: applied, purpose: purpose, at: moment)
                let explained = try engine.explain(name, purposeBit: purpose.bit).verdict
                let answer = engine.answer(name, purpose.bit)
                // Time goes on between the three; what ends now may have ended for one of them.
                if let until = decided.grantedUntil, until <= now.advanced(bySeconds: 1) { continue }
                let isSame = decided.decision == explained.decision && decided.decision == answer.decision
                if !isSame, decide(history, catalog: applied, purpose: purpose, at: now) == decided {
                    return "\(name.text), \(purpose.id): index \(answer.reason), explain \(explained.reason), "
                        + "events \(decided.reason)\n\(history)"
                }
            }
        }
        return nil
    }

    // MARK: Making it up

    private func makeCatalog(_ generator: inout SeededGenerator) -> SampleCatalog {
        let bases = ["consent", "consent", "consent", "legitimate_interest", "public_task", "contract"]
        let purposes = (0..<8).map { number -> SampleCatalog.PurposeLines in
            var purpose = SampleCatalog.PurposeLines(
                "p\(number)", bit: generator.oneIn(2) ? number : number + 60, basis: generator.pick(bases))
            purpose.more = conditions(&generator)
            return purpose
        }
        let consents = purposes.map(\.id)
        return SampleCatalog(
            purposes,
            revisions: [
                .init("1.0", effectiveAt: SampleCatalog.begin, purposes: consents),
                .init("1.1", effectiveAt: secondsAgo(20 * 86_400), compatibleWith: "1.0", purposes: consents),
                .init("2.0", effectiveAt: secondsAgo(5 * 86_400), purposes: Array(consents.prefix(4))),
                .init("3.0", effectiveAt: now.advanced(bySeconds: 2), compatibleWith: "1.1", purposes: consents),
            ])
    }

    private func conditions(_ generator: inout SeededGenerator) -> [String] {
        var lines: [String] = []
        if generator.oneIn(4) { lines.append("doubleOptIn: true") }
        if generator.oneIn(5) { lines.append("explicit: true") }
        if generator.oneIn(4) { lines.append("minimumAge: 15") }
        if generator.oneIn(3) { lines.append("validityDuration: \(generator.pick(["P10D", "P30D", "P2Y"]))") }
        if generator.oneIn(4) { lines.append("directMarketing: true") }
        return lines
    }

    /// Another version of the catalog; refused ones are left.
    private func change(_ catalog: inout SampleCatalog, _ node: TestNode, _ generator: inout SeededGenerator) {
        var changed = catalog
        let number = generator.below(changed.purposes.count)
        switch generator.below(4) {
        case 0: changed.purposes[number].basis = generator.pick(["consent", "legitimate_interest", "contract"])
        case 1: changed.purposes[number].more = conditions(&generator)
        case 2: changed.purposes[number].more = ["active: false"]
        default:
            let name = "9.\(changed.revisions.count)"
            changed.revisions.append(
                .init(name, effectiveAt: secondsAgo(Int64(generator.below(300))),
                    compatibleWith: generator.oneIn(2) ? "1.0" : nil, purposes: changed.purposes.map(\.id)))
        }
        guard let document = try? changed.document, (try? node.engine.apply(document)) != nil else { return }
        catalog = changed
    }

    private static let states: [EventState] =
        [.given, .given, .given, .given, .renewed, .confirmed, .confirmed] + EventState.allCases

    private func makeEvent(
        _ catalog: SampleCatalog, _ names: inout [Identifier], _ generator: inout SeededGenerator
    ) -> ConsentEvent {
        var identifiers: [Identifier] = []
        for _ in 0...generator.below(3) {
            let number = generator.below(25)
            let type = generator.pick([IdentifierType.customer, .email, .phone, .nationalId])
            // Mostly the same person's, so that conflicts are not the rule.
            identifiers.append(.make(type, "\(identifiers.first.map { String($0.value.dropFirst()) } ?? "\(number)")"))
            if generator.oneIn(8) { identifiers[identifiers.count - 1] = .make(type, "9\(number)") }
        }
        names += identifiers
        let state = generator.pick(Self.states)
        var event = ConsentEvent(identifiers, generator.pick(catalog.purposes).id, state)
        if generator.oneIn(2) { event.capturedAt = secondsAgo(Int64(generator.below(40 * 86_400))) }
        let revisions = catalog.revisions.filter { $0.effectiveAt <= event.capturedAt ?? now }
        let name = generator.oneIn(6) ? generator.pick(catalog.revisions).name : revisions.max { $0.effectiveAt < $1.effectiveAt }?.name
        event.revision = RevisionName(declaration: "club", revision: name ?? "1.0")
        event.language = "nb"
        event.method = generator.oneIn(5) ? .doubleOptIn : .tickedBox
        event.isExplicit = generator.oneIn(2)
        if generator.oneIn(2) { event.subjectAge = 13 + generator.below(5) }
        if generator.oneIn(4) { event.party = generator.pick(Party.allCases) }
        if generator.oneIn(4) { event.expiresAt = now.advanced(bySeconds: Int64(generator.below(100)) - 10) }
        if generator.oneIn(5) { event.key = IdempotencyKey(UInt64(generator.below(30))) }
        return event
    }
}
