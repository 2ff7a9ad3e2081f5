import ConsentCatalog
import ConsentEngine
import ConsentIndex
import ConsentKernel
import ConsentLedger
import ConsentModel
import ConsentTestSupport
import Foundation
import GRDB
import Testing

struct RecordTests {
    private let node: TestNode
    private var engine: Engine { node.engine }
    private let kari = Identifier.customer("kari")

    init() throws { node = try TestNode(.manyKinds) }

    @Test func aRecordedEventIsInTheIndexAndInTheLedger() throws {
        let result = try engine.record([.grant([kari])])
        #expect(result.head == 2)
        #expect(result.outcomes == [.recorded(sequence: 2)])
        #expect(engine.answer(kari).reason == .given)
        #expect(engine.publication.current.appliedSequence >= 2)
        let explained = try engine.explain(kari, purposeBit: 0)
        #expect(explained.verdict.reason == .given)
        #expect(explained.purpose.id == "p0")
        #expect(explained.act?.sequence == 2 && explained.guardian == nil)
        #expect(explained.sequence == 2)
        #expect(engine.decision(.customer("ola")) == .unknown)
        #expect(engine.decision(.make(.email, "kari")) == .unknown, "the type belongs to the identifier")
        #expect(engine.decision(kari, 1) == .unknown)
    }

    @Test func aNoTakesEffectAtOnce() throws {
        for state in [EventState.refused, .withdrawn, .revoked, .invalidated, .objected] {
            let person = Identifier.customer(state.name)
            _ = try engine.record([.grant([person])])
            #expect(engine.decision(person) == .granted)
            #expect(try engine.recordOne(ConsentEvent([person], "p0", state)).isRecorded)
            #expect(engine.decision(person) == .denied, "\(state)")
            #expect(try engine.explain(person, purposeBit: 0).verdict.decision == .denied)
        }
    }

    @Test func aDoubleOptInCountsWhenItIsConfirmed() throws {
        _ = try engine.record([.grant([kari], "double")])
        #expect(engine.decision(kari, 6) == .unknown)
        #expect(try engine.reason(kari, 6) == .requested)
        #expect(try engine.recordOne(ConsentEvent([kari], "double", .confirmed)).isRecorded)
        #expect(engine.decision(kari, 6) == .granted)
        #expect(try engine.events(kari).map(\.refersTo) == [0, 2])
        // A new grant wants a confirmation of its own.
        _ = try engine.record([.grant([kari], "double")])
        #expect(engine.decision(kari, 6) == .unknown)
    }

    @Test func anObjectionStandsWhereNobodyIsAskedAndForNobodyElse() throws {
        #expect(engine.answer(kari, 4).reason == .basisHolds)
        #expect(try engine.recordOne(ConsentEvent([kari], "mail", .objected)).isRecorded)
        #expect(engine.answer(kari, 4).reason == .objected)
        #expect(engine.answer(.customer("ola"), 4).reason == .basisHolds)
        nextMillisecond()
        _ = try engine.recordOne(ConsentEvent([kari], "mail", .objectionLifted))
        #expect(engine.decision(kari, 4) == .granted)
    }

    // MARK: Rules at the door

