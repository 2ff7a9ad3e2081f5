import CKernel
import ConsentClient
import ConsentEngine
import ConsentIndex
import ConsentKernel
import ConsentLedger
import ConsentModel
import ConsentTestSupport
import Foundation
import Synchronization
import Testing

/// Swift, C, and Python in three ways, over the same folder: the same answers, and none that is wrong, whatever happens to
/// the node that writes it.
struct EveryReaderTests {
    private struct Question: Encodable {
        var ask: String?
        var purpose: String?
        var watch: String?
        var status: Bool?
    }

    private static func python(_ folder: String) throws -> PythonDialogue {
        try PythonDialogue(["-m", "tests.watch_readers", folder])
    }

    // MARK: The corpus

    @Test func allAnswerEveryCaseOfTheCorpusAsItSays() throws {
        let folder = TemporaryFolder()
        let key = (0..<16).map { _ in UInt8.random(in: 0...(.max)) }
        let hashKey = IdentifierHashKey(bytes: key)
        let index = IndexFolder(folder.path("index"))
        let writer = try IndexWriter(
            creating: index, history: [UInt8](repeating: 1, count: 16), keyCheck: hashKey.check, identifiers: 1000,
            purposes: 64)
        try Data(key).write(to: URL(filePath: folder.path("index.key")))
        try index.setPurposes((0..<64).map { ($0, "p\($0)") })
        try writer.publish()
        var readers: [any FolderReader] = [try SwiftFolderReader(folder.path), try CFolderReader(folder.path)]
        let python = try Self.python(folder.path)
        for (number, example) in try DecisionCorpus.cases.get().enumerated() {
            let purpose = try #require(example.catalog.purpose(id: example.purpose))
            let retired = example.catalog.purposes.filter { !$0.isActive }.map(\.bit)
            try writer.setDefaults(granted: PurposeSet(example.catalog.defaultGrants), denied: PurposeSet(retired))
            var standings = Standings()
            for act in example.history { standings.fold(act, purposeBit: purpose.bit) }
            let projection = project(standings, catalog: example.catalog, at: example.clock)
            var row = IndexRow(projection)
            // The readers look at the clock of this machine: what the case has still to come is as far ahead of it.
            let seconds = UInt32(clamping: example.clock.secondsRoundedDown)
            let hasEnd = row.endsAt != IndexRow.never
            let left = hasEnd ? Int64(row.endsAt) - Int64(seconds) : 0
            if hasEnd { row.endsAt = UInt32(clamping: Clock.realtimeMillis() / 1000 + left) }
            let customer = "case-\(number)"
            if !example.history.isEmpty {
                try writer.put(hashKey.hash(try Identifier(type: .customer, value: customer)), row)
            }
            let vouchedAt = Clock.boottimeMillis()
            writer.vouch(at: vouchedAt)
            var answers: [String] = []
            for position in readers.indices {
                answers.append(try readers[position].answer(customer, "p\(purpose.bit)").decision)
            }
            try python.say(Question(ask: "customer:\(customer)", purpose: "p\(purpose.bit)"))
            answers += try python.answer([String].self)
            #expect(answers.count == 8)
            // A consent that ends within a moment may have ended while it was asked about.
            let mayHaveEnded = hasEnd && (0..<60).contains(left)
            let expected: Set = mayHaveEnded ? ["unknown", example.decision.name] : [example.decision.name]
            // Nor does a stopped machine make a test fail: what is too old says nothing.
            let isOld = Clock.boottimeMillis() > vouchedAt + 4000
            #expect(Set(answers).isSubset(of: isOld ? expected.union(["unknown"]) : expected), "\(example): \(answers)")
        }
        try writer.close()
    }

    // MARK: A node that grows, and is killed

    /// What the watches judge by; `watch_readers.py` says what the numbers mean.
    private final class Facts: @unchecked Sendable {
        private let mapping: MappedFile
        // The mapping's pages are shared with other processes: each number is loaded and stored as a whole.
        private var words: UnsafeMutablePointer<UInt64> { mapping.base.assumingMemoryBound(to: UInt64.self) }

        init(_ path: String) throws {
            let file = try FileDescriptor.open(path, .createNew)
            try file.allocate(size: 4096)
            mapping = try MappedFile(file, access: .readWrite)
        }

        subscript(place: Int) -> UInt64 {
            get { ckernel_load(words + place) }
            set { ckernel_store(words + place, newValue) }
        }

