import ConsentLedger
package import ConsentModel

// Signatures over JSON as the W3C defines them: Data Integrity EdDSA Cryptosuites v1.0, eddsa-jcs-2022. The member `proof`
// of a signed document holds who signed and when, and the document's `@context` where it has one; signed is
//
//     SHA-256( canonical JSON of `proof` without `proofValue` ) · SHA-256( canonical JSON of the document without `proof` )
//
// and `proofValue` is the signature in base58btc behind a `z`. Libraries of others check it.

extension JSONValue {
    /// The document with its proof.
    package func signed(with key: SigningKey, at moment: Timestamp) -> JSONValue {
        let method = key.verificationKey.did + "#" + key.verificationKey.multibase
        var proof: JSONValue = [
            "type": "DataIntegrityProof", "cryptosuite": .text(Self.cryptosuite),
            "created": .text(moment.iso8601), "verificationMethod": .text(method), "proofPurpose": "assertionMethod",
        ]
        if let context = self["@context"] { proof = proof.with(["@context": context]) }
        let signature = key.signature(over: signedBytes(proof))
        return with(["proof": proof.with(["proofValue": .text("z" + Base58.encode(signature))])])
    }

    /// Checks the proof of a signed document.
    ///
    /// - Parameter key: the one that must have signed; nil for the one that the proof names, which shows nothing about who
    ///   signed.
    /// - Returns: who signed, and when.
    /// - Throws: ``ProofError`` `notReadable` without such a proof, `notSigned` if it does not hold.
    package func requireSigned(by key: VerificationKey?) throws(ProofError) -> (key: VerificationKey, at: Timestamp) {
        guard let proof = self["proof"], proof["type"]?.text == "DataIntegrityProof",
            proof["cryptosuite"]?.text == Self.cryptosuite, proof["proofPurpose"]?.text == "assertionMethod",
            let created = proof["created"]?.text.flatMap({ Timestamp(iso8601: $0) }),
            let named = proof["verificationMethod"]?.text.flatMap(VerificationKey.init(verificationMethod:)),
            let value = proof["proofValue"]?.text, value.first == "z",
            let signature = Base58.decode(String(value.dropFirst())), signature.count == 64
        else { throw .notReadable("it has no proof of the kind \(Self.cryptosuite)") }
        guard proof["@context"] == self["@context"] else {
            throw .notSigned("its proof is of another @context than it has itself")
        }
        if let key, named != key { throw .notSigned("it is signed by \(named), not by \(key)") }
        guard named.isValid(signature, over: without("proof").signedBytes(proof.without("proofValue"))) else {
            throw .notSigned("its signature is not that of the key in it: something was changed")
        }
        return (named, created)
    }

    private static let cryptosuite = "eddsa-jcs-2022"

    private func signedBytes(_ proof: JSONValue) -> [UInt8] {
        [proof, self].flatMap { ChainHash(hashing: Array($0.canonical.utf8)).bytes }
    }
}

extension VerificationKey {
    /// From a DID of the method `key`, with or without the fragment that repeats it.
    init?(verificationMethod text: String) {
        let did = text.prefix { $0 != "#" }
        guard did.hasPrefix("did:key:z"), let bytes = Base58.decode(String(did.dropFirst("did:key:z".count))),
            bytes.starts(with: [0xED, 0x01])
        else { return nil }
        self.init(bytes: Array(bytes.dropFirst(2)))
    }
}
