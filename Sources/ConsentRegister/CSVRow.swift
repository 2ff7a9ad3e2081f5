/// Why one row was not read. The rows around it are.
package enum CSVFault: Error, Hashable, Sendable {
    case fieldTooLong
    case rowTooLong
    case nulByte
    case invalidUTF8
    case tooFewFields(Int, expected: Int)
    case tooManyFields(Int, expected: Int)
    /// No closing quote within the limits, or before the end of the file.
    case quoteUnclosed
    /// Something other than a delimiter or a line end follows a closing quote.
    case quoteMisplaced
    /// The file ends within the row.
    case truncated(Int, expected: Int)

    /// A slug for the reject file and for counting.
    package var rule: String {
        switch self {
        case .fieldTooLong: "field_too_long"
        case .rowTooLong: "row_too_long"
        case .nulByte: "nul_byte"
        case .invalidUTF8: "invalid_utf8"
        case .tooFewFields: "too_few_fields"
        case .tooManyFields: "too_many_fields"
        case .quoteUnclosed: "quote_unclosed"
        case .quoteMisplaced: "quote_misplaced"
        case .truncated: "truncated"
        }
    }

    /// Whether reading went on at the row's next line, whatever its quotes say.
    var givesUp: Bool {
        switch self {
        case .fieldTooLong, .rowTooLong, .quoteUnclosed, .quoteMisplaced: true
        case .nulByte, .invalidUTF8, .tooFewFields, .tooManyFields, .truncated: false
        }
    }

    /// What was wrong and what to do.
    package var message: String {
        switch self {
        case .fieldTooLong: "a field has more than \(RegisterLimit.fieldSizeMax) bytes"
        case .rowTooLong: "the row has more than \(RegisterLimit.rowSizeMax) bytes"
        case .nulByte: "the row holds a NUL byte"
        case .invalidUTF8: "the row is not UTF-8; \(Self.latin1Question)"
        case .tooFewFields(let count, let expected): "\(count) fields where the first row names \(expected)"
        case .tooManyFields(let count, let expected):
            "\(count) fields where the first row names \(expected); is a delimiter inside a field without quotes?"
        case .quoteUnclosed:
            "a quote that opens on this line is not closed within \(RegisterLimit.quotedLinesMax) lines and "
                + "\(RegisterLimit.fieldSizeMax) bytes; reading went on at the next line"
        case .quoteMisplaced:
            "text follows a closing quote; a quote inside a quoted field is written twice; reading went on at the "
                + "next line"
        case .truncated(let count, let expected):
            "the file ends within this row, after \(count) of \(expected) fields; was it copied whole?"
        }
    }

    static let latin1Question = "is the file Latin-1? convert with iconv -f LATIN1 -t UTF-8"
}

/// A field's place: in the row's bytes, or in the rewritten ones where it held doubled quotes or a ``FormulaMark``.
struct FieldPlace {
    var start: Int
    var end: Int
    var hasDoubledQuotes: Bool
    var isRewritten = false
}

/// One row, lent to a handler for the length of its call: the fields are slices of the reader's buffer.
package struct CSVRow: ~Copyable {
    package let start: FilePosition
    /// Where the next row starts: the point from which to resume once this row is dealt with.
    package let end: FilePosition
    /// The first row, which names the columns.
    package let isHeader: Bool
    /// Whether it was first read as part of a quoted field of an earlier row, whose quote then turned out not to
    /// close. It is most likely a row of its own, but its text could have been part of somebody's note.
    package let isRecovered: Bool
    /// Why it could not be read; it has no fields then, unless it is whole.
    package let fault: CSVFault?
    /// Whether it has all its fields. One at fault may: what some of them hold is not text then.
    let isWhole: Bool
    /// Fields before the first place of doubt: of a row at fault those that had ended when the fault was met, on its first
    /// line and within what is kept of it. A separator too many or too few may stand before them, unless the row is whole.
    let readableCount: Int
    /// The row as it is written, without its line end. Of a row at fault its first line, and no more than the reject
    /// file takes. Valid only within the call.
    package let text: UnsafeBufferPointer<UInt8>

    let bytes: UnsafeBufferPointer<UInt8>
    let rewritten: UnsafeBufferPointer<UInt8>
    let places: UnsafeBufferPointer<FieldPlace>
    /// All of them in the row's bytes.
    let writtenPlaces: UnsafeBufferPointer<FieldPlace>
    /// Where the row begins in its bytes.
    let textStart: Int

    package var count: Int { fault == nil ? places.count : 0 }

    /// A field without its quotes and marks, valid only within the call.
    package subscript(position: Int) -> UnsafeBufferPointer<UInt8> {
        let place = places[position]
        return UnsafeBufferPointer(rebasing: (place.isRewritten ? rewritten : bytes)[place.start..<place.end])
    }

    /// As it is written, with a note in place of some fields unless they are empty; nil if it has no fields.
    func text(withholding positions: [Int], note: [UInt8]) -> [UInt8]? {
        guard fault == nil else { return nil }
        var written = Array(text)
        for position in positions.sorted(by: >) where !self[position].trimmed.isEmpty {
            let place = writtenPlaces[position]
            written.replaceSubrange((place.start - textStart)..<(place.end - textStart), with: note)
        }
        return written
    }

    /// A field as text of its own.
    package func string(_ position: Int) -> String { String(decoding: self[position], as: UTF8.self) }
}
