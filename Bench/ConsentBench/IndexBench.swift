import CConsentClients
import CKernel
import ConsentIndex
import ConsentKernel
import ConsentModel

/// The index in one process, beside what memory itself costs over the same footprint.
package struct IndexBench {
    private let identifiers: Int
    private let folder: String
    private let key = IdentifierHashKey(k0: 1, k1: 2)
    /// As a key file has them: 1 and 2.
    private static let keyBytes: [UInt8] = [1] + [UInt8](repeating: 0, count: 7) + [2] + [UInt8](repeating: 0, count: 7)
    private static let purposes = 20
    /// Bytes of one identifier.
    private static let identifierSize = 16
    private static let batch = 1000
    private static let checksAtATime = 256
    private static let now: UInt32 = 1_800_000_000

    /// - Parameter folder: made by the caller, empty.
    package init(identifiers: Int, folder: String) {
        self.identifiers = identifiers
        self.folder = folder
    }

    /// Builds an index of random rows, then asks it in both ways. Prints a checksum of the answers.
    package func run(progress: (String) -> Void) throws -> [Figure] {
        progress("building an index of \(identifiers) identifiers")
        let index = IndexFolder(folder + "/index")
        let writer = try IndexWriter(
            creating: index, history: [UInt8](repeating: 7, count: 16), keyCheck: key.check, identifiers: identifiers,
            purposes: Self.purposes)
        try fill(writer)
        // As a node leaves it to readers in other processes, and vouched for until the end.
        try File.replace(folder + "/index.key", with: Self.keyBytes)
        writer.setLiveMillis(1 << 40)
        writer.vouch(at: Clock.boottimeMillis())
        try writer.publish()
        var mapped = try MappedReader(index, keyCheck: key.check)
        let reader = try OpenedCReader(folder)
        var inProcess = IndexReader(writer.publication)
        let rounds = 3
        progress("looking up")
        var floor: [Double] = []
        var dependent: [Double] = []
        var batched: [Double] = []
        var (ofSwift, ofC, ofCInBatches): ([Double], [Double], [Double]) = ([], [], [])
        var checksum: UInt64 = 0
        let chase = try PointerChase(folder: folder, size: writer.fileSize)
        for _ in 0..<rounds {
            floor.append(chase.nanosPerStep(steps: 2_000_000))
            dependent.append(
                measureDependent(count: 2_000_000, &checksum) { name, bit in
                    inProcess.check(key.hash(.customer, name), purposeBit: bit, now: Self.now).decisionByte
                })
            ofC.append(measureDependent(count: 2_000_000, &checksum) { reader.decision($0, purposeBit: $1) })
            ofSwift.append(
                measureDependent(count: 2_000_000, &checksum) { name, bit in
                    mapped.check(key.hash(.customer, name), purposeBit: bit, now: Self.now).answer.decisionByte
                })
            batched.append(measureBatches(&inProcess, count: 4_000_000, &checksum))
            ofCInBatches.append(measureBatches(reader, count: 4_000_000, &checksum))
        }
        let counted = measureCount(writer, rounds: rounds, &checksum)
        progress("checksum of the answers: \(String(checksum, radix: 16))")
        func median(_ values: [Double]) -> Double { values.sorted()[values.count / 2] }
        let bytes = Double(writer.fileSize)
        return [
            .atMost("index file at \(identifiers) identifiers", bytes / 1e6, "MB", 45.0 * Double(identifiers) / 1e6),
            Figure("dependent memory access, same footprint", median(floor), "ns"),
            Figure("dependent check", median(dependent), "ns"),
            .atMost("dependent check / dependent access", median(dependent) / median(floor), "x", 1.6),
            .atMost("check in batches of 1000", median(batched), "ns", 60),
            Figure("mapped check, Swift", median(ofSwift), "ns"),
            Figure("mapped check, C", median(ofC), "ns"),
            .atMost("mapped check, C / dependent check", median(ofC) / median(dependent), "x", 1.3),
            Figure("mapped check, C, in batches of 1000", median(ofCInBatches), "ns"),
            .atLeast("rows counted for an audience", counted / 1e6, "M/s", 5),
        ]
    }

    private func fill(_ writer: IndexWriter) throws {
        var numbers = SeededNumbers(seed: 42)
        var row = IndexRow()
        var name = [UInt8](repeating: 0, count: Self.identifierSize)
        for number in 0..<identifiers {
            let bits = numbers.next()
            row.permitted[word: 0] = bits & 0xFFFFF
            row.denied[word: 0] = (bits >> 20) & 0xFFFFF & ~bits
            row.sequence = UInt64(number)
            try writer.put(hash(number, &name), row)
        }
    }

    private func hash(_ number: Int, _ name: inout [UInt8]) -> IdentifierHash {
        Self.write(number, &name)
        return name.withUnsafeBytes { key.hash(.customer, $0) }
    }

    /// `customer` and eight letters, made with a few instructions: what is measured is the check, not its name.
    @inline(__always)
    private static func write(_ number: Int, _ name: inout [UInt8]) {
        var spread = UInt64(UInt32(truncatingIfNeeded: number))
        spread = (spread | spread << 16) & 0x0000_FFFF_0000_FFFF
        spread = (spread | spread << 8) & 0x00FF_00FF_00FF_00FF
        spread = (spread | spread << 4) & 0x0F0F_0F0F_0F0F_0F0F
        name.withUnsafeMutableBytes { name in
            name.storeBytes(of: 0x7265_6d6f_7473_7563, as: UInt64.self)
            name.storeBytes(of: spread | 0x6060_6060_6060_6060, toByteOffset: 8, as: UInt64.self)
        }
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
        var name = [UInt8](repeating: 0, count: Self.identifierSize)
        var numbers = SeededNumbers(seed: 3)
        var carry: UInt64 = 0
        let start = Clock.monotonicNanos()
        for _ in 0..<count {
            let random = numbers.next() &+ carry
            let number = Int(random.multipliedFullWidth(by: UInt64(identifiers)).high)
            Self.write(number, &name)
            carry = UInt64(name.withUnsafeBytes { decision($0, Int(random & 15)) })
            checksum = checksum &* 31 &+ carry
        }
        return Double(Clock.monotonicNanos() - start) / Double(count)
    }

    /// The identifiers of a batch in one call.
    private func measureBatches(_ reader: borrowing OpenedCReader, count: Int, _ checksum: inout UInt64) -> Double {
        var numbers = SeededNumbers(seed: 4)
        var name = [UInt8](repeating: 0, count: Self.identifierSize)
        let names = UnsafeMutablePointer<CChar>.allocate(capacity: Self.batch * Self.identifierSize)
        var identifiers: [consent_identifier] = []
        for position in 0..<Self.batch {
            identifiers.append(
                consent_identifier(
                    value: names + position * Self.identifierSize, size: Self.identifierSize,
                    type: UInt8(CONSENT_CUSTOMER)))
        }
        let answers = UnsafeMutableBufferPointer<consent_answer>.allocate(capacity: Self.batch)
        defer {
            names.deallocate()
            answers.deallocate()
        }
        var nanos: Int64 = 0
        for _ in 0..<count / Self.batch {
            for position in 0..<Self.batch {
                Self.write(Int(numbers.next().multipliedFullWidth(by: UInt64(self.identifiers)).high), &name)
                for byte in 0..<Self.identifierSize {
                    names[position * Self.identifierSize + byte] = CChar(bitPattern: name[byte])
                }
            }
            let start = Clock.monotonicNanos()
            identifiers.withUnsafeBufferPointer { reader.check($0, purposeBit: 3, answers: answers.baseAddress!) }
            for answer in answers { checksum = checksum &* 31 &+ UInt64(answer.decision) }
            nanos += Clock.monotonicNanos() - start
        }
        return Double(nanos) / Double(count / Self.batch * Self.batch)
    }

    /// Hashes some of a batch, then asks for all of them, as the server does.
    private func measureBatches(_ reader: inout IndexReader, count: Int, _ checksum: inout UInt64) -> Double {
        var numbers = SeededNumbers(seed: 4)
        // Identifiers are as they lie in a frame; making them up is not part of the check.
        var names = [UInt8](repeating: 0, count: Self.batch * Self.identifierSize)
        var name = [UInt8](repeating: 0, count: Self.identifierSize)
        var texts = IdentifierBatch(capacity: Self.checksAtATime)
        let answers = UnsafeMutableBufferPointer<IndexAnswer>.allocate(capacity: Self.checksAtATime)
        defer { answers.deallocate() }
        var nanos: Int64 = 0
        for _ in 0..<count / Self.batch {
            for position in 0..<Self.batch {
                Self.write(Int(numbers.next().multipliedFullWidth(by: UInt64(identifiers)).high), &name)
                for byte in 0..<Self.identifierSize { names[position * Self.identifierSize + byte] = name[byte] }
            }
            let start = Clock.monotonicNanos()
            names.withUnsafeBytes { names in
                for begin in stride(from: 0, to: Self.batch, by: Self.checksAtATime) {
                    let count = min(Self.checksAtATime, Self.batch - begin)
                    for step in 0..<count {
                        let name = UnsafeRawBufferPointer(
                            start: names.baseAddress! + (begin + step) * Self.identifierSize,
                            count: Self.identifierSize)
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

    func check(
        _ identifiers: UnsafeBufferPointer<consent_identifier>, purposeBit: Int,
        answers: UnsafeMutablePointer<consent_answer>
    ) {
        consent_reader_check_many(reader, identifiers.baseAddress, identifiers.count, UInt32(purposeBit), answers)
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
