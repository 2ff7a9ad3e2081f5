import ConsentModel
import ConsentTestSupport
import Testing

struct AdmissionTests {
    private static let now = Timestamp(iso8601: "2026-06-01T12:00:00Z")!  // A literal that is a time.
    private static let text = DeclarationText(title: "Club", body: "We write to you.", plain: "We write to you.")

    private static let catalog: Catalog = {
        func purpose(_ id: String, bit: Int, _ basis: LawfulBasis) -> Purpose {
            Purpose(id: id, bit: bit, controller: "club", title: [:], basis: basis)
        }
        var marketing = purpose("marketing", bit: 3, .legitimateInterest)
        marketing.isDirectMarketing = true
        var profiling = purpose("profiling", bit: 4, .legitimateInterest)
        profiling.isProfiling = true
        var retired = purpose("retired", bit: 5, .consent)
        retired.isActive = false
        let purposes = [
            purpose("newsletter", bit: 0, .consent), purpose("order", bit: 1, .contract),
            purpose("fraud", bit: 2, .legitimateInterest), marketing, profiling, retired,
            purpose("library", bit: 6, .publicTask), purpose("sms", bit: 7, .consent),
            purpose("invoices", bit: 8, .legalObligation), purpose("emergency", bit: 9, .vitalInterest),
        ]
        func revision(_ name: String, _ from: String) -> Revision {
            Revision(
                name: name, effectiveAt: Timestamp(iso8601: from) ?? now, texts: ["nb": text, "en": text],
                purposes: ["newsletter", "retired", "order"])
        }
        let club = Declaration(
            id: "club",
            revisions: [
                revision("1.0", "2025-01-01"), revision("1.1", "2026-01-01"), revision("2.0", "2026-09-01"),
            ])
        return Catalog(purposes: purposes, declarations: [club])
    }()

    private static func event(_ state: EventState, purpose: String = "newsletter") throws -> ConsentEvent {
        ConsentEvent(
            identifiers: [try Identifier(type: .email, value: "kari@example.no")], purpose: purpose, state: state)
    }

    private static func grant(_ change: (inout ConsentEvent) -> Void = { _ in }) throws -> ConsentEvent {
        var event = try event(.given)
        event.revision = RevisionName(declaration: "club", revision: "1.1")
        event.language = "nb"
        event.method = .tickedBox
        event.key = IdempotencyKey(high: 1, low: 1)
        change(&event)
        return event
    }

    private static func refusal(_ event: ConsentEvent) -> AdmissionError? {
        do throws(AdmissionError) {
            _ = try admit(event, catalog: catalog, now: now)
            return nil
        } catch { return error }
    }

    private static let takingsAway: [EventState] = [.refused, .withdrawn, .revoked, .invalidated, .objected]

    // What is let in.

    @Test func aCompleteGrantIsAdmittedUnchanged() throws {
        let grant = try Self.grant { $0.capturedAt = Timestamp(millis: Self.now.millis - 1) }
        let (admitted, purpose) = try admit(grant, catalog: Self.catalog, now: Self.now)
        #expect(admitted == grant)
        #expect(purpose.id == "newsletter")
    }

    @Test func anActWithoutACaptureTimeWasCapturedNow() throws {
        let (admitted, _) = try admit(try Self.grant(), catalog: Self.catalog, now: Self.now)
        #expect(admitted.capturedAt == Self.now)
    }

    @Test(arguments: [EventState.given, .renewed])
    func bothKindsOfGrantAreJudgedAlike(_ state: EventState) throws {
        #expect(Self.refusal(try Self.grant { $0.state = state }) == nil)
        #expect(Self.refusal(try Self.event(state)) == .methodMissing)
    }

    @Test(arguments: takingsAway)
    func aNoNeedsNothingButThePersonAndThePurpose(_ state: EventState) throws {
        for purpose in ["newsletter", "fraud", "marketing", "profiling", "library", "sms"] {
            #expect(Self.refusal(try Self.event(state, purpose: purpose)) == nil, "\(purpose)")
        }
    }

