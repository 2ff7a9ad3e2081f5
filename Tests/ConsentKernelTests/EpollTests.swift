import ConsentKernel
import Glibc
import Testing

struct EpollTests {
    @Test func aWaitWithNothingToReportEndsInTime() throws {
        let epoll = try Epoll(eventsPerWaitMax: 4)
        let start = Clock.monotonicNanos()
        #expect(try epoll.wait(timeoutMillis: 30) == 0)
        #expect(Clock.monotonicNanos() - start >= 29_000_000)
        #expect(try epoll.wait(timeoutMillis: 0) == 0)
    }

    @Test func anEventCarriesTheTokenOfItsDescriptor() throws {
        let epoll = try Epoll(eventsPerWaitMax: 4)
        let (first, second) = try (Wakeup(), Wakeup())
        try epoll.add(first.raw, .readable, token: 1)
        try epoll.add(second.raw, .readable, token: .max)
        second.raise()
        #expect(try epoll.wait(timeoutMillis: 1_000) == 1)
        #expect(epoll.event(0).token == .max && epoll.event(0).happened == .readable)
        first.raise()
        #expect(try epoll.wait(timeoutMillis: 1_000) == 2)
        #expect(Set([epoll.event(0).token, epoll.event(1).token]) == [1, .max])
        withExtendedLifetime((first, second)) {}
    }

    @Test func noMoreIsReportedAtOnceThanThereIsRoomFor() throws {
        let epoll = try Epoll(eventsPerWaitMax: 2)
        let wakeups = try (0..<5).map { _ in try Wakeup() }
        for (number, wakeup) in wakeups.enumerated() {
            try epoll.add(wakeup.raw, .readable, token: UInt64(number))
            wakeup.raise()
        }
        var seen: Set<UInt64> = []
        for _ in 0..<5 {
            let count = try epoll.wait(timeoutMillis: 1_000)
            #expect(count <= 2)
            for position in 0..<count { seen.insert(epoll.event(position).token) }
        }
        #expect(seen.count == 5)
        // They close with their last reference.
        withExtendedLifetime(wakeups) {}
    }

    @Test func interestIsChangedAndTakenBack() throws {
        let epoll = try Epoll(eventsPerWaitMax: 4)
        let wakeup = try Wakeup()
        wakeup.raise()
        try epoll.add(wakeup.raw, [], token: 1)
        #expect(try epoll.wait(timeoutMillis: 0) == 0)
        try epoll.change(wakeup.raw, [.readable, .writable], token: 2)
        #expect(try epoll.wait(timeoutMillis: 1_000) == 1)
        #expect(epoll.event(0).token == 2 && epoll.event(0).happened == [.readable, .writable])
        try epoll.remove(wakeup.raw)
        #expect(try epoll.wait(timeoutMillis: 0) == 0)
        #expect(failure { () throws(SystemError) in try epoll.remove(wakeup.raw) }?.code == ENOENT)
    }

    /// The kernel hands out the number of a closed descriptor again, so events are told apart by token, not by number.
    @Test func anEventOfAClosedDescriptorIsToldFromOneOfItsSuccessor() throws {
        let epoll = try Epoll(eventsPerWaitMax: 8)
        var first: Wakeup? = try Wakeup()
        first?.raise()
        let number = try #require(first).raw
        try epoll.add(number, .readable, token: 1)
        #expect(try epoll.wait(timeoutMillis: 1_000) == 1)
        first = nil
        let second = try Wakeup()
        second.raise()
        try epoll.add(second.raw, .readable, token: 2)
        // What was reported before the close is still there to be read, with the old token.
        #expect(epoll.event(0).token == 1, "descriptor \(number)")
        // What is closed is never reported again.
        #expect(try epoll.wait(timeoutMillis: 1_000) == 1)
        #expect(epoll.event(0).token == 2)
        withExtendedLifetime(second) {}
    }

    @Test func aPeerThatIsGoneIsReportedUnasked() throws {
        let epoll = try Epoll(eventsPerWaitMax: 4)
        var ends: [Int32] = [0, 0]
        #expect(socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0, &ends) == 0)
        let mine = FileDescriptor(owning: ends[0])
        try epoll.add(mine.raw, [], token: 5)
        close(ends[1])
        #expect(try epoll.wait(timeoutMillis: 1_000) == 1)
        #expect(!epoll.event(0).happened.intersection(.broken).isEmpty)
    }

    @Test func withEdgesEachArrivalIsToldOnce() throws {
        let epoll = try Epoll(eventsPerWaitMax: 4)
        let wakeup = try Wakeup()
        try epoll.add(wakeup.raw, [.readable, .edge], token: 1)
        for _ in 0..<3 {
            wakeup.raise()
            #expect(try epoll.wait(timeoutMillis: 1_000) == 1)
            #expect(try epoll.wait(timeoutMillis: 0) == 0)
        }
        // Set anew, it tells again of what is still there.
        try epoll.change(wakeup.raw, [.readable, .edge], token: 2)
        #expect(try epoll.wait(timeoutMillis: 1_000) == 1 && epoll.event(0).token == 2)
        withExtendedLifetime(wakeup) {}
    }

    /// One edge for both: who reads the bytes alone would never hear of the end.
    @Test func theEndIsToldWithTheBytesBeforeIt() throws {
        let epoll = try Epoll(eventsPerWaitMax: 4)
        var ends: [Int32] = [0, 0]
        #expect(socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0, &ends) == 0)
        let mine = FileDescriptor(owning: ends[0])
        let theirs = FileDescriptor(owning: ends[1])
        try epoll.add(mine.raw, [.readable, .finished, .edge], token: 5)
        _ = write(theirs.raw, "abc", 3)
        #expect(try epoll.wait(timeoutMillis: 1_000) == 1)
        #expect(epoll.event(0).isReadable && !epoll.event(0).isFinished)
        shutdown(theirs.raw, Int32(SHUT_WR))
        #expect(try epoll.wait(timeoutMillis: 1_000) == 1)
        #expect(epoll.event(0).isReadable && epoll.event(0).isFinished)
    }
}

struct WakeupTests {
    @Test func manyRaisesAreOneWakeup() throws {
        let epoll = try Epoll(eventsPerWaitMax: 4)
        let wakeup = try Wakeup()
        try epoll.add(wakeup.raw, .readable, token: 1)
        for _ in 0..<100 { wakeup.raise() }
        #expect(try epoll.wait(timeoutMillis: 1_000) == 1)
        wakeup.clear()
        #expect(try epoll.wait(timeoutMillis: 0) == 0)
        // Nothing to clear is no reason to wait.
        wakeup.clear()
    }

    @Test func anotherThreadWakesAWaitingOne() throws {
        let wakeup = try Wakeup()
        let start = Clock.monotonicNanos()
        let thread = Thread(name: "raiser") { wakeup.raise() }
        wakeup.wait(timeoutMillis: 20_000)
        thread.join()
        #expect(Clock.monotonicNanos() - start < 15_000_000_000)
    }

    @Test func aWaitThatNobodyEndsIsOverInTime() throws {
        let wakeup = try Wakeup()
        let start = Clock.monotonicNanos()
        wakeup.wait(timeoutMillis: 30)
        #expect(Clock.monotonicNanos() - start >= 29_000_000)
    }

    @Test func waitingResets() throws {
        let wakeup = try Wakeup()
        let epoll = try Epoll(eventsPerWaitMax: 1)
        try epoll.add(wakeup.raw, .readable, token: 1)
        wakeup.raise()
        wakeup.wait(timeoutMillis: 1_000)
        #expect(try epoll.wait(timeoutMillis: 0) == 0)
    }
}
