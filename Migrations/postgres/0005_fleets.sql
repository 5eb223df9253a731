-- Farms' logins, curtailment, blocks.

-- Orders may wait, and deliveries end, because their rig was cut. The checks have no names of ours.
DO $$
DECLARE
    old RECORD;
BEGIN
    FOR old IN
        SELECT c.conrelid::regclass AS relation, c.conname AS name FROM pg_constraint c
        WHERE c.contype = 'c' AND (
            c.conrelid = 'orders'::regclass AND pg_get_constraintdef(c.oid) LIKE '%status <> 1%reason%'
            OR c.conrelid = 'deliveries'::regclass AND pg_get_constraintdef(c.oid) LIKE '%end_cause >= 1%')
    LOOP
        EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I', old.relation, old.name);
    END LOOP;
END $$;

ALTER TABLE orders ADD CONSTRAINT orders_suspension_known CHECK (status <> 1 OR reason BETWEEN 1 AND 8);
ALTER TABLE deliveries ADD CONSTRAINT deliveries_end_cause_known CHECK (end_cause BETWEEN 1 AND 9);

-- A farm's Stratum login: miners that authorize as `stratum_user`.worker become rigs of the farm.
CREATE TABLE farm_logins (
    farm            BIGINT PRIMARY KEY,
    stratum_user    TEXT NOT NULL UNIQUE,
    password_digest BYTEA NOT NULL,             -- SHA-256
    fallback        BIGINT NOT NULL,            -- pool target of its rigs while unsold
    most_rigs       BIGINT NOT NULL CHECK (most_rigs > 0)
);

-- Farms that draw less power for a while.
CREATE TABLE curtailments (
    farm      BIGINT PRIMARY KEY,
    cap       BIGINT NOT NULL CHECK (cap >= 0), -- lots
    ramp      BIGINT NOT NULL CHECK (ramp >= 0),  -- microseconds
    since     BIGINT NOT NULL,
    until_at  BIGINT,                           -- NULL: until it is lifted
    lifted_at BIGINT,                           -- NULL while it holds; then its rigs come back
    live      INTEGER NOT NULL CHECK (live IN (0, 1))
);

-- Rigs that may not hash now: those with live = 1.
CREATE TABLE cut_rigs (
    rig        BIGINT PRIMARY KEY,
    farm       BIGINT NOT NULL,
    returns_at BIGINT,                          -- NULL: not before the curtailment is lifted
    live       INTEGER NOT NULL CHECK (live IN (0, 1))
);

-- Shares that met the network's target.
CREATE TABLE blocks (
    id          BIGINT PRIMARY KEY,
    owner       BIGINT NOT NULL,                -- of the pool target: the buyer, or the seller while the rig was unsold
    seller      BIGINT NOT NULL,
    edge        BIGINT NOT NULL,
    received_at BIGINT NOT NULL,
    rig         BIGINT NOT NULL,
    delivery    BIGINT,                         -- NULL: found while the rig was unsold
    target      BIGINT NOT NULL,
    hash        BYTEA NOT NULL UNIQUE,          -- of the header, 32 bytes in internal order
    header      BYTEA NOT NULL,                 -- 80 bytes
    pool_job    TEXT NOT NULL,
    forwarded   INTEGER NOT NULL CHECK (forwarded IN (0, 1)),
    verdict     INTEGER NOT NULL CHECK (verdict BETWEEN 1 AND 5),  -- waiting, accepted, rejected, unanswered, not forwarded
    pool_error  BIGINT NOT NULL,
    live        INTEGER NOT NULL CHECK (live IN (0, 1)),
    CHECK (length(hash) = 32),
    CHECK (length(header) = 80)
);

CREATE INDEX blocks_owner ON blocks (owner, id);
CREATE INDEX blocks_seller ON blocks (seller, id);
CREATE INDEX cut_rigs_live ON cut_rigs (live) WHERE live = 1;

CREATE OR REPLACE VIEW report_orders WITH (security_invoker = true) AS
SELECT o.id, o.account, a.name AS account_name, o.client_order_id,
       CASE o.side WHEN 0 THEN 'bid' ELSE 'ask' END AS side,
       CASE o.status WHEN 0 THEN 'active' WHEN 1 THEN 'suspended' ELSE 'closed' END AS status,
       CASE o.status * 10 + o.reason
           WHEN 11 THEN 'rig offline' WHEN 12 THEN 'rig unmeasured' WHEN 13 THEN 'insufficient funds'
           WHEN 14 THEN 'pools unusable' WHEN 15 THEN 'outside schedule' WHEN 16 THEN 'no reference' WHEN 17 THEN 'rig busy'
           WHEN 18 THEN 'curtailed'
           WHEN 21 THEN 'cancelled' WHEN 22 THEN 'immediate remainder' WHEN 23 THEN 'budget spent' WHEN 24 THEN 'self trade'
           WHEN 25 THEN 'expired' WHEN 26 THEN 'silence' WHEN 27 THEN 'left farm' END AS reason,
       CASE o.time_in_force WHEN 1 THEN 'till cancelled' WHEN 2 THEN 'immediate or cancel' WHEN 3 THEN 'till date'
           ELSE 'fill or kill' END AS time_in_force,
       hashspot_btc(o.price) AS price_btc, hashspot_btc(o.limit_price) AS limit_price_btc, o.lots, o.delivering,
       hashspot_btc(o.budget) AS budget_btc, hashspot_btc(o.spent) AS spent_btc, o.rig, o.farm, o.schedule,
       hashspot_time(o.placed_at) AS placed_at, hashspot_time(o.expires_at) AS expires_at
