import ConsentIndex
import ConsentLedger
import ConsentModel

/// The way from an idempotency key to the event that was recorded with it: a mapped file like the index, derived from
/// the ledger like the index. A row's sequence is the event's. It is found by a part of the key's hash, so ask the event
/// for its key.
struct KeyMap {
    private let writer: IndexWriter
    private let hashKey: IdentifierHashKey
    /// Why it was made anew when the node opened; nil where it was not, or the ledger was empty.
    let rebuiltBecause: String?

    /// Opens the map of a node and makes it agree with the ledger.
    init(_ folder: NodeFolder, ledger: Ledger, hashKey: IdentifierHashKey) throws {
        self.hashKey = hashKey
        switch try Self.followed(folder, ledger, hashKey) {
        case .success(let known): (writer, rebuiltBecause) = (known, nil)
        case .failure(let unusable):
            let isNew = try ledger.read { try $0.head().sequence == 0 }
            writer = try Self.rebuilt(folder, ledger, hashKey)
            rebuiltBecause = isNew ? nil : unusable.reason
        }
    }

    /// Makes the map anew.
    init(rebuilding folder: NodeFolder, ledger: Ledger, hashKey: IdentifierHashKey) throws {
        self.hashKey = hashKey
        rebuiltBecause = nil
        writer = try Self.rebuilt(folder, ledger, hashKey)
    }

    /// Why what is there has to be made anew.
    private struct Unusable: Error { var reason: String }

    /// What is there, with what the ledger has more, if that is what the ledger says that it must be.
    private static func followed(
        _ folder: NodeFolder, _ ledger: Ledger, _ hashKey: IdentifierHashKey
    ) throws -> Result<IndexWriter, Unusable> {
        let known: IndexWriter
        do {
            known = try IndexWriter(
                opening: folder.keysFolder, history: ledger.identity.history, keyCheck: hashKey.check)
        } catch let problem as IndexProblem {
            return .failure(Unusable(reason: "\(problem)"))
        }
        // Ahead of the ledger, or behind another past than the ledger's: a backup was restored.
        let chain = try ledger.read { try $0.chainHead(at: known.appliedSequence) }
        guard known.appliedSequence == 0 || chain?.mark == known.appliedChain else {
            return .failure(Unusable(reason: "it was derived from another past of this ledger"))
        }
        let isRight = try ledger.read { snapshot in
            try follow(snapshot, known, hashKey)
            return try snapshot.totals(of: .keys) == DerivedTotals(known.totals)
        }
        return isRight ? .success(known) : .failure(Unusable(reason: "its rows are not those that the ledger names"))
    }

    private static func rebuilt(
        _ folder: NodeFolder, _ ledger: Ledger, _ hashKey: IdentifierHashKey
    ) throws -> IndexWriter {
        let new = try create(folder, ledger, hashKey)
        try ledger.read { snapshot in
            try follow(snapshot, new, hashKey)
            guard try snapshot.totals(of: .keys) == DerivedTotals(new.totals) else {
                throw LedgerError.corrupt(derived: .keys)
            }
        }
        return new
    }

    private static func create(
        _ folder: NodeFolder, _ ledger: Ledger, _ hashKey: IdentifierHashKey
    ) throws -> IndexWriter {
        let writer = try IndexWriter(
            creating: folder.keysFolder, history: ledger.identity.history, keyCheck: hashKey.check, identifiers: 0,
            purposes: 1)
        try writer.publish()
        return writer
    }

    /// Takes in what the ledger has more.
    private static func follow(
        _ snapshot: LedgerSnapshot, _ writer: IndexWriter, _ hashKey: IdentifierHashKey
    ) throws {
        let head = try snapshot.head()
        guard head.sequence > writer.appliedSequence else { return }
        try snapshot.forEachKey(after: writer.appliedSequence) { key, sequence in
            try writer.put(hashKey.hash(key), row(sequence))
        }
        writer.setApplied(sequence: head.sequence, chain: head.mark)
    }

    private static func row(_ sequence: UInt64) -> IndexRow {
        var row = IndexRow()
        row.sequence = sequence
        return row
    }

    /// The event that may have been recorded with a key.
    /// May be asked by any thread, also while another one puts.
    func sequence(of key: IdempotencyKey) -> UInt64? { writer.publication.current.row(hashKey.hash(key))?.sequence }

    func put(_ key: IdempotencyKey, _ sequence: UInt64) throws {
        try writer.put(hashKey.hash(key), Self.row(sequence))
    }

    /// What the map will hold with some more keys.
    func totals(after newKeys: [IdempotencyKey: UInt64]) -> IndexTable.Totals {
        writer.totals { put in
            for (key, sequence) in newKeys { put(hashKey.hash(key), Self.row(sequence), 0) }
        }
    }

    func setApplied(_ head: ChainHead) { writer.setApplied(sequence: head.sequence, chain: head.mark) }

    func close() throws { try writer.close() }
}
