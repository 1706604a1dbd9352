-- What an order of several steps replaces, and by when that ends. NULL: nothing, or from before.
ALTER TABLE eid_order ADD COLUMN replaces_eid BYTEA CHECK (length(replaces_eid) = 16); -- id of the eID
ALTER TABLE eid_order ADD COLUMN replaces_carrier BYTEA CHECK (length(replaces_carrier) = 16); -- or of the carrier, with all that is on it
ALTER TABLE eid_order ADD COLUMN replaces_for TEXT; -- the event
ALTER TABLE eid_order ADD COLUMN replaces_due BIGINT; -- the second at which it is revoked; NULL: none runs
ALTER TABLE eid_order ADD COLUMN replaced BIGINT; -- when it was revoked for this order
CREATE INDEX eid_order_replaces_due ON eid_order (replaces_due) WHERE replaces_due IS NOT NULL;
