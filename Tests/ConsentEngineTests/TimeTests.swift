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

    /// When the sweeper must have recorded what passed at a moment: a second, and what a busy machine adds.
    private func recorded(by moment: Timestamp) -> Timestamp { moment.advanced(bySeconds: 4) }

    private func waitForEvents(_ count: Int, _ engine: Engine, until limit: Timestamp) throws -> [RecordedEvent] {
        while true {
            let events = try engine.events(kari)
            if events.count >= count || now > limit { return events }
            sleep(until: now.advanced(millis: 20))
        }
    }

    @Test func aConsentEndsAtItsEndAndTheEndIsRecordedSoonAfter() throws {
        let node = try TestNode(.consents(bits: 0..<2))
        let engine = node.engine
        let end = now.advanced(bySeconds: 2)
        _ = try engine.record([
            .grant([kari]).with { $0.expiresAt = end }, ConsentEvent([.customer("ola")], "p0", .withdrawn),
        ])
        #expect(engine.decision(kari) == .granted)
        #expect(try engine.explain(kari, purposeBit: 0).verdict.grantedUntil == end)
        // The index knows the end by itself.
        #expect(engine.answer(kari, at: end).reason == .expired)
        #expect(engine.answer(kari, at: end.advanced(bySeconds: 86_400 * 365)).decision == .unknown)
        sleep(until: end)
        #expect(engine.decision(kari) == .unknown)
        #expect(try engine.reason(kari) == .expired)

        let events = try waitForEvents(2, engine, until: recorded(by: end))
        #expect(events.map(\.event.state) == [.given, .expired])
        #expect(events.last?.refersTo == 2)
        #expect(events.last?.event.capturedAt == end)
        #expect(events.last?.event.party == .system)
        #expect(engine.answer(kari).reason == .unknown)
        #expect(try engine.reason(kari) == .expired)
        // The end of a repetition that comes late is not recorded twice.
        sleep(until: now.advanced(millis: 600))
        #expect(try engine.events(kari).count == 2)
        try node.close()
        #expect(try verify(node.folder).problems == [])
    }

    @Test func aValidityEndsAConsentThatNamesNoEnd() throws {
        let node = try TestNode(SampleCatalog([.init("p0", bit: 0, basis: "consent", "validityDuration: P30D")]))
        let engine = node.engine
        let monthsAgo = secondsAgo(30 * 86_400 - 2)
        _ = try engine.record([.grant([kari], at: monthsAgo), .grant([.customer("ola")])])
        #expect(engine.decision(kari) == .granted)
        sleep(until: monthsAgo.advanced(bySeconds: 30 * 86_400))
        #expect(engine.decision(kari) == .unknown)
        #expect(engine.decision(.customer("ola")) == .granted)
        #expect(try waitForEvents(2, engine, until: recorded(by: now)).count == 2)
    }

    @Test func manyEndsAtOnceAreAllRecorded() throws {
        let node = try TestNode(.consents(bits: 0..<1))
        let engine = node.engine
        let end = now.advanced(bySeconds: 3)
        let people = (0..<2500).map { Identifier.customer("c\($0)") }
        _ = try engine.record(people.map { .grant([$0]).with { $0.expiresAt = end } })
        sleep(until: end)
        #expect(people.allSatisfy { engine.decision($0) == .unknown })
        let limit = end.advanced(bySeconds: 15)
        while try engine.sizes()["sequence"]! < 5001, now < limit { sleep(until: now.advanced(millis: 50)) }
        #expect(try engine.sizes()["sequence"] == 5001)
        try node.close()
        #expect(try verify(node.folder).problems == [])
    }

    @Test func anEndThatPassedWhileTheNodeWasDownIsKeptAtOnce() throws {
        let node = try TestNode(.consents(bits: 0..<1))
        let end = now.advanced(bySeconds: 1)
        _ = try node.engine.record([.grant([kari]).with { $0.expiresAt = end }])
        try node.close()
        sleep(until: end)
        try node.open()
        #expect(node.engine.decision(kari) == .unknown)
        #expect(try waitForEvents(2, node.engine, until: recorded(by: now)).map(\.event.state) == [.given, .expired])
    }

    @Test func anEndOfOneConsentDoesNotHoldUpTheOthersForLong() throws {
        let node = try TestNode(.consents(bits: 0..<2))
        let engine = node.engine
        let end = now.advanced(bySeconds: 1)
        _ = try engine.record([.grant([kari]).with { $0.expiresAt = end }, .grant([kari], "p1")])
        #expect(engine.decision(kari, 1) == .granted)
        sleep(until: end)
        _ = try waitForEvents(3, engine, until: recorded(by: end))
        #expect(engine.decision(kari, 0) == .unknown)
        #expect(engine.decision(kari, 1) == .granted)
    }

    @Test func aRevisionThatAsksAgainBecomesCurrentByTimeAlone() throws {
        var catalog = SampleCatalog.consents(bits: 0..<2)
        let node = try TestNode(catalog)
        let engine = node.engine
        let change = now.advanced(bySeconds: 3)
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

        sleep(until: change)
        #expect(engine.decision(kari) == .unknown)
        #expect(try engine.reason(kari) == .outdatedRevision)
        // The note of it in the ledger, and nothing else.
        while try engine.sizes()["sequence"]! == head, now < recorded(by: change) { sleep(until: now.advanced(millis: 20)) }
        #expect(try engine.sizes()["sequence"] == head + 1)
        #expect(engine.answer(kari).reason == .unknown)
        #expect(try engine.events(kari).count == 2)
        #expect(
            try engine.recordOne(.grant([kari]))
                == .refused(.revisionNotCurrent(RevisionName(declaration: "club", revision: "1.0"), current: "2.0")))
        // A till that was offline.
        #expect(try engine.recordOne(.grant([kari], at: change.advanced(millis: -1000))).isRecorded)
        #expect(engine.decision(kari) == .unknown)
        #expect(try engine.recordOne(.grant([kari], revision: "2.0")).isRecorded)
        #expect(engine.decision(kari) == .granted)
        try node.restart()
        #expect(node.engine.decision(kari) == .granted)
        #expect(try node.engine.sizes()["sequence"] == head + 3)
        try node.close()
        #expect(try verify(node.folder).problems == [])
    }

    @Test func aCompatibleRevisionTakesNothingFromAnybody() throws {
        var catalog = SampleCatalog.consents(bits: 0..<1)
        let node = try TestNode(catalog)
        let engine = node.engine
        let change = now.advanced(bySeconds: 2)
        catalog.revisions.append(.init("1.1", effectiveAt: change, compatibleWith: "1.0"))
        _ = try engine.apply(catalog.document)
        _ = try engine.record([.grant([kari])])
        let answers = Background { [kari] in
            var everGranted = true
            while now < change.advanced(bySeconds: 2) { everGranted = everGranted && engine.decision(kari) == .granted }
            return everGranted
        }
        #expect(try answers.value())
        #expect(try engine.explain(kari, purposeBit: 0).verdict.currentRevision?.revision == "1.1")
    }

    @Test func aRevisionThatCarriesOverAgainBringsConsentsBackByTimeAlone() throws {
        var catalog = SampleCatalog.consents(bits: 0..<1)
        let node = try TestNode(catalog)
        let engine = node.engine
        _ = try engine.record([.grant([kari])])
        let change = now.advanced(bySeconds: 3)
        catalog.revisions.append(.init("2.0", effectiveAt: secondsAgo(5)))
        catalog.revisions.append(.init("3.0", effectiveAt: change, compatibleWith: "1.0"))
        _ = try engine.apply(catalog.document)
        #expect(engine.decision(kari) == .unknown)
        sleep(until: change)
        while engine.decision(kari) != .granted, now < recorded(by: change) { sleep(until: now.advanced(millis: 20)) }
        #expect(engine.decision(kari) == .granted)
        #expect(try engine.reason(kari) == .given)
    }

    @Test func aRevisionThatBecameCurrentWhileTheNodeWasDownCountsAtOnce() throws {
        var catalog = SampleCatalog.consents(bits: 0..<1)
        let node = try TestNode(catalog)
        let change = now.advanced(bySeconds: 2)
        catalog.revisions.append(.init("2.0", effectiveAt: change))
        _ = try node.engine.apply(catalog.document)
        let head = try node.engine.record([.grant([kari])]).head
        #expect(node.engine.decision(kari) == .granted)
        try node.close()
        sleep(until: change)
        try node.open()
        let engine = node.engine
        #expect(engine.decision(kari) == .unknown)
        while try engine.sizes()["sequence"]! == head, now < recorded(by: now) { sleep(until: now.advanced(millis: 20)) }
        #expect(try engine.sizes()["sequence"] == head + 1)
        #expect(engine.decision(kari) == .unknown)
        try node.restart()
        #expect(try node.engine.sizes()["sequence"] == head + 1, "it is noted once")
    }
}

extension Timestamp {
    func advanced(millis more: Int64) -> Timestamp { Timestamp(millis: millis + more) }
}