        var epoch: UInt64 {
            get { self[0] }
            set { self[0] = newValue }
        }
        var isDead: Bool { self[1] != 0 }
        var diedAt: UInt64 { self[2] }

        func die() {
            self[2] = Clock.boottimeMillis()
            self[1] = 1
        }

        func comeBack() { self[1] = 0 }
    }

    private struct Seen: Decodable {
        var checks = 0
        /// Of customer `toggle`: without any, nothing has been judged.
        var grants = 0
        var wrong: [String] = []
        var newest = ["", ""]
    }

    /// A reader on a thread of its own, that asks until it is told to end.
    private final class Watch: Sendable {
        let seen = Mutex(Seen())
        let isOver = Atomic(false)

        func run(_ reader: any FolderReader, _ facts: Facts) {
            var reader = reader
            while !isOver.load(ordering: .relaxed), seen.withLock({ $0.wrong.isEmpty }) {
                do {
                    for (place, purpose) in ["closed", "static"].enumerated() {
                        try look(&reader, facts, place, purpose)
                    }
                } catch {
                    seen.withLock { $0.wrong.append("threw \(error)") }
                }
                usleep(500)
            }
        }

        private func look(_ reader: inout any FolderReader, _ facts: Facts, _ place: Int, _ purpose: String) throws {
            var wrong: [String] = []
            for name in ["gone", "never"] where try reader.answer(name, purpose).decision == "granted" {
                wrong.append("\(name) is granted \(purpose)")
            }
            let epoch = facts.epoch
            let toggled = try reader.answer("toggle", purpose)
            if toggled.decision == "granted", epoch % 2 == 0, facts.epoch == epoch {
                wrong.append("toggle is granted \(purpose) in epoch \(epoch)")
            }
            let (isDead, diedAt, askedAt) = (facts.isDead, facts.diedAt, Clock.boottimeMillis())
            let always = try reader.answer("always", purpose)
            let limit: UInt64? =
                switch always.freshness {
                case "live": 5000
                case "stale": place == 1 ? 8000 : 0
                default: nil
                }
            if isDead, let limit, askedAt > diedAt + limit, facts.isDead {
                wrong.append("\(purpose) is \(always.freshness) \(askedAt - diedAt) ms after the node's death")
            }
            if (always.decision == "granted") != (always.freshness != "unavailable") {
                wrong.append("always, \(purpose): \(always)")
            }
            seen.withLock { [wrong] seen in
                seen.wrong += wrong
                seen.newest[place] = always.freshness
                seen.checks += 4
                seen.grants += toggled.decision == "granted" ? 1 : 0
            }
        }
    }

    private final class Node {
        let data: String
        let log: String
        private var process: Process?

        init(_ folder: TemporaryFolder) {
            data = folder.path("node")
            log = folder.path("serve.log")
        }

        private func program(_ arguments: [String]) -> Process {
            let process = Process()
            process.executableURL = Python.products.appending(path: "consentd")
            process.arguments = arguments
            return process
        }

        func make(_ catalog: String) throws {
            let process = program(["init", "--catalog", catalog, "--data", data])
            process.standardOutput = FileHandle.nullDevice
            try process.run()
            process.waitUntilExit()
            try #require(process.terminationStatus == 0)
        }

        /// - Returns: where it listens.
        func serve() async throws -> Endpoint {
            try Data().write(to: URL(filePath: log))
            let process = program(["serve", "--listen", "none", "--data", data])
            let output = try FileHandle(forWritingTo: URL(filePath: log))
            process.standardOutput = output
            process.standardError = output
            try process.run()
            self.process = process
            for _ in 0..<3000 {
                let said = try String(contentsOfFile: log, encoding: .utf8).split(separator: "\n")
                if said.contains(where: { $0.hasPrefix("ready") }),
                    let line = said.first(where: { $0.hasPrefix("listening on unix:") })
                {
                    return try #require(Endpoint(String(line.dropFirst("listening on ".count))))
                }
                try await Task.sleep(for: .milliseconds(20))
            }
            throw CFolderReader.Failure(description: "the server did not get ready: \(log)")
        }

        func kill() {
            guard let process else { return }
            Glibc.kill(process.processIdentifier, SIGKILL)
            process.waitUntilExit()
            self.process = nil
        }

        func stop() {
            process?.terminate()
            process?.waitUntilExit()
        }

        var generation: String? {
            try? FileManager.default.destinationOfSymbolicLink(atPath: data + "/index/current")
        }
    }

