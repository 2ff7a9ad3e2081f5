import ConsentModel
import ConsentTLS
import ConsentWire
import NIOCore
import NIOPosix
import Synchronization

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// Takes calls from any task, brings them to a connection, and brings the answers back. It makes the connection again when
/// it ends, and decides what becomes of the calls that were in flight.
///
/// `@unchecked Sendable`: everything but the inbox and what is published lives on one event loop, and so do all its
/// connections. Calls that are posted between two turns of the loop leave in one write.
final class Dispatcher: @unchecked Sendable {
    /// What a caller may read without waiting for the loop.
    struct Published: Sendable {
        var info: ServerInfo
        var limits: Limits
        var purposes: PurposeTable
    }

    struct Limits: Sendable {
        var frameSizeMax: Int
        var subjectsPerCheckMax: Int
        var eventsPerRecordMax: Int
    }

    private enum Command {
        case submit(Call)
        case cancel(Call)
    }

    private enum State {
        case opening(Link?)
        case ready(Link)
        /// Until the next attempt.
        case waiting
        /// The server does not want this client; the next attempt only on demand, and not before this moment.
        case unwanted(ConsentClientError, until: NIODeadline)
        case over(ConsentClientError)
    }

    private let endpoint: Endpoint
    private let options: ClientOptions
    private let hello: Hello
    let loop: any EventLoop
    private let inbox = Mutex<[Command]>([])
    private let publication = Mutex<Published?>(nil)

    // From here on: on the loop only.
    private var state = State.waiting
    private var starter: ((Result<Void, ConsentClientError>) -> Void)?
    private var isStartCancelled = false
    /// Connections that take nothing new and finish what they have.
    private var retired: [Link] = []
    /// Failed attempts in a row, or connections that hardly lived.
    private var failures = 0
    /// Tells an attempt that was given up from the one that is being made.
    private var attempt = 0
    private var checks = CircularBuffer<Call>()
    private var others = CircularBuffer<Call>()
    /// Their purpose's name is not known, and the catalog is on its way.
    private var unresolved: [Call] = []
    /// Told by the server to come again.
    private var resting: [ObjectIdentifier: Call] = [:]
    private var limitInFlight = 1
    private var nextSweep: (deadline: NIODeadline, task: Scheduled<Void>)?

    /// Of this connection's server; nil until it has said. A ledger that was put back to an older state goes on with an
    /// older catalog and may give the same bit to another purpose, so what an earlier connection said is not used.
    private var purposes: PurposeTable?
    /// Raised whenever the catalog may have changed; the table is current while it is from this generation.
    private var catalogGeneration = 0
    private var purposesGeneration = -1
    /// The request for the catalog that is under way.
    private var fetch: Call?

    init(_ endpoint: Endpoint, _ options: ClientOptions, _ hello: Hello) {
        self.endpoint = endpoint
        self.options = options
        self.hello = hello
        loop = MultiThreadedEventLoopGroup.singleton.next()
    }

    /// Nil before the first welcome.
    var published: Published? { publication.withLock { $0 } }

    // MARK: Calls, from any task

    func perform(_ request: Request) async throws(ConsentClientError) -> Answer {
        try await performAll([request])[0].get()
    }

    /// Sends all requests, in their order and without waiting in between. Their answers come in the same order.
    func performAll(_ requests: [Request]) async -> [Result<Answer, ConsentClientError>] {
        await start(requests).results()
    }

    /// As above without waiting: they leave before those of every later call.
    private func start(_ requests: [Request]) -> Answers {
        let batch = Batch(count: requests.count)
        let deadline = NIODeadline.now() + TimeAmount(options.requestTimeout.clamped)
        let calls = requests.enumerated().map { position, request in
            Call(request, deadline: deadline) { batch.set($0, at: position) }
        }
        if !calls.isEmpty { post(calls.map(Command.submit)) }
        return Answers(batch: batch, calls: calls, dispatcher: self)
    }

