-- The journal: one row per batch of commands, and the row that says who may write.
-- `writer.epoch` is raised by whoever takes over; a commit moves `last` only under its own epoch.

CREATE TABLE writer (
    id    INTEGER PRIMARY KEY CHECK (id = 1),
    epoch BIGINT NOT NULL CHECK (epoch >= 0),
    last  BIGINT NOT NULL CHECK (last >= 0)
);

INSERT INTO writer (id, epoch, last) VALUES (1, 0, 0);

CREATE TABLE journal (
    last          BIGINT PRIMARY KEY,           -- sequence of the batch's last command
    first         BIGINT NOT NULL UNIQUE,       -- sequence of its first
    epoch         BIGINT NOT NULL,
    rules_version BIGINT NOT NULL,              -- version of the program's rules that decided
    at            BIGINT NOT NULL,              -- microseconds UTC
    state_hash    BIGINT NOT NULL,              -- of the state after the batch
    body          BLOB NOT NULL,                -- commands and events, compact binary
    CHECK (first >= 1 AND last >= first)
);
