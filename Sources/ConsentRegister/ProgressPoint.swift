import ConsentCrypto
import ConsentModel

/// Why a stored point cannot be used. An import then begins anew, which is harmless: what is recorded already is known
/// again.
package enum ProgressFault: Error, Equatable, Sendable {
    case notProgress
    case versionUnknown(String)
    /// A line of it, counted from 1, that is missing or is not what belongs there.
    case lineInvalid(Int)
    /// Its check value belongs to another text.
    case damaged
    /// What was read then is not what stands in the register now.
    case registerChanged
    /// It went into another ledger, or the ledger was put back to an older state since.
    case otherLedger
    /// There is less of the reject file than there was.
    case rejectFileCut

    package var message: String {
        switch self {
        case .notProgress: "this is not the progress of an import"
        case .versionUnknown(let version): "the progress is of format \(version); this program reads format 3"
        case .lineInvalid(let line): "line \(line) of the progress cannot be read"
        case .damaged: "the progress is damaged: its check value does not fit"
        case .registerChanged: "the register has changed since, or is another one"
        case .otherLedger: "the rows went into another ledger, or it was put back to an older state since"
        case .rejectFileCut: "the file of rejected rows is gone or shorter than it was"
        }
    }
}

/// A ledger, and how far it had come.
package struct LedgerPoint: Hashable, Sendable {
    /// The history id, 16 bytes.
    package var history: [UInt8]
    /// Its newest event that is known of.
    package var sequence: UInt64

    package init(history: [UInt8], sequence: UInt64) {
        self.history = history
        self.sequence = sequence
    }
}

/// How far an import has come: everything before `position` is durable, in the ledger or in the reject file.
///
/// As text, so that it can be read by eye and stored beside the reject file:
///
///     consentd-import 3
///     file <size>
///     position <offset> <line> <SHA-256 of all bytes before the offset, 64 hex digits>
///     ledger <history id, 32 hex digits> <newest sequence>
///     rejects <size of the reject file>
///     rows <accepted> <without proof> <events> <recovered>
///     rejected <rule> <count>                                 one line per rule, in the order of the rules
///     unproved <columns> <count>                              one line per set of columns that rows lack, likewise
///     note <name> <count>                                     one line per note, in the order of their numbers
///     check <SHA-256 of all before this line, 64 hex digits>
package struct ProgressPoint: Hashable, Sendable {
    package var fileSize: UInt64
    package var position: FilePosition
    /// Of everything before the position: see ``PrefixDigest``.
    package var prefixDigest: [UInt8]
    package var ledger: LedgerPoint
    /// The reject file is cut back to this size before it is written on, so that no row stands in it twice.
    package var rejectFileSize: UInt64
    package var summary: RegisterSummary

    package init(
        fileSize: UInt64, position: FilePosition, prefixDigest: [UInt8], ledger: LedgerPoint, rejectFileSize: UInt64,
        summary: RegisterSummary
    ) {
        self.fileSize = fileSize
        self.position = position
        self.prefixDigest = prefixDigest
        self.ledger = ledger
        self.rejectFileSize = rejectFileSize
        self.summary = summary
    }

    /// Judges all but the bytes before the position.
    ///
    /// - Throws: why an import cannot go on from it.
    package func checkBelongs(
        toFileOf fileSize: UInt64, rejectFileSize: UInt64, ledger: LedgerPoint
    ) throws(ProgressFault) {
        guard self.fileSize == fileSize, position.offset <= fileSize else { throw .registerChanged }
        guard self.ledger.history == ledger.history, self.ledger.sequence <= ledger.sequence else {
            throw .otherLedger
        }
        guard self.rejectFileSize <= rejectFileSize else { throw .rejectFileCut }
    }
}

extension ProgressPoint {
    private static let magic = "consentd-import"
    private static let version = "3"

