import ConsentModel
import ConsentTestSupport
import ConsentWire
import Synchronization
import Testing

@testable import ConsentClient

private let kari = Subject(trustedType: .email, value: "kari@example.no")

/// What an operation throws; nil if nothing.
private func failure<Answer>(of operation: () async throws -> Answer) async -> ConsentClientError? {
    do { _ = try await operation() } catch { return error as? ConsentClientError }
    return nil
}

private final class Counter: Sendable {
    let count = Atomic(0)
}

@Suite(.timeLimit(.minutes(10))) struct ClientTests {
    // MARK: Requests

    @Test func theThreeChecksAreAnswered() async throws {
        let server = try await ScriptedServer()
        let client = try await server.client()
        let check = try await client.check(kari, purpose: "newsletter")
        #expect(check.isGranted && check.reason == .given && check.freshness == .live && check.sequence == 1002)
        let purposes = try await client.check(kari, purposes: ["newsletter", "ads"])
        #expect(purposes.decisions == [.granted, .denied])
        #expect(purposes.decision(for: "ads") == .denied && purposes.decision(for: "never asked for") == .unknown)
        let subjects = try (0..<5).map { try Subject.customer("\($0)") }
        let checks = try await client.check(subjects, purpose: "newsletter")
        #expect(checks.decisions == [.granted, .unknown, .granted, .unknown, .granted] && checks.grantedCount == 3)
        #expect(server.asked.map(\.opcode) == [.check, .checkPurposes, .checkSubjects])
        #expect(server.asked[0].payload == Array("kari@example.no".utf8) && server.asked[0].argument == 3)
    }

    @Test func everyReadIsAnswered() async throws {
        let server = try await ScriptedServer()
        let client = try await server.client()
        #expect(client.server.name == "scripted" && client.server.catalogVersion == 7)
        #expect(try await client.explain(kari, purpose: "ads").reason == .renewed)
        #expect(try await client.purposes().map(\.id).sorted() == ["ads", "newsletter"])
        #expect(try await client.catalogDocument().text == "a: b")
        #expect(try await client.statistics().map(\.value) == [5])
        let status = try await client.status()
        #expect(status.isReady && status.age == nil && status.edges.map(\.behind) == [.milliseconds(5)])
        #expect(try await client.enforcement(of: 17).edges.map(\.answersByIt) == [true])
        #expect(try await client.ping() > .zero)
    }

    @Test func aUnixSocketServesAsWell() async throws {
        let folder = TemporaryFolder()
        let server = try await ScriptedServer(path: folder.path("s"))
        let client = try await server.client()
        #expect(try await client.check(kari, purpose: "newsletter").isGranted)
        try await server.close()
    }

    @Test func manyTasksShareOneConnection() async throws {
        let server = try await ScriptedServer { asked in
            guard asked.opcode == .check else { return [.usual] }
            let number = UInt64(String(decoding: asked.payload, as: UTF8.self))!
            return [.bytes(asked.checked(.denied, .withdrawn, sequence: number))]
        }
        let client = try await server.client()
        try await withThrowingTaskGroup { group in
            for number in 0..<2000 {
                group.addTask {
                    let check = try await client.check(Subject.customer("\(number)"), purpose: "ads")
                    #expect(check.sequence == UInt64(number))
                }
            }
            try await group.waitForAll()
        }
        #expect(server.connectionCount == 1)
    }

    @Test func manySubjectsAreSplitIntoFramesWithinTheLimitsAndStayInOrder() async throws {
        let server = try await ScriptedServer { asked in
            switch asked.opcode {
            case .hello:
                [
                    .bytes(
                        asked.welcome {
                            $0.subjectsPerCheckMax = 100
                            $0.frameSizeMax = 300
                        })
                ]
            case .checkSubjects: [.bytes(asked.checkedSubjects { $0 % 3 == 0 })]
            default: [.usual]
            }
        }
        let client = try await server.client()
        let subjects = try (0..<1000).map { try Subject.customer("\($0)") }
        let checks = try await client.check(subjects, purpose: "newsletter")
        #expect(checks.decisions == (0..<1000).map { $0 % 3 == 0 ? .granted : .unknown })
        #expect(server.asked.flatMap(\.values) == (0..<1000).map { "\($0)" })
        #expect(server.asked.allSatisfy { $0.values.count <= 100 && $0.payload.count + 16 <= 300 })
        #expect(try await client.check([], purpose: "newsletter").count == 0)
        let mixed = await failure { try await client.check([kari, subjects[0]], purpose: "ads") }
        guard case .invalidArgument = mixed else {
            Issue.record("\(String(describing: mixed))")
            return
        }
    }

    @Test func eventsAreSplitIntoFramesWithinTheLimitsAndStayInOrder() async throws {
        let server = try await ScriptedServer { asked in
            asked.opcode == .hello
                ? [
                    .bytes(
                        asked.welcome {
                            $0.eventsPerRecordMax = 10
                            $0.frameSizeMax = 1000
                        })
                ] : [.usual]
        }
        let client = try await server.client()
        var events: [ConsentEvent] = []
        for number in 0..<100 {
            var event = ConsentEvent(
                identifiers: [try Identifier(type: .customer, value: "\(number)")], purpose: "ads", state: .withdrawn)
            event.key = ConsentModel.IdempotencyKey(high: 7, low: UInt64(number))
            event.capturedAt = Timestamp(millis: 5)
            if number % 7 == 0 { event.evidence = String(repeating: "e", count: 600) }
            events.append(event)
        }
        let outcomes = try await client.record(events: events)
        #expect(outcomes.count == 100 && outcomes.allSatisfy(\.isRecorded))
        #expect(server.asked.flatMap(\.keys).map { $0[15] } == (0..<100).map { UInt8($0) })
        #expect(server.asked.allSatisfy { $0.keys.count <= 10 && $0.payload.count + 16 <= 1000 })
    }

    @Test func actsWithoutAKeyGetOneAndWhatCannotBeSentIsRefusedAlone() async throws {
        let server = try await ScriptedServer()
        let client = try await server.client()
        var tooLong = ConsentAct(kari, purpose: "ads", state: .given)
        tooLong.channel = String(repeating: "c", count: 256)
        var evidence = ConsentAct.withdrawal(kari, purpose: "ads")
        evidence.evidence = String(repeating: "e", count: 4097)
        let outcomes = try await client.record([
            .withdrawal(kari, purpose: "ads"), tooLong, .withdrawal(kari, purpose: "nothing"), evidence,
            ConsentAct(Array(repeating: kari, count: 17), purpose: "ads", state: .withdrawn),
            .objection(kari, purpose: "newsletter"),
        ])
        #expect(
            outcomes.map { $0.refusal?.name } == [
                nil, "textTooLong", "admissionPurposeUnknown", "textTooLong", "identifiersTooMany", nil,
            ])
        #expect(outcomes[0].sequence == 1002 && outcomes[5].sequence == 1003)
        #expect(outcomes[0].key != nil && outcomes[0].key != outcomes[5].key)
        #expect(server.asked.count == 1 && server.asked[0].keys.allSatisfy { $0 != Array(repeating: 0, count: 16) })
        #expect(try await client.record([]).isEmpty)
    }

    @Test func eventsThatAreSentOneCallAfterTheOtherLeaveInThatOrder() async throws {
        let server = try await ScriptedServer()
        let client = try await server.client()
        var sent: [ConsentClient.SentEvents] = []
        for number in 0..<200 {
            var event = ConsentEvent(
                identifiers: [try Identifier(type: .customer, value: "1")], purpose: "ads", state: .withdrawn)
            event.key = ConsentModel.IdempotencyKey(high: 7, low: UInt64(number))
            sent.append(try await client.send(events: [event]))
        }
        for events in sent.reversed() { #expect(try await events.outcomes().allSatisfy(\.isRecorded)) }
        #expect(server.asked.flatMap(\.keys).map { $0[15] } == (0..<200).map { UInt8($0) })
    }

    /// Told to come again, the grant would arrive behind its confirmation.
    @Test func aConfirmationIsSentWhenTheFrameBeforeItIsAnswered() async throws {
        let server = try await ScriptedServer { asked in
            switch asked.opcode {
            case .hello: [.bytes(asked.welcome { $0.eventsPerRecordMax = 1 })]
            case .record where asked.request == 3: [.bytes(asked.error(.busy))]
            default: [.usual]
            }
        }
        let client = try await server.client()
        let events = try [EventState.given, .confirmed].map { state in
            var event = ConsentEvent(
                identifiers: [try Identifier(type: .customer, value: "1")], purpose: "ads", state: state)
            event.capturedAt = Timestamp(millis: 5)
            event.key = ConsentModel.IdempotencyKey(high: 7, low: UInt64(state.rawValue))
            return event
        }
        #expect(try await client.record(events: events).allSatisfy(\.isRecorded))
        #expect(server.asked.flatMap(\.keys).map { $0[15] } == [4, 4, 14])
    }

    /// On the wire a time of zero is none, so a moment before 1970 or at its start would become another one.
    @Test(arguments: [0, -1, Int64.min])
    func aTimeThatCannotBeSaidIsRefusedBeforeItIsSent(millis: Int64) async throws {
        let server = try await ScriptedServer()
        let client = try await server.client()
        var captured = ConsentAct(kari, purpose: "ads", state: .given)
        captured.capturedAt = Moment(millis: millis)
        var lifted = ConsentAct(kari, purpose: "ads", state: .objectionLifted)
        lifted.capturedAt = Moment(millis: millis)
        var ending = ConsentAct(kari, purpose: "ads", state: .given)
        ending.expiresAt = Moment(millis: millis)
        let outcomes = try await client.record([captured, lifted, ending])
        #expect(outcomes.map { $0.refusal?.name } == ["capturedTooEarly", "capturedTooEarly", "endsBeforeCapture"])
        var event = ConsentEvent(
            identifiers: [try Identifier(type: .customer, value: "1")], purpose: "ads", state: .confirmed)
        event.capturedAt = Timestamp(millis: millis)
        #expect(try await client.record(events: [event]).map { $0.refusal?.name } == ["capturedTooEarly"])
        #expect(server.asked.isEmpty)
        // A "no" is never refused for its times: the server lets it count from now.
        var withdrawal = ConsentAct.withdrawal(kari, purpose: "ads")
        withdrawal.capturedAt = Moment(millis: millis)
        withdrawal.expiresAt = Moment(millis: millis)
        #expect(try await client.record([withdrawal]).allSatisfy(\.isRecorded))
        #expect(server.asked.first?.times == [millis, millis])
    }

    @Test func aHistoryIsReadToItsEnd() async throws {
        let server = try await ScriptedServer { asked in
            guard asked.opcode == .history else { return [.usual] }
            let after = UInt64(asked.payload.u32(at: 0))
            let events = (after + 1...after + 2).map { sequence in
                var event = ConsentEvent(identifiers: [], purpose: "", state: .withdrawn)
                event.capturedAt = Timestamp(millis: 1)
                return RecordedEventMessage(
                    RecordedEvent(
                        sequence: sequence, subject: 1, recordedAt: Timestamp(millis: 2), event: event, refersTo: 0,
                        hash: Array(repeating: 1, count: 32)), purposeBit: sequence == 6 ? 5 : 70)
            }
            let page = HistoryPage(hasMore: after < 4, head: 9, events: events)
            return [.bytes(written { page.encode(request: asked.request, into: &$0) })]
        }
        let client = try await server.client()
        let history = try await client.history(of: kari)
        #expect(history.map(\.sequence) == [1, 2, 3, 4, 5, 6])
        #expect(history.map(\.act.purpose) == ["ads", "ads", "ads", "ads", "ads", "#5"])
        #expect(try await client.history(of: kari, after: 4).map(\.sequence) == [5, 6])
    }

    @Test func aHistoryThatDoesNotLeadOnIsNotReadForEver() async throws {
        let server = try await ScriptedServer { asked in
            guard asked.opcode == .history else { return [.usual] }
            let page = HistoryPage(hasMore: true, head: 9, events: [])
            return [.bytes(written { page.encode(request: asked.request, into: &$0) })]
        }
        let client = try await server.client()
        let error = await failure { try await client.history(of: kari) }
        guard case .protocolViolation = error else {
            Issue.record("\(String(describing: error))")
            return
        }
    }

    // MARK: Purposes

    @Test func anUnknownPurposeIsNotAskedFor() async throws {
        let server = try await ScriptedServer()
        let client = try await server.client()
        #expect(
            await failure { try await client.check(kari, purpose: "nothing") }
                == .unknownPurpose("nothing"))
        #expect(server.asked.isEmpty)
    }

    @Test func aPurposeOfAChangedCatalogIsKnownAfterThePush() async throws {
        let version = Atomic(7)
        let server = try await ScriptedServer { asked in
            guard asked.opcode == .catalog, version.load(ordering: .relaxed) == 8 else { return [.usual] }
            return [.bytes(asked.purposes(version: 8, ["newsletter": 3, "ads": 70, "new": 5]))]
        }
        let client = try await server.client()
        version.store(8, ordering: .relaxed)
        // The push, and behind it an answer that shows that the client has read it.
        server.send(written { Push.encode(.catalogChanged, word: 8, into: &$0) }, to: 1)
        _ = try await client.ping()
        #expect(try await client.check(kari, purpose: "new").isGranted)
        #expect(server.asked.last?.argument == 5)
    }

    @Test func anotherLedgerIsAskedByItsOwnBits() async throws {
        let server = try await ScriptedServer { asked in
            switch (asked.connection, asked.opcode) {
            case (2, .hello):
                [.bytes(asked.welcome { $0.history = ID16(bytes: Array(repeating: 8, count: 16)) })]
            case (2, .catalog): [.bytes(asked.purposes(version: 7, ["newsletter": 11, "ads": 3]))]
            case (1, .check): [.close]
            default: [.usual]
            }
        }
        let client = try await server.client()
        #expect(try await client.check(kari, purpose: "newsletter").isGranted)
        #expect(server.asked.map(\.argument) == [3, 11])
    }

    /// After a restore, a ledger goes on with an older catalog and gives its next bits to other purposes.
    @Test(arguments: [6, 7, 8] as [UInt32])
    func everyConnectionIsAskedByTheBitsOfItsOwnCatalog(version: UInt32) async throws {
        let server = try await ScriptedServer { asked in
            switch (asked.connection, asked.opcode) {
            case (2, .hello): [.bytes(asked.welcome { $0.catalogVersion = version })]
            case (2, .catalog): [.bytes(asked.purposes(version: version, ["newsletter": 70, "ads": 3]))]
            case (1, .check): [.close]
            default: [.usual]
            }
        }
        let client = try await server.client()
        #expect(try await client.check(kari, purpose: "newsletter").isGranted)
        #expect(server.asked.map(\.argument) == [3, 70])
        #expect(try await client.check(kari, purpose: "ads").isGranted)
        #expect(server.asked.last?.argument == 3)
    }

    @Test func aCatalogThatIsReadAndIsAnotherIsTakenThoughItsVersionIsLower() async throws {
        let isRestored = Atomic(false)
        let server = try await ScriptedServer { asked in
            guard asked.opcode == .catalog, isRestored.load(ordering: .relaxed) else { return [.usual] }
            return [.bytes(asked.purposes(version: 6, ["newsletter": 70, "ads": 3]))]
        }
        let client = try await server.client()
        isRestored.store(true, ordering: .relaxed)
        _ = try await client.purposes()
        // The client reads the catalog once more before it believes it; a round trip later it has.
        _ = try await client.ping()
        #expect(try await client.check(kari, purpose: "newsletter").isGranted)
        #expect(server.asked.last?.argument == 70)
    }

    // MARK: Time

    @Test func aRequestWithoutAnAnswerTimesOutAndItsLateAnswerIsDropped() async throws {
        let late = Mutex<[UInt8]>([])
        let server = try await ScriptedServer { asked in
            guard asked.opcode == .explain else { return [.usual] }
            late.withLock { $0 = asked.usualAnswer }
            return []
        }
        let client = try await server.client { $0.requestTimeout = .seconds(3) }
        #expect(
            await failure { try await client.explain(kari, purpose: "ads") } == .timedOut)
        server.send(late.withLock { $0 }, to: 1)
        #expect(try await client.check(kari, purpose: "newsletter").isGranted)
        #expect(server.connectionCount == 1)
    }

    @Test func aCancelledTaskWaitsNoLonger() async throws {
        let server = try await ScriptedServer { $0.opcode == .check ? [] : [.usual] }
        let client = try await server.client()
        let task = Task { await failure { try await client.check(kari, purpose: "ads") } }
        try await eventually { server.asked.count == 1 }
        task.cancel()
        #expect(await task.value == .cancelled)
        for _ in 0..<200 {
            // Cancelled before, while or after it asks.
            let early = Task { await failure { try await client.check(kari, purpose: "ads") } }
            early.cancel()
            #expect(await early.value == .cancelled)
        }
        #expect(try await client.explain(kari, purpose: "ads").decision == .granted)
    }

    // MARK: Connecting

    @Test func refusalsOfTheHandshakeAreTold() async throws {
        func refusal(_ code: ErrorCode, detail: UInt32 = 0) async throws -> ConsentClientError? {
            let server = try await ScriptedServer { [.bytes($0.error(code, detail: detail)), .close] }
            return await failure { try await server.client() }
        }
        guard case .handshakeRefused(let code, "because") = try await refusal(.credentialsRefused) else {
            Issue.record("not refused")
            return
        }
        #expect(code.name == "credentialsRefused" && code.advice == .doNotRetry)
        #expect(
            try await refusal(.versionUnsupported, detail: 2 | 5 << 16)
                == .versionUnsupported(serverMin: 2, serverMax: 5))
    }

    @Test func aServerOfAnotherDeploymentIsNotTrustedThoughItWelcomes() async throws {
        let server = try await ScriptedServer()
        let error = await failure {
            try await server.client { $0.deployment = String(repeating: "ab", count: 16) }
        }
        guard case .protocolViolation = error else {
            Issue.record("\(String(describing: error))")
            return
        }
        let malformed = await failure { try await server.client { $0.deployment = "ab" } }
        guard case .invalidArgument = malformed else {
            Issue.record("\(String(describing: malformed))")
            return
        }
    }

    @Test func aSilentOrAbsentServerFailsInTime() async throws {
        let silent = try await ScriptedServer { _ in [] }
        let start = ContinuousClock.now
        for endpoint in [silent.endpoint, .unix(path: "no-such-folder/s")] {
            var options = ClientOptions()
            options.connectTimeout = .milliseconds(100)
            let error = await failure {
                try await ConsentClient.connect(to: endpoint, options: options)
            }
            guard case .connectFailed = error else {
                Issue.record("\(String(describing: error))")
                return
            }
        }
        #expect(ContinuousClock.now - start < .seconds(60))
    }

    @Test func aClosedClientAnswersNothingMore() async throws {
        let server = try await ScriptedServer { $0.opcode == .check ? [] : [.usual] }
        let client = try await server.client()
        let waiting = Task { await failure { try await client.check(kari, purpose: "ads") } }
        try await eventually { server.asked.count == 1 }
        await client.close()
        #expect(await waiting.value == .closed)
        #expect(await failure { try await client.ping() } == .closed)
        await client.close()
    }

    // MARK: Breaks

    @Test func checksInFlightAtABreakAreAskedAgain() async throws {
        let server = try await ScriptedServer { $0.connection == 1 && $0.opcode == .check ? [.close] : [.usual] }
        let client = try await server.client()
        #expect(try await client.check(kari, purpose: "newsletter").isGranted)
        #expect(server.asked.map(\.connection) == [1, 2])
    }

    @Test func aReadThatBreaksTwoConnectionsIsNotRepeatedForEver() async throws {
        let server = try await ScriptedServer { $0.opcode == .statistics ? [.close] : [.usual] }
        let client = try await server.client()
        let error = await failure { try await client.statistics().count }
        #expect(error == .disconnected(requestMayHaveBeenExecuted: true))
        #expect(server.asked.count == 2)
        #expect(try await client.check(kari, purpose: "newsletter").isGranted)
    }

    @Test func actsAreRepeatedWithTheSameKeysUntilTheyAreRecorded() async throws {
        let server = try await ScriptedServer { $0.connection <= 3 && $0.opcode == .record ? [.close] : [.usual] }
        let client = try await server.client()
        let outcomes = try await client.record([
            .withdrawal(kari, purpose: "ads"), .withdrawal(kari, purpose: "newsletter"),
        ])
        #expect(outcomes.count == 2)
        #expect(server.asked.count == 4)
        #expect(Set(server.asked.map(\.keys)).count == 1)
    }

    @Test func aCatalogIsNotAppliedTwice() async throws {
        let server = try await ScriptedServer { $0.opcode == .applyCatalog ? [.close] : [.usual] }
        let client = try await server.client()
        let error = await failure { try await client.applyCatalog("a: b") }
        #expect(error == .disconnected(requestMayHaveBeenExecuted: true))
        #expect(try await client.check(kari, purpose: "newsletter").isGranted)
        #expect(server.asked.count { $0.opcode == .applyCatalog } == 1)
    }

    @Test func withoutReconnectingABreakIsTheEnd() async throws {
        let server = try await ScriptedServer { $0.opcode == .check ? [.close] : [.usual] }
        let client = try await server.client { $0.reconnects = false }
        #expect(
            await failure { try await client.check(kari, purpose: "ads") }
                == .disconnected(requestMayHaveBeenExecuted: true))
        #expect(
            await failure { try await client.check(kari, purpose: "ads") }
                == .disconnected(requestMayHaveBeenExecuted: false))
        #expect(server.connectionCount == 1)
    }

    @Test func requestsWaitForAServerThatComesBack() async throws {
        let folder = TemporaryFolder()
        let path = folder.path("s")
        let first = try await ScriptedServer(path: path)
        let client = try await first.client()
        try await first.close()
        let waiting = Task { try await client.check(kari, purpose: "newsletter") }
        try await Task.sleep(for: .milliseconds(200))
        let second = try await ScriptedServer(path: path)
        #expect(try await waiting.value.isGranted)
        try await second.close()
    }

    @Test func goingAwayMovesNewRequestsAndLetsOldOnesFinish() async throws {
        let held = Mutex<[UInt8]>([])
        let server = try await ScriptedServer { asked in
            guard asked.connection == 1, asked.opcode == .explain else { return [.usual] }
            held.withLock { $0 = asked.usualAnswer }
            return [.bytes(written { Push.encode(.goingAway, word: 30_000, into: &$0) })]
        }
        let client = try await server.client()
        let old = Task { try await client.explain(kari, purpose: "ads") }
        try await eventually { server.connectionCount == 2 }
        #expect(try await client.check(kari, purpose: "newsletter").isGranted)
        #expect(server.asked.map(\.connection) == [1, 2])
        server.send(held.withLock { $0 }, to: 1)
        #expect(try await old.value.decision == .granted)
    }

    @Test func shuttingDownMovesAnActToTheNextConnection() async throws {
        let server = try await ScriptedServer { asked in
            asked.connection == 1 && asked.opcode == .record ? [.bytes(asked.error(.shuttingDown))] : [.usual]
        }
        let client = try await server.client()
        #expect(try await client.record([.withdrawal(kari, purpose: "ads")]).count == 1)
        #expect(server.asked.map(\.connection) == [1, 2])
    }

    @Test func aSilentConnectionIsGivenUp() async throws {
        let server = try await ScriptedServer { asked in
            asked.connection == 1 && (asked.opcode == .ping || asked.opcode == .check) ? [] : [.usual]
        }
        let client = try await server.client {
            $0.pingInterval = .seconds(3)
            $0.pingTimeout = .seconds(3)
        }
        #expect(try await client.check(kari, purpose: "newsletter").isGranted)
        #expect(server.connectionCount == 2)
    }

    @Test func aQuietConnectionIsKeptAlive() async throws {
        let server = try await ScriptedServer()
        let client = try await server.client { $0.pingInterval = .milliseconds(20) }
        try await eventually { server.asked.count { $0.opcode == .ping } >= 3 }
        #expect(try await client.check(kari, purpose: "newsletter").isGranted)
        #expect(server.connectionCount == 1)
    }

    // MARK: Errors

    @Test func aProtocolFailureFailsEverythingThatWaitsAndGrantsNothing() async throws {
        let server = try await ScriptedServer { asked in
            switch (asked.connection, asked.opcode) {
            case (1, .check): []
            // Granted, for a reason that denies; and behind it an answer to a check.
            case (1, .explain):
                [
                    .bytes(
                        written {
                            var explained = Explained(
                                verdict: Verdict(reason: .withdrawn), basis: .consent, freshness: .live,
                                decidingAct: nil, sequence: 1)
                            explained.decision = .granted
                            explained.encode(request: asked.request, into: &$0)
                        })
                ]
            default: [.usual]
            }
        }
        let client = try await server.client()
        let check = Task { await failure { try await client.check(kari, purpose: "ads") } }
        try await eventually { server.asked.count == 1 }
        for error in [
            await failure { try await client.explain(kari, purpose: "ads") },
            await check.value,
        ] {
            guard case .protocolViolation = error else {
                Issue.record("\(String(describing: error))")
                continue
            }
        }
        #expect(try await client.check(kari, purpose: "newsletter").isGranted)
        #expect(server.connectionCount == 2)
    }

    @Test func aBusyServerIsAskedAgainUntilTheDeadline() async throws {
        let server = try await ScriptedServer { asked in
            let isBusy = asked.opcode == .statistics || asked.opcode == .record && asked.request < 6
            return isBusy ? [.bytes(asked.error(.busy))] : [.usual]
        }
        let client = try await server.client()
        #expect(try await client.record([.withdrawal(kari, purpose: "ads")]).count == 1)
        #expect(Set(server.asked.map(\.keys)).count == 1 && server.asked.count == 4)
        let hurried = try await server.client { $0.requestTimeout = .seconds(5) }
        let error = await failure { try await hurried.statistics().count }
        guard case .server(let code, _) = error else {
            Issue.record("\(String(describing: error))")
            return
        }
        #expect(code.name == "busy" && code.advice == .retryLater)
    }

    @Test func anErrorThatWouldComeAgainIsTold() async throws {
        let server = try await ScriptedServer { asked in
            asked.opcode == .check ? [.bytes(asked.error(.purposeUnknown, detail: 3))] : [.usual]
        }
        let client = try await server.client()
        let error = await failure { try await client.check(kari, purpose: "newsletter") }
        guard case .server(let code, "because") = error else {
            Issue.record("\(String(describing: error))")
            return
        }
        #expect(code.name == "purposeUnknown" && code.number == 18)
        #expect(server.asked.count == 1)
    }

    @Test func noMoreRequestsAreInFlightThanTheServerAllows() async throws {
        let waiting = Mutex<[ScriptedServer.Asked]>([])
        let most = Mutex(0)
        let server = try await ScriptedServer { asked in
            switch asked.opcode {
            case .hello: return [.bytes(asked.welcome { $0.requestsInFlightMax = 3 })]
            case .statistics:
                let count = waiting.withLock {
                    $0.append(asked)
                    return $0.count
                }
                most.withLock { $0 = max($0, count) }
                return []
            case .check:
                // Overtakes; and lets one of the others go.
                let answered = waiting.withLock { $0.isEmpty ? nil : $0.removeFirst() }
                return [.usual] + (answered.map { [.bytes($0.usualAnswer)] } ?? [])
            default: return [.usual]
            }
        }
        let client = try await server.client()
        try await withThrowingTaskGroup { group in
            let done = Counter()
            for _ in 0..<20 {
                group.addTask {
                    defer { done.count.add(1, ordering: .relaxed) }
                    _ = try await client.statistics()
                }
            }
            while done.count.load(ordering: .relaxed) < 20 {
                _ = try await client.check(kari, purpose: "newsletter")
                try await Task.sleep(for: .milliseconds(1))
            }
            try await group.waitForAll()
        }
        #expect(most.withLock { $0 } == 3)
    }
}
