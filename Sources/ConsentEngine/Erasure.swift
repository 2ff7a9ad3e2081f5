import ConsentIndex
import ConsentKernel
import ConsentLedger
package import ConsentModel
import Synchronization

/// Whom to erase, and why.
package struct ErasureRequest: Sendable, Equatable {
    /// One of those that the person is known by; the person is erased by all of them.
    package var identifier: Identifier
    package var reason: ErasureReason
    /// Who carries it out.
    package var actor: String

    package init(_ identifier: Identifier, reason: ErasureReason, actor: String = "") {
        self.identifier = identifier
        self.reason = reason
        self.actor = actor
    }
}

/// What an erasure did.
package struct ErasureReport: Sendable, Equatable {
    /// Of the erasure's event.
    package var sequence: UInt64
    package var erasedAt: Timestamp
    /// Of the chain at this event.
    package var hash: [UInt8]
    package var reason: ErasureReason
    /// Who carried it out.
    package var actor: String
    /// The suppression entry.
    package var identifiers: [KeyedIdentifier]
    /// Events that lost their personal part, or, in the history of somebody from whom an identifier was taken off, what
    /// names it; zero where the person was erased before.
    package var emptiedEvents = 0
    /// The person was erased already, and has not come back since: this is that erasure.
    package var isRepeated = false
    /// Somebody who reads the database keeps its log: what was erased may still be there. It is tried again until it is
    /// gone.
    package var isPending = false
    /// Purposes for which a "no" stands as an objection, as before.
    package var objections: [String] = []

    package struct KeyedIdentifier: Sendable, Equatable {
        package var type: IdentifierType
        /// 16 bytes.
        package var hash: [UInt8]
    }

    init(_ erasure: RecordedErasure) {
        sequence = erasure.sequence
        erasedAt = erasure.recordedAt
        hash = erasure.hash
        reason = erasure.reason
        actor = erasure.actor
        identifiers = erasure.keyedIdentifiers.compactMap { type, hash in
            IdentifierType(rawValue: type).map { KeyedIdentifier(type: $0, hash: hash) }
        }
    }
}

extension Engine {
    /// For so long an erasure waits for those who read the database; then it says that traces are left.
    package static let tracesWaitMillis: Int64 = 3000

    /// Erases a person: identifiers, evidence and salt, in the database and in its log. When the report says that it is
    /// not pending, they are in no file of the node.
    ///
    /// - Throws: ``EngineError`` `rights`, and what a change throws. Nothing is erased then.
    package func erase(
        _ request: ErasureRequest, tracesWaitMillis: Int64 = Engine.tracesWaitMillis
    ) throws -> ErasureReport {
        try waitFor { erase(request, tracesWaitMillis: tracesWaitMillis, complete: $0) }
    }

    /// As above. Returns at once; `complete` is called on another thread.
    package func erase(
        _ request: ErasureRequest, tracesWaitMillis: Int64 = Engine.tracesWaitMillis,
        complete: @escaping @Sendable (Result<ErasureReport, EngineError>) -> Void
    ) {
        let finish: @Sendable (Result<ErasureReport, EngineError>) -> Void = { [traces, tracesWaits] result in
            // All wait at the same time, though one after the other is looked after.
            let end = Clock.monotonicNanos() + tracesWaitMillis * 1_000_000
            let answer: @Sendable (Int64) -> Void = { end in
                complete(
                    result.map { report in
                        var report = report
                        report.isPending = !traces.waitUntilGone(report.sequence, until: end)
                        return report
                    })
            }
            guard case .success = result else { return complete(result) }
            // Where too many wait, it is erased all the same.
            do { try tracesWaits.submit { answer(end) } } catch { answer(0) }
        }
        carryOut({ try $0.erase(request) }, finish)
    }
}

/// How far the traces of erasures are gone from the files.
final class ErasureTraces: Sendable {
    private struct State {
        /// The newest erasure that may have left traces, zero if there is none.
        var newest: UInt64 = 0
        /// Everything erased up to here is gone.
        var goneThrough: UInt64 = 0
    }

    private let state = Mutex(State())

    init(pending: [UInt64]) { state.withLock { $0.newest = pending.last ?? 0 } }

    var isPending: Bool { state.withLock { $0.newest > $0.goneThrough } }

    func add(_ erasure: UInt64) { state.withLock { $0.newest = max($0.newest, erasure) } }

    func setGone(through sequence: UInt64) { state.withLock { $0.goneThrough = max($0.goneThrough, sequence) } }

    private func isGone(_ erasure: UInt64) -> Bool {
        state.withLock { erasure <= $0.goneThrough || $0.newest <= $0.goneThrough }
    }

