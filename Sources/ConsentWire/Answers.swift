package import ConsentModel

// One type an answer or push: how the server writes it and how a client reads it. A client that cannot read an answer has
// lost the conversation: it closes the connection.

/// An answer that breaks the protocol.
package struct AnswerError: Error, Equatable, CustomStringConvertible {
    package var description: String

    init(_ opcode: Opcode) { description = "the server's '\(opcode)' does not have the layout of the protocol" }
}

extension ByteReader {
    /// A run of little-endian words.
    mutating func words(_ count: Int) -> [UInt64] {
        var words: [UInt64] = []
        for _ in 0..<count { words.append(unsafe u64()) }
        return words
    }
}

package struct Welcome: Equatable, Sendable {
    package var version = WireVersion.max
    package var versionMin = WireVersion.min
    package var versionMax = WireVersion.max
    package var catalogVersion: UInt32 = 0
    package var sequence: UInt64 = 0
    package var deployment = ID16.zero
    package var history = ID16.zero
    package var frameSizeMax = UInt32(WireLimit.frameSizeMax)
    package var requestsInFlightMax = UInt32(WireLimit.requestsInFlightMax)
    package var subjectsPerCheckMax = UInt32(WireLimit.subjectsPerCheckMax)
    package var eventsPerRecordMax = UInt32(WireLimit.eventsPerRecordMax)
    package var serverName = ""
    package var serverVersion = ""

    package init() {}

    package init(_ frame: Frame) throws(AnswerError) {
        var reader = unsafe ByteReader(frame.payload)
        version = unsafe frame.argument
        versionMin = unsafe reader.u16()
        versionMax = unsafe reader.u16()
        catalogVersion = unsafe reader.u32()
        sequence = unsafe reader.u64()
        let deploymentBytes = unsafe reader.array(16)
        let historyBytes = unsafe reader.array(16)
        frameSizeMax = unsafe reader.u32()
        requestsInFlightMax = unsafe reader.u32()
        subjectsPerCheckMax = unsafe reader.u32()
        eventsPerRecordMax = unsafe reader.u32()
        serverName = unsafe reader.text8()
        serverVersion = unsafe reader.text8()
        guard unsafe reader.isComplete, unsafe frame.flags == 0, unsafe frame.word == 0 else {
            throw AnswerError(.welcome)
        }
        deployment = ID16(bytes: deploymentBytes)
        history = ID16(bytes: historyBytes)
    }

    package func encode(request: UInt32, into output: inout OutputBuffer) {
        let start = output.beginFrame(.welcome, argument: version, request: request)
        output.u16(versionMin)
        output.u16(versionMax)
        output.u32(catalogVersion)
        output.u64(sequence)
        output.bytes(deployment.bytes)
        output.bytes(history.bytes)
        output.u32(frameSizeMax)
        output.u32(requestsInFlightMax)
        output.u32(subjectsPerCheckMax)
        output.u32(eventsPerRecordMax)
        output.text8(serverName)
        output.text8(serverVersion)
        output.endFrame(start)
    }
}

package struct Pong: Equatable, Sendable {
    package var echo: UInt64

    package init(echo: UInt64) { self.echo = echo }

    package init(_ frame: Frame) throws(AnswerError) {
        var reader = unsafe ByteReader(frame.payload)
        echo = unsafe reader.u64()
        guard unsafe reader.isComplete, unsafe frame.flags == 0, unsafe frame.argument == 0, unsafe frame.word == 0
        else { throw AnswerError(.pong) }
    }

    package func encode(request: UInt32, into output: inout OutputBuffer) {
        let start = output.beginFrame(.pong, request: request)
        output.u64(echo)
        output.endFrame(start)
    }
}

