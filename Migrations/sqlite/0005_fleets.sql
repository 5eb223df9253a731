-- Farms' logins, curtailment, blocks.

-- Orders may wait, and deliveries end, because their rig was cut. SQLite cannot change a CHECK, and the tables are not made anew
-- for one that only becomes wider: their text is changed in place.
PRAGMA writable_schema = ON;

UPDATE sqlite_master SET sql = replace(sql, 'status <> 1 OR reason BETWEEN 1 AND 7', 'status <> 1 OR reason BETWEEN 1 AND 8')
WHERE type = 'table' AND name = 'orders';

UPDATE sqlite_master SET sql = replace(sql, 'end_cause BETWEEN 1 AND 8', 'end_cause BETWEEN 1 AND 9')
WHERE type = 'table' AND name = 'deliveries';

PRAGMA writable_schema = RESET;

-- A farm's Stratum login: miners that authorize as `stratum_user`.worker become rigs of the farm.
CREATE TABLE farm_logins (
    farm            BIGINT PRIMARY KEY,
    stratum_user    TEXT NOT NULL UNIQUE,
    password_digest BLOB NOT NULL,             -- SHA-256
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
    hash        BLOB NOT NULL UNIQUE,          -- of the header, 32 bytes in internal order
    header      BLOB NOT NULL,                 -- 80 bytes
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
           WHEN 25 THEN 'expired' WHEN 26 THEN 'silence' WHEN 27 THEN 'left farm' END AS reason,
       CASE o.time_in_force WHEN 1 THEN 'till cancelled' WHEN 2 THEN 'immediate or cancel' WHEN 3 THEN 'till date'
           ELSE 'fill or kill' END AS time_in_force,
       o.price / 1e8 AS price_btc, o.limit_price / 1e8 AS limit_price_btc, o.lots, o.delivering,
       o.budget / 1e8 AS budget_btc, o.spent / 1e8 AS spent_btc, o.rig, o.farm, o.schedule,
       strftime('%Y-%m-%dT%H:%M:%S', o.placed_at / 1000000, 'unixepoch') || printf('.%03dZ', o.placed_at / 1000 % 1000) AS placed_at,
       strftime('%Y-%m-%dT%H:%M:%S', o.expires_at / 1000000, 'unixepoch') || printf('.%03dZ', o.expires_at / 1000 % 1000) AS expires_at
FROM orders o LEFT JOIN accounts a ON a.id = o.account;

DROP VIEW report_deliveries;

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
           WHEN 8 THEN 'ask paused' WHEN 9 THEN 'curtailed' END AS end_cause,
       d.is_shortened = 1 AS is_shortened, d.hold / 1e8 AS hold_btc, d.held / 1e8 AS held_btc,
       d.settled_work * 65536.0 / 1e18 AS settled_exahashes, d.charged / 1e8 AS charged_btc
FROM deliveries d
LEFT JOIN rigs r ON r.id = d.rig
LEFT JOIN accounts b ON b.id = d.buyer
LEFT JOIN accounts s ON s.id = d.seller;

CREATE VIEW report_blocks AS
SELECT b.id, b.owner, b.seller, b.rig, b.delivery, b.target,
       strftime('%Y-%m-%dT%H:%M:%S', b.received_at / 1000000, 'unixepoch') || printf('.%03dZ', b.received_at / 1000 % 1000) AS received_at,
       lower(hex(b.hash)) AS hash, lower(hex(b.header)) AS header, b.pool_job, b.forwarded = 1 AS is_forwarded,
       CASE b.verdict WHEN 1 THEN 'waiting' WHEN 2 THEN 'accepted' WHEN 3 THEN 'rejected' WHEN 4 THEN 'unanswered'
           ELSE 'not forwarded' END AS verdict, b.pool_error
FROM blocks b;
