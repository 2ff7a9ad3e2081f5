import ConsentCatalog
package import ConsentEngine
import ConsentKernel
import ConsentModel
import Synchronization

/// A real node in a folder of its own. Closed and removed when the last reference goes.
package final class TestNode {
    package let temporary: TemporaryFolder
    package let folder: NodeFolder
    private var opened: Engine?
    /// By how much the node's system clock is wrong.
    package var clockAheadMillis: Int64 {
        get { clock.aheadMillis.load(ordering: .relaxed) }
        set { clock.aheadMillis.store(newValue, ordering: .relaxed) }
    }
    private let clock = WrongClock()
    private let overlapWeightMin: Int
    /// What the engine called the end of the node.
    package let fatals = Fatals()
    /// What it told of a ledger that could not be written.
    package let troubles = Troubles()

    private final class WrongClock: Sendable {
        let aheadMillis = Atomic<Int64>(0)
        var now: Timestamp { Timestamp(millis: Clock.realtimeMillis() + aheadMillis.load(ordering: .relaxed)) }
    }

    package final class Troubles: Sendable {
        private let list = Mutex<[String]>([])
        package var all: [String] { list.withLock { $0 } }
        func add(_ trouble: String) { list.withLock { $0.append(trouble) } }
    }

    package final class Fatals: Sendable {
        private let list = Mutex<[NodeFailure]>([])
        package var all: [NodeFailure] { list.withLock { $0 } }
        func add(_ failure: NodeFailure) { list.withLock { $0.append(failure) } }
    }

    /// - Parameter overlapWeightMin: see ``Engine/overlapWeightMin``.
    package init(
        _ catalog: SampleCatalog? = nil, deployment: [UInt8]? = nil, in temporary: TemporaryFolder? = nil,
        overlapWeightMin: Int = Engine.overlapWeightMin
    ) throws {
        self.overlapWeightMin = overlapWeightMin
        self.temporary = temporary ?? TemporaryFolder()
        folder = NodeFolder(self.temporary.path + "/node")
        if !folder.exists {
            try folder.create(deployment: deployment, now: Timestamp(millis: Clock.realtimeMillis()))
        }
        try open()
        if let catalog { _ = try engine.apply(catalog.document) }
    }

    deinit { try? close() }

    /// - Precondition: the node is open.
    package var engine: Engine { opened! }

    package func close() throws {
        defer { opened = nil }
        try opened?.close()
    }

    /// Opens the node again; it must be closed.
    package func open() throws {
        precondition(opened == nil)
        let (fatals, troubles) = (fatals, troubles)
        let clock = clock
        opened = try Engine(
            folder, overlapWeightMin: overlapWeightMin, systemNow: { clock.now },
            trouble: { troubles.add($0) }, fatal: { fatals.add($0) })
    }

    package func restart() throws {
        try close()
        try open()
    }
}
