import ConsentCatalog
import ConsentEngine
import ConsentIndex
import ConsentKernel
import ConsentLedger
import ConsentModel
import ConsentTestSupport
import Foundation
import Testing

/// A node that is opened again after whatever became of its files.
struct RecoveryTests {
    private let node: TestNode
    private let people = (0..<300).map { Identifier.customer("c\($0)") }

    init() throws {
        node = try TestNode(.consents(bits: 0..<2))
        _ = try node.engine.record(people.enumerated().map { number, person in
            number % 3 == 0 ? ConsentEvent([person], "p0", .withdrawn) : .grant([person])
        })
    }

    private var indexPath: String { node.folder.indexFolder.path }

    private var indexFile: String { get throws { indexPath + "/" + (try File.linkTarget(indexPath + "/current")) } }

    private func expected(_ number: Int) -> Decision { number % 3 == 0 ? .denied : .granted }

    private func expectTheSameAnswers(_ node: TestNode? = nil, sourceLocation: SourceLocation = #_sourceLocation) {
        let engine = (node ?? self.node).engine
        let wrong = people.enumerated().filter { engine.decision($0.element) != expected($0.offset) }
        #expect(wrong.isEmpty, sourceLocation: sourceLocation)
        #expect(engine.decision(.customer("nobody")) == .unknown, sourceLocation: sourceLocation)
        #expect(people.allSatisfy { engine.decision($0, 1) == .unknown }, sourceLocation: sourceLocation)
    }

    private func copy(_ from: String, to: String) throws {
        try? FileManager.default.removeItem(atPath: to)
        try FileManager.default.copyItem(atPath: from, toPath: to)
    }

    private func rebuiltReason(_ node: TestNode? = nil) -> String? {
        if case .rebuilt(let reason, _) = (node ?? self.node).engine.recovery { reason } else { nil }
    }

    @Test func afterAnOrderlyEndTheIndexIsCurrent() throws {
        for _ in 0..<3 {
            try node.restart()
            #expect(node.engine.recovery == .current)
            expectTheSameAnswers()
        }
    }

    @Test func anIndexThatIsGoneIsMadeAnew() throws {
        try node.close()
        try FileManager.default.removeItem(atPath: indexPath)
        try node.open()
        #expect(node.engine.recovery == .rebuilt(reason: "there is none yet", identifiers: 300))
        expectTheSameAnswers()
        try node.restart()
        #expect(node.engine.recovery == .current)
    }

    @Test(arguments: ["current", "places", "empty", "short", "header", "random"])
    func anIndexThatIsDamagedIsMadeAnewAndSaidSo(_ damage: String) throws {
        let file = try indexFile
        try node.close()
        switch damage {
        case "current": try FileManager.default.removeItem(atPath: indexPath + "/current")
        case "places": try FileManager.default.removeItem(atPath: file + ".places")
        case "empty": try Data().write(to: URL(filePath: file))
        case "short": try FileDescriptor.open(file, .readWrite).truncate(size: 5000)
        case "header": try overwrite(file, at: 40, with: [9])
        default: try Data((0..<50_000).map { _ in UInt8.random(in: 0...255) }).write(to: URL(filePath: file))
        }
        try node.open()
        #expect(rebuiltReason()?.isEmpty == false)
        expectTheSameAnswers()
        try node.close()
        #expect(try verify(node.folder).problems == [])
    }

    /// Every byte of a row is under the index's digest; a row that lies must not be believed.
    @Test func rowsThatAreDamagedAreNotBelieved() throws {
        let file = try indexFile
        let pristine = node.temporary.path + "/pristine"
        try node.close()
        try copy(file, to: pristine)
        let bytes = try File.read(pristine)
        let used = (4096..<bytes.count).filter { bytes[$0] != 0 && bytes[$0] != 0xFF }
        var generator = SeededGenerator(salt: 41)
        for _ in 0..<40 {
            try copy(pristine, to: file)
            let position = generator.pick(used)
            try overwrite(file, at: position, with: [bytes[position] ^ 1 << UInt8(generator.below(8))])
            try node.open()
            #expect(rebuiltReason() != nil, "CONSENT_TEST_SEED=\(TestSeed.value): byte \(position) was changed")
            expectTheSameAnswers()
            try node.close()
            if try indexFile != file { break }
        }
    }

    @Test func anIndexOfAnotherLedgerIsMadeAnew() throws {
        let other = try TestNode(.consents(bits: 0..<2))
        _ = try other.engine.record(people.map { .grant([$0]) })
        try other.close()
        try node.close()
        try copy(other.folder.indexFolder.path, to: indexPath)
        try node.open()
        #expect(rebuiltReason() == "it was derived from another ledger")
        expectTheSameAnswers()
    }

    @Test func anIndexAheadOfARestoredLedgerIsMadeAnew() throws {
        try node.close()
        let backup = node.temporary.path + "/backup.sqlite"
        try copy(node.folder.ledgerPath, to: backup)
        try node.open()
        _ = try node.engine.record(people.map { .grant([$0], "p1") } + [.grant([people[0]])])
        try node.close()
        try copy(backup, to: node.folder.ledgerPath)
        try node.open()
        #expect(rebuiltReason() == "it was derived from another past of this ledger")
        expectTheSameAnswers()
    }

