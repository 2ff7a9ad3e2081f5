import ConsentCatalog
import ConsentEngine
import ConsentIndex
import ConsentKernel
import ConsentLedger
import ConsentModel
import ConsentTestSupport
import Foundation
import GRDB
import Synchronization
import Testing

/// A revision that asks everybody again: one fact in the ledger, one walk through the index, and nothing rewritten.
struct OutdatingTests {
    private let people = (0..<300).map { Identifier.customer("c\($0)") }

    private func count(_ node: TestNode, _ sql: String) throws -> Int {
        let database = try DatabaseQueue(path: node.folder.ledgerPath)
        defer { try? database.close() }
        return try database.read { try Int.fetchOne($0, sql: sql) ?? 0 }
    }

    @Test func nobodysRowInTheLedgerIsRewritten() async throws {
        var catalog = SampleCatalog.consents(bits: 0..<2)
        let node = try TestNode(catalog)
        _ = try node.engine.record(people.map { .grant([$0, .email("\($0.value)@example.no")]) })
        let before = try count(node, "SELECT sum(sequence) FROM subject")
        let told = Answers<CommittedGroup>()
        let subscription = node.engine.subscribe { told.add($0) }
        catalog.revisions.append(.init("2.0", effectiveAt: secondsAgo(1)))
        let applied = try node.engine.apply(catalog.document)
        #expect(try count(node, "SELECT sum(sequence) FROM subject") == before)
        #expect(try count(node, "SELECT count(*) FROM outdating WHERE ends_at IS NULL") == 1)
        #expect(people.allSatisfy { node.engine.decision($0) == .unknown })
        #expect(node.engine.decision(.email("c7@example.no")) == .unknown)
        let row = try #require(node.engine.publication.current.row(node.engine.hashKey.hash(people[0])))
        #expect(row.sequence == applied.sequence && row.permitted.isEmpty && row.endsAt == IndexRow.never)
        // Who follows row by row is told that rows have changed that are not listed.
        #expect(await eventually { told.all.contains { $0.changedEverything && $0.catalogVersion == 2 } })
        node.engine.unsubscribe(subscription)
        let digest = node.engine.publication.current.digest
        for leave in [{ try node.restart() }, { try rebuild(node) }] {
            try leave()
            #expect(node.engine.publication.current.digest == digest)
            #expect(people.allSatisfy { node.engine.decision($0) == .unknown })
        }
        // Agreeing again writes the one who does.
        #expect(try node.engine.recordOne(.grant([people[3]], revision: "2.0")).isRecorded)
        #expect(node.engine.decision(people[3]) == .granted)
        try node.expectSound()
    }

    private func rebuild(_ node: TestNode) throws {
        try node.close()
        _ = try rebuildIndex(node.folder)
        try node.open()
    }

