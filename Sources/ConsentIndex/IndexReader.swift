package import ConsentModel

/// What the index knows of one subject and one purpose. Its reason stands for a class of states, as the row holds three.
///
/// Which answer comes next is as good as random, and a processor that guesses wrong loses more time than a lookup in
/// memory that is cached: so an answer is looked up in constants, not branched to.
package struct IndexAnswer: Equatable, Sendable {
    /// 0 unknown, 1 expired, 2 given, 3 basis holds, 4 withdrawn, 5 objected, 6 invalidated.
    private let number: UInt64

    /// By number, a byte each.
    private static let decisions: UInt64 = 0x0001_0101_0202_0000
    private static let reasons: UInt64 = 0x0009_0B06_0C04_0800
    /// Numbers by permitted · 1 + denied · 2 + ended · 4 + granted by default · 8, four bits each: a consent counts until
    /// its row's end; a no stands against a default; what is in no set is as the default says.
    private static let numbers: UInt64 = 0x1513_2523_1410_2420
    /// For a purpose that is denied by default.
    private static let numberDenied: UInt64 = 6

    @inline(__always)
    init(permitted: UInt64, denied: UInt64, ended: UInt64, grantedByDefault: UInt64, deniedByDefault: UInt64) {
        let position = permitted | denied << 1 | ended << 2 | grantedByDefault << 3
        let number = Self.numbers >> (position << 2) & 15
        self.number = deniedByDefault == 0 ? number : Self.numberDenied
    }

    package static let unknown = IndexAnswer(permitted: 0, denied: 0, ended: 0, grantedByDefault: 0, deniedByDefault: 0)

    /// The raw value of ``decision``.
    package var decisionByte: UInt8 { UInt8(truncatingIfNeeded: Self.decisions >> (number << 3)) }
    /// The raw value of ``reason``.
    package var reasonByte: UInt8 { UInt8(truncatingIfNeeded: Self.reasons >> (number << 3)) }

    /// 1 where ``decision`` is granted, else 0: for bitsets, which are filled without jumps.
    package var grantedBit: UInt64 { UInt64(decisionByte) >> 1 & 1 }
    /// 1 where ``decision`` is denied, else 0.
    package var deniedBit: UInt64 { UInt64(decisionByte) & 1 }

    package var decision: Decision { Decision(rawValue: decisionByte) ?? .unknown }
    package var reason: ConsentState { ConsentState(rawValue: reasonByte) ?? .unknown }
}