    /// - Parameter end: monotonic nanoseconds.
    func waitUntilGone(_ erasure: UInt64, until end: Int64) -> Bool {
        while !isGone(erasure) {
            guard Clock.monotonicNanos() < end else { return false }
            Wakeup.pause(millis: 5)
        }
        return true
    }
}

extension Group {
    /// Erases whom an identifier leads to.
    ///
    /// - Throws: ``RightsError``, and what the ledger throws.
    func erase(_ request: ErasureRequest) throws -> ErasureReport {
        let size = request.actor.utf8.count
        guard size <= Limit.shortTextSizeMax else { throw RightsError.actorTooLong(size: size) }
        guard let work = try subject(identifiedBy: hashKey.hash(request.identifier)) else {
            throw RightsError.personUnknown(request.identifier)
        }
        if work.record.isErased { return try repeated(work.record) }
        let parts = try parts(of: work)
        let events = try events(of: [work] + parts)
        let named = events.flatMap(\.identifiers) + [request.identifier]
        guard !named.contains(where: { $0.isTelling && $0.isNamed(in: request.actor) }) else {
            throw RightsError.actorNamesPerson
        }
        let ofOthers = try partsOfOthers(naming: named, of: work, parts)
        let erasure = draft.appendErasure(
            of: &work.record, parts: parts.map(\.record), ofOthers: ofOthers, reason: request.reason,
            actor: request.actor, recordedAt: now)
        for part in parts {
            draft.eraseSalt(of: &part.record)
            (part.record.erasedAt, part.record.erasure) = (now, erasure.sequence)
            part.isTouched = true
        }
        work.isTouched = true
        forgetTwins(of: work)
        erasures.append(erasure)
        var report = ErasureReport(erasure)
        report.emptiedEvents =
            events.count { if case .consent = $0 { !$0.identifiers.isEmpty } else { false } }
            + Set(ofOthers.map(\.event)).count
        report.objections = objections(of: work.record)
        return report
    }

    private func repeated(_ record: SubjectRecord) throws -> ErasureReport {
        let drafted = erasures.last { $0.sequence == record.erasure }
        guard let erasure = try drafted ?? draft.erasure(record.erasure) else {
            throw LedgerError.corrupt(where: "subject \(record.id)", what: "the erasure that it names is not there")
        }
        var report = ErasureReport(erasure)
        report.isRepeated = true
        report.objections = objections(of: record)
        return report
    }

    /// What names a person in the events of those whose identifier it was before it was taken off them.
    private func partsOfOthers(
        naming named: [Identifier], of work: SubjectWork, _ parts: [SubjectWork]
    ) throws -> [ErasedPart] {
        let others = try formerOwners(of: work, parts)
        guard !others.isEmpty else { return [] }
        let telling = Set(named.filter(\.isTelling))
        return try draft.parts(
            of: others.map(\.record), where: { work.record.has(hashOfStored($0)) },
            orEvidence: { evidence in telling.contains { $0.isNamed(in: evidence) } })
    }

    /// Those off whom a person's identifiers were taken, with all who are part of them.
    private func formerOwners(of work: SubjectWork, _ parts: [SubjectWork]) throws -> [SubjectWork] {
        let own = Set(([work] + parts).map(\.record.id))
        var (found, pending) = ([Int64: SubjectWork](), [work] + parts)
        while let next = pending.popLast() {
            guard next.record.separatedAt != nil else { continue }
            for case .link(let link) in try events(of: [next])
            where link.action == .separated && work.record.hasAny(of: link.identifiers) {
                let former = try load(link.other)
                let person = try former.record.joinedTo.map(load) ?? former
                for other in try [person] + self.parts(of: person)
                where !own.contains(other.record.id) && found.updateValue(other, forKey: other.record.id) == nil {
                    pending.append(other)
                }
            }
        }
        return found.values.sorted { $0.record.id < $1.record.id }
    }

    /// What was recorded about some subjects, newest first.
    ///
    /// - Parameter after: a sequence that it stops at.
    func events(of subjects: [SubjectWork], after: UInt64 = 0) throws -> [SubjectEvent] {
        var sequences: [UInt64] = []
        try draft.forEachEvent(of: subjects.map(\.record), after: after) { sequence, _, _, _ in
            sequences.append(sequence)
        }
        return try sequences.compactMap { try draft.subjectEvent($0) }
    }

    private func objections(of record: SubjectRecord) -> [String] {
        record.standings.all.compactMap { entry in
            guard let purpose = catalog.purpose(bit: entry.purposeBit),
                decide(entry.standing, catalog: catalog, purpose: purpose, at: now).reason == .objected
            else { return nil }
            return purpose.id
        }
    }
}
