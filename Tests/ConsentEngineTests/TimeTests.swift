import ConsentCatalog
import ConsentEngine
import ConsentIndex
import ConsentKernel
import ConsentLedger
import ConsentModel
import ConsentTestSupport
import Testing

/// What changes though nobody acts.
struct TimeTests {
    private let kari = Identifier.customer("kari")

    @Test func aConsentEndsAtItsEndAndTheEndIsRecordedSoonAfter() async throws {
        let node = try TestNode(.consents(bits: 0..<2))
        let engine = node.engine
        let end = now.advanced(millis: 1500)
        _ = try engine.record([
            .grant([kari]).with { $0.expiresAt = end }, ConsentEvent([.customer("ola")], "p0", .withdrawn),
        ])
        #expect(engine.decision(kari) == .granted)
        #expect(try engine.explain(kari, purposeBit: 0).verdict.grantedUntil == end)
        // The index knows the end by itself.
        #expect(engine.answer(kari, at: end).reason == .expired)
        #expect(engine.answer(kari, at: end.advanced(bySeconds: 86_400 * 365)).decision == .unknown)
        await sleep(until: end)
        #expect(engine.decision(kari) == .unknown)
        #expect(try engine.reason(kari) == .expired)

        #expect(try await eventually { try engine.events(kari).count == 2 })
        let events = try engine.events(kari)
        #expect(events.map(\.event.state) == [.given, .expired])
        #expect(events.last?.refersTo == 2)
        #expect(events.last?.event.capturedAt == end)
        #expect(events.last?.event.party == .system)
        #expect(try #require(events.last).recordedAt < end.advanced(bySeconds: 5))
        #expect(engine.answer(kari).reason == .unknown)
        #expect(try engine.reason(kari) == .expired)
        // It is recorded once.
        await sleep(until: now.advanced(millis: 600))
        #expect(try engine.events(kari).count == 2)
        try node.expectSound()
    }

    @Test func aValidityEndsAConsentThatNamesNoEnd() async throws {
        let node = try TestNode(SampleCatalog([.init("p0", bit: 0, basis: "consent", "validityDuration: P30D")]))
        let engine = node.engine
        let monthsAgo = secondsAgo(30 * 86_400 - 1)
        _ = try engine.record([.grant([kari], at: monthsAgo), .grant([.customer("ola")])])
        #expect(engine.decision(kari) == .granted)
        await sleep(until: monthsAgo.advanced(bySeconds: 30 * 86_400))
        #expect(engine.decision(kari) == .unknown)
        #expect(engine.decision(.customer("ola")) == .granted)
        #expect(try await eventually { try engine.events(kari).map(\.event.state) == [.given, .expired] })
        try node.expectSound()
    }

    /// Though nobody was there to record it, as a grant that is uploaded late, or with the node down, ends unseen.
    @Test func aCatalogThatLetsConsentsLastLongerBringsNoneBackThatHasEnded() async throws {
        var catalog = SampleCatalog([.init("p0", bit: 0, basis: "consent", "validityDuration: P30D")])
        let node = try TestNode(catalog)
        let (ola, per) = (Identifier.customer("ola"), Identifier.customer("per"))
        let monthsAgo = secondsAgo(40 * 86_400)
        _ = try node.engine.record([.grant([kari], at: monthsAgo), .grant([ola])])
        #expect(node.engine.decision(kari) == .unknown && node.engine.decision(ola) == .granted)
        catalog.purposes[0].more = ["validityDuration: P90D"]
        let answers = Answers<Bool>()
        let blocked = try BlockedWriter(node.engine)
        node.engine.record([.success(.grant([per], at: monthsAgo))]) { _ in answers.add(true) }
        node.engine.apply(try catalog.document) { _ in answers.add(true) }
        blocked.release()
        _ = answers.take(2)
        for name in [kari, per] {
            #expect(node.engine.decision(name) == .unknown)
            #expect(try node.engine.reason(name) == .expired)
            #expect(try node.engine.events(name).map(\.event.state) == [.given, .expired])
        }
        #expect(node.engine.decision(ola) == .granted)
        #expect(try node.engine.events(ola).count == 1)
        // Who agrees once more has a consent that lasts as long as the new catalog says.
        #expect(try node.engine.recordOne(.grant([kari], at: secondsAgo(35 * 86_400))).isRecorded)
        #expect(node.engine.decision(kari) == .granted)
        try node.expectSound()
    }

