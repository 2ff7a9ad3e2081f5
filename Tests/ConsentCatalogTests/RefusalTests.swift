import ConsentCatalog
import ConsentModel
import Testing

@Suite struct YamlRefusals {
    @Test func refusesBrokenYaml() {
        expectAnnouncedProblems(Sample.with("languages: [nb, en]", "languages: nb: en # <- yaml"))
    }

    @Test func refusesControlCharacters() {
        let found = problems(in: Sample.with("Gruppen AS", "Gruppen \u{01} AS"))
        #expect(found.map { Finding(line: $0.line, rule: $0.rule) } == [Finding(line: 5, rule: "yaml")])
    }

    @Test func refusesAKeyGivenTwice() {
        expectAnnouncedProblems(
            Sample.with("    contact: post@gruppen.example", "    contact: a\n    contact: b # <- duplicate-key"))
        expectAnnouncedProblems(Sample.with("{nb: Deling, en: Sharing}", "{nb: Deling, nb: Del} # <- duplicate-key"))
    }

    @Test(arguments: ["", "\n", "# only a comment\n", "~", "---\n", "null"])
    func refusesAnEmptyDocument(_ text: String) {
        #expect(problems(in: text).map(\.rule) == ["empty-document"])
    }

    @Test func refusesASecondDocument() {
        expectAnnouncedProblems(Sample.text + "\n---\nformat: 1 # <- several-documents\n")
    }

    @Test func refusesATextThatNoFrameHolds() {
        let padding = String(repeating: "#", count: 900 * 1024)
        #expect(problems(in: Sample.text + "\n" + padding).map(\.rule) == ["text-too-long"])
        let rest = 900 * 1024 - Sample.text.utf8.count - 1
        #expect(problems(in: Sample.text + "\n" + String(repeating: "#", count: rest)).isEmpty)
    }

    @Test func refusesAliases() {
        expectAnnouncedProblems(
            Sample.with("purposes: [diet]", "purposes: &all [diet]")
                .with("        dataCategories: [health]\n", "        dataCategories: *all # <- alias\n"))
    }

    @Test func refusesABillionLaughsAtOnce() {
        var bomb = "a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol]\n"
        for level in 1...30 {
            let aliases = [String](repeating: "*a\(level - 1)", count: 9).joined(separator: ", ")
            bomb += "a\(level): &a\(level) [\(aliases)]\n"
        }
        bomb += "? *a30\n: boom\n"
        #expect(problems(in: bomb).map { Finding(line: $0.line, rule: $0.rule) } == [Finding(line: 2, rule: "alias")])
    }

    @Test func takesAmpersandsAndAsterisksInTextsAsTheyAre() throws {
        let text = Sample.with("name: Trykk AS", "name: Trykk &Co AS").with("Contact details", "'*all* of H&M &more'")
        #expect(try document(text).catalog.recipients[1].name == "Trykk &Co AS")
    }

    /// The parser reads on behind it.
    @Test(arguments: ["{", "{\n", "format: {", "a: 1\nb: [\n", "a: \"x\n"])
    func namesNoLineThatIsNotThere(_ text: String) throws {
        let found = try #require(problems(in: text).first)
        let lines = text.split(separator: "\n")
        #expect(found.rule == "yaml" && found.line == lines.count && found.column <= lines.last!.count + 1)
        let named = found.description.matches(of: /line ([0-9]+)/).compactMap { Int($0.1) }
        #expect(named.allSatisfy { $0 <= lines.count }, "\(found.description)")
    }

    @Test func survivesDeepNesting() {
        #expect(problems(in: String(repeating: "[", count: 100_000)).map(\.rule) == ["yaml"])
        #expect(problems(in: String(repeating: "- ", count: 100_000)).map(\.rule) == ["yaml"])
        let nested = String(repeating: "[", count: 900) + String(repeating: "]", count: 900)
        #expect(problems(in: nested).map(\.rule) == ["wrong-type"])
    }

    @Test func reportsColumnsInScalars() throws {
        let found = try #require(problems(in: Sample.with("bit: 4", "bit: fire")).first)
        #expect(found.column == 10)
        #expect(
            found.description == "catalog.yaml:\(found.line):10: wrong-type: "
                + "'bit' of purpose 'receipts' is a whole number")
    }
}

