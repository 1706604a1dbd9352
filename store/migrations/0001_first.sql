-- The first schema. Applied once, in one transaction, and never edited: its SHA-256 is kept.
--
-- Times are whole seconds since 1970, UTC. Serial numbers are one length octet and the content
-- octets, so that their order as blobs is the order of CRL entries; CRL numbers likewise, so that
-- their order is their value's. "sealed" columns are AES-256-GCM under a key of data_key.
-- Rows are appended to plain rowid tables; scattered keys stand in small unique indexes.

CREATE TABLE deployment (
    only        INTEGER PRIMARY KEY CHECK (only = 1),
    environment TEXT    NOT NULL,
    pki         TEXT    NOT NULL,
    instance    TEXT    NOT NULL,
    key_check   BLOB    NOT NULL CHECK (length(key_check) = 32),
    created     INTEGER NOT NULL
) STRICT;

-- Locked in the order status, audit.
CREATE TABLE log_head (
    log       TEXT    PRIMARY KEY CHECK (log IN ('status', 'audit')),
    epoch     INTEGER NOT NULL CHECK (epoch >= 1),
    size      INTEGER NOT NULL CHECK (size >= 0),
    frontier  BLOB    NOT NULL,
    last_time INTEGER NOT NULL
) STRICT;

CREATE TABLE status_entry (
    epoch        INTEGER NOT NULL,
    idx          INTEGER NOT NULL,
    entry        BLOB    NOT NULL,
    clock_behind INTEGER NOT NULL,  -- seconds the clock was behind the log; 0 within tolerance
    PRIMARY KEY (epoch, idx)
) STRICT, WITHOUT ROWID;

