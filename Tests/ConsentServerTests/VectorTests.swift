import ConsentEngine
import ConsentModel
import ConsentServer
import ConsentTestSupport
import ConsentWire
import Testing

/// The vectors that a server runs, against sessions of a real node.
struct VectorTests {
    private let server: VectorServer

    init() throws { server = try VectorServer() }

    private func driver(for vector: Vector) -> SessionDriver {
        vector.state == "handshake" ? server.connect() : server.greeted()
    }

    @Test(arguments: Vector.brokenFiles)
    func everyBrokenFrameMeetsItsError(_ file: String) throws {
        for vector in try Vector.file(file) where vector.state != "client" {
            let driver = driver(for: vector)
            let answers = driver.feed(vector.bytes)
            let error = try #require(answers.first, "\(vector)")
            #expect(answers.count == 1, "\(vector)")
            #expect(try error.errorCode.map { "\($0)" } == vector.json["error"].text, "\(vector)")
            #expect(try error.request == vector.json["request"].number(), "\(vector)")
            #expect(try error.word == vector.json["detail"].number(), "\(vector)")
            #expect(driver.actions.isEmpty, "\(vector)")
            #expect(driver.session.inFlight == 0, "\(vector)")
            #expect(throws: Never.self, "\(vector)") { try error.read { try ErrorAnswer($0) } }
            try expectWhatFollows(vector, driver)
        }
    }

    /// The connection is closed, or goes on as if nothing had been.
    private func expectWhatFollows(_ vector: Vector, _ driver: SessionDriver) throws {
        let closes = try vector.json["closes"].bool
        #expect((driver.session.phase == .ended) == closes, "\(vector)")
        if vector.state == "handshake" {
            #expect(driver.feed(Bytes.hello()).map(\.kind) == (closes ? [] : [.welcome]), "\(vector)")
        }
        let after = driver.feed(Bytes.check("nobody", request: 77) + Bytes.ping(9, request: 78))
        #expect(after.map(\.kind) == (closes ? [] : [.checked, .pong]), "\(vector)")
        #expect(after.map(\.request) == (closes ? [] : [77, 78]), "\(vector)")
        #expect(driver.pending.isEmpty, "\(vector)")
    }

    @Test func brokenFramesAmongGoodOnesDisturbNoneOfThem() throws {
        let broken = try Vector.brokenFiles.flatMap { try Vector.file($0) }.filter { vector in
            try vector.state == "open" && !vector.json["closes"].bool && vector.bytes.count < 4096
        }
        #expect(broken.count > 500)
        let driver = server.greeted()
        var bytes: [UInt8] = []
        for vector in broken { bytes += vector.bytes + Bytes.check("nobody", request: 5) }
        let answers = driver.feed(bytes)
        #expect(answers.count == broken.count * 2)
        for (position, vector) in broken.enumerated() {
            #expect(try answers[position * 2].errorCode.map { "\($0)" } == vector.json["error"].text, "\(vector)")
            #expect(answers[position * 2 + 1].decision == .unknown, "\(vector)")
        }
    }

    @Test func incompleteFramesAreAwaited() throws {
        for vector in try Vector.file("incomplete.json") {
            let driver = driver(for: vector)
            #expect(driver.feed(vector.bytes).isEmpty, "\(vector)")
            #expect(driver.pending == vector.bytes, "\(vector)")
            #expect(driver.session.phase != .ended, "\(vector)")
        }
    }

    @Test func everyValidHelloIsWelcomedOrRefusedAsItSays() throws {
        for vector in try Vector.file("hello.valid.json") {
            let driver = server.connect()
            let answer = try #require(driver.feed(vector.bytes).first)
            #expect(try answer.request == vector.fields["request"].number(), "\(vector)")
            if let refusal = vector.json.optional("refusal") {
                #expect(try answer.errorCode.map { "\($0)" } == refusal.text, "\(vector)")
            } else {
                let welcome = try answer.read { try Welcome($0) }
                #expect(welcome.deployment == VectorServer.deployment)
                #expect(welcome.history == server.settings.history)
                #expect(welcome.catalogVersion == 1)
                #expect(welcome.sequence == 1)
                #expect(welcome.version == 1)
            }
        }
    }

