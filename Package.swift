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
        .package(url: "https://github.com/groue/GRDB.swift.git", from: "7.10.0"),
        .package(url: "https://github.com/apple/swift-crypto.git", from: "4.5.2"),
    ],
    targets: [
        .target(name: "Units", swiftSettings: settings),
        .testTarget(name: "UnitsTests", dependencies: ["Units"], swiftSettings: settings),

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
    ],
    swiftLanguageModes: [.v6]
)
