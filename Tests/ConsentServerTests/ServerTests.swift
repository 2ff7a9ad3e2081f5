import ConsentCatalog
import ConsentEngine
import ConsentKernel
import ConsentModel
import ConsentServer
import ConsentTLS
import ConsentTestSupport
import ConsentWire
import Foundation
import GRDB
import Testing

/// The whole server over real sockets.
struct ServerTests {
    enum Transport: Int, CaseIterable { case tcp, unix, tls }

    /// A running server; drained when the last reference goes.
    private final class Running {
        let node: TestNode
        let server: Server
        private var isRunning = true

        init(catalog: SampleCatalog = VectorServer.sampleCatalog, _ change: (inout ServerOptions) -> Void = { _ in })
            throws
        {
            node = try TestNode(catalog, deployment: VectorServer.deployment.bytes)
            var options = ServerOptions(
                addresses: [
                    .tcp(host: "127.0.0.1", port: 0), .unix(path: node.folder.socketPath),
                    .tls(host: "127.0.0.1", port: 0),
                ], version: "test")
            let (certificates, key) = (node.folder.path + "/certificate.pem", node.folder.path + "/key.pem")
            try File.replace(certificates, with: testCertificate.certificate)
            try File.replace(key, with: testCertificate.key, mode: 0o600)
            options.tls = try TLSIdentity(certificates: certificates, key: key) { Issue.record("\($0)") }
            options.token = VectorServer.token
            options.loops = 2
            options.drainMillis = 1000
            change(&options)
            server = try Server(node.engine, options) { reason in Issue.record("\(reason)") }
        }

        deinit { stop() }

        func stop() {
            if isRunning { server.drain() }
            isRunning = false
        }

        func address(_ transport: Transport) -> SocketAddress { server.addresses[transport.rawValue] }

        var port: UInt16 {
            guard case .tcp(_, let port) = server.addresses[0] else { preconditionFailure() }
            return port
        }
    }

    /// Few threads answer questions: none of them waits for the writer.
    @Test func changesThatWaitForTheWriterHoldUpNoQuestions() throws {
        let running = try Running()
        let engine = running.node.engine
        let client = try SocketClient.greeted(running.address(.unix))
        _ = try client.request(Bytes.record([sampleGrant(customer: "a")], request: 2))
        let (entered, gate) = (DispatchSemaphore(value: 0), DispatchSemaphore(value: 0))
        let subscription = engine.subscribe { group in
            // The catalog and the first consent were acknowledged, and may be told of only now.
            guard group.first > 2 else { return }
            entered.signal()
            gate.wait()
        }
        defer { gate.signal() }
        engine.record([.success(sampleGrant(customer: "who blocks"))]) { _ in }
        entered.wait()
        engine.unsubscribe(subscription)
        // A connection's questions wait for one another, so each has its own.
        let linking = try (0..<8).map { number in
            let linking = try SocketClient.greeted(running.address(.unix))
            try linking.send(
                Bytes.make {
                    LinkIdentifierRequest.encode(
                        type: .cookie, value: "browser-\(number)", personType: .customer, person: "a", actor: "",
                        request: 3, into: &$0)
                })
            return linking
        }
        let answer = try client.request(Bytes.make { BareRequest.encode(.statistics, request: 11, into: &$0) })
        #expect(answer.kind == .statisticValues)
        gate.signal()
        for linking in linking { #expect(try linking.receive()?.kind == .linked) }
    }

    /// It stands there for ever; what nobody has looked at may name anybody.
    @Test(arguments: PeopleSelection.allCases)
    func theAccessLogKeepsOnlyWhatAListWasAskedBy(selection: PeopleSelection) throws {
        let running = try Running()
        let client = try SocketClient.greeted(running.address(.unix))
        let name = "kari.nordmann@example.no"
        var question = PeopleQuestion(selection)
        (question.purpose, question.except, question.recipient) = (name, name, name)
        question.revision = RevisionName(declaration: name, revision: name)
        (question.from, question.until) = (Timestamp(millis: 1), Timestamp(millis: 1 << 42))
        switch selection {
        case .audience: (question.purpose, question.except) = ("p0", "")
        case .active: (question.purpose, question.recipient) = ("p0", "")
        case .outdatedBy: question.revision = RevisionName(declaration: "club", revision: "1.0")
        case .askAgain, .ending: question.purpose = "p0"
        case .comingOfAge: question.purpose = ""
        }
        #expect(try client.request(Bytes.make { question.encode(request: 2, into: &$0) }).kind == .peoplePage)
        let entry = try #require(
            try running.node.engine.accesses(AccessLogQuestion(), countMax: 9).entries.first?.entry)
        let texts = [entry.purpose, entry.except, entry.declaration, entry.revision, entry.recipient]
        #expect(!texts.contains(name) && texts.contains { !$0.isEmpty } == (selection != .comingOfAge), "\(texts)")
    }

