package import ConsentModel

/// What the index says of each identifier of one subject.
package struct Projection: Equatable, Sendable {
    package var permitted = PurposeSet()
    package var denied = PurposeSet()
    /// The earliest moment at which a permitted consent may end.
    package var endsAt: Timestamp?
    /// Of the last change.
    package var sequence: UInt64 = 0

    package init() {}
}

/// A subject as the writer works on it.
package struct SubjectRecord: Sendable {
    package let id: Int64
    package let salt: [UInt8]
    package var projection: Projection
    /// By purpose bit.
    package var standings: [Int: Standing]

    package init(id: Int64, salt: [UInt8], projection: Projection = Projection(), standings: [Int: Standing] = [:]) {
        self.id = id
        self.salt = salt
        self.projection = projection
        self.standings = standings
    }
}

/// An identifier as it is stored: by the keyed hash that finds it.
package struct StoredIdentifier: Equatable, Sendable {
    /// Sixteen bytes.
    package var hash: [UInt8]
    package var type: IdentifierType
    /// Nil where only the hash may be kept.
    package var value: String?

    package init(hash: [UInt8], type: IdentifierType, value: String?) {
        self.hash = hash
        self.type = type
        self.value = value
    }
}

/// An applied catalog.
package struct StoredCatalog: Equatable, Sendable {
    package var version: Int
    package var document: String
    package var digest: [UInt8]

    package init(version: Int, document: String, digest: [UInt8]) {
        self.version = version
        self.document = document
        self.digest = digest
    }
}

/// Sizes of the ledger.
package struct LedgerCounts: Equatable, Sendable {
    package var events: UInt64
    package var subjects: UInt64
    package var identifiers: UInt64
    package var catalogVersion: UInt64
    /// Bytes of the database file, without its log.
    package var size: UInt64
}
