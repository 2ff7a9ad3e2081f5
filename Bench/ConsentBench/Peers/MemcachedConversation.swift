/// memcached, by its text protocol: `get` of one key, and of many.
package struct MemcachedConversation: Conversation, Sendable {
    package let operations: [Operation]
    package let greetings: [[UInt8]] = [Array("version\r\n".utf8)]
    private let count: Int
    private var choice: SubjectChoice
    private let template: [UInt8]
    private static let firstName = 4

    /// - Precondition: the question is no record: nothing is durable there.
    package init(_ question: PeerQuestion, asking: Asking, thread: Int) {
        switch question {
        case .single: count = 1
        case .many(let count): self.count = count
        case .record: preconditionFailure("memcached keeps nothing")
        }
        operations = [question.operation]
        choice = SubjectChoice(asking, thread: thread)
        let names = Array(repeating: BenchName.subject.text(0), count: count)
        template = Array("get \(names.joined(separator: " "))\r\n".utf8)
    }

    package func isWelcome(_ answer: UnsafeRawBufferPointer) -> Bool { answer.starts(with: "VERSION ".utf8) }

    package mutating func appendRequest(_ number: UInt32, to bytes: inout RequestBytes) -> Asked {
        let start = bytes.append(template) + Self.firstName
        let seed = choice.numbers.next()
        let before = choice.numbers
        choice.numbers = SeededNumbers(seed: seed)
        for position in 0..<count {
            BenchName.subject.write(choice.next().number, to: start + position * (BenchName.size + 1))
        }
        choice.numbers = before
        return Asked(operation: 0, value: seed)
    }

    package func answerSize(_ bytes: UnsafeRawBufferPointer) -> Int? {
        var place = 0
        while true {
            guard let end = lineEnd(bytes, from: place) else { return bytes.count > 1 << 22 ? -1 : nil }
            guard bytes[place] == UInt8(ascii: "V"), bytes[place + 1] == UInt8(ascii: "A") else { return end }
            // The data follow the line, and a line end follows the data; all have one size.
            place = end + PeerValue.size + 2
            if place > bytes.count { return nil }
        }
    }

    package func order(of answer: UnsafeRawBufferPointer) -> AnswerOrder { .next }

    /// Of every key that is there, in the order asked: `VALUE name 0 3`, three bytes; then `END`.
    package mutating func judge(_ answer: UnsafeRawBufferPointer, _ asked: Asked) -> Judgement {
        let before = choice.numbers
        defer { choice.numbers = before }
        choice.numbers = SeededNumbers(seed: asked.value)
        var place = 0
        let headSize = "VALUE ".utf8.count + BenchName.size + " 0 3\r\n".utf8.count
        var name: (UInt64, UInt64) = (0, 0)
        for _ in 0..<count {
            let (number, standing) = choice.next()
            if standing == .missing { continue }
            guard place + headSize + PeerValue.size + 2 <= answer.count else { return .wrong }
            withUnsafeMutableBytes(of: &name) { BenchName.subject.write(number, to: $0.baseAddress!) }
            let data = place + headSize
            guard answer.loadUnaligned(fromByteOffset: place + 6, as: UInt64.self) == name.0,
                answer.loadUnaligned(fromByteOffset: place + 14, as: UInt64.self) == name.1,
                answer[data] == 0, answer[data + 1] == 0, answer[data + 2] == (standing == .granted ? 0x10 : 0)
            else { return .wrong }
            place = data + PeerValue.size + 2
        }
        return answer[place...].elementsEqual("END\r\n".utf8) ? .right : .wrong
    }

    package func describe(_ asked: Asked) -> String {
        "a get made from the seed \(asked.value) had an answer that is wrong"
    }

    /// As of ``RedisConversation``; the last command is the one that is answered.
    static func filling(_ numbers: Range<Int>, of population: Population) -> (bytes: [UInt8], answers: Int) {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(numbers.count * 48)
        for number in numbers {
            let number = UInt32(number)
            bytes += Array("set \(BenchName.subject.text(number)) 0 0 \(PeerValue.size) noreply\r\n".utf8)
            bytes += PeerValue.bytes(population.standing(number)) + [13, 10]
        }
        return (bytes + Array("version\r\n".utf8), 1)
    }
}
