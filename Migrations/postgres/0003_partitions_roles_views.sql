-- Metering in days that can be dropped, books that cannot be rewritten, roles with row-level security, views for people.

-- MARK: Standing by

-- The last sign of life of whoever may write; those who stand by take over when there is none.
ALTER TABLE writer ADD COLUMN seen_at TIMESTAMPTZ NOT NULL DEFAULT 'epoch';

-- MARK: Days

-- From when on everything is there that was metered; what is older may have been dropped. Microseconds.
CREATE TABLE retention (
    name      TEXT PRIMARY KEY CHECK (name IN ('shares', 'jobs', 'meter_slots')),
    kept_from BIGINT NOT NULL CHECK (kept_from >= 0)
);

INSERT INTO retention (name, kept_from) VALUES ('shares', 0), ('jobs', 0), ('meter_slots', 0);

-- Pools' answers that came before their shares: batches may be applied in any order.
CREATE TABLE waiting_replies (
    edge        BIGINT NOT NULL,
    epoch       BIGINT NOT NULL,
    number      BIGINT NOT NULL,
    received_at BIGINT NOT NULL,                -- the share's
    pool_reply  INTEGER NOT NULL,
    pool_error  BIGINT NOT NULL,
    PRIMARY KEY (edge, epoch, number)
);

ALTER TABLE shares RENAME TO old_shares;
ALTER INDEX shares_pkey RENAME TO old_shares_pkey;
ALTER INDEX shares_delivery RENAME TO old_shares_delivery;
ALTER TABLE jobs RENAME TO old_jobs;
ALTER INDEX jobs_pkey RENAME TO old_jobs_pkey;
ALTER TABLE meter_slots RENAME TO old_meter_slots;
ALTER INDEX meter_slots_pkey RENAME TO old_meter_slots_pkey;

-- A share is found by all four: a reply names its time of receipt.
CREATE TABLE shares (
    edge        BIGINT NOT NULL,
    epoch       BIGINT NOT NULL,
    number      BIGINT NOT NULL,
    received_at BIGINT NOT NULL,
    rig         BIGINT NOT NULL,
    delivery    BIGINT NOT NULL,                -- 0: unsold work
    job         BIGINT NOT NULL,
    verdict     INTEGER NOT NULL,               -- 1 valid, 2 stale, 3 duplicate, 4 low difficulty, 5 invalid
    difficulty  BIGINT NOT NULL,
    billable    INTEGER NOT NULL CHECK (billable IN (0, 1)),
    forwarded   INTEGER NOT NULL CHECK (forwarded IN (0, 1)),
    extranonce2 BYTEA NOT NULL,
    ntime       BIGINT NOT NULL,
    nonce       BIGINT NOT NULL,
    version     BIGINT NOT NULL,
    hash        BYTEA NOT NULL,
    pool_reply  INTEGER,                        -- 1 accepted, 2 rejected, 3 unanswered; NULL: not forwarded, or open
    pool_error  BIGINT,
    PRIMARY KEY (edge, epoch, number, received_at)
) PARTITION BY RANGE (received_at);

CREATE INDEX shares_delivery ON shares (delivery, received_at);

CREATE TABLE jobs (
    edge            BIGINT NOT NULL,
    epoch           BIGINT NOT NULL,
    number          BIGINT NOT NULL,
    sealed_at       BIGINT NOT NULL,            -- about when its batch was sealed: jobs are kept some days longer than shares
    target          BIGINT NOT NULL,
    pool_job        BYTEA NOT NULL,
    coinbase_prefix BYTEA NOT NULL,
    coinbase_suffix BYTEA NOT NULL,
    branches        BYTEA NOT NULL,
    previous_hash   BYTEA NOT NULL,
    version         BIGINT NOT NULL,
    nbits           BIGINT NOT NULL,
    ntime           BIGINT NOT NULL,
    PRIMARY KEY (edge, epoch, number, sealed_at)
) PARTITION BY RANGE (sealed_at);

