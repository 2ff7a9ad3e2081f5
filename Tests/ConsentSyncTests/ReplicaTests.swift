import ConsentIndex
import ConsentModel
import ConsentSync
import ConsentTestSupport
import ConsentWire
import Testing

/// The edge side alone: frames of an upstream, one after the other, into a replica over a real index.
struct ReplicaTests {
    private static let history = ID16(bytes: Array(1...16))
    private static let hashKey: [UInt8] = Array(16..<32)
    private static let key = IdentifierHashKey(bytes: hashKey)

    /// A replica, and how many pushes it was sent since it subscribed.
    private final class Following {
        let temporary = TemporaryFolder()
        let store: IndexStore
        var replica: Replica<IndexStore>
        var now: UInt64 = 1_000_000
        var number: UInt32 = 0

        init() throws {
            store = try IndexStore(EdgeFolder(temporary.path("edge")))
            replica = Replica(store, ReplicaOptions())
        }

        private var moment: SyncMoment { SyncMoment(bootMillis: now, time: Timestamp(millis: 1)) }

        /// Connects and is told this; what the replica asks for then.
        func subscribe(_ verdict: SyncVerdict, head: UInt64 = 9) throws -> (end: ReplicaEnd?, asked: [Asked]) {
            var output = OutputBuffer(capacity: 1024)
            replica.connect(at: moment, into: &output)
            number = 0
            return try tell {
                Subscribed(verdict: verdict, history: history, head: head, hashKey: hashKey).encode(
                    request: 1, into: &$0)
            }
        }

        func disconnect() { replica.disconnect() }

        func tell(_ write: (inout OutputBuffer) -> Void) throws -> (end: ReplicaEnd?, asked: [Asked]) {
            var frame = OutputBuffer(capacity: 4096)
            write(&frame)
            var output = OutputBuffer(capacity: 4096)
            var (bytes, end) = (Array(frame.bytes), ReplicaEnd?.none)
            try bytes.withUnsafeMutableBytes { buffer in
                guard case .frame(let whole) = scanFrame(buffer) else { throw WaitedTooLong(description: "no frame") }
                end = replica.receive(whole, at: moment, into: &output)
            }
            return (end, try Asked.all(in: Array(output.bytes)))
        }

        func push(_ write: (UInt32, inout OutputBuffer) -> Void) throws -> ReplicaEnd? {
            defer { number += 1 }
            return try tell { write(number, &$0) }.end
        }

        func begin(_ plan: SnapshotPlan) throws -> ReplicaEnd? {
            try tell { SnapshotBegun(plan: plan, rows: 10, words: 1).encode(request: 2, into: &$0) }.end
        }

        func chunk(_ chunk: UInt32, _ rows: [Row], isLast: Bool = true) throws -> ReplicaEnd? {
            try push { number, output in
                var frame = SnapshotChunk.begin(chunk: chunk, words: 1, number: number, into: &output)
                for row in rows {
                    frame.append(
                        first: row.hash.indexTag | row.sequence >> 32,
                        second: row.sequence & 0xFFFF_FFFF | 0xFFFF_FFFF << 32,
                        place: row.hash.indexPlace, (PurposeSet([0]), PurposeSet()), words: 1, into: &output)
                }
                frame.end(isLast: isLast, into: &output)
            }
        }

        /// - Parameter echo: of a stamp; zero: none has come.
        func heartbeat(_ point: SyncPoint, echo: UInt64? = nil, age: UInt64 = 0) throws -> ReplicaEnd? {
            try push { number, output in
                Heartbeat(
                    sent: point, isSentKnown: true, head: point.sequence, echo: echo ?? now, ageMillis: age,
                    time: Timestamp(millis: 1)
                ).encode(number: number, into: &output)
            }
        }

        func delta(after: UInt64, to point: SyncPoint) throws -> ReplicaEnd? {
            try push { number, output in
                let frame = Delta.begin(
                    after: after, to: point, hasDigest: true, words: 1, number: number, into: &output)
                frame.end(isLast: true, into: &output)
            }
        }