    @Test func everyRuleAtTheDoorStoresNothing() throws {
        let ola = Identifier.customer("ola")
        let used = IdempotencyKey(7)
        _ = try engine.record([.grant([kari]).with { $0.key = used }, .grant([ola])])
        let before = try engine.sizes()
        let grant = ConsentEvent.grant([.customer("new")])
        let long = String(repeating: "x", count: 256)
        let rules: [(ConsentEvent, AdmissionError)] = [
            (grant.with { $0.identifiers = [] }, .identifierMissing),
            (grant.with { $0.identifiers = (0..<17).map { .customer("\($0)") } }, .identifiersTooMany(17)),
            (grant.with { $0.purpose = "nothing" }, .purposeUnknown("nothing")),
            (grant.with { $0.purpose = "retired" }, .purposeInactive("retired")),
            (grant.with { $0.purpose = "receipts" }, .basisNeedsNoConsent(purpose: "receipts", .contract)),
            (grant.with { $0.purpose = "mail" }, .basisNeedsNoConsent(purpose: "mail", .legitimateInterest)),
            (
                ConsentEvent([kari], "receipts", .withdrawn),
                .basisCannotBeWithdrawn(purpose: "receipts", .contract)
            ),
            (ConsentEvent([kari], "receipts", .objected), .basisCannotBeWithdrawn(purpose: "receipts", .contract)),
            (
                ConsentEvent([kari], "mail", .objectionLifted).with { $0.party = .controller },
                .objectionIsAbsolute(purpose: "mail")
            ),
            (ConsentEvent([kari], "p0", .expired), .stateIsInternal(.expired)),
            (ConsentEvent([kari], "p0", .erased), .stateIsInternal(.erased)),
            (grant.with { $0.revision = nil }, .declarationMissing),
            (
                grant.with { $0.revision = RevisionName(declaration: "shop", revision: "1.0") },
                .declarationUnknown("shop")
            ),
            (
                grant.with { $0.revision!.revision = "7" },
                .revisionUnknown(RevisionName(declaration: "club", revision: "7"))
            ),
            (
                grant.with { $0.revision!.revision = "0.9" },
                .revisionNotCurrent(RevisionName(declaration: "club", revision: "0.9"), current: "1.0")
            ),
            (
                grant.with { $0.capturedAt = Timestamp(iso8601: "2018-06-01") },
                .revisionNotCurrent(RevisionName(declaration: "club", revision: "1.0"), current: nil)
            ),
            (
                .grant([kari], "p1", at: Timestamp(iso8601: "2019-06-01"), revision: "0.9"),
                .revisionLacksPurpose(RevisionName(declaration: "club", revision: "0.9"), purpose: "p1")
            ),
            (
                grant.with { $0.language = "fi" },
                .languageUnknown(RevisionName(declaration: "club", revision: "1.0"), language: "fi")
            ),
            (
                grant.with { $0.language = "" },
                .languageUnknown(RevisionName(declaration: "club", revision: "1.0"), language: "")
            ),
            (grant.with { $0.method = .none }, .methodMissing),
            (grant.with { $0.method = .preticked }, .methodIsNotConsent(.preticked)),
            (grant.with { $0.method = .silence }, .methodIsNotConsent(.silence)),
            (grant.with { $0.method = .implied }, .methodIsNotConsent(.implied)),
            (grant.with { $0.method = .bundled }, .methodIsNotConsent(.bundled)),
            (
                ConsentEvent([kari], "p0", .confirmed).with { $0.method = .implied }, .methodIsNotConsent(.implied)
            ),
            (grant.with { $0.party = .controller }, .partyCannotConsent(.controller)),
            (ConsentEvent([kari], "p0", .confirmed).with { $0.party = .system }, .partyCannotConsent(.system)),
            (grant.with { $0.expiresAt = secondsAgo(1) }, .endsBeforeCapture),
            (grant.with { $0.actor = long }, .textTooLong(field: "actor", size: 256, sizeMax: 255)),
            (grant.with { $0.source.form = long }, .textTooLong(field: "source.form", size: 256, sizeMax: 255)),
            (
                grant.with { $0.evidence = String(repeating: "x", count: 4097) },
                .textTooLong(field: "evidence", size: 4097, sizeMax: 4096)
            ),
            (ConsentEvent([.customer("new")], "p0", .confirmed), .nothingToConfirm(purpose: "p0")),
            (ConsentEvent([kari], "p1", .confirmed), .nothingToConfirm(purpose: "p1")),
            (
                ConsentEvent([kari], "p0", .confirmed).with { $0.capturedAt = secondsAgo(1000) },
                .nothingToConfirm(purpose: "p0")
            ),
            (.grant([ola]).with { $0.key = used }, .keyReused(sequence: 2)),
            (.grant([kari], "p1").with { $0.key = used }, .keyReused(sequence: 2)),
            (.grant([kari, ola]), .identifierConflict(ola)),
            (.grant([.customer("new"), ola, kari]), .identifierConflict(kari)),
            (ConsentEvent([kari, ola], "p1", .deferred), .identifierConflict(ola)),
            (grant.with { $0.subjectAge = 151 }, .ageImplausible(151)),
            (grant.with { $0.subjectAge = -1 }, .ageImplausible(-1)),
            (grant.with { $0.capturedAt = Timestamp(millis: -1) }, .capturedTooEarly(Timestamp(millis: -1))),
        ]
        for (event, rule) in rules {
            #expect(try engine.recordOne(event) == .refused(rule))
            #expect(try engine.sizes() == before, "\(rule)")
        }
        let outcome = try engine.recordOne(grant.with { $0.capturedAt = now.advanced(bySeconds: 400) })
        guard case .refused(.capturedInFuture) = outcome else {
            Issue.record("\(outcome)")
            return
        }
        #expect(try engine.sizes() == before)
        #expect(engine.decision(.customer("new")) == .unknown)
        #expect(try engine.events(.customer("new")).isEmpty)
        try node.expectSound()
    }

