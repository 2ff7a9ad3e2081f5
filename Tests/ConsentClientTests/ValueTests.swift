import ConsentModel
import Testing

@testable import ConsentClient

@Suite struct ValueTests {
    @Test func wordsAreThoseOfTheModel() {
        func expectSame<Public: Vocabulary, Model: NamedInSnakeCase>(_ type: Public.Type, _ model: Model.Type) {
            #expect(Public.allCases.map(\.rawValue) == Model.allCases.map(\.rawValue))
            #expect(Public.allCases.map(\.name) == Model.allCases.map(\.name))
            #expect(Public.allCases.allSatisfy { Public(name: $0.name) == $0 })
        }
        expectSame(ConsentClient::Decision.self, ConsentModel.Decision.self)
        expectSame(Reason.self, ConsentState.self)
        expectSame(ConsentClient::Freshness.self, ConsentModel.Freshness.self)
        expectSame(State.self, EventState.self)
        expectSame(ConsentClient::LawfulBasis.self, ConsentModel.LawfulBasis.self)
        expectSame(ConsentClient::EvidenceMethod.self, ConsentModel.EvidenceMethod.self)
        expectSame(ConsentClient::Party.self, ConsentModel.Party.self)
        expectSame(ConsentClient::GuardianRelation.self, ConsentModel.GuardianRelation.self)
        expectSame(ConsentClient::IdentifierType.self, ConsentModel.IdentifierType.self)
    }

    @Test(arguments: [
        ("localhost:7100", "localhost:7100"), ("127.0.0.1:1", "127.0.0.1:1"), ("[::1]:65535", "[::1]:65535"),
        ("unix:/run/consentd.sock", "unix:/run/consentd.sock"), ("/run/consentd.sock", "unix:/run/consentd.sock"),
    ])
    func endpointsAreReadFromText(_ text: String, _ description: String) {
        #expect(Endpoint(text)?.description == description)
    }

    @Test(arguments: [
        "", "localhost", ":7100", "localhost:", "localhost:0", "localhost:65536", "::1:80", "unix:", "[]:1",
    ])
    func otherTextsAreNoEndpoints(_ text: String) { #expect(Endpoint(text) == nil) }

    @Test func subjectsKeepWhatTheCallerHas() throws {
        let subject = try Subject("email: Kari@Example.NO ")
        #expect(subject.type == .email && subject.value == " Kari@Example.NO ")
        #expect(try Subject("loyalty_card:1:2") == .loyaltyCard("1:2"))
        #expect("\(try Subject.phone("0047 90000000"))" == "phone:0047 90000000")
    }

    @Test(arguments: [
        "", "kari@example.no", "fax:1", "email:", "email:  ", "customer:a\u{7}", "phone:-", "phone:90000000",
    ])
    func otherTextsAreNoSubjects(_ text: String) {
        #expect(throws: ConsentClientError.self) { try Subject(text) }
        #expect(throws: ConsentClientError.self) { try Subject.customer(String(repeating: "a", count: 256)) }
    }

    @Test func subjectsAreComparedByteForByte() throws {
        #expect(try Subject.customer("\u{E5}") != Subject.customer("a\u{30A}"))
    }

    @Test func keysAreReadAsTheyAreWritten() {
        let key = ConsentClient::IdempotencyKey.random()
        #expect(ConsentClient::IdempotencyKey("\(key)") == key)
        #expect(ConsentClient::IdempotencyKey(String(repeating: "0", count: 32)) == nil)
        #expect(ConsentClient::IdempotencyKey("+" + String(repeating: "1", count: 31)) == nil)
        #expect(ConsentClient::IdempotencyKey("12") == nil)
    }

    @Test func momentsAreReadAsTheyAreWritten() {
        #expect(Moment("2026-11-22T10:15:30.250Z").map { "\($0)" } == "2026-11-22T10:15:30.250Z")
        #expect(Moment("yesterday") == nil)
    }
}
