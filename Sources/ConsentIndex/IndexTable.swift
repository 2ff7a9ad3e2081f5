import CKernel
package import ConsentKernel
package import ConsentModel

// One generation of the index: a file of two header pages and rows, all words little-endian.
//
//     OFFSET  SIZE  FIELD             MEANING
//     0       8     magic             "CNSDIDX1"
//     8       8     format version    2
//     16      16    history id        of the ledger that it was derived from
//     32      8     key check         of the key of the identifier hashes
//     40      8     words             of each row's bitsets: 1, 3, 7 or 15
//     48      8     slots             rows that there is room for
//     56      8     generation        rises by one with each file
//     64      8     checksum          over the 64 bytes above
//     136     8     applied sequence  every event up to it is in the rows
//     144     8     applied chain     first 8 bytes of that event's hash
//     152     8     digest            XOR over all rows
//     160     8     used slots        with rows or with what is left of erased ones
//     168     8     rows
//     176     8     clean             1: closed in order, and everything was durable
//     184     36    boot id           of the kernel that the writer ran on
//     256     120   granted defaults  for purposes that rest on another basis than consent
//     376     120   denied defaults   for purposes that were retired
//     496     8     owners digest     XOR over all rows' places and subjects
//     512     8     version           of the defaults: odd while they change; all ones: superseded, look for a newer file
//     576     8     vouched at        CLOCK_BOOTTIME in milliseconds: the rows hold all that the authoritative node had then;
//                                     0: never
//     584     8     live millis       for how long after that an answer counts as live
//     592     8     role              0 authoritative, 1 edge
//     4096    3840  max staleness     u32 a purpose: for how many seconds an answer counts when it is not live any more
//     8192    …     rows              16 (words + 1) bytes each, aligned to their size
//
// Who maps the file without writing it loads vouched at before the rows and the clock after them, so that sleeping in
// between makes an answer older and never younger. The clock is not the one that can be set, and it begins anew with
// each boot: what was vouched for is worth nothing under another boot id, so a writer sets vouched at to 0 before it
// puts its own boot id.
//
// A row's home is (place · lines) >> 32, where its place is the upper half of the hash's other word and a line holds the
// rows of 64 bytes, at least one; if taken, the next free slot. Places stand in a file beside it, the owners, of eight
// bytes a slot: place u32, then the row's subject in the ledger u32 (0: not known here). Growth moves rows by their
// places, the writer finds by them whose identifier one is, and no check needs them.
//
// A row:
//
//     0       8     tag and sequence  56 bits of the identifier's hash; upper 8 bits of the last change's sequence
//     8       8     sequence and end  lower 32 bits of that sequence; the row's earliest end in seconds (all ones: none)
//     16      8·w   permitted         consents that hold
//     …       8·w   denied            purposes with a standing no
//
// A tag of 0 is a free slot, 1 an erased row. A slot belongs to one tag for the life of the file: an erased row's slot
// is only free again in the next generation. Readers load sequence and end, then permitted, then denied, then sequence
// and end again, and start over if these have changed: or else one row's end could be taken for another row's consents.
// The writer clears permitted bits before anything else changes, and sets them last; every change has a sequence of its
// own. Around all of this a reader loads the version, and starts over if it was odd or has changed: a row of one catalog
// must not be read with the defaults of another.

/// How rows lie in a file.
package struct IndexGeometry: Equatable, Sendable {
    /// Of each bitset.
    package let words: Int
    package let slots: Int

    /// Rows per identifier: more than this share of used slots makes lookups long.
    static let loadMax = 0.82
    /// The share of used slots in a new generation.
    static let loadNew = 0.74
    static let slotsMin = 1024

    init(words: Int, slots: Int) {
        self.words = words
        self.slots = slots
    }

    /// Room for this many rows and purposes.
    package init(identifiers: Int, purposes: Int) {
        // Rows of 32, 64, 128 and 256 bytes: up to 64 bytes a row never straddles a cache line.
        let words = [1, 3, 7, 15].first { $0 * 64 >= purposes }
        precondition(words != nil, "a catalog has at most \(Limit.purposesMax) purposes")
        self.words = words!
        let wanted = max(Self.slotsMin, Int(Double(identifiers) / Self.loadNew) + 1)
        // Whole lines, so that a home line lies within the file.
        slots = (wanted + 1) & ~1
    }

    var rowSize: Int { 16 * (words + 1) }
    var slotsPerLine: Int { max(1, 64 / rowSize) }
    package var fileSize: Int { IndexTable.headerSize + slots * rowSize }
    var usedMax: Int { Int(Double(slots) * Self.loadMax) }
}

/// What one row says.
package struct IndexRow: Equatable, Sendable {
    package var permitted = PurposeSet()
    package var denied = PurposeSet()
    /// The earliest end of a consent in `permitted`, in seconds since 1970; `never` if none ends.
    package var endsAt: UInt32 = never
    /// Of the last change.
    package var sequence: UInt64 = 0

    package static let never: UInt32 = .max

    package init() {}

    /// What it says when consents have become outdated for everybody; nil if it stays as it is.
    package func outdated(by outdatings: [Outdating]) -> IndexRow? {
        var row = self
        var isChanged = false
        for outdating in outdatings where !row.permitted.isDisjoint(with: outdating.purposes) {
            isChanged = true
            row.sequence = outdating.sequence
            if let end = outdating.endsAt {
                row.endsAt = min(row.endsAt, UInt32(clamping: end.secondsRoundedDown))
            } else {
                row.permitted.subtract(outdating.purposes)
            }
        }
        if row.permitted.isEmpty { row.endsAt = IndexRow.never }
        return isChanged ? row : nil
    }
}

