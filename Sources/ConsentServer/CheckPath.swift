package import ConsentEngine
package import ConsentIndex
import ConsentModel
package import ConsentWire

/// The way of a check: `frame → request → decide from index → answer`. One per loop; nothing here allocates, locks or
/// logs.
///
/// Single checks that come in one turn, of whatever connections, are hashed first, so that the processor fetches their
/// rows at once, and answered together: each has its place among the answers at once, and gets its content when all rows
/// are there. Until then zeros stand there, which are no answer.
package struct CheckPath: ~Copyable {
    private struct Pending {
        var hash: IdentifierHash
        var request: UInt32
        var purposeBit: Int
        /// Where its answer will stand in the output.
        var place: Int
    }

    /// As many rows as a processor has fetches in flight, with room for what it finds in its cache.
    private static let pendingMax = 32
    private static let wordsMax = Limit.purposesMax / 64

    private var reader: IndexReader
    private var hashKey: IdentifierHashKey
    private var keyCheck: UInt64
    /// On an edge, where an answer counts only as long as somebody vouches for it; nil where the ledger is.
    private let clock: BootClock?
    private let pending: UnsafeMutablePointer<Pending>
    /// Of the subjects of one frame, some at a time.
    private var batch = IdentifierBatch(capacity: Self.subjectsAtATime)
    private let answers: UnsafeMutableBufferPointer<IndexAnswer>
    /// Whole words of the answer's bitsets.
    private static let subjectsAtATime = 256
    private var pendingCount = 0
    /// The purposes of the applied catalog, by word.
    private let known: UnsafeMutablePointer<UInt64>
    /// Seconds since 1970; the owner sets it once a turn.
    private var now: UInt32 = 0
    package private(set) var answered: UInt64 = 0

    /// - Parameter clock: what answers age by on an edge; nil on the node that has the ledger.
    package init(_ service: Service, vouchedBy clock: BootClock? = nil) {
        reader = IndexReader(service.publication, lineage: service.lineage)
        hashKey = service.hashKey
        keyCheck = hashKey.check
        self.clock = clock
        pending = .allocate(capacity: Self.pendingMax)
        answers = .allocate(capacity: Self.subjectsAtATime)
        known = .allocate(capacity: Self.wordsMax)
        known.initialize(repeating: 0, count: Self.wordsMax)
        know(service.catalog)
    }

    deinit {
        pending.deallocate()
        answers.deallocate()
        known.deallocate()
    }

    /// Answers from something else from now on. The owner flushes before.
    package mutating func serve(_ service: Service) {
        precondition(pendingCount == 0, "what was asked of one index is not answered by another")
        reader = IndexReader(service.publication, lineage: service.lineage)
        hashKey = service.hashKey
        keyCheck = hashKey.check
        know(service.catalog)
    }

    /// An edge that has no catalog yet cannot say that a purpose is unknown: it says that its answer is unavailable.
    private func know(_ catalog: AppliedCatalog) {
        let hasNone = catalog.version == 0 && clock != nil
        let purposes = PurposeSet(catalog.catalog.purposes.map(\.bit))
        for word in 0..<Self.wordsMax { known[word] = hasNone ? .max : purposes[word: word] }
    }

    private var vouchedAt: UInt64 { clock.map { reader.vouchedAt(by: $0) } ?? 0 }

    /// How old the answers are that were just read; the rows' moment was taken before them.
    private mutating func age(_ vouchedAt: UInt64) -> AnswerAge {
        guard let clock else { return .live }
        // What was read of a generation was right when it was read, and the newer one says for how long it counts.
        reader.refresh()
        return reader.age(vouchedAt: vouchedAt, clock: clock, keyCheck: keyCheck)
    }

    /// Begins a turn of the owner's loop.
    package mutating func beginTurn(nowMillis: Int64) {
        now = UInt32(clamping: nowMillis / 1000)
        reader.refresh()
    }

    private func isKnown(_ purposeBit: Int) -> Bool {
        purposeBit < Limit.purposesMax && known[purposeBit >> 6] >> UInt64(purposeBit & 63) & 1 == 1
    }

    private func requirePurpose(_ bit: UInt16) throws(WireError) -> Int {
        guard isKnown(Int(bit)) else {
            throw WireError(.purposeUnknown, detail: UInt32(bit), "the catalog has no purpose with bit \(bit)")
        }
        return Int(bit)
    }

    /// `check`: takes it up, and keeps its place in the output. ``flush(into:)`` answers it at the latest.
    package mutating func check(_ frame: Frame, into output: inout OutputBuffer) throws(WireError) {
        let check = try CheckRequest(frame)
        let purposeBit = try requirePurpose(check.purposeBit)
        let identifier = try check.identifier()
        let hash = hashKey.hash(identifier.type, identifier.value)
        reader.prefetch(hash)
        pending[pendingCount] = Pending(
            hash: hash, request: frame.request, purposeBit: purposeBit,
            place: output.zeroBytes(OutputBuffer.checkedSize))
        pendingCount += 1
        if pendingCount == Self.pendingMax { flush(into: &output) }
    }

    /// Answers the single checks that were taken up. The owner calls it before anything of the output is sent or cleared.
    package mutating func flush(into output: inout OutputBuffer) {
        guard pendingCount > 0 else { return }
        let sequence = reader.appliedSequence
        let vouchedAt = vouchedAt
        for position in 0..<pendingCount {
            let check = pending[position]
            let answer = reader.check(check.hash, purposeBit: check.purposeBit, now: now)
            output.setChecked(
                at: check.place, request: check.request, decision: answer.decisionByte, reason: answer.reasonByte,
                freshness: Freshness.live.rawValue, sequence: sequence)
        }
        let age = age(vouchedAt)
        if !age.isLive { takeBack(age, sequence: sequence, in: &output) }
        answered += UInt64(pendingCount)
        pendingCount = 0
    }

    /// Says of the answers that were just given how stale they are, or makes them unknown.
    @inline(never)
    private func takeBack(_ age: AnswerAge, sequence: UInt64, in output: inout OutputBuffer) {
        for position in 0..<pendingCount {
            let check = pending[position]
            let freshness = reader.freshness(age, purposeBit: check.purposeBit)
            if freshness == .unavailable {
                let answer = IndexAnswer.unknown
                output.setChecked(
                    at: check.place, request: check.request, decision: answer.decisionByte,
                    reason: answer.reasonByte, freshness: freshness.rawValue, sequence: sequence)
            } else {
                output.setFreshness(freshness, at: check.place)
            }
        }
    }

    /// `checkPurposes`.
    package mutating func checkPurposes(_ frame: Frame, into output: inout OutputBuffer) throws(WireError) {
        let check = try CheckPurposesRequest(frame)
        for word in 0..<check.words {
            let unknown = mask(check, word) & ~known[word]
            if unknown != 0 {
                let bit = UInt16(word * 64 + unknown.trailingZeroBitCount)
                throw WireError(.purposeUnknown, detail: UInt32(bit), "the catalog has no purpose with bit \(bit)")
            }
        }
        let identifier = try check.identifier()
        let hash = hashKey.hash(identifier.type, identifier.value)
        let word = UInt32(Freshness.live.rawValue) | UInt32(check.words) << 8
        let start = output.beginFrame(.checkedPurposes, request: frame.request, word: word)
        output.u64(reader.appliedSequence)
        let granted = output.zeroBytes(check.words * 16)
        let vouchedAt = vouchedAt
        for word in 0..<check.words {
            let answer = reader.check(hash, purposes: mask(check, word), word: word, now: now)
            output.setWord(answer.granted, at: granted + word * 8)
            output.setWord(answer.denied, at: granted + (check.words + word) * 8)
        }
        let age = age(vouchedAt)
        if !age.isLive {
            var worst = age.freshest
            for word in 0..<check.words {
                let (answerable, freshness) = reader.answerable(age, purposes: mask(check, word), word: word)
                if freshness == .unavailable { worst = freshness }
                output.maskWord(answerable, at: granted + word * 8)
                output.maskWord(answerable, at: granted + (check.words + word) * 8)
            }
            output.setFreshness(worst, at: start)
        }
        output.endFrame(start)
        answered += 1
    }

    private func mask(_ check: CheckPurposesRequest, _ word: Int) -> UInt64 {
        UInt64(littleEndian: check.purposes.loadUnaligned(fromByteOffset: word * 8, as: UInt64.self))
    }

    /// `checkSubjects`. An identifier that cannot be read fails the whole frame; nothing of it is answered then.
    package mutating func checkSubjects(_ frame: Frame, into output: inout OutputBuffer) throws(WireError) {
        var check = try CheckSubjectsRequest(frame)
        let purposeBit = try requirePurpose(check.purposeBit)
        let begin = output.count
        let word = UInt32(Freshness.live.rawValue) | UInt32(check.count) << 16
        let start = output.beginFrame(.checkedSubjects, request: frame.request, word: word)
        output.u64(reader.appliedSequence)
        let bitsetSize = (check.count + 63) / 64 * 8
        let bitsets = output.zeroBytes(bitsetSize * 2)
        let vouchedAt = vouchedAt
        do throws(WireError) {
            var (position, type) = (0, IdentifierType.other)
            while position < check.count {
                let count = min(Self.subjectsAtATime, check.count - position)
                for step in 0..<count {
                    let identifier = try check.nextIdentifier(position: position + step)
                    type = identifier.type
                    batch.set(step, identifier.value)
                }
                reader.check(
                    batch.hash(type, count: count, with: hashKey), purposeBit: purposeBit, now: now,
                    answers: UnsafeMutableBufferPointer(rebasing: answers[..<count]))
                for first in stride(from: 0, to: count, by: 64) {
                    var (granted, denied) = (UInt64(0), UInt64(0))
                    for step in first..<min(first + 64, count) {
                        granted |= answers[step].grantedBit << UInt64(step - first)
                        denied |= answers[step].deniedBit << UInt64(step - first)
                    }
                    output.setWord(granted, at: bitsets + (position + first) / 8)
                    output.setWord(denied, at: bitsets + bitsetSize + (position + first) / 8)
                }
                position += count
            }
        } catch {
            output.truncate(to: begin)
            throw error
        }
        let age = age(vouchedAt)
        if !age.isLive {
            let freshness = reader.freshness(age, purposeBit: purposeBit)
            if freshness == .unavailable {
                output.truncate(to: bitsets)
                _ = output.zeroBytes(bitsetSize * 2)
            }
            output.setFreshness(freshness, at: start)
        }
        output.endFrame(start)
        answered += UInt64(check.count)
    }
}
