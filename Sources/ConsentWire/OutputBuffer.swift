package import ConsentModel

/// Bytes on their way out: one block of memory that is reused, and grows when a frame needs it.
@safe
package struct OutputBuffer: ~Copyable {
    private var base: UnsafeMutableRawPointer
    private var capacity: Int
    /// Bytes written and not taken away.
    package private(set) var count = 0

    package init(capacity: Int) {
        unsafe base = .allocate(byteCount: capacity, alignment: 64)
        self.capacity = capacity
    }

    deinit { unsafe base.deallocate() }

    package var isEmpty: Bool { count == 0 }

    /// What was written. Valid until the next change.
    package var bytes: UnsafeRawBufferPointer { unsafe UnsafeRawBufferPointer(start: base, count: count) }

    package mutating func clear() { count = 0 }

    /// Forgets everything after the first bytes.
    package mutating func truncate(to count: Int) {
        precondition(count <= self.count)
        self.count = count
    }

    /// Takes bytes away from the front.
    package mutating func dropFirst(_ dropped: Int) {
        precondition(dropped <= count)
        unsafe base.copyMemory(from: base + dropped, byteCount: count - dropped)
        count -= dropped
    }

    package mutating func u8(_ value: UInt8) { store(value) }
    package mutating func u16(_ value: UInt16) { store(value.littleEndian) }
    package mutating func u32(_ value: UInt32) { store(value.littleEndian) }
    package mutating func u64(_ value: UInt64) { store(value.littleEndian) }
    package mutating func time(_ value: Int64?) { store((value ?? 0).littleEndian) }

    package mutating func bytes(_ source: UnsafeRawBufferPointer) {
        reserve(source.count)
        if let start = source.baseAddress { unsafe (base + count).copyMemory(from: start, byteCount: source.count) }
        count += source.count
    }

    package mutating func bytes(_ source: [UInt8]) { unsafe source.withUnsafeBytes { unsafe bytes($0) } }

    /// - Precondition: at most 255 bytes; limits are checked at the door.
    package mutating func text8(_ text: String) {
        u8(UInt8(text.utf8.count))
        utf8(text)
    }

    /// A text of more than 65,535 bytes is cut between two scalars.
    package mutating func text16(_ text: String) {
        var text = text
        text.withUTF8 { bytes in
            var size = min(bytes.count, Int(UInt16.max))
            while unsafe size < bytes.count && bytes[size] & 0xC0 == 0x80 { size -= 1 }
            u16(UInt16(size))
            unsafe self.bytes(UnsafeRawBufferPointer(start: bytes.baseAddress, count: size))
        }
    }

    package mutating func utf8(_ text: String) {
        var text = text
        text.withUTF8 { unsafe bytes(UnsafeRawBufferPointer($0)) }
    }

    /// Begins a frame whose length is not known yet; end it with ``endFrame(_:)``.
    package mutating func beginFrame(
        _ opcode: Opcode, flags: UInt8 = 0, argument: UInt16 = 0, request: UInt32, word: UInt32 = 0
    ) -> Int {
        let start = count
        u32(0)
        u8(opcode.rawValue)
        u8(flags)
        u16(argument)
        u32(request)
        u32(word)
        return start
    }

    package mutating func endFrame(_ start: Int) { setSize(at: start) }

    /// Fills in the u32 at an offset with the number of bytes that follow it.
    package mutating func setSize(at offset: Int) {
        let size = UInt32(count - offset - 4)
        unsafe base.storeBytes(of: size.littleEndian, toByteOffset: offset, as: UInt32.self)
    }

    /// Bytes of the answer to a single check.
    package static let checkedSize = 24

    /// Fills in the answer to a single check, all of it at once, where ``checkedSize`` zeros stand.
    package mutating func setChecked(
        at offset: Int, request: UInt32, decision: UInt8, reason: UInt8, freshness: UInt8, sequence: UInt64
    ) {
        precondition(offset + Self.checkedSize <= count)
        let frame = unsafe base + offset
        let first = UInt64(20) | UInt64(Opcode.checked.rawValue) << 32 | UInt64(decision) << 48 | UInt64(reason) << 56
        let second = UInt64(request) | UInt64(freshness) << 32
        unsafe frame.storeBytes(of: first.littleEndian, as: UInt64.self)
        unsafe frame.storeBytes(of: second.littleEndian, toByteOffset: 8, as: UInt64.self)
        unsafe frame.storeBytes(of: sequence.littleEndian, toByteOffset: 16, as: UInt64.self)
    }

    /// Changes the freshness of the answer to a check of any kind, which begins at an offset.
    package mutating func setFreshness(_ freshness: Freshness, at offset: Int) {
        precondition(offset + WireLimit.headerSize <= count)
        unsafe base.storeBytes(of: freshness.rawValue, toByteOffset: offset + 12, as: UInt8.self)
    }

    /// A run of zeros to be filled in later; its offset.
    package mutating func zeroBytes(_ size: Int) -> Int {
        reserve(size)
        unsafe (base + count).initializeMemory(as: UInt8.self, repeating: 0, count: size)
        defer { count += size }
        return count
    }

    /// Fills in a word at an offset.
    package mutating func setWord(_ word: UInt64, at offset: Int) {
        precondition(offset + 8 <= count)
        unsafe base.storeBytes(of: word.littleEndian, toByteOffset: offset, as: UInt64.self)
    }

    /// Clears those bits of a word at an offset that are not in a mask.
    package mutating func maskWord(_ mask: UInt64, at offset: Int) {
        precondition(offset + 8 <= count)
        let old = unsafe base.loadUnaligned(fromByteOffset: offset, as: UInt64.self)
        unsafe base.storeBytes(of: old & mask.littleEndian, toByteOffset: offset, as: UInt64.self)
    }

    /// Appends a whole frame that was written before, with another header word.
    package mutating func frame(_ source: UnsafeRawBufferPointer, word: UInt32) {
        precondition(source.count >= WireLimit.headerSize)
        let start = count
        unsafe bytes(source)
        unsafe base.storeBytes(of: word.littleEndian, toByteOffset: start + 12, as: UInt32.self)
    }

    /// Sets a bit of a bitset that stands at an offset.
    package mutating func setBit(_ bit: Int, inBitsetAt offset: Int) {
        let byte = offset + bit >> 3
        precondition(byte < count)
        let old = unsafe base.load(fromByteOffset: byte, as: UInt8.self)
        unsafe base.storeBytes(of: old | 1 << UInt8(bit & 7), toByteOffset: byte, as: UInt8.self)
    }

    private mutating func store<Number: FixedWidthInteger & BitwiseCopyable>(_ value: Number) {
        reserve(MemoryLayout<Number>.size)
        unsafe base.storeBytes(of: value, toByteOffset: count, as: Number.self)
        count += MemoryLayout<Number>.size
    }

    private mutating func reserve(_ more: Int) {
        if count + more > capacity { grow(toHold: count + more) }
    }

    private mutating func grow(toHold needed: Int) {
        let larger = max(needed, capacity * 2)
        let block = UnsafeMutableRawPointer.allocate(byteCount: larger, alignment: 64)
        unsafe block.copyMemory(from: base, byteCount: count)
        unsafe base.deallocate()
        unsafe base = block
        capacity = larger
    }
}
