// Writes the constants of the wire protocol for one language, from its machine-readable definition.
//
//     ProtocolGenerator Protocol/protocol.json swift > Sources/ConsentWire/Definition.swift
//     ProtocolGenerator Protocol/protocol.json python > Clients/python/src/consentd/_protocol.py
//     ProtocolGenerator Protocol/protocol.json c > Clients/c/consent_protocol.h

import Foundation

guard CommandLine.arguments.count == 3 else {
    FileHandle.standardError.write(Data("usage: ProtocolGenerator <protocol.json> swift|python|c\n".utf8))
    exit(64)
}
do {
    let json = try Data(contentsOf: URL(filePath: CommandLine.arguments[1]))
    let definition = try ProtocolDefinition(json: json)
    switch CommandLine.arguments[2] {
    case "swift": print(definition.swiftConstants(), terminator: "")
    case "python": print(try PythonConstants(json: json).source(definition), terminator: "")
    case "c": print(definition.cConstants(try CEnumerations(json: json)), terminator: "")
    case let language:
        FileHandle.standardError.write(Data("no constants can be written for '\(language)'\n".utf8))
        exit(64)
    }
} catch {
    FileHandle.standardError.write(Data("\(CommandLine.arguments[1]): \(error)\n".utf8))
    exit(65)
}
