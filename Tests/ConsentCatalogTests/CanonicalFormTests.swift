import ConsentCatalog
import ConsentModel
import Testing

private func revision(_ name: String, in text: String) throws -> Revision {
    let parts = name.split(separator: " ").map(String.init)
    return try #require(
        try document(text).catalog.revision(RevisionName(declaration: parts[0], revision: parts[1])))
}

private func hexadecimal(_ bytes: [UInt8]) -> String {
    bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
}

@Suite struct CanonicalFormTests {
    @Test func digestsHaveThirtyTwoBytesAndStayTheSame() throws {
        let sample = try document(Sample.text)
        let notice = try #require(sample.catalog.declaration(id: "diet-notice")?.revision("1.0"))
        #expect(hexadecimal(notice.digest) == "54671d67a034ba2e2569217bd00eb56d77a36c0d9dac0371053a319510e7a845")
        #expect(hexadecimal(sample.digest) == "d4bdd56ef3e5a9111158f3bd5edf6ad802171ab7426b11e8b9ed75b19d7e3481")
    }

    /// As many as fit into a catalog. Each looked up among all, they took a minute in a debug build.
    @Test func aRevisionOfSeventeenThousandRecipientsIsDigestedByOneLookAtEach() {
        let ids = (0..<17_000).map { "recipient-of-the-club-\($0)" }
        let catalog = Catalog(
            recipients: ids.map { Recipient(id: $0, name: "N", address: "A", country: "NO", category: "") },
            dataCategories: ids.map { DataCategory(id: $0, name: "D", isSpecial: false) })
        let revision = Revision(
            name: "1", effectiveAt: Timestamp(millis: 1), purposes: [], dataCategories: ids, recipients: ids)
        var form: [UInt8] = []
        let took = ContinuousClock().measure { form = canonicalBytes(of: revision, of: "c1", in: catalog) }
        #expect(took < .seconds(30))
        let idSize = ids.reduce(0) { $0 + $1.utf8.count }
        let fixedSize = canonicalBytes(
            of: Revision(name: "1", effectiveAt: Timestamp(millis: 1), purposes: []), of: "c1", in: catalog
        ).count
        #expect(form.count == fixedSize + 2 * idSize + ids.count * (4 + 4 + 1 + 4 + 4 + 1 + 4 + 2))
    }

    @Test func writesTheFieldsAsTheTableSays() {
        let revision = Revision(
            name: "1", effectiveAt: Timestamp(millis: 1),
            texts: ["nb": DeclarationText(title: "T", body: "B", plain: "")],
            purposes: ["p"], dataCategories: ["d"], recipients: ["r"], retention: "R", compatibleWith: "0")
        let catalog = Catalog(
            recipients: [Recipient(id: "r", name: "N", address: "A", country: "SE", category: "")],
            dataCategories: [DataCategory(id: "d", name: "D", isSpecial: false)],
            purposes: [Purpose(id: "p", bit: 0, controller: "c", title: [:], basis: .consent)])
        func text(_ text: String) -> [UInt8] { [0, 0, 0, UInt8(text.utf8.count)] + Array(text.utf8) }
        let one: [UInt8] = [0, 0, 0, 1]
        var expected = text("consentd revision 1") + text("c1") + text("1") + [0, 0, 0, 0, 0, 0, 0, 1]
        expected += one + text("nb") + text("T") + text("B") + text("")
        expected += one + text("p") + text("c")
        expected += one + text("d") + text("D")
        expected += one + text("r") + text("N") + text("SE")
        expected += text("R") + text("") + text("") + text("") + [1] + text("0")
        #expect(canonicalBytes(of: revision, of: "c1", in: catalog) == expected)
    }

