/// Controllers, recipients, data categories, purposes and declarations: the rules that a ledger's events are read by.
/// A value; one version of it is applied at a time.
package struct Catalog: Sendable, Equatable {
    package var controllers: [Controller]
    package var recipients: [Recipient]
    package var dataCategories: [DataCategory]
    /// In order of their bits.
    package private(set) var purposes: [Purpose]
    package private(set) var declarations: [Declaration]

    private var purposePositionByBit: [Int: Int] = [:]
    private var purposePositionByID: [String: Int] = [:]
    private var declarationPositionByID: [String: Int] = [:]

    package init(
        controllers: [Controller] = [], recipients: [Recipient] = [], dataCategories: [DataCategory] = [],
        purposes: [Purpose] = [], declarations: [Declaration] = []
    ) {
        self.controllers = controllers
        self.recipients = recipients
        self.dataCategories = dataCategories
        self.purposes = purposes.sorted { $0.bit < $1.bit }
        self.declarations = declarations
        for (position, purpose) in self.purposes.enumerated() {
            purposePositionByBit[purpose.bit] = position
            purposePositionByID[purpose.id] = position
        }
        for (position, declaration) in declarations.enumerated() {
            declarationPositionByID[declaration.id] = position
        }
    }

    /// Whether each purpose of another one has the same bit here. A ledger that was put back to an older state may have
    /// given its next bits anew.
    package func keepsBits(of other: Catalog) -> Bool {
        other.purposes.allSatisfy { purpose(id: $0.id)?.bit == $0.bit }
    }

    package func purpose(bit: Int) -> Purpose? { purposePositionByBit[bit].map { purposes[$0] } }
    package func purpose(id: String) -> Purpose? { purposePositionByID[id].map { purposes[$0] } }
    package func declaration(id: String) -> Declaration? { declarationPositionByID[id].map { declarations[$0] } }
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

package struct Revision: Sendable, Equatable {
    package var name: String
    package var effectiveAt: Timestamp
    /// Per language tag (BCP 47).
    package var texts: [String: DeclarationText]
    package var purposes: [String]
    package var dataCategories: [String]
    package var recipients: [String]
    package var retention: String
    package var storageLocation: String
    package var jurisdiction: String
    package var withdrawal: String
    /// An older revision whose consents carry over; nil asks everyone again.
    package var compatibleWith: String?
    /// SHA-256 of the canonical form; empty in catalogs that no ledger stores (the decision corpus).
    package var digest: [UInt8]

    package init(
        name: String, effectiveAt: Timestamp, texts: [String: DeclarationText] = [:], purposes: [String],
        dataCategories: [String] = [], recipients: [String] = [], retention: String = "", storageLocation: String = "",
        jurisdiction: String = "", withdrawal: String = "", compatibleWith: String? = nil, digest: [UInt8] = []
    ) {
        self.name = name
        self.effectiveAt = effectiveAt
        self.texts = texts
        self.purposes = purposes
        self.dataCategories = dataCategories
        self.recipients = recipients
        self.retention = retention
        self.storageLocation = storageLocation
        self.jurisdiction = jurisdiction
        self.withdrawal = withdrawal
        self.compatibleWith = compatibleWith
        self.digest = digest
    }
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
