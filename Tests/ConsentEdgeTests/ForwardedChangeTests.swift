import ConsentEdge
import ConsentEngine
import ConsentIndex
import ConsentKernel
import ConsentModel
import ConsentServer
import ConsentSync
import ConsentTestSupport
import ConsentWire
import Synchronization
import Testing

/// Whoever withdraws through an edge may ask that edge next.
struct ForwardedChangeTests {
    private static func options() -> ServerOptions {
        var options = ServerOptions(addresses: [.tcp(host: "127.0.0.1", port: 0)], version: "test")
        options.loops = 1
        options.drainMillis = 200
        return options
    }

    private let node: TestNode
    private let server: Server

    init() throws {
        node = try TestNode(.consents(bits: 0..<1))
        server = try Server(node.engine, Self.options()) { Issue.record("\($0)") }
    }

    private func wait(_ what: String, until isTrue: () -> Bool) throws {
        let deadline = Clock.monotonicNanos() + 60_000_000_000
        while !isTrue() {
            try #require(Clock.monotonicNanos() < deadline, "\(what)")
            Wakeup.pause(millis: 1)
        }
    }

    private func withEdge(_ body: (EdgeNode) throws -> Void) throws {
        let folder = TemporaryFolder()
        let edge = try EdgeNode(
            EdgeFolder(folder.path), FollowerOptions(upstream: server.addresses[0]), forwards: true
        ) { Issue.record("\($0)") }
        defer { edge.close() }
        try wait("the edge is ready") { edge.status.isReady }
        try body(edge)
    }

    /// What an edge says of an event, and what its rows held in that moment.
    private func record(_ event: ConsentEvent, at edge: EdgeNode) throws -> (outcome: Outcome, applied: UInt64) {
        var output = OutputBuffer(capacity: 256)
        RecordRequest(events: [EventMessage(event, purposeBit: 0)]).encode(request: 1, into: &output)
        let told = Mutex<(bytes: [UInt8], applied: UInt64)?>(nil)
        try #require(edge.elsewhere).forward(Array(output.bytes), 1) { encode in
            let applied = edge.follower.publication.current.appliedSequence
            var answer = OutputBuffer(capacity: 256)
            encode(&answer)
            told.withLock { $0 = (Array(answer.bytes), applied) }
        }
        try wait("an answer") { told.withLock { $0 != nil } }
        var (bytes, applied) = try #require(told.withLock { $0 })
        let outcome = try bytes.withUnsafeMutableBytes { buffer -> Outcome in
            guard case .frame(let frame) = scanFrame(buffer) else { throw WireError(.malformed, "no frame") }
            return try Recorded(frame).outcomes[0]
        }
        return (outcome, applied)
    }

    @Test func whatWasHandedOnHoldsHereBeforeItIsAnswered() throws {
        try withEdge { edge in
            for number in 0..<10 {
                let customer = Identifier.customer("\(number)")
                for event in [.grant([customer]), ConsentEvent([customer], "p0", .withdrawn)] {
                    let (outcome, applied) = try record(event, at: edge)
                    #expect(outcome.refusal == nil && applied >= outcome.sequence, "\(number)")
                }
            }
        }
    }

    /// The change is made, whatever becomes of this edge; that it holds here is waited for first.
    @Test func whatDoesNotComeIsAnsweredAllTheSameAfterASecond() throws {
        try withEdge { edge in
            edge.follower.close()
            let begun = Clock.monotonicNanos()
            let (outcome, applied) = try record(.grant([.customer("1")]), at: edge)
            #expect(outcome.refusal == nil && applied < outcome.sequence)
            #expect(Clock.monotonicNanos() - begun >= 1_000_000_000)
        }
    }
}
