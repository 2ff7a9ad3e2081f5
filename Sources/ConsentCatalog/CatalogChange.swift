package import ConsentModel

/// One difference between the catalog that is applied and the one that is to be.
package enum CatalogChange: Sendable, Equatable {
    case controllerAdded(String)
    /// `fields`: which of them.
    case controllerChanged(String, fields: [String])
    case controllerRemoved(String)
    case recipientAdded(String)
    case recipientChanged(String)
    case recipientRemoved(String)
    case dataCategoryAdded(String)
    case dataCategoryChanged(String)
    case dataCategoryRemoved(String)
    case purposeAdded(String)
    case purposeRetired(String)
    case purposeReactivated(String)
    case basisChanged(purpose: String, old: LawfulBasis, new: LawfulBasis)
    /// What a consent or an objection to the purpose needs in order to count.
    case conditionsChanged(purpose: String, conditions: [PurposeCondition])
    case purposeMoved(purpose: String, oldController: String, newController: String)
    case titleChanged(purpose: String)
    /// What edges answer when they have lost their upstream.
    case operational(purpose: String)
    /// How long tokens count that are issued from now on.
    case tokenLifetimeChanged(purpose: String, old: Period, new: Period)
    case declarationAdded(String)
    /// `breaking`: a consent to the revision before it does not carry over, so those people must be asked again from
    /// `effectiveAt` on. `affectedPurposes`: those for which some consent counts at some moment with one catalog and
    /// not with the other.
    case revisionAdded(RevisionName, breaking: Bool, effectiveAt: Timestamp, affectedPurposes: [String])
    /// A conflict too, once the revision is in force.
    case revisionChanged(RevisionName, affectedPurposes: [String])
    /// A conflict too, once the revision is in force.
    case revisionRemoved(RevisionName, affectedPurposes: [String])

    /// The purposes for which decisions may differ, now or later, so that they have to be computed again.
    package var affectedPurposes: [String] {
        switch self {
        case .purposeAdded(let purpose), .purposeRetired(let purpose), .purposeReactivated(let purpose),
            .basisChanged(let purpose, _, _), .conditionsChanged(let purpose, _):
            [purpose]
        case .revisionAdded(_, _, _, let purposes), .revisionChanged(_, let purposes),
            .revisionRemoved(_, let purposes):
            purposes
        case .controllerAdded, .controllerChanged, .controllerRemoved, .recipientAdded, .recipientChanged,
            .recipientRemoved, .dataCategoryAdded, .dataCategoryChanged, .dataCategoryRemoved, .purposeMoved,
            .titleChanged, .operational, .tokenLifetimeChanged, .declarationAdded:
            []
        }
    }
}

/// A field of a purpose that decides which acts count.
package enum PurposeCondition: String, Sendable, CaseIterable {
    case explicit
    case doubleOptIn
    case validityDuration
    case minimumAge
    case profiling
    case directMarketing
    case sharing
    case dataCategories
    /// A data category of the purpose, or of a revision that covers it, became a special one or ceased to be.
    case specialCategory
}

extension CatalogChange: CustomStringConvertible {
    /// For people, in one line.
    package var description: String {
        switch self {
        case .controllerAdded(let id): "controller '\(id)' is added"
        case .controllerChanged(let id, let fields):
            "controller '\(id)' has another \(fields.joined(separator: ", "))"
        case .controllerRemoved(let id): "controller '\(id)' is removed"
        case .recipientAdded(let id): "recipient '\(id)' is added"
        case .recipientChanged(let id): "recipient '\(id)' changes"
        case .recipientRemoved(let id): "recipient '\(id)' is removed"
        case .dataCategoryAdded(let id): "data category '\(id)' is added"
        case .dataCategoryChanged(let id): "data category '\(id)' changes"
        case .dataCategoryRemoved(let id): "data category '\(id)' is removed"
        case .purposeAdded(let id): "purpose '\(id)' is added"
        case .purposeRetired(let id): "purpose '\(id)' is retired: nothing is granted for it any more"
        case .purposeReactivated(let id): "purpose '\(id)' is active again"
        case .basisChanged(let id, let old, let new):
            "purpose '\(id)' rests on \(new.name) instead of \(old.name)"
                + (old == .consent
                    ? ": from then on it is granted for everybody, asked or not, but those whose \"no\" counts"
                    : new == .consent ? ": from then on it is granted for those alone who have agreed" : "")
        case .conditionsChanged(let id, let conditions):
            "purpose '\(id)' has other conditions: \(conditions.map(\.rawValue).joined(separator: ", "))"
        case .purposeMoved(let id, let old, let new): "purpose '\(id)' moves from controller '\(old)' to '\(new)'"
        case .titleChanged(let id): "purpose '\(id)' has another title"
        case .operational(let id): "purpose '\(id)' is answered otherwise by edges that have lost their upstream"
        case .tokenLifetimeChanged(let id, let old, let new):
            "tokens that confirm '\(id)' count for \(new.seconds) s instead of \(old.seconds) s from now on"
        case .declarationAdded(let id): "declaration '\(id)' is added"
        case .revisionAdded(let name, let breaking, let effectiveAt, _):
            "revision \(name.text) is added and becomes current at \(effectiveAt.iso8601); "
                + (breaking ? "earlier consents do not carry over" : "nobody has to be asked again")
        case .revisionChanged(let name, _): "revision \(name.text) changes"
        case .revisionRemoved(let name, _): "revision \(name.text) is removed"
        }
    }
}

