-- Treasury: transfers with two-person approval, frozen accounts, the ledger's hash chain, balances at period ends.

-- Funds on their way out are never below zero either. The check has no name of ours.
DO $$
DECLARE
    old RECORD;
BEGIN
    FOR old IN
        SELECT c.conname AS name FROM pg_constraint c
        WHERE c.contype = 'c' AND c.conrelid = 'ledger_balances'::regclass AND pg_get_constraintdef(c.oid) LIKE '%balance >= 0%'
    LOOP
        EXECUTE format('ALTER TABLE ledger_balances DROP CONSTRAINT %I', old.name);
    END LOOP;
END $$;

ALTER TABLE ledger_balances ADD CONSTRAINT ledger_balances_check CHECK (kind NOT IN (1, 2, 4, 7) OR balance >= 0);

-- Orders may be closed because their account was frozen.
DO $$
DECLARE
    old RECORD;
BEGIN
    FOR old IN
        SELECT c.conname AS name FROM pg_constraint c
        WHERE c.contype = 'c' AND c.conrelid = 'orders'::regclass AND pg_get_constraintdef(c.oid) LIKE '%status <> 2%reason%'
    LOOP
        EXECUTE format('ALTER TABLE orders DROP CONSTRAINT %I', old.name);
    END LOOP;
END $$;

ALTER TABLE orders ADD CONSTRAINT orders_close_known CHECK (status <> 2 OR reason BETWEEN 1 AND 8);

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
    postings      BYTEA,                        -- of adjustments and reversals, binary as in the journal
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
ALTER TABLE market_state ADD COLUMN treasury BYTEA;

-- SHA-256 over the previous entry's hash and the entry with its postings; docs/schema.md has the bytes.
CREATE TABLE ledger_chain (
    entry BIGINT PRIMARY KEY,
    hash  BYTEA NOT NULL CHECK (length(hash) = 32)
);

CREATE TRIGGER keep_rows BEFORE UPDATE OR DELETE ON ledger_chain FOR EACH ROW EXECUTE FUNCTION hashspot_refuse_change();
CREATE TRIGGER keep_table BEFORE TRUNCATE ON ledger_chain EXECUTE FUNCTION hashspot_refuse_change();

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

CREATE OR REPLACE VIEW report_orders WITH (security_invoker = true) AS
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
       hashspot_btc(o.price) AS price_btc, hashspot_btc(o.limit_price) AS limit_price_btc, o.lots, o.delivering,
       hashspot_btc(o.budget) AS budget_btc, hashspot_btc(o.spent) AS spent_btc, o.rig, o.farm, o.schedule,
       hashspot_time(o.placed_at) AS placed_at,
       hashspot_time(o.expires_at) AS expires_at
FROM orders o LEFT JOIN accounts a ON a.id = o.account;

CREATE VIEW report_transfers WITH (security_invoker = true) AS
SELECT t.id, CASE t.kind WHEN 1 THEN 'deposit' WHEN 2 THEN 'withdrawal' WHEN 3 THEN 'adjustment' ELSE 'reversal' END AS kind,
       CASE t.status WHEN 1 THEN 'pending' WHEN 2 THEN 'approved' WHEN 3 THEN 'completed' WHEN 4 THEN 'rejected'
           ELSE 'cancelled' END AS status,
       t.account, a.name AS account_name, t.amount AS satoshis, hashspot_btc(t.amount) AS amount_btc,
       t.reference, t.destination, t.reverses, t.reason, t.note,
       t.requested_by, hashspot_time(t.requested_at) AS requested_at,
       t.decided_by, hashspot_time(t.decided_at) AS decided_at,
       t.completed_by, hashspot_time(t.completed_at) AS completed_at, t.entry
FROM transfers t LEFT JOIN accounts a ON a.id = t.account;

ALTER TABLE transfers ENABLE ROW LEVEL SECURITY;
ALTER TABLE payment_references ENABLE ROW LEVEL SECURITY;
ALTER TABLE account_freezes ENABLE ROW LEVEL SECURITY;
ALTER TABLE ledger_chain ENABLE ROW LEVEL SECURITY;
ALTER TABLE balance_snapshots ENABLE ROW LEVEL SECURITY;

-- What the roles may do with these tables, beside all that they might before.
ALTER FUNCTION hashspot_grant_roles() RENAME TO hashspot_grant_roles_before_treasury;

CREATE FUNCTION hashspot_grant_roles() RETURNS VOID LANGUAGE plpgsql AS $$
DECLARE
    policy RECORD;
BEGIN
    PERFORM hashspot_grant_roles_before_treasury();
    IF to_regrole('hashspot_writer') IS NOT NULL THEN
        GRANT SELECT, INSERT, UPDATE ON transfers, payment_references, account_freezes TO hashspot_writer;
        GRANT SELECT, INSERT ON ledger_chain, balance_snapshots TO hashspot_writer;
    END IF;
    IF to_regrole('hashspot_reporting') IS NOT NULL THEN
        GRANT SELECT ON transfers, account_freezes, report_transfers TO hashspot_reporting;
    END IF;
    FOR policy IN
        SELECT * FROM (VALUES
            ('transfers', 'account = (SELECT hashspot_account())'),
            ('payment_references', NULL),
            ('account_freezes', 'account = (SELECT hashspot_account())'),
            ('ledger_chain', NULL),
            ('balance_snapshots', NULL),
            -- Funds on their way out are the customer's, too.
            ('ledger_balances', 'kind IN (1, 2, 7) AND owner = (SELECT hashspot_account())'),
            ('ledger_postings', 'account_kind IN (1, 2, 7) AND owner = (SELECT hashspot_account())')
        ) AS policies (relation, rule)
    LOOP
        IF to_regrole('hashspot_writer') IS NOT NULL THEN
            EXECUTE format('DROP POLICY IF EXISTS writer ON %I', policy.relation);
            EXECUTE format('CREATE POLICY writer ON %I TO hashspot_writer USING (true) WITH CHECK (true)', policy.relation);
        END IF;
        IF to_regrole('hashspot_reporting') IS NOT NULL AND policy.rule IS NOT NULL THEN
            EXECUTE format('DROP POLICY IF EXISTS reporting ON %I', policy.relation);
            EXECUTE format('CREATE POLICY reporting ON %I FOR SELECT TO hashspot_reporting USING (%s)',
                policy.relation, policy.rule);
        END IF;
    END LOOP;
END $$;

SELECT hashspot_grant_roles();
