package import ConsentKernel
package import ConsentTLS

/// When requests are sent.
package enum Pace: Sendable, Equatable {
    /// A connection sends its next requests, a whole pipeline in one write, when all of the last ones are answered.
    case closed
    /// Requests are due by a timetable, whatever the server does: evenly spaced, or as independent people would come
    /// (Poisson). The rate is of all connections together, in requests a second.
    case open(perSecond: Double, isPoisson: Bool)
}

/// When a run ends.
package enum Extent: Sendable, Equatable {
    case seconds(Double)
    /// Requests, not counting those of the warm-up.
    case requests(Int)
}

/// Everything that a run of the generator depends on besides the server and what it is asked.
package struct LoadPlan: Sendable {
    package var address: SocketAddress
    /// Who the server must prove to be; nil where there is no TLS.
    package var tls: TLSPeer?
    package var threads = 1
    package var connections = 50
    /// Closed: requests that a connection sends in one write. Open: requests of a connection that may be unanswered; what
    /// is due and finds no connection with room is sent later, and its response time counts from when it was due.
    package var pipeline = 1
    package var pace = Pace.closed
    package var extent = Extent.seconds(10)
    package var warmUpSeconds = 1.0
    package var seed: UInt64 = 11
    /// Processors of the threads, in turn; empty: wherever the system puts them.
    package var processors: [Int] = []
    /// Microseconds that a thread looks for answers before it blocks. Zero: it blocks at once.
    package var spinMicros = 0

    package init(_ address: SocketAddress) { self.address = address }

    /// How long a run waits for the last answers.
    static let drainNanos: Int64 = 5_000_000_000
    /// Before a request is due, the thread does not sleep any more: a wakeup takes up to this long.
    static let wakeupNanos: Int64 = 150_000

    /// - Throws: ``LoadFailure`` `planImpossible`, with what is wrong.
    package func validate() throws(LoadFailure) {
        func require(_ holds: Bool, _ what: String) throws(LoadFailure) {
            if !holds { throw .planImpossible(what) }
        }
        try require(address.isTLS == (tls != nil), "a server that is reached by TLS must prove who it is")
        try require((1...256).contains(threads), "there are 1 to 256 threads")
        try require(connections >= threads, "every thread needs a connection")
        try require((1...65_536).contains(pipeline), "a pipeline holds 1 to 65536 requests")
        try require(warmUpSeconds >= 0 && warmUpSeconds <= 3600, "a warm-up takes 0 to 3600 seconds")
        try require((0...1_000_000).contains(spinMicros), "a thread spins for 0 to 1000000 microseconds")
        switch extent {
        case .seconds(let seconds): try require(seconds > 0 && seconds <= 86_400, "a run takes up to 86400 seconds")
        case .requests(let count): try require(count > 0, "a run has at least one request")
        }
        if case .open(let rate, _) = pace { try require(rate > 0 && rate <= 1e9, "a rate is greater than zero") }
    }
}

/// Why a run did not come to its end.
package enum LoadFailure: Error, CustomStringConvertible {
    case planImpossible(String)
    case disconnected(SocketAddress)
    case notTrusted(SocketAddress, TLSFailure)
    /// What came is no answer of the protocol that is spoken.
    case notUnderstood(SocketAddress)
    case nothingAnswered(SocketAddress)

    package var description: String {
        switch self {
        case .planImpossible(let what): what
        case .disconnected(let address): "the server at \(address) closed a connection"
        case .notTrusted(let address, let failure): "the server at \(address): \(failure)"
        case .notUnderstood(let address): "what the server at \(address) sent is no answer of its protocol"
        case .nothingAnswered(let address):
            "the server at \(address) answered nothing in time, so there is no rate to begin with; is it overloaded?"
        }
    }
}
