package import ConsentIndex
import ConsentKernel
package import ConsentLedger
package import ConsentModel

/// A group of changes on its way into one transaction. It remembers every subject that it touches, so that a subject
/// with many events in the group is read and written once.
///
/// Decided first, by ``record(_:)`` and its like up to ``conclude()``, and then stored; what is stored meanwhile, and is
/// not in the ledger and its index yet, it asks of the group before.
// Sendable because it is used by one thread at a time: by who decides, then by who stores it. The group that follows it
// meanwhile only reads it.
final class Group: @unchecked Sendable {
    let draft: Draft
    private let index: IndexTable
    private let keys: KeyMap
    private let ledger: Ledger?
    private let knownTwins: KnownTwins
    /// Until this one is decided.
    private var previous: Group?
    let hashKey: IdentifierHashKey
    private(set) var catalog: Catalog
    private var catalogVersion: Int
    let now: Timestamp
    /// The system's clock, which may have been set back behind what is recorded.
    private let systemNow: Timestamp
    /// Where the ledger ended before.
    let start: LedgerEnd
    private var subjects: [Int64: SubjectWork] = [:]
    /// Of identifiers that are new in this group: the index does not have them yet.
    private var newOwners: [IdentifierHash: SubjectWork] = [:]
    private(set) var newKeys: [IdempotencyKey: UInt64] = [:]
    /// What the index must say when the group is stored.
    private(set) var rows = RowChanges()
    private var touched: [SubjectWork] = []
    var erasures: [RecordedErasure] = []
    private var notedEnd: Timestamp?

    /// A subject that the group works on.
    final class SubjectWork {
        var record: SubjectRecord
        let isNew: Bool
        var isTouched: Bool
        var hasNewIdentifier = false
        /// Its events that may be said again, by what they say shortly; read when first asked for.
        var twins: [Twin: [UInt64]]?
        /// Those before them.
        var earlierTwins: Twins?

        init(_ record: SubjectRecord, isNew: Bool) {
            self.record = record
            self.isNew = isNew
            isTouched = isNew
        }
    }

    /// - Parameters:
    ///   - start: where the ledger ends, or will when `previous` is stored.
    ///   - ledger: to read from beside `reading`; nil where that is what reads beside the writer.
    ///   - previous: the group that is stored meanwhile, if one is.
    ///   - index: where known identifiers lead to their subjects.
    ///   - keys: where known keys lead to their events.
    ///   - knownTwins: of what is stored.
    ///   - eventsExpected: to make room for at once.
    init(
        after start: LedgerEnd, reading: LedgerReading, beside ledger: Ledger?, previous: Group?, index: IndexTable,
        keys: KeyMap, knownTwins: KnownTwins, hashKey: IdentifierHashKey, catalog: AppliedCatalog, clock: NodeClock,
        eventsExpected: Int
    ) {
        draft = Draft(
            after: start, reading: reading, previous: previous?.draft, randomBytes: { SystemRandom.bytes($0) })
        self.start = start
        self.previous = previous
        self.index = index
        self.keys = keys
        self.ledger = ledger
        self.knownTwins = knownTwins
        self.hashKey = hashKey
        self.catalog = catalog.catalog
        catalogVersion = catalog.version
        now = clock.now
        systemNow = clock.system
        subjects.reserveCapacity(eventsExpected)
        newOwners.reserveCapacity(eventsExpected)
    }

    /// Where the ledger ends when the group is stored.
    var end: LedgerEnd { draft.end }

    /// Subjects that became part of somebody here.
    private var joined: Set<Int64> = []

    // MARK: Events

    /// Appends an entry of the access log.
    func log(_ entry: AccessEntry) -> UInt64 { draft.append(entry, recordedAt: now) }

    /// Fetches the index rows that an event will want soon.
    func prefetch(_ event: Result<JudgedEvent, AdmissionError>) {
        guard case .success(let judged) = event else { return }
        for hash in judged.hashes { index.prefetch(hash) }
    }

    /// Appends one event, if nothing that is recorded stands against it.
    ///
    /// - Throws: only what the ledger throws; a rule that the event breaks is an outcome.
    func record(_ judged: JudgedEvent) throws -> EventOutcome {
        do {
            return try recordOrRefuse(judged)
        } catch let error as AdmissionError {
            return try error.isOfIdentifiersTogether && judged.offered.state.takesAway
                ? recordForEach(judged) : .refused(error)
        }
    }