CREATE TABLE meter_slots (
    delivery              BIGINT NOT NULL,      -- 0: unsold work
    rig                   BIGINT NOT NULL,
    minute                BIGINT NOT NULL,      -- minutes since 1970, UTC
    valid_shares          BIGINT NOT NULL,
    valid_work            BIGINT NOT NULL,
    billable_work         BIGINT NOT NULL,
    stale_shares          BIGINT NOT NULL,
    stale_work            BIGINT NOT NULL,
    duplicate_shares      BIGINT NOT NULL,
    low_difficulty_shares BIGINT NOT NULL,
    invalid_shares        BIGINT NOT NULL,
    forwarded_shares      BIGINT NOT NULL,
    pool_accepted         BIGINT NOT NULL,
    pool_rejected         BIGINT NOT NULL,
    pool_unanswered       BIGINT NOT NULL,
    unlogged_shares       BIGINT NOT NULL DEFAULT 0,  -- shares in this slot whose rows were not kept
    PRIMARY KEY (delivery, rig, minute),
    CHECK (billable_work <= valid_work)
) PARTITION BY RANGE (minute);

-- What belongs to no day that there is: a clock far off, a spool from long ago. Nothing is ever refused.
CREATE TABLE shares_default PARTITION OF shares DEFAULT;
CREATE TABLE jobs_default PARTITION OF jobs DEFAULT;
CREATE TABLE meter_slots_default PARTITION OF meter_slots DEFAULT;

-- The column that says the day, and how much of it a day is.
CREATE FUNCTION hashspot_day_column(parent TEXT, OUT name TEXT, OUT width BIGINT) LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    CASE parent
        WHEN 'shares' THEN name := 'received_at'; width := 86400000000;
        WHEN 'jobs' THEN name := 'sealed_at'; width := 86400000000;
        WHEN 'meter_slots' THEN name := 'minute'; width := 1440;
    END CASE;
END $$;

-- shares_20260131, for days since 1970.
CREATE FUNCTION hashspot_day_name(parent TEXT, day BIGINT) RETURNS TEXT LANGUAGE sql IMMUTABLE
    RETURN parent || to_char(DATE '1970-01-01' + CAST(day AS INTEGER), '"_"YYYYMMDD');

-- The days that a table has partitions for.
CREATE FUNCTION hashspot_days(parent TEXT) RETURNS SETOF BIGINT LANGUAGE sql STABLE AS $$
    SELECT CAST(to_date(right(c.relname, 8), 'YYYYMMDD') - DATE '1970-01-01' AS BIGINT)
    FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
    WHERE i.inhparent = to_regclass(parent) AND c.relname ~ ('^' || parent || '_[0-9]{8}$')
    ORDER BY 1
$$;

-- Makes a day's partition and moves what strayed from that day into it; false if it is there.
CREATE FUNCTION hashspot_make_day(parent TEXT, day BIGINT) RETURNS BOOLEAN
    LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    part  TEXT := hashspot_day_name(parent, day);
    stray TEXT := parent || '_default';
    key   RECORD := hashspot_day_column(parent);
BEGIN
    IF day IN (SELECT hashspot_days(parent)) THEN RETURN false; END IF;
    EXECUTE format('LOCK TABLE %I IN ACCESS EXCLUSIVE MODE', stray);
    EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING ALL EXCLUDING INDEXES)', part, parent);
    EXECUTE format('INSERT INTO %I SELECT * FROM %I WHERE %I BETWEEN $1 AND $2', part, stray, key.name)
        USING day * key.width, (day + 1) * key.width - 1;
    EXECUTE format('DELETE FROM %I WHERE %I BETWEEN $1 AND $2', stray, key.name)
        USING day * key.width, (day + 1) * key.width - 1;
    EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%s) TO (%s)',
        parent, part, day * key.width, (day + 1) * key.width);
    RETURN true;
END $$;

