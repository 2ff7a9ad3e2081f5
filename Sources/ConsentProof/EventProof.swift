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
    package var madeAt: Timestamp

    package init(
        deployment: [UInt8], evidence: ChainEvidence, position: ChainPosition,
        catalog: (document: CatalogDocument, version: Int, position: ChainPosition)?, madeAt: Timestamp
    ) {
        self.deployment = deployment
        self.evidence = evidence
        self.position = position
        self.catalog = catalog
        self.madeAt = madeAt
    }

    // MARK: As a document

    /// The whole catalog stands in it, so that the shown text can be derived from the chain.
    package var json: JSONValue {
        [
            "format": .text(Self.format), "deployment": .text(deployment.hex), "madeAt": .text(madeAt.iso8601),
            "event": event, "chain": position.json.with(commitment), "shown": shown,
            "catalog": catalog.map(catalogJSON) ?? .null,
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
    }

    /// Checks a document as far as it can be without the node: the event's hash follows from what it says, the personal
    /// part from its commitment, the shown text from the catalog that was applied, and both events lead to what was signed.
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
        let said =
            position.entry.kind == .consent
            ? Self.event(try hashed(position.entry.body, event, chain), position.entry)
            : position.entry.json.with(["subject": JSONValue(position.entry.subject)])
        guard event == said else {
            throw .contradicted("event \(position.entry.sequence): something stands in it that was not hashed")
        }
        var finding = Finding(
            sequence: position.entry.sequence, key: key, signedAt: position.checkpoint.at, isTextShown: false)
        guard let shown = json["shown"], !shown.isNull else { return finding }
        guard let catalog = json["catalog"], !catalog.isNull else {
            throw .contradicted("a text is said to have been shown, but no catalog that holds it")
        }
        let applied = try requireApplied(catalog, before: position, by: key)
        finding.signedAt = max(finding.signedAt, applied.checkpoint.at)
        finding.isTextShown = try isShown(shown, in: catalog, event)
        return finding
    }

    private static func requireSigned(_ position: ChainPosition, by key: VerificationKey) throws(ProofError) {
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
        let isSilent =
            recorded.event.identifiers.isEmpty && recorded.event.evidence.isEmpty && recorded.event.guardian == nil
        guard let salt = chain["salt"]?.bytes else {
            guard isSilent else {
                throw .contradicted(
                    "event \(recorded.sequence): identifiers stand there, but no salt that ties them to it")
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
