import ConsentLedger
import ConsentModel

/// Who had what active in a window of time, as it was known at a past sequence. Each moment is judged by what was
/// recorded up to it, which is what checks were answered by then, and by the catalog in force at that moment.
struct ActiveConsents {
    /// A catalog, and from when it was in force.
    private typealias InForce = (since: Timestamp, catalog: Catalog)

    private let from: Timestamp
    private let until: Timestamp
    private let asOf: UInt64
    private let recipient: String
    /// Of the purposes asked about, in the order of their bits.
    private let purposes: [Purpose]
    /// Whether what needs no consent is asked about, too: it is active for everybody, so only where the question is narrower.
    private let includesOtherBases: Bool
    /// In force in the window, oldest first.
    private let catalogs: [InForce]
    /// Moments in the window at which an answer may become granted though nothing was recorded about a person.
    private let turns: [Timestamp]

    /// - Parameter current: the catalog in force now. What it knows may be asked for, also where it was not known then.
    init(_ question: PeopleQuestion, _ current: Catalog, _ snapshot: LedgerSnapshot) throws {
        guard let from = question.from, let until = question.until, from <= until else {
            throw EngineError.questionInvalid("a window has a first moment and a last one, which is not before it")
        }
        let head = try snapshot.head().sequence
        guard question.asOf <= head else {
            throw EngineError.questionInvalid("sequence \(question.asOf) is not recorded yet; the last is \(head)")
        }
        let asOf = question.asOf == 0 ? head : question.asOf
        let catalogs = try Self.catalogs(from: from, until: until, asOf: asOf, snapshot)
        var known: [Int: Purpose] = [:]
        for purpose in catalogs.flatMap(\.catalog.purposes) { known[purpose.bit] = purpose }
        purposes = known.values.sorted { $0.bit < $1.bit }
            .filter { question.purpose.isEmpty || $0.id == question.purpose }
        guard question.purpose.isEmpty || !purposes.isEmpty || current.purpose(id: question.purpose) != nil else {
            throw EngineError.questionInvalid("no catalog of that time has a purpose '\(question.purpose)'")
        }
        let recipients = (catalogs.map(\.catalog) + [current]).flatMap(\.recipients).map(\.id)
        guard question.recipient.isEmpty || recipients.contains(question.recipient) else {
            throw EngineError.questionInvalid("no catalog of that time has a recipient '\(question.recipient)'")
        }
        includesOtherBases = !(question.purpose.isEmpty && question.recipient.isEmpty)
        let revisions = catalogs.flatMap(\.catalog.declarations).flatMap(\.revisions).map(\.effectiveAt)
        turns = (catalogs.map(\.since) + revisions).filter { $0 > from && $0 <= until }
        (self.from, self.until, self.asOf, recipient) = (from, until, asOf, question.recipient)
        self.catalogs = catalogs
    }

    private static func catalogs(
        from: Timestamp, until: Timestamp, asOf: UInt64, _ snapshot: LedgerSnapshot
    ) throws -> [InForce] {
        let applied = zip(try snapshot.catalogMoments(), try snapshot.catalogs())
            .filter { $0.0.sequence <= asOf && $0.0.recordedAt <= until }
        let first = applied.lastIndex { $0.0.recordedAt <= from } ?? 0
        return try applied.dropFirst(first).map { moment, stored in
            (since: moment.recordedAt, catalog: try AppliedCatalog(stored).catalog)
        }
    }

    /// - Parameter subject: a number of the ledger, judged by all events of it, also those of before an erasure. Who became
    ///   part of somebody else is found as long as it was not.
    func findings(of subject: Int64, in histories: SubjectHistories) throws -> [Finding] {
        let known = try histories.timeline(of: subject).filter { $0.sequence <= asOf && $0.recordedAt <= until }
        // Before the first event, nobody knew this person.
        guard let begin = known.first.map({ max($0.recordedAt, from) }) else { return [] }
        return try purposes.compactMap { purpose in
            let steps = try known.compactMap { try Self.step($0, purpose, histories) }
            return steps.isEmpty && !includesOtherBases ? nil : finding(purpose, steps, begin: begin)
        }
    }

