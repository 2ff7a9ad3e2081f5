import ConsentCatalog
package import ConsentEngine
import ConsentIndex
import ConsentModel
import ConsentProof
package import ConsentSync
package import ConsentWire

/// Writes an answer into a connection's output, on its loop's thread.
package typealias Encode = @Sendable (inout OutputBuffer) -> Void

extension Engine {
    package func perform(
        _ action: NodeAction, feed: FeedHub?, complete: @escaping @Sendable (@escaping Encode) -> Void
    ) {
        switch action {
        case .record(let request, let events):
            record(events) { result in complete(Self.encodeRecorded(result, request)) }
        case .question(let request, let question):
            do {
                try ask { engine in engine.answer(question, request, feed, complete) }
            } catch {
                complete(Self.encodeError(error, request))
            }
        }
    }

    private func answer(
        _ question: Question, _ request: UInt32, _ feed: FeedHub?,
        _ complete: @escaping @Sendable (@escaping Encode) -> Void
    ) {
        do {
            try carryOut(question, request, feed, complete)
        } catch {
            complete(Self.encodeError(error, request))
            notice(EngineError(error))
        }
    }

    /// What was asked for is read, the access log says so, and then it is given.
    private func answer(
        _ question: ReadQuestion, by reader: AccessReader, _ request: UInt32,
        _ complete: @escaping @Sendable (@escaping Encode) -> Void
    ) throws {
        let read = try read(question, by: reader, request)
        log(read.entry, about: read.person) { result in
            switch result {
            case .success: complete(read.answer)
            case .failure(let error): complete(Self.encodeError(error, request))
            }
        }
    }

    private func read(
        _ question: ReadQuestion, by reader: AccessReader, _ request: UInt32
    ) throws -> (answer: Encode, entry: AccessEntry, person: ReadPerson) {
        switch question {
        case .explain(let identifier, let purposeBit):
            let found = try explain(identifier, purposeBit: purposeBit)
            let answer = Explained(
                verdict: found.verdict, basis: found.purpose.basis, freshness: .live, decidingAct: found.act,
                guardian: found.guardian, sequence: found.sequence)
            var entry = AccessEntry(.explain, by: reader)
            (entry.purpose, entry.rows) = (found.purpose.id, found.act == nil ? 0 : 1)
            return ({ answer.encode(request: request, into: &$0) }, entry, .asked(identifier))
        case .history(let asked):
            let page = try historyPage(asked)
            var entry = AccessEntry(.history, by: reader)
            (entry.after, entry.rows) = (asked.after, UInt64(page.events.count + page.links.count))
            return ({ page.encode(request: request, into: &$0) }, entry, .asked(asked.identifier))
        case .people(var asked):
            asked.countMax =
                asked.countMax == 0 ? WireLimit.peoplePageMax : min(asked.countMax, WireLimit.peoplePageMax)
            let answer = FoundPeople(try people(asked))
            return ({ answer.encode(request: request, into: &$0) }, AccessEntry(asked, answer, by: reader), .nobody)
        case .prove(let asked):
            let parts = ProofText(try document(asked.kind, of: asked.sequence)).parts
            var entry = AccessEntry(asked.kind == .event ? .proof : .receipt, by: reader)
            (entry.about, entry.rows) = (asked.sequence, 1)
            let person = try person(ofEvent: asked.sequence)
            return ({ for part in parts { part.encode(.proved, request: request, into: &$0) } }, entry, person)
        case .accessLog(let asked):
            let countMax = asked.countMax == 0 ? WireLimit.accessPageMax : min(asked.countMax, WireLimit.accessPageMax)
            let page = try accesses(asked, countMax: countMax)
            let answer = FoundAccesses(
                hasMore: page.hasMore, head: page.head, next: page.next, entries: page.entries)
            var entry = AccessEntry(.accessLog, by: reader)
            (entry.after, entry.from, entry.until) = (asked.after, asked.since, asked.until)
            entry.rows = UInt64(page.entries.count)
            return (
                { answer.encode(request: request, into: &$0) }, entry, asked.identifier.map { .asked($0) } ?? .nobody
            )
        }
    }