    /// Sends acts in their order, and returns when the last frame is on its way. Frames follow each other without waiting
    /// only where the order does not matter to any of their acts: a frame that is told to come again comes after later ones.
    func startInOrder(_ frames: [ArraySlice<OutgoingEvent>]) async -> Answers {
        guard frames.contains(where: { $0.contains(where: \.needsOrder) }) else {
            return start(frames.map(Request.record))
        }
        var answers = start([])
        for frame in frames {
            let before = await answers.results()
            if case .failure = before.last { break }
            answers = start([.record(frame)])
            answers.before = before
        }
        return answers
    }

    fileprivate func cancel(_ calls: [Call]) {
        for call in calls { call.cancel() }
        post(calls.map(Command.cancel))
    }

    private func post(_ commands: [Command]) {
        let wasEmpty = inbox.withLock { inbox in
            defer { inbox += commands }
            return inbox.isEmpty
        }
        if wasEmpty { loop.execute { self.takeInbox() } }
    }

    private func takeInbox() {
        let commands = inbox.withLock { inbox in
            defer { inbox = [] }
            return inbox
        }
        for command in commands {
            switch command {
            case .submit(let call): submit(call)
            // Where it overtook its call, that is told by the call's own flag.
            case .cancel(let call) where call.isSubmitted: drop(call, .cancelled)
            case .cancel: break
            }
        }
        pump()
    }

    private func submit(_ call: Call) {
        call.isSubmitted = true
        if call.isCancelled { return call.finish(.failure(.cancelled)) }
        switch state {
        case .over(let error): return call.finish(.failure(error))
        case .unwanted(let error, let until):
            guard NIODeadline.now() >= until else { return call.finish(.failure(error)) }
            enqueue(call)
            open()
        case .opening, .ready, .waiting: enqueue(call)
        }
    }

    private func enqueue(_ call: Call) {
        if call.request.isCounted { others.append(call) } else { checks.append(call) }
        sweep(at: call.deadline)
    }

    /// Answers who waits, and forgets the call wherever it is; queues drop it when they come to it.
    private func drop(_ call: Call, _ error: ConsentClientError) {
        call.place?.link.abandon(call)
        resting[ObjectIdentifier(call)] = nil
        call.finish(.failure(error))
        closeRetired()
    }

    // MARK: Sending

    /// Sends what can be sent now.
    func pump() {
        guard case .ready(let link) = state else { return }
        while link.canSend(), let call = checks.popFirst() { send(call, on: link) }
        while link.canSend(), link.conversation.countedInFlight < limitInFlight, let call = others.popFirst() {
            send(call, on: link)
        }
        link.flush()
    }

    private func send(_ call: Call, on link: Link) {
        if call.isDone { return }
        do throws(UnknownPurpose) {
            // Its answer names purposes.
            if purposes == nil, case .history = call.request { throw UnknownPurpose(name: "") }
            try link.send(call, purposes: purposes ?? .empty)
        } catch {
            guard purposesGeneration != catalogGeneration else {
                return call.finish(.failure(.unknownPurpose(error.name)))
            }
            unresolved.append(call)
            fetchPurposes()
        }
    }

    // MARK: Answers

    func answered(_ call: Call, _ answer: Answer, on link: Link) {
        switch answer {
        case .historyPage(let page, _):
            call.finish(.success(.historyPage(page, purposes: purposes ?? .empty)))
        case .catalogPurposes(let catalog):
            // Which of two answers on their way is the newer cannot be told, so the dispatcher asks once more itself.
            if call !== fetch, isCurrent(link), purposes?.isSame(as: PurposeTable(catalog)) == false {
                catalogChanged()
            }
            call.finish(.success(answer))
        case .appliedCatalog(let applied):
            if !applied.isDryRun { catalogChanged() }
            call.finish(.success(answer))
        default: call.finish(.success(answer))
        }
        closeRetired()
    }

    func refused(_ call: Call, _ error: ErrorAnswer, on link: Link) {
        let refusal = ConsentClientError.server(
            code: ServerErrorCode(number: error.codeNumber), message: error.message)
        call.lastRefusal = refusal
        switch error.code?.advice {
        case .retryLater
        where call.request.repetition != .never || error.code == .busy || error.code == .tooManyInFlight:
            if error.code == .busy || error.code == .tooManyInFlight {
                rest(call, refusal, until: call.deadline)
            } else {
                let since = call.cannotSince ?? .now()
                call.cannotSince = since
                rest(call, refusal, until: min(call.deadline, since + TimeAmount(options.retryTimeout.clamped)))
            }
        case .reconnect where options.reconnects:
            // It drains and has done nothing of this.
            retire(link)
            enqueue(call)
        default: call.finish(.failure(refusal))
        }
        closeRetired()
    }

