import ConsentEngine
import ConsentIndex
import ConsentKernel
import ConsentLedger
import ConsentModel
import ConsentProof
import ConsentTestSupport
import Foundation
import GRDB
import Testing

/// An identifier that was taken off a person and is then erased alone is named by nothing any more, and the person's own
/// proof stands.
struct ErasedPartTests {
    private let node: TestNode
    private var engine: Engine { node.engine }
    private let kari = Identifier.customer("kari-100001")
    private let mail = Identifier.email("kari.nordmann@example.no")
    private let phone = Identifier.make(.phone, "+4791234567")
    private let note = "rang +4791234567 12. mars om brevet"

    init() throws { node = try TestNode(SampleCatalog.manyKinds) }

    private func record(_ events: ConsentEvent...) throws {
        #expect(try engine.record(events).outcomes.allSatisfy(\.isRecorded))
    }

    private func unlink(_ identifier: Identifier) throws { _ = try engine.unlink(UnlinkRequest(identifier)) }

    private func link(_ identifier: Identifier, to person: Identifier) throws {
        _ = try engine.link(LinkRequest(identifier, to: person))
    }

    @discardableResult
    private func erase(_ identifier: Identifier) throws -> ErasureReport {
        let report = try engine.erase(
            ErasureRequest(identifier, reason: .consentWithdrawn), tracesWaitMillis: 10_000)
        #expect(!report.isPending)
        return report
    }

    private func traces(_ values: String...) throws -> [ByteSearch.Place] {
        var search = ByteSearch(for: values.map { Array($0.utf8) })
        try search.search(node.folder.path)
        return search.places
    }

    /// The node is open again afterwards.
    private func expectSound(sourceLocation: SourceLocation = #_sourceLocation) throws {
        try node.expectSound(sourceLocation: sourceLocation)
        try node.open()
    }

    /// Events 2 to 5 are Kari's, and name her phone in four ways; 6 and 7 take it off her.
    private func takeThePhoneOff() throws {
        try record(
            .grant([kari, mail, phone], "p0").with { $0.evidence = "kvittering 7" },
            .grant([phone], "p1").with { $0.evidence = note },
            .grant([mail], "p1").with { $0.evidence = note })
        try record(ConsentEvent([phone, kari], "mail", .objected))
        try unlink(phone)
    }

    // MARK: What is gone, and what stays

    @Test func noByteOfItIsInAnyFileAndWhatElseWasRecordedStays() throws {
        try takeThePhoneOff()
        #expect(try !traces(phone.value).isEmpty, "the search finds what is there")
        let report = try erase(phone)
        #expect(report.emptiedEvents == 5, "four consents and what took it off")
        #expect(try traces(phone.value, note) == [])
        for _ in 0..<2 {
            let events = try engine.events(kari)
            #expect(events.map(\.event.identifiers) == [[kari, mail], [], [mail], [kari]])
            #expect(events.map(\.event.evidence) == ["kvittering 7", "", "", ""])
            #expect(engine.decision(kari, 0) == .granted && engine.decision(mail, 1) == .granted)
            #expect(engine.decision(phone, 0) == .unknown && engine.decision(phone, 4) == .denied)
            try node.restart()
        }
        try expectSound()
        #expect(try traces(phone.value, note) == [])
        try node.close()
        _ = try rebuildIndex(node.folder)
        try node.open()
        #expect(engine.decision(phone, 4) == .denied, "the no outlives it")
        try expectSound()
    }

