package import ConsentModel

// The second step of a double opt-in by a token: `issueToken`, `confirmToken` and their answers.

/// `issueToken`: for whom, and for which purposes.
package struct IssueTokenRequest: Equatable, Sendable {
    package var identifier: Identifier
    package var purposes: [String]

    package init(_ frame: Frame) throws(WireError) {
        try unsafe frame.requireZero(argument: .max, word: 0xFF)
        let count = unsafe Int(frame.argument)
        guard (1...WireLimit.purposesPerTokenMax).contains(count) else { throw malformed("issueToken") }
        var reader = unsafe ByteReader(frame.payload)
        purposes = []
        for _ in 0..<count where unsafe reader.isIntact { purposes.append(unsafe reader.text8()) }
        guard unsafe reader.isIntact else { throw malformed("issueToken") }
        identifier = try unsafe IdentifierField(typeByte: frame.identifierTypeByte, value: reader.rest()).identifier
    }

    /// - Precondition: there are 1 to ``WireLimit/purposesPerTokenMax`` purposes of at most 255 bytes each.
    package static func encode(
        type: IdentifierType, value: String, purposes: [String], request: UInt32, into output: inout OutputBuffer
    ) {
        let start = output.beginFrame(
            .issueToken, argument: UInt16(purposes.count), request: request, word: UInt32(type.rawValue))
        for purpose in purposes { output.text8(purpose) }
        output.utf8(value)
        output.endFrame(start)
    }
}

/// `tokenIssued`: the token, which is said this once.
package struct TokenIssued: Equatable, Sendable {
    package var endsAt: Int64
    package var token: String
    /// The sequences of the grants that it confirms.
    package var events: [UInt64]

    package init(endsAt: Int64, token: String, events: [UInt64]) {
        self.endsAt = endsAt
        self.token = token
        self.events = events
    }

    package init(_ frame: Frame) throws(AnswerError) {
        guard unsafe frame.flags == 0, unsafe frame.word == 0 else { throw AnswerError(.tokenIssued) }
        var reader = unsafe ByteReader(frame.payload)
        endsAt = unsafe reader.time()
        token = unsafe reader.text8()
        events = []
        for _ in unsafe 0..<frame.argument where unsafe reader.isIntact { events.append(unsafe reader.u64()) }
        guard unsafe reader.isComplete else { throw AnswerError(.tokenIssued) }
    }

    package func encode(request: UInt32, into output: inout OutputBuffer) {
        let start = output.beginFrame(.tokenIssued, argument: UInt16(events.count), request: request)
        output.time(endsAt)
        output.text8(token)
        for event in events { output.u64(event) }
        output.endFrame(start)
    }
}

/// `confirmToken`: a token that came back, and how.
package struct ConfirmTokenRequest: Equatable, Sendable {
    package var token: String
    /// Who confirms for the person; nil where the person does.
    package var guardian: GuardianMessage?
    package var source = EventSource()
    package var actor = ""

    package init(token: String) { self.token = token }

    package init(_ frame: Frame) throws(WireError) {
        try unsafe frame.requireZero(flags: 1)
        var reader = unsafe ByteReader(frame.payload)
        token = unsafe reader.text8()
        source.system = unsafe reader.text8()
        source.channel = unsafe reader.text8()
        source.form = unsafe reader.text8()
        actor = unsafe reader.text8()
        if unsafe frame.flags & 1 != 0 {
            guardian = unsafe GuardianMessage(&reader)
            guard guardian != nil else { throw malformed("confirmToken") }
        }
        guard unsafe reader.isComplete else { throw malformed("confirmToken") }
    }

    /// - Precondition: no text has more than 255 bytes.
    package func encode(request: UInt32, into output: inout OutputBuffer) {
        let start = output.beginFrame(.confirmToken, flags: guardian == nil ? 0 : 1, request: request)
        for text in [token, source.system, source.channel, source.form, actor] { output.text8(text) }
        guardian?.encode(into: &output)
        output.endFrame(start)
    }
}

/// `tokenConfirmed`: what is confirmed now.
package struct TokenConfirmed: Equatable, Sendable {
    package var consents: [Consent]

    package struct Consent: Equatable, Sendable {
        /// Of the confirmation.
        package var sequence: UInt64
        /// Of the grant.
        package var refersTo: UInt64
        package var purpose: String
        package var declaration: String
        package var revision: String

        package init(sequence: UInt64, refersTo: UInt64, purpose: String, declaration: String, revision: String) {
            self.sequence = sequence
            self.refersTo = refersTo
            self.purpose = purpose
            self.declaration = declaration
            self.revision = revision
        }
    }

    package init(consents: [Consent]) { self.consents = consents }

    package init(_ frame: Frame) throws(AnswerError) {
        guard unsafe frame.flags == 0, unsafe frame.word == 0 else { throw AnswerError(.tokenConfirmed) }
        var reader = unsafe ByteReader(frame.payload)
        consents = []
        for _ in unsafe 0..<frame.argument where unsafe reader.isIntact {
            consents.append(
                unsafe Consent(
                    sequence: reader.u64(), refersTo: reader.u64(), purpose: reader.text8(),
                    declaration: reader.text8(), revision: reader.text8()))
        }
        guard unsafe reader.isComplete else { throw AnswerError(.tokenConfirmed) }
    }

    package func encode(request: UInt32, into output: inout OutputBuffer) {
        let start = output.beginFrame(.tokenConfirmed, argument: UInt16(consents.count), request: request)
        for consent in consents {
            output.u64(consent.sequence)
            output.u64(consent.refersTo)
            output.text8(consent.purpose)
            output.text8(consent.declaration)
            output.text8(consent.revision)
        }
        output.endFrame(start)
    }
}
