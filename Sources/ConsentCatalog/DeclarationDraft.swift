import ConsentModel

/// A declaration as the text says it.
struct DeclarationDraft {
    static let keys = ["id", "revisions"]

    let id: String
    let map: YamlMap
    let revisions: [RevisionDraft]

    init(_ map: YamlMap, languages: [String]) {
        self.map = map
        id = map.slug()
        let hasRevisions = map.required("revisions") != nil
        let name = map.name
        revisions = map.maps("revisions", "\(name), revision", keys: RevisionDraft.keys)
            .map { RevisionDraft($0, languages: languages) }
        if hasRevisions, revisions.isEmpty {
            map.problems.report(.missingKey, at: map.place(of: "revisions"), "\(name) has no revision")
        }
    }
}

/// A revision as the text says it, with the place of everything that other parts are asked about.
struct RevisionDraft {
    static let keys = [
        "revision", "effectiveAt", "purposes", "dataCategories", "recipients", "retention", "storageLocation",
        "jurisdiction", "withdrawal", "compatibleWith", "texts",
    ]

    /// Without its digest.
    let value: Revision
    let map: YamlMap
    /// Nil if the text does not give one that can be read.
    let effectiveAt: Timestamp?
    let purposes: [Placed<String>]
    let dataCategories: [Placed<String>]
    let recipients: [Placed<String>]
    /// Where each language's text stands.
    let textPlaces: [String: Place]

    init(_ map: YamlMap, languages: [String]) {
        self.map = map
        effectiveAt = map.requiredTime("effectiveAt")
        purposes = map.requiredWords("purposes")
        dataCategories = map.words("dataCategories")
        recipients = map.words("recipients")
        let (texts, places) = Self.texts(map, languages: languages)
        textPlaces = places
        value = Revision(
            name: Self.name(map), effectiveAt: effectiveAt ?? Timestamp(millis: 0), texts: texts,
            purposes: purposes.map(\.value), dataCategories: dataCategories.map(\.value),
            recipients: recipients.map(\.value), retention: map.requiredText("retention"),
            storageLocation: map.optionalText("storageLocation") ?? "",
            jurisdiction: map.optionalText("jurisdiction") ?? "", withdrawal: map.optionalText("withdrawal") ?? "",
            compatibleWith: map.optionalText("compatibleWith"))
    }

    private static func name(_ map: YamlMap) -> String {
        let name = map.requiredText("revision")
        let isShort = name.utf8.count <= CatalogLimit.revisionNameSizeMax
        let isPlain = name.utf8.allSatisfy { byte in
            isSlugByte(byte) || byte == UInt8(ascii: ".") || byte == UInt8(ascii: "_")
        }
        if !isShort || !isPlain {
            map.problems.report(
                .revisionInvalid, at: map.place(of: "revision"),
                "a revision's name is 1 to \(CatalogLimit.revisionNameSizeMax) lower-case letters, digits, "
                    + "'.', '-' and '_', such as \"1.2\"; not \(quoted(name))")
        }
        return name
    }

    private static func texts(
        _ map: YamlMap, languages: [String]
    ) -> (texts: [String: DeclarationText], places: [String: Place]) {
        guard let all = map.requiredMap("texts", keys: .languages) else { return ([:], [:]) }
        var texts: [String: DeclarationText] = [:]
        var places: [String: Place] = [:]
        for language in all.keys {
            guard let text = all.requiredMap(language, keys: .these(["title", "body", "plain"])) else { continue }
            places[language] = text.place
            texts[language] = DeclarationText(
                title: text.requiredText("title"), body: text.requiredText("body"),
                plain: text.optionalText("plain") ?? "")
        }
        for language in languages where !all.has(language) {
            map.problems.report(
                .textMissing, at: all.place,
                "\(map.name) has no text in '\(language)', which the catalog's languages ask for")
        }
        return (texts, places)
    }
}
