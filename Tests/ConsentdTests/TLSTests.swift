import ConsentKernel
import ConsentTLS
import ConsentTestSupport
import Foundation
import Testing

/// TLS as a person would set it up: the real program, files of certificates, and everybody who connects.
struct TLSTests {
    private let folder: Folder
    private let certificate: String
    private let key: String

    init() throws {
        folder = try Folder()
        (certificate, key) = (folder.path + "/certificate.pem", folder.path + "/key.pem")
        try write(SelfSigned(names: ["IP:127.0.0.1", "DNS:localhost", "DNS:consent.example.no"]))
    }

    private func write(_ made: SelfSigned) throws {
        try File.replace(key, with: made.key, mode: 0o600)
        try File.replace(certificate, with: made.certificate)
    }

    private var listening: [String] {
        ["--listen", "tls:127.0.0.1:0", "--tls-certificate", certificate, "--tls-key", key]
    }

    /// Listens with TLS beside its plain address.
    private func serve(errors: String? = nil) async throws -> (server: Server, address: String) {
        let server = try Server(try await folder.node(), listening, errors: errors)
        let addresses = try #require(server.firstLine["listening"] as? [String])
        return (server, try #require(addresses.first { $0.hasPrefix("tls:127.0.0.1:") }))
    }

    private func check(_ address: String, _ more: [String]) async throws -> Binary.Run {
        try await Binary.run(["check", "customer:7", "-p", "newsletter", "--server", address, "--json"] + more)
    }

    private func decision(_ run: Binary.Run) -> String? { run.objects.first?["decision"] as? String }

    @Test func commandsWorkThroughTLSAsTheyDoWithoutIt() async throws {
        let (server, address) = try await serve()
        defer { _ = server.end() }
        let grant = ["grant", "customer:7"] + grantOfNewsletter + ["--server", address, "--tls-ca", certificate]
        #expect(try await Binary.run(grant).status == 0)
        #expect(decision(try await check(address, ["--tls-ca", certificate])) == "granted")
        #expect(decision(try await check(server.address, [])) == "granted")
        // As a name, which the certificate has too.
        let named = address.replacing("127.0.0.1", with: "localhost")
        #expect(decision(try await check(named, ["--tls-ca", certificate])) == "granted")
    }

    @Test func aServerThatNobodyVouchesForIsNotAsked() async throws {
        let (server, address) = try await serve()
        defer { _ = server.end() }
        let stranger = folder.path + "/stranger.pem"
        try File.replace(stranger, with: SelfSigned(names: ["IP:127.0.0.1"]).certificate)
        for more in [[], ["--tls-ca", stranger]] {
            let run = try await check(address, more)
            #expect(run.status == 4 && run.objects.first?["decision"] == nil, "\(run)")
            #expect((run.output + run.errors).contains("certificate") && (run.output + run.errors).contains("--tls-ca"))
        }
        let run = try await check(address, ["--tls-ca", folder.path + "/none.pem"])
        #expect(run.status == 4 && (run.output + run.errors).contains("none.pem"), "\(run)")
    }

    @Test func whoSpeaksNoTLSOrOnlyTLSIsTurnedAwayAndOthersAreServed() async throws {
        let (server, address) = try await serve()
        defer { _ = server.end() }
        // Each speaks what the other side does not.
        #expect(try await check(String(address.dropFirst(4)), []).status == 4)
        #expect(try await check("tls:" + server.address, ["--tls-ca", certificate]).status == 4)
        #expect(try await check(address, ["--tls-ca", certificate]).status <= 2)
    }

    @Test func aRenewedCertificateIsShownToWhoComesNext() async throws {
        let (server, address) = try await serve()
        defer { _ = server.end() }
        let before = folder.path + "/before.pem"
        try File.replace(before, with: try File.read(certificate))
        #expect(try await check(address, ["--tls-ca", before]).status <= 2)
        try write(SelfSigned(names: ["IP:127.0.0.1"]))
        let deadline = ContinuousClock.now + .seconds(60)
        while try await check(address, ["--tls-ca", certificate]).status == 4 {
            try #require(ContinuousClock.now < deadline)
            try await Task.sleep(for: .milliseconds(100))
        }
        #expect(try await check(address, ["--tls-ca", before]).status == 4)
    }

    @Test func theClientsOfAllLanguagesThatHaveTLSRun() async throws {
        let (server, address) = try await serve()
        defer { _ = server.end() }
        let swift = Binary.process([address], name: "consent-client-sample")
        // What the machine trusts is, for OpenSSL, what this says.
        swift.environment?["SSL_CERT_FILE"] = certificate
        let run = try await Binary.run(swift)
        #expect(run.status == 0 && run.output.contains("granted"), "\(run)")
        let script = """
            import asyncio, sys
            from consentd import AsyncClient, Client, ConnectFailed, InvalidArgument, Options, Subject
            address, certificate = sys.argv[1:]
            options = Options(tls_authorities=certificate)
            with Client(address, options) as client:
                # Several records of TLS for each answer.
                many = [Subject.customer(str(n)) for n in range(20000)]
                print(len(client.check_subjects(many, "newsletter")))
            async def ask():
                async with await AsyncClient.connect(address, options) as client:
                    print(len(await client.check_subjects(many, "newsletter")))
            asyncio.run(ask())
            for wrong in (Options(), Options(tls_authorities=certificate, tls_name="elsewhere.example")):
                try:
                    Client(address, wrong)
                except ConnectFailed as error:
                    print("certificate" in str(error))
            try:
                Client(address, Options(tls_authorities=certificate, tls_name=".example.no"))
            except InvalidArgument:
                print("no name")
            """
        let python = Binary.process([])
        python.executableURL = URL(filePath: "/usr/bin/env")
        python.arguments = ["python3", "-c", script, address, certificate]
        python.environment?["PYTHONPATH"] = Project.root.appending(path: "Clients/python/src").path
        let spoken = try await Binary.run(python)
        #expect(spoken.status == 0 && spoken.output == "20000\n20000\nTrue\nTrue\nno name\n", "\(spoken)")
    }

    @Test func anEdgeFollowsThroughTLSAndServesByItAndHandsChangesOn() async throws {
        let (node, address) = try await serve()
        defer { _ = node.end() }
        let upstream = ["--upstream", address, "--tls-ca", certificate, "--tls-name", "consent.example.no"]
        let edge = Binary.process(
            ["edge", "--data", folder.path + "/edge", "--listen", "none", "--forward-writes", "--json"] + upstream
                + listening)
        let output = Pipe()
        edge.standardOutput = output
        edge.standardError = FileHandle.nullDevice
        try edge.run()
        defer {
            edge.terminate()
            edge.waitUntilExit()
        }
        var text = ""
        while !text.contains("\n") {
            let data = output.fileHandleForReading.availableData
            try #require(!data.isEmpty)
            text += String(decoding: data, as: UTF8.self)
        }
        let first = try #require(JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any])
        let own = try #require((first["listening"] as? [String])?.first { $0.hasPrefix("tls:") })
        let deadline = ContinuousClock.now + .seconds(60)
        while try await Binary.run(["ping", "--ready", "--server", own, "--tls-ca", certificate]).status != 0 {
            try #require(ContinuousClock.now < deadline)
            try await Task.sleep(for: .milliseconds(100))
        }
        let grant = ["grant", "customer:7"] + grantOfNewsletter + ["--server", own, "--tls-ca", certificate]
        #expect(try await Binary.run(grant).status == 0)
        #expect(decision(try await check(own, ["--tls-ca", certificate])) == "granted")
        #expect(decision(try await check(node.address, [])) == "granted")
    }

    @Test func theLoadGeneratorJudgesWhatComesThroughTLS() async throws {
        let run = try await Binary.run([
            "bench", "load", "--tls", "--subjects", "600", "--count", "3000", "--connections", "4", "--pipeline", "8",
            "--workload", "check:80,batch:10,record:10", "--warm-up", "0", "--json",
        ])
        let result = try #require((run.objects.first?["runs"] as? [[String: Any]])?.first)
        #expect(run.status == 0 && result["wrong"] as? Int == 0, "\(run)")
    }

    @Test func whatIsMissingOrDoesNotFitIsSaidAtTheStart() async throws {
        let data = try await folder.node()
        func refusal(_ more: [String]) async throws -> (Int32, String) {
            let run = try await Binary.run(["serve", "--data", data, "--listen", "none"] + more)
            return (run.status, run.errors)
        }
        var (status, said) = try await refusal(["--listen", "tls:127.0.0.1:0"])
        #expect(status == 64 && said.contains("--tls-certificate"), "\(said)")
        (status, said) = try await refusal(["--tls-certificate", certificate, "--tls-key", key])
        #expect(status == 64 && said.contains("tls:"), "\(said)")
        (status, said) = try await refusal(["--listen", "tls:127.0.0.1:0", "--tls-certificate", certificate])
        #expect(status == 64 && said.contains("belong together"), "\(said)")
        try File.replace(key, with: SelfSigned(names: ["IP:127.0.0.1"]).key, mode: 0o600)
        (status, said) = try await refusal(listening)
        #expect(status == 3 && said.contains(key), "\(said)")
        try File.replace(key, with: Array("no key".utf8), mode: 0o644)
        (status, said) = try await refusal(listening)
        #expect(status == 3 && said.contains("chmod 600"), "\(said)")
        // Without a token, TLS opens it to nobody else.
        (status, said) = try await refusal(["--listen", "tls:0.0.0.0:0"] + listening.dropFirst(2))
        #expect(status != 0 && !said.isEmpty)
    }
}
