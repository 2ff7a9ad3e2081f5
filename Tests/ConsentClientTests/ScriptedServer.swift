import ConsentModel
import ConsentWire
import NIOCore
import NIOPosix
import Synchronization

@testable import ConsentClient

/// A server that does what a test tells it to: on port 0, or on a Unix socket. What the script leaves out it answers like
/// a server with two purposes.
final class ScriptedServer: Sendable {
    /// A frame that a client sent.
    struct Asked: Sendable {
        /// Counts from 1 in the order in which clients came.
        let connection: Int
        let opcode: Opcode
        let request: UInt32
        let argument: UInt16
        let word: UInt32
        let payload: [UInt8]

        /// The keys of a record's events.
        var keys: [[UInt8]] {
            var (keys, position): ([[UInt8]], Int) = ([], 0)
            while position < payload.count {
                keys.append(Array(payload[position + 4..<position + 20]))
                position += 4 + Int(payload.u32(at: position))
            }
            return keys
        }

        /// Capture time and end of a record's first event.
        var times: [Int64] {
            [28, 36].map { start in
                Int64(bitPattern: UInt64(payload.u32(at: start)) | UInt64(payload.u32(at: start + 4)) << 32)
            }
        }
    }

    enum Reply: Sendable {
        case bytes([UInt8])
        case close
        /// What the server above would answer.
        case usual
    }

    typealias Script = @Sendable (Asked) -> [Reply]

    let endpoint: Endpoint
    private let channel: any Channel
    private let shared: Shared

    /// What the test and the event loops share.
    final class Shared: Sendable {
        let script: Script
        let asked = Mutex<[Asked]>([])
        let connections = Mutex<[any Channel]>([])

        init(_ script: @escaping Script) { self.script = script }
    }

    init(path: String? = nil, _ script: @escaping Script = { _ in [.usual] }) async throws {
        let shared = Shared(script)
        let bootstrap = ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    let number = shared.connections.withLock {
                        $0.append(channel)
                        return $0.count
                    }
                    try channel.pipeline.syncOperations.addHandler(ScriptedConnection(shared, number))
                }
            }
        if let path {
            channel = try await bootstrap.bind(unixDomainSocketPath: path).get()
            endpoint = .unix(path: path)
        } else {
            channel = try await bootstrap.bind(host: "127.0.0.1", port: 0).get()
            endpoint = .tcp(host: "127.0.0.1", port: channel.localAddress!.port!)
        }
        self.shared = shared
    }

    /// Everything that was asked, handshakes and catalogs apart.
    var asked: [Asked] {
        shared.asked.withLock { $0.filter { $0.opcode != .hello && $0.opcode != .catalog } }
    }

    var connectionCount: Int { shared.connections.withLock { $0.count } }

    func send(_ bytes: [UInt8], to connection: Int) {
        let channel = shared.connections.withLock { $0[connection - 1] }
        channel.writeAndFlush(ByteBuffer(bytes: bytes), promise: nil)
    }

    func close() async throws {
        try await channel.close()
        for connection in shared.connections.withLock({ $0 }) { try? await connection.close() }
    }

    /// A client of this server that waits for nothing longer than a test should.
    func client(_ change: (inout ClientOptions) -> Void = { _ in }) async throws(ConsentClientError) -> ConsentClient {
        var options = ClientOptions()
        options.requestTimeout = .seconds(180)
        // What a busy machine leaves in silence for long is no reason to ask for more than the test does.
        options.pingInterval = .seconds(600)
        options.backoffMin = .milliseconds(5)
        options.backoffMax = .milliseconds(50)
        change(&options)
        return try await ConsentClient.connect(to: endpoint, options: options)
    }
}

private final class ScriptedConnection: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private let shared: ScriptedServer.Shared
    private let number: Int
    private var received: [UInt8] = []

    init(_ shared: ScriptedServer.Shared, _ number: Int) {
        self.shared = shared
        self.number = number
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        received += Array(buffer: unwrapInboundIn(data))
        while received.count >= 16 {
            let size = Int(received.u32(at: 0)) + 4
            guard received.count >= size else { return }
            let asked = ScriptedServer.Asked(
                connection: number, opcode: Opcode(rawValue: received[4])!, request: received.u32(at: 8),
                argument: received.u16(at: 6), word: received.u32(at: 12), payload: Array(received[16..<size]))
            received.removeFirst(size)
            shared.asked.withLock { $0.append(asked) }
            for reply in shared.script(asked) {
                switch reply {
                case .bytes(let bytes): write(bytes, context)
                case .usual: write(asked.usualAnswer, context)
                case .close: context.close(promise: nil)
                }
            }
        }
    }

    private func write(_ bytes: [UInt8], _ context: ChannelHandlerContext) {
        context.channel.writeAndFlush(ByteBuffer(bytes: bytes), promise: nil)
    }
}

