-- Which audit leaf tells that something of a person was shown. Whose it is follows from the ids, and is not said here.
CREATE TABLE shown (
    object BYTEA NOT NULL CHECK (length(object) IN (16, 32)), -- id of a certificate, an eID or an order; 32: the person, as in eid.holder
    epoch BIGINT NOT NULL, -- of the leaf
    idx BIGINT NOT NULL,
    PRIMARY KEY (object, epoch, idx)
);
-- What is a person's is found by him.
CREATE INDEX intent_of_person ON intent (person_tag) WHERE person_tag IS NOT NULL;
CREATE INDEX intent_of_subject ON intent (holder_tag) WHERE person_tag IS NULL AND holder_tag IS NOT NULL;
CREATE INDEX certificate_of_person ON certificate (person_tag) WHERE person_tag IS NOT NULL;
CREATE INDEX eid_order_of_person ON eid_order (person_tag) WHERE person_tag IS NOT NULL;
CREATE INDEX eid_order_of_subject ON eid_order (holder_tag) WHERE person_tag IS NULL AND holder_tag IS NOT NULL;
