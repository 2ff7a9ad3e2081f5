import ConsentKernel
import Synchronization

/// A thread for one task at a time.
final class Storer: Sendable {
    private enum State {
        case idle
        case waiting(@Sendable () -> Void)
        case busy
        case closed
    }

    private let state = Mutex(State.idle)
    private let begun: Wakeup
    private let ended: Wakeup
    private let thread = Mutex<ConsentKernel.Thread?>(nil)

    init() throws(SystemError) {
        begun = try Wakeup()
        ended = try Wakeup()
        thread.withLock { $0 = ConsentKernel.Thread(name: "storer") { self.run() } }
    }

    /// - Precondition: the task before has ended, see ``wait()``.
    func start(_ task: @escaping @Sendable () -> Void) {
        state.withLock { state in
            guard case .idle = state else { preconditionFailure("one task at a time") }
            state = .waiting(task)
        }
        begun.raise()
    }

    /// Returns when no task is under way.
    func wait() {
        while !state.withLock({ if case .idle = $0 { true } else { false } }) { ended.wait(timeoutMillis: -1) }
    }

    /// Ends the thread, after its task.
    func close() {
        wait()
        state.withLock { $0 = .closed }
        begun.raise()
        thread.withLock { thread in
            defer { thread = nil }
            return thread
        }?.join()
    }

    private func run() {
        while true {
            let (task, isClosed): ((@Sendable () -> Void)?, Bool) = state.withLock { state in
                switch state {
                case .waiting(let task):
                    state = .busy
                    return (task, false)
                case .closed: return (nil, true)
                case .idle, .busy: return (nil, false)
                }
            }
            if isClosed { return }
            guard let task else {
                begun.wait(timeoutMillis: -1)
                continue
            }
            task()
            state.withLock { $0 = .idle }
            ended.raise()
        }
    }
}
