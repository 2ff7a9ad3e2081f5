import ConsentModel
import ConsentWire

/// A request as a caller means it: purposes by name. They become bits when it is sent, by the catalog of the server that
/// it is sent to, so that a request which is repeated on another connection cannot ask about another purpose.
enum Request: Sendable {
    case ping(echo: UInt64)
    case check(Subject, purpose: String)
    case checkPurposes(Subject, purposes: [String])
    /// All of one type.
    case checkSubjects(ArraySlice<Subject>, purpose: String)
    case explain(Subject, purpose: String)
    case record(ArraySlice<OutgoingEvent>)
    case applyCatalog(String, isDryRun: Bool)
    case history(Subject, after: UInt64, withLinks: Bool)
    case catalog
    case catalogDocument
    case statistics
    case status
    case enforcement(sequence: UInt64)
    case countGranted(CountGrantedRequest)
    case people(PeopleQuestion)
    case checkpoint
    case prove(ProveRequest)
    case accessLog(AccessLogQuestion, about: Subject?)
    case erase(Subject, reason: ConsentModel.ErasureReason, actor: String)
    case link(Subject, to: Subject, actor: String)
    case unlink(Subject, actor: String)
    case issueToken(Subject, purposes: [String])
    case confirmToken(ConfirmTokenRequest)

    /// How often it may be sent again when a connection ended before its answer.
    enum Repetition {
        case never
        case once
        case always
    }

    var repetition: Repetition {
        switch self {
        case .record: .always
        case .applyCatalog: .never
        // Taken off already, it would be somebody's alone, and refused.
        case .unlink: .never
        // A token counts once: the second time it would be refused, whatever the first one did.
        case .confirmToken: .never
        // The second time it only says what the first one did.
        case .erase: .once
        default: .once
        }
    }

    /// Whether the server's access log holds it.
    var isRead: Bool {
        switch self {
        case .explain, .history, .people, .prove, .accessLog: true
        default: false
        }
    }

    /// Whether the server counts it against requestsInFlightMax.
    var isCounted: Bool {
        switch self {
        case .ping, .check, .checkPurposes, .checkSubjects: false
        default: true
        }
    }
}

/// An event on its way out. The bit in its message is filled in when it is sent.
struct OutgoingEvent: Sendable {
    var purpose: String
    var message: EventMessage
    /// What is wrong with a time that the message cannot say.
    var unsayable: ErrorCode?

    init(purpose: String, message: EventMessage) {
        self.purpose = purpose
        self.message = message
    }

    /// Whether it means something else behind a later act: it counts as done when it arrives, or it names the act before it.
    var needsOrder: Bool { message.capturedAt == 0 || message.state == .confirmed }

    /// Bytes on the wire.
    var size: Int {
        let texts = [
            message.declaration, message.revision, message.language, message.system, message.channel, message.form,
            message.actor,
        ]
        return 44 + texts.reduce(2 + message.evidence.utf8.count) { $0 + 1 + $1.utf8.count }
            + message.identifiers.reduce(0) { $0 + 2 + $1.value.utf8.count }
            + (message.guardian.map { 3 + $0.value.utf8.count } ?? 0)
    }
}

/// What must be true of the answer to a request that was sent.
enum Expectation {
    case pong(echo: UInt64)
    case checked
    case checkedPurposes(bits: [Int], mask: [UInt64])
    case checkedSubjects(count: Int)
    case explained
    case recorded(count: Int)
    case appliedCatalog(isDryRun: Bool)
    case historyPage
    case catalogPurposes
    case catalogText
    case statisticValues
    case nodeStatus
    case enforcedBy(sequence: UInt64)
    case grantedCount
    case peoplePage(after: UInt64)
    case erased
    case linked
    case unlinked
    case tokenIssued
    case tokenConfirmed
    case checkpointed
    case proved
    case accessPage(after: UInt64)
}

/// No purpose of the catalog has this name.
struct UnknownPurpose: Error {
    var name: String
}

