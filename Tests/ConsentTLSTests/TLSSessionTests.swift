import ConsentKernel
import ConsentTLS
import ConsentTestSupport
import Testing

/// Two sessions that talk to each other without a network.
private final class Pair {
    let server: TLSSession
    let client: TLSSession

    /// - Parameter chainLength: how often the server's certificate stands in its file.
    init(
        _ certificate: SelfSigned, trusting trusted: SelfSigned? = nil, name: String = "localhost",
        chainLength: Int = 1
    ) throws {
        let folder = TemporaryFolder()
        let files = try CertificateFiles(certificate, in: folder)
        let chain = Array(repeatElement(certificate.certificate, count: chainLength).joined())
        try File.replace(files.certificates, with: chain)
        server = TLSSession(try files.identity().context)
        client = try TLSPeer(name: name, trusting: trusted ?? certificate).session()
    }

    /// Hands on what one has to send, in pieces, until neither says any more.
    ///
    /// - Returns: what was said to the client and to the server.
    func exchange(pieceMax: Int = .max, change: (inout [UInt8]) -> Void = { _ in }) -> (
        client: [UInt8], server: [UInt8]
    ) {
        var (toClient, toServer): ([UInt8], [UInt8]) = ([], [])
        while client.hasOutgoing || server.hasOutgoing {
            toServer += pass(from: client, to: server, pieceMax, change)
            toClient += pass(from: server, to: client, pieceMax, change)
        }
        return (toClient, toServer)
    }

    private func pass(
        from sender: TLSSession, to receiver: TLSSession, _ pieceMax: Int, _ change: (inout [UInt8]) -> Void
    ) -> [UInt8] {
        var sealed: [UInt8] = []
        while sender.hasOutgoing {
            sender.send { bytes in
                let piece = bytes.prefix(pieceMax)
                sealed += piece
                return piece.count
            }
        }
        change(&sealed)
        var said: [UInt8] = []
        var rest = sealed[...]
        repeat {
            let piece = rest.prefix(pieceMax)
            rest = rest.dropFirst(piece.count)
            piece.withUnsafeBytes { receiver.take($0) }
            said += receiver.opened()
        } while !rest.isEmpty
        return said
    }
}

extension TLSSession {
    fileprivate func say(_ bytes: [UInt8]) { bytes.withUnsafeBytes { seal($0) } }

    fileprivate func opened() -> [UInt8] {
        var room = [UInt8](repeating: 0, count: 1 << 17)
        if case .bytes(let count) = room.withUnsafeMutableBytes({ open(into: $0) }) { return Array(room[..<count]) }
        return []
    }
}

struct TLSSessionTests {
    private static let certificate = SelfSigned(names: ["DNS:localhost", "IP:127.0.0.1"])

    @Test(arguments: [1, 7, 4096, .max]) func whatIsSealedIsOpenedWhateverPiecesItComesIn(pieceMax: Int) throws {
        let pair = try Pair(Self.certificate)
        _ = pair.exchange(pieceMax: pieceMax)
        #expect(pair.client.isEstablished && pair.server.isEstablished)
        for size in [1, 16_384, 16_385, 60_000] {
            let (question, answer) = ([UInt8](repeating: 1, count: size), [UInt8](repeating: 2, count: size))
            pair.client.say(question)
            pair.server.say(answer)
            let heard = pair.exchange(pieceMax: pieceMax)
            #expect(heard.server == question && heard.client == answer)
        }
    }

    @Test func aServerThatShowsManyCertificatesHasSaidNothingYet() throws {
        let pair = try Pair(Self.certificate, chainLength: 120)
        _ = pair.exchange(pieceMax: 999)
        #expect(pair.client.isEstablished && pair.client.failure == nil)
        // In pieces of a record, of which only the last says something.
        pair.server.say([UInt8](repeating: 5, count: 10_000))
        #expect(pair.exchange(pieceMax: 999).client.count == 10_000)
        #expect(pair.client.failure == nil)
    }

    @Test func whatIsSaidBeforeThePeerIsKnownArrivesAfterwards() throws {
        let pair = try Pair(Self.certificate)
        pair.client.say([1, 2])
        pair.client.say([3])
        #expect(pair.client.earlyCount == 3)
        #expect(pair.exchange().server == [1, 2, 3])
        #expect(pair.client.earlyCount == 0)
    }