    /// What is explained is what is answered, though the system's clock was set back behind what is recorded.
    @Test func aClockThatWasSetBackDoesNotBringBackAnOutdatedRevision() async throws {
        let change = now.advanced(bySeconds: 3600)
        let node = try TestNode(
            SampleCatalog(
                [.init("p0", bit: 0)],
                revisions: [.init("1.0", effectiveAt: SampleCatalog.begin), .init("2.0", effectiveAt: change)]))
        _ = try node.engine.record([.grant([kari])])
        #expect(try node.engine.reason(kari) == .given)
        node.clockAheadMillis = 7_200_000
        #expect(await eventually { node.engine.decision(kari) == .unknown })
        node.clockAheadMillis = 0
        #expect(node.engine.decision(kari) == .unknown)
        #expect(try node.engine.reason(kari) == .outdatedRevision)
        try node.restart()
        #expect(node.engine.decision(kari) == .unknown)
        #expect(try node.engine.reason(kari) == .outdatedRevision)
    }

    @Test func manyEndsAtOnceAreAllRecorded() async throws {
        let node = try TestNode(.consents(bits: 0..<1))
        let engine = node.engine
        let end = now.advanced(bySeconds: 2)
        let people = (0..<2500).map { Identifier.customer("c\($0)") }
        _ = try engine.record(people.map { .grant([$0]).with { $0.expiresAt = end } })
        await sleep(until: end)
        #expect(people.allSatisfy { engine.decision($0) == .unknown })
        #expect(try await eventually { try engine.sizes()["sequence"] == 5001 })
        try node.expectSound()
    }

    @Test func anEndThatPassedWhileTheNodeWasDownIsKeptAtOnce() async throws {
        let node = try TestNode(.consents(bits: 0..<1))
        let end = now.advanced(bySeconds: 1)
        _ = try node.engine.record([.grant([kari]).with { $0.expiresAt = end }])
        try node.close()
        await sleep(until: end)
        try node.open()
        #expect(node.engine.decision(kari) == .unknown)
        #expect(try await eventually { try node.engine.events(kari).map(\.event.state) == [.given, .expired] })
        try node.restart()
        #expect(node.engine.recovery == .current)
        #expect(node.engine.decision(kari) == .unknown)
        try node.expectSound()
    }

    @Test func anEndOfOneConsentDoesNotHoldUpTheOthersForLong() async throws {
        let node = try TestNode(.consents(bits: 0..<2))
        let engine = node.engine
        let end = now.advanced(bySeconds: 1)
        _ = try engine.record([.grant([kari]).with { $0.expiresAt = end }, .grant([kari], "p1")])
        #expect(engine.decision(kari, 1) == .granted)
        await sleep(until: end)
        #expect(try await eventually { try engine.events(kari).count == 3 })
        #expect(engine.decision(kari, 0) == .unknown)
        #expect(engine.decision(kari, 1) == .granted)
    }

    @Test func aConsentThatIsRenewedDoesNotEndWithTheOlderOne() async throws {
        let node = try TestNode(.consents(bits: 0..<1))
        let engine = node.engine
        let (first, second) = (now.advanced(millis: 800), now.advanced(bySeconds: 1000))
        _ = try engine.record([.grant([kari], at: secondsAgo(2)).with { $0.expiresAt = first }])
        _ = try engine.record([
            .grant([kari], at: secondsAgo(1)).with {
                $0.state = .renewed
                $0.expiresAt = second
            }
        ])
        await sleep(until: first.advanced(millis: 600))
        #expect(engine.decision(kari) == .granted)
        #expect(try engine.explain(kari, purposeBit: 0).verdict.grantedUntil == second)
        #expect(try engine.events(kari).count == 2)
        try node.expectSound()
    }

