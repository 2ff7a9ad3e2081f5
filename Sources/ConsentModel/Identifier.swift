/// One name of a data subject: a type and its value, in the form in which it is hashed and kept. ``normalize(_:type:)``
/// says which spellings are the same identifier; the form is made here, once, so that what is recorded and what is
/// asked always meet.
package struct Identifier: Hashable, Sendable {
    package let type: IdentifierType
    package let value: String

    /// The value must already be valid UTF-8, which a `String` is.
    ///
    /// - Throws: ``AdmissionError`` `identifierEmpty`, `identifierTooLong`, `identifierInvalid`, `nationalIDIsHash` or
    ///   `identifierWithoutNormalForm`.
    package init(type: IdentifierType, value: String) throws(AdmissionError) {
        var value = value
        let made = value.withUTF8 { bytes in
            Result { () throws(AdmissionError) in try Identifier(type: type, utf8: bytes) }
        }
        self = try made.get()
    }

    /// As above, of bytes that must be valid UTF-8 already.
    package init(type: IdentifierType, utf8 value: UnsafeBufferPointer<UInt8>) throws(AdmissionError) {
        let size = value.count
        guard size <= Limit.identifierSizeMax else { throw .identifierTooLong(type, size: size) }
        let normal: Result<String, IdentifierFault> =
            withUnsafeTemporaryAllocation(of: UInt8.self, capacity: size) { bytes in
                _ = bytes.initialize(fromContentsOf: value)
                return Result { () throws(IdentifierFault) in
                    let normalSize = try Self.normalize(bytes, type: type)
                    return String(decoding: UnsafeBufferPointer(rebasing: bytes[..<normalSize]), as: UTF8.self)
                }
            }
        switch normal {
        case .success(let normal): self.init(recorded: type, value: normal)
        case .failure(let fault): throw AdmissionError(fault, of: type)
        }
    }

    /// Reads `email:kari@example.no`.
    package init(text: String) throws(AdmissionError) {
        guard let colon = text.firstIndex(of: ":"), let type = IdentifierType(name: String(text[..<colon])) else {
            throw .identifierTypeUnknown(text)
        }
        try self.init(type: type, value: String(text[text.index(after: colon)...]))
    }

    /// As a record has it: judged at the door, and in the normal form of the version that recorded it.
    package init(recorded type: IdentifierType, value: String) {
        self.type = type
        self.value = value
    }

    package var text: String { "\(type.name):\(value)" }

    // Byte for byte, as it is hashed: a String's own equality takes canonically equivalent spellings for the same.
    package static func == (left: Identifier, right: Identifier) -> Bool {
        left.type == right.type && left.value.hasBytes(of: right.value)
    }

    package func hash(into hasher: inout Hasher) {
        hasher.combine(type)
        for byte in value.utf8 { hasher.combine(byte) }
    }
}

extension String {
    /// Whether another text is the same, byte for byte.
    func hasBytes(of other: String) -> Bool {
        var (left, right) = (self, other)
        return left.withUTF8 { left in right.withUTF8 { left.count == $0.count && left.elementsEqual($0) } }
    }
}

extension Identifier {
    /// Whether the value is long enough to tell a person by it wherever it stands; a short one is found by chance in any
    /// text.
    package var isTelling: Bool { value.utf8.count >= Self.tellingSizeMin }
    private static let tellingSizeMin = 6

    /// Whether a text holds the value, whatever the case of its ASCII letters.
    package func isNamed(in text: String) -> Bool {
        guard !value.isEmpty, text.utf8.count >= value.utf8.count else { return false }
        var (text, value) = (text, value)
        return text.withUTF8 { text in value.withUTF8 { Self.holds(text, $0) } }
    }

    /// Whether a text holds a value, in a time that only grows with their sizes (Knuth, Morris and Pratt): where they
    /// differ, what stood there before says how much of the value stands there already.
    private static func holds(_ text: UnsafeBufferPointer<UInt8>, _ value: UnsafeBufferPointer<UInt8>) -> Bool {
        func lower(_ byte: UInt8) -> UInt8 { byte >= 0x41 && byte <= 0x5A ? byte | 0x20 : byte }
        return withUnsafeTemporaryAllocation(of: Int.self, capacity: value.count) { borders in
            // Of the value up to a position: how much of its beginning is its end, too.
            borders.initialize(repeating: 0)
            var size = 0
            func step(_ byte: UInt8) {
                while size > 0, lower(value[size]) != byte { size = borders[size - 1] }
                if lower(value[size]) == byte { size += 1 }
            }
            for position in 1..<max(1, value.count) {
                step(lower(value[position]))
                borders[position] = size
            }
            size = 0
            for byte in text {
                step(lower(byte))
                if size == value.count { return true }
            }
            return false
        }
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
