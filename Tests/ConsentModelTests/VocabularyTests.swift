import ConsentModel
import Testing

/// The numbers are on the wire and in ledgers: a row may be added here, never changed.
struct VocabularyTests {
    private static func table<Value: NamedInSnakeCase>(_ type: Value.Type) -> [String: UInt8] {
        Dictionary(uniqueKeysWithValues: type.allCases.map { ($0.name, $0.rawValue) })
    }

    @Test func theNumbersOfDecisionsNeverChange() {
        #expect(Self.table(Decision.self) == ["unknown": 0, "denied": 1, "granted": 2])
    }

    @Test func theNumbersOfConsentStatesNeverChange() {
        #expect(
            Self.table(ConsentState.self) == [
                "unknown": 0, "requested": 1, "deferred": 2, "refused": 3, "given": 4, "renewed": 5, "withdrawn": 6,
                "revoked": 7, "expired": 8, "invalidated": 9, "outdated_revision": 10, "objected": 11,
                "basis_holds": 12, "erased": 13,
            ])
    }

    @Test func theNumbersOfEventStatesNeverChange() {
        #expect(
            Self.table(EventState.self) == [
                "requested": 1, "deferred": 2, "refused": 3, "given": 4, "renewed": 5, "withdrawn": 6, "revoked": 7,
                "expired": 8, "invalidated": 9, "objected": 11, "erased": 13, "confirmed": 14,
                "objection_lifted": 15,
            ])
    }

    @Test func theNumbersOfBasesNeverChange() {
        #expect(
            Self.table(LawfulBasis.self) == [
                "consent": 0, "contract": 1, "legal_obligation": 2, "vital_interest": 3, "public_task": 4,
                "legitimate_interest": 5,
            ])
    }

    @Test func theNumbersOfMethodsNeverChange() {
        #expect(
            Self.table(EvidenceMethod.self) == [
                "none": 0, "ticked_box": 1, "button": 2, "signature": 3, "spoken": 4, "double_opt_in": 5, "paper": 6,
                "electronic_id": 7, "preticked": 64, "silence": 65, "implied": 66, "bundled": 67,
            ])
    }

    @Test func theNumbersOfPartiesNeverChange() {
        #expect(
            Self.table(Party.self) == ["subject": 0, "guardian": 1, "controller": 2, "authority": 3, "system": 4])
    }

    @Test func theNumbersOfGuardianRelationsNeverChange() {
        #expect(Self.table(GuardianRelation.self) == ["parent": 1, "legal_guardian": 2, "institution": 3])
    }

    @Test func theNumbersOfIdentifierTypesNeverChange() {
        #expect(
            Self.table(IdentifierType.self) == [
                "customer": 1, "email": 2, "phone": 3, "device": 4, "cookie": 5, "advertising": 6, "loyalty_card": 7,
                "national_id": 8, "other": 15,
            ])
    }

    @Test func theNumbersOfFreshnessNeverChange() {
        #expect(Self.table(Freshness.self) == ["live": 0, "stale": 1, "unavailable": 2])
    }

    private static func expectNamesRoundTrip<Value: NamedInSnakeCase & Equatable>(_ type: Value.Type) {
        for value in type.allCases {
            #expect(Value(name: value.name) == value)
            #expect(Value(name: value.name.uppercased()) == nil)
            #expect(Value(name: value.name + " ") == nil)
            #expect(type.names.split(separator: ", ").contains(Substring(value.name)))
        }
        #expect(Value(name: "") == nil)
    }

    @Test func namesRoundTrip() {
        Self.expectNamesRoundTrip(Decision.self)
        Self.expectNamesRoundTrip(ConsentState.self)
        Self.expectNamesRoundTrip(EventState.self)
        Self.expectNamesRoundTrip(LawfulBasis.self)
        Self.expectNamesRoundTrip(EvidenceMethod.self)
        Self.expectNamesRoundTrip(Party.self)
        Self.expectNamesRoundTrip(GuardianRelation.self)
        Self.expectNamesRoundTrip(IdentifierType.self)
        Self.expectNamesRoundTrip(Freshness.self)
    }

    @Test func anEventsStateHasTheNumberAndNameOfTheConsentStateItLeadsTo() {
        for event in EventState.allCases where event.rawValue <= ConsentState.erased.rawValue {
            #expect(ConsentState(rawValue: event.rawValue)?.name == event.name)
        }
    }

    @Test func onlyThreeStatesGrant() {
        let granting = ConsentState.allCases.filter { $0.decision == .granted }
        #expect(granting == [.given, .renewed, .basisHolds])
        let denying = ConsentState.allCases.filter { $0.decision == .denied }
        #expect(denying == [.refused, .withdrawn, .revoked, .invalidated, .objected])
    }

    @Test func zeroPermitsNothing() {
        #expect(Decision(rawValue: 0) == .unknown)
        #expect(ConsentState(rawValue: 0)?.decision == .unknown)
    }

    @Test func noStateBothGrantsAndTakesAway() {
        #expect(EventState.allCases.filter(\.isGrant) == [.given, .renewed])
        #expect(
            EventState.allCases.filter(\.takesAway)
                == [.refused, .withdrawn, .revoked, .invalidated, .objected, .erased])
        #expect(EventState.allCases.filter(\.isInternal) == [.expired, .erased])
    }

    @Test func onlyActsOfThePersonAreConsent() {
        let refused = EvidenceMethod.allCases.filter { !$0.isActiveConsent }
        #expect(refused == [.none, .preticked, .silence, .implied, .bundled])
    }

    @Test func onlyTwoBasesCanBeObjectedTo() {
        #expect(LawfulBasis.allCases.filter(\.canBeObjectedTo) == [.publicTask, .legitimateInterest])
    }
}
