import ConsentKernel
import ConsentTLS
import ConsentTestSupport
import Synchronization
import Testing

struct TLSIdentityTests {
    private let folder = TemporaryFolder()
    private static let second: Int64 = 1_000_000_000

    private func failure(_ body: () throws -> Void) -> String? {
        do {
            try body()
            return nil
        } catch {
            return "\(error)"
        }
    }

    @Test func aRenewedCertificateIsShownWithoutAStart() throws {
        let files = try CertificateFiles(SelfSigned(names: ["DNS:a"]), in: folder)
        let identity = try files.identity()
        let before = identity.context
        let now = Clock.monotonicNanos()
        identity.refresh(now + 2 * Self.second)
        #expect(identity.context === before)
        try files.write(SelfSigned(names: ["DNS:a"]))
        identity.refresh(now + 2 * Self.second)
        #expect(identity.context === before, "within a second it is not looked at again")
        identity.refresh(now + 4 * Self.second)
        #expect(identity.context !== before)
    }

    @Test func aRenewalThatCannotBeUsedIsSaidOnceAndTheOneBeforeGoesOn() throws {
        let files = try CertificateFiles(SelfSigned(names: ["DNS:a"]), in: folder)
        let said = Mutex<[String]>([])
        let identity = try files.identity { message in said.withLock { $0.append(message) } }
        let before = identity.context
        // Half of a renewal: the key is still the old one.
        try File.replace(files.certificates, with: SelfSigned(names: ["DNS:a"]).certificate)
        let now = Clock.monotonicNanos()
        for round in 1...3 { identity.refresh(now + Int64(round) * 2 * Self.second) }
        #expect(identity.context === before)
        let messages = said.withLock { $0 }
        #expect(messages.count == 1 && messages[0].contains(files.key), "\(messages)")
        try files.write(SelfSigned(names: ["DNS:a"]))
        identity.refresh(now + 10 * Self.second)
        #expect(identity.context !== before)
    }

    @Test func aKeyThatOthersMayReadIsRefused() throws {
        let certificate = SelfSigned(names: ["DNS:a"])
        let files = try CertificateFiles(certificate, in: folder)
        try File.replace(files.key, with: certificate.key, mode: 0o604)
        #expect(failure { _ = try files.identity() }?.contains("chmod 600") == true)
        try File.replace(files.key, with: certificate.key, mode: 0o640)
        #expect(failure { _ = try files.identity() } == nil)
    }

    /// Where nobody sits at a terminal, asking for a passphrase would be waiting for ever.
    @Test func aKeyThatWantsAPassphraseIsRefusedAtOnce() throws {
        let files = try CertificateFiles(SelfSigned(names: ["DNS:a"]), in: folder)
        let key = """
            -----BEGIN ENCRYPTED PRIVATE KEY-----
            MIHsMFcGCSqGSIb3DQEFDTBKMCkGCSqGSIb3DQEFDDAcBAixjReCBZv8vgICCAAw
            DAYIKoZIhvcNAgkFADAdBglghkgBZQMEASoEEEOe1WXUYFRfsgysCXI/tS4EgZBX
            OiAXX/S8OFU320dBa0Zuyq0z09vDmFVM4cKC9ortG5HIWvAeZZMu8tqLg+Se6Yex
            vt6AYmLGFf0hWp9WbwzSa4t8hhbHa1hmPEYtM1f2Jd6UE/8iMKZxGfL/isiiOw6R
            40OvWv4CNqICPL0k+ffzR8O+zXjxp9qVLlpiwaVcYdxwra+sBf6L3f4xDkUJYlk=
            -----END ENCRYPTED PRIVATE KEY-----
            """
        try File.replace(files.key, with: Array(key.utf8), mode: 0o600)
        #expect(failure { _ = try files.identity() }?.contains(files.key) == true)
    }

    /// OpenSSL takes each of the two by itself. The key is that of RFC 8410, 10.3.
    @Test func aKeyOfAnotherKindThanTheCertificateIsRefused() throws {
        let files = try CertificateFiles(SelfSigned(names: ["DNS:a"]), in: folder)
        let key = """
            -----BEGIN PRIVATE KEY-----
            MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC
            -----END PRIVATE KEY-----
            """
        try File.replace(files.key, with: Array(key.utf8), mode: 0o600)
        #expect(failure { _ = try files.identity() }?.contains(files.key) == true)
    }

    @Test(arguments: ["", ".example.com", String(repeating: "a", count: 254), "a\0b"])
    func aNameThatNobodyCanHaveIsRefused(name: String) {
        #expect(throws: TLSFailure.self) { _ = try TLSPeer(name: name, authorities: nil) }
    }

    @Test func filesThatAreMissingOrWrongAreNamed() throws {
        let files = try CertificateFiles(SelfSigned(names: ["DNS:a"]), in: folder)
        try File.replace(files.key, with: SelfSigned(names: ["DNS:a"]).key, mode: 0o600)
        #expect(failure { _ = try files.identity() }?.contains(files.key) == true)
        try File.replace(files.certificates, with: Array("no certificate".utf8))
        #expect(failure { _ = try files.identity() }?.contains(files.certificates) == true)
        try File.remove(files.certificates)
        #expect(failure { _ = try files.identity() }?.contains(files.certificates) == true)
        let none = folder.path("none.pem")
        #expect(failure { _ = try TLSPeer(name: "a", authorities: none) }?.contains(none) == true)
    }
}
