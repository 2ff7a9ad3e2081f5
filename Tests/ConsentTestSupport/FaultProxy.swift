package import ConsentKernel
import Foundation
import Synchronization

/// Stands between a node and whom it follows, and does to their conversation what networks do.
package final class FaultProxy: Sendable {
    package enum Fault: Sendable, Equatable {
        case none
        /// Every piece is handed on so much later.
        case delay(millis: Int32)
        /// Connections are reset, and no new one comes to be.
        case cut
        /// Connections stay open, and nothing gets through.
        case blackHole
        /// One byte in about so many is another one.
        case corrupt(oneIn: UInt64)
    }

    package let address: SocketAddress
    private let target: SocketAddress
    private let fault = Mutex(Fault.none)
    private let isStopping = Atomic(false)
    private let pairs = Mutex<[Int: (Int32, Int32)]>([:])
    private let random: Mutex<SeededGenerator>
    private let listener: Int32
    private let threads = Mutex<[ConsentKernel.Thread]>([])

    package init(to target: SocketAddress, seed: UInt64) throws {
        self.target = target
        random = Mutex(SeededGenerator(seed: seed))
        let listening = try Socket.listen(.tcp(host: "127.0.0.1", port: 0))
        address = .tcp(host: "127.0.0.1", port: try Socket.port(of: listening))
        listener = listening.release()
        threads.withLock { $0.append(ConsentKernel.Thread(name: "proxy") { [self] in accept() }) }
    }

    package func set(_ newFault: Fault) {
        fault.withLock { $0 = newFault }
        if newFault == .cut { reset() }
    }

    /// Ends all connections and the threads.
    package func stop() {
        isStopping.store(true, ordering: .releasing)
        reset()
        while let thread = threads.withLock({ $0.popLast() }) { thread.join() }
        _ = FileDescriptor(owning: listener)
    }

    private var current: Fault { fault.withLock { $0 } }

    private func reset() {
        for (one, other) in pairs.withLock({ Array($0.values) }) {
            shutdown(one, Int32(SHUT_RDWR))
            shutdown(other, Int32(SHUT_RDWR))
        }
    }

    private func accept() {
        var number = 0
        while !isStopping.load(ordering: .acquiring) {
            guard isReadable(listener), let accepted = try? Socket.accept(listener) else { continue }
            let inner = accepted.release()
            guard current != .cut, let outer = try? Socket.connect(target).release() else {
                _ = FileDescriptor(owning: inner)
                continue
            }
            number += 1
            let pair = number
            Socket.setNoDelay(inner)
            pairs.withLock { $0[pair] = (inner, outer) }
            let left = Atomic2()
            for (from, to) in [(inner, outer), (outer, inner)] {
                let thread = ConsentKernel.Thread(name: "proxy pair") { [self] in
                    pump(from, to)
                    shutdown(from, Int32(SHUT_RDWR))
                    shutdown(to, Int32(SHUT_RDWR))
                    guard left.isLast() else { return }
                    // Before the descriptors are anybody else's.
                    pairs.withLock { $0[pair] = nil }
                    _ = FileDescriptor(owning: inner)
                    _ = FileDescriptor(owning: outer)
                }
                threads.withLock { $0.append(thread) }
            }
        }
    }

    private final class Atomic2: Sendable {
        private let left = Atomic(2)
        func isLast() -> Bool { left.subtract(1, ordering: .acquiringAndReleasing).newValue == 0 }
    }

    private func pump(_ from: Int32, _ to: Int32) {
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        while !isStopping.load(ordering: .acquiring) {
            guard isReadable(from) else { continue }
            if current == .blackHole {
                // What is not read waits in the sender's buffers, as if packets were lost.
                Wakeup.pause(millis: 20)
                continue
            }
            let transfer = buffer.withUnsafeMutableBytes { Socket.receive(from, into: $0) }
            guard case .bytes(let count) = transfer else {
                if case .wouldBlock = transfer { continue }
                return
            }
            switch current {
            case .delay(let millis): Wakeup.pause(millis: millis)
            case .corrupt(let oneIn): damage(&buffer, count, oneIn)
            case .cut: return
            case .none, .blackHole: break
            }
            guard send(to, buffer[..<count]) else { return }
        }
    }

    private func damage(_ buffer: inout [UInt8], _ count: Int, _ oneIn: UInt64) {
        random.withLock { random in
            var position = random.below(Int(oneIn))
            while position < count {
                buffer[position] ^= UInt8(1 << random.below(8))
                position += 1 + random.below(Int(oneIn))
            }
        }
    }

    private func send(_ to: Int32, _ bytes: ArraySlice<UInt8>) -> Bool {
        var rest = bytes
        while !rest.isEmpty, !isStopping.load(ordering: .acquiring) {
            switch rest.withUnsafeBytes({ Socket.send(to, $0) }) {
            case .bytes(let count): rest = rest.dropFirst(count)
            case .wouldBlock: Wakeup.pause(millis: 1)
            case .closed: return false
            }
            if current == .cut { return false }
        }
        return true
    }

    private func isReadable(_ raw: Int32) -> Bool {
        var wanted = pollfd(fd: raw, events: Int16(POLLIN), revents: 0)
        return poll(&wanted, 1, 50) > 0
    }
}
