import GRDB
import GRDBSQLite

/// A prepared statement on the ledger's connection, through SQLite's C interface: on the path of every event, where
/// GRDB's values cost more than SQLite's own work.
// A class that is confined to the connection's queue, like the connection itself.
final class Statement {
    private let handle: OpaquePointer
    private let connection: OpaquePointer
    /// Where it goes when it is not used any more, and under which text.
    private let home: (cache: StatementCache, sql: String)?

    init(_ connection: OpaquePointer, _ sql: String) throws {
        handle = try Self.prepare(connection, sql)
        self.connection = connection
        home = nil
    }

    /// Of statements that are kept: to have one prepared takes much longer than to run it.
    init(_ cache: StatementCache, _ sql: String) throws {
        connection = cache.connection
        handle = try cache.take(sql) ?? Self.prepare(cache.connection, sql)
        home = (cache, sql)
    }

    deinit {
        if let home { home.cache.giveBack(handle, home.sql) } else { sqlite3_finalize(handle) }
    }

    private static func prepare(_ connection: OpaquePointer, _ sql: String) throws -> OpaquePointer {
        var handle: OpaquePointer?
        let code = sqlite3_prepare_v3(connection, sql, -1, UInt32(SQLITE_PREPARE_PERSISTENT), &handle, nil)
        guard code == SQLITE_OK, let handle else { throw Statement.failure(connection, code) }
        return handle
    }

    func bind(_ position: Int32, _ value: Int64?) {
        if let value { sqlite3_bind_int64(handle, position, value) } else { sqlite3_bind_null(handle, position) }
    }

    func bind(_ position: Int32, _ value: Int?) { bind(position, value.map(Int64.init)) }

    /// The bytes are copied by SQLite.
    func bind(_ position: Int32, _ bytes: [UInt8]?) {
        guard let bytes else {
            sqlite3_bind_null(handle, position)
            return
        }
        _ = bytes.withUnsafeBytes {
            sqlite3_bind_blob(handle, position, $0.baseAddress, Int32($0.count), Statement.transient)
        }
    }

    func bind(_ position: Int32, _ text: String?) {
        guard var text else {
            sqlite3_bind_null(handle, position)
            return
        }
        _ = text.withUTF8 { bytes in
            bytes.withMemoryRebound(to: CChar.self) {
                sqlite3_bind_text(handle, position, $0.baseAddress, Int32($0.count), Statement.transient)
            }
        }
    }

    /// As it lies there: it must stay until the statement has run.
    func bindInPlace(_ position: Int32, _ bytes: UnsafeRawBufferPointer) {
        // An empty blob has an address, too: without one it would be null.
        sqlite3_bind_blob(
            handle, position, bytes.baseAddress ?? UnsafeRawPointer(bitPattern: 1), Int32(bytes.count), nil)
    }

    /// As it lies there, and must stay; UTF-8.
    func bindTextInPlace(_ position: Int32, _ bytes: UnsafeRawBufferPointer) {
        let start = bytes.baseAddress ?? UnsafeRawPointer(bitPattern: 1)
        sqlite3_bind_text(handle, position, start?.assumingMemoryBound(to: CChar.self), Int32(bytes.count), nil)
    }

    /// SQLite copies what is bound before the call returns.
    private static let transient = unsafeBitCast(-1, to: sqlite3_destructor_type.self)

    /// Whether there is a next row.
    func step() throws -> Bool {
        let code = sqlite3_step(handle)
        if code == SQLITE_ROW { return true }
        if code == SQLITE_DONE { return false }
        let failure = Statement.failure(connection, code)
        sqlite3_reset(handle)
        throw failure
    }

    /// Makes the statement ready for its next use.
    func reset() { sqlite3_reset(handle) }

    /// Runs a statement that has no rows.
    func run() throws {
        _ = try step()
        reset()
    }

    func isNull(_ column: Int32) -> Bool { sqlite3_column_type(handle, column) == SQLITE_NULL }
    func int64(_ column: Int32) -> Int64 { sqlite3_column_int64(handle, column) }
    func int(_ column: Int32) -> Int { Int(int64(column)) }
    func optionalInt64(_ column: Int32) -> Int64? { isNull(column) ? nil : int64(column) }

    func bytes(_ column: Int32) -> [UInt8] { Array(rawBytes(column)) }

    /// Valid until the next step.
    func rawBytes(_ column: Int32) -> UnsafeRawBufferPointer {
        let start = sqlite3_column_blob(handle, column)
        return UnsafeRawBufferPointer(start: start, count: Int(sqlite3_column_bytes(handle, column)))
    }

    func text(_ column: Int32) -> String { String(decoding: rawBytes(column), as: UTF8.self) }

    private static func failure(_ connection: OpaquePointer, _ code: Int32) -> DatabaseError {
        DatabaseError(
            resultCode: ResultCode(rawValue: code), message: String(cString: sqlite3_errmsg(connection)))
    }
}

/// The statements of a connection that nobody uses just now. One that is used twice at the same time is there twice.
// Confined to the connection's queue, like its statements.
final class StatementCache {
    let connection: OpaquePointer
    private var idle: [String: [OpaquePointer]] = [:]
    /// Of one text.
    private static let idleMax = 4

    init(_ connection: OpaquePointer) { self.connection = connection }

    deinit { for handle in idle.values.joined() { sqlite3_finalize(handle) } }

    fileprivate func take(_ sql: String) -> OpaquePointer? { idle[sql]?.popLast() }

    /// What was bound is forgotten, and what it reads is let go.
    fileprivate func giveBack(_ handle: OpaquePointer, _ sql: String) {
        guard idle[sql, default: []].count < Self.idleMax else {
            sqlite3_finalize(handle)
            return
        }
        sqlite3_reset(handle)
        sqlite3_clear_bindings(handle)
        idle[sql, default: []].append(handle)
    }
}
