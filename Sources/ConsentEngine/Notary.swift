import ConsentKernel
import ConsentLedger
import ConsentModel
package import ConsentProof
import Synchronization

extension NodeFolder {
    /// The node's checkpoints, one a line.
    package var checkpointsPath: String { path + "/checkpoints" }
    package var signingKeyPath: String { path + "/signing.key" }

    /// Makes a key to sign with.
    func makeSigningKey() throws {
        try File.replace(signingKeyPath, with: SystemRandom.bytes(SigningKey.size), mode: 0o600)
    }

    /// The key that this node signs with; nil if it has none yet.
    ///
    /// - Throws: ``LedgerError`` `keyWrong` for a file that is no key, or that others may read.
    package func signingKey() throws -> SigningKey? {
        guard File.exists(signingKeyPath) else { return nil }
        guard try FileDescriptor.open(signingKeyPath, .readOnly).mode() & 0o077 == 0 else {
            throw LedgerError.keyWrong(
                path: signingKeyPath, reason: "others may read it, and could sign; run 'chmod 600 \(signingKeyPath)'")
        }
        guard let key = SigningKey(bytes: try File.read(signingKeyPath, sizeMax: 4096)) else {
            throw LedgerError.keyWrong(path: signingKeyPath, reason: "it is no key of 32 bytes")
        }
        return key
    }

    /// All checkpoints that this node has made, oldest first. What stands behind the last line feed was not written to its
    /// end, and does not count.
    ///
    /// - Throws: ``ProofError`` if one of them is none.
    package func checkpoints() throws -> [Checkpoint] {
        guard File.exists(checkpointsPath) else { return [] }
        let bytes = try File.read(checkpointsPath)
        let whole = bytes.prefix((bytes.lastIndex(of: UInt8(ascii: "\n")) ?? -1) + 1)
        return try Checkpoint.list(String(decoding: whole, as: UTF8.self))
    }
}

/// Signs where the chain is: after so many events, some time after an event, when the node closes, and when somebody
/// wants it. The checkpoints stand in a file beside the ledger; see ``CheckpointFile``.
final class Notary: Sendable {
    private struct State {
        /// The last ones, oldest first.
        var recent: [Checkpoint]
        /// Monotonic nanoseconds; nil while all events are covered.
        var dueAt: Int64?
        var mustStop = false
    }

    private let file: CheckpointFile
    private let ledger: Ledger
    private let key: SigningKey
    private let damage: DamageWatch
    private let systemNow: @Sendable () -> Timestamp
    private let state: Mutex<State>
    private let wakeup: Wakeup
    private let head: @Sendable () -> UInt64
    private let thread = Mutex<ConsentKernel.Thread?>(nil)

    /// An event waits so long for its checkpoint at most.
    private static let intervalNanos: Int64 = 60_000_000_000
    private static let lookMillis: Int32 = 1000
    /// So many are kept in memory, for proofs of what was recorded within the last hour.
    private static let recentMax = 64

    /// - Parameter head: where the chain is; at once, on any thread.
    /// - Throws: ``LedgerError`` `keyWrong` if the checkpoints that are there were signed with another key, and
    ///   `checkpointsUnreadable` if one of the last is none.
    init(
        _ folder: NodeFolder, _ ledger: Ledger, damage: DamageWatch, systemNow: @escaping @Sendable () -> Timestamp,
        head: @escaping @Sendable () -> UInt64
    ) throws {
        let file = CheckpointFile(folder)
        let recent = try file.last()
        if recent.isEmpty, !File.exists(folder.signingKeyPath) { try folder.makeSigningKey() }
        guard let key = try folder.signingKey() else {
            throw LedgerError.keyWrong(
                path: folder.signingKeyPath,
                reason: "it is missing, and the checkpoints beside it are signed with it")
        }
        if let last = recent.last, last.key != key.verificationKey {
            throw LedgerError.keyWrong(
                path: folder.signingKeyPath, reason: "the checkpoints beside it are signed with another")
        }
        self.file = file
        self.ledger = ledger
        self.key = key
        self.damage = damage
        self.systemNow = systemNow
        state = Mutex(State(recent: recent))
        self.head = head
        wakeup = try Wakeup()
    }

    var verificationKey: VerificationKey { key.verificationKey }

    func signed(_ document: JSONValue) -> JSONValue { document.signed(with: key, at: systemNow()) }

