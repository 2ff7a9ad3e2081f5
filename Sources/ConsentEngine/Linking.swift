import ConsentIndex
import ConsentLedger
package import ConsentModel

// An identifier that has been nobody's, or somebody's of whom nothing else is known, turns out to be a known person's: a
// cookie before and after the login. What was recorded for it becomes the person's; a "no" of either side is a "no" of the
// person. Taken off again, it keeps each "no" and nothing that was agreed to.

/// What to link with whom.
package struct LinkRequest: Sendable, Equatable {
    package var identifier: Identifier
    /// One of those that the person is known by.
    package var person: Identifier
    /// Who carries it out.
    package var actor: String

    package init(_ identifier: Identifier, to person: Identifier, actor: String = "") {
        self.identifier = identifier
        self.person = person
        self.actor = actor
    }
}

/// What to take off whoever it is linked with.
package struct UnlinkRequest: Sendable, Equatable {
    package var identifier: Identifier
    /// Who carries it out.
    package var actor: String

    package init(_ identifier: Identifier, actor: String = "") {
        self.identifier = identifier
        self.actor = actor
    }
}

/// What linking or unlinking did.
package struct LinkReport: Sendable, Equatable {
    /// Of the event in the person's history; zero if the identifier was the person's already.
    package var sequence: UInt64
    package var recordedAt: Timestamp
    /// Of the chain at this event; zeros if there is none.
    package var hash: [UInt8]
    /// How many changed hands.
    package var identifiers: Int
    /// Linking: purposes for which one side said no and the other something later, so that the link says no. Unlinking:
    /// purposes for which a "no" stands for the identifier.
    package var denied: [String]
}

extension Engine {
    /// Links an identifier with a person. Returns when it is durable and visible.
    ///
    /// - Throws: ``EngineError`` `rights`, and what a change throws. Nothing is linked then.
    package func link(_ request: LinkRequest) throws -> LinkReport {
        try waitFor { link(request, complete: $0) }
    }

    /// As above. Returns when the histories have been read that the actor must not be named in; `complete` is called on the
    /// writer's thread, or before, if they cannot be read.
    package func link(
        _ request: LinkRequest, complete: @escaping @Sendable (Result<LinkReport, EngineError>) -> Void
    ) {
        carryOut(
            request.actor, [request.identifier, request.person], { try $0.link(request, named: $1) }, complete)
    }

    /// Takes an identifier off its person. Returns when it is durable and visible.
    ///
    /// - Throws: ``EngineError`` `rights`, and what a change throws. Nothing is unlinked then.
    package func unlink(_ request: UnlinkRequest) throws -> LinkReport {
        try waitFor { unlink(request, complete: $0) }
    }

    /// As above. Returns when the history has been read that the actor must not be named in; `complete` is called on the
    /// writer's thread, or before, if it cannot be read.
    package func unlink(
        _ request: UnlinkRequest, complete: @escaping @Sendable (Result<LinkReport, EngineError>) -> Void
    ) {
        carryOut(request.actor, [request.identifier], { try $0.unlink(request, named: $1) }, complete)
    }

    private func carryOut(
        _ actor: String, _ given: [Identifier],
        _ work: @escaping @Sendable (Group, NamesRead) throws -> LinkReport,
        _ complete: @escaping @Sendable (Result<LinkReport, EngineError>) -> Void
    ) {
        do {
            let read = try namesRead(for: actor, ofThoseWith: given)
            carryOut({ try work($0, read) }, complete)
        } catch {
            let error = EngineError(error)
            notice(error)
            complete(.failure(error))
        }
    }

    /// Reads beside the writer, however long the histories are: it reads only what has come since.
    private func namesRead(for actor: String, ofThoseWith given: [Identifier]) throws -> NamesRead {
        var read = NamesRead()
        // The writer refuses a longer one without reading.
        guard !actor.isEmpty, actor.utf8.count <= Limit.shortTextSizeMax else { return read }
        let owners = Set(given.compactMap { publication.current.owner(of: hashKey.hash($0)) })
        try ledger.read { snapshot in
            read.through = try snapshot.head().sequence
            let histories = try snapshot.histories()
            for owner in owners {
                guard let subject = try snapshot.subject(Int64(owner)) else { continue }
                let found = try histories.naming(of: subject) { $0.isTelling && $0.isNamed(in: actor) }
                read.histories.formUnion(found.all)
                read.naming.formUnion(found.naming)
            }
        }
        return read
    }
}

