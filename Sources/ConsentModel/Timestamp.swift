/// A moment: milliseconds since 1970-01-01T00:00:00Z, without leap seconds (POSIX time).
package struct Timestamp: Hashable, Comparable, Sendable {
    package var millis: Int64

    package init(millis: Int64) { self.millis = millis }
    package init(seconds: Int64) { self.millis = seconds * 1000 }

    package static func < (left: Timestamp, right: Timestamp) -> Bool { left.millis < right.millis }

    /// Whole seconds, rounded towards the past, so that an end kept in seconds is never later than the real one.
    package var secondsRoundedDown: Int64 {
        millis / 1000 - (millis % 1000 < 0 ? 1 : 0)
    }

    /// This moment plus a length; saturates instead of overflowing.
    package func advanced(bySeconds seconds: Int64) -> Timestamp {
        let (length, tooLong) = seconds.multipliedReportingOverflow(by: 1000)
        let (sum, overflow) = millis.addingReportingOverflow(length)
        return Timestamp(millis: tooLong || overflow ? (seconds < 0 ? .min : .max) : sum)
    }
}

extension Timestamp {
    /// Years that the text form can carry.
    private static let yearMin: Int64 = 1
    private static let yearMax: Int64 = 9999

    /// Reads `2026-11-22`, `2026-11-22T10:15:30Z`, `…30.250Z` and offsets such as `+02:00` (RFC 3339); a date alone
    /// is midnight UTC. Nil for anything else.
    package init?(iso8601 text: some StringProtocol) {
        var reader = DigitReader(text.utf8)
        guard let year = reader.number(digits: 4), reader.skip("-"), let month = reader.number(digits: 2),
            reader.skip("-"), let day = reader.number(digits: 2),
            (Self.yearMin...Self.yearMax).contains(year), (1...12).contains(month),
            day >= 1, day <= Self.daysInMonth(month, year: year)
        else { return nil }
        var millis = Self.daysFromCivil(year: year, month: month, day: day) * 86_400_000
        if reader.isAtEnd {
            self.init(millis: millis)
            return
        }
        guard reader.skip("T") || reader.skip(" "), let hour = reader.number(digits: 2), reader.skip(":"),
            let minute = reader.number(digits: 2), hour < 24, minute < 60
        else { return nil }
        millis += (hour * 60 + minute) * 60_000
        if reader.skip(":") {
            guard let second = reader.number(digits: 2), second < 60 else { return nil }
            millis += second * 1000
            if reader.skip(".") {
                guard let fraction = reader.fractionMillis() else { return nil }
                millis += fraction
            }
        }
        guard let offset = reader.offsetMinutes(), reader.isAtEnd else { return nil }
        self.init(millis: millis - offset * 60_000)
    }

    /// `2026-11-22T10:15:30.250Z`; a whole second is written without its fraction.
    package var iso8601: String {
        var (days, rest) = millis.quotientAndRemainder(dividingBy: 86_400_000)
        if rest < 0 { (days, rest) = (days - 1, rest + 86_400_000) }
        let (year, month, day) = Self.civilFromDays(days)
        guard (Self.yearMin...Self.yearMax).contains(year) else { return "\(millis) ms" }
        func two(_ number: Int64) -> String { number < 10 ? "0\(number)" : "\(number)" }
        let yearDigits = String(repeating: "0", count: 4 - "\(year)".count) + "\(year)"
        let hour = rest / 3_600_000
        rest %= 3_600_000
        let (minute, second, fraction) = (rest / 60_000, rest / 1000 % 60, rest % 1000)
        let fractionDigits =
            fraction == 0 ? "" : "." + String(repeating: "0", count: 3 - "\(fraction)".count) + "\(fraction)"
        return "\(yearDigits)-\(two(month))-\(two(day))T\(two(hour)):\(two(minute)):\(two(second))\(fractionDigits)Z"
    }

    private static func daysInMonth(_ month: Int64, year: Int64) -> Int64 {
        let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
        return [31, leap ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31][Int(month - 1)]
    }

    /// Days since 1970-01-01 in the proleptic Gregorian calendar, counted in eras of 400 years that begin in March.
    private static func daysFromCivil(year: Int64, month: Int64, day: Int64) -> Int64 {
        let shifted = month <= 2 ? year - 1 : year
        let era = (shifted >= 0 ? shifted : shifted - 399) / 400
        let yearOfEra = shifted - era * 400
        let dayOfYear = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1
        return era * 146_097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear - 719_468
    }