    private func carryOut(
        _ question: Question, _ request: UInt32, _ feed: FeedHub?,
        _ complete: @escaping @Sendable (@escaping Encode) -> Void
    ) throws {
        switch question {
        case .read(let read, let reader): try answer(read, by: reader, request, complete)
        case .applyCatalog(let apply): try answer(apply, request, complete)
        case .erase(let asked):
            erase(ErasureRequest(asked.identifier, reason: asked.reason, actor: asked.actor)) {
                complete(Self.encodeErased($0, request))
            }
        case .catalog:
            let answer = CatalogPurposes(catalog)
            complete { answer.encode(request: request, into: &$0) }
        case .catalogDocument:
            let applied = catalog
            let answer = CatalogText(catalogVersion: UInt32(applied.version), document: applied.text)
            complete { answer.encode(request: request, into: &$0) }
        case .statistics:
            let answer = StatisticValues(values: try statistics().map { .init($0.name, $0.value) })
            complete { answer.encode(request: request, into: &$0) }
        case .status(let serverVersion):
            var answer = status()
            answer.serverVersion = serverVersion
            answer.edges = feed?.followingEdges ?? []
            complete { [answer] in answer.encode(request: request, into: &$0) }
        case .enforcement(let asked):
            let answer = EnforcedBy(
                sequence: asked.sequence, head: publication.current.appliedSequence, feed: feed)
            complete { answer.encode(request: request, into: &$0) }
        case .countGranted(let asked):
            let (granted, known, sequence) = try grantedCount(of: asked.purpose, except: asked.except)
            let answer = GrantedCount(sequence: sequence, granted: UInt64(granted), known: UInt64(known))
            complete { answer.encode(request: request, into: &$0) }
        case .link(let asked):
            link(LinkRequest(asked.identifier, to: asked.person, actor: asked.actor)) { result in
                complete(
                    Self.encode(result, request) { LinkOutcome($0).encode(.linked, request: request, into: &$1) })
            }
        case .unlink(let asked):
            unlink(UnlinkRequest(asked.identifier, actor: asked.actor)) { result in
                complete(
                    Self.encode(result, request) { LinkOutcome($0).encode(.unlinked, request: request, into: &$1) })
            }
        case .issueToken(let asked):
            issueToken(TokenRequest(asked.identifier, purposes: asked.purposes)) { result in
                complete(Self.encode(result, request) { TokenIssued($0).encode(request: request, into: &$1) })
            }
        case .confirmToken(let asked):
            confirmToken(try TokenConfirmation(asked)) { result in
                complete(Self.encode(result, request) { TokenConfirmed($0).encode(request: request, into: &$1) })
            }
        case .checkpoint:
            let answer = ProofText(try checkpoint().text)
            complete { answer.encode(.checkpointed, request: request, into: &$0) }
        }
    }

    private func status() -> NodeStatus {
        var status = NodeStatus(inService.value)
        status.isReady = true
        status.head = status.sequence
        status.ageMillis = 0
        return status
    }

    /// As many events as are asked for and fit into a frame.
    private func historyPage(_ asked: HistoryRequest) throws -> HistoryPage {
        // One more than asked for tells whether there are more.
        let (entries, head) =
            asked.wantsLinks
            ? try timeline(of: asked.identifier, after: asked.after, countMax: asked.countMax + 1)
            : try consents(of: asked.identifier, after: asked.after, countMax: asked.countMax + 1)
        let purposes = catalog.catalog
        var page = HistoryPage(hasMore: false, head: head, events: [])
        var size = 0
        for entry in entries.prefix(asked.countMax) {
            switch entry {
            case .consent(let event):
                guard let purpose = purposes.purpose(id: event.event.purpose) else {
                    throw EngineError.damaged(
                        at: "event \(event.sequence)", what: "no catalog has its purpose, '\(event.event.purpose)'")
                }
                let message = RecordedEventMessage(event, purposeBit: UInt16(purpose.bit))
                size += message.sizeMax
                if size <= WireLimit.frameSizeMax - 1024 { page.events.append(message) }
            case .link(let link):
                let message = RecordedLinkMessage(link)
                size += message.sizeMax
                if size <= WireLimit.frameSizeMax - 1024 { page.links.append(message) }
            }
            if size > WireLimit.frameSizeMax - 1024 { break }
        }
        page.hasMore = page.events.count + page.links.count < entries.count
        return page
    }

    private func consents(
        of identifier: Identifier, after: UInt64, countMax: Int
    ) throws -> (entries: [PersonEvent], head: UInt64) {
        let (events, head) = try history(of: identifier, after: after, countMax: countMax)
        return (events.map(PersonEvent.consent), head)
    }

    private func answer(
        _ apply: ApplyCatalogRequest, _ request: UInt32, _ complete: @escaping @Sendable (@escaping Encode) -> Void
    ) throws {
        let document: CatalogDocument
        do {
            document = try CatalogDocument(text: apply.document, file: "catalog")
        } catch {
            throw EngineError.catalogRejected("\(error)")
        }
        if apply.isDryRun {
            complete(Self.encodeApplied(.success(try preview(document)), isDryRun: true, request))
        } else {
            self.apply(document) { complete(Self.encodeApplied($0, isDryRun: false, request)) }
        }
    }

