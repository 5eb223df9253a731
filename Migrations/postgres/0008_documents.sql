-- Statements, invoices and notes: numbered, immutable, chained and signed; legal parties; daily rates.

-- Who an account is before the law, from a time on. Account 0 is the market. A later row with the same time takes an earlier one's place.
CREATE TABLE legal_parties (
    account      BIGINT NOT NULL,
    effective_at BIGINT NOT NULL,
    revision     BIGINT NOT NULL CHECK (revision > 0),
    party        BYTEA NOT NULL,                 -- canonical JSON
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
    public_key BYTEA NOT NULL,                   -- Ed25519
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
    header       BYTEA NOT NULL,                 -- canonical JSON and a line's end
    body_bytes   BIGINT NOT NULL,
    digest       BYTEA NOT NULL UNIQUE,          -- SHA-256 of the header, which has the body's
    previous     BYTEA NOT NULL,                 -- digest at the position before; zeros for the first
    signature    BYTEA NOT NULL,
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
    content  BYTEA NOT NULL,
    PRIMARY KEY (position, part)
);

CREATE TRIGGER keep_rows BEFORE UPDATE OR DELETE ON legal_parties FOR EACH ROW EXECUTE FUNCTION hashspot_refuse_change();
CREATE TRIGGER keep_table BEFORE TRUNCATE ON legal_parties EXECUTE FUNCTION hashspot_refuse_change();
CREATE TRIGGER keep_rows BEFORE UPDATE OR DELETE ON fiat_rates FOR EACH ROW EXECUTE FUNCTION hashspot_refuse_change();
CREATE TRIGGER keep_table BEFORE TRUNCATE ON fiat_rates EXECUTE FUNCTION hashspot_refuse_change();
CREATE TRIGGER keep_rows BEFORE UPDATE OR DELETE ON signing_keys FOR EACH ROW EXECUTE FUNCTION hashspot_refuse_change();
CREATE TRIGGER keep_table BEFORE TRUNCATE ON signing_keys EXECUTE FUNCTION hashspot_refuse_change();
CREATE TRIGGER keep_rows BEFORE UPDATE OR DELETE ON documents FOR EACH ROW EXECUTE FUNCTION hashspot_refuse_change();
CREATE TRIGGER keep_table BEFORE TRUNCATE ON documents EXECUTE FUNCTION hashspot_refuse_change();
CREATE TRIGGER keep_rows BEFORE UPDATE OR DELETE ON document_parts FOR EACH ROW EXECUTE FUNCTION hashspot_refuse_change();
CREATE TRIGGER keep_table BEFORE TRUNCATE ON document_parts EXECUTE FUNCTION hashspot_refuse_change();

ALTER TABLE legal_parties ENABLE ROW LEVEL SECURITY;
ALTER TABLE fiat_rates ENABLE ROW LEVEL SECURITY;
ALTER TABLE signing_keys ENABLE ROW LEVEL SECURITY;
ALTER TABLE documents ENABLE ROW LEVEL SECURITY;
ALTER TABLE document_parts ENABLE ROW LEVEL SECURITY;

-- What the roles may do with these tables, beside all that they might before.
ALTER FUNCTION hashspot_grant_roles() RENAME TO hashspot_grant_roles_before_documents;

CREATE FUNCTION hashspot_grant_roles() RETURNS VOID LANGUAGE plpgsql AS $$
DECLARE
    policy RECORD;
BEGIN
    PERFORM hashspot_grant_roles_before_documents();
    IF to_regrole('hashspot_writer') IS NOT NULL THEN
        GRANT SELECT, INSERT ON legal_parties, fiat_rates, signing_keys, documents, document_parts TO hashspot_writer;
    END IF;
    IF to_regrole('hashspot_reporting') IS NOT NULL THEN
        GRANT SELECT ON legal_parties, fiat_rates, signing_keys, documents, document_parts TO hashspot_reporting;
    END IF;
    FOR policy IN
        SELECT * FROM (VALUES
            ('legal_parties', 'account IN (0, (SELECT hashspot_account()))'),
            ('fiat_rates', 'true'),
            ('signing_keys', 'true'),
            ('documents', '(SELECT hashspot_account()) IN (account, counterparty)'),
            -- Tables in a policy are read under their own: what follows is about rows that are visible themselves.
            ('document_parts', 'EXISTS (SELECT FROM documents d WHERE d.position = document_parts.position)')
        ) AS policies (relation, rule)
    LOOP
        IF to_regrole('hashspot_writer') IS NOT NULL THEN
            EXECUTE format('DROP POLICY IF EXISTS writer ON %I', policy.relation);
            EXECUTE format('CREATE POLICY writer ON %I TO hashspot_writer USING (true) WITH CHECK (true)', policy.relation);
        END IF;
        IF to_regrole('hashspot_reporting') IS NOT NULL THEN
            EXECUTE format('DROP POLICY IF EXISTS reporting ON %I', policy.relation);
            EXECUTE format('CREATE POLICY reporting ON %I FOR SELECT TO hashspot_reporting USING (%s)',
                policy.relation, policy.rule);
        END IF;
    END LOOP;
END $$;

SELECT hashspot_grant_roles();
