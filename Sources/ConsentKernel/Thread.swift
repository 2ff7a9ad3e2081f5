import CKernel
import Glibc
import Synchronization

/// A thread of the operating system that runs one closure.
package final class Thread: Sendable {
    private let handle: pthread_t

    private final class Body {
        let run: () -> Void
        let name: String
        init(name: String, _ run: @escaping () -> Void) {
            self.name = name
            self.run = run
        }
    }

    /// - Parameter name: at most 15 bytes, for `ps` and debuggers.
    package init(name: String, _ run: @escaping @Sendable () -> Void) {
        let body = unsafe Unmanaged.passRetained(Body(name: name, run))
        var handle = pthread_t()
        let code = unsafe pthread_create(
            &handle, nil,
            { argument in
                let body = unsafe Unmanaged<Body>.fromOpaque(argument!).takeRetainedValue()
                _ = unsafe ckernel_name_thread(body.name)
                body.run()
                return nil
            }, body.toOpaque())
        precondition(code == 0, "the system has no room for one more thread")
        self.handle = handle
    }

    /// Waits until the closure has returned. Call once.
    package func join() { _ = pthread_join(handle, nil) }

    /// Keeps the calling thread on one processor; false if the system does not let it.
    @discardableResult
    package static func pin(toProcessor processor: Int) -> Bool { ckernel_pin(Int32(processor)) == 0 }
}

/// Work that another thread does while this one does its own.
package final class Errand<Value: Sendable>: Sendable {
    private let outcome: Outcome
    private let thread: Thread

    private final class Outcome: Sendable {
        let value = Mutex<Result<Value, any Error>?>(nil)
    }

    /// - Parameter name: as of a ``Thread``.
    package init(name: String, _ work: @escaping @Sendable () throws -> Value) {
        let outcome = Outcome()
        self.outcome = outcome
        thread = Thread(name: name) {
            let result = Result { try work() }
            outcome.value.withLock { $0 = result }
        }
    }

    /// Waits until it is done. Call once, whatever became of the own work.
    package func finish() -> Result<Value, any Error> {
        thread.join()
        return outcome.value.withLock { $0! }
    }
}
