package import ConsentKernel
package import ConsentModel
import Synchronization

/// Where readers of this process find the newest generation.
package final class IndexPublication: Sendable {
    private let table: Mutex<IndexTable>
    /// Where to look for a newer one; nil where this process writes the index.
    private let folder: IndexFolder?
    private let keyCheck: UInt64

    init(_ table: IndexTable) {
        self.table = Mutex(table)
        folder = nil
        keyCheck = 0
    }

    /// Maps an index that another process writes.
    ///
    /// - Throws: ``IndexProblem`` if there is none that can be read.
    package init(mapping folder: IndexFolder, keyCheck: UInt64) throws {
        table = Mutex(
            try IndexTable.open(
                path: folder.currentPath, access: .readOnly, history: nil, keyCheck: keyCheck,
                hasOwners: false))
        self.folder = folder
        self.keyCheck = keyCheck
    }

    /// The newest generation that can be had. It is superseded only where another process writes the index and has not
    /// named the next one yet.
    package var current: IndexTable {
        table.withLock { table in
            if let folder, table.isSuperseded,
                let newer = try? IndexTable.open(
                    path: folder.currentPath, access: .readOnly, history: table.history, keyCheck: keyCheck,
                    hasOwners: false)
            {
                table = newer
            }
            return table
        }
    }

    func publish(_ newer: IndexTable) { table.withLock { $0 = newer } }
}

/// The files of an index in a folder: one generation at a time, and a link that names it.
///
///     index/current            → generation-7.cidx
///     index/generation-7.cidx  (and .cidx.owners)
///     index/purposes           which purpose has which bit, for those who map the index
package struct IndexFolder: Sendable {
    package let path: String

    package init(_ path: String) { self.path = path }

    package var currentPath: String { path + "/current" }

    package var purposesPath: String { path + "/purposes" }

    /// `consentd-purposes 1`, then a line for each purpose: its bit, a tab, its id.
    private static let purposesHeading = "consentd-purposes 1"

    /// Names the purposes, durably and at once.
    package func setPurposes(_ purposes: [(bit: Int, id: String)]) throws(SystemError) {
        let lines = [Self.purposesHeading] + purposes.map { "\($0.bit)\t\($0.id)" }
        try File.replace(purposesPath, with: Array((lines.joined(separator: "\n") + "\n").utf8))
    }

    /// - Throws: ``IndexProblem`` `purposesUnreadable` for another file or another format.
    package func purposes() throws -> [String: Int] {
        let lines = String(decoding: try File.read(purposesPath), as: UTF8.self).split(separator: "\n")
        guard lines.first == Self.purposesHeading[...] else { throw IndexProblem.purposesUnreadable }
        var bits: [String: Int] = [:]
        for line in lines.dropFirst() {
            let fields = line.split(separator: "\t", omittingEmptySubsequences: false)
            guard fields.count == 2, let bit = Int(fields[0]), (0..<Limit.purposesMax).contains(bit) else {
                throw IndexProblem.purposesUnreadable
            }
            bits[String(fields[1])] = bit
        }
        return bits
    }

    /// Names the purposes of a generation that is about to take the place of the current one. Where a bit is another
    /// purpose's from now on, the current one answers nothing any more before its readers can find the new names.
    package func setPurposesOfNext(_ purposes: [(bit: Int, id: String)]) throws(SystemError) {
        let next = Dictionary(purposes.map { ($0.id, $0.bit) }) { first, _ in first }
        let keepsBits = (try? self.purposes()).map { known in known.allSatisfy { next[$0.key] == $0.value } } ?? false
        if !keepsBits { IndexTable.supersede(fileAt: currentPath) }
        try setPurposes(purposes)
    }

    func filePath(generation: UInt64) -> String { path + "/" + Self.name(generation) }

    private static func name(_ generation: UInt64) -> String { "generation-\(generation).cidx" }

    /// Names the current generation, durably and at once.
    func setCurrent(_ generation: UInt64) throws(SystemError) {
        try File.replaceLink(currentPath, target: Self.name(generation))
    }

    /// Removes every other file, after telling whoever has one mapped to look again.
    func removeAll(but kept: UInt64) throws(SystemError) {
        let keptName = Self.name(kept)
        for name in try File.names(in: path) where name.hasPrefix("generation-") && !name.hasPrefix(keptName) {
            let file = path + "/" + name
            if name.hasSuffix(".cidx") { IndexTable.supersede(fileAt: file) }
            try File.remove(file)
        }
    }

    /// Removes one generation's files.
    func remove(_ generation: UInt64) throws(SystemError) {
        let file = filePath(generation: generation)
        for path in [file, IndexTable.ownersPath(file)] { try File.remove(path) }
    }

    /// The file that the link names, by its own name.
    package var currentFilePath: String { currentGeneration.map(filePath(generation:)) ?? currentPath }

    /// The current generation's number, from the link.
    var currentGeneration: UInt64? {
        guard let target = try? File.linkTarget(currentPath), target.hasPrefix("generation-"),
            target.hasSuffix(".cidx")
        else { return nil }
        return UInt64(target.dropFirst("generation-".count).dropLast(".cidx".count))
    }
}

