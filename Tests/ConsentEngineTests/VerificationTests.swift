import ConsentCatalog
import ConsentEngine
import ConsentIndex
import ConsentKernel
import ConsentModel
import ConsentTestSupport
import GRDB
import Testing

/// What somebody changes behind the node's back is found, with its place.
struct VerificationTests {
    private let node: TestNode
    private let people = (0..<20).map { Identifier.customer("c\($0)") }

    init() throws {
        node = try TestNode(
            SampleCatalog([
                .init("p0", bit: 0), .init("p1", bit: 1), .init("mail", bit: 2, basis: "legitimate_interest"),
            ], revisions: [.init("1.0", effectiveAt: SampleCatalog.begin, purposes: ["p0", "p1"])]))
        _ = try node.engine.record(
            people.map { .grant([$0, .email($0.value + "@example.no")]) }
                + people.prefix(5).map { ConsentEvent([$0], "p0", .withdrawn) }
                + people.prefix(5).map { ConsentEvent([$0], "mail", .objected) }
                + [.grant([.make(.nationalId, "01018012345")], "p1")])
    }

    /// Changes the closed ledger by hand and verifies it.
    private func tamper(_ sql: String...) throws -> VerificationReport {
        try node.close()
        let database = try DatabaseQueue(path: node.folder.ledgerPath)
        try database.writeWithoutTransaction { database in
            try database.execute(sql: "PRAGMA foreign_keys = OFF; DROP TRIGGER IF EXISTS event_is_append_only")
            for statement in sql {
                try database.execute(sql: statement)
                #expect(database.changesCount > 0, "\(statement) changed nothing")
            }
        }
        try database.close()
        return try verify(node.folder)
    }