@Suite struct ShapeRefusals {
    @Test func refusesADocumentThatIsNoMapping() {
        #expect(problems(in: "just some words here\n").map(\.rule) == ["wrong-type"])
        #expect(problems(in: "- a\n- b\n").map(\.rule) == ["wrong-type"])
    }

    @Test func refusesAnotherFormat() {
        expectAnnouncedProblems(Sample.with("format: 1", "format: 2 # <- format-unknown"))
        expectAnnouncedProblems(Sample.with("format: 1", "format: \"1\" # <- wrong-type"))
    }

    @Test func refusesUnknownKeysAndSuggestsTheNearest() throws {
        let text = Sample.with("    maxStaleness: PT15M", "    maxStalenes: PT15M # <- unknown-key")
            .with("    failPolicy: static", "")
        expectAnnouncedProblems(text)
        let message = try #require(problems(in: text).first?.message)
        #expect(message.contains("did you mean 'maxStaleness'?"))
        #expect(message.contains("known: id, bit, controller"))
        #expect(!message.contains("conditionFor"))
    }

    @Test(arguments: [
        ("format: 1\n", "format"), ("controllers:\n", "controllers"), ("purposes:\n  - id: newsletter", "purposes"),
    ])
    func refusesACatalogWithoutItsParts(_ part: (text: String, key: String)) {
        let found = problems(in: Sample.with(part.text, part.text.replacing(part.key + ":", with: "x-y-z:")))
        #expect(found.contains { $0.rule == "missing-key" && $0.line == 1 && $0.message.contains("'\(part.key)'") })
    }

    @Test(arguments: [
        ("name: Gruppen AS", "id: group", "name"), ("contact: post@gruppen.example", "id: group", "contact"),
        ("name: Brevduva AB", "id: sender", "name"), ("address: Duvgränd 7", "id: sender", "address"),
        ("country: SE", "id: sender", "country"), ("name: Contact details", "id: contact", "name"),
        ("bit: 4", "id: receipts", "bit"), ("controller: group", "id: receipts", "controller"),
        ("title: {nb: Kvitteringer, en: Receipts}", "id: receipts", "title"),
        ("basis: contract", "id: receipts", "basis"), ("effectiveAt: 2023-01-01", "revision: \"1.0\"", "effectiveAt"),
        ("purposes: [diet]", "revision: \"1.0\"", "purposes"),
        ("retention: half a year", "revision: \"1.0\"", "retention"),
    ])
    func refusesAPartWithoutARequiredField(_ missing: (text: String, start: String, key: String)) {
        let text = Sample.with(missing.text, "# nothing")
        let found = problems(in: text).filter { $0.rule == "missing-key" }
        #expect(found.count == 1)
        let line = found.first.map { text.split(separator: "\n", omittingEmptySubsequences: false)[$0.line - 1] } ?? ""
        #expect(line.hasSuffix("- \(missing.start)"))
        #expect(found.first?.message.hasSuffix("has no '\(missing.key)'") ?? false)
    }

    @Test(arguments: [
        ("address", "\(String(repeating: "å", count: 256))x", "address-invalid"), ("address", "''", "empty-text"),
        ("phone", "55 00 04 00", "phone-invalid"), ("phone", "+47 55 00 x", "phone-invalid"),
        ("phone", "'+'", "phone-invalid"), ("phone", "''", "empty-text"), ("url", "''", "empty-text"),
        ("url", "www.gruppen.example", "url-invalid"), ("url", "ftp://gruppen.example", "url-invalid"),
        ("url", "https://", "url-invalid"), ("url", "https:///privacy", "url-invalid"),
        ("url", "https://-gruppen.example", "url-invalid"), ("url", "https://gruppen.example/a b", "url-invalid"),
        ("url", "https://gruppen.example/å", "url-invalid"), ("url", "'https://gruppen.example/<b>'", "url-invalid"),
        ("url", "https://ola@gruppen.example", "url-invalid"),
        ("url", "https://g.example/\(String(repeating: "a", count: 2031))", "url-invalid"),
    ])
    func refusesHowAControllerIsReachedWhereThatCannotBe(_ wrong: (key: String, value: String, rule: String)) {
        let added = "    parent: group\n    \(wrong.key): \(wrong.value) # <- \(wrong.rule)"
        expectAnnouncedProblems(Sample.with("    parent: group", added))
    }

