import ConsentEdge
import ConsentEngine
import ConsentKernel
import ConsentModel
import ConsentServer
import ConsentSync
import ConsentTestSupport
import ConsentWire
import Testing

/// Every request of the protocol's definition, to an edge: it is answered here, refused with the address of who has the
/// ledger, or handed on; and whatever was asked, the edge goes on.
struct EveryRequestTests {
    /// What an edge answers itself. Whatever is not named here needs the ledger.
    private static let answeredHere: Set<String> = [
        "hello", "ping", "check", "checkPurposes", "checkSubjects", "catalog", "catalogDocument", "statistics",
        "status", "enforcement", "subscribe",
    ]
    /// Of a connection that has subscribed.
    private static let following: Set<String> = ["takeSnapshot", "enforced"]

    private static let token = Array("correct horse battery staple".utf8)
    private static let deployment: [UInt8] = Array(0..<16)

    private let node: TestNode
    private let server: Server

    init() throws {
        node = try TestNode(SampleCatalog.consents(bits: 0..<20), deployment: Self.deployment)
        _ = try node.engine.record([sampleGrant(customer: "1")])
        server = try Server(node.engine, Self.options()) { Issue.record("\($0)") }
    }

    private static func options() -> ServerOptions {
        var options = ServerOptions(addresses: [.tcp(host: "127.0.0.1", port: 0)], version: "test")
        options.token = token
        options.loops = 1
        options.drainMillis = 200
        return options
    }

    /// An edge that is ready, and where it listens.
    private func withEdge(forwards: Bool, _ body: (SocketAddress) throws -> Void) throws {
        let folder = TemporaryFolder()
        var options = FollowerOptions(upstream: server.addresses[0])
        options.token = Self.token
        options.replica.name = "edge"
        let edge = try EdgeNode(EdgeFolder(folder.path), options, forwards: forwards) { Issue.record("\($0)") }
        defer { edge.close() }
        let edgeServer = try Server(edge, Self.options()) { Issue.record("\($0)") }
        defer { edgeServer.drain() }
        let deadline = Clock.monotonicNanos() + 60_000_000_000
        while !edge.status.isReady {
            try #require(Clock.monotonicNanos() < deadline, "\(edge.status.notReady)")
            Wakeup.pause(millis: 5)
        }
        try body(edgeServer.addresses[0])
    }

