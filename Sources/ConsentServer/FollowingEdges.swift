import ConsentKernel
import ConsentModel
package import ConsentSync
package import ConsentWire

// What a node tells of those who follow it.

extension FeedHub {
    package var followingEdges: [FollowingEdge] {
        let now = Timestamp(millis: Clock.realtimeMillis())
        return edges.map { edge in
            var gone = ""
            if case .gone(let reason) = edge.phase { gone = reason }
            var takesSnapshot = false
            if case .snapshot = edge.phase { takesSnapshot = true }
            return FollowingEdge(
                name: edge.name, enforced: edge.enforced ?? 0,
                behindMillis: edge.enforced == nil ? NodeStatus.unknownMillis : UInt64(max(0, edge.lagMillis)),
                heardMillis: UInt64(max(0, now.millis - edge.heardAt.millis)), isConnected: edge.isHere,
                takesSnapshot: takesSnapshot, gone: gone)
        }
    }
}

extension EdgeStatus {
    /// Whether it follows now.
    package var isHere: Bool {
        if case .gone = phase { false } else { true }
    }
}

extension EnforcedBy {
    package init(sequence: UInt64, head: UInt64, feed: FeedHub?) {
        let known = Dictionary(feed?.edges.map { ($0.name, $0) } ?? [], uniquingKeysWith: { $1 })
        let edges = (feed?.enforcements(of: sequence) ?? []).map { found in
            let edge = known[found.edge]
            return EnforcingEdge(
                name: found.edge, enforced: edge?.enforced ?? 0, since: found.enforcedAt,
                isConnected: edge?.isHere ?? false, answersByIt: found.enforcedAt != nil,
                isAtTheLatest: found.isAtTheLatest)
        }
        self.init(sequence: sequence, head: head, edges: edges)
    }
}
