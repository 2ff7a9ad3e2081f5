package import ConsentModel

// What a node that follows another one exchanges with it. The numbers of the frames, and what they mean together, stand in
// the specification under "Following a node".
//
// Every frame of an upstream, and the acknowledgement of an edge, begins its payload with a checksum: what it carries is
// kept for long and answered from, and TCP's own sum lets one damaged packet in 65,536 pass. Pushes carry a running
// number, so that one that is lost, or comes twice, or in another order, is noticed whatever lies in between.

/// A state of the rows of a node.
package struct SyncPoint: Equatable, Sendable, CustomStringConvertible {
    /// Every event up to it is in the rows.
    package var sequence: UInt64
    /// The first eight bytes of that event's hash, which stands for the whole past.
    package var chain: UInt64
    /// The rows' digest XOR the catalog's mark.
    package var digest: UInt64

    package init(sequence: UInt64 = 0, chain: UInt64 = 0, digest: UInt64 = 0) {
        self.sequence = sequence
        self.chain = chain
        self.digest = digest
    }

    package var description: String { "sequence \(sequence), digest \(String(digest, radix: 16))" }
}

package enum SyncChecksum {
    /// Folds a word into a sum by the two halves of a 128-bit product (as wyhash does).
    @inline(__always)
    static func mixed(_ sum: UInt64, _ word: UInt64) -> UInt64 {
        let product = (sum ^ 0xA076_1D64_78BD_642F).multipliedFullWidth(by: word ^ 0xE703_7ED1_A0B4_28DB)
        return product.high ^ product.low
    }

    /// Over what follows the checksum in a payload, and the header's opcode, flags and argument.
    package static func of(
        opcode: UInt8, flags: UInt8, argument: UInt16, _ bytes: UnsafeRawBufferPointer
    ) -> UInt64 {
        var sum = mixed(UInt64(opcode) | UInt64(flags) << 8 | UInt64(argument) << 16, UInt64(bytes.count))
        let wholeWords = bytes.count >> 3
        for position in 0..<wholeWords {
            sum = mixed(
                sum, UInt64(littleEndian: unsafe bytes.loadUnaligned(fromByteOffset: position << 3, as: UInt64.self)))
        }
        if bytes.count & 7 != 0 {
            var last: UInt64 = 0
            for position in (wholeWords << 3)..<bytes.count {
                last |= unsafe UInt64(bytes[position]) << UInt64((position & 7) << 3)
            }
            sum = mixed(sum, last)
        }
        return sum
    }
}

extension OutputBuffer {
    /// Begins a frame with a checksum, which ``endSummed(_:)`` fills in.
    mutating func beginSummed(
        _ opcode: Opcode, flags: UInt8 = 0, argument: UInt16 = 0, request: UInt32 = 0, word: UInt32 = 0
    ) -> Int {
        let start = beginFrame(opcode, flags: flags, argument: argument, request: request, word: word)
        u64(0)
        return start
    }

    mutating func endSummed(_ start: Int) {
        endFrame(start)
        let frame = unsafe UnsafeRawBufferPointer(rebasing: bytes[start...])
        let sum = unsafe SyncChecksum.of(
            opcode: frame[4], flags: frame[5],
            argument: UInt16(littleEndian: frame.loadUnaligned(fromByteOffset: 6, as: UInt16.self)),
            UnsafeRawBufferPointer(rebasing: frame[(WireLimit.headerSize + 8)...]))
        setWord(sum, at: start + WireLimit.headerSize)
    }
}

extension Frame {
    /// The payload behind its checksum.
    ///
    /// - Throws: `damaged` if the bytes are not those that the checksum was made of.
    func summed(_ name: String) throws(WireError) -> ByteReader {
        var reader = unsafe ByteReader(payload)
        let sum = unsafe reader.u64()
        guard unsafe reader.isIntact else { throw malformed(name) }
        let rest = unsafe UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(payload)[8...])
        guard unsafe SyncChecksum.of(opcode: opcode, flags: flags, argument: argument, rest) == sum else {
            throw WireError(.damaged, "the payload of '\(name)' does not match its checksum")
        }
        return unsafe reader
    }
}

