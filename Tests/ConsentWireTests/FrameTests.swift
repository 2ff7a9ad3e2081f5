import ConsentWire
import Testing

struct FrameTests {
    @Test(arguments: [0, 1, 3, 4, 11])
    func aLengthBelowTheHeaderIsTooSmallAsSoonAsItIsThere(_ length: UInt32) {
        #expect(scan(header(length)) == "frameTooSmall 0")
    }

    @Test(arguments: [1_048_573, 1_048_576, 1 << 31, .max])
    func aLengthAboveTheLimitIsTooLargeAsSoonAsItIsThere(_ length: UInt32) {
        #expect(scan(header(length)) == "frameTooLarge 0")
    }

    @Test func theLargestLengthIsAwaited() { #expect(scan(header(1_048_572)) == "incomplete, 1048576 needed") }

    @Test(arguments: 0..<4)
    func withoutAWholeLengthTheHeaderIsAwaited(_ count: Int) {
        #expect(scan([UInt8](repeating: 0xFF, count: count)) == "incomplete, 16 needed")
    }

    @Test func theFieldsOfTheHeaderAreWhereTheDocumentSays() {
        #expect(
            scan([14, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14])
                == "opcode 1 flags 2 argument 403 request 8070605 word c0b0a09 payload [13, 14]")
    }

    @Test func whatFollowsTheFrameIsNotLookedAt() {
        #expect(
            scan(header(12) + [UInt8](repeating: 0, count: 12) + [0xFF, 0xFF, 0xFF, 0xFF])
                == "opcode 0 flags 0 argument 0 request 0 word 0 payload []")
    }

    private func header(_ length: UInt32) -> [UInt8] {
        (0..<4).map { UInt8(truncatingIfNeeded: length >> UInt32(8 * $0)) }
    }

    private func scan(_ bytes: [UInt8]) -> String {
        var bytes = bytes
        return bytes.withUnsafeMutableBytes { buffer in
            switch scanFrame(buffer) {
            case .incomplete(let needed): "incomplete, \(needed) needed"
            case .broken(let code, let request): "\(code) \(request)"
            case .frame(let frame):
                "opcode \(frame.opcode) flags \(frame.flags) argument \(String(frame.argument, radix: 16)) "
                    + "request \(String(frame.request, radix: 16)) word \(String(frame.word, radix: 16)) "
                    + "payload \(Array(frame.payload))"
            }
        }
    }
}