        /// A snapshot with one row has taken over, and is vouched for.
        static func following() throws -> (Following, SyncPoint) {
            let edge = try Following()
            _ = try edge.subscribe(.nothingThere)
            _ = try edge.begin(ReplicaTests.plan(5, chunks: 1))
            _ = try edge.chunk(0, [Row("1", 3)])
            let whole = try ReplicaTests.point(5, of: [Row("1", 3)])
            #expect(try edge.heartbeat(whole) == nil)
            #expect(edge.store.vouchedAt == edge.now && edge.store.point(.live) == whole)
            #expect(edge.replica.takeOnward() == nil)
            return (edge, whole)
        }
    }

    private enum Asked: Equatable {
        case snapshot(resumesAt: UInt32?)
        case other(UInt8)

        static func all(in bytes: [UInt8]) throws -> [Asked] {
            var (bytes, asked, taken) = (bytes, [Asked](), 0)
            try bytes.withUnsafeMutableBytes { buffer in
                while case .frame(let frame) = scanFrame(.init(rebasing: buffer[taken...])) {
                    taken += frame.size
                    if frame.opcode == Opcode.takeSnapshot.rawValue {
                        asked.append(.snapshot(resumesAt: try TakeSnapshotRequest(frame).resumed?.nextChunk))
                    } else {
                        asked.append(.other(frame.opcode))
                    }
                }
            }
            return asked
        }
    }

    private struct Row {
        var hash: IdentifierHash
        var sequence: UInt64

        init(_ customer: String, _ sequence: UInt64) {
            hash = ReplicaTests.key.hash(.customer(customer))
            self.sequence = sequence
        }
    }

    private static func point(_ sequence: UInt64, of rows: [Row]) throws -> SyncPoint {
        let folder = TemporaryFolder()
        let writer = try IndexWriter(
            creating: IndexFolder(folder.path("index")), history: history.bytes, keyCheck: key.check, identifiers: 10,
            purposes: 1)
        for row in rows {
            var index = IndexRow()
            (index.permitted, index.sequence) = (PurposeSet([0]), row.sequence)
            try writer.put(row.hash, index)
        }
        return SyncPoint(sequence: sequence, chain: sequence, digest: writer.digest ^ SyncCatalog.none.mark)
    }

    private static func plan(_ sequence: UInt64, chunks: UInt32, next: UInt32 = 0) -> SnapshotPlan {
        var plan = SnapshotPlan(start: SyncPoint(sequence: sequence, chain: sequence), chunkCount: chunks)
        plan.nextChunk = next
        return plan
    }

    /// A backup was restored while a snapshot was interrupted: what comes again is older than what is there, and right.
    @Test func aChunkThatComesAgainTakesThePlaceOfWhatWasThereOfIt() throws {
        let edge = try Following()
        #expect(try edge.subscribe(.nothingThere).asked == [.snapshot(resumesAt: nil)])
        #expect(try edge.begin(Self.plan(5, chunks: 2)) == nil)
        #expect(try edge.chunk(0, [Row("1", 3)]) == nil)
        #expect(try edge.chunk(1, [Row("2", 9)], isLast: false) == nil)
        edge.disconnect()
        #expect(try edge.subscribe(.nothingThere, head: 6).asked == [.snapshot(resumesAt: 1)])
        #expect(try edge.begin(Self.plan(5, chunks: 2, next: 1)) == nil)
        #expect(try edge.chunk(1, [Row("2", 4)]) == nil)
        let whole = try Self.point(5, of: [Row("1", 3), Row("2", 4)])
        #expect(try edge.heartbeat(whole) == nil)
        #expect(edge.store.point(.live) == whole && edge.store.history == Self.history)
        #expect(edge.replica.counters.snapshotsResumed == 1 && edge.replica.counters.mismatches == 0)
    }

    /// What would come of a mixture is found by its digest, but only after all of it was sent.
    @Test func aSnapshotThatWasBegunIsNotGoneOnWithInAnotherPast() throws {
        let (edge, whole) = try Following.following()
        edge.disconnect()
        #expect(try edge.subscribe(.tooFarBehind, head: 90).asked == [.snapshot(resumesAt: nil)])
        #expect(try edge.begin(Self.plan(80, chunks: 3)) == nil)
        #expect(try edge.chunk(0, [Row("2", 79)]) == nil)
        edge.disconnect()
        #expect(try edge.subscribe(.forked, head: 8).end == .held(.forked))
        #expect(edge.replica.plan == nil && edge.store.point(.live) == whole)
        edge.replica.options.startsOver = true
        #expect(try edge.subscribe(.nothingThere, head: 8).asked == [.snapshot(resumesAt: nil)])
    }

