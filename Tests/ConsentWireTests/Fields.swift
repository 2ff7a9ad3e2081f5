import ConsentModel
import ConsentTestSupport
import ConsentWire

// What a vector calls its fields, out of and into the values of the code. The conventions stand in the vectors' README.

struct NotInDefinition: Error, CustomStringConvertible {
    var description: String
}

extension Json {
    static func decimal(_ number: some FixedWidthInteger) -> Json { .text("\(number)") }
    static func small(_ number: some FixedWidthInteger) -> Json { .number(Int(number)) }
    static func named(_ value: some NamedInSnakeCase) -> Json { .text(value.name) }
    static func hex(_ bytes: [UInt8]) -> Json { .text(bytes.hex) }

    static func words(_ words: [UInt64]) -> Json {
        .array(
            words.map { word in
                let digits = String(word, radix: 16)
                return .text(String(repeating: "0", count: 16 - digits.count) + digits)
            })
    }

    func named<Value: NamedInSnakeCase>(_: Value.Type = Value.self) throws -> Value {
        let name = try text
        guard let value = Value(name: name) else { throw NotInDefinition(description: "no \(Value.self) '\(name)'") }
        return value
    }

    func errorCode() throws -> ErrorCode {
        let name = try text
        guard let code = ErrorCode.allCases.first(where: { "\($0)" == name }) else {
            throw NotInDefinition(description: "no error code '\(name)'")
        }
        return code
    }

    var bytes: [UInt8] { get throws { try [UInt8](hex: text) } }
    var words: [UInt64] { get throws { try array.map { UInt64(try $0.text, radix: 16)! } } }
    var id16: ID16 { get throws { ID16(bytes: try bytes) } }

    /// With every `{"repeat":x,"count":n}` written out: elements of what is a list in the definition, else characters.
    var expanded: Json { get throws { try expanded(isList: false) } }

    private func expanded(isList: Bool) throws -> Json {
        switch self {
        case .array(let values): return .array(try values.map { try $0.expanded })
        case .object(let fields):
            guard let piece = optional("repeat") else {
                let lists = ["identifiers", "events"]
                var expanded: [String: Json] = [:]
                for (name, value) in fields { expanded[name] = try value.expanded(isList: lists.contains(name)) }
                return .object(expanded)
            }
            let count = try self["count"].number(Int.self)
            if !isList { return .text(String(repeating: try piece.text, count: count)) }
            return .array(Array(repeating: piece, count: count))
        default: return self
        }
    }

    func with(_ name: String, _ value: Json) throws -> Json {
        var fields = try object
        fields[name] = value
        return .object(fields)
    }
}

extension Opcode {
    static func named(_ name: String) throws -> Opcode {
        guard let opcode = allCases.first(where: { "\($0)" == name }) else {
            throw NotInDefinition(description: "no opcode '\(name)'")
        }
        return opcode
    }
}

extension EventMessage {
    init(_ fields: Json) throws {
        self.init(purposeBit: try fields["purpose"].number(), state: try fields["state"].named())
        let keyBytes = try fields["key"].bytes
        key = keyBytes.allSatisfy { $0 == 0 } ? nil : IdempotencyKey(vectorBytes: keyBytes)
        method = try fields["method"].named()
        party = try fields["party"].named()
        isExplicit = try fields["express"].bool
        let age = try fields["age"].number(UInt8.self)
        subjectAge = age == 255 ? nil : age
        capturedAt = try fields["capturedAt"].number()
        expiresAt = try fields["expiresAt"].number()
        declaration = try fields["declaration"].text
        revision = try fields["revision"].text
        language = try fields["language"].text
        system = try fields["system"].text
        channel = try fields["channel"].text
        form = try fields["form"].text
        actor = try fields["actor"].text
        evidence = try fields["evidence"].text
        identifiers = try fields["identifiers"].array.map {
            NamedValue(
                typeByte: try $0["type"].named(IdentifierType.self).rawValue, value: try $0["value"].text)
        }
        guardian = try fields.optional("guardian").map(GuardianMessage.init)
    }