    @Test(arguments: [
        ("address", String(repeating: "å", count: 256)), ("phone", "+47 55 00 04 00"), ("phone", "0047 (55) 00-04-00"),
        ("url", "http://gruppen.example"), ("url", "https://gruppen.example:8443/a?b=c&d=%C3%A5#e"),
        ("url", "https://g.example/\(String(repeating: "a", count: 2030))"),
    ])
    func takesHowAControllerIsReached(_ right: (key: String, value: String)) throws {
        let controller = try document(
            Sample.with("    parent: group", "    parent: group\n    \(right.key): '\(right.value)'")
        ).catalog.controllers[1]
        #expect([controller.address, controller.phone, controller.url].filter { !$0.isEmpty } == [right.value])
    }

    @Test func notesWhatReceiptsWillLack() throws {
        let notes = try document(Sample.text).notes
        #expect(notes.map(\.rule) == ["receipt-incomplete", "receipt-incomplete"])
        #expect(
            notes.map(\.line) == [4, 7]
                && notes.allSatisfy { $0.message.contains("no 'address', no 'phone', no 'url'") })
        let reached = "address: Kaien 1, Bergen\n    phone: +47 55 00 04 00\n    url: https://b.example"
        let whole = try document(Sample.with("    parent: group", "    parent: group\n    \(reached)"))
        #expect(whole.notes.map(\.line) == [4])
        let unreachable = try document(
            Sample.with("contact: post@butikken.example", "contact: Torget 1").replacing(
                "    parent: group", with: "    parent: group\n    \(reached)"))
        #expect(unreachable.notes.count == 2 && unreachable.notes[1].message.contains("no e-mail address"))
        // Who asks for nothing gives no receipts.
        let idle = try document(Sample.with("  - id: group\n", "  - {id: idle, name: I, contact: I}\n  - id: group\n"))
        #expect(!idle.notes.contains { $0.message.contains("idle") })
    }

    @Test func refusesAPartWithoutItsID() {
        expectAnnouncedProblems(
            Sample.with("  - id: printer\n    name: Trykk AS", "  - name: Trykk AS # <- missing-key"))
    }

    @Test func refusesWrongTypes() {
        expectAnnouncedProblems(Sample.with("name: Gruppen AS", "name: [Gruppen] # <- wrong-type"))
        expectAnnouncedProblems(Sample.with("doubleOptIn: true", "doubleOptIn: yes # <- wrong-type"))
        expectAnnouncedProblems(Sample.with("doubleOptIn: true", "doubleOptIn: \"true\" # <- wrong-type"))
        expectAnnouncedProblems(Sample.with("bit: 4", "bit: 0x4 # <- wrong-type"))
        expectAnnouncedProblems(Sample.with("bit: 4", "bit: 4.0 # <- wrong-type"))
        expectAnnouncedProblems(Sample.with("bit: 4", "bit: 04 # <- wrong-type"))
        expectAnnouncedProblems(Sample.with("bit: 4", "bit: 99999999999999999999 # <- wrong-type"))
        expectAnnouncedProblems(Sample.with("minimumAge: 15", "minimumAge: '15' # <- wrong-type"))
        expectAnnouncedProblems(
            Sample.with("title: {nb: Kvitteringer, en: Receipts}", "title: Kvitteringer # <- wrong-type"))
        expectAnnouncedProblems(
            Sample.with("purposes: [diet]", "purposes: diet # <- wrong-type")
                .with("explicit: true", "explicit: true\n    active: false"))
        expectAnnouncedProblems(Sample.with("name: Gruppen AS", "name: !!binary R3J1cHBlbg== # <- wrong-type"))
        expectAnnouncedProblems(Sample.with("    name: Trykk AS", "    name: Trykk AS\n    [a]: b # <- wrong-type"))
    }

    @Test func refusesEmptyTexts() {
        expectAnnouncedProblems(Sample.with("name: Gruppen AS", "name: \"  \" # <- empty-text"))
        expectAnnouncedProblems(Sample.with("name: Gruppen AS", "name: ~ # <- empty-text"))
        expectAnnouncedProblems(
            Sample.with("body: You consent freely.", "body: ''").with(
                "plain: You say yes yourself.}", "plain: You say yes yourself.} # <- empty-text"))
    }

    @Test func refusesLanguagesThatAreNone() {
        let first = problems(in: Sample.with("languages: [nb, en]", "languages: [nb, en, Norsk]")).first
        #expect(first?.rule == "language-invalid")
        #expect(first?.line == 2)
        expectAnnouncedProblems(
            Sample.with("{nb: Deling, en: Sharing}", "{nb: Deling, en: S, 12: x} # <- language-invalid"))
        expectAnnouncedProblems(Sample.with("languages: [nb, en]", "languages: [nb, en, nb] # <- language-invalid"))
        expectAnnouncedProblems(Sample.with("languages: [nb, en]", "languages: [] # <- missing-key"))
    }
}

