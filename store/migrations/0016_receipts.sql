-- Receipts of revocations (promise 4): the signed note, and what it receipts. One note may receipt several revocations; a
-- revocation, or a hold, has one receipt of each method, the first.
CREATE TABLE receipt (
    row      INTEGER PRIMARY KEY,
    note     TEXT    NOT NULL,
    recorded INTEGER NOT NULL
) STRICT;
CREATE TABLE receipt_entry (
    serial_row INTEGER NOT NULL REFERENCES serial (row),
    method     TEXT    NOT NULL CHECK (method IN ('ocsp', 'crl')),
    epoch      INTEGER NOT NULL,
    idx        INTEGER NOT NULL,
    revoked    INTEGER NOT NULL,  -- the revocation date that was seen
    seen       INTEGER NOT NULL,  -- when the last point had seen it
    receipt    INTEGER NOT NULL REFERENCES receipt (row),
    PRIMARY KEY (serial_row, method, epoch, idx)
) STRICT, WITHOUT ROWID;
