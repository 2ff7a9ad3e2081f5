import ConsentCatalog
package import ConsentLedger
package import ConsentModel
package import ConsentProof
import Synchronization

/// What became of one event that was offered.
package enum EventOutcome: Sendable, Equatable {
    case recorded(sequence: UInt64)
    /// It was in the ledger already.
    case duplicate(sequence: UInt64)
    case refused(AdmissionError)
}

package struct RecordResult: Sendable, Equatable {
    /// The end of the ledger after the commit.
    package var head: UInt64
    /// In the order of the events.
    package var outcomes: [EventOutcome]
}

package struct CatalogResult: Sendable {
    package var version: Int
    /// Zero if nothing had to change.
    package var sequence: UInt64
    /// For people.
    package var changes: [String]
}

/// Why a change or a question was not carried out. Nothing of it was stored.
package enum EngineError: Error, Sendable, CustomStringConvertible {
    /// The queue is full.
    case busy
    /// The engine closes.
    case closing
    case ledger(LedgerError)
    case catalogRejected(String)
    case catalogConflict(String)
    case catalogMissing
    case rights(RightsError)
    /// A question that cannot be answered as it was asked; says why.
    case questionInvalid(String)
    /// There is no event with this sequence.
    case eventUnknown(UInt64)
    /// There can be no receipt of the event.
    case receipt(ReceiptError)
    /// Who reads cannot be kept as it was said.
    case access(AccessFault)
    /// Another process writes to this node.
    case locked(path: String)
    case failed(String)

    /// Whatever an engine throws.
    package init(_ error: any Error) {
        self =
            error as? EngineError ?? (error as? LedgerError).map(EngineError.ledger)
            ?? (error as? RightsError).map(EngineError.rights) ?? .failed("\(error)")
    }

    /// What is stored contradicts itself.
    package static func damaged(at place: String, what: String) -> EngineError {
        .ledger(.corrupt(where: place, what: what))
    }

    /// Whether ``ledger(_:)`` is damaged; if not, trying again may help.
    package var isDamage: Bool {
        switch self {
        case .ledger(.corrupt), .ledger(.closedAsDamaged), .ledger(.notALedger): true
        default: false
        }
    }

    package var description: String {
        switch self {
        case .busy: "too much is waiting; try again a little later"
        case .closing: "the node closes and takes no new change"
        case .ledger(let error): "\(error); nothing was stored"
        case .catalogRejected(let problems): "the catalog breaks rules, nothing was applied:\n\(problems)"
        case .catalogConflict(let conflicts):
            "the catalog contradicts the one that is applied, nothing was applied:\n\(conflicts)"
        case .catalogMissing: "no catalog is applied; 'consentd catalog apply' does that"
        case .locked(let path): "another process has the node at \(path) open for writing"
        case .eventUnknown(let sequence): "there is no event \(sequence)"
        case .receipt(let error): "\(error)"
        case .access(let fault): "\(fault)"
        case .rights(let error): "\(error)"
        case .questionInvalid(let reason), .failed(let reason): reason
        }
    }
}

/// Something for the writer to do, and whom to tell.
enum Change {
    case record([Result<JudgedEvent, AdmissionError>], @Sendable (Result<RecordResult, EngineError>) -> Void)
    case applyCatalog(CatalogDocument, @Sendable (Result<CatalogResult, EngineError>) -> Void)
    case person(PersonChange)
    case access(AccessEntry, @Sendable (Result<UInt64, EngineError>) -> Void)

    /// Events that it may append.
    var weight: Int {
        switch self {
        case .record(let events, _): events.count
        case .applyCatalog, .person, .access: 1
        }
    }

    /// Whether all before it must be stored before it is decided about.
    var needsWholeLedger: Bool {
        switch self {
        case .record, .access: false
        // A catalog changes what is decided about everybody; what is done with a person as a whole reaches back to all that
        // is stored of the person.
        case .applyCatalog, .person: true
        }
    }

    func fail(_ error: EngineError) {
        switch self {
        case .record(_, let complete): complete(.failure(error))
        case .applyCatalog(_, let complete): complete(.failure(error))
        case .person(let change): change.fail(error)
        case .access(_, let complete): complete(.failure(error))
        }
    }
}

