import ConsentCatalog
import ConsentEngine
import ConsentIndex
import ConsentKernel
import ConsentModel
import ConsentWire

/// What one part of the way costs by itself.
package struct MicroResult: Codable, Sendable {
    package var name: String
    /// Of one operation, the median of rounds.
    package var nanos: Double
    package var operations: Int
    /// Of what was computed: the same for the same program and size, and proof that it was computed.
    package var checksum: String
}

/// The parts of the way of a check and of a change, one by one, without sockets.
package struct MicroBench {
    /// Operations of a round.
    private let count: Int
    private let rounds: Int
    private let folder: String
    private let key = IdentifierHashKey(k0: 1, k1: 2)
    private static let now: UInt32 = 1_800_000_000
    /// Few enough to stay in the processor's cache.
    private static let identifiers = 4096

    /// - Parameter folder: made by the caller, empty.
    package init(folder: String, isSmoke: Bool) {
        self.folder = folder
        count = isSmoke ? 20_000 : 2_000_000
        rounds = isSmoke ? 1 : 5
    }

    package func run() throws -> [MicroResult] {
        let writer = try makeIndex()
        var results = [decoding(), encoding(), hashing(), lookingUp(writer), digesting(writer)]
        for group in [1, 16, 256, 4096] { results.append(try committing(group)) }
        return results
    }

    private func measure(_ name: String, count: Int, _ body: () -> UInt64) -> MicroResult {
        var (nanos, checksum): ([Double], UInt64) = ([], 0)
        for _ in 0..<rounds {
            let start = Clock.monotonicNanos()
            checksum = body()
            nanos.append(Double(Clock.monotonicNanos() - start) / Double(count))
        }
        return MicroResult(
            name: name, nanos: median(nanos), operations: count, checksum: String(checksum, radix: 16))
    }

    // MARK: Codec

    /// Frames of single checks, as many as a pipeline holds, read in place.
    private func decoding() -> MicroResult {
        let pipeline = 128
        var frames = OutputBuffer(capacity: 8192)
        for number in 0..<pipeline {
            CheckRequest.encode(
                .check, purposeBit: 3, identifier: BenchName.subject.identifier(UInt32(number)),
                request: UInt32(number), into: &frames)
        }
        let bytes = UnsafeMutableRawBufferPointer.allocate(byteCount: frames.count, alignment: 64)
        defer { bytes.deallocate() }
        bytes.copyMemory(from: frames.bytes)
        return measure("codec: decode a check", count: count / pipeline * pipeline) {
            var checksum: UInt64 = 0
            for _ in 0..<count / pipeline {
                var place = 0
                while case .frame(let frame) = scanFrame(UnsafeMutableRawBufferPointer(rebasing: bytes[place...])) {
                    place += frame.size
                    guard let identifier = try? CheckRequest(frame).identifier() else { return 0 }
                    checksum = checksum &* 31 &+ UInt64(identifier.value.count) &+ UInt64(frame.request)
                }
            }
            return checksum
        }
    }

    private func encoding() -> MicroResult {
        let pipeline = 128
        var output = OutputBuffer(capacity: pipeline * OutputBuffer.checkedSize)
        return measure("encode: the answer to a check", count: count / pipeline * pipeline) {
            var checksum: UInt64 = 0
            for round in 0..<count / pipeline {
                output.clear()
                for number in 0..<pipeline {
                    let place = output.zeroBytes(OutputBuffer.checkedSize)
                    output.setChecked(
                        at: place, request: UInt32(truncatingIfNeeded: number), decision: UInt8(number & 1) + 1,
                        reason: 4, freshness: 0, sequence: UInt64(round))
                }
                let last = (pipeline - 1) * OutputBuffer.checkedSize
                checksum =
                    checksum &* 31 &+ output.bytes.loadUnaligned(fromByteOffset: last, as: UInt64.self)
                    &+ output.bytes.loadUnaligned(fromByteOffset: last + 16, as: UInt64.self)
            }
            return checksum
        }
    }

    // MARK: Index

    private func hashing() -> MicroResult {
        let name = UnsafeMutableRawBufferPointer.allocate(byteCount: BenchName.size, alignment: 16)
        defer { name.deallocate() }
        return measure("hash: an identifier of 16 bytes", count: count) {
            var checksum: UInt64 = 0
            for number in 0..<count {
                BenchName.subject.write(UInt32(truncatingIfNeeded: number), to: name.baseAddress!)
                let hash = key.hash(.customer, UnsafeRawBufferPointer(name))
                checksum = checksum &+ (hash.high ^ hash.low)
            }
            return checksum
        }
    }

    private func hash(_ number: Int) -> IdentifierHash { key.hash(BenchName.subject.identifier(UInt32(number))) }

    private func makeIndex() throws -> IndexWriter {
        let writer = try IndexWriter(
            creating: IndexFolder(folder + "/index"), history: [UInt8](repeating: 7, count: 16), keyCheck: key.check,
            identifiers: Self.identifiers, purposes: 20)
        var numbers = SeededNumbers(seed: 42)
        for number in 0..<Self.identifiers { try writer.put(hash(number), row(&numbers, sequence: number)) }
        return writer
    }

    private func row(_ numbers: inout SeededNumbers, sequence: Int) -> IndexRow {
        var row = IndexRow()
        let bits = numbers.next()
        row.permitted[word: 0] = bits & 0xFFFFF
        row.denied[word: 0] = (bits >> 20) & 0xFFFFF & ~bits
        row.sequence = UInt64(sequence)
        return row
    }

    /// Each depends on the answer before; the rows are in the processor's cache.
    private func lookingUp(_ writer: IndexWriter) -> MicroResult {
        var reader = IndexReader(writer.publication)
        let hashes = (0..<Self.identifiers).map(hash)
        return measure("lookup: a check in the cache", count: count) {
            var (checksum, carry): (UInt64, Int) = (0, 0)
            for number in 0..<count {
                let answer = reader.check(
                    hashes[(number &* 31 &+ carry) & (Self.identifiers - 1)], purposeBit: number & 15, now: Self.now)
                carry = Int(answer.decisionByte)
                checksum = checksum &* 31 &+ UInt64(answer.decisionByte)
            }
            return checksum
        }
    }

    /// How the index's digest follows a change of a row.
    private func digesting(_ writer: IndexWriter) -> MicroResult {
        var numbers = SeededNumbers(seed: 43)
        let changes = (0..<Self.identifiers).map { (hash($0), row(&numbers, sequence: Self.identifiers + $0)) }
        let passes = max(1, count / Self.identifiers)
        return measure("digest: of a changed row", count: passes * Self.identifiers) {
            var checksum: UInt64 = 0
            for _ in 0..<passes {
                let totals = writer.totals { put in for (hash, row) in changes { put(hash, row, 0) } }
                checksum = checksum &* 31 &+ totals.digest
            }
            return checksum
        }
    }

    // MARK: Changes

    /// Events in groups of one size: judged, durable in the ledger, and in the index. The checksum is of their sequences.
    private func committing(_ group: Int) throws -> MicroResult {
        let node = NodeFolder("\(folder)/group\(group)")
        try node.create(deployment: nil, now: Timestamp(millis: Clock.realtimeMillis()))
        let engine = try Engine(node) { _ in }
        do {
            _ = try engine.apply(CatalogDocument(text: TemplateCatalog.text, file: "template"))
            let catalog = try BenchCatalog()
            // A commit waits for the disk whatever its size.
            let groups = max(1, min(rounds == 1 ? 3 : 400, count / 20 / group))
            let start = Clock.monotonicNanos()
            var checksum: UInt64 = 0
            for position in 0..<groups {
                let events = (0..<group).map { step in
                    catalog.event(
                        BenchName.subject.identifier(UInt32(position * group + step)), isGranted: step % 3 != 0)
                }
                let result = try engine.record(events)
                checksum = checksum &* 31 &+ result.head
            }
            let nanos = Double(Clock.monotonicNanos() - start) / Double(groups * group)
            try engine.close()
            return MicroResult(
                name: "group commit: an event of a group of \(group)", nanos: nanos, operations: groups * group,
                checksum: String(checksum, radix: 16))
        } catch {
            try? engine.close()
            throw error
        }
    }
}
