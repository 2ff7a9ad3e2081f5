import ConsentCatalog
import ConsentEngine
import ConsentIndex
import ConsentKernel
import ConsentLedger
import ConsentModel
import ConsentTestSupport
import Synchronization
import Testing

struct ConcurrencyTests {
    /// Also where every group is decided while the one before is stored.
    @Test(arguments: [0, Engine.overlapWeightMin])
    func everythingThatWasAcknowledgedIsThereInItsOrder(_ overlapWeightMin: Int) throws {
        let node = try TestNode(.consents(bits: 0..<4), overlapWeightMin: overlapWeightMin)
        let engine = node.engine
        let (threads, rounds) = (8, 120)
        let submitters = (0..<threads).map { thread in
            Background { () -> [(String, [UInt64])] in
                var acknowledged: [(String, [UInt64])] = []
                for round in 0..<rounds {
                    let names = (0..<1 + round % 3).map { "t\(thread)-\(round)-\($0)" }
                    let result = try engine.record(names.map { sampleGrant(customer: $0, purpose: "p\(round % 4)") })
                    // Visible as soon as it is acknowledged.
                    for name in names where engine.decision(.customer(name), round % 4) != .granted {
                        Issue.record("\(name) is not granted")
                    }
                    let sequences = result.outcomes.compactMap(\.sequence)
                    if sequences.last.map({ $0 > result.head }) ?? true { Issue.record("\(result)") }
                    for (name, sequence) in zip(names, sequences) { acknowledged.append((name, [sequence])) }
                }
                return acknowledged
            }
        }
        var all: [UInt64] = []
        for submitter in submitters {
            let acknowledged = try submitter.value()
            // Each thread's own are in its order.
            #expect(acknowledged.map { $0.1[0] } == acknowledged.map { $0.1[0] }.sorted())
            for (name, sequences) in acknowledged {
                #expect(try engine.events(.customer(name)).map(\.sequence) == sequences)
                all += sequences
            }
        }
        #expect(all.sorted() == (2...UInt64(all.count + 1)).map { $0 })
        let statistics = Dictionary(uniqueKeysWithValues: try engine.statistics().map { ($0.name, $0.value) })
        #expect(statistics["groups_committed"]! < UInt64(threads * rounds), "waiting changes share a group")
        try node.close()
        let report = try verify(node.folder)
        #expect(report.problems == [])
        #expect(report.events == UInt64(all.count + 1))
        #expect(report.identifiers == all.count)
    }

    /// Everybody is asked for, then consents once, then withdraws once; who is granted must be between the two.
    @Test(arguments: [0, Engine.overlapWeightMin])
    func noCheckGrantsWhatIsNotGrantedAtThatMoment(_ overlapWeightMin: Int) throws {
        let node = try TestNode(.consents(bits: 0..<2), overlapWeightMin: overlapWeightMin)
        let engine = node.engine
        let people = (0..<150).map { Identifier.customer("c\($0)") }
        enum Phase: Int { case before, consents, hasWithdrawn }
        let phases = people.map { _ in Phase.before }
        let current = Mutex((phases: phases, isOver: false))
        let readers = (0..<3).map { reader in
            Background { () -> (checks: Int, granted: Int) in
                var generator = SeededGenerator(salt: 70 + UInt64(reader))
                var (checks, granted) = (0, 0)
                while !current.withLock({ $0.isOver }) {
                    let number = generator.below(people.count)
                    let before = current.withLock { $0.phases[number] }
                    let isGranted =
                        reader == 0
                        ? try engine.explain(people[number], purposeBit: 0).verdict.decision == .granted
                        : engine.decision(people[number]) == .granted
                    let after = current.withLock { $0.phases[number] }
                    if isGranted, before == .hasWithdrawn || after == .before {
                        Issue.record("\(people[number].text) is granted, \(before) to \(after)")
                    }
                    if engine.decision(people[number], 1) != .unknown { Issue.record("nobody was asked for the other") }
                    checks += 1
                    granted += isGranted ? 1 : 0
                }
                return (checks, granted)
            }
        }
        let writers = (0..<3).map { writer in
            Background {
                for number in people.indices where number % 3 == writer {
                    _ = try engine.record([ConsentEvent([people[number]], "p0", .requested, at: secondsAgo(5))])
                    current.withLock { $0.phases[number] = .consents }
                    _ = try engine.record([.grant([people[number]])])
                    if engine.decision(people[number]) != .granted { Issue.record("not visible") }
                    _ = try engine.record([ConsentEvent([people[number]], "p0", .withdrawn)])
                    current.withLock { $0.phases[number] = .hasWithdrawn }
                    if engine.decision(people[number]) != .denied { Issue.record("not visible") }
                }
            }
        }
        for writer in writers { try writer.value() }
        current.withLock { $0.isOver = true }
        let counts = try readers.map { try $0.value() }
        #expect(counts.allSatisfy { $0.checks > 100 })
        #expect(people.allSatisfy { engine.decision($0) == .denied })
        for person in people {
            #expect(try engine.events(person).map(\.event.state) == [.requested, .given, .withdrawn])
        }
        try node.expectSound()
    }

