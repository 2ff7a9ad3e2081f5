package import ConsentModel

/// Reads the histories of people, one after the other, by statements that are kept. Valid as long as its snapshot.
package final class SubjectHistories {
    private let link: Statement
    private let select: Statement
    private let personal: Statement

    init(_ connection: OpaquePointer) throws {
        link = try Statement(connection, "SELECT subject, previous FROM event WHERE sequence = ?")
        select = try Statement(connection, "\(EventColumns.select) WHERE event.sequence = ?")
        personal = try Statement(connection, "SELECT personal FROM event WHERE sequence = ?")
    }

    /// Events of a subject with a later sequence than `after`, oldest first.
    package func events(of subject: SubjectRecord, after: UInt64, countMax: Int) throws -> [RecordedEvent] {
        var sequences: [UInt64] = []
        try walkBack(subject) { sequence in
            if sequence > after { sequences.append(sequence) }
            return sequence > after
        }
        return try sequences.reversed().prefix(countMax).map { sequence in
            select.bind(1, Int64(sequence))
            defer { select.reset() }
            guard try select.step() else {
                throw LedgerError.corrupt(
                    where: "event \(sequence)", what: "a history leads to it, but it is not there")
            }
            return try EventColumns.read(select).recorded
        }
    }

    /// The identifiers that a subject's events name, the newest event's first. Most often one event names them all.
    package func identifiers(of subject: SubjectRecord, countMax: Int) throws -> [Identifier] {
        let known = min(countMax, subject.identifiers.count / SubjectRecord.identifierSize)
        var identifiers: [Identifier] = []
        try walkBack(subject) { sequence in
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
    private func walkBack(_ subject: SubjectRecord, _ body: (UInt64) throws -> Bool) throws {
        var sequence = subject.lastEvent
        while sequence > 0, try body(sequence) {
            link.bind(1, Int64(sequence))
            defer { link.reset() }
            guard try link.step(), link.int64(0) == subject.id, (0..<Int64(sequence)).contains(link.int64(1)) else {
                throw LedgerError.corrupt(
                    where: "subject \(subject.id)", what: "its history leads to event \(sequence), which is not of it")
            }
            sequence = UInt64(clamping: link.int64(1))
        }
    }
}