/// A row as it lies in a file, on its way from one copy of an index to another: see the layout above.
@unsafe package struct RawRow {
    /// Tag, and the upper 8 bits of the sequence.
    package let first: UInt64
    /// The lower 32 bits of the sequence, and the end.
    package let second: UInt64
    package let place: UInt32
    /// Of each bitset.
    package let words: Int
    /// Permitted, then denied; little-endian, and not aligned.
    package let bits: UnsafeRawPointer

    /// - Precondition: the tag is one that rows have.
    package init(first: UInt64, second: UInt64, place: UInt32, words: Int, bits: UnsafeRawPointer) {
        precondition(first & IndexView.tagMask > IndexView.erasedTag, "no row has this tag")
        unsafe self.first = first
        unsafe self.second = second
        unsafe self.place = place
        unsafe self.words = words
        unsafe self.bits = bits
    }

    package var sequence: UInt64 { unsafe (first & 0xFF) << 32 | second & 0xFFFF_FFFF }
    /// All of the hash that an index keeps.
    package var hash: IdentifierHash {
        unsafe IdentifierHash(high: first & IndexView.tagMask, low: UInt64(place) << 32)
    }

    func permitted(_ position: Int) -> UInt64 { unsafe position < words ? word(position) : 0 }
    func denied(_ position: Int) -> UInt64 { unsafe position < words ? word(words + position) : 0 }

    private func word(_ position: Int) -> UInt64 {
        unsafe UInt64(littleEndian: bits.loadUnaligned(fromByteOffset: position << 3, as: UInt64.self))
    }

    /// Words of a bitset that say anything.
    var wordsUsed: Int {
        var used = unsafe words
        while used > 1, unsafe permitted(used - 1) | denied(used - 1) == 0 { used -= 1 }
        return used
    }
}

/// Whether a file can be used as it is.
package enum IndexProblem: Error, Equatable, CustomStringConvertible {
    case missing
    case notAnIndex
    case formatVersion(UInt64)
    case headerDamaged
    case sizeWrong(Int, expected: Int)
    case anotherHistory
    case anotherKey
    case uncleanFromAnotherBoot
    case digestWrong
    case superseded
    case purposesUnreadable

    package var description: String {
        switch self {
        case .missing: "there is none yet"
        case .notAnIndex: "the file is not an index"
        case .formatVersion(let version): "it has format version \(version); this program reads 2"
        case .headerDamaged: "its header does not match its checksum"
        case .sizeWrong(let size, let expected): "it has \(size) bytes where its header says \(expected)"
        case .anotherHistory: "it was derived from another ledger"
        case .anotherKey: "it was built with another hash key"
        case .uncleanFromAnotherBoot:
            "it names neither an orderly close nor this start of the machine: the machine went down, or the file was changed"
        case .digestWrong: "its rows or their owners do not match their digest"
        case .superseded: "it says that a newer one has taken its place"
        case .purposesUnreadable: "its list of purposes is not one that this program reads"
        }
    }
}

/// What a reader needs of a generation, as plain addresses: nothing on the path of a check counts references. Valid as
/// long as the table that it is of.
@safe struct IndexView {
    fileprivate typealias Offset = IndexTable.Offset

    static let tagMask: UInt64 = ~0xFF
    static let erasedTag: UInt64 = 1 << 8

    fileprivate let base: UnsafeMutablePointer<UInt64>
    fileprivate let firstRow: UnsafeMutablePointer<UInt64>
    /// Of each bitset.
    let words: Int
    fileprivate let rowWords: Int
    fileprivate let slots: Int
    fileprivate let slotsPerLine: Int
    fileprivate let lines: UInt64

    fileprivate init(_ mapping: MappedFile, _ geometry: IndexGeometry) {
        unsafe base = mapping.base.assumingMemoryBound(to: UInt64.self)
        unsafe firstRow = base + IndexTable.headerSize / 8
        words = geometry.words
        rowWords = geometry.rowSize / 8
        slots = geometry.slots
        slotsPerLine = geometry.slotsPerLine
        lines = UInt64(geometry.slots / geometry.slotsPerLine)
    }

    @inline(__always)
    fileprivate func word(_ offset: Int) -> UInt64 { unsafe ckernel_load(base + offset >> 3) }

    /// Odd while row and defaults may not belong together.
    @inline(__always)
    var version: UInt64 { word(Offset.version) }
    @inline(__always)
    var isSuperseded: Bool { version == IndexTable.supersededVersion }
    @inline(__always)
    var appliedSequence: UInt64 { word(Offset.appliedSequence) }
    @inline(__always)
    func grantedDefaults(word position: Int) -> UInt64 { word(Offset.grantedDefaults + position * 8) }
    var keyCheck: UInt64 { word(Offset.keyCheck) }
    var vouchedAt: UInt64 { word(Offset.vouchedAt) }
    var liveMillis: UInt64 { word(Offset.liveMillis) }
    /// Two purposes to a word.
    func maxStalenessSeconds(purposeBit bit: Int) -> UInt64 {
        word(Offset.maxStaleness + bit / 2 * 8) >> UInt64(bit % 2 * 32) & 0xFFFF_FFFF
    }
    var bootID: BootID {
        BootID(
            words: (
                word(Offset.bootID), word(Offset.bootID + 8), word(Offset.bootID + 16), word(Offset.bootID + 24),
                word(Offset.bootID + 32) & 0xFFFF_FFFF
            ))
    }
    @inline(__always)
    func deniedDefaults(word position: Int) -> UInt64 { word(Offset.deniedDefaults + position * 8) }

    /// A row's place in the file.
    @unsafe struct Slot {
        fileprivate let words: UnsafeMutablePointer<UInt64>
    }

    @inline(__always)
    func homeSlot(place: UInt32) -> Int {
        Int(truncatingIfNeeded: (UInt64(place) &* lines) >> 32) &* slotsPerLine
    }

    @inline(__always)
    static func place(_ hash: IdentifierHash) -> UInt32 { UInt32(truncatingIfNeeded: hash.low >> 32) }

    @inline(__always)
    static func tag(_ hash: IdentifierHash) -> UInt64 {
        let tag = hash.high & tagMask
        return tag > erasedTag ? tag : tag &+ (2 << 8)
    }

    /// Asks the processor to fetch the two lines where nearly all rows are: their home and the next one. A third of all
    /// rows lie in the second, which would cost another access to memory if it were only asked for when it is needed.
    @inline(__always)
    func prefetch(_ hash: IdentifierHash) {
        let home = unsafe firstRow + homeSlot(place: Self.place(hash)) &* rowWords
        unsafe ckernel_prefetch(home)
        unsafe ckernel_prefetch(home + 8)
    }

    /// Asks for the home line alone.
    @inline(__always)
    func prefetchHome(_ hash: IdentifierHash) {
        unsafe ckernel_prefetch(firstRow + homeSlot(place: Self.place(hash)) &* rowWords)
    }

