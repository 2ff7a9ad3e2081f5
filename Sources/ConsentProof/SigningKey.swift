import ConsentCrypto

/// The key that a node signs with: Ed25519 (RFC 8032). Its file holds the 32 bytes of the seed, mode 0600.
package struct SigningKey: Sendable {
    /// Bytes of the seed.
    package static let size = Ed25519.seedSize

    private let key: Ed25519.PrivateKey

    /// Nil unless there are 32 bytes.
    package init?(bytes: [UInt8]) {
        guard let key = Ed25519.PrivateKey(seed: bytes) else { return nil }
        self.key = key
    }

    package var verificationKey: VerificationKey { VerificationKey(known: key.publicKey) }

    /// 64 bytes.
    package func signature(over bytes: [UInt8]) -> [UInt8] { key.signature(over: bytes) }
}

/// The public half of a ``SigningKey``: what others need to check what a node has signed.
package struct VerificationKey: Hashable, Sendable, CustomStringConvertible {
    /// 32 bytes.
    package let bytes: [UInt8]

    fileprivate init(known bytes: [UInt8]) { self.bytes = bytes }

    /// Nil unless there are 32 bytes. Under bytes that are no key, no signature is valid.
    package init?(bytes: [UInt8]) {
        guard bytes.count == Ed25519.publicKeySize else { return nil }
        self.bytes = bytes
    }

    /// Reads 64 hexadecimal digits.
    package init?(hex: String) {
        guard let bytes = [UInt8](hex: hex) else { return nil }
        self.init(bytes: bytes)
    }

    package var description: String { bytes.hex }

    package func isValid(_ signature: [UInt8], over bytes: [UInt8]) -> Bool {
        Ed25519.isValid(signature, over: bytes, publicKey: self.bytes)
    }

    /// As a DID of the method `key` (W3C): multicodec ed25519-pub in base58btc.
    package var did: String { "did:key:" + multibase }
    package var multibase: String { "z" + Base58.encode([0xED, 0x01] + bytes) }
}

/// Bytes as text in Bitcoin's alphabet: no sign looks like another.
package enum Base58 {
    private static let alphabet = Array("123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz".utf8)

    package static func encode(_ bytes: [UInt8]) -> String {
        var digits: [UInt8] = []
        for byte in bytes {
            var carry = Int(byte)
            for position in digits.indices {
                carry += Int(digits[position]) << 8
                digits[position] = UInt8(carry % 58)
                carry /= 58
            }
            while carry > 0 {
                digits.append(UInt8(carry % 58))
                carry /= 58
            }
        }
        let zeros = [UInt8](repeating: alphabet[0], count: bytes.prefix { $0 == 0 }.count)
        return String(decoding: zeros + digits.reversed().map { alphabet[Int($0)] }, as: UTF8.self)
    }

    /// No key or signature is longer; the work grows with the square of the size.
    private static let sizeMax = 128

    /// Nil for a text with another character, or one that is longer than any that is meant.
    package static func decode(_ text: String) -> [UInt8]? {
        guard text.utf8.count <= sizeMax else { return nil }
        var bytes: [UInt8] = []
        for character in text.utf8 {
            guard var carry = alphabet.firstIndex(of: character) else { return nil }
            for position in bytes.indices {
                carry += Int(bytes[position]) * 58
                bytes[position] = UInt8(carry & 0xFF)
                carry >>= 8
            }
            while carry > 0 {
                bytes.append(UInt8(carry & 0xFF))
                carry >>= 8
            }
        }
        return text.utf8.prefix { $0 == alphabet[0] }.map { _ in 0 } + bytes.reversed()
    }
}

extension [UInt8] {
    /// Two lowercase hexadecimal digits a byte.
    package var hex: String {
        let digits = [UInt8]("0123456789abcdef".utf8)
        return String(decoding: flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }, as: UTF8.self)
    }

    /// Nil for anything but pairs of hexadecimal digits.
    package init?(hex: String) {
        let digits = hex.utf8.map { Character(UnicodeScalar($0)).hexDigitValue }
        guard digits.count % 2 == 0, !digits.contains(nil) else { return nil }
        self = stride(from: 0, to: digits.count, by: 2).map { UInt8(digits[$0]! << 4 | digits[$0 + 1]!) }
    }
}
