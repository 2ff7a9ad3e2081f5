import ConsentIndex
import ConsentKernel
import ConsentTestSupport

extension TemporaryFolder {
    /// Of an index; made by the first writer.
    var index: IndexFolder { IndexFolder(path + "/index") }

    /// What is in the index's folder, in order.
    var names: [String] { ((try? File.names(in: path + "/index")) ?? []).sorted() }

    /// The current generation's file.
    var currentFile: String { path + "/index/" + ((try? File.linkTarget(index.currentPath)) ?? "none") }

    /// Maps of this process that lead into the folder.
    var mapped: [String] {
        let maps = String(decoding: (try? File.read("/proc/self/maps")) ?? [], as: UTF8.self)
        return maps.split(separator: "\n").filter { $0.contains(path) }.map(String.init)
    }
}

/// Overwrites bytes of a file in place, so that whoever has it mapped sees them.
func overwrite(_ path: String, at offset: Int, _ bytes: [UInt8]) throws {
    let file = try FileDescriptor.open(path, .readWrite)
    try file.seek(to: offset)
    try file.write(bytes)
}

func littleEndian(_ word: UInt64) -> [UInt8] { (0..<8).map { UInt8(truncatingIfNeeded: word >> UInt64(8 * $0)) } }