/// What applying `new` over `old` changes, in a stable order: controllers, recipients, data categories, purposes by
/// bit, declarations in the order of `new`. Against nothing, everything is added.
package func catalogChanges(from old: Catalog?, to new: Catalog) -> [CatalogChange] {
    let old = old ?? Catalog()
    let reclassified = reclassifiedCategories(from: old, to: new)
    return partChanges(
        old.controllers, new.controllers, id: \.id, added: CatalogChange.controllerAdded,
        changed: { .controllerChanged($1.id, fields: $0.fieldsThatDiffer(from: $1)) },
        removed: CatalogChange.controllerRemoved)
        + partChanges(
            old.recipients, new.recipients, id: \.id, added: CatalogChange.recipientAdded,
            changed: { .recipientChanged($1.id) }, removed: CatalogChange.recipientRemoved)
        + partChanges(
            old.dataCategories, new.dataCategories, id: \.id, added: CatalogChange.dataCategoryAdded,
            changed: { .dataCategoryChanged($1.id) }, removed: CatalogChange.dataCategoryRemoved)
        + new.purposes.flatMap { purposeChanges($0, from: old, reclassified: reclassified) }
        + new.declarations.flatMap { declarationChanges($0, from: old, to: new) }
}

private func partChanges<Part: Equatable>(
    _ old: [Part], _ new: [Part], id: (Part) -> String, added: (String) -> CatalogChange,
    changed: (_ old: Part, _ new: Part) -> CatalogChange, removed: (String) -> CatalogChange
) -> [CatalogChange] {
    let oldByID = Dictionary(old.map { (id($0), $0) }, uniquingKeysWith: { first, _ in first })
    let newIDs = Set(new.map(id))
    let kept = new.compactMap { part -> CatalogChange? in
        guard let before = oldByID[id(part)] else { return added(id(part)) }
        return before == part ? nil : changed(before, part)
    }
    return kept + old.map(id).filter { !newIDs.contains($0) }.map(removed)
}

extension Controller {
    /// As a catalog names them.
    fileprivate func fieldsThatDiffer(from other: Controller) -> [String] {
        [
            ("name", name != other.name), ("contact", contact != other.contact),
            ("dataProtectionOfficer", dataProtectionOfficer != other.dataProtectionOfficer),
            ("parent", parent != other.parent), ("address", address != other.address), ("phone", phone != other.phone),
            ("url", url != other.url),
        ].filter(\.1).map(\.0)
    }
}

private func purposeChanges(
    _ purpose: Purpose, from old: Catalog, reclassified: Set<String>
) -> [CatalogChange] {
    let id = purpose.id
    guard let before = old.purpose(id: id) else { return [.purposeAdded(id)] }
    var changes: [CatalogChange] = []
    if before.isActive != purpose.isActive {
        changes.append(purpose.isActive ? .purposeReactivated(id) : .purposeRetired(id))
    }
    if before.basis != purpose.basis {
        changes.append(.basisChanged(purpose: id, old: before.basis, new: purpose.basis))
    }
    let conditions = PurposeCondition.allCases.filter { condition in
        differs(condition, before, purpose)
            || condition == .specialCategory && isReclassified(purpose, reclassified, in: old)
    }
    if !conditions.isEmpty { changes.append(.conditionsChanged(purpose: id, conditions: conditions)) }
    if before.controller != purpose.controller {
        changes.append(
            .purposeMoved(purpose: id, oldController: before.controller, newController: purpose.controller))
    }
    if before.title != purpose.title { changes.append(.titleChanged(purpose: id)) }
    if before.failPolicy != purpose.failPolicy || before.maxStaleness != purpose.maxStaleness {
        changes.append(.operational(purpose: id))
    }
    let (lifetime, newLifetime) = (before.tokenLifetime, purpose.tokenLifetime)
    if lifetime != newLifetime {
        changes.append(.tokenLifetimeChanged(purpose: id, old: lifetime, new: newLifetime))
    }
    return changes
}

