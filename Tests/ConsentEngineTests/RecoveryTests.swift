import ConsentCatalog
import ConsentEngine
import ConsentIndex
import ConsentKernel
import ConsentLedger
import ConsentModel
import ConsentTestSupport
import Foundation
import GRDB
import Testing

/// A node that is opened again after whatever became of its files.
struct RecoveryTests {
    private let node: TestNode
    private let people = (0..<300).map { Identifier.customer("c\($0)") }

    init() throws {
        node = try TestNode(.consents(bits: 0..<2))
        _ = try node.engine.record(Self.events(people))
    }

    /// One of three says no; each has a key.
    private static func events(_ people: [Identifier]) -> [ConsentEvent] {
        people.enumerated().map { number, person in
            (number % 3 == 0 ? ConsentEvent([person], "p0", .withdrawn) : .grant([person]))
                .with { $0.key = IdempotencyKey(UInt64(number)) }
        }
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

    /// Every event of the node is known by its key.
    private func expectTheSameKeys(sourceLocation: SourceLocation = #_sourceLocation) throws {
        let outcomes = try node.engine.record(Self.events(people)).outcomes
        #expect(
            outcomes == people.indices.map { .duplicate(sequence: UInt64($0 + 2)) }, sourceLocation: sourceLocation)
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

    /// What may become of a file of the index, or of the map of keys.
    enum Damage: CaseIterable {
        case linkGone, linkElsewhere, fileGone, ownersGone, empty, short, tooLong, ownersShort, header, noise,
            folderGone

        func apply(to folder: IndexFolder) throws {
            let file = folder.currentFilePath
            switch self {
            case .linkGone: try File.remove(folder.currentPath)
            case .linkElsewhere: try File.replaceLink(folder.currentPath, target: "generation-99.cidx")
            case .fileGone: try File.remove(file)
            case .ownersGone: try File.remove(file + ".owners")
            case .empty: try Data().write(to: URL(filePath: file))
            case .short: try FileDescriptor.open(file, .readWrite).truncate(size: 5000)
            case .tooLong: try FileDescriptor.open(file, .readWrite).truncate(size: File.read(file).count + 32)
            case .ownersShort: try FileDescriptor.open(file + ".owners", .readWrite).truncate(size: 100)
            case .header: try overwrite(file, at: 40, with: [9])
            case .noise: try Data((0..<50_000).map { _ in UInt8.random(in: 0...255) }).write(to: URL(filePath: file))
            case .folderGone: try FileManager.default.removeItem(atPath: folder.path)
            }
        }
    }

    @Test(arguments: Damage.allCases) func anIndexThatIsDamagedIsMadeAnewAndSaidSo(_ damage: Damage) throws {
        try node.close()
        try damage.apply(to: node.folder.indexFolder)
        #expect(try !verify(node.folder).isSound)
        try node.open()
        #expect(rebuiltReason()?.isEmpty == false)
        expectTheSameAnswers()
        try expectTheSameKeys()
        try node.restart()
        #expect(node.engine.recovery == .current)
        try node.expectSound()
    }

    @Test(arguments: Damage.allCases) func aMapOfKeysThatIsDamagedIsMadeAnew(_ damage: Damage) throws {
        try node.close()
        try damage.apply(to: node.folder.keysFolder)
        #expect(try !verify(node.folder).isSound)
        try node.open()
        #expect(node.engine.recovery == .current)
        try expectTheSameKeys()
        expectTheSameAnswers()
        try node.expectSound()
    }

    /// Every byte of a row and of its owner is under a digest; one that lies must not be believed.
    @Test func aByteThatChangedIsNotBelieved() throws {
        let pristine = node.temporary.path + "/pristine"
        try node.close()
        try copy(node.folder.path, to: pristine)
        var generator = SeededGenerator(salt: 41)
        for folder in [node.folder.indexFolder, node.folder.keysFolder] {
            for suffix in ["", ".owners"] {
                let bytes = try File.read(folder.currentFilePath + suffix)
                let used = ((suffix.isEmpty ? 8192 : 0)..<bytes.count).filter { bytes[$0] != 0 && bytes[$0] != 0xFF }
                for _ in 0..<10 {
                    let position = generator.pick(used)
                    let flipped = bytes[position] ^ 1 << UInt8(generator.below(8))
                    try copy(pristine, to: node.folder.path)
                    try overwrite(folder.currentFilePath + suffix, at: position, with: [flipped])
                    let place: Comment = "CONSENT_TEST_SEED=\(TestSeed.value): byte \(position) of \(folder)\(suffix)"
                    #expect(try !verify(node.folder).isSound, place)
                    try node.open()
                    #expect((rebuiltReason() != nil) == (folder.path == indexPath), place)
                    expectTheSameAnswers()
                    try expectTheSameKeys()
                    try node.close()
                    #expect(try verify(node.folder).problems == [], place)
                }
            }
        }
    }

    /// The header's own page: some of it is under the checksum, some of it says how far the rows have come.
    @Test func noBitOfTheHeaderMakesANodeAnswerOtherwise() throws {
        let pristine = node.temporary.path + "/pristine"
        try node.close()
        try copy(node.folder.path, to: pristine)
        var generator = SeededGenerator(salt: 42)
        // What the checksum covers and itself, what changes with every row, and the ends of the defaults.
        let words = [0..<72, 128..<200, 256..<272, 368..<392, 488..<504].flatMap {
            stride(from: $0.lowerBound, to: $0.upperBound, by: 8)
        }
        for position in words {
            try copy(pristine, to: node.folder.path)
            // The highest bit of a number is the one that no sane value has.
            try flip(bit: 63, ofWordAt: position, in: node.folder.indexFolder.currentFilePath)
            try flip(bit: generator.below(64), ofWordAt: position, in: node.folder.keysFolder.currentFilePath)
            try node.open()
            expectTheSameAnswers()
            try expectTheSameKeys()
            try node.close()
            #expect(try verify(node.folder).problems == [], "CONSENT_TEST_SEED=\(TestSeed.value), word \(position)")
        }
    }

    private func flip(bit: Int, ofWordAt position: Int, in path: String) throws {
        let offset = position + bit / 8
        try overwrite(path, at: offset, with: [try File.read(path)[offset] ^ 1 << UInt8(bit % 8)])
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

    /// Copies the ledger, lets the node go on with some events, and closes it.
    private func backUpThenRecord(_ events: [ConsentEvent]) throws -> String {
        let backup = node.temporary.path("backup.sqlite")
        try node.close()
        try copy(node.folder.ledgerPath, to: backup)
        try node.open()
        _ = try node.engine.record(events)
        try node.close()
        return backup
    }

    @Test func anIndexAheadOfARestoredLedgerIsMadeAnew() throws {
        let backup = try backUpThenRecord(people.map { .grant([$0], "p1") } + [.grant([people[0]])])
        try copy(backup, to: node.folder.ledgerPath)
        // As the README says: they are of the time that is gone.
        try File.remove(node.folder.checkpointsPath)
        try node.open()
        #expect(rebuiltReason() == "it was derived from another past of this ledger")
        expectTheSameAnswers()
    }

    @Test func anIndexOfAnotherPastIsMadeAnewThoughTheLedgerHasOvertakenIt() throws {
        let backup = try backUpThenRecord([.grant([people[0]])])
        let otherIndex = node.temporary.path + "/other-index"
        try copy(indexPath, to: otherIndex)
        // The ledger goes on otherwise than the one that the index followed.
        try copy(backup, to: node.folder.ledgerPath)
        // As the README says: they are of the time that is gone.
        try File.remove(node.folder.checkpointsPath)
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
        let report = try verify(node.folder)
        #expect(report.isSound && report.rowsBehind == 4, "a process that was killed leaves no more than this")
        try node.open()
        #expect(node.engine.recovery == .replayed(subjects: 3))
        #expect(node.engine.decision(people[1]) == .denied)
        #expect(node.engine.decision(people[0]) == .granted)
        #expect(node.engine.decision(.customer("new"), 1) == .granted)
        #expect(node.engine.decision(.customer("new"), 0) == .granted)
        #expect(node.engine.decision(people[2], 1) == .granted)
        #expect(node.engine.decision(people[5]) == .granted)
        #expect(node.engine.publication.current.appliedSequence == 304)
        try node.expectSound()
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
        let expected = people.indices.map { $0 % 3 == 0 ? Decision.denied : .unknown }
        #expect(people.map { node.engine.decision($0) } == expected)
        try node.expectSound()
    }

    @Test func aCopyOfARunningNodeOpensWithEverythingThatWasAcknowledged() throws {
        let temporary = TemporaryFolder()
        try copy(node.folder.path, to: temporary.path + "/node")
        let copied = try TestNode(in: temporary)
        #expect(copied.engine.recovery == .current, "quiet while it was copied, on the same boot")
        expectTheSameAnswers(copied)
        try copied.expectSound()
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
            let temporary = TemporaryFolder()
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
        for batch in 0..<6 {
            #expect((0..<1000).allSatisfy { engine.decision(.customer("g\(batch)-\($0)")) == .granted })
        }
        try node.restart()
        #expect(node.engine.recovery == .current)
        expectTheSameAnswers()
    }

    // MARK: The ledger and what it needs

    @Test func aNodeThatIsNotThereIsAnErrorThatSaysWhatToDo() throws {
        let temporary = TemporaryFolder()
        #expect { try Engine(NodeFolder(temporary.path + "/none")) { _ in } } throws: {
            "\($0)".contains("consentd init")
        }
        #expect(throws: LedgerError.self) { try rebuildIndex(NodeFolder(temporary.path + "/none")) }
        #expect(throws: LedgerError.self) { try verify(NodeFolder(temporary.path + "/none")) }
        #expect(try File.names(in: temporary.path) == [])
        #expect(throws: LedgerError.self) { try node.folder.create(now: now) }
        expectTheSameAnswers()
    }

    @Test func aFileThatIsNoLedgerIsRefusedAndLeftAsItIs() throws {
        let (text, other) = (TemporaryFolder(), TemporaryFolder())
        try Data("not a database, however long it may be. ".utf8 + [UInt8](repeating: 7, count: 5000)).write(
            to: URL(filePath: text.path + "/ledger.sqlite"))
        let database = try DatabaseQueue(path: other.path + "/ledger.sqlite")
        try database.write { try $0.execute(sql: "CREATE TABLE recipe (name TEXT); INSERT INTO recipe VALUES ('x')") }
        try database.close()
        for temporary in [text, other] {
            let folder = NodeFolder(temporary.path)
            try copy(node.folder.keyPath, to: folder.keyPath)
            let before = try File.read(folder.ledgerPath)
            for attempt in [{ _ = try Engine(folder) { _ in } }, { _ = try verify(folder) }] as [() throws -> Void] {
                #expect { try attempt() } throws: { error in
                    guard case LedgerError.notALedger = error else { return false }
                    return true
                }
                #expect(try File.read(folder.ledgerPath) == before)
            }
        }
    }

