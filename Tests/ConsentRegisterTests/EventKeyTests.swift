import ConsentModel
import Testing

@testable import ConsentRegister

@Suite struct EventKeyTests {
    private func keys(_ text: String) throws -> [IdempotencyKey?] { keys(of: try readRegister(text).events) }

    private func keys(of events: [ConsentEvent]) -> [IdempotencyKey?] {
        var key = EventKey()
        return events.map { event in
            var one = [event]
            key.assign(to: &one)
            return one[0].key
        }
    }

    @Test func onlyEventsWithoutACaptureTimeNeedOne() throws {
        let events = try readRegister(
            "customer,purpose,state,captured_at\n1,sms,withdrawn,2025-01-01\n1,sms|ads,withdrawn,\n"
        ).events
        #expect(events.map { $0.key != nil } == [false, true, true])
        #expect(events.map(\.key).suffix(2) == keys(of: events).suffix(2))
    }

    /// From the reference implementation's vectors for 128 bits: key 00…0f, message 00 01 02 ….
    @Test func hashIsSipHash() {
        let key: (UInt64, UInt64) = (0x0706_0504_0302_0100, 0x0F0E_0D0C_0B0A_0908)
        let expected: [(Int, UInt64, UInt64)] = [
            (0, 0xE6A8_25BA_047F_81A3, 0x9302_55C7_1472_F66D), (1, 0x44AF_996B_D8C1_87DA, 0x45FC_229B_1159_7634),
        ]
        for (size, high, low) in expected {
            let hash = (0..<size).map(UInt8.init).withUnsafeBufferPointer { SipHash.hash128($0, key: key) }
            #expect(hash.0 == high)
            #expect(hash.1 == low)
        }
    }

    /// A key that changes makes every register new, and its consents are recorded twice.
    @Test func keyOfAGivenRowNeverChanges() throws {
        let key = try #require(
            try keys(
                "customer,email,purpose,captured_at,declaration,revision,language,method\n"
                    + "100001,kari.nordmann@example.no,newsletter,2025-03-14T10:22:05Z,club,1.1,nb,ticked_box\n"
            ).first ?? nil)
        #expect(key == IdempotencyKey(high: 2_493_749_247_761_728_611, low: 804_099_794_624_358_280))
    }

    @Test func orderOfColumnsLineNumbersAndSpellingsDoNotMatter() throws {
        let first = try keys("customer,email,purpose,captured_at\n1,a@b.no,sms,2025-01-01\n2,c@d.no,sms,2025-01-01\n")
        let second = try readRegister(
            "Purpose;captured_at;email;CUSTOMER\r\n\r\n\"sms\";2025-01-01T01:00:00+01:00; C@d.no ;2\r\n"
                + "sms;2025-01-01T00:00:00Z;A@B.NO;\"1\"\r\n")
        #expect(keys(of: second.events) == first.reversed())
        #expect(second.events[0].identifiers.map(\.type) == [.customer, .email])
    }

    @Test func equalRowsHaveEqualKeys() throws {
        let keys = try keys("customer,purpose\n1,sms|ads\n2,sms\n1,ads|sms\n")
        #expect(keys[0] == keys[4] && keys[1] == keys[3])
        #expect(Set(keys).count == 3)
    }

    @Test func everyFieldCounts() throws {
        let header =
            "customer,email,purpose,state,captured_at,expires_at,declaration,revision,language,method,explicit,party,"
            + "age,system,channel,form,actor,evidence"
        let base = [
            "1", "a@b.no", "sms", "given", "2025-01-01", "2026-01-01", "club", "1.1", "nb", "button", "1", "subject",
            "40", "crm", "web", "join", "till", "note",
        ]
        let other = [
            "2", "b@b.no", "ads", "renewed", "2025-01-02", "2026-01-02", "klub", "1.0", "sv", "paper", "0", "guardian",
            "41", "pos", "app", "quit", "desk", "word",
        ]
        var rows = [base]
        for position in base.indices {
            var row = base
            row[position] = other[position]
            rows.append(row)
        }
        let text = ([header] + rows.map { $0.joined(separator: ",") }).joined(separator: "\n")
        let keys = try keys(text)
        #expect(keys.count == rows.count)
        #expect(Set(keys).count == rows.count)
    }

    /// Text that moves from one field to the next is other content.
    @Test func fieldsDoNotRunIntoEachOther() throws {
        let keys = try keys("customer,purpose,system,channel\n1,sms,ab,c\n1,sms,a,bc\n1,sms,abc,\n1,sms,,abc\n")
        #expect(Set(keys).count == 4)
    }
}
