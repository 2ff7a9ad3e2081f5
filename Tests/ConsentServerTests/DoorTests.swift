import ConsentEngine
import ConsentKernel
import ConsentModel
import ConsentServer
import ConsentTestSupport
import ConsentWire
import Testing

/// The rules at the door, all of them: each has an error code of its own, and nothing of what it refuses is stored.
struct DoorTests {
    /// The table is held against the protocol's definition: a rule that is added there without a case here fails.
    @Test func everyRuleHasACodeOfItsOwnAndStoresNothing() async throws {
        let node = try TestNode(Self.catalog)
        let used = IdempotencyKey(7)
        let setUp = try node.engine.record([
            .grant([.customer("kari")]).with { $0.key = used }, .grant([.customer("ola")]),
        ])
        #expect(setUp.outcomes == [.recorded(sequence: 2), .recorded(sequence: 3)])
        _ = try node.engine.record([.grant([.customer("gone")])])
        _ = try node.engine.erase(ErasureRequest(.customer("gone"), reason: .consentWithdrawn))
        _ = try node.engine.record([.grant([.customer("kept"), .email("off@example.no")])])
        _ = try node.engine.unlink(UnlinkRequest(.email("off@example.no")))
        let before = try node.engine.stored
        for (offered, code) in Self.cases(used) {
            let outcome = try await node.engine.recordOne(offered)
            guard case .refused(let error) = outcome else {
                Issue.record("\(code): \(outcome)")
                continue
            }
            #expect(error.code == code, "\(error)")
            #expect(try node.engine.stored == before, "\(code)")
        }
        let others = try Self.otherCases(node)
        let stored = try node.engine.stored
        for (attempt, code) in others {
            #expect("\(code)") { try attempt(node.engine) } throws: { error in
                guard case EngineError.rights(let error) = error else { return false }
                return error.code == code
            }
            #expect(try node.engine.stored == stored, "\(code)")
        }
        let known = ErrorCode.allCases.filter { $0.rawValue >= ErrorCode.identifierMissing.rawValue }
        let covered = Set(Self.cases(used).map(\.code) + others.map(\.code)).subtracting([.personUnknown])
        #expect(covered == Set(known))
        try node.close()
        #expect(try verify(node.folder).problems == [])
    }

    private static let catalog = SampleCatalog(
        [
            .init("p0", bit: 0), .init("p1", bit: 1), .init("retired", bit: 2, basis: "consent", "active: false"),
            .init("receipts", bit: 3, basis: "contract"),
            .init("mail", bit: 4, basis: "legitimate_interest", "directMarketing: true"),
            .init("confirmed", bit: 5, basis: "consent", "doubleOptIn: true"),
        ],
        revisions: [
            .init("0.9", effectiveAt: Timestamp(iso8601: "2019-01-01")!, purposes: ["p0"]),
            .init("1.0", effectiveAt: SampleCatalog.begin, purposes: ["p0", "p1", "confirmed"]),
        ])

    /// Rules that stand against something else than an event.
    private static func otherCases(
        _ node: TestNode
    ) throws -> [(attempt: (Engine) throws -> Void, code: ErrorCode)] {
        let kari = Identifier.customer("kari")
        func issue(_ engine: Engine) throws -> String {
            _ = try engine.record([.grant([kari], "confirmed")])
            return try engine.issueToken(TokenRequest(kari, purposes: ["confirmed"])).token
        }
        let used = try issue(node.engine)
        _ = try node.engine.confirmToken(TokenConfirmation(used))
        let lapsed = try issue(node.engine)
        node.clockAheadMillis = 8 * 86_400_000
        // What the clock has ended by then is recorded with this.
        _ = try node.engine.record([ConsentEvent([kari], "p1", .refused)])
        while try node.engine.tokensWaiting > 0 { Wakeup.pause(millis: 20) }
        return [
            ({ _ = try $0.confirmToken(TokenConfirmation("none")) }, .tokenUnknown),
            ({ _ = try $0.confirmToken(TokenConfirmation(used)) }, .tokenUsed),
            ({ _ = try $0.confirmToken(TokenConfirmation(lapsed)) }, .tokenLapsed),
            ({ _ = try $0.issueToken(TokenRequest(kari, purposes: ["p0"])) }, .nothingToConfirm),
            ({ _ = try $0.link(LinkRequest(kari, to: .customer("ola"))) }, .identifierConflict),
            ({ _ = try $0.link(LinkRequest(.email("x@example.no"), to: .customer("gone"))) }, .personErased),
            ({ _ = try $0.link(LinkRequest(kari, to: .customer("nobody"))) }, .personUnknown),
            ({ _ = try $0.unlink(UnlinkRequest(.customer("nobody"))) }, .personUnknown),
            ({ _ = try $0.unlink(UnlinkRequest(.customer("gone"))) }, .personErased),
            ({ _ = try $0.unlink(UnlinkRequest(kari)) }, .identifierIsOnlyOne),
            ({ _ = try $0.issueToken(TokenRequest(.customer("nobody"), purposes: ["p0"])) }, .personUnknown),
        ]
    }

    private static func cases(
        _ used: IdempotencyKey
    ) -> [(offered: Result<ConsentEvent, AdmissionError>, code: ErrorCode)] {
        let (kari, ola) = (Identifier.customer("kari"), Identifier.customer("ola"))
        let grant = ConsentEvent.grant([.customer("new")])
        let soon = Timestamp(millis: Clock.realtimeMillis() + 600_000)
        let hash = Identifier(nationalIDHash: [UInt8](repeating: 7, count: 16))
        let events: [(ConsentEvent, ErrorCode)] = [
            (grant.with { $0.identifiers = [] }, .identifierMissing),
            (grant.with { $0.identifiers = (0..<17).map { .customer("\($0)") } }, .identifiersTooMany),
            (grant.with { $0.identifiers = [hash] }, .nationalIdIsHash),
            (grant.with { $0.purpose = "nothing" }, .admissionPurposeUnknown),
            (grant.with { $0.purpose = "retired" }, .purposeInactive),
            (grant.with { $0.purpose = "mail" }, .basisNeedsNoConsent),
            (ConsentEvent([kari], "receipts", .withdrawn), .basisCannotBeWithdrawn),
            (ConsentEvent([kari], "mail", .objectionLifted).with { $0.party = .controller }, .objectionIsAbsolute),
            (ConsentEvent([kari], "p0", .expired), .stateIsInternal),
            (ConsentEvent([kari], "p0", .erased), .stateIsInternal),
            (grant.with { $0.revision = nil }, .declarationMissing),
            (grant.with { $0.revision!.declaration = "shop" }, .declarationUnknown),
            (grant.with { $0.revision!.revision = "7" }, .revisionUnknown),
            (grant.with { $0.revision!.revision = "0.9" }, .revisionNotCurrent),
            (
                .grant([kari], "p1", at: Timestamp(iso8601: "2019-06-01"), revision: "0.9"), .revisionLacksPurpose
            ),
            (grant.with { $0.language = "fi" }, .languageUnknown),
            (grant.with { $0.method = .none }, .methodMissing),
            (grant.with { $0.method = .preticked }, .methodIsNotConsent),
            (grant.with { $0.method = .silence }, .methodIsNotConsent),
            (grant.with { $0.method = .bundled }, .methodIsNotConsent),
            (grant.with { $0.capturedAt = soon }, .capturedInFuture),
            (grant.with { $0.capturedAt = Timestamp(millis: -1) }, .capturedTooEarly),
            (grant.with { $0.expiresAt = SampleCatalog.begin }, .endsBeforeCapture),
            (grant.with { $0.actor = String(repeating: "x", count: 256) }, .textTooLong),
            (ConsentEvent([.customer("new")], "p0", .confirmed), .nothingToConfirm),
            (ConsentEvent([kari], "p1", .confirmed), .nothingToConfirm),
            (.grant([ola]).with { $0.key = used }, .keyReused),
            (.grant([kari, ola]), .identifierConflict),
            (grant.with { $0.subjectAge = 151 }, .ageImplausible),
            (.grant([.customer("gone")], at: SampleCatalog.begin), .personErased),
            (.grant([.customer("number-77")]).with { $0.source.form = "of number-77" }, .textNamesPerson),
            (grant.with { $0.party = .controller }, .partyCannotConsent),
            (grant.with { $0.party = .guardian }, .guardianMissing),
            (grant.with { $0.guardian = .anne }, .guardianMissing),
            (grant.by(.guardian, Guardian(.parent, .customer("new"))), .guardianMissing),
            (.grant([.email("off@example.no")], at: SampleCatalog.begin), .identifierUnlinked),
        ]
        // What cannot even be said as an event: the session judges it, and it takes its place in the answer.
        let unsayable: [(AdmissionError, ErrorCode)] = [
            (.identifierTypeUnknown("type 99"), .identifierRefused), (.identifierEmpty(.email), .identifierEmpty),
            (.identifierTooLong(.email, size: 256), .identifierTooLong),
            (.identifierInvalid(.phone), .identifierMalformed),
        ]
        return events.map { (.success($0), $1) } + unsayable.map { (.failure($0), $1) }
    }
}

