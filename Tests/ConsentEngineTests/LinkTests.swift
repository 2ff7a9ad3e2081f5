import ConsentEngine
import ConsentIndex
import ConsentKernel
import ConsentLedger
import ConsentModel
import ConsentTestSupport
import Foundation
import Testing

/// An identifier that turns out to be somebody's, and one that turns out not to be: index, ledger, histories and erasure
/// follow, and no "no" is lost on the way.
struct LinkTests {
    private let node: TestNode
    private var engine: Engine { node.engine }
    private let cookie = Identifier.make(.cookie, "f3a1-browser")
    private let device = Identifier.make(.device, "38400000-phone")
    private let kari = Identifier.customer("kari-100001")
    private let mail = Identifier.email("kari.nordmann@example.no")

    private static let catalog = SampleCatalog([
        .init("p0", bit: 0), .init("p1", bit: 1), .init("p2", bit: 70),
        .init("mail", bit: 3, basis: "legitimate_interest", "directMarketing: true"),
        .init("confirmed", bit: 4, basis: "consent", "doubleOptIn: true"),
    ])

    init() throws { node = try TestNode(Self.catalog) }

    @discardableResult
    private func link(_ identifier: Identifier, to person: Identifier? = nil, as actor: String = "") throws
        -> LinkReport
    {
        try engine.link(LinkRequest(identifier, to: person ?? kari, actor: actor))
    }

    @discardableResult
    private func unlink(_ identifier: Identifier, as actor: String = "") throws -> LinkReport {
        try engine.unlink(UnlinkRequest(identifier, actor: actor))
    }

    private func record(_ events: ConsentEvent...) throws {
        #expect(try engine.record(events).outcomes.allSatisfy(\.isRecorded))
    }

    /// The node is open again afterwards.
    private func expectSound(sourceLocation: SourceLocation = #_sourceLocation) throws {
        try node.expectSound(sourceLocation: sourceLocation)
        try node.open()
    }

    private func links(_ identifier: Identifier) throws -> [RecordedLink] {
        try engine.timeline(of: identifier, after: 0, countMax: 1000).entries.compactMap {
            if case .link(let link) = $0 { link } else { nil }
        }
    }

