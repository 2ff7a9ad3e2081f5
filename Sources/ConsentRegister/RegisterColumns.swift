package import ConsentModel

/// The columns of a register that are not identifiers.
package enum RegisterField: UInt8, Sendable, NamedInSnakeCase {
    case purpose
    case state
    case capturedAt
    case expiresAt
    case declaration
    case revision
    case language
    case method
    case explicit
    case party
    case age
    case system
    case channel
    case form
    case actor
    case evidence
    case listSource
    case guardianRelation
    case guardian
}

/// Which column of a register says what. Columns are in any order; their names are read without regard to case, and
/// `captured at` and `Captured-At` are `captured_at`.
package struct RegisterColumns: Sendable, Equatable {
    /// In the order of their types, whatever that of the columns: the first that the ledger knows decides who the
    /// subject is, and a register with its columns in another order is the same register.
    package private(set) var identifiers: [(type: IdentifierType, position: Int)] = []
    /// Also where the column is ignored: what stands in it is in no reject file.
    package private(set) var nationalIDPosition: Int?
    /// Also where the column is ignored, for the same reason.
    package private(set) var guardianPosition: Int?
    private var positions = [Int?](repeating: nil, count: RegisterField.allCases.count)

    /// Columns of an access export that only the node that wrote it can mean; passed over.
    package static let exportPrefix = "consentd_"

    package static var names: String { "\(IdentifierType.names), \(RegisterField.names)" }

    /// - Throws: what the header lacks, has twice, or has without its being known.
    package init(names: [String], options: RegisterOptions) throws(RegisterRefusal) {
        let written = names.map(Self.normalized)
        try Self.refuseDuplicates(written)
        let names = try Self.mapped(written, options.columnNames)
        try Self.refuseDuplicates(names)
        let ignored = Set(options.ignoredColumns.map(Self.normalized))
        nationalIDPosition = names.firstIndex(of: IdentifierType.nationalId.name)
        guardianPosition = names.firstIndex(of: RegisterField.guardian.name)
        var unknown: [String] = []
        for (position, name) in names.enumerated() where !ignored.contains(name) && !name.hasPrefix(Self.exportPrefix) {
            if let type = IdentifierType(name: name) {
                identifiers.append((type, position))
            } else if let field = RegisterField(name: name) {
                positions[Int(field.rawValue)] = position
            } else {
                unknown.append(name)
            }
        }
        guard unknown.isEmpty || options.acceptsUnknownColumns else { throw .columnsUnknown(unknown) }
        identifiers.sort { $0.type.rawValue < $1.type.rawValue }
        try refuseMissing(found: names)
    }

    package static func == (left: RegisterColumns, right: RegisterColumns) -> Bool {
        left.positions == right.positions && left.nationalIDPosition == right.nationalIDPosition
            && left.guardianPosition == right.guardianPosition
            && left.identifiers.elementsEqual(right.identifiers, by: ==)
    }

    package func position(of field: RegisterField) -> Int? { positions[Int(field.rawValue)] }

    /// The names by which the columns are known here.
    private static func mapped(
        _ written: [String], _ columnNames: [String: String]
    ) throws(RegisterRefusal) -> [String] {
        var known: [String: String] = [:]
        var (unknown, missing): ([String], [String]) = ([], [])
        for (name, column) in columnNames.sorted(by: { $0.key < $1.key }) {
            let (name, column) = (normalized(name), normalized(column))
            if IdentifierType(name: name) == nil, RegisterField(name: name) == nil { unknown.append(name) }
            if !written.contains(column) { missing.append(column) }
            if known.updateValue(name, forKey: column) != nil { throw .columnsDuplicate([column]) }
        }
        guard unknown.isEmpty else { throw .mappingUnknown(unknown) }
        guard missing.isEmpty else { throw .mappedMissing(missing, found: written) }
        return written.map { known[$0] ?? $0 }
    }

    private func refuseMissing(found: [String]) throws(RegisterRefusal) {
        var needed: [String] = []
        if identifiers.isEmpty { needed.append("an identifier column (\(IdentifierType.names))") }
        if position(of: .purpose) == nil { needed.append("the column '\(RegisterField.purpose.name)'") }
        guard needed.isEmpty else { throw .columnsMissing(needed: needed, found: found) }
    }

    private static func refuseDuplicates(_ names: [String]) throws(RegisterRefusal) {
        var seen: Set<String> = []
        var duplicates: [String] = []
        for name in names where !seen.insert(name).inserted && !duplicates.contains(name) { duplicates.append(name) }
        guard duplicates.isEmpty else { throw .columnsDuplicate(duplicates) }
    }

    private static func normalized(_ name: String) -> String {
        var bytes = Array(name.utf8)[...]
        while let first = bytes.first, first.isBlank { bytes.removeFirst() }
        while let last = bytes.last, last.isBlank { bytes.removeLast() }
        let folded = bytes.map { $0.isBlank || $0 == UInt8(ascii: "-") ? UInt8(ascii: "_") : $0.lowercased }
        return String(decoding: folded, as: UTF8.self)
    }
}
