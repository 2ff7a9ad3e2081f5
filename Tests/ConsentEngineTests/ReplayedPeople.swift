import ConsentEngine
import ConsentIndex
import ConsentLedger
import ConsentModel
import ConsentTestSupport

/// Where people stand by the chain alone, from its first event on: what linked and unlinked identifiers included.
struct ReplayedPeople {
    private let people: [Int64: [String: Standing]]

    init(_ node: TestNode) throws {
        let ledger = try Ledger(path: node.folder.ledgerPath)
        people = try ledger.read { snapshot in
            var people: [Int64: [String: Standing]] = [:]
            try snapshot.walkChain { _, entry in
                if let entry { Self.replay(entry.event, into: &people) }
            }
            return people
        }
        try ledger.close()
    }

    /// By purpose; empty for a person that is not known.
    func standings(of name: Identifier, _ engine: Engine) -> [String: Standing] {
        engine.publication.current.owner(of: engine.hashKey.hash(name)).flatMap { people[Int64($0)] } ?? [:]
    }

    private static func replay(_ event: SubjectEvent, into people: inout [Int64: [String: Standing]]) {
        switch event {
        case .consent(let event):
            people[event.subject, default: [:]][event.event.purpose, default: Standing()].fold(Act(event))
        case .erasure(let erasure):
            people[erasure.subject] = people[erasure.subject]?.mapValues { standing in
                var standing = standing
                standing.fold(erasure.act)
                return standing
            }
        case .link(let link):
            let other = people[link.other] ?? [:]
            switch link.action {
            case .linked:
                for (purpose, standing) in other {
                    let known = people[link.subject, default: [:]][purpose] ?? Standing()
                    people[link.subject]?[purpose] = known.joined(
                        with: standing, sequence: link.sequence, at: link.recordedAt)
                }
            case .separated: people[link.subject] = other.mapValues(\.separated)
            case .joinedTo, .unlinked: break
            }
        }
    }
}
