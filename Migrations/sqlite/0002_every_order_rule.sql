-- Every order rule: good till date, post-only, minimum fill, icebergs, pegs, daily schedules, farms, rigs sold in parts,
-- fees that change, market phases. SQLite cannot add constraints to a table: those that get new ones are made anew.

-- State hashes compare only under the same version of the rules.
ALTER TABLE projector ADD COLUMN rules_version BIGINT NOT NULL DEFAULT 1 CHECK (rules_version >= 1);

-- Version of the binary form of `rules`, `counters` and `status`.
ALTER TABLE market_state ADD COLUMN coding_version INTEGER NOT NULL DEFAULT 1 CHECK (coding_version BETWEEN 1 AND 255);
-- Phase, planned rules and published index; NULL: open, none, none.
ALTER TABLE market_state ADD COLUMN status BLOB;

-- Running deliveries say which rig they are on: now several may.
ALTER TABLE rigs DROP COLUMN delivery;
ALTER TABLE rigs ADD COLUMN farm BIGINT;        -- NULL: in none

CREATE TABLE farms (
    id            BIGINT PRIMARY KEY,
    owner         BIGINT NOT NULL,
    name          TEXT NOT NULL,
    -- The offer that stands for one ask on each of its rigs; all NULL while it is not offered as a whole.
    price         BIGINT CHECK (price > 0),     -- the reserve, or the floor of a pegged price
    most          BIGINT CHECK (most > 0),      -- most lots to sell of each rig; NULL: all
    time_in_force INTEGER CHECK (time_in_force IN (1, 3)),
    expires_at    BIGINT,
    post_only     INTEGER CHECK (post_only IN (0, 1)),
    minimum_fill  BIGINT CHECK (minimum_fill > 0),
    displayed     BIGINT CHECK (displayed >= minimum_fill),
    self_trade    INTEGER CHECK (self_trade IN (1, 2, 3)),
    peg_reference INTEGER CHECK (peg_reference IN (1, 2, 3)),
    peg_offset    BIGINT,
    schedule      TEXT,
    CHECK ((time_in_force IS NULL) = (price IS NULL)),
    CHECK ((post_only IS NULL) = (price IS NULL)),
    CHECK ((minimum_fill IS NULL) = (price IS NULL)),
    CHECK ((self_trade IS NULL) = (price IS NULL)),
    CHECK (price IS NOT NULL OR (most IS NULL AND displayed IS NULL AND peg_reference IS NULL AND schedule IS NULL)),
    CHECK ((time_in_force IS NOT NULL AND time_in_force = 3) = (expires_at IS NOT NULL)),
    CHECK ((peg_reference IS NULL) = (peg_offset IS NULL))
);

-- When all orders of an account are cancelled unless it is heard of before.
CREATE TABLE silences (
    account  BIGINT PRIMARY KEY,
    deadline BIGINT NOT NULL,
    live     INTEGER NOT NULL CHECK (live IN (0, 1))
);

CREATE TABLE new_orders (
    id              BIGINT PRIMARY KEY,
    account         BIGINT NOT NULL,
    client_order_id TEXT,
    side            INTEGER NOT NULL CHECK (side IN (0, 1)),        -- bid, ask
    price           BIGINT NOT NULL CHECK (price > 0),              -- what it bids or asks now
    limit_price     BIGINT NOT NULL CHECK (limit_price > 0),        -- as given; a pegged bid's cap, a pegged ask's floor
    lots            BIGINT NOT NULL CHECK (lots >= 0),
    delivering      BIGINT NOT NULL CHECK (delivering >= 0),
    shown           BIGINT NOT NULL CHECK (shown >= 0),             -- an iceberg's open lots that are displayed; else 0
    stamp           BIGINT NOT NULL,                                -- time priority, lower first
    since           BIGINT NOT NULL CHECK (since <= stamp),         -- its stamp without those of an iceberg's later parts
    time_in_force   INTEGER NOT NULL CHECK (time_in_force IN (1, 2, 3, 4)),  -- till cancelled, IOC, till date, FOK
    expires_at      BIGINT,
    post_only       INTEGER NOT NULL CHECK (post_only IN (0, 1)),
    minimum_fill    BIGINT NOT NULL CHECK (minimum_fill > 0),       -- lots
    displayed       BIGINT CHECK (displayed >= minimum_fill),       -- lots shown at a time; NULL: all
    self_trade      INTEGER NOT NULL CHECK (self_trade IN (1, 2, 3)),  -- cancel resting, incoming, both
    peg_reference   INTEGER CHECK (peg_reference IN (1, 2, 3)),     -- best bid, best ask, index; NULL: fixed price
    peg_offset      BIGINT,                                         -- added to the reference, may be negative
    status          INTEGER NOT NULL CHECK (status IN (0, 1, 2)),   -- active, suspended, closed
    reason          INTEGER,
    placed_at       BIGINT NOT NULL,
    unsettled       BIGINT NOT NULL CHECK (unsettled >= 0),
    targets         TEXT,                       -- a bid's pool targets in order, comma-separated
    budget          BIGINT CHECK (budget > 0),
    spent           BIGINT CHECK (spent >= 0),
    rig             BIGINT,                     -- an ask's rig
    most            BIGINT CHECK (most > 0),
    schedule        TEXT,                       -- an ask's windows, minutes of the day UTC: 0-360,1320-1440; NULL: always
    farm            BIGINT,                     -- whose offer an ask comes from
    live            INTEGER NOT NULL CHECK (live IN (0, 1)),        -- 1 while the exchange holds it
    CHECK ((side = 0) = (targets IS NOT NULL)),
    CHECK ((side = 0) = (spent IS NOT NULL)),
    CHECK ((side = 1) = (rig IS NOT NULL)),
    CHECK (side = 0 OR budget IS NULL),
    CHECK (side = 1 OR (most IS NULL AND schedule IS NULL AND farm IS NULL)),
    CHECK ((status = 0) = (reason IS NULL)),
    CHECK (status <> 1 OR reason BETWEEN 1 AND 7),
    CHECK (status <> 2 OR reason BETWEEN 1 AND 7),
    CHECK ((time_in_force = 3) = (expires_at IS NOT NULL)),
    CHECK ((peg_reference IS NULL) = (peg_offset IS NULL)),
    CHECK (peg_reference IS NOT NULL OR price = limit_price),
    CHECK (displayed IS NOT NULL OR shown = 0)
);