/// What an identifier holds is its event's fault; the other events of the frame are recorded.
struct UnreadableIdentifierTests {
    @Test(arguments: [
        (UInt8(99), "x", ErrorCode.identifierRefused),
        (IdentifierType.customer.rawValue, "\u{0}Z", .identifierMalformed),
    ])
    func isAnOutcomeAndTakesNoOtherEventAlong(_ typeByte: UInt8, _ value: String, _ expected: ErrorCode) throws {
        let server = try VectorServer()
        try server.record(given: ["kari", "ola"])
        func no(_ value: String, _ typeByte: UInt8 = IdentifierType.customer.rawValue) -> EventMessage {
            var message = EventMessage(purposeBit: 0, state: .withdrawn)
            message.identifiers = [.init(typeByte: typeByte, value: value)]
            return message
        }
        let request = RecordRequest(events: [no("kari"), no(value, typeByte), no("ola")])
        var bytes = Bytes.make { request.encode(request: 2, into: &$0) }
        // A byte that begins no character of UTF-8.
        if value.utf8.count == 2 { bytes[bytes.lastIndex(of: UInt8(ascii: "Z"))! - 1] = 0xFF }
        let driver = server.greeted()
        #expect(driver.feed(bytes).isEmpty)
        let recorded = try #require(driver.performActions().first).read { try Recorded($0) }
        #expect(recorded.outcomes.map(\.refusal) == [nil, expected, nil])
        let answers = driver.feed(Bytes.check("kari", request: 3) + Bytes.check("ola", request: 4))
        #expect(answers.map(\.decision) == [.denied, .denied])
    }
}

extension Engine {
    fileprivate func recordOne(_ offered: Result<ConsentEvent, AdmissionError>) async throws -> EventOutcome {
        let result = await withCheckedContinuation { answer in record([offered]) { answer.resume(returning: $0) } }
        return try result.get().outcomes[0]
    }

    fileprivate var tokensWaiting: UInt64 {
        get throws { try statistics().first { $0.name == "tokens_waiting" }?.value ?? 0 }
    }

    /// What an event that is stored would change.
    fileprivate var stored: [String: UInt64] {
        get throws {
            let names: Set = [
                "sequence", "subjects", "identifiers", "index_rows", "index_digest", "index_sequence", "tokens_waiting",
            ]
            return Dictionary(
                uniqueKeysWithValues: try statistics().filter { names.contains($0.name) }.map { ($0.name, $0.value) })
        }
    }
}
