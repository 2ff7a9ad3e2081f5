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
    /// - Parameter person: whom the read is about, if it is about one person.
    package func log(
        _ entry: AccessEntry, about person: ReadPerson,
        complete: @escaping @Sendable (Result<UInt64, EngineError>) -> Void
    ) {
        var entry = entry
        let named = person.names
        if entry.reader.fault(about: named) != nil, AccessReader(actor: entry.reader.actor).fault(about: named) == nil {
            // What a program calls itself must not keep its people from reading.
            entry.reader.client = "unnamed"
        }
        if let fault = entry.reader.fault(about: named) { return complete(.failure(.access(fault))) }
        switch person {
        case .nobody: break
        case .asked(let identifier):
            let hash = hashKey.hash(identifier)
            if let owner = publication.current.owner(of: hash) {
                entry.subject = UInt64(owner)
            } else {
                entry.identifierHash = hash.bytes
            }
        case .ofEvent(let subject, let hash, _): (entry.subject, entry.identifierHash) = (subject, hash)
        }
        queue.submit(.access(entry, complete))
    }

    /// Whom an event is about, of whatever kind it is.
    package func person(ofEvent sequence: UInt64) throws -> ReadPerson {
        guard let evidence = try ledger.read({ try $0.evidence(of: sequence) }) else { return .nobody }
        if let access = evidence.access { return .ofEvent(subject: access.subject, access.identifierHash, names: []) }
        guard let event = evidence.event else { return .nobody }
        return .ofEvent(
            subject: UInt64(clamping: event.subject), AccessEntry.noHash, names: event.identifiers)
    }

    /// Entries looked at for one page: a page takes some tenths of a second, however few are wanted.
    private static let accessesPerPageMax = 50_000

    /// One page of the access log.
    ///
    /// Of a person, also what was read before others became part of the person, under their numbers, and before the person
    /// was known, by the hash. What was read of whoever had an identifier before it was taken off stays theirs.
    package func accesses(_ question: AccessLogQuestion, countMax: Int) throws -> AccessPage {
        guard let identifier = question.identifier else {
            return try ledger.read { try accesses(question, of: nil, countMax: countMax, $0) }
        }
        return try withSubject(identifiedBy: identifier) { subject, snapshot in
            var person = LoggedPerson(hashes: [hashKey.hash(identifier).bytes])
            if let subject {
                person.subjects = Set(try ([subject.id] + snapshot.parts(of: subject.id)).map { UInt64(clamping: $0) })
                subject.forEachIdentifier { person.hashes.insert($1.bytes) }
            }
            return try accesses(question, of: person, countMax: countMax, snapshot)
        }
    }

    /// What entries about a person say, each one of these.
    private struct LoggedPerson {
        var subjects: Set<UInt64> = []
        var hashes: Set<[UInt8]>

        func isMeant(by entry: AccessEntry) -> Bool {
            subjects.contains(entry.subject) || hashes.contains(entry.identifierHash)
        }
    }

    private func accesses(
        _ question: AccessLogQuestion, of person: LoggedPerson?, countMax: Int, _ snapshot: LedgerSnapshot
    ) throws -> AccessPage {
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
                person?.isMeant(by: access.entry) ?? true
            else { return true }
            page.entries.append(access)
            return true
        }
        return page
    }
}

/// Whom a read is about.
package enum ReadPerson: Sendable, Equatable {
    /// Many, or nobody.
    case nobody
    /// Who is known by an identifier, if anybody is.
    case asked(Identifier)
    /// The number of a subject, zero if there is none; sixteen bytes of the hash of one whom the ledger did not know, else
    /// zeros; and what is told of the person's identifiers.
    case ofEvent(subject: UInt64, [UInt8], names: [Identifier])

    /// Which who reads must not be named by.
    var names: [Identifier] {
        switch self {
        case .nobody: []
        case .asked(let identifier): [identifier]
        case .ofEvent(_, _, let names): names
        }
    }
}