    private func rest(_ call: Call, _ refusal: ConsentClientError, until deadline: NIODeadline) {
        let time = backoff(call.refusals)
        call.refusals += 1
        guard NIODeadline.now() + time < deadline else { return call.finish(.failure(refusal)) }
        resting[ObjectIdentifier(call)] = call
        loop.scheduleTask(in: time) {
            guard self.resting.removeValue(forKey: ObjectIdentifier(call)) != nil else { return }
            self.enqueue(call)
            self.pump()
        }
    }

    /// A random time up to a limit that doubles with every failure.
    private func backoff(_ failures: Int) -> TimeAmount {
        let least = max(1, TimeAmount(options.backoffMin.clamped).nanoseconds)
        let most = max(1, TimeAmount(options.backoffMax.clamped).nanoseconds)
        // 2³⁰ times the least is past every sensible limit, and does not overflow where the least is below 8 s.
        let (grown, overflow) = least.multipliedReportingOverflow(by: 1 << Int64(min(failures, 30)))
        return .nanoseconds(.random(in: 0...(overflow ? most : min(grown, most))))
    }

    // MARK: Time

    private func sweep(at deadline: NIODeadline) {
        if let nextSweep, nextSweep.deadline <= deadline { return }
        nextSweep?.task.cancel()
        nextSweep = (deadline, loop.scheduleTask(deadline: deadline) { self.sweep() })
    }

    /// Fails what is past its deadline. As almost all deadlines are equally far away, this runs about once in that time.
    private func sweep() {
        nextSweep = nil
        checks = checks.filter { !$0.isDone }
        others = others.filter { !$0.isDone }
        unresolved = unresolved.filter { !$0.isDone }
        let now = NIODeadline.now()
        var next: NIODeadline?
        for call in allCalls {
            if call.deadline <= now {
                drop(call, call.lastRefusal ?? .timedOut)
            } else {
                next = min(next ?? call.deadline, call.deadline)
            }
        }
        if let next { sweep(at: next) }
        pump()
    }

    private var allCalls: [Call] {
        var calls = Array(checks) + Array(others) + unresolved + resting.values
        for link in links { calls += link.calls.values }
        return calls
    }

    private var links: [Link] {
        switch state {
        case .ready(let link), .opening(let link?): retired + [link]
        default: retired
        }
    }

    // MARK: Purposes

    func catalogChanged() {
        catalogGeneration += 1
        fetchPurposes()
    }

    private func fetchPurposes() {
        guard fetch == nil, case .ready = state else { return }
        let generation = catalogGeneration
        let timeout = starter == nil ? options.requestTimeout : options.connectTimeout
        let call = Call(.catalog, deadline: .now() + TimeAmount(timeout.clamped)) {
            self.fetchedPurposes($0, generation)
        }
        fetch = call
        enqueue(call)
    }

    private func fetchedPurposes(_ result: Result<Answer, ConsentClientError>, _ generation: Int) {
        fetch = nil
        let waiting = unresolved
        unresolved = []
        switch result {
        case .success(.catalogPurposes(let catalog)):
            guard generation == catalogGeneration else {
                unresolved = waiting
                return fetchPurposes()
            }
            let table = PurposeTable(catalog)
            purposes = table
            publication.withLock { $0?.purposes = table }
            purposesGeneration = generation
            for call in waiting where !call.isDone { enqueue(call) }
            finishStart(.success(()))
        case .success: preconditionFailure("the conversation has judged that the answer is of the kind asked for")
        case .failure(let error):
            for call in waiting { call.finish(.failure(error)) }
            if starter != nil { shutDown(error) }
        }
    }

    // MARK: Connecting