/// `subscribe`: an edge wants to follow, from what it has.
package struct SubscribeRequest: Equatable, Sendable {
    /// Zero: it has nothing.
    package var history = ID16.zero
    package var point = SyncPoint()
    /// For people.
    package var name = ""

    package init() {}

    package init(_ frame: Frame) throws(WireError) {
        try unsafe frame.requireZero()
        var reader = unsafe ByteReader(frame.payload)
        let history = unsafe reader.array(16)
        point = unsafe SyncPoint(sequence: reader.u64(), chain: reader.u64(), digest: reader.u64())
        name = unsafe reader.text8()
        guard unsafe reader.isComplete else { throw malformed("subscribe") }
        self.history = ID16(bytes: history)
    }

    /// - Precondition: the name has at most 255 bytes.
    package func encode(request: UInt32, into output: inout OutputBuffer) {
        let start = output.beginFrame(.subscribe, request: request)
        output.bytes(history.bytes)
        output.u64(point.sequence)
        output.u64(point.chain)
        output.u64(point.digest)
        output.text8(name)
        output.endFrame(start)
    }
}

/// Whether an edge can go on from what it has, and if not, why it needs a snapshot.
package enum SyncVerdict: UInt8, Sendable, NamedInSnakeCase {
    case follow = 0
    /// It has nothing.
    case nothingThere = 1
    case tooFarBehind = 2
    /// What it has was derived from another ledger.
    case otherHistory = 3
    /// Same sequence, same past, and yet other rows.
    case digestDiffers = 4
    /// It knows of events that the upstream does not have: the upstream is an older copy, or begins anew.
    case ahead = 5
    /// An event of the same number is another one: one of both was restored, and has gone on from there.
    case forked = 6

    /// Whether taking a snapshot would throw away what this upstream cannot know better.
    package var isForThePersonInCharge: Bool { self == .otherHistory || self == .ahead || self == .forked }
}

/// The answer to `subscribe`.
package struct Subscribed: Equatable, Sendable {
    package var verdict: SyncVerdict
    package var history: ID16
    package var head: UInt64
    /// Of the identifier hashes: a secret, for who shows the token.
    package var hashKey: [UInt8]

    package init(verdict: SyncVerdict, history: ID16, head: UInt64, hashKey: [UInt8]) {
        self.verdict = verdict
        self.history = history
        self.head = head
        self.hashKey = hashKey
    }

    package init(_ frame: Frame) throws(WireError) {
        try unsafe frame.requireZero(argument: 0xFF)
        var reader = try unsafe frame.summed("subscribed")
        let history = unsafe reader.array(16)
        head = unsafe reader.u64()
        hashKey = unsafe reader.array(16)
        guard unsafe reader.isComplete,
            let verdict = unsafe SyncVerdict(rawValue: UInt8(truncatingIfNeeded: frame.argument))
        else { throw malformed("subscribed") }
        self.verdict = verdict
        self.history = ID16(bytes: history)
    }

    package func encode(request: UInt32, into output: inout OutputBuffer) {
        let start = output.beginSummed(.subscribed, argument: UInt16(verdict.rawValue), request: request)
        output.bytes(history.bytes)
        output.u64(head)
        output.bytes(hashKey)
        output.endSummed(start)
    }
}

/// What a snapshot is of, and how far it has come: rows in the order of their places, in as many chunks of equal ranges.
package struct SnapshotPlan: Equatable, Sendable {
    /// Rows are at least as new as this.
    package var start: SyncPoint
    package var chunkCount: UInt32
    /// The first that is still to come.
    package var nextChunk: UInt32

    package init(start: SyncPoint, chunkCount: UInt32, nextChunk: UInt32 = 0) {
        self.start = start
        self.chunkCount = chunkCount
        self.nextChunk = nextChunk
    }

    /// The places of a chunk's rows.
    package func places(_ chunk: UInt32) -> Range<UInt64> {
        let whole: UInt64 = 1 << 32
        return UInt64(chunk) * whole / UInt64(chunkCount)..<(UInt64(chunk) + 1) * whole / UInt64(chunkCount)
    }
}

