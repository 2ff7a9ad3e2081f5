package import ConsentModel

/// A consent event on the wire. The purpose is its bit, and identifiers are as they were sent: what rules they break is
/// the engine's to say, event by event.
package struct EventMessage: Equatable, Sendable {
    package var key: IdempotencyKey?
    package var purposeBit: UInt16
    package var state: EventState
    package var method = EvidenceMethod.none
    package var party = Party.subject
    package var isExplicit = false
    package var subjectAge: UInt8?
    package var capturedAt: Int64 = 0
    package var expiresAt: Int64 = 0
    package var declaration = ""
    package var revision = ""
    package var language = ""
    package var system = ""
    package var channel = ""
    package var form = ""
    package var actor = ""
    package var evidence = ""
    package var identifiers: [NamedValue] = []
    /// A flag was set that has no meaning yet.
    package var hasReservedBit = false

    package struct NamedValue: Equatable, Sendable {
        package var typeByte: UInt8
        package var value: String

        package init(typeByte: UInt8, value: String) {
            self.typeByte = typeByte
            self.value = value
        }
    }

    private static let ageNotStated: UInt8 = 255

    package init(purposeBit: UInt16, state: EventState) {
        self.purposeBit = purposeBit
        self.state = state
    }

    package init(_ event: ConsentEvent, purposeBit: UInt16) {
        self.init(purposeBit: purposeBit, state: event.state)
        key = event.key
        method = event.method
        party = event.party
        isExplicit = event.isExplicit
        subjectAge = event.subjectAge.map { UInt8(clamping: min($0, 254)) }
        capturedAt = event.capturedAt?.millis ?? 0
        expiresAt = event.expiresAt?.millis ?? 0
        declaration = event.revision?.declaration ?? ""
        revision = event.revision?.revision ?? ""
        language = event.language
        system = event.source.system
        channel = event.source.channel
        form = event.source.form
        actor = event.actor
        evidence = event.evidence
        identifiers = event.identifiers.map { NamedValue(typeByte: $0.type.rawValue, value: $0.value) }
    }

    /// Nil if the bytes do not have the layout, or a code is not known.
    package init?(_ reader: inout ByteReader) {
        let size = unsafe Int(reader.u32())
        var body = unsafe ByteReader(reader.bytes(size))
        guard unsafe reader.isIntact else { return nil }
        let high = unsafe body.u64()
        let low = unsafe body.u64()
        let purposeBit = unsafe body.u16()
        let state = unsafe EventState(rawValue: body.u8())
        let method = unsafe EvidenceMethod(rawValue: body.u8())
        let party = unsafe Party(rawValue: body.u8())
        let flags = unsafe body.u8()
        let age = unsafe body.u8()
        let identifierCount = unsafe Int(body.u8())
        guard let state, let method, let party else { return nil }
        self.init(purposeBit: purposeBit, state: state)
        key = high | low == 0 ? nil : IdempotencyKey(high: high.byteSwapped, low: low.byteSwapped)
        self.method = method
        self.party = party
        isExplicit = flags & 1 != 0
        hasReservedBit = flags & ~1 != 0
        subjectAge = age == Self.ageNotStated ? nil : age
        capturedAt = unsafe body.time()
        expiresAt = unsafe body.time()
        declaration = unsafe body.text8()
        revision = unsafe body.text8()
        language = unsafe body.text8()
        system = unsafe body.text8()
        channel = unsafe body.text8()
        form = unsafe body.text8()
        actor = unsafe body.text8()
        evidence = unsafe body.text16()
        var areTypesKnown = true
        identifiers.reserveCapacity(identifierCount)
        for _ in 0..<identifierCount {
            let typeByte = unsafe body.u8()
            if IdentifierType(rawValue: typeByte) == nil { areTypesKnown = false }
            identifiers.append(unsafe NamedValue(typeByte: typeByte, value: body.text8()))
        }
        guard unsafe body.isComplete, areTypesKnown else { return nil }
    }

    /// - Precondition: texts are within their limits, which the sender has checked.
    package func encode(into output: inout OutputBuffer) {
        let start = output.zeroBytes(4)
        output.u64((key?.high ?? 0).byteSwapped)
        output.u64((key?.low ?? 0).byteSwapped)
        output.u16(purposeBit)
        output.u8(state.rawValue)
        output.u8(method.rawValue)
        output.u8(party.rawValue)
        output.u8(isExplicit ? 1 : 0)
        output.u8(subjectAge ?? Self.ageNotStated)
        output.u8(UInt8(identifiers.count))
        output.time(capturedAt)
        output.time(expiresAt)
        output.text8(declaration)
        output.text8(revision)
        output.text8(language)
        output.text8(system)
        output.text8(channel)
        output.text8(form)
        output.text8(actor)
        output.text16(evidence)
        for identifier in identifiers {
            output.u8(identifier.typeByte)
            output.text8(identifier.value)
        }
        output.setSize(at: start)
    }

    /// The event that the engine judges.
    ///
    /// - Throws: what is wrong with the purpose or an identifier.
    package func event(in catalog: Catalog) throws(AdmissionError) -> ConsentEvent {
        guard let purpose = catalog.purpose(bit: Int(purposeBit)) else { throw .purposeUnknown("bit \(purposeBit)") }
        guard identifiers.count <= Limit.identifiersPerEventMax else { throw .identifiersTooMany(identifiers.count) }
        var parsed: [Identifier] = []
        parsed.reserveCapacity(identifiers.count)
        for identifier in identifiers {
            guard let type = IdentifierType(rawValue: identifier.typeByte) else {
                throw .identifierTypeUnknown("type \(identifier.typeByte)")
            }
            parsed.append(try Identifier(type: type, value: identifier.value))
        }
        var event = ConsentEvent.Fields(identifiers: parsed, purpose: purpose.id, state: state)
        event.key = key
        event.method = method
        event.party = party
        event.isExplicit = isExplicit
        event.subjectAge = subjectAge.map(Int.init)
        event.capturedAt = capturedAt == 0 ? nil : Timestamp(millis: capturedAt)
        event.expiresAt = expiresAt == 0 ? nil : Timestamp(millis: expiresAt)
        if !declaration.isEmpty || !revision.isEmpty {
            event.revision = RevisionName(declaration: declaration, revision: revision)
        }
        event.language = language
        event.source = EventSource(system: system, channel: channel, form: form)
        event.actor = actor
        event.evidence = evidence
        return ConsentEvent(event)
    }
}

/// An event of a history on the wire.
package struct RecordedEventMessage: Equatable, Sendable {
    package var sequence: UInt64
    package var recordedAt: Int64
    package var refersTo: UInt64
    package var hash: [UInt8]
    package var event: EventMessage

    package init(_ recorded: RecordedEvent, purposeBit: UInt16) {
        sequence = recorded.sequence
        recordedAt = recorded.recordedAt.millis
        refersTo = recorded.refersTo
        hash = recorded.hash
        event = EventMessage(recorded.event, purposeBit: purposeBit)
    }

    package init?(_ reader: inout ByteReader) {
        sequence = unsafe reader.u64()
        recordedAt = unsafe reader.time()
        refersTo = unsafe reader.u64()
        hash = unsafe reader.array(32)
        guard unsafe reader.isIntact, let event = unsafe EventMessage(&reader) else { return nil }
        self.event = event
    }

    /// Bytes on the wire at most.
    package var sizeMax: Int { 4096 + event.evidence.utf8.count + 258 * (event.identifiers.count) }

    package func encode(into output: inout OutputBuffer) {
        output.u64(sequence)
        output.time(recordedAt)
        output.u64(refersTo)
        output.bytes(hash)
        event.encode(into: &output)
    }
}
