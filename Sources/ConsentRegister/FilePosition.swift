/// A place in a register at which reading can start again: always the first byte of a physical line.
package struct FilePosition: Hashable, Sendable {
    /// Bytes from the start of the file, a byte order mark included.
    package var offset: UInt64
    /// The physical line, counted from 1.
    package var line: Int

    package init(offset: UInt64, line: Int) {
        self.offset = offset
        self.line = line
    }

    package static let start = FilePosition(offset: 0, line: 1)
}
