package import ConsentModel

// One type a request: how it is read from a frame and how it is written. A decoder throws `reservedBitSet` for a bit that
// must be zero, `malformed` for a payload that does not have the layout, and only then what the values break.

/// Sixteen bytes that name a deployment or a history.
package struct ID16: Hashable, Sendable, CustomStringConvertible {
    package let bytes: [UInt8]

    package static let zero = ID16(bytes: [UInt8](repeating: 0, count: 16))

    package init(bytes: [UInt8]) {
        precondition(bytes.count == 16)
        self.bytes = bytes
    }

    /// Reads 32 hexadecimal digits.
    package init?(hex: String) {
        guard hex.utf8.count == 32 else { return nil }
        var bytes: [UInt8] = []
        var rest = hex[...]
        while !rest.isEmpty {
            guard let byte = UInt8(rest.prefix(2), radix: 16) else { return nil }
            bytes.append(byte)
            rest = rest.dropFirst(2)
        }
        self.init(bytes: bytes)
    }

    package var description: String {
        bytes.map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }.joined()
    }
}

extension Frame {
    /// Bits that this opcode leaves no meaning must be zero.
    func requireZero(
        flags allowedFlags: UInt8 = 0, argument allowedArgument: UInt16 = 0, word allowedWord: UInt32 = 0
    ) throws(WireError) {
        guard unsafe flags & ~allowedFlags == 0, unsafe argument & ~allowedArgument == 0,
            unsafe word & ~allowedWord == 0
        else { throw WireError(.reservedBitSet, "a reserved bit of the header is set; it must be zero") }
    }
}

func malformed(_ what: String) -> WireError {
    WireError(.malformed, "the payload of '\(what)' does not have its layout; see the protocol's definition")
}

package struct Hello: Equatable, Sendable {
    package var versionMin = WireVersion.min
    package var versionMax = WireVersion.max
    package var deployment = ID16.zero
    package var clientName = ""
    package var clientVersion = ""
    package var token: [UInt8] = []

    package init() {}

    package init(_ frame: Frame) throws(WireError) {
        guard unsafe frame.opcode == Opcode.hello.rawValue else {
            throw WireError(.helloExpected, "the first frame of a connection must be hello")
        }
        guard unsafe frame.word == WireVersion.magic else {
            throw WireError(.magicWrong, "hello does not carry the magic 'CNSD'")
        }
        try unsafe frame.requireZero(word: .max)
        var reader = unsafe ByteReader(frame.payload)
        versionMin = unsafe reader.u16()
        versionMax = unsafe reader.u16()
        let reserved = unsafe reader.u32()
        let deploymentBytes = unsafe reader.array(16)
        clientName = unsafe reader.text8()
        clientVersion = unsafe reader.text8()
        token = unsafe Array(reader.text16().utf8)
        guard unsafe reader.isComplete else { throw malformed("hello") }
        guard reserved == 0 else { throw WireError(.reservedBitSet, "a reserved field of hello is not zero") }
        deployment = ID16(bytes: deploymentBytes)
    }

    package func encode(request: UInt32, into output: inout OutputBuffer) {
        let start = output.beginFrame(.hello, request: request, word: WireVersion.magic)
        output.u16(versionMin)
        output.u16(versionMax)
        output.u32(0)
        output.bytes(deployment.bytes)
        output.text8(clientName)
        output.text8(clientVersion)
        output.u16(UInt16(token.count))
        output.bytes(token)
        output.endFrame(start)
    }
}

package struct PingRequest: Equatable, Sendable {
    package var echo: UInt64

    package init(echo: UInt64) { self.echo = echo }

    package init(_ frame: Frame) throws(WireError) {
        try unsafe frame.requireZero()
        var reader = unsafe ByteReader(frame.payload)
        echo = unsafe reader.u64()
        guard unsafe reader.isComplete else { throw malformed("ping") }
    }

    package func encode(request: UInt32, into output: inout OutputBuffer) {
        let start = output.beginFrame(.ping, request: request)
        output.u64(echo)
        output.endFrame(start)
    }
}

