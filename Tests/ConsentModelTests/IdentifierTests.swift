import ConsentModel
import ConsentTestSupport
import Testing

struct IdentifierTests {
    /// One row of Protocol/identifiers.json, which the other implementations run as well.
    struct Spelling: Sendable, CustomStringConvertible {
        let type: IdentifierType
        let about: String
        let bytes: [UInt8]
        let normal: [UInt8]?
        let fault: IdentifierFault?

        var description: String { "\(type.name), \(about)" }

        private static let faults: [String: IdentifierFault] = [
            "not_text": .notText, "empty": .empty, "characters": .emailCharacters,
            "phone_without_country": .phoneWithoutCountry, "phone": .phoneMalformed,
            "national_id": .nationalIDMalformed, "national_id_hash": .nationalIDIsHash, "nobody": .nobody,
            // Judged with what is no text: nothing longer is ever brought into a normal form.
            "too_long": .notText,
        ]

        static func all() throws -> [Spelling] {
            try Json(Project.file("Protocol/identifiers.json")).array.map { row in
                let type = try #require(IdentifierType(name: row["type"].text))
                let fault = try row.optional("error").map { try #require(faults[$0.text], "\($0)") }
                return Spelling(
                    type: type, about: try row["about"].text, bytes: try [UInt8](hex: row["hex"].text),
                    normal: try row.optional("normal").map { Array(try $0.text.utf8) }, fault: fault)
            }
        }
    }

    @Test func everySpellingHasItsNormalFormOrItsFault() throws {
        let spellings = try Spelling.all()
        #expect(spellings.count > 600)
        for spelling in spellings {
            switch Self.normalized(spelling.bytes, type: spelling.type) {
            case .success(let form): #expect(form == spelling.normal, "\(spelling)")
            case .failure(let fault): #expect(fault == spelling.fault, "\(spelling)")
            }
        }
    }

    @Test func theNormalFormOfANormalFormIsItself() throws {
        for spelling in try Spelling.all() {
            guard let normal = spelling.normal else { continue }
            #expect(try Self.normalized(normal, type: spelling.type).get() == normal, "\(spelling)")
        }
    }

    @Test func aValueWithoutANormalFormIsRefusedForItsReason() throws {
        for spelling in try Spelling.all() {
            guard let fault = spelling.fault, let text = String(validating: spelling.bytes, as: UTF8.self),
                spelling.bytes.count <= Limit.identifierSizeMax
            else { continue }
            #expect(throws: AdmissionError(fault, of: spelling.type), "\(spelling)") {
                try Identifier(type: spelling.type, value: text)
            }
        }
    }

    /// The standard library's lower case is a second opinion about every letter but those that the form treats alone.
    @Test func lettersHaveTheLowerCaseOfTheStandardLibrary() throws {
        let alone: Set<Unicode.Scalar> = ["\u{130}", "\u{3C2}", "\u{3A3}"]
        var seen = 0
        for code in UInt32(0xA1)...0x1FFF {
            guard let scalar = Unicode.Scalar(code), !alone.contains(scalar), !scalar.properties.isWhitespace,
                let form = try? Identifier(type: .email, value: "x\(Character(scalar))")
            else { continue }
            // Canonical equivalence: a String's own equality.
            #expect(form.value == "x\(Character(scalar))".lowercased(), "\(code)")
            seen += 1
        }
        #expect(seen > 1300)
    }

    @Test func theSameTextOfTwoTypesIsTwoIdentifiers() throws {
        let email = try Identifier(type: .email, value: "1")
        #expect(email != (try Identifier(type: .customer, value: "1")))
    }

    /// Swift takes these for equal strings; they are hashed, kept and asked for as different bytes.
    @Test(arguments: IdentifierType.allCases.filter { ![.email, .phone, .nationalId].contains($0) })
    func twoSpellingsOfOneCharacterInASystemsOwnNameAreTwoIdentifiers(_ type: IdentifierType) throws {
        for (composed, decomposed) in [("\u{E9}", "e\u{301}"), ("\u{C5}", "A\u{30A}"), ("\u{212B}", "\u{C5}")] {
            #expect(composed == decomposed)
            let left = try Identifier(type: type, value: "x\(composed)")
            let right = try Identifier(type: type, value: "x\(decomposed)")
            #expect(left != right)
            #expect(left == (try Identifier(type: type, value: "x\(composed)")))
            #expect(Set([left, right, left]).count == 2)
        }
    }

    @Test func equalIdentifiersHaveEqualHashesAndNoneIsThePrefixOfAnother() throws {
        let left = try Identifier(type: .email, value: " Kari@Example.no ")
        let right = try Identifier(type: .email, value: "kari@example.no")
        #expect(left == right)
        #expect(left.hashValue == right.hashValue)
        #expect(left != (try Identifier(type: .email, value: "kari@example.n")))
        #expect((try Identifier(type: .email, value: "kari@example.n")) != left)
    }