    /// Also after a pause in which the loop has gone to sleep.
    @Test(arguments: Transport.allCases)
    func aServerThatSpinsAnswersAlike(transport: Transport) throws {
        let running = try Running { $0.spinMicros = 200 }
        let client = try SocketClient.greeted(running.address(transport))
        let record = try client.request(Bytes.record([sampleGrant(customer: "a")], request: 2))
        #expect(record.kind == .recorded)
        for request in UInt32(3)..<40 {
            #expect(try client.request(Bytes.check("a", request: request)).decision == .granted)
            if request % 10 == 0 { Wakeup.pause(millis: 20) }
        }
    }

    /// The certificate names them all.
    @Test func whoHasAsManyIdentifiersAsAPersonMayHaveIsErased() throws {
        let running = try Running()
        let most = Limit.identifiersPerPersonMax
        let events = stride(from: 1, to: most, by: 15).map { start in
            sampleGrant(customer: "a").with { event in
                event.identifiers += (start..<min(start + 15, most)).map {
                    Identifier(recorded: .cookie, value: "\($0)")
                }
            }
        }
        _ = try running.node.engine.record(events)
        let client = try SocketClient.greeted(running.address(.tcp))
        let erase = Bytes.make {
            EraseRequest.encode(
                type: .customer, value: "a", reason: .objection, actor: "", request: 2, into: &$0)
        }
        let erased = try client.request(erase).read { try Erased($0) }
        #expect(erased.identifiers.count == most && erased.emptiedEvents == UInt32(events.count))
    }

    /// Somebody reads the ledger for long, so that erasures wait for what is left of them in its log.
    @Test func whileErasuresWaitQuestionsAreAnswered() throws {
        let running = try Running()
        let people = (0..<12).map { "c\($0)" }
        _ = try running.node.engine.record(people.map { sampleGrant(customer: $0) })
        var configuration = Configuration()
        configuration.allowsUnsafeTransactions = true
        let reader = try DatabaseQueue(path: running.node.folder.ledgerPath, configuration: configuration)
        try reader.inDatabase { database in
            try database.beginTransaction(.deferred)
            _ = try Int.fetchOne(database, sql: "SELECT count(*) FROM event")
        }
        let clients = try people.map { _ in try SocketClient.greeted(running.address(.tcp)) }
        let other = try SocketClient.greeted(running.address(.tcp))
        for (client, person) in zip(clients, people) {
            try client.send(
                Bytes.make {
                    EraseRequest.encode(
                        type: .customer, value: person, reason: .objection, actor: "", request: 2, into: &$0)
                })
        }
        let begin = ContinuousClock.now
        #expect(try other.request(Bytes.explain("who asks", request: 3)).kind == .explained)
        for client in clients {
            let erased = try #require(try client.receive()).read { try Erased($0) }
            #expect(erased.isPending && erased.emptiedEvents == 1)
        }
        // One after the other they would take more than three seconds each.
        #expect(ContinuousClock.now - begin < .seconds(30))
        try reader.inDatabase { try $0.rollback() }
        try reader.close()
    }