    @Test func anIndexOfAnotherPastIsMadeAnewThoughTheLedgerHasOvertakenIt() throws {
        try node.close()
        let backup = node.temporary.path + "/backup.sqlite"
        try copy(node.folder.ledgerPath, to: backup)
        try node.open()
        _ = try node.engine.record([.grant([people[0]])])
        try node.close()
        let otherIndex = node.temporary.path + "/other-index"
        try copy(indexPath, to: otherIndex)
        // The ledger goes on otherwise than the one that the index followed.
        try copy(backup, to: node.folder.ledgerPath)
        try node.open()
        _ = try node.engine.record((0..<10).map { .grant([.customer("later\($0)")]) })
        try node.close()
        try copy(otherIndex, to: indexPath)
        try node.open()
        #expect(rebuiltReason() == "it was derived from another past of this ledger")
        expectTheSameAnswers()
        #expect(node.engine.decision(.customer("later9")) == .granted)
    }

    @Test func anIndexBehindItsLedgerIsBroughtUpToDate() throws {
        // While the writer is at work, so that the copy was not closed in order.
        let older = node.temporary.path + "/older-index"
        try copy(indexPath, to: older)
        _ = try node.engine.record([
            ConsentEvent([people[1]], "p0", .withdrawn), .grant([.customer("new"), people[2]], "p1"),
            .grant([people[0]]),
        ])
        try node.close()
        try copy(older, to: indexPath)
        try node.open()
        #expect(node.engine.recovery == .replayed(subjects: 3))
        #expect(node.engine.decision(people[1]) == .denied)
        #expect(node.engine.decision(people[0]) == .granted)
        #expect(node.engine.decision(.customer("new"), 1) == .granted)
        #expect(node.engine.decision(.customer("new"), 0) == .granted)
        #expect(node.engine.decision(people[2], 1) == .granted)
        #expect(node.engine.decision(people[5]) == .granted)
        #expect(node.engine.publication.current.appliedSequence == 304)
        try node.close()
        #expect(try verify(node.folder).problems == [])
    }

    @Test func anIndexFromBeforeACatalogChangeIsMadeAnew() throws {
        let older = node.temporary.path + "/older-index"
        try copy(indexPath, to: older)
        var catalog = SampleCatalog.consents(bits: 0..<2)
        catalog.revisions.append(.init("2.0", effectiveAt: secondsAgo(1)))
        _ = try node.engine.apply(catalog.document)
        try node.close()
        try copy(older, to: indexPath)
        try node.open()
        #expect(rebuiltReason() == "the catalog changed after it was last written")
        #expect(people.enumerated().allSatisfy { node.engine.decision($0.element) == ($0.offset % 3 == 0 ? .denied : .unknown) })
    }

    @Test func aCopyOfARunningNodeOpensWithEverythingThatWasAcknowledged() throws {
        let temporary = try TemporaryFolder()
        try copy(node.folder.path, to: temporary.path + "/node")
        let copied = try TestNode(in: temporary)
        #expect(copied.engine.recovery == .current, "quiet while it was copied, on the same boot")
        expectTheSameAnswers(copied)
        try copied.close()
        #expect(try verify(copied.folder).problems == [])
    }

    @Test func copiesTakenWhileTheWriterWorksNeverGrantWhatTheLedgerDoesNot() throws {
        let engine = node.engine
        let writing = Background { [people] in
            for round in 0..<300 {
                let person = people[round % 60]
                _ = try engine.record([round % 2 == 0 ? .grant([person]) : ConsentEvent([person], "p0", .withdrawn)])
            }
        }
        var copies: [TemporaryFolder] = []
        for _ in 0..<6 {
            let temporary = try TemporaryFolder()
            // The index first: it may be behind the ledger, never ahead of it.
            try FileManager.default.createDirectory(atPath: temporary.path + "/node", withIntermediateDirectories: true)
            try copy(indexPath, to: temporary.path + "/node/index")
            try copy(node.folder.keyPath, to: temporary.path + "/node/index.key")
            for suffix in ["-wal", ""] where File.exists(node.folder.ledgerPath + suffix) {
                try copy(node.folder.ledgerPath + suffix, to: temporary.path + "/node/ledger.sqlite" + suffix)
            }
            copies.append(temporary)
        }
        try writing.value()
        for temporary in copies {
            // A database file copied under its writer may be damaged; then it is an error, never an answer.
            guard let copied = try? TestNode(in: temporary) else { continue }
            for person in people.prefix(60) {
                let verdict = try copied.engine.explain(person, purposeBit: 0).verdict
                #expect(copied.engine.decision(person) == verdict.decision)
            }
        }
    }

    @Test func rebuildingByHandGivesTheSameAnswers() throws {
        try node.close()
        #expect(try rebuildIndex(node.folder) == 300)
        try node.open()
        #expect(node.engine.recovery == .current)
        expectTheSameAnswers()
    }

    @Test func roomForAnImportIsMadeAtOnce() throws {
        try node.close()
        let engine = try Engine(node.folder, identifiersExpected: 100_000) { _ in }
        #expect(engine.publication.current.geometry.slots > 100_000)
        #expect(engine.decision(people[1]) == .granted)
        try engine.close()
    }

    @Test func growthUnderTheEngineKeepsEverybody() throws {
        let engine = node.engine
        let generation = engine.publication.current.generation
        for batch in 0..<6 {
            _ = try engine.record((0..<1000).map { .grant([.customer("g\(batch)-\($0)")]) })
        }
        #expect(engine.publication.current.generation > generation)
        expectTheSameAnswers()
        #expect((0..<6).allSatisfy { batch in (0..<1000).allSatisfy { engine.decision(.customer("g\(batch)-\($0)")) == .granted } })
        try node.restart()
        #expect(node.engine.recovery == .current)
        expectTheSameAnswers()
    }

    private func overwrite(_ path: String, at offset: Int, with bytes: [UInt8]) throws {
        let file = try FileDescriptor.open(path, .readWrite)
        try file.seek(to: offset)
        try file.write(bytes)
    }
}
