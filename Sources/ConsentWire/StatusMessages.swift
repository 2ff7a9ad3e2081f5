package import ConsentModel

// Who a node is, by which sequence it answers, and who follows it: `status` and `enforcement`, and their answers.

package struct NodeStatus: Equatable, Sendable {
    package var isReady = false
    package var isEdge = false
    package var catalogVersion: UInt32 = 0
    /// By which checks are answered.
    package var sequence: UInt64 = 0
    /// The newest that the node knows of.
    package var head: UInt64 = 0
    /// Over the rows.
    package var digest: UInt64 = 0
    /// How long ago the rows held all that the authoritative node had.
    package var ageMillis: UInt64 = unknownMillis
    package var deployment = ID16.zero
    package var history = ID16.zero
    package var serverVersion = ""
    /// Empty for the node that has the ledger.
    package var upstream = ""
    /// Empty where the node is ready.
    package var notReady = ""
    /// Empty where nothing went wrong.
    package var trouble = ""
    package var edges: [FollowingEdge] = []

    package static let unknownMillis = UInt64.max

    package init() {}

    package init(_ frame: Frame) throws(AnswerError) {
        var reader = unsafe ByteReader(frame.payload)
        isReady = unsafe frame.flags & 1 != 0
        isEdge = unsafe frame.flags & 2 != 0
        catalogVersion = unsafe frame.word
        sequence = unsafe reader.u64()
        head = unsafe reader.u64()
        digest = unsafe reader.u64()
        ageMillis = unsafe reader.u64()
        let (deploymentBytes, historyBytes) = unsafe (reader.array(16), reader.array(16))
        serverVersion = unsafe reader.text8()
        upstream = unsafe reader.text16()
        notReady = unsafe reader.text16()
        trouble = unsafe reader.text16()
        for _ in unsafe 0..<frame.argument where unsafe reader.isIntact {
            guard let edge = unsafe FollowingEdge(&reader) else { throw AnswerError(.nodeStatus) }
            edges.append(edge)
        }
        guard unsafe reader.isComplete, unsafe frame.flags & ~3 == 0 else { throw AnswerError(.nodeStatus) }
        deployment = ID16(bytes: deploymentBytes)
        history = ID16(bytes: historyBytes)
    }

    /// As many edges as fit into a frame.
    package func encode(request: UInt32, into output: inout OutputBuffer) {
        let flags: UInt8 = (isReady ? 1 : 0) | (isEdge ? 2 : 0)
        let edges = fitting(edges) { 28 + $0.name.utf8.count + $0.gone.utf8.count }
        let start = output.beginFrame(
            .nodeStatus, flags: flags, argument: UInt16(edges.count), request: request, word: catalogVersion)
        for number in [sequence, head, digest, ageMillis] { output.u64(number) }
        output.bytes(deployment.bytes)
        output.bytes(history.bytes)
        output.text8(serverVersion)
        for text in [upstream, notReady, trouble] { output.text16(text) }
        for edge in edges { edge.encode(into: &output) }
        output.endFrame(start)
    }
}

/// What is left of a frame beside the longest texts of a status.
private func fitting<Edge>(_ edges: [Edge], _ size: (Edge) -> Int) -> ArraySlice<Edge> {
    var sum = 0
    return edges.prefix(Int(UInt16.max)).prefix { edge in
        sum += size(edge)
        return sum <= WireLimit.frameSizeMax - 200_000
    }
}

/// One that follows a node.
package struct FollowingEdge: Equatable, Sendable {
    /// As it calls itself; at most 255 bytes.
    package var name: String
    /// The sequence by which it last said that it answers.
    package var enforced: UInt64
    /// For how long there has been something that it has not said to answer by.
    package var behindMillis: UInt64
    /// How long ago it was last heard.
    package var heardMillis: UInt64
    package var isConnected: Bool
    package var takesSnapshot: Bool
    /// Why it is gone, for people; empty where it is connected.
    package var gone: String

    package init(
        name: String, enforced: UInt64, behindMillis: UInt64, heardMillis: UInt64, isConnected: Bool,
        takesSnapshot: Bool, gone: String = ""
    ) {
        self.name = name
        self.enforced = enforced
        self.gone = gone
        self.behindMillis = behindMillis
        self.heardMillis = heardMillis
        self.isConnected = isConnected
        self.takesSnapshot = takesSnapshot
    }

    init?(_ reader: inout ByteReader) {
        enforced = unsafe reader.u64()
        behindMillis = unsafe reader.u64()
        heardMillis = unsafe reader.u64()
        let flags = unsafe reader.u8()
        name = unsafe reader.text8()
        gone = unsafe reader.text16()
        guard flags & ~3 == 0 else { return nil }
        isConnected = flags & 1 != 0
        takesSnapshot = flags & 2 != 0
    }

    func encode(into output: inout OutputBuffer) {
        for number in [enforced, behindMillis, heardMillis] { output.u64(number) }
        output.u8((isConnected ? 1 : 0) | (takesSnapshot ? 2 : 0))
        output.text8(name)
        output.text16(gone)
    }
}