    /// The disk takes nothing more: whoever reads gets an error, and never what nobody could be told of later.
    @Test func whatTheAccessLogCannotHoldIsNotAnswered() throws {
        let running = try Running()
        let client = try SocketClient.greeted(running.address(.tcp))
        #expect(try client.request(Bytes.record([sampleGrant(customer: "a")], request: 2)).kind == .recorded)
        func head() throws -> UInt64? { try running.node.engine.statistics().first { $0.name == "sequence" }?.value }
        let before = try head()
        func change(_ statement: String) throws {
            let database = try DatabaseQueue(path: running.node.folder.ledgerPath)
            try database.write { try $0.execute(sql: statement) }
            try database.close()
        }
        try change(
            "CREATE TRIGGER full BEFORE INSERT ON event WHEN NEW.kind = 4 BEGIN SELECT RAISE(ABORT, 'no room'); END")
        var audience = PeopleQuestion(.audience)
        audience.purpose = running.node.engine.catalog.catalog.purposes[0].id
        let asked = [
            Bytes.explain("a", request: 3), Bytes.history("a", request: 4),
            Bytes.make { audience.encode(request: 5, into: &$0) },
            Bytes.make { ProveRequest(.event, of: 2).encode(request: 6, into: &$0) },
            Bytes.make { AccessLogQuestion().encode(type: nil, value: "", request: 7, into: &$0) },
        ]
        for frame in asked { try client.send(frame) }
        let answers = try client.receive(asked.count)
        #expect(answers.map(\.errorCode) == asked.map { _ in .ledgerUnavailable }, "\(answers)")
        #expect(try client.request(Bytes.check("a", request: 8)).decision == .granted, "checks go on")
        #expect(try head() == before)
        try change("DROP TRIGGER full")
        #expect(try client.request(Bytes.explain("a", request: 9)).kind == .explained)
        #expect(try running.node.engine.accesses(AccessLogQuestion(), countMax: 10).entries.count == 1)
    }

    /// Asking again would not help.
    /// Who asked is told what was found; the node is to end, and stays closed.
    @Test func aDamagedLedgerEndsTheNodeAndSaysWhere() throws {
        let running = try Running()
        let client = try SocketClient(running.address(.tcp))
        _ = try client.request(Bytes.hello())
        _ = try client.request(Bytes.record([sampleGrant(customer: "a")], request: 2))
        try DatabaseQueue(path: running.node.folder.ledgerPath).write { database in
            try database.execute(sql: "DROP TRIGGER event_is_append_only")
            try database.execute(sql: "UPDATE event SET personal = x'00' WHERE sequence = 2")
        }
        let answer = try client.request(Bytes.history("a", request: 3))
        #expect(answer.errorCode == .ledgerDamaged)
        #expect(try answer.read { try ErrorAnswer($0) }.message.contains("event 2"))
        let deadline = ContinuousClock.now + .seconds(60)
        while running.node.fatals.all.isEmpty, ContinuousClock.now < deadline { Wakeup.pause(millis: 5) }
        guard case .ledgerDamaged(let finding) = running.node.fatals.all.first else {
            Issue.record("the node goes on: \(running.node.fatals.all)")
            return
        }
        #expect(finding.contains("event 2"))
        #expect(running.node.fatals.all.count == 1)
    }

