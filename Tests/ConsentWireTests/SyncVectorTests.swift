import ConsentModel
import ConsentTestSupport
import ConsentWire
import Testing

/// The golden vectors of `Protocol/vectors/sync`: what an edge and the node that it follows say to each other.
struct SyncVectorTests {
    static let opcodes = [
        "subscribe", "subscribed", "takeSnapshot", "snapshotBegun", "enforced", "heartbeat", "catalogRules",
        "rulesText",
        "snapshotChunk", "delta", "cutOff",
    ]

    @Test(arguments: opcodes)
    func everyValidFrameDecodesToItsFields(_ opcode: String) throws {
        for vector in try Vector.file("sync/\(opcode).valid.json") {
            try withFrame(vector) { frame in
                #expect(frame.opcode == (try Opcode.named(opcode).rawValue), "\(vector)")
                let isSame = try decoded(frame) == vector.fields
                #expect(isSame, "\(vector)")
            }
        }
    }

    @Test(arguments: opcodes)
    func everyValidFrameEncodesToItsBytes(_ opcode: String) throws {
        for vector in try Vector.file("sync/\(opcode).valid.json") {
            try withFrame(vector) { frame in
                let isSame = try encodedAgain(frame) == vector.bytes
                #expect(isSame, "\(vector)")
            }
        }
    }

    @Test(arguments: opcodes)
    func everyBrokenFrameIsRefusedWithItsError(_ opcode: String) throws {
        for vector in try Vector.file("sync/\(opcode).broken.json") {
            let expected = try vector.json["error"].errorCode()
            try withFrame(vector) { frame in
                #expect("\(vector)") {
                    _ = try decoded(frame)
                } throws: {
                    ($0 as? WireError)?.code == expected
                }
            }
        }
    }

    private func withFrame(_ vector: Vector, _ body: (Frame) throws -> Void) throws {
        var bytes = vector.bytes
        try bytes.withUnsafeMutableBytes { buffer in
            guard case .frame(let frame) = scanFrame(buffer), frame.size == buffer.count else {
                Issue.record("\(vector): no frame")
                return
            }
            try body(frame)
        }
    }
}

private func word(_ value: UInt64) -> Json {
    let digits = String(value, radix: 16)
    return .text(String(repeating: "0", count: 16 - digits.count) + digits)
}

private func fields(_ point: SyncPoint) -> [String: Json] {
    ["sequence": .decimal(point.sequence), "chain": .decimal(point.chain), "digest": .decimal(point.digest)]
}

private func fields(_ rows: SyncRows) -> Json {
    .array(
        (0..<rows.count).map { position in
            let row = rows[position]
            return .object([
                "tag": word(row.tag), "sequence": .decimal(row.sequence), "endsAt": .small(Int(row.second >> 32)),
                "permitted": .array((0..<row.words).map { word(row.word($0)) }),
                "denied": .array((0..<row.words).map { word(row.word(row.words + $0)) }),
                "place": .small(Int(row.place)),
                "absent": .bool(row.isAbsent),
            ])
        })
}

private func fields(_ catalog: SyncCatalog) -> [String: Json] {
    [
        "sequence": .decimal(catalog.sequence), "version": .small(catalog.version), "digest": .hex(catalog.digest),
        "purposes": .array(
            catalog.purposes.map { purpose in
                .object([
                    "bit": .small(purpose.bit), "granted": .bool(purpose.isGrantedByDefault),
                    "denied": .bool(purpose.isDeniedByDefault), "maxStaleness": .small(Int(purpose.maxStaleness)),
                    "id": .text(purpose.id),
                ])
            }),
    ]
}

