import ConsentKernel
import ConsentSimulation
import Glibc

// Runs simulated deployments, one a seed, until all are done or one shows what must never be.

struct Arguments {
    var seeds: UInt64 = 2000
    var first: UInt64 = 1
    var canary: Canary?
    var isTraced = false

    static let usage = """
        usage: simulate [--seeds N] [--seed S] [--canary NAME] [--trace]

          --seeds N      run N seeds; 2000 if nothing is said
          --seed S       begin with seed S; alone: run that one only
          --canary NAME  run a deliberately broken edge, which must be found: \(Canary.allCases.map(\.rawValue).joined(separator: ", "))
          --trace        print the last steps before a failure

        EXAMPLES
          simulate --seeds 1000000
          simulate --seed 4711 --trace
          simulate --seeds 1000 --canary skip-digest

        Exits with 0 if nothing was found, 1 if something was, 64 for arguments that it does not know.
        With a canary it is the other way round: 0 if it was found, 1 if it was not.
        """

    init?(_ words: [String]) {
        var rest = words[...]
        var hasSeeds = false
        while let word = rest.popFirst() {
            switch word {
            case "--seeds":
                guard let number = rest.popFirst().flatMap({ UInt64($0) }), number > 0 else { return nil }
                (seeds, hasSeeds) = (number, true)
            case "--seed":
                guard let number = rest.popFirst().flatMap({ UInt64($0) }) else { return nil }
                first = number
                if !hasSeeds { seeds = 1 }
            case "--canary":
                guard let found = rest.popFirst().flatMap(Canary.init(rawValue:)) else { return nil }
                canary = found
            case "--trace": isTraced = true
            default: return nil
            }
        }
    }
}

func seconds(since start: Int64) -> Double { Double(Clock.monotonicNanos() - start) / 1e9 }

func run(_ arguments: Arguments) -> Int32 {
    let start = Clock.monotonicNanos()
    var total = SimulationResult()
    var nextReport = 5.0
    for position in 0..<arguments.seeds {
        let seed = arguments.first &+ position
        do {
            total += try Simulation(seed: seed, canary: arguments.canary, isTraced: arguments.isTraced).run()
        } catch {
            for line in error.trace { print(line) }
            print(error)
            if let canary = arguments.canary {
                print("canary \(canary.rawValue): found after \(position + 1) seeds")
                return 0
            }
            print("again: ./dev simulate --seed \(seed) --trace")
            return 1
        }
        let elapsed = seconds(since: start)
        if elapsed >= nextReport {
            nextReport = elapsed + 5
            let rate = Int(Double(position + 1) / elapsed)
            print("\(position + 1) of \(arguments.seeds) seeds, \(rate) a second, none has failed")
        }
    }
    let elapsed = seconds(since: start)
    print(
        """
        \(arguments.seeds) seeds from \(arguments.first) in \(Int(elapsed * 10) / 10) s (\(Int(Double(arguments.seeds) / elapsed)) a second): nothing was found
        \(total.steps) steps, \(total.answers) answers judged, \(total.snapshots) snapshots (\(total.resumed) resumed), \(total.mismatches) digests found wrong, \(total.reconnects) reconnects, \(total.held) times another past was held off, \(total.kills) kills
        hash of all final states: \(String(total.digest, radix: 16))
        """)
    if let canary = arguments.canary {
        print("canary \(canary.rawValue): NOT found")
        return 1
    }
    return 0
}

guard let arguments = Arguments(Array(CommandLine.arguments.dropFirst())) else {
    print(Arguments.usage)
    exit(64)
}
exit(run(arguments))
