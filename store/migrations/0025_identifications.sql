-- By which identification of its holder an eID was ordered: a keyed hash, the same for the calls of one order. NULL: from before.
ALTER TABLE eid ADD COLUMN proof BLOB CHECK (length(proof) = 32);
CREATE INDEX organisation_of_office ON organisation (office) WHERE office IS NOT NULL;
