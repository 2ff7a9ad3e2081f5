import ConsentEngine
import ConsentIndex
import ConsentKernel
import ConsentLedger
import ConsentModel
import ConsentTestSupport
import Foundation
import Testing

/// The Python client's mapped reader over rows that the node's own writer has written.
struct MappedReaderTests {
    private struct Question: Encodable {
        var folder: String
        var subjects: [String]
        var purpose: String
        var bit: Int
        var now: Int64
    }

    /// A folder with a key and an index, as a node has.
    private struct Folder {
        let temporary = TemporaryFolder()
        let index: IndexWriter
        let hashKey: IdentifierHashKey

        init(identifiers: Int, purposes: Int) throws {
            let key = (0..<16).map { _ in UInt8.random(in: 0...(.max)) }
            hashKey = IdentifierHashKey(bytes: key)
            index = try IndexWriter(
                creating: IndexFolder(temporary.path("index")), history: [UInt8](repeating: 1, count: 16),
                keyCheck: hashKey.check, identifiers: identifiers, purposes: purposes)
            try index.publish()
            try Data(key).write(to: URL(filePath: temporary.path("index.key")))
        }

        func put(_ identifier: Identifier, _ row: IndexRow) throws { try index.put(hashKey.hash(identifier), row) }
    }

    @Test func itAnswersEveryCaseOfTheCorpusAsItSays() throws {
        let folder = try Folder(identifiers: 1000, purposes: 64)
        let python = try PythonDialogue(["-m", "tests.answer_from_index"])
        for (number, example) in try DecisionCorpus.cases.get().enumerated() {
            let purpose = try #require(example.catalog.purpose(id: example.purpose))
            let retired = example.catalog.purposes.filter { !$0.isActive }.map(\.bit)
            try folder.index.setDefaults(
                granted: PurposeSet(example.catalog.defaultGrants), denied: PurposeSet(retired))
            var standings = Standings()
            for act in example.history { standings.fold(act, purposeBit: purpose.bit) }
            let projection = project(standings, catalog: example.catalog, at: example.clock)
            let identifier = try Identifier(type: .customer, value: "case-\(number)")
            if !example.history.isEmpty { try folder.put(identifier, IndexRow(projection)) }
            let seconds = example.clock.secondsRoundedDown
            try python.say(
                Question(
                    folder: folder.temporary.path, subjects: ["customer:case-\(number)"], purpose: purpose.id,
                    bit: purpose.bit, now: seconds))
            // A row keeps the second in which a consent ends, and so ends it up to a second early.
            let isLastSecond = projection.endsAt.map { $0.secondsRoundedDown == seconds } ?? false
            let expected = (isLastSecond ? Decision.unknown : example.decision).name
            #expect(try python.answer([String].self) == [expected, expected], "\(example)")
        }
        try folder.index.close()
    }

    @Test(arguments: [64, 192, 448, 960])
    func itFindsEveryRowOfAnIndexThatHasGrown(purposes: Int) throws {
        let folder = try Folder(identifiers: 100, purposes: purposes)
        let bit = purposes - 1
        var (subjects, expected): ([String], [String]) = ([], [])
        for number in 0..<6000 {
            // Of every length, and every remainder of the hash's words.
            let value = "\(number)-" + String(repeating: "å", count: number % 40)
            var row = IndexRow()
            if number % 3 == 0 { row.permitted[word: bit >> 6] = 1 << UInt64(bit & 63) }
            if number % 3 == 1 { row.denied[word: bit >> 6] = 1 << UInt64(bit & 63) }
            row.sequence = UInt64(number + 1)
            if number % 5 != 4 { try folder.put(try Identifier(type: .device, value: value), row) }
            subjects.append("device:" + value)
            expected.append(number % 5 == 4 ? "unknown" : ["granted", "denied", "unknown"][number % 3])
        }
        let python = try PythonDialogue(["-m", "tests.answer_from_index"])
        try python.say(
            Question(folder: folder.temporary.path, subjects: subjects, purpose: "last", bit: bit, now: 1_000_000))
        #expect(try python.answer([String].self) == expected + [expected[0]])
        try folder.index.close()
    }
}
