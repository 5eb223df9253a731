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
        .target(name: "BinaryCoding", swiftSettings: settings),
        .target(name: "Metering", dependencies: ["Units", "BinaryCoding"], swiftSettings: settings),
        .target(name: "Routing", dependencies: ["Units"], swiftSettings: settings),
        // Hashing is optimised in debug builds too: tests and demos do real proof of work.
        .target(name: "CHashing", cSettings: [.unsafeFlags(["-O3"])]),
        .target(name: "ProofOfWork", dependencies: ["Units", "CHashing"], swiftSettings: settings),
        .target(name: "Stratum", dependencies: ["Units"], swiftSettings: settings),
        .testTarget(name: "UnitsTests", dependencies: ["Units"], swiftSettings: settings),
        .testTarget(
            name: "ProofOfWorkTests",
            dependencies: ["ProofOfWork", "CHashing", "Units", .product(name: "Crypto", package: "swift-crypto")],
            swiftSettings: settings),
        .testTarget(
            name: "StratumTests", dependencies: ["Stratum", "ProofOfWork", "Units"], swiftSettings: settings),
    ],
    swiftLanguageModes: [.v6]
)
