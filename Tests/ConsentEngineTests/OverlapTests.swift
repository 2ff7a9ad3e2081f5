import ConsentCatalog
import ConsentEngine
import ConsentModel
import ConsentTestSupport
import Testing

/// A group is decided while the one before is stored: it knows what that one says, and falls with it.
struct OverlapTests {
    private let node: TestNode
    private var engine: Engine { node.engine }
    private let kari = Identifier.customer("kari")
    private let mail = Identifier.email("kari@example.no")

    init() throws { node = try TestNode(.consents(bits: 0..<2), overlapWeightMin: 0) }

    /// Offers one group after another, each in the storer's hands when the next is decided.
    private func offer(_ groups: [[ConsentEvent]]) throws -> [String] {
        let blocked = try BlockedWriter(engine)
        let answers = Answers<String>()
        for group in groups {
            engine.record(group.map { .success($0) }) { result in
                answers.add((try? result.get().outcomes.map { "\($0)" }.joined(separator: " ")) ?? "failed")
            }
            // Taken by itself.
            nextMillisecond()
        }
        blocked.release()
        return answers.take(groups.count)
    }

    @Test func whatIsBeingStoredIsKnown() throws {
        let grant = ConsentEvent.grant([kari, mail], at: secondsAgo(60))
        let keyed = ConsentEvent.grant([kari], "p1").with { $0.key = IdempotencyKey(1) }
        let answers = try offer([
            [grant], [keyed], [grant, keyed], [ConsentEvent([mail], "p0", .withdrawn)],
            [ConsentEvent([mail, .customer("ola")], "p0", .given)],
        ])
        #expect(
            answers.dropLast() == [
                "recorded(sequence: 3)", "recorded(sequence: 4)", "duplicate(sequence: 3) duplicate(sequence: 4)",
                "recorded(sequence: 5)",
            ])
        #expect(answers.last?.hasPrefix("refused") == true)
        #expect(try engine.events(kari).map(\.sequence) == [3, 4, 5])
        #expect(engine.decision(kari) == .denied && engine.decision(kari, 1) == .granted)
        try node.expectSound()
    }

    @Test(arguments: 0..<4) func whatWasDecidedUponAGroupThatCannotBeStoredIsDecidedAgain(_ failing: Int) throws {
        try node.folder.changeLedger(
            """
            CREATE TRIGGER cannot_be_stored BEFORE INSERT ON event WHEN NEW.actor = 'nobody'
                BEGIN SELECT RAISE(ABORT, 'no room'); END
            """)
        var groups = [
            [ConsentEvent.grant([kari, mail])], [.grant([mail], "p1"), .grant([.customer("ola")])],
            [ConsentEvent([kari, mail], "p0", .withdrawn)], [.grant([.customer("ola"), .email("ola@example.no")])],
        ].map { $0.map { event in event.with { $0.key = IdempotencyKey(7) } } }
        for (group, events) in groups.enumerated() {
            for event in events.indices { groups[group][event].key = IdempotencyKey(UInt64(group * 10 + event)) }
        }
        let sound = groups
        groups[failing][0].actor = "nobody"
        let answers = try offer(groups)
        #expect(answers.map { $0 == "failed" } == groups.indices.map { $0 == failing })
        #expect(!answers.contains { $0.contains("refused") || $0.contains("duplicate") })
        try node.folder.changeLedger("DROP TRIGGER cannot_be_stored")
        // What fell is free, and what stood is known.
        for (number, group) in sound.enumerated() {
            let outcomes = try engine.record(group).outcomes
            #expect(outcomes.allSatisfy(\.isRecorded) == (number == failing))
        }
        let recorded = try [kari, .customer("ola")].flatMap { try engine.events($0).map(\.sequence) }
        #expect(recorded.sorted() == Array(3...7), "no number is lost, none given twice")
        #expect(engine.decision(mail, 1) == .granted && engine.decision(.email("ola@example.no")) == .granted)
        try node.restart()
        try node.expectSound()
    }

    @Test func aCatalogFindsEverybodyWhoIsBeingStored() throws {
        let people = (0..<40).map { Identifier.customer("c\($0)") }
        let answers = Answers<Bool>()
        var catalog = SampleCatalog.consents(bits: 0..<2)
        catalog.revisions.append(.init("2.0", effectiveAt: secondsAgo(1), purposes: ["p0", "p1"]))
        let document = try catalog.document
        for person in people.prefix(20) {
            engine.record([.success(.grant([person]))]) { answers.add((try? $0.get()) != nil) }
        }
        engine.apply(document) { answers.add((try? $0.get()) != nil) }
        for person in people.suffix(20) {
            engine.record([.success(.grant([person], revision: "2.0"))]) { answers.add((try? $0.get()) != nil) }
        }
        #expect(!answers.take(41).contains(false))
        #expect(people.map { engine.decision($0) } == people.indices.map { $0 < 20 ? .unknown : .granted })
        try node.expectSound()
    }
}
