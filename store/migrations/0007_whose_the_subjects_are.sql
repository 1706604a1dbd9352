-- One key belongs to one person, who may have more than one subject (an HSA-id and a personal identity number). The person that an
-- order is for, or that an import names, is kept as a keyed hash beside that of the subject; NULL where nobody said.
ALTER TABLE intent ADD COLUMN person_tag BLOB CHECK (length(person_tag) = 32);
ALTER TABLE certificate ADD COLUMN person_tag BLOB CHECK (length(person_tag) = 32);
-- Whose a subject is, of which a certificate from elsewhere says no more.
CREATE INDEX intent_by_holder ON intent (holder_tag, person_tag) WHERE person_tag IS NOT NULL;
