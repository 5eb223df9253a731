-- Control: what staff did, reconciliations and their breaks, disputes and their credits, the published index.

-- What staff did: rows are only added, numbered without gaps and chained by SHA-256.
CREATE TABLE audit_trail (
    number     BIGINT PRIMARY KEY,
    at         BIGINT NOT NULL,
    kind       INTEGER NOT NULL CHECK (kind BETWEEN 1 AND 3),  -- 1 is about to be done, 2 what came of it, 3 was read
    intent     BIGINT,                          -- kind 2: the number of what was about to be done
    actor      BIGINT NOT NULL,                 -- account; 0: somebody with access to the database
    actor_name TEXT NOT NULL,
    action     TEXT NOT NULL,                   -- method and route, or command
    subject    TEXT NOT NULL,                   -- path, or what the command is about
    request    TEXT NOT NULL,                   -- short form, without secrets
    digest     BYTEA NOT NULL,                  -- SHA-256 of the request; of its form without secrets where it had some
    status     INTEGER,                         -- HTTP status; commands: 0 done, 1 failed
    code       TEXT,                            -- of the refusal
    request_id TEXT NOT NULL,
    chain      BYTEA NOT NULL,                  -- SHA-256 of the previous row's chain and of this row
    CHECK ((kind = 2) = (intent IS NOT NULL)),
    CHECK ((kind = 1) = (status IS NULL)),
    CHECK (intent < number),
    CHECK (length(digest) = 32),
    CHECK (length(chain) = 32)
);

CREATE UNIQUE INDEX audit_trail_intent ON audit_trail (intent);
CREATE INDEX audit_trail_actor ON audit_trail (actor, number);

-- Answers to idempotency keys of requests that do not go through the journal.
CREATE TABLE control_answers (
    account BIGINT NOT NULL,
    key     TEXT NOT NULL,
    digest  BYTEA NOT NULL,                     -- SHA-256 of the request
    subject BIGINT NOT NULL,                    -- number of what it made or changed
    at      BIGINT NOT NULL,
    PRIMARY KEY (account, key)
);

-- Statements of wallets and banks: movements of what is in custody, from outside.
CREATE TABLE custody_statements (
    number      BIGINT PRIMARY KEY,
    source      TEXT NOT NULL,                  -- name of the wallet or bank account
    imported_at BIGINT NOT NULL,
    imported_by BIGINT NOT NULL,                -- account; 0: somebody with access to the database
    digest      BYTEA NOT NULL,                 -- SHA-256 of the file
    items       BIGINT NOT NULL CHECK (items > 0),
    CHECK (length(digest) = 32)
);

CREATE TABLE custody_items (
    source      TEXT NOT NULL,
    reference   TEXT NOT NULL,
    number      BIGINT NOT NULL UNIQUE,         -- in the order of the imports
    statement   BIGINT NOT NULL,
    line        BIGINT NOT NULL,                -- of the file
    at          BIGINT NOT NULL,
    amount      BIGINT NOT NULL,                -- satoshis; positive: came in
    balance     BIGINT,                         -- after it; NULL: not said
    description TEXT NOT NULL,
    PRIMARY KEY (source, reference)
);

CREATE INDEX custody_items_reference ON custody_items (reference);
CREATE INDEX custody_items_at ON custody_items (source, at, number);

-- What pools say that they counted. A later version corrects an earlier one.
CREATE TABLE pool_statements (
    target      BIGINT NOT NULL,
    day         BIGINT NOT NULL,                -- days since 1970, UTC
    version     BIGINT NOT NULL,
    shares      BIGINT CHECK (shares >= 0),
    work        BIGINT CHECK (work >= 0),       -- in the market's units
    imported_at BIGINT NOT NULL,
    imported_by BIGINT NOT NULL,
    PRIMARY KEY (target, day, version),
    CHECK (shares IS NOT NULL OR work IS NOT NULL)
);