    var fields: Json {
        .object([
            "key": .hex(key?.vectorBytes ?? [UInt8](repeating: 0, count: 16)), "purpose": .small(purposeBit),
            "state": .named(state), "method": .named(method), "party": .named(party), "express": .bool(isExplicit),
            "age": .small(subjectAge ?? 255), "capturedAt": .decimal(capturedAt), "expiresAt": .decimal(expiresAt),
            "declaration": .text(declaration), "revision": .text(revision), "language": .text(language),
            "system": .text(system), "channel": .text(channel), "form": .text(form), "actor": .text(actor),
            "evidence": .text(evidence),
            "identifiers": .array(
                identifiers.map { identifier in
                    .object([
                        "type": IdentifierType(rawValue: identifier.typeByte).map(Json.named) ?? .null,
                        "value": .text(identifier.value),
                    ])
                }),
            "guardian": guardian?.fields ?? .null,
        ])
    }
}

extension GuardianMessage {
    init(_ fields: Json) throws {
        self.init(
            try fields["relation"].named(), typeByte: try fields["type"].named(IdentifierType.self).rawValue,
            value: try fields["value"].text)
    }

    var fields: Json {
        .object([
            "relation": .named(relation), "type": IdentifierType(rawValue: typeByte).map(Json.named) ?? .null,
            "value": .text(value),
        ])
    }
}

extension IdempotencyKey {
    /// The bytes as they stand on the wire.
    fileprivate init(vectorBytes bytes: [UInt8]) {
        func word(_ start: Int) -> UInt64 { bytes[start..<start + 8].reduce(0) { $0 << 8 | UInt64($1) } }
        self.init(high: word(0), low: word(8))
    }

    fileprivate var vectorBytes: [UInt8] {
        [high, low].flatMap { word in (0..<8).map { UInt8(truncatingIfNeeded: word >> UInt64(56 - 8 * $0)) } }
    }
}

extension RecordedEventMessage {
    fileprivate init(_ fields: Json) throws {
        let recorded = RecordedEvent(
            sequence: try fields["sequence"].number(), subject: 0,
            recordedAt: Timestamp(millis: try fields["recordedAt"].number()),
            event: ConsentEvent(identifiers: [], purpose: "", state: .given), refersTo: try fields["refersTo"].number(),
            hash: try fields["hash"].bytes)
        self.init(recorded, purposeBit: 0)
        event = try EventMessage(fields["event"])
    }

    fileprivate var fields: Json {
        .object([
            "sequence": .decimal(sequence), "recordedAt": .decimal(recordedAt), "refersTo": .decimal(refersTo),
            "hash": .hex(hash), "event": event.fields,
        ])
    }
}

extension CatalogPurposes.Entry {
    private static let flagNames = ["active", "explicit", "doubleOptIn", "profiling", "directMarketing", "sharing"]

    fileprivate init(_ fields: Json) throws {
        var flags: UInt8 = 0
        for (bit, name) in Self.flagNames.enumerated() where try fields[name].bool { flags |= 1 << UInt8(bit) }
        self.init(
            bit: try fields["bit"].number(), basis: try fields["basis"].named(), flags: flags,
            id: try fields["id"].text, controller: try fields["controller"].text)
    }

    fileprivate var fields: Json {
        var fields: [String: Json] = [
            "bit": .small(bit), "basis": .named(basis), "id": .text(id), "controller": .text(controller),
        ]
        for (bit, name) in Self.flagNames.enumerated() { fields[name] = .bool(flags >> UInt8(bit) & 1 == 1) }
        return .object(fields)
    }
}

