import ConsentKernel
import ConsentTestSupport
import Glibc
import Synchronization
import Testing

struct FileTests {
    private let folder = TemporaryFolder()

    @Test func aReplacedFileHasTheNewContentAndLeavesNothingBeside() throws {
        let path = folder.path("file")
        try File.replace(path, with: [1, 2, 3])
        try File.replace(path, with: [4])
        #expect(try File.read(path) == [4])
        try File.replace(path, with: [])
        #expect(try File.read(path) == [])
        #expect(folder.names == ["file"] && folder.openCount == 0)
    }

    @Test func aReplacedFileHasTheModeAskedFor() throws {
        try File.replace(folder.path("secret"), with: [1], mode: 0o600)
        #expect(try FileDescriptor.open(folder.path("secret"), .readOnly).mode() == 0o600)
    }

    @Test func whatAnEarlierAttemptLeftIsNoHindrance() throws {
        try File.replace(folder.path("file.new"), with: [9, 9, 9, 9])
        try File.replace(folder.path("file"), with: [1])
        #expect(try File.read(folder.path("file")) == [1])
        #expect(folder.names == ["file"])
    }

    /// Whoever reads meanwhile sees the old content or the new, whole, and never none.
    @Test func aFileIsReplacedAtOnce() throws {
        let path = folder.path("file")
        try File.replace(path, with: [UInt8](repeating: 0, count: 10_000))
        let (isOver, wrong) = (Flag(), Flag())
        let reader = Thread(name: "reader") {
            while !isOver.value.load(ordering: .relaxed) {
                let bytes = try? File.read(path)
                if bytes?.count != 10_000 || Set(bytes ?? []).count != 1 { wrong.value.store(true, ordering: .relaxed) }
            }
        }
        for content in 1...100 { try File.replace(path, with: [UInt8](repeating: UInt8(content), count: 10_000)) }
        isOver.value.store(true, ordering: .relaxed)
        reader.join()
        let isWrong = wrong.value.load(ordering: .relaxed)
        #expect(!isWrong)
    }

    @Test func aFileThatCannotBeReplacedStaysAsItIs() throws {
        try File.replace(folder.path("file"), with: [1])
        let error = failure { () throws(SystemError) in try File.replace(folder.path("none/file"), with: [2]) }
        #expect(error?.code == ENOENT && error?.isMissing == true)
        #expect(try File.read(folder.path("file")) == [1])
    }

    @Test func aFileIsReadUpToItsLimitAndNotBeyond() throws {
        let path = folder.path("file")
        let bytes = (0..<200_000).map { UInt8(truncatingIfNeeded: $0) }
        try File.replace(path, with: bytes)
        #expect(try File.read(path) == bytes)
        #expect(try File.read(path, sizeMax: 200_000) == bytes)
        #expect(failure { () throws(SystemError) in _ = try File.read(path, sizeMax: 199_999) }?.code == EFBIG)
        #expect(folder.openCount == 0)
    }

    @Test func aLinkIsReplacedAtOnce() throws {
        let path = folder.path("current")
        try File.replaceLink(path, target: "generation-0")
        let (isOver, wrong) = (Flag(), Flag())
        let reader = Thread(name: "reader") {
            while !isOver.value.load(ordering: .relaxed) {
                if (try? File.linkTarget(path))?.hasPrefix("generation-") != true {
                    wrong.value.store(true, ordering: .relaxed)
                }
            }
        }
        for generation in 1...100 { try File.replaceLink(path, target: "generation-\(generation)") }
        isOver.value.store(true, ordering: .relaxed)
        reader.join()
        let isWrong = wrong.value.load(ordering: .relaxed)
        #expect(!isWrong)
        #expect(try File.linkTarget(path) == "generation-100")
        #expect(folder.names == ["current"])
    }

    @Test func whatIsNoLinkHasNoTarget() throws {
        try File.replace(folder.path("file"), with: [])
        #expect(failure { () throws(SystemError) in _ = try File.linkTarget(folder.path("file")) }?.code == EINVAL)
        #expect(failure { () throws(SystemError) in _ = try File.linkTarget(folder.path("none")) }?.code == ENOENT)
    }

    @Test func aLinkThatLeadsNowhereDoesNotExist() throws {
        try File.replaceLink(folder.path("link"), target: "nothing")
        #expect(!File.exists(folder.path("link")) && File.exists(folder.path))
    }

    @Test func aDirectoryMayBeThereAlready() throws {
        let path = folder.path("directory")
        try File.createDirectory(path)
        try File.createDirectory(path)
        #expect(try File.names(in: path) == [])
        rmdir(path)
        #expect(failure { () throws(SystemError) in _ = try File.names(in: path) }?.isMissing == true)
    }

    @Test func namesAreThoseOfEveryEntry() throws {
        let expected = (["a", ".hidden", "øæå", String(repeating: "x", count: 255)] + (0..<300).map(String.init))
            .sorted()
        for name in expected { _ = try FileDescriptor.open(folder.path(name), .createNew) }
        #expect(folder.names == expected)
    }

    private final class Flag: Sendable {
        let value = Atomic(false)
    }
}

struct FileDescriptorTests {
    private let folder = TemporaryFolder()

