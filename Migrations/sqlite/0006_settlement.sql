-- Settlement: runs that say what they read, lines that name their interval and their reason, entries with a value date.

-- The time that an entry counts for: says its period. `at` is when it was booked.
ALTER TABLE ledger_entries ADD COLUMN value_at BIGINT NOT NULL DEFAULT 0;
ALTER TABLE ledger_entries ADD COLUMN booked_by BIGINT;         -- account of the person who asked for it; NULL: the market
ALTER TABLE ledger_entries ADD COLUMN reason TEXT;

DROP TRIGGER ledger_entries_not_changed;
UPDATE ledger_entries SET value_at = at;
CREATE TRIGGER ledger_entries_not_changed BEFORE UPDATE ON ledger_entries
BEGIN SELECT RAISE(ABORT, 'ledger_entries is never changed'); END;

CREATE INDEX ledger_entries_value ON ledger_entries (value_at);

DROP VIEW report_settlement_lines;
DROP VIEW report_ledger_postings;
DROP TRIGGER settlement_lines_not_changed;
DROP TRIGGER settlement_lines_not_deleted;
DROP INDEX settlement_lines_delivery;
ALTER TABLE settlement_lines RENAME TO old_settlement_lines;

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

CREATE TRIGGER settlement_lines_not_changed BEFORE UPDATE ON settlement_lines
BEGIN SELECT RAISE(ABORT, 'settlement_lines is never changed'); END;
CREATE TRIGGER settlement_lines_not_deleted BEFORE DELETE ON settlement_lines
BEGIN SELECT RAISE(ABORT, 'settlement_lines is never changed'); END;

-- Runs of settlement: what each read, with which program, and what came of it.
ALTER TABLE settlement_runs ADD COLUMN from_minute BIGINT;      -- its interval: minutes since 1970, the end excluded;
ALTER TABLE settlement_runs ADD COLUMN to_minute BIGINT;        -- NULL: all that was there
ALTER TABLE settlement_runs ADD COLUMN program TEXT;            -- version of the program, and of the rules
ALTER TABLE settlement_runs ADD COLUMN finished_at BIGINT;      -- NULL: it runs, or was broken off and is made up for
ALTER TABLE settlement_runs ADD COLUMN input_digest BLOB;       -- SHA-256 of what it read, in order
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
ALTER TABLE market_state ADD COLUMN books BLOB;

-- Lines that take work back may round the other way than those that billed it: by less than a satoshi each.
PRAGMA writable_schema = ON;

UPDATE sqlite_master SET sql = replace(sql, 'CHECK (charged >= 0)', 'CHECK (charged >= -1000000)')
WHERE type = 'table' AND name = 'deliveries';

UPDATE sqlite_master SET sql = replace(sql, 'CHECK (spent >= 0)', 'CHECK (spent >= -1000000)')
WHERE type = 'table' AND name = 'orders';

PRAGMA writable_schema = RESET;

CREATE VIEW report_settlement_lines AS
SELECT l.number, strftime('%Y-%m-%dT%H:%M:%S', l.at / 1000000, 'unixepoch')
           || printf('.%03dZ', l.at / 1000 % 1000) AS settled_at,
       strftime('%Y-%m-%dT%H:%M:%S', l.value_at / 1000000, 'unixepoch')
           || printf('.%03dZ', l.value_at / 1000 % 1000) AS value_at, l.run,
       CASE l.code WHEN 1 THEN 'delivery' WHEN 2 THEN 'late' WHEN 3 THEN 'pool fault' WHEN 4 THEN 'over-delivery'
           WHEN 5 THEN 'pool fault beyond limit' WHEN 6 THEN 'credit' WHEN 7 THEN 'expired' END AS charge_code,
       strftime('%Y-%m-%dT%H:%MZ', l.from_minute * 60, 'unixepoch') AS interval_from,
       strftime('%Y-%m-%dT%H:%MZ', l.to_minute * 60, 'unixepoch') AS interval_to,
       l.delivery, d.bid, d.ask, d.rig, d.buyer, d.seller,
       d.price / 1e8 AS price_btc, l.work * 65536.0 / 1e18 AS exahashes, l.charge / 1e8 AS charge_btc,
       l.buyer_fee / 1e8 AS buyer_fee_btc, l.seller_fee / 1e8 AS seller_fee_btc,
       (l.charge + l.buyer_fee) / 1e8 AS buyer_pays_btc, (l.charge - l.seller_fee) / 1e8 AS seller_gets_btc,
       l.from_hold / 1e8 AS from_hold_btc, l.from_available / 1e8 AS from_available_btc,
       l.from_loss / 1e8 AS from_loss_btc, l.seller_short / 1e8 AS seller_short_btc
FROM settlement_lines l JOIN deliveries d ON d.id = l.delivery;

CREATE VIEW report_ledger_postings AS
SELECT p.entry, p.line, strftime('%Y-%m-%dT%H:%M:%S', e.at / 1000000, 'unixepoch')
           || printf('.%03dZ', e.at / 1000 % 1000) AS booked_at,
       strftime('%Y-%m-%dT%H:%M:%S', e.value_at / 1000000, 'unixepoch')
           || printf('.%03dZ', e.value_at / 1000 % 1000) AS value_at,
       CASE e.kind WHEN 1 THEN 'deposit' WHEN 2 THEN 'hold' WHEN 3 THEN 'settlement' WHEN 4 THEN 'release'
           WHEN 5 THEN 'deposit recorded' WHEN 6 THEN 'deposit approved' WHEN 7 THEN 'deposit returned'
           WHEN 8 THEN 'withdrawal requested' WHEN 9 THEN 'withdrawal paid' WHEN 10 THEN 'withdrawal returned'
           WHEN 11 THEN 'adjustment' WHEN 12 THEN 'reversal' WHEN 13 THEN 'credit' END AS entry_kind,
       e.reference,
       CASE p.account_kind WHEN 1 THEN 'available' WHEN 2 THEN 'held' WHEN 3 THEN 'custody' WHEN 4 THEN 'fees'
           WHEN 5 THEN 'loss' WHEN 6 THEN 'suspense' WHEN 7 THEN 'leaving' END AS account_kind,
       nullif(p.owner, 0) AS account, a.name AS account_name, p.amount AS satoshis, p.amount / 1e8 AS amount_btc
FROM ledger_postings p
JOIN ledger_entries e ON e.id = p.entry
LEFT JOIN accounts a ON a.id = p.owner AND p.account_kind IN (1, 2, 7);
