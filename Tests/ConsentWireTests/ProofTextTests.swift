import ConsentTestSupport
import ConsentWire
import Testing

/// A document that is more than a frame holds is cut into parts, none of which is more, or ends within a character.
struct ProofTextTests {
    private static let sizeMax = WireLimit.frameSizeMax - WireLimit.headerSize

    @Test(arguments: [
        ("", 0), ("x", 1), ("x", sizeMax - 1), ("x", sizeMax), ("x", sizeMax + 1), ("x", 3 * sizeMax), ("å", sizeMax),
        ("語", sizeMax), ("😀", sizeMax), ("a😀", sizeMax), ("e\u{301}", sizeMax), ("\r\n", sizeMax),
    ])
    func aDocumentIsTheSumOfItsParts(_ unit: String, _ count: Int) {
        let document = String(repeating: unit, count: count)
        let parts = ProofText(document).parts
        #expect(Array(parts.map(\.document).joined().utf8) == Array(document.utf8))
        #expect(parts.dropLast().allSatisfy(\.hasMore) && parts.last?.hasMore == false)
        #expect(parts.count == max(1, (document.utf8.count + Self.sizeMax - 1) / Self.sizeMax))
        for part in parts {
            var output = OutputBuffer(capacity: 64)
            part.encode(.proved, request: 1, into: &output)
            #expect(
                output.count <= WireLimit.frameSizeMax && output.count > WireLimit.frameSizeMax - 4 || !part.hasMore)
            var bytes = Array(output.bytes)
            bytes.withUnsafeMutableBytes { buffer in
                guard case .frame(let frame) = scanFrame(buffer), let read = try? ProofText(frame, .proved) else {
                    Issue.record("a part of \(part.document.utf8.count) bytes is not read")
                    return
                }
                #expect(read == part)
            }
        }
    }
}