/// `takeSnapshot`: a new one, or the rest of one that was interrupted.
package struct TakeSnapshotRequest: Equatable, Sendable {
    /// Nil: a new one.
    package var resumed: SnapshotPlan?

    package init(resumed: SnapshotPlan? = nil) { self.resumed = resumed }

    package init(_ frame: Frame) throws(WireError) {
        try unsafe frame.requireZero()
        var reader = try unsafe frame.summed("takeSnapshot")
        let start = unsafe SyncPoint(sequence: reader.u64(), chain: reader.u64())
        let (count, next) = unsafe (reader.u32(), reader.u32())
        guard unsafe reader.isComplete, next <= count else { throw malformed("takeSnapshot") }
        resumed = count == 0 ? nil : SnapshotPlan(start: start, chunkCount: count, nextChunk: next)
    }

    package func encode(request: UInt32, into output: inout OutputBuffer) {
        let start = output.beginSummed(.takeSnapshot, request: request)
        output.u64(resumed?.start.sequence ?? 0)
        output.u64(resumed?.start.chain ?? 0)
        output.u32(resumed?.chunkCount ?? 0)
        output.u32(resumed?.nextChunk ?? 0)
        output.endSummed(start)
    }
}

/// `snapshotBegun`: the manifest. What was asked to be resumed goes on if it names the chunk that was asked for.
package struct SnapshotBegun: Equatable, Sendable {
    package var plan: SnapshotPlan
    /// About as many as will come.
    package var rows: UInt64
    /// Of each bitset.
    package var words: UInt32

    package init(plan: SnapshotPlan, rows: UInt64, words: UInt32) {
        self.plan = plan
        self.rows = rows
        self.words = words
    }

    package init(_ frame: Frame) throws(WireError) {
        try unsafe frame.requireZero()
        var reader = try unsafe frame.summed("snapshotBegun")
        let start = unsafe SyncPoint(sequence: reader.u64(), chain: reader.u64())
        plan = unsafe SnapshotPlan(start: start, chunkCount: reader.u32(), nextChunk: reader.u32())
        rows = unsafe reader.u64()
        words = unsafe reader.u32()
        let reserved = unsafe reader.u32()
        guard unsafe reader.isComplete, plan.chunkCount > 0, plan.nextChunk <= plan.chunkCount,
            RowWidth.all.contains(Int(words))
        else { throw malformed("snapshotBegun") }
        guard reserved == 0 else { throw WireError(.reservedBitSet, "a reserved field is not zero") }
    }

    package func encode(request: UInt32, into output: inout OutputBuffer) {
        let start = output.beginSummed(.snapshotBegun, request: request)
        output.u64(plan.start.sequence)
        output.u64(plan.start.chain)
        output.u32(plan.chunkCount)
        output.u32(plan.nextChunk)
        output.u64(rows)
        output.u32(words)
        output.u32(0)
        output.endSummed(start)
    }
}

/// `enforced`: up to where an edge answers by, and the sign that it is there. Not answered, but a heartbeat repeats the
/// stamp.
package struct Enforced: Equatable, Sendable {
    package var sequence: UInt64
    /// The edge's own clock, in milliseconds from any moment; it means nothing to anybody else.
    package var stamp: UInt64
    /// When it began to answer by that sequence.
    package var time: Timestamp

    package init(sequence: UInt64, stamp: UInt64, time: Timestamp) {
        self.sequence = sequence
        self.stamp = stamp
        self.time = time
    }

    package init(_ frame: Frame) throws(WireError) {
        try unsafe frame.requireZero()
        var reader = try unsafe frame.summed("enforced")
        sequence = unsafe reader.u64()
        stamp = unsafe reader.u64()
        time = unsafe Timestamp(millis: reader.time())
        guard unsafe reader.isComplete else { throw malformed("enforced") }
    }

    package func encode(into output: inout OutputBuffer) {
        let start = output.beginSummed(.enforced)
        output.u64(sequence)
        output.u64(stamp)
        output.time(time.millis)
        output.endSummed(start)
    }
}

