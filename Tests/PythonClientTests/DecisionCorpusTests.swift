import CConsentClients
import ConsentClient
import ConsentEngine
import ConsentIndex
import ConsentKernel
import ConsentLedger
import ConsentModel
import ConsentServer
import ConsentTestSupport
import ConsentWire
import Glibc
import Testing

/// The corpus of decisions as the clients are told them: history → standing → row → session → socket → client. The server's sessions and way of a check are real; only its clock is each case's own.
struct DecisionCorpusTests {
    private struct Question: Encodable {
        var endpoint: String
        var subject: String
        var purpose: String
        var isAsync: Bool
    }

    @Test func everyClientIsToldEveryCaseAsItSays() async throws {
        let server = try CorpusServer()
        let python = try PythonDialogue(["tests/answer_questions.py"])
        let cases = try DecisionCorpus.cases.get()
        #expect(cases.count > 600)
        for (number, example) in cases.enumerated() {
            let subject = "case-\(number)"
            let projection = try server.take(example, customer: subject)
            // Every fifth by the client for asyncio.
            let isAsync = number % 5 == 0
            try python.say(
                Question(
                    endpoint: "unix:\(server.path)", subject: "customer:\(subject)", purpose: example.purpose,
                    isAsync: isAsync))
            try server.serveOneConnection(example)
            // A row keeps the second in which a consent ends, and so ends it up to a second early.
            let isLastSecond =
                projection.endsAt.map { $0.secondsRoundedDown == example.clock.secondsRoundedDown } ?? false
            let decision = isLastSecond ? Decision.unknown : example.decision
            let expected = Array(repeating: decision.name, count: isAsync ? 1 : 3)
            #expect(try python.answer([String].self) == expected, "\(example)")
            let inC = Background { [path = server.path, purpose = example.purpose] in
                try Self.askInC(path, subject, purpose)
            }
            try server.serveOneConnection(example)
            #expect(try inC.value() == Array(repeating: decision.name, count: 4), "\(example)")
            let serving = Background { try server.serveOneConnection(example) }
            let inSwift = try await Self.askInSwift(server.path, subject, example.purpose)
            try serving.value()
            #expect(inSwift == Array(repeating: decision.name, count: 3), "\(example)")
        }
    }

    /// A check waited for, one of a batch, and the two shapes with sets.
    private static func askInC(_ path: String, _ customer: String, _ purpose: String) throws -> [String] {
        var options = consent_client_options()
        var opened: OpaquePointer?
        let error = path.withCString { path in
            options.socket_path = path
            options.timeout_millis = 20_000
            return consent_client_open(&options, &opened)
        }
        let client = try #require(opened, "\(String(cString: consent_client_error_text(error)))")
        defer { consent_client_close(client) }
        var bit: UInt32 = 0
        try #require(consent_client_purpose(client, purpose, &bit) == 0)
        let (type, size) = (UInt8(CONSENT_CUSTOMER), customer.utf8.count)
        var (one, queued, of, among) = (consent_answer(), consent_answer(), consent_answer(), consent_answer())
        let asked: [UInt64] = [1 << UInt64(bit)]
        var (granted, denied): ([UInt64], [UInt64]) = ([0, 0], [0, 0])
        customer.withCString { value in
            consent_client_check(client, type, value, size, bit, &one)
            consent_client_queue(client, type, value, size, bit, &queued)
            consent_client_flush(client)
            consent_client_check_purposes(client, type, value, size, asked, 1, &granted, &denied, &of)
            var identifier = consent_identifier(value: value, size: size, type: type)
            granted.withUnsafeMutableBufferPointer { granted in
                denied.withUnsafeMutableBufferPointer { denied in
                    _ = consent_client_check_subjects(
                        client, type, &identifier, 1, bit, granted.baseAddress! + 1, denied.baseAddress! + 1, &among)
                }
            }
        }
        try #require([one, queued, of, among].allSatisfy { $0.error == 0 && Int32($0.freshness) == CONSENT_LIVE })
        let single = [one, queued].map { ["unknown", "denied", "granted"][Int($0.decision)] }
        return single + zip(granted, denied).map { $0 != 0 ? "granted" : $1 != 0 ? "denied" : "unknown" }
    }

