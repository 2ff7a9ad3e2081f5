import COpenSSL
import ConsentCrypto

/// What connections have in common: who this side is, or whom it trusts. TLS 1.3 alone is spoken.
// Sendable because nothing is set once it is made, and OpenSSL counts references itself.
@safe package final class TLSContext: @unchecked Sendable {
    let raw: OpaquePointer
    let isServer: Bool

    private init(isServer: Bool) throws(TLSFailure) {
        OpenSSL.start
        self.isServer = isServer
        let method = unsafe isServer ? TLS_server_method() : TLS_client_method()
        unsafe raw = OpenSSL.require(SSL_CTX_new(method))
        unsafe OpenSSL.require(copenssl_take_tls13_only(raw))
        // A connection lasts; making it again by a ticket would save little, and ask for state.
        unsafe OpenSSL.require(SSL_CTX_set_num_tickets(raw, 0))
        // Most connections are silent most of the time.
        unsafe copenssl_release_buffers(raw)
        // A key that wants a passphrase is none: nobody is there to be asked.
        unsafe SSL_CTX_set_default_passwd_cb(raw) { _, _, _, _ in -1 }
    }

    deinit { unsafe SSL_CTX_free(raw) }

    /// Of a server.
    ///
    /// - Parameters:
    ///   - certificates: file with its certificate and those that lead to a known authority, in this order (PEM).
    ///   - key: file with the certificate's private key (PEM), without a passphrase.
    /// - Throws: ``TLSFailure`` if a file cannot be read or the key is another one's.
    package static func server(certificates: String, key: String) throws(TLSFailure) -> TLSContext {
        let context = try TLSContext(isServer: true)
        guard unsafe SSL_CTX_use_certificate_chain_file(context.raw, certificates) == 1 else {
            throw .last("'\(certificates)' is no file of certificates (PEM)")
        }
        guard unsafe SSL_CTX_use_PrivateKey_file(context.raw, key, SSL_FILETYPE_PEM) == 1 else {
            throw .last("'\(key)' is not the private key (PEM) of the certificate in '\(certificates)'")
        }
        // A key of another kind than the certificate's is taken until here.
        guard unsafe SSL_CTX_check_private_key(context.raw) == 1 else {
            throw .last("'\(key)' is not the private key of the certificate in '\(certificates)'")
        }
        return context
    }

    /// Of a client that trusts one server alone.
    package static func client(trusting server: SelfSigned) throws(TLSFailure) -> TLSContext {
        let context = try verifying()
        guard unsafe X509_STORE_add_cert(SSL_CTX_get_cert_store(context.raw), server.x509) == 1 else {
            throw .last("the certificate cannot be trusted")
        }
        return context
    }

    /// Of a client, which takes no server that cannot prove its name.
    ///
    /// - Parameter authorities: file with the certificates that are trusted (PEM); nil: those that the machine trusts.
    /// - Throws: ``TLSFailure`` if the file cannot be read.
    package static func client(authorities: String?) throws(TLSFailure) -> TLSContext {
        let context = try verifying()
        if let authorities {
            guard unsafe SSL_CTX_load_verify_file(context.raw, authorities) == 1 else {
                throw .last("'\(authorities)' is no file of certificates (PEM)")
            }
        } else if unsafe SSL_CTX_set_default_verify_paths(context.raw) != 1 {
            throw .last("the certificates that this machine trusts cannot be read")
        }
        return context
    }

    /// Of a client that trusts nobody yet.
    private static func verifying() throws(TLSFailure) -> TLSContext {
        let context = try TLSContext(isServer: false)
        unsafe SSL_CTX_set_verify(context.raw, SSL_VERIFY_PEER, nil)
        return context
    }
}