/// `heartbeat`: what the upstream has, what of it it has sent here, and how old what it has may be.
package struct Heartbeat: Equatable, Sendable {
    /// What was sent, with all that comes before it.
    package var sent: SyncPoint
    /// Whether chain and digest of ``sent`` are known; zero where they are not.
    package var isSentKnown: Bool
    /// Of the upstream's rows when this was written.
    package var head: UInt64
    /// The newest stamp that has come from the edge; zero: none.
    package var echo: UInt64
    /// By how many milliseconds the rows may have been behind the authoritative node when that stamp came.
    package var ageMillis: UInt64
    /// The upstream's clock, for people.
    package var time: Timestamp

    /// The upstream does not know it.
    package static let ageUnknown = UInt64.max

    package init(
        sent: SyncPoint, isSentKnown: Bool, head: UInt64, echo: UInt64, ageMillis: UInt64, time: Timestamp
    ) {
        self.sent = sent
        self.isSentKnown = isSentKnown
        self.head = head
        self.echo = echo
        self.ageMillis = ageMillis
        self.time = time
    }

    package init(_ frame: Frame) throws(WireError) {
        try unsafe frame.requireZero(flags: 1, word: .max)
        var reader = try unsafe frame.summed("heartbeat")
        isSentKnown = unsafe frame.flags == 1
        sent = unsafe SyncPoint(sequence: reader.u64(), chain: reader.u64(), digest: reader.u64())
        head = unsafe reader.u64()
        echo = unsafe reader.u64()
        ageMillis = unsafe reader.u64()
        time = unsafe Timestamp(millis: reader.time())
        guard unsafe reader.isComplete else { throw malformed("heartbeat") }
    }

    package func encode(number: UInt32, into output: inout OutputBuffer) {
        let start = output.beginSummed(.heartbeat, flags: isSentKnown ? 1 : 0, word: number)
        output.u64(sent.sequence)
        output.u64(sent.chain)
        output.u64(sent.digest)
        output.u64(head)
        output.u64(echo)
        output.u64(ageMillis)
        output.time(time.millis)
        output.endSummed(start)
    }
}

/// What an edge needs of a catalog: which purpose has which bit, what applies where a row says nothing, and for how long an
/// answer counts that is not live.
package struct SyncCatalog: Equatable, Sendable {
    package struct Purpose: Equatable, Sendable {
        package var bit: Int
        package var id: String
        package var isGrantedByDefault: Bool
        package var isDeniedByDefault: Bool
        /// Seconds; zero: its answers count only while they are live.
        package var maxStaleness: UInt32

        package init(
            bit: Int, id: String, isGrantedByDefault: Bool = false, isDeniedByDefault: Bool = false,
            maxStaleness: UInt32 = 0
        ) {
            self.bit = bit
            self.id = id
            self.isGrantedByDefault = isGrantedByDefault
            self.isDeniedByDefault = isDeniedByDefault
            self.maxStaleness = maxStaleness
        }
    }

    package var version: UInt32
    /// SHA-256 of its canonical form; zeros before the first one was applied.
    package var digest: [UInt8]
    /// Rows of this sequence and later ones are made by it.
    package var sequence: UInt64
    package var purposes: [Purpose]
    /// Its text, as it was applied.
    package var text = ""

    package init(version: UInt32, digest: [UInt8], sequence: UInt64, purposes: [Purpose], text: String = "") {
        self.version = version
        self.digest = digest
        self.sequence = sequence
        self.purposes = purposes
        self.text = text
    }

    package static let none = SyncCatalog(
        version: 0, digest: [UInt8](repeating: 0, count: 32), sequence: 0, purposes: [])

    /// Stands for it in the digest of a whole state: the first eight bytes of its digest, little-endian.
    package var mark: UInt64 { digest.prefix(8).reversed().reduce(0) { $0 << 8 | UInt64($1) } }

    /// Whether each purpose of another one has the same bit here.
    package func keepsBits(of other: SyncCatalog) -> Bool {
        let bits = Dictionary(purposes.map { ($0.id, $0.bit) }) { first, _ in first }
        return other.purposes.allSatisfy { bits[$0.id] == $0.bit }
    }

    package var grantedDefaults: PurposeSet { PurposeSet(purposes.filter(\.isGrantedByDefault).map(\.bit)) }
    package var deniedDefaults: PurposeSet { PurposeSet(purposes.filter(\.isDeniedByDefault).map(\.bit)) }
    package var maxStaleness: [Int: UInt32] {
        Dictionary(
            purposes.filter { $0.maxStaleness > 0 }.map { ($0.bit, $0.maxStaleness) }, uniquingKeysWith: { min($0, $1) }
        )
    }

    /// `catalogRules`: all but the text.
    package init(_ frame: Frame) throws(WireError) {
        try unsafe frame.requireZero(argument: .max, word: .max)
        var reader = try unsafe frame.summed("catalogRules")
        sequence = unsafe reader.u64()
        version = unsafe reader.u32()
        digest = unsafe reader.array(32)
        purposes = []
        let count = unsafe Int(frame.argument)
        for _ in 0..<count where unsafe reader.isIntact {
            let (bit, flags) = unsafe (reader.u16(), reader.u8())
            let maxStaleness = unsafe reader.u32()
            let id = unsafe reader.text8()
            guard flags & ~3 == 0, bit < UInt16(Limit.purposesMax) else { throw malformed("catalogRules") }
            purposes.append(
                Purpose(
                    bit: Int(bit), id: id, isGrantedByDefault: flags & 1 == 1, isDeniedByDefault: flags & 2 == 2,
                    maxStaleness: maxStaleness))
        }
        guard unsafe reader.isComplete else { throw malformed("catalogRules") }
    }

    /// - Precondition: no id has more than 255 bytes.
    package func encodeRules(number: UInt32, into output: inout OutputBuffer) {
        let start = output.beginSummed(.catalogRules, argument: UInt16(purposes.count), word: number)
        output.u64(sequence)
        output.u32(version)
        output.bytes(digest)
        for purpose in purposes {
            output.u16(UInt16(purpose.bit))
            output.u8((purpose.isGrantedByDefault ? 1 : 0) | (purpose.isDeniedByDefault ? 2 : 0))
            output.u32(purpose.maxStaleness)
            output.text8(purpose.id)
        }
        output.endSummed(start)
    }

    /// `rulesText`: the text that belongs to the rules that came before it.
    package func encodeText(number: UInt32, into output: inout OutputBuffer) {
        let start = output.beginSummed(.rulesText, word: number)
        output.utf8(text)
        output.endSummed(start)
    }

    package static func text(_ frame: Frame) throws(WireError) -> String {
        try unsafe frame.requireZero(word: .max)
        var reader = try unsafe frame.summed("rulesText")
        let text = unsafe reader.restText()
        guard unsafe reader.isComplete else { throw malformed("rulesText") }
        return text
    }
}

