import ConsentIndex
import ConsentModel
import ConsentWire

/// What a feed tells of, where the rows are in a mapped index that another thread changes.
struct IndexSource: FeedSource {
    let history: ID16
    let hashKey: [UInt8]
    let log: DeltaLog
    let table: IndexTable
    let past: @Sendable (_ sequence: UInt64, _ chain: UInt64) -> Bool?

    var appliedSequence: UInt64 { table.appliedSequence }
    var vouchedAt: UInt64 { table.vouchedAt }
    var rowCount: Int { table.rows }
    var words: Int { table.geometry.words }

    func knows(sequence: UInt64, chain: UInt64) -> Bool? { past(sequence, chain) }

    /// Rows of another catalog come only after the defaults have begun to change, which their version shows.
    func forEachRow(
        places: Range<UInt64>, after sequence: UInt64, by catalog: SyncCatalog, _ body: (SyncRow) -> Void
    ) -> Bool {
        let version = table.version
        guard version & 1 == 0, table.defaults == (catalog.grantedDefaults, catalog.deniedDefaults) else {
            return false
        }
        table.forEachRow(places: places, after: sequence) { body(SyncRow($0)) }
        return table.version == version
    }
}
