import ConsentKernel
import Synchronization

/// Answers every command of Redis's protocol with a line of the test's choice, over real sockets; each connection has a
/// thread of its own.
final class LineServer: Sendable {
    let address: SocketAddress
    private let threads: Mutex<[ConsentKernel.Thread]>
    private let count: Atomic<Int>

    /// Commands that were answered, without those of the greeting.
    var answered: Int { count.load(ordering: .acquiring) }

    /// - Parameters:
    ///   - connections: how many are accepted.
    ///   - answersMax: after so many it hangs up.
    ///   - answer: of a command, by its number on its connection.
    init(
        connections: Int, answersMax: Int = .max, _ answer: @escaping @Sendable (Int) -> String = { _ in ":1\r\n" }
    ) throws {
        let listener = try Socket.listen(.tcp(host: "127.0.0.1", port: 0))
        address = .tcp(host: "127.0.0.1", port: try Socket.port(of: listener))
        count = Atomic(0)
        threads = Mutex([])
        let raw = listener.release()
        let accepting = ConsentKernel.Thread(name: "accept") { [self] in
            let listener = FileDescriptor(owning: raw)
            var accepted = 0
            while accepted < connections {
                guard let socket = try? Socket.accept(listener.raw) else {
                    Wakeup.pause(millis: 1)
                    continue
                }
                accepted += 1
                let raw = socket.release()
                let thread = ConsentKernel.Thread(name: "answer") { self.serve(raw, answersMax, answer) }
                threads.withLock { $0.append(thread) }
            }
        }
        threads.withLock { $0.append(accepting) }
    }

    private func serve(_ raw: Int32, _ answersMax: Int, _ answer: (Int) -> String) {
        let socket = FileDescriptor(owning: raw)
        var (number, isGreeted) = (0, false)
        var buffer = [UInt8](repeating: 0, count: 65_536)
        while number < answersMax {
            switch buffer.withUnsafeMutableBytes({ Socket.receive(socket.raw, into: $0) }) {
            case .closed: return
            case .wouldBlock: Wakeup.pause(millis: 1)
            case .bytes(let size):
                // No name or number of the generator has an asterisk.
                for _ in 0..<buffer[..<size].count(where: { $0 == UInt8(ascii: "*") }) {
                    let text = isGreeted ? answer(number) : "+PONG\r\n"
                    if isGreeted {
                        number += 1
                        count.add(1, ordering: .releasing)
                    }
                    isGreeted = true
                    _ = Array(text.utf8).withUnsafeBytes { Socket.send(socket.raw, $0) }
                }
            }
        }
    }
}
