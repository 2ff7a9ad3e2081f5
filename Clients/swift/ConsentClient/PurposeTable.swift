import ConsentWire

/// The purposes of one version of the catalog: names to bits and back.
struct PurposeTable: Sendable {
    let catalogVersion: UInt32
    private let digest: [UInt8]
    let infos: [PurposeInfo]
    private let bits: [String: UInt16]
    private let names: [UInt16: String]

    static let empty = PurposeTable(CatalogPurposes(catalogVersion: 0, digest: [], purposes: []))

    init(_ catalog: CatalogPurposes) {
        catalogVersion = catalog.catalogVersion
        digest = catalog.digest
        infos = catalog.purposes.map(PurposeInfo.init)
        bits = Dictionary(catalog.purposes.map { ($0.id, $0.bit) }, uniquingKeysWith: { first, _ in first })
        names = Dictionary(catalog.purposes.map { ($0.bit, $0.id) }, uniquingKeysWith: { first, _ in first })
    }

    func bit(of name: String) throws(UnknownPurpose) -> UInt16 {
        guard let bit = bits[name] else { throw UnknownPurpose(name: name) }
        return bit
    }

    /// Whether it is of the same catalog.
    func isSame(as other: PurposeTable) -> Bool { catalogVersion == other.catalogVersion && digest == other.digest }

    func contains(_ name: String) -> Bool { bits[name] != nil }

    /// `#17` for a bit that this version does not have.
    func name(of bit: UInt16) -> String { names[bit] ?? "#\(bit)" }
}

extension PurposeInfo {
    init(_ entry: CatalogPurposes.Entry) {
        id = entry.id
        bit = Int(entry.bit)
        controller = entry.controller
        basis = LawfulBasis(entry.basis)
        isActive = entry.flags & 1 != 0
        requiresExplicit = entry.flags & 1 << 1 != 0
        requiresDoubleOptIn = entry.flags & 1 << 2 != 0
        isProfiling = entry.flags & 1 << 3 != 0
        isDirectMarketing = entry.flags & 1 << 4 != 0
        isSharing = entry.flags & 1 << 5 != 0
    }
}
