/// Reads CSV (RFC 4180 and what is found in practice) from chunks of any size, and gives back the same rows however it
/// was cut. It keeps no more than one row and one piece of a chunk.
///
/// The first row names the columns; every other has as many fields. Lines without any byte are passed over.
package struct CSVReader {
    /// How far the search for the end of the first row has come.
    private struct Opening {
        var scan = 0
        var isQuoted = false
        var holdsSomething = false
    }

    private enum Phase {
        /// Until the end of the first row is seen.
        case opening(Opening)
        case header
        case rows
        case refused(RegisterRefusal)
    }

    private let forcedDelimiter: UInt8?
    private var phase = Phase.opening(Opening())
    private var scanner = RowScanner(delimiter: UInt8(ascii: ","), rowStart: 0, position: .start)
    /// From the start of the row in progress.
    private var buffer: [UInt8] = []
    /// The fields of one row that held doubled quotes or marks.
    private var rewritten: [UInt8] = []
    private var holdsApostrophe = false
    /// Of the row in progress: all its fields are there, whatever they hold.
    private var isWhole = false
    private var columnCount = 0

    /// - Parameter delimiter: nil takes what the first row uses most of comma, semicolon and tab.
    package init(delimiter: UInt8? = nil) { forcedDelimiter = delimiter }

    /// What stands between fields; known once the first row has been read.
    package var delimiter: UInt8 { scanner.delimiter }

    /// The start of the first row that has not been handed out.
    package var position: FilePosition { scanner.rowPosition }

    /// Bytes that wait for the rest of their row.
    var keptSize: Int { buffer.count }

    /// Whether the first row has been read.
    package var isOpen: Bool {
        if case .rows = phase { true } else { false }
    }

    /// Reads on. The handler gets every row that is complete, the first one included, in the order of the file.
    ///
    /// - Throws: why the file is not read at all; every later call throws the same.
    package mutating func feed(
        _ chunk: UnsafeRawBufferPointer, _ handle: (borrowing CSVRow) -> Void
    ) throws(RegisterRefusal) {
        var rest = chunk[...]
        while !rest.isEmpty {
            let piece = rest.prefix(RegisterLimit.pieceSize)
            rest = rest.dropFirst(piece.count)
            buffer.append(contentsOf: UnsafeRawBufferPointer(rebasing: piece))
            try drain(isFinal: false, handle)
        }
    }

    /// As above, of bytes in an array.
    package mutating func feed(
        _ chunk: [UInt8], _ handle: (borrowing CSVRow) -> Void
    ) throws(RegisterRefusal) {
        buffer.reserveCapacity(min(chunk.count, RegisterLimit.pieceSize))
        var start = 0
        while start < chunk.count {
            let end = min(start + RegisterLimit.pieceSize, chunk.count)
            buffer.append(contentsOf: chunk[start..<end])
            start = end
            try drain(isFinal: false, handle)
        }
    }

    /// Says that nothing follows, and hands out what was left.
    ///
    /// - Throws: why the file is not read at all: for example, that it was empty.
    package mutating func finish(_ handle: (borrowing CSVRow) -> Void) throws(RegisterRefusal) {
        try drain(isFinal: true, handle)
    }

    /// Forgets what was fed and goes on at another place of the same file; the next byte fed is the one there.
    /// The first row must have been read, since it says what the fields mean.
    package mutating func resume(at position: FilePosition) {
        precondition(isOpen, "a register is resumed after its first row was read")
        buffer.removeAll(keepingCapacity: true)
        scanner = RowScanner(delimiter: scanner.delimiter, rowStart: 0, position: position)
        scanner.placesMax = columnCount
    }

    private mutating func drain(isFinal: Bool, _ handle: (borrowing CSVRow) -> Void) throws(RegisterRefusal) {
        if case .opening = phase { try open(isFinal: isFinal) }
        switch phase {
        case .opening: return
        case .refused(let refusal): throw refusal
        case .header, .rows: break
        }
        // The copy shares the buffer's storage; it is gone before the buffer changes.
        do {
            let bytes = buffer
            bytes.withUnsafeBufferPointer { readRows($0, isFinal: isFinal, handle) }
        }
        if case .refused(let refusal) = phase { throw refusal }
        let unused = scanner.release()
        buffer.removeSubrange(unused.within)
        buffer.removeSubrange(unused.before)
    }

    private mutating func readRows(
        _ bytes: UnsafeBufferPointer<UInt8>, isFinal: Bool, _ handle: (borrowing CSVRow) -> Void
    ) {
        while true {
            switch scanner.advance(bytes, isFinal: isFinal) {
            case .needsMore: return
            case .row(let end, let next, let isCut):
                let following = scanner.position(ofNext: next, isFault: false)
                let text = UnsafeBufferPointer(rebasing: bytes[scanner.rowStart..<end])
                if !text.isEmpty {
                    let fault = fault(of: text, isCutByEndOfFile: isCut)
                    hand(text, fault, next: following, bytes, handle)
                }
                scanner.begin(at: next, position: following)
            case .fault(let fault, let end, let next):
                let following = scanner.position(ofNext: next, isFault: true)
                let text = UnsafeBufferPointer(rebasing: bytes[scanner.rowStart..<end])
                hand(text, fault, next: following, bytes, handle)
                scanner.begin(at: next, position: following)
            }
            if case .refused = phase { return }
        }
    }

    private mutating func hand(
        _ text: UnsafeBufferPointer<UInt8>, _ fault: CSVFault?, next: FilePosition,
        _ bytes: UnsafeBufferPointer<UInt8>, _ handle: (borrowing CSVRow) -> Void
    ) {
        var isHeader = false
        if case .header = phase {
            guard takeHeader(fault) else { return }
            isHeader = true
        }
        var places = scanner.places
        let isWhole = fault == nil || fault == .nulByte || fault == .invalidUTF8 ? isWhole : false
        if !isWhole {
            holdsApostrophe = text.contains(FormulaMark.byte)
            // Of a row that was given up, the buffer holds no more than its reject text, however the file was cut.
            let size = fault?.givesUp ?? false ? min(text.count, RegisterLimit.rejectTextSizeMax) : text.count
            let end = scanner.rowStart + size
            places.removeSubrange((places.firstIndex { $0.end > end } ?? places.endIndex)...)
        }
        rewrite(&places, bytes)
        rewritten.withUnsafeBufferPointer { rewritten in
            places.withUnsafeBufferPointer { places in
                scanner.places.withUnsafeBufferPointer { writtenPlaces in
                    handle(
                        CSVRow(
                            start: scanner.rowPosition, end: next, isHeader: isHeader,
                            isRecovered: scanner.isRecovered, fault: fault, isWhole: isWhole,
                            readableCount: places.count, text: fault == nil ? text : rejectText(of: text), bytes: bytes,
                            rewritten: rewritten,
                            places: places, writtenPlaces: writtenPlaces, textStart: scanner.rowStart))
                }
            }
        }
    }

    private mutating func takeHeader(_ fault: CSVFault?) -> Bool {
        let count = scanner.fieldCount
        switch fault {
        case .invalidUTF8?: phase = .refused(.headerNotUTF8)
        case .nulByte?: phase = .refused(.notText("binary data"))
        case let fault?: phase = .refused(.headerUnreadable(fault))
        case nil where count > RegisterLimit.columnsMax: phase = .refused(.columnsTooMany(count))
        case nil:
            columnCount = count
            scanner.placesMax = count
            phase = .rows
            return true
        }
        return false
    }

    private mutating func fault(of text: UnsafeBufferPointer<UInt8>, isCutByEndOfFile: Bool) -> CSVFault? {
        let count = scanner.fieldCount
        if isOpen, isCutByEndOfFile, count < columnCount { return .truncated(count, expected: columnCount) }
        var seen: UInt8 = 0
        var zeros: UInt8 = 0
        var apostrophes: UInt8 = 0
        // Without branches, so that it runs over 16 bytes at a time.
        for byte in text {
            seen |= byte
            zeros |= byte == 0 ? 1 : 0
            apostrophes |= byte == FormulaMark.byte ? 1 : 0
        }
        holdsApostrophe = apostrophes != 0
        isWhole = !isOpen || count == columnCount
        if zeros != 0 { return .nulByte }
        if seen >= 0x80, !isUTF8(text) { return .invalidUTF8 }
        if isWhole { return nil }
        return count < columnCount
            ? .tooFewFields(count, expected: columnCount) : .tooManyFields(count, expected: columnCount)
    }

    private func isUTF8(_ text: UnsafeBufferPointer<UInt8>) -> Bool {
        (try? UTF8Span(validating: text.span)) != nil
    }

    /// Undoes the doubling of quotes and takes marks off, in a buffer of its own: the row's text stays as it is written.
    private mutating func rewrite(_ places: inout [FieldPlace], _ bytes: UnsafeBufferPointer<UInt8>) {
        rewritten.removeAll(keepingCapacity: true)
        // Of most rows nothing: the places are the scanner's own, and not copied.
        guard holdsApostrophe || places.contains(where: \.hasDoubledQuotes) else { return }
        for position in places.indices where places[position].hasDoubledQuotes || holdsApostrophe {
            let start = rewritten.count
            let field = bytes[places[position].start..<places[position].end]
            if places[position].hasDoubledQuotes { appendUnescaped(field) } else { rewritten.append(contentsOf: field) }
            if holdsApostrophe { FormulaMark.unmark(&rewritten, from: start) }
            places[position] = FieldPlace(
                start: start, end: rewritten.count, hasDoubledQuotes: places[position].hasDoubledQuotes,
                isRewritten: true)
        }
    }

    private mutating func appendUnescaped(_ field: Slice<UnsafeBufferPointer<UInt8>>) {
        var isSecondQuote = false
        for byte in field {
            isSecondQuote = byte == UInt8(ascii: "\"") && !isSecondQuote
            if byte != UInt8(ascii: "\"") || isSecondQuote { rewritten.append(byte) }
        }
    }

    /// What the reject file takes of a row at fault, without a line end behind it.
    private func rejectText(of text: UnsafeBufferPointer<UInt8>) -> UnsafeBufferPointer<UInt8> {
        var end = min(text.count, RegisterLimit.rejectTextSizeMax)
        while end > 0, text[end - 1] == UInt8(ascii: "\n") || text[end - 1] == UInt8(ascii: "\r") { end -= 1 }
        return UnsafeBufferPointer(rebasing: text[..<end])
    }
}

