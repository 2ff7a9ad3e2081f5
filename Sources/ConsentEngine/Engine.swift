package import ConsentCatalog
package import ConsentIndex
import ConsentKernel
import ConsentLedger
package import ConsentModel
import Synchronization

/// The meaning of a node: answers from the index, changes through the ledger.
///
/// The way of a change: `judge → queue → one transaction for all that waits → index rows → acknowledgement →
/// subscribers`. One thread writes. A change is acknowledged only when it is durable and visible.
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
    ///   - systemNow: the system's clock.
    ///   - fatal: is told why the writer had to stop for good: the index cannot follow the ledger any more.
    /// - Throws: ``EngineError`` `locked`, ``LedgerError``, ``SystemError``. Nothing is left running.
    package init(
        _ folder: NodeFolder, identifiersExpected: Int = 0,
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
        questions = try QuestionQueue(threads: 2)
        subscribers = Mutex([:])
        writer = Mutex(nil)
        let clock = NodeClock(notBefore: try ledger.read { try $0.lastRecordedAt() }, system: systemNow())
        let revisionsDueAfter = try ledger.read { try $0.lastCatalogMoment() } ?? clock.now
        let state = WriterState(index: index, keys: keys, clock: clock, revisionsDueAfter: revisionsDueAfter)
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

    /// Is told of every group after it was acknowledged, in order, on the writer's thread: it must return at once.
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
    // Sendable because it is made before the writer's thread starts and used only there.
    private final class WriterState: @unchecked Sendable {
        let index: IndexWriter
        let keys: KeyMap
        var clock: NodeClock
        /// Revisions that become current after this moment are not recorded yet.
        var revisionsDueAfter: Timestamp
        /// When the next consent may end, as far as the ledger was asked and groups have told since.
        var nextEnd: Timestamp?
        var mustLookForEnds = true

        init(index: IndexWriter, keys: KeyMap, clock: NodeClock, revisionsDueAfter: Timestamp) {
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
                if isClosing { break }
                work.wait(timeoutMillis: Self.sweepMillis)
            }
        }
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

    /// What a committed group came to: acknowledgements are sent when the index has followed.
    private struct Committed {
        var head: ChainHead
        var rows: [RowChange]
        var keys: [IdempotencyKey: UInt64]
        /// When the first consent of these rows ends.
        var firstEnd: Timestamp?
        var catalog: AppliedCatalog?
        var acknowledgements: [() -> Void]
    }

    /// One transaction for all; if it fails, each change alone, so that one that cannot be stored takes nobody along.
    private func commit(_ changes: [Change], _ state: WriterState) {
        state.clock.tick(systemNow())
        let now = state.clock.now
        let before = state.index.appliedSequence
        do {
            let committed = try ledger.write {
                try run(changes, $0, state)
            }
            publish(committed, after: before, state)
            if committed.catalog != nil { state.revisionsDueAfter = max(state.revisionsDueAfter, now) }
        } catch {
            if changes.count > 1 {
                for change in changes { commit([change], state) }
            } else {
                changes[0].fail(.ledger(error))
            }
        }
    }

    private func run(
        _ changes: [Change], _ transaction: LedgerTransaction, _ state: WriterState
    ) throws -> Committed {
        let current = catalog
        var newCatalog: AppliedCatalog?
        let group = Group(
            transaction, index: state.index, keys: state.keys, hashKey: hashKey, catalog: current, clock: state.clock)
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
        let (rows, firstEnd) = try group.finish()
        return Committed(
            head: group.head, rows: rows, keys: group.newKeys, firstEnd: firstEnd, catalog: newCatalog,
            acknowledgements: results.map { $0(group.head) })
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
        let sequence = try group.apply(stored, document.catalog)
        try group.redecide(purposeBits: Set(affected.compactMap { document.catalog.purpose(id: $0)?.bit }))
        applied = AppliedCatalog(
            version: version, catalog: document.catalog, text: document.text, digest: document.digest)
        return CatalogResult(version: version, sequence: sequence, changes: changes.map(\.description))
    }

    /// Index, acknowledgements, subscribers. What is durable by now must become visible, so a failure here is the end:
    /// the index is closed to checks rather than left behind.
    private func publish(_ committed: Committed, after before: UInt64, _ state: WriterState) {
        do {
            for (key, sequence) in committed.keys { try state.keys.put(key, sequence) }
            state.keys.setApplied(committed.head)
            try follow(committed, state.index)
        } catch {
            fatal("the index cannot follow the ledger: \(error)")
            return
        }
        for acknowledge in committed.acknowledgements { acknowledge() }
        guard committed.head.sequence > before else { return }
        groupCount.add(1, ordering: .relaxed)
        if let end = committed.firstEnd { state.nextEnd = min(state.nextEnd ?? end, end) }
        let group = CommittedGroup(
            first: before + 1, last: committed.head.sequence, rows: committed.rows,
            catalogVersion: committed.catalog?.version)
        for receive in subscribers.withLock({ Array($0.values) }) { receive(group) }
    }

    private func follow(_ committed: Committed, _ index: IndexWriter) throws {
        if let new = committed.catalog {
            // Until every row has followed, only what both catalogs allow.
            let (old, next) = (catalog.defaults, new.defaults)
            try index.setDefaults(
                granted: old.granted.intersection(next.granted), denied: old.denied.union(next.denied))
        }
        for (position, change) in committed.rows.enumerated() {
            if position + 8 < committed.rows.count { index.prefetch(committed.rows[position + 8].hash) }
            try index.put(change.hash, change.row, owner: change.subject)
        }
        if let new = committed.catalog {
            applied.withLock { $0 = new }
            appliedVersion.store(new.version, ordering: .releasing)
            try index.setDefaults(granted: new.defaults.granted, denied: new.defaults.denied)
        }
        index.setApplied(sequence: committed.head.sequence, chain: committed.head.mark)
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
                state.nextEnd = try ledger.write { try $0.nextEnd() }
                state.mustLookForEnds = false
            }
            if let end = state.nextEnd, end <= now { try recordEnds(now: now, state) }
        } catch {
            // Checks keep every end by themselves; recording it is tried again at the next turn.
            state.mustLookForEnds = true
        }
    }

    private func recordEnds(now: Timestamp, _ state: WriterState) throws {
        try commitInternally(state) { group, transaction in
            for subject in try transaction.subjectsDue(at: now, countMax: Self.dueSubjectsMax) {
                try group.recordEnds(of: subject)
            }
        }
        state.mustLookForEnds = true
    }

    private func takeRevisionChange(_ due: Timestamp, _ state: WriterState) throws {
        try commitInternally(state) { group, _ in
            _ = group.recordRevisionChange(effectiveAt: due)
            let purposes = group.catalog.purposes(
                ofRevisionsEffectiveAfter: Timestamp(millis: due.millis - 1), until: due)
            try group.redecide(purposeBits: Set(purposes.compactMap { group.catalog.purpose(id: $0)?.bit }))
        }
        state.revisionsDueAfter = due
    }

    private func commitInternally(
        _ state: WriterState, _ body: (Group, LedgerTransaction) throws -> Void
    ) throws {
        let before = state.index.appliedSequence
        let committed = try ledger.write { transaction in
            let group = Group(
                transaction, index: state.index, keys: state.keys, hashKey: hashKey, catalog: catalog,
                clock: state.clock)
            try body(group, transaction)
            let (rows, firstEnd) = try group.finish()
            return Committed(
                head: group.head, rows: rows, keys: [:], firstEnd: firstEnd, catalog: nil, acknowledgements: [])
        }
        publish(committed, after: before, state)
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
