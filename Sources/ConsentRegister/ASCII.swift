extension UInt8 {
    var isBlank: Bool { self == UInt8(ascii: " ") || self == UInt8(ascii: "\t") }

    /// The small form of an ASCII letter; every other byte is itself.
    var lowercased: UInt8 { self >= UInt8(ascii: "A") && self <= UInt8(ascii: "Z") ? self | 0x20 : self }
}

extension UnsafeBufferPointer<UInt8> {
    /// Without the blanks around it.
    var trimmed: UnsafeBufferPointer<UInt8> {
        var (start, end) = (0, count)
        while start < end, self[start].isBlank { start += 1 }
        while end > start, self[end - 1].isBlank { end -= 1 }
        return UnsafeBufferPointer(rebasing: self[start..<end])
    }

    /// Whether other bytes are the same; eight are compared at a time.
    func holdsSame(_ other: UnsafeBufferPointer<UInt8>) -> Bool {
        guard count == other.count else { return false }
        let (left, right) = (UnsafeRawBufferPointer(self), UnsafeRawBufferPointer(other))
        var position = 0
        while position + 8 <= count {
            guard
                left.loadUnaligned(fromByteOffset: position, as: UInt64.self)
                    == right.loadUnaligned(fromByteOffset: position, as: UInt64.self)
            else { return false }
            position += 8
        }
        while position < count {
            guard left[position] == right[position] else { return false }
            position += 1
        }
        return true
    }

    /// Its first bytes, without part of a character at their end.
    func cut(to sizeMax: Int) -> UnsafeBufferPointer<UInt8> {
        guard count > sizeMax else { return self }
        var end = sizeMax
        while end > 0, self[end] & 0xC0 == 0x80 { end -= 1 }
        return UnsafeBufferPointer(rebasing: self[..<end])
    }
}

/// Words that a field may hold, found without making text of it; capital ASCII letters count as small ones.
struct Vocabulary<Value> {
    private let words: [(bytes: [UInt8], value: Value)]

    init(_ words: [(String, Value)]) { self.words = words.map { (Array($0.0.utf8), $0.1) } }

    func value(of field: UnsafeBufferPointer<UInt8>) -> Value? {
        for word in words where word.bytes.count == field.count {
            if word.bytes.indices.allSatisfy({ word.bytes[$0] == field[$0].lowercased }) { return word.value }
        }
        return nil
    }
}
