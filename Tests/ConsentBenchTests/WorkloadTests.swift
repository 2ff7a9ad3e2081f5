import ConsentModel
import ConsentWire
import Testing

@testable import ConsentBench

struct WorkloadTests {
    // MARK: Who is asked about

    @Test(arguments: [3, 4, 5, 100, 1001])
    func everySubjectHasOneStandingAndEachStandingItsSubjects(subjects: Int) {
        let population = Population(subjects: subjects)
        for standing in Population.Standing.allCases {
            let numbers = (0..<population.count(standing)).map { population.number($0, standing) }
            #expect(Set(numbers).count == numbers.count)
            #expect(numbers.allSatisfy { population.standing($0) == standing })
        }
        #expect(population.count(.granted) + population.count(.denied) == subjects)
    }

    @Test func namesAreSixteenBytesAndDifferent() {
        let names = (0..<5000).map { BenchName.subject.text(UInt32($0)) } + [BenchName.subject.text(.max)]
        #expect(Set(names).count == names.count)
        #expect(names.allSatisfy { $0.utf8.count == BenchName.size })
        #expect(BenchName.subject.identifier(7).value == names[7])
    }

    @Test func aZipfDistributionFollowsItsLaw() {
        let choice = KeyChoice(.zipf(exponent: 1), count: 1000)
        var numbers = SeededNumbers(seed: 1)
        var counts: [Int: Int] = [:]
        for _ in 0..<200_000 { counts[choice.next(&numbers), default: 0] += 1 }
        let sorted = counts.values.sorted(by: >)
        let harmonic = (1...1000).reduce(0) { $0 + 1 / Double($1) }
        for rank in [1, 2, 10, 50] {
            let expected = 200_000 / Double(rank) / harmonic
            #expect(abs(Double(sorted[rank - 1]) / expected - 1) < 0.15, "rank \(rank)")
        }
        #expect(counts.keys.allSatisfy { (0..<1000).contains($0) })
    }

    @Test func aHotSetGetsItsShare() {
        let choice = KeyChoice(.hot(keys: 0.01, requests: 0.9), count: 10_000)
        var numbers = SeededNumbers(seed: 1)
        var counts: [Int: Int] = [:]
        for _ in 0..<100_000 { counts[choice.next(&numbers), default: 0] += 1 }
        let hot = counts.values.sorted(by: >).prefix(100).reduce(0, +)
        #expect(abs(Double(hot) / 100_000 - 0.9) < 0.02)
    }

    @Test func ranksAreSpreadOverAllKeys() {
        for count in [1, 2, 3, 10, 4096, 9973] {
            let choice = KeyChoice(.hot(keys: 0.5, requests: 0.5), count: count)
            var numbers = SeededNumbers(seed: 3)
            let seen = Set((0..<count * 40).map { _ in choice.next(&numbers) })
            #expect(seen.count == count, "\(count)")
        }
    }

    @Test func distributionsAndWorkloadsAreReadAndWrittenAlike() {
        #expect(KeyDistribution("uniform") == .uniform && KeyDistribution("zipf") == .zipf(exponent: 0.99))
        #expect(KeyDistribution("zipf:1.2") == .zipf(exponent: 1.2))
        #expect(KeyDistribution("hot:0.1:0.9") == .hot(keys: 0.1, requests: 0.9))
        for text in ["", "zipf:", "zipf:0", "hot:1", "hot:0:1", "uniform:1", "pareto"] {
            #expect(KeyDistribution(text) == nil, "\(text)")
        }
        #expect(Workload("check")?.mix == [.check: 1])
        #expect(Workload("check:95,record:5")?.mix == [.check: 95, .record: 5])
        for text in ["", "check:", "check:0", "check,check", "chekc", "check:1:2", "check,"] {
            #expect(Workload(text) == nil, "\(text)")
        }
    }

    @Test func sharesOfAnswersAreAsAsked() {
        var asking = Asking(Population(subjects: 1000))
        (asking.deniedShare, asking.missingShare) = (0.2, 0.3)
        var choice = SubjectChoice(asking, thread: 0)
        var counts: [Population.Standing: Int] = [:]
        for _ in 0..<100_000 {
            let (number, standing) = choice.next()
            #expect(choice.standing(number) == standing)
            counts[standing, default: 0] += 1
        }
        #expect(abs(Double(counts[.denied]!) / 100_000 - 0.2) < 0.01)
        #expect(abs(Double(counts[.missing]!) / 100_000 - 0.3) < 0.01)
    }