    private static func encodeApplied(
        _ result: Result<CatalogResult, EngineError>, isDryRun: Bool, _ request: UInt32
    ) -> Encode {
        switch result {
        case .success(let applied):
            let answer = CatalogApplied(
                isDryRun: isDryRun, catalogVersion: UInt32(applied.version), sequence: applied.sequence,
                changes: whatFits(applied.changes))
            return { answer.encode(request: request, into: &$0) }
        case .failure(let error): return encodeError(error, request)
        }
    }

    /// As many changes as a frame holds, and how many more there are: a catalog's text is smaller than a frame, the words
    /// about all that it changes may not be.
    private static func whatFits(_ changes: [String]) -> [String] {
        var size = 0
        let count = changes.prefix { change in
            size += 2 + change.utf8.count
            return size <= WireLimit.frameSizeMax - 1024
        }.count
        guard count < changes.count else { return changes }
        return changes[..<count] + ["and \(changes.count - count) more"]
    }

    private static func encode<Value: Sendable>(
        _ result: Result<Value, EngineError>, _ request: UInt32,
        _ encode: @escaping @Sendable (Value, inout OutputBuffer) -> Void
    ) -> Encode {
        switch result {
        case .success(let value): return { encode(value, &$0) }
        case .failure(let error): return encodeError(error, request)
        }
    }

    private static func encodeErased(_ result: Result<ErasureReport, EngineError>, _ request: UInt32) -> Encode {
        switch result {
        case .success(let report):
            let answer = Erased(report)
            return { answer.encode(request: request, into: &$0) }
        case .failure(let error): return encodeError(error, request)
        }
    }

    private static func encodeRecorded(_ result: Result<RecordResult, EngineError>, _ request: UInt32) -> Encode {
        switch result {
        case .success(let recorded):
            let answer = Recorded(head: recorded.head, outcomes: recorded.outcomes.map(Outcome.init))
            return { answer.encode(request: request, into: &$0) }
        case .failure(let error): return encodeError(error, request)
        }
    }

    private static func encodeError(_ error: any Error, _ request: UInt32) -> Encode {
        let error = EngineError(error)
        let code: ErrorCode =
            switch error {
            case .busy: .busy
            case .closing: .shuttingDown
            case .ledger: error.isDamage ? .ledgerDamaged : .ledgerUnavailable
            case .catalogRejected: .catalogRejected
            case .catalogConflict: .catalogConflict
            case .questionInvalid: .questionInvalid
            case .rights(let error): error.code
            case .eventUnknown: .eventUnknown
            case .receipt: .receiptImpossible
            case .access: .readerRefused
            case .catalogMissing, .locked, .failed: .internalFailure
            }
        let answer = ErrorAnswer(WireError(code, "\(error)"))
        return { answer.encode(request: request, into: &$0) }
    }
}

extension NodeStatus {
    /// What every node says of itself alike.
    package init(_ service: Service) {
        self.init()
        let table = service.publication.current
        catalogVersion = UInt32(service.catalog.version)
        (sequence, digest) = (table.appliedSequence, table.digest)
        deployment = ID16(bytes: service.identity.deployment)
        history = ID16(bytes: service.identity.history)
    }
}

extension Erased {
    init(_ report: ErasureReport) {
        self.init(
            sequence: report.sequence, erasedAt: report.erasedAt.millis, hash: report.hash, reason: report.reason)
        isRepeated = report.isRepeated
        isPending = report.isPending
        emptiedEvents = UInt32(clamping: report.emptiedEvents)
        actor = report.actor
        objections = report.objections
        // Who was given more by an earlier build is erased by all of them; a frame would not hold them.
        identifiers = report.identifiers.prefix(Limit.identifiersPerPersonMax).map {
            KeyedIdentifier(type: $0.type, hash: $0.hash)
        }
    }
}

extension LinkOutcome {
    init(_ report: LinkReport) {
        self.init(
            sequence: report.sequence, recordedAt: report.recordedAt.millis, hash: report.hash,
            identifiers: UInt32(clamping: report.identifiers), denied: report.denied)
    }
}

extension RecordedLinkMessage {
    init(_ link: RecordedLink) {
        self.init(
            sequence: link.sequence, recordedAt: link.recordedAt.millis, other: UInt64(clamping: link.other),
            hash: link.hash, action: link.action, actor: link.actor, identifiers: link.named)
    }
}

extension TokenConfirmation {
    /// - Throws: what is wrong with the guardian's identifier.
    init(_ asked: ConfirmTokenRequest) throws(RightsError) {
        self.init(asked.token)
        do throws(AdmissionError) { guardian = try asked.guardian?.guardian() } catch { throw .admission(error) }
        source = asked.source
        actor = asked.actor
    }
}

extension TokenIssued {
    init(_ issued: IssuedToken) {
        self.init(endsAt: issued.endsAt.millis, token: issued.token, events: issued.events)
    }
}

