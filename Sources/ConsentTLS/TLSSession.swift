import COpenSSL
import ConsentCrypto

/// One side of a TLS connection, without the connection: what came from the network is taken, what is to go there is given.
///
/// Not safe for concurrent use. After a failure nothing is opened or sealed any more; what is still to be sent tells the
/// peer why.
@safe package final class TLSSession {
    let ssl: OpaquePointer
    /// What came and is not opened yet, and what is sealed and not sent yet. OpenSSL's, like all it holds.
    private let incoming: OpaquePointer
    private let outgoing: OpaquePointer
    private var wasEstablished = false
    /// Bytes that have come since the peer last said something.
    private var silentCount = 0
    /// Of a record (RFC 8446, 5.2).
    package static let recordSizeMax = 1 << 14 + 256
    /// Said before the peer was known.
    private var early: [UInt8] = []
    /// Why it is over; nil also where the peer has ended it in order.
    package private(set) var failure: TLSFailure?
    /// Whether nothing more will be opened.
    package private(set) var isOver = false

    /// - Parameter name: whom a client wants to reach, a host name or a numeric address; a server has none to name.
    package init(_ context: TLSContext, to name: String? = nil) {
        let ssl = unsafe OpenSSL.require(SSL_new(context.raw))
        let incoming = unsafe OpenSSL.require(BIO_new(BIO_s_mem()))
        let outgoing = unsafe OpenSSL.require(BIO_new(BIO_s_mem()))
        unsafe SSL_set_bio(ssl, incoming, outgoing)
        (unsafe self.ssl, unsafe self.incoming, unsafe self.outgoing) = unsafe (ssl, incoming, outgoing)
        if context.isServer {
            unsafe SSL_set_accept_state(ssl)
        } else {
            unsafe SSL_set_connect_state(ssl)
            // A numeric address is looked for among the addresses of a certificate, and is not said (RFC 6066, 3).
            if let name, unsafe copenssl_require_address(ssl, name) != 1 {
                // As RFC 9525 has it: not the subject's common name, and a wildcard stands for a whole label.
                unsafe SSL_set_hostflags(
                    ssl, UInt32(X509_CHECK_FLAG_NEVER_CHECK_SUBJECT | X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS))
                unsafe OpenSSL.require(SSL_set1_host(ssl, name))
                unsafe OpenSSL.require(copenssl_say_name(ssl, name))
            }
            goOn()
        }
    }

    deinit { unsafe SSL_free(ssl) }

    /// Whether each side knows the other.
    package var isEstablished: Bool { unsafe SSL_is_init_finished(ssl) == 1 }

    // MARK: From the network

    /// What the network brought. ``open(into:)`` shows what it says.
    package func take(_ bytes: UnsafeRawBufferPointer) {
        guard !isOver else { return }
        let count = unsafe BIO_write(incoming, bytes.baseAddress, Int32(bytes.count))
        precondition(count == bytes.count, "OpenSSL has no memory")
        silentCount += Int(count)
    }

    package enum Opened: Equatable {
        /// So much was written into the buffer; zero: more must come from the network first.
        case bytes(Int)
        /// The peer has said that this is the end, or ``TLSSession/failure`` says why it is.
        case over
    }

    /// Opens what has come, as far as the buffer has room. Never more bytes than were taken.
    package func open(into buffer: UnsafeMutableRawBufferPointer) -> Opened {
        var count = 0
        while count < buffer.count, !isOver {
            var size = 0
            let rest = unsafe UnsafeMutableRawBufferPointer(rebasing: buffer[count...])
            ERR_clear_error()
            let result = unsafe SSL_read_ex(ssl, rest.baseAddress, rest.count, &size)
            guard result == 1 else {
                end(result)
                break
            }
            count += size
        }
        judge(count)
        sealEarly()
        return count == 0 && isOver ? .over : .bytes(count)
    }

    /// Ends what no honest peer does. Each new key costs more than the few bytes that ask for one, and no bytes that the
    /// peer says; and what has begun in one record and not ended in it would keep back all that is to be sealed.
    private func judge(_ count: Int) {
        silentCount = count > 0 ? 0 : silentCount
        guard wasEstablished, !isOver else {
            wasEstablished = isEstablished || count > 0
            // Who shows many certificates has said nothing yet.
            if wasEstablished { silentCount = 0 }
            return
        }
        if silentCount > 2 * Self.recordSizeMax {
            fail("the peer sends much and says nothing")
        } else if !isEstablished {
            fail("a message about keys ends within a record")
        }
    }

    private func fail(_ what: String) {
        isOver = true
        failure = TLSFailure(what)
    }

    /// Goes on with what the network brought, or begins.
    private func goOn() {
        ERR_clear_error()
        end(unsafe SSL_do_handshake(ssl))
    }

    /// Whether a call of OpenSSL that returned this was the last one.
    private func end(_ result: Int32) {
        guard result <= 0 else { return }
        switch unsafe SSL_get_error(ssl, result) {
        case SSL_ERROR_WANT_READ, SSL_ERROR_WANT_WRITE: return
        case SSL_ERROR_ZERO_RETURN: isOver = true
        default:
            isOver = true
            let verified = unsafe SSL_get_verify_result(ssl)
            if verified != Int(X509_V_OK), let reason = unsafe X509_verify_cert_error_string(verified) {
                failure = TLSFailure(
                    "the server's certificate is not taken: \(unsafe String(cString: reason))", isOfCertificate: true)
            } else {
                failure = .last("TLS failed")
            }
        }
    }

    // MARK: To the network

    /// Seals bytes for the peer. Before the peer is known they wait here.
    package func seal(_ bytes: UnsafeRawBufferPointer) {
        // Who has nothing more to say may still listen.
        guard failure == nil, unsafe !bytes.isEmpty else { return }
        guard isEstablished, early.isEmpty else { return unsafe early.append(contentsOf: bytes) }
        unsafe write(bytes)
    }

    private func sealEarly() {
        guard !early.isEmpty, isEstablished, failure == nil else { return }
        unsafe early.withUnsafeBytes { unsafe write($0) }
        early = []
    }

    private func write(_ bytes: UnsafeRawBufferPointer) {
        var size = 0
        ERR_clear_error()
        unsafe end(SSL_write_ex(ssl, bytes.baseAddress, bytes.count, &size))
    }

    /// Tells the peer that nothing more will come.
    package func close() {
        guard failure == nil, isEstablished else { return }
        ERR_clear_error()
        unsafe SSL_shutdown(ssl)
    }

    /// Whether there is something to send.
    package var hasOutgoing: Bool { unsafe BIO_ctrl_pending(outgoing) > 0 }

    /// Bytes that wait for the peer to be known.
    package var earlyCount: Int { early.count }

    /// Gives what is to be sent to a function that says how much of it is, from the front.
    package func send<Failure: Error>(_ body: (UnsafeRawBufferPointer) throws(Failure) -> Int) throws(Failure) {
        var bytes: UnsafePointer<CChar>?
        let count = unsafe copenssl_held(outgoing, &bytes)
        guard count > 0 else { return }
        let sent = try unsafe body(UnsafeRawBufferPointer(start: bytes, count: count))
        if sent == count {
            unsafe BIO_ctrl(outgoing, BIO_CTRL_RESET, 0, nil)
        } else {
            drop(sent)
        }
    }

    private func drop(_ count: Int) {
        unsafe withUnsafeTemporaryAllocation(byteCount: 1 << 14, alignment: 1) { scratch in
            var left = count
            while left > 0 {
                left -= Int(unsafe BIO_read(outgoing, scratch.baseAddress, Int32(min(left, scratch.count))))
            }
        }
    }
}
