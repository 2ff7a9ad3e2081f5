import ConsentKernel
import ConsentLedger
import ConsentProof

/// The node's checkpoints, one a line, oldest first. A busy node adds some half a million a year, so whoever opens,
/// signs or proves reads a few lines of it; all of them are `verify`'s to read.
///
/// What stands behind the last line feed was not written to its end, and does not count.
struct CheckpointFile {
    let path: String

    /// So many at the end are judged when a node opens: a crash of the machine or of the disk tears what was written last,
    /// which is one line, and the next checkpoint goes on from the last one. Whether older ones still say what was signed
    /// says nothing about what the node answers, and takes a signature each to find out.
    static let checkedAtOpening = 16
    /// A line has some 560 bytes: room for as many as are checked, and more.
    private static let blockSize = 16_384

    init(_ folder: NodeFolder) { path = folder.checkpointsPath }

    /// The last ones, oldest first.
    ///
    /// - Throws: ``LedgerError`` `checkpointsUnreadable` if one of them is none.
    func last() throws -> [Checkpoint] {
        guard File.exists(path) else { return [] }
        let file = try FileDescriptor.open(path, .readOnly)
        let end = try endOfLines(file)
        var (checkpoints, position) = ([Checkpoint](), end)
        while position > 0, checkpoints.count < Self.checkedAtOpening {
            let start = try startOfLine(file, before: position - 1)
            checkpoints.append(try checkpoint(file, start, position))
            position = start
        }
        return checkpoints.reversed()
    }

    /// The one that covers an event, looked for by halves; nil if there is none.
    ///
    /// - Throws: as above, for those that are looked at.
    func checkpoint(covering sequence: UInt64) throws -> Checkpoint? {
        guard File.exists(path) else { return nil }
        let file = try FileDescriptor.open(path, .readOnly)
        // Lines begin and end at both.
        var (low, high) = (0, try endOfLines(file))
        while low < high {
            let start = try startOfLine(file, before: (low + high) / 2)
            let end = try endOfLine(file, from: start)
            let checkpoint = try checkpoint(file, start, end)
            if checkpoint.covers(sequence) { return checkpoint }
            if sequence < checkpoint.first { high = start } else { low = end }
        }
        return nil
    }

    /// Durable when it returns. What a crash left half-written is cut off.
    func append(_ checkpoint: Checkpoint) throws {
        let isNew = !File.exists(path)
        let file = try FileDescriptor.open(path, .createOrOpen)
        let end = try endOfLines(file)
        if try end < file.size() { try file.truncate(size: end) }
        try file.seek(to: end)
        try file.write(Array((checkpoint.text + "\n").utf8))
        try file.synchronize()
        if isNew { try File.synchronizeDirectory(of: path) }
    }

    private func checkpoint(_ file: borrowing FileDescriptor, _ start: Int, _ end: Int) throws -> Checkpoint {
        do {
            return try Checkpoint(text: String(decoding: try file.read(at: start, size: end - start), as: UTF8.self))
        } catch let error as ProofError {
            throw LedgerError.checkpointsUnreadable(path: path, reason: "at byte \(start): \(error)")
        }
    }

    /// Behind the last line feed.
    private func endOfLines(_ file: borrowing FileDescriptor) throws -> Int {
        try startOfLine(file, before: try file.size())
    }

    /// Behind the last line feed before a position; zero if there is none.
    private func startOfLine(_ file: borrowing FileDescriptor, before position: Int) throws -> Int {
        var end = position
        while end > 0 {
            let start = max(0, end - Self.blockSize)
            let bytes = try file.read(at: start, size: end - start)
            if let feed = bytes.lastIndex(of: UInt8(ascii: "\n")) { return start + feed + 1 }
            end = start
        }
        return 0
    }

    /// Behind the first line feed from a position on, before which a line ends.
    private func endOfLine(_ file: borrowing FileDescriptor, from position: Int) throws -> Int {
        var start = position
        while true {
            let bytes = try file.read(at: start, size: Self.blockSize)
            if let feed = bytes.firstIndex(of: UInt8(ascii: "\n")) { return start + feed + 1 }
            guard !bytes.isEmpty else { return start }
            start += bytes.count
        }
    }
}
