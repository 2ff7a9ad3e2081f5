import ConsentCatalog
import ConsentEngine
import ConsentModel
import ConsentTestSupport
import Dispatch

/// Holds the writer's thread in a subscriber, so that what is submitted meanwhile waits together.
final class BlockedWriter {
    private let engine: Engine
    private let subscription: Int
    private let gate = DispatchSemaphore(value: 0)

    init(_ engine: Engine) throws {
        self.engine = engine
        let entered = DispatchSemaphore(value: 0)
        let gate = gate
        // The group before was acknowledged, and may be told of only now.
        let head = try engine.sizes()["sequence"]!
        subscription = engine.subscribe { group in
            guard group.first > head else { return }
            entered.signal()
            gate.wait()
        }
        // Something to be told of.
        let event = ConsentEvent([.customer("who blocks")], engine.catalog.catalog.purposes[0].id, .withdrawn)
        engine.record([.success(event)]) { _ in }
        entered.wait()
        engine.unsubscribe(subscription)
    }

    // Also where a test fails before it comes to that: a node waits for its writer when it goes.
    deinit { release() }

    func release() { gate.signal() }
}