    private func expect(
        _ report: VerificationReport, toName places: String..., sourceLocation: SourceLocation = #_sourceLocation
    ) {
        #expect(!report.isSound, sourceLocation: sourceLocation)
        for place in places {
            #expect(
                report.problems.contains { $0.contains(place) }, "\(place) is not in \(report.problems)",
                sourceLocation: sourceLocation)
        }
    }

    @Test func anUntouchedNodeIsSoundWhetherItRunsOrNot() throws {
        let running = try verify(node.folder)
        #expect(running.problems == [])
        #expect(running.events == 32)
        #expect(running.subjects == 21)
        #expect(running.identifiers == 41)
        try node.close()
        let closed = try verify(node.folder)
        #expect(closed.problems == [])
        #expect(closed.headHash == running.headHash)
    }

    @Test func aNodeThatIsWrittenToIsSound() throws {
        let engine = node.engine
        let writing = Background { [people] in
            for round in 0..<200 {
                _ = try engine.record([
                    round % 2 == 0 ? .grant([people[round % 20]]) : ConsentEvent([people[round % 20]], "p0", .withdrawn)
                ])
            }
        }
        for _ in 0..<5 { #expect(try verify(node.folder).problems == []) }
        try writing.value()
        #expect(try verify(node.folder).problems == [])
    }

    // MARK: Events

    @Test(arguments: [
        "state = 4", "captured_at = captured_at - 1", "recorded_at = recorded_at + 1", "subject = 1", "purpose = 1",
        "method = 2", "party = 1", "explicit = 1", "age = 4", "expires_at = 1", "refers_to = 1", "language = 'sv'",
        "actor = 'x'", "key = zeroblob(16)", "revision = NULL", "personal = NULL", "personal = x'00'",
        "hash = zeroblob(32)", "kind = 3, subject = NULL, purpose = NULL, state = NULL",
        "commitment = zeroblob(32), personal = NULL",
    ])
    func aChangedEventIsFound(_ change: String) throws {
        expect(try tamper("UPDATE event SET \(change) WHERE sequence = 24"), toName: "event 24")
    }

    @Test func aChangedSourceIsFound() throws {
        expect(try tamper("UPDATE source SET form = 'x'"), toName: "event 2")
    }

    @Test func anotherNameOfARevisionIsFound() throws {
        expect(try tamper("UPDATE revision SET revision = '9'"), toName: "event 2")
    }

    @Test func anotherNameOfAPurposeIsFound() throws {
        expect(try tamper("UPDATE purpose SET id = 'px' WHERE bit = 0"), toName: "event 2")
    }

    @Test func aRemovedEventIsFound() throws {
        expect(try tamper("DELETE FROM event WHERE sequence = 10"), toName: "event 10", "missing")
    }

    @Test func theFirstEventRemovedIsFound() throws {
        expect(try tamper("DELETE FROM event WHERE sequence = 1"), toName: "event 1", "missing")
    }

    @Test func theLastEventRemovedIsFound() throws {
        expect(try tamper("DELETE FROM event WHERE sequence = 32"))
    }

    /// An event that changed no standing, so that only the index remembers that there was one more.
    @Test func aLastEventThatChangedNothingIsMissed() throws {
        _ = try node.engine.record([.grant([people[0]], at: secondsAgo(86_400))])
        expect(try tamper("DELETE FROM event WHERE sequence = 33"), toName: "33")
    }

    @Test func aRemovedAndRenumberedEventIsFound() throws {
        expect(
            try tamper(
                "DELETE FROM event WHERE sequence = 10",
                "UPDATE event SET sequence = -sequence WHERE sequence > 10",
                "UPDATE event SET sequence = -sequence - 1 WHERE sequence < 0"
            ), toName: "event 10")
    }

    @Test func reorderedEventsAreFound() throws {
        expect(
            try tamper(
                "UPDATE event SET sequence = 1000 WHERE sequence = 12",
                "UPDATE event SET sequence = 12 WHERE sequence = 13",
                "UPDATE event SET sequence = 13 WHERE sequence = 1000"
            ), toName: "event 12")
    }

    @Test func anInsertedEventIsFound() throws {
        let columns =
            "kind, recorded_at, captured_at, subject, purpose, state, revision, language, method, party, explicit, "
            + "source, actor, personal, hash"
        expect(
            try tamper("INSERT INTO event (sequence, \(columns)) SELECT 33, \(columns) FROM event WHERE sequence = 2"),
            toName: "event 33")
    }

    @Test func anotherSaltIsFound() throws {
        expect(try tamper("UPDATE subject SET salt = zeroblob(16) WHERE id = 1"), toName: "event 2")
    }

    @Test func anotherHistoryIdIsFound() throws {
        try node.close()
        let database = try DatabaseQueue(path: node.folder.ledgerPath)
        try database.write { try $0.execute(sql: "UPDATE node SET value = zeroblob(16) WHERE name = 'history'") }
        try database.close()
        expect(try verify(node.folder), toName: "event 1")
    }

    // MARK: What is derived

    @Test(arguments: [
        "state = 4", "flags = flags + 1", "captured_at = captured_at + 1", "revision = NULL", "expires_at = 5",
        "taken_away_at = NULL", "sequence = 3", "party = 1", "method = 0", "age = 3", "erased_at = 7",
        "lifted_by_person_at = 9", "lifted_by_others_at = 9",
    ])
    func aChangedStandingIsFound(_ change: String) throws {
        let report = try tamper("UPDATE standing SET \(change) WHERE subject = 1 AND purpose = 0")
        expect(report, toName: "subject 1:")
    }

    @Test func aRemovedStandingIsFound() throws {
        expect(try tamper("DELETE FROM standing WHERE subject = 2"), toName: "subject 2:")
    }

    @Test func anInsertedStandingIsFound() throws {
        expect(
            try tamper(
                "INSERT INTO standing (subject, purpose, flags, sequence, state, captured_at, revision, method, party) "
                    + "SELECT 3, 1, flags, sequence, state, captured_at, revision, method, party FROM standing "
                    + "WHERE subject = 7 AND purpose = 0"
            ), toName: "subject 3:")
    }

    @Test(arguments: [
        "permitted = 1", "permitted = 3", "denied = 0", "ends_at = 9999999999999", "wide = zeroblob(15) || x'01'",
    ])
    func aChangedProjectionIsFound(_ change: String) throws {
        expect(try tamper("UPDATE subject SET \(change) WHERE id = 1"), toName: "subject 1:")
    }

    /// Without it, who has objected would be granted again after the next rebuild.
    @Test func aProjectionWithoutItsNoAndAnEndInThePastIsFound() throws {
        expect(try tamper("UPDATE subject SET denied = 0, ends_at = 1000 WHERE id = 1"), toName: "subject 1:")
    }

    @Test func aProjectionOfAnotherSequenceIsFound() throws {
        expect(try tamper("UPDATE subject SET sequence = 4 WHERE id = 1"), toName: "identifier")
    }

    @Test func aSubjectThatIsGoneIsFound() throws {
        try node.close()
        expect(
            try tamper("DELETE FROM subject WHERE id = 6"),
            toName: "6")
    }

    // MARK: Identifiers

    @Test func anIdentifierOfAnotherSubjectIsFound() throws {
        // The mail address of one who refused, given to one who consented; the index made anew to match.
        let report = try tamper("UPDATE identifier SET subject = 9, ordinal = 7 WHERE subject = 1 AND ordinal = 1")
        expect(report)
        _ = try rebuildIndex(node.folder)
        expect(try verify(node.folder), toName: "subject 9")
    }

    @Test func anIdentifierThatNoEventNamesIsFound() throws {
        try node.close()
        let hash = try node.folder.hashKey().hash(.customer("who never consented")).bytes.hex
        _ = try tamper("INSERT INTO identifier (subject, ordinal, hash, type) VALUES (9, 9, x'\(hash)', 1)")
        _ = try rebuildIndex(node.folder)
        expect(try verify(node.folder), toName: "subject 9")
    }

    @Test func aNationalIDOfAnotherSubjectIsFound() throws {
        _ = try tamper("UPDATE identifier SET subject = 2, ordinal = 9 WHERE type = 8")
        _ = try rebuildIndex(node.folder)
        expect(try verify(node.folder), toName: "subject 2")
    }

    @Test func anIdentifierThatIsGoneIsFound() throws {
        expect(try tamper("DELETE FROM identifier WHERE subject = 4 AND ordinal = 0"), toName: "subject 4")
    }

    // MARK: The catalog

    @Test func aChangedCatalogIsFoundAndNotBelieved() throws {
        let report = try tamper(
            "UPDATE catalog SET document = replace(document, 'basis: legitimate_interest', 'basis: contract')")
        expect(report, toName: "catalog version 1")
        #expect { try node.open() } throws: { "\($0)".contains("catalog version 1") }
    }

    @Test func anOlderCatalogThatWasChangedIsFound() throws {
        var catalog = SampleCatalog([
            .init("p0", bit: 0), .init("p1", bit: 1), .init("mail", bit: 2, basis: "legitimate_interest"),
            .init("more", bit: 3, basis: "contract"),
        ])
        catalog.revisions[0].purposes = ["p0", "p1"]
        _ = try node.engine.apply(catalog.document)
        expect(
            try tamper("UPDATE catalog SET document = document || '# more' || char(10) || 'x: y' WHERE version = 1"),
            toName: "catalog version 1")
    }

    @Test func anotherDigestOfACatalogIsFound() throws {
        expect(try tamper("UPDATE catalog SET digest = zeroblob(32)"), toName: "catalog")
    }

    // MARK: The index

    @Test func aChangedRowOfTheIndexIsFound() throws {
        try changeIndex { index, hash in
            var row = index.row(hash)!
            row.permitted.insert(1)
            try index.put(hash, row)
        }
        expect(try verify(node.folder), toName: "identifier", "index row")
    }

    @Test func aRowThatIsMissingIsFound() throws {
        try changeIndex { index, hash in index.erase(hash) }
        expect(try verify(node.folder), toName: "no row")
    }

    @Test func aRowTooManyIsFound() throws {
        try changeIndex { index, hash in
            var row = IndexRow()
            row.permitted.insert(0)
            try index.put(IdentifierHash(high: hash.high &+ 1 << 32, low: hash.low &+ 1 << 40), row)
        }
        expect(try verify(node.folder), toName: "42 rows for 41")
    }

    @Test func defaultsThatTheCatalogDoesNotGiveAreFound() throws {
        try changeIndex { index, _ in try index.setDefaults(granted: PurposeSet([0, 2]), denied: PurposeSet()) }
        expect(try verify(node.folder), toName: "default")
    }

    @Test func anIndexOfAnotherPastIsFound() throws {
        try changeIndex { index, _ in index.setApplied(sequence: index.appliedSequence, chain: 7) }
        expect(try verify(node.folder), toName: "another past")
    }

    @Test func anIndexThatIsGoneIsFound() throws {
        try node.close()
        for name in try File.names(in: node.folder.indexFolder.path) {
            try File.remove(node.folder.indexFolder.path + "/" + name)
        }
        expect(try verify(node.folder), toName: "consentd rebuild")
    }

    private func changeIndex(_ change: (IndexWriter, IdentifierHash) throws -> Void) throws {
        let history = node.engine.identity.history
        try node.close()
        let key = try node.folder.hashKey()
        let index = try IndexWriter(opening: node.folder.indexFolder, history: history, keyCheck: key.check)
        try change(index, key.hash(people[0]))
        try index.close()
    }
}
