/// Bytes that lie still until the statement has run that they are bound to, so that SQLite need not copy them.
// Confined to the connection's queue, like the statement.
final class BoundBytes {
    private var blocks: [UnsafeMutableRawBufferPointer] = []
    /// Of the last block, so much is taken.
    private var used = 0
    private static let blockSize = 64 * 1024

    deinit { for block in blocks { block.deallocate() } }

    /// A copy that is valid until ``clear()``.
    func keep(_ bytes: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer {
        var block = blocks.last ?? UnsafeMutableRawBufferPointer(start: nil, count: 0)
        if used + bytes.count > block.count {
            block = .allocate(byteCount: max(bytes.count, Self.blockSize), alignment: 1)
            blocks.append(block)
            used = 0
        }
        let place = UnsafeMutableRawBufferPointer(rebasing: block[used..<used + bytes.count])
        place.copyMemory(from: bytes)
        used += bytes.count
        return UnsafeRawBufferPointer(place)
    }

    func keep(_ text: String) -> UnsafeRawBufferPointer {
        var text = text
        return text.withUTF8 { keep(UnsafeRawBufferPointer($0)) }
    }

    /// Forgets what was kept; one block stays for what comes.
    func clear() {
        for block in blocks.dropFirst() { block.deallocate() }
        blocks.removeSubrange(min(1, blocks.count)...)
        used = 0
    }
}
