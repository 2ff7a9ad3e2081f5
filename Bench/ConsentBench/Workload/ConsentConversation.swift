import ConsentModel
import ConsentWire

/// What is asked of a consent server, and how often.
package struct Workload: Sendable, Equatable {
    package enum Kind: String, Sendable, CaseIterable {
        /// One subject, one purpose.
        case check
        /// One subject, many purposes.
        case checkMany = "check-many"
        /// Many subjects, one purpose.
        case batch
        case explain
        /// One durable event.
        case record
    }

    /// Weights; those that are missing are zero.
    package var mix: [Kind: Int]
    /// Subjects of a batch.
    package var batchCount = 100

    package init(_ mix: [Kind: Int]) { self.mix = mix }

    /// Reads `check`, or `check:95,record:5`; nil for anything else.
    package init?(_ text: String) {
        mix = [:]
        for part in text.split(separator: ",", omittingEmptySubsequences: false) {
            let words = part.split(separator: ":", omittingEmptySubsequences: false)
            guard let kind = words.first.flatMap({ Kind(rawValue: String($0)) }), words.count <= 2, mix[kind] == nil,
                let weight = words.count == 1 ? 1 : Int(words[1]), (1...1_000_000).contains(weight)
            else { return nil }
            mix[kind] = weight
        }
    }

    /// In the order of their definition.
    package var kinds: [Kind] { Kind.allCases.filter { mix[$0] != nil } }
}