    /// A "no" whose identifiers are several people's, or more than a person may have, reaches all of them: it is recorded
    /// for each identifier, as if it named that one alone.
    ///
    /// - Returns: what became of the first that is not known already, or else of the first.
    private func recordForEach(_ judged: JudgedEvent) throws -> EventOutcome {
        let outcomes = try judged.offered.identifiers.enumerated().map { part, identifier in
            var single = judged.offered
            single.identifiers = [identifier]
            single.key = single.key?.ofPart(part)
            return try record(
                JudgedEvent(single, catalog: catalog, version: catalogVersion, hashKey: hashKey, now: now))
        }
        return outcomes.first { if case .refused = $0 { true } else { false } }
            ?? outcomes.first { if case .recorded = $0 { true } else { false } } ?? outcomes[0]
    }

    /// Whether a "no" was recorded for each of its identifiers, and this is the first of these events.
    private func isFirstPart(_ recorded: ConsentEvent, of event: ConsentEvent) throws -> Bool {
        guard event.state.takesAway, event.identifiers.count > 1, recorded.identifiers == [event.identifiers[0]]
        else { return false }
        var first = event
        first.identifiers = recorded.identifiers
        return try first == recorded && sequence(of: event.key?.ofPart(event.identifiers.count - 1)) != nil
    }

    private func recordOrRefuse(_ given: JudgedEvent) throws -> EventOutcome {
        // A catalog that was applied since has the last word, and so has a clock that was set back since: what it said at
        // the door may be a revision that is still to come.
        let judged =
            given.catalogVersion == catalogVersion && given.judgedAt <= now
            ? given
            : JudgedEvent(
                given.offered, catalog: catalog, version: catalogVersion, hashKey: hashKey, now: now)
        if let known = try sequence(of: judged.offered.key) { return try compare(judged, with: known) }
        let admitted = try judged.admitted.get()
        var event = admitted.event
        let (hashes, purposeBit) = (judged.hashes, admitted.purposeBit)
        let known = try owner(of: hashes, event.identifiers)
        if isForTheNodeToDate(event, known, purposeBit) { event.capturedAt = now }
        if let known, let sequence = try twin(of: event, judged, in: known, purposeBit) {
            return .duplicate(sequence: sequence)
        }
        if let known {
            try judge(&event, ofErased: known)
            try judge(event, ofSeparated: known)
            try judge(event, hashes, ofPartsOf: known)
        }
        let refersTo = try grantToConfirm(by: event, known, purposeBit)
        if let known {
            try refuseMerging(event.identifiers, hashes, into: known)
            try refuseTooMany(hashes, of: known)
        }
        let subject = try known ?? addSubject()
        if subject.record.isErased, !event.state.takesAway { draft.bringBack(&subject.record, salt: newSalt()) }
        attach(event.identifiers, hashes, to: subject)
        return .recorded(sequence: append(event, subject, purposeBit, refersTo: refersTo))
    }

    /// Whom an event about somebody who was erased brings back: only the person, by an act that came after. What was
    /// captured before that is not taken, also when the person has come back. A "no" is taken at any time, but without the
    /// identifiers that it names, as they must not come back with it.
    private func judge(_ event: inout ConsentEvent, ofErased subject: SubjectWork) throws {
        guard let erasedAt = subject.record.erasedAt else { return }
        if event.state.takesAway {
            guard subject.record.isErased else { return }
            // Split up, it is taken for those who are not erased as it is.
            let isAlone = try event.identifiers.allSatisfy {
                try self.subject(identifiedBy: hashOfStored($0)) === subject
            }
            guard isAlone else { throw AdmissionError.identifierConflict(event.identifiers[0]) }
            event.dropPersonal()
            return
        }
        let isActOfPerson =
            event.party.canConsent && (event.state.isGrant || event.state == .objectionLifted)
        guard event.capturedAt! > erasedAt, isActOfPerson || !subject.record.isErased else {
            throw AdmissionError.personErased(at: erasedAt)
        }
    }

    /// What was captured while the identifier was somebody else's says nothing of whose it is now, but for a "no".
    private func judge(_ event: ConsentEvent, ofSeparated subject: SubjectWork) throws(AdmissionError) {
        guard let moment = subject.record.separatedAt, !event.state.takesAway, event.capturedAt! <= moment else {
            return
        }
        throw .identifierUnlinked(at: moment)
    }