-- The last line of defence of retention: slots of unsettled deliveries and shares that no settlement has seen stay.
CREATE FUNCTION hashspot_check_settled(parent TEXT, day BIGINT) RETURNS VOID LANGUAGE plpgsql AS $$
DECLARE
    ends BIGINT := (day + 1) * 86400000000;
BEGIN
    IF NOT EXISTS (SELECT FROM deliveries WHERE live = 1 AND opened_at < ends) THEN RETURN; END IF;
    IF parent = 'meter_slots' THEN
        RAISE 'deliveries of % are not settled', hashspot_day_name(parent, day) USING ERRCODE = 'check_violation';
    END IF;
    IF coalesce((SELECT max(watermark) FROM settlement_runs), 0) < ends THEN
        RAISE '% is not covered by a settlement run', hashspot_day_name(parent, day) USING ERRCODE = 'check_violation';
    END IF;
END $$;

-- Drops a day; false if it is not there.
CREATE FUNCTION hashspot_drop_day(parent TEXT, day BIGINT) RETURNS BOOLEAN
    LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    PERFORM hashspot_check_settled(parent, day);
    IF day NOT IN (SELECT hashspot_days(parent)) THEN RETURN false; END IF;
    EXECUTE format('DROP TABLE %I', hashspot_day_name(parent, day));
    RETURN true;
END $$;

-- Deletes at most so many rows of days before `day` that strayed; how many it were.
CREATE FUNCTION hashspot_drop_strays(parent TEXT, day BIGINT, most BIGINT) RETURNS BIGINT
    LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    stray TEXT := parent || '_default';
    key   RECORD := hashspot_day_column(parent);
    gone  BIGINT;
BEGIN
    PERFORM hashspot_check_settled(parent, day - 1);
    EXECUTE format('DELETE FROM %I WHERE ctid = ANY (ARRAY(SELECT ctid FROM %I WHERE %I < $1 LIMIT $2))', stray, stray, key.name)
        USING day * key.width, most;
    GET DIAGNOSTICS gone = ROW_COUNT;
    RETURN gone;
END $$;

-- Today and some days around it, and all recent days that there are rows of.
DO $$
DECLARE
    today BIGINT := CURRENT_DATE - DATE '1970-01-01';
    day BIGINT;
BEGIN
    FOR day IN
        SELECT generate_series(today - 1, today + 3)
        UNION SELECT DISTINCT received_at / 86400000000 FROM old_shares
            WHERE received_at BETWEEN (today - 60) * 86400000000 AND (today + 3) * 86400000000
        UNION SELECT DISTINCT minute / 1440 FROM old_meter_slots WHERE minute BETWEEN (today - 430) * 1440 AND (today + 3) * 1440
    LOOP
        PERFORM hashspot_make_day('meter_slots', day);
        IF day >= today - 60 THEN
            PERFORM hashspot_make_day('shares', day);
            PERFORM hashspot_make_day('jobs', day);
        END IF;
    END LOOP;
END $$;

INSERT INTO shares SELECT * FROM old_shares;
INSERT INTO meter_slots SELECT * FROM old_meter_slots;
-- A job had no time: its last share's, or else the one in its header.
INSERT INTO jobs
SELECT j.edge, j.epoch, j.number, coalesce(s.at, j.ntime * 1000000), j.target, j.pool_job, j.coinbase_prefix,
       j.coinbase_suffix, j.branches, j.previous_hash, j.version, j.nbits, j.ntime
FROM old_jobs j LEFT JOIN (
    SELECT edge, epoch, job, max(received_at) AS at FROM old_shares GROUP BY edge, epoch, job
) s ON s.edge = j.edge AND s.epoch = j.epoch AND s.job = j.number;

DROP TABLE old_shares, old_jobs, old_meter_slots;

-- MARK: Books

-- What is booked stays as it was booked.
CREATE FUNCTION hashspot_refuse_change() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    RAISE '% is never changed', TG_TABLE_NAME USING ERRCODE = 'check_violation';
END $$;

