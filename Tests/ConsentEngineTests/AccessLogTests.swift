import ConsentEngine
import ConsentIndex
import ConsentKernel
import ConsentLedger
import ConsentModel
import ConsentTestSupport
import Foundation
import Testing

/// Who reads is in the chain, and names nobody.
struct AccessLogTests {
    private static let kari = Identifier.email("kari.nordmann@example.no")
    private let node: TestNode

    init() throws {
        node = try TestNode(SampleCatalog.consents(bits: 0..<2))
        _ = try node.engine.record([.grant([Self.kari, .customer("kari-100001")]), .grant([.customer("ola")])])
    }

    private func log(
        _ question: AccessQuestion, by actor: String = "clerk-7", client: String = "crm",
        about identifier: Identifier? = nil, _ change: (inout AccessEntry) -> Void = { _ in }
    ) async throws -> UInt64 {
        var entry = AccessEntry(question, by: AccessReader(actor: actor, client: client))
        change(&entry)
        return try await withCheckedThrowingContinuation { continuation in
            node.engine.log(entry, about: identifier.map { .asked($0) } ?? .nobody) {
                continuation.resume(with: $0.mapError { $0 as any Error })
            }
        }
    }

    private func all(_ change: (inout AccessLogQuestion) -> Void = { _ in }) throws -> [RecordedAccess] {
        var question = AccessLogQuestion()
        change(&question)
        return try node.engine.accesses(question, countMax: 1000).entries
    }

    @Test func anEntryIsKeptAsItWasMadeAndTheNodeIsSound() async throws {
        let sequence = try await log(.active, about: nil) {
            ($0.rows, $0.after, $0.about) = (7, 8, 9)
            ($0.from, $0.until) = (Timestamp(millis: 1), Timestamp(millis: 2))
            ($0.purpose, $0.except, $0.declaration, $0.revision, $0.recipient) = ("p0", "p1", "club", "1.0", "å")
        }
        #expect(sequence == 4)
        let found = try #require(try all().first)
        #expect(found.sequence == 4 && found.entry.reader == AccessReader(actor: "clerk-7", client: "crm"))
        #expect(found.entry.question == .active && found.entry.rows == 7 && found.entry.after == 8)
        #expect(found.entry.about == 9 && found.entry.from == Timestamp(millis: 1) && found.entry.recipient == "å")
        try node.restart()
        #expect(try all() == [found])
        try node.close()
        try node.expectSound()
    }

    @Test func aPersonIsANumberAndSomebodyUnknownAHash() async throws {
        _ = try await log(.history, about: Self.kari)
        _ = try await log(.explain, by: "clerk-8", about: .customer("kari-100001"))
        _ = try await log(.history, about: .customer("nobody-here"))
        _ = try await log(.audience)
        let entries = try all().map(\.entry)
        #expect(entries.map(\.subject) == [1, 1, 0, 0])
        #expect(entries.map { $0.identifierHash.contains { $0 != 0 } } == [false, false, true, false])
        for identifier in [Self.kari, .customer("kari-100001")] {
            #expect(try all { $0.identifier = identifier }.map(\.sequence) == [4, 5])
        }
        // Known since; the read of before is found by the hash.
        _ = try node.engine.record([.grant([.customer("nobody-here")])])
        _ = try await log(.history, about: .customer("nobody-here"))
        #expect(try all { $0.identifier = .customer("nobody-here") }.map(\.sequence) == [6, 9])
        #expect(try all { $0.actor = "clerk-8" }.map(\.sequence) == [5])
        #expect(try all { $0.after = 6 }.map(\.sequence) == [7, 9])
        let moments = try all().map(\.recordedAt)
        #expect(try all { $0.since = moments[1] }.first?.recordedAt == moments[1])
        #expect(try all { $0.until = moments[0] }.isEmpty)
    }

