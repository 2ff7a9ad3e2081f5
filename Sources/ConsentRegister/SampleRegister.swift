/// Writes a register as an old membership system would export it, for trying things out: several rows per person,
/// several revisions of the declaration, withdrawals, refusals, consents that have ended, rows without proof, and
/// about one bad row in two hundred. The same seed and size always give the same bytes.
///
/// It fits the template catalog: declaration `club-membership-marketing` with revisions 1.0, 1.1 and 1.2, purposes
/// `newsletter`, `sms-offers`, `personalised-ads` and `profiling`, languages nb, sv and en. Its first two people are always
/// customer 100001, Kari, who agreed to the newsletter on revision 1.1, and customer 100002, Erik, on 1.2.
package struct SampleRegister {
    /// What was written so far, to compare an import with.
    package private(set) var counts = SampleCounts()

    private let subjectCount: Int
    private var subject = 0
    private var random: SampleRandom
    private var hasHeader = false

    package init(subjectCount: Int, seed: UInt64) {
        self.subjectCount = subjectCount
        random = SampleRandom(state: seed)
    }

    /// Appends the rows of one more person, and before the first one's the names of the columns.
    ///
    /// - Returns: false, with nothing appended, once everybody is written.
    package mutating func next(into buffer: inout [UInt8]) -> Bool {
        if !hasHeader {
            hasHeader = true
            buffer.append(SampleText.header)
        }
        guard subject < subjectCount else { return false }
        subject += 1
        switch subject {
        case 1: appendKari(to: &buffer)
        case 2: appendErik(to: &buffer)
        default: appendSubject(to: &buffer)
        }
        return true
    }
}

/// How many rows of a sample are of which kind. A bad row is one that must be rejected.
package struct SampleCounts: Sendable, Equatable {
    package var rowCount = 0
    package var withoutProofCount = 0
    package var badCount = 0

    package init() {}
}

/// SplitMix64 (Steele, Lea and Flood 2014).
private struct SampleRandom {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ mixed >> 30) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ mixed >> 27) &* 0x94D0_49BB_1331_11EB
        return mixed ^ mixed >> 31
    }

    /// From 0 up to `bound`, by the high bits of a product; the bias is far below one in a billion.
    mutating func below(_ bound: Int) -> Int { Int(((next() >> 32) &* UInt64(bound)) >> 32) }

    mutating func isTrue(perThousand: Int) -> Bool { below(1000) < perThousand }
}

private enum SamplePurpose: CaseIterable {
    case newsletter, sms, personalisedAds, profiling

    /// As the template catalog names it.
    var name: StaticString {
        switch self {
        case .newsletter: "newsletter"
        case .sms: "sms-offers"
        case .personalisedAds: "personalised-ads"
        case .profiling: "profiling"
        }
    }

    /// Profiling and advertising are agreed to in so many words.
    var isExplicit: Bool { self == .personalisedAds || self == .profiling }
}

/// One row, as it will be written.
private struct SampleRow {
    var purpose = SamplePurpose.newsletter
    var state = SampleText.given
    /// In seconds since 1970; nil leaves the field empty.
    var capturedAt: Int?
    var expiresAt: Int?
    var hasRevision = true
    var method = SampleText.doubleOptIn
    var isBought = false
}

private struct SampleSubject {
    var number: Int
    var first: StaticString
    var last: StaticString
    var isSwedish: Bool
    var readsEnglish: Bool
    var age: Int
    var hasPhone: Bool
    var hasCard: Bool
    /// Kari and Erik have addresses without a number.
    var hasPlainEmail = false
}

/// The kinds of bad rows, each as it happens in real exports.
private enum SampleDamage: Int, CaseIterable {
    case missingField, latin1, badDate, unknownState, noIdentifier, openQuote, boughtWithoutProof, endBeforeCapture
}

extension SampleRegister {
    private mutating func appendKari(to buffer: inout [UInt8]) {
        let kari = SampleSubject(
            number: SampleText.firstCustomer, first: "kari", last: "nordmann", isSwedish: false, readsEnglish: false,
            age: 41, hasPhone: true, hasCard: true, hasPlainEmail: true)
        append(SampleRow(capturedAt: SampleTime.kariAgreed), of: kari, to: &buffer)
    }

    private mutating func appendErik(to buffer: inout [UInt8]) {
        let erik = SampleSubject(
            number: SampleText.firstCustomer + 1, first: "erik", last: "svensson", isSwedish: true,
            readsEnglish: false, age: 35, hasPhone: true, hasCard: false, hasPlainEmail: true)
        append(SampleRow(capturedAt: SampleTime.erikAgreed), of: erik, to: &buffer)
    }

