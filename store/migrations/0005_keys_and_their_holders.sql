-- One key belongs to one holder. Who the subject of an intent names is kept as a keyed hash, beside the key; a certificate's
-- holder is its intent's. Both are NULL in what was recorded before, and the certificate itself is asked then.
ALTER TABLE intent ADD COLUMN subject_spki BLOB CHECK (length(subject_spki) = 32);
ALTER TABLE intent ADD COLUMN holder_tag  BLOB CHECK (length(holder_tag) = 32);
-- Those that may still become certificates; of the others the certificates themselves are looked up.
CREATE INDEX intent_open_by_key ON intent (subject_spki) WHERE state = 'open' AND subject_spki IS NOT NULL;
