import COpenSSL
import Glibc

/// A SHA-256 (FIPS 180-4) of bytes that come piece by piece.
@safe package struct SHA256: ~Copyable {
    /// Bytes of a digest.
    package static let size = 32

    private let context: OpaquePointer

    package init() { unsafe context = Self.newContext() }

    deinit { unsafe EVP_MD_CTX_free(context) }

    package mutating func update(_ bytes: UnsafeRawBufferPointer) {
        unsafe OpenSSL.require(EVP_DigestUpdate(context, bytes.baseAddress, bytes.count))
    }

    /// Of what has come so far; more may come.
    package var digest: [UInt8] {
        let copy = unsafe OpenSSL.require(EVP_MD_CTX_new())
        defer { unsafe EVP_MD_CTX_free(copy) }
        unsafe OpenSSL.require(EVP_MD_CTX_copy_ex(copy, context))
        return unsafe [UInt8](unsafeUninitializedCapacity: Self.size) { bytes, count in
            unsafe OpenSSL.require(EVP_DigestFinal_ex(copy, bytes.baseAddress, nil))
            count = Self.size
        }
    }

    // MARK: All at once

    package static func digest(of bytes: [UInt8]) -> [UInt8] {
        unsafe [UInt8](unsafeUninitializedCapacity: size) { digest, count in
            unsafe bytes.withUnsafeBytes { unsafe write(digestOf: $0, to: UnsafeMutableRawBufferPointer(digest)) }
            count = size
        }
    }

    /// Of one piece, or of two, one after the other. Allocates nothing but a thread's first time.
    package static func write(
        digestOf piece: UnsafeRawBufferPointer, _ second: UnsafeRawBufferPointer? = nil,
        to digest: UnsafeMutableRawBufferPointer
    ) {
        precondition(digest.count == size, "a digest has 32 bytes")
        let context = unsafe threadContext()
        // Begins anew with the digest that it has.
        unsafe OpenSSL.require(EVP_DigestInit_ex2(context, nil, nil))
        unsafe OpenSSL.require(EVP_DigestUpdate(context, piece.baseAddress, piece.count))
        if let second = unsafe second {
            unsafe OpenSSL.require(EVP_DigestUpdate(context, second.baseAddress, second.count))
        }
        unsafe OpenSSL.require(EVP_DigestFinal_ex(context, digest.assumingMemoryBound(to: UInt8.self).baseAddress, nil))
    }

    // MARK: Contexts

    /// What OpenSSL calls SHA-256: found once, as that takes longer than hashing with it.
    // The library counts references to it atomically and changes nothing else of it.
    private nonisolated(unsafe) static let algorithm: OpaquePointer = {
        OpenSSL.start
        return unsafe OpenSSL.require(EVP_MD_fetch(nil, "SHA256", nil))
    }()

    private static func newContext() -> OpaquePointer {
        let context = unsafe OpenSSL.require(EVP_MD_CTX_new())
        unsafe OpenSSL.require(EVP_DigestInit_ex2(context, algorithm, nil))
        return unsafe context
    }

    /// A thread keeps a context until it ends: to make one takes about as long as to hash 64 bytes.
    private static let contextKey: pthread_key_t = {
        var key = pthread_key_t()
        let code = unsafe pthread_key_create(&key) { unsafe EVP_MD_CTX_free(OpaquePointer($0)) }
        precondition(code == 0, "the process has no room for one more key of threads")
        return key
    }()

    /// The calling thread's, in use by nobody: nothing that hashes calls out.
    private static func threadContext() -> OpaquePointer {
        if let context = unsafe pthread_getspecific(contextKey) { return OpaquePointer(context) }
        let context = unsafe newContext()
        let code = unsafe pthread_setspecific(contextKey, UnsafeRawPointer(context))
        precondition(code == 0, "there is no memory for what a thread keeps")
        return unsafe context
    }
}
