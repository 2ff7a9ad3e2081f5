import ConsentModel
import ConsentWire
import Foundation

@testable import ConsentClient

/// `Protocol/vectors/*.json`, as far as a client needs them.
enum Vectors {
    /// Immutable JSON, of strings, numbers, Booleans, arrays and dictionaries.
    struct Vector: @unchecked Sendable, CustomStringConvertible {
        let file: String
        let json: [String: Any]
        let bytes: [UInt8]

        init(file: String, json: [String: Any]) {
            self.file = file
            self.json = json
            var bytes = [UInt8](hex: json["hex"] as! String)
            if let tail = json["tail"] as? [String: Any] {
                let unit = [UInt8](hex: tail["hex"] as! String)
                for _ in 0..<(tail["count"] as! Int) { bytes += unit }
            }
            self.bytes = bytes
        }

        var name: String { json["name"] as! String }
        var kind: String { json["kind"] as! String }
        var state: String? { json["state"] as? String }
        var opcode: Opcode? {
            (json["opcode"] as? String).flatMap { name in Opcode.allCases.first { "\($0)" == name } }
        }
        var fields: [String: Any] { json["fields"] as! [String: Any] }
        var description: String { "\(file): \(name)" }
    }

    static let all: [Vector] = {
        let root = URL(filePath: #filePath).resolvingSymlinksInPath()
            .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        let folder = root.appending(path: "Protocol/vectors")
        let names = (try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? []
        return names.filter { $0.hasSuffix(".json") }.sorted().flatMap { name in
            let data = try! Data(contentsOf: folder.appending(path: name))
            let vectors = try! JSONSerialization.jsonObject(with: data) as! [[String: Any]]
            return vectors.map { Vector(file: name, json: $0) }
        }
    }()

    static let forClient = all.filter { $0.state == "client" }
    /// Without the answer to a request with id 0, which this client never sends.
    static let answers = all.filter { vector in
        vector.kind == "valid" && vector.json["from"] == nil && vector.opcode!.rawValue >= Opcode.welcome.rawValue
            && (vector.bytes.u32(at: 8) != 0 || vector.opcode!.rawValue >= Opcode.goingAway.rawValue)
    }
    static let requests = all.filter {
        $0.kind == "valid" && $0.json["from"] == nil && $0.opcode!.rawValue < Opcode.welcome.rawValue
    }

    /// Expands `{"repeat":x,"count":n}`.
    static func expand(_ value: Any) -> Any {
        guard let fields = value as? [String: Any] else { return value }
        guard let unit = fields["repeat"], let count = fields["count"] as? Int else { return fields.mapValues(expand) }
        if let text = unit as? String, text == "#" { return String(repeating: text, count: count) }
        return Array(repeating: unit, count: count)
    }

    /// Equal values have equal texts.
    static func canonical(_ value: Any) -> String {
        let data = try! JSONSerialization.data(
            withJSONObject: expand(value), options: [.sortedKeys, .fragmentsAllowed])
        return String(decoding: data, as: UTF8.self)
    }
}

extension [UInt8] {
    init(hex: String) {
        // All vectors are in lower case.
        let digits = [UInt8](
            hex.utf8.map { $0 < UInt8(ascii: "a") ? $0 - UInt8(ascii: "0") : $0 - UInt8(ascii: "a") + 10 })
        self = stride(from: 0, to: digits.count, by: 2).map { digits[$0] << 4 | digits[$0 + 1] }
    }

    var hex: String { map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }.joined() }

    func u32(at offset: Int) -> UInt32 {
        (0..<4).reduce(0) { $0 | UInt32(self[offset + $1]) << UInt32(8 * $1) }
    }

    func u16(at offset: Int) -> UInt16 { UInt16(self[offset]) | UInt16(self[offset + 1]) << 8 }
}

/// What a part of the codec writes.
func written(by write: (inout OutputBuffer) -> Void) -> [UInt8] {
    var output = OutputBuffer(capacity: 256)
    write(&output)
    return Array(output.bytes)
}