    @Test(arguments: takingsAway)
    func aNoIsAdmittedOnARetiredPurpose(_ state: EventState) throws {
        #expect(Self.refusal(try Self.event(state, purpose: "retired")) == nil)
    }

    @Test(arguments: EvidenceMethod.allCases)
    func aWithdrawalIsAdmittedByAnyMethod(_ method: EvidenceMethod) throws {
        var event = try Self.event(.withdrawn)
        event.method = method
        #expect(Self.refusal(event) == nil)
    }

    @Test func aWithdrawalMayNameARevisionThatIsNotCurrent() throws {
        var event = try Self.event(.withdrawn)
        event.revision = RevisionName(declaration: "club", revision: "1.0")
        #expect(Self.refusal(event) == nil)
    }

    @Test(arguments: [EventState.requested, .deferred, .confirmed])
    func askingAndConfirmingNeedNoEvidence(_ state: EventState) throws {
        #expect(Self.refusal(try Self.event(state)) == nil)
    }

    @Test(arguments: [EventState.requested, .deferred, .confirmed, .objectionLifted])
    func whatIsNeitherAGrantNorANoMayNameAnyRevisionThatExists(_ state: EventState) throws {
        var event = try Self.event(state)
        for revision in ["1.0", "1.1", "2.0"] {
            event.revision = RevisionName(declaration: "club", revision: revision)
            #expect(Self.refusal(event) == nil, "\(revision)")
        }
    }

    // What a "no" can do without is dropped.

    private static func admitted(_ event: ConsentEvent) throws -> ConsentEvent {
        try admit(event, catalog: catalog, now: now).event
    }

    @Test(arguments: takingsAway)
    func aNoLosesARevisionThatNobodyKnows(_ state: EventState) throws {
        for (declaration, revision) in [("guild", "1.0"), ("club", "9.9"), ("", ""), ("club", "")] {
            var event = try Self.event(state)
            event.revision = RevisionName(declaration: declaration, revision: revision)
            var expected = event
            expected.revision = nil
            expected.capturedAt = Self.now
            #expect(try Self.admitted(event) == expected)
        }
    }

    @Test(arguments: takingsAway)
    func aNoLosesAnAgeThatNobodyHas(_ state: EventState) throws {
        for age in [-1, 151, .min, .max] {
            var event = try Self.event(state)
            event.subjectAge = age
            #expect(try Self.admitted(event).subjectAge == nil, "\(age)")
        }
    }

    @Test(arguments: takingsAway)
    func aNoWithAnOddCaptureTimeWasCapturedNow(_ state: EventState) throws {
        let limit = Self.now.millis + Limit.captureSkewMillis
        let odd: [Int64] = [Self.now.millis + 1, limit, limit + 1, .max, -1, .min]
        for millis in odd {
            var event = try Self.event(state)
            event.capturedAt = Timestamp(millis: millis)
            #expect(try Self.admitted(event).capturedAt == Self.now, "\(millis)")
        }
    }

    @Test(arguments: takingsAway)
    func aNoLosesTextsThatAreTooLong(_ state: EventState) throws {
        let (long, evidence) = (
            String(repeating: "ø", count: Limit.shortTextSizeMax), String(repeating: "x", count: Limit.evidenceSizeMax)
        )
        var event = try Self.event(state)
        (event.language, event.actor) = (long, long)
        event.source = EventSource(system: long, channel: "phone", form: long)
        event.revision = RevisionName(declaration: long, revision: "1.0")
        event.evidence = evidence + "x"
        var expected = try Self.event(state)
        expected.source = EventSource(system: "", channel: "phone", form: "")
        expected.capturedAt = Self.now
        #expect(try Self.admitted(event) == expected)
        event.evidence = evidence
        #expect(try Self.admitted(event).evidence == evidence)
    }

