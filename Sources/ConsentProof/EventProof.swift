package import ConsentCatalog
package import ConsentLedger
package import ConsentModel

/// Where one event stands in the chain, and what shows it: its checkpoint's root can be computed from it.
package struct ChainPosition: Sendable, Equatable {
    package var entry: ChainEntry
    package var checkpoint: Checkpoint
    /// From the event to the checkpoint's root, nearest first.
    package var path: [ChainHash]

    package init(_ entry: ChainEntry, checkpoint: Checkpoint, path: [ChainHash]) {
        self.entry = entry
        self.checkpoint = checkpoint
        self.path = path
    }

    var json: JSONValue {
        [
            "previous": .text(entry.previous.bytes.hex), "hash": .text(entry.hash.bytes.hex),
            "body": .text(entry.body.hex), "path": .list(path.map { .text($0.bytes.hex) }),
            "checkpoint": checkpoint.json,
        ]
    }

    /// Reads it, and computes what it claims.
    ///
    /// - Parameter event: the members `sequence`, `kind`, `recordedAt` and `capturedAt` that all events have.
    init(_ json: JSONValue, of event: JSONValue) throws(ProofError) {
        guard let sequence = event["sequence"]?.number.flatMap(UInt64.init(exactly:)),
            let kind = event["kind"]?.text.flatMap(EventKind.init(name:)),
            let recordedAt = event["recordedAt"]?.text.flatMap({ Timestamp(iso8601: $0) }),
            let capturedAt = event["capturedAt"]?.text.flatMap({ Timestamp(iso8601: $0) }),
            let previous = json["previous"]?.bytes.flatMap(ChainHash.init(bytes:)), let body = json["body"]?.bytes,
            let hash = json["hash"]?.bytes.flatMap(ChainHash.init(bytes:)), let signed = json["checkpoint"],
            let path = json["path"]?.list?.map({ $0.bytes.flatMap(ChainHash.init(bytes:)) }), !path.contains(nil)
        else { throw .notReadable("the position of an event in the chain cannot be read") }
        entry = ChainEntry(
            sequence: sequence, kind: kind, recordedAt: recordedAt, capturedAt: capturedAt, previous: previous,
            body: body)
        checkpoint = try Checkpoint(signed)
        self.path = path.compactMap { $0 }
        guard entry.hash == hash else {
            throw .contradicted("event \(sequence): its hash is not that of what it says")
        }
        guard checkpoint.isReached(from: hash, sequence, by: self.path) else {
            throw .contradicted("event \(sequence): it does not lead to what the checkpoint was signed over")
        }
    }
}

/// What shows that an erasure took something out of an event: see ``ErasureEvidence``.
package struct ErasureProof: Sendable {
    /// Of its entries, in their order.
    package var positions: [ChainPosition]
    package var parts: [ErasedPart]?

    package init(positions: [ChainPosition], parts: [ErasedPart]?) {
        self.positions = positions
        self.parts = parts
    }

    var json: JSONValue {
        [
            "events": .list(
                positions.map { position in
                    [
                        "event": position.entry.json.with(["subject": JSONValue(position.entry.subject)]),
                        "chain": position.json,
                    ]
                }),
            "parts": JSONValue(parts.map { $0.flatMap(\.bytes).hex }),
        ]
    }
}

