package import ConsentLedger
package import ConsentModel

/// Why there is no receipt of an event.
package enum ReceiptError: Error, Equatable, Sendable, CustomStringConvertible {
    /// It is no act of a person.
    case noAct(UInt64)
    /// The person was erased; there is nobody to hand it to.
    case erased(UInt64)
    /// Kantara's receipts are of consents only.
    case noConsent(UInt64)
    /// No catalog has its purpose.
    case purposeUnknown(UInt64)

    package var description: String {
        switch self {
        case .noAct(let sequence): "event \(sequence) is no act of a person, so there is no receipt of it"
        case .erased(let sequence):
            "the person of event \(sequence) was erased, so there is nobody to give a receipt to"
        case .noConsent(let sequence):
            "event \(sequence) gives no consent, and a Kantara receipt is of one; the DPV form has receipts of all acts"
        case .purposeUnknown(let sequence): "no catalog has the purpose of event \(sequence)"
        }
    }
}

/// The copy of a consent, or of another act, that is handed to the person. Signed when it is made.
package struct Receipt: Sendable {
    private let evidence: ChainEvidence
    private let recorded: RecordedEvent
    private let purpose: Purpose
    private let catalog: Catalog
    private let history: [UInt8]
    private var event: ConsentEvent { recorded.event }

    /// - Parameter catalog: the one that was in force when the event was recorded.
    package init(_ evidence: ChainEvidence, history: [UInt8], catalog: Catalog) throws(ReceiptError) {
        let sequence = evidence.entry.sequence
        guard case .consent(let recorded) = evidence.event, !recorded.event.state.isInternal else {
            throw .noAct(sequence)
        }
        guard !recorded.event.identifiers.isEmpty else { throw .erased(sequence) }
        guard let purpose = catalog.purpose(id: recorded.event.purpose) else { throw .purposeUnknown(sequence) }
        self.evidence = evidence
        self.recorded = recorded
        self.purpose = purpose
        self.catalog = catalog
        self.history = history
    }

    // MARK: What both forms say

    private var revision: Revision? { event.revision.flatMap(catalog.revision) }
    private var text: DeclarationText? { revision?.texts[event.language] }
    private var controller: Controller? { catalog.controllers.first { $0.id == purpose.controller } }
    private var recipients: [Recipient] {
        guard purpose.isSharing, let revision else { return [] }
        let named = Set(revision.recipients)
        return catalog.recipients.filter { named.contains($0.id) }
    }
    private var dataCategories: [DataCategory] {
        let ids = purpose.dataCategories.isEmpty ? revision?.dataCategories ?? [] : purpose.dataCategories
        return catalog.dataCategories.filter { ids.contains($0.id) }
    }
    private var title: String {
        purpose.title[event.language] ?? purpose.title.sorted { $0.key < $1.key }.first?.value ?? purpose.id
    }
    private var principal: String { event.identifiers[0].text }
    private var capturedAt: Timestamp { evidence.entry.capturedAt }
    private var endsAt: Timestamp? {
        event.expiresAt ?? purpose.validity.map { capturedAt.advanced(bySeconds: $0.seconds) }
    }
    private var contact: Contact { Contact(controller?.contact ?? "") }
    private var officer: Contact { Contact(controller?.dataProtectionOfficer ?? "") }
    /// A plus and digits.
    private var phone: String? {
        let stated = controller.flatMap { try? Identifier(type: .phone, value: $0.phone) }
        return stated?.value ?? contact.phone
    }
    private var url: String? { controller.flatMap { $0.url.isEmpty ? nil : $0.url } }

    /// What stands where a form wants a text and the catalog has none.
    private func stated(_ text: String?) -> String {
        guard let text, !text.isEmpty else { return "not stated" }
        return text
    }

    /// A UUID of version 8 (RFC 9562) from the event's hash: the receipts of one event have the same.
    private var identifier: String {
        var bytes = Array(evidence.entry.hash.bytes.prefix(16))
        bytes[6] = bytes[6] & 0x0F | 0x80
        bytes[8] = bytes[8] & 0x3F | 0x80
        let hex = Array(bytes.hex)
        return [hex[0..<8], hex[8..<12], hex[12..<16], hex[16..<20], hex[20..<32]].map { String($0) }
            .joined(separator: "-")
    }

    // MARK: ISO/IEC TS 27560

    private static let schema = "https://w3id.org/dpv/schema/dpv-27560#"

    /// Besides the prefixes it says which members name things rather than hold texts.
    private static let context: JSONValue = {
        var terms: [String: JSONValue] = [
            "dct": "http://purl.org/dc/terms/", "dpv": "https://w3id.org/dpv#",
            "eu-gdpr": "https://w3id.org/dpv/legal/eu/gdpr#", "rdf": "http://www.w3.org/1999/02/22-rdf-syntax-ns#",
            "schema": "https://schema.org/", "skos": "http://www.w3.org/2004/02/skos/core#",
            "xsd": "http://www.w3.org/2001/XMLSchema#", "consentd": "urn:consentd:",
        ]
        let references = [
            "dct:conformsTo", "dct:publisher", "dpv:hasDataController", "dpv:hasLegalBasis", "dpv:hasProcessing",
            "dpv:hasRecipient", "dpv:isIndicatedBy", "schema:recipient", "skos:broader",
        ]
        for name in references { terms[name] = ["@type": "@id"] }
        for name in ["dct:created", "dct:date", "dpv:isIndicatedAtTime"] { terms[name] = ["@type": "xsd:dateTime"] }
        return .object(terms)
    }()

    /// ISO/IEC TS 27560:2023 in the terms of the W3C Data Privacy Vocabulary, as its guide "Consent Records and Receipts as
    /// per ISO/IEC TS 27560:2023 using DPV" says, as JSON-LD: a receipt around a record of notice, process, parties and
    /// event. What the guide makes mandatory is always there.
    ///
    /// - Parameter moment: when the receipt is made.
    package func dpv(at moment: Timestamp) -> JSONValue {
        [
            "@context": Self.context, "@id": .text("urn:uuid:" + identifier), "@type": "dpv:ConsentReceipt",
            "dct:conformsTo": .text(Self.schema + "receipt"), "dct:identifier": .text(identifier),
            "dpv:hasIdentifier": .text(identifier), "dct:created": .text(moment.iso8601),
            "dct:publisher": .text(controllerID), "schema:recipient": "dpv:DataSubject",
            "dpv:hasRecordOfActivity": record,
        ]
    }

    private var record: JSONValue {
        let name = "consentd:\(history.hex)/\(evidence.entry.sequence)"
        let parties = [controllerJSON] + recipients.map(json)
        let record: JSONValue = [
            "@id": .text(name), "@type": "dpv:ConsentRecord", "dct:conformsTo": .text(Self.schema + "record"),
            "dct:identifier": .text("urn:" + name), "dpv:hasIdentifier": .text("urn:" + name),
            "dct:created": .text(evidence.entry.recordedAt.iso8601), "dct:language": .text(event.language),
            "dpv:hasDataSubject": ["@type": "dpv:DataSubject", "dct:identifier": .text(principal)],
            "dpv:hasNotice": notice, "dpv:hasProcess": process,
            "dpv:hasEntity": .list(parties),
            "consentd:event": [
                "consentd:history": .text(history.hex), "consentd:sequence": .number(Int64(evidence.entry.sequence)),
                "consentd:hash": .text(evidence.entry.hash.bytes.hex),
            ],
        ]
        let status = isObjection ? "dpv:hasStatus" : "dpv:hasConsentStatus"
        return record.with([status: .list([consentEvent])])
    }

    private var controllerID: String { "consentd:controller/" + purpose.controller }

    private static func recipientID(_ recipient: Recipient) -> String { "consentd:recipient/" + recipient.id }

    private var controllerJSON: JSONValue {
        let party: JSONValue = [
            "@id": .text(controllerID), "@type": "dpv:DataController",
            "dpv:hasIdentifier": .text("urn:" + controllerID),
            "dpv:hasName": .text(controller?.name ?? purpose.controller), "schema:contactPoint": contactPoint,
            "schema:address": [
                "@type": "schema:PostalAddress", "schema:streetAddress": .text(stated(controller?.address)),
            ],
        ]
        guard officer != Contact("") else { return party }
        return party.with([
            "dpv:hasDataProtectionOfficer": [
                "@type": "dpv:DataProtectionOfficer", "dpv:hasName": .text(stated(officer.rest)),
                "schema:contactPoint": officer.json,
            ]
        ])
    }

    /// What the catalog says of how the controller is reached.
    private var contactPoint: JSONValue {
        var point: [String: JSONValue] = ["@type": "schema:ContactPoint"]
        if let email = contact.email { point["schema:email"] = .text(email) }
        if let phone { point["schema:telephone"] = .text(phone) }
        if let url { point["schema:url"] = .text(url) }
        return .object(point)
    }

    /// A recipient is reached at its postal address; the catalog has no other.
    private func json(_ recipient: Recipient) -> JSONValue {
        let address: JSONValue = [
            "@type": "schema:PostalAddress", "schema:streetAddress": .text(stated(recipient.address)),
            "schema:addressCountry": .text(stated(recipient.country)),
        ]
        return [
            "@id": .text(Self.recipientID(recipient)), "@type": "dpv:ThirdParty",
            "dpv:hasIdentifier": .text("urn:" + Self.recipientID(recipient)), "dpv:hasName": .text(recipient.name),
            "dct:type": .text(recipient.category), "schema:address": address, "schema:contactPoint": address,
        ]
    }

    private var notice: JSONValue {
        let kind: JSONValue = purpose.basis == .consent ? "dpv:ConsentNotice" : "dpv:PrivacyNotice"
        guard let name = event.revision else {
            return ["@type": kind, "dct:language": .text(event.language), "dct:description": .text(stated(nil))]
        }
        return [
            "@type": kind, "dct:identifier": .text(name.declaration), "schema:version": .text(name.revision),
            "dct:language": .text(event.language), "dct:title": JSONValue(text?.title),
            "dct:description": JSONValue(text?.body), "dct:abstract": JSONValue(text?.plain),
            "dct:date": JSONValue(revision?.effectiveAt.iso8601), "consentd:digest": JSONValue(revision?.digest.hex),
        ]
    }

    private var process: JSONValue {
        // The controller receives the data too; so there is always one.
        let receivers = [controllerID] + recipients.map(Self.recipientID)
        return [
            "@type": "dpv:Process", "dpv:hasPurpose": purposeJSON, "dpv:hasLegalBasis": .text(legalBasis),
            "dpv:hasPersonalData": personalData,
            "dpv:hasProcessing": .list(operations.map(JSONValue.text)),
            "dpv:hasDataController": .text(controllerID),
            "dpv:hasRecipient": .list(receivers.map(JSONValue.text)),
            "dpv:hasStorageCondition": [
                ["@type": "dpv:StorageLocation", "dpv:hasLocation": .text(stated(revision?.storageLocation))],
                [
                    "@type": "dpv:StorageDuration",
                    "dpv:hasDuration": ["@type": "dpv:Duration", "rdf:value": .text(stated(revision?.retention))],
                ],
            ],
            "dpv:hasJurisdiction": ["@type": "dpv:Jurisdiction", "dct:title": .text(stated(revision?.jurisdiction))],
            "dpv:hasRight": .list(rights.map(right)),
            "dpv:hasConsentControl": [
                "@type": "dpv:WithdrawConsent", "dpv:isExercisedAt": .text(stated(revision?.withdrawal)),
            ],
        ]
    }

    private var purposeJSON: JSONValue {
        let json: JSONValue = [
            "@type": "dpv:Purpose", "dct:identifier": .text(purpose.id), "dct:title": .text(title),
        ]
        return purpose.isDirectMarketing ? json.with(["skos:broader": "dpv:DirectMarketing"]) : json
    }

    private var personalData: JSONValue {
        let categories = dataCategories.map { category -> JSONValue in
            let kind: JSONValue = category.isSpecial ? "dpv:SpecialCategoryPersonalData" : "dpv:PersonalData"
            return [
                "@id": .text("consentd:data/" + category.id), "@type": kind, "skos:broader": kind,
                "dct:title": .text(category.name),
            ]
        }
        guard categories.isEmpty else { return .list(categories) }
        return .list([["@type": "dpv:PersonalData", "dct:title": .text(stated(nil))]])
    }

    private var operations: [String] {
        ["dpv:Collect", "dpv:Store", "dpv:Use"] + (purpose.isProfiling ? ["dpv:Profiling"] : [])
            + (purpose.isSharing ? ["dpv:Share"] : [])
    }

    private var consentEvent: JSONValue {
        let json: JSONValue = [
            "@type": .text(status), "dpv:isIndicatedAtTime": .text(capturedAt.iso8601),
            "dpv:isIndicatedBy": indicator,
            "dpv:hasIndicationMethod": .text(event.method.name),
            "dpv:hasLegalBasis": .text(legalBasis), "dpv:hasDuration": duration,
        ]
        let source = [event.source.system, event.source.channel, event.source.form].filter { !$0.isEmpty }
        guard !source.isEmpty else { return json }
        return json.with(["dpv:isImplementedUsingTechnology": .text(source.joined(separator: "/"))])
    }

    /// Who acted; of a guardian also who it is.
    private var indicator: JSONValue {
        guard let guardian = event.guardian else { return .text("dpv:" + Self.indicators[event.party]!) }
        return [
            "@type": .text("dpv:" + Self.guardians[guardian.relation]!),
            "dct:type": .text(guardian.relation.name), "dct:identifier": .text(guardian.identifier.text),
        ]
    }

    private static let guardians: [GuardianRelation: String] = [
        .parent: "ParentOfDataSubject", .legalGuardian: "GuardianOfDataSubject", .institution: "GuardianOfDataSubject",
    ]

    /// For how long the act holds.
    private var duration: JSONValue {
        func until(_ event: String) -> JSONValue { ["@type": "dpv:UntilEventDuration", "rdf:value": .text(event)] }
        if event.state == .confirmed { return until("End of the consent that it confirms") }
        guard event.state.isGrant else { return until("A later act") }
        guard let endsAt else { return until("Withdrawal") }
        return ["@type": "dpv:UntilTimeDuration", "rdf:value": .text(endsAt.iso8601)]
    }

    private static let indicators: [Party: String] = [
        .subject: "DataSubject", .guardian: "GuardianOfDataSubject", .controller: "DataController",
        .authority: "Authority", .system: "DataController",
    ]

    private var legalBasis: String {
        switch purpose.basis {
        case .consent: event.isExplicit ? "eu-gdpr:A6-1-a-explicit-consent" : "eu-gdpr:A6-1-a-non-explicit-consent"
        case .contract: "eu-gdpr:A6-1-b"
        case .legalObligation: "eu-gdpr:A6-1-c"
        case .vitalInterest: "eu-gdpr:A6-1-d"
        case .publicTask: "eu-gdpr:A6-1-e"
        case .legitimateInterest: "eu-gdpr:A6-1-f"
        }
    }

    /// The articles of the rights that the basis gives, as the vocabulary ties them to it; an objection to direct marketing
    /// (art. 21 (2)) is open on any.
    private var rights: [String] {
        let ofBasis: [String] =
            switch purpose.basis {
            case .consent: ["A7-3", "A17", "A20"]
            case .contract: ["A17", "A20"]
            case .legalObligation: []
            case .vitalInterest: ["A17"]
            case .publicTask: ["A21"]
            case .legitimateInterest: ["A17", "A21"]
            }
        let marketing = purpose.isDirectMarketing && !purpose.basis.canBeObjectedTo ? ["A21"] : []
        return ["A13", "A15", "A16", "A18"] + ofBasis + marketing + ["A77"]
    }

    private func right(_ article: String) -> JSONValue {
        let json: JSONValue = ["@type": ["dpv:DataSubjectRight", .text("eu-gdpr:" + article)]]
        switch article {
        // A complaint goes to an authority.
        case "A77": return json
        case "A7-3": return json.with(["dpv:isExercisedAt": .text(stated(revision?.withdrawal))])
        default: return json.with(["dpv:isExercisedAt": .text(stated(controller?.contact))])
        }
    }

    /// An objection is a state of another basis than consent.
    private var isObjection: Bool { event.state == .objected || event.state == .objectionLifted }

    private var status: String {
        switch event.state {
        case .requested: "dpv:ConsentRequested"
        case .deferred: "dpv:ConsentRequestDeferred"
        case .refused: "dpv:ConsentRefused"
        case .given, .confirmed: "dpv:ConsentGiven"
        case .renewed: "dpv:RenewedConsentGiven"
        case .withdrawn: "dpv:ConsentWithdrawn"
        case .revoked: "dpv:ConsentRevoked"
        case .expired: "dpv:ConsentExpired"
        case .invalidated: "dpv:ConsentInvalidated"
        case .objected, .erased: objected
        case .objectionLifted: "consentd:ObjectionLifted"
        }
    }

    private var objected: String {
        switch purpose.basis {
        case .legitimateInterest: "dpv:LegitimateInterestObjected"
        case .publicTask: "dpv:PublicInterestObjected"
        case .consent, .contract, .legalObligation, .vitalInterest: "consentd:Objected"
        }
    }

    // MARK: Kantara

    /// Kantara Initiative Consent Receipt Specification 1.1.0, section 4. No text that it wants is empty, but for the
    /// e-mail address and the phone number where the catalog has none.
    ///
    /// - Throws: ``ReceiptError`` `noConsent` for another act than a consent.
    package func kantara() throws(ReceiptError) -> JSONValue {
        guard event.state.isGrant else { throw .noConsent(evidence.entry.sequence) }
        let special = dataCategories.filter(\.isSpecial)
        return [
            "version": "KI-CR-v1.1.0", "jurisdiction": .text(stated(revision?.jurisdiction)),
            "consentTimestamp": .number(capturedAt.secondsRoundedDown),
            "collectionMethod": .text(
                [event.method.name, event.source.system, event.source.channel, event.source.form]
                    .filter { !$0.isEmpty }.joined(separator: "/") + byGuardian),
            "consentReceiptID": .text(identifier), "language": .text(event.language),
            "piiPrincipalId": .text(principal), "piiControllers": [controllerOfKantara],
            "policyUrl": .text(policy), "services": [service],
            "sensitive": .bool(!special.isEmpty), "spiCat": .list(special.map { .text($0.name) }),
        ]
    }

    /// The form has no field for who acted.
    private var byGuardian: String {
        event.guardian.map { ", by a guardian: \($0.relation.name), \($0.identifier.text)" } ?? ""
    }

    /// The address is a PostalAddress of schema.org, the phone a URI (RFC 3966).
    private var controllerOfKantara: JSONValue {
        let name = controller?.name ?? purpose.controller
        let officerText = controller?.dataProtectionOfficer ?? ""
        let json: JSONValue = [
            "piiController": .text(name), "onBehalf": .bool(false),
            "contact": .text(officerText.isEmpty ? name : officerText),
            "address": ["streetAddress": .text(stated(controller?.address))],
            "email": .text(contact.email ?? officer.email ?? ""),
            "phone": .text((phone ?? officer.phone).map { "tel:" + $0 } ?? ""),
        ]
        return url.map { json.with(["piiControllerUrl": .text($0)]) } ?? json
    }

    /// Where the controller says how it handles personal data; without it the name of the text that was shown.
    private var policy: String {
        url ?? stated(event.revision.map { "urn:consentd:\(history.hex):\($0.declaration):\($0.revision)" })
    }

    private var service: JSONValue {
        let category = purpose.isDirectMarketing ? "DirectMarketing" : "Purpose"
        let json: JSONValue = [
            "purpose": .text(title), "purposeCategory": .list([.text("https://w3id.org/dpv#" + category)]),
            "consentType": .text(consentType), "piiCategory": .list(dataCategories.map { .text($0.name) }),
            "primaryPurpose": .bool(true),
            "termination": .text(endsAt?.iso8601 ?? stated(revision?.withdrawal)),
            "thirdPartyDisclosure": .bool(purpose.isSharing),
        ]
        let names = stated(recipients.map(\.name).joined(separator: ", "))
        let whole = purpose.isSharing ? json.with(["thirdPartyName": .text(names)]) : json
        return ["service": .text(event.revision?.text ?? purpose.id), "purposes": .list([whole])]
    }

    /// How it was given stands where it was no explicit consent.
    private var consentType: String {
        if event.isExplicit { return "EXPLICIT" }
        return stated(event.method == .none ? nil : event.method.name)
    }

    // MARK: Checking

    /// What a receipt was found to be.
    package struct Finding: Sendable, Equatable {
        package var kind: ProofKind
        package var identifier: String
        package var key: VerificationKey
        package var signedAt: Timestamp
    }

    /// Checks a receipt without the node: it is whole, as its form wants it, and signed.
    ///
    /// - Parameter key: the one that must have signed; nil for the one that it names.
    /// - Throws: ``ProofError``.
    package static func verify(_ json: JSONValue, key: VerificationKey?) throws(ProofError) -> Finding {
        let kind: ProofKind
        let identifier: String?
        if json["@type"]?.text == "dpv:ConsentReceipt" {
            (kind, identifier) = (.dpvReceipt, json["dct:identifier"]?.text)
        } else if json["version"]?.text == "KI-CR-v1.1.0" {
            (kind, identifier) = (.kantaraReceipt, json["consentReceiptID"]?.text)
        } else {
            throw .notReadable("it is no receipt of a form that is known here")
        }
        let (signer, signedAt) = try json.requireSigned(by: key)
        if kind == .dpvReceipt { try requireWholeDPV(json) } else { try requireWholeKantara(json) }
        guard let identifier else { throw .notReadable("its identifier is no text") }
        return Finding(kind: kind, identifier: identifier, key: signer, signedAt: signedAt)
    }

    private static func requireWholeDPV(_ json: JSONValue) throws(ProofError) {
        try require(
            [
                "@context", "dct:conformsTo", "dct:identifier", "dpv:hasIdentifier", "dct:created",
                "dpv:hasRecordOfActivity",
            ], in: json)
        guard json["dct:conformsTo"]?.text == schema + "receipt" else {
            throw .notReadable("it is of another schema than \(schema)receipt")
        }
        let record = json["dpv:hasRecordOfActivity"]
        try require(
            [
                "dct:conformsTo", "dct:identifier", "dct:language", "dpv:hasDataSubject", "dpv:hasNotice",
                "dpv:hasProcess", "dpv:hasEntity",
            ], in: record)
        try require(
            [
                "dpv:hasPurpose", "dpv:hasPersonalData", "dpv:hasStorageCondition", "dpv:hasDataController",
                "dpv:hasRecipient", "dpv:hasConsentControl", "dpv:hasJurisdiction", "dpv:hasRight",
            ], in: record?["dpv:hasProcess"])
        let status = record?["dpv:hasConsentStatus"] ?? record?["dpv:hasStatus"]
        try require(
            ["@type", "dpv:hasLegalBasis", "dpv:isIndicatedAtTime", "dpv:hasDuration", "dpv:isIndicatedBy"],
            in: status?.list?.first)
    }

    private static func requireWholeKantara(_ json: JSONValue) throws(ProofError) {
        try require(
            [
                "jurisdiction", "consentTimestamp", "collectionMethod", "consentReceiptID", "piiPrincipalId",
                "piiControllers", "policyUrl", "services", "sensitive", "spiCat",
            ], in: json)
        try require(
            ["piiController", "contact", "address", "email", "phone"], in: json["piiControllers"]?.list?.first)
        let service = json["services"]?.list?.first
        try require(["service", "purposes"], in: service)
        try require(
            ["consentType", "purposeCategory", "piiCategory", "termination", "thirdPartyDisclosure"],
            in: service?["purposes"]?.list?.first)
    }

    private static func require(_ names: [String], in json: JSONValue?) throws(ProofError) {
        for name in names where (json?[name] ?? .null).isNull {
            throw .notReadable("it lacks '\(name)', which its form wants")
        }
    }
}

