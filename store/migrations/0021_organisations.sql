-- The tree of organisations. A node stays when it has ended; what it was before stands in the audit log.
CREATE TABLE organisation (
    row             INTEGER PRIMARY KEY,
    organisation_id BLOB    NOT NULL UNIQUE CHECK (length(organisation_id) = 16),
    parent          INTEGER REFERENCES organisation (row) CHECK (parent <> row),
    kind            TEXT    NOT NULL,
    name            TEXT    NOT NULL,
    number          TEXT,     -- organisation number, 10 digits
    office          TEXT,     -- id of an office
    from_day        INTEGER NOT NULL,  -- seconds at which the first day begins in UTC; the day is one of Stockholm
    until_day       INTEGER CHECK (until_day >= from_day),  -- the last day, likewise; NULL: none
    revision        INTEGER NOT NULL CHECK (revision > 0),
    last_order      BLOB    NOT NULL CHECK (length(last_order) = 16),  -- the order that wrote this revision
    created         INTEGER NOT NULL,
    updated         INTEGER NOT NULL
) STRICT;
CREATE INDEX organisation_of_number ON organisation (number) WHERE number IS NOT NULL;
CREATE INDEX organisation_under ON organisation (parent) WHERE parent IS NOT NULL;
