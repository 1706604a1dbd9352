-- Carriers and the eIDs on them, as orders have said since this version. Who holds one and which card it is stand as keyed hashes alone.
CREATE TABLE carrier (
    row        INTEGER PRIMARY KEY,
    carrier_id BLOB    NOT NULL UNIQUE CHECK (length(carrier_id) = 16),
    kind       TEXT    NOT NULL,
    family     TEXT    NOT NULL,
    card       BLOB    UNIQUE CHECK (length(card) = 32),  -- of its number; NULL: it has none
    revoked    INTEGER,  -- since when nothing comes onto it any more
    created    INTEGER NOT NULL
) STRICT;
CREATE TABLE eid (
    row          INTEGER PRIMARY KEY,
    eid_id       BLOB    NOT NULL UNIQUE CHECK (length(eid_id) = 16),
    carrier      INTEGER NOT NULL REFERENCES carrier (row),
    holder       BLOB    NOT NULL CHECK (length(holder) = 32),
    organisation TEXT    NOT NULL,  -- number of the holder's
    issuing      TEXT,              -- number of the issuing one, where it is another
    created      INTEGER NOT NULL
) STRICT;
CREATE INDEX eid_on_carrier ON eid (carrier, row);
CREATE INDEX eid_in_organisation ON eid (organisation, row);
CREATE INDEX eid_of_holder ON eid (holder, row);
ALTER TABLE certificate ADD COLUMN eid INTEGER REFERENCES eid (row);
CREATE INDEX certificate_of_eid ON certificate (eid) WHERE eid IS NOT NULL;