/// The answer to one check. Its reason stands for a class; only `explain` gives the exact one.
package struct Checked: Equatable, Sendable {
    package var decision: Decision
    package var reason: ConsentState
    package var freshness: Freshness
    package var sequence: UInt64

    package init(decision: Decision, reason: ConsentState, freshness: Freshness, sequence: UInt64) {
        self.decision = decision
        self.reason = reason
        self.freshness = freshness
        self.sequence = sequence
    }

    package init(_ frame: Frame) throws(AnswerError) {
        var reader = unsafe ByteReader(frame.payload)
        sequence = unsafe reader.u64()
        guard let decision = unsafe Decision(rawValue: UInt8(truncatingIfNeeded: frame.argument)),
            let reason = unsafe ConsentState(rawValue: UInt8(frame.argument >> 8)), reason.decision == decision,
            let freshness = unsafe Freshness(rawValue: UInt8(truncatingIfNeeded: frame.word)),
            unsafe frame.word & ~0xFF == 0, unsafe frame.flags == 0, unsafe reader.isComplete
        else { throw AnswerError(.checked) }
        self.decision = decision
        self.reason = reason
        self.freshness = freshness
    }

    package func encode(request: UInt32, into output: inout OutputBuffer) {
        let place = output.zeroBytes(OutputBuffer.checkedSize)
        output.setChecked(
            at: place, request: request, decision: decision.rawValue, reason: reason.rawValue,
            freshness: freshness.rawValue,
            sequence: sequence)
    }
}

/// The answer to `checkPurposes` or `checkSubjects`: two disjoint bitsets; what is in neither is unknown.
package struct CheckedSet: Equatable, Sendable {
    package var freshness: Freshness
    package var sequence: UInt64
    /// Purposes: bits of the bitset are purpose bits. Subjects: positions in the request.
    package var granted: [UInt64]
    package var denied: [UInt64]

    package init(freshness: Freshness, sequence: UInt64, granted: [UInt64], denied: [UInt64]) {
        self.freshness = freshness
        self.sequence = sequence
        self.granted = granted
        self.denied = denied
    }

    package func decision(_ position: Int) -> Decision {
        if granted[position >> 6] >> UInt64(position & 63) & 1 == 1 { return .granted }
        return denied[position >> 6] >> UInt64(position & 63) & 1 == 1 ? .denied : .unknown
    }

    /// Reads the answer to `checkPurposes`.
    package init(purposesIn frame: Frame) throws(AnswerError) {
        let words = unsafe Int(frame.word >> 8)
        guard (1...WireLimit.purposeWordsMax).contains(words) else { throw AnswerError(.checkedPurposes) }
        try unsafe self.init(frame, words: words, .checkedPurposes)
    }

    /// Reads the answer to `checkSubjects` about `count` subjects.
    package init(subjectsIn frame: Frame, count: Int) throws(AnswerError) {
        guard unsafe Int(frame.word >> 16) == count, unsafe frame.word & 0xFF00 == 0 else {
            throw AnswerError(.checkedSubjects)
        }
        try unsafe self.init(frame, words: (count + 63) / 64, .checkedSubjects)
        let unused = UInt64(words64: count & 63)
        guard count & 63 == 0 || (granted.last! | denied.last!) & ~unused == 0 else {
            throw AnswerError(.checkedSubjects)
        }
    }

    private init(_ frame: Frame, words: Int, _ opcode: Opcode) throws(AnswerError) {
        var reader = unsafe ByteReader(frame.payload)
        sequence = unsafe reader.u64()
        granted = unsafe reader.words(words)
        denied = unsafe reader.words(words)
        guard let freshness = unsafe Freshness(rawValue: UInt8(truncatingIfNeeded: frame.word)),
            unsafe reader.isComplete, unsafe frame.flags == 0, unsafe frame.argument == 0,
            zip(granted, denied).allSatisfy({ $0 & $1 == 0 })
        else { throw AnswerError(opcode) }
        self.freshness = freshness
    }

    package func encodePurposes(request: UInt32, into output: inout OutputBuffer) {
        let word = UInt32(freshness.rawValue) | UInt32(granted.count) << 8
        encode(.checkedPurposes, word: word, request: request, into: &output)
    }

    package func encodeSubjects(count: Int, request: UInt32, into output: inout OutputBuffer) {
        let word = UInt32(freshness.rawValue) | UInt32(count) << 16
        encode(.checkedSubjects, word: word, request: request, into: &output)
    }

    private func encode(_ opcode: Opcode, word: UInt32, request: UInt32, into output: inout OutputBuffer) {
        let start = output.beginFrame(opcode, request: request, word: word)
        output.u64(sequence)
        for word in granted { output.u64(word) }
        for word in denied { output.u64(word) }
        output.endFrame(start)
    }
}

