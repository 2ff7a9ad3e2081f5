package import ConsentIndex
package import ConsentKernel
import ConsentWire

/// Where an edge keeps its files; whoever maps the index of an edge finds it where that of a node is.
///
///     index/      rows
///     index.key   the key of the identifier hashes, from the upstream
///     catalog     the catalog that the rows are made by, as it came over the wire
///     lock        held by the one process that may write
///
/// All of it can be had again from the upstream, so nothing of it is ever repaired: what does not prove itself is made anew.
package struct EdgeFolder: Sendable {
    package let path: String

    package init(_ path: String) { self.path = path.count > 1 && path.hasSuffix("/") ? String(path.dropLast()) : path }

    package var indexFolder: IndexFolder { IndexFolder(path + "/index") }
    package var keyPath: String { path + "/index.key" }
    package var catalogPath: String { path + "/catalog" }
    package var lockPath: String { path + "/lock" }

    /// Makes the folder if it is not there, and takes the right to write until the returned descriptor is closed; nil if
    /// another process has it.
    package func lock() throws(SystemError) -> FileDescriptor? {
        try File.createDirectory(path)
        let file = try FileDescriptor.open(lockPath, .createOrOpen)
        guard try file.tryLock(waitingUpTo: 1000) else { return nil }
        return file
    }

    /// Nil if there is none that can be read.
    func catalog() -> SyncCatalog? {
        guard var bytes = try? File.read(catalogPath, sizeMax: 4 * WireLimit.frameSizeMax) else { return nil }
        return bytes.withUnsafeMutableBytes { buffer in
            guard case .frame(let rules) = scanFrame(buffer), rules.opcode == Opcode.catalogRules.rawValue,
                var catalog = try? SyncCatalog(rules),
                case .frame(let text) = scanFrame(UnsafeMutableRawBufferPointer(rebasing: buffer[rules.size...])),
                text.opcode == Opcode.rulesText.rawValue, let document = try? SyncCatalog.text(text)
            else { return nil }
            catalog.text = document
            return catalog
        }
    }

    func setCatalog(_ catalog: SyncCatalog) throws(SystemError) {
        var output = OutputBuffer(capacity: 4096)
        catalog.encodeRules(number: 0, into: &output)
        catalog.encodeText(number: 0, into: &output)
        try File.replace(catalogPath, with: Array(output.bytes))
    }

    /// Nil if there is none that can be read.
    func hashKey() -> [UInt8]? {
        guard let bytes = try? File.read(keyPath, sizeMax: 4096), bytes.count == IdentifierHashKey.size else {
            return nil
        }
        return bytes
    }
}
