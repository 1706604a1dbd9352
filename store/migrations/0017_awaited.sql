-- Revocations and holds that the world has to be seen to show and has not been yet, one a method: a projection of the status log
-- up to `awaited_until`.
CREATE TABLE awaited_until (
    one   INTEGER PRIMARY KEY CHECK (one = 1),
    epoch INTEGER NOT NULL,
    size  INTEGER NOT NULL
) STRICT;
CREATE TABLE awaited (
    row        INTEGER PRIMARY KEY,
    serial_row INTEGER NOT NULL REFERENCES serial (row),
    method     TEXT    NOT NULL CHECK (method IN ('ocsp', 'crl')),
    epoch      INTEGER NOT NULL,
    idx        INTEGER NOT NULL,
    since      INTEGER NOT NULL,  -- log time of the revocation
    UNIQUE (serial_row, method)
) STRICT;

-- What each point saw last of what is awaited.
CREATE TABLE sight (
    awaited   INTEGER NOT NULL REFERENCES awaited (row),
    vantage   TEXT    NOT NULL,
    spki_sha256 BLOB  NOT NULL,  -- its key
    method    TEXT    NOT NULL,
    url       TEXT    NOT NULL,
    seen      INTEGER NOT NULL,  -- of the last observation
    shown     INTEGER,           -- of the first of those that show it without a break; NULL: the last does not
    statement TEXT    NOT NULL,  -- that one, or the last
    PRIMARY KEY (awaited, vantage, method, url)
) STRICT, WITHOUT ROWID;