/// One row on the wire, where it lies in a frame.
//     OFFSET  SIZE  FIELD             MEANING
//     0       8     tag and sequence  as in the index: 56 bits of the identifier's hash; upper 8 bits of the sequence
//     8       8     sequence and end  as in the index: lower 32 bits of the sequence; earliest end in seconds
//     16      8·w   permitted
//     …       8·w   denied
//     …       4     place             as in the index
//     …       4     flags             bit 0: the identifier has no row any more; the bitsets are zero
@unsafe package struct SyncRow {
    package let first: UInt64
    package let second: UInt64
    package let place: UInt32
    package let isAbsent: Bool
    /// Of each bitset.
    package let words: Int
    /// Permitted, then denied; not aligned.
    package let bits: UnsafeRawPointer

    package init(
        first: UInt64, second: UInt64, place: UInt32, isAbsent: Bool, words: Int, bits: UnsafeRawPointer
    ) {
        unsafe self.first = first
        unsafe self.second = second
        unsafe self.place = place
        unsafe self.isAbsent = isAbsent
        unsafe self.words = words
        unsafe self.bits = bits
    }

    /// What is left of the first word without the sequence.
    package static let tagMask: UInt64 = ~0xFF
    /// Smaller ones mean something else in an index.
    package static let tagMin: UInt64 = 2 << 8

    package var tag: UInt64 { unsafe first & Self.tagMask }
    package var sequence: UInt64 { unsafe (first & 0xFF) << 32 | second & 0xFFFF_FFFF }

    package func word(_ position: Int) -> UInt64 {
        unsafe UInt64(littleEndian: bits.loadUnaligned(fromByteOffset: position << 3, as: UInt64.self))
    }
}

/// How wide rows are on the wire: as in an index, by the words of each bitset.
package enum RowWidth {
    package static let all = [1, 3, 7, 15]

    /// The narrowest that holds so many words.
    package static func holding(words: Int) -> Int { all.first { $0 >= words } ?? all[all.count - 1] }

    /// Bytes of a row.
    package static func rowSize(words: Int) -> Int { 16 * words + 24 }
}

