/// A change about one person as a whole, and whom to tell.
struct PersonChange: Sendable {
    /// Decides about it; then says how to tell that it is done.
    let carryOut: @Sendable (Group) throws -> @Sendable () -> Void
    let fail: @Sendable (EngineError) -> Void

    /// - Parameter work: throws ``RightsError`` if a rule stands against it, before it has changed anything.
    init<Value: Sendable>(
        _ work: @escaping @Sendable (Group) throws -> Value,
        _ complete: @escaping @Sendable (Result<Value, EngineError>) -> Void
    ) {
        carryOut = { group in
            let value = try work(group)
            return { complete(.success(value)) }
        }
        fail = { complete(.failure($0)) }
    }
}

extension Engine {
    /// Queues a change about one person; `complete` is called on the writer's thread.
    func carryOut<Value: Sendable>(
        _ work: @escaping @Sendable (Group) throws -> Value,
        _ complete: @escaping @Sendable (Result<Value, EngineError>) -> Void
    ) { queue.submit(.person(PersonChange(work, complete))) }
}
