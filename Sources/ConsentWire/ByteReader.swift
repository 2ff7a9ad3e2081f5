import ConsentModel

/// Reads the fields of a payload, one after the other. Reading past the end gives zeros and is remembered, so that a
/// decoder reads all it wants and asks once, at its end, whether the bytes were there.
///
/// It borrows the bytes: it must not outlive the receive buffer that they lie in.
@unsafe
package struct ByteReader {
    private var next: UnsafeMutableRawPointer
    private let end: UnsafeMutableRawPointer
    private var isShort = false
    private var isIllFormed = false

    package init(_ bytes: UnsafeMutableRawBufferPointer) {
        // An empty buffer may have no address; any will do, as nothing is read there.
        unsafe next = bytes.baseAddress ?? UnsafeMutableRawPointer(bitPattern: 1).unsafelyUnwrapped
        unsafe end = next + bytes.count
    }

    package var remaining: Int { unsafe end - next }

    /// Whether every read so far found its bytes, and every text was UTF-8.
    package var isIntact: Bool { unsafe !isShort && !isIllFormed }

    /// Whether exactly all bytes were read, and all were well formed.
    package var isComplete: Bool { unsafe isIntact && remaining == 0 }

    package mutating func u8() -> UInt8 { unsafe load(UInt8.self) }
    package mutating func u16() -> UInt16 { unsafe UInt16(littleEndian: load(UInt16.self)) }
    package mutating func u32() -> UInt32 { unsafe UInt32(littleEndian: load(UInt32.self)) }
    package mutating func u64() -> UInt64 { unsafe UInt64(littleEndian: load(UInt64.self)) }

    /// A moment; zero stands for none.
    package mutating func time() -> Int64 { unsafe Int64(bitPattern: u64()) }

    /// The next bytes, where they lie; an empty buffer if there are fewer.
    package mutating func bytes(_ count: Int) -> UnsafeMutableRawBufferPointer {
        guard unsafe count <= remaining else {
            unsafe isShort = true
            unsafe next = end
            return unsafe UnsafeMutableRawBufferPointer(start: nil, count: 0)
        }
        defer { unsafe next += count }
        return unsafe UnsafeMutableRawBufferPointer(start: next, count: count)
    }

    package mutating func rest() -> UnsafeMutableRawBufferPointer { unsafe bytes(remaining) }

    package mutating func array(_ count: Int) -> [UInt8] { unsafe Array(bytes(count)) }

    package mutating func text8() -> String { unsafe text(bytes(Int(u8()))) }
    package mutating func text16() -> String { unsafe text(bytes(Int(u16()))) }

    /// Nil if the bytes are there, but are not UTF-8: for a text of which that is no fault of the layout.
    package mutating func text8IfUTF8() -> String? {
        let bytes = unsafe bytes(Int(u8()))
        guard unsafe UTF8Check.isValid(UnsafeRawBufferPointer(bytes)) else { return nil }
        return unsafe String(decoding: bytes.assumingMemoryBound(to: UInt8.self), as: UTF8.self)
    }

    package mutating func restText() -> String { unsafe text(rest()) }

    private mutating func text(_ bytes: UnsafeMutableRawBufferPointer) -> String {
        // The library's own check of bytes that may be ill-formed looks up its types anew at every call.
        guard unsafe UTF8Check.isValid(UnsafeRawBufferPointer(bytes)) else {
            unsafe isIllFormed = true
            return ""
        }
        return unsafe String(decoding: bytes.assumingMemoryBound(to: UInt8.self), as: UTF8.self)
    }

    private mutating func load<Number: FixedWidthInteger & BitwiseCopyable>(_ type: Number.Type) -> Number {
        let size = MemoryLayout<Number>.size
        guard unsafe size <= remaining else {
            unsafe isShort = true
            unsafe next = end
            return 0
        }
        defer { unsafe next += size }
        return unsafe next.loadUnaligned(as: Number.self)
    }
}
