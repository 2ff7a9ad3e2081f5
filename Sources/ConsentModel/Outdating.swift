/// What a revision does to everybody at once: no consent that was given for some purposes until then counts any more.
///
/// Kept as one fact instead of being written into what is kept of each person: whoever reads what was written of a person
/// before it applies it, see ``outdate(_:)`` of a row.
package struct Outdating: Equatable, Sendable {
    /// Of the event that brought it. What is said of a person at a later sequence knows of it already.
    package var sequence: UInt64
    package var purposes: PurposeSet
    /// When they stop to count; nil if they have.
    package var endsAt: Timestamp?

    package init(sequence: UInt64, purposes: PurposeSet, endsAt: Timestamp?) {
        self.sequence = sequence
        self.purposes = purposes
        self.endsAt = endsAt
    }

    /// Whether it says a moment at which consents for one of these purposes end.
    package func isEnding(anyOf purposes: PurposeSet) -> Bool {
        endsAt != nil && !self.purposes.isDisjoint(with: purposes)
    }
}

/// What a change of the catalog, or of the revision in force, does to everybody alike.
///
/// - Parameters:
///   - purposeBits: for which decisions may differ.
///   - before: the moment by which everybody was decided about; what people have agreed to was in force by then.
///   - now: the moment from which on the new catalog is gone by.
/// - Returns: first what stops to count now, then what will, each with the sequence 0; nil where it is not the same for
///   everybody, so that everybody has to be decided about.
package func outdatings(
    of purposeBits: Set<Int>, from old: Catalog, at before: Timestamp, to new: Catalog, at now: Timestamp
) -> [Outdating]? {
    var ended = PurposeSet()
    var ending: [Timestamp: PurposeSet] = [:]
    for bit in purposeBits {
        guard let oldPurpose = old.purpose(bit: bit) else { continue }
        guard let newPurpose = new.purpose(bit: bit), oldPurpose.decidesAs(newPurpose) else { return nil }
        guard newPurpose.basis == .consent, newPurpose.isActive else { continue }
        guard !isExplicitByData(newPurpose, old), !isExplicitByData(newPurpose, new) else { return nil }
        switch fate(ofConsentsTo: newPurpose.id, from: old, at: before, to: new, at: now) {
        case nil: return nil
        case .same: break
        case .ended: ended.insert(bit)
        case .ending(let moment): ending[moment, default: PurposeSet()].insert(bit)
        }
    }
    return (ended.isEmpty ? [] : [Outdating(sequence: 0, purposes: ended, endsAt: nil)])
        + ending.sorted { $0.key < $1.key }.map { Outdating(sequence: 0, purposes: $0.value, endsAt: $0.key) }
}

/// What becomes of every consent to one purpose that counts.
private enum Fate: Equatable {
    case same
    case ended
    case ending(Timestamp)
}

/// Nil if it is not the same for all.
private func fate(
    ofConsentsTo purpose: String, from old: Catalog, at before: Timestamp, to new: Catalog, at now: Timestamp
) -> Fate? {
    var fates: [Fate] = []
    for declaration in old.declarations {
        for revision in declaration.revisions where revision.effectiveAt <= before {
            let didCount = declaration.counts(revision.name, for: purpose, at: before)
            let after = new.declaration(id: declaration.id)
            let counts = after?.counts(revision.name, for: purpose, at: now) ?? false
            if counts, !didCount { return nil }
            guard didCount else { continue }
            guard counts, let after else {
                fates.append(.ended)
                continue
            }
            let oldEnd = declaration.end(of: revision.name, for: purpose, after: before)
            let newEnd = after.end(of: revision.name, for: purpose, after: now)
            if oldEnd == newEnd {
                fates.append(.same)
            } else if let newEnd, oldEnd.map({ $0 > newEnd }) ?? true {
                fates.append(.ending(newEnd))
            } else {
                return nil
            }
        }
    }
    guard let first = fates.first else { return .same }
    return fates.allSatisfy { $0 == first } ? first : nil
}

extension Declaration {
    fileprivate func counts(_ revision: String, for purpose: String, at moment: Timestamp) -> Bool {
        currentRevision(at: moment).map { carriesOver(from: revision, to: $0, purpose: purpose) } ?? false
    }

    /// When the first revision takes effect that a consent to this one does not carry over to.
    fileprivate func end(of revision: String, for purpose: String, after moment: Timestamp) -> Timestamp? {
        revisions.first { $0.effectiveAt > moment && !carriesOver(from: revision, to: $0, purpose: purpose) }?
            .effectiveAt
    }
}

extension Purpose {
    /// Whether the same acts count for both, as far as declarations do not matter.
    fileprivate func decidesAs(_ other: Purpose) -> Bool {
        var other = other
        (other.title, other.controller, other.failPolicy) = (title, controller, failPolicy)
        (other.maxStaleness, other.doubleOptInLifetime) = (maxStaleness, doubleOptInLifetime)
        return self == other
    }
}

/// Whether data that a revision or the purpose names may make a consent want to be explicit: then it hangs on how each
/// person consented.
private func isExplicitByData(_ purpose: Purpose, _ catalog: Catalog) -> Bool {
    if purpose.requiresExplicit { return false }
    let special = Set(catalog.specialDataCategories)
    let covering = catalog.declarations.filter { $0.revisions.contains { $0.purposes.contains(purpose.id) } }
    let used = purpose.dataCategories + covering.flatMap(\.revisions).flatMap(\.dataCategories)
    return used.contains(where: special.contains)
}