    @Test func whatCouldNotBeReadAsAnEventIsAnOutcomeOfItsOwn() throws {
        let before = try engine.sizes()
        let problems: [AdmissionError] = [
            .identifierTypeUnknown("type 99"), .identifierEmpty(.email), .identifierTooLong(.email, size: 256),
            .identifierInvalid(.phone), .purposeUnknown("bit 900"),
        ]
        let answer = try waitFor { engine.record(problems.map { .failure($0) }, complete: $0) }
        #expect(answer.outcomes == problems.map { .refused($0) })
        #expect(try engine.sizes() == before)
    }

    @Test func aNoIsNeverRefusedForADetailThatItDoesNotNeed() throws {
        _ = try engine.record([.grant([kari])])
        let no = ConsentEvent([kari], "p0", .withdrawn).with {
            $0.revision = RevisionName(declaration: "shop", revision: "x")
            $0.subjectAge = 200
            $0.capturedAt = now.advanced(bySeconds: 86_400)
            $0.method = .implied
            $0.party = .system
        }
        #expect(try engine.recordOne(no).isRecorded)
        #expect(engine.decision(kari) == .denied)
        // Nor does a clock that ran ahead make it outrank what follows.
        nextMillisecond()
        _ = try engine.record([.grant([kari])])
        #expect(engine.decision(kari) == .granted)
    }

    @Test func refusedEventsOfABatchDoNotHoldUpTheOthers() throws {
        let events = (0..<100).map { number -> ConsentEvent in
            let event = ConsentEvent.grant([.customer("c\(number)")])
            return number % 3 == 1 ? event.with { $0.method = .silence } : event
        }
        let result = try engine.record(events)
        var sequence: UInt64 = 1
        for (number, outcome) in result.outcomes.enumerated() {
            if number % 3 == 1 {
                #expect(outcome == .refused(.methodIsNotConsent(.silence)))
                #expect(engine.decision(.customer("c\(number)")) == .unknown)
            } else {
                sequence += 1
                #expect(outcome == .recorded(sequence: sequence))
                #expect(engine.decision(.customer("c\(number)")) == .granted)
            }
        }
        #expect(result.head == sequence)
    }

    @Test func anEmptyBatchIsAnsweredAndStoresNothing() throws {
        let before = try engine.sizes()
        let result = try engine.record([])
        #expect(result.head == 1)
        #expect(result.outcomes == [])
        #expect(try engine.sizes() == before)
    }

    // MARK: Order

    @Test func whatIsUploadedLateDoesNotResurrect() throws {
        _ = try engine.record([.grant([kari], at: secondsAgo(3000))])
        _ = try engine.record([ConsentEvent([kari], "p0", .withdrawn, at: secondsAgo(1000))])
        #expect(engine.decision(kari) == .denied)
        for state in [EventState.given, .renewed] {
            let late = ConsentEvent.grant([kari], at: secondsAgo(2000)).with { $0.state = state }
            #expect(try engine.recordOne(late).isRecorded)
            #expect(engine.decision(kari) == .denied)
        }
        #expect(try engine.recordOne(.grant([kari], at: secondsAgo(500))).isRecorded)
        #expect(engine.decision(kari) == .granted)
        // And a "no" of the same moment wins, whichever came first.
        #expect(try engine.recordOne(ConsentEvent([kari], "p0", .withdrawn, at: secondsAgo(100))).isRecorded)
        let moment = secondsAgo(50)
        _ = try engine.record([ConsentEvent([kari], "p0", .withdrawn, at: moment), .grant([kari], at: moment)])
        #expect(engine.decision(kari) == .denied)
        try node.expectSound()
    }

    @Test func aLateConfirmationOfAnOlderGrantConfirmsNothing() throws {
        let confirmation = ConsentEvent([kari], "double", .confirmed, at: secondsAgo(90))
        _ = try engine.record([.grant([kari], "double", at: secondsAgo(100))])
        _ = try engine.record([.grant([kari], "double", at: secondsAgo(80))])
        #expect(try engine.recordOne(confirmation) == .refused(.nothingToConfirm(purpose: "double")))
        #expect(engine.decision(kari, 6) == .unknown)
    }

    // MARK: Identifiers

