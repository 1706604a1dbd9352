-- RSA moduli of all certificates, each key once, for the nightly look for shared primes. Public keys lie open, as their hashes do.
CREATE TABLE rsa_key (
    row         INTEGER PRIMARY KEY,
    spki_sha256 BLOB    NOT NULL UNIQUE CHECK (length(spki_sha256) = 32),
    modulus     BLOB    NOT NULL
) STRICT;
-- How far the survey has come: the last row of certificate whose key was collected, and of rsa_key that was compared.
CREATE TABLE key_survey (
    only      INTEGER PRIMARY KEY CHECK (only = 1),
    collected INTEGER NOT NULL,
    compared  INTEGER NOT NULL
) STRICT;
INSERT INTO key_survey (only, collected, compared) VALUES (1, 0, 0);
