-- Certificates that were issued after the backup that a database was put back from: of them it has the intent alone. Their
-- keys have holders all the same, and may be compromised (ISS-12).
CREATE TABLE lost_certificate (
    serial_row  INTEGER PRIMARY KEY REFERENCES serial (row),
    spki_sha256 BLOB    NOT NULL CHECK (length(spki_sha256) = 32),
    holder_tag  BLOB    CHECK (length(holder_tag) = 32),
    person_tag  BLOB    CHECK (length(person_tag) = 32)
) STRICT;
CREATE INDEX lost_certificate_by_key ON lost_certificate (spki_sha256);
INSERT INTO lost_certificate
    SELECT intent.serial_row, intent.subject_spki, intent.holder_tag, intent.person_tag FROM intent
    WHERE intent.state = 'fulfilled' AND intent.subject_spki IS NOT NULL AND intent.serial_row IS NOT NULL
        AND NOT EXISTS (SELECT 1 FROM certificate WHERE certificate.serial_row = intent.serial_row);
INSERT OR IGNORE INTO compromised_key
    SELECT lost_certificate.spki_sha256 FROM lost_certificate JOIN serial ON serial.row = lost_certificate.serial_row
    WHERE serial.state = 'revoked' AND serial.reason IN (1, 2, 10);

CREATE TRIGGER key_of_lost_compromised_by_revocation AFTER UPDATE OF state, reason ON serial
WHEN NEW.state = 'revoked' AND NEW.reason IN (1, 2, 10)
BEGIN
    INSERT OR IGNORE INTO compromised_key
        SELECT spki_sha256 FROM lost_certificate WHERE serial_row = NEW.row;
END;