@Suite struct VocabularyRefusals {
    @Test(arguments: ["Receipts", "re ceipts", "kjøp", "re_ceipts", "receipts.x", String(repeating: "a", count: 65)])
    func refusesIDsThatAreNoSlugs(_ id: String) {
        expectAnnouncedProblems(Sample.with("id: receipts", "id: \(id) # <- id-invalid"))
    }

    @Test func takesIDsOfUpToSixtyFourBytes() throws {
        _ = try document(Sample.with("id: receipts", "id: \(String(repeating: "a", count: 64))"))
    }

    @Test func refusesIDsGivenTwice() {
        expectAnnouncedProblems(Sample.with("id: printer", "id: sender # <- id-duplicate"))
        expectAnnouncedProblems(Sample.with("id: receipts", "id: newsletter # <- id-duplicate"))
        expectAnnouncedProblems(
            Sample.with("  - id: health", "  - {id: contact, name: x} # <- id-duplicate\n  - id: health"))
        expectAnnouncedProblems(Sample.with("id: diet-notice", "id: club # <- id-duplicate"))
        let third = "  - {id: shop, name: x, contact: y} # <- id-duplicate\nrecipients:"
        expectAnnouncedProblems(Sample.with("recipients:\n  - id: sender", third + "\n  - id: sender"))
    }

    @Test func refusesBitsOutsideTheWidestRow() throws {
        expectAnnouncedProblems(Sample.with("bit: 4", "bit: \(Limit.purposesMax) # <- bit-out-of-range"))
        expectAnnouncedProblems(Sample.with("bit: 4", "bit: -1 # <- bit-out-of-range"))
        _ = try document(Sample.with("bit: 4", "bit: \(Limit.purposesMax - 1)"))
    }

    @Test func refusesABitUsedTwice() {
        expectAnnouncedProblems(Sample.with("bit: 4", "bit: 0 # <- bit-duplicate"))
    }

    @Test func refusesUnknownReferences() throws {
        expectAnnouncedProblems(Sample.with("controller: group", "controller: grup # <- reference-unknown"))
        expectAnnouncedProblems(Sample.with("parent: group", "parent: grup # <- reference-unknown"))
        expectAnnouncedProblems(
            Sample.with(
                "dataCategories: [contact]\n    doubleOptIn",
                "dataCategories: [x] # <- reference-unknown\n    doubleOptIn"))
        expectAnnouncedProblems(Sample.with("purposes: [diet]", "purposes: [diet, dite] # <- reference-unknown"))
        expectAnnouncedProblems(
            Sample.with(
                "recipients: [sender]\n        retention: two years",
                "recipients: [sender, post] # <- reference-unknown\n        retention: two years"))
        let found = problems(in: Sample.with("controller: group", "controller: grup"))
        #expect(try #require(found.first).message.hasSuffix("did you mean 'group'?"))
    }

    @Test func refusesReferencesGivenTwice() {
        expectAnnouncedProblems(Sample.with("purposes: [diet]", "purposes: [diet, diet] # <- reference-duplicate"))
    }

    @Test func refusesControllersThatAreTheirOwnParents() {
        expectAnnouncedProblems(
            Sample.with("    contact: post@gruppen.example", "    contact: x\n    parent: shop # <- parent-cycle"))
        expectAnnouncedProblems(Sample.with("parent: group", "parent: shop # <- parent-cycle"))
    }

    @Test func refusesWhatIsNoCountryCode() {
        expectAnnouncedProblems(Sample.with("country: SE", "country: Sweden # <- country-invalid"))
    }

    @Test func readsNorwayAsNorway() throws {
        #expect(try document(Sample.text).catalog.recipients[1].country == "NO")
    }

