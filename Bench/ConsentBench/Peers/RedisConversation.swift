/// Redis, or any server that speaks its protocol (RESP): `GETBIT`, `MGET`, and for events `SETBIT` of a new key, which is
/// the least that it can do to store one.
package struct RedisConversation: Conversation, Sendable {
    package let operations: [Operation]
    package let greetings: [[UInt8]] = [Array("*1\r\n$4\r\nPING\r\n".utf8)]
    private let question: PeerQuestion
    private var choice: SubjectChoice
    private let template: [UInt8]
    /// Where the first name stands in the template, and from one to the next.
    private let firstName: Int
    private static let nameStride = BenchName.size + 7
    private let freshName: BenchName
    private var freshCount: UInt32 = 0

    package init(_ question: PeerQuestion, asking: Asking, runSeed: UInt64, thread: Int) {
        self.question = question
        operations = [question.operation]
        choice = SubjectChoice(asking, thread: thread)
        var numbers = SeededNumbers(seed: runSeed &+ UInt64(thread) &* 0x1_0001)
        freshName = BenchName.fresh(&numbers)
        let name = BenchName.subject.text(0)
        let bit = PeerValue.purposeBit
        let head: String
        switch question {
        case .single:
            head = "*3\r\n$6\r\nGETBIT\r\n$16\r\n"
            template = Array("\(head)\(name)\r\n$2\r\n\(bit)\r\n".utf8)
        case .many(let count):
            head = "*\(count + 1)\r\n$4\r\nMGET\r\n$16\r\n"
            template = Array(
                (head + Array(repeating: name, count: count).joined(separator: "\r\n$16\r\n") + "\r\n").utf8)
        case .record:
            head = "*4\r\n$6\r\nSETBIT\r\n$16\r\n"
            template = Array("\(head)\(name)\r\n$2\r\n\(bit)\r\n$1\r\n1\r\n".utf8)
        }
        firstName = head.utf8.count
    }

    package func isWelcome(_ answer: UnsafeRawBufferPointer) -> Bool { answer.elementsEqual("+PONG\r\n".utf8) }

    package mutating func appendRequest(_ number: UInt32, to bytes: inout RequestBytes) -> Asked {
        let start = bytes.append(template) + firstName
        switch question {
        case .single:
            let (subject, standing) = choice.next()
            BenchName.subject.write(subject, to: start)
            return Asked(operation: 0, value: standing.rawValue | UInt64(subject) << 2)
        case .many(let count):
            let seed = choice.numbers.next()
            let before = choice.numbers
            choice.numbers = SeededNumbers(seed: seed)
            for position in 0..<count {
                BenchName.subject.write(choice.next().number, to: start + position * Self.nameStride)
            }
            choice.numbers = before
            return Asked(operation: 0, value: seed)
        case .record:
            freshCount += 1
            freshName.write(freshCount, to: start)
            return Asked(operation: 0, value: UInt64(freshCount) << 2)
        }
    }

    package func answerSize(_ bytes: UnsafeRawBufferPointer) -> Int? {
        guard let line = lineEnd(bytes) else { return bytes.count > 65_536 ? -1 : nil }
        switch bytes[0] {
        case UInt8(ascii: ":"), UInt8(ascii: "+"), UInt8(ascii: "-"): return line
        case UInt8(ascii: "*"):
            var place = line
            for _ in 0..<decimal(bytes, from: 1) {
                guard let end = lineEnd(bytes, from: place) else { return nil }
                guard bytes[place] == UInt8(ascii: "$") else { return -1 }
                place = bytes[place + 1] == UInt8(ascii: "-") ? end : end + decimal(bytes, from: place + 1) + 2
                if place > bytes.count { return nil }
            }
            return place
        default: return -1
        }
    }

    package func order(of answer: UnsafeRawBufferPointer) -> AnswerOrder { .next }

    package mutating func judge(_ answer: UnsafeRawBufferPointer, _ asked: Asked) -> Judgement {
        switch question {
        case .single: return answer.elementsEqual((asked.value & 3 == 0 ? ":1\r\n" : ":0\r\n").utf8) ? .right : .wrong
        case .many(let count): return isRight(answer, count: count, seed: asked.value) ? .right : .wrong
        // The key is new, so its bit was not set.
        case .record: return answer.elementsEqual(":0\r\n".utf8) ? .right : .wrong
        }
    }

    private mutating func isRight(_ answer: UnsafeRawBufferPointer, count: Int, seed: UInt64) -> Bool {
        guard answer[0] == UInt8(ascii: "*"), decimal(answer, from: 1) == count, var place = lineEnd(answer) else {
            return false
        }
        let before = choice.numbers
        defer { choice.numbers = before }
        choice.numbers = SeededNumbers(seed: seed)
        for _ in 0..<count {
            let standing = choice.next().standing
            if standing == .missing {
                guard place + 5 <= answer.count, answer[place + 1] == UInt8(ascii: "-") else { return false }
                place += 5
                continue
            }
            // $3, its line end, three bytes, another line end.
            guard place + 9 <= answer.count, answer[place + 1] == UInt8(ascii: "3"), answer[place + 4] == 0,
                answer[place + 5] == 0, answer[place + 6] == (standing == .granted ? 0x10 : 0)
            else { return false }
            place += 9
        }
        return place == answer.count
    }

    package func describe(_ asked: Asked) -> String {
        if case .many = question { return "an MGET made from the seed \(asked.value) had an answer that is wrong" }
        let name = (question == .record ? freshName : .subject).text(UInt32(truncatingIfNeeded: asked.value >> 2))
        return "the answer for '\(name)' is wrong"
    }

    /// Commands that fill a server with a population, with the number of answers that they will have.
    static func filling(_ numbers: Range<Int>, of population: Population) -> (bytes: [UInt8], answers: Int) {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(numbers.count * 48)
        for number in numbers {
            let number = UInt32(number)
            bytes += Array("*3\r\n$3\r\nSET\r\n$16\r\n\(BenchName.subject.text(number))\r\n$\(PeerValue.size)\r\n".utf8)
            bytes += PeerValue.bytes(population.standing(number)) + [13, 10]
        }
        return (bytes, numbers.count)
    }
}
