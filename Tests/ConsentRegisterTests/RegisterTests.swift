import ConsentModel
import Testing

@testable import ConsentRegister

@Suite struct RegisterTests {
    static let proof = "declaration,revision,language,method,captured_at"
    static let proved = "club,1.1,nb,ticked_box,2025-03-14T10:22:05Z"

    @Test func rowBecomesOneEventPerPurpose() throws {
        let register = try readRegister(
            """
            Email;CUSTOMER;Purpose;State;captured at;expires_at;declaration;revision;language;method;explicit;party;\
            age;system;channel;form;actor;evidence;list-source
            Kari@Example.no;100001;newsletter | sms|newsletter;Given;2025-03-14T10:22:05+01:00;2027-01-01;club;1.1;nb;\
            ticked_box;JA;guardian;41;crm;web;join;till 4;"said ""yes"", twice";own

            """)
        #expect(register.rejections.isEmpty)
        #expect(register.events.map(\.purpose) == ["newsletter", "sms"])
        let event = try #require(register.events.first)
        #expect(event.identifiers.map(\.text) == ["customer:100001", "email:kari@example.no"])
        #expect(event.state == .given)
        #expect(event.capturedAt == Timestamp(iso8601: "2025-03-14T09:22:05Z"))
        #expect(event.expiresAt == Timestamp(iso8601: "2027-01-01"))
        #expect(event.revision == RevisionName(declaration: "club", revision: "1.1"))
        #expect(event.language == "nb" && event.method == .tickedBox && event.isExplicit)
        #expect(event.party == .guardian && event.subjectAge == 41)
        #expect(event.source == EventSource(system: "crm", channel: "web", form: "join"))
        #expect(event.actor == "till 4" && event.evidence == "said \"yes\", twice")
        #expect(register.summary.acceptedCount == 1 && register.summary.eventCount == 2)
    }

    @Test(arguments: [
        ("club,,nb,ticked_box,2025-01-01"), (",1.1,nb,ticked_box,2025-01-01"), ("club,1.1,nb,,2025-01-01"),
        ("club,1.1,nb,ticked_box,"),
    ])
    func grantWithoutProofAsksAgain(_ proof: String) throws {
        let register = try readRegister(
            "customer,purpose,expires_at,list_source,\(Self.proof)\n1,sms,2030-01-01,own,\(proof)\n"
                + "2,sms,,bought,\(proof)\n3,sms,,bought,\(Self.proved)\n")
        #expect(register.events.map(\.state) == [.requested, .given])
        #expect(register.events[0].expiresAt == nil)
        #expect(register.rules == ["bought_without_proof"])
        #expect(register.rejections.map(\.line) == [3])
        #expect(register.summary.withoutProofCount == 1)
        #expect(register.summary.acceptedCount == 1)
        #expect(register.summary.rejectedCounts == ["bought_without_proof": 1])
        #expect(register.summary.worthlessShare == 2.0 / 3)
    }

    @Test func requestFromABoughtListNeedsProofToo() throws {
        let register = try readRegister("customer,purpose,state,list_source\n1,sms,requested,bought\n")
        #expect(register.rules == ["bought_without_proof"])
    }

    /// The newest capture decides, so an undated "yes" must not be newer than a "no" that the ledger holds.
    @Test func undatedActCountsAsOlderThanEverythingUnlessItTakesAway() throws {
        let states = "requested,deferred,given,objection_lifted,confirmed,withdrawn,refused,objected"
        let rows = states.split(separator: ",").map { "1,sms,\($0)\n" }.joined()
        let register = try readRegister("customer,purpose,state\n" + rows)
        #expect(register.events.map(\.capturedAt?.millis) == [0, 0, 0, 0, 0, nil, nil, nil])
    }

    @Test func takingConsentAwayIsNeverRejectedForItsEvidence() throws {
        let register = try readRegister(
            "customer,purpose,state,method,explicit,age,expires_at,list_source\n"
                + "1,sms,withdrawn,fax,maybe,old,never,found\n2,sms,refused,preticked,,,,bought\n")
        #expect(register.rejections.isEmpty)
        #expect(register.events.map(\.state) == [.withdrawn, .refused])
        #expect(register.events[0].method == .none)
    }

    struct Rejected: Sendable {
        var row: String
        var rule: String
        init(_ row: String, _ rule: String) {
            self.row = row
            self.rule = rule
        }
    }

