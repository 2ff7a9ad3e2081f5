/// What tells one register from another, without reading it whole.
package struct RegisterFingerprint: Hashable, Sendable {
    /// The file's size.
    package var size: UInt64
    /// A hash of its first 64 KiB.
    package let headHash: (high: UInt64, low: UInt64)

    /// - Parameter head: the file's first bytes: 64 KiB of them, or all. More is not looked at.
    package init(size: UInt64, head: UnsafeRawBufferPointer) {
        self.size = size
        let bytes = UnsafeRawBufferPointer(rebasing: head.prefix(RegisterLimit.fingerprintSizeMax))
        let hash = bytes.withMemoryRebound(to: UInt8.self) { SipHash.hash128($0, key: (0, 0)) }
        headHash = (hash.0, hash.1)
    }

    init(size: UInt64, high: UInt64, low: UInt64) {
        self.size = size
        headHash = (high, low)
    }

    package static func == (left: RegisterFingerprint, right: RegisterFingerprint) -> Bool {
        left.size == right.size && left.headHash == right.headHash
    }

    package func hash(into hasher: inout Hasher) {
        hasher.combine(size)
        hasher.combine(headHash.high)
        hasher.combine(headHash.low)
    }
}

/// Why a stored point cannot be used. An import then starts from the beginning, which is harmless: its events carry
/// the same keys.
package enum ProgressFault: Error, Equatable, Sendable {
    case notProgress
    case versionUnknown(String)
    /// A line of it, counted from 1, that is missing or is not what belongs there.
    case lineInvalid(Int)
    /// Its check value belongs to another text.
    case damaged
    /// It was stored for another file, or the file has changed since.
    case otherFile

    package var message: String {
        switch self {
        case .notProgress: "this is not the progress of an import"
        case .versionUnknown(let version): "the progress is of format \(version); this program reads format 1"
        case .lineInvalid(let line): "line \(line) of the progress cannot be read"
        case .damaged: "the progress is damaged: its check value does not fit"
        case .otherFile: "the progress belongs to another register, or the register has changed since"
        }
    }
}

/// How far an import has come: everything before `position` is durable, in the ledger or in the reject file.
///
/// As text, so that it can be read by eye and stored beside the reject file:
///
///     consentd-import 1
///     file <size> <hash of its first 64 KiB, 32 hex digits>
///     position <offset> <line>
///     rejects <size of the reject file>
///     rows <accepted> <without proof> <events> <recovered>
///     rejected <rule> <count>                                 one line per rule, in the order of the rules
///     check <SipHash-2-4 of all before this line, 32 hex digits>
package struct ProgressPoint: Hashable, Sendable {
    package var file: RegisterFingerprint
    package var position: FilePosition
    /// The reject file is cut back to this size before it is written on, so that no row stands in it twice.
    package var rejectFileSize: UInt64
    package var summary: RegisterSummary

    package init(
        file: RegisterFingerprint, position: FilePosition, rejectFileSize: UInt64, summary: RegisterSummary
    ) {
        self.file = file
        self.position = position
        self.rejectFileSize = rejectFileSize
        self.summary = summary
    }

    /// - Throws: `otherFile`, unless it was stored for this file as it is.
    package func checkBelongs(to file: RegisterFingerprint) throws(ProgressFault) {
        guard self.file == file, position.offset <= file.size else { throw .otherFile }
    }
}

extension ProgressPoint {
    private static let magic = "consentd-import"
    private static let version = "1"
    private static let checkKey: (UInt64, UInt64) = (0x696D_706F_7274, 0x7072_6F67_7265_7373)

    package var text: String {
        var text = "\(Self.magic) \(Self.version)\n"
        text += "file \(file.size) \(Self.hex(file.headHash.high, file.headHash.low))\n"
        text += "position \(position.offset) \(position.line)\n"
        text += "rejects \(rejectFileSize)\n"
        text += "rows \(summary.acceptedCount) \(summary.withoutProofCount) "
        text += "\(summary.eventCount) \(summary.recoveredCount)\n"
        for (rule, count) in summary.rejectedCounts.sorted(by: { $0.key < $1.key }) {
            text += "rejected \(rule) \(count)\n"
        }
        return text + "check \(Self.check(text))\n"
    }

