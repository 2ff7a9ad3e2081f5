import ConsentCatalog
package import ConsentModel

/// The purpose that people of a prepared node have answered, and what every other purpose of the template answers. From
/// the decision function, not from the server that is to be judged.
package struct BenchCatalog: Sendable {
    package let purposeBit: Int
    package let purposeID: String
    package let revision: RevisionName
    package let language = "nb"
    /// Of the purposes that are asked for together.
    package let purposes: PurposeSet
    /// Of those, what is granted and denied to somebody who never said anything.
    let grantedByDefault: PurposeSet
    let deniedByDefault: PurposeSet

    package enum Failure: Error, CustomStringConvertible {
        case noPurpose

        package var description: String { "the template catalog has no consent to measure with" }
    }

    /// - Parameter purposeCountMax: of the purposes that are asked for together.
    package init(purposeCountMax: Int = .max) throws {
        let catalog = try CatalogDocument(text: TemplateCatalog.text, file: "template").catalog
        let now = Timestamp(millis: 1_790_000_000_000)
        let candidates = catalog.purposes.lazy.filter { $0.basis == .consent && $0.minimumAge == nil && $0.isActive }
        let found = candidates.compactMap { purpose in
            Self.revision(of: purpose, in: catalog, at: now).map { (purpose, $0) }
        }.first
        guard let (purpose, revision) = found else { throw Failure.noPurpose }
        purposeBit = purpose.bit
        purposeID = purpose.id
        self.revision = revision
        var (asked, granted, denied): ([Int], [Int], [Int]) = ([purpose.bit], [], [])
        for other in catalog.purposes where other.bit != purpose.bit && asked.count < purposeCountMax {
            asked.append(other.bit)
            switch decide(Standing(), catalog: catalog, purpose: other, at: now).decision {
            case .granted: granted.append(other.bit)
            case .denied: denied.append(other.bit)
            case .unknown: break
            }
        }
        purposes = PurposeSet(asked)
        grantedByDefault = PurposeSet(granted)
        deniedByDefault = PurposeSet(denied)
    }

    private static func revision(of purpose: Purpose, in catalog: Catalog, at now: Timestamp) -> RevisionName? {
        for declaration in catalog.declarations {
            if let current = declaration.currentRevision(at: now), current.purposes.contains(purpose.id) {
                return RevisionName(declaration: declaration.id, revision: current.name)
            }
        }
        return nil
    }

    /// An event of somebody who agreed or refused.
    package func event(_ identifier: Identifier, isGranted: Bool) -> ConsentEvent {
        var event = ConsentEvent(identifiers: [identifier], purpose: purposeID, state: isGranted ? .given : .refused)
        event.revision = revision
        event.language = language
        event.method = .doubleOptIn
        event.isExplicit = true
        return event
    }
}

/// What a prepared node, or a peer with the same data, knows: of every three people in a row one refused and two agreed;
/// whoever has a number past the last is not known.
package struct Population: Sendable, Equatable {
    package let subjects: Int

    package static let subjectsMax = 1 << 30

    package init(subjects: Int) {
        precondition((3...Self.subjectsMax).contains(subjects))
        self.subjects = subjects
    }

    package enum Standing: UInt64, Sendable, CaseIterable {
        case granted = 0
        case denied = 1
        case missing = 2
    }

    package func standing(_ number: UInt32) -> Standing {
        if number >= subjects { return .missing }
        return number % 3 == 0 ? .denied : .granted
    }

    func count(_ standing: Standing) -> Int {
        switch standing {
        case .granted: subjects - (subjects + 2) / 3
        case .denied: (subjects + 2) / 3
        case .missing: subjects
        }
    }

    /// One of those that stand so.
    @inline(__always)
    func number(_ position: Int, _ standing: Standing) -> UInt32 {
        switch standing {
        case .granted: UInt32(truncatingIfNeeded: position / 2 * 3 + 1 + position % 2)
        case .denied: UInt32(truncatingIfNeeded: position * 3)
        case .missing: UInt32(truncatingIfNeeded: subjects + position)
        }
    }
}

/// Who is asked about: how often people that are granted, denied or not known, and which of them.
package struct Asking: Sendable {
    package var population: Population
    package var distribution = KeyDistribution.uniform
    /// Of the requests.
    package var deniedShare = 1.0 / 3
    package var missingShare = 0.0
    package var seed: UInt64 = 11

    package init(_ population: Population) { self.population = population }
}

/// Chooses people; the same ones for the same seed, whichever server is asked.
struct SubjectChoice: Sendable {
    var numbers: SeededNumbers
    private let population: Population
    private let granted: KeyChoice
    private let denied: KeyChoice
    private let missing: KeyChoice
    private let deniedBelow: UInt64
    private let missingBelow: UInt64

    init(_ asking: Asking, thread: Int) {
        numbers = SeededNumbers(seed: asking.seed &+ UInt64(thread) &* 0x9E37_79B9)
        population = asking.population
        func choice(_ standing: Population.Standing) -> KeyChoice {
            KeyChoice(asking.distribution, count: asking.population.count(standing))
        }
        (granted, denied, missing) = (choice(.granted), choice(.denied), choice(.missing))
        func below(_ share: Double) -> UInt64 { UInt64(min(max(share, 0), 1) * 0x1p32) }
        deniedBelow = below(asking.deniedShare)
        missingBelow = below(asking.deniedShare + asking.missingShare)
    }

    @inline(__always)
    mutating func next() -> (number: UInt32, standing: Population.Standing) {
        let draw = numbers.next() & 0xFFFF_FFFF
        if draw < deniedBelow { return (population.number(denied.next(&numbers), .denied), .denied) }
        if draw < missingBelow { return (population.number(missing.next(&numbers), .missing), .missing) }
        return (population.number(granted.next(&numbers), .granted), .granted)
    }

    func standing(_ number: UInt32) -> Population.Standing { population.standing(number) }
}
