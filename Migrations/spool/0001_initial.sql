-- What an edge must not lose before the database has it (design, section 8).

-- One row: whose spool this is and how far its numbering has come.
CREATE TABLE spool (
    id             INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    edge           INTEGER NOT NULL CHECK (edge > 0),
    -- Allotted by the database when the spool was made.
    epoch          INTEGER NOT NULL CHECK (epoch > 0),
    -- The highest numbers that were ever committed; they are not used again.
    last_share     INTEGER NOT NULL DEFAULT 0 CHECK (last_share >= 0),
    last_job       INTEGER NOT NULL DEFAULT 0 CHECK (last_job >= 0),
    -- Sessions below this may have been used.
    next_session   INTEGER NOT NULL DEFAULT 1 CHECK (next_session >= 1),
    -- The last sealed batch and what it promised; microseconds since 1970, UTC.
    last_sequence  INTEGER NOT NULL DEFAULT 0 CHECK (last_sequence >= 0),
    complete_until INTEGER NOT NULL DEFAULT 0
) STRICT;

-- Records of one commit, encoded one after the other, not yet in a sealed batch.
CREATE TABLE record_group (
    id      INTEGER NOT NULL PRIMARY KEY,
    count   INTEGER NOT NULL CHECK (count > 0),
    records BLOB    NOT NULL
) STRICT;

-- Batches that the database has not confirmed. Their bytes never change.
CREATE TABLE sealed_batch (
    sequence INTEGER NOT NULL PRIMARY KEY CHECK (sequence > 0),
    digest   BLOB    NOT NULL CHECK (length(digest) = 32),
    body     BLOB    NOT NULL
) STRICT;
