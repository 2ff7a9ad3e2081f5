import COpenSSL
import ConsentKernel
import ConsentTestSupport
import Glibc
import Testing

@testable import ConsentTLS

struct StreamSocketTests {
    /// Two ends that send and receive without waiting, through buffers of the system that are soon full.
    private static func ends(isTLS: Bool) throws -> (StreamSocket, StreamSocket) {
        var pair: [Int32] = [-1, -1]
        guard socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_NONBLOCK.rawValue), 0, &pair) == 0 else {
            throw SystemError("socketpair")
        }
        var size: Int32 = 8192
        for raw in pair { setsockopt(raw, SOL_SOCKET, SO_SNDBUF, &size, 4) }
        let (first, second) = (pair[0], pair[1])
        guard isTLS else {
            return (StreamSocket(FileDescriptor(owning: first)), StreamSocket(FileDescriptor(owning: second)))
        }
        let certificate = SelfSigned(names: ["DNS:localhost"])
        let identity = try CertificateFiles(certificate, in: TemporaryFolder()).identity()
        let peer = TLSPeer(name: "localhost", trusting: certificate)
        return (
            StreamSocket(FileDescriptor(owning: first), TLSSession(identity.context)),
            StreamSocket(FileDescriptor(owning: second), try peer.session())
        )
    }

    /// What one end does in a turn of a loop: sends what the system takes, receives what is there.
    private struct End {
        let socket: StreamSocket
        var unsent: [UInt8]
        var heard: [UInt8] = []
        var isOver = false
        let room: Int

        mutating func turn() {
            let transfer = unsent.withUnsafeBytes { socket.send($0) }
            if case .bytes(let count) = transfer { unsent.removeFirst(count) }
            var buffer = [UInt8](repeating: 0, count: room)
            repeat {
                switch buffer.withUnsafeMutableBytes({ socket.receive(into: $0) }) {
                case .bytes(let count): heard += buffer[..<count]
                case .wouldBlock: break
                case .closed: isOver = true
                }
            } while socket.mayHaveMore && !isOver
        }
    }

    @Test(arguments: [false, true], [StreamSocket.roomMin, 1 << 18])
    func allThatIsSentBothWaysArrivesInItsOrder(isTLS: Bool, room: Int) throws {
        let (first, second) = try Self.ends(isTLS: isTLS)
        func numbers(_ step: Int) -> [UInt8] { (0..<600_000).map { UInt8(truncatingIfNeeded: $0 / 7 * step) } }
        var (one, other) = (
            End(socket: first, unsent: numbers(3), room: room), End(socket: second, unsent: numbers(5), room: room)
        )
        for _ in 0..<10_000 where one.heard.count < 600_000 || other.heard.count < 600_000 {
            one.turn()
            other.turn()
        }
        #expect(one.heard == numbers(5) && other.heard == numbers(3))
        #expect(!first.hasUnsent && !second.hasUnsent && first.isEstablished && second.isEstablished)
        first.shutdownSending()
        other.turn()
        #expect(other.isOver && second.failure == nil)
    }

    /// Each asks for new keys, which takes far longer to give than to ask for.
    @Test func aPeerThatOnlyRenewsItsKeysIsAnEndAndHoldsNobodyUp() throws {
        var pair: [Int32] = [-1, -1]
        guard socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_NONBLOCK.rawValue), 0, &pair) == 0 else {
            throw SystemError("socketpair")
        }
        let certificate = SelfSigned(names: ["DNS:localhost"])
        let identity = try CertificateFiles(certificate, in: TemporaryFolder()).identity()
        let session = try TLSPeer(name: "localhost", trusting: certificate).session()
        let server = StreamSocket(FileDescriptor(owning: pair[0]), TLSSession(identity.context))
        let client = StreamSocket(FileDescriptor(owning: pair[1]), session)
        var (one, other) = (
            End(socket: server, unsent: [], room: 1 << 18), End(socket: client, unsent: [], room: 1 << 18)
        )
        for _ in 0..<10 {
            other.turn()
            one.turn()
        }
        #expect(server.isEstablished && client.isEstablished)
        // An honest peer does it now and then.
        func renew() {
            SSL_key_update(session.ssl, SSL_KEY_UPDATE_NOT_REQUESTED)
            SSL_do_handshake(session.ssl)
        }
        renew()
        other.unsent = [7]
        other.turn()
        one.turn()
        #expect(one.heard == [7] && !one.isOver)
        for _ in 0..<2000 where !one.isOver {
            for _ in 0..<50 { renew() }
            other.turn()
            one.turn()
        }
        #expect(one.isOver && server.failure?.description.contains("says nothing") == true)
    }

    @Test func whoCannotProveWhoItIsIsAnEndWithAReason() throws {
        var pair: [Int32] = [-1, -1]
        guard socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_NONBLOCK.rawValue), 0, &pair) == 0 else {
            throw SystemError("socketpair")
        }
        let certificate = SelfSigned(names: ["DNS:somebody"])
        let identity = try CertificateFiles(certificate, in: TemporaryFolder()).identity()
        let server = StreamSocket(FileDescriptor(owning: pair[0]), TLSSession(identity.context))
        let peer = TLSPeer(name: "localhost", trusting: certificate)
        let client = StreamSocket(FileDescriptor(owning: pair[1]), try peer.session())
        var (one, other) = (
            End(socket: server, unsent: [1], room: 1 << 16), End(socket: client, unsent: [2], room: 1 << 16)
        )
        for _ in 0..<10 {
            other.turn()
            one.turn()
        }
        #expect(other.isOver && one.isOver && one.heard == [] && other.heard == [])
        #expect(client.failure?.description.contains("certificate") == true)
    }
}