extension Outcome {
    fileprivate init(_ fields: Json) throws {
        if let code = fields.optional("code") {
            self.init(refusal: try code.errorCode(), message: "")
        } else {
            self.init(sequence: 0)
        }
        isDuplicate = try fields["repeated"].bool
        sequence = try fields["sequence"].number()
        message = try fields["message"].text
    }

    fileprivate var fields: Json {
        .object([
            "code": refusal.map { .text("\($0)") } ?? .null, "repeated": .bool(isDuplicate),
            "sequence": .decimal(sequence), "message": .text(message),
        ])
    }
}

// MARK: Requests

/// The bytes of a request with these fields; nil where the code only writes identifiers in normal form and this is none.
func encodedRequest(_ opcode: Opcode, _ fields: Json) throws -> [UInt8]? {
    var output = OutputBuffer(capacity: 64)
    let request = try fields["request"].number(UInt32.self)
    switch opcode {
    case .hello:
        var hello = Hello()
        hello.versionMin = try fields["versionMin"].number()
        hello.versionMax = try fields["versionMax"].number()
        hello.deployment = try fields["deployment"].id16
        hello.clientName = try fields["clientName"].text
        hello.clientVersion = try fields["clientVersion"].text
        hello.token = Array(try fields["token"].text.utf8)
        hello.encode(request: request, into: &output)
    case .ping: PingRequest(echo: try fields["echo"].number()).encode(request: request, into: &output)
    case .check, .explain:
        guard let identifier = try normalIdentifier(fields) else { return nil }
        CheckRequest.encode(
            opcode, purposeBit: try fields["purpose"].number(), identifier: identifier, request: request, into: &output)
    case .checkPurposes:
        guard let identifier = try normalIdentifier(fields) else { return nil }
        CheckPurposesRequest.encode(
            purposes: try fields["purposes"].words, identifier: identifier, request: request, into: &output)
    case .checkSubjects:
        CheckSubjectsRequest.encode(
            purposeBit: try fields["purpose"].number(), type: try fields["type"].named(),
            values: try fields["identifiers"].array.map { try $0.text }, request: request, into: &output)
    case .record:
        let events = try fields["events"].array.map(EventMessage.init)
        RecordRequest(events: events).encode(request: request, into: &output)
    case .applyCatalog:
        let document = try fields["document"].text
        ApplyCatalogRequest(document: document, isDryRun: try fields["dryRun"].bool)
            .encode(request: request, into: &output)
    case .history:
        guard let identifier = try normalIdentifier(fields) else { return nil }
        HistoryRequest(
            identifier: identifier, after: try fields["after"].number(), countMax: try fields["limit"].number(),
            wantsLinks: try fields["links"].bool
        ).encode(request: request, into: &output)
    case .countGranted:
        CountGrantedRequest(purpose: try fields["purpose"].text, except: try fields["except"].text)
            .encode(request: request, into: &output)
    case .people: try PeopleQuestion(fields).encode(request: request, into: &output)
    case .enforcement:
        EnforcementRequest(sequence: try fields["sequence"].number()).encode(request: request, into: &output)
    case .erase:
        guard let identifier = try normalIdentifier(fields) else { return nil }
        EraseRequest.encode(
            type: identifier.type, value: identifier.value, reason: try fields["reason"].named(),
            actor: try fields["actor"].text, request: request, into: &output)
    case .accessLog:
        let question = try AccessLogQuestion(fields)
        guard fields.optional("type") != nil else {
            question.encode(type: nil, value: "", request: request, into: &output)
            break
        }
        guard let identifier = try normalIdentifier(fields) else { return nil }
        question.encode(type: identifier.type, value: identifier.value, request: request, into: &output)
    case .readAs:
        ReadAsRequest.encode(
            AccessReader(actor: try fields["actor"].text, client: try fields["client"].text),
            try fields["frame"].bytes, request: request, into: &output)
    case .link:
        guard let identifier = try normalIdentifier(fields), let person = try normalPerson(fields) else { return nil }
        LinkIdentifierRequest.encode(
            type: identifier.type, value: identifier.value, personType: person.type, person: person.value,
            actor: try fields["actor"].text, request: request, into: &output)
    case .unlink:
        guard let identifier = try normalIdentifier(fields) else { return nil }
        UnlinkIdentifierRequest.encode(
            type: identifier.type, value: identifier.value, actor: try fields["actor"].text, request: request,
            into: &output)
    case .issueToken:
        guard let identifier = try normalIdentifier(fields) else { return nil }
        IssueTokenRequest.encode(
            type: identifier.type, value: identifier.value,
            purposes: try fields["purposes"].array.map { try $0.text }, request: request, into: &output)
    case .confirmToken: try ConfirmTokenRequest(fields).encode(request: request, into: &output)
    case .prove:
        ProveRequest(try fields["kind"].named(), of: try fields["sequence"].number())
            .encode(request: request, into: &output)
    case .catalog, .catalogDocument, .statistics, .status, .checkpoint:
        BareRequest.encode(opcode, request: request, into: &output)
    default: throw NotInDefinition(description: "\(opcode) is no request")
    }
    return Array(output.bytes)
}

