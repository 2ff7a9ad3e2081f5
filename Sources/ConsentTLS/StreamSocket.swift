package import ConsentKernel

/// A connected socket, with TLS on it or without: both are read from and written to alike. Closed with the last reference.
///
/// Not safe for concurrent use.
// Sendable because a loop hands it on whole, and has no use for it afterwards.
package final class StreamSocket: @unchecked Sendable {
    package let raw: Int32
    let session: TLSSession?

    /// Of what came sealed, so much is read at once. What OpenSSL keeps of a connection grows with it, and stays.
    private static let sealedSizeMax = 1 << 14
    /// Read in one turn, whatever it says: then it is another connection's.
    private static let sealedPerTurnMax = 1 << 18
    /// A record that had begun may end in what is read next.
    private static let recordSizeMax = TLSSession.recordSizeMax
    /// The least room that may be given to ``receive(into:)``.
    package static let roomMin = 2 * recordSizeMax
    /// Sealed at once, so that what the system does not take stays small.
    private static let sealedAtOnceMax = 1 << 14

    package init(_ socket: consuming FileDescriptor, _ session: TLSSession? = nil) {
        raw = socket.release()
        self.session = session
    }

    deinit { _ = FileDescriptor(owning: raw) }

    package var isTLS: Bool { session != nil }

    /// Why TLS ended; nil where it did not, or there is none.
    package var failure: TLSFailure? { session?.failure }

    /// Whether each side knows the other, as it does from the beginning where there is no TLS.
    package var isEstablished: Bool { session?.isEstablished ?? true }

    /// Whether something that was taken by ``send(_:)`` waits for the system: then `send` must be called again, if only
    /// with nothing, when the socket is writable.
    package var hasUnsent: Bool { session?.hasOutgoing ?? false }

    /// Whether the peer is known to have ended, though the system may tell of nothing more.
    package var isPeerDone: Bool { session?.isOver ?? false }

    /// Whether the last ``receive(into:)`` left something in the system, for want of room or of time.
    package private(set) var mayHaveMore = false

    /// Receives what is there, at most the buffer's size.
    package func receive(into buffer: UnsafeMutableRawBufferPointer) -> Transfer {
        guard let session else { return unsafe Socket.receive(raw, into: buffer) }
        return unsafe receive(session, into: buffer)
    }

    private func receive(_ session: TLSSession, into buffer: UnsafeMutableRawBufferPointer) -> Transfer {
        precondition(buffer.count >= Self.roomMin, "what is read at once must fit")
        mayHaveMore = false
        var count = 0
        var sealedCount = 0
        var isPeerDone = session.isOver
        unsafe withUnsafeTemporaryAllocation(byteCount: Self.sealedSizeMax, alignment: 64) { sealed in
            while !isPeerDone {
                let room = min(sealed.count, buffer.count - count - Self.recordSizeMax)
                guard room > 0, sealedCount < Self.sealedPerTurnMax else {
                    mayHaveMore = true
                    return
                }
                let part = unsafe UnsafeMutableRawBufferPointer(rebasing: sealed[..<room])
                switch unsafe Socket.receive(raw, into: part) {
                case .wouldBlock: return
                case .closed: isPeerDone = true
                case .bytes(let size):
                    sealedCount += size
                    unsafe session.take(UnsafeRawBufferPointer(rebasing: part[..<size]))
                    switch unsafe session.open(into: UnsafeMutableRawBufferPointer(rebasing: buffer[count...])) {
                    case .bytes(let opened): count += opened
                    case .over: isPeerDone = true
                    }
                    if size < room { return }
                }
            }
        }
        // What TLS itself has to say.
        if sendSealed(session) == .closed || isPeerDone || session.isOver { return count > 0 ? .bytes(count) : .closed }
        return count > 0 ? .bytes(count) : .wouldBlock
    }

    /// Sends what the system takes now.
    package func send(_ bytes: UnsafeRawBufferPointer) -> Transfer {
        guard let session else { return unsafe Socket.send(raw, bytes) }
        return unsafe send(session, bytes)
    }

    private func send(_ session: TLSSession, _ bytes: UnsafeRawBufferPointer) -> Transfer {
        var taken = 0
        while true {
            switch sendSealed(session) {
            case .closed: return .closed
            case .wouldBlock: return taken > 0 ? .bytes(taken) : .wouldBlock
            case .bytes: break
            }
            // Before the peer is known, what is said waits in the session.
            let room = min(bytes.count - taken, Self.sealedAtOnceMax - session.earlyCount)
            guard room > 0 else { return taken > 0 || (unsafe bytes.isEmpty) ? .bytes(taken) : .wouldBlock }
            unsafe session.seal(UnsafeRawBufferPointer(rebasing: bytes[taken..<taken + room]))
            taken += room
        }
    }

    private func sendSealed(_ session: TLSSession) -> Transfer {
        while session.hasOutgoing {
            var transfer = Transfer.wouldBlock
            unsafe session.send { sealed in
                transfer = unsafe Socket.send(raw, sealed)
                if case .bytes(let count) = transfer { return count }
                return 0
            }
            guard case .bytes = transfer else { return transfer }
        }
        return .bytes(0)
    }

    /// Ends sending, so that the peer reads to the end before it sees the close.
    package func shutdownSending() {
        if let session {
            session.close()
            _ = sendSealed(session)
        }
        Socket.shutdownSending(raw)
    }
}
