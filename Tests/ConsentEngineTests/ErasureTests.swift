import ConsentEngine
import ConsentIndex
import ConsentKernel
import ConsentLedger
import ConsentModel
import ConsentTestSupport
import Foundation
import GRDB
import Testing

/// After an erasure nothing names the person, nothing is granted that was not before, and nobody but the person brings the
/// person back.
struct ErasureTests {
    private let node: TestNode
    private var engine: Engine { node.engine }

    init() throws { node = try TestNode(SampleCatalog.manyKinds) }

    private static let kari = [
        Identifier.customer("kari-100001"), .email("kari.nordmann@example.no"), .make(.phone, "+4791234567"),
    ]
    private var kari: [Identifier] { Self.kari }
    private static let evidence = "Kari ringte 12. mars om brevet"

    /// Everything of Kari's that must be gone.
    private static let values = kari.map { Array($0.value.utf8) } + [Array(evidence.utf8)]

    private func erase(_ identifier: Identifier = kari[1], waitMillis: Int64 = 10_000) throws -> ErasureReport {
        try engine.erase(
            ErasureRequest(identifier, reason: .consentWithdrawn, actor: "clerk-7"), tracesWaitMillis: waitMillis)
    }

    /// Files of the node that hold one of the values.
    private func traces(_ values: [[UInt8]] = Self.values, in folder: String? = nil) throws -> [ByteSearch.Place] {
        var search = ByteSearch(for: values)
        try search.search(folder ?? node.folder.path)
        return search.places
    }

    /// Kari's events, in groups of their own between those of others.
    private func recordKari(rounds: Int = 5) throws {
        for round in 0..<rounds {
            let named = round == 0 ? kari : [kari[round % kari.count]]
            let act = ConsentEvent.grant(named, round % 2 == 0 ? "p0" : "p1").with { $0.evidence = Self.evidence }
            #expect(try engine.recordOne(act).isRecorded)
            try recordOthers(round * 10..<round * 10 + 10)
        }
    }

    private func recordOthers(_ numbers: Range<Int>) throws {
        let events = numbers.map { number in
            ConsentEvent.grant([.customer("other-\(number)"), .email("other\(number)@example.no")])
                .with { $0.evidence = "paper number \(number)" }
        }
        #expect(try engine.record(events).outcomes.allSatisfy(\.isRecorded))
    }

    // MARK: What is gone

    @Test func noByteOfThePersonIsInAnyFile() throws {
        try recordKari()
        #expect(Set(try traces().map(\.value)) == [0, 1, 2, 3], "the search finds what is there")
        let report = try erase()
        #expect(!report.isPending && !report.isRepeated && report.emptiedEvents == 5)
        #expect(report.identifiers.count == 3)
        #expect(try traces() == [])
        #expect(try traces([Array("other7@example.no".utf8)]).count > 0, "others are still there")
        try node.expectSound()
        #expect(try traces() == [])
    }

    @Test func noByteIsLeftWhereTheSameGroupRecordedIt() throws {
        // Nothing of the group can be told apart from outside: it is one transaction with what came before.
        let events = kari.map { ConsentEvent.grant([kari[0], $0]).with { $0.evidence = Self.evidence } }
        let recorded = Answers<Result<RecordResult, EngineError>>()
        engine.record(events.map { .success($0) }) { recorded.add($0) }
        let report = try erase(kari[0])
        #expect(try recorded.take(1)[0].get().outcomes.allSatisfy(\.isRecorded))
        #expect(report.emptiedEvents == 3)
        #expect(try traces() == [])
        try node.expectSound()
    }

    @Test func noByteIsLeftAfterTheIndexHasGrown() throws {
        try recordKari()
        for start in stride(from: 1000, to: 4000, by: 500) { try recordOthers(start..<start + 500) }
        let generation = engine.publication.current.generation
        _ = try erase()
        #expect(generation > 1)
        try recordOthers(4000..<6000)
        #expect(try traces() == [])
        try node.expectSound()
        #expect(try traces() == [])
    }

