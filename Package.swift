// swift-tools-version: 6.2
import PackageDescription

let settings: [SwiftSetting] = [
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
]

let crypto = Target.Dependency.product(name: "Crypto", package: "swift-crypto")
let logging = Target.Dependency.product(name: "Logging", package: "swift-log")
let httpTypes = Target.Dependency.product(name: "HTTPTypes", package: "swift-http-types")
let hummingbird = Target.Dependency.product(name: "Hummingbird", package: "hummingbird")
let nioCore = Target.Dependency.product(name: "NIOCore", package: "swift-nio")
let nioConcurrency = Target.Dependency.product(name: "NIOConcurrencyHelpers", package: "swift-nio")
let nioPosix = Target.Dependency.product(name: "NIOPosix", package: "swift-nio")
let nioTLS = Target.Dependency.product(name: "NIOTLS", package: "swift-nio")
let nioSSL = Target.Dependency.product(name: "NIOSSL", package: "swift-nio-ssl")
let asyncHTTPClient = Target.Dependency.product(name: "AsyncHTTPClient", package: "async-http-client")
let cryptoExtras = Target.Dependency.product(name: "CryptoExtras", package: "swift-crypto")

let package = Package(
    name: "hashspot",
    platforms: [.macOS(.v15)],
    products: [.executable(name: "hashspot", targets: ["hashspot"])],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-collections", from: "1.6.0"),
        .package(url: "https://github.com/apple/swift-crypto", from: "4.5.2"),
        .package(url: "https://github.com/apple/swift-http-types", from: "1.8.0"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
        .package(url: "https://github.com/apple/swift-nio-ssl", from: "2.37.6"),
        .package(url: "https://github.com/groue/GRDB.swift", from: "7.10.0"),
        .package(url: "https://github.com/hummingbird-project/hummingbird", from: "2.28.1"),
        .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
        .package(url: "https://github.com/swift-server/async-http-client", from: "1.37.0"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
    ],
    targets: [
        // L0: words.
        .target(name: "Units", swiftSettings: settings),
        .target(name: "BinaryCoding", swiftSettings: settings),

        // L1: pure parts.
        // Hashing is optimised in debug builds too: tests and demos do real proof of work.
        .target(name: "CHashing", cSettings: [.unsafeFlags(["-O3"])]),
        .target(name: "ProofOfWork", dependencies: ["Units", "CHashing", crypto, cryptoExtras], swiftSettings: settings),
        .target(name: "Stratum", dependencies: ["Units"], swiftSettings: settings),
        .target(name: "OrderBook", dependencies: ["Units"], swiftSettings: settings),
        .target(name: "Ledger", dependencies: ["Units"], swiftSettings: settings),
        .target(name: "Metering", dependencies: ["Units", "BinaryCoding"], swiftSettings: settings),
        .target(name: "Settlement", dependencies: ["Units"], swiftSettings: settings),
        .target(name: "Routing", dependencies: ["Units"], swiftSettings: settings),

        // L2: the market's state machine.
        .target(
            name: "Exchange",
            dependencies: [
                "Units", "BinaryCoding", "OrderBook", "Ledger", "Settlement",
                .product(name: "DequeModule", package: "swift-collections"),
                .product(name: "HeapModule", package: "swift-collections"),
            ],
            swiftSettings: settings),

        // L3: shells around them.
        .systemLibrary(name: "CPostgres", pkgConfig: "libpq", providers: [.apt(["libpq-dev"]), .brew(["libpq"])]),
        .systemLibrary(name: "CXLSXWriter", pkgConfig: "xlsxwriter", providers: [.apt(["libxlsxwriter-dev"]), .brew(["libxlsxwriter"])]),
        .systemLibrary(name: "CHaru", providers: [.apt(["libhpdf-dev"]), .brew(["libharu"])]),
        .target(
            name: "Documents", dependencies: ["Units", "Settlement", "CXLSXWriter", "CHaru", crypto], swiftSettings: settings),
        .executableTarget(name: "embed-migrations", swiftSettings: settings),
        .plugin(name: "EmbedMigrations", capability: .buildTool(), dependencies: ["embed-migrations"]),
        .target(
            name: "MigrationFiles", path: "Migrations",
            exclude: ["sqlite", "sqlite-journal", "postgres", "spool"], swiftSettings: settings,
            plugins: ["EmbedMigrations"]),
        .target(
            name: "Database",
            dependencies: [
                "CPostgres", "MigrationFiles", crypto, .product(name: "GRDB", package: "GRDB.swift"),
                .product(name: "GRDBSQLite", package: "GRDB.swift"),
            ],
            swiftSettings: settings),
        .target(
            name: "Market",
            dependencies: ["Units", "BinaryCoding", "Exchange", "Ledger", "Metering", "Routing", "Settlement", crypto, logging],
            swiftSettings: settings),
        .target(
            name: "Store",
            dependencies: [
                "Units", "BinaryCoding", "OrderBook", "Ledger", "Metering", "Settlement", "Exchange", "Market",
                "Routing", "ProofOfWork", "Database", "MigrationFiles", "Documents", crypto,
            ],
            swiftSettings: settings),
        .target(
            name: "Benchmarks",
            dependencies: [
                "Units", "OrderBook", "Exchange", "Metering", "Settlement", "Market", "Store", "Database", "MigrationFiles",
                "ProofOfWork",
                "Routing", "Stratum", "StratumProxy", crypto, logging, nioCore, nioPosix,
            ],
            swiftSettings: settings),
        .target(name: "StratumLines", dependencies: [nioCore], swiftSettings: settings),
        .target(
            name: "Miner",
            dependencies: ["Stratum", "StratumLines", "ProofOfWork", "Units", logging, nioCore, nioPosix, nioSSL],
            swiftSettings: settings),
        .target(
            name: "MiningPool",
            dependencies: [
                "Stratum", "StratumLines", "ProofOfWork", "Units", logging, nioCore, nioPosix, nioSSL,
                .product(name: "NIOHTTP1", package: "swift-nio"),
            ],
            swiftSettings: settings),
        .target(name: "Certificates", dependencies: [nioCore, nioSSL], swiftSettings: settings),
        .target(
            name: "StratumProxy",
            dependencies: [
                "Units", "BinaryCoding", "Certificates", "ProofOfWork", "Stratum", "Metering", "Routing", "Database", "MigrationFiles",
                crypto, logging, nioCore, nioPosix, nioSSL, nioTLS, nioConcurrency,
                .product(name: "HeapModule", package: "swift-collections"),
            ],
            swiftSettings: settings),
        .target(
            name: "WebAPI",
            dependencies: [
                "Units", "Exchange", "Market", "Metering", "OrderBook", "Ledger", "Settlement", crypto, logging, nioCore,
                hummingbird, httpTypes, .product(name: "HummingbirdCore", package: "hummingbird"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
            ],
            resources: [.embedInCode("openapi.yaml")], swiftSettings: settings),
        .target(
            name: "Server",
            dependencies: [
                "Units", "BinaryCoding", "Stratum", "Exchange", "Metering", "Routing", "Market", "Store", "Database", "MigrationFiles",
                "StratumProxy", "WebAPI", "Documents", "Settlement", "Certificates", logging, nioCore, nioSSL, nioTLS, hummingbird,
                .product(name: "HummingbirdCore", package: "hummingbird"),
                .product(name: "HummingbirdHTTP2", package: "hummingbird"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
            ],
            swiftSettings: settings),
        .target(name: "Demo", swiftSettings: settings),

        // L4: the command.
        .executableTarget(
            name: "hashspot",
            dependencies: [
                "Miner", "MiningPool", "Stratum", "Units", "Exchange", "Store", "Market", "Database", "Server", "Demo",
                "Metering", "Settlement", "WebAPI", "Benchmarks", "Documents", crypto, logging, nioCore, hummingbird, "Certificates",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ],
            swiftSettings: settings),

        // Tests.
        .target(name: "TestSupport", dependencies: ["Database", "Units"], path: "Tests/TestSupport", swiftSettings: settings),
        .testTarget(name: "UnitsTests", dependencies: ["Units", "TestSupport"], swiftSettings: settings),
        .testTarget(
            name: "ProofOfWorkTests", dependencies: ["ProofOfWork", "CHashing", "Units", "TestSupport", crypto, cryptoExtras],
            swiftSettings: settings),
        .testTarget(
            name: "StratumTests", dependencies: ["Stratum", "ProofOfWork", "Units", "TestSupport"], swiftSettings: settings),
        .testTarget(
            name: "MiningPoolTests",
            dependencies: [
                "Miner", "MiningPool", "Stratum", "StratumLines", "ProofOfWork", "Units", "TestSupport", logging, nioCore,
                nioPosix, .product(name: "NIOEmbedded", package: "swift-nio"), .product(name: "NIOTestUtils", package: "swift-nio"),
            ],
            swiftSettings: settings),
        .testTarget(name: "HashspotCommandTests", dependencies: ["hashspot"], swiftSettings: settings),
        .testTarget(
            name: "BinaryCodingTests", dependencies: ["BinaryCoding", "TestSupport"], swiftSettings: settings),
        .testTarget(
            name: "OrderBookTests", dependencies: ["OrderBook", "Benchmarks", "Units", "TestSupport"], swiftSettings: settings),
        .testTarget(name: "LedgerTests", dependencies: ["Ledger", "Units", "TestSupport"], swiftSettings: settings),
        .testTarget(
            name: "SettlementTests", dependencies: ["Settlement", "Units", "TestSupport"], swiftSettings: settings),
        .testTarget(
            name: "MeteringTests", dependencies: ["Metering", "BinaryCoding", "Units", "TestSupport"],
            swiftSettings: settings),
        .testTarget(name: "RoutingTests", dependencies: ["Routing", "Units", "TestSupport"], swiftSettings: settings),
        .testTarget(
            name: "ExchangeTests",
            dependencies: [
                "Exchange", "BinaryCoding", "OrderBook", "Ledger", "Settlement", "Units", "TestSupport", "ExchangeTestSupport",
            ],
            swiftSettings: settings),
        .testTarget(
            name: "WebAPITests",
            dependencies: [
                "WebAPI", "Units", "Exchange", "Market", "Metering", "OrderBook", "Ledger", "Settlement", "Store", "Database", crypto,
                logging, nioCore, hummingbird, httpTypes, "TestSupport", "MarketTestSupport",
                .product(name: "HummingbirdTesting", package: "hummingbird"), .product(name: "Yams", package: "Yams"), nioPosix,
            ],
            swiftSettings: settings),
        .testTarget(
            name: "StratumProxyTests",
            dependencies: [
                "StratumProxy", "Miner", "MiningPool", "Stratum", "StratumLines", "ProofOfWork", "Metering", "Routing",
                "BinaryCoding", "Units", "Database", "MigrationFiles", "TestSupport", crypto, logging, nioCore, nioPosix,
                nioConcurrency, nioSSL,
            ],
            swiftSettings: settings),
        .testTarget(
            name: "ServerTests",
            dependencies: [
                "Server", "Store", "Market", "Exchange", "Database", "Miner", "MiningPool", "ProofOfWork", "Stratum", "Units", "Routing",
                "StratumProxy", "WebAPI", "TestSupport", crypto, logging, nioCore, nioSSL, asyncHTTPClient, "Certificates",
                .product(name: "NIOHTTP1", package: "swift-nio"), "hashspot",
            ],
            swiftSettings: settings),
        // Runs the program itself, as processes.
        .testTarget(
            name: "FaultTests", dependencies: ["Database", "ProofOfWork", "Stratum", "Units", "TestSupport", "hashspot"],
            swiftSettings: settings),
        .testTarget(
            name: "DatabaseTests", dependencies: ["Database", "MigrationFiles", "TestSupport"],
            swiftSettings: settings),
        .target(
            name: "ExchangeTestSupport", dependencies: ["Exchange", "Units"], path: "Tests/ExchangeTestSupport",
            swiftSettings: settings),
        .target(
            name: "MarketTestSupport",
            dependencies: [
                "ExchangeTestSupport",
                "Market", "Store", "Exchange", "Ledger", "Metering", "Settlement", "Database", "MigrationFiles", "Units",
                "TestSupport", logging,
            ],
            path: "Tests/MarketTestSupport", swiftSettings: settings),
        .testTarget(
            name: "DocumentsTests",
            dependencies: [
                "Documents", "Settlement", "Store", "Market", "Exchange", "Ledger", "Database", "Units", "TestSupport",
                "MarketTestSupport",
            ],
            swiftSettings: settings),
        .testTarget(
            name: "StoreTests",
            dependencies: [
                "Store", "Market", "Exchange", "OrderBook", "Settlement", "Ledger", "Metering", "Routing", "Database", "Units",
                "TestSupport", "MarketTestSupport", crypto,
            ],
            swiftSettings: settings),
        .testTarget(
            name: "MarketTests",
            dependencies: [
                "Market", "Store", "Exchange", "Ledger", "Metering", "Routing", "Settlement", "Database", "Units",
                "BinaryCoding", "MigrationFiles", "TestSupport", "MarketTestSupport", crypto, logging,
            ],
            swiftSettings: settings),
    ],
    swiftLanguageModes: [.v6]
)