/// A question about one identifier whose value lies in the receive buffer. Serves `check`, `explain`, and, after what
/// precedes the identifier there, `checkPurposes` and `history`.
@unsafe
package struct IdentifierField {
    package let type: IdentifierType
    /// In normal form.
    package let value: UnsafeRawBufferPointer

    /// Judges and normalises the value in place.
    package init(typeByte: UInt8, value bytes: UnsafeMutableRawBufferPointer) throws(WireError) {
        guard let type = IdentifierType(rawValue: typeByte) else {
            throw WireError(.identifierInvalid, "identifier type \(typeByte) is not known")
        }
        let text = unsafe bytes.assumingMemoryBound(to: UInt8.self)
        guard bytes.count > 0, bytes.count <= WireLimit.identifierSizeMax else {
            let sizeMax = WireLimit.identifierSizeMax
            throw WireError(.identifierInvalid, "an identifier has 1 to \(sizeMax) bytes, this one \(bytes.count)")
        }
        let size: Int
        do throws(IdentifierFault) {
            size = try unsafe Identifier.normalize(text, type: type)
        } catch {
            throw WireError(.identifierInvalid, error.advice)
        }
        unsafe self.type = type
        unsafe value = UnsafeRawBufferPointer(rebasing: bytes[..<size])
    }

    /// As a value of its own, for work that outlives the receive buffer.
    package var identifier: Identifier {
        // Judged above: it is text of a fitting size in its normal form.
        unsafe Identifier(recorded: type, value: String(decoding: value, as: UTF8.self))
    }
}

/// `check` and `explain`: one subject, one purpose.
@unsafe
package struct CheckRequest {
    package let purposeBit: UInt16
    private let typeByte: UInt8
    private let bytes: UnsafeMutableRawBufferPointer

    package init(_ frame: Frame) throws(WireError) {
        guard unsafe frame.flags == 0, unsafe frame.word & ~0xFF == 0 else {
            throw WireError(.reservedBitSet, "a reserved bit of the header is set; it must be zero")
        }
        unsafe purposeBit = frame.argument
        unsafe typeByte = frame.identifierTypeByte
        unsafe bytes = frame.payload
    }

    /// Judged after the purpose, which answers first.
    package func identifier() throws(WireError) -> IdentifierField {
        try unsafe IdentifierField(typeByte: typeByte, value: bytes)
    }

    package static func encode(
        _ opcode: Opcode, purposeBit: UInt16, identifier: Identifier, request: UInt32, into output: inout OutputBuffer
    ) {
        let start = output.beginFrame(
            opcode, argument: purposeBit, request: request, word: UInt32(identifier.type.rawValue))
        output.utf8(identifier.value)
        output.endFrame(start)
    }
}

/// `checkPurposes`: one subject, many purposes.
@unsafe
package struct CheckPurposesRequest {
    package let words: Int
    /// The bitset asked for, `words` little-endian words.
    package let purposes: UnsafeRawBufferPointer
    private let typeByte: UInt8
    private let bytes: UnsafeMutableRawBufferPointer

    package init(_ frame: Frame) throws(WireError) {
        try unsafe frame.requireZero(word: 0xFFFF)
        let words = unsafe Int(frame.word >> 8)
        var reader = unsafe ByteReader(frame.payload)
        let mask = unsafe reader.bytes(words * 8)
        guard (1...WireLimit.purposeWordsMax).contains(words), unsafe reader.isIntact else {
            throw malformed("checkPurposes")
        }
        unsafe self.words = words
        unsafe purposes = UnsafeRawBufferPointer(mask)
        unsafe typeByte = frame.identifierTypeByte
        unsafe bytes = reader.rest()
    }

    package func identifier() throws(WireError) -> IdentifierField {
        try unsafe IdentifierField(typeByte: typeByte, value: bytes)
    }

    package static func encode(
        purposes: [UInt64], identifier: Identifier, request: UInt32, into output: inout OutputBuffer
    ) {
        let word = UInt32(identifier.type.rawValue) | UInt32(purposes.count) << 8
        let start = output.beginFrame(.checkPurposes, request: request, word: word)
        for mask in purposes { output.u64(mask) }
        output.utf8(identifier.value)
        output.endFrame(start)
    }
}

/// `checkSubjects`: many subjects of one identifier type, one purpose.
@unsafe
package struct CheckSubjectsRequest {
    package let purposeBit: UInt16
    package let count: Int
    private let typeByte: UInt8
    private var reader: ByteReader

    /// Walks the list once, so that a count that does not match the length is an error before any answer.
    package init(_ frame: Frame) throws(WireError) {
        try unsafe frame.requireZero(argument: .max, word: 0xFFFF_00FF)
        unsafe purposeBit = frame.argument
        unsafe count = Int(frame.word >> 16)
        unsafe typeByte = frame.identifierTypeByte
        unsafe reader = ByteReader(frame.payload)
        var walk = unsafe reader
        for _ in unsafe 0..<count { _ = unsafe walk.bytes(Int(walk.u8())) }
        guard unsafe count > 0, unsafe walk.isComplete else { throw malformed("checkSubjects") }
    }

    /// The next identifier of the list; call at most `count` times.
    package mutating func nextIdentifier(position: Int) throws(WireError) -> IdentifierField {
        do throws(WireError) {
            return try unsafe IdentifierField(typeByte: typeByte, value: reader.bytes(Int(reader.u8())))
        } catch {
            throw WireError(error.code, detail: UInt32(position), "identifier \(position): \(error.message)")
        }
    }

    package static func encode(
        purposeBit: UInt16, type: IdentifierType, values: some Collection<String>, request: UInt32,
        into output: inout OutputBuffer
    ) {
        let word = UInt32(type.rawValue) | UInt32(values.count) << 16
        let start = output.beginFrame(.checkSubjects, argument: purposeBit, request: request, word: word)
        for value in values { output.text8(value) }
        output.endFrame(start)
    }
}