/// The one writer of an index. Every change is visible to readers when the call returns.
package final class IndexWriter {
    private let folder: IndexFolder
    package let history: [UInt8]
    private let keyCheck: UInt64
    private var table: IndexTable
    package private(set) var publication: IndexPublication

    /// Opens the current generation.
    ///
    /// - Parameter history: the ledger's id; nil accepts any, where there is no ledger.
    /// - Throws: ``IndexProblem`` if it cannot be used and must be made anew with ``init(creating:…)``.
    package init(opening folder: IndexFolder, history: [UInt8]?, keyCheck: UInt64) throws {
        self.folder = folder
        self.keyCheck = keyCheck
        guard let generation = folder.currentGeneration else { throw IndexProblem.missing }
        table = try IndexTable.open(
            path: folder.filePath(generation: generation), access: .readWrite, history: history, keyCheck: keyCheck,
            hasOwners: true)
        self.history = table.history
        // Readers would never be content with it.
        guard !table.isSuperseded else { throw IndexProblem.superseded }
        if !table.isClean { table.recount() }
        // Bytes that changed on the disk or by hand must not become answers.
        guard table.counted() == table.totals else { throw IndexProblem.digestWrong }
        publication = IndexPublication(table)
        try folder.removeAll(but: table.generation)
        try table.markInUse(bootID: System.bootID())
    }

    /// Makes an empty index in place of whatever is there. Not published to other processes before ``publish()``.
    package init(
        creating folder: IndexFolder, history: [UInt8], keyCheck: UInt64, identifiers: Int, purposes: Int
    ) throws(SystemError) {
        self.folder = folder
        self.history = history
        self.keyCheck = keyCheck
        try File.createDirectory(folder.path)
        let generation = (folder.currentGeneration ?? 0) + 1
        table = try IndexTable.create(
            path: folder.filePath(generation: generation),
            geometry: IndexGeometry(identifiers: identifiers, purposes: purposes), generation: generation,
            history: history, keyCheck: keyCheck)
        publication = IndexPublication(table)
        try table.markInUse(bootID: System.bootID())
    }

    /// Names this generation as the current one and removes all others.
    package func publish() throws(SystemError) {
        try folder.setCurrent(table.generation)
        try folder.removeAll(but: table.generation)
    }

    /// Names this generation as the current one in place of that of another writer of this folder, whose readers find this
    /// one's rows from now on. The other writer must not be used afterwards.
    ///
    /// - Parameter keepsBits: whether each purpose has the bit that it had; else readers of this process that ask by the
    ///   bits of before get no answers from these rows.
    /// - Throws: if it could not be named; then the other one goes on as it was.
    package func takeOver(from older: IndexWriter, keepsBits: Bool) throws(SystemError) {
        try folder.setCurrent(table.generation)
        publication = older.publication
        table.lineage = older.table.lineage + (keepsBits ? 0 : 1)
        publication.publish(table)
        older.table.supersede()
        try folder.removeAll(but: table.generation)
    }

    /// Removes this generation, which was not published.
    package func discard() throws(SystemError) { try folder.remove(table.generation) }

    package var appliedSequence: UInt64 { table.appliedSequence }
    package var appliedChain: UInt64 { table.appliedChain }
    package var digest: UInt64 { table.digest }
    package var rows: Int { table.rows }
    package var totals: IndexTable.Totals { table.totals }
    package var fileSize: Int { table.geometry.fileSize }
    package var generation: UInt64 { table.generation }

    package func row(_ hash: IdentifierHash) -> IndexRow? { table.row(hash) }

    /// Fetches a row that ``put(_:_:)`` will want soon.
    package func prefetch(_ hash: IdentifierHash) { table.prefetch(hash) }

    /// Whose identifier this is, see ``IndexTable/owner(of:)``.
    package func owner(of hash: IdentifierHash) -> UInt32? { table.owner(of: hash) }

    /// Sets what an identifier's row says. Putting the same twice changes nothing.
    ///
    /// - Parameter owner: the subject in the ledger whose identifier it is; nil leaves it as it is, and a new row nobody's.
    /// - Throws: if the index had to grow and could not; then nothing was changed.
    package func put(_ hash: IdentifierHash, _ row: IndexRow, owner: UInt32? = nil) throws(SystemError) {
        var table = try roomy(for: row)
        try put(hash, row, owner: owner, into: &table)
    }

    /// As above, for what all of a person's identifiers say.
    ///
    /// - Throws: if the index had to grow and could not; then those before are put.
    package func put(_ hashes: ArraySlice<IdentifierHash>, _ row: IndexRow, owner: UInt32) throws(SystemError) {
        // Held once for all, as in put(_ row:).
        var table = try roomy(for: row)
        for hash in hashes { try put(hash, row, owner: owner, into: &table) }
    }

    /// The table, with room for all purposes of a row.
    @inline(__always)
    private func roomy(for row: IndexRow) throws(SystemError) -> IndexTable {
        precondition(row.sequence <= Limit.sequenceMax, "an index row has 40 bits for a sequence")
        let wordCount = max(row.permitted.wordCount, row.denied.wordCount)
        let table = table
        guard wordCount > table.geometry.words else { return table }
        return try grow(identifiers: table.rows, purposes: wordCount * 64)
    }

    @inline(__always)
    private func put(
        _ hash: IdentifierHash, _ row: IndexRow, owner: UInt32?, into table: inout IndexTable
    ) throws(SystemError) {
        if let slot = unsafe table.find(hash) {
            unsafe table.update(slot, to: row)
            if let owner { unsafe table.setOwner(slot, owner) }
            return
        }
        if table.usedSlots >= table.geometry.usedMax {
            table = try grow(identifiers: table.rows + 1, purposes: table.geometry.words * 64)
        }
        table.insert(hash, row, owner: owner ?? 0)
    }

    /// Sets what an identifier's row says, as another copy of the index has it.
    ///
    /// - Throws: if the index had to grow and could not; then nothing was changed.
    package func put(_ row: RawRow) throws(SystemError) {
        let wordsUsed = unsafe row.wordsUsed
        // Held once for the whole row: each use of the property counts a reference, of ten million rows half of the time.
        var table = table
        if wordsUsed > table.geometry.words { table = try grow(identifiers: table.rows, purposes: wordsUsed * 64) }
        if let slot = unsafe table.find(row.hash) {
            unsafe table.update(slot, to: row)
            return
        }
        if table.usedSlots >= table.geometry.usedMax {
            table = try grow(identifiers: table.rows + 1, purposes: table.geometry.words * 64)
        }
        unsafe table.insert(row)
    }

    /// The sequence of an identifier's row; nil if it has none.
    package func sequence(of hash: IdentifierHash) -> UInt64? {
        unsafe table.find(hash).map { unsafe table.sequence($0) }
    }

    /// What the totals will be when some rows have been put, see ``IndexTable/totals(after:)``.
    ///
    /// - Parameter outdatings: what has become of all rows before.
    package func totals(
        outdatings: [Outdating] = [], after changes: ((IdentifierHash, IndexRow, _ owner: UInt32) -> Void) -> Void
    ) -> IndexTable.Totals { table.totals(outdatings: outdatings, after: changes) }

    /// Takes from all rows what does not count any more, or says when it stops to. Each row changes as by
    /// ``put(_:_:owner:)``.
    package func outdate(_ outdatings: [Outdating]) { table.outdate(outdatings) }

    /// Removes an identifier's row; nothing happens if it has none.
    package func erase(_ hash: IdentifierHash) {
        if let slot = unsafe table.find(hash) { unsafe table.erase(slot) }
    }

    /// Sets what applies where a row says nothing.
    package func setDefaults(granted: PurposeSet, denied: PurposeSet) throws(SystemError) {
        let words = max(granted.wordCount, denied.wordCount)
        if words > table.geometry.words { try grow(identifiers: table.rows, purposes: words * 64) }
        table.setDefaults(granted: granted, denied: denied)
    }

    /// Says that every event up to one is in the rows.
    ///
    /// - Parameter chain: the first 8 bytes of that event's hash.
    package func setApplied(sequence: UInt64, chain: UInt64) { table.setApplied(sequence: sequence, chain: chain) }

    /// Says that the rows hold all that the authoritative node had at a moment.
    ///
    /// - Parameter bootMillis: of ``Clock/boottimeMillis()``, read no later than it was found to be so.
    package func vouch(at bootMillis: UInt64) { table.vouch(at: bootMillis) }

    package func setLiveMillis(_ millis: UInt64) { table.setLiveMillis(millis) }
    package func setRole(_ role: IndexRole) { table.setRole(role) }

    /// Sets for how long each purpose's answers count when they are not live any more, see
    /// ``IndexTable/setMaxStaleness(_:)``.
    package func setMaxStaleness(_ seconds: [Int: UInt32]) { table.setMaxStaleness(seconds) }

    package var defaults: (granted: PurposeSet, denied: PurposeSet) { table.defaults }
    package var vouchedAt: UInt64 { table.vouchedAt }

    /// Makes room for this many rows at once, which is cheaper than growing step by step.
    package func reserve(identifiers: Int) throws(SystemError) {
        guard identifiers > table.geometry.usedMax else { return }
        try grow(identifiers: identifiers, purposes: table.geometry.words * 64)
    }

    /// Builds the next generation beside this one, while checks go on, and publishes it.
    ///
    /// - Returns: the new table, which is the writer's from now on.
    @discardableResult
    private func grow(identifiers: Int, purposes: Int) throws(SystemError) -> IndexTable {
        let older = table
        let generation = older.generation + 1
        let newer = try IndexTable.create(
            path: folder.filePath(generation: generation),
            geometry: IndexGeometry(identifiers: max(identifiers, older.rows), purposes: purposes),
            generation: generation, history: history, keyCheck: keyCheck)
        newer.copyRows(of: older)
        newer.inheritHeader(of: older)
        newer.lineage = older.lineage
        let isPublished = folder.currentGeneration == older.generation
        if isPublished { try folder.setCurrent(generation) }
        table = newer
        publication.publish(newer)
        // Before the first change to the newer one: whoever reads the older one from now on looks again.
        older.supersede()
        // Until this index is published, the one before it is what other processes read.
        if isPublished { try folder.removeAll(but: generation) } else { try folder.remove(older.generation) }
        return newer
    }

    /// Makes the file durable and marks it as complete. The writer must not be used afterwards.
    package func close() throws(SystemError) { try table.close() }
}