    /// Likewise what was captured before who brought the identifier had it, or came back from an erasure: a link brings
    /// nothing back.
    private func judge(_ event: ConsentEvent, _ hashes: [IdentifierHash], ofPartsOf person: SubjectWork) throws {
        guard !event.state.takesAway, let capturedAt = event.capturedAt, capturedAt < now else { return }
        for part in try parts(of: person).map(\.record) {
            let moments = [part.separatedAt, part.erasedAt].compactMap { $0 }
            guard let moment = moments.max(), capturedAt <= moment else { continue }
            // A part's last event says what it brought.
            guard case .link(let link) = try draft.subjectEvent(part.lastEvent),
                hashes.contains(where: SubjectRecord(id: part.id, salt: [], identifiers: link.identifiers).has)
            else { continue }
            if let separatedAt = part.separatedAt, capturedAt <= separatedAt {
                throw AdmissionError.identifierUnlinked(at: separatedAt)
            }
            throw AdmissionError.personErased(at: moment)
        }
    }

    /// Whether an event happened now, as far as the node knows: the sender said nothing else, or what no clock that runs
    /// right can say. Clocks differ, the sender's from the node's and the node's from what it was before it was set
    /// right, so by a few minutes the order in which a yes and a "no" came says more than their times do.
    private func isForTheNodeToDate(_ event: ConsentEvent, _ subject: SubjectWork?, _ purposeBit: Int) -> Bool {
        guard let capturedAt = event.capturedAt else { return true }
        if capturedAt > now { return true }
        return event.state.takesAway && capturedAt.millis >= systemNow.millis - Limit.captureSkewMillis
            && subject?.record.standings[purposeBit]?.outlives(noOf: capturedAt) ?? false
    }

    /// The event that says the same already, where the sender gave no key to know it by.
    private func twin(
        of event: ConsentEvent, _ judged: JudgedEvent, in subject: SubjectWork, _ purposeBit: Int
    ) throws -> UInt64? {
        guard event.key == nil, let capturedAt = judged.offered.capturedAt,
            let standing = subject.record.standings[purposeBit]
        else { return nil }
        // Later than all that was captured for this purpose.
        if event.state != .confirmed, let newest = standing.decidingAct, newest.capturedAt < capturedAt { return nil }
        let key = Twin(purposeBit: purposeBit, state: event.state, capturedAt: capturedAt)
        for twin in try twins(of: subject, like: key) {
            if case .duplicate(let sequence) = try compare(judged, with: twin) { return sequence }
        }
        return nil
    }

    /// Newest first. One walk through a history serves all events of it in the group.
    private func twins(of subject: SubjectWork, like twin: Twin) throws -> [UInt64] {
        if subject.twins == nil { try readTwins(of: subject) }
        return (subject.twins?[twin] ?? []) + (subject.earlierTwins?.sequences[twin] ?? [])
    }

    private func readTwins(of subject: SubjectWork) throws {
        let record = subject.record
        var newer: [(Twin, UInt64)] = []
        subject.earlierTwins = knownTwins[record.id]
        let history = try ([subject] + parts(of: subject)).map(\.record)
        try draft.forEachEvent(of: history, after: subject.earlierTwins?.lastEvent ?? 0) {
            newer.append((Twin(purposeBit: $1, state: $2, capturedAt: $3), $0))
        }
        // Only what is stored is remembered: what is not may never be.
        let isStored = previous == nil && record.lastEvent <= start.head.sequence
        subject.twins = [:]
        if isStored, newer.count >= KnownTwins.sizeMin {
            knownTwins.add(newer, of: record.id)
            if let known = knownTwins[record.id], known.lastEvent == record.lastEvent {
                subject.earlierTwins = known
                return
            }
        }
        for (twin, sequence) in newer { subject.twins?[twin, default: []].append(sequence) }
    }

    func append(
        _ event: ConsentEvent, _ subject: SubjectWork, _ purposeBit: Int, refersTo: UInt64
    ) -> UInt64 {
        let place = EventPlace(
            subject: subject.record.id, purposeBit: purposeBit, recordedAt: now,
            refersTo: refersTo, previous: subject.record.lastEvent)
        let sequence = draft.append(event, at: place, salt: subject.record.salt)
        if let key = event.key { newKeys[key] = sequence }
        let act = Act(event, sequence: sequence, recordedAt: now, refersTo: refersTo)
        subject.record.standings.fold(act, purposeBit: purposeBit)
        subject.record.lastEvent = sequence
        let twin = Twin(purposeBit: purposeBit, state: event.state, capturedAt: act.capturedAt)
        subject.twins?[twin, default: []].insert(sequence, at: 0)
        subject.isTouched = true
        return sequence
    }

