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
    /// Of all of that time, by their ids.
    private let purposeBits: [String: Int]
    private let linked = LinkedHistories()
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
        purposeBits = Dictionary(known.values.map { ($0.id, $0.bit) }) { $1 }
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
        // Before the first event, nobody knew this person.
        guard let history = try history(of: subject, in: histories), history.begin <= until else { return [] }
        return purposes.compactMap { purpose in
            let steps = history.steps[purpose.bit] ?? []
            return steps.isEmpty && !includesOtherBases
                ? nil : finding(purpose, steps, begin: max(history.begin, from), end: history.end)
        }
    }

    /// Where a subject stood for each purpose, event by event.
    private struct History {
        struct Step {
            var recordedAt: Timestamp
            var standing: Standing
        }

        let begin: Timestamp
        /// When it became part of another.
        var end: Timestamp?
        var standings: [Int: Standing] = [:]
        var steps: [Int: [Step]] = [:]

        mutating func step(_ bit: Int, to standing: Standing, at moment: Timestamp) {
            standings[bit] = standing
            steps[bit, default: []].append(Step(recordedAt: moment, standing: standing))
        }
    }

    /// Of those whose identifiers changed hands: what one of them brought is told of all at once.
    private final class LinkedHistories { var all: [Int64: History] = [:] }

    private func history(of subject: Int64, in histories: SubjectHistories) throws -> History? {
        if let known = linked.all[subject] { return known }
        let events = try eventsOfAll(linkedWith: subject, in: histories)
        var told: [Int64: History] = [:]
        for event in events { tell(event, &told) }
        if told.count > 1 { linked.all.merge(told) { $1 } }
        return told[subject]
    }

    /// What is known of a subject and of all with whom its identifiers, and theirs, changed hands; by sequence.
    private func eventsOfAll(linkedWith subject: Int64, in histories: SubjectHistories) throws -> [SubjectEvent] {
        var events: [SubjectEvent] = []
        var (found, pending): (Set<Int64>, [Int64]) = ([subject], [subject])
        while let next = pending.popLast() {
            for event in try histories.timeline(of: next) where event.sequence <= asOf && event.recordedAt <= until {
                events.append(event)
                guard case .link(let link) = event, link.other != 0, found.insert(link.other).inserted else { continue }
                pending.append(link.other)
            }
        }
        return found.count == 1 ? events : events.sorted { $0.sequence < $1.sequence }
    }

    /// Tells one event after those before it.
    private func tell(_ event: SubjectEvent, _ told: inout [Int64: History]) {
        let (subject, moment) = (event.subject, event.recordedAt)
        switch event {
        case .consent(let recorded):
            guard let bit = purposeBits[recorded.event.purpose] else { break }
            var standing = told[subject]?.standings[bit] ?? Standing()
            standing.fold(Act(recorded))
            told[subject, default: History(begin: moment)].step(bit, to: standing, at: moment)
        case .erasure(let erasure):
            for (bit, known) in told[subject]?.standings ?? [:] {
                var standing = known
                standing.fold(erasure.act)
                told[subject]?.step(bit, to: standing, at: moment)
            }
        case .link(let link):
            let others = told[link.other]?.standings ?? [:]
            switch link.action {
            case .linked:
                for (bit, other) in others {
                    let standing = (told[subject]?.standings[bit] ?? Standing())
                        .joined(with: other, sequence: link.sequence, at: moment)
                    told[subject, default: History(begin: moment)].step(bit, to: standing, at: moment)
                }
            case .separated:
                for (bit, other) in others {
                    told[subject, default: History(begin: moment)].step(bit, to: other.separated, at: moment)
                }
            case .joinedTo: told[subject, default: History(begin: moment)].end = moment
            case .unlinked: break
            }
        }
        if told[subject] == nil { told[subject] = History(begin: moment) }
    }

    private func finding(
        _ purpose: Purpose, _ steps: [History.Step], begin: Timestamp, end: Timestamp?
    ) -> Finding? {
        let recorded = (steps.map(\.recordedAt) + [end].compactMap { $0 }).filter { $0 > begin }
        let moments = Set([begin] + recorded + turns.filter { $0 > begin }).sorted()
        var finding: Finding?
        var standing = Standing()
        var rest = steps[...]
        for (position, moment) in moments.enumerated() {
            if let end, moment >= end { break }
            while let step = rest.first, step.recordedAt <= moment {
                standing = step.standing
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
