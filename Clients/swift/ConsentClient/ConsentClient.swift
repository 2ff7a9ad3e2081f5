package import ConsentModel
package import ConsentWire
import NIOCore

/// A connection to a consent server, shared by any number of tasks.
///
/// Ask immediately before each use of a person's data, and never keep an answer: a withdrawal counts from the moment it is
/// recorded. Whatever a call throws means that nothing was granted.
///
/// Requests of all tasks travel on one connection without waiting for each other. Each has a deadline
/// (``ClientOptions/requestTimeout``), within which it is repeated where that is harmless: checks and other reads once on
/// another connection, acts as often as needed and always with the same key, a catalog never.
public final class ConsentClient: Sendable {
    private let dispatcher: Dispatcher

    private init(_ dispatcher: Dispatcher) { self.dispatcher = dispatcher }

    deinit { dispatcher.abandon() }

    /// Connects, introduces the client and reads the purposes of the catalog.
    ///
    /// - Throws: after the first attempt that fails; nothing goes on in the background then.
    public static func connect(
        to endpoint: Endpoint, options: ClientOptions = .init()
    ) async throws(ConsentClientError) -> ConsentClient {
        let dispatcher = Dispatcher(endpoint, options, try Hello(options))
        try await dispatcher.start()
        return ConsentClient(dispatcher)
    }

    /// The server, as it introduced itself on the newest connection.
    public var server: ServerInfo { published.info }

    // There is no client without a first welcome.
    private var published: Dispatcher.Published { dispatcher.published! }

    /// Closes the connection. Whatever waits fails with `closed`.
    public func close() async { await dispatcher.close() }
}

// MARK: Checks

extension ConsentClient {
    /// May this person's data be used for this purpose, now?
    public func check(_ subject: Subject, purpose: String) async throws(ConsentClientError) -> Check {
        guard case .checked(let checked) = try await dispatcher.perform(.check(subject, purpose: purpose)) else {
            unexpectedAnswer()
        }
        return Check(
            decision: Decision(checked.decision), reason: Reason(checked.reason),
            freshness: Freshness(checked.freshness), sequence: checked.sequence)
    }

    /// What does this person permit of several purposes? One frame, and so one state of the ledger.
    public func check(_ subject: Subject, purposes: [String]) async throws(ConsentClientError) -> PurposeChecks {
        let answer = try await dispatcher.perform(.checkPurposes(subject, purposes: purposes))
        guard case .checkedPurposes(let set, let bits) = answer else { unexpectedAnswer() }
        return PurposeChecks(
            purposes: purposes, decisions: bits.map { Decision(set.decision($0)) },
            freshness: Freshness(set.freshness), sequence: set.sequence)
    }

    /// Which of these people permit this purpose? As many frames as it takes, sent at once; all fail if one does.
    ///
    /// - Parameter subjects: all of one identifier type.
    public func check(_ subjects: [Subject], purpose: String) async throws(ConsentClientError) -> SubjectChecks {
        guard subjects.allSatisfy({ $0.type == subjects[0].type }) else {
            throw .invalidArgument("the subjects of one check must have one identifier type")
        }
        let frames = published.limits.frames(of: subjects)
        var decisions: [Decision] = []
        decisions.reserveCapacity(subjects.count)
        var freshness = Freshness.live
        var sequence: UInt64?
        for result in await dispatcher.performAll(frames.map { .checkSubjects($0, purpose: purpose) }) {
            guard case .checkedSubjects(let set, let count) = try result.get() else { unexpectedAnswer() }
            for position in 0..<count { decisions.append(Decision(set.decision(position))) }
            if set.freshness.rawValue > freshness.rawValue { freshness = Freshness(set.freshness) }
            sequence = min(sequence ?? set.sequence, set.sequence)
        }
        return SubjectChecks(decisions: decisions, freshness: freshness, sequence: sequence ?? 0)
    }

