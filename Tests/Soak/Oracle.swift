import ConsentKernel
import ConsentModel
import Synchronization

/// What was recorded, and when that was known; tells whether an answer can be right.
///
/// A node may answer as the authoritative node did at any one moment of the time that it is allowed to be behind, or since:
/// by every event that was acknowledged before that time, and by those after it up to some one.
final class Oracle: Sendable {
    struct Event: Sendable {
        var isGrant: Bool
        /// Monotonic nanoseconds.
        var sentAt: Int64
        /// Both nil until it is acknowledged.
        var acknowledgedAt: Int64?
        var sequence: UInt64?
    }

    struct Key: Hashable, Sendable {
        var subject: Int
        var purposeBit: Int
    }

    struct Seen: Sendable {
        var decision: Decision
        var freshness: Freshness
        /// Nil where the way of asking does not say.
        var sequence: UInt64?
        /// Before it was asked for, and after it came.
        var askedAt: Int64
        var answeredAt: Int64
    }

    private let events = Mutex<[Key: [Event]]>([:])
    /// Of each purpose, milliseconds for which an answer may be behind.
    private let behindMillisMax: [Int: Int64]

    init(behindMillisMax: [Int: Int64]) { self.behindMillisMax = behindMillisMax }

    func send(_ key: Key, isGrant: Bool) {
        events.withLock { $0[key, default: []].append(Event(isGrant: isGrant, sentAt: Clock.monotonicNanos())) }
    }

    func acknowledge(_ key: Key, sequence: UInt64) {
        events.withLock { events in
            let last = events[key]!.count - 1
            events[key]![last].acknowledgedAt = Clock.monotonicNanos()
            events[key]![last].sequence = sequence
        }
    }

    var eventCount: Int { events.withLock { $0.values.reduce(0) { $0 + $1.count } } }

    /// - Returns: why the answer is wrong; nil if it can be right.
    func judge(_ key: Key, _ seen: Seen) -> String? {
        if seen.freshness == .unavailable {
            return seen.decision == .unknown ? nil : "an unavailable answer says \(seen.decision)"
        }
        let history = events.withLock { $0[key] ?? [] }
        let limit = seen.askedAt - behindMillisMax[key.purposeBit]! * 1_000_000
        var first = history.lastIndex { $0.acknowledgedAt.map { $0 < limit } ?? false } ?? -1
        if let sequence = seen.sequence {
            if first >= 0, let required = history[first].sequence, sequence < required {
                return "it is \(seen.freshness) at sequence \(sequence), and event \(required) was acknowledged "
                    + "\((seen.askedAt - history[first].acknowledgedAt!) / 1_000_000) ms before it was asked for"
            }
            // What the sequence vouches for is in the answer.
            let vouched = history.lastIndex { $0.sequence.map { $0 <= sequence } ?? false } ?? -1
            first = max(first, vouched)
        }
        var allowed: [Decision] = [first < 0 ? .unknown : history[first].isGrant ? .granted : .denied]
        for event in history[(first + 1)...] where event.sentAt <= seen.answeredAt {
            allowed.append(event.isGrant ? .granted : .denied)
        }
        if allowed.contains(seen.decision) { return nil }
        return
            "it says \(seen.decision) (\(seen.freshness), sequence \(seen.sequence.map { "\($0)" } ?? "not told")), and "
            + "only \(allowed.map { "\($0)" }.joined(separator: " or ")) can be right"
    }
}