    @Test func neitherNamesNorSaltsOfManyAreLeftInTheGapsOfPages() throws {
        var generator = SeededGenerator(salt: 77)
        func name(_ number: Int) -> Identifier { .email("person-number-\(number)@example.no") }
        for start in stride(from: 0, to: 600, by: 100) {
            let events = (start..<start + 100).map { number in
                ConsentEvent.grant([name(number), .customer("customer-\(number)")]).with {
                    $0.evidence = String(repeating: "evidence-\(number)-", count: 1 + generator.below(12))
                }
            }
            _ = try engine.record(events)
        }
        // Rows of people grow and move about in their pages.
        for round in 0..<600 {
            let purpose = generator.pick(["p1", "mail", "safety", "double"])
            let state: EventState = purpose == "p1" || purpose == "double" ? .requested : .objected
            _ = try engine.recordOne(ConsentEvent([name(generator.below(600))], purpose, state))
            if round % 100 == 0 { try recordOthers(round..<round + 50) }
        }
        let salts = try saltsOfAll()
        var (gone, goneSalts): ([[UInt8]], [[UInt8]]) = ([], [])
        for number in 0..<600 where generator.oneIn(4) {
            let subject = try #require(try subject(of: name(number)))
            goneSalts.append(try #require(salts[subject]))
            let value = name(number).value
            gone += [Array(value.utf8), Array("customer-\(number)\u{0}".utf8.dropLast()) + [0]]
            gone.append(Array("evidence-\(number)-".utf8))
            _ = try erase(name(number))
        }
        gone = gone.filter { $0.last != 0 }
        let places = try traces(gone + goneSalts)
        #expect(places == [], "CONSENT_TEST_SEED=\(TestSeed.value)")
        try node.expectSound()
    }

    /// In the first version they stood where rows move.
    @Test func noSaltIsLeftInALedgerThatWasBroughtUpToDate() throws {
        func name(_ number: Int) -> Identifier { .customer("customer-\(number)") }
        for start in stride(from: 0, to: 600, by: 100) {
            _ = try engine.record((start..<start + 100).map { ConsentEvent.grant([name($0)]) })
        }
        try node.close()
        try node.folder.bringBackToTheFirstVersion()
        try node.open()
        for number in 0..<600 { _ = try engine.recordOne(ConsentEvent([name(number)], "mail", .objected)) }
        let salts = try saltsOfAll()
        #expect(salts.count == 600)
        for number in stride(from: 0, to: 600, by: 4) { _ = try erase(name(number)) }
        let left = try saltsOfAll()
        let gone = salts.filter { left[$0.key] != $0.value }
        #expect(gone.count == 150)
        #expect(try traces(Array(gone.values)) == [])
        try node.expectSound()
    }

    private func saltsOfAll() throws -> [Int64: [UInt8]] {
        let queue = try DatabaseQueue(path: node.folder.ledgerPath)
        let rows = try queue.read { try Row.fetchAll($0, sql: "SELECT subject, value FROM salt") }
        try queue.close()
        return Dictionary(uniqueKeysWithValues: rows.map { ($0[0] as Int64, [UInt8]($0[1] as Data)) })
    }

    private func subject(of identifier: Identifier) throws -> Int64? { try engine.events(identifier).first?.subject }

    // MARK: Readers and crashes

    /// A connection of somebody else that reads what was, until it is closed.
    private func startReading() throws -> DatabaseQueue {
        var configuration = Configuration()
        configuration.allowsUnsafeTransactions = true
        let reader = try DatabaseQueue(path: node.folder.ledgerPath, configuration: configuration)
        try reader.inDatabase { database in
            try database.beginTransaction(.deferred)
            _ = try Int.fetchOne(database, sql: "SELECT count(*) FROM event")
        }
        return reader
    }

    private func pendingCount() throws -> UInt64? {
        try engine.statistics().first { $0.name == "erasures_pending" }?.value
    }

    @Test func anErasureIsPendingWhileSomebodyReadsAndDoneWhenTheReaderIs() async throws {
        try recordKari()
        let reader = try startReading()
        let report = try erase(waitMillis: 300)
        #expect(report.isPending)
        #expect(try pendingCount() == 1)
        #expect(try traces().map(\.file).contains("ledger.sqlite-wal"))
        #expect(engine.decision(kari[1]) == .unknown, "what is decided does not wait for it")
        try recordOthers(100..<110)
        let again = try erase(waitMillis: 100)
        #expect(again.isRepeated && again.isPending)
        try reader.inDatabase { try $0.rollback() }
        try reader.close()
        #expect(try await eventually { try pendingCount() == 0 })
        #expect(try traces() == [])
        #expect(try !erase().isPending)
        try node.expectSound()
    }

    @Test func aCrashBeforeTheLogWasEmptiedLeavesNothingOnceTheNodeIsOpenAgain() async throws {
        try recordKari()
        let reader = try startReading()
        #expect(try erase(waitMillis: 100).isPending)
        // What a machine that stops here leaves behind.
        let temporary = TemporaryFolder()
        try FileManager.default.copyItem(atPath: node.folder.path, toPath: temporary.path + "/node")
        try? FileManager.default.removeItem(atPath: temporary.path + "/node/ledger.sqlite-shm")
        try reader.close()
        #expect(try !traces(in: temporary.path).isEmpty)
        let survivor = try TestNode(in: temporary)
        #expect(
            try await eventually {
                try survivor.engine.statistics().contains { $0.name == "erasures_pending" && $0.value == 0 }
            })
        #expect(try traces(in: temporary.path) == [])
        #expect(try survivor.engine.reason(kari[0]) == .erased)
        try survivor.expectSound()
    }