extension ScriptedServer.Asked {
    var usualAnswer: [UInt8] {
        switch opcode {
        case .hello: return welcome { _ in }
        case .catalog: return purposes(version: 7, ["newsletter": 3, "ads": 70])
        case .check: return checked(.granted, .given)
        case .checkPurposes:
            let words = Int(word >> 8)
            return written {
                CheckedSet(
                    freshness: .live, sequence: 1002, granted: words == 1 ? [1 << 3] : [1 << 3, 0],
                    denied: words == 1 ? [0] : [0, 1 << 6]
                ).encodePurposes(request: request, into: &$0)
            }
        case .checkSubjects: return checkedSubjects { $0 % 2 == 0 }
        case .record: return recorded
        case .ping: return written { Pong(echo: echo).encode(request: request, into: &$0) }
        case .statistics:
            return written {
                StatisticValues(values: [.init("checks", 5)]).encode(request: request, into: &$0)
            }
        case .status:
            return written {
                var status = NodeStatus()
                status.isReady = true
                status.sequence = 1002
                status.edges = [
                    FollowingEdge(
                        name: "oslo", enforced: 1001, behindMillis: 5, heardMillis: .max,
                        isConnected: true, takesSnapshot: false)
                ]
                status.encode(request: request, into: &$0)
            }
        case .enforcement:
            return written {
                EnforcedBy(
                    sequence: echo, head: 1002,
                    edges: [
                        EnforcingEdge(
                            name: "oslo", enforced: 1001, since: Timestamp(millis: 1), isConnected: true,
                            answersByIt: true)
                    ]
                ).encode(request: request, into: &$0)
            }
        case .applyCatalog:
            return written {
                CatalogApplied(isDryRun: false, catalogVersion: 8, sequence: 1003, changes: ["one"]).encode(
                    request: request, into: &$0)
            }
        case .catalogDocument:
            return written { CatalogText(catalogVersion: 7, document: "a: b").encode(request: request, into: &$0) }
        case .explain:
            return written {
                Explained(
                    verdict: Verdict(reason: .renewed), basis: .consent, freshness: .live, decidingAct: nil,
                    sequence: 9
                ).encode(request: request, into: &$0)
            }
        default: return error(.opcodeUnknown)
        }
    }

    var echo: UInt64 { UInt64(payload.u32(at: 0)) | UInt64(payload.u32(at: 4)) << 32 }

    func welcome(_ change: (inout Welcome) -> Void) -> [UInt8] {
        var welcome = Welcome()
        welcome.catalogVersion = 7
        welcome.sequence = 1001
        welcome.history = ID16(bytes: Array(repeating: 9, count: 16))
        welcome.serverName = "scripted"
        change(&welcome)
        return written { welcome.encode(request: request, into: &$0) }
    }

    func purposes(version: UInt32, _ bits: [String: UInt16]) -> [UInt8] {
        let entries = bits.map {
            CatalogPurposes.Entry(bit: $0.value, basis: .consent, flags: 1, id: $0.key, controller: "c")
        }
        return written {
            CatalogPurposes(catalogVersion: version, digest: [UInt8](repeating: 0, count: 32), purposes: entries)
                .encode(request: request, into: &$0)
        }
    }

    func checked(_ decision: ConsentModel.Decision, _ reason: ConsentState, sequence: UInt64 = 1002) -> [UInt8] {
        written {
            Checked(decision: decision, reason: reason, freshness: .live, sequence: sequence).encode(
                request: request, into: &$0)
        }
    }

    /// The identifiers of a `checkSubjects`.
    var values: [String] {
        var (values, position): ([String], Int) = ([], 0)
        while position < payload.count {
            let size = Int(payload[position])
            values.append(String(decoding: payload[position + 1..<position + 1 + size], as: UTF8.self))
            position += 1 + size
        }
        return values
    }

    func checkedSubjects(isGranted: (Int) -> Bool) -> [UInt8] {
        let values = values
        var granted = [UInt64](repeating: 0, count: (values.count + 63) / 64)
        for (position, value) in values.enumerated() where isGranted(Int(value)!) {
            granted[position >> 6] |= 1 << UInt64(position & 63)
        }
        let denied = granted.map { _ in UInt64(0) }
        return written {
            CheckedSet(freshness: .live, sequence: 1002, granted: granted, denied: denied)
                .encodeSubjects(count: values.count, request: request, into: &$0)
        }
    }

    var recorded: [UInt8] {
        let outcomes = keys.indices.map { Outcome(sequence: 1002 + UInt64($0)) }
        return written { Recorded(head: 1100, outcomes: outcomes).encode(request: request, into: &$0) }
    }

    func error(_ code: ErrorCode, detail: UInt32 = 0, request: UInt32? = nil) -> [UInt8] {
        written {
            ErrorAnswer(WireError(code, detail: detail, "because")).encode(request: request ?? self.request, into: &$0)
        }
    }
}

/// Waits until something holds, for as long as a test may take.
func eventually(_ holds: () -> Bool) async throws {
    for _ in 0..<6000 where !holds() { try await Task.sleep(for: .milliseconds(10)) }
}