/// What was found of an actor in the histories of some people, before the writer came to the change about them.
struct NamesRead: Sendable {
    /// The last event that was looked at.
    var through: UInt64 = 0
    /// The numbers whose events were.
    var histories: Set<Int64> = []
    /// Those that name the actor.
    var naming: Set<Int64> = []
}

extension Group {
    /// - Throws: ``RightsError``, and what the ledger throws.
    func link(_ request: LinkRequest, named read: NamesRead) throws -> LinkReport {
        let hash = hashKey.hash(request.identifier)
        guard let person = try subject(identifiedBy: hashKey.hash(request.person)) else {
            throw RightsError.personUnknown(request.person)
        }
        let other = try subject(identifiedBy: hash)
        if other === person { return repeatedLink() }
        for work in [person, other] { try requireNotErased(work?.record) }
        let coming = other?.record.identifiers ?? SubjectRecord.keyed(request.identifier.type, hash)
        try refuseTwoPeople(coming, person.record)
        let count = (coming.count + person.record.identifiers.count) / SubjectRecord.identifierSize
        guard count <= Limit.identifiersPerPersonMax else {
            throw RightsError.admission(.identifiersOfPersonTooMany(count))
        }
        try requireActor(
            request.actor, namesNobodyOf: [person, other].compactMap { $0 }, [request.identifier, request.person], read)
        let named = [request.identifier.asStored(hash)]
        if let other { return try join(other, to: person, named: named, actor: request.actor) }
        let link = draft.appendLink(
            .linked, of: &person.record, other: 0, identifiers: coming, named: named, actor: request.actor,
            recordedAt: now)
        take(coming, from: nil, to: person)
        return LinkReport(link, count: 1, denied: [])
    }

    /// The history of the other side stays where it is, and is the person's from now on.
    private func join(
        _ other: SubjectWork, to person: SubjectWork, named: [Identifier], actor: String
    ) throws -> LinkReport {
        let coming = other.record.identifiers
        let parts = try self.parts(of: other)
        _ = draft.appendLink(
            .joinedTo, of: &other.record, other: person.record.id, identifiers: coming, named: [], actor: actor,
            recordedAt: now)
        let link = draft.appendLink(
            .linked, of: &person.record, other: other.record.id, identifiers: coming, named: named, actor: actor,
            recordedAt: now)
        let contradicted = person.record.standings.join(other.record.standings, by: link)
        other.record.standings = Standings()
        for part in [other] + parts { join(part, to: person) }
        take(coming, from: other, to: person)
        return LinkReport(
            link, count: coming.count / SubjectRecord.identifierSize,
            denied: contradicted.compactMap { catalog.purpose(bit: $0)?.id })
    }

    /// - Throws: ``RightsError``, and what the ledger throws.
    func unlink(_ request: UnlinkRequest, named read: NamesRead) throws -> LinkReport {
        let hash = hashKey.hash(request.identifier)
        guard let person = try subject(identifiedBy: hash) else {
            throw RightsError.personUnknown(request.identifier)
        }
        try requireNotErased(person.record)
        guard person.record.identifiers.count > SubjectRecord.identifierSize else {
            throw RightsError.identifierIsOnlyOne(request.identifier.type)
        }
        try requireActor(request.actor, namesNobodyOf: [person], [request.identifier], read)
        let going = SubjectRecord.keyed(request.identifier.type, hash)
        let named = [request.identifier.asStored(hash)]
        let separated = try addSubject()
        let link = draft.appendLink(
            .unlinked, of: &person.record, other: separated.record.id, identifiers: going, named: named,
            actor: request.actor, recordedAt: now)
        _ = draft.appendLink(
            .separated, of: &separated.record, other: person.record.id, identifiers: going, named: named,
            actor: request.actor, recordedAt: now)
        separated.record.standings = person.record.standings.separated
        separated.record.separatedAt = now
        take(going, from: person, to: separated)
        return LinkReport(link, count: 1, denied: denied(separated.record))
    }

    private func repeatedLink() -> LinkReport {
        LinkReport(
            sequence: 0, recordedAt: now, hash: [UInt8](repeating: 0, count: 32), identifiers: 0, denied: [])
    }

    private func requireNotErased(_ record: SubjectRecord?) throws(RightsError) {
        guard let record, record.isErased, let erasedAt = record.erasedAt else { return }
        throw .admission(.personErased(at: erasedAt))
    }

