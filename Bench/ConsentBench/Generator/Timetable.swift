import Glibc

/// When the requests of one thread are due. The threads' requests lie evenly between one another, and each thread gives
/// its requests to its connections in turn: so connections are staggered evenly, too.
struct Timetable {
    /// Nanoseconds of the monotonic clock.
    private(set) var next: Int64
    private let begin: Int64
    /// Nanoseconds from one of this thread's requests to the next, on average.
    private let interval: Double
    private let offset: Double
    private var count = 0.0
    private var poisson: SeededNumbers?
    private var elapsed = 0.0

    init(perSecond: Double, isPoisson: Bool, thread: Int, threads: Int, begin: Int64, seed: UInt64) {
        self.begin = begin
        interval = 1e9 * Double(threads) / perSecond
        offset = interval * Double(thread) / Double(threads)
        next = begin + Int64(offset)
        if isPoisson {
            poisson = SeededNumbers(seed: seed)
            next = begin
            advance()
        }
    }

    /// Goes on to the next request. Neither kind drifts: each moment is counted from the beginning.
    mutating func advance() {
        if poisson != nil {
            // 1 - u is never zero.
            elapsed -= log(1 - poisson!.unit()) * interval
            next = begin + Int64(elapsed)
        } else {
            count += 1
            next = begin + Int64(offset + count * interval)
        }
    }
}
