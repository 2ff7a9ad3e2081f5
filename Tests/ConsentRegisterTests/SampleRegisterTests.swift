import ConsentModel
import Testing

@testable import ConsentRegister

@Suite struct SampleRegisterTests {
    @Test func sameSeedGivesTheSameBytes() {
        #expect(sampleRegister(subjectCount: 500, seed: 3).bytes == sampleRegister(subjectCount: 500, seed: 3).bytes)
        #expect(sampleRegister(subjectCount: 500, seed: 3).bytes != sampleRegister(subjectCount: 500, seed: 4).bytes)
    }

    @Test(arguments: 0..<4)
    func everyRowIsReadAsItWasMeant(_ seed: UInt64) throws {
        let (bytes, counts) = sampleRegister(subjectCount: 5_000, seed: seed)
        let register = try readRegister(bytes)
        #expect(register.summary.rowCount == counts.rowCount)
        #expect(register.summary.withoutProofCount == counts.withoutProofCount)
        #expect(register.summary.rejectedCount == counts.badCount)
        #expect((2...8).contains(counts.badCount * 1000 / counts.rowCount))
    }

    @Test func firstTwoAreAlwaysKariAndErik() throws {
        for seed in 0..<3 as Range<UInt64> {
            let events = try readRegister(sampleRegister(subjectCount: 2, seed: seed).bytes).events
            #expect(events.map(\.purpose) == ["newsletter", "newsletter"])
            #expect(events.map(\.revision?.revision) == ["1.1", "1.2"])
            #expect(events.map(\.state) == [.given, .given])
            #expect(events.map { $0.identifiers[0].text } == ["customer:100001", "customer:100002"])
            #expect(
                events.map { $0.identifiers[1].text }
                    == ["email:kari.nordmann@example.no", "email:erik.svensson@example.se"])
            #expect(events.map(\.capturedAt?.iso8601) == ["2025-03-14T10:22:05Z", "2026-05-17T18:40:12Z"])
            #expect(events.map(\.language) == ["nb", "sv"])
        }
    }

    @Test func everyGrantNamesTheRevisionThatWasCurrent() throws {
        let starts = [("1.0", "2023-01-01"), ("1.1", "2024-06-01"), ("1.2", "2026-03-01")]
        let declaration = Declaration(
            id: "club-membership-marketing",
            revisions: try starts.map {
                Revision(name: $0.0, effectiveAt: try #require(Timestamp(iso8601: $0.1)), purposes: [])
            })
        let end = try #require(Timestamp(iso8601: "2026-11-01"))
        let events = try readRegister(sampleRegister(subjectCount: 5_000, seed: 1).bytes).events
        for event in events where event.state.isGrant {
            let capturedAt = try #require(event.capturedAt)
            #expect(capturedAt < end)
            #expect(declaration.currentRevision(at: capturedAt)?.name == event.revision?.revision)
            #expect(event.revision?.declaration == declaration.id)
        }
    }

    @Test func hasSomethingOfEverything() throws {
        let register = try readRegister(sampleRegister(subjectCount: 20_000, seed: 2).bytes)
        let events = register.events
        #expect(Set(events.map(\.state)) == [.given, .refused, .withdrawn, .requested])
        #expect(Set(events.map(\.purpose)) == ["newsletter", "sms-offers", "personalised-ads", "profiling"])
        #expect(Set(events.map(\.language)) == ["nb", "sv", "en"])
        #expect(Set(events.compactMap(\.revision?.revision)) == ["1.0", "1.1", "1.2"])
        let types = Set(events.flatMap { $0.identifiers.map(\.type) })
        #expect(types == [.customer, .email, .phone, .loyaltyCard])
        #expect(events.contains { $0.expiresAt.map { $0.iso8601 < "2026-11-02" } ?? false })
        #expect(register.summary.rejectedCounts.count >= 8)
        // No row says the same as another: what makes an event its own stands in it.
        let contents = Set(events.map { [$0.identifiers[0].text, $0.purpose, "\($0.state)", "\($0.capturedAt!)"] })
        #expect(contents.count == events.count && events.allSatisfy { $0.key == nil })
    }

    @Test func identifiersBelongToOneSubjectEach() throws {
        var owner: [String: String] = [:]
        for event in try readRegister(sampleRegister(subjectCount: 5_000, seed: 6).bytes).events {
            for identifier in event.identifiers {
                let customer = event.identifiers[0].text
                #expect(owner.updateValue(customer, forKey: identifier.text) ?? customer == customer)
            }
        }
    }
}
