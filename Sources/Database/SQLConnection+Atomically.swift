extension SQLConnection {
    /// Runs `body` in the open transaction, or in one of its own.
    func atomically<T>(_ body: () throws(DatabaseError) -> T) throws(DatabaseError) -> T {
        guard !isInTransaction else { return try body() }
        try begin(.write)
        do {
            let result = try body()
            try commit()
            return result
        } catch {
            rollback()
            throw error
        }
    }
}