    /// Two customer numbers are two people; an e-mail address or a browser may be a household's.
    private func refuseTwoPeople(_ coming: [UInt8], _ person: SubjectRecord) throws(RightsError) {
        let known = Set(person.identifierTypes.filter(\.isOfOnePerson))
        let types = SubjectRecord(id: 0, salt: [], identifiers: coming).identifierTypes
        if let type = types.first(where: known.contains) { throw .linksTwoPeople(type) }
    }

    /// The actor stays in the ledger when the person is erased. Whole histories may have to be looked at: what has been read
    /// of them before is not read again.
    private func requireActor(
        _ actor: String, namesNobodyOf people: [SubjectWork], _ given: [Identifier], _ read: NamesRead
    ) throws {
        let size = actor.utf8.count
        guard size <= Limit.shortTextSizeMax else { throw RightsError.actorTooLong(size: size) }
        guard !actor.isEmpty else { return }
        let histories = try people.flatMap { try [$0] + parts(of: $0) }
        let (known, others) = (
            histories.filter { read.histories.contains($0.record.id) },
            histories.filter { !read.histories.contains($0.record.id) }
        )
        let named =
            try (events(of: known, after: read.through) + events(of: others)).flatMap(\.identifiers) + given
        guard !known.contains(where: { read.naming.contains($0.record.id) }),
            !named.contains(where: { $0.isTelling && $0.isNamed(in: actor) })
        else {
            throw RightsError.actorNamesPerson
        }
    }

    private func take(_ identifiers: [UInt8], from other: SubjectWork?, to subject: SubjectWork) {
        other?.record.remove(identifiers)
        subject.record.identifiers += identifiers
        subject.hasNewIdentifier = true
        for work in [subject, other].compactMap({ $0 }) {
            work.isTouched = true
            forgetTwins(of: work)
        }
        SubjectRecord(id: 0, salt: [], identifiers: identifiers).forEachIdentifier { setOwner(of: $1, subject) }
    }

    private func denied(_ record: SubjectRecord) -> [String] {
        record.standings.all.compactMap { entry in
            guard let purpose = catalog.purpose(bit: entry.purposeBit),
                decide(entry.standing, catalog: catalog, purpose: purpose, at: now).decision == .denied
            else { return nil }
            return purpose.id
        }
    }
}

extension LinkReport {
    fileprivate init(_ link: RecordedLink, count: Int, denied: [String]) {
        self.init(
            sequence: link.sequence, recordedAt: link.recordedAt, hash: link.hash, identifiers: count, denied: denied)
    }
}

extension Identifier {
    /// As it stands in a record: of a national id its hash.
    fileprivate func asStored(_ hash: IdentifierHash) -> Identifier {
        type == .nationalId ? Identifier(nationalIDHash: hash.bytes) : self
    }
}

extension SubjectRecord {
    /// One identifier as it stands in ``identifiers``.
    static func keyed(_ type: IdentifierType, _ hash: IdentifierHash) -> [UInt8] { [type.rawValue] + hash.bytes }

    var identifierTypes: [IdentifierType] {
        stride(from: 0, to: identifiers.count, by: Self.identifierSize)
            .compactMap { IdentifierType(rawValue: identifiers[$0]) }
    }

    /// Whether one of these, as they stand in ``identifiers``, is its own.
    func hasAny(of others: [UInt8]) -> Bool {
        var hasAny = false
        SubjectRecord(id: id, salt: [], identifiers: others).forEachIdentifier { if has($1) { hasAny = true } }
        return hasAny
    }

    /// Whether all of these are.
    func hasAll(of others: [UInt8]) -> Bool {
        var hasAll = true
        SubjectRecord(id: id, salt: [], identifiers: others).forEachIdentifier { if !has($1) { hasAll = false } }
        return hasAll
    }

    /// Takes off identifiers, by their hashes.
    mutating func remove(_ gone: [UInt8]) {
        let size = Self.identifierSize
        let hashes = Set(stride(from: 0, to: gone.count, by: size).map { Array(gone[$0 + 1..<$0 + size]) })
        identifiers = stride(from: 0, to: identifiers.count, by: size).flatMap { start -> ArraySlice<UInt8> in
            hashes.contains(Array(identifiers[start + 1..<start + size])) ? [] : identifiers[start..<start + size]
        }
    }
}
