import ConsentCatalog
import ConsentIndex
import ConsentKernel
import ConsentLedger
import ConsentModel
import Synchronization

/// The one that writes: takes what waits, decides about it in the order in which it came, stores it, lets the index
/// follow, acknowledges, and tells the subscribers. Of a large group another thread does the storing, and this one
/// decides what comes next.
// Sendable because it is made before its thread starts and used only there; index and keys by the storer while a group is
// in its hands, and then by nobody else.
final class Writer: @unchecked Sendable {
    private let ledger: Ledger
    private let hashKey: IdentifierHashKey
    private let index: IndexWriter
    private let folder: IndexFolder
    private let keys: KeyMap
    private let inService: InService
    private let queue: ChangeQueue
    private let traces: ErasureTraces
    private let subscribers: Subscribers
    private let systemNow: @Sendable () -> Timestamp
    private let damage: DamageWatch
    private let fatal: @Sendable (NodeFailure) -> Void
    private let storer: Storer
    private let overlapWeightMin: Int
    /// Where the ledger ends, without the group that is in the storer's hands.
    private var end: LedgerEnd
    /// In the storer's hands.
    private var inStore: Decided?
    private var clock: NodeClock
    /// Revisions that become current after this moment are not recorded yet.
    private var revisionsDueAfter: Timestamp
    /// When the next consent may end, as far as the ledger was asked and groups have told since.
    private var nextEnd: Timestamp?
    private var mustLookForEnds = true
    private var overlapsInARow = 0
    private let knownTwins = KnownTwins()
    /// What the ledger holds could not be put into the index.
    private var isIndexBehind = false
    private var looksForDamageAt = Clock.monotonicNanos()
    private var nextLookForTraces: Int64 = 0

    /// Events of one transaction: the cost of a commit is spread thin, a person with several events in it is read and
    /// written once, and nobody waits long for it.
    private static let groupEventsMax = 12_288
    /// While one group is read for, SQLite cannot fold all of its log into the file and begin the log anew. Now and then
    /// a group is stored with nobody reading, so that the log stays small.
    private static let overlapsInARowMax = 32
    /// Subjects whose ends are recorded in one transaction.
    private static let dueSubjectsMax = 1000
    /// An end is recorded within a second; the index has kept it since the moment itself.
    private static let sweepMillis: Int32 = 250
    private static let damageLookNanos: Int64 = 500_000_000
    /// While somebody reads what was before an erasure, its traces are looked for so often.
    private static let tracesMillis: Int64 = 250

    /// - Parameters:
    ///   - index: has followed the ledger.
    ///   - keys: likewise.
    init(
        _ ledger: Ledger, hashKey: IdentifierHashKey, index: IndexWriter, in folder: IndexFolder, keys: KeyMap,
        inService: InService, queue: ChangeQueue, traces: ErasureTraces, subscribers: Subscribers, damage: DamageWatch,
        overlapWeightMin: Int, systemNow: @escaping @Sendable () -> Timestamp,
        fatal: @escaping @Sendable (NodeFailure) -> Void
    ) throws {
        self.ledger = ledger
        self.hashKey = hashKey
        self.index = index
        self.folder = folder
        self.keys = keys
        self.inService = inService
        self.queue = queue
        self.traces = traces
        self.subscribers = subscribers
        self.damage = damage
        self.overlapWeightMin = overlapWeightMin
        self.systemNow = systemNow
        self.fatal = fatal
        storer = try Storer()
        let (end, recordedAt, catalogMoment) = try ledger.read {
            (try $0.end(), try $0.lastRecordedAt(), try $0.lastCatalogMoment())
        }
        self.end = end
        clock = NodeClock(notBefore: recordedAt, system: systemNow())
        revisionsDueAfter = catalogMoment ?? clock.now
    }

    /// Until the queue is closed and empty.
    func run() {
        while true {
            let (changes, isClosing) = queue.take(weightMax: Self.groupEventsMax)
            if !changes.isEmpty { commit(changes) }
            passTime()
            lookForDamage()
            removeTraces()
            if inStore == nil { vouch() }
            if changes.isEmpty {
                settle()
                if isClosing { break }
                queue.wait(timeoutMillis: Self.sweepMillis)
            }
        }
        storer.close()
        do {
            try index.close()
            try keys.close()
        } catch {
            fatal(.indexBehind("the index could not be closed in order, it will be rebuilt: \(error)"))
        }
    }