    @Test func aDescriptorClosesWithItsOwner() throws {
        do {
            let file = try FileDescriptor.open(folder.path("file"), .createNew)
            #expect(folder.openCount == 1)
            #expect(kernelName(file.raw) == folder.path("file"))
        }
        #expect(folder.openCount == 0)
    }

    @Test func aReleasedDescriptorStaysOpen() throws {
        let raw = try FileDescriptor.open(folder.path("file"), .createNew).release()
        #expect(folder.openCount == 1)
        #expect(try FileDescriptor(owning: raw).size() == 0)
        #expect(folder.openCount == 0)
    }

    @Test func everyDescriptorIsClosedOnExec() throws {
        let file = try FileDescriptor.open(folder.path("file"), .createOrOpen)
        let listener = try Socket.listen(.tcp(host: "127.0.0.1", port: 0))
        let wakeup = try Wakeup()
        for raw in [file.raw, listener.raw, wakeup.raw] { #expect(fcntl(raw, F_GETFD) & FD_CLOEXEC != 0) }
    }

    @Test func whatIsThereIsNotCreatedAnew() throws {
        _ = try FileDescriptor.open(folder.path("file"), .createNew)
        let again = failure { () throws(SystemError) in _ = try FileDescriptor.open(folder.path("file"), .createNew) }
        #expect(again?.code == EEXIST)
        let missing = failure { () throws(SystemError) in _ = try FileDescriptor.open(folder.path("none"), .readWrite) }
        #expect(missing?.code == ENOENT && missing?.subject == folder.path("none"))
    }

    @Test func appendingWritesAtTheEnd() throws {
        for byte in 1...3 as ClosedRange<UInt8> {
            try FileDescriptor.open(folder.path("log"), .append).write([byte])
        }
        #expect(try File.read(folder.path("log")) == [1, 2, 3])
    }

    @Test func allocatedBytesAreZeroAndTruncatedOnesAreGone() throws {
        let file = try FileDescriptor.open(folder.path("file"), .createNew)
        try file.write([1, 2, 3])
        try file.allocate(size: 10)
        #expect(try File.read(folder.path("file")) == [1, 2, 3, 0, 0, 0, 0, 0, 0, 0])
        try file.truncate(size: 2)
        try file.synchronize()
        #expect(try file.size() == 2)
    }

    @Test func aFileThatCannotBeMadeSoLongSaysSo() throws {
        let file = try FileDescriptor.open(folder.path("file"), .createNew)
        let error = failure { () throws(SystemError) in try file.allocate(size: .max) }
        #expect(error?.operation == "allocate" && (error?.code == EFBIG || error?.isFull == true))
    }

    @Test func aLockIsHeldByOneUntilItCloses() throws {
        let other = try FileDescriptor.open(folder.path("lock"), .createOrOpen)
        do {
            let first = try FileDescriptor.open(folder.path("lock"), .createOrOpen)
            #expect(try first.tryLock())
            // Twice by the same is once.
            #expect(try first.tryLock())
            #expect(try !other.tryLock())
        }
        #expect(try other.tryLock())
    }

    /// As of a process that was being started when its owner let go of it.
    @Test func aLockThatIsHeldForAMomentYetIsWaitedFor() throws {
        let other = try FileDescriptor.open(folder.path("lock"), .createOrOpen)
        let raw = try FileDescriptor.open(folder.path("lock"), .createOrOpen).release()
        let copy = dup(raw)
        #expect(copy >= 0)
        do {
            let first = FileDescriptor(owning: raw)
            #expect(try first.tryLock())
        }
        #expect(try !other.tryLock(waitingUpTo: 20))
        let thread = Thread(name: "holder") {
            Wakeup.pause(millis: 100)
            _ = FileDescriptor(owning: copy)
        }
        #expect(try other.tryLock(waitingUpTo: 60_000))
        thread.join()
    }

    @Test func seekingAndReadingGoTogether() throws {
        let file = try FileDescriptor.open(folder.path("file"), .createNew)
        try file.write(Array(0..<100))
        try file.seek(to: 90)
        var bytes = [UInt8](repeating: 0, count: 64)
        let count = try bytes.withUnsafeMutableBytes { buffer throws(SystemError) in try file.read(into: buffer) }
        #expect(Array(bytes[..<count]) == Array(90..<100))
    }

    @Test func aMappingShowsTheFileAndOutlivesItsDescriptorAndItsName() throws {
        let path = folder.path("file")
        let (writable, readable): (MappedFile, MappedFile)
        do {
            let file = try FileDescriptor.open(path, .createNew)
            try file.allocate(size: 10_000)
            (writable, readable) = try (MappedFile(file, access: .readWrite), MappedFile(file, access: .readOnly))
        }
        #expect(readable.size == 10_000 && folder.openCount == 0)
        writable.base.storeBytes(of: 77, toByteOffset: 9_999, as: UInt8.self)
        try writable.synchronize()
        try writable.synchronizeFirstPage()
        #expect(try File.read(path)[9_999] == 77)
        try File.remove(path)
        #expect(readable.base.load(fromByteOffset: 9_999, as: UInt8.self) == 77)
    }

    @Test func anEmptyFileCannotBeMapped() throws {
        let file = try FileDescriptor.open(folder.path("file"), .createNew)
        #expect(failure { () throws(SystemError) in _ = try MappedFile(file, access: .readOnly) }?.code == EINVAL)
    }
}