    package var text: String {
        var text = "\(Self.magic) \(Self.version)\n"
        text += "file \(fileSize)\n"
        text += "position \(position.offset) \(position.line) \(Self.hex(prefixDigest))\n"
        text += "ledger \(Self.hex(ledger.history)) \(ledger.sequence)\n"
        text += "rejects \(rejectFileSize)\n"
        text += "rows \(summary.acceptedCount) \(summary.withoutProofCount) "
        text += "\(summary.eventCount) \(summary.recoveredCount)\n"
        for (rule, count) in summary.rejectedCounts.sorted(by: { $0.key < $1.key }) {
            text += "rejected \(rule) \(count)\n"
        }
        for (columns, count) in summary.unprovedCounts.sorted(by: { $0.key < $1.key }) {
            text += "unproved \(columns) \(count)\n"
        }
        for note in RowNote.allCases where summary[note] > 0 { text += "note \(note.name) \(summary[note])\n" }
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
        let version = try lines.words(Self.magic, count: 1)[0]
        guard version == Self.version else { throw .versionUnknown(String(version)) }
        try Self.verifyCheck(whole)

        fileSize = try lines.number(try lines.words("file", count: 1)[0])
        let place = try lines.words("position", count: 3)
        position = FilePosition(offset: try lines.number(place[0]), line: try lines.count(place[1]))
        prefixDigest = try lines.bytes(place[2], count: PrefixDigest.size)
        let ledgerWords = try lines.words("ledger", count: 2)
        ledger = LedgerPoint(
            history: try lines.bytes(ledgerWords[0], count: 16), sequence: try lines.number(ledgerWords[1]))
        rejectFileSize = try lines.number(try lines.words("rejects", count: 1)[0])
        var rows: [Int] = []
        for word in try lines.words("rows", count: 4) { rows.append(try lines.count(word)) }
        let rejected = try lines.counts("rejected")
        let unproved = try lines.counts("unproved")
        var notes: [RowNote: Int] = [:]
        while lines.isNext("note") {
            let words = try lines.words("note", count: 2)
            notes[try lines.note(words[0])] = try lines.count(words[1])
        }
        _ = try lines.words("check", count: 1)
        try lines.expectEnd()
        summary = RegisterSummary(
            accepted: rows[0], withoutProof: rows[1], events: rows[2], recovered: rows[3], rejected: rejected,
            unproved: unproved, notes: notes)
    }

    private static func verifyCheck(_ whole: String) throws(ProgressFault) {
        let lines = whole.split(separator: "\n", omittingEmptySubsequences: false)
        guard lines.count >= 2, lines[lines.count - 1].isEmpty else { throw .damaged }
        let last = lines[lines.count - 2]
        guard last == "check \(check(String(whole[..<last.startIndex])))" else { throw .damaged }
    }

    private static func check(_ text: String) -> String { hex(SHA256.digest(of: Array(text.utf8))) }

    private static func hex(_ bytes: [UInt8]) -> String {
        bytes.map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }.joined()
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

    /// Counts by a name, one a line, as many as there are.
    mutating func counts(_ name: String) throws(ProgressFault) -> [String: Int] {
        var counts: [String: Int] = [:]
        while isNext(name) {
            let words = try words(name, count: 2)
            counts[String(words[0])] = try count(words[1])
        }
        return counts
    }

    func note(_ word: Substring) throws(ProgressFault) -> RowNote {
        guard let note = RowNote(name: String(word)) else { throw .lineInvalid(line) }
        return note
    }

    func number(_ word: Substring) throws(ProgressFault) -> UInt64 {
        guard let number = UInt64(word), "\(number)" == word else { throw .lineInvalid(line) }
        return number
    }

    func count(_ word: Substring) throws(ProgressFault) -> Int {
        guard let count = Int(exactly: try number(word)) else { throw .lineInvalid(line) }
        return count
    }

    func bytes(_ word: Substring, count: Int) throws(ProgressFault) -> [UInt8] {
        let digits = word.compactMap(\.hexDigitValue)
        guard word.utf8.count == 2 * count, digits.count == 2 * count else { throw .lineInvalid(line) }
        return (0..<count).map { UInt8(digits[2 * $0] << 4 | digits[2 * $0 + 1]) }
    }

    func expectEnd() throws(ProgressFault) {
        guard lines.count == 1, lines.first?.isEmpty == true else { throw .lineInvalid(line + 1) }
    }
}