    @Test func anErasureIsWholeOrNotThereWhereverTheLogEnds() throws {
        try recordKari()
        let before = try FileManager.default.attributesOfItem(atPath: node.folder.ledgerPath + "-wal")[.size] as? Int
        let reader = try startReading()
        #expect(try erase(waitMillis: 0).isPending)
        let temporary = TemporaryFolder()
        try FileManager.default.copyItem(atPath: node.folder.path, toPath: temporary.path + "/whole")
        try reader.close()
        let log = try Data(contentsOf: URL(filePath: temporary.path + "/whole/ledger.sqlite-wal"))
        let start = try #require(before)
        #expect(log.count > start)
        for size in stride(from: start, through: log.count, by: max(1, (log.count - start) / 7)) {
            let path = temporary.path + "/cut/node"
            try? FileManager.default.removeItem(atPath: temporary.path + "/cut")
            try FileManager.default.createDirectory(atPath: temporary.path + "/cut", withIntermediateDirectories: true)
            try FileManager.default.copyItem(atPath: temporary.path + "/whole", toPath: path)
            try? FileManager.default.removeItem(atPath: path + "/ledger.sqlite-shm")
            try log.prefix(size).write(to: URL(filePath: path + "/ledger.sqlite-wal"))
            let survivor = try Engine(NodeFolder(path)) { Issue.record("\($0)") }
            let reason = try survivor.reason(kari[0])
            let history = try survivor.events(kari[0])
            #expect(reason == .erased ? history.isEmpty : reason == .given && history.count == 5, "cut at \(size)")
            try survivor.close()
            #expect(try verify(NodeFolder(path)).problems == [], "cut at \(size)")
        }
    }

    // MARK: What stands

    @Test func whatWasAgreedToIsUnknownAndWhatWasObjectedToStaysDenied() throws {
        for purpose in ["p0", "double", "young"] { _ = try engine.recordOne(.grant(kari, purpose)) }
        _ = try engine.recordOne(ConsentEvent([kari[0]], "p1", .withdrawn))
        _ = try engine.recordOne(ConsentEvent([kari[1]], "mail", .objected))
        _ = try engine.recordOne(ConsentEvent([kari[2]], "safety", .objected))
        #expect(try erase().objections == ["mail", "safety"])
        for restarts in 0..<3 {
            for identifier in kari {
                #expect(engine.decision(identifier, 0) == .unknown)
                #expect(engine.decision(identifier, 1) == .unknown)
                #expect(engine.decision(identifier, 3) == .granted, "a contract asks nobody")
                #expect(engine.decision(identifier, 4) == .denied)
                #expect(engine.decision(identifier, 5) == .denied)
                #expect(try engine.reason(identifier, 0) == .erased)
                #expect(try engine.reason(identifier, 4) == .objected)
            }
            if restarts == 0 { try node.restart() }
            if restarts == 1 {
                try node.close()
                _ = try rebuildIndex(node.folder)
                try node.open()
            }
        }
        try node.expectSound()
    }