private func normalIdentifier(_ fields: Json) throws -> Identifier? {
    let value = try fields["identifier"].text
    let identifier = try Identifier(type: fields["type"].named(), value: value)
    return Array(identifier.value.utf8) == Array(value.utf8) ? identifier : nil
}

private func normalPerson(_ fields: Json) throws -> Identifier? {
    let value = try fields["person"].text
    let identifier = try Identifier(type: fields["personType"].named(), value: value)
    return Array(identifier.value.utf8) == Array(value.utf8) ? identifier : nil
}

/// The fields that the server's decoder finds, identifiers in normal form.
func decodedRequest(_ opcode: Opcode, _ frame: Frame) throws -> Json {
    var fields: [String: Json] = ["request": .small(frame.request)]
    func identify(_ field: IdentifierField) {
        fields["type"] = .named(field.type)
        fields["identifier"] = .text(String(decoding: field.value, as: UTF8.self))
    }
    switch opcode {
    case .hello:
        let hello = try Hello(frame)
        fields["versionMin"] = .small(hello.versionMin)
        fields["versionMax"] = .small(hello.versionMax)
        fields["deployment"] = .hex(hello.deployment.bytes)
        fields["clientName"] = .text(hello.clientName)
        fields["clientVersion"] = .text(hello.clientVersion)
        fields["token"] = .text(String(decoding: hello.token, as: UTF8.self))
    case .ping: fields["echo"] = .decimal(try PingRequest(frame).echo)
    case .check, .explain:
        let check = try CheckRequest(frame)
        fields["purpose"] = .small(check.purposeBit)
        identify(try check.identifier())
    case .checkPurposes:
        let check = try CheckPurposesRequest(frame)
        fields["purposes"] = .words(
            (0..<check.words).map { word in
                UInt64(littleEndian: check.purposes.loadUnaligned(fromByteOffset: word * 8, as: UInt64.self))
            })
        identify(try check.identifier())
    case .checkSubjects:
        var check = try CheckSubjectsRequest(frame)
        fields["purpose"] = .small(check.purposeBit)
        var values: [Json] = []
        for position in 0..<check.count {
            identify(try check.nextIdentifier(position: position))
            values.append(fields["identifier"]!)
        }
        fields["identifier"] = nil
        fields["identifiers"] = .array(values)
    case .record: fields["events"] = .array(try RecordRequest(frame).events.map(\.fields))
    case .applyCatalog:
        let apply = try ApplyCatalogRequest(frame)
        fields["document"] = .text(apply.document)
        fields["dryRun"] = .bool(apply.isDryRun)
    case .history:
        let history = try HistoryRequest(frame)
        fields["after"] = .decimal(history.after)
        fields["limit"] = .small(history.countMax)
        fields["links"] = .bool(history.wantsLinks)
        fields["type"] = .named(history.identifier.type)
        fields["identifier"] = .text(history.identifier.value)
    case .countGranted:
        let count = try CountGrantedRequest(frame)
        fields["purpose"] = .text(count.purpose)
        fields["except"] = .text(count.except)
    case .people: fields.merge(try PeopleQuestion(frame).fields) { first, _ in first }
    case .enforcement: fields["sequence"] = .decimal(try EnforcementRequest(frame).sequence)
    case .erase:
        let erase = try EraseRequest(frame)
        fields["reason"] = .named(erase.reason)
        fields["actor"] = .text(erase.actor)
        fields["type"] = .named(erase.identifier.type)
        fields["identifier"] = .text(erase.identifier.value)
    case .accessLog: fields.merge(try AccessLogQuestion(frame).fields) { first, _ in first }
    case .readAs:
        let inner = Array(frame.payload)
        let read = try ReadAsRequest(frame)
        _ = try decodedRequest(Opcode(rawValue: read.inner.opcode)!, read.inner)
        fields["actor"] = .text(read.reader.actor)
        fields["client"] = .text(read.reader.client)
        fields["frame"] = .hex(Array(inner.suffix(read.inner.size)))
    case .link:
        let link = try LinkIdentifierRequest(frame)
        fields["actor"] = .text(link.actor)
        fields["type"] = .named(link.identifier.type)
        fields["identifier"] = .text(link.identifier.value)
        fields["personType"] = .named(link.person.type)
        fields["person"] = .text(link.person.value)
    case .unlink:
        let unlink = try UnlinkIdentifierRequest(frame)
        fields["actor"] = .text(unlink.actor)
        fields["type"] = .named(unlink.identifier.type)
        fields["identifier"] = .text(unlink.identifier.value)
    case .issueToken:
        let issue = try IssueTokenRequest(frame)
        fields["purposes"] = .array(issue.purposes.map(Json.text))
        fields["type"] = .named(issue.identifier.type)
        fields["identifier"] = .text(issue.identifier.value)
    case .confirmToken: fields.merge(try ConfirmTokenRequest(frame).fields) { first, _ in first }
    case .prove:
        let asked = try ProveRequest(frame)
        fields["kind"] = .named(asked.kind)
        fields["sequence"] = .decimal(asked.sequence)
    case .catalog, .catalogDocument, .statistics, .status, .checkpoint: try BareRequest.decode(frame)
    default: throw NotInDefinition(description: "\(opcode) is no request")
    }
    return .object(fields)
}

