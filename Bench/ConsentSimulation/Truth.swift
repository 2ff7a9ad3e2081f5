import ConsentModel
import ConsentSync
import ConsentWire

/// SplitMix64 (Steele, Lea, Flood 2014): the same seed, the same run, anywhere.
struct Dice {
    private var state: UInt64

    init(seed: UInt64) { state = seed &* 0xD134_2543_DE82_EF95 &+ 0x632B_E59B_D9B4_E019 }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }

    mutating func below(_ count: Int) -> Int { Int(truncatingIfNeeded: next() % UInt64(count)) }
    mutating func oneIn(_ count: Int) -> Bool { below(count) == 0 }
}

/// The purposes of a simulated deployment, by bit: two on consent, the second of which may be answered for while it is
/// stale; one that rests on consent or on another basis, as the catalog says; one that is retired by every other catalog.
enum Purposes {
    static let count = 4
    static let all: UInt64 = 0xF
    /// In milliseconds: how old an answer may be at most under any catalog.
    static let ageMax: [UInt64] = [5000, 20_000, 5000, 5000]

    static func catalog(_ version: Int, sequence: UInt64) -> SyncCatalog {
        let isEven = version % 2 == 0
        var digest = [UInt8](repeating: 0, count: 32)
        digest[0] = UInt8(version % 2 + 1)
        return SyncCatalog(
            version: UInt32(version), digest: digest, sequence: sequence,
            purposes: [
                .init(bit: 0, id: "a"), .init(bit: 1, id: "b", maxStaleness: isEven ? 20 : 10),
                .init(bit: 2, id: "c", isGrantedByDefault: isEven),
                .init(bit: 3, id: "d", isDeniedByDefault: !isEven),
            ])
    }

    static func granted(_ version: Int) -> UInt64 { version % 2 == 0 ? 0b0100 : 0 }
    static func denied(_ version: Int) -> UInt64 { version % 2 == 0 ? 0 : 0b1000 }
}

/// What one row says.
struct SimulatedRow: Equatable {
    var sequence: UInt64
    var permitted: UInt64
    var denied: UInt64
}

/// What a person has said of each purpose: bits of yes and bits of no.
struct Wish {
    var yes: UInt64
    var no: UInt64

    /// What a row says by a catalog.
    func row(_ catalogVersion: Int, sequence: UInt64) -> SimulatedRow {
        let active = Purposes.all & ~Purposes.denied(catalogVersion)
        return SimulatedRow(
            sequence: sequence, permitted: yes & active & ~Purposes.granted(catalogVersion), denied: no & active)
    }
}

/// One past: what a ledger holds, and what it has granted at each of its sequences. A ledger that was restored and goes on
/// is another timeline with the same beginning.
final class Timeline {
    struct Change {
        /// Nil: the row is gone.
        var rows: [(identifier: Int, row: SimulatedRow?)]
        var sequence: UInt64
        var chain: UInt64
        /// The version of a catalog that took over.
        var catalog: Int?
    }

    let history: ID16
    private(set) var chains: [UInt64]
    /// When each sequence was committed.
    private(set) var committedAt: [UInt64] = [0]
    private(set) var changes: [Change] = []
    private(set) var wishes: [Wish?]
    private(set) var catalogVersion = 0
    /// For each identifier what was granted from a sequence on, and until when (all ones: still).
    private var granted: [[(from: UInt64, mask: UInt64)]]

    init(identifiers: Int, history: ID16, chain: UInt64) {
        self.history = history
        chains = [chain]
        wishes = Array(repeating: nil, count: identifiers)
        granted = Array(repeating: [(0, Purposes.granted(0))], count: identifiers)
    }

    /// The past of another one up to a sequence.
    init(_ other: Timeline, upTo sequence: UInt64) {
        history = other.history
        chains = [other.chains[0]]
        wishes = Array(repeating: nil, count: other.wishes.count)
        granted = Array(repeating: [(0, Purposes.granted(0))], count: other.wishes.count)
        for change in other.changes where change.sequence <= sequence {
            append(change, wishes: [], at: other.committedAt[Int(change.sequence)])
        }
        // What people want is not needed to judge, only to make more of it.
        wishes = other.wishes.enumerated().map { identifier, _ in wish(of: identifier) }
    }

    var head: UInt64 { UInt64(chains.count - 1) }

    func contains(sequence: UInt64, chain: UInt64) -> Bool { sequence <= head && chains[Int(sequence)] == chain }

    /// The last sequence that was committed at a moment.
    func sequence(at moment: UInt64) -> UInt64 {
        var sequence = committedAt.count - 1
        while sequence > 0, committedAt[sequence] > moment { sequence -= 1 }
        return UInt64(sequence)
    }

    /// What was granted to an identifier at any sequence from this one on.
    func grantedSince(_ sequence: UInt64, _ identifier: Int) -> UInt64 {
        var mask: UInt64 = 0
        for (from, granted) in granted[identifier].reversed() {
            mask |= granted
            if from <= sequence { break }
        }
        return mask
    }

    /// What a row is at the end.
    func row(_ identifier: Int) -> SimulatedRow? {
        for change in changes.reversed() {
            for entry in change.rows where entry.identifier == identifier { return entry.row }
        }
        return nil
    }

    private func wish(of identifier: Int) -> Wish? {
        row(identifier).map { Wish(yes: $0.permitted, no: $0.denied) }
    }

    /// The next change of some people, as the ledger would hold it.
    func next(_ changed: [(identifier: Int, wish: Wish?)], chain: UInt64) -> Change {
        let sequence = head + 1
        return Change(
            rows: changed.map { ($0.identifier, $0.wish?.row(catalogVersion, sequence: sequence)) }, sequence: sequence,
            chain: chain, catalog: nil)
    }

    /// Another catalog takes over: every row is decided anew, and has a new sequence if it says something else.
    func nextCatalog(chain: UInt64) -> Change {
        let (sequence, version) = (head + 1, catalogVersion + 1)
        let rows: [(Int, SimulatedRow?)] = wishes.indices.compactMap { identifier in
            guard let wish = wishes[identifier], let old = row(identifier) else { return nil }
            let new = wish.row(version, sequence: sequence)
            return new.permitted == old.permitted && new.denied == old.denied ? nil : (identifier, new)
        }
        return Change(rows: rows, sequence: sequence, chain: chain, catalog: version)
    }

    func append(_ change: Change, wishes changed: [(identifier: Int, wish: Wish?)], at moment: UInt64) {
        changes.append(change)
        chains.append(change.chain)
        committedAt.append(moment)
        for (identifier, wish) in changed { wishes[identifier] = wish }
        if let version = change.catalog { catalogVersion = version }
        let identifiers = change.catalog == nil ? change.rows.map(\.identifier) : Array(granted.indices)
        for identifier in identifiers {
            let row = row(identifier)
            let mask =
                ((row?.permitted ?? 0) | Purposes.granted(catalogVersion))
                & ~((row?.denied ?? 0) | Purposes.denied(catalogVersion))
            granted[identifier].append((change.sequence, mask))
        }
    }
}
