package import ConsentKernel
package import ConsentModel

/// Who writes an index.
package enum IndexRole: UInt64, Sendable {
    /// The node that has the ledger.
    case authoritative = 0
    /// A node that follows another one.
    case edge = 1
}

/// The name of a boot, 36 bytes, as words that compare without making a string.
struct BootID: Equatable {
    let words: (UInt64, UInt64, UInt64, UInt64, UInt64)

    init(words: (UInt64, UInt64, UInt64, UInt64, UInt64)) { self.words = words }

    init(_ text: String) {
        let bytes = Array(text.utf8.prefix(36))
        func word(_ start: Int) -> UInt64 {
            bytes.dropFirst(start).prefix(8).reversed().reduce(0) { $0 << 8 | UInt64($1) }
        }
        words = (word(0), word(8), word(16), word(24), word(32))
    }

    static func == (left: BootID, right: BootID) -> Bool { left.words == right.words }
}

/// The clock that writers vouch by and answers age by, and the boot that both belong to.
package struct BootClock: Sendable {
    let bootID: BootID
    let millis: @Sendable () -> UInt64

    package init(
        millis: @escaping @Sendable () -> UInt64 = { Clock.boottimeMillis() }
    ) throws(SystemError) {
        bootID = BootID(try System.bootID())
        self.millis = millis
    }
}

/// How old answers are: how long ago somebody vouched for the rows that they were read from. The one rule of freshness,
/// which is that of ``IndexReader/age(vouchedAt:clock:keyCheck:)`` and ``IndexReader/freshness(_:purposeBit:)``.
package struct AnswerAge: Sendable {
    /// Nil: nobody vouches for them.
    let millis: UInt64?
    /// Then this is all there is to say of every purpose.
    package let isLive: Bool

    /// Of the one that has the ledger.
    package static let live = AnswerAge(millis: 0, isLive: true)
    static let unknown = AnswerAge(millis: nil, isLive: false)

    /// The best that can be said of any purpose.
    package var freshest: Freshness { isLive ? .live : millis == nil ? .unavailable : .stale }
}

/// Answers from an index that another process writes, each with how current it is. That process may be gone, or stuck, or
/// cut off from the ledger, so an answer counts only as long as somebody has vouched for it.
package struct MappedReader: ~Copyable {
    package struct Answer: Equatable, Sendable {
        /// Unknown where ``freshness`` is unavailable.
        package let answer: IndexAnswer
        package let freshness: Freshness

        init(_ answer: IndexAnswer, _ freshness: Freshness) {
            self.answer = freshness == .unavailable ? .unknown : answer
            self.freshness = freshness
        }
    }

    private var reader: IndexReader
    private let clock: BootClock
    private let keyCheck: UInt64

    /// - Parameter bootMillis: the clock that the writer vouches by.
    /// - Throws: ``IndexProblem`` if there is no index that can be read.
    package init(
        _ folder: IndexFolder, keyCheck: UInt64,
        bootMillis: @escaping @Sendable () -> UInt64 = { Clock.boottimeMillis() }
    ) throws {
        let publication = try IndexPublication(mapping: folder, keyCheck: keyCheck)
        clock = try BootClock(millis: bootMillis)
        reader = IndexReader(publication)
        self.keyCheck = keyCheck
    }

    package var appliedSequence: UInt64 { reader.appliedSequence }
    /// Of the file that was read last.
    package var generation: UInt64 { reader.generation }

    /// - Parameter now: seconds since 1970.
    package mutating func check(_ hash: IdentifierHash, purposeBit: Int, now: UInt32) -> Answer {
        reader.refresh()
        let vouchedAt = reader.vouchedAt(by: clock)
        let answer = reader.check(hash, purposeBit: purposeBit, now: now)
        return Answer(answer, freshness(purposeBit, vouchedAt))
    }

    /// As many answers as there are hashes, all equally current.
    package mutating func check(_ hashes: [IdentifierHash], purposeBit: Int, now: UInt32) -> [Answer] {
        reader.refresh()
        let vouchedAt = reader.vouchedAt(by: clock)
        var answers = [IndexAnswer](repeating: .unknown, count: hashes.count)
        unsafe hashes.withUnsafeBufferPointer { hashes in
            unsafe answers.withUnsafeMutableBufferPointer { answers in
                unsafe reader.check(hashes, purposeBit: purposeBit, now: now, answers: answers)
            }
        }
        let freshness = freshness(purposeBit, vouchedAt)
        return answers.map { Answer($0, freshness) }
    }

    private func freshness(_ purposeBit: Int, _ vouchedAt: UInt64) -> Freshness {
        reader.freshness(reader.age(vouchedAt: vouchedAt, clock: clock, keyCheck: keyCheck), purposeBit: purposeBit)
    }
}
