import ConsentCatalog
import ConsentEngine
import ConsentIndex
import ConsentKernel
import ConsentModel
import ConsentServer
import ConsentSync
import ConsentTestSupport
import ConsentWire
import Foundation
import Synchronization
import Testing

/// Edges that follow real nodes over real sockets.
struct FollowerTests {
    @Test func anEdgeTakesASnapshotFollowsAndAnswersLikeItsUpstream() throws {
        let upstream = try Upstream()
        try upstream.give(0..<300)
        let edge = try upstream.edge()
        try edge.waitUntilEqual(to: upstream)
        #expect(edge.state.counters.snapshots == 1)
        try upstream.give(300..<340)
        try upstream.withdraw(10..<20)
        try edge.waitUntilEqual(to: upstream)
        #expect(edge.state.counters.snapshots == 1)
        #expect(edge.answer("5").decision == .granted)
        #expect(edge.answer("15").decision == .denied)
        #expect(edge.answer("900").decision == .unknown)
        #expect(edge.state.connection == .following)
        #expect(edge.state.whyNotReady(at: Clock.boottimeMillis()) == nil)
        #expect(edge.state.lag == 0 && edge.state.problem == nil)
    }

    @Test func whoMapsTheIndexOfAnEdgeGetsLiveAnswers() throws {
        let upstream = try Upstream()
        try upstream.give(0..<10)
        let edge = try upstream.edge()
        try edge.waitUntilEqual(to: upstream)
        var mapped = try MappedReader(edge.follower.folder.indexFolder, keyCheck: upstream.engine.hashKey.check)
        let hash = upstream.engine.hashKey.hash(.customer("3"))
        let answer = mapped.check(hash, purposeBit: 0, now: 1)
        #expect(answer.answer.decision == .granted && answer.freshness == .live)
        #expect(try edge.follower.folder.indexFolder.purposes() == ["p0": 0, "p1": 1, "p2": 2])
    }

    @Test func aNewCatalogReachesTheEdge() throws {
        let upstream = try Upstream()
        try upstream.give(0..<50)
        let edge = try upstream.edge()
        try edge.waitUntilEqual(to: upstream)
        var catalog = Upstream.catalog
        catalog.purposes.append(.init("p70", bit: 70, basis: "contract"))
        let soon = Timestamp(millis: Clock.realtimeMillis() + 300)
        catalog.revisions.append(.init("2.0", effectiveAt: soon, purposes: Upstream.purposes))
        _ = try upstream.engine.apply(catalog.document)
        try edge.waitUntilEqual(to: upstream)
        try wait("the revision becomes current") { edge.answer("5").decision == .unknown }
        try edge.waitUntilEqual(to: upstream)
        #expect(edge.state.catalog.text == catalog.text)
        #expect(edge.state.catalog.version == 2)
        // Everybody must be asked again, and the contract holds for everybody.
        #expect(edge.answer("5").decision == .unknown)
        #expect(edge.answer("5", purposeBit: 70).reason == .basisHolds)
        #expect(edge.state.counters.snapshots == 1)
    }

    @Test func anEdgeThatWasAwayGoesOnFromItsFile() throws {
        let upstream = try Upstream()
        try upstream.give(0..<100)
        let folder = TemporaryFolder()
        do {
            let edge = try upstream.edge(in: folder)
            try edge.waitUntilEqual(to: upstream)
        }
        try upstream.give(100..<130)
        try upstream.withdraw(0..<5)
        let edge = try upstream.edge(in: folder)
        #expect(edge.state.history != .zero)
        try edge.waitUntilEqual(to: upstream)
        #expect(edge.state.counters.snapshots == 0 && edge.state.counters.mismatches == 0)
    }

    /// Of few people who change often, all rows are fewer than what has changed.
    @Test func whatIsCheaperIsSentToAnEdgeThatWasAway() throws {
        let upstream = try Upstream()
        try upstream.give(0..<100)
        let (folder, other) = (TemporaryFolder(), try upstream.edge(name: "another"))
        try other.waitUntilEqual(to: upstream)
        do {
            let edge = try upstream.edge(in: folder)
            try edge.waitUntilEqual(to: upstream)
        }
        for _ in 0..<60 {
            try upstream.withdraw(0..<100)
            try upstream.give(0..<100)
        }
        try other.waitUntilEqual(to: upstream)
        #expect(other.state.counters.snapshots == 1 && other.state.counters.deltas > 0)
        let edge = try upstream.edge(in: folder)
        try edge.waitUntilEqual(to: upstream)
        #expect(edge.state.counters.snapshots == 1 && edge.state.counters.mismatches == 0)
    }

    @Test func aServerThatRestartsIsFollowedAgain() throws {
        let upstream = try Upstream()
        try upstream.give(0..<20)
        let edge = try upstream.edge()
        try edge.waitUntilEqual(to: upstream)
        try upstream.restart()
        try upstream.give(20..<40)
        try edge.waitUntilEqual(to: upstream)
        #expect(edge.state.counters.snapshots == 1 && edge.state.connects > 1)
    }