INSERT INTO new_orders
SELECT id, account, client_order_id, side, price, price, lots, delivering, 0, stamp, stamp, coalesce(time_in_force, 1), NULL,
       0, 1, NULL, self_trade, NULL, NULL, status, reason, placed_at, unsettled, targets, budget, spent, rig, most, NULL, NULL,
       live
FROM orders;

DROP TABLE orders;
ALTER TABLE new_orders RENAME TO orders;

CREATE INDEX orders_live ON orders (live) WHERE live = 1;
CREATE INDEX orders_account ON orders (account, id);

CREATE TABLE new_deliveries (
    id             BIGINT PRIMARY KEY,
    bid            BIGINT NOT NULL,
    ask            BIGINT NOT NULL,
    rig            BIGINT NOT NULL,
    buyer          BIGINT NOT NULL,
    seller         BIGINT NOT NULL,
    lots           BIGINT NOT NULL CHECK (lots > 0),
    hashrate       BIGINT NOT NULL CHECK (hashrate > 0),
    price          BIGINT NOT NULL CHECK (price > 0),
    price_unit     BIGINT NOT NULL CHECK (price_unit > 0),
    seller_fee_ppm BIGINT NOT NULL CHECK (seller_fee_ppm BETWEEN 0 AND 1000000),
    buyer_fee_ppm  BIGINT NOT NULL CHECK (buyer_fee_ppm BETWEEN 0 AND 1000000),
    tariff         BIGINT NOT NULL CHECK (tariff > 0),              -- number of the market's fees at the fill
    opened_at      BIGINT NOT NULL,
    expires_at     BIGINT NOT NULL,
    is_shortened   INTEGER NOT NULL CHECK (is_shortened IN (0, 1)), -- 1: the buyer's funds allowed less time than the orders
    max_difficulty BIGINT NOT NULL,             -- in work units
    allowance      BIGINT NOT NULL,
    hold           BIGINT NOT NULL CHECK (hold >= 0),
    held           BIGINT NOT NULL CHECK (held >= 0 AND held <= hold),
    settled_work   BIGINT NOT NULL CHECK (settled_work >= 0),
    charged        BIGINT NOT NULL CHECK (charged >= 0),
    ended_at       BIGINT,
    end_cause      INTEGER CHECK (end_cause BETWEEN 1 AND 8),
    live           INTEGER NOT NULL CHECK (live IN (0, 1)),
    CHECK (buyer <> seller),
    CHECK (expires_at > opened_at),
    CHECK ((ended_at IS NULL) = (end_cause IS NULL)),
    CHECK (live = 1 OR ended_at IS NOT NULL)
);

INSERT INTO new_deliveries
SELECT id, bid, ask, rig, buyer, seller, lots, hashrate, price, price_unit, seller_fee_ppm, buyer_fee_ppm, 1, opened_at,
       expires_at, 0, max_difficulty, allowance, hold, held, settled_work, charged, ended_at, end_cause, live
FROM deliveries;

DROP TABLE deliveries;
ALTER TABLE new_deliveries RENAME TO deliveries;

CREATE INDEX deliveries_live ON deliveries (live) WHERE live = 1;
CREATE INDEX deliveries_buyer ON deliveries (buyer, id);
CREATE INDEX deliveries_seller ON deliveries (seller, id);

CREATE TABLE new_billings (
    bid            BIGINT NOT NULL,
    ask            BIGINT NOT NULL,
    rig            BIGINT NOT NULL,
    tariff         BIGINT NOT NULL CHECK (tariff > 0),  -- when fees change, later fills have totals of their own
    weighted_work  TEXT NOT NULL,               -- sum of price x work units: more than 64 bits
    charge         BIGINT NOT NULL CHECK (charge >= 0),
    seller_fee     BIGINT NOT NULL CHECK (seller_fee >= 0 AND seller_fee <= charge),
    buyer_fee      BIGINT NOT NULL CHECK (buyer_fee >= 0 AND buyer_fee <= charge),
    seller_fee_ppm BIGINT NOT NULL CHECK (seller_fee_ppm BETWEEN 0 AND 1000000),
    buyer_fee_ppm  BIGINT NOT NULL CHECK (buyer_fee_ppm BETWEEN 0 AND 1000000),
    unsettled      BIGINT NOT NULL CHECK (unsettled >= 0),
    live           INTEGER NOT NULL CHECK (live IN (0, 1)),
    PRIMARY KEY (bid, ask, rig, tariff)
);

INSERT INTO new_billings
SELECT bid, ask, rig, 1, weighted_work, charge, seller_fee, buyer_fee, seller_fee_ppm, buyer_fee_ppm, unsettled, live
FROM billings;

DROP TABLE billings;
ALTER TABLE new_billings RENAME TO billings;