/// Rows of a frame. Checked when made: every tag can be one.
@unsafe package struct SyncRows {
    package let count: Int
    package let words: Int
    private let base: UnsafeRawPointer

    /// Reads what is left of a payload.
    fileprivate init?(_ reader: inout ByteReader, count: Int, words: Int) {
        guard RowWidth.all.contains(words) else { return nil }
        let bytes = unsafe reader.bytes(count * RowWidth.rowSize(words: words))
        guard unsafe reader.isComplete else { return nil }
        unsafe self.count = count
        unsafe self.words = words
        // Without a row there may be no address.
        let address = UnsafeRawPointer(bytes.baseAddress)
        unsafe base = address ?? UnsafeRawPointer(bitPattern: 1).unsafelyUnwrapped
        for position in 0..<count {
            guard unsafe self[position].tag >= SyncRow.tagMin, unsafe flags(position) & ~1 == 0 else { return nil }
        }
    }

    private func flags(_ position: Int) -> UInt32 {
        let size = unsafe RowWidth.rowSize(words: words)
        return unsafe UInt32(
            littleEndian: base.loadUnaligned(fromByteOffset: position * size + size - 4, as: UInt32.self))
    }

    package subscript(position: Int) -> SyncRow {
        let size = unsafe RowWidth.rowSize(words: words)
        let row = unsafe base + position * size
        return unsafe SyncRow(
            first: UInt64(littleEndian: row.loadUnaligned(as: UInt64.self)),
            second: UInt64(littleEndian: row.loadUnaligned(fromByteOffset: 8, as: UInt64.self)),
            place: UInt32(littleEndian: row.loadUnaligned(fromByteOffset: size - 8, as: UInt32.self)),
            isAbsent: flags(position) & 1 == 1, words: words, bits: row + 16)
    }
}

/// The part of a frame in which rows stand, as it is written: header, fields, rows.
package struct RowsFrame {
    private let start: Int
    private let countAt: Int
    package private(set) var count = 0
    private let countMax: Int

    /// What is left for rows in a frame, next to header and fields.
    private static let sizeMax = WireLimit.frameSizeMax - WireLimit.headerSize - 64

    fileprivate init(_ start: Int, countAt: Int, words: Int) {
        self.start = start
        self.countAt = countAt
        countMax = Self.sizeMax / RowWidth.rowSize(words: words)
    }

    package var isFull: Bool { count == countMax }

    package mutating func append(_ row: SyncRow, into output: inout OutputBuffer) {
        unsafe output.u64(row.first)
        unsafe output.u64(row.second)
        unsafe output.bytes(UnsafeRawBufferPointer(start: row.bits, count: row.words * 16))
        unsafe output.u32(row.place)
        unsafe output.u32(row.isAbsent ? 1 : 0)
        count += 1
    }

    /// As above, of a row that lies nowhere yet; absent where nothing is given that it says.
    package mutating func append(
        first: UInt64, second: UInt64, place: UInt32, _ says: (permitted: PurposeSet, denied: PurposeSet)?, words: Int,
        into output: inout OutputBuffer
    ) {
        output.u64(first)
        output.u64(second)
        for position in 0..<words { output.u64(says?.permitted[word: position] ?? 0) }
        for position in 0..<words { output.u64(says?.denied[word: position] ?? 0) }
        output.u32(place)
        output.u32(says == nil ? 1 : 0)
        count += 1
    }

    /// - Parameter isLast: whether nothing more belongs to what it is a part of: bit 0 of the flags.
    package func end(isLast: Bool, into output: inout OutputBuffer) {
        if isLast { output.setBit(0, inBitsetAt: start + 5) }
        output.setWord(UInt64(count), at: countAt)
        output.endSummed(start)
    }
}