    /// Growth, restart of nothing, and histories: all beside the writer.
    @Test func questionsAreAnsweredBesideTheWriter() throws {
        let node = try TestNode(.consents(bits: 0..<1))
        let engine = node.engine
        let answers = Answers<Int>()
        let writing = Background {
            for batch in 0..<20 {
                _ = try engine.record((0..<200).map { sampleGrant(customer: "\(batch)-\($0)") })
            }
        }
        for _ in 0..<200 {
            try engine.ask { engine in
                let events = (try? engine.events(.customer("0-0"))) ?? []
                answers.add(events.count)
            }
        }
        #expect(answers.take(200).allSatisfy { $0 <= 1 })
        try writing.value()
        #expect(engine.publication.current.generation > 1)
        #expect((0..<20).allSatisfy { engine.decision(.customer("\($0)-199")) == .granted })
        try node.expectSound()
    }

    @Test func onePersonsEventsFromManyThreadsEndInOneState() throws {
        let node = try TestNode(.consents(bits: 0..<1))
        let engine = node.engine
        let kari = Identifier.customer("kari")
        let submitters = (0..<8).map { thread in
            Background {
                for round in 0..<60 {
                    let names = [kari, .email("kari\(round % 5)@example.no")]
                    let event = (thread + round) % 2 == 0 ? .grant(names) : ConsentEvent(names, "p0", .withdrawn)
                    _ = try engine.record([event])
                }
            }
        }
        for submitter in submitters { try submitter.value() }
        let events = try engine.events(kari)
        #expect(events.count == 480)
        #expect(events.map(\.sequence) == events.map(\.sequence).sorted())
        let expected = try engine.explain(kari, purposeBit: 0).verdict.decision
        for name in [kari] + (0..<5).map({ Identifier.email("kari\($0)@example.no") }) {
            #expect(engine.decision(name) == expected)
        }
        try node.expectSound()
    }

    @Test func whatWaitsTogetherIsCommittedTogether() throws {
        let node = try TestNode(.consents(bits: 0..<1))
        let blocked = try BlockedWriter(node.engine)
        let answers = Answers<UInt64>()
        for number in 0..<100 {
            node.engine.record([.success(sampleGrant(customer: "c\(number)"))]) {
                answers.add((try? $0.get().head) ?? 0)
            }
        }
        blocked.release()
        #expect(Set(answers.take(100)) == [102])
    }

    // MARK: Subscriptions

    @Test func subscribersGetEveryGroupInOrderWithItsRows() async throws {
        let node = try TestNode(.consents(bits: 0..<2))
        let engine = node.engine
        let groups = Mutex<[CommittedGroup]>([])
        let subscription = engine.subscribe { group in groups.withLock { $0.append(group) } }
        let submitters = (0..<4).map { thread in
            Background {
                for round in 0..<50 {
                    let person = Identifier.customer("c\((thread * 50 + round) % 70)")
                    let second = Identifier.email("c\((thread * 50 + round) % 70)@example.no")
                    let event = round % 3 == 0 ? ConsentEvent([person], "p0", .withdrawn) : .grant([person, second])
                    _ = try engine.record([event])
                }
            }
        }
        for submitter in submitters { try submitter.value() }
        var wider = SampleCatalog.consents(bits: 0..<2)
        wider.revisions[0].purposes = ["p0", "p1"]
        wider.revisions.append(.init("2.0", effectiveAt: secondsAgo(2), purposes: ["p1"]))
        _ = try engine.apply(wider.document)
        // The last group is told of after its acknowledgement.
        #expect(await eventually { groups.withLock { $0.last?.last } == 202 })
        engine.unsubscribe(subscription)
        _ = try engine.record([ConsentEvent([.customer("after")], "p0", .withdrawn)])

        // The catalog's was acknowledged before, and may have been told of only then.
        let told = groups.withLock { $0 }.filter { $0.first > 1 }
        #expect(told.first?.first == 2)
        #expect(told.last?.last == 202, "nothing is told after the end of the subscription")
        for (group, next) in zip(told, told.dropFirst()) { #expect(next.first == group.last + 1) }
        #expect(told.allSatisfy { $0.first <= $0.last })
        #expect(told.last?.catalogVersion == 2)
        #expect(told.dropLast().allSatisfy { $0.catalogVersion == nil })
        // Applying the rows one group after the other gives the index.
        var rows: [IdentifierHash: IndexRow] = [:]
        for group in told {
            #expect(group.changedEverything == (group.catalogVersion != nil))
            rows = rows.mapValues { $0.outdated(by: group.outdatings) ?? $0 }
            for change in group.rows {
                #expect(change.row.sequence <= group.last)
                rows[change.hash] = change.row
            }
        }
        #expect(rows.count == 140)
        for (hash, row) in rows { #expect(engine.publication.current.row(hash) == row) }
    }
}