    /// The decision with everything that led to it: for people and for the record, thousands of times slower than a check.
    public func explain(_ subject: Subject, purpose: String) async throws(ConsentClientError) -> Explanation {
        guard case .explained(let explained) = try await dispatcher.perform(.explain(subject, purpose: purpose)) else {
            unexpectedAnswer()
        }
        return Explanation(explained)
    }
}

// MARK: Changes

extension ConsentClient {
    /// Records acts. When it returns, those that were not refused are durable, and checks see them.
    ///
    /// An act without a key gets one, once, so that what this call repeats is recorded once. An act that breaks a rule is
    /// refused on its own and does not hold up the others, which is also what happens to one that is too large to be sent
    /// or names an unknown purpose.
    ///
    /// - Returns: what became of each act, in their order.
    /// - Throws: it is not known then which acts were recorded. To repeat them, give them keys of your own beforehand.
    public func record(_ acts: [ConsentAct]) async throws(ConsentClientError) -> [RecordOutcome] {
        var events = acts.map(OutgoingEvent.init)
        for position in events.indices where events[position].message.key == nil {
            events[position].message.key = .random()
        }
        return try await record(events)
    }

    /// Records events of the model, as ``record(_:)`` records acts, but without making keys.
    package func record(events: [ConsentEvent]) async throws(ConsentClientError) -> [RecordOutcome] {
        try await send(events: events).outcomes()
    }

    /// As above, in two steps: when this returns, the events are on their way, behind those of every call that returned
    /// before. So whoever calls this one time after the other has their order on the wire, and need not wait in between.
    package func send(events: [ConsentEvent]) async throws(ConsentClientError) -> SentEvents {
        try await send(events.map { OutgoingEvent($0) })
    }

    private func record(_ events: [OutgoingEvent]) async throws(ConsentClientError) -> [RecordOutcome] {
        try await send(events).outcomes()
    }

    private func send(_ events: [OutgoingEvent]) async throws(ConsentClientError) -> SentEvents {
        let purposes = try await purposeTable(knowing: events)
        var sent = SentEvents(events, refusals: events.map { $0.refusal(purposes: purposes) })
        let frames = published.limits.frames(of: sent.positions.map { events[$0] })
        sent.answers = await dispatcher.startInOrder(frames)
        return sent
    }

    /// Events on their way, and what will have become of them.
    package struct SentEvents: Sendable {
        private let events: [OutgoingEvent]
        private let refusals: [RecordOutcome?]
        /// Of the events that could be sent.
        fileprivate let positions: [Int]
        fileprivate var answers: Answers?

        fileprivate init(_ events: [OutgoingEvent], refusals: [RecordOutcome?]) {
            self.events = events
            self.refusals = refusals
            positions = refusals.indices.filter { refusals[$0] == nil }
        }

        /// Waits for the answers. To be called again only after it has returned.
        package func outcomes() async throws(ConsentClientError) -> [RecordOutcome] {
            var outcomes = refusals
            var answered = positions[...]
            for result in await answers?.results() ?? [] {
                guard case .recorded(let recorded) = try result.get() else { unexpectedAnswer() }
                for outcome in recorded.outcomes {
                    let position = answered.removeFirst()
                    outcomes[position] = RecordOutcome(outcome, key: events[position].message.key)
                }
            }
            return outcomes.map { $0! }
        }
    }

    /// The purposes, read again where one of these events names one that is not known.
    private func purposeTable(knowing events: [OutgoingEvent]) async throws(ConsentClientError) -> PurposeTable {
        let known = published.purposes
        if events.allSatisfy({ known.contains($0.purpose) }) { return known }
        return try await readPurposes()
    }

    /// Checks a catalog and, unless this is a dry run, applies it: wholly or not at all. Never repeated on its own once it
    /// may have been sent; applying the same text twice changes nothing the second time.
    public func applyCatalog(
        _ text: String, dryRun: Bool = false
    ) async throws(ConsentClientError) -> CatalogOutcome {
        guard text.utf8.count + WireLimit.headerSize <= published.limits.frameSizeMax else {
            throw .invalidArgument("the catalog has more than \(published.limits.frameSizeMax) bytes")
        }
        let answer = try await dispatcher.perform(.applyCatalog(text, isDryRun: dryRun))
        guard case .appliedCatalog(let applied) = answer else { unexpectedAnswer() }
        return CatalogOutcome(
            version: Int(applied.catalogVersion), sequence: applied.sequence == 0 ? nil : applied.sequence,
            changes: applied.changes, isDryRun: applied.isDryRun)
    }
}

