import ConsentModel
import ConsentWire

// Between what callers see and what the codec reads and writes.

extension Hello {
    init(_ options: ClientOptions) throws(ConsentClientError) {
        self.init()
        guard options.name.utf8.count <= Limit.shortTextSizeMax else {
            throw .invalidArgument("the client's name has more than \(Limit.shortTextSizeMax) bytes")
        }
        guard options.token.count <= Int(UInt16.max) else {
            throw .invalidArgument("the token has more than \(UInt16.max) bytes")
        }
        if let text = options.deployment {
            guard let id = ID16(hex: text), id.description == text.lowercased() else {
                throw .invalidArgument("the deployment '\(text)' is not 32 hex digits")
            }
            deployment = id
        }
        clientName = options.name
        clientVersion = ConsentClient.version
        token = options.token
    }
}

extension ConsentClient {
    /// Of this client, for the server's log.
    static let version = "0.1.0"
}

extension OutgoingEvent {
    init(_ act: ConsentAct) {
        var message = EventMessage(purposeBit: 0, state: EventState(rawValue: act.state.rawValue)!)
        message.key = act.key.map { ConsentModel.IdempotencyKey(high: $0.high, low: $0.low) }
        message.method = ConsentModel.EvidenceMethod(rawValue: act.method.rawValue)!
        message.party = ConsentModel.Party(rawValue: act.party.rawValue)!
        message.isExplicit = act.isExplicit
        // 254 is what the field can say, and no person's age, so the server refuses what is past it.
        message.subjectAge = act.subjectAge.map { UInt8(clamping: $0 < 0 ? 254 : min($0, 254)) }
        message.capturedAt = act.capturedAt?.millis ?? 0
        message.expiresAt = act.expiresAt?.millis ?? 0
        message.declaration = act.declaration
        message.revision = act.revision
        message.language = act.language
        message.system = act.system
        message.channel = act.channel
        message.form = act.form
        message.actor = act.actor
        message.evidence = act.evidence
        message.identifiers = act.subjects.map { .init(typeByte: $0.type.rawValue, value: $0.value) }
        message.guardian = act.guardian.map(GuardianMessage.init)
        self.init(purpose: act.purpose, message: message)
        markUnsayable(capturedAt: act.capturedAt?.millis, expiresAt: act.expiresAt?.millis)
    }

    init(_ event: ConsentEvent) {
        self.init(purpose: event.purpose, message: EventMessage(event, purposeBit: 0))
        markUnsayable(capturedAt: event.capturedAt?.millis, expiresAt: event.expiresAt?.millis)
    }

    /// A field of zero says "none", and no act is from before 1970. An act that says so nevertheless is refused here. A "no"
    /// never is, for the server lets it count from when it is recorded.
    private mutating func markUnsayable(capturedAt: Int64?, expiresAt: Int64?) {
        guard !message.state.takesAway else { return }
        if let capturedAt, capturedAt <= 0 { unsayable = .capturedTooEarly }
        if let expiresAt, expiresAt <= 0 { unsayable = unsayable ?? .endsBeforeCapture }
    }

    /// What the server would say to an event that cannot be put into bytes; nil for all others, which it judges itself.
    func refusal(purposes: PurposeTable) -> RecordOutcome? {
        let shortTexts = [
            message.declaration, message.revision, message.language, message.system, message.channel, message.form,
            message.actor,
        ]
        if message.identifiers.count > WireLimit.identifiersPerEventMax {
            return refused(.identifiersTooMany, "more than \(WireLimit.identifiersPerEventMax) identifiers")
        }
        let values = message.identifiers.map(\.value) + [message.guardian?.value].compactMap { $0 }
        if values.contains(where: { $0.utf8.count > WireLimit.identifierSizeMax }) {
            return refused(.identifierTooLong, "an identifier has more than \(WireLimit.identifierSizeMax) bytes")
        }
        if shortTexts.contains(where: { $0.utf8.count > Limit.shortTextSizeMax }) {
            return refused(.textTooLong, "a text has more than \(Limit.shortTextSizeMax) bytes")
        }
        if message.evidence.utf8.count > WireLimit.evidenceSizeMax {
            return refused(.textTooLong, "the evidence has more than \(WireLimit.evidenceSizeMax) bytes")
        }
        if let unsayable {
            return refused(unsayable, "a time of 1970-01-01T00:00:00Z or before cannot be right")
        }
        if !purposes.contains(purpose) {
            return refused(.admissionPurposeUnknown, "the catalog has no purpose '\(purpose)'")
        }
        return nil
    }

    private func refused(_ code: ErrorCode, _ text: String) -> RecordOutcome {
        RecordOutcome(Outcome(refusal: code, message: text), key: message.key)
    }
}

extension RecordOutcome {
    init(_ outcome: Outcome, key: ConsentModel.IdempotencyKey?) {
        refusal = outcome.refusal.map { ServerErrorCode(number: $0.rawValue) }
        message = outcome.message
        sequence = outcome.sequence
        isDuplicate = outcome.isDuplicate
        self.key = key.map(IdempotencyKey.init)
    }
}

extension Explanation {
    init(_ explained: Explained) {
        decision = Decision(explained.decision)
        reason = Reason(explained.reason)
        freshness = Freshness(explained.freshness)
        basis = LawfulBasis(explained.basis)
        sequence = explained.sequence
        decidingState = explained.decidingState.map { State($0) }
        decidingSequence = explained.decidingSequence == 0 ? nil : explained.decidingSequence
        decidingCapturedAt = Moment(explained.decidingCapturedAt)
        expiresAt = Moment(explained.expiresAt)
        grantedUntil = Moment(explained.grantedUntil)
        declaration = explained.declaration.isEmpty ? nil : explained.declaration
        consentedRevision = explained.consentedRevision.isEmpty ? nil : explained.consentedRevision
        currentRevision = explained.currentRevision.isEmpty ? nil : explained.currentRevision
        guardian = explained.guardian.map(Guardian.init)
    }
}

