import ConsentCatalog
import ConsentEngine
import ConsentIndex
import ConsentModel
import ConsentServer
import ConsentTestSupport
import ConsentWire
import Testing

struct SessionTests {
    private let server: VectorServer

    init() throws { server = try VectorServer() }

    // MARK: Handshake

    @Test func theVersionIsJudgedBeforeTheDeploymentAndTheDeploymentBeforeTheCredentials() {
        let wrongVersion = { (hello: inout Hello) in (hello.versionMin, hello.versionMax) = (2, 9) }
        let wrongDeployment = { (hello: inout Hello) in hello.deployment = ID16(bytes: [UInt8](repeating: 9, count: 16))
        }
        let wrongToken = { (hello: inout Hello) in hello.token = Array("guess".utf8) }
        func refusal(_ changes: [(inout Hello) -> Void]) -> ErrorCode? {
            let driver = server.connect()
            let answers = driver.feed(Bytes.hello { hello in for change in changes { change(&hello) } })
            #expect(answers.count == 1)
            #expect(driver.session.phase == .ended)
            return answers.first?.errorCode
        }
        #expect(refusal([wrongVersion, wrongDeployment, wrongToken]) == .versionUnsupported)
        #expect(refusal([wrongVersion, wrongToken]) == .versionUnsupported)
        #expect(refusal([wrongDeployment, wrongToken]) == .deploymentMismatch)
        #expect(refusal([wrongToken]) == .credentialsRefused)
        #expect(refusal([{ $0.token = [] }]) == .credentialsRefused)
        #expect(refusal([{ $0.token.removeLast() }]) == .credentialsRefused)
        #expect(refusal([{ $0.token.append(0) }]) == .credentialsRefused)
        #expect(refusal([{ ($0.versionMin, $0.versionMax) = (1, 0) }]) == .versionUnsupported)
    }

    @Test func aServerThatWantsNoTokenTakesAny() {
        server.settings.token = nil
        for token in [[], VectorServer.token, [0, 1]] {
            #expect(server.connect().feed(Bytes.hello { $0.token = token }).map(\.kind) == [.welcome])
        }
    }

    @Test func anEmptyTokenIsNotNoToken() {
        server.settings.token = []
        #expect(server.connect().feed(Bytes.hello { $0.token = [] }).map(\.kind) == [.welcome])
        #expect(server.connect().feed(Bytes.hello { $0.token = [1] }).first?.errorCode == .credentialsRefused)
    }

    @Test func theNewestVersionOfBothWindowsIsSpoken() throws {
        let answers = server.connect().feed(Bytes.hello { ($0.versionMin, $0.versionMax) = (0, 700) })
        #expect(try #require(answers.first).read { try Welcome($0) }.version == 1)
    }

    @Test func requestsBehindTheHelloAreAnsweredAfterTheWelcome() {
        let answers = server.connect().feed(Bytes.hello() + Bytes.check("a", request: 2) + Bytes.ping(request: 3))
        #expect(answers.map(\.kind) == [.welcome, .checked, .pong])
    }

    @Test func nothingIsReadBehindAnErrorThatCloses() {
        let driver = server.connect()
        let answers = driver.feed(Bytes.hello { $0.token = [] } + Bytes.hello() + Bytes.check("a", request: 2))
        #expect(answers.map(\.errorCode) == [.credentialsRefused])
        #expect(driver.feed(Bytes.hello()).isEmpty)
        #expect(driver.pending.isEmpty)
    }

    // MARK: Checks