CREATE TABLE audit_leaf (
    epoch        INTEGER NOT NULL,
    idx          INTEGER NOT NULL,
    leaf         BLOB    NOT NULL,
    clock_behind INTEGER NOT NULL,
    PRIMARY KEY (epoch, idx)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER status_entry_is_not_updated BEFORE UPDATE ON status_entry
BEGIN SELECT RAISE(ABORT, 'status_entry is append-only'); END;
CREATE TRIGGER status_entry_is_not_deleted BEFORE DELETE ON status_entry
BEGIN SELECT RAISE(ABORT, 'status_entry is append-only'); END;
CREATE TRIGGER audit_leaf_is_not_updated BEFORE UPDATE ON audit_leaf
BEGIN SELECT RAISE(ABORT, 'audit_leaf is append-only'); END;
CREATE TRIGGER audit_leaf_is_not_deleted BEFORE DELETE ON audit_leaf
BEGIN SELECT RAISE(ABORT, 'audit_leaf is append-only'); END;

-- Salt and payload of a leaf, sealed together: 32 octets of salt, then the payload.
CREATE TABLE audit_payload (
    row    INTEGER PRIMARY KEY,
    epoch  INTEGER NOT NULL,
    idx    INTEGER NOT NULL,
    sealed BLOB    NOT NULL,
    UNIQUE (epoch, idx),
    FOREIGN KEY (epoch, idx) REFERENCES audit_leaf (epoch, idx)
) STRICT;

-- Subject: one letter (d deployment, h holder, o order) and its id; a holder's is a blind index.
-- Deleting a row is how a subject is forgotten. AUTOINCREMENT: a number is never given again.
CREATE TABLE data_key (
    number  INTEGER PRIMARY KEY AUTOINCREMENT,
    subject BLOB    NOT NULL UNIQUE,
    wrapped BLOB    NOT NULL
) STRICT;

CREATE TABLE issuer (
    row              INTEGER PRIMARY KEY,
    issuer_id        BLOB    NOT NULL UNIQUE CHECK (length(issuer_id) = 32),
    name             TEXT    NOT NULL UNIQUE,
    certificate      BLOB    NOT NULL,
    subject          BLOB    NOT NULL,
    spki             BLOB    NOT NULL,
    spki_sha256      BLOB    NOT NULL CHECK (length(spki_sha256) = 32),
    ski              BLOB,
    not_before       INTEGER NOT NULL,
    not_after        INTEGER NOT NULL,
    origin           TEXT    NOT NULL CHECK (origin IN ('ceremony', 'imported', 'issued')),
    keeping          TEXT    NOT NULL CHECK (keeping IN ('offline', 'online')),
    crl_number_floor BLOB,
    crl_settings     TEXT    NOT NULL,
    ref_epoch        INTEGER NOT NULL,
    ref_idx          INTEGER NOT NULL,
    FOREIGN KEY (ref_epoch, ref_idx) REFERENCES status_entry (epoch, idx)
) STRICT;
CREATE INDEX issuer_by_key ON issuer (spki_sha256);

CREATE TABLE orders (
    row         INTEGER PRIMARY KEY,
    order_id    BLOB    NOT NULL UNIQUE CHECK (length(order_id) = 16),
    client      TEXT    NOT NULL,
    method      TEXT    NOT NULL,
    path        TEXT    NOT NULL,
    key         TEXT    NOT NULL,
    body_sha256 BLOB    NOT NULL CHECK (length(body_sha256) = 32),
    state       TEXT    NOT NULL CHECK (state IN ('running', 'open', 'done')),
    node        TEXT    NOT NULL,
    boot        BLOB    NOT NULL CHECK (length(boot) = 16),
    created     INTEGER NOT NULL,
    updated     INTEGER NOT NULL,
    UNIQUE (client, method, path, key)
) STRICT;
CREATE INDEX orders_without_answer ON orders (state) WHERE state <> 'done';

-- Apart from orders, whose rows are updated: what is large is written once.
CREATE TABLE order_body (
    order_row INTEGER PRIMARY KEY REFERENCES orders (row),
    sealed    BLOB    NOT NULL
) STRICT;
CREATE TABLE order_response (
    order_row    INTEGER PRIMARY KEY REFERENCES orders (row),
    status       INTEGER NOT NULL,
    content_type TEXT    NOT NULL,
    sealed       BLOB    NOT NULL
) STRICT;

-- Every serial number that an issuer has ever used: reserved, issued, imported, or known from the
-- log or a CRL alone (ISS-03). State and times are a projection of the status log at (epoch, idx).
CREATE TABLE serial (
    row               INTEGER PRIMARY KEY,
    issuer            INTEGER NOT NULL REFERENCES issuer (row),
    serial            BLOB    NOT NULL CHECK (length(serial) BETWEEN 2 AND 21),
    state             TEXT    NOT NULL CHECK (state IN (
        'reserved', 'issued', 'activated', 'held-issued', 'held-activated', 'revoked', 'voided')),
    reason            INTEGER,
    effective         INTEGER NOT NULL,
    invalidity        INTEGER,
    not_after         INTEGER NOT NULL,
    before_activation TEXT    NOT NULL CHECK (before_activation IN ('good', 'held')),
    after_expiry      TEXT    NOT NULL CHECK (after_expiry IN ('kept', 'unknown')),
    requested_at      INTEGER,
    epoch             INTEGER,
    idx               INTEGER,
    listed            INTEGER NOT NULL CHECK (listed IN (0, 1)),  -- on CRLs until not_after
    UNIQUE (issuer, serial),
    CHECK ((state = 'reserved') = (epoch IS NULL)),
    FOREIGN KEY (epoch, idx) REFERENCES status_entry (epoch, idx)
) STRICT;
CREATE INDEX serial_listed ON serial (issuer, serial) WHERE listed = 1;

CREATE TABLE intent (
    row            INTEGER PRIMARY KEY,
    intent_id      BLOB    NOT NULL UNIQUE CHECK (length(intent_id) = 16),
    kind           TEXT    NOT NULL CHECK (kind IN ('certificate', 'crl', 'ocsp-delegate')),
    issuer         INTEGER NOT NULL REFERENCES issuer (row),
    order_row      INTEGER REFERENCES orders (row),
    certificate_id BLOB,
    serial_row     INTEGER UNIQUE REFERENCES serial (row),
    algorithm      TEXT    NOT NULL,
    digest         BLOB    NOT NULL CHECK (length(digest) = 32),
    node           TEXT    NOT NULL,
    boot           BLOB    NOT NULL CHECK (length(boot) = 16),
    state          TEXT    NOT NULL CHECK (state IN ('open', 'fulfilled', 'voided')),
    created        INTEGER NOT NULL,
    failed_tries   INTEGER NOT NULL,
    first_failure  INTEGER,
    data_key       INTEGER,
    CHECK ((kind = 'crl') = (order_row IS NULL)),
    CHECK ((kind = 'crl') = (serial_row IS NULL)),
    CHECK ((kind = 'crl') = (certificate_id IS NULL))
) STRICT;
CREATE INDEX intent_open ON intent (state) WHERE state = 'open';
-- No order has two certificates, or a certificate and another one on its way (promise 2).
CREATE UNIQUE INDEX intent_one_live_per_order ON intent (order_row)
    WHERE order_row IS NOT NULL AND state <> 'voided';

-- The to-be-signed bytes; those of a CRL lie in a spool file.
CREATE TABLE intent_bytes (
    intent INTEGER PRIMARY KEY REFERENCES intent (row),
    sealed BLOB    NOT NULL
) STRICT;

CREATE TABLE certificate (
    row            INTEGER PRIMARY KEY,
    certificate_id BLOB    NOT NULL UNIQUE CHECK (length(certificate_id) = 16),
    serial_row     INTEGER NOT NULL UNIQUE REFERENCES serial (row),
    order_row      INTEGER UNIQUE REFERENCES orders (row),
    origin         TEXT    NOT NULL CHECK (origin IN ('ceremony', 'imported', 'issued')),
    profile        TEXT,
    profile_sha256 BLOB,
    policy         TEXT,
    not_before     INTEGER NOT NULL,
    not_after      INTEGER NOT NULL,
    sha256         BLOB    NOT NULL UNIQUE CHECK (length(sha256) = 32),
    spki_sha256    BLOB    NOT NULL CHECK (length(spki_sha256) = 32),
    defects        TEXT,
    data_key       INTEGER,            -- NULL: der and holder lie open
    der            BLOB    NOT NULL,
    holder         BLOB,
    CHECK (origin <> 'issued' OR (order_row IS NOT NULL AND profile IS NOT NULL))
) STRICT;
CREATE INDEX certificate_by_key ON certificate (spki_sha256);

CREATE TABLE blind_index (
    tag         TEXT    NOT NULL,
    hmac        BLOB    NOT NULL CHECK (length(hmac) = 32),
    certificate INTEGER NOT NULL REFERENCES certificate (row),
    PRIMARY KEY (tag, hmac, certificate)
) STRICT, WITHOUT ROWID;
CREATE INDEX blind_index_by_certificate ON blind_index (certificate);

CREATE TABLE crl (
    row         INTEGER PRIMARY KEY,
    issuer      INTEGER NOT NULL REFERENCES issuer (row),
    scope       TEXT    NOT NULL,
    number      BLOB    NOT NULL CHECK (length(number) BETWEEN 2 AND 21),
    state       TEXT    NOT NULL CHECK (state IN ('intended', 'signed', 'given-up')),
    intent      INTEGER UNIQUE REFERENCES intent (row),  -- NULL: signed elsewhere
    epoch       INTEGER,
    idx         INTEGER,
    this_update INTEGER NOT NULL,
    next_update INTEGER NOT NULL,
    sha256      BLOB,
    length      INTEGER,
    signature   BLOB,   -- lets the file be put together again from its spool file
    published   INTEGER,
    UNIQUE (issuer, scope, number),
    CHECK (state <> 'signed' OR (sha256 IS NOT NULL AND length IS NOT NULL))
) STRICT;

CREATE TABLE lease (
    name    TEXT    PRIMARY KEY,
    node    TEXT    NOT NULL,
    boot    BLOB    NOT NULL,
    until   INTEGER NOT NULL,
    fencing INTEGER NOT NULL
) STRICT;

-- The last one of each epoch.
CREATE TABLE published_checkpoint (
    log     TEXT    NOT NULL CHECK (log IN ('status', 'audit')),
    epoch   INTEGER NOT NULL,
    size    INTEGER NOT NULL,
    note    BLOB    NOT NULL,
    fencing INTEGER NOT NULL,
    PRIMARY KEY (log, epoch)
) STRICT;
CREATE TRIGGER published_checkpoint_never_shrinks BEFORE UPDATE ON published_checkpoint
WHEN NEW.size < OLD.size OR NEW.fencing < OLD.fencing
BEGIN SELECT RAISE(ABORT, 'a smaller checkpoint is never published after a larger'); END;

CREATE TABLE client (
    name     TEXT    PRIMARY KEY,
    roles    TEXT    NOT NULL,  -- JSON array of strings
    profiles TEXT    NOT NULL,  -- JSON array of strings
    state    TEXT    NOT NULL CHECK (state IN ('active', 'disabled')),
    updated  INTEGER NOT NULL
) STRICT;
CREATE TABLE client_key (
    spki_sha256 BLOB PRIMARY KEY CHECK (length(spki_sha256) = 32),
    client      TEXT NOT NULL REFERENCES client (name)
) STRICT;

CREATE TABLE responder (
    name        TEXT    PRIMARY KEY,
    spki_sha256 BLOB    NOT NULL UNIQUE,
    spki        BLOB    NOT NULL,
    counter     INTEGER NOT NULL,
    enrolled    INTEGER NOT NULL
) STRICT;