    @Test func anotherHistoryTakesOverOnlyWhenSomebodySaysSo() throws {
        let upstream = try Upstream()
        try upstream.give(0..<20)
        let folder = TemporaryFolder()
        let other = try Upstream()
        try other.give(0..<3)
        do {
            let edge = try upstream.edge(in: folder)
            try edge.waitUntilEqual(to: upstream)
        }
        let edge = try other.edge(in: folder)
        try wait("it is held off") { edge.state.held == .otherHistory }
        #expect(edge.state.point.sequence == upstream.engine.publication.current.appliedSequence)
        #expect(edge.state.problem?.contains("--start-over") == true)
        edge.follower.startOver()
        try edge.waitUntilEqual(to: other)
        #expect(edge.state.held == nil && edge.state.counters.snapshots == 1)
    }

    @Test func aFileThatDoesNotProveItselfIsNotAnsweredFrom() throws {
        let upstream = try Upstream()
        try upstream.give(0..<20)
        let folder = TemporaryFolder()
        do {
            let edge = try upstream.edge(in: folder)
            try edge.waitUntilEqual(to: upstream)
        }
        let path = EdgeFolder(folder.path).indexFolder.currentFilePath
        var bytes = try Data(contentsOf: URL(filePath: path))
        let row = try #require((8192..<bytes.count).first { bytes[$0] != 0 })
        bytes[row] ^= 1
        try bytes.write(to: URL(filePath: path))
        let edge = try upstream.edge(in: folder)
        try edge.waitUntilEqual(to: upstream)
        #expect(edge.state.counters.snapshots == 1)
    }

    /// Only what never changes of a header has a checksum, and the list of purposes beside it has none. By each of these an
    /// edge without its upstream would grant what nobody granted, or for longer than the catalog allows.
    @Test(
        arguments: [
            (256, 0xF), (584, 3_600_000), (4096, 86400), (576, 0xFFFF_FFFF_FFFF),
        ] as [(Int, UInt64)])
    func whatAHeaderSaysBeyondTheCatalogCountsForNothing(offset: Int, value: UInt64) throws {
        let upstream = try Upstream()
        try upstream.give(0..<20)
        let folder = TemporaryFolder()
        do {
            let edge = try upstream.edge(in: folder)
            try edge.waitUntilEqual(to: upstream)
        }
        let index = EdgeFolder(folder.path).indexFolder
        var bytes = try Data(contentsOf: URL(filePath: index.currentFilePath))
        let damage = withUnsafeBytes(of: value) { Array($0) }
        bytes.replaceSubrange(offset..<offset + 8, with: damage)
        try bytes.write(to: URL(filePath: index.currentFilePath))
        try index.setPurposes([(2, "p0"), (0, "p1"), (1, "p2")])

        let store = try IndexStore(EdgeFolder(folder.path))
        let (table, catalog) = (store.publication.current, store.catalog(.live))
        #expect(store.problem == nil && catalog.version == 1)
        #expect(table.defaults == (catalog.grantedDefaults, catalog.deniedDefaults))
        #expect(table.liveMillis == IndexTable.liveMillisDefault)
        #expect((0..<4).allSatisfy { table.maxStalenessSeconds(purposeBit: $0) == catalog.maxStaleness[$0] ?? 0 })
        // A moment that is still to come would also keep the upstream from vouching for any before it.
        #expect(store.vouchedAt <= Clock.boottimeMillis())
        #expect(try index.purposes() == ["p0": 0, "p1": 1, "p2": 2])
        try store.close()
    }

    @Test func theUpstreamKnowsWhatEachEdgeEnforces() throws {
        let upstream = try Upstream()
        try upstream.give(0..<5)
        let (first, second) = (try upstream.edge(name: "first"), try upstream.edge(name: "second"))
        try first.waitUntilEqual(to: upstream)
        try second.waitUntilEqual(to: upstream)
        try upstream.withdraw(0..<1)
        let head = upstream.engine.publication.current.appliedSequence
        try wait("both say that they enforce it") {
            let told = upstream.server.feed.enforcements(of: head)
            return told.map(\.edge) == ["first", "second"] && told.allSatisfy { $0.enforcedAt != nil }
        }
        try wait("no edge lags") {
            let edges = upstream.server.feed.edges
            return edges.count == 2 && edges.allSatisfy { $0.phase == .following && $0.lag == 0 && $0.enforced == head }
        }
        first.close()
        try wait("who has gone is still known") {
            upstream.server.feed.edges.contains {
                if case .gone = $0.phase { return $0.name == "first" }
                return false
            }
        }
    }

    @Test func anEdgeFollowsAnEdge() throws {
        let upstream = try Upstream()
        try upstream.give(0..<60)
        let middle = try upstream.edge()
        try middle.waitUntilEqual(to: upstream)
        let gate = try Gate(to: middle.follower)
        let last = try Edge(TemporaryFolder(), FollowerOptions(upstream: gate.address))
        try last.waitUntilEqual(to: upstream)
        try upstream.give(60..<90)
        try upstream.withdraw(3..<9)
        try last.waitUntilEqual(to: upstream)
        #expect(last.state.counters.snapshots == 1 && last.state.counters.mismatches == 0)
        #expect(last.answer("4").decision == .denied)
    }

