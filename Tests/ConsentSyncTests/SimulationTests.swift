import ConsentSimulation
import Testing

/// Whole deployments under every fault; `./dev simulate` runs as many as one likes.
struct SimulationTests {
    @Test(arguments: 0..<4)
    func nothingIsFoundInAnySeed(part: UInt64) throws {
        for seed in part * 25..<(part + 1) * 25 { _ = try Simulation(seed: seed).run() }
    }

    /// 112,733: a chunk that had broken off for want of room came again from a backup that was restored, with rows that were
    /// older than those that were there already. 206,269: an edge was pointed from one of two nodes that had gone on from
    /// one past to the other, and what the one had vouched for counted for rows of the other. 428,417 and 481,986: an edge
    /// handed rows on that were made by a catalog of which those who follow it had not heard.
    @Test(arguments: [112_733, 206_269, 428_417, 481_986] as [UInt64])
    func whatASeedHasShownOnceIsMended(seed: UInt64) throws { _ = try Simulation(seed: seed).run() }

    @Test func equalSeedsRunEqually() throws {
        for seed: UInt64 in [3, 17, 99] {
            let first = try Simulation(seed: seed).run()
            let second = try Simulation(seed: seed, isTraced: true).run()
            #expect(first == second)
            #expect(first.steps > 0 && first.answers > 0)
        }
    }

    @Test(arguments: Canary.allCases)
    func aBrokenEdgeIsFoundWithinAThousandSeeds(canary: Canary) {
        var found: UInt64?
        for seed: UInt64 in 1...1000 where found == nil {
            do {
                _ = try Simulation(seed: seed, canary: canary).run()
            } catch {
                found = seed
            }
        }
        #expect(found != nil, "\(canary) went unnoticed")
    }

    @Test func everyFaultIsMetBySomeSeed() throws {
        var total = SimulationResult()
        for seed: UInt64 in 1...60 { total += try Simulation(seed: seed).run() }
        #expect(total.snapshots > 0 && total.resumed > 0 && total.mismatches > 0)
        #expect(total.reconnects > 0 && total.held > 0 && total.kills > 0)
        #expect(SimulatedFault.allCases.filter { total.faults[$0] == nil }.isEmpty)
    }
}
