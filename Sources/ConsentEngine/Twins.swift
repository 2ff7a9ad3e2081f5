import ConsentModel

/// What two events that say the same have in common at least.
struct Twin: Hashable {
    var purposeBit: Int
    var state: EventState?
    var capturedAt: Timestamp
}

/// Events of one person by what they say shortly, up to one of them; of each the newest first.
final class Twins {
    private(set) var sequences: [Twin: [UInt64]] = [:]
    /// The last that is in it; zero if none is.
    private(set) var lastEvent: UInt64 = 0
    private(set) var count = 0

    /// Adds what came after all that is in it.
    ///
    /// - Parameter newer: newest first.
    func add(_ newer: [(Twin, UInt64)]) {
        for (twin, sequence) in newer.reversed() { sequences[twin, default: []].insert(sequence, at: 0) }
        lastEvent = newer.first?.1 ?? lastEvent
        count += newer.count
    }
}

/// The twins of people with long histories, from one group to the next: a history is walked from its end, and one of many
/// thousand events should not be walked anew for each event that comes late. Used by who decides only.
final class KnownTwins {
    /// Shorter histories are walked again.
    static let sizeMin = 256
    /// Of all together: some 20 MiB.
    private static let countMax = 1 << 18

    private var people: [Int64: Twins] = [:]
    private var count = 0

    subscript(subject: Int64) -> Twins? { people[subject] }

    /// For a history that came to be another one.
    func forget(_ subject: Int64) { count -= people.removeValue(forKey: subject)?.count ?? 0 }

    /// Adds events that are stored.
    ///
    /// - Parameter newer: see ``Twins/add(_:)``.
    func add(_ newer: [(Twin, UInt64)], of subject: Int64) {
        guard newer.count < Self.countMax else { return }
        if count + newer.count > Self.countMax {
            people = [:]
            count = 0
            // What is added goes on from what was known, which is gone.
            return
        }
        people[subject, default: Twins()].add(newer)
        count += newer.count
    }
}
