import ConsentEngine
import ConsentKernel
import ConsentLedger
import ConsentModel
import ConsentTestSupport
import Foundation
import Testing

/// The second step of a double opt-in, by a token: it counts once, for what it was issued for, and for a time.
struct ConfirmationTokenTests {
    private let node: TestNode
    private var engine: Engine { node.engine }
    private let kari = Identifier.email("kari.nordmann@example.no")

    private static let catalog = SampleCatalog([
        .init("mail", bit: 0, basis: "consent", "doubleOptIn: true"),
        .init("sms", bit: 1, basis: "consent", "doubleOptIn: true", "doubleOptInLifetime: P2D"),
        .init("plain", bit: 2), .init("receipts", bit: 3, basis: "contract"),
        .init("young", bit: 4, basis: "consent", "doubleOptIn: true", "minimumAge: 15"),
    ])

    init() throws { node = try TestNode(Self.catalog) }

    @Test func noTokenBeginsAsAnOptionOfACommandDoes() {
        var draws: [UInt8] = [0xF8, 0xFB, 0xFC]
        let token = TokenText.draw { size in [draws.removeFirst()] + [UInt8](repeating: 0xFF, count: size - 1) }
        #expect(token == "_P" + String(repeating: "_", count: 40) + "8")
        #expect(draws.isEmpty)
    }

    private func request(_ purposes: [String] = ["mail"], of person: Identifier? = nil) throws {
        for purpose in purposes {
            #expect(try engine.recordOne(.grant([person ?? kari], purpose)).isRecorded)
        }
    }

    private func issue(_ purposes: [String] = ["mail"], to person: Identifier? = nil) throws -> IssuedToken {
        try engine.issueToken(TokenRequest(person ?? kari, purposes: purposes))
    }

    private func confirm(_ token: String) throws -> [ConfirmedConsent] {
        try engine.confirmToken(TokenConfirmation(token))
    }

