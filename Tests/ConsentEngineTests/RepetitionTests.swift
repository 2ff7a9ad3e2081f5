import ConsentCatalog
import ConsentEngine
import ConsentModel
import ConsentTestSupport
import Testing

/// What is sent again is recorded once.
struct RepetitionTests {
    private let node: TestNode
    private var engine: Engine { node.engine }
    private let kari = Identifier.customer("kari")

    init() throws { node = try TestNode(.manyKinds) }

    @Test func aKeySeenBeforeWithTheSameContentGivesTheFirstAnswerAgain() throws {
        let event = ConsentEvent.grant([kari]).with { $0.key = IdempotencyKey(1) }
        #expect(try engine.recordOne(event) == .recorded(sequence: 2))
        _ = try engine.record([ConsentEvent([kari], "p0", .withdrawn)])
        let before = try engine.sizes()
        for _ in 0..<3 { #expect(try engine.recordOne(event) == .duplicate(sequence: 2)) }
        #expect(try engine.sizes() == before)
        #expect(engine.decision(kari) == .denied, "a repetition does not resurrect")
        let timed = event.with {
            $0.key = IdempotencyKey(2)
            $0.capturedAt = secondsAgo(100)
            $0.expiresAt = now.advanced(bySeconds: 100)
            $0.evidence = "receipt"
        }
        #expect(try engine.recordOne(timed) == .recorded(sequence: 4))
        #expect(try engine.recordOne(timed) == .duplicate(sequence: 4))
        for change in [
            { $0.evidence = "another" }, { $0.capturedAt = secondsAgo(99) }, { $0.state = .renewed },
            { $0.identifiers = [.customer("ola")] }, { $0.isExplicit = true }, { $0.expiresAt = nil },
            { $0.source.system = "x" }, { $0.actor = "x" }, { $0.subjectAge = 4 }, { $0 = $0.by(.guardian) },
            { $0.method = .button }, { $0.capturedAt = nil },
        ] as [(inout ConsentEvent) -> Void] {
            #expect(try engine.recordOne(timed.with(change)) == .refused(.keyReused(sequence: 4)))
        }
    }

    @Test func aKeyIsRememberedAcrossARestartAndWithinABatch() throws {
        let event = ConsentEvent.grant([kari]).with { $0.key = IdempotencyKey(1) }
        let other = ConsentEvent.grant([.customer("ola")]).with { $0.key = IdempotencyKey(1) }
        #expect(
            try engine.record([event, event, other]).outcomes
                == [.recorded(sequence: 2), .duplicate(sequence: 2), .refused(.keyReused(sequence: 2))])
        try node.restart()
        #expect(
            try engine.record([event, other]).outcomes == [.duplicate(sequence: 2), .refused(.keyReused(sequence: 2))])
        #expect(engine.decision(.customer("ola")) == .unknown)
    }

    @Test func changesThatShareAGroupKnowEachOthersKeys() throws {
        let event = ConsentEvent.grant([kari], at: secondsAgo(9)).with { $0.key = IdempotencyKey(1) }
        let blocked = try BlockedWriter(engine)
        let answers = Answers<EventOutcome?>()
        for event in [event, event.with { $0.state = .renewed }, event, event.with { $0.key = nil }] {
            engine.record([.success(event)]) { answers.add(try? $0.get().outcomes[0]) }
        }
        blocked.release()
        let (first, refused) = (UInt64(3), AdmissionError.keyReused(sequence: 3))
        #expect(
            answers.take(4) == [
                .recorded(sequence: first), .refused(refused), .duplicate(sequence: first), .recorded(sequence: 4),
            ], "an event without a key is not the one with a key")
        try node.expectSound()
    }

    @Test func aKeyOfARefusedEventIsFree() throws {
        let event = ConsentEvent.grant([kari]).with { $0.key = IdempotencyKey(1) }
        #expect(try engine.recordOne(event.with { $0.method = .silence }) == .refused(.methodIsNotConsent(.silence)))
        #expect(try engine.recordOne(event) == .recorded(sequence: 2))
    }

    /// Though the writer comes to it later than the door.
    @Test func aMomentThatDoesNotCountDoesNotMakeARepetitionAnotherEvent() throws {
        let ahead = now.advanced(bySeconds: 60)
        let events = [
            ConsentEvent.grant([kari], at: ahead), .grant([kari], at: nil),
            ConsentEvent([kari], "p1", .withdrawn, at: now.advanced(bySeconds: 86_400)),
            ConsentEvent([kari], "p1", .withdrawn, at: Timestamp(millis: -1)),
        ].enumerated().map { number, event in event.with { $0.key = IdempotencyKey(UInt64(number)) } }
        let blocked = try BlockedWriter(engine)
        let answers = Answers<[EventOutcome]?>()
        engine.record(events.map { .success($0) }) { answers.add(try? $0.get().outcomes) }
        nextMillisecond()
        blocked.release()
        #expect(answers.take(1) == [[3, 4, 5, 6].map { .recorded(sequence: $0) }])
        for _ in 0..<2 {
            nextMillisecond()
            #expect(try engine.record(events).outcomes == [3, 4, 5, 6].map { .duplicate(sequence: $0) })
        }
        #expect(try engine.events(kari).allSatisfy { $0.event.capturedAt == $0.recordedAt })
    }

    @Test func aLaterNoUnderTheKeyOfAnEarlierOneIsNotSwallowed() throws {
        let no = ConsentEvent([kari], "p0", .withdrawn).with { $0.key = IdempotencyKey(1) }
        #expect(try engine.recordOne(no) == .recorded(sequence: 2))
        node.clockAheadMillis = 3_600_000
        _ = try engine.record([.grant([kari])])
        let later = no.with { $0.capturedAt = now.advanced(bySeconds: 3_599) }
        #expect(try engine.recordOne(later) == .refused(.keyReused(sequence: 2)))
        #expect(try engine.recordOne(no) == .duplicate(sequence: 2))
    }

    @Test func withoutAKeyTheSameContentAtTheSameMomentIsTheSameEvent() throws {
        let event = ConsentEvent.grant([kari], at: secondsAgo(60))
        #expect(try engine.record([event, event]).outcomes == [.recorded(sequence: 2), .duplicate(sequence: 2)])
        #expect(try engine.recordOne(event) == .duplicate(sequence: 2))
        #expect(try engine.recordOne(event.with { $0.capturedAt = secondsAgo(59) }) == .recorded(sequence: 3))
        // Now is never the same moment.
        #expect(try engine.recordOne(.grant([kari])) == .recorded(sequence: 4))
        #expect(try engine.recordOne(.grant([kari])) == .recorded(sequence: 5))
    }

    @Test func ofTwoEventsOfOneMomentEachIsRecognisedAgain() throws {
        let moment = secondsAgo(60)
        let events = ["till", "web", "phone"].map { system in
            ConsentEvent.grant([kari], at: moment).with { $0.source.system = system }
        }
        #expect(try engine.record(events).outcomes == [2, 3, 4].map { .recorded(sequence: $0) })
        #expect(try engine.record(events).outcomes == [2, 3, 4].map { .duplicate(sequence: $0) })
        #expect(try engine.record(events.reversed()).outcomes == [4, 3, 2].map { .duplicate(sequence: $0) })
    }

    /// Whatever was captured since, and though nothing but the history itself tells.
    @Test func aTwinIsFoundHoweverFarBackItLies() throws {
        let old = ConsentEvent.grant([kari], at: secondsAgo(5000))
        let confirmation = ConsentEvent([kari], "double", .confirmed, at: secondsAgo(90))
        _ = try engine.record([old, .grant([kari], "double", at: secondsAgo(100)), confirmation])
        _ = try engine.record(
            (1...40).map { ConsentEvent([kari], $0 % 2 == 0 ? "p0" : "p1", .withdrawn, at: secondsAgo(4000 - $0)) })
        for _ in 0..<2 {
            let before = try engine.sizes()
            #expect(
                try engine.record([old, confirmation]).outcomes == [.duplicate(sequence: 2), .duplicate(sequence: 4)])
            #expect(try engine.sizes() == before)
            try node.restart()
        }
        #expect(engine.decision(kari, 6) == .granted)
    }

    @Test func whatDiffersInAnythingIsNoTwin() throws {
        let event = ConsentEvent.grant([kari, .email("kari@example.no")], at: secondsAgo(60)).with {
            $0.evidence = "receipt"
            $0.expiresAt = now.advanced(bySeconds: 1000)
            $0.subjectAge = 30
        }
        _ = try engine.recordOne(event)
        let otherMoment = secondsAgo(61)
        let changes: [(inout ConsentEvent) -> Void] = [
            { $0.evidence = "another" }, { $0.capturedAt = otherMoment }, { $0.state = .renewed },
            { $0.identifiers = [kari] }, { $0.identifiers.reverse() }, { $0.isExplicit = true },
            { $0.expiresAt = nil }, { $0.source.channel = "x" }, { $0.actor = "x" }, { $0.subjectAge = nil },
            { $0 = $0.by(.guardian) }, { $0 = $0.by(.guardian, Guardian(.institution, Guardian.anne.identifier)) },
            { $0 = $0.by(.guardian, Guardian(.parent, .make(.other, "case 4711"))) }, { $0.method = .button },
            { $0.key = IdempotencyKey(9) }, { $0.purpose = "p1" },
        ]
        for (number, change) in changes.enumerated() {
            #expect(try engine.recordOne(event.with(change)) == .recorded(sequence: UInt64(3 + number)))
        }
        // And each of them is known by itself.
        for (number, change) in changes.enumerated() {
            #expect(try engine.recordOne(event.with(change)).sequence == UInt64(3 + number))
        }
        #expect(try engine.recordOne(event) == .duplicate(sequence: 2))
        try node.expectSound()
    }

    @Test func theSameWordsOfAnotherPersonAreNoTwin() throws {
        let moment = secondsAgo(60)
        let outcomes = try engine.record(["kari", "ola", "kari"].map { .grant([.customer($0)], at: moment) }).outcomes
        #expect(outcomes == [.recorded(sequence: 2), .recorded(sequence: 3), .duplicate(sequence: 2)])
    }

    @Test func aTwinUnderAnotherRevisionIsNone() throws {
        let moment = Timestamp(iso8601: "2019-06-01")!
        let older = ConsentEvent([kari], "p0", .requested, at: moment)
        let named = ["0.9", "1.0"].map { name in
            older.with { $0.revision = RevisionName(declaration: "club", revision: name) }
        }
        #expect(try engine.record([older] + named).outcomes == [2, 3, 4].map { .recorded(sequence: $0) })
        #expect(try engine.record([older] + named).outcomes == [2, 3, 4].map { .duplicate(sequence: $0) })
    }

    @Test func aRepetitionIsRecognisedThoughARuleHasComeBetween() throws {
        let event = ConsentEvent.grant([kari], at: secondsAgo(60)).with { $0.key = IdempotencyKey(1) }
        let unnamed = ConsentEvent.grant([.customer("ola")]).with { $0.key = IdempotencyKey(2) }
        _ = try engine.record([event, unnamed])
        var changed = SampleCatalog.manyKinds
        changed.purposes[0].more = ["active: false"]
        _ = try engine.apply(changed.document)
        #expect(try engine.record([event, unnamed]).outcomes == [.duplicate(sequence: 2), .duplicate(sequence: 3)])
        #expect(engine.decision(kari) == .denied)
    }
}
