/// Controllers, recipients, data categories, purposes and declarations: the rules that a ledger's events are read by.
/// A value that never changes; one version of it is applied at a time. Its copies share what it holds.
package struct Catalog: Sendable, Equatable {
    private let parts: Parts

    private final class Parts: Sendable {
        let controllers: [Controller]
        let recipients: [Recipient]
        let dataCategories: [DataCategory]
        let purposes: [Purpose]
        let declarations: [Declaration]
        let purposePositionByBit: [Int: Int]
        let purposePositionByID: [String: Int]
        let declarationPositionByID: [String: Int]
        let recipientPositionByID: [String: Int]
        let dataCategoryPositionByID: [String: Int]
        let specialDataCategories: [String]

        init(
            _ controllers: [Controller], _ recipients: [Recipient], _ dataCategories: [DataCategory],
            _ purposes: [Purpose], _ declarations: [Declaration]
        ) {
            func last(_: Int, next: Int) -> Int { next }
            self.controllers = controllers
            self.recipients = recipients
            self.dataCategories = dataCategories
            self.purposes = purposes
            self.declarations = declarations
            recipientPositionByID = Dictionary(
                recipients.enumerated().map { ($1.id, $0) }, uniquingKeysWith: last)
            dataCategoryPositionByID = Dictionary(
                dataCategories.enumerated().map { ($1.id, $0) }, uniquingKeysWith: last)
            specialDataCategories = dataCategories.filter(\.isSpecial).map(\.id)
            purposePositionByBit = Dictionary(purposes.enumerated().map { ($1.bit, $0) }, uniquingKeysWith: last)
            purposePositionByID = Dictionary(purposes.enumerated().map { ($1.id, $0) }, uniquingKeysWith: last)
            declarationPositionByID = Dictionary(
                declarations.enumerated().map { ($1.id, $0) }, uniquingKeysWith: last)
        }
    }

    package init(
        controllers: [Controller] = [], recipients: [Recipient] = [], dataCategories: [DataCategory] = [],
        purposes: [Purpose] = [], declarations: [Declaration] = []
    ) {
        parts = Parts(
            controllers, recipients, dataCategories, purposes.sorted { $0.bit < $1.bit }, declarations)
    }

    package static func == (left: Catalog, right: Catalog) -> Bool {
        left.parts === right.parts
            || (left.controllers == right.controllers && left.recipients == right.recipients
                && left.dataCategories == right.dataCategories && left.purposes == right.purposes
                && left.declarations == right.declarations)
    }

    package var controllers: [Controller] { parts.controllers }
    package var recipients: [Recipient] { parts.recipients }
    package var dataCategories: [DataCategory] { parts.dataCategories }
    /// The ids of those of a special category.
    package var specialDataCategories: [String] { parts.specialDataCategories }
    /// In order of their bits.
    package var purposes: [Purpose] { parts.purposes }
    package var declarations: [Declaration] { parts.declarations }

    /// Whether each purpose of another one has the same bit here. A ledger that was put back to an older state may have
    /// given its next bits anew.
    package func keepsBits(of other: Catalog) -> Bool {
        other.purposes.allSatisfy { purpose(id: $0.id)?.bit == $0.bit }
    }

    package func purpose(bit: Int) -> Purpose? { parts.purposePositionByBit[bit].map { parts.purposes[$0] } }
    package func purpose(id: String) -> Purpose? { parts.purposePositionByID[id].map { parts.purposes[$0] } }
    package func declaration(id: String) -> Declaration? {
        parts.declarationPositionByID[id].map { parts.declarations[$0] }
    }
    package func recipient(id: String) -> Recipient? {
        parts.recipientPositionByID[id].map { parts.recipients[$0] }
    }
    package func dataCategory(id: String) -> DataCategory? {
        parts.dataCategoryPositionByID[id].map { parts.dataCategories[$0] }
    }
    package func revision(_ name: RevisionName) -> Revision? {
        declaration(id: name.declaration)?.revision(name.revision)
    }

    /// The bits of the purposes that may be processed without anybody's act: an active one on a basis but consent.
    package var defaultGrants: [Int] {
        purposes.filter { $0.isActive && $0.basis != .consent }.map(\.bit)
    }

    /// The next moment after `clock` at which some revision becomes current without anyone acting.
    package func nextRevisionChange(after clock: Timestamp) -> Timestamp? {
        declarations.lazy.flatMap(\.revisions).map(\.effectiveAt).filter { $0 > clock }.min()
    }
}

