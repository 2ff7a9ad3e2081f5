import ConsentIndex
import ConsentKernel
import ConsentModel

/// Checks without a server: reads the index of a node on this machine, which the node keeps up to date. One thread's;
/// make one for each. Never writes and never waits for the node.
///
///     var reader = try ConsentReader(folder: "/var/lib/club")
///     let newsletter = try reader.purpose("newsletter")
///     let kari = try ConsentReader.Person("email:kari@example.no")
///     if reader.check(kari, purpose: newsletter).isGranted { … }
public struct ConsentReader: ~Copyable {
    /// Only ``granted`` permits anything.
    public enum Decision: UInt8, Sendable {
        case unknown = 0
        case denied = 1
        case granted = 2
    }

    /// Why a decision is what it is; stands for its class, as on the wire.
    public enum Reason: UInt8, Sendable {
        case unknown = 0
        case given = 4
        case withdrawn = 6
        case expired = 8
        case invalidated = 9
        case objected = 11
        case basisHolds = 12
    }

    /// How current an answer is.
    public enum Freshness: UInt8, Sendable {
        case live = 0
        /// The node is silent, but within what the purpose's `maxStaleness` allows: the decision counts.
        case stale = 1
        /// Past that: the decision is unknown.
        case unavailable = 2
    }

    public struct Answer: Sendable, Equatable {
        public let decision: Decision
        public let reason: Reason
        public let freshness: Freshness

        public var isGranted: Bool { decision == .granted }

        static let unavailable = Answer(decision: .unknown, reason: .unknown, freshness: .unavailable)
    }

    /// Of the catalog; ask for it once. Where its bit has become another purpose's, such as in a node that was made anew or
    /// put back to an older state, it is unavailable until it is asked for again.
    public struct Purpose: Sendable, Hashable {
        let id: String
        let bit: Int
    }

    public struct Person: Sendable, Hashable {
        let identifier: Identifier

        /// Reads `email:kari@example.no`.
        public init(_ text: String) throws(ConsentReaderError) {
            do throws(AdmissionError) {
                identifier = try Identifier(text: text)
            } catch {
                throw ConsentReaderError("\(error)")
            }
        }
    }

    private let path: String
    private var key: IdentifierHashKey
    private var mapped: MappedReader
    private var openedAt = Clock.monotonicNanos()
    private var named = Named()

    /// The purposes of the file that is read, by their bits.
    private struct Named {
        /// Nil: of none.
        var generation: UInt64?
        var ids: [Int: String] = [:]
    }

    /// A node that was restored or made anew under the same path is found again after this time.
    private static let reopenNanos: Int64 = 1_000_000_000

    /// - Parameter path: the node's folder.
    /// - Throws: if its key or its index cannot be read.
    public init(folder path: String) throws(ConsentReaderError) {
        let key = try ConsentReaderError.naming(path) { try Self.key(path) }
        let mapped = try ConsentReaderError.naming(path) { try MappedReader(Self.index(path), keyCheck: key.check) }
        self.path = path
        self.key = key
        self.mapped = mapped
    }

    private static func index(_ path: String) -> IndexFolder { IndexFolder(path + "/index") }

    private static func key(_ path: String) throws -> IdentifierHashKey {
        let bytes = try File.read(path + "/index.key", sizeMax: 4096)
        guard bytes.count == IdentifierHashKey.size else {
            throw ConsentReaderError("index.key has \(bytes.count) bytes instead of \(IdentifierHashKey.size)")
        }
        return IdentifierHashKey(bytes: bytes)
    }

    /// - Throws: if the catalog in force has no such purpose.
    public func purpose(_ id: String) throws(ConsentReaderError) -> Purpose {
        let bits = try ConsentReaderError.naming(path) { try Self.index(path).purposes() }
        guard let bit = bits[id] else { throw ConsentReaderError("the catalog has no purpose '\(id)'") }
        return Purpose(id: id, bit: bit)
    }

    public mutating func check(_ person: Person, purpose: Purpose) -> Answer {
        check([person], purpose: purpose)[0]
    }

    /// One answer for each purpose, in their order; each is right by itself.
    public mutating func check(_ person: Person, purposes: [Purpose]) -> [Answer] {
        var answers: [Answer] = []
        for purpose in purposes { answers.append(check(person, purpose: purpose)) }
        return answers
    }

    /// One answer for each person, in their order.
    public mutating func check(_ people: [Person], purpose: Purpose) -> [Answer] {
        let answers = checkOnce(people, purpose)
        // Nothing tells who has it mapped that an index was deleted; it is no longer vouched for.
        guard answers.contains(where: { $0.freshness != .live }), reopen() else { return answers }
        return checkOnce(people, purpose)
    }

    private mutating func checkOnce(_ people: [Person], _ purpose: Purpose) -> [Answer] {
        let now = UInt32(clamping: Clock.realtimeMillis() / 1000)
        let key = key
        let answers = mapped.check(people.map { key.hash($0.identifier) }, purposeBit: purpose.bit, now: now)
        // Behind the rows: their purposes were named before they came.
        guard isNamed(purpose) else { return people.map { _ in .unavailable } }
        return answers.map(Answer.init)
    }

    /// Whether the bit is that purpose's in the rows that were just read.
    private mutating func isNamed(_ purpose: Purpose) -> Bool {
        if named.generation == mapped.generation, named.ids[purpose.bit] == purpose.id { return true }
        guard let purposes = try? Self.index(path).purposes() else { return false }
        let ids = Dictionary(purposes.map { ($0.value, $0.key) }) { first, _ in first }
        // Of the same rows a catalog names more, and never others.
        if named.generation == mapped.generation, !named.ids.allSatisfy({ ids[$0.key] == $0.value }) { return false }
        named = Named(generation: mapped.generation, ids: ids)
        return ids[purpose.bit] == purpose.id
    }

    /// If nothing can be opened, what was open stays so.
    private mutating func reopen() -> Bool {
        let now = Clock.monotonicNanos()
        guard now - openedAt >= Self.reopenNanos else { return false }
        openedAt = now
        do {
            let key = try Self.key(path)
            mapped = try MappedReader(Self.index(path), keyCheck: key.check)
            self.key = key
            named = Named()
            return true
        } catch {
            return false
        }
    }
}

extension ConsentReader.Answer {
    init(_ mapped: MappedReader.Answer) {
        decision = ConsentReader.Decision(rawValue: mapped.answer.decisionByte) ?? .unknown
        reason = ConsentReader.Reason(rawValue: mapped.answer.reasonByte) ?? .unknown
        freshness = ConsentReader.Freshness(rawValue: mapped.freshness.rawValue) ?? .unavailable
    }
}
