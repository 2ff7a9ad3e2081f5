import ConsentCrypto
package import ConsentModel

/// A row that became events.
package struct RegisterRow: Sendable, Equatable {
    package let start: FilePosition
    /// Where reading resumes once the events are durable.
    package let end: FilePosition
    /// One per purpose.
    package private(set) var events: [ConsentEvent]
    /// What a row that granted lacks as proof; its events ask again, unless this is empty.
    package let missing: [RegisterField]
    package var isWithoutProof: Bool { !missing.isEmpty }
    /// It stood where a quote of an earlier row had not closed; see ``CSVRow``.
    package let isRecovered: Bool
    /// As the reject file shows it if the server refuses one of the events.
    package let text: [UInt8]

    /// Whether nothing in its events tells them from those of another register that says the same: a "no" of which nobody
    /// knows when it was said.
    package var isUndated: Bool { events.contains { $0.capturedAt == nil } }

    /// Gives its events keys that they have again whenever the same file is read, and in no other file: a later register
    /// that says "no" in the same words says it anew.
    ///
    /// - Parameter file: the digest of the whole file, see ``PrefixDigest``.
    package mutating func identify(by file: [UInt8]) {
        let digest = SHA256.digest(of: file + withUnsafeBytes(of: start.offset.littleEndian) { Array($0) })
        func word(_ start: Int) -> UInt64 { digest[start..<start + 8].reduce(0) { $0 << 8 | UInt64($1) } }
        for position in events.indices where events[position].capturedAt == nil {
            // Two halves of zero would be no key.
            events[position].key = IdempotencyKey(high: max(1, word(0)), low: word(8) &+ UInt64(position))
        }
    }
}

/// A row that became nothing, and why.
package struct RowRejection: Sendable, Equatable {
    package let line: Int
    /// A slug.
    package let rule: String
    package let message: String
    /// As it is written but without a national id, and no more of it than the reject file takes.
    package let text: [UInt8]
    /// Where reading resumes.
    package let end: FilePosition
    /// Whether it says "no", or may: then somebody is still held for one who agreed.
    package let saysNo: Bool

    init(_ row: borrowing CSVRow, text: [UInt8], rule: String, message: String, saysNo: Bool) {
        line = row.start.line
        self.rule = rule
        self.message = saysNo ? message + Self.noNote : message
        self.text = text
        end = row.end
        self.saysNo = saysNo
    }

    private static let noNote = "; THE ROW SAYS NO and was not taken: record it by hand"

    /// A row that was read well and whose event the server refused.
    package init(_ row: RegisterRow, rule: String, message: String) {
        line = row.start.line
        self.rule = rule
        saysNo = row.events.contains { $0.state.takesAway }
        self.message = saysNo ? message + Self.noNote : message
        text = row.text
        end = row.end
    }
}

package enum RegisterItem: Sendable, Equatable {
    case row(RegisterRow)
    case rejection(RowRejection)
}

/// Reads a register: bytes in chunks of any size become events, or rejections that say why.
///
///     bytes → CSVReader → row → RowInterpreter → RegisterItem
package struct RegisterReader {
    private var reader: CSVReader
    private var rows: RowTaker
    /// Of all rows that were handed out. The caller moves those over that the server refuses.
    package var summary: RegisterSummary {
        get { rows.summary }
        set { rows.summary = newValue }
    }

    package init(options: RegisterOptions = RegisterOptions()) {
        reader = CSVReader(delimiter: options.delimiter)
        rows = RowTaker(options: options)
    }

    /// Known once the first row has been read.
    package var columns: RegisterColumns? { rows.interpreter?.columns }

    /// The start of the first row that has not been handed out.
    package var position: FilePosition { reader.position }

    /// Reads on. Every row of the file but the first comes out once, in the order of the file.
    ///
    /// - Throws: why the file is not read at all; nothing was handed out, and every later call throws the same.
    package mutating func feed(
        _ chunk: UnsafeRawBufferPointer, _ handle: (RegisterItem) -> Void
    ) throws(RegisterRefusal) {
        try rows.refuse()
        try reader.feed(chunk) { rows.take($0, handle) }
        try rows.refuse()
    }

    package mutating func feed(_ chunk: [UInt8], _ handle: (RegisterItem) -> Void) throws(RegisterRefusal) {
        try rows.refuse()
        try reader.feed(chunk) { rows.take($0, handle) }
        try rows.refuse()
    }

    /// Says that nothing follows.
    package mutating func finish(_ handle: (RegisterItem) -> Void) throws(RegisterRefusal) {
        try rows.refuse()
        try reader.finish { rows.take($0, handle) }
        try rows.refuse()
    }

    /// Forgets the rows that were fed, and goes on where an earlier import stopped; the next byte fed is the one at
    /// the point's offset. `columns` must be known already, from the start of the same file.
    package mutating func resume(at point: ProgressPoint) {
        reader.resume(at: point.position)
        rows.summary = point.summary
    }
}