extension UInt64 {
    /// A word whose lowest bits are set.
    fileprivate init(words64 bits: Int) { self = bits == 0 ? .max : (1 << UInt64(bits)) - 1 }
}

/// The answer to `explain`.
package struct Explained: Equatable, Sendable {
    package var decision: Decision
    package var reason: ConsentState
    package var freshness: Freshness
    package var basis: LawfulBasis
    package var decidingState: EventState?
    package var sequence: UInt64
    package var expiresAt: Timestamp?
    package var grantedUntil: Timestamp?
    package var decidingSequence: UInt64
    package var decidingCapturedAt: Timestamp?
    package var declaration: String
    package var consentedRevision: String
    package var currentRevision: String
    /// Who the guardian is that the decision hangs on; nil where none is named.
    package var guardian: GuardianMessage?

    package init(
        verdict: Verdict, basis: LawfulBasis, freshness: Freshness, decidingAct: Act?,
        guardian: Guardian? = nil, sequence: UInt64
    ) {
        decision = verdict.decision
        reason = verdict.reason
        self.freshness = freshness
        self.basis = basis
        decidingState = decidingAct?.state
        self.sequence = sequence
        expiresAt = verdict.expiresAt
        grantedUntil = verdict.grantedUntil
        decidingSequence = verdict.decidingSequence ?? 0
        decidingCapturedAt = decidingAct?.capturedAt
        declaration = verdict.consentedRevision?.declaration ?? ""
        consentedRevision = verdict.consentedRevision?.revision ?? ""
        currentRevision = verdict.currentRevision?.revision ?? ""
        self.guardian = guardian.map(GuardianMessage.init)
    }

    package init(_ frame: Frame) throws(AnswerError) {
        var reader = unsafe ByteReader(frame.payload)
        sequence = unsafe reader.u64()
        expiresAt = unsafe Self.moment(reader.time())
        grantedUntil = unsafe Self.moment(reader.time())
        decidingSequence = unsafe reader.u64()
        decidingCapturedAt = unsafe Self.moment(reader.time())
        declaration = unsafe reader.text8()
        consentedRevision = unsafe reader.text8()
        currentRevision = unsafe reader.text8()
        if unsafe frame.flags == 1 {
            guardian = unsafe GuardianMessage(&reader)
            guard guardian != nil else { throw AnswerError(.explained) }
        }
        let stateByte = unsafe UInt8(truncatingIfNeeded: frame.word >> 16)
        decidingState = EventState(rawValue: stateByte)
        guard let decision = unsafe Decision(rawValue: UInt8(truncatingIfNeeded: frame.argument)),
            let reason = unsafe ConsentState(rawValue: UInt8(frame.argument >> 8)), reason.decision == decision,
            let freshness = unsafe Freshness(rawValue: UInt8(truncatingIfNeeded: frame.word)),
            let basis = unsafe LawfulBasis(rawValue: UInt8(truncatingIfNeeded: frame.word >> 8)),
            stateByte == 0 || decidingState != nil,
            unsafe frame.word >> 24 == 0, unsafe frame.flags <= 1, unsafe reader.isComplete
        else { throw AnswerError(.explained) }
        self.decision = decision
        self.reason = reason
        self.freshness = freshness
        self.basis = basis
    }

    private static func moment(_ millis: Int64) -> Timestamp? { millis == 0 ? nil : Timestamp(millis: millis) }

    package func encode(request: UInt32, into output: inout OutputBuffer) {
        let word =
            UInt32(freshness.rawValue) | UInt32(basis.rawValue) << 8 | UInt32(decidingState?.rawValue ?? 0) << 16
        let argument = UInt16(decision.rawValue) | UInt16(reason.rawValue) << 8
        let start = output.beginFrame(
            .explained, flags: guardian == nil ? 0 : 1, argument: argument, request: request, word: word)
        output.u64(sequence)
        output.time(expiresAt?.millis)
        output.time(grantedUntil?.millis)
        output.u64(decidingSequence)
        output.time(decidingCapturedAt?.millis)
        output.text8(declaration)
        output.text8(consentedRevision)
        output.text8(currentRevision)
        guardian?.encode(into: &output)
        output.endFrame(start)
    }
}

