-- The journal: one row per batch of commands, and the row that says who may write.
-- `writer.epoch` is raised by whoever takes over; a commit moves `last` only under its own epoch.

CREATE TABLE writer (
    id    INTEGER PRIMARY KEY CHECK (id = 1),
    epoch BIGINT NOT NULL CHECK (epoch >= 0),
    last  BIGINT NOT NULL CHECK (last >= 0)
);

INSERT INTO writer (id, epoch, last) VALUES (1, 0, 0);

CREATE TABLE journal (
    last          BIGINT PRIMARY KEY,           -- sequence of the batch's last command
    first         BIGINT NOT NULL UNIQUE,       -- sequence of its first
    epoch         BIGINT NOT NULL,
    rules_version BIGINT NOT NULL,              -- version of the program's rules that decided
    at            BIGINT NOT NULL,              -- microseconds UTC
    state_hash    BIGINT NOT NULL,              -- of the state after the batch
    body          BYTEA NOT NULL,                -- commands and events, compact binary
    CHECK (first >= 1 AND last >= first)
);

-- Tables that the projector derives from the journal, accounts and keys, and what edges metered.
-- Money is in satoshis, work in units of 65,536 hashes, time in microseconds UTC, hashrate in hashes per second.

CREATE TABLE projector (
    id         INTEGER PRIMARY KEY CHECK (id = 1),
    last       BIGINT NOT NULL,                 -- sequence of the last command in the tables
    at         BIGINT NOT NULL,
    state_hash BIGINT NOT NULL
);

INSERT INTO projector (id, last, at, state_hash) VALUES (1, 0, 0, 0);

CREATE TABLE market_state (
    id       INTEGER PRIMARY KEY CHECK (id = 1),
    symbol   TEXT,                              -- NULL until the market is defined
    rules    BYTEA NOT NULL,                     -- binary, as in the journal
    counters BYTEA NOT NULL
);

CREATE TABLE accounts (
    id         BIGINT PRIMARY KEY,
    name       TEXT NOT NULL UNIQUE,
    roles      TEXT NOT NULL,                   -- comma-separated: buyer, seller, finance, admin
    created_at BIGINT NOT NULL
);

CREATE TABLE api_keys (
    digest     BYTEA PRIMARY KEY,                -- SHA-256 of the key; the key itself is nowhere
    account    BIGINT NOT NULL REFERENCES accounts (id),
    created_at BIGINT NOT NULL,
    revoked_at BIGINT
);

CREATE TABLE pool_targets (
    id               BIGINT PRIMARY KEY,
    owner            BIGINT NOT NULL,
    name             TEXT NOT NULL,
    url              TEXT NOT NULL,
    pool_user        TEXT NOT NULL,
    pool_password    TEXT NOT NULL,
    status           INTEGER NOT NULL CHECK (status IN (0, 1, 2)),  -- unverified, verified, failed
    extranonce2_size BIGINT,
    version_mask     BIGINT,
    difficulty       TEXT,
    failure          TEXT
);

CREATE TABLE rigs (
    id              BIGINT PRIMARY KEY,
    owner           BIGINT NOT NULL,
    stratum_user    TEXT NOT NULL UNIQUE,
    password_digest BYTEA NOT NULL,
    fallback        BIGINT NOT NULL,
    online          INTEGER NOT NULL CHECK (online IN (0, 1)),
    offline_since   BIGINT,
    edge            BIGINT,
    session         BIGINT,
    version_mask    BIGINT,
    last_session    BIGINT NOT NULL,
    measured        BIGINT NOT NULL CHECK (measured >= 0),
    ask             BIGINT,
    delivery        BIGINT
);

CREATE TABLE orders (
    id              BIGINT PRIMARY KEY,
    account         BIGINT NOT NULL,
    client_order_id TEXT,
    side            INTEGER NOT NULL CHECK (side IN (0, 1)),        -- bid, ask
    price           BIGINT NOT NULL CHECK (price > 0),
    lots            BIGINT NOT NULL CHECK (lots >= 0),
    delivering      BIGINT NOT NULL CHECK (delivering >= 0),
    stamp           BIGINT NOT NULL,
    self_trade      INTEGER NOT NULL,
    status          INTEGER NOT NULL CHECK (status IN (0, 1, 2)),   -- active, suspended, closed
    reason          INTEGER,
    placed_at       BIGINT NOT NULL,
    unsettled       BIGINT NOT NULL CHECK (unsettled >= 0),
    targets         TEXT,                       -- a bid's pool targets in order, comma-separated
    time_in_force   INTEGER,
    budget          BIGINT,
    spent           BIGINT,
    rig             BIGINT,                     -- an ask's rig
    most            BIGINT,
    live            INTEGER NOT NULL CHECK (live IN (0, 1))         -- 1 while the exchange holds it
);

CREATE INDEX orders_live ON orders (live) WHERE live = 1;
CREATE INDEX orders_account ON orders (account, id);

CREATE TABLE deliveries (
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
    opened_at      BIGINT NOT NULL,
    expires_at     BIGINT NOT NULL,
    max_difficulty BIGINT NOT NULL,             -- in work units
    allowance      BIGINT NOT NULL,
    hold           BIGINT NOT NULL CHECK (hold >= 0),
    held           BIGINT NOT NULL CHECK (held >= 0 AND held <= hold),
    settled_work   BIGINT NOT NULL CHECK (settled_work >= 0),
    charged        BIGINT NOT NULL CHECK (charged >= 0),
    ended_at       BIGINT,
    end_cause      INTEGER,
    live           INTEGER NOT NULL CHECK (live IN (0, 1)),
    CHECK (buyer <> seller),
    CHECK (expires_at > opened_at),
    CHECK ((ended_at IS NULL) = (end_cause IS NULL))
);

