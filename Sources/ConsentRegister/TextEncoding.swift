/// An encoding other than UTF-8 that the first bytes of a file give away.
package enum TextEncoding: Sendable, CaseIterable {
    case utf16LittleEndian
    case utf16BigEndian
    case utf32LittleEndian
    case utf32BigEndian

    package var name: String {
        switch self {
        case .utf16LittleEndian: "UTF-16 (little-endian)"
        case .utf16BigEndian: "UTF-16 (big-endian)"
        case .utf32LittleEndian: "UTF-32 (little-endian)"
        case .utf32BigEndian: "UTF-32 (big-endian)"
        }
    }

    /// As `iconv -f` takes it.
    package var iconvName: String {
        switch self {
        case .utf16LittleEndian: "UTF-16LE"
        case .utf16BigEndian: "UTF-16BE"
        case .utf32LittleEndian: "UTF-32LE"
        case .utf32BigEndian: "UTF-32BE"
        }
    }

    static let utf8ByteOrderMark: [UInt8] = [0xEF, 0xBB, 0xBF]

    /// Longest mark first: UTF-32LE's begins with UTF-16LE's.
    private static let byteOrderMarks: [(bytes: [UInt8], encoding: TextEncoding)] = [
        ([0xFF, 0xFE, 0, 0], .utf32LittleEndian), ([0, 0, 0xFE, 0xFF], .utf32BigEndian),
        ([0xFF, 0xFE], .utf16LittleEndian), ([0xFE, 0xFF], .utf16BigEndian),
    ]

    /// How much of the first row is looked at where there is no mark.
    private static let guessSizeMax = 256

    /// - Parameter bytes: the file's first row, or as much as there is of it.
    /// - Returns: nil for UTF-8 and for everything that is no better understood.
    init?(sniffing bytes: some RandomAccessCollection<UInt8>) {
        for mark in Self.byteOrderMarks where bytes.starts(with: mark.bytes) {
            self = mark.encoding
            return
        }
        guard let guess = Self.guess(bytes.prefix(Self.guessSizeMax)) else { return nil }
        self = guess
    }

    /// Column names are mostly ASCII, so in UTF-16 nearly every second byte is NUL, and in UTF-32 three of four.
    private static func guess(_ bytes: some RandomAccessCollection<UInt8>) -> TextEncoding? {
        var zeros = [0, 0, 0, 0]
        for (position, byte) in bytes.enumerated() where byte == 0 { zeros[position % 4] += 1 }
        let unit = bytes.count / 4
        guard unit >= 1 else { return nil }
        let isMostlyZero = zeros.map { $0 * 10 >= unit * 7 }
        return switch (isMostlyZero[0], isMostlyZero[1], isMostlyZero[2], isMostlyZero[3]) {
        case (false, true, true, true): .utf32LittleEndian
        case (true, true, true, false): .utf32BigEndian
        case (false, true, false, true): .utf16LittleEndian
        case (true, false, true, false): .utf16BigEndian
        default: nil
        }
    }
}
