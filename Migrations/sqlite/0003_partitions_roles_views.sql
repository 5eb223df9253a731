-- What metering keeps and for how long, books that cannot be rewritten, views for people. SQLite has neither partitions nor
-- roles: old rows are deleted a few at a time. A later migration that makes a table anew drops the views on it first.

-- From when on everything is there that was metered; what is older may have been deleted. Microseconds.
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

-- About when its batch was sealed: jobs are kept some days longer than shares. A job had no time: its last share's, or else
-- the one in its header.
ALTER TABLE jobs ADD COLUMN sealed_at BIGINT NOT NULL DEFAULT 0;

CREATE TEMPORARY TABLE job_times AS
SELECT edge, epoch, job, max(received_at) AS at FROM shares GROUP BY edge, epoch, job;
CREATE UNIQUE INDEX job_times_key ON job_times (edge, epoch, job);

UPDATE jobs SET sealed_at = coalesce(
    (SELECT t.at FROM job_times t WHERE t.edge = jobs.edge AND t.epoch = jobs.epoch AND t.job = jobs.number),
    ntime * 1000000);

DROP TABLE job_times;

-- Shares in this slot whose rows were not kept.
ALTER TABLE meter_slots ADD COLUMN unlogged_shares BIGINT NOT NULL DEFAULT 0;

-- What is booked stays as it was booked.
CREATE TRIGGER ledger_entries_not_changed BEFORE UPDATE ON ledger_entries
BEGIN SELECT RAISE(ABORT, 'ledger_entries is never changed'); END;
CREATE TRIGGER ledger_entries_not_deleted BEFORE DELETE ON ledger_entries
BEGIN SELECT RAISE(ABORT, 'ledger_entries is never changed'); END;
CREATE TRIGGER ledger_postings_not_changed BEFORE UPDATE ON ledger_postings
BEGIN SELECT RAISE(ABORT, 'ledger_postings is never changed'); END;
CREATE TRIGGER ledger_postings_not_deleted BEFORE DELETE ON ledger_postings
BEGIN SELECT RAISE(ABORT, 'ledger_postings is never changed'); END;
CREATE TRIGGER settlement_lines_not_changed BEFORE UPDATE ON settlement_lines
BEGIN SELECT RAISE(ABORT, 'settlement_lines is never changed'); END;
CREATE TRIGGER settlement_lines_not_deleted BEFORE DELETE ON settlement_lines
BEGIN SELECT RAISE(ABORT, 'settlement_lines is never changed'); END;
CREATE TRIGGER batches_not_changed BEFORE UPDATE ON batches
BEGIN SELECT RAISE(ABORT, 'batches is never changed'); END;
CREATE TRIGGER batches_not_deleted BEFORE DELETE ON batches
BEGIN SELECT RAISE(ABORT, 'batches is never changed'); END;

-- As on Postgres, but times are ISO 8601 text in milliseconds, and amounts floating point.
CREATE VIEW report_orders AS
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
       o.price / 1e8 AS price_btc, o.limit_price / 1e8 AS limit_price_btc, o.lots, o.delivering,
       o.budget / 1e8 AS budget_btc, o.spent / 1e8 AS spent_btc, o.rig, o.farm, o.schedule,
       strftime('%Y-%m-%dT%H:%M:%S', o.placed_at / 1000000, 'unixepoch') || printf('.%03dZ', o.placed_at / 1000 % 1000) AS placed_at,
       strftime('%Y-%m-%dT%H:%M:%S', o.expires_at / 1000000, 'unixepoch') || printf('.%03dZ', o.expires_at / 1000 % 1000) AS expires_at
FROM orders o LEFT JOIN accounts a ON a.id = o.account;

CREATE VIEW report_deliveries AS
SELECT d.id, d.bid, d.ask, d.rig, r.stratum_user AS rig_name, d.buyer, b.name AS buyer_name, d.seller, s.name AS seller_name,
       d.lots, d.hashrate / 1e15 AS phs,
       d.price / 1e8 AS price_btc, d.price_unit / 1e15 AS price_unit_phs,  -- BTC a day for so many PH/s
       d.tariff, d.seller_fee_ppm / 10000.0 AS seller_fee_percent, d.buyer_fee_ppm / 10000.0 AS buyer_fee_percent,
       strftime('%Y-%m-%dT%H:%M:%S', d.opened_at / 1000000, 'unixepoch') || printf('.%03dZ', d.opened_at / 1000 % 1000) AS opened_at,
       strftime('%Y-%m-%dT%H:%M:%S', d.expires_at / 1000000, 'unixepoch') || printf('.%03dZ', d.expires_at / 1000 % 1000) AS expires_at,
       strftime('%Y-%m-%dT%H:%M:%S', d.ended_at / 1000000, 'unixepoch') || printf('.%03dZ', d.ended_at / 1000 % 1000) AS ended_at,
       CASE WHEN d.ended_at IS NULL THEN 'running' WHEN d.live = 1 THEN 'ended' ELSE 'settled' END AS status,
       CASE d.end_cause WHEN 1 THEN 'term' WHEN 2 THEN 'bid closed' WHEN 3 THEN 'ask closed' WHEN 4 THEN 'rig away'
           WHEN 5 THEN 'under delivery' WHEN 6 THEN 'pools unusable' WHEN 7 THEN 'funds spent'
           WHEN 8 THEN 'ask paused' END AS end_cause,
       d.is_shortened = 1 AS is_shortened, d.hold / 1e8 AS hold_btc, d.held / 1e8 AS held_btc,
       d.settled_work * 65536.0 / 1e18 AS settled_exahashes, d.charged / 1e8 AS charged_btc
