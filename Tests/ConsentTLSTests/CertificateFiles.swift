import ConsentKernel
import ConsentTLS
import ConsentTestSupport
import Testing

/// A certificate and its key as files.
final class CertificateFiles {
    private let folder: TemporaryFolder
    let certificates: String
    let key: String

    init(_ certificate: SelfSigned, in folder: TemporaryFolder) throws {
        self.folder = folder
        (certificates, key) = (folder.path("certificate.pem"), folder.path("key.pem"))
        try write(certificate)
    }

    func write(_ certificate: SelfSigned) throws {
        try File.replace(key, with: certificate.key, mode: 0o600)
        try File.replace(certificates, with: certificate.certificate)
    }

    func identity(trouble: @escaping @Sendable (String) -> Void = { Issue.record("\($0)") }) throws -> TLSIdentity {
        try TLSIdentity(certificates: certificates, key: key, trouble: trouble)
    }
}
