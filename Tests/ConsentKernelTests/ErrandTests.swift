import ConsentKernel
import Testing

struct ErrandTests {
    private struct Failure: Error, Equatable {}

    @Test func anErrandIsDoneBesideTheOwnWork() throws {
        let begun = try Wakeup()
        let errand = Errand(name: "errand") {
            begun.raise()
            return (0..<1000).reduce(0, +)
        }
        // It goes on by itself, before anybody asks for its result.
        begun.wait(timeoutMillis: -1)
        #expect(try errand.finish().get() == 499_500)
    }

    @Test func whatWentWrongInAnErrandIsToldToWhoAsks() {
        let errand = Errand<Int>(name: "errand") { throw Failure() }
        #expect(throws: Failure.self) { try errand.finish().get() }
    }
}
