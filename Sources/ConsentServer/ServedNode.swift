package import ConsentEngine
package import ConsentIndex
package import ConsentSync

/// A node as a server sees it, off the way of a check: one that has the ledger, or an edge, which has not.
package protocol ServedNode: AnyObject, Sendable {
    /// What checks are answered from, and who the node is.
    var inService: InService { get }

    /// An edge's answers count only while somebody vouches for them.
    var role: IndexRole { get }

    /// The way to the ledger, where it is not here.
    var elsewhere: Elsewhere? { get }

    /// Carries out a session's action. Returns at once; `complete` is called later, on any thread, exactly once.
    ///
    /// - Parameter feed: that serves those who follow the node; nil where nobody can.
    func perform(
        _ action: NodeAction, feed: FeedHub?, complete: @escaping @Sendable (@escaping Encode) -> Void)

    /// Serves those who follow the node. Whoever asked for it closes it.
    func feed(_ options: FeedHubOptions, failed: @escaping @Sendable (String) -> Void) throws -> FeedHub

    /// Lets a feed of this node know what changes from now on, and is told, on any thread, after ``inService`` has changed;
    /// it must return at once.
    ///
    /// - Returns: a number to end the subscription with.
    func subscribeToService(_ feed: FeedHub, _ changed: @escaping @Sendable () -> Void) -> Int

    func unsubscribe(_ number: Int)
}

extension Engine: ServedNode {
    package var role: IndexRole { .authoritative }

    package var elsewhere: Elsewhere? { nil }

    package func subscribeToService(_ feed: FeedHub, _ changed: @escaping @Sendable () -> Void) -> Int {
        subscribe(
            begin: { feed.begin(self, at: $0) },
            { group in
                feed.tell(self, of: group)
                if group.catalogVersion != nil { changed() }
            })
    }
}