    private func expectRefused(
        _ error: RightsError, sourceLocation: SourceLocation = #_sourceLocation, _ body: () throws -> Void
    ) throws {
        let before = try engine.sizes()
        #expect(sourceLocation: sourceLocation) { try body() } throws: {
            if case .rights(let found) = $0 as? EngineError { found == error } else { false }
        }
        #expect(try engine.sizes() == before, sourceLocation: sourceLocation)
    }

    // MARK: Linking

    @Test func anIdentifierThatNobodyHadIsThePersonsFromThenOn() throws {
        try record(.grant([kari]))
        let report = try link(cookie, as: "login")
        #expect(report.identifiers == 1 && report.denied == [] && report.sequence == 3)
        #expect(engine.decision(cookie) == .granted)
        #expect(try engine.events(cookie).map(\.sequence) == [2])
        let told = try #require(try links(kari).first)
        #expect(told.action == .linked && told.named == [cookie] && told.other == 0 && told.actor == "login")
        try record(ConsentEvent([cookie], "p0", .withdrawn))
        #expect(engine.decision(kari) == .denied)
        try expectSound()
    }

    @Test func whatAnAnonymousSubjectConsentedToBecomesThePersons() throws {
        try record(.grant([cookie, device], "p1"), .grant([kari, mail], "p0"))
        #expect(engine.decision(kari, 1) == .unknown)
        let report = try link(cookie)
        #expect(report.identifiers == 2 && report.denied == [])
        for identifier in [cookie, device, kari, mail] {
            #expect(engine.decision(identifier, 0) == .granted && engine.decision(identifier, 1) == .granted)
            #expect(try engine.events(identifier).map(\.sequence) == [2, 3], "both histories, in their order")
        }
        #expect(try engine.explain(device, purposeBit: 1).verdict.decidingSequence == 2)
        #expect(try links(device).map(\.action) == [.linked])
        try expectSound()
    }

    @Test func aNoOfEitherSideWinsAndOnlyALaterActGivesConsentAgain() throws {
        try record(
            .grant([cookie], "p0", at: secondsAgo(50)), ConsentEvent([kari], "p0", .withdrawn, at: secondsAgo(100)),
            ConsentEvent([cookie], "p1", .refused, at: secondsAgo(100)), .grant([kari], "p1", at: secondsAgo(50)),
            .grant([cookie], "p2", at: secondsAgo(100)), ConsentEvent([kari], "p2", .withdrawn, at: secondsAgo(50)),
            ConsentEvent([cookie], "mail", .objected, at: secondsAgo(50)))
        let report = try link(cookie)
        #expect(report.denied == ["p0", "p1"], "for p2 the no is the newer one")
        for identifier in [cookie, kari] {
            for bit in [0, 1, 70, 3] {
                #expect(engine.decision(identifier, bit) == .denied, "\(identifier.text) \(bit)")
            }
        }
        #expect(try engine.explain(kari, purposeBit: 0).verdict.decidingSequence == report.sequence)
        // What was before does not come back with a late upload.
        try record(.grant([cookie], "p0", at: secondsAgo(10)))
        #expect(engine.decision(kari, 0) == .denied)
        try record(.grant([kari], "p0"))
        #expect(engine.decision(cookie, 0) == .granted)
        try expectSound()
    }

    @Test func linkingTwiceChangesNothingTheSecondTime() throws {
        try record(.grant([kari]), .grant([cookie], "p1"))
        try link(cookie)
        let before = try engine.sizes()
        let again = try link(cookie)
        #expect(again.sequence == 0 && again.identifiers == 0)
        #expect(try link(kari, to: cookie).sequence == 0)
        #expect(try engine.sizes() == before)
    }

    @Test func severalHistoriesBecomeOnePersonsOneAfterTheOther() throws {
        let (tablet, other) = (Identifier.make(.device, "tablet-1"), Identifier.make(.cookie, "other-browser"))
        try record(
            .grant([tablet], "p1"), .grant([cookie], "p2"), .grant([other], "p0", at: secondsAgo(5)), .grant([kari]))
        try link(tablet, to: cookie)
        try link(other, to: cookie)
        try link(cookie)
        #expect(try engine.events(tablet).map(\.sequence) == [2, 3, 4, 5])
        #expect(try links(kari).map(\.named) == [[tablet], [other], [cookie]])
        for bit in [0, 1, 70] { #expect(engine.decision(other, bit) == .granted) }
        try expectSound()
        try node.restart()
        #expect(engine.recovery == .current)
        try node.close()
        try FileManager.default.removeItem(atPath: node.folder.indexFolder.path)
        try FileManager.default.removeItem(atPath: node.folder.keysFolder.path)
        try node.open()
        for bit in [0, 1, 70] { #expect(engine.decision(tablet, bit) == .granted) }
        try expectSound()
    }

    @Test func whatStandsAgainstALinkHasItsOwnErrorAndStoresNothing() throws {
        let (ola, gone) = (Identifier.customer("ola-2"), Identifier.customer("gone-3"))
        let (hers, his) = (Identifier.make(.nationalId, "01018012345"), Identifier.make(.nationalId, "02028012345"))
        try record(
            .grant([kari, hers]), .grant([ola, cookie]), .grant([gone, device]), .grant([his]), .grant([mail]))
        let erasedAt = try erasure(gone)
        try expectRefused(.linksTwoPeople(.customer)) { try link(cookie) }
        try expectRefused(.linksTwoPeople(.customer)) { try link(.customer("another"), to: kari) }
        try expectRefused(.linksTwoPeople(.nationalId)) { try link(his) }
        try expectRefused(.personUnknown(.customer("nobody"))) { try link(mail, to: .customer("nobody")) }
        try expectRefused(.admission(.personErased(at: erasedAt))) { try link(device) }
        try expectRefused(.admission(.personErased(at: erasedAt))) { try link(mail, to: gone) }
        try expectRefused(.actorNamesPerson) { try link(mail, as: "for kari-100001") }
        try expectRefused(.actorNamesPerson) { try link(mail, as: mail.value) }
        try expectRefused(.actorTooLong(size: 256)) { try link(mail, as: String(repeating: "x", count: 256)) }
        // Two numbers of different kinds may be one person's.
        try link(his, to: ola)
        try expectSound()
    }

    /// Everybody waits for the writer. Whether the actor is named in a long history is found out beside it.
    @Test func theWriterReadsNoWholeHistoryToLinkOrUnlink() throws {
        for round in 0..<10 {
            let events = (0..<200).map {
                ConsentEvent([kari], "p0", .deferred, at: secondsAgo(Int64(100_000 - round * 200 - $0)))
            }
            #expect(try engine.record(events).outcomes.allSatisfy(\.isRecorded))
        }
        try record(.grant([cookie]), .grant([device]))
        func read() throws -> UInt64 {
            try #require(try engine.statistics().first { $0.name == "events_read_to_decide" }).value
        }
        let before = try read()
        try link(cookie, as: "clerk-7")
        try link(device, as: "clerk-7")
        try unlink(cookie, as: "clerk-7")
        let after = try read()
        #expect(after - before <= 10, "\(after - before)")
        try expectRefused(.actorNamesPerson) { try link(mail, as: "for kari-100001") }
        try expectRefused(.actorNamesPerson) { try unlink(device, as: "for kari-100001") }
        // It was taken off, and stays in the history.
        try expectRefused(.actorNamesPerson) { try link(mail, as: cookie.value) }
        try expectSound()
    }

    @Test func whatIsRecordedBetweenReadingAndWritingIsReadByTheWriter() throws {
        let phone = Identifier.make(.phone, "+4791234567")
        try record(.grant([kari]), .grant([cookie]))
        let blocked = try BlockedWriter(engine)
        let reports = Answers<Result<LinkReport, EngineError>>()
        engine.record([.success(.grant([kari, phone], "p1"))]) { _ in }
        engine.link(LinkRequest(cookie, to: kari, actor: "ring \(phone.value)")) { reports.add($0) }
        engine.link(LinkRequest(device, to: phone, actor: "for kari-100001")) { reports.add($0) }
        blocked.release()
        for report in reports.take(2) {
            #expect { try report.get() } throws: { error in
                guard case EngineError.rights(let fault) = error else { return false }
                return fault == .actorNamesPerson
            }
        }
        try expectSound()
    }

    private func erasure(_ identifier: Identifier) throws -> Timestamp {
        try engine.erase(ErasureRequest(identifier, reason: .objection)).erasedAt
    }

    @Test func aNationalIDIsKeptAsItsHashOnly() throws {
        let number = Identifier.make(.nationalId, "01018012345")
        try record(.grant([kari]))
        try link(number)
        var search = ByteSearch(for: [Array("01018012345".utf8)])
        try search.search(node.folder.path)
        #expect(search.places == [])
        #expect(engine.decision(number) == .granted)
        #expect(try links(kari).first?.named.first?.nationalIDHash != nil)
        try unlink(number)
        #expect(engine.decision(number) == .unknown)
        try expectSound()
    }

    @Test func whatIsSentAgainIsKnownAgainAlsoThroughALink() throws {
        let act = ConsentEvent.grant([cookie], "p1", at: secondsAgo(100))
        let keyed = ConsentEvent.grant([cookie], "p2").with { $0.key = IdempotencyKey(7) }
        try record(act, keyed)
        try record(.grant([kari]))
        try link(cookie)
        #expect(try engine.record([act, keyed]).outcomes == [.duplicate(sequence: 2), .duplicate(sequence: 3)])
        try node.restart()
        #expect(try engine.record([act, keyed]).outcomes == [.duplicate(sequence: 2), .duplicate(sequence: 3)])
        #expect(try engine.recordOne(.grant([cookie, kari], "p1")).isRecorded, "they are no two people any more")
    }

    @Test func aTokenThatWasIssuedBeforeConfirmsForThePerson() throws {
        try record(.grant([cookie], "confirmed"), .grant([kari]))
        let token = try engine.issueToken(TokenRequest(cookie, purposes: ["confirmed"])).token
        try link(cookie)
        #expect(try engine.confirmToken(TokenConfirmation(token)).map(\.refersTo) == [2])
        #expect(engine.decision(kari, 4) == .granted)
        try expectSound()
    }

    @Test func aTokenForWhatWasRequestedBeforeALinkIsAsSoundAsAnother() throws {
        try record(.grant([cookie], "confirmed"), .grant([kari]))
        try link(cookie)
        let token = try engine.issueToken(TokenRequest(kari, purposes: ["confirmed"])).token
        try expectSound()
        #expect(try engine.confirmToken(TokenConfirmation(token)).map(\.refersTo) == [2])
        #expect(engine.decision(cookie, 4) == .granted)
        try expectSound()
    }

    @Test func anOlderTokenOfTheOtherSideDoesNotEndWhatANewerOneIsFor() async throws {
        try record(.grant([cookie], "confirmed"), .grant([kari]))
        _ = try engine.issueToken(TokenRequest(cookie, purposes: ["confirmed"]))
        try link(cookie)
        node.clockAheadMillis = 86_400_000
        let newer = try engine.issueToken(TokenRequest(kari, purposes: ["confirmed"])).token
        node.clockAheadMillis = 7 * 86_400_000 + 1000
        #expect(try await eventually { try engine.statistics().contains { $0 == ("tokens_waiting", 1) } })
        #expect(try engine.confirmToken(TokenConfirmation(newer)).map(\.refersTo) == [2])
        #expect(engine.decision(kari, 4) == .granted)
    }

    /// Whoever it belongs to now can confirm neither for the person nor for itself.
    @Test func aTokenConfirmsNothingThatNamesWhatWasTakenOffSince() throws {
        try record(.grant([mail], "confirmed"), .grant([kari]))
        let token = try engine.issueToken(TokenRequest(mail, purposes: ["confirmed"])).token
        try link(mail)
        try unlink(mail)
        let nothing = RightsError.admission(.nothingToConfirm(purpose: "confirmed"))
        try expectRefused(nothing) { _ = try engine.confirmToken(TokenConfirmation(token)) }
        try expectRefused(nothing) { _ = try engine.issueToken(TokenRequest(kari, purposes: ["confirmed"])) }
        #expect(engine.decision(kari, 4) == .unknown && engine.decision(mail, 4) == .unknown)
        try expectSound()
        try record(.grant([kari], "confirmed"))
        let again = try engine.issueToken(TokenRequest(kari, purposes: ["confirmed"])).token
        #expect(try engine.confirmToken(TokenConfirmation(again)).count == 1)
        #expect(engine.decision(kari, 4) == .granted)
        try expectSound()
    }

    // MARK: Unlinking

    @Test func anIdentifierThatIsTakenOffIsUnknownButKeepsEachNo() throws {
        try record(
            .grant([kari, cookie], "p0"), ConsentEvent([kari], "p1", .withdrawn),
            ConsentEvent([kari], "mail", .objected))
        let report = try unlink(cookie, as: "clerk-7")
        #expect(report.denied == ["p1", "mail"] && report.identifiers == 1)
        #expect(engine.decision(cookie, 0) == .unknown && engine.decision(kari, 0) == .granted)
        for identifier in [cookie, kari] {
            #expect(engine.decision(identifier, 1) == .denied && engine.decision(identifier, 3) == .denied)
        }
        #expect(try engine.events(cookie) == [], "the history of the person is not its own")
        #expect(try links(cookie).map(\.action) == [.separated])
        #expect(try links(kari).map(\.action) == [.unlinked])
        try record(.grant([kari], "p1"))
        #expect(engine.decision(cookie, 1) == .denied, "what the person says is not said for it")
        try expectSound()
        for _ in 0..<2 {
            try node.close()
            _ = try rebuildIndex(node.folder)
            try node.open()
            #expect(engine.decision(cookie, 0) == .unknown && engine.decision(cookie, 1) == .denied)
        }
        try expectSound()
    }

    @Test func whatWasCapturedBeforeIsNotTakenForItButForANo() throws {
        let (early, late) = (secondsAgo(100), secondsAgo(50))
        try record(.grant([kari, cookie], "p0", at: early))
        try unlink(cookie)
        let outcome = try engine.recordOne(.grant([cookie], "p0", at: late))
        guard case .refused(.identifierUnlinked) = outcome else {
            Issue.record("\(outcome)")
            return
        }
        guard case .refused(.identifierConflict) = try engine.recordOne(.grant([kari, cookie], "p0", at: early)) else {
            Issue.record("the row that named both is two people's now")
            return
        }
        try record(ConsentEvent([cookie], "p1", .withdrawn, at: late))
        #expect(engine.decision(cookie, 1) == .denied && engine.decision(cookie, 0) == .unknown)
        try record(.grant([cookie], "p0"))
        #expect(engine.decision(cookie, 0) == .granted)
        try expectSound()
    }

    @Test func whatWasCapturedBeforeDoesNotCountForWhoeverItIsLinkedWithNext() throws {
        let (early, ola) = (secondsAgo(50), Identifier.customer("ola-2"))
        try record(.grant([ola, cookie], "p0"), .grant([device], "p0"), .grant([kari], "p0"))
        try unlink(cookie)
        try link(cookie, to: device)
        try link(device)
        for named in [[cookie], [cookie, kari]] {
            let outcome = try engine.recordOne(.grant(named, "p1", at: early))
            guard case .refused(.identifierUnlinked) = outcome else {
                Issue.record("\(outcome)")
                return
            }
        }
        #expect(engine.decision(kari, 1) == .unknown)
        try record(.grant([kari], "p1", at: early), ConsentEvent([cookie], "p2", .withdrawn, at: early))
        #expect(engine.decision(cookie, 1) == .granted, "what only names others is the person's own")
        #expect(engine.decision(cookie, 70) == .denied, "a no is taken from any time")
        try record(.grant([cookie], "p2"))
        #expect(engine.decision(kari, 70) == .granted)
        try expectSound()
    }

    @Test func whatWasCapturedBeforeAnErasureDoesNotComeBackByALink() throws {
        let early = secondsAgo(50)
        try record(.grant([mail], "p0"), .grant([kari], "p0"))
        _ = try erasure(mail)
        try record(.grant([mail], "p0"))
        try link(mail)
        let outcome = try engine.recordOne(.grant([mail], "p1", at: early))
        guard case .refused(.personErased) = outcome else {
            Issue.record("\(outcome)")
            return
        }
        #expect(engine.decision(kari, 1) == .unknown)
        try record(.grant([kari], "p1", at: early))
        try expectSound()
    }

    @Test func theOnlyIdentifierIsNotTakenOff() throws {
        try record(.grant([kari]))
        try expectRefused(.identifierIsOnlyOne(.customer)) { try unlink(kari) }
        try expectRefused(.personUnknown(cookie)) { try unlink(cookie) }
        try record(.grant([mail, device]))
        let erasedAt = try erasure(mail)
        try expectRefused(.admission(.personErased(at: erasedAt))) { try unlink(device) }
    }

    @Test func linkedAndUnlinkedAgainAndAgainTheFilesAgree() throws {
        try record(.grant([kari], "p0"), .grant([cookie], "p1"), ConsentEvent([cookie], "p2", .withdrawn))
        for round in 0..<5 {
            try link(cookie)
            #expect(engine.decision(cookie, 0) == .granted && engine.decision(cookie, 70) == .denied, "\(round)")
            try unlink(cookie)
            #expect(engine.decision(cookie, 0) == .unknown && engine.decision(cookie, 70) == .denied, "\(round)")
        }
        #expect(engine.decision(kari, 1) == .granted, "what it brought is the person's")
        try expectSound()
    }

    // MARK: Lists, breach, erasure

    @Test func listsNameThePersonOnceWithAllThatIsKnown() throws {
        try record(.grant([cookie], "p1"), .grant([kari, mail, device], "p0"))
        try link(cookie)
        try unlink(device)
        var question = PeopleQuestion(.audience)
        (question.purpose, question.countMax) = ("p1", 100)
        let people = try engine.people(question).people
        #expect(people.count == 1)
        #expect(Set(people.first?.identifiers ?? []) == [cookie, kari, mail])
        question = PeopleQuestion(.askAgain)
        (question.purpose, question.countMax, question.reasons) = ("p2", 100, .unknown)
        let asked = try engine.people(question).people.map { Set($0.identifiers) }
        #expect(asked == [[cookie, kari, mail], [device]])
    }

    @Test func aWindowOfThePastKnowsThemAsTheyWereThen() async throws {
        try record(.grant([cookie], "p1"), .grant([kari], "p0"))
        let before = try engine.history(of: kari, after: 0, countMax: 1).head
        await sleep(until: now.advanced(millis: 20))
        let moment = now
        await sleep(until: now.advanced(millis: 20))
        try link(cookie)
        await sleep(until: now.advanced(millis: 20))
        var question = PeopleQuestion(.active)
        (question.from, question.until, question.countMax) = (moment, moment, 100)
        #expect(try engine.people(question).people.map(\.purpose) == ["p1", "p0"], "two people then")
        (question.from, question.until) = (now, now)
        let later = try engine.people(question).people
        #expect(later.map(\.purpose) == ["p0", "p1"] && Set(later.map(\.subject)).count == 1, "one person now")
        question.asOf = before
        let past = try engine.people(question).people
        #expect(Set(past.map(\.subject)).count == 2, "as it was known before")
    }

    /// A browser that two people use: each round doubles nothing.
    @Test func aWindowIsToldAlsoWhereAnIdentifierChangedHandsOftenEnough() throws {
        let ola = Identifier.customer("ola-2")
        try record(.grant([kari], "p0"), .grant([ola], "p1"), .grant([cookie], "p2"))
        for _ in 0..<40 {
            try link(cookie, to: kari)
            try unlink(cookie)
            try link(cookie, to: ola)
            try unlink(cookie)
        }
        var question = PeopleQuestion(.active)
        (question.from, question.until, question.countMax) = (now, now, 1000)
        let people = try engine.people(question).people
        let found = Dictionary(grouping: people) { $0.identifiers.first }.mapValues { $0.map(\.purpose) }
        #expect(found == [kari: ["p0", "p2"], ola: ["p1"]])
    }

    @Test func erasingThePersonLeavesNothingOfWhatWasLinked() throws {
        let note = "the note about the browser"
        try record(
            .grant([cookie, device], "p1").with { $0.evidence = note }, .grant([kari, mail], "p0"),
            ConsentEvent([device], "mail", .objected))
        try link(cookie)
        let tablet = Identifier.make(.device, "tablet-of-kari")
        try link(tablet)
        let report = try engine.erase(ErasureRequest(mail, reason: .consentWithdrawn), tracesWaitMillis: 10_000)
        #expect(!report.isPending && report.identifiers.count == 5 && report.objections == ["mail"])
        let values = [cookie, device, kari, mail, tablet].map { Array($0.value.utf8) } + [Array(note.utf8)]
        var search = ByteSearch(for: values)
        try search.search(node.folder.path)
        #expect(search.places == [])
        for identifier in [cookie, device, kari, mail, tablet] {
            #expect(engine.decision(identifier, 0) == .unknown && engine.decision(identifier, 1) == .unknown)
            #expect(engine.decision(identifier, 3) == .denied)
            #expect(try engine.timeline(of: identifier, after: 0, countMax: 10).entries.isEmpty)
        }
        guard case .refused(.personErased) = try engine.recordOne(.grant([cookie], "p1", at: secondsAgo(10))) else {
            Issue.record("what was linked is suppressed, too")
            return
        }
        try expectSound()
        try record(.grant([device], "p1"))
        #expect(engine.decision(kari, 1) == .granted, "the person has come back")
        try expectSound()
        #expect(try !engine.erase(ErasureRequest(kari, reason: .objection), tracesWaitMillis: 10_000).isPending)
        try expectSound()
    }

    @Test func aLinkThatWasTamperedWithIsFound() throws {
        try record(.grant([cookie], "p1"), .grant([kari], "p0"), .grant([mail, device], "p0"))
        try link(cookie)
        try unlink(device)
        for statement in [
            "UPDATE subject SET joined_to = NULL WHERE joined_to IS NOT NULL",
            "UPDATE subject SET joined_to = 3 WHERE joined_to IS NOT NULL",
            "UPDATE subject SET separated_at = 1 WHERE separated_at IS NOT NULL",
            "UPDATE event SET detail = CAST(x'01' || substr(detail, 2) AS BLOB) WHERE kind = 5",
            "UPDATE event SET personal = zeroblob(length(personal)) WHERE kind = 5",
        ] {
            let copy = TemporaryFolder()
            try node.close()
            try FileManager.default.copyItem(atPath: node.folder.path, toPath: copy.path + "/node")
            let folder = NodeFolder(copy.path + "/node")
            try folder.changeLedger(statement)
            let problems = (try? verify(folder).problems) ?? ["it throws"]
            #expect(!problems.isEmpty, "\(statement)")
        }
        try node.open()
    }

    // MARK: Crashes

    /// The ledger commits first; whatever rows of a link the index has by the end of the process, the next start follows.
    @Test func whereverTheIndexStoppedTheNextStartFollows() throws {
        try record(
            .grant([cookie, device], "p1"), .grant([kari, mail], "p0"), ConsentEvent([cookie], "p2", .withdrawn))
        let (identifiers, folder, identity) = ([cookie, device, kari, mail], node.folder, engine.identity)
        for isUnlinking in [false, true] {
            let older = node.temporary.path + "/older-\(isUnlinking)"
            try node.close()
            try FileManager.default.copyItem(atPath: folder.indexFolder.path, toPath: older)
            try node.open()
            if isUnlinking { try unlink(mail) } else { try link(cookie) }
            let hashes = identifiers.map(engine.hashKey.hash)
            let table = engine.publication.current
            let rows = hashes.map { (hash: $0, row: table.row($0)!, owner: table.owner(of: $0)!) }
            let expected = answers(identifiers)
            for stop in 0...rows.count {
                try node.close()
                try FileManager.default.removeItem(atPath: folder.indexFolder.path)
                try FileManager.default.copyItem(atPath: older, toPath: folder.indexFolder.path)
                let writer = try IndexWriter(
                    opening: folder.indexFolder, history: identity.history, keyCheck: identity.keyCheck)
                for entry in rows.prefix(stop) { try writer.put(entry.hash, entry.row, owner: entry.owner) }
                try writer.close()
                try node.open()
                #expect(answers(identifiers) == expected, "after \(stop) rows")
                try expectSound()
            }
        }
    }

    private func answers(_ identifiers: [Identifier]) -> [[Decision]] {
        identifiers.map { identifier in [0, 1, 70, 3].map { engine.decision(identifier, $0) } }
    }

    /// Readers never meet an identifier that is nobody's, nor take its moving for damage.
    @Test func whoAsksWhileIdentifiersChangeHandsGetsOneOfTheTwoAnswers() throws {
        try record(.grant([kari], "p0"), .grant([cookie], "p1"))
        let done = Answers<Bool>()
        Thread.detachNewThread { [engine, cookie, kari] in
            for _ in 0..<60 {
                _ = try? engine.link(LinkRequest(cookie, to: kari))
                _ = try? engine.unlink(UnlinkRequest(cookie))
            }
            done.add(true)
        }
        var asked = 0
        while done.all.isEmpty {
            _ = try engine.explain(cookie, purposeBit: 0)
            _ = try engine.timeline(of: cookie, after: 0, countMax: 5)
            asked += 1
        }
        #expect(asked > 0 && node.fatals.all == [])
        try expectSound()
    }
}
