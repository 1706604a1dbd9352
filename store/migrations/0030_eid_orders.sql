-- Orders for eIDs that are made in several steps. What was said at each step is personal data and lies sealed.
CREATE TABLE eid_order (
    row          INTEGER PRIMARY KEY,
    order_id     BLOB    NOT NULL UNIQUE CHECK (length(order_id) = 16),  -- of the call that made it
    organisation TEXT    NOT NULL,  -- number of the holder's
    routine      TEXT    NOT NULL,
    stage        TEXT    NOT NULL,
    steps        INTEGER NOT NULL CHECK (steps > 0),  -- how many have been taken
    due          INTEGER,  -- the first second at which its deadline is over; NULL: none runs
    term         TEXT,     -- which deadline that is
    created      INTEGER NOT NULL,
    updated      INTEGER NOT NULL
) STRICT;
CREATE INDEX eid_order_due ON eid_order (due) WHERE due IS NOT NULL;
CREATE INDEX eid_order_in_organisation ON eid_order (organisation, row);
CREATE TABLE eid_order_step (
    row       INTEGER PRIMARY KEY,
    eid_order INTEGER NOT NULL REFERENCES eid_order (row),
    number    INTEGER NOT NULL CHECK (number > 0),  -- the first is 1
    call      BLOB    NOT NULL UNIQUE CHECK (length(call) = 16),  -- the order of the call that took it, by which a repeated one finds it
    act       TEXT    NOT NULL,
    stage     TEXT    NOT NULL,  -- where it led
    client    TEXT    NOT NULL,
    at        INTEGER NOT NULL,
    sealed    BLOB    NOT NULL,
    data_key  INTEGER NOT NULL,  -- number of the key that it is sealed under
    UNIQUE (eid_order, number)
) STRICT;
CREATE INDEX eid_order_step_of_key ON eid_order_step (data_key);