    @Test func identifiersOfOneEventBecomeOnePerson() throws {
        let (cookie, mail) = (Identifier.make(.cookie, "abc"), Identifier.email(" Kari@Example.NO "))
        _ = try engine.record([.grant([cookie])])
        #expect(engine.decision(kari) == .unknown)
        // Known by one of its names; what holds for the person holds for the others from now on.
        _ = try engine.record([ConsentEvent([cookie, kari, mail], "p1", .requested)])
        for name in [cookie, kari, .email("kari@example.no")] {
            #expect(engine.decision(name) == .granted)
            #expect(try engine.events(name).count == 2)
        }
        _ = try engine.record([ConsentEvent([mail], "p0", .withdrawn)])
        for name in [cookie, kari, mail] { #expect(engine.decision(name) == .denied) }
        #expect(try engine.sizes()["subjects"] == 1)
        #expect(try engine.sizes()["identifiers"] == 3)
    }

    @Test func theSameIdentifierTwiceInOneEventIsOne() throws {
        let mail = Identifier.email("kari@example.no")
        #expect(try engine.recordOne(.grant([mail, .email("KARI@example.no "), kari, kari])).isRecorded)
        #expect(try engine.sizes()["identifiers"] == 2)
        #expect(engine.decision(mail) == .granted)
    }

    @Test func aPersonWhoIsNewInABatchIsKnownToTheRestOfIt() throws {
        let mail = Identifier.email("kari@example.no")
        let result = try engine.record([
            .grant([kari]), ConsentEvent([kari, mail], "p1", .refused), .grant([mail, .make(.cookie, "k")]),
            .grant([.customer("per")]), .grant([mail, .customer("per")]),
        ])
        #expect(result.outcomes.map(\.isRecorded) == [true, true, true, true, false])
        #expect(result.outcomes[4] == .refused(.identifierConflict(.customer("per"))))
        #expect(try engine.sizes()["subjects"] == 2)
        #expect(engine.decision(.make(.cookie, "k"), 1) == .denied)
    }

    /// A household shares an address: what one of them agreed to, the other has not.
    @Test func peopleWithNumbersOfTheirOwnAreNotMergedByAnAddressThatTheyShare() throws {
        let (mail, ola) = (Identifier.email("home@example.no"), Identifier.customer("ola"))
        #expect(try engine.recordOne(.grant([kari, mail])).isRecorded)
        let sizes = try engine.sizes()
        #expect(
            try engine.recordOne(ConsentEvent([ola, mail], "p1", .deferred)) == .refused(.identifierConflict(ola)))
        #expect(try engine.sizes() == sizes && engine.decision(ola) == .unknown)
        // Each for itself.
        #expect(try engine.recordOne(ConsentEvent([ola], "p0", .withdrawn)).isRecorded)
        #expect(engine.decision(ola) == .denied && engine.decision(mail) == .granted)
        let national = try engine.recordOne(.grant([.make(.nationalId, "01018012345"), mail]))
        guard case .refused(.identifierConflict) = national else {
            Issue.record("\(national)")
            return
        }
        // One person with two numbers: an event that names both says so.
        #expect(try engine.recordOne(ConsentEvent([kari, .customer("kari-2")], "p1", .deferred)).isRecorded)
        #expect(engine.decision(.customer("kari-2")) == .granted)
        // Everything else may be new.
        #expect(try engine.recordOne(ConsentEvent([mail, .make(.phone, "+4799999999")], "p1", .deferred)).isRecorded)
        #expect(engine.decision(.make(.phone, "+4799999999")) == .granted)
    }

    /// Whoever of them said it: one "no" too many costs less than one that is lost.
    @Test(arguments: [EventState.withdrawn, .refused, .revoked, .invalidated, .objected])
    func aNoThatNamesSeveralPeopleReachesAllOfThem(state: EventState) throws {
        let (ola, mail, new) = (Identifier.customer("ola"), Identifier.email("home@example.no"), "new")
        _ = try engine.record([.grant([kari, mail]), .grant([ola])])
        nextMillisecond()
        let no = ConsentEvent([kari, ola, .make(.cookie, new)], "p0", state).with { $0.key = IdempotencyKey(7) }
        #expect(try engine.recordOne(no) == .recorded(sequence: 4))
        for name in [kari, mail, ola, .make(.cookie, new)] { #expect(engine.decision(name) == .denied) }
        #expect(try engine.sizes()["subjects"] == 3)
        // Sent again it is known, and it takes no later yes away.
        nextMillisecond()
        _ = try engine.record([.grant([ola])])
        try node.restart()
        #expect(try engine.recordOne(no) == .duplicate(sequence: 4))
        #expect(engine.decision(ola) == .granted && engine.decision(kari) == .denied)
        // The key is used up for whatever says something else.
        for change in [
            { $0.purpose = "p1" }, { $0.actor = "x" }, { $0.identifiers = [kari, ola, mail, .customer("per")] },
            { $0.state = state == .refused ? .withdrawn : .refused },
        ] as [(inout ConsentEvent) -> Void] {
            #expect(try engine.recordOne(no.with(change)) == .refused(.keyReused(sequence: 4)))
        }
        let single = ConsentEvent([ola], "p1", state).with { $0.key = IdempotencyKey(8) }
        let sequence = try #require(try engine.recordOne(single).sequence)
        #expect(
            try engine.recordOne(single.with { $0.identifiers.append(mail) })
                == .refused(.keyReused(sequence: sequence)), "it was never recorded for another")
        try node.expectSound()
    }

