import CConsentClients
import CKernel
import ConsentIndex
import ConsentKernel
import ConsentModel
import Synchronization

/// What lookups in one process cost, beside what memory itself costs over the same footprint. Medians of rounds.
package struct IndexCosts: Sendable {
    package var identifiers = 0
    package var fileSize = 0
    /// Of a memory access that depends on the one before.
    package var floorNanos = 0.0
    /// Of a check whose identifier follows from the answer before.
    package var dependentNanos = 0.0
    /// Of a check in a batch of a thousand.
    package var batchNanos = 0.0
    /// Of a check as ``dependentNanos`` by the mapped readers of the clients, which also judge how current it is.
    package var mappedSwiftNanos = 0.0
    package var mappedCNanos = 0.0
    package var countedPerSecond = 0.0
    /// Of the answers.
    package var checksum: UInt64 = 0
}

/// The index in one process.
package struct IndexBench {
    private let identifiers: Int
    private let folder: String
    private let key = IdentifierHashKey(k0: 1, k1: 2)
    /// As a key file has them: 1 and 2.
    private static let keyBytes: [UInt8] = [1] + [UInt8](repeating: 0, count: 7) + [2] + [UInt8](repeating: 0, count: 7)
    private static let purposes = 20
    private static let batch = 1000
    private static let checksAtATime = 256
    private static let now: UInt32 = 1_800_000_000
    private static let rounds = 3

    /// - Parameter folder: made by the caller, empty.
    package init(identifiers: Int, folder: String) {
        self.identifiers = identifiers
        self.folder = folder
    }

    /// Builds an index of random rows, then asks it in both ways.
    package func run(lookups: Int = 2_000_000) throws -> IndexCosts {
        let index = IndexFolder(folder + "/index")
        let writer = try IndexWriter(
            creating: index, history: [UInt8](repeating: 7, count: 16), keyCheck: key.check,
            identifiers: identifiers, purposes: Self.purposes)
        try fill(writer)
        // As a node leaves it to readers in other processes, and vouched for until the end.
        try File.replace(folder + "/index.key", with: Self.keyBytes)
        writer.setLiveMillis(1 << 40)
        writer.vouch(at: Clock.boottimeMillis())
        try writer.publish()
        var reader = IndexReader(writer.publication)
        var mapped = try MappedReader(index, keyCheck: key.check)
        let readerInC = try OpenedCReader(folder)
        var (floor, dependent, batched): ([Double], [Double], [Double]) = ([], [], [])
        var (ofSwift, ofC): ([Double], [Double]) = ([], [])
        var costs = IndexCosts()
        costs.identifiers = identifiers
        costs.fileSize = writer.fileSize
        let chase = try PointerChase(folder: folder, size: writer.fileSize)
        for _ in 0..<Self.rounds {
            floor.append(chase.nanosPerStep(steps: lookups))
            dependent.append(
                measureDependent(count: lookups, &costs.checksum) { name, bit in
                    reader.check(key.hash(.customer, name), purposeBit: bit, now: Self.now).decisionByte
                })
            ofC.append(
                measureDependent(count: lookups, &costs.checksum) { readerInC.decision($0, purposeBit: $1) })
            ofSwift.append(
                measureDependent(count: lookups, &costs.checksum) { name, bit in
                    mapped.check(key.hash(.customer, name), purposeBit: bit, now: Self.now).answer.decisionByte
                })
            batched.append(measureBatches(&reader, count: 2 * lookups, &costs.checksum))
        }
        costs.floorNanos = median(floor)
        costs.dependentNanos = median(dependent)
        costs.batchNanos = median(batched)
        (costs.mappedSwiftNanos, costs.mappedCNanos) = (median(ofSwift), median(ofC))
        costs.countedPerSecond = measureCount(writer, rounds: Self.rounds, &costs.checksum)
        return costs
    }

    private func fill(_ writer: IndexWriter) throws {
        var numbers = SeededNumbers(seed: 42)
        var row = IndexRow()
        var name = [UInt8](repeating: 0, count: BenchName.size)
        for number in 0..<identifiers {
            let bits = numbers.next()
            row.permitted[word: 0] = bits & 0xFFFFF
            row.denied[word: 0] = (bits >> 20) & 0xFFFFF & ~bits
            row.sequence = UInt64(number)
            try writer.put(hash(number, &name), row)
        }
    }

    private func hash(_ number: Int, _ name: inout [UInt8]) -> IdentifierHash {
        name.withUnsafeMutableBytes { BenchName.subject.write(UInt32(truncatingIfNeeded: number), to: $0.baseAddress!) }
        return name.withUnsafeBytes { key.hash(.customer, $0) }
    }

    /// Everybody granted one purpose and not another; the slowest of the rounds, in rows a second.
    private func measureCount(_ writer: IndexWriter, rounds: Int, _ checksum: inout UInt64) -> Double {
        let table = writer.publication.current
        var slowest = Double.infinity
        for round in 0..<rounds {
            let start = Clock.monotonicNanos()
            let count = table.grantedCount(purposeBit: round, exceptBit: round + 1, now: Self.now)
            let seconds = Double(Clock.monotonicNanos() - start) / 1e9
            checksum = checksum &* 31 &+ UInt64(count ?? 0)
            slowest = min(slowest, Double(table.rows) / seconds)
        }
        return slowest
    }

    /// The next identifier follows from the answer before: nothing can be fetched ahead.
    @inline(__always)
    private func measureDependent(
        count: Int, _ checksum: inout UInt64, _ decision: (UnsafeRawBufferPointer, Int) -> UInt8
    ) -> Double {
        var name = [UInt8](repeating: 0, count: BenchName.size)
        var numbers = SeededNumbers(seed: 3)
        var carry: UInt64 = 0
        let start = Clock.monotonicNanos()
        for _ in 0..<count {
            let random = numbers.next() &+ carry
            let number = Int(random.multipliedFullWidth(by: UInt64(identifiers)).high)
            name.withUnsafeMutableBytes {
                BenchName.subject.write(UInt32(truncatingIfNeeded: number), to: $0.baseAddress!)
            }
            carry = UInt64(name.withUnsafeBytes { decision($0, Int(random & 15)) })
            checksum = checksum &* 31 &+ carry
        }
        return Double(Clock.monotonicNanos() - start) / Double(count)
    }

    /// Hashes some of a batch, then asks for all of them, as the server does.
    private func measureBatches(_ reader: inout IndexReader, count: Int, _ checksum: inout UInt64) -> Double {
        var numbers = SeededNumbers(seed: 4)
        // Identifiers are as they lie in a frame; making them up is not part of the check.
        var names = [UInt8](repeating: 0, count: Self.batch * BenchName.size)
        var texts = IdentifierBatch(capacity: Self.checksAtATime)
        let answers = UnsafeMutableBufferPointer<IndexAnswer>.allocate(capacity: Self.checksAtATime)
        defer { answers.deallocate() }
        var nanos: Int64 = 0
        for _ in 0..<count / Self.batch {
            names.withUnsafeMutableBytes { names in
                for position in 0..<Self.batch {
                    BenchName.subject.write(
                        UInt32(truncatingIfNeeded: numbers.below(identifiers)),
                        to: names.baseAddress! + position * BenchName.size)
                }
            }
            let start = Clock.monotonicNanos()
            names.withUnsafeBytes { names in
                for begin in stride(from: 0, to: Self.batch, by: Self.checksAtATime) {
                    let count = min(Self.checksAtATime, Self.batch - begin)
                    for step in 0..<count {
                        let name = UnsafeRawBufferPointer(
                            start: names.baseAddress! + (begin + step) * BenchName.size,
                            count: BenchName.size)
                        texts.set(step, name)
                    }
                    reader.check(
                        texts.hash(.customer, count: count, with: key), purposeBit: 3, now: Self.now,
                        answers: UnsafeMutableBufferPointer(rebasing: answers[..<count]))
                    for step in 0..<count {
                        checksum = checksum &* 31 &+ UInt64(answers[step].decisionByte)
                    }
                }
            }
            nanos += Clock.monotonicNanos() - start
        }
        return Double(nanos) / Double(count / Self.batch * Self.batch)
    }
}

