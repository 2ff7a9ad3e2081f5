/// A JSON document as a value, written the one way that is signed (RFC 8785, JSON Canonicalization Scheme). Its numbers
/// are whole and below 2^53.
package enum JSONValue: Sendable, Equatable {
    case null
    case bool(Bool)
    case number(Int64)
    case text(String)
    case list([JSONValue])
    case object([String: JSONValue])

    package subscript(name: String) -> JSONValue? {
        guard case .object(let members) = self else { return nil }
        return members[name]
    }

    package var text: String? { if case .text(let text) = self { text } else { nil } }
    package var number: Int64? { if case .number(let number) = self { number } else { nil } }
    package var bool: Bool? { if case .bool(let bool) = self { bool } else { nil } }
    package var list: [JSONValue]? { if case .list(let list) = self { list } else { nil } }
    package var isNull: Bool { self == .null }
    /// Of a text of hexadecimal digits.
    package var bytes: [UInt8]? { text.flatMap { [UInt8](hex: $0) } }

    /// Null for nil.
    package init(_ text: String?) { self = text.map(JSONValue.text) ?? .null }
    package init(_ number: Int64?) { self = number.map(JSONValue.number) ?? .null }

    /// The object with other members in it or in their place.
    package func with(_ others: [String: JSONValue]) -> JSONValue {
        guard case .object(let members) = self else { preconditionFailure("only an object has members") }
        return .object(members.merging(others) { $1 })
    }

    package func without(_ name: String) -> JSONValue {
        guard case .object(var members) = self else { return self }
        members[name] = nil
        return .object(members)
    }

    // MARK: Writing

    /// On one line, the same bytes for the same value.
    package var canonical: String {
        var text = ""
        write(into: &text, indent: nil)
        return text
    }

    /// For people: a member a line.
    package var pretty: String {
        var text = ""
        write(into: &text, indent: 0)
        return text
    }

    private func write(into text: inout String, indent: Int?) {
        switch self {
        case .null: text += "null"
        case .bool(let bool): text += bool ? "true" : "false"
        case .number(let number): text += "\(number)"
        case .text(let value): Self.write(value, into: &text)
        case .list(let list):
            Self.write(list, "[", "]", into: &text, indent) { $1.write(into: &$0, indent: $2) }
        case .object(let members):
            let sorted = members.sorted { $0.key.utf16.lexicographicallyPrecedes($1.key.utf16) }
            Self.write(sorted, "{", "}", into: &text, indent) { text, member, inner in
                Self.write(member.key, into: &text)
                text += inner == nil ? ":" : ": "
                member.value.write(into: &text, indent: inner)
            }
        }
    }

    private static func write<Element>(
        _ elements: [Element], _ open: String, _ close: String, into text: inout String, _ indent: Int?,
        _ write: (inout String, Element, Int?) -> Void
    ) {
        func startLine(_ depth: Int?) { if let depth { text += "\n" + String(repeating: " ", count: 2 * depth) } }
        let inner = indent.map { $0 + 1 }
        text += open
        for (position, element) in elements.enumerated() {
            if position > 0 { text += "," }
            startLine(inner)
            write(&text, element, inner)
        }
        if !elements.isEmpty { startLine(indent) }
        text += close
    }

    private static func write(_ value: String, into text: inout String) {
        text += "\""
        for scalar in value.unicodeScalars {
            switch scalar {
            case "\"": text += "\\\""
            case "\\": text += "\\\\"
            case "\u{8}": text += "\\b"
            case "\t": text += "\\t"
            case "\n": text += "\\n"
            case "\u{C}": text += "\\f"
            case "\r": text += "\\r"
            case "\u{0}"..<"\u{20}": text += "\\u00" + [UInt8(scalar.value)].hex
            default: text.unicodeScalars.append(scalar)
            }
        }
        text += "\""
    }

    // MARK: Reading

    /// Nil for what is no JSON, has a number that is not whole, names a member twice, or is nested deeper than ours are.
    package init?(text: some StringProtocol) {
        var reader = JSONReader(text)
        guard let value = reader.value(depth: 0), reader.isAtEnd else { return nil }
        self = value
    }
}

extension JSONValue: ExpressibleByDictionaryLiteral, ExpressibleByArrayLiteral, ExpressibleByStringLiteral {
    package init(dictionaryLiteral elements: (String, JSONValue)...) {
        self = .object(Dictionary(uniqueKeysWithValues: elements))
    }
    package init(arrayLiteral elements: JSONValue...) { self = .list(elements) }
    package init(stringLiteral text: String) { self = .text(text) }
}