    @Test func whatIsUploadedAfterItsEndIsNeverGranted() async throws {
        let node = try TestNode(.consents(bits: 0..<1))
        _ = try node.engine.record([.grant([kari], at: secondsAgo(1000)).with { $0.expiresAt = secondsAgo(500) }])
        #expect(node.engine.decision(kari) == .unknown)
        #expect(try node.engine.reason(kari) == .expired)
        try node.restart()
        #expect(node.engine.decision(kari) == .unknown)
        try node.expectSound()
    }

    /// Longer validity gives nobody back what has ended before.
    @Test func aRecordedEndStandsWhateverTheCatalogSaysLater() async throws {
        var catalog = SampleCatalog([.init("p0", bit: 0, basis: "consent", "validityDuration: PT1S")])
        let node = try TestNode(catalog)
        let engine = node.engine
        _ = try engine.record([.grant([kari])])
        #expect(try await eventually { try engine.events(kari).count == 2 })
        catalog.purposes[0].more = ["validityDuration: P30D"]
        _ = try engine.apply(catalog.document)
        #expect(try engine.reason(kari) == .expired)
        #expect(engine.decision(kari) == .unknown)
        #expect(try engine.recordOne(.grant([kari])).isRecorded)
        #expect(engine.decision(kari) == .granted)
        try node.expectSound()
    }

    @Test func aRevisionThatAsksAgainBecomesCurrentByTimeAlone() async throws {
        var catalog = SampleCatalog.consents(bits: 0..<2)
        let node = try TestNode(catalog)
        let engine = node.engine
        let change = now.advanced(millis: 1500)
        catalog.revisions[0].purposes = ["p0", "p1"]
        catalog.revisions.append(.init("2.0", effectiveAt: change, purposes: ["p0"]))
        _ = try engine.apply(catalog.document)
        let head = try engine.record([.grant([kari]), .grant([kari], "p1")]).head
        #expect(engine.decision(kari) == .granted)
        #expect(try engine.explain(kari, purposeBit: 0).verdict.grantedUntil == change)
        #expect(engine.answer(kari, at: change).decision == .unknown)
        #expect(
            try engine.recordOne(.grant([kari], revision: "2.0"))
                == .refused(.revisionNotCurrent(RevisionName(declaration: "club", revision: "2.0"), current: "1.0")))

