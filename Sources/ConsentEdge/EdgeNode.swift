import ConsentCatalog
package import ConsentEngine
package import ConsentIndex
import ConsentKernel
import ConsentModel
package import ConsentServer
package import ConsentSync
package import ConsentWire
import Synchronization

/// A node that has no ledger: it follows another one and answers checks from its own copy of the index.
///
/// What it answers ages as ``IndexReader`` says; whatever goes wrong with the upstream, the disk or the catalog, it answers
/// by what it has until each purpose's limit, then not at all, and says why.
package final class EdgeNode: ServedNode {
    package let inService: InService
    package let follower: Follower
    private let upstream: SocketAddress
    /// Nil where changes are not forwarded.
    private let forwarder: Forwarder?
    private let watchers = Watchers()
    private let refusedCatalogs = Counter()

    private final class Counter: Sendable {
        let value = Atomic<UInt64>(0)
    }
    private let startedAt = Clock.monotonicNanos()

    package var role: IndexRole { .edge }

    /// The follower's own, whose options it was made with.
    package func feed(_ options: FeedHubOptions, failed: @escaping @Sendable (String) -> Void) -> FeedHub {
        follower.hub
    }

    /// Opens an edge's folder, makes it if it is not there, and starts to follow.
    ///
    /// - Parameters:
    ///   - forwards: whether what needs a ledger is handed on to the upstream.
    ///   - failed: is told why it cannot go on.
    /// - Throws: ``FollowerError`` if another process has the folder, ``SystemError``. Nothing is left running.
    package init(
        _ folder: EdgeFolder, _ options: FollowerOptions, forwards: Bool, failed: @escaping @Sendable (String) -> Void
    ) throws {
        upstream = options.upstream
        let watchers = watchers
        let record = EdgeRecord(folder)
        var options = options
        options.replica.isUpstreamNew = try record.begin(upstream: options.upstream)
        // Once it has followed one, it follows no other.
        if options.deployment == .zero { options.deployment = record.deployment ?? .zero }
        let refusedCatalogs = refusedCatalogs
        options.judgeCatalog = { catalog in
            guard catalog.version > 0 else { return nil }
            do throws(EdgeCatalogProblem) {
                _ = try AppliedCatalog.judged(catalog)
                return nil
            } catch {
                refusedCatalogs.value.add(1, ordering: .relaxed)
                return "\(error)"
            }
        }
        let late = Late()
        follower = try Follower(folder, options, changed: { late.take($0) }, failed: failed)
        let inService = InService(Service(follower.state, follower.publication, record))
        self.inService = inService
        forwarder =
            forwards
            ? try Forwarder(
                to: options.upstream, tls: options.tls, token: options.token, version: options.version,
                service: { inService.value })
            : nil
        let (publication, upstream) = (follower.publication, options.upstream)
        late.begin { state in
            inService.set(Service(state, publication, record))
            if state.deployment != .zero { record.keep(state.deployment, of: state.isUpstreamNew ? nil : upstream) }
            watchers.tell()
        }
    }

    /// The follower begins before there is anybody to tell; it is told again of what came meanwhile.
    private final class Late: Sendable {
        private struct State {
            var newest: FollowerState?
            var take: (@Sendable (FollowerState) -> Void)?
        }
        private let state = Mutex(State())

        func take(_ newer: FollowerState) {
            state.withLock { state in
                if let take = state.take { take(newer) } else { state.newest = newer }
            }
        }

        func begin(_ take: @escaping @Sendable (FollowerState) -> Void) {
            state.withLock { state in
                state.take = take
                if let newest = state.newest { take(newest) }
                state.newest = nil
            }
        }
    }

    private final class Watchers: Sendable {
        private let all = Mutex<[Int: @Sendable () -> Void]>([:])

        func add(_ changed: @escaping @Sendable () -> Void) -> Int {
            all.withLock { all in
                let number = (all.keys.max() ?? 0) + 1
                all[number] = changed
                return number
            }
        }

        func remove(_ number: Int) { all.withLock { $0[number] = nil } }

        func tell() { for changed in all.withLock({ Array($0.values) }) { changed() } }
    }

    /// The feed is the follower's own, which tells it what changes.
    package func subscribeToService(_ feed: FeedHub, _ changed: @escaping @Sendable () -> Void) -> Int {
        watchers.add(changed)
    }

    package func unsubscribe(_ number: Int) { watchers.remove(number) }

    /// Ends following, and leaves the folder to the next process, its index closed in order.
    package func close() {
        forwarder?.close()
        follower.close()
    }

    // MARK: Requests

    package func perform(
        _ action: NodeAction, feed: FeedHub?, complete: @escaping @Sendable (@escaping Encode) -> Void
    ) {
        switch action {
        case .record(let request, _): complete(notHere(request))
        case .question(let request, let question): complete(answer(question, request))
        }
    }

    /// To whom it follows, or to nobody, and then it says whom to ask.
    package var elsewhere: Elsewhere? {
        Elsewhere { [forwarder, upstream] frame, request, complete in
            if let forwarder { return forwarder.forward(frame, request: request, complete: complete) }
            complete(Self.notHere(request, upstream))
        }
    }

    /// Of what needs the ledger: also where somebody has taken it for what an edge answers itself.
    private func notHere(_ request: UInt32) -> Encode { Self.notHere(request, upstream) }

    private static func notHere(_ request: UInt32, _ upstream: SocketAddress) -> Encode {
        let answer = ErrorAnswer(
            WireError(.notHere, "this edge has no ledger; ask the server that it follows, at \(upstream)"))
        return { answer.encode(request: request, into: &$0) }
    }

    private func answer(_ question: Question, _ request: UInt32) -> Encode {
        switch question {
        case .catalog:
            let answer = CatalogPurposes(inService.value.catalog)
            return { answer.encode(request: request, into: &$0) }
        case .catalogDocument:
            let catalog = inService.value.catalog
            let answer = CatalogText(catalogVersion: UInt32(catalog.version), document: catalog.text)
            return { answer.encode(request: request, into: &$0) }
        case .statistics:
            let answer = StatisticValues(values: statistics)
            return { answer.encode(request: request, into: &$0) }
        case .status(let serverVersion):
            var status = self.status
            status.serverVersion = serverVersion
            return { [status] in status.encode(request: request, into: &$0) }
        case .enforcement(let asked):
            let answer = EnforcedBy(
                sequence: asked.sequence, head: follower.publication.current.appliedSequence,
                feed: follower.hub)
            return { answer.encode(request: request, into: &$0) }
        case .read, .countGranted, .applyCatalog, .erase, .link, .unlink, .issueToken, .confirmToken, .checkpoint:
            return notHere(request)
        }
    }

    // MARK: What is known of it

    /// Why no check may be answered now, for people; nil if some may.
    package var whyNotReady: String? { follower.state.whyNotReady(at: Clock.boottimeMillis()) }

    package var status: NodeStatus {
        // Before what is in service: that is never older than what the follower says.
        let state = follower.state
        let now = Clock.boottimeMillis()
        var status = NodeStatus(inService.value)
        status.isEdge = true
        status.notReady = state.whyNotReady(at: now) ?? ""
        status.isReady = status.notReady.isEmpty
        status.head = max(state.upstreamHead, status.sequence)
        status.ageMillis = state.ageMillis(at: now) ?? NodeStatus.unknownMillis
        status.upstream = "\(upstream)"
        status.trouble = state.problem ?? ""
        status.edges = follower.hub.followingEdges
        return status
    }

    private var statistics: [StatisticValues.Value] {
        let state = follower.state
        let table = follower.publication.current
        let now = Clock.boottimeMillis()
        let counters = state.counters
        return [
            .init("sequence", table.appliedSequence), .init("identifiers", UInt64(table.rows)),
            .init("catalog_version", UInt64(state.catalog.version)), .init("index_rows", UInt64(table.rows)),
            .init("index_slots", UInt64(table.geometry.slots)),
            .init("index_size_bytes", UInt64(table.geometry.fileSize)),
            .init("index_generation", table.generation), .init("index_digest", table.digest),
            .init("index_sequence", table.appliedSequence),
            .init("uptime_seconds", UInt64((Clock.monotonicNanos() - startedAt) / 1_000_000_000)),
            .init("edge_ready", state.whyNotReady(at: now) == nil ? 1 : 0),
            .init("edge_lag_sequences", state.lag), .init("edge_age_millis", state.ageMillis(at: now) ?? .max),
            .init("edge_connects", state.connects), .init("edge_refusals", state.refusals),
            .init("edge_snapshots", counters.snapshots),
            .init("edge_snapshots_resumed", counters.snapshotsResumed), .init("edge_deltas", counters.deltas),
            .init("edge_digest_mismatches", counters.mismatches), .init("edge_gaps", counters.gaps),
            .init("edge_damaged_messages", counters.damaged), .init("edge_silences", counters.silences),
            .init("edge_storage_failures", counters.storageFailures),
            .init("edge_refused_catalogs", refusedCatalogs.value.load(ordering: .relaxed)),
            .init("edge_upstream_held", state.held == nil ? 0 : 1),
            .init("edge_files_unusable", state.unusable == nil ? 0 : 1),
            .init("edges_following", UInt64(follower.hub.edges.count { $0.isHere })),
            .init("edges_cut_off", follower.hub.cutOffCount),
        ]
    }
}

extension Service {
    /// What an edge answers from.
    fileprivate init(_ state: FollowerState, _ publication: IndexPublication, _ record: EdgeRecord) {
        let key = IdentifierHashKey(bytes: state.hashKey)
        let deployment = state.deployment == .zero ? record.deployment ?? .zero : state.deployment
        self.init(
            identity: NodeIdentity(
                history: state.history.bytes, deployment: state.history == .zero ? ID16.zero.bytes : deployment.bytes,
                keyCheck: key.check),
            hashKey: key, publication: publication, catalog: AppliedCatalog(state.catalog))
    }
}
