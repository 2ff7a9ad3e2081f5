import CKernel
import Glibc

/// An open file, socket, epoll set or event counter; closed when its owner lets go of it.
package struct FileDescriptor: ~Copyable {
    package let raw: Int32

    package init(owning raw: Int32) { self.raw = raw }

    deinit { close(raw) }

    /// Gives the descriptor away without closing it.
    package consuming func release() -> Int32 {
        let raw = self.raw
        discard self
        return raw
    }

    package enum Access { case readOnly, readWrite, createNew, createOrOpen, append }

    package static func open(
        _ path: String, _ access: Access, mode: UInt32 = 0o640
    ) throws(SystemError) -> FileDescriptor {
        let flags =
            switch access {
            case .readOnly: O_RDONLY
            case .readWrite: O_RDWR
            case .createNew: O_RDWR | O_CREAT | O_EXCL
            case .createOrOpen: O_RDWR | O_CREAT
            case .append: O_WRONLY | O_CREAT | O_APPEND
            }
        let raw = try retrying("open", path) { unsafe Int(ckernel_open(path, flags | O_CLOEXEC, mode)) }
        return FileDescriptor(owning: Int32(raw))
    }

    package func size() throws(SystemError) -> Int {
        var status = stat()
        try retrying("fstat") { unsafe Int(fstat(raw, &status)) }
        return Int(status.st_size)
    }

    /// The permission bits, such as 0o600.
    package func mode() throws(SystemError) -> UInt32 {
        var status = stat()
        try retrying("fstat") { unsafe Int(fstat(raw, &status)) }
        return status.st_mode & 0o7777
    }

    /// Makes the file this long and takes its blocks now, so that a full disk is an error here and not a fault later.
    package func allocate(size: Int) throws(SystemError) {
        let code = posix_fallocate(raw, 0, off_t(size))
        guard code == 0 else { throw SystemError("allocate", "\(size) bytes", code: code) }
    }

    package func truncate(size: Int) throws(SystemError) {
        try retrying("truncate") { Int(ftruncate(raw, off_t(size))) }
    }

    package func synchronize() throws(SystemError) { try retrying("fsync") { Int(fsync(raw)) } }

    /// Takes the advisory lock of the whole file; false if another process holds it.
    ///
    /// - Parameter millis: how long it may take. A process that is being started has the files of the one that starts it
    ///   until it becomes another program, so a lock that was let go of may be held by nobody for a moment yet.
    package func tryLock(waitingUpTo millis: Int32 = 0) throws(SystemError) -> Bool {
        let deadline = Clock.monotonicNanos() + Int64(millis) * 1_000_000
        while try !lockNow() {
            guard Clock.monotonicNanos() < deadline else { return false }
            Wakeup.pause(millis: 5)
        }
        return true
    }

    private func lockNow() throws(SystemError) -> Bool {
        do {
            try retrying("lock") { Int(flock(raw, LOCK_EX | LOCK_NB)) }
            return true
        } catch {
            if error.code == EWOULDBLOCK { return false }
            throw error
        }
    }

    /// Reads at most the buffer's size from the current position; zero at the end of the file.
    package func read(into buffer: UnsafeMutableRawBufferPointer) throws(SystemError) -> Int {
        try retrying("read") { unsafe Glibc.read(raw, buffer.baseAddress, buffer.count) }
    }

    /// Bytes from an offset on, wherever the current position is; fewer where the file ends before.
    package func read(at offset: Int, size: Int) throws(SystemError) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: size)
        var done = 0
        while done < size {
            let count = try retrying("read") {
                unsafe bytes.withUnsafeMutableBytes { buffer in
                    unsafe pread(raw, buffer.baseAddress! + done, buffer.count - done, off_t(offset + done))
                }
            }
            if count == 0 { break }
            done += count
        }
        return Array(bytes[..<done])
    }

    package func seek(to offset: Int) throws(SystemError) {
        try retrying("seek") { Int(lseek(raw, off_t(offset), SEEK_SET)) }
    }

    package func write(_ bytes: [UInt8]) throws(SystemError) {
        var done = 0
        while done < bytes.count {
            done += try retrying("write") {
                unsafe bytes.withUnsafeBytes { unsafe Glibc.write(raw, $0.baseAddress! + done, $0.count - done) }
            }
        }
    }
}

