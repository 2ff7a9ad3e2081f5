import ConsentModel
import ConsentWire
import Testing

@testable import ConsentClient

@Suite struct ConversationTests {
    private func checked(
        _ decision: ConsentModel.Decision, _ reason: ConsentState, request: UInt32,
        freshness: ConsentModel.Freshness = .live
    ) -> [UInt8] {
        written {
            Checked(decision: decision, reason: reason, freshness: freshness, sequence: 1001).encode(
                request: request, into: &$0)
        }
    }

    private func error(_ code: ErrorCode, request: UInt32) -> [UInt8] {
        written { ErrorAnswer(WireError(code, "because")).encode(request: request, into: &$0) }
    }

    private var check: Request { .check(someSubject, purpose: "p3") }

    // MARK: Never fail open

    private static let notGranted: [(ConsentModel.Decision, ConsentState)] = [
        (.unknown, .unknown), (.unknown, .expired), (.denied, .withdrawn), (.denied, .objected),
    ]

    @Test(arguments: notGranted.indices)
    func noTruncationOrByteMutationOfAnAnswerGrants(_ position: Int) {
        let (decision, reason) = Self.notGranted[position]
        for mutated in mutations(of: checked(decision, reason, request: 2)) {
            var conversation = Conversation.open()
            _ = conversation.ask(check)
            for case .answered(_, .checked(let answer)) in conversation.feed(mutated) {
                #expect(answer.decision != .granted, "\(mutated.hex)")
            }
        }
    }

    @Test func noMutationOfAnExplanationGrants() {
        var explained = Explained(
            verdict: Verdict(reason: .withdrawn), basis: .consent, freshness: .live,
            decidingAct: nil, sequence: 9)
        explained.declaration = "club"
        for mutated in mutations(of: written { explained.encode(request: 2, into: &$0) }) {
            var conversation = Conversation.open()
            _ = conversation.ask(.explain(someSubject, purpose: "p3"))
            for case .answered(_, .explained(let answer)) in conversation.feed(mutated) {
                #expect(answer.decision != .granted, "\(mutated.hex)")
            }
        }
    }

    @Test func noMutationOfASetThatDeniesAllGrants() {
        let subjects = CheckedSet(freshness: .live, sequence: 9, granted: [0, 0], denied: [.max, 1])
        for mutated in mutations(of: written { subjects.encodeSubjects(count: 65, request: 2, into: &$0) }) {
            var conversation = Conversation.open()
            _ = conversation.ask(.checkSubjects(Array(repeating: someSubject, count: 65)[...], purpose: "p3"))
            for case .answered(_, .checkedSubjects(let set, _)) in conversation.feed(mutated) {
                #expect(set.granted == [0, 0], "\(mutated.hex)")
            }
        }
        let purposes = CheckedSet(freshness: .live, sequence: 9, granted: [0], denied: [0b11000])
        for mutated in mutations(of: written { purposes.encodePurposes(request: 2, into: &$0) }) {
            var conversation = Conversation.open()
            _ = conversation.ask(.checkPurposes(someSubject, purposes: ["p3", "p4"]))
            for case .answered(_, .checkedPurposes(let set, _)) in conversation.feed(mutated) {
                #expect(set.granted == [0], "\(mutated.hex)")
            }
        }
    }

    /// Every truncation, and every other value of every byte.
    private func mutations(of frame: [UInt8]) -> [[UInt8]] {
        (0..<frame.count).map { Array(frame[..<$0]) }
            + frame.indices.flatMap { position in
                (1...255).map { difference in
                    var mutated = frame
                    mutated[position] ^= UInt8(difference)
                    return mutated
                }
            }
    }

