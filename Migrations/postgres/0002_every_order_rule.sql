-- Every order rule: good till date, post-only, minimum fill, icebergs, pegs, daily schedules, farms, rigs sold in parts,
-- fees that change, market phases. Defaults fill what version 1 left and are dropped, but for the two versions' own.

-- State hashes compare only under the same version of the rules.
ALTER TABLE projector ADD COLUMN rules_version BIGINT NOT NULL DEFAULT 1 CHECK (rules_version >= 1);

-- coding_version: of the binary form of `rules`, `counters` and `status`.
-- status: phase, planned rules and published index; NULL: open, none, none.
ALTER TABLE market_state
    ADD COLUMN coding_version INTEGER NOT NULL DEFAULT 1 CHECK (coding_version BETWEEN 1 AND 255),
    ADD COLUMN status         BYTEA;

-- Running deliveries say which rig they are on: now several may.
ALTER TABLE rigs
    DROP COLUMN delivery,
    ADD COLUMN farm BIGINT;                     -- NULL: in none

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

-- price: what it bids or asks now. limit_price: as given; a pegged bid's cap, a pegged ask's floor.
ALTER TABLE orders
    ADD COLUMN limit_price   BIGINT CHECK (limit_price > 0),
    ADD COLUMN shown         BIGINT NOT NULL DEFAULT 0 CHECK (shown >= 0),  -- an iceberg's open lots that are displayed; else 0
    ADD COLUMN since         BIGINT CHECK (since <= stamp),                 -- its stamp without those of an iceberg's later parts
    ADD COLUMN expires_at    BIGINT,
    ADD COLUMN post_only     INTEGER NOT NULL DEFAULT 0 CHECK (post_only IN (0, 1)),
    ADD COLUMN minimum_fill  BIGINT NOT NULL DEFAULT 1 CHECK (minimum_fill > 0),  -- lots
    ADD COLUMN displayed     BIGINT CHECK (displayed >= minimum_fill),      -- lots shown at a time; NULL: all
    ADD COLUMN peg_reference INTEGER CHECK (peg_reference IN (1, 2, 3)),    -- best bid, best ask, index; NULL: fixed price
    ADD COLUMN peg_offset    BIGINT,                                        -- added to the reference, may be negative
    ADD COLUMN schedule      TEXT,              -- an ask's windows, minutes of the day UTC: 0-360,1320-1440; NULL: always
    ADD COLUMN farm          BIGINT;            -- whose offer an ask comes from

UPDATE orders SET limit_price = price, since = stamp, time_in_force = coalesce(time_in_force, 1);

ALTER TABLE orders
    ALTER COLUMN limit_price SET NOT NULL,
    ALTER COLUMN since SET NOT NULL,
    ALTER COLUMN time_in_force SET NOT NULL,
    ALTER COLUMN shown DROP DEFAULT,
    ALTER COLUMN post_only DROP DEFAULT,
    ALTER COLUMN minimum_fill DROP DEFAULT,
    ADD CHECK (time_in_force IN (1, 2, 3, 4)),  -- till cancelled, IOC, till date, FOK
    ADD CHECK (self_trade IN (1, 2, 3)),        -- cancel resting, incoming, both
    ADD CHECK (budget > 0),
    ADD CHECK (spent >= 0),
    ADD CHECK (most > 0),
    ADD CHECK ((side = 0) = (targets IS NOT NULL)),
    ADD CHECK ((side = 0) = (spent IS NOT NULL)),
    ADD CHECK ((side = 1) = (rig IS NOT NULL)),
    ADD CHECK (side = 0 OR budget IS NULL),
    ADD CHECK (side = 1 OR (most IS NULL AND schedule IS NULL AND farm IS NULL)),
    ADD CHECK ((status = 0) = (reason IS NULL)),
    ADD CHECK (status <> 1 OR reason BETWEEN 1 AND 7),
    ADD CHECK (status <> 2 OR reason BETWEEN 1 AND 7),
    ADD CHECK ((time_in_force = 3) = (expires_at IS NOT NULL)),
    ADD CHECK ((peg_reference IS NULL) = (peg_offset IS NULL)),
    ADD CHECK (peg_reference IS NOT NULL OR price = limit_price),
    ADD CHECK (displayed IS NOT NULL OR shown = 0);

-- tariff: number of the market's fees at the fill. is_shortened: the buyer's funds allowed less time than the orders.
ALTER TABLE deliveries
    ADD COLUMN tariff       BIGINT NOT NULL DEFAULT 1 CHECK (tariff > 0),
    ADD COLUMN is_shortened INTEGER NOT NULL DEFAULT 0 CHECK (is_shortened IN (0, 1));

ALTER TABLE deliveries
    ALTER COLUMN tariff DROP DEFAULT,
    ALTER COLUMN is_shortened DROP DEFAULT,
    ADD CHECK (end_cause BETWEEN 1 AND 8),
    ADD CHECK (live = 1 OR ended_at IS NOT NULL);

-- When fees change, later fills have totals of their own.
ALTER TABLE billings
    ADD COLUMN tariff BIGINT NOT NULL DEFAULT 1 CHECK (tariff > 0);

ALTER TABLE billings
    ALTER COLUMN tariff DROP DEFAULT,
    DROP CONSTRAINT billings_pkey,
    ADD PRIMARY KEY (bid, ask, rig, tariff),
    ADD CHECK (seller_fee <= charge),
    ADD CHECK (buyer_fee <= charge),
    ADD CHECK (seller_fee_ppm BETWEEN 0 AND 1000000),
    ADD CHECK (buyer_fee_ppm BETWEEN 0 AND 1000000),
    ADD CHECK (unsettled >= 0);