    private func sequence(of key: IdempotencyKey?) throws -> UInt64? {
        guard let key else { return nil }
        if let new = newKeys[key] ?? previous?.newKeys[key] { return new }
        guard let known = keys.sequence(of: key) else { return nil }
        guard try draft.event(known)?.event.key == key else {
            throw LedgerError.corrupt(
                where: "event \(known)",
                what: "the map of keys leads to it with another's key; 'consentd rebuild' makes it anew")
        }
        return known
    }

    /// A repeated event gets its first answer again; another one under the same key is refused.
    private func compare(_ judged: JudgedEvent, with sequence: UInt64) throws -> EventOutcome {
        guard let recorded = try draft.event(sequence) else {
            throw LedgerError.corrupt(where: "event \(sequence)", what: "it is known, but it is not there")
        }
        // A rule that came later does not make the first answer wrong.
        var event = (try? judged.admitted.get().event) ?? judged.offered.withoutNationalIDs(hashKey)
        if mayHaveBeenDated(event, at: recorded.recordedAt), recorded.event.capturedAt == recorded.recordedAt {
            event.capturedAt = recorded.recordedAt
        }
        if event == recorded.event { return .duplicate(sequence: sequence) }
        if let outcome = try compare(event, withPartlyErased: recorded) { return outcome }
        let isEmptied = recorded.event.identifiers.isEmpty && !recorded.event.state.isInternal
        if isEmptied {
            let owner = try owner(of: event.identifiers.map(hashOfStored), event.identifiers)
            guard let owner, try isPart(recorded.subject, of: owner) else {
                return .refused(.keyReused(sequence: sequence))
            }
            guard event.state.takesAway else { return .refused(.personErased(at: owner.record.erasedAt ?? now)) }
            event.dropPersonal()
        }
        let isSame = try event == recorded.event || isFirstPart(recorded.event, of: event)
        return isSame ? .duplicate(sequence: sequence) : .refused(.keyReused(sequence: sequence))
    }

    /// Of an event of which an identifier was erased by itself, the rest is compared.
    ///
    /// - Returns: nil where nothing was erased by itself, or the rest is another.
    private func compare(_ event: ConsentEvent, withPartlyErased recorded: RecordedEvent) throws -> EventOutcome? {
        let erased = try draft.erasedParts(of: recorded.sequence)
        guard erased.isAny else { return nil }
        var (rest, erasedAt) = (event, now)
        rest.identifiers = try event.identifiers.filter { identifier in
            guard let owner = try subject(identifiedBy: hashOfStored(identifier)), owner.record.isErased else {
                return true
            }
            erasedAt = owner.record.erasedAt ?? now
            return false
        }
        if erased.isEvidence { rest.evidence = "" }
        guard rest == recorded.event else { return nil }
        return event.state.takesAway ? .duplicate(sequence: recorded.sequence) : .refused(.personErased(at: erasedAt))
    }

    /// Whether what was recorded about a subject is a person's.
    private func isPart(_ subject: Int64, of person: SubjectWork) throws -> Bool {
        try subject == person.record.id || load(subject).record.joinedTo == person.record.id
    }

    /// Those who became part of a subject, as the group leaves them.
    func parts(of work: SubjectWork) throws -> [SubjectWork] {
        let drafted = previous.map { joined.union($0.joined) } ?? joined
        let stored = try draft.storedParts(of: work.record.id)
        // By far the most people were never linked with anybody.
        if drafted.isEmpty, stored.isEmpty { return [] }
        return try drafted.union(stored).sorted().map(load).filter { $0.record.joinedTo == work.record.id }
    }

    func join(_ part: SubjectWork, to person: SubjectWork) {
        part.record.joinedTo = person.record.id
        part.isTouched = true
        joined.insert(part.record.id)
    }

    func setOwner(of hash: IdentifierHash, _ subject: SubjectWork) { newOwners[hash] = subject }

    func forgetTwins(of work: SubjectWork) {
        (work.twins, work.earlierTwins) = (nil, nil)
        knownTwins.forget(work.record.id)
    }

    func hashOfStored(_ identifier: Identifier) -> IdentifierHash {
        identifier.nationalIDHash.map(IdentifierHash.init(bytes:)) ?? hashKey.hash(identifier)
    }

