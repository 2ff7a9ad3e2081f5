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

/// `checkpointed` and `proved`: a JSON document. One that is more than a frame holds comes in several answers to the same
/// request, each but the last with a flag.
package struct ProofText: Equatable, Sendable {
    package var document: String
    /// More of it follows. Only in `proved`.
    package var hasMore = false

    package init(_ document: String, hasMore: Bool = false) {
        self.document = document
        self.hasMore = hasMore
    }

    /// - Parameter opcode: the one that is expected.
    package init(_ frame: Frame, _ opcode: Opcode) throws(AnswerError) {
        var reader = unsafe ByteReader(frame.payload)
        document = unsafe reader.restText()
        hasMore = unsafe frame.flags == 1
        guard unsafe reader.isComplete, unsafe frame.flags <= (opcode == .proved ? 1 : 0), unsafe frame.argument == 0,
            unsafe frame.word == 0, !(hasMore && document.isEmpty)
        else { throw AnswerError(opcode) }
    }

    package func encode(_ opcode: Opcode, request: UInt32, into output: inout OutputBuffer) {
        let start = output.beginFrame(opcode, flags: hasMore ? 1 : 0, request: request)
        output.utf8(document)
        output.endFrame(start)
    }

    /// As many as it takes frames, none of which ends within a character.
    package var parts: [ProofText] {
        let sizeMax = WireLimit.frameSizeMax - WireLimit.headerSize
        var parts: [ProofText] = []
        var rest = document.utf8[...]
        while rest.count > sizeMax {
            var end = rest.index(rest.startIndex, offsetBy: sizeMax)
            while rest[end] & 0xC0 == 0x80 { rest.formIndex(before: &end) }
            parts.append(ProofText(String(Substring(rest[..<end])), hasMore: true))
            rest = rest[end...]
        }
        return parts + [ProofText(String(Substring(rest)), hasMore: hasMore)]
    }
}
