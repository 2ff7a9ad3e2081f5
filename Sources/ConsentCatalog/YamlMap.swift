import ConsentModel
import Yams

/// A value and where it stands.
struct Placed<Value> {
    let value: Value
    let place: Place
}

/// Which keys a mapping has.
enum YamlKeys {
    /// These; the second ones are not told to anybody, as whoever reads the mapping refuses them.
    case these([String], refused: [String] = [])
    /// Any language tag.
    case languages
}

/// A mapping of the catalog, read key by key. A value that is missing or of the wrong type is reported and reads as
/// nil, so that reading goes on and finds what else is wrong.
struct YamlMap {
    /// What messages call it: `purpose 'newsletter'`.
    let name: String
    let place: Place
    let problems: ProblemList
    /// In the order of the text.
    let keys: [String]
    private let values: [String: Node]

    /// Nil, with a problem reported, if the node is not a mapping.
    init?(_ node: Node, _ noun: String, keys known: YamlKeys, problems: ProblemList) {
        guard let mapping = node.mapping else {
            problems.report(.wrongType, at: node.place, "\(noun) is written as keys with values")
            return nil
        }
        self.problems = problems
        place = node.place
        var keys: [String] = []
        var values: [String: Node] = [:]
        for (key, value) in mapping {
            guard let text = Self.keyText(key, noun, known, problems) else { continue }
            guard values.updateValue(value, forKey: text) == nil else {
                problems.report(.duplicateKey, at: key.place, "key \(quoted(text)) is given twice")
                continue
            }
            keys.append(text)
        }
        self.keys = keys
        self.values = values
        let id = values["id"]?.scalar?.string ?? values["revision"]?.scalar?.string
        name = id.map { "\(noun) \(quoted($0))" } ?? noun
    }

    private static func keyText(
        _ key: Node, _ noun: String, _ known: YamlKeys, _ problems: ProblemList
    ) -> String? {
        guard let text = key.scalar?.string else {
            problems.report(.wrongType, at: key.place, "a key of \(noun) is a word")
            return nil
        }
        switch known {
        case .these(let names, let refused) where !names.contains(text) && !refused.contains(text):
            let suggestion = problems.suggestion(for: text, among: names)
            problems.report(
                .unknownKey, at: key.place,
                "\(quoted(text)) is no key of \(noun)\(suggestion) (known: \(names.joined(separator: ", ")))")
            return nil
        case .languages where !isLanguageTag(text):
            problems.report(
                .languageInvalid, at: key.place, "\(quoted(text)) is not a language tag such as nb, sv or en")
            return nil
        case .these, .languages:
            return text
        }
    }

    func has(_ key: String) -> Bool { values[key] != nil }

    /// Where the key's value stands; the mapping's own place if it has none.
    func place(of key: String) -> Place { values[key]?.place ?? place }
}

extension YamlMap {
    /// A text that has to be there and says something.
    func requiredText(_ key: String) -> String {
        guard let node = required(key), let text = text(node, key) else { return "" }
        if text.isEmpty { problems.report(.emptyText, at: node.place, "'\(key)' of \(name) is empty") }
        return text
    }

    /// Nil if it is not there; empty if it is empty.
    func optionalText(_ key: String) -> String? { values[key].flatMap { text($0, key) } }

    func flag(_ key: String, default standard: Bool = false) -> Bool {
        guard let node = values[key] else { return standard }
        switch plainText(node) {
        case "true": return true
        case "false": return false
        default:
            problems.report(.wrongType, at: node.place, "'\(key)' of \(name) is true or false")
            return standard
        }
    }

    func requiredNumber(_ key: String) -> Int? { required(key).flatMap { number($0, key) } }
    func optionalNumber(_ key: String) -> Int? { values[key].flatMap { number($0, key) } }

    func requiredTime(_ key: String) -> Timestamp? {
        guard let node = required(key), let text = text(node, key) else { return nil }
        if let time = Timestamp(iso8601: text) { return time }
        problems.report(
            .timeInvalid, at: node.place,
            "'\(key)' of \(name) is a date or a time such as 2026-03-01 or 2026-03-01T08:00:00+01:00 (ISO 8601), "
                + "not \(quoted(text))")
        return nil
    }

