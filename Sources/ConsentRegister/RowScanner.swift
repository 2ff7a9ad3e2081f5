/// Finds rows in a buffer that grows at its end, without ever looking at a byte twice unless a quote misleads it.
///
/// A quote opens a quoted field only as its first byte; elsewhere in an unquoted field it is text, as most exporters
/// and readers have it. Outside quotes, LF, CRLF and CR each end a row.
///
/// Recovery: when quotes do not add up (text after a closing quote, too many lines or bytes in a quoted field, end of
/// the file within one), only the row's first physical line is given up, and reading goes on at the next one. So a
/// stray quote costs one row; and a row that reaches over several lines is taken apart only if its quotes are wrong,
/// never because its number of fields is, since a person's note could hold a line that looks like a row.
struct RowScanner {
    enum Step {
        case needsMore
        /// A row whose text ends at `end`, before its line end.
        case row(end: Int, next: Int, isCutByEndOfFile: Bool)
        /// The row's first line is given up.
        case fault(CSVFault, end: Int, next: Int)
    }

    private enum State {
        case fieldStart
        case plain
        case quoted
        case afterQuote
        /// On the way to the end of the line.
        case faulted(CSVFault)
    }

    let delimiter: UInt8
    /// Fields beyond it are counted, not kept.
    var placesMax = RegisterLimit.columnsMax
    /// The row's start in the buffer, in the file, and its line.
    private(set) var rowStart = 0
    private(set) var rowPosition: FilePosition
    private(set) var fieldCount = 0
    private(set) var places: [FieldPlace] = []
    /// Whether the row was first read as part of an earlier one that was given up.
    private(set) var isRecovered = false

    private var state = State.fieldStart
    private var scan = 0
    private var fieldStart = 0
    private var fieldHasDoubledQuotes = false
    private var fieldLineEnds = 0
    private var rowLineEnds = 0
    private var firstLineEnd: Int?
    /// Bytes that were taken out of the buffer between the row's start and `scan`.
    private var droppedCount = 0
    /// The file offset up to which a row that was given up had been read.
    private var misreadUntil: UInt64 = 0

    init(delimiter: UInt8, rowStart: Int, position: FilePosition) {
        self.delimiter = delimiter
        rowPosition = position
        begin(at: rowStart)
    }

    /// Where in the file the row after this one starts.
    func position(ofNext next: Int, isFault: Bool) -> FilePosition {
        FilePosition(
            offset: rowPosition.offset + UInt64(next - rowStart + droppedCount),
            line: rowPosition.line + 1 + (isFault ? 0 : rowLineEnds))
    }

    mutating func begin(at next: Int, position: FilePosition) {
        rowPosition = position
        isRecovered = position.offset < misreadUntil
        begin(at: next)
    }

    private mutating func begin(at start: Int) {
        rowStart = start
        scan = start
        state = .fieldStart
        fieldCount = 0
        places.removeAll(keepingCapacity: true)
        rowLineEnds = 0
        firstLineEnd = nil
        droppedCount = 0
    }

    /// Tells what of the buffer is no longer needed: all before the row and, of a row at fault, all but the text that
    /// the reject file takes. The caller must remove exactly these, the later range first.
    mutating func release() -> (before: Range<Int>, within: Range<Int>) {
        var within = scan..<scan
        if case .faulted = state {
            within = min(rowStart + RegisterLimit.rejectTextSizeMax, scan)..<scan
        }
        let before = 0..<rowStart
        droppedCount += within.count
        scan -= within.count + before.count
        fieldStart -= before.count
        firstLineEnd = firstLineEnd.map { $0 - before.count }
        for position in places.indices {
            places[position].start -= before.count
            places[position].end -= before.count
        }
        rowStart = 0
        return (before, within)
    }

    /// Reads on from where it stopped, to the end of a row or of the buffer.
    ///
    /// - Parameter isFinal: nothing will follow what is in the buffer.
    mutating func advance(_ bytes: UnsafeBufferPointer<UInt8>, isFinal: Bool) -> Step {
        while scan < bytes.count {
            let step: Step?
            switch state {
            case .fieldStart: step = startField(bytes)
            case .plain: step = readPlain(bytes, isFinal: isFinal)
            case .quoted: step = readQuoted(bytes, isFinal: isFinal)
            case .afterQuote: step = readAfterQuote(bytes, isFinal: isFinal)
            case .faulted(let fault): step = readFaulted(fault, bytes, isFinal: isFinal)
            }
            if let step { return step }
        }
        return isFinal && rowStart < bytes.count ? endOfFile(bytes) : .needsMore
    }

    private mutating func startField(_ bytes: UnsafeBufferPointer<UInt8>) -> Step? {
        let isQuoted = bytes[scan] == UInt8(ascii: "\"")
        if isQuoted { scan += 1 }
        fieldStart = scan
        fieldHasDoubledQuotes = false
        fieldLineEnds = 0
        state = isQuoted ? .quoted : .plain
        return nil
    }