// MARK: Answers and pushes

func encodedAnswer(_ opcode: Opcode, _ fields: Json) throws -> [UInt8] {
    var output = OutputBuffer(capacity: 64)
    let request = try fields["request"].number(UInt32.self)
    switch opcode {
    case .welcome: try welcome(fields).encode(request: request, into: &output)
    case .pong: Pong(echo: try fields["echo"].number()).encode(request: request, into: &output)
    case .checked:
        Checked(
            decision: try fields["decision"].named(), reason: try fields["reason"].named(),
            freshness: try fields["freshness"].named(), sequence: try fields["sequence"].number()
        ).encode(request: request, into: &output)
    case .checkedPurposes: try checkedSet(fields).encodePurposes(request: request, into: &output)
    case .checkedSubjects:
        try checkedSet(fields).encodeSubjects(count: fields["count"].number(), request: request, into: &output)
    case .explained: try explained(fields).encode(request: request, into: &output)
    case .recorded:
        Recorded(head: try fields["head"].number(), outcomes: try fields["outcomes"].array.map(Outcome.init))
            .encode(request: request, into: &output)
    case .appliedCatalog:
        CatalogApplied(
            isDryRun: try fields["dryRun"].bool, catalogVersion: try fields["version"].number(),
            sequence: try fields["sequence"].number(), changes: try fields["changes"].array.map { try $0.text }
        ).encode(request: request, into: &output)
    case .historyPage:
        HistoryPage(
            hasMore: try fields["more"].bool, head: try fields["head"].number(),
            events: try fields["events"].array.map(RecordedEventMessage.init),
            links: try fields["links"].array.map(RecordedLinkMessage.init)
        ).encode(request: request, into: &output)
    case .catalogPurposes:
        CatalogPurposes(
            catalogVersion: try fields["version"].number(), digest: try fields["digest"].bytes,
            purposes: try fields["purposes"].array.map(CatalogPurposes.Entry.init)
        ).encode(request: request, into: &output)
    case .catalogText:
        CatalogText(catalogVersion: try fields["version"].number(), document: try fields["document"].text)
            .encode(request: request, into: &output)
    case .statisticValues:
        StatisticValues(
            values: try fields["values"].array.map { .init(try $0["name"].text, try $0["value"].number()) }
        ).encode(request: request, into: &output)
    case .grantedCount:
        GrantedCount(
            sequence: try fields["sequence"].number(), granted: try fields["granted"].number(),
            known: try fields["known"].number()
        ).encode(request: request, into: &output)
    case .nodeStatus: try NodeStatus(fields).encode(request: request, into: &output)
    case .enforcedBy: try EnforcedBy(fields).encode(request: request, into: &output)
    case .peoplePage:
        FoundPeople(
            hasMore: try fields["more"].bool, head: try fields["head"].number(), next: try fields["next"].number(),
            people: try fields["people"].array.map { try FoundPerson($0) }
        ).encode(request: request, into: &output)
    case .accessPage: try FoundAccesses(fields).encode(request: request, into: &output)
    case .checkpointed: ProofText(try fields["document"].text).encode(opcode, request: request, into: &output)
    case .proved:
        ProofText(try fields["document"].text, hasMore: try fields["more"].bool)
            .encode(opcode, request: request, into: &output)
    case .erased: try Erased(fields).encode(request: request, into: &output)
    case .linked, .unlinked: try LinkOutcome(fields).encode(opcode, request: request, into: &output)
    case .tokenIssued: try TokenIssued(fields).encode(request: request, into: &output)
    case .tokenConfirmed: try TokenConfirmed(fields).encode(request: request, into: &output)
    case .goingAway: Push.encode(opcode, word: try fields["millis"].number(), into: &output)
    case .catalogChanged: Push.encode(opcode, word: try fields["version"].number(), into: &output)
    case .error:
        ErrorAnswer(
            WireError(
                try fields["code"].errorCode(), detail: try fields["detail"].number(), try fields["message"].text)
        ).encode(request: request, into: &output)
    default: throw NotInDefinition(description: "\(opcode) is no answer")
    }
    return Array(output.bytes)
}

