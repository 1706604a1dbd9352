-- Carriers before the first certificate on them. Once there is one, stage is NULL: where the carrier stands follows from its eIDs.
ALTER TABLE carrier ADD COLUMN stage TEXT;
ALTER TABLE carrier ADD COLUMN organisation TEXT; -- number of the one that it was registered for; NULL: it came with a certificate
ALTER TABLE carrier ADD COLUMN registered_by BYTEA CHECK (length(registered_by) = 16); -- the order of the call that registered it, by which a repeated one finds it
CREATE INDEX carrier_in_organisation ON carrier (organisation, row) WHERE organisation IS NOT NULL;
CREATE INDEX carrier_registered_by ON carrier (registered_by) WHERE registered_by IS NOT NULL;
