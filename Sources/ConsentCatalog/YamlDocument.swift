import Yams

/// The one YAML document of a catalog's text, with the place of every node.
struct YamlDocument {
    let root: Node

    /// Nil, with a problem reported, if the text is too long, is not YAML, gives a key twice, holds no or several
    /// documents, or uses an alias.
    ///
    /// Aliases are refused altogether: what a revision covers has to stand in it, or a change of one place would
    /// change others unseen. It also keeps the tree as small as the text.
    init?(text: String, problems: ProblemList) {
        let size = text.utf8.count
        guard size <= CatalogLimit.textSizeMax else {
            problems.report(
                .textTooLong, at: .start, "the text has \(size) bytes; at most \(CatalogLimit.textSizeMax) are taken")
            return nil
        }
        if let alias = firstAlias(in: text) {
            problems.report(
                .alias, at: alias.place,
                "'*\(alias.name)' stands for what '&\(alias.name)' marks; write it out where it counts")
            return nil
        }
        do {
            guard let root = try Self.singleRoot(of: text, problems: problems) else { return nil }
            self.root = root
        } catch let error as YamlError {
            problems.report(error, text: text)
            return nil
        } catch {
            problems.report(.yaml, at: .start, "\(error)")
            return nil
        }
    }

    private static func singleRoot(of text: String, problems: ProblemList) throws -> Node? {
        let padding = String(repeating: "\n", count: max(0, CatalogLimit.yamlSizeMin - text.utf8.count))
        let parser = try Parser(yaml: text + padding, encoding: .utf8)
        guard let root = try parser.nextRoot(), !root.isNull else {
            problems.report(.emptyDocument, at: .start, "the document is empty; a catalog begins with 'format: 1'")
            return nil
        }
        if let second = try parser.nextRoot() {
            problems.report(.severalDocuments, at: second.place, "a second document begins; a catalog is one")
            return nil
        }
        return root
    }
}

extension Node {
    var place: Place { mark.map { Place(line: $0.line, column: $0.column) } ?? .start }

    /// Nothing, or one of YAML's words for it.
    var isNull: Bool {
        guard let scalar, scalar.style == .plain else { return false }
        return ["", "~", "null", "Null", "NULL"].contains(scalar.string)
    }
}

extension ProblemList {
    fileprivate func report(_ error: YamlError, text: String) {
        switch error {
        case .scanner(let context, let problem, let mark, _), .parser(let context, let problem, let mark, _),
            .composer(let context, let problem, let mark, _):
            let reason =
                context.map { "\(problem) (\($0.text) in line \(place(of: $0.mark, in: text).line))" } ?? problem
            report(.yaml, at: place(of: mark, in: text), "this is not YAML: \(reason)")
        case .reader(let problem, let offset, let value, _):
            report(.yaml, at: place(ofCharacter: offset ?? 0, in: text), "\(problem) (U+\(hexadecimal(value)))")
        case .duplicatedKeysInMapping(let keys, let context):
            let first = Place(line: context.mark.line, column: context.mark.column)
            let key = keys.first ?? ""
            let second = secondPlace(of: key, first: first, in: text)
            report(.duplicateKey, at: second, "key \(quoted(key)) is given twice, first in line \(first.line)")
        case .no, .memory, .writer, .emitter, .representer, .dataCouldNotBeDecoded:
            report(.yaml, at: .start, "\(error)")
        }
    }

    /// Behind the end of the text it is the end: the parser reads on in what stands behind it to fill its buffer.
    private func place(of mark: Mark, in text: String) -> Place {
        let lines = text.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline)
        // A line feed ends a line; it does not begin another.
        let count = lines.count - (lines.last?.isEmpty ?? true ? 1 : 0)
        guard mark.line > max(1, count) else { return Place(line: mark.line, column: mark.column) }
        return Place(line: max(1, count), column: (count > 0 ? lines[count - 1].unicodeScalars.count : 0) + 1)
    }

    private func hexadecimal(_ value: Int32) -> String {
        let digits = String(value, radix: 16, uppercase: true)
        return String(repeating: "0", count: max(0, 4 - digits.count)) + digits
    }

    private func place(ofCharacter offset: Int, in text: String) -> Place {
        let lines = text.prefix(offset).split(omittingEmptySubsequences: false, whereSeparator: \.isNewline)
        return Place(line: max(1, lines.count), column: (lines.last?.unicodeScalars.count ?? 0) + 1)
    }

    /// Where a block mapping gives its key again: the next line that has it in the same column. Yams tells only the
    /// first place, which also is the answer for a mapping in braces.
    private func secondPlace(of key: String, first: Place, in text: String) -> Place {
        let lines = text.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline)
        let indent = String(repeating: " ", count: first.column - 1)
        for line in lines.indices.dropFirst(first.line) {
            let isKey = ["\(key)", "'\(key)'", "\"\(key)\""].contains { lines[line].hasPrefix("\(indent)\($0):") }
            if isKey { return Place(line: line + 1, column: first.column) }
        }
        return first
    }
}

/// The first `*name` that an anchor `&name` exists for. Looks at bytes, not at YAML's syntax, and so may take two words
/// of a text for the two; it never misses an alias that YAML would follow.
private func firstAlias(in text: String) -> (name: String, place: Place)? {
    let bytes = Array(text.utf8)
    let anchors = Set(namesMarked(by: UInt8(ascii: "&"), in: bytes).map { bytes[$0] })
    guard !anchors.isEmpty else { return nil }
    guard let alias = namesMarked(by: UInt8(ascii: "*"), in: bytes).first(where: { anchors.contains(bytes[$0]) })
    else { return nil }
    let before = String(decoding: bytes[..<(alias.lowerBound - 1)], as: UTF8.self)
    let lines = before.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline)
    let place = Place(line: lines.count, column: (lines.last?.unicodeScalars.count ?? 0) + 1)
    return (String(decoding: bytes[alias], as: UTF8.self), place)
}

/// The names that follow `mark` where a YAML token can begin: anywhere but after an ASCII letter or digit.
private func namesMarked(by mark: UInt8, in bytes: [UInt8]) -> [Range<Int>] {
    var names: [Range<Int>] = []
    for position in bytes.indices where bytes[position] == mark {
        guard position == 0 || !bytes[position - 1].isASCIIAlphanumeric else { continue }
        let start = position + 1
        let end = bytes[start...].firstIndex { !$0.isInAnchorName } ?? bytes.count
        if end > start { names.append(start..<end) }
    }
    return names
}

extension UInt8 {
    fileprivate var isASCIIAlphanumeric: Bool {
        switch self {
        case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "a")...UInt8(ascii: "z"):
            true
        default: false
        }
    }

    fileprivate var isInAnchorName: Bool {
        isASCIIAlphanumeric || self == UInt8(ascii: "-") || self == UInt8(ascii: "_")
    }
}
