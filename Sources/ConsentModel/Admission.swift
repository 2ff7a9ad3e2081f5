/// A rule at the door that an event broke. Nothing of the event was stored.
package enum AdmissionError: Error, Equatable, Sendable {
    case identifierMissing
    case identifierTypeUnknown(String)
    case identifierEmpty(IdentifierType)
    case identifierTooLong(IdentifierType, size: Int)
    case identifierInvalid(IdentifierType)
    case identifiersTooMany(Int)
    /// Of the person, with those that the event would add.
    case identifiersOfPersonTooMany(Int)
    case nationalIDIsHash
    case purposeUnknown(String)
    case purposeInactive(String)
    case basisNeedsNoConsent(purpose: String, LawfulBasis)
    case basisCannotBeWithdrawn(purpose: String, LawfulBasis)
    case objectionIsAbsolute(purpose: String)
    case stateIsInternal(EventState)
    case declarationMissing
    case declarationUnknown(String)
    case revisionUnknown(RevisionName)
    case revisionNotCurrent(RevisionName, current: String?)
    case revisionLacksPurpose(RevisionName, purpose: String)
    case languageUnknown(RevisionName, language: String)
    case methodMissing
    case methodIsNotConsent(EvidenceMethod)
    case capturedInFuture(Timestamp, now: Timestamp)
    case endsBeforeCapture
    case textTooLong(field: String, size: Int, sizeMax: Int)
    case nothingToConfirm(purpose: String)
    case keyReused(sequence: UInt64)
    case identifierConflict(Identifier)
    case ageImplausible(Int)
    case partyCannotConsent(Party)
    case guardianMissing
    /// One is named, but somebody else acts.
    case guardianWithoutPart(Party)
    /// The guardian that is named is the person.
    case guardianIsPerson(Identifier)
    case capturedTooEarly(Timestamp)
    case identifierWithoutNormalForm(IdentifierType, IdentifierFault)

    package init(_ fault: IdentifierFault, of type: IdentifierType) {
        self =
            switch fault {
            case .notText: .identifierInvalid(type)
            case .empty: .identifierEmpty(type)
            case .nationalIDIsHash: .nationalIDIsHash
            case .emailCharacters, .phoneWithoutCountry, .phoneOfAnotherCountry, .phoneMalformed, .nationalIDMalformed,
                .nobody:
                .identifierWithoutNormalForm(type, fault)
            }
    }
    case personErased(at: Timestamp)
    case textNamesPerson(field: String)
    case identifierUnlinked(at: Timestamp)
}

/// Judges an event at the door, before anything about the subject is read.
///
/// - Returns: the event with its capture time filled in.
/// - Throws: the first rule that it breaks.
package func admit(
    _ event: ConsentEvent, catalog: Catalog, now: Timestamp
) throws(AdmissionError) -> (event: ConsentEvent, purpose: Purpose) {
    var (event, purpose, capturedAt) = try admitUndated(event, catalog: catalog, now: now)
    if event.capturedAt != capturedAt { event.capturedAt = capturedAt }
    return (event, purpose)
}

/// As above, for who dates the event later.
///
/// - Returns: the event with the capture time that it came with, or none; and the one that counts.
package func admitUndated(
    _ event: ConsentEvent, catalog: Catalog, now: Timestamp
) throws(AdmissionError) -> (event: ConsentEvent, purpose: Purpose, capturedAt: Timestamp) {
    guard !event.identifiers.isEmpty else { throw .identifierMissing }
    var event = event
    if event.state.takesAway { dropWhatCannotBeKept(&event) }
    guard event.identifiers.count <= Limit.identifiersPerEventMax else {
        throw .identifiersTooMany(event.identifiers.count)
    }
    // It would be hashed once more, and a withdrawal for what a history shows would be taken for somebody else.
    guard !event.identifiers.contains(where: { $0.type == .nationalId && $0.nationalIDHash != nil }) else {
        throw .nationalIDIsHash
    }
    guard let purpose = catalog.purpose(id: event.purpose) else { throw .purposeUnknown(event.purpose) }
    guard !event.state.isInternal else { throw .stateIsInternal(event.state) }
    try admitTexts(event)
    try admitState(event, purpose: purpose)
    try keepPersonOutOfTexts(&event)
    if event.state.takesAway {
        dropWhatANoCanDoWithout(&event, catalog: catalog, now: now)
    } else {
        try admitGuardian(event)
    }

    let capturedAt = event.capturedAt ?? now
    guard capturedAt.millis <= now.millis + Limit.captureSkewMillis else {
        throw .capturedInFuture(capturedAt, now: now)
    }
    guard capturedAt >= Limit.captureMin else { throw .capturedTooEarly(capturedAt) }
    // Known again by its capture time alone, it would be recorded anew each time that it is sent.
    guard capturedAt <= now || event.key != nil else { throw .capturedInFuture(capturedAt, now: now) }
    if let age = event.subjectAge, !(0...150).contains(age) { throw .ageImplausible(age) }

    if event.state.isGrant {
        try admitGrant(event, purpose: purpose, catalog: catalog, capturedAt: min(capturedAt, now))
    } else if let revision = event.revision, catalog.revision(revision) == nil {
        throw .revisionUnknown(revision)
    }
    if event.state == .confirmed { try admitConsentingAct(event) }
    // A fast clock must not let a grant outrank the withdrawal that follows it.
    return (event, purpose, min(capturedAt, now))
}