    private mutating func readPlain(_ bytes: UnsafeBufferPointer<UInt8>, isFinal: Bool) -> Step? {
        let limit = min(bytes.count, fieldStart + RegisterLimit.fieldSizeMax + 1)
        let delimiter = delimiter
        var position = scan
        while position < limit {
            let byte = bytes[position]
            if byte == delimiter || byte == UInt8(ascii: "\n") || byte == UInt8(ascii: "\r") { break }
            position += 1
        }
        scan = position
        if position == limit {
            return position - fieldStart > RegisterLimit.fieldSizeMax ? fault(.fieldTooLong) : nil
        }
        if bytes[position] == delimiter { return endField(at: position) }
        return endRow(at: position, fieldEnd: position, bytes, isFinal: isFinal)
    }

    private mutating func readQuoted(_ bytes: UnsafeBufferPointer<UInt8>, isFinal: Bool) -> Step? {
        let limit = min(bytes.count, fieldStart + RegisterLimit.fieldSizeMax + 1)
        while scan < limit {
            switch bytes[scan] {
            case UInt8(ascii: "\""):
                guard scan + 1 < bytes.count || isFinal else { return .needsMore }
                guard scan + 1 < bytes.count, bytes[scan + 1] == UInt8(ascii: "\"") else {
                    state = .afterQuote
                    scan += 1
                    return nil
                }
                fieldHasDoubledQuotes = true
                scan += 2
            case UInt8(ascii: "\n"), UInt8(ascii: "\r"):
                guard let next = lineEnd(at: scan, bytes, isFinal: isFinal) else { return .needsMore }
                rowLineEnds += 1
                fieldLineEnds += 1
                firstLineEnd = firstLineEnd ?? next
                scan = next
                if fieldLineEnds >= RegisterLimit.quotedLinesMax { return fault(.quoteUnclosed) }
            default: scan += 1
            }
        }
        guard scan - fieldStart > RegisterLimit.fieldSizeMax else { return nil }
        return fault(fieldLineEnds == 0 ? .fieldTooLong : .quoteUnclosed)
    }

    private mutating func readAfterQuote(_ bytes: UnsafeBufferPointer<UInt8>, isFinal: Bool) -> Step? {
        switch bytes[scan] {
        case delimiter: endField(at: scan - 1)
        case UInt8(ascii: "\n"), UInt8(ascii: "\r"):
            endRow(at: scan, fieldEnd: scan - 1, bytes, isFinal: isFinal)
        default: fault(.quoteMisplaced)
        }
    }

    private mutating func readFaulted(
        _ fault: CSVFault, _ bytes: UnsafeBufferPointer<UInt8>, isFinal: Bool
    ) -> Step? {
        while scan < bytes.count, bytes[scan] != UInt8(ascii: "\n"), bytes[scan] != UInt8(ascii: "\r") { scan += 1 }
        guard scan < bytes.count else { return nil }
        guard let next = lineEnd(at: scan, bytes, isFinal: isFinal) else { return .needsMore }
        return .fault(fault, end: scan, next: next)
    }

    /// The place after a line end, or nil while the LF of a CRLF may still come.
    private func lineEnd(at position: Int, _ bytes: UnsafeBufferPointer<UInt8>, isFinal: Bool) -> Int? {
        guard bytes[position] == UInt8(ascii: "\r") else { return position + 1 }
        guard position + 1 < bytes.count else { return isFinal ? position + 1 : nil }
        return bytes[position + 1] == UInt8(ascii: "\n") ? position + 2 : position + 1
    }

    private mutating func keepField(end: Int) {
        if fieldCount < placesMax {
            places.append(FieldPlace(start: fieldStart, end: end, hasDoubledQuotes: fieldHasDoubledQuotes))
        }
        fieldCount += 1
    }

    /// Ends a field that a delimiter follows, at `scan`.
    private mutating func endField(at end: Int) -> Step? {
        keepField(end: end)
        scan += 1
        state = .fieldStart
        return scan - rowStart > RegisterLimit.rowSizeMax ? fault(.rowTooLong) : nil
    }

    private mutating func endRow(
        at position: Int, fieldEnd: Int, _ bytes: UnsafeBufferPointer<UInt8>, isFinal: Bool
    ) -> Step {
        guard let next = lineEnd(at: position, bytes, isFinal: isFinal) else { return .needsMore }
        if position > rowStart { keepField(end: fieldEnd) }
        return .row(end: position, next: next, isCutByEndOfFile: false)
    }

    /// Gives the row up: at once if its first line has ended, else when it does.
    private mutating func fault(_ fault: CSVFault) -> Step? {
        misreadUntil = max(misreadUntil, rowPosition.offset + UInt64(scan - rowStart))
        if let next = firstLineEnd { return .fault(fault, end: next, next: next) }
        state = .faulted(fault)
        return nil
    }

    private mutating func endOfFile(_ bytes: UnsafeBufferPointer<UInt8>) -> Step {
        let end = bytes.count
        switch state {
        case .fieldStart:
            fieldStart = end
            fieldHasDoubledQuotes = false
            keepField(end: end)
        case .plain: keepField(end: end)
        case .afterQuote: keepField(end: end - 1)
        case .quoted:
            let next = firstLineEnd ?? end
            misreadUntil = max(misreadUntil, rowPosition.offset + UInt64(end - rowStart))
            return .fault(.quoteUnclosed, end: next, next: next)
        case .faulted(let fault): return .fault(fault, end: end, next: end)
        }
        return .row(end: end, next: end, isCutByEndOfFile: true)
    }
}