CREATE TABLE reconciliations (
    run           BIGINT PRIMARY KEY,
    area          INTEGER NOT NULL CHECK (area BETWEEN 1 AND 2),  -- 1 custody, 2 pools
    at            BIGINT NOT NULL,
    requested_by  BIGINT NOT NULL,
    from_time     BIGINT NOT NULL,              -- what it looked at: from, until (the end excluded)
    to_time       BIGINT NOT NULL,
    tolerance_ppm BIGINT NOT NULL CHECK (tolerance_ppm BETWEEN 0 AND 1000000),
    compared      BIGINT NOT NULL,
    breaks        BIGINT NOT NULL,              -- found, known ones included
    news          BIGINT NOT NULL,              -- of them new, or with another amount
    custody       BIGINT,                       -- area 1, satoshis at to_time: what statements say is there,
    ledger        BIGINT,                       -- what the ledger says is there,
    liabilities   BIGINT                        -- and what is owed to customers
);

-- Something that does not agree. What it is never changes; its amount and state are in its last event.
CREATE TABLE reconciliation_breaks (
    number   BIGINT PRIMARY KEY,
    area     INTEGER NOT NULL CHECK (area BETWEEN 1 AND 2),
    kind     INTEGER NOT NULL,
    key      TEXT NOT NULL,                     -- names it among those of its kind
    at       BIGINT NOT NULL,                   -- the time it belongs to
    found_at BIGINT NOT NULL,
    UNIQUE (area, kind, key)
);

CREATE TABLE break_events (
    break    BIGINT NOT NULL,
    number   BIGINT NOT NULL,                   -- 1, 2, 3 ...
    at       BIGINT NOT NULL,
    actor    BIGINT NOT NULL,                   -- account; 0: a run
    run      BIGINT,
    kind     INTEGER NOT NULL CHECK (kind BETWEEN 1 AND 6),  -- 1 found, 2 other amount, 3 gone, 4 assigned, 5 resolved, 6 reopened
    status   INTEGER NOT NULL CHECK (status BETWEEN 1 AND 3),  -- afterwards: 1 open, 2 resolved, 3 gone
    amount   BIGINT NOT NULL,                   -- satoshis, shares or work, by the break's kind
    assignee BIGINT,
    text     TEXT NOT NULL,                     -- its cause, or a person's note
    PRIMARY KEY (break, number)
);

-- A buyer's or seller's objection to a line or an interval. What was said and decided is in its events.
CREATE TABLE disputes (
    number      BIGINT PRIMARY KEY,
    opened_at   BIGINT NOT NULL,
    opened_by   BIGINT NOT NULL,
    claimant    INTEGER NOT NULL CHECK (claimant BETWEEN 1 AND 2),  -- 1 the buyer, 2 the seller
    delivery    BIGINT NOT NULL,
    line        BIGINT,                         -- NULL: the interval
    from_minute BIGINT NOT NULL,
    to_minute   BIGINT NOT NULL,
    buyer       BIGINT NOT NULL,
    seller      BIGINT NOT NULL,
    claimed     BIGINT NOT NULL CHECK (claimed > 0),
    reason      TEXT NOT NULL,
    CHECK (from_minute < to_minute)
);

CREATE INDEX disputes_buyer ON disputes (buyer, number);
CREATE INDEX disputes_seller ON disputes (seller, number);
CREATE INDEX disputes_delivery ON disputes (delivery, number);

