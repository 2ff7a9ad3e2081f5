package import ConsentCatalog
package import ConsentIndex
import ConsentKernel
import ConsentLedger
package import ConsentModel
import Synchronization

/// The meaning of a node: answers from the index, changes through the ledger.
///
/// The way of a change: `judge → queue → decide all that waits → one transaction for it → index rows → acknowledgement →
/// subscribers`. It is acknowledged only when it is durable and visible; see ``Writer``.
package final class Engine: Sendable {
    package let folder: NodeFolder
    package let identity: NodeIdentity
    package let hashKey: IdentifierHashKey
    /// Where readers of the index begin.
    package let publication: IndexPublication
    /// These, and the catalog that is in force.
    package let inService: InService
    /// How the index came to be usable when the engine opened.
    package let recovery: IndexRecovery
    /// Why the map of keys was made anew when the engine opened; nil where it was not.
    package let keysRebuilt: String?

    /// What to tell people of ``keysRebuilt``.
    package static func keysRebuilt(_ reason: String) -> String {
        "the map of keys was rebuilt from the ledger: \(reason)"
    }

    let ledger: Ledger
    private let lock: LockHolder
    let queue: ChangeQueue
    let traces: ErasureTraces
    let notary: Notary
    private let writer: Mutex<ConsentKernel.Thread?>
    private let questions: QuestionQueue
    /// Erasures that are stored, and wait until nothing is left of what they removed: questions must not wait with them.
    let tracesWaits: QuestionQueue
    private let damage: DamageWatch
    private let subscribers: Subscribers
    let systemNow: @Sendable () -> Timestamp
    private let startedAt = Clock.monotonicNanos()

    /// Events of a group that another thread stores, while it is decided about the next group. Fewer are stored sooner
    /// than another thread is woken.
    package static let overlapWeightMin = 1024

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
    ///   - fatal: is told, on any thread, why the node cannot go on; it must be closed.
    ///   - trouble: is told, on any thread, that the ledger cannot be written, as on a full disk, and when it can be again.
    /// - Throws: ``EngineError`` `locked`, ``LedgerError``, ``SystemError``. Nothing is left running. Damage of the ledger
    ///   is noted in the folder, which keeps the node closed.
    package convenience init(
        _ folder: NodeFolder, identifiersExpected: Int = 0, overlapWeightMin: Int = Engine.overlapWeightMin,
        progress: @Sendable (Int, Int) -> Void = { _, _ in },
        systemNow: @escaping @Sendable () -> Timestamp = { Timestamp(millis: Clock.realtimeMillis()) },
        trouble: @escaping @Sendable (String) -> Void = { _ in }, fatal: @escaping @Sendable (NodeFailure) -> Void
    ) throws {
        do {
            try self.init(
                opening: folder, identifiersExpected: identifiersExpected, overlapWeightMin: overlapWeightMin,
                progress: progress, systemNow: systemNow, trouble: trouble, fatal: fatal)
        } catch let error as LedgerError {
            if case .corrupt = error { try? folder.noteDamage("\(error)") }
            throw error
        }
    }

    private init(
        opening folder: NodeFolder, identifiersExpected: Int, overlapWeightMin: Int,
        progress: @Sendable (Int, Int) -> Void, systemNow: @escaping @Sendable () -> Timestamp,
        trouble: @escaping @Sendable (String) -> Void, fatal: @escaping @Sendable (NodeFailure) -> Void
    ) throws {
        guard folder.exists else { throw LedgerError.missing(path: folder.ledgerPath) }
        guard let lock = try folder.lock() else { throw EngineError.locked(path: folder.path) }
        damage = try DamageWatch(folder, trouble: trouble, fatal: fatal)
        self.folder = folder
        self.lock = LockHolder(lock)
        self.systemNow = systemNow
        ledger = try Ledger(path: folder.ledgerPath)
        identity = ledger.identity
        try Self.requireWholeEnd(ledger)
        hashKey = try folder.hashKey(of: identity)
        let catalog = try loadCatalog(ledger)
        let (index, recovery) = try openIndex(
            folder: folder, ledger: ledger, hashKey: hashKey, catalog: catalog, progress: progress)
        let keys = try KeyMap(folder, ledger: ledger, hashKey: hashKey)
        if identifiersExpected > 0 { try index.reserve(identifiers: index.rows + identifiersExpected) }
        self.recovery = recovery
        keysRebuilt = keys.rebuiltBecause
        publication = index.publication
        inService = InService(
            Service(identity: identity, hashKey: hashKey, publication: publication, catalog: catalog))
        subscribers = Subscribers(
            at: CommittedPoint(sequence: index.appliedSequence, chain: index.appliedChain, digest: index.digest))
        queue = try ChangeQueue()
        traces = ErasureTraces(pending: try ledger.read { try $0.erasuresPending() })
        questions = try QuestionQueue(threads: 2, name: "question")
        tracesWaits = try QuestionQueue(threads: 1, name: "erasure")
        notary = try Notary(folder, ledger, damage: damage, systemNow: systemNow) { [publication] in
            publication.current.appliedSequence
        }
        let writer = try Writer(
            ledger, hashKey: hashKey, index: index, in: folder.indexFolder, keys: keys, inService: inService,
            queue: queue, traces: traces, subscribers: subscribers, damage: damage, overlapWeightMin: overlapWeightMin,
            systemNow: systemNow, fatal: fatal)
        self.writer = Mutex(ConsentKernel.Thread(name: "writer") { writer.run() })
        notary.start()
    }

    /// The last events are what a crash of the machine or of the disk is likely to have torn. All of the chain is
    /// 'verify's to check: it takes longer than a node may take to open.
    private static func requireWholeEnd(_ ledger: Ledger) throws {
        try ledger.read { snapshot in
            let head = try snapshot.head().sequence
            try snapshot.walkChain(after: head - min(head, 1000)) { _, _ in }
        }
    }

    package var catalog: AppliedCatalog { inService.value.catalog }

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
        queue.submit(.record(judged, complete))
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
        queue.submit(.applyCatalog(document, complete))
    }

    func waitFor<Value: Sendable>(
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

    /// Is told of every group after it was acknowledged, in order, on the thread that stores: it must return at once.
    ///
    /// - Returns: a number to end the subscription with.
    package func subscribe(_ receive: @escaping @Sendable (CommittedGroup) -> Void) -> Int {
        subscribers.add(receive)
    }

    /// As above, of every group after the moment that `begin` is told of.
    package func subscribe(
        begin: (CommittedPoint) -> Void, _ receive: @escaping @Sendable (CommittedGroup) -> Void
    ) -> Int {
        subscribers.add(begin: begin, receive)
    }

    package func unsubscribe(_ number: Int) { subscribers.remove(number) }

    // MARK: Questions to the ledger

    /// Tells the engine of an error that a question met: a damaged ledger ends the node.
    package func notice(_ error: EngineError) { damage.report(error) }

    /// Runs a question beside the writer, on a thread for such work.
    ///
    /// - Throws: ``EngineError`` `busy` if too many wait.
    package func ask(_ question: @escaping @Sendable (Engine) -> Void) throws(EngineError) {
        try questions.submit { [self] in question(self) }
    }

    /// The first 8 bytes of an event's hash, which stands for the whole past; nil if there is no such event.
    package func chainMark(at sequence: UInt64) throws -> UInt64? {
        try ledger.read { try $0.chainHead(at: sequence)?.mark }
    }

    /// Everything that decides about one subject and one purpose now.
    package func explain(
        _ identifier: Identifier, purposeBit: Int
    ) throws -> (verdict: Verdict, purpose: Purpose, act: Act?, guardian: Guardian?, sequence: UInt64) {
        let catalog = catalog.catalog
        guard let purpose = catalog.purpose(bit: purposeBit) else {
            throw AdmissionError.purposeUnknown("bit \(purposeBit)")
        }
        let (standing, guardian, sequence, recordedAt) = try withSubject(identifiedBy: identifier) {
            subject, snapshot in
            let standing = subject?.standings[purposeBit]
            // The act that decides is told as the event that it is kept from.
            if let act = standing?.decidingAct { try snapshot.requireWhole(act.sequence) }
            let guardian = try subject.flatMap { try Self.guardian(behind: standing, of: $0, snapshot) }
            return (standing, guardian, try snapshot.head().sequence, try snapshot.lastRecordedAt())
        }
        // As the writer's clock, which made the row, and is never behind the last record.
        let now = max(systemNow(), recordedAt)
        let verdict = decide(standing ?? Standing(), catalog: catalog, purpose: purpose, at: now)
        return (verdict, purpose, standing?.decidingAct, guardian, sequence)
    }

    /// Who the guardian is that acted, or that confirmed what the person did.
    private static func guardian(
        behind standing: Standing?, of subject: SubjectRecord, _ snapshot: LedgerSnapshot
    ) throws -> Guardian? {
        guard let standing, let act = standing.decidingAct else { return nil }
        if act.party == .guardian { return try snapshot.event(act.sequence)?.event.guardian }
        guard standing.isConfirmedByGuardian else { return nil }
        var after = act.sequence
        while true {
            let page = try snapshot.events(of: subject, after: after, countMax: 100, withLinks: false)
            guard let last = page.last else { return nil }
            for case .consent(let event) in page where event.refersTo == act.sequence {
                if let guardian = event.event.guardian { return guardian }
            }
            after = last.sequence
        }
    }

    /// A subject's events after a sequence, oldest first; empty for a person that is not known.
    package func history(
        of identifier: Identifier, after: UInt64, countMax: Int
    ) throws -> (events: [RecordedEvent], head: UInt64) {
        try withSubject(identifiedBy: identifier) { subject, snapshot in
            let entries =
                try subject.map { try snapshot.events(of: $0, after: after, countMax: countMax, withLinks: false) }
                ?? []
            let events = entries.compactMap { if case .consent(let event) = $0 { event } else { nil } }
            return (events, try snapshot.head().sequence)
        }
    }

    /// As above, and what linked and unlinked identifiers.
    package func timeline(
        of identifier: Identifier, after: UInt64, countMax: Int
    ) throws -> (entries: [PersonEvent], head: UInt64) {
        try withSubject(identifiedBy: identifier) { subject, snapshot in
            let entries =
                try subject.map { try snapshot.events(of: $0, after: after, countMax: countMax, withLinks: true) } ?? []
            let told = entries.compactMap { entry -> PersonEvent? in
                switch entry {
                case .consent(let event): .consent(event)
                case .link(let link): .link(link)
                case .erasure: nil
                }
            }
            return (told, try snapshot.head().sequence)
        }
    }

    /// - Parameter body: gets nil for a person that is not known.
    func withSubject<Result>(
        identifiedBy identifier: Identifier, _ body: (SubjectRecord?, LedgerSnapshot) throws -> Result
    ) throws -> Result {
        let hash = hashKey.hash(identifier)
        while true {
            // The ledger is never behind the index, so a subject that is found here is there.
            let applied = publication.current.appliedSequence
            let owner = publication.current.owner(of: hash)
            let result: Result? = try ledger.read { snapshot in
                guard let owner else { return try body(nil, snapshot) }
                if let subject = try snapshot.subject(Int64(owner)), subject.has(hash) {
                    return try body(subject, snapshot)
                }
                // It may have changed hands meanwhile. Where nothing was recorded meanwhile, both say the same.
                guard try snapshot.head().sequence == applied else { return nil }
                throw LedgerError.corrupt(indexLeadsTo: owner)
            }
            if let result { return result }
            Wakeup.pause(millis: 1)
        }
    }

    /// What applying a catalog would change: in words, with the number of people whose consent would stop to count.
    package func preview(_ document: CatalogDocument) throws -> CatalogResult {
        let current = catalog
        // The writer's clock is never behind the last record, and what is in force by it stays as it is.
        let (recordedAt, isEmpty) = try ledger.read { (try $0.lastRecordedAt(), try $0.end().nextSubject == 1) }
        let moment = max(systemNow(), recordedAt)
        try current.requireNoConflict(with: document, at: moment, isEmpty: isEmpty)
        let changes = catalogChanges(from: current.catalog, to: document.catalog)
        let isSame = current.digest == document.digest
        let affected = Set(changes.flatMap(\.affectedPurposes)).compactMap { id in
            current.catalog.purpose(id: id).flatMap { old in
                document.catalog.purpose(bit: old.bit).map { EffectOnPeople(from: old, to: $0) }
            }
        }
        var effects = affected.sorted { $0.old.id < $1.old.id }
        if !effects.isEmpty, current.version > 0 {
            try ledger.read { snapshot in
                try snapshot.forEachSubject { subject in
                    for position in effects.indices {
                        effects[position].count(subject, from: current.catalog, to: document.catalog, at: moment)
                    }
                }
            }
        }
        let lines = effects.flatMap(\.lines)
        return CatalogResult(
            version: isSame ? current.version : current.version + 1, sequence: 0,
            // People first: of a long list, the end may be cut.
            changes: lines + (try notices(of: changes, in: document.catalog, at: moment)) + changes.map(\.description))
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
            ("groups_committed", subscribers.groupCount), ("events_read_to_decide", ledger.eventsRead),
            ("changes_turned_away", queue.refusedCount),
            ("erasures_pending", UInt64(try ledger.read { try $0.erasuresPending() }.count)),
            ("tokens_waiting", try ledger.read { try $0.waitingTokenCount() }),
            ("uptime_seconds", UInt64((Clock.monotonicNanos() - startedAt) / 1_000_000_000)),
        ]
    }

    /// Finishes what waits, refuses what comes, closes ledger and index in order, and leaves the node to the next engine.
    package func close() throws {
        queue.close()
        writer.withLock { thread in
            defer { thread = nil }
            return thread
        }?.join()
        questions.close()
        tracesWaits.close()
        defer { lock.release() }
        let signing = Result { try notary.close() }
        try ledger.close()
        try signing.get()
    }
}

