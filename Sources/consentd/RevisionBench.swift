import ConsentBench
import ConsentCatalog
import ConsentEngine
import ConsentIndex
import ConsentKernel
import ConsentModel
import Foundation
import Synchronization

/// What it takes when a revision asks everybody again, while others check.
func revisionFigures(_ folder: String, identifiers: Int) throws -> [Figure] {
    let node = NodeFolder(folder + "/node")
    let now = Timestamp(millis: Clock.realtimeMillis())
    try node.create(deployment: nil, now: now)
    let engine = try Engine(node, identifiersExpected: identifiers) { Output.error("consentd: \($0)") }
    var revisions = [("1.0", now.advanced(bySeconds: -86_400))]
    _ = try engine.apply(try catalog(revisions))
    let people = identifiers / identifiersPerPerson
    Output.error("consentd bench: recording consents of \(people) people")
    try record(engine, people: people, revision: "1.0")

    let watch = Watch(engine)
    revisions.append(("2.0", Timestamp(millis: Clock.realtimeMillis())))
    let next = try catalog(revisions)
    let start = Clock.monotonicNanos()
    _ = try engine.apply(next)
    let applied = seconds(since: start)
    let (checks, longest) = watch.end()
    try expect(engine, people: people, club: .unknown)

    Output.error("consentd bench: asking them again")
    try record(engine, people: people, revision: "2.0")
    try expect(engine, people: people, club: .granted)
    let coming = Timestamp(millis: Clock.realtimeMillis() + 15_000)
    revisions.append(("3.0", coming))
    let announced = Clock.monotonicNanos()
    _ = try engine.apply(try catalog(revisions))
    let announcing = seconds(since: announced)
    try expect(engine, people: people, club: .granted)
    let before = engine.publication.current.appliedSequence
    while engine.publication.current.appliedSequence == before {
        Wakeup.pause(millis: 1)
        guard Clock.realtimeMillis() < coming.millis + 600_000 else { break }
    }
    let takenOver = Double(Clock.realtimeMillis() - coming.millis) / 1000
    try expect(engine, people: people, club: .unknown)
    try engine.close()
    return [
        Figure("identifiers asked again", Double(identifiers), ""),
        .atMost("a revision that asks everybody again, applied", applied, "s", 3),
        Figure("of this, checks of one reader meanwhile", Double(checks), ""),
        Figure("of this, longest that a hundred of them took", Double(longest) / 1e6, "ms"),
        .atMost("such a revision, announced", announcing, "s", 3),
        .atMost("such a revision, in force by time: all rows after", takenOver, "s", 3),
    ]
}

private let identifiersPerPerson = 4

private func seconds(since start: Int64) -> Double { Double(Clock.monotonicNanos() - start) / 1e9 }

/// Two purposes under the declaration that changes, and one under another.
private func catalog(_ revisions: [(name: String, effectiveAt: Timestamp)]) throws -> CatalogDocument {
    func revision(_ name: String, _ effectiveAt: Timestamp, _ purposes: String) -> String {
        """
              - revision: "\(name)"
                effectiveAt: \(effectiveAt.iso8601)
                purposes: [\(purposes)]
                retention: a year
                withdrawal: on the page
                texts: {en: {title: Yes, body: You agree to \(name).}}
        """
    }
    let purposes = ["mail", "sms", "recipes"].enumerated().map { bit, id in
        "  - {id: \(id), bit: \(bit), controller: club, title: {en: \(id)}, basis: consent, validityDuration: P2Y}"
    }
    let text = """
        format: 1
        languages: [en]
        controllers:
          - {id: club, name: Club AS, contact: post@club.example}
        purposes:
        \(purposes.joined(separator: "\n"))
        declarations:
          - id: club
            revisions:
        \(revisions.map { revision($0.name, $0.effectiveAt, "mail, sms") }.joined(separator: "\n"))
          - id: kitchen
            revisions:
        \(revision("1.0", revisions[0].effectiveAt, "recipes"))

        """
    return try CatalogDocument(text: text, file: "bench")
}

private func identifiers(ofPerson number: Int) throws -> [Identifier] {
    [
        try Identifier(type: .customer, value: "\(number)"),
        try Identifier(type: .email, value: "\(number)@example.no"),
        try Identifier(type: .phone, value: "+47\(40_000_000 + number)"),
        try Identifier(type: .loyaltyCard, value: "LC\(number)"),
    ]
}

/// Everybody agrees to the mails, and every fifth to the recipes, too.
private func record(_ engine: Engine, people: Int, revision: String) throws {
    for start in stride(from: 0, to: people, by: 4096) {
        var events: [ConsentEvent] = []
        for number in start..<min(start + 4096, people) {
            let identifiers = try identifiers(ofPerson: number)
            for (purpose, name) in [
                ("mail", RevisionName(declaration: "club", revision: revision)),
                ("recipes", RevisionName(declaration: "kitchen", revision: "1.0")),
            ] where purpose == "mail" || (number % 5 == 0 && revision == "1.0") {
                var event = ConsentEvent(identifiers: identifiers, purpose: purpose, state: .given)
                event.revision = name
                event.language = "en"
                event.method = .button
                events.append(event)
            }
        }
        for outcome in try engine.record(events).outcomes {
            guard case .recorded = outcome else { throw Failure(code: Exit.failed, message: "\(outcome)") }
        }
    }
}

/// - Throws: ``Failure`` if one of some people is answered otherwise than the rules say.
private func expect(_ engine: Engine, people: Int, club: Decision) throws {
    var reader = IndexReader(engine.publication)
    let now = UInt32(clamping: Clock.realtimeMillis() / 1000)
    for number in stride(from: 0, to: people, by: max(1, people / 1000)) {
        for identifier in try identifiers(ofPerson: number) {
            let hash = engine.hashKey.hash(identifier)
            let answers = (0..<3).map { reader.check(hash, purposeBit: $0, now: now).decision }
            guard answers == [club, .unknown, number % 5 == 0 ? .granted : .unknown] else {
                throw Failure(code: Exit.failed, message: "\(identifier.text) was answered \(answers)")
            }
        }
    }
}

/// One reader that checks again and again, beside the writer.
private final class Watch: Sendable {
    private let isOver = Atomic(false)
    private let checks = Atomic(0)
    private let longestNanos = Atomic<Int64>(0)
    private let thread = Mutex<ConsentKernel.Thread?>(nil)

    init(_ engine: Engine) {
        thread.withLock { thread in thread = ConsentKernel.Thread(name: "watch") { [self] in run(engine) } }
    }

    private func run(_ engine: Engine) {
        var reader = IndexReader(engine.publication)
        guard let identifier = try? Identifier(type: .customer, value: "7") else { return }
        let hash = engine.hashKey.hash(identifier)
        while !isOver.load(ordering: .acquiring) {
            let start = Clock.monotonicNanos()
            for _ in 0..<100 {
                _ = reader.check(hash, purposeBit: 0, now: UInt32(clamping: Clock.realtimeMillis() / 1000))
            }
            let took = Clock.monotonicNanos() - start
            if took > longestNanos.load(ordering: .relaxed) { longestNanos.store(took, ordering: .relaxed) }
            checks.add(100, ordering: .relaxed)
        }
    }

    /// Ends it; says how often it checked, and how long a hundred checks took at most.
    func end() -> (checks: Int, longestNanos: Int64) {
        isOver.store(true, ordering: .releasing)
        thread.withLock { thread in
            defer { thread = nil }
            return thread
        }?.join()
        return (checks.load(ordering: .relaxed), longestNanos.load(ordering: .relaxed))
    }
}
