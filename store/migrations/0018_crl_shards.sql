-- Shards of CRLs: which certificates share a small list beside the full one. Number 0 is of no list: what a restored database
-- knows by its serial number alone may be in any shard of its issuer, and stands on the lists of all.
CREATE TABLE crl_shard (
    row    INTEGER PRIMARY KEY,
    issuer INTEGER NOT NULL REFERENCES issuer (row),
    number INTEGER NOT NULL CHECK (number BETWEEN 0 AND 999999),
    scope  TEXT    NOT NULL,  -- of its CRLs: the number in six digits
    url    TEXT    NOT NULL,  -- in its certificates and in its list
    places INTEGER NOT NULL CHECK (places >= 0),  -- that are left
    ends   INTEGER,           -- it takes no certificates from then on; NULL: it has none yet
    UNIQUE (issuer, number)
) STRICT;
ALTER TABLE serial ADD COLUMN shard INTEGER REFERENCES crl_shard (row);
CREATE INDEX serial_in_shard ON serial (shard, epoch, idx) WHERE shard IS NOT NULL;
CREATE INDEX serial_ends_in_shard ON serial (shard, not_after) WHERE shard IS NOT NULL;
CREATE INDEX serial_listed_in_shard ON serial (shard, serial) WHERE shard IS NOT NULL AND listed = 1;