    /// Whether the node may have given an event this capture time in place of the sender's: see ``isForTheNodeToDate``.
    private func mayHaveBeenDated(_ event: ConsentEvent, at recordedAt: Timestamp) -> Bool {
        guard let capturedAt = event.capturedAt else { return true }
        return capturedAt.millis <= recordedAt.millis + Limit.captureSkewMillis
            && (capturedAt >= recordedAt || event.state.takesAway)
    }

    /// The subject that the identifiers lead to; nil if none of them is known.
    private func owner(of hashes: [IdentifierHash], _ identifiers: [Identifier]) throws -> SubjectWork? {
        var owner: SubjectWork?
        for (hash, identifier) in zip(hashes, identifiers) {
            guard let found = try subject(identifiedBy: hash) else { continue }
            if let owner, owner !== found { throw AdmissionError.identifierConflict(identifier) }
            owner = found
        }
        return owner
    }

    func subject(identifiedBy hash: IdentifierHash) throws -> SubjectWork? {
        if let new = newOwners[hash] { return new }
        if let new = previous?.newOwners[hash] { return try load(new.record.id) }
        guard let id = index.owner(of: hash) else { return nil }
        let found = try load(Int64(id))
        guard found.record.has(hash) else { throw LedgerError.corrupt(indexLeadsTo: id) }
        return found
    }

    func load(_ id: Int64) throws -> SubjectWork {
        if let known = subjects[id] { return known }
        guard let record = try previous?.subjects[id]?.record ?? draft.subject(id) else {
            throw LedgerError.corrupt(indexLeadsTo: UInt32(id))
        }
        return remember(SubjectWork(record, isNew: false))
    }

    func addSubject() throws -> SubjectWork {
        remember(SubjectWork(try draft.newSubject(salt: newSalt()), isNew: true))
    }

    private func newSalt() -> [UInt8] { Array(draft.draw()) }

    private func remember(_ work: SubjectWork) -> SubjectWork {
        subjects[work.record.id] = work
        return work
    }

    /// Two people may share an e-mail address, but neither a customer number nor a national id: what is known of one of
    /// them does not hold for the other. An event that names an old number beside the new one says that both are one
    /// person's.
    private func refuseMerging(
        _ identifiers: [Identifier], _ hashes: [IdentifierHash], into subject: SubjectWork
    ) throws(AdmissionError) {
        let known = subject.record.identifiers
        let new = zip(identifiers, hashes).first { $0.type.isOfOnePerson && !SubjectRecord.has($1, in: known) }
        guard let (identifier, _) = new else { return }
        var (hasAny, isNamed) = (false, false)
        subject.record.forEachIdentifier { type, hash in
            guard IdentifierType(rawValue: type)?.isOfOnePerson == true else { return }
            hasAny = true
            if hashes.contains(hash) { isNamed = true }
        }
        if hasAny, !isNamed { throw .identifierConflict(identifier) }
    }

    private func refuseTooMany(_ hashes: [IdentifierHash], of subject: SubjectWork) throws(AdmissionError) {
        let identifiers = subject.record.identifiers
        let known = identifiers.count / SubjectRecord.identifierSize
        guard known + hashes.count > Limit.identifiersPerPersonMax else { return }
        let new = hashes.count { !SubjectRecord.has($0, in: identifiers) }
        guard new > 0, known + new > Limit.identifiersPerPersonMax else { return }
        throw .identifiersOfPersonTooMany(known + new)
    }

    private func attach(_ identifiers: [Identifier], _ hashes: [IdentifierHash], to subject: SubjectWork) {
        // All known: by far the most events are about somebody who is.
        let known = subject.record.identifiers
        if !known.isEmpty, hashes.allSatisfy({ SubjectRecord.has($0, in: known) }) { return }
        var record = subject.record
        record.identifiers.reserveCapacity(known.count + hashes.count * SubjectRecord.identifierSize)
        for (identifier, hash) in zip(identifiers, hashes) where !record.has(hash) {
            record.add(identifier.type, hash)
            newOwners[hash] = subject
            subject.hasNewIdentifier = true
        }
        subject.record = record
    }

    /// A confirmation names the grant that decides now.
    private func grantToConfirm(
        by event: ConsentEvent, _ subject: SubjectWork?, _ purposeBit: Int
    ) throws -> UInt64 {
        guard event.state == .confirmed else { return 0 }
        guard let act = subject?.record.standings[purposeBit]?.decidingAct, act.state.isGrant,
            event.capturedAt! >= act.capturedAt
        else { throw AdmissionError.nothingToConfirm(purpose: event.purpose) }
        return act.sequence
    }