extension Request {
    /// - Throws: nothing is written then.
    func encode(
        request id: UInt32, purposes: PurposeTable, into output: inout OutputBuffer
    ) throws(UnknownPurpose) -> Expectation {
        switch self {
        case .ping(let echo):
            PingRequest(echo: echo).encode(request: id, into: &output)
            return .pong(echo: echo)
        case .check(let subject, let purpose):
            encode(.check, subject, bit: try purposes.bit(of: purpose), request: id, into: &output)
            return .checked
        case .explain(let subject, let purpose):
            encode(.explain, subject, bit: try purposes.bit(of: purpose), request: id, into: &output)
            return .explained
        case .checkPurposes(let subject, let names):
            return try encode(subject, names, request: id, purposes: purposes, into: &output)
        case .checkSubjects(let subjects, let purpose):
            let bit = try purposes.bit(of: purpose)
            // The caller never makes an empty request, and all subjects of one have one type.
            let type = ConsentModel.IdentifierType(subjects.first!.type)
            CheckSubjectsRequest.encode(
                purposeBit: bit, type: type, values: subjects.lazy.map(\.value), request: id, into: &output)
            return .checkedSubjects(count: subjects.count)
        case .record(let events):
            return try encode(events, request: id, purposes: purposes, into: &output)
        case .applyCatalog(let document, let isDryRun):
            ApplyCatalogRequest(document: document, isDryRun: isDryRun).encode(request: id, into: &output)
            return .appliedCatalog(isDryRun: isDryRun)
        case .history(let subject, let after, let withLinks):
            let start = output.beginFrame(
                .history, flags: withLinks ? 1 : 0, request: id, word: UInt32(subject.type.rawValue))
            output.u64(after)
            output.utf8(subject.value)
            output.endFrame(start)
            return .historyPage
        case .catalog:
            BareRequest.encode(.catalog, request: id, into: &output)
            return .catalogPurposes
        case .catalogDocument:
            BareRequest.encode(.catalogDocument, request: id, into: &output)
            return .catalogText
        case .statistics:
            BareRequest.encode(.statistics, request: id, into: &output)
            return .statisticValues
        case .status:
            BareRequest.encode(.status, request: id, into: &output)
            return .nodeStatus
        case .enforcement(let sequence):
            EnforcementRequest(sequence: sequence).encode(request: id, into: &output)
            return .enforcedBy(sequence: sequence)
        case .countGranted(let count):
            count.encode(request: id, into: &output)
            return .grantedCount
        case .people(let question):
            question.encode(request: id, into: &output)
            return .peoplePage(after: question.after)
        case .checkpoint:
            BareRequest.encode(.checkpoint, request: id, into: &output)
            return .checkpointed
        case .prove(let asked):
            asked.encode(request: id, into: &output)
            return .proved
        case .accessLog(let question, let subject):
            question.encode(
                type: subject.map { ConsentModel.IdentifierType($0.type) }, value: subject?.value ?? "", request: id,
                into: &output)
            return .accessPage(after: question.after)
        case .erase(let subject, let reason, let actor):
            EraseRequest.encode(
                type: ConsentModel.IdentifierType(subject.type), value: subject.value, reason: reason, actor: actor,
                request: id, into: &output)
            return .erased
        case .link(let subject, let person, let actor):
            LinkIdentifierRequest.encode(
                type: ConsentModel.IdentifierType(subject.type), value: subject.value,
                personType: ConsentModel.IdentifierType(person.type), person: person.value, actor: actor, request: id,
                into: &output)
            return .linked
        case .unlink(let subject, let actor):
            UnlinkIdentifierRequest.encode(
                type: ConsentModel.IdentifierType(subject.type), value: subject.value, actor: actor, request: id,
                into: &output)
            return .unlinked
        case .issueToken(let subject, let purposes):
            IssueTokenRequest.encode(
                type: ConsentModel.IdentifierType(subject.type), value: subject.value, purposes: purposes, request: id,
                into: &output)
            return .tokenIssued
        case .confirmToken(let confirmation):
            confirmation.encode(request: id, into: &output)
            return .tokenConfirmed
        }
    }

    // Written here and not with the codec's own, which take an identifier in normal form: a client sends what it has.
    private func encode(
        _ opcode: Opcode, _ subject: Subject, bit: UInt16, request id: UInt32, into output: inout OutputBuffer
    ) {
        let start = output.beginFrame(opcode, argument: bit, request: id, word: UInt32(subject.type.rawValue))
        output.utf8(subject.value)
        output.endFrame(start)
    }

    private func encode(
        _ subject: Subject, _ names: [String], request id: UInt32, purposes: PurposeTable,
        into output: inout OutputBuffer
    ) throws(UnknownPurpose) -> Expectation {
        var bits: [Int] = []
        var mask: [UInt64] = [0]
        for name in names {
            let bit = Int(try purposes.bit(of: name))
            // A bitset has no place for it, so no check can be about it.
            guard bit < WireLimit.purposeWordsMax * 64 else { throw UnknownPurpose(name: name) }
            bits.append(bit)
            while mask.count <= bit >> 6 { mask.append(0) }
            mask[bit >> 6] |= 1 << UInt64(bit & 63)
        }
        let word = UInt32(subject.type.rawValue) | UInt32(mask.count) << 8
        let start = output.beginFrame(.checkPurposes, request: id, word: word)
        for word in mask { output.u64(word) }
        output.utf8(subject.value)
        output.endFrame(start)
        return .checkedPurposes(bits: bits, mask: mask)
    }

    private func encode(
        _ events: ArraySlice<OutgoingEvent>, request id: UInt32, purposes: PurposeTable,
        into output: inout OutputBuffer
    ) throws(UnknownPurpose) -> Expectation {
        var messages: [EventMessage] = []
        messages.reserveCapacity(events.count)
        for event in events {
            var message = event.message
            message.purposeBit = try purposes.bit(of: event.purpose)
            messages.append(message)
        }
        RecordRequest(events: messages).encode(request: id, into: &output)
        return .recorded(count: messages.count)
    }
}

extension ConsentModel.IdentifierType {
    init(_ type: IdentifierType) { self = ConsentModel.IdentifierType(rawValue: type.rawValue)! }
}
