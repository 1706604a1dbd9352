-- What is asked of a key before each of its certificates must not take longer with every certificate that it has.

-- Keys of certificates that were revoked for compromise: of the key, of the CA, of an attribute authority (ISS-12).
CREATE TABLE compromised_key (
    spki_sha256 BLOB PRIMARY KEY CHECK (length(spki_sha256) = 32)
) STRICT, WITHOUT ROWID;
INSERT OR IGNORE INTO compromised_key
    SELECT certificate.spki_sha256 FROM serial JOIN certificate ON certificate.serial_row = serial.row
    WHERE serial.state = 'revoked' AND serial.reason IN (1, 2, 10);

CREATE TRIGGER key_compromised_by_revocation AFTER UPDATE OF state, reason ON serial
WHEN NEW.state = 'revoked' AND NEW.reason IN (1, 2, 10)
BEGIN
    INSERT OR IGNORE INTO compromised_key
        SELECT spki_sha256 FROM certificate WHERE serial_row = NEW.row;
END;
-- A certificate that is taken in may have been revoked before it came.
CREATE TRIGGER key_compromised_by_import AFTER INSERT ON certificate WHEN NEW.origin <> 'issued'
BEGIN
    INSERT OR IGNORE INTO compromised_key
        SELECT NEW.spki_sha256 FROM serial
        WHERE row = NEW.serial_row AND state = 'revoked' AND reason IN (1, 2, 10);
END;

-- Whose the certificates of a key are that has many, each holder once, as of its certificates up to the row `upto`;
-- those after it are read. It says what they say, and may be emptied at any time.
CREATE TABLE key_holder (
    spki_sha256 BLOB    NOT NULL CHECK (length(spki_sha256) = 32),
    holder_tag  BLOB    CHECK (length(holder_tag) = 32),
    person_tag  BLOB    CHECK (length(person_tag) = 32),
    upto        INTEGER NOT NULL
) STRICT;
CREATE INDEX key_holder_by_key ON key_holder (spki_sha256);
