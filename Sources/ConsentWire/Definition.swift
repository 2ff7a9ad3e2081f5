// swift-format-ignore-file
// Generated from Protocol/protocol.json by ProtocolGenerator. Change the definition, then run `./dev generate`.

package enum Opcode: UInt8, Sendable, CaseIterable {
    /// The first frame of a connection.
    case hello = 0x1
    /// The server's side of the handshake.
    case welcome = 0x81
    /// Answered at once, in order with checks.
    case ping = 0x2
    /// Answer to ping.
    case pong = 0x82
    /// One subject, one purpose.
    case check = 0x10
    /// Answer to check.
    case checked = 0x90
    /// One subject, many purposes.
    case checkPurposes = 0x11
    /// Answer to checkPurposes. A purpose asked for that is in neither set is unknown.
    case checkedPurposes = 0x91
    /// Many subjects, one purpose.
    case checkSubjects = 0x12
    /// Answer to checkSubjects. A subject in neither set is unknown.
    case checkedSubjects = 0x92
    /// One subject, one purpose, with everything that decided; read from the ledger.
    case explain = 0x13
    /// Answer to explain. Its reason is exact, a check's stands for its class.
    case explained = 0x93
    /// Record one or many events. All accepted ones commit together; answered when they are durable and visible.
    case record = 0x20
    /// Answer to record.
    case recorded = 0xA0
    /// Check a catalog and, unless this is a dry run, apply it.
    case applyCatalog = 0x22
    /// Answer to applyCatalog.
    case appliedCatalog = 0xA2
    /// The events of a subject, oldest first.
    case history = 0x30
    /// Answer to history.
    case historyPage = 0xB0
    /// The purposes of the applied catalog.
    case catalog = 0x31
    /// Answer to catalog.
    case catalogPurposes = 0xB1
    /// The text of the applied catalog.
    case catalogDocument = 0x32
    /// Answer to catalogDocument.
    case catalogText = 0xB2
    /// Counters and sizes of the node.
    case statistics = 0x33
    /// Answer to statistics.
    case statisticValues = 0xB3
    /// How many identifiers are granted a purpose, and not another; counted in the index.
    case countGranted = 0x34
    /// Answer to countGranted.
    case grantedCount = 0xB4
    /// People of whom something holds, in the order of their numbers.
    case people = 0x35
    /// Answer to people.
    case peoplePage = 0xB5
    /// Who the node is, by which sequence it answers, and who follows it.
    case status = 0x36
    /// Answer to status.
    case nodeStatus = 0xB6
    /// Since when each edge answers by a sequence, such as a withdrawal's.
    case enforcement = 0x37
    /// Answer to enforcement.
    case enforcedBy = 0xB7
    /// Sign where the chain is now.
    case checkpoint = 0x38
    /// Answer to checkpoint: a signed statement of where the chain is, as one line.
    case checkpointed = 0xB8
    /// A document about one event that can be checked without the node.
    case prove = 0x39
    /// Answer to prove.
    case proved = 0xB9
    /// Who read personal data, what, and when, oldest first.
    case accessLog = 0x3A
    /// Answer to accessLog.
    case accessPage = 0xBA
    /// A request that reads personal data, and who reads; answered like the one inside.
    case readAs = 0x3B
    /// The server drains: finish what is in flight, connect again elsewhere or later.
    case goingAway = 0xE0
    /// Another catalog version was applied.
    case catalogChanged = 0xE1
    /// A request failed; its id is repeated, or is zero where the frame could not be read.
    case error = 0xFF
    /// Erase a person: identifiers and evidence of all events, in the database and its log.
    case erase = 0x23
    /// Answer to erase: what a certificate states.
    case erased = 0xA3
    /// Follow this node from what the edge has; the connection serves nothing else from then on.
    case subscribe = 0x40
    /// Answer to subscribe: whether the edge can go on from what it has, or must take a snapshot.
    case subscribed = 0xC0
    /// A new snapshot, or the rest of one that was interrupted.
    case takeSnapshot = 0x41
    /// Answer to takeSnapshot: the manifest. Chunks follow as pushes.
    case snapshotBegun = 0xC1
    /// Up to where the edge answers by; also the sign that it is there. Not answered, but heartbeats repeat the stamp.
    case enforced = 0x42
    /// What was sent here, what this node has, and how old that may be.
    case heartbeat = 0xE2
    /// A catalog that rows from a sequence on are made by; comes before them.
    case catalogRules = 0xE3
    /// The text of the catalog whose rules came before it.
    case rulesText = 0xE4
    /// Rows of a chunk, or a part of them.
    case snapshotChunk = 0xE5
    /// Rows that have changed after one sequence up to another, as they are now, or a part of them.
    case delta = 0xE6
    /// The subscription ends, and with it the connection.
    case cutOff = 0xE7
    /// Link an identifier with a person: what was recorded for it becomes the person's.
    case link = 0x24
    /// Answer to link.
    case linked = 0xA4
    /// Take an identifier off its person: it keeps each no, and nothing that was agreed to.
    case unlink = 0x25
    /// Answer to unlink.
    case unlinked = 0xA5
    /// Issue a token that confirms what a person has requested (double opt-in).
    case issueToken = 0x26
    /// Answer to issueToken: the token, which is said this once.
    case tokenIssued = 0xA6
    /// Confirm what a token was issued for.
    case confirmToken = 0x27
    /// Answer to confirmToken: what is confirmed now.
    case tokenConfirmed = 0xA7
}

