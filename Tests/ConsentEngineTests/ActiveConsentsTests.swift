import ConsentCatalog
import ConsentEngine
import ConsentKernel
import ConsentLedger
import ConsentModel
import ConsentTestSupport
import Foundation
import Testing

/// Who had what active in a window, as of a past sequence: the same as replaying the history up to each moment.
struct ActiveConsentsTests {
    private func active(
        _ engine: Engine, from: Timestamp, until: Timestamp, _ change: (inout PeopleQuestion) -> Void = { _ in }
    ) throws -> [FoundPerson] {
        var question = PeopleQuestion(.active)
        (question.from, question.until, question.countMax) = (from, until, 1000)
        change(&question)
        return try engine.people(question).people
    }

    @Test func aWindowHoldsWhatWasActiveInItAndNothingElse() throws {
        let node = try TestNode(.consents(bits: 0..<1))
        let person = [Identifier.customer("1")]
        let begin = now
        node.clockAheadMillis = 10_000
        _ = try node.engine.record([.grant(person, "p0")])
        node.clockAheadMillis = 20_000
        let grants = try node.engine.events(person[0])
        _ = try node.engine.record([ConsentEvent(person, "p0", .withdrawn)])
        let withdrawal = try #require(try node.engine.events(person[0]).last)
        let (given, taken) = (grants[0].recordedAt, withdrawal.recordedAt)
        func found(_ from: Timestamp, _ until: Timestamp) throws -> FoundPerson? {
            try active(node.engine, from: from, until: until).first
        }
        #expect(try found(begin, given.advanced(millis: -1)) == nil)
        let whole = try #require(try found(begin, taken.advanced(millis: 5000)))
        #expect(whole.since == given && whole.until == taken && whole.state == .given)
        #expect(whole.identifiers == person && whole.revision?.text == "club 1.0")
        let part = try #require(try found(given.advanced(millis: 100), taken.advanced(millis: -1)))
        #expect(part.since == given.advanced(millis: 100) && part.until == nil)
        #expect(try found(taken, taken.advanced(millis: 5000)) == nil)
        // As it was known before the withdrawal, the consent went on.
        let past = try active(node.engine, from: taken, until: taken.advanced(millis: 5000)) {
            $0.asOf = grants[0].sequence
        }
        #expect(past.map(\.until) == [nil])
    }

    @Test func aRecipientIsThatOfTheRevisionAgreedTo() throws {
        var catalog = SampleCatalog.consents(bits: 0..<2)
        let node = try TestNode(catalog)
        _ = try node.engine.record([.grant([.customer("1")], "p0")])
        func count(_ recipient: String, _ purpose: String = "") throws -> Int {
            let end = now.advanced(millis: node.clockAheadMillis + 1000)
            return try active(node.engine, from: secondsAgo(10), until: end) {
                ($0.recipient, $0.purpose) = (recipient, purpose)
            }.count
        }
        #expect(try count("sender") == 1)
        #expect(try count("sender", "p1") == 0)
        #expect(throws: EngineError.self) { try count("printer") }
        // A compatible revision names another one, too.
        catalog.revisions.append(.init("1.1", effectiveAt: now.advanced(bySeconds: 2), compatibleWith: "1.0"))
        let text = catalog.text.replacingOccurrences(
            of: "category: e-mail}",
            with: "category: e-mail}\n  - {id: printer, name: Trykk AS, address: Veien 1, "
                + "country: NO, category: print}")
        let marker = "purposes: [p0, p1]\n        recipients: [sender]"
        let position = try #require(text.ranges(of: marker).last)
        let changed = text.replacingCharacters(
            in: position, with: "purposes: [p0, p1]\n        recipients: [sender, printer]")
        _ = try node.engine.apply(try CatalogDocument(text: changed, file: "sample.yaml"))
        #expect(try count("printer") == 0)
        node.clockAheadMillis = 5000
        #expect(try count("printer") == 1)
    }

