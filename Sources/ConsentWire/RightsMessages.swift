package import ConsentModel

// What is about a person as a whole: `erase` and its answer.

/// `erase`: a person, by one of the identifiers.
package struct EraseRequest: Equatable, Sendable {
    package var identifier: Identifier
    package var reason: ErasureReason
    package var actor: String

    package init(_ identifier: Identifier, reason: ErasureReason, actor: String) {
        self.identifier = identifier
        self.reason = reason
        self.actor = actor
    }

    package init(_ frame: Frame) throws(WireError) {
        try unsafe frame.requireZero(argument: 0xFF, word: 0xFF)
        var reader = unsafe ByteReader(frame.payload)
        guard let reason = unsafe ErasureReason(rawValue: UInt8(truncatingIfNeeded: frame.argument)) else {
            throw malformed("erase")
        }
        self.reason = reason
        actor = unsafe reader.text8()
        guard unsafe reader.isIntact else { throw malformed("erase") }
        identifier = try unsafe IdentifierField(typeByte: frame.identifierTypeByte, value: reader.rest()).identifier
    }

    /// - Precondition: the actor has at most 255 bytes.
    package static func encode(
        type: IdentifierType, value: String, reason: ErasureReason, actor: String, request: UInt32,
        into output: inout OutputBuffer
    ) {
        let start = output.beginFrame(
            .erase, argument: UInt16(reason.rawValue), request: request, word: UInt32(type.rawValue))
        output.text8(actor)
        output.utf8(value)
        output.endFrame(start)
    }
}

/// `erased`: what a certificate states.
package struct Erased: Equatable, Sendable {
    package var isRepeated = false
    package var isPending = false
    package var emptiedEvents: UInt32 = 0
    package var sequence: UInt64
    package var erasedAt: Int64
    /// 32 bytes.
    package var hash: [UInt8]
    package var reason: ErasureReason
    package var actor = ""
    package var objections: [String] = []
    package var identifiers: [KeyedIdentifier] = []

    package struct KeyedIdentifier: Equatable, Sendable {
        package var type: IdentifierType
        /// 16 bytes.
        package var hash: [UInt8]

        package init(type: IdentifierType, hash: [UInt8]) {
            self.type = type
            self.hash = hash
        }
    }

    package init(sequence: UInt64, erasedAt: Int64, hash: [UInt8], reason: ErasureReason) {
        self.sequence = sequence
        self.erasedAt = erasedAt
        self.hash = hash
        self.reason = reason
    }

    package init(_ frame: Frame) throws(AnswerError) {
        var reader = unsafe ByteReader(frame.payload)
        sequence = unsafe reader.u64()
        erasedAt = unsafe reader.time()
        hash = unsafe reader.array(32)
        let reason = unsafe ErasureReason(rawValue: reader.u8())
        let reserved = unsafe reader.u8()
        let identifierCount = unsafe reader.u16()
        guard let reason, reserved == 0, unsafe frame.flags & ~3 == 0 else { throw AnswerError(.erased) }
        self.reason = reason
        isRepeated = unsafe frame.flags & 1 != 0
        isPending = unsafe frame.flags & 2 != 0
        emptiedEvents = unsafe frame.word
        actor = unsafe reader.text8()
        for _ in unsafe 0..<frame.argument where unsafe reader.isIntact { objections.append(unsafe reader.text8()) }
        for _ in 0..<identifierCount where unsafe reader.isIntact {
            guard let type = unsafe IdentifierType(rawValue: reader.u8()) else { throw AnswerError(.erased) }
            identifiers.append(unsafe KeyedIdentifier(type: type, hash: reader.array(16)))
        }
        guard unsafe reader.isComplete else { throw AnswerError(.erased) }
    }

    package func encode(request: UInt32, into output: inout OutputBuffer) {
        let start = output.beginFrame(
            .erased, flags: (isRepeated ? 1 : 0) | (isPending ? 2 : 0), argument: UInt16(objections.count),
            request: request, word: emptiedEvents)
        output.u64(sequence)
        output.time(erasedAt)
        output.bytes(hash)
        output.u8(reason.rawValue)
        output.u8(0)
        output.u16(UInt16(identifiers.count))
        output.text8(actor)
        for purpose in objections { output.text8(purpose) }
        for identifier in identifiers {
            output.u8(identifier.type.rawValue)
            output.bytes(identifier.hash)
        }
        output.endFrame(start)
    }
}
