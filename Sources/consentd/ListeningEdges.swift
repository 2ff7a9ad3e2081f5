import ConsentKernel
import ConsentModel
import ConsentSync
import ConsentWire
import Foundation
import Synchronization

/// Edges that keep nothing: each follows from a point on, reads what it is told and says that it enforces it. What many edges
/// cost a node can so be measured on the machine of the node.
final class ListeningEdges: Sendable {
    private let isStopping = Atomic(false)
    private let ended = Atomic<Int>(0)
    /// The newest sequence that the slowest of them was told.
    private let told = Atomic<UInt64>(0)
    private let thread = Mutex<ConsentKernel.Thread?>(nil)

    /// Follows the node at an address as so many edges.
    ///
    /// - Parameter point: a state that the node has had.
    init(_ count: Int, of address: SocketAddress, history: ID16, from point: SyncPoint) throws {
        var edges: [ListeningEdge] = []
        for number in 0..<count { edges.append(try ListeningEdge(number, of: address, history, point)) }
        let epoll = try Epoll(eventsPerWaitMax: 256)
        for edge in edges { try epoll.add(edge.socket, [.readable, .finished], token: UInt64(edge.number)) }
        let loop = Loop(edges, epoll)
        thread.withLock {
            $0 = ConsentKernel.Thread(name: "edges") { [self] in
                while !isStopping.load(ordering: .relaxed) {
                    guard let count = try? loop.epoll.wait(timeoutMillis: 50) else { return }
                    for position in 0..<count {
                        let edge = loop.edges[Int(loop.epoll.event(position).token)]
                        if !edge.takeWhatIsThere() { ended.add(1, ordering: .relaxed) }
                    }
                    told.store(loop.edges.lazy.map(\.told).min() ?? 0, ordering: .relaxed)
                }
            }
        }
    }

    // Sendable because it is made before the thread starts, and used only there.
    private final class Loop: @unchecked Sendable {
        let edges: [ListeningEdge]
        let epoll: Epoll

        init(_ edges: [ListeningEdge], _ epoll: consuming Epoll) {
            self.edges = edges
            self.epoll = epoll
        }
    }

    /// Until everybody was told of a sequence.
    func wait(for sequence: UInt64) async throws {
        for _ in 0..<60_000 where ended.load(ordering: .relaxed) == 0 {
            if told.load(ordering: .relaxed) >= sequence { return }
            try await Task.sleep(for: .milliseconds(1))
        }
        throw Failure(code: Exit.failed, message: "not every edge was told of sequence \(sequence)")
    }

    func stop() {
        isStopping.store(true, ordering: .relaxed)
        thread.withLock { thread in
            defer { thread = nil }
            return thread
        }?.join()
    }
}

private final class ListeningEdge {
    let number: Int
    private(set) var told: UInt64
    private let connection: FileDescriptor
    private var received: [UInt8] = []
    private var output = OutputBuffer(capacity: 512)
    private let room = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 16, alignment: 64)

    init(_ number: Int, of address: SocketAddress, _ history: ID16, _ point: SyncPoint) throws {
        self.number = number
        told = point.sequence
        connection = try Socket.connect(address)
        var hello = Hello()
        hello.clientName = "consentd bench"
        hello.encode(request: 0, into: &output)
        var request = SubscribeRequest()
        (request.history, request.point, request.name) = (history, point, "listening-\(number)")
        request.encode(request: 1, into: &output)
        try Socket.setNonBlocking(connection.raw)
        Socket.setNoDelay(connection.raw)
        send()
    }

    deinit { room.deallocate() }

    var socket: Int32 { connection.raw }

    /// - Returns: false if the node has ended it.
    func takeWhatIsThere() -> Bool {
        switch Socket.receive(socket, into: room) {
        case .wouldBlock: return true
        case .closed: return false
        case .bytes(let count): received.append(contentsOf: room[..<count])
        }
        let before = told
        guard let taken = takeFrames() else { return false }
        received.removeFirst(taken)
        if told > before {
            ConsentWire.Enforced(
                sequence: told, stamp: Clock.boottimeMillis(), time: Timestamp(millis: Clock.realtimeMillis())
            ).encode(into: &output)
            send()
        }
        return true
    }

    /// - Returns: how many bytes they have; nil if something else came than what an edge expects that follows.
    private func takeFrames() -> Int? {
        var taken = 0
        return received.withUnsafeMutableBytes { buffer in
            while case .frame(let frame) = scanFrame(UnsafeMutableRawBufferPointer(rebasing: buffer[taken...])) {
                taken += frame.size
                switch frame.opcode {
                case Opcode.delta.rawValue:
                    guard let delta = try? Delta(frame) else { return nil }
                    told = max(told, delta.point.sequence)
                case Opcode.subscribed.rawValue:
                    guard let answer = try? Subscribed(frame), answer.verdict == .follow else { return nil }
                case Opcode.error.rawValue, Opcode.cutOff.rawValue: return nil
                default: break
                }
            }
            return taken
        }
    }

    /// What an edge says is small: a connection that does not take it at once is as good as ended.
    private func send() {
        _ = Socket.send(socket, output.bytes)
        output.clear()
    }
}