/// One committed group, as subscribers get it: durable, and visible in the index.
package struct CommittedGroup: Sendable {
    /// The first and the last sequence of the group. A subscriber that sees a gap has missed groups and reads the ledger.
    package var first: UInt64
    package var last: UInt64
    /// What became of all rows at once, before the rows below.
    package var outdatings: [Outdating] = []
    /// Where the node is with it.
    package var point: CommittedPoint
    /// Every other row that changed, as it is now.
    package var rows: RowChanges
    /// The version of a catalog that was applied in the group.
    package var catalogVersion: Int?
    /// Rows may have changed that are not listed one by one: see ``outdatings``.
    package var changedEverything: Bool { !outdatings.isEmpty }
}

/// A state of a node's ledger, and of the index that has followed it.
package struct CommittedPoint: Sendable, Equatable {
    package var sequence: UInt64
    /// The first 8 bytes of the last event's hash.
    package var chain: UInt64
    /// Of the index.
    package var digest: UInt64
}

/// The catalog that is in force.
package struct AppliedCatalog: Sendable {
    package var version: Int
    package var catalog: Catalog
    package var text: String
    package var digest: [UInt8]

    package init(version: Int, catalog: Catalog, text: String, digest: [UInt8]) {
        self.version = version
        self.catalog = catalog
        self.text = text
        self.digest = digest
    }

    /// Before the first one was applied: no purpose, so nothing is ever granted.
    package static let none = AppliedCatalog(
        version: 0, catalog: Catalog(), text: "", digest: [UInt8](repeating: 0, count: 32))

    /// What applies where nobody said anything.
    package var defaults: (granted: PurposeSet, denied: PurposeSet) {
        let retired = catalog.purposes.filter { !$0.isActive }.map(\.bit)
        return (PurposeSet(catalog.defaultGrants), PurposeSet(retired))
    }

    /// For how many seconds an answer counts when it is not live any more, by purpose bit.
    package var maxStaleness: [Int: UInt32] {
        let fixed = catalog.purposes.filter { $0.failPolicy == .static }
        return Dictionary(uniqueKeysWithValues: fixed.map { ($0.bit, UInt32(clamping: $0.maxStaleness.seconds)) })
    }

    package var purposeBits: [(bit: Int, id: String)] { catalog.purposes.map { ($0.bit, $0.id) } }
}

extension AppliedCatalog {
    /// - Throws: ``LedgerError`` `corrupt` if the text is not the one that was applied; the chain holds its digest.
    init(_ stored: StoredCatalog) throws(LedgerError) {
        let place = "catalog version \(stored.version)"
        do {
            let document = try CatalogDocument(text: stored.document, file: place)
            self.init(
                version: stored.version, catalog: document.catalog, text: stored.document, digest: document.digest)
        } catch {
            throw .corrupt(where: place, what: "this program does not accept it:\n\(error)")
        }
        guard digest == stored.digest else { throw .corrupt(where: place, what: "its text is not the one applied") }
    }
}

func loadCatalog(_ ledger: Ledger) throws -> AppliedCatalog {
    try ledger.read { try $0.catalog() }.map { try AppliedCatalog($0) } ?? .none
}

extension Catalog {
    /// The purposes of declarations that have a revision that became current within a time.
    func purposes(ofRevisionsEffectiveAfter begin: Timestamp, until end: Timestamp) -> Set<String> {
        let changed = declarations.filter { $0.revisions.contains { $0.effectiveAt > begin && $0.effectiveAt <= end } }
        return Set(changed.flatMap(\.revisions).flatMap(\.purposes))
    }
}

/// Who is told of every group.
final class Subscribers: Sendable {
    private struct State {
        var receivers: [Int: @Sendable (CommittedGroup) -> Void] = [:]
        var point: CommittedPoint
    }

    private let state: Mutex<State>
    private let told = Atomic<UInt64>(0)

    init(at point: CommittedPoint) { state = Mutex(State(point: point)) }

    /// Groups that were told of.
    var groupCount: UInt64 { told.load(ordering: .relaxed) }

    /// - Parameter begin: is told where the node is; whatever comes after that is told to the receiver.
    func add(
        begin: (CommittedPoint) -> Void = { _ in }, _ receive: @escaping @Sendable (CommittedGroup) -> Void
    ) -> Int {
        state.withLock { state in
            let number = (state.receivers.keys.max() ?? 0) + 1
            state.receivers[number] = receive
            begin(state.point)
            return number
        }
    }

    func remove(_ number: Int) { state.withLock { $0.receivers[number] = nil } }

    func tell(_ group: CommittedGroup) {
        told.add(1, ordering: .relaxed)
        let receivers = state.withLock { state in
            state.point = group.point
            return Array(state.receivers.values)
        }
        for receive in receivers { receive(group) }
    }
}
