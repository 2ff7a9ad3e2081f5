import ConsentKernel
import Synchronization

/// Threads for questions that read the ledger, so that neither the writer nor a listener waits for a disk.
final class QuestionQueue: Sendable {
    private struct State {
        var waiting: [@Sendable () -> Void] = []
        var isClosing = false
        var threads: [ConsentKernel.Thread] = []
    }

    /// More than this many waiting is a reason to turn the next one away.
    private static let waitingMax = 4096

    private let state = Mutex(State())
    private let work: Wakeup

    init(threads: Int, name: String) throws {
        work = try Wakeup()
        for number in 0..<threads {
            let thread = ConsentKernel.Thread(name: "\(name) \(number)") { self.run() }
            state.withLock { $0.threads.append(thread) }
        }
    }

    func submit(_ question: @escaping @Sendable () -> Void) throws(EngineError) {
        let refusal: EngineError? = state.withLock { state in
            if state.isClosing { return .closing }
            if state.waiting.count >= Self.waitingMax { return .busy }
            state.waiting.append(question)
            return nil
        }
        if let refusal { throw refusal }
        work.raise()
    }

    /// Answers what waits, then ends the threads.
    func close() {
        let threads = state.withLock { state in
            state.isClosing = true
            defer { state.threads = [] }
            return state.threads
        }
        for _ in threads { work.raise() }
        for thread in threads {
            work.raise()
            thread.join()
        }
    }

    private func run() {
        while true {
            let (question, isClosing) = state.withLock { state in
                (state.waiting.isEmpty ? nil : state.waiting.removeFirst(), state.isClosing)
            }
            if let question {
                question()
            } else if isClosing {
                return
            } else {
                // The other thread may have taken the wakeup: look again now and then.
                work.wait(timeoutMillis: 50)
            }
        }
    }
}