    /// Each event about a person writes the rows of all of them: without an end, one address that many people share would
    /// hold up everybody.
    @Test func aPersonHasOnlySoManyIdentifiersAndANoReachesTheRest() throws {
        let most = Limit.identifiersPerPersonMax
        let names = (1..<most).map { Identifier.make(.cookie, "visit \($0)") }
        let events = stride(from: 0, to: names.count, by: 15).map { start in
            ConsentEvent.grant([kari] + names[start..<min(start + 15, names.count)])
        }
        #expect(try engine.record(events).outcomes.allSatisfy(\.isRecorded))
        let before = try engine.sizes()
        #expect(before["identifiers"] == UInt64(most) && before["subjects"] == 1)
        let new = Identifier.make(.cookie, "one more")
        #expect(try engine.recordOne(.grant([names[7], new])) == .refused(.identifiersOfPersonTooMany(most + 1)))
        #expect(try engine.sizes() == before)
        #expect(try engine.recordOne(.grant([kari, names[7], names[9]], "p1")).isRecorded)
        #expect(engine.decision(names[most - 2], 1) == .granted)
        nextMillisecond()
        #expect(try engine.recordOne(ConsentEvent([new, names[7]], "p0", .withdrawn)).isRecorded)
        #expect(engine.decision(new) == .denied && engine.decision(kari) == .denied)
        try node.expectSound()
    }

