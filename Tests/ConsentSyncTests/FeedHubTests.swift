import ConsentEngine
import ConsentIndex
import ConsentKernel
import ConsentModel
import ConsentServer
import ConsentSync
import ConsentTLS
import ConsentTestSupport
import ConsentWire
import Glibc
import Synchronization
import Testing

/// What a feed costs, by counting.
struct FeedHubTests {
    @Test func aChangeIsEncodedOnceHoweverManyEdgesFollow() throws {
        let node = try TestNode(Upstream.catalog)
        let hash = node.engine.hashKey.hash(.customer("1"))
        let point = SyncPoint(sequence: 7, chain: 8, digest: 9)
        let identity = FeedIdentity(
            history: ID16(bytes: node.engine.identity.history), hashKey: node.engine.hashKey.bytes)
        let hub = try FeedHub(
            identity, publication: node.engine.publication, point: point,
            catalog: SyncCatalog(node.engine.catalog, sequence: 7)
        ) { Issue.record("\($0)") }
        defer { hub.close() }
        let followers = try (0..<300).map {
            try ListeningFollower(of: hub, identity.history, point, name: "edge \($0)")
        }
        try wait("all follow") { hub.edges.filter { $0.phase == .following }.count == followers.count }

        let encoded = Atomic<Int>(0)
        for sequence in UInt64(8)..<12 {
            hub.tell(
                .made(
                    after: sequence - 1, point: SyncPoint(sequence: sequence), catalog: nil, hasAbsentRows: false,
                    rows: {
                        encoded.add(1, ordering: .relaxed)
                        return [ChangedRow(hash, IndexRow())]
                    }))
        }
        let sent = try followers.map { try $0.deltas(upTo: 11) }
        #expect(encoded.load(ordering: .relaxed) == 4)
        #expect(sent.allSatisfy { $0 == sent[0] } && sent[0].count == 4)
    }
}

/// Subscribes as an edge that has everything, and keeps what it is told of changes.
private final class ListeningFollower {
    private let socket: FileDescriptor
    private var received: [UInt8] = []
    private var payloads: [[UInt8]] = []
    private var newest: UInt64 = 0

    init(of hub: FeedHub, _ history: ID16, _ point: SyncPoint, name: String) throws {
        var pair: [Int32] = [-1, -1]
        guard socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_NONBLOCK.rawValue), 0, &pair) == 0 else {
            throw SystemError("socketpair")
        }
        socket = FileDescriptor(owning: pair[0])
        var request = SubscribeRequest()
        (request.history, request.point, request.name) = (history, point, name)
        var output = OutputBuffer(capacity: 256)
        request.encode(request: 1, into: &output)
        hub.adopt(StreamSocket(FileDescriptor(owning: pair[1])), received: Array(output.bytes), unsent: [])
    }

    /// The payloads of the frames of all changes up to a sequence.
    func deltas(upTo sequence: UInt64) throws -> [[UInt8]] {
        let room = UnsafeMutableRawBufferPointer.allocate(byteCount: 4096, alignment: 8)
        defer { room.deallocate() }
        try wait("the follower is told of sequence \(sequence)") {
            if case .bytes(let count) = Socket.receive(socket.raw, into: room) {
                received.append(contentsOf: room[..<count])
                try takeFrames()
            }
            return newest >= sequence
        }
        return payloads
    }

    private func takeFrames() throws {
        var taken = 0
        try received.withUnsafeMutableBytes { buffer in
            while case .frame(let frame) = scanFrame(UnsafeMutableRawBufferPointer(rebasing: buffer[taken...])) {
                taken += frame.size
                guard frame.opcode == Opcode.delta.rawValue else { continue }
                newest = try Delta(frame).point.sequence
                payloads.append(Array(frame.payload))
            }
        }
        received.removeFirst(taken)
    }
}