/// What one memory access costs that depends on the one before: a random cycle through every cache line of a mapped file.
final class PointerChase {
    private let mapping: MappedFile
    private let words: UnsafeMutablePointer<UInt64>
    private let path: String

    init(folder: String, size: Int) throws {
        path = folder + "/chase"
        let file = try FileDescriptor.open(path, .createNew)
        try file.allocate(size: size)
        mapping = try MappedFile(file, access: .readWrite)
        mapping.preferLargePages()
        mapping.populate()
        words = mapping.base.assumingMemoryBound(to: UInt64.self)
        var order = Array(0..<UInt32(size / 64))
        var numbers = SeededNumbers(seed: 9)
        // Sattolo's shuffle: one cycle through all.
        for position in stride(from: order.count - 1, to: 0, by: -1) {
            order.swapAt(position, Int(numbers.next() % UInt64(position)))
        }
        for (position, next) in order.enumerated() { words[position * 8] = UInt64(next) }
    }

    deinit { try? File.remove(path) }

    func nanosPerStep(steps: Int) -> Double {
        var line = 0
        let start = Clock.monotonicNanos()
        for _ in 0..<steps { line = Int(ckernel_load(words + line * 8)) }
        let nanos = Clock.monotonicNanos() - start
        precondition(line >= 0)
        return Double(nanos) / Double(steps)
    }
}

/// The middle one; of an even number the upper of the two in the middle.
package func median(_ values: [Double]) -> Double { values.isEmpty ? 0 : values.sorted()[values.count / 2] }

/// Runs something on a thread of its own, on one processor, and waits: the calling thread stays where it may.
package func onThread<Value: Sendable>(
    processor: Int?, _ body: @escaping @Sendable () throws -> Value
) throws -> Value {
    let outcome = Outcome<Value>()
    ConsentKernel.Thread(name: "measure") {
        if let processor { ConsentKernel.Thread.pin(toProcessor: processor) }
        let result = Result { try body() }
        outcome.result.withLock { $0 = result }
    }.join()
    guard let result = outcome.result.withLock({ $0 }) else { preconditionFailure("the thread has ended") }
    return try result.get()
}

private final class Outcome<Value: Sendable>: Sendable {
    let result = Mutex<Result<Value, any Error>?>(nil)
}

/// The reader for programs in C, over the folder of a node.
struct OpenedCReader: ~Copyable {
    private let reader: OpaquePointer

    struct Failure: Error, CustomStringConvertible {
        let description: String
    }

    init(_ folder: String) throws {
        var opened: OpaquePointer?
        let error = consent_reader_open(folder, &opened)
        guard let opened else {
            throw Failure(description: "the C reader: \(String(cString: consent_reader_error_text(error)))")
        }
        reader = opened
    }

    deinit { consent_reader_close(reader) }

    @inline(__always)
    func decision(_ name: UnsafeRawBufferPointer, purposeBit: Int) -> UInt8 {
        var answer = consent_answer()
        consent_reader_check(
            reader, UInt8(CONSENT_CUSTOMER), name.baseAddress!.assumingMemoryBound(to: CChar.self), name.count,
            UInt32(purposeBit), &answer)
        return answer.decision
    }
}