/// What became of one event of a `record`.
package struct Outcome: Equatable, Sendable {
    /// Nil: recorded.
    package var refusal: ErrorCode?
    /// The event was in the ledger already; this is its first answer again.
    package var isDuplicate = false
    package var sequence: UInt64
    package var message: String

    package init(sequence: UInt64, isDuplicate: Bool = false) {
        self.sequence = sequence
        self.isDuplicate = isDuplicate
        message = ""
    }

    package init(refusal: ErrorCode, message: String) {
        self.refusal = refusal
        sequence = 0
        self.message = message
    }
}

package struct Recorded: Equatable, Sendable {
    package var head: UInt64
    package var outcomes: [Outcome]

    package init(head: UInt64, outcomes: [Outcome]) {
        self.head = head
        self.outcomes = outcomes
    }

    package init(_ frame: Frame) throws(AnswerError) {
        var reader = unsafe ByteReader(frame.payload)
        head = unsafe reader.u64()
        outcomes = []
        for _ in unsafe 0..<frame.argument {
            let code = unsafe reader.u16()
            let flags = unsafe reader.u8()
            let reserved = unsafe reader.u8()
            var outcome = unsafe Outcome(sequence: reader.u64(), isDuplicate: flags & 1 != 0)
            outcome.message = unsafe reader.text16()
            outcome.refusal = ErrorCode(rawValue: code)
            guard code == 0 || outcome.refusal != nil, reserved == 0, flags & ~1 == 0, unsafe reader.isIntact else {
                throw AnswerError(.recorded)
            }
            outcomes.append(outcome)
        }
        guard unsafe reader.isComplete, unsafe frame.word == 0, unsafe frame.flags == 0 else {
            throw AnswerError(.recorded)
        }
    }

    package func encode(request: UInt32, into output: inout OutputBuffer) {
        let start = output.beginFrame(.recorded, argument: UInt16(outcomes.count), request: request)
        output.u64(head)
        for outcome in outcomes {
            output.u16(outcome.refusal?.rawValue ?? 0)
            output.u8(outcome.isDuplicate ? 1 : 0)
            output.u8(0)
            output.u64(outcome.sequence)
            output.text16(outcome.message)
        }
        output.endFrame(start)
    }
}

package struct CatalogApplied: Equatable, Sendable {
    package var isDryRun: Bool
    package var catalogVersion: UInt32
    package var sequence: UInt64
    package var changes: [String]

    package init(isDryRun: Bool, catalogVersion: UInt32, sequence: UInt64, changes: [String]) {
        self.isDryRun = isDryRun
        self.catalogVersion = catalogVersion
        self.sequence = sequence
        self.changes = changes
    }

    package init(_ frame: Frame) throws(AnswerError) {
        var reader = unsafe ByteReader(frame.payload)
        isDryRun = unsafe frame.flags & 1 != 0
        catalogVersion = unsafe frame.word
        sequence = unsafe reader.u64()
        changes = []
        for _ in unsafe 0..<frame.argument where unsafe reader.isIntact { changes.append(unsafe reader.text16()) }
        guard unsafe reader.isComplete, unsafe frame.flags & ~1 == 0 else { throw AnswerError(.appliedCatalog) }
    }

    package func encode(request: UInt32, into output: inout OutputBuffer) {
        let start = output.beginFrame(
            .appliedCatalog, flags: isDryRun ? 1 : 0, argument: UInt16(changes.count), request: request,
            word: catalogVersion)
        output.u64(sequence)
        for change in changes { output.text16(change) }
        output.endFrame(start)
    }
}

