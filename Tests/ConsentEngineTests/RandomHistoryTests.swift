import ConsentCatalog
import ConsentEngine
import ConsentIndex
import ConsentKernel
import ConsentLedger
import ConsentModel
import ConsentTestSupport
import Foundation
import Testing

/// Histories that nobody thought of, through the whole node: index, ledger and decision function say the same.
struct RandomHistoryTests {
    @Test(arguments: 0..<4) func indexAndLedgerAndDecisionFunctionAgree(_ history: Int) throws {
        var generator = SeededGenerator(salt: 50 + UInt64(history))
        var catalog = makeCatalog(&generator)
        let node = try TestNode(catalog, overlapWeightMin: history % 2 == 0 ? 0 : Engine.overlapWeightMin)
        var (names, sent): ([Identifier], [ConsentEvent]) = ([], [])
        for step in 0..<8 {
            let place = "CONSENT_TEST_SEED=\(TestSeed.value), history \(history), step \(step)"
            let events = (0..<1 + generator.below(40)).map { _ in
                // Some were sent before.
                generator.oneIn(6) && !sent.isEmpty
                    ? generator.pick(sent) : makeEvent(catalog, &names, &generator)
            }
            sent += events
            let outcomes = try node.engine.record(events).outcomes
            try expectToldApart(outcomes, events, node.engine, place)
            for _ in 0..<generator.below(6) { changeHands(names, node.engine, &generator) }
            if generator.oneIn(3) { change(&catalog, node, &generator) }
            try leave(node, &generator)
            if let wrong = try disagreement(node, names) {
                Issue.record("\(place): \(wrong)")
                return
            }
        }
        try node.expectSound()
    }

    /// What was recorded or known already is in its subject's history as it was sent.
    private func expectToldApart(
        _ outcomes: [EventOutcome], _ events: [ConsentEvent], _ engine: Engine, _ place: String
    ) throws {
        for (outcome, event) in zip(outcomes, events) {
            guard let sequence = outcome.sequence else { continue }
            // A "no" of several people is in the history of each of them.
            let histories = try event.identifiers.flatMap(engine.events)
            let recorded = histories.first { $0.sequence == sequence }
            // What was recorded while an identifier was another's stays the other's.
            if recorded == nil, outcome == .duplicate(sequence: sequence) { continue }
            #expect(recorded?.event.state == event.state, "\(place): \(outcome)")
            #expect(recorded?.event.purpose == event.purpose, "\(place): \(outcome)")
            #expect(recorded?.event.key == event.key, "\(place): \(outcome)")
        }
    }

    /// What may happen to a node between two moments; the answers stay the same.
    private func leave(_ node: TestNode, _ generator: inout SeededGenerator) throws {
        switch generator.below(8) {
        case 0: try node.restart()
        case 1:
            try node.close()
            _ = try rebuildIndex(node.folder)
            try node.open()
        case 2, 3:
            try node.close()
            let folders = generator.pick([
                [node.folder.indexFolder], [node.folder.keysFolder], [node.folder.indexFolder, node.folder.keysFolder],
            ])
            for folder in folders { try FileManager.default.removeItem(atPath: folder.path) }
            try node.open()
        case 4:
            // An index that is some groups behind.
            let older = node.temporary.path + "/older-\(generator.next())"
            try FileManager.default.copyItem(atPath: node.folder.indexFolder.path, toPath: older)
            _ = try node.engine.record([ConsentEvent([.customer("5")], "p0", .withdrawn)])
            try node.close()
            try FileManager.default.removeItem(atPath: node.folder.indexFolder.path)
            try FileManager.default.moveItem(atPath: older, toPath: node.folder.indexFolder.path)
            try node.open()
        default: break
        }
    }

