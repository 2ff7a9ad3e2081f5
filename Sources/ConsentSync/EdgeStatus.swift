package import ConsentModel
import ConsentWire

/// What a node knows of one edge that follows it, or has followed it since the node started.
package struct EdgeStatus: Sendable {
    package enum Phase: Sendable, Equatable {
        case subscribing
        /// Chunks sent, of all.
        case snapshot(done: UInt32, of: UInt32)
        case following
        /// Why it is gone, for people.
        case gone(String)
    }

    /// As the edge calls itself.
    package var name: String
    package var phase: Phase
    /// By this node's clock.
    package var since: Timestamp
    /// What it was sent.
    package var sent: UInt64 = 0
    /// What it last said that it answers by; nil: nothing yet.
    package var enforced: UInt64?
    /// When it began to, by its own clock.
    package var enforcedAt: Timestamp?
    /// When it was last heard, by this node's clock.
    package var heardAt: Timestamp
    /// Events that it has not said that it enforces.
    package var lag: UInt64 = 0
    /// For how long it has not enforced everything, as this node knows.
    package var lagMillis: Int64 = 0
    /// Bytes that its connection has not taken.
    package var waitingSize = 0
}

/// When an edge was first heard to answer by a sequence.
package struct Enforcement: Sendable, Equatable {
    package var edge: String
    /// By the edge's clock; nil: it has not yet.
    package var enforcedAt: Timestamp?
    /// By this node's clock.
    package var heardAt: Timestamp?
    /// Whether it may have been earlier: the node does not remember so far back.
    package var isAtTheLatest = false
}

/// What an edge has said that it enforces, newest last; the oldest are forgotten.
struct EnforcedLog {
    private struct Entry {
        var sequence: UInt64
        var enforcedAt: Timestamp
        var heardAt: Timestamp
    }

    private var entries: [Entry] = []
    private static let countMax = 8192

    mutating func add(_ enforced: Enforced, heardAt: Timestamp) {
        if let last = entries.last, last.sequence >= enforced.sequence {
            // It begins anew, from an older copy.
            if last.sequence > enforced.sequence { entries.removeAll() } else { return }
        }
        entries.append(Entry(sequence: enforced.sequence, enforcedAt: enforced.time, heardAt: heardAt))
        if entries.count > Self.countMax { entries.removeFirst(Self.countMax / 2) }
    }

    func enforcement(of sequence: UInt64, by edge: String) -> Enforcement {
        guard let position = entries.firstIndex(where: { $0.sequence >= sequence }) else {
            return Enforcement(edge: edge, enforcedAt: nil, heardAt: nil)
        }
        let entry = entries[position]
        return Enforcement(
            edge: edge, enforcedAt: entry.enforcedAt, heardAt: entry.heardAt, isAtTheLatest: position == 0)
    }
}