CREATE TRIGGER keep_rows BEFORE UPDATE OR DELETE ON ledger_entries FOR EACH ROW EXECUTE FUNCTION hashspot_refuse_change();
CREATE TRIGGER keep_table BEFORE TRUNCATE ON ledger_entries EXECUTE FUNCTION hashspot_refuse_change();
CREATE TRIGGER keep_rows BEFORE UPDATE OR DELETE ON ledger_postings FOR EACH ROW EXECUTE FUNCTION hashspot_refuse_change();
CREATE TRIGGER keep_table BEFORE TRUNCATE ON ledger_postings EXECUTE FUNCTION hashspot_refuse_change();
CREATE TRIGGER keep_rows BEFORE UPDATE OR DELETE ON settlement_lines FOR EACH ROW EXECUTE FUNCTION hashspot_refuse_change();
CREATE TRIGGER keep_table BEFORE TRUNCATE ON settlement_lines EXECUTE FUNCTION hashspot_refuse_change();
CREATE TRIGGER keep_rows BEFORE UPDATE OR DELETE ON batches FOR EACH ROW EXECUTE FUNCTION hashspot_refuse_change();
CREATE TRIGGER keep_table BEFORE TRUNCATE ON batches EXECUTE FUNCTION hashspot_refuse_change();

-- At commit every new entry has postings, every new posting has an entry, and they sum to zero. Each statement notes which
-- entries it added to, and a deferred trigger on the notes checks a range of entries at once: with 1,000 entries of two
-- postings a commit takes 1.5 ms longer for each note, with a deferred trigger on each row it takes 21 ms longer, and the
-- foreign key, which this check contains, 7 ms.
ALTER TABLE ledger_postings DROP CONSTRAINT ledger_postings_entry_fkey;

-- Empty between transactions.
CREATE UNLOGGED TABLE ledger_unchecked (
    id    BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    first BIGINT NOT NULL,
    last  BIGINT NOT NULL
);

CREATE FUNCTION hashspot_note_entries() RETURNS TRIGGER LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    INSERT INTO ledger_unchecked (first, last) SELECT min(id), max(id) FROM added HAVING count(*) > 0;
    RETURN NULL;
END $$;

CREATE FUNCTION hashspot_note_postings() RETURNS TRIGGER LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    INSERT INTO ledger_unchecked (first, last) SELECT min(entry), max(entry) FROM added HAVING count(*) > 0;
    RETURN NULL;
END $$;

CREATE FUNCTION hashspot_check_entries() RETURNS TRIGGER
    LANGUAGE plpgsql SECURITY DEFINER SET enable_seqscan = off SET jit = off AS $$
DECLARE
    broken BIGINT;
BEGIN
    SELECT coalesce(e.id, p.entry) INTO broken
    FROM (SELECT id FROM ledger_entries WHERE id BETWEEN NEW.first AND NEW.last) e
    FULL JOIN (
        SELECT entry, sum(amount) AS total FROM ledger_postings WHERE entry BETWEEN NEW.first AND NEW.last GROUP BY entry
    ) p ON p.entry = e.id
    WHERE e.id IS NULL OR p.total IS DISTINCT FROM 0
    LIMIT 1;
    IF FOUND THEN
        RAISE 'the postings of ledger entry % do not sum to zero', broken USING ERRCODE = 'check_violation';
    END IF;
    DELETE FROM ledger_unchecked WHERE id = NEW.id;
    RETURN NULL;
END $$;

CREATE TRIGGER note_entries AFTER INSERT ON ledger_entries REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION hashspot_note_entries();
CREATE TRIGGER note_postings AFTER INSERT ON ledger_postings REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION hashspot_note_postings();
CREATE CONSTRAINT TRIGGER check_entries AFTER INSERT ON ledger_unchecked DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION hashspot_check_entries();

-- MARK: Views