/// `enforcement`: since when does each edge answer by a sequence?
package struct EnforcementRequest: Equatable, Sendable {
    package var sequence: UInt64

    package init(sequence: UInt64) { self.sequence = sequence }

    package init(_ frame: Frame) throws(WireError) {
        try unsafe frame.requireZero()
        var reader = unsafe ByteReader(frame.payload)
        sequence = unsafe reader.u64()
        guard unsafe reader.isComplete else { throw malformed("enforcement") }
    }

    package func encode(request: UInt32, into output: inout OutputBuffer) {
        let start = output.beginFrame(.enforcement, request: request)
        output.u64(sequence)
        output.endFrame(start)
    }
}

package struct EnforcedBy: Equatable, Sendable {
    package var sequence: UInt64
    /// By which the node that was asked answers itself.
    package var head: UInt64
    package var edges: [EnforcingEdge]

    package init(sequence: UInt64, head: UInt64, edges: [EnforcingEdge]) {
        self.sequence = sequence
        self.head = head
        self.edges = edges
    }

    package init(_ frame: Frame) throws(AnswerError) {
        var reader = unsafe ByteReader(frame.payload)
        sequence = unsafe reader.u64()
        head = unsafe reader.u64()
        edges = []
        for _ in unsafe 0..<frame.argument where unsafe reader.isIntact {
            guard let edge = unsafe EnforcingEdge(&reader) else { throw AnswerError(.enforcedBy) }
            edges.append(edge)
        }
        guard unsafe reader.isComplete, unsafe frame.flags == 0, unsafe frame.word == 0 else {
            throw AnswerError(.enforcedBy)
        }
    }

    /// As many edges as fit into a frame.
    package func encode(request: UInt32, into output: inout OutputBuffer) {
        let edges = fitting(edges) { 18 + $0.name.utf8.count }
        let start = output.beginFrame(.enforcedBy, argument: UInt16(edges.count), request: request)
        output.u64(sequence)
        output.u64(head)
        for edge in edges { edge.encode(into: &output) }
        output.endFrame(start)
    }
}

package struct EnforcingEdge: Equatable, Sendable {
    /// As it calls itself; at most 255 bytes.
    package var name: String
    /// The sequence by which it last said that it answers.
    package var enforced: UInt64
    /// By its clock; nil: it does not yet, or it is not known any more since when.
    package var since: Timestamp?
    package var isConnected: Bool
    /// Whether it answers by the sequence that was asked for.
    package var answersByIt: Bool
    /// Whether it may have done so before ``since``.
    package var isAtTheLatest: Bool

    package init(
        name: String, enforced: UInt64, since: Timestamp?, isConnected: Bool, answersByIt: Bool,
        isAtTheLatest: Bool = false
    ) {
        self.name = name
        self.enforced = enforced
        self.isAtTheLatest = isAtTheLatest
        self.since = since
        self.isConnected = isConnected
        self.answersByIt = answersByIt
    }

    init?(_ reader: inout ByteReader) {
        enforced = unsafe reader.u64()
        let millis = unsafe reader.time()
        since = millis == 0 ? nil : Timestamp(millis: millis)
        let flags = unsafe reader.u8()
        name = unsafe reader.text8()
        guard flags & ~7 == 0 else { return nil }
        isConnected = flags & 1 != 0
        answersByIt = flags & 2 != 0
        isAtTheLatest = flags & 4 != 0
    }

    func encode(into output: inout OutputBuffer) {
        output.u64(enforced)
        output.time(since?.millis)
        output.u8((isConnected ? 1 : 0) | (answersByIt ? 2 : 0) | (isAtTheLatest ? 4 : 0))
        output.text8(name)
    }
}
