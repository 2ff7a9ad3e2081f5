package import ConsentLedger
package import ConsentModel

/// A signed statement of where a node's chain was. Who keeps one can show later that nothing of what it covers was
/// changed, removed, inserted or put in another order: the chain would have another hash there.
///
/// It is one line of JSON, and signed are these bytes (integers little-endian):
///
///     text "consentd checkpoint 1" and a line feed · history 16 bytes · sequence u64 · hash 32 bytes · first u64
///     · root 32 bytes · at i64, milliseconds since 1970
package struct Checkpoint: Sendable, Equatable {
    /// Sixteen bytes that name the ledger.
    package var history: [UInt8]
    /// The end of the chain then, and its hash.
    package var sequence: UInt64
    package var hash: ChainHash
    /// The first event after the checkpoint before this one.
    package var first: UInt64
    /// Of the ``MerkleTree`` over the events from ``first`` to ``sequence``.
    package var root: ChainHash
    /// When it was signed.
    package var at: Timestamp
    package var key: VerificationKey
    package private(set) var signature: [UInt8]

    /// Events of one checkpoint: a proof of one of them reads the hashes of all.
    package static let eventsMax = 65_536
    private static let format = "consentd.checkpoint.1"

    /// Signs.
    ///
    /// - Parameter events: the hashes of those from `first` to the end.
    /// - Precondition: there is one.
    package init(
        history: [UInt8], first: UInt64, events: [ChainHash], at: Timestamp, signedWith key: SigningKey
    ) {
        self.history = history
        self.first = first
        sequence = first + UInt64(events.count) - 1
        hash = events.last!
        root = MerkleTree.root(events)
        self.at = at
        self.key = key.verificationKey
        signature = []
        signature = key.signature(over: signedBytes)
    }

    /// Whether its key signed it.
    package var isSigned: Bool { key.isValid(signature, over: signedBytes) }

    private var signedBytes: [UInt8] {
        var bytes = Array("consentd checkpoint 1\n".utf8) + history
        bytes.appendLittleEndian(sequence)
        bytes += hash.bytes
        bytes.appendLittleEndian(first)
        bytes += root.bytes
        bytes.appendLittleEndian(UInt64(bitPattern: at.millis))
        return bytes
    }

    /// As it is kept and shown.
    package var json: JSONValue {
        [
            "format": .text(Self.format), "history": .text(history.hex), "sequence": .number(Int64(sequence)),
            "hash": .text(hash.bytes.hex), "first": .number(Int64(first)), "root": .text(root.bytes.hex),
            "at": .text(at.iso8601), "key": .text(key.description), "signature": .text(signature.hex),
        ]
    }

    /// One line.
    package var text: String { json.canonical }

    /// - Throws: ``ProofError`` `notReadable`, or `notSigned` if something in it was changed.
    package init(_ json: JSONValue) throws(ProofError) {
        guard json["format"]?.text == Self.format, let history = json["history"]?.bytes, history.count == 16,
            let sequence = json["sequence"]?.number.flatMap(UInt64.init(exactly:)), sequence > 0,
            let hash = json["hash"]?.bytes.flatMap(ChainHash.init(bytes:)),
            let first = json["first"]?.number.flatMap(UInt64.init(exactly:)), (1...sequence).contains(first),
            let root = json["root"]?.bytes.flatMap(ChainHash.init(bytes:)),
            let at = json["at"]?.text.flatMap({ Timestamp(iso8601: $0) }),
            let key = json["key"]?.bytes.flatMap(VerificationKey.init(bytes:)),
            let signature = json["signature"]?.bytes, signature.count == 64
        else { throw .notReadable("it is no checkpoint of consentd") }
        self.history = history
        self.sequence = sequence
        self.hash = hash
        self.first = first
        self.root = root
        self.at = at
        self.key = key
        self.signature = signature
        guard isSigned else { throw .notSigned("its signature is not that of the key in it") }
    }

    /// - Throws: as above.
    package init(text: some StringProtocol) throws(ProofError) {
        guard let json = JSONValue(text: text) else { throw .notReadable("it is no JSON") }
        try self.init(json)
    }

    /// Reads a file of checkpoints, one a line, as the node keeps them and `consentd checkpoint` prints them.
    ///
    /// - Throws: ``ProofError`` that names the line.
    package static func list(_ text: String) throws(ProofError) -> [Checkpoint] {
        var list: [Checkpoint] = []
        for (position, line) in text.split(separator: "\n", omittingEmptySubsequences: false).enumerated()
        where !line.allSatisfy(\.isWhitespace) {
            do throws(ProofError) {
                list.append(try Checkpoint(text: line))
            } catch {
                throw error.at(line: position + 1)
            }
        }
        return list
    }

    /// Whether an event is below the root.
    package func covers(_ sequence: UInt64) -> Bool { (first...self.sequence).contains(sequence) }

    /// Whether a path leads from an event to the root.
    package func isReached(from event: ChainHash, _ sequence: UInt64, by path: [ChainHash]) -> Bool {
        guard covers(sequence) else { return false }
        return MerkleTree.root(
            from: event, at: Int(sequence - first), of: Int(self.sequence - first + 1), path: path) == root
    }
}

/// Why something that was signed or proved does not hold.
package enum ProofError: Error, Equatable, Sendable, CustomStringConvertible {
    /// It does not have the layout.
    case notReadable(String)
    case notSigned(String)
    /// It is signed, but what it says is not so.
    case contradicted(String)

    package var description: String {
        switch self {
        case .notReadable(let reason), .notSigned(let reason), .contradicted(let reason): reason
        }
    }

    func at(line: Int) -> ProofError {
        switch self {
        case .notReadable(let reason): .notReadable("line \(line): \(reason)")
        case .notSigned(let reason): .notSigned("line \(line): \(reason)")
        case .contradicted(let reason): .contradicted("line \(line): \(reason)")
        }
    }
}

extension [UInt8] {
    mutating func appendLittleEndian(_ number: UInt64) {
        Swift.withUnsafeBytes(of: number.littleEndian) { self += $0 }
    }
}
