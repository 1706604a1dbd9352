-- Jobs that revoke many certificates (REV-09, REV-11). A column of the selection that is NULL selects nothing away; those of
-- the running job are all that its next step needs, so a crash between two steps loses and repeats nothing.
CREATE TABLE job (
    row              INTEGER PRIMARY KEY,
    job_id           BLOB    NOT NULL UNIQUE CHECK (length(job_id) = 16),
    state            TEXT    NOT NULL CHECK (state IN (
        'draft', 'selecting', 'forecast', 'waiting', 'running', 'paused', 'cancelled', 'done')),
    client           TEXT    NOT NULL,
    actor            TEXT    NOT NULL,
    note             TEXT    NOT NULL,
    created          INTEGER NOT NULL,
    updated          INTEGER NOT NULL,
    reason           INTEGER,
    corrects         TEXT    NOT NULL,  -- JSON: codes of recorded reasons that this one corrects; -1 for none
    wave_size        INTEGER NOT NULL CHECK (wave_size > 0),
    wave_pause       INTEGER NOT NULL CHECK (wave_pause >= 0),
    -- What it selects.
    issuer           BLOB,
    profile          TEXT,
    profile_sha256   BLOB,
    policy           TEXT,
    algorithm        TEXT,
    orderer          TEXT,
    issued_from      INTEGER,
    issued_until     INTEGER,
    excluded         TEXT    NOT NULL,  -- JSON: names of profiles
    -- How far the selection has come: in job_term where the job has lists, in certificate where it has none.
    cursor           INTEGER NOT NULL DEFAULT 0,
    cursor_end       INTEGER NOT NULL DEFAULT 0,
    last_certificate INTEGER NOT NULL DEFAULT 0,
    -- What was frozen.
    items            INTEGER,
    unmatched        INTEGER,
    holders          INTEGER,
    operation        BLOB    CHECK (length(operation) = 32),
    -- Who agreed.
    approver         TEXT,
    approver_actor   TEXT,
    approved         INTEGER,
    -- How far it has run.
    started          INTEGER,
    next_at          INTEGER NOT NULL DEFAULT 0,
    done_row         INTEGER NOT NULL DEFAULT 0,
    wave             INTEGER NOT NULL DEFAULT 0,
    wave_left        INTEGER NOT NULL DEFAULT 0,
    revoked          INTEGER NOT NULL DEFAULT 0,
    corrected        INTEGER NOT NULL DEFAULT 0,
    already          INTEGER NOT NULL DEFAULT 0,
    CHECK ((operation IS NULL) = (items IS NULL)),
    CHECK (state NOT IN ('forecast', 'waiting', 'running', 'paused', 'done') OR operation IS NOT NULL)
) STRICT;
CREATE INDEX job_at_work ON job (state) WHERE state IN ('selecting', 'running');

-- What a list names: the hash of a key, a blind index of a card number, an issuer and serial, or the id of a certificate.
CREATE TABLE job_term (
    row   INTEGER PRIMARY KEY,
    job   INTEGER NOT NULL REFERENCES job (row),
    tag   TEXT    NOT NULL CHECK (tag IN ('key', 'card', 'serial', 'certificate')),
    value BLOB    NOT NULL,
    UNIQUE (job, tag, value)
) STRICT;

CREATE TABLE job_item (
    job        INTEGER NOT NULL REFERENCES job (row),
    serial_row INTEGER NOT NULL REFERENCES serial (row),
    PRIMARY KEY (job, serial_row)
) STRICT, WITHOUT ROWID;

-- The forecast of each authority, as of the freezing.
CREATE TABLE job_part (
    job        INTEGER NOT NULL REFERENCES job (row),
    issuer     INTEGER NOT NULL REFERENCES issuer (row),
    items      INTEGER NOT NULL,
    listed     INTEGER NOT NULL,
    crl_octets INTEGER NOT NULL,
    unlisted   INTEGER NOT NULL,
    octets     INTEGER NOT NULL,
    PRIMARY KEY (job, issuer)
) STRICT, WITHOUT ROWID;

CREATE TABLE job_wave (
    job    INTEGER NOT NULL REFERENCES job (row),
    wave   INTEGER NOT NULL,
    begun  INTEGER NOT NULL,
    ended  INTEGER,
    items  INTEGER NOT NULL,
    epoch  INTEGER,
    idx    INTEGER,
    PRIMARY KEY (job, wave)
) STRICT, WITHOUT ROWID;

-- What is frozen stays.
CREATE TRIGGER job_operation_stays BEFORE UPDATE OF operation ON job
WHEN OLD.operation IS NOT NULL AND NEW.operation IS NOT OLD.operation
BEGIN SELECT RAISE(ABORT, 'the operation of a job is frozen'); END;
CREATE TRIGGER job_item_is_frozen BEFORE INSERT ON job_item
WHEN (SELECT state FROM job WHERE row = NEW.job) <> 'selecting'
BEGIN SELECT RAISE(ABORT, 'the selection of a job is frozen'); END;
CREATE TRIGGER job_item_stays BEFORE DELETE ON job_item
BEGIN SELECT RAISE(ABORT, 'the selection of a job is frozen'); END;

-- Certificates that a client has revoked or held by its own word alone in an hour of UTC (REV-09).
CREATE TABLE revoked_hour (
    client  TEXT    NOT NULL,
    hour    INTEGER NOT NULL,
    revoked INTEGER NOT NULL CHECK (revoked >= 0),
    PRIMARY KEY (client, hour)
) STRICT, WITHOUT ROWID;
