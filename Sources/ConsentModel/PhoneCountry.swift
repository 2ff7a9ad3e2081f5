/// A country whose numbers a register has without saying so: how they are written at home, and so in E.164.
package struct PhoneCountry: Equatable, Sendable {
    /// As it stands behind the `+`.
    package let code: String
    /// What is dialled at home in front of a number, and not from abroad.
    private let trunk: String
    /// Digits of a number without trunk.
    private let digits: ClosedRange<Int>

    package static let all = [
        PhoneCountry(code: "45", trunk: "", digits: 8...8),
        PhoneCountry(code: "46", trunk: "0", digits: 7...9),
        PhoneCountry(code: "47", trunk: "", digits: 8...8),
        PhoneCountry(code: "298", trunk: "", digits: 6...6),
        PhoneCountry(code: "354", trunk: "", digits: 7...9),
        PhoneCountry(code: "358", trunk: "0", digits: 5...12),
    ]

    private init(code: String, trunk: String, digits: ClosedRange<Int>) {
        self.code = code
        self.trunk = trunk
        self.digits = digits
    }

    /// Nil for a country whose rules are not known here.
    package init?(code: String) {
        guard let found = Self.all.first(where: { $0.code == code || "+\($0.code)" == code }) else { return nil }
        self = found
    }

    /// The number as an identifier. What already has a country keeps it; a number of this country gets it, also where a
    /// program took its trunk zero or its plus for nothing. A number that is not one of this country's is refused as
    /// the identifier would be without it.
    package func identifier(_ number: String) throws(AdmissionError) -> Identifier {
        do throws(AdmissionError) {
            return try Identifier(type: .phone, value: number)
        } catch .identifierWithoutNormalForm(.phone, .phoneWithoutCountry) {
            let dialled = number.utf8.filter { $0 >= UInt8(ascii: "0") && $0 <= UInt8(ascii: "9") }
            guard let national = national(String(decoding: dialled, as: UTF8.self)) else {
                throw .identifierWithoutNormalForm(.phone, .phoneOfAnotherCountry)
            }
            return try Identifier(type: .phone, value: "+\(code)\(national)")
        }
    }

    /// The digits behind the country's; nil if they are none of its numbers.
    private func national(_ dialled: String) -> Substring? {
        let isDomestic = !trunk.isEmpty && dialled.hasPrefix(trunk)
        let number = isDomestic ? dialled.dropFirst(trunk.count) : dialled[...]
        // Spelling: with the country, and without its plus. No number of the country is as long.
        if !isDomestic, number.count > digits.upperBound, number.hasPrefix(code) {
            return fitting(number.dropFirst(code.count))
        }
        return fitting(number)
    }

    private func fitting(_ number: Substring) -> Substring? {
        digits.contains(number.count) && !number.hasPrefix("0") ? number : nil
    }
}
