import ConsentModel
import ConsentWire

/// The answer to a request, judged against what was asked.
enum Answer: Sendable {
    case pong
    case checked(Checked)
    /// `bits` are the purposes in the order in which they were asked for.
    case checkedPurposes(CheckedSet, bits: [Int])
    case checkedSubjects(CheckedSet, count: Int)
    case explained(Explained)
    case recorded(Recorded)
    case appliedCatalog(CatalogApplied)
    /// With the purposes of the catalog that its bits are of.
    case historyPage(HistoryPage, purposes: PurposeTable)
    case catalogPurposes(CatalogPurposes)
    case catalogText(CatalogText)
    case statisticValues(StatisticValues)
    case nodeStatus(NodeStatus)
    case enforcedBy(EnforcedBy)
    case grantedCount(GrantedCount)
    case peoplePage(FoundPeople)
    case erased(Erased)
    case linked(LinkOutcome)
    case unlinked(LinkOutcome)
    case tokenIssued(TokenIssued)
    case tokenConfirmed(TokenConfirmed)
    case checkpointed(ProofText)
    case proved(ProofText)
    case accessPage(FoundAccesses)

    init(_ frame: Frame, _ opcode: Opcode, _ expectation: Expectation) throws(Violation) {
        let answer = try Violation.ifAnswerFails { () throws(AnswerError) -> Answer? in
            switch (opcode, expectation) {
            case (.pong, .pong(let echo)): try Pong(frame).echo == echo ? .pong : nil
            case (.checked, .checked): .checked(try Checked(frame))
            case (.checkedPurposes, .checkedPurposes(let bits, _)):
                .checkedPurposes(try CheckedSet(purposesIn: frame), bits: bits)
            case (.checkedSubjects, .checkedSubjects(let count)):
                .checkedSubjects(try CheckedSet(subjectsIn: frame, count: count), count: count)
            case (.explained, .explained): .explained(try Explained(frame))
            case (.recorded, .recorded): .recorded(try Recorded(frame))
            case (.appliedCatalog, .appliedCatalog): .appliedCatalog(try CatalogApplied(frame))
            case (.historyPage, .historyPage): .historyPage(try HistoryPage(frame), purposes: .empty)
            case (.catalogPurposes, .catalogPurposes): .catalogPurposes(try CatalogPurposes(frame))
            case (.catalogText, .catalogText): .catalogText(try CatalogText(frame))
            case (.statisticValues, .statisticValues): .statisticValues(try StatisticValues(frame))
            case (.nodeStatus, .nodeStatus): .nodeStatus(try NodeStatus(frame))
            case (.enforcedBy, .enforcedBy): .enforcedBy(try EnforcedBy(frame))
            case (.grantedCount, .grantedCount): .grantedCount(try GrantedCount(frame))
            case (.peoplePage, .peoplePage): .peoplePage(try FoundPeople(frame))
            case (.erased, .erased): .erased(try Erased(frame))
            case (.linked, .linked): .linked(try LinkOutcome(frame, .linked))
            case (.unlinked, .unlinked): .unlinked(try LinkOutcome(frame, .unlinked))
            case (.tokenIssued, .tokenIssued): .tokenIssued(try TokenIssued(frame))
            case (.tokenConfirmed, .tokenConfirmed): .tokenConfirmed(try TokenConfirmed(frame))
            case (.checkpointed, .checkpointed): .checkpointed(try ProofText(frame, opcode))
            case (.proved, .proved): .proved(try ProofText(frame, opcode))
            case (.accessPage, .accessPage): .accessPage(try FoundAccesses(frame))
            default: nil
            }
        }
        guard let answer, answer.fits(expectation) else {
            throw Violation("'\(opcode)' is not an answer to what was asked")
        }
        self = answer
    }

    /// What the layout alone cannot say.
    private func fits(_ expectation: Expectation) -> Bool {
        switch (self, expectation) {
        case (.checked(let checked), _):
            checked.freshness != .unavailable || checked.decision == .unknown
        case (.checkedPurposes(let set, _), .checkedPurposes(_, let mask)):
            set.granted.count == mask.count && set.isWithin(mask)
        case (.checkedSubjects(let set, _), _):
            // One purpose, so one limit of staleness: past it nothing is known of anybody.
            set.freshness != .unavailable || (set.granted + set.denied).allSatisfy { $0 == 0 }
        case (.explained(let explained), _):
            explained.freshness != .unavailable || explained.decision == .unknown
        case (.recorded(let recorded), .recorded(let count)):
            recorded.outcomes.count == count
        case (.appliedCatalog(let applied), .appliedCatalog(let isDryRun)):
            applied.isDryRun == isDryRun
        case (.historyPage(let page, _), _):
            !page.events.contains(where: \.event.hasReservedBit)
        case (.enforcedBy(let enforced), .enforcedBy(let sequence)): enforced.sequence == sequence
        case (.accessPage(let page), .accessPage(let after)): !page.hasMore || page.next > after
        case (.peoplePage(let page), .peoplePage(let after)):
            // A page that does not lead on would be asked for without end.
            !page.hasMore || page.next > after
        default: true
        }
    }
}

extension CheckedSet {
    /// Whether it speaks of nothing that was not asked for.
    fileprivate func isWithin(_ mask: [UInt64]) -> Bool {
        zip(zip(granted, denied), mask).allSatisfy { ($0.0 | $0.1) & ~$1 == 0 }
    }
}