/// Judges the act that a confirmation token brings about: who, where and how, as the identifiers are those of the grant.
///
/// - Throws: the first rule that it breaks.
package func admitConfirmation(_ event: ConsentEvent) throws(AdmissionError) {
    try admitTexts(event)
    var event = event
    try keepPersonOutOfTexts(&event)
    try admitGuardian(event)
    try admitConsentingAct(event)
}

/// Who and where stay in the ledger for ever; only identifiers, evidence and guardian can be erased. So neither the
/// person's own name nor the guardian's must stand there. A "no" goes without the text.
private func keepPersonOutOfTexts(_ event: inout ConsentEvent) throws(AdmissionError) {
    let (actor, source) = (event.actor, event.source)
    let named = event.guardian.map { event.identifiers + [$0.identifier] } ?? event.identifiers
    for identifier in named where identifier.isTelling {
        if identifier.isNamed(in: actor) { try drop(\.actor, "actor", &event) }
        if identifier.isNamed(in: source.system) { try drop(\.source.system, "source.system", &event) }
        if identifier.isNamed(in: source.channel) { try drop(\.source.channel, "source.channel", &event) }
        if identifier.isNamed(in: source.form) { try drop(\.source.form, "source.form", &event) }
    }
}

private func drop(
    _ text: WritableKeyPath<ConsentEvent, String>, _ field: String, _ event: inout ConsentEvent
) throws(AdmissionError) {
    guard event.state.takesAway else { throw .textNamesPerson(field: field) }
    event[keyPath: text] = ""
}

/// A "no" is never refused for what came along with it: a text that is too long is not kept, and an identifier that is none
/// does not keep it from those that are.
private func dropWhatCannotBeKept(_ event: inout ConsentEvent) {
    func isHash(_ identifier: Identifier) -> Bool {
        identifier.type == .nationalId && identifier.nationalIDHash != nil
    }
    // What is as it should be is not touched: to set it would copy the event.
    if event.identifiers.contains(where: isHash), !event.identifiers.allSatisfy(isHash) {
        event.identifiers.removeAll(where: isHash)
    }
    func isTooLong(_ text: String) -> Bool { text.utf8.count > Limit.shortTextSizeMax }
    if isTooLong(event.language) { event.language = "" }
    if isTooLong(event.source.system) { event.source.system = "" }
    if isTooLong(event.source.channel) { event.source.channel = "" }
    if isTooLong(event.source.form) { event.source.form = "" }
    if isTooLong(event.actor) { event.actor = "" }
    if event.evidence.utf8.count > Limit.evidenceSizeMax { event.evidence = "" }
    if let revision = event.revision, isTooLong(revision.declaration) || isTooLong(revision.revision) {
        event.revision = nil
    }
}

/// A "no" is never refused for a detail that it does not need.
private func dropWhatANoCanDoWithout(_ event: inout ConsentEvent, catalog: Catalog, now: Timestamp) {
    if let revision = event.revision, catalog.revision(revision) == nil { event.revision = nil }
    if let age = event.subjectAge, !(0...150).contains(age) { event.subjectAge = nil }
    if event.party != .guardian, event.guardian != nil { event.guardian = nil }
    if let capturedAt = event.capturedAt, capturedAt > now || capturedAt < Limit.captureMin { event.capturedAt = now }
}