-- NULL where no calendar reaches.
CREATE FUNCTION hashspot_time(microseconds BIGINT) RETURNS TIMESTAMPTZ LANGUAGE sql STABLE
    RETURN CASE WHEN microseconds BETWEEN 0 AND 253402300799999999
        THEN TIMESTAMPTZ '1970-01-01 00:00:00+00' + microseconds * INTERVAL '1 microsecond' END;

CREATE FUNCTION hashspot_btc(satoshis BIGINT) RETURNS NUMERIC LANGUAGE sql IMMUTABLE
    RETURN CAST(satoshis * 0.00000001 AS NUMERIC(24, 8));

-- 10^15 hashes per second.
CREATE FUNCTION hashspot_phs(hashes_per_second NUMERIC) RETURNS NUMERIC LANGUAGE sql IMMUTABLE
    RETURN CAST(hashes_per_second * 0.000000000000001 AS NUMERIC(30, 9));

-- 10^18 hashes, from work units of 65,536 hashes.
CREATE FUNCTION hashspot_exahashes(work BIGINT) RETURNS NUMERIC LANGUAGE sql IMMUTABLE
    RETURN CAST(work * 0.000000000000065536 AS NUMERIC(30, 9));

-- `security_invoker`: who reads a view sees the rows that the tables show to that role.
CREATE VIEW report_orders WITH (security_invoker = true) AS
SELECT o.id, o.account, a.name AS account_name, o.client_order_id,
       CASE o.side WHEN 0 THEN 'bid' ELSE 'ask' END AS side,
       CASE o.status WHEN 0 THEN 'active' WHEN 1 THEN 'suspended' ELSE 'closed' END AS status,
       CASE o.status * 10 + o.reason
           WHEN 11 THEN 'rig offline' WHEN 12 THEN 'rig unmeasured' WHEN 13 THEN 'insufficient funds'
           WHEN 14 THEN 'pools unusable' WHEN 15 THEN 'outside schedule' WHEN 16 THEN 'no reference' WHEN 17 THEN 'rig busy'
           WHEN 21 THEN 'cancelled' WHEN 22 THEN 'immediate remainder' WHEN 23 THEN 'budget spent' WHEN 24 THEN 'self trade'
           WHEN 25 THEN 'expired' WHEN 26 THEN 'silence' WHEN 27 THEN 'left farm' END AS reason,
       CASE o.time_in_force WHEN 1 THEN 'till cancelled' WHEN 2 THEN 'immediate or cancel' WHEN 3 THEN 'till date'
           ELSE 'fill or kill' END AS time_in_force,
       hashspot_btc(o.price) AS price_btc, hashspot_btc(o.limit_price) AS limit_price_btc, o.lots, o.delivering,
       hashspot_btc(o.budget) AS budget_btc, hashspot_btc(o.spent) AS spent_btc, o.rig, o.farm, o.schedule,
       hashspot_time(o.placed_at) AS placed_at, hashspot_time(o.expires_at) AS expires_at
FROM orders o LEFT JOIN accounts a ON a.id = o.account;

CREATE VIEW report_deliveries WITH (security_invoker = true) AS
SELECT d.id, d.bid, d.ask, d.rig, r.stratum_user AS rig_name, d.buyer, b.name AS buyer_name, d.seller, s.name AS seller_name,
       d.lots, hashspot_phs(d.hashrate) AS phs,
       hashspot_btc(d.price) AS price_btc, hashspot_phs(d.price_unit) AS price_unit_phs,  -- BTC a day for so many PH/s
       d.tariff, d.seller_fee_ppm * 0.0001 AS seller_fee_percent, d.buyer_fee_ppm * 0.0001 AS buyer_fee_percent,
       hashspot_time(d.opened_at) AS opened_at, hashspot_time(d.expires_at) AS expires_at,
       hashspot_time(d.ended_at) AS ended_at,
       CASE WHEN d.ended_at IS NULL THEN 'running' WHEN d.live = 1 THEN 'ended' ELSE 'settled' END AS status,
       CASE d.end_cause WHEN 1 THEN 'term' WHEN 2 THEN 'bid closed' WHEN 3 THEN 'ask closed' WHEN 4 THEN 'rig away'
           WHEN 5 THEN 'under delivery' WHEN 6 THEN 'pools unusable' WHEN 7 THEN 'funds spent'
           WHEN 8 THEN 'ask paused' END AS end_cause,
       d.is_shortened = 1 AS is_shortened, hashspot_btc(d.hold) AS hold_btc, hashspot_btc(d.held) AS held_btc,
       hashspot_exahashes(d.settled_work) AS settled_exahashes, hashspot_btc(d.charged) AS charged_btc
