import ConsentEdge
import ConsentEngine
import ConsentIndex
import ConsentKernel
import ConsentModel
import ConsentServer
import ConsentSync
import ConsentTestSupport
import ConsentWire
import Testing

/// A ledger that was put back to an older state keeps its history, and may give a bit to another purpose than the one that
/// an edge and its clients know it for.
struct OtherBitsTests {
    private static let token = Array("correct horse battery staple".utf8)
    private static let bit = 1

    private static func options(_ address: SocketAddress = .tcp(host: "127.0.0.1", port: 0)) -> ServerOptions {
        var options = ServerOptions(addresses: [address], version: "test")
        options.token = token
        options.loops = 1
        options.drainMillis = 200
        return options
    }

    private static func catalog(_ purpose: String) -> SampleCatalog {
        SampleCatalog([.init("p0", bit: 0), .init(purpose, bit: bit)])
    }

    private func wait(_ what: String, until isTrue: () throws -> Bool) throws {
        let deadline = Clock.monotonicNanos() + 60_000_000_000
        while try !isTrue() {
            try #require(Clock.monotonicNanos() < deadline, "\(what)")
            Wakeup.pause(millis: 5)
        }
    }

    @Test func nothingIsHandedOnByThemAndNobodyIsAnsweredByThem() throws {
        let node = try TestNode()
        try node.close()
        let backup = try File.read(node.folder.ledgerPath)
        try node.open()
        _ = try node.engine.apply(Self.catalog("analysis").document)
        _ = try node.engine.record([.grant([.customer("1")], "analysis")])
        var server = try Server(node.engine, Self.options()) { Issue.record("\($0)") }
        let address = server.addresses[0]
        defer { server.drain() }

        let folder = TemporaryFolder()
        var options = FollowerOptions(upstream: address)
        options.token = Self.token
        options.replica.name = "edge"
        let edge = try EdgeNode(EdgeFolder(folder.path), options, forwards: true) { Issue.record("\($0)") }
        defer { edge.close() }
        let edgeServer = try Server(edge, Self.options()) { Issue.record("\($0)") }
        defer { edgeServer.drain() }
        try wait("the edge is ready") { edge.status.isReady }
        let client = try Client(edgeServer.addresses[0])
        #expect(try client.decision("1") == .granted)
        #expect(try client.record("2", "analysis") == nil)

        server.drain()
        try node.close()
        for name in ["-wal", "-shm"] { try? File.remove(node.folder.ledgerPath + name) }
        try? File.remove(node.folder.path + "/checkpoints")
        try File.replace(node.folder.ledgerPath, with: backup)
        try node.open()
        _ = try node.engine.apply(Self.catalog("profiling").document)
        _ = try node.engine.record([.grant([.customer("7")], "profiling")])
        server = try Server(node.engine, Self.options(address)) { Issue.record("\($0)") }
        let head = node.engine.publication.current.appliedSequence
        #expect(try client.record("3", "analysis") == .upstreamUnreachable)
        #expect(node.engine.publication.current.appliedSequence == head)
        try wait("the edge holds what it has") { edge.follower.state.held != nil }

        // The person in charge says so.
        edge.follower.startOver()
        var seen: Decision?
        try wait("whoever was welcomed before is told to connect again") {
            do {
                seen = try client.decision("7")
                return false
            } catch let end as Client.Ended {
                return end.code == .nodeChanged
            }
        }
        #expect(seen != .granted)
        try wait("whoever connects then is answered by the new bits") {
            try Client(edgeServer.addresses[0]).decision("7") == .granted
        }
        #expect(try Client(edgeServer.addresses[0]).decision("1") == .unknown)
        try wait("and what is recorded is handed on by them") {
            try Client(edgeServer.addresses[0]).record("4", "profiling") == nil
        }
        #expect(node.engine.publication.current.appliedSequence == head + 1)
    }

    /// One connection, which asks by a bit that it was once told.
    private final class Client {
        struct Ended: Error { var code: ErrorCode? }

        private let socket: FileDescriptor

        init(_ address: SocketAddress) throws {
            socket = try Socket.connect(address)
            var hello = Hello()
            hello.token = OtherBitsTests.token
            _ = try ask { hello.encode(request: 1, into: &$0) }
        }

        func decision(_ customer: String) throws -> Decision {
            let identifier = Identifier.customer(customer)
            var answer = try ask {
                CheckRequest.encode(
                    .check, purposeBit: UInt16(bit), identifier: identifier, request: 1, into: &$0)
            }
            return try Self.read(&answer) { try Checked($0).decision }
        }

        /// - Returns: why it was not recorded, if it was not.
        func record(_ customer: String, _ purpose: String) throws -> ErrorCode? {
            let event = EventMessage(.grant([.customer(customer)], purpose), purposeBit: UInt16(bit))
            var answer = try ask { RecordRequest(events: [event]).encode(request: 1, into: &$0) }
            return try Self.read(&answer) { frame in
                if frame.opcode == Opcode.error.rawValue { return try ErrorAnswer(frame).code }
                return try Recorded(frame).outcomes[0].refusal
            }
        }

        private static func read<Value>(_ bytes: inout [UInt8], _ body: (Frame) throws -> Value) throws -> Value {
            try bytes.withUnsafeMutableBytes { buffer in
                guard case .frame(let frame) = scanFrame(buffer) else { throw Ended() }
                return try body(frame)
            }
        }

        /// The next answer; what was pushed before it is passed over.
        private func ask(_ encode: (inout OutputBuffer) -> Void) throws -> [UInt8] {
            var output = OutputBuffer(capacity: 256)
            encode(&output)
            guard case .bytes(let count) = Socket.send(socket.raw, output.bytes), count == output.bytes.count else {
                throw Ended()
            }
            var received: [UInt8] = []
            let deadline = Clock.monotonicNanos() + 60_000_000_000
            while Clock.monotonicNanos() < deadline {
                while received.count >= 4 {
                    let size = received[..<4].reversed().reduce(0) { $0 << 8 | Int($1) } + 4
                    guard received.count >= size else { break }
                    var frame = Array(received[..<size])
                    received.removeFirst(size)
                    if (224..<255).contains(frame[4]) { continue }
                    let isOfConnection = frame[8..<12].allSatisfy { $0 == 0 }
                    guard isOfConnection else { return frame }
                    throw Ended(code: try Self.read(&frame) { try ErrorAnswer($0).code })
                }
                var buffer = [UInt8](repeating: 0, count: 1 << 16)
                switch buffer.withUnsafeMutableBytes({ Socket.receive(socket.raw, into: $0) }) {
                case .bytes(let count): received += buffer[..<count]
                case .wouldBlock: Wakeup.pause(millis: 1)
                case .closed: throw Ended()
                }
            }
            throw Ended()
        }
    }
}
