import ConsentCatalog
import ConsentModel
import ConsentTestSupport
import Dispatch
import GRDB
import Testing

@testable import ConsentLedger

/// The ledger by itself: its bytes, its groups and its order of ends.
struct LedgerTests {
    private let temporary: TemporaryFolder
    private let path: String
    private let ledger: Ledger
    private let identity = NodeIdentity(
        history: [UInt8](repeating: 1, count: 16), deployment: [UInt8](repeating: 2, count: 16),
        keyCheck: .max)
    private let begin = Timestamp(iso8601: "2026-03-01")!

    init() throws {
        temporary = TemporaryFolder()
        path = temporary.path + "/ledger.sqlite"
        try Ledger.create(path: path, identity: identity, now: begin)
        ledger = try Ledger(path: path)
    }

    // MARK: Standings

    private static let revisions = (0..<5).map { RevisionName(declaration: "d\($0 / 2)", revision: "r\($0)") }

    private func encode(_ standings: Standings) -> [UInt8] {
        var bytes: [UInt8] = []
        standings.encode(into: &bytes) { name in
            Self.revisions.firstIndex(of: name).map { Int64(UInt32.max) - Int64($0) }
        }
        return bytes
    }

    private func decode(_ bytes: [UInt8]) -> Standings? {
        bytes.withUnsafeBytes { bytes in
            Standings(decoding: bytes) { number in
                let position = Int(Int64(UInt32.max) - number)
                return Self.revisions.indices.contains(position) ? Self.revisions[position] : nil
            }
        }
    }

    private func makeActs(_ generator: inout SeededGenerator) -> [Act] {
        (0..<generator.below(7)).map { number in
            let state = generator.pick(EventState.allCases + [.given, .given, .renewed, .confirmed])
            let moment = Timestamp(millis: Int64(generator.below(30)) * 86_400_000 + 1_700_000_000_000)
            var act = Act(sequence: UInt64(number + 1) << UInt64(generator.below(36)), state: state, capturedAt: moment)
            act.method = generator.pick(EvidenceMethod.allCases)
            act.party = generator.pick(Party.allCases)
            act.isExplicit = generator.oneIn(2)
            act.subjectAge = generator.oneIn(2) ? generator.below(151) : nil
            act.revision = generator.oneIn(3) ? nil : generator.pick(Self.revisions)
            act.expiresAt = generator.oneIn(2) ? moment.advanced(bySeconds: Int64(generator.below(1_000_000))) : nil
            if state == .confirmed || state == .expired { act.refersTo = UInt64(generator.below(number + 1)) }
            return act
        }
    }

    @Test func standingsAreReadAsTheyWereWrittenAndNeverFromAPartOfThem() throws {
        var generator = SeededGenerator(salt: 91)
        for round in 0..<200 {
            let bits = (0..<generator.below(5)).map { _ in generator.below(960) }
            let acts = Set(bits).sorted().map { ($0, makeActs(&generator)) }
            var standings = Standings()
            // Where one purpose ends and the next begins, with what stands before.
            var boundaries = [0: standings]
            for (bit, acts) in acts {
                for act in acts { standings.fold(act, purposeBit: bit) }
                boundaries[encode(standings).count] = standings
            }
            let bytes = encode(standings)
            let place: Comment = "CONSENT_TEST_SEED=\(TestSeed.value), round \(round)"
            for size in 0...bytes.count {
                #expect(decode(Array(bytes.prefix(size))) == boundaries[size], place)
            }
            #expect(decode(bytes + [0]) == nil, place)
        }
    }

    @Test func foldingInAnyOrderOfPurposesKeepsTheOrderOfTheirBits() {
        var generator = SeededGenerator(salt: 92)
        let acts = [70, 3, 959, 0].map {
            ($0, makeActs(&generator) + [Act(sequence: 99, state: .given, capturedAt: begin)])
        }
        var (forward, backward) = (Standings(), Standings())
        for (bit, acts) in acts { for act in acts { forward.fold(act, purposeBit: bit) } }
        for (bit, acts) in acts.reversed() { for act in acts { backward.fold(act, purposeBit: bit) } }
        #expect(forward == backward)
        #expect(forward.all.map(\.purposeBit) == [0, 3, 70, 959])
        #expect(forward[3] == Standing(acts[1].1))
        #expect(forward[4] == nil)
    }

