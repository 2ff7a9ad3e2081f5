/// Why a value has no normal form. It can be nobody's identifier then, and is refused where it is recorded and where it
/// is asked about alike: an answer about it could only be about somebody else.
package enum IdentifierFault: Error, Equatable, Sendable {
    /// Not UTF-8, or with control characters.
    case notText
    /// Nothing is left of it.
    case empty
    /// An e-mail address with characters whose case and composition are not settled here.
    case emailCharacters
    case phoneWithoutCountry
    /// Not a number of the country that numbers without one were said to be of.
    case phoneOfAnotherCountry
    case phoneMalformed
    case nationalIDMalformed
    /// What a history shows in place of a national id.
    case nationalIDIsHash
    /// The UUID of zeros, which devices send for everyone who does not want to be told apart.
    case nobody

    /// What is wrong, and what to do. Does not repeat the value, which is a person's.
    package var advice: String {
        switch self {
        case .notText: "the identifier holds control characters or is not UTF-8"
        case .empty: "nothing is left of the identifier in its normal form"
        case .emailCharacters:
            "the email identifier has characters other than Latin, Greek and Cyrillic letters and their marks; write the address as its owner does"
        case .phoneWithoutCountry:
            "the phone identifier has no country: write + and the country in front, as in +4790000000 ('import --phone-country 47' does so for a register)"
        case .phoneOfAnotherCountry:
            "the phone identifier has no country, and is no number of the one that was given for such numbers; write + and its country in front"
        case .phoneMalformed:
            "the phone identifier is no number in international form: + and 7 to 15 digits, the first of them not 0, and no extension"
        case .nationalIDMalformed:
            "the national_id identifier has characters other than letters from A to Z, digits and what separates them"
        case .nationalIDIsHash:
            "the national_id identifier is the hash that a history shows in its place; give the number itself, or another identifier of the person"
        case .nobody:
            "the identifier is the UUID of zeros, which stands for everyone who does not want to be told apart, and so for nobody"
        }
    }
}

extension Identifier {
    /// The one place that says which spellings are the same identifier. In place; never makes the value longer, and
    /// changes nothing that is a normal form already. The value is at most ``Limit/identifierSizeMax`` bytes long.
    ///
    /// - E-mail: outer blanks fall away; small letters, composed (NFC), of Latin, Greek and Cyrillic.
    /// - Phone: E.164, so `+` and 7 to 15 digits; blanks and punctuation fall away, and `00` in front becomes `+`.
    /// - National id: Latin capitals and digits; blanks and punctuation fall away. After six characters a `+` stays: in
    ///   a Swedish or Finnish number without its century it says which.
    /// - Everything else: outer blanks fall away, and a UUID has small letters. It is some system's own and stays as
    ///   that system wrote it.
    ///
    /// - Returns: the size of the normal form, which stands at the front of `bytes`; what follows it is undefined.
    /// - Throws: the fault; `bytes` is undefined then.
    package static func normalize(
        _ bytes: UnsafeMutableBufferPointer<UInt8>, type: IdentifierType
    ) throws(IdentifierFault) -> Int {
        guard bytes.count <= Limit.identifierSizeMax, isText(UnsafeBufferPointer(bytes)) else { throw .notText }
        let size =
            switch type {
            case .email: try normalizeEmail(bytes)
            case .phone: try normalizePhone(bytes)
            case .nationalId: try normalizeNationalID(bytes)
            case .customer, .device, .cookie, .advertising, .loyaltyCard, .other: try normalizeOpaque(bytes)
            }
        guard size > 0 else { throw .empty }
        return size
    }

    /// Whether the bytes are UTF-8 without control characters.
    package static func isText(_ bytes: UnsafeBufferPointer<UInt8>) -> Bool {
        // Eight at a time, without jumps: every check goes through here.
        let raw = UnsafeRawBufferPointer(bytes)
        var (control, high) = (UInt64(0), UInt64(0))
        if raw.count >= 8 {
            for position in stride(from: 0, through: raw.count - 8, by: 8) {
                let word = raw.loadUnaligned(fromByteOffset: position, as: UInt64.self)
                control |= controlBytes(in: word)
                high |= word
            }
            // What is left, with some of those before it once more.
            let word = raw.loadUnaligned(fromByteOffset: raw.count - 8, as: UInt64.self)
            control |= controlBytes(in: word)
            high |= word
        } else {
            for byte in bytes {
                control |= controlBytes(in: UInt64(byte) &* eachByte)
                high |= UInt64(byte)
            }
        }
        guard control == 0 else { return false }
        return high & (0x80 &* eachByte) == 0 || UTF8Check.isValid(raw)
    }

    private static let eachByte: UInt64 = 0x0101_0101_0101_0101

