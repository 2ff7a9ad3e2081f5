import ConsentModel
import Testing

/// When a grant may end with no act of anyone: the cases of a coming revision and a period, by hand.
struct GrantedUntilTests {
    private static func day(_ text: String) throws -> Timestamp { try #require(Timestamp(iso8601: text)) }

    private static func catalog(_ revisions: [Revision]) -> Catalog {
        Catalog(
            dataCategories: [
                DataCategory(id: "health", name: "Health", isSpecial: true),
                DataCategory(id: "purchases", name: "Purchases", isSpecial: false),
            ],
            declarations: [Declaration(id: "club", revisions: revisions)])
    }

    private static func revision(
        _ name: String, _ from: String, _ categories: [String] = [], after older: String? = nil,
        purposes: [String] = ["newsletter"]
    ) throws -> Revision {
        Revision(
            name: name, effectiveAt: try day(from), purposes: purposes, dataCategories: categories,
            compatibleWith: older)
    }

    private static func verdict(
        _ revisions: [Revision], agreedTo agreed: String = "1.0", isExplicit: Bool = false, validity: String? = nil,
        at clock: String = "2026-06-01"
    ) throws -> Verdict {
        var purpose = Purpose(id: "newsletter", bit: 0, controller: "club", title: [:], basis: .consent)
        purpose.validity = validity.flatMap { Period(iso8601: $0) }
        var grant = Act(sequence: 1, state: .given, capturedAt: try day("2026-03-01"))
        grant.revision = RevisionName(declaration: "club", revision: agreed)
        grant.isExplicit = isExplicit
        return decide([grant], catalog: catalog(revisions), purpose: purpose, at: try day(clock))
    }

    @Test func aComingRevisionWithSpecialDataEndsAConsentThatIsNotExplicit() throws {
        let revisions = [
            try Self.revision("1.0", "2026-01-01", ["purchases"]),
            try Self.revision("1.1", "2026-07-01", ["purchases"], after: "1.0"),
            try Self.revision("1.2", "2026-08-01", ["purchases", "health"], after: "1.1"),
            try Self.revision("1.3", "2026-09-01", ["purchases"], after: "1.2"),
            try Self.revision("2.0", "2026-10-01"),
        ]
        #expect(try Self.verdict(revisions).grantedUntil == (try Self.day("2026-08-01")))
        #expect(try Self.verdict(revisions, isExplicit: true).grantedUntil == (try Self.day("2026-10-01")))
        // Suspended while that revision is in force, and back with the next.
        let suspended = try Self.verdict(revisions, at: "2026-08-01")
        #expect(suspended.reason == .requested)
        #expect(suspended.grantedUntil == nil)
        let back = try Self.verdict(revisions, at: "2026-09-01")
        #expect(back.reason == .given)
        #expect(back.grantedUntil == (try Self.day("2026-10-01")))
    }

    @Test func theEarlierOfThePeriodAndTheRevisionWithSpecialDataIsTheEnd() throws {
        let revisions = [
            try Self.revision("1.0", "2026-01-01"), try Self.revision("1.1", "2026-08-01", ["health"], after: "1.0"),
        ]
        // 2026-03-01 and 120 days are 2026-06-29; and 180 days are 2026-08-28.
        #expect(try Self.verdict(revisions, validity: "P120D").grantedUntil == (try Self.day("2026-06-29")))
        #expect(try Self.verdict(revisions, validity: "P180D").grantedUntil == (try Self.day("2026-08-01")))
        #expect(
            try Self.verdict(revisions, isExplicit: true, validity: "P180D").grantedUntil
                == (try Self.day("2026-08-28")))
    }

    @Test func aComingCompatibleRevisionWithOrdinaryDataEndsNothing() throws {
        let revisions = [
            try Self.revision("1.0", "2026-01-01"),
            try Self.revision("1.1", "2026-08-01", ["purchases"], after: "1.0"),
        ]
        let verdict = try Self.verdict(revisions)
        #expect(verdict.reason == .given)
        #expect(verdict.grantedUntil == nil)
    }

    @Test func aComingRevisionThatBreaksOrLeavesThePurposeOutEndsAnExplicitConsentToo() throws {
        let first = try Self.revision("1.0", "2026-01-01")
        let breaking = try Self.revision("2.0", "2026-08-01", ["health"])
        let narrower = try Self.revision("1.1", "2026-08-01", after: "1.0", purposes: ["sms"])
        for next in [breaking, narrower] {
            for isExplicit in [false, true] {
                #expect(
                    try Self.verdict([first, next], isExplicit: isExplicit).grantedUntil
                        == (try Self.day("2026-08-01")))
            }
        }
    }

    @Test func aPastRevisionWithSpecialDataEndsNothing() throws {
        let revisions = [
            try Self.revision("1.0", "2026-01-01"), try Self.revision("1.1", "2026-02-01", ["health"], after: "1.0"),
            try Self.revision("1.2", "2026-05-01", after: "1.1"),
        ]
        let verdict = try Self.verdict(revisions)
        #expect(verdict.reason == .given)
        #expect(verdict.grantedUntil == nil)
        // But for one who agreed to it, it still wants the express statement.
        #expect(try Self.verdict(revisions, agreedTo: "1.1").reason == .requested)
    }
}