    @Test func aLedgerOfANewerVersionIsRefusedAndLeftAsItIs() throws {
        try node.close()
        try node.folder.changeLedger("INSERT INTO grdb_migrations (identifier) VALUES ('9')")
        let before = try File.read(node.folder.ledgerPath)
        for attempt in [{ try node.open() }, { _ = try verify(node.folder) }, { _ = try rebuildIndex(node.folder) }] {
            #expect { try attempt() } throws: { error in
                guard case LedgerError.newerVersion = error else { return false }
                return true
            }
            #expect(try File.read(node.folder.ledgerPath) == before)
        }
        try node.folder.changeLedger("DELETE FROM grdb_migrations WHERE identifier = '9'")
        try node.open()
        #expect(node.engine.recovery == .current)
        expectTheSameAnswers()
    }

    /// As version 1 laid it out; what later versions added is taken away again.
    @Test func aLedgerOfTheFirstVersionIsBroughtUpToDateAndStaysTheSame() throws {
        try node.close()
        let before = try verify(node.folder)
        try node.folder.bringBackToTheFirstVersion()
        try node.open()
        #expect(node.engine.recovery == .current)
        expectTheSameAnswers()
        try node.close()
        let after = try verify(node.folder)
        #expect(after.isSound && after.headHash == before.headHash && after.events == before.events)
    }

    @Test func withoutItsKeyANodeDoesNotOpen() throws {
        try node.close()
        let key = try File.read(node.folder.keyPath)
        for broken in [nil, [], Array(key.dropLast()), key + [0]] as [[UInt8]?] {
            try File.remove(node.folder.keyPath)
            if let broken { try File.replace(node.folder.keyPath, with: broken) }
            #expect(throws: (any Error).self) { try node.open() }
            #expect(throws: (any Error).self) { try verify(node.folder) }
            if broken == nil { try File.replace(node.folder.keyPath, with: []) }
        }
        try File.replace(node.folder.keyPath, with: key)
        try node.open()
        #expect(node.engine.recovery == .current)
        expectTheSameAnswers()
    }

    /// With another key nobody would be found, and who has objected would be taken for somebody who never did.
    @Test func withAnothersKeyANodeDoesNotOpen() throws {
        try node.close()
        let key = try File.read(node.folder.keyPath)
        try File.replace(node.folder.keyPath, with: key.map { $0 ^ 1 })
        #expect { try node.open() } throws: { "\($0)".contains("index.key") }
        #expect { try rebuildIndex(node.folder) } throws: { "\($0)".contains("index.key") }
        #expect { try verify(node.folder) } throws: { "\($0)".contains("index.key") }
        try File.replace(node.folder.keyPath, with: key)
        try node.open()
        #expect(node.engine.recovery == .current)
        expectTheSameAnswers()
    }

    @Test func onlyOneEngineHasANodeUntilItIsClosed() throws {
        let engine = node.engine
        for _ in 0..<2 {
            #expect { try Engine(node.folder) { _ in } } throws: { error in
                guard case EngineError.locked = error else { return false }
                return true
            }
            #expect(throws: EngineError.self) { try rebuildIndex(node.folder) }
        }
        expectTheSameAnswers()
        try engine.close()
        try engine.close()
        let next = try Engine(node.folder) { _ in }
        #expect(next.recovery == .current)
        #expect(throws: EngineError.self) { try engine.record([.grant([people[0]])]) }
        try next.close()
    }
}

