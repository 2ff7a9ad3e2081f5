package import ConsentCatalog
package import ConsentModel

/// A catalog's text with as little as possible of everything, made to measure for one test.
package struct SampleCatalog: Sendable {
    package struct PurposeLines: Sendable {
        package var id: String
        package var bit: Int
        package var basis = "consent"
        /// More lines of the purpose, such as `doubleOptIn: true`.
        package var more: [String] = []

        package init(_ id: String, bit: Int, basis: String = "consent", _ more: String...) {
            self.id = id
            self.bit = bit
            self.basis = basis
            self.more = more
        }
    }

    package struct RevisionLines: Sendable {
        package var name: String
        package var effectiveAt: Timestamp
        package var compatibleWith: String?
        /// Nil: every purpose.
        package var purposes: [String]?
        package var more: [String] = []

        package init(
            _ name: String, effectiveAt: Timestamp, compatibleWith: String? = nil, purposes: [String]? = nil,
            _ more: String...
        ) {
            self.name = name
            self.effectiveAt = effectiveAt
            self.compatibleWith = compatibleWith
            self.purposes = purposes
            self.more = more
        }
    }

    package var purposes: [PurposeLines]
    package var revisions: [RevisionLines]

    /// Long before any test runs.
    package static let begin = Timestamp(iso8601: "2020-01-01")!

    package init(
        _ purposes: [PurposeLines],
        revisions: [RevisionLines] = [RevisionLines("1.0", effectiveAt: SampleCatalog.begin)]
    ) {
        self.purposes = purposes
        self.revisions = revisions
    }

    /// Purposes `p0`, `p1` … that all rest on consent, under declaration `club`, revision `1.0`.
    package static func consents(bits: Range<Int>) -> SampleCatalog {
        SampleCatalog(bits.map { PurposeLines("p\($0)", bit: $0) })
    }

    package var text: String {
        """
        format: 1
        languages: [nb]
        controllers:
          - {id: club, name: Klubben AS, contact: post@klubben.example}
        recipients:
          - {id: sender, name: Brevduva AB, address: Duvgränd 7, country: SE, category: e-mail}
        dataCategories:
          - {id: contact, name: Contact details}
          - {id: health, name: Health, special: true}
        purposes:
        \(purposes.map(Self.text).joined(separator: "\n"))
        declarations:
          - id: club
            revisions:
        \(revisions.map(text).joined(separator: "\n"))

        """
    }

    private static func text(_ purpose: PurposeLines) -> String {
        ([
            "  - id: \(purpose.id)", "    bit: \(purpose.bit)", "    controller: club",
            "    title: {nb: \(purpose.id)}", "    basis: \(purpose.basis)",
        ] + purpose.more.map { "    " + $0 }).joined(separator: "\n")
    }

    private func text(_ revision: RevisionLines) -> String {
        let covered = revision.purposes ?? purposes.map(\.id)
        return
            ([
                "      - revision: \"\(revision.name)\"", "        effectiveAt: \(revision.effectiveAt.iso8601)",
                "        purposes: [\(covered.joined(separator: ", "))]", "        recipients: [sender]",
                "        retention: two years", "        withdrawal: on the page",
                "        texts: {nb: {title: Ja, body: Du samtykker til \(revision.name)., plain: Du sier ja.}}",
            ] + (revision.compatibleWith.map { ["        compatibleWith: \"\($0)\""] } ?? [])
            + revision.more.map { "        " + $0 }).joined(separator: "\n")
    }

    package var document: CatalogDocument { get throws { try CatalogDocument(text: text, file: "sample.yaml") } }
}
