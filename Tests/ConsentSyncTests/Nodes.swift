import ConsentCatalog
import ConsentEngine
import ConsentIndex
import ConsentKernel
import ConsentModel
import ConsentServer
import ConsentSync
import ConsentTLS
import ConsentTestSupport
import ConsentWire
import Testing

struct WaitedTooLong: Error, CustomStringConvertible { var description: String }

/// Waits for what comes sooner or later.
func wait(_ what: String, until isTrue: () throws -> Bool) throws {
    let deadline = Clock.monotonicNanos() + 60_000_000_000
    while try !isTrue() {
        guard Clock.monotonicNanos() < deadline else { throw WaitedTooLong(description: what) }
        Wakeup.pause(millis: 5)
    }
}

/// A real node that serves.
final class Upstream {
    static let token = Array("a token of this test".utf8)
    static let purposes = ["p0", "p1", "p2"]
    static let catalog = SampleCatalog(
        purposes.enumerated().map { .init($1, bit: $0) },
        revisions: [.init("1.0", effectiveAt: SampleCatalog.begin, purposes: purposes)])

    let node: TestNode
    private(set) var server: Server
    private var options: ServerOptions

    init(_ change: (inout FeedHubOptions) -> Void = { _ in }) throws {
        node = try TestNode(Self.catalog)
        options = ServerOptions(
            addresses: [.tcp(host: "127.0.0.1", port: 0), .unix(path: node.folder.socketPath)], version: "test")
        options.token = Self.token
        options.loops = 1
        options.drainMillis = 200
        change(&options.feed)
        server = try Server(node.engine, options) { Issue.record("\($0)") }
    }

    deinit { server.drain() }

    var engine: Engine { node.engine }
    var identity: (history: ID16, deployment: ID16) {
        (ID16(bytes: engine.identity.history), ID16(bytes: engine.identity.deployment))
    }
    var address: SocketAddress { server.addresses[0] }
    /// The system keeps little of what is sent here.
    var narrowAddress: SocketAddress { server.addresses[1] }

    func restart() throws {
        options.addresses = server.addresses
        server.drain()
        server = try Server(engine, options) { Issue.record("\($0)") }
    }

    func edge(in folder: TemporaryFolder = TemporaryFolder(), name: String = "edge") throws -> Edge {
        var options = FollowerOptions(upstream: address)
        options.token = Self.token
        options.replica.name = name
        return try Edge(folder, options)
    }

    func give(_ customers: Range<Int>) throws {
        for start in stride(from: customers.lowerBound, to: customers.upperBound, by: 4000) {
            let some = start..<min(start + 4000, customers.upperBound)
            _ = try engine.record(some.map { sampleGrant(customer: "\($0)") })
        }
    }

    func withdraw(_ customers: Range<Int>) throws {
        _ = try engine.record(customers.map { ConsentEvent([.customer("\($0)")], "p0", .withdrawn) })
    }
}

/// A real edge. Ends when the last reference goes.
final class Edge {
    let folder: TemporaryFolder
    let follower: Follower
    private var isOpen = true

    init(
        _ folder: TemporaryFolder, _ options: FollowerOptions,
        changed: @escaping @Sendable (FollowerState) -> Void = { _ in }
    ) throws {
        self.folder = folder
        follower = try Follower(EdgeFolder(folder.path), options, changed: changed) { Issue.record("\($0)") }
    }

    deinit { close() }

    func close() {
        if isOpen { follower.close() }
        isOpen = false
    }

    var state: FollowerState { follower.state }

    func waitUntilEqual(to upstream: Upstream) throws {
        try wait("the edge is as its upstream: \(state)") {
            let (mine, theirs) = (follower.publication.current, upstream.engine.publication.current)
            return state.connection == .following && state.problem == nil && mine.digest == theirs.digest
                && mine.appliedSequence == theirs.appliedSequence && mine.rows == theirs.rows
                && state.point.sequence == mine.appliedSequence && state.vouchedAt != 0
                && mine.defaults == theirs.defaults
        }
        #expect(follower.publication.current.counted() == follower.publication.current.totals)
    }

    func answer(_ customer: String, purposeBit: Int = 0) -> IndexAnswer {
        var reader = IndexReader(follower.publication)
        let hash = IdentifierHashKey(bytes: state.hashKey).hash(.customer(customer))
        return reader.check(hash, purposeBit: purposeBit, now: 1)
    }
}

/// Shakes hands for a hub, as a server does.
final class Gate {
    let address: SocketAddress
    private let folder = TemporaryFolder()
    private let thread: ConsentKernel.Thread
    private let listener: Int32

    static let deployment = ID16(bytes: Array(1...16))

    /// - Parameter deployment: zero, as of an edge that has followed nobody yet.
    init(to follower: Follower, deployment: ID16 = Gate.deployment) throws {
        address = .unix(path: folder.path("gate"))
        let listener = try Socket.listen(address).release()
        self.listener = listener
        thread = ConsentKernel.Thread(name: "gate") {
            while true {
                if let socket = try? Socket.accept(listener) {
                    return Self.shakeHands(socket.release(), follower, deployment)
                }
                Wakeup.pause(millis: 2)
            }
        }
    }

    deinit {
        thread.join()
        _ = FileDescriptor(owning: listener)
    }

    private static func shakeHands(_ socket: Int32, _ follower: Follower, _ deployment: ID16) {
        let hello = read(socket)
        precondition(!hello.isEmpty)
        var output = OutputBuffer(capacity: 256)
        var welcome = Welcome()
        welcome.deployment = deployment
        welcome.encode(request: 0, into: &output)
        follower.hub.adopt(StreamSocket(FileDescriptor(owning: socket)), received: [], unsent: Array(output.bytes))
    }

    private static func read(_ socket: Int32) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: 4096)
        while true {
            switch bytes.withUnsafeMutableBytes({ Socket.receive(socket, into: $0) }) {
            case .bytes(let count): return Array(bytes[..<count])
            case .wouldBlock: Wakeup.pause(millis: 1)
            case .closed: return []
            }
        }
    }

    /// Subscribes, asks for a snapshot, and reads nothing.
    static func subscribe(to address: SocketAddress, token: [UInt8], name: String) throws -> FileDescriptor {
        let socket = try Socket.connect(address)
        var output = OutputBuffer(capacity: 256)
        var hello = Hello()
        hello.token = token
        hello.encode(request: 0, into: &output)
        var request = SubscribeRequest()
        request.name = name
        request.encode(request: 1, into: &output)
        TakeSnapshotRequest().encode(request: 2, into: &output)
        guard case .bytes(output.count) = Socket.send(socket.raw, output.bytes) else {
            throw WaitedTooLong(description: "the subscription was not taken")
        }
        return socket
    }
}
