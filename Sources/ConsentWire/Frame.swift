// The header of every frame, little-endian:
//
//     OFFSET  SIZE  FIELD     MEANING
//     0       4     length    bytes after this field: 12 to frameSizeMax - 4
//     4       1     opcode
//     5       1     flags     zero unless the opcode says otherwise
//     6       2     argument  as the opcode says
//     8       4     request   chosen by the client, repeated in the answer; zero in pushes
//     12      4     word      as the opcode says
//     16      …     payload

/// One whole frame, where it lies in the receive buffer.
@unsafe
package struct Frame {
    package let opcode: UInt8
    package let flags: UInt8
    package let argument: UInt16
    package private(set) var request: UInt32
    package let word: UInt32
    package let payload: UnsafeMutableRawBufferPointer

    /// The same with another request id.
    func answered(as request: UInt32) -> Frame {
        var frame = unsafe self
        unsafe frame.request = request
        return unsafe frame
    }

    /// Bytes that it takes on the wire.
    package var size: Int { unsafe WireLimit.headerSize + payload.count }

    /// The identifier type of a header word whose other bytes must be zero.
    package var identifierTypeByte: UInt8 { unsafe UInt8(truncatingIfNeeded: word) }
}

/// What stands at the front of received bytes.
@unsafe
package enum FrameScan {
    /// Not enough bytes yet; this many are known to be needed.
    case incomplete(needed: Int)
    case frame(Frame)
    /// The length field cannot be right: nothing after it can be trusted.
    case broken(ErrorCode, request: UInt32)
}

/// Looks at the front of received bytes. The length is judged before anything is kept or awaited.
///
/// - Parameter sizeMax: bytes of the largest frame that may stand there.
package func scanFrame(
    _ bytes: UnsafeMutableRawBufferPointer, sizeMax: Int = WireLimit.frameSizeMax
) -> FrameScan {
    guard let base = bytes.baseAddress, bytes.count >= 4 else {
        return unsafe .incomplete(needed: WireLimit.headerSize)
    }
    let length = Int(UInt32(littleEndian: unsafe base.loadUnaligned(as: UInt32.self)))
    if length < WireLimit.headerSize - 4 { return unsafe .broken(.frameTooSmall, request: 0) }
    if length > sizeMax - 4 { return unsafe .broken(.frameTooLarge, request: 0) }
    guard bytes.count >= length + 4 else { return unsafe .incomplete(needed: length + 4) }
    return unsafe .frame(
        Frame(
            opcode: base.load(fromByteOffset: 4, as: UInt8.self),
            flags: base.load(fromByteOffset: 5, as: UInt8.self),
            argument: UInt16(littleEndian: base.loadUnaligned(fromByteOffset: 6, as: UInt16.self)),
            request: UInt32(littleEndian: base.loadUnaligned(fromByteOffset: 8, as: UInt32.self)),
            word: UInt32(littleEndian: base.loadUnaligned(fromByteOffset: 12, as: UInt32.self)),
            payload: UnsafeMutableRawBufferPointer(start: base + WireLimit.headerSize, count: length - 12)))
}

/// Why a frame was not understood.
package struct WireError: Error, Equatable {
    package var code: ErrorCode
    package var detail: UInt32
    package var message: String

    package init(_ code: ErrorCode, detail: UInt32 = 0, _ message: String) {
        self.code = code
        self.detail = detail
        self.message = message
    }
}
