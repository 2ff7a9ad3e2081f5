import GRDB

/// Why the ledger could not be opened, read or written. Nothing is half-written: a group commits whole or not at all.
package enum LedgerError: Error, Sendable, CustomStringConvertible {
    case missing(path: String)
    case exists(path: String)
    /// A folder has no ledger, but files that belong to one, or to an edge.
    case remains(path: String, files: [String])
    case notALedger(path: String, reason: String)
    /// Written by a newer program.
    case newerVersion(path: String)
    /// The key of the identifier hashes does not belong to the ledger.
    case keyWrong(path: String, reason: String)
    /// What is stored contradicts itself.
    case corrupt(where: String, what: String)
    /// The signed checkpoints beside the ledger cannot be used; of the ledger that says nothing.
    case checkpointsUnreadable(path: String, reason: String)
    /// The node was closed when damage was found, and nobody has shown since that the ledger is whole.
    case closedAsDamaged(path: String, finding: String)
    /// The disk is full, or the system failed. Trying again may help.
    case unavailable(String)

    package var description: String {
        switch self {
        case .missing(let path): "there is no ledger at \(path); 'consentd init' makes one"
        case .exists(let path): "there is a ledger at \(path) already"
        case .remains(let path, let files):
            "'\(path)' has no ledger, but \(files.joined(separator: ", ")) of a node or an edge, which would be lost; "
                + "restore its ledger beside them, or name another folder. Nothing was changed"
        case .notALedger(let path, let reason): "\(path) is not a ledger: \(reason)"
        case .newerVersion(let path):
            "the ledger at \(path) was written by a newer version of consentd; run that version, this one changed nothing"
        case .keyWrong(let path, let reason):
            "the key at \(path) does not fit the ledger: \(reason); restore the one that was backed up with the ledger"
        case .corrupt(let place, let what):
            "the ledger is damaged at \(place): \(what); stop, keep the file, restore a backup"
        case .checkpointsUnreadable(let path, let reason):
            "the file of signed checkpoints, \(path), is damaged: \(reason); the ledger is not touched by that. Put back a "
                + "copy of the file, or move it away: 'consentd verify' then checks the ledger without it, and the node "
                + "signs the chain anew"
        case .closedAsDamaged(let path, let finding):
            "\(finding)\nThe node stays closed since that was found (\(path)). Restore a backup; when 'consentd verify' "
                + "finds the node sound, it may be opened again"
        case .unavailable(let reason): "the ledger cannot be used now: \(reason)"
        }
    }

    init(_ error: any Error, path: String) {
        if let known = error as? LedgerError {
            self = known
            return
        }
        guard let failure = error as? DatabaseError else {
            self = .unavailable("\(error)")
            return
        }
        // A trigger refuses what it was made to refuse; any other broken constraint is two things stored that cannot both be.
        switch failure.extendedResultCode == .SQLITE_CONSTRAINT_TRIGGER ? .SQLITE_ERROR : failure.resultCode {
        case .SQLITE_NOTADB: self = .notALedger(path: path, reason: failure.message ?? "not SQLite")
        case .SQLITE_CORRUPT, .SQLITE_CONSTRAINT:
            self = .corrupt(where: path, what: failure.message ?? "\(failure.resultCode)")
        default: self = .unavailable(failure.message ?? "\(failure.resultCode)")
        }
    }
}
