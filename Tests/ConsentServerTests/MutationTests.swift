import ConsentCatalog
import ConsentEngine
import ConsentIndex
import ConsentKernel
import ConsentModel
import ConsentServer
import ConsentTestSupport
import ConsentWire
import Testing

/// What no valid client sends. Every frame here began as a valid one.
struct MutationTests {
    /// Small enough that a million of them pass within the time that people wait for tests.
    private static let frameSizeMax = 700

    private static func validFrames() throws -> [[UInt8]] {
        try Vector.validFiles.flatMap { try Vector.file($0) }.filter { vector in
            try Opcode.allCases.first { try "\($0)" == vector.opcode }!.rawValue < 128
                && vector.bytes.count <= frameSizeMax
        }.map(\.bytes)
    }

    @Test(.timeLimit(.minutes(10)))
    func aMillionMutatedFramesGrantNothingAndBreakNothing() async throws {
        let server = try VectorServer()
        // Neighbours whose consents must not be seen by anybody else.
        try server.record(given: (0..<1000).map { "neighbour-\($0)-of-nobody" })
        let frames = try Self.validFrames()
        let tasks = 8
        let engine = server.node.engine
        let settings = server.settings
        let findings = await withTaskGroup(of: String?.self) { group in
            for task in 0..<tasks {
                group.addTask {
                    var attack = Attack(engine, settings, frames, salt: UInt64(100 + task))
                    return attack.run(frames: 1_000_000 / tasks)
                }
            }
            return await group.reduce(into: []) { findings, finding in findings += finding.map { [$0] } ?? [] }
        }
        #expect(findings == [])
        // The server is as it was.
        let driver = server.greeted()
        let answers = driver.feed(
            Bytes.check("neighbour-1-of-nobody", request: 2) + Bytes.check("nobody", request: 3))
        #expect(answers.map(\.decision) == [.granted, .unknown])
        #expect(server.node.engine.publication.current.appliedSequence == 1001)
    }

    @Test(.timeLimit(.minutes(10)))
    func mutatedRecordsNeverBreakTheLedger() throws {
        let server = try VectorServer()
        let frames = try Self.validFrames().filter { $0[4] == Opcode.record.rawValue }
        do {
            var attack = Attack(server.node.engine, server.settings, frames, salt: 200)
            attack.performs = true
            #expect(attack.run(frames: 30_000) == nil)
        }
        let driver = server.greeted()
        #expect(driver.feed(Bytes.record([sampleGrant(customer: "afterwards")], request: 2)).isEmpty)
        let recorded = try #require(driver.performActions().first).read { try Recorded($0) }
        #expect(recorded.outcomes.map(\.refusal) == [nil])
        #expect(recorded.head > 100, "too few got through to mean anything")
        #expect(server.node.fatals.all == [])
        let report = try verify(server.node.folder)
        #expect(report.problems == [])
        #expect(report.events == recorded.head)
        try server.node.restart()
        #expect(server.node.engine.recovery == .current)
    }
}

/// One thread's share of the mutated frames: several to a session, as they come on one connection.
private struct Attack: ~Copyable {
    private static let framesPerSession = 8
    private static let bufferSize = 1 << 16

