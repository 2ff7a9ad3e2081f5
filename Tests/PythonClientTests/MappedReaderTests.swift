import ConsentEngine
import ConsentIndex
import ConsentKernel
import ConsentLedger
import ConsentModel
import ConsentServer
import ConsentTestSupport
import ConsentWire
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

    /// The margins are wide, as the clock is the real one.
    @Test func wireSwiftPythonAndCAgreeOnHowLongAnAnswerCounts() throws {
        struct Asked: Encodable {
            var folder: String
            var subject: String
            var purposes: [String]
        }
        let folder = try Folder(identifiers: 100, purposes: 64)
        let subject = try Identifier(type: .customer, value: "kari")
        var row = IndexRow()
        (row.permitted, row.sequence) = (PurposeSet([1, 2, 3]), 1)
        try folder.put(subject, row)
        try folder.index.setDefaults(granted: PurposeSet([4]), denied: PurposeSet())
        folder.index.setMaxStaleness([2: 3_600, 3: 1_000_000])
        folder.index.setRole(.edge)
        let bits = [1, 2, 3, 4]
        try IndexFolder(folder.temporary.path("index")).setPurposes(bits.map { ($0, "p\($0)") })
        let purposes = bits.map {
            Purpose(id: "p\($0)", bit: $0, controller: "club", title: [:], basis: $0 == 4 ? .contract : .consent)
        }
        let service = Service(
            identity: NodeIdentity(
                history: [UInt8](repeating: 1, count: 16), deployment: [UInt8](repeating: 2, count: 16),
                keyCheck: folder.hashKey.check),
            hashKey: folder.hashKey, publication: folder.index.publication,
            catalog: AppliedCatalog(version: 1, catalog: Catalog(purposes: purposes), text: "", digest: []))
        var checks = CheckPath(service, vouchedBy: try BootClock())
        var mapped = try MappedReader(
            IndexFolder(folder.temporary.path("index")), keyCheck: folder.hashKey.check)
        let python = try PythonDialogue(["-m", "tests.answer_with_freshness"])
        let hour: Int64 = 3_600_000
        for age in [nil, 0, hour / 2, hour * 2, 200 * hour, 300 * hour, -hour] as [Int64?] {
            let vouchedAt = age.map { Int64(Clock.boottimeMillis()) - $0 } ?? 0
            // Of before the machine was started there is nothing to vouch for.
            folder.index.vouch(at: UInt64(max(0, vouchedAt)))
            try python.say(
                Asked(folder: folder.temporary.path, subject: "customer:kari", purposes: bits.map { "p\($0)" }))
            let others = try python.answer([[String]].self)
            for (position, bit) in bits.enumerated() {
                let swift = mapped.check(folder.hashKey.hash(subject), purposeBit: bit, now: 1)
                let answer = ["\(swift.answer.decision)", "\(swift.freshness)"]
                let wire = try ask(&checks, purposeBit: bit)
                #expect(["\(wire.decision)", "\(wire.freshness)"] == answer, "p\(bit), \(age ?? 0) ms")
                #expect(others[2 * position] == answer && others[2 * position + 1] == answer, "p\(bit), \(age ?? 0) ms")
                if age == nil || age == -hour { #expect(answer == ["unknown", "unavailable"]) }
                if age == 0 { #expect(answer == ["granted", "live"]) }
            }
        }
        try folder.index.close()
    }

    private func ask(_ checks: inout CheckPath, purposeBit: Int) throws -> Checked {
        var output = OutputBuffer(capacity: 256)
        let kari = try Identifier(type: .customer, value: "kari")
        CheckRequest.encode(.check, purposeBit: UInt16(purposeBit), identifier: kari, request: 1, into: &output)
        var bytes = Array(output.bytes)
        output.clear()
        checks.beginTurn(nowMillis: 1000)
        try bytes.withUnsafeMutableBytes { buffer in
            guard case .frame(let frame) = scanFrame(buffer) else { preconditionFailure("it is whole") }
            try checks.check(frame, into: &output)
        }
        checks.flush(into: &output)
        var answer = Array(output.bytes)
        return try answer.withUnsafeMutableBytes { buffer in
            guard case .frame(let frame) = scanFrame(buffer) else { preconditionFailure("it is whole") }
            return try Checked(frame)
        }
    }
}