    @Test func checksTellGrantedFromDeniedFromUnknown() throws {
        try server.record(given: ["yes"], withdrawn: ["no"])
        let driver = server.greeted()
        let answers = driver.feed(
            Bytes.check("yes", request: 2) + Bytes.check("no", request: 3) + Bytes.check("who", request: 4)
                + Bytes.check("yes", purposeBit: 1, request: 5))
        #expect(answers.map(\.decision) == [.granted, .denied, .unknown, .unknown])
        #expect(answers.map(\.reason) == [.given, .withdrawn, .unknown, .unknown])

        let purposes = try #require(driver.feed(Bytes.checkPurposes("yes", [0b111], request: 6)).first)
            .read { try CheckedSet(purposesIn: $0) }
        #expect(purposes.granted == [1])
        #expect(purposes.denied == [0])
        #expect(purposes.sequence == server.node.engine.publication.current.appliedSequence)

        let values = (0..<130).map { ["yes", "no", "who"][$0 % 3] }
        let subjects = try #require(driver.feed(Bytes.checkSubjects(values, request: 7)).first)
            .read { try CheckedSet(subjectsIn: $0, count: 130) }
        #expect((0..<130).map(subjects.decision) == (0..<130).map { [.granted, .denied, .unknown][$0 % 3] })
    }

    @Test func aBitsetThatAsksNothingIsAnsweredWithNothing() throws {
        try server.record(given: ["yes"])
        let set = try #require(server.greeted().feed(Bytes.checkPurposes("yes", [0, 0, 0], request: 1)).first)
            .read { try CheckedSet(purposesIn: $0) }
        #expect(set.granted == [0, 0, 0])
        #expect(set.denied == [0, 0, 0])
    }

    @Test func everyPurposeOfTheCatalogCanBeAskedForAndNoOther() {
        let driver = server.greeted()
        for bit in UInt16(0)..<1100 {
            let answer = driver.feed(Bytes.check("a", purposeBit: bit, request: 1)).first
            if bit < 20 {
                #expect(answer?.decision == .unknown)
            } else {
                #expect(answer?.errorCode == .purposeUnknown)
                #expect(answer?.word == UInt32(bit))
            }
        }
        let answer = driver.feed(Bytes.check("a", purposeBit: .max, request: 1)).first
        #expect(answer?.errorCode == .purposeUnknown)
    }

    @Test func pipelinesAreAnsweredInTheirOrder() throws {
        try server.record(given: (0..<50).map { "yes\($0)" }, withdrawn: (0..<50).map { "no\($0)" })
        var generator = SeededGenerator(salt: 21)
        let driver = server.greeted()
        for _ in 0..<30 {
            var bytes: [UInt8] = []
            var expected: [Opcode] = []
            for request in 0..<UInt32(200) {
                let value = generator.pick(["yes", "no", "who"]) + "\(generator.below(50))"
                switch generator.below(8) {
                case 0:
                    bytes += Bytes.ping(UInt64(request), request: request)
                    expected.append(.pong)
                case 1:
                    bytes += Bytes.checkPurposes(value, [3], request: request)
                    expected.append(.checkedPurposes)
                case 2:
                    bytes += Bytes.checkSubjects([value, value], request: request)
                    expected.append(.checkedSubjects)
                case 3:
                    bytes += Bytes.check(value, purposeBit: 700, request: request)
                    expected.append(.error)
                case 4:
                    bytes += Bytes.broken(request: request)
                    expected.append(.error)
                default:
                    bytes += Bytes.check(value, request: request)
                    expected.append(.checked)
                }
            }
            let answers = driver.feed(bytes)
            #expect(answers.map(\.request) == Array(0..<200))
            #expect(answers.map(\.kind) == expected)
        }
    }

    @Test func aFailedFrameOfManySubjectsAnswersNothingOfThem() {
        let driver = server.greeted()
        var bytes = Bytes.checkSubjects((0..<100).map { "c\($0)" }, request: 4)
        bytes[bytes.count - 1] = 7
        let answers = driver.feed(Bytes.check("a", request: 3) + bytes + Bytes.check("a", request: 5))
        #expect(answers.map(\.kind) == [.checked, .error, .checked])
        #expect(answers[1].errorCode == .identifierInvalid)
        #expect(answers[1].word == 99)
    }

    // MARK: Limits

