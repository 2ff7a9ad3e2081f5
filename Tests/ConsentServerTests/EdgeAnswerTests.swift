import ConsentEngine
import ConsentIndex
import ConsentKernel
import ConsentModel
import ConsentServer
import ConsentTestSupport
import ConsentWire
import Synchronization
import Testing

/// What an edge answers on the wire from an index that is vouched for, or not any more; the same as who maps its index.
struct EdgeAnswerTests {
    private final class Millis: Sendable {
        let now = Atomic<UInt64>(vouchedAt)
    }

    private static let vouchedAt: UInt64 = 1_000_000
    private static let liveMillis: UInt64 = 5_000

    private let folder = TemporaryFolder()
    private let writer: IndexWriter
    private let hashKey = IdentifierHashKey(bytes: Array(0..<16))
    private let millis = Millis()
    private let clock: BootClock

    /// Purpose 1 has no staleness, 2 a minute, 3 a day, 70 a minute; `a` has given all, `b` has withdrawn all; 4 needs no
    /// consent and has no staleness.
    init() throws {
        writer = try IndexWriter(
            creating: IndexFolder(folder.path("index")), history: Array(1...16), keyCheck: hashKey.check,
            identifiers: 100, purposes: 80)
        var (given, withdrawn) = (IndexRow(), IndexRow())
        (given.permitted, given.sequence) = (PurposeSet([1, 2, 3, 70]), 7)
        (withdrawn.denied, withdrawn.sequence) = (PurposeSet([1, 2, 3, 70]), 8)
        try writer.put(hashKey.hash(Self.customer("a")), given)
        try writer.put(hashKey.hash(Self.customer("b")), withdrawn)
        try writer.setDefaults(granted: PurposeSet([4]), denied: PurposeSet())
        writer.setMaxStaleness([2: 60, 3: 86_400, 70: 60])
        writer.setRole(.edge)
        writer.setApplied(sequence: 8, chain: 1)
        try writer.publish()
        writer.vouch(at: Self.vouchedAt)
        clock = try BootClock { [millis] in millis.now.load(ordering: .relaxed) }
    }

    private static func customer(_ value: String) throws -> Identifier { try Identifier(type: .customer, value: value) }

    private func service(catalogVersion: Int = 1) -> Service {
        let purposes = [1, 2, 3, 4, 70].map {
            Purpose(id: "p\($0)", bit: $0, controller: "club", title: [:], basis: $0 == 4 ? .contract : .consent)
        }
        return Service(
            identity: NodeIdentity(
                history: Array(1...16), deployment: VectorServer.deployment.bytes, keyCheck: hashKey.check),
            hashKey: hashKey, publication: writer.publication,
            catalog: AppliedCatalog(
                version: catalogVersion, catalog: Catalog(purposes: catalogVersion == 0 ? [] : purposes), text: "",
                digest: []))
    }

    /// All answers of one session to some frames.
    private func ask(_ frames: [[UInt8]], _ service: Service? = nil) -> [Answer] {
        let service = service ?? self.service()
        var checks = CheckPath(service, vouchedBy: clock)
        var session = Session(
            SessionSettings(
                deployment: VectorServer.deployment, history: ID16(bytes: service.identity.history),
                elsewhere: Elsewhere { _, _, _ in },
                token: VectorServer.token, serverVersion: "test"))
        var output = OutputBuffer(capacity: 1 << 16)
        var actions: [SessionAction] = []
        var input = Bytes.hello() + frames.flatMap { $0 }
        checks.beginTurn(nowMillis: 1000)
        input.withUnsafeMutableBytes {
            _ = session.receive(
                $0, checks: &checks, catalog: service.catalog, head: 8, output: &output, actions: &actions)
        }
        checks.flush(into: &output)
        return Array(Answer.all(in: Array(output.bytes)).dropFirst())
    }

    private func check(_ value: String, _ bit: Int) throws -> Checked {
        try #require(ask([Bytes.check(value, purposeBit: UInt16(bit), request: 2)]).first).read { try Checked($0) }
    }

