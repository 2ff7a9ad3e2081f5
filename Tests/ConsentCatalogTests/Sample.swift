import ConsentCatalog
import Testing

/// A catalog with as little as possible of everything, written so that each test can change one line of it.
enum Sample {
    static let text = """
        format: 1
        languages: [nb, en]
        controllers:
          - id: group
            name: Gruppen AS
            contact: post@gruppen.example
          - id: shop
            name: Butikken AS
            contact: post@butikken.example
            dataProtectionOfficer: Kari Ombud
            parent: group
        recipients:
          - id: sender
            name: Brevduva AB
            address: Duvgränd 7
            country: SE
            category: e-mail
          - id: printer
            name: Trykk AS
            address: Papirgata 2
            country: NO
        dataCategories:
          - id: contact
            name: Contact details
          - id: health
            name: Health
            special: true
        purposes:
          - id: newsletter
            bit: 0
            controller: shop
            title: {nb: Nyhetsbrev, en: Newsletter}
            basis: consent
            dataCategories: [contact]
            doubleOptIn: true
            validityDuration: P2Y
            failPolicy: static
            maxStaleness: PT15M
          - id: sharing
            bit: 1
            controller: shop
            title: {nb: Deling, en: Sharing}
            basis: consent
            sharing: true
          - id: junior
            bit: 2
            controller: shop
            title: {nb: Junior, en: Junior}
            basis: consent
            minimumAge: 15
          - id: diet
            bit: 3
            controller: shop
            title: {nb: Kosthold, en: Diet}
            basis: consent
            explicit: true
            dataCategories: [health]
          - id: receipts
            bit: 4
            controller: group
            title: {nb: Kvitteringer, en: Receipts}
            basis: contract
        declarations:
          - id: club
            revisions:
              - revision: "1.0"
                effectiveAt: 2023-01-01
                purposes: [newsletter, junior, sharing]
                dataCategories: [contact]
                recipients: [sender]
                retention: two years
                storageLocation: Norway
                jurisdiction: Norway
                withdrawal: on My page
                texts:
                  nb: {title: Ja, body: Du samtykker., plain: Du sier ja.}
                  en: {title: Yes, body: You consent., plain: You say yes.}
              - revision: "1.1"
                effectiveAt: 2024-01-01T12:00:00+01:00
                compatibleWith: "1.0"
                purposes: [newsletter, junior, sharing]
                recipients: [sender]
                retention: one year
                withdrawal: on the page
                texts:
                  nb: {title: Ja takk, body: Du samtykker fritt., plain: Du sier ja selv.}
                  en: {title: Yes please, body: You consent freely., plain: You say yes yourself.}
          - id: diet-notice
            revisions:
              - revision: "1.0"
                effectiveAt: 2024-06-01
                purposes: [diet]
                dataCategories: [health]
                retention: half a year
                withdrawal: by e-mail
                texts:
                  nb: {title: Kost, body: Du samtykker uttrykkelig.}
                  en: {title: Food, body: You consent expressly.}
        """

    /// The sample with the one place that reads `part` written otherwise.
    static func with(_ part: String, _ replacement: String) -> String { text.with(part, replacement) }
}

extension String {
    /// This text with the one place that reads `part` written otherwise.
    func with(_ part: String, _ replacement: String) -> String {
        let count = ranges(of: part).count
        if count != 1 { Issue.record("'\(part)' stands in \(count) places of the sample") }
        return replacing(part, with: replacement)
    }
}

/// What a refusal says, without its prose.
struct Finding: Hashable, Comparable, CustomStringConvertible {
    let line: Int
    let rule: String

    static func < (left: Finding, right: Finding) -> Bool { (left.line, left.rule) < (right.line, right.rule) }

    var description: String { "\(line): \(rule)" }
}

/// The problems that the text is refused for; none if it is accepted.
func problems(in text: String) -> [CatalogProblem] {
    do {
        _ = try CatalogDocument(text: text, file: "catalog.yaml")
        return []
    } catch {
        return error.problems
    }
}

/// Expects exactly the problems that the text's own comments announce, on their lines: `# <- bit-duplicate`.
func expectAnnouncedProblems(_ text: String, sourceLocation: SourceLocation = #_sourceLocation) {
    var announced: [Finding] = []
    for (position, line) in text.split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
        guard let mark = line.firstRange(of: "# <- ") else { continue }
        for rule in line[mark.upperBound...].split(separator: " ") {
            announced.append(Finding(line: position + 1, rule: String(rule)))
        }
    }
    let found = problems(in: text)
    #expect(!announced.isEmpty, sourceLocation: sourceLocation)
    #expect(
        found.map { Finding(line: $0.line, rule: $0.rule) }.sorted() == announced.sorted(),
        "\(CatalogRejection(problems: found))", sourceLocation: sourceLocation)
}

/// The accepted text.
func document(_ text: String, sourceLocation: SourceLocation = #_sourceLocation) throws -> CatalogDocument {
    do {
        return try CatalogDocument(text: text, file: "catalog.yaml")
    } catch {
        Issue.record("\(error)", sourceLocation: sourceLocation)
        throw error
    }
}
