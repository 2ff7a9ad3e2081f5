import ConsentModel
import ConsentWire

/// What a node says of itself.
public struct ServerStatus: Hashable, Sendable {
    /// Whether it may answer checks.
    public let isReady: Bool
    /// Otherwise it has the ledger.
    public let isEdge: Bool
    /// By which checks are answered.
    public let sequence: UInt64
    /// The newest that the node knows of.
    public let head: UInt64
    /// Over the rows: two nodes at one sequence that hold the same have the same.
    public let digest: UInt64
    /// How long ago the rows held all that the authoritative node had; nil: not known.
    public let age: Duration?
    /// 32 hex digits; zeros where the node does not know it yet, as the history.
    public let deployment: String
    public let history: String
    /// Zero before the first catalog.
    public let catalogVersion: Int
    public let serverVersion: String
    /// Whom the node follows.
    public let upstream: String?
    /// Why it is not ready, for people.
    public let notReady: String?
    /// What last went wrong between it and its upstream, for people.
    public let trouble: String?
    public let edges: [Edge]

    /// One that follows the node.
    public struct Edge: Hashable, Sendable {
        /// As it calls itself.
        public let name: String
        /// The sequence by which it last said that it answers.
        public let enforced: UInt64
        /// For how long there has been something that it has not said to answer by; nil: not known.
        public let behind: Duration?
        /// How long ago it was last heard.
        public let heard: Duration?
        public let isConnected: Bool
        public let takesSnapshot: Bool
        /// Why it is gone, for people.
        public let gone: String?
    }

    init(_ status: NodeStatus) {
        isReady = status.isReady
        isEdge = status.isEdge
        sequence = status.sequence
        head = status.head
        digest = status.digest
        age = duration(status.ageMillis)
        deployment = status.deployment.description
        history = status.history.description
        catalogVersion = Int(status.catalogVersion)
        serverVersion = status.serverVersion
        upstream = status.upstream.isEmpty ? nil : status.upstream
        notReady = status.notReady.isEmpty ? nil : status.notReady
        trouble = status.trouble.isEmpty ? nil : status.trouble
        edges = status.edges.map { edge in
            Edge(
                name: edge.name, enforced: edge.enforced, behind: duration(edge.behindMillis),
                heard: duration(edge.heardMillis), isConnected: edge.isConnected, takesSnapshot: edge.takesSnapshot,
                gone: edge.gone.isEmpty ? nil : edge.gone)
        }
    }
}

/// Since when edges answer by a sequence.
public struct Enforcement: Hashable, Sendable {
    public let sequence: UInt64
    /// By which the node that was asked answers itself.
    public let head: UInt64
    /// Those that follow the node, and those that did since it was started.
    public let edges: [Edge]

    public struct Edge: Hashable, Sendable {
        /// As it calls itself.
        public let name: String
        /// The sequence by which it last said that it answers.
        public let enforced: UInt64
        /// By its clock; nil: it does not yet, or it is not known any more since when.
        public let since: Moment?
        public let isConnected: Bool
        /// Whether it answers by the sequence that was asked for.
        public let answersByIt: Bool
        /// Whether it may have done so before ``since``: the node does not remember so far back.
        public let isAtTheLatest: Bool
    }

    init(_ enforced: EnforcedBy) {
        sequence = enforced.sequence
        head = enforced.head
        edges = enforced.edges.map { edge in
            Edge(
                name: edge.name, enforced: edge.enforced,
                since: edge.since.flatMap { Moment(wireMillis: $0.millis) }, isConnected: edge.isConnected,
                answersByIt: edge.answersByIt, isAtTheLatest: edge.isAtTheLatest)
        }
    }
}

private func duration(_ millis: UInt64) -> Duration? {
    millis == NodeStatus.unknownMillis ? nil : .milliseconds(Int64(clamping: millis))
}