/// Consent is given by the person, or by a guardian for the person, in an act of its own.
private func admitConsentingAct(_ event: ConsentEvent) throws(AdmissionError) {
    guard event.party.canConsent else { throw .partyCannotConsent(event.party) }
    // What cannot be shown later does not count now (GDPR art. 8 (2)).
    guard event.party != .guardian || event.guardian != nil else { throw .guardianMissing }
    guard event.method == .none || event.method.isActiveConsent else { throw .methodIsNotConsent(event.method) }
}

/// Who is named as the guardian acts, and is not the person. A household may share an address or a phone.
private func admitGuardian(_ event: ConsentEvent) throws(AdmissionError) {
    guard let guardian = event.guardian else { return }
    guard event.party == .guardian else { throw .guardianWithoutPart(event.party) }
    guard !guardian.identifier.type.isOfOnePerson || !event.identifiers.contains(guardian.identifier) else {
        throw .guardianIsPerson(guardian.identifier)
    }
}

private func admitTexts(_ event: ConsentEvent) throws(AdmissionError) {
    func admit(_ text: String, _ field: StaticString, sizeMax: Int = Limit.shortTextSizeMax) throws(AdmissionError) {
        let size = text.utf8.count
        guard size <= sizeMax else { throw .textTooLong(field: "\(field)", size: size, sizeMax: sizeMax) }
    }
    if let revision = event.revision {
        try admit(revision.declaration, "declaration")
        try admit(revision.revision, "revision")
    }
    try admit(event.language, "language")
    try admit(event.source.system, "source.system")
    try admit(event.source.channel, "source.channel")
    try admit(event.source.form, "source.form")
    try admit(event.actor, "actor")
    try admit(event.evidence, "evidence", sizeMax: Limit.evidenceSizeMax)
}

/// Which acts a purpose's basis leaves room for. A "no" is taken wherever it can mean anything.
private func admitState(_ event: ConsentEvent, purpose: Purpose) throws(AdmissionError) {
    if event.state.takesAway {
        guard purpose.basis == .consent || purpose.basis.canBeObjectedTo else {
            throw .basisCannotBeWithdrawn(purpose: purpose.id, purpose.basis)
        }
        return
    }
    if event.state == .objectionLifted {
        let isAbsolute = purpose.isDirectMarketing || purpose.isProfiling
        if isAbsolute, event.party != .subject, event.party != .guardian {
            throw .objectionIsAbsolute(purpose: purpose.id)
        }
        return
    }
    guard purpose.basis == .consent else { throw .basisNeedsNoConsent(purpose: purpose.id, purpose.basis) }
    guard purpose.isActive else { throw .purposeInactive(purpose.id) }
}

/// A grant names what the person was shown and how the person acted (GDPR art. 7 (1)).
private func admitGrant(
    _ event: ConsentEvent, purpose: Purpose, catalog: Catalog, capturedAt: Timestamp
) throws(AdmissionError) {
    guard event.method != .none else { throw .methodMissing }
    try admitConsentingAct(event)
    guard let name = event.revision else { throw .declarationMissing }
    guard let declaration = catalog.declaration(id: name.declaration) else {
        throw .declarationUnknown(name.declaration)
    }
    guard let revision = declaration.revision(name.revision) else { throw .revisionUnknown(name) }
    guard revision.purposes.contains(purpose.id) else { throw .revisionLacksPurpose(name, purpose: purpose.id) }
    let current = declaration.currentRevision(at: capturedAt)
    guard current?.name == name.revision else { throw .revisionNotCurrent(name, current: current?.name) }
    guard revision.texts[event.language] != nil else { throw .languageUnknown(name, language: event.language) }
    if let expiresAt = event.expiresAt, expiresAt <= capturedAt { throw .endsBeforeCapture }
}