/// Questions and events in the server's own protocol, every answer judged by what the population is known to have said.
package struct ConsentConversation: Conversation, Sendable {
    package let operations: [Operation]
    package let greetings: [[UInt8]]
    private let kinds: [Workload.Kind]
    /// The kind of each of a hundred or more requests in a row, shuffled.
    private let schedule: [UInt8]
    private var scheduled = 0
    private let catalog: BenchCatalog
    private let batchCount: Int
    private var choice: SubjectChoice
    private let templates: [[UInt8]]
    /// The first eight bytes of the answer to a check, by standing.
    private let checkedHeads: [UInt64]
    /// The payload of an answer to a check of many purposes after its sequence, by standing.
    private let manyPayloads: [[UInt8]]
    private let manyWords: Int
    // People that this thread makes up.
    private let freshName: BenchName
    private var freshCount: UInt32 = 0
    private var keys: SeededNumbers
    /// The last of them whose event was acknowledged: from then on a check must find it.
    private var acknowledged: [UInt32] = []
    private static let acknowledgedMax = 1024
    /// Of the checks in a mix that records, one in so many is about an acknowledged event.
    private static let freshCheckEvery: UInt64 = 8
    private static let freshFlag: UInt64 = 1 << 63

    package init(
        _ workload: Workload, asking: Asking, catalog: BenchCatalog, token: [UInt8] = [], runSeed: UInt64, thread: Int
    ) {
        kinds = workload.kinds
        batchCount = workload.batchCount
        self.catalog = catalog
        operations = kinds.map { kind in
            switch kind {
            case .batch: Operation(kind.rawValue, units: workload.batchCount)
            case .checkMany: Operation(kind.rawValue, units: catalog.purposes.bits.count)
            case .check, .explain, .record: Operation(kind.rawValue)
            }
        }
        choice = SubjectChoice(asking, thread: thread)
        // Events must be new in every run, or they would be recorded once and never again.
        keys = SeededNumbers(seed: runSeed &+ UInt64(thread) &* 0x1_0001)
        freshName = BenchName.fresh(&keys)
        greetings = [Self.hello(token)]
        schedule = Self.schedule(kinds.map { workload.mix[$0] ?? 1 }, seed: asking.seed)
        manyWords = catalog.purposes.wordCount
        templates = kinds.map { Self.template($0, catalog, batchCount: workload.batchCount) }
        checkedHeads = [ConsentState.given, .withdrawn, .unknown].map(Self.checkedHead)
        manyPayloads = Population.Standing.allCases.map { Self.manyPayload($0, catalog) }
    }

    // MARK: Requests

    package mutating func appendRequest(_ number: UInt32, to bytes: inout RequestBytes) -> Asked {
        let operation = schedule.count == 1 ? 0 : schedule[scheduled]
        scheduled = scheduled + 1 == schedule.count ? 0 : scheduled + 1
        let template = templates[Int(operation)]
        let start = bytes.append(template)
        start.storeBytes(of: number.littleEndian, toByteOffset: 8, as: UInt32.self)
        let value: UInt64
        switch kinds[Int(operation)] {
        case .batch: value = fillBatch(start)
        case .record: value = fillRecord(start, size: template.count)
        case .check where !acknowledged.isEmpty && keys.next() % Self.freshCheckEvery == 0:
            let fresh = acknowledged[keys.below(acknowledged.count)]
            freshName.write(fresh, to: start + template.count - BenchName.size)
            value = Self.freshFlag | UInt64(fresh) << 2
        case .check, .checkMany, .explain:
            let (subject, standing) = choice.next()
            BenchName.subject.write(subject, to: start + template.count - BenchName.size)
            value = standing.rawValue | UInt64(subject) << 2
        }
        return Asked(operation: operation, value: value)
    }

    /// - Returns: from which numbers the batch was made.
    private mutating func fillBatch(_ start: UnsafeMutableRawPointer) -> UInt64 {
        let seed = choice.numbers.next()
        let before = choice.numbers
        choice.numbers = SeededNumbers(seed: seed)
        var place = start + WireLimit.headerSize + 1
        for _ in 0..<batchCount {
            BenchName.subject.write(choice.next().number, to: place)
            place += BenchName.size + 1
        }
        choice.numbers = before
        return seed
    }

    private mutating func fillRecord(_ start: UnsafeMutableRawPointer, size: Int) -> UInt64 {
        freshCount += 1
        start.storeBytes(of: keys.next(), toByteOffset: WireLimit.headerSize + 4, as: UInt64.self)
        start.storeBytes(of: keys.next(), toByteOffset: WireLimit.headerSize + 12, as: UInt64.self)
        freshName.write(freshCount, to: start + size - BenchName.size)
        return UInt64(freshCount) << 2
    }

    private static func template(_ kind: Workload.Kind, _ catalog: BenchCatalog, batchCount: Int) -> [UInt8] {
        let somebody = BenchName.subject.identifier(0)
        let bit = UInt16(catalog.purposeBit)
        var output = OutputBuffer(capacity: 256)
        switch kind {
        case .check, .explain:
            CheckRequest.encode(
                kind == .check ? .check : .explain, purposeBit: bit, identifier: somebody, request: 0, into: &output)
        case .checkMany:
            let words = (0..<catalog.purposes.wordCount).map { catalog.purposes[word: $0] }
            CheckPurposesRequest.encode(purposes: words, identifier: somebody, request: 0, into: &output)
        case .batch:
            CheckSubjectsRequest.encode(
                purposeBit: bit, type: .customer, values: Array(repeating: somebody.value, count: batchCount),
                request: 0, into: &output)
        case .record:
            var event = EventMessage(catalog.event(somebody, isGranted: true), purposeBit: bit)
            event.key = IdempotencyKey(high: 1, low: 1)
            event.system = "bench"
            RecordRequest(events: [event]).encode(request: 0, into: &output)
        }
        return Array(output.bytes)
    }

    private static func hello(_ token: [UInt8]) -> [UInt8] {
        var hello = Hello()
        hello.clientName = "bench"
        hello.token = token
        var output = OutputBuffer(capacity: 256)
        hello.encode(request: 1, into: &output)
        return Array(output.bytes)
    }

    /// Each kind as often as its weight says, in an order without a pattern.
    private static func schedule(_ weights: [Int], seed: UInt64) -> [UInt8] {
        guard weights.count > 1 else { return [0] }
        let all = weights.reduce(0, +)
        // At least a hundred and at most some thousands of entries, each kind at least once.
        let scale = max(1, (100 + all - 1) / all)
        let shrink = max(1, all / 4096)
        var schedule = weights.enumerated().flatMap { position, weight in
            [UInt8](repeating: UInt8(position), count: max(1, weight * scale / shrink))
        }
        var numbers = SeededNumbers(seed: seed)
        schedule.shuffle(using: &numbers)
        return schedule
    }

    // MARK: Answers

    package func isWelcome(_ answer: UnsafeRawBufferPointer) -> Bool { answer[4] == Opcode.welcome.rawValue }

    package func answerSize(_ bytes: UnsafeRawBufferPointer) -> Int? {
        guard bytes.count >= 4 else { return nil }
        let size = Int(UInt32(littleEndian: bytes.loadUnaligned(as: UInt32.self))) + 4
        guard size >= WireLimit.headerSize, size <= WireLimit.frameSizeMax else { return -1 }
        return bytes.count >= size ? size : nil
    }

    package func order(of answer: UnsafeRawBufferPointer) -> AnswerOrder {
        let request = UInt32(littleEndian: answer.loadUnaligned(fromByteOffset: 8, as: UInt32.self))
        // Pushes carry no request.
        return request == 0 && answer[4] != Opcode.error.rawValue ? .none : .request(request)
    }

    package mutating func judge(_ answer: UnsafeRawBufferPointer, _ asked: Asked) -> Judgement {
        if answer[4] == Opcode.error.rawValue { return Self.judgeError(answer) }
        let isRight =
            switch kinds[Int(asked.operation)] {
            case .check: isRightCheck(answer, asked.value)
            case .checkMany: isRightMany(answer, asked.value)
            case .batch: isRightBatch(answer, seed: asked.value)
            case .explain: isRightExplanation(answer, asked.value)
            case .record: isRightRecord(answer, asked.value)
            }
        return isRight ? .right : .wrong
    }

    private static func judgeError(_ answer: UnsafeRawBufferPointer) -> Judgement {
        let code = UInt16(littleEndian: answer.loadUnaligned(fromByteOffset: 6, as: UInt16.self))
        switch ErrorCode(rawValue: code) {
        case .busy, .tooManyInFlight, .shuttingDown, .ledgerUnavailable: return .refused
        default: return .wrong
        }
    }

    private func standing(_ value: UInt64) -> Int { value & Self.freshFlag == 0 ? Int(value & 3) : 0 }

    private func isRightCheck(_ answer: UnsafeRawBufferPointer, _ value: UInt64) -> Bool {
        answer.count == OutputBuffer.checkedSize
            && UInt64(littleEndian: answer.loadUnaligned(as: UInt64.self)) == checkedHeads[standing(value)]
            && answer.loadUnaligned(fromByteOffset: 12, as: UInt32.self) == UInt32(Freshness.live.rawValue)
    }

    private func isRightMany(_ answer: UnsafeRawBufferPointer, _ value: UInt64) -> Bool {
        let word = UInt32(littleEndian: answer.loadUnaligned(fromByteOffset: 12, as: UInt32.self))
        return answer[4] == Opcode.checkedPurposes.rawValue
            && word == UInt32(Freshness.live.rawValue) | UInt32(manyWords) << 8
            && answer[(WireLimit.headerSize + 8)...].elementsEqual(manyPayloads[standing(value)])
    }

    private mutating func isRightBatch(_ answer: UnsafeRawBufferPointer, seed: UInt64) -> Bool {
        let words = (batchCount + 63) / 64
        let word = UInt32(littleEndian: answer.loadUnaligned(fromByteOffset: 12, as: UInt32.self))
        guard answer[4] == Opcode.checkedSubjects.rawValue,
            word == UInt32(Freshness.live.rawValue) | UInt32(batchCount) << 16,
            answer.count == WireLimit.headerSize + 8 + 16 * words
        else { return false }
        let before = choice.numbers
        defer { choice.numbers = before }
        choice.numbers = SeededNumbers(seed: seed)
        var left = batchCount
        for word in 0..<words {
            var (granted, denied): (UInt64, UInt64) = (0, 0)
            for position in 0..<min(64, left) {
                switch choice.next().standing {
                case .granted: granted |= 1 << UInt64(position)
                case .denied: denied |= 1 << UInt64(position)
                case .missing: break
                }
            }
            left -= 64
            let place = WireLimit.headerSize + 8 + 8 * word
            guard UInt64(littleEndian: answer.loadUnaligned(fromByteOffset: place, as: UInt64.self)) == granted,
                UInt64(littleEndian: answer.loadUnaligned(fromByteOffset: place + 8 * words, as: UInt64.self)) == denied
            else { return false }
        }
        return true
    }

    private func isRightExplanation(_ answer: UnsafeRawBufferPointer, _ value: UInt64) -> Bool {
        guard let explained = Self.frame(answer, .explained, { try Explained($0) }) else { return false }
        guard explained.freshness == .live, explained.basis == .consent else { return false }
        switch standing(value) {
        case 0:
            return explained.reason == .given && explained.decidingState == .given
                && explained.consentedRevision == catalog.revision.revision
                && explained.declaration == catalog.revision.declaration
        case 1: return explained.reason == .refused && explained.decidingState == .refused
        default: return explained.reason == .unknown && explained.decidingState == nil
        }
    }

    private mutating func isRightRecord(_ answer: UnsafeRawBufferPointer, _ value: UInt64) -> Bool {
        guard let recorded = Self.frame(answer, .recorded, { try Recorded($0) }), recorded.outcomes.count == 1,
            recorded.outcomes[0].refusal == nil, !recorded.outcomes[0].isDuplicate,
            recorded.outcomes[0].sequence > 0, recorded.head >= recorded.outcomes[0].sequence
        else { return false }
        let number = UInt32(truncatingIfNeeded: value >> 2)
        if acknowledged.count < Self.acknowledgedMax {
            acknowledged.append(number)
        } else {
            acknowledged[Int(number) % Self.acknowledgedMax] = number
        }
        return true
    }

    /// Reads an answer that is looked at closely; nil if it is another one or does not have its layout.
    private static func frame<Answer>(
        _ answer: UnsafeRawBufferPointer, _ opcode: Opcode, _ read: (Frame) throws -> Answer
    ) -> Answer? {
        guard answer[4] == opcode.rawValue else { return nil }
        // A frame is read in place by those who may normalise it; an answer is not changed.
        guard case .frame(let frame) = scanFrame(UnsafeMutableRawBufferPointer(mutating: answer)) else { return nil }
        return try? read(frame)
    }

    private static func checkedHead(_ reason: ConsentState) -> UInt64 {
        UInt64(OutputBuffer.checkedSize - 4) | UInt64(Opcode.checked.rawValue) << 32
            | UInt64(reason.decision.rawValue) << 48 | UInt64(reason.rawValue) << 56
    }

    private static func manyPayload(_ standing: Population.Standing, _ catalog: BenchCatalog) -> [UInt8] {
        var (granted, denied) = (catalog.grantedByDefault, catalog.deniedByDefault)
        switch standing {
        case .granted: granted.insert(catalog.purposeBit)
        case .denied: denied.insert(catalog.purposeBit)
        case .missing: break
        }
        return [granted, denied].flatMap { set in
            (0..<catalog.purposes.wordCount).flatMap { word in
                let bits = word < set.wordCount ? set[word: word] : 0
                return (0..<8).map { UInt8(truncatingIfNeeded: bits >> UInt64(8 * $0)) }
            }
        }
    }

    package func describe(_ asked: Asked) -> String {
        let kind = kinds[Int(asked.operation)]
        if kind == .batch { return "a batch made from the seed \(asked.value) had an answer that is wrong" }
        let number = UInt32(truncatingIfNeeded: asked.value >> 2)
        let isFresh = kind == .record || asked.value & Self.freshFlag != 0
        let name = (isFresh ? freshName : .subject).text(number)
        if kind == .record { return "the event of customer:\(name) was not recorded as a new one" }
        let right = Population.Standing.allCases[standing(asked.value)]
        return "\(kind.rawValue) of customer:\(name) for \(catalog.purposeID) should say '\(right)'"
    }
}
