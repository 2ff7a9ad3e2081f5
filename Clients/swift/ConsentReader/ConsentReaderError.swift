/// Why a reader, a person or a purpose cannot be had, in words.
public struct ConsentReaderError: Error, Equatable, CustomStringConvertible {
    public let description: String

    init(_ description: String) { self.description = description }

    static func naming<Value: ~Copyable>(
        _ path: String, _ body: () throws -> Value
    ) throws(ConsentReaderError) -> Value {
        do {
            return try body()
        } catch {
            throw ConsentReaderError("the index of \(path) cannot be read: \(error)")
        }
    }
}
