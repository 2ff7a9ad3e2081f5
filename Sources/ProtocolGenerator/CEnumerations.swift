import Foundation

/// The enumerations of the definition that C has nowhere else, each with a function that knows its numbers.
struct CEnumerations: Decodable {
    private var enums: [String: [String: Int]]

    /// What the C client calls them.
    private static let names = [
        ("basis", "basis"), ("eventState", "event"), ("method", "method"), ("party", "party"), ("state", "state"),
        ("peopleSelection", "people"), ("guardianRelation", "guardian"),
    ]

    init(json: Data) throws { self = try JSONDecoder().decode(CEnumerations.self, from: json) }

    func source() -> String {
        Self.names.map { name, inC in
            let members = (enums[name] ?? [:]).sorted { $0.value < $1.value }.map {
                (name: "CONSENT_\(inC.uppercased())_\($0.key.uppercased())", code: $0.value)
            }
            return """
                enum {
                \(members.map { "    \($0.name) = \($0.code)" }.joined(separator: ",\n"))
                };

                static inline int consent_is_\(inC)(int code) {
                    switch (code) {
                \(members.map { "    case \($0.name):" }.joined(separator: "\n"))
                        return 1;
                    default: return 0;
                    }
                }


                """
        }.joined()
    }
}