package struct HistoryPage: Equatable, Sendable {
    package var hasMore: Bool
    package var head: UInt64
    package var events: [RecordedEventMessage]
    /// What linked and unlinked identifiers, where that was asked for.
    package var links: [RecordedLinkMessage]

    package init(
        hasMore: Bool, head: UInt64, events: [RecordedEventMessage], links: [RecordedLinkMessage] = []
    ) {
        self.hasMore = hasMore
        self.head = head
        self.events = events
        self.links = links
    }

    /// The sequence that the page ends with; nil for an empty one.
    package var last: UInt64? { [events.last?.sequence, links.last?.sequence].compactMap { $0 }.max() }

    package init(_ frame: Frame) throws(AnswerError) {
        var reader = unsafe ByteReader(frame.payload)
        hasMore = unsafe frame.flags & 1 != 0
        head = unsafe reader.u64()
        events = []
        for _ in unsafe 0..<frame.argument {
            guard let event = unsafe RecordedEventMessage(&reader) else { throw AnswerError(.historyPage) }
            events.append(event)
        }
        links = []
        for _ in unsafe 0..<frame.word {
            guard let link = unsafe RecordedLinkMessage(&reader) else { throw AnswerError(.historyPage) }
            links.append(link)
        }
        guard unsafe reader.isComplete, unsafe frame.flags & ~1 == 0 else { throw AnswerError(.historyPage) }
    }

    package func encode(request: UInt32, into output: inout OutputBuffer) {
        let start = output.beginFrame(
            .historyPage, flags: hasMore ? 1 : 0, argument: UInt16(events.count), request: request,
            word: UInt32(links.count))
        output.u64(head)
        for event in events { event.encode(into: &output) }
        for link in links { link.encode(into: &output) }
        output.endFrame(start)
    }
}

/// The purposes of the applied catalog, as far as a client needs them to ask.
package struct CatalogPurposes: Equatable, Sendable {
    package var catalogVersion: UInt32
    package var digest: [UInt8]
    package var purposes: [Entry]

    package struct Entry: Equatable, Sendable {
        package var bit: UInt16
        package var basis: LawfulBasis
        /// Bit 0 active, 1 explicit, 2 double opt-in, 3 profiling, 4 direct marketing, 5 sharing.
        package var flags: UInt8
        package var id: String
        package var controller: String

        package init(bit: UInt16, basis: LawfulBasis, flags: UInt8, id: String, controller: String) {
            self.bit = bit
            self.basis = basis
            self.flags = flags
            self.id = id
            self.controller = controller
        }

        package init(_ purpose: Purpose) {
            let flags = [
                purpose.isActive, purpose.requiresExplicit, purpose.requiresDoubleOptIn, purpose.isProfiling,
                purpose.isDirectMarketing, purpose.isSharing,
            ]
            self.init(
                bit: UInt16(purpose.bit), basis: purpose.basis,
                flags: flags.enumerated().reduce(0) { $1.element ? $0 | 1 << UInt8($1.offset) : $0 },
                id: purpose.id, controller: purpose.controller)
        }

        package var isActive: Bool { flags & 1 != 0 }
    }

    package init(catalogVersion: UInt32, digest: [UInt8], purposes: [Entry]) {
        self.catalogVersion = catalogVersion
        self.digest = digest
        self.purposes = purposes
    }

    package init(_ frame: Frame) throws(AnswerError) {
        var reader = unsafe ByteReader(frame.payload)
        catalogVersion = unsafe frame.word
        digest = unsafe reader.array(32)
        purposes = []
        for _ in unsafe 0..<frame.argument {
            let bit = unsafe reader.u16()
            let basis = unsafe LawfulBasis(rawValue: reader.u8())
            let flags = unsafe reader.u8()
            let id = unsafe reader.text8()
            let controller = unsafe reader.text8()
            guard let basis, flags & 0xC0 == 0, unsafe reader.isIntact else { throw AnswerError(.catalogPurposes) }
            purposes.append(Entry(bit: bit, basis: basis, flags: flags, id: id, controller: controller))
        }
        guard unsafe reader.isComplete, unsafe frame.flags == 0 else { throw AnswerError(.catalogPurposes) }
    }

    package func encode(request: UInt32, into output: inout OutputBuffer) {
        let start = output.beginFrame(
            .catalogPurposes, argument: UInt16(purposes.count), request: request, word: catalogVersion)
        output.bytes(digest)
        for purpose in purposes {
            output.u16(purpose.bit)
            output.u8(purpose.basis.rawValue)
            output.u8(purpose.flags)
            output.text8(purpose.id)
            output.text8(purpose.controller)
        }
        output.endFrame(start)
    }
}

