import ConsentModel

/// What a register was worth.
package struct RegisterSummary: Sendable, Hashable {
    /// Rows that became events of the state they name.
    package private(set) var acceptedCount = 0
    /// Rows that granted without proof and became requests, to ask again.
    package private(set) var withoutProofCount = 0
    /// Events of both.
    package private(set) var eventCount = 0
    /// Of both, rows that stood where a quote had not closed. Worth a look: see ``CSVRow``.
    package private(set) var recoveredCount = 0
    /// Rows that became nothing, by the slug of the rule.
    package private(set) var rejectedCounts: [String: Int] = [:]
    /// Rows without proof, by what they lack: the names of the columns, with `+` between them.
    package private(set) var unprovedCounts: [String: Int] = [:]
    /// What was noted of the rows that became events; of each at most one worth.
    package private(set) var noteCounts: [RowNote: Int] = [:]

    package init() {}

    init(
        accepted: Int, withoutProof: Int, events: Int, recovered: Int, rejected: [String: Int],
        unproved: [String: Int], notes: [RowNote: Int]
    ) {
        acceptedCount = accepted
        withoutProofCount = withoutProof
        eventCount = events
        recoveredCount = recovered
        rejectedCounts = rejected
        unprovedCounts = unproved
        noteCounts = notes
    }

    package var rejectedCount: Int { rejectedCounts.values.reduce(0, +) }
    package var rowCount: Int { acceptedCount + withoutProofCount + rejectedCount }

    /// The part of the register on which nothing can rest: what was rejected, and what must be asked again.
    package var unusableShare: Double {
        rowCount == 0 ? 0 : Double(withoutProofCount + rejectedCount) / Double(rowCount)
    }

    package mutating func count(_ row: RegisterRow) { add(row, 1) }

    package mutating func count(_ note: RowNote) { noteCounts[note, default: 0] += 1 }

    package subscript(note: RowNote) -> Int { noteCounts[note] ?? 0 }

    /// Rows on which nothing can rest today: rejected, without proof, or of a consent that does not count any more or not
    /// yet.
    package var worthlessCount: Int {
        rejectedCount + withoutProofCount + RowNote.allCases.filter(\.isWorthless).reduce(0) { $0 + self[$1] }
    }

    package mutating func count(_ rejection: RowRejection) {
        rejectedCounts[rejection.rule, default: 0] += 1
        if rejection.saysNo { count(.noNotTaken) }
    }

    /// Counts a row that was accepted as rejected, because the server refused it.
    package mutating func move(_ row: RegisterRow, to rejection: RowRejection) {
        add(row, -1)
        count(rejection)
    }

    /// By the columns' numbers: making a name takes longer than reading a row.
    private static let columnNames = RegisterField.allCases.map(\.name)

    private mutating func add(_ row: RegisterRow, _ sign: Int) {
        if row.isWithoutProof { withoutProofCount += sign } else { acceptedCount += sign }
        if row.isRecovered { recoveredCount += sign }
        eventCount += sign * row.events.count
        guard row.isWithoutProof else { return }
        let lacks = row.missing.map { Self.columnNames[Int($0.rawValue)] }.joined(separator: "+")
        unprovedCounts[lacks, default: 0] += sign
        if unprovedCounts[lacks] == 0 { unprovedCounts[lacks] = nil }
    }
}
