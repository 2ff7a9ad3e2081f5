/// What every server of a comparison can be asked, in its own way.
package enum PeerQuestion: Sendable, Equatable {
    /// One identifier.
    case single
    /// So many identifiers in one request.
    case many(Int)
    /// One event, durable when it is acknowledged.
    case record

    var operation: Operation {
        switch self {
        case .single: Operation("single")
        case .many(let count): Operation("many", units: count)
        case .record: Operation("record")
        }
    }
}

/// What peers hold for an identifier: the bits of twenty purposes, of which one is set for whoever agreed.
enum PeerValue {
    static let purposeBit = 19
    static let size = 3
    /// Redis counts bits from the highest of the first byte.
    static let granted: [UInt8] = [0, 0, 0x10]
    static let denied: [UInt8] = [0, 0, 0]

    static func bytes(_ standing: Population.Standing) -> [UInt8] { standing == .granted ? granted : denied }
}

/// The place after the next line feed; nil if there is none.
func lineEnd(_ bytes: UnsafeRawBufferPointer, from start: Int = 0) -> Int? {
    var position = start
    while position < bytes.count {
        if bytes[position] == UInt8(ascii: "\n") { return position + 1 }
        position += 1
    }
    return nil
}

/// The decimal number that begins at a place, as far as digits go.
func decimal(_ bytes: UnsafeRawBufferPointer, from start: Int) -> Int {
    var (position, value) = (start, 0)
    while position < bytes.count, bytes[position] >= 0x30, bytes[position] <= 0x39 {
        value = value &* 10 &+ Int(bytes[position] - 0x30)
        position += 1
    }
    return value
}
