package import ConsentModel
package import ConsentWire

/// Which copy of the rows: the one that answers, or the one that is built beside it.
package enum ReplicaTarget: Sendable { case live, beside }

/// A file that could not be written, such as on a full disk. What was there before still answers.
package struct StoreFailure: Error, Equatable, Sendable, CustomStringConvertible {
    package let description: String

    package init(_ description: String) { self.description = description }
}

/// Where a replica keeps what it received. Real nodes and simulated ones. Every change is visible when the call returns.
package protocol ReplicaStore: AnyObject {
    /// Of the rows that answer; zero: there are none.
    var history: ID16 { get }
    var hashKey: [UInt8] { get }
    /// The moment up to which the live rows hold everything, by the node's clock of the boot; zero: not known.
    var vouchedAt: UInt64 { get }

    /// Of one copy: what it holds, its digest being that of rows and catalog together.
    func point(_ target: ReplicaTarget) -> SyncPoint
    /// The catalog that the rows are made by.
    func catalog(_ target: ReplicaTarget) -> SyncCatalog
    func defaults(_ target: ReplicaTarget) -> (granted: PurposeSet, denied: PurposeSet)
    func sequence(of row: SyncRow, _ target: ReplicaTarget) -> UInt64?

    func put(_ row: SyncRow, _ target: ReplicaTarget) throws(StoreFailure)
    /// Puts rows in their order; of those before one that cannot be put, all are.
    func put(_ rows: SyncRows, _ target: ReplicaTarget) throws(StoreFailure)
    func erase(_ row: SyncRow, _ target: ReplicaTarget)
    func setDefaults(granted: PurposeSet, denied: PurposeSet, _ target: ReplicaTarget) throws(StoreFailure)
    func setMaxStaleness(_ seconds: [Int: UInt32], _ target: ReplicaTarget)
    /// Keeps a catalog as the one that the rows are made by; of the live rows durably.
    func setCatalog(_ catalog: SyncCatalog, _ target: ReplicaTarget) throws(StoreFailure)
    func setApplied(sequence: UInt64, chain: UInt64, _ target: ReplicaTarget)
    /// Of the live rows; zero takes back what was vouched for.
    func vouch(at bootMillis: UInt64)

    /// Makes an empty copy beside the one that answers, in place of any that was begun.
    func begin(_ snapshot: SnapshotBegun, history: ID16, hashKey: [UInt8]) throws(StoreFailure)
    /// Throws the copy beside away.
    func discard()
    /// Lets the copy beside answer, durably, and throws the other one away. If it throws, the old one still answers.
    func takeOver() throws(StoreFailure)
}

extension ReplicaStore {
    package func put(_ rows: SyncRows, _ target: ReplicaTarget) throws(StoreFailure) {
        for position in 0..<rows.count { try put(rows[position], target) }
    }
}