    private static func civilFromDays(_ days: Int64) -> (year: Int64, month: Int64, day: Int64) {
        let shifted = days + 719_468
        let era = (shifted >= 0 ? shifted : shifted - 146_096) / 146_097
        let dayOfEra = shifted - era * 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let monthFromMarch = (5 * dayOfYear + 2) / 153
        let month = monthFromMarch + (monthFromMarch < 10 ? 3 : -9)
        let year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
        return (year, month, dayOfYear - (153 * monthFromMarch + 2) / 5 + 1)
    }
}

/// Reads fixed-width digits from text, one byte at a time.
private struct DigitReader<Bytes: Collection> where Bytes.Element == UInt8 {
    private var rest: Bytes.SubSequence

    init(_ bytes: Bytes) { rest = bytes[...] }

    var isAtEnd: Bool { rest.isEmpty }

    mutating func skip(_ character: Unicode.Scalar) -> Bool {
        guard let first = rest.first, first == UInt8(ascii: character) else { return false }
        rest.removeFirst()
        return true
    }

    mutating func number(digits: Int) -> Int64? {
        var value: Int64 = 0
        for _ in 0..<digits {
            guard let digit = digit() else { return nil }
            value = value * 10 + digit
        }
        return value
    }

    /// One to nine digits after the point, as whole milliseconds, rounded down.
    mutating func fractionMillis() -> Int64? {
        var (value, scale, count): (Int64, Int64, Int) = (0, 100, 0)
        while count < 9, let digit = digit() {
            value += digit * scale
            scale /= 10
            count += 1
        }
        return count > 0 ? value : nil
    }

    /// `Z`, `+hh:mm` or `-hh:mm`, in minutes east of UTC.
    mutating func offsetMinutes() -> Int64? {
        if skip("Z") || skip("z") { return 0 }
        let sign: Int64 = skip("-") ? -1 : skip("+") ? 1 : 0
        guard sign != 0, let hour = number(digits: 2), skip(":"), let minute = number(digits: 2), hour < 24, minute < 60
        else { return nil }
        return sign * (hour * 60 + minute)
    }

    private mutating func digit() -> Int64? {
        guard let first = rest.first, first >= UInt8(ascii: "0"), first <= UInt8(ascii: "9") else { return nil }
        rest.removeFirst()
        return Int64(first - UInt8(ascii: "0"))
    }
}

/// A length of time as the catalog writes it: `P2Y`, `P18M`, `P90D`, `PT1H` (ISO 8601). A year counts 365 days and a
/// month 30, whichever they are. Every unit at most once, the longer before the shorter.
package struct Period: Hashable, Sendable {
    package var seconds: Int64

    package init(seconds: Int64) { self.seconds = seconds }

    package init?(iso8601 text: String) {
        var total: Int64 = 0
        var digits: Int64?
        var inTime = false
        var shortest: Int64?
        guard text.first == "P", text.last != "T" else { return nil }
        for character in text.dropFirst() {
            if let digit = character.wholeNumberValue, character.isASCII {
                let (scaled, overflow) = (digits ?? 0).multipliedReportingOverflow(by: 10)
                guard !overflow, scaled < 1_000_000 else { return nil }
                digits = scaled + Int64(digit)
                continue
            }
            if character == "T", !inTime, digits == nil {
                inTime = true
                continue
            }
            guard let count = digits, let unit = Self.unitSeconds(character, inTime: inTime),
                shortest.map({ unit < $0 }) ?? true
            else { return nil }
            total += count * unit
            digits = nil
            shortest = unit
        }
        guard digits == nil, total > 0 else { return nil }
        seconds = total
    }

    private static func unitSeconds(_ unit: Character, inTime: Bool) -> Int64? {
        switch (unit, inTime) {
        case ("Y", false): 365 * 86_400
        case ("M", false): 30 * 86_400
        case ("W", false): 7 * 86_400
        case ("D", false): 86_400
        case ("H", true): 3600
        case ("M", true): 60
        case ("S", true): 1
        default: nil
        }
    }
}
