package import ConsentIndex
package import ConsentKernel
package import ConsentModel
package import ConsentTLS
package import ConsentWire
import Synchronization

package struct FollowerOptions: Sendable {
    package var upstream: SocketAddress
    /// Who the upstream must prove to be; nil where there is no TLS.
    package var tls: TLSPeer?
    /// The deployment that the upstream must be of; zero accepts any.
    package var deployment = ID16.zero
    package var token: [UInt8] = []
    /// Of this program.
    package var version = ""
    package var replica = ReplicaOptions()
    /// Says why a catalog of the upstream is not answered by, if it is not; then what there was before goes on.
    package var judgeCatalog: @Sendable (SyncCatalog) -> String? = { _ in nil }
    /// For how long a connection may be in the making, handshake and all.
    package var connectMillis: UInt64 = 5000
    /// Pause before the next try: doubled each time up to the maximum, and each time another part of it.
    package var pauseMillisMin: UInt64 = 100
    package var pauseMillisMax: UInt64 = 10_000

    package init(upstream: SocketAddress) { self.upstream = upstream }
}

/// Where an edge stands.
package struct FollowerState: Sendable {
    package enum Connection: Sendable, Equatable {
        case connecting
        case subscribing
        /// Chunks received, of all.
        case snapshot(done: UInt32, of: UInt32)
        case following
        /// Why not, for people.
        case waiting(String)
    }

    package var connection = Connection.connecting
    /// Of the rows that answer; zero: there are none.
    package var history = ID16.zero
    package var deployment = ID16.zero
    package var hashKey = [UInt8](repeating: 0, count: IdentifierHashKey.size)
    /// What the rows hold.
    package var point = SyncPoint()
    /// That the rows are made by; its text is what was applied.
    package var catalog = SyncCatalog.none
    package var upstreamHead: UInt64 = 0
    package var upstreamTime: Timestamp?
    /// By the clock of the boot; nil: never.
    package var heardAt: UInt64?
    /// The moment up to which the rows hold everything, by the clock of the boot; zero: not known.
    package var vouchedAt: UInt64 = 0
    /// What the upstream has must not take the place of what is here, and why.
    package var held: SyncVerdict?
    /// See ``ReplicaOptions/isUpstreamNew``.
    package var isUpstreamNew = false
    /// What went wrong last; nil once the upstream is followed again.
    package var problem: String?
    /// Why what was kept from before cannot be used; nil if it can, or there was nothing.
    package var unusable: String?
    package var counters = ReplicaCounters()
    package var connects: UInt64 = 0
    /// Handshakes that failed because one did not want the other: of another deployment, a wrong token, too many edges.
    package var refusals: UInt64 = 0

    /// Events that the upstream has and this edge has not.
    package var lag: UInt64 { upstreamHead > point.sequence ? upstreamHead - point.sequence : 0 }

    /// For how long the rows may be behind the authoritative node; nil: not known.
    package func ageMillis(at bootMillis: UInt64) -> UInt64? {
        vouchedAt == 0 || bootMillis < vouchedAt ? nil : bootMillis - vouchedAt
    }

    /// Why nothing may be answered now, for people; nil if something may: then each purpose has its own limit.
    package func whyNotReady(at bootMillis: UInt64, liveMillis: UInt64 = IndexTable.liveMillisDefault) -> String? {
        let because = problem.map { ": \($0)" } ?? ""
        guard history != .zero else {
            return "no snapshot has come yet" + (unusable.map { "; what was kept cannot be used: \($0)" } ?? "")
                + because
        }
        guard let age = ageMillis(at: bootMillis) else {
            return "the rows are not known to be those of the upstream" + because
        }
        let limit = max(liveMillis, UInt64(catalog.purposes.map(\.maxStaleness).max() ?? 0) * 1000)
        return age <= limit ? nil : "the rows are \(age / 1000) s old, past every purpose's limit" + because
    }
}

