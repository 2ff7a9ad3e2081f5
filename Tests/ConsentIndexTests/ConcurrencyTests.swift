import ConsentKernel
import ConsentModel
import Glibc
import IndexProbe
import Synchronization
import Testing

@testable import ConsentIndex

/// Readers of this process and of another while the writer does everything that it can do.
@Suite(.serialized)
struct ConcurrencyTests {
    /// The rows of the watched identifiers and what moves around them.
    private struct Writer {
        let folder: TemporaryFolder
        var generator: SeededGenerator
        var writer: IndexWriter
        var rows: [IdentifierHash: IndexRow] = [:]
        var sequence: UInt64 = 0
        var fillers = 0

        init(_ folder: TemporaryFolder, seed: UInt64) throws {
            self.folder = folder
            generator = SeededGenerator(seed: seed)
            writer = try Self.create(folder)
            for watched in WatchedClass.allCases {
                for number in WatchedClass.numbers { try rewrite(watched, number) }
            }
            try writer.publish()
        }

        private static func create(_ folder: TemporaryFolder) throws -> IndexWriter {
            let writer = try IndexWriter(
                creating: folder.index, history: testHistory, keyCheck: WatchedClass.key.check, identifiers: 0,
                purposes: 20)
            try writer.setDefaults(granted: PurposeSet([WatchedClass.basisBit]), denied: PurposeSet())
            return writer
        }

        private mutating func put(_ hash: IdentifierHash, _ row: IndexRow) throws {
            sequence += 1
            var row = row
            row.sequence = sequence
            for bit in WatchedClass.otherBits where generator.below(10) == 0 { row.denied.insert(bit) }
            try writer.put(hash, row)
            rows[hash] = row
        }

        private mutating func erase(_ hash: IdentifierHash) {
            writer.erase(hash)
            rows[hash] = nil
        }

        mutating func rewrite(_ watched: WatchedClass, _ number: Int) throws {
            let hash = watched.hash(number)
            let choice = generator.below(8)
            switch watched {
            case .never:
                choice == 0 ? erase(hash) : try put(hash, IndexRow(denied: [choice], endsAt: choice > 4 ? 500 : .max))
            case .always: try put(hash, IndexRow(permitted: [WatchedClass.alwaysBit], denied: [choice + 10]))
            case .toggled:
                switch choice {
                case 0: erase(hash)
                case 1: try put(hash, IndexRow(permitted: [WatchedClass.toggledBit], endsAt: 500))
                case 2...4: try put(hash, IndexRow(permitted: [WatchedClass.toggledBit]))
                default: try put(hash, IndexRow(denied: [WatchedClass.toggledBit]))
                }
            case .ended:
                switch choice {
                case 0: erase(hash)
                case 1...4: try put(hash, IndexRow(permitted: [WatchedClass.endedBit], endsAt: 500))
                default: try put(hash, IndexRow(permitted: [WatchedClass.endlessBit]))
                }
            case .objected:
                try put(hash, IndexRow(denied: [WatchedClass.basisBit, choice], endsAt: choice > 4 ? 500 : .max))
            }
        }

        mutating func step() throws {
            let choice = generator.below(30_000)
            switch choice {
            case 0..<3:
                try writer.close()
                try reopen()
            case 3..<6: try reopen()
            case 6: try rebuild()
            case 7..<9: try writer.reserve(identifiers: generator.below(6_000))
            case 9: try writer.setDefaults(granted: PurposeSet([WatchedClass.basisBit, 150]), denied: PurposeSet())
            case 10..<6_000:
                // Rows that come and go: they use up slots, so that the index grows.
                let hash = customer(fillers)
                fillers += 1
                try put(hash, IndexRow(permitted: Array(0..<64)))
                erase(hash)
            default:
                let watched = WatchedClass.allCases[choice % WatchedClass.allCases.count]
                try rewrite(watched, generator.below(WatchedClass.numbers.count))
            }
        }

        private mutating func reopen() throws {
            writer = try IndexWriter(opening: folder.index, history: testHistory, keyCheck: WatchedClass.key.check)
        }

