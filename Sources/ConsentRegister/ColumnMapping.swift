/// Which column of a register holds what, as a person writes it: `email = E-post`, one a line. Empty lines and those that
/// begin with `#` say nothing.
package struct ColumnMapping: Sendable, Equatable {
    /// The register's name by the name that is known here.
    package private(set) var columnNames: [String: String] = [:]

    package init() {}

    /// Why a line is no part of a mapping.
    package struct Fault: Error, Equatable, CustomStringConvertible {
        package let line: Int
        package let text: String

        package var description: String {
            "line \(line): '\(text)' is not of the form column = its name in the register, such as email = E-post, or maps "
                + "a column twice"
        }
    }

    /// Adds every line of a text.
    package mutating func read(_ text: String) throws(Fault) {
        let lines = text.split(omittingEmptySubsequences: false) { $0.isNewline }
        for (position, line) in lines.enumerated() {
            let line = line.drop { $0.isWhitespace }
            if line.isEmpty || line.first == "#" { continue }
            try add(line, line: position + 1)
        }
    }

    /// Adds one `column=name`.
    package mutating func add(_ text: some StringProtocol, line: Int = 1) throws(Fault) {
        guard let equals = text.firstIndex(of: "=") else { throw Fault(line: line, text: String(text)) }
        let (name, column) = (Self.trimmed(text[..<equals]), Self.trimmed(text[text.index(after: equals)...]))
        guard !name.isEmpty, !column.isEmpty, columnNames.updateValue(column, forKey: name) == nil else {
            throw Fault(line: line, text: String(text))
        }
    }

    private static func trimmed(_ text: some StringProtocol) -> String {
        var text = text[...]
        while text.first?.isWhitespace ?? false { text = text.dropFirst() }
        while text.last?.isWhitespace ?? false { text = text.dropLast() }
        return String(text)
    }
}
