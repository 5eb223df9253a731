-- Treasury: transfers with two-person approval, frozen accounts, the ledger's hash chain, balances at period ends.

-- Funds on their way out are never below zero either. SQLite cannot change a CHECK: its text is changed in place.
PRAGMA writable_schema = ON;

UPDATE sqlite_master SET sql = replace(sql, 'kind NOT IN (1, 2, 4) OR', 'kind NOT IN (1, 2, 4, 7) OR')
WHERE type = 'table' AND name = 'ledger_balances';

-- Orders may be closed because their account was frozen.
UPDATE sqlite_master SET sql = replace(sql, 'status <> 2 OR reason BETWEEN 1 AND 7', 'status <> 2 OR reason BETWEEN 1 AND 8')
WHERE type = 'table' AND name = 'orders';

PRAGMA writable_schema = RESET;

-- Money that comes in, goes out or is moved by people. All of them; those with live = 1 are not at their end.
CREATE TABLE transfers (
    id            BIGINT PRIMARY KEY,
    kind          INTEGER NOT NULL CHECK (kind BETWEEN 1 AND 4),    -- 1 deposit, 2 withdrawal, 3 adjustment, 4 reversal
    status        INTEGER NOT NULL CHECK (status BETWEEN 1 AND 5),
        -- 1 pending, 2 approved (withdrawals, until they are paid), 3 completed, 4 rejected, 5 cancelled
    account       BIGINT,                       -- whose money; NULL: a deposit nobody knows yet, adjustments and reversals
    amount        BIGINT NOT NULL CHECK (amount > 0),   -- satoshis; of adjustments and reversals the sum of what is credited
    reference     TEXT,                         -- the payment's own name: a deposit's from the beginning, a withdrawal's once it is paid
    destination   TEXT,                         -- of a withdrawal
    postings      BLOB,                        -- of adjustments and reversals, binary as in the journal
    reverses      BIGINT,                       -- the ledger entry that a reversal takes back
    reason        TEXT,                         -- of adjustments and reversals
    note          TEXT,                         -- why it was rejected
    requested_by  BIGINT NOT NULL,
    requested_at  BIGINT NOT NULL,
    decided_by    BIGINT,                       -- who approved, rejected or cancelled it
    decided_at    BIGINT,
    completed_by  BIGINT,                       -- who says that a withdrawal was paid
    completed_at  BIGINT,
    entry         BIGINT,                       -- the last ledger entry that it led to
    live          INTEGER NOT NULL CHECK (live IN (0, 1)),
    CHECK ((kind = 4) = (reverses IS NOT NULL)),
    CHECK (kind <> 2 OR (account IS NOT NULL AND destination IS NOT NULL)),
    CHECK ((kind IN (1, 2)) = (postings IS NULL)),
    CHECK ((decided_by IS NULL) = (decided_at IS NULL)),
    CHECK ((completed_by IS NULL) = (completed_at IS NULL)),
    CHECK (decided_by IS NULL OR status NOT IN (2, 3) OR decided_by <> requested_by)
);

CREATE INDEX transfers_account ON transfers (account, id);
CREATE INDEX transfers_live ON transfers (live, id) WHERE live = 1;

-- What can be booked once only: those with live = 1.
CREATE TABLE payment_references (
    kind      INTEGER NOT NULL CHECK (kind BETWEEN 1 AND 3),        -- 1 deposit, 2 payment of a withdrawal, 3 reversal of an entry
    reference TEXT NOT NULL,
    transfer  BIGINT NOT NULL,
    live      INTEGER NOT NULL CHECK (live IN (0, 1)),
    PRIMARY KEY (kind, reference)
);

-- Accounts that may not trade and take nothing out: those with live = 1.
CREATE TABLE account_freezes (
    account   BIGINT PRIMARY KEY,
    frozen_by BIGINT NOT NULL,
    frozen_at BIGINT NOT NULL,
    reason    TEXT NOT NULL,
    live      INTEGER NOT NULL CHECK (live IN (0, 1))
);

-- The treasury's counters, binary as in the journal. NULL: nothing yet.
ALTER TABLE market_state ADD COLUMN treasury BLOB;

-- SHA-256 over the previous entry's hash and the entry with its postings; docs/schema.md has the bytes.
CREATE TABLE ledger_chain (
    entry BIGINT PRIMARY KEY,
    hash  BLOB NOT NULL CHECK (length(hash) = 32)
);