    @Test func answersOfAnotherKindThanAskedForAreProtocolFailures() {
        let asked: [Request] = [
            .ping(echo: 0), check, .checkPurposes(someSubject, purposes: ["p3"]), .catalog, .catalogDocument,
            .statistics, .history(someSubject, after: 0, withLinks: false), .record([someEvent]),
            .applyCatalog("", isDryRun: false),
            .explain(someSubject, purpose: "p3"), .checkSubjects([someSubject], purpose: "p3"),
            .countGranted(CountGrantedRequest(purpose: "p3", except: "")), .people(PeopleQuestion(.audience)),
            .status, .enforcement(sequence: 1002), .erase(someSubject, reason: .unlawful, actor: ""),
            .link(someSubject, to: someSubject, actor: ""), .unlink(someSubject, actor: ""),
            .issueToken(someSubject, purposes: ["p3"]), .confirmToken(ConfirmTokenRequest(token: "")),
            .checkpoint, .prove(ProveRequest(.event, of: 1)),
            .accessLog(AccessLogQuestion(), about: nil),
        ]
        let kinds = Dictionary(grouping: Vectors.answers, by: { $0.opcode! })
            .filter { $0.key != .welcome && $0.key.rawValue < Opcode.goingAway.rawValue }
        #expect(kinds.count == 23)
        for vector in kinds.values.map({ $0[0] }) {
            var fitting = 0
            var bytes = vector.bytes
            bytes.replaceSubrange(8..<12, with: [2, 0, 0, 0])
            for request in asked {
                var conversation = Conversation.open()
                _ = conversation.ask(request)
                if case .answered = conversation.feed(bytes).first { fitting += 1 }
            }
            #expect(fitting <= 1, "\(vector)")
        }
    }

    @Test func aPongWithAnotherEchoIsAProtocolFailure() {
        var conversation = Conversation.open()
        let id = conversation.ask(.ping(echo: 5))
        guard case .broken = conversation.feed(written { Pong(echo: 6).encode(request: id, into: &$0) }).first else {
            Issue.record("it was taken for an answer")
            return
        }
    }

    // MARK: Ids

    @Test func answersToUnknownRequestsAreProtocolFailures() {
        for frame in [checked(.granted, .given, request: 77), error(.busy, request: 77)] {
            var conversation = Conversation.open()
            let id = conversation.ask(check)
            let events = conversation.feed(frame + checked(.granted, .given, request: id))
            guard events.count == 1, case .broken = events[0] else {
                Issue.record("\(events)")
                continue
            }
        }
    }

    @Test func aSecondAnswerIsAProtocolFailure() {
        var conversation = Conversation.open()
        let id = conversation.ask(check)
        let events = conversation.feed(
            checked(.denied, .withdrawn, request: id) + checked(.granted, .given, request: id))
        guard events.count == 2, case .answered = events[0], case .broken = events[1] else {
            Issue.record("\(events)")
            return
        }
    }

    @Test func answersOutOfOrderFindTheirRequests() {
        var conversation = Conversation.open()
        let first = conversation.ask(check)
        let second = conversation.ask(.explain(someSubject, purpose: "p3"))
        let third = conversation.ask(check)
        let explained = Explained(
            verdict: Verdict(reason: .given), basis: .consent, freshness: .live,
            decidingAct: nil, sequence: 9)
        let events = conversation.feed(
            checked(.denied, .withdrawn, request: third) + written { explained.encode(request: second, into: &$0) }
                + checked(.granted, .given, request: first))
        guard events.count == 3, case .answered(third, .checked(let last)) = events[0],
            case .answered(second, .explained) = events[1], case .answered(first, .checked) = events[2]
        else {
            Issue.record("\(events)")
            return
        }
        #expect(last.decision == .denied)
    }

