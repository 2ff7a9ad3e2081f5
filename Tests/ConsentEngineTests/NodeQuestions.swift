import ConsentEngine
import ConsentIndex
import ConsentKernel
import ConsentLedger
import ConsentModel
import ConsentTestSupport
import GRDB
import Testing

var now: Timestamp { Timestamp(millis: Clock.realtimeMillis()) }

func secondsAgo(_ seconds: Int64) -> Timestamp { now.advanced(bySeconds: -seconds) }

func sleep(until moment: Timestamp) {
    let wakeup = try! Wakeup()
    while now < moment { wakeup.wait(timeoutMillis: Int32(clamping: max(1, moment.millis - now.millis))) }
}

/// As above, and lets other tests run meanwhile.
func sleep(until moment: Timestamp) async {
    while now < moment { try? await Task.sleep(for: .milliseconds(max(1, moment.millis - now.millis))) }
}

/// Of two acts in one millisecond the "no" counts; what must come after one waits for the next.
func nextMillisecond() { sleep(until: now.advanced(millis: 2)) }

extension Timestamp {
    func advanced(millis more: Int64) -> Timestamp { Timestamp(millis: millis + more) }
}

/// Waits until something is so; false if it was not within ten seconds.
func eventually(_ isSo: () throws -> Bool) async rethrows -> Bool {
    let limit = now.advanced(bySeconds: 10)
    while try !isSo() {
        if now > limit { return false }
        await sleep(until: now.advanced(millis: 10))
    }
    return true
}

extension SampleCatalog {
    /// Purposes of many kinds, and an older revision that covers only one of them.
    static let manyKinds = SampleCatalog(
        [
            .init("p0", bit: 0), .init("p1", bit: 1), .init("retired", bit: 2, basis: "consent", "active: false"),
            .init("receipts", bit: 3, basis: "contract"),
            .init("mail", bit: 4, basis: "legitimate_interest", "directMarketing: true"),
            .init("safety", bit: 5, basis: "public_task"),
            .init("double", bit: 6, basis: "consent", "doubleOptIn: true"),
            .init("young", bit: 7, basis: "consent", "minimumAge: 15"), .init("uncovered", bit: 8, basis: "contract"),
        ],
        revisions: [
            .init("0.9", effectiveAt: Timestamp(iso8601: "2019-01-01")!, purposes: ["p0"]),
            .init("1.0", effectiveAt: SampleCatalog.begin, purposes: ["p0", "p1", "double", "young"]),
        ])
}

extension Standings {
    /// After acts that are all about one purpose.
    init(_ acts: some Sequence<Act>, purposeBit: Int) {
        self.init()
        for act in acts { fold(act, purposeBit: purposeBit) }
    }
}

extension Engine {
    /// What the index says; at another moment if one is given.
    func answer(_ identifier: Identifier, _ bit: Int = 0, at moment: Timestamp? = nil) -> IndexAnswer {
        var reader = IndexReader(publication)
        let seconds = (moment ?? Timestamp(millis: Clock.realtimeMillis())).secondsRoundedDown
        return reader.check(hashKey.hash(identifier), purposeBit: bit, now: UInt32(clamping: seconds))
    }

    func decision(_ identifier: Identifier, _ bit: Int = 0) -> Decision { answer(identifier, bit).decision }

    func reason(_ identifier: Identifier, _ bit: Int = 0) throws -> ConsentState {
        try explain(identifier, purposeBit: bit).verdict.reason
    }

    func events(_ identifier: Identifier) throws -> [RecordedEvent] {
        try history(of: identifier, after: 0, countMax: 10_000).events
    }

    /// What must not change where nothing was stored.
    func sizes() throws -> [String: UInt64] {
        let names: Set = ["sequence", "subjects", "identifiers", "catalog_version", "index_rows", "index_digest"]
        return Dictionary(
            uniqueKeysWithValues: try statistics().filter { names.contains($0.name) }.map { ($0.name, $0.value) })
    }

    func recordOne(_ event: ConsentEvent) throws -> EventOutcome { try record([event]).outcomes[0] }
}

extension EventOutcome {
    var sequence: UInt64? {
        switch self {
        case .recorded(let sequence), .duplicate(let sequence): sequence
        case .refused: nil
        }
    }

    var isRecorded: Bool { if case .recorded = self { true } else { false } }
}

extension TestNode {
    /// The node, closed, is what its ledger says from the first event on.
    func expectSound(sourceLocation: SourceLocation = #_sourceLocation) throws {
        try close()
        #expect(fatals.all == [], sourceLocation: sourceLocation)
        #expect(try verify(folder).problems == [], sourceLocation: sourceLocation)
    }
}

extension NodeFolder {
    /// Changes the ledger with a connection of its own, as somebody might behind the node's back.
    func changeLedger(_ statements: String..., sourceLocation: SourceLocation = #_sourceLocation) throws {
        try changeLedger(statements, sourceLocation: sourceLocation)
    }

    func changeLedger(_ statements: [String], sourceLocation: SourceLocation = #_sourceLocation) throws {
        var configuration = Configuration()
        // The node may be writing.
        configuration.busyMode = .timeout(5)
        let database = try DatabaseQueue(path: ledgerPath, configuration: configuration)
        try database.writeWithoutTransaction { database in
            try database.execute(sql: "PRAGMA foreign_keys = OFF")
            for statement in statements {
                let before = database.totalChangesCount
                try database.execute(sql: statement)
                let changesRows = ["UPDATE", "DELETE", "INSERT"].contains { statement.hasPrefix($0) }
                #expect(
                    !changesRows || database.totalChangesCount > before, "\(statement) changed nothing",
                    sourceLocation: sourceLocation)
            }
        }
        try database.close()
    }
}
