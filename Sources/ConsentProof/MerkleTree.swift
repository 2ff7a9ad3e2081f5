package import ConsentLedger

/// A tree of hashes over events of the chain, as RFC 6962 builds it: who knows its root can be shown that one event is
/// below it by some dozen hashes, and learns nothing about the others.
///
///     leaf      = SHA-256( 0x00 · hash of the event )
///     node      = SHA-256( 0x01 · left · right )
///     a tree of n > 1 leaves has the first 2^k of them on its left, 2^k being the largest power of two below n
package enum MerkleTree {
    /// - Precondition: there is a leaf.
    package static func root(_ events: [ChainHash]) -> ChainHash {
        precondition(!events.isEmpty, "a tree has a leaf")
        return root(events[...])
    }

    private static func root(_ events: ArraySlice<ChainHash>) -> ChainHash {
        guard events.count > 1 else { return leaf(events.first!) }
        let half = split(events.count)
        return node(root(events.prefix(half)), root(events.dropFirst(half)))
    }

    /// What leads from one leaf to the root, nearest first.
    package static func path(to position: Int, in events: [ChainHash]) -> [ChainHash] {
        precondition(events.indices.contains(position), "a leaf of the tree")
        return path(to: position, in: events[...])
    }

    private static func path(to position: Int, in events: ArraySlice<ChainHash>) -> [ChainHash] {
        guard events.count > 1 else { return [] }
        let half = split(events.count)
        let (left, right) = (events.prefix(half), events.dropFirst(half))
        return position < half
            ? path(to: position, in: left) + [root(right)] : path(to: position - half, in: right) + [root(left)]
    }

    /// The root that a path leads to; nil for a path of another length than leads from that leaf of so many.
    package static func root(
        from event: ChainHash, at position: Int, of count: Int, path: [ChainHash]
    ) -> ChainHash? {
        guard (0..<count).contains(position) else { return nil }
        return root(from: event, at: position, of: count, path: path[...])
    }

    private static func root(
        from event: ChainHash, at position: Int, of count: Int, path: ArraySlice<ChainHash>
    ) -> ChainHash? {
        guard count > 1 else { return path.isEmpty ? leaf(event) : nil }
        guard let sibling = path.last else { return nil }
        let half = split(count)
        if position < half {
            return root(from: event, at: position, of: half, path: path.dropLast()).map { node($0, sibling) }
        }
        return root(from: event, at: position - half, of: count - half, path: path.dropLast()).map {
            node(sibling, $0)
        }
    }

    private static func split(_ count: Int) -> Int { 1 << (Int.bitWidth - 1 - (count - 1).leadingZeroBitCount) }

    private static func leaf(_ event: ChainHash) -> ChainHash { ChainHash(hashing: 0, event) }

    private static func node(_ left: ChainHash, _ right: ChainHash) -> ChainHash {
        ChainHash(hashing: 1, left, right)
    }
}