    @Test(arguments: takingsAway)
    func aNoLosesAnIdentifierThatIsNoneIfAnotherIsLeft(_ state: EventState) throws {
        let hash = Identifier(nationalIDHash: [UInt8](0..<16))
        var event = try Self.event(state)
        let sound = event.identifiers
        event.identifiers.insert(hash, at: 0)
        #expect(try Self.admitted(event).identifiers == sound)
        event.identifiers = [hash]
        #expect(Self.refusal(event) == .nationalIDIsHash)
    }

    @Test(arguments: takingsAway)
    func aNoKeepsWhatIsRight(_ state: EventState) throws {
        for millis in [1, 2, Self.now.millis - 1, Self.now.millis] {
            for age in [0, 13, 150] {
                var event = try Self.event(state)
                event.capturedAt = Timestamp(millis: millis)
                event.subjectAge = age
                event.revision = RevisionName(declaration: "club", revision: "1.0")
                #expect(try Self.admitted(event) == event)
            }
        }
    }

    @Test(arguments: takingsAway)
    func aNoWithEverythingWrongAtOnceIsAdmittedFromAnybody(_ state: EventState) throws {
        for party in Party.allCases {
            var event = try Self.event(state, purpose: "retired")
            event.party = party
            event.capturedAt = Timestamp(millis: .min)
            event.subjectAge = -1
            event.revision = RevisionName(declaration: "guild", revision: "9.9")
            event.language = "fi"
            event.method = .bundled
            event.expiresAt = Timestamp(millis: 0)
            var expected = event
            expected.capturedAt = Self.now
            expected.subjectAge = nil
            expected.revision = nil
            #expect(try Self.admitted(event) == expected)
        }
    }

    @Test func whatIsNoNoIsRefusedForTheSameFaults() throws {
        let name = RevisionName(declaration: "guild", revision: "9.9")
        let (early, late) = (Timestamp(millis: -1), Timestamp(millis: Self.now.millis + Limit.captureSkewMillis + 1))
        for state in [EventState.requested, .deferred, .confirmed, .objectionLifted] {
            var event = try Self.event(state)
            event.revision = name
            #expect(Self.refusal(event) == .revisionUnknown(name))
            event.revision = nil
            event.subjectAge = 151
            #expect(Self.refusal(event) == .ageImplausible(151))
            event.subjectAge = nil
            event.capturedAt = early
            #expect(Self.refusal(event) == .capturedTooEarly(early))
            event.capturedAt = late
            #expect(Self.refusal(event) == .capturedInFuture(late, now: Self.now))
        }
    }

    // Who consents.

    @Test(arguments: [EventState.given, .renewed, .confirmed], [Party.controller, .authority, .system])
    func refusesConsentByAnybodyButThePersonAndAGuardian(_ state: EventState, _ party: Party) throws {
        let event = try Self.grant {
            $0.state = state
            $0.party = party
        }
        #expect(Self.refusal(event) == .partyCannotConsent(party))
        #expect(AdmissionError.partyCannotConsent(party).description.contains(party.name))
    }

    @Test(arguments: [EventState.given, .renewed, .confirmed], [Party.subject, .guardian])
    func admitsConsentByThePersonAndAGuardian(_ state: EventState, _ party: Party) throws {
        let event = try Self.grant { $0.state = state }.by(party)
        #expect(Self.refusal(event) == nil)
    }

    // Who the guardian is.

    @Test(arguments: [EventState.given, .renewed, .confirmed])
    func refusesAConsentByAGuardianWhoIsNotNamed(_ state: EventState) throws {
        let event = try Self.grant {
            $0.state = state
            $0.party = .guardian
        }
        #expect(Self.refusal(event) == .guardianMissing)
        for relation in GuardianRelation.allCases {
            #expect(AdmissionError.guardianMissing.description.contains(relation.name))
            #expect(Self.refusal(event.by(.guardian, Guardian(relation, .email("anne@example.no")))) == nil)
        }
    }

    @Test(arguments: [EventState.requested, .deferred, .objectionLifted])
    func whatIsNoConsentNeedsNoGuardianNamed(_ state: EventState) throws {
        #expect(Self.refusal(try Self.event(state, purpose: "newsletter").with { $0.party = .guardian }) == nil)
    }