    @Test(arguments: [
        "partners", "our partners", "Our trusted partners.", "Våre samarbeidspartnere", "samarbeidspartnere",
        "samarbetspartners", "Utvalda samarbetspartner", "third parties", "Third-party advertisers", "tredjeparter",
        "Tredje parter m.fl.", "selected companies and others", "konsernselskaper", "leverantörer",
    ])
    func refusesRecipientsThatNameNobody(_ name: String) {
        expectAnnouncedProblems(Sample.with("name: Trykk AS", "name: \(name) # <- recipient-unnamed"))
    }

    @Test(arguments: ["Partner Reklame AS", "Tredje Fjellet AS", "Media Partners AB", "Our Bank ASA", "7-Eleven"])
    func takesCompaniesNamedLikeThat(_ name: String) {
        #expect(problems(in: Sample.with("name: Trykk AS", "name: \(name)")).isEmpty)
    }

    @Test(arguments: ["2023-13-01", "2023-02-30", "01.01.2023", "2023-01-01T10:00", "soon", "2023"])
    func refusesTimesThatAreNone(_ time: String) {
        expectAnnouncedProblems(Sample.with("effectiveAt: 2023-01-01", "effectiveAt: \(time) # <- time-invalid"))
    }

    @Test(arguments: ["2Y", "P", "P2", "two years", "P0D", "PT"])
    func refusesPeriodsThatAreNone(_ period: String) {
        expectAnnouncedProblems(Sample.with("validityDuration: P2Y", "validityDuration: \(period) # <- period-invalid"))
        expectAnnouncedProblems(Sample.with("maxStaleness: PT15M", "maxStaleness: \(period) # <- period-invalid"))
        expectAnnouncedProblems(
            Sample.with(
                "doubleOptIn: true", "doubleOptIn: true\n    doubleOptInLifetime: \(period) # <- period-invalid"))
    }

    @Test func refusesUnknownBases() throws {
        let text = Sample.with("basis: contract", "basis: legitimate_intrest # <- basis-unknown")
        expectAnnouncedProblems(text)
        #expect(try #require(problems(in: text).first).message.contains("did you mean 'legitimate_interest'?"))
    }

    @Test func refusesUnknownFailPolicies() {
        expectAnnouncedProblems(Sample.with("failPolicy: static", "failPolicy: open # <- fail-policy-unknown"))
    }

    @Test func refusesAgesThatNobodyMeans() {
        expectAnnouncedProblems(Sample.with("minimumAge: 15", "minimumAge: 0 # <- age-invalid"))
        expectAnnouncedProblems(Sample.with("minimumAge: 15", "minimumAge: 150 # <- age-invalid"))
    }
}

@Suite struct PurposeRefusals {
    @Test func refusesALifetimeOfTokensThatNoPurposeWants() {
        expectAnnouncedProblems(
            Sample.with(
                "doubleOptIn: true",
                "doubleOptIn: false\n    doubleOptInLifetime: P7D # <- lifetime-without-double-opt-in"))
    }

    @Test func refusesStalenessWithoutAStaticPolicy() {
        expectAnnouncedProblems(
            Sample.with("maxStaleness: PT15M", "maxStaleness: PT15M # <- staleness-without-static")
                .with("failPolicy: static", "failPolicy: closed"))
        expectAnnouncedProblems(
            Sample.with("basis: contract", "basis: contract\n    maxStaleness: P1D # <- staleness-without-static"))
    }

    @Test func refusesAStaticPolicyWithoutAnEnd() {
        expectAnnouncedProblems(
            Sample.with("failPolicy: static", "failPolicy: static # <- static-without-staleness")
                .with("    maxStaleness: PT15M\n", ""))
    }

    @Test(arguments: ["conditionFor", "requires"])
    func refusesAPurposeAsAConditionOfAnother(_ key: String) {
        expectAnnouncedProblems(
            Sample.with("basis: contract", "basis: contract\n    \(key): [newsletter] # <- condition-forbidden"))
    }

    @Test func refusesATitleMissingInARequiredLanguage() {
        expectAnnouncedProblems(
            Sample.with("{nb: Kvitteringer, en: Receipts}", "{nb: Kvitteringer} # <- title-missing"))
        expectAnnouncedProblems(
            Sample.with("{nb: Kvitteringer, en: Receipts}", "{sv: Kvitton} # <- title-missing title-missing"))
    }

