import Foundation

/// The Python source of the constants, and of the enumerations, which the Python client has nowhere else.
struct PythonConstants: Decodable {
    private var enums: [String: [String: Int]]

    /// What the Python client calls the enumerations of the definition.
    private static let classNames = [
        "accessQuestion": "AccessQuestion", "basis": "LawfulBasis", "decision": "Decision",
        "erasureReason": "ErasureReason", "eventState": "EventState",
        "freshness": "Freshness", "guardianRelation": "GuardianRelation", "identifierType": "IdentifierType",
        "linkAction": "LinkAction",
        "method": "EvidenceMethod", "party": "Party", "peopleSelection": "PeopleSelection", "proofKind": "ProofKind",
        "state": "State",
    ]

    init(json: Data) throws { self = try JSONDecoder().decode(PythonConstants.self, from: json) }

    func source(_ definition: ProtocolDefinition) -> String {
        let blocks = [
            header(definition),
            enumeration("Opcode", definition.opcodes.map { ($0.name, $0.code) }),
            "class Advice(Enum):\n    DO_NOT_RETRY = \"do_not_retry\"\n    RETRY_LATER = \"retry_later\"\n"
                + "    RECONNECT = \"reconnect\"",
            enumeration("ErrorCode", definition.errors.map { ($0.name, $0.code) }),
            mapping("ADVICE", "Advice", definition.errors.map { ($0.name, "Advice.\($0.advice.uppercased())") }),
            mapping("ERROR_NAMES", "str", definition.errors.map { ($0.name, "\"\($0.name)\"") }),
        ]
        let words = enums.sorted { $0.key < $1.key }.map { name, members in
            enumeration(
                Self.classNames[name] ?? name, members.sorted { $0.value < $1.value }.map { ($0.key, $0.value) })
        }
        return (blocks + words).joined(separator: "\n\n\n") + "\n"
    }

    private func header(_ definition: ProtocolDefinition) -> String {
        let limits = definition.limits.sorted { $0.key < $1.key }.map { "\(constant($0.key)): Final = \($0.value)" }
        return """
            # Generated from Protocol/protocol.json by ProtocolGenerator. Change the definition, then run `./dev generate`.
            from enum import Enum, IntEnum
            from typing import Final

            VERSION_MIN: Final = \(definition.versionMin)
            VERSION_MAX: Final = \(definition.versionMax)
            MAGIC: Final = 0x\(String(definition.magic, radix: 16, uppercase: true))

            \(limits.joined(separator: "\n"))
            """
    }

    private func enumeration(_ name: String, _ members: [(String, Int)]) -> String {
        "class \(name)(IntEnum):\n"
            + members.map { "    \(constant($0.0)) = \($0.1)" }.joined(separator: "\n")
    }

    private func mapping(_ name: String, _ type: String, _ values: [(String, String)]) -> String {
        "\(name): Final[dict[ErrorCode, \(type)]] = {\n"
            + values.map { "    ErrorCode.\(constant($0.0)): \($0.1),\n" }.joined() + "}"
    }

    /// `checkPurposes` → `CHECK_PURPOSES`.
    private func constant(_ name: String) -> String {
        name.map { $0.isUppercase ? "_\($0)" : $0.uppercased() }.joined()
    }
}
