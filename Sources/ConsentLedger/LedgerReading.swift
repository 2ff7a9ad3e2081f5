package import ConsentModel
import GRDB
import Synchronization

/// What deciding about events reads of the ledger, by statements that are kept: within one transaction of the connection.
// Confined to the connection's queue.
package final class LedgerReading {
    private let connection: OpaquePointer
    private let eventsRead: EventsRead
    private(set) var revisions: RevisionNumbers
    private var outdatings = Outdatings()
    private let selectOutdatings: Statement
    private let selectAnyPart: Statement
    /// Whether anybody became part of somebody: as long as nobody did, no event needs to look for whom.
    private var hasParts = true

    private let selectSubject: Statement
    private let selectLink: Statement
    private let selectDue: Statement
    private let selectEvent: Statement
    private let selectNextEnd: Statement
    private let selectToken: Statement
    private let selectTokensDue: Statement
    private let selectTokensOfSubject: Statement
    private let selectNextLapse: Statement
    private let selectParts: Statement
    private let selectPersonal: Statement

    init(_ connection: OpaquePointer, _ eventsRead: EventsRead) throws {
        self.connection = connection
        self.eventsRead = eventsRead
        func prepare(_ sql: String) throws -> Statement { try Statement(connection, sql) }
        selectSubject = try prepare("\(SubjectColumns.select) WHERE id = ?")
        selectLink = try prepare("SELECT subject, previous, purpose, state, captured_at FROM event WHERE sequence = ?")
        selectEvent = try prepare("\(EventColumns.selectOne) WHERE event.sequence = ?")
        // The index is by day: within the first day that there is, all are looked at.
        selectNextEnd = try prepare(
            """
            SELECT min(ends_at) FROM subject WHERE ends_at IS NOT NULL AND ends_at / 86400000 =
                (SELECT min(ends_at / 86400000) FROM subject WHERE ends_at IS NOT NULL)
            """)
        selectDue = try prepare(
            """
            SELECT id FROM subject WHERE ends_at IS NOT NULL AND ends_at / 86400000 <= ? / 86400000 AND ends_at <= ?
                LIMIT ?
            """)
        selectOutdatings = try prepare(Outdatings.select)
        selectAnyPart = try prepare("SELECT 1 FROM subject WHERE joined_to IS NOT NULL LIMIT 1")
        selectToken = try prepare("\(StoredToken.select) WHERE hash = ?")
        selectTokensDue = try prepare(
            "\(StoredToken.select) WHERE state = 0 AND ends_at <= ? ORDER BY ends_at LIMIT ?")
        selectTokensOfSubject = try prepare("\(StoredToken.select) WHERE subject = ? AND state = 0")
        selectParts = try prepare(SubjectColumns.selectParts)
        selectPersonal = try prepare(
            """
            SELECT event.personal, erased_part.parts
            FROM event
                LEFT JOIN erased_event ON erased_event.sequence = event.sequence
                LEFT JOIN erased_part ON erased_part.sequence = event.sequence
            WHERE event.sequence = ? AND event.personal IS NOT NULL AND erased_event.sequence IS NULL
            """)
        selectNextLapse = try prepare("SELECT min(ends_at) FROM confirmation_token WHERE state = 0")
        revisions = try RevisionNumbers(prepare(RevisionNumbers.select))
    }

    /// Reads what was added since a transaction began before.
    func begin() throws {
        try outdatings.readOn(selectOutdatings)
        defer { selectAnyPart.reset() }
        hasParts = try selectAnyPart.step()
    }

    /// The transaction stores somebody who became part of somebody.
    func notePart() { hasParts = true }

    /// Whether consents for one of these purposes are said to end at some moment.
    package func isEnding(anyOf purposes: PurposeSet) -> Bool {
        outdatings.all.contains { $0.isEnding(anyOf: purposes) }
    }

    /// What is kept of those who have consents for some of these purposes and for others, too. Looks at all there are.
    ///
    /// - Parameters:
    ///   - subjects: by their numbers; so that two can look, each at half of them.
    ///   - outdatings: what became of everybody's consents since.
    ///   - body: the identifiers, as ``SubjectRecord/identifiers``, are valid during the call.
    package func forEachProjection(
        withMoreThan purposes: PurposeSet, of subjects: ClosedRange<Int64>, outdatings since: [Outdating],
        _ body: (Int64, UnsafeRawBufferPointer, Projection) throws -> Void
    ) throws {
        let select = try Statement(
            connection,
            """
            SELECT id, identifiers, permitted, denied, wide, ends_at, sequence FROM subject
                WHERE id BETWEEN ?2 AND ?3
                    AND ((permitted <> 0 AND permitted & ?1 <> 0 AND permitted & ~?1 <> 0) OR wide IS NOT NULL)
                ORDER BY id
            """)
        select.bind(1, Int64(bitPattern: purposes[word: 0]))
        select.bind(2, subjects.lowerBound)
        select.bind(3, subjects.upperBound)
        var outdatings = outdatings
        outdatings.append(since)
        while try select.step() {
            let projection = try Projection(select, from: 2, of: select.int64(0), outdatings)
            try SubjectColumns.requireWhole(select.rawBytes(1), of: select.int64(0))
            try body(select.int64(0), select.rawBytes(1), projection)
        }
    }

    func add(_ revision: RevisionName, _ number: Int64) { revisions.add(revision, number) }

    /// Nil if there is none with this number.
    package func subject(_ id: Int64) throws -> SubjectRecord? {
        selectSubject.bind(1, id)
        defer { selectSubject.reset() }
        guard try selectSubject.step() else { return nil }
        do {
            return try SubjectColumns.read(selectSubject, revisions, outdatings)
        } catch {
            // Where it stands may name a revision that another connection has added since.
            revisions = try RevisionNumbers(Statement(connection, RevisionNumbers.select))
            return try SubjectColumns.read(selectSubject, revisions, outdatings)
        }
    }

    /// Those who became part of a subject.
    package func parts(of subject: Int64) throws -> [Int64] {
        guard hasParts else { return [] }
        selectParts.bind(1, subject)
        defer { selectParts.reset() }
        var parts: [Int64] = []
        while try selectParts.step() { parts.append(selectParts.int64(0)) }
        return parts
    }

    /// Subjects with a consent that may have ended.
    package func subjectsDue(at now: Timestamp, countMax: Int) throws -> [Int64] {
        selectDue.bind(1, now.millis)
        selectDue.bind(2, now.millis)
        selectDue.bind(3, countMax)
        defer { selectDue.reset() }
        var subjects: [Int64] = []
        while try selectDue.step() { subjects.append(selectDue.int64(0)) }
        return subjects
    }

    /// Subjects that have a standing for one of these purposes. Looks at all there are.
    package func subjects(withStandingFor purposeBits: Set<Int>) throws -> [Int64] {
        let select = try Statement(connection, "\(SubjectColumns.select) ORDER BY id")
        var subjects: [Int64] = []
        while try select.step() {
            let subject = try SubjectColumns.read(select, revisions, outdatings)
            if subject.standings.all.contains(where: { purposeBits.contains($0.purposeBit) }) {
                subjects.append(subject.id)
            }
        }
        return subjects
    }

    /// The next moment at which some consent may end, or a token lapses.
    package func nextEnd() throws -> Timestamp? {
        try [selectNextEnd, selectNextLapse].compactMap { select in
            defer { select.reset() }
            return try select.step() ? select.optionalInt64(0).map(Timestamp.init(millis:)) : nil
        }.min()
    }

    // MARK: Tokens

    /// Nil for one that was never issued, or is forgotten.
    package func token(_ hash: [UInt8]) throws -> StoredToken? {
        selectToken.bind(1, hash)
        return try tokens(selectToken).first
    }

    /// Waiting ones whose time is over, the earliest first.
    package func tokensDue(at now: Timestamp, countMax: Int) throws -> [StoredToken] {
        selectTokensDue.bind(1, now.millis)
        selectTokensDue.bind(2, countMax)
        return try tokens(selectTokensDue)
    }

    /// Those of one subject that wait.
    package func waitingTokens(of subject: Int64) throws -> [StoredToken] {
        selectTokensOfSubject.bind(1, subject)
        return try tokens(selectTokensOfSubject)
    }

    private func tokens(_ select: Statement) throws -> [StoredToken] {
        defer { select.reset() }
        var tokens: [StoredToken] = []
        while try select.step() { tokens.append(try StoredToken(select)) }
        return tokens
    }

    // MARK: Events

    func event(_ sequence: UInt64) throws -> RecordedEvent? {
        guard case .consent(let event) = try subjectEvent(sequence) else { return nil }
        return event
    }

    func subjectEvent(_ sequence: UInt64) throws -> SubjectEvent? {
        eventsRead.add()
        selectEvent.bind(1, Int64(sequence))
        defer { selectEvent.reset() }
        return try selectEvent.step() ? try EventColumns.verified(selectEvent) : nil
    }

    func erasure(_ sequence: UInt64) throws -> RecordedErasure? {
        guard case .erasure(let erasure) = try subjectEvent(sequence) else { return nil }
        return erasure
    }

    /// What is personal in an event; nil where there is nothing, or it has been erased.
    func personal(_ sequence: UInt64) throws -> EventColumns.StoredPersonal? {
        selectPersonal.bind(1, Int64(sequence))
        defer { selectPersonal.reset() }
        guard try selectPersonal.step() else { return nil }
        guard let erased = ErasedParts(selectPersonal.rawBytes(1)) else {
            throw LedgerError.corrupt(where: "event \(sequence)", what: "what was erased of it cannot be read")
        }
        return EventColumns.StoredPersonal(bytes: selectPersonal.bytes(0), erased: erased)
    }

    func link(_ sequence: UInt64, of subject: Int64) throws -> EventLink {
        selectLink.bind(1, Int64(sequence))
        defer { selectLink.reset() }
        guard try selectLink.step(), selectLink.int64(0) == subject,
            (0..<Int64(sequence)).contains(selectLink.int64(1))
        else { throw LedgerError.corrupt(sequence, isNotOf: subject) }
        return EventLink(
            previous: UInt64(clamping: selectLink.int64(1)), purposeBit: selectLink.int(2),
            state: EventState(rawValue: UInt8(clamping: selectLink.int64(3))),
            capturedAt: Timestamp(millis: selectLink.int64(4)))
    }
}

/// Counts events that are read.
final class EventsRead: Sendable {
    private let count = Atomic<UInt64>(0)

    var value: UInt64 { count.load(ordering: .relaxed) }

    func add() { count.add(1, ordering: .relaxed) }
}

/// What an event says shortly, and which one of its subject was before it.
struct EventLink {
    var previous: UInt64
    var purposeBit: Int
    var state: EventState?
    var capturedAt: Timestamp
}

extension LedgerError {
    static func corrupt(_ sequence: UInt64, isNotOf subject: Int64) -> LedgerError {
        .corrupt(where: "subject \(subject)", what: "its history leads to event \(sequence), which is not of it")
    }
}
