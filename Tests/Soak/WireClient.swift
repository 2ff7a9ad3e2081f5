import ConsentKernel
import ConsentModel
import ConsentWire
import Foundation

/// A client that blocks, asks one thing at a time, and gives up where no answer comes.
final class WireClient {
    private let socket: FileDescriptor
    private var received: [UInt8] = []
    private var number: UInt32 = 1

    init(_ address: SocketAddress, secondsMax: Int = 3) throws {
        let connected = try Socket.connect(address)
        var limit = timeval(tv_sec: secondsMax, tv_usec: 0)
        setsockopt(connected.raw, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
        socket = connected
        let answer = try ask(.welcome) { Hello().encode(request: $0, into: &$1) }
        _ = try answer.read { try Welcome($0) }
    }

    /// A whole frame.
    struct Answer {
        var bytes: [UInt8]

        func read<Value>(_ decode: (Frame) throws -> Value) throws -> Value {
            var bytes = bytes
            return try bytes.withUnsafeMutableBytes { buffer in
                guard case .frame(let frame) = scanFrame(buffer) else { throw SoakFailure("no frame") }
                return try decode(frame)
            }
        }
    }

    func check(_ value: String, purposeBit: UInt16) throws -> Checked {
        let identifier = try Identifier(type: .customer, value: value)
        return try ask(.checked) {
            CheckRequest.encode(.check, purposeBit: purposeBit, identifier: identifier, request: $0, into: &$1)
        }.read { try Checked($0) }
    }

    func check(_ values: [String], purposeBit: UInt16) throws -> CheckedSet {
        try ask(.checkedSubjects) {
            CheckSubjectsRequest.encode(
                purposeBit: purposeBit, type: .customer, values: values, request: $0, into: &$1)
        }.read { try CheckedSet(subjectsIn: $0, count: values.count) }
    }

    func record(_ events: [EventMessage]) throws -> Recorded {
        try ask(.recorded) { RecordRequest(events: events).encode(request: $0, into: &$1) }.read { try Recorded($0) }
    }

    func status() throws -> NodeStatus {
        try ask(.nodeStatus) { BareRequest.encode(.status, request: $0, into: &$1) }.read { try NodeStatus($0) }
    }

    func statistics() throws -> [String: UInt64] {
        let values = try ask(.statisticValues) { BareRequest.encode(.statistics, request: $0, into: &$1) }
            .read { try StatisticValues($0) }.values
        return Dictionary(values.map { ($0.name, $0.value) }, uniquingKeysWith: { $1 })
    }

    private func ask(_ kind: Opcode, _ encode: (UInt32, inout OutputBuffer) -> Void) throws -> Answer {
        number &+= 1
        var output = OutputBuffer(capacity: 1024)
        encode(number, &output)
        try send(Array(output.bytes))
        while true {
            let bytes = try receiveFrame()
            let (opcode, request) = (bytes[4], UInt32(littleEndianBytes: bytes[8..<12]))
            if request == 0, opcode >= 224, opcode != Opcode.error.rawValue { continue }
            guard request == number, opcode == kind.rawValue else {
                let error = try? Answer(bytes: bytes).read { try ErrorAnswer($0) }
                throw SoakFailure("opcode \(opcode) instead of \(kind): \(error?.message ?? "")")
            }
            return Answer(bytes: bytes)
        }
    }

    private func send(_ bytes: [UInt8]) throws {
        var rest = bytes[...]
        while !rest.isEmpty {
            guard case .bytes(let count) = rest.withUnsafeBytes({ Socket.send(socket.raw, $0) }) else {
                throw SoakFailure("the connection is gone")
            }
            rest = rest.dropFirst(count)
        }
    }

    private func receiveFrame() throws -> [UInt8] {
        while true {
            if received.count >= 16 {
                let size = Int(UInt32(littleEndianBytes: received[0..<4])) + 4
                if received.count >= size {
                    defer { received.removeFirst(size) }
                    return Array(received[..<size])
                }
            }
            var buffer = [UInt8](repeating: 0, count: 1 << 16)
            guard case .bytes(let count) = buffer.withUnsafeMutableBytes({ Socket.receive(socket.raw, into: $0) })
            else { throw SoakFailure("no answer, or the connection is gone") }
            received += buffer[..<count]
        }
    }
}

extension UInt32 {
    init(littleEndianBytes bytes: ArraySlice<UInt8>) {
        self = bytes.reversed().reduce(0) { $0 << 8 | UInt32($1) }
    }
}
