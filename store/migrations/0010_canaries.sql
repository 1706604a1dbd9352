-- What a version of a profile makes of a fixed sample: SHA-256 of the certificate in hexadecimal, or the code of its
-- refusal. What the program makes of the same version later is compared with it at every start.
CREATE TABLE profile_canary (
    profile  TEXT    NOT NULL,
    sha256   BLOB    NOT NULL CHECK (length(sha256) = 32),
    result   TEXT    NOT NULL,
    engine   TEXT    NOT NULL,
    recorded INTEGER NOT NULL,
    PRIMARY KEY (profile, sha256)
) STRICT, WITHOUT ROWID;
