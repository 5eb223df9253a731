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
        .target(name: "Market", dependencies: ["Units", "Exchange"], swiftSettings: settings),
        .target(name: "TestSupport", path: "Tests/TestSupport", swiftSettings: settings),
        .testTarget(name: "UnitsTests", dependencies: ["Units"], swiftSettings: settings),
        .testTarget(name: "BinaryCodingTests", dependencies: ["BinaryCoding", "TestSupport"], swiftSettings: settings),
        .testTarget(name: "OrderBookTests", dependencies: ["OrderBook", "Units", "TestSupport"], swiftSettings: settings),
        .testTarget(name: "LedgerTests", dependencies: ["Ledger", "Units"], swiftSettings: settings),
        .testTarget(
            name: "SettlementTests", dependencies: ["Settlement", "Units", "TestSupport"], swiftSettings: settings),
        .testTarget(
            name: "MeteringTests", dependencies: ["Metering", "BinaryCoding", "Units", "TestSupport"],
            swiftSettings: settings),
        .testTarget(name: "RoutingTests", dependencies: ["Routing", "Units"], swiftSettings: settings),
        .testTarget(
            name: "ExchangeTests",
            dependencies: [
                "Exchange", "BinaryCoding", "Ledger", "OrderBook", "Settlement", "Units", "TestSupport",
            ],
            swiftSettings: settings),
    ],
    swiftLanguageModes: [.v6]
)
