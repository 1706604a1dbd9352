-- Domains that organisations have stated, and how their control was proved. A withdrawn one stays: its proofs are why certificates were issued.
CREATE TABLE domain (
    row          INTEGER PRIMARY KEY,
    domain_id    BLOB    NOT NULL UNIQUE CHECK (length(domain_id) = 16),
    organisation INTEGER NOT NULL REFERENCES organisation (row),
    name         TEXT    NOT NULL,  -- A-labels in small letters
    token        TEXT,     -- what a proof by token shows; NULL: a proof has used it
    token_given  INTEGER CHECK ((token IS NULL) = (token_given IS NULL)),
    withdrawn    INTEGER,
    last_order   BLOB    NOT NULL CHECK (length(last_order) = 16),  -- the order that wrote it last
    created      INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX domain_of_organisation ON domain (organisation, name) WHERE withdrawn IS NULL;
CREATE INDEX domain_by_name ON domain (name) WHERE withdrawn IS NULL;

CREATE TABLE domain_proof (
    row         INTEGER PRIMARY KEY,
    domain      INTEGER NOT NULL REFERENCES domain (row),
    order_id    BLOB    NOT NULL UNIQUE CHECK (length(order_id) = 16),  -- the call that recorded it
    method      TEXT    NOT NULL,
    seen_at     INTEGER NOT NULL,
    valid_until INTEGER NOT NULL CHECK (valid_until >= seen_at),
    recorded    INTEGER NOT NULL,
    sealed      BLOB    NOT NULL  -- who saw it, and where the evidence is
) STRICT;
CREATE INDEX domain_proof_of ON domain_proof (domain, row);