    /// Makes the first connection.
    func start() async throws(ConsentClientError) {
        let result = await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                loop.execute {
                    self.starter = { continuation.resume(returning: $0) }
                    if self.isStartCancelled { self.shutDown(.cancelled) } else { self.open() }
                }
            }
        } onCancel: {
            loop.execute {
                self.isStartCancelled = true
                if self.starter != nil { self.shutDown(.cancelled) }
            }
        }
        try result.get()
    }

    private func finishStart(_ result: Result<Void, ConsentClientError>) {
        starter?(result)
        starter = nil
    }

    private func open() {
        attempt += 1
        let attempt = attempt
        state = .opening(nil)
        let timeout = TimeAmount(options.connectTimeout.clamped)
        let peer: TLSPeer?
        do throws(TLSFailure) {
            peer = try tlsPeer()
        } catch {
            return openFailed(.connectFailed("\(endpoint): \(error)"))
        }
        let bootstrap = ClientBootstrap(group: loop)
            .connectTimeout(timeout)
            .channelOption(.writeBufferWaterMark, value: .init(low: 256 * 1024, high: 1024 * 1024))
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    let link = Link(Conversation(self.hello, actor: self.options.actor), on: channel, of: self)
                    if let peer { try channel.pipeline.syncOperations.addHandler(TLSHandler(try peer.session())) }
                    try channel.pipeline.syncOperations.addHandler(link)
                }
            }
        let connecting =
            switch endpoint {
            case .tcp(let host, let port), .tls(let host, let port):
                bootstrap.channelOption(.tcpOption(.tcp_nodelay), value: 1).connect(host: host, port: port)
            case .unix(let path): bootstrap.connect(unixDomainSocketPath: path)
            }
        connecting.whenComplete { self.connected($0, attempt) }
        loop.scheduleTask(in: timeout) {
            guard attempt == self.attempt, case .opening(let link) = self.state else { return }
            self.openFailed(.connectFailed("\(self.endpoint) gave no welcome in time"))
            link?.close()
        }
    }

    /// Made anew for each connection, so that authorities which have changed count from then on.
    private func tlsPeer() throws(TLSFailure) -> TLSPeer? {
        guard case .tls(let host, _) = endpoint else { return nil }
        return try TLSPeer(name: options.tlsName ?? host, authorities: options.tlsAuthorities)
    }

    private func connected(_ result: Result<any Channel, any Error>, _ attempt: Int) {
        guard attempt == self.attempt, case .opening = state else {
            if case .success(let channel) = result { channel.close(promise: nil) }
            return
        }
        do {
            // No handler is left on a channel that was closed meanwhile.
            let link = try result.get().pipeline.syncOperations.handler(type: Link.self)
            state = .opening(link)
            link.flush()
        } catch {
            openFailed(.connectFailed("\(endpoint): \(reason(of: error))"))
        }
    }

    private func openFailed(_ error: ConsentClientError, isFinal: Bool = false) {
        if starter != nil { return shutDown(error) }
        if isFinal {
            state = .unwanted(error, until: .now() + TimeAmount(options.backoffMax.clamped))
            failWaiting(error)
        } else {
            reconnect(after: backoff(failures))
            failures += 1
        }
    }

    private func reconnect(after time: TimeAmount) {
        guard options.reconnects else {
            state = .over(.disconnected(requestMayHaveBeenExecuted: false))
            return failWaiting(.disconnected(requestMayHaveBeenExecuted: false))
        }
        state = .waiting
        attempt += 1
        let attempt = attempt
        loop.scheduleTask(in: time) {
            if attempt == self.attempt, case .waiting = self.state { self.open() }
        }
    }

    private func failWaiting(_ error: ConsentClientError) {
        let waiting = Array(checks) + Array(others) + unresolved + resting.values
        checks.removeAll()
        others.removeAll()
        unresolved = []
        resting = [:]
        for call in waiting { call.finish(.failure(error)) }
    }

    // MARK: The life of a connection

    func welcomed(_ link: Link, _ welcome: Welcome) {
        guard case .opening(let opening) = state, opening === link else { return link.close() }
        if hello.deployment != .zero, welcome.deployment != hello.deployment {
            return broken(link, Violation("the server is of another deployment and welcomed this client nevertheless"))
        }
        purposes = nil
        publish(welcome)
        state = .ready(link)
        limitInFlight = Int(welcome.requestsInFlightMax)
        catalogChanged()
        let interval = TimeAmount(options.pingInterval.clamped)
        if interval.nanoseconds > 0 {
            link.heartbeat = loop.scheduleRepeatedTask(initialDelay: interval, delay: interval) { [weak link] _ in
                if let link { self.beat(link) }
            }
        }
        pump()
    }

    private func publish(_ welcome: Welcome) {
        let info = ServerInfo(
            name: welcome.serverName, version: welcome.serverVersion, protocolVersion: Int(welcome.version),
            deployment: welcome.deployment.description, history: welcome.history.description,
            sequence: welcome.sequence, catalogVersion: Int(welcome.catalogVersion))
        let limits = Limits(
            frameSizeMax: Int(welcome.frameSizeMax), subjectsPerCheckMax: Int(welcome.subjectsPerCheckMax),
            eventsPerRecordMax: Int(welcome.eventsPerRecordMax))
        publication.withLock { $0 = Published(info: info, limits: limits, purposes: purposes ?? .empty) }
    }

    /// A connection that is silent is asked whether it lives, and closed if it does not say so.
    private func beat(_ link: Link) {
        if link.hasReceived {
            link.hasReceived = false
            return
        }
        let ping = Call(.ping(echo: 0), deadline: .now() + TimeAmount(options.pingTimeout.clamped)) { result in
            // Something else that came is as good an answer.
            if case .failure(.timedOut) = result, !link.hasReceived { link.close() }
        }
        do throws(UnknownPurpose) { try link.send(ping, purposes: .empty) } catch { return }
        sweep(at: ping.deadline)
        link.flush()
    }

    func turnedAway(_ link: Link, _ error: ErrorAnswer) {
        link.close()
        guard case .opening(let opening) = state, opening === link else { return }
        let refusal: ConsentClientError =
            error.code == .versionUnsupported
            ? .versionUnsupported(serverMin: Int(error.detail & 0xFFFF), serverMax: Int(error.detail >> 16))
            : .handshakeRefused(code: ServerErrorCode(number: error.codeNumber), message: error.message)
        openFailed(refusal, isFinal: error.code?.advice ?? .doNotRetry == .doNotRetry)
    }

    private func isCurrent(_ link: Link) -> Bool {
        if case .ready(let current) = state { current === link } else { false }
    }

    /// The server drains: what is in flight there finishes there, everything else goes to a new connection, after a
    /// random part of a second so that not everybody comes at once.
    func retire(_ link: Link) {
        guard isCurrent(link) else { return }
        retired.append(link)
        failures = 0
        let most = min(TimeAmount.seconds(1), TimeAmount(options.backoffMax.clamped))
        reconnect(after: .nanoseconds(.random(in: 0...max(0, most.nanoseconds))))
        link.flush()
        closeRetired()
    }

    private func closeRetired() {
        for link in retired where link.calls.isEmpty { link.close() }
    }

    /// The server closes the connection and says why.
    func ended(_ link: Link, _ error: ErrorAnswer) {
        link.close()
        guard error.code?.advice ?? .doNotRetry == .doNotRetry else { return }
        // What was sent is at fault, and would be again.
        let refusal = ConsentClientError.server(
            code: ServerErrorCode(number: error.codeNumber), message: error.message)
        for call in link.takeCalls() { call.finish(.failure(refusal)) }
    }

    /// Nothing of what this server says can be believed: everything that waits fails.
    func broken(_ link: Link, _ violation: Violation) {
        link.close()
        let error = ConsentClientError.protocolViolation(violation.description)
        for call in link.takeCalls() { call.finish(.failure(error)) }
        if case .opening(let opening) = state, opening === link { return openFailed(error, isFinal: true) }
        guard isCurrent(link) else { return }
        failWaiting(error)
        if starter != nil { return shutDown(error) }
        reconnect(after: backoff(failures))
        failures += 1
    }

    func closed(_ link: Link) {
        retired.removeAll { $0 === link }
        resume(link.takeCalls())
        switch state {
        case .opening(let opening) where opening === link:
            if let failure = link.failure {
                let reason = "\(endpoint): \(failure)"
                return failure.isOfCertificate
                    ? openFailed(.notTrusted(reason), isFinal: true) : openFailed(.connectFailed(reason))
            }
            openFailed(.connectFailed("\(endpoint) closed the connection before its welcome"))
        case .ready(let current) where current === link:
            if starter != nil { return shutDown(.connectFailed("\(endpoint) closed the connection")) }
            // One that lived for a while proves that connecting works.
            if NIODeadline.now() - link.madeAt >= TimeAmount(options.backoffMax.clamped) { failures = 0 }
            reconnect(after: backoff(failures))
            failures += 1
        default: break
        }
        pump()
    }

    /// Takes up what was in flight on a connection that ended.
    private func resume(_ calls: [Call]) {
        let isOver = if case .over = state { true } else { false }
        for call in calls.reversed() {
            call.breaks += 1
            guard options.reconnects, !isOver, call.survivesBreak else {
                call.finish(.failure(.disconnected(requestMayHaveBeenExecuted: true)))
                continue
            }
            if call.request.isCounted { others.prepend(call) } else { checks.prepend(call) }
        }
    }

    // MARK: The end

    /// Returns when every connection is closed.
    func close() async {
        await withCheckedContinuation { continuation in
            loop.execute {
                let closing = self.links.map(\.channel.closeFuture)
                self.shutDown(.closed)
                EventLoopFuture.andAllComplete(closing, on: self.loop).whenComplete { _ in continuation.resume() }
            }
        }
    }

    /// Closes without waiting, when nobody holds the client any more.
    func abandon() { loop.execute { self.shutDown(.closed) } }

    private func shutDown(_ error: ConsentClientError) {
        let links = links
        state = .over(error)
        failWaiting(error)
        for link in links {
            for call in link.takeCalls() { call.finish(.failure(error)) }
            link.close()
        }
        finishStart(.failure(error))
    }
}

