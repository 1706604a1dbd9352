-- Versions of profiles that issuing was decided by: name, number and file are one thing for ever (PRO-19). A
-- certificate names its profile and the SHA-256, and so its version; the file says later what it was issued by.
CREATE TABLE profile_version (
    name       TEXT    NOT NULL,
    version    INTEGER NOT NULL CHECK (version > 0),
    sha256     BLOB    NOT NULL UNIQUE CHECK (length(sha256) = 32),
    file       BLOB    NOT NULL,
    first_used INTEGER NOT NULL,
    PRIMARY KEY (name, version)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER profile_version_stays BEFORE UPDATE ON profile_version
BEGIN SELECT RAISE(ABORT, 'a version of a profile is never changed'); END;
CREATE TRIGGER profile_version_is_kept BEFORE DELETE ON profile_version
BEGIN SELECT RAISE(ABORT, 'a version of a profile is never taken away'); END;

-- A replay reads what was issued under one profile, newest first.
CREATE INDEX certificate_by_profile ON certificate (profile, row) WHERE profile IS NOT NULL;