CREATE TABLE dispute_events (
    dispute BIGINT NOT NULL,
    number  BIGINT NOT NULL,                    -- 1, 2, 3 ...
    at      BIGINT NOT NULL,
    actor   BIGINT NOT NULL,
    role    INTEGER NOT NULL CHECK (role BETWEEN 1 AND 3),  -- 1 buyer, 2 seller, 3 finance
    kind    INTEGER NOT NULL CHECK (kind BETWEEN 1 AND 4),  -- 1 message, 2 rejected, 3 credited, 4 withdrawn
    status  INTEGER NOT NULL CHECK (status BETWEEN 1 AND 5),  -- afterwards: 1 open, 2 answered, 3 rejected, 4 credited, 5 withdrawn
    text    TEXT NOT NULL,
    amount  BIGINT,                             -- credited, satoshis
    bearer  INTEGER CHECK (bearer BETWEEN 1 AND 3),  -- 1 buyer, 2 seller, 3 market
    PRIMARY KEY (dispute, number),
    CHECK ((kind = 3) = (amount IS NOT NULL)),
    CHECK ((amount IS NULL) = (bearer IS NULL))
);

-- What disputes gave: booked in the order of their numbers, which have no gaps.
CREATE TABLE credits (
    number          BIGINT PRIMARY KEY,
    dispute         BIGINT NOT NULL UNIQUE,
    delivery        BIGINT NOT NULL,
    buyer           BIGINT NOT NULL,
    seller          BIGINT NOT NULL,
    from_minute     BIGINT NOT NULL,
    to_minute       BIGINT NOT NULL,
    charge          BIGINT NOT NULL CHECK (charge <> 0),  -- satoshis; positive: the buyer pays the seller
    borne_by_market INTEGER NOT NULL CHECK (borne_by_market IN (0, 1)),
    approved_by     BIGINT NOT NULL,
    approved_at     BIGINT NOT NULL,
    reason          TEXT NOT NULL
);

-- The published price of delivered work. Minutes and days without work have no row.
CREATE TABLE index_minutes (
    minute       BIGINT PRIMARY KEY,            -- minutes since 1970, UTC
    value        BIGINT NOT NULL,               -- floor(numerator / work)
    numerator    TEXT NOT NULL,                 -- sum of price x work, decimal
    work         TEXT NOT NULL,                 -- sum of billable work, decimal
    lowest       BIGINT NOT NULL,
    highest      BIGINT NOT NULL,
    deliveries   BIGINT NOT NULL CHECK (deliveries > 0),
    inputs       BYTEA NOT NULL,                -- SHA-256 of the slots that it was made from
    published_at BIGINT NOT NULL,
    CHECK (lowest <= value AND value <= highest),
    CHECK (length(inputs) = 32)
);

CREATE TABLE index_days (
    day          BIGINT PRIMARY KEY,            -- days since 1970, UTC
    value        BIGINT NOT NULL,
    numerator    TEXT NOT NULL,
    work         TEXT NOT NULL,
    lowest       BIGINT NOT NULL,
    highest      BIGINT NOT NULL,
    deliveries   BIGINT NOT NULL CHECK (deliveries > 0),
    minutes      BIGINT NOT NULL CHECK (minutes BETWEEN 1 AND 1440),
    inputs       BYTEA NOT NULL,                -- SHA-256 of its minutes
    published_at BIGINT NOT NULL,
    CHECK (lowest <= value AND value <= highest),
    CHECK (length(inputs) = 32)
);

-- Minutes before this one are published.
CREATE TABLE index_position (
    id     INTEGER PRIMARY KEY CHECK (id = 1),
    minute BIGINT NOT NULL
);

-- Finds the deliveries of a minute.
CREATE INDEX deliveries_ended ON deliveries (ended_at);