    // MARK: Time

    /// Records the end of every consent that has passed, of at most so many subjects.
    func recordEnds(countMax: Int) throws {
        for subject in try draft.subjectsDue(at: now, countMax: countMax) { recordEnds(of: try load(subject)) }
    }

    /// - Parameter next: a catalog that takes over; then only those ends are recorded that it would undo.
    private func recordEnds(of work: SubjectWork, before next: Catalog? = nil) {
        for entry in work.record.standings.all {
            let standing = entry.standing
            guard let purpose = catalog.purpose(bit: entry.purposeBit), let act = standing.decidingAct,
                act.state.isGrant,
                !standing.isRecordedExpired
            else { continue }
            let verdict = decide(standing, catalog: catalog, purpose: purpose, at: now)
            guard verdict.reason == .expired, let expiresAt = verdict.expiresAt else { continue }
            if let next, !isUndone(standing, purposeBit: entry.purposeBit, by: next) { continue }
            recordEnd(of: act.sequence, purpose, act.revision, at: expiresAt, work)
        }
        // Also where nothing is recorded, such as for a revision that took over: the row is decided anew.
        work.isTouched = true
    }

    /// Records that a grant has ended.
    func recordEnd(
        of grant: UInt64, _ purpose: Purpose, _ revision: RevisionName?, at moment: Timestamp, _ work: SubjectWork
    ) {
        var event = ConsentEvent.Fields(identifiers: [], purpose: purpose.id, state: .expired)
        event.party = .system
        event.capturedAt = moment
        event.revision = revision
        _ = append(ConsentEvent(event), work, purpose.bit, refersTo: grant)
    }

    /// Says that something ends by itself at a moment, apart from consents that count.
    func noteEnd(_ moment: Timestamp) { notedEnd = min(notedEnd ?? moment, moment) }

    private func isUndone(_ standing: Standing, purposeBit: Int, by next: Catalog) -> Bool {
        guard let purpose = next.purpose(bit: purposeBit) else { return false }
        return decide(standing, catalog: next, purpose: purpose, at: now).reason != .expired
    }

    /// Decides everything anew about whoever stands somewhere for these purposes.
    func redecide(purposeBits: Set<Int>) throws {
        guard !purposeBits.isEmpty else { return }
        for subject in try draft.subjects(withStandingFor: purposeBits) { try load(subject).isTouched = true }
    }

    /// What is to be done about everybody for whom decisions may differ.
    enum Redeciding {
        /// Each must be decided about: of those who stand somewhere for these purposes.
        case each(Set<Int>)
        /// The same is true of all.
        case everybody([Outdating])
    }

    private func prepare(_ redeciding: Redeciding) throws {
        switch redeciding {
        case .each(let purposeBits): try redecide(purposeBits: purposeBits)
        case .everybody:
            for subject in try draft.subjectsDue(at: now, countMax: .max) { _ = try load(subject) }
        }
    }

    /// Stores a catalog; everything after it in the group is judged by it. What has ended before stays ended, however
    /// long the catalog lets a consent last: nobody has agreed once more.
    ///
    func apply(_ document: StoredCatalog, _ catalog: Catalog, _ redeciding: Redeciding) throws -> UInt64 {
        try prepare(redeciding)
        for (_, work) in subjects.sorted(by: { $0.key < $1.key }) { recordEnds(of: work, before: catalog) }
        self.catalog = catalog
        catalogVersion = document.version
        let sequence = draft.append(document, catalog, recordedAt: now)
        if case .everybody(let outdatings) = redeciding { draft.append(outdatings) }
        return sequence
    }

    func recordRevisionChange(effectiveAt: Timestamp, _ redeciding: Redeciding) throws {
        _ = draft.appendRevisionChange(effectiveAt: effectiveAt, recordedAt: now)
        switch redeciding {
        case .each(let purposeBits): try redecide(purposeBits: purposeBits)
        case .everybody(let outdatings): draft.append(outdatings)
        }
    }

    // MARK: The end of the group

