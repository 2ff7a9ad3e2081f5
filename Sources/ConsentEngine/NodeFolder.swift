package import ConsentIndex
package import ConsentKernel
import ConsentLedger
package import ConsentModel

/// Where a node keeps its files.
///
///     ledger.sqlite   the truth
///     index/          a cache of it; may be deleted while no server runs
///     keys/           likewise: the way from an idempotency key to its event
///     index.key       the key of the identifier hashes: without it the ledger finds nobody. Back it up
///     token           what clients must show; optional
///     lock            held by the one process that may write
///     consentd.sock   where a running server listens
package struct NodeFolder: Sendable {
    package let path: String

    package init(_ path: String) { self.path = path.count > 1 && path.hasSuffix("/") ? String(path.dropLast()) : path }

    package var ledgerPath: String { path + "/ledger.sqlite" }
    package var indexFolder: IndexFolder { IndexFolder(path + "/index") }
    package var keysFolder: IndexFolder { IndexFolder(path + "/keys") }
    package var keyPath: String { path + "/index.key" }
    package var tokenPath: String { path + "/token" }
    package var lockPath: String { path + "/lock" }
    package var socketPath: String { path + "/consentd.sock" }

    package var exists: Bool { File.exists(ledgerPath) }

    /// Makes a new node: its folder, key and an empty ledger.
    ///
    /// - Parameter deployment: sixteen bytes that all nodes of one service share; nil for a new one.
    /// - Throws: if a node is there already; nothing of it is changed.
    package func create(deployment: [UInt8]? = nil, now: Timestamp) throws {
        guard !exists else { throw LedgerError.exists(path: ledgerPath) }
        try File.createDirectory(path)
        // Hashes in a ledger are of one key for ever, so the key is durable first.
        let key = SystemRandom.bytes(IdentifierHashKey.size)
        try File.replace(keyPath, with: key, mode: 0o640)
        let identity = NodeIdentity(
            history: SystemRandom.bytes(16), deployment: deployment ?? SystemRandom.bytes(16))
        try Ledger.create(
            path: ledgerPath, identity: identity, keyCheck: IdentifierHashKey(bytes: key).check, now: now)
    }

    /// The key that a ledger's hashes were made with: by another one nobody would be found, and an objection that is not
    /// found does not stand.
    func hashKey(of ledger: Ledger) throws -> IdentifierHashKey {
        let key = try hashKey()
        guard key.check == ledger.keyCheck else {
            throw LedgerError.corrupt(where: keyPath, what: "it is not the key that this ledger was made with")
        }
        return key
    }

    package func hashKey() throws -> IdentifierHashKey {
        let bytes = try File.read(keyPath, sizeMax: 4096)
        guard bytes.count == IdentifierHashKey.size else {
            throw LedgerError.corrupt(where: keyPath, what: "it has \(bytes.count) bytes instead of 16")
        }
        return IdentifierHashKey(bytes: bytes)
    }

    /// Takes the right to write, until the returned descriptor is closed; nil if another process has it.
    package func lock() throws -> FileDescriptor? {
        let file = try FileDescriptor.open(lockPath, .createOrOpen)
        guard try file.tryLock() else { return nil }
        return file
    }
}
