package import ConsentModel

// The personal part of an event: whom it names, the evidence, and who the guardian is that acted. Each is committed to by
// itself, so that one of them can be erased, and the others still be shown to be what was recorded.
//
//     personal    = 0x80 | count u8 · count × ( type u8 · value text8 · nonce 16 bytes ) · evidence
//                   · where a guardian is named: relation u8 · type u8 · value text8 · nonce 16 bytes
//     evidence    = size u16 · UTF-8 · nonce 16 bytes; the size alone where there is none
//     commitment  = SHA-256( salt of the subject · 0x80 | count u8 · count × part · part of the evidence, where there is any
//                   · part of the guardian, where one is named )
//     part        = SHA-256( nonce · type u8 · value text8 ), of evidence SHA-256( nonce · size u16 · UTF-8 ), of a
//                   guardian SHA-256( nonce · relation u8 · type u8 · value text8 )
//
// Where nobody is named, no guardian either, and there is no evidence, personal is three zeros, committed to as earlier builds did. Of a part that
// is erased by itself the hash is left, in the table erased_part, and zeros of its size in its place: with the nonce gone,
// the hash tells nothing, however few values there are to be guessed. Earlier builds wrote
//
//     personal    = count u8 · count × ( type u8 · value text8 ) · evidence size u16 and UTF-8
//     commitment  = SHA-256( salt of the subject · personal )
//
// of which nothing can be erased by itself: such an event loses all of it.

/// One thing that an event names, and commits to by itself.
package struct ErasedPart: Sendable, Equatable {
    package var event: UInt64
    /// Which of the event's identifiers, or one of the numbers below.
    package var number: UInt8
    /// What the event committed to.
    package var hash: ChainHash

    /// Whether the event names nobody any more, though others stay who it named.
    package var isWhole: Bool { number == Self.whole }

    static let evidence: UInt8 = 255
    static let guardian: UInt8 = 253
    /// All of it, by the commitment of the event.
    static let whole: UInt8 = 254

    /// Of parts that an erasure took, by event and number; empty if there are none.
    package static func digest(_ parts: [ErasedPart]) -> [UInt8] {
        parts.isEmpty ? [] : ChainHash(hashing: parts.flatMap(\.bytes)).bytes
    }
}

/// What was erased by itself of one event, as its table has it: number u8 · sequence of the erasure u64 · hash, each.
struct ErasedParts: Sendable, Equatable {
    private(set) var entries: [(number: UInt8, erasure: UInt64, hash: ChainHash)] = []
    static let none = ErasedParts()
    static let entrySize = 1 + 8 + ChainHash.size

    private init() {}

    /// Nil if the bytes do not have the layout. None has no bytes.
    init?(_ bytes: UnsafeRawBufferPointer) {
        guard bytes.count % Self.entrySize == 0 else { return nil }
        for start in stride(from: 0, to: bytes.count, by: Self.entrySize) {
            let entry = UnsafeRawBufferPointer(rebasing: bytes[start..<start + Self.entrySize])
            guard let hash = ChainHash(UnsafeRawBufferPointer(rebasing: entry[9...])) else { return nil }
            let erasure = UInt64(littleEndian: entry.loadUnaligned(fromByteOffset: 1, as: UInt64.self))
            entries.append((entry[0], erasure, hash))
        }
    }

    subscript(number: UInt8) -> ChainHash? { entries.first { $0.number == number }?.hash }

    var isEmpty: Bool { entries.isEmpty }

    mutating func add(_ part: ErasedPart, by erasure: UInt64) { entries.append((part.number, erasure, part.hash)) }

    var bytes: [UInt8] {
        var bytes: [UInt8] = []
        for entry in entries {
            bytes.append(entry.number)
            bytes.appendInteger(entry.erasure)
            bytes += entry.hash.bytes
        }
        return bytes
    }

    static func == (left: ErasedParts, right: ErasedParts) -> Bool {
        left.entries.elementsEqual(right.entries) { $0 == $1 }
    }
}

