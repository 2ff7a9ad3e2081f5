import ConsentModel
import ConsentTestSupport
import Testing

struct TimestampTests {
    @Test(
        arguments: [
            ("1970-01-01T00:00:00Z", 0), ("1970-01-01", 0), ("1970-01-01T00:00:00.001Z", 1),
            ("1969-12-31T23:59:59.999Z", -1), ("2000-02-29T00:00:00Z", 951_782_400_000),
            ("2026-11-22T10:15:30Z", 1_795_342_530_000), ("2026-11-22T10:15:30.250Z", 1_795_342_530_250),
            ("2026-11-22", 1_795_305_600_000), ("0001-01-01T00:00:00Z", -62_135_596_800_000),
            ("9999-12-31T23:59:59.999Z", 253_402_300_799_999),
        ] as [(String, Int64)])
    func readsATimeAsMilliseconds(_ text: String, _ millis: Int64) {
        #expect(Timestamp(iso8601: text) == Timestamp(millis: millis))
    }

    @Test(arguments: [
        ("2026-11-22T12:15:30+02:00", "2026-11-22T10:15:30Z"), ("2026-11-22T05:15:30-05:00", "2026-11-22T10:15:30Z"),
        ("2026-11-22T00:30:00+01:00", "2026-11-21T23:30:00Z"), ("2026-12-31T23:30:00-01:00", "2027-01-01T00:30:00Z"),
        ("2026-11-22T10:15:30+00:00", "2026-11-22T10:15:30Z"), ("2026-11-22T10:15:30-00:00", "2026-11-22T10:15:30Z"),
        ("2026-11-22T15:45:30+05:30", "2026-11-22T10:15:30Z"), ("2026-11-22T10:15:30z", "2026-11-22T10:15:30Z"),
        ("2026-11-22T10:15:30.5Z", "2026-11-22T10:15:30.500Z"), ("2026-11-22T10:15:30.05Z", "2026-11-22T10:15:30.050Z"),
        ("2026-11-22T10:15:30.000Z", "2026-11-22T10:15:30Z"), ("2026-11-22 10:15:30Z", "2026-11-22T10:15:30Z"),
        ("2026-11-22T10:15:30.123456789Z", "2026-11-22T10:15:30.123Z"),
        ("2026-11-22T10:15:30.9999Z", "2026-11-22T10:15:30.999Z"),
    ])
    func oneMomentHasOneText(_ text: String, _ normal: String) {
        #expect(Timestamp(iso8601: text)?.iso8601 == normal)
    }

    @Test(arguments: [
        "", " ", "2026", "2026-11", "2026-1-1", "26-11-22", "2026/11/22", "20261122", "2026-11-22T", "2026-11-22T10",
        "2026-11-22T10:15:30", "2026-11-22T10:15:30.Z", "2026-11-22T10:15:30,5Z", "2026-11-22T10:15:30.1234567890Z",
        "2026-11-22T24:00:00Z", "2026-11-22T10:60:00Z", "2026-11-22T10:15:60Z", "2026-11-22T10:15:30ZZ",
        "2026-11-22T10:15:30Z ", " 2026-11-22", "2026-11-22Z", "2026-11-22T10:15:30+2", "2026-11-22T10:15:30+0200",
        "2026-11-22T10:15:30+24:00", "2026-11-22T10:15:30+02:60", "2026-00-01", "2026-13-01", "2026-01-00",
        "2026-01-32", "2026-04-31", "2026-02-29", "1900-02-29", "0000-01-01", "-001-01-01", "+2026-11-22",
        "12026-01-01",
        "２０２６-11-22", "2026-11-22t10:15:30Z", "2026-11-22T10:15:30\u{0}Z",
    ])
    func refusesATextThatIsNoTime(_ text: String) {
        #expect(Timestamp(iso8601: text) == nil)
    }

