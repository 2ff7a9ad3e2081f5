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
            age;system;channel;form;actor;evidence;list-source;guardian;Guardian relation
            Kari@Example.no;100001;newsletter | sms|newsletter;Given;2025-03-14T10:22:05+01:00;2027-01-01;club;1.1;nb;\
            ticked_box;JA;guardian;41;crm;web;join;till 4;"said ""yes"", twice";own;email: Anne@Example.no ;parent

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
        #expect(event.guardian == Guardian(.parent, Identifier(recorded: .email, value: "anne@example.no")))
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
        #expect(register.summary.unusableShare == 2.0 / 3)
    }

    @Test(arguments: [
        ("guardian,,", ["guardian_relation", "guardian"]), ("guardian,parent,", ["guardian"]),
        ("guardian,,email:anne@example.no", ["guardian_relation"]), (",parent,", ["guardian"]),
        (",,email:anne@example.no", ["guardian_relation"]), (",parent,email:anne@example.no", []),
        ("guardian,institution,other:case 4711", []), (",,", []),
        // What an export has in place of a national id.
        (",legal_guardian,national_id:#0F0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f", []),
    ])
    func aGrantByAGuardianWhoIsNotKnownAsksAgain(_ said: String, _ missing: [String]) throws {
        let header = "customer,purpose,list_source,\(Self.proof),party,guardian_relation,guardian\n"
        let own = try readRegister(header + "1,sms,own,\(Self.proved),\(said)\n")
        #expect(own.events.map(\.state) == [missing.isEmpty ? .given : .requested])
        #expect(own.events.map(\.party) == [said == ",," ? .subject : .guardian])
        #expect((own.events.first?.guardian == nil) == (!missing.isEmpty || said == ",,"))
        let lacks = missing.joined(separator: "+")
        #expect(own.summary.unprovedCounts == (missing.isEmpty ? [:] : [lacks: 1]))
        for language in ReportLanguage.allCases where !missing.isEmpty {
            let reason = try #require(RegisterReport(own.summary, in: language).reasons.first)
            #expect(reason.slug == "no_proof:\(lacks)" && reason.text.count > 40, "\(reason)")
        }
        let bought = try readRegister(header + "1,sms,bought,\(Self.proved),\(said)\n")
        #expect(bought.rules == (missing.isEmpty ? [] : ["bought_without_proof"]))
    }

    @Test(arguments: [
        ("uncle,email:anne@example.no", "guardian_relation_unknown"), ("parent,Anne", "guardian_invalid"),
        ("parent,mail:anne@example.no", "guardian_invalid"), ("parent,email:", "guardian_invalid"),
        ("parent,phone:22334455", "guardian_invalid"), (",phone:22334455", "guardian_invalid"),
    ])
    func aGuardianWhoCannotBeReadRejectsTheRowUnlessItSaysNo(_ said: String, _ rule: String) throws {
        let header = "customer,purpose,state,\(Self.proof),guardian_relation,guardian\n"
        let register = try readRegister(
            header + "1,sms,given,\(Self.proved),\(said)\n2,sms,withdrawn,\(Self.proved),\(said)\n")
        #expect(register.rules == [rule])
        #expect(register.events.map(\.state) == [.withdrawn] && register.events.first?.guardian == nil)
    }

    @Test func aGuardiansPhoneHasTheCountryOfTheRegister() throws {
        let header = "customer,purpose,\(Self.proof),guardian_relation,guardian\n"
        var options = RegisterOptions()
        options.phoneCountry = PhoneCountry(code: "47")
        let register = try readRegister(header + "1,sms,\(Self.proved),parent,phone:22334455\n", options: options)
        #expect(register.events.first?.guardian?.identifier.text == "phone:+4722334455")
    }

    @Test(arguments: [
        ("national_id:13065012345", "(withheld)"), ("13065012345", "(withheld)"), ("pnr:13065012345", "(withheld)"),
        ("email:anne@example.no", "email:anne@example.no"),
    ])
    func noRejectFileHoldsTheNationalIDOfAGuardian(_ guardian: String, _ copied: String) throws {
        let header = "customer,purpose,\(Self.proof),guardian_relation,guardian,national_id\n"
        let register = try readRegister(
            header + "1,,\(Self.proved),parent,\(guardian),13065012345\n1,\(Self.proved),\(guardian)\n")
        let isNamed = guardian.hasPrefix("national_id") || guardian.hasPrefix("email")
        #expect(register.rules == [isNamed ? "purpose_missing" : "guardian_invalid", "too_few_fields"])
        #expect(
            String(decoding: register.rejections[0].text, as: UTF8.self)
                == "1,,\(Self.proved),parent,\(copied),(withheld)")
        let broken = String(decoding: register.rejections[1].text, as: UTF8.self)
        #expect(!broken.contains("13065012345") && !broken.contains("anne"))
        #expect(!register.rejections.contains { $0.message.contains("13065012345") })
    }

    @Test func requestFromABoughtListNeedsProofToo() throws {
        let register = try readRegister("customer,purpose,state,list_source\n1,sms,requested,bought\n")
        #expect(register.rules == ["bought_without_proof"])
    }

    /// The newest capture decides, so an undated "yes" must not be newer than a "no" that the ledger holds. A time of zero
    /// is none on the wire, where the event would become one of now.
    @Test(arguments: [
        "", "1970-01-01", "1970-01-01T00:00:00-12:00", "1970-01-01T23:59:59Z", "1900-01-01", "0001-01-01",
    ])
    func undatedActCountsAsOlderThanEverythingUnlessItTakesAway(_ time: String) throws {
        let states = "requested,deferred,given,withdrawn,refused,objected"
        let rows = states.split(separator: ",").map { "1,sms,\($0),\(time)\n" }.joined()
        let register = try readRegister("customer,purpose,state,captured_at\n" + rows)
        #expect(register.events.map(\.capturedAt) == Array(repeating: Limit.captureMin, count: 3) + [nil, nil, nil])
        #expect(Limit.captureMin.millis > 0 && register.events.allSatisfy { $0.key == nil })
    }

    /// What it would follow cannot be told, and "now" would end an objection that is newer than the row.
    @Test(arguments: ["confirmed", "objection_lifted"], ["", "1970-01-01"])
    func anUndatedActThatFollowsAnotherIsRejected(state: String, time: String) throws {
        let register = try readRegister(
            "customer,purpose,state,captured_at\n1,sms,\(state),\(time)\n2,sms,\(state),2025-01-01\n")
        #expect(register.rules == ["captured_at_missing"])
        #expect(register.events.map(\.capturedAt) == [Timestamp(iso8601: "2025-01-01")])
    }

    static let noes = ["withdrawn", "refused", "revoked", "invalidated", "objected"]

    @Test(arguments: noes)
    func aNoIsNeverRejectedForADetail(_ state: String) throws {
        let long = "x" + String(repeating: "ø", count: 5000)
        let register = try readRegister(
            "customer,email,purpose,state,captured_at,method,explicit,party,age,expires_at,list_source,declaration,"
                + "revision,language,system,channel,form,actor,evidence\n"
                + "1,,sms,\(state),22.11.2026,fax,maybe,nobody,old,never,found,club,,,,,,,\n"
                + "2,a\u{7},sms||ads|,\(state),,preticked,,,,1970-01-01,bought,"
                + Array(repeating: long, count: 8).joined(separator: ",") + "\n"
                + "3,,\((0..<65).map { "p\($0)" }.joined(separator: "|")),\(state)" + String(repeating: ",", count: 15)
                + "\n")
        #expect(register.rejections.isEmpty, "\(register.rejections.map(\.message))")
        #expect(register.events.count == 68 && register.events.allSatisfy { $0.state.name == state })
        let first = try #require(register.events.first)
        #expect(first.capturedAt == nil && first.party == .subject && first.method == .none && first.revision == nil)
        let second = register.events[1]
        #expect(second.identifiers.map(\.text) == ["customer:2"] && second.expiresAt == nil)
        #expect(register.events[1...2].map(\.purpose) == ["sms", "ads"])
        // An odd number of bytes, so that a cut at the limit itself would halve a character.
        let short = "x" + String(repeating: "ø", count: (Limit.shortTextSizeMax - 1) / 2)
        #expect(second.revision == RevisionName(declaration: short, revision: short))
        #expect([second.language, second.source.system, second.source.channel] == [short, short, short])
        #expect([second.source.form, second.actor] == [short, short])
        #expect(second.evidence == "x" + String(repeating: "ø", count: (Limit.evidenceSizeMax - 1) / 2))
    }

    /// Where the rest of the file is UTF-8, one name in Latin-1 does not keep a person's "no" out.
    @Test(arguments: noes)
    func aNoIsNeverRejectedForWhatIsNotTextInADetail(_ state: String) throws {
        let latin1 = [UInt8](repeating: 0xF8, count: 200)
        func row(_ fields: [[UInt8]]) -> [UInt8] { Array(fields.joined(separator: [UInt8(ascii: ",")])) + [0x0A] }
        let no = Array(state.utf8)
        let bytes =
            Array("customer,email,purpose,state,actor,evidence\n".utf8)
            + row([[0x31], [], Array("sms".utf8), no, latin1, [0x61, 0, 0xF8]])
            + row([[0x32], [0xF8], Array("sms".utf8), no, [], []])
            + row([[0xF8], [], Array("sms".utf8), no, [], []])
            + row([[0x33], [], Array("sms".utf8), Array("given".utf8), [], [0xF8]])
            + row([[0x34], [], Array("sms".utf8), no, [0xF8]])
        let register = try readRegister(bytes)
        #expect(
            register.events.map { $0.identifiers.map(\.text) } == [["customer:1"], ["customer:2"], ["customer:4"]])
        #expect(register.events.first?.evidence == "a\u{FFFD}\u{FFFD}")
        #expect(register.events.first?.actor == String(repeating: "\u{FFFD}", count: Limit.shortTextSizeMax / 3))
        #expect(register.rules == ["identifier_invalid", "invalid_utf8"])
    }

    static let halfRows = [
        "1;sms;N", "1;sms;N;a", "1;sms;N;a;b;c;d", "1;sms;N;a;;;;;;;;;;;;;;",
        "1;sms;N;" + String(repeating: "x", count: 70_000),
        "1;sms;N;\"" + String(repeating: "x", count: 70_000) + "\";2025-01-01", "1;sms;N;\"x;2025-01-01",
        "1;sms;N;\"x\"y;2025-01-01", "\"1\";\"sms\";\"N\";\"x", "1;sms;N;\u{0}", "'=1;sms;N",
    ]

    /// Who it is of, about what, and that it says "no" stand before the place where the row cannot be read any more.
    @Test(arguments: halfRows, noes)
    func aNoIsTakenFromARowThatCannotBeReadToItsEnd(_ half: String, _ state: String) throws {
        let row = half.replacing(";N", with: ";\(state)").replacing("\"N\"", with: "\"\(state)\"")
        let more = (2..<80).map { "\($0);ads;given;;\n" }.joined()
        for text in ["\(row)\n\(more)", row] {
            let bytes = Array("customer;purpose;state;evidence;captured_at\n\(text)".utf8)
            let register = try readRegister(bytes)
            let event = try #require(register.events.first, "\(register.rejections.map(\.message))")
            #expect(event.identifiers.map(\.value) == [half.hasPrefix("'") ? "=1" : "1"])
            #expect(event.purpose == "sms" && event.state.name == state && event.capturedAt == nil)
            #expect(register.rejections.isEmpty && register.rows.count == (text == row ? 1 : 79))
            #expect(register.summary[.noNotTaken] == 0)
            // However the file is cut.
            var reader = RegisterReader()
            var items: [RegisterItem] = []
            for start in stride(from: 0, to: bytes.count, by: 3001) {
                try reader.feed(Array(bytes[start..<min(start + 3001, bytes.count)])) { items.append($0) }
            }
            try reader.finish { items.append($0) }
            #expect(items == register.items)
        }
    }

    /// What is behind the state may be another column's, and what the state's column says of a shifted row is no "no".
    @Test(arguments: [
        "sms;withdrawn;1", "sms;withdrawn;1;a;b;c", "1;2;sms;withdrawn", "sms;\"withdrawn;1;x", "1;withdrawn;sms;a",
        "\"1;sms;withdrawn", "1;sms;given", "1;sms", "withdrawn",
    ])
    func nobodyIsReadFromWhereAColumnMayBeMissing(_ row: String) throws {
        let register = try readRegister("purpose;state;customer;email;evidence\n\(row)\n")
        #expect(register.events.isEmpty, "\(register.events)")
        #expect(register.rejections.count == 1)
        let saysNo = row.contains("withdrawn")
        #expect(register.rejections[0].saysNo == saysNo && register.summary[.noNotTaken] == (saysNo ? 1 : 0))
        #expect(register.rejections[0].message.contains("SAYS NO") == saysNo)
    }

    @Test func aNoThatCouldNotBeTakenIsCountedAndToldInTheReport() throws {
        let register = try readRegister(
            "customer,purpose,state\n,sms,withdrawn\n1,,objected\n2,sms,given\n3,sms,what\n")
        #expect(register.rejections.map(\.saysNo) == [true, true, false])
        #expect(register.summary[.noNotTaken] == 2)
        for (language, word) in [(ReportLanguage.nb, "NEI"), (.sv, "NEJ"), (.en, "NO")] {
            let line = RegisterReport(register.summary, in: language).lines.last ?? ""
            #expect(line.contains("2") && line.contains(word))
        }
        let without = try readRegister("customer,purpose,state\n3,sms,what\n")
        #expect(!RegisterReport(without.summary, in: .en).lines.contains { $0.contains("NO,") })
    }

    @Test(arguments: noes)
    func aNoThatNamesNobodyOrNothingIsRejected(_ state: String) throws {
        let register = try readRegister(
            "customer,email,purpose,state\n,,sms,\(state)\na\u{7},b\u{7},sms,\(state)\n1,,,\(state)\n1,,|,\(state)\n"
                + "1,,sms,\(state)ish\n")
        #expect(
            register.rules == [
                "identifier_missing", "identifier_invalid", "purpose_missing", "purpose_missing", "state_unknown",
            ])
    }

    @Test func aDateIsItsEndForANoAndItsStartForEverythingElse() throws {
        let states = noesAndOthers
        let rows = states.map { "1,sms,\($0),2025-03-14,club,1.1,button\n" }.joined()
        let register = try readRegister("customer,purpose,state,captured_at,declaration,revision,method\n" + rows)
        let expected = states.map { Self.noes.contains($0) ? "2025-03-14T23:59:59.999Z" : "2025-03-14T00:00:00Z" }
        #expect(register.events.map(\.capturedAt?.iso8601) == expected)
    }

    private var noesAndOthers: [String] {
        Self.noes + ["given", "renewed", "requested", "deferred", "confirmed", "objection_lifted"]
    }

    @Test func aNoIsNeverLaterThanNow() throws {
        var options = RegisterOptions()
        options.now = try #require(Timestamp(iso8601: "2025-03-14T12:00:00Z"))
        let times = ["2025-03-13", "2025-03-14", "2025-03-15", "2025-03-14T11:00:00Z", "2025-03-14T12:00:01Z"]
        let rows = times.map { "1,sms,withdrawn,\($0)\n" }.joined()
        let register = try readRegister("customer,purpose,state,captured_at\n" + rows, options: options)
        #expect(
            register.events.map(\.capturedAt?.iso8601)
                == ["2025-03-13T23:59:59.999Z", nil, nil, "2025-03-14T11:00:00Z", nil])
    }

    @Test func marksOfSpreadsheetsAreNoPartOfAField() throws {
        let register = try readRegister(
            "phone,customer,purpose,state,evidence\n'+47 90000000,o'=1,'=sms,withdrawn,\"a \"\"'-b\"\"; '+c 'd\"\n")
        let event = try #require(register.events.first)
        #expect(event.identifiers.map(\.text) == ["customer:o'=1", "phone:+4790000000"])
        #expect(event.purpose == "=sms" && event.evidence == "a \"-b\"; +c 'd")
    }

    @Test func numbersWithoutACountryHaveTheOneThatIsGiven() throws {
        let rows = "1,90 00 00 00,sms,withdrawn\n2,+46701234567,sms,withdrawn\n3,0123,sms,given\n4,,sms,withdrawn\n"
        var options = RegisterOptions()
        options.phoneCountry = PhoneCountry(code: "47")
        let register = try readRegister("customer,phone,purpose,state\n" + rows, options: options)
        #expect(
            register.events.map { $0.identifiers.map(\.text) } == [
                ["customer:1", "phone:+4790000000"], ["customer:2", "phone:+46701234567"], ["customer:4"],
            ])
        #expect(register.rules == ["identifier_invalid"])
        let without = try readRegister("customer,phone,purpose,state\n" + rows, options: RegisterOptions())
        // A "no" counts for who is left.
        #expect(without.events.map { $0.identifiers.map(\.text) }.first == ["customer:1"])
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
        Rejected("1,,,sms,confirmed,club,1.1,nb,button,yesterday,,,,", "captured_at_invalid"),
        Rejected("1,a\u{7}@b.no,,sms,,club,1.1,nb,button,2025-01-01,,,,", "identifier_invalid"),
        Rejected("1,,,sms,,club,1.1,nb,button,2025-01-01,1970-01-01,,,", "expires_at_invalid"),
        Rejected("1,,,sms,objection_lifted,,,,,,,,,", "captured_at_missing"),
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
        let rows = times.map { "1,sms,confirmed,\($0)\n" }.joined()
        let register = try readRegister("customer,purpose,state,captured_at\n" + rows)
        #expect(register.events.map(\.capturedAt) == times.map { Timestamp(iso8601: $0) })
        for wrong in ["2025-13-14T10:22:05Z", "2025-03-14T1x:22:05Z", "2025-03-14T10:60:05Z", "2025-03-14X10:22:05Z"] {
            #expect(
                try readRegister("customer,purpose,captured_at\n1,sms,\(wrong)\n").rules == ["captured_at_invalid"])
        }
    }
}
