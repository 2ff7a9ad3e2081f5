import ConsentModel

/// A person, by one of the names that they are known by: a type and a value, as the caller has it. The server makes the
/// normal form, so nothing needs to be trimmed or lower-cased here.
public struct Subject: Sendable, CustomStringConvertible {
    public let type: IdentifierType
    public let value: String

    /// - Throws: `invalidArgument` for a value that the server would refuse: empty, longer than 255 bytes, or with a
    ///   control character.
    public init(type: IdentifierType, value: String) throws(ConsentClientError) {
        do throws(AdmissionError) {
            _ = try Identifier(type: ConsentModel.IdentifierType(rawValue: type.rawValue)!, value: value)
        } catch {
            throw .invalidArgument("\(error)")
        }
        self.init(trustedType: type, value: value)
    }

    /// Reads `email:kari@example.no`.
    public init(_ text: String) throws(ConsentClientError) {
        guard let colon = text.firstIndex(of: ":"), let type = IdentifierType(name: String(text[..<colon])) else {
            throw .invalidArgument("'\(text)' is not type:value, with a type of \(IdentifierType.names)")
        }
        try self.init(type: type, value: String(text[text.index(after: colon)...]))
    }

    /// From the server, or from a value of the model: judged there.
    init(trustedType type: IdentifierType, value: String) {
        self.type = type
        self.value = value
    }

    public static func customer(_ value: String) throws(ConsentClientError) -> Subject {
        try Subject(type: .customer, value: value)
    }

    public static func email(_ value: String) throws(ConsentClientError) -> Subject {
        try Subject(type: .email, value: value)
    }

    public static func phone(_ value: String) throws(ConsentClientError) -> Subject {
        try Subject(type: .phone, value: value)
    }

    public static func device(_ value: String) throws(ConsentClientError) -> Subject {
        try Subject(type: .device, value: value)
    }

    public static func cookie(_ value: String) throws(ConsentClientError) -> Subject {
        try Subject(type: .cookie, value: value)
    }

    public static func advertising(_ value: String) throws(ConsentClientError) -> Subject {
        try Subject(type: .advertising, value: value)
    }

    public static func loyaltyCard(_ value: String) throws(ConsentClientError) -> Subject {
        try Subject(type: .loyaltyCard, value: value)
    }

    public static func nationalId(_ value: String) throws(ConsentClientError) -> Subject {
        try Subject(type: .nationalId, value: value)
    }

    public static func other(_ value: String) throws(ConsentClientError) -> Subject {
        try Subject(type: .other, value: value)
    }

    /// `email:kari@example.no`, as ``init(_:)`` reads it.
    public var description: String { "\(type.name):\(value)" }
}

// Byte for byte, as the server compares: a String's own equality takes canonically equivalent spellings for the same.
extension Subject: Hashable {
    public static func == (left: Subject, right: Subject) -> Bool {
        left.type == right.type && left.value.utf8.elementsEqual(right.value.utf8)
    }

    public func hash(into hasher: inout Hasher) {
        hasher.combine(type)
        for byte in value.utf8 { hasher.combine(byte) }
    }
}
