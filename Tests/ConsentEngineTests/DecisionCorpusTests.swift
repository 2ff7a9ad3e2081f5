import ConsentEngine
import ConsentIndex
import ConsentLedger
import ConsentModel
import ConsentTestSupport
import Testing

/// The corpus of decisions, by the way that the node takes: history → standing → projection → row → answer.
struct DecisionCorpusTests {
    @Test func theIndexAnswersEveryCaseAsItSays() throws {
        let temporary = TemporaryFolder()
        let index = try IndexWriter(
            creating: IndexFolder(temporary.path + "/index"), history: [UInt8](repeating: 1, count: 16), keyCheck: 7,
            identifiers: 1000, purposes: 64)
        var reader = IndexReader(index.publication)
        let cases = try DecisionCorpus.cases.get()
        #expect(cases.count > 600)
        for (number, example) in cases.enumerated() {
            let purpose = try #require(example.catalog.purpose(id: example.purpose))
            let retired = example.catalog.purposes.filter { !$0.isActive }.map(\.bit)
            try index.setDefaults(granted: PurposeSet(example.catalog.defaultGrants), denied: PurposeSet(retired))
            let hash = IdentifierHash(high: UInt64(number) << 20 | 1 << 40, low: UInt64(number) << 50)
            let standings = Standings(example.history, purposeBit: purpose.bit)
            let projection = project(standings, catalog: example.catalog, at: example.clock)
            if !example.history.isEmpty { try index.put(hash, IndexRow(projection)) }

            let seconds = UInt32(clamping: example.clock.secondsRoundedDown)
            let answer = reader.check(hash, purposeBit: purpose.bit, now: seconds)
            // A row keeps the second in which a consent ends, and so ends it up to a second early.
            let isLastSecond =
                projection.endsAt.map { $0.secondsRoundedDown == example.clock.secondsRoundedDown } ?? false
            #expect(answer.decision == (isLastSecond ? .unknown : example.decision), "\(example)")

            let mask: UInt64 = 1 << UInt64(purpose.bit)
            let many = reader.check(hash, purposes: mask, word: 0, now: seconds)
            #expect(many.granted & mask == (answer.decision == .granted ? mask : 0), "\(example)")
            #expect(many.denied & mask == (answer.decision == .denied ? mask : 0), "\(example)")
        }
        try index.close()
    }

    /// Whatever the clock was when a row was written, it never grants where the decision function does not.
    @Test func aRowWrittenEarlierNeverGrantsMoreThanTheDecision() throws {
        let temporary = TemporaryFolder()
        let index = try IndexWriter(
            creating: IndexFolder(temporary.path + "/index"), history: [UInt8](repeating: 1, count: 16), keyCheck: 7,
            identifiers: 1000, purposes: 64)
        var reader = IndexReader(index.publication)
        let hash = IdentifierHash(high: 1 << 40, low: 1 << 50)
        for example in try DecisionCorpus.cases.get() {
            let purpose = try #require(example.catalog.purpose(id: example.purpose))
            guard purpose.basis == .consent else { continue }
            let standings = Standings(example.history, purposeBit: purpose.bit)
            let retired = example.catalog.purposes.filter { !$0.isActive }.map(\.bit)
            try index.setDefaults(granted: PurposeSet(example.catalog.defaultGrants), denied: PurposeSet(retired))
            for days in [0, 1, 30, 400, 4000] as [Int64] {
                let written = example.clock.advanced(bySeconds: -days * 86_400)
                let row = IndexRow(project(standings, catalog: example.catalog, at: written))
                try index.put(hash, row)
                let seconds = UInt32(clamping: example.clock.secondsRoundedDown)
                if reader.check(hash, purposeBit: purpose.bit, now: seconds).decision == .granted {
                    #expect(example.decision == .granted, "\(example), written \(days) days before")
                }
            }
        }
        try index.close()
    }

    @Test func aHistoryFoldedInTwoStepsIsTheSame() throws {
        for example in try DecisionCorpus.cases.get() {
            let whole = Standing(example.history)
            for split in 0...example.history.count {
                var standing = Standing(example.history[..<split])
                for act in example.history[split...] { standing.fold(act) }
                #expect(standing == whole, "\(example)")
            }
        }
    }
}
