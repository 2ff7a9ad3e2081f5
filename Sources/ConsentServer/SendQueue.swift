/// Output that the system has not taken yet.
struct SendQueue {
    private var bytes: [UInt8] = []
    /// What stands before has been taken.
    private var start = 0

    var isEmpty: Bool { start == bytes.count }

    mutating func append(_ more: UnsafeRawBufferPointer) { bytes.append(contentsOf: more) }

    func withBytes<Result>(_ body: (UnsafeRawBufferPointer) -> Result) -> Result {
        bytes.withUnsafeBytes { body(UnsafeRawBufferPointer(rebasing: $0[start...])) }
    }

    /// The system has taken some from the front.
    mutating func drop(_ count: Int) {
        start += count
        if isEmpty {
            bytes = []
            start = 0
        } else if start > bytes.count / 2 {
            // Moves each byte at most once for each that was taken.
            bytes.removeFirst(start)
            start = 0
        }
    }
}