/// All that an auditor needs of one event: what it says, the text that the person was shown, and its place in the chain,
/// down to signatures. It can be checked without the node: see ``verify(_:key:)``.
///
/// It holds personal data, and the salt of the person's commitments: it is for the auditor, and no more to be kept than
/// other copies are when the person is erased.
package struct EventProof: Sendable {
    package static let format = "consentd.proof.1"

    /// Sixteen bytes that all nodes of one service share.
    package var deployment: [UInt8]
    package var evidence: ChainEvidence
    package var position: ChainPosition
    /// The catalog that holds the text that was shown, with the position of the event that applied it; nil where none was.
    package var catalog: (document: CatalogDocument, version: Int, position: ChainPosition)?
    /// Those that took something out of the event.
    package var erasures: [ErasureProof]
    package var madeAt: Timestamp

    package init(
        deployment: [UInt8], evidence: ChainEvidence, position: ChainPosition,
        catalog: (document: CatalogDocument, version: Int, position: ChainPosition)?, erasures: [ErasureProof],
        madeAt: Timestamp
    ) {
        self.deployment = deployment
        self.evidence = evidence
        self.position = position
        self.catalog = catalog
        self.erasures = erasures
        self.madeAt = madeAt
    }

    // MARK: As a document

    /// The whole catalog stands in it, so that the shown text can be derived from the chain.
    package var json: JSONValue {
        [
            "format": .text(Self.format), "deployment": .text(deployment.hex), "madeAt": .text(madeAt.iso8601),
            "event": event, "chain": position.json.with(commitment), "shown": shown,
            "catalog": catalog.map(catalogJSON) ?? .null, "erasures": .list(erasures.map(\.json)),
        ]
    }

    private var event: JSONValue {
        guard case .consent(let recorded) = evidence.event else {
            return evidence.entry.json.with(["subject": JSONValue(evidence.event?.subject)])
        }
        return Self.event(recorded, evidence.entry)
    }

    private static func event(_ recorded: RecordedEvent, _ entry: ChainEntry) -> JSONValue {
        let event = recorded.event
        let isErased = event.identifiers.isEmpty && !event.state.isInternal
        return entry.json.with([
            "subject": .number(recorded.subject), "purpose": .text(event.purpose), "state": .text(event.state.name),
            "declaration": JSONValue(event.revision?.declaration), "revision": JSONValue(event.revision?.revision),
            "language": .text(event.language), "method": .text(event.method.name), "party": .text(event.party.name),
            "explicit": .bool(event.isExplicit), "age": JSONValue(event.subjectAge.map(Int64.init)),
            "expiresAt": JSONValue(event.expiresAt?.iso8601), "refersTo": .number(Int64(recorded.refersTo)),
            "key": JSONValue(event.key?.bytes.hex), "system": .text(event.source.system),
            "channel": .text(event.source.channel), "form": .text(event.source.form), "actor": .text(event.actor),
            "erased": .bool(isErased), "identifiers": .list(event.identifiers.map { .text($0.text) }),
            "evidence": .text(event.evidence),
            "guardianRelation": JSONValue(event.guardian?.relation.name),
            "guardian": JSONValue(event.guardian?.identifier.text),
        ])
    }

    private var commitment: [String: JSONValue] {
        guard let commitment = evidence.commitment else { return [:] }
        return [
            "commitment": .text(commitment.bytes.hex), "salt": JSONValue(evidence.salt?.hex),
            "parts": evidence.parts?.json ?? .null,
        ]
    }

    /// The revision that the event names, and its text in the language of the event.
    package var shownText: (name: RevisionName, revision: Revision, text: DeclarationText?)? {
        guard case .consent(let recorded) = evidence.event, let name = recorded.event.revision,
            let revision = catalog?.document.catalog.revision(name)
        else { return nil }
        return (name, revision, revision.texts[recorded.event.language])
    }

    private var shown: JSONValue {
        guard let (name, revision, _) = shownText, case .consent(let recorded) = evidence.event else { return .null }
        return Self.shown(name, revision, language: recorded.event.language)
    }

    private static func shown(_ name: RevisionName, _ revision: Revision, language: String) -> JSONValue {
        let text = revision.texts[language]
        return [
            "declaration": .text(name.declaration), "revision": .text(name.revision),
            "effectiveAt": .text(revision.effectiveAt.iso8601), "language": .text(language),
            "title": JSONValue(text?.title), "body": JSONValue(text?.body), "plain": JSONValue(text?.plain),
            "retention": .text(revision.retention), "storageLocation": .text(revision.storageLocation),
            "jurisdiction": .text(revision.jurisdiction), "withdrawal": .text(revision.withdrawal),
            "recipients": .list(revision.recipients.map(JSONValue.text)),
            "dataCategories": .list(revision.dataCategories.map(JSONValue.text)),
            "digest": .text(revision.digest.hex),
        ]
    }

    private func catalogJSON(
        _ catalog: (document: CatalogDocument, version: Int, position: ChainPosition)
    ) -> JSONValue {
        return [
            "version": .number(Int64(catalog.version)), "digest": .text(catalog.document.digest.hex),
            "document": .text(catalog.document.text),
            "event": catalog.position.entry.json,
            "chain": catalog.position.json,
        ]
    }

    // MARK: Checking a document

    /// What a document was found to show.
    package struct Finding: Sendable, Equatable {
        package var sequence: UInt64
        /// Who signed the checkpoints.
        package var key: VerificationKey
        /// When the last of the checkpoints was signed: the event is no younger.
        package var signedAt: Timestamp
        /// Whether the shown text was derived from the catalog that the chain names.
        package var isTextShown: Bool
        /// What is personal in the event and does not stand in the document.
        package var hidden: [HiddenPart]

        /// Whether all that does not stand in the document is shown to have been erased.
        package var isComplete: Bool { hidden.allSatisfy { $0.erasure != nil } }
    }

    /// Something that the event named, of which the document shows only what it was committed to by.
    package struct HiddenPart: Sendable, Equatable {
        package enum Kind: Sendable, Equatable {
            /// Of so many, from one.
            case identifier(Int, of: Int)
            case evidence
            case guardian
            /// Identifiers, evidence and guardian, as far as there were any.
            case all
        }

        package var kind: Kind
        /// The sequence of the erasure that took it, as the chain shows; nil where nothing shows that it is gone: then it
        /// may be that it was left out of the document.
        package var erasure: UInt64?

        package init(kind: Kind, erasure: UInt64?) {
            self.kind = kind
            self.erasure = erasure
        }
    }

    /// Checks a document as far as it can be without the node: the event's hash follows from what it says, the personal
    /// part from its commitment, the shown text from the catalog that was applied, and all events lead to what was signed.
    /// What the document does not show of the event is found, with the erasure that took it, if the chain shows one.
    ///
    /// - Parameter key: the one that must have signed; nil for the one that the document names, which shows nothing about
    ///   who signed.
    /// - Throws: ``ProofError`` for the first thing that does not hold.
    package static func verify(_ json: JSONValue, key: VerificationKey?) throws(ProofError) -> Finding {
        guard json["format"]?.text == format, let event = json["event"], let chain = json["chain"] else {
            throw .notReadable("it is no proof of consentd")
        }
        let position = try ChainPosition(chain, of: event)
        let key = key ?? position.checkpoint.key
        try requireSigned(position, by: key)
        let recorded = position.entry.kind == .consent ? try hashed(position.entry.body, event, chain) : nil
        let said =
            recorded.map { Self.event($0, position.entry) }
            ?? position.entry.json.with(["subject": JSONValue(position.entry.subject)])
        guard event == said else {
            throw .contradicted("event \(position.entry.sequence): something stands in it that was not hashed")
        }
        let erasures = try (json["erasures"]?.list ?? []).map { erasure throws(ProofError) in
            try ShownErasure(erasure, after: position, by: key)
        }
        var finding = Finding(
            sequence: position.entry.sequence, key: key, signedAt: position.checkpoint.at, isTextShown: false,
            hidden: try recorded.map { recorded throws(ProofError) in try hidden(of: recorded, chain, erasures) } ?? [])
        finding.signedAt = erasures.reduce(finding.signedAt) { max($0, $1.signedAt) }
        guard let shown = json["shown"], !shown.isNull else { return finding }
        guard let catalog = json["catalog"], !catalog.isNull else {
            throw .contradicted("a text is said to have been shown, but no catalog that holds it")
        }
        let applied = try requireApplied(catalog, before: position, by: key)
        finding.signedAt = max(finding.signedAt, applied.checkpoint.at)
        finding.isTextShown = try isShown(shown, in: catalog, event)
        return finding
    }

    /// What is personal in a consent event and does not stand in the document.
    private static func hidden(
        of recorded: RecordedEvent, _ chain: JSONValue, _ erasures: [ShownErasure]
    ) throws(ProofError) -> [HiddenPart] {
        guard let commitment = chain["commitment"]?.bytes.flatMap(ChainHash.init(bytes:)) else {
            throw .notReadable("the event cannot be read")
        }
        let parts = chain["parts"].flatMap(CommittedParts.init)
        if parts == nil, recorded.namesNothing {
            // The node's own events name nobody, and so does a "no" about who was erased before.
            guard !recorded.event.state.isInternal, commitment != .commitmentToNothing else { return [] }
            let whole = ErasedPart.whole(of: recorded.sequence, commitment)
            let erasure = erasures.first { $0.took(whole) || $0.emptied.contains(recorded.subject) }
            return [HiddenPart(kind: .all, erasure: erasure?.sequence)]
        }
        return (parts?.hidden(of: recorded.sequence) ?? []).map { part in
            let kind: HiddenPart.Kind =
                part.isEvidence
                ? .evidence
                : part.isGuardian
                    ? .guardian : .identifier(Int(part.number) + 1, of: parts?.identifiers.count ?? 0)
            return HiddenPart(kind: kind, erasure: erasures.first { $0.took(part) }?.sequence)
        }
    }

    fileprivate static func requireSigned(_ position: ChainPosition, by key: VerificationKey) throws(ProofError) {
        guard position.checkpoint.key == key else {
            throw .notSigned("the checkpoint is signed by \(position.checkpoint.key), not by \(key)")
        }
    }

    /// The event as it stands in the document, if the body is that of it.
    private static func hashed(
        _ body: [UInt8], _ json: JSONValue, _ chain: JSONValue
    ) throws(ProofError) -> RecordedEvent {
        guard let recorded = RecordedEvent(json),
            let commitment = chain["commitment"]?.bytes.flatMap(ChainHash.init(bytes:))
        else { throw .notReadable("the event cannot be read") }
        guard ChainEntry.body(recorded, commitment: commitment) == body else {
            throw .contradicted("event \(recorded.sequence): what it says is not what was hashed")
        }
        guard let salt = chain["salt"]?.bytes else {
            guard recorded.namesNothing, chain["parts"]?.isNull ?? true else {
                throw .contradicted(
                    "event \(recorded.sequence): something personal stands there, but no salt that ties it to the event"
                )
            }
            return recorded
        }
        // Events of earlier builds commit to all of it at once, and name no guardian.
        var made = recorded.event.guardian == nil ? ChainEntry.commitment(salt: salt, recorded.event) : nil
        if let json = chain["parts"], !json.isNull {
            guard let parts = CommittedParts(json) else { throw .notReadable("the commitment cannot be read") }
            made = parts.commitment(salt: salt, recorded.event)
        }
        guard made == commitment else {
            throw .contradicted(
                "event \(recorded.sequence): its identifiers, evidence or guardian are not those committed to")
        }
        return recorded
    }

    /// Whether the chain names the catalog before the event.
    private static func requireApplied(
        _ catalog: JSONValue, before position: ChainPosition, by key: VerificationKey
    ) throws(ProofError) -> ChainPosition {
        guard let event = catalog["event"], let chain = catalog["chain"], let digest = catalog["digest"]?.bytes,
            let version = catalog["version"]?.number, version > 0
        else { throw .notReadable("the catalog cannot be read") }
        let applied = try ChainPosition(chain, of: event)
        try requireSigned(applied, by: key)
        guard applied.checkpoint.history == position.checkpoint.history,
            applied.entry.kind == .catalog, event == applied.entry.json,
            applied.entry.sequence < position.entry.sequence,
            applied.entry.body == ChainEntry.body(catalogVersion: Int(version), digest: digest)
        else { throw .contradicted("the chain does not say that the catalog was applied before the event") }
        return applied
    }

    /// Whether the catalog's text is there and is the one that the chain names; then the shown text must be of it.
    private static func isShown(
        _ shown: JSONValue, in catalog: JSONValue, _ event: JSONValue
    ) throws(ProofError) -> Bool {
        guard let text = catalog["document"]?.text else { return false }
        guard let document = try? CatalogDocument(text: text, file: "catalog"),
            catalog["digest"]?.bytes == document.digest
        else { throw .contradicted("the catalog's text is not the one that was applied") }
        guard let declaration = event["declaration"]?.text, let name = event["revision"]?.text,
            let language = event["language"]?.text,
            let revision = document.catalog.revision(RevisionName(declaration: declaration, revision: name)),
            shown == Self.shown(RevisionName(declaration: declaration, revision: name), revision, language: language)
        else { throw .contradicted("what is said to have been shown is not what stands in the catalog") }
        return revision.texts[language] != nil
    }
}

