import Foundation

/// The part of `protocol.json` that becomes constants.
struct ProtocolDefinition: Decodable {
    var versionMin: Int
    var versionMax: Int
    var magic: Int
    var limits: [String: Int]
    var opcodes: [Opcode]
    var errors: [ErrorCode]

    struct Opcode: Decodable {
        var name: String
        var code: Int
        var direction: String
        var about: String
    }

    struct ErrorCode: Decodable {
        var name: String
        var code: Int
        var advice: String
        var closes: Bool
        var about: String
    }

    init(json: Data) throws { self = try JSONDecoder().decode(ProtocolDefinition.self, from: json) }

    /// The Swift source of the constants, formatted as the project's formatter leaves it.
    func swiftConstants() -> String {
        """
        // swift-format-ignore-file
        // Generated from Protocol/protocol.json by ProtocolGenerator. Change the definition, then run `./dev generate`.

        package enum Opcode: UInt8, Sendable, CaseIterable {
        \(opcodes.map { "    /// \($0.about)\n    case \($0.name) = \(hex($0.code))" }.joined(separator: "\n"))
        }

        /// What a client should do about an error.
        package enum ErrorAdvice: Sendable {
            case doNotRetry, retryLater, reconnect
        }

        package enum ErrorCode: UInt16, Sendable, CaseIterable {
        \(errors.map { "    /// \($0.about)\n    case \($0.name) = \($0.code)" }.joined(separator: "\n"))

            package var advice: ErrorAdvice {
                switch self {
        \(adviceCases())
                }
            }

            /// Whether the server closes the connection after it.
            package var closesConnection: Bool {
                switch self {
        \(closingCases())
                }
            }
        }

        package enum WireLimit {
        \(limits.sorted { $0.key < $1.key }.map { "    package static let \($0.key) = \($0.value)" }
            .joined(separator: "\n"))
        }

        package enum WireVersion {
            package static let min: UInt16 = \(versionMin)
            package static let max: UInt16 = \(versionMax)
            package static let magic: UInt32 = \(hex(magic))
        }

        """
    }

    /// The C header of the constants.
    func cConstants(_ enumerations: CEnumerations) -> String {
        """
        // Generated from Protocol/protocol.json by ProtocolGenerator. Change the definition, then run `./dev generate`.
        #ifndef CONSENT_PROTOCOL_H
        #define CONSENT_PROTOCOL_H

        enum {
            CONSENT_VERSION_MIN = \(versionMin),
            CONSENT_VERSION_MAX = \(versionMax),
            CONSENT_MAGIC = \(hex(magic))
        };

        enum {
        \(limits.sorted { $0.key < $1.key }.map { "    CONSENT_LIMIT_\(upper($0.key)) = \($0.value)" }
            .joined(separator: ",\n"))
        };

        enum {
        \(opcodes.map { "    CONSENT_OPCODE_\(upper($0.name)) = \($0.code)" }.joined(separator: ",\n"))
        };

        \(enumerations.source())// What a server answers instead, see the table of errors in Protocol/protocol.md.
        enum {
        \(errors.map { "    CONSENT_ERROR_\(upper($0.name)) = \($0.code)" }.joined(separator: ",\n"))
        };

        // What a client should do about an error.
        enum { CONSENT_DO_NOT_RETRY = 0, CONSENT_RETRY_LATER = 1, CONSENT_RECONNECT = 2 };

        // A code that is not known is not tried again.
        static inline int consent_error_advice(int code) {
            switch (code) {
        \(errors.filter { $0.advice != "do_not_retry" }
            .map { "    case CONSENT_ERROR_\(upper($0.name)): return CONSENT_\($0.advice.uppercased());" }
            .joined(separator: "\n"))
            default: return CONSENT_DO_NOT_RETRY;
            }
        }

        static inline const char *consent_error_meaning(int code) {
            switch (code) {
        \(errors.map { "    case CONSENT_ERROR_\(upper($0.name)): return \"\($0.about)\";" }
            .joined(separator: "\n"))
            default: return "an error that this version does not know";
            }
        }

        #endif

        """
    }

    /// `frameSizeMax` as `FRAME_SIZE_MAX`.
    private func upper(_ name: String) -> String {
        name.map { $0.isUppercase ? "_\($0)" : $0.uppercased() }.joined()
    }

    private func hex(_ number: Int) -> String { "0x" + String(number, radix: 16, uppercase: true) }

    private func adviceCases() -> String {
        let names = ["do_not_retry": "doNotRetry", "retry_later": "retryLater", "reconnect": "reconnect"]
        return Dictionary(grouping: errors, by: \.advice).sorted { $0.key < $1.key }.map { advice, codes in
            "        case \(caseList(codes)): .\(names[advice] ?? advice)"
        }.joined(separator: "\n")
    }

    private func closingCases() -> String {
        "        case \(caseList(errors.filter(\.closes))): true\n        default: false"
    }

    private func caseList(_ codes: [ErrorCode]) -> String {
        codes.map { "." + $0.name }.joined(separator: ",\n            ")
    }
}