    @Test func whatNeedsNoConsentIsListedOnlyWhereItIsAskedFor() throws {
        let node = try TestNode(.manyKinds)
        _ = try node.engine.record([ConsentEvent([.customer("1")], "mail", .objected), .grant([.customer("2")], "p0")])
        let (from, until) = (secondsAgo(10), now.advanced(bySeconds: 1))
        #expect(try active(node.engine, from: from, until: until).map(\.purpose) == ["p0"])
        let mail = try active(node.engine, from: from, until: until) { $0.purpose = "mail" }
        #expect(mail.map { $0.identifiers[0].text } == ["customer:2"])
        let receipts = try active(node.engine, from: from, until: until) { $0.purpose = "receipts" }
        #expect(receipts.map(\.state) == [.basisHolds, .basisHolds])
    }

    /// Random histories under catalogs that change, on a clock that is pushed on, against `decide` over each prefix.
    @Test(arguments: 0..<4) func everyWindowIsAsAReplayHasIt(_ run: Int) throws {
        var generator = SeededGenerator(salt: 800 + UInt64(run))
        let start = now
        var catalog = Self.catalog(start)
        let node = try TestNode(catalog)
        let people = (1...6).map { Identifier.customer("\($0)") }
        for step in 0..<40 {
            node.clockAheadMillis += Int64(generator.below(1200))
            _ = try node.engine.record([Self.event(people, catalog, node.clockAheadMillis, &generator)])
            if step % 13 == 12 { Self.change(&catalog, node, &generator) }
        }
        let replay = try Replay(node, people)
        let head = replay.events.values.flatMap { $0 }.map(\.sequence).max() ?? 0
        for round in 0..<12 {
            let from = start.advanced(millis: Int64(generator.below(40_000)) - 2000)
            let until = from.advanced(millis: Int64(generator.below(generator.oneIn(3) ? 1 : 12_000)))
            let asOf = generator.oneIn(2) ? head : 1 + UInt64(generator.below(Int(head)))
            for purpose in catalog.purposes.map(\.id) {
                let found = try active(node.engine, from: from, until: until) {
                    ($0.asOf, $0.purpose) = (asOf, purpose)
                }
                let place = "CONSENT_TEST_SEED=\(TestSeed.value), run \(run), round \(round), \(purpose)"
                for person in people {
                    let one = found.first { $0.identifiers == [person] }
                    let wrong = replay.disagreement(one, person, purpose, from, until, asOf, &generator)
                    #expect(wrong == nil, "\(place), \(person.text): \(wrong ?? "")")
                }
            }
        }
    }

    private static func catalog(_ start: Timestamp) -> SampleCatalog {
        SampleCatalog(
            [
                .init("p0", bit: 0), .init("p1", bit: 1, basis: "consent", "validityDuration: PT5S"),
                .init("p2", bit: 2, basis: "consent", "doubleOptIn: true"),
                .init("mail", bit: 3, basis: "legitimate_interest"),
            ],
            revisions: [
                .init("1.0", effectiveAt: SampleCatalog.begin),
                .init("1.1", effectiveAt: start.advanced(millis: 9000), compatibleWith: "1.0"),
                .init("2.0", effectiveAt: start.advanced(millis: 16_000), purposes: ["p0", "p2"]),
                .init("2.1", effectiveAt: start.advanced(millis: 21_000), compatibleWith: "1.1"),
            ])
    }

    private static func event(
        _ people: [Identifier], _ catalog: SampleCatalog, _ ahead: Int64, _ generator: inout SeededGenerator
    ) -> ConsentEvent {
        let moment = now.advanced(millis: ahead)
        let states: [EventState] = [
            .given, .given, .given, .renewed, .confirmed, .confirmed, .withdrawn, .refused, .requested, .objected,
            .objectionLifted,
        ]
        var event = ConsentEvent.grant([generator.pick(people)], generator.pick(catalog.purposes).id)
        event.state = generator.pick(states)
        if generator.oneIn(3) { event.capturedAt = moment.advanced(millis: -Int64(generator.below(4000))) }
        let current = catalog.revisions.last { $0.effectiveAt <= event.capturedAt ?? moment }
        event.revision = RevisionName(declaration: "club", revision: current?.name ?? "1.0")
        if event.state.isGrant, generator.oneIn(3) {
            event.expiresAt = moment.advanced(millis: Int64(generator.below(6000)))
        }
        return event
    }