// MARK: People

extension ConsentClient {
    /// Erases a person: identifiers and evidence of everything recorded. What was agreed to does not count any more, a "no"
    /// stands as an objection, and only a new act of the person brings the person back. Erasing twice changes nothing the
    /// second time.
    ///
    /// - Parameters:
    ///   - subject: one of the identifiers that the person is known by; the person is erased by all of them.
    ///   - actor: who carries it out; stays in the ledger, so it must not name the person.
    public func erase(
        _ subject: Subject, reason: ErasureReason, by actor: String = ""
    ) async throws(ConsentClientError) -> ErasureOutcome {
        try requireShort([actor])
        let answer = try await dispatcher.perform(.erase(subject, reason: .init(word: reason), actor: actor))
        guard case .erased(let erased) = answer else { unexpectedAnswer() }
        return ErasureOutcome(erased)
    }

    /// Links an identifier, such as a cookie, with a person who turns out to be behind it. What was recorded for it becomes
    /// the person's; a "no" of either side is a "no" of the person. Linking twice changes nothing the second time.
    ///
    /// - Parameters:
    ///   - person: one of the identifiers that the person is known by.
    ///   - actor: who carries it out; stays in the ledger, so it must not name the person.
    public func link(
        _ subject: Subject, to person: Subject, by actor: String = ""
    ) async throws(ConsentClientError) -> LinkingOutcome {
        try requireShort([actor, subject.value])
        let answer = try await dispatcher.perform(.link(subject, to: person, actor: actor))
        guard case .linked(let outcome) = answer else { unexpectedAnswer() }
        return LinkingOutcome(outcome)
    }

    /// Takes an identifier off its person. It is unknown from then on, but each "no" that stood stands for it on. Never
    /// repeated on its own once it may have been sent.
    public func unlink(
        _ subject: Subject, by actor: String = ""
    ) async throws(ConsentClientError) -> LinkingOutcome {
        try requireShort([actor])
        let answer = try await dispatcher.perform(.unlink(subject, actor: actor))
        guard case .unlinked(let outcome) = answer else { unexpectedAnswer() }
        return LinkingOutcome(outcome)
    }

    /// Issues a token that confirms what a person has requested (double opt-in): send it to the person, and give it to
    /// ``confirm(token:by:system:channel:form:actor:)`` when it comes back. Issued anew, the one before counts, too.
    ///
    /// - Parameter purposes: each with a grant that waits to be confirmed; at most 64.
    public func issueToken(
        _ subject: Subject, purposes: [String]
    ) async throws(ConsentClientError) -> ConfirmationToken {
        try requireShort(purposes)
        guard (1...Limit.purposesPerTokenMax).contains(purposes.count) else {
            throw .invalidArgument("a token is for 1 to \(Limit.purposesPerTokenMax) purposes")
        }
        let answer = try await dispatcher.perform(.issueToken(subject, purposes: purposes))
        guard case .tokenIssued(let issued) = answer else { unexpectedAnswer() }
        return ConfirmationToken(
            token: issued.token, endsAt: Moment(millis: issued.endsAt), events: issued.events)
    }

    /// Confirms exactly what a token was issued for. It counts once, so this is never repeated on its own once it may have
    /// been sent.
    ///
    /// - Parameter guardian: who confirms for the person; nil where the person does.
    public func confirm(
        token: String, by guardian: Guardian? = nil, system: String = "", channel: String = "", form: String = "",
        actor: String = ""
    ) async throws(ConsentClientError) -> [ConfirmedConsent] {
        try requireShort([token, system, channel, form, actor])
        var request = ConfirmTokenRequest(token: token)
        request.guardian = guardian.map(GuardianMessage.init)
        request.source = EventSource(system: system, channel: channel, form: form)
        request.actor = actor
        let answer = try await dispatcher.perform(.confirmToken(request))
        guard case .tokenConfirmed(let confirmed) = answer else { unexpectedAnswer() }
        return confirmed.consents.map(ConfirmedConsent.init)
    }
}