    @Test func ofALinkedPersonTheReadsOfBothSidesAreShown() async throws {
        let (cookie, device) = (Identifier.make(.cookie, "f3a1-browser"), Identifier.make(.device, "tablet-77"))
        _ = try node.engine.record([.grant([cookie, device], "p1")])
        var reads: [UInt64] = []
        for identifier in [cookie, .customer("new-1"), Self.kari] {
            reads.append(try await log(.history, about: identifier))
        }
        let ofOla = try await log(.history, about: .customer("ola"))
        _ = try node.engine.link(LinkRequest(cookie, to: Self.kari))
        for identifier in [cookie, device, Self.kari] {
            #expect(try all { $0.identifier = identifier }.map(\.sequence) == [reads[0], reads[2]])
        }
        _ = try node.engine.record([.grant([.customer("new-1")])])
        #expect(try all { $0.identifier = .customer("new-1") }.map(\.sequence) == [reads[1]], "by its hash")
        reads.append(try await log(.history, about: device))
        let ofKari = [reads[0], reads[2], reads[3]]
        #expect(try all { $0.identifier = Self.kari }.map(\.sequence) == ofKari)
        // Taken off, it has what is read of it from then on; what was recorded, and so was read before, stays hers.
        _ = try node.engine.unlink(UnlinkRequest(cookie))
        let ofCookie = try await log(.history, about: cookie)
        #expect(try all { $0.identifier = cookie }.map(\.sequence) == [ofCookie])
        #expect(try all { $0.identifier = Self.kari }.map(\.sequence) == ofKari)
        #expect(try all { $0.identifier = .customer("ola") }.map(\.sequence) == [ofOla])
        try node.restart()
        #expect(try all { $0.identifier = device }.map(\.sequence) == ofKari)
        try node.expectSound()
    }

