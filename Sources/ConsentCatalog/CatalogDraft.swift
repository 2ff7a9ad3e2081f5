import ConsentModel

/// A catalog as its text says it, with the place of everything, before its parts have been held against each other.
struct CatalogDraft {
    let languages: [String]
    let controllers: [Drafted<Controller>]
    let recipients: [Drafted<Recipient>]
    let dataCategories: [Drafted<DataCategory>]
    let purposes: [PurposeDraft]
    let declarations: [DeclarationDraft]
    let problems: ProblemList

    /// The languages that everything a person reads exists in, unless the catalog names others.
    static let standardLanguages = ["nb", "sv", "en"]

    private static let keys = [
        "format", "languages", "controllers", "recipients", "dataCategories", "purposes", "declarations",
    ]

    /// Nil if the document is not a mapping; everything else that is wrong is reported, and reading goes on.
    init?(_ document: YamlDocument, problems: ProblemList) {
        guard let top = YamlMap(document.root, "the catalog", keys: .these(Self.keys), problems: problems) else {
            return nil
        }
        self.problems = problems
        if let format = top.requiredNumber("format"), format != 1 {
            problems.report(
                .formatUnknown, at: top.place(of: "format"), "format \(format) is not known here; this reads format 1")
        }
        top.required("controllers")
        top.required("purposes")
        let languages = Self.languages(top)
        self.languages = languages
        controllers = top.maps("controllers", "controller", keys: Controller.keys).map(Controller.draft)
        recipients = top.maps("recipients", "recipient", keys: Recipient.keys).map(Recipient.draft)
        dataCategories = top.maps("dataCategories", "data category", keys: DataCategory.keys).map(DataCategory.draft)
        purposes = top.maps("purposes", "purpose", keys: PurposeDraft.keys, refused: PurposeDraft.refusedKeys)
            .map { PurposeDraft($0, languages: languages) }
        declarations = top.maps("declarations", "declaration", keys: DeclarationDraft.keys)
            .map { DeclarationDraft($0, languages: languages) }
    }

    private static func languages(_ top: YamlMap) -> [String] {
        guard top.has("languages") else { return standardLanguages }
        let words = top.requiredWords("languages")
        for word in words where !isLanguageTag(word.value) {
            top.problems.report(
                .languageInvalid, at: word.place, "\(quoted(word.value)) is not a language tag such as nb, sv or en")
        }
        top.problems.reportRepeats(words, "language", .languageInvalid)
        return words.map(\.value)
    }
}

/// A part of the catalog and the mapping that it was read from.
struct Drafted<Value> {
    let value: Value
    let map: YamlMap
}

extension Controller {
    fileprivate static let keys = [
        "id", "name", "contact", "dataProtectionOfficer", "parent", "address", "phone", "url",
    ]

    fileprivate static func draft(_ map: YamlMap) -> Drafted<Controller> {
        var controller = Controller(
            id: map.slug(), name: map.requiredText("name"), contact: map.requiredText("contact"),
            dataProtectionOfficer: map.optionalText("dataProtectionOfficer") ?? "",
            parent: map.optionalText("parent"))
        controller.address = text("address", map, .addressInvalid) { address in
            address.utf8.count <= CatalogLimit.addressSizeMax
                ? nil : "has at most \(CatalogLimit.addressSizeMax) bytes, not \(address.utf8.count)"
        }
        controller.phone = text("phone", map, .phoneInvalid) { phone in
            (try? Identifier(type: .phone, value: phone)) != nil
                ? nil : "is a number with its country such as +47 55 00 00 00 (E.164), not \(quoted(phone))"
        }
        controller.url = text("url", map, .urlInvalid) { url in
            isWebAddress(url)
                ? nil
                : "is an address of the web such as https://www.example.no/privacy, of at most "
                    + "\(CatalogLimit.urlSizeMax) bytes, not \(quoted(url))"
        }
        return Drafted(value: controller, map: map)
    }

    /// A text that need not be there, but is then right.
    ///
    /// - Parameter fault: what is wrong with a text; nil for a right one.
    private static func text(
        _ key: String, _ map: YamlMap, _ rule: CatalogRule, fault: (String) -> String?
    ) -> String {
        guard let text = map.optionalText(key) else { return "" }
        if text.isEmpty {
            map.problems.report(.emptyText, at: map.place(of: key), "'\(key)' of \(map.name) is empty")
        } else if let fault = fault(text) {
            map.problems.report(rule, at: map.place(of: key), "'\(key)' of \(map.name) \(fault)")
        }
        return text
    }
}

/// Whether it is a URL (RFC 3986) of a host that is reached by HTTP, all of whose characters may stand in one.
private func isWebAddress(_ text: String) -> Bool {
    guard text.utf8.count <= CatalogLimit.urlSizeMax,
        let scheme = ["https://", "http://"].first(where: text.hasPrefix)
    else { return false }
    let rest = text.utf8.dropFirst(scheme.utf8.count)
    let host = rest.prefix { !"/?#".utf8.contains($0) }
    let isHost =
        host.first.map { Character(Unicode.Scalar($0)).isLetterOrDigit } ?? false
        && host.allSatisfy { Character(Unicode.Scalar($0)).isLetterOrDigit || "-.:".utf8.contains($0) }
    return isHost && rest.allSatisfy { (0x21...0x7E).contains($0) && !"\"<>\\^`{|}".utf8.contains($0) }
}

extension Recipient {
    fileprivate static let keys = ["id", "name", "address", "country", "category"]

    fileprivate static func draft(_ map: YamlMap) -> Drafted<Recipient> {
        let recipient = Recipient(
            id: map.slug(), name: map.requiredText("name"), address: map.requiredText("address"),
            country: map.requiredText("country"), category: map.optionalText("category") ?? "")
        if isCollectiveName(recipient.name) {
            map.problems.report(
                .recipientUnnamed, at: map.place(of: "name"),
                "\(quoted(recipient.name)) names nobody; each company that receives data is a recipient of its own, "
                    + "by the name it is registered under (GDPR art. 4 (9), 13 (1) (e))")
        }
        let isCountry = recipient.country.utf8.count == 2 && recipient.country.allSatisfy(\.isASCIICapital)
        if !recipient.country.isEmpty, !isCountry {
            map.problems.report(
                .countryInvalid, at: map.place(of: "country"),
                "'country' of \(map.name) is two capital letters such as NO or SE (ISO 3166), "
                    + "not \(quoted(recipient.country))")
        }
        return Drafted(value: recipient, map: map)
    }
}

extension DataCategory {
    fileprivate static let keys = ["id", "name", "special"]

    fileprivate static func draft(_ map: YamlMap) -> Drafted<DataCategory> {
        let category = DataCategory(
            id: map.slug(), name: map.requiredText("name"), isSpecial: map.flag("special"))
        return Drafted(value: category, map: map)
    }
}

extension Character {
    fileprivate var isASCIICapital: Bool { ("A"..."Z").contains(self) }
}