/// What a client should do about an error.
package enum ErrorAdvice: Sendable {
    case doNotRetry, retryLater, reconnect
}

package enum ErrorCode: UInt16, Sendable, CaseIterable {
    /// The payload does not have the layout of its opcode; nothing of the frame took effect.
    case malformed = 1
    /// The length field says more than frameSizeMax, or of the first frame more than helloSizeMax.
    case frameTooLarge = 2
    /// The length field says less than the rest of the header.
    case frameTooSmall = 3
    /// No request has this opcode in the version spoken.
    case opcodeUnknown = 4
    /// A bit that must be zero is one.
    case reservedBitSet = 5
    /// The first frame was not hello, or hello came twice.
    case helloExpected = 6
    /// hello does not carry the magic: another protocol is spoken here.
    case magicWrong = 7
    /// No version is spoken by both. Detail: u16 oldest, u16 newest that the server speaks.
    case versionUnsupported = 8
    /// The client is meant for another deployment.
    case deploymentMismatch = 9
    /// The token is missing or wrong.
    case credentialsRefused = 10
    /// The queue of changes or of reads is full; nothing was stored.
    case busy = 11
    /// The connection has requestsInFlightMax requests unanswered; nothing of this one was done.
    case tooManyInFlight = 12
    /// The server drains and takes no new change.
    case shuttingDown = 13
    /// The server failed; its log says why. Nothing is known to be stored: retry with the same key.
    case internalFailure = 14
    /// Nothing was received within the idle limit.
    case idleTooLong = 15
    /// hello did not arrive within the handshake limit.
    case helloTooLate = 16
    /// The server has as many connections as it may.
    case tooManyConnections = 17
    /// The applied catalog has no purpose with this bit. Detail: the bit.
    case purposeUnknown = 18
    /// The identifier is empty, too long, not UTF-8, holds control characters, or its type is unknown.
    case identifierInvalid = 19
    /// The catalog breaks rules; the message names line and rule of each. Nothing was applied.
    case catalogRejected = 20
    /// The catalog contradicts what is applied, such as a reused purpose bit. Nothing was applied.
    case catalogConflict = 21
    /// The ledger could not be used, such as on a full disk. Nothing was stored.
    case ledgerUnavailable = 22
    /// What the ledger holds contradicts itself; the message says where. Nothing was stored.
    case ledgerDamaged = 23
    /// This edge has no ledger: changes, histories and lists of people are asked of the server that the message names. Nothing was stored.
    case notHere = 32
    /// This edge forwards such requests and has no answer to this one. Whether a change was stored is not known: retry with the same key.
    case upstreamUnreachable = 33
    /// This edge has never reached its upstream and cannot say yet whether it is of the client's deployment.
    case identityUnknown = 35
    /// This edge is not of the history any more that it named in its welcome.
    case nodeChanged = 36
    /// The question cannot be answered as it was asked, such as for a purpose that no catalog has; the message says why.
    case questionInvalid = 41
    /// Rule at the door: no identifier. Only in outcomes of record; nothing of the event was stored.
    case identifierMissing = 64
    /// Rule at the door: an identifier's type is not known, or its value has no normal form. Only in outcomes of record; nothing of the event was stored.
    case identifierRefused = 65
    /// Rule at the door: more identifiers than one event may name, or than one person may have. Only in outcomes of record; nothing of the event was stored.
    case identifiersTooMany = 66
    /// Rule at the door: the purpose is not in the catalog. Only in outcomes of record; nothing of the event was stored.
    case admissionPurposeUnknown = 67
    /// Rule at the door: the purpose is retired. Only in outcomes of record; nothing of the event was stored.
    case purposeInactive = 68
    /// Rule at the door: the purpose does not rest on consent. Only in outcomes of record; nothing of the event was stored.
    case basisNeedsNoConsent = 69
    /// Rule at the door: the purpose's basis leaves no room for withdrawal or objection; the message names it. Only in outcomes of record; nothing of the event was stored.
    case basisCannotBeWithdrawn = 70
    /// Rule at the door: only the person may lift an objection to direct marketing or profiling. Only in outcomes of record; nothing of the event was stored.
    case objectionIsAbsolute = 71
    /// Rule at the door: only the node records this state. Only in outcomes of record; nothing of the event was stored.
    case stateIsInternal = 72
    /// Rule at the door: a grant without declaration and revision. Only in outcomes of record; nothing of the event was stored.
    case declarationMissing = 73
    /// Rule at the door: no such declaration. Only in outcomes of record; nothing of the event was stored.
    case declarationUnknown = 74
    /// Rule at the door: no such revision. Only in outcomes of record; nothing of the event was stored.
    case revisionUnknown = 75
    /// Rule at the door: the revision was not current at capture; the message names the one that was. Only in outcomes of record; nothing of the event was stored.
    case revisionNotCurrent = 76
    /// Rule at the door: the revision does not cover the purpose. Only in outcomes of record; nothing of the event was stored.
    case revisionLacksPurpose = 77
    /// Rule at the door: the revision has no text in the language. Only in outcomes of record; nothing of the event was stored.
    case languageUnknown = 78
    /// Rule at the door: a grant without evidence method. Only in outcomes of record; nothing of the event was stored.
    case methodMissing = 79
    /// Rule at the door: preticked, silence, implied and bundled are not consent. Only in outcomes of record; nothing of the event was stored.
    case methodIsNotConsent = 80
    /// Rule at the door: capture time ahead of the node's clock: by more than five minutes, or without an idempotency key. Only in outcomes of record; nothing of the event was stored.
    case capturedInFuture = 81
    /// Rule at the door: the consent would end before it began. Only in outcomes of record; nothing of the event was stored.
    case endsBeforeCapture = 82
    /// Rule at the door: a text is over its limit. Only in outcomes of record; nothing of the event was stored.
    case textTooLong = 83
    /// Rule at the door: no grant waits to be confirmed. Only in outcomes of record; nothing of the event was stored.
    case nothingToConfirm = 84
    /// Rule at the door: the idempotency key belongs to another event. Only in outcomes of record; nothing of the event was stored.
    case keyReused = 85
    /// Rule at the door, and to link: the identifiers name two people. Nothing of it was stored.
    case identifierConflict = 86
    /// Rule at the door: no person has this age. Only in outcomes of record; nothing of the event was stored.
    case ageImplausible = 87
    /// Rule at the door: consent by another party than the person or a guardian. Only in outcomes of record; nothing of the event was stored.
    case partyCannotConsent = 88
    /// Rule at the door: capture time before 1970, or its first moment. Only in outcomes of record; nothing of the event was stored.
    case capturedTooEarly = 89
    /// Rule at the door: an identifier is empty, or nothing is left of it when it is written the one way that counts. Only in outcomes of record; nothing of the event was stored.
    case identifierEmpty = 100
    /// Rule at the door: an identifier is over its limit. Only in outcomes of record; nothing of the event was stored.
    case identifierTooLong = 101
    /// Rule at the door: an identifier holds control characters or is not UTF-8. Only in outcomes of record; nothing of the event was stored.
    case identifierMalformed = 102
    /// Rule at the door: a national id is the hash that a history shows in its place. Only in outcomes of record; nothing of the event was stored.
    case nationalIdIsHash = 103
    /// The ledger knows nobody by the identifier. Nothing was stored.
    case personUnknown = 48
    /// There is no event with this sequence.
    case eventUnknown = 42
    /// There can be no receipt of the event: it is no act of a person, no consent, or the person was erased.
    case receiptImpossible = 43
    /// Who reads looks like an identifier, and the access log keeps it for ever. Nothing was given.
    case readerRefused = 44
    /// Only a request that reads personal data can stand in readAs.
    case readExpected = 45
    /// Rule at the door, and to link: the person was erased; only what the person does anew, captured after that, is taken. Nothing of it was stored.
    case personErased = 90
    /// Rule at the door: actor, system, channel or form holds an identifier of the person, and could never be erased. Only in outcomes of record; nothing of the event was stored.
    case textNamesPerson = 91
    /// A payload does not match its checksum.
    case damaged = 24
    /// This node has nothing to follow yet.
    case feedNotReady = 25
    /// As many edges follow this node as may.
    case tooManyEdges = 26
    /// The connection has requests that are not answered; subscribe on one of its own.
    case subscribeTooLate = 27
    /// Only an edge that has subscribed can say this.
    case subscribeExpected = 28
    /// A connection that has subscribed takes nothing but takeSnapshot and enforced.
    case onlyFollowing = 29
    /// Nobody was given this token, or what it was for has been erased. Nothing was stored.
    case tokenUnknown = 92
    /// The token was used before; it counts once. Nothing was stored.
    case tokenUsed = 93
    /// The time of the token is over; the person is to be asked again. Nothing was stored.
    case tokenLapsed = 94
    /// Rule at the door: the identifier was taken off a person after this was captured; only a no is taken for it then. Only in outcomes of record; nothing of the event was stored.
    case identifierUnlinked = 95
    /// The person is known by this identifier alone. Nothing was stored.
    case identifierIsOnlyOne = 96
    /// Rule at the door: a consent by a guardian does not say who the guardian is; or one is named where another party acts, or is the person. In outcomes of record, and to confirmToken; nothing of the event was stored.
    case guardianMissing = 97

    package var advice: ErrorAdvice {
        switch self {
        case .malformed,
            .frameTooLarge,
            .frameTooSmall,
            .opcodeUnknown,
            .reservedBitSet,
            .helloExpected,
            .magicWrong,
            .versionUnsupported,
            .deploymentMismatch,
            .credentialsRefused,
            .purposeUnknown,
            .identifierInvalid,
            .catalogRejected,
            .catalogConflict,
            .ledgerDamaged,
            .notHere,
            .questionInvalid,
            .identifierMissing,
            .identifierRefused,
            .identifiersTooMany,
            .admissionPurposeUnknown,
            .purposeInactive,
            .basisNeedsNoConsent,
            .basisCannotBeWithdrawn,
            .objectionIsAbsolute,
            .stateIsInternal,
            .declarationMissing,
            .declarationUnknown,
            .revisionUnknown,
            .revisionNotCurrent,
            .revisionLacksPurpose,
            .languageUnknown,
            .methodMissing,
            .methodIsNotConsent,
            .capturedInFuture,
            .endsBeforeCapture,
            .textTooLong,
            .nothingToConfirm,
            .keyReused,
            .identifierConflict,
            .ageImplausible,
            .partyCannotConsent,
            .capturedTooEarly,
            .identifierEmpty,
            .identifierTooLong,
            .identifierMalformed,
            .nationalIdIsHash,
            .personUnknown,
            .eventUnknown,
            .receiptImpossible,
            .readerRefused,
            .readExpected,
            .personErased,
            .textNamesPerson,
            .subscribeTooLate,
            .subscribeExpected,
            .onlyFollowing,
            .tokenUnknown,
            .tokenUsed,
            .tokenLapsed,
            .identifierUnlinked,
            .identifierIsOnlyOne,
            .guardianMissing: .doNotRetry
        case .shuttingDown,
            .idleTooLong,
            .helloTooLate,
            .nodeChanged,
            .damaged: .reconnect
        case .busy,
            .tooManyInFlight,
            .internalFailure,
            .tooManyConnections,
            .ledgerUnavailable,
            .upstreamUnreachable,
            .identityUnknown,
            .feedNotReady,
            .tooManyEdges: .retryLater
        }
    }

    /// Whether the server closes the connection after it.
    package var closesConnection: Bool {
        switch self {
        case .frameTooLarge,
            .frameTooSmall,
            .helloExpected,
            .magicWrong,
            .versionUnsupported,
            .deploymentMismatch,
            .credentialsRefused,
            .idleTooLong,
            .helloTooLate,
            .tooManyConnections,
            .identityUnknown,
            .nodeChanged,
            .damaged,
            .feedNotReady,
            .tooManyEdges,
            .onlyFollowing: true
        default: false
        }
    }
}

package enum WireLimit {
    package static let accessPageMax = 500
    package static let eventsPerRecordMax = 4096
    package static let evidenceSizeMax = 4096
    package static let frameSizeMax = 1048576
    package static let headerSize = 16
    package static let helloSizeMax = 66089
    package static let historyPageEventsMax = 200
    package static let identifierSizeMax = 255
    package static let identifiersPerEventMax = 16
    package static let peoplePageMax = 1000
    package static let proofSizeMax = 16777216
    package static let purposeWordsMax = 15
    package static let purposesPerTokenMax = 64
    package static let requestsInFlightMax = 1024
    package static let subjectsPerCheckMax = 65535
}

package enum WireVersion {
    package static let min: UInt16 = 1
    package static let max: UInt16 = 1
    package static let magic: UInt32 = 0x44534E43
}