/// Small whole files.
package enum File {
    package static func exists(_ path: String) -> Bool { unsafe access(path, F_OK) == 0 }

    package static func read(_ path: String, sizeMax: Int = .max) throws(SystemError) -> [UInt8] {
        let file = try FileDescriptor.open(path, .readOnly)
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 65_536)
        while bytes.count <= sizeMax {
            var failure: SystemError?
            let count = unsafe chunk.withUnsafeMutableBytes { buffer in
                do throws(SystemError) {
                    return try unsafe file.read(into: buffer)
                } catch {
                    failure = error
                    return 0
                }
            }
            if let failure { throw failure }
            if count == 0 { return bytes }
            bytes += chunk[..<count]
        }
        throw SystemError("read", path, code: EFBIG)
    }

    /// Writes beside the file, makes it durable, then renames: after a crash there is the old content or the new.
    package static func replace(_ path: String, with bytes: [UInt8], mode: UInt32 = 0o640) throws(SystemError) {
        let temporary = path + ".new"
        try? remove(temporary)
        do {
            let file = try FileDescriptor.open(temporary, .createNew, mode: mode)
            try file.write(bytes)
            try file.synchronize()
        }
        try rename(temporary, to: path)
    }

    /// Renames and makes the new name durable.
    package static func rename(_ path: String, to newPath: String) throws(SystemError) {
        try retrying("rename", newPath) { unsafe Int(Glibc.rename(path, newPath)) }
        try synchronizeDirectory(of: newPath)
    }

    package static func remove(_ path: String) throws(SystemError) {
        try retrying("remove", path) { unsafe Int(unlink(path)) }
    }

    /// Makes a symbolic link, in place of one that is there, so that at every moment the name leads somewhere.
    package static func replaceLink(_ path: String, target: String) throws(SystemError) {
        let temporary = path + ".new"
        try? remove(temporary)
        try retrying("link", temporary) { unsafe Int(symlink(target, temporary)) }
        try rename(temporary, to: path)
    }

    package static func linkTarget(_ path: String) throws(SystemError) -> String {
        var buffer = [UInt8](repeating: 0, count: 4096)
        let count = try retrying("read link", path) {
            unsafe buffer.withUnsafeMutableBytes { unsafe readlink(path, $0.baseAddress!, $0.count) }
        }
        return String(decoding: buffer[..<count], as: UTF8.self)
    }

    package static func createDirectory(_ path: String, mode: UInt32 = 0o750) throws(SystemError) {
        do {
            try retrying("create directory", path) { unsafe Int(mkdir(path, mode)) }
        } catch {
            if error.code != EEXIST { throw error }
        }
    }

    package static func synchronizeDirectory(of path: String) throws(SystemError) {
        let parent = path.lastIndex(of: "/").map { String(path[..<$0]) } ?? "."
        let raw = try retrying("open", parent) {
            unsafe Int(ckernel_open(parent.isEmpty ? "/" : parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0))
        }
        try FileDescriptor(owning: Int32(raw)).synchronize()
    }

    package static func names(in directory: String) throws(SystemError) -> [String] {
        guard let stream = unsafe opendir(directory) else { throw SystemError("list", directory) }
        defer { unsafe closedir(stream) }
        var names: [String] = []
        while let entry = unsafe readdir(stream) {
            let name = unsafe withUnsafePointer(to: &entry.pointee.d_name) { pointer in
                unsafe pointer.withMemoryRebound(to: CChar.self, capacity: 256) { unsafe String(cString: $0) }
            }
            if name != "." && name != ".." { names.append(name) }
        }
        return names
    }
}
