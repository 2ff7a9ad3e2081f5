import ConsentCatalog
import ConsentEngine
import ConsentKernel
import ConsentLedger
import ConsentModel
import ConsentProof
import ConsentTestSupport
import Foundation
import GRDB
import Testing

/// Checkpoints over the chain, proofs of its events, and receipts.
struct ProofTests {
    private static let kari: [Identifier] = [.email("kari.nordmann@example.no"), .customer("kari-100001")]
    private let node: TestNode

    /// Event 1 applies the catalog, 2 to 5 are about people.
    init() throws {
        node = try TestNode(
            SampleCatalog(
                [.init("p0", bit: 0), .init("p1", bit: 1), .init("mail", bit: 2, basis: "legitimate_interest")],
                revisions: [.init("1.0", effectiveAt: SampleCatalog.begin, purposes: ["p0", "p1"])]))
        let rich = ConsentEvent.grant(Self.kari, at: secondsAgo(60)).with {
            $0.source = EventSource(system: "till", channel: "shop", form: "A")
            $0.actor = "clerk"
            $0.evidence = "receipt 7 for Kåre 😀"
            $0.key = IdempotencyKey(7)
            $0.isExplicit = true
            $0.subjectAge = 30
            $0.expiresAt = now.advanced(bySeconds: 100_000)
        }
        let events = [
            rich, .grant([.customer("ola")]), ConsentEvent([.customer("ola")], "p0", .withdrawn),
            ConsentEvent([.customer("kari-100001")], "mail", .objected),
        ]
        #expect(try node.engine.record(events).outcomes == (2...5).map { .recorded(sequence: $0) })
    }

    private func copy(_ folder: NodeFolder, _ name: String) throws -> NodeFolder {
        let copied = NodeFolder(node.temporary.path + "/" + name)
        try FileManager.default.copyItem(atPath: folder.path, toPath: copied.path)
        return copied
    }

    private func problems(
        _ folder: NodeFolder, checkpoints: [Checkpoint] = []
    ) throws -> [String] {
        do { return try verify(folder, checkpoints: checkpoints).problems } catch let error as LedgerError {
            return ["\(error)"]
        }
    }

    private func verifyOffline(_ text: String) throws -> EventProof.Finding {
        try EventProof.verify(try #require(JSONValue(text: text)), key: node.engine.verificationKey)
    }

    // MARK: Checkpoints

    @Test func aCheckpointIsSignedOnDemandOnceAndWhenTheNodeCloses() throws {
        let first = try node.engine.checkpoint()
        #expect(first.sequence == 5 && first.first == 1 && first.isSigned)
        #expect(first.key == node.engine.verificationKey)
        #expect(try node.engine.checkpoint() == first)
        _ = try node.engine.record([.grant([.customer("per")])])
        try node.close()
        let all = try node.folder.checkpoints()
        #expect(all.count == 2 && all[0] == first && all[1].sequence == 6 && all[1].first == 6)
        let report = try verify(node.folder)
        #expect(report.isSound && report.checkpoints == 2 && report.signedThrough == 6)
        try node.open()
        #expect(try node.engine.checkpoint() == all[1])
    }

    @Test func theKeyIsItsOwnersAlone() throws {
        let path = node.folder.signingKeyPath
        #expect(try FileDescriptor.open(path, .readOnly).mode() == 0o600)
        try node.close()
        try FileManager.default.setAttributes([.posixPermissions: 0o640], ofItemAtPath: path)
        #expect(throws: LedgerError.self) { try node.open() }
        try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: path)
        try node.open()
        try node.close()
        // Another key would make checkpoints that nobody could hold against those that are there.
        for bytes in [SystemRandom.bytes(32), SystemRandom.bytes(31)] {
            try File.replace(path, with: bytes, mode: 0o600)
            #expect(throws: LedgerError.self) { try node.open() }
        }
        try File.remove(path)
        #expect(throws: LedgerError.self) { try node.open() }
    }

    @Test func aNodeOfAnOlderVersionMakesItsKeyWhenItOpens() throws {
        try node.close()
        try File.remove(node.folder.signingKeyPath)
        try File.remove(node.folder.checkpointsPath)
        #expect(try verify(node.folder).isSound)
        try node.open()
        #expect(try node.engine.checkpoint().sequence == 5)
    }