    /// Not zero if some byte of the word is below 0x20, or 0x7F. Which one, it does not tell.
    private static func controlBytes(in word: UInt64) -> UInt64 {
        let deletes = word ^ (0x7F &* eachByte)
        return ((word &- 0x20 &* eachByte) & ~word | (deletes &- eachByte) & ~deletes) & (0x80 &* eachByte)
    }

    private static func normalizeEmail(_ bytes: UnsafeMutableBufferPointer<UInt8>) throws(IdentifierFault) -> Int {
        let size = trim(bytes)
        var isASCII = true
        for position in 0..<size {
            let byte = bytes[position]
            let isUpper = byte >= UInt8(ascii: "A") && byte <= UInt8(ascii: "Z")
            bytes[position] = isUpper ? byte | 0x20 : byte
            if byte >= 0x80 { isASCII = false }
        }
        if isASCII { return size }
        guard let folded = Letters.fold(UnsafeMutableBufferPointer(rebasing: bytes[..<size]), room: bytes.count) else {
            throw .emailCharacters
        }
        return folded
    }

    private static func normalizePhone(_ bytes: UnsafeMutableBufferPointer<UInt8>) throws(IdentifierFault) -> Int {
        let size = withoutSeparators(bytes, isPhone: true)
        guard size > 0 else { return 0 }
        let number = UnsafeMutableBufferPointer(rebasing: bytes[..<size])
        let digits = number.dropFirst(number[0] == UInt8(ascii: "+") ? 1 : 0)
        guard digits.allSatisfy(isDigit), let first = digits.first else { throw .phoneMalformed }
        var normalSize = size
        if digits.count == size {
            guard first == UInt8(ascii: "0"), size > 1, number[1] == UInt8(ascii: "0") else {
                throw .phoneWithoutCountry
            }
            number[0] = UInt8(ascii: "+")
            for position in 2..<size { number[position - 1] = number[position] }
            normalSize -= 1
        }
        guard (8...16).contains(normalSize), number[1] != UInt8(ascii: "0") else { throw .phoneMalformed }
        return normalSize
    }

    private static func normalizeNationalID(_ bytes: UnsafeMutableBufferPointer<UInt8>) throws(IdentifierFault) -> Int {
        let size = withoutSeparators(bytes, isPhone: false)
        if size == 33, bytes[0] == UInt8(ascii: "#"), bytes[1..<size].allSatisfy(isHexDigit) { throw .nationalIDIsHash }
        var normalSize = 0
        var hasSign = false
        for position in 0..<size {
            let byte = bytes[position]
            if byte == UInt8(ascii: "+") {
                guard !hasSign, position == 6 || position == 8, position + 1 < size else { throw .nationalIDMalformed }
                hasSign = true
                // A date with its century says already what the sign says.
                if position == 8 { continue }
            } else if !isDigit(byte), !isLatinLetter(byte) {
                throw .nationalIDMalformed
            }
            bytes[normalSize] = byte >= UInt8(ascii: "a") ? byte & ~0x20 : byte
            normalSize += 1
        }
        return normalSize
    }

    private static func normalizeOpaque(_ bytes: UnsafeMutableBufferPointer<UInt8>) throws(IdentifierFault) -> Int {
        let size = trim(bytes)
        guard size == 36, bytes[8] == UInt8(ascii: "-") else { return size }
        var isZero = true
        for position in 0..<size {
            let byte = bytes[position]
            switch position {
            case 8, 13, 18, 23: guard byte == UInt8(ascii: "-") else { return size }
            default:
                guard isHexDigit(byte) else { return size }
                if byte != UInt8(ascii: "0") { isZero = false }
            }
        }
        if isZero { throw .nobody }
        // A digit and a hyphen have the bit already.
        for position in 0..<size { bytes[position] |= 0x20 }
        return size
    }

    // MARK: Characters

    private static func isDigit(_ byte: UInt8) -> Bool { byte >= UInt8(ascii: "0") && byte <= UInt8(ascii: "9") }

    private static func isLatinLetter(_ byte: UInt8) -> Bool {
        let small = byte | 0x20
        return small >= UInt8(ascii: "a") && small <= UInt8(ascii: "z")
    }

    private static func isHexDigit(_ byte: UInt8) -> Bool {
        isDigit(byte) || (isLatinLetter(byte) && byte | 0x20 <= UInt8(ascii: "f"))
    }

