/// The rows that became nothing, as CSV that every spreadsheet and ``CSVReader`` read: line, rule, message, text.
///
/// The text is the row as it was written, up to 4 KiB and 32 lines; `…` at its end says that there was more. What of
/// it is not UTF-8, and every NUL, becomes U+FFFD, so that the reject file is always valid. What a spreadsheet would take
/// for a formula is marked: see ``FormulaMark``. A national id is not copied, and neither is a row that cannot be taken
/// apart to leave it out: reject files are passed around.
package enum RejectFile {
    /// Stands in place of a national id. It is none, so that such a row cannot be imported as another person's.
    static let nationalIDNote = Array("(withheld)".utf8)
    /// Stands in place of a row whose national id cannot be told from the rest.
    static let rowNote = Array("(not copied: the register holds national ids)".utf8)

    package static let header = Array("line,rule,message,text\n".utf8)

    /// Appends one row.
    package static func append(_ rejection: RowRejection, to buffer: inout [UInt8]) {
        buffer.append(contentsOf: "\(rejection.line),".utf8)
        appendQuoted(rejection.rule.utf8, to: &buffer)
        buffer.append(UInt8(ascii: ","))
        appendQuoted(FormulaMark.marking(rejection.message.utf8), to: &buffer)
        buffer.append(UInt8(ascii: ","))
        appendQuoted(FormulaMark.marking(text(of: rejection).utf8), to: &buffer)
        buffer.append(UInt8(ascii: "\n"))
    }

    private static func text(of rejection: RowRejection) -> String {
        var bytes = rejection.text.prefix(RegisterLimit.rejectTextSizeMax)
        var isCut = rejection.text.count >= RegisterLimit.rejectTextSizeMax
        if isCut { bytes = withoutHalfCharacter(bytes) }
        let lineEnds = bytes.indices.filter { bytes[$0] == UInt8(ascii: "\n") || bytes[$0] == UInt8(ascii: "\r") }
        if lineEnds.count >= RegisterLimit.rejectTextLinesMax {
            bytes = bytes[..<lineEnds[RegisterLimit.rejectTextLinesMax - 1]]
            isCut = true
        }
        let text = String(decoding: bytes.map { $0 == 0 ? 0xFF : $0 }, as: UTF8.self)
        return isCut ? text + "…" : text
    }

    /// Takes off the bytes of a character that the cut went through.
    private static func withoutHalfCharacter(_ bytes: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
        let tail = bytes.suffix(3)
        guard let lead = tail.lastIndex(where: { $0 & 0xC0 != 0x80 }), bytes[lead] >= 0xC0 else { return bytes }
        let size = bytes[lead] >= 0xF0 ? 4 : bytes[lead] >= 0xE0 ? 3 : 2
        return bytes.endIndex - lead < size ? bytes[..<lead] : bytes
    }

    /// Always in quotes: the text of a row is full of delimiters, and readers then agree on what it is.
    private static func appendQuoted(_ text: some Sequence<UInt8>, to buffer: inout [UInt8]) {
        buffer.append(UInt8(ascii: "\""))
        for byte in text {
            if byte == UInt8(ascii: "\"") { buffer.append(byte) }
            buffer.append(byte)
        }
        buffer.append(UInt8(ascii: "\""))
    }
}