private func welcome(_ fields: Json) throws -> Welcome {
    var welcome = Welcome()
    welcome.version = try fields["version"].number()
    welcome.versionMin = try fields["versionMin"].number()
    welcome.versionMax = try fields["versionMax"].number()
    welcome.catalogVersion = try fields["catalogVersion"].number()
    welcome.sequence = try fields["sequence"].number()
    welcome.deployment = try fields["deployment"].id16
    welcome.history = try fields["history"].id16
    welcome.frameSizeMax = try fields["frameSizeMax"].number()
    welcome.requestsInFlightMax = try fields["requestsInFlightMax"].number()
    welcome.subjectsPerCheckMax = try fields["subjectsPerCheckMax"].number()
    welcome.eventsPerRecordMax = try fields["eventsPerRecordMax"].number()
    welcome.serverName = try fields["serverName"].text
    welcome.serverVersion = try fields["serverVersion"].text
    return welcome
}

private func checkedSet(_ fields: Json) throws -> CheckedSet {
    CheckedSet(
        freshness: try fields["freshness"].named(), sequence: try fields["sequence"].number(),
        granted: try fields["granted"].words, denied: try fields["denied"].words)
}

private func explained(_ fields: Json) throws -> Explained {
    func moment(_ name: String) throws -> Timestamp? {
        let millis = try fields[name].number(Int64.self)
        return millis == 0 ? nil : Timestamp(millis: millis)
    }
    var verdict = Verdict(reason: try fields["reason"].named())
    verdict.expiresAt = try moment("expiresAt")
    verdict.grantedUntil = try moment("grantedUntil")
    verdict.decidingSequence = try fields["decidingSequence"].number()
    var explained = Explained(
        verdict: verdict, basis: try fields["basis"].named(), freshness: try fields["freshness"].named(),
        decidingAct: nil, sequence: try fields["sequence"].number())
    explained.decision = try fields["decision"].named()
    explained.decidingState = try fields.optional("decidingState")?.named()
    explained.decidingCapturedAt = try moment("decidingCapturedAt")
    explained.declaration = try fields["declaration"].text
    explained.consentedRevision = try fields["consentedRevision"].text
    explained.currentRevision = try fields["currentRevision"].text
    explained.guardian = try fields.optional("guardian").map(GuardianMessage.init)
    return explained
}