/// How the personal part of an event is committed to: of each identifier and of the evidence the nonce, or, where it has
/// been erased by itself, the hash.
package struct CommittedParts: Sendable, Equatable {
    package enum Part: Sendable, Equatable {
        case nonce([UInt8])
        case hash(ChainHash)
    }

    package var identifiers: [Part]
    /// Nil where there is none, as the next.
    package var evidence: Part?
    package var guardian: Part?

    package init(identifiers: [Part], evidence: Part?, guardian: Part?) {
        self.identifiers = identifiers
        self.evidence = evidence
        self.guardian = guardian
    }

    /// What an event has committed to that names these identifiers and this evidence.
    ///
    /// - Returns: nil if they do not fit.
    package func commitment(salt: [UInt8], _ event: ConsentEvent) -> ChainHash? {
        var named = event.identifiers[...]
        guard let count = UInt8(exactly: identifiers.count), count < Personal.split else { return nil }
        var bytes = salt + [Personal.split | count]
        for part in identifiers {
            switch part {
            case .hash(let hash): bytes += hash.bytes
            case .nonce(let nonce):
                guard let identifier = named.popFirst() else { return nil }
                bytes += ChainHash(hashing: nonce + Personal.encode(identifier)).bytes
            }
        }
        switch evidence {
        case .hash(let hash): bytes += hash.bytes
        case .nonce(let nonce):
            bytes += ChainHash(hashing: nonce + Personal.encode(evidence: event.evidence)).bytes
        case nil: break
        }
        switch guardian {
        case .hash(let hash): bytes += hash.bytes
        case .nonce(let nonce):
            guard let named = event.guardian else { return nil }
            bytes += ChainHash(hashing: nonce + Personal.encode(guardian: named)).bytes
        case nil: break
        }
        let isWhole =
            named.isEmpty && (event.evidence.isEmpty || evidence.isNonce)
            && (event.guardian == nil || guardian.isNonce)
        return isWhole ? ChainHash(hashing: bytes) : nil
    }
}

extension CommittedParts.Part? {
    fileprivate var isNonce: Bool { if case .nonce = self { true } else { false } }
}

/// The personal part of an event: how it is stored, and committed to.
enum Personal {
    static let nonceSize = 16
    /// In the count of one whose parts are committed to each by itself.
    static let split: UInt8 = 0x80

    static func encode(_ identifier: Identifier) -> [UInt8] {
        [identifier.type.rawValue, UInt8(identifier.value.utf8.count)] + identifier.value.utf8
    }

    static func encode(evidence: String) -> [UInt8] {
        var bytes: [UInt8] = []
        append(evidence: evidence, to: &bytes)
        return bytes
    }

    private static func append(evidence: String, to bytes: inout [UInt8]) {
        let size = evidence.utf8.count
        bytes.append(UInt8(truncatingIfNeeded: size))
        bytes.append(UInt8(truncatingIfNeeded: size >> 8))
        bytes += evidence.utf8
    }

    static func encode(guardian: Guardian) -> [UInt8] { [guardian.relation.rawValue] + encode(guardian.identifier) }

    /// - Parameter nonce: draws another one.
    static func encode(
        _ identifiers: [Identifier], evidence: String, guardian: Guardian?, nonce: () -> ArraySlice<UInt8>
    ) -> [UInt8] {
        // Nothing can be erased of it.
        if identifiers.isEmpty, evidence.isEmpty, guardian == nil { return [0, 0, 0] }
        var bytes: [UInt8] = []
        let size = identifiers.reduce(3 + evidence.utf8.count) { $0 + 2 + $1.value.utf8.count }
        bytes.reserveCapacity(size + nonceSize * (identifiers.count + 1))
        bytes.append(split | UInt8(identifiers.count))
        for identifier in identifiers {
            bytes.append(identifier.type.rawValue)
            bytes.append(UInt8(identifier.value.utf8.count))
            bytes += identifier.value.utf8
            bytes += nonce()
        }
        append(evidence: evidence, to: &bytes)
        if !evidence.isEmpty { bytes += nonce() }
        if let guardian {
            bytes += encode(guardian: guardian)
            bytes += nonce()
        }
        return bytes
    }

