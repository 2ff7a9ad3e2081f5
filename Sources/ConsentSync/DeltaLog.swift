package import ConsentIndex
import ConsentModel
package import ConsentWire

/// What a row says now, as a node tells those who follow it.
package struct ChangedRow: Sendable {
    package var hash: IdentifierHash
    /// Nil: the identifier has no row any more.
    package var row: IndexRow?

    package init(_ hash: IdentifierHash, _ row: IndexRow?) {
        self.hash = hash
        self.row = row
    }
}

/// The newest changes of a node, encoded once for everybody who follows it. Who needs older ones is told of rows instead, by
/// a walk through the index: so nobody who is slow makes the node remember anything.
package struct DeltaLog: Sendable {
    /// One change, in frames whose running number is to be put in.
    package struct Entry: Sendable {
        package var after: UInt64
        package var point: SyncPoint
        /// The catalog that these rows are made by, if it is another one than that of the rows before.
        package var catalog: SyncCatalog?
        package var hasAbsentRows: Bool
        /// Whether the digest of ``point`` is the one that the authoritative node has there.
        package var hasDigest = true
        /// Nothing, where they are too many to be kept: then this is a change that is not here any more.
        package var frames: [[UInt8]]

        package init(
            after: UInt64, point: SyncPoint, catalog: SyncCatalog?, hasAbsentRows: Bool, hasDigest: Bool = true,
            frames: [[UInt8]]
        ) {
            self.after = after
            self.point = point
            self.catalog = catalog
            self.hasAbsentRows = hasAbsentRows
            self.hasDigest = hasDigest
            self.frames = frames
        }

        var withoutFrames: Entry {
            var entry = self
            entry.frames = []
            return entry
        }

        fileprivate var size: Int { frames.reduce(0) { $0 + $1.count } }
    }

    package enum Next {
        case entry(Entry)
        /// There is nothing newer.
        case nothing
        /// What comes next is not here any more.
        case gone
    }

    /// Where the node is, as far as the log was told.
    package private(set) var point: SyncPoint
    /// Whether the digest of ``point`` is the one that the authoritative node has there.
    package private(set) var isDigestKnown: Bool
    package private(set) var catalog: SyncCatalog
    /// Who has less than this cannot be told which rows are gone.
    package private(set) var absentRowsLostUpTo: UInt64 = 0
    /// Rises whenever other rows have taken the place of those before.
    package private(set) var epoch: UInt64 = 0
    /// The points that the node has passed, oldest first; those of entries that were dropped too.
    private var passed: [(sequence: UInt64, chain: UInt64)]
    private var entries: [Entry] = []
    /// Entries before it were dropped.
    private var first = 0
    private var size = 0
    private let sizeMax: Int

    /// Bytes of encoded changes that a node keeps: some minutes of 1,000 changes a second.
    package static let sizeMaxDefault = 64 << 20
    /// 16 bytes each.
    private static let passedMax = 1 << 16

    package init(
        at point: SyncPoint, isDigestKnown: Bool = true, catalog: SyncCatalog, sizeMax: Int = DeltaLog.sizeMaxDefault
    ) {
        self.point = point
        self.isDigestKnown = isDigestKnown
        self.catalog = catalog
        self.sizeMax = sizeMax
        passed = [(point.sequence, point.chain)]
    }

    /// Adds a change. One that does not follow from the last one stands for all that may have changed in between.
    package mutating func append(_ entry: Entry) {
        if let new = entry.catalog { catalog = new }
        let follows = entry.after == point.sequence
        point = entry.point
        passed.append((point.sequence, point.chain))
        if passed.count > Self.passedMax { passed.removeFirst(Self.passedMax / 2) }
        isDigestKnown = entry.hasDigest
        guard follows, !entry.frames.isEmpty, entry.size <= sizeMax else {
            forgetAll(hasAbsentRows: entry.hasAbsentRows, upTo: point.sequence)
            return
        }
        entries.append(entry)
        size += entry.size
        while size > sizeMax { forgetFirst() }
        if first > 1024, first > entries.count / 2 {
            entries.removeFirst(first)
            first = 0
        }
    }

    /// Goes on from elsewhere: all rows may have changed.
    ///
    /// - Parameter rowsLostUpTo: who has less than this may have rows that are gone. What is not known here is found by
    ///   the digest.
    package mutating func reset(
        to point: SyncPoint, isDigestKnown: Bool, catalog: SyncCatalog, rowsLostUpTo: UInt64 = 0
    ) {
        forgetAll(hasAbsentRows: false, upTo: 0)
        absentRowsLostUpTo = rowsLostUpTo
        passed = [(point.sequence, point.chain)]
        epoch += 1
        self.point = point
        self.isDigestKnown = isDigestKnown
        self.catalog = catalog
    }

    /// The digest at a sequence has been compared.
    package mutating func confirm(_ sequence: UInt64) {
        if point.sequence == sequence { isDigestKnown = true }
    }

    private mutating func forgetFirst() {
        let entry = entries[first]
        size -= entry.size
        if entry.hasAbsentRows { absentRowsLostUpTo = max(absentRowsLostUpTo, entry.point.sequence) }
        entries[first].frames = []
        first += 1
    }

    private mutating func forgetAll(hasAbsentRows: Bool, upTo sequence: UInt64) {
        while first < entries.count { forgetFirst() }
        entries = []
        first = 0
        if hasAbsentRows { absentRowsLostUpTo = max(absentRowsLostUpTo, sequence) }
    }

    /// Whether an event of the past has this chain, as far as the log goes back; nil: that is not known here.
    package func knows(sequence: UInt64, chain: UInt64) -> Bool? {
        var (low, high) = (0, passed.count)
        while low < high {
            let middle = (low + high) / 2
            if passed[middle].sequence < sequence { low = middle + 1 } else { high = middle }
        }
        return low < passed.count && passed[low].sequence == sequence ? passed[low].chain == chain : nil
    }

    /// What comes next for who has everything up to a sequence.
    package func next(after sequence: UInt64) -> Next {
        if sequence >= point.sequence { return .nothing }
        guard let position = position(after: sequence) else { return .gone }
        return .entry(entries[position])
    }

    /// Bytes of all changes that are there for who has everything up to a sequence; nil where the next one is gone.
    package func size(after sequence: UInt64) -> Int? {
        if sequence >= point.sequence { return 0 }
        return position(after: sequence).map { entries[$0...].reduce(0) { $0 + $1.size } }
    }

    /// Of the next change.
    private func position(after sequence: UInt64) -> Int? {
        var (low, high) = (first, entries.count)
        while low < high {
            let middle = (low + high) / 2
            if entries[middle].point.sequence > sequence { high = middle } else { low = middle + 1 }
        }
        return low < entries.count && entries[low].after <= sequence ? low : nil
    }
}

