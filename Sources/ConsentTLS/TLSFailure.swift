import COpenSSL

/// What went wrong with TLS (RFC 8446), in a sentence.
package struct TLSFailure: Error, Equatable, CustomStringConvertible {
    package let description: String
    /// Whether the peer's certificate is why: the next attempt would hardly end otherwise.
    package let isOfCertificate: Bool

    package init(_ description: String, isOfCertificate: Bool = false) {
        self.description = description
        self.isOfCertificate = isOfCertificate
    }

    /// What OpenSSL last found on this thread; its list is empty afterwards.
    static func last(_ what: String) -> TLSFailure {
        let code = ERR_get_error()
        ERR_clear_error()
        guard code != 0, let reason = unsafe ERR_reason_error_string(code) else { return TLSFailure(what) }
        return TLSFailure("\(what): \(unsafe String(cString: reason))")
    }
}
