import ConsentKernel
import ConsentModel
import ConsentTestSupport
import Testing

@testable import ConsentIndex

/// Every sequence of changes up to some length, on files of a few slots, against a dictionary.
struct ExhaustiveTests {
    private enum Step: CustomStringConvertible {
        case put(Int, Int)
        case erase(Int)
        case grow

        var description: String {
            switch self {
            case .put(let identifier, let row): "put(\(identifier), \(row))"
            case .erase(let identifier): "erase(\(identifier))"
            case .grow: "grow"
            }
        }
    }

    /// A file with its first bytes, so that thousands of runs need no thousands of files.
    private final class Generation {
        let table: IndexTable
        private let files: [MappedFile]
        private let images: [[UInt8]]

        init(_ folder: TemporaryFolder, _ number: Int, _ geometry: IndexGeometry) throws {
            let path = "\(folder.path)/\(number)"
            table = try IndexTable.create(
                path: path, geometry: geometry, generation: UInt64(number), history: testHistory, keyCheck: 1)
            files = try [path, IndexTable.ownersPath(path)].map {
                try MappedFile(FileDescriptor.open($0, .readWrite), access: .readWrite)
            }
            images = files.map { Array(UnsafeRawBufferPointer(start: $0.base, count: $0.size)) }
        }

        func reset() {
            for (file, image) in zip(files, images) {
                image.withUnsafeBytes { file.base.copyMemory(from: $0.baseAddress!, byteCount: image.count) }
            }
        }
    }

    private static let rows = [
        IndexRow(permitted: [0, 63], endsAt: 7, sequence: 1 << 39 | 5),
        IndexRow(permitted: [63], denied: [0], sequence: 6),
    ]

    private static func run(_ steps: [Step], _ hashes: [IdentifierHash], _ generations: [Generation]) -> String? {
        for generation in generations { generation.reset() }
        var (model, current) = (IndexModel(), 0)
        var table: IndexTable { generations[current].table }
        for step in steps {
            switch step {
            case .put(let identifier, let row):
                if let slot = table.find(hashes[identifier]) {
                    table.update(slot, to: rows[row])
                } else {
                    table.insert(hashes[identifier], rows[row], owner: UInt32(identifier) + 7)
                }
                model.put(hashes[identifier], rows[row], owner: UInt32(identifier) + 7)
            case .erase(let identifier):
                if let slot = table.find(hashes[identifier]) { table.erase(slot) }
                model.erase(hashes[identifier])
            case .grow:
                generations[current + 1].table.copyRows(of: table)
                current += 1
            }
        }
        return model.difference(table, absent: hashes)
    }

    private static func check(_ hashes: [IdentifierHash], words: Int, length: Int) throws {
        let folder = TemporaryFolder()
        defer { withExtendedLifetime(folder) {} }
        // Of rising, and then of the same size, so that every place is met.
        let generations = try (0...length).map {
            try Generation(folder, $0, IndexGeometry(words: words, slots: min(8 + 2 * $0, 12)))
        }
        let choices: [Step] =
            hashes.indices.flatMap { identifier in rows.indices.map { .put(identifier, $0) } }
            + hashes.indices.map { .erase($0) } + [.grow]
        var positions = [Int](repeating: 0, count: length)
        while true {
            let steps = positions.map { choices[$0] }
            if let difference = run(steps, hashes, generations) {
                Issue.record("\(steps) with rows of \(words) words: \(difference)")
                return
            }
            guard let next = positions.lastIndex(where: { $0 + 1 < choices.count }) else { return }
            positions[next] += 1
            for later in (next + 1)..<length { positions[later] = 0 }
        }
    }

    private static let last: UInt64 = 0xFFFF_FFFF << 32

    /// Three in the last line, of which one or two wrap around to the first.
    @Test(arguments: [1, 3])
    func everySequenceOfFourChangesToThreeThatShareTheLastLine(words: Int) throws {
        let hashes = (1...3).map { IdentifierHash(high: UInt64($0) << 40, low: Self.last) }
        try Self.check(hashes, words: words, length: 4)
    }

    /// Two in the last line and one at home where the second wraps to.
    @Test(arguments: [3, 7])
    func everySequenceOfFourChangesToTwoThatWrapOntoAThird(words: Int) throws {
        let hashes = [
            IdentifierHash(high: 1 << 60, low: Self.last), IdentifierHash(high: 2 << 60, low: Self.last | 0xFFFF),
            IdentifierHash(high: 3 << 60, low: 0),
        ]
        try Self.check(hashes, words: words, length: 4)
    }

    @Test func everySequenceOfFiveChangesToTwoOfTheSameHome() throws {
        let hashes = [IdentifierHash(high: .max, low: 1 << 62), IdentifierHash(high: .max << 9, low: 1 << 62)]
        try Self.check(hashes, words: 3, length: 5)
    }

    @Test func theSameTagAtAnotherPlaceIsAnother() throws {
        let hashes = [IdentifierHash(high: 77 << 8, low: 0), IdentifierHash(high: 77 << 8, low: 1 << 63)]
        try Self.check(hashes, words: 1, length: 4)
    }

    /// A tag of 0 is a free slot and a tag of 1 an erased one.
    @Test func hashesWhoseTagsMeanSomethingElseHaveRowsAllTheSame() throws {
        let hashes = [IdentifierHash(high: 0, low: 1 << 62), IdentifierHash(high: 1 << 8, low: 1 << 62)]
        try Self.check(hashes, words: 1, length: 4)
    }

    @Test func theLowestByteOfTheTagsWordDoesNotTellIdentifiersApart() throws {
        let folder = TemporaryFolder()
        defer { withExtendedLifetime(folder) {} }
        let table = try Generation(folder, 0, IndexGeometry(words: 1, slots: 8)).table
        table.insert(
            IdentifierHash(high: 5 << 8, low: 0), IndexRow(permitted: [1], sequence: Limit.sequenceMax), owner: 0)
        let row = table.row(IdentifierHash(high: 5 << 8 | 0xAB, low: 0))
        #expect(row == IndexRow(permitted: [1], sequence: Limit.sequenceMax))
    }

    /// Home is the place's share of the file: every line is somebody's.
    @Test(arguments: [1, 3, 7, 15])
    func aRowLiesInTheLineOfItsPlace(words: Int) throws {
        let folder = TemporaryFolder()
        defer { withExtendedLifetime(folder) {} }
        let geometry = IndexGeometry(words: words, slots: 64)
        let table = try Generation(folder, 0, geometry).table
        let lines = geometry.slots / geometry.slotsPerLine
        for line in 0..<lines - 1 {
            let place = (UInt64(line) << 32) / UInt64(lines) + 1
            table.insert(IdentifierHash(high: UInt64(line + 1) << 40, low: place << 32), IndexRow(), owner: 0)
        }
        let bytes = try File.read("\(folder.path)/0")
        for line in 0..<lines - 1 {
            let tag = IndexTable.headerSize + line * geometry.slotsPerLine * geometry.rowSize
            #expect(Array(bytes[tag..<tag + 8]) == littleEndian(UInt64(line + 1) << 40), "line \(line)")
        }
    }
}