CREATE TRIGGER ledger_chain_not_changed BEFORE UPDATE ON ledger_chain
BEGIN SELECT RAISE(ABORT, 'ledger_chain is never changed'); END;
CREATE TRIGGER ledger_chain_not_deleted BEFORE DELETE ON ledger_chain
BEGIN SELECT RAISE(ABORT, 'ledger_chain is never changed'); END;

-- Balances at the ends of closed periods, so that those of any time are a short sum. They derive from the ledger.
CREATE TABLE balance_snapshots (
    basis   INTEGER NOT NULL CHECK (basis IN (1, 2)),   -- by value date, or by the time of booking
    until   BIGINT NOT NULL,                    -- entries up to this time count, it included
    kind    INTEGER NOT NULL,                   -- of the ledger account
    owner   BIGINT NOT NULL,
    balance BIGINT NOT NULL,
    PRIMARY KEY (basis, until, kind, owner)
);

CREATE INDEX ledger_entries_at ON ledger_entries (at, id);
CREATE INDEX ledger_entries_corrections ON ledger_entries (id) WHERE kind IN (11, 12);

DROP VIEW report_orders;

CREATE VIEW report_orders AS
SELECT o.id, o.account, a.name AS account_name, o.client_order_id,
       CASE o.side WHEN 0 THEN 'bid' ELSE 'ask' END AS side,
       CASE o.status WHEN 0 THEN 'active' WHEN 1 THEN 'suspended' ELSE 'closed' END AS status,
       CASE o.status * 10 + o.reason
           WHEN 11 THEN 'rig offline' WHEN 12 THEN 'rig unmeasured' WHEN 13 THEN 'insufficient funds'
           WHEN 14 THEN 'pools unusable' WHEN 15 THEN 'outside schedule' WHEN 16 THEN 'no reference' WHEN 17 THEN 'rig busy'
           WHEN 18 THEN 'curtailed'
           WHEN 21 THEN 'cancelled' WHEN 22 THEN 'immediate remainder' WHEN 23 THEN 'budget spent' WHEN 24 THEN 'self trade'
           WHEN 25 THEN 'expired' WHEN 26 THEN 'silence' WHEN 27 THEN 'left farm' WHEN 28 THEN 'account frozen' END AS reason,
       CASE o.time_in_force WHEN 1 THEN 'till cancelled' WHEN 2 THEN 'immediate or cancel' WHEN 3 THEN 'till date'
           ELSE 'fill or kill' END AS time_in_force,
       o.price / 1e8 AS price_btc, o.limit_price / 1e8 AS limit_price_btc, o.lots, o.delivering,
       o.budget / 1e8 AS budget_btc, o.spent / 1e8 AS spent_btc, o.rig, o.farm, o.schedule,
       strftime('%Y-%m-%dT%H:%M:%S', o.placed_at / 1000000, 'unixepoch') || printf('.%03dZ', o.placed_at / 1000 % 1000) AS placed_at,
       strftime('%Y-%m-%dT%H:%M:%S', o.expires_at / 1000000, 'unixepoch') || printf('.%03dZ', o.expires_at / 1000 % 1000) AS expires_at
FROM orders o LEFT JOIN accounts a ON a.id = o.account;

CREATE VIEW report_transfers AS
SELECT t.id, CASE t.kind WHEN 1 THEN 'deposit' WHEN 2 THEN 'withdrawal' WHEN 3 THEN 'adjustment' ELSE 'reversal' END AS kind,
       CASE t.status WHEN 1 THEN 'pending' WHEN 2 THEN 'approved' WHEN 3 THEN 'completed' WHEN 4 THEN 'rejected'
           ELSE 'cancelled' END AS status,
       t.account, a.name AS account_name, t.amount AS satoshis, t.amount / 1e8 AS amount_btc,
       t.reference, t.destination, t.reverses, t.reason, t.note,
       t.requested_by, strftime('%Y-%m-%dT%H:%M:%S', t.requested_at / 1000000, 'unixepoch') || printf('.%03dZ', t.requested_at / 1000 % 1000) AS requested_at,
       t.decided_by, strftime('%Y-%m-%dT%H:%M:%S', t.decided_at / 1000000, 'unixepoch') || printf('.%03dZ', t.decided_at / 1000 % 1000) AS decided_at,
       t.completed_by, strftime('%Y-%m-%dT%H:%M:%S', t.completed_at / 1000000, 'unixepoch') || printf('.%03dZ', t.completed_at / 1000 % 1000) AS completed_at, t.entry
FROM transfers t LEFT JOIN accounts a ON a.id = t.account;