    @Test func standingsThatCannotBeAreNotRead() {
        var standings = Standings()
        standings.fold(Act(sequence: 1, state: .withdrawn, capturedAt: begin), purposeBit: 0)
        let bytes = encode(standings)
        #expect(decode(bytes) == standings)
        #expect(decode(bytes + bytes) == nil, "one purpose twice")
        // Purpose and flags, then sequence and capture time of the act, then its codes and its revision.
        for (position, value) in [(3, 4), (20, 0), (20, 10), (21, 8), (22, 5), (24, 9)] as [(Int, UInt8)] {
            var changed = bytes
            changed[position] = value
            #expect(decode(changed) == nil, "byte \(position)")
        }
    }

    @Test func thePersonalPartIsReadWholeOrNotAtAll() throws {
        let event = ConsentEvent(
            [.customer("kari"), .email("kari@example.no"), Identifier(nationalIDHash: [UInt8](0..<16))], "p0", .given
        ).with { $0.evidence = String(repeating: "æ", count: 300) }
        let bytes = Personal.encode(event.identifiers, evidence: event.evidence, guardian: nil) { [UInt8](1...16)[...] }
        let (identifiers, evidence, guardian) = try #require(Personal.decode(bytes))
        #expect(identifiers == event.identifiers)
        #expect(evidence == event.evidence && guardian == nil)
        for size in 0..<bytes.count { #expect(Personal.decode(Array(bytes.prefix(size))) == nil) }
        #expect(Personal.decode(bytes + [0]) == nil)
        for (position, value) in [(0, 0x82), (0, 0x84), (0, 3), (1, 99), (2, 200), (3, 0xFF), (bytes.count - 17, 0xC3)]
            as [(Int, UInt8)]
        {
            var changed = bytes
            changed[position] = value
            #expect(Personal.decode(changed) == nil, "byte \(position)")
        }
        // Where nobody is named it ends as it always did.
        let longer = Personal.encode(event.identifiers, evidence: event.evidence, guardian: .anne) {
            [UInt8](1...16)[...]
        }
        #expect(longer.starts(with: bytes) && Personal.decode(longer)?.guardian == .anne)
        for size in 0..<longer.count where size != bytes.count {
            #expect(Personal.decode(Array(longer.prefix(size))) == nil, "\(size)")
        }
        #expect(Personal.decode(longer + [0]) == nil)
        for (position, value) in [(0, 0), (0, 4), (1, 0), (1, 99), (2, 0), (2, 1)] as [(Int, UInt8)] {
            var changed = longer
            changed[bytes.count + position] = value
            #expect(Personal.decode(changed) == nil, "byte \(position) of the guardian")
        }
    }

    // MARK: Groups

    /// A group of subjects with one event each, as the engine stores them.
    private func add(
        _ numbers: [Int], ends: [Timestamp?] = [], abandon: Bool = false
    ) throws -> (subjects: [Int64], head: ChainHead) {
        let end = try ledger.read { try $0.end() }
        return try ledger.write { transaction in
            let added = try add(numbers, ends: ends, after: end, in: transaction)
            if abandon { throw Abandoned() }
            return added
        }
    }

    private func add(
        _ numbers: [Int], ends: [Timestamp?], after end: LedgerEnd, in transaction: LedgerTransaction
    ) throws -> (subjects: [Int64], head: ChainHead) {
        let draft = Draft(
            after: end, reading: transaction.reading, previous: nil, randomBytes: { [UInt8](repeating: 9, count: $0) })
        var subjects: [SubjectRecord] = []
        for (position, number) in numbers.enumerated() {
            var subject = try draft.newSubject(salt: [UInt8](repeating: UInt8(1 + number % 255), count: 16))
            let event = ConsentEvent([.customer("c\(number)")], "p0", .given, at: begin)
            let place = EventPlace(subject: subject.id, purposeBit: 0, recordedAt: begin, refersTo: 0, previous: 0)
            subject.lastEvent = draft.append(event, at: place, salt: subject.salt)
            if !ends.isEmpty { subject.projection.endsAt = ends[position] }
            subjects.append(subject)
        }
        try transaction.store(draft) { put in for subject in subjects { try put(subject, true) } }
        return (subjects.map(\.id), draft.end.head)
    }

    private func applyCatalog() throws {
        let document = try SampleCatalog.consents(bits: 0..<1).document
        let end = try ledger.read { try $0.end() }
        try ledger.write { transaction in
            let stored = StoredCatalog(version: 1, document: document.text, digest: document.digest)
            let draft = Draft(
                after: end, reading: transaction.reading, previous: nil,
                randomBytes: { [UInt8](repeating: 9, count: $0) })
            _ = draft.append(stored, document.catalog, recordedAt: begin)
            try transaction.store(draft) { _ in }
        }
    }

    private struct Abandoned: Error {}

    @Test func aGroupThatThrowsLeavesNothing() throws {
        try applyCatalog()
        let first = try add([1]).subjects[0]
        let before = try ledger.read { (head: try $0.head(), counts: try $0.counts()) }
        #expect(throws: LedgerError.self) { try add(Array(2..<10), abandon: true) }
        #expect(try ledger.read { try $0.head() } == before.head)
        #expect(try ledger.read { try $0.counts() } == before.counts)
        // And the next group goes on where the last that counted ended.
        let (subjects, head) = try add([3])
        let second = subjects[0]
        #expect(second == first + 1)
        #expect(head.sequence == 3)
        #expect(try ledger.read { try $0.head() } == head)
        #expect(try ledger.read { try $0.walkChain { _, _ in } } == head)
        try ledger.close()
        let reopened = try Ledger(path: path)
        #expect(try reopened.read { try $0.head() } == head)
        #expect(try reopened.read { try $0.walkChain { _, _ in } } == head)
        try reopened.close()
    }

    /// Events are stored many by one statement: groups on both sides of every such number.
    @Test func aGroupIsStoredWholeWhateverItsSize() throws {
        try applyCatalog()
        var subjects: [Int64] = []
        for size in [1, 2, 7, 8, 9, 16, 17, 63, 64, 65, 72, 73, 128, 137] {
            let (added, head) = try add(Array(subjects.count..<subjects.count + size))
            subjects += added
            #expect(head.sequence == UInt64(1 + subjects.count))
            #expect(try ledger.read { try $0.walkChain { _, _ in } } == head)
        }
        let recorded = try ledger.write { transaction in
            try (2...UInt64(1 + subjects.count)).map { try #require(try transaction.reading.event($0)) }
        }
        #expect(recorded.map(\.subject) == subjects)
        #expect(recorded.map { $0.event.identifiers[0].value } == subjects.indices.map { "c\($0)" })
    }

    /// What one row of a statement breaks, none of its rows outlives.
    @Test func anEventThatATableRefusesTakesItsGroupAlong() throws {
        try applyCatalog()
        let head = try add(Array(0..<5)).head
        let end = try ledger.read { try $0.end() }
        #expect(throws: LedgerError.self) {
            try ledger.write { transaction in
                let draft = Draft(
                    after: end, reading: transaction.reading, previous: nil,
                    randomBytes: { [UInt8](repeating: 9, count: $0) })
                for number in 0..<64 {
                    // The last is about a subject that is not there.
                    let place = EventPlace(
                        subject: number < 63 ? 1 : 1000, purposeBit: 0, recordedAt: begin, refersTo: 0, previous: 0)
                    let event = ConsentEvent([.customer("c\(number)")], "p0", .given, at: begin)
                    _ = draft.append(event, at: place, salt: [UInt8](repeating: 0, count: 16))
                }
                try transaction.store(draft) { _ in }
            }
        }
        #expect(try ledger.read { try $0.head() } == head)
        #expect(try add([5]).head.sequence == head.sequence + 1)
    }

    @Test func aReaderSeesOneStateWhileGroupsAreWritten() throws {
        try applyCatalog()
        let end = try ledger.read { try $0.end() }
        try ledger.read { snapshot in
            let before = try snapshot.head()
            _ = try ledger.write { try add([1], ends: [], after: end, in: $0) }
            #expect(try snapshot.head() == before)
            #expect(try snapshot.walkChain { _, _ in } == before)
        }
        #expect(try ledger.read { try $0.head().sequence } == 2)
    }

    // MARK: Ends

    /// The index of ends is by day: what is near midnight must not be taken for another day's.
    /// Statements are kept from one read to the next: two walks at the same time have one each, and one that was broken
    /// off begins anew.
    @Test func readsWithinReadsAndReadsThatWereBrokenOffTakeNothingFromEachOther() throws {
        try applyCatalog()
        let subjects = try add(Array(0..<9)).subjects
        func walked(_ snapshot: LedgerSnapshot, _ body: (SubjectRecord) throws -> Void = { _ in }) throws -> [Int64] {
            var walked: [Int64] = []
            try snapshot.forEachSubject {
                walked.append($0.id)
                try body($0)
            }
            return walked
        }
        for _ in 0..<3 {
            #expect(throws: LedgerError.self) {
                try ledger.read { snapshot in _ = try walked(snapshot) { if $0.id == subjects[4] { throw Abandoned() } }
                }
            }
            try ledger.read { snapshot in
                let whole = try walked(snapshot) { outer in
                    var others: [Int64?] = []
                    let inner = try walked(snapshot) { others.append(try snapshot.subject($0.id)?.id) }
                    #expect(inner == subjects && others == subjects)
                    #expect(try snapshot.subject(outer.id)?.id == outer.id)
                    #expect(try snapshot.subject(1000) == nil)
                }
                #expect(whole == subjects)
            }
        }
    }