private func differs(_ condition: PurposeCondition, _ old: Purpose, _ new: Purpose) -> Bool {
    switch condition {
    case .explicit: old.requiresExplicit != new.requiresExplicit
    case .doubleOptIn: old.requiresDoubleOptIn != new.requiresDoubleOptIn
    case .validityDuration: old.validity != new.validity
    case .minimumAge: old.minimumAge != new.minimumAge
    case .profiling: old.isProfiling != new.isProfiling
    case .directMarketing: old.isDirectMarketing != new.isDirectMarketing
    case .sharing: old.isSharing != new.isSharing
    case .dataCategories: Set(old.dataCategories) != Set(new.dataCategories)
    case .specialCategory: false
    }
}

/// The data categories that became special or ceased to be.
private func reclassifiedCategories(from old: Catalog, to new: Catalog) -> Set<String> {
    let before = Set(old.dataCategories.filter(\.isSpecial).map(\.id))
    let after = Set(new.dataCategories.filter(\.isSpecial).map(\.id))
    let known = Set(old.dataCategories.map(\.id)).intersection(new.dataCategories.map(\.id))
    return before.symmetricDifference(after).intersection(known)
}

/// Whether a consent to `purpose` that exists already comes to need to be explicit, or no longer does.
private func isReclassified(_ purpose: Purpose, _ categories: Set<String>, in old: Catalog) -> Bool {
    guard !categories.isEmpty else { return false }
    let covering = old.declarations.lazy.flatMap(\.revisions).filter { $0.purposes.contains(purpose.id) }
    return !categories.isDisjoint(with: purpose.dataCategories)
        || covering.contains { !categories.isDisjoint(with: $0.dataCategories) }
}

private func declarationChanges(_ after: Declaration, from old: Catalog, to new: Catalog) -> [CatalogChange] {
    let before = old.declaration(id: after.id)
    let differing = differingRevisions(before, after, old, new)
    let affected = before.map { affectedPurposes($0, after, since: differing) } ?? []
    var changes: [CatalogChange] = before == nil ? [.declarationAdded(after.id)] : []
    for revision in differing {
        let name = RevisionName(declaration: after.id, revision: revision.name)
        if after.revision(revision.name) == nil {
            changes.append(.revisionRemoved(name, affectedPurposes: affected))
        } else if before?.revision(revision.name) == nil {
            changes.append(
                .revisionAdded(
                    name, breaking: isBreaking(revision, in: after), effectiveAt: revision.effectiveAt,
                    affectedPurposes: affected))
        } else {
            changes.append(.revisionChanged(name, affectedPurposes: affected))
        }
    }
    return changes
}

/// The revisions of `after` that `before` does not have like that, then those that only `before` has.
private func differingRevisions(
    _ before: Declaration?, _ after: Declaration, _ old: Catalog, _ new: Catalog
) -> [Revision] {
    let changed = after.revisions.filter { revision in
        guard let earlier = before?.revision(revision.name) else { return true }
        return revisionDigest(earlier, of: after.id, in: old) != revisionDigest(revision, of: after.id, in: new)
    }
    return changed + (before?.revisions.filter { after.revision($0.name) == nil } ?? [])
}

/// Whether a consent to the revision that it takes over from does not carry over for each purpose of that one.
private func isBreaking(_ revision: Revision, in declaration: Declaration) -> Bool {
    guard let preceding = declaration.revisions.last(where: { $0.effectiveAt < revision.effectiveAt }) else {
        return false
    }
    return !preceding.purposes.allSatisfy { purpose in
        declaration.carriesOver(from: preceding.name, to: revision, purpose: purpose)
    }
}

/// The purposes for which a consent to a revision of `before` carries over at some moment in one of the declarations
/// and not in the other. Before the first differing revision takes effect the two say the same.
private func affectedPurposes(
    _ before: Declaration, _ after: Declaration, since differing: [Revision]
) -> [String] {
    let times = differing.flatMap { [before.revision($0.name)?.effectiveAt, after.revision($0.name)?.effectiveAt] }
    guard let start = times.compactMap({ $0 }).min() else { return [] }
    let moments = Set((before.revisions + after.revisions).map(\.effectiveAt).filter { $0 >= start })
    let purposes = Set((before.revisions + after.revisions).flatMap(\.purposes))
    return purposes.sorted().filter { purpose in
        moments.contains { moment in
            before.revisions.contains { revision in
                before.counts(revision.name, for: purpose, at: moment)
                    != after.counts(revision.name, for: purpose, at: moment)
            }
        }
    }
}

extension Declaration {
    /// Whether a consent to `revision` counts for `purpose` at `moment`.
    fileprivate func counts(_ revision: String, for purpose: String, at moment: Timestamp) -> Bool {
        currentRevision(at: moment).map { carriesOver(from: revision, to: $0, purpose: purpose) } ?? false
    }
}
