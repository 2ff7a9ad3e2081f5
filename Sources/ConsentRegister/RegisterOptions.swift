package import ConsentModel

/// What a user can say about a register beside what stands in it.
package struct RegisterOptions: Sendable {
    /// Nil takes it from the first row.
    package var delimiter: UInt8?
    /// Columns that are there and not wanted.
    package var ignoredColumns: [String] = []
    /// Passes over every column that is not known, instead of refusing the file.
    package var acceptsUnknownColumns = false
    /// Which column holds what, where the register names it otherwise: the register's name by the name that is known here.
    package var columnNames: [String: String] = [:]
    /// Where rows come from that do not say it themselves.
    package var listSource = ListSource.own
    /// When a request counts as captured if its row does not say. The newest capture decides, so the default is a time
    /// before everything: an old row of unknown date must not put itself over a withdrawal, and a fixed time keeps a
    /// second import the same as the first. An undated withdrawal counts from its import.
    package var undatedAt = Limit.captureMin
    /// What the clock says: a "no" that claims to be later counts from its import. The default believes every row, and
    /// leaves that to the node.
    package var now = Timestamp(millis: .max)

    /// Of phone numbers that do not say theirs; nil refuses these.
    package var phoneCountry: PhoneCountry?

    package init() {}
}