        await sleep(until: change)
        #expect(engine.decision(kari) == .unknown)
        #expect(try engine.reason(kari) == .outdatedRevision)
        // The note of it in the ledger, and nothing else.
        #expect(try await eventually { try engine.sizes()["sequence"] == head + 1 })
        #expect(engine.answer(kari).reason == .unknown)
        #expect(try engine.events(kari).count == 2)
        #expect(
            try engine.recordOne(.grant([kari]))
                == .refused(.revisionNotCurrent(RevisionName(declaration: "club", revision: "1.0"), current: "2.0")))
        // A till that was offline.
        #expect(try engine.recordOne(.grant([kari], at: change.advanced(millis: -500))).isRecorded)
        #expect(engine.decision(kari) == .unknown)
        #expect(try engine.recordOne(.grant([kari], revision: "2.0")).isRecorded)
        #expect(engine.decision(kari) == .granted)
        try node.restart()
        #expect(node.engine.decision(kari) == .granted)
        #expect(try node.engine.sizes()["sequence"] == head + 3)
        try node.expectSound()
    }

    @Test func aCompatibleRevisionTakesNothingFromAnybody() async throws {
        var catalog = SampleCatalog.consents(bits: 0..<1)
        let node = try TestNode(catalog)
        let engine = node.engine
        let change = now.advanced(millis: 1500)
        catalog.revisions.append(.init("1.1", effectiveAt: change, compatibleWith: "1.0"))
        _ = try engine.apply(catalog.document)
        _ = try engine.record([.grant([kari])])
        while now < change.advanced(millis: 700) {
            #expect(engine.decision(kari) == .granted)
            await sleep(until: now.advanced(millis: 2))
        }
        #expect(try engine.explain(kari, purposeBit: 0).verdict.currentRevision?.revision == "1.1")
    }

    @Test func aRevisionThatCarriesOverAgainBringsConsentsBackByTimeAlone() async throws {
        var catalog = SampleCatalog.consents(bits: 0..<1)
        let node = try TestNode(catalog)
        let engine = node.engine
        _ = try engine.record([.grant([kari])])
        let change = now.advanced(millis: 1500)
        catalog.revisions.append(.init("2.0", effectiveAt: secondsAgo(5)))
        catalog.revisions.append(.init("3.0", effectiveAt: change, compatibleWith: "1.0"))
        _ = try engine.apply(catalog.document)
        #expect(engine.decision(kari) == .unknown)
        await sleep(until: change)
        #expect(await eventually { engine.decision(kari) == .granted })
        #expect(try engine.reason(kari) == .given)
    }

    @Test func aRevisionThatBecameCurrentWhileTheNodeWasDownCountsAtOnce() async throws {
        var catalog = SampleCatalog.consents(bits: 0..<1)
        let node = try TestNode(catalog)
        let change = now.advanced(millis: 1500)
        catalog.revisions.append(.init("2.0", effectiveAt: change))
        _ = try node.engine.apply(catalog.document)
        let head = try node.engine.record([.grant([kari])]).head
        #expect(node.engine.decision(kari) == .granted)
        try node.close()
        await sleep(until: change)
        try node.open()
        let engine = node.engine
        #expect(engine.decision(kari) == .unknown)
        #expect(try await eventually { try engine.sizes()["sequence"] == head + 1 })
        #expect(engine.decision(kari) == .unknown)
        try node.restart()
        #expect(try node.engine.sizes()["sequence"] == head + 1, "it is noted once")
    }

    /// What was said while the clock was ahead bears times that are still to come.
    @Test(arguments: [EventState.refused, .withdrawn, .revoked, .invalidated])
    func aNoThatSaysItsTimeStandsAfterTheClockWasSetRight(_ state: EventState) throws {
        let node = try TestNode(.consents(bits: 0..<1))
        let engine = node.engine
        node.clockAheadMillis = 7_200_000
        _ = try engine.record([.grant([kari])])
        node.clockAheadMillis = 0
        // Of an hour ago: it came late, and the grant after it.
        #expect(try engine.recordOne(ConsentEvent([kari], "p0", state, at: secondsAgo(3_600))).isRecorded)
        #expect(try engine.reason(kari) == .given)
        let no = ConsentEvent([kari], "p0", state, at: secondsAgo(1)).with { $0.key = IdempotencyKey(7) }
        let outcome = try engine.recordOne(no)
        #expect(outcome.isRecorded && engine.decision(kari) == .denied)
        #expect(try engine.recordOne(no) == .duplicate(sequence: try #require(outcome.sequence)))
        try node.restart()
        #expect(node.engine.decision(kari) == .denied)
        #expect(try verify(node.folder).isSound)
    }

    /// Though the sender's clock is slow, or the message was a few minutes under way.
    @Test(arguments: [EventState.refused, .withdrawn, .revoked, .invalidated, .objected])
    func aNoThatComesAfterAYesStandsThoughItBearsATimeOfMinutesBefore(_ state: EventState) throws {
        let node = try TestNode(.manyKinds)
        let engine = node.engine
        for (secondsBefore, decision) in [(Int64(290), Decision.denied), (310, .granted)] {
            let kari = Identifier.customer("kari\(secondsBefore)")
            _ = try engine.record([.grant([kari])])
            let no = ConsentEvent([kari], "p0", state, at: secondsAgo(secondsBefore)).with {
                $0.key = IdempotencyKey(UInt64(secondsBefore))
            }
            let outcome = try engine.recordOne(no)
            #expect(outcome.isRecorded && engine.decision(kari) == decision)
            #expect(try engine.recordOne(no) == .duplicate(sequence: try #require(outcome.sequence)))
            // A yes that comes after it wins by its time.
            nextMillisecond()
            _ = try engine.record([.grant([kari])])
            #expect(engine.decision(kari) == .granted)
            #expect(try engine.recordOne(no) == .duplicate(sequence: try #require(outcome.sequence)))
            #expect(engine.decision(kari) == .granted)
        }
        try node.expectSound()
    }

    @Test func anObjectionThatComesAfterItWasLiftedStandsThoughItBearsATimeOfMinutesBefore() throws {
        let node = try TestNode(.manyKinds)
        let kari = Identifier.customer("kari")
        let interest = try #require(node.engine.catalog.catalog.purposes.first { $0.basis == .legitimateInterest })
        _ = try node.engine.record([ConsentEvent([kari], interest.id, .objectionLifted)])
        #expect(try node.engine.recordOne(ConsentEvent([kari], interest.id, .objected, at: secondsAgo(200))).isRecorded)
        #expect(node.engine.decision(kari, interest.bit) == .denied)
        try node.expectSound()
    }

    /// What nobody stands against keeps the time that its sender gave.
    /// Judged at the door while the clock was ahead, and decided about when it was right again.
    @Test func aRevisionThatIsStillToComeIsNotAgreedToWhateverTheClockSaidBefore() throws {
        let coming = now.advanced(bySeconds: 3600)
        let node = try TestNode(
            SampleCatalog(
                [.init("p0", bit: 0)],
                revisions: [
                    .init("1.0", effectiveAt: SampleCatalog.begin), .init("2.0", effectiveAt: coming),
                ]))
        let blocked = try BlockedWriter(node.engine)
        let answers = Answers<EventOutcome?>()
        node.clockAheadMillis = 7_200_000
        node.engine.record([.success(.grant([kari], revision: "2.0"))]) { answers.add(try? $0.get().outcomes[0]) }
        node.clockAheadMillis = 0
        blocked.release()
        let current = AdmissionError.revisionNotCurrent(
            RevisionName(declaration: "club", revision: "2.0"), current: "1.0")
        #expect(answers.take(1) == [.refused(current)])
        node.clockAheadMillis = 3_601_000
        _ = try node.engine.record([])
        #expect(node.engine.decision(kari) == .unknown)
        try node.expectSound()
    }

    @Test func aNoKeepsItsTimeWhereNothingLaterStandsAgainstIt() throws {
        let node = try TestNode(.consents(bits: 0..<1))
        let kari = Identifier.customer("kari")
        let (grant, no) = (secondsAgo(200), secondsAgo(100))
        let events = [
            ConsentEvent([kari], "p0", .withdrawn, at: secondsAgo(300)), .grant([kari], at: grant),
            ConsentEvent([kari], "p0", .withdrawn, at: no), ConsentEvent([kari], "p0", .withdrawn, at: secondsAgo(150)),
        ]
        _ = try node.engine.record(events)
        #expect(try node.engine.events(kari).map(\.event.capturedAt) == events.map(\.capturedAt))
    }

    @Test func whatIsSaidWhenTheClockIsSetBackIsNotOlderThanWhatWasSaidBefore() throws {
        let node = try TestNode(.consents(bits: 0..<1))
        for (ahead, state) in [(Int64(0), EventState.given), (-7_200_000, .withdrawn), (-7_300_000, .given)] {
            node.clockAheadMillis = ahead
            let event =
                state == .given ? .grant([kari]) : ConsentEvent([kari], "p0", state)
            #expect(try node.engine.recordOne(event).isRecorded)
        }
        let moments = try node.engine.events(kari).map(\.recordedAt)
        #expect(moments == moments.sorted() && Set(moments).count == 3)
        #expect(node.engine.decision(kari) == .granted)
    }
}
