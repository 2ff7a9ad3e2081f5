import Foundation

/// A golden vector of `Protocol/vectors`; its README says what the keys mean.
package struct Vector: Sendable, CustomStringConvertible {
    package let file: String
    package let name: String
    package let kind: String
    package let bytes: [UInt8]
    package let json: Json

    package var description: String { "\(file): \(name)" }
    package var opcode: String { get throws { try json["opcode"].text } }
    package var fields: Json { get throws { try json["fields"] } }
    package var state: String? { try? json["state"].text }

    private init(_ json: Json, file: String) throws {
        self.file = file
        self.json = json
        name = try json["name"].text
        kind = try json["kind"].text
        var bytes = try [UInt8](hex: json["hex"].text)
        if let tail = json.optional("tail") {
            let piece = try [UInt8](hex: tail["hex"].text)
            for _ in 0..<(try tail["count"].number(Int.self)) { bytes += piece }
        }
        self.bytes = bytes
    }

    /// All of one file.
    package static func file(_ name: String) throws -> [Vector] {
        try Json(Project.file("Protocol/vectors/\(name)")).array.map { try Vector($0, file: name) }
    }

    /// The names of all files of vectors.
    package static let files: [String] = {
        let folder = Project.root.appending(path: "Protocol/vectors").path
        let names = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
        return names.filter { $0.hasSuffix(".json") }.sorted()
    }()

    /// Those with frames that must be understood.
    package static let validFiles = files.filter { $0.hasSuffix(".valid.json") } + ["session.json"]

    package static let brokenFiles = files.filter { $0.hasSuffix(".broken.json") }
}

extension [UInt8] {
    package struct NotHex: Error {}

    package init(hex: String) throws {
        let digits = [UInt8](hex.utf8)
        func value(_ digit: UInt8) throws -> UInt8 {
            switch digit {
            case UInt8(ascii: "0")...UInt8(ascii: "9"): digit - UInt8(ascii: "0")
            case UInt8(ascii: "a")...UInt8(ascii: "f"): digit - UInt8(ascii: "a") + 10
            default: throw NotHex()
            }
        }
        guard digits.count % 2 == 0 else { throw NotHex() }
        self = try stride(from: 0, to: digits.count, by: 2).map { try value(digits[$0]) << 4 | value(digits[$0 + 1]) }
    }

    package var hex: String { map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }.joined() }
}
