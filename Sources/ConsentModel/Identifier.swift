/// One name of a data subject: a type and its value, in the form in which it is hashed and kept.
///
/// E-mail addresses are lower-cased (ASCII letters) and lose surrounding blanks, phone numbers lose blanks, dashes,
/// dots and brackets, and `00` in front becomes `+`. Everything else is kept byte for byte. The form is made here,
/// once, so that what is recorded and what is asked always meet.
package struct Identifier: Hashable, Sendable {
    package let type: IdentifierType
    package let value: String

    /// The value must already be valid UTF-8, which a `String` is.
    ///
    /// - Throws: ``AdmissionError`` `identifierEmpty`, `identifierTooLong` or `identifierInvalid`.
    package init(type: IdentifierType, value: some StringProtocol) throws(AdmissionError) {
        var bytes = Array(value.utf8)
        guard bytes.count <= Limit.identifierSizeMax else { throw .identifierTooLong(type, size: bytes.count) }
        guard bytes.withUnsafeBufferPointer(Self.isText) else { throw .identifierInvalid(type) }
        let size = bytes.withUnsafeMutableBufferPointer { Self.normalize($0, type: type) }
        guard size > 0 else { throw .identifierEmpty(type) }
        self.type = type
        self.value = String(decoding: bytes[..<size], as: UTF8.self)
    }

    /// Reads `email:kari@example.no`.
    package init(text: String) throws(AdmissionError) {
        guard let colon = text.firstIndex(of: ":"), let type = IdentifierType(name: String(text[..<colon])) else {
            throw .identifierTypeUnknown(text)
        }
        try self.init(type: type, value: text[text.index(after: colon)...])
    }

    package var text: String { "\(type.name):\(value)" }

    // Byte for byte, as it is hashed: a String's own equality takes canonically equivalent spellings for the same.
    package static func == (left: Identifier, right: Identifier) -> Bool {
        left.type == right.type && left.value.utf8.elementsEqual(right.value.utf8)
    }

    package func hash(into hasher: inout Hasher) {
        hasher.combine(type)
        for byte in value.utf8 { hasher.combine(byte) }
    }

    /// The one place that says which spellings are the same identifier. In place; never makes the value longer.
    ///
    /// - Returns: the size of the normal form, which stands at the front of `bytes`; zero if nothing is left of it.
    package static func normalize(_ bytes: UnsafeMutableBufferPointer<UInt8>, type: IdentifierType) -> Int {
        switch type {
        case .email: normalizeEmail(bytes)
        case .phone: normalizePhone(bytes)
        default: bytes.count
        }
    }

    /// Whether the bytes are UTF-8 without control characters.
    package static func isText(_ bytes: UnsafeBufferPointer<UInt8>) -> Bool {
        var isASCII = true
        for byte in bytes {
            if byte < 0x20 || byte == 0x7F { return false }
            if byte >= 0x80 { isASCII = false }
        }
        return isASCII || isUTF8(bytes)
    }

    /// RFC 3629: no overlong form, no surrogate, nothing past U+10FFFF.
    private static func isUTF8(_ bytes: UnsafeBufferPointer<UInt8>) -> Bool {
        var position = 0
        while position < bytes.count {
            let first = bytes[position]
            position += 1
            let (length, secondMin, secondMax): (Int, UInt8, UInt8) =
                switch first {
                case 0x00...0x7F: (0, 0, 0)
                case 0xC2...0xDF: (1, 0x80, 0xBF)
                case 0xE0: (2, 0xA0, 0xBF)
                case 0xE1...0xEC, 0xEE...0xEF: (2, 0x80, 0xBF)
                case 0xED: (2, 0x80, 0x9F)
                case 0xF0: (3, 0x90, 0xBF)
                case 0xF1...0xF3: (3, 0x80, 0xBF)
                case 0xF4: (3, 0x80, 0x8F)
                default: (-1, 0, 0)
                }
            guard length >= 0, position + length <= bytes.count else { return false }
            for step in 0..<length {
                let byte = bytes[position + step]
                guard byte >= (step == 0 ? secondMin : 0x80), byte <= (step == 0 ? secondMax : 0xBF) else {
                    return false
                }
            }
            position += length
        }
        return true
    }

    private static func normalizeEmail(_ bytes: UnsafeMutableBufferPointer<UInt8>) -> Int {
        var start = 0
        var end = bytes.count
        while start < end, bytes[start] == UInt8(ascii: " ") { start += 1 }
        while end > start, bytes[end - 1] == UInt8(ascii: " ") { end -= 1 }
        for position in start..<end {
            let byte = bytes[position]
            let isUpper = byte >= UInt8(ascii: "A") && byte <= UInt8(ascii: "Z")
            bytes[position - start] = isUpper ? byte | 0x20 : byte
        }
        return end - start
    }

    private static func normalizePhone(_ bytes: UnsafeMutableBufferPointer<UInt8>) -> Int {
        var size = 0
        for byte in bytes {
            switch byte {
            case UInt8(ascii: " "), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "("), UInt8(ascii: ")"): continue
            default:
                bytes[size] = byte
                size += 1
            }
        }
        guard size > 2, bytes[0] == UInt8(ascii: "0"), bytes[1] == UInt8(ascii: "0") else { return size }
        bytes[0] = UInt8(ascii: "+")
        for position in 2..<size { bytes[position - 1] = bytes[position] }
        return size - 1
    }
}

extension Identifier {
    /// What stands in a record in place of a national id: `#` and its keyed hash.
    package init(nationalIDHash bytes: [UInt8]) {
        type = .nationalId
        value = "#" + bytes.map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }.joined()
    }
}