package struct CatalogText: Equatable, Sendable {
    package var catalogVersion: UInt32
    package var document: String

    package init(catalogVersion: UInt32, document: String) {
        self.catalogVersion = catalogVersion
        self.document = document
    }

    package init(_ frame: Frame) throws(AnswerError) {
        var reader = unsafe ByteReader(frame.payload)
        catalogVersion = unsafe frame.word
        document = unsafe reader.restText()
        guard unsafe reader.isComplete, unsafe frame.flags == 0, unsafe frame.argument == 0 else {
            throw AnswerError(.catalogText)
        }
    }

    package func encode(request: UInt32, into output: inout OutputBuffer) {
        let start = output.beginFrame(.catalogText, request: request, word: catalogVersion)
        output.utf8(document)
        output.endFrame(start)
    }
}

package struct StatisticValues: Equatable, Sendable {
    package var values: [Value]

    package struct Value: Equatable, Sendable {
        package var name: String
        package var value: UInt64

        package init(_ name: String, _ value: UInt64) {
            self.name = name
            self.value = value
        }
    }

    package init(values: [Value]) { self.values = values }

    package init(_ frame: Frame) throws(AnswerError) {
        var reader = unsafe ByteReader(frame.payload)
        values = []
        for _ in unsafe 0..<frame.argument where unsafe reader.isIntact {
            values.append(unsafe Value(reader.text8(), reader.u64()))
        }
        guard unsafe reader.isComplete, unsafe frame.flags == 0, unsafe frame.word == 0 else {
            throw AnswerError(.statisticValues)
        }
    }

    package func encode(request: UInt32, into output: inout OutputBuffer) {
        let start = output.beginFrame(.statisticValues, argument: UInt16(values.count), request: request)
        for value in values {
            output.text8(value.name)
            output.u64(value.value)
        }
        output.endFrame(start)
    }
}

/// `goingAway` and `catalogChanged`: nothing but the header's word.
package enum Push {
    package static func encode(_ opcode: Opcode, word: UInt32, into output: inout OutputBuffer) {
        output.endFrame(output.beginFrame(opcode, request: 0, word: word))
    }
}

/// `error`: a request that failed, on the wire.
package struct ErrorAnswer: Equatable, Sendable {
    /// Nil for a code of a later version.
    package var code: ErrorCode?
    package var codeNumber: UInt16
    package var detail: UInt32
    package var message: String

    package init(_ error: WireError) {
        code = error.code
        codeNumber = error.code.rawValue
        detail = error.detail
        message = error.message
    }

    package init(_ frame: Frame) throws(AnswerError) {
        var reader = unsafe ByteReader(frame.payload)
        codeNumber = unsafe frame.argument
        code = unsafe ErrorCode(rawValue: frame.argument)
        detail = unsafe frame.word
        message = unsafe reader.text16()
        guard unsafe reader.isComplete, unsafe frame.flags == 0 else { throw AnswerError(.error) }
    }

    package func encode(request: UInt32, into output: inout OutputBuffer) {
        let start = output.beginFrame(.error, argument: codeNumber, request: request, word: detail)
        output.text16(message)
        output.endFrame(start)
    }
}
