import ConsentModel

/// A language that a report is written in.
package enum ReportLanguage: UInt8, Sendable, NamedInSnakeCase {
    case nb
    case sv
    case en
}

/// What part of a register is worth something, what part is worthless, and why, as people read it.
package struct RegisterReport: Sendable {
    /// One reason why rows are worthless.
    package struct Reason: Sendable, Equatable {
        /// A slug that stays the same from release to release.
        package var slug: String
        package var rows: Int
        package var text: String
    }

    private let summary: RegisterSummary
    private let words: Words

    package init(_ summary: RegisterSummary, in language: ReportLanguage) {
        self.summary = summary
        words = Words(language)
    }

    package var usableCount: Int { summary.rowCount - summary.worthlessCount }

    /// The commonest first; together they are all rows that are worthless.
    package var reasons: [Reason] {
        var counts: [ReasonKind: Int] = [:]
        for (rule, count) in summary.rejectedCounts { counts[ReasonKind(rule: rule), default: 0] += count }
        for note in RowNote.allCases where note.isWorthless {
            counts[ReasonKind(note)!, default: 0] += summary[note]
        }
        let proof = summary.unprovedCounts.map { lacks, count in
            Reason(slug: "no_proof:\(lacks)", rows: count, text: words.unproved(lacks))
        }
        let others = counts.filter { $0.value > 0 }
            .map { Reason(slug: $0.key.name, rows: $0.value, text: words[$0.key]) }
        return (proof + others).sorted { ($1.rows, $0.slug) < ($0.rows, $1.slug) }
    }

    /// One line each.
    package var lines: [String] {
        let all = summary.rowCount
        let worthless = summary.worthlessCount
        var lines = [words.usable(usableCount, of: all, Self.share(usableCount, of: all))]
        if summary[.saysNo] > 0 { lines.append("  " + words.sayNo(summary[.saysNo])) }
        if summary[.dormant] > 0 { lines.append("  " + words.dormant(summary[.dormant])) }
        if worthless > 0 {
            lines.append(words.worthless(worthless, Self.share(worthless, of: all)))
            let width = reasons.map { "\($0.rows)".count }.max() ?? 0
            lines += reasons.map { reason in
                let number = "\(reason.rows)"
                return "  " + String(repeating: " ", count: width - number.count) + number + "  " + reason.text
            }
        }
        if summary[.repeated] > 0 { lines.append(words.repeated(summary[.repeated])) }
        if summary[.contradicted] > 0 { lines.append(words.contradicted(summary[.contradicted])) }
        if summary[.noNotTaken] > 0 { lines.append(words.noNotTaken(summary[.noNotTaken])) }
        return lines
    }

    /// In per cent, with one decimal.
    private static func share(_ count: Int, of all: Int) -> (whole: Int, tenth: Int) {
        let perMille = all == 0 ? 0 : (count * 1000 + all / 2) / all
        return (perMille / 10, perMille % 10)
    }
}

/// Why a row is worthless, in as many kinds as people want to tell apart.
enum ReasonKind: UInt8, NamedInSnakeCase {
    case outdated, expired, unconfirmed, insufficient, asked
    case unreadable, nobody, severalPeople, purpose, noConsentNeeded, bought, notAnAct, unknownText, wrongText,
        unknownWord, time, age, tooLong, nothingToConfirm, wrongParty, guardian, other

    init?(_ note: RowNote) {
        switch note {
        case .outdated: self = .outdated
        case .expired: self = .expired
        case .unconfirmed: self = .unconfirmed
        case .insufficient: self = .insufficient
        case .asked: self = .asked
        case .saysNo, .counts, .dormant, .repeated, .contradicted, .noNotTaken: return nil
        }
    }

    /// - Parameter rule: of the register or of the door.
    init(rule: String) { self = Self.kinds[rule] ?? .other }

