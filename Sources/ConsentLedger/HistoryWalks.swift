import Synchronization

/// The sequences of long histories, as they were walked: each event names only the one before it, so that a page from the
/// beginning would walk through all that follows again. Events are only ever added, so a walk stays right.
final class HistoryWalks: Sendable {
    /// Shorter ones are walked again: that costs less than to remember them.
    static let sizeMin = 256
    /// Of all together: 8 MiB.
    private static let sequencesMax = 1 << 20

    /// What a walk went through besides the subject's own events: with another one, another walk is right.
    struct Scope: Equatable {
        /// Subjects that became part of the person.
        var parts: Int
        var erasure: UInt64
    }

    private struct Kept {
        var walks: [Int64: [UInt64]] = [:]
        var scopes: [Int64: Scope] = [:]
        var count = 0
    }

    private let kept = Mutex(Kept())

    /// The sequences of a subject's first events, oldest first; empty if it is not known.
    func walk(of subject: Int64, _ scope: Scope) -> [UInt64] {
        kept.withLock { $0.scopes[subject] == scope ? $0.walks[subject] ?? [] : [] }
    }

    func keep(_ walk: [UInt64], of subject: Int64, _ scope: Scope) {
        guard walk.count >= Self.sizeMin, walk.count <= Self.sequencesMax else { return }
        kept.withLock { kept in
            let known = kept.walks[subject]?.count ?? 0
            // Another reader may have come further.
            guard walk.count > known || kept.scopes[subject] != scope else { return }
            if kept.count - known + walk.count > Self.sequencesMax { kept = Kept() }
            kept.count += walk.count - (kept.walks[subject]?.count ?? 0)
            kept.walks[subject] = walk
            kept.scopes[subject] = scope
        }
    }
}