/// An erasure that a document shows, after its event in the same chain.
private struct ShownErasure {
    var sequence: UInt64
    /// Whose histories it emptied, from before the first link on: each as a part of the next one.
    var emptied: Set<Int64>
    /// What it took out of events of others.
    var parts: [ErasedPart]
    var signedAt: Timestamp

    init(_ json: JSONValue, after event: ChainPosition, by key: VerificationKey) throws(ProofError) {
        guard let events = json["events"]?.list, !events.isEmpty, let listed = json["parts"],
            let parts = listed.isNull ? [] : listed.bytes.flatMap(ErasedPart.list)
        else { throw .notReadable("an erasure cannot be read") }
        (sequence, emptied, self.parts, signedAt) = (event.entry.sequence, [], parts, event.checkpoint.at)
        var owner: Int64?
        for (number, json) in events.enumerated() {
            guard let said = json["event"], let chain = json["chain"] else {
                throw .notReadable("an erasure cannot be read")
            }
            let position = try ChainPosition(chain, of: said)
            try EventProof.requireSigned(position, by: key)
            let entry = position.entry
            guard position.checkpoint.history == event.checkpoint.history, entry.sequence > sequence,
                said == entry.json.with(["subject": JSONValue(entry.subject)])
            else { throw .contradicted("the chain does not have the erasure after the event") }
            let (subject, next) = entry.joined ?? (entry.erased?.subject ?? 0, to: 0)
            let isLast = number == events.count - 1
            guard isLast ? entry.erased != nil : entry.joined != nil, owner == nil || owner == subject else {
                throw .contradicted("event \(entry.sequence) is not the erasure that it is said to be")
            }
            emptied.insert(subject)
            (owner, sequence, signedAt) = (next, entry.sequence, max(signedAt, position.checkpoint.at))
            if let erased = entry.erased, !listed.isNull, ErasedPart.digest(parts) != erased.partsDigest {
                throw .contradicted("event \(entry.sequence): what it took out of other events is not what it says")
            }
        }
    }