    /// Moves what is between the outer blanks to the front.
    ///
    /// - Returns: its size.
    private static func trim(_ bytes: UnsafeMutableBufferPointer<UInt8>) -> Int {
        var start = 0
        var end = bytes.count
        while start < end {
            let size = blankSize(bytes, at: start)
            if size == 0 { break }
            start += size
        }
        while end > start {
            // What looks like a blank is one: a character never begins within another.
            if blankSize(bytes, at: end - 1) == 1 {
                end -= 1
            } else if end - 2 >= start, blankSize(bytes, at: end - 2) == 2 {
                end -= 2
            } else if end - 3 >= start, blankSize(bytes, at: end - 3) == 3 {
                end -= 3
            } else {
                break
            }
        }
        if start > 0 { for position in start..<end { bytes[position - start] = bytes[position] } }
        return end - start
    }

    /// Takes out blanks, hyphens, dots and slashes; of a phone number also brackets, and the zero in brackets that is
    /// not dialled after the country.
    ///
    /// - Returns: the size of what is left, which stands at the front.
    private static func withoutSeparators(_ bytes: UnsafeMutableBufferPointer<UInt8>, isPhone: Bool) -> Int {
        var size = 0
        var position = 0
        while position < bytes.count {
            let byte = bytes[position]
            let separator = max(blankSize(bytes, at: position), hyphenSize(bytes, at: position))
            if separator > 0 {
                position += separator
                continue
            }
            let isBracket = byte == UInt8(ascii: "(") || byte == UInt8(ascii: ")")
            let isZeroInBrackets =
                position + 2 < bytes.count && byte == UInt8(ascii: "(") && bytes[position + 1] == UInt8(ascii: "0")
                && bytes[position + 2] == UInt8(ascii: ")")
            if isPhone, size > 0, isZeroInBrackets {
                position += 3
            } else if byte == UInt8(ascii: ".") || byte == UInt8(ascii: "/") || (isPhone && isBracket) {
                position += 1
            } else {
                bytes[size] = byte
                size += 1
                position += 1
            }
        }
        return size
    }

    /// Bytes of the blank that stands there; zero if none does. Blanks are also what nobody sees: zero-width characters
    /// and marks of direction, which come along when a number is copied.
    private static func blankSize(_ bytes: UnsafeMutableBufferPointer<UInt8>, at position: Int) -> Int {
        let first = bytes[position]
        if first == UInt8(ascii: " ") { return 1 }
        guard first >= 0xC2, position + 1 < bytes.count else { return 0 }
        let second = bytes[position + 1]
        if first == 0xC2 { return second == 0xA0 ? 2 : 0 }
        guard first >= 0xE1, position + 2 < bytes.count else { return 0 }
        let isBlank =
            switch (first, second, bytes[position + 2]) {
            case (0xE1, 0x9A, 0x80), (0xE2, 0x80, 0x80...0x8F), (0xE2, 0x80, 0xA8...0xAF), (0xE2, 0x81, 0x9F...0xA0),
                (0xE2, 0x81, 0xA6...0xA9), (0xE3, 0x80, 0x80), (0xEF, 0xBB, 0xBF):
                true
            default: false
            }
        return isBlank ? 3 : 0
    }

    /// Bytes of the hyphen or dash that stands there; zero if none does.
    private static func hyphenSize(_ bytes: UnsafeMutableBufferPointer<UInt8>, at position: Int) -> Int {
        let first = bytes[position]
        if first == UInt8(ascii: "-") { return 1 }
        guard first == 0xC2 || first == 0xE2, position + 1 < bytes.count else { return 0 }
        let second = bytes[position + 1]
        if first == 0xC2 { return second == 0xAD ? 2 : 0 }
        guard position + 2 < bytes.count else { return 0 }
        switch (second, bytes[position + 2]) {
        case (0x80, 0x90...0x95), (0x88, 0x92): return 3
        default: return 0
        }
    }
}

extension Letters {
    /// A value of 255 bytes in two-byte letters of three parts each; three-byte letters have four parts.
    private static let partsMax = Limit.identifierSizeMax / 2 * 3 + 3

    /// The text in small letters, composed: canonical decomposition, lower case, canonical composition. The dot that the
    /// capital of the Turkish i has falls away, and a final sigma becomes a sigma.
    ///
    /// - Parameter room: bytes that the text may become long, from where it begins.
    /// - Returns: its size; nil where a character is none of these, or where it becomes longer than there is room.
    static func fold(_ bytes: UnsafeMutableBufferPointer<UInt8>, room: Int) -> Int? {
        withUnsafeTemporaryAllocation(of: UInt16.self, capacity: partsMax) { parts -> Int? in
            guard let count = decompose(bytes, into: parts) else { return nil }
            order(parts, count)
            let kept = compose(parts, count)
            let size = (0..<kept).reduce(0) { $0 + Self.size(of: parts[$1]) }
            guard size <= room, let start = bytes.baseAddress else { return nil }
            encode(parts, kept, into: UnsafeMutableBufferPointer(start: start, count: size))
            return size
        }
    }