    /// Reads what ``text`` wrote.
    ///
    /// - Throws: what is wrong with it; nothing of it can be used then.
    package init(text: some Collection<UInt8>) throws(ProgressFault) {
        guard text.count <= RegisterLimit.progressTextSizeMax, let whole = String(validating: text, as: UTF8.self),
            whole.hasPrefix(Self.magic + " ")
        else { throw .notProgress }
        var lines = ProgressLines(whole)
        let version = try lines.words("consentd-import", count: 1)[0]
        guard version == Self.version else { throw .versionUnknown(String(version)) }
        try Self.verifyCheck(whole)

        let fileWords = try lines.words("file", count: 2)
        let hash = try lines.hex(fileWords[1])
        file = RegisterFingerprint(size: try lines.number(fileWords[0]), high: hash.0, low: hash.1)
        let place = try lines.words("position", count: 2)
        position = FilePosition(offset: try lines.number(place[0]), line: try lines.count(place[1]))
        rejectFileSize = try lines.number(try lines.words("rejects", count: 1)[0])
        var rows: [Int] = []
        for word in try lines.words("rows", count: 4) { rows.append(try lines.count(word)) }
        var rejected: [String: Int] = [:]
        while lines.isNext("rejected") {
            let words = try lines.words("rejected", count: 2)
            rejected[String(words[0])] = try lines.count(words[1])
        }
        _ = try lines.words("check", count: 1)
        try lines.expectEnd()
        summary = RegisterSummary(
            accepted: rows[0], withoutProof: rows[1], events: rows[2], recovered: rows[3], rejected: rejected)
    }

    private static func verifyCheck(_ whole: String) throws(ProgressFault) {
        let lines = whole.split(separator: "\n", omittingEmptySubsequences: false)
        guard lines.count >= 2, lines[lines.count - 1].isEmpty else { throw .damaged }
        let last = lines[lines.count - 2]
        guard last == "check \(check(String(whole[..<last.startIndex])))" else { throw .damaged }
    }

    private static func check(_ text: String) -> String {
        let bytes = Array(text.utf8)
        let hash = bytes.withUnsafeBufferPointer { SipHash.hash128($0, key: checkKey) }
        return hex(hash.0, hash.1)
    }

    private static func hex(_ high: UInt64, _ low: UInt64) -> String {
        [high, low].map { number in
            let digits = String(number, radix: 16)
            return String(repeating: "0", count: 16 - digits.count) + digits
        }.joined()
    }
}

/// The lines of a progress point, read from first to last.
private struct ProgressLines {
    private var lines: ArraySlice<Substring>
    private var line = 0

    init(_ text: String) { lines = text.split(separator: "\n", omittingEmptySubsequences: false)[...] }

    func isNext(_ name: String) -> Bool { lines.first?.hasPrefix(name + " ") ?? false }

    /// The words behind the name of the next line.
    mutating func words(_ name: String, count: Int) throws(ProgressFault) -> [Substring] {
        line += 1
        let words = lines.popFirst()?.split(separator: " ", omittingEmptySubsequences: false) ?? []
        guard words.count == count + 1, words[0] == name else { throw .lineInvalid(line) }
        return Array(words.dropFirst())
    }

    func number(_ word: Substring) throws(ProgressFault) -> UInt64 {
        guard let number = UInt64(word), "\(number)" == word else { throw .lineInvalid(line) }
        return number
    }

    func count(_ word: Substring) throws(ProgressFault) -> Int {
        guard let count = Int(exactly: try number(word)) else { throw .lineInvalid(line) }
        return count
    }

    func hex(_ word: Substring) throws(ProgressFault) -> (UInt64, UInt64) {
        guard word.utf8.count == 32, let high = UInt64(word.prefix(16), radix: 16),
            let low = UInt64(word.suffix(16), radix: 16)
        else { throw .lineInvalid(line) }
        return (high, low)
    }

    func expectEnd() throws(ProgressFault) {
        guard lines.count == 1, lines.first?.isEmpty == true else { throw .lineInvalid(line + 1) }
    }
}
