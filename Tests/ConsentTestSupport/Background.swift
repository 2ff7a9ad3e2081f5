import ConsentKernel
import Dispatch
import Synchronization

/// Something that blocks, running beside the test on a thread of its own.
// Sendable though its body may hold anything: what a test hands over it does not touch before it has waited.
package final class Background<Value>: @unchecked Sendable {
    private let result = Mutex<Result<Value, any Error>?>(nil)
    private let done = DispatchSemaphore(value: 0)
    private let body: () throws -> Value

    package init(_ body: @escaping () throws -> Value) {
        self.body = body
        _ = ConsentKernel.Thread(name: "test") { self.run() }
    }

    private func run() {
        let outcome = Outcome(Result { try body() })
        result.withLock { $0 = outcome.result }
        done.signal()
    }

    /// Waits for it. Call once.
    package func value() throws -> Value {
        done.wait()
        return try result.withLock { Outcome($0!) }.result.get()
    }

    // Handed from the thread that made it to the one that waited.
    private struct Outcome: @unchecked Sendable {
        let result: Result<Value, any Error>
        init(_ result: Result<Value, any Error>) { self.result = result }
    }
}