    /// What an event does to where somebody stands for one purpose.
    private struct RecordedStep {
        var recordedAt: Timestamp
        /// Whether nobody of that number is left.
        var isEnd = false
        var change: (inout Standing) -> Void
    }

    /// Nil for an event that says nothing about the purpose.
    private static func step(
        _ event: SubjectEvent, _ purpose: Purpose, _ histories: SubjectHistories
    ) throws -> RecordedStep? {
        switch event {
        case .consent(let event):
            guard event.event.purpose == purpose.id else { return nil }
            return RecordedStep(recordedAt: event.recordedAt) { $0.fold(Act(event)) }
        case .erasure(let erasure): return RecordedStep(recordedAt: erasure.recordedAt) { $0.fold(erasure.act) }
        case .link(let link):
            switch link.action {
            case .linked:
                guard link.other != 0 else { return nil }
                let other = try standing(of: link.other, purpose, until: link.sequence, histories)
                return RecordedStep(recordedAt: link.recordedAt) {
                    $0 = $0.joined(with: other, sequence: link.sequence, at: link.recordedAt)
                }
            case .joinedTo: return RecordedStep(recordedAt: link.recordedAt, isEnd: true) { _ in }
            case .unlinked: return nil
            case .separated:
                let other = try standing(of: link.other, purpose, until: link.sequence, histories)
                return RecordedStep(recordedAt: link.recordedAt) { $0 = other.separated }
            }
        }
    }

    /// Where a subject stood for a purpose before an event.
    private static func standing(
        of subject: Int64, _ purpose: Purpose, until sequence: UInt64, _ histories: SubjectHistories
    ) throws -> Standing {
        var standing = Standing()
        for event in try histories.timeline(of: subject) where event.sequence < sequence {
            try step(event, purpose, histories)?.change(&standing)
        }
        return standing
    }

    private func finding(_ purpose: Purpose, _ events: [RecordedStep], begin: Timestamp) -> Finding? {
        let end = events.first(where: \.isEnd)?.recordedAt
        let recorded = events.map(\.recordedAt).filter { $0 > begin }
        let moments = Set([begin] + recorded + turns.filter { $0 > begin }).sorted()
        var finding: Finding?
        var standing = Standing()
        var rest = events[...]
        for (position, moment) in moments.enumerated() {
            if let end, moment >= end { break }
            while let event = rest.first, event.recordedAt <= moment {
                event.change(&standing)
                rest.removeFirst()
            }
            guard let verdict = verdict(purpose, standing, at: moment) else { continue }
            let next = position + 1 < moments.count ? moments[position + 1] : nil
            let ends = [verdict.grantedUntil.flatMap { $0 <= until ? $0 : nil }, next].compactMap { $0 }
            finding = Finding(purpose.id, verdict, since: finding?.since ?? moment, until: ends.min())
        }
        return finding
    }

    /// Nil unless it was granted then, and is asked about.
    private func verdict(_ purpose: Purpose, _ standing: Standing, at moment: Timestamp) -> Verdict? {
        guard let catalog = catalogs.last(where: { $0.since <= moment })?.catalog,
            let purpose = catalog.purpose(bit: purpose.bit)
        else { return nil }
        let verdict = decide(standing, catalog: catalog, purpose: purpose, at: moment)
        guard verdict.decision == .granted, includesOtherBases || verdict.reason != .basisHolds,
            isDisclosed(purpose, verdict, catalog, at: moment)
        else { return nil }
        return verdict
    }

    /// By the revision that the person agreed to, or the one in force; where no consent is needed, by any in force.
    private func isDisclosed(_ purpose: Purpose, _ verdict: Verdict, _ catalog: Catalog, at moment: Timestamp) -> Bool {
        if recipient.isEmpty { return true }
        let revisions =
            verdict.reason == .basisHolds
            ? catalog.declarations.compactMap { $0.currentRevision(at: moment) }
                .filter { $0.purposes.contains(purpose.id) }
            : [verdict.consentedRevision, verdict.currentRevision].compactMap { $0.flatMap(catalog.revision) }
        return revisions.contains { $0.recipients.contains(recipient) }
    }
}
