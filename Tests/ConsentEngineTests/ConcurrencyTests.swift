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
    @Test func everythingThatWasAcknowledgedIsThereInItsOrder() throws {
        let node = try TestNode(.consents(bits: 0..<4))
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
        try node.close()
        #expect(try verify(node.folder).problems == [])
    }

    @Test func whatWaitsTogetherIsCommittedTogether() throws {
        let node = try TestNode(.consents(bits: 0..<1))
        let blocked = BlockedWriter(node.engine)
        let answers = Answers<UInt64>()
        for number in 0..<100 {
            node.engine.record([.success(sampleGrant(customer: "c\(number)"))]) { answers.add((try? $0.get().head) ?? 0) }
        }
        blocked.release()
        #expect(Set(answers.take(100)) == [102])
    }

    @Test func aFullQueueTurnsChangesAwayAtOnceAndLosesNoneThatItTook() throws {
        let node = try TestNode(.consents(bits: 0..<1))
        let engine = node.engine
        let blocked = BlockedWriter(engine)
        let answers = Answers<String>()
        let batch = (0..<8192).map { number -> Result<ConsentEvent, AdmissionError> in
            .success(ConsentEvent([.customer("c\(number % 50)")], "p0", .withdrawn))
        }
        var (taken, refused) = (0, 0)
        for _ in 0..<12 {
            let before = answers.all.count
            engine.record(batch) { result in
                switch result {
                case .success: answers.add("recorded")
                case .failure(let error): answers.add("\(error)")
                }
            }
            if answers.all.count > before { refused += 1 } else { taken += 1 }
        }
        #expect(taken == 8)
        #expect(refused == 4)
        #expect(Set(answers.all) == [EngineError.busy.description])
        #expect(throws: EngineError.self) { try engine.apply(SampleCatalog.consents(bits: 0..<1).document) }
        blocked.release()
        #expect(answers.take(12).filter { $0 == "recorded" }.count == 8)
        #expect(try engine.sizes()["sequence"] == 2 + 8 * 8192)
        #expect(engine.decision(.customer("c7")) == .denied)
    }

    @Test func anEngineThatClosesFinishesWhatWaitsAndRefusesWhatComes() throws {
        let node = try TestNode(.consents(bits: 0..<1))
        let engine = node.engine
        let blocked = BlockedWriter(engine)
        let answers = Answers<Bool>()
        for number in 0..<50 {
            engine.record([.success(sampleGrant(customer: "c\(number)"))]) {
                answers.add((try? $0.get().outcomes[0].isRecorded) ?? false)
            }
        }
        let closing = Background { try engine.close() }
        while true {
            // Until the close has begun they are taken, too.
            let late = Answers<String>()
            engine.record([.success(sampleGrant(customer: "late"))]) { result in
                if case .failure(let error) = result { late.add("\(error)") }
            }
            if let refusal = late.all.first {
                #expect(refusal == EngineError.closing.description)
                break
            }
            sleep(until: now.advanced(millis: 5))
        }
        blocked.release()
        #expect(answers.take(50).allSatisfy { $0 })
        try closing.value()
        #expect { try engine.record([sampleGrant(customer: "x")]) } throws: {
            if case EngineError.closing = $0 { true } else { false }
        }
        #expect { try engine.ask { _ in } } throws: { if case EngineError.closing = $0 { true } else { false } }
        let report = try verify(node.folder)
        #expect(report.problems == [])
        #expect(report.events >= 52)
    }

    @Test func onlyOneEngineHasANode() throws {
        let node = try TestNode(.consents(bits: 0..<1))
        #expect { try Engine(node.folder) { _ in } } throws: {
            if case EngineError.locked = $0 { true } else { false }
        }
        #expect(throws: EngineError.self) { try rebuildIndex(node.folder) }
        try node.restart()
    }

    @Test func aNodeThatIsNotThereIsAnErrorThatSaysWhatToDo() throws {
        let temporary = try TemporaryFolder()
        #expect { try Engine(NodeFolder(temporary.path + "/none")) { _ in } } throws: {
            "\($0)".contains("consentd init")
        }
        #expect(throws: LedgerError.self) {
            let folder = NodeFolder(temporary.path + "/twice")
            try folder.create(now: now)
            try folder.create(now: now)
        }
    }

    // MARK: Subscriptions

    @Test func subscribersGetEveryGroupInOrderWithItsRows() throws {
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
        while groups.withLock({ $0.last?.last }) != 202 { sleep(until: now.advanced(millis: 5)) }
        engine.unsubscribe(subscription)
        _ = try engine.record([ConsentEvent([.customer("after")], "p0", .withdrawn)])

        let told = groups.withLock { $0 }
        #expect(told.first?.first == 2)
        for (group, next) in zip(told, told.dropFirst()) { #expect(next.first == group.last + 1) }
        #expect(told.allSatisfy { $0.first <= $0.last })
        #expect(told.last?.catalogVersion == 2)
        #expect(told.dropLast().allSatisfy { $0.catalogVersion == nil })
        // Applying the rows one group after the other gives the index.
        var rows: [IdentifierHash: IndexRow] = [:]
        for group in told {
            for (hash, row) in group.rows {
                #expect(row.sequence <= group.last)
                rows[hash] = row
            }
        }
        #expect(rows.count == 140)
        for (hash, row) in rows { #expect(engine.publication.current.row(hash) == row) }
    }
}
