import ConsentServer
import Testing

struct IdleStrategyTests {
    @Test func withoutMicrosecondsItNeverSpins() {
        var idle = IdleStrategy(spinMicros: 0)
        idle.foundWork()
        idle.wokeUp(afterNanos: 0)
        #expect(!idle.mayEverSpin && idle.spinNanos == 0)
    }

    @Test func whatWasInVainIsTriedForHalfAsLongUntilItIsNotTried() {
        var idle = IdleStrategy(spinMicros: 50)
        var tried: [Int64] = []
        for _ in 0..<8 {
            tried.append(idle.spinNanos)
            idle.spunInVain()
        }
        #expect(tried == [50_000, 25_000, 12_500, 6250, 3125, 1562, 0, 0])
    }

    @Test func aRequestThatComesSoonBringsSpinningBackAndALateOneDoesNot() {
        var idle = IdleStrategy(spinMicros: 50)
        for _ in 0..<8 { idle.spunInVain() }
        idle.wokeUp(afterNanos: 50_001)
        #expect(idle.spinNanos == 0)
        idle.wokeUp(afterNanos: 50_000)
        #expect(idle.spinNanos == 50_000)
        idle.spunInVain()
        idle.foundWork()
        #expect(idle.spinNanos == 50_000)
    }
}
