import ConsentModel

/// A purpose as the text says it.
struct PurposeDraft {
    static let keys = [
        "id", "bit", "controller", "title", "basis", "dataCategories", "explicit", "doubleOptIn",
        "doubleOptInLifetime", "validityDuration",
        "profiling", "directMarketing", "sharing", "minimumAge", "failPolicy", "maxStaleness", "active",
    ]
    /// Known so that they can be refused with their reason.
    static let refusedKeys = ["conditionFor", "requires"]

    let value: Purpose
    let map: YamlMap
    let dataCategories: [Placed<String>]

    init(_ map: YamlMap, languages: [String]) {
        self.map = map
        Self.refuseConditions(map)
        dataCategories = map.words("dataCategories")
        var purpose = Purpose(
            id: map.slug(), bit: Self.bit(map), controller: map.requiredText("controller"),
            title: Self.title(map, languages: languages), basis: Self.basis(map))
        purpose.dataCategories = dataCategories.map(\.value)
        purpose.requiresExplicit = map.flag("explicit")
        purpose.requiresDoubleOptIn = map.flag("doubleOptIn")
        purpose.doubleOptInLifetime = Self.doubleOptInLifetime(map, isWanted: purpose.requiresDoubleOptIn)
        purpose.validity = map.optionalPeriod("validityDuration")
        purpose.isProfiling = map.flag("profiling")
        purpose.isDirectMarketing = map.flag("directMarketing")
        purpose.isSharing = map.flag("sharing")
        purpose.minimumAge = Self.minimumAge(map)
        purpose.isActive = map.flag("active", default: true)
        Self.readStaleness(map, into: &purpose)
        value = purpose
    }

    private static func refuseConditions(_ map: YamlMap) {
        for key in refusedKeys where map.has(key) {
            map.problems.report(
                .conditionForbidden, at: map.place(of: key),
                "\(map.name) has '\(key)': a consent that another one hangs on is not given freely (GDPR art. 7 (4))")
        }
    }

    /// -1 if the text does not give one that can be used.
    private static func bit(_ map: YamlMap) -> Int {
        guard let bit = map.requiredNumber("bit") else { return -1 }
        guard (0..<Limit.purposesMax).contains(bit) else {
            map.problems.report(
                .bitOutOfRange, at: map.place(of: "bit"),
                "bit \(bit) of \(map.name) is none of 0 to \(Limit.purposesMax - 1)")
            return -1
        }
        return bit
    }

    private static func title(_ map: YamlMap, languages: [String]) -> [String: String] {
        guard let titles = map.requiredMap("title", keys: .languages) else { return [:] }
        for language in languages where !titles.has(language) {
            map.problems.report(.titleMissing, at: titles.place, "\(map.name) has no title in '\(language)'")
        }
        return Dictionary(uniqueKeysWithValues: titles.keys.map { ($0, titles.requiredText($0)) })
    }

    /// Contract, which no rule asks anything of, if the text does not give one that is known.
    private static func basis(_ map: YamlMap) -> LawfulBasis {
        let text = map.requiredText("basis")
        if let basis = LawfulBasis(name: text) { return basis }
        if !text.isEmpty {
            let suggestion = map.problems.suggestion(for: text, among: LawfulBasis.allCases.map(\.name))
            map.problems.report(
                .basisUnknown, at: map.place(of: "basis"),
                "\(quoted(text)) is no lawful basis\(suggestion) (known: \(LawfulBasis.names))")
        }
        return .contract
    }

    private static func doubleOptInLifetime(_ map: YamlMap, isWanted: Bool) -> Period? {
        let lifetime = map.optionalPeriod("doubleOptInLifetime")
        if !isWanted, map.has("doubleOptInLifetime") {
            map.problems.report(
                .lifetimeWithoutDoubleOptIn, at: map.place(of: "doubleOptInLifetime"),
                "'doubleOptInLifetime' of \(map.name) has no effect without 'doubleOptIn: true'")
        }
        return lifetime
    }

    private static func minimumAge(_ map: YamlMap) -> Int? {
        guard let age = map.optionalNumber("minimumAge") else { return nil }
        if !(1...CatalogLimit.minimumAgeMax).contains(age) {
            map.problems.report(
                .ageInvalid, at: map.place(of: "minimumAge"),
                "'minimumAge' of \(map.name) is 1 to \(CatalogLimit.minimumAgeMax) years")
        }
        return age
    }

    private static func readStaleness(_ map: YamlMap, into purpose: inout Purpose) {
        if let staleness = map.optionalPeriod("maxStaleness") { purpose.maxStaleness = staleness }
        if let text = map.optionalText("failPolicy") {
            guard let policy = FailPolicy(rawValue: text) else {
                map.problems.report(
                    .failPolicyUnknown, at: map.place(of: "failPolicy"),
                    "'failPolicy' of \(map.name) is closed or static, not \(quoted(text))")
                return
            }
            purpose.failPolicy = policy
        }
        if purpose.failPolicy == .closed, map.has("maxStaleness") {
            map.problems.report(
                .stalenessWithoutStatic, at: map.place(of: "maxStaleness"),
                "'maxStaleness' of \(map.name) has no effect without 'failPolicy: static'")
        }
        if purpose.failPolicy == .static, !map.has("maxStaleness") {
            map.problems.report(
                .staticWithoutStaleness, at: map.place(of: "failPolicy"),
                "\(map.name) has 'failPolicy: static' and no 'maxStaleness' that says for how long")
        }
    }
}