/// A contact as a catalog has it, on one line with commas between its parts: a name or a postal address, an e-mail
/// address, a phone number.
private struct Contact: Equatable {
    let email: String?
    /// A plus and digits.
    let phone: String?
    /// All other parts.
    let rest: String

    init(_ text: String) {
        var email: String?
        var phone: String?
        var rest: [String] = []
        for piece in text.split(separator: ",") {
            let part = piece.split(separator: " ").joined(separator: " ")
            if email == nil, part.contains("@"), !part.contains(" ") {
                email = part
            } else if phone == nil, let number = Self.number(part) {
                phone = number
            } else if !part.isEmpty {
                rest.append(part)
            }
        }
        self.email = email
        self.phone = phone
        self.rest = rest.joined(separator: ", ")
    }

    private static func number(_ part: String) -> String? {
        guard part.hasPrefix("+") else { return nil }
        let digits = String(part.dropFirst()).filter { !" -().".contains($0) }
        let isNumber = digits.utf8.allSatisfy { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
        return isNumber && (4...15).contains(digits.utf8.count) ? "+" + digits : nil
    }

    var json: JSONValue {
        var point: [String: JSONValue] = ["@type": "schema:ContactPoint"]
        if let email { point["schema:email"] = .text(email) }
        if let phone { point["schema:telephone"] = .text(phone) }
        return .object(point)
    }
}