    /// What was added later changes nothing of what a catalog without it says.
    @Test func writesHowAControllerIsReachedOnlyWhereItIsSaid() {
        func text(_ text: String) -> [UInt8] { [0, 0, 0, UInt8(text.utf8.count)] + Array(text.utf8) }
        let (none, one) = ([0, 0, 0, 0] as [UInt8], [0, 0, 0, 1] as [UInt8])
        var controller = Controller(id: "c", name: "N", contact: "K", dataProtectionOfficer: "")
        let head = text("consentd catalog 1") + none + one + text("c") + text("N") + text("K") + text("") + [0]
        let rest = none + none + none + none
        #expect(canonicalBytes(of: Catalog(controllers: [controller]), languages: []) == head + rest)
        controller.phone = "+4755000400"
        let phone = text("controller.phone") + text("+4755000400")
        #expect(canonicalBytes(of: Catalog(controllers: [controller]), languages: []) == head + phone + rest)
        (controller.address, controller.url) = ("A", "https://c.example")
        let all = text("controller.address") + text("A") + phone + text("controller.url") + text("https://c.example")
        #expect(canonicalBytes(of: Catalog(controllers: [controller]), languages: []) == head + all + rest)
    }

    @Test func doesNotDependOnHowTheTextIsWritten() throws {
        let sample = try document(Sample.text)
        let rewritten = try document(
            "# a comment\n\n"
                + Sample.with(
                    "    name: Gruppen AS\n    contact: post@gruppen.example",
                    "    contact: 'post@gruppen.example'   # c\n\n    name:    \"Gruppen AS\""
                )
                .with(
                    "{title: Kost, body: Du samtykker uttrykkelig.}",
                    "\n            body: >\n              Du samtykker\n              uttrykkelig.\n\n            title: Kost"
                )
                .with("purposes: [diet]", "purposes:\n          - diet")
                .with("languages: [nb, en]", "languages: [en, nb]")
                .with("{nb: Junior, en: Junior}", "{en: Junior, nb: Junior}")
                .with("effectiveAt: 2024-01-01T12:00:00+01:00", "effectiveAt: 2024-01-01T11:00:00Z")
                .with("validityDuration: P2Y", "validityDuration: P730D")
                .replacing("\n", with: "\r\n"))
        #expect(rewritten.digest == sample.digest)
        #expect(
            rewritten.catalog.declarations.flatMap(\.revisions).map(\.digest)
                == sample.catalog.declarations.flatMap(\.revisions).map(\.digest))
        #expect(rewritten.text != sample.text)
    }

    @Test func doesNotDependOnTheOrderOfLists() throws {
        let sample = try document(Sample.text).catalog
        let reversed = Catalog(
            controllers: sample.controllers.reversed(), recipients: sample.recipients.reversed(),
            dataCategories: sample.dataCategories.reversed(), purposes: sample.purposes.reversed(),
            declarations: sample.declarations.reversed())
        #expect(catalogDigest(reversed, languages: ["en", "nb"]) == catalogDigest(sample, languages: ["nb", "en"]))
        let text = Sample.with(
            "purposes: [newsletter, junior, sharing]\n        dataCategories",
            "purposes: [sharing, newsletter, junior]\n        dataCategories")
        #expect(try revision("club 1.0", in: text).digest == revision("club 1.0", in: Sample.text).digest)
    }

    @Test(arguments: [
        ("title: Ja,", "title: JA,"), ("body: Du samtykker.,", "body: Du samtykker!,"),
        ("plain: Du sier ja.}", "plain: Du sier nei.}"), ("en: {title: Yes,", "en: {title: yes,"),
        ("nb: {title: Ja, body: Du samtykker., plain: Du sier ja.}", "nb: {title: Ja, body: Du, plain: samtykker.}"),
        ("  en: {title: Yes, ", "  sv: {title: Ja, body: Ja, plain: Ja}\n          en: {title: Yes, "),
        ("effectiveAt: 2023-01-01", "effectiveAt: 2023-01-01T00:00:00.001Z"),
        (
            "purposes: [newsletter, junior, sharing]\n        dataCategories",
            "purposes: [newsletter, junior]\n        dataCategories"
        ),
        ("        dataCategories: [contact]\n", ""),
        ("recipients: [sender]\n        retention: two", "recipients: [sender, printer]\n        retention: two"),
        ("retention: two years", "retention: three years"), ("storageLocation: Norway", "storageLocation: Sweden"),
        ("jurisdiction: Norway", "jurisdiction: Sweden"), ("withdrawal: on My page", "withdrawal: by letter"),
        ("name: Brevduva AB", "name: Brevduva AS"), ("country: SE", "country: DK"),
        ("name: Contact details", "name: Contact details and more"),
        ("controller: shop\n    title: {nb: Deling", "controller: group\n    title: {nb: Deling"),
        ("id: club", "id: clubs"),
    ])
    func aRevisionsDigestChangesWithEachPromise(_ change: (old: String, new: String)) throws {
        let name = change.new == "id: clubs" ? "clubs 1.0" : "club 1.0"
        let changed = try revision(name, in: Sample.with(change.old, change.new))
        #expect(try changed.digest != revision("club 1.0", in: Sample.text).digest)
    }

    @Test func aRevisionsDigestChangesWithItsNameAndCompatibility() throws {
        let sample = try revision("club 1.1", in: Sample.text).digest
        #expect(try revision("club 1.2", in: Sample.with("\"1.1\"", "\"1.2\"")).digest != sample)
        let alone = Sample.with("        compatibleWith: \"1.0\"\n", "")
        #expect(try revision("club 1.1", in: alone).digest != sample)
    }

    @Test(arguments: [
        ("name: Gruppen AS", "name: Konsernet AS"), ("address: Duvgränd 7", "address: Duvgränd 8"),
        ("category: e-mail", "category: mail"), ("{nb: Deling, en: Sharing}", "{nb: Del, en: Share}"),
        ("minimumAge: 15", "minimumAge: 13"), ("    special: true\n", ""),
        ("explicit: true", "explicit: true\n    profiling: true"),
    ])
    func aRevisionsDigestDoesNotChangeWithWhatWasNotPromised(_ change: (old: String, new: String)) throws {
        let changed = try document(Sample.with(change.old, change.new))
        let sample = try document(Sample.text)
        #expect(
            changed.catalog.declarations.flatMap(\.revisions).map(\.digest)
                == sample.catalog.declarations.flatMap(\.revisions).map(\.digest))
        #expect(changed.digest != sample.digest)
    }

    @Test(arguments: [
        ("languages: [nb, en]", "languages: [nb]"), ("id: printer", "id: printers"),
        ("contact: post@gruppen.example", "contact: x"), ("Kari Ombud", "Ola Ombud"), ("    parent: group\n", ""),
        ("parent: group", "parent: group\n    address: Kaien 1"),
        ("parent: group", "parent: group\n    phone: +4755000400"),
        ("parent: group", "parent: group\n    url: https://b.example"),
        ("name: Trykk AS", "name: Trykk AB"), ("country: NO", "country: FI"), ("name: Health", "name: Helse"),
        ("bit: 4", "bit: 5"), ("id: receipts", "id: receipt"), ("controller: group", "controller: shop"),
        ("basis: contract", "basis: legal_obligation"),
        ("basis: contract", "basis: contract\n    dataCategories: [contact]"),
        ("doubleOptIn: true", "doubleOptIn: true\n    doubleOptInLifetime: P7D"),
        ("doubleOptIn: true", "doubleOptIn: false"), ("validityDuration: P2Y", "validityDuration: P1Y"),
        ("    validityDuration: P2Y\n", ""), ("basis: contract", "basis: contract\n    profiling: true"),
        ("basis: contract", "basis: contract\n    directMarketing: true"), ("    sharing: true\n", ""),
        ("    minimumAge: 15\n", ""), ("maxStaleness: PT15M", "maxStaleness: PT16M"),
        ("    failPolicy: static\n    maxStaleness: PT15M\n", ""),
        ("basis: contract", "basis: contract\n    active: false"),
        ("retention: half a year", "retention: a year"), ("id: diet-notice", "id: diet-notices"),
    ])
    func theCatalogsDigestChangesWithEachField(_ change: (old: String, new: String)) throws {
        #expect(try document(Sample.with(change.old, change.new)).digest != document(Sample.text).digest)
    }
}