/// The opening: what kind of file it is and which delimiter it uses.
extension CSVReader {
    private mutating func open(isFinal: Bool) throws(RegisterRefusal) {
        let end = headerEnd()
        let isTooLong = end == nil && buffer.count > RegisterLimit.headerSizeMax
        guard end != nil || isTooLong || isFinal else { return }
        let header = buffer[..<min(end ?? buffer.count, RegisterLimit.headerSizeMax)]
        if let refusal = Self.refusal(of: header) ?? (isTooLong ? .headerTooLong : nil) {
            phase = .refused(refusal)
            throw refusal
        }
        let start = header.starts(with: TextEncoding.utf8ByteOrderMark) ? TextEncoding.utf8ByteOrderMark.count : 0
        let delimiter = forcedDelimiter ?? Self.delimiter(in: header.dropFirst(start))
        scanner = RowScanner(
            delimiter: delimiter, rowStart: start, position: FilePosition(offset: UInt64(start), line: 1))
        phase = .header
    }

    /// The end of the first line that holds something, seen without knowing the delimiter; nil if it is still to come.
    private mutating func headerEnd() -> Int? {
        guard case .opening(var opening) = phase else { return nil }
        let limit = min(buffer.count, RegisterLimit.headerSizeMax)
        defer { phase = .opening(opening) }
        while opening.scan < limit {
            switch buffer[opening.scan] {
            case UInt8(ascii: "\""): opening.isQuoted.toggle()
            case UInt8(ascii: "\n"), UInt8(ascii: "\r"):
                if !opening.isQuoted, opening.holdsSomething { return opening.scan }
            case 0xEF, 0xBB, 0xBF: break  // may be a byte order mark, which is nothing yet
            default: opening.holdsSomething = true
            }
            opening.scan += 1
        }
        return nil
    }

