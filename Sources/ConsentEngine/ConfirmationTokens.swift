import ConsentIndex
import ConsentKernel
import ConsentLedger
package import ConsentModel

// The second step of a double opt-in, by a token that only the person is sent: `issue → the person's mail → confirm`. A
// token is 256 bits of the system's randomness. The ledger keeps its SHA-256 and looks it up by that, so that neither the
// ledger nor the time of an answer helps anybody to find one. It is printed once and logged nowhere.

/// Whom to issue a token for, and for what.
package struct TokenRequest: Sendable, Equatable {
    package var identifier: Identifier
    package var purposes: [String]

    package init(_ identifier: Identifier, purposes: [String]) {
        self.identifier = identifier
        self.purposes = purposes
    }
}

/// A token as it is handed out, once.
package struct IssuedToken: Sendable, Equatable {
    /// 43 characters of base64url.
    package var token: String
    package var endsAt: Timestamp
    /// The grants that it confirms, in the order of the purposes.
    package var events: [UInt64]
}

/// A token that came back, and how.
package struct TokenConfirmation: Sendable, Equatable {
    package var token: String
    /// Who confirms for the person; nil where the person does.
    package var guardian: Guardian?
    package var source = EventSource()
    package var actor = ""

    package init(_ token: String) { self.token = token }
}

/// One consent that a token has confirmed.
package struct ConfirmedConsent: Sendable, Equatable {
    package var sequence: UInt64
    /// The grant that is confirmed.
    package var refersTo: UInt64
    package var purpose: String
    package var revision: RevisionName?

    package init(sequence: UInt64, refersTo: UInt64, purpose: String, revision: RevisionName?) {
        self.sequence = sequence
        self.refersTo = refersTo
        self.purpose = purpose
        self.revision = revision
    }
}

/// Random bytes as text that fits into an address of the web (RFC 4648, base64url without padding).
package enum TokenText {
    private static let size = 32
    private static let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".utf8)

    /// A text that nobody can guess. None begins with a hyphen, which a command line would take for an option's.
    package static func draw(_ randomBytes: (Int) -> [UInt8] = { SystemRandom.bytes($0) }) -> String {
        while true {
            let text = text(of: randomBytes(size))
            if !text.hasPrefix("-") { return text }
        }
    }

    private static func text(of bytes: [UInt8]) -> String {
        var (text, held, bits): ([UInt8], UInt32, Int) = ([], 0, 0)
        for byte in bytes {
            held = held << 8 | UInt32(byte)
            bits += 8
            while bits >= 6 {
                bits -= 6
                text.append(alphabet[Int(held >> UInt32(bits) & 63)])
            }
        }
        if bits > 0 { text.append(alphabet[Int(held << UInt32(6 - bits) & 63)]) }
        return String(decoding: text, as: UTF8.self)
    }
}

extension Engine {
    /// Issues a token that confirms what a person has requested for some purposes. Returns when it is durable.
    ///
    /// - Throws: ``EngineError`` `rights`, and what a change throws. No token is issued then.
    package func issueToken(_ request: TokenRequest) throws -> IssuedToken {
        try waitFor { issueToken(request, complete: $0) }
    }

    /// As above. Returns at once; `complete` is called on the writer's thread.
    package func issueToken(
        _ request: TokenRequest, complete: @escaping @Sendable (Result<IssuedToken, EngineError>) -> Void
    ) {
        carryOut({ try $0.issueToken(request) }, complete)
    }

    /// Records that what a token was issued for is confirmed. Returns when it is durable and visible.
    ///
    /// - Throws: ``EngineError`` `rights`, and what a change throws. Nothing is confirmed then.
    package func confirmToken(_ confirmation: TokenConfirmation) throws -> [ConfirmedConsent] {
        try waitFor { confirmToken(confirmation, complete: $0) }
    }

    /// As above. Returns at once; `complete` is called on the writer's thread.
    package func confirmToken(
        _ confirmation: TokenConfirmation,
        complete: @escaping @Sendable (Result<[ConfirmedConsent], EngineError>) -> Void
    ) {
        carryOut({ try $0.confirmToken(confirmation) }, complete)
    }
}

extension Group {
    /// - Throws: ``RightsError``, and what the ledger throws.
    func issueToken(_ request: TokenRequest) throws -> IssuedToken {
        guard let work = try subject(identifiedBy: hashKey.hash(request.identifier)) else {
            throw RightsError.personUnknown(request.identifier)
        }
        var events: [UInt64] = []
        var lifetime: Int64?
        for id in request.purposes {
            guard let purpose = catalog.purpose(id: id) else { throw RightsError.admission(.purposeUnknown(id)) }
            guard purpose.requiresDoubleOptIn, let standing = work.record.standings[purpose.bit],
                let grant = try grantWaiting(of: work, purpose),
                decide(standing, catalog: catalog, purpose: purpose, at: now).reason == .requested
            else { throw RightsError.admission(.nothingToConfirm(purpose: id)) }
            if !events.contains(grant) { events.append(grant) }
            lifetime = min(lifetime ?? .max, purpose.tokenLifetime.seconds)
        }
        guard let lifetime else { throw RightsError.admission(.purposeUnknown("")) }
        let token = TokenText.draw()
        let endsAt = now.advanced(bySeconds: lifetime)
        draft.put(
            StoredToken(
                hash: confirmationTokenHash(Array(token.utf8)), subject: work.record.id, endsAt: endsAt,
                events: events))
        noteEnd(endsAt)
        return IssuedToken(token: token, endsAt: endsAt, events: events)
    }

