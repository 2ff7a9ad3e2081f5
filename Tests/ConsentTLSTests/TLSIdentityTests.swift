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
