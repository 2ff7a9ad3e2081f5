package import ConsentModel

/// What is worth knowing of a row: of the last case one that became nothing, of all others one that became events.
package enum RowNote: UInt8, Sendable, NamedInSnakeCase {
    /// It says no, which is worth as much as a yes: who is in it must be left alone.
    case saysNo
    /// A consent that counts today.
    case counts
    /// A consent to a revision that the one in force does not carry over.
    case outdated
    case expired
    /// A consent that waits for its confirmation, which another row may hold.
    case unconfirmed
    /// A consent that is not explicit, not old enough, or otherwise less than its purpose asks for.
    case insufficient
    /// It asks, or puts an answer off.
    case asked
    /// A consent that counts, but of which nothing newer is known than the time that makes a record dormant.
    case dormant
    /// It says what an earlier row of the same register said.
    case repeated
    /// At the same moment another row of the same register said yes where this one says no, or the other way around. The
    /// "no" counts.
    case contradicted
    /// It says no, or may, and was rejected: who is in it may still be held for one who agreed.
    case noNotTaken

    /// Whether nothing can rest on it today.
    package var isWorthless: Bool {
        switch self {
        case .outdated, .expired, .unconfirmed, .insufficient, .asked: true
        case .saysNo, .counts, .dormant, .repeated, .contradicted, .noNotTaken: false
        }
    }

    /// What a row is worth, taken by itself and by the rules of a catalog; of several purposes the best counts.
    package init(_ row: RegisterRow, catalog: Catalog, now: Timestamp) {
        var best: RowNote?
        for event in row.events {
            let note = Self.note(event, catalog, now)
            if note.rawValue < best?.rawValue ?? .max { best = note }
        }
        self = best ?? .asked
    }

    private static func note(_ event: ConsentEvent, _ catalog: Catalog, _ now: Timestamp) -> RowNote {
        let state = event.state
        guard state.isGrant else {
            switch state {
            case .refused, .withdrawn, .revoked, .invalidated, .objected: return .saysNo
            case .requested, .deferred: return .asked
            default: return .counts
            }
        }
        guard let purpose = catalog.purpose(id: event.purpose) else { return .insufficient }
        var standing = Standing()
        standing.fold(Act(event, sequence: 1, recordedAt: now, refersTo: 0))
        switch decide(standing, catalog: catalog, purpose: purpose, at: now).reason {
        case .given, .renewed, .basisHolds: return .counts
        case .outdatedRevision: return .outdated
        case .expired: return .expired
        default:
            return purpose.requiresDoubleOptIn && event.method != .doubleOptIn ? .unconfirmed : .insufficient
        }
    }
}
