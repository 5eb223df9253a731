import Database
import Foundation
import TestSupport
import Testing

/// Files of SQLite's: damaged ones, the log's bounds.
@Suite("SQLite files")
struct SQLiteFileTests {
    private func withFolder(_ body: (TemporaryFolder) throws -> Void) throws {
        let folder = try TemporaryFolder()
        defer { folder.remove() }
        try body(folder)
    }

    /// A database with so many rows of a hundred bytes.
    private func makeDatabase(_ path: String, rows count: Int, from first: Int = 1) throws {
        let connection = try Database.openConnection(.sqlite(path: path))
        defer { connection.close() }
        try connection.script("CREATE TABLE t (id INTEGER PRIMARY KEY, x TEXT NOT NULL)")
        try insert(first...first + count - 1, connection)
    }

    private func insert(_ ids: ClosedRange<Int>, _ connection: any SQLConnection) throws {
        var rows = SQLRows(columns: 2)
        for id in ids { rows.append(row: [SQLValue(id), .text(String(repeating: "x", count: 90) + String(id))]) }
        try connection.insert(into: "t", ["id", "x"], rows)
    }

    private func count(_ connection: any SQLConnection) throws -> Int? {
        try connection.queryOne("SELECT count(*) FROM t")?.int(0)
    }

    private func size(_ path: String) throws -> Int {
        try FileManager.default.attributesOfItem(atPath: path)[.size] as? Int ?? -1
    }

    private func expectCorrupt(_ error: DatabaseError?, _ path: String, _ location: SourceLocation = #_sourceLocation) {
        guard case .corrupt(let detail) = error else {
            Issue.record("\(String(describing: error))", sourceLocation: location)
            return
        }
        #expect(detail.contains(path) && detail.contains("backup"), "\(detail)", sourceLocation: location)
    }

    // MARK: - Damage

    @Test("that are cut short, or are something else, are named with what to do")
    func damaged() throws {
        try withFolder { folder in
            let path = folder.file("x.sqlite")
            try makeDatabase(path, rows: 5_000)
            let whole = try Data(contentsOf: URL(fileURLWithPath: path))
            for length in [whole.count / 2, 4096, 600] {
                try whole.prefix(length).write(to: URL(fileURLWithPath: path))
                expectCorrupt(databaseError { _ = try Database.openConnection(.sqlite(path: path), checksIntegrity: true) }, path)
                #expect(try size(path) == length)
            }
            try Data("#!/bin/sh\n".utf8 + [UInt8](repeating: 65, count: 4096)).write(to: URL(fileURLWithPath: path))
            expectCorrupt(databaseError { _ = try Database.openConnection(.sqlite(path: path)) }, path)
        }
    }

    @Test("with another database's log are refused when checked, and not changed")
    func foreignLog() throws {
        try withFolder { folder in
            let path = folder.file("mine.sqlite")
            let other = folder.file("other.sqlite")
            try makeDatabase(path, rows: 3_000)
            // Other keys: with the same ones a mixture of both files would look whole.
            try makeDatabase(other, rows: 20_000, from: 1_000_000)
            let connection = try Database.openConnection(.sqlite(path: other))
            try connection.execute("UPDATE t SET x = 'changed' WHERE id % 500 = 0")
            try FileManager.default.copyItem(atPath: other + "-wal", toPath: path + "-wal")
            connection.close()
            let file = try Data(contentsOf: URL(fileURLWithPath: path))
            let log = try Data(contentsOf: URL(fileURLWithPath: path + "-wal"))
            #expect(log.count > 4096)

            expectCorrupt(databaseError { _ = try Database.openConnection(.sqlite(path: path), checksIntegrity: true) }, path)
            #expect(try Data(contentsOf: URL(fileURLWithPath: path)) == file)
            #expect(try Data(contentsOf: URL(fileURLWithPath: path + "-wal")) == log)

            for suffix in ["-wal", "-shm"] { try? FileManager.default.removeItem(atPath: path + suffix) }
            let mine = try Database.openConnection(.sqlite(path: path), checksIntegrity: true)
            #expect(try count(mine) == 3_000)
            mine.close()
        }
    }

    // MARK: - The log

    @Test("have a log that stays short while readers do")
    func logIsBounded() throws {
        try withFolder { folder in
            let path = folder.file("x.sqlite")
            try makeDatabase(path, rows: 1)
            let writer = try Database.openConnection(.sqlite(path: path))
            let reader = try Database.openConnection(.sqlite(path: path))
            defer {
                writer.close()
                reader.close()
            }
            for round in 0..<200 {
                try insert(round * 2_000 + 2...round * 2_000 + 2_001, writer)
                let seen = try reader.transaction(.read) { try count(reader) }
                #expect(seen == round * 2_000 + 2_001)
            }
            #expect(try size(path) > 18 << 20)
            #expect(try size(path + "-wal") < 20 << 20)
        }
    }

    @Test("have a log that is cut after a long reader ended")
    func logIsCut() throws {
        try withFolder { folder in
            let path = folder.file("x.sqlite")
            try makeDatabase(path, rows: 1)
            let writer = try Database.openConnection(.sqlite(path: path))
            let reader = try Database.openConnection(.sqlite(path: path))
            defer {
                writer.close()
                reader.close()
            }
            try reader.transaction(.read) {
                #expect(try count(reader) == 1)
                for _ in 0..<20 {
                    try writer.execute(
                        """
                        INSERT INTO t (x) WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000)
                        SELECT printf('%.*c', 4000, 'x') FROM n
                        """)
                }
                #expect(try size(path + "-wal") > 80_000_000)
                #expect(try count(reader) == 1)
            }
            // One commit copies the log into the file, the next begins it anew.
            for _ in 0..<2 { try writer.execute("INSERT INTO t (x) VALUES ('late')") }
            #expect(try size(path + "-wal") <= 64 << 20)
            #expect(try count(reader) == 20_003)
        }
    }
}
