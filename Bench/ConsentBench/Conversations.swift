package import ConsentModel
import ConsentWire

extension ClosedLoop.Conversation {
    /// Single checks of random identifiers `customer:NNNNNN`; right is a granted, denied or unknown as `expected` says.
    package static func checks(
        token: [UInt8], identifiers: Int, purposeBit: UInt16, expected: @escaping (Int) -> Decision
    ) -> Self {
        var numbers = SeededNumbers(seed: 11)
        var asked = [Int](repeating: 0, count: 1 << 16)
        var request: UInt32 = 0
        var output = OutputBuffer(capacity: 64)
        CheckRequest.encode(
            .check, purposeBit: purposeBit,
            // A name of this form is always an identifier.
            identifier: try! Identifier(type: .customer, value: name(0)), request: 0, into: &output)
        let template = Array(output.bytes)
        return Self(
            greeting: hello(token: token),
            nextRequest: { buffer in
                let number = Int(numbers.next() % UInt64(identifiers))
                request &+= 1
                asked[Int(request & 0xFFFF)] = number
                let start = buffer.count
                buffer += template
                buffer.withUnsafeMutableBytes { bytes in
                    bytes.storeBytes(of: request.littleEndian, toByteOffset: start + 8, as: UInt32.self)
                    setName(number, endingAt: bytes.count, in: bytes)
                }
            },
            answerSize: frameSize,
            isRight: { frame in
                guard frame.count == 24, frame[4] == Opcode.checked.rawValue else { return false }
                let id = UInt32(littleEndian: frame.loadUnaligned(fromByteOffset: 8, as: UInt32.self))
                return frame[6] == expected(asked[Int(id & 0xFFFF)]).rawValue
            })
    }

    /// One grant a request, each of a new subject; right is one that was recorded.
    package static func records(
        token: [UInt8], purposeBit: UInt16, declaration: String, revision: String, language: String
    ) -> Self {
        var number: UInt64 = 0
        var keys = SeededNumbers(seed: UInt64.random(in: 0...(.max)))
        let run = String(keys.next(), radix: 36)
        return Self(
            greeting: hello(token: token),
            nextRequest: { buffer in
                number += 1
                var event = EventMessage(purposeBit: purposeBit, state: .given)
                event.key = IdempotencyKey(high: keys.next(), low: keys.next())
                event.method = .doubleOptIn
                event.isExplicit = true
                event.declaration = declaration
                event.revision = revision
                event.language = language
                event.system = "bench"
                event.identifiers = [.init(typeByte: IdentifierType.customer.rawValue, value: "\(run)-\(number)")]
                var output = OutputBuffer(capacity: 256)
                RecordRequest(events: [event]).encode(request: UInt32(truncatingIfNeeded: number), into: &output)
                buffer.append(contentsOf: output.bytes)
            },
            answerSize: frameSize,
            isRight: { frame in
                // A refusal would have its code where the outcome begins.
                frame.count >= 38 && frame[4] == Opcode.recorded.rawValue && frame[24] == 0 && frame[25] == 0
            })
    }

    /// Redis `GETBIT` of one of as many keys, in each of which that bit is set.
    package static func redisGetBit(keys: Int) -> Self {
        var numbers = SeededNumbers(seed: 11)
        let head = "*3\r\n$6\r\nGETBIT\r\n$16\r\n\(name(0))"
        let template = Array("\(head)\r\n$2\r\n19\r\n".utf8)
        return Self(
            greeting: [],
            nextRequest: { buffer in
                let number = Int(numbers.next() % UInt64(keys))
                let end = buffer.count + head.utf8.count
                buffer += template
                buffer.withUnsafeMutableBytes { setName(number, endingAt: end, in: $0) }
            },
            answerSize: { bytes in bytes.firstIndex(of: UInt8(ascii: "\n")).map { $0 + 1 } },
            isRight: { $0.elementsEqual(":1\r\n".utf8) })
    }

    /// Sixteen bytes, the same for every peer.
    package static func name(_ number: Int) -> String {
        let digits = "\(number)"
        return "c" + String(repeating: "0", count: 15 - digits.utf8.count) + digits
    }

    /// Writes the digits of a name over those of another.
    private static func setName(_ number: Int, endingAt end: Int, in bytes: UnsafeMutableRawBufferPointer) {
        var rest = number
        for position in (end - 15..<end).reversed() {
            bytes[position] = UInt8(ascii: "0") + UInt8(rest % 10)
            rest /= 10
        }
    }

    private static func hello(token: [UInt8]) -> [UInt8] {
        var hello = Hello()
        hello.clientName = "bench"
        hello.token = token
        var output = OutputBuffer(capacity: 256)
        hello.encode(request: 1, into: &output)
        return Array(output.bytes)
    }

    private static func frameSize(_ bytes: UnsafeRawBufferPointer) -> Int? {
        guard bytes.count >= 4 else { return nil }
        let size = Int(UInt32(littleEndian: bytes.loadUnaligned(as: UInt32.self))) + 4
        return bytes.count >= size ? size : nil
    }
}