        private mutating func rebuild() throws {
            writer = try Self.create(folder)
            for (hash, row) in rows { try writer.put(hash, row) }
            try writer.publish()
        }
    }

    private final class Shared: Sendable {
        let isOver = Atomic(false)
        let reads = Atomic(0)
        let granted = Atomic(0)
        let wrong = Mutex<[String]>([])
    }

    @Test func noReaderIsEverGrantedWhatIsNotNorRefusedWhatIs() throws {
        let folder = TemporaryFolder()
        var writer = try Writer(folder, seed: SeededGenerator.seed)
        let probe = try ProbeProcess(folder)
        let shared = Shared()
        let threads = try (0..<2).map { number in
            let publication = try IndexPublication(mapping: folder.index, keyCheck: WatchedClass.key.check)
            return ConsentKernel.Thread(name: "reader") {
                var watcher = Watcher(publication, seed: UInt64(number + 1) << 20)
                while !shared.isOver.load(ordering: .acquiring) { watcher.watch() }
                shared.reads.add(watcher.reads, ordering: .relaxed)
                shared.granted.add(watcher.granted, ordering: .relaxed)
                let text = "\(watcher.wrong) wrong answers, first \(watcher.firstWrong)"
                if watcher.wrong > 0 { shared.wrong.withLock { $0.append(text) } }
            }
        }
        let first = writer.writer.generation
        let end = Clock.monotonicNanos() + 2_500_000_000
        var steps = 0
        while Clock.monotonicNanos() < end {
            for _ in 0..<100 { try writer.step() }
            steps += 100
        }
        shared.isOver.store(true, ordering: .releasing)
        for thread in threads { thread.join() }
        let report = try probe.stop()
        let generations = writer.writer.generation - first
        print(
            "index readers: \(shared.reads.load(ordering: .relaxed)) reads here, \(report.reads) in another process, "
                + "during \(steps) changes and \(generations) generations")
        #expect(shared.wrong.withLock { $0 } == [], "CONSENT_TEST_SEED=\(SeededGenerator.seed)")
        #expect(report.wrong == 0, "\(report.firstWrong), CONSENT_TEST_SEED=\(SeededGenerator.seed)")
        #expect(report.granted > 0 && shared.granted.load(ordering: .relaxed) > 0 && generations > 2)
    }

    /// What was put before a check begins is what the check answers, in whichever generation it is looked for.
    @Test func aCheckSeesWhatWasPutBeforeItBegan() throws {
        let folder = TemporaryFolder()
        let writer = try IndexWriter(creating: folder)
        let hash = customer(-1)
        try writer.put(hash, IndexRow(denied: [3]))
        // Odd: granted.
        let (begun, done, shared) = (Counter(), Counter(), Shared())
        let readers = (0..<2).map { _ in
            let publication = writer.publication
            return ConsentKernel.Thread(name: "reader") {
                var reader = IndexReader(publication)
                var (reads, wrong) = (0, 0)
                while !shared.isOver.load(ordering: .acquiring) {
                    let before = done.value.load(ordering: .sequentiallyConsistent)
                    let isGranted = reader.check(hash, purposeBit: 3, now: 1).decision == .granted
                    let after = begun.value.load(ordering: .sequentiallyConsistent)
                    if before == after, isGranted != (before & 1 == 1) { wrong += 1 }
                    if before == after { reads += 1 }
                }
                shared.reads.add(reads, ordering: .relaxed)
                if wrong > 0 { shared.wrong.withLock { $0.append("\(wrong) of \(reads)") } }
            }
        }
        let end = Clock.monotonicNanos() + 600_000_000
        var version = 0
        while Clock.monotonicNanos() < end || writer.generation < 5 {
            for filler in 0..<50 {
                version += 1
                begun.value.store(version, ordering: .sequentiallyConsistent)
                try writer.put(
                    hash,
                    version & 1 == 1
                        ? IndexRow(permitted: [3], sequence: UInt64(version))
                        : IndexRow(denied: [3], sequence: UInt64(version)))
                done.value.store(version, ordering: .sequentiallyConsistent)
                try writer.put(customer(filler), IndexRow())
                writer.erase(customer(filler))
            }
        }
        shared.isOver.store(true, ordering: .releasing)
        for reader in readers { reader.join() }
        #expect(shared.wrong.withLock { $0 } == [])
        #expect(shared.reads.load(ordering: .relaxed) > 1_000)
    }