    @Test func anEventOfAnyKindSaysWhomItIsAbout() async throws {
        let cookie = Identifier.make(.cookie, "f3a1-browser")
        let engine = node.engine
        let linked = try engine.link(LinkRequest(cookie, to: Self.kari)).sequence
        let read = try await log(.history, about: .customer("nobody-here"))
        let readOfKari = try await log(.history, about: Self.kari)
        let erased = try engine.erase(ErasureRequest(.customer("ola"), reason: .objection)).sequence
        let none = AccessEntry.noHash
        #expect(try engine.person(ofEvent: 1) == .nobody, "a catalog")
        #expect(
            try engine.person(ofEvent: 2)
                == .ofEvent(subject: 1, none, names: [Self.kari, .customer("kari-100001")]))
        #expect(try engine.person(ofEvent: linked) == .ofEvent(subject: 1, none, names: [cookie]))
        #expect(try engine.person(ofEvent: readOfKari) == .ofEvent(subject: 1, none, names: []))
        #expect(try engine.person(ofEvent: erased) == .ofEvent(subject: 2, none, names: []))
        #expect(try engine.person(ofEvent: 77) == .nobody)
        guard case .ofEvent(0, let hash, []) = try engine.person(ofEvent: read) else {
            Issue.record("a read of somebody unknown")
            return
        }
        #expect(hash == engine.hashKey.hash(.customer("nobody-here")).bytes)
    }

    @Test func whoReadsAProofIsNotNamedByThePersonEither() async throws {
        let person = try node.engine.person(ofEvent: 2)
        for actor in ["the kari-100001 desk", "kari-100001"] {
            let entry = AccessEntry(.proof, by: AccessReader(actor: actor))
            await #expect(throws: EngineError.self) {
                try await withCheckedThrowingContinuation { continuation in
                    node.engine.log(entry, about: person) {
                        continuation.resume(with: $0.map { _ in }.mapError { $0 as any Error })
                    }
                }
            }
        }
        #expect(try all().isEmpty)
    }

    @Test func pagesLeadOnUntilAllWasGiven() async throws {
        for _ in 0..<5 { _ = try await log(.audience) }
        var question = AccessLogQuestion()
        var seen: [UInt64] = []
        while true {
            let page = try node.engine.accesses(question, countMax: 2)
            seen += page.entries.map(\.sequence)
            guard page.hasMore else { break }
            #expect(page.next > question.after)
            question.after = page.next
        }
        #expect(seen == [4, 5, 6, 7, 8])
    }

    @Test(arguments: [
        "kari.nordmann@example.no", "someone@else.example", "12345678", "clerk 123456", "123-456-789",
        "tab\tbed", String(repeating: "a", count: 256), "the kari-100001 desk",
    ])
    func whoReadsNamesAnAccountAndNobodyWhoCanBeErased(actor: String) async throws {
        await #expect(throws: EngineError.self) { try await log(.history, by: actor, about: .customer("kari-100001")) }
        #expect(try all().isEmpty)
    }

    @Test func aProgramWhoseNameCannotBeKeptIsUnnamed() async throws {
        _ = try await log(.history, client: "crm@example.no", about: Self.kari)
        #expect(try all().map(\.entry.reader) == [AccessReader(actor: "clerk-7", client: "unnamed")])
    }

    @Test func anErasureLeavesTheLogAndNothingOfThePersonInIt() async throws {
        _ = try await log(.history, about: Self.kari)
        _ = try await log(.history, about: .email("kari.nordmann@example.com"))
        let report = try node.engine.erase(ErasureRequest(Self.kari, reason: .consentWithdrawn, actor: "clerk-7"))
        #expect(!report.isPending)
        _ = try await log(.history, about: Self.kari)
        #expect(try all { $0.identifier = Self.kari }.map(\.sequence) == [4, 7])
        try node.close()
        for file in try FileManager.default.subpathsOfDirectory(atPath: node.folder.path) {
            let path = node.folder.path + "/" + file
            guard let content = FileManager.default.contents(atPath: path) else { continue }
            #expect(content.range(of: Data("kari".utf8)) == nil, "\(file)")
        }
        try node.expectSound()
    }

    @Test func everyPartOfAnEntryIsUnderTheChain() async throws {
        let sequence = try await log(.history, about: Self.kari) { $0.purpose = "p0" }
        _ = try await log(.audience)
        try node.close()
        let changes = [
            "detail = detail || x'00'", "detail = zeroblob(length(detail))", "kind = 6", "kind = 3", "actor = 'x'",
            "subject = 1", "recorded_at = recorded_at + 1", "captured_at = captured_at + 1", "personal = x'00'",
            "detail = replace(detail, x'636C65726B2D37', x'636C65726B2D38')",
        ]
        for (number, change) in changes.enumerated() {
            let copied = NodeFolder(node.temporary.path + "/copy\(number)")
            try FileManager.default.copyItem(atPath: node.folder.path, toPath: copied.path)
            let cast = change.contains("||") || change.contains("replace")
            let assignment = cast ? "detail = CAST(\(change.dropFirst("detail = ".count)) AS BLOB)" : change
            try copied.changeLedger([
                "PRAGMA ignore_check_constraints = ON", "UPDATE event SET \(assignment) WHERE sequence = \(sequence)",
            ])
            do {
                let report = try verify(copied)
                #expect(report.problems.contains { $0.contains("event \(sequence)") }, "\(change): \(report.problems)")
            } catch let error as LedgerError {
                #expect("\(error)".contains("event \(sequence)"), "\(change): \(error)")
            }
        }
    }

    @Test func readingTakesNothingFromWritingAndIsInItsOrder() async throws {
        for round in 0..<20 {
            _ = try node.engine.record([ConsentEvent([.customer("w\(round)")], "p0", .withdrawn)])
            _ = try await log(.history, about: .customer("w\(round)"))
        }
        #expect(try all().map(\.sequence) == (0..<20).map { 5 + 2 * $0 })
        #expect(try node.engine.events(Self.kari).map(\.sequence) == [2])
    }
}
