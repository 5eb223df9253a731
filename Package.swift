// swift-tools-version: 6.2
import PackageDescription

let settings: [SwiftSetting] = [
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
]

let package = Package(
    name: "hashspot",
    products: [],
    dependencies: [
        .package(url: "https://github.com/apple/swift-crypto", exact: "4.5.2"),
        .package(url: "https://github.com/apple/swift-nio", exact: "2.101.2"),
        .package(url: "https://github.com/apple/swift-log", exact: "1.16.2"),
        .package(url: "https://github.com/apple/swift-argument-parser", exact: "1.8.2"),
    ],
    targets: [
        .target(name: "Units", swiftSettings: settings),
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
        .testTarget(
            name: "MiningPoolTests",
            dependencies: [
                "Miner", "MiningPool", "Stratum", "StratumLines", "ProofOfWork", "Units",
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOCore", package: "swift-nio"), .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "NIOEmbedded", package: "swift-nio"), .product(name: "NIOTestUtils", package: "swift-nio"),
            ],
            swiftSettings: settings),
        .testTarget(name: "HashspotCommandTests", dependencies: ["hashspot"], swiftSettings: settings),
    ],
    swiftLanguageModes: [.v6]
)
