package import ConsentIndex
package import ConsentKernel
import ConsentModel
package import ConsentTLS
package import ConsentWire
import Synchronization

/// Whose rows a node has.
package struct FeedIdentity: Sendable, Equatable {
    /// Zero: it has none yet.
    package var history: ID16
    package var hashKey: [UInt8]

    package init(history: ID16, hashKey: [UInt8]) {
        self.history = history
        self.hashKey = hashKey
    }
}

/// A change of the node's rows, for those who follow it.
package enum FeedChange: Sendable {
    /// Made here. `rows` is called on the feed's thread, once for everybody, and not at all if nobody follows; nil: others
    /// have changed too, so they must be looked for.
    case made(
        after: UInt64, point: SyncPoint, catalog: SyncCatalog?, hasAbsentRows: Bool,
        rows: (@Sendable () -> [ChangedRow])?)
    /// Received, as it was encoded by the node that made it.
    case received(DeltaLog.Entry)
    /// The digest at a sequence was compared with the upstream's.
    case verified(UInt64)
    /// Other rows have taken the place of those before, in the replacement of this number, or the same ones have another
    /// catalog.
    case replaced(UInt64, FeedIdentity, SyncPoint, isDigestKnown: Bool, SyncCatalog)
}

extension FeedChange {
    /// As much of it as is to be known where nobody follows.
    fileprivate var withoutRows: FeedChange {
        switch self {
        case .made(let after, let point, let catalog, let hasAbsentRows, _):
            .made(after: after, point: point, catalog: catalog, hasAbsentRows: hasAbsentRows, rows: nil)
        case .received(let entry): .received(entry.withoutFrames)
        case .verified, .replaced: self
        }
    }
}

package struct FeedHubOptions: Sendable {
    package var feed = FeedOptions()
    package var logSizeMax = DeltaLog.sizeMaxDefault
    package var edgesMax = 1024
    /// An edge whose connection takes nothing for so long is cut off.
    package var stallMillis: UInt64 = 10_000

    package init() {}
}