    /// Else it would be of no deployment itself, and say so to its clients, for as long as the connection lasts.
    @Test func anUpstreamThatDoesNotKnowItsDeploymentYetIsNotFollowed() throws {
        let upstream = try Upstream()
        try upstream.give(0..<6)
        let middle = try upstream.edge()
        try middle.waitUntilEqual(to: upstream)
        let gate = try Gate(to: middle.follower, deployment: .zero)
        let last = try Edge(TemporaryFolder(), FollowerOptions(upstream: gate.address))
        try wait("the reason is told") { last.state.problem?.contains("does not know its deployment") == true }
        #expect(last.state.refusals > 0 && last.state.history == .zero && last.state.deployment == .zero)
    }

    /// Who asks for a node's status hears of both, and must not find it ready and of no history.
    @Test func whatAnEdgeServesIsChangedBeforeItCountsAsReady() throws {
        let upstream = try Upstream()
        try upstream.give(0..<6)
        let told = Told()
        var options = FollowerOptions(upstream: upstream.address)
        options.token = Upstream.token
        let edge = try Edge(TemporaryFolder(), options) { state in told.take(state) }
        told.follow(edge.follower)
        try edge.waitUntilEqual(to: upstream)
        let (served, seen) = told.all
        #expect(served.last?.history == upstream.identity.history)
        #expect(served.last?.deployment == upstream.identity.deployment)
        for (state, visible) in zip(served, seen) {
            #expect(visible == nil || visible?.history == .zero || visible?.history != state.history)
        }
        #expect(seen.contains { $0 != nil })
    }

    /// What an edge serves from now on, each beside what everybody could see of the edge at that moment.
    private final class Told: Sendable {
        private struct Seen {
            var follower: Follower?
            var served: [FollowerState] = []
            var visible: [FollowerState?] = []
        }
        private let seen = Mutex(Seen())
        private let isFollowed = Atomic(false)

        func follow(_ follower: Follower) {
            seen.withLock { $0.follower = follower }
            isFollowed.store(true, ordering: .releasing)
        }

        func take(_ state: FollowerState) {
            while !isFollowed.load(ordering: .acquiring) { Wakeup.pause(millis: 1) }
            seen.withLock { seen in
                seen.served.append(state)
                seen.visible.append(seen.follower?.state)
            }
        }

        var all: (served: [FollowerState], visible: [FollowerState?]) { seen.withLock { ($0.served, $0.visible) } }
    }

    @Test func whileOtherRowsTakeOverNobodyIsToldOfAny() throws {
        let upstream = try Upstream()
        try upstream.give(0..<6)
        let edge = try upstream.edge()
        try edge.waitUntilEqual(to: upstream)
        let feed = upstream.server.feed
        let number = feed.expectReplacement()
        try upstream.give(6..<9)
        Wakeup.pause(millis: 300)
        #expect(edge.state.upstreamHead < upstream.engine.publication.current.appliedSequence)
        let table = upstream.engine.publication.current
        let catalog = SyncCatalog(upstream.engine.catalog, sequence: table.appliedSequence)
        feed.tell(
            .replaced(
                number, FeedIdentity(history: upstream.identity.history, hashKey: upstream.engine.hashKey.bytes),
                SyncPoint(
                    sequence: table.appliedSequence,
                    chain: try #require(try upstream.engine.chainMark(at: table.appliedSequence)),
                    digest: table.digest ^ catalog.mark), isDigestKnown: true, catalog))
        try edge.waitUntilEqual(to: upstream)
        #expect(edge.state.connects == 2)
    }

    @Test func theWrongTokenIsToldAndNothingIsTaken() throws {
        let upstream = try Upstream()
        let edge = try Edge(TemporaryFolder(), FollowerOptions(upstream: upstream.address))
        try wait("the refusal is told") { edge.state.problem?.contains("token") == true }
        #expect(edge.state.history == .zero)
        #expect(edge.state.whyNotReady(at: Clock.boottimeMillis())?.contains("no snapshot") == true)
    }

    @Test func anEdgeThatTakesNothingIsCutOffAndDisturbsNobody() throws {
        let upstream = try Upstream { $0.stallMillis = 300 }
        try upstream.give(0..<20_000)
        let slow = try Gate.subscribe(to: upstream.narrowAddress, token: Upstream.token, name: "slow")
        let edge = try upstream.edge()
        try edge.waitUntilEqual(to: upstream)
        try wait("it is cut off") {
            upstream.server.feed.edges.contains { $0.name == "slow" && $0.phase == .gone(CutOffReason.tooSlow.message) }
        }
        #expect(upstream.server.feed.cutOffCount >= 1)
        #expect(slow.raw >= 0)
        try upstream.give(20_000..<20_010)
        try edge.waitUntilEqual(to: upstream)
    }

    @Test func twoProcessesCannotHaveOneFolder() throws {
        let upstream = try Upstream()
        let folder = TemporaryFolder()
        let edge = try upstream.edge(in: folder)
        #expect(throws: FollowerError.self) { try upstream.edge(in: folder) }
        try edge.waitUntilEqual(to: upstream)
    }
}
