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

    /// - Parameter catalog: the one that holds the revision that the event names, or the current one.
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
        return catalog.recipients.filter { revision.recipients.contains($0.id) }
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

    /// ISO/IEC TS 27560:2023 in the terms of the W3C Data Privacy Vocabulary, as its guide for consent records and receipts
    /// says: header, processing, parties and event, as JSON-LD. What the standard makes mandatory is always there.
    package var dpv: JSONValue {
        [
            "@context": [
                "dct": "http://purl.org/dc/terms/", "dpv": "https://w3id.org/dpv#",
                "eu-gdpr": "https://w3id.org/dpv/legal/eu/gdpr#", "xsd": "http://www.w3.org/2001/XMLSchema#",
                "schema": "https://schema.org/", "consentd": "urn:consentd:",
            ],
            "@id": .text("urn:uuid:" + identifier), "@type": "dpv:ConsentReceipt",
            "dct:conformsTo": "ISO/IEC TS 27560:2023", "dct:identifier": .text(identifier),
            "dct:created": .text(evidence.entry.recordedAt.iso8601), "dct:language": .text(event.language),
            "dpv:hasDataSubject": ["@type": "dpv:DataSubject", "dct:identifier": .text(principal)],
            "dpv:hasDataController": controllerJSON, "dpv:hasNotice": notice, "dpv:hasProcess": process,
            "dpv:hasConsentStatus": [consentEvent],
            "consentd:event": [
                "consentd:history": .text(history.hex), "consentd:sequence": .number(Int64(evidence.entry.sequence)),
                "consentd:hash": .text(evidence.entry.hash.bytes.hex),
            ],
        ]
    }

    private var controllerJSON: JSONValue {
        [
            "@type": "dpv:DataController", "@id": .text("consentd:controller/" + purpose.controller),
            "dpv:hasName": .text(controller?.name ?? purpose.controller),
            "dpv:hasContact": .text(controller?.contact ?? ""),
            "dpv:hasRepresentative": [
                "@type": "dpv:DataProtectionOfficer", "dpv:hasContact": .text(controller?.dataProtectionOfficer ?? ""),
            ],
        ]
    }

    private var notice: JSONValue {
        guard let name = event.revision else { return .null }
        return [
            "@type": "dpv:ConsentNotice",
            "dct:identifier": .text(name.declaration), "dct:hasVersion": .text(name.revision),
            "dct:language": .text(event.language), "dct:title": JSONValue(text?.title),
            "dct:description": JSONValue(text?.body), "dct:abstract": JSONValue(text?.plain),
            "dct:valid": JSONValue(revision?.effectiveAt.iso8601), "consentd:digest": JSONValue(revision?.digest.hex),
        ]
    }

    private var process: JSONValue {
        [
            "@type": "dpv:Process",
            "dpv:hasPurpose": [
                "@type": .list(purposeTypes.map(JSONValue.text)), "dct:identifier": .text(purpose.id),
                "dct:title": .text(title),
            ],
            "dpv:hasLegalBasis": .text(legalBasis),
            "dpv:hasPersonalData": .list(
                dataCategories.map {
                    [
                        "@type": .text($0.isSpecial ? "dpv:SpecialCategoryPersonalData" : "dpv:PersonalData"),
                        "dct:identifier": .text($0.id), "dct:title": .text($0.name),
                    ]
                }),
            "dpv:hasProcessing": ["dpv:Collect", "dpv:Store", "dpv:Use"],
            "dpv:hasRecipient": .list(
                recipients.map {
                    [
                        "@type": "dpv:ThirdParty", "@id": .text("consentd:recipient/" + $0.id),
                        "dpv:hasName": .text($0.name), "dpv:hasAddress": .text($0.address),
                        "dpv:hasCountry": .text($0.country), "dct:type": .text($0.category),
                    ]
                }),
            "dpv:hasStorageCondition": [
                "@type": "dpv:StorageCondition", "dpv:hasLocation": .text(revision?.storageLocation ?? ""),
                "dpv:hasDuration": .text(revision?.retention ?? ""),
            ],
            "dpv:hasJurisdiction": .text(revision?.jurisdiction ?? ""),
            "dpv:hasRight": .list(rights.map(JSONValue.text)),
            "dpv:hasConsentControl": [
                "@type": "dpv:WithdrawConsent", "dct:description": .text(revision?.withdrawal ?? ""),
            ],
        ]
    }

    private var consentEvent: JSONValue {
        [
            "@type": .text(status), "dpv:isIndicatedAtTime": .text(capturedAt.iso8601),
            "dpv:isIndicatedBy": .text("dpv:" + Self.indicators[event.party]!),
            "dpv:hasIndicationMethod": .text(event.method.name),
            "dpv:hasLegalBasis": .text(legalBasis),
            "dpv:hasExpiry": JSONValue(event.state.isGrant ? endsAt?.iso8601 : nil),
            "dpv:isImplementedUsingTechnology": .text(
                [event.source.system, event.source.channel, event.source.form].filter { !$0.isEmpty }
                    .joined(separator: "/")),
        ]
    }

    private static let indicators: [Party: String] = [
        .subject: "DataSubject", .guardian: "GuardianOfDataSubject", .controller: "DataController",
        .authority: "Authority", .system: "DataController",
    ]

    private var purposeTypes: [String] {
        ["dpv:Purpose"] + (purpose.isDirectMarketing ? ["dpv:DirectMarketing"] : [])
            + (purpose.isProfiling ? ["dpv:Personalisation"] : [])
    }

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

    /// Withdrawal, information, access, rectification, erasure, portability, objection, complaint.
    private var rights: [String] {
        ["A7-3", "A13", "A15", "A16", "A17", "A20", "A21", "A77"].map { "eu-gdpr:" + $0 }
    }

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
        case .objected, .erased: "consentd:Objected"
        case .objectionLifted: "consentd:ObjectionLifted"
        }
    }

    // MARK: Kantara

    /// Kantara Initiative Consent Receipt Specification 1.1.0.
    ///
    /// - Throws: ``ReceiptError`` `noConsent` for another act than a consent.
    package func kantara() throws(ReceiptError) -> JSONValue {
        guard event.state.isGrant else { throw .noConsent(evidence.entry.sequence) }
        let special = dataCategories.filter(\.isSpecial)
        return [
            "version": "KI-CR-v1.1.0", "jurisdiction": .text(revision?.jurisdiction ?? ""),
            "consentTimestamp": .number(capturedAt.secondsRoundedDown),
            "collectionMethod": .text(
                [event.method.name, event.source.system, event.source.channel, event.source.form]
                    .filter { !$0.isEmpty }.joined(separator: "/")),
            "consentReceiptID": .text(identifier), "language": .text(event.language),
            "piiPrincipalId": .text(principal), "piiControllers": [controllerOfKantara],
            "policyUrl": .text(policy), "services": [service],
            "sensitive": .bool(!special.isEmpty), "spiCat": .list(special.map { .text($0.name) }),
        ]
    }

    private var controllerOfKantara: JSONValue {
        let contact = controller?.contact ?? ""
        return [
            "piiController": .text(controller?.name ?? purpose.controller), "onBehalf": .bool(false),
            "contact": .text(controller?.dataProtectionOfficer ?? ""),
            "address": ["addressCountry": .text(revision?.jurisdiction ?? "")],
            "email": .text(contact.contains("@") ? contact : ""), "phone": .text(contact.contains("@") ? "" : contact),
        ]
    }

    /// Names the text that was shown, which has no address of its own.
    private var policy: String {
        event.revision.map { "urn:consentd:\(history.hex):\($0.declaration):\($0.revision)" } ?? ""
    }

    private var service: JSONValue {
        let shared = recipients
        return [
            "service": .text(event.revision?.declaration ?? purpose.id),
            "purposes": [
                [
                    "purpose": .text(title), "purposeCategory": .list(purposeTypes.map(JSONValue.text)),
                    "consentType": "EXPLICIT", "piiCategory": .list(dataCategories.map { .text($0.name) }),
                    "primaryPurpose": .bool(true),
                    "termination": .text(endsAt?.iso8601 ?? revision?.withdrawal ?? ""),
                    "thirdPartyDisclosure": .bool(!shared.isEmpty),
                    "thirdPartyName": .text(shared.map(\.name).joined(separator: ", ")),
                ]
            ],
        ]
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
        let mandatory: [String]
        let identifier: String?
        if json["@type"]?.text == "dpv:ConsentReceipt" {
            (kind, identifier) = (.dpvReceipt, json["dct:identifier"]?.text)
            mandatory = [
                "@context", "dct:conformsTo", "dct:identifier", "dpv:hasDataSubject", "dpv:hasDataController",
                "dpv:hasNotice", "dpv:hasProcess", "dpv:hasConsentStatus",
            ]
        } else if json["version"]?.text == "KI-CR-v1.1.0" {
            (kind, identifier) = (.kantaraReceipt, json["consentReceiptID"]?.text)
            mandatory = [
                "jurisdiction", "consentTimestamp", "collectionMethod", "consentReceiptID", "piiPrincipalId",
                "piiControllers", "policyUrl", "services", "sensitive", "spiCat",
            ]
        } else {
            throw .notReadable("it is no receipt of a form that is known here")
        }
        let (signer, signedAt) = try json.requireSigned(by: key)
        for name in mandatory where json[name] == nil {
            throw .notReadable("it lacks '\(name)', which its form wants")
        }
        guard let identifier else { throw .notReadable("its identifier is no text") }
        return Finding(kind: kind, identifier: identifier, key: signer, signedAt: signedAt)
    }
}