/// The fields that the client's decoder finds.
///
/// - Parameter count: of the subjects that `checkedSubjects` answers for.
func decodedAnswer(_ opcode: Opcode, _ frame: Frame, subjects count: Int) throws -> Json {
    var fields: [String: Json] = ["request": .small(frame.request)]
    switch opcode {
    case .welcome:
        let welcome = try Welcome(frame)
        fields["version"] = .small(welcome.version)
        fields["versionMin"] = .small(welcome.versionMin)
        fields["versionMax"] = .small(welcome.versionMax)
        fields["catalogVersion"] = .small(welcome.catalogVersion)
        fields["sequence"] = .decimal(welcome.sequence)
        fields["deployment"] = .hex(welcome.deployment.bytes)
        fields["history"] = .hex(welcome.history.bytes)
        fields["frameSizeMax"] = .small(welcome.frameSizeMax)
        fields["requestsInFlightMax"] = .small(welcome.requestsInFlightMax)
        fields["subjectsPerCheckMax"] = .small(welcome.subjectsPerCheckMax)
        fields["eventsPerRecordMax"] = .small(welcome.eventsPerRecordMax)
        fields["serverName"] = .text(welcome.serverName)
        fields["serverVersion"] = .text(welcome.serverVersion)
    case .pong: fields["echo"] = .decimal(try Pong(frame).echo)
    case .checked:
        let checked = try Checked(frame)
        fields["decision"] = .named(checked.decision)
        fields["reason"] = .named(checked.reason)
        fields["freshness"] = .named(checked.freshness)
        fields["sequence"] = .decimal(checked.sequence)
    case .checkedPurposes: put(try CheckedSet(purposesIn: frame), into: &fields)
    case .checkedSubjects:
        put(try CheckedSet(subjectsIn: frame, count: count), into: &fields)
        fields["count"] = .small(count)
    case .explained: put(try Explained(frame), into: &fields)
    case .recorded:
        let recorded = try Recorded(frame)
        fields["head"] = .decimal(recorded.head)
        fields["outcomes"] = .array(recorded.outcomes.map(\.fields))
    case .appliedCatalog:
        let applied = try CatalogApplied(frame)
        fields["dryRun"] = .bool(applied.isDryRun)
        fields["version"] = .small(applied.catalogVersion)
        fields["sequence"] = .decimal(applied.sequence)
        fields["changes"] = .array(applied.changes.map(Json.text))
    case .historyPage:
        let page = try HistoryPage(frame)
        fields["more"] = .bool(page.hasMore)
        fields["head"] = .decimal(page.head)
        fields["events"] = .array(page.events.map(\.fields))
        fields["links"] = .array(page.links.map(\.fields))
    case .catalogPurposes:
        let catalog = try CatalogPurposes(frame)
        fields["version"] = .small(catalog.catalogVersion)
        fields["digest"] = .hex(catalog.digest)
        fields["purposes"] = .array(catalog.purposes.map(\.fields))
    case .catalogText:
        let text = try CatalogText(frame)
        fields["version"] = .small(text.catalogVersion)
        fields["document"] = .text(text.document)
    case .statisticValues:
        fields["values"] = .array(
            try StatisticValues(frame).values.map { .object(["name": .text($0.name), "value": .decimal($0.value)]) })
    case .grantedCount:
        let count = try GrantedCount(frame)
        fields["sequence"] = .decimal(count.sequence)
        fields["granted"] = .decimal(count.granted)
        fields["known"] = .decimal(count.known)
    case .nodeStatus: fields.merge(try NodeStatus(frame).fields) { first, _ in first }
    case .enforcedBy: fields.merge(try EnforcedBy(frame).fields) { first, _ in first }
    case .peoplePage:
        let page = try FoundPeople(frame)
        fields["more"] = .bool(page.hasMore)
        fields["head"] = .decimal(page.head)
        fields["next"] = .decimal(page.next)
        fields["people"] = .array(page.people.map(\.fields))
    case .accessPage: fields.merge(try FoundAccesses(frame).fields) { first, _ in first }
    case .checkpointed: fields["document"] = .text(try ProofText(frame, opcode).document)
    case .proved:
        let text = try ProofText(frame, opcode)
        fields["document"] = .text(text.document)
        fields["more"] = .bool(text.hasMore)
    case .erased: fields.merge(try Erased(frame).fields) { first, _ in first }
    case .linked, .unlinked: fields.merge(try LinkOutcome(frame, opcode).fields) { first, _ in first }
    case .tokenIssued: fields.merge(try TokenIssued(frame).fields) { first, _ in first }
    case .tokenConfirmed: fields.merge(try TokenConfirmed(frame).fields) { first, _ in first }
    case .goingAway: fields["millis"] = .small(frame.word)
    case .catalogChanged: fields["version"] = .small(frame.word)
    case .error:
        let error = try ErrorAnswer(frame)
        fields["code"] = error.code.map { .text("\($0)") } ?? .null
        fields["detail"] = .small(error.detail)
        fields["message"] = .text(error.message)
    default: throw NotInDefinition(description: "\(opcode) is no answer")
    }
    return .object(fields)
}

