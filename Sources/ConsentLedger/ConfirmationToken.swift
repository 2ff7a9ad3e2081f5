package import ConsentModel

// A token that confirms a request is random and given to the person alone; the ledger knows its hash. What it is for
// stands in the chain; the token itself is a matter of days, and is removed with the person.

/// What is kept of a confirmation token.
package struct StoredToken: Equatable, Sendable {
    package enum State: UInt8, Sendable {
        case waiting = 0
        case used = 1
        case lapsed = 2
    }

    /// SHA-256 of the token.
    package let hash: [UInt8]
    /// Who had requested when it was issued.
    package let subject: Int64
    /// Until when it counts.
    package let endsAt: Timestamp
    /// The grants that it confirms.
    package let events: [UInt64]
    package var state = State.waiting
    /// When it was used, or found to have lapsed.
    package var endedAt: Timestamp?

    package init(hash: [UInt8], subject: Int64, endsAt: Timestamp, events: [UInt64]) {
        self.hash = hash
        self.subject = subject
        self.endsAt = endsAt
        self.events = events
    }
}

extension StoredToken {
    static let columns = "hash, subject, ends_at, state, ended_at, events"
    static let select = "SELECT \(columns) FROM confirmation_token"
    static let upsert = """
        INSERT INTO confirmation_token (\(columns)) VALUES (?,?,?,?,?,?)
            ON CONFLICT (hash) DO UPDATE SET state = excluded.state, ended_at = excluded.ended_at
        """
    static let deleteEnded = "DELETE FROM confirmation_token WHERE state > 0 AND ends_at < ?"
    static let deleteOfSubject = "DELETE FROM confirmation_token WHERE subject = ?"

    /// - Throws: ``LedgerError`` `corrupt` for what no version has written.
    init(_ row: Statement) throws {
        let (hash, events) = (row.bytes(0), row.rawBytes(5))
        guard hash.count == ChainHash.size, events.count > 0, events.count % 8 == 0,
            let state = UInt8(exactly: row.int64(3)).flatMap(State.init(rawValue:)),
            (state == .waiting) == row.isNull(4)
        else { throw LedgerError.corrupt(where: "table confirmation_token", what: "a row cannot be read") }
        self.init(
            hash: hash, subject: row.int64(1), endsAt: Timestamp(millis: row.int64(2)),
            events: (0..<events.count / 8).map {
                UInt64(littleEndian: events.loadUnaligned(fromByteOffset: $0 * 8, as: UInt64.self))
            })
        self.state = state
        endedAt = row.optionalInt64(4).map(Timestamp.init(millis:))
    }

    func bind(_ upsert: Statement) {
        var bytes: [UInt8] = []
        for event in events { bytes.appendInteger(event) }
        upsert.bind(1, hash)
        upsert.bind(2, subject)
        upsert.bind(3, endsAt.millis)
        upsert.bind(4, Int64(state.rawValue))
        upsert.bind(5, endedAt?.millis)
        upsert.bind(6, bytes)
    }
}

/// The hash that stands for a token in the ledger.
package func confirmationTokenHash(_ token: [UInt8]) -> [UInt8] {
    token.withUnsafeBytes { ChainHash(hashing: $0).bytes }
}
