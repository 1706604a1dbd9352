-- Statements of administrators that were taken, until nobody could send them again; and who signed, as a keyed hash alone.
CREATE TABLE administrator (
    row              INTEGER PRIMARY KEY,
    administrator_id BLOB    NOT NULL UNIQUE CHECK (length(administrator_id) = 16),  -- drawn; stands in audit leaves
    name             BLOB    NOT NULL UNIQUE CHECK (length(name) = 32),
    created          INTEGER NOT NULL
) STRICT;
CREATE TABLE actor_statement (
    row           INTEGER PRIMARY KEY,
    name          BLOB    NOT NULL UNIQUE CHECK (length(name) = 32),  -- of whose key signed, and the statement's jti
    signed        BLOB    NOT NULL CHECK (length(signed) = 32),       -- SHA-256 of what was signed
    administrator INTEGER NOT NULL REFERENCES administrator (row),
    until         INTEGER NOT NULL  -- the last second at which it counts
) STRICT;
CREATE INDEX actor_statement_until ON actor_statement (until);