    /// The first valid frame of each request that the definition has.
    private static func requests() throws -> [(name: String, code: UInt8, bytes: [UInt8])] {
        var frames: [String: [UInt8]] = [:]
        let files = Vector.validFiles + syncFiles
        for vector in try files.flatMap({ try Vector.file($0) }) {
            if frames[try vector.opcode] == nil { frames[try vector.opcode] = vector.bytes }
        }
        return try Json(Project.file("Protocol/protocol.json"))["opcodes"].array
            .filter { try $0["direction"].text == "request" }
            .map { opcode in
                let name = try opcode["name"].text
                return (name, try opcode["code"].number(), try #require(frames[name], "no vector has '\(name)'"))
            }
    }

    private static let syncFiles = ["subscribe", "takeSnapshot", "enforced"].map { "sync/\($0).valid.json" }

    @Test func anEdgeWithoutForwardingAnswersOrSaysWhereToAsk() throws {
        let upstream = server.addresses[0]
        try withEdge(forwards: false) { edge in
            for request in try Self.requests() {
                let answer = try Asked(request.bytes, of: edge, isHello: request.name == "hello")
                if Self.answeredHere.contains(request.name) {
                    #expect(answer.opcode == request.code + 128, "\(request.name): \(answer)")
                } else if Self.following.contains(request.name) {
                    #expect(answer.error?.code == .subscribeExpected, "\(request.name): \(answer)")
                } else {
                    #expect(answer.error?.code == .notHere, "\(request.name): \(answer)")
                    #expect(answer.error?.message.contains("\(upstream)") == true, "\(request.name): \(answer)")
                }
                try expectThatItLives(edge, request.name)
            }
        }
    }

    @Test func anEdgeThatForwardsAnswersAsItsUpstreamDoes() throws {
        try withEdge(forwards: true) { edge in
            for request in try Self.requests() {
                let isHello = request.name == "hello"
                let expected = try Asked(request.bytes, of: server.addresses[0], isHello: isHello)
                let answer = try Asked(request.bytes, of: edge, isHello: isHello)
                #expect(answer.opcode == expected.opcode, "\(request.name): \(answer), not \(expected)")
                #expect(answer.error?.code == expected.error?.code, "\(request.name): \(answer), not \(expected)")
                #expect(answer.error?.code != .opcodeUnknown, "\(request.name)")
                try expectThatItLives(edge, request.name)
            }
        }
    }

    /// Of what should never reach it, the node says the same.
    @Test func whatNeedsTheLedgerIsNotAnsweredByAnEdgeHoweverItComes() throws {
        let folder = TemporaryFolder()
        let edge = try EdgeNode(
            EdgeFolder(folder.path), FollowerOptions(upstream: server.addresses[0]), forwards: false
        ) { Issue.record("\($0)") }
        defer { edge.close() }
        let actions: [NodeAction] = [
            .record(request: 7, events: []),
            .question(request: 7, .countGranted(CountGrantedRequest(purpose: "p0", except: ""))),
        ]
        for action in actions {
            edge.perform(action, feed: nil) { encode in
                var output = OutputBuffer(capacity: 256)
                encode(&output)
                var bytes = Array(output.bytes)
                let code = bytes.withUnsafeMutableBytes { buffer -> ErrorCode? in
                    guard case .frame(let frame) = scanFrame(buffer), frame.request == 7 else { return nil }
                    return (try? ErrorAnswer(frame))?.code
                }
                #expect(code == .notHere)
            }
        }
    }

    private func expectThatItLives(_ edge: SocketAddress, _ after: String) throws {
        var output = OutputBuffer(capacity: 64)
        CheckRequest.encode(
            .check, purposeBit: 0, identifier: try Identifier(type: .customer, value: "1"), request: 9, into: &output)
        let answer = try Asked(Array(output.bytes), of: edge, isHello: false)
        #expect(answer.opcode == Opcode.checked.rawValue, "after \(after): \(answer)")
    }

    /// What is answered to a frame on a connection of its own; what was pushed before it is passed over.
    private struct Asked: CustomStringConvertible {
        let opcode: UInt8
        let error: ErrorAnswer?

        init(_ bytes: [UInt8], of address: SocketAddress, isHello: Bool) throws {
            let socket = try Socket.connect(address)
            var output = OutputBuffer(capacity: 256)
            var received: [UInt8] = []
            if !isHello {
                var hello = Hello()
                hello.deployment = ID16(bytes: EveryRequestTests.deployment)
                hello.token = EveryRequestTests.token
                hello.encode(request: 0, into: &output)
                try Self.send(Array(output.bytes), socket.raw)
                let welcome = try Self.receive(&received, socket.raw)
                try #require(welcome[4] == Opcode.welcome.rawValue)
            }
            try Self.send(bytes, socket.raw)
            var frame = try Self.receive(&received, socket.raw)
            while (224..<255).contains(frame[4]) { frame = try Self.receive(&received, socket.raw) }
            #expect(frame[8..<12] == bytes[8..<12], "the request's number is repeated")
            opcode = frame[4]
            error = frame.withUnsafeMutableBytes { buffer in
                guard case .frame(let frame) = scanFrame(buffer) else { return nil }
                return try? ErrorAnswer(frame)
            }
        }

        var description: String { error.map { "error \($0.codeNumber): \($0.message)" } ?? "opcode \(opcode)" }

        private static func send(_ bytes: [UInt8], _ socket: Int32) throws {
            var rest = bytes[...]
            while !rest.isEmpty {
                switch rest.withUnsafeBytes({ Socket.send(socket, $0) }) {
                case .bytes(let count): rest = rest.dropFirst(count)
                case .wouldBlock: Wakeup.pause(millis: 1)
                case .closed: throw Ended()
                }
            }
        }

        private static func receive(_ received: inout [UInt8], _ socket: Int32) throws -> [UInt8] {
            let deadline = Clock.monotonicNanos() + 60_000_000_000
            while Clock.monotonicNanos() < deadline {
                if received.count >= 4 {
                    let size = received[..<4].reversed().reduce(0) { $0 << 8 | Int($1) } + 4
                    if received.count >= size {
                        defer { received.removeFirst(size) }
                        return Array(received[..<size])
                    }
                }
                var buffer = [UInt8](repeating: 0, count: 1 << 16)
                switch buffer.withUnsafeMutableBytes({ Socket.receive(socket, into: $0) }) {
                case .bytes(let count): received += buffer[..<count]
                case .wouldBlock: Wakeup.pause(millis: 1)
                case .closed: throw Ended()
                }
            }
            throw Ended()
        }

        struct Ended: Error {}
    }
}