    @Test func moreEventsThanACheckpointCoversAreSignedInParts() throws {
        let people = (0..<4096).map { Identifier.customer("many-\($0)") }
        for _ in 0..<17 { _ = try node.engine.record(people.map { .grant([$0], at: nil) }) }
        let last = try node.engine.checkpoint()
        try node.close()
        let all = try node.folder.checkpoints()
        // On a slow machine some are signed as their time has come.
        #expect(all.count >= 2 && all.allSatisfy { $0.sequence - $0.first < UInt64(Checkpoint.eventsMax) })
        #expect(all[0].first == 1 && zip(all, all.dropFirst()).allSatisfy { $1.first == $0.sequence + 1 })
        #expect(all.last == last && last.sequence == 5 + 17 * 4096)
        try node.open()
        #expect(try verifyOffline(try node.engine.document(.event, of: 65_536)).sequence == 65_536)
    }

    @Test func aLineThatWasNotWrittenToItsEndIsWrittenAnew() throws {
        try node.close()
        let path = node.folder.checkpointsPath
        let whole = try File.read(path)
        try File.replace(path, with: whole + Array("{\"format\":\"consentd".utf8))
        #expect(try verify(node.folder).isSound)
        try node.open()
        _ = try node.engine.record([.grant([.customer("per")])])
        try node.close()
        #expect(try File.read(path).starts(with: whole))
        #expect(try node.folder.checkpoints().map(\.sequence) == [5, 6])
    }

