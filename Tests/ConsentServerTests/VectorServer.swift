import ConsentCatalog
import ConsentEngine
import ConsentIndex
import ConsentKernel
import ConsentModel
import ConsentServer
import ConsentTestSupport
import ConsentWire
import Dispatch
import Synchronization

/// The server that the vectors assume, without sockets: a real node behind sessions that are handed bytes.
final class VectorServer {
    static let deployment = ID16(bytes: Array(0..<16))
    static let token = Array("correct horse battery staple".utf8)
    static let sampleCatalog = SampleCatalog.consents(bits: 0..<20)

    let node: TestNode
    var settings: SessionSettings

    init() throws {
        node = try TestNode(Self.sampleCatalog, deployment: Self.deployment.bytes)
        settings = SessionSettings(
            deployment: Self.deployment, history: ID16(bytes: node.engine.identity.history), token: Self.token,
            serverVersion: "test")
    }

    func checkPath() -> CheckPath { CheckPath(node.engine.inService.value) }

    /// A connection that has said nothing yet.
    func connect() -> SessionDriver { SessionDriver(self) }

    /// A connection after its handshake.
    func greeted() -> SessionDriver {
        let driver = connect()
        let answers = driver.feed(Bytes.hello())
        precondition(answers.map(\.kind) == [.welcome])
        return driver
    }

    /// Records consents and refusals of customers and waits until they are visible.
    func record(given: [String] = [], withdrawn: [String] = [], purposeBit: Int = 0) throws {
        let events =
            given.map { sampleGrant(customer: $0, purpose: "p\(purposeBit)") }
            + withdrawn.map { value in
                ConsentEvent(
                    identifiers: [try! Identifier(type: .customer, value: value)], purpose: "p\(purposeBit)",
                    state: .withdrawn)
            }
        let result = try node.engine.record(events)
        for outcome in result.outcomes {
            guard case .recorded = outcome else { preconditionFailure("\(outcome)") }
        }
    }
}

/// Feeds one session and keeps what it leaves over, as a listener does.
final class SessionDriver {
    private(set) var session: Session
    private let server: VectorServer
    private var checks: CheckPath
    private var output = OutputBuffer(capacity: 1 << 16)
    private(set) var actions: [SessionAction] = []
    /// Received, and not taken yet.
    private(set) var pending: [UInt8] = []

    init(_ server: VectorServer) {
        self.server = server
        session = Session(server.settings)
        checks = server.checkPath()
    }

    /// The server's answers to these bytes, and to what waited before them.
    func feed(_ bytes: [UInt8]) -> [Answer] {
        Answer.all(in: feedRaw(bytes))
    }

    func feedRaw(_ bytes: [UInt8]) -> [UInt8] {
        turn(bytes)
        return takeOutput()
    }

    /// One turn; the output stays where it is.
    func turn(_ bytes: [UInt8]) {
        pending += bytes
        checks.beginTurn(nowMillis: Clock.realtimeMillis())
        let engine = server.node.engine
        let taken = pending.withUnsafeMutableBytes { buffer in
            session.receive(
                buffer, checks: &checks, catalog: engine.catalog, head: engine.publication.current.appliedSequence,
                output: &output, actions: &actions)
        }
        checks.flush(into: &output)
        pending.removeFirst(taken)
    }

    var outputCount: Int { output.count }

    func takeOutput() -> [UInt8] {
        defer { output.clear() }
        return Array(output.bytes)
    }

    func drain(graceMillis: UInt32) -> [Answer] {
        session.drain(graceMillis: graceMillis, into: &output)
        return Answer.all(in: takeOutput())
    }

    func announceCatalog(version: Int) -> [Answer] {
        session.announceCatalog(version: version, into: &output)
        return Answer.all(in: takeOutput())
    }

    func end(_ code: ErrorCode) -> [Answer] {
        session.end(code, "over", into: &output)
        return Answer.all(in: takeOutput())
    }

    /// Says that an action was answered, without doing it.
    func finishAction() {
        actions.removeFirst()
        session.finishAction()
    }

    /// Has the engine carry out every action, and waits for the answers, which come in the order of the actions.
    func performActions() -> [Answer] {
        var answers: [Answer] = []
        for case .here(let action) in actions {
            let encoded = Encoded()
            server.node.engine.perform(action, feed: nil) { encode in
                var output = OutputBuffer(capacity: 256)
                encode(&output)
                encoded.finish(Array(output.bytes))
            }
            answers += Answer.all(in: encoded.wait())
            session.finishAction()
        }
        actions = []
        return answers
    }

    private final class Encoded: Sendable {
        private let bytes = Mutex<[UInt8]>([])
        private let done = DispatchSemaphore(value: 0)

        func finish(_ encoded: [UInt8]) {
            bytes.withLock { $0 = encoded }
            done.signal()
        }

        func wait() -> [UInt8] {
            done.wait()
            return bytes.withLock { $0 }
        }
    }
}