    private static let ages: [Int64] = [
        -1, 0, 4_999, 5_000, 5_001, 59_999, 60_000, 60_001, 86_400_000, 86_400_001, 1_000_000_000_000,
    ]

    /// What the rule says, in other words than those of the code.
    private static func expected(_ bit: Int, age: Int64) -> Freshness {
        let staleness: [Int: Int64] = [2: 60_000, 3: 86_400_000, 70: 60_000]
        if age < 0 { return .unavailable }
        if age <= 5_000 { return .live }
        return age <= staleness[bit] ?? 0 ? .stale : .unavailable
    }

    @Test(arguments: ages)
    func everyShapeOfACheckAgesByItsPurpose(age: Int64) throws {
        millis.now.store(UInt64(Int64(Self.vouchedAt) + age), ordering: .relaxed)
        var mapped = try MappedReader(IndexFolder(folder.path("index")), keyCheck: hashKey.check) { [millis] in
            millis.now.load(ordering: .relaxed)
        }
        for bit in [1, 2, 3, 4, 70] {
            let freshness = Self.expected(bit, age: age)
            let isKnown = freshness != .unavailable
            for value in ["a", "b", "who"] {
                let decision: Decision = bit == 4 || value == "a" ? .granted : value == "b" ? .denied : .unknown
                let one = try check(value, bit)
                #expect(one.freshness == freshness, "purpose \(bit), \(age) ms")
                #expect(one.decision == (isKnown ? decision : .unknown), "\(value), purpose \(bit), \(age) ms")
                #expect(one.reason == (isKnown ? one.reason : .unknown))
                #expect(one.sequence == 8)
                let same = mapped.check(hashKey.hash(try Self.customer(value)), purposeBit: bit, now: 1)
                #expect(same.freshness == one.freshness)
                #expect(same.answer.decision == one.decision && same.answer.reason == one.reason)
            }
            let many = try #require(
                ask([Bytes.checkSubjects(["a", "b", "who"], purposeBit: UInt16(bit), request: 2)]).first
            ).read { try CheckedSet(subjectsIn: $0, count: 3) }
            #expect(many.freshness == freshness)
            #expect(many.granted == [isKnown ? bit == 4 ? 0b111 : 0b001 : 0])
            #expect(many.denied == [isKnown && bit != 4 ? 0b010 : 0])
        }
    }

    @Test(arguments: ages)
    func aCheckOfManyPurposesSaysTheWorstAndAnswersTheOthers(age: Int64) throws {
        millis.now.store(UInt64(Int64(Self.vouchedAt) + age), ordering: .relaxed)
        for asked in [[1, 2, 3, 70], [3], [2, 70], [1]] {
            let mask = PurposeSet(asked)
            let answer = try #require(
                ask([Bytes.checkPurposes("a", [mask[word: 0], mask[word: 1]], request: 2)]).first)
            let set = try answer.read { try CheckedSet(purposesIn: $0) }
            let freshness = asked.map { Self.expected($0, age: age) }
            #expect(set.freshness == freshness.max { $0.rawValue < $1.rawValue })
            for (bit, freshness) in zip(asked, freshness) {
                #expect(set.decision(bit) == (freshness == .unavailable ? .unknown : .granted), "\(bit), \(age) ms")
            }
        }
    }

    /// A full turn's worth, of purposes that age differently.
    @Test func pipelinedChecksAgeEachByItsPurpose() throws {
        millis.now.store(Self.vouchedAt + 30_000, ordering: .relaxed)
        let bits = (0..<100).map { [1, 2, 3, 70][$0 % 4] }
        let answers = ask(bits.map { Bytes.check("a", purposeBit: UInt16($0), request: UInt32($0)) })
        #expect(answers.map(\.request) == bits.map(UInt32.init))
        for (bit, answer) in zip(bits, answers) {
            let checked = try answer.read { try Checked($0) }
            #expect(checked.freshness == (bit == 1 ? .unavailable : .stale))
            #expect(checked.decision == (bit == 1 ? .unknown : .granted))
        }
    }

    /// The moment that was vouched for is of another boot, whatever the clock of this one says.
    @Test func afterARebootNothingCountsUntilItIsVouchedForAgain() throws {
        try writer.close()
        let file = try FileDescriptor.open(IndexFolder(folder.path("index")).currentFilePath, .readWrite)
        try file.seek(to: 184)
        try file.write([UInt8(ascii: "x")])
        let again = try IndexWriter(
            opening: IndexFolder(folder.path("index")), history: Array(1...16), keyCheck: hashKey.check)
        var service = service()
        service.publication = again.publication
        for bit in [1, 2, 3, 4, 70] {
            let answer = try #require(ask([Bytes.check("a", purposeBit: UInt16(bit), request: 2)], service).first)
            #expect(try answer.read { try Checked($0) }.freshness == .unavailable)
        }
        again.vouch(at: Self.vouchedAt)
        let answer = try #require(ask([Bytes.check("a", purposeBit: 1, request: 2)], service).first)
        #expect(try answer.read { try Checked($0) }.decision == .granted)
    }

    @Test func growthDoesNotMakeAnswersUnavailable() throws {
        var checks = CheckPath(service(), vouchedBy: clock)
        var output = OutputBuffer(capacity: 256)
        var frame = Bytes.check("a", purposeBit: 1, request: 2)
        try frame.withUnsafeMutableBytes { bytes in
            guard case .frame(let frame) = scanFrame(bytes) else { preconditionFailure() }
            checks.beginTurn(nowMillis: 1000)
            try checks.check(frame, into: &output)
        }
        try writer.reserve(identifiers: 10_000)
        checks.flush(into: &output)
        let answer = try #require(Answer.all(in: Array(output.bytes)).first).read { try Checked($0) }
        #expect(answer.freshness == .live && answer.decision == .granted)
    }

    @Test func anEdgeWithoutACatalogSaysThatItsAnswersAreUnavailable() throws {
        var service = service(catalogVersion: 0)
        let empty = try IndexWriter(
            creating: IndexFolder(folder.path("none")), history: [UInt8](repeating: 0, count: 16), keyCheck: 0,
            identifiers: 0, purposes: 1)
        service.publication = empty.publication
        let answers = ask(
            [
                Bytes.check("a", purposeBit: 900, request: 2), Bytes.checkPurposes("a", [5, 1 << 63], request: 3),
                Bytes.checkSubjects(["a", "b"], purposeBit: 900, request: 4),
            ], service)
        #expect(try answers[0].read { try Checked($0) }.freshness == .unavailable)
        let purposes = try answers[1].read { try CheckedSet(purposesIn: $0) }
        #expect(purposes.freshness == .unavailable && purposes.granted == [0, 0] && purposes.denied == [0, 0])
        let subjects = try answers[2].read { try CheckedSet(subjectsIn: $0, count: 2) }
        #expect(subjects.freshness == .unavailable && subjects.granted == [0] && subjects.denied == [0])
    }

    /// As long as a snapshot of another key has taken over and the server does not know yet: who objected must not pass
    /// for somebody who is not known.
    @Test func rowsOfAnotherKeyAnswerNothing() throws {
        var other = service()
        other.hashKey = IdentifierHashKey(bytes: Array(16..<32))
        for (bit, value) in [(1, "a"), (4, "a"), (4, "b")] {
            let answer = try #require(ask([Bytes.check(value, purposeBit: UInt16(bit), request: 2)], other).first)
            #expect(try answer.read { try Checked($0) }.freshness == .unavailable)
        }
    }

    @Test func onAnEdgeAnUnknownPurposeIsAnErrorAsElsewhere() {
        #expect(ask([Bytes.check("a", purposeBit: 900, request: 2)]).map(\.errorCode) == [.purposeUnknown])
    }
}
