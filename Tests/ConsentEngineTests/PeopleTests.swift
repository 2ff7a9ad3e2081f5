import ConsentCatalog
import ConsentEngine
import ConsentIndex
import ConsentKernel
import ConsentLedger
import ConsentModel
import ConsentTestSupport
import Testing

/// Lists of people and counts: who is in them, and who is not.
struct PeopleTests {
    private static let year: Int64 = 365 * 86_400

    private func all(_ engine: Engine, _ question: PeopleQuestion, pageSize: Int = 1000) throws -> [FoundPerson] {
        var question = question
        question.countMax = pageSize
        var people: [FoundPerson] = []
        while true {
            let page = try engine.people(question)
            people += page.people
            guard page.hasMore else { return people }
            #expect(page.next > question.after)
            question.after = page.next
        }
    }

    private func names(_ people: [FoundPerson]) -> [String] {
        people.map { $0.identifiers.map(\.text).sorted().joined(separator: " ") }
    }

    private func question(_ selection: PeopleSelection, _ purpose: String = "") -> PeopleQuestion {
        var question = PeopleQuestion(selection)
        question.purpose = purpose
        return question
    }

    @Test func anAudienceIsEverybodyGrantedOnePurposeAndNotTheOther() throws {
        let node = try TestNode(.consents(bits: 0..<2))
        _ = try node.engine.record([
            .grant([.customer("1"), .email("a@example.no")], "p0"), .grant([.customer("2")], "p0"),
            .grant([.customer("2")], "p1"), .grant([.customer("3")], "p0"), .grant([.customer("4")], "p1"),
        ])
        nextMillisecond()
        _ = try node.engine.record([ConsentEvent([.customer("3")], "p0", .withdrawn)])
        #expect(
            names(try all(node.engine, question(.audience, "p0"))) == ["customer:1 email:a@example.no", "customer:2"])
        var without = question(.audience, "p0")
        without.except = "p1"
        #expect(names(try all(node.engine, without)) == ["customer:1 email:a@example.no"])
        let found = try #require(try all(node.engine, without).first)
        #expect(found.state == .given && found.revision?.text == "club 1.0" && found.until == nil)
        #expect(try node.engine.grantedCount(of: "p0", except: "").granted == 3)
        #expect(try node.engine.grantedCount(of: "p0", except: "p1").granted == 2)
        #expect(try node.engine.grantedCount(of: "p0", except: "").known == 5)
    }

    @Test func aClockThatIsSetBackBringsNobodyBackIntoAList() throws {
        var catalog = SampleCatalog.consents(bits: 0..<1)
        catalog.revisions.append(.init("2.0", effectiveAt: now.advanced(bySeconds: 3600)))
        let node = try TestNode(catalog)
        _ = try node.engine.record([.grant([.customer("1")], "p0")])
        #expect(names(try all(node.engine, question(.audience, "p0"))) == ["customer:1"])
        node.clockAheadMillis = 7_200_000
        _ = try node.engine.record([.grant([.customer("2")], "p0", revision: "2.0")])
        node.clockAheadMillis = 0
        #expect(node.engine.decision(.customer("1")) == .unknown)
        #expect(names(try all(node.engine, question(.audience, "p0"))) == ["customer:2"])
        var again = question(.askAgain, "p0")
        again.reasons = .outdated
        #expect(names(try all(node.engine, again)) == ["customer:1"])
        #expect(try node.engine.grantedCount(of: "p0", except: "").granted == 1)
    }

    @Test(arguments: [1, 2, 7, 1000]) func pagesOfAnySizeHoldEverybodyOnce(size: Int) throws {
        let node = try TestNode(.consents(bits: 0..<1))
        let numbers = (1...23).map { "\($0)" }
        _ = try node.engine.record(numbers.map { .grant([.customer($0)], "p0") })
        let people = try all(node.engine, question(.audience, "p0"), pageSize: size)
        #expect(names(people) == numbers.map { "customer:\($0)" })
    }

    @Test func anAudienceKnowsLinkedIdentifiersAndOnlyTheHashOfANationalID() throws {
        let node = try TestNode(.consents(bits: 0..<1))
        _ = try node.engine.record([.grant([.customer("1"), .email("a@example.no")], "p0")])
        nextMillisecond()
        let nationalID = try Identifier(type: .nationalId, value: "01019012345")
        _ = try node.engine.record([.grant([.customer("1"), nationalID], "p0")])
        let people = try all(node.engine, question(.audience, "p0"))
        let identifiers = try #require(people.first).identifiers
        #expect(identifiers.count == 3)
        #expect(identifiers.contains { $0.nationalIDHash != nil })
        #expect(!identifiers.contains(nationalID))
    }

    @Test func whoeverMayBeAskedIsListedWithTheReasonAndANoIsNot() throws {
        let node = try TestNode(
            SampleCatalog(
                [.init("p0", bit: 0), .init("p1", bit: 1), .init("receipts", bit: 2, basis: "contract")],
                revisions: [
                    .init("0.9", effectiveAt: Timestamp(iso8601: "2019-01-01")!),
                    .init("1.0", effectiveAt: SampleCatalog.begin),
                ]))
        var expired = ConsentEvent.grant([.customer("expired")], "p0")
        (expired.capturedAt, expired.expiresAt) = (secondsAgo(1000), secondsAgo(500))
        var outdated = ConsentEvent.grant([.customer("outdated")], "p0")
        outdated.revision = RevisionName(declaration: "club", revision: "0.9")
        outdated.capturedAt = Timestamp(iso8601: "2019-06-01")
        var dormant = ConsentEvent.grant([.customer("dormant")], "p0")
        dormant.capturedAt = secondsAgo(3 * Self.year)
        var awake = dormant
        awake.identifiers = [.customer("awake")]
        _ = try node.engine.record([
            .grant([.customer("never asked")], "p1"), ConsentEvent([.customer("asked")], "p0", .requested), expired,
            outdated, dormant, awake, .grant([.customer("awake")], "p1"), .grant([.customer("granted")], "p0"),
            ConsentEvent([.customer("refused")], "p0", .refused),
        ])
        func asked(_ reasons: AskAgainReasons) throws -> [String] {
            var question = question(.askAgain, "p0")
            question.reasons = reasons
            question.until = secondsAgo(2 * Self.year)
            return names(try all(node.engine, question)).map { String($0.dropFirst("customer:".count)) }
        }
        #expect(try asked(.unknown) == ["never asked"])
        #expect(try asked(.requested) == ["asked"])
        #expect(try asked(.expired) == ["expired"])
        #expect(try asked(.outdated) == ["outdated"])
        #expect(try asked(.dormant) == ["dormant"])
        #expect(try asked(.all) == ["never asked", "asked", "expired", "outdated", "dormant"])
        #expect(try asked([]) == [])
    }

    @Test func whatEndsWithinAPeriodIsListedWithItsEnd() throws {
        let coming = now.advanced(bySeconds: 1000)
        let node = try TestNode(
            SampleCatalog(
                [
                    .init("p0", bit: 0), .init("p1", bit: 1),
                    .init("yearly", bit: 2, basis: "consent", "validityDuration: P1Y"),
                ],
                revisions: [
                    .init("1.0", effectiveAt: SampleCatalog.begin),
                    .init("2.0", effectiveAt: coming, purposes: ["p0"]),
                    .init(
                        "2.1", effectiveAt: coming.advanced(bySeconds: 1), compatibleWith: "1.0", purposes: ["yearly"]),
                ]))
        var soon = ConsentEvent.grant([.customer("soon")], "p1")
        soon.expiresAt = now.advanced(bySeconds: 100)
        _ = try node.engine.record([
            soon, .grant([.customer("by revision")], "p0"), .grant([.customer("next year")], "yearly"),
        ])
        func ending(within seconds: Int64, _ purpose: String = "") throws -> [FoundPerson] {
            var question = question(.ending, purpose)
            question.until = now.advanced(bySeconds: seconds)
            return try all(node.engine, question)
        }
        #expect(names(try ending(within: 50)) == [])
        #expect(try ending(within: 200).map(\.until) == [soon.expiresAt])
        #expect(names(try ending(within: 2000)).contains("customer:by revision"))
        #expect(try ending(within: 2000, "p0").map(\.until) == [Timestamp(millis: coming.millis)])
        #expect(names(try ending(within: 2000, "p1")) == ["customer:soon"])
    }

    @Test func aBreakingRevisionListsWhomToTellBeforeAndAfterItIsApplied() throws {
        var catalog = SampleCatalog.consents(bits: 0..<2)
        let node = try TestNode(catalog)
        var over = ConsentEvent.grant([.customer("over")], "p0")
        over.expiresAt = now.advanced(bySeconds: 10)
        _ = try node.engine.record([
            .grant([.customer("1"), .email("a@example.no")], "p0"), .grant([.customer("2")], "p0"),
            .grant([.customer("2")], "p1"), .grant([.customer("3")], "p1"), over,
        ])
        nextMillisecond()
        _ = try node.engine.record([ConsentEvent([.customer("3")], "p1", .withdrawn)])
        let effectiveAt = now.advanced(bySeconds: 20)
        catalog.revisions.append(.init("2.0", effectiveAt: effectiveAt))
        var asked = PeopleQuestion(.outdatedBy)
        asked.revision = RevisionName(declaration: "club", revision: "2.0")
        #expect(throws: EngineError.self) { try node.engine.people(asked) }
        asked.document = catalog.text
        let told = ["customer:1 email:a@example.no", "customer:2", "customer:2"]
        #expect(names(try all(node.engine, asked)) == told)
        let preview = try node.engine.preview(try catalog.document).changes
        #expect(
            preview.contains(
                "2 people must be told of revision club 2.0 and asked again (p0 2, p1 1): 1 with an e-mail address, "
                    + "0 with a phone number, 1 with neither"), "\(preview)")
        _ = try node.engine.apply(try catalog.document)
        asked.document = ""
        #expect(names(try all(node.engine, asked)) == told)
        node.clockAheadMillis = 30_000
        #expect(names(try all(node.engine, asked)) == told)
        // Whoever has agreed again need not be told.
        var again = ConsentEvent.grant([.customer("2")], "p1")
        again.revision = asked.revision
        _ = try node.engine.record([again])
        #expect(names(try all(node.engine, asked)) == Array(told.dropLast()))
    }

    @Test func aCompatibleRevisionHasNobodyToTell() throws {
        var catalog = SampleCatalog.consents(bits: 0..<1)
        let node = try TestNode(catalog)
        _ = try node.engine.record([.grant([.customer("1")], "p0")])
        catalog.revisions.append(.init("1.1", effectiveAt: secondsAgo(1), compatibleWith: "1.0"))
        var asked = PeopleQuestion(.outdatedBy)
        asked.revision = RevisionName(declaration: "club", revision: "1.1")
        asked.document = catalog.text
        #expect(try all(node.engine, asked).isEmpty)
    }

    @Test func aQuestionThatMakesNoSenseIsRefusedWithItsReason() throws {
        let node = try TestNode(.manyKinds)
        func refusal(_ change: (inout PeopleQuestion) -> Void, _ selection: PeopleSelection) -> String? {
            var question = PeopleQuestion(selection)
            question.countMax = 10
            change(&question)
            do {
                _ = try node.engine.people(question)
                return nil
            } catch EngineError.questionInvalid(let reason) {
                return reason
            } catch {
                return "another: \(error)"
            }
        }
        #expect(refusal({ _ in }, .audience) == "no purpose is given")
        #expect(refusal({ $0.purpose = "nothing" }, .audience) == "the catalog has no purpose 'nothing'")
        #expect(
            refusal({ ($0.purpose, $0.except) = ("p0", "nothing") }, .audience)
                == "the catalog has no purpose 'nothing'")
        #expect(refusal({ $0.purpose = "receipts" }, .askAgain)?.contains("does not rest on consent") == true)
        #expect(refusal({ $0.purpose = "retired" }, .askAgain)?.contains("retired") == true)
        #expect(refusal({ $0.purpose = "p0" }, .askAgain)?.contains("dormant") == true)
        #expect(refusal({ _ in }, .ending) != nil)
        #expect(refusal({ $0.until = secondsAgo(1) }, .ending) != nil)
        #expect(refusal({ _ in }, .active) != nil)
        #expect(refusal({ ($0.from, $0.until) = (now, secondsAgo(1)) }, .active) != nil)
        #expect(refusal({ ($0.from, $0.until, $0.asOf) = (now, now, 99) }, .active)?.contains("not recorded") == true)
        #expect(refusal({ ($0.from, $0.until, $0.purpose) = (now, now, "nothing") }, .active) != nil)
        #expect(refusal({ ($0.from, $0.until, $0.recipient) = (now, now, "nobody") }, .active) != nil)
        #expect(refusal({ _ in }, .outdatedBy) != nil)
        #expect(throws: EngineError.self) { try node.engine.grantedCount(of: "nothing", except: "") }
    }

    /// Whatever the histories: as many identifiers as a check of each of them grants.
    @Test(arguments: 0..<3) func aCountIsTheNumberOfChecksThatGrant(_ run: Int) throws {
        var generator = SeededGenerator(salt: 700 + UInt64(run))
        let node = try TestNode(
            SampleCatalog([
                .init("p0", bit: 0), .init("p1", bit: 63), .init("mail", bit: 64, basis: "legitimate_interest"),
                .init("gone", bit: 130, basis: "contract", "active: false"),
            ]))
        let purposes = [("p0", 0), ("p1", 63), ("mail", 64), ("gone", 130)]
        let identifiers = (0..<200).map { Identifier.customer("\($0)") }
        var events: [ConsentEvent] = []
        for identifier in identifiers {
            for _ in 0..<1 + generator.below(3) {
                var event =
                    generator.oneIn(3)
                    ? ConsentEvent(
                        [identifier], generator.pick(["p0", "p1", "mail"]), generator.pick([.withdrawn, .objected]))
                    : ConsentEvent.grant([identifier], generator.pick(["p0", "p1"]))
                if event.state == .given, generator.oneIn(3) { event.expiresAt = now.advanced(bySeconds: 1000) }
                events.append(event)
            }
        }
        _ = try node.engine.record(events)
        // Only those of whom something was recorded have a row.
        let known = try identifiers.filter { try !node.engine.events($0).isEmpty }
        #expect(try node.engine.grantedCount(of: "p0", except: "").known == known.count)
        for (first, firstBit) in purposes {
            for (second, secondBit) in purposes {
                let counted = try node.engine.grantedCount(of: first, except: second)
                let checked = known.count { identifier in
                    node.engine.decision(identifier, firstBit) == .granted
                        && node.engine.decision(identifier, secondBit) != .granted
                }
                #expect(counted.granted == checked, "CONSENT_TEST_SEED=\(TestSeed.value), \(first) not \(second)")
            }
        }
    }

    // MARK: Coming of age

    @Test func whoseGuardianConsentedIsToBeAskedWhenOfAge() throws {
        let node = try TestNode(
            SampleCatalog([
                .init("young", bit: 0, basis: "consent", "minimumAge: 15"), .init("p1", bit: 1),
            ]))
        let yearAgo = secondsAgo(31_557_600 - 10 * 86_400)
        func child(_ name: String, age: Int?, at moment: Timestamp, _ party: Party = .guardian) -> ConsentEvent {
            .grant([.customer(name)], "young", at: moment).by(party).with { $0.subjectAge = age }
        }
        let outcomes = try node.engine.record([
            child("soon", age: 14, at: yearAgo), child("later", age: 13, at: yearAgo),
            child("unsaid", age: nil, at: yearAgo),
            child("overdue", age: 12, at: secondsAgo(4 * 31_557_600)),
            child("old enough", age: 15, at: yearAgo, .subject),
            child("withdrawn", age: 14, at: yearAgo), ConsentEvent([.customer("withdrawn")], "young", .withdrawn),
            .grant([.customer("soon")], "p1").by(.guardian),
        ]).outcomes
        let refused = outcomes.filter { !$0.isRecorded }
        #expect(refused.isEmpty)
        func names(_ until: Timestamp, _ purpose: String = "") throws -> [String] {
            var question = PeopleQuestion(.comingOfAge)
            (question.until, question.purpose, question.countMax) = (until, purpose, 100)
            return try node.engine.people(question).people.flatMap(\.identifiers).map(\.value)
        }
        #expect(try names(now.advanced(bySeconds: 30 * 86_400)) == ["soon", "overdue"])
        #expect(try names(now.advanced(bySeconds: 5 * 86_400), "young") == ["overdue"])
        #expect(try names(now.advanced(bySeconds: 2 * 31_557_600)) == ["soon", "later", "overdue"])
        #expect(throws: EngineError.self) { try names(now, "p1") }
        // Asked, and agreed.
        let own = child("overdue", age: 16, at: now, .subject)
        #expect(try node.engine.recordOne(own).isRecorded)
        #expect(try names(now.advanced(bySeconds: 30 * 86_400)) == ["soon"])
        try node.expectSound()
    }
}