    /// Ends the deciding: what follows from the group for the index, and when the first of its consents ends.
    func conclude() throws -> Timestamp? {
        var firstEnd = notedEnd
        let ended = outdatings.filter { $0.endsAt == nil }.map(\.purposes).reduce(PurposeSet()) { $0.union($1) }
        let restores = !ended.isEmpty && draft.isEnding(anyOf: ended)
        touched = worksTouched
        let (catalog, outdatings) = (catalog, outdatings)
        for work in touched {
            let record = work.record
            let kept = outdatings.isEmpty ? record.projection : record.projection.outdated(by: outdatings)
            var projection = project(record.standings, catalog: catalog, at: now)
            projection.sequence = kept.sequence
            let isChanged = projection != kept || work.hasNewIdentifier || restores
            if isChanged { projection.sequence = end.head.sequence }
            work.record.projection = projection
            guard isChanged else { continue }
            let (row, subject) = (IndexRow(projection), UInt32(record.id))
            record.forEachIdentifier { _, hash in rows.append(RowChange(hash: hash, row: row, subject: subject)) }
            if let end = projection.endsAt { firstEnd = min(firstEnd ?? end, end) }
        }
        if restores { try restoreEnds(ended) }
        draft.conclude()
        previous = nil
        return firstEnd
    }

    /// In the order of their numbers, so that the ledger's pages are written one after another.
    private var worksTouched: [SubjectWork] {
        var works: [(id: Int64, work: SubjectWork)] = []
        works.reserveCapacity(subjects.count)
        for (id, work) in subjects where work.isTouched { works.append((id, work)) }
        works.sort { $0.id < $1.id }
        return works.map { $0.work }
    }

    /// Where a consent that was to end has ended, the row's end may have been that one; of what is left, the ledger knows.
    /// Two threads look, each at half of the subjects: nothing of this group is stored yet, so both find the same ledger.
    private func restoreEnds(_ ended: PurposeSet) throws {
        let (none, outdatings) = (RestoredEnds(self), outdatings)
        func rows(of subjects: ClosedRange<Int64>) throws -> RowChanges {
            var ends = none
            try draft.forEachProjection(withMoreThan: ended, of: subjects) { ends.add($0, $1, $2) }
            return ends.rows
        }
        guard let ledger else {
            self.rows.append(contentsOf: try rows(of: 0...Int64.max))
            return
        }
        let middle = start.nextSubject / 2
        let errand = Errand(name: "restore") {
            try ledger.readBeside { reading in
                var ends = none
                try reading.forEachProjection(
                    withMoreThan: ended, of: middle + 1...Int64.max, outdatings: outdatings
                ) { ends.add($0, $1, $2) }
                return ends.rows
            }
        }
        let own = Result { try rows(of: 0...middle) }
        let found = errand.finish()
        self.rows.append(contentsOf: try own.get())
        // Where nobody could read beside, such as without a descriptor to spare, the rest is read here, too.
        self.rows.append(contentsOf: try (try? found.get()) ?? rows(of: middle + 1...Int64.max))
    }

    /// Rows whose ends are those of what is left, of subjects that the group does not touch.
    private struct RestoredEnds: Sendable {
        private let since: UInt64
        private let touched: Set<Int64>
        private(set) var rows = RowChanges()

        init(_ group: Group) {
            since = group.start.head.sequence
            touched = Set(group.touched.map(\.record.id))
        }

        mutating func add(_ subject: Int64, _ identifiers: UnsafeRawBufferPointer, _ projection: Projection) {
            guard projection.sequence > since, !projection.permitted.isEmpty, !touched.contains(subject) else { return }
            let row = IndexRow(projection)
            SubjectRecord.forEachIdentifier(in: identifiers) { _, hash in
                rows.append(RowChange(hash: hash, row: row, subject: UInt32(subject)))
            }
        }
    }

    /// What becomes of everybody's consents at once; before the rows.
    var outdatings: [Outdating] { draft.outdatings }

    /// Stores the group, and in the same transaction what index and map of keys will hold when they have followed it.
    ///
    /// - Parameters:
    ///   - index: has followed the group before.
    ///   - keys: likewise.
    func store(in transaction: LedgerTransaction, index: IndexWriter, keys: KeyMap) throws {
        try transaction.store(draft) { put in for work in touched { try put(work.record, work.isNew) } }
        if !rows.isEmpty || !outdatings.isEmpty {
            let totals = index.totals(outdatings: outdatings) { put in
                rows.forEach(fetching: index.prefetch) { put($0.hash, $0.row, $0.subject) }
            }
            try transaction.put(DerivedTotals(totals), of: .index)
        }
        if !newKeys.isEmpty { try transaction.put(DerivedTotals(keys.totals(after: newKeys)), of: .keys) }
    }
}

