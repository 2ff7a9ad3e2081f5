import ConsentModel
import ConsentTestSupport
import ConsentWire

// The fields of `nodeStatus` and `enforcedBy`, as the vectors have them.

extension NodeStatus {
    init(_ fields: Json) throws {
        self.init()
        isReady = try fields["ready"].bool
        isEdge = try fields["edge"].bool
        catalogVersion = try fields["catalogVersion"].number()
        sequence = try fields["sequence"].number()
        head = try fields["head"].number()
        digest = try fields["digest"].number()
        ageMillis = try fields["ageMillis"].number()
        deployment = ID16(bytes: try fields["deployment"].bytes)
        history = ID16(bytes: try fields["history"].bytes)
        serverVersion = try fields["serverVersion"].text
        upstream = try fields["upstream"].text
        notReady = try fields["notReady"].text
        trouble = try fields["trouble"].text
        edges = try fields["edges"].array.map { edge in
            FollowingEdge(
                name: try edge["name"].text, enforced: try edge["enforced"].number(),
                behindMillis: try edge["behindMillis"].number(), heardMillis: try edge["heardMillis"].number(),
                isConnected: try edge["connected"].bool, takesSnapshot: try edge["takesSnapshot"].bool,
                gone: try edge["gone"].text)
        }
    }

    var fields: [String: Json] {
        [
            "ready": .bool(isReady), "edge": .bool(isEdge), "catalogVersion": .small(catalogVersion),
            "sequence": .decimal(sequence), "head": .decimal(head), "digest": .decimal(digest),
            "ageMillis": .decimal(ageMillis), "deployment": .hex(deployment.bytes), "history": .hex(history.bytes),
            "serverVersion": .text(serverVersion), "upstream": .text(upstream), "notReady": .text(notReady),
            "trouble": .text(trouble),
            "edges": .array(
                edges.map { edge in
                    .object([
                        "name": .text(edge.name), "gone": .text(edge.gone), "enforced": .decimal(edge.enforced),
                        "behindMillis": .decimal(edge.behindMillis), "heardMillis": .decimal(edge.heardMillis),
                        "connected": .bool(edge.isConnected), "takesSnapshot": .bool(edge.takesSnapshot),
                    ])
                }),
        ]
    }
}

extension EnforcedBy {
    init(_ fields: Json) throws {
        self.init(
            sequence: try fields["sequence"].number(), head: try fields["head"].number(),
            edges: try fields["edges"].array.map { edge in
                let since: Int64 = try edge["since"].number()
                return EnforcingEdge(
                    name: try edge["name"].text,
                    enforced: try edge["enforced"].number(), since: since == 0 ? nil : Timestamp(millis: since),
                    isConnected: try edge["connected"].bool, answersByIt: try edge["answersByIt"].bool,
                    isAtTheLatest: try edge["atTheLatest"].bool)
            })
    }

    var fields: [String: Json] {
        [
            "sequence": .decimal(sequence), "head": .decimal(head),
            "edges": .array(
                edges.map { edge in
                    .object([
                        "name": .text(edge.name), "atTheLatest": .bool(edge.isAtTheLatest),
                        "enforced": .decimal(edge.enforced),
                        "since": .decimal(edge.since?.millis ?? 0), "connected": .bool(edge.isConnected),
                        "answersByIt": .bool(edge.answersByIt),
                    ])
                }),
        ]
    }
}