    private static func grant(_ name: String, _ purposes: [String] = ["closed", "static"]) throws -> [ConsentAct] {
        let subject = try Subject.customer(name)
        return purposes.map {
            .grant(subject, purpose: $0, declaration: "club", revision: "1.0", language: "nb", method: .tickedBox)
        }
    }

    private static func withdrawal(_ name: String) throws -> [ConsentAct] {
        let subject = try Subject.customer(name)
        return ["closed", "static"].map { .withdrawal(subject, purpose: $0) }
    }

    private static func record(_ client: ConsentClient, _ acts: [ConsentAct]) async throws {
        for outcome in try await client.record(acts) { try #require(outcome.isRecorded, "\(outcome)") }
    }

    /// One person's consent, given and taken back over and over, until the node is gone.
    private static func toggle(_ client: ConsentClient, _ facts: Facts) async {
        do {
            while true {
                facts.epoch += 1
                try await record(client, try grant("toggle"))
                try await Task.sleep(for: .milliseconds(3))
                try await record(client, try withdrawal("toggle"))
                facts.epoch += 1
                try await Task.sleep(for: .milliseconds(3))
            }
        } catch {
            // In an odd epoch nothing is known of the person; in an even one the withdrawal holds, also later.
        }
    }

    @Test func noneGrantsWronglyWhileTheNodeGrowsAndIsKilledAndComesBack() async throws {
        let folder = TemporaryFolder()
        let catalog = SampleCatalog([
            .init("closed", bit: 0),
            .init("static", bit: 1, basis: "consent", "failPolicy: static", "maxStaleness: PT8S"),
        ])
        try Data(catalog.text.utf8).write(to: URL(filePath: folder.path("catalog.yaml")))
        let node = Node(folder)
        defer { node.kill() }
        try node.make(folder.path("catalog.yaml"))
        var options = ClientOptions()
        options.requestTimeout = .seconds(20)
        let client = try await ConsentClient.connect(to: try await node.serve(), options: options)
        try await Self.record(client, try Self.grant("always") + Self.grant("gone"))
        try await Task.sleep(for: .milliseconds(2))
        try await Self.record(client, try Self.withdrawal("gone"))

        let facts = try Facts(folder.path("facts"))
        let watches = [Watch(), Watch()]
        let readers: [any FolderReader] = [try SwiftFolderReader(node.data), try CFolderReader(node.data)]
        let threads = zip(watches, readers).map { watch, reader in
            Background { watch.run(reader, facts) }
        }
        let python = try Self.python(node.data)
        try python.say(Question(watch: folder.path("facts")))
        #expect(try python.answer(String.self) == "watching")
        func seen() throws -> [Seen] {
            try python.say(Question(status: true))
            return try watches.map { $0.seen.withLock { $0 } } + python.answer([Seen].self)
        }
        /// Whether all have come to this, which no slow machine keeps them from.
        func all(_ isSo: (Seen) -> Bool) async throws -> Bool {
            for _ in 0..<600 {
                let seen = try seen()
                if seen.allSatisfy(isSo) { return true }
                if seen.contains(where: { !$0.wrong.isEmpty }) { return false }
                try await Task.sleep(for: .milliseconds(100))
            }
            return false
        }

        async let toggling: Void = Self.toggle(client, facts)
        var generations: Set = [node.generation]
        for batch in 0..<200 where generations.count < 4 {
            try await Self.record(
                client, try (0..<1000).flatMap { try Self.grant("n\(batch)-\($0)", ["closed"]) })
            generations.insert(node.generation)
        }
        #expect(generations.count >= 4, "it has grown: \(generations)")
        let hasBecomeLive = try await all { $0.newest == ["live", "live"] && $0.checks > 400 && $0.grants > 0 }
        #expect(hasBecomeLive, "\(watches.map { $0.seen.withLock { $0 } })")

        node.kill()
        facts.die()
        await client.close()
        await toggling
        let hasBecomeUnavailable = try await all { $0.newest == ["unavailable", "unavailable"] }
        #expect(hasBecomeUnavailable, "\(watches.map { $0.seen.withLock { $0 } })")

        facts.comeBack()
        _ = try await node.serve()
        let hasBecomeLiveAgain = try await all { $0.newest == ["live", "live"] }
        #expect(hasBecomeLiveAgain, "\(watches.map { $0.seen.withLock { $0 } })")
        for watch in watches { watch.isOver.store(true, ordering: .relaxed) }
        for thread in threads { try thread.value() }
        for seen in try seen() { #expect(seen.wrong == [] && seen.checks > 1000, "\(seen)") }
        node.stop()
    }
}