    private static func askInSwift(_ path: String, _ customer: String, _ purpose: String) async throws -> [String] {
        let client = try await ConsentClient.connect(to: try #require(Endpoint("unix:\(path)")))
        let subject = try Subject.customer(customer)
        let answers = [
            try await client.check(subject, purpose: purpose).decision.name,
            try await client.check(subject, purposes: [purpose]).decision(for: purpose).name,
            try await client.check([subject], purpose: purpose).grantedCount == 1 ? "granted" : "",
        ]
        await client.close()
        // Of several people a set says whether they are granted; what else it says, the other two have said.
        return answers.map { $0.isEmpty && answers[0] != "granted" ? answers[0] : $0 }
    }
}

/// Sessions over an index that holds the case in hand.
private final class CorpusServer {
    private let temporary = TemporaryFolder()
    private let node: TestNode
    private let index: IndexWriter
    private let listener: FileDescriptor
    private let hashKey = IdentifierHashKey(k0: 1, k1: 2)

    var path: String { temporary.path + "/socket" }

    init() throws {
        // For what the handshake tells of a catalog; the purposes are the case's own.
        node = try TestNode(SampleCatalog.consents(bits: 0..<1))
        index = try IndexWriter(
            creating: IndexFolder(temporary.path + "/index"), history: [UInt8](repeating: 1, count: 16),
            keyCheck: hashKey.check, identifiers: 2000, purposes: 64)
        listener = try Socket.listen(.unix(path: temporary.path + "/socket"))
    }

    deinit { try? index.close() }

    func take(_ example: DecisionCorpus.Case, customer: String) throws -> Projection {
        let purpose = try #require(example.catalog.purpose(id: example.purpose))
        let retired = example.catalog.purposes.filter { !$0.isActive }.map(\.bit)
        try index.setDefaults(granted: PurposeSet(example.catalog.defaultGrants), denied: PurposeSet(retired))
        var standings = Standings()
        for act in example.history { standings.fold(act, purposeBit: purpose.bit) }
        let projection = project(standings, catalog: example.catalog, at: example.clock)
        if !example.history.isEmpty {
            let hash = hashKey.hash(try Identifier(type: .customer, value: customer))
            try index.put(hash, IndexRow(projection))
        }
        return projection
    }

    /// Accepts a client and answers it until it closes.
    func serveOneConnection(_ example: DecisionCorpus.Case) throws {
        let connection = try accept()
        var session = Session(
            SessionSettings(
                deployment: ID16(bytes: node.engine.identity.deployment),
                history: ID16(bytes: node.engine.identity.history), token: nil, serverVersion: "test"))
        let purposes = example.catalog.purposes
        var checks = CheckPath(
            Service(
                identity: node.engine.identity, hashKey: hashKey, publication: index.publication,
                catalog: AppliedCatalog(version: 1, catalog: example.catalog, text: "", digest: [])))
        var output = OutputBuffer(capacity: 1 << 16)
        var received: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        while let count = wait({ buffer.withUnsafeMutableBytes { Socket.receive(connection.raw, into: $0) } }) {
            received += buffer[..<count]
            var actions: [SessionAction] = []
            checks.beginTurn(nowMillis: example.clock.millis)
            let taken = received.withUnsafeMutableBytes {
                session.receive(
                    $0, checks: &checks, catalog: node.engine.catalog, head: 1, output: &output, actions: &actions)
            }
            checks.flush(into: &output)
            received.removeFirst(taken)
            for action in actions {
                guard case .here(.question(let request, .catalog)) = action else {
                    Issue.record("the client asks for more than the catalog")
                    continue
                }
                CatalogPurposes(
                    catalogVersion: 1, digest: [UInt8](repeating: 0, count: 32),
                    purposes: purposes.map(CatalogPurposes.Entry.init)
                ).encode(request: request, into: &output)
                session.finishAction()
            }
            let answer = Array(output.bytes)
            output.clear()
            _ = answer.withUnsafeBytes { Socket.send(connection.raw, $0) }
        }
    }

    private func accept() throws -> FileDescriptor {
        while true {
            if let connection = try Socket.accept(listener.raw) { return connection }
            pause()
        }
    }

    /// Bytes that came; nil at the end.
    private func wait(_ receive: () -> Transfer) -> Int? {
        while true {
            switch receive() {
            case .bytes(let count): return count
            case .wouldBlock: pause()
            case .closed: return nil
            }
        }
    }

    private func pause() { usleep(50) }
}
