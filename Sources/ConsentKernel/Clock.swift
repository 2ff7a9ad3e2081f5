import CKernel
import Glibc

package enum Clock {
    /// Milliseconds since 1970-01-01T00:00:00Z.
    package static func realtimeMillis() -> Int64 {
        let time = read(CLOCK_REALTIME)
        return Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000
    }

    /// Nanoseconds since some moment; never steps.
    package static func monotonicNanos() -> Int64 {
        let time = read(CLOCK_MONOTONIC)
        return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
    }

    /// Processor time that the calling thread has used, in nanoseconds.
    package static func threadProcessorNanos() -> Int64 {
        let time = read(CLOCK_THREAD_CPUTIME_ID)
        return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
    }

    /// Milliseconds since the machine was started, asleep or not; never steps, and is the same in all processes.
    package static func boottimeMillis() -> UInt64 {
        let time = read(CLOCK_BOOTTIME)
        return UInt64(time.tv_sec) * 1000 + UInt64(time.tv_nsec) / 1_000_000
    }

    private static func read(_ clock: clockid_t) -> timespec {
        var time = timespec()
        unsafe clock_gettime(clock, &time)
        return time
    }
}

package enum SystemRandom {
    package static func bytes(_ count: Int) -> [UInt8] {
        unsafe [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
            // Up to 256 bytes are never given short; more is asked for piece by piece.
            while initialized < count {
                let piece = min(256, count - initialized)
                let got = unsafe ckernel_random(buffer.baseAddress! + initialized, piece)
                if got > 0 { initialized += got }
            }
        }
    }
}

package enum System {
    package static var processorCount: Int { max(1, sysconf(Int32(_SC_NPROCESSORS_ONLN))) }

    /// Names this boot of the kernel: pages that were only in memory did not survive into another one.
    package static func bootID() throws(SystemError) -> String {
        let text = String(decoding: try File.read("/proc/sys/kernel/random/boot_id"), as: UTF8.self)
        return String(text.prefix { $0 != "\n" })
    }

    /// How many descriptors this process may have open at a time.
    package static var descriptorsMax: Int {
        let count = sysconf(Int32(_SC_OPEN_MAX))
        return count < 0 ? .max : count
    }

    /// Takes as many descriptors as the system lets it without asking anybody; nothing changes where it does not.
    package static func raiseDescriptorsMax() { _ = ckernel_raise_descriptors_max() }

    package static var processID: Int32 { getpid() }

    /// Processor time that a process has used, user and kernel, in nanoseconds; nil if it is gone.
    package static func processorNanos(of process: Int32) -> Int64? {
        var (clock, time) = (clockid_t(), timespec())
        // Zero would be the calling process, and negative numbers name its own clocks.
        guard process > 0, unsafe clock_getcpuclockid(process, &clock) == 0, unsafe clock_gettime(clock, &time) == 0
        else {
            return nil
        }
        return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
    }
}