    // MARK: Peers' protocols

    /// Feeds an answer byte by byte: its size must not be known before it is whole, and then be right.
    private func isWholeOnlyAtItsEnd(_ answer: [UInt8], _ talk: some Conversation) -> Bool {
        let next: [UInt8] = answer + [0x21]
        let early = (0..<answer.count).allSatisfy { size in
            answer[..<size].withUnsafeBytes { talk.answerSize($0) } == nil
        }
        return early && next.withUnsafeBytes { talk.answerSize($0) } == answer.count
    }

    private func judge(_ talk: inout some Conversation, _ answer: [UInt8], _ asked: Asked) -> Judgement {
        answer.withUnsafeBytes { talk.judge($0, asked) }
    }

    private static let people = Asking(Population(subjects: 30))

    @Test func redisAnswersAreReadAndJudged() throws {
        var single = RedisConversation(.single, asking: Self.people, runSeed: 1, thread: 0)
        var bytes = RequestBytes()
        for _ in 0..<50 {
            let asked = single.appendRequest(0, to: &bytes)
            let (right, wrong) = asked.value & 3 == 0 ? (":1\r\n", ":0\r\n") : (":0\r\n", ":1\r\n")
            #expect(isWholeOnlyAtItsEnd(Array(right.utf8), single))
            #expect(judge(&single, Array(right.utf8), asked) == .right)
            #expect(judge(&single, Array(wrong.utf8), asked) == .wrong)
            #expect(judge(&single, Array("-ERR\r\n".utf8), asked) == .wrong)
        }
        var people = Self.people
        people.missingShare = 0.3
        var many = RedisConversation(.many(20), asking: people, runSeed: 1, thread: 0)
        bytes.clear()
        let asked = many.appendRequest(0, to: &bytes)
        let answer = Self.redisAnswer(to: bytes, Population(subjects: 30))
        #expect(isWholeOnlyAtItsEnd(answer, many))
        #expect(judge(&many, answer, asked) == .right)
        var broken = answer
        // The last byte of the first value.
        let first = try #require(broken.indices.first { broken[$0...].starts(with: Array("$3\r\n".utf8)) })
        broken[first + 6] ^= 0x10
        #expect(judge(&many, broken, asked) == .wrong)
        #expect(judge(&many, Array(answer.dropLast(9)), asked) == .wrong)
    }

    /// The names that stand in a request.
    private static func names(_ bytes: borrowing RequestBytes) -> [String] {
        let text = String(decoding: bytes.bytes, as: UTF8.self)
        return text.split(whereSeparator: { " \r\n".contains($0) || $0.isNewline }).map(String.init).filter {
            $0.hasPrefix("subject-")
        }
    }

    private static func standing(_ name: String, _ population: Population) -> Population.Standing {
        let number = (0..<UInt32(population.subjects)).first { BenchName.subject.text($0) == name }
        return number.map(population.standing) ?? .missing
    }

    private static func redisAnswer(to request: borrowing RequestBytes, _ population: Population) -> [UInt8] {
        let names = names(request)
        return names.reduce(into: Array("*\(names.count)\r\n".utf8)) { answer, name in
            let standing = standing(name, population)
            answer +=
                standing == .missing
                ? Array("$-1\r\n".utf8) : Array("$3\r\n".utf8) + PeerValue.bytes(standing) + [13, 10]
        }
    }