    /// Whether records are really carried out.
    var performs = false
    private let engine: Engine
    private let greeted: Session
    private let frames: [[UInt8]]
    private let catalog: AppliedCatalog
    private var generator: SeededGenerator
    private var checks: CheckPath
    private var output = OutputBuffer(capacity: 1 << 16)
    private var actions: [SessionAction] = []
    private let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: bufferSize, alignment: 64)

    init(_ engine: Engine, _ settings: SessionSettings, _ frames: [[UInt8]], salt: UInt64) {
        self.engine = engine
        self.frames = frames
        catalog = engine.catalog
        generator = SeededGenerator(salt: salt)
        checks = CheckPath(engine.inService.value)
        var session = Session(settings)
        let hello = Bytes.hello()
        buffer.copyBytes(from: hello)
        _ = session.receive(
            UnsafeMutableRawBufferPointer(rebasing: buffer[..<hello.count]), checks: &checks, catalog: catalog, head: 0,
            output: &output, actions: &actions)
        precondition(session.phase == .open)
        greeted = session
    }

    deinit { buffer.deallocate() }

    /// - Returns: the first thing that should not have happened.
    mutating func run(frames count: Int) -> String? {
        checks.beginTurn(nowMillis: Clock.realtimeMillis())
        for round in 0..<count / Self.framesPerSession {
            var session = greeted
            var size = 0
            for _ in 0..<Self.framesPerSession { size = mutate(at: size) }
            output.clear()
            actions.removeAll(keepingCapacity: true)
            let bytes = UnsafeMutableRawBufferPointer(rebasing: buffer[..<size])
            let taken = session.receive(
                bytes, checks: &checks, catalog: catalog, head: 0, output: &output, actions: &actions)
            checks.flush(into: &output)
            if let wrong = wrong(taken: taken, size: size, session) {
                return "CONSENT_TEST_SEED=\(TestSeed.value), round \(round): \(wrong)"
            }
            if performs { for case .here(let action) in actions { engine.perform(action, feed: nil) { _ in } } }
        }
        return nil
    }

    private func wrong(taken: Int, size: Int, _ session: Session) -> String? {
        if taken < 0 || taken > size { return "took \(taken) of \(size) bytes" }
        if actions.count > Self.framesPerSession * 64 { return "\(actions.count) actions" }
        if actions.count != session.inFlight { return "\(actions.count) actions, \(session.inFlight) in flight" }
        if output.count > 1 << 20 { return "\(output.count) bytes of output" }
        let bytes = UnsafeMutableRawBufferPointer(mutating: output.bytes)
        var read = 0
        while read < bytes.count {
            guard case .frame(let frame) = scanFrame(UnsafeMutableRawBufferPointer(rebasing: bytes[read...])) else {
                return "an answer that is no frame"
            }
            if let wrong = wrong(frame) { return wrong }
            read += frame.size
        }
        return nil
    }

    /// Nobody who is asked for is known, so a grant is never right.
    private func wrong(_ frame: Frame) -> String? {
        switch Opcode(rawValue: frame.opcode) {
        case .checked: frame.argument == 0 ? nil : "checked \(frame.argument)"
        case .checkedPurposes, .checkedSubjects:
            frame.payload.dropFirst(8).allSatisfy { $0 == 0 } ? nil : "a bit in an answer to many"
        case .pong: frame.payload.count == 8 ? nil : "a pong of \(frame.payload.count) bytes"
        case .error: ErrorCode(rawValue: frame.argument) == nil ? "error \(frame.argument)" : nil
        default: "opcode \(frame.opcode)"
        }
    }

    // MARK: Mutations

    /// Writes a mutated frame at an offset of the buffer.
    ///
    /// - Returns: where it ends.
    private mutating func mutate(at start: Int) -> Int {
        let frame = frames[generator.below(frames.count)]
        buffer.baseAddress!.advanced(by: start).copyMemory(from: frame, byteCount: frame.count)
        var end = start + frame.count
        for _ in 0...generator.below(3) { end = mutateOnce(start, end) }
        // With the right length the change reaches the decoders; with a wrong one the frames behind it are read askew.
        if end - start >= 16, !generator.oneIn(4) {
            buffer.storeBytes(of: UInt32(end - start - 4).littleEndian, toByteOffset: start, as: UInt32.self)
        }
        return end
    }

    private mutating func mutateOnce(_ start: Int, _ end: Int) -> Int {
        guard end > start else { return insert(1, at: start, end) }
        let position = start + generator.below(end - start)
        switch generator.below(8) {
        case 0, 1:
            buffer[position] ^= 1 << UInt8(generator.below(8))
            return end
        case 2:
            buffer[position] = generator.pick([0, 1, 2, 15, 16, 20, 127, 128, 255])
            return end
        case 3:
            buffer[position] = UInt8(truncatingIfNeeded: generator.next())
            return end
        case 4: return remove(1 + generator.below(min(8, end - position)), at: position, end)
        case 5: return insert(1 + generator.below(8), at: position, end)
        case 6: return duplicate(1 + generator.below(min(32, end - position)), at: position, end)
        default: return splice(at: position)
        }
    }

    private func move(_ from: Int, _ to: Int, _ count: Int) {
        buffer.baseAddress!.advanced(by: to).copyMemory(from: buffer.baseAddress! + from, byteCount: count)
    }

    private func remove(_ count: Int, at position: Int, _ end: Int) -> Int {
        move(position + count, position, end - position - count)
        return end - count
    }

    private mutating func insert(_ count: Int, at position: Int, _ end: Int) -> Int {
        move(position, position + count, end - position)
        for step in 0..<count { buffer[position + step] = UInt8(truncatingIfNeeded: generator.next()) }
        return end + count
    }

    private func duplicate(_ count: Int, at position: Int, _ end: Int) -> Int {
        move(position, position + count, end - position)
        return end + count
    }

    /// Goes on with the end of another frame.
    private mutating func splice(at position: Int) -> Int {
        let other = frames[generator.below(frames.count)]
        let tail = generator.below(other.count)
        other.withUnsafeBytes {
            buffer.baseAddress!.advanced(by: position).copyMemory(
                from: $0.baseAddress! + tail, byteCount: other.count - tail)
        }
        return position + other.count - tail
    }
}
