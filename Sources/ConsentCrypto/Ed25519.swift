import COpenSSL

/// Signatures by Ed25519 (RFC 8032), without a context and not of a digest ("PureEdDSA").
package enum Ed25519 {
    /// Bytes of what a private key is derived from.
    package static let seedSize = 32
    package static let publicKeySize = 32
    package static let signatureSize = 64

    /// Signs.
    // One key may sign on several threads at once: each signature has a context of its own, and nothing of the key changes.
    @safe package final class PrivateKey: @unchecked Sendable {
        private let key: OpaquePointer
        package let publicKey: [UInt8]

        /// Nil unless there are 32 bytes; any 32 are a key.
        package init?(seed: [UInt8]) {
            guard seed.count == seedSize else { return nil }
            OpenSSL.start
            let key = unsafe OpenSSL.require(
                EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, nil, seed, seed.count))
            var (publicKey, size) = ([UInt8](repeating: 0, count: publicKeySize), publicKeySize)
            unsafe OpenSSL.require(EVP_PKEY_get_raw_public_key(key, &publicKey, &size))
            unsafe self.key = key
            self.publicKey = publicKey
        }

        deinit { unsafe EVP_PKEY_free(key) }

        /// 64 bytes, the same for the same bytes.
        package func signature(over bytes: [UInt8]) -> [UInt8] {
            let context = unsafe OpenSSL.require(EVP_MD_CTX_new())
            defer { unsafe EVP_MD_CTX_free(context) }
            unsafe OpenSSL.require(EVP_DigestSignInit(context, nil, nil, nil, key))
            var (signature, size) = ([UInt8](repeating: 0, count: signatureSize), signatureSize)
            unsafe OpenSSL.require(EVP_DigestSign(context, &signature, &size, bytes, bytes.count))
            precondition(size == signatureSize, "a signature has 64 bytes")
            return signature
        }
    }

    /// Whether the owner of the key signed these bytes. What has not the size of a key or of a signature, a key that is no
    /// point of the curve, and a second spelling of a signature (RFC 8032, 5.1.7: S of the group's order or more) are
    /// refused.
    package static func isValid(_ signature: [UInt8], over bytes: [UInt8], publicKey: [UInt8]) -> Bool {
        guard publicKey.count == publicKeySize, signature.count == signatureSize else { return false }
        OpenSSL.start
        let key = unsafe OpenSSL.require(
            EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nil, publicKey, publicKey.count))
        defer { unsafe EVP_PKEY_free(key) }
        let context = unsafe OpenSSL.require(EVP_MD_CTX_new())
        defer { unsafe EVP_MD_CTX_free(context) }
        unsafe OpenSSL.require(EVP_DigestVerifyInit(context, nil, nil, nil, key))
        return unsafe EVP_DigestVerify(context, signature, signature.count, bytes, bytes.count) == 1
    }
}