    func took(_ part: ErasedPart) -> Bool { parts.contains(part) }
}

extension RecordedEvent {
    /// Whether nothing personal stands in it.
    fileprivate var namesNothing: Bool {
        event.identifiers.isEmpty && event.evidence.isEmpty && event.guardian == nil
    }
}

extension ChainEntry {
    /// What all events have.
    fileprivate var json: JSONValue {
        [
            "sequence": .number(Int64(sequence)), "kind": .text(kind.name), "recordedAt": .text(recordedAt.iso8601),
            "capturedAt": .text(capturedAt.iso8601),
        ]
    }

    /// Whom an event is about that is about a person as a whole; nil for one of another kind.
    fileprivate var subject: Int64? {
        guard kind == .erasure || kind == .link, body.count >= 8 else { return nil }
        return body.withUnsafeBytes { Int64(littleEndian: $0.loadUnaligned(as: Int64.self)) }
    }
}

extension RecordedEvent {
    /// As a proof writes it; nil for anything else.
    fileprivate init?(_ json: JSONValue) {
        guard let sequence = json["sequence"]?.number.flatMap(UInt64.init(exactly:)),
            let subject = json["subject"]?.number, let purpose = json["purpose"]?.text,
            let state = json["state"]?.text.flatMap(EventState.init(name:)),
            let recordedAt = json["recordedAt"]?.text.flatMap({ Timestamp(iso8601: $0) }),
            let capturedAt = json["capturedAt"]?.text.flatMap({ Timestamp(iso8601: $0) }),
            let method = json["method"]?.text.flatMap(EvidenceMethod.init(name:)),
            let party = json["party"]?.text.flatMap(Party.init(name:)), let isExplicit = json["explicit"]?.bool,
            let refersTo = json["refersTo"]?.number.flatMap(UInt64.init(exactly:)),
            let identifiers = json["identifiers"]?.list?.map({ $0.text.flatMap(Identifier.init(provedText:)) }),
            identifiers.count <= UInt8.max, !identifiers.contains(nil)
        else { return nil }
        let texts = ["language", "system", "channel", "form", "actor", "evidence"].compactMap { json[$0]?.text }
        guard texts.count == 6, texts.dropLast().allSatisfy({ $0.utf8.count <= Limit.shortTextSizeMax }),
            texts[5].utf8.count <= Limit.evidenceSizeMax, purpose.utf8.count <= Limit.shortTextSizeMax
        else { return nil }
        var event = ConsentEvent.Fields(identifiers: identifiers.compactMap { $0 }, purpose: purpose, state: state)
        (event.language, event.evidence, event.actor) = (texts[0], texts[5], texts[4])
        event.source = EventSource(system: texts[1], channel: texts[2], form: texts[3])
        (event.capturedAt, event.method, event.party, event.isExplicit) = (capturedAt, method, party, isExplicit)
        if let declaration = json["declaration"]?.text, let revision = json["revision"]?.text {
            guard max(declaration.utf8.count, revision.utf8.count) <= Limit.shortTextSizeMax else { return nil }
            event.revision = RevisionName(declaration: declaration, revision: revision)
        }
        if let named = json["guardian"]?.text {
            guard let relation = json["guardianRelation"]?.text.flatMap(GuardianRelation.init(name:)),
                let identifier = Identifier(provedText: named)
            else { return nil }
            event.guardian = Guardian(relation, identifier)
        }
        if let age = json["age"]?.number {
            guard (0..<255).contains(age) else { return nil }
            event.subjectAge = Int(age)
        }
        event.expiresAt = json["expiresAt"]?.text.flatMap { Timestamp(iso8601: $0) }
        event.key = json["key"]?.bytes.flatMap { bytes in bytes.withUnsafeBytes { IdempotencyKey(bytes: $0) } }
        self.init(
            sequence: sequence, subject: subject, recordedAt: recordedAt, event: ConsentEvent(event),
            refersTo: refersTo, hash: [])
    }
}

