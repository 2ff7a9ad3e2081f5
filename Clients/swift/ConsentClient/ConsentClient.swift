package import ConsentModel

/// A connection to a consent server, shared by any number of tasks.
public final class ConsentClient: Sendable {
    init() { fatalError() }

    /// Connects, introduces the client and reads the purposes of the catalog.
    public static func connect(
        to endpoint: Endpoint, options: ClientOptions = .init()
    ) async throws(ConsentClientError) -> ConsentClient { fatalError() }

    public var server: ServerInfo { fatalError() }

    public func check(_ subject: Subject, purpose: String) async throws(ConsentClientError) -> Check { fatalError() }
    public func check(_ subject: Subject, purposes: [String]) async throws(ConsentClientError) -> PurposeChecks { fatalError() }
    public func check(_ subjects: [Subject], purpose: String) async throws(ConsentClientError) -> SubjectChecks { fatalError() }
    public func explain(_ subject: Subject, purpose: String) async throws(ConsentClientError) -> Explanation { fatalError() }
    public func record(_ acts: [ConsentAct]) async throws(ConsentClientError) -> [RecordOutcome] { fatalError() }
    package func record(events: [ConsentEvent]) async throws(ConsentClientError) -> [RecordOutcome] { fatalError() }
    public func history(of subject: Subject, after sequence: UInt64 = 0) async throws(ConsentClientError) -> [HistoryEntry] { fatalError() }
    public func purposes() async throws(ConsentClientError) -> [PurposeInfo] { fatalError() }
    public func catalogDocument() async throws(ConsentClientError) -> (version: Int, text: String) { fatalError() }
    public func applyCatalog(_ text: String, dryRun: Bool = false) async throws(ConsentClientError) -> CatalogOutcome { fatalError() }
    public func statistics() async throws(ConsentClientError) -> [(name: String, value: UInt64)] { fatalError() }
    public func ping() async throws(ConsentClientError) -> Duration { fatalError() }
    public func close() async { fatalError() }
}
