package import ConsentModel

/// Why a catalog cannot be applied over another: it would change what people have agreed to already, or what recorded
/// bits mean.
package enum CatalogConflict: Sendable, Equatable {
    case bitReassigned(bit: Int, old: String, new: String)
    case bitChanged(purpose: String, old: Int, new: Int)
    case purposeRemoved(String)
    /// What was agreed to it before it was retired would count again.
    case purposeReactivated(String)
    case declarationRemoved(String)
    /// `parts` are the fields that differ, by their names in the catalog.
    case revisionChanged(RevisionName, parts: [String])
    case revisionRemoved(RevisionName)
    /// Consents that were given since would never have been to what people were shown.
    case revisionBackdated(RevisionName, effectiveAt: Timestamp)

    /// A short name that stays the same from release to release.
    package var rule: String {
        switch self {
        case .bitReassigned: "bit-reassigned"
        case .bitChanged: "bit-changed"
        case .purposeRemoved: "purpose-removed"
        case .purposeReactivated: "purpose-reactivated"
        case .declarationRemoved: "declaration-removed"
        case .revisionChanged: "revision-changed"
        case .revisionRemoved: "revision-removed"
        case .revisionBackdated: "revision-backdated"
        }
    }
}

extension CatalogConflict: CustomStringConvertible {
    /// What is wrong and what to do instead.
    package var description: String {
        switch self {
        case .bitReassigned(let bit, let old, let new):
            "bit \(bit) belongs to purpose '\(old)' for ever; give '\(new)' a bit that no purpose has had"
        case .bitChanged(let purpose, let old, let new):
            "purpose '\(purpose)' has bit \(old) for ever and cannot take bit \(new)"
        case .purposeRemoved(let purpose):
            "purpose '\(purpose)' is gone; keep it, with 'active: false', so that its bit is never used again"
        case .purposeReactivated(let purpose):
            "purpose '\(purpose)' was retired, which ended every consent to it; give what begins anew a purpose and a bit "
                + "of its own"
        case .declarationRemoved(let declaration):
            "declaration '\(declaration)' is gone; keep it, as people have been shown its revisions"
        case .revisionChanged(let name, let parts):
            "revision \(name.text) is in force and cannot change (\(parts.joined(separator: ", "))); "
                + "add a new revision instead"
        case .revisionRemoved(let name):
            "revision \(name.text) is gone; keep it, as people have been shown it"
        case .revisionBackdated(let name, let effectiveAt):
            "revision \(name.text) would have been in force since \(effectiveAt.iso8601), when people were still shown "
                + "another one; give it a moment to come"
        }
    }
}

/// What forbids applying `new` over `old`; empty if nothing does. By bit, then by declaration and revision.
///
/// - Parameter clock: a revision whose effective time has not come by then may still change or be withdrawn, as nobody
///   can have agreed to it. Without a clock, every applied revision stays as it is.
/// - Parameter addedFrom: what is added becomes current at this moment or later. Nil where nobody has been recorded yet:
///   then the catalog tells of the time before.
package func catalogConflicts(
    from old: Catalog, to new: Catalog, at clock: Timestamp = Timestamp(millis: .max), addedFrom: Timestamp? = nil
) -> [CatalogConflict] {
    old.purposes.flatMap { purposeConflicts($0, in: new) }
        + old.declarations.flatMap { declarationConflicts($0, from: old, to: new, at: clock) }
        + (addedFrom.map { backdated(from: old, to: new, at: clock, before: $0) } ?? [])
}

/// Revisions that were not in force, and would have been.
private func backdated(
    from old: Catalog, to new: Catalog, at clock: Timestamp, before limit: Timestamp
) -> [CatalogConflict] {
    new.declarations.flatMap { declaration in
        declaration.revisions.compactMap { revision in
            let name = RevisionName(declaration: declaration.id, revision: revision.name)
            let wasInForce = old.revision(name).map { $0.effectiveAt <= clock } ?? false
            guard revision.effectiveAt < limit, !wasInForce else { return nil }
            return .revisionBackdated(name, effectiveAt: revision.effectiveAt)
        }
    }
}

private func purposeConflicts(_ purpose: Purpose, in new: Catalog) -> [CatalogConflict] {
    var conflicts: [CatalogConflict] = []
    if let after = new.purpose(id: purpose.id) {
        if after.bit != purpose.bit {
            conflicts.append(.bitChanged(purpose: purpose.id, old: purpose.bit, new: after.bit))
        }
        if !purpose.isActive, after.isActive, after.basis == .consent {
            conflicts.append(.purposeReactivated(purpose.id))
        }
    } else {
        conflicts.append(.purposeRemoved(purpose.id))
    }
    if let taker = new.purpose(bit: purpose.bit), taker.id != purpose.id {
        conflicts.append(.bitReassigned(bit: purpose.bit, old: purpose.id, new: taker.id))
    }
    return conflicts
}

private func declarationConflicts(
    _ declaration: Declaration, from old: Catalog, to new: Catalog, at clock: Timestamp
) -> [CatalogConflict] {
    guard let after = new.declaration(id: declaration.id) else { return [.declarationRemoved(declaration.id)] }
    return declaration.revisions.filter { $0.effectiveAt <= clock }.compactMap { revision in
        let name = RevisionName(declaration: declaration.id, revision: revision.name)
        guard let revisionAfter = after.revision(revision.name) else { return .revisionRemoved(name) }
        let digest = revisionDigest(revision, of: declaration.id, in: old)
        guard digest != revisionDigest(revisionAfter, of: declaration.id, in: new) else { return nil }
        return .revisionChanged(name, parts: differingParts(revision, revisionAfter, old, new))
    }
}

/// By bytes, as the digest sees them: two spellings of `é` are two texts.
private func differingParts(
    _ before: Revision, _ after: Revision, _ oldCatalog: Catalog, _ newCatalog: Catalog
) -> [String] {
    let old = parts(of: before, in: oldCatalog)
    let new = parts(of: after, in: newCatalog)
    return Set(old.keys).union(new.keys).sorted().filter { part in
        old[part]?.map { Array($0.utf8) } != new[part]?.map { Array($0.utf8) }
    }
}

/// What a revision's canonical form holds, by the names of the catalog's keys.
private func parts(of revision: Revision, in catalog: Catalog) -> [String: [String]] {
    var parts: [String: [String]] = [:]
    parts["effectiveAt"] = [revision.effectiveAt.iso8601]
    parts["purposes"] = revision.purposes.sorted().flatMap { id in
        [id, catalog.purpose(id: id)?.controller ?? ""]
    }
    parts["dataCategories"] = revision.dataCategories.sorted().flatMap { id in
        [id, catalog.dataCategory(id: id)?.name ?? ""]
    }
    parts["recipients"] = revision.recipients.sorted().flatMap { id in
        let recipient = catalog.recipient(id: id)
        return [id, recipient?.name ?? "", recipient?.country ?? ""]
    }
    parts["retention"] = [revision.retention]
    parts["storageLocation"] = [revision.storageLocation]
    parts["jurisdiction"] = [revision.jurisdiction]
    parts["withdrawal"] = [revision.withdrawal]
    parts["compatibleWith"] = revision.compatibleWith.map { [$0] } ?? []
    for (language, text) in revision.texts { parts["texts.\(language)"] = [text.title, text.body, text.plain] }
    return parts
}
