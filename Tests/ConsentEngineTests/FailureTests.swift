import ConsentCatalog
import ConsentEngine
import ConsentIndex
import ConsentKernel
import ConsentLedger
import ConsentModel
import ConsentTestSupport
import GRDB
import Testing

/// What cannot be stored is refused, leaves nothing behind and takes nothing else along.
struct FailureTests {
    // MARK: The queue

    @Test func aFullQueueTurnsChangesAwayAtOnceAndLosesNoneThatItTook() throws {
        let node = try TestNode(.consents(bits: 0..<1))
        let engine = node.engine
        let blocked = try BlockedWriter(engine)
        let answers = Answers<String>()
        let batch = (0..<12_288).map { number -> Result<ConsentEvent, AdmissionError> in
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
        #expect(try engine.sizes()["sequence"] == 2, "nothing of what was turned away is stored, nor what waits")
        blocked.release()
        #expect(answers.take(12).filter { $0 == "recorded" }.count == 8)
        #expect(try engine.sizes()["sequence"] == 2 + 8 * 12_288)
        #expect(engine.decision(.customer("c7")) == .denied)
        #expect(try engine.recordOne(sampleGrant(customer: "after")).isRecorded)
    }

    @Test func anEngineThatClosesFinishesWhatWaitsAndRefusesWhatComes() async throws {
        let node = try TestNode(.consents(bits: 0..<1))
        let engine = node.engine
        let blocked = try BlockedWriter(engine)
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
            await sleep(until: now.advanced(millis: 5))
        }
        blocked.release()
        #expect(answers.take(50).allSatisfy { $0 })
        try closing.value()
        #expect { try engine.record([sampleGrant(customer: "x")]) } throws: {
            if case EngineError.closing = $0 { true } else { false }
        }
        #expect { try engine.ask { _ in } } throws: { if case EngineError.closing = $0 { true } else { false } }
        try node.expectSound()
        #expect(try verify(node.folder).events >= 52)
    }

    // MARK: The ledger

    /// An event with this actor cannot be stored.
    private static let fails = """
        CREATE TRIGGER cannot_be_stored BEFORE INSERT ON event WHEN NEW.actor = 'nobody'
            BEGIN SELECT RAISE(ABORT, 'no room'); END
        """

    private func failing(_ customer: String) -> ConsentEvent {
        sampleGrant(customer: customer).with {
            $0.actor = "nobody"
            $0.key = IdempotencyKey(9)
        }
    }

    @Test(arguments: [0, Engine.overlapWeightMin])
    func ofAGroupOnlyTheChangeThatCannotBeStoredFails(_ overlapWeightMin: Int) throws {
        let node = try TestNode(.consents(bits: 0..<2), overlapWeightMin: overlapWeightMin)
        let engine = node.engine
        let blocked = try BlockedWriter(engine)
        try node.folder.changeLedger(Self.fails)
        let answers = Answers<String>()
        func offer(_ name: String, _ events: [ConsentEvent]) {
            engine.record(events.map { .success($0) }) { result in
                switch result {
                case .success(let result): answers.add("\(name) \(result.outcomes.compactMap(\.sequence))")
                case .failure(.ledger(let error)) where "\(error)".contains("no room"):
                    answers.add("\(name) fails")
                case .failure(let error): answers.add("\(error)")
                }
            }
        }
        var wider = SampleCatalog.consents(bits: 0..<2)
        wider.purposes.append(.init("p2", bit: 2, basis: "contract"))
        wider.revisions[0].purposes = ["p0", "p1"]
        let document = try wider.document
        offer("first", [sampleGrant(customer: "a"), sampleGrant(customer: "b")])
        offer("second", [sampleGrant(customer: "c"), failing("d"), sampleGrant(customer: "e")])
        engine.apply(document) { result in answers.add("catalog \((try? result.get().sequence) ?? 0)") }
        offer("third", [ConsentEvent([.customer("a")], "p0", .withdrawn), sampleGrant(customer: "f", purpose: "p1")])
        offer("fourth", [failing("a")])
        blocked.release()
        #expect(answers.take(5) == ["first [3, 4]", "second fails", "catalog 5", "third [6, 7]", "fourth fails"])

        let decisions = ["a", "b", "c", "d", "e"].map { engine.decision(.customer($0)) }
        #expect(decisions == [.denied, .granted, .unknown, .unknown, .unknown])
        #expect(engine.decision(.customer("f"), 1) == .granted)
        #expect(try engine.sizes()["identifiers"] == 4)
        #expect(try engine.events(.customer("d")) == [])
        // The failure has taken its key, its subject and its number along.
        try node.folder.changeLedger("DROP TRIGGER cannot_be_stored")
        let outcomes = try engine.record([sampleGrant(customer: "c"), failing("d"), failing("d")]).outcomes
        #expect(outcomes == [.recorded(sequence: 8), .recorded(sequence: 9), .duplicate(sequence: 9)])
        #expect(engine.decision(.customer("d")) == .granted)
        try node.expectSound()
    }

    @Test func whileTheLedgerCannotBeWrittenNothingChangesAndChecksGoOn() throws {
        let node = try TestNode(.consents(bits: 0..<1))
        let engine = node.engine
        let kari = Identifier.customer("kari")
        _ = try engine.record([.grant([kari]).with { $0.key = IdempotencyKey(1) }])
        let before = try engine.sizes()
        try node.folder.changeLedger("ALTER TABLE subject RENAME TO hidden")
        for _ in 0..<3 {
            for event in [.grant([.customer("ola")]), ConsentEvent([kari], "p0", .withdrawn)] {
                #expect { try engine.record([event]) } throws: { error in
                    guard case EngineError.ledger(.unavailable) = error else { return false }
                    return true
                }
            }
            #expect(throws: EngineError.self) { try engine.apply(SampleCatalog.consents(bits: 0..<2).document) }
            #expect(engine.decision(kari) == .granted)
            #expect(engine.decision(.customer("ola")) == .unknown)
        }
        try node.folder.changeLedger("ALTER TABLE hidden RENAME TO subject")
        #expect(try engine.sizes() == before)
        #expect(engine.catalog.version == 1)
        #expect(try engine.recordOne(ConsentEvent([kari], "p0", .withdrawn)) == .recorded(sequence: 3))
        #expect(engine.decision(kari) == .denied)
        try node.expectSound()
    }

    // MARK: Damage

    /// What can only be found by reading it, each with what reads it.
    static let damages: [(statement: String, reader: @Sendable (Engine) -> Void)] = [
        ("UPDATE subject SET standings = x'01' WHERE id = 1", { _ = try? $0.record([.grant([.customer("kari")])]) }),
        ("UPDATE subject SET identifiers = x'' WHERE id = 1", { _ = try? $0.record([.grant([.customer("kari")])]) }),
    ]

    @Test(arguments: damages.indices) func damageThatAChangeMeetsEndsTheNode(_ number: Int) throws {
        let (statement, reader) = Self.damages[number]
        let node = try TestNode(.consents(bits: 0..<1))
        _ = try node.engine.record([.grant([.customer("kari")])])
        try node.folder.changeLedger(statement)
        try node.restart()
        #expect(node.fatals.all == [])
        reader(node.engine)
        guard case .ledgerDamaged(let finding) = node.fatals.all.first else {
            Issue.record("the node goes on: \(node.fatals.all)")
            return
        }
        #expect(finding.contains("subject 1"), "\(finding)")
        #expect(node.fatals.all.count == 1)
    }

    private static func question(_ selection: PeopleSelection) -> PeopleQuestion {
        var question = PeopleQuestion(selection)
        (question.purpose, question.countMax) = ("p0", 10)
        (question.from, question.until) = (SampleCatalog.begin, secondsAgo(-3600))
        return question
    }

    /// Each reads the withdrawal of "kari", event 4, or the grant of "ola", event 3.
    static let readers: [(name: String, changed: UInt64, read: @Sendable (Engine) throws -> Void)] = [
        ("history", 4, { _ = try $0.history(of: .customer("kari"), after: 0, countMax: 10) }),
        ("timeline", 4, { _ = try $0.timeline(of: .customer("kari"), after: 0, countMax: 10) }),
        ("explain", 4, { _ = try $0.explain(.customer("kari"), purposeBit: 0) }),
        ("active", 4, { _ = try $0.people(question(.active)) }),
        ("proof", 4, { _ = try $0.proof(of: 4) }),
        ("history, granted", 3, { _ = try $0.history(of: .customer("ola"), after: 0, countMax: 10) }),
        ("audience", 3, { _ = try $0.people(question(.audience)) }),
        ("access log", 5, { _ = try $0.accesses(AccessLogQuestion(), countMax: 10) }),
    ]

    static let changes = [
        "state = CASE state WHEN 4 THEN 6 ELSE 4 END", "actor = 'other'", "recorded_at = recorded_at + 1",
        "language = 'xx'", "hash = randomblob(32)",
    ]

    /// What was changed must not be passed on as true, whoever asks for it.
    @Test(arguments: readers.indices, changes)
    func aChangedEventIsFoundByTheRequestThatReadsIt(_ number: Int, _ change: String) async throws {
        let (name, changed, read) = Self.readers[number]
        let node = try TestNode(.consents(bits: 0..<1))
        let engine = node.engine
        _ = try engine.record([.grant([.customer("kari")]), .grant([.customer("ola")])])
        nextMillisecond()
        _ = try engine.record([ConsentEvent([.customer("kari")], "p0", .withdrawn)])
        let entry = AccessEntry(.history, by: AccessReader(actor: "clerk-7", client: "crm"))
        _ = try await withCheckedThrowingContinuation { continuation in
            engine.log(entry, about: .nobody) { continuation.resume(with: $0.mapError { $0 as any Error }) }
        }
        try read(engine)
        // Where the column says nothing of an entry of the access log, it is the detail that is changed.
        let isOfLog = changed == 5 && !change.contains("recorded_at") && !change.contains("hash")
        try node.folder.changeLedger(
            "UPDATE event SET \(isOfLog ? "detail = CAST(substr(detail, 1, length(detail) - 1) || x'7a' AS BLOB)" : change) "
                + "WHERE sequence = \(changed)")
        #expect("\(name), \(change)") {
            try read(engine)
        } throws: { error in
            guard EngineError(error).isDamage else { return false }
            return "\(error)".contains("event \(changed)")
        }
    }

    @Test func damageThatOpeningFindsIsNotedAndKeepsTheNodeClosed() throws {
        let node = try TestNode(.consents(bits: 0..<1))
        _ = try node.engine.record([.grant([.customer("kari")])])
        try node.close()
        let whole = try File.read(node.folder.ledgerPath)
        try node.folder.changeLedger("UPDATE event SET actor = 'other' WHERE sequence = 2")
        #expect { try node.open() } throws: { if case LedgerError.corrupt = $0 { true } else { false } }
        #expect(try node.folder.damage()?.contains("event 2") == true)
        try File.replace(node.folder.ledgerPath, with: whole)
        #expect { try node.open() } throws: { if case LedgerError.closedAsDamaged = $0 { true } else { false } }
        #expect(try verify(node.folder).isReopened)
        try node.open()
    }

    /// They may be lost or written over, and the ledger be whole.
    @Test func checkpointsThatCannotBeReadAreNoDamageOfTheLedger() throws {
        let node = try TestNode(.consents(bits: 0..<1))
        _ = try node.engine.record([.grant([.customer("kari")])])
        try node.close()
        try File.replace(node.folder.checkpointsPath, with: Array("{\"format\":\n".utf8))
        #expect { try node.open() } throws: { error in
            guard case LedgerError.checkpointsUnreadable(let path, _) = error else { return false }
            return path == node.folder.checkpointsPath && "\(error)".contains("at byte 0")
                && !"\(error)".contains("restore a backup") && !"\(error)".contains("ledger is damaged")
        }
        #expect(try node.folder.damage() == nil)
        try File.remove(node.folder.checkpointsPath)
        try node.open()
        try node.close()
        #expect(try node.folder.checkpoints().count == 1)
        try node.expectSound()
    }

    @Test func aDamagedMapOfKeysIsMadeAnewAndThatIsSaid() throws {
        let node = try TestNode(.consents(bits: 0..<1))
        #expect(node.engine.keysRebuilt == nil)
        _ = try node.engine.record([.grant([.customer("kari")]).with { $0.key = IdempotencyKey(1) }])
        try node.restart()
        #expect(node.engine.keysRebuilt == nil)
        try node.close()
        try File.replace(node.folder.keysFolder.currentFilePath, with: [1, 2, 3])
        try node.open()
        #expect(node.engine.keysRebuilt == "the file is not an index")
        try node.expectSound()
    }

    @Test func thatTheLedgerCannotBeWrittenIsToldOnceAndSoIsItsEnd() async throws {
        let node = try TestNode(.consents(bits: 0..<1))
        try node.folder.changeLedger("ALTER TABLE subject RENAME TO hidden")
        for _ in 0..<3 { _ = try? node.engine.record([.grant([.customer("ola")])]) }
        #expect(node.troubles.all.count == 1 && node.troubles.all[0].contains("cannot be used now"))
        try node.folder.changeLedger("ALTER TABLE hidden RENAME TO subject")
        #expect(try node.engine.recordOne(.grant([.customer("ola")])).isRecorded)
        #expect(node.troubles.all.count == 2 && node.troubles.all[1] == "the ledger can be used again")
    }

    @Test func aDamagedNodeStaysClosedUntilItIsShownToBeWhole() throws {
        let node = try TestNode(.consents(bits: 0..<1))
        _ = try node.engine.record([.grant([.customer("kari")])])
        try node.close()
        let whole = try File.read(node.folder.ledgerPath)
        try node.folder.changeLedger("UPDATE subject SET standings = x'01' WHERE id = 1")
        try node.open()
        _ = try? node.engine.record([.grant([.customer("kari")])])
        try node.close()
        func expectClosed() {
            #expect { try node.open() } throws: { error in
                guard case LedgerError.closedAsDamaged(_, let finding) = error else { return false }
                return finding.contains("subject 1")
            }
        }
        expectClosed()
        #expect(throws: LedgerError.self) { try verify(node.folder) }
        expectClosed()
        try File.replace(node.folder.ledgerPath, with: whole)
        expectClosed()
        let report = try verify(node.folder)
        #expect(report.isSound && report.isReopened, "\(report.problems)")
        try node.open()
        #expect(node.engine.decision(.customer("kari")) == .granted)
    }

    /// The last thousand events; all of the chain is for `verify`.
    @Test func openingReadsTheEndOfTheChain() throws {
        let node = try TestNode(.consents(bits: 0..<1))
        _ = try node.engine.record((0..<1100).map { .grant([.customer("c\($0)")]) })
        try node.close()
        try node.folder.changeLedger("UPDATE event SET actor = 'other' WHERE sequence = 50")
        try node.restart()
        try node.close()
        try node.folder.changeLedger("UPDATE event SET actor = 'other' WHERE sequence = 500")
        #expect { try node.open() } throws: { "\($0)".contains("event 500") }
        let report = try verify(node.folder)
        #expect(report.ledgerDamage?.contains("event 50:") == true, "\(report.problems)")
    }

    @Test func damageThatAVerificationFindsEndsTheNodeBesideIt() async throws {
        let node = try TestNode(.consents(bits: 0..<1))
        _ = try node.engine.record([.grant([.customer("kari")]), .grant([.customer("ola")])])
        try node.folder.changeLedger("UPDATE event SET actor = 'other' WHERE sequence = 2")
        #expect(try verify(node.folder).ledgerDamage?.contains("event 2") == true)
        #expect(
            await eventually {
                if case .ledgerDamaged(let finding) = node.fatals.all.first {
                    finding.contains("event 2")
                } else {
                    false
                }
            })
    }

    /// It is made anew, and the node goes on.
    @Test func aDamagedIndexIsNoDamageOfTheLedger() throws {
        let node = try TestNode(.consents(bits: 0..<1))
        _ = try node.engine.record([.grant([.customer("kari")])])
        try node.close()
        try File.replace(node.folder.indexFolder.currentFilePath, with: [1, 2, 3])
        let report = try verify(node.folder)
        #expect(!report.isSound && report.ledgerDamage == nil)
        try node.open()
        try node.expectSound()
    }

    @Test func anEndThatCannotBeRecordedIsKeptAndRecordedLater() async throws {
        let node = try TestNode(.consents(bits: 0..<1))
        let engine = node.engine
        let kari = Identifier.customer("kari")
        let end = now.advanced(millis: 700)
        _ = try engine.record([.grant([kari]).with { $0.expiresAt = end }])
        try node.folder.changeLedger(
            "CREATE TRIGGER no_end BEFORE INSERT ON event WHEN NEW.state = 8 BEGIN SELECT RAISE(ABORT, 'no room'); END")
        await sleep(until: end.advanced(millis: 600))
        #expect(engine.decision(kari) == .unknown)
        #expect(try engine.reason(kari) == .expired)
        #expect(try engine.events(kari).count == 1)
        #expect(try engine.recordOne(.grant([.customer("ola")])).isRecorded)
        try node.folder.changeLedger("DROP TRIGGER no_end")
        #expect(try await eventually { try engine.events(kari).map(\.event.state) == [.given, .expired] })
        try node.expectSound()
    }

    @Test func aNodeIsClosedWhileSomebodyElseReadsItsLedger() throws {
        let node = try TestNode(.consents(bits: 0..<1))
        _ = try node.engine.record([sampleGrant(customer: "kari")])
        let reader = try Ledger(path: node.folder.ledgerPath)
        try reader.read { snapshot in
            let before = try snapshot.head()
            _ = try node.engine.record([sampleGrant(customer: "ola")])
            try node.restart()
            #expect(node.engine.decision(.customer("ola")) == .granted)
            #expect(try snapshot.head() == before)
        }
        try reader.close()
        try node.expectSound()
    }

    /// The index or the map of keys may lead to what is not there; that is an error, and never another person's answer.
    @Test func aSubjectThatIsNotTheOneLookedForIsAnError() throws {
        let node = try TestNode(.consents(bits: 0..<1))
        let engine = node.engine
        let (kari, ola) = (Identifier.customer("kari"), Identifier.customer("ola"))
        _ = try engine.record([
            .grant([kari]).with { $0.key = IdempotencyKey(1) }, ConsentEvent([ola], "p0", .withdrawn),
        ])
        let kept = try engine.sizes()
        try node.folder.changeLedger(
            "UPDATE subject SET identifiers = (SELECT identifiers FROM subject WHERE id = 2) WHERE id = 1")
        #expect(throws: LedgerError.self) { try engine.explain(kari, purposeBit: 0) }
        #expect(throws: LedgerError.self) { try engine.events(kari) }
        #expect(throws: EngineError.self) { try engine.record([ConsentEvent([kari], "p0", .withdrawn)]) }
        #expect(try engine.reason(ola) == .withdrawn)
        try node.folder.changeLedger("UPDATE event SET key = zeroblob(16) WHERE sequence = 2")
        #expect(throws: EngineError.self) {
            try engine.record([.grant([.customer("per")]).with { $0.key = IdempotencyKey(1) }])
        }
        #expect(try engine.sizes() == kept)
        #expect(try engine.recordOne(.grant([.customer("per")])).isRecorded)
    }
}