    @Test(arguments: [EventState.given, .requested, .confirmed, .objectionLifted], [Party.subject, .controller])
    func refusesToNameAGuardianWhereNoneActs(_ state: EventState, _ party: Party) throws {
        let event = try Self.grant {
            $0.state = state
            $0.party = party
            $0.guardian = .anne
        }
        #expect(Self.refusal(event) == .guardianWithoutPart(party))
    }

    @Test(arguments: [EventState.given, .requested, .confirmed])
    func refusesThePersonAsTheOwnGuardian(_ state: EventState) throws {
        for type in IdentifierType.allCases {
            let value = type == .nationalId ? "13065012345" : type == .phone ? "+4722334455" : "a-name@example.no"
            let identifier = Identifier.make(type, value)
            let event = try Self.grant {
                $0.state = state
                $0.identifiers.append(identifier)
            }.by(.guardian, Guardian(.parent, identifier))
            // A family has one phone, and one browser.
            #expect(Self.refusal(event) == (type.isOfOnePerson ? .guardianIsPerson(identifier) : nil))
        }
    }

    @Test(arguments: takingsAway)
    func aNoIsNotRefusedForAGuardian(_ state: EventState) throws {
        var event = try Self.event(state)
        event.guardian = .anne
        #expect(try Self.admitted(event).guardian == nil)
        event.party = .guardian
        #expect(try Self.admitted(event).guardian == .anne)
        event.guardian = nil
        #expect(Self.refusal(event) == nil)
    }

    @Test func noTextThatStaysForEverNamesTheGuardian() throws {
        let texts: [WritableKeyPath<ConsentEvent, String>] = [
            \.actor, \.source.system, \.source.channel, \.source.form,
        ]
        for (text, field) in zip(texts, ["actor", "source.system", "source.channel", "source.form"]) {
            let event = try Self.grant { $0[keyPath: text] = "for ANNE.Nordmann@example.no" }.by(.guardian)
            #expect(Self.refusal(event) == .textNamesPerson(field: field))
        }
        #expect(Self.refusal(try Self.grant { $0.evidence = "anne.nordmann@example.no called" }.by(.guardian)) == nil)
    }

    @Test(arguments: [EventState.requested, .deferred], Party.allCases)
    func anybodyMayRecordThatAPersonWasAsked(_ state: EventState, _ party: Party) throws {
        var event = try Self.event(state)
        event.party = party
        #expect(Self.refusal(event) == nil)
    }

    @Test func aBareConfirmationByAnybodyElseIsRefusedToo() throws {
        var event = try Self.event(.confirmed)
        event.party = .system
        #expect(Self.refusal(event) == .partyCannotConsent(.system))
    }

    @Test(arguments: EvidenceMethod.allCases)
    func aConfirmationIsAnActOfConsentOrSaysNothingOfHow(_ method: EvidenceMethod) throws {
        var event = try Self.event(.confirmed)
        event.method = method
        let isRefused = [EvidenceMethod.preticked, .silence, .implied, .bundled].contains(method)
        #expect(Self.refusal(event) == (isRefused ? .methodIsNotConsent(method) : nil))
    }

    // Identifiers.

    @Test func refusesAnEventThatNamesNobody() throws {
        #expect(Self.refusal(try Self.grant { $0.identifiers = [] }) == .identifierMissing)
    }

    @Test func refusesMoreIdentifiersThanTheLimit() throws {
        let all = try (0...Limit.identifiersPerEventMax).map { try Identifier(type: .customer, value: "\($0)") }
        #expect(Self.refusal(try Self.grant { $0.identifiers = Array(all.dropLast()) }) == nil)
        #expect(Self.refusal(try Self.grant { $0.identifiers = all }) == .identifiersTooMany(all.count))
    }

    // Purposes and states.

    @Test(arguments: [EventState.given, .withdrawn, .objected])
    func refusesAnUnknownPurpose(_ state: EventState) throws {
        #expect(Self.refusal(try Self.event(state, purpose: "guild")) == .purposeUnknown("guild"))
    }

