package import ConsentModel

/// Names of sixteen bytes, the same for every server: eight that say what kind, and eight letters of a number. Made with a
/// few instructions: what is measured is the server, not the making up of names.
package struct BenchName: Sendable, Equatable {
    package static let size = 16

    /// As it lies in memory.
    let prefix: UInt64

    /// The people that a prepared node has, and those that it has not.
    package static let subject = BenchName(prefix: "subject-")

    /// - Precondition: eight bytes.
    init(prefix: String) {
        precondition(prefix.utf8.count == 8)
        self.prefix = prefix.utf8.reversed().reduce(0) { $0 << 8 | UInt64($1) }
    }

    /// Of people that one thread of one run makes up.
    static func fresh(_ numbers: inout SeededNumbers) -> BenchName {
        let letters = Array("abcdefghijklmnopqrstuvwxyz".utf8)
        let text = (0..<7).map { _ in letters[numbers.below(letters.count)] }
        return BenchName(prefix: "r" + String(decoding: text, as: UTF8.self))
    }

    @inline(__always)
    func write(_ number: UInt32, to place: UnsafeMutableRawPointer) {
        place.storeBytes(of: prefix.littleEndian, as: UInt64.self)
        place.storeBytes(of: Self.letters(number).littleEndian, toByteOffset: 8, as: UInt64.self)
    }

    /// Four bits a letter, `a` to `p`.
    @inline(__always)
    private static func letters(_ number: UInt32) -> UInt64 {
        var spread = UInt64(number)
        spread = (spread | spread << 16) & 0x0000_FFFF_0000_FFFF
        spread = (spread | spread << 8) & 0x00FF_00FF_00FF_00FF
        spread = (spread | spread << 4) & 0x0F0F_0F0F_0F0F_0F0F
        return spread + 0x6161_6161_6161_6161
    }

    package func text(_ number: UInt32) -> String {
        var bytes = [UInt8](repeating: 0, count: Self.size)
        bytes.withUnsafeMutableBytes { write(number, to: $0.baseAddress!) }
        return String(decoding: bytes, as: UTF8.self)
    }

    package func identifier(_ number: UInt32) -> Identifier {
        // Sixteen letters are always an identifier.
        try! Identifier(type: .customer, value: text(number))
    }
}
