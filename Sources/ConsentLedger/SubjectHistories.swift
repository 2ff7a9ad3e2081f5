package import ConsentModel

/// Reads the histories of people, one after the other, by statements that are kept. Valid as long as its snapshot.
package final class SubjectHistories {
    private let link: Statement
    private let select: Statement
    private let personal: Statement
    private let walks: HistoryWalks

    init(_ connection: OpaquePointer, _ walks: HistoryWalks) throws {
        self.walks = walks
        link = try Statement(connection, "SELECT subject, previous, kind FROM event WHERE sequence = ?")
        select = try Statement(connection, "\(EventColumns.select) WHERE event.sequence = ?")
        personal = try Statement(
            connection,
            """
            SELECT personal FROM event
                WHERE sequence = ? AND NOT EXISTS (SELECT 1 FROM erased_event WHERE sequence = event.sequence)
            """)
    }

    /// Consent events of a subject with a later sequence than `after`, oldest first. Of who was erased, only what came
    /// after that: what was before is nobody's any more.
    package func events(of subject: SubjectRecord, after: UInt64, countMax: Int) throws -> [RecordedEvent] {
        try sequences(of: subject, after: max(after, subject.erasure)).prefix(countMax).map { sequence in
            guard case .consent(let event) = try event(sequence) else {
                throw LedgerError.corrupt(where: "event \(sequence)", what: "it is about no consent")
            }
            return event
        }
    }

    /// All that was recorded about a number, oldest first, whoever it was then.
    package func timeline(of subject: SubjectRecord) throws -> [SubjectEvent] {
        var sequences: [UInt64] = []
        try walkBack(subject) { sequence, _ in
            sequences.append(sequence)
            return true
        }
        return try sequences.reversed().map(event)
    }

    private func event(_ sequence: UInt64) throws -> SubjectEvent {
        select.bind(1, Int64(sequence))
        defer { select.reset() }
        guard try select.step(), let event = try EventColumns.subjectEvent(select) else {
            throw LedgerError.corrupt(where: "event \(sequence)", what: "a history leads to it, but it is not there")
        }
        return event
    }

    /// Of consent events, oldest first.
    private func sequences(of subject: SubjectRecord, after: UInt64) throws -> ArraySlice<UInt64> {
        var walk = walks.walk(of: subject.id)
        // Another reader may have seen more than this one does.
        while let last = walk.last, last > subject.lastEvent { walk.removeLast() }
        let known = walk.last ?? 0
        var newer: [UInt64] = []
        try walkBack(subject) { sequence, kind in
            guard sequence > known else { return false }
            if kind == .consent { newer.append(sequence) }
            // A long history is walked to its beginning, once.
            return known > 0 || sequence > after || newer.count >= HistoryWalks.sizeMin
        }
        walk += newer.reversed()
        if known > 0 || newer.count >= HistoryWalks.sizeMin { walks.keep(walk, of: subject.id) }
        let start = walk.partitioningIndex { $0 > after }
        return walk[start...]
    }

    /// The identifiers that a subject's events name, the newest event's first. Most often one event names them all.
    package func identifiers(of subject: SubjectRecord, countMax: Int) throws -> [Identifier] {
        let known = min(countMax, subject.identifiers.count / SubjectRecord.identifierSize)
        var identifiers: [Identifier] = []
        try walkBack(subject) { sequence, _ in
            personal.bind(1, Int64(sequence))
            defer { personal.reset() }
            if try personal.step(), !personal.isNull(0) {
                guard let named = Personal.decode(personal.bytes(0)) else {
                    throw LedgerError.corrupt(where: "event \(sequence)", what: "its personal part cannot be read")
                }
                for identifier in named.identifiers where !identifiers.contains(identifier) {
                    identifiers.append(identifier)
                }
            }
            return identifiers.count < known
        }
        return Array(identifiers.prefix(countMax))
    }

    /// From the last event to the first.
    ///
    /// - Parameter body: says whether to go on.
    private func walkBack(_ subject: SubjectRecord, _ body: (UInt64, EventKind?) throws -> Bool) throws {
        var sequence = subject.lastEvent
        while sequence > 0 {
            link.bind(1, Int64(sequence))
            defer { link.reset() }
            guard try link.step(), link.int64(0) == subject.id, (0..<Int64(sequence)).contains(link.int64(1)) else {
                throw LedgerError.corrupt(
                    where: "subject \(subject.id)", what: "its history leads to event \(sequence), which is not of it")
            }
            let previous = UInt64(clamping: link.int64(1))
            guard try body(sequence, EventKind(rawValue: UInt8(clamping: link.int64(2)))) else { return }
            sequence = previous
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