    @Test(arguments: [(2024, true), (2025, false), (2000, true), (1900, false), (2100, false), (2400, true), (4, true)])
    func knowsLeapYears(_ year: Int, _ isLeap: Bool) {
        let digits = String(repeating: "0", count: 4 - "\(year)".count) + "\(year)"
        let day = Timestamp(iso8601: "\(digits)-02-29")
        #expect((day != nil) == isLeap)
        if let day { #expect(day.iso8601 == "\(digits)-02-29T00:00:00Z") }
    }

    /// A calendar of its own that only counts up; from 1890 to 2110 it meets both kinds of century.
    @Test func everyDayOfTwoCenturiesIsReadAndWritten() throws {
        var millis = try #require(Timestamp(iso8601: "1890-01-01")).millis
        let lengths = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
        func two(_ number: Int) -> String { number < 10 ? "0\(number)" : "\(number)" }
        for year in 1890...2110 {
            let isLeap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0
            for month in 1...12 {
                for day in 1...(lengths[month - 1] + (month == 2 && isLeap ? 1 : 0)) {
                    let text = "\(year)-\(two(month))-\(two(day))"
                    guard Timestamp(iso8601: text)?.millis == millis,
                        Timestamp(millis: millis).iso8601 == text + "T00:00:00Z"
                    else {
                        Issue.record("\(text) is not day \(millis / 86_400_000)")
                        return
                    }
                    millis += 86_400_000
                }
            }
        }
        #expect(Timestamp(iso8601: "2111-01-01")?.millis == millis)
    }

    @Test func everyYearBeginsWhereTheOneBeforeEnds() throws {
        for year in 2...9999 {
            func digits(_ year: Int) -> String { String(repeating: "0", count: 4 - "\(year)".count) + "\(year)" }
            let last = try #require(Timestamp(iso8601: "\(digits(year - 1))-12-31T23:59:59.999Z"))
            let first = try #require(Timestamp(iso8601: "\(digits(year))-01-01"))
            guard first.millis == last.millis + 1, first.iso8601 == "\(digits(year))-01-01T00:00:00Z",
                last.iso8601 == "\(digits(year - 1))-12-31T23:59:59.999Z"
            else {
                Issue.record("between \(year - 1) and \(year)")
                return
            }
        }
    }

    @Test func anyMomentRoundTrips() {
        var generator = SeededGenerator(salt: 0)
        for _ in 0..<20_000 {
            let time = Timestamp(millis: .random(in: -62_135_596_800_000...253_402_300_799_999, using: &generator))
            guard Timestamp(iso8601: time.iso8601) == time else {
                Issue.record("\(time.millis) became \(time.iso8601)")
                return
            }
        }
    }

    @Test(arguments: [Int64.min, .min + 1, .min + 86_399_999, -62_135_596_800_001, 253_402_300_800_000, .max])
    func aMomentOutsideTheCalendarIsWrittenAsItsNumber(_ millis: Int64) {
        #expect(Timestamp(millis: millis).iso8601 == "\(millis) ms")
    }

    @Test(
        arguments: [
            (0, 0), (999, 0), (1000, 1), (1999, 1), (-1, -1), (-999, -1), (-1000, -1), (-1001, -2),
            (.max, 9_223_372_036_854_775), (.min, -9_223_372_036_854_776),
        ] as [(Int64, Int64)])
    func secondsAreRoundedTowardsThePast(_ millis: Int64, _ seconds: Int64) {
        #expect(Timestamp(millis: millis).secondsRoundedDown == seconds)
    }

    @Test func advancingSaturatesInsteadOfOverflowing() {
        #expect(Timestamp(millis: 5).advanced(bySeconds: 2) == Timestamp(millis: 2005))
        #expect(Timestamp(millis: 5).advanced(bySeconds: -1) == Timestamp(millis: -995))
        #expect(Timestamp(millis: .max).advanced(bySeconds: 1) == Timestamp(millis: .max))
        #expect(Timestamp(millis: 0).advanced(bySeconds: .max) == Timestamp(millis: .max))
        #expect(Timestamp(millis: .max).advanced(bySeconds: .max) == Timestamp(millis: .max))
        #expect(Timestamp(millis: .min).advanced(bySeconds: -1) == Timestamp(millis: .min))
        #expect(Timestamp(millis: .min + 999).advanced(bySeconds: -1) == Timestamp(millis: .min))
        #expect(Timestamp(millis: .min + 1000).advanced(bySeconds: -1) == Timestamp(millis: .min))
        #expect(Timestamp(millis: .min + 1001).advanced(bySeconds: -1) == Timestamp(millis: .min + 1))
        #expect(Timestamp(millis: 0).advanced(bySeconds: .min) == Timestamp(millis: .min))
        #expect(Timestamp(millis: .max).advanced(bySeconds: .min) == Timestamp(millis: .min))
        #expect(Timestamp(millis: .min).advanced(bySeconds: 0) == Timestamp(millis: .min))
        #expect(Timestamp(millis: .min).advanced(bySeconds: .max) == Timestamp(millis: .max))
    }
}

struct PeriodTests {
    private static let day: Int64 = 86_400

    @Test(
        arguments: [
            ("P2Y", 730 * day), ("P18M", 540 * day), ("P90D", 90 * day), ("PT1H", 3600), ("P1W", 7 * day),
            ("P1Y6M", 545 * day), ("PT90M", 5400), ("P1M", 30 * day), ("PT1M", 60), ("PT1S", 1),
            ("P1DT12H", 36 * 3600), ("PT1H30M15S", 5415), ("P1M1W", 37 * day), ("P1W1D", 8 * day),
            ("P1MT1M", 30 * day + 60), ("P0YT1S", 1), ("P1Y2M3W4DT5H6M7S", 450 * day + 18_367),
            ("P999999D", 999_999 * day),
        ] as [(String, Int64)])
    func readsALengthOfTime(_ text: String, _ seconds: Int64) {
        #expect(Period(iso8601: text)?.seconds == seconds)
    }

    @Test(arguments: [
        "", "P", "PT", "2Y", "P2", "PY", "P2X", "P-2Y", "-P2Y", "P2y", "p2Y", "P1H", "PT1Y", "PT1D", "P1.5Y", "P 2Y",
        "P2Y ", "P0D", "P0Y0M", "PT0S", "P1000000D", "P99999999999999999999D", "PTT1H", "P٢Y", "P1T2H",
        // A unit twice.
        "P1Y1Y", "P1M1M", "P1W1W", "P1D1D", "PT1H1H", "PT1M1M", "PT1S1S", "P0Y1Y", "P1Y2M1Y", "P1Y0Y",
        // A longer unit after a shorter one.
        "P1D2Y", "P1M1Y", "P1W1M", "P1D1W", "P1D1M", "PT1M1H", "PT1S1M", "PT1S1H", "P1Y1D1M", "P0D1Y",
        // A T that nothing follows.
        "P1YT", "P1DT", "P1Y2M3DT", "PT1HT", "P1DT1HT", "PT1HT1M", "P1DT1",
    ])
    func refusesATextThatIsNoLength(_ text: String) {
        #expect(Period(iso8601: text) == nil)
    }
}
