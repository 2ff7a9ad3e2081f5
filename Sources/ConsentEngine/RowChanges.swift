package import ConsentIndex

/// What an index row must say from now on.
package struct RowChange: Sendable {
    package var hash: IdentifierHash
    package var row: IndexRow
    /// Whose identifier it is, in the ledger.
    package var subject: UInt32
}

/// What index rows must say from now on; of each identifier at most one. There may be millions.
package struct RowChanges: Sequence, Sendable {
    /// An array of millions that grows is copied again and again, into memory that the kernel clears each time.
    private var parts: [[RowChange]] = []

    private static let partSize = 16_384
    /// So many rows ahead, index rows are fetched.
    private static let fetchDistance = 8

    package init() {}

    package var isEmpty: Bool { parts.isEmpty }
    package var underestimatedCount: Int { parts.reduce(0) { $0 + $1.count } }

    package mutating func append(_ change: RowChange) {
        if parts.last.map({ $0.count >= Self.partSize }) ?? true {
            parts.append([])
            // The first may be all there is.
            if parts.count > 1 { parts[parts.count - 1].reserveCapacity(Self.partSize) }
        }
        parts[parts.count - 1].append(change)
    }

    package mutating func append(contentsOf others: RowChanges) { parts += others.parts }

    package func makeIterator() -> FlattenSequence<[[RowChange]]>.Iterator { parts.joined().makeIterator() }

    /// Calls `body` with each, some time after its index row has been asked for.
    func forEach(fetching fetch: (IdentifierHash) -> Void, _ body: (RowChange) throws -> Void) rethrows {
        for part in parts {
            for position in part.indices {
                if position + Self.fetchDistance < part.count { fetch(part[position + Self.fetchDistance].hash) }
                try body(part[position])
            }
        }
    }
}