    @Test func aNoForAnAddressThatAnotherHasReachesBothAndIsKnownAgainByItsMoment() throws {
        let (mail, ola) = (Identifier.email("home@example.no"), Identifier.customer("ola"))
        _ = try engine.record([.grant([kari, mail], at: secondsAgo(1000))])
        let no = ConsentEvent([ola, mail], "p0", .withdrawn, at: secondsAgo(500))
        #expect(try engine.record([no, no]).outcomes == [.recorded(sequence: 3), .duplicate(sequence: 3)])
        #expect(try engine.recordOne(no) == .duplicate(sequence: 3))
        for name in [kari, mail, ola] { #expect(engine.decision(name) == .denied) }
        #expect(try engine.sizes()["subjects"] == 2)
        try node.expectSound()
    }

    /// Two spellings of `å`: one letter, or a letter and its ring.
    @Test func sourcesThatLookTheSameAreKeptAsTheyWereSaid() throws {
        let spellings = ["kasse p\u{E5} torget", "kasse pa\u{30A} torget"]
        for (number, spelling) in spellings.enumerated() {
            let source = EventSource(system: spelling, channel: spelling, form: spelling)
            _ = try engine.record([.grant([.customer("c\(number)")]).with { $0.source = source }])
        }
        for (number, spelling) in spellings.enumerated() {
            let kept = try #require(try engine.events(.customer("c\(number)")).first).event.source
            #expect([kept.system, kept.channel, kept.form].allSatisfy { Array($0.utf8) == Array(spelling.utf8) })
        }
        try node.expectSound()
    }

    /// Taken for a number it would be somebody else's, who has nothing to withdraw, and the consent would stand.
    @Test(arguments: [EventState.given, .withdrawn])
    func whatAHistoryShowsForANationalIDIsNoIdentifier(_ state: EventState) throws {
        let id = Identifier.make(.nationalId, "01018012345")
        #expect(try engine.recordOne(.grant([id])).isRecorded)
        let shown = try #require(try engine.events(id).first).event.identifiers
        let event = ConsentEvent.grant(shown).with { $0.state = state }
        #expect(try engine.recordOne(event) == .refused(.nationalIDIsHash))
        #expect(AdmissionError.nationalIDIsHash.description.contains("the number itself"))
    }

    /// An earlier version had another normal form; what it recorded is what it committed to.
    @Test func aSpellingThatIsNoNormalFormAnyMoreStaysAsItWasRecorded() throws {
        let old = [
            Identifier(recorded: .phone, value: "22334455"), Identifier(recorded: .email, value: "Åse@example.no"),
            Identifier(recorded: .customer, value: " "),
        ]
        #expect(try engine.recordOne(.grant(old)).isRecorded)
        #expect(try engine.events(old[0]).map(\.event.identifiers) == [old])
        #expect(engine.decision(.make(.email, "åse@example.no")) == .unknown)
        try node.expectSound()
    }

    @Test func ofANationalIDOnlyItsKeyedHashIsKept() throws {
        let number = "01018012345"
        let id = Identifier.make(.nationalId, number)
        let event = ConsentEvent.grant([id, kari], at: secondsAgo(10)).with { $0.key = IdempotencyKey(1) }
        #expect(try engine.recordOne(event) == .recorded(sequence: 2))
        #expect(try engine.recordOne(event) == .duplicate(sequence: 2))
        let keyless = event.with {
            $0.key = nil
            $0.capturedAt = secondsAgo(20)
        }
        #expect(try engine.record([keyless, keyless]).outcomes == [.recorded(sequence: 3), .duplicate(sequence: 3)])
        #expect(engine.decision(id) == .granted)
        #expect(try engine.events(id).map(\.sequence) == [2, 3])
        let kept = try #require(try engine.events(id).first).event.identifiers
        #expect(kept[0].type == .nationalId)
        #expect(kept[0].value.hasPrefix("#"))
        #expect(kept[1] == kari)
        // What stands in the record is not a name by which anybody is found.
        #expect(engine.decision(kept[0]) == .unknown)
        #expect(try filesThatHold("kari").contains("ledger.sqlite-wal"), "another value is found where it is")
        #expect(try filesThatHold(number) == [])
        try node.expectSound()
        #expect(try filesThatHold("kari") == ["ledger.sqlite"])
        #expect(try filesThatHold(number) == [])
    }

    private func filesThatHold(_ text: String) throws -> [String] {
        let names = try FileManager.default.subpathsOfDirectory(atPath: node.folder.path)
        return try names.filter { name in
            let content = FileManager.default.contents(atPath: node.folder.path + "/" + name)
            return try name.hasSuffix("current") || content == nil
                ? false : #require(content).range(of: Data(text.utf8)) != nil
        }
    }

    // MARK: What is acknowledged

    @Test func whatIsAcknowledgedIsDurable() throws {
        var configuration = Configuration()
        configuration.readonly = true
        let beside = try DatabaseQueue(path: node.folder.ledgerPath, configuration: configuration)
        for number in 0..<20 {
            let head = try engine.record([.grant([.customer("c\(number)")])]).head
            let stored = try beside.read { try Int.fetchOne($0, sql: "SELECT max(sequence) FROM event") }
            #expect(stored == Int(head))
        }
        try beside.close()
        // As after the end of a process that had no time to close anything.
        let abandoned = TemporaryFolder()
        try FileManager.default.copyItem(atPath: node.folder.path, toPath: abandoned.path + "/node")
        for node in [node, try TestNode(in: abandoned)] {
            try node.restart()
            #expect((0..<20).allSatisfy { node.engine.decision(.customer("c\($0)")) == .granted })
            #expect(try node.engine.events(.customer("c7")).map(\.sequence) == [9])
            try node.expectSound()
        }
    }

    @Test func aHistoryIsReadInPieces() throws {
        let events = (1...10).reversed().map { ConsentEvent([kari], "p0", .requested, at: secondsAgo($0)) }
        _ = try engine.record(events + [.grant([.customer("ola")])])
        for (after, countMax, expected) in [
            (0, 100, 2...11), (0, 3, 2...4), (4, 3, 5...7), (9, 100, 10...11), (0, 1, 2...2),
        ] as [(UInt64, Int, ClosedRange<UInt64>)] {
            let (found, head) = try engine.history(of: kari, after: after, countMax: countMax)
            #expect(found.map(\.sequence) == Array(expected))
            #expect(head == 12)
        }
        #expect(try engine.history(of: kari, after: 11, countMax: 5).events == [])
        #expect(try engine.history(of: .customer("nobody"), after: 0, countMax: 5).events == [])
    }
}