    /// What a reader keeps of the revisions and of what became of everybody's consents is no older than its snapshot.
    @Test func aReaderThatReadBeforeKnowsWhatWasAddedSince() throws {
        try applyCatalog()
        _ = try add([0])
        let first = try ledger.read { try ($0.subject(1), $0.hasOutdated()) }
        #expect(first.0?.standings.all.isEmpty == true && !first.1)
        var catalog = SampleCatalog.consents(bits: 0..<1)
        catalog.revisions.append(.init("2.0", effectiveAt: begin))
        let document = try catalog.document
        let end = try ledger.read { try $0.end() }
        let revision = RevisionName(declaration: "club", revision: "2.0")
        try ledger.write { transaction in
            let draft = Draft(
                after: end, reading: transaction.reading, previous: nil,
                randomBytes: { [UInt8](repeating: 9, count: $0) })
            let stored = StoredCatalog(version: 2, document: document.text, digest: document.digest)
            _ = draft.append(stored, document.catalog, recordedAt: begin)
            draft.append([Outdating(sequence: 0, purposes: PurposeSet(words: [1]), endsAt: nil)])
            var subject = try draft.newSubject(salt: [UInt8](repeating: 7, count: 16))
            var event = ConsentEvent([.customer("new")], "p0", .given, at: begin)
            event.revision = revision
            let place = EventPlace(subject: subject.id, purposeBit: 0, recordedAt: begin, refersTo: 0, previous: 0)
            subject.lastEvent = draft.append(event, at: place, salt: subject.salt)
            subject.standings.fold(
                Act(event, sequence: subject.lastEvent, recordedAt: begin, refersTo: 0), purposeBit: 0)
            try transaction.store(draft) { put in try put(subject, true) }
        }
        // As many readers as there are take their turn.
        for _ in 0..<8 {
            let (subject, hasOutdated) = try ledger.read { try ($0.subject(2), $0.hasOutdated()) }
            #expect(subject?.standings[0]?.decidingAct?.revision == revision && hasOutdated)
        }
    }

