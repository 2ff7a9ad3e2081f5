import ConsentModel
import ConsentTestSupport
import Testing

struct IdentifierTests {
    @Test(arguments: [
        ("kari@example.no", "kari@example.no"), ("Kari@Example.NO", "kari@example.no"),
        ("  KARI@EXAMPLE.NO ", "kari@example.no"), ("kari nordmann@example.no", "kari nordmann@example.no"),
        ("KÅRE@example.no", "kÅre@example.no"), ("[A]`{Z}@x", "[a]`{z}@x"), (" a", "a"), ("a ", "a"),
    ])
    func anEmailAddressLosesItsCapitalsAndOuterBlanks(_ text: String, _ normal: String) throws {
        #expect(try Identifier(type: .email, value: text).value == normal)
    }

    @Test(arguments: [
        ("+4722334455", "+4722334455"), ("+47 22 33 44 55", "+4722334455"), ("0047 22334455", "+4722334455"),
        ("(+47) 22-33.44.55", "+4722334455"), ("00 47 22 33 44 55", "+4722334455"), ("0-0-47", "+47"),
        ("22334455", "22334455"), ("00", "00"), ("000", "+0"), ("0", "0"), ("012", "012"), ("+0047", "+0047"),
    ])
    func aPhoneNumberLosesItsPunctuationAndItsLeadingZeros(_ text: String, _ normal: String) throws {
        #expect(try Identifier(type: .phone, value: text).value == normal)
    }

    @Test(arguments: IdentifierType.allCases)
    func normalizingTwiceIsNormalizingOnce(_ type: IdentifierType) throws {
        for text in ["  Kari@Example.NO ", "(00) 47-22.33", "00", " 0000 47", "A B", "Ø"] {
            let once = try Identifier(type: type, value: text)
            #expect(try Identifier(type: type, value: once.value) == once)
        }
    }

    @Test(arguments: IdentifierType.allCases.filter { $0 != .email && $0 != .phone })
    func everyOtherTypeIsKeptByteForByte(_ type: IdentifierType) throws {
        for text in ["00-AB cd.(1)", " x ", "ÆØÅ", "e\u{301}"] {
            #expect(Array(try Identifier(type: type, value: text).value.utf8) == Array(text.utf8))
        }
    }

    @Test func theSameTextOfTwoTypesIsTwoIdentifiers() throws {
        let email = try Identifier(type: .email, value: "1")
        #expect(email != (try Identifier(type: .customer, value: "1")))
    }

    /// Swift takes these for equal strings; they are hashed, kept and asked for as different bytes.
    @Test(arguments: IdentifierType.allCases)
    func twoSpellingsOfOneCharacterAreTwoIdentifiers(_ type: IdentifierType) throws {
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

    @Test(arguments: [(IdentifierType.email, "   "), (.phone, " -.() ")])
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
        let identifier = try Identifier(type: type, value: "00:a@b:c")
        #expect(try Identifier(text: identifier.text) == identifier)
        #expect(identifier.text.hasPrefix(type.name + ":"))
    }

    @Test(arguments: ["", "kari@example.no", ":x", "mail:x", "Email:x", " email:x", "email :x"])
    func refusesATextWithoutAKnownType(_ text: String) {
        #expect(throws: AdmissionError.identifierTypeUnknown(text)) { try Identifier(text: text) }
    }

    @Test func theNormalFormStandsAtTheFrontOfTheReceivedBytes() {
        var bytes = Array(" A@B ".utf8)
        let size = bytes.withUnsafeMutableBufferPointer { Identifier.normalize($0, type: .email) }
        #expect(Array(bytes[..<size]) == Array("a@b".utf8))
    }

    @Test func normalizingNothingGivesNothing() {
        for type in IdentifierType.allCases { #expect(Self.normalized([], type: type) == []) }
    }

    @Test func normalizingAnyBytesNeverMakesThemLonger() {
        var generator = SeededGenerator(salt: 0)
        let alphabet = Array(" 00+-.()aZ@".utf8) + [0xC3, 0xFF, 0x00]
        for _ in 0..<5_000 {
            let bytes = (0..<generator.below(12)).map { _ in generator.pick(alphabet) }
            for type in IdentifierType.allCases {
                let once = Self.normalized(bytes, type: type)
                let twice = Self.normalized(once, type: type)
                guard once.count <= bytes.count, twice == once else {
                    Issue.record("\(type) \(bytes) became \(once), then \(twice)")
                    return
                }
            }
        }
    }

    private static func normalized(_ bytes: [UInt8], type: IdentifierType) -> [UInt8] {
        var bytes = bytes
        let size = bytes.withUnsafeMutableBufferPointer { Identifier.normalize($0, type: type) }
        return Array(bytes[..<size])
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
}
