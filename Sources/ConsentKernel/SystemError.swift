import Glibc

/// A system call that failed, with what it was about.
package struct SystemError: Error, CustomStringConvertible, Equatable {
    package let operation: String
    /// The path or address; empty where there is none.
    package let subject: String
    package let code: Int32

    package init(_ operation: String, _ subject: String = "", code: Int32 = errno) {
        self.operation = operation
        self.subject = subject
        self.code = code
    }

    package var description: String {
        let reason = unsafe String(cString: strerror(code))
        return subject.isEmpty ? "\(operation): \(reason)" : "\(operation) \(subject): \(reason)"
    }

    package var isFull: Bool { code == ENOSPC || code == EDQUOT }
    package var isMissing: Bool { code == ENOENT }
}

/// Repeats a system call that a signal interrupted.
///
/// - Returns: the call's result, never negative.
/// - Throws: its `errno`.
@discardableResult
func retrying(
    _ operation: String, _ subject: @autoclosure () -> String = "", call: () -> Int
) throws(SystemError) -> Int {
    while true {
        let result = call()
        if result >= 0 { return result }
        let code = errno
        // A descriptor that is not open, or an address that is not ours, is a fault of this program.
        precondition(code != EBADF && code != EFAULT, "\(operation) \(subject()): bad descriptor or address")
        if code != EINTR { throw SystemError(operation, subject(), code: code) }
    }
}

/// What a transfer on a non-blocking descriptor came to.
package enum Transfer: Equatable {
    case bytes(Int)
    /// Nothing can be transferred now.
    case wouldBlock
    /// The peer has closed, or the connection broke.
    case closed
}