    /// What else a person agreed to stays, with the end that it has by itself.
    @Test func anAnnouncedRevisionEndsWhatItBreaksAndNothingElse() throws {
        var catalog = SampleCatalog.consents(bits: 0..<3)
        catalog.purposes[1].more = ["validityDuration: P30D"]
        let node = try TestNode(catalog)
        let engine = node.engine
        let (kari, ola) = (people[0], people[1])
        _ = try engine.record([.grant([kari], "p0"), .grant([kari], "p1"), .grant([ola], "p0")])
        // So many that the ends of both halves of them are restored.
        let others = people[2...]
        for person in others { _ = try engine.record([.grant([person], "p0"), .grant([person], "p1")]) }
        let own = try #require(try engine.explain(kari, purposeBit: 1).verdict.grantedUntil)
        let othersOwn = try others.map { try engine.explain($0, purposeBit: 1).verdict.grantedUntil }
        let coming = now.advanced(bySeconds: 3600)
        // Covers p0 no longer, and carries the others on.
        catalog.revisions.append(
            .init("2.0", effectiveAt: coming, compatibleWith: "1.0", purposes: ["p1", "p2"]))
        let rows = try count(node, "SELECT sum(sequence) FROM subject")
        _ = try engine.apply(catalog.document)
        #expect(try count(node, "SELECT sum(sequence) FROM subject") == rows)
        func end(_ person: Identifier) -> UInt32? {
            engine.publication.current.row(engine.hashKey.hash(person))?.endsAt
        }
        #expect(end(kari) == UInt32(coming.secondsRoundedDown) && end(ola) == UInt32(coming.secondsRoundedDown))
        #expect(engine.decision(kari) == .granted && engine.decision(kari, 1) == .granted)
        // By itself, at that moment, whatever the node does.
        #expect(engine.answer(kari, at: coming).decision == .unknown)

        node.clockAheadMillis = 3_601_000
        _ = try engine.record([])
        #expect(engine.decision(kari) == .unknown && engine.decision(ola) == .unknown)
        #expect(engine.answer(kari, 1, at: coming.advanced(bySeconds: 60)).decision == .granted)
        #expect(end(kari) == UInt32(own.secondsRoundedDown) && end(ola) == IndexRow.never)
        for (person, own) in zip(others, othersOwn) {
            #expect(end(person) == own.map { UInt32($0.secondsRoundedDown) })
        }
        #expect(try count(node, "SELECT sum(sequence) FROM subject") == rows)
        let digest = engine.publication.current.digest
        try node.restart()
        #expect(node.engine.recovery == .current && node.engine.publication.current.digest == digest)
        try rebuild(node)
        #expect(node.engine.publication.current.digest == digest)
        try node.close()
        #expect(node.fatals.all == [])
    }

    /// The second takes back what the first had announced, and asks again at once.
    @Test func twoCatalogsInOneTransactionLeaveEverybodyTheEndsThatTheyHave() throws {
        var catalog = SampleCatalog.consents(bits: 0..<2)
        let node = try TestNode(catalog)
        let engine = node.engine
        let kari = people[0]
        _ = try engine.record([.grant([kari], "p0"), .grant([kari], "p1")])
        let coming = now.advanced(bySeconds: 3600)
        catalog.revisions.append(.init("2.0", effectiveAt: coming, compatibleWith: "1.0", purposes: ["p1"]))
        let announced = try catalog.document
        catalog.revisions.removeLast()
        catalog.revisions.append(.init("2.1", effectiveAt: secondsAgo(1), compatibleWith: "1.0", purposes: ["p1"]))
        let atOnce = try catalog.document
        let blocked = try BlockedWriter(engine)
        let answers = Answers<UInt64>()
        for document in [announced, atOnce] { engine.apply(document) { answers.add((try? $0.get().sequence) ?? 0) } }
        blocked.release()
        #expect(!answers.take(2).contains(0))
        #expect(try count(node, "SELECT count(*) FROM outdating") == 2)
        #expect(engine.decision(kari) == .unknown)
        #expect(engine.answer(kari, 1, at: coming.advanced(bySeconds: 60)).decision == .granted)
        let digest = engine.publication.current.digest
        try node.expectSound()
        try rebuild(node)
        #expect(node.engine.publication.current.digest == digest)
    }