    /// Where one of its parts stands.
    struct Part {
        var number: UInt8
        /// Type, size and value, or size and evidence, or relation, type, size and value of a guardian.
        var content: Range<Int>
        /// Empty in the layout of earlier builds.
        var nonce: Range<Int>

        var isEvidence: Bool { number == ErasedPart.evidence }
        var isGuardian: Bool { number == ErasedPart.guardian }
        /// Without relation, type and size.
        var value: Range<Int> { content.dropFirst(isGuardian ? 3 : 2) }
        /// All that goes when it is erased: the sizes stay, so that the rest can be read.
        var erasable: [Range<Int>] { [isEvidence ? value : content.prefix(isGuardian ? 2 : 1), value, nonce] }
    }

    /// Identifiers first; evidence and guardian only if there are any. Nil if the bytes do not have the layout.
    static func parts(_ bytes: [UInt8]) -> [Part]? {
        var parts: [Part] = []
        parts.reserveCapacity(bytes.first.map { Int($0 & ~split) + 1 } ?? 0)
        return bytes.withUnsafeBytes { forEachPart(of: $0) { parts.append($0) } } ? parts : nil
    }

    /// - Returns: false if the bytes do not have the layout; some parts may have been handed on all the same.
    private static func forEachPart(of bytes: UnsafeRawBufferPointer, _ body: (Part) -> Void) -> Bool {
        guard let first = bytes.first else { return false }
        let (count, nonceSize) = (first & ~split, first & split == 0 ? 0 : nonceSize)
        var start = 1
        func take(_ number: UInt8, header: Int, size: Int) -> Bool {
            let end = start + header + size
            guard end + nonceSize <= bytes.count else { return false }
            body(Part(number: number, content: start..<end, nonce: end..<end + nonceSize))
            start = end + nonceSize
            return true
        }
        for number in 0..<count {
            guard start + 1 < bytes.count, bytes[start + 1] > 0, take(number, header: 2, size: Int(bytes[start + 1]))
            else { return false }
        }
        guard start + 2 <= bytes.count else { return false }
        let size = Int(bytes[start]) | Int(bytes[start + 1]) << 8
        if size == 0 {
            start += 2
        } else if !take(ErasedPart.evidence, header: 2, size: size) {
            return false
        }
        // Earlier builds named no guardian.
        if start == bytes.count { return true }
        return first & split != 0 && start + 2 < bytes.count && bytes[start + 2] > 0
            && take(ErasedPart.guardian, header: 3, size: Int(bytes[start + 2])) && start == bytes.count
    }

    private static func guardian(_ bytes: [UInt8], _ part: Part) -> Guardian? {
        let start = part.content.lowerBound
        guard let relation = GuardianRelation(rawValue: bytes[start]),
            let type = IdentifierType(rawValue: bytes[start + 1]),
            let text = String(validating: bytes[part.value], as: UTF8.self)
        else { return nil }
        return Guardian(relation, Identifier(recorded: type, value: text))
    }

    private static func identifier(_ bytes: [UInt8], _ part: Part) -> Identifier? {
        guard let type = IdentifierType(rawValue: bytes[part.content.lowerBound]),
            let text = String(validating: bytes[part.value], as: UTF8.self)
        else { return nil }
        // Not brought into its normal form again: the commitment is to what was recorded.
        return Identifier(recorded: type, value: text)
    }

    /// Nil if the bytes are damaged, or something stands where something was erased.
    static func decode(
        _ bytes: [UInt8], _ erased: ErasedParts = .none
    ) -> (identifiers: [Identifier], evidence: String, guardian: Guardian?)? {
        guard let parts = parts(bytes) else { return nil }
        var (identifiers, evidence, named) = ([Identifier](), "", Guardian?.none)
        for part in parts {
            if erased[part.number] != nil {
                guard part.erasable.joined().allSatisfy({ bytes[$0] == 0 }) else { return nil }
            } else if part.isEvidence {
                guard let text = String(validating: bytes[part.value], as: UTF8.self) else { return nil }
                evidence = text
            } else if part.isGuardian {
                guard let guardian = guardian(bytes, part) else { return nil }
                named = guardian
            } else {
                guard let identifier = identifier(bytes, part) else { return nil }
                identifiers.append(identifier)
            }
        }
        return (identifiers, evidence, named)
    }