    @Test func anOrderlyEndIsNoFailure() throws {
        let pair = try Pair(Self.certificate)
        _ = pair.exchange()
        pair.client.say([1])
        pair.client.close()
        #expect(pair.exchange().server == [1])
        #expect(pair.server.isOver && pair.server.failure == nil)
    }

    // MARK: Whom a client takes

    @Test(arguments: ["localhost", "127.0.0.1"]) func aServerIsTakenByAnyNameOfItsCertificate(name: String) throws {
        let pair = try Pair(Self.certificate, name: name)
        _ = pair.exchange()
        #expect(pair.client.isEstablished && pair.server.isEstablished)
    }

    @Test(arguments: [("consent.example", "ostname"), ("127.0.0.2", "IP address")])
    func aServerOfAnotherNameIsNotTaken(name: String, said: String) throws {
        try refuses(try Pair(Self.certificate, name: name), said)
    }

    @Test func aServerThatNobodyKnownVouchesForIsNotTaken() throws {
        try refuses(try Pair(Self.certificate, trusting: SelfSigned(names: ["DNS:localhost"])), "self")
    }

    /// Its common name, which says who its owner claims to be and not where it is (RFC 9525, 6.3), is "consentd".
    @Test func theCommonNameOfACertificateIsNoName() throws {
        try refuses(try Pair(SelfSigned(names: ["IP:127.0.0.1"]), name: "consentd"), "ostname")
    }

    @Test func aCertificateThatHasEndedIsNotTaken() throws {
        try refuses(try Pair(SelfSigned(names: ["DNS:localhost"], seconds: -60)), "expired")
    }

    /// Nothing that the client wanted to say has left it.
    private func refuses(_ pair: Pair, _ said: String) throws {
        pair.client.say([1, 2, 3])
        #expect(pair.exchange().server == [])
        let failure = try #require(pair.client.failure)
        #expect(failure.isOfCertificate)
        #expect(failure.description.contains("certificate") && failure.description.contains(said), "\(failure)")
        #expect(pair.server.isOver && pair.server.failure != nil)
    }

    // MARK: What is no TLS

    @Test func changedBytesEndItAndAreNotOpened() throws {
        var random = SeededGenerator(seed: 5)
        for _ in 0..<200 {
            let pair = try Pair(Self.certificate)
            _ = pair.exchange()
            pair.client.say([UInt8](repeating: 7, count: 100))
            let heard = pair.exchange { sealed in
                guard !sealed.isEmpty else { return }
                sealed[Int.random(in: 0..<sealed.count, using: &random)] ^= UInt8.random(in: 1...255, using: &random)
            }
            // A record whose length says that more will come waits for that, for ever.
            #expect(heard.server == [])
        }
    }

    @Test func whatIsNoTLSIsAFailureAndNothingElse() throws {
        var random = SeededGenerator(seed: 6)
        let files = try CertificateFiles(Self.certificate, in: TemporaryFolder())
        let context = try files.identity().context
        for number in 0..<300 {
            let session = TLSSession(context)
            let noise: [UInt8] =
                number == 0
                ? Array("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".utf8)
                : (0..<Int.random(in: 5...600, using: &random)).map { _ in .random(in: 0...255, using: &random) }
            noise.withUnsafeBytes { session.take($0) }
            #expect(session.opened() == [] && !session.isEstablished)
        }
    }

    /// The oldest version of TLS that is still spoken elsewhere: a hello as of 1.2, without the extension that names 1.3.
    @Test func onlyVersion13IsSpoken() throws {
        let files = try CertificateFiles(Self.certificate, in: TemporaryFolder())
        let session = TLSSession(try files.identity().context)
        var hello: [UInt8] = [3, 3] + [UInt8](repeating: 9, count: 32) + [0, 0, 2, 0xC0, 0x2B, 1, 0]
        hello = [1, 0, 0, UInt8(hello.count)] + hello
        let record = [0x16, 3, 1, 0, UInt8(hello.count)] + hello
        record.withUnsafeBytes { session.take($0) }
        #expect(session.opened() == [])
        #expect(session.failure?.description.contains("protocol") == true, "\(String(describing: session.failure))")
    }
}