    private mutating func appendSubject(to buffer: inout [UInt8]) {
        let isSwedish = random.isTrue(perThousand: 400)
        let names = isSwedish ? SampleText.swedishNames : SampleText.norwegianNames
        let person = SampleSubject(
            number: SampleText.firstCustomer - 1 + subject, first: names.first[random.below(names.first.count)],
            last: names.last[random.below(names.last.count)], isSwedish: isSwedish,
            readsEnglish: random.isTrue(perThousand: 80), age: 18 + random.below(70),
            hasPhone: random.isTrue(perThousand: 700), hasCard: random.isTrue(perThousand: 400))
        let askedCount = 1 + random.below(3)
        let purposes = SamplePurpose.allCases
        let firstPurpose = random.below(purposes.count)
        for asked in 0..<askedCount {
            let purpose = purposes[(firstPurpose + asked) % purposes.count]
            appendAnswer(of: person, purpose: purpose, to: &buffer)
        }
    }

    /// What one person said about one purpose: an answer and, at times, a later change of mind.
    private mutating func appendAnswer(of person: SampleSubject, purpose: SamplePurpose, to buffer: inout [UInt8]) {
        var row = SampleRow(purpose: purpose)
        let capturedAt = SampleTime.start + random.below(SampleTime.end - SampleTime.start)
        row.capturedAt = capturedAt
        if purpose != .newsletter { row.method = SampleText.methods[random.below(SampleText.methods.count)] }
        if random.isTrue(perThousand: 5) {
            appendBad(row, of: person, to: &buffer)
            return
        }
        let kind = random.below(100)
        if kind < 12 {
            row.state = SampleText.refused
        } else if kind < 22 {
            removeProof(from: &row)
        } else if kind < 32 {
            row.expiresAt = min(capturedAt + SampleTime.year, SampleTime.end)
        }
        append(row, of: person, to: &buffer)
        guard kind >= 80 else { return }
        row.state = SampleText.withdrawn
        row.capturedAt = min(capturedAt + 1 + random.below(SampleTime.end - capturedAt), SampleTime.end - 1)
        append(row, of: person, to: &buffer)
    }

    private mutating func removeProof(from row: inout SampleRow) {
        counts.withoutProofCount += 1
        switch random.below(3) {
        case 0: row.hasRevision = false
        case 1: row.method = ""
        default: row.capturedAt = nil
        }
    }

    private mutating func appendBad(_ row: SampleRow, of person: SampleSubject, to buffer: inout [UInt8]) {
        counts.badCount += 1
        var row = row
        let damage = SampleDamage.allCases[random.below(SampleDamage.allCases.count)]
        switch damage {
        case .unknownState: row.state = "active"
        case .endBeforeCapture: row.expiresAt = (row.capturedAt ?? 0) - SampleTime.year
        case .boughtWithoutProof:
            row.hasRevision = false
            row.isBought = true
        case .missingField, .latin1, .badDate, .noIdentifier, .openQuote: break
        }
        append(row, of: person, damage: damage, to: &buffer)
    }
}

/// Writing one row.
extension SampleRegister {
    private mutating func append(
        _ row: SampleRow, of person: SampleSubject, damage: SampleDamage? = nil, to buffer: inout [UInt8]
    ) {
        counts.rowCount += 1
        appendIdentifiers(of: person, damage: damage, to: &buffer)
        buffer.append(row.purpose.name)
        buffer.append(",")
        buffer.append(row.state)
        buffer.append(",")
        if damage == .badDate {
            buffer.append("31.12.2024")
        } else {
            appendTime(row.capturedAt, to: &buffer)
        }
        buffer.append(",")
        appendTime(row.expiresAt, to: &buffer)
        if row.hasRevision {
            buffer.append(",club-membership-marketing,")
            buffer.append(SampleTime.revision(at: row.capturedAt ?? SampleTime.start))
            buffer.append(",")
        } else {
            buffer.append(",,,")
        }
        buffer.append(person.readsEnglish ? "en," : person.isSwedish ? "sv," : "nb,")
        buffer.append(row.method)
        if damage != .missingField { buffer.append(row.purpose.isExplicit ? ",true," : ",false,") }
        buffer.append(decimal: person.age)
        appendSource(row, of: person, damage: damage, to: &buffer)
    }

    private func appendIdentifiers(of person: SampleSubject, damage: SampleDamage?, to buffer: inout [UInt8]) {
        guard damage != .noIdentifier else {
            buffer.append(",,,,")
            return
        }
        buffer.append(decimal: person.number)
        buffer.append(",")
        buffer.append(person.first)
        buffer.append(".")
        buffer.append(person.last)
        if damage == .latin1 { buffer.append(contentsOf: [0xF8]) }  // ø
        if !person.hasPlainEmail {
            buffer.append(".")
            buffer.append(decimal: person.number)
        }
        buffer.append(person.isSwedish ? "@example.se," : "@example.no,")
        if person.hasPhone {
            buffer.append(person.isSwedish ? "+467" : "+474")
            buffer.append(decimal: person.number, digits: person.isSwedish ? 8 : 7)
        }
        buffer.append(",")
        if person.hasCard {
            buffer.append("LC")
            buffer.append(decimal: person.number, digits: 9)
        }
        buffer.append(",")
    }