    @Test func whoNeverObjectedIsAsNeverSeenForWhatNeedsNoConsent() throws {
        _ = try engine.recordOne(.grant(kari))
        _ = try erase()
        #expect(engine.decision(kari[0], 4) == engine.decision(.customer("never-seen"), 4))
    }

    @Test func theChainVerifiesAndAPastMomentIsAnsweredAsBefore() throws {
        try recordKari(rounds: 1)
        let begin = secondsAgo(3600)
        var question = PeopleQuestion(.active)
        (question.from, question.until, question.countMax) = (begin, now, 1000)
        question.asOf = try engine.people(question).head
        let before = try engine.people(question).people
        nextMillisecond()
        _ = try erase()
        let after = try engine.people(question).people
        #expect(after.map(\.subject) == before.map(\.subject) && after.map(\.purpose) == before.map(\.purpose))
        #expect(after.map(\.since) == before.map(\.since))
        #expect(before.first { $0.subject == 1 }?.identifiers == kari.reversed() || before[0].identifiers.count == 3)
        #expect(after.first { $0.subject == 1 }?.identifiers == [])
        (question.asOf, question.from, question.until) = (0, now, now.advanced(millis: 1))
        #expect(try !engine.people(question).people.contains { $0.subject == 1 }, "nothing is active after it")
        try node.expectSound()
    }

    @Test func whoWasErasedIsInNoListOfPeopleToReach() throws {
        _ = try engine.recordOne(.grant(kari))
        _ = try engine.recordOne(.grant([.customer("other")]))
        _ = try erase()
        for selection in [PeopleSelection.audience, .askAgain, .ending] {
            var question = PeopleQuestion(selection)
            (question.purpose, question.countMax) = (selection == .audience ? "mail" : "p1", 100)
            question.until = now.advanced(bySeconds: 1_000_000_000)
            let found = try engine.people(question).people.map(\.subject)
            #expect(!found.contains(1), "\(selection)")
        }
    }

    @Test func subscribersAreToldOfTheRowsAsTheyAreNow() throws {
        _ = try engine.recordOne(.grant(kari))
        _ = try engine.recordOne(ConsentEvent([kari[0]], "mail", .objected))
        let groups = Answers<CommittedGroup>()
        let subscription = engine.subscribe { groups.add($0) }
        let report = try erase()
        // Of the act before it, the subscriber may have been told, too.
        let group = groups.take(1).last { $0.first == report.sequence } ?? groups.take(1)[1]
        engine.unsubscribe(subscription)
        #expect(group.last == report.sequence)
        #expect(Set(group.rows.map(\.hash)) == Set(kari.map(engine.hashKey.hash)))
        #expect(group.rows.allSatisfy { $0.row.permitted == PurposeSet() && $0.row.denied == PurposeSet([4]) })
    }

    // MARK: Who comes back

    private func expectRefused(
        _ event: ConsentEvent, _ isExpected: (AdmissionError) -> Bool, sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
        let before = try engine.sizes()
        guard case .refused(let error) = try engine.recordOne(event), isExpected(error) else {
            Issue.record("\(event.state) was not refused as expected", sourceLocation: sourceLocation)
            return
        }
        #expect(try engine.sizes() == before, "something was stored", sourceLocation: sourceLocation)
    }

    private func isErased(_ error: AdmissionError) -> Bool {
        if case .personErased = error { true } else { false }
    }

