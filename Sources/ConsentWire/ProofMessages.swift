package import ConsentModel

// What shows to others what the ledger holds: `checkpoint` and `prove`, and their answers, which are JSON documents.

/// `prove`: a document about one event.
package struct ProveRequest: Equatable, Sendable {
    package var kind: ProofKind
    package var sequence: UInt64

    package init(_ kind: ProofKind, of sequence: UInt64) {
        self.kind = kind
        self.sequence = sequence
    }

    package init(_ frame: Frame) throws(WireError) {
        try unsafe frame.requireZero(argument: 0xFF)
        var reader = unsafe ByteReader(frame.payload)
        sequence = unsafe reader.u64()
        guard unsafe reader.isComplete, let kind = unsafe ProofKind(rawValue: UInt8(truncatingIfNeeded: frame.argument))
        else { throw malformed("prove") }
        self.kind = kind
    }

    package func encode(request: UInt32, into output: inout OutputBuffer) {
        let start = output.beginFrame(.prove, argument: UInt16(kind.rawValue), request: request)
        output.u64(sequence)
        output.endFrame(start)
    }
}

/// `checkpointed` and `proved`: a JSON document.
package struct ProofText: Equatable, Sendable {
    package var document: String

    package init(_ document: String) { self.document = document }

    /// - Parameter opcode: the one that is expected.
    package init(_ frame: Frame, _ opcode: Opcode) throws(AnswerError) {
        var reader = unsafe ByteReader(frame.payload)
        document = unsafe reader.restText()
        guard unsafe reader.isComplete, unsafe frame.flags == 0, unsafe frame.argument == 0, unsafe frame.word == 0
        else { throw AnswerError(opcode) }
    }

    package func encode(_ opcode: Opcode, request: UInt32, into output: inout OutputBuffer) {
        let start = output.beginFrame(opcode, request: request)
        output.utf8(document)
        output.endFrame(start)
    }
}