// MARK: Reads

extension ConsentClient {
    /// Everything that is recorded about a person, oldest first; empty for one that the ledger does not know.
    ///
    /// - Parameter sequence: only what came later than this.
    public func history(
        of subject: Subject, after sequence: UInt64 = 0
    ) async throws(ConsentClientError) -> [HistoryEntry] {
        var entries: [HistoryEntry] = []
        try await walkHistory(of: subject, after: sequence, withLinks: false) { page, purposes in
            entries += page.events.map { HistoryEntry($0, purposes: purposes) }
        }
        return entries
    }

    /// As ``history(of:after:)``, and also what linked and unlinked identifiers of the person.
    public func timeline(
        of subject: Subject, after sequence: UInt64 = 0
    ) async throws(ConsentClientError) -> [TimelineEntry] {
        var entries: [TimelineEntry] = []
        try await walkHistory(of: subject, after: sequence, withLinks: true) { page, purposes in
            let acts = page.events.map { TimelineEntry.act(HistoryEntry($0, purposes: purposes)) }
            entries += (acts + page.links.map { .link(LinkEntry($0)) }).sorted { $0.sequence < $1.sequence }
        }
        return entries
    }

    private func walkHistory(
        of subject: Subject, after sequence: UInt64, withLinks: Bool, _ body: (HistoryPage, PurposeTable) -> Void
    ) async throws(ConsentClientError) {
        var after = sequence
        while true {
            let answer = try await dispatcher.perform(.history(subject, after: after, withLinks: withLinks))
            guard case .historyPage(let page, let purposes) = answer else { unexpectedAnswer() }
            body(page, purposes)
            guard page.hasMore else { return }
            guard let last = page.last, last > after else {
                throw .protocolViolation("a page of a history says that more follow and does not lead on")
            }
            after = last
        }
    }

    /// The purposes of the catalog as it is now.
    public func purposes() async throws(ConsentClientError) -> [PurposeInfo] { try await readPurposes().infos }

    private func readPurposes() async throws(ConsentClientError) -> PurposeTable {
        guard case .catalogPurposes(let catalog) = try await dispatcher.perform(.catalog) else { unexpectedAnswer() }
        return PurposeTable(catalog)
    }

    /// The catalog's text as it was applied.
    public func catalogDocument() async throws(ConsentClientError) -> (version: Int, text: String) {
        guard case .catalogText(let catalog) = try await dispatcher.perform(.catalogDocument) else {
            unexpectedAnswer()
        }
        return (Int(catalog.catalogVersion), catalog.document)
    }

    /// How many identifiers are granted a purpose, and not another; counted in the index in a moment, however many.
    public func countGranted(
        _ purpose: String, except: String? = nil
    ) async throws(ConsentClientError) -> AudienceCount {
        let request = CountGrantedRequest(purpose: purpose, except: except ?? "")
        try requireShort([request.purpose, request.except])
        guard case .grantedCount(let count) = try await dispatcher.perform(.countGranted(request)) else {
            unexpectedAnswer()
        }
        return AudienceCount(
            granted: Int(clamping: count.granted), known: Int(clamping: count.known), sequence: count.sequence)
    }

    /// One page of people of whom something holds; ask again after its `next` while it has more.
    package func people(_ question: PeopleQuestion) async throws(ConsentClientError) -> FoundPeople {
        try requireShort([
            question.purpose, question.except, question.revision.declaration, question.revision.revision,
            question.recipient,
        ])
        // All other fields together are far less than two KiB.
        guard question.document.utf8.count <= published.limits.frameSizeMax - 2048 else {
            throw .invalidArgument("the catalog has more than \(published.limits.frameSizeMax - 2048) bytes")
        }
        guard case .peoplePage(let page) = try await dispatcher.perform(.people(question)) else { unexpectedAnswer() }
        return page
    }

