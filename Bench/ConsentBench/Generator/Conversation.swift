/// What an answer is worth.
package enum Judgement: Sendable {
    case right
    /// The server said that it will not now, which is no wrong answer.
    case refused
    case wrong
}

/// Which request an answer belongs to.
package enum AnswerOrder: Sendable {
    /// The oldest that is unanswered.
    case next
    case request(UInt32)
    /// None: the server told something by itself.
    case none
}

/// What was asked, so that the answer can be judged.
package struct Asked: Sendable {
    /// Which of the conversation's ``Conversation/operations``.
    package var operation: UInt8
    /// As the conversation likes.
    package var value: UInt64

    package init(operation: UInt8, value: UInt64) {
        self.operation = operation
        self.value = value
    }
}

/// One kind of request.
package struct Operation: Sendable, Equatable {
    package var name: String
    /// Questions in one request: what throughput is counted in.
    package var units: Int

    package init(_ name: String, units: Int = 1) {
        self.name = name
        self.units = units
    }
}

/// How to talk to one kind of server. Each thread of a generator has its own, with numbers of its own.
package protocol Conversation {
    var operations: [Operation] { get }
    /// Sent one after the other on each connection, each answered once, before anything is measured.
    var greetings: [[UInt8]] { get }
    /// Whether a greeting was taken.
    func isWelcome(_ answer: UnsafeRawBufferPointer) -> Bool
    /// Appends the next request. `number` counts a connection's requests.
    mutating func appendRequest(_ number: UInt32, to bytes: inout RequestBytes) -> Asked
    /// The size of the answer at the front of the bytes; nil while it is not whole, negative if it can be none.
    func answerSize(_ bytes: UnsafeRawBufferPointer) -> Int?
    func order(of answer: UnsafeRawBufferPointer) -> AnswerOrder
    mutating func judge(_ answer: UnsafeRawBufferPointer, _ asked: Asked) -> Judgement
    /// What was asked and what would have been right, for people.
    func describe(_ asked: Asked) -> String
}

/// Requests on their way out: one block of memory that is reused.
package struct RequestBytes: ~Copyable {
    private var block: UnsafeMutableRawBufferPointer
    package private(set) var count = 0

    package init() { block = .allocate(byteCount: 1 << 16, alignment: 64) }

    deinit { block.deallocate() }

    package var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(rebasing: block[..<count]) }

    package mutating func clear() { count = 0 }

    /// Appends a template; the caller fills in what differs.
    ///
    /// - Returns: where it stands now, valid until the next change.
    package mutating func append(_ template: [UInt8]) -> UnsafeMutableRawPointer {
        if count + template.count > block.count { grow(toHold: count + template.count) }
        let start = block.baseAddress! + count
        template.withUnsafeBytes { start.copyMemory(from: $0.baseAddress!, byteCount: $0.count) }
        count += template.count
        return start
    }

    private mutating func grow(toHold needed: Int) {
        let larger = UnsafeMutableRawBufferPointer.allocate(byteCount: max(needed, block.count * 2), alignment: 64)
        larger.copyMemory(from: UnsafeRawBufferPointer(rebasing: block[..<count]))
        block.deallocate()
        block = larger
    }
}
