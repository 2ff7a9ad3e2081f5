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
        try erase(phone)
        for sequence in 2...5 as ClosedRange<UInt64> {
            let text = try engine.document(.event, of: sequence, sizeMax: 1 << 20)
            #expect(!text.contains(phone.value))
            let json = try #require(JSONValue(text: text))
            #expect(try EventProof.verify(json, key: engine.verificationKey).sequence == sequence)
            let (event, chain) = (try #require(json["event"]), try #require(json["chain"]))
            let identifiers = event["identifiers"]?.list ?? []
            var changes = [
                json.with(["event": event.with(["identifiers": .list(identifiers + [.text(phone.text)])])]),
                json.with(["event": event.with(["evidence": "another"])]),
            ]
            // Of an event that names nothing any more, there is nothing to be tied to it.
            let parts = try #require(chain["parts"])
            #expect(parts.isNull == (sequence == 3))
            let hashes = parts["identifiers"]?.list ?? []
            changes +=
                parts.isNull
                ? []
                : [
                    json.with(["chain": chain.with(["parts": .null])]),
                    json.with(["chain": chain.with(["parts": parts.with(["identifiers": .list(hashes.dropLast())])])]),
                    json.with(["chain": chain.with(["parts": parts.with(["evidence": ["hash": .text("00")]])])]),
                ]
            for changed in changes {
                #expect(throws: ProofError.self) { try EventProof.verify(changed, key: nil) }
            }
        }
        let receipt = try engine.receipt(of: 2, .dpvReceipt)
        #expect(try Receipt.verify(receipt, key: engine.verificationKey).kind == .dpvReceipt)
    }

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
        let proof = try #require(JSONValue(text: try engine.document(.event, of: 4, sizeMax: 1 << 20)))
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
        let proof = try #require(JSONValue(text: try engine.document(.event, of: 2, sizeMax: 1 << 20)))
        #expect(try EventProof.verify(proof, key: engine.verificationKey).sequence == 2)
        try erase(phone)
        #expect(try traces(phone.value, note) == [])
        #expect(try engine.events(kari).map(\.event.identifiers) == [[], [], [], []])
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