    @Test func asksForThreeLanguagesUnlessTheCatalogNamesOthers() {
        let found = problems(in: Sample.with("languages: [nb, en]\n", ""))
        #expect(found.count { $0.rule == "title-missing" && $0.message.contains("'sv'") } == 5)
        #expect(found.count { $0.rule == "text-missing" && $0.message.contains("'sv'") } == 3)
        #expect(found.count == 8)
    }

    @Test func refusesSpecialDataWithoutExplicitConsent() {
        expectAnnouncedProblems(
            Sample.with(
                "    explicit: true\n    dataCategories: [health]",
                "    dataCategories: [health] # <- special-category-not-explicit"
            )
            .with(
                "        dataCategories: [health]\n",
                "        dataCategories: [health] # <- special-category-not-explicit\n"))
    }

    @Test func refusesARevisionWithSpecialDataThatCoversOrdinaryConsent() {
        expectAnnouncedProblems(
            Sample.with("purposes: [diet]", "purposes: [diet, newsletter]")
                .with(
                    "        dataCategories: [health]\n",
                    "        dataCategories: [health] # <- special-category-not-explicit\n"))
    }

    @Test func takesSpecialDataOnAnotherBasis() {
        #expect(
            problems(in: Sample.with("basis: contract", "basis: vital_interest\n    dataCategories: [health]")).isEmpty)
    }

    @Test func refusesConsentThatNoDeclarationCovers() {
        expectAnnouncedProblems(
            Sample.with("id: receipts", "id: receipts # <- consent-without-declaration")
                .with("basis: contract", "basis: consent"))
        #expect(problems(in: Sample.with("basis: contract", "basis: consent\n    active: false")).isEmpty)
    }
}

@Suite struct DeclarationRefusals {
    @Test func refusesADeclarationWithoutRevisions() {
        expectAnnouncedProblems(Sample.text + "\n  - id: empty # <- missing-key\n")
        expectAnnouncedProblems(Sample.text + "\n  - id: empty\n    revisions: [] # <- missing-key\n")
    }

    @Test(arguments: ["1.1 beta", "1/1", "Ett", String(repeating: "1", count: 33)])
    func refusesRevisionNamesThatAreNone(_ name: String) {
        expectAnnouncedProblems(Sample.with("revision: \"1.1\"", "revision: \(name) # <- revision-invalid"))
    }

    @Test func takesUnquotedRevisionNamesAsTheyAreWritten() throws {
        let catalog = try document(Sample.with("revision: \"1.1\"", "revision: 1.10")).catalog
        #expect(catalog.declaration(id: "club")?.revisions.map(\.name) == ["1.0", "1.10"])
    }

    @Test func refusesARevisionNameGivenTwice() {
        expectAnnouncedProblems(
            Sample.with("revision: \"1.1\"", "revision: \"1.0\" # <- revision-duplicate")
                .with("        compatibleWith: \"1.0\"\n", ""))
    }

    @Test func refusesTwoRevisionsThatBecomeCurrentTogether() {
        expectAnnouncedProblems(
            Sample.with(
                "effectiveAt: 2024-01-01T12:00:00+01:00\n        compatibleWith: \"1.0\"",
                "effectiveAt: 2023-01-01T00:00:00Z # <- effective-time-duplicate"))
    }

    @Test func refusesCompatibilityWithAnUnknownRevision() {
        expectAnnouncedProblems(
            Sample.with("compatibleWith: \"1.0\"", "compatibleWith: \"0.9\" # <- compatible-with-unknown"))
    }

    @Test func refusesCompatibilityWithARevisionThatIsNotEarlier() {
        expectAnnouncedProblems(
            Sample.with("compatibleWith: \"1.0\"", "compatibleWith: \"1.1\" # <- compatible-with-later"))
        expectAnnouncedProblems(
            Sample.with("compatibleWith: \"1.0\"", "compatibleWith: \"1.0\" # <- compatible-with-later")
                .with("effectiveAt: 2023-01-01", "effectiveAt: 2025-01-01"))
    }

    @Test func refusesSharingWithoutNamedRecipients() {
        expectAnnouncedProblems(
            Sample.with(
                "recipients: [sender]\n        retention: one year",
                "recipients: [] # <- recipients-missing\n        retention: one year"))
        expectAnnouncedProblems(
            Sample.with("revision: \"1.1\"", "revision: \"1.1\" # <- recipients-missing")
                .with("        recipients: [sender]\n        retention: one year", "        retention: one year"))
    }

