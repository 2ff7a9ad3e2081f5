import ConsentCatalog
import ConsentClient
import ConsentEngine
import ConsentModel
import ConsentRegister
import ConsentServer

/// Where an import's events go: to a server, straight into a node's engine, or nowhere, when they are only judged.
struct Recorder: Sendable {
    /// Waits for what became of the events; those that were not refused are durable then.
    typealias Outcomes = @Sendable () async throws -> [ImportOutcome]

    /// Whether events that are told to come again come behind later ones.
    let mayReorder: Bool
    /// The ledger as it was before; nil if nothing is recorded.
    let ledger: LedgerPoint?
    /// By which what is recorded is judged.
    let catalog: Catalog
    /// When it returns, the events are on their way, behind those of earlier calls.
    let send: @Sendable ([ConsentEvent]) async throws -> Outcomes

    init(_ client: ConsentClient) async throws {
        catalog = try await client.appliedCatalog()
        let server = client.server
        guard let history = [UInt8](hex: server.history) else {
            throw Failure(code: Exit.failed, message: "the server's history id '\(server.history)' is none")
        }
        mayReorder = true
        ledger = LedgerPoint(history: history, sequence: server.sequence)
        send = { events in
            let sent = try await client.send(events: events)
            return { try await sent.outcomes().map(ImportOutcome.init) }
        }
    }

    /// Judges as the door does; what is recorded already has no say.
    init(judgingBy catalog: Catalog, now: Timestamp) {
        mayReorder = false
        ledger = nil
        self.catalog = catalog
        send = { events in
            let outcomes = events.map { event in
                do throws(AdmissionError) {
                    _ = try admit(event, catalog: catalog, now: now)
                    return ImportOutcome.admitted
                } catch {
                    return ImportOutcome(error)
                }
            }
            return { outcomes }
        }
    }

    init(_ engine: Engine) throws {
        mayReorder = false
        catalog = engine.catalog.catalog
        ledger = LedgerPoint(history: engine.identity.history, sequence: try engine.record([]).head)
        send = { events in
            let (results, result) = AsyncThrowingStream<[ImportOutcome], any Error>.makeStream()
            engine.record(events.map { .success($0) }) { recorded in
                switch recorded {
                case .success(let recorded): result.yield(recorded.outcomes.map(ImportOutcome.init))
                case .failure(let error): result.finish(throwing: error)
                }
            }
            return {
                for try await outcomes in results { return outcomes }
                throw CancellationError()
            }
        }
    }
}

/// What became of one event of a register.
enum ImportOutcome {
    case recorded(sequence: UInt64)
    case known(sequence: UInt64)
    case refused(rule: String, message: String)
    /// Only judged: no rule at the door stands against it.
    case admitted

    init(_ outcome: RecordOutcome) {
        if let refusal = outcome.refusal {
            self = .refused(rule: refusal.name, message: outcome.message)
        } else {
            self = outcome.isDuplicate ? .known(sequence: outcome.sequence) : .recorded(sequence: outcome.sequence)
        }
    }

    init(_ outcome: EventOutcome) {
        switch outcome {
        case .recorded(let sequence): self = .recorded(sequence: sequence)
        case .duplicate(let sequence): self = .known(sequence: sequence)
        case .refused(let error): self.init(error)
        }
    }

    fileprivate init(_ error: AdmissionError) { self = .refused(rule: "\(error.code)", message: "\(error)") }
}

extension ConsentClient {
    /// The catalog in force; an empty one where none is applied.
    func appliedCatalog() async throws -> Catalog {
        guard server.catalogVersion > 0 else { return Catalog() }
        let (version, text) = try await catalogDocument()
        return try CatalogDocument(text: text, file: "catalog version \(version)").catalog
    }
}

extension RegisterRow {
    /// Whether all that it grants was captured before a moment.
    func isDormant(before moment: Timestamp?) -> Bool {
        guard let moment else { return false }
        return events.allSatisfy { event in event.state.isGrant && event.capturedAt.map { $0 < moment } ?? false }
    }
}

extension [UInt8] {
    /// Nil for anything but pairs of hex digits.
    fileprivate init?(hex text: String) {
        let digits = text.compactMap(\.hexDigitValue)
        guard digits.count == text.count, digits.count % 2 == 0 else { return nil }
        self = stride(from: 0, to: digits.count, by: 2).map { UInt8(digits[$0] << 4 | digits[$0 + 1]) }
    }
}

extension State {
    /// Whether it is a "no".
    var takesAway: Bool { EventState(rawValue: rawValue)?.takesAway ?? false }
}