    private static func change(_ catalog: inout SampleCatalog, _ node: TestNode, _ generator: inout SeededGenerator) {
        var changed = catalog
        switch generator.below(3) {
        case 0: changed.purposes[0].more = ["validityDuration: PT3S"]
        case 1: changed.purposes[3].basis = "consent"
        default: changed.purposes[2].more = []
        }
        guard let document = try? changed.document, (try? node.engine.apply(document)) != nil else { return }
        catalog = changed
    }
}

/// Everything that was recorded, judged moment by moment by the decision function alone.
private struct Replay {
    let events: [Identifier: [RecordedEvent]]
    private let catalogs: [(since: Timestamp, sequence: UInt64, catalog: Catalog)]

    init(_ node: TestNode, _ people: [Identifier]) throws {
        events = try Dictionary(uniqueKeysWithValues: people.map { ($0, try node.engine.events($0)) })
        let ledger = try Ledger(path: node.folder.ledgerPath)
        defer { try? ledger.close() }
        catalogs = try ledger.read { snapshot in
            try zip(snapshot.catalogMoments(), snapshot.catalogs()).map { moment, stored in
                let document = try CatalogDocument(text: stored.document, file: "applied")
                return (moment.recordedAt, moment.sequence, document.catalog)
            }
        }
    }

    private func isActive(_ person: Identifier, _ purpose: String, at moment: Timestamp, asOf: UInt64) -> Bool {
        let known = events[person]!.filter { $0.recordedAt <= moment && $0.sequence <= asOf }
        guard !known.isEmpty,
            let catalog = catalogs.last(where: { $0.since <= moment && $0.sequence <= asOf })?.catalog,
            let asked = catalog.purpose(id: purpose)
        else { return false }
        let acts = known.filter { $0.event.purpose == purpose }.map(Act.init)
        return decide(acts, catalog: catalog, purpose: asked, at: moment).decision == .granted
    }

    /// Every moment at which an answer can change, the ones beside it, and some others.
    private func moments(
        _ person: Identifier, _ from: Timestamp, _ until: Timestamp, _ generator: inout SeededGenerator
    ) -> [Timestamp] {
        let own = events[person]!.flatMap { event in
            [
                event.recordedAt, event.event.expiresAt,
                event.event.capturedAt.map { $0.advanced(millis: 5000) },
                event.event.capturedAt.map { $0.advanced(millis: 3000) },
            ].compactMap { $0 }
        }
        let revisions = catalogs.flatMap { $0.catalog.declarations.flatMap(\.revisions).map(\.effectiveAt) }
        let turns = own + revisions + catalogs.map(\.since) + [from, until]
        let length = Int(until.millis - from.millis) + 1
        let others = (0..<20).map { _ in from.advanced(millis: Int64(generator.below(length))) }
        return (turns.flatMap { [$0.advanced(millis: -1), $0, $0.advanced(millis: 1)] } + others)
            .filter { $0 >= from && $0 <= until }.sorted()
    }

    func disagreement(
        _ found: FoundPerson?, _ person: Identifier, _ purpose: String, _ from: Timestamp, _ until: Timestamp,
        _ asOf: UInt64, _ generator: inout SeededGenerator
    ) -> String? {
        let moments = moments(person, from, until, &generator)
        let active = moments.filter { isActive(person, purpose, at: $0, asOf: asOf) }
        guard let first = active.first, let last = active.last else {
            return found == nil ? nil : "found, and never active"
        }
        guard let found, let since = found.since else { return "active at \(first.iso8601), and not found" }
        guard since == first else { return "since \(since.iso8601) instead of \(first.iso8601)" }
        if let end = found.until {
            return last == end.advanced(millis: -1) ? nil : "until \(end.iso8601), \(last.iso8601)"
        }
        return last == until ? nil : "no end, and last active at \(last.iso8601)"
    }
}
