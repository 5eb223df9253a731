-- Edges as processes of their own: who they are, what they are told, what they report.

-- MARK: Who they are

-- Edge 1 is the one inside of a server. A name belongs to one process at a time: to the one that knows `holder`, while it gives
-- signs of life.
CREATE TABLE edges (
    edge         BIGINT PRIMARY KEY CHECK (edge > 0),
    name         TEXT NOT NULL UNIQUE,
    holder       BYTEA,                                     -- NULL: no process has had it
    held_until   TIMESTAMPTZ NOT NULL DEFAULT 'epoch',
    seen_at      TIMESTAMPTZ NOT NULL DEFAULT 'epoch',      -- its last sign of life
    beats        BIGINT NOT NULL DEFAULT 0,                 -- how many there were
    resync       BIGINT NOT NULL DEFAULT 0,                 -- raised when its rigs were counted as away: it reports them again
    version      TEXT NOT NULL DEFAULT '',
    url          TEXT NOT NULL DEFAULT '',                  -- where rigs connect
    rigs         BIGINT NOT NULL DEFAULT 0,                 -- connected
    clock_ahead  BIGINT,                                    -- microseconds that its clock is ahead of this server's
    is_selling   INTEGER NOT NULL DEFAULT 1 CHECK (is_selling IN (0, 1)),  -- 0: its clock is off
    backlog      BIGINT NOT NULL DEFAULT 0,                 -- sealed batches that wait in its spool
    figures_at   BIGINT                                     -- of its row in edge_figures
);

INSERT INTO edges (edge, name) VALUES (1, 'embedded');

-- MARK: What they are told

-- Each publication raises `serial` and marks its rows with it: an edge asks for those beyond the serial that it knows. One server
-- publishes at a time: whoever raised `publisher` last.
CREATE TABLE edge_feed (
    id                 INTEGER PRIMARY KEY CHECK (id = 1),
    publisher          BIGINT NOT NULL,
    serial             BIGINT NOT NULL,
    position           BIGINT NOT NULL,                     -- in the journal
    published_at       TIMESTAMPTZ NOT NULL,                -- the publisher's last sign of life
    minimum_difficulty BIGINT,                              -- the market's rules for shares; NULL: nothing was published yet
    start_difficulty   BIGINT,
    share_interval     BIGINT,                              -- microseconds
    algorithm          TEXT,
    term               BIGINT                               -- the longest time a delivery runs, microseconds
);

INSERT INTO edge_feed (id, publisher, serial, position, published_at) VALUES (1, 0, 0, 0, 'epoch');

CREATE TABLE edge_rigs (
    rig             BIGINT PRIMARY KEY,
    serial          BIGINT NOT NULL,
    stratum_user    TEXT NOT NULL,
    password_digest BYTEA NOT NULL,
    fallback        BIGINT NOT NULL,
    owner           BIGINT,                                 -- rigs of one owner may share a connection
    is_curtailed    INTEGER NOT NULL CHECK (is_curtailed IN (0, 1))
);

CREATE INDEX edge_rigs_serial ON edge_rigs (serial);

-- Farms' logins: a miner that comes as a worker of one becomes a rig.
CREATE TABLE edge_farms (
    farm            BIGINT PRIMARY KEY,
    serial          BIGINT NOT NULL,
    stratum_user    TEXT NOT NULL,                          -- what stands before the worker's name
    password_digest BYTEA NOT NULL
);

CREATE INDEX edge_farms_serial ON edge_farms (serial);

CREATE TABLE edge_pools (
    target        BIGINT PRIMARY KEY,
    serial        BIGINT NOT NULL,
    url           TEXT NOT NULL,
    pool_user     TEXT NOT NULL,
    pool_password TEXT NOT NULL
);

CREATE INDEX edge_pools_serial ON edge_pools (serial);

-- Of each rig that was ever sold, as of a position in the journal.
CREATE TABLE edge_routes (
    rig      BIGINT PRIMARY KEY,
    serial   BIGINT NOT NULL,
    position BIGINT NOT NULL,
    -- Of each running delivery, separated by semicolons: delivery,bid,pool/pool/...,valid until,most work,highest difficulty,
    -- hashrate,allowance. Empty: the rig is unsold.
    routes   TEXT NOT NULL,
    unsold   BIGINT NOT NULL                                -- hashrate of a partly sold rig that its fallback pool gets
);

CREATE INDEX edge_routes_serial ON edge_routes (serial);

-- MARK: What they report

