package import ConsentModel
import Crypto

// What is hashed, so that anyone can check the chain. Integers are little-endian, text8 is a size byte and UTF-8.
//
//     hash(n)     = SHA-256( hash(n - 1) · sequence u64 · kind u8 · recorded_at i64 · captured_at i64 · body )
//     hash(0)     = the history id, then sixteen zero bytes
//     body 1      = subject i64 · state u8 · method u8 · party u8 · explicit u8 · age u8 (255: not stated)
//                   · expires_at i64 (0: none) · refers_to u64 · key 16 bytes (zeros: none) · purpose text8
//                   · declaration text8 · revision text8 · language text8 · system text8 · channel text8 · form text8
//                   · actor text8 · commitment 32 bytes
//     body 2      = catalog version u64 · digest of the catalog 32 bytes
//     body 3      = nothing: a revision became current by time
//     body 4      = see AccessEvent.swift
//     body 5, 6   = see SubjectEvent.swift
//     commitment  = see Personal.swift
//
// Erasing a person removes salt and personal and keeps the commitment, so the chain stays whole and says nothing. The
// commitments of such events stand in the table erased_event, and zeros in the place of what was personal.

/// A SHA-256.
package struct ChainHash: Equatable, Sendable {
    private var words: (UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0)

    /// Nil unless there are 32 bytes.
    init?(_ bytes: UnsafeRawBufferPointer) {
        guard bytes.count == Self.size else { return nil }
        withUnsafeMutableBytes(of: &words) { $0.copyMemory(from: bytes) }
    }

    /// Nil unless there are 32 of them.
    package init?(bytes: [UInt8]) {
        guard let hash = bytes.withUnsafeBytes({ ChainHash($0) }) else { return nil }
        self = hash
    }

    package init(hashing bytes: [UInt8]) { self = bytes.withUnsafeBytes { ChainHash(hashing: $0) } }

    /// Of one or more pieces, one after another.
    init(hashing pieces: UnsafeRawBufferPointer...) {
        var hasher = SHA256()
        for piece in pieces { hasher.update(bufferPointer: piece) }
        let digest = hasher.finalize()
        withUnsafeMutableBytes(of: &words) { words in digest.withUnsafeBytes { words.copyMemory(from: $0) } }
    }

    static let size = 32

    func withBytes<Result>(_ body: (UnsafeRawBufferPointer) throws -> Result) rethrows -> Result {
        try withUnsafeBytes(of: words, body)
    }

    package var bytes: [UInt8] { withBytes { Array($0) } }

    package static func == (left: ChainHash, right: ChainHash) -> Bool { left.words == right.words }
}

/// The end of the chain.
package struct ChainHead: Equatable, Sendable {
    package var sequence: UInt64
    package var hash: ChainHash

    package init(sequence: UInt64, hash: ChainHash) {
        self.sequence = sequence
        self.hash = hash
    }

    /// Before the first event.
    init(history: [UInt8]) {
        precondition(history.count == 16, "a history id has sixteen bytes")
        let bytes = history + [UInt8](repeating: 0, count: 16)
        self.init(sequence: 0, hash: bytes.withUnsafeBytes { ChainHash($0)! })
    }

    /// The first 8 bytes of the hash, to recognise it by.
    package var mark: UInt64 { hash.withBytes { UInt64(littleEndian: $0.load(as: UInt64.self)) } }
}

/// The numbers never change once released.
package enum EventKind: UInt8, Sendable, CaseIterable, NamedInSnakeCase {
    case consent = 1
    case catalog = 2
    case revisionBecameCurrent = 3
    case access = 4
    case link = 5
    case erasure = 6
}

/// Bytes to be hashed. One value serves for many events.
struct ChainBytes {
    private var bytes: [UInt8] = []

    init() { bytes.reserveCapacity(512) }

    /// Begins anew.
    mutating func begin(
        previous: ChainHash, sequence: UInt64, kind: EventKind, recordedAt: Int64, capturedAt: Int64
    ) {
        bytes.removeAll(keepingCapacity: true)
        append(previous)
        append(sequence)
        bytes.append(kind.rawValue)
        append(UInt64(bitPattern: recordedAt))
        append(UInt64(bitPattern: capturedAt))
    }

    mutating func append(_ number: UInt64) { bytes.appendInteger(number) }
    mutating func append(_ byte: UInt8) { bytes.append(byte) }
    mutating func append(_ more: [UInt8]) { bytes += more }
    mutating func append(_ hash: ChainHash) { hash.withBytes { bytes += $0 } }

    mutating func append(_ text: String) {
        bytes.append(UInt8(text.utf8.count))
        bytes += text.utf8
    }

