package import ConsentModel

// Events about a person as a whole. What they say beyond the common columns stands in the column `detail`, and is hashed:
//
//     body 5      = subject i64 · actor text8 · detail · commitment 32 bytes
//     detail 5    = action u8 · other subject i64 (0: none) · identifiers 17 bytes each, as in the table of subjects
//     body 6      = subject i64 · actor text8 · detail
//     detail 6    = reason u8 · identifiers 17 bytes each, as in the table of subjects · digest 32 bytes, where it took
//                   parts out of events of others: of event u64 · number u8 · hash of each part, as in Personal.swift
//
// What links and unlinks has an event in the history of either side, one right behind the other: `joinedTo` then `linked`,
// `unlinked` then `separated`; only an identifier that was nobody's has `linked` alone. The commitment is to the
// identifiers that were named, as that of a consent.
//
// The identifiers of a person who was erased are keyed hashes: the suppression entry that keeps a later import from
// bringing the person back.

/// One event of a person's history.
package enum SubjectEvent: Sendable, Equatable {
    case consent(RecordedEvent)
    case erasure(RecordedErasure)
    case link(RecordedLink)

    package var sequence: UInt64 {
        switch self {
        case .consent(let event): event.sequence
        case .erasure(let erasure): erasure.sequence
        case .link(let link): link.sequence
        }
    }

    /// That it names.
    package var identifiers: [Identifier] {
        switch self {
        case .consent(let event): event.event.identifiers
        case .link(let link): link.named
        case .erasure: []
        }
    }

    package var subject: Int64 {
        switch self {
        case .consent(let event): event.subject
        case .erasure(let erasure): erasure.subject
        case .link(let link): link.subject
        }
    }

    package var recordedAt: Timestamp {
        switch self {
        case .consent(let event): event.recordedAt
        case .erasure(let erasure): erasure.recordedAt
        case .link(let link): link.recordedAt
        }
    }
}

extension RecordedLink {
    static func detail(_ action: LinkAction, other: Int64, identifiers: [UInt8]) -> [UInt8] {
        var bytes = [action.rawValue]
        bytes.appendInteger(other)
        return bytes + identifiers
    }

    private static let fixedSize = 9

    /// Nil if the bytes do not have the layout.
    init?(_ row: Statement, detail: [UInt8], named: [Identifier]) {
        self.init(
            sequence: UInt64(clamping: row.int64(0)), subject: row.int64(4),
            recordedAt: Timestamp(millis: row.int64(2)), detail: detail, named: named, actor: row.text(19),
            hash: row.bytes(23))
    }

    /// Nil if the bytes do not have the layout.
    init?(
        sequence: UInt64, subject: Int64, recordedAt: Timestamp, detail: [UInt8], named: [Identifier], actor: String,
        hash: [UInt8]
    ) {
        guard detail.count > Self.fixedSize, let action = LinkAction(rawValue: detail[0]),
            (detail.count - Self.fixedSize) % SubjectRecord.identifierSize == 0
        else { return nil }
        let other = detail.withUnsafeBytes { $0.loadUnaligned(fromByteOffset: 1, as: Int64.self) }
        self.init(
            sequence: sequence, subject: subject, recordedAt: recordedAt, action: action,
            other: Int64(littleEndian: other), identifiers: Array(detail.dropFirst(Self.fixedSize)), named: named,
            actor: actor, hash: hash)
    }
}

/// That a person was erased.
package struct RecordedErasure: Sendable, Equatable {
    package var sequence: UInt64
    package var subject: Int64
    package var recordedAt: Timestamp
    package var reason: ErasureReason
    /// As ``SubjectRecord/identifiers``.
    package var identifiers: [UInt8]
    /// See ``ErasedPart/digest(_:)``: of what it took out of events of others.
    package var partsDigest: [UInt8]
    /// Who carried it out.
    package var actor: String
    package var hash: [UInt8]

    /// Each as its type's number and the sixteen bytes of its keyed hash.
    package var keyedIdentifiers: [(type: UInt8, hash: [UInt8])] {
        stride(from: 0, to: identifiers.count, by: SubjectRecord.identifierSize).map { start in
            (identifiers[start], Array(identifiers[start + 1..<start + SubjectRecord.identifierSize]))
        }
    }

    /// What it says to the decision, for every purpose.
    package var act: Act {
        var act = Act(sequence: sequence, state: .erased, capturedAt: recordedAt)
        act.party = .system
        return act
    }

    static func detail(_ reason: ErasureReason, identifiers: [UInt8], partsDigest: [UInt8]) -> [UInt8] {
        [reason.rawValue] + identifiers + partsDigest
    }
}

extension RecordedErasure {
    /// Nil if the bytes do not have the layout.
    init?(_ row: Statement, detail: [UInt8]) {
        // A digest is of no multiple of an identifier's size.
        let digestSize = (detail.count - 1) % SubjectRecord.identifierSize == 0 ? 0 : ChainHash.size
        let size = detail.count - 1 - digestSize
        guard let reason = detail.first.flatMap(ErasureReason.init(rawValue:)), size >= 0,
            size % SubjectRecord.identifierSize == 0
        else { return nil }
        self.init(
            sequence: UInt64(clamping: row.int64(0)), subject: row.int64(4),
            recordedAt: Timestamp(millis: row.int64(2)), reason: reason,
            identifiers: Array(detail.dropFirst().dropLast(digestSize)), partsDigest: Array(detail.suffix(digestSize)),
            actor: row.text(19), hash: row.bytes(23))
    }
}

extension Standings {
    /// Forgets what the person agreed to, but not that the person once said no.
    package mutating func erase(by erasure: RecordedErasure) { erase(by: erasure.act) }
}

/// What a draft does to the personal parts of events that stand before it in the chain.
struct DraftedErasure: Sendable {
    struct Part: Sendable {
        /// The last event to be emptied; it leads to those before it.
        var lastEvent: UInt64
        var subject: Int64
        var salt: [UInt8]
    }

    /// The person, and those who became part of the person.
    var parts: [Part]
    /// What names the person in events of others, by event and number.
    var ofOthers: [ErasedPart]
    /// Of the erasure's own event.
    var sequence: UInt64
}