FROM deliveries d
LEFT JOIN rigs r ON r.id = d.rig
LEFT JOIN accounts b ON b.id = d.buyer
LEFT JOIN accounts s ON s.id = d.seller;

CREATE VIEW report_settlement_lines AS
SELECT l.number, strftime('%Y-%m-%dT%H:%M:%S', l.at / 1000000, 'unixepoch')
           || printf('.%03dZ', l.at / 1000 % 1000) AS settled_at, l.run, l.delivery, d.bid, d.ask,
       d.rig, d.buyer, d.seller,
       d.price / 1e8 AS price_btc, l.work * 65536.0 / 1e18 AS exahashes, l.charge / 1e8 AS charge_btc,
       l.buyer_fee / 1e8 AS buyer_fee_btc, l.seller_fee / 1e8 AS seller_fee_btc,
       (l.charge + l.buyer_fee) / 1e8 AS buyer_pays_btc, (l.charge - l.seller_fee) / 1e8 AS seller_gets_btc,
       l.from_hold / 1e8 AS from_hold_btc, l.from_available / 1e8 AS from_available_btc,
       l.from_loss / 1e8 AS from_loss_btc
FROM settlement_lines l JOIN deliveries d ON d.id = l.delivery;

CREATE VIEW report_ledger_postings AS
SELECT p.entry, p.line, strftime('%Y-%m-%dT%H:%M:%S', e.at / 1000000, 'unixepoch') || printf('.%03dZ', e.at / 1000 % 1000) AS booked_at,
       CASE e.kind WHEN 1 THEN 'deposit' WHEN 2 THEN 'hold' WHEN 3 THEN 'settlement' WHEN 4 THEN 'release' END AS entry_kind,
       e.reference,
       CASE p.account_kind WHEN 1 THEN 'available' WHEN 2 THEN 'held' WHEN 3 THEN 'custody' WHEN 4 THEN 'fees'
           WHEN 5 THEN 'loss' END AS account_kind,
       nullif(p.owner, 0) AS account, a.name AS account_name, p.amount AS satoshis, p.amount / 1e8 AS amount_btc
FROM ledger_postings p
JOIN ledger_entries e ON e.id = p.entry
LEFT JOIN accounts a ON a.id = p.owner AND p.account_kind IN (1, 2);

-- For each delivery, or rig while unsold, and minute.
CREATE VIEW report_hashrate AS
SELECT nullif(m.delivery, 0) AS delivery, m.rig, strftime('%Y-%m-%dT%H:%M:%fZ', m.minute * 60, 'unixepoch') AS minute,
       m.valid_work * 65536.0 / 60 / 1e15 AS phs, m.billable_work * 65536.0 / 60 / 1e15 AS billable_phs,
       m.stale_work * 65536.0 / 60 / 1e15 AS stale_phs, m.valid_shares, m.stale_shares, m.duplicate_shares,
       m.low_difficulty_shares, m.invalid_shares, m.forwarded_shares, m.pool_accepted, m.pool_rejected, m.pool_unanswered
FROM meter_slots m
WHERE m.minute BETWEEN 0 AND 4223371679;

CREATE VIEW report_shares AS
SELECT s.edge, s.epoch, s.number, strftime('%Y-%m-%dT%H:%M:%S', s.received_at / 1000000, 'unixepoch')
           || printf('.%03dZ', s.received_at / 1000 % 1000) AS received_at, s.rig,
       nullif(s.delivery, 0) AS delivery, s.job,
       CASE s.verdict WHEN 1 THEN 'valid' WHEN 2 THEN 'stale' WHEN 3 THEN 'duplicate' WHEN 4 THEN 'low difficulty'
           WHEN 5 THEN 'invalid' END AS verdict,
       s.difficulty, s.billable = 1 AS is_billable, s.forwarded = 1 AS is_forwarded,
       CASE s.pool_reply WHEN 1 THEN 'accepted' WHEN 2 THEN 'rejected' WHEN 3 THEN 'unanswered' END AS pool_reply, s.pool_error,
       lower(hex(s.extranonce2)) AS extranonce2, s.ntime, s.nonce, s.version, lower(hex(s.hash)) AS hash
FROM shares s;