    @Test(arguments: IdentifierType.allCases)
    func refusesAnEmptyValue(_ type: IdentifierType) {
        #expect(throws: AdmissionError.identifierEmpty(type)) { try Identifier(type: type, value: "") }
    }

    @Test(arguments: [(IdentifierType.email, "   "), (.phone, " -.() "), (.customer, "  "), (.nationalId, "-")])
    func refusesAValueThatIsEmptyInItsNormalForm(_ type: IdentifierType, _ text: String) {
        #expect(throws: AdmissionError.identifierEmpty(type)) { try Identifier(type: type, value: text) }
    }

    @Test(arguments: ["\u{0}", "a\u{0}b", "a\tb", "a\n", "\r\n", "\u{1F}", "a\u{7F}"])
    func refusesControlCharacters(_ text: String) {
        for type in IdentifierType.allCases {
            #expect(throws: AdmissionError.identifierInvalid(type)) { try Identifier(type: type, value: text) }
        }
    }

    @Test func theLimitCountsBytesAsTheyCame() throws {
        let most = String(repeating: "x", count: Limit.identifierSizeMax)
        #expect(try Identifier(type: .customer, value: most).value == most)
        #expect(throws: AdmissionError.identifierTooLong(.email, size: Limit.identifierSizeMax + 1)) {
            try Identifier(type: .email, value: " \(most)")
        }
        let twoBytesEach = String(repeating: "ø", count: Limit.identifierSizeMax / 2 + 1)
        #expect(throws: AdmissionError.identifierTooLong(.customer, size: twoBytesEach.utf8.count)) {
            try Identifier(type: .customer, value: twoBytesEach)
        }
        #expect(throws: AdmissionError.identifierTooLong(.customer, size: Limit.identifierSizeMax + 1)) {
            try Identifier(type: .customer, value: most + "x")
        }
    }

    @Test(arguments: IdentifierType.allCases)
    func theTextFormIsReadBack(_ type: IdentifierType) throws {
        let plain = type == .phone ? "+4722334455" : "01019012345"
        let identifier = try Identifier(type: type, value: [.phone, .nationalId].contains(type) ? plain : "00:a@b:c")
        #expect(try Identifier(text: identifier.text) == identifier)
        #expect(identifier.text.hasPrefix(type.name + ":"))
    }

    @Test(arguments: ["", "kari@example.no", ":x", "mail:x", "Email:x", " email:x", "email :x"])
    func refusesATextWithoutAKnownType(_ text: String) {
        #expect(throws: AdmissionError.identifierTypeUnknown(text)) { try Identifier(text: text) }
    }

    @Test func theNormalFormStandsAtTheFrontOfTheReceivedBytes() throws {
        var bytes = Array(" A@B ".utf8)
        let size = try bytes.withUnsafeMutableBufferPointer { try Identifier.normalize($0, type: .email) }
        #expect(Array(bytes[..<size]) == Array("a@b".utf8))
    }

    /// Of random letters, marks, digits and what separates them; also of bytes that are no text.
    @Test func aNormalFormIsNeverLongerAndNeverChangesAgain() {
        var generator = SeededGenerator(salt: 0)
        let pieces: [[UInt8]] =
            [
                " ", "0", "0", "+", "-", ".", "(", ")", "/", "#", "a", "I", "Z", "@", "\u{A0}", "\u{2009}", "\u{2011}",
                "\u{AD}", "\u{307}", "\u{323}", "\u{30A}", "\u{327}", "\u{345}", "\u{130}", "\u{22F}", "\u{1FBE}",
                "\u{3A3}", "\u{416}", "\u{1D5}", "語", "😀",
            ].map { Array($0.utf8) } + [[0xC3], [0xFF], [0x00], [0xE2, 0x80]]
        for _ in 0..<20_000 {
            let bytes = (0..<generator.below(12)).flatMap { _ in generator.pick(pieces) }
            for type in IdentifierType.allCases {
                guard case .success(let once) = Self.normalized(bytes, type: type) else { continue }
                guard once.count <= bytes.count, !once.isEmpty,
                    case .success(let twice) = Self.normalized(once, type: type), twice == once
                else {
                    Issue.record("\(type) \(bytes) became \(once)")
                    return
                }
            }
        }
    }

    private static func normalized(_ bytes: [UInt8], type: IdentifierType) -> Result<[UInt8], IdentifierFault> {
        var bytes = bytes
        return bytes.withUnsafeMutableBufferPointer { buffer in
            Result { () throws(IdentifierFault) in
                let size = try Identifier.normalize(buffer, type: type)
                return Array(buffer[..<size])
            }
        }
    }

    @Test(arguments: [
        ("47", "22 33 44 55", "+4722334455"), ("47", "4722334455", "+4722334455"),
        ("47", "+46701234567", "+46701234567"),
        ("47", "004722334455", "+4722334455"), ("46", "070-123 45 67", "+46701234567"),
        ("46", "08-123 456 78", "+46812345678"), ("46", "701234567", "+46701234567"),
        ("46", "46701234567", "+46701234567"), ("358", "040 1234567", "+358401234567"),
        ("+45", "32123456", "+4532123456"),
    ])
    func aNumberWithoutACountryHasThatOfItsRegister(_ code: String, _ number: String, _ expected: String) throws {
        #expect(try #require(PhoneCountry(code: code)).identifier(number).value == expected)
    }

    @Test(arguments: [
        ("47", "02233445"), ("47", "2233445"), ("47", "4602233445"), ("46", "0"), ("46", "07012345678"),
        ("46", "0070"), ("46", "000701234567"), ("354", "12345"),
    ])
    func aNumberThatIsNoneOfThatCountryIsRefused(_ code: String, _ number: String) throws {
        let country = try #require(PhoneCountry(code: code))
        #expect(throws: AdmissionError.self) { try country.identifier(number) }
    }

    @Test func aCountryWhoseRulesAreNotKnownIsNone() {
        for code in ["", "1", "4", "047", "no"] { #expect(PhoneCountry(code: code) == nil) }
    }

    @Test(
        arguments: [
            [0x80], [0xC3], [0xC0, 0xAF], [0xC1, 0xBF], [0xC3, 0x28], [0xE0, 0x9F, 0xBF], [0xE2, 0x82],
            [0xED, 0xA0, 0x80],
            [0xF0, 0x8F, 0xBF, 0xBF], [0xF4, 0x90, 0x80, 0x80], [0xF5, 0x80, 0x80, 0x80], [0xFF],
            [0x61, 0xE2, 0x82, 0x61],
        ] as [[UInt8]])
    func bytesThatAreNotUTF8AreNoText(_ bytes: [UInt8]) {
        #expect(!bytes.withUnsafeBufferPointer(Identifier.isText))
    }

    /// Every sequence of up to two bytes, and random longer ones, against the standard library's own check.
    @Test func textIsExactlyUTF8WithoutControlCharacters() {
        func isWrong(_ bytes: [UInt8]) -> Bool {
            let isControlled = bytes.contains { $0 < 0x20 || $0 == 0x7F }
            let expected = !isControlled && String(validating: bytes, as: UTF8.self) != nil
            return bytes.withUnsafeBufferPointer(Identifier.isText) != expected
        }
        var wrong: [[UInt8]] = isWrong([]) ? [[]] : []
        for first in UInt8.min...UInt8.max {
            if isWrong([first]) { wrong.append([first]) }
            for second in UInt8.min...UInt8.max where isWrong([first, second]) { wrong.append([first, second]) }
        }
        var generator = SeededGenerator(salt: 0)
        let edges: [UInt8] = [
            0x41, 0x7E, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC1, 0xC2, 0xDF, 0xE0, 0xEC, 0xED, 0xEE, 0xEF, 0xF0, 0xF3,
            0xF4,
            0xF5,
        ]
        for _ in 0..<50_000 {
            let bytes = (0..<(3 + generator.below(3))).map { _ in generator.pick(edges) }
            if isWrong(bytes) { wrong.append(bytes) }
        }
        #expect(wrong == [])
    }

    // MARK: In texts

    @Test func aValueIsFoundInATextWhereverItStandsAndInAnyCaseOfItsLetters() throws {
        func isNamedAsWritten(_ value: String, _ text: String) -> Bool {
            func lower(_ text: String) -> [UInt8] { text.utf8.map { $0 >= 0x41 && $0 <= 0x5A ? $0 | 0x20 : $0 } }
            let (value, text) = (lower(value), lower(text))
            guard text.count >= value.count else { return false }
            return (0...text.count - value.count).contains { Array(text[$0..<$0 + value.count]) == value }
        }
        var generator = SeededGenerator(salt: 1)
        var found = 0
        for _ in 0..<20_000 {
            func random(_ size: Int) -> String { String((0..<size).map { _ in generator.pick(["a", "b", "A", "ø"]) }) }
            let (value, text) = (random(1 + generator.below(6)), random(generator.below(24)))
            let isNamed = Identifier(recorded: .customer, value: value).isNamed(in: text)
            if isNamed { found += 1 }
            #expect(isNamed == isNamedAsWritten(value, text), "'\(value)' in '\(text)'")
        }
        #expect(found > 1000 && found < 19_000)
    }

    /// Where the beginning of the value stands everywhere, each position would else be compared anew.
    @Test func lookingForAValueTakesNoLongerInATextThatIsMadeForIt() throws {
        let value = Identifier(recorded: .customer, value: String(repeating: "a", count: 254) + "b")
        let text = String(repeating: "a", count: 1 << 20)
        let duration = ContinuousClock().measure { #expect(!value.isNamed(in: text)) }
        #expect(duration < .seconds(20))
        #expect(value.isNamed(in: text + "B"))
    }
}