    @Test(arguments: [EventState.expired, .erased])
    func refusesWhatOnlyTheNodeItselfRecords(_ state: EventState) throws {
        for purpose in ["newsletter", "order", "fraud"] {
            #expect(Self.refusal(try Self.event(state, purpose: purpose)) == .stateIsInternal(state))
        }
    }

    @Test(arguments: [("order", LawfulBasis.contract), ("invoices", .legalObligation), ("emergency", .vitalInterest)])
    func refusesAWithdrawalOfAPurposeThatCannotBeWithdrawnAndNamesTheBasis(
        purpose: String, basis: LawfulBasis
    ) throws {
        for state in Self.takingsAway {
            #expect(
                Self.refusal(try Self.event(state, purpose: purpose))
                    == .basisCannotBeWithdrawn(purpose: purpose, basis))
        }
        #expect(AdmissionError.basisCannotBeWithdrawn(purpose: purpose, basis).description.contains(basis.name))
    }

    @Test(arguments: [("order", LawfulBasis.contract), ("fraud", .legitimateInterest), ("library", .publicTask)])
    func refusesConsentToAPurposeThatNeedsNone(purpose: String, basis: LawfulBasis) throws {
        for state in [EventState.given, .renewed, .requested, .deferred, .confirmed] {
            let event = try Self.grant {
                $0.purpose = purpose
                $0.state = state
            }
            #expect(Self.refusal(event) == .basisNeedsNoConsent(purpose: purpose, basis))
        }
    }

    @Test(arguments: [EventState.given, .renewed, .requested, .deferred, .confirmed])
    func refusesConsentToARetiredPurpose(_ state: EventState) throws {
        let event = try Self.grant {
            $0.purpose = "retired"
            $0.state = state
        }
        #expect(Self.refusal(event) == .purposeInactive("retired"))
    }

    @Test(arguments: ["marketing", "profiling"], [Party.controller, .authority, .system])
    func refusesToLiftAnAbsoluteObjectionForAnybodyButThePerson(purpose: String, party: Party) throws {
        var event = try Self.event(.objectionLifted, purpose: purpose)
        event.party = party
        #expect(Self.refusal(event) == .objectionIsAbsolute(purpose: purpose))
    }

    @Test(arguments: ["marketing", "profiling", "fraud"], [Party.subject, .guardian])
    func admitsThePersonLiftingAnObjection(purpose: String, party: Party) throws {
        var event = try Self.event(.objectionLifted, purpose: purpose)
        event.party = party
        #expect(Self.refusal(event) == nil)
    }

    @Test func admitsAControllerLiftingAnObjectionThatIsNotAbsolute() throws {
        var event = try Self.event(.objectionLifted, purpose: "fraud")
        event.party = .controller
        #expect(Self.refusal(event) == nil)
    }

    // Evidence of a grant.

    @Test func refusesAGrantThatDoesNotSayHowThePersonActed() throws {
        #expect(Self.refusal(try Self.grant { $0.method = .none }) == .methodMissing)
    }

    @Test(arguments: [EvidenceMethod.preticked, .silence, .implied, .bundled])
    func refusesWhatIsNoActOfConsent(_ method: EvidenceMethod) throws {
        #expect(Self.refusal(try Self.grant { $0.method = method }) == .methodIsNotConsent(method))
    }

    @Test(arguments: [
        EvidenceMethod.tickedBox, .button, .signature, .spoken, .doubleOptIn, .paper, .electronicId,
    ])
    func admitsEveryActOfConsent(_ method: EvidenceMethod) throws {
        #expect(Self.refusal(try Self.grant { $0.method = method }) == nil)
    }

    @Test func refusesAGrantThatNamesNoDeclaration() throws {
        #expect(Self.refusal(try Self.grant { $0.revision = nil }) == .declarationMissing)
    }

    @Test func refusesAGrantOnAnUnknownDeclaration() throws {
        let name = RevisionName(declaration: "guild", revision: "1.1")
        #expect(Self.refusal(try Self.grant { $0.revision = name }) == .declarationUnknown("guild"))
    }

    @Test func refusesAGrantOnAnUnknownRevision() throws {
        let name = RevisionName(declaration: "club", revision: "9.9")
        #expect(Self.refusal(try Self.grant { $0.revision = name }) == .revisionUnknown(name))
    }

    @Test func refusesAGrantToAPurposeThatTheRevisionDoesNotCover() throws {
        let name = RevisionName(declaration: "club", revision: "1.1")
        #expect(
            Self.refusal(try Self.grant { $0.purpose = "sms" }) == .revisionLacksPurpose(name, purpose: "sms"))
    }

    @Test(arguments: ["1.0", "2.0"])
    func refusesAGrantOnARevisionThatIsNotCurrentAndNamesTheCurrentOne(_ revision: String) throws {
        let name = RevisionName(declaration: "club", revision: revision)
        #expect(Self.refusal(try Self.grant { $0.revision = name }) == .revisionNotCurrent(name, current: "1.1"))
    }

    @Test func theRevisionThatWasCurrentAtTheCaptureCounts() throws {
        let then = Timestamp(iso8601: "2025-12-31T23:59:59.999Z")
        let old = RevisionName(declaration: "club", revision: "1.0")
        let new = RevisionName(declaration: "club", revision: "1.1")
        let onOld = try Self.grant {
            $0.capturedAt = then
            $0.revision = old
        }
        let onNew = try Self.grant {
            $0.capturedAt = then
            $0.revision = new
        }
        #expect(Self.refusal(onOld) == nil)
        #expect(Self.refusal(onNew) == .revisionNotCurrent(new, current: "1.0"))
    }

    @Test func refusesAGrantFromBeforeTheFirstRevision() throws {
        let name = RevisionName(declaration: "club", revision: "1.0")
        let event = try Self.grant {
            $0.capturedAt = Timestamp(iso8601: "2024-12-31")
            $0.revision = name
        }
        #expect(Self.refusal(event) == .revisionNotCurrent(name, current: nil))
    }

    @Test(arguments: ["", "fi", "NB"])
    func refusesAGrantInALanguageThatTheRevisionWasNotShownIn(_ language: String) throws {
        let name = RevisionName(declaration: "club", revision: "1.1")
        #expect(
            Self.refusal(try Self.grant { $0.language = language }) == .languageUnknown(name, language: language))
    }

    @Test func refusesAGrantThatEndsBeforeItBegins() throws {
        #expect(Self.refusal(try Self.grant { $0.expiresAt = Self.now }) == .endsBeforeCapture)
        let later = Timestamp(millis: Self.now.millis + 1)
        #expect(Self.refusal(try Self.grant { $0.expiresAt = later }) == nil)
    }

    // Times, ages, texts.

    @Test func refusesACaptureBeyondTheSkewOfClocks() throws {
        let limit = Self.now.millis + Limit.captureSkewMillis
        #expect(Self.refusal(try Self.grant { $0.capturedAt = Timestamp(millis: limit) }) == nil)
        let beyond = Timestamp(millis: limit + 1)
        #expect(Self.refusal(try Self.grant { $0.capturedAt = beyond }) == .capturedInFuture(beyond, now: Self.now))
    }

    @Test(arguments: [EventState.given, .renewed, .requested, .deferred, .confirmed, .objectionLifted])
    func aCaptureAheadOfNowIsNow(_ state: EventState) throws {
        for ahead in [1, 1000, Limit.captureSkewMillis] {
            let event = try Self.grant {
                $0.state = state
                $0.capturedAt = Timestamp(millis: Self.now.millis + ahead)
            }
            var expected = event
            expected.capturedAt = Self.now
            #expect(try Self.admitted(event) == expected, "\(ahead)")
        }
    }

    /// The node would date it anew each time that it is sent, and so resurrect a consent that was withdrawn between.
    @Test(arguments: [EventState.given, .renewed, .requested, .deferred, .confirmed, .objectionLifted])
    func refusesACaptureAheadOfNowThatNoKeyMakesKnownAgain(_ state: EventState) throws {
        let ahead = Timestamp(millis: Self.now.millis + 1)
        let event = try Self.grant {
            $0.state = state
            $0.capturedAt = ahead
            $0.key = nil
        }
        #expect(Self.refusal(event) == .capturedInFuture(ahead, now: Self.now))
    }

    @Test(arguments: [EventState.given, .renewed, .requested, .deferred, .confirmed, .objectionLifted])
    func refusesACaptureBefore1970(_ state: EventState) throws {
        for millis in [0, -1, -86_400_000, Int64.min] {
            let time = Timestamp(millis: millis)
            let event = try Self.grant {
                $0.state = state
                $0.capturedAt = time
            }
            #expect(Self.refusal(event) == .capturedTooEarly(time))
        }
        var first = try Self.event(state)
        first.capturedAt = Timestamp(millis: 1)
        if !state.isGrant { #expect(Self.refusal(first) == nil) }
    }

    @Test func aGrantFromTheFirstMomentOf1970IsNotTooEarlyButHasNoRevision() throws {
        let name = RevisionName(declaration: "club", revision: "1.0")
        let event = try Self.grant {
            $0.capturedAt = Limit.captureMin
            $0.revision = name
        }
        #expect(Self.refusal(event) == .revisionNotCurrent(name, current: nil))
    }

    /// Five minutes fast, a till already sees the revision that comes in a minute.
    @Test func theRevisionInForceHereCountsForAFastClock() throws {
        let coming = try #require(Timestamp(iso8601: "2026-09-01"))
        let now = Timestamp(millis: coming.millis - 60_000)
        let ahead = Timestamp(millis: coming.millis + 60_000)
        func refusal(_ revision: String) throws -> AdmissionError? {
            let event = try Self.grant {
                $0.capturedAt = ahead
                $0.revision = RevisionName(declaration: "club", revision: revision)
            }
            do throws(AdmissionError) {
                _ = try admit(event, catalog: Self.catalog, now: now)
                return nil
            } catch { return error }
        }
        let name = RevisionName(declaration: "club", revision: "2.0")
        #expect(try refusal("1.1") == nil)
        #expect(try refusal("2.0") == .revisionNotCurrent(name, current: "1.1"))
    }

    @Test func anEndIsMeasuredAgainstNowForAFastClock() throws {
        func refusal(endingAt millis: Int64) throws -> AdmissionError? {
            Self.refusal(
                try Self.grant {
                    $0.capturedAt = Timestamp(millis: Self.now.millis + 60_000)
                    $0.expiresAt = Timestamp(millis: Self.now.millis + millis)
                })
        }
        #expect(try refusal(endingAt: 0) == .endsBeforeCapture)
        #expect(try refusal(endingAt: 1) == nil)
    }

    @Test func refusesAnAgeThatNobodyHas() throws {
        for age in [0, 13, 150] { #expect(Self.refusal(try Self.grant { $0.subjectAge = age }) == nil) }
        for age in [-1, 151, .min, .max] {
            #expect(Self.refusal(try Self.grant { $0.subjectAge = age }) == .ageImplausible(age))
        }
    }

    @Test func refusesAnUnknownRevisionEvenWhereNoneIsNeeded() throws {
        var event = try Self.event(.requested)
        let name = RevisionName(declaration: "club", revision: "9.9")
        event.revision = name
        #expect(Self.refusal(event) == .revisionUnknown(name))
    }

    @Test func refusesTextsBeyondTheirLimitsByName() throws {
        let short = String(repeating: "x", count: Limit.shortTextSizeMax)
        let fields: [(String, (inout ConsentEvent, String) -> Void)] = [
            ("source.system", { $0.source.system = $1 }), ("source.channel", { $0.source.channel = $1 }),
            ("source.form", { $0.source.form = $1 }), ("actor", { $0.actor = $1 }),
        ]
        for (field, set) in fields {
            #expect(Self.refusal(try Self.grant { set(&$0, short) }) == nil, "\(field)")
            #expect(
                Self.refusal(try Self.grant { set(&$0, short + "x") })
                    == .textTooLong(field: field, size: short.utf8.count + 1, sizeMax: Limit.shortTextSizeMax))
        }
        for (field, set) in [
            ("language", { $0.language = $1 }),
            ("declaration", { $0.revision = RevisionName(declaration: $1, revision: "1.1") }),
            ("revision", { $0.revision = RevisionName(declaration: "club", revision: $1) }),
        ] as [(String, (inout ConsentEvent, String) -> Void)] {
            #expect(
                Self.refusal(try Self.grant { set(&$0, short + "x") })
                    == .textTooLong(field: field, size: short.utf8.count + 1, sizeMax: Limit.shortTextSizeMax))
        }
    }

    @Test func theSizeOfATextIsCountedInBytes() throws {
        let text = String(repeating: "ø", count: Limit.shortTextSizeMax / 2 + 1)
        #expect(
            Self.refusal(try Self.grant { $0.actor = text })
                == .textTooLong(field: "actor", size: text.utf8.count, sizeMax: Limit.shortTextSizeMax))
    }

    @Test func refusesEvidenceBeyondItsLimit() throws {
        let most = String(repeating: "x", count: Limit.evidenceSizeMax)
        #expect(Self.refusal(try Self.grant { $0.evidence = most }) == nil)
        #expect(
            Self.refusal(try Self.grant { $0.evidence = most + "x" })
                == .textTooLong(field: "evidence", size: most.utf8.count + 1, sizeMax: Limit.evidenceSizeMax))
    }

    // The door and the decision agree.

    @Test func aGrantThatIsAdmittedOnAPlainPurposeIsGranted() throws {
        let (event, purpose) = try admit(try Self.grant(), catalog: Self.catalog, now: Self.now)
        let recorded = RecordedEvent(
            sequence: 1, subject: 1, recordedAt: Self.now, event: event, refersTo: 0, hash: [])
        let verdict = decide([Act(recorded)], catalog: Self.catalog, purpose: purpose, at: Self.now)
        #expect(verdict.reason == .given)
        #expect(verdict.grantedUntil == Timestamp(iso8601: "2026-09-01"))
    }

    /// What the door lets in, recorded in the order in which it comes, as the node's clock goes on by a minute.
    private static func reason(of events: [ConsentEvent]) throws -> ConsentState {
        var history: [Act] = []
        var clock = now
        for (position, event) in events.enumerated() {
            clock.millis += 60_000
            let admitted = try admit(event, catalog: catalog, now: clock).event
            history.append(
                Act(
                    RecordedEvent(
                        sequence: UInt64(position + 1), subject: 1, recordedAt: clock, event: admitted, refersTo: 0,
                        hash: [])))
        }
        return decide(history, catalog: catalog, purpose: try #require(catalog.purpose(id: "newsletter")), at: clock)
            .reason
    }

    @Test(arguments: takingsAway)
    func aGrantFromAFastClockDoesNotOutrankTheNoThatFollowsIt(_ state: EventState) throws {
        let fast = try Self.grant { $0.capturedAt = Timestamp(millis: Self.now.millis + 60_000 + 299_000) }
        let expected = try #require(ConsentState(name: state.name))
        #expect(try Self.reason(of: [fast, try Self.event(state)]) == expected)
    }

    @Test(arguments: takingsAway)
    func aNoFromABrokenClockTakesEffectAndCanBeFollowedByAGrant(_ state: EventState) throws {
        let expected = try #require(ConsentState(name: state.name))
        for millis in [Int64.min, -1, 0, .max] {
            var broken = try Self.event(state)
            broken.capturedAt = Timestamp(millis: millis)
            #expect(try Self.reason(of: [try Self.grant(), broken]) == expected, "\(millis)")
            #expect(try Self.reason(of: [try Self.grant(), broken, try Self.grant()]) == .given, "\(millis)")
        }
    }
}
