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
        let size = value.utf8.count
        guard size <= Limit.identifierSizeMax else { throw .identifierTooLong(type, size: size) }
        let normal: String? = withUnsafeTemporaryAllocation(of: UInt8.self, capacity: size) { bytes in
            _ = bytes.initialize(from: value.utf8)
            guard Self.isText(UnsafeBufferPointer(bytes)) else { return nil }
            let normalSize = Self.normalize(bytes, type: type)
            return String(decoding: UnsafeBufferPointer(rebasing: bytes[..<normalSize]), as: UTF8.self)
        }
        guard let normal else { throw .identifierInvalid(type) }
        guard !normal.isEmpty else { throw .identifierEmpty(type) }
        self.type = type
        self.value = normal
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
        return isASCII || UTF8Check.isValid(UnsafeRawBufferPointer(bytes))
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
    /// Whether the value is long enough to tell a person by it wherever it stands; a short one is found by chance in any
    /// text.
    package var isTelling: Bool { value.utf8.count >= Self.tellingSizeMin }
    private static let tellingSizeMin = 6

    /// Whether a text holds the value, whatever the case of its ASCII letters.
    package func isNamed(in text: String) -> Bool {
        guard text.utf8.count >= value.utf8.count else { return false }
        func lower(_ byte: UInt8) -> UInt8 { byte >= 0x41 && byte <= 0x5A ? byte | 0x20 : byte }
        let (text, value) = (text.utf8.map(lower), value.utf8.map(lower))
        return (0...text.count - value.count).contains { text[$0..<$0 + value.count].elementsEqual(value) }
    }
}

extension Identifier {
    /// What stands in a record in place of a national id: `#` and its keyed hash.
    package init(nationalIDHash bytes: [UInt8]) {
        type = .nationalId
        value = "#" + bytes.map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }.joined()
    }

    /// The hash that stands in place of a national id; nil if this is none.
    package var nationalIDHash: [UInt8]? {
        let digits = value.dropFirst().compactMap(\.hexDigitValue)
        guard type == .nationalId, value.first == "#", digits.count == 32, value.utf8.count == 33 else { return nil }
        return (0..<16).map { UInt8(digits[2 * $0] << 4 | digits[2 * $0 + 1]) }
    }
}
