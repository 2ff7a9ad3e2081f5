package import ConsentEngine
package import ConsentIndex

/// A node as a server sees it, off the way of a check: one that has the ledger, or an edge, which has not.
package protocol ServedNode: AnyObject, Sendable {
    /// What checks are answered from, and who the node is.
    var inService: InService { get }

    /// An edge's answers count only while somebody vouches for them.
    var role: IndexRole { get }

    /// Carries out a session's action. Returns at once; `complete` is called later, on any thread, exactly once.
    func perform(_ action: SessionAction, complete: @escaping @Sendable (@escaping Encode) -> Void)

    /// Is told, on any thread, after ``inService`` has changed; it must return at once.
    ///
    /// - Returns: a number to end the subscription with.
    func subscribeToService(_ changed: @escaping @Sendable () -> Void) -> Int

    func unsubscribe(_ number: Int)
}

extension Engine: ServedNode {
    package var role: IndexRole { .authoritative }

    package func subscribeToService(_ changed: @escaping @Sendable () -> Void) -> Int {
        subscribe { group in
            if group.catalogVersion != nil { changed() }
        }
    }
}
