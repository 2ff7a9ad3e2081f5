import CKernel
import Glibc

/// A whole file mapped and shared with every process that maps it. Unmapped when the last reference goes, so a reader
/// that holds one can never touch memory that is gone.
// Sendable though it hands out raw memory: what may be written there, and in which order, is the index's contract.
@safe package final class MappedFile: @unchecked Sendable {
    package let base: UnsafeMutableRawPointer
    /// Bytes.
    package let size: Int

    package enum Access { case readOnly, readWrite }

    package init(_ file: borrowing FileDescriptor, access: Access) throws(SystemError) {
        size = try file.size()
        guard let base = unsafe ckernel_map(file.raw, size, access == .readWrite ? 1 : 0) else {
            throw SystemError("map", "\(size) bytes")
        }
        unsafe self.base = base
        unsafe ckernel_remember_mapping(base, size, file.raw)
    }

    /// Asks for large pages, where the file system has them: random accesses then miss the processor's table of pages
    /// much less. Only an advice.
    package func preferLargePages() { _ = unsafe madvise(base, size, Int32(MADV_HUGEPAGE)) }

    /// Gives every page of a new file its memory now and in order, not one by one at the first write to each. Only an
    /// advice.
    package func populate() { _ = unsafe madvise(base, size, ckernel_populate_write()) }

    deinit {
        unsafe ckernel_forget_mapping(base)
        unsafe munmap(base, size)
    }

    /// From now on a bus error, which is a mapped file that was cut short or whose disk failed, says on standard error which
    /// file it was, and ends the process with a code.
    package static func tellBusErrors(exitCode: Int32) { _ = ckernel_tell_bus_errors(exitCode) }

    /// Makes everything written so far durable.
    package func synchronize() throws(SystemError) {
        try retrying("msync") { unsafe Int(msync(base, size, MS_SYNC)) }
    }

    /// Makes one page at the start durable.
    package func synchronizeFirstPage() throws(SystemError) {
        try retrying("msync") { unsafe Int(msync(base, min(size, 4096), MS_SYNC)) }
    }
}