    private static let kinds: [String: ReasonKind] = {
        let rules: [(ReasonKind, [String])] = [
            (
                .unreadable,
                [
                    "field_too_long", "row_too_long", "nul_byte", "invalid_utf8", "too_few_fields", "too_many_fields",
                    "quote_unclosed", "quote_misplaced", "truncated",
                ]
            ),
            (
                .nobody,
                [
                    "identifier_missing", "identifier_invalid", "national_id_withheld", "identifierMissing",
                    "identifierRefused", "identifierEmpty", "identifierTooLong", "identifierMalformed",
                    "nationalIdIsHash", "identifiersTooMany",
                ]
            ),
            (.severalPeople, ["identifierConflict"]),
            (.purpose, ["purpose_missing", "purposes_too_many", "admissionPurposeUnknown", "purposeInactive"]),
            (.noConsentNeeded, ["basisNeedsNoConsent", "basisCannotBeWithdrawn"]),
            (.bought, ["bought_without_proof"]),
            (.notAnAct, ["method_is_not_consent", "methodIsNotConsent", "methodMissing"]),
            (.unknownText, ["declarationUnknown", "revisionUnknown", "declarationMissing"]),
            (.wrongText, ["revisionNotCurrent", "revisionLacksPurpose", "languageUnknown"]),
            (
                .unknownWord,
                [
                    "state_unknown", "method_unknown", "party_unknown", "explicit_unknown", "list_source_unknown",
                    "guardian_relation_unknown", "state_is_internal", "stateIsInternal",
                ]
            ),
            (
                .time,
                [
                    "captured_at_invalid", "expires_at_invalid", "captured_at_missing", "ends_before_capture",
                    "endsBeforeCapture", "capturedInFuture", "capturedTooEarly",
                ]
            ),
            (.age, ["age_invalid", "ageImplausible"]),
            (.tooLong, ["text_too_long", "textTooLong"]),
            (.nothingToConfirm, ["nothingToConfirm"]),
            (.wrongParty, ["partyCannotConsent", "objectionIsAbsolute"]),
            (.guardian, ["guardian_invalid", "guardianMissing"]),
        ]
        return Dictionary(uniqueKeysWithValues: rules.flatMap { kind, names in names.map { ($0, kind) } })
    }()
}

/// The words of a report.
private struct Words {
    private let language: ReportLanguage

    init(_ language: ReportLanguage) { self.language = language }

    private func pick(_ nb: String, _ sv: String, _ en: String) -> String {
        switch language {
        case .nb: nb
        case .sv: sv
        case .en: en
        }
    }

    private func percent(_ share: (whole: Int, tenth: Int)) -> String {
        "\(share.whole)\(language == .en ? "." : ",")\(share.tenth) %"
    }

    func usable(_ count: Int, of all: Int, _ share: (Int, Int)) -> String {
        pick(
            "\(count) av \(all) rader kan brukes i dag (\(percent(share)))",
            "\(count) av \(all) rader kan användas i dag (\(percent(share)))",
            "\(count) of \(all) rows can be used today (\(percent(share)))")
    }

    func worthless(_ count: Int, _ share: (Int, Int)) -> String {
        pick(
            "\(count) er verdiløse som de er (\(percent(share))), og dette er grunnene:",
            "\(count) är värdelösa som de är (\(percent(share))), och det här är skälen:",
            "\(count) are worthless as they are (\(percent(share))), and these are the reasons:")
    }

    func sayNo(_ count: Int) -> String {
        pick(
            "\(count) av dem sier nei, og må respekteres", "\(count) av dem säger nej, och måste respekteras",
            "\(count) of them say no, and must be respected")
    }

    func dormant(_ count: Int) -> String {
        pick(
            "\(count) av dem er gamle og bør spørres på nytt", "\(count) av dem är gamla och bör tillfrågas igen",
            "\(count) of them are old and should be asked again")
    }

    func repeated(_ count: Int) -> String {
        pick(
            "\(count) står der flere ganger", "\(count) står där flera gånger",
            "\(count) repeat what stands in an earlier row")
    }

    func contradicted(_ count: Int) -> String {
        pick(
            "\(count) sier det motsatte av en annen rad på samme tidspunkt; da gjelder nei",
            "\(count) säger motsatsen till en annan rad vid samma tidpunkt; då gäller nej",
            "\(count) say the opposite of another row at the same moment; the no counts")
    }

    func noNotTaken(_ count: Int) -> String {
        pick(
            "VIKTIG: \(count) av de avviste radene sier NEI, eller kan gjøre det, og er ikke registrert; registrer dem for hånd",
            "VIKTIGT: \(count) av de avvisade raderna säger NEJ, eller kan göra det, och är inte registrerade; registrera dem för hand",
            "IMPORTANT: \(count) of the rejected rows say NO, or may, and are not recorded; record them by hand")
    }