/// Who decides why and how data is processed (GDPR art. 4 (7)); group → company → brand through `parent`.
package struct Controller: Sendable, Equatable {
    package var id: String
    package var name: String
    package var contact: String
    package var dataProtectionOfficer: String
    package var parent: String?
    /// Postal; empty, as the next two, where the catalog has none.
    package var address = ""
    /// With its country (E.164), in any spelling.
    package var phone = ""
    /// Where the controller says on the web how it handles personal data.
    package var url = ""

    package init(id: String, name: String, contact: String, dataProtectionOfficer: String, parent: String? = nil) {
        self.id = id
        self.name = name
        self.contact = contact
        self.dataProtectionOfficer = dataProtectionOfficer
        self.parent = parent
    }
}

/// A third party that data is disclosed to, named one by one (GDPR art. 4 (9)).
package struct Recipient: Sendable, Equatable {
    package var id: String
    package var name: String
    package var address: String
    package var country: String
    package var category: String

    package init(id: String, name: String, address: String, country: String, category: String) {
        self.id = id
        self.name = name
        self.address = address
        self.country = country
        self.category = category
    }
}

package struct DataCategory: Sendable, Equatable {
    package var id: String
    package var name: String
    /// One of the special categories of GDPR art. 9 (1).
    package var isSpecial: Bool

    package init(id: String, name: String, isSpecial: Bool) {
        self.id = id
        self.name = name
        self.isSpecial = isSpecial
    }
}

/// What an edge answers when it has lost its upstream.
package enum FailPolicy: String, Sendable, CaseIterable {
    /// Unavailable at once.
    case closed
    /// The last known answer, until the purpose's `maxStaleness`.
    case `static`
}

package struct Purpose: Sendable, Equatable {
    package var id: String
    /// Its place in every bitset; assigned once and never reused.
    package var bit: Int
    package var controller: String
    /// Per language tag (BCP 47).
    package var title: [String: String]
    package var basis: LawfulBasis
    package var dataCategories: [String] = []
    /// Whether the consent must be an express statement (GDPR art. 9 (2) (a)).
    package var requiresExplicit = false
    package var requiresDoubleOptIn = false
    /// For how long a token that confirms a request counts; nil is ``Limit/doubleOptInLifetime``.
    package var doubleOptInLifetime: Period?
    /// How long a consent lasts when the event does not say; nil is without end.
    package var validity: Period?
    package var isProfiling = false
    package var isDirectMarketing = false
    package var isSharing = false
    package var minimumAge: Int?
    package var failPolicy = FailPolicy.closed
    package var maxStaleness = Period(seconds: 0)
    package var isActive = true

    package init(id: String, bit: Int, controller: String, title: [String: String], basis: LawfulBasis) {
        self.id = id
        self.bit = bit
        self.controller = controller
        self.title = title
        self.basis = basis
    }
}

extension Purpose {
    /// For how long a token that confirms a request counts.
    package var tokenLifetime: Period { doubleOptInLifetime ?? Limit.doubleOptInLifetime }
}