    @Test func anImportOfWhatWasBeforeIsRefusedAndNothingIsStored() throws {
        let old = secondsAgo(1000)
        _ = try engine.recordOne(.grant(kari, at: old))
        _ = try erase()
        for identifier in kari {
            try expectRefused(.grant([identifier], at: old), isErased)
            try expectRefused(.grant([identifier, .email("new@example.no")], "p1", at: secondsAgo(500)), isErased)
            try expectRefused(ConsentEvent([identifier], "p0", .requested, at: old), isErased)
            try expectRefused(ConsentEvent([identifier], "mail", .objectionLifted, at: old), isErased)
        }
        #expect(try traces() == [])
        #expect(engine.decision(.email("new@example.no")) == .unknown)
        try node.expectSound()
    }

    @Test func whatOthersSayOfThePersonDoesNotBringThePersonBack() throws {
        _ = try engine.recordOne(.grant(kari))
        _ = try erase()
        nextMillisecond()
        try expectRefused(ConsentEvent([kari[0]], "p0", .requested), isErased)
        try expectRefused(ConsentEvent([kari[0]], "p0", .deferred), isErased)
        try expectRefused(
            ConsentEvent([kari[0]], "safety", .objectionLifted).with { $0.party = .controller }, isErased)
        #expect(try traces() == [])
    }

    @Test func aNewActOfThePersonEndsTheSuppressionAndShowsNothingOfBefore() throws {
        let old = secondsAgo(1000)
        _ = try engine.recordOne(.grant(kari, at: old))
        _ = try engine.recordOne(ConsentEvent([kari[0]], "mail", .objected))
        _ = try erase()
        nextMillisecond()
        let back = try engine.recordOne(.grant([kari[1]], "p1"))
        #expect(back.isRecorded)
        #expect(engine.decision(kari[1], 1) == .granted)
        #expect(engine.decision(kari[1], 0) == .unknown, "what was erased stays so")
        #expect(engine.decision(kari[1], 4) == .denied, "an objection outlives the erasure and the return")
        #expect(try engine.events(kari[1]).map(\.sequence) == [back.sequence])
        try expectRefused(.grant([kari[1]], at: old), isErased)
        #expect(engine.decision(kari[0], 1) == .granted, "the other identifiers are still the person's")
        try node.restart()
        nextMillisecond()
        let second = try erase()
        #expect(!second.isRepeated && second.emptiedEvents == 1)
        #expect(try traces() == [])
        try node.expectSound()
    }

    @Test func aNoAboutSomebodyErasedIsTakenAndNamesNobody() throws {
        _ = try engine.recordOne(.grant(kari))
        _ = try erase()
        #expect(engine.decision(kari[0], 4) == .granted)
        let no = ConsentEvent([kari[0], kari[1]], "mail", .objected).with {
            $0.evidence = Self.evidence
            $0.key = IdempotencyKey(9)
        }
        let outcome = try engine.recordOne(no)
        #expect(outcome.isRecorded)
        #expect(engine.decision(kari[2], 4) == .denied)
        #expect(try engine.recordOne(no) == .duplicate(sequence: #require(outcome.sequence)))
        let other = no.with { $0.purpose = "safety" }
        #expect(try engine.recordOne(other) == .refused(.keyReused(sequence: #require(outcome.sequence))))
        let old = ConsentEvent([kari[0]], "safety", .objected, at: secondsAgo(1000))
        #expect(try engine.recordOne(old).isRecorded)
        #expect(engine.decision(kari[0], 5) == .denied, "also one that was said before the erasure")
        #expect(try traces() == [])
        nextMillisecond()
        #expect(try engine.recordOne(.grant([kari[0]])).isRecorded)
        try node.expectSound()
    }

    @Test func aNoThatNamesAnotherPersonTooReachesBoth() throws {
        _ = try engine.recordOne(.grant(kari))
        _ = try erase()
        let no = ConsentEvent([kari[0], .email("new@example.no")], "mail", .objected)
        #expect(try engine.recordOne(no).isRecorded)
        #expect(engine.decision(kari[0], 4) == .denied)
        #expect(engine.decision(.email("new@example.no"), 4) == .denied)
        #expect(try traces() == [])
        try node.expectSound()
    }

