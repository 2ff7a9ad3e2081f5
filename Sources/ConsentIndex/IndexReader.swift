package import ConsentModel

/// What the index knows of one subject and one purpose. Its reason stands for a class of states, as the row holds three.
package struct IndexAnswer: Equatable, Sendable {
    package var decision: Decision
    package var reason: ConsentState

    /// Zero bits: never asked, or must be asked again.
    static let unknown = IndexAnswer(decision: .unknown, reason: .unknown)
    static let expired = IndexAnswer(decision: .unknown, reason: .expired)
    static let given = IndexAnswer(decision: .granted, reason: .given)
    static let basisHolds = IndexAnswer(decision: .granted, reason: .basisHolds)
    static let withdrawn = IndexAnswer(decision: .denied, reason: .withdrawn)
    static let objected = IndexAnswer(decision: .denied, reason: .objected)
    static let invalidated = IndexAnswer(decision: .denied, reason: .invalidated)
}

/// One thread's view of the index. Never locks and never writes; it looks again when a newer generation was published.
package struct IndexReader: ~Copyable {
    /// A generation that is superseded again and again, or by none that can be found, answers nothing.
    private static let generationsTriedMax = 64

    private let publication: IndexPublication
    /// Held so that what `view` points to stays mapped.
    private var table: IndexTable
    private var view: IndexView

    package init(_ publication: IndexPublication) {
        self.publication = publication
        table = publication.current
        view = table.view
    }

    /// The sequence up to which the rows hold everything. Read it before the rows that it is to vouch for.
    package var appliedSequence: UInt64 { view.appliedSequence }

    /// Lets go of an outdated generation, so that its memory can be freed though no check comes in.
    package mutating func refresh() {
        guard view.isSuperseded else { return }
        table = publication.current
        view = table.view
    }

    @inline(__always)
    package func prefetch(_ hash: IdentifierHash) { view.prefetch(hash) }

    /// - Parameter now: seconds since 1970.
    package mutating func check(_ hash: IdentifierHash, purposeBit: Int, now: UInt32) -> IndexAnswer {
        for _ in 0..<Self.generationsTriedMax {
            let answer = Self.check(view, hash, purposeBit: purposeBit, now: now)
            // Rows of a superseded generation may have changed since elsewhere.
            if !view.isSuperseded { return answer }
            refresh()
        }
        return .unknown
    }

    @inline(__always)
    private static func check(
        _ table: IndexView, _ hash: IdentifierHash, purposeBit: Int, now: UInt32
    ) -> IndexAnswer {
        let word = purposeBit >> 6
        let mask: UInt64 = 1 << UInt64(purposeBit & 63)
        guard word < table.words else { return .unknown }
        if let slot = unsafe table.find(hash) {
            let endsAt = unsafe table.endsAt(slot)
            let permitted = unsafe table.permitted(slot, word: word)
            let denied = unsafe table.denied(slot, word: word)
            if table.deniedDefaults(word: word) & mask != 0 { return .invalidated }
            if permitted & mask != 0 {
                // Any consent of the row could be the one that has ended.
                return endsAt <= now ? .expired : .given
            }
            if denied & mask != 0 { return table.grantedDefaults(word: word) & mask != 0 ? .objected : .withdrawn }
        }
        if table.deniedDefaults(word: word) & mask != 0 { return .invalidated }
        return table.grantedDefaults(word: word) & mask != 0 ? .basisHolds : .unknown
    }

    /// One word of the two bitsets that answer for many purposes; what is in neither is unknown.
    package mutating func check(
        _ hash: IdentifierHash, purposes mask: UInt64, word: Int, now: UInt32
    ) -> (granted: UInt64, denied: UInt64) {
        for _ in 0..<Self.generationsTriedMax {
            let answer = Self.check(view, hash, purposes: mask, word: word, now: now)
            if !view.isSuperseded { return answer }
            refresh()
        }
        return (0, 0)
    }

    private static func check(
        _ table: IndexView, _ hash: IdentifierHash, purposes mask: UInt64, word: Int, now: UInt32
    ) -> (granted: UInt64, denied: UInt64) {
        guard word < table.words else { return (0, 0) }
        var (permitted, refused, ended): (UInt64, UInt64, UInt64) = (0, 0, 0)
        if let slot = unsafe table.find(hash) {
            let endsAt = unsafe table.endsAt(slot)
            permitted = unsafe table.permitted(slot, word: word)
            refused = unsafe table.denied(slot, word: word) & ~permitted
            if endsAt <= now { (permitted, ended) = (0, permitted) }
        }
        refused |= table.deniedDefaults(word: word)
        let granted = (permitted | table.grantedDefaults(word: word)) & ~(refused | ended)
        return (granted & mask, refused & mask)
    }
}
