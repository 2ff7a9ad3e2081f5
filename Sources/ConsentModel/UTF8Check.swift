/// Whether bytes are text.
package enum UTF8Check {
    /// RFC 3629: no overlong form, no surrogate, nothing past U+10FFFF.
    package static func isValid(_ bytes: UnsafeRawBufferPointer) -> Bool {
        var position = 0
        // Nearly all text is ASCII: eight bytes at once, as far as it goes.
        while position + 8 <= bytes.count,
            bytes.loadUnaligned(fromByteOffset: position, as: UInt64.self) & 0x8080_8080_8080_8080 == 0
        {
            position += 8
        }
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
}