    /// Asks for the line after the home where the row is not in its home, which is there by now.
    @inline(__always)
    func prefetchNext(_ hash: IdentifierHash) {
        let home = unsafe firstRow + homeSlot(place: Self.place(hash)) &* rowWords
        guard slotsPerLine == 2 else { return unsafe ckernel_prefetch(home + 8) }
        let tag = Self.tag(hash)
        let (first, second) = unsafe (ckernel_load(home), ckernel_load(home + rowWords))
        let isHere = ((first ^ tag) & Self.tagMask == 0) != ((second ^ tag) & Self.tagMask == 0)
        // Looked up, not branched to: which it is cannot be guessed.
        unsafe ckernel_prefetch(home + (isHere ? 0 : 8))
    }

    /// - Parameter fetchesNext: to ask for the line after the home at once, where nobody has before.
    @inline(__always)
    func find(_ hash: IdentifierHash, fetchesNext: Bool = true) -> Slot? {
        let tag = Self.tag(hash)
        var slot = homeSlot(place: Self.place(hash))
        let home = unsafe firstRow + slot &* rowWords
        if fetchesNext { unsafe ckernel_prefetch(home + 8) }
        if slotsPerLine == 2 {
            // Both rows of the home line at once: which of them it is cannot be guessed.
            let (first, second) = unsafe (ckernel_load(home), ckernel_load(home + rowWords))
            let isFirst = (first ^ tag) & Self.tagMask == 0
            let isSecond = (second ^ tag) & Self.tagMask == 0
            if isFirst != isSecond { return unsafe Slot(words: home + (isSecond ? rowWords : 0)) }
            // Slots of a line fill up in order, and are never empty again.
            if second == 0 { return nil }
            slot &+= 2
            if slot == slots { slot = 0 }
        }
        while true {
            let row = unsafe firstRow + slot &* rowWords
            let found = unsafe ckernel_load(row)
            if (found ^ tag) & Self.tagMask == 0 { return unsafe Slot(words: row) }
            if found == 0 { return nil }
            slot &+= 1
            if slot == slots { slot = 0 }
        }
    }

    /// One word of a row's bitsets and the row's end, as they belonged together at one moment. Loads in the order that
    /// the layout promises; another round means that the writer has changed the row meanwhile.
    @inline(__always)
    func state(_ slot: Slot, word position: Int) -> (endsAt: UInt32, permitted: UInt64, denied: UInt64) {
        var sequenceAndEnd = unsafe ckernel_load(slot.words + 1)
        while true {
            let (permitted, denied) = unsafe (permitted(slot, word: position), denied(slot, word: position))
            let now = unsafe ckernel_load(slot.words + 1)
            if now == sequenceAndEnd { return (UInt32(truncatingIfNeeded: now >> 32), permitted, denied) }
            sequenceAndEnd = now
        }
    }

    @inline(__always)
    func permitted(_ slot: Slot, word position: Int) -> UInt64 { unsafe ckernel_load(slot.words + 2 + position) }
    @inline(__always)
    func denied(_ slot: Slot, word position: Int) -> UInt64 {
        unsafe ckernel_load(slot.words + 2 + words + position)
    }
}