    /// Whatever changed before, after and between: index, ledger and decision function agree, and a rebuilt index is the
    /// same to the last bit.
    @Test(arguments: 0..<3) func changesOfAllKindsInAnyOrderAgree(_ run: Int) throws {
        var generator = SeededGenerator(salt: 900 + UInt64(run))
        // Some beyond the first word of a row.
        let bits = run == 1 ? [0, 1, 70, 200] : [0, 1, 2, 3]
        var catalog = SampleCatalog(bits.enumerated().map { .init("p\($0)", bit: $1) })
        catalog.purposes[1].more = ["validityDuration: P1D"]
        let node = try TestNode(catalog, overlapWeightMin: run == 2 ? 0 : Engine.overlapWeightMin)
        for step in 0..<25 {
            let place = "CONSENT_TEST_SEED=\(TestSeed.value), run \(run), step \(step)"
            let moment = now.advanced(millis: node.clockAheadMillis)
            let inForce = catalog.revisions.last { $0.effectiveAt <= moment }!
            let events = (0..<generator.below(30)).map { _ -> ConsentEvent in
                var event = ConsentEvent.grant(
                    [generator.pick(people)], "p\(generator.below(4))", revision: inForce.name)
                if generator.oneIn(5) { event.state = .withdrawn }
                if generator.oneIn(4) {
                    event.expiresAt = moment.advanced(bySeconds: 60 + Int64(generator.below(7200)))
                }
                return event
            }
            _ = try node.engine.record(events)
            if generator.oneIn(2) { change(&catalog, node, moment, &generator) }
            if generator.oneIn(3) { node.clockAheadMillis += Int64(generator.below(3_600_000)) }
            _ = try node.engine.record([])
            try agree(node, bits, place)
            if generator.oneIn(4) { try node.restart() }
            if generator.oneIn(4) {
                let digest = node.engine.publication.current.digest
                try rebuild(node)
                // What has ended since may have been recorded on the way.
                if node.engine.publication.current.digest != digest { try agree(node, bits, place) }
            }
        }
        #expect(try count(node, "SELECT count(*) FROM outdating") > 0)
        try node.close()
        #expect(node.fatals.all == [])
    }

    private func change(
        _ catalog: inout SampleCatalog, _ node: TestNode, _ moment: Timestamp, _ generator: inout SeededGenerator
    ) {
        var changed = catalog
        let coming = changed.revisions.filter { $0.effectiveAt > moment }
        if !coming.isEmpty, generator.oneIn(4) { changed.revisions.removeLast() }
        let seconds = generator.oneIn(2) ? 0 : Int64(generator.below(3600))
        let covered = catalog.purposes.map(\.id).filter { _ in !generator.oneIn(4) }
        let last = changed.revisions.last!
        changed.revisions.append(
            .init(
                "r\(changed.revisions.count)x\(generator.below(1000))",
                effectiveAt: moment.advanced(bySeconds: seconds),
                compatibleWith: generator.oneIn(2)
                    ? nil : generator.oneIn(2) ? last.name : generator.pick(changed.revisions).name,
                purposes: covered.isEmpty ? ["p0"] : covered))
        changed.revisions.sort { $0.effectiveAt < $1.effectiveAt }
        guard let document = try? changed.document, (try? node.engine.apply(document)) != nil else { return }
        catalog = changed
    }

    private func agree(_ node: TestNode, _ bits: [Int], _ place: String) throws {
        let engine = node.engine
        let moment = now.advanced(millis: node.clockAheadMillis)
        for person in people {
            let acts = Dictionary(grouping: try engine.events(person), by: \.event.purpose)
                .mapValues { $0.map(Act.init) }
            guard !acts.isEmpty else { continue }
            let row = engine.publication.current.row(engine.hashKey.hash(person))
            for (number, bit) in bits.enumerated() {
                let purpose = try #require(engine.catalog.catalog.purpose(bit: bit))
                let decided = decide(
                    acts["p\(number)"] ?? [], catalog: engine.catalog.catalog, purpose: purpose, at: moment)
                let answer = engine.answer(person, bit, at: moment)
                // A row keeps the first of its ends, in seconds, and is written anew a moment after it.
                let isDue = row.map { Int64($0.endsAt) <= moment.secondsRoundedDown } ?? false
                let isSame = answer.decision == decided.decision || answer.decision == .unknown && isDue
                #expect(isSame, "\(place): \(person.text) p\(number): \(answer.reason) instead of \(decided.reason)")
                if let until = decided.grantedUntil, let row {
                    #expect(Int64(row.endsAt) <= until.secondsRoundedDown, "\(place): \(person.text) p\(number)")
                }
            }
        }
    }
}