    private static func holdsSomething(_ bytes: ArraySlice<UInt8>) -> Bool {
        let start = bytes.starts(with: TextEncoding.utf8ByteOrderMark) ? TextEncoding.utf8ByteOrderMark.count : 0
        return bytes.dropFirst(start).contains { $0 != UInt8(ascii: "\n") && $0 != UInt8(ascii: "\r") }
    }

    private static func refusal(of header: ArraySlice<UInt8>) -> RegisterRefusal? {
        if let encoding = TextEncoding(sniffing: header) { return .encoding(encoding) }
        if header.starts(with: [0x50, 0x4B, 0x03, 0x04]) { return .notText("a ZIP archive or an Excel workbook") }
        if header.starts(with: [0x1F, 0x8B]) { return .notText("compressed with gzip") }
        if header.contains(0) { return .notText("binary data") }
        return holdsSomething(header) ? nil : .emptyFile
    }

    private static func delimiter(in header: ArraySlice<UInt8>) -> UInt8 {
        var counts = [UInt8(ascii: ","): 0, UInt8(ascii: ";"): 0, UInt8(ascii: "\t"): 0]
        var isQuoted = false
        for byte in header {
            if byte == UInt8(ascii: "\"") {
                isQuoted.toggle()
            } else if !isQuoted {
                counts[byte]? += 1
            }
        }
        let most = counts.max { ($0.value, $1.key) < ($1.value, $0.key) }
        return most?.key ?? UInt8(ascii: ",")
    }
}
