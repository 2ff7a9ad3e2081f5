/// Writes a register that ``RegisterReader`` and every spreadsheet read: a header, then rows. Texts that a spreadsheet
/// would calculate are marked, which reading takes off again.
package struct RegisterRows: Sendable {
    package let columns: [String]
    package private(set) var bytes: [UInt8] = []

    package init(columns: [String]) {
        self.columns = columns
        append(columns)
    }

    /// Adds a row; a column without a value is empty.
    package mutating func append(_ values: [String: String]) { append(columns.map { values[$0] ?? "" }) }

    private mutating func append(_ fields: [String]) {
        for (position, field) in fields.enumerated() {
            if position > 0 { bytes.append(UInt8(ascii: ",")) }
            bytes.append(UInt8(ascii: "\""))
            for byte in FormulaMark.marking(field.utf8) {
                if byte == UInt8(ascii: "\"") { bytes.append(byte) }
                bytes.append(byte)
            }
            bytes.append(UInt8(ascii: "\""))
        }
        bytes.append(UInt8(ascii: "\n"))
    }
}
