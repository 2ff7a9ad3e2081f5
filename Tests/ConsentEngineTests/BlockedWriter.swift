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

    init(_ engine: Engine) {
        self.engine = engine
        let entered = DispatchSemaphore(value: 0)
        let gate = gate
        subscription = engine.subscribe { _ in
            entered.signal()
            gate.wait()
        }
        // Something to be told of.
        let event = ConsentEvent([.customer("who blocks")], engine.catalog.catalog.purposes[0].id, .withdrawn)
        engine.record([.success(event)]) { _ in }
        entered.wait()
        engine.unsubscribe(subscription)
    }

    func release() { gate.signal() }
}