/// The answers to requests that were started together.
struct Answers: Sendable {
    fileprivate let batch: Batch
    fileprivate let calls: [Call]
    fileprivate let dispatcher: Dispatcher
    /// Those that had to come before the last requests could be sent.
    fileprivate var before: [Result<Answer, ConsentClientError>] = []

    /// Waits for all of them, in the order of the requests. To be called again only after it has returned.
    func results() async -> [Result<Answer, ConsentClientError>] {
        if calls.isEmpty { return before }
        return await before
            + withTaskCancellationHandler {
                await withCheckedContinuation { batch.wait($0) }
            } onCancel: {
                dispatcher.cancel(calls)
            }
    }
}

/// Requests that one caller waits for together. They may all be answered before it waits.
private final class Batch: Sendable {
    private struct State {
        var results: [Result<Answer, ConsentClientError>?]
        var missing: Int
        var continuation: CheckedContinuation<[Result<Answer, ConsentClientError>], Never>?
    }

    private let state: Mutex<State>

    init(count: Int) { state = Mutex(State(results: Array(repeating: nil, count: count), missing: count)) }

    func set(_ result: Result<Answer, ConsentClientError>, at position: Int) {
        let waiting = state.withLock { state in
            state.results[position] = result
            state.missing -= 1
            return state.missing == 0 ? state.continuation : nil
        }
        if let waiting { waiting.resume(returning: results) }
    }

    func wait(_ continuation: CheckedContinuation<[Result<Answer, ConsentClientError>], Never>) {
        let isComplete = state.withLock { state in
            if state.missing > 0 { state.continuation = continuation }
            return state.missing == 0
        }
        if isComplete { continuation.resume(returning: results) }
    }

    private var results: [Result<Answer, ConsentClientError>] { state.withLock { $0.results.map { $0! } } }
}

extension Duration {
    /// Between nothing and a year, so that no sum with a deadline overflows.
    fileprivate var clamped: Duration { min(max(self, .zero), .seconds(365 * 24 * 3600)) }
}

/// Why a connection could not be made, as the system says it.
private func reason(of error: any Error) -> String {
    switch error {
    case let error as NIOConnectionError:
        error.connectionErrors.first.map { reason(of: $0.error) } ?? "the name of the host is not known"
    case let error as IOError: String(cString: strerror(error.errnoCode))
    default: "\(error)"
    }
}
