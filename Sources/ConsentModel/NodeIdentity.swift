/// Who a ledger is: two sixteen-byte names, made once.
package struct NodeIdentity: Equatable, Sendable {
    /// Changes whenever a ledger begins anew; tells edges and indexes that theirs is of another one.
    package var history: [UInt8]
    /// Given by the operator, shared by all nodes of one service.
    package var deployment: [UInt8]

    package init(history: [UInt8], deployment: [UInt8]) {
        self.history = history
        self.deployment = deployment
    }
}