    private func appendSource(
        _ row: SampleRow, of person: SampleSubject, damage: SampleDamage?, to buffer: inout [UInt8]
    ) {
        buffer.append(person.hasCard ? ",pos,store," : ",web,member-page,")
        if damage == .openQuote { buffer.append("\"") }
        if person.hasCard {
            buffer.append(person.isSwedish ? "\"signed in store, Stockholm\"" : "\"signed in store, Oslo\"")
        }
        buffer.append(row.isBought ? ",bought\n" : ",own\n")
    }

    private func appendTime(_ seconds: Int?, to buffer: inout [UInt8]) {
        guard let seconds else { return }
        let second = seconds % SampleTime.day
        SampleTime.appendDate(ofDay: seconds / SampleTime.day, to: &buffer)
        buffer.append(twoDigits: second / 3600)
        buffer.append(":")
        buffer.append(twoDigits: second / 60 % 60)
        buffer.append(":")
        buffer.append(twoDigits: second % 60)
        buffer.append("Z")
    }
}

/// Times of the sample, in seconds since 1970.
private enum SampleTime {
    static let day = 86_400
    static let year = 365 * day
    /// Revision 1.0 takes effect: 2023-01-01.
    static let start = 19_358 * day
    /// Revision 1.1: 2024-06-01.
    static let second = 19_875 * day
    /// Revision 1.2: 2026-03-01.
    static let third = 20_513 * day
    /// Nothing is captured from here on: 2026-11-01.
    static let end = 20_758 * day
    /// 2025-03-14T10:22:05Z
    static let kariAgreed = 20_161 * day + 37_325
    /// 2026-05-17T18:40:12Z
    static let erikAgreed = 20_590 * day + 67_212

    static func revision(at time: Int) -> StaticString {
        time < second ? "1.0" : time < third ? "1.1" : "1.2"
    }

    /// The days from 2022 to 2029 as `2022-01-01T`, written out once: a row needs one or two of them, and fast.
    private static let firstDay = 18_993
    private static let dateSize = 11
    private static let dates: [UInt8] = {
        var dates: [UInt8] = []
        for year in 2022...2029 {
            for (position, length) in [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31].enumerated() {
                let isLeapMonth = position == 1 && year % 4 == 0
                for day in 1...(isLeapMonth ? 29 : length) {
                    dates.append(decimal: year)
                    dates.append("-")
                    dates.append(twoDigits: position + 1)
                    dates.append("-")
                    dates.append(twoDigits: day)
                    dates.append("T")
                }
            }
        }
        return dates
    }()

    static func appendDate(ofDay day: Int, to buffer: inout [UInt8]) {
        let start = (day - firstDay) * dateSize
        buffer.append(contentsOf: dates[start..<start + dateSize])
    }
}

private enum SampleText {
    static let firstCustomer = 100_001
    static let header: StaticString = """
        customer,email,phone,loyalty_card,purpose,state,captured_at,expires_at,declaration,revision,language,method,\
        explicit,age,system,channel,evidence,list_source

        """
    static let given: StaticString = "given"
    static let refused: StaticString = "refused"
    static let withdrawn: StaticString = "withdrawn"
    static let doubleOptIn: StaticString = "double_opt_in"
    static let methods: [StaticString] = ["ticked_box", "button", "signature", "double_opt_in"]
    static let norwegianNames: (first: [StaticString], last: [StaticString]) = (
        ["ola", "ingrid", "lars", "anne", "per", "marit", "jonas", "silje", "nils", "astrid"],
        ["hansen", "johansen", "olsen", "larsen", "andersen", "pedersen", "berg", "haugen", "dahl", "lie"]
    )
    static let swedishNames: (first: [StaticString], last: [StaticString]) = (
        ["anna", "karl", "maria", "johan", "elin", "oskar", "sara", "nils", "emma", "gustav"],
        ["andersson", "johansson", "karlsson", "nilsson", "eriksson", "larsson", "lindberg", "holm", "ek", "sjo"]
    )
}

extension [UInt8] {
    fileprivate mutating func append(_ text: StaticString) {
        append(contentsOf: UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
    }

    fileprivate mutating func append(twoDigits number: Int) {
        append(UInt8(ascii: "0") + UInt8(number / 10))
        append(UInt8(ascii: "0") + UInt8(number % 10))
    }

    /// A number that is not negative, with zeros in front up to `digits`.
    fileprivate mutating func append(decimal number: Int, digits: Int = 1) {
        var power = 1
        for _ in 1..<digits { power *= 10 }
        while number / power >= 10 { power *= 10 }
        while power > 0 {
            append(UInt8(ascii: "0") + UInt8(number / power % 10))
            power /= 10
        }
    }
}
