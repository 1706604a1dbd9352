-- What one person asks for and another one approves. What they said is personal data and lies sealed.
CREATE TABLE approval (
    row           INTEGER PRIMARY KEY,
    approval_id   BLOB    NOT NULL UNIQUE CHECK (length(approval_id) = 16),  -- of the order of the call that asked
    operation     TEXT    NOT NULL,
    hash          BLOB    NOT NULL CHECK (length(hash) = 32),  -- of the call
    organisations TEXT,     -- ids of those that the asker was limited to; NULL: everywhere
    protected     INTEGER NOT NULL CHECK (protected IN (0, 1)),
    asker         INTEGER NOT NULL REFERENCES administrator (row),
    asker_eid     BLOB CHECK (length(asker_eid) = 16),  -- id of the certificate that he signed with
    stage         TEXT    NOT NULL,
    created       INTEGER NOT NULL,
    ends          INTEGER NOT NULL,  -- the first second at which it counts no more
    said          BLOB    NOT NULL,
    decider       INTEGER REFERENCES administrator (row),  -- who decided or withdrew last
    decider_eid   BLOB CHECK (length(decider_eid) = 16),
    moved         INTEGER,
    moved_by      BLOB CHECK (length(moved_by) = 16),  -- the order of that call
    decision      BLOB,
    used          INTEGER,
    used_by       BLOB CHECK (length(used_by) = 16)  -- the order of the call that it was approved for
) STRICT;
-- Configurations that two persons have activated; the newest row is the one that holds.
CREATE TABLE activated_configuration (
    row        INTEGER PRIMARY KEY,
    hash       BLOB    NOT NULL CHECK (length(hash) = 32),  -- of the manifest
    manifest   TEXT    NOT NULL,
    persons    TEXT    NOT NULL,  -- who may activate the next one
    statements TEXT    NOT NULL,  -- of those who activated it
    activated  INTEGER NOT NULL
) STRICT;