extension ConsentModel.ErasureReason {
    /// The same word of the model.
    init(word: ErasureReason) { self = Self(rawValue: word.rawValue)! }
}

extension ConsentModel.ProofKind {
    /// The same word of the model.
    init(word: ProofKind) { self = Self(rawValue: word.rawValue)! }
}

extension AccessLogEntry {
    init(_ access: RecordedAccess) {
        sequence = access.sequence
        recordedAt = Moment(millis: access.recordedAt.millis)
        actor = access.entry.reader.actor
        client = access.entry.reader.client
        question = AccessQuestion(access.entry.question)
        rows = Int(clamping: access.entry.rows)
        subject = access.entry.subject == 0 ? nil : access.entry.subject
        purpose = access.entry.purpose
    }
}

extension ErasureOutcome {
    init(_ erased: Erased) {
        sequence = erased.sequence
        erasedAt = Moment(millis: erased.erasedAt)
        hash = erased.hash
        reason = ErasureReason(erased.reason)
        actor = erased.actor
        emptiedEvents = Int(erased.emptiedEvents)
        isRepeated = erased.isRepeated
        isPending = erased.isPending
        objections = erased.objections
        suppressed = erased.identifiers.map { .init(type: IdentifierType($0.type), hash: $0.hash) }
    }
}

extension LinkingOutcome {
    init(_ outcome: LinkOutcome) {
        sequence = outcome.sequence == 0 ? nil : outcome.sequence
        recordedAt = Moment(millis: outcome.recordedAt)
        hash = outcome.hash
        identifiers = Int(outcome.identifiers)
        denied = outcome.denied
    }
}

extension LinkEntry {
    init(_ link: RecordedLinkMessage) {
        sequence = link.sequence
        recordedAt = Moment(millis: link.recordedAt)
        action = Action(rawValue: link.action.rawValue)!
        other = link.other == 0 ? nil : link.other
        subjects = link.identifiers.map { Subject(trustedType: IdentifierType($0.type), value: $0.value) }
        actor = link.actor
        hash = link.hash
    }
}

extension ConfirmedConsent {
    init(_ consent: TokenConfirmed.Consent) {
        sequence = consent.sequence
        refersTo = consent.refersTo
        purpose = consent.purpose
        declaration = consent.declaration
        revision = consent.revision
    }
}

extension HistoryEntry {
    init(_ recorded: RecordedEventMessage, purposes: PurposeTable) {
        sequence = recorded.sequence
        recordedAt = Moment(millis: recorded.recordedAt)
        act = ConsentAct(recorded.event, purpose: purposes.name(of: recorded.event.purposeBit))
        refersTo = recorded.refersTo == 0 ? nil : recorded.refersTo
        hash = recorded.hash
    }
}

extension ConsentAct {
    init(_ message: EventMessage, purpose: String) {
        let subjects = message.identifiers.map { identifier in
            // The codec lets no type through that it does not know.
            Subject(trustedType: IdentifierType(rawValue: identifier.typeByte)!, value: identifier.value)
        }
        self.init(subjects, purpose: purpose, state: State(message.state))
        key = message.key.map(IdempotencyKey.init)
        party = Party(message.party)
        capturedAt = Moment(wireMillis: message.capturedAt)
        expiresAt = Moment(wireMillis: message.expiresAt)
        declaration = message.declaration
        revision = message.revision
        language = message.language
        method = EvidenceMethod(message.method)
        isExplicit = message.isExplicit
        subjectAge = message.subjectAge.map(Int.init)
        system = message.system
        channel = message.channel
        form = message.form
        actor = message.actor
        evidence = message.evidence
        guardian = message.guardian.map(Guardian.init)
    }
}

extension Guardian {
    init(_ message: GuardianMessage) {
        // The codec lets no type through that it does not know.
        let type = IdentifierType(rawValue: message.typeByte)!
        self.init(GuardianRelation(message.relation), Subject(trustedType: type, value: message.value))
    }
}

extension GuardianMessage {
    init(_ guardian: Guardian) {
        let relation = ConsentModel.GuardianRelation(rawValue: guardian.relation.rawValue)!
        self.init(relation, typeByte: guardian.identifier.type.rawValue, value: guardian.identifier.value)
    }
}

// MARK: Frames within the server's limits

extension Dispatcher.Limits {
    func frames(of subjects: [Subject]) -> [ArraySlice<Subject>] {
        frames(of: subjects, countMax: subjectsPerCheckMax) { 1 + $0.value.utf8.count }
    }

    func frames(of events: [OutgoingEvent]) -> [ArraySlice<OutgoingEvent>] {
        frames(of: events, countMax: eventsPerRecordMax, size: \.size)
    }

    /// As many elements to a frame as fit. One that fits into no frame has a frame of its own, which the server refuses.
    private func frames<Element>(
        of elements: [Element], countMax: Int, size: (Element) -> Int
    ) -> [ArraySlice<Element>] {
        var frames: [ArraySlice<Element>] = []
        var start = 0
        var frameSize = WireLimit.headerSize
        for (position, element) in elements.enumerated() {
            let size = size(element)
            if position > start, frameSize + size > frameSizeMax || position - start == countMax {
                frames.append(elements[start..<position])
                start = position
                frameSize = WireLimit.headerSize
            }
            frameSize += size
        }
        if start < elements.count { frames.append(elements[start...]) }
        return frames
    }
}