-- Taken in order by the server that writes, made commands, and deleted when those are committed.
CREATE TABLE edge_reports (
    id       BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    edge     BIGINT NOT NULL,
    at       BIGINT NOT NULL,
    -- started, rig online, offline, measured, pools unusable, under-delivered, worker came, block found, block judged
    kind     INTEGER NOT NULL CHECK (kind BETWEEN 1 AND 9),
    subject  BIGINT NOT NULL,                               -- the rig, the delivery, or the worker's farm
    session  BIGINT NOT NULL,                               -- the rig's; of `started`, below which all are over; the request; the verdict
    value    BIGINT NOT NULL,                               -- the version mask, the hashrate, or the pool's error code
    reason   TEXT NOT NULL,                                 -- or the worker's name
    body     BYTEA CHECK ((kind IN (8, 9)) = (body IS NOT NULL))  -- the block as the journal has it, or its hash
);

-- Answers to edges whose workers cannot become rigs. The edge takes them away; those that nobody takes go after a minute.
CREATE TABLE edge_refusals (
    id      BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    edge    BIGINT NOT NULL,
    request BIGINT NOT NULL,
    reason  TEXT NOT NULL,                                  -- for the miner
    at      TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp()
);

CREATE INDEX edge_refusals_edge ON edge_refusals (edge);

-- Where rigs have been: a delivery is complete when every edge that had its rig says so.
CREATE TABLE edge_places (
    rig     BIGINT NOT NULL,
    edge    BIGINT NOT NULL,
    left_at BIGINT,                                         -- when it was at another edge; NULL: nowhere else since
    PRIMARY KEY (rig, edge)
);

-- Up to now there was one edge.
INSERT INTO edge_places (rig, edge) SELECT id, 1 FROM rigs WHERE last_session > 0;

-- Live figures of an edge's rigs, compact binary. Worth nothing after a crash.
CREATE UNLOGGED TABLE edge_figures (
    edge BIGINT PRIMARY KEY,
    at   BIGINT NOT NULL,
    body BYTEA NOT NULL
);

-- MARK: Roles

-- What a server may do with all this, and what an edge may do at all.
CREATE FUNCTION hashspot_grant_edge_roles() RETURNS VOID LANGUAGE plpgsql AS $$
DECLARE
    relation TEXT;
BEGIN
    IF to_regrole('hashspot_writer') IS NOT NULL THEN
        GRANT SELECT, INSERT, UPDATE ON edges, edge_feed, edge_rigs, edge_farms, edge_pools, edge_routes, edge_places, edge_figures
            TO hashspot_writer;
        GRANT SELECT, INSERT, DELETE ON edge_reports, edge_refusals TO hashspot_writer;
    END IF;
    IF to_regrole('hashspot_edge') IS NOT NULL THEN
        EXECUTE format('GRANT USAGE ON SCHEMA %I TO hashspot_edge', current_schema());
        GRANT SELECT ON edge_feed, edge_rigs, edge_farms, edge_pools, edge_routes, schema_migrations TO hashspot_edge;
        GRANT SELECT, INSERT, UPDATE ON edges, edge_figures, meter_slots TO hashspot_edge;
        GRANT SELECT, INSERT ON edge_reports, edge_epochs, batches, jobs, shares TO hashspot_edge;
        GRANT UPDATE (pool_reply, pool_error) ON shares TO hashspot_edge;
        GRANT SELECT, INSERT, DELETE ON waiting_replies TO hashspot_edge;
        GRANT SELECT, DELETE ON edge_refusals TO hashspot_edge;
        GRANT SELECT (id, opened_at) ON deliveries TO hashspot_edge;
        FOREACH relation IN ARRAY ARRAY['meter_slots', 'jobs', 'shares', 'deliveries'] LOOP
            EXECUTE format('DROP POLICY IF EXISTS edge ON %I', relation);
            EXECUTE format('CREATE POLICY edge ON %I TO hashspot_edge USING (true) WITH CHECK (true)', relation);
        END LOOP;
    END IF;
END $$;

ALTER FUNCTION hashspot_grant_roles() RENAME TO hashspot_grant_server_roles;

-- Gives the roles, as far as they exist, what they may do. Can be called again, by the tables' owner.
CREATE FUNCTION hashspot_grant_roles() RETURNS VOID LANGUAGE sql AS $$
    SELECT hashspot_grant_server_roles();
    SELECT hashspot_grant_edge_roles();
$$;

DO $$
BEGIN
    IF to_regrole('hashspot_edge') IS NULL THEN CREATE ROLE hashspot_edge NOLOGIN; END IF;
EXCEPTION WHEN insufficient_privilege OR duplicate_object OR unique_violation THEN NULL;
END $$;

SELECT hashspot_grant_edge_roles();
