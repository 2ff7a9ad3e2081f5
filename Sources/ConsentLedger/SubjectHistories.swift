package import ConsentModel

/// Where histories that make up one person's have come to, as they are walked from their ends together.
struct HistoryEnds {
    private var ends: [(subject: Int64, sequence: UInt64)]

    init(_ ends: [(subject: Int64, sequence: UInt64)]) { self.ends = ends }

    private var position: Int? {
        ends.count < 2 ? ends.indices.first : ends.indices.max { ends[$0].sequence < ends[$1].sequence }
    }

    /// The newest event that has not been passed; nil when none is left.
    var newest: (subject: Int64, sequence: UInt64)? {
        position.map { ends[$0] }.flatMap { $0.sequence > 0 ? $0 : nil }
    }

    /// Passes the newest event.
    ///
    /// - Parameter previous: the one before it in its own history.
    mutating func step(to previous: UInt64) {
        if let position { ends[position].sequence = previous }
    }
}

/// Reads the histories of people, one after the other, by statements that are kept. Valid as long as its snapshot.
package final class SubjectHistories {
    private let link: Statement
    private let select: Statement
    private let parts: Statement
    private let lastEvent: Statement
    private let walks: HistoryWalks

    init(_ statements: StatementCache, _ walks: HistoryWalks) throws {
        self.walks = walks
        link = try Statement(statements, "SELECT subject, previous, kind FROM event WHERE sequence = ?")
        select = try Statement(statements, "\(EventColumns.selectOne) WHERE event.sequence = ?")
        parts = try Statement(statements, SubjectColumns.selectParts)
        lastEvent = try Statement(statements, "SELECT last_event FROM subject WHERE id = ?")
    }

    /// A subject whose events are a person's, with what is nobody's any more.
    private struct Part {
        var subject: Int64
        var lastEvent: UInt64
        var erasure: UInt64
    }

    private func parts(of subject: SubjectRecord) throws -> [Part] {
        var found = [Part(subject: subject.id, lastEvent: subject.lastEvent, erasure: subject.erasure)]
        parts.bind(1, subject.id)
        defer { parts.reset() }
        while try parts.step() {
            found.append(
                Part(
                    subject: parts.int64(0), lastEvent: UInt64(clamping: parts.int64(1)),
                    erasure: UInt64(clamping: parts.int64(2))))
        }
        return found
    }

    /// Consents of a person, and what linked and unlinked identifiers, with a later sequence than `after`, oldest first. Of
    /// who was erased, only what came after that: what was before is nobody's any more.
    package func events(
        of subject: SubjectRecord, after: UInt64, countMax: Int, withLinks: Bool
    ) throws -> [SubjectEvent] {
        var events: [SubjectEvent] = []
        for sequence in try sequences(of: subject, after: after) {
            guard events.count < countMax else { break }
            let event = try event(sequence)
            if case .link = event, !withLinks { continue }
            events.append(event)
        }
        return events
    }

    /// All that was recorded about a number itself, oldest first, whoever it was then.
    package func timeline(of subject: Int64) throws -> [SubjectEvent] {
        lastEvent.bind(1, subject)
        defer { lastEvent.reset() }
        guard try lastEvent.step() else {
            throw LedgerError.corrupt(where: "subject \(subject)", what: "an event names it, but it is not there")
        }
        var sequences: [UInt64] = []
        let end = Part(subject: subject, lastEvent: UInt64(clamping: lastEvent.int64(0)), erasure: 0)
        try walkBack([end]) { sequence, _ in
            sequences.append(sequence)
            return true
        }
        return try sequences.reversed().map(event)
    }

    private func event(_ sequence: UInt64) throws -> SubjectEvent {
        select.bind(1, Int64(sequence))
        defer { select.reset() }
        guard try select.step(), let event = try EventColumns.verified(select) else {
            throw LedgerError.corrupt(where: "event \(sequence)", what: "a history leads to it, but it is not there")
        }
        return event
    }

    /// Of what ``events(of:after:countMax:)`` tells, oldest first.
    private func sequences(of subject: SubjectRecord, after: UInt64) throws -> ArraySlice<UInt64> {
        let parts = try parts(of: subject)
        let scope = HistoryWalks.Scope(parts: parts.count, erasure: subject.erasure)
        var walk = walks.walk(of: subject.id, scope)
        // Another reader may have seen more than this one does.
        while let last = walk.last, last > subject.lastEvent { walk.removeLast() }
        let known = walk.last ?? 0
        var newer: [UInt64] = []
        // That a part became one is told by the event right behind, in the history that it became part of.
        let joins = Set(parts.dropFirst().map(\.lastEvent))
        try walkBack(parts) { sequence, kind in
            guard sequence > known else { return false }
            let isTold = kind == .consent || kind == .link
            // What is passed over is looked at: a kind that was changed would hide an event.
            if !isTold { _ = try event(sequence) }
            if isTold, !joins.contains(sequence) { newer.append(sequence) }
            // A long history is walked to its beginning, once.
            return known > 0 || sequence > after || newer.count >= HistoryWalks.sizeMin
        }
        walk += newer.reversed()
        if known > 0 || newer.count >= HistoryWalks.sizeMin { walks.keep(walk, of: subject.id, scope) }
        let start = walk.partitioningIndex { $0 > after }
        return walk[start...]
    }

    /// The identifiers that a person's events name, the newest event's first. Most often one event names them all.
    ///
    /// - Parameter isKept: which of them are meant; of a person, all that have not been taken off.
    package func identifiers(
        of subject: SubjectRecord, countMax: Int, where isKept: (Identifier) -> Bool
    ) throws -> [Identifier] {
        let isPart = subject.joinedTo != nil
        let known = isPart ? countMax : min(countMax, subject.identifiers.count / SubjectRecord.identifierSize)
        var identifiers: [Identifier] = []
        try walkBack(parts(of: subject)) { sequence, _ in
            for identifier in try event(sequence).identifiers where !identifiers.contains(identifier) {
                if isPart || isKept(identifier) { identifiers.append(identifier) }
            }
            return identifiers.count < known
        }
        return Array(identifiers.prefix(countMax))
    }

    /// The histories that make up a person's, and those of them in which an event names an identifier that is meant.
    package func naming(
        of subject: SubjectRecord, where isMeant: (Identifier) -> Bool
    ) throws -> (all: Set<Int64>, naming: Set<Int64>) {
        let parts = try parts(of: subject)
        var naming: Set<Int64> = []
        try walkBack(parts) { sequence, _ in
            let event = try event(sequence)
            if event.identifiers.contains(where: isMeant) { naming.insert(event.subject) }
            return true
        }
        return (Set(parts.map(\.subject)), naming)
    }

    /// From the last event to the first, as far as it is a person's.
    ///
    /// - Parameter body: says whether to go on.
    private func walkBack(_ parts: [Part], _ body: (UInt64, EventKind?) throws -> Bool) throws {
        var ends = HistoryEnds(parts.map { ($0.subject, $0.lastEvent) })
        while let (subject, sequence) = ends.newest {
            link.bind(1, Int64(sequence))
            defer { link.reset() }
            guard try link.step(), link.int64(0) == subject, (0..<Int64(sequence)).contains(link.int64(1)) else {
                throw LedgerError.corrupt(
                    where: "subject \(subject)", what: "its history leads to event \(sequence), which is not of it")
            }
            let previous = UInt64(clamping: link.int64(1))
            let erasure = parts.first { $0.subject == subject }?.erasure ?? 0
            guard sequence > erasure else {
                ends.step(to: 0)
                continue
            }
            guard try body(sequence, EventKind(rawValue: UInt8(clamping: link.int64(2)))) else { return }
            ends.step(to: previous)
        }
    }
}

extension [UInt64] {
    /// The first position of which something holds that holds of all behind it, too.
    fileprivate func partitioningIndex(_ holds: (UInt64) -> Bool) -> Int {
        var (start, end) = (0, count)
        while start < end {
            let middle = (start + end) / 2
            if holds(self[middle]) { end = middle } else { start = middle + 1 }
        }
        return start
    }
}
