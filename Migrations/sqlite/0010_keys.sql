-- API keys with scopes, networks, expiry, secrets that are renewed, and signing secrets.

CREATE TABLE access_keys (
    id           BIGINT PRIMARY KEY,
    account      BIGINT NOT NULL REFERENCES accounts (id),
    name         TEXT UNIQUE,                     -- what signing clients call it; NULL for bearer keys
    label        TEXT NOT NULL,
    scopes       TEXT NOT NULL,                   -- comma-separated: read, trade, rigs, finance, admin
    networks     TEXT NOT NULL,                   -- comma-separated CIDR; empty: from anywhere
    expires_at   BIGINT,                          -- NULL: until it is revoked
    created_at   BIGINT NOT NULL,
    created_by   BIGINT REFERENCES access_keys (id),  -- NULL: an operator
    revoked_at   BIGINT,
    last_used_at BIGINT                           -- to the hour or so
);

-- The newest secret of a key, and the one before it while that is good.
CREATE TABLE access_key_secrets (
    key      BIGINT NOT NULL REFERENCES access_keys (id),
    number   BIGINT NOT NULL CHECK (number >= 1),
    digest   BLOB UNIQUE,                         -- of bearer keys: SHA-256; the secret itself is nowhere
    sealed   BLOB,                                -- of signed keys: AES-GCM under the master key
    made_at  BIGINT NOT NULL,
    until_at BIGINT,                              -- NULL: as long as the key
    PRIMARY KEY (key, number),
    CHECK ((digest IS NULL) <> (sealed IS NULL))
);

-- What a repeated request for a key or a new secret is answered with.
CREATE TABLE access_key_requests (
    account     BIGINT NOT NULL REFERENCES accounts (id),
    request_key TEXT NOT NULL,
    digest      BLOB NOT NULL,                    -- SHA-256 of the request
    key         BIGINT NOT NULL REFERENCES access_keys (id),
    made_at     BIGINT NOT NULL,
    PRIMARY KEY (account, request_key)
);

CREATE INDEX access_keys_account ON access_keys (account, id);

-- The keys that there were give all that their accounts' roles do. Nothing reads api_keys any more.
INSERT INTO access_keys (id, account, label, scopes, networks, created_at, revoked_at)
SELECT row_number() OVER (ORDER BY created_at, digest), account, 'first key', 'read,trade,rigs,finance,admin', '', created_at, revoked_at
FROM api_keys;

INSERT INTO access_key_secrets (key, number, digest, made_at)
SELECT row_number() OVER (ORDER BY created_at, digest), 1, digest, created_at FROM api_keys;

DELETE FROM api_keys;