    @Test func memcachedAnswersAreReadAndJudged() {
        var people = Self.people
        people.missingShare = 0.3
        for count in [1, 20] {
            var talk = MemcachedConversation(count == 1 ? .single : .many(count), asking: people, thread: 0)
            var bytes = RequestBytes()
            let asked = talk.appendRequest(0, to: &bytes)
            var answer: [UInt8] = []
            for name in Self.names(bytes) {
                let standing = Self.standing(name, people.population)
                if standing == .missing { continue }
                answer += Array("VALUE \(name) 0 3\r\n".utf8) + PeerValue.bytes(standing) + [13, 10]
            }
            let whole = answer + Array("END\r\n".utf8)
            #expect(isWholeOnlyAtItsEnd(whole, talk))
            #expect(judge(&talk, whole, asked) == .right)
            if !answer.isEmpty { #expect(judge(&talk, Array("END\r\n".utf8), asked) == .wrong) }
        }
    }

    @Test func postgresAnswersAreReadAndJudged() throws {
        var talk = PostgresConversation(user: "a", catalog: try BenchCatalog(), runSeed: 1, thread: 0)
        var bytes = RequestBytes()
        let asked = talk.appendRequest(0, to: &bytes)
        let complete: [UInt8] = [0x43, 0, 0, 0, 15] + Array("INSERT 0 1".utf8) + [0]
        let answer = [0x32, 0, 0, 0, 4] + complete + [0x5A, 0, 0, 0, 5, 0x49]
        #expect(isWholeOnlyAtItsEnd(answer, talk))
        #expect(judge(&talk, answer, asked) == .right)
        let error: [UInt8] = [0x45, 0, 0, 0, 6, 0x53, 0] + [0x5A, 0, 0, 0, 5, 0x49]
        #expect(judge(&talk, error, asked) == .wrong)
    }

    // MARK: Our own protocol

    private static func consent(_ workload: Workload) throws -> ConsentConversation {
        ConsentConversation(workload, asking: people, catalog: try BenchCatalog(), runSeed: 1, thread: 0)
    }

    @Test func aWrongDecisionReasonOrFreshnessIsWrong() throws {
        var talk = try Self.consent(Workload([.check: 1]))
        var bytes = RequestBytes()
        for number in UInt32(16)..<80 {
            let asked = talk.appendRequest(number, to: &bytes)
            let isGranted = asked.value & 3 == 0
            func answer(_ decision: Decision, _ reason: ConsentState, _ freshness: Freshness) -> [UInt8] {
                var output = OutputBuffer(capacity: 64)
                Checked(decision: decision, reason: reason, freshness: freshness, sequence: 9)
                    .encode(request: number, into: &output)
                return Array(output.bytes)
            }
            let right = isGranted ? answer(.granted, .given, .live) : answer(.denied, .withdrawn, .live)
            #expect(isWholeOnlyAtItsEnd(right, talk))
            #expect(judge(&talk, right, asked) == .right)
            for wrong in [
                isGranted ? answer(.denied, .withdrawn, .live) : answer(.granted, .given, .live),
                answer(.unknown, .unknown, .live),
                answer(isGranted ? .granted : .denied, isGranted ? .given : .withdrawn, .stale),
            ] { #expect(judge(&talk, wrong, asked) == .wrong) }
        }
    }

    @Test func busyIsNoWrongAnswerAndAnyOtherErrorIs() throws {
        var talk = try Self.consent(Workload([.record: 1]))
        var bytes = RequestBytes()
        let asked = talk.appendRequest(16, to: &bytes)
        for (code, judgement) in [(ErrorCode.busy, Judgement.refused), (.malformed, .wrong), (.purposeUnknown, .wrong)]
        {
            var output = OutputBuffer(capacity: 64)
            ErrorAnswer(WireError(code, "")).encode(request: 16, into: &output)
            #expect(judge(&talk, Array(output.bytes), asked) == judgement)
        }
    }

    @Test func everyRequestOfAMixIsAFrameWithItsNumber() throws {
        var workload = try #require(Workload("check:5,check-many:2,batch:2,explain,record:3"))
        workload.batchCount = 7
        var talk = try Self.consent(workload)
        var bytes = RequestBytes()
        var kinds: [UInt8: Int] = [:]
        for number in UInt32(16)..<1016 {
            bytes.clear()
            let asked = talk.appendRequest(number, to: &bytes)
            let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes.count, alignment: 8)
            defer { copy.deallocate() }
            copy.copyMemory(from: bytes.bytes)
            guard case .frame(let frame) = scanFrame(copy) else {
                Issue.record("no frame")
                return
            }
            #expect(frame.size == bytes.count && frame.request == number)
            kinds[asked.operation, default: 0] += 1
        }
        #expect(kinds.count == 5)
        #expect(abs(kinds[0]! - 1000 * 5 / 13) < 40)
    }
}
