import ConsentModel
import ConsentTestSupport
import ConsentWire
import Testing

/// The golden vectors of `Protocol/vectors` that a server meets. Those in state `client` are the Swift client's to run.
struct VectorTests {
    @Test func everyFileOfVectorsIsThere() {
        #expect(Vector.validFiles.count >= 27)
        #expect(Vector.brokenFiles.count >= 27)
    }

    @Test(arguments: Vector.validFiles)
    func everyValidFrameDecodesToItsFields(_ file: String) throws {
        for vector in try Vector.file(file) {
            try withFrame(vector) { frame in
                let opcode = try Opcode.named(vector.opcode)
                #expect(frame.opcode == opcode.rawValue, "\(vector)")
                if opcode.rawValue < 128 {
                    let isSame = try decodedRequest(opcode, frame) == fieldsInNormalForm(vector)
                    #expect(isSame, "\(vector)")
                } else {
                    let count = try opcode == .checkedSubjects ? vector.fields["count"].number(Int.self) : 0
                    let isSame = try decodedAnswer(opcode, frame, subjects: count) == vector.fields.expanded
                    #expect(isSame, "\(vector)")
                }
            }
        }
    }

    @Test(arguments: Vector.validFiles)
    func everyValidFrameEncodesToItsBytes(_ file: String) throws {
        for vector in try Vector.file(file) {
            let opcode = try Opcode.named(vector.opcode)
            let isRequest = opcode.rawValue < 128
            let fields = try vector.fields.expanded
            let encoded = try isRequest ? encodedRequest(opcode, fields) : encodedAnswer(opcode, fields)
            let isSame = encoded.map { $0 == vector.bytes } ?? true
            #expect(isSame, "\(vector)")
        }
    }

    @Test(arguments: Vector.validFiles)
    func everyBeginningOfAValidFrameIsIncomplete(_ file: String) throws {
        for vector in try Vector.file(file) {
            var bytes = vector.bytes
            let sizes = bytes.count <= 512 ? Array(0..<bytes.count) : [0, 1, 3, 4, 15, 16, 17, bytes.count - 1]
            for size in sizes {
                bytes.withUnsafeMutableBytes { buffer in
                    guard case .incomplete(let needed) = scanFrame(.init(rebasing: buffer[..<size])) else {
                        Issue.record("\(vector), \(size) bytes")
                        return
                    }
                    #expect(
                        needed == (size < 4 ? WireLimit.headerSize : vector.bytes.count), "\(vector), \(size) bytes")
                }
            }
        }
    }

    @Test func incompleteFramesAreNoErrorYet() throws {
        for vector in try Vector.file("incomplete.json") {
            var bytes = vector.bytes
            bytes.withUnsafeMutableBytes { buffer in
                guard case .incomplete = scanFrame(buffer) else {
                    Issue.record("\(vector)")
                    return
                }
            }
        }
    }

    @Test(arguments: Vector.brokenFiles)
    func decodersRefuseEveryBrokenRequestWithItsError(_ file: String) throws {
        for vector in try Vector.file(file) where vector.state == "open" {
            var bytes = vector.bytes
            try bytes.withUnsafeMutableBytes { buffer in
                let expected = try vector.json["error"].errorCode()
                switch scanFrame(buffer) {
                case .incomplete: Issue.record("\(vector): incomplete")
                case .broken(let code, let request):
                    #expect(code == expected, "\(vector)")
                    #expect(request == 0, "\(vector)")
                case .frame(let frame):
                    // What is not a request, or a purpose that the catalog lacks, is the session's to refuse.
                    guard let opcode = Opcode(rawValue: frame.opcode), opcode.rawValue < 128, opcode != .hello,
                        expected != .purposeUnknown
                    else { return }
                    #expect("\(vector)") { try decodedRequest(opcode, frame) } throws: {
                        ($0 as? WireError)?.code == expected
                    }
                }
            }
        }
    }

    private func withFrame(_ vector: Vector, _ body: (Frame) throws -> Void) throws {
        var bytes = vector.bytes
        try bytes.withUnsafeMutableBytes { buffer in
            guard case .frame(let frame) = scanFrame(buffer) else {
                Issue.record("\(vector): no frame")
                return
            }
            #expect(frame.size == vector.bytes.count, "\(vector)")
            try body(frame)
        }
    }

    private func fieldsInNormalForm(_ vector: Vector) throws -> Json {
        var fields = try vector.fields.expanded
        if let normal = vector.json.optional("normalForm"), fields.optional("identifier") != nil {
            fields = try fields.with("identifier", normal)
        }
        if let normal = vector.json.optional("normalForms"), fields.optional("identifiers") != nil {
            fields = try fields.with("identifiers", normal)
        }
        // How many events a page has at most is the server's to say.
        if try vector.opcode == "history", let limit = fields.optional("limit"), case .number(let asked) = limit {
            let countMax = asked == 0 ? WireLimit.historyPageEventsMax : min(asked, WireLimit.historyPageEventsMax)
            fields = try fields.with("limit", .number(countMax))
        }
        return fields
    }
}