/// What the index says of a subject: the decision function, asked for every purpose that the subject stands somewhere for.
package func project(_ standings: Standings, catalog: Catalog, at now: Timestamp) -> Projection {
    var projection = Projection()
    for entry in standings.all {
        let bit = entry.purposeBit
        guard let purpose = catalog.purpose(bit: bit) else { continue }
        let verdict = decide(entry.standing, catalog: catalog, purpose: purpose, at: now)
        switch verdict.decision {
        case .granted where purpose.basis == .consent:
            projection.permitted.insert(bit)
            if let until = verdict.grantedUntil { projection.endsAt = min(projection.endsAt ?? until, until) }
        case .denied: projection.denied.insert(bit)
        case .granted, .unknown: break
        }
    }
    return projection
}

extension SubjectRecord {
    /// Whether one of its identifiers has this hash.
    func has(_ hash: IdentifierHash) -> Bool { Self.has(hash, in: identifiers) }

    /// - Parameter identifiers: as ``identifiers``.
    static func has(_ hash: IdentifierHash, in identifiers: [UInt8]) -> Bool {
        let (high, low) = (hash.high.bigEndian, hash.low.bigEndian)
        return identifiers.withUnsafeBytes { bytes in
            var start = 1
            while start < bytes.count {
                if bytes.loadUnaligned(fromByteOffset: start, as: UInt64.self) == high,
                    bytes.loadUnaligned(fromByteOffset: start + 8, as: UInt64.self) == low
                {
                    return true
                }
                start += identifierSize
            }
            return false
        }
    }

    mutating func add(_ type: IdentifierType, _ hash: IdentifierHash) {
        identifiers.append(type.rawValue)
        hash.withBytes { identifiers.append(contentsOf: $0) }
    }

    func forEachIdentifier(_ body: (_ type: UInt8, IdentifierHash) -> Void) {
        identifiers.withUnsafeBytes { Self.forEachIdentifier(in: $0, body) }
    }

    /// Reads ``identifiers``.
    static func forEachIdentifier<Failure: Error>(
        in bytes: UnsafeRawBufferPointer, _ body: (_ type: UInt8, IdentifierHash) throws(Failure) -> Void
    ) throws(Failure) {
        for start in stride(from: 0, to: bytes.count, by: identifierSize) {
            let hash = UnsafeRawBufferPointer(rebasing: bytes[start + 1..<start + identifierSize])
            try body(bytes[start], IdentifierHash(rawBytes: hash))
        }
    }
}

extension AdmissionError {
    /// Whether each of an event's identifiers could be taken by itself.
    fileprivate var isOfIdentifiersTogether: Bool {
        switch self {
        case .identifierConflict, .identifiersOfPersonTooMany: true
        default: false
        }
    }
}

extension LedgerError {
    static func corrupt(indexLeadsTo subject: UInt32) -> LedgerError {
        .corrupt(
            where: "subject \(subject)",
            what:
                "the index leads to it with an identifier that is not its own; 'consentd rebuild' makes the index anew")
    }
}

extension DerivedTotals {
    init(_ totals: IndexTable.Totals) {
        self.init(rows: totals.rows, digest: totals.digest, ownersDigest: totals.ownersDigest)
    }
}

extension IndexRow {
    package init(_ projection: Projection) {
        self.init()
        permitted = projection.permitted
        denied = projection.denied
        endsAt = projection.endsAt.map { UInt32(clamping: $0.secondsRoundedDown) } ?? IndexRow.never
        sequence = projection.sequence
    }
}

extension IdentifierHash {
    /// As the ledger stores it: high, then low, big-endian.
    package var bytes: [UInt8] { withBytes { Array($0) } }

    func withBytes<Result>(_ body: (UnsafeRawBufferPointer) -> Result) -> Result {
        withUnsafeBytes(of: (high.bigEndian, low.bigEndian), body)
    }

    package init(bytes: [UInt8]) { self = bytes.withUnsafeBytes(IdentifierHash.init(rawBytes:)) }

    package init(rawBytes: UnsafeRawBufferPointer) {
        self.init(
            high: UInt64(bigEndian: rawBytes.loadUnaligned(as: UInt64.self)),
            low: UInt64(bigEndian: rawBytes.loadUnaligned(fromByteOffset: 8, as: UInt64.self)))
    }
}