private func decoded(_ frame: Frame) throws -> Json {
    var all: [String: Json] = ["request": .small(frame.request)]
    func add(_ more: [String: Json]) { all.merge(more) { $1 } }
    switch Opcode(rawValue: frame.opcode) {
    case .subscribe:
        let request = try SubscribeRequest(frame)
        add(fields(request.point))
        add(["history": .hex(request.history.bytes), "name": .text(request.name)])
    case .subscribed:
        let answer = try Subscribed(frame)
        add([
            "verdict": .named(answer.verdict), "history": .hex(answer.history.bytes), "head": .decimal(answer.head),
            "hashKey": .hex(answer.hashKey),
        ])
    case .takeSnapshot:
        let plan = try TakeSnapshotRequest(frame).resumed
        add([
            "start": .decimal(plan?.start.sequence ?? 0), "startChain": .decimal(plan?.start.chain ?? 0),
            "chunkCount": .small(plan?.chunkCount ?? 0), "nextChunk": .small(plan?.nextChunk ?? 0),
        ])
    case .snapshotBegun:
        let begun = try SnapshotBegun(frame)
        add([
            "start": .decimal(begun.plan.start.sequence), "startChain": .decimal(begun.plan.start.chain),
            "chunkCount": .small(begun.plan.chunkCount), "nextChunk": .small(begun.plan.nextChunk),
            "rows": .decimal(begun.rows), "words": .small(begun.words),
        ])
    case .enforced:
        let enforced = try Enforced(frame)
        add([
            "sequence": .decimal(enforced.sequence), "stamp": .decimal(enforced.stamp),
            "time": .decimal(enforced.time.millis),
        ])
    case .heartbeat:
        let beat = try Heartbeat(frame)
        add(fields(beat.sent))
        add([
            "number": .small(frame.word), "known": .bool(beat.isSentKnown), "head": .decimal(beat.head),
            "echo": .decimal(beat.echo), "ageMillis": .decimal(beat.ageMillis), "time": .decimal(beat.time.millis),
        ])
    case .catalogRules:
        add(fields(try SyncCatalog(frame)))
        add(["number": .small(frame.word)])
    case .rulesText: add(["number": .small(frame.word), "document": .text(try SyncCatalog.text(frame))])
    case .snapshotChunk:
        let chunk = try SnapshotChunk(frame)
        add([
            "number": .small(frame.word), "last": .bool(chunk.isLast), "words": .small(chunk.rows.words),
            "chunk": .small(chunk.chunk), "rows": fields(chunk.rows),
        ])
    case .delta:
        let delta = try Delta(frame)
        add(fields(delta.point))
        add([
            "number": .small(frame.word), "complete": .bool(delta.isComplete), "known": .bool(delta.hasDigest),
            "words": .small(delta.rows.words), "after": .decimal(delta.after), "rows": fields(delta.rows),
        ])
    case .cutOff:
        let cutOff = try CutOff(frame)
        add([
            "number": .small(frame.word), "reason": .named(cutOff.reason), "message": .text(cutOff.message),
        ])
    default: throw NotInDefinition(description: "an opcode that nobody says here")
    }
    return .object(all)
}

/// What was decoded, encoded again.
private func encodedAgain(_ frame: Frame) throws -> [UInt8] {
    var output = OutputBuffer(capacity: 64)
    let (request, number) = (frame.request, frame.word)
    switch Opcode(rawValue: frame.opcode) {
    case .subscribe: try SubscribeRequest(frame).encode(request: request, into: &output)
    case .subscribed: try Subscribed(frame).encode(request: request, into: &output)
    case .takeSnapshot: try TakeSnapshotRequest(frame).encode(request: request, into: &output)
    case .snapshotBegun: try SnapshotBegun(frame).encode(request: request, into: &output)
    case .enforced: try Enforced(frame).encode(into: &output)
    case .heartbeat: try Heartbeat(frame).encode(number: number, into: &output)
    case .catalogRules: try SyncCatalog(frame).encodeRules(number: number, into: &output)
    case .rulesText:
        var catalog = SyncCatalog.none
        catalog.text = try SyncCatalog.text(frame)
        catalog.encodeText(number: number, into: &output)
    case .snapshotChunk:
        let chunk = try SnapshotChunk(frame)
        var rows = SnapshotChunk.begin(chunk: chunk.chunk, words: chunk.rows.words, number: number, into: &output)
        for position in 0..<chunk.rows.count { rows.append(chunk.rows[position], into: &output) }
        rows.end(isLast: chunk.isLast, into: &output)
    case .delta:
        let delta = try Delta(frame)
        var rows = Delta.begin(
            after: delta.after, to: delta.point, hasDigest: delta.hasDigest, words: delta.rows.words, number: number,
            into: &output)
        for position in 0..<delta.rows.count { rows.append(delta.rows[position], into: &output) }
        rows.end(isLast: delta.isComplete, into: &output)
    case .cutOff: try CutOff(frame).encode(number: number, into: &output)
    default: throw NotInDefinition(description: "an opcode that nobody says here")
    }
    return Array(output.bytes)
}
