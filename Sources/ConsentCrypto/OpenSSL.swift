import COpenSSL

// Everything that is asked of OpenSSL is asked in this target. It answers with a failure only where it is out of memory,
// which is a precondition here as everywhere: SHA-256 and Ed25519 are of its built-in provider, and as no configuration
// is read, none of the machine takes that away.

package enum OpenSSL {
    /// Stands before the first use. The library is not torn down when the process exits, since threads that hash may run
    /// until the very end.
    package static let start: Void = {
        let options = UInt64(OPENSSL_INIT_NO_ATEXIT) | UInt64(OPENSSL_INIT_NO_LOAD_CONFIG)
        require(OPENSSL_init_crypto(options, nil))
    }()

    package static func require(_ result: Int32) { precondition(result == 1, "OpenSSL has no memory") }

    /// A pointer that is nil only where there is no memory.
    package static func require<Pointer>(_ pointer: Pointer?) -> Pointer {
        guard let pointer = pointer else { preconditionFailure("OpenSSL has no memory") }
        return pointer
    }
}
