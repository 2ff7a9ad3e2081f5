import COpenSSL

/// A SHA-256 (FIPS 180-4) of bytes that come piece by piece. A value: a copy goes on by itself.
///
/// By OpenSSL's functions for this one hash. Those for any hash, which it recommends since version 3, make what they hash
/// in anew each time: the chain's five hashes an event would be five allocations and half as much time again.
@safe package struct SHA256: Sendable {
    /// Bytes of a digest.
    package static let size = 32

    private var context = SHA256_CTX()

    package init() { unsafe OpenSSL.require(SHA256_Init(&context)) }

    package mutating func update(_ bytes: UnsafeRawBufferPointer) {
        unsafe OpenSSL.require(SHA256_Update(&context, bytes.baseAddress, bytes.count))
    }

    /// Of what has come so far; more may come.
    package var digest: [UInt8] {
        unsafe [UInt8](unsafeUninitializedCapacity: Self.size) { bytes, count in
            unsafe write(to: UnsafeMutableRawBufferPointer(bytes))
            count = Self.size
        }
    }

    /// As above, without an array.
    private func write(to digest: UnsafeMutableRawBufferPointer) {
        precondition(digest.count == Self.size, "a digest has 32 bytes")
        var context = context
        unsafe OpenSSL.require(SHA256_Final(digest.assumingMemoryBound(to: UInt8.self).baseAddress, &context))
    }

    package static func digest(of bytes: [UInt8]) -> [UInt8] {
        var hash = SHA256()
        unsafe bytes.withUnsafeBytes { unsafe hash.update($0) }
        return hash.digest
    }

    /// Of one piece, or of two, one after the other. Allocates nothing.
    package static func write(
        digestOf piece: UnsafeRawBufferPointer, _ second: UnsafeRawBufferPointer? = nil,
        to digest: UnsafeMutableRawBufferPointer
    ) {
        var hash = SHA256()
        unsafe hash.update(piece)
        if let second = unsafe second { unsafe hash.update(second) }
        unsafe hash.write(to: digest)
    }
}
