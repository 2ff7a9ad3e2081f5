import ConsentCrypto
package import ConsentModel

// The canonical form: the bytes that stand for what a catalog says, however its text is written. Two catalogs with
// the same bytes mean the same, and two that mean the same have the same bytes.
//
//   UNIT       SIZE          BYTES
//   count      4             unsigned, big-endian
//   number     8             two's complement, big-endian
//   flag       1             0 or 1
//   text       4 + size      count of bytes, then UTF-8, as written in the catalog less blanks around it
//   bytes      4 + size      count of bytes, then the bytes
//   optional   1 or 1 + x    flag, then the value if it is there
//   list of x  4 + …         count, then each x
//
// A revision: what a person was shown, what was promised, and whose consents it carries on.
//
//   FIELD            UNIT                                      ORDER
//   form             text "consentd revision 1"
//   declaration      text
//   revision         text
//   effectiveAt      number, milliseconds since 1970
//   texts            list of: language, title, body, plain     by language
//   purposes         list of: id, controller's id              by id
//   dataCategories   list of: id, name                         by id
//   recipients       list of: id, name, country                by id
//   retention        text
//   storageLocation  text
//   jurisdiction     text
//   withdrawal       text
//   compatibleWith   optional text
//
// A recipient counts with its name and country and a data category with its name: another name is another promise. A
// controller counts with its id only, as a company may change its name and is still the one that consent was given
// to. Titles of purposes and postal addresses may be corrected, and are not in it.
//
// A catalog: everything.
//
//   FIELD            UNIT                                      ORDER
//   form             text "consentd catalog 1"
//   languages        list of text                              by language
//   controllers      list of: id, name, contact, dataProtectionOfficer, optional parent, and where they are said, each
//                    behind its name: text "controller.address" and the address, text "controller.phone" and the
//                    phone, text "controller.url" and the URL
//                                                              by id
//   recipients       list of: id, name, address, country, category
//                                                              by id
//   dataCategories   list of: id, name, special (flag)         by id
//   purposes         list of: bit (number), id, controller, titles (list of: language, title; by language), basis,
//                    dataCategories (list of text, sorted), explicit, doubleOptIn (flags), validityDuration
//                    (optional number of seconds), profiling, directMarketing, sharing (flags), minimumAge
//                    (optional number), failPolicy (text), maxStaleness (number of seconds), active (flag), and where
//                    it is said text "doubleOptInLifetime" and the number of its seconds
//                                                              by bit
//   declarations     list of: id, revisions (list of: digest (bytes); by effectiveAt)
//                                                              by id
//
// What was added later stands in it only where a catalog says it, so that an older catalog keeps its bytes. No purpose or
// declaration begins with a text, and no controller with one that has a full stop in it, so it cannot be taken for one.
//
// Sorting is by Unicode scalars, which for ids and language tags is by bytes.

/// SHA-256 of the revision's canonical form; what it refers to is looked up in `catalog`.
package func revisionDigest(_ revision: Revision, of declaration: String, in catalog: Catalog) -> [UInt8] {
    SHA256.digest(of: canonicalBytes(of: revision, of: declaration, in: catalog))
}

/// SHA-256 of the catalog's canonical form.
package func catalogDigest(_ catalog: Catalog, languages: [String]) -> [UInt8] {
    SHA256.digest(of: canonicalBytes(of: catalog, languages: languages))
}

/// The revision's canonical form, as the table above draws it.
package func canonicalBytes(of revision: Revision, of declaration: String, in catalog: Catalog) -> [UInt8] {
    var form = CanonicalForm("consentd revision 1")
    form.append(declaration)
    form.append(revision.name)
    form.append(revision.effectiveAt.millis)
    form.appendList(revision.texts.sorted { $0.key < $1.key }) { form, text in
        form.append(text.key, text.value.title, text.value.body, text.value.plain)
    }
    form.appendList(revision.purposes.sorted()) { form, id in
        form.append(id, catalog.purpose(id: id)?.controller ?? "")
    }
    form.appendList(revision.dataCategories.sorted()) { form, id in
        form.append(id, catalog.dataCategory(id: id)?.name ?? "")
    }
    form.appendList(revision.recipients.sorted()) { form, id in
        let recipient = catalog.recipient(id: id)
        form.append(id, recipient?.name ?? "", recipient?.country ?? "")
    }
    form.append(revision.retention, revision.storageLocation, revision.jurisdiction, revision.withdrawal)
    form.appendOptional(revision.compatibleWith) { $0.append($1) }
    return form.bytes
}