private struct JSONReader {
    private let bytes: [UInt8]
    private var position = 0
    private static let depthMax = 32

    init(_ text: some StringProtocol) { bytes = Array(text.utf8) }

    var isAtEnd: Bool {
        mutating get {
            skipBlanks()
            return position == bytes.count
        }
    }

    mutating func value(depth: Int) -> JSONValue? {
        guard depth < Self.depthMax else { return nil }
        skipBlanks()
        switch peek {
        case UInt8(ascii: "{"): return object(depth)
        case UInt8(ascii: "["): return list(depth)
        case UInt8(ascii: "\""): return string().map(JSONValue.text)
        case UInt8(ascii: "t"): return take("true") ? .bool(true) : nil
        case UInt8(ascii: "f"): return take("false") ? .bool(false) : nil
        case UInt8(ascii: "n"): return take("null") ? .null : nil
        default: return number()
        }
    }

    private var peek: UInt8? { position < bytes.count ? bytes[position] : nil }

    private mutating func skipBlanks() {
        while let byte = peek, [0x20, 0x09, 0x0A, 0x0D].contains(byte) { position += 1 }
    }

    private mutating func take(_ word: StaticString) -> Bool {
        let wanted = Array("\(word)".utf8)
        guard bytes[position...].starts(with: wanted) else { return false }
        position += wanted.count
        return true
    }

    /// After blanks.
    private mutating func takeNext(_ word: StaticString) -> Bool {
        skipBlanks()
        return take(word)
    }

    private mutating func object(_ depth: Int) -> JSONValue? {
        position += 1
        var members: [String: JSONValue] = [:]
        if takeNext("}") { return .object(members) }
        repeat {
            skipBlanks()
            guard peek == UInt8(ascii: "\""), let name = string(), takeNext(":"), let value = value(depth: depth + 1),
                members.updateValue(value, forKey: name) == nil
            else { return nil }
        } while takeNext(",")
        return takeNext("}") ? .object(members) : nil
    }

    private mutating func list(_ depth: Int) -> JSONValue? {
        position += 1
        var list: [JSONValue] = []
        if takeNext("]") { return .list(list) }
        repeat {
            guard let value = value(depth: depth + 1) else { return nil }
            list.append(value)
        } while takeNext(",")
        return takeNext("]") ? .list(list) : nil
    }

    private mutating func number() -> JSONValue? {
        let start = position
        if peek == UInt8(ascii: "-") { position += 1 }
        while let byte = peek, (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) { position += 1 }
        let digits = String(decoding: bytes[start..<position], as: UTF8.self)
        // Written the one way that canonical JSON has.
        guard let number = Int64(digits), "\(number)" == digits, peek.map({ !".eE".utf8.contains($0) }) ?? true,
            number.magnitude < 1 << 53
        else { return nil }
        return .number(number)
    }

    private mutating func string() -> String? {
        position += 1
        var content: [UInt8] = []
        while let byte = peek {
            position += 1
            switch byte {
            case UInt8(ascii: "\""): return String(validating: content, as: UTF8.self)
            case UInt8(ascii: "\\"):
                guard let scalar = escape() else { return nil }
                content += String(scalar).utf8
            case 0..<0x20: return nil
            default: content.append(byte)
            }
        }
        return nil
    }

    private mutating func escape() -> Unicode.Scalar? {
        defer { position += 1 }
        switch peek {
        case UInt8(ascii: "b"): return "\u{8}"
        case UInt8(ascii: "f"): return "\u{C}"
        case UInt8(ascii: "n"): return "\n"
        case UInt8(ascii: "r"): return "\r"
        case UInt8(ascii: "t"): return "\t"
        case UInt8(ascii: "u"): return escapedScalar()
        case let byte? where "\"\\/".utf8.contains(byte): return Unicode.Scalar(byte)
        default: return nil
        }
    }

    /// Leaves the position on the last digit.
    private mutating func escapedScalar() -> Unicode.Scalar? {
        guard let first = unit() else { return nil }
        guard (0xD800..<0xDC00).contains(first) else { return Unicode.Scalar(first) }
        position += 1
        guard take("\\u") else { return nil }
        position -= 1
        guard let second = unit(), (0xDC00..<0xE000).contains(second) else { return nil }
        return Unicode.Scalar(0x10000 + (first - 0xD800) << 10 + (second - 0xDC00))
    }

    private mutating func unit() -> UInt32? {
        guard position + 4 < bytes.count else { return nil }
        defer { position += 4 }
        let digits = String(decoding: bytes[position + 1...position + 4], as: UTF8.self)
        return digits.allSatisfy(\.isHexDigit) ? UInt32(digits, radix: 16) : nil
    }
}