    @Test func documentsInSeveralFramesAreJoinedWhateverComesBetween() {
        var conversation = Conversation.open()
        let first = conversation.ask(.prove(ProveRequest(.event, of: 1)))
        let second = conversation.ask(.prove(ProveRequest(.dpvReceipt, of: 1)))
        let other = conversation.ask(check)
        func part(_ text: String, of request: UInt32, hasMore: Bool = true) -> [UInt8] {
            written { ProofText(text, hasMore: hasMore).encode(.proved, request: request, into: &$0) }
        }
        #expect(conversation.feed(part("{\"a", of: first) + part("[1", of: second)).isEmpty)
        let events = conversation.feed(
            checked(.denied, .withdrawn, request: other) + part("å", of: first) + part("]", of: second, hasMore: false)
                + part("\"}", of: first, hasMore: false))
        guard events.count == 3, case .answered(other, .checked) = events[0],
            case .answered(second, .proved(let receipt)) = events[1],
            case .answered(first, .proved(let proof)) = events[2]
        else {
            Issue.record("\(events)")
            return
        }
        #expect(receipt.document == "[1]" && proof.document == "{\"aå\"}")
        #expect(conversation.countedInFlight == 0)
        // Of one that nobody waits for any more, nothing is told.
        let abandoned = conversation.ask(.prove(ProveRequest(.event, of: 1)))
        conversation.abandon(abandoned)
        #expect(conversation.feed(part("a", of: abandoned) + part("b", of: abandoned, hasMore: false)).isEmpty)
        #expect(conversation.countedInFlight == 0)
    }

