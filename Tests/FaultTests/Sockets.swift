import Foundation

/// A blocking TCP connection over the loopback interface. Closed when nobody holds it any more.
final class Socket: Sendable {
    /// The other side closed, or the connection broke.
    struct Ended: Error {}
    struct TimedOut: Error {}

    private let descriptor: Int32

    init(descriptor: Int32) {
        self.descriptor = descriptor
        var on: Int32 = 1
        setsockopt(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &on, socklen_t(MemoryLayout<Int32>.size))
        _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
    }

    deinit { close(descriptor) }

    /// - Throws: ``Ended`` when nobody listens
    static func connect(port: Int) throws -> Socket {
        let descriptor = Loopback.socket()
        guard descriptor >= 0 else { throw Broken("no socket: \(String(cString: strerror(errno)))") }
        let connection = Socket(descriptor: descriptor)
        guard Loopback.with(port: port, { Glibc.connect(descriptor, $0, $1) }) == 0 else { throw Ended() }
        return connection
    }

    func send(_ bytes: some Collection<UInt8>) throws {
        var rest = Array(bytes)[...]
        while !rest.isEmpty {
            let sent = rest.withUnsafeBytes { Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
            if sent < 0, errno == EINTR { continue }
            guard sent > 0 else { throw Ended() }
            rest = rest.dropFirst(sent)
        }
    }

    /// What has come, at least a byte.
    ///
    /// - Throws: ``TimedOut`` when nothing came for so long; ``Ended``
    func receive(within seconds: Double) throws -> [UInt8] {
        var entry = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        let ready = poll(&entry, 1, Int32(seconds * 1000))
        if ready == 0 || (ready < 0 && errno == EINTR) { throw TimedOut() }
        var buffer = [UInt8](repeating: 0, count: 65_536)
        let count = buffer.withUnsafeMutableBytes { recv(descriptor, $0.baseAddress, $0.count, 0) }
        guard count > 0 else { throw Ended() }
        return Array(buffer[..<count])
    }

    /// Breaks the connection off for whoever uses it.
    func cut() { shutdown(descriptor, Int32(SHUT_RDWR)) }
}

/// Takes connections on a port of its own until it is closed.
final class Listener: Sendable {
    let port: Int
    private let descriptor: Int32

    init() throws {
        let descriptor = Loopback.socket()
        guard descriptor >= 0, Loopback.with(port: 0, { bind(descriptor, $0, $1) }) == 0, listen(descriptor, 64) == 0 else {
            throw Broken("cannot listen: \(String(cString: strerror(errno)))")
        }
        self.descriptor = descriptor
        port = Loopback.port(of: descriptor)
    }

    deinit { Glibc.close(descriptor) }

    /// The next connection; nil once closed.
    func accept() -> Socket? {
        while true {
            let accepted = Glibc.accept(descriptor, nil, nil)
            if accepted >= 0 { return Socket(descriptor: accepted) }
            guard errno == EINTR || errno == ECONNABORTED else { return nil }
        }
    }

    func close() { shutdown(descriptor, Int32(SHUT_RDWR)) }
}

/// 127.0.0.1.
enum Loopback {
    static func socket() -> Int32 { Glibc.socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0) }

    static func with<T>(port: Int, _ body: (UnsafePointer<sockaddr>, socklen_t) -> T) -> T {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = inet_addr("127.0.0.1")
        address.sin_port = UInt16(port).bigEndian
        return withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { body($0, socklen_t(MemoryLayout<sockaddr_in>.size)) }
        }
    }

    static func port(of descriptor: Int32) -> Int {
        var address = sockaddr_in()
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let status = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { getsockname(descriptor, $0, &size) }
        }
        return status == 0 ? Int(UInt16(bigEndian: address.sin_port)) : 0
    }

    /// Ports that nobody listens on now.
    static func freePorts(_ count: Int) throws -> [Int] {
        let listeners = try (0..<count).map { _ in try Listener() }
        return listeners.map(\.port)
    }
}