    /// Signs the end of the chain, unless it is signed already.
    ///
    /// - Returns: the last checkpoint; nil while there is no event.
    /// - Throws: ``LedgerError`` `corrupt` if the ledger contradicts the one before. Nothing is signed then.
    func sign() throws -> Checkpoint? {
        try state.withLock { state in
            state.dueAt = nil
            while let next = try next(after: state.recent.last) {
                try file.append(next)
                state.recent.append(next)
                if state.recent.count > Self.recentMax { state.recent.removeFirst() }
            }
            return state.recent.last
        }
    }

    /// The checkpoint that covers an event, made now if there is none yet.
    func checkpoint(covering sequence: UInt64) throws -> Checkpoint? {
        let (known, isOlder) = state.withLock { state in
            (state.recent.last { $0.covers(sequence) }, state.recent.first.map { sequence < $0.first } ?? false)
        }
        if let known { return known }
        if isOlder { return try file.checkpoint(covering: sequence) }
        _ = try sign()
        return try state.withLock { $0.recent.last { $0.covers(sequence) } } ?? file.checkpoint(covering: sequence)
    }

    private func next(after last: Checkpoint?) throws -> Checkpoint? {
        let first = (last?.sequence ?? 0) + 1
        let events: [ChainHash] = try ledger.read { snapshot in
            if let last { try snapshot.requireAgreement(with: last) }
            let head = try snapshot.head().sequence
            guard head >= first else { return [] }
            return try snapshot.hashes(first...min(head, first + UInt64(Checkpoint.eventsMax) - 1))
        }
        guard !events.isEmpty else { return nil }
        return Checkpoint(
            history: ledger.identity.history, first: first, events: events, at: systemNow(), signedWith: key)
    }

    // MARK: By itself

    func start() { thread.withLock { $0 = ConsentKernel.Thread(name: "notary") { [self] in run() } } }

    private func run() {
        while true {
            wakeup.wait(timeoutMillis: Self.lookMillis)
            let (isDue, mustStop) = state.withLock { state in
                let covered = state.recent.last?.sequence ?? 0
                let (now, head) = (Clock.monotonicNanos(), head())
                if head > covered, state.dueAt == nil { state.dueAt = now + Self.intervalNanos }
                let isFull = head >= covered + UInt64(Checkpoint.eventsMax)
                return (isFull || state.dueAt.map { now >= $0 } ?? false, state.mustStop)
            }
            if mustStop { return }
            guard isDue else { continue }
            do {
                _ = try sign()
            } catch {
                // A disk that is full may have room again at the next look; a ledger that contradicts itself ends the node.
                damage.report(EngineError(error))
            }
        }
    }

    /// Signs what is not signed yet, and ends the thread. Nothing may be written to the ledger any more. Once only.
    ///
    /// - Throws: what stood against signing; the thread is ended all the same.
    func close() throws {
        let isOpen = state.withLock { state in
            defer { state.mustStop = true }
            return !state.mustStop
        }
        guard isOpen else { return }
        wakeup.raise()
        thread.withLock { thread in
            defer { thread = nil }
            return thread
        }?.join()
        guard !damage.isDamaged else { return }
        do {
            _ = try sign()
        } catch {
            damage.report(EngineError(error))
            throw error
        }
    }
}

extension LedgerSnapshot {
    /// - Throws: ``LedgerError`` `corrupt` if the chain is not the one that a checkpoint of this node was signed over.
    func requireAgreement(with checkpoint: Checkpoint, after good: UInt64 = 0) throws {
        if let finding = try disagreement(with: checkpoint, after: good) { throw finding }
    }

    /// - Parameter good: the last event up to which the chain is known to agree with an older checkpoint.
    func disagreement(with checkpoint: Checkpoint, after good: UInt64) throws -> LedgerError? {
        let signed = "the checkpoint that was signed at \(checkpoint.at.iso8601)"
        guard let head = try chainHead(at: checkpoint.sequence) else {
            let end = try self.head().sequence
            return .corrupt(
                where: "event \(end + 1)",
                what: "the ledger ends before it, but \(signed) is of event \(checkpoint.sequence): the end was cut off"
            )
        }
        guard head.hash == checkpoint.hash else {
            return .corrupt(
                where: "events \(good + 1) to \(checkpoint.sequence)",
                what:
                    "\(signed) is of another event \(checkpoint.sequence): one of them was changed, removed, inserted "
                    + "or put in another place, and the chain was made anew behind it")
        }
        return nil
    }
}

extension Engine {
    /// Signs where the chain is now.
    ///
    /// - Throws: ``EngineError`` `eventUnknown` while there is no event.
    package func checkpoint() throws -> Checkpoint {
        guard let checkpoint = try notary.sign() else { throw EngineError.eventUnknown(1) }
        return checkpoint
    }

    /// Who signs here.
    package var verificationKey: VerificationKey { notary.verificationKey }
}