    /// The text fits into a frame, the words about all that it replaces do not.
    @Test(arguments: [true, false])
    func aCatalogThatChangesMoreThanAFrameHoldsIsAnswered(isDryRun: Bool) throws {
        let running = try Running()
        let client = try SocketClient.greeted(running.address(.unix))
        func apply(_ letter: String, isDryRun: Bool) throws -> CatalogApplied {
            let categories = (10_000..<25_000).map { "  - {id: \(letter)-\($0)-of-many-categories, name: N}\n" }
            let text = VectorServer.sampleCatalog.text.replacingOccurrences(
                of: "dataCategories:\n", with: "dataCategories:\n" + categories.joined())
            let request = ApplyCatalogRequest(document: text, isDryRun: isDryRun)
            try client.send(Bytes.make { request.encode(request: 2, into: &$0) })
            var answer = try #require(try client.receive())
            while answer.kind == .catalogChanged { answer = try #require(try client.receive()) }
            return try answer.read { try CatalogApplied($0) }
        }
        #expect(try apply("a", isDryRun: false).changes.count == 15_000)
        let second = try apply("b", isDryRun: isDryRun)
        #expect(second.changes.count < 30_000)
        #expect(second.changes.last == "and \(30_001 - second.changes.count) more")
    }

    @Test(arguments: Transport.allCases)
    func everyKindOfRequestIsAnswered(_ transport: Transport) throws {
        let running = try Running()
        let client = try SocketClient(running.address(transport))
        let welcome = try client.request(Bytes.hello()).read { try Welcome($0) }
        #expect(welcome.serverVersion == "test")
        #expect(welcome.deployment == VectorServer.deployment)
        #expect(welcome.history.bytes == running.node.engine.identity.history)
        #expect(try client.request(Bytes.ping(7, request: 2)).read { try Pong($0) }.echo == 7)
        #expect(try client.request(Bytes.check("a", request: 3)).decision == .unknown)
        let recorded = try client.request(Bytes.record([sampleGrant(customer: "a")], request: 4))
        #expect(try recorded.read { try Recorded($0) }.outcomes.map(\.refusal) == [nil])
        #expect(try client.request(Bytes.check("a", request: 5)).decision == .granted)
        let set = try client.request(Bytes.checkPurposes("a", [3], request: 6)).read { try CheckedSet(purposesIn: $0) }
        #expect(set.granted == [1])
        let many = try client.request(Bytes.checkSubjects(["a", "b"], request: 7))
        #expect(try many.read { try CheckedSet(subjectsIn: $0, count: 2) }.granted == [1])
        let explained = try client.request(Bytes.explain("a", request: 8)).read { try Explained($0) }
        #expect(explained.reason == .given)
        let history = try client.request(Bytes.history("a", request: 9)).read { try HistoryPage($0) }
        #expect(history.events.map(\.event.state) == [.given])
        let catalog = try client.request(Bytes.bare(.catalog, request: 10)).read { try CatalogPurposes($0) }
        #expect(catalog.purposes.map(\.bit) == Array(0..<20))
        let text = try client.request(Bytes.bare(.catalogDocument, request: 11)).read { try CatalogText($0) }
        #expect(text.document == VectorServer.sampleCatalog.text)
        let values = try client.request(Bytes.bare(.statistics, request: 12)).read { try StatisticValues($0) }
        // Explaining and reading a history are in the access log.
        #expect(values.values.contains(.init("sequence", 4)))
        let again = try client.request(Bytes.apply(VectorServer.sampleCatalog.text, request: 13))
        #expect(try again.read { try CatalogApplied($0) }.catalogVersion == 1)
    }

    @Test(arguments: Transport.allCases)
    func aFrameInManyPiecesIsAFrame(_ transport: Transport) throws {
        let running = try Running()
        let client = try SocketClient(running.address(transport))
        for byte in Bytes.hello() + Bytes.check("a", request: 2) { try client.send([byte]) }
        #expect(try client.receive(2).map(\.kind) == [.welcome, .checked])
    }

    @Test(arguments: Transport.allCases)
    func theLargestFramesAreAnswered(_ transport: Transport) throws {
        let running = try Running()
        let client = try SocketClient.greeted(running.address(transport))
        for vector in try Vector.file("large.valid.json") {
            guard let opcode = Opcode(rawValue: vector.bytes[4]), opcode.rawValue < 128 else { continue }
            let answer = try client.request(vector.bytes)
            #expect(try answer.request == vector.fields["request"].number())
            #expect([.checkedSubjects, .recorded, .error].contains(answer.kind), "\(vector): \(answer)")
        }
        #expect(try client.request(Bytes.ping(request: 2)).kind == .pong)
    }

    // MARK: Limits of time and number

    @Test func aClientThatDoesNotSayHelloIsToldAndClosed() throws {
        let running = try Running { $0.handshakeSecondsMax = 1 }
        let client = try SocketClient(running.address(.tcp))
        try client.send([1, 2, 3].map { _ in 20 })
        let answers = try client.receiveToTheEnd()
        #expect(answers.map(\.errorCode) == [.helloTooLate])
        #expect(answers.map(\.request) == [0])
    }

    @Test func aClientThatSaysNothingMoreIsToldAndClosed() throws {
        let running = try Running { $0.idleSecondsMax = 3 }
        let client = try SocketClient.greeted(running.address(.unix))
        let busy = try SocketClient.greeted(running.address(.unix))
        let begin = Clock.monotonicNanos()
        while Clock.monotonicNanos() - begin < 6_000_000_000 {
            #expect(try busy.request(Bytes.ping(request: 2)).kind == .pong)
            usleep(100_000)
        }
        let answers = try client.receiveToTheEnd()
        #expect(answers.map(\.errorCode) == [.idleTooLong])
        #expect(answers.map(\.request) == [0])
        #expect(try busy.request(Bytes.ping(request: 3)).kind == .pong)
    }

    @Test func oneConnectionTooManyIsToldAndClosedAndOneLessMakesRoom() throws {
        let running = try Running { $0.connectionsMax = 2 }
        let first = try SocketClient.greeted(running.address(.tcp))
        let second = try SocketClient.greeted(running.address(.unix))
        let third = try SocketClient(running.address(.tcp))
        #expect(try third.receiveToTheEnd().map(\.errorCode) == [.tooManyConnections])
        third.close()
        second.close()
        try eventually {
            let other = try SocketClient(running.address(.tcp))
            try other.send(Bytes.hello())
            return try other.receive()?.kind == .welcome
        }
        #expect(try first.request(Bytes.ping(request: 2)).kind == .pong)
    }

    /// Nobody else waits for it: what it sends is dropped a piece a turn, until the server has waited for long enough.
    @Test func whoNeverStopsSendingAfterTheEndHoldsUpNobody() throws {
        let running = try Running { $0.loops = 1 }
        let other = try SocketClient.greeted(running.address(.unix))
        let (address, begun) = (running.address(.unix), DispatchSemaphore(value: 0))
        let flood = ConsentKernel.Thread(name: "flood") {
            let client = try? SocketClient(address)
            // No hello: the conversation has ended before what follows.
            _ = try? client?.send(Bytes.ping(request: 1))
            let piece = [UInt8](repeating: 7, count: 1 << 20)
            begun.signal()
            while (try? client?.send(piece)) != nil {}
        }
        begun.wait()
        for request in UInt32(2)..<200 {
            #expect(try other.request(Bytes.ping(request: request)).kind == .pong)
        }
        flood.join()
    }

    // MARK: Slow readers

    @Test(arguments: Transport.allCases)
    func whoDoesNotReadIsNotReadFromAndLosesNothing(_ transport: Transport) throws {
        let running = try Running { $0.loops = 1 }
        let slow = try SocketClient.greeted(running.address(transport))
        let other = try SocketClient.greeted(running.address(transport))
        let piece = (0..<1000).flatMap { Bytes.ping(UInt64($0), request: UInt32($0)) }
        var sent = 0
        var refusedSince: Int64?
        // The system's buffers on both sides, and no more than the session's limit between them.
        while sent < 256 << 20 {
            let count = slow.sendWithoutWaiting(piece[(sent % piece.count)...])
            if count > 0 {
                sent += count
                refusedSince = nil
            } else {
                let now = Clock.monotonicNanos()
                if let refusedSince, now - refusedSince > 500_000_000 { break }
                refusedSince = refusedSince ?? now
                usleep(5000)
            }
        }
        #expect(sent < 64 << 20)
        // Others are served meanwhile.
        #expect(try other.request(Bytes.ping(request: 2)).kind == .pong)
        let whole = sent / Bytes.ping(request: 0).count
        for number in 0..<whole {
            let answer = try #require(try slow.receive())
            guard answer.kind == .pong, answer.request == UInt32(number % 1000) else {
                Issue.record("answer \(number): \(answer)")
                return
            }
        }
    }

    @Test(arguments: Transport.allCases)
    func answersThatAreLongerThanTheirRequestsAllCome(_ transport: Transport) throws {
        let running = try Running { $0.loops = 1 }
        let client = try SocketClient.greeted(running.address(transport))
        // Each is answered with several times its size, so that output stops input before all is taken.
        let count = 100_000
        let bytes = (0..<UInt32(count)).flatMap { Bytes.broken(request: $0) }
        let reading = Background { try client.receive(count).map(\.request) }
        try client.send(bytes)
        #expect(try reading.value() == (0..<UInt32(count)).map { $0 })
    }

    @Test(arguments: Transport.allCases)
    func answersThatAreLongerThanTheirRequestsAllComeAfterAHalfClose(_ transport: Transport) throws {
        let running = try Running { $0.loops = 1 }
        let client = try SocketClient.greeted(running.address(transport))
        let count = 60_000
        let bytes = (0..<UInt32(count)).flatMap { Bytes.broken(request: $0) }
        let reading = Background { try client.receiveToTheEnd().map(\.request) }
        try client.send(bytes)
        client.finish()
        #expect(try reading.value() == (0..<UInt32(count)).map { $0 })
    }

    /// The socket takes so many answers and no more; the rest must come when it takes some again.
    @Test(arguments: Transport.allCases)
    func acknowledgementsThatHadToWaitAllCome(_ transport: Transport) throws {
        let running = try Running { $0.loops = 1 }
        let client = try SocketClient.greeted(running.address(transport))
        for round in 0..<4 {
            let requests = (0..<1_000).map { UInt32(round * 1_000 + $0) }
            let records = Background {
                for request in requests {
                    try client.send(Bytes.record([sampleGrant(customer: "c\(request)")], request: request))
                }
            }
            try records.value()
            usleep(300_000)
            #expect(Set(try client.receive(1_000).map(\.request)) == Set(requests))
        }
    }

    /// Whoever asks much and reads late gets all answers, one after another, and keeps nobody waiting.
    @Test func manyQuestionsOfOneClientAreAnsweredInTheirOrder() throws {
        let running = try Running { $0.loops = 1 }
        let node = running.node.engine
        for batch in 0..<10 {
            _ = try node.record(
                (0..<100).map { number in
                    .grant([.customer("long")]).with {
                        $0.evidence = String(repeating: "e", count: 400)
                        $0.key = IdempotencyKey(UInt64(batch * 100 + number))
                    }
                })
        }
        let client = try SocketClient.greeted(running.address(.unix))
        let other = try SocketClient.greeted(running.address(.unix))
        let requests = (0..<200).map { UInt32($0) }
        try client.send(requests.flatMap { Bytes.history("long", request: $0) })
        usleep(500_000)
        #expect(try other.request(Bytes.explain("long", request: 5)).kind == .explained)
        let answers = try client.receive(requests.count)
        #expect(answers.map(\.request) == requests)
        #expect(answers.allSatisfy { $0.kind == .historyPage })
    }

    // MARK: The end

    /// Its input and its end come in one turn, while output for it waits.
    @Test(arguments: Transport.allCases)
    func aClientThatGoesWithAnswersUnreadTakesNobodyAlong(_ transport: Transport) throws {
        let running = try Running { $0.loops = 1 }
        for round in 0..<6 {
            let client = try SocketClient.greeted(running.address(transport))
            let checks = (0..<20_000).flatMap { Bytes.check("c", request: UInt32($0)) }
            var rest = checks[...]
            // Until neither side takes any more, for a while.
            var refusals = 0
            while refusals < 3 {
                let sent = client.sendWithoutWaiting(rest)
                if sent > 0 {
                    rest = rest.count > sent ? rest.dropFirst(sent) : checks[...]
                    refusals = 0
                } else {
                    refusals += 1
                    usleep(30_000)
                }
            }
            if round % 2 == 0 { client.close() } else { client.abort() }
        }
        let client = try SocketClient.greeted(running.address(transport))
        #expect(try client.request(Bytes.ping(7, request: 2)).kind == .pong)
    }

    @Test(arguments: Transport.allCases)
    func afterAHalfCloseAllIsAnsweredBeforeTheClose(_ transport: Transport) throws {
        let running = try Running()
        let client = try SocketClient(running.address(transport))
        var bytes = Bytes.hello()
        for number in 0..<50 {
            bytes += Bytes.record([sampleGrant(customer: "c\(number)")], request: UInt32(100 + number))
            bytes += Bytes.check("x", request: UInt32(200 + number))
        }
        // The beginning of a frame has no effect.
        try client.send(bytes + Bytes.ping(request: 9).prefix(10))
        client.finish()
        let answers = try client.receiveToTheEnd()
        #expect(answers.count == 101)
        #expect(Set(answers.map(\.request)) == Set([1] + (100..<150) + (200..<250)))
        #expect(answers.filter { $0.kind == .recorded }.count == 50)
    }

    /// The end of TLS comes with the last request, and the connection stays open, as asyncio leaves it.
    @Test func anEndThatComesWithTheLastRequestIsAnswered() throws {
        let running = try Running { $0.loops = 1 }
        let client = try SocketClient.greeted(running.address(.tls))
        try client.send(Bytes.ping(7, request: 2), isLast: true)
        let begin = Clock.monotonicNanos()
        #expect(try client.receiveToTheEnd().map(\.kind) == [.pong])
        #expect(Clock.monotonicNanos() - begin < 60_000_000_000)
    }

    @Test func nothingFollowsAnErrorThatCloses() throws {
        let running = try Running { $0.loops = 1 }
        let client = try SocketClient.greeted(running.address(.unix))
        // So many answers that the error has to wait behind them while the record becomes durable.
        let broken = (0..<10_000).flatMap { Bytes.broken(request: UInt32($0)) }
        let record = Bytes.record((0..<500).map { sampleGrant(customer: "c\($0)") }, request: 77_777)
        let sending = Background { try client.send(broken + record + [255, 255, 255, 255]) }
        usleep(700_000)
        let answers = try client.receiveToTheEnd()
        try sending.value()
        #expect(answers.last?.errorCode == .frameTooLarge)
        #expect(answers.filter { $0.errorCode == .frameTooLarge }.count == 1)
    }

    @Test func theServerGoesOnAfterGarbageAndClientsThatVanish() throws {
        let running = try Running()
        var generator = SeededGenerator(salt: 31)
        for round in 0..<150 {
            let client = try SocketClient(running.address(round % 2 == 0 ? .tcp : .unix))
            switch round % 5 {
            case 0:
                try? client.send((0..<generator.below(500)).map { _ in UInt8(truncatingIfNeeded: generator.next()) })
            case 1: try client.send(Array(Bytes.hello().prefix(generator.below(80))))
            case 2:
                try client.send(Bytes.hello() + Bytes.record([sampleGrant(customer: "v\(round)")], request: 2))
            case 3: try client.send(Bytes.hello() + Bytes.bare(.statistics, request: 2) + Bytes.check("a", request: 3))
            default: break
            }
            if generator.oneIn(2) { client.abort() } else { client.close() }
        }
        let client = try SocketClient.greeted(running.address(.tcp))
        #expect(try client.request(Bytes.ping(request: 2)).kind == .pong)
        // Of all these connections only this one is left.
        try eventually {
            let open = try openConnections(port: running.port) + openConnections(path: running.node.folder.socketPath)
            return open == 1
        }
        #expect(try client.request(Bytes.ping(request: 3)).kind == .pong)
    }

    // MARK: Drain

    @Test(arguments: Transport.allCases)
    func aDrainIsAnnouncedAndEndsWhenAllIsSaid(_ transport: Transport) throws {
        let running = try Running { $0.drainMillis = 3000 }
        let client = try SocketClient.greeted(running.address(transport))
        let silent = try SocketClient.greeted(running.address(transport))
        let server = running.server
        let draining = Background { server.drain() }
        let push = try client.receive(1)[0]
        #expect(push.kind == .goingAway)
        #expect(push.word == 3000)
        #expect(try client.request(Bytes.check("a", request: 2)).kind == .checked)
        #expect(try client.request(Bytes.record([sampleGrant(customer: "a")], request: 3)).errorCode == .shuttingDown)
        #expect(try client.receiveToTheEnd().isEmpty)
        #expect(try silent.receiveToTheEnd().map(\.kind) == [.goingAway])
        try draining.value()
        #expect(throws: (any Error).self) { _ = try SocketClient(running.address(transport)) }
        #expect(try running.node.engine.record([sampleGrant(customer: "b")]).head == 2)
    }

    @Test func aDrainWaitsForWhatIsInFlight() throws {
        let running = try Running { $0.drainMillis = 10_000 }
        let client = try SocketClient.greeted(running.address(.unix))
        for number in 0..<20 {
            try client.send(
                Bytes.record((0..<200).map { sampleGrant(customer: "c\(number)-\($0)") }, request: UInt32(number)))
        }
        // The first answer says that the server has begun to read them.
        var answers = try client.receive(1)
        let server = running.server
        let draining = Background { server.drain() }
        answers += try client.receiveToTheEnd()
        try draining.value()
        let recorded = answers.filter { $0.kind == .recorded }.count
        let refused = answers.filter { $0.errorCode == .shuttingDown }.count
        #expect(recorded + refused == 20)
        #expect(answers.filter { $0.kind == .goingAway }.count == 1)
    }

    @Test func aDrainedServerLeavesItsAddressesFree() throws {
        let running = try Running()
        let port = running.port
        running.stop()
        #expect(!FileManager.default.fileExists(atPath: running.node.folder.socketPath))
        var options = ServerOptions(addresses: [.tcp(host: "127.0.0.1", port: port)], version: "again")
        options.token = VectorServer.token
        let again = try Server(running.node.engine, options) { reason in Issue.record("\(reason)") }
        let client = try SocketClient.greeted(again.addresses[0])
        #expect(try client.request(Bytes.ping(request: 2)).kind == .pong)
        again.drain()
    }

    // MARK: Catalog and token

    @Test func everyConnectionIsToldOfANewCatalogAndCanAskForItsPurposes() throws {
        let running = try Running()
        let writer = try SocketClient.greeted(running.address(.unix))
        let reader = try SocketClient.greeted(running.address(.tcp))
        var catalog = VectorServer.sampleCatalog
        catalog.revisions[0].purposes = catalog.purposes.map(\.id)
        for version in 2...UInt32(20) {
            let bit = UInt16(18 + version)
            catalog.purposes.append(.init("p\(bit)", bit: Int(bit), basis: "contract"))
            try writer.send(Bytes.apply(catalog.text, request: version))
            // The answer and the push come in any order, and a check after the answer knows the new purpose.
            var isApplied = false
            while !isApplied {
                let answer = try #require(try writer.receive())
                if answer.kind == .appliedCatalog { isApplied = true } else { #expect(answer.kind == .catalogChanged) }
            }
            try writer.send(Bytes.check("a", purposeBit: bit, request: 1000))
            var checked: Answer?
            while checked == nil {
                let answer = try #require(try writer.receive())
                if answer.kind != .catalogChanged { checked = answer }
            }
            #expect(checked?.decision == .granted, "version \(version): \(checked!)")
            let push = try reader.receive(1)[0]
            #expect(push.kind == .catalogChanged)
            #expect(push.word == version)
            #expect(try reader.request(Bytes.check("a", purposeBit: bit, request: 2)).decision == .granted)
        }
    }

    @Test func withoutATokenOnlyLocalAddressesAreTaken() throws {
        let node = try TestNode()
        for host in ["0.0.0.0", "10.0.0.1", "192.168.1.1"] {
            let options = ServerOptions(addresses: [.tcp(host: host, port: 0)], version: "test")
            #expect(throws: ServerError.self) { try Server(node.engine, options) { _ in } }
        }
        let local = ServerOptions(
            addresses: [.tcp(host: "127.0.0.1", port: 0), .tcp(host: "localhost", port: 0)], version: "test")
        try Server(node.engine, local) { _ in }.drain()
        var guarded = ServerOptions(addresses: [.tcp(host: "0.0.0.0", port: 0)], version: "test")
        guarded.token = [1]
        try Server(node.engine, guarded) { _ in }.drain()
    }

    @Test func anAddressThatIsTakenIsAnErrorAndLeavesNothingListening() throws {
        let running = try Running()
        let node = try TestNode()
        let options = ServerOptions(
            addresses: [.unix(path: node.folder.socketPath), .tcp(host: "203.0.113.7", port: 1)], version: "test")
        var guarded = options
        guarded.token = [1]
        #expect(throws: SystemError.self) { try Server(node.engine, guarded) { _ in } }
        #expect(throws: SystemError.self) { _ = try Socket.connect(.unix(path: node.folder.socketPath)) }
        withExtendedLifetime(running) {}
    }

    // MARK: -

    private func eventually(
        secondsMax: Int = 60, sourceLocation: SourceLocation = #_sourceLocation, _ holds: () throws -> Bool
    ) throws {
        let end = Clock.monotonicNanos() + Int64(secondsMax) * 1_000_000_000
        while Clock.monotonicNanos() < end {
            if (try? holds()) ?? false { return }
            usleep(20_000)
        }
        #expect(try holds(), sourceLocation: sourceLocation)
    }

    /// Sockets of this machine that some process holds at the server's side of a connection.
    private func openConnections(port: UInt16) throws -> Int {
        let lines = try lines(of: "/proc/self/net/tcp").dropFirst()
        let local = ":" + String(repeating: "0", count: 4 - String(port, radix: 16).count) + String(port, radix: 16)
        return lines.filter { line in
            let fields = line.split(separator: " ")
            return fields[1].hasSuffix(local.uppercased()) && fields[3] != "0A" && fields[9] != "0"
        }.count
    }

    private func lines(of path: String) throws -> [Substring] {
        String(decoding: try File.read(path), as: UTF8.self).split(separator: "\n")
    }

    private func openConnections(path: String) throws -> Int {
        // State 03 is connected.
        return try lines(of: "/proc/self/net/unix").filter {
            $0.hasSuffix(" " + path) && $0.split(separator: " ")[5] == "03"
        }.count
    }
}
