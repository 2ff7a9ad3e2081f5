import ConsentKernel
import Glibc
import Synchronization
import Testing

struct ClockTests {
    @Test func theMonotonicClockNeverGoesBack() {
        var last = Clock.monotonicNanos()
        for _ in 0..<10_000 {
            let now = Clock.monotonicNanos()
            if now < last { Issue.record("\(now) after \(last)") }
            last = now
        }
    }

    @Test func theRealtimeClockCountsMillisecondsSince1970() {
        let before = Int64(time(nil))
        let millis = Clock.realtimeMillis()
        #expect(millis / 1_000 >= before - 1 && millis / 1_000 <= Int64(time(nil)) + 1)
    }

    @Test func aBootHasOneNameOf36Bytes() throws {
        let name = try System.bootID()
        #expect(try name.utf8.count == 36 && System.bootID() == name)
    }

    @Test func randomBytesDiffer() {
        #expect(SystemRandom.bytes(0) == [] && SystemRandom.bytes(33).count == 33)
        #expect(SystemRandom.bytes(32) != SystemRandom.bytes(32))
    }

    @Test func processorTimeIsThatOfAProcessThatRuns() throws {
        #expect(System.processorCount >= 1)
        #expect(try #require(System.processorNanos(of: System.processID)) >= 0)
        #expect(System.processorNanos(of: -1) == nil)
    }
}

struct ThreadTests {
    @Test func aThreadHasRunWhenItIsJoined() {
        let count = Count()
        let threads = (0..<8).map { _ in Thread(name: "adder") { count.value.add(1, ordering: .relaxed) } }
        for thread in threads { thread.join() }
        let runs = count.value.load(ordering: .relaxed)
        #expect(runs == 8)
    }

    @Test func aThreadCarriesItsName() {
        let name = Name()
        Thread(name: "fifteen-letters") {
            let text = (try? File.read("/proc/thread-self/comm")) ?? []
            name.value.withLock { $0 = String(decoding: text, as: UTF8.self) }
        }.join()
        #expect(name.value.withLock { $0 } == "fifteen-letters\n")
    }

    @Test func aPinnedThreadMayRunOnOneProcessorOnly() {
        let allowed = Name()
        Thread(name: "pinned") {
            // Which ones there are is for the system to say.
            guard let processor = (0..<1_024).first(where: { Thread.pin(toProcessor: $0) }) else { return }
            let status = String(decoding: (try? File.read("/proc/thread-self/status")) ?? [], as: UTF8.self)
            let isAlone = status.contains("Cpus_allowed_list:\t\(processor)\n")
            allowed.value.withLock { $0 = isAlone ? "one" : status }
        }.join()
        #expect(allowed.value.withLock { $0 } == "one")
    }

    private final class Count: Sendable {
        let value = Atomic(0)
    }

    private final class Name: Sendable {
        let value = Mutex("")
    }
}

struct SignalWatchTests {
    /// In a thread of its own, as a watch blocks its signals in the thread that makes it.
    @Test func aSignalIsWaitedForInsteadOfEndingTheProcess() {
        let outcome = Outcome()
        Thread(name: "signals") {
            guard let watch = try? SignalWatch([SIGUSR1, SIGWINCH]) else { return }
            let none = watch.wait(timeoutMillis: 20)
            pthread_kill(pthread_self(), SIGUSR1)
            let first = watch.wait(timeoutMillis: 5_000)
            pthread_kill(pthread_self(), SIGWINCH)
            let second = watch.wait(timeoutMillis: 5_000)
            outcome.signals.withLock { $0 = [none, first, second] }
        }.join()
        #expect(outcome.signals.withLock { $0 } == [nil, SIGUSR1, SIGWINCH])
    }

    private final class Outcome: Sendable {
        let signals = Mutex<[Int32?]>([])
    }
}

struct SystemErrorTests {
    @Test func anErrorSaysWhatWhereAndWhy() {
        #expect("\(SystemError("open", "/x", code: ENOENT))" == "open /x: No such file or directory")
        #expect("\(SystemError("fsync", code: EIO))" == "fsync: Input/output error")
        #expect(SystemError("write", code: ENOSPC).isFull && SystemError("write", code: EDQUOT).isFull)
        #expect(!SystemError("write", code: EIO).isFull && !SystemError("write", code: EIO).isMissing)
    }

    @Test func anErrorTakesTheErrnoOfTheCallThatFailed() {
        _ = access("/no/such/file", F_OK)
        #expect(SystemError("access").code == ENOENT)
    }
}
