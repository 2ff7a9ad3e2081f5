package import ConsentModel

/// Every limit of reading a register in one place. What an event may hold stands in ConsentModel's `Limit`.
package enum RegisterLimit {
    /// One field as it is written, its doubled quotes included: 16 times the largest evidence that an event takes.
    package static let fieldSizeMax = 64 * 1024
    /// One row as it is written. Together with one piece it bounds what a reader keeps: 1 MiB + 256 KiB.
    package static let rowSizeMax = 1024 * 1024
    /// Lines that one quoted field may reach over. Past it the quote counts as never closed.
    package static let quotedLinesMax = 64
    /// The first row, with what stands before it: 256 columns of 256 bytes.
    package static let headerSizeMax = 64 * 1024
    package static let columnsMax = 256
    /// How much of a chunk is taken in at once, so that a mapped file of any size costs one small buffer that stays
    /// in the cache.
    package static let pieceSize = 256 * 1024
    /// What is kept of a row for the reject file.
    package static let rejectTextSizeMax = 4 * 1024
    /// Lines of it, so that the reject file can be read by the same rules as a register.
    package static let rejectTextLinesMax = 32
    /// Purposes named by one row.
    package static let purposesPerRowMax = 64
    /// A row that was captured earlier is undated: 1970-01-01, in whatever zone, is what systems write for "unknown". The
    /// day has ended everywhere 12 hours after it has in UTC.
    package static let datedMin = Timestamp(seconds: 36 * 3600)
    /// A progress point as text: a few lines of fixed size, and one per rule that some row broke.
    package static let progressTextSizeMax = 16 * 1024
}