    @Test func theProofOfTheOtherPersonHoldsAndNothingInItCanBeChanged() throws {
        try takeThePhoneOff()
        let erasure = try erase(phone).sequence
        for sequence in 2...5 as ClosedRange<UInt64> {
            let text = try engine.document(.event, of: sequence)
            #expect(!text.contains(phone.value))
            let json = try #require(JSONValue(text: text))
            let finding = try EventProof.verify(json, key: engine.verificationKey)
            #expect(finding.sequence == sequence && finding.isComplete)
            let gone: [EventProof.HiddenPart.Kind] =
                [[.identifier(3, of: 3)], [.identifier(1, of: 1), .evidence], [.evidence], [.identifier(1, of: 2)]][
                    Int(sequence) - 2]
            #expect(finding.hidden == gone.map { EventProof.HiddenPart(kind: $0, erasure: erasure) })
            let (event, chain) = (try #require(json["event"]), try #require(json["chain"]))
            let identifiers = event["identifiers"]?.list ?? []
            var changes = [
                json.with(["event": event.with(["identifiers": .list(identifiers + [.text(phone.text)])])]),
                json.with(["event": event.with(["evidence": "another"])]),
            ]
            let parts = try #require(chain["parts"])
            let hashes = try #require(parts["identifiers"]?.list)
            changes += [
                json.with(["chain": chain.with(["parts": parts.with(["identifiers": .list(hashes.dropLast())])])]),
                json.with(["chain": chain.with(["parts": parts.with(["evidence": ["hash": .text("00")]])])]),
                json.with(["chain": chain.with(["salt": .null])]),
            ]
            if sequence != 3 { changes.append(json.with(["chain": chain.with(["parts": .null])])) }
            for changed in changes {
                #expect(throws: ProofError.self) { try EventProof.verify(changed, key: nil) }
            }
        }
        let receipt = try engine.receipt(of: 2, .dpvReceipt)
        #expect(try Receipt.verify(receipt, key: engine.verificationKey).kind == .dpvReceipt)
    }

    // MARK: What a document hides

    private func proof(_ sequence: UInt64) throws -> JSONValue {
        try #require(JSONValue(text: try engine.document(.event, of: sequence)))
    }

    private func hidden(_ json: JSONValue) throws -> [EventProof.HiddenPart] {
        try EventProof.verify(json, key: engine.verificationKey).hidden
    }

    /// A proof in which one identifier has been replaced by what the event committed to by it.
    private func withholding(_ position: Int, of json: JSONValue) throws -> JSONValue {
        let (event, chain) = (try #require(json["event"]), try #require(json["chain"]))
        let parts = try #require(chain["parts"])
        var (named, committed) = (try #require(event["identifiers"]?.list), try #require(parts["identifiers"]?.list))
        let text = try #require(named.remove(at: position).text)
        let identifier = try #require([kari, mail, phone].first { $0.text == text })
        let nonce = try #require(committed[position]["nonce"]?.bytes)
        let value = Array(identifier.value.utf8)
        let hash = ChainHash(hashing: nonce + [identifier.type.rawValue, UInt8(value.count)] + value)
        committed[position] = ["hash": .text(hash.bytes.map { String(format: "%02x", $0) }.joined())]
        return json.with([
            "event": event.with(["identifiers": .list(named)]),
            "chain": chain.with(["parts": parts.with(["identifiers": .list(committed)])]),
        ])
    }

    @Test func aPartThatIsWithheldIsNotTakenForErased() throws {
        try takeThePhoneOff()
        let whole = try proof(2)
        #expect(try hidden(whole) == [])
        for position in 0..<3 {
            let changed = try withholding(position, of: whole)
            #expect(try hidden(changed) == [.init(kind: .identifier(position + 1, of: 3), erasure: nil)])
            #expect(try !EventProof.verify(changed, key: nil).isComplete)
        }
        let erasure = try erase(phone).sequence
        let partly = try proof(2)
        let gone = EventProof.HiddenPart(kind: .identifier(3, of: 3), erasure: erasure)
        #expect(try hidden(partly) == [gone])
        // The erasure that stands there tells of the phone alone, and no other tells of anything.
        #expect(
            try hidden(try withholding(1, of: partly)) == [.init(kind: .identifier(2, of: 3), erasure: nil), gone])
        #expect(try hidden(partly.without("erasures")) == [.init(kind: .identifier(3, of: 3), erasure: nil)])
    }

    @Test func anEventOfWhichAllIsWithheldIsNotTakenForErased() throws {
        try takeThePhoneOff()
        let json = try proof(2)
        let (event, chain) = (try #require(json["event"]), try #require(json["chain"]))
        let stripped = json.with([
            "event": event.with(["identifiers": [], "evidence": "", "erased": .bool(true)]),
            "chain": chain.with(["salt": .null, "parts": .null]),
        ])
        #expect(try hidden(stripped) == [.init(kind: .all, erasure: nil)])
        let erasure = try erase(kari).sequence
        #expect(try hidden(try proof(2)) == [.init(kind: .all, erasure: erasure)])
        #expect(try hidden(try proof(2).without("erasures")) == [.init(kind: .all, erasure: nil)])
        // A "no" about who is erased never named anybody.
        let no = try #require(try engine.recordOne(ConsentEvent([kari], "p0", .withdrawn)).sequence)
        #expect(try hidden(try proof(no)) == [])
    }

    /// The erasure of another person, or one that took something else, shows nothing.
    @Test func anErasureCountsForWhatItTookAlone() throws {
        let ola = Identifier.customer("ola-200002")
        try record(.grant([kari, mail], "p0"), .grant([ola], "p0"))
        try erase(kari)
        try erase(ola)
        let (ofKari, ofOla) = (try proof(2), try proof(3))
        let exchanged = ofKari.with(["erasures": try #require(ofOla["erasures"])])
        #expect(try hidden(exchanged) == [.init(kind: .all, erasure: nil)])
        let erasure = try #require(ofKari["erasures"]?.list?.first)
        let events = try #require(erasure["events"]?.list)
        let ofCatalog = try #require(ofKari["catalog"])
        let applied: JSONValue = [
            "event": try #require(ofCatalog["event"]).with(["subject": .null]),
            "chain": try #require(ofCatalog["chain"]),
        ]
        for changed in [
            erasure.with(["parts": .text(String(repeating: "00", count: 41))]), erasure.with(["parts": .text("00")]),
            erasure.with(["events": []]), erasure.with(["events": .list([applied])]),
            erasure.with(["events": .list(events + events)]), erasure.without("parts"),
        ] {
            #expect(throws: ProofError.self, "\(changed.canonical)") {
                try EventProof.verify(ofKari.with(["erasures": .list([changed])]), key: nil)
            }
        }
    }

    @Test func whoBecamePartOfAnErasedPersonIsShownToBeErasedByTheLinks() throws {
        let (cookie, device) = (Identifier.make(.cookie, "f3a1-browser"), Identifier.make(.device, "tablet-77"))
        try record(.grant([cookie], "p0"), .grant([device], "p0"), .grant([kari], "p1"))
        try link(cookie, to: device)
        try link(device, to: kari)
        let erasure = try erase(kari).sequence
        for (sequence, links) in [(2, 2), (3, 1), (4, 0)] as [(UInt64, Int)] {
            let json = try proof(sequence)
            #expect(try hidden(json) == [.init(kind: .all, erasure: erasure)])
            let shown = try #require(json["erasures"]?.list?.first)
            let events = try #require(shown["events"]?.list)
            #expect(events.count == links + 1)
            guard links > 0 else { continue }
            let short = json.with(["erasures": .list([shown.with(["events": .list(Array(events.dropFirst()))])])])
            #expect(try hidden(short) == [.init(kind: .all, erasure: nil)])
            let cut = json.with(["erasures": .list([shown.with(["events": .list(Array(events.dropLast()))])])])
            #expect(throws: ProofError.self) { try EventProof.verify(cut, key: nil) }
        }
    }

    // MARK: Wherever it has been

    @Test func whereverItHasBeenOnItsWayNothingNamesIt() throws {
        let (cookie, device) = (Identifier.make(.cookie, "f3a1-browser"), Identifier.make(.device, "tablet-77"))
        let (ola, per) = (Identifier.customer("ola-200002"), Identifier.customer("per-300003"))
        try record(.grant([cookie, device], "p0"), .grant([kari], "p1"), .grant([ola], "p0"), .grant([per], "p0"))
        try link(cookie, to: kari)
        try record(.grant([cookie], "p0"))
        try unlink(cookie)
        try record(ConsentEvent([cookie], "p1", .refused))
        try link(cookie, to: ola)
        try record(ConsentEvent([ola, cookie], "p1", .deferred))
        try unlink(cookie)
        try link(cookie, to: per)
        try unlink(cookie)
        try expectSound()
        try erase(cookie)
        #expect(try traces(cookie.value) == [])
        #expect(try !traces(device.value).isEmpty && engine.decision(device) == .granted)
        #expect(try engine.events(ola).map(\.event.identifiers) == [[ola], [], [ola]])
        try expectSound()
        try erase(ola)
        #expect(try traces(ola.value) == [])
        try expectSound()
        try erase(device)
        #expect(try traces(device.value, kari.value) == [])
        try expectSound()
    }

    @Test func severalOfOneEventGoOneAfterTheOtherAndThenTheRest() throws {
        try record(.grant([kari, mail, phone], "p0").with { $0.evidence = note })
        for identifier in [phone, mail] {
            try unlink(identifier)
            try erase(identifier)
            #expect(try traces(identifier.value) == [])
            try expectSound()
        }
        #expect(try engine.events(kari).map(\.event.identifiers) == [[kari]])
        try erase(kari)
        #expect(try traces(kari.value) == [])
        try expectSound()
    }

    @Test func whoComesBackUnderItIsNamedAsBefore() throws {
        try takeThePhoneOff()
        try erase(phone)
        nextMillisecond()
        try record(.grant([phone], "p0"))
        #expect(engine.decision(phone) == .granted)
        try link(phone, to: kari)
        #expect(try engine.events(phone).count == 5)
        try expectSound()
        try erase(kari)
        #expect(try traces(phone.value, kari.value, mail.value) == [])
        try expectSound()
    }

    @Test func severalThatOneGroupErasesAreGone() throws {
        try record(.grant([kari, mail, phone], "p0").with { $0.evidence = note })
        for identifier in [phone, mail] { try unlink(identifier) }
        let blocked = try BlockedWriter(engine)
        let reports = Answers<Result<ErasureReport, EngineError>>()
        for identifier in [phone, mail, phone] {
            engine.erase(ErasureRequest(identifier, reason: .objection), tracesWaitMillis: 10_000) { reports.add($0) }
        }
        blocked.release()
        let all = try reports.take(3).map { try $0.get() }
        #expect(all.map(\.isRepeated).filter { $0 }.count == 1 && Set(all.map(\.sequence)).count == 2)
        #expect(try traces(phone.value, mail.value, note) == [])
        #expect(try engine.events(kari).map(\.event.identifiers) == [[kari]])
        try expectSound()
    }

    @Test func whatIsSentOnceMoreIsNotRecordedAgain() throws {
        let grant = ConsentEvent.grant([kari, phone], "p0").with {
            $0.key = IdempotencyKey(7)
            $0.evidence = note
        }
        let no = ConsentEvent([kari, phone], "mail", .objected).with { $0.key = IdempotencyKey(8) }
        let outcomes = try engine.record([grant, no]).outcomes
        try unlink(phone)
        let erasedAt = try erase(phone).erasedAt
        let before = try engine.sizes()
        let again = try engine.record([grant, no]).outcomes
        #expect(again == [.refused(.personErased(at: erasedAt)), .duplicate(sequence: outcomes[1].sequence!)])
        let other = grant.with { $0.identifiers = [mail, phone] }
        #expect(try engine.recordOne(other) == .refused(.keyReused(sequence: outcomes[0].sequence!)))
        #expect(try engine.sizes() == before)
        #expect(try traces(phone.value) == [])
    }

    @Test func listsNameThePersonWithoutIt() throws {
        try takeThePhoneOff()
        try erase(phone)
        var question = PeopleQuestion(.audience)
        (question.purpose, question.countMax) = ("p0", 100)
        #expect(try engine.people(question).people.map { Set($0.identifiers) } == [[kari, mail]])
    }

    // MARK: What somebody changes behind the node's back

    @Test func whatIsTakenOutBesidesIsFound() throws {
        try takeThePhoneOff()
        try erase(phone)
        try node.close()
        let entry = "substr(parts, 1, 41)"
        for (statements, place) in [
            (["DELETE FROM erased_part WHERE sequence = 2"], "event 2"),
            (["UPDATE erased_part SET parts = zeroblob(41) WHERE sequence = 2"], "event 2"),
            (["UPDATE erased_part SET parts = CAST(x'00' || substr(parts, 2) AS BLOB) WHERE sequence = 2"], "event 2"),
            (["UPDATE erased_part SET parts = CAST(\(entry) || \(entry) AS BLOB) WHERE sequence = 2"], "event 8"),
            (["UPDATE event SET personal = zeroblob(length(personal)) WHERE sequence = 2"], "event 2"),
            (["DELETE FROM erased_part WHERE sequence = 6"], "event 6"),
            (["INSERT INTO erased_part SELECT 4 + 4, parts FROM erased_part WHERE sequence = 2"], "event 8"),
            (["UPDATE event SET detail = CAST(substr(detail, 1, 18) AS BLOB) WHERE kind = 6"], "event 8"),
        ] {
            let temporary = TemporaryFolder()
            let folder = NodeFolder(temporary.path + "/node")
            try FileManager.default.copyItem(atPath: node.folder.path, toPath: folder.path)
            try folder.changeLedger(statements)
            let problems: [String]
            do { problems = try verify(folder).problems } catch let error as LedgerError { problems = ["\(error)"] }
            #expect(problems.contains { $0.contains(place) }, "\(statements): \(problems)")
        }
    }

    /// A part that is gone with its right hash in its place: only the erasure tells that it was not meant.
    @Test func anotherPartThatIsSaidToBeErasedIsFound() throws {
        try takeThePhoneOff()
        try erase(phone)
        let proof = try #require(JSONValue(text: try engine.document(.event, of: 4)))
        try node.close()
        let nonce = try #require(proof["chain"]?["parts"]?["identifiers"]?.list?.first?["nonce"]?.bytes)
        let value = Array(mail.value.utf8)
        let hash = ChainHash(hashing: nonce + [mail.type.rawValue, UInt8(value.count)] + value).bytes
        for erasure in [8, 9] {
            let temporary = TemporaryFolder()
            let folder = NodeFolder(temporary.path + "/node")
            try FileManager.default.copyItem(atPath: node.folder.path, toPath: folder.path)
            let part = [0, UInt8(erasure)] + [UInt8](repeating: 0, count: 7) + hash
            let zeros = [0x81, 0, UInt8(value.count)] + [UInt8](repeating: 0, count: value.count + 16)
            let database = try DatabaseQueue(path: folder.ledgerPath)
            try database.write { database in
                let size = 1 + 2 + value.count + 16
                try database.execute(
                    sql: "UPDATE event SET personal = CAST(? || substr(personal, ?) AS BLOB) WHERE sequence = 4",
                    arguments: [Data(zeros), size + 1])
                try database.execute(
                    sql: "UPDATE erased_part SET parts = CAST(? || parts AS BLOB) WHERE sequence = 4",
                    arguments: [Data(part)])
            }
            try database.close()
            let problems = try verify(folder).problems
            #expect(problems.contains { $0.contains("event \(erasure == 8 ? 8 : 4)") }, "\(problems)")
        }
    }

    // MARK: Ledgers of earlier builds

    /// Their events commit to all that is personal at once, so that all of it goes with what was taken off.
    @Test func anEventOfAnEarlierBuildLosesAllThatIsPersonal() throws {
        try takeThePhoneOff()
        try node.close()
        try node.folder.commitToAllAtOnce()
        try node.open()
        try expectSound()
        #expect(
            try engine.events(kari).map(\.event.identifiers) == [[kari, mail, phone], [phone], [mail], [phone, kari]])
        let proof = try #require(JSONValue(text: try engine.document(.event, of: 2)))
        #expect(try EventProof.verify(proof, key: engine.verificationKey).sequence == 2)
        let erasure = try erase(phone).sequence
        #expect(try traces(phone.value, note) == [])
        #expect(try engine.events(kari).map(\.event.identifiers) == [[], [], [], []])
        #expect(try hidden(try self.proof(2)) == [.init(kind: .all, erasure: erasure)])
        #expect(engine.decision(kari, 0) == .granted)
        try expectSound()
        try erase(kari)
        try expectSound()
    }
}

extension NodeFolder {
    /// Writes events and chain anew, as earlier builds did. Nothing was signed yet.
    fileprivate func commitToAllAtOnce() throws {
        for path in [checkpointsPath, indexFolder.path, keysFolder.path] {
            try? FileManager.default.removeItem(atPath: path)
        }
        let ledger = try Ledger(path: ledgerPath)
        let events = try ledger.read { snapshot in
            try (1...snapshot.head().sequence).map { ($0, try snapshot.evidence(of: $0)!) }
        }
        var hash = try ledger.read { try $0.chainHead(at: 0)!.hash }
        try ledger.close()
        let database = try DatabaseQueue(path: ledgerPath)
        try database.writeWithoutTransaction { database in
            try database.execute(sql: "PRAGMA secure_delete = ON")
            for (sequence, evidence) in events {
                var entry = evidence.entry
                entry.previous = hash
                if case .consent(let recorded) = evidence.event, let salt = evidence.salt {
                    entry.body = ChainEntry.body(
                        recorded, commitment: ChainEntry.commitment(salt: salt, recorded.event))
                    var personal = [UInt8(recorded.event.identifiers.count)]
                    for identifier in recorded.event.identifiers {
                        personal += [identifier.type.rawValue, UInt8(identifier.value.utf8.count)]
                        personal += identifier.value.utf8
                    }
                    let size = recorded.event.evidence.utf8.count
                    personal += [UInt8(size & 255), UInt8(size >> 8)] + recorded.event.evidence.utf8
                    try database.execute(
                        sql: "UPDATE event SET personal = ? WHERE sequence = ?", arguments: [Data(personal), sequence])
                }
                hash = entry.hash
                try database.execute(
                    sql: "UPDATE event SET hash = ? WHERE sequence = ?", arguments: [Data(hash.bytes), sequence])
            }
            try database.execute(sql: "VACUUM")
        }
        try database.close()
    }
}
