-- Certificates of the management plane, which TLS of the API rests on. They stand apart from serial,
-- intent and certificate: their issuer is in no status log, and nothing of them crosses to the outer zone.
CREATE TABLE management_certificate (
    row          INTEGER PRIMARY KEY,
    intent_id    BLOB    NOT NULL UNIQUE CHECK (length(intent_id) = 16),
    order_row    INTEGER REFERENCES orders (row),  -- NULL: not asked for by a call
    role         TEXT    NOT NULL CHECK (role IN ('client', 'server')),
    name         TEXT    NOT NULL,
    pinned       BLOB    CHECK (length(pinned) = 32),  -- the client's key in the configuration
    serial       BLOB    NOT NULL UNIQUE CHECK (length(serial) BETWEEN 2 AND 21),
    spki_sha256  BLOB    NOT NULL CHECK (length(spki_sha256) = 32),
    not_after    INTEGER NOT NULL,
    algorithm    TEXT    NOT NULL,
    digest       BLOB    NOT NULL CHECK (length(digest) = 32),
    to_be_signed BLOB    NOT NULL,                 -- sealed
    node         TEXT    NOT NULL,
    boot         BLOB    NOT NULL CHECK (length(boot) = 16),
    state        TEXT    NOT NULL CHECK (state IN ('open', 'issued', 'voided')),
    created      INTEGER NOT NULL,
    issued       INTEGER,
    der          BLOB,
    CHECK ((role = 'client') = (pinned IS NOT NULL)),
    CHECK ((state = 'issued') = (der IS NOT NULL)),
    CHECK ((state = 'issued') = (issued IS NOT NULL))
) STRICT;
-- One key names one client or server, once.
CREATE UNIQUE INDEX management_key_once ON management_certificate (spki_sha256) WHERE state = 'issued';
CREATE UNIQUE INDEX management_one_live_per_order ON management_certificate (order_row)
    WHERE order_row IS NOT NULL AND state <> 'voided';