FROM orders o LEFT JOIN accounts a ON a.id = o.account;

CREATE OR REPLACE VIEW report_deliveries WITH (security_invoker = true) AS
SELECT d.id, d.bid, d.ask, d.rig, r.stratum_user AS rig_name, d.buyer, b.name AS buyer_name, d.seller, s.name AS seller_name,
       d.lots, hashspot_phs(d.hashrate) AS phs,
       hashspot_btc(d.price) AS price_btc, hashspot_phs(d.price_unit) AS price_unit_phs,  -- BTC a day for so many PH/s
       d.tariff, d.seller_fee_ppm * 0.0001 AS seller_fee_percent, d.buyer_fee_ppm * 0.0001 AS buyer_fee_percent,
       hashspot_time(d.opened_at) AS opened_at, hashspot_time(d.expires_at) AS expires_at,
       hashspot_time(d.ended_at) AS ended_at,
       CASE WHEN d.ended_at IS NULL THEN 'running' WHEN d.live = 1 THEN 'ended' ELSE 'settled' END AS status,
       CASE d.end_cause WHEN 1 THEN 'term' WHEN 2 THEN 'bid closed' WHEN 3 THEN 'ask closed' WHEN 4 THEN 'rig away'
           WHEN 5 THEN 'under delivery' WHEN 6 THEN 'pools unusable' WHEN 7 THEN 'funds spent'
           WHEN 8 THEN 'ask paused' WHEN 9 THEN 'curtailed' END AS end_cause,
       d.is_shortened = 1 AS is_shortened, hashspot_btc(d.hold) AS hold_btc, hashspot_btc(d.held) AS held_btc,
       hashspot_exahashes(d.settled_work) AS settled_exahashes, hashspot_btc(d.charged) AS charged_btc
FROM deliveries d
LEFT JOIN rigs r ON r.id = d.rig
LEFT JOIN accounts b ON b.id = d.buyer
LEFT JOIN accounts s ON s.id = d.seller;

CREATE VIEW report_blocks WITH (security_invoker = true) AS
SELECT b.id, b.owner, b.seller, b.rig, b.delivery, b.target, hashspot_time(b.received_at) AS received_at,
       encode(b.hash, 'hex') AS hash, encode(b.header, 'hex') AS header, b.pool_job, b.forwarded = 1 AS is_forwarded,
       CASE b.verdict WHEN 1 THEN 'waiting' WHEN 2 THEN 'accepted' WHEN 3 THEN 'rejected' WHEN 4 THEN 'unanswered'
           ELSE 'not forwarded' END AS verdict, b.pool_error
FROM blocks b;

ALTER TABLE farm_logins ENABLE ROW LEVEL SECURITY;
ALTER TABLE curtailments ENABLE ROW LEVEL SECURITY;
ALTER TABLE cut_rigs ENABLE ROW LEVEL SECURITY;
ALTER TABLE blocks ENABLE ROW LEVEL SECURITY;

-- What both roles may do with these tables, beside all that they might before.
ALTER FUNCTION hashspot_grant_roles() RENAME TO hashspot_grant_roles_before_fleets;

CREATE FUNCTION hashspot_grant_roles() RETURNS VOID LANGUAGE plpgsql AS $$
DECLARE
    policy RECORD;
BEGIN
    PERFORM hashspot_grant_roles_before_fleets();
    IF to_regrole('hashspot_writer') IS NOT NULL THEN
        GRANT SELECT, INSERT, UPDATE ON farm_logins, curtailments, cut_rigs, blocks TO hashspot_writer;
    END IF;
    IF to_regrole('hashspot_reporting') IS NOT NULL THEN
        GRANT SELECT ON curtailments, cut_rigs, blocks, report_blocks TO hashspot_reporting;
        GRANT SELECT (farm, stratum_user, fallback, most_rigs) ON farm_logins TO hashspot_reporting;
    END IF;
    FOR policy IN
        SELECT * FROM (VALUES
            ('farm_logins', 'EXISTS (SELECT FROM farms f WHERE f.id = farm_logins.farm)'),
            ('curtailments', 'EXISTS (SELECT FROM farms f WHERE f.id = curtailments.farm)'),
            ('cut_rigs', 'EXISTS (SELECT FROM rigs r WHERE r.id = cut_rigs.rig)'),
            ('blocks', '(SELECT hashspot_account()) IN (owner, seller)')
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
