-- Settlement: runs that say what they read, lines that name their interval and their reason, entries with a value date.

-- The time that an entry counts for: says its period. `at` is when it was booked.
ALTER TABLE ledger_entries ADD COLUMN value_at BIGINT;
ALTER TABLE ledger_entries ADD COLUMN booked_by BIGINT;         -- account of the person who asked for it; NULL: the market
ALTER TABLE ledger_entries ADD COLUMN reason TEXT;

ALTER TABLE ledger_entries DISABLE TRIGGER USER;
UPDATE ledger_entries SET value_at = at;
ALTER TABLE ledger_entries ENABLE TRIGGER USER;
ALTER TABLE ledger_entries ALTER COLUMN value_at SET NOT NULL;

CREATE INDEX ledger_entries_value ON ledger_entries (value_at);

DROP VIEW report_settlement_lines;
DROP VIEW report_ledger_postings;
DROP INDEX settlement_lines_delivery;
ALTER TABLE settlement_lines DISABLE TRIGGER USER;
ALTER TABLE settlement_lines RENAME TO old_settlement_lines;
ALTER TABLE old_settlement_lines RENAME CONSTRAINT settlement_lines_pkey TO old_settlement_lines_pkey;

CREATE TABLE settlement_lines (
    number         BIGINT PRIMARY KEY,          -- in journal order: command sequence x 1,000,000 + place
    delivery       BIGINT NOT NULL,
    run            BIGINT NOT NULL,
    chunk          BIGINT NOT NULL,
    at             BIGINT NOT NULL,             -- when it was booked
    value_at       BIGINT NOT NULL,             -- the time that it counts for: says its period
    code           INTEGER NOT NULL CHECK (code BETWEEN 1 AND 7),
        -- 1 delivery, 2 late, 3 pool fault, 4 over-delivery, 5 pool fault beyond its limit, 6 credit, 7 expired
    from_minute    BIGINT NOT NULL,             -- the interval whose work it bills: minutes since 1970, the end excluded
    to_minute      BIGINT NOT NULL,
    work           BIGINT NOT NULL,             -- taken back when negative; billed with codes 1 to 3 only
    charge         BIGINT NOT NULL,
    seller_fee     BIGINT NOT NULL,
    buyer_fee      BIGINT NOT NULL,
    from_hold      BIGINT NOT NULL CHECK (from_hold >= 0),
    from_available BIGINT NOT NULL,             -- negative: credited
    from_loss      BIGINT NOT NULL,             -- borne by the market; negative: it had borne it and need not any more
    seller_short   BIGINT NOT NULL,             -- of proceeds taken back, what the market bears; negative: gets back
    credit         BIGINT,                      -- number of the credit, code 6
    CHECK (from_hold + from_available + from_loss = charge + buyer_fee),
    CHECK (from_minute < to_minute),
    CHECK ((code = 6) = (credit IS NOT NULL)),
    CHECK (code BETWEEN 1 AND 3 OR code = 6 OR (charge = 0 AND seller_fee = 0 AND buyer_fee = 0)),
    CHECK (work >= 0 OR code BETWEEN 1 AND 3)
);

INSERT INTO settlement_lines
SELECT l.number, l.delivery, l.run, l.chunk, l.at, l.at, 1, l.at / 60000000, l.at / 60000000 + 1,
       l.work, l.charge, l.seller_fee, l.buyer_fee, l.from_hold, l.from_available, l.from_loss, 0, NULL
FROM old_settlement_lines l;

DROP TABLE old_settlement_lines;

CREATE INDEX settlement_lines_delivery ON settlement_lines (delivery, number);
CREATE INDEX settlement_lines_value ON settlement_lines (value_at, number);

CREATE TRIGGER keep_rows BEFORE UPDATE OR DELETE ON settlement_lines FOR EACH ROW EXECUTE FUNCTION hashspot_refuse_change();
CREATE TRIGGER keep_table BEFORE TRUNCATE ON settlement_lines EXECUTE FUNCTION hashspot_refuse_change();

-- Runs of settlement: what each read, with which program, and what came of it.
ALTER TABLE settlement_runs ADD COLUMN from_minute BIGINT;      -- its interval: minutes since 1970, the end excluded;
ALTER TABLE settlement_runs ADD COLUMN to_minute BIGINT;        -- NULL: all that was there
ALTER TABLE settlement_runs ADD COLUMN program TEXT;            -- version of the program, and of the rules
ALTER TABLE settlement_runs ADD COLUMN finished_at BIGINT;      -- NULL: it runs, or was broken off and is made up for
ALTER TABLE settlement_runs ADD COLUMN input_digest BYTEA;      -- SHA-256 of what it read, in order
ALTER TABLE settlement_runs ADD COLUMN deliveries BIGINT;       -- looked at
ALTER TABLE settlement_runs ADD COLUMN totals BIGINT;           -- submitted: those with something new
ALTER TABLE settlement_runs ADD COLUMN requested_by BIGINT;     -- NULL: by the clock
ALTER TABLE settlement_runs ADD COLUMN note TEXT;