private func put(_ set: CheckedSet, into fields: inout [String: Json]) {
    fields["freshness"] = .named(set.freshness)
    fields["sequence"] = .decimal(set.sequence)
    fields["granted"] = .words(set.granted)
    fields["denied"] = .words(set.denied)
}

private func put(_ explained: Explained, into fields: inout [String: Json]) {
    fields["decision"] = .named(explained.decision)
    fields["reason"] = .named(explained.reason)
    fields["freshness"] = .named(explained.freshness)
    fields["basis"] = .named(explained.basis)
    fields["decidingState"] = explained.decidingState.map(Json.named) ?? .null
    fields["sequence"] = .decimal(explained.sequence)
    fields["expiresAt"] = .decimal(explained.expiresAt?.millis ?? 0)
    fields["grantedUntil"] = .decimal(explained.grantedUntil?.millis ?? 0)
    fields["decidingSequence"] = .decimal(explained.decidingSequence)
    fields["decidingCapturedAt"] = .decimal(explained.decidingCapturedAt?.millis ?? 0)
    fields["declaration"] = .text(explained.declaration)
    fields["consentedRevision"] = .text(explained.consentedRevision)
    fields["currentRevision"] = .text(explained.currentRevision)
    fields["guardian"] = explained.guardian?.fields ?? .null
}
