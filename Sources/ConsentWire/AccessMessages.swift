package import ConsentModel

// The access log: `readAs`, which says who reads, and `accessLog` with its answer.

/// The requests that read personal data: the access log holds each, and `readAs` can say who reads.
package enum ReadKind: Sendable, CaseIterable {
    case explain
    case history
    case people
    case prove
    case accessLog

    package var opcode: Opcode {
        switch self {
        case .explain: .explain
        case .history: .history
        case .people: .people
        case .prove: .prove
        case .accessLog: .accessLog
        }
    }

    /// Nil for a request that reads none.
    package init?(_ opcode: Opcode) {
        switch opcode {
        case .explain: self = .explain
        case .history: self = .history
        case .people: self = .people
        case .prove: self = .prove
        case .accessLog: self = .accessLog
        default: return nil
        }
    }
}

/// `readAs`: a request that reads personal data, and who reads. Its answer is that of the request inside, which has request
/// id zero, as this one's counts.
@unsafe
package struct ReadAsRequest {
    package let reader: AccessReader
    /// With this request's id.
    package let inner: Frame
    /// As it came.
    package let innerBytes: UnsafeMutableRawBufferPointer

    package init(_ frame: Frame) throws(WireError) {
        try unsafe frame.requireZero()
        var reader = unsafe ByteReader(frame.payload)
        let actor = unsafe reader.text8()
        let client = unsafe reader.text8()
        guard unsafe reader.isIntact else { throw malformed("readAs") }
        let rest = unsafe reader.rest()
        guard case .frame(let inner) = unsafe scanFrame(rest), unsafe inner.size == rest.count,
            unsafe inner.request == 0
        else { throw malformed("readAs") }
        guard unsafe Opcode(rawValue: inner.opcode).flatMap(ReadKind.init) != nil else {
            throw WireError(.readExpected, "only a request that reads personal data can stand in readAs")
        }
        unsafe self.reader = AccessReader(actor: actor, client: client)
        unsafe innerBytes = rest
        unsafe self.inner = inner.answered(as: frame.request)
    }

    /// - Parameter frame: a whole one with request id zero.
    /// - Precondition: no text has more than 255 bytes.
    package static func encode(
        _ reader: AccessReader, _ frame: some Collection<UInt8>, request: UInt32, into output: inout OutputBuffer
    ) {
        let start = output.beginFrame(.readAs, request: request)
        output.text8(reader.actor)
        output.text8(reader.client)
        output.bytes(Array(frame))
        output.endFrame(start)
    }
}

extension AccessLogQuestion {
    package init(_ frame: Frame) throws(WireError) {
        try unsafe frame.requireZero(argument: .max, word: 0xFF)
        var reader = unsafe ByteReader(frame.payload)
        self.init()
        countMax = unsafe Int(frame.argument)
        after = unsafe reader.u64()
        since = unsafe Self.moment(reader.time())
        until = unsafe Self.moment(reader.time())
        actor = unsafe reader.text8()
        guard unsafe reader.isIntact else { throw malformed("accessLog") }
        let rest = unsafe reader.rest()
        if unsafe frame.identifierTypeByte == 0 {
            guard unsafe rest.isEmpty else { throw malformed("accessLog") }
        } else {
            identifier = try unsafe IdentifierField(typeByte: frame.identifierTypeByte, value: rest).identifier
        }
    }

    private static func moment(_ millis: Int64) -> Timestamp? { millis == 0 ? nil : Timestamp(millis: millis) }

    /// - Parameter subject: in place of the identifier, as a client has it.
    /// - Precondition: the actor has at most 255 bytes.
    package func encode(
        type: IdentifierType?, value: String, request: UInt32, into output: inout OutputBuffer
    ) {
        let start = output.beginFrame(
            .accessLog, argument: UInt16(clamping: countMax), request: request, word: UInt32(type?.rawValue ?? 0))
        output.u64(after)
        output.time(since?.millis)
        output.time(until?.millis)
        output.text8(actor)
        output.utf8(value)
        output.endFrame(start)
    }
}

/// `accessPage`: entries of the access log, oldest first.
package struct FoundAccesses: Equatable, Sendable {
    package var hasMore: Bool
    package var head: UInt64
    package var next: UInt64
    package var entries: [RecordedAccess]

    package init(hasMore: Bool, head: UInt64, next: UInt64, entries: [RecordedAccess]) {
        self.hasMore = hasMore
        self.head = head
        self.next = next
        self.entries = entries
    }

    package init(_ frame: Frame) throws(AnswerError) {
        var reader = unsafe ByteReader(frame.payload)
        hasMore = unsafe frame.flags & 1 != 0
        head = unsafe reader.u64()
        next = unsafe reader.u64()
        entries = []
        for _ in unsafe 0..<frame.argument {
            guard let entry = unsafe RecordedAccess(&reader) else { throw AnswerError(.accessPage) }
            entries.append(entry)
        }
        guard unsafe reader.isComplete, unsafe frame.flags & ~1 == 0, unsafe frame.word == 0 else {
            throw AnswerError(.accessPage)
        }
    }

    package func encode(request: UInt32, into output: inout OutputBuffer) {
        let start = output.beginFrame(
            .accessPage, flags: hasMore ? 1 : 0, argument: UInt16(entries.count), request: request)
        output.u64(head)
        output.u64(next)
        for entry in entries { entry.encode(into: &output) }
        output.endFrame(start)
    }
}

extension RecordedAccess {
    fileprivate init?(_ reader: inout ByteReader) {
        let sequence = unsafe reader.u64()
        let recordedAt = unsafe Timestamp(millis: reader.time())
        let question = unsafe AccessQuestion(rawValue: reader.u8())
        let rows = unsafe reader.u64()
        let subject = unsafe reader.u64()
        let hash = unsafe reader.array(16)
        let (after, about) = unsafe (reader.u64(), reader.u64())
        let (from, until) = unsafe (reader.time(), reader.time())
        let accessReader = unsafe AccessReader(actor: reader.text8(), client: reader.text8())
        guard let question, unsafe reader.isIntact else { return nil }
        var entry = AccessEntry(question, by: accessReader)
        (entry.rows, entry.subject, entry.identifierHash) = (rows, subject, hash)
        (entry.after, entry.about) = (after, about)
        entry.from = from == 0 ? nil : Timestamp(millis: from)
        entry.until = until == 0 ? nil : Timestamp(millis: until)
        entry.purpose = unsafe reader.text8()
        entry.except = unsafe reader.text8()
        entry.declaration = unsafe reader.text8()
        entry.revision = unsafe reader.text8()
        entry.recipient = unsafe reader.text8()
        guard unsafe reader.isIntact else { return nil }
        self.init(sequence: sequence, recordedAt: recordedAt, entry: entry)
    }

    fileprivate func encode(into output: inout OutputBuffer) {
        output.u64(sequence)
        output.time(recordedAt.millis)
        output.u8(entry.question.rawValue)
        output.u64(entry.rows)
        output.u64(entry.subject)
        output.bytes(entry.identifierHash)
        output.u64(entry.after)
        output.u64(entry.about)
        output.time(entry.from?.millis)
        output.time(entry.until?.millis)
        output.text8(entry.reader.actor)
        output.text8(entry.reader.client)
        output.text8(entry.purpose)
        output.text8(entry.except)
        output.text8(entry.declaration)
        output.text8(entry.revision)
        output.text8(entry.recipient)
    }
}