CREATE INDEX settlement_runs_kind ON settlement_runs (kind, to_minute);

-- Which shares a batch holds: a bill's way back to them. NULL for batches from before, and without shares.
ALTER TABLE batches ADD COLUMN first_share BIGINT;
ALTER TABLE batches ADD COLUMN last_share BIGINT;
ALTER TABLE batches ADD COLUMN first_minute BIGINT;             -- of the earliest slot that it adds to

-- Slots that got work long after their minute: the next final or true-up run looks at their deliveries.
CREATE TABLE late_slots (
    delivery BIGINT NOT NULL,
    rig      BIGINT NOT NULL,
    minute   BIGINT NOT NULL,
    noted_at BIGINT NOT NULL,
    PRIMARY KEY (delivery, rig, minute)
);

-- Work that came after its slots had gone: charged to nobody, kept until somebody has taken note of it.
CREATE TABLE expired_work (
    edge            BIGINT NOT NULL,
    epoch           BIGINT NOT NULL,
    sequence        BIGINT NOT NULL,
    delivery        BIGINT NOT NULL,                            -- 0: unsold work
    rig             BIGINT NOT NULL,
    minute          BIGINT NOT NULL,
    valid_shares    BIGINT NOT NULL,
    valid_work      BIGINT NOT NULL,
    billable_work   BIGINT NOT NULL,
    applied_at      BIGINT NOT NULL,
    acknowledged_by BIGINT,
    acknowledged_at BIGINT,
    PRIMARY KEY (edge, epoch, sequence, delivery, rig, minute),
    CHECK ((acknowledged_by IS NULL) = (acknowledged_at IS NULL))
);

-- Billable work during a pool's faults that is settled; a part of settled_work.
ALTER TABLE deliveries ADD COLUMN settled_fault BIGINT NOT NULL DEFAULT 0 CHECK (settled_fault >= 0);
-- What the market bore: of the buyer's debits, and of proceeds that were taken back.
ALTER TABLE deliveries ADD COLUMN unpaid BIGINT NOT NULL DEFAULT 0 CHECK (unpaid >= 0);
ALTER TABLE deliveries ADD COLUMN unrecovered BIGINT NOT NULL DEFAULT 0 CHECK (unrecovered >= 0);

UPDATE deliveries
SET unpaid = (SELECT sum(l.from_loss) FROM settlement_lines l WHERE l.delivery = deliveries.id)
WHERE id IN (SELECT delivery FROM settlement_lines WHERE from_loss > 0);

-- Until when books are closed, and what keeps corrections from being made twice; binary as in the journal. NULL: nothing yet.
ALTER TABLE market_state ADD COLUMN books BYTEA;

-- Lines that take work back may round the other way than those that billed it: by less than a satoshi each.
DO $$
DECLARE
    old RECORD;
BEGIN
    FOR old IN
        SELECT c.conrelid::regclass AS relation, c.conname AS name FROM pg_constraint c
        WHERE c.contype = 'c' AND (
            c.conrelid = 'deliveries'::regclass AND pg_get_constraintdef(c.oid) LIKE '%charged >= 0%'
            OR c.conrelid = 'orders'::regclass AND pg_get_constraintdef(c.oid) LIKE '%spent >= 0%')
    LOOP
        EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I', old.relation, old.name);
    END LOOP;
END $$;

ALTER TABLE deliveries ADD CONSTRAINT deliveries_charged_known CHECK (charged >= -1000000);
ALTER TABLE orders ADD CONSTRAINT orders_spent_known CHECK (spent >= -1000000);