    /// - Parameter lacks: names of columns, with `+` between them.
    func unproved(_ lacks: String) -> String {
        let columns = lacks.split(separator: "+")
        var parts: [String] = []
        if columns.contains("declaration") {
            parts.append(pick("hva det ble samtykket til", "vad som samtyckts till", "what was agreed to"))
        }
        if columns.contains("method") { parts.append(pick("hvordan", "hur", "how")) }
        if columns.contains("captured_at") { parts.append(pick("når", "när", "when")) }
        if columns.contains(where: { $0.hasPrefix("guardian") }) {
            parts.append(pick("hvem den foresatte er", "vem vårdnadshavaren är", "who the guardian is"))
        }
        let and = pick(" og ", " och ", " and ")
        let list = parts.count < 2 ? parts.joined() : parts.dropLast().joined(separator: ", ") + and + parts.last!
        return pick("bevis mangler: ikke kjent ", "bevis saknas: inte känt ", "no proof: it is not known ") + list
    }

    subscript(kind: ReasonKind) -> String {
        switch kind {
        case .outdated:
            pick(
                "samtykket gjelder en eldre tekst, og må spørres om på nytt",
                "samtycket gäller en äldre text, och måste inhämtas på nytt",
                "the consent is to an older text that the present one does not carry over")
        case .expired:
            pick("samtykket er gått ut", "samtycket har gått ut", "the consent has expired")
        case .unconfirmed:
            pick(
                "samtykket er ikke bekreftet", "samtycket är inte bekräftat",
                "the consent was not confirmed in the same row")
        case .insufficient:
            pick(
                "samtykket er ikke nok for formålet (uttrykkelig, alder)",
                "samtycket räcker inte för ändamålet (uttryckligt, ålder)",
                "the consent is less than the purpose asks for (explicit, age)")
        case .asked: pick("bare spurt, ikke svart", "bara tillfrågad, inget svar", "only asked, not answered")
        case .unreadable: pick("raden kan ikke leses", "raden kan inte läsas", "the row cannot be read")
        case .nobody:
            pick(
                "ingen gyldig kunde, e-post eller telefon", "ingen giltig kund, e-post eller telefon",
                "it names nobody: no valid customer, e-mail or phone")
        case .severalPeople:
            pick(
                "kjennetegnene tilhører flere personer", "uppgifterna tillhör flera personer",
                "its identifiers belong to several people")
        case .purpose:
            pick(
                "formålet er ukjent eller avsluttet", "ändamålet är okänt eller avslutat",
                "the purpose is unknown or retired")
        case .noConsentNeeded:
            pick(
                "formålet hviler ikke på samtykke", "ändamålet vilar inte på samtycke",
                "the purpose does not rest on consent")
        case .bought:
            pick("kjøpt liste uten bevis", "köpt lista utan bevis", "a bought list without proof")
        case .notAnAct:
            pick(
                "ikke en aktiv handling, for eksempel forhåndsavkrysset",
                "inte en aktiv handling, till exempel förkryssad ruta",
                "not an active act, such as a box that was ticked beforehand")
        case .unknownText:
            pick(
                "teksten det ble samtykket til er ukjent", "texten som samtycktes till är okänd",
                "the text that was agreed to is not known here")
        case .wrongText:
            pick(
                "teksten gjaldt ikke da, eller ikke for formålet eller språket",
                "texten gällde inte då, eller inte för ändamålet eller språket",
                "the text was not in force then, or not for this purpose or language")
        case .unknownWord: pick("et ord er ukjent", "ett ord är okänt", "a word in it is not known")
        case .time:
            pick(
                "tidspunktet mangler eller kan ikke stemme", "tidpunkten saknas eller kan inte stämma",
                "a time is missing or cannot be right")
        case .age: pick("alderen kan ikke stemme", "åldern kan inte stämma", "the age cannot be right")
        case .tooLong: pick("en tekst er for lang", "en text är för lång", "a text is too long")
        case .nothingToConfirm:
            pick(
                "bekrefter et samtykke som ikke finnes", "bekräftar ett samtycke som inte finns",
                "it confirms a consent that is not there")
        case .wrongParty:
            pick(
                "gitt av noen som ikke kan samtykke", "lämnat av någon som inte kan samtycka",
                "by somebody who cannot consent")
        case .guardian:
            pick(
                "det fremgår ikke hvem den foresatte er", "det framgår inte vem vårdnadshavaren är",
                "it does not say who the guardian is")
        case .other: pick("andre grunner", "andra skäl", "other reasons")
        }
    }
}