/// For how many people a catalog changes the answer for a purpose.
private struct EffectOnPeople {
    let old: Purpose
    let new: Purpose
    private var losing = 0
    private var gaining = 0
    private var denied = 0

    init(from old: Purpose, to new: Purpose) {
        self.old = old
        self.new = new
    }

    mutating func count(
        _ subject: SubjectRecord, from oldCatalog: Catalog, to newCatalog: Catalog, at moment: Timestamp
    ) {
        let standing = subject.standings[old.bit]
        // Of who never said anything, only the basis says something, and a part or who was erased is nobody.
        guard standing != nil || old.basis != new.basis, subject.joinedTo == nil, !subject.isErased else { return }
        let before = decide(standing ?? Standing(), catalog: oldCatalog, purpose: old, at: moment).decision
        let after = decide(standing ?? Standing(), catalog: newCatalog, purpose: new, at: moment).decision
        if before == .granted, after != .granted { losing += 1 }
        if before != .granted, after == .granted { gaining += 1 }
        if after == .denied { denied += 1 }
    }

    var lines: [String] {
        func people(_ count: Int, _ one: String, _ many: String) -> String {
            "\(count) \(count == 1 ? "person \(one)" : "people \(many)") '\(old.id)'"
        }
        var lines = losing > 0 ? [people(losing, "loses", "lose") + " until asked again"] : []
        guard old.basis == .consent, new.basis != .consent else { return lines }
        lines.append(
            people(gaining, "gains", "gain") + " without having agreed to it"
                + (denied > 0 ? "; \(denied) who said no \(denied == 1 ? "is" : "are") denied it on" : ""))
        return lines
    }
}