    /// The bytes must have the layout.
    static func commitment(salt: [UInt8], personal: [UInt8], _ erased: ErasedParts = .none) -> ChainHash {
        salt.withUnsafeBytes { salt in
            personal.withUnsafeBytes { personal in
                guard let first = personal.first, first & split != 0 else {
                    return ChainHash(hashing: salt, personal)
                }
                // Two more than there are identifiers, at most.
                let sizeMax = salt.count + 1 + (Int(first & ~split) + 2) * ChainHash.size
                return withUnsafeTemporaryAllocation(byteCount: sizeMax, alignment: 1) { bytes in
                    bytes.copyMemory(from: salt)
                    bytes[salt.count] = first
                    var end = salt.count + 1
                    let isWhole = forEachPart(of: personal) { part in
                        (erased[part.number] ?? hash(of: part, personal)).withBytes {
                            UnsafeMutableRawBufferPointer(rebasing: bytes[end...]).copyMemory(from: $0)
                        }
                        end += ChainHash.size
                    }
                    return isWhole
                        ? ChainHash(hashing: UnsafeRawBufferPointer(rebasing: bytes[..<end]))
                        : ChainHash(hashing: salt, personal)
                }
            }
        }
    }

    private static func hash(of part: Part, _ personal: UnsafeRawBufferPointer) -> ChainHash {
        ChainHash(
            hashing: UnsafeRawBufferPointer(rebasing: personal[part.nonce]),
            UnsafeRawBufferPointer(rebasing: personal[part.content]))
    }

    /// Nil in the layout of earlier builds.
    static func committed(_ personal: [UInt8], _ erased: ErasedParts) -> CommittedParts? {
        guard let first = personal.first, first & split != 0, let parts = parts(personal) else { return nil }
        func committed(_ part: Part) -> CommittedParts.Part {
            erased[part.number].map(CommittedParts.Part.hash) ?? .nonce(Array(personal[part.nonce]))
        }
        return CommittedParts(
            identifiers: parts.filter { !$0.isEvidence && !$0.isGuardian }.map(committed),
            evidence: parts.first(where: \.isEvidence).map(committed),
            guardian: parts.first(where: \.isGuardian).map(committed))
    }

    // MARK: Erasing one part

    /// What names somebody, with what it committed to.
    static func parts(
        of event: UInt64, _ personal: [UInt8], _ erased: ErasedParts, salt: [UInt8],
        where isMeant: (Identifier) -> Bool, orEvidence isMeantToo: (String) -> Bool
    ) -> [ErasedPart] {
        let meant = (parts(personal) ?? []).filter { part in
            // Who the guardian is says nothing of whom the event is about.
            if erased[part.number] != nil || part.isGuardian { return false }
            if part.isEvidence { return isMeantToo(String(decoding: personal[part.value], as: UTF8.self)) }
            return identifier(personal, part).map(isMeant) ?? false
        }
        guard personal.first.map({ $0 & split == 0 }) ?? false, !meant.isEmpty else {
            return personal.withUnsafeBytes { personal in
                meant.map { ErasedPart(event: event, number: $0.number, hash: hash(of: $0, personal)) }
            }
        }
        return [ErasedPart(event: event, number: ErasedPart.whole, hash: commitment(salt: salt, personal: personal))]
    }

    /// Puts zeros in the place of parts.
    static func erase(_ numbers: Set<UInt8>, in personal: inout [UInt8]) {
        for part in parts(personal) ?? [] where numbers.contains(part.number) {
            for position in part.erasable.joined() { personal[position] = 0 }
        }
    }
}