CREATE INDEX deliveries_live ON deliveries (live) WHERE live = 1;
CREATE INDEX deliveries_buyer ON deliveries (buyer, id);
CREATE INDEX deliveries_seller ON deliveries (seller, id);

CREATE TABLE billings (
    bid            BIGINT NOT NULL,
    ask            BIGINT NOT NULL,
    rig            BIGINT NOT NULL,
    weighted_work  TEXT NOT NULL,               -- sum of price x work units: more than 64 bits
    charge         BIGINT NOT NULL CHECK (charge >= 0),
    seller_fee     BIGINT NOT NULL CHECK (seller_fee >= 0),
    buyer_fee      BIGINT NOT NULL CHECK (buyer_fee >= 0),
    seller_fee_ppm BIGINT NOT NULL,
    buyer_fee_ppm  BIGINT NOT NULL,
    unsettled      BIGINT NOT NULL,
    live           INTEGER NOT NULL CHECK (live IN (0, 1)),
    PRIMARY KEY (bid, ask, rig)
);

CREATE TABLE ledger_balances (
    kind    INTEGER NOT NULL,                   -- 1 available, 2 held, 3 custody, 4 fees, 5 loss
    owner   BIGINT NOT NULL,
    balance BIGINT NOT NULL,
    PRIMARY KEY (kind, owner),
    CHECK (kind NOT IN (1, 2, 4) OR balance >= 0)
);

CREATE TABLE ledger_entries (
    id        BIGINT PRIMARY KEY,
    kind      INTEGER NOT NULL,                 -- 1 deposit, 2 hold, 3 settlement, 4 release
    at        BIGINT NOT NULL,
    reference TEXT NOT NULL
);

CREATE TABLE ledger_postings (
    entry        BIGINT NOT NULL REFERENCES ledger_entries (id),
    line         INTEGER NOT NULL,
    account_kind INTEGER NOT NULL,
    owner        BIGINT NOT NULL,
    amount       BIGINT NOT NULL CHECK (amount <> 0),
    PRIMARY KEY (entry, line)
);

CREATE INDEX ledger_postings_owner ON ledger_postings (owner, account_kind, entry);

CREATE TABLE deposits (
    account   BIGINT NOT NULL,
    reference TEXT NOT NULL,
    amount    BIGINT NOT NULL CHECK (amount > 0),
    PRIMARY KEY (account, reference)
);

CREATE TABLE answers (
    account BIGINT NOT NULL,
    key     TEXT NOT NULL,
    number  BIGINT NOT NULL,
    digest  BYTEA NOT NULL,
    outcome BYTEA NOT NULL,
    live    INTEGER NOT NULL CHECK (live IN (0, 1)),
    PRIMARY KEY (account, key)
);

CREATE TABLE settlement_lines (
    number         BIGINT PRIMARY KEY,          -- in journal order: command sequence x 1,000,000 + place
    delivery       BIGINT NOT NULL,
    run            BIGINT NOT NULL,
    chunk          BIGINT NOT NULL,
    at             BIGINT NOT NULL,
    work           BIGINT NOT NULL CHECK (work > 0),
    charge         BIGINT NOT NULL CHECK (charge >= 0),
    seller_fee     BIGINT NOT NULL CHECK (seller_fee >= 0 AND seller_fee <= charge),
    buyer_fee      BIGINT NOT NULL CHECK (buyer_fee >= 0),
    from_hold      BIGINT NOT NULL,
    from_available BIGINT NOT NULL,
    from_loss      BIGINT NOT NULL,
    CHECK (from_hold + from_available + from_loss = charge + buyer_fee)
);

CREATE INDEX settlement_lines_delivery ON settlement_lines (delivery, number);

CREATE TABLE settlement_runs (
    run        BIGINT PRIMARY KEY,
    kind       TEXT NOT NULL,                   -- initial
    started_at BIGINT NOT NULL,
    watermark  BIGINT NOT NULL                  -- edges' reports are complete until then
);

CREATE TABLE edge_epochs (
    edge       BIGINT NOT NULL,
    epoch      BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (edge, epoch)
);

CREATE TABLE batches (
    edge           BIGINT NOT NULL,
    epoch          BIGINT NOT NULL,
    sequence       BIGINT NOT NULL,
    digest         BYTEA NOT NULL,               -- SHA-256 of the batch as it left the edge
    complete_until BIGINT NOT NULL,
    records        BIGINT NOT NULL,
    applied_at     BIGINT NOT NULL,
    PRIMARY KEY (edge, epoch, sequence)
);

CREATE INDEX batches_complete ON batches (edge, complete_until);

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
    PRIMARY KEY (delivery, rig, minute),
    CHECK (billable_work <= valid_work)
);

CREATE TABLE jobs (
    edge            BIGINT NOT NULL,
    epoch           BIGINT NOT NULL,
    number          BIGINT NOT NULL,
    target          BIGINT NOT NULL,
    pool_job        BYTEA NOT NULL,
    coinbase_prefix BYTEA NOT NULL,
    coinbase_suffix BYTEA NOT NULL,
    branches        BYTEA NOT NULL,
    previous_hash   BYTEA NOT NULL,
    version         BIGINT NOT NULL,
    nbits           BIGINT NOT NULL,
    ntime           BIGINT NOT NULL,
    PRIMARY KEY (edge, epoch, number)
);

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
    PRIMARY KEY (edge, epoch, number)
);

CREATE INDEX shares_delivery ON shares (delivery, received_at);
