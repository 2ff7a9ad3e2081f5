import ConsentModel
import ConsentSync
import ConsentWire

/// One copy of the rows of a simulated node, with all that stands in a file's header.
struct SimulatedTable {
    var rows: [SimulatedRow?]
    var sequence: UInt64 = 0
    var chain: UInt64 = 0
    var catalog: SyncCatalog
    var granted: UInt64 = 0
    var denied: UInt64 = 0
    var maxStaleness: [Int: UInt32] = [:]

    init(identifiers: Int) {
        rows = Array(repeating: nil, count: identifiers)
        catalog = .none
    }

    /// Of rows and catalog.
    var point: SyncPoint {
        var digest = catalog.mark
        for (identifier, row) in rows.enumerated() {
            guard let row else { continue }
            digest ^= Self.share(identifier, row)
        }
        return SyncPoint(sequence: sequence, chain: chain, digest: digest)
    }

    private static func share(_ identifier: Int, _ row: SimulatedRow) -> UInt64 {
        var sum = UInt64(identifier + 1) &* 0x9E37_79B9_7F4A_7C15
        for word in [row.sequence, row.permitted, row.denied] {
            sum = (sum ^ word) &* 0xBF58_476D_1CE4_E5B9
            sum ^= sum >> 29
        }
        return sum
    }

    /// What it would answer as granted, if it may answer.
    func grants(_ identifier: Int) -> UInt64 {
        let row = rows[identifier]
        return ((row?.permitted ?? 0) | granted) & ~((row?.denied ?? 0) | denied)
    }

    // MARK: On the wire

    static func tag(_ identifier: Int) -> UInt64 { UInt64(identifier + 2) << 8 }
    static func identifier(_ row: SyncRow) -> Int { Int(row.tag >> 8) - 2 }
    /// Spread over all places.
    static func place(_ identifier: Int) -> UInt32 { UInt32(truncatingIfNeeded: (identifier + 1) &* 0x9E37_79B9) }

    func forEachRow(
        places: Range<UInt64>, after sequence: UInt64, _ bits: UnsafeMutablePointer<UInt64>, _ body: (SyncRow) -> Void
    ) {
        for (identifier, row) in rows.enumerated() {
            guard let row, row.sequence > sequence, places.contains(UInt64(Self.place(identifier))) else { continue }
            (bits[0], bits[1]) = (row.permitted, row.denied)
            body(
                SyncRow(
                    first: Self.tag(identifier) | row.sequence >> 32,
                    second: row.sequence & 0xFFFF_FFFF | 0xFFFF_FFFF << 32, place: Self.place(identifier),
                    isAbsent: false, words: 1, bits: UnsafeRawPointer(bits)))
        }
    }
}

extension PurposeSet {
    init(word: UInt64) {
        self.init()
        self[word: 0] = word
    }
}
