import CConsentClients
import ConsentReader
import ConsentTestSupport
import Glibc

/// A reader of a node's folder, asked by name. One thread's.
protocol FolderReader {
    mutating func answer(_ customer: String, _ purpose: String) throws -> (decision: String, freshness: String)
}

/// `ConsentReader`, the Swift library.
struct SwiftFolderReader: FolderReader {
    // A class, as a reader cannot be copied and an existential can.
    private final class Opened {
        var reader: ConsentReader
        init(_ folder: String) throws { reader = try ConsentReader(folder: folder) }
    }

    private let opened: Opened

    init(_ folder: String) throws { opened = try Opened(folder) }

    func answer(_ customer: String, _ purpose: String) throws -> (decision: String, freshness: String) {
        let purpose = try opened.reader.purpose(purpose)
        let answer = opened.reader.check(try ConsentReader.Person("customer:\(customer)"), purpose: purpose)
        return ("\(answer.decision)", "\(answer.freshness)")
    }
}

/// `consent_reader.c`, as a program in C links it.
final class CFolderReader: FolderReader {
    struct Failure: Error, CustomStringConvertible {
        let description: String
    }

    private let reader: OpaquePointer

    init(_ folder: String) throws {
        var opened: OpaquePointer?
        let error = consent_reader_open(folder, &opened)
        guard let opened else { throw Self.failure(error) }
        reader = opened
    }

    deinit { consent_reader_close(reader) }

    private static func failure(_ error: Int32) -> Failure {
        Failure(description: String(cString: consent_reader_error_text(error)))
    }

    func answer(_ customer: String, _ purpose: String) throws -> (decision: String, freshness: String) {
        var bit: UInt32 = 0
        let error = consent_reader_purpose(reader, purpose, &bit)
        guard error == 0 else { throw Self.failure(error) }
        var (one, several, summary) = (consent_answer(), consent_answer(), consent_answer())
        let size = customer.utf8.count
        return customer.withCString { value in
            consent_reader_check(reader, UInt8(CONSENT_CUSTOMER), value, size, bit, &one)
            var identifier = consent_identifier(value: value, size: size, type: UInt8(CONSENT_CUSTOMER))
            consent_reader_check_many(reader, &identifier, 1, bit, &several)
            var purposes = [UInt64](repeating: 0, count: 15)
            purposes[Int(bit / 64)] = 1 << UInt64(bit % 64)
            var (granted, denied) = (purposes, purposes)
            consent_reader_check_purposes(
                reader, UInt8(CONSENT_CUSTOMER), value, size, purposes, 15, &granted, &denied, &summary)
            // All three shapes; one that grants more than another shows as that.
            let isGranted =
                [one, several].contains { Int32($0.decision) == CONSENT_GRANTED } || granted.contains { $0 != 0 }
            let isDenied = Int32(one.decision) == CONSENT_DENIED && denied.contains { $0 != 0 }
            return (
                isGranted ? "granted" : isDenied ? "denied" : "unknown",
                ["live", "stale", "unavailable"][Int(one.freshness)]
            )
        }
    }
}