extension DeltaLog.Entry {
    /// A larger change is left to be walked for: who follows is never given more at a time.
    package static let sizeMax = 1 << 20

    /// Encodes a change.
    ///
    /// - Parameter isKept: false where nobody follows.
    package init(
        after: UInt64, point: SyncPoint, rows: [ChangedRow], catalog: SyncCatalog? = nil, isKept: Bool = true
    ) {
        self.init(
            after: after, point: point, catalog: catalog, hasAbsentRows: rows.contains { $0.row == nil }, frames: [])
        guard isKept, rows.count * RowWidth.rowSize(words: 1) <= Self.sizeMax else { return }
        let words = RowWidth.holding(words: rows.reduce(1) { max($0, $1.row?.wordCount ?? 1) })
        var output = OutputBuffer(capacity: 256 + rows.count * RowWidth.rowSize(words: words))
        func begin() -> RowsFrame {
            Delta.begin(after: after, to: point, hasDigest: true, words: words, into: &output)
        }
        var frame = begin()
        for changed in rows {
            if frame.isFull {
                end(frame, isLast: false, &output)
                frame = begin()
            }
            let row = changed.row
            let sequence = row?.sequence ?? point.sequence
            frame.append(
                first: changed.hash.indexTag | sequence >> 32,
                second: sequence & 0xFFFF_FFFF | UInt64(row?.endsAt ?? 0) << 32, place: changed.hash.indexPlace,
                row.map { ($0.permitted, $0.denied) }, words: words, into: &output)
        }
        end(frame, isLast: true, &output)
    }

    private mutating func end(_ frame: RowsFrame, isLast: Bool, _ output: inout OutputBuffer) {
        frame.end(isLast: isLast, into: &output)
        frames.append(Array(output.bytes))
        output.clear()
    }
}

extension IndexRow {
    fileprivate var wordCount: Int { max(permitted.wordCount, denied.wordCount) }
}
