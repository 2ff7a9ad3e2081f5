/// The apostrophe that keeps a spreadsheet from taking text for a formula (OWASP: CSV injection).
///
/// The reject file holds a row as text in one cell, but spreadsheets do not agree on what separates cells. So the mark is
/// set wherever one of them could see a cell begin: at the start and behind `,` `;` tab, quote and line end, blanks
/// passed over; and there before `=` `+` `-` `@`.
///
/// Reading a register takes the mark off in the same places, so a row that was copied out of a reject file reads as the
/// register's own does: `+47` and `'+47` are one phone number in both.
struct FormulaMark {
    static let byte = UInt8(ascii: "'")

    private var isCellStart = true

    private static func beginsFormula(_ byte: UInt8) -> Bool {
        byte == UInt8(ascii: "=") || byte == UInt8(ascii: "+") || byte == UInt8(ascii: "-") || byte == UInt8(ascii: "@")
    }

    private mutating func pass(_ byte: UInt8) {
        switch byte {
        case UInt8(ascii: ","), UInt8(ascii: ";"), UInt8(ascii: "\t"), UInt8(ascii: "\""), UInt8(ascii: "\n"),
            UInt8(ascii: "\r"):
            isCellStart = true
        case UInt8(ascii: " "): break
        default: isCellStart = false
        }
    }

    static func marking(_ text: some Sequence<UInt8>) -> [UInt8] {
        var marked: [UInt8] = []
        var mark = FormulaMark()
        for byte in text {
            if mark.isCellStart, beginsFormula(byte) { marked.append(Self.byte) }
            marked.append(byte)
            mark.pass(byte)
        }
        return marked
    }

    /// Takes the marks off the bytes from `start` to the end.
    static func unmark(_ bytes: inout [UInt8], from start: Int) {
        var mark = FormulaMark()
        var end = start
        for position in start..<bytes.count {
            let byte = bytes[position]
            let isMark =
                mark.isCellStart && byte == Self.byte && position + 1 < bytes.count
                && beginsFormula(bytes[position + 1])
            if isMark { continue }
            bytes[end] = byte
            end += 1
            mark.pass(byte)
        }
        bytes.removeSubrange(end...)
    }
}
