package import ConsentIndex
import ConsentKernel
package import ConsentModel
package import ConsentWire

/// A replica's rows in a mapped index, which answers while it is changed.
package final class IndexStore: ReplicaStore {
    private let folder: EdgeFolder
    /// Says why a catalog is not answered by, if it is not.
    private let judge: @Sendable (SyncCatalog) -> String?
    private var live: IndexWriter
    private var beside: IndexWriter?
    private var liveCatalog: SyncCatalog
    private var besideCatalog = SyncCatalog.none
    package private(set) var hashKey: [UInt8]
    private var besideHashKey: [UInt8] = []
    package private(set) var history: ID16
    /// Where readers of this process begin; the same for the life of the store.
    package let publication: IndexPublication
    /// Why what was in the folder could not be used; nil if it could, or there was nothing.
    package let problem: String?
    /// Is called before other rows take the place of those that answer.
    var willTakeOver: () -> Void = {}

    /// Opens what is in the folder if it proves itself; else begins with nothing, which answers nothing.
    ///
    /// - Throws: if not even an empty index can be made.
    package init(_ folder: EdgeFolder, judge: @escaping @Sendable (SyncCatalog) -> String? = { _ in nil }) throws {
        self.folder = folder
        self.judge = judge
        try File.createDirectory(folder.path)
        // Both stand there from the first snapshot on.
        let isNew = folder.hashKey() == nil && folder.catalog() == nil
        do {
            (live, liveCatalog, hashKey) = try Self.open(folder, judge)
            history = ID16(bytes: live.history)
            problem = nil
        } catch let unusable where unusable is IndexProblem || unusable is StoreFailure {
            live = try IndexWriter(
                creating: folder.indexFolder, history: ID16.zero.bytes, keyCheck: 0, identifiers: 0, purposes: 1)
            live.setRole(.edge)
            // In place of what others may have mapped.
            try live.publish()
            (liveCatalog, hashKey) = (.none, [UInt8](repeating: 0, count: IdentifierHashKey.size))
            history = .zero
            problem = isNew ? nil : "\(unusable)"
        }
        live.setRole(.edge)
        publication = live.publication
    }

    private static func open(
        _ folder: EdgeFolder, _ judge: (SyncCatalog) -> String?
    ) throws -> (IndexWriter, SyncCatalog, [UInt8]) {
        guard let hashKey = folder.hashKey(), let catalog = folder.catalog() else { throw IndexProblem.missing }
        if let why = judge(catalog) { throw StoreFailure(why) }
        let writer = try IndexWriter(
            opening: folder.indexFolder, history: nil, keyCheck: IdentifierHashKey(bytes: hashKey).check)
        try keeping { () throws(SystemError) in try bound(writer, by: catalog, in: folder.indexFolder) }
        return (writer, catalog, hashKey)
    }

    /// Neither the header's checksum nor the digest holds what says for whom and for how long answers count: it counts no
    /// further than the catalog goes, which has proved itself. It may well say less, where the next catalog had begun to
    /// come.
    private static func bound(
        _ writer: IndexWriter, by catalog: SyncCatalog, in folder: IndexFolder
    ) throws(SystemError) {
        let (table, defaults) = (writer.publication.current, writer.defaults)
        writer.setLiveMillis(IndexTable.liveMillisDefault)
        writer.setMaxStaleness(
            Dictionary(
                uniqueKeysWithValues: catalog.maxStaleness.map { bit, seconds in
                    (bit, UInt32(min(UInt64(seconds), table.maxStalenessSeconds(purposeBit: bit))))
                }))
        // No upstream can vouch for a moment before one that is still to come.
        if writer.vouchedAt > Clock.boottimeMillis() { writer.vouch(at: 0) }
        try writer.setDefaults(
            granted: defaults.granted.intersection(catalog.grantedDefaults),
            denied: defaults.denied.union(catalog.deniedDefaults))
        try folder.setPurposes(catalog.purposes.map { ($0.bit, $0.id) })
    }

    private func writer(_ target: ReplicaTarget) -> IndexWriter {
        switch target {
        case .live: return live
        case .beside:
            guard let beside else { preconditionFailure("no snapshot was begun") }
            return beside
        }
    }

    package var vouchedAt: UInt64 { live.vouchedAt }

    package func point(_ target: ReplicaTarget) -> SyncPoint {
        let writer = writer(target)
        return SyncPoint(
            sequence: writer.appliedSequence, chain: writer.appliedChain, digest: writer.digest ^ catalog(target).mark)
    }

    package func catalog(_ target: ReplicaTarget) -> SyncCatalog { target == .live ? liveCatalog : besideCatalog }

    package func defaults(_ target: ReplicaTarget) -> (granted: PurposeSet, denied: PurposeSet) {
        writer(target).defaults
    }

    package func sequence(of row: SyncRow, _ target: ReplicaTarget) -> UInt64? {
        writer(target).sequence(of: RawRow(row).hash)
    }

    package func put(_ row: SyncRow, _ target: ReplicaTarget) throws(StoreFailure) {
        let writer = writer(target)
        try Self.keeping { () throws(SystemError) in try writer.put(RawRow(row)) }
    }

    package func put(_ rows: SyncRows, _ target: ReplicaTarget) throws(StoreFailure) {
        let writer = writer(target)
        try Self.keeping { () throws(SystemError) in
            for position in 0..<rows.count { try writer.put(RawRow(rows[position])) }
        }
    }

    package func erase(_ row: SyncRow, _ target: ReplicaTarget) {
        writer(target).erase(RawRow(row).hash)
    }

    package func setDefaults(
        granted: PurposeSet, denied: PurposeSet, _ target: ReplicaTarget
    ) throws(StoreFailure) {
        let writer = writer(target)
        try Self.keeping { () throws(SystemError) in try writer.setDefaults(granted: granted, denied: denied) }
    }

    package func setMaxStaleness(_ seconds: [Int: UInt32], _ target: ReplicaTarget) {
        writer(target).setMaxStaleness(seconds)
    }

    package func setCatalog(_ catalog: SyncCatalog, _ target: ReplicaTarget) throws(StoreFailure) {
        if let why = judge(catalog) { throw StoreFailure(why) }
        guard target == .live else {
            besideCatalog = catalog
            return
        }
        try Self.keeping { [folder] () throws(SystemError) in
            try folder.setCatalog(catalog)
            try folder.indexFolder.setPurposes(catalog.purposes.map { ($0.bit, $0.id) })
        }
        liveCatalog = catalog
    }

    package func setApplied(sequence: UInt64, chain: UInt64, _ target: ReplicaTarget) {
        writer(target).setApplied(sequence: sequence, chain: chain)
    }

    package func vouch(at bootMillis: UInt64) { live.vouch(at: bootMillis) }

    package func begin(_ snapshot: SnapshotBegun, history: ID16, hashKey: [UInt8]) throws(StoreFailure) {
        discard()
        let folder = folder
        let writer = try Self.keeping { () throws(SystemError) in
            try IndexWriter(
                creating: folder.indexFolder, history: history.bytes,
                keyCheck: IdentifierHashKey(bytes: hashKey).check, identifiers: Int(clamping: snapshot.rows),
                purposes: Int(snapshot.words) * 64)
        }
        writer.setRole(.edge)
        (beside, besideCatalog, besideHashKey) = (writer, .none, hashKey)
    }

    package func discard() {
        guard let beside else { return }
        self.beside = nil
        // What cannot be removed now is removed when a snapshot takes over.
        try? beside.discard()
    }

    package func takeOver() throws(StoreFailure) {
        guard let beside else { preconditionFailure("no snapshot was begun") }
        let (folder, older, catalog, hashKey) = (folder, live, besideCatalog, besideHashKey)
        let keepsBits = catalog.keepsBits(of: liveCatalog)
        willTakeOver()
        try Self.keeping { () throws(SystemError) in
            // First, as rows whose bits are those of other purposes answer nothing from then on, whatever happens next.
            try folder.indexFolder.setPurposesOfNext(catalog.purposes.map { ($0.bit, $0.id) })
            try File.replace(folder.keyPath, with: hashKey)
            try folder.setCatalog(catalog)
            try beside.takeOver(from: older, keepsBits: keepsBits)
        }
        (live, liveCatalog, self.hashKey) = (beside, catalog, hashKey)
        history = ID16(bytes: beside.history)
        self.beside = nil
    }

    /// Makes what answers durable, and says so in it. The store must not be used afterwards.
    package func close() throws {
        discard()
        if history != .zero { try live.close() }
    }

    private static func keeping<Value>(_ body: () throws(SystemError) -> Value) throws(StoreFailure) -> Value {
        do {
            return try body()
        } catch {
            throw StoreFailure("\(error)")
        }
    }
}

extension RawRow {
    init(_ row: SyncRow) {
        self.init(first: row.first, second: row.second, place: row.place, words: row.words, bits: row.bits)
    }
}

extension SyncRow {
    init(_ row: RawRow) {
        self.init(
            first: row.first, second: row.second, place: row.place, isAbsent: false, words: row.words, bits: row.bits)
    }
}
