public import BinaryCoding
internal import Units

// Binary forms of fleets and blocks. They came while coding version 2 was the newest, with tags of their own.

extension BlockVerdict: BinaryCodable {}

extension FarmLogin: BinaryCodable {
    public func encode(into w: inout BinaryWriter) {
        farm.encode(into: &w)
        w.write(user)
        w.write(passwordDigest)
        fallback.encode(into: &w)
        w.write(mostRigs)
    }

    public init(from r: inout BinaryReader) throws(BinaryCodingError) {
        self.init(
            farm: try FarmID(from: &r), user: try r.readString(), passwordDigest: try r.readBytes(),
            fallback: try PoolTargetID(from: &r), mostRigs: try r.readInt64())
    }
}

extension FarmLoginChange: BinaryCodable {
    public func encode(into w: inout BinaryWriter) {
        name.encode(into: &w)
        w.write(passwordDigest) { $0.write($1) }
        fallback.encode(into: &w)
        mostRigs.encode(into: &w)
    }

    public init(from r: inout BinaryReader) throws(BinaryCodingError) {
        let name = try String?(from: &r)
        let digest = try r.readBool() ? try r.readBytes() : nil
        self.init(
            name: name, passwordDigest: digest, fallback: try PoolTargetID?(from: &r), mostRigs: try Int64?(from: &r))
    }
}

extension Curtailment: BinaryCodable {
    public func encode(into w: inout BinaryWriter) {
        farm.encode(into: &w)
        cap.encode(into: &w)
        ramp.encode(into: &w)
        since.encode(into: &w)
        until.encode(into: &w)
        liftedAt.encode(into: &w)
    }

    public init(from r: inout BinaryReader) throws(BinaryCodingError) {
        self.init(
            farm: try FarmID(from: &r), cap: try Lots(from: &r), ramp: try Interval(from: &r),
            since: try Timestamp(from: &r), until: try Timestamp?(from: &r), liftedAt: try Timestamp?(from: &r))
    }
}

extension CutRig: BinaryCodable {
    public func encode(into w: inout BinaryWriter) {
        farm.encode(into: &w)
        returnsAt.encode(into: &w)
    }

    public init(from r: inout BinaryReader) throws(BinaryCodingError) {
        self.init(farm: try FarmID(from: &r), returnsAt: try Timestamp?(from: &r))
    }
}

extension RigReturn: BinaryCodable {
    public func encode(into w: inout BinaryWriter) {
        rig.encode(into: &w)
        at.encode(into: &w)
    }

    public init(from r: inout BinaryReader) throws(BinaryCodingError) {
        self.init(rig: try RigID(from: &r), at: try Timestamp?(from: &r))
    }
}

extension FleetCommand: BinaryCodable {
    public func encode(into w: inout BinaryWriter) {
        switch self {
        case .setLogin(let farm, let owner, let change):
            w.write(UInt8(1))
            farm.encode(into: &w)
            owner.encode(into: &w)
            change.encode(into: &w)
        case .registerWorker(let farm, let worker):
            w.write(UInt8(2))
            farm.encode(into: &w)
            w.write(worker)
        case .curtail(let farm, let owner, let cap, let ramp, let until):
            w.write(UInt8(3))
            farm.encode(into: &w)
            owner.encode(into: &w)
            cap.encode(into: &w)
            ramp.encode(into: &w)
            until.encode(into: &w)
        case .liftCurtailment(let farm, let owner):
            w.write(UInt8(4))
            farm.encode(into: &w)
            owner.encode(into: &w)
        }
    }

    public init(from r: inout BinaryReader) throws(BinaryCodingError) {
        switch try r.readByte() {
        case 1:
            self = .setLogin(try FarmID(from: &r), owner: try AccountID(from: &r), try FarmLoginChange(from: &r))
        case 2: self = .registerWorker(try FarmID(from: &r), worker: try r.readString())
        case 3:
            self = .curtail(
                try FarmID(from: &r), by: try AccountID?(from: &r), cap: try Lots(from: &r), ramp: try Interval(from: &r),
                until: try Timestamp?(from: &r))
        case 4: self = .liftCurtailment(try FarmID(from: &r), by: try AccountID?(from: &r))
        case let tag: throw .unknownTag(tag)
        }
    }
}

extension FleetEvent: BinaryCodable {
    public func encode(into w: inout BinaryWriter) {
        switch self {
        case .loginSet(let login):
            w.write(UInt8(1))
            login.encode(into: &w)
        case .curtailed(let curtailment):
            w.write(UInt8(2))
            curtailment.encode(into: &w)
        case .curtailmentEnded(let farm):
            w.write(UInt8(3))
            farm.encode(into: &w)
        case .rigsCut(let farm, let rigs):
            w.write(UInt8(4))
            farm.encode(into: &w)
            rigs.encode(into: &w)
        case .returnsPlanned(let farm, let returns):
            w.write(UInt8(5))
            farm.encode(into: &w)
            returns.encode(into: &w)
        case .rigsReadmitted(let farm, let rigs):
            w.write(UInt8(6))
            farm.encode(into: &w)
            rigs.encode(into: &w)
        }
    }

    public init(from r: inout BinaryReader) throws(BinaryCodingError) {
        switch try r.readByte() {
        case 1: self = .loginSet(try FarmLogin(from: &r))
        case 2: self = .curtailed(try Curtailment(from: &r))
        case 3: self = .curtailmentEnded(try FarmID(from: &r))
        case 4: self = .rigsCut(try FarmID(from: &r), try [RigID](from: &r))
        case 5: self = .returnsPlanned(try FarmID(from: &r), try [RigReturn](from: &r))
        case 6: self = .rigsReadmitted(try FarmID(from: &r), try [RigID](from: &r))
        case let tag: throw .unknownTag(tag)
        }
    }
}

extension BlockReport: BinaryCodable {
    public func encode(into w: inout BinaryWriter) {
        edge.encode(into: &w)
        receivedAt.encode(into: &w)
        rig.encode(into: &w)
        delivery.encode(into: &w)
        target.encode(into: &w)
        w.write(hash)
        w.write(header)
        w.write(poolJob)
        w.write(isForwarded)
    }

    public init(from r: inout BinaryReader) throws(BinaryCodingError) {
        self.init(
            edge: try EdgeID(from: &r), receivedAt: try Timestamp(from: &r), rig: try RigID(from: &r),
            delivery: try DeliveryID?(from: &r), target: try PoolTargetID(from: &r), hash: try r.readBytes(),
            header: try r.readBytes(), poolJob: try r.readString(), isForwarded: try r.readBool())
    }
}

extension Block: BinaryCodable {
    public func encode(into w: inout BinaryWriter) {
        id.encode(into: &w)
        report.encode(into: &w)
        owner.encode(into: &w)
        seller.encode(into: &w)
        verdict.encode(into: &w)
        w.write(poolError)
    }

    public init(from r: inout BinaryReader) throws(BinaryCodingError) {
        self.init(
            id: try BlockID(from: &r), report: try BlockReport(from: &r), owner: try AccountID(from: &r),
            seller: try AccountID(from: &r), verdict: try BlockVerdict(from: &r), poolError: try r.readInt64())
    }
}