/// What becomes of a row: the first one says what the columns mean, every other is interpreted and counted.
private struct RowTaker {
    let options: RegisterOptions
    var interpreter: RowInterpreter?
    var summary = RegisterSummary()
    private var refusal: RegisterRefusal?

    init(options: RegisterOptions) { self.options = options }

    func refuse() throws(RegisterRefusal) {
        if let refusal { throw refusal }
    }

    mutating func take(_ row: borrowing CSVRow, _ handle: (RegisterItem) -> Void) {
        guard refusal == nil else { return }
        guard !row.isHeader else {
            takeHeader(row)
            return
        }
        if let fault = row.fault, interpreter?.isNo(row) != true {
            reject(row, rule: fault.rule, message: fault.message, handle)
            return
        }
        do throws(RowFault) {
            guard let (events, missing) = try interpreter?.events(of: row) else { return }
            let taken = RegisterRow(
                start: row.start, end: row.end, events: events, missing: missing,
                isRecovered: row.isRecovered, text: rejectText(of: row))
            summary.count(taken)
            handle(.row(taken))
        } catch {
            // Of a row whose fields cannot be told apart, that is what is wrong.
            let fault = row.isWhole ? nil : row.fault
            reject(row, rule: fault?.rule ?? error.rule, message: fault?.message ?? error.message, handle)
        }
    }

    private mutating func takeHeader(_ row: borrowing CSVRow) {
        var names: [String] = []
        for position in 0..<row.count { names.append(row.string(position)) }
        do throws(RegisterRefusal) {
            interpreter = RowInterpreter(columns: try RegisterColumns(names: names, options: options), options: options)
        } catch {
            refusal = error
        }
    }

    private mutating func reject(
        _ row: borrowing CSVRow, rule: String, message: String, _ handle: (RegisterItem) -> Void
    ) {
        let rejection = RowRejection(
            row, text: rejectText(of: row), rule: rule, message: message, saysNo: interpreter?.mayBeNo(row) ?? false)
        summary.count(rejection)
        handle(.rejection(rejection))
    }

    private func rejectText(of row: borrowing CSVRow) -> [UInt8] {
        let columns = interpreter?.columns
        let positions = [columns?.nationalIDPosition, columns?.guardianPosition].compactMap { $0 }.filter { position in
            row.fault != nil || position != columns?.guardianPosition || !Self.isCopied(guardian: row[position].trimmed)
        }
        if positions.isEmpty { return Array(row.text.prefix(RegisterLimit.rejectTextSizeMax)) }
        let text = row.text(withholding: positions, note: RejectFile.nationalIDNote) ?? RejectFile.rowNote
        return Array(text.prefix(RegisterLimit.rejectTextSizeMax))
    }

    /// Whether it is certainly no national id: a type of another kind stands before it.
    private static func isCopied(guardian field: UnsafeBufferPointer<UInt8>) -> Bool {
        guard let colon = field.firstIndex(of: UInt8(ascii: ":")),
            let type = IdentifierType(name: String(decoding: field[..<colon], as: UTF8.self))
        else { return field.isEmpty }
        return type != .nationalId
    }
}
