// Writes the constants of the wire protocol for one language, from its machine-readable definition.
//
//     ProtocolGenerator Protocol/protocol.json swift > Sources/ConsentWire/Definition.swift

import Foundation

guard CommandLine.arguments.count == 3 else {
    FileHandle.standardError.write(Data("usage: ProtocolGenerator <protocol.json> swift\n".utf8))
    exit(64)
}
do {
    let definition = try ProtocolDefinition(json: Data(contentsOf: URL(filePath: CommandLine.arguments[1])))
    guard CommandLine.arguments[2] == "swift" else {
        FileHandle.standardError.write(Data("no constants can be written for '\(CommandLine.arguments[2])'\n".utf8))
        exit(64)
    }
    print(definition.swiftConstants(), terminator: "")
} catch {
    FileHandle.standardError.write(Data("\(CommandLine.arguments[1]): \(error)\n".utf8))
    exit(65)
}
