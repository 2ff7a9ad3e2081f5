/// One thing that is wrong in a catalog's text, and where.
package struct CatalogProblem: Sendable, Equatable, CustomStringConvertible {
    package let file: String
    /// From 1.
    package let line: Int
    /// From 1, in Unicode scalars.
    package let column: Int
    /// A short name that stays the same from release to release, such as `recipient-unnamed`.
    package let rule: String
    package let message: String

    package init(file: String, line: Int, column: Int, rule: String, message: String) {
        self.file = file
        self.line = line
        self.column = column
        self.rule = rule
        self.message = message
    }

    package var description: String { "\(file):\(line):\(column): \(rule): \(message)" }
}

/// Why a text is not a catalog. Nothing of it was taken over.
package struct CatalogRejection: Error, Equatable, CustomStringConvertible {
    /// Every problem that was found, in the order of the file; never empty. A text that is not YAML has only one, as
    /// nothing after it can be read.
    package let problems: [CatalogProblem]

    package init(problems: [CatalogProblem]) { self.problems = problems }

    package var description: String { problems.map(\.description).joined(separator: "\n") }
}

/// The rules that a catalog's text is held against.
enum CatalogRule: String, CaseIterable {
    case textTooLong = "text-too-long"
    case yaml = "yaml"
    case emptyDocument = "empty-document"
    case severalDocuments = "several-documents"
    case alias = "alias"
    case duplicateKey = "duplicate-key"
    case unknownKey = "unknown-key"
    case missingKey = "missing-key"
    case wrongType = "wrong-type"
    case emptyText = "empty-text"
    case formatUnknown = "format-unknown"
    case languageInvalid = "language-invalid"
    case idInvalid = "id-invalid"
    case idDuplicate = "id-duplicate"
    case bitOutOfRange = "bit-out-of-range"
    case bitDuplicate = "bit-duplicate"
    case referenceUnknown = "reference-unknown"
    case referenceDuplicate = "reference-duplicate"
    case parentCycle = "parent-cycle"
    case countryInvalid = "country-invalid"
    case addressInvalid = "address-invalid"
    case phoneInvalid = "phone-invalid"
    case urlInvalid = "url-invalid"
    case recipientUnnamed = "recipient-unnamed"
    case timeInvalid = "time-invalid"
    case periodInvalid = "period-invalid"
    case ageInvalid = "age-invalid"
    case lifetimeWithoutDoubleOptIn = "lifetime-without-double-opt-in"
    case basisUnknown = "basis-unknown"
    case failPolicyUnknown = "fail-policy-unknown"
    case stalenessWithoutStatic = "staleness-without-static"
    case staticWithoutStaleness = "static-without-staleness"
    case conditionForbidden = "condition-forbidden"
    case titleMissing = "title-missing"
    case specialNotExplicit = "special-category-not-explicit"
    case consentWithoutDeclaration = "consent-without-declaration"
    case revisionInvalid = "revision-invalid"
    case revisionDuplicate = "revision-duplicate"
    case effectiveTimeDuplicate = "effective-time-duplicate"
    case compatibleWithUnknown = "compatible-with-unknown"
    case compatibleWithLater = "compatible-with-later"
    case recipientsMissing = "recipients-missing"
    case withdrawalMissing = "withdrawal-missing"
    case textMissing = "text-missing"
    case plainMissing = "plain-missing"
    case partnersUnnamed = "partners-unnamed"
}

/// What a sound catalog may lack.
enum CatalogNote: String, CaseIterable {
    case receiptIncomplete = "receipt-incomplete"
}

/// A place in the catalog's text; lines and columns count from 1.
struct Place: Hashable, Comparable {
    let line: Int
    let column: Int

    static let start = Place(line: 1, column: 1)

    static func < (left: Place, right: Place) -> Bool {
        (left.line, left.column) < (right.line, right.column)
    }
}

/// What has been found wrong so far; shared by everything that reads one text.
final class ProblemList {
    private let file: String
    private var found: [CatalogProblem] = []

    init(file: String) { self.file = file }

    var isEmpty: Bool { found.isEmpty }

    func report(_ rule: CatalogRule, at place: Place, _ message: String) {
        found.append(
            CatalogProblem(
                file: file, line: place.line, column: place.column, rule: rule.rawValue, message: message))
    }

    /// `; did you mean 'title'?`, or nothing. Only the first problems get one: looking for it takes long.
    func suggestion(for text: String, among known: some Sequence<String>) -> String {
        guard found.count < CatalogLimit.suggestionsMax else { return "" }
        return nearest(to: text, among: known).map { "; did you mean '\($0)'?" } ?? ""
    }

    var rejection: CatalogRejection {
        CatalogRejection(problems: found.enumerated().sorted(by: Self.standsBefore).map(\.element))
    }

    private static func standsBefore(_ left: (Int, CatalogProblem), _ right: (Int, CatalogProblem)) -> Bool {
        (left.1.line, left.1.column, left.0) < (right.1.line, right.1.column, right.0)
    }
}
