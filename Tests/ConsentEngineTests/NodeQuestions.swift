import ConsentEngine
import ConsentIndex
import ConsentKernel
import ConsentLedger
import ConsentModel
import ConsentTestSupport

var now: Timestamp { Timestamp(millis: Clock.realtimeMillis()) }

func secondsAgo(_ seconds: Int64) -> Timestamp { now.advanced(bySeconds: -seconds) }

func sleep(until moment: Timestamp) {
    let wakeup = try! Wakeup()
    while now < moment { wakeup.wait(timeoutMillis: Int32(clamping: max(1, moment.millis - now.millis))) }
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