/// A declaration of consent (samtykkeerklæring, samtyckesförklaring): the text a person agrees to, through time.
package struct Declaration: Sendable, Equatable {
    package let id: String
    /// In order of their effective time.
    package let revisions: [Revision]

    package init(id: String, revisions: [Revision]) {
        self.id = id
        self.revisions = revisions.sorted { $0.effectiveAt < $1.effectiveAt }
    }

    package func revision(_ name: String) -> Revision? { revisions.first { $0.name == name } }

    /// The newest revision whose effective time has come; nil before the first.
    package func currentRevision(at clock: Timestamp) -> Revision? { revisions.last { $0.effectiveAt <= clock } }

    /// Whether a consent to `older` still counts for `purpose` when `current` is the current revision: they are the
    /// same, or a chain of `compatibleWith` leads from the current one back to it and every link covers the purpose.
    package func carriesOver(from older: String, to current: Revision, purpose: String) -> Bool {
        var link = current
        for _ in revisions {
            guard link.purposes.contains(purpose) else { return false }
            if link.name == older { return true }
            guard let earlier = link.compatibleWith, let next = revision(earlier) else { return false }
            link = next
        }
        return false
    }
}

/// One wording of a declaration. Its copies share one box, which never changes.
package struct Revision: Sendable, Equatable {
    private let box: Box

    private struct Fields: Equatable {
        var name: String
        var effectiveAt: Timestamp
        var texts: [String: DeclarationText]
        var purposes: [String]
        var dataCategories: [String]
        var recipients: [String]
        var retention: String
        var storageLocation: String
        var jurisdiction: String
        var withdrawal: String
        var compatibleWith: String?
        var digest: [UInt8]
    }

    private final class Box: Sendable {
        let fields: Fields
        init(_ fields: Fields) { self.fields = fields }
    }

    package init(
        name: String, effectiveAt: Timestamp, texts: [String: DeclarationText] = [:], purposes: [String],
        dataCategories: [String] = [], recipients: [String] = [], retention: String = "", storageLocation: String = "",
        jurisdiction: String = "", withdrawal: String = "", compatibleWith: String? = nil, digest: [UInt8] = []
    ) {
        box = Box(
            Fields(
                name: name, effectiveAt: effectiveAt, texts: texts, purposes: purposes, dataCategories: dataCategories,
                recipients: recipients, retention: retention, storageLocation: storageLocation,
                jurisdiction: jurisdiction, withdrawal: withdrawal, compatibleWith: compatibleWith, digest: digest))
    }

    private init(_ fields: Fields) { box = Box(fields) }

    /// The same with its digest.
    package func with(digest: [UInt8]) -> Revision {
        var fields = box.fields
        fields.digest = digest
        return Revision(fields)
    }

    package static func == (left: Revision, right: Revision) -> Bool {
        left.box === right.box || left.box.fields == right.box.fields
    }
}

extension Revision {
    package var name: String { box.fields.name }
    package var effectiveAt: Timestamp { box.fields.effectiveAt }
    /// Per language tag (BCP 47).
    package var texts: [String: DeclarationText] { box.fields.texts }
    package var purposes: [String] { box.fields.purposes }
    package var dataCategories: [String] { box.fields.dataCategories }
    package var recipients: [String] { box.fields.recipients }
    package var retention: String { box.fields.retention }
    package var storageLocation: String { box.fields.storageLocation }
    package var jurisdiction: String { box.fields.jurisdiction }
    package var withdrawal: String { box.fields.withdrawal }
    /// An older revision whose consents carry over; nil asks everyone again.
    package var compatibleWith: String? { box.fields.compatibleWith }
    /// SHA-256 of the canonical form; empty in catalogs that no ledger stores (the decision corpus).
    package var digest: [UInt8] { box.fields.digest }
}

package struct DeclarationText: Sendable, Equatable {
    package var title: String
    package var body: String
    /// The same so that a child can read it (GDPR art. 12 (1)).
    package var plain: String

    package init(title: String, body: String, plain: String) {
        self.title = title
        self.body = body
        self.plain = plain
    }
}

/// A revision of a declaration, by its names.
package struct RevisionName: Hashable, Sendable {
    package var declaration: String
    package var revision: String

    package init(declaration: String, revision: String) {
        self.declaration = declaration
        self.revision = revision
    }

    package var text: String { "\(declaration) \(revision)" }
}
