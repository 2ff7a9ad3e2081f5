import Foundation
import Testing

/// What a command says when the server that it should talk to is not there, or is another one.
struct ConnectionTests {
    private func check(_ more: [String]) async throws -> Binary.Run {
        try await Binary.run(["check", "customer:1", "-p", "newsletter"] + more)
    }

    /// One sentence on one line, with neither types nor numbers of errors in it.
    private func expectSentence(_ run: Binary.Run, _ parts: [String], location: SourceLocation = #_sourceLocation) {
        #expect(run.status == 4 && run.output.isEmpty, "\(run)", sourceLocation: location)
        let lines = run.errors.split(separator: "\n")
        #expect(lines.count == 1 && lines.first?.hasPrefix("consentd: ") == true, "\(run)", sourceLocation: location)
        for mark in ["errno", "(", "Error", "NIO"] {
            #expect(!run.errors.contains(mark), "\(run.errors)", sourceLocation: location)
        }
        for part in parts { #expect(run.errors.contains(part), "\(run.errors)", sourceLocation: location) }
    }

    @Test func whereNothingListensItSaysSo() async throws {
        let folder = try Folder()
        for endpoint in ["127.0.0.1:1", "unix:\(folder.path)/none.sock"] {
            let run = try await check(["--server", endpoint])
            expectSentence(run, ["no server answers at \(endpoint): nothing listens there", "consentd serve"])
        }
    }

    @Test func anUnknownHostIsSaidToBeOne() async throws {
        expectSentence(
            try await check(["--server", "no-such-host.invalid:7411"]),
            ["no-such-host.invalid:7411", "host is unknown"])
    }

    @Test func aServerOfAnotherKindIsSaidToBeOne() async throws {
        // One that says something else, and one that hangs up.
        for answer in ["HTTP/1.1 400 Bad Request\r\n\r\n", ""] {
            let stranger = try Stranger(answer)
            let endpoint = "127.0.0.1:\(stranger.port)"
            expectSentence(
                try await check(["--server", endpoint]), ["no consentd server answers at \(endpoint)", "--server"])
        }
    }

    @Test func aTokenThatIsWrongOrMissingIsSaidToBe() async throws {
        let (folder, other) = (try Folder(), try Folder())
        let server = try Server(try await folder.node(["--token"]))
        let otherData = try await other.node(["--token"])
        let missing = try await check(["--server", server.address, "--data", other.path + "/none"])
        expectSentence(missing, ["the server at \(server.address) wants a token", "--token-file"])
        let wrong = try await check(["--server", server.address, "--token-file", otherData + "/token"])
        expectSentence(wrong, ["the server at \(server.address) does not take the token", "--token-file"])
        let none = try await check(["--server", server.address, "--token-file", other.path + "/no-token"])
        #expect(none.status == 3 && none.errors.contains("there is no token file"), "\(none)")
    }

    @Test func aPingNeedsAServer() async throws {
        let folder = try Folder()
        let data = try await folder.node()
        expectSentence(
            try await Binary.run(["ping", "--data", data]),
            ["no server answers at unix:\(data)/consentd.sock", "consentd serve"])
        let server = try Server(data)
        let run = try await Binary.run(["ping", "--data", data, "--count", "2"])
        #expect(run.status == 0 && run.output.split(separator: "\n").count == 2, "\(run)")
        #expect(server.end() == 0)
    }
}

/// A server that is none of ours: it answers one connection with a text, and hangs up.
private final class Stranger {
    let port: UInt16

    init(_ answer: String) throws {
        let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = inet_addr("127.0.0.1")
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let status = withUnsafeMutablePointer(to: &address) { address in
            address.withMemoryRebound(to: sockaddr.self, capacity: 1) { pointer in
                bind(listener, pointer, size) | listen(listener, 8) | getsockname(listener, pointer, &size)
            }
        }
        try #require(status == 0)
        port = UInt16(bigEndian: address.sin_port)
        // Asked twice where it hangs up: the second time to learn why.
        Foundation.Thread.detachNewThread {
            for _ in 0..<2 {
                let peer = accept(listener, nil, nil)
                var hello = [UInt8](repeating: 0, count: 256)
                _ = recv(peer, &hello, hello.count, 0)
                _ = send(peer, answer, answer.utf8.count, Int32(MSG_NOSIGNAL))
                close(peer)
            }
            close(listener)
        }
    }
}