private func overwrite(_ path: String, at offset: Int, with bytes: [UInt8]) throws {
    let file = try FileDescriptor.open(path, .readWrite)
    try file.seek(to: offset)
    try file.write(bytes)
}

extension NodeFolder {
    /// Takes back what later versions of the ledger's schema changed.
    func bringBackToTheFirstVersion() throws {
        let columns = """
            sequence, kind, recorded_at, captured_at, subject, purpose, state, revision, language, method, party, explicit,
            age, expires_at, refers_to, source, actor, key, personal, commitment, catalog, previous, hash
            """
        try changeLedger(
            "DROP TRIGGER event_is_append_only", "DROP INDEX event_of_catalog", "DROP INDEX event_of_kind",
            "DROP INDEX event_keyed", "CREATE TABLE first (\(columns), PRIMARY KEY (sequence))",
            "INSERT INTO first SELECT \(columns) FROM event", "DROP TABLE event", "ALTER TABLE first RENAME TO event",
            "CREATE INDEX event_keyed ON event (kind) WHERE key IS NOT NULL",
            "CREATE INDEX event_of_catalog ON event (sequence) WHERE kind > 1",
            "CREATE TRIGGER event_is_append_only BEFORE DELETE ON event BEGIN SELECT RAISE(ABORT, 'no'); END",
            "DROP TABLE outdating", "DROP TABLE erased_event", "DROP TABLE erasure_pending",
            "DROP TABLE erased_part", "DROP TABLE confirmation_token", "DROP INDEX subject_joined",
            "ALTER TABLE subject DROP COLUMN joined_to", "ALTER TABLE subject DROP COLUMN separated_at",
            "ALTER TABLE subject DROP COLUMN erased_at", "ALTER TABLE subject DROP COLUMN erasure",
            "ALTER TABLE subject ADD COLUMN salt BLOB",
            "UPDATE subject SET salt = (SELECT value FROM salt WHERE salt.subject = id)", "DROP TABLE salt",
            "DELETE FROM grdb_migrations WHERE identifier <> '1'")
    }
}