/// `snapshotChunk`: rows of one chunk, or a part of them.
@unsafe package struct SnapshotChunk {
    package let chunk: UInt32
    /// Whether the chunk ends with it.
    package let isLast: Bool
    package let rows: SyncRows

    package init(_ frame: Frame) throws(WireError) {
        try unsafe frame.requireZero(flags: 1, argument: .max, word: .max)
        var reader = try unsafe frame.summed("snapshotChunk")
        let (chunk, reserved, count) = unsafe (reader.u32(), reader.u32(), reader.u64())
        guard unsafe reader.isIntact, count <= UInt64(WireLimit.frameSizeMax), reserved == 0,
            let rows = unsafe SyncRows(&reader, count: Int(count), words: Int(frame.argument))
        else { throw malformed("snapshotChunk") }
        unsafe self.chunk = chunk
        unsafe isLast = frame.flags == 1
        unsafe self.rows = rows
    }

    package static func begin(
        chunk: UInt32, words: Int, number: UInt32, into output: inout OutputBuffer
    ) -> RowsFrame {
        let start = output.beginSummed(.snapshotChunk, argument: UInt16(words), word: number)
        output.u32(chunk)
        output.u32(0)
        let countAt = output.count
        output.u64(0)
        return RowsFrame(start, countAt: countAt, words: words)
    }
}

/// `delta`: rows as they are now, of those that have changed after one point up to another one, or a part of them.
@unsafe package struct Delta {
    package let after: UInt64
    /// The digest is known only where ``hasDigest`` says so.
    package let point: SyncPoint
    /// Whether, with this one, everything up to the point is there.
    package let isComplete: Bool
    package let hasDigest: Bool
    package let rows: SyncRows

    package init(_ frame: Frame) throws(WireError) {
        try unsafe frame.requireZero(flags: 3, argument: .max, word: .max)
        var reader = try unsafe frame.summed("delta")
        let after = unsafe reader.u64()
        let point = unsafe SyncPoint(sequence: reader.u64(), chain: reader.u64(), digest: reader.u64())
        let count = unsafe reader.u64()
        guard unsafe reader.isIntact, count <= UInt64(WireLimit.frameSizeMax), after <= point.sequence,
            let rows = unsafe SyncRows(&reader, count: Int(count), words: Int(frame.argument))
        else { throw malformed("delta") }
        unsafe self.after = after
        unsafe self.point = point
        unsafe isComplete = frame.flags & 1 == 1
        unsafe hasDigest = frame.flags & 2 == 2
        unsafe self.rows = rows
    }

    package static func begin(
        after: UInt64, to point: SyncPoint, hasDigest: Bool, words: Int, number: UInt32 = 0,
        into output: inout OutputBuffer
    ) -> RowsFrame {
        let start = output.beginSummed(.delta, flags: hasDigest ? 2 : 0, argument: UInt16(words), word: number)
        output.u64(after)
        output.u64(point.sequence)
        output.u64(point.chain)
        output.u64(hasDigest ? point.digest : 0)
        let countAt = output.count
        output.u64(0)
        return RowsFrame(start, countAt: countAt, words: words)
    }
}

/// Why an upstream ends a subscription.
package enum CutOffReason: UInt8, Sendable, NamedInSnakeCase {
    /// The edge did not take what was sent to it.
    case tooSlow = 1
    /// Nothing came from the edge.
    case silent = 2
    /// The upstream drains.
    case draining = 3
    /// What the edge has cannot be brought up to date any more: subscribe again.
    case outdated = 4
    /// Other rows have taken the place of those that the edge follows: subscribe again.
    case historyChanged = 5
}

/// `cutOff`: the last push of an upstream.
package struct CutOff: Equatable, Sendable {
    package var reason: CutOffReason
    package var message: String

    package init(_ reason: CutOffReason, _ message: String) {
        self.reason = reason
        self.message = message
    }

    package init(_ frame: Frame) throws(WireError) {
        try unsafe frame.requireZero(argument: 0xFF, word: .max)
        var reader = try unsafe frame.summed("cutOff")
        message = unsafe reader.text16()
        guard unsafe reader.isComplete,
            let reason = unsafe CutOffReason(rawValue: UInt8(truncatingIfNeeded: frame.argument))
        else {
            throw malformed("cutOff")
        }
        self.reason = reason
    }

    package func encode(number: UInt32, into output: inout OutputBuffer) {
        let start = output.beginSummed(.cutOff, argument: UInt16(reason.rawValue), word: number)
        output.text16(message)
        output.endSummed(start)
    }
}
