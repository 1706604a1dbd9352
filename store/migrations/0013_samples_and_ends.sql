-- A profile has a sample for each kind of identity that the table leads to it by, made by the way of an order: `kind` is the kind, or
-- `direct` for calls without an order. `book` is the SHA-256 of the book that decided. What was recorded before was made in another way
-- and compares with nothing.
DROP TABLE profile_canary;
CREATE TABLE profile_canary (
    profile  TEXT    NOT NULL,
    sha256   BLOB    NOT NULL CHECK (length(sha256) = 32),
    kind     TEXT    NOT NULL,
    book     BLOB    NOT NULL CHECK (length(book) = 32),
    result   TEXT    NOT NULL,
    engine   TEXT    NOT NULL,
    recorded INTEGER NOT NULL,
    PRIMARY KEY (profile, sha256, kind)
) STRICT, WITHOUT ROWID;

-- What says when a certificate ends: profile, order, carrier, issuer, or the name of a dated rule. NULL of what was recorded before, and
-- of what was taken in.
ALTER TABLE certificate ADD COLUMN ended_by TEXT;