/// Serves everybody who follows a node, on a thread of its own, and knows where each of them is.
///
/// A connection is taken over from the loop that shook hands with it. What the edges are sent is encoded once; for each of
/// them there is a ``Feed``, and at most one piece of output that its connection has not taken.
package final class FeedHub: Sendable {
    struct Newcomer {
        var socket: StreamSocket
        /// What it has sent that was not taken, and what it was to be sent.
        var received: [UInt8]
        var unsent: [UInt8]
    }

    struct Inbox {
        var changes: [FeedChange] = []
        var newcomers: [Newcomer] = []
        var mustDrain = false
        var mustStop = false

        /// Adds a change; one that says no more than where the node is takes the place of one like it.
        mutating func keep(_ change: FeedChange) {
            if case .made(_, let point, nil, let hasAbsentRows, nil) = change,
                case .made(let after, _, nil, let hadAbsentRows, nil)? = changes.last
            {
                changes[changes.count - 1] = .made(
                    after: after, point: point, catalog: nil, hasAbsentRows: hadAbsentRows || hasAbsentRows, rows: nil)
            } else {
                changes.append(change)
            }
        }
    }

    private struct Known {
        var edges: [UInt64: EdgeStatus] = [:]
        /// By name; those who are gone too.
        var gone: [EdgeStatus] = []
        var enforced: [String: EnforcedLog] = [:]
        var cutOffs: UInt64 = 0
    }

    private let inbox = Mutex(Inbox())
    /// Those that were adopted and are not gone.
    private let edgeCount = Atomic<Int>(0)
    private let known = Mutex(Known())
    /// How often other rows began to take the place of the node's.
    private let replacements = Atomic<UInt64>(0)
    private let wakeup: Wakeup
    private let thread = Mutex<ConsentKernel.Thread?>(nil)
    private static let goneMax = 256

    /// - Parameters:
    ///   - publication: the rows.
    ///   - past: whether an event has this chain; nil where that is not known. Called on the feed's thread.
    ///   - failed: is told why the thread had to end.
    package init(
        _ identity: FeedIdentity, publication: IndexPublication, point: SyncPoint, isDigestKnown: Bool = true,
        catalog: SyncCatalog, options: FeedHubOptions = FeedHubOptions(),
        past: @escaping @Sendable (_ sequence: UInt64, _ chain: UInt64) -> Bool? = { _, _ in nil },
        failed: @escaping @Sendable (String) -> Void
    ) throws(SystemError) {
        wakeup = try Wakeup()
        let log = DeltaLog(at: point, isDigestKnown: isDigestKnown, catalog: catalog, sizeMax: options.logSizeMax)
        let start = FeedLoop.Start(
            identity: identity, publication: publication, log: log, options: options, past: past)
        thread.withLock {
            $0 = ConsentKernel.Thread(name: "feed") { [self] in
                do {
                    var loop = FeedLoop(
                        start, hub: self, epoll: try Epoll(eventsPerWaitMax: FeedLoop.eventsPerWaitMax))
                    try loop.run()
                } catch {
                    failed("the feed ended: \(error)")
                }
            }
        }
    }

    // MARK: The node's side

    /// Tells of a change. Returns at once. While nobody follows, nobody is woken, and what was changed is not kept: who
    /// comes then is told of rows.
    package func tell(_ change: FeedChange) {
        if edgeCount.load(ordering: .relaxed) > 0 {
            leave { $0.changes.append(change) }
        } else {
            inbox.withLock { $0.keep(change.withoutRows) }
        }
    }

    /// Other rows are about to take the place of the node's. From now on nobody is told of rows, until
    /// ``FeedChange/replaced(_:_:_:isDigestKnown:_:)`` says whose they are, or that they are the same as before.
    ///
    /// - Returns: the number of this replacement.
    package func expectReplacement() -> UInt64 {
        replacements.add(1, ordering: .acquiringAndReleasing).newValue
    }

    var replacementsExpected: UInt64 { replacements.load(ordering: .acquiring) }

    /// Takes a connection over that has sent `subscribe`.
    ///
    /// - Parameters:
    ///   - socket: the hub's from now on.
    ///   - received: what it has sent from `subscribe` on.
    ///   - unsent: what was to be sent to it before.
    package func adopt(_ socket: StreamSocket, received: [UInt8], unsent: [UInt8]) {
        edgeCount.add(1, ordering: .relaxed)
        leave { $0.newcomers.append(Newcomer(socket: socket, received: received, unsent: unsent)) }
    }

    /// Tells all edges to go elsewhere; ``close()`` afterwards.
    package func drain() { leave { $0.mustDrain = true } }

    /// Cuts everybody off and ends the thread.
    package func close() {
        leave { $0.mustStop = true }
        thread.withLock { thread in
            defer { thread = nil }
            return thread
        }?.join()
    }

    private func leave(_ change: (inout Inbox) -> Void) {
        inbox.withLock { change(&$0) }
        wakeup.raise()
    }

    // MARK: What is known of the edges

    /// Those that follow, and those that did, newest last.
    package var edges: [EdgeStatus] {
        known.withLock { known in
            let here = known.edges.values.sorted { $0.since < $1.since }
            let names = Set(here.map(\.name))
            return known.gone.filter { !names.contains($0.name) } + here
        }
    }

    /// Edges that were cut off since the node started.
    package var cutOffCount: UInt64 { known.withLock { $0.cutOffs } }

    /// When each edge that is known began to answer by a sequence.
    package func enforcements(of sequence: UInt64) -> [Enforcement] {
        known.withLock { known in
            known.enforced.sorted { $0.key < $1.key }.map { $0.value.enforcement(of: sequence, by: $0.key) }
        }
    }

    // MARK: The thread's side

    var wakeupDescriptor: Int32 { wakeup.raw }

    func takeAll() -> Inbox {
        wakeup.clear()
        return inbox.withLock { inbox in
            defer { inbox = Inbox(mustDrain: inbox.mustDrain, mustStop: inbox.mustStop) }
            return inbox
        }
    }

    func know(_ number: UInt64, _ status: EdgeStatus, _ news: Enforced?) {
        known.withLock { known in
            known.edges[number] = status
            if let news { known.enforced[status.name, default: EnforcedLog()].add(news, heardAt: status.heardAt) }
        }
    }

    func forget(_ number: UInt64, because reason: String, isCutOff: Bool) {
        edgeCount.subtract(1, ordering: .relaxed)
        known.withLock { known in
            if isCutOff { known.cutOffs += 1 }
            guard var status = known.edges.removeValue(forKey: number), !status.name.isEmpty else { return }
            status.phase = .gone(reason)
            status.waitingSize = 0
            known.gone.removeAll { $0.name == status.name }
            known.gone.append(status)
            if known.gone.count > Self.goneMax {
                let oldest = known.gone.removeFirst()
                known.enforced[oldest.name] = nil
            }
        }
    }
}
