import ConsentKernel
import Synchronization

/// What waits for the writer, in the order in which it came.
final class ChangeQueue: Sendable {
    private struct State {
        var changes: [Change] = []
        var weight = 0
        var isClosing = false
    }

    private let state = Mutex(State())
    private let work: Wakeup
    private let refused = Atomic<UInt64>(0)

    /// What may wait: eight full groups, more than two imports have on their way, and no more memory than that.
    private static let weightMax = 98_304

    init() throws(SystemError) { work = try Wakeup() }

    /// Changes that were turned away.
    var refusedCount: UInt64 { refused.load(ordering: .relaxed) }

    /// Puts a change behind those that wait, or fails it: `busy` or `closing`.
    func submit(_ change: Change) {
        let (refusal, isFirst): (EngineError?, Bool) = state.withLock { state in
            if state.isClosing { return (.closing, false) }
            if state.weight > 0, state.weight + change.weight > Self.weightMax { return (.busy, false) }
            state.changes.append(change)
            state.weight += change.weight
            return (nil, state.changes.count == 1)
        }
        if let refusal {
            refused.add(1, ordering: .relaxed)
            change.fail(refusal)
        } else if isFirst {
            // The writer was told of those before it, and takes all that wait.
            work.raise()
        }
    }

    /// Takes changes from the front, as many as weigh so much together, and at least one.
    ///
    /// - Returns: with whether no more will come.
    func take(weightMax: Int) -> (changes: [Change], isClosing: Bool) {
        state.withLock { state in
            if state.weight <= weightMax {
                defer { (state.changes, state.weight) = ([], 0) }
                return (state.changes, state.isClosing)
            }
            var weight = 0
            let count = state.changes.prefix { change in
                defer { weight += change.weight }
                return weight == 0 || weight + change.weight <= weightMax
            }.count
            let taken = Array(state.changes.prefix(count))
            state.changes.removeFirst(count)
            state.weight -= taken.reduce(0) { $0 + $1.weight }
            return (taken, state.isClosing)
        }
    }

    func wait(timeoutMillis: Int32) { work.wait(timeoutMillis: timeoutMillis) }

    /// Turns away what comes from now on.
    func close() {
        state.withLock { $0.isClosing = true }
        work.raise()
    }
}