    @Test func whileOutputWaitsNoMoreInputIsTaken() {
        let driver = server.greeted()
        // Frames whose answers are many times as long.
        let count = 40_000
        var bytes: [UInt8] = []
        for request in 0..<UInt32(count) { bytes += Bytes.broken(request: request) }
        driver.turn(bytes)
        #expect(driver.outputCount >= Session.outputWaitingMax)
        #expect(driver.outputCount < Session.outputWaitingMax + 65_536 + 64)
        let waiting = driver.pending.count
        #expect(waiting > 0)
        driver.turn([])
        #expect(driver.pending.count == waiting)

        var requests = Answer.all(in: driver.takeOutput()).map(\.request)
        while !driver.pending.isEmpty { requests += driver.feed([]).map(\.request) }
        #expect(requests == (0..<UInt32(count)).map { $0 })
    }

    @Test func oneRequestTooManyInFlightIsNotDone() {
        server.settings.requestsInFlightMax = 3
        let driver = server.greeted()
        let four = (1...4).flatMap { Bytes.bare(.statistics, request: UInt32($0)) }
        let answers = driver.feed(four + Bytes.check("a", request: 5) + Bytes.ping(request: 6))
        #expect(answers.map(\.request) == [4, 5, 6])
        #expect(answers.map(\.kind) == [.error, .checked, .pong])
        #expect(answers[0].errorCode == .tooManyInFlight)
        #expect(driver.actions.count == 3)
        driver.finishAction()
        #expect(driver.feed(Bytes.bare(.catalog, request: 7)).isEmpty)
        #expect(
            driver.feed(Bytes.record([sampleGrant(customer: "a")], request: 8)).map(\.errorCode) == [.tooManyInFlight])
        #expect(driver.actions.count == 3)
    }

    // MARK: Drain and pushes

    @Test func aDrainingServerTakesNoChangeAndAnswersTheRest() {
        let driver = server.greeted()
        _ = driver.feed(Bytes.bare(.statistics, request: 2))
        let push = driver.drain(graceMillis: 30_000)
        #expect(push.map(\.kind) == [.goingAway])
        #expect(push.map(\.word) == [30_000])
        #expect(push.map(\.request) == [0])
        let refused = driver.feed(
            Bytes.record([sampleGrant(customer: "a")], request: 3)
                + Bytes.apply(VectorServer.sampleCatalog.text, request: 4))
        #expect(refused.map(\.errorCode) == [.shuttingDown, .shuttingDown])
        let rest = driver.feed(
            Bytes.check("a", request: 5) + Bytes.ping(request: 6) + Bytes.history("a", request: 7)
                + Bytes.apply(VectorServer.sampleCatalog.text, isDryRun: true, request: 8))
        #expect(rest.map(\.kind) == [.checked, .pong])
        #expect(driver.actions.count == 3)
        #expect(driver.performActions().map(\.kind) == [.statisticValues, .historyPage, .appliedCatalog])
        #expect(driver.drain(graceMillis: 1).isEmpty)
    }

    @Test func whoShakesHandsWithADrainingServerIsToldAtOnce() {
        let driver = server.connect()
        #expect(driver.drain(graceMillis: 5000).isEmpty)
        let answers = driver.feed(Bytes.hello() + Bytes.record([sampleGrant(customer: "a")], request: 2))
        #expect(answers.map(\.kind) == [.welcome, .goingAway, .error])
        #expect(answers.dropFirst().first?.word == 5000)
        #expect(answers.last?.errorCode == .shuttingDown)
        #expect(driver.actions.isEmpty)
    }

    @Test func aCatalogIsAnnouncedToOpenConnectionsOnly() {
        let driver = server.connect()
        #expect(driver.announceCatalog(version: 2).isEmpty)
        _ = driver.feed(Bytes.hello())
        let push = driver.announceCatalog(version: 3)
        #expect(push.map(\.kind) == [.catalogChanged])
        #expect(push.map(\.word) == [3])
        _ = driver.end(.idleTooLong)
        #expect(driver.announceCatalog(version: 4).isEmpty)
    }

    @Test func theEndIsSaidOnce() {
        let driver = server.greeted()
        #expect(driver.end(.idleTooLong).map(\.errorCode) == [.idleTooLong])
        #expect(driver.end(.idleTooLong).isEmpty)
        #expect(driver.feed(Bytes.check("a", request: 2)).isEmpty)
    }

    // MARK: Actions

    @Test func aRecordedConsentIsSeenByTheNextCheck() throws {
        let driver = server.greeted()
        #expect(driver.feed(Bytes.record([sampleGrant(customer: "a")], request: 2)).isEmpty)
        let recorded = try #require(driver.performActions().first)
        #expect(recorded.request == 2)
        let outcomes = try recorded.read { try Recorded($0) }
        #expect(outcomes.outcomes == [Outcome(sequence: 2)])
        #expect(outcomes.head == 2)
        let checked = try #require(driver.feed(Bytes.check("a", request: 3)).first)
        #expect(checked.decision == .granted)
        #expect(try checked.read { try Checked($0) }.sequence >= 2)
    }

    @Test func explainNamesTheRevisionAndTheEvent() throws {
        try server.record(given: ["a"])
        let driver = server.greeted()
        _ = driver.feed(Bytes.explain("a", request: 2) + Bytes.explain("nobody", request: 3))
        let answers = driver.performActions()
        let explained = try answers[0].read { try Explained($0) }
        #expect(explained.decision == .granted)
        #expect(explained.reason == .given)
        #expect(explained.declaration == "club")
        #expect(explained.consentedRevision == "1.0")
        #expect(explained.decidingSequence == 2)
        let unknown = try answers[1].read { try Explained($0) }
        #expect(unknown.decision == .unknown)
        #expect(unknown.decidingState == nil)
    }

    @Test func aLongHistoryComesInPagesThatSayWhetherMoreFollow() throws {
        let count = 450
        let events = (0..<count).map { number in
            var event = sampleGrant(customer: "a")
            event.capturedAt = Timestamp(seconds: 1_700_000_000 + Int64(number))
            event.evidence = String(repeating: "e", count: 4000)
            return event
        }
        _ = try server.node.engine.record(events)
        let driver = server.greeted()
        var sequences: [UInt64] = []
        var isMore = true
        while isMore {
            _ = driver.feed(Bytes.history("a", after: sequences.last ?? 0, request: 2))
            let page = try #require(driver.performActions().first).read { try HistoryPage($0) }
            #expect(!page.events.isEmpty && page.events.count <= 200)
            sequences += page.events.map(\.sequence)
            isMore = page.hasMore
        }
        #expect(sequences == (0..<UInt64(count)).map { $0 + 2 })
        _ = driver.feed(Bytes.history("a", after: 449, countMax: 2, request: 3))
        let last = try #require(driver.performActions().first).read { try HistoryPage($0) }
        #expect(last.events.map(\.sequence) == [450, 451])
        #expect(!last.hasMore)
        _ = driver.feed(Bytes.history("a", after: .max, request: 4))
        #expect(try #require(driver.performActions().first).read { try HistoryPage($0) }.events.isEmpty)
    }

    @Test func aRejectedCatalogNamesItsProblemsHoweverStrangeTheyAre() throws {
        let driver = server.greeted()
        let strange = "e" + String(repeating: "\u{301}", count: 200_000)
        let documents = ["", "a: [", "format: 1\ncontrollers:\n  - id: \"\(strange)\"\n", "x: {\n" + strange]
        for document in documents {
            _ = driver.feed(Bytes.apply(document, request: 2))
            let answer = try #require(driver.performActions().first)
            #expect(answer.errorCode == .catalogRejected)
            #expect(try answer.read { try ErrorAnswer($0) }.message.utf8.count > 20)
        }
    }
}