    /// A group as it was decided, with whom to tell when the index has followed.
    // Sendable because it is used by one thread at a time, like its group.
    private final class Decided: @unchecked Sendable {
        /// To be decided about again if the group cannot be stored.
        let changes: [Change]
        let group: Group
        /// The one that the group applies, if it does.
        let catalog: AppliedCatalog?
        /// Each is called with the end of the ledger.
        let acknowledgements: [(UInt64) -> Void]
        var isStored = false

        init(_ changes: [Change], _ group: Group, catalog: AppliedCatalog?, acknowledgements: [(UInt64) -> Void]) {
            self.changes = changes
            self.group = group
            self.catalog = catalog
            self.acknowledgements = acknowledgements
        }
    }

    private func commit(_ changes: [Change]) {
        clock.tick(systemNow())
        do {
            // Whatever is recorded from that moment on finds it done.
            try takeRevisionChanges()
        } catch {
            damage.report(EngineError(error))
            for change in changes { change.fail(EngineError(error)) }
            return
        }
        // A catalog changes what is decided about everybody, so it is decided about when all before it is stored.
        if changes.reduce(0, { $0 + $1.weight }) >= overlapWeightMin, !changes.contains(where: \.needsWholeLedger),
            overlapsInARow < Self.overlapsInARowMax
        {
            overlapsInARow += 1
            overlap(changes)
        } else {
            overlapsInARow = 0
            settle()
            store(changes)
        }
    }

    /// Decides about some changes while the storer has those before them, and hands them to it.
    private func overlap(_ changes: [Change]) {
        let decided = try? ledger.readBeside { try decideAbout(changes, $0, beside: nil) }
        guard settle(), let decided else {
            // What it was decided upon has not come to be, or it fails, which is to be told.
            store(changes)
            return
        }
        inStore = decided
        storer.start { [self] in
            decided.isStored =
                (try? ledger.write { try decided.group.store(in: $0, index: index, keys: keys) }) != nil
            if decided.isStored { publish(decided) }
        }
    }

    /// Waits until the storer has stored what it has in hand.
    ///
    /// - Returns: whether what was decided upon it holds: if it could not be stored, it was decided about again.
    @discardableResult
    private func settle() -> Bool {
        guard let decided = inStore else { return true }
        storer.wait()
        inStore = nil
        guard decided.isStored else {
            store(decided.changes)
            return false
        }
        end = decided.group.end
        vouch()
        return true
    }

    /// Tells those who map the index that it holds all that the ledger holds; nothing may be in the storer's hands.
    private func vouch() {
        if !isIndexBehind { index.vouch(at: Clock.boottimeMillis()) }
    }

    /// One transaction for all; if it fails, each change alone, so that one that cannot be stored takes nobody along.
    private func store(_ changes: [Change]) {
        do {
            let decided = try ledger.write { transaction in
                let decided = try decideAbout(changes, transaction.reading, beside: ledger)
                try decided.group.store(in: transaction, index: index, keys: keys)
                return decided
            }
            end = decided.group.end
            publish(decided)
            if decided.catalog != nil { revisionsDueAfter = max(revisionsDueAfter, clock.now) }
        } catch {
            if changes.count > 1 {
                for change in changes { store([change]) }
            } else {
                damage.report(.ledger(error))
                changes[0].fail(.ledger(error))
            }
        }
    }

    /// A group that goes on from where the ledger ends, or will when the storer is done.
    private func makeGroup(_ reading: LedgerReading, beside ledger: Ledger?, eventsExpected: Int = 0) -> Group {
        let previous = inStore?.group
        return Group(
            after: previous?.end ?? end, reading: reading, beside: ledger, previous: previous,
            index: index.publication.current, keys: keys, knownTwins: knownTwins, hashKey: hashKey,
            catalog: inService.value.catalog, clock: clock, eventsExpected: eventsExpected)
    }

    /// So many events ahead their index rows are fetched.
    private static let prefetchDistance = 4

