import ConsentModel
import ConsentTestSupport
import Foundation

@testable import ConsentIndex

extension IndexRow {
    init(
        permitted: [Int] = [], denied: [Int] = [], endsAt: UInt32 = IndexRow.never, sequence: UInt64 = 1
    ) {
        self.init()
        self.permitted = PurposeSet(permitted)
        self.denied = PurposeSet(denied)
        self.endsAt = endsAt
        self.sequence = sequence
    }
}

/// What the index claims to be: rows by identifier, and what applies where they say nothing.
struct IndexModel {
    var rows: [IdentifierHash: IndexRow] = [:]
    /// Of the rows that were put with one.
    private var owners: [IdentifierHash: UInt32] = [:]
    var granted = PurposeSet()
    var denied = PurposeSet()

    mutating func put(_ hash: IdentifierHash, _ row: IndexRow, owner: UInt32) {
        owners[hash] = owner
        rows[hash] = row
    }

    mutating func erase(_ hash: IdentifierHash) { (rows[hash], owners[hash]) = (nil, nil) }

    /// Written from the text, not from the code.
    func reason(_ hash: IdentifierHash, purposeBit bit: Int, now: UInt32) -> ConsentState {
        if denied.contains(bit) { return .invalidated }
        let row = rows[hash] ?? IndexRow()
        if row.permitted.contains(bit) { return now < row.endsAt ? .given : .expired }
        if row.denied.contains(bit) { return granted.contains(bit) ? .objected : .withdrawn }
        return granted.contains(bit) ? .basisHolds : .unknown
    }

    /// What differs between the model and an index that should hold the same; nil if nothing does.
    func difference(_ writer: IndexWriter, absent: [IdentifierHash] = []) -> String? {
        difference(writer.publication.current, absent: absent)
    }

    func difference(_ table: IndexTable, absent: [IdentifierHash] = []) -> String? {
        for (hash, row) in rows where table.row(hash) != row {
            return "\(hash) says \(String(describing: table.row(hash))) instead of \(row)"
        }
        for hash in rows.keys where table.owner(of: hash) != owners[hash] ?? 0 {
            return "\(hash) belongs to \(String(describing: table.owner(of: hash)))"
        }
        for hash in absent where rows[hash] == nil && table.row(hash) != nil { return "\(hash) is still there" }
        for hash in absent where rows[hash] == nil && table.owner(of: hash) != nil { return "\(hash) has an owner" }
        if table.rows != rows.count { return "\(table.rows) rows instead of \(rows.count)" }
        let counted = table.counted()
        if counted.rows != rows.count { return "\(counted.rows) rows counted instead of \(rows.count)" }
        if counted != table.totals { return "totals \(table.totals) instead of \(counted)" }
        return nil
    }
}

let testHistory: [UInt8] = Array(1...16)
let testKey = IdentifierHashKey(k0: 0x0123_4567_89AB_CDEF, k1: 0xFEDC_BA98_7654_3210)

/// The hash of a customer by number.
func customer(_ number: Int) -> IdentifierHash {
    testKey.hash(try! Identifier(type: .customer, value: String(number)))
}

extension IndexWriter {
    convenience init(creating folder: TemporaryFolder, identifiers: Int = 0, purposes: Int = 64) throws {
        try self.init(
            creating: folder.index, history: testHistory, keyCheck: testKey.check, identifiers: identifiers,
            purposes: purposes)
        try publish()
    }

    convenience init(opening folder: TemporaryFolder) throws {
        try self.init(opening: folder.index, history: testHistory, keyCheck: testKey.check)
    }
}

extension IndexReader {
    /// A check's reason; its decision must be the one that the reason stands for.
    mutating func reason(_ hash: IdentifierHash, purposeBit: Int, now: UInt32) -> ConsentState {
        let answer = check(hash, purposeBit: purposeBit, now: now)
        precondition(answer.decision == answer.reason.decision)
        return answer.reason
    }
}
