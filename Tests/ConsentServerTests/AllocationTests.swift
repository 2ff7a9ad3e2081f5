import CAllocationCounter
import ConsentEngine
import ConsentIndex
import ConsentKernel
import ConsentModel
import ConsentServer
import ConsentTestSupport
import ConsentWire
import Testing

/// The way of a check, from received bytes to bytes to send, takes nothing from the heap.
struct AllocationTests {
    private static let framesCount = 10_000

    private let server: VectorServer

    init() throws {
        server = try VectorServer()
        try server.record(given: (0..<100).map { "yes\($0)" }, withdrawn: (0..<100).map { "no\($0)" })
    }

    @Test func theCounterCounts() {
        allocation_counter_reset()
        let before = allocation_counter_get()
        let block = UnsafeMutableRawPointer.allocate(byteCount: 100, alignment: 64)
        block.deallocate()
        #expect(allocation_counter_get() - before >= 1)
    }

    @Test(arguments: ["yes", "no", "who"])
    func aCheckAllocatesNothing(_ kind: String) {
        expectNoAllocation { number in Bytes.check("\(kind)\(number % 100)", request: UInt32(number)) }
    }

    @Test(arguments: ["yes", "no", "who"])
    func aPipelineOfChecksAllocatesNothing(_ kind: String) {
        expectNoAllocation(framesPerTurn: 100) { number in
            Bytes.check("\(kind)\(number % 100)", request: UInt32(number))
        }
    }

    @Test(arguments: ["yes", "no", "who"])
    func aCheckOfManyPurposesAllocatesNothing(_ kind: String) {
        expectNoAllocation { number in
            Bytes.checkPurposes("\(kind)\(number % 100)", [0xFFFFF, 0], request: UInt32(number))
        }
    }

    @Test(arguments: ["yes", "no", "who"])
    func aCheckOfManySubjectsAllocatesNothing(_ kind: String) {
        expectNoAllocation { number in
            Bytes.checkSubjects((0..<40).map { "\(kind)\(($0 + number) % 100)" }, request: UInt32(number))
        }
    }

    /// Live, stale and unavailable ones.
    @Test(arguments: [0, 30_000, 90_000] as [UInt64])
    func anEdgesChecksAllocateNothing(ageMillis: UInt64) throws {
        let publication = server.node.engine.publication
        let clock = try BootClock { publication.current.vouchedAt + ageMillis }
        expectNoAllocation(CheckPath(server.node.engine.inService.value, vouchedBy: clock)) { number in
            Bytes.check("yes\(number % 100)", request: UInt32(number))
                + Bytes.checkPurposes("yes\(number % 100)", [0xFFFFF, 0], request: UInt32(number))
                + Bytes.checkSubjects(["yes1", "no1"], request: UInt32(number))
        }
    }

    @Test func aPingAllocatesNothing() { expectNoAllocation { Bytes.ping(request: UInt32($0)) } }

    /// Feeds frames to a session that has seen such ones before.
    private func expectNoAllocation(
        _ path: consuming CheckPath? = nil, framesPerTurn: Int = 1, sourceLocation: SourceLocation = #_sourceLocation,
        _ frame: (Int) -> [UInt8]
    ) {
        let turns = (0..<100).map { turn in
            (0..<framesPerTurn).flatMap { frame(turn * framesPerTurn + $0) }
        }
        let input = UnsafeMutableRawBufferPointer.allocate(byteCount: turns.map(\.count).max()!, alignment: 64)
        defer { input.deallocate() }
        var checks = path ?? server.checkPath()
        var output = OutputBuffer(capacity: 1 << 17)
        var actions: [SessionAction] = []
        var session = Session(server.settings)
        let catalog = server.node.engine.catalog
        var hello = Bytes.hello()
        hello.withUnsafeMutableBytes {
            _ = session.receive($0, checks: &checks, catalog: catalog, head: 0, output: &output, actions: &actions)
        }
        let now = Clock.realtimeMillis()
        var (taken, count) = (0, 0)

        func feed(_ bytes: borrowing [UInt8]) {
            input.copyBytes(from: bytes)
            allocation_counter_reset()
            output.clear()
            checks.beginTurn(nowMillis: now)
            taken += session.receive(
                UnsafeMutableRawBufferPointer(rebasing: input[..<bytes.count]), checks: &checks, catalog: catalog,
                head: 0, output: &output, actions: &actions)
            checks.flush(into: &output)
            count += Int(allocation_counter_get())
        }

        for turn in turns { feed(turn) }
        let rounds = Self.framesCount / (turns.count * framesPerTurn)
        (taken, count) = (0, 0)
        for _ in 0..<rounds { for turn in turns { feed(turn) } }
        #expect(count == 0, "\(Double(count) / Double(Self.framesCount)) a frame", sourceLocation: sourceLocation)
        #expect(taken == rounds * turns.map(\.count).reduce(0, +), sourceLocation: sourceLocation)
        let outputCount = output.count
        #expect(outputCount > 0, sourceLocation: sourceLocation)
    }
}
