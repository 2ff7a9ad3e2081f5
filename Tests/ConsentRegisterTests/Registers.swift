import ConsentModel

@testable import ConsentRegister

/// What a reader made of one row, kept beyond the call.
struct ReadRow: Equatable {
    var line: Int
    var offset: UInt64
    var next: FilePosition
    var fields: [String]
    var fault: CSVFault?
    var text: [UInt8]
    var isRecovered: Bool

    init(_ row: borrowing CSVRow) {
        line = row.start.line
        offset = row.start.offset
        next = row.end
        fields = []
        for position in 0..<row.count { fields.append(row.string(position)) }
        fault = row.fault
        text = Array(row.text)
        isRecovered = row.isRecovered
    }
}

/// Reads a whole file, the first row left out, in chunks of one size.
func readCSV(_ bytes: [UInt8], chunkSize: Int = .max, delimiter: UInt8? = nil) throws(RegisterRefusal) -> [ReadRow] {
    var reader = CSVReader(delimiter: delimiter)
    var rows: [ReadRow] = []
    var start = 0
    while start < bytes.count {
        let end = min(bytes.count, chunkSize == .max ? bytes.count : start + chunkSize)
        try reader.feed(Array(bytes[start..<end])) { if !$0.isHeader { rows.append(ReadRow($0)) } }
        start = end
    }
    try reader.finish { if !$0.isHeader { rows.append(ReadRow($0)) } }
    return rows
}

func readCSV(_ text: String, delimiter: UInt8? = nil) throws(RegisterRefusal) -> [ReadRow] {
    try readCSV(Array(text.utf8), delimiter: delimiter)
}

struct ReadRegister: Equatable {
    var items: [RegisterItem] = []
    var summary = RegisterSummary()

    var rows: [RegisterRow] { items.compactMap { if case .row(let row) = $0 { row } else { nil } } }
    var events: [ConsentEvent] { rows.flatMap(\.events) }
    var rejections: [RowRejection] { items.compactMap { if case .rejection(let row) = $0 { row } else { nil } } }
    var rules: [String] { rejections.map(\.rule) }
}

func readRegister(
    _ bytes: [UInt8], options: RegisterOptions = RegisterOptions()
) throws(RegisterRefusal) -> ReadRegister {
    var reader = RegisterReader(options: options)
    var read = ReadRegister()
    try reader.feed(bytes) { read.items.append($0) }
    try reader.finish { read.items.append($0) }
    read.summary = reader.summary
    return read
}

func readRegister(
    _ text: String, options: RegisterOptions = RegisterOptions()
) throws(RegisterRefusal) -> ReadRegister {
    try readRegister(Array(text.utf8), options: options)
}

func sampleRegister(subjectCount: Int, seed: UInt64) -> (bytes: [UInt8], counts: SampleCounts) {
    var sample = SampleRegister(subjectCount: subjectCount, seed: seed)
    var bytes: [UInt8] = []
    while sample.next(into: &bytes) {}
    return (bytes, sample.counts)
}
