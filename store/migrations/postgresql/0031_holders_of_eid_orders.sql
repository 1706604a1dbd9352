-- Whose an order of several steps is, as keyed hashes: those of protected persons are passed over. NULL: nobody said, or from before.
ALTER TABLE eid_order ADD COLUMN person_tag BYTEA CHECK (length(person_tag) = 32); -- of the number or passport, as in protected_person.holder
ALTER TABLE eid_order ADD COLUMN holder_tag BYTEA CHECK (length(holder_tag) = 32); -- of the HSA-id, as in intent
