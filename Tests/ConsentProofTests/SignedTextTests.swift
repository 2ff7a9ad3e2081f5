import ConsentLedger
import ConsentModel
import ConsentProof
import ConsentTestSupport
import Testing

/// What is signed, and how it is written.
struct SignedTextTests {
    // MARK: Keys

    /// RFC 8032, 7.1, test 3.
    @Test func theKeySignsAsTheStandardSays() throws {
        let key = try #require(
            SigningKey(bytes: [UInt8](hex: "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7")!))
        let known = "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025"
        #expect("\(key.verificationKey)" == known)
        let signature = [UInt8](
            hex: "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac"
                + "18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a")!
        #expect(key.verificationKey.isValid(signature, over: [0xAF, 0x82]))
        #expect(!key.verificationKey.isValid(signature, over: [0xAF, 0x83]))
        #expect(key.verificationKey.isValid(key.signature(over: [1, 2, 3]), over: [1, 2, 3]))
    }

    @Test func whatIsNoKeyIsNone() {
        #expect(SigningKey(bytes: [1, 2, 3]) == nil && VerificationKey(bytes: [1, 2, 3]) == nil)
        #expect(VerificationKey(hex: "zz") == nil && VerificationKey(hex: "abc") == nil)
    }

    /// The example of the W3C's did:key for Ed25519.
    @Test func aKeyHasItsDID() throws {
        let did = "did:key:z6MkiTBz1ymuepAQ4HEHYSF1H8quG5GLVVQR3djdX3mDooWp"
        let bytes = try #require(Base58.decode(String(did.dropFirst("did:key:z".count))))
        let key = try #require(VerificationKey(bytes: Array(bytes.dropFirst(2))))
        #expect(key.did == did)
    }

    @Test func base58IsReadAsItIsWritten() {
        #expect(Base58.encode(Array("Hello World!".utf8)) == "2NEpo7TZRRrLZSi2U")
        #expect(Base58.encode([0, 0, 0x28, 0x7F, 0xB4, 0xCD]) == "11233QC4")
        #expect(Base58.decode("0OIl") == nil)
        var random = SeededGenerator(salt: 501)
        for size in 0..<70 {
            let bytes = (0..<size).map { _ in UInt8(random.below(4) == 0 ? 0 : random.below(256)) }
            #expect(Base58.decode(Base58.encode(bytes)) == bytes)
        }
    }

    // MARK: JSON

    /// RFC 8785, 3.2.3: members in the order of UTF-16 code units.
    @Test func membersStandInTheOrderOfTheStandard() throws {
        let text =
            #"{"\u20ac":"Euro Sign","\r":"Carriage Return","\ufb33":"Hebrew Letter Dalet With Dagesh","#
            + #""1":"One","\ud83d\ude00":"Emoji: Grinning Face","\u0080":"Control","\u00f6":"Latin Small O"}"#
        let canonical = try #require(JSONValue(text: text)).canonical
        let values = ["Carriage Return", "One", "Control", "Latin Small O", "Euro Sign", "Emoji", "Hebrew"]
        let places = try values.map { value in try #require(canonical.ranges(of: value).first).lowerBound }
        #expect(places == places.sorted())
    }

    @Test(arguments: [
        (#""\u0000\u001f\b\t\n\f\r\"\\\/""#, #""\u0000\u001f\b\t\n\f\r\"\\/""#),
        (#" [ 1 , -5,true,false , null, "å😀" ] "#, #"[1,-5,true,false,null,"å😀"]"#),
        (#"{"b":{},"a":[]}"#, #"{"a":[],"b":{}}"#), ("9007199254740991", "9007199254740991"),
    ])
    func aDocumentHasOneText(written: String, canonical: String) throws {
        let value = try #require(JSONValue(text: written))
        #expect(value.canonical == canonical)
        #expect(JSONValue(text: canonical) == value)
        #expect(JSONValue(text: value.pretty) == value)
    }

    @Test(arguments: [
        "", "{", "[1,]", "{\"a\":1,}", "{\"a\" 1}", "{a:1}", "1.0", "1e3", "01", "-0", "+1", "9007199254740992", "tru",
        "\"a", "\"\n\"", #""\x""#, #""\u12""#, #""\ud800""#, #""\ud800\u0041""#, #""\udc00""#, "1 2",
        #"{"a":1,"a":2}"#, "\u{FEFF}1", String(repeating: "[", count: 40) + String(repeating: "]", count: 40),
    ])
    func whatIsNotReadTheOneWayIsNotRead(text: String) { #expect(JSONValue(text: text) == nil) }

    @Test func noBytesMakeTheReaderFail() {
        var random = SeededGenerator(salt: 502)
        let document = #"{"a":[1,"b\n\u00e5",{"c":null}],"d":true,"e":-12}"#
        for _ in 0..<3000 {
            var bytes = Array(document.utf8)
            for _ in 0...random.below(3) { bytes[random.below(bytes.count)] = UInt8(random.below(128)) }
            if let value = JSONValue(text: String(decoding: bytes, as: UTF8.self)) {
                #expect(JSONValue(text: value.canonical) == value)
            }
        }
    }

    // MARK: Data Integrity

    @Test func whatIsSignedHoldsUntilAnythingInItIsChanged() throws {
        let key = try #require(SigningKey(bytes: [UInt8](repeating: 7, count: 32)))
        let other = try #require(SigningKey(bytes: [UInt8](repeating: 8, count: 32)))
        let document: JSONValue = ["@context": ["a": "urn:a:"], "a:name": "Kåre", "a:list": [.number(1), .null]]
        let moment = Timestamp(millis: 1_795_258_800_123)
        let signed = document.signed(with: key, at: moment)
        let found = try signed.requireSigned(by: key.verificationKey)
        #expect(found.key == key.verificationKey && found.at == moment)
        #expect(try JSONValue(text: signed.pretty)!.requireSigned(by: nil).key == key.verificationKey)
        #expect(throws: ProofError.self) { try signed.requireSigned(by: other.verificationKey) }
        #expect(throws: ProofError.self) { try document.requireSigned(by: nil) }
        let proof = try #require(signed["proof"])
        #expect(proof["@context"] == document["@context"])
        #expect(JSONValue.object(["b": .null]).signed(with: key, at: moment)["proof"]?["@context"] == nil)
        let changes: [JSONValue] = [
            signed.with(["a:name": "Kari"]), signed.with(["a:more": .null]), signed.without("a:list"),
            signed.with(["@context": ["a": "urn:b:"]]),
            signed.with(["proof": proof.with(["created": "2026-01-01T00:00:00Z"])]),
            signed.with(["proof": proof.with(["more": "x"])]), signed.with(["proof": proof.without("@context")]),
            signed.with(["proof": proof.with(["proofValue": "z1111"])]),
            signed.with([
                "proof": document.signed(with: other, at: moment)["proof"]!.with(
                    ["proofValue": proof["proofValue"]!])
            ]),
        ]
        for changed in changes {
            #expect(throws: ProofError.self, "\(changed.canonical)") { try changed.requireSigned(by: nil) }
        }
    }
}