CREATE TRIGGER keep_rows BEFORE UPDATE OR DELETE ON audit_trail FOR EACH ROW EXECUTE FUNCTION hashspot_refuse_change();
CREATE TRIGGER keep_table BEFORE TRUNCATE ON audit_trail EXECUTE FUNCTION hashspot_refuse_change();
CREATE TRIGGER keep_rows BEFORE UPDATE OR DELETE ON control_answers FOR EACH ROW EXECUTE FUNCTION hashspot_refuse_change();
CREATE TRIGGER keep_table BEFORE TRUNCATE ON control_answers EXECUTE FUNCTION hashspot_refuse_change();
CREATE TRIGGER keep_rows BEFORE UPDATE OR DELETE ON custody_statements FOR EACH ROW EXECUTE FUNCTION hashspot_refuse_change();
CREATE TRIGGER keep_table BEFORE TRUNCATE ON custody_statements EXECUTE FUNCTION hashspot_refuse_change();
CREATE TRIGGER keep_rows BEFORE UPDATE OR DELETE ON custody_items FOR EACH ROW EXECUTE FUNCTION hashspot_refuse_change();
CREATE TRIGGER keep_table BEFORE TRUNCATE ON custody_items EXECUTE FUNCTION hashspot_refuse_change();
CREATE TRIGGER keep_rows BEFORE UPDATE OR DELETE ON pool_statements FOR EACH ROW EXECUTE FUNCTION hashspot_refuse_change();
CREATE TRIGGER keep_table BEFORE TRUNCATE ON pool_statements EXECUTE FUNCTION hashspot_refuse_change();
CREATE TRIGGER keep_rows BEFORE UPDATE OR DELETE ON reconciliations FOR EACH ROW EXECUTE FUNCTION hashspot_refuse_change();
CREATE TRIGGER keep_table BEFORE TRUNCATE ON reconciliations EXECUTE FUNCTION hashspot_refuse_change();
CREATE TRIGGER keep_rows BEFORE UPDATE OR DELETE ON reconciliation_breaks FOR EACH ROW EXECUTE FUNCTION hashspot_refuse_change();
CREATE TRIGGER keep_table BEFORE TRUNCATE ON reconciliation_breaks EXECUTE FUNCTION hashspot_refuse_change();
CREATE TRIGGER keep_rows BEFORE UPDATE OR DELETE ON break_events FOR EACH ROW EXECUTE FUNCTION hashspot_refuse_change();
CREATE TRIGGER keep_table BEFORE TRUNCATE ON break_events EXECUTE FUNCTION hashspot_refuse_change();
CREATE TRIGGER keep_rows BEFORE UPDATE OR DELETE ON disputes FOR EACH ROW EXECUTE FUNCTION hashspot_refuse_change();
CREATE TRIGGER keep_table BEFORE TRUNCATE ON disputes EXECUTE FUNCTION hashspot_refuse_change();
CREATE TRIGGER keep_rows BEFORE UPDATE OR DELETE ON dispute_events FOR EACH ROW EXECUTE FUNCTION hashspot_refuse_change();
CREATE TRIGGER keep_table BEFORE TRUNCATE ON dispute_events EXECUTE FUNCTION hashspot_refuse_change();
CREATE TRIGGER keep_rows BEFORE UPDATE OR DELETE ON credits FOR EACH ROW EXECUTE FUNCTION hashspot_refuse_change();
CREATE TRIGGER keep_table BEFORE TRUNCATE ON credits EXECUTE FUNCTION hashspot_refuse_change();
CREATE TRIGGER keep_rows BEFORE UPDATE OR DELETE ON index_minutes FOR EACH ROW EXECUTE FUNCTION hashspot_refuse_change();
CREATE TRIGGER keep_table BEFORE TRUNCATE ON index_minutes EXECUTE FUNCTION hashspot_refuse_change();
CREATE TRIGGER keep_rows BEFORE UPDATE OR DELETE ON index_days FOR EACH ROW EXECUTE FUNCTION hashspot_refuse_change();
CREATE TRIGGER keep_table BEFORE TRUNCATE ON index_days EXECUTE FUNCTION hashspot_refuse_change();

-- Numbers follow each other.
CREATE FUNCTION hashspot_check_number() RETURNS TRIGGER LANGUAGE plpgsql AS $$
DECLARE
    last BIGINT;
