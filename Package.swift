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
        .package(url: "https://github.com/apple/swift-collections", from: "1.6.0"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
    ],
    targets: [
        .target(name: "Units", swiftSettings: settings),
        .target(name: "BinaryCoding", swiftSettings: settings),
        .target(name: "Metering", dependencies: ["Units", "BinaryCoding"], swiftSettings: settings),
        .target(name: "Routing", dependencies: ["Units"], swiftSettings: settings),
        .target(name: "OrderBook", dependencies: ["Units"], swiftSettings: settings),
        .target(name: "Ledger", dependencies: ["Units"], swiftSettings: settings),
        .target(name: "Settlement", dependencies: ["Units"], swiftSettings: settings),
        .target(
            name: "Exchange",
            dependencies: [
                "Units", "BinaryCoding", "OrderBook", "Ledger", "Settlement", "Routing",
                .product(name: "HeapModule", package: "swift-collections"),
            ],
            swiftSettings: settings),
        .target(
            name: "Market",
            dependencies: [
                "Units", "BinaryCoding", "Exchange", "Metering", "Routing",
                .product(name: "Logging", package: "swift-log"),
            ],
            swiftSettings: settings),
        .testTarget(name: "UnitsTests", dependencies: ["Units"], swiftSettings: settings),
    ],
    swiftLanguageModes: [.v6]
)