    @Test func refusesSharingOnAnotherBasisThatNamesNoRecipientsAnywhere() {
        expectAnnouncedProblems(
            Sample.with("basis: contract", "basis: contract\n    sharing: true # <- recipients-missing"))
    }

    @Test(arguments: [
        "Vi deler dette med våre partnere.", "Vi deler med utvalgte samarbeidspartnere.",
        "Opplysningene går til andre partnere.",
        "Vi delar med våra partners.", "Vi delar med utvalda samarbetspartner.", "Vi delar med några partnerföretag.",
        "We share this with our partners.", "We share with our trusted partners.", "We share with selected affiliates.",
    ])
    func refusesTextsThatShareWithPartners(_ words: String) {
        expectAnnouncedProblems(
            Sample.with(
                "nb: {title: Ja takk, body: Du samtykker fritt.,",
                "nb: {title: Ja takk, # <- partners-unnamed\n             body: \"\(words)\","))
    }

    @Test func takesTextsThatNameWhoReceives() throws {
        let words = "Media Partners AB og Partner Reklame AS får adressen din."
        #expect(problems(in: Sample.with("body: Du samtykker fritt.", "body: \(words)")).isEmpty)
        // Who shares with nobody may say so.
        let unshared = Sample.with("body: You consent expressly.", "body: Never to our partners.")
        #expect(problems(in: unshared).isEmpty)
    }

    @Test func refusesConsentWithoutAWayToWithdrawIt() {
        expectAnnouncedProblems(
            Sample.with("revision: \"1.1\"", "revision: \"1.1\" # <- withdrawal-missing")
                .with("        withdrawal: on the page\n", ""))
        expectAnnouncedProblems(Sample.with("withdrawal: by e-mail", "withdrawal: \" \" # <- withdrawal-missing"))
    }

    @Test func needsNoWithdrawalForOtherBases() {
        let text = Sample.with("purposes: [diet]", "purposes: [receipts]").with("        withdrawal: by e-mail\n", "")
            .with("explicit: true", "explicit: true\n    active: false")
        #expect(problems(in: text).isEmpty)
    }

    @Test func refusesATextMissingInARequiredLanguage() {
        let line = "          en: {title: Food, body: You consent expressly.}"
        expectAnnouncedProblems(
            Sample.with(line, "")
                .with("nb: {title: Kost,", "nb: {title: Kost, # <- text-missing\n             "))
    }

    @Test func refusesATextWithoutTitleOrBody() {
        expectAnnouncedProblems(
            Sample.with("{title: Food, body: You consent expressly.}", "{title: Food} # <- missing-key"))
        expectAnnouncedProblems(
            Sample.with("{title: Food, body: You consent expressly.}", "{title: Food, body: } # <- empty-text"))
    }

    @Test func refusesAPurposeWithAnAgeLimitThatHasNoPlainText() {
        expectAnnouncedProblems(
            Sample.with(", plain: You say yes yourself.}", "} # <- plain-missing"))
    }

    @Test func findsEverythingInOnePass() {
        expectAnnouncedProblems(
            Sample.with("country: SE", "country: Sweden # <- country-invalid")
                .with("name: Trykk AS", "name: our partners # <- recipient-unnamed")
                .with("parent: group", "parent: nobody # <- reference-unknown")
                .with("bit: 4", "bit: 3 # <- bit-duplicate")
                .with("validityDuration: P2Y", "validityDuration: 2 years # <- period-invalid")
                .with("basis: contract", "basis: hope # <- basis-unknown\n    colour: red # <- unknown-key")
                .with("{nb: Deling, en: Sharing}", "{en: Sharing} # <- title-missing")
                .with("compatibleWith: \"1.0\"", "compatibleWith: \"2.0\" # <- compatible-with-unknown")
                .with("withdrawal: by e-mail", "withdrawal: '' # <- withdrawal-missing"))
    }

    @Test func reportsInTheOrderOfTheFile() {
        let lines = problems(in: Sample.text.replacing("nb:", with: "nn:")).map(\.line)
        #expect(lines.count == 8)
        #expect(lines == lines.sorted())
    }
}