    /// The first identifier and purpose about which index, explain and the events say different things.
    private func disagreement(_ node: TestNode, _ names: [Identifier]) throws -> String? {
        let people = try ReplayedPeople(node)
        for name in Set(names).union([.customer("never seen")]) {
            // Time goes on between the questions, so that an end may come between two of them.
            guard let wrong = try disagreement(node, people, name) else { continue }
            sleep(until: now.advanced(millis: 300))
            if try disagreement(node, ReplayedPeople(node), name) != nil { return wrong }
        }
        return nil
    }

    private func disagreement(_ node: TestNode, _ people: ReplayedPeople, _ name: Identifier) throws -> String? {
        let engine = node.engine
        let catalog = engine.catalog.catalog
        let history = try engine.timeline(of: name, after: 0, countMax: 10_000).entries
        let standings = people.standings(of: name, engine)
        for purpose in catalog.purposes {
            let moment = now
            let decided = decide(
                standings[purpose.id] ?? Standing(), catalog: catalog, purpose: purpose, at: moment)
            let explained = try engine.explain(name, purposeBit: purpose.bit).verdict
            let answer = engine.answer(name, purpose.bit, at: moment)
            // A row keeps the first of its ends, in seconds, and is written anew a moment after it.
            let isSame =
                answer.decision == decided.decision
                || answer.decision == .unknown && hasJustEnded(engine, name, at: moment)
            if decided.reason == explained.reason, isSame { continue }
            return "\(name.text), \(purpose.id): index \(answer.reason), explain \(explained.reason), "
                + "events \(decided.reason)\n\(history)"
        }
        return nil
    }

    private func hasJustEnded(_ engine: Engine, _ name: Identifier, at moment: Timestamp) -> Bool {
        guard let row = engine.publication.current.row(engine.hashKey.hash(name)) else { return false }
        return row.endsAt != IndexRow.never && Int64(row.endsAt) <= moment.secondsRoundedDown
    }

    /// Links somebody with somebody, or takes an identifier off; what cannot be is refused.
    private func changeHands(_ names: [Identifier], _ engine: Engine, _ generator: inout SeededGenerator) {
        guard !names.isEmpty else { return }
        let (one, other) = (generator.pick(names), generator.pick(names))
        if generator.oneIn(2) {
            _ = try? engine.link(LinkRequest(one, to: other))
        } else {
            _ = try? engine.unlink(UnlinkRequest(one))
        }
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
                .init(
                    name, effectiveAt: secondsAgo(Int64(generator.below(300))),
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
        let person = generator.below(12)
        let identifiers = (0...generator.below(3)).map { _ -> Identifier in
            // Seldom somebody else's: that is refused as soon as both are known.
            let owner = generator.oneIn(12) ? generator.below(12) : person
            let type = generator.pick([IdentifierType.customer, .email, .phone, .nationalId, .cookie])
            return .make(type, type == .phone ? "+479000000\(owner)" : "\(owner)")
        }
        names += identifiers
        let state = generator.pick(Self.states)
        var event = ConsentEvent(identifiers, generator.pick(catalog.purposes).id, state)
        if generator.oneIn(2) { event.capturedAt = secondsAgo(Int64(generator.below(40 * 86_400))) }
        let revisions = catalog.revisions.filter { $0.effectiveAt <= event.capturedAt ?? now }
        let name =
            generator.oneIn(6)
            ? generator.pick(catalog.revisions).name : revisions.max { $0.effectiveAt < $1.effectiveAt }?.name
        event.revision = RevisionName(declaration: "club", revision: name ?? "1.0")
        event.language = "nb"
        event.method = generator.oneIn(5) ? .doubleOptIn : .tickedBox
        event.isExplicit = generator.oneIn(2)
        if generator.oneIn(2) { event.subjectAge = 13 + generator.below(5) }
        if generator.oneIn(4) { event = event.by(generator.pick(Party.allCases)) }
        if generator.oneIn(4) { event.expiresAt = now.advanced(bySeconds: Int64(generator.below(100)) - 10) }
        if generator.oneIn(5) { event.key = IdempotencyKey(UInt64(generator.below(30))) }
        return event
    }
}
