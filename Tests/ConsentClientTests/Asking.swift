import ConsentModel
import ConsentWire

@testable import ConsentClient

/// A catalog with a purpose for every bit that a bitset can hold, named p0 to p959.
let allPurposes = PurposeTable(
    CatalogPurposes(
        catalogVersion: 7, digest: [UInt8](repeating: 0, count: 32),
        purposes: (0..<960).map {
            CatalogPurposes.Entry(bit: UInt16($0), basis: .consent, flags: 1, id: "p\($0)", controller: "c")
        }))

let someSubject = Subject(trustedType: .customer, value: "C-1")

/// An event that needs nothing more to be sent.
let someEvent = OutgoingEvent(purpose: "p3", message: EventMessage(purposeBit: 0, state: .withdrawn))

extension Conversation {
    /// One that has been welcomed.
    static func open(nextRequest: UInt32 = 1) -> Conversation {
        var conversation = Conversation(Hello(), nextRequest: nextRequest)
        let request = [UInt8](conversation.output.bytes).u32(at: 8)
        conversation.clearOutput()
        _ = conversation.feed(written { Welcome().encode(request: request, into: &$0) })
        return conversation
    }

    /// One that has been welcomed and asked, with the given id, what this answer would answer if it were right.
    static func awaiting(_ answer: [UInt8]) -> Conversation {
        let request = answer.count >= 12 ? answer.u32(at: 8) : 1
        if answer.count > 4, answer[4] == Opcode.welcome.rawValue {
            return Conversation(Hello(), nextRequest: request)
        }
        // Hello takes the id before, and none is zero.
        var conversation = open(nextRequest: request <= 1 ? .max : request - 1)
        _ = conversation.ask(Request(answeredBy: answer))
        return conversation
    }

    mutating func feed(_ bytes: [UInt8]) -> [Event] { bytes.withUnsafeBytes { receive($0) } }

    mutating func ask(_ request: Request) -> UInt32 { try! send(request, purposes: allPurposes) }
}

extension Request {
    /// The request to which a frame with this header can be the answer.
    init(answeredBy answer: [UInt8]) {
        guard answer.count >= 16 else {
            self = .check(someSubject, purpose: "p3")
            return
        }
        let (argument, word) = (Int(answer.u16(at: 6)), answer.u32(at: 12))
        switch Opcode(rawValue: answer[4]) {
        case .pong:
            let echo = answer.count >= 24 ? UInt64(answer.u32(at: 16)) | UInt64(answer.u32(at: 20)) << 32 : 0
            self = .ping(echo: echo)
        case .checkedPurposes:
            let words = min(max(Int(word >> 8 & 0xFF), 1), 15)
            self = .checkPurposes(someSubject, purposes: (0..<words * 64).map { "p\($0)" })
        case .checkedSubjects:
            let count = max(Int(word >> 16), 1)
            self = .checkSubjects(Array(repeating: someSubject, count: count)[...], purpose: "p3")
        case .explained: self = .explain(someSubject, purpose: "p3")
        case .recorded: self = .record(Array(repeating: someEvent, count: min(max(argument, 1), 4096))[...])
        case .appliedCatalog: self = .applyCatalog("", isDryRun: answer[5] & 1 == 1)
        case .historyPage: self = .history(someSubject, after: 0, withLinks: true)
        case .catalogPurposes: self = .catalog
        case .catalogText: self = .catalogDocument
        case .statisticValues: self = .statistics
        case .nodeStatus: self = .status
        case .enforcedBy:
            let sequence =
                answer.count >= 24 ? UInt64(answer.u32(at: 16)) | UInt64(answer.u32(at: 20)) << 32 : 0
            self = .enforcement(sequence: sequence)
        case .grantedCount: self = .countGranted(CountGrantedRequest(purpose: "p3", except: ""))
        case .peoplePage: self = .people(PeopleQuestion(.audience))
        case .checkpointed: self = .checkpoint
        case .accessPage: self = .accessLog(AccessLogQuestion(), about: nil)
        case .proved: self = .prove(ProveRequest(.event, of: 1))
        case .erased: self = .erase(someSubject, reason: .unlawful, actor: "")
        case .linked: self = .link(someSubject, to: someSubject, actor: "")
        case .unlinked: self = .unlink(someSubject, actor: "")
        case .tokenIssued: self = .issueToken(someSubject, purposes: ["p3"])
        case .tokenConfirmed: self = .confirmToken(ConfirmTokenRequest(token: ""))
        default: self = .check(someSubject, purpose: "p3")
        }
    }
}