BEGIN
    EXECUTE format('SELECT coalesce(max(number), 0) FROM %I', TG_TABLE_NAME) INTO last;
    IF NEW.number <> last + 1 THEN
        RAISE '% has no number % after %', TG_TABLE_NAME, NEW.number, last USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER number_follows BEFORE INSERT ON audit_trail FOR EACH ROW EXECUTE FUNCTION hashspot_check_number();
CREATE TRIGGER number_follows BEFORE INSERT ON credits FOR EACH ROW EXECUTE FUNCTION hashspot_check_number();

-- What the roles may do with these tables, beside all that they might before.
ALTER TABLE audit_trail ENABLE ROW LEVEL SECURITY;
ALTER TABLE control_answers ENABLE ROW LEVEL SECURITY;
ALTER TABLE custody_statements ENABLE ROW LEVEL SECURITY;
ALTER TABLE custody_items ENABLE ROW LEVEL SECURITY;
ALTER TABLE pool_statements ENABLE ROW LEVEL SECURITY;
ALTER TABLE reconciliations ENABLE ROW LEVEL SECURITY;
ALTER TABLE reconciliation_breaks ENABLE ROW LEVEL SECURITY;
ALTER TABLE break_events ENABLE ROW LEVEL SECURITY;
ALTER TABLE disputes ENABLE ROW LEVEL SECURITY;
ALTER TABLE dispute_events ENABLE ROW LEVEL SECURITY;
ALTER TABLE credits ENABLE ROW LEVEL SECURITY;
ALTER TABLE index_minutes ENABLE ROW LEVEL SECURITY;
ALTER TABLE index_days ENABLE ROW LEVEL SECURITY;
ALTER TABLE index_position ENABLE ROW LEVEL SECURITY;

ALTER FUNCTION hashspot_grant_roles() RENAME TO hashspot_grant_roles_before_control;

CREATE FUNCTION hashspot_grant_roles() RETURNS VOID LANGUAGE plpgsql AS $$
DECLARE
    relation TEXT;
    policy RECORD;
BEGIN
    PERFORM hashspot_grant_roles_before_control();
    FOREACH relation IN ARRAY ARRAY[
        'audit_trail', 'control_answers', 'custody_statements', 'custody_items', 'pool_statements', 'reconciliations',
        'reconciliation_breaks', 'break_events', 'disputes', 'dispute_events', 'credits', 'index_minutes', 'index_days',
        'index_position'
    ] LOOP
        IF to_regrole('hashspot_writer') IS NOT NULL THEN
            EXECUTE format('GRANT SELECT, INSERT ON %I TO hashspot_writer', relation);
            EXECUTE format('DROP POLICY IF EXISTS writer ON %I', relation);
            EXECUTE format('CREATE POLICY writer ON %I TO hashspot_writer USING (true) WITH CHECK (true)', relation);
        END IF;
    END LOOP;
    IF to_regrole('hashspot_writer') IS NOT NULL THEN
        GRANT UPDATE ON index_position TO hashspot_writer;
    END IF;
    FOR policy IN
        SELECT * FROM (VALUES
            ('disputes', '(SELECT hashspot_account()) IN (buyer, seller)'),
            ('dispute_events', 'EXISTS (SELECT FROM disputes d WHERE d.number = dispute_events.dispute)'),
            ('credits', '(SELECT hashspot_account()) IN (buyer, seller)'),
            ('index_minutes', 'true'),
            ('index_days', 'true')
        ) AS policies (relation, rule)
    LOOP
        IF to_regrole('hashspot_reporting') IS NOT NULL THEN
            EXECUTE format('GRANT SELECT ON %I TO hashspot_reporting', policy.relation);
            EXECUTE format('DROP POLICY IF EXISTS reporting ON %I', policy.relation);
            EXECUTE format('CREATE POLICY reporting ON %I FOR SELECT TO hashspot_reporting USING (%s)',
                policy.relation, policy.rule);
        END IF;
    END LOOP;
END $$;

SELECT hashspot_grant_roles();
