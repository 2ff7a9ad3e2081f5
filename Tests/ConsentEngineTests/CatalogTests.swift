import ConsentCatalog
import ConsentEngine
import ConsentIndex
import ConsentKernel
import ConsentModel
import ConsentTestSupport
import Synchronization
import Testing

struct CatalogTests {
    private let kari = Identifier.customer("kari")
    private let stranger = Identifier.customer("never seen")

    @Test func withoutACatalogNothingIsGranted() throws {
        let node = try TestNode()
        #expect(node.engine.decision(kari) == .unknown)
        #expect(node.engine.catalog.version == 0)
        #expect(try node.engine.recordOne(.grant([kari])) == .refused(.purposeUnknown("p0")))
        #expect(throws: AdmissionError.self) { try node.engine.explain(kari, purposeBit: 0) }
    }

    @Test func theSameCatalogTwiceChangesNothing() throws {
        let node = try TestNode(.consents(bits: 0..<3))
        let before = try node.engine.sizes()
        let again = try node.engine.apply(SampleCatalog.consents(bits: 0..<3).document)
        #expect(again.version == 1)
        #expect(again.sequence == 0)
        #expect(again.changes == [])
        #expect(try node.engine.sizes() == before)
    }

    @Test func aCatalogThatContradictsTheAppliedOneIsRefused() throws {
        let catalog = SampleCatalog.consents(bits: 0..<3)
        let node = try TestNode(catalog)
        _ = try node.engine.record([.grant([kari])])
        let before = try node.engine.sizes()
        var fewer = catalog
        fewer.purposes.removeLast()
        var moved = catalog
        moved.purposes[2].bit = 9
        var reused = catalog
        reused.purposes[2].id = "p9"
        var rewritten = catalog
        rewritten.revisions[0].more = ["storageLocation: the moon"]
        var removed = catalog
        removed.revisions[0].name = "1.1"
        for conflict in [fewer, moved, reused, rewritten, removed] {
            #expect { try node.engine.apply(conflict.document) } throws: { error in
                guard case EngineError.catalogConflict = error else { return false }
                return true
            }
            #expect(throws: EngineError.self) { try node.engine.preview(conflict.document) }
            #expect(try node.engine.sizes() == before)
        }
        #expect(node.engine.catalog.text == catalog.text)
        #expect(node.engine.decision(kari) == .granted)
    }

    /// People who were shown one revision must not turn out to have been shown another.
    @Test func aBackdatedRevisionIsRefusedOnceSomebodyIsRecorded() throws {
        var catalog = SampleCatalog.consents(bits: 0..<1)
        let node = try TestNode(catalog)
        catalog.revisions.append(.init("1.1", effectiveAt: secondsAgo(86_400), compatibleWith: "1.0"))
        // Nobody is recorded: the catalog tells of the time before the node, which registers are imported from.
        #expect(try node.engine.apply(catalog.document).version == 2)
        let early = ConsentEvent.grant([kari], at: secondsAgo(2 * 86_400))
        #expect(try node.engine.recordOne(early).isRecorded)
        let before = try node.engine.sizes()
        for (effectiveAt, compatibleWith) in [(3600, nil), (3600, "1.1"), (301, nil)] as [(Int64, String?)] {
            var backdated = catalog
            backdated.revisions.append(
                .init("2.0", effectiveAt: secondsAgo(effectiveAt), compatibleWith: compatibleWith))
            for attempt in [{ try node.engine.apply($0) }, node.engine.preview]
                as [(CatalogDocument) throws -> CatalogResult]
            {
                #expect {
                    _ = try attempt(try backdated.document)
                } throws: { error in
                    guard case EngineError.catalogConflict(let text) = error else { return false }
                    return text.hasPrefix("sample.yaml:") && text.contains(": revision-backdated: ")
                }
            }
            #expect(try node.engine.sizes() == before)
        }
        #expect(node.engine.decision(kari) == .granted)
        // At application, as far as clocks agree.
        catalog.revisions.append(.init("2.0", effectiveAt: secondsAgo(1)))
        #expect(try node.engine.apply(catalog.document).version == 3)
        #expect(node.engine.decision(kari) == .unknown)
        try node.expectSound()
    }

    @Test func aPreviewSaysFirstWhatItMeansForPeople() throws {
        var catalog = SampleCatalog.consents(bits: 0..<2)
        let node = try TestNode(catalog)
        _ = try node.engine.record([.grant([kari]), .grant([.customer("ola")])])
        catalog.purposes.append(.init("p2", bit: 2))
        catalog.revisions[0].purposes = ["p0", "p1"]
        catalog.revisions.append(.init("2.0", effectiveAt: now, purposes: ["p2"]))
        let changes = try node.engine.preview(catalog.document).changes
        #expect(changes.first == "2 people lose 'p0' until asked again", "\(changes)")
        #expect(changes.dropFirst().first?.hasPrefix("2 people must be told of revision club 2.0") ?? false)
        #expect(changes.dropFirst(2).contains("purpose 'p2' is added"))
    }

    @Test func aRevisionThatWasNeverInForceMayChangeOrGo() throws {
        var catalog = SampleCatalog.consents(bits: 0..<1)
        let node = try TestNode(catalog)
        catalog.revisions.append(.init("2.0", effectiveAt: now.advanced(bySeconds: 3600)))
        _ = try node.engine.apply(catalog.document)
        _ = try node.engine.record([.grant([kari])])
        #expect(try node.engine.explain(kari, purposeBit: 0).verdict.grantedUntil == catalog.revisions[1].effectiveAt)
        catalog.revisions[1].effectiveAt = now.advanced(bySeconds: 7200)
        _ = try node.engine.apply(catalog.document)
        #expect(try node.engine.explain(kari, purposeBit: 0).verdict.grantedUntil == catalog.revisions[1].effectiveAt)
        catalog.revisions.removeLast()
        #expect(try node.engine.apply(catalog.document).version == 4)
        #expect(try node.engine.explain(kari, purposeBit: 0).verdict.grantedUntil == nil)
        #expect(node.engine.answer(kari, at: now.advanced(bySeconds: 86_400)).decision == .granted)
        try node.expectSound()
    }

    @Test func aBreakingRevisionMakesOlderConsentsOutdatedAtOnce() throws {
        var catalog = SampleCatalog.consents(bits: 0..<3)
        let node = try TestNode(catalog)
        let engine = node.engine
        let people = (0..<500).map { Identifier.customer("c\($0)") }
        _ = try engine.record(people.map { .grant([$0]) } + people.prefix(100).map { .grant([$0], "p2") })
        _ = try engine.record([ConsentEvent([people[0]], "p0", .withdrawn)])
        catalog.revisions.append(.init("2.0", effectiveAt: secondsAgo(10), purposes: ["p0", "p1"]))
        catalog.revisions[0].purposes = ["p0", "p1", "p2"]

        let preview = try engine.preview(catalog.document)
        #expect(preview.version == 2)
        #expect(preview.changes.contains("499 people lose 'p0' until asked again"))
        #expect(preview.changes.contains("100 people lose 'p2' until asked again"))
        #expect(!preview.changes.contains { $0.contains("'p1' until") })
        #expect(engine.decision(people[1]) == .granted, "a preview changes nothing")

        let applied = try engine.apply(catalog.document)
        #expect(applied.version == 2)
        #expect(applied.sequence == 603)
        #expect(people.dropFirst().allSatisfy { engine.decision($0) == .unknown })
        #expect(people.allSatisfy { engine.decision($0, 2) == .unknown })
        #expect(engine.decision(people[0]) == .denied)
        #expect(try engine.reason(people[1]) == .outdatedRevision)
        #expect(try engine.recordOne(.grant([people[1]], revision: "2.0")).isRecorded)
        #expect(engine.decision(people[1]) == .granted)
        try node.expectSound()
    }

    /// A basis is for everybody, asked or not; who is known is counted.
    @Test func theNumberOfPeopleIsSaidWhoseAnswerAnotherBasisChanges() throws {
        var catalog = SampleCatalog.consents(bits: 0..<2)
        let node = try TestNode(catalog)
        let people = (0..<20).map { Identifier.customer("person-\($0)") }
        _ = try node.engine.record(people.map { .grant([$0], "p1") })
        _ = try node.engine.record(people.prefix(5).map { .grant([$0]) })
        _ = try node.engine.record(people[5..<8].map { ConsentEvent([$0], "p0", .refused) })
        // Neither who was erased nor what became part of somebody is somebody.
        _ = try node.engine.erase(ErasureRequest(people[19], reason: .objection))
        _ = try node.engine.record([.grant([.make(.cookie, "f3a1-browser")], "p1")])
        _ = try node.engine.link(LinkRequest(.make(.cookie, "f3a1-browser"), to: people[18]))
        catalog.purposes[0].basis = "legitimate_interest"
        let gained = try node.engine.preview(catalog.document).changes
        let denied = people.filter { node.engine.decision($0) == .denied }.count
        _ = try node.engine.apply(catalog.document)
        let (granted, no) = (
            people.prefix(19).filter { node.engine.decision($0) == .granted }.count,
            people.prefix(19).filter { node.engine.decision($0) == .denied }.count
        )
        #expect(denied == 3)
        let kept = no == 0 ? "" : "; \(no) who said no \(no == 1 ? "is" : "are") denied it on"
        #expect(gained.first == "\(granted - 5) people gain 'p0' without having agreed to it\(kept)", "\(gained)")
        catalog.purposes[0].basis = "consent"
        let lost = try node.engine.preview(catalog.document).changes
        #expect(lost.first == "\(granted - 5) people lose 'p0' until asked again", "\(lost)")
        _ = try node.engine.apply(catalog.document)
        #expect(people.prefix(19).filter { node.engine.decision($0) == .granted }.count == 5)
    }

    @Test func aPurposeThatIsRetiredGrantsNobody() throws {
        var catalog = SampleCatalog([.init("p0", bit: 0), .init("mail", bit: 1, basis: "legitimate_interest")])
        catalog.revisions[0].purposes = ["p0"]
        let node = try TestNode(catalog)
        let engine = node.engine
        _ = try engine.record([.grant([kari]), ConsentEvent([.customer("no")], "mail", .objected)])
        catalog.purposes[0].more = ["active: false"]
        catalog.purposes[1].more = ["active: false"]
        let retired = try engine.apply(catalog.document)
        #expect(retired.version == 2)
        for person in [kari, stranger, .customer("no")] {
            #expect(engine.answer(person, 0).reason == .invalidated)
            #expect(engine.answer(person, 1).reason == .invalidated)
        }
        // What has ended stays ended; what needs nobody's consent may begin again.
        catalog.purposes[1].more = []
        let mailAgain = try catalog.document
        catalog.purposes[0].more = []
        let everythingAgain = try catalog.document
        #expect(throws: EngineError.self) { try engine.apply(everythingAgain) }
        _ = try engine.apply(mailAgain)
        #expect(engine.decision(kari) == .denied && engine.decision(stranger) == .denied)
        #expect(engine.decision(stranger, 1) == .granted)
        #expect(engine.decision(.customer("no"), 1) == .denied)
    }

    @Test func conditionsThatBecomeStricterCountAtOnce() async throws {
        var catalog = SampleCatalog.consents(bits: 0..<5)
        let node = try TestNode(catalog)
        let engine = node.engine
        _ = try engine.record((0..<5).map { .grant([kari], "p\($0)") })
        #expect((0..<5).allSatisfy { engine.decision(kari, $0) == .granted })
        catalog.purposes[0].more = ["doubleOptIn: true"]
        catalog.purposes[1].more = ["explicit: true"]
        catalog.purposes[2].more = ["minimumAge: 13"]
        catalog.purposes[3].more = ["validityDuration: PT1S"]
        catalog.purposes[4].more = ["active: false"]
        await sleep(until: now.advanced(millis: 1100))
        _ = try engine.apply(catalog.document)
        #expect((0..<5).map { engine.decision(kari, $0) } == [.unknown, .unknown, .unknown, .unknown, .denied])
        let reasons = try (0..<5).map { try engine.reason(kari, $0) }
        #expect(reasons == [.requested, .requested, .requested, .expired, .invalidated])
        try node.expectSound()
    }

    /// Who has said no must never be granted while a purpose moves from basis to basis.
    @Test func whoSaidNoIsNeverGrantedWhileTheBasisChanges() throws {
        var catalog = SampleCatalog.consents(bits: 0..<2)
        catalog.revisions[0].purposes = ["p0", "p1"]
        let node = try TestNode(catalog)
        let engine = node.engine
        let refusers = (0..<300).map { Identifier.customer("no\($0)") }
        // Who was asked again since is unknown while consent is asked for, and denied where an objection counts: granted
        // by neither catalog, and so at no moment between them.
        let asked = refusers.suffix(150)
        _ = try engine.record(
            refusers.map { ConsentEvent([$0], "p0", .withdrawn, at: secondsAgo(20)) }
                + asked.map { ConsentEvent([$0], "p0", .requested, at: secondsAgo(10)) } + [.grant([kari])])
        let isOver = Atomic(false)
        // Answers of a reader beside the writer.
        let watching = Background { () -> Int in
            var wrong = 0
            while !isOver.load(ordering: .acquiring) {
                for person in refusers where engine.decision(person) == .granted { wrong += 1 }
            }
            return wrong
        }
        for round in 0..<30 {
            catalog.purposes[0].basis = round % 2 == 0 ? "legitimate_interest" : "consent"
            _ = try engine.apply(catalog.document)
            #expect(engine.decision(stranger) == (round % 2 == 0 ? .granted : .unknown))
            #expect(engine.answer(kari).reason == (round % 2 == 0 ? .basisHolds : .given))
            #expect(refusers.dropLast(150).allSatisfy { engine.decision($0) == .denied })
            #expect(asked.allSatisfy { engine.decision($0) == (round % 2 == 0 ? .denied : .unknown) })
        }
        isOver.store(true, ordering: .releasing)
        #expect(try watching.value() == 0)
        try node.expectSound()
    }

    @Test func aCatalogAndTheEventsBehindItMayShareAGroup() throws {
        let node = try TestNode(.consents(bits: 0..<1))
        let engine = node.engine
        var catalog = SampleCatalog.consents(bits: 0..<1)
        catalog.revisions.append(.init("2.0", effectiveAt: secondsAgo(1)))
        let document = try catalog.document
        let blocked = try BlockedWriter(engine)
        let answers = Answers<Bool>()
        engine.record([.success(.grant([kari]))]) { answers.add((try? $0.get().outcomes[0].isRecorded) ?? false) }
        engine.apply(document) { answers.add((try? $0.get().version) == 2) }
        // Judged by the new catalog.
        engine.record([.success(.grant([kari]))]) { answers.add((try? $0.get().outcomes[0].isRecorded) ?? false) }
        engine.record([.success(.grant([.customer("ola")], revision: "2.0"))]) {
            answers.add((try? $0.get().outcomes[0].isRecorded) ?? false)
        }
        blocked.release()
        #expect(answers.take(4) == [true, true, false, true])
        #expect(engine.decision(kari) == .unknown)
        #expect(engine.decision(.customer("ola")) == .granted)
        try node.expectSound()
    }

    @Test func whatACatalogTakesItGivesBackWhenItIsAppliedAgain() throws {
        var catalog = SampleCatalog.consents(bits: 0..<1)
        let node = try TestNode(catalog)
        _ = try node.engine.record([.grant([kari])])
        let first = try catalog.document
        catalog.purposes[0].more = ["explicit: true"]
        #expect(try node.engine.apply(catalog.document).version == 2)
        #expect(node.engine.decision(kari) == .unknown)
        #expect(try node.engine.apply(first).version == 3)
        #expect(node.engine.decision(kari) == .granted)
        #expect(node.engine.catalog.version == 3)
        try node.restart()
        #expect(node.engine.recovery == .current)
        #expect(node.engine.catalog.version == 3)
        #expect(node.engine.catalog.text == first.text)
        try node.expectSound()
    }

    @Test func aPreviewCountsThoseWhoLoseAndChangesNothing() throws {
        var catalog = SampleCatalog.consents(bits: 0..<2)
        let node = try TestNode(catalog)
        let engine = node.engine
        let people = (0..<30).map { Identifier.customer("c\($0)") }
        _ = try engine.record(
            people.map { .grant([$0]).with { $0.isExplicit = $0.identifiers[0].value.hasSuffix("1") } }
                + people.prefix(5).map { ConsentEvent([$0], "p0", .withdrawn) })
        let before = try engine.sizes()
        #expect(try engine.preview(catalog.document).changes == [])
        #expect(try engine.preview(catalog.document).version == 1)
        catalog.purposes[0].more = ["explicit: true"]
        catalog.purposes.append(.init("p2", bit: 2, basis: "contract"))
        catalog.revisions[0].purposes = ["p0", "p1"]
        let preview = try engine.preview(catalog.document)
        // Of thirty, five had withdrawn, and c11 and c21 had said so explicitly.
        #expect(preview.changes.first == "23 people lose 'p0' until asked again")
        #expect(preview.changes.filter { $0.contains("people lose") }.count == 1)
        #expect(preview.version == 2)
        #expect(preview.sequence == 0)
        #expect(try engine.sizes() == before)
        #expect(people.filter { engine.decision($0) == .granted }.count == 25)
        let applied = try engine.apply(catalog.document)
        #expect(applied.changes == Array(preview.changes.dropFirst()))
        #expect(people.filter { engine.decision($0) == .granted }.count == 2)
        #expect(engine.decision(stranger, 2) == .granted)
        try node.expectSound()
    }

    @Test func consentsBeyondTheSixtyFourthPurposeEndAndMoveLikeTheOthers() throws {
        let bits = [0, 63, 64, 191, 192, 447, 448, 959]
        let catalog = SampleCatalog(bits.map { .init("p\($0)", bit: $0) })
        let node = try TestNode(catalog)
        let end = now.advanced(bySeconds: 1000)
        _ = try node.engine.record(
            bits.map { bit in .grant([kari], "p\(bit)").with { $0.expiresAt = bit == 959 ? end : nil } }
                + [ConsentEvent([kari], "p192", .withdrawn), .grant([.email("kari@example.no"), kari], "p64")])
        for _ in 0..<2 {
            for name in [kari, .email("kari@example.no")] {
                #expect(bits.map { node.engine.decision(name, $0) } == bits.map { $0 == 192 ? .denied : .granted })
                #expect(node.engine.answer(name, 959, at: end).decision == .unknown)
            }
            #expect(bits.allSatisfy { node.engine.decision(stranger, $0) == .unknown })
            try node.close()
            #expect(try rebuildIndex(node.folder) == 2)
            try node.open()
        }
        try node.expectSound()
    }

    @Test func moreThanSixtyFourPurposesWidenTheIndexWhileItIsInUse() throws {
        var catalog = SampleCatalog.consents(bits: 0..<60)
        catalog.revisions[0].purposes = catalog.purposes.map(\.id)
        let node = try TestNode(catalog)
        let engine = node.engine
        _ = try engine.record([.grant([kari], "p59"), ConsentEvent([kari], "p1", .withdrawn)])
        for bit in [64, 200, 959] {
            catalog.purposes.append(.init("w\(bit)", bit: bit, basis: "legitimate_interest"))
            _ = try engine.apply(catalog.document)
            #expect(engine.decision(stranger, bit) == .granted)
            #expect(try engine.recordOne(ConsentEvent([kari], "w\(bit)", .objected)).isRecorded)
            #expect(engine.decision(kari, bit) == .denied)
            #expect(engine.decision(kari, 59) == .granted)
            #expect(engine.decision(kari, 1) == .denied)
        }
        try node.restart()
        #expect(node.engine.recovery == .current)
        #expect([64, 200, 959].map { node.engine.decision(kari, $0) } == [.denied, .denied, .denied])
        #expect(node.engine.decision(kari, 59) == .granted)
        try node.expectSound()
    }
}
