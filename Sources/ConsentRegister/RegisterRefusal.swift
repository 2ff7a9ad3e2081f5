/// Why a file is not read at all. Nothing of it became an event.
package enum RegisterRefusal: Error, Equatable, Sendable {
    case emptyFile
    case encoding(TextEncoding)
    /// Named by what its first bytes say it is.
    case notText(String)
    case headerTooLong
    case headerNotUTF8
    case headerUnreadable(CSVFault)
    case columnsTooMany(Int)
    case columnsDuplicate([String])
    case columnsUnknown([String])
    case columnsMissing(needed: [String], found: [String])
    /// Of the mapping: names that are no column here.
    case mappingUnknown([String])
    /// Of the mapping: names that are no column of the register.
    case mappedMissing([String], found: [String])
}

extension RegisterRefusal: CustomStringConvertible {
    /// What was wrong and what to do.
    package var description: String {
        switch self {
        case .emptyFile: "the file is empty; a register has a first row that names its columns"
        case .encoding(let encoding):
            "the file is \(encoding.name); convert it with iconv -f \(encoding.iconvName) -t UTF-8"
        case .notText(let kind): "the file is \(kind), not text; save or unpack it as CSV in UTF-8 first"
        case .headerTooLong:
            "no end of the first row within \(RegisterLimit.headerSizeMax) bytes; is this a CSV file?"
        case .headerNotUTF8: "the first row is not UTF-8; \(CSVFault.latin1Question)"
        case .headerUnreadable(let fault): "the first row, which names the columns, cannot be read: \(fault.message)"
        case .columnsTooMany(let count):
            "the first row names \(count) columns; at most \(RegisterLimit.columnsMax) are taken"
        case .columnsDuplicate(let names): "more than one column is named \(Self.list(names))"
        case .columnsUnknown(let names):
            "unknown column \(Self.list(names)); list it as ignored, or map it to one of \(RegisterColumns.names)"
        case .columnsMissing(let needed, let found):
            "the register lacks \(needed.joined(separator: " and ")); its columns are \(Self.list(found))"
        case .mappingUnknown(let names):
            "\(Self.list(names)) cannot be mapped to a column; what can is \(RegisterColumns.names)"
        case .mappedMissing(let names, let found):
            "the register has no column \(Self.list(names)), which the mapping names; its columns are \(Self.list(found))"
        }
    }

    private static func list(_ names: [String]) -> String {
        names.map { "'\($0)'" }.joined(separator: ", ")
    }
}