    private static func decompose(
        _ bytes: UnsafeMutableBufferPointer<UInt8>, into parts: UnsafeMutableBufferPointer<UInt16>
    ) -> Int? {
        var count = 0
        var position = 0
        while position < bytes.count {
            let scalar = decode(bytes, &position)
            if scalar < 0x80 {
                parts[count] = UInt16(scalar)
                count += 1
                continue
            }
            guard scalar <= UInt16.max, isLetter(UInt16(scalar)) else { return nil }
            guard let row = row(of: folds, width: 5, where: { Int(folds[$0]) - scalar }) else {
                parts[count] = UInt16(scalar)
                count += 1
                continue
            }
            for part in row + 1..<row + 5 where folds[part] != 0 {
                parts[count] = folds[part]
                count += 1
            }
        }
        return count
    }

    /// Marks on one letter, each run of them in the order of their classes; those of one class stay as they stand.
    private static func order(_ parts: UnsafeMutableBufferPointer<UInt16>, _ count: Int) {
        for position in 0..<count {
            let part = parts[position]
            let markClass = markClass(of: part)
            if markClass == 0 { continue }
            var place = position
            while place > 0, self.markClass(of: parts[place - 1]) > markClass {
                parts[place] = parts[place - 1]
                place -= 1
            }
            parts[place] = part
        }
    }

    private static func compose(_ parts: UnsafeMutableBufferPointer<UInt16>, _ count: Int) -> Int {
        var kept = 0
        var starter: Int?
        var isOnI = false
        var lastClass: UInt16 = 0
        for position in 0..<count {
            let part = parts[position]
            let markClass = markClass(of: part)
            if let starter {
                if part == 0x307, isOnI { continue }
                // Another mark of its class, or a letter, stands between them.
                let isBlocked = starter + 1 < kept && lastClass >= markClass
                if !isBlocked, let composed = composition(parts[starter], part) {
                    parts[starter] = composed
                    continue
                }
            }
            if markClass == 0 {
                starter = kept
                isOnI = part == 0x69
            }
            lastClass = markClass
            parts[kept] = part
            kept += 1
        }
        return kept
    }

    private static func composition(_ first: UInt16, _ second: UInt16) -> UInt16? {
        let key = Int(first) << 16 | Int(second)
        let row = row(of: compositions, width: 3) { (Int(compositions[$0]) << 16 | Int(compositions[$0 + 1])) - key }
        return row.map { compositions[$0 + 2] }
    }

    private static func isLetter(_ scalar: UInt16) -> Bool {
        row(of: letters, width: 2) { letters[$0] > scalar ? 1 : letters[$0 + 1] < scalar ? -1 : 0 } != nil
    }

    private static func markClass(of part: UInt16) -> UInt16 {
        if part < 0x300 { return 0 }
        return row(of: marks, width: 2) { Int(marks[$0]) - Int(part) }.map { marks[$0 + 1] } ?? 0
    }

    /// Where the row begins that compares as zero, of rows that are in order.
    private static func row(of table: [UInt16], width: Int, where comparison: (Int) -> Int) -> Int? {
        var low = 0
        var high = table.count / width
        while low < high {
            let middle = (low + high) / 2
            let compared = comparison(middle * width)
            if compared == 0 { return middle * width }
            if compared < 0 { low = middle + 1 } else { high = middle }
        }
        return nil
    }

    /// The bytes were found to be UTF-8.
    private static func decode(_ bytes: UnsafeMutableBufferPointer<UInt8>, _ position: inout Int) -> Int {
        let first = Int(bytes[position])
        let more = first < 0x80 ? 0 : first < 0xE0 ? 1 : first < 0xF0 ? 2 : 3
        var scalar = more == 0 ? first : first & (0x3F >> more)
        for step in 1..<more + 1 { scalar = scalar << 6 | Int(bytes[position + step]) & 0x3F }
        position += more + 1
        return scalar
    }

    private static func size(of part: UInt16) -> Int { part < 0x80 ? 1 : part < 0x800 ? 2 : 3 }

    private static func encode(
        _ parts: UnsafeMutableBufferPointer<UInt16>, _ count: Int, into bytes: UnsafeMutableBufferPointer<UInt8>
    ) {
        var position = 0
        for part in parts[..<count] {
            switch size(of: part) {
            case 1: bytes[position] = UInt8(part)
            case 2:
                bytes[position] = 0xC0 | UInt8(part >> 6)
                bytes[position + 1] = 0x80 | UInt8(part & 0x3F)
            default:
                bytes[position] = 0xE0 | UInt8(part >> 12)
                bytes[position + 1] = 0x80 | UInt8(part >> 6 & 0x3F)
                bytes[position + 2] = 0x80 | UInt8(part & 0x3F)
            }
            position += size(of: part)
        }
    }
}