    private func decideAbout(
        _ changes: [Change], _ reading: LedgerReading, beside ledger: Ledger?
    ) throws -> Decided {
        let group = makeGroup(reading, beside: ledger, eventsExpected: changes.reduce(0) { $0 + $1.weight })
        let current = inService.value.catalog
        var newCatalog: AppliedCatalog?
        var acknowledgements: [(UInt64) -> Void] = []
        acknowledgements.reserveCapacity(changes.count)
        for change in changes {
            switch change {
            case .record(let events, let complete):
                let outcomes = try events.indices.map { position in
                    let ahead = position + Self.prefetchDistance
                    if ahead < events.count { group.prefetch(events[ahead]) }
                    return switch events[position] {
                    case .success(let judged): try group.record(judged)
                    case .failure(let error): EventOutcome.refused(error)
                    }
                }
                acknowledgements.append { complete(.success(RecordResult(head: $0, outcomes: outcomes))) }
            case .applyCatalog(let document, let complete):
                do throws(EngineError) {
                    try (newCatalog ?? current).requireNoConflict(
                        with: document, at: clock.now, isEmpty: group.end.nextSubject == 1)
                } catch {
                    acknowledgements.append { _ in complete(.failure(error)) }
                    continue
                }
                let due = current.catalog.purposes(
                    ofRevisionsEffectiveAfter: revisionsDueAfter, until: clock.now)
                let result = try apply(document, over: newCatalog ?? current, due: due, group, into: &newCatalog)
                acknowledgements.append { _ in complete(.success(result)) }
            case .access(let entry, let complete):
                let sequence = group.log(entry)
                acknowledgements.append { _ in complete(.success(sequence)) }
            case .person(let change):
                do {
                    let acknowledge = try change.carryOut(group)
                    // What comes after is later, and so counts.
                    clock.pass()
                    acknowledgements.append { _ in acknowledge() }
                } catch let error as RightsError {
                    acknowledgements.append { _ in change.fail(.rights(error)) }
                }
            }
        }
        try conclude(group)
        return Decided(changes, group, catalog: newCatalog, acknowledgements: acknowledgements)
    }

    private func conclude(_ group: Group) throws {
        guard let end = try group.conclude() else { return }
        nextEnd = min(nextEnd ?? end, end)
    }

    /// - Parameter due: purposes whose revisions changed by time and were not taken over yet: now or never, as the
    ///   catalog's event becomes the moment up to which all is taken over.
    private func apply(
        _ document: CatalogDocument, over current: AppliedCatalog, due: Set<String>, _ group: Group,
        into applied: inout AppliedCatalog?
    ) throws -> CatalogResult {
        if current.digest == document.digest {
            return CatalogResult(version: current.version, sequence: 0, changes: [])
        }
        let changes = catalogChanges(from: current.catalog, to: document.catalog)
        let version = current.version + 1
        let affected = due.union(changes.flatMap(\.affectedPurposes))
        let stored = StoredCatalog(version: version, document: document.text, digest: document.digest)
        let purposeBits = Set(affected.compactMap { document.catalog.purpose(id: $0)?.bit })
        let forAll =
            due.isEmpty
            ? outdatings(
                of: purposeBits, from: current.catalog, at: clock.now, to: document.catalog, at: clock.now) : nil
        let sequence = try group.apply(stored, document.catalog, forAll.map { .everybody($0) } ?? .each(purposeBits))
        applied = AppliedCatalog(
            version: version, catalog: document.catalog, text: document.text, digest: document.digest)
        return CatalogResult(version: version, sequence: sequence, changes: changes.map(\.description))
    }

    /// Index, acknowledgements, subscribers. What is durable by now must become visible, so a failure here is the end:
    /// the index is closed to checks rather than left behind.
    private func publish(_ stored: Decided) {
        let (group, head) = (stored.group, stored.group.end.head)
        damage.noteStored()
        do {
            for (key, sequence) in group.newKeys { try keys.put(key, sequence) }
            keys.setApplied(head)
            try follow(stored, index)
        } catch {
            isIndexBehind = true
            fatal(.indexBehind("the index cannot follow the ledger: \(error)"))
            return
        }
        for erasure in group.erasures { traces.add(erasure.sequence) }
        for acknowledge in stored.acknowledgements { acknowledge(head.sequence) }
        let first = group.start.head.sequence + 1
        guard head.sequence >= first else { return }
        subscribers.tell(
            CommittedGroup(
                first: first, last: head.sequence, outdatings: group.outdatings,
                point: CommittedPoint(sequence: head.sequence, chain: head.mark, digest: index.digest),
                rows: group.rows, catalogVersion: stored.catalog?.version))
    }

    private func follow(_ stored: Decided, _ index: IndexWriter) throws {
        if let new = stored.catalog {
            // Until every row has followed, only what both catalogs allow.
            let (old, next) = (inService.value.catalog.defaults, new.defaults)
            try index.setDefaults(
                granted: old.granted.intersection(next.granted), denied: old.denied.union(next.denied))
        }
        index.outdate(stored.group.outdatings)
        try stored.group.rows.forEach(fetching: index.prefetch) {
            try index.put($0.hash, $0.row, owner: $0.subject)
        }
        if let new = stored.catalog {
            try folder.setPurposes(new.purposeBits)
            index.setMaxStaleness(new.maxStaleness)
            inService.setCatalog(new)
            try index.setDefaults(granted: new.defaults.granted, denied: new.defaults.denied)
        }
        let head = stored.group.end.head
        index.setApplied(sequence: head.sequence, chain: head.mark)
    }