    @Test(arguments: [
        Rejected(",, ,sms,,club,1.1,nb,button,2025-01-01,,,,", "identifier_missing"),
        Rejected(
            "\(String(repeating: "9", count: 256)),,,sms,,club,1.1,nb,button,2025-01-01,,,,", "identifier_invalid"),
        Rejected(",,(-),sms,,club,1.1,nb,button,2025-01-01,,,,", "identifier_invalid"),
        Rejected("1\u{7},,,sms,,club,1.1,nb,button,2025-01-01,,,,", "identifier_invalid"),
        Rejected("1,,,,,club,1.1,nb,button,2025-01-01,,,,", "purpose_missing"),
        Rejected("1,,,sms||ads,,club,1.1,nb,button,2025-01-01,,,,", "purpose_missing"),
        Rejected("1,,,a\(String(repeating: "|a", count: 64)),,club,1.1,nb,button,2025-01-01,,,,", "purposes_too_many"),
        Rejected("1,,,sms,active,club,1.1,nb,button,2025-01-01,,,,", "state_unknown"),
        Rejected("1,,,sms,erased,club,1.1,nb,button,2025-01-01,,,,", "state_is_internal"),
        Rejected("1,,,sms,expired,club,1.1,nb,button,2025-01-01,,,,", "state_is_internal"),
        Rejected("1,,,sms,,club,1.1,nb,fax,2025-01-01,,,,", "method_unknown"),
        Rejected("1,,,sms,,club,1.1,nb,preticked,2025-01-01,,,,", "method_is_not_consent"),
        Rejected("1,,,sms,,club,1.1,nb,button,31.12.2024,,,,", "captured_at_invalid"),
        Rejected("1,,,sms,,club,1.1,nb,button,2025-02-29,,,,", "captured_at_invalid"),
        Rejected("1,,,sms,,club,1.1,nb,button,2025-02-28T25:00:00Z,,,,", "captured_at_invalid"),
        Rejected("1,,,sms,withdrawn,club,1.1,nb,button,yesterday,,,,", "captured_at_invalid"),
        Rejected("1,,,sms,,club,1.1,nb,button,2025-01-01,soon,,,", "expires_at_invalid"),
        Rejected("1,,,sms,,club,1.1,nb,button,2025-01-01,2024-12-31,,,", "ends_before_capture"),
        Rejected("1,,,sms,,club,1.1,nb,button,2025-01-01,,perhaps,,", "explicit_unknown"),
        Rejected("1,,,sms,,club,1.1,nb,button,2025-01-01,,,151,", "age_invalid"),
        Rejected("1,,,sms,,club,1.1,nb,button,2025-01-01,,,-1,", "age_invalid"),
        Rejected("1,,,sms,,club,1.1,nb,button,2025-01-01,,,,rented", "list_source_unknown"),
        Rejected("1,,,sms,,\(String(repeating: "c", count: 256)),1.1,nb,button,2025-01-01,,,,", "text_too_long"),
    ])
    func rowIsRejectedByItsRule(_ rejected: Rejected) throws {
        let header =
            "customer,email,phone,purpose,state,declaration,revision,language,method,captured_at,expires_at,"
            + "explicit,age,list_source\n"
        let good = "7,,,sms,given,club,1.1,nb,button,2025-01-01T00:00:00Z,,nei,30,own\n"
        let register = try readRegister(header + good + rejected.row + "\n" + good)
        #expect(register.rules == [rejected.rule])
        #expect(register.rejections.map(\.line) == [3])
        #expect(register.rejections.first?.text == Array(rejected.row.utf8))
        #expect(register.rows.count == 2)
        #expect(register.summary.rejectedCounts == [rejected.rule: 1])
    }

    @Test func headerIsRefusedForWhatItLacksOrHasTooMuchOf() throws {
        #expect {
            try readRegister("name,purpose\n")
        } throws: {
            $0 as? RegisterRefusal == .columnsUnknown(["name"])
        }
        var options = RegisterOptions()
        options.ignoredColumns = ["Name"]
        let refusal = #expect(throws: RegisterRefusal.self) { try readRegister("name,state\n1,2\n", options: options) }
        let message = try #require(refusal?.description)
        #expect(message.contains("identifier column") && message.contains("'purpose'"))
        #expect(message.contains("'name'") && message.contains("'state'"))
        #expect(throws: RegisterRefusal.columnsDuplicate(["email"])) {
            try readRegister("email,purpose, EMAIL ,Email\n")
        }
    }

    @Test func unknownColumnsArePassedOverWhereTheUserSaysSo() throws {
        var options = RegisterOptions()
        options.acceptsUnknownColumns = true
        #expect(try readRegister("name,customer,purpose\nx,1,sms\n", options: options).events.count == 1)
        options.acceptsUnknownColumns = false
        options.ignoredColumns = ["NAME"]
        #expect(try readRegister("name,customer,purpose\nx,1,sms\n", options: options).events.count == 1)
    }

    @Test func refusalStays() {
        var reader = RegisterReader()
        for _ in 0..<2 {
            #expect(throws: RegisterRefusal.columnsUnknown(["x"])) {
                try reader.feed(Array("customer,purpose,x\n1,sms,2\n".utf8)) { _ in Issue.record("a row came out") }
            }
        }
        #expect(throws: RegisterRefusal.columnsUnknown(["x"])) { try reader.finish { _ in } }
    }

    @Test func timesAreReadAsTheModelReadsThem() throws {
        let times = [
            "2025-03-14T10:22:05Z", "2025-03-14T10:22:05+02:00", "2025-03-14", "2025-03-14 10:22Z",
            "2024-02-29T23:59:59Z",
            "2025-03-14T10:22:05.250Z",
        ]
        let rows = times.map { "1,sms,withdrawn,\($0)\n" }.joined()
        let register = try readRegister("customer,purpose,state,captured_at\n" + rows)
        #expect(register.events.map(\.capturedAt) == times.map { Timestamp(iso8601: $0) })
        for wrong in ["2025-13-14T10:22:05Z", "2025-03-14T1x:22:05Z", "2025-03-14T10:60:05Z", "2025-03-14X10:22:05Z"] {
            #expect(
                try readRegister("customer,purpose,captured_at\n1,sms,\(wrong)\n").rules == ["captured_at_invalid"])
        }
    }
}
