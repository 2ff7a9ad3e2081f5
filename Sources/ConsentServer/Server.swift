package import ConsentKernel
import ConsentModel
package import ConsentSync
import ConsentWire
import Synchronization

/// Numbers that all loops share.
final class ServerCounters: Sendable {
    let connections = Atomic<Int>(0)
}

/// Why a server cannot start.
package enum ServerError: Error, CustomStringConvertible {
    case tokenMissing(SocketAddress)
    case certificateMissing(SocketAddress)

    package var description: String {
        switch self {
        case .tokenMissing(let address):
            "without a token the server listens on this machine only, not on \(address); 'consentd init' says how to make one"
        case .certificateMissing(let address):
            "to listen on \(address) the server needs a certificate and its key; name their files with "
                + "--tls-certificate and --tls-key"
        }
    }
}

/// Serves a node over TCP and Unix sockets, on loops of its own.
package final class Server: Sendable {
    /// Where it listens, with the ports that the system chose.
    package let addresses: [SocketAddress]
    /// Serves those who follow this node.
    package let feed: FeedHub
    private let node: any ServedNode
    private let options: ServerOptions
    private let inboxes: [LoopInbox]
    private let threads: Mutex<[ConsentKernel.Thread]>
    private let subscription: Int
    private let counters = ServerCounters()
    private let sockets: [Int32]

    /// Listens and starts to serve.
    ///
    /// - Throws: ``ServerError``, ``SystemError`` if an address cannot be had; nothing is left listening.
    package init(
        _ node: any ServedNode, _ options: ServerOptions, failed: @escaping @Sendable (String) -> Void
    ) throws {
        if options.token == nil, let address = options.addresses.first(where: { !$0.isLocal }) {
            throw ServerError.tokenMissing(address)
        }
        if options.tls == nil, let address = options.addresses.first(where: \.isTLS) {
            throw ServerError.certificateMissing(address)
        }
        self.node = node
        self.options = options
        let listening = try Listening(options)
        addresses = listening.addresses
        inboxes = try (0..<options.loops).map { _ in try LoopInbox() }
        let inboxes = inboxes
        feed = try node.feed(options.feed, failed: failed)
        let feed = feed
        subscription = node.subscribeToService(feed) { for inbox in inboxes { inbox.wakeup.raise() } }
        threads = Mutex([])
        sockets = (listening.perLoop.flatMap { $0 } + listening.shared).map(\.socket)
        for (number, inbox) in inboxes.enumerated() {
            let listeners = listening.perLoop[number] + listening.shared
            let counters = counters
            let thread = ConsentKernel.Thread(name: "loop \(number)") {
                if let first = options.firstProcessor { ConsentKernel.Thread.pin(toProcessor: first + number) }
                do {
                    var loop = try ListenerLoop(
                        node: node, options: options, inbox: inbox, counters: counters, feed: feed,
                        listeners: listeners, epoll: try Epoll(eventsPerWaitMax: ListenerLoop.eventsPerWaitMax))
                    try loop.run()
                } catch {
                    failed("a loop ended: \(error)")
                }
            }
            threads.withLock { $0.append(thread) }
        }
    }

    /// Stops listening, lets connections finish within the grace period, and ends the loops.
    package func drain() {
        feed.drain()
        for inbox in inboxes { inbox.leave { $0.mustDrain = true } }
        finish()
    }

    private func finish() {
        let running = threads.withLock { threads in
            defer { threads = [] }
            return threads
        }
        for thread in running { thread.join() }
        node.unsubscribe(subscription)
        feed.close()
        for socket in sockets { _ = FileDescriptor(owning: socket) }
        for case .unix(let path) in addresses { try? File.remove(path) }
    }
}

/// A socket that listens, and whether those who connect to it speak TLS.
struct Listener {
    var socket: Int32
    var isTLS: Bool
}

/// The sockets that listen: on TCP one a loop, so that the kernel spreads connections; on a Unix path one for all.
private struct Listening {
    var addresses: [SocketAddress] = []
    var perLoop: [[Listener]]
    var shared: [Listener] = []

    init(_ options: ServerOptions) throws {
        perLoop = Array(repeating: [], count: options.loops)
        do {
            for address in options.addresses { try listen(on: address, options) }
        } catch {
            for listener in perLoop.flatMap({ $0 }) + shared { _ = FileDescriptor(owning: listener.socket) }
            throw error
        }
    }

    private mutating func listen(on address: SocketAddress, _ options: ServerOptions) throws {
        switch address {
        case .unix(let path):
            // Left behind by a process that died: the node's lock says that nobody else serves it.
            try? File.remove(path)
            let socket = try Socket.listen(address, mode: options.unixSocketMode)
            shared.append(Listener(socket: socket.release(), isTLS: false))
            addresses.append(address)
        case .tcp, .tls:
            try Socket.requireFree(address)
            let first = try Socket.listen(address)
            let bound = address.withPort(try Socket.port(of: first))
            perLoop[0].append(Listener(socket: first.release(), isTLS: address.isTLS))
            for loop in 1..<max(options.loops, 1) {
                perLoop[loop].append(Listener(socket: try Socket.listen(bound).release(), isTLS: address.isTLS))
            }
            addresses.append(bound)
        }
    }
}