CREATE VIEW report_settlement_lines WITH (security_invoker = true) AS
SELECT l.number, hashspot_time(l.at) AS settled_at,
       hashspot_time(l.value_at) AS value_at, l.run,
       CASE l.code WHEN 1 THEN 'delivery' WHEN 2 THEN 'late' WHEN 3 THEN 'pool fault' WHEN 4 THEN 'over-delivery'
           WHEN 5 THEN 'pool fault beyond limit' WHEN 6 THEN 'credit' WHEN 7 THEN 'expired' END AS charge_code,
       hashspot_time(l.from_minute * 60000000) AS interval_from,
       hashspot_time(l.to_minute * 60000000) AS interval_to,
       l.delivery, d.bid, d.ask, d.rig, d.buyer, d.seller,
       hashspot_btc(d.price) AS price_btc, hashspot_exahashes(l.work) AS exahashes, hashspot_btc(l.charge) AS charge_btc,
       hashspot_btc(l.buyer_fee) AS buyer_fee_btc, hashspot_btc(l.seller_fee) AS seller_fee_btc,
       hashspot_btc(l.charge + l.buyer_fee) AS buyer_pays_btc, hashspot_btc(l.charge - l.seller_fee) AS seller_gets_btc,
       hashspot_btc(l.from_hold) AS from_hold_btc, hashspot_btc(l.from_available) AS from_available_btc,
       hashspot_btc(l.from_loss) AS from_loss_btc, hashspot_btc(l.seller_short) AS seller_short_btc
FROM settlement_lines l JOIN deliveries d ON d.id = l.delivery;

CREATE VIEW report_ledger_postings WITH (security_invoker = true) AS
SELECT p.entry, p.line, hashspot_time(e.at) AS booked_at,
       hashspot_time(e.value_at) AS value_at,
       CASE e.kind WHEN 1 THEN 'deposit' WHEN 2 THEN 'hold' WHEN 3 THEN 'settlement' WHEN 4 THEN 'release'
           WHEN 5 THEN 'deposit recorded' WHEN 6 THEN 'deposit approved' WHEN 7 THEN 'deposit returned'
           WHEN 8 THEN 'withdrawal requested' WHEN 9 THEN 'withdrawal paid' WHEN 10 THEN 'withdrawal returned'
           WHEN 11 THEN 'adjustment' WHEN 12 THEN 'reversal' WHEN 13 THEN 'credit' END AS entry_kind,
       e.reference,
       CASE p.account_kind WHEN 1 THEN 'available' WHEN 2 THEN 'held' WHEN 3 THEN 'custody' WHEN 4 THEN 'fees'
           WHEN 5 THEN 'loss' WHEN 6 THEN 'suspense' WHEN 7 THEN 'leaving' END AS account_kind,
       nullif(p.owner, 0) AS account, a.name AS account_name, p.amount AS satoshis, hashspot_btc(p.amount) AS amount_btc
FROM ledger_postings p
JOIN ledger_entries e ON e.id = p.entry
LEFT JOIN accounts a ON a.id = p.owner AND p.account_kind IN (1, 2, 7);

ALTER TABLE settlement_lines ENABLE ROW LEVEL SECURITY;
ALTER TABLE late_slots ENABLE ROW LEVEL SECURITY;
ALTER TABLE expired_work ENABLE ROW LEVEL SECURITY;

-- What the roles may do with these tables, beside all that they might before.
ALTER FUNCTION hashspot_grant_roles() RENAME TO hashspot_grant_roles_before_settlement;

CREATE FUNCTION hashspot_grant_roles() RETURNS VOID LANGUAGE plpgsql AS $$
DECLARE
    relation TEXT;
BEGIN
    PERFORM hashspot_grant_roles_before_settlement();
    IF to_regrole('hashspot_writer') IS NOT NULL THEN
        GRANT SELECT, INSERT, UPDATE, DELETE ON late_slots TO hashspot_writer;
        GRANT SELECT, INSERT, UPDATE ON expired_work, settlement_runs TO hashspot_writer;
    END IF;
    IF to_regrole('hashspot_edge') IS NOT NULL THEN
        GRANT SELECT, INSERT, UPDATE ON late_slots TO hashspot_edge;
        GRANT SELECT, INSERT ON expired_work TO hashspot_edge;
        GRANT SELECT ON retention TO hashspot_edge;
    END IF;
    FOREACH relation IN ARRAY ARRAY['late_slots', 'expired_work'] LOOP
        IF to_regrole('hashspot_writer') IS NOT NULL THEN
            EXECUTE format('DROP POLICY IF EXISTS writer ON %I', relation);
            EXECUTE format('CREATE POLICY writer ON %I TO hashspot_writer USING (true) WITH CHECK (true)', relation);
        END IF;
        IF to_regrole('hashspot_edge') IS NOT NULL THEN
            EXECUTE format('DROP POLICY IF EXISTS edge ON %I', relation);
            EXECUTE format('CREATE POLICY edge ON %I TO hashspot_edge USING (true) WITH CHECK (true)', relation);
        END IF;
    END LOOP;
END $$;

SELECT hashspot_grant_roles();