    /// A node signs for years. What it once signed is read again only by whoever wants to see it.
    @Test func openingSigningAndProvingReadTheEndOfManyCheckpointsAlone() throws {
        let kari = Identifier.customer("kari-100001")
        for number in 0..<100 {
            _ = try node.engine.record([ConsentEvent([kari], "p0", number % 2 == 0 ? .withdrawn : .deferred)])
            _ = try node.engine.checkpoint()
        }
        #expect(try verifyOffline(try node.engine.document(.event, of: 2)).sequence == 2)
        try node.close()
        let path = node.folder.checkpointsPath
        let lines = String(decoding: try File.read(path), as: UTF8.self).split(separator: "\n").map(String.init)
        #expect(lines.count == 100)
        // Nobody who opens, signs or proves would get past them.
        func lose(_ range: Range<Int>) throws {
            var changed = lines
            for position in range { changed[position] = String(repeating: "x", count: lines[position].utf8.count) }
            try File.replace(path, with: Array(changed.map { $0 + "\n" }.joined().utf8))
        }
        try lose(1..<80)
        try node.open()
        let refusal = ConsentEvent([.customer("per")], "p0", .refused)
        let next = try #require(try node.engine.recordOne(refusal).sequence)
        #expect(try node.engine.checkpoint().first == next && next == 106)
        #expect(try verifyOffline(try node.engine.document(.event, of: next)).sequence == next)
        #expect(throws: (any Error).self) { try node.engine.document(.event, of: 50) }
        try node.close()
        #expect(try verify(node.folder).problems.contains { $0.contains("line 2") })
        try lose(1..<90)
        #expect {
            try node.open()
        } throws: {
            if case LedgerError.checkpointsUnreadable = $0 { true } else { false }
        }
        try File.replace(path, with: Array(lines.map { $0 + "\n" }.joined().utf8))
        try node.open()
        for sequence in [1, 2, 6, 7, 8, 55, 88, 89, 90, 104, 105, next] as [UInt64] {
            #expect(try verifyOffline(try node.engine.document(.event, of: sequence)).sequence == sequence)
        }
        try node.close()
        let report = try verify(node.folder)
        #expect(report.isSound && report.checkpoints == 101)
    }

    // MARK: What verify finds by them

    /// The ledger of another day is sound in itself: only what was signed shows that it lacks something.
    @Test func anEndThatWasCutOffIsFound() throws {
        try node.close()
        let earlier = try copy(node.folder, "earlier")
        try node.open()
        _ = try node.engine.record([ConsentEvent([.customer("kari-100001")], "p0", .withdrawn)])
        let kept = try node.engine.checkpoint()
        try node.close()
        #expect(try problems(earlier) == [])
        let found = try problems(earlier, checkpoints: [kept])
        #expect(found.count == 1 && found[0].contains("event 6") && found[0].contains("cut off"), "\(found)")
        // Its own file of checkpoints says so, too, and the node stays closed.
        _ = try verify(earlier)
        try File.replace(earlier.checkpointsPath, with: File.read(node.folder.checkpointsPath))
        #expect(try problems(earlier).contains { $0.contains("cut off") })
        #expect(throws: LedgerError.self) { try Engine(earlier) { _ in } }
    }

    /// Whoever holds the folder but for its past can make a whole chain anew.
    @Test func aPastThatWasMadeAnewIsFoundWithTheEventsAmongWhichItIs() throws {
        _ = try node.engine.checkpoint()
        try node.close()
        let earlier = try copy(node.folder, "earlier")
        try node.open()
        _ = try node.engine.record([.grant([.customer("per")])])
        let kept = try node.engine.checkpoint()
        try node.close()
        let other = try Engine(earlier) { _ in }
        _ = try other.record([ConsentEvent([.customer("per")], "p0", .refused)])
        try other.close()
        #expect(try problems(earlier) == [])
        let found = try problems(earlier, checkpoints: [kept])
        #expect(found.contains { $0.contains("events 6 to 6") && $0.contains("made anew") }, "\(found)")
    }

    @Test func theNodeDoesNotSignAChainThatContradictsWhatItSigned() throws {
        try node.close()
        let earlier = try copy(node.folder, "earlier")
        try node.open()
        _ = try node.engine.record([.grant([.customer("per")])])
        try node.close()
        try File.replace(earlier.checkpointsPath, with: File.read(node.folder.checkpointsPath))
        let engine = try Engine(earlier) { _ in }
        #expect(throws: (any Error).self) { try engine.checkpoint() }
        #expect(throws: (any Error).self) { try engine.close() }
        #expect(try earlier.checkpoints().map(\.sequence) == [5, 6])
        #expect(throws: LedgerError.self) { try Engine(earlier) { _ in } }
    }

    @Test func aCheckpointOfAnotherNodeOrKeyIsRefusedAndHurtsNobody() throws {
        let other = try TestNode(SampleCatalog.consents(bits: 0..<1))
        let foreign = try other.engine.checkpoint()
        let own = try node.engine.checkpoint()
        try node.close()
        #expect(throws: CheckpointMismatch.self) { try verify(node.folder, checkpoints: [foreign]) }
        #expect(throws: CheckpointMismatch.self) {
            try verify(node.folder, checkpoints: [own], key: other.engine.verificationKey)
        }
        #expect(try verify(node.folder, checkpoints: [own], key: own.key).isSound)
        // Of the node's own file, too, nothing is wrong with the ledger.
        try File.replace(node.folder.checkpointsPath, with: Array((foreign.text + "\n").utf8))
        let report = try verify(node.folder)
        #expect(!report.isSound && report.ledgerDamage == nil, "\(report)")
        try File.replace(node.folder.checkpointsPath, with: Array("nonsense\n".utf8))
        let nonsense = try verify(node.folder)
        #expect(!nonsense.isSound && nonsense.ledgerDamage == nil, "\(nonsense)")
        #expect(!File.exists(node.folder.damagePath))
    }

    /// Changed, removed, inserted, put in another place, cut off: at random, in the ledger itself, with and without what
    /// follows from it made to fit.
    @Test func everyRandomChangeOfTheChainIsFound() throws {
        var random = SeededGenerator(salt: 503)
        let people = (0..<6).map { Identifier.customer("r\($0)") }
        for _ in 0..<60 {
            let person = random.pick(people)
            let event =
                random.oneIn(3)
                ? ConsentEvent([person], "p0", .withdrawn) : .grant([person], random.pick(["p0", "p1"]))
            _ = try node.engine.record([event])
            if random.oneIn(9) { _ = try node.engine.checkpoint() }
        }
        try node.close()
        let head = try verify(node.folder).events
        for round in 0..<24 {
            let (statements, place) = mutation(&random, head)
            let changed = try copy(node.folder, "round\(round)")
            try changed.changeLedger(["DROP TRIGGER event_is_append_only"] + statements)
            let report = try verify(changed)
            #expect(!report.isSound && report.ledgerDamage != nil, "seed \(TestSeed.value), \(statements)")
            #expect(
                report.problems.contains { $0.contains("event \(place)") || $0.contains("to \(place)") },
                "\(statements): \(place) is not in \(report.problems)")
            try FileManager.default.removeItem(atPath: changed.path)
        }
    }

    /// What is done to the ledger, and the event at which it must be found.
    private func mutation(_ random: inout SeededGenerator, _ head: UInt64) -> ([String], UInt64) {
        let event = 2 + UInt64(random.below(Int(head) - 2))
        let columns =
            "kind, recorded_at, captured_at, subject, purpose, state, revision, language, method, party, explicit, "
            + "age, expires_at, refers_to, source, actor, key, personal, commitment, catalog, previous, hash, detail"
        switch random.below(5) {
        case 0:
            let change = random.pick([
                "captured_at = captured_at - 1", "recorded_at = recorded_at + 1", "actor = actor || 'x'",
                "hash = zeroblob(32)", "personal = zeroblob(length(personal))", "language = language || 'x'",
            ])
            return (["UPDATE event SET \(change) WHERE sequence = \(event)"], event)
        case 1: return (["DELETE FROM event WHERE sequence = \(event)"], event)
        case 2:
            // Those behind it move up, and take their hashes along.
            return (
                [
                    "UPDATE event SET sequence = sequence + 1000001 WHERE sequence >= \(event)",
                    "UPDATE event SET sequence = sequence - 1000000 WHERE sequence > 1000000",
                    "INSERT INTO event (sequence, \(columns)) SELECT \(event), \(columns) FROM event WHERE sequence = "
                        + "\(event + 1)",
                ], event + 1
            )
        case 3:
            let other = event == head ? event - 1 : event + 1
            return (
                [
                    "UPDATE event SET sequence = 1000000 WHERE sequence = \(event)",
                    "UPDATE event SET sequence = \(event) WHERE sequence = \(other)",
                    "UPDATE event SET sequence = \(other) WHERE sequence = 1000000",
                ], min(event, other)
            )
        default: return (["DELETE FROM event WHERE sequence >= \(event)"], event)
        }
    }

    // MARK: Proofs

    @Test func theProofOfAConsentHoldsWithoutTheNode() throws {
        let text = try node.engine.document(.event, of: 2)
        let finding = try verifyOffline(text)
        #expect(finding.sequence == 2 && finding.isTextShown)
        let json = try #require(JSONValue(text: text))
        #expect(json["event"]?["evidence"]?.text == "receipt 7 for Kåre 😀")
        #expect(json["event"]?["identifiers"]?.list?.count == 2)
        #expect(json["shown"]?["language"]?.text == "nb" && json["shown"]?["revision"]?.text == "1.0")
        #expect(try EventProof.verify(json, key: nil).key == node.engine.verificationKey)
        // Of an earlier build, which left out a catalog that was more than a frame holds.
        let short = json.with(["catalog": try #require(json["catalog"]).with(["document": .null])])
        #expect(try !EventProof.verify(short, key: nil).isTextShown)
        #expect(throws: EngineError.self) { try node.engine.document(.event, of: 0) }
        #expect(throws: EngineError.self) { try node.engine.document(.event, of: 6) }
    }

    @Test func everyKindOfEventHasAProof() throws {
        _ = try node.engine.erase(ErasureRequest(Self.kari[0], reason: .consentWithdrawn))
        for sequence in 1...6 as ClosedRange<UInt64> {
            let text = try node.engine.document(.event, of: sequence)
            #expect(try verifyOffline(text).sequence == sequence)
            #expect(!text.contains("kari") && !text.contains("receipt 7"))
        }
    }

    /// A revision that was applied may be written anew until it comes into force.
    @Test func theTextShownIsThatOfTheCatalogInForceAndNoDraftOfIt() throws {
        let soon = now.advanced(bySeconds: 3600)
        func apply(_ text: String) throws {
            var catalog = SampleCatalog(
                [.init("p0", bit: 0), .init("p1", bit: 1), .init("mail", bit: 2, basis: "legitimate_interest")],
                revisions: [.init("1.0", effectiveAt: SampleCatalog.begin, purposes: ["p0", "p1"])])
            catalog.revisions.append(.init("1.1", effectiveAt: soon, purposes: ["p0", "p1"]))
            let document = try CatalogDocument(
                text: catalog.text.replacing("Du samtykker til 1.1.", with: text), file: "catalog")
            _ = try node.engine.apply(document)
        }
        func shown(_ sequence: UInt64) throws -> String? {
            let text = try node.engine.document(.event, of: sequence)
            #expect(try verifyOffline(text).isTextShown)
            return JSONValue(text: text)?["shown"]?["body"]?.text
        }
        func record(_ event: ConsentEvent) throws -> UInt64 { try #require(try node.engine.recordOne(event).sequence) }
        try apply("Et utkast.")
        // Whoever was asked by the draft was shown the draft.
        let later = ConsentEvent([.customer("per")], "p0", .deferred).with {
            $0.revision = RevisionName(declaration: "club", revision: "1.1")
            $0.language = "nb"
        }
        let early = try record(later)
        try apply("Det som gjelder.")
        let late = try record(later)
        node.clockAheadMillis = 3_700_000
        try node.restart()
        let consent = try record(.grant([.customer("per")], revision: "1.1"))
        #expect(try shown(early) == "Et utkast.")
        #expect(try shown(late) == "Det som gjelder." && shown(consent) == "Det som gjelder.")
        let receipt = try node.engine.receipt(of: consent, .dpvReceipt).canonical
        #expect(receipt.contains("Det som gjelder.") && !receipt.contains("Et utkast."))
    }

    /// A catalog that this build cannot read does not make an older draft the text that was shown.
    @Test func whereTheCatalogInForceCannotBeReadNoTextIsShown() throws {
        let soon = now.advanced(bySeconds: 3600)
        var catalog = SampleCatalog(
            [.init("p0", bit: 0), .init("p1", bit: 1), .init("mail", bit: 2, basis: "legitimate_interest")],
            revisions: [.init("1.0", effectiveAt: SampleCatalog.begin, purposes: ["p0", "p1"])])
        catalog.revisions.append(.init("1.1", effectiveAt: soon, purposes: ["p0", "p1"]))
        _ = try node.engine.apply(catalog.document)
        catalog.revisions[1].more = ["storageLocation: EU"]
        _ = try node.engine.apply(catalog.document)
        let later = ConsentEvent([.customer("per")], "p0", .deferred).with {
            $0.revision = RevisionName(declaration: "club", revision: "1.1")
            $0.language = "nb"
        }
        let sequence = try #require(try node.engine.recordOne(later).sequence)
        // As one that was written by a later build.
        try node.folder.changeLedger("UPDATE catalog SET document = 'format: 99' WHERE version = 3")
        let text = try node.engine.document(.event, of: sequence)
        #expect(try !verifyOffline(text).isTextShown)
        #expect(JSONValue(text: text)?["shown"] == .null)
    }

    @Test func theProofOfAnActThatNamesNoLanguageHoldsAndShowsNoText() throws {
        let act = ConsentEvent([.customer("ola")], "p0", .withdrawn).with {
            $0.revision = RevisionName(declaration: "club", revision: "1.0")
        }
        #expect(try node.engine.recordOne(act) == .recorded(sequence: 6))
        let finding = try verifyOffline(try node.engine.document(.event, of: 6))
        #expect(finding.sequence == 6 && !finding.isTextShown)
    }

    @Test func nothingInAProofCanBeChanged() throws {
        let json = try #require(JSONValue(text: try node.engine.document(.event, of: 2)))
        let key = node.engine.verificationKey
        var found = 0
        func expectRefused(_ changed: JSONValue, _ what: String) {
            found += 1
            #expect(throws: ProofError.self, "\(what)") { try EventProof.verify(changed, key: key) }
        }
        for part in ["event", "chain", "shown"] {
            guard case .object(let members) = json[part] else { continue }
            for (name, value) in members {
                let changed: JSONValue =
                    switch value {
                    case .text(let text): .text(Self.changed(text))
                    case .number(let number): .number(number + 1)
                    case .bool(let bool): .bool(!bool)
                    case .list(let list): .list(list + ["00"])
                    case .null, .object: .text("x")
                    }
                expectRefused(json.with([part: json[part]!.with([name: changed])]), "\(part).\(name)")
            }
            if part == "chain" { continue }
            expectRefused(json.with([part: json[part]!.with(["more": "x"])]), "more of \(part)")
        }
        #expect(found > 40)
        expectRefused(json.with(["catalog": .null]), "no catalog")
        let catalog = try #require(json["catalog"])
        let document = try #require(catalog["document"]?.text)
        expectRefused(
            json.with(["catalog": catalog.with(["document": .text(document.replacing("p1", with: "p9"))])]), "catalog")
        let other = try TestNode(SampleCatalog.consents(bits: 0..<1))
        #expect(throws: ProofError.self) { try EventProof.verify(json, key: other.engine.verificationKey) }
    }

    /// What stands where nothing was said is no more to be taken for what was hashed than any other change.
    @Test func nothingCanBeSaidInAProofWhereTheEventSaidNothing() throws {
        _ = try node.engine.link(LinkRequest(.make(.cookie, "browser-of-ola"), to: .customer("ola")))
        for sequence in [1, 3, 4, 6] as [UInt64] {
            let json = try #require(JSONValue(text: try node.engine.document(.event, of: sequence)))
            guard let event = json["event"], case .object(let members) = event else { return }
            _ = try EventProof.verify(json, key: nil)
            for name in Array(members.filter(\.value.isNull).keys) + ["more", "subject"] {
                for value in ["x", "1970-01-01T00:00:00.000Z", .number(12), .bool(true)] as [JSONValue] {
                    let changed = json.with(["event": event.with([name: value])])
                    #expect(throws: ProofError.self, "event \(sequence): \(name) \(value.canonical)") {
                        try EventProof.verify(changed, key: nil)
                    }
                }
            }
        }
    }

    @Test func aProofOfWhatNoEventCanHoldIsRefused() throws {
        let json = try #require(JSONValue(text: try node.engine.document(.event, of: 2)))
        let (event, catalog) = (try #require(json["event"]), try #require(json["catalog"]))
        let many = JSONValue.list([JSONValue](repeating: "customer:ola", count: 300))
        for changed in [
            json.with(["event": event.with(["identifiers": many])]),
            json.with(["catalog": catalog.with(["version": .number(-1)])]),
        ] {
            #expect(throws: ProofError.self) { try EventProof.verify(changed, key: nil) }
        }
    }

    private static func changed(_ text: String) -> String {
        guard let last = text.last else { return "x" }
        if let moment = Timestamp(iso8601: text) { return moment.advanced(millis: 1).iso8601 }
        return text.dropLast() + (last == "1" ? "2" : "1")
    }

    // MARK: Receipts

    @Test func aReceiptOfEitherFormHoldsUntilItIsChanged() throws {
        for kind in [ProofKind.dpvReceipt, .kantaraReceipt] {
            let json = try node.engine.receipt(of: 2, kind)
            let finding = try Receipt.verify(json, key: node.engine.verificationKey)
            #expect(finding.kind == kind)
            let changed = json.with([kind == .dpvReceipt ? "dct:created" : "language": "sv"])
            #expect(throws: ProofError.self) { try Receipt.verify(changed, key: nil) }
            #expect(throws: ProofError.self) { try Receipt.verify(json.without("proof"), key: nil) }
            let proof = try #require(json["proof"])
            let endless = proof.with(["proofValue": .text("z" + String(repeating: "2", count: 1 << 22))])
            #expect(throws: ProofError.self) { try Receipt.verify(json.with(["proof": endless]), key: nil) }
            #expect(json.canonical.contains("kari.nordmann@example.no"))
        }
        let both = try [ProofKind.dpvReceipt, .kantaraReceipt].map { try node.engine.receipt(of: 2, $0) }
        #expect(both[0]["dct:identifier"] == both[1]["consentReceiptID"])
        #expect(both[1]["version"] == "KI-CR-v1.1.0" && both[1]["piiControllers"]?.list?.count == 1)
        #expect(both[1]["services"]?.list?.first?["purposes"]?.list?.first?["consentType"] == "EXPLICIT")
        #expect(both[0]["dct:conformsTo"] == "https://w3id.org/dpv/schema/dpv-27560#receipt")
        let record = try #require(both[0]["dpv:hasRecordOfActivity"])
        #expect(record["@type"] == "dpv:ConsentRecord" && record["@id"] != both[0]["@id"])
        #expect(record["dct:conformsTo"] == "https://w3id.org/dpv/schema/dpv-27560#record")
        let consent = try #require(record["dpv:hasConsentStatus"]?.list?.first)
        #expect(consent["@type"] == "dpv:ConsentGiven")
        #expect(consent["dpv:hasDuration"]?["@type"] == "dpv:UntilTimeDuration")
        #expect(record["dpv:hasProcess"]?["dpv:hasRecipient"]?.list?.isEmpty == false)
    }

    /// Each as the catalog has it, and nothing in place of what it has not.
    @Test func receiptsSayHowTheControllerIsReached() throws {
        let sample = node.engine.catalog.text
        func receipts(_ reached: String) throws -> (dpv: JSONValue?, kantara: JSONValue?, policy: String?) {
            let text = sample.replacing(
                "contact: post@klubben.example}", with: "contact: \"Torget 1, post@klubben.example\"\(reached)}")
            _ = try node.engine.apply(try CatalogDocument(text: text, file: "catalog"))
            let sequence = try #require(try node.engine.recordOne(.grant([.customer("per")])).sequence)
            let both = try [ProofKind.dpvReceipt, .kantaraReceipt].map {
                try node.engine.receipt(of: sequence, $0)
            }
            for receipt in both { _ = try Receipt.verify(receipt, key: node.engine.verificationKey) }
            return (
                both[0]["dpv:hasRecordOfActivity"]?["dpv:hasEntity"]?.list?.first,
                both[1]["piiControllers"]?.list?.first, both[1]["policyUrl"]?.text
            )
        }
        let bare = try receipts("")
        #expect(bare.dpv?["schema:address"]?["schema:streetAddress"]?.text == "not stated")
        #expect(bare.dpv?["schema:contactPoint"]?["schema:telephone"] == nil)
        #expect(bare.kantara?["address"]?["streetAddress"]?.text == "not stated" && bare.kantara?["phone"]?.text == "")
        #expect(bare.kantara?["email"]?.text == "post@klubben.example" && bare.kantara?["piiControllerUrl"] == nil)
        #expect(bare.policy?.hasPrefix("urn:consentd:") == true)
        let whole = try receipts(
            ", address: \"Kaien 1, 5003 Bergen\", phone: +47 55 00 04 00, url: \"https://k.example/p\"")
        #expect(whole.dpv?["schema:address"]?["schema:streetAddress"]?.text == "Kaien 1, 5003 Bergen")
        let point = whole.dpv?["schema:contactPoint"]
        #expect(
            point?["schema:telephone"]?.text == "+4755000400" && point?["schema:url"]?.text == "https://k.example/p")
        #expect(point?["schema:email"]?.text == "post@klubben.example")
        #expect(whole.kantara?["address"]?["streetAddress"]?.text == "Kaien 1, 5003 Bergen")
        #expect(whole.kantara?["phone"]?.text == "tel:+4755000400")
        #expect(
            whole.kantara?["piiControllerUrl"]?.text == "https://k.example/p" && whole.policy == "https://k.example/p")
    }

    @Test func thereIsAReceiptOfANoInTheFormThatHasIt() throws {
        let json = try node.engine.receipt(of: 4, .dpvReceipt)
        let record = try #require(json["dpv:hasRecordOfActivity"])
        #expect(record["dpv:hasConsentStatus"]?.list?.first?["@type"] == "dpv:ConsentWithdrawn")
        _ = try Receipt.verify(json, key: nil)
        let objection = try node.engine.receipt(of: 5, .dpvReceipt)
        #expect(
            objection["dpv:hasRecordOfActivity"]?["dpv:hasStatus"]?.list?.first?["@type"]
                == "dpv:LegitimateInterestObjected")
        _ = try Receipt.verify(objection, key: nil)
        #expect(throws: EngineError.self) { try node.engine.receipt(of: 4, .kantaraReceipt) }
    }

    @Test func whereThereCanBeNoReceiptTheReasonIsSaid() throws {
        func reason(_ sequence: UInt64) throws -> ReceiptError? {
            do {
                _ = try node.engine.receipt(of: sequence, .dpvReceipt)
            } catch EngineError.receipt(let error) {
                return error
            }
            return nil
        }
        #expect(try reason(1) == .noAct(1))
        _ = try node.engine.erase(ErasureRequest(Self.kari[0], reason: .consentWithdrawn))
        #expect(try reason(2) == .erased(2) && reason(6) == .noAct(6))
        #expect(throws: EngineError.self) { try node.engine.receipt(of: 77, .dpvReceipt) }
    }
}
