// swift-tools-version: 6.2
import PackageDescription

let common: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
    .treatAllWarnings(as: .error),
]
/// For the targets that touch raw memory: every unsafe expression is marked where it stands.
let strict = common + [.strictMemorySafety()]

let grdb: Target.Dependency = .product(name: "GRDB", package: "GRDB.swift")
let sqlite: Target.Dependency = .product(name: "GRDBSQLite", package: "GRDB.swift")
let yams: Target.Dependency = .product(name: "Yams", package: "Yams")
let arguments: Target.Dependency = .product(name: "ArgumentParser", package: "swift-argument-parser")
let histogram: Target.Dependency = .product(name: "Histogram", package: "hdrhistogram-swift")
let nioCore: Target.Dependency = .product(name: "NIOCore", package: "swift-nio")
let nioPosix: Target.Dependency = .product(name: "NIOPosix", package: "swift-nio")

let package = Package(
    name: "consentd",
    products: [
        .executable(name: "consentd", targets: ["consentd"]),
        .library(name: "ConsentClient", targets: ["ConsentClient"]),
        .library(name: "ConsentReader", targets: ["ConsentReader"]),
    ],
    dependencies: [
        .package(url: "https://github.com/HdrHistogram/hdrhistogram-swift", from: "0.2.0"),
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.5.0"),
        .package(url: "https://github.com/apple/swift-nio", from: "2.80.0"),
        .package(url: "https://github.com/groue/GRDB.swift", from: "7.8.0"),
        .package(url: "https://github.com/jpsim/Yams", from: "6.0.0"),
    ],
    targets: [
        .target(name: "CKernel"),
        // Reader and client for programs in C, as those who measure and test them here compile them.
        .target(
            name: "CConsentClients", path: "Clients/c",
            exclude: ["Makefile", "README.md", "bench", "tests"], sources: ["consent_reader.c", "consent_client.c"],
            publicHeadersPath: "."),
        .target(name: "ConsentKernel", dependencies: ["CKernel"], swiftSettings: strict),
        .target(name: "ConsentModel", swiftSettings: common),
        .systemLibrary(name: "COpenSSL", providers: [.apt(["libssl-dev"])]),
        .target(name: "ConsentCrypto", dependencies: ["COpenSSL"], swiftSettings: strict),
        .target(
            name: "ConsentTLS", dependencies: ["COpenSSL", "ConsentCrypto", "ConsentKernel"], swiftSettings: strict),
        .target(
            name: "ConsentCatalog", dependencies: ["ConsentModel", "ConsentCrypto", yams],
            resources: [.embedInCode("Resources/template-catalog.yaml")], swiftSettings: common),
        .target(name: "ConsentWire", dependencies: ["ConsentModel"], swiftSettings: strict),
        .target(
            name: "ConsentIndex", dependencies: ["ConsentModel", "ConsentKernel", "CKernel"], swiftSettings: strict),
        .target(
            name: "ConsentSync",
            dependencies: ["ConsentWire", "ConsentIndex", "ConsentModel", "ConsentKernel", "ConsentTLS"],
            swiftSettings: common),
        // What of SQLite Swift cannot call.
        .target(name: "CLedger", dependencies: [sqlite]),
        .target(
            name: "ConsentLedger", dependencies: ["CLedger", "ConsentModel", "ConsentCrypto", grdb, sqlite],
            swiftSettings: common),
        .target(
            name: "ConsentProof", dependencies: ["ConsentModel", "ConsentCatalog", "ConsentLedger", "ConsentCrypto"],
            swiftSettings: common),
        .target(
            name: "ConsentEngine",
            dependencies: [
                "ConsentModel", "ConsentCatalog", "ConsentIndex", "ConsentLedger", "ConsentProof", "ConsentKernel",
            ],
            swiftSettings: common),
        .target(
            name: "ConsentServer",
            dependencies: [
                "ConsentModel", "ConsentWire", "ConsentIndex", "ConsentEngine", "ConsentKernel", "ConsentCatalog",
                "ConsentSync", "ConsentProof", "ConsentTLS",
            ],
            swiftSettings: common),
        .target(
            name: "ConsentEdge",
            dependencies: [
                "ConsentModel", "ConsentWire", "ConsentIndex", "ConsentEngine", "ConsentKernel", "ConsentCatalog",
                "ConsentSync", "ConsentServer", "ConsentTLS",
            ],
            swiftSettings: common),
        .target(name: "ConsentRegister", dependencies: ["ConsentModel", "ConsentCrypto"], swiftSettings: common),
        .executableTarget(
            name: "consentd",
            dependencies: [
                "ConsentModel", "ConsentCatalog", "ConsentKernel", "ConsentIndex", "ConsentLedger", "ConsentEngine",
                "ConsentServer", "ConsentSync", "ConsentEdge", "ConsentRegister", "ConsentClient", "ConsentBench",
                "ConsentWire", "ConsentProof", "ConsentTLS", arguments,
            ],
            swiftSettings: common,
            // In the C library's place. No test target depends on the program, which would bring its allocator along:
            // tests count allocations in one of their own. They find the program beside them, as all targets are built.
            linkerSettings: [.linkedLibrary("jemalloc")]),
        .target(
            name: "ConsentClient", dependencies: ["ConsentModel", "ConsentWire", "ConsentTLS", nioCore, nioPosix],
            path: "Clients/swift/ConsentClient", swiftSettings: common),
        .target(
            name: "ConsentReader", dependencies: ["ConsentIndex", "ConsentModel", "ConsentKernel"],
            path: "Clients/swift/ConsentReader", swiftSettings: common),
        .executableTarget(
            name: "consent-client-sample", dependencies: ["ConsentClient"], path: "Clients/swift/Sample",
            swiftSettings: common),
        .target(
            name: "ConsentBench",
            dependencies: [
                "ConsentModel", "ConsentCatalog", "ConsentKernel", "ConsentIndex", "ConsentLedger", "ConsentEngine",
                "ConsentWire", "ConsentTLS", "CKernel", "CConsentClients", histogram,
            ],
            path: "Bench/ConsentBench", swiftSettings: common),
        .testTarget(
            name: "ConsentBenchTests",
            dependencies: ["ConsentBench", "ConsentKernel", "ConsentModel", "ConsentWire", histogram],
            swiftSettings: common),
        .target(
            name: "ConsentSimulation", dependencies: ["ConsentSync", "ConsentWire", "ConsentModel"],
            path: "Bench/ConsentSimulation", swiftSettings: common),
        .executableTarget(
            name: "simulate", dependencies: ["ConsentSimulation", "ConsentKernel"], path: "Bench/Simulate",
            swiftSettings: common),
        .executableTarget(name: "ProtocolGenerator", swiftSettings: common),
        .target(
            name: "ConsentTestSupport",
            dependencies: ["ConsentModel", "ConsentCatalog", "ConsentKernel", "ConsentEngine"],
            path: "Tests/ConsentTestSupport", swiftSettings: common),
        .testTarget(
            name: "ConsentWireTests",
            dependencies: ["ConsentWire", "ConsentModel", "ConsentTestSupport", "ProtocolGenerator"],
            swiftSettings: common),
        .testTarget(
            name: "ConsentEngineTests",
            dependencies: [
                "ConsentEngine", "ConsentLedger", "ConsentProof", "ConsentIndex", "ConsentCatalog", "ConsentModel",
                "ConsentKernel", "ConsentReader", "ConsentTestSupport", grdb,
            ],
            swiftSettings: common),
        .target(name: "CAllocationCounter", path: "Tests/CAllocationCounter"),
        .testTarget(
            name: "ConsentServerTests",
            dependencies: [
                "ConsentServer", "ConsentEngine", "ConsentIndex", "ConsentCatalog", "ConsentWire", "ConsentModel",
                "ConsentKernel", "ConsentTLS", "ConsentTestSupport", "CAllocationCounter", grdb,
            ],
            swiftSettings: common),
        .testTarget(
            name: "ConsentEdgeTests",
            dependencies: [
                "ConsentEdge", "ConsentEngine", "ConsentServer", "ConsentSync", "ConsentCatalog", "ConsentIndex",
                "ConsentWire", "ConsentModel", "ConsentKernel", "ConsentTestSupport",
            ],
            swiftSettings: common),
        .testTarget(
            name: "ConsentProofTests",
            dependencies: [
                "ConsentProof", "ConsentLedger", "ConsentModel", "ConsentKernel", "ConsentTestSupport",
            ],
            swiftSettings: common),
        .testTarget(
            name: "ConsentCryptoTests", dependencies: ["ConsentCrypto"], swiftSettings: common),
        .testTarget(
            name: "ConsentTLSTests", dependencies: ["ConsentTLS", "COpenSSL", "ConsentKernel", "ConsentTestSupport"],
            swiftSettings: common),
        .testTarget(
            name: "ConsentRegisterTests", dependencies: ["ConsentRegister", "ConsentModel"], swiftSettings: common),
        .testTarget(
            name: "ConsentCatalogTests", dependencies: ["ConsentCatalog", "ConsentModel"], swiftSettings: common),
        .testTarget(
            name: "ConsentClientTests",
            dependencies: ["ConsentClient", "ConsentModel", "ConsentWire", "ConsentTestSupport", nioCore, nioPosix],
            swiftSettings: common),
        .testTarget(
            name: "ConsentModelTests", dependencies: ["ConsentModel", "ConsentTestSupport"], swiftSettings: common),
        .testTarget(
            name: "ConsentKernelTests", dependencies: ["ConsentKernel", "ConsentTestSupport"], swiftSettings: common),
        .executableTarget(
            name: "IndexProbe", dependencies: ["ConsentIndex", "ConsentModel", "ConsentKernel"],
            path: "Tests/IndexProbe", swiftSettings: common),
        .testTarget(
            name: "ConsentIndexTests",
            dependencies: [
                "ConsentIndex", "ConsentModel", "ConsentKernel", "CKernel", "ConsentTestSupport", "IndexProbe",
            ],
            swiftSettings: common),
        .testTarget(
            name: "PythonClientTests",
            dependencies: [
                "ProtocolGenerator", "ConsentServer", "ConsentEngine", "ConsentLedger", "ConsentIndex",
                "ConsentWire", "ConsentModel", "ConsentKernel", "ConsentTestSupport", "ConsentReader", "ConsentClient",
                "CConsentClients", "CKernel",
            ],
            swiftSettings: common),
        .executableTarget(
            name: "consent-soak",
            dependencies: ["ConsentWire", "ConsentIndex", "ConsentModel", "ConsentKernel", "ConsentTestSupport"],
            path: "Tests/Soak", swiftSettings: common),
        .testTarget(
            name: "ConsentSyncTests",
            dependencies: [
                "ConsentSync", "ConsentSimulation", "ConsentServer", "ConsentEngine", "ConsentCatalog", "ConsentIndex",
                "ConsentWire", "ConsentModel", "ConsentKernel", "ConsentTLS", "ConsentTestSupport",
            ],
            swiftSettings: common),
        .testTarget(name: "HouseRulesTests", swiftSettings: common),
        .testTarget(
            name: "ConsentdTests",
            dependencies: [
                "consent-client-sample", "consent-soak", "ConsentClient", "ConsentKernel", "ConsentTLS",
                "ConsentTestSupport", grdb,
            ],
            swiftSettings: common),
    ]
)
