import ConsentKernel
import ConsentModel
import ConsentTestSupport
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
        defer { withExtendedLifetime(folder) {} }
        var writer = try Writer(folder, seed: TestSeed.value)
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
        #expect(shared.wrong.withLock { $0 } == [], "CONSENT_TEST_SEED=\(TestSeed.value)")
        #expect(report.wrong == 0, "\(report.firstWrong), CONSENT_TEST_SEED=\(TestSeed.value)")
        #expect(report.granted > 0 && shared.granted.load(ordering: .relaxed) > 0 && generations > 2)
    }

    /// What was put before a check begins is what the check answers, in whichever generation it is looked for.
    @Test func aCheckSeesWhatWasPutBeforeItBegan() throws {
        let folder = TemporaryFolder()
        defer { withExtendedLifetime(folder) {} }
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

    /// A signal interrupts the reader after any instruction, and its handler rewrites the row before the reader goes on.
    @Test func aReaderNeverJoinsTheEndOfOneRowToTheConsentsOfAnother() throws {
        let folder = TemporaryFolder()
        defer { withExtendedLifetime(folder) {} }
        let writer = try IndexWriter(creating: folder)
        try writer.put(customer(1), IndexRow(permitted: [WatchedClass.endlessBit]))
        let (interruptions, wrong) = Interruptions.read(writer.publication, customer(1), count: 8_000)
        #expect(wrong == 0, "a consent that has ended was granted \(wrong) times in \(interruptions) interruptions")
        #expect(interruptions > 0)
    }

    /// A purpose rests on consent or on another basis, by turns, and the person has said no: in neither catalog is it
    /// granted, but an old row with new defaults would say so.
    @Test func aRowOfOneCatalogIsNeverReadWithTheDefaultsOfAnother() throws {
        let folder = TemporaryFolder()
        defer { withExtendedLifetime(folder) {} }
        let writer = try IndexWriter(creating: folder)
        try writer.put(customer(1), IndexRow())
        let mustStop = Atomic(false)
        let granted = Atomic(0)
        let publication = writer.publication
        let reading = Thread(name: "reader") {
            var reader = IndexReader(publication)
            while !mustStop.load(ordering: .relaxed) {
                for _ in 0..<1_000 {
                    let one = reader.check(customer(1), purposeBit: 1, now: 1).decision == .granted
                    let many = reader.check(customer(1), purposes: 2, word: 0, now: 1).granted != 0
                    if one || many { granted.add(1, ordering: .relaxed) }
                }
            }
        }
        for turn in 1...60_000 {
            let isOnConsent = turn % 2 == 0
            try writer.setDefaults(granted: PurposeSet(), denied: PurposeSet())
            try writer.put(
                customer(1), IndexRow(denied: isOnConsent ? [] : [1], sequence: UInt64(turn)))
            try writer.setDefaults(granted: PurposeSet(isOnConsent ? [] : [1]), denied: PurposeSet())
        }
        mustStop.store(true, ordering: .relaxed)
        reading.join()
        #expect(granted.load(ordering: .relaxed) == 0)
    }
}

/// Changes of one row in the midst of a check of it.
private enum Interruptions {
    /// One consent that does not end, another that has ended, neither.
    private static let rows = [
        IndexRow(permitted: [WatchedClass.endlessBit]), IndexRow(permitted: [WatchedClass.endedBit], endsAt: 500),
        IndexRow(denied: [WatchedClass.endedBit, WatchedClass.endlessBit]),
    ]
    private static let count = Atomic(0)
    private static let sequence = Atomic<UInt64>(1)
    // Set before the first signal; after that only its handler looks at it.
    nonisolated(unsafe) private static var target: (table: IndexTable, hash: IdentifierHash)?

    private final class State: Sendable {
        let handle = Atomic<UInt>(0)
        let isOver = Atomic(false)
        let wrong = Atomic(0)
    }

    /// - Returns: how often the reader was interrupted, and how often the consent that has ended was granted.
    static func read(
        _ publication: IndexPublication, _ hash: IdentifierHash, count wanted: Int
    ) -> (interruptions: Int, wrong: Int) {
        target = (publication.current, hash)
        _ = (rows, sequence.load(ordering: .relaxed))
        let (first, state) = (count.load(ordering: .relaxed), State())
        // What the handler calls takes no lock and no memory: an update is loads and stores.
        signal(SIGUSR2) { _ in Interruptions.change() }
        let thread = ConsentKernel.Thread(name: "interrupted") { check(publication, hash, state) }
        while state.handle.load(ordering: .acquiring) == 0 { sched_yield() }
        // On a machine that has other work, fewer.
        let end = Clock.monotonicNanos() + 1_500_000_000
        while Clock.monotonicNanos() < end, count.load(ordering: .relaxed) < first + wanted {
            let before = count.load(ordering: .acquiring)
            pthread_kill(state.handle.load(ordering: .relaxed), SIGUSR2)
            while count.load(ordering: .acquiring) == before { sched_yield() }
        }
        state.isOver.store(true, ordering: .relaxed)
        thread.join()
        signal(SIGUSR2, SIG_DFL)
        target = nil
        return (count.load(ordering: .relaxed) - first, state.wrong.load(ordering: .relaxed))
    }

    private static func check(_ publication: IndexPublication, _ hash: IdentifierHash, _ state: State) {
        // The threads that tests run on block signals, and so do the threads that they start.
        var signals = sigset_t()
        sigemptyset(&signals)
        sigaddset(&signals, SIGUSR2)
        pthread_sigmask(SIG_UNBLOCK, &signals, nil)
        state.handle.store(pthread_self(), ordering: .releasing)
        var reader = IndexReader(publication)
        while !state.isOver.load(ordering: .relaxed) {
            let bit = WatchedClass.endedBit
            let single = reader.check(hash, purposeBit: bit, now: WatchedClass.now).decision
            let many = reader.check(hash, purposes: .max, word: 0, now: WatchedClass.now).granted
            if single == .granted || many >> UInt64(bit) & 1 == 1 { state.wrong.add(1, ordering: .relaxed) }
        }
    }

    /// One change, or two, or three.
    private static func change() {
        let number = count.load(ordering: .relaxed)
        if let target, let slot = target.table.find(target.hash) {
            for _ in 0...number % 3 {
                let sequence = sequence.add(1, ordering: .relaxed).newValue
                var row = rows[number % 7 == 0 ? 2 : Int(sequence & 1)]
                row.sequence = sequence
                target.table.update(slot, to: row)
            }
        }
        count.add(1, ordering: .releasing)
    }
}
