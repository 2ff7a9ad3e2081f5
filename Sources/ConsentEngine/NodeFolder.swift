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
///     signing.key     what checkpoints and receipts are signed with, mode 0600. Back it up
///     checkpoints     signed statements of where the chain was, one a line; copies of it elsewhere show what was cut off
///     token           what clients must show; optional
///     damage          what was found wrong with the ledger; while it is there, the node stays closed
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
    package var damagePath: String { path + "/damage" }
    package var lockPath: String { path + "/lock" }
    package var socketPath: String { path + "/consentd.sock" }

    package var exists: Bool { File.exists(ledgerPath) }

    /// Files by which a folder is known as a node's or an edge's, whether it has a ledger or not.
    private static let marks = [
        "index.key", "signing.key", "checkpoints", "damage", "edge", "catalog", "index", "keys",
    ]

    /// What the folder holds of a node or an edge besides a ledger.
    package var remains: [String] { Self.marks.filter { File.exists(path + "/" + $0) } }

    /// Makes a new node: its folder, key and an empty ledger.
    ///
    /// - Parameter deployment: sixteen bytes that all nodes of one service share; nil for a new one.
    /// - Throws: if a node is there already, an edge, or what is left of one: a key that is overwritten cannot be had again.
    ///   Nothing is changed or left behind then.
    package func create(deployment: [UInt8]? = nil, now: Timestamp) throws {
        guard !exists else { throw LedgerError.exists(path: ledgerPath) }
        guard remains.isEmpty else { throw LedgerError.remains(path: path, files: remains) }
        try File.createDirectory(path)
        guard let lock = try lock() else { throw EngineError.locked(path: path) }
        try withExtendedLifetime(lock) {
            // Whoever had the lock until now may have made something.
            guard !exists else { throw LedgerError.exists(path: ledgerPath) }
            guard remains.isEmpty else { throw LedgerError.remains(path: path, files: remains) }
            do {
                try makeFiles(deployment: deployment, now: now)
            } catch {
                for file in remains { try? File.remove(path + "/" + file) }
                throw error
            }
        }
    }

    private func makeFiles(deployment: [UInt8]?, now: Timestamp) throws {
        // Hashes in a ledger are of one key for ever, so the key is durable first.
        let key = SystemRandom.bytes(IdentifierHashKey.size)
        try File.replace(keyPath, with: key, mode: 0o640)
        try makeSigningKey()
        let identity = NodeIdentity(
            history: SystemRandom.bytes(16), deployment: deployment ?? SystemRandom.bytes(16),
            keyCheck: IdentifierHashKey(bytes: key).check)
        try Ledger.create(path: ledgerPath, identity: identity, now: now)
    }

    /// The key that the hashes of this node's ledger were made with.
    ///
    /// - Throws: ``LedgerError`` `keyWrong` for any other: it would find nobody, and take every known person for a new one.
    package func hashKey(of ledger: NodeIdentity) throws -> IdentifierHashKey {
        let bytes = try File.read(keyPath, sizeMax: 4096)
        guard bytes.count == IdentifierHashKey.size else {
            throw LedgerError.keyWrong(path: keyPath, reason: "it has \(bytes.count) bytes instead of 16")
        }
        let key = IdentifierHashKey(bytes: bytes)
        guard key.check == ledger.keyCheck else {
            throw LedgerError.keyWrong(path: keyPath, reason: "it is another ledger's")
        }
        return key
    }

    /// Keeps the node closed until ``forgetDamage()``; a server that runs on it stops within a second.
    ///
    /// - Parameter finding: where and what, for people. The first one is kept.
    func noteDamage(_ finding: String) throws {
        guard !File.exists(damagePath) else { return }
        try File.replace(damagePath, with: Array(finding.utf8))
    }

    /// What was found wrong with the ledger; nil if nothing was.
    package func damage() throws -> String? {
        guard File.exists(damagePath) else { return nil }
        return String(decoding: try File.read(damagePath, sizeMax: 65_536), as: UTF8.self)
    }

    /// For who has shown that the ledger is whole.
    ///
    /// - Returns: whether anything was noted.
    func forgetDamage() throws -> Bool {
        guard File.exists(damagePath) else { return false }
        try File.remove(damagePath)
        return true
    }

    /// Takes the right to write, until the returned descriptor is closed; nil if another process has it.
    package func lock() throws -> FileDescriptor? {
        let file = try FileDescriptor.open(lockPath, .createOrOpen)
        guard try file.tryLock(waitingUpTo: 1000) else { return nil }
        return file
    }
}