    // MARK: What was vouched for

    /// An upstream that is an edge cannot tell whether both are of one past.
    @Test func whatWasVouchedForDoesNotPassToASnapshot() throws {
        let (edge, _) = try Following.following()
        edge.disconnect()
        _ = try edge.subscribe(.tooFarBehind, head: 80)
        _ = try edge.begin(Self.plan(80, chunks: 1))
        _ = try edge.chunk(0, [Row("2", 79)])
        #expect(edge.store.vouchedAt != 0)
        let newer = try Self.point(80, of: [Row("2", 79)])
        #expect(try edge.heartbeat(newer, echo: 0) == nil)
        #expect(edge.store.point(.live) == newer && edge.store.vouchedAt == 0)
        #expect(try edge.heartbeat(newer) == nil)
        #expect(edge.store.vouchedAt == edge.now)
    }

    /// Both may have gone on from one past, each in another way.
    @Test func whatOneUpstreamHasVouchedForCountsForNothingOnceAnotherIsFollowed() throws {
        let (edge, whole) = try Following.following()
        edge.disconnect()
        edge.replica.options.isUpstreamNew = true
        #expect(try edge.subscribe(.forked).end == .held(.forked))
        #expect(edge.store.vouchedAt != 0, "what is held off takes nothing away")
        #expect(try edge.subscribe(.follow).end == nil)
        #expect(edge.store.vouchedAt == 0 && !edge.replica.options.isUpstreamNew)
        #expect(edge.replica.takeOnward() == nil, "those who follow begin anew")
        #expect(try edge.heartbeat(whole) == nil)
        #expect(edge.store.vouchedAt == edge.now)
    }

    @Test(arguments: [nil, 0, Heartbeat.ageUnknown] as [UInt64?])
    func whatComesFromWhoIsNotVouchedForIsNotEither(age: UInt64?) throws {
        let (edge, whole) = try Following.following()
        edge.disconnect()
        let vouchedAt = edge.store.vouchedAt
        _ = try edge.subscribe(.follow)
        if let age { #expect(try edge.heartbeat(whole, echo: 0, age: age) == nil) }
        #expect(edge.store.vouchedAt == vouchedAt)
        var newer = whole
        (newer.sequence, newer.chain) = (6, 6)
        #expect(try edge.delta(after: 5, to: newer) == nil)
        #expect(edge.store.point(.live).sequence == 6)
        #expect(edge.store.vouchedAt == (age == 0 ? vouchedAt : 0))
        #expect((edge.replica.takeOnward() == nil) == (age != 0))
    }

    // MARK: Catalogs

    /// Rows of a walk may be newer than what it leads to, and so made by a catalog that takes over later.
    @Test func rowsThatComeWhileACatalogIsOnItsWayAreNotHandedOnAsTheyCame() throws {
        let (edge, whole) = try Following.following()
        let catalog = SyncCatalog(
            version: 2, digest: Array(repeating: 7, count: 32), sequence: 9,
            purposes: [.init(bit: 0, id: "p0", isDeniedByDefault: true)])
        var newer = whole
        (newer.sequence, newer.chain) = (6, 6)
        #expect(try edge.delta(after: 5, to: newer) == nil)
        #expect(edge.replica.takeOnward()?.map(\.frames.isEmpty) == [false])
        #expect(try edge.push { catalog.encodeRules(number: $0, into: &$1) } == nil)
        #expect(try edge.push { catalog.encodeText(number: $0, into: &$1) } == nil)
        (newer.sequence, newer.chain) = (7, 7)
        #expect(try edge.delta(after: 6, to: newer) == nil)
        #expect(edge.replica.takeOnward()?.map(\.frames.isEmpty) == [true])
        #expect(edge.store.catalog(.live) == .none && edge.store.defaults(.live).denied == PurposeSet([0]))
    }
}
