import ConsentEngine
import ConsentIndex
import ConsentKernel
import ConsentLedger
import ConsentModel
import ConsentProof
import ConsentTestSupport
import Testing

/// A consent by a guardian says who the guardian is, and nobody else can be taken for one. What names the guardian is as
/// personal as what names the child.
struct GuardianTests {
    private static let kari = Identifier.customer("kari-100001")
    private let node: TestNode
    private var engine: Engine { node.engine }

    /// Event 1 applies the catalog.
    init() throws {
        node = try TestNode(
            SampleCatalog([
                .init("young", bit: 0, basis: "consent", "minimumAge: 15"), .init("p1", bit: 1),
                .init("mail", bit: 2, basis: "legitimate_interest"),
            ]))
    }

    private func consent(_ guardian: Guardian = .anne) -> ConsentEvent {
        .grant([Self.kari], "young").by(.guardian, guardian).with { $0.subjectAge = 12 }
    }

    @Test func nothingIsStoredOfAConsentByAGuardianWhoIsNotNamed() throws {
        let before = try engine.sizes()
        let unnamed = consent().with { $0.guardian = nil }
        for event in [unnamed, unnamed.with { $0.state = .renewed }, unnamed.with { $0.state = .confirmed }] {
            #expect(try engine.recordOne(event) == .refused(.guardianMissing))
            #expect(try engine.sizes() == before)
        }
        #expect(engine.decision(Self.kari) == .unknown)
        #expect(try engine.events(Self.kari).isEmpty)
        try node.expectSound()
    }

    @Test(arguments: GuardianRelation.allCases)
    func whoConsentedForAChildIsInTheHistoryAndTheExplanation(_ relation: GuardianRelation) throws {
        let guardian = Guardian(relation, Guardian.anne.identifier)
        #expect(try engine.recordOne(consent(guardian)).isRecorded)
        #expect(engine.decision(Self.kari) == .granted)
        #expect(try engine.events(Self.kari).map(\.event.guardian) == [guardian])
        #expect(try engine.explain(Self.kari, purposeBit: 0).guardian == guardian)
        try node.restart()
        #expect(try engine.events(Self.kari).map(\.event.guardian) == [guardian])
        // Who acted last: the one who ended it.
        let end = ConsentEvent([Self.kari], "young", .revoked).by(.guardian, Guardian(.institution, .customer("x-1")))
        #expect(try engine.recordOne(end).isRecorded)
        #expect(try engine.explain(Self.kari, purposeBit: 0).guardian?.relation == .institution)
        try node.expectSound()
    }

    /// Also behind many others of the child's events.
    @Test func whoConfirmedAChildsConsentIsInTheExplanation() throws {
        #expect(try engine.recordOne(consent().by(.subject)).isRecorded)
        #expect(engine.decision(Self.kari) == .unknown)
        #expect(try engine.explain(Self.kari, purposeBit: 0).guardian == nil)
        let others = (0..<250).map { ConsentEvent([Self.kari], "mail", $0 % 2 == 0 ? .objected : .objectionLifted) }
        #expect(try engine.record(others).outcomes.allSatisfy(\.isRecorded))
        let confirmation = ConsentEvent([Self.kari], "young", .confirmed).by(.guardian)
        #expect(try engine.recordOne(confirmation).isRecorded)
        #expect(engine.decision(Self.kari) == .granted)
        #expect(try engine.explain(Self.kari, purposeBit: 0).guardian == .anne)
    }

    @Test func theSameConsentByAnotherGuardianIsAnother() throws {
        let event = consent().with { $0.key = IdempotencyKey(1) }
        #expect(try engine.recordOne(event) == .recorded(sequence: 2))
        #expect(try engine.recordOne(event) == .duplicate(sequence: 2))
        let other = Guardian(.parent, .email("per@example.no"))
        #expect(try engine.recordOne(event.by(.guardian, other)) == .refused(.keyReused(sequence: 2)))
        let number = consent(Guardian(.parent, .make(.nationalId, "13065012345"))).with { $0.key = IdempotencyKey(2) }
        #expect(try engine.recordOne(number) == .recorded(sequence: 3))
        #expect(try engine.recordOne(number) == .duplicate(sequence: 3))
    }

    @Test func aGuardiansNationalIDIsKeptAsAHashAndComesBackAsIt() throws {
        let number = Identifier.make(.nationalId, "130650 12345")
        #expect(try engine.recordOne(consent(Guardian(.parent, number))).isRecorded)
        let kept = try #require(try engine.events(Self.kari).first?.event.guardian)
        #expect(kept.identifier.nationalIDHash == engine.hashKey.hash(number).bytes)
        #expect(try traces(["13065012345"]) == [])
        // As an export of the history says it.
        let again = try Guardian(.parent, type: .nationalId, value: kept.identifier.value.uppercased())
        #expect(again == kept)
        #expect(try engine.recordOne(consent(again).with { $0.purpose = "p1" }).isRecorded)
        #expect(try engine.events(Self.kari).last?.event.guardian == kept)
        try node.expectSound()
    }

