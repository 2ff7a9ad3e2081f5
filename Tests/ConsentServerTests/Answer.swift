import ConsentModel
import ConsentTestSupport
import ConsentWire

/// One frame of a server, taken apart no further than its header.
struct Answer: Equatable, CustomStringConvertible {
    var opcode: UInt8
    var flags: UInt8
    var argument: UInt16
    var request: UInt32
    var word: UInt32
    var payload: [UInt8]
    private var bytes: [UInt8]

    /// All frames of a stream that ends with a whole one.
    static func all(in bytes: [UInt8]) -> [Answer] {
        var bytes = bytes
        var answers: [Answer] = []
        bytes.withUnsafeMutableBytes { buffer in
            var taken = 0
            while taken < buffer.count, case .frame(let frame) = scanFrame(.init(rebasing: buffer[taken...])) {
                answers.append(Answer(frame, bytes: Array(buffer[taken..<taken + frame.size])))
                taken += frame.size
            }
            precondition(taken == buffer.count, "the server's output does not end with a frame")
        }
        return answers
    }

    init(_ frame: Frame, bytes: [UInt8]) {
        self.bytes = bytes
        opcode = frame.opcode
        flags = frame.flags
        argument = frame.argument
        request = frame.request
        word = frame.word
        payload = Array(frame.payload)
    }

    var kind: Opcode? { Opcode(rawValue: opcode) }

    var errorCode: ErrorCode? { kind == .error ? ErrorCode(rawValue: argument) : nil }

    var decision: Decision? { kind == .checked ? Decision(rawValue: UInt8(truncatingIfNeeded: argument)) : nil }

    var reason: ConsentState? { kind == .checked ? ConsentState(rawValue: UInt8(argument >> 8)) : nil }

    /// Reads it as a client does.
    func read<Value>(_ decode: (Frame) throws -> Value) throws -> Value {
        var bytes = bytes
        return try bytes.withUnsafeMutableBytes { buffer in
            guard case .frame(let frame) = scanFrame(buffer) else { preconditionFailure("it was a frame before") }
            return try decode(frame)
        }
    }

    var description: String {
        let name = kind.map { "\($0)" } ?? "opcode \(opcode)"
        guard let code = errorCode else { return "\(name) to \(request)" }
        let message = (try? read { try ErrorAnswer($0) })?.message ?? ""
        return "error \(code) to \(request), detail \(word): \(message.prefix(200))"
    }
}

/// Requests as bytes.
enum Bytes {
    static func make(_ write: (inout OutputBuffer) -> Void) -> [UInt8] {
        var output = OutputBuffer(capacity: 256)
        write(&output)
        return Array(output.bytes)
    }

    static func hello(
        request: UInt32 = 1, _ change: (inout Hello) -> Void = { _ in }
    ) -> [UInt8] {
        var hello = Hello()
        hello.deployment = VectorServer.deployment
        hello.clientName = "test"
        hello.token = VectorServer.token
        change(&hello)
        return make { hello.encode(request: request, into: &$0) }
    }

    static func check(_ value: String, purposeBit: UInt16 = 0, request: UInt32) -> [UInt8] {
        let identifier = try! Identifier(type: .customer, value: value)
        return make {
            CheckRequest.encode(.check, purposeBit: purposeBit, identifier: identifier, request: request, into: &$0)
        }
    }

    static func explain(_ value: String, purposeBit: UInt16 = 0, request: UInt32) -> [UInt8] {
        let identifier = try! Identifier(type: .customer, value: value)
        return make {
            CheckRequest.encode(.explain, purposeBit: purposeBit, identifier: identifier, request: request, into: &$0)
        }
    }

    static func checkPurposes(_ value: String, _ purposes: [UInt64], request: UInt32) -> [UInt8] {
        let identifier = try! Identifier(type: .customer, value: value)
        return make {
            CheckPurposesRequest.encode(purposes: purposes, identifier: identifier, request: request, into: &$0)
        }
    }

    static func checkSubjects(_ values: [String], purposeBit: UInt16 = 0, request: UInt32) -> [UInt8] {
        make {
            CheckSubjectsRequest.encode(
                purposeBit: purposeBit, type: .customer, values: values, request: request, into: &$0)
        }
    }

    static func ping(_ echo: UInt64 = 0, request: UInt32) -> [UInt8] {
        make { PingRequest(echo: echo).encode(request: request, into: &$0) }
    }

    static func record(_ events: [ConsentEvent], purposeBit: UInt16 = 0, request: UInt32) -> [UInt8] {
        let messages = events.map { EventMessage($0, purposeBit: purposeBit) }
        return make { RecordRequest(events: messages).encode(request: request, into: &$0) }
    }

    static func bare(_ opcode: Opcode, request: UInt32) -> [UInt8] {
        make { BareRequest.encode(opcode, request: request, into: &$0) }
    }

    static func history(_ value: String, after: UInt64 = 0, countMax: Int = 0, request: UInt32) -> [UInt8] {
        let identifier = try! Identifier(type: .customer, value: value)
        return make {
            HistoryRequest(identifier: identifier, after: after, countMax: countMax).encode(request: request, into: &$0)
        }
    }

    static func apply(_ document: String, isDryRun: Bool = false, request: UInt32) -> [UInt8] {
        make { ApplyCatalogRequest(document: document, isDryRun: isDryRun).encode(request: request, into: &$0) }
    }

    /// A frame whose flags have a bit that no request has.
    static func broken(request: UInt32) -> [UInt8] {
        var bytes = bare(.statistics, request: request)
        bytes[5] = 0x80
        return bytes
    }
}
