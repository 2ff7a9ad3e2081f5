import ConsentModel

/// A point in time, in milliseconds since 1970-01-01T00:00:00Z.
public struct Moment: Hashable, Comparable, Sendable, CustomStringConvertible {
    public var millis: Int64

    public init(millis: Int64) { self.millis = millis }

    /// Reads RFC 3339, such as `2026-11-22T10:15:30Z`; a date alone is midnight UTC. Nil for anything else.
    public init?(_ text: String) {
        guard let timestamp = Timestamp(iso8601: text) else { return nil }
        millis = timestamp.millis
    }

    /// From the wire, where zero is none.
    init?(wireMillis millis: Int64) {
        guard millis != 0 else { return nil }
        self.millis = millis
    }

    init?(_ timestamp: Timestamp?) {
        guard let timestamp else { return nil }
        millis = timestamp.millis
    }

    public static func < (left: Moment, right: Moment) -> Bool { left.millis < right.millis }

    /// RFC 3339 in UTC.
    public var description: String { Timestamp(millis: millis).iso8601 }
}
