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

/// What somebody changes behind the node's back is found, with its place.
struct VerificationTests {
    private let node: TestNode
    private static let nationalID = Identifier.make(.nationalId, "01018012345")

    /// Seventeen events, each of another kind; see ``record(_:)`` for which is which.
    init() async throws {
        var catalog = SampleCatalog(
            [
                .init("p0", bit: 0), .init("p1", bit: 1), .init("mail", bit: 2, basis: "legitimate_interest"),
                .init("quiet", bit: 3), .init("far", bit: 70, basis: "consent", "validityDuration: P1Y"),
            ],
            revisions: [.init("1.0", effectiveAt: SampleCatalog.begin, purposes: ["p0", "p1", "far", "quiet"])])
        node = try TestNode(catalog)
        try Self.record(node.engine)
        let (change, end) = (now.advanced(millis: 500), now.advanced(millis: 900))
        catalog.purposes.append(.init("more", bit: 5, basis: "contract"))
        catalog.revisions.append(
            .init("1.1", effectiveAt: change, compatibleWith: "1.0", purposes: ["p0", "p1", "far", "quiet"]))
        #expect(try node.engine.apply(catalog.document).sequence == 13)
        let short = ConsentEvent.grant([.customer("c6")]).with { $0.expiresAt = end }
        #expect(try node.engine.recordOne(short) == .recorded(sequence: 14))
        #expect(try await eventually { try node.engine.events(.customer("c6")).map(\.sequence) == [14, 16] })
        #expect(try node.engine.recordOne(ConsentEvent([.customer("c7")], "p0", .withdrawn)).sequence == 17)
        try node.expectSound()
    }

    private static func record(_ engine: Engine) throws {
        let moment = secondsAgo(10_000)
        let (c0, c1, c3, c4) = (Identifier.customer("c0"), Identifier.customer("c1"), "c3", Identifier.customer("c4"))
        let rich = ConsentEvent.grant([c0, .email("c0@example.no")], at: moment).with {
            $0.party = .guardian
            $0.isExplicit = true
            $0.subjectAge = 30
            $0.expiresAt = now.advanced(bySeconds: 100_000)
            $0.source = EventSource(system: "till", channel: "shop", form: "A")
            $0.actor = "clerk"
            $0.evidence = "receipt 7"
            $0.key = IdempotencyKey(1)
        }
        let events = [
            rich, .grant([c1], at: moment).with { $0.key = IdempotencyKey(2) }, ConsentEvent([c0], "p1", .withdrawn),
            ConsentEvent([.customer("c2")], "mail", .objected), ConsentEvent([.customer(c3)], "p0", .withdrawn),
            ConsentEvent([.customer(c3), .email("c3@example.no")], "p1", .requested), .grant([c4], "far", at: moment),
            .grant([c4], "p1", at: moment), ConsentEvent([c4], "p1", .confirmed),
            .grant([nationalID]).with { $0.key = IdempotencyKey(3) },
            // Captured before what decides: it changed no standing.
            .grant([c1], at: secondsAgo(20_000)).with { $0.method = .button },
        ]
        #expect(try engine.record(events).outcomes == (2...12).map { .recorded(sequence: $0) })
    }