    private func traces(_ values: [String]) throws -> [ByteSearch.Place] {
        var search = ByteSearch(for: values.map { Array($0.utf8) })
        try search.search(node.folder.path)
        return search.places
    }

    @Test func noByteOfTheGuardianIsLeftWhenTheChildIsErased() throws {
        let reference = Guardian(.institution, .make(.other, "sak 2026/4711 Lyngvik"))
        let events = [consent(), consent(reference).with { $0.state = .renewed }]
        for event in events { #expect(try engine.recordOne(event).isRecorded) }
        let values = [Self.kari.value, Guardian.anne.identifier.value, reference.identifier.value]
        #expect(Set(try traces(values).map(\.value)) == [0, 1, 2], "the search finds what is there")
        let salted = try #require(JSONValue(text: try engine.document(.event, of: 2)))
        #expect(salted["event"]?["guardian"]?.text == Guardian.anne.identifier.text)
        let report = try engine.erase(
            ErasureRequest(Self.kari, reason: .childService, actor: "clerk-7"), tracesWaitMillis: 10_000)
        #expect(!report.isPending && report.emptiedEvents == 2)
        #expect(try traces(values) == [])
        let emptied = try #require(JSONValue(text: try engine.document(.event, of: 2)))
        #expect(emptied["event"]?["guardian"]?.isNull == true && emptied["event"]?["party"]?.text == "guardian")
        #expect(try EventProof.verify(emptied, key: engine.verificationKey).sequence == 2)
        try node.expectSound()
        #expect(try traces(values) == [])
    }

    @Test func theProofOfAConsentNamesTheGuardianAndNobodyElseCanStandThere() throws {
        #expect(try engine.recordOne(consent()).isRecorded)
        let json = try #require(JSONValue(text: try engine.document(.event, of: 2)))
        let event = try #require(json["event"])
        #expect(event["guardianRelation"]?.text == "parent")
        #expect(event["guardian"]?.text == "email:anne.nordmann@example.no")
        #expect(try EventProof.verify(json, key: engine.verificationKey).sequence == 2)
        for change: [String: JSONValue] in [
            ["guardianRelation": "institution"], ["guardian": "email:per@example.no"], ["guardian": .null],
            ["guardian": "customer:anne.nordmann@example.no"], ["guardianRelation": .null],
            ["guardianRelation": "aunt"], ["party": "subject"],
        ] {
            #expect(throws: ProofError.self, "\(change)") {
                try EventProof.verify(json.with(["event": event.with(change)]), key: engine.verificationKey)
            }
        }
    }

    @Test(arguments: [
        (GuardianRelation.parent, "dpv:ParentOfDataSubject"), (.legalGuardian, "dpv:GuardianOfDataSubject"),
        (.institution, "dpv:GuardianOfDataSubject"),
    ])
    func receiptsSayWhoConsented(_ relation: GuardianRelation, _ type: String) throws {
        #expect(try engine.recordOne(consent(Guardian(relation, Guardian.anne.identifier))).isRecorded)
        let dpv = try #require(JSONValue(text: try engine.document(.dpvReceipt, of: 2)))
        let indicator = dpv["dpv:hasRecordOfActivity"]?["dpv:hasConsentStatus"]?.list?.first?["dpv:isIndicatedBy"]
        #expect(indicator?["@type"]?.text == type && indicator?["dct:type"]?.text == relation.name)
        #expect(indicator?["dct:identifier"]?.text == Guardian.anne.identifier.text)
        let kantara = try #require(JSONValue(text: try engine.document(.kantaraReceipt, of: 2)))
        #expect(
            kantara["collectionMethod"]?.text
                == "ticked_box, by a guardian: \(relation.name), email:anne.nordmann@example.no")
        for receipt in [dpv, kantara] { _ = try Receipt.verify(receipt, key: engine.verificationKey) }
    }

    @Test func aGuardianIsCommittedToByItself() throws {
        let (salt, nonce) = ([UInt8](0..<16), [UInt8](16..<32))
        var event = ConsentEvent([], "p0", .given).by(.guardian, Guardian(.institution, .email("a@b.no")))
        let parts = CommittedParts(identifiers: [], evidence: nil, guardian: .nonce(nonce))
        let part = ChainHash(hashing: nonce + [3, 2, 6] + Array("a@b.no".utf8))
        #expect(parts.commitment(salt: salt, event) == ChainHash(hashing: salt + [0x80] + part.bytes))
        event.guardian = nil
        #expect(parts.commitment(salt: salt, event) == nil)
        #expect(
            CommittedParts(identifiers: [], evidence: nil, guardian: nil).commitment(salt: salt, event.by(.guardian))
                == nil)
    }
}
