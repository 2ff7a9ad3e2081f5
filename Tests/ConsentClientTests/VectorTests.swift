import ConsentModel
import ConsentWire
import Testing

@testable import ConsentClient

@Suite struct VectorTests {
    @Test func vectorsAreThere() {
        #expect(Vectors.forClient.count > 1000)
        #expect(Vectors.answers.count > 150)
        #expect(Vectors.requests.count > 200)
    }

    @Test func brokenAnswersAreProtocolFailuresAndGrantNothing() {
        for vector in Vectors.forClient where vector.kind == "broken" {
            var conversation = Conversation.awaiting(vector.bytes)
            let events = conversation.feed(vector.bytes)
            guard events.count == 1, case .broken = events[0] else {
                Issue.record("\(vector) gave \(events)")
                continue
            }
            // Nothing behind it is read.
            #expect(conversation.feed(vector.bytes).isEmpty)
        }
    }

    @Test func incompleteAnswersAreWaitedFor() {
        for vector in Vectors.forClient where vector.kind == "incomplete" {
            var conversation = Conversation.awaiting(vector.bytes)
            #expect(conversation.feed(vector.bytes).isEmpty, "\(vector)")
        }
    }

    @Test func validAnswersDecodeToTheirFields() {
        for vector in Vectors.answers where !vector.isPart {
            // As the one answer to what was asked, and as a push or an error of the connection as a whole.
            var conversation = Conversation.awaiting(vector.bytes)
            let events = conversation.feed(vector.bytes)
            #expect(events.count == 1, "\(vector)")
            expect(events.first, hasFieldsOf: vector)
        }
    }

    @Test func answersThatComeByteByByteAreTheSame() {
        for vector in Vectors.answers where vector.bytes.count < 2000 && !vector.isPart {
            var conversation = Conversation.awaiting(vector.bytes)
            var events: [Conversation.Event] = []
            for byte in vector.bytes {
                #expect(events.isEmpty, "\(vector)")
                events += conversation.feed([byte])
            }
            expect(events.first, hasFieldsOf: vector)
        }
    }

    @Test func aPartOfAnAnswerIsWaitedOn() throws {
        for vector in Vectors.answers where vector.isPart {
            var conversation = Conversation.awaiting(vector.bytes)
            #expect(conversation.feed(vector.bytes).isEmpty, "\(vector)")
            let document = try #require((Vectors.expand(vector.fields) as? [String: Any])?["document"] as? String)
            var last = vector.bytes
            last[5] = 0
            guard case .answered(_, .proved(let text))? = conversation.feed(vector.bytes + last).first else {
                Issue.record("\(vector)")
                continue
            }
            #expect(text.document == String(repeating: document, count: 3) && !text.hasMore)
        }
        let parts = Vectors.answers.filter(\.isPart)
        #expect(!parts.isEmpty)
    }

    private func expect(_ event: Conversation.Event?, hasFieldsOf vector: Vectors.Vector) {
        guard var fields = event?.fields else {
            Issue.record("\(vector) gave \(String(describing: event))")
            return
        }
        switch event {
        // Judged already: a pong that brings back anything else is a protocol failure.
        case .answered(_, .pong): fields["echo"] = vector.fields["echo"]
        case .welcomed: fields["request"] = vector.fields["request"]
        default: break
        }
        #expect(Vectors.canonical(fields) == Vectors.canonical(vector.fields), "\(vector)")
    }

    @Test func validRequestsEncodeToTheirBytes() throws {
        var count = 0
        for vector in Vectors.requests {
            let fields = Vectors.expand(vector.fields) as! [String: Any]
            let id = UInt32(fields["request"] as! Int)
            let bytes: [UInt8]
            if vector.opcode == .hello {
                bytes = written { Hello(fields: fields).encode(request: id, into: &$0) }
            } else {
                guard let request = Request(vector.opcode!, fields) else { continue }
                var output = OutputBuffer(capacity: 256)
                _ = try request.encode(request: id, purposes: allPurposes, into: &output)
                bytes = Array(output.bytes)
            }
            count += 1
            #expect(bytes == vector.bytes, "\(vector)")
        }
        #expect(count > Vectors.requests.count * 3 / 4)
    }
}

extension Vectors.Vector {
    /// Whether another frame has the rest of the answer.
    fileprivate var isPart: Bool { opcode == .proved && fields["more"] as? Bool == true }
}

extension Hello {
    fileprivate init(fields: [String: Any]) {
        self.init()
        versionMin = UInt16(fields["versionMin"] as! Int)
        versionMax = UInt16(fields["versionMax"] as! Int)
        deployment = ID16(hex: fields["deployment"] as! String)!
        clientName = fields["clientName"] as! String
        clientVersion = fields["clientVersion"] as! String
        token = Array((fields["token"] as! String).utf8)
    }
}

