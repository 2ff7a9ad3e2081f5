import ConsentKernel
import ConsentLedger
import Synchronization

/// Why a node cannot go on. Whoever runs it is told once of each and ends it.
package enum NodeFailure: Sendable, Equatable, CustomStringConvertible {
    /// The ledger contradicts itself: where and what. That is noted in the node's folder, which stays closed.
    case ledgerDamaged(String)
    /// The index cannot follow the ledger, or could not be closed in order.
    case indexBehind(String)

    package var description: String {
        switch self {
        case .ledgerDamaged(let finding), .indexBehind(let finding): finding
        }
    }
}

/// What is done about a damaged ledger, whoever finds it: a question, the writer, or a verification beside the server.
/// What such a ledger says may be anything, so nothing more is decided from it.
final class DamageWatch: Sendable {
    private let folder: NodeFolder
    private let fatal: @Sendable (NodeFailure) -> Void
    private let isFound = Atomic(false)
    private let trouble: @Sendable (String) -> Void
    private let isTroubled = Atomic(false)

    /// - Throws: ``LedgerError`` `closedAsDamaged` if damage was found before.
    init(
        _ folder: NodeFolder, trouble: @escaping @Sendable (String) -> Void,
        fatal: @escaping @Sendable (NodeFailure) -> Void
    ) throws {
        if let finding = try folder.damage() {
            throw LedgerError.closedAsDamaged(path: folder.damagePath, finding: finding)
        }
        self.folder = folder
        self.fatal = fatal
        self.trouble = trouble
    }

    /// Notes damage and ends the node. A ledger that cannot be used now is told of, once until it can be again.
    func report(_ error: EngineError) {
        if case .ledger(.unavailable) = error, !isTroubled.exchange(true, ordering: .relaxed) {
            trouble("\(error)")
        }
        guard case .ledger(let damage) = error, error.isDamage else { return }
        // The disk may be what is wrong: the node ends in any case.
        try? folder.noteDamage("\(damage)")
        end("\(damage)")
    }

    /// Looks whether somebody else has found damage.
    func look() {
        guard File.exists(folder.damagePath) else { return }
        end((try? folder.damage()) ?? "the ledger is damaged; see \(folder.damagePath)")
    }

    /// Tells of the end of trouble: something was stored.
    func noteStored() {
        guard isTroubled.load(ordering: .relaxed), isTroubled.exchange(false, ordering: .relaxed) else { return }
        trouble("the ledger can be used again")
    }

    /// Whether damage was found.
    var isDamaged: Bool { isFound.load(ordering: .relaxed) }

    private func end(_ finding: String) {
        guard !isFound.exchange(true, ordering: .relaxed) else { return }
        fatal(.ledgerDamaged(finding))
    }
}
