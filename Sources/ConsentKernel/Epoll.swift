import CKernel
import Glibc

/// A set of descriptors to wait on.
@safe package struct Epoll: ~Copyable {
    private let descriptor: FileDescriptor
    private let events: UnsafeMutableBufferPointer<epoll_event>

    package struct Interest: OptionSet, Sendable {
        package let rawValue: UInt32
        package init(rawValue: UInt32) { self.rawValue = rawValue }

        package static let readable = Interest(rawValue: EPOLLIN.rawValue)
        package static let writable = Interest(rawValue: EPOLLOUT.rawValue)
        /// The peer sends no more; what it had sent may still be to be read.
        package static let finished = Interest(rawValue: EPOLLRDHUP.rawValue)
        /// Of several sets that wait on the same listener, wake one.
        package static let exclusive = Interest(rawValue: ckernel_epoll_exclusive())
        /// Reported whether asked for or not.
        package static let broken = Interest(rawValue: EPOLLERR.rawValue | EPOLLHUP.rawValue)
        /// Reported once for whatever arrives, and again when the interest is set anew.
        package static let edge = Interest(rawValue: ckernel_epoll_edge())
    }

    package struct Event {
        package var token: UInt64
        package var happened: Interest

        /// Whether a read would say something: bytes, the end, or what broke.
        package var isReadable: Bool { happened.rawValue & Self.readableBits != 0 }
        /// Whether the peer will send no more, so that reading on finds the end.
        package var isFinished: Bool { happened.rawValue & Self.finishedBits != 0 }
        package var isWritable: Bool { happened.rawValue & EPOLLOUT.rawValue != 0 }

        private static let readableBits = EPOLLIN.rawValue | EPOLLERR.rawValue | EPOLLHUP.rawValue
        private static let finishedBits = EPOLLRDHUP.rawValue | EPOLLHUP.rawValue
    }

    package init(eventsPerWaitMax: Int) throws(SystemError) {
        descriptor = FileDescriptor(
            owning: Int32(try retrying("epoll_create") { Int(epoll_create1(Int32(EPOLL_CLOEXEC))) }))
        unsafe events = .allocate(capacity: eventsPerWaitMax)
    }

    deinit { unsafe events.deallocate() }

    package func add(_ raw: Int32, _ interest: Interest, token: UInt64) throws(SystemError) {
        try control(EPOLL_CTL_ADD, raw, interest, token)
    }

    package func change(_ raw: Int32, _ interest: Interest, token: UInt64) throws(SystemError) {
        try control(EPOLL_CTL_MOD, raw, interest, token)
    }

    package func remove(_ raw: Int32) throws(SystemError) { try control(EPOLL_CTL_DEL, raw, [], 0) }

    private func control(
        _ operation: Int32, _ raw: Int32, _ interest: Interest, _ token: UInt64
    ) throws(SystemError) {
        try retrying("epoll_ctl") {
            Int(ckernel_epoll_control(descriptor.raw, operation, raw, interest.rawValue, token))
        }
    }

    /// Waits; zero events when the time is up or a signal came. A negative timeout waits for ever.
    package func wait(timeoutMillis: Int32) throws(SystemError) -> Int {
        let count = unsafe epoll_wait(descriptor.raw, events.baseAddress, Int32(events.count), timeoutMillis)
        if count >= 0 { return Int(count) }
        if errno == EINTR { return 0 }
        throw SystemError("epoll_wait")
    }

    /// As above, with a timeout in nanoseconds, for those who keep to a timetable.
    package func wait(timeoutNanos: Int64) throws(SystemError) -> Int {
        let count = unsafe ckernel_epoll_wait_nanos(
            descriptor.raw, events.baseAddress, Int32(events.count), max(0, timeoutNanos))
        if count >= 0 { return Int(count) }
        if errno == EINTR { return 0 }
        throw SystemError("epoll_pwait2")
    }

    /// One of the events that the last wait reported.
    package func event(_ position: Int) -> Event {
        let event = unsafe events.baseAddress! + position
        return unsafe Event(
            token: ckernel_epoll_token(event), happened: Interest(rawValue: ckernel_epoll_events(event)))
    }
}

/// A counter that one thread raises and another waits on, alone or in an ``Epoll``.
package final class Wakeup: Sendable {
    package let raw: Int32

    package init() throws(SystemError) {
        raw = Int32(try retrying("eventfd") { Int(eventfd(0, Int32(EFD_CLOEXEC | EFD_NONBLOCK))) })
    }

    deinit { close(raw) }

    package func raise() { _ = eventfd_write(raw, 1) }

    /// Resets the counter.
    package func clear() {
        var value: eventfd_t = 0
        _ = unsafe eventfd_read(raw, &value)
    }

    /// Lets time pass.
    package static func pause(millis: Int32) { _ = Glibc.poll(nil, 0, millis) }

    /// Waits until raised or the time is up, then resets.
    package func wait(timeoutMillis: Int32) {
        var poll = pollfd(fd: raw, events: Int16(POLLIN), revents: 0)
        if unsafe Glibc.poll(&poll, 1, timeoutMillis) > 0 { clear() }
    }
}

/// Signals as something to wait for. Blocks them in the calling thread and in every thread that it starts afterwards;
/// call it on the first thread, before there is another, or one of them takes the signal.
package struct SignalWatch: ~Copyable {
    private let descriptor: FileDescriptor

    package static let terminate = SIGTERM
    package static let interrupt = SIGINT

    package init(_ signals: [Int32]) throws(SystemError) {
        var set = sigset_t()
        unsafe sigemptyset(&set)
        for signal in signals { unsafe sigaddset(&set, signal) }
        unsafe pthread_sigmask(SIG_BLOCK, &set, nil)
        // A peer that has gone is an error of the write, not the end of the process.
        _ = signal(SIGPIPE, SIG_IGN)
        // So is a file that would be larger than the process may make one.
        _ = signal(SIGXFSZ, SIG_IGN)
        let raw = try retrying("signalfd") { unsafe Int(signalfd(-1, &set, Int32(SFD_CLOEXEC))) }
        descriptor = FileDescriptor(owning: Int32(raw))
    }

    /// Waits for one of the signals; nil when the time is up. A negative timeout waits for ever.
    package func wait(timeoutMillis: Int32 = -1) -> Int32? {
        var poll = pollfd(fd: descriptor.raw, events: Int16(POLLIN), revents: 0)
        guard unsafe Glibc.poll(&poll, 1, timeoutMillis) > 0 else { return nil }
        var info = signalfd_siginfo()
        let size = MemoryLayout<signalfd_siginfo>.size
        guard unsafe Glibc.read(descriptor.raw, &info, size) == size else { return nil }
        return Int32(info.ssi_signo)
    }
}
