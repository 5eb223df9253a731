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
        .package(url: "https://github.com/apple/swift-crypto", from: "4.5.2"),
        .package(url: "https://github.com/apple/swift-http-types", from: "1.8.0"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
        .package(url: "https://github.com/hummingbird-project/hummingbird", from: "2.28.1"),
        .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
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
        .target(
            name: "WebAPI",
            dependencies: [
                "Units", "Exchange", "Market", "OrderBook", "Ledger", "Settlement",
                .product(name: "Crypto", package: "swift-crypto"),
                .product(name: "HTTPTypes", package: "swift-http-types"),
                .product(name: "Hummingbird", package: "hummingbird"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOCore", package: "swift-nio"),
            ],
            resources: [.embedInCode("openapi.yaml")],
            swiftSettings: settings),
        .testTarget(name: "UnitsTests", dependencies: ["Units"], swiftSettings: settings),
        .testTarget(
            name: "WebAPITests",
            dependencies: [
                "WebAPI", "Units", "Exchange", "Market", "OrderBook", "Ledger", "Settlement",
                .product(name: "Crypto", package: "swift-crypto"),
                .product(name: "HTTPTypes", package: "swift-http-types"),
                .product(name: "Hummingbird", package: "hummingbird"),
                .product(name: "HummingbirdTesting", package: "hummingbird"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "Yams", package: "Yams"),
            ],
            swiftSettings: settings),
    ],
    swiftLanguageModes: [.v6]
)