extension TokenConfirmed {
    init(_ consents: [ConfirmedConsent]) {
        self.init(
            consents: consents.map { consent in
                Consent(
                    sequence: consent.sequence, refersTo: consent.refersTo, purpose: consent.purpose,
                    declaration: consent.revision?.declaration ?? "", revision: consent.revision?.revision ?? "")
            })
    }
}

extension CatalogPurposes {
    package init(_ applied: AppliedCatalog) {
        self.init(
            catalogVersion: UInt32(applied.version), digest: applied.digest,
            purposes: applied.catalog.purposes.map(CatalogPurposes.Entry.init))
    }
}

extension AccessEntry {
    /// What a question of a list of people was, and how many it was answered with.
    init(_ asked: PeopleQuestion, _ found: FoundPeople, by reader: AccessReader) {
        let question: AccessQuestion =
            switch asked.selection {
            case .audience: .audience
            case .askAgain: .askAgain
            case .ending: .ending
            case .active: .active
            case .outdatedBy: .outdatedBy
            case .comingOfAge: .comingOfAge
            }
        self.init(question, by: reader)
        (after, about, from, until) = (asked.after, asked.asOf, asked.from, asked.until)
        // What a question has no use for was not looked at; it may be anything, and would stand there for ever.
        switch asked.selection {
        case .audience: (purpose, except) = (asked.purpose, asked.except)
        case .active: (purpose, recipient) = (asked.purpose, asked.recipient)
        case .outdatedBy: (declaration, revision) = (asked.revision.declaration, asked.revision.revision)
        case .askAgain, .ending, .comingOfAge: purpose = asked.purpose
        }
        rows = UInt64(Set(found.people.map(\.subject)).count)
    }
}

extension FoundPeople {
    /// As many people as fit into a frame.
    init(_ page: PeoplePage) {
        self.init(hasMore: page.hasMore, head: page.head, next: page.next, people: page.people)
        fitIntoFrame()
    }
}

extension Outcome {
    init(_ outcome: EventOutcome) {
        switch outcome {
        case .recorded(let sequence): self.init(sequence: sequence)
        case .duplicate(let sequence): self.init(sequence: sequence, isDuplicate: true)
        case .refused(let error): self.init(refusal: error.code, message: "\(error)")
        }
    }
}

extension AdmissionError {
    /// The wire's number for this rule.
    package var code: ErrorCode {
        switch self {
        case .identifierMissing: .identifierMissing
        case .identifierTypeUnknown, .identifierWithoutNormalForm: .identifierRefused
        case .identifierEmpty: .identifierEmpty
        case .identifierTooLong: .identifierTooLong
        case .identifierInvalid: .identifierMalformed
        case .nationalIDIsHash: .nationalIdIsHash
        case .identifiersTooMany, .identifiersOfPersonTooMany: .identifiersTooMany
        case .purposeUnknown: .admissionPurposeUnknown
        case .purposeInactive: .purposeInactive
        case .basisNeedsNoConsent: .basisNeedsNoConsent
        case .basisCannotBeWithdrawn: .basisCannotBeWithdrawn
        case .objectionIsAbsolute: .objectionIsAbsolute
        case .stateIsInternal: .stateIsInternal
        case .declarationMissing: .declarationMissing
        case .declarationUnknown: .declarationUnknown
        case .revisionUnknown: .revisionUnknown
        case .revisionNotCurrent: .revisionNotCurrent
        case .revisionLacksPurpose: .revisionLacksPurpose
        case .languageUnknown: .languageUnknown
        case .methodMissing: .methodMissing
        case .methodIsNotConsent: .methodIsNotConsent
        case .capturedInFuture: .capturedInFuture
        case .endsBeforeCapture: .endsBeforeCapture
        case .textTooLong: .textTooLong
        case .nothingToConfirm: .nothingToConfirm
        case .keyReused: .keyReused
        case .identifierConflict: .identifierConflict
        case .ageImplausible: .ageImplausible
        case .partyCannotConsent: .partyCannotConsent
        case .guardianMissing, .guardianWithoutPart, .guardianIsPerson: .guardianMissing
        case .capturedTooEarly: .capturedTooEarly
        case .personErased: .personErased
        case .textNamesPerson: .textNamesPerson
        case .identifierUnlinked: .identifierUnlinked
        }
    }
}

extension RightsError {
    /// The wire's number for it.
    package var code: ErrorCode {
        switch self {
        case .personUnknown: .personUnknown
        case .actorNamesPerson, .actorTooLong: .questionInvalid
        case .admission(let error): error.code
        case .linksTwoPeople: .identifierConflict
        case .identifierIsOnlyOne: .identifierIsOnlyOne
        case .tokenUnknown: .tokenUnknown
        case .tokenUsed: .tokenUsed
        case .tokenLapsed: .tokenLapsed
        }
    }
}