/// One thread's view of the index. Never locks and never writes; it looks again when a newer generation was published.
package struct IndexReader: ~Copyable {
    /// A generation that is superseded again and again, or by none that can be found, answers nothing.
    private static let generationsTriedMax = 64
    /// A change of the defaults takes less than one of these rounds, unless its writer was interrupted, or died.
    private static let roundsMax = 4096

    private let publication: IndexPublication
    /// Held so that what `view` points to stays mapped.
    private var table: IndexTable
    private var view: IndexView
    /// Tables of another one are not for who asks by the bits of this one: they answer nothing.
    private let lineage: Int

    /// - Parameter lineage: of the table whose bits will be asked for; nil: the newest.
    package init(_ publication: IndexPublication, lineage: Int? = nil) {
        self.publication = publication
        table = publication.current
        view = table.view
        self.lineage = lineage ?? table.lineage
    }

    /// Of the file that is read.
    package var generation: UInt64 { table.generation }

    /// The sequence up to which the rows hold everything. Read it before the rows that it is to vouch for.
    package var appliedSequence: UInt64 { view.appliedSequence }

    /// The moment up to which the rows hold everything, see ``IndexTable``; zero where nobody has vouched for them since
    /// the clock began. Read it before the rows that it is to vouch for.
    package func vouchedAt(by clock: BootClock) -> UInt64 {
        // In this order: a writer takes back what was vouched for in another boot before it names its own.
        view.bootID == clock.bootID ? view.vouchedAt : 0
    }

    /// How old answers are; ask when they have been read.
    ///
    /// - Parameters:
    ///   - vouchedAt: as it was before the rows were read.
    ///   - clock: is read now, after the rows.
    ///   - keyCheck: of the key that they were looked for with: another one finds nobody, and who objected would pass for
    ///     somebody who never did.
    package func age(vouchedAt: UInt64, clock: BootClock, keyCheck: UInt64) -> AnswerAge {
        let now = clock.millis()
        guard vouchedAt != 0, now >= vouchedAt, !view.isSuperseded, view.keyCheck == keyCheck, table.lineage == lineage
        else { return .unknown }
        let age = now - vouchedAt
        return AnswerAge(millis: age, isLive: age <= view.liveMillis)
    }

    /// How current an answer of this age about a purpose is. Past what its catalog allows it counts for nothing.
    package func freshness(_ age: AnswerAge, purposeBit: Int) -> Freshness {
        guard let millis = age.millis, (0..<Limit.purposesMax).contains(purposeBit) else { return .unavailable }
        if age.isLive { return .live }
        return millis <= view.maxStalenessSeconds(purposeBit: purposeBit) * 1000 ? .stale : .unavailable
    }

    /// Of the purposes of one word, those that an answer of this age may still speak of, and the freshness of the worst.
    package func answerable(
        _ age: AnswerAge, purposes mask: UInt64, word: Int
    ) -> (purposes: UInt64, worst: Freshness) {
        if age.isLive { return (mask, .live) }
        var (answerable, worst) = (mask, age.freshest)
        var rest = mask
        while rest != 0 {
            let bit = rest.trailingZeroBitCount
            rest &= rest - 1
            if freshness(age, purposeBit: word * 64 + bit) == .unavailable {
                answerable &= ~(1 << UInt64(bit))
                worst = .unavailable
            }
        }
        return (answerable, worst)
    }

    /// Lets go of an outdated generation, so that its memory can be freed though no check comes in.
    package mutating func refresh() {
        if view.isSuperseded { lookAgain() }
    }

    // Apart from the checks, which are to be short.
    @inline(never)
    private mutating func lookAgain() {
        let newest = publication.current
        guard newest.lineage == lineage else { return }
        table = newest
        view = table.view
    }

    /// What was read in a round that the writer interfered with is thrown away; says whether to try again.
    @inline(never)
    private mutating func mayTryAgain(_ rounds: inout Int, _ generations: inout Int) -> Bool {
        if view.isSuperseded {
            generations += 1
            lookAgain()
        }
        rounds += 1
        return rounds < Self.roundsMax && generations < Self.generationsTriedMax
    }

    @inline(__always)
    package func prefetch(_ hash: IdentifierHash) { view.prefetch(hash) }

    /// - Parameter now: seconds since 1970.
    package mutating func check(_ hash: IdentifierHash, purposeBit: Int, now: UInt32) -> IndexAnswer {
        var (rounds, generations) = (0, 0)
        repeat {
            let version = view.version
            let answer = Self.check(view, hash, purposeBit: purposeBit, now: now)
            // Rows of a superseded generation may have changed since elsewhere, and its version is odd.
            if version & 1 == 0, view.version == version { return answer }
        } while mayTryAgain(&rounds, &generations)
        return .unknown
    }

    @inline(__always)
    private static func check(
        _ table: IndexView, _ hash: IdentifierHash, purposeBit: Int, now: UInt32, fetchesNext: Bool = true
    ) -> IndexAnswer {
        let word = purposeBit >> 6
        let bit = UInt64(truncatingIfNeeded: purposeBit & 63)
        guard word < table.words else { return .unknown }
        var (endsAt, permitted, denied): (UInt32, UInt64, UInt64) = (0, 0, 0)
        if let slot = unsafe table.find(hash, fetchesNext: fetchesNext) {
            (endsAt, permitted, denied) = unsafe table.state(slot, word: word)
        }
        return IndexAnswer(
            permitted: permitted >> bit & 1, denied: denied >> bit & 1,
            // Any consent of the row could be the one that has ended.
            ended: endsAt <= now ? 1 : 0,
            grantedByDefault: table.grantedDefaults(word: word) >> bit & 1,
            deniedByDefault: table.deniedDefaults(word: word) >> bit & 1)
    }

    /// As many rows as a processor has fetches in flight.
    private static let homeAhead = 40
    /// When the home of a row is there, and its next line can still come in time.
    private static let nextAhead = 16

    /// Answers for many identifiers, each asked for from memory some steps before it is read: memory serves many at once.
    /// The line after a row's home is asked for where the row is not at home only, so that memory serves less.
    ///
    /// - Parameter answers: as many as there are hashes.
    package mutating func check(
        _ hashes: UnsafeBufferPointer<IdentifierHash>, purposeBit: Int, now: UInt32,
        answers: UnsafeMutableBufferPointer<IndexAnswer>
    ) {
        precondition(hashes.count == answers.count, "an answer for each identifier")
        let (view, count) = (view, hashes.count)
        let version = view.version
        for position in 0..<min(Self.homeAhead, count) { unsafe view.prefetchHome(hashes[position]) }
        for position in 0..<min(Self.nextAhead, count) { unsafe view.prefetchNext(hashes[position]) }
        for position in 0..<count {
            if position + Self.homeAhead < count { unsafe view.prefetchHome(hashes[position + Self.homeAhead]) }
            if position + Self.nextAhead < count { unsafe view.prefetchNext(hashes[position + Self.nextAhead]) }
            unsafe answers[position] = Self.check(
                view, hashes[position], purposeBit: purposeBit, now: now, fetchesNext: false)
        }
        if version & 1 == 0, view.version == version { return }
        for position in 0..<count {
            unsafe answers[position] = check(hashes[position], purposeBit: purposeBit, now: now)
        }
    }

    /// One word of the two bitsets that answer for many purposes; what is in neither is unknown.
    package mutating func check(
        _ hash: IdentifierHash, purposes mask: UInt64, word: Int, now: UInt32
    ) -> (granted: UInt64, denied: UInt64) {
        var (rounds, generations) = (0, 0)
        repeat {
            let version = view.version
            let answer = Self.check(view, hash, purposes: mask, word: word, now: now)
            if version & 1 == 0, view.version == version { return answer }
        } while mayTryAgain(&rounds, &generations)
        return (0, 0)
    }

    private static func check(
        _ table: IndexView, _ hash: IdentifierHash, purposes mask: UInt64, word: Int, now: UInt32
    ) -> (granted: UInt64, denied: UInt64) {
        guard word < table.words else { return (0, 0) }
        var (permitted, refused, ended): (UInt64, UInt64, UInt64) = (0, 0, 0)
        if let slot = unsafe table.find(hash) {
            let state = unsafe table.state(slot, word: word)
            refused = state.denied & ~state.permitted
            if state.endsAt > now { permitted = state.permitted } else { ended = state.permitted }
        }
        refused |= table.deniedDefaults(word: word)
        let granted = (permitted | table.grantedDefaults(word: word)) & ~(refused | ended)
        return (granted & mask, refused & mask)
    }
}