    func optionalPeriod(_ key: String) -> Period? {
        guard let node = values[key], let text = text(node, key) else { return nil }
        if let period = Period(iso8601: text) { return period }
        problems.report(
            .periodInvalid, at: node.place,
            "'\(key)' of \(name) is a period such as P2Y, P90D or PT1H (ISO 8601), not \(quoted(text))")
        return nil
    }

    /// A list of words; empty if it is not there.
    func words(_ key: String) -> [Placed<String>] {
        items(key).compactMap { node in
            text(node, "an entry of '\(key)'").map { Placed(value: $0, place: node.place) }
        }
    }

    func requiredWords(_ key: String) -> [Placed<String>] {
        guard required(key) != nil else { return [] }
        let words = words(key)
        if values[key]?.sequence?.isEmpty ?? false {
            problems.report(.missingKey, at: place(of: key), "'\(key)' of \(name) names at least one")
        }
        return words
    }

    /// A list of mappings; empty if it is not there.
    func maps(_ key: String, _ noun: String, keys: [String], refused: [String] = []) -> [YamlMap] {
        items(key).compactMap { YamlMap($0, noun, keys: .these(keys, refused: refused), problems: problems) }
    }

    func requiredMap(_ key: String, keys: YamlKeys) -> YamlMap? {
        required(key).flatMap { YamlMap($0, "'\(key)' of \(name)", keys: keys, problems: problems) }
    }

    /// Reports and returns nil if it is not there.
    @discardableResult
    func required(_ key: String) -> Node? {
        if let node = values[key] { return node }
        problems.report(.missingKey, at: place, "\(name) has no '\(key)'")
        return nil
    }

    private func items(_ key: String) -> [Node] {
        guard let node = values[key] else { return [] }
        if let sequence = node.sequence { return Array(sequence) }
        problems.report(.wrongType, at: node.place, "'\(key)' of \(name) is a list")
        return []
    }

    /// Texts are taken as they are written: `NO` is Norway and `1.10` is not `1.1`, whatever YAML makes of them.
    private func text(_ node: Node, _ key: String) -> String? {
        guard let scalar = node.scalar, !node.isNull, isUntagged(scalar) else {
            let problem = node.isNull ? "is empty" : "is a text"
            problems.report(node.isNull ? .emptyText : .wrongType, at: node.place, "'\(key)' of \(name) \(problem)")
            return nil
        }
        return scalar.string.trimmed
    }

    private func number(_ node: Node, _ key: String) -> Int? {
        if let text = plainText(node), let number = Int(text), "\(number)" == text {
            return number
        }
        problems.report(.wrongType, at: node.place, "'\(key)' of \(name) is a whole number")
        return nil
    }

    private func plainText(_ node: Node) -> String? {
        node.scalar.flatMap { $0.style == .plain && isUntagged($0) ? $0.string : nil }
    }

    private func isUntagged(_ scalar: Node.Scalar) -> Bool {
        ["", Tag.Name.str.rawValue].contains(scalar.tag.description)
    }
}

extension YamlMap {
    /// The id: lower-case letters, digits and hyphens. A malformed one is reported and returned all the same, so that
    /// what refers to it is not reported too.
    func slug() -> String {
        let id = requiredText("id")
        if !id.isEmpty, id.utf8.count > CatalogLimit.idSizeMax || !id.utf8.allSatisfy(isSlugByte) {
            problems.report(
                .idInvalid, at: place(of: "id"),
                "an id is 1 to \(CatalogLimit.idSizeMax) lower-case letters a-z, digits and hyphens, not \(quoted(id))")
        }
        return id
    }
}

/// Whether an id may hold the byte.
func isSlugByte(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"): true
    default: false
    }
}

/// A language of BCP 47: a language of two or three letters, then subtags such as a script or a region.
func isLanguageTag(_ text: String) -> Bool {
    let parts = text.utf8.split(separator: UInt8(ascii: "-"), omittingEmptySubsequences: false)
    guard let language = parts.first, (2...3).contains(language.count) else { return false }
    guard language.allSatisfy({ (UInt8(ascii: "a")...UInt8(ascii: "z")).contains($0) }) else { return false }
    return parts.dropFirst().allSatisfy { part in
        (2...8).contains(part.count) && part.allSatisfy { Character(Unicode.Scalar($0)).isLetterOrDigit }
    }
}

extension Character {
    /// Of ASCII.
    var isLetterOrDigit: Bool { isASCII && (isLetter || isNumber) }
}
