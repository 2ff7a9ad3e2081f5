import CKernel
import Glibc

/// Looks for bytes in the files of a folder, as they lie there.
package struct ByteSearch {
    package struct Place: Equatable, Sendable {
        /// From the folder.
        package var file: String
        package var offset: Int
        /// Which of the values.
        package var value: Int
    }

    private let values: [[UInt8]]
    package private(set) var fileCount = 0
    /// Bytes that were looked at.
    package private(set) var size = 0
    /// The first places of each value in each file.
    package private(set) var places: [Place] = []

    private static let chunkSize = 1 << 20

    /// - Precondition: no value is empty.
    package init(for values: [[UInt8]]) {
        precondition(values.allSatisfy { !$0.isEmpty && $0.count <= Self.chunkSize })
        self.values = values
    }

    /// Looks through a folder and those in it. Links are not followed; what vanishes meanwhile is not there.
    ///
    /// - Throws: for a file that is there and cannot be read.
    package mutating func search(_ folder: String) throws(SystemError) { try search(folder, below: "") }

    private mutating func search(_ folder: String, below prefix: String) throws(SystemError) {
        for name in try File.names(in: folder).sorted() {
            let path = folder + "/" + name
            switch unsafe ckernel_file_kind(path) {
            case 1: try searchFile(path, prefix + name)
            case 2: try search(path, below: prefix + name + "/")
            default: continue
            }
        }
    }

    private mutating func searchFile(_ path: String, _ name: String) throws(SystemError) {
        let file: FileDescriptor
        do {
            file = try FileDescriptor.open(path, .readOnly)
        } catch {
            if error.isMissing { return }
            throw error
        }
        fileCount += 1
        // What a chunk ends with is looked at again with the next one.
        let overlap = (values.map(\.count).max() ?? 1) - 1
        var buffer = [UInt8](repeating: 0, count: Self.chunkSize + overlap)
        var (kept, start) = (0, 0)
        var open = Set(values.indices)
        while true {
            let count = try read(file, into: &buffer, after: kept)
            if count == 0 { return }
            size += count
            for value in open.sorted() {
                guard let offset = Self.offset(of: values[value], in: buffer, count: kept + count) else { continue }
                places.append(Place(file: name, offset: start + offset, value: value))
                open.remove(value)
            }
            let next = min(overlap, kept + count)
            start += kept + count - next
            buffer.replaceSubrange(0..<next, with: Array(buffer[kept + count - next..<kept + count]))
            kept = next
        }
    }

    private func read(
        _ file: borrowing FileDescriptor, into buffer: inout [UInt8], after kept: Int
    ) throws(SystemError) -> Int {
        var failure: SystemError?
        let count = unsafe buffer.withUnsafeMutableBytes { bytes in
            do throws(SystemError) {
                let free = unsafe UnsafeMutableRawBufferPointer(rebasing: bytes[kept..<kept + Self.chunkSize])
                return try unsafe file.read(into: free)
            } catch {
                failure = error
                return 0
            }
        }
        if let failure { throw failure }
        return count
    }

    private static func offset(of value: [UInt8], in buffer: [UInt8], count: Int) -> Int? {
        unsafe buffer.withUnsafeBytes { bytes in
            unsafe value.withUnsafeBytes { value in
                let found = unsafe ckernel_find(bytes.baseAddress, count, value.baseAddress, value.count)
                return found < 0 ? nil : Int(found)
            }
        }
    }
}