extension AdmissionError: CustomStringConvertible {
    /// What was wrong and what to do.
    package var description: String {
        switch self {
        case .identifierMissing: "the event names no identifier; name the subject by at least one, as type:value"
        case .identifierTypeUnknown(let text):
            "'\(text)' is not an identifier; write type:value with a type out of \(IdentifierType.names)"
        case .identifierEmpty(let type): "the \(type.name) identifier is empty"
        case .identifierTooLong(let type, let size):
            "the \(type.name) identifier has \(size) bytes; at most \(Limit.identifierSizeMax) are taken"
        case .identifierInvalid(let type):
            "the \(type.name) identifier holds control characters or is not UTF-8"
        case .identifiersTooMany(let count):
            "the event names \(count) identifiers; at most \(Limit.identifiersPerEventMax) are taken"
        case .identifiersOfPersonTooMany(let count):
            "the person would have \(count) identifiers; at most \(Limit.identifiersPerPersonMax) are taken: is one of them many people's?"
        case .nationalIDIsHash: IdentifierFault.nationalIDIsHash.advice
        case .purposeUnknown(let id): "purpose '\(id)' is not in the catalog; 'consentd catalog show' lists them"
        case .purposeInactive(let id): "purpose '\(id)' is retired and takes no consent"
        case .basisNeedsNoConsent(let id, let basis):
            "purpose '\(id)' rests on \(basis.name), not on consent; only objections can be recorded for it"
        case .basisCannotBeWithdrawn(let id, let basis):
            "purpose '\(id)' rests on \(basis.name): it can be neither withdrawn nor objected to"
        case .objectionIsAbsolute(let id):
            "purpose '\(id)' is direct marketing or profiling: only the person can lift an objection to it"
        case .stateIsInternal(let state): "only the node itself records '\(state.name)'"
        case .declarationMissing: "a grant names the declaration and revision that the person was shown"
        case .declarationUnknown(let id): "declaration '\(id)' is not in the catalog"
        case .revisionUnknown(let name): "declaration '\(name.declaration)' has no revision '\(name.revision)'"
        case .revisionNotCurrent(let name, let current):
            current.map { "revision \(name.text) was not current at the time of capture; \($0) was: show that one" }
                ?? "no revision of '\(name.declaration)' was in force at the time of capture"
        case .revisionLacksPurpose(let name, let purpose):
            "revision \(name.text) does not cover purpose '\(purpose)'"
        case .languageUnknown(let name, let language):
            language.isEmpty
                ? "a grant names the language in which \(name.text) was shown"
                : "revision \(name.text) has no text in language '\(language)'"
        case .methodMissing: "a grant says how the person acted (evidence method), for example ticked_box or button"
        case .methodIsNotConsent(let method):
            "'\(method.name)' is not consent: only an active, separate act is (GDPR art. 4 (11))"
        case .capturedInFuture(let time, let now):
            "captured at \(time.iso8601), but it is \(now.iso8601) here; check the capturing system's clock (one that is ahead by a little is borne with, where the event has an idempotency key)"
        case .endsBeforeCapture: "the consent would end before it was given"
        case .textTooLong(let field, let size, let sizeMax):
            "\(field) has \(size) bytes; at most \(sizeMax) are taken"
        case .nothingToConfirm(let id): "there is no grant for purpose '\(id)' that waits to be confirmed"
        case .keyReused(let sequence):
            "the idempotency key was used for another event, sequence \(sequence); choose a new one"
        case .identifierConflict(let identifier):
            "the \(identifier.type.name) identifier and the others name different people; record the event for one of them"
        case .ageImplausible(let age): "an age of \(age) years cannot be right"
        case .partyCannotConsent(let party):
            "consent is given by the person or a guardian, not by '\(party.name)'"
        case .guardianMissing:
            "a consent by a guardian says who the guardian is, by relation (\(GuardianRelation.names)) and identifier (GDPR art. 8)"
        case .guardianWithoutPart(let party):
            "a guardian is named, but '\(party.name)' acts; where a guardian acts, the party is 'guardian'"
        case .guardianIsPerson(let identifier):
            "the guardian is named by the \(identifier.type.name) identifier of the person; name another person"
        case .capturedTooEarly(let time):
            "captured at \(time.iso8601), before \(Limit.captureMin.iso8601); check the capturing system's clock"
        case .identifierWithoutNormalForm(_, let fault): fault.advice
        case .personErased(let time):
            "the person was erased at \(time.iso8601); only what the person does anew, captured after that, is taken"
        case .identifierUnlinked(let time):
            "the identifier was taken off a person at \(time.iso8601); only what was captured after that is taken for it"
        case .textNamesPerson(let field):
            "\(field) holds an identifier of the person or the guardian, and could never be erased; who acted is said by 'party' and 'guardian'"
        }
    }
}
