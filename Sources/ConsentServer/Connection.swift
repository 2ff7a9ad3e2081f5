import ConsentKernel
import ConsentTLS
import ConsentWire

/// One connection of a loop: its socket, its session, and what could not be passed on yet in either direction.
final class Connection {
    let socket: StreamSocket
    let isTLS: Bool
    var session: Session
    /// Received bytes of a frame that is not whole yet.
    var received: [UInt8] = []
    /// Output that the system has not taken. While there is some, nothing more is read.
    var unsent = SendQueue()
    /// Questions to the ledger are asked one after another, each when the answer before it has been passed on: a client
    /// that asks much and reads little does not fill the memory with answers.
    var questions: [SessionAction] = []
    var isAsking = false
    var interest = reading
    /// A connection that was read empty costs nothing more until something arrives.
    static let reading: Epoll.Interest = [.readable, .finished, .edge]
    /// Monotonic nanoseconds.
    let openedAt: Int64
    /// When the peer last sent something, or took some of the output that waited.
    var heardAt: Int64
    /// Nothing more will come from the peer; what is in flight is still answered.
    var isPeerDone = false
    /// Everything is said; the peer may still be reading. Then the time at which the socket is closed anyway.
    var lingersUntil: Int64?

    /// Whether the system has taken everything that was to be sent.
    var isSent: Bool { unsent.isEmpty && !(isTLS && socket.hasUnsent) }

    /// Whether there is nothing to do for it until something arrives, as after nearly every turn.
    var isSettled: Bool {
        received.isEmpty && isSent && !isPeerDone && lingersUntil == nil && interest == Self.reading
            && session.phase == .open
    }

    init(socket: StreamSocket, session: Session, now: Int64) {
        self.socket = socket
        isTLS = socket.isTLS
        self.session = session
        openedAt = now
        heardAt = now
    }
}
