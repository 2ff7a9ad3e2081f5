package import ConsentModel
import ConsentWire

extension ClosedLoop.Conversation {
    /// Single checks of random identifiers `customer:NNNNNN`; right is a granted, denied or unknown as `expected` says.
    package static func checks(
        token: [UInt8], identifiers: Int, purposeBit: UInt16, expected: @escaping (Int) -> Decision?
    ) -> Self {
        var numbers = SeededNumbers(seed: 11)
        var asked: [UInt32: Int] = [:]
        var request: UInt32 = 0
        return Self(
            greeting: hello(token: token),
            nextRequest: { buffer in
                let number = Int(numbers.next() % UInt64(identifiers))
                request &+= 1
                asked[request & 0xFFFF] = number
                var output = OutputBuffer(capacity: 64)
                CheckRequest.encode(
                    .check, purposeBit: purposeBit,
                    // A name of this form is always an identifier.
                    identifier: try! Identifier(type: .customer, value: name(number)), request: request, into: &output)
                buffer.removeAll(keepingCapacity: true)
                buffer.append(contentsOf: output.bytes)
            },
            answerSize: frameSize,
            isRight: { frame in
                guard frame.count == 24, frame[4] == Opcode.checked.rawValue else { return false }
                let id = UInt32(littleEndian: frame.loadUnaligned(fromByteOffset: 8, as: UInt32.self))
                guard let number = asked[id & 0xFFFF], let wanted = expected(number) else { return true }
                return frame[6] == wanted.rawValue
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
                buffer.removeAll(keepingCapacity: true)
                buffer.append(contentsOf: output.bytes)
            },
            answerSize: frameSize,
            isRight: { frame in
                // A refusal would have its code where the outcome begins.
                frame.count >= 38 && frame[4] == Opcode.recorded.rawValue && frame[24] == 0 && frame[25] == 0
            })
    }

    /// Redis `GETBIT` of one of as many keys.
    package static func redisGetBit(keys: Int) -> Self {
        var numbers = SeededNumbers(seed: 11)
        return Self(
            greeting: [],
            nextRequest: { buffer in
                let key = name(Int(numbers.next() % UInt64(keys)))
                buffer = Array("*3\r\n$6\r\nGETBIT\r\n$\(key.utf8.count)\r\n\(key)\r\n$1\r\n3\r\n".utf8)
            },
            answerSize: { bytes in bytes.firstIndex(of: UInt8(ascii: "\n")).map { $0 + 1 } },
            isRight: { $0.first == UInt8(ascii: ":") })
    }

    /// Sixteen bytes, the same for every peer.
    package static func name(_ number: Int) -> String {
        let digits = "\(number)"
        return "c" + String(repeating: "0", count: 15 - digits.utf8.count) + digits
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