extension CommittedParts {
    fileprivate var json: JSONValue {
        [
            "identifiers": .list(identifiers.map(\.json)), "evidence": evidence?.json ?? .null,
            "guardian": guardian?.json ?? .null,
        ]
    }

    /// Nil for anything else.
    fileprivate init?(_ json: JSONValue) {
        guard let identifiers = json["identifiers"]?.list?.map(Part.init), !identifiers.contains(nil),
            let evidence = json["evidence"]
        else { return nil }
        // A proof of an earlier build has no such member.
        let guardian = json["guardian"] ?? .null
        self.init(
            identifiers: identifiers.compactMap { $0 }, evidence: evidence.isNull ? nil : Part(evidence),
            guardian: guardian.isNull ? nil : Part(guardian))
        if self.evidence == nil && !evidence.isNull || self.guardian == nil && !guardian.isNull { return nil }
    }
}

extension CommittedParts.Part {
    fileprivate var json: JSONValue {
        switch self {
        case .nonce(let nonce): ["nonce": .text(nonce.hex)]
        case .hash(let hash): ["hash": .text(hash.bytes.hex)]
        }
    }

    fileprivate init?(_ json: JSONValue) {
        if let nonce = json["nonce"]?.bytes {
            self = .nonce(nonce)
        } else if let hash = json["hash"]?.bytes.flatMap(ChainHash.init(bytes:)) {
            self = .hash(hash)
        } else {
            return nil
        }
    }
}

extension Identifier {
    /// As ``text`` writes it: not brought into its normal form again, as the commitment is to what was recorded.
    fileprivate init?(provedText text: String) {
        guard let colon = text.firstIndex(of: ":"), let type = IdentifierType(name: String(text[..<colon])) else {
            return nil
        }
        let value = String(text[text.index(after: colon)...])
        guard (1...Limit.identifierSizeMax).contains(value.utf8.count) else { return nil }
        self.init(recorded: type, value: value)
    }
}