FROM deliveries d
LEFT JOIN rigs r ON r.id = d.rig
LEFT JOIN accounts b ON b.id = d.buyer
LEFT JOIN accounts s ON s.id = d.seller;

CREATE VIEW report_settlement_lines WITH (security_invoker = true) AS
SELECT l.number, hashspot_time(l.at) AS settled_at, l.run, l.delivery, d.bid, d.ask, d.rig, d.buyer, d.seller,
       hashspot_btc(d.price) AS price_btc, hashspot_exahashes(l.work) AS exahashes, hashspot_btc(l.charge) AS charge_btc,
       hashspot_btc(l.buyer_fee) AS buyer_fee_btc, hashspot_btc(l.seller_fee) AS seller_fee_btc,
       hashspot_btc(l.charge + l.buyer_fee) AS buyer_pays_btc, hashspot_btc(l.charge - l.seller_fee) AS seller_gets_btc,
       hashspot_btc(l.from_hold) AS from_hold_btc, hashspot_btc(l.from_available) AS from_available_btc,
       hashspot_btc(l.from_loss) AS from_loss_btc
FROM settlement_lines l JOIN deliveries d ON d.id = l.delivery;

CREATE VIEW report_ledger_postings WITH (security_invoker = true) AS
SELECT p.entry, p.line, hashspot_time(e.at) AS booked_at,
       CASE e.kind WHEN 1 THEN 'deposit' WHEN 2 THEN 'hold' WHEN 3 THEN 'settlement' WHEN 4 THEN 'release' END AS entry_kind,
       e.reference,
       CASE p.account_kind WHEN 1 THEN 'available' WHEN 2 THEN 'held' WHEN 3 THEN 'custody' WHEN 4 THEN 'fees'
           WHEN 5 THEN 'loss' END AS account_kind,
       nullif(p.owner, 0) AS account, a.name AS account_name, p.amount AS satoshis, hashspot_btc(p.amount) AS amount_btc
FROM ledger_postings p
JOIN ledger_entries e ON e.id = p.entry
LEFT JOIN accounts a ON a.id = p.owner AND p.account_kind IN (1, 2);

-- For each delivery, or rig while unsold, and minute.
CREATE VIEW report_hashrate WITH (security_invoker = true) AS
SELECT nullif(m.delivery, 0) AS delivery, m.rig, hashspot_time(m.minute * 60000000) AS minute,
       hashspot_phs(m.valid_work * 65536.0 / 60) AS phs, hashspot_phs(m.billable_work * 65536.0 / 60) AS billable_phs,
       hashspot_phs(m.stale_work * 65536.0 / 60) AS stale_phs, m.valid_shares, m.stale_shares, m.duplicate_shares,
       m.low_difficulty_shares, m.invalid_shares, m.forwarded_shares, m.pool_accepted, m.pool_rejected, m.pool_unanswered
FROM meter_slots m
WHERE m.minute BETWEEN 0 AND 4223371679;