extension Request {
    /// Nil for what this client never sends: a limit of a history, or a bitset that is longer than it need be.
    fileprivate init?(_ opcode: Opcode, _ fields: [String: Any]) {
        func subject(_ value: Any?) -> Subject {
            Subject(trustedType: IdentifierType(name: fields["type"] as! String)!, value: value as! String)
        }
        func purpose() -> String { "p\(fields["purpose"] as! Int)" }
        switch opcode {
        case .ping: self = .ping(echo: UInt64(fields["echo"] as! String)!)
        case .check, .explain:
            guard (fields["purpose"] as! Int) < 960 else { return nil }
            let asked = subject(fields["identifier"])
            self = opcode == .check ? .check(asked, purpose: purpose()) : .explain(asked, purpose: purpose())
        case .checkPurposes:
            let words = (fields["purposes"] as! [String]).map { UInt64($0, radix: 16)! }
            guard words.count == 1 || words.last != 0 else { return nil }
            let bits = (0..<words.count * 64).filter { words[$0 >> 6] >> UInt64($0 & 63) & 1 == 1 }
            self = .checkPurposes(subject(fields["identifier"]), purposes: bits.map { "p\($0)" })
        case .checkSubjects:
            guard (fields["purpose"] as! Int) < 960 else { return nil }
            self = .checkSubjects((fields["identifiers"] as! [String]).map(subject)[...], purpose: purpose())
        case .record:
            let events = (fields["events"] as! [[String: Any]]).map(OutgoingEvent.init(fields:))
            guard events.allSatisfy({ allPurposes.contains($0.purpose) }) else { return nil }
            self = .record(events[...])
        case .applyCatalog:
            self = .applyCatalog(fields["document"] as! String, isDryRun: fields["dryRun"] as! Bool)
        case .history:
            guard fields["limit"] as! Int == 0 else { return nil }
            self = .history(
                subject(fields["identifier"]), after: UInt64(fields["after"] as! String)!,
                withLinks: fields["links"] as! Bool)
        case .catalog: self = .catalog
        case .catalogDocument: self = .catalogDocument
        case .statistics: self = .statistics
        case .status: self = .status
        case .checkpoint: self = .checkpoint
        case .accessLog:
            guard fields["limit"] as! Int == 0 else { return nil }
            var question = AccessLogQuestion()
            question.after = UInt64(fields["after"] as! String)!
            func moment(_ name: String) -> Timestamp? {
                let millis = Int64(fields[name] as! String)!
                return millis == 0 ? nil : Timestamp(millis: millis)
            }
            (question.since, question.until) = (moment("since"), moment("until"))
            question.actor = fields["actor"] as! String
            let hasSubject = fields["type"] is String
            self = .accessLog(question, about: hasSubject ? subject(fields["identifier"]) : nil)
        case .prove:
            let kind = ConsentModel.ProofKind(name: fields["kind"] as! String)!
            self = .prove(ProveRequest(kind, of: UInt64(fields["sequence"] as! String)!))
        case .link:
            let person = Subject(
                trustedType: IdentifierType(name: fields["personType"] as! String)!, value: fields["person"] as! String)
            self = .link(subject(fields["identifier"]), to: person, actor: fields["actor"] as! String)
        case .unlink: self = .unlink(subject(fields["identifier"]), actor: fields["actor"] as! String)
        case .issueToken:
            self = .issueToken(subject(fields["identifier"]), purposes: fields["purposes"] as! [String])
        case .confirmToken:
            var confirmation = ConfirmTokenRequest(token: fields["token"] as! String)
            confirmation.guardian = guardian(in: fields).map { GuardianMessage($0) }
            confirmation.source.system = fields["system"] as! String
            confirmation.source.channel = fields["channel"] as! String
            confirmation.source.form = fields["form"] as! String
            confirmation.actor = fields["actor"] as! String
            self = .confirmToken(confirmation)
        case .enforcement: self = .enforcement(sequence: UInt64(fields["sequence"] as! String)!)
        default: return nil
        }
    }
}

extension OutgoingEvent {
    fileprivate init(fields: [String: Any]) {
        func text(_ name: String) -> String { fields[name] as! String }
        let identifiers = fields["identifiers"] as! [[String: Any]]
        var act = ConsentAct(
            identifiers.map {
                Subject(trustedType: IdentifierType(name: $0["type"] as! String)!, value: $0["value"] as! String)
            }, purpose: "p\(fields["purpose"] as! Int)", state: State(name: text("state"))!)
        act.key = IdempotencyKey(text("key"))
        act.method = EvidenceMethod(name: text("method"))!
        act.party = Party(name: text("party"))!
        act.isExplicit = fields["express"] as! Bool
        let age = fields["age"] as! Int
        act.subjectAge = age == 255 ? nil : age
        act.capturedAt = Moment(wireMillis: Int64(text("capturedAt"))!)
        act.expiresAt = Moment(wireMillis: Int64(text("expiresAt"))!)
        act.declaration = text("declaration")
        act.revision = text("revision")
        act.language = text("language")
        act.system = text("system")
        act.channel = text("channel")
        act.form = text("form")
        act.actor = text("actor")
        act.evidence = text("evidence")
        act.guardian = guardian(in: fields)
        self.init(act)
    }
}

/// Nil where they name none.
private func guardian(in fields: [String: Any]) -> ConsentClient::Guardian? {
    guard let named = fields["guardian"] as? [String: String] else { return nil }
    return .init(
        .init(name: named["relation"]!)!,
        Subject(trustedType: IdentifierType(name: named["type"]!)!, value: named["value"]!))
}