    private func expectRefused(
        _ error: RightsError, sourceLocation: SourceLocation = #_sourceLocation, _ body: () throws -> Void
    ) {
        #expect(sourceLocation: sourceLocation) { try body() } throws: {
            if case .rights(let found) = $0 as? EngineError { found == error } else { false }
        }
    }

    // MARK: Once, and for what it was issued for

    @Test func aTokenConfirmsWhatItWasIssuedForOnce() throws {
        try request(["mail", "sms"])
        #expect(engine.decision(kari, 0) == .unknown)
        let issued = try issue()
        #expect(issued.events == [2] && issued.token.utf8.count == 43)
        let confirmed = try confirm(issued.token)
        #expect(
            confirmed == [
                ConfirmedConsent(
                    sequence: 4, refersTo: 2, purpose: "mail",
                    revision: RevisionName(declaration: "club", revision: "1.0"))
            ])
        #expect(engine.decision(kari, 0) == .granted)
        #expect(engine.decision(kari, 1) == .unknown, "it was issued for one purpose")
        let event = try #require(try engine.events(kari).last?.event)
        #expect(event.state == .confirmed && event.method == .doubleOptIn && event.identifiers == [kari])
        #expect(throws: EngineError.self) { try confirm(issued.token) }
        guard case .tokenUsed = try refusal({ _ = try confirm(issued.token) }) else {
            Issue.record("a second use has its own error")
            return
        }
        #expect(try engine.events(kari).count == 3)
        try node.expectSound()
    }

    private func refusal(_ body: () throws -> Void) throws -> RightsError? {
        do {
            try body()
            return nil
        } catch EngineError.rights(let error) {
            return error
        }
    }

    @Test func oneTokenConfirmsSeveralPurposesForTheShortestTime() throws {
        try request(["mail", "sms"])
        let issued = try issue(["mail", "sms"])
        #expect(issued.endsAt.millis - now.millis <= 2 * 86_400_000)
        #expect(try confirm(issued.token).map(\.refersTo) == [2, 3])
        #expect(engine.decision(kari, 0) == .granted && engine.decision(kari, 1) == .granted)
    }

    @Test func noTwoTokensAreAlikeAndNoneIsInAnyFile() throws {
        try request()
        let tokens = try (0..<50).map { _ in try issue().token }
        #expect(Set(tokens).count == 50)
        var search = ByteSearch(for: tokens.prefix(3).map { Array($0.utf8) })
        try search.search(node.folder.path)
        #expect(search.places == [], "the ledger knows hashes only")
    }

    @Test func aTokenOutlivesTheEndOfTheProcess() throws {
        try request()
        let issued = try issue()
        try node.restart()
        #expect(try confirm(issued.token).count == 1)
        try node.restart()
        guard case .tokenUsed = try refusal({ _ = try confirm(issued.token) }) else {
            Issue.record("used is used, also after a restart")
            return
        }
    }

    @Test func whatStandsAgainstATokenHasItsOwnErrorAndStoresNothing() throws {
        try request(["mail", "plain"])
        expectRefused(.tokenUnknown) { _ = try confirm("no token at all") }
        expectRefused(.tokenUnknown) { _ = try confirm("") }
        expectRefused(.personUnknown(.customer("nobody"))) { _ = try issue(to: .customer("nobody")) }
        for purpose in ["plain", "receipts", "sms"] {
            expectRefused(.admission(.nothingToConfirm(purpose: purpose))) { _ = try issue([purpose]) }
        }
        expectRefused(.admission(.purposeUnknown("none"))) { _ = try issue(["none"]) }
        let issued = try issue()
        var confirmation = TokenConfirmation(issued.token)
        confirmation.actor = "for kari.nordmann@example.no"
        expectRefused(.admission(.textNamesPerson(field: "actor"))) { _ = try engine.confirmToken(confirmation) }
        confirmation.actor = String(repeating: "x", count: 256)
        expectRefused(.admission(.textTooLong(field: "actor", size: 256, sizeMax: 255))) {
            _ = try engine.confirmToken(confirmation)
        }
        #expect(try engine.events(kari).count == 2)
        #expect(try confirm(issued.token).count == 1, "a refused confirmation does not use the token up")
        expectRefused(.admission(.nothingToConfirm(purpose: "mail"))) { _ = try issue() }
    }

    @Test func whoHasWithdrawnOrAgreedAnewSinceIsNotBroughtBack() throws {
        try request(["mail", "sms"])
        let issued = try issue()
        #expect(try engine.recordOne(ConsentEvent([kari], "mail", .withdrawn)).isRecorded)
        expectRefused(.admission(.nothingToConfirm(purpose: "mail"))) { _ = try confirm(issued.token) }
        #expect(engine.decision(kari, 0) == .denied)
        let other = try issue(["sms"])
        #expect(try engine.recordOne(.grant([kari], "sms")).isRecorded)
        expectRefused(.admission(.nothingToConfirm(purpose: "sms"))) { _ = try confirm(other.token) }
        #expect(engine.decision(kari, 1) == .unknown)
    }

    @Test func aGuardianMayConfirmForAChild() throws {
        let grant = ConsentEvent.grant([kari], "young").with { $0.subjectAge = 12 }
        #expect(try engine.recordOne(grant).isRecorded)
        var confirmation = TokenConfirmation(try issue(["young"]).token)
        confirmation.guardian = .anne
        _ = try engine.confirmToken(confirmation)
        #expect(engine.decision(kari, 4) == .granted)
        let confirmed = try #require(try engine.events(kari).last?.event)
        #expect(confirmed.party == .guardian && confirmed.guardian == .anne)
        #expect(try engine.explain(kari, purposeBit: 4).guardian == .anne)
    }

    @Test func noPersonConfirmsAsTheOwnGuardian() throws {
        let person = Identifier.make(.nationalId, "13065012345")
        #expect(try engine.recordOne(.grant([person], "young").with { $0.subjectAge = 12 }).isRecorded)
        let token = try engine.issueToken(TokenRequest(person, purposes: ["young"])).token
        func confirmation(_ guardian: Identifier, actor: String = "") -> TokenConfirmation {
            var confirmation = TokenConfirmation(token)
            (confirmation.guardian, confirmation.actor) = (Guardian(.parent, guardian), actor)
            return confirmation
        }
        let kept = try #require(try engine.events(person).first?.event.identifiers.first)
        expectRefused(.admission(.guardianIsPerson(kept))) { _ = try engine.confirmToken(confirmation(person)) }
        let mother = Identifier.make(.nationalId, "14065012345")
        expectRefused(.admission(.textNamesPerson(field: "actor"))) {
            _ = try engine.confirmToken(confirmation(mother, actor: "14065012345"))
        }
        _ = try engine.confirmToken(confirmation(mother))
        let guardian = try #require(try engine.events(person).last?.event.guardian)
        #expect(guardian.relation == .parent && guardian.identifier.nationalIDHash != nil)
    }

    @Test func oneOfManyAtOnceWins() throws {
        try request()
        let token = try issue().token
        let answers = Answers<Bool>()
        for _ in 0..<20 {
            Thread.detachNewThread { [engine] in
                answers.add((try? engine.confirmToken(TokenConfirmation(token))) != nil)
            }
        }
        #expect(answers.take(20).count { $0 } == 1)
        #expect(try engine.events(kari).count == 2)
        try node.expectSound()
    }

    // MARK: Time

    @Test func aTokenThatLapsesTurnsTheRequestIntoOneThatHasToBeAskedAgain() async throws {
        try request(["mail", "sms"])
        let (mail, sms) = (try issue(), try issue(["sms"]))
        node.clockAheadMillis = 2 * 86_400_000 + 1000
        guard case .tokenLapsed(at: sms.endsAt) = try refusal({ _ = try confirm(sms.token) }) else {
            Issue.record("a lapsed token has its own error")
            return
        }
        #expect(try await eventually { try engine.events(kari).map(\.event.state) == [.given, .given, .expired] })
        let end = try #require(try engine.events(kari).last)
        #expect(end.refersTo == 3 && end.event.capturedAt == sms.endsAt && end.event.party == .system)
        #expect(try engine.explain(kari, purposeBit: 1).verdict.reason == .expired)
        #expect(try engine.explain(kari, purposeBit: 0).verdict.reason == .requested, "seven days have not passed")
        guard case .tokenLapsed = try refusal({ _ = try confirm(sms.token) }) else {
            Issue.record("lapsed stays lapsed")
            return
        }
        #expect(try confirm(mail.token).count == 1)
        expectRefused(.admission(.nothingToConfirm(purpose: "sms"))) { _ = try issue(["sms"]) }
        #expect(try engine.recordOne(.grant([kari], "sms")).isRecorded, "asked again")
        #expect(try confirm(issue(["sms"]).token).count == 1)
        try node.close()
        #expect(try verify(node.folder).problems == [])
    }

    @Test func aTokenThatLapsesWhileTheNodeIsDownIsRecordedWhenItIsOpen() async throws {
        try request(["sms"])
        let issued = try issue(["sms"])
        try node.close()
        node.clockAheadMillis = 3 * 86_400_000
        try node.open()
        #expect(try await eventually { try engine.events(kari).last?.event.state == .expired })
        guard case .tokenLapsed = try refusal({ _ = try confirm(issued.token) }) else {
            Issue.record("it lapsed")
            return
        }
    }

    @Test func aRequestGoesOnWaitingForANewerToken() async throws {
        try request(["sms"])
        let older = try issue(["sms"])
        node.clockAheadMillis = 86_400_000
        let newer = try issue(["sms"])
        node.clockAheadMillis = 2 * 86_400_000 + 1000
        #expect(try await eventually { try waiting() == 1 })
        #expect(try engine.events(kari).count == 1)
        guard case .tokenLapsed = try refusal({ _ = try confirm(older.token) }) else {
            Issue.record("the older one lapsed")
            return
        }
        #expect(try confirm(newer.token).count == 1)
        #expect(engine.decision(kari, 1) == .granted)
    }

    private func waiting() throws -> UInt64? {
        try engine.statistics().first { $0.name == "tokens_waiting" }?.value
    }

    // MARK: Erasure

    @Test func erasureRemovesTheTokensOfThePerson() throws {
        let ola = Identifier.email("ola@example.no")
        try request()
        try request(of: ola)
        let (hers, his) = (try issue(), try issue(to: ola))
        #expect(try waiting() == 2)
        let report = try engine.erase(ErasureRequest(kari, reason: .consentWithdrawn), tracesWaitMillis: 10_000)
        #expect(!report.isPending)
        #expect(try waiting() == 1)
        var search = ByteSearch(for: [confirmationTokenHash(Array(hers.token.utf8))])
        try search.search(node.folder.path)
        #expect(search.places == [])
        expectRefused(.tokenUnknown) { _ = try confirm(hers.token) }
        #expect(try confirm(his.token).count == 1)
        try node.expectSound()
    }
}