/// Follows an upstream on a thread of its own, and keeps the rows in a mapped index that answers meanwhile.
///
/// It never gives up: whatever ends a connection, it tries again after a pause, and tells in ``state`` what is wrong.
package final class Follower: Sendable {
    package let folder: EdgeFolder
    /// Where readers of this process begin; the same for the life of the follower.
    package let publication: IndexPublication
    /// Serves those who follow this node.
    package let hub: FeedHub
    private let shared: Mutex<Shared>
    private let wakeup: Wakeup
    private let thread = Mutex<ConsentKernel.Thread?>(nil)

    private struct Shared {
        var state: FollowerState
        var mustStop = false
        var mustStartOver = false
        var watchers: [@Sendable (FollowerState) -> Void] = []
    }

    /// Opens the folder, and starts to follow.
    ///
    /// - Parameters:
    ///   - changed: is told, on the follower's thread, when other rows, another key or another catalog have taken over; it
    ///     must return soon.
    ///   - failed: is told why the follower had to end.
    /// - Throws: if the folder cannot be used, or another process has it.
    package init(
        _ folder: EdgeFolder, _ options: FollowerOptions, hub hubOptions: FeedHubOptions = FeedHubOptions(),
        changed: @escaping @Sendable (FollowerState) -> Void = { _ in },
        failed: @escaping @Sendable (String) -> Void
    ) throws {
        self.folder = folder
        guard let lock = try folder.lock() else { throw FollowerError.locked(folder.path) }
        let store = try IndexStore(folder, judge: options.judgeCatalog)
        publication = store.publication
        wakeup = try Wakeup()
        var state = FollowerState()
        state.take(store)
        state.unusable = store.problem
        state.isUpstreamNew = options.replica.isUpstreamNew
        shared = Mutex(Shared(state: state))
        hub = try FeedHub(
            FeedIdentity(history: store.history, hashKey: store.hashKey), publication: publication,
            point: store.point(.live), isDigestKnown: false, catalog: store.catalog(.live), options: hubOptions,
            failed: failed)
        let start = FollowerLoop.Start(store, options, lock: lock.release(), changed: changed)
        thread.withLock {
            $0 = ConsentKernel.Thread(name: "follower") { [self] in
                do {
                    var loop = FollowerLoop(start, self, epoll: try Epoll(eventsPerWaitMax: 4))
                    try loop.run()
                } catch {
                    failed("the follower ended: \(error)")
                }
            }
        }
    }

    /// As of the last turn of the follower's thread.
    package var state: FollowerState { shared.withLock { $0.state } }

    /// Takes what the upstream has even if it is of another history, or older: for the person in charge to decide.
    package func startOver() {
        shared.withLock { $0.mustStartOver = true }
        wakeup.raise()
    }

    /// Ends following, cuts off those who follow this node, and closes the index in order.
    package func close() {
        shared.withLock { $0.mustStop = true }
        wakeup.raise()
        thread.withLock { thread in
            defer { thread = nil }
            return thread
        }?.join()
        hub.close()
    }

    // MARK: The thread's side

    var wakeupDescriptor: Int32 { wakeup.raw }

    func takeOrders() -> (mustStop: Bool, mustStartOver: Bool) {
        wakeup.clear()
        return shared.withLock { shared in
            defer { shared.mustStartOver = false }
            return (shared.mustStop, shared.mustStartOver)
        }
    }

    func tell(_ state: FollowerState) { shared.withLock { $0.state = state } }
}

package enum FollowerError: Error, CustomStringConvertible {
    case locked(String)

    package var description: String {
        switch self {
        case .locked(let path): "another process has the edge at \(path) open"
        }
    }
}

extension FollowerState {
    mutating func take(_ store: IndexStore) {
        history = store.history
        hashKey = store.hashKey
        point = store.point(.live)
        vouchedAt = store.vouchedAt
        if catalog != store.catalog(.live) { catalog = store.catalog(.live) }
    }
}