/// The catalog's canonical form, as the table above draws it.
package func canonicalBytes(of catalog: Catalog, languages: [String]) -> [UInt8] {
    var form = CanonicalForm("consentd catalog 1")
    form.appendList(languages.sorted()) { $0.append($1) }
    form.appendList(catalog.controllers.sorted { $0.id < $1.id }) { form, controller in
        form.append(controller.id, controller.name, controller.contact, controller.dataProtectionOfficer)
        form.appendOptional(controller.parent) { $0.append($1) }
        let later = [("address", controller.address), ("phone", controller.phone), ("url", controller.url)]
        for (name, text) in later where !text.isEmpty { form.append("controller.\(name)", text) }
    }
    form.appendList(catalog.recipients.sorted { $0.id < $1.id }) { form, recipient in
        form.append(recipient.id, recipient.name, recipient.address, recipient.country, recipient.category)
    }
    form.appendList(catalog.dataCategories.sorted { $0.id < $1.id }) { form, category in
        form.append(category.id, category.name)
        form.append(category.isSpecial)
    }
    form.appendList(catalog.purposes) { $0.append($1) }
    form.appendList(catalog.declarations.sorted { $0.id < $1.id }) { form, declaration in
        form.append(declaration.id)
        form.appendList(declaration.revisions) { form, revision in
            form.appendBytes(revisionDigest(revision, of: declaration.id, in: catalog))
        }
    }
    return form.bytes
}

/// Writes the units of the canonical form.
private struct CanonicalForm {
    private(set) var bytes: [UInt8] = []

    init(_ form: String) { append(form) }

    mutating func append(_ texts: String...) {
        for text in texts {
            appendCount(text.utf8.count)
            bytes.append(contentsOf: text.utf8)
        }
    }

    mutating func append(_ number: Int64) {
        for shift in stride(from: 56, through: 0, by: -8) { bytes.append(UInt8(truncatingIfNeeded: number >> shift)) }
    }

    mutating func append(_ flag: Bool) { bytes.append(flag ? 1 : 0) }

    mutating func appendBytes(_ content: [UInt8]) {
        appendCount(content.count)
        bytes.append(contentsOf: content)
    }

    mutating func appendOptional<Value>(_ value: Value?, _ append: (inout CanonicalForm, Value) -> Void) {
        self.append(value != nil)
        if let value { append(&self, value) }
    }

    mutating func appendList<Item>(_ items: [Item], _ append: (inout CanonicalForm, Item) -> Void) {
        appendCount(items.count)
        for item in items { append(&self, item) }
    }

    mutating func append(_ purpose: Purpose) {
        append(Int64(purpose.bit))
        append(purpose.id, purpose.controller)
        appendList(purpose.title.sorted { $0.key < $1.key }) { $0.append($1.key, $1.value) }
        append(purpose.basis.name)
        appendList(purpose.dataCategories.sorted()) { $0.append($1) }
        append(purpose.requiresExplicit)
        append(purpose.requiresDoubleOptIn)
        appendOptional(purpose.validity) { $0.append($1.seconds) }
        append(purpose.isProfiling)
        append(purpose.isDirectMarketing)
        append(purpose.isSharing)
        appendOptional(purpose.minimumAge) { $0.append(Int64($1)) }
        append(purpose.failPolicy.rawValue)
        append(purpose.maxStaleness.seconds)
        append(purpose.isActive)
        if let lifetime = purpose.doubleOptInLifetime {
            append("doubleOptInLifetime")
            append(lifetime.seconds)
        }
    }

    /// Traps past 4 GiB, which no catalog within its limits comes near.
    private mutating func appendCount(_ count: Int) {
        let count = UInt32(count)
        for shift in stride(from: 24, through: 0, by: -8) { bytes.append(UInt8(truncatingIfNeeded: count >> shift)) }
    }
}
