-- Revocations that were asked for with a time of the future, and revocation requests that were taken while the CA could not be reached.
CREATE TABLE scheduled_revocation (
    row          INTEGER PRIMARY KEY,
    scheduled_id BLOB    NOT NULL UNIQUE CHECK (length(scheduled_id) = 16),  -- of the call that made it
    reach        TEXT    NOT NULL CHECK (reach IN ('certificate', 'eid', 'carrier', 'holder')),
    what         BLOB    NOT NULL CHECK (length(what) = 16),  -- id of the certificate, eID or carrier; of the eID whose holder it is
    organisation TEXT,              -- number of the one for which it was asked; NULL: of none
    reason       INTEGER,
    event        TEXT,
    client       TEXT    NOT NULL,
    strikes      INTEGER NOT NULL,  -- the second at which it is as if it had been asked for
    state        TEXT    NOT NULL CHECK (state IN ('waiting', 'done', 'cancelled')),
    created      INTEGER NOT NULL,
    ended        INTEGER,           -- when it was carried out or cancelled
    revoked      INTEGER,           -- certificates to which it did something
    CHECK ((state = 'waiting') = (ended IS NULL)),
    CHECK ((state = 'done') = (revoked IS NOT NULL))
) STRICT;
CREATE INDEX scheduled_revocation_due ON scheduled_revocation (strikes) WHERE state = 'waiting';
CREATE INDEX scheduled_revocation_in_organisation ON scheduled_revocation (organisation, row);
CREATE TABLE taken_request (
    row          INTEGER PRIMARY KEY,
    client       TEXT    NOT NULL,
    reference    TEXT    NOT NULL,  -- what stands on the form
    said         BLOB    NOT NULL CHECK (length(said) = 32),  -- hash of what was sent under it
    registered   INTEGER NOT NULL,
    revoked      INTEGER NOT NULL,  -- certificates that were not revoked before
    corrected    INTEGER NOT NULL,  -- those of which a graver reason was noted
    already      INTEGER NOT NULL,  -- those that stood so already
    UNIQUE (client, reference)
) STRICT;
