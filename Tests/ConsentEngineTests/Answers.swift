import ConsentEngine
import Dispatch
import Synchronization

/// What called back so far, in that order.
final class Answers<Value: Sendable>: Sendable {
    private let list = Mutex<[Value]>([])
    private let arrived = DispatchSemaphore(value: 0)

    func add(_ value: Value) {
        list.withLock { $0.append(value) }
        arrived.signal()
    }

    var all: [Value] { list.withLock { $0 } }

    /// Waits until so many more have come; gives back all.
    func take(_ count: Int) -> [Value] {
        for _ in 0..<count { arrived.wait() }
        return all
    }
}

/// Waits for something that calls back.
func waitFor<Value: Sendable>(
    _ start: (@escaping @Sendable (Result<Value, EngineError>) -> Void) -> Void
) throws -> Value {
    let answers = Answers<Result<Value, EngineError>>()
    start { answers.add($0) }
    return try answers.take(1)[0].get()
}