CREATE VIEW report_shares WITH (security_invoker = true) AS
SELECT s.edge, s.epoch, s.number, hashspot_time(s.received_at) AS received_at, s.rig, nullif(s.delivery, 0) AS delivery, s.job,
       CASE s.verdict WHEN 1 THEN 'valid' WHEN 2 THEN 'stale' WHEN 3 THEN 'duplicate' WHEN 4 THEN 'low difficulty'
           WHEN 5 THEN 'invalid' END AS verdict,
       s.difficulty, s.billable = 1 AS is_billable, s.forwarded = 1 AS is_forwarded,
       CASE s.pool_reply WHEN 1 THEN 'accepted' WHEN 2 THEN 'rejected' WHEN 3 THEN 'unanswered' END AS pool_reply, s.pool_error,
       encode(s.extranonce2, 'hex') AS extranonce2, s.ntime, s.nonce, s.version, encode(s.hash, 'hex') AS hash
FROM shares s;

-- MARK: Roles

-- Logins of people who may see one account: theirs counts, whatever `hashspot.account` says.
CREATE TABLE reporting_logins (
    login   TEXT PRIMARY KEY,
    account BIGINT NOT NULL
);

-- Whose rows a reader without other rights sees; NULL: nobody's.
CREATE FUNCTION hashspot_account() RETURNS BIGINT LANGUAGE sql STABLE SECURITY DEFINER AS $$
    SELECT coalesce(
        (SELECT account FROM reporting_logins WHERE login = session_user),
        CASE WHEN current_setting('hashspot.account', true) ~ '^[0-9]{1,18}$'
            THEN CAST(current_setting('hashspot.account', true) AS BIGINT) END)
$$;

ALTER TABLE accounts ENABLE ROW LEVEL SECURITY;
ALTER TABLE pool_targets ENABLE ROW LEVEL SECURITY;
ALTER TABLE rigs ENABLE ROW LEVEL SECURITY;
ALTER TABLE farms ENABLE ROW LEVEL SECURITY;
ALTER TABLE orders ENABLE ROW LEVEL SECURITY;
ALTER TABLE deliveries ENABLE ROW LEVEL SECURITY;
ALTER TABLE billings ENABLE ROW LEVEL SECURITY;
ALTER TABLE ledger_balances ENABLE ROW LEVEL SECURITY;
ALTER TABLE ledger_entries ENABLE ROW LEVEL SECURITY;
ALTER TABLE ledger_postings ENABLE ROW LEVEL SECURITY;
ALTER TABLE deposits ENABLE ROW LEVEL SECURITY;
ALTER TABLE settlement_lines ENABLE ROW LEVEL SECURITY;
ALTER TABLE meter_slots ENABLE ROW LEVEL SECURITY;
ALTER TABLE jobs ENABLE ROW LEVEL SECURITY;
ALTER TABLE shares ENABLE ROW LEVEL SECURITY;

-- Gives both roles, as far as they exist, what they may do. Can be called again, by the tables' owner.
CREATE FUNCTION hashspot_grant_roles() RETURNS VOID LANGUAGE plpgsql AS $$
DECLARE
    policy RECORD;
