import ConsentClient
import ConsentKernel
import ConsentModel

/// What must not be found any more.
struct ErasedValues {
    private(set) var values: [(kind: String, bytes: [UInt8])] = []
    /// Too short to be told from other bytes.
    private(set) var tooShort = 0

    private static let sizeMin = 6

    init(_ subject: Subject) {
        add(subject.type.name, subject.value)
        if let normal = try? Identifier(text: subject.description) { add(normal.type.name, normal.value) }
    }

    mutating func add(_ entry: TimelineEntry) {
        switch entry {
        case .act(let entry):
            for subject in entry.act.subjects where !subject.isHash { add(subject.type.name, subject.value) }
            // Not for the guardian, who may be known as a person, too, or stand for another child.
            if !entry.act.evidence.isEmpty { add("evidence", entry.act.evidence) }
        case .link(let entry):
            // What was taken off is not the person's, and stays.
            for subject in entry.subjects where entry.action == .linked && !subject.isHash {
                add(subject.type.name, subject.value)
            }
        }
    }

    private mutating func add(_ kind: String, _ text: String) {
        let bytes = Array(text.utf8)
        guard !values.contains(where: { $0.bytes == bytes }) else { return }
        if bytes.count >= Self.sizeMin { values.append((kind, bytes)) } else { tooShort += 1 }
    }

    func traces(in folder: String) throws -> ByteSearch {
        var search = ByteSearch(for: values.map(\.bytes))
        try search.search(folder)
        return search
    }
}

extension Subject {
    /// Whether it is the hash that a history shows in place of a national id.
    fileprivate var isHash: Bool { type == .nationalId && value.hasPrefix("#") }
}
