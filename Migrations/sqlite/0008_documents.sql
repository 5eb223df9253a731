-- Statements, invoices and notes: numbered, immutable, chained and signed; legal parties; daily rates.

-- Who an account is before the law, from a time on. Account 0 is the market. A later row with the same time takes an earlier one's place.
CREATE TABLE legal_parties (
    account      BIGINT NOT NULL,
    effective_at BIGINT NOT NULL,
    revision     BIGINT NOT NULL CHECK (revision > 0),
    party        BLOB NOT NULL,                 -- canonical JSON
    recorded_at  BIGINT NOT NULL,
    recorded_by  BIGINT,                        -- NULL: on the command line
    PRIMARY KEY (account, effective_at, revision)
);

-- The price of a bitcoin on a day. The highest revision counts; one after the first has a reason.
CREATE TABLE fiat_rates (
    day         TEXT NOT NULL,
    currency    TEXT NOT NULL,
    revision    BIGINT NOT NULL CHECK (revision > 0),
    rate        TEXT NOT NULL,                  -- exact decimal
    imported_at BIGINT NOT NULL,
    imported_by BIGINT,
    reason      TEXT,
    PRIMARY KEY (day, currency, revision),
    CHECK ((revision > 1) = (reason IS NOT NULL))
);

CREATE TABLE signing_keys (
    id         TEXT PRIMARY KEY,                -- the first 16 hex digits of the key's SHA-256
    public_key BLOB NOT NULL,                   -- Ed25519
    first_used BIGINT NOT NULL
);

CREATE TABLE documents (
    position     BIGINT PRIMARY KEY CHECK (position > 0),           -- in the chain: without gaps
    kind         INTEGER NOT NULL CHECK (kind BETWEEN 1 AND 3),     -- 1 statement, 2 invoice, 3 note
    number       BIGINT NOT NULL CHECK (number > 0),                -- within its kind: without gaps
    version      BIGINT NOT NULL CHECK (version > 0),
    account      BIGINT NOT NULL,               -- of notes, the buyer
    counterparty BIGINT NOT NULL,               -- of notes, the seller; else 0
    period       TEXT NOT NULL,                 -- 2026-11 or 2026-11-30
    start_at     BIGINT NOT NULL,
    end_at       BIGINT NOT NULL,
    header       BLOB NOT NULL,                 -- canonical JSON and a line's end
    body_bytes   BIGINT NOT NULL,
    digest       BLOB NOT NULL UNIQUE,          -- SHA-256 of the header, which has the body's
    previous     BLOB NOT NULL,                 -- digest at the position before; zeros for the first
    signature    BLOB NOT NULL,
    signing_key  TEXT NOT NULL REFERENCES signing_keys (id),
    issued_at    BIGINT NOT NULL,
    issued_by    BIGINT,                        -- NULL: on the command line
    reason       TEXT,                          -- why it takes the place of the version before
    UNIQUE (kind, number, version),
    UNIQUE (kind, account, counterparty, period, version),
    CHECK (start_at < end_at),
    CHECK ((version > 1) = (reason IS NOT NULL)),
    CHECK ((kind = 3) = (counterparty <> 0))
);

CREATE INDEX documents_account ON documents (account, position);
CREATE INDEX documents_counterparty ON documents (counterparty, position);

-- The body's bytes in pieces.
CREATE TABLE document_parts (
    position BIGINT NOT NULL REFERENCES documents (position),
    part     BIGINT NOT NULL CHECK (part >= 0),
    content  BLOB NOT NULL,
    PRIMARY KEY (position, part)
);

CREATE TRIGGER legal_parties_not_changed BEFORE UPDATE ON legal_parties
BEGIN SELECT RAISE(ABORT, 'legal_parties is never changed'); END;
CREATE TRIGGER legal_parties_not_deleted BEFORE DELETE ON legal_parties
BEGIN SELECT RAISE(ABORT, 'legal_parties is never changed'); END;
CREATE TRIGGER fiat_rates_not_changed BEFORE UPDATE ON fiat_rates
BEGIN SELECT RAISE(ABORT, 'fiat_rates is never changed'); END;
CREATE TRIGGER fiat_rates_not_deleted BEFORE DELETE ON fiat_rates
BEGIN SELECT RAISE(ABORT, 'fiat_rates is never changed'); END;
CREATE TRIGGER signing_keys_not_changed BEFORE UPDATE ON signing_keys
BEGIN SELECT RAISE(ABORT, 'signing_keys is never changed'); END;
CREATE TRIGGER signing_keys_not_deleted BEFORE DELETE ON signing_keys
BEGIN SELECT RAISE(ABORT, 'signing_keys is never changed'); END;
CREATE TRIGGER documents_not_changed BEFORE UPDATE ON documents
BEGIN SELECT RAISE(ABORT, 'documents is never changed'); END;
CREATE TRIGGER documents_not_deleted BEFORE DELETE ON documents
BEGIN SELECT RAISE(ABORT, 'documents is never changed'); END;
CREATE TRIGGER document_parts_not_changed BEFORE UPDATE ON document_parts
BEGIN SELECT RAISE(ABORT, 'document_parts is never changed'); END;
CREATE TRIGGER document_parts_not_deleted BEFORE DELETE ON document_parts
BEGIN SELECT RAISE(ABORT, 'document_parts is never changed'); END;
