import ConsentModel

/// Makes text of a field, and gives the same text again as long as the field does not change: in a register most
/// columns say the same in row after row.
struct RepeatedText {
    private var text = ""

    mutating func text(of field: UnsafeBufferPointer<UInt8>) -> String {
        // Compared as it stands: where something was put in for what is no text, the field is read again.
        if text.utf8.withContiguousStorageIfAvailable(field.holdsSame) != true {
            text = String(decoding: field, as: UTF8.self)
        }
        return text
    }
}

/// Reads times, and reads each day once: a register holds few days beside its rows. ConsentModel says what a time is;
/// only the time of day in its commonest form, `2026-11-22T10:15:30Z`, is read here.
struct RepeatedDay {
    /// Twenty years of days.
    private static let daysMax = 20 * 366
    private static let dateSize = 10
    private static let timeSize = 20

    private var days: [Day: Timestamp] = [:]

    /// The ten bytes of a date.
    private struct Day: Hashable {
        let start: UInt64
        let end: UInt16
    }

    mutating func time(of field: UnsafeBufferPointer<UInt8>) -> Timestamp? {
        guard field.count == Self.timeSize, let millis = Self.millisOfDay(field) else {
            return Timestamp(iso8601: String(decoding: field, as: UTF8.self))
        }
        return day(of: field).map { Timestamp(millis: $0.millis + millis) }
    }

    private mutating func day(of field: UnsafeBufferPointer<UInt8>) -> Timestamp? {
        let raw = UnsafeRawBufferPointer(field)
        let day = Day(
            start: raw.loadUnaligned(fromByteOffset: 0, as: UInt64.self),
            end: raw.loadUnaligned(fromByteOffset: 8, as: UInt16.self))
        if let known = days[day] { return known }
        guard let time = Timestamp(iso8601: String(decoding: field.prefix(Self.dateSize), as: UTF8.self)) else {
            return nil
        }
        if days.count >= Self.daysMax { days.removeAll() }
        days[day] = time
        return time
    }

    private static func millisOfDay(_ field: UnsafeBufferPointer<UInt8>) -> Int64? {
        guard field[10] == UInt8(ascii: "T"), field[13] == UInt8(ascii: ":"), field[16] == UInt8(ascii: ":"),
            field[19] == UInt8(ascii: "Z"), let hour = number(field, at: 11), let minute = number(field, at: 14),
            let second = number(field, at: 17), hour < 24, minute < 60, second < 60
        else { return nil }
        return ((hour * 60 + minute) * 60 + second) * 1000
    }

    private static func number(_ field: UnsafeBufferPointer<UInt8>, at position: Int) -> Int64? {
        let tens = field[position] &- UInt8(ascii: "0")
        let ones = field[position + 1] &- UInt8(ascii: "0")
        return tens <= 9 && ones <= 9 ? Int64(tens) * 10 + Int64(ones) : nil
    }
}