    private func requireShort(_ names: [String]) throws(ConsentClientError) {
        guard names.allSatisfy({ $0.utf8.count <= Limit.shortTextSizeMax }) else {
            throw .invalidArgument("a name has more than \(Limit.shortTextSizeMax) bytes")
        }
    }

    /// Who read personal data, what, and when, oldest first.
    ///
    /// - Parameters:
    ///   - subject: only reads that were about this person alone.
    ///   - actor: only what this account or role read.
    ///   - since: read then or later.
    ///   - until: read before.
    public func accessLog(
        about subject: Subject? = nil, by actor: String = "", since: Moment? = nil, until: Moment? = nil
    ) async throws(ConsentClientError) -> [AccessLogEntry] {
        try requireShort([actor])
        var question = AccessLogQuestion()
        question.actor = actor
        question.since = since.map { Timestamp(millis: $0.millis) }
        question.until = until.map { Timestamp(millis: $0.millis) }
        var entries: [AccessLogEntry] = []
        while true {
            let page = try await accessPage(question, about: subject)
            entries += page.entries.map(AccessLogEntry.init)
            guard page.hasMore else { return entries }
            question.after = page.next
        }
    }

    /// One page of the access log; ask again after its `next` while it has more.
    package func accessPage(
        _ question: AccessLogQuestion, about subject: Subject?
    ) async throws(ConsentClientError) -> FoundAccesses {
        try requireShort([question.actor])
        guard case .accessPage(let page) = try await dispatcher.perform(.accessLog(question, about: subject)) else {
            unexpectedAnswer()
        }
        return page
    }

    /// Signs where the ledger's chain is now, unless that is signed already.
    ///
    /// - Returns: one line of JSON. Kept elsewhere, it shows later whether anything before it was changed or cut off:
    ///   `consentd verify --checkpoint`.
    public func checkpoint() async throws(ConsentClientError) -> String {
        guard case .checkpointed(let text) = try await dispatcher.perform(.checkpoint) else { unexpectedAnswer() }
        return text.document
    }

    /// A document about one event, signed, as JSON. It holds personal data.
    public func document(_ kind: ProofKind, of sequence: UInt64) async throws(ConsentClientError) -> String {
        let request = ProveRequest(.init(word: kind), of: sequence)
        guard case .proved(let text) = try await dispatcher.perform(.prove(request)) else { unexpectedAnswer() }
        return text.document
    }

    /// Counters and sizes of the node. Names come and go with its version.
    public func statistics() async throws(ConsentClientError) -> [(name: String, value: UInt64)] {
        guard case .statisticValues(let values) = try await dispatcher.perform(.statistics) else { unexpectedAnswer() }
        return values.values.map { ($0.name, $0.value) }
    }

    /// Who the node is, by which sequence it answers, and who follows it.
    public func status() async throws(ConsentClientError) -> ServerStatus {
        guard case .nodeStatus(let status) = try await dispatcher.perform(.status) else { unexpectedAnswer() }
        return ServerStatus(status)
    }

    /// Since when each edge that follows the node answers by a sequence, such as a withdrawal's.
    public func enforcement(of sequence: UInt64) async throws(ConsentClientError) -> Enforcement {
        guard case .enforcedBy(let enforced) = try await dispatcher.perform(.enforcement(sequence: sequence)) else {
            unexpectedAnswer()
        }
        return Enforcement(enforced)
    }

    /// The time of a round trip.
    public func ping() async throws(ConsentClientError) -> Duration {
        let start = ContinuousClock.now
        guard case .pong = try await dispatcher.perform(.ping(echo: .random(in: 0...(.max)))) else {
            unexpectedAnswer()
        }
        return ContinuousClock.now - start
    }
}

/// The conversation lets no answer through that is not of the kind asked for.
private func unexpectedAnswer() -> Never { preconditionFailure("an answer of another kind than was asked for") }