    @Test func aDocumentWithoutEndIsAProtocolFailure() {
        var conversation = Conversation.open()
        let id = conversation.ask(.prove(ProveRequest(.event, of: 1)))
        let size = WireLimit.frameSizeMax - WireLimit.headerSize
        let part = written {
            ProofText(String(repeating: "x", count: size), hasMore: true).encode(.proved, request: id, into: &$0)
        }
        for _ in 0..<WireLimit.proofSizeMax / size { #expect(conversation.feed(part).isEmpty) }
        guard case .broken? = conversation.feed(part).first else {
            Issue.record("it goes on")
            return
        }
    }

    @Test func lateAnswersOfAbandonedRequestsAreDropped() {
        var conversation = Conversation.open()
        let abandoned = conversation.ask(check)
        let awaited = conversation.ask(check)
        let refused = conversation.ask(.statistics)
        conversation.abandon(abandoned)
        conversation.abandon(refused)
        #expect(conversation.countedInFlight == 1)
        let events = conversation.feed(
            checked(.granted, .given, request: abandoned) + error(.busy, request: refused)
                + checked(.denied, .withdrawn, request: awaited))
        guard events.count == 1, case .answered(awaited, .checked) = events[0] else {
            Issue.record("\(events)")
            return
        }
        #expect(conversation.countedInFlight == 0)
    }

    @Test func aBrokenLateAnswerIsAProtocolFailureNevertheless() {
        var conversation = Conversation.open()
        let abandoned = conversation.ask(check)
        conversation.abandon(abandoned)
        var frame = checked(.granted, .given, request: abandoned)
        frame[7] = 0
        guard case .broken = conversation.feed(frame).first else {
            Issue.record("it was dropped")
            return
        }
    }

    @Test func idsOfAbandonedRequestsAreNotReusedWhilePending() {
        var conversation = Conversation.open()
        let abandoned = conversation.ask(check)
        conversation.abandon(abandoned)
        conversation.nextRequest = abandoned
        let next = conversation.ask(check)
        #expect(next == abandoned + 1)
        _ = conversation.feed(checked(.denied, .withdrawn, request: abandoned))
        conversation.nextRequest = abandoned
        let afterAnswer = conversation.ask(check)
        #expect(afterAnswer == abandoned)
    }

    @Test func idsWrapPastZero() {
        var conversation = Conversation.open()
        conversation.nextRequest = .max
        let ids = [conversation.ask(check), conversation.ask(check)]
        #expect(ids == [.max, 1])
    }

    // MARK: Pushes and errors

    @Test func pushesAreReadBetweenAnswers() {
        var conversation = Conversation.open()
        let id = conversation.ask(check)
        let events = conversation.feed(
            written {
                Push.encode(.catalogChanged, word: 8, into: &$0)
                Push.encode(.goingAway, word: 30_000, into: &$0)
            } + checked(.granted, .given, request: id))
        guard events.count == 3, case .catalogChanged(8) = events[0], case .goingAway(30_000) = events[1],
            case .answered(id, .checked(let answer)) = events[2]
        else {
            Issue.record("\(events)")
            return
        }
        #expect(answer.decision == .granted)
    }

    @Test func anErrorOfTheConnectionEndsIt() {
        var conversation = Conversation.open()
        let id = conversation.ask(check)
        let events = conversation.feed(error(.idleTooLong, request: 0) + checked(.granted, .given, request: id))
        guard events.count == 1, case .ended(let error) = events[0] else {
            Issue.record("\(events)")
            return
        }
        #expect(error.code == .idleTooLong)
    }

    @Test func anErrorWithACodeOfALaterVersionFailsItsRequestAlone() {
        var conversation = Conversation.open()
        let first = conversation.ask(check)
        let second = conversation.ask(check)
        var frame = error(.busy, request: first)
        frame[6] = 200
        let events = conversation.feed(frame + checked(.denied, .withdrawn, request: second))
        guard events.count == 2, case .refused(first, let error) = events[0], case .answered = events[1] else {
            Issue.record("\(events)")
            return
        }
        #expect(error.code == nil && error.codeNumber == 200)
        #expect(ServerErrorCode(number: 200).advice == .doNotRetry)
    }

    // MARK: The handshake

    @Test func nothingButAWelcomeOrAnErrorMayComeFirst() {
        for frame in [
            checked(.granted, .given, request: 1), written { Push.encode(.goingAway, word: 1, into: &$0) },
            written { Welcome().encode(request: 2, into: &$0) },
        ] {
            var conversation = Conversation(Hello())
            guard case .broken = conversation.feed(frame).first else {
                Issue.record("\(frame.hex)")
                continue
            }
        }
    }

    @Test func aRefusalInTheHandshakeIsTold() {
        for request in [UInt32(0), 1] {
            var conversation = Conversation(Hello())
            guard case .turnedAway(let error) = conversation.feed(error(.credentialsRefused, request: request)).first
            else {
                Issue.record("request \(request)")
                continue
            }
            #expect(error.code == .credentialsRefused)
        }
    }

    @Test func aSecondWelcomeIsAProtocolFailure() {
        var conversation = Conversation.open()
        guard case .broken = conversation.feed(written { Welcome().encode(request: 1, into: &$0) }).first else {
            Issue.record("it was taken")
            return
        }
    }

    @Test func limitsThatNothingFitsInAreAProtocolFailure() {
        for spoil: (inout Welcome) -> Void in [
            { $0.frameSizeMax = 16 }, { $0.frameSizeMax = .max }, { $0.requestsInFlightMax = 0 },
            { $0.subjectsPerCheckMax = 0 }, { $0.subjectsPerCheckMax = 65_536 }, { $0.eventsPerRecordMax = 0 },
            { $0.eventsPerRecordMax = 4097 },
        ] {
            var welcome = Welcome()
            spoil(&welcome)
            var conversation = Conversation(Hello())
            guard case .broken = conversation.feed(written { welcome.encode(request: 1, into: &$0) }).first else {
                Issue.record("\(welcome)")
                continue
            }
        }
    }

    @Test func anUnknownPurposeWritesNothing() {
        var conversation = Conversation.open()
        #expect(throws: UnknownPurpose.self) {
            _ = try conversation.send(.check(someSubject, purpose: "nothing"), purposes: allPurposes)
        }
        #expect(throws: UnknownPurpose.self) {
            _ = try conversation.send(
                .checkPurposes(someSubject, purposes: ["p3", "nothing"]), purposes: allPurposes)
        }
        let isEmpty = conversation.output.isEmpty
        #expect(isEmpty)
    }
}
