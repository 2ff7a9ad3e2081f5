import CLedger
package import ConsentModel
import Dispatch
import Foundation
import GRDB
import Synchronization

/// The durable record: an append-only chain of events in SQLite, and what is derived from it.
///
/// One writer at a time; readers see whole groups only. A group that ``write(_:)`` has returned from survives the end of
/// the process and of the machine (WAL with `synchronous=FULL`).
package final class Ledger: Sendable {
    package let path: String
    package let identity: NodeIdentity
    private let pool: DatabasePool
    private let walks = HistoryWalks()
    /// Used only inside the pool's writer queue.
    private let writer: Confined<LedgerTransaction?>
    /// A connection for who decides about the next group while one is stored; made when first needed.
    private let beside = Mutex<Beside?>(nil)

    /// How many stored events were read, each by itself, to decide about changes: while one is, all others wait.
    package var eventsRead: UInt64 { eventsReadCount.value }
    private let eventsReadCount = EventsRead()

    /// Of the pool's readers, by their connections; nil when the ledger is being closed.
    private let memories = Mutex<[Int: Confined<ReaderMemory?>]?>([:])
    /// Who reads just now. The pool does not stand being closed before somebody who has begun to read.
    private let readers = DispatchGroup()

    private struct Beside: Sendable {
        let queue: DatabaseQueue
        /// Used only inside the queue.
        let reading: Confined<LedgerReading?>
    }

    /// Makes an empty ledger.
    ///
    /// - Throws: ``LedgerError`` `exists`; then nothing was changed.
    package static func create(path: String, identity: NodeIdentity, now: Timestamp) throws(LedgerError) {
        guard !FileManager.default.fileExists(atPath: path) else { throw .exists(path: path) }
        do {
            let pool = try openPool(path: path)
            try Schema.migrator.migrate(pool)
            try pool.write { database in
                let values = [
                    ("history", Data(identity.history)), ("deployment", Data(identity.deployment)),
                    ("key_check", withUnsafeBytes(of: identity.keyCheck.littleEndian) { Data($0) }),
                    ("created_at", Data("\(now.millis)".utf8)),
                ]
                for (name, value) in values {
                    try database.execute(sql: "INSERT INTO node VALUES (?, ?)", arguments: [name, value])
                }
            }
            try pool.close()
        } catch {
            throw LedgerError(error, path: path)
        }
    }

    /// Opens a ledger, and brings one that an older version wrote up to date. What is newer than this program, or no
    /// ledger, stays as it is.
    package init(path: String) throws(LedgerError) {
        self.path = path
        guard FileManager.default.fileExists(atPath: path) else { throw .missing(path: path) }
        do {
            try Self.requireKnown(path: path)
            let pool = try Self.openPool(path: path)
            try Schema.migrator.migrate(pool)
            let values = try pool.read { database in
                try Row.fetchAll(database, sql: "SELECT name, value FROM node").map { row in
                    (row[0] as String, [UInt8](row[1] as Data))
                }
            }
            let byName = Dictionary(uniqueKeysWithValues: values)
            guard let history = byName["history"], let deployment = byName["deployment"], history.count == 16,
                deployment.count == 16, let keyCheck = byName["key_check"], keyCheck.count == 8
            else { throw LedgerError.corrupt(where: path, what: "the table 'node' lacks its names") }
            identity = NodeIdentity(
                history: history, deployment: deployment,
                keyCheck: keyCheck.withUnsafeBytes { UInt64(littleEndian: $0.loadUnaligned(as: UInt64.self)) })
            self.pool = pool
            writer = Confined(nil)
        } catch {
            throw LedgerError(error, path: path)
        }
    }

    /// Looks without writing: a pool changes whatever file it opens.
    private static func requireKnown(path: String) throws {
        _ = setUp
        var configuration = Configuration()
        configuration.readonly = true
        let database = try DatabaseQueue(path: path, configuration: configuration)
        try database.read { database in
            if try Schema.migrator.hasBeenSuperseded(database) { throw LedgerError.newerVersion(path: path) }
            guard try database.tableExists("node") else {
                throw LedgerError.notALedger(path: path, reason: "it has no table 'node'")
            }
        }
        try database.close()
    }

    /// Once in a process, before it opens the first database.
    private static let setUp: Void = cledger_keep_no_account_of_memory()

    private static func openPool(path: String) throws -> DatabasePool {
        _ = setUp
        var configuration = Configuration()
        configuration.label = "ledger"
        configuration.maximumReaderCount = 4
        configuration.busyMode = .timeout(Double(Ledger.busyMillis) / 1000)
        configuration.prepareDatabase { database in
            // Readers scan, and use the same few pages again and again. 64 MiB of log between checkpoints: a checkpoint
            // writes each changed page once. What statements change is kept in memory until they have ended: a file would
            // hold what is personal, and outlive its erasure.
            let cacheKibibytes = database.configuration.readonly ? 8192 : 262_144
            try database.execute(
                sql: """
                    PRAGMA wal_autocheckpoint = 16384;
                    PRAGMA cache_size = -\(cacheKibibytes);
                    PRAGMA secure_delete = ON;
                    PRAGMA temp_store = MEMORY;
                    PRAGMA trusted_schema = OFF;
                    """)
        }
        let pool = try DatabasePool(path: path, configuration: configuration)
        try pool.writeWithoutTransaction { database in
            // After GRDB has set up its log mode, which sets NORMAL: a commit would not survive the end of the machine.
            try database.execute(sql: "PRAGMA synchronous = FULL")
            guard try Int.fetchOne(database, sql: "PRAGMA synchronous") == 2,
                try String.fetchOne(database, sql: "PRAGMA journal_mode") == "wal"
            else { throw LedgerError.unavailable("SQLite does not wait until commits are durable") }
        }
        return pool
    }

    /// Runs one group of changes as one transaction: all of it is durable when the call returns, or none happened.
    package func write<Result>(_ body: (LedgerTransaction) throws -> Result) throws(LedgerError) -> Result {
        do {
            return try pool.write { database in
                let transaction = try writer.value ?? LedgerTransaction(database.sqliteConnection!, eventsReadCount)
                writer.value = transaction
                do {
                    try transaction.reading.begin()
                    return try body(transaction)
                } catch {
                    // What it remembers of the database is no longer so.
                    writer.value = nil
                    throw error
                }
            }
        } catch {
            // A commit that failed has undone the group, too.
            pool.writeForget(writer)
            throw LedgerError(error, path: path)
        }
    }

    /// Reads from one state of the ledger, beside the writer.
    package func read<Result>(_ body: (LedgerSnapshot) throws -> Result) throws(LedgerError) -> Result {
        do {
            try beginReading()
            defer { readers.leave() }
            return try pool.read { database in
                try body(LedgerSnapshot(memory(of: database.sqliteConnection!), identity: identity, walks: walks))
            }
        } catch {
            throw LedgerError(error, path: path)
        }
    }

    private func beginReading() throws(DatabaseError) {
        let isOpen = memories.withLock { memories in
            if memories != nil { readers.enter() }
            return memories != nil
        }
        guard isOpen else { throw DatabaseError(resultCode: .SQLITE_MISUSE, message: "the ledger is closed") }
    }

    /// What the reader keeps whose queue this is called on.
    private func memory(of connection: OpaquePointer) -> ReaderMemory {
        let kept = memories.withLock { [key = Int(bitPattern: connection)] memories in
            let known = memories?[key]
            let kept = known ?? Confined<ReaderMemory?>(nil)
            memories?[key] = kept
            return kept
        }
        let memory = kept.value ?? ReaderMemory(connection)
        kept.value = memory
        return memory
    }

    /// Lets nobody read any more, and waits for whoever does. Statements must be gone before a connection can be closed.
    private func forgetReaders() throws {
        let known = memories.withLock { memories in
            defer { memories = nil }
            return memories ?? [:]
        }
        readers.wait()
        guard !known.isEmpty else { return }
        try pool.barrierWriteWithoutTransaction { _ in for memory in known.values { memory.value = nil } }
    }

    /// Reads from one state of the ledger while a group is stored, by statements that are kept.
    package func readBeside<Result>(_ body: (LedgerReading) throws -> Result) throws(LedgerError) -> Result {
        do {
            let beside = try beside.withLock { beside in
                let known = try beside ?? Beside(queue: openBeside(), reading: Confined(nil))
                beside = known
                return known
            }
            return try beside.queue.read { database in
                let reading = try beside.reading.value ?? LedgerReading(database.sqliteConnection!, eventsReadCount)
                beside.reading.value = reading
                try reading.begin()
                return try body(reading)
            }
        } catch {
            throw LedgerError(error, path: path)
        }
    }

    private func openBeside() throws -> DatabaseQueue {
        var configuration = Configuration()
        configuration.label = "ledger.beside"
        configuration.readonly = true
        configuration.busyMode = .timeout(Double(Ledger.busyMillis) / 1000)
        return try DatabaseQueue(path: path, configuration: configuration)
    }

    /// Folds the log of the database into its file and empties it, so that what was erased is in neither. While somebody
    /// reads what was before, that cannot be.
    ///
    /// - Returns: false if a reader stands in the way; try again later. Nothing else is held up for it.
    package func removeTraces() throws(LedgerError) -> Bool {
        do {
            return try pool.writeWithoutTransaction { database in
                try database.execute(sql: "PRAGMA busy_timeout = \(Self.tracesWaitMillis)")
                defer { try? database.execute(sql: "PRAGMA busy_timeout = \(Self.busyMillis)") }
                do {
                    _ = try database.checkpoint(.truncate)
                } catch let error as DatabaseError where error.resultCode == .SQLITE_BUSY {
                    return false
                }
                try database.execute(sql: "DELETE FROM erasure_pending")
                return true
            }
        } catch {
            throw LedgerError(error, path: path)
        }
    }

    private static let busyMillis = 5000
    /// Changes wait as long.
    private static let tracesWaitMillis = 50

    /// Closes in order; the log is folded into the file, unless somebody else reads it. Nothing happens if it is closed already.
    package func close() throws(LedgerError) {
        do {
            try beside.withLock { beside in
                if let known = beside {
                    known.queue.inDatabase { _ in known.reading.value = nil }
                    try known.queue.close()
                }
                beside = nil
            }
            pool.writeForget(writer)
            try forgetReaders()
            try pool.writeWithoutTransaction { database in
                guard database.sqliteConnection != nil else { return }
                // Who reads it just now, such as a verification, is not waited for: the log is durable as it is.
                try database.execute(sql: "PRAGMA busy_timeout = 100")
                do {
                    _ = try database.checkpoint(.truncate)
                } catch let error as DatabaseError where error.resultCode == .SQLITE_BUSY {}
            }
            try pool.close()
        } catch {
            throw LedgerError(error, path: path)
        }
    }
}

/// A value that one serial queue alone touches.
// Sendable because every access stands inside the queue of the connection that it belongs to.
private final class Confined<Value>: @unchecked Sendable {
    var value: Value

    init(_ value: Value) { self.value = value }
}

extension DatabasePool {
    fileprivate func writeForget(_ writer: Confined<LedgerTransaction?>) {
        writeWithoutTransaction { _ in writer.value = nil }
    }
}