    /// Confirms exactly the grants that the token was issued for, as far as they still decide: who has withdrawn, or has
    /// agreed to something newer meanwhile, is not brought back.
    ///
    /// - Throws: ``RightsError``, and what the ledger throws.
    func confirmToken(_ confirmation: TokenConfirmation) throws -> [ConfirmedConsent] {
        guard var token = try draft.token(confirmationTokenHash(Array(confirmation.token.utf8))) else {
            throw RightsError.tokenUnknown
        }
        switch token.state {
        case .used: throw RightsError.tokenUsed(at: token.endedAt ?? now)
        case .lapsed: throw RightsError.tokenLapsed(at: token.endsAt)
        case .waiting where token.endsAt <= now: throw RightsError.tokenLapsed(at: token.endsAt)
        case .waiting: break
        }
        let work = try owner(ofToken: token)
        var waiting: [(event: ConsentEvent, purpose: Purpose, grant: UInt64)] = []
        var first = ""
        for sequence in token.events {
            guard let grant = try draft.event(sequence)?.event, let purpose = catalog.purpose(id: grant.purpose)
            else {
                throw LedgerError.corrupt(where: "event \(sequence)", what: "a token is for it, but it is no grant")
            }
            if first.isEmpty { first = purpose.id }
            guard try grantWaiting(of: work, purpose) == sequence else { continue }
            waiting.append((try confirmed(grant, by: confirmation), purpose, sequence))
        }
        guard !waiting.isEmpty else { throw RightsError.admission(.nothingToConfirm(purpose: first)) }
        (token.state, token.endedAt) = (.used, now)
        draft.put(token)
        return waiting.map { event, purpose, grant in
            ConfirmedConsent(
                sequence: append(event, work, purpose.bit, refersTo: grant), refersTo: grant, purpose: purpose.id,
                revision: event.revision)
        }
    }

    /// What a token says of a grant that it was issued for. The guardian is judged in both forms: as named, which no text
    /// may hold, and as kept, in which the grant names the person.
    private func confirmed(_ grant: ConsentEvent, by confirmation: TokenConfirmation) throws -> ConsentEvent {
        var event = grant.confirmed(by: confirmation, at: now)
        do throws(AdmissionError) {
            try admitConfirmation(event)
            event.guardian = confirmation.guardian?.withoutNationalID(hashKey)
            try admitConfirmation(event)
        } catch { throw RightsError.admission(error) }
        return event
    }

    /// Records for every token whose time is over, of at most so many, that what it was for has to be asked again. A grant
    /// for which a newer token still waits goes on waiting.
    func recordLapses(countMax: Int) throws {
        var waitedFor: [Int64: Set<UInt64>] = [:]
        for var token in try draft.tokensDue(at: now, countMax: countMax) {
            (token.state, token.endedAt) = (.lapsed, now)
            draft.put(token)
            let work = try owner(ofToken: token)
            let others = try waitedFor[work.record.id] ?? eventsWaitedFor(of: work)
            waitedFor[work.record.id] = others
            for sequence in token.events where !others.contains(sequence) {
                guard let grant = try draft.event(sequence)?.event, let purpose = catalog.purpose(id: grant.purpose),
                    work.record.standings[purpose.bit]?.unconfirmedGrant?.sequence == sequence
                else { continue }
                recordEnd(of: sequence, purpose, grant.revision, at: token.endsAt, work)
            }
        }
    }

    /// The grant of a person that waits to be confirmed; nil where none does. Of one that names what was taken off the
    /// person since, nobody can say any more whose it is.
    private func grantWaiting(of work: SubjectWork, _ purpose: Purpose) throws -> UInt64? {
        guard let act = work.record.standings[purpose.bit]?.unconfirmedGrant,
            let grant = try draft.event(act.sequence)?.event,
            grant.identifiers.allSatisfy({ work.record.has(hashOfStored($0)) })
        else { return nil }
        return act.sequence
    }

    /// What tokens of a person, and of those who became part of the person, are for and have not lapsed.
    private func eventsWaitedFor(of work: SubjectWork) throws -> Set<UInt64> {
        let tokens = try ([work] + parts(of: work)).flatMap { try draft.waitingTokens(of: $0.record.id) }
        return Set(tokens.filter { $0.endsAt > now }.flatMap(\.events))
    }

    /// Who requested, or whom that one is part of now.
    private func owner(ofToken token: StoredToken) throws -> SubjectWork {
        let subject = try load(token.subject)
        return try subject.record.joinedTo.map(load) ?? subject
    }
}

extension ConsentEvent {
    /// What a token says of the grant that it was issued for.
    fileprivate func confirmed(by confirmation: TokenConfirmation, at now: Timestamp) -> ConsentEvent {
        var event = ConsentEvent(identifiers: identifiers, purpose: purpose, state: .confirmed)
        event.party = confirmation.guardian == nil ? .subject : .guardian
        event.guardian = confirmation.guardian
        event.capturedAt = now
        event.revision = revision
        event.language = language
        event.method = .doubleOptIn
        event.source = confirmation.source
        event.actor = confirmation.actor
        return event
    }
}