    @Test func whatIsSentOnceMoreAfterTheErasureIsRefusedAndNotKnown() throws {
        let grant = ConsentEvent.grant(kari).with { $0.key = IdempotencyKey(7) }
        _ = try engine.recordOne(grant)
        _ = try erase()
        try expectRefused(grant, isErased)
        #expect(try traces() == [])
    }

    // MARK: What is refused

    @Test func whoIsNotKnownCannotBeErased() throws {
        try recordOthers(0..<1)
        let before = try engine.sizes()
        #expect(throws: EngineError.self) { try erase() }
        #expect(try engine.sizes() == before)
    }

    @Test func whoErasesIsNotNamedByThePerson() throws {
        _ = try engine.recordOne(.grant(kari))
        let before = try engine.sizes()
        for actor in ["KARI.Nordmann@example.no", "for +4791234567", String(repeating: "x", count: 256)] {
            #expect(throws: EngineError.self) {
                try engine.erase(ErasureRequest(kari[0], reason: .objection, actor: actor))
            }
        }
        #expect(try engine.sizes() == before)
        #expect(engine.decision(kari[0]) == .granted)
    }

    @Test func erasingTwiceSaysWhatTheFirstTimeDid() throws {
        _ = try engine.recordOne(.grant(kari))
        let first = try erase(kari[0])
        let second = try engine.erase(ErasureRequest(kari[2], reason: .unlawful, actor: "somebody else"))
        #expect(second.sequence == first.sequence && second.hash == first.hash && second.isRepeated)
        #expect(second.reason == .consentWithdrawn && second.actor == "clerk-7")
        try node.restart()
        let third = try erase(kari[1])
        #expect(third.sequence == first.sequence && third.isRepeated && !third.isPending)
    }

    @Test func aTextThatNamesThePersonIsRefusedAndANoGoesWithoutIt() throws {
        for change: (inout ConsentEvent) -> Void in [
            { $0.actor = "kari.nordmann@example.no" }, { $0.source.form = "a Kari.Nordmann@Example.no b" },
            { $0.source.channel = "+4791234567" }, { $0.source.system = "kari-100001" },
        ] {
            try expectRefused(ConsentEvent.grant(kari).with(change)) {
                if case .textNamesPerson = $0 { true } else { false }
            }
            let no = ConsentEvent(kari, "p0", .withdrawn).with(change)
            #expect(try engine.recordOne(no).isRecorded)
        }
        #expect(try engine.events(kari[0]).allSatisfy { $0.event.actor.isEmpty && $0.event.source == EventSource() })
        _ = try erase()
        #expect(try traces() == [])
    }

    // MARK: What somebody changes behind the node's back

    @Test func whatIsChangedAboutAnErasureIsFound() throws {
        try recordKari()
        let sequence = try erase().sequence
        try node.expectSound()
        let changes = [
            ("UPDATE event SET detail = x'01' WHERE kind = 6", "event \(sequence)"),
            ("UPDATE event SET actor = 'another' WHERE kind = 6", "event \(sequence)"),
            ("UPDATE event SET detail = x'0901' WHERE kind = 6", "event \(sequence)"),
            ("DELETE FROM erased_event WHERE sequence = 2", "event 2"),
            ("UPDATE erased_event SET commitment = zeroblob(32) WHERE sequence = 2", "event 2"),
            ("UPDATE event SET personal = x'010101370000' WHERE sequence = 2", "event 2"),
            ("UPDATE subject SET erased_at = NULL WHERE id = 1", "subject 1"),
            ("UPDATE subject SET erasure = 3 WHERE id = 1", "subject 1"),
            ("UPDATE salt SET value = zeroblob(16) WHERE subject = 2", "event 3"),
        ]
        for (statement, place) in changes {
            let temporary = TemporaryFolder()
            let folder = NodeFolder(temporary.path + "/node")
            try FileManager.default.copyItem(atPath: node.folder.path, toPath: folder.path)
            try folder.changeLedger(statement)
            let problems: [String]
            do { problems = try verify(folder).problems } catch let error as LedgerError { problems = ["\(error)"] }
            #expect(problems.contains { $0.contains(place) }, "\(statement): \(problems)")
        }
    }
}
