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
    /// Who the guardian is; nil where none is named.
    package var guardian: GuardianMessage?
    /// A flag was set that has no meaning yet.
    package var hasReservedBit = false

    package struct NamedValue: Equatable, Sendable {
        package var typeByte: UInt8
        /// Empty where it is not UTF-8.
        package var value: String
        package var isUTF8 = true

        package init(typeByte: UInt8, value: String) {
            self.typeByte = typeByte
            self.value = value
        }
    }

    private static let ageNotStated: UInt8 = 255
    private static let guardianFlag: UInt8 = 2

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
        guardian = event.guardian.map(GuardianMessage.init)
    }

    /// Whether every identifier has a type that is known, and is UTF-8. If not, that is the event's fault and not its
    /// frame's.
    var hasReadableIdentifiers: Bool {
        identifiers.allSatisfy { $0.isUTF8 && IdentifierType(rawValue: $0.typeByte) != nil }
    }

    /// Nil if the bytes do not have the layout, or a code is not known, other than an identifier's type.
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
        hasReservedBit = flags & ~(1 | Self.guardianFlag) != 0
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
        identifiers.reserveCapacity(identifierCount)
        for _ in 0..<identifierCount {
            let typeByte = unsafe body.u8()
            let value = unsafe body.text8IfUTF8()
            var identifier = NamedValue(typeByte: typeByte, value: value ?? "")
            identifier.isUTF8 = value != nil
            identifiers.append(identifier)
        }
        if flags & Self.guardianFlag != 0 {
            guardian = unsafe GuardianMessage(&body)
            guard guardian != nil else { return nil }
        }
        guard unsafe body.isComplete else { return nil }
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
        output.u8((isExplicit ? 1 : 0) | (guardian == nil ? 0 : Self.guardianFlag))
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
        guardian?.encode(into: &output)
        output.setSize(at: start)
    }

    /// The event that the engine judges.
    ///
    /// - Throws: what is wrong with the purpose or an identifier.
    package func event(in catalog: Catalog) throws(AdmissionError) -> ConsentEvent {
        guard let purpose = catalog.purpose(bit: Int(purposeBit)) else { throw .purposeUnknown("bit \(purposeBit)") }
        guard identifiers.count <= Limit.identifiersPerEventMax else { throw .identifiersTooMany(identifiers.count) }
        var (parsed, fault): ([Identifier], AdmissionError?) = ([], nil)
        parsed.reserveCapacity(identifiers.count)
        for identifier in identifiers {
            do throws(AdmissionError) {
                guard let type = IdentifierType(rawValue: identifier.typeByte) else {
                    throw .identifierTypeUnknown("type \(identifier.typeByte)")
                }
                guard identifier.isUTF8 else { throw .identifierInvalid(type) }
                parsed.append(try Identifier(type: type, value: identifier.value))
            } catch {
                // A "no" is not kept from those that are sound.
                guard state.takesAway else { throw error }
                fault = fault ?? error
            }
        }
        if parsed.isEmpty, let fault { throw fault }
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
        do throws(AdmissionError) {
            event.guardian = try guardian?.guardian()
        } catch  where state.takesAway {
            // A "no" is not refused for who else it names.
        }
        return ConsentEvent(event)
    }
}

/// Who a guardian is, on the wire.
package struct GuardianMessage: Equatable, Sendable {
    package var relation: GuardianRelation
    package var typeByte: UInt8
    package var value: String

    package init(_ relation: GuardianRelation, typeByte: UInt8, value: String) {
        self.relation = relation
        self.typeByte = typeByte
        self.value = value
    }

    package init(_ guardian: Guardian) {
        self.init(guardian.relation, typeByte: guardian.identifier.type.rawValue, value: guardian.identifier.value)
    }

    /// Nil if the bytes do not have the layout, or a code is not known.
    package init?(_ reader: inout ByteReader) {
        let relation = unsafe GuardianRelation(rawValue: reader.u8())
        typeByte = unsafe reader.u8()
        value = unsafe reader.text8()
        guard unsafe reader.isIntact, let relation, IdentifierType(rawValue: typeByte) != nil else { return nil }
        self.relation = relation
    }

    /// - Precondition: the value has at most 255 bytes.
    package func encode(into output: inout OutputBuffer) {
        output.u8(relation.rawValue)
        output.u8(typeByte)
        output.text8(value)
    }

    /// - Throws: what is wrong with the identifier.
    package func guardian() throws(AdmissionError) -> Guardian {
        guard let type = IdentifierType(rawValue: typeByte) else { throw .identifierTypeUnknown("type \(typeByte)") }
        return try Guardian(relation, type: type, value: value)
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
        guard unsafe reader.isIntact, let event = unsafe EventMessage(&reader), event.hasReadableIdentifiers
        else { return nil }
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
