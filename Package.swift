// swift-tools-version: 6.2
import PackageDescription

let settings: [SwiftSetting] = [
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
]

let package = Package(
    name: "hashspot",
    platforms: [.macOS(.v15)],
    products: [],
    dependencies: [
        .package(url: "https://github.com/apple/swift-crypto", exact: "4.5.2"),
        .package(url: "https://github.com/apple/swift-nio", exact: "2.101.2"),
        .package(url: "https://github.com/apple/swift-log", exact: "1.16.2"),
        .package(url: "https://github.com/apple/swift-argument-parser", exact: "1.8.2"),
        .package(url: "https://github.com/groue/GRDB.swift.git", from: "7.10.0"),
    ],
    targets: [
        .target(name: "Units", swiftSettings: settings),
        .target(name: "BinaryCoding", swiftSettings: settings),
        .target(name: "Metering", dependencies: ["Units", "BinaryCoding"], swiftSettings: settings),
        .target(name: "Routing", dependencies: ["Units"], swiftSettings: settings),
        // Hashing is optimised in debug builds too: tests and demos do real proof of work.
        .target(name: "CHashing", cSettings: [.unsafeFlags(["-O3"])]),
        .target(name: "ProofOfWork", dependencies: ["Units", "CHashing"], swiftSettings: settings),
        .target(name: "Stratum", dependencies: ["Units"], swiftSettings: settings),
        .target(
            name: "StratumLines", dependencies: [.product(name: "NIOCore", package: "swift-nio")],
            swiftSettings: settings),
        .target(
            name: "Miner",
            dependencies: [
                "Stratum", "StratumLines", "ProofOfWork", "Units", .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOCore", package: "swift-nio"), .product(name: "NIOPosix", package: "swift-nio"),
            ],
            swiftSettings: settings),
        .target(
            name: "MiningPool",
            dependencies: [
                "Stratum", "StratumLines", "ProofOfWork", "Units", .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOCore", package: "swift-nio"), .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "NIOHTTP1", package: "swift-nio"),
            ],
            swiftSettings: settings),
        .executableTarget(
            name: "hashspot",
            dependencies: [
                "Miner", "MiningPool", "Stratum", "Units", .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ],
            swiftSettings: settings),
        .testTarget(name: "UnitsTests", dependencies: ["Units"], swiftSettings: settings),
        .testTarget(
            name: "ProofOfWorkTests",
            dependencies: ["ProofOfWork", "CHashing", "Units", .product(name: "Crypto", package: "swift-crypto")],
            swiftSettings: settings),
        .testTarget(
            name: "StratumTests", dependencies: ["Stratum", "ProofOfWork", "Units"], swiftSettings: settings),

        .target(
            name: "StratumProxy",
            dependencies: [
                "Units", "BinaryCoding", "Metering", "Routing", "ProofOfWork", "Stratum", "Database", "MigrationFiles",
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "NIOConcurrencyHelpers", package: "swift-nio"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "Crypto", package: "swift-crypto"),
            ],
            swiftSettings: settings),
        .systemLibrary(
            name: "CPostgres",
            pkgConfig: "libpq",
            providers: [.apt(["libpq-dev"]), .brew(["libpq"])]
        ),
        .executableTarget(name: "embed-migrations", swiftSettings: settings),
        .plugin(
            name: "EmbedMigrations",
            capability: .buildTool(),
            dependencies: ["embed-migrations"]
        ),
        .target(
            name: "MigrationFiles",
            path: "Migrations",
            exclude: ["sqlite", "sqlite-journal", "postgres", "spool"],
            swiftSettings: settings,
            plugins: ["EmbedMigrations"]
        ),
        .target(
            name: "Database",
            dependencies: [
                "CPostgres",
                "MigrationFiles",
                .product(name: "GRDBSQLite", package: "GRDB.swift"),
                .product(name: "Crypto", package: "swift-crypto"),
            ],
            swiftSettings: settings
        ),
        .target(
            name: "TestSupport",
            dependencies: ["Database"],
            path: "Tests/TestSupport",
            swiftSettings: settings
        ),
        .testTarget(
            name: "DatabaseTests",
            dependencies: ["Database", "MigrationFiles", "TestSupport"],
            swiftSettings: settings
        ),
        .executableTarget(
            name: "DatabaseBenchmark",
            dependencies: ["Database"],
            path: "Benchmarks/DatabaseBenchmark",
            swiftSettings: settings
        ),
        .testTarget(
            name: "MiningPoolTests",
            dependencies: [
                "Miner", "MiningPool", "Stratum", "StratumLines", "ProofOfWork", "Units",
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOCore", package: "swift-nio"), .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "NIOEmbedded", package: "swift-nio"), .product(name: "NIOTestUtils", package: "swift-nio"),
            ],
            swiftSettings: settings),
        .testTarget(
            name: "StratumProxyTests",
            dependencies: [
                "StratumProxy", "Stratum", "ProofOfWork", "Units", "Metering", "Routing", "Database", "TestSupport",
                "MiningPool", "Miner",
                .product(name: "Logging", package: "swift-log"), .product(name: "Crypto", package: "swift-crypto"),
                .product(name: "NIOCore", package: "swift-nio"), .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "NIOConcurrencyHelpers", package: "swift-nio"),
            ],
            swiftSettings: settings),
        .testTarget(name: "HashspotCommandTests", dependencies: ["hashspot"], swiftSettings: settings),
    ],
    swiftLanguageModes: [.v6]
)
