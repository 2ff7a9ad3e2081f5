package import ConsentModel
import Foundation

/// `Protocol/decisions/*.json`, read strictly: a field that the schema does not know is an error, because a mistyped
/// optional field would otherwise silently mean its default.
package enum DecisionCorpus {
    package struct Case: Sendable, CustomStringConvertible {
        package var file: String
        package var name: String
        package var catalog: Catalog
        package var purpose: String
        package var history: [Act]
        package var clock: Timestamp
        package var decision: Decision
        package var reason: ConsentState

        package var description: String { "\(file): \(name)" }
    }

    package struct Problem: Error, CustomStringConvertible {
        package var description: String
    }

    package static let cases: Result<[Case], Problem> = {
        do throws(Problem) { return .success(try load()) } catch { return .failure(error) }
    }()

    /// For arguments of tests; empty if the corpus cannot be read, which a test of its own reports.
    package static var readableCases: [Case] { (try? cases.get()) ?? [] }

    private static func load() throws(Problem) -> [Case] {
        let folder = Project.root.appending(path: "Protocol/decisions")
        let names = (try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? []
        var cases: [Case] = []
        for name in names.filter({ $0.hasSuffix(".json") }).sorted() {
            guard let data = try? Data(contentsOf: folder.appending(path: name)),
                let json = try? JSONSerialization.jsonObject(with: data)
            else { throw Problem(description: "\(name) is not JSON") }
            cases += try read(Fields(json, at: name), file: name)
        }
        return cases
    }

    private static func read(_ fields: consuming Fields, file: String) throws(Problem) -> [Case] {
        _ = try fields.text("about")
        let catalog = try readCatalog(fields.object("catalog"))
        var cases: [Case] = []
        for var fields in try fields.objects("cases") {
            let own = fields.has("catalog") ? try readCatalog(fields.object("catalog")) : catalog
            let name = try fields.text("name")
            fields.place = "\(file), '\(name)'"
            var history: [Act] = []
            for (position, event) in try fields.objects("history").enumerated() {
                history.append(try readAct(event, sequence: UInt64(position + 1)))
            }
            cases.append(
                Case(
                    file: file, name: name, catalog: own, purpose: try fields.text("purpose"), history: history,
                    clock: try fields.time("clock"), decision: try fields.named("decision"),
                    reason: try fields.named("reason")))
            try fields.end()
        }
        try fields.end()
        return cases
    }

    private static func readCatalog(_ fields: consuming Fields) throws(Problem) -> Catalog {
        var categories: [DataCategory] = []
        for var fields in try fields.objects("dataCategories", orEmpty: true) {
            let id = try fields.text("id")
            categories.append(DataCategory(id: id, name: id, isSpecial: try fields.flag("special")))
            try fields.end()
        }
        var purposes: [Purpose] = []
        for fields in try fields.objects("purposes") { purposes.append(try readPurpose(fields)) }
        var declarations: [Declaration] = []
        for var fields in try fields.objects("declarations") {
            let id = try fields.text("id")
            var revisions: [Revision] = []
            for fields in try fields.objects("revisions") { revisions.append(try readRevision(fields)) }
            declarations.append(Declaration(id: id, revisions: revisions))
            try fields.end()
        }
        try fields.end()
        return Catalog(dataCategories: categories, purposes: purposes, declarations: declarations)
    }

    private static func readPurpose(_ fields: consuming Fields) throws(Problem) -> Purpose {
        var purpose = Purpose(
            id: try fields.text("id"), bit: try fields.number("bit"), controller: "club", title: [:],
            basis: try fields.named("basis"))
        purpose.requiresExplicit = try fields.flag("explicit")
        purpose.requiresDoubleOptIn = try fields.flag("doubleOptIn")
        purpose.isProfiling = try fields.flag("profiling")
        purpose.isDirectMarketing = try fields.flag("directMarketing")
        purpose.isActive = try fields.flag("active", otherwise: true)
        purpose.dataCategories = try fields.texts("dataCategories")
        if fields.has("minimumAge") { purpose.minimumAge = try fields.number("minimumAge") }
        if fields.has("validity") {
            let text = try fields.text("validity")
            guard let period = Period(iso8601: text) else {
                throw Problem(description: "\(fields.place): validity '\(text)'")
            }
            purpose.validity = period
        }
        try fields.end()
        return purpose
    }

    private static func readRevision(_ fields: consuming Fields) throws(Problem) -> Revision {
        let revision = Revision(
            name: try fields.text("name"), effectiveAt: try fields.time("effectiveAt"),
            purposes: try fields.texts("purposes"), dataCategories: try fields.texts("dataCategories"),
            compatibleWith: fields.has("compatibleWith") ? try fields.text("compatibleWith") : nil)
        try fields.end()
        return revision
    }

    private static func readAct(_ fields: consuming Fields, sequence: UInt64) throws(Problem) -> Act {
        var act = Act(sequence: sequence, state: try fields.named("state"), capturedAt: try fields.time("capturedAt"))
        if fields.has("declaration") {
            act.revision = RevisionName(
                declaration: try fields.text("declaration"), revision: try fields.text("revision"))
        }
        if fields.has("method") { act.method = try fields.named("method") }
        if fields.has("party") { act.party = try fields.named("party") }
        if fields.has("age") { act.subjectAge = try fields.number("age") }
        if fields.has("expiresAt") { act.expiresAt = try fields.time("expiresAt") }
        if fields.has("refersTo") { act.refersTo = UInt64(try fields.number("refersTo")) }
        act.isExplicit = try fields.flag("explicit")
        try fields.end()
        return act
    }
}

/// One JSON object, whose fields are taken one by one; what is left at the end is unknown. A null is an absent field.
private struct Fields {
    var place: String
    private var rest: [String: Any]

    init(_ json: Any, at place: String) throws(DecisionCorpus.Problem) {
        guard let object = json as? [String: Any] else {
            throw DecisionCorpus.Problem(description: "\(place): not an object")
        }
        self.place = place
        rest = object.filter { !($0.value is NSNull) }
    }

    func has(_ field: String) -> Bool { rest[field] != nil }

    func end() throws(DecisionCorpus.Problem) {
        guard rest.isEmpty else {
            throw DecisionCorpus.Problem(description: "\(place): unknown fields \(rest.keys.sorted())")
        }
    }

    mutating func text(_ field: String) throws(DecisionCorpus.Problem) -> String { try take(field) }

    mutating func number(_ field: String) throws(DecisionCorpus.Problem) -> Int { try take(field) }

    mutating func texts(_ field: String) throws(DecisionCorpus.Problem) -> [String] {
        has(field) ? try take(field) : []
    }

    mutating func flag(_ field: String, otherwise: Bool = false) throws(DecisionCorpus.Problem) -> Bool {
        has(field) ? try take(field) : otherwise
    }

    mutating func time(_ field: String) throws(DecisionCorpus.Problem) -> Timestamp {
        let text = try text(field)
        guard let time = Timestamp(iso8601: text) else {
            throw DecisionCorpus.Problem(description: "\(place): \(field) '\(text)' is not a time")
        }
        return time
    }

    mutating func named<Value: NamedInSnakeCase>(_ field: String) throws(DecisionCorpus.Problem) -> Value {
        let text = try text(field)
        guard let value = Value(name: text) else {
            throw DecisionCorpus.Problem(description: "\(place): \(field) '\(text)' is none of \(Value.names)")
        }
        return value
    }

    mutating func object(_ field: String) throws(DecisionCorpus.Problem) -> Fields {
        let object: [String: Any] = try take(field)
        return try Fields(object, at: "\(place), \(field)")
    }

    mutating func objects(_ field: String, orEmpty: Bool = false) throws(DecisionCorpus.Problem) -> [Fields] {
        if orEmpty, !has(field) { return [] }
        let objects: [[String: Any]] = try take(field)
        var all: [Fields] = []
        for object in objects { all.append(try Fields(object, at: "\(place), \(field)")) }
        return all
    }

    private mutating func take<Value>(_ field: String) throws(DecisionCorpus.Problem) -> Value {
        guard let value = rest.removeValue(forKey: field) as? Value else {
            throw DecisionCorpus.Problem(description: "\(place): \(field) is missing or of the wrong type")
        }
        return value
    }
}
