import ConsentCatalog
import ConsentIndex
import ConsentLedger
package import ConsentModel

/// A page of people, in the order of their numbers.
package struct PeoplePage: Sendable {
    /// The end of the ledger that was read.
    package var head: UInt64
    /// The last person that was looked at; ask again after it while there are more.
    package var next: UInt64
    package var hasMore: Bool
    /// One for each purpose that was found of a person.
    package var people: [FoundPerson]
}

/// What was found of one person and one purpose.
struct Finding {
    var purpose: String
    var state: ConsentState
    var revision: RevisionName?
    var since: Timestamp?
    var until: Timestamp?

    init(_ purpose: String, _ verdict: Verdict, since: Timestamp?, until: Timestamp?) {
        self.purpose = purpose
        state = verdict.reason
        revision = verdict.consentedRevision
        self.since = since
        self.until = until
    }

    init(_ purpose: String, _ verdict: Verdict, _ standing: Standing?) {
        self.init(purpose, verdict, since: standing?.decidingAct?.capturedAt, until: verdict.grantedUntil)
    }
}

extension Engine {
    /// People looked at for one page: a page takes some hundredths of a second, however few are found.
    private static let peoplePerPageMax = 10_000
    /// Their histories are read, event by event.
    private static let historiesPerPageMax = 1000

    /// One page of people of whom something holds.
    ///
    /// - Throws: ``EngineError`` `questionInvalid`.
    package func people(_ question: PeopleQuestion) throws -> PeoplePage {
        let catalog = catalog.catalog
        let result: Result<PeoplePage, EngineError> = try ledger.read { snapshot in
            // As the writer's clock: what has ended by it stays ended where the system's was set back.
            let now = max(systemNow(), try snapshot.lastRecordedAt())
            // The ledger would take it for a failure of its own.
            do { return .success(try page(question, catalog, now, snapshot)) } catch let error as EngineError {
                return .failure(error)
            }
        }
        return try result.get()
    }

    private func page(
        _ question: PeopleQuestion, _ catalog: Catalog, _ now: Timestamp, _ snapshot: LedgerSnapshot
    ) throws -> PeoplePage {
        let histories = try snapshot.histories()
        let find = try finder(question, catalog, now, snapshot, histories)
        var page = PeoplePage(head: try snapshot.head().sequence, next: question.after, hasMore: false, people: [])
        var left = question.selection == .active ? Self.historiesPerPageMax : Self.peoplePerPageMax
        try snapshot.walkSubjects(after: Int64(clamping: question.after)) { subject in
            page.hasMore = left == 0 || page.people.count >= question.countMax
            if page.hasMore { return false }
            left -= 1
            page.next = UInt64(subject.id)
            // Nobody can be asked or reached who is a number.
            if subject.isErased || subject.joinedTo != nil, question.selection != .active { return true }
            let findings = try find(subject)
            guard !findings.isEmpty else { return true }
            let identifiers = try histories.identifiers(of: subject, countMax: FoundPerson.identifiersMax) {
                subject.has($0.nationalIDHash.map(IdentifierHash.init(bytes:)) ?? hashKey.hash($0))
            }
            page.people += findings.map {
                FoundPerson(
                    subject: UInt64(subject.id), purpose: $0.purpose, state: $0.state, revision: $0.revision,
                    since: $0.since, until: $0.until, identifiers: identifiers)
            }
            return true
        }
        return page
    }

    private func finder(
        _ question: PeopleQuestion, _ catalog: Catalog, _ now: Timestamp, _ snapshot: LedgerSnapshot,
        _ histories: SubjectHistories
    ) throws -> (SubjectRecord) throws -> [Finding] {
        switch question.selection {
        case .audience: return try audience(question, catalog, now)
        case .askAgain: return try askAgain(question, catalog, now)
        case .ending: return try ending(question, catalog, now)
        case .active:
            let active = try ActiveConsents(question, catalog, snapshot)
            return { subject in try active.findings(of: subject.id, in: histories) }
        case .comingOfAge: return try comingOfAge(question, catalog, now)
        case .outdatedBy:
            let notice = try RevisionNotice(question.revision, in: proposed(question.document) ?? catalog, at: now)
            return notice.findings
        }
    }

    private func audience(
        _ question: PeopleQuestion, _ catalog: Catalog, _ now: Timestamp
    ) throws -> (SubjectRecord) -> [Finding] {
        let purpose = try catalog.purpose(asked: question.purpose)
        let except = question.except.isEmpty ? nil : try catalog.purpose(asked: question.except)
        func verdict(_ purpose: Purpose, _ subject: SubjectRecord) -> Verdict {
            decide(subject.standings[purpose.bit] ?? Standing(), catalog: catalog, purpose: purpose, at: now)
        }
        return { subject in
            let wanted = verdict(purpose, subject)
            guard wanted.decision == .granted, except.map({ verdict($0, subject).decision != .granted }) ?? true
            else { return [] }
            return [Finding(purpose.id, wanted, subject.standings[purpose.bit])]
        }
    }

