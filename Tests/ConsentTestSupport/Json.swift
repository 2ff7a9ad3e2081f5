package import Foundation

/// A JSON value that can be handed from thread to thread. What a test reads but is not there is a failed test, so that a
/// mistyped name never passes for an absent field.
package indirect enum Json: Sendable, Equatable {
    case null
    case bool(Bool)
    case number(Int)
    case text(String)
    case array([Json])
    case object([String: Json])

    package struct Mismatch: Error, CustomStringConvertible {
        package var description: String
    }

    package init(_ data: Data) throws {
        self.init(try JSONSerialization.jsonObject(with: data, options: .fragmentsAllowed))
    }

    private init(_ value: Any) {
        switch value {
        case let array as [Any]: self = .array(array.map(Json.init))
        case let object as [String: Any]: self = .object(object.mapValues(Json.init))
        case let text as String: self = .text(text)
        case let number as NSNumber:
            // A Boolean is a number too; only its type tells it apart.
            let isBool = String(cString: number.objCType) == "c"
            self = isBool ? .bool(number.boolValue) : .number(number.intValue)
        default: self = .null
        }
    }

    private func mismatch(_ wanted: String) -> Mismatch {
        Mismatch(description: "\("\(self)".prefix(200)) is no \(wanted)")
    }

    package subscript(name: String) -> Json {
        get throws {
            guard case .object(let fields) = self, let value = fields[name] else {
                throw mismatch("object with '\(name)'")
            }
            return value
        }
    }

    package func optional(_ name: String) -> Json? {
        guard case .object(let fields) = self, let value = fields[name], value != .null else { return nil }
        return value
    }

    package var array: [Json] {
        get throws {
            guard case .array(let values) = self else { throw mismatch("array") }
            return values
        }
    }

    package var object: [String: Json] {
        get throws {
            guard case .object(let fields) = self else { throw mismatch("object") }
            return fields
        }
    }

    package var text: String {
        get throws {
            guard case .text(let text) = self else { throw mismatch("text") }
            return text
        }
    }

    package var bool: Bool {
        get throws {
            guard case .bool(let bool) = self else { throw mismatch("Boolean") }
            return bool
        }
    }

    /// A number, or a decimal string as vectors write those of 64 bits.
    package func number<Number: FixedWidthInteger>(_: Number.Type = Number.self) throws -> Number {
        switch self {
        case .number(let number): if let exact = Number(exactly: number) { return exact }
        case .text(let text): if let number = Number(text) { return number }
        default: break
        }
        throw mismatch("\(Number.self)")
    }
}