/// A mapped generation. All pointer arithmetic of the index stands in this file.
// Sendable though it is changed while others read: the order of stores above is what makes that right, and only the one
// writer calls the functions that change it.
@safe package final class IndexTable: @unchecked Sendable {
    static let headerSize = 8192
    /// What every format's header has at least: enough to tell which format it is, and to supersede the file.
    private static let pageSize = 4096
    package static let liveMillisDefault: UInt64 = 5000
    private static let magic: UInt64 = 0x3158_4449_4453_4E43
    private static let formatVersion: UInt64 = 2
    fileprivate static let supersededVersion: UInt64 = .max

    fileprivate enum Offset {
        static let history = 16, keyCheck = 32, words = 40, slots = 48, generation = 56, checksum = 64
        static let appliedSequence = 136, appliedChain = 144, digest = 152, usedSlots = 160
        static let rows = 168, clean = 176, bootID = 184
        static let grantedDefaults = 256, deniedDefaults = 376, ownersDigest = 496
        // A line of its own: every check reads it, and what the writer counts must not take it away.
        static let version = 512
        static let vouchedAt = 576, liveMillis = 584, role = 592, maxStaleness = 4096
    }

    private static let tagMask = IndexView.tagMask
    private static let erasedTag = IndexView.erasedTag

    private let mapping: MappedFile
    private let ownersMapping: MappedFile?
    let view: IndexView
    private let base: UnsafeMutablePointer<UInt64>
    private let firstRow: UnsafeMutablePointer<UInt64>
    /// Of every slot; nil where only checks are answered.
    private let owners: UnsafeMutablePointer<UInt64>?
    package let geometry: IndexGeometry
    private let rowWords: Int
    package let generation: UInt64
    /// Of this process: another one than that of the table before where its bits may be those of other purposes. Set
    /// before the table is published.
    package internal(set) var lineage = 0

    /// Makes the files of a new generation, whole and empty.
    static func create(
        path: String, geometry: IndexGeometry, generation: UInt64, history: [UInt8], keyCheck: UInt64
    ) throws(SystemError) -> IndexTable {
        let rows = try emptyFile(path, size: geometry.fileSize)
        let owners = try emptyFile(ownersPath(path), size: geometry.slots * 8)
        let table = IndexTable(rows, owners: owners, geometry: geometry, generation: generation)
        table.setWord(0, magic)
        table.setWord(8, formatVersion)
        table.setBytes(Offset.history, history)
        table.setWord(Offset.keyCheck, keyCheck)
        table.setWord(Offset.words, UInt64(geometry.words))
        table.setWord(Offset.slots, UInt64(geometry.slots))
        table.setWord(Offset.generation, generation)
        table.setWord(Offset.checksum, table.headerChecksum)
        table.setWord(Offset.liveMillis, liveMillisDefault)
        return table
    }

    private static func emptyFile(_ path: String, size: Int) throws(SystemError) -> MappedFile {
        try? File.remove(path)
        let file = try FileDescriptor.open(path, .createNew)
        do throws(SystemError) {
            try file.allocate(size: size)
            let mapping = try MappedFile(file, access: .readWrite)
            mapping.preferLargePages()
            mapping.populate()
            return mapping
        } catch {
            try? File.remove(path)
            throw error
        }
    }

    static func ownersPath(_ path: String) -> String { path + ".owners" }

    /// Maps a file after looking at everything that its header says.
    ///
    /// - Parameters:
    ///   - path: by its own name if it comes with its owners, as they stand beside it and not beside a link to it.
    ///   - history: the ledger's id; nil accepts any (a reader that has no ledger).
    /// - Throws: ``IndexProblem`` if the file cannot be used, ``SystemError`` if it cannot be read.
    package static func open(
        path: String, access: MappedFile.Access, history: [UInt8]?, keyCheck: UInt64, hasOwners: Bool
    ) throws -> IndexTable {
        let mapping = try map(path, access: access, sizeMin: pageSize)
        // A stand-in geometry, to read the header by; the real one is what the header says.
        let header = IndexTable(mapping, owners: nil, geometry: IndexGeometry(words: 1, slots: 2), generation: 0)
        guard header.word(0) == magic else { throw IndexProblem.notAnIndex }
        guard header.word(8) == formatVersion else { throw IndexProblem.formatVersion(header.word(8)) }
        guard mapping.size >= headerSize else { throw IndexProblem.notAnIndex }
        guard header.word(Offset.checksum) == header.headerChecksum, header.word(Offset.clean) <= 1 else {
            throw IndexProblem.headerDamaged
        }
        let geometry = IndexGeometry(words: Int(header.word(Offset.words)), slots: Int(header.word(Offset.slots)))
        guard mapping.size == geometry.fileSize else {
            throw IndexProblem.sizeWrong(mapping.size, expected: geometry.fileSize)
        }
        if let history, header.bytes(Offset.history, 16) != history { throw IndexProblem.anotherHistory }
        guard header.word(Offset.keyCheck) == keyCheck else { throw IndexProblem.anotherKey }
        // Of the pages that were only in memory some were written and some were not.
        let isWhole = try header.isClean || header.bootID == System.bootID()
        guard isWhole else { throw IndexProblem.uncleanFromAnotherBoot }
        let owners = hasOwners ? try map(ownersPath(path), access: access, sizeMin: geometry.slots * 8) : nil
        return IndexTable(
            mapping, owners: owners, geometry: geometry, generation: header.word(Offset.generation))
    }

    private static func map(_ path: String, access: MappedFile.Access, sizeMin: Int) throws -> MappedFile {
        guard File.exists(path) else { throw IndexProblem.missing }
        let file = try FileDescriptor.open(path, access == .readOnly ? .readOnly : .readWrite)
        guard try file.size() >= sizeMin else { throw IndexProblem.notAnIndex }
        let mapping = try MappedFile(file, access: access)
        mapping.preferLargePages()
        return mapping
    }

    private init(_ mapping: MappedFile, owners: MappedFile?, geometry: IndexGeometry, generation: UInt64) {
        self.mapping = mapping
        ownersMapping = owners
        view = IndexView(mapping, geometry)
        unsafe base = view.base
        unsafe firstRow = view.firstRow
        unsafe self.owners = owners?.base.assumingMemoryBound(to: UInt64.self)
        self.geometry = geometry
        rowWords = geometry.rowSize / 8
        self.generation = generation
    }

    // MARK: Header

    package var history: [UInt8] { bytes(Offset.history, 16) }
    package var isSuperseded: Bool { view.isSuperseded }
    package var appliedSequence: UInt64 { view.appliedSequence }
    package var appliedChain: UInt64 { word(Offset.appliedChain) }
    /// What applies where a row says nothing.
    package var defaults: (granted: PurposeSet, denied: PurposeSet) {
        let words = 0..<Limit.purposesMax / 64
        return (
            PurposeSet(words: words.map { view.grantedDefaults(word: $0) }),
            PurposeSet(words: words.map { view.deniedDefaults(word: $0) })
        )
    }
    package var digest: UInt64 { word(Offset.digest) }
    package var rows: Int { Int(clamping: word(Offset.rows)) }
    /// Odd while the defaults change.
    package var version: UInt64 { view.version }
    var usedSlots: Int { Int(clamping: word(Offset.usedSlots)) }
    var isClean: Bool { word(Offset.clean) == 1 }
    var bootID: String { String(decoding: bytes(Offset.bootID, 36), as: UTF8.self) }

    func supersede() { setWord(Offset.version, Self.supersededVersion) }

    /// As above, for a file that only others have mapped. A file that is not an index is left as it is.
    static func supersede(fileAt path: String) {
        guard let mapping = try? map(path, access: .readWrite, sizeMin: pageSize) else { return }
        let table = IndexTable(mapping, owners: nil, geometry: IndexGeometry(words: 1, slots: 2), generation: 0)
        if table.word(0) == magic { table.supersede() }
    }

    func setApplied(sequence: UInt64, chain: UInt64) {
        setWord(Offset.appliedChain, chain)
        setWord(Offset.appliedSequence, sequence)
    }

    /// From here until ``close()`` the file must not be trusted after the machine goes down. Durable on return.
    func markInUse(bootID: String) throws(SystemError) {
        if self.bootID != bootID { setWord(Offset.vouchedAt, 0) }
        // Behind it for readers, too.
        let words = BootID(bootID).words
        setWord(Offset.bootID, words.0)
        setWord(Offset.bootID + 8, words.1)
        setWord(Offset.bootID + 16, words.2)
        setWord(Offset.bootID + 24, words.3)
        setWord(Offset.bootID + 32, words.4)
        setWord(Offset.clean, 0)
        try mapping.synchronizeFirstPage()
    }

    package var vouchedAt: UInt64 { view.vouchedAt }
    package var liveMillis: UInt64 { view.liveMillis }
    package var role: IndexRole { IndexRole(rawValue: word(Offset.role)) ?? .edge }
    package func maxStalenessSeconds(purposeBit: Int) -> UInt64 { view.maxStalenessSeconds(purposeBit: purposeBit) }

    func vouch(at bootMillis: UInt64) { setWord(Offset.vouchedAt, bootMillis) }
    func setLiveMillis(_ millis: UInt64) { setWord(Offset.liveMillis, millis) }
    func setRole(_ role: IndexRole) { setWord(Offset.role, role.rawValue) }

    /// - Parameter seconds: by purpose bit; a purpose that is not in it has none.
    func setMaxStaleness(_ seconds: [Int: UInt32]) {
        for bit in stride(from: 0, to: Limit.purposesMax, by: 2) {
            setWord(
                Offset.maxStaleness + bit * 4, UInt64(seconds[bit] ?? 0) | UInt64(seconds[bit + 1] ?? 0) << 32)
        }
    }

    /// Makes all rows and their owners durable, then says so.
    func close() throws(SystemError) {
        try mapping.synchronize()
        try ownersMapping?.synchronize()
        setWord(Offset.clean, 1)
        try mapping.synchronizeFirstPage()
    }

    /// Sets what applies where a row says nothing.
    func setDefaults(granted: PurposeSet, denied: PurposeSet) {
        let version = view.version
        // Odd: whoever wrote before died here.
        guard defaults != (granted, denied) || version & 1 == 1 else { return }
        setWord(Offset.version, version | 1)
        defer { setWord(Offset.version, (version | 1) &+ 1) }
        for position in 0..<Limit.purposesMax / 64 {
            // What is refused from now on is refused first.
            setWord(Offset.deniedDefaults + position * 8, denied[word: position])
            setWord(Offset.grantedDefaults + position * 8, granted[word: position])
        }
    }

    /// Copies what every generation inherits.
    func inheritHeader(of older: IndexTable) {
        for offset in stride(from: Offset.grantedDefaults, to: Offset.deniedDefaults + 120, by: 8) {
            setWord(offset, older.word(offset))
        }
        for offset in stride(from: Offset.maxStaleness, to: Self.headerSize, by: 8) {
            setWord(offset, older.word(offset))
        }
        setApplied(sequence: older.appliedSequence, chain: older.appliedChain)
        for offset in [Offset.vouchedAt, Offset.liveMillis, Offset.role] { setWord(offset, older.word(offset)) }
        setBytes(Offset.bootID, older.bytes(Offset.bootID, 36))
    }

    private var headerChecksum: UInt64 {
        stride(from: 0, to: 64, by: 8).reduce(0x9E37_79B9_7F4A_7C15) { Self.mixed($0, word($1)) }
    }

    private func word(_ offset: Int) -> UInt64 { view.word(offset) }

    private func setWord(_ offset: Int, _ value: UInt64) { unsafe ckernel_store(base + offset >> 3, value) }

    private func bytes(_ offset: Int, _ count: Int) -> [UInt8] {
        let start = unsafe UnsafeRawPointer(base) + offset
        return unsafe Array(UnsafeRawBufferPointer(start: start, count: count))
    }

    private func setBytes(_ offset: Int, _ bytes: [UInt8]) {
        let target = unsafe UnsafeMutableRawPointer(base) + offset
        unsafe bytes.withUnsafeBytes { unsafe target.copyMemory(from: $0.baseAddress!, byteCount: $0.count) }
    }

    // MARK: Rows

    typealias Slot = IndexView.Slot

    /// Fetches what a change of a row touches: the row and, where they are mapped, its owner.
    package func prefetch(_ hash: IdentifierHash) {
        view.prefetch(hash)
        if let owners = unsafe owners { unsafe ckernel_prefetch(owners + view.homeSlot(place: IndexView.place(hash))) }
    }
    func find(_ hash: IdentifierHash) -> Slot? { unsafe view.find(hash) }

    func row(_ slot: Slot) -> IndexRow {
        var row = IndexRow()
        let sequence = unsafe ckernel_load(slot.words) & 0xFF
        let second = unsafe ckernel_load(slot.words + 1)
        row.sequence = sequence << 32 | second & 0xFFFF_FFFF
        row.endsAt = UInt32(second >> 32)
        for position in 0..<geometry.words {
            row.permitted[word: position] = unsafe view.permitted(slot, word: position)
            row.denied[word: position] = unsafe view.denied(slot, word: position)
        }
        return row
    }

    func sequence(_ slot: Slot) -> UInt64 {
        unsafe (ckernel_load(slot.words) & 0xFF) << 32 | ckernel_load(slot.words + 1) & 0xFFFF_FFFF
    }

    package func row(_ hash: IdentifierHash) -> IndexRow? { unsafe find(hash).map { unsafe row($0) } }

    /// Changes a row so that no reader ever sees a grant that neither the old row nor the new one holds.
    func update(_ slot: Slot, to row: IndexRow) {
        xorDigest(unsafe digest(slot))
        unsafe store(slot, row)
        xorDigest(unsafe digest(slot))
    }

    private func store(_ slot: Slot, _ row: IndexRow) {
        unsafe store(
            slot, sequenceHigh: row.sequence >> 32, second: row.sequence & 0xFFFF_FFFF | UInt64(row.endsAt) << 32,
            permitted: { row.permitted[word: $0] }, denied: { row.denied[word: $0] })
    }

    // Inlined, so that what a row says is read without a call where its words lie in one piece.
    @inline(__always)
    private func store(
        _ slot: Slot, sequenceHigh: UInt64, second: UInt64, permitted: (Int) -> UInt64, denied: (Int) -> UInt64
    ) {
        let permittedWords = unsafe slot.words + 2
        let deniedWords = unsafe permittedWords + geometry.words
        for position in 0..<geometry.words {
            let word = unsafe deniedWords + position
            unsafe ckernel_store(word, ckernel_load(word) | denied(position))
        }
        for position in 0..<geometry.words {
            let word = unsafe permittedWords + position
            unsafe ckernel_store(word, ckernel_load(word) & permitted(position))
        }
        unsafe ckernel_store(slot.words + 1, second)
        unsafe ckernel_store(slot.words, ckernel_load(slot.words) & Self.tagMask | sequenceHigh)
        for position in 0..<geometry.words {
            unsafe ckernel_store(permittedWords + position, permitted(position))
            unsafe ckernel_store(deniedWords + position, denied(position))
        }
    }

    /// Whose identifier a row is of: the subject that was put with it, zero if none was. A row is found by 56 bits of
    /// its hash, so ask the ledger whether that subject has the identifier.
    package func owner(of hash: IdentifierHash) -> UInt32? {
        guard let slot = unsafe find(hash) else { return nil }
        return unsafe UInt32(truncatingIfNeeded: ckernel_load(ownerWord(slot)) >> 32)
    }

    /// Says that a row is another subject's from now on.
    func setOwner(_ slot: Slot, _ owner: UInt32) {
        let word = unsafe ownerWord(slot)
        let known = unsafe ckernel_load(word)
        guard UInt32(truncatingIfNeeded: known >> 32) != owner else { return }
        xorOwnersDigest(unsafe ownerDigest(slot))
        unsafe ckernel_store(word, known & 0xFFFF_FFFF | UInt64(owner) << 32)
        xorOwnersDigest(unsafe ownerDigest(slot))
    }

    private func ownerWord(_ slot: Slot) -> UnsafeMutablePointer<UInt64> {
        unsafe owners.unsafelyUnwrapped + (slot.words - firstRow) / rowWords
    }

    /// Adds a row for an identifier that has none. The tag is stored last: until then nobody can find it.
    func insert(_ hash: IdentifierHash, _ row: IndexRow, owner: UInt32) {
        precondition(usedSlots < geometry.slots - 1, "the index was not grown in time")
        let place = IndexView.place(hash)
        let position = freeSlot(place: place)
        let slot = unsafe Slot(words: firstRow + position &* rowWords)
        unsafe ckernel_store(ownerWord(slot), UInt64(place) | UInt64(owner) << 32)
        unsafe store(slot, row)
        unsafe ckernel_store(slot.words, IndexView.tag(hash) | row.sequence >> 32)
        xorDigest(unsafe digest(slot))
        xorOwnersDigest(unsafe ownerDigest(slot))
        setWord(Offset.usedSlots, UInt64(usedSlots + 1))
        setWord(Offset.rows, UInt64(rows + 1))
    }

    // MARK: Rows of other copies

    /// Sets what a row says that came from another copy of the index.
    func update(_ slot: Slot, to row: RawRow) {
        xorDigest(unsafe digest(slot))
        unsafe store(slot, row)
        xorDigest(unsafe digest(slot))
    }

    private func store(_ slot: Slot, _ row: RawRow) {
        unsafe store(
            slot, sequenceHigh: row.first & 0xFF, second: row.second, permitted: { unsafe row.permitted($0) },
            denied: { unsafe row.denied($0) })
    }

    /// Adds a row that came from another copy, and has none here.
    func insert(_ row: RawRow) {
        precondition(usedSlots < geometry.slots - 1, "the index was not grown in time")
        let position = unsafe freeSlot(place: row.place)
        let slot = unsafe Slot(words: firstRow + position &* rowWords)
        unsafe ckernel_store(ownerWord(slot), UInt64(row.place))
        unsafe store(slot, row)
        unsafe ckernel_store(slot.words, row.first)
        xorDigest(unsafe digest(slot))
        xorOwnersDigest(unsafe ownerDigest(slot))
        setWord(Offset.usedSlots, UInt64(usedSlots + 1))
        setWord(Offset.rows, UInt64(rows + 1))
    }

    /// The rows whose places lie in a range, as they are when they are come to, while the one writer goes on. A row that
    /// changes at that moment may come half changed, with the sequence of before or of after; then the change itself is
    /// still to be told of, and has that sequence or a later one. A row that is added meanwhile may be missing.
    ///
    /// - Parameters:
    ///   - sequence: only rows that have changed after it.
    ///   - body: gets a row whose words are valid during the call.
    package func forEachRow(places: Range<UInt64>, after sequence: UInt64, _ body: (RawRow) -> Void) {
        guard !places.isEmpty, let owners = unsafe owners else { return }
        let last = view.homeSlot(place: UInt32(clamping: places.upperBound - 1))
        unsafe withUnsafeTemporaryAllocation(of: UInt64.self, capacity: 2 * geometry.words) { bits in
            var slot = view.homeSlot(place: UInt32(clamping: places.lowerBound))
            let isPast = last - slot
            for passed in 0..<geometry.slots {
                let words = unsafe firstRow + slot &* rowWords
                let first = unsafe ckernel_load(words)
                // Where a slot is free, no row whose home is there or before lies any further.
                if first == 0, passed >= isPast { break }
                if first & Self.tagMask > Self.erasedTag {
                    let place = unsafe UInt32(truncatingIfNeeded: ckernel_load(owners + slot))
                    if places.contains(UInt64(place)),
                        let row = unsafe rawRow(words, place: place, bits), unsafe row.sequence > sequence
                    {
                        unsafe body(row)
                    }
                }
                slot = slot + 1 == geometry.slots ? 0 : slot + 1
            }
        }
    }

    /// Nil for a row that is erased meanwhile.
    private func rawRow(
        _ words: UnsafeMutablePointer<UInt64>, place: UInt32, _ bits: UnsafeMutableBufferPointer<UInt64>
    ) -> RawRow? {
        while true {
            let second = unsafe ckernel_load(words + 1)
            for position in 0..<bits.count { unsafe bits[position] = unsafe ckernel_load(words + 2 + position) }
            let first = unsafe ckernel_load(words)
            guard first & Self.tagMask > Self.erasedTag else { return nil }
            if unsafe ckernel_load(words + 1) == second {
                return unsafe RawRow(
                    first: first, second: second, place: place, words: geometry.words,
                    bits: UnsafeRawPointer(bits.baseAddress.unsafelyUnwrapped))
            }
        }
    }

    private func freeSlot(place: UInt32) -> Int {
        var position = view.homeSlot(place: place)
        while unsafe firstRow[position &* rowWords] != 0 {
            position = position + 1 == geometry.slots ? 0 : position + 1
        }
        return position
    }

    /// Removes what a row says, then whom it is about.
    func erase(_ slot: Slot) {
        xorDigest(unsafe digest(slot))
        xorOwnersDigest(unsafe ownerDigest(slot))
        var nothing = IndexRow()
        nothing.endsAt = 0
        unsafe store(slot, nothing)
        unsafe ckernel_store(slot.words, Self.erasedTag)
        unsafe ckernel_store(ownerWord(slot), 0)
        setWord(Offset.rows, UInt64(rows - 1))
    }

    /// Adds all rows of an older generation to this one, which is empty and not published yet. Rows come in the order of
    /// their old slots, which is nearly the order of the new ones.
    func copyRows(of older: IndexTable) {
        for position in 0..<older.geometry.slots {
            let source = unsafe older.firstRow + position &* older.rowWords
            guard unsafe source.pointee & Self.tagMask > Self.erasedTag else { continue }
            let owner = unsafe older.owners.unsafelyUnwrapped[position]
            let target = freeSlot(place: UInt32(truncatingIfNeeded: owner))
            unsafe owners.unsafelyUnwrapped[target] = owner
            unsafe copyRow(source, geometry: older.geometry, to: firstRow + target &* rowWords)
        }
        setWord(Offset.usedSlots, UInt64(older.rows))
        setWord(Offset.rows, UInt64(older.rows))
        setWord(Offset.digest, older.digest)
        setWord(Offset.ownersDigest, older.word(Offset.ownersDigest))
    }

    private func copyRow(
        _ source: UnsafeMutablePointer<UInt64>, geometry older: IndexGeometry, to target: UnsafeMutablePointer<UInt64>
    ) {
        unsafe target.update(from: source, count: 2 + older.words)
        unsafe (target + 2 + geometry.words).update(from: source + 2 + older.words, count: older.words)
    }

    /// What the header says of all rows together.
    package struct Totals: Equatable, Sendable {
        package var digest: UInt64 = 0
        /// Zero where the owners are not mapped.
        package var ownersDigest: UInt64 = 0
        package var rows = 0
        var usedSlots = 0
    }

    package var totals: Totals {
        Totals(
            digest: digest, ownersDigest: unsafe owners == nil ? 0 : word(Offset.ownersDigest), rows: rows,
            usedSlots: usedSlots)
    }

    /// What the totals will be when some rows have been put; of each identifier at most one.
    ///
    /// - Parameter changes: calls its argument with each row: its identifier, what it will say, and whose it is.
    ///
    /// - Parameter outdatings: what has become of all rows before.
    func totals(
        outdatings: [Outdating] = [], after changes: ((IdentifierHash, IndexRow, UInt32) -> Void) -> Void
    ) -> Totals {
        var totals = totals
        totals.digest ^= walkOutdated(outdatings, changesRows: false)
        changes { hash, row, owner in
            let tag = IndexView.tag(hash)
            if let slot = unsafe find(hash) {
                if let outdated = unsafe outdated(slot, by: outdatings) {
                    totals.digest ^= Self.digest(tag: tag, outdated)
                } else {
                    totals.digest ^= unsafe digest(slot)
                }
                if unsafe owners != nil {
                    let known = unsafe ckernel_load(ownerWord(slot))
                    totals.ownersDigest ^=
                        Self.mixed(tag, known) ^ Self.mixed(tag, known & 0xFFFF_FFFF | UInt64(owner) << 32)
                }
            } else {
                totals.rows += 1
                totals.usedSlots += 1
                totals.ownersDigest ^= Self.mixed(tag, UInt64(IndexView.place(hash)) | UInt64(owner) << 32)
            }
            totals.digest ^= Self.digest(tag: tag, row)
        }
        return totals
    }

    /// Takes from all rows what does not count any more, or says when it stops to.
    func outdate(_ outdatings: [Outdating]) { xorDigest(walkOutdated(outdatings, changesRows: true)) }

    /// Looks at all rows, one after the other.
    ///
    /// - Returns: by what the digest changes.
    private func walkOutdated(_ outdatings: [Outdating], changesRows: Bool) -> UInt64 {
        if outdatings.isEmpty { return 0 }
        return geometry.words == 1
            ? walkNarrow(outdatings.map(NarrowOutdating.init), changesRows) : walkWide(outdatings, changesRows)
    }

    /// As an outdating says it of a row of one word.
    private struct NarrowOutdating {
        let purposes: UInt64
        let hasEnded: Bool
        let endsAt: UInt32
        let sequence: UInt64

        init(_ outdating: Outdating) {
            purposes = outdating.purposes[word: 0]
            hasEnded = outdating.endsAt == nil
            endsAt = outdating.endsAt.map { UInt32(clamping: $0.secondsRoundedDown) } ?? IndexRow.never
            sequence = outdating.sequence
        }
    }

    /// As ``IndexRow/outdated(by:)``, without making a row of each: of ten million, most change.
    private func walkNarrow(_ outdatings: [NarrowOutdating], _ changesRows: Bool) -> UInt64 {
        let all = outdatings.reduce(0) { $0 | $1.purposes }
        var change: UInt64 = 0
        var next = unsafe firstRow
        for _ in 0..<geometry.slots {
            let row = unsafe next
            unsafe next += rowWords
            let kept = unsafe ckernel_load(row + 2)
            guard kept & all != 0 else { continue }
            let (first, second, denied) = unsafe (ckernel_load(row), ckernel_load(row + 1), ckernel_load(row + 3))
            var (permitted, endsAt, sequence) = (kept, UInt32(second >> 32), UInt64(0))
            for outdating in outdatings where permitted & outdating.purposes != 0 {
                sequence = outdating.sequence
                if outdating.hasEnded {
                    permitted &= ~outdating.purposes
                } else {
                    endsAt = min(endsAt, outdating.endsAt)
                }
            }
            if permitted == 0 { endsAt = IndexRow.never }
            let newFirst = first & Self.tagMask | sequence >> 32
            let newSecond = sequence & 0xFFFF_FFFF | UInt64(endsAt) << 32
            change ^= Self.narrowDigest(first, second, kept, denied)
            change ^= Self.narrowDigest(newFirst, newSecond, permitted, denied)
            guard changesRows else { continue }
            // In the order of ``store(_:_:)``: what is taken away first.
            unsafe ckernel_store(row + 2, permitted)
            unsafe ckernel_store(row + 1, newSecond)
            unsafe ckernel_store(row, newFirst)
        }
        return change
    }

    /// As ``digest(_:)``, of a row of one word.
    private static func narrowDigest(_ first: UInt64, _ second: UInt64, _ permitted: UInt64, _ denied: UInt64) -> UInt64
    {
        var sum = mixed(first, second)
        add(permitted, denied, 0, to: &sum)
        return sum
    }

    private func walkWide(_ outdatings: [Outdating], _ changesRows: Bool) -> UInt64 {
        let purposes = outdatings.map(\.purposes).reduce(PurposeSet()) { $0.union($1) }
        let words = (0..<geometry.words).map { purposes[word: $0] }
        var change: UInt64 = 0
        var next = unsafe firstRow
        for _ in 0..<geometry.slots {
            let slot = unsafe Slot(words: next)
            unsafe next += rowWords
            var common: UInt64 = 0
            for position in 0..<words.count { common |= unsafe words[position] & view.permitted(slot, word: position) }
            guard common != 0, let row = unsafe outdated(slot, by: outdatings) else { continue }
            change ^= unsafe digest(slot)
            change ^= unsafe Self.digest(tag: ckernel_load(slot.words) & Self.tagMask, row)
            if changesRows { unsafe store(slot, row) }
        }
        return change
    }

    private func outdated(_ slot: Slot, by outdatings: [Outdating]) -> IndexRow? {
        outdatings.isEmpty ? nil : unsafe row(slot).outdated(by: outdatings)
    }

    /// The totals, from the rows themselves.
    package func counted() -> Totals {
        var totals = Totals()
        for position in 0..<geometry.slots {
            let slot = unsafe Slot(words: firstRow + position &* rowWords)
            let first = unsafe ckernel_load(slot.words)
            if first != 0 { totals.usedSlots += 1 }
            guard first & Self.tagMask > Self.erasedTag else { continue }
            totals.digest ^= unsafe digest(slot)
            if unsafe owners != nil { totals.ownersDigest ^= unsafe ownerDigest(slot) }
            totals.rows += 1
        }
        return totals
    }

    /// Counts identifiers that permit a purpose and not another, row by row as they come: each as a check would answer at
    /// that moment. Nil if the defaults changed meanwhile, or a newer generation took over; ask that one.
    ///
    /// - Parameter now: seconds since 1970.
    package func grantedCount(purposeBit: Int, exceptBit: Int?, now: UInt32) -> Int? {
        let version = view.version
        guard version & 1 == 0 else { return nil }
        let first = BitCount(view, purposeBit)
        let second = exceptBit.map { BitCount(view, $0) }
        var count = 0
        var next = unsafe firstRow
        for _ in 0..<geometry.slots {
            let slot = unsafe Slot(words: next)
            unsafe next += rowWords
            guard unsafe ckernel_load(slot.words) & Self.tagMask > Self.erasedTag else { continue }
            var isCounted = unsafe first.grants(view, slot, now)
            if let second { isCounted &= unsafe ~second.grants(view, slot, now) }
            count &+= Int(truncatingIfNeeded: isCounted & 1)
        }
        return view.version == version ? count : nil
    }

    /// One purpose's bit, and what applies where a row says nothing.
    private struct BitCount {
        private let word: Int
        private let shift: UInt64
        private let isInRows: Bool
        private let grantedByDefault: UInt64
        private let deniedByDefault: UInt64

        init(_ view: IndexView, _ bit: Int) {
            (word, shift) = (bit >> 6, UInt64(bit & 63))
            isInRows = word < view.words
            grantedByDefault = isInRows ? view.grantedDefaults(word: word) >> shift & 1 : 0
            deniedByDefault = isInRows ? view.deniedDefaults(word: word) >> shift & 1 : 0
        }

        /// 1 if a check would answer that it is granted, without a branch on what a row says.
        @inline(__always)
        func grants(_ view: IndexView, _ slot: Slot, _ now: UInt32) -> UInt64 {
            guard isInRows else { return 0 }
            let state = unsafe view.state(slot, word: word)
            let permitted = state.permitted >> shift & 1
            let denied = state.denied >> shift & 1 & ~permitted
            let ended: UInt64 = state.endsAt <= now ? permitted : 0
            return (permitted | grantedByDefault) & ~(denied | ended | deniedByDefault)
        }
    }

    /// Sets the totals to what the rows really are, after a writer died in the middle of a change.
    func recount() {
        let counted = counted()
        setWord(Offset.digest, counted.digest)
        setWord(Offset.ownersDigest, counted.ownersDigest)
        setWord(Offset.rows, UInt64(counted.rows))
        setWord(Offset.usedSlots, UInt64(counted.usedSlots))
    }

    private func xorOwnersDigest(_ change: UInt64) { setWord(Offset.ownersDigest, word(Offset.ownersDigest) ^ change) }

    private func ownerDigest(_ slot: Slot) -> UInt64 {
        unsafe Self.mixed(ckernel_load(slot.words) & Self.tagMask, ckernel_load(ownerWord(slot)))
    }

    private func xorDigest(_ change: UInt64) { setWord(Offset.digest, digest ^ change) }

    /// One row's share of the digest: over its tag, sequence, end and bitsets, whatever the width of the file.
    private func digest(_ slot: Slot) -> UInt64 {
        var sum = unsafe Self.mixed(ckernel_load(slot.words), ckernel_load(slot.words + 1))
        for position in 0..<geometry.words {
            Self.add(
                unsafe view.permitted(slot, word: position), unsafe view.denied(slot, word: position), position,
                to: &sum)
        }
        return sum
    }

    /// As above, of a row that is not in the file yet.
    private static func digest(tag: UInt64, _ row: IndexRow) -> UInt64 {
        var sum = mixed(tag | row.sequence >> 32, row.sequence & 0xFFFF_FFFF | UInt64(row.endsAt) << 32)
        for position in 0..<max(1, row.permitted.wordCount, row.denied.wordCount) {
            add(row.permitted[word: position], row.denied[word: position], position, to: &sum)
        }
        return sum
    }

    private static func add(_ permitted: UInt64, _ denied: UInt64, _ position: Int, to sum: inout UInt64) {
        guard position == 0 || permitted | denied != 0 else { return }
        // Multiplied, so that a bit of one word is not the same as another of the next.
        sum = mixed(sum ^ permitted, denied ^ UInt64(position) &* 0x9E37_79B9_7F4A_7C15)
    }

    /// Folds a word into a sum by the two halves of a 128-bit product (as wyhash does).
    private static func mixed(_ sum: UInt64, _ word: UInt64) -> UInt64 {
        let product = (sum ^ 0xA076_1D64_78BD_642F).multipliedFullWidth(by: word ^ 0xE703_7ED1_A0B4_28DB)
        return product.high ^ product.low
    }
}
