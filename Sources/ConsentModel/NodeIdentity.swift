/// Who a ledger is; made once.
package struct NodeIdentity: Equatable, Sendable {
    /// Changes whenever a ledger begins anew; tells edges and indexes that theirs is of another one.
    package var history: [UInt8]
    /// Given by the operator, shared by all nodes of one service.
    package var deployment: [UInt8]
    /// Tells whether a key of identifier hashes is the one that its hashes were made with, and nothing about the key.
    package var keyCheck: UInt64

    /// - Parameters:
    ///   - history: sixteen bytes.
    ///   - deployment: sixteen bytes.
    package init(history: [UInt8], deployment: [UInt8], keyCheck: UInt64) {
        self.history = history
        self.deployment = deployment
        self.keyCheck = keyCheck
    }
}