    /// Takes out of the files what erasures have left there. Tried again while a reader stands in the way.
    private func removeTraces() {
        let now = Clock.monotonicNanos()
        guard traces.isPending, now >= nextLookForTraces else { return }
        settle()
        nextLookForTraces = now + Self.tracesMillis * 1_000_000
        if (try? ledger.removeTraces()) == true { traces.setGone(through: end.head.sequence) }
    }

    /// What time alone changes: consents that end, revisions that become current.
    private func passTime() {
        clock.tick(systemNow())
        let now = clock.now
        do {
            try takeRevisionChanges()
            if mustLookForEnds {
                settle()
                nextEnd = try ledger.write { try $0.reading.nextEnd() }
                mustLookForEnds = false
            }
            if let end = nextEnd, end <= now { try recordEnds() }
        } catch {
            // Checks keep every end by themselves; recording it is tried again at the next turn.
            mustLookForEnds = true
            damage.report(EngineError(error))
        }
    }

    private func lookForDamage() {
        let now = Clock.monotonicNanos()
        guard now >= looksForDamageAt else { return }
        looksForDamageAt = now + Self.damageLookNanos
        damage.look()
    }

    private func recordEnds() throws {
        try store { group in
            try group.recordEnds(countMax: Self.dueSubjectsMax)
            try group.recordLapses(countMax: Self.dueSubjectsMax)
        }
        mustLookForEnds = true
    }

    /// Takes over every revision whose time has come.
    private func takeRevisionChanges() throws {
        while let due = inService.value.catalog.catalog.nextRevisionChange(after: revisionsDueAfter), due <= clock.now {
            try takeRevisionChange(due)
        }
    }

    private func takeRevisionChange(_ due: Timestamp) throws {
        let (current, before) = (inService.value.catalog.catalog, Timestamp(millis: due.millis - 1))
        let purposes = current.purposes(ofRevisionsEffectiveAfter: before, until: due)
        let purposeBits = Set(purposes.compactMap { current.purpose(id: $0)?.bit })
        let forAll = outdatings(of: purposeBits, from: current, at: before, to: current, at: clock.now)
        try store { group in
            try group.recordRevisionChange(
                effectiveAt: due, forAll.map { .everybody($0) } ?? .each(purposeBits))
        }
        revisionsDueAfter = due
    }

    /// Stores what the node does by itself.
    private func store(_ work: (Group) throws -> Void) throws {
        settle()
        let decided = try ledger.write { transaction in
            let group = makeGroup(transaction.reading, beside: ledger)
            try work(group)
            try conclude(group)
            try group.store(in: transaction, index: index, keys: keys)
            return Decided([], group, catalog: nil, acknowledgements: [])
        }
        end = decided.group.end
        publish(decided)
    }
}

extension AppliedCatalog {
    /// - Parameter isEmpty: whether nobody has been recorded yet, so that a catalog may bring its past with it.
    /// - Throws: ``EngineError`` `catalogConflict` if what is in force forbids it.
    func requireNoConflict(
        with document: CatalogDocument, at now: Timestamp, isEmpty: Bool
    ) throws(EngineError) {
        // Clocks differ, and between writing a moment down and applying it some minutes pass.
        let addedFrom = isEmpty ? nil : Timestamp(millis: now.millis - Limit.captureSkewMillis)
        let conflicts = catalogConflicts(from: catalog, to: document.catalog, at: now, addedFrom: addedFrom)
        guard conflicts.isEmpty else {
            throw .catalogConflict(document.problems(conflicts).map(\.description).joined(separator: "\n"))
        }
    }
}

/// The node's clock: the system's, but never behind the last record.
struct NodeClock {
    private(set) var now: Timestamp
    /// The system's, at the same moment.
    private(set) var system: Timestamp

    init(notBefore: Timestamp, system: Timestamp) {
        self.system = system
        now = max(notBefore, system)
    }

    /// Goes on to the next moment.
    mutating func pass() { now = Timestamp(millis: now.millis + 1) }

    mutating func tick(_ system: Timestamp) {
        self.system = system
        // Where the system's clock was set back, what follows is later all the same.
        now = system < now ? Timestamp(millis: now.millis + 1) : system
    }
}