    mutating func append(subject: Int64, actor: String, detail: [UInt8]) {
        append(UInt64(bitPattern: subject))
        append(actor)
        append(detail)
    }

    mutating func append(_ event: ConsentEvent, subject: Int64, refersTo: UInt64, commitment: ChainHash) {
        append(UInt64(bitPattern: subject))
        append(event.state.rawValue)
        append(event.method.rawValue)
        append(event.party.rawValue)
        append(UInt8(event.isExplicit ? 1 : 0))
        append(event.subjectAge.map { UInt8($0) } ?? UInt8.max)
        append(UInt64(bitPattern: event.expiresAt?.millis ?? 0))
        append(refersTo)
        append(event.key?.high.byteSwapped ?? 0)
        append(event.key?.low.byteSwapped ?? 0)
        append(event.purpose)
        append(event.revision?.declaration ?? "")
        append(event.revision?.revision ?? "")
        append(event.language)
        append(event.source.system)
        append(event.source.channel)
        append(event.source.form)
        append(event.actor)
        append(commitment)
    }

    var hash: ChainHash { bytes.withUnsafeBytes { ChainHash(hashing: $0) } }

    var all: [UInt8] { bytes }

    /// Behind what all events have.
    var body: [UInt8] { Array(bytes.dropFirst(Self.commonSize)) }
    private static let commonSize = ChainHash.size + 8 + 1 + 8 + 8
}

/// An event as a link of the chain: what is hashed, in its parts.
package struct ChainEntry: Sendable, Equatable {
    package var sequence: UInt64
    package var kind: EventKind
    package var recordedAt: Timestamp
    package var capturedAt: Timestamp
    /// Of the event before it.
    package var previous: ChainHash
    package var body: [UInt8]

    package init(
        sequence: UInt64, kind: EventKind, recordedAt: Timestamp, capturedAt: Timestamp, previous: ChainHash,
        body: [UInt8]
    ) {
        self.sequence = sequence
        self.kind = kind
        self.recordedAt = recordedAt
        self.capturedAt = capturedAt
        self.previous = previous
        self.body = body
    }

    /// Of the event.
    package var hash: ChainHash {
        var bytes = ChainBytes()
        bytes.begin(
            previous: previous, sequence: sequence, kind: kind, recordedAt: recordedAt.millis,
            capturedAt: capturedAt.millis)
        bytes.append(body)
        return bytes.hash
    }

    /// What a consent event hashes beyond what all events do.
    package static func body(_ event: RecordedEvent, commitment: ChainHash) -> [UInt8] {
        var bytes = ChainBytes()
        bytes.append(event.event, subject: event.subject, refersTo: event.refersTo, commitment: commitment)
        return bytes.all
    }

    /// What the body of an applied catalog says.
    package static func body(catalogVersion: Int, digest: [UInt8]) -> [UInt8] {
        var bytes = ChainBytes()
        bytes.append(UInt64(catalogVersion))
        bytes.append(digest)
        return bytes.all
    }

    /// What an event of an earlier build commits to of a person's identifiers and evidence.
    package static func commitment(salt: [UInt8], _ event: ConsentEvent) -> ChainHash {
        let identifiers = event.identifiers.flatMap(Personal.encode)
        return ChainHash(
            hashing: salt + [UInt8(clamping: event.identifiers.count)] + identifiers
                + Personal.encode(evidence: event.evidence))
    }
}

/// What an auditor needs to see of one event.
package struct ChainEvidence: Sendable, Equatable {
    package var entry: ChainEntry
    /// What it says, where it is about a person.
    package var event: SubjectEvent?
    /// What it says, where it is an entry of the access log.
    package var access: AccessEntry?
    /// Of a consent event: what it commits to of identifiers and evidence.
    package var commitment: ChainHash?
    /// What they are hashed with; nil where they were erased.
    package var salt: [UInt8]?
    /// How each is committed to; nil where they were erased, and of an event of an earlier build.
    package var parts: CommittedParts?
}

extension IdempotencyKey {
    /// Big-endian, as it stands on the wire.
    package var bytes: [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(16)
        bytes.appendInteger(high.byteSwapped)
        bytes.appendInteger(low.byteSwapped)
        return bytes
    }

    /// Nil unless there are sixteen.
    package init?(bytes: UnsafeRawBufferPointer) {
        guard bytes.count == 16 else { return nil }
        self.init(
            high: bytes.loadUnaligned(as: UInt64.self).bigEndian,
            low: bytes.loadUnaligned(fromByteOffset: 8, as: UInt64.self).bigEndian)
    }
}
