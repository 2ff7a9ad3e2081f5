import ConsentKernel
import Glibc

/// LMDB, the mapped B+ tree that a mapped index is measured against. Its library is loaded when it is wanted, by name and
/// without its headers: whoever builds or runs this program does not need it.
package final class LMDB {
    private typealias Handle = UnsafeMutableRawPointer
    private let functions: Functions
    private let environment: Handle

    package enum Failure: Error, CustomStringConvertible {
        case missing
        case failed(String, Int32)

        package var description: String {
            switch self {
            case .missing: "liblmdb is not installed; 'apt-get install liblmdb0' brings it"
            case .failed(let what, let code): "LMDB: \(what) failed with \(code)"
            }
        }
    }

    /// Of lmdb.h.
    private enum Flag {
        static let noSubfolder: UInt32 = 0x4000
        static let noSync: UInt32 = 0x1_0000
        static let readOnly: UInt32 = 0x2_0000
        static let append: UInt32 = 0x2_0000
        static let writeMap: UInt32 = 0x8_0000
    }

    /// `MDB_val` is a size and an address, two words. The types are those of the header's declarations.
    private struct Functions {
        typealias Out = UnsafeMutablePointer<UnsafeMutableRawPointer?>
        typealias Value = UnsafeMutablePointer<UInt>
        typealias Create = @convention(c) (Out) -> Int32
        typealias SetMapSize = @convention(c) (UnsafeMutableRawPointer, Int) -> Int32
        typealias Open = @convention(c) (UnsafeMutableRawPointer, UnsafePointer<CChar>, UInt32, UInt32) -> Int32
        typealias End = @convention(c) (UnsafeMutableRawPointer) -> Void
        typealias Begin = @convention(c) (UnsafeMutableRawPointer, UnsafeMutableRawPointer?, UInt32, Out) -> Int32
        typealias Commit = @convention(c) (UnsafeMutableRawPointer) -> Int32
        typealias OpenTable =
            @convention(c) (UnsafeMutableRawPointer, UnsafePointer<CChar>?, UInt32, UnsafeMutablePointer<UInt32>) ->
            Int32
        typealias Put = @convention(c) (UnsafeMutableRawPointer, UInt32, Value, Value, UInt32) -> Int32
        typealias Get = @convention(c) (UnsafeMutableRawPointer, UInt32, Value, Value) -> Int32

        let create: Create
        let setMapSize: SetMapSize
        let openFile: Open
        let close: End
        let begin: Begin
        let commit: Commit
        let abort: End
        let openTable: OpenTable
        let put: Put
        let get: Get

        init() throws(Failure) {
            guard let library = dlopen("liblmdb.so.0", RTLD_NOW) ?? dlopen("liblmdb.so", RTLD_NOW) else {
                throw .missing
            }
            func symbol(_ name: String) throws(Failure) -> UnsafeMutableRawPointer {
                guard let symbol = dlsym(library, name) else { throw .failed("finding \(name)", 0) }
                return symbol
            }
            create = unsafeBitCast(try symbol("mdb_env_create"), to: Create.self)
            setMapSize = unsafeBitCast(try symbol("mdb_env_set_mapsize"), to: SetMapSize.self)
            openFile = unsafeBitCast(try symbol("mdb_env_open"), to: Open.self)
            close = unsafeBitCast(try symbol("mdb_env_close"), to: End.self)
            begin = unsafeBitCast(try symbol("mdb_txn_begin"), to: Begin.self)
            commit = unsafeBitCast(try symbol("mdb_txn_commit"), to: Commit.self)
            abort = unsafeBitCast(try symbol("mdb_txn_abort"), to: End.self)
            openTable = unsafeBitCast(try symbol("mdb_dbi_open"), to: OpenTable.self)
            put = unsafeBitCast(try symbol("mdb_put"), to: Put.self)
            get = unsafeBitCast(try symbol("mdb_get"), to: Get.self)
        }
    }

    /// Makes a database of as many identifiers, each sixteen bytes, with sixteen bytes that stand for its two bitsets.
    package init(path: String, identifiers: Int) throws(Failure) {
        functions = try Functions()
        var environment: Handle?
        try Self.require("creating", functions.create(&environment))
        self.environment = environment!
        try Self.require("its size", functions.setMapSize(self.environment, identifiers * 128 + (64 << 20)))
        let flags = Flag.noSubfolder | Flag.noSync | Flag.writeMap
        try Self.require("opening", functions.openFile(self.environment, path, flags, 0o640))
        try fill(identifiers)
    }

    deinit { functions.close(environment) }

    private static func require(_ what: String, _ code: Int32) throws(Failure) {
        if code != 0 { throw .failed(what, code) }
    }

    private func transaction(_ flags: UInt32) throws(Failure) -> (transaction: Handle, table: UInt32) {
        var (transaction, table): (Handle?, UInt32) = (nil, 0)
        try Self.require("beginning", functions.begin(environment, nil, flags, &transaction))
        try Self.require("its table", functions.openTable(transaction!, nil, 0, &table))
        return (transaction!, table)
    }

    /// In the order of the keys, which is how it is filled fastest and packed best.
    private func fill(_ identifiers: Int) throws(Failure) {
        let perTransaction = 1_000_000
        let memory = Memory()
        for start in stride(from: 0, to: identifiers, by: perTransaction) {
            let (transaction, table) = try transaction(0)
            for number in start..<min(start + perTransaction, identifiers) {
                memory.setKey(number)
                memory.setValue(number)
                try Self.require("putting", functions.put(transaction, table, memory.key, memory.value, Flag.append))
            }
            try Self.require("committing", functions.commit(transaction))
        }
    }

    /// Gets of random identifiers, one after the other, none depending on another.
    package func nanosPerGet(
        identifiers: Int, count: Int, checksum: inout UInt64
    ) throws(Failure) -> Double {
        let (transaction, table) = try transaction(Flag.readOnly)
        defer { functions.abort(transaction) }
        let memory = Memory()
        var numbers = SeededNumbers(seed: 5)
        let start = Clock.monotonicNanos()
        for _ in 0..<count {
            memory.setKey(numbers.below(identifiers))
            try Self.require("getting", functions.get(transaction, table, memory.key, memory.value))
            checksum = checksum &* 31 &+ memory.firstWord
        }
        return Double(Clock.monotonicNanos() - start) / Double(count)
    }

    /// A key, a value, and the two pairs of words that tell the library where they lie.
    private final class Memory {
        let key = UnsafeMutablePointer<UInt>.allocate(capacity: 2)
        let value = UnsafeMutablePointer<UInt>.allocate(capacity: 2)
        private let keyBytes = UnsafeMutablePointer<UInt64>.allocate(capacity: 2)
        private let valueBytes = UnsafeMutablePointer<UInt64>.allocate(capacity: 2)

        deinit {
            key.deallocate()
            value.deallocate()
            keyBytes.deallocate()
            valueBytes.deallocate()
        }

        func setKey(_ number: Int) {
            keyBytes[0] = BenchName.subject.prefix.littleEndian
            keyBytes[1] = UInt64(number).bigEndian
            key[0] = 16
            key[1] = UInt(bitPattern: keyBytes)
        }

        func setValue(_ number: Int) {
            valueBytes[0] = UInt64(number)
            valueBytes[1] = ~UInt64(number)
            value[0] = 16
            value[1] = UInt(bitPattern: valueBytes)
        }

        /// Of the value that was got.
        var firstWord: UInt64 {
            UnsafeRawPointer(bitPattern: value[1])!.loadUnaligned(as: UInt64.self)
        }
    }
}
