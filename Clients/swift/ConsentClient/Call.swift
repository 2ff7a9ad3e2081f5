import NIOCore
import Synchronization

/// One request that somebody waits for.
///
/// `@unchecked Sendable`: made by the task that asks, and from then on touched on the client's event loop alone; only the
/// flag of cancellation is set from elsewhere, and is atomic.
final class Call: @unchecked Sendable {
    let request: Request
    let deadline: NIODeadline
    private let complete: (Result<Answer, ConsentClientError>) -> Void
    private let cancellation = Atomic(false)

    /// Whether it has come to the loop, after which it may be finished: before, nobody waits yet.
    var isSubmitted = false
    /// The connection on which it is in flight, and its id there.
    var place: (link: Link, id: UInt32)?
    private(set) var isDone = false
    /// Connections that ended while it was in flight.
    var breaks = 0
    /// Answers that told it to come again.
    var refusals = 0
    var lastRefusal: ConsentClientError?
    /// When the server first said that it cannot carry it out now.
    var cannotSince: NIODeadline?

    init(
        _ request: Request, deadline: NIODeadline, complete: @escaping (Result<Answer, ConsentClientError>) -> Void
    ) {
        self.request = request
        self.deadline = deadline
        self.complete = complete
    }

    func cancel() { cancellation.store(true, ordering: .releasing) }

    var isCancelled: Bool { cancellation.load(ordering: .acquiring) }

    /// Answers who waits, once; later results are dropped.
    func finish(_ result: Result<Answer, ConsentClientError>) {
        if isDone { return }
        isDone = true
        complete(result)
    }

    /// Whether it may be sent again, now that a connection ended while it was in flight.
    var survivesBreak: Bool {
        switch request.repetition {
        case .never: false
        case .once: breaks <= 1
        case .always: true
        }
    }
}