    private func askAgain(
        _ question: PeopleQuestion, _ catalog: Catalog, _ now: Timestamp
    ) throws -> (SubjectRecord) -> [Finding] {
        let purpose = try catalog.purpose(asked: question.purpose)
        guard purpose.basis == .consent, purpose.isActive else {
            throw EngineError.questionInvalid(
                "nobody is to be asked for '\(purpose.id)': it \(purpose.isActive ? "does not rest on consent" : "is retired")"
            )
        }
        let reasons = question.reasons
        guard !reasons.contains(.dormant) || question.until != nil else {
            throw EngineError.questionInvalid("people are dormant since some moment, and none is given")
        }
        return { subject in
            let standing = subject.standings[purpose.bit]
            let verdict = decide(standing ?? Standing(), catalog: catalog, purpose: purpose, at: now)
            let isWanted =
                if let reason = AskAgainReasons(verdict.reason) {
                    reasons.contains(reason)
                } else {
                    verdict.decision == .granted && reasons.contains(.dormant)
                        && question.until.map { subject.standings.newestAct ?? .distantPast <= $0 } ?? false
                }
            return isWanted ? [Finding(purpose.id, verdict, standing)] : []
        }
    }

    private func ending(
        _ question: PeopleQuestion, _ catalog: Catalog, _ now: Timestamp
    ) throws -> (SubjectRecord) -> [Finding] {
        let only = question.purpose.isEmpty ? nil : try catalog.purpose(asked: question.purpose)
        guard let until = question.until, until > now else {
            throw EngineError.questionInvalid("the moment until which consents may end has not been given, or is past")
        }
        return { subject in
            subject.standings.all.compactMap { entry in
                guard let purpose = catalog.purpose(bit: entry.purposeBit), only.map({ $0.bit == purpose.bit }) ?? true
                else { return nil }
                let verdict = decide(entry.standing, catalog: catalog, purpose: purpose, at: now)
                guard let end = verdict.grantedUntil, end <= until else { return nil }
                return Finding(purpose.id, verdict, entry.standing)
            }
        }
    }

    private func comingOfAge(
        _ question: PeopleQuestion, _ catalog: Catalog, _ now: Timestamp
    ) throws -> (SubjectRecord) throws -> [Finding] {
        let only = question.purpose.isEmpty ? nil : try catalog.purpose(asked: question.purpose)
        guard only.map({ $0.minimumAge != nil }) ?? true else {
            throw EngineError.questionInvalid("nobody comes of age for '\(question.purpose)': it has no minimum age")
        }
        guard let until = question.until else {
            throw EngineError.questionInvalid("the moment until which people come of age has not been given")
        }
        return { subject in
            subject.standings.all.compactMap { entry in
                guard let purpose = catalog.purpose(bit: entry.purposeBit), only.map({ $0.bit == purpose.bit }) ?? true,
                    let moment = comesOfAge(entry.standing, purpose: purpose), moment <= until
                else { return nil }
                let verdict = decide(entry.standing, catalog: catalog, purpose: purpose, at: now)
                guard verdict.decision == .granted else { return nil }
                return Finding(purpose.id, verdict, since: entry.standing.decidingAct?.capturedAt, until: moment)
            }
        }
    }

    private func proposed(_ text: String) throws -> Catalog? {
        guard !text.isEmpty else { return nil }
        do {
            return try CatalogDocument(text: text, file: "catalog").catalog
        } catch {
            throw EngineError.catalogRejected("\(error)")
        }
    }

    // MARK: Counts

    /// The index is looked through again if it changed as a whole meanwhile, so often at most.
    private static let countRoundsMax = 64

    /// Identifiers that are granted a purpose and not another, each as a check would answer at the moment at which it is
    /// looked at; straight from the index.
    ///
    /// - Returns: with all identifiers that are known, and the sequence that the index had reached before.
    package func grantedCount(
        of purpose: String, except: String
    ) throws -> (granted: Int, known: Int, sequence: UInt64) {
        let catalog = catalog.catalog
        let purposeBit = try catalog.purpose(asked: purpose).bit
        let exceptBit = except.isEmpty ? nil : try catalog.purpose(asked: except).bit
        let seconds = UInt32(clamping: systemNow().secondsRoundedDown)
        for _ in 0..<Self.countRoundsMax {
            let table = publication.current
            let (known, sequence) = (table.rows, table.appliedSequence)
            if let granted = table.grantedCount(purposeBit: purposeBit, exceptBit: exceptBit, now: seconds) {
                return (granted, known, sequence)
            }
        }
        throw EngineError.busy
    }
}

extension Catalog {
    func purpose(asked id: String) throws(EngineError) -> Purpose {
        guard let purpose = purpose(id: id) else {
            throw .questionInvalid(id.isEmpty ? "no purpose is given" : "the catalog has no purpose '\(id)'")
        }
        return purpose
    }
}

extension Standings {
    /// When the person, or someone for them, last did something that still matters.
    fileprivate var newestAct: Timestamp? {
        all.lazy.flatMap { entry in
            [
                entry.standing.decidingAct?.capturedAt, entry.standing.takenAwayAt,
                entry.standing.objectionLiftedByPersonAt,
            ].compactMap { $0 }
        }.max()
    }
}

extension Timestamp {
    fileprivate static let distantPast = Timestamp(millis: .min)
}
