import COpenSSL
import ConsentCrypto

/// A certificate that nobody vouches for but itself, for measurements and tests: the server shows it, and the client trusts
/// it alone.
// Sendable because nothing changes once it is made.
@safe package final class SelfSigned: @unchecked Sendable {
    let x509: OpaquePointer
    /// PEM.
    package let certificate: [UInt8]
    /// PEM.
    package let key: [UInt8]

    /// - Parameters:
    ///   - names: as a certificate lists them, such as `DNS:localhost` and `IP:127.0.0.1`.
    ///   - seconds: how long it is valid; a negative number makes one that is not any more.
    package init(names: [String], seconds: Int = 86_400) {
        OpenSSL.start
        let pair = unsafe OpenSSL.require(copenssl_new_p256_key())
        defer { unsafe EVP_PKEY_free(pair) }
        let x509 = unsafe OpenSSL.require(X509_new())
        unsafe self.x509 = x509
        unsafe OpenSSL.require(X509_set_version(x509, 2))
        unsafe OpenSSL.require(ASN1_INTEGER_set_uint64(X509_get_serialNumber(x509), .random(in: 1...UInt64(Int64.max))))
        _ = unsafe X509_gmtime_adj(X509_getm_notBefore(x509), min(-3600, seconds * 2))
        _ = unsafe X509_gmtime_adj(X509_getm_notAfter(x509), seconds)
        unsafe OpenSSL.require(X509_set_pubkey(x509, pair))
        let name = unsafe X509_get_subject_name(x509)
        unsafe OpenSSL.require(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, "consentd", -1, -1, 0))
        unsafe OpenSSL.require(X509_set_issuer_name(x509, name))
        for (kind, value) in [(NID_subject_alt_name, names.joined(separator: ",")), (NID_basic_constraints, "CA:TRUE")]
        {
            let part = unsafe OpenSSL.require(X509V3_EXT_conf_nid(nil, nil, kind, value))
            defer { unsafe X509_EXTENSION_free(part) }
            unsafe OpenSSL.require(X509_add_ext(x509, part, -1))
        }
        precondition(unsafe X509_sign(x509, pair, EVP_sha256()) > 0, "OpenSSL has no memory")
        certificate = unsafe Self.text { unsafe PEM_write_bio_X509($0, x509) }
        key = unsafe Self.text { unsafe PEM_write_bio_PrivateKey($0, pair, nil, nil, 0, nil, nil) }
    }

    deinit { unsafe X509_free(x509) }

    private static func text(_ write: (OpaquePointer) -> Int32) -> [UInt8] {
        let memory = unsafe OpenSSL.require(BIO_new(BIO_s_mem()))
        defer { unsafe BIO_free(memory) }
        unsafe OpenSSL.require(write(memory))
        var bytes: UnsafePointer<CChar>?
        let count = unsafe copenssl_held(memory, &bytes)
        return unsafe Array(UnsafeRawBufferPointer(start: bytes, count: count))
    }
}