    private final class Counter: Sendable {
        let value = Atomic(0)
    }

    // MARK: A reader that is stopped in the middle of a check

    /// A signal stops the reader after any instruction, and the row is rewritten before it goes on.
    @Test func aReaderStoppedAnywhereNeverJoinsTheEndOfOneRowToTheConsentsOfAnother() throws {
        let folder = TemporaryFolder()
        let writer = try IndexWriter(creating: folder)
        let hash = customer(1)
        let rows = [IndexRow(permitted: [8]), IndexRow(permitted: [7], endsAt: 500), IndexRow(denied: [7, 8])]
        var sequence: UInt64 = 0
        func put(_ row: Int) throws {
            sequence += 1
            var row = rows[row]
            row.sequence = sequence
            try writer.put(hash, row)
        }
        try put(0)
        let stopped = StoppedReader(writer.publication, hash)
        let end = Clock.monotonicNanos() + 1_000_000_000
        var (row, stops) = (0, 0)
        while Clock.monotonicNanos() < end {
            // One change while the reader stands still, or two, or three; often back to what there was.
            stopped.stop()
            for _ in 0...stops % 3 {
                row = stops % 7 == 0 ? 2 : 1 - row & 1
                try put(row)
            }
            stopped.release()
            stops += 1
        }
        let wrong = stopped.join()
        #expect(wrong == 0, "a consent that has ended was granted \(wrong) times in \(stops) stops")
        print("index readers: stopped \(stops) times, wrong \(wrong) times")
    }
}

/// A thread that checks the same row again and again, and can be stopped between any two of its instructions.
private final class StoppedReader: Sendable {
    // A signal's handler reaches nothing but globals.
    private static let stops = Atomic(0)
    private static let releases = Atomic(0)

    private final class State: Sendable {
        let handle = Atomic<UInt>(0)
        let isOver = Atomic(false)
        let wrong = Atomic(0)
    }

    private let state = State()
    private let thread: ConsentKernel.Thread

    init(_ publication: IndexPublication, _ hash: IdentifierHash) {
        _ = (Self.stops.load(ordering: .relaxed), Self.releases.load(ordering: .relaxed))
        signal(SIGUSR2) { _ in
            let stop = StoppedReader.stops.add(1, ordering: .sequentiallyConsistent).newValue
            while StoppedReader.releases.load(ordering: .sequentiallyConsistent) < stop { sched_yield() }
        }
        thread = ConsentKernel.Thread(name: "stopped") { [state] in
            // The threads that tests run on block signals, and theirs do so too.
            var signals = sigset_t()
            sigemptyset(&signals)
            sigaddset(&signals, SIGUSR2)
            pthread_sigmask(SIG_UNBLOCK, &signals, nil)
            state.handle.store(pthread_self(), ordering: .sequentiallyConsistent)
            var reader = IndexReader(publication)
            while !state.isOver.load(ordering: .relaxed) {
                let isGranted = reader.check(hash, purposeBit: 7, now: 1_000).decision == .granted
                let many = reader.check(hash, purposes: .max, word: 0, now: 1_000).granted
                if isGranted || many & 1 << 7 != 0 { state.wrong.add(1, ordering: .relaxed) }
            }
        }
        while state.handle.load(ordering: .sequentiallyConsistent) == 0 { sched_yield() }
    }

    func stop() {
        let stop = Self.stops.load(ordering: .sequentiallyConsistent) + 1
        pthread_kill(state.handle.load(ordering: .relaxed), SIGUSR2)
        while Self.stops.load(ordering: .sequentiallyConsistent) < stop { sched_yield() }
    }

    func release() { Self.releases.add(1, ordering: .sequentiallyConsistent) }

    /// - Returns: how often a consent that has ended was granted.
    func join() -> Int {
        state.isOver.store(true, ordering: .relaxed)
        thread.join()
        signal(SIGUSR2, SIG_DFL)
        return state.wrong.load(ordering: .relaxed)
    }
}
