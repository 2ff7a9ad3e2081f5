/// Every limit of the domain in one place. Limits of frames and connections stand in the wire's definition.
package enum Limit {
    /// An e-mail address has at most 254 bytes (RFC 5321); 255 is what one length byte can say.
    package static let identifierSizeMax = 255
    /// Identifiers named in one event.
    package static let identifiersPerEventMax = 16
    /// Identifiers of one person: each event about the person writes the row of every one of them.
    package static let identifiersPerPersonMax = 4096
    /// Bits in the widest index row: 15 words of 64.
    package static let purposesMax = 15 * 64
    /// One short text of an event: declaration, revision, language, system, channel, form, actor.
    package static let shortTextSizeMax = 255
    /// Evidence is a note or a reference, not the document itself.
    package static let evidenceSizeMax = 4096
    /// For how long a confirmation token counts where its purpose does not say.
    package static let doubleOptInLifetime = Period(seconds: 7 * 86_400)
    /// A token that has been used or has lapsed is known as such for this long; then it is nobody's.
    package static let endedTokenKept = Period(seconds: 90 * 86_400)
    /// Purposes that one confirmation token may be for.
    package static let purposesPerTokenMax = 64
    /// How far a capturing system's clock may run ahead.
    package static let captureSkewMillis: Int64 = 5 * 60 * 1000
    /// No electronic record of a consent is older; what says so has a broken clock.
    /// Zero itself is what says "none" on the wire, and what systems write that do not know.
    package static let captureMin = Timestamp(millis: 1)
    /// 40 bits in an index row: at 100,000 events a second without pause, 127 days; at a million a day, 3,000 years.
    package static let sequenceMax: UInt64 = (1 << 40) - 1
    /// An end is kept in 32 bits of seconds in an index row; a later one is looked at again then.
    package static let expirySecondsMax: UInt32 = .max
}
