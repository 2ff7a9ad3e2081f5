import ConsentCrypto

/// The SHA-256 of a file's first bytes. Where they end is known only after some of the bytes behind them were read, so
/// those wait here.
package struct PrefixDigest {
    package static let size = SHA256.size

    private var hash = SHA256()
    /// How far it reaches.
    private var end: UInt64 = 0
    private var waiting: [UInt8] = []
    /// Of those that wait, so many are hashed already.
    private var taken = 0

    package init() {}

    /// Takes the next bytes of the file.
    package mutating func read(_ bytes: [UInt8]) {
        waiting.removeFirst(taken)
        taken = 0
        waiting += bytes
    }

    /// Reaches on to a place among the bytes that were read.
    ///
    /// - Returns: the digest of everything before it.
    package mutating func advance(to offset: UInt64) -> [UInt8] {
        let count = Int(offset - end)
        precondition(taken + count <= waiting.count, "a digest reaches over bytes that were read")
        waiting.withUnsafeBytes {
            hash.update(UnsafeRawBufferPointer(rebasing: $0[taken..<taken + count]))
        }
        taken += count
        end = offset
        return value
    }

    /// Eight hexadecimal digits that tell one text from another.
    package static func mark(of text: String) -> String {
        SHA256.digest(of: Array(text.utf8)).prefix(4).map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }
            .joined()
    }

    /// The digest as far as it reaches.
    package var value: [UInt8] { hash.digest }
}
