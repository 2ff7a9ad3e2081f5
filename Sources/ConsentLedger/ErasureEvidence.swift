import ConsentModel

/// What the chain says of one erasure, as far as it shows what of an event is gone.
package struct ErasureEvidence: Sendable, Equatable {
    /// The event of the erasure. Before it, where the event is of somebody who became part of the erased person, that of
    /// each link on the way there, in the history that it ended.
    package var entries: [ChainEntry]
    /// What it took out of events of others: all that it commits to. Nil where it commits to nothing, and where there is
    /// more of it than a document has room for.
    package var parts: [ErasedPart]?

    /// So many stand in a document: 41 bytes each, in hexadecimal, beside a catalog, within the 16 MiB that it has.
    package static let partsMax = 65_536

    package init(entries: [ChainEntry], parts: [ErasedPart]?) {
        self.entries = entries
        self.parts = parts
    }
}

extension ErasedPart {
    /// As the digest of an erasure has it: event u64 · number u8 · hash.
    package var bytes: [UInt8] {
        var bytes: [UInt8] = []
        bytes.appendInteger(event)
        bytes.append(number)
        return bytes + hash.bytes
    }

    private static let size = 8 + 1 + ChainHash.size

    /// Nil if the bytes do not have the layout.
    package static func list(_ bytes: [UInt8]) -> [ErasedPart]? {
        guard bytes.count % size == 0 else { return nil }
        return bytes.withUnsafeBytes { bytes in
            stride(from: 0, to: bytes.count, by: size).compactMap { start in
                let event = bytes.loadUnaligned(fromByteOffset: start, as: UInt64.self)
                return ChainHash(UnsafeRawBufferPointer(rebasing: bytes[start + 9..<start + size])).map {
                    ErasedPart(event: UInt64(littleEndian: event), number: bytes[start + 8], hash: $0)
                }
            }
        }
    }
}

extension ChainEntry {
    /// Whom an event of an erasure or a link is about, and the detail; nil for one of another kind.
    private var aboutPerson: (subject: Int64, detail: [UInt8])? {
        guard kind == .erasure || kind == .link, body.count > 8, body.count > 9 + Int(body[8]) else { return nil }
        let subject = body.withUnsafeBytes { Int64(littleEndian: $0.loadUnaligned(as: Int64.self)) }
        let detail = body.dropFirst(9 + Int(body[8]))
        return (subject, Array(kind == .link ? detail.dropLast(ChainHash.size) : detail))
    }

    /// Who was erased, and the digest of what was taken out of events of others; nil for an event of another kind.
    package var erased: (subject: Int64, partsDigest: [UInt8])? {
        guard kind == .erasure, let (subject, detail) = aboutPerson else { return nil }
        let digestSize = (detail.count - 1) % SubjectRecord.identifierSize == 0 ? 0 : ChainHash.size
        return (subject, Array(detail.suffix(digestSize)))
    }

    /// Whose history ended with this event, and of whom it has been a part since; nil for any other event.
    package var joined: (subject: Int64, to: Int64)? {
        guard kind == .link, let (subject, detail) = aboutPerson,
            let link = RecordedLink(
                sequence: sequence, subject: subject, recordedAt: recordedAt, detail: detail, named: [], actor: "",
                hash: []), link.action == .joinedTo
        else { return nil }
        return (subject, link.other)
    }
}

extension CommittedParts {
    /// The parts of which only the hash is there, by their numbers.
    package func hidden(of event: UInt64) -> [ErasedPart] {
        let numbered =
            identifiers.enumerated().map { (UInt8(clamping: $0.offset), Part?.some($0.element)) }
            + [(ErasedPart.evidence, evidence), (ErasedPart.guardian, guardian)]
        return numbered.compactMap { number, part in
            guard case .hash(let hash) = part else { return nil }
            return ErasedPart(event: event, number: number, hash: hash)
        }
    }
}

extension ErasedPart {
    /// All that is personal in an event.
    package static func whole(of event: UInt64, _ commitment: ChainHash) -> ErasedPart {
        ErasedPart(event: event, number: whole, hash: commitment)
    }

    package var isEvidence: Bool { number == Self.evidence }
    package var isGuardian: Bool { number == Self.guardian }
}

extension ChainHash {
    /// What an event commits to that never named anybody, as a "no" about who is erased does.
    package static let commitmentToNothing = Personal.commitment(salt: [], personal: [0, 0, 0])
}
