/// An INSERT of many rows by as few statements as can be: to begin and end one takes a quarter of its time. For tables
/// that grow at their ends: of each page that a statement of many rows changes, SQLite keeps what it was.
// Confined to the connection's queue, like its statements.
struct RowInsert {
    /// For so many rows each, the most first.
    private let statements: [(rowCount: Int, statement: Statement)]
    private let columnCount: Int32
    private let bytes = BoundBytes()

    private static let rowCounts = [64, 8, 1]

    /// - Parameters:
    ///   - start: `INSERT INTO …`, up to `VALUES`.
    ///   - end: what comes behind the values.
    init(_ connection: OpaquePointer, _ start: String, columnCount: Int32, _ end: String = "") throws {
        self.columnCount = columnCount
        let row = "(" + Array(repeating: "?", count: Int(columnCount)).joined(separator: ",") + ")"
        statements = try Self.rowCounts.map { count in
            let rows = Array(repeating: row, count: count).joined(separator: ",")
            return (count, try Statement(connection, "\(start) VALUES \(rows) \(end)"))
        }
    }

    /// Inserts rows in their order.
    ///
    /// - Parameter bind: binds the columns of one row, all of them, to the positions after `column`; what `bytes` keeps
    ///   stays until the row is in.
    func run<Row>(
        _ rows: [Row],
        bind: (Row, Statement, _ column: Int32, _ bytes: BoundBytes) throws -> Void
    ) throws {
        var rest = rows[...]
        for (rowCount, statement) in statements {
            while rest.count >= rowCount {
                var column: Int32 = 0
                for row in rest.prefix(rowCount) {
                    try bind(row, statement, column, bytes)
                    column += columnCount
                }
                try statement.run()
                bytes.clear()
                rest = rest.dropFirst(rowCount)
            }
        }
    }
}
