package import ConsentCatalog
package import ConsentIndex
import ConsentKernel
import ConsentLedger
package import ConsentModel
import Synchronization

/// The meaning of a node: answers from the index, changes through the ledger.
///
/// The way of a change: `judge → queue → decide all that waits → one transaction for it → index rows → acknowledgement →
/// subscribers`. One thread decides, in the order in which changes came, and stores what it decided. Of a large group
/// another thread does the storing, and this one decides what comes next. A change is acknowledged only when it is
/// durable and visible.
package final class Engine: Sendable {
    package let folder: NodeFolder
    package let identity: NodeIdentity
    package let hashKey: IdentifierHashKey
    /// Where readers of the index begin.
    package let publication: IndexPublication
    /// How the index came to be usable when the engine opened.
    package let recovery: IndexRecovery

    let ledger: Ledger
    private let lock: LockHolder
    private let applied: Mutex<AppliedCatalog>
    private let appliedVersion: Atomic<Int>
    private let queue: Mutex<WriterQueue>
    private let work: Wakeup
    private let writer: Mutex<ConsentKernel.Thread?>
    private let storer: Storer
    private let overlapWeightMin: Int
    private let questions: QuestionQueue
    private let subscribers: Mutex<[Int: @Sendable (CommittedGroup) -> Void]>
    private let systemNow: @Sendable () -> Timestamp
    private let fatal: @Sendable (String) -> Void
    private let startedAt = Clock.monotonicNanos()
    private let groupCount = Atomic<UInt64>(0)
    private let refusedCount = Atomic<UInt64>(0)

    /// What may wait for the writer: enough for several full groups, and no more memory than that.
    private static let waitingEventsMax = 65_536
    /// Events of one transaction: the cost of a commit is spread thin, and nobody waits long for it.
    private static let groupEventsMax = 8192
    /// Events of a group that another thread stores, while it is decided about the next group. Fewer are stored sooner
    /// than another thread is woken.
    package static let overlapWeightMin = 1024
    /// Subjects whose ends are recorded in one transaction.
    private static let dueSubjectsMax = 1000
    /// An end is recorded within a second; the index has kept it since the moment itself.
    private static let sweepMillis: Int32 = 250

    private struct WriterQueue {
        var changes: [Change] = []
        var weight = 0
        var isClosing = false
    }

    /// The node's lock, held until the engine is closed or gone.
    private final class LockHolder: Sendable {
        private let file: Mutex<FileDescriptor?>
        init(_ file: consuming FileDescriptor) { self.file = Mutex(file) }
        func release() { file.withLock { $0 = nil } }
    }

    /// Opens a node, brings its index up to date, and starts the writer.
    ///
    /// - Parameters:
    ///   - identifiersExpected: room to make in the index at once, before a large import.
    ///   - progress: is told how far a rebuild has come: done and all identifiers.
    ///   - overlapWeightMin: see ``overlapWeightMin``; zero for always.
    ///   - systemNow: the system's clock.
    ///   - fatal: is told why the writer had to stop for good: the index cannot follow the ledger any more.
    /// - Throws: ``EngineError`` `locked`, ``LedgerError``, ``SystemError``. Nothing is left running.
    package init(
        _ folder: NodeFolder, identifiersExpected: Int = 0, overlapWeightMin: Int = Engine.overlapWeightMin,
        progress: @Sendable (Int, Int) -> Void = { _, _ in },
        systemNow: @escaping @Sendable () -> Timestamp = { Timestamp(millis: Clock.realtimeMillis()) },
        fatal: @escaping @Sendable (String) -> Void
    ) throws {
        guard folder.exists else { throw LedgerError.missing(path: folder.ledgerPath) }
        guard let lock = try folder.lock() else { throw EngineError.locked(path: folder.path) }
        self.folder = folder
        self.lock = LockHolder(lock)
        self.systemNow = systemNow
        self.fatal = fatal
        self.overlapWeightMin = overlapWeightMin
        ledger = try Ledger(path: folder.ledgerPath)
        identity = ledger.identity
        hashKey = try folder.hashKey(of: identity)
        let catalog = try loadCatalog(ledger)
        applied = Mutex(catalog)
        appliedVersion = Atomic(catalog.version)
        let (index, recovery) = try openIndex(
            folder: folder, ledger: ledger, hashKey: hashKey, catalog: catalog, progress: progress)
        let keys = try KeyMap(folder, ledger: ledger, hashKey: hashKey)
        if identifiersExpected > 0 { try index.reserve(identifiers: index.rows + identifiersExpected) }
        self.recovery = recovery
        publication = index.publication
        queue = Mutex(WriterQueue())
        work = try Wakeup()
        storer = try Storer()
        questions = try QuestionQueue(threads: 2)
        subscribers = Mutex([:])
        writer = Mutex(nil)
        let clock = NodeClock(notBefore: try ledger.read { try $0.lastRecordedAt() }, system: systemNow())
        let revisionsDueAfter = try ledger.read { try $0.lastCatalogMoment() } ?? clock.now
        let state = WriterState(
            index: index, keys: keys, clock: clock, revisionsDueAfter: revisionsDueAfter,
            end: try ledger.read { try $0.end() })
        writer.withLock { $0 = ConsentKernel.Thread(name: "writer") { self.runWriter(state) } }
    }

    package var catalog: AppliedCatalog { applied.withLock { $0 } }

    /// The version of ``catalog``, for those who look often. Who reads a version finds it or a later one there.
    package var catalogVersion: Int { appliedVersion.load(ordering: .acquiring) }

    // MARK: Changes

    /// Offers events; all that are taken commit together. Returns at once; `complete` is called on the writer's thread.
    package func record(
        _ events: [Result<ConsentEvent, AdmissionError>],
        complete: @escaping @Sendable (Result<RecordResult, EngineError>) -> Void
    ) {
        let catalog = catalog
        let now = systemNow()
        let judged = events.map { event in
            event.map {
                JudgedEvent($0, catalog: catalog.catalog, version: catalog.version, hashKey: hashKey, now: now)
            }
        }
        submit(.record(judged, complete))
    }

    /// As above, and waits.
    package func record(_ events: [ConsentEvent]) throws -> RecordResult {
        try waitFor { record(events.map { .success($0) }, complete: $0) }
    }

    /// Applies a catalog, and waits.
    package func apply(_ document: CatalogDocument) throws -> CatalogResult {
        try waitFor { apply(document, complete: $0) }
    }

    /// Applies a catalog. Returns at once; `complete` is called on the writer's thread.
    package func apply(
        _ document: CatalogDocument, complete: @escaping @Sendable (Result<CatalogResult, EngineError>) -> Void
    ) {
        submit(.applyCatalog(document, complete))
    }

    private func waitFor<Value: Sendable>(
        _ start: (@escaping @Sendable (Result<Value, EngineError>) -> Void) -> Void
    ) throws -> Value {
        let wakeup = try Wakeup()
        let answer = Answer<Value>()
        start { result in
            answer.result.withLock { $0 = result }
            wakeup.raise()
        }
        while true {
            if let result = answer.result.withLock({ $0 }) { return try result.get() }
            wakeup.wait(timeoutMillis: -1)
        }
    }

    private final class Answer<Value: Sendable>: Sendable {
        let result = Mutex<Result<Value, EngineError>?>(nil)
    }

    private func submit(_ change: Change) {
        let (refusal, isFirst): (EngineError?, Bool) = queue.withLock { queue in
            if queue.isClosing { return (.closing, false) }
            if queue.weight > 0, queue.weight + change.weight > Self.waitingEventsMax { return (.busy, false) }
            queue.changes.append(change)
            queue.weight += change.weight
            return (nil, queue.changes.count == 1)
        }
        if let refusal {
            refusedCount.add(1, ordering: .relaxed)
            change.fail(refusal)
        } else if isFirst {
            // The writer was told of those before it, and takes all that wait.
            work.raise()
        }
    }

    /// Is told of every group after it was acknowledged, in order, on the thread that stores: it must return at once.
    ///
    /// - Returns: a number to end the subscription with.
    package func subscribe(_ receive: @escaping @Sendable (CommittedGroup) -> Void) -> Int {
        subscribers.withLock { subscribers in
            let number = (subscribers.keys.max() ?? 0) + 1
            subscribers[number] = receive
            return number
        }
    }

    package func unsubscribe(_ number: Int) { subscribers.withLock { $0[number] = nil } }

    // MARK: Questions to the ledger

    /// Runs a question beside the writer, on a thread for such work.
    ///
    /// - Throws: ``EngineError`` `busy` if too many wait.
    package func ask(_ question: @escaping @Sendable (Engine) -> Void) throws(EngineError) {
        try questions.submit { [self] in question(self) }
    }

    /// Everything that decides about one subject and one purpose now.
    package func explain(
        _ identifier: Identifier, purposeBit: Int
    ) throws -> (verdict: Verdict, purpose: Purpose, act: Act?, sequence: UInt64) {
        let catalog = catalog.catalog
        guard let purpose = catalog.purpose(bit: purposeBit) else {
            throw AdmissionError.purposeUnknown("bit \(purposeBit)")
        }
        let (standing, sequence) = try withSubject(identifiedBy: identifier) { subject, snapshot in
            (subject?.standings[purposeBit], try snapshot.head().sequence)
        }
        let now = systemNow()
        let verdict = decide(standing ?? Standing(), catalog: catalog, purpose: purpose, at: now)
        return (verdict, purpose, standing?.decidingAct, sequence)
    }

    /// A subject's events after a sequence, oldest first; empty for a person that is not known.
    package func history(
        of identifier: Identifier, after: UInt64, countMax: Int
    ) throws -> (events: [RecordedEvent], head: UInt64) {
        try withSubject(identifiedBy: identifier) { subject, snapshot in
            let events = try subject.map { try snapshot.events(of: $0, after: after, countMax: countMax) } ?? []
            return (events, try snapshot.head().sequence)
        }
    }

    /// - Parameter body: gets nil for a person that is not known.
    private func withSubject<Result>(
        identifiedBy identifier: Identifier, _ body: (SubjectRecord?, LedgerSnapshot) throws -> Result
    ) throws -> Result {
        let hash = hashKey.hash(identifier)
        // The ledger is never behind the index, so a subject that is found here is there.
        let owner = publication.current.owner(of: hash)
        return try ledger.read { snapshot in
            guard let owner else { return try body(nil, snapshot) }
            guard let subject = try snapshot.subject(Int64(owner)), subject.has(hash) else {
                throw LedgerError.corrupt(indexLeadsTo: owner)
            }
            return try body(subject, snapshot)
        }
    }

    /// What applying a catalog would change: in words, with the number of people whose consent would stop to count.
    package func preview(_ document: CatalogDocument) throws -> CatalogResult {
        let current = catalog
        // The writer's clock is never behind the last record, and what is in force by it stays as it is.
        let moment = max(systemNow(), try ledger.read { try $0.lastRecordedAt() })
        try requireNoConflict(from: current, to: document, at: moment)
        let changes = catalogChanges(from: current.catalog, to: document.catalog)
        let isSame = current.digest == document.digest
        let affected = Set(changes.flatMap(\.affectedPurposes))
        var losses: [String: Int] = [:]
        if !affected.isEmpty, current.version > 0 {
            let now = systemNow()
            try ledger.read { snapshot in
                try snapshot.forEachSubject { subject in
                    for entry in subject.standings.all {
                        let (bit, standing) = (entry.purposeBit, entry.standing)
                        guard let old = current.catalog.purpose(bit: bit), affected.contains(old.id),
                            let new = document.catalog.purpose(bit: bit),
                            decide(standing, catalog: current.catalog, purpose: old, at: now).decision == .granted,
                            decide(standing, catalog: document.catalog, purpose: new, at: now).decision != .granted
                        else { continue }
                        losses[old.id, default: 0] += 1
                    }
                }
            }
        }
        let lines = losses.sorted { $0.key < $1.key }.map { "\($0.value) people lose '\($0.key)' until asked again" }
        return CatalogResult(
            version: isSame ? current.version : current.version + 1, sequence: 0,
            changes: changes.map(\.description) + lines)
    }

    private func requireNoConflict(
        from current: AppliedCatalog, to document: CatalogDocument, at now: Timestamp
    ) throws(EngineError) {
        let conflicts = catalogConflicts(from: current.catalog, to: document.catalog, at: now)
        guard conflicts.isEmpty else {
            throw .catalogConflict(conflicts.map(\.description).joined(separator: "\n"))
        }
    }

    /// Counters and sizes, by name.
    package func statistics() throws -> [(name: String, value: UInt64)] {
        let counts = try ledger.read { try $0.counts() }
        let table = publication.current
        return [
            ("sequence", counts.events), ("subjects", counts.subjects), ("identifiers", UInt64(table.rows)),
            ("catalog_version", counts.catalogVersion), ("ledger_size_bytes", counts.size),
            ("index_rows", UInt64(table.rows)), ("index_slots", UInt64(table.geometry.slots)),
            ("index_size_bytes", UInt64(table.geometry.fileSize)), ("index_generation", table.generation),
            ("index_digest", table.digest), ("index_sequence", table.appliedSequence),
            ("groups_committed", groupCount.load(ordering: .relaxed)),
            ("changes_turned_away", refusedCount.load(ordering: .relaxed)),
            ("uptime_seconds", UInt64((Clock.monotonicNanos() - startedAt) / 1_000_000_000)),
        ]
    }

    /// Finishes what waits, refuses what comes, closes ledger and index in order, and leaves the node to the next engine.
    package func close() throws {
        queue.withLock { $0.isClosing = true }
        work.raise()
        writer.withLock { thread in
            defer { thread = nil }
            return thread
        }?.join()
        questions.close()
        defer { lock.release() }
        try ledger.close()
    }

    // MARK: The writer's thread

    /// What the writer alone touches.
    // Sendable because it is made before the writer's thread starts and used only there; index and keys by the storer
    // while a group is in its hands, and then by nobody else.
    private final class WriterState: @unchecked Sendable {
        let index: IndexWriter
        let keys: KeyMap
        /// Where the ledger ends, without the group that is in the storer's hands.
        var end: LedgerEnd
        /// In the storer's hands.
        var inStore: Decided?
        var clock: NodeClock
        /// Revisions that become current after this moment are not recorded yet.
        var revisionsDueAfter: Timestamp
        /// When the next consent may end, as far as the ledger was asked and groups have told since.
        var nextEnd: Timestamp?
        var mustLookForEnds = true

        init(index: IndexWriter, keys: KeyMap, clock: NodeClock, revisionsDueAfter: Timestamp, end: LedgerEnd) {
            self.end = end
            self.index = index
            self.keys = keys
            self.clock = clock
            self.revisionsDueAfter = revisionsDueAfter
        }
    }

    private func runWriter(_ state: WriterState) {
        while true {
            let (changes, isClosing) = takeWaiting()
            if !changes.isEmpty { commit(changes, state) }
            passTime(state)
            if changes.isEmpty {
                settle(state)
                if isClosing { break }
                work.wait(timeoutMillis: Self.sweepMillis)
            }
        }
        storer.close()
        do {
            try state.index.close()
            try state.keys.close()
        } catch {
            fatal("the index could not be closed in order, it will be rebuilt: \(error)")
        }
    }

    private func takeWaiting() -> (changes: [Change], isClosing: Bool) {
        queue.withLock { queue in
            var weight = 0
            let count = queue.changes.prefix { change in
                defer { weight += change.weight }
                return weight == 0 || weight + change.weight <= Self.groupEventsMax
            }.count
            let taken = Array(queue.changes.prefix(count))
            queue.changes.removeFirst(count)
            queue.weight -= taken.reduce(0) { $0 + $1.weight }
            return (taken, queue.isClosing)
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
        let acknowledgements: [() -> Void]
        var isStored = false

        init(_ changes: [Change], _ group: Group, catalog: AppliedCatalog?, acknowledgements: [() -> Void]) {
            self.changes = changes
            self.group = group
            self.catalog = catalog
            self.acknowledgements = acknowledgements
        }
    }

    private func commit(_ changes: [Change], _ state: WriterState) {
        state.clock.tick(systemNow())
        // A catalog changes what is decided about everybody, so it is decided about when all before it is stored.
        let appliesCatalog = changes.contains { if case .applyCatalog = $0 { true } else { false } }
        if changes.reduce(0, { $0 + $1.weight }) >= overlapWeightMin, !appliesCatalog {
            overlap(changes, state)
        } else {
            settle(state)
            store(changes, state)
        }
    }

    /// Decides about some changes while the storer has those before them, and hands them to it.
    private func overlap(_ changes: [Change], _ state: WriterState) {
        let decided = try? ledger.readBeside { try decideAbout(changes, $0, state) }
        guard settle(state), let decided else {
            // What it was decided upon has not come to be, or it fails, which is to be told.
            store(changes, state)
            return
        }
        state.inStore = decided
        storer.start { [self] in
            decided.isStored =
                (try? ledger.write { try decided.group.store(in: $0, index: state.index, keys: state.keys) }) != nil
            if decided.isStored { publish(decided, state) }
        }
    }

    /// Waits until the storer has stored what it has in hand.
    ///
    /// - Returns: whether what was decided upon it holds: if it could not be stored, it was decided about again.
    @discardableResult
    private func settle(_ state: WriterState) -> Bool {
        guard let decided = state.inStore else { return true }
        storer.wait()
        state.inStore = nil
        guard decided.isStored else {
            store(decided.changes, state)
            return false
        }
        state.end = decided.group.end
        return true
    }

    /// One transaction for all; if it fails, each change alone, so that one that cannot be stored takes nobody along.
    private func store(_ changes: [Change], _ state: WriterState) {
        do {
            let decided = try ledger.write { transaction in
                let decided = try decideAbout(changes, transaction.reading, state)
                try decided.group.store(in: transaction, index: state.index, keys: state.keys)
                return decided
            }
            state.end = decided.group.end
            publish(decided, state)
            if decided.catalog != nil { state.revisionsDueAfter = max(state.revisionsDueAfter, state.clock.now) }
        } catch {
            if changes.count > 1 {
                for change in changes { store([change], state) }
            } else {
                changes[0].fail(.ledger(error))
            }
        }
    }

    /// A group that goes on from where the ledger ends, or will when the storer is done.
    private func makeGroup(_ reading: LedgerReading, _ state: WriterState) -> Group {
        let previous = state.inStore?.group
        return Group(
            after: previous?.end ?? state.end, reading: reading, previous: previous,
            index: publication.current, keys: state.keys, hashKey: hashKey, catalog: catalog, clock: state.clock)
    }

    private func decideAbout(_ changes: [Change], _ reading: LedgerReading, _ state: WriterState) throws -> Decided {
        let group = makeGroup(reading, state)
        let current = catalog
        var newCatalog: AppliedCatalog?
        var results: [(ChainHead) -> () -> Void] = []
        for change in changes {
            switch change {
            case .record(let events, let complete):
                let outcomes = try events.map { event in
                    switch event {
                    case .success(let judged): try group.record(judged)
                    case .failure(let error): EventOutcome.refused(error)
                    }
                }
                results.append { head in
                    { complete(.success(RecordResult(head: head.sequence, outcomes: outcomes))) }
                }
            case .applyCatalog(let document, let complete):
                do throws(EngineError) {
                    try requireNoConflict(from: newCatalog ?? current, to: document, at: state.clock.now)
                } catch {
                    results.append { _ in { complete(.failure(error)) } }
                    continue
                }
                let due = current.catalog.purposes(
                    ofRevisionsEffectiveAfter: state.revisionsDueAfter, until: state.clock.now)
                let result = try apply(document, over: newCatalog ?? current, due: due, group, into: &newCatalog)
                results.append { _ in { complete(.success(result)) } }
            }
        }
        conclude(group, state)
        let head = group.end.head
        return Decided(changes, group, catalog: newCatalog, acknowledgements: results.map { $0(head) })
    }

    private func conclude(_ group: Group, _ state: WriterState) {
        guard let end = group.conclude() else { return }
        state.nextEnd = min(state.nextEnd ?? end, end)
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
        let sequence = group.apply(stored, document.catalog)
        try group.redecide(purposeBits: Set(affected.compactMap { document.catalog.purpose(id: $0)?.bit }))
        applied = AppliedCatalog(
            version: version, catalog: document.catalog, text: document.text, digest: document.digest)
        return CatalogResult(version: version, sequence: sequence, changes: changes.map(\.description))
    }

    /// Index, acknowledgements, subscribers. What is durable by now must become visible, so a failure here is the end:
    /// the index is closed to checks rather than left behind.
    private func publish(_ stored: Decided, _ state: WriterState) {
        let (group, head) = (stored.group, stored.group.end.head)
        do {
            for (key, sequence) in group.newKeys { try state.keys.put(key, sequence) }
            state.keys.setApplied(head)
            try follow(stored, state.index)
        } catch {
            fatal("the index cannot follow the ledger: \(error)")
            return
        }
        for acknowledge in stored.acknowledgements { acknowledge() }
        let first = group.start.head.sequence + 1
        guard head.sequence >= first else { return }
        groupCount.add(1, ordering: .relaxed)
        let committed = CommittedGroup(
            first: first, last: head.sequence, rows: group.rows, catalogVersion: stored.catalog?.version)
        for receive in subscribers.withLock({ Array($0.values) }) { receive(committed) }
    }

    private func follow(_ stored: Decided, _ index: IndexWriter) throws {
        let rows = stored.group.rows
        if let new = stored.catalog {
            // Until every row has followed, only what both catalogs allow.
            let (old, next) = (catalog.defaults, new.defaults)
            try index.setDefaults(
                granted: old.granted.intersection(next.granted), denied: old.denied.union(next.denied))
        }
        for (position, change) in rows.enumerated() {
            if position + 8 < rows.count { index.prefetch(rows[position + 8].hash) }
            try index.put(change.hash, change.row, owner: change.subject)
        }
        if let new = stored.catalog {
            applied.withLock { $0 = new }
            appliedVersion.store(new.version, ordering: .releasing)
            try index.setDefaults(granted: new.defaults.granted, denied: new.defaults.denied)
        }
        let head = stored.group.end.head
        index.setApplied(sequence: head.sequence, chain: head.mark)
    }

    /// What time alone changes: consents that end, revisions that become current.
    private func passTime(_ state: WriterState) {
        state.clock.tick(systemNow())
        let now = state.clock.now
        do {
            if let due = catalog.catalog.nextRevisionChange(after: state.revisionsDueAfter), due <= now {
                try takeRevisionChange(due, state)
            }
            if state.mustLookForEnds {
                settle(state)
                state.nextEnd = try ledger.write { try $0.reading.nextEnd() }
                state.mustLookForEnds = false
            }
            if let end = state.nextEnd, end <= now { try recordEnds(now: now, state) }
        } catch {
            // Checks keep every end by themselves; recording it is tried again at the next turn.
            state.mustLookForEnds = true
        }
    }

    private func recordEnds(now: Timestamp, _ state: WriterState) throws {
        try store(state) { try $0.recordEnds(countMax: Self.dueSubjectsMax) }
        state.mustLookForEnds = true
    }

    private func takeRevisionChange(_ due: Timestamp, _ state: WriterState) throws {
        try store(state) { group in
            _ = group.recordRevisionChange(effectiveAt: due)
            let purposes = group.catalog.purposes(
                ofRevisionsEffectiveAfter: Timestamp(millis: due.millis - 1), until: due)
            try group.redecide(purposeBits: Set(purposes.compactMap { group.catalog.purpose(id: $0)?.bit }))
        }
        state.revisionsDueAfter = due
    }

    /// Stores what the node does by itself.
    private func store(_ state: WriterState, _ work: (Group) throws -> Void) throws {
        settle(state)
        let decided = try ledger.write { transaction in
            let group = makeGroup(transaction.reading, state)
            try work(group)
            conclude(group, state)
            try group.store(in: transaction, index: state.index, keys: state.keys)
            return Decided([], group, catalog: nil, acknowledgements: [])
        }
        state.end = decided.group.end
        publish(decided, state)
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

    mutating func tick(_ system: Timestamp) {
        self.system = system
        // Where the system's clock was set back, what follows is later all the same.
        now = system < now ? Timestamp(millis: now.millis + 1) : system
    }
}