    @Test(arguments: Vector.validFiles)
    func everyValidRequestIsAnsweredInKind(_ file: String) throws {
        let answers: [Opcode: Opcode] = [
            .hello: .welcome, .ping: .pong, .check: .checked, .checkPurposes: .checkedPurposes,
            .checkSubjects: .checkedSubjects, .explain: .explained, .record: .recorded,
            .applyCatalog: .appliedCatalog, .history: .historyPage, .catalog: .catalogPurposes,
            .catalogDocument: .catalogText, .statistics: .statisticValues, .countGranted: .grantedCount,
            .people: .peoplePage, .status: .nodeStatus, .enforcement: .enforcedBy, .erase: .erased,
            .link: .linked, .unlink: .unlinked, .issueToken: .tokenIssued, .confirmToken: .tokenConfirmed,
            .checkpoint: .checkpointed, .prove: .proved, .accessLog: .accessPage,
        ]
        for vector in try Vector.file(file) {
            // The outcome of an event depends on what was recorded before it.
            let server = vector.json.optional("outcomes") == nil ? self.server : try VectorServer()
            let driver = server.greeted()
            let opcode = try #require(Opcode.allCases.first { try "\($0)" == vector.opcode })
            guard opcode.rawValue < 128, opcode != .hello else { continue }
            let answer = try #require((driver.feed(vector.bytes) + driver.performActions()).first, "\(vector)")
            #expect(try answer.request == vector.fields["request"].number(), "\(vector)")
            // The documents of the vectors are no catalogs, and some of their names are in none.
            let isRefused =
                answer.errorCode == .catalogRejected && [.applyCatalog, .people].contains(opcode)
                || answer.errorCode == .questionInvalid && [.countGranted, .people].contains(opcode)
                || answer.errorCode == .personUnknown && [.erase, .link, .unlink, .issueToken].contains(opcode)
                || answer.errorCode == .tokenUnknown && opcode == .confirmToken
                || [.eventUnknown, .receiptImpossible].contains(answer.errorCode) && opcode == .prove
            // The purposes of the worked session are asked for beyond the catalog once.
            let isUnknown = answer.errorCode == .purposeUnknown && file == "session.json"
            if opcode == .readAs {
                let code = try UInt8(vector.fields["frame"].text.dropFirst(8).prefix(2), radix: 16)
                let inner = code.flatMap(Opcode.init(rawValue:))
                let isWrongName = answer.errorCode == .readerRefused
                let isNoEvent = answer.errorCode == .eventUnknown
                #expect(
                    answer.kind == inner.flatMap { answers[$0] } || isWrongName || isNoEvent, "\(vector): \(answer)")
                continue
            }
            #expect(answer.kind == answers[opcode] || isRefused || isUnknown, "\(vector): \(answer)")
            if let outcomes = vector.json.optional("outcomes") { try expect(outcomes, answer, vector) }
        }
    }

    private func expect(_ outcomes: Json, _ answer: Answer, _ vector: Vector) throws {
        let recorded = try answer.read { try Recorded($0) }
        #expect(try recorded.outcomes.count == outcomes.array.count, "\(vector)")
        for (found, expected) in zip(recorded.outcomes, try outcomes.array) where expected != .null {
            #expect(try found.refusal.map { "\($0)" } == expected.text, "\(vector)")
            #expect(found.sequence == 0)
            #expect(!found.message.isEmpty)
        }
    }

    @Test(arguments: Vector.validFiles)
    func byteByByteIsAnsweredLikeTheWhole(_ file: String) throws {
        let vectors = try Vector.file(file).filter { vector in
            try Opcode.allCases.first { try "\($0)" == vector.opcode }!.rawValue < 128 && vector.bytes.count < 3000
        }
        guard !vectors.isEmpty else { return }
        let bytes = Bytes.hello() + vectors.flatMap(\.bytes)
        let whole = server.connect()
        let expected = whole.feedRaw(bytes)
        let slow = server.connect()
        var found: [UInt8] = []
        for byte in bytes { found += slow.feedRaw([byte]) }
        #expect(found == expected)
        #expect(slow.actions.count == whole.actions.count)
        #expect(slow.pending.isEmpty)
    }

    @Test func brokenFramesByteByByteMeetTheSameError() throws {
        for file in Vector.brokenFiles {
            for vector in try Vector.file(file) where vector.state != "client" && vector.bytes.count < 300 {
                let whole = driver(for: vector).feedRaw(vector.bytes)
                let slow = driver(for: vector)
                var found: [UInt8] = []
                for byte in vector.bytes { found += slow.feedRaw([byte]) }
                #expect(found == whole, "\(vector)")
            }
        }
    }

    @Test func theWorkedSessionGoesAsTheDocumentSays() throws {
        let driver = server.connect()
        var answers: [Answer] = []
        var expected: [Answer] = []
        for vector in try Vector.file("session.json") {
            if try vector.json["from"].text == "client" {
                answers += driver.feed(vector.bytes) + driver.performActions()
            } else {
                expected += Answer.all(in: vector.bytes)
            }
        }
        // Its declaration has a revision that the vectors' server does not know, so its consent is refused here; and a
        // session alone keeps the order of its requests.
        expected.removeAll { $0.kind == .goingAway }
        #expect(answers.map(\.request).sorted() == expected.map(\.request).sorted())
        #expect(answers.map(\.opcode).sorted() == expected.map(\.opcode).sorted())
        let unknown = try #require(answers.last)
        #expect(unknown.errorCode == .purposeUnknown)
        #expect(unknown.word == 20)
    }
}
