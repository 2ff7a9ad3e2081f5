import ConsentKernel
import Synchronization

/// Who a server is: its certificate and key, read again when their files change, as they do when a certificate is renewed.
package final class TLSIdentity: Sendable {
    private struct State {
        var context: TLSContext
        /// Of both files, as the context was made from them.
        var contents: [[UInt8]]
        /// Monotonic nanoseconds.
        var lookedAt: Int64
        var lastTrouble: String?
    }

    private let certificates: String
    private let key: String
    private let trouble: @Sendable (String) -> Void
    private let state: Mutex<State>

    private static let lookNanos: Int64 = 1_000_000_000
    private static let sizeMax = 1 << 20

    /// - Parameters:
    ///   - certificates: file with the server's certificate and those that lead to a known authority, in this order (PEM).
    ///   - key: file with its private key (PEM), which nobody but its owner and group may read.
    ///   - trouble: is told, once, why files that have changed cannot be used; those before them are used on.
    /// - Throws: ``TLSFailure``.
    package init(
        certificates: String, key: String, trouble: @escaping @Sendable (String) -> Void
    ) throws(TLSFailure) {
        self.certificates = certificates
        self.key = key
        self.trouble = trouble
        let contents = try Self.read(certificates, key)
        state = Mutex(
            State(
                context: try .server(certificates: certificates, key: key), contents: contents,
                lookedAt: Clock.monotonicNanos()))
    }

    package var context: TLSContext { state.withLock { $0.context } }

    /// Looks, once a second at the most, whether the files have changed.
    package func refresh(_ now: Int64) {
        let before: [[UInt8]]? = state.withLock { state in
            guard now - state.lookedAt >= Self.lookNanos else { return nil }
            state.lookedAt = now
            return state.contents
        }
        guard let before else { return }
        do throws(TLSFailure) {
            let contents = try Self.read(certificates, key)
            // Others go on with the one from before while the files are read.
            let context = contents == before ? nil : try TLSContext.server(certificates: certificates, key: key)
            state.withLock { state in
                state.lastTrouble = nil
                guard let context else { return }
                (state.context, state.contents) = (context, contents)
            }
        } catch {
            let isNew = state.withLock { state in
                defer { state.lastTrouble = error.description }
                return state.lastTrouble != error.description
            }
            if isNew { trouble("\(error); the certificate from before is used on") }
        }
    }

    private static func read(_ certificates: String, _ key: String) throws(TLSFailure) -> [[UInt8]] {
        let mode: UInt32
        let contents: [[UInt8]]
        do throws(SystemError) {
            mode = try FileDescriptor.open(key, .readOnly).mode()
            contents = [try File.read(certificates, sizeMax: sizeMax), try File.read(key, sizeMax: sizeMax)]
        } catch {
            throw TLSFailure("\(error)")
        }
        guard mode & 0o007 == 0 else {
            throw TLSFailure("the private key '\(key)' may be read by others; run 'chmod 600 \(key)'")
        }
        return contents
    }
}