    @Test func aLedgerThatIsReadWhileItIsClosedIsClosedAllTheSame() throws {
        try applyCatalog()
        let subjects = try add(Array(0..<20)).subjects
        let group = DispatchGroup()
        for _ in 0..<4 {
            DispatchQueue.global().async(group: group) { [ledger] in
                while true {
                    guard let found = try? ledger.read({ try $0.subject(7)?.id }) else { return }
                    #expect(found == 7)
                }
            }
        }
        #expect(try ledger.read { try $0.subject(7)?.id } == 7)
        try ledger.close()
        group.wait()
        #expect(throws: LedgerError.self) { try ledger.read { try $0.head() } }
        let reopened = try Ledger(path: path)
        #expect(try reopened.read { try $0.subject(subjects[19])?.id } == subjects[19])
        try reopened.close()
    }

    @Test func endsAreFoundInTheirOrderAcrossMidnight() throws {
        try applyCatalog()
        let midnight = Timestamp(iso8601: "2026-03-02")!
        let day: Int64 = 86_400_000
        let offsets: [Int64] = [0, -1, 1, 5, -5, day - 1, day, day + 1, -day, 40 * day, -1, 3 * day, 2, day - 1]
        var generator = SeededGenerator(salt: 93)
        var due: [Int64: Timestamp] = [:]
        let ends = offsets.shuffled(using: &generator).map { midnight.advanced(millis: $0) }
        due = Dictionary(uniqueKeysWithValues: zip(try add(Array(ends.indices), ends: ends).subjects, ends))
        _ = try add(Array(ends.indices))
        while let next = due.values.min() {
            let end = try ledger.read { try $0.end() }
            try ledger.write { transaction in
                let reading = transaction.reading
                #expect(try reading.nextEnd() == next)
                let tooEarly = try reading.subjectsDue(at: next.advanced(millis: -1), countMax: 100)
                #expect(tooEarly == [])
                let found = try reading.subjectsDue(at: next, countMax: 100)
                #expect(Set(found) == Set(due.filter { $0.value == next }.keys))
                #expect(found.count == Set(found).count)
                #expect(try reading.subjectsDue(at: next, countMax: 1).count == 1)
                let all = try reading.subjectsDue(at: next.advanced(millis: 100 * day), countMax: 100)
                #expect(Set(all) == Set(due.keys))
                let draft = Draft(
                    after: end, reading: reading, previous: nil, randomBytes: { [UInt8](repeating: 9, count: $0) })
                let ended = try found.map { id in
                    var subject = try #require(try reading.subject(id))
                    subject.projection.endsAt = nil
                    due[id] = nil
                    return subject
                }
                try transaction.store(draft) { put in for subject in ended { try put(subject, false) } }
            }
        }
        #expect(try ledger.write { try $0.reading.nextEnd() } == nil)
        #expect(try ledger.write { try $0.reading.subjectsDue(at: Timestamp(millis: .max), countMax: 9) } == [])
    }

    // MARK: Files

    @Test func aLedgerIsMadeOnce() throws {
        let before = try ledger.read { try $0.head() }
        #expect(throws: LedgerError.self) {
            try Ledger.create(path: path, identity: identity, now: begin)
        }
        #expect(try ledger.read { try $0.head() } == before)
        #expect(ledger.identity == identity)
    }

    @Test func eventsCannotBeDeletedFromALedger() throws {
        try applyCatalog()
        try ledger.close()
        let database = try DatabaseQueue(path: path)
        #expect(throws: DatabaseError.self) { try database.write { try $0.execute(sql: "DELETE FROM event") } }
        #expect(try database.read { try Int.fetchOne($0, sql: "SELECT count(*) FROM event") } == 1)
        try database.close()
    }
}
