import ConsentIndex
import ConsentKernel
import ConsentLedger
import ConsentModel
import Synchronization

// Making the index anew from what the ledger keeps of each subject: `read → batches → rows`. One thread reads the ledger,
// the other makes the file and fills it; each takes about half of the time.

/// Makes the index anew. Nobody writes to the ledger meanwhile.
func rebuildIndex(
    folder: NodeFolder, ledger: Ledger, hashKey: IdentifierHashKey, catalog: AppliedCatalog,
    progress: (Int, Int) -> Void
) throws -> IndexWriter {
    let (totals, head) = try ledger.read { (try $0.totals(of: .index), try $0.head()) }
    let batches = try SubjectBatches()
    let reader = ConsentKernel.Thread(name: "rebuild") { batches.fill(from: ledger) }
    defer {
        batches.abandon()
        reader.join()
    }
    let index = try IndexWriter(
        creating: folder.indexFolder, history: ledger.identity.history, keyCheck: hashKey.check,
        identifiers: totals.rows, purposes: (catalog.catalog.purposes.last?.bit ?? 0) + 1)
    try index.setDefaults(granted: catalog.defaults.granted, denied: catalog.defaults.denied)
    index.setMaxStaleness(catalog.maxStaleness)
    try folder.indexFolder.setPurposesOfNext(catalog.purposeBits)
    var done = 0
    while let batch = try batches.next() {
        try batch.put(into: index)
        done += batch.hashes.count
        progress(done, totals.rows)
    }
    guard totals == DerivedTotals(index.totals) else { throw LedgerError.corrupt(derived: .index) }
    index.setApplied(sequence: head.sequence, chain: head.mark)
    try index.publish()
    return index
}

/// Some subjects with their identifiers, as they were read.
private struct SubjectBatch: Sendable {
    struct Subject {
        var number: UInt32
        var row: IndexRow
        /// How many of the hashes are its own; those of the subjects before it come first.
        var identifiers: Int
    }

    var subjects: [Subject] = []
    var hashes: [IdentifierHash] = []

    static let identifiersMax = 8192

    init() { hashes.reserveCapacity(Self.identifiersMax + 16) }

    mutating func add(_ number: Int64, _ identifiers: UnsafeRawBufferPointer, _ projection: Projection) {
        let before = hashes.count
        SubjectRecord.forEachIdentifier(in: identifiers) { hashes.append($1) }
        subjects.append(
            Subject(number: UInt32(number), row: IndexRow(projection), identifiers: hashes.count - before))
    }

    /// Rows are put some steps after their lines were asked for, so that memory answers meanwhile.
    func put(into index: IndexWriter) throws {
        let ahead = 16
        // Held once for all: each use of the writer's counts a reference.
        let table = index.publication.current
        for hash in hashes.prefix(ahead) { table.prefetch(hash) }
        var position = 0
        for subject in subjects {
            let end = position + subject.identifiers
            for next in position + ahead..<max(position + ahead, min(end + ahead, hashes.count)) {
                table.prefetch(hashes[next])
            }
            try index.put(hashes[position..<end], subject.row, owner: subject.number)
            position = end
        }
    }
}

/// Subjects on their way from the thread that reads to the one that fills. What waits is bounded, but so large that the
/// reader has enough to do while the file is made.
private final class SubjectBatches: Sendable {
    private struct State {
        var waiting: [SubjectBatch] = []
        /// Set when all was read, or reading failed.
        var outcome: Result<Void, any Error>?
        var isAbandoned = false
    }

    /// About 150 MB.
    private static let waitingMax = 512

    private let state = Mutex(State())
    private let arrived: Wakeup
    private let taken: Wakeup

    private struct Abandoned: Error {}

    init() throws(SystemError) {
        arrived = try Wakeup()
        taken = try Wakeup()
    }

    /// On the reading thread.
    func fill(from ledger: Ledger) {
        let outcome = Result {
            try ledger.read { snapshot in
                var batch = SubjectBatch()
                try snapshot.forEachProjection { number, identifiers, projection in
                    batch.add(number, identifiers, projection)
                    guard batch.hashes.count >= SubjectBatch.identifiersMax else { return }
                    try add(batch)
                    batch = SubjectBatch()
                }
                try add(batch)
            }
        }
        state.withLock { $0.outcome = outcome.mapError { $0 as any Error } }
        arrived.raise()
    }

    /// - Throws: if nobody wants them any more.
    private func add(_ batch: SubjectBatch) throws {
        while true {
            let isAdded = try state.withLock { state in
                if state.isAbandoned { throw Abandoned() }
                guard state.waiting.count < Self.waitingMax else { return false }
                state.waiting.append(batch)
                return true
            }
            if isAdded { break }
            taken.wait(timeoutMillis: -1)
        }
        arrived.raise()
    }

    /// The next ones; nil when there are no more.
    func next() throws -> SubjectBatch? {
        while true {
            let (batch, outcome) = state.withLock { state in
                (state.waiting.isEmpty ? nil : state.waiting.removeFirst(), state.outcome)
            }
            if let batch {
                taken.raise()
                return batch
            }
            if let outcome {
                try outcome.get()
                return nil
            }
            arrived.wait(timeoutMillis: -1)
        }
    }

    /// Ends the reading, if it is still under way.
    func abandon() {
        state.withLock { $0.isAbandoned = true }
        taken.raise()
    }
}