    /// Every change is made to a copy of the node.
    private func expectFound(
        _ changes: [(statements: [String], place: String)], sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
        for (statements, place) in changes {
            try withCopy { folder in
                try folder.changeLedger(
                    ["DROP TRIGGER event_is_append_only"] + statements, sourceLocation: sourceLocation)
                let found = try problems(folder)
                #expect(
                    found.contains { $0.contains(place) }, "\(statements): '\(place)' is not in \(found)",
                    sourceLocation: sourceLocation)
            }
        }
    }

    private func withCopy(_ body: (NodeFolder) throws -> Void) throws {
        let temporary = TemporaryFolder()
        let folder = NodeFolder(temporary.path + "/node")
        try FileManager.default.copyItem(atPath: node.folder.path, toPath: folder.path)
        try withExtendedLifetime(temporary) { try body(folder) }
    }

    private func problems(_ folder: NodeFolder) throws -> [String] {
        do { return try verify(folder).problems } catch let error as LedgerError { return ["\(error)"] }
    }

    // MARK: Sound nodes

    @Test func anUntouchedNodeIsSoundWhetherItRunsOrNot() throws {
        let closed = try verify(node.folder)
        #expect(closed.problems == [])
        #expect(closed.events == 17)
        #expect(closed.subjects == 8)
        #expect(closed.identifiers == 10)
        try node.open()
        let running = try verify(node.folder)
        #expect(running.problems == [])
        #expect(running.headHash == closed.headHash)
        try node.close()
        try withCopy { folder in
            let found = try problems(folder)
            #expect(found == [], "a copy is as sound as the node")
        }
    }

    @Test func aNodeThatIsWrittenToIsSound() throws {
        try node.open()
        let engine = node.engine
        let people = (0..<20).map { Identifier.customer("w\($0)") }
        let writing = Background {
            for round in 0..<150 {
                _ = try engine.record([
                    round % 2 == 0
                        ? .grant([people[round % 20]], revision: "1.1")
                        : ConsentEvent([people[round % 20]], "p0", .withdrawn)
                ])
            }
        }
        for _ in 0..<5 { #expect(try verify(node.folder).problems == []) }
        try writing.value()
        try node.expectSound()
    }

    // MARK: Events

    @Test func everyColumnOfAnEventIsUnderTheChain() throws {
        let long = "hex(zeroblob(150))"
        let ofTheRich = [
            "recorded_at = recorded_at + 1", "captured_at = captured_at - 1", "subject = 2", "subject = 77",
            "purpose = 1", "purpose = 77", "state = 5", "state = 10", "state = 257", "revision = NULL", "revision = 2",
            "language = 'sv'", "language = \(long)", "method = 2", "method = 8", "method = -1", "party = 0",
            "party = 9", "explicit = 0", "explicit = NULL", "age = NULL", "age = 31", "age = 1000", "age = -1",
            "expires_at = NULL", "expires_at = expires_at + 1", "refers_to = 1", "refers_to = -1", "source = NULL",
            "source = 2", "actor = 'x'", "actor = \(long)", "key = NULL", "key = zeroblob(16)", "personal = NULL",
            "personal = x'00'", "personal = zeroblob(2000)",
            "personal = (SELECT personal FROM event WHERE sequence = 3)",
            "commitment = zeroblob(32)", "commitment = zeroblob(32), personal = NULL", "previous = 1",
            "hash = zeroblob(32)",
            "kind = 3, subject = NULL, purpose = NULL, state = NULL",
        ]
        try expectFound(ofTheRich.map { (["UPDATE event SET \($0) WHERE sequence = 2"], "event 2") })
        // Where nothing is said, nothing else may be said either, and where an event decided nothing.
        let ofTheLate = [
            "age = 255", "expires_at = 0", "method = -5", "party = -1", "explicit = NULL", "actor = NULL",
            "language = NULL", "state = 5", "previous = NULL", "previous = 2", "previous = -1", "refers_to = 3",
        ]
        try expectFound(ofTheLate.map { (["UPDATE event SET \($0) WHERE sequence = 12"], "event 12") })
        let ofTheOthers = [
            ("recorded_at = recorded_at + 1", 13), ("captured_at = captured_at + 1", 13), ("catalog = 1", 13),
            ("subject = 1", 13), ("key = zeroblob(16)", 13), ("previous = 3", 13),
            ("recorded_at = recorded_at + 1", 15),
            ("captured_at = captured_at - 1", 15), ("subject = 1", 15), ("actor = 'x'", 15), ("personal = x'00'", 15),
            ("kind = 2, catalog = 1", 15), ("refers_to = 9", 16), ("refers_to = NULL", 16),
            ("captured_at = captured_at - 1", 16), ("refers_to = 8", 10), ("state = 14", 9),
        ]
        try expectFound(ofTheOthers.map { (["UPDATE event SET \($0.0) WHERE sequence = \($0.1)"], "event \($0.1)") })
    }

    /// The commitment keeps the chain whole when a person is erased, which is an event of its own.
    @Test func aPersonalPartThatIsGoneWithoutAnErasureIsFound() throws {
        let ledger = try Ledger(path: node.folder.ledgerPath)
        for sequence in [2, 4] as [UInt64] {
            let committed = try #require(try ledger.read { try $0.evidence(of: sequence)?.commitment })
            let hex = committed.bytes.map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }.joined()
            let statements = [
                "UPDATE event SET personal = zeroblob(length(personal)) WHERE sequence = \(sequence)",
                "INSERT INTO erased_event VALUES (\(sequence), x'\(hex)')",
            ]
            try expectFound([(statements, "event \(sequence): its personal part is gone")])
        }
    }

    @Test func eventsThatAreGoneOrMovedOrAddedAreFound() throws {
        let columns =
            "kind, recorded_at, captured_at, subject, purpose, state, revision, language, method, party, explicit, "
            + "source, actor, personal, previous, hash"
        try expectFound([
            (["DELETE FROM event WHERE sequence = 1"], "event 1"),
            (["DELETE FROM event WHERE sequence = 10"], "event 10"),
            (["DELETE FROM event WHERE sequence = 15"], "event 15"),
            (["DELETE FROM event WHERE sequence = 17"], "subject 8"),
            (["DELETE FROM event WHERE sequence = 17", "DELETE FROM subject WHERE id = 8"], "event 17"),
            (["DELETE FROM event WHERE sequence > 12"], "subject 7"),
            (["DELETE FROM event"], "subject 1"),
            (
                [
                    "DELETE FROM event WHERE sequence = 10",
                    "UPDATE event SET sequence = sequence + 900 WHERE sequence > 10",
                    "UPDATE event SET sequence = sequence - 901 WHERE sequence > 900",
                ], "event 10"
            ),
            (
                [
                    "UPDATE event SET sequence = 1000 WHERE sequence = 8",
                    "UPDATE event SET sequence = 8 WHERE sequence = 9",
                    "UPDATE event SET sequence = 9 WHERE sequence = 1000",
                ], "event 8"
            ),
            (
                ["INSERT INTO event (sequence, \(columns)) SELECT 18, \(columns) FROM event WHERE sequence = 3"],
                "event 18"
            ),
            (
                ["INSERT INTO event (sequence, \(columns)) SELECT 19, \(columns) FROM event WHERE sequence = 3"],
                "event 18"
            ),
            (
                ["INSERT INTO event (sequence, \(columns)) SELECT 18, \(columns) FROM event WHERE sequence = 15"],
                "event 18"
            ),
        ])
    }

    @Test func otherNamesAreFoundWhetherAnEventHasThemOrNot() throws {
        try expectFound([
            (["UPDATE source SET form = 'B' WHERE form = 'A'"], "event 2"),
            (["UPDATE source SET id = 77 WHERE form = 'A'"], "event 2"),
            (["UPDATE purpose SET id = 'px' WHERE bit = 0"], "event 2"),
            (["UPDATE purpose SET id = 'px' WHERE bit = 3"], "quiet"),
            (["DELETE FROM purpose WHERE bit = 3"], "quiet"),
            (["DELETE FROM purpose WHERE bit = 0"], "event 2"),
            (
                [
                    "UPDATE purpose SET id = 'x' WHERE bit = 0", "UPDATE purpose SET id = 'p0' WHERE bit = 1",
                    "UPDATE purpose SET id = 'p1' WHERE bit = 0",
                ], "event 2"
            ),
            (["UPDATE revision SET revision = '9' WHERE revision = '1.0'"], "event 2"),
            (["UPDATE revision SET revision = '9' WHERE revision = '1.1'"], "club 1.1"),
            (["UPDATE revision SET declaration = 'x' WHERE revision = '1.0'"], "event 2"),
            (["UPDATE revision SET digest = zeroblob(32) WHERE revision = '1.0'"], "club 1.0"),
            (["DELETE FROM revision WHERE revision = '1.1'"], "club 1.1"),
            (["UPDATE node SET value = zeroblob(16) WHERE name = 'history'"], "event 1"),
            (["UPDATE node SET value = x'3737373737373737' WHERE name = 'key_check'"], "index.key"),
            (["DELETE FROM node WHERE name = 'deployment'"], "node"),
        ])
    }

    // MARK: What is derived

    @Test func everythingThatIsKeptOfASubjectIsComparedWithItsEvents() throws {
        let changes = [
            ("permitted = 3", 1, "subject 1:"), ("permitted = 0", 1, "subject 1:"), ("permitted = -1", 4, "subject 4:"),
            ("denied = 0", 3, "subject 3:"),
            ("denied = denied + 1", 2, "subject 2:"), ("denied = 0, ends_at = 1000", 3, "subject 3:"),
            ("wide = x'\(String(repeating: "00", count: 15))01'", 1, "subject 1:"), ("wide = x'00'", 1, "subject 1"),
            ("wide = zeroblob(16000)", 1, "subject 1"), ("wide = NULL", 5, "subject 5:"),
            ("wide = zeroblob(16)", 5, "subject 5:"), ("ends_at = NULL", 5, "subject 5:"),
            ("ends_at = ends_at + 1", 5, "subject 5:"), ("ends_at = 1000", 5, "subject 5:"),
            ("ends_at = 0", 4, "subject 4"), ("ends_at = -9223372036854775808", 4, "subject 4"),
            ("ends_at = 9223372036854775807", 4, "subject 4:"), ("sequence = 3", 1, "subject 1:"),
            ("sequence = -1", 1, "subject 1"), ("sequence = 1 << 50", 1, "subject 1"),
            ("last_event = 2", 1, "subject 1:"),
            ("last_event = 0", 1, "subject 1:"), ("last_event = -1", 1, "subject 1:"),
            ("last_event = 5", 1, "subject 1:"),
            ("identifiers = x''", 1, "subject 1:"), ("identifiers = substr(identifiers, 1, 17)", 1, "subject 1:"),
            ("identifiers = CAST(substr(identifiers, 18) || substr(identifiers, 1, 17) AS BLOB)", 1, "subject 1:"),
            ("identifiers = CAST(x'02' || substr(identifiers, 2) AS BLOB)", 1, "subject 1:"),
            (
                "identifiers = CAST(identifiers || (SELECT identifiers FROM subject WHERE id = 2) AS BLOB)", 1,
                "subject 1:"
            ),
            ("identifiers = zeroblob(17)", 6, "subject 6:"), ("standings = x''", 3, "subject 3:"),
            ("standings = x'00'", 3, "subject 3"), ("standings = zeroblob(4)", 3, "subject 3:"),
            ("standings = (SELECT standings FROM subject WHERE id = 2)", 1, "subject 1:"),
            ("standings = CAST(standings || standings AS BLOB)", 2, "subject 2"), ("id = 70", 1, "subject 70"),
        ]
        try expectFound(changes.map { (["UPDATE subject SET \($0.0) WHERE id = \($0.1)"], $0.2) })
        // What would pass for a row that has not been followed yet.
        try expectFound([(["UPDATE subject SET sequence = 1 << 30 WHERE id = 1"], "subject 1: its row")])
        let unchecked = "PRAGMA ignore_check_constraints = ON"
        for size in [1, 16, 18] {
            let cut = "UPDATE subject SET identifiers = substr(identifiers, 1, \(size)) WHERE id = 1"
            try expectFound([([unchecked, cut], "subject 1")])
            try withCopy { folder in
                try folder.changeLedger(unchecked, cut)
                #expect(throws: LedgerError.self) { _ = try rebuildIndex(folder) }
            }
        }
        let salt = "INSERT INTO salt SELECT 70, value FROM salt WHERE subject = 1"
        try expectFound([
            (["UPDATE salt SET value = zeroblob(16) WHERE subject = 1"], "event 2"),
            (["UPDATE salt SET value = (SELECT value FROM salt WHERE subject = 2) WHERE subject = 1"], "event 2"),
            (["DELETE FROM salt WHERE subject = 1"], "event 2"),
            (["DELETE FROM subject WHERE id = 6"], "subject 6"),
            (["UPDATE subject SET id = 70 WHERE id = 1", "UPDATE subject SET id = 1 WHERE id = 2"], "subject 70"),
            (
                [
                    "INSERT INTO subject (id, permitted, denied, sequence, last_event, identifiers, standings) "
                        + "SELECT 70, 0, 0, 0, 0, x'', x''", salt,
                ], "subject 70"
            ),
            (
                [
                    "INSERT INTO subject (id, permitted, denied, sequence, last_event, identifiers, standings) "
                        + "SELECT 70, permitted, denied, sequence, last_event, identifiers, standings "
                        + "FROM subject WHERE id = 1", salt,
                ], "subject 70"
            ),
        ])
    }

    /// Each byte of what is kept of a history, with each of its bits.
    @Test func noBitOfAStandingCanBeChanged() throws {
        let database = try DatabaseQueue(path: node.folder.ledgerPath)
        let rows = try database.read { database in
            try Row.fetchAll(database, sql: "SELECT id, standings FROM subject").map { row in
                (row[0] as Int64, [UInt8](row[1] as Data))
            }
        }
        try database.close()
        var generator = SeededGenerator(salt: 61)
        try withCopy { folder in
            for (id, bytes) in rows {
                for position in bytes.indices where generator.oneIn(3) {
                    var changed = bytes
                    changed[position] ^= 1 << UInt8(generator.below(8))
                    try folder.changeLedger("UPDATE subject SET standings = x'\(changed.hex)' WHERE id = \(id)")
                    #expect(
                        try problems(folder).contains { $0.contains("subject \(id)") },
                        "CONSENT_TEST_SEED=\(TestSeed.value), subject \(id), byte \(position)")
                }
                try folder.changeLedger("UPDATE subject SET standings = x'\(bytes.hex)' WHERE id = \(id)")
            }
            #expect(try problems(folder) == [])
        }
    }

    // MARK: The catalog

    @Test func aCatalogThatIsNotTheOneAppliedIsFoundAndNotBelieved() throws {
        let weaker = "replace(document, 'basis: legitimate_interest', 'basis: contract')"
        try expectFound([
            (["UPDATE catalog SET document = \(weaker) WHERE version = 2"], "catalog version 2"),
            (["UPDATE catalog SET document = \(weaker) WHERE version = 1"], "catalog version 1"),
            (["UPDATE catalog SET document = document || 'x: y' WHERE version = 1"], "catalog version 1"),
            (["UPDATE catalog SET document = '' WHERE version = 2"], "catalog version 2"),
            (["UPDATE catalog SET digest = zeroblob(32) WHERE version = 1"], "catalog version 1"),
            (["UPDATE catalog SET digest = zeroblob(32) WHERE version = 2"], "catalog version 2"),
            (["DELETE FROM catalog WHERE version = 2"], "event 13"),
            (["DELETE FROM catalog WHERE version = 1"], "event 1"),
            (["UPDATE catalog SET version = 3 WHERE version = 2"], "event 13"),
            (
                [
                    "UPDATE catalog SET version = 3 WHERE version = 2",
                    "UPDATE catalog SET version = 2 WHERE version = 1",
                    "UPDATE catalog SET version = 1 WHERE version = 3",
                ], "event 1"
            ),
            // It would be in force though no event says so.
            (["INSERT INTO catalog SELECT 3, document, digest FROM catalog WHERE version = 1"], "catalog version 3"),
        ])
        try node.folder.changeLedger("UPDATE catalog SET document = \(weaker) WHERE version = 2")
        #expect { try node.open() } throws: { "\($0)".contains("catalog version 2") }
        #expect { try rebuildIndex(node.folder) } throws: { "\($0)".contains("catalog version 2") }
    }

    // MARK: Index and keys

    private typealias FileChange = (_ index: IndexWriter, _ hash: IdentifierHash) throws -> Void

    /// - Parameter hash: what is given to the change.
    private func expectFound(
        in folder: (NodeFolder) -> IndexFolder, _ hash: (IdentifierHashKey) -> IdentifierHash,
        _ changes: [(place: String, change: FileChange)], sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
        let ledger = try Ledger(path: node.folder.ledgerPath)
        try ledger.close()
        let key = try node.folder.hashKey(of: ledger.identity)
        for (place, change) in changes {
            try withCopy { copy in
                let index = try IndexWriter(
                    opening: folder(copy), history: ledger.identity.history, keyCheck: key.check)
                try change(index, hash(key))
                try index.close()
                let found = try problems(copy)
                #expect(
                    found.contains { $0.contains(place) }, "'\(place)' is not in \(found)",
                    sourceLocation: sourceLocation)
            }
        }
    }

    private func other(_ hash: IdentifierHash) -> IdentifierHash {
        IdentifierHash(high: hash.high &+ 1 << 32, low: hash.low &+ 1 << 40)
    }

    @Test func whatTheIndexSaysOtherwiseThanTheLedgerIsFound() throws {
        try expectFound(
            in: \.indexFolder, { $0.hash(Identifier.customer("c1")) },
            [
                (
                    "index row",
                    { index, hash in
                        var row = index.row(hash)!
                        row.permitted.insert(1)
                        try index.put(hash, row)
                    }
                ),
                (
                    "index row",
                    { index, hash in
                        var row = index.row(hash)!
                        row.sequence += 1
                        try index.put(hash, row)
                    }
                ),
                ("no row", { index, hash in index.erase(hash) }),
                (
                    "to another",
                    { index, hash in
                        let row = index.row(hash)!
                        index.erase(hash)
                        try index.put(hash, row, owner: 5)
                    }
                ),
                ("11 rows instead of 10", { index, hash in try index.put(other(hash), IndexRow(), owner: 2) }),
                (
                    "default",
                    { index, _ in try index.setDefaults(granted: PurposeSet([1, 2, 5]), denied: PurposeSet()) }
                ),
                (
                    "default",
                    { index, _ in try index.setDefaults(granted: PurposeSet([2, 5]), denied: PurposeSet([0])) }
                ),
                ("another past", { index, _ in index.setApplied(sequence: index.appliedSequence, chain: 7) }),
                ("followed event 99", { index, _ in index.setApplied(sequence: 99, chain: index.appliedChain) }),
            ])
    }

    @Test func whatTheMapOfKeysSaysOtherwiseThanTheLedgerIsFound() throws {
        try expectFound(
            in: \.keysFolder, { $0.hash(IdempotencyKey(2)) },
            [
                ("event 3: the map of keys", { index, hash in index.erase(hash) }),
                (
                    "event 3: the map of keys",
                    { index, hash in
                        var row = index.row(hash)!
                        row.sequence = 2
                        try index.put(hash, row)
                    }
                ),
                ("4 rows instead of 3", { index, hash in try index.put(other(hash), IndexRow()) }),
            ])
    }

    @Test func filesThatAreGoneAreFound() throws {
        for gone in [\NodeFolder.indexFolder, \.keysFolder] {
            try withCopy { folder in
                try FileManager.default.removeItem(atPath: folder[keyPath: gone].path)
                #expect(try problems(folder).contains { $0.contains("consentd rebuild") })
                _ = try rebuildIndex(folder)
                #expect(try problems(folder) == [])
            }
        }
    }
}
