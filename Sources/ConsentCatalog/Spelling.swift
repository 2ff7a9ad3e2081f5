/// The one of `known` that `text` was probably meant to be: at most a third of its letters differ. Of several that are
/// equally near, the first in the alphabet.
func nearest(to text: String, among known: some Sequence<String>) -> String? {
    let letters = Array(text.unicodeScalars)
    guard letters.count <= CatalogLimit.idSizeMax else { return nil }
    let distanceMax = max(1, letters.count / 3)
    var best: (distance: Int, name: String)?
    for name in known where name != text {
        let others = Array(name.unicodeScalars)
        guard abs(others.count - letters.count) <= distanceMax else { continue }
        let candidate = (distance: editDistance(letters, others), name: name)
        guard candidate.distance <= distanceMax else { continue }
        if best.map({ candidate < $0 }) ?? true { best = candidate }
    }
    return best?.name
}

/// How many letters must be put in, left out or replaced to make one of the other (Levenshtein).
private func editDistance(_ left: [Unicode.Scalar], _ right: [Unicode.Scalar]) -> Int {
    var row = Array(0...right.count)
    for (position, letter) in left.enumerated() {
        var diagonal = row[0]
        row[0] = position + 1
        for column in right.indices {
            let replaced = diagonal + (letter == right[column] ? 0 : 1)
            diagonal = row[column + 1]
            row[column + 1] = min(replaced, diagonal + 1, row[column] + 1)
        }
    }
    return row[right.count]
}

/// A text as a message cites it: on one line, and not too much of it.
func quoted(_ text: String) -> String {
    let line = text.map { $0.isNewline || $0.isControl ? " " : $0 }
    let isLong = line.count > CatalogLimit.quotationLengthMax
    return "'" + String(line.prefix(CatalogLimit.quotationLengthMax)) + (isLong ? "…'" : "'")
}

extension Character {
    fileprivate var isControl: Bool { unicodeScalars.allSatisfy { $0.properties.generalCategory == .control } }
}

extension String {
    /// Without the blanks and line ends around it, so that the YAML style it was written in does not matter.
    var trimmed: String {
        guard let first = firstIndex(where: { !$0.isWhitespace }), let last = lastIndex(where: { !$0.isWhitespace })
        else { return "" }
        return String(self[first...last])
    }
}
