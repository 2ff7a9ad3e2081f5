package import ConsentModel

// Identifiers that change hands: `link`, `unlink` and their answers, and what a history tells of it.

/// `link`: an identifier, and one of those of the person whose it is.
package struct LinkIdentifierRequest: Equatable, Sendable {
    package var identifier: Identifier
    package var person: Identifier
    package var actor: String

    package init(_ frame: Frame) throws(WireError) {
        try unsafe frame.requireZero(word: 0xFFFF)
        var reader = unsafe ByteReader(frame.payload)
        actor = unsafe reader.text8()
        let value = unsafe reader.bytes(Int(reader.u8()))
        guard unsafe reader.isIntact else { throw malformed("link") }
        identifier = try unsafe IdentifierField(typeByte: frame.identifierTypeByte, value: value).identifier
        person = try unsafe IdentifierField(typeByte: UInt8(frame.word >> 8), value: reader.rest()).identifier
    }

    /// - Precondition: the actor and the identifier have at most 255 bytes.
    package static func encode(
        type: IdentifierType, value: String, personType: IdentifierType, person: String, actor: String,
        request: UInt32, into output: inout OutputBuffer
    ) {
        let word = UInt32(type.rawValue) | UInt32(personType.rawValue) << 8
        let start = output.beginFrame(.link, request: request, word: word)
        output.text8(actor)
        output.text8(value)
        output.utf8(person)
        output.endFrame(start)
    }
}

/// `unlink`: an identifier that is not its person's.
package struct UnlinkIdentifierRequest: Equatable, Sendable {
    package var identifier: Identifier
    package var actor: String

    package init(_ frame: Frame) throws(WireError) {
        try unsafe frame.requireZero(word: 0xFF)
        var reader = unsafe ByteReader(frame.payload)
        actor = unsafe reader.text8()
        guard unsafe reader.isIntact else { throw malformed("unlink") }
        identifier = try unsafe IdentifierField(typeByte: frame.identifierTypeByte, value: reader.rest()).identifier
    }

    /// - Precondition: the actor has at most 255 bytes.
    package static func encode(
        type: IdentifierType, value: String, actor: String, request: UInt32, into output: inout OutputBuffer
    ) {
        let start = output.beginFrame(.unlink, request: request, word: UInt32(type.rawValue))
        output.text8(actor)
        output.utf8(value)
        output.endFrame(start)
    }
}

/// `linked` and `unlinked`: what was done.
package struct LinkOutcome: Equatable, Sendable {
    /// Zero if nothing had to change.
    package var sequence: UInt64
    package var recordedAt: Int64
    /// 32 bytes.
    package var hash: [UInt8]
    /// How many changed hands.
    package var identifiers: UInt32
    /// Purposes for which a "no" stands because of it.
    package var denied: [String]

    package init(sequence: UInt64, recordedAt: Int64, hash: [UInt8], identifiers: UInt32, denied: [String]) {
        self.sequence = sequence
        self.recordedAt = recordedAt
        self.hash = hash
        self.identifiers = identifiers
        self.denied = denied
    }

    package init(_ frame: Frame, _ opcode: Opcode) throws(AnswerError) {
        guard unsafe frame.flags == 0 else { throw AnswerError(opcode) }
        var reader = unsafe ByteReader(frame.payload)
        sequence = unsafe reader.u64()
        recordedAt = unsafe reader.time()
        hash = unsafe reader.array(32)
        identifiers = unsafe frame.word
        denied = []
        for _ in unsafe 0..<frame.argument where unsafe reader.isIntact { denied.append(unsafe reader.text8()) }
        guard unsafe reader.isComplete else { throw AnswerError(opcode) }
    }

    package func encode(_ opcode: Opcode, request: UInt32, into output: inout OutputBuffer) {
        let start = output.beginFrame(
            opcode, argument: UInt16(denied.count), request: request, word: identifiers)
        output.u64(sequence)
        output.time(recordedAt)
        output.bytes(hash)
        for purpose in denied { output.text8(purpose) }
        output.endFrame(start)
    }
}

/// What linked or unlinked identifiers, as a history tells it.
package struct RecordedLinkMessage: Equatable, Sendable {
    package var sequence: UInt64
    package var recordedAt: Int64
    /// The other side's number in the ledger; zero if there is none.
    package var other: UInt64
    package var hash: [UInt8]
    package var action: LinkAction
    package var actor: String
    package var identifiers: [Identifier]

    package init(
        sequence: UInt64, recordedAt: Int64, other: UInt64, hash: [UInt8], action: LinkAction, actor: String,
        identifiers: [Identifier]
    ) {
        self.sequence = sequence
        self.recordedAt = recordedAt
        self.other = other
        self.hash = hash
        self.action = action
        self.actor = actor
        self.identifiers = identifiers
    }

    init?(_ reader: inout ByteReader) {
        sequence = unsafe reader.u64()
        recordedAt = unsafe reader.time()
        other = unsafe reader.u64()
        hash = unsafe reader.array(32)
        let action = unsafe LinkAction(rawValue: reader.u8())
        let count = unsafe reader.u8()
        let reserved = unsafe reader.u16()
        actor = unsafe reader.text8()
        identifiers = []
        guard let action, reserved == 0 else { return nil }
        self.action = action
        for _ in 0..<count where unsafe reader.isIntact {
            guard let type = unsafe IdentifierType(rawValue: reader.u8()) else { return nil }
            identifiers.append(unsafe Identifier(recorded: type, value: reader.text8()))
        }
        guard unsafe reader.isIntact else { return nil }
    }

    /// Bytes on the wire at most.
    package var sizeMax: Int { 512 + 258 * identifiers.count }

    func encode(into output: inout OutputBuffer) {
        output.u64(sequence)
        output.time(recordedAt)
        output.u64(other)
        output.bytes(hash)
        output.u8(action.rawValue)
        output.u8(UInt8(identifiers.count))
        output.u16(0)
        output.text8(actor)
        for identifier in identifiers {
            output.u8(identifier.type.rawValue)
            output.text8(identifier.value)
        }
    }
}
