import ConsentEdge
import ConsentEngine
import ConsentIndex
import ConsentKernel
import ConsentModel
import ConsentServer
import ConsentSync
import ConsentTestSupport
import ConsentWire
import Synchronization
import Testing

/// An edge behind an edge that sends a catalog whose rules are not those of its text.
struct DoctoredCatalogTests {
    private static let token = Array("correct horse battery staple".utf8)

    private static func options() -> ServerOptions {
        var options = ServerOptions(addresses: [.tcp(host: "127.0.0.1", port: 0)], version: "test")
        options.token = token
        options.loops = 1
        options.drainMillis = 200
        return options
    }

    private static func edge(in folder: TemporaryFolder, of upstream: SocketAddress) throws -> EdgeNode {
        var options = FollowerOptions(upstream: upstream)
        options.token = token
        options.replica.name = "edge"
        return try EdgeNode(EdgeFolder(folder.path), options, forwards: false) { Issue.record("\($0)") }
    }

    private func wait(_ what: String, until isTrue: () -> Bool) throws {
        let deadline = Clock.monotonicNanos() + 60_000_000_000
        while !isTrue() {
            try #require(Clock.monotonicNanos() < deadline, "\(what)")
            Wakeup.pause(millis: 5)
        }
    }

    @Test func itIsRefusedCountedAndSaidAndNothingIsAnsweredByIt() throws {
        var catalog = SampleCatalog(
            [.init("p0", bit: 0), .init("p1", bit: 1)],
            revisions: [.init("1.0", effectiveAt: SampleCatalog.begin, purposes: ["p0", "p1"])])
        let node = try TestNode(catalog)
        _ = try node.engine.record([sampleGrant(customer: "1")])
        let server = try Server(node.engine, Self.options()) { Issue.record("\($0)") }
        defer { server.drain() }
        let folders = (TemporaryFolder(), TemporaryFolder())
        let middle = try Self.edge(in: folders.0, of: server.addresses[0])
        defer { middle.close() }
        let middleServer = try Server(middle, Self.options()) { Issue.record("\($0)") }
        defer { middleServer.drain() }
        let last = try Self.edge(in: folders.1, of: middleServer.addresses[0])
        defer { last.close() }
        try wait("both follow") { middle.status.isReady && last.status.isReady }
        let before = last.follower.state

        var doctored = before.catalog
        doctored.version += 1
        doctored.purposes[1].isGrantedByDefault = true
        let point = SyncPoint(sequence: before.point.sequence + 1, chain: 1, digest: 2)
        middle.follower.hub.tell(
            .made(after: before.point.sequence, point: point, catalog: doctored, hasAbsentRows: false) { [] })

        let problem = "the upstream goes by other rules than the text of its catalog version 2 says"
        try wait("it is said") { last.status.trouble.contains(problem) }
        #expect(try statistic("edge_refused_catalogs", of: last) > 0)
        #expect(last.follower.state.catalog == before.catalog)
        #expect(answer(last, customer: "1", purposeBit: 0).decision == .granted)
        #expect(answer(last, customer: "2", purposeBit: 1).decision == .unknown)

        // Until a catalog comes that is right.
        catalog.purposes.append(.init("p7", bit: 7, basis: "contract"))
        _ = try node.engine.apply(catalog.document)
        try wait("the edge follows again") {
            last.status.trouble.isEmpty && last.follower.state.catalog.version == 2
        }
        _ = try node.engine.record([sampleGrant(customer: "2")])
        try wait("what comes then is enforced") { answer(last, customer: "2", purposeBit: 0).decision == .granted }
        #expect(answer(last, customer: "3", purposeBit: 1).decision == .unknown)
    }

    private func answer(_ edge: EdgeNode, customer: String, purposeBit: Int) -> IndexAnswer {
        var reader = IndexReader(edge.follower.publication)
        let hash = IdentifierHashKey(bytes: edge.follower.state.hashKey).hash(.customer(customer))
        return reader.check(hash, purposeBit: purposeBit, now: 1)
    }

    private func statistic(_ name: String, of edge: EdgeNode) throws -> UInt64 {
        let found = Mutex<UInt64?>(nil)
        edge.perform(.question(request: 1, .statistics), feed: nil) { encode in
            var output = OutputBuffer(capacity: 4096)
            encode(&output)
            var bytes = Array(output.bytes)
            bytes.withUnsafeMutableBytes { buffer in
                guard case .frame(let frame) = scanFrame(buffer), let answer = try? StatisticValues(frame) else {
                    return
                }
                found.withLock { $0 = answer.values.first { $0.name == name }?.value }
            }
        }
        return try #require(found.withLock { $0 })
    }
}
