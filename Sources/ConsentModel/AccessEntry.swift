/// What somebody with an administrative purpose asked the ledger for: the reads of personal data that the access log holds.
package enum AccessQuestion: UInt8, Sendable, CaseIterable {
    /// How one person stands for one purpose.
    case explain = 1
    /// The events of one person.
    case history = 2
    /// The lists of people: see ``PeopleSelection``.
    case audience = 3
    case askAgain = 4
    case ending = 5
    case active = 6
    case outdatedBy = 7
    /// All of one event.
    case proof = 8
    /// The signed copy of one event.
    case receipt = 9
    /// The access log itself.
    case accessLog = 10
    /// One more of the lists of people.
    case comingOfAge = 11
}

/// Who reads: a person or an account, and the system through which the question came.
package struct AccessReader: Sendable, Equatable {
    /// Empty where the system did not say.
    package var actor: String
    /// What the client calls itself.
    package var client: String

    package init(actor: String = "", client: String = "") {
        self.actor = actor
        self.client = client
    }
}

/// One read of personal data, as the ledger keeps it. It is under the chain and can never be erased, so it names whom it
/// was about by number, or by a keyed hash where the ledger knows nobody, and nobody else.
package struct AccessEntry: Sendable, Equatable {
    package var reader: AccessReader
    package var question: AccessQuestion
    /// Events or people that were given.
    package var rows: UInt64 = 0
    /// Whom it was about; zero for lists, and for somebody whom the ledger does not know.
    package var subject: UInt64 = 0
    /// Sixteen bytes: of the identifier of somebody whom the ledger does not know; else zeros.
    package var identifierHash = AccessEntry.noHash
    package static let noHash = [UInt8](repeating: 0, count: 16)
    /// Where the page began that was asked for.
    package var after: UInt64 = 0
    /// The event that it was about, or as of which it was asked.
    package var about: UInt64 = 0
    package var from: Timestamp?
    package var until: Timestamp?
    package var purpose = ""
    package var except = ""
    package var declaration = ""
    package var revision = ""
    package var recipient = ""

    package init(_ question: AccessQuestion, by reader: AccessReader) {
        self.question = question
        self.reader = reader
    }
}

/// An entry of the access log in its place.
package struct RecordedAccess: Sendable, Equatable {
    package var sequence: UInt64
    /// When the answer was given, or a moment before.
    package var recordedAt: Timestamp
    package var entry: AccessEntry

    package init(sequence: UInt64, recordedAt: Timestamp, entry: AccessEntry) {
        self.sequence = sequence
        self.recordedAt = recordedAt
        self.entry = entry
    }
}

/// Which entries of the access log are wanted.
package struct AccessLogQuestion: Sendable, Equatable {
    /// Only entries with a later sequence.
    package var after: UInt64 = 0
    /// Recorded at this moment or later.
    package var since: Timestamp?
    /// Recorded before this moment.
    package var until: Timestamp?
    /// Empty for everybody's.
    package var actor = ""
    /// Only reads that were about this person alone.
    package var identifier: Identifier?
    /// Zero for as many as fit.
    package var countMax = 0

    package init() {}
}

extension AccessReader {
    /// Why these words about who reads cannot be kept for ever; nil if they can.
    ///
    /// - Parameter identifiers: of whom the read is about, if it is about one person.
    package func fault(about identifiers: [Identifier]) -> AccessFault? {
        for text in [actor, client] {
            guard text.utf8.count <= Limit.shortTextSizeMax else { return .tooLong(size: text.utf8.count) }
            guard !text.contains("@"), !Self.hasLongNumber(text) else { return .looksLikeIdentifier }
            guard !text.unicodeScalars.contains(where: { $0.properties.generalCategory == .control }) else {
                return .holdsControlCharacter
            }
            guard !identifiers.contains(where: { $0.isTelling && $0.isNamed(in: text) }) else { return .namesPerson }
        }
        return nil
    }

    /// Six digits and more are a number that somebody may be known by.
    private static func hasLongNumber(_ text: String) -> Bool {
        var run = 0
        for byte in text.utf8 {
            if (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) {
                run += 1
                if run >= 6 { return true }
            } else if byte != UInt8(ascii: " "), byte != UInt8(ascii: "-") {
                run = 0
            }
        }
        return false
    }
}

/// Why the words about who reads are not taken; nothing is answered then.
package enum AccessFault: Error, Sendable, Equatable, CustomStringConvertible {
    case tooLong(size: Int)
    case looksLikeIdentifier
    case holdsControlCharacter
    case namesPerson

    package var description: String {
        let remedy = "the access log keeps who reads for ever, so name an account or a role, such as clerk-7"
        return switch self {
        case .tooLong(let size): "who reads has \(size) bytes; at most \(Limit.shortTextSizeMax) are taken"
        case .looksLikeIdentifier: "who reads looks like an e-mail address or a number of six digits or more; \(remedy)"
        case .holdsControlCharacter: "who reads holds a control character; \(remedy)"
        case .namesPerson: "who reads holds an identifier of the person that the question is about; \(remedy)"
        }
    }
}
