import ConsentIndex
import ConsentLedger
package import ConsentModel

// The access log: whoever reads personal data from the ledger is in the chain before the answer is given.

/// A page of the access log, oldest first.
package struct AccessPage: Sendable, Equatable {
    /// The end of the ledger that was read.
    package var head: UInt64
    /// The last event that was looked at; ask again after it while there are more.
    package var next: UInt64
    package var hasMore: Bool
    package var entries: [RecordedAccess]
}

extension Engine {
    /// Records that somebody reads. Returns at once; `complete` is called on the writer's thread when the entry is durable:
    /// only then may the answer be given.
    ///
    /// - Parameter identifier: whom the read is about, if it is about one person; the entry gets the person's number.
    package func log(
        _ entry: AccessEntry, about identifier: Identifier?,
        complete: @escaping @Sendable (Result<UInt64, EngineError>) -> Void
    ) {
        var entry = entry
        if entry.reader.fault(about: identifier) != nil,
            AccessReader(actor: entry.reader.actor).fault(about: identifier) == nil
        {
            // What a program calls itself must not keep its people from reading.
            entry.reader.client = "unnamed"
        }
        if let fault = entry.reader.fault(about: identifier) { return complete(.failure(.access(fault))) }
        if let identifier {
            let hash = hashKey.hash(identifier)
            if let owner = publication.current.owner(of: hash) {
                entry.subject = UInt64(owner)
            } else {
                entry.identifierHash = hash.bytes
            }
        }
        queue.submit(.access(entry, complete))
    }

    /// The number of the person whom an event is about; zero where there is none.
    package func subject(ofEvent sequence: UInt64) throws -> UInt64 {
        try ledger.read { try $0.evidence(of: sequence)?.event.map { UInt64(clamping: $0.subject) } ?? 0 }
    }

    /// Entries looked at for one page: a page takes some tenths of a second, however few are wanted.
    private static let accessesPerPageMax = 50_000

    /// One page of the access log.
    package func accesses(_ question: AccessLogQuestion, countMax: Int) throws -> AccessPage {
        let hash = question.identifier.map { hashKey.hash($0) }
        let owner = hash.flatMap { publication.current.owner(of: $0) }.map { UInt64($0) }
        return try ledger.read { snapshot in
            var page = AccessPage(
                head: try snapshot.head().sequence, next: question.after, hasMore: false, entries: [])
            var left = Self.accessesPerPageMax
            try snapshot.walkAccesses(after: question.after) { access in
                page.hasMore = left == 0 || page.entries.count >= countMax
                if page.hasMore { return false }
                left -= 1
                page.next = access.sequence
                guard question.since.map({ access.recordedAt >= $0 }) ?? true,
                    question.until.map({ access.recordedAt < $0 }) ?? true,
                    question.actor.isEmpty || access.entry.reader.actor == question.actor,
                    hash.map({ access.entry.identifierHash == $0.bytes || access.entry.subject == owner }) ?? true
                else { return true }
                page.entries.append(access)
                return true
            }
            return page
        }
    }
}