/// `record`: one or many events.
package struct RecordRequest: Equatable, Sendable {
    package var events: [EventMessage]

    package init(events: [EventMessage]) { self.events = events }

    package init(_ frame: Frame) throws(WireError) {
        try unsafe frame.requireZero(argument: .max)
        let count = unsafe Int(frame.argument)
        var reader = unsafe ByteReader(frame.payload)
        guard (1...WireLimit.eventsPerRecordMax).contains(count) else { throw malformed("record") }
        events = []
        events.reserveCapacity(min(count, 64))
        for _ in 0..<count {
            guard let event = unsafe EventMessage(&reader) else { throw malformed("record") }
            events.append(event)
        }
        guard unsafe reader.isComplete else { throw malformed("record") }
        guard !events.contains(where: \.hasReservedBit) else {
            throw WireError(.reservedBitSet, "a reserved flag of an event is set; it must be zero")
        }
    }

    package func encode(request: UInt32, into output: inout OutputBuffer) {
        let start = output.beginFrame(.record, argument: UInt16(events.count), request: request)
        for event in events { event.encode(into: &output) }
        output.endFrame(start)
    }
}

package struct ApplyCatalogRequest: Equatable, Sendable {
    package var document: String
    package var isDryRun: Bool

    package init(document: String, isDryRun: Bool) {
        self.document = document
        self.isDryRun = isDryRun
    }

    package init(_ frame: Frame) throws(WireError) {
        try unsafe frame.requireZero(flags: 1)
        isDryRun = unsafe frame.flags & 1 != 0
        var reader = unsafe ByteReader(frame.payload)
        document = unsafe reader.restText()
        guard unsafe reader.isComplete else { throw malformed("applyCatalog") }
    }

    package func encode(request: UInt32, into output: inout OutputBuffer) {
        let start = output.beginFrame(.applyCatalog, flags: isDryRun ? 1 : 0, request: request)
        output.utf8(document)
        output.endFrame(start)
    }
}

package struct HistoryRequest: Equatable, Sendable {
    package var identifier: Identifier
    /// Only events with a later sequence.
    package var after: UInt64
    package var countMax: Int
    /// Whether what linked and unlinked identifiers is wanted, too.
    package var wantsLinks: Bool

    package init(identifier: Identifier, after: UInt64 = 0, countMax: Int = 0, wantsLinks: Bool = false) {
        self.identifier = identifier
        self.after = after
        self.countMax = countMax
        self.wantsLinks = wantsLinks
    }

    package init(_ frame: Frame) throws(WireError) {
        try unsafe frame.requireZero(flags: 1, argument: .max, word: 0xFF)
        wantsLinks = unsafe frame.flags & 1 != 0
        var reader = unsafe ByteReader(frame.payload)
        after = unsafe reader.u64()
        guard unsafe reader.isIntact else { throw malformed("history") }
        let asked = unsafe Int(frame.argument)
        countMax = asked == 0 ? WireLimit.historyPageEventsMax : min(asked, WireLimit.historyPageEventsMax)
        identifier = try unsafe IdentifierField(typeByte: frame.identifierTypeByte, value: reader.rest()).identifier
    }

    package func encode(request: UInt32, into output: inout OutputBuffer) {
        let start = output.beginFrame(
            .history, flags: wantsLinks ? 1 : 0, argument: UInt16(countMax), request: request,
            word: UInt32(identifier.type.rawValue))
        output.u64(after)
        output.utf8(identifier.value)
        output.endFrame(start)
    }
}

/// `catalog`, `catalogDocument` and `statistics`: nothing but the header.
package enum BareRequest {
    package static func decode(_ frame: Frame) throws(WireError) {
        try unsafe frame.requireZero()
        guard unsafe frame.payload.isEmpty else { throw malformed("request") }
    }

    package static func encode(_ opcode: Opcode, request: UInt32, into output: inout OutputBuffer) {
        output.endFrame(output.beginFrame(opcode, request: request))
    }
}