BEGIN
    IF to_regrole('hashspot_writer') IS NOT NULL THEN
        EXECUTE format('GRANT USAGE ON SCHEMA %I TO hashspot_writer', current_schema());
        GRANT SELECT, INSERT ON journal, ledger_entries, ledger_postings, settlement_lines, settlement_runs, edge_epochs, batches,
            jobs, shares TO hashspot_writer;
        GRANT SELECT, INSERT, UPDATE ON accounts, api_keys, market_state, pool_targets, rigs, farms, orders, deliveries, billings,
            ledger_balances, deposits, answers, silences, meter_slots, retention TO hashspot_writer;
        GRANT SELECT, UPDATE ON writer, projector TO hashspot_writer;
        GRANT UPDATE (pool_reply, pool_error) ON shares TO hashspot_writer;
        GRANT SELECT, INSERT, DELETE ON waiting_replies TO hashspot_writer;
        GRANT SELECT ON schema_migrations, shares_default, jobs_default, meter_slots_default TO hashspot_writer;
        GRANT EXECUTE ON FUNCTION hashspot_make_day, hashspot_drop_day, hashspot_drop_strays TO hashspot_writer;
    END IF;
    IF to_regrole('hashspot_reporting') IS NOT NULL THEN
        EXECUTE format('GRANT USAGE ON SCHEMA %I TO hashspot_reporting', current_schema());
        GRANT SELECT ON accounts, farms, orders, deliveries, billings, ledger_balances, ledger_entries, ledger_postings, deposits,
            settlement_lines, settlement_runs, meter_slots, jobs, shares TO hashspot_reporting;
        GRANT SELECT (id, owner, name, url, pool_user, status, extranonce2_size, version_mask, difficulty, failure)
            ON pool_targets TO hashspot_reporting;
        GRANT SELECT (id, owner, stratum_user, fallback, online, offline_since, edge, session, version_mask, last_session,
            measured, ask, farm) ON rigs TO hashspot_reporting;
        GRANT SELECT ON report_orders, report_deliveries, report_settlement_lines, report_ledger_postings, report_hashrate,
            report_shares TO hashspot_reporting;
        GRANT EXECUTE ON FUNCTION hashspot_account TO hashspot_reporting;
    END IF;
    FOR policy IN
        SELECT * FROM (VALUES
            ('accounts', 'id = (SELECT hashspot_account())'),
            ('pool_targets', 'owner = (SELECT hashspot_account())'),
            ('rigs', 'owner = (SELECT hashspot_account())'),
            ('farms', 'owner = (SELECT hashspot_account())'),
            ('orders', 'account = (SELECT hashspot_account())'),
            ('deliveries', '(SELECT hashspot_account()) IN (buyer, seller)'),
            ('billings', 'bid IN (SELECT id FROM orders) OR ask IN (SELECT id FROM orders)'),
            ('ledger_balances', 'kind IN (1, 2) AND owner = (SELECT hashspot_account())'),
            ('ledger_postings', 'account_kind IN (1, 2) AND owner = (SELECT hashspot_account())'),
            -- Tables in a policy are read under their own: what follows is about rows that are visible themselves.
            ('ledger_entries', 'EXISTS (SELECT FROM ledger_postings p WHERE p.entry = ledger_entries.id)'),
            ('deposits', 'account = (SELECT hashspot_account())'),
            ('settlement_lines', 'EXISTS (SELECT FROM deliveries d WHERE d.id = settlement_lines.delivery)'),
            ('meter_slots', 'delivery IN (SELECT id FROM deliveries) OR rig IN (SELECT id FROM rigs)'),
            ('shares', 'delivery IN (SELECT id FROM deliveries) OR rig IN (SELECT id FROM rigs)'),
            ('jobs', 'target IN (SELECT id FROM pool_targets)')
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

-- Roles belong to the whole server: others may have made them, or this user may not. docs/schema.md says what to do then.
DO $$
DECLARE
    name TEXT;
BEGIN
    FOREACH name IN ARRAY ARRAY['hashspot_reporting', 'hashspot_writer'] LOOP
        BEGIN
            IF to_regrole(name) IS NULL THEN EXECUTE format('CREATE ROLE %I NOLOGIN', name); END IF;
        EXCEPTION WHEN insufficient_privilege OR duplicate_object OR unique_violation THEN NULL;
        END;
    END LOOP;
END $$;

-- Functions with their owner's rights see this schema only, and are for those who are named.
DO $$
DECLARE
    name TEXT;
BEGIN
    FOREACH name IN ARRAY ARRAY[
        'hashspot_make_day', 'hashspot_drop_day', 'hashspot_drop_strays', 'hashspot_note_entries', 'hashspot_note_postings',
        'hashspot_check_entries', 'hashspot_account'
    ] LOOP
        EXECUTE format('ALTER FUNCTION %I SET search_path = %I, pg_temp', name, current_schema());
        EXECUTE format('REVOKE EXECUTE ON FUNCTION %I FROM PUBLIC', name);
    END LOOP;
END $$;

SELECT hashspot_grant_roles();
