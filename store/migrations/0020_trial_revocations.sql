-- Revocations that the program makes to measure how long they take to be seen (REV-07): which, and when each was begun. All else
-- follows from its order: the certificate, the revocation, the receipts.
CREATE TABLE trial_revocation (
    row      INTEGER PRIMARY KEY,
    issuer   INTEGER NOT NULL REFERENCES issuer (row),
    order_id BLOB    NOT NULL UNIQUE CHECK (length(order_id) = 16),
    begun    INTEGER NOT NULL
) STRICT;
CREATE INDEX trial_revocation_begun ON trial_revocation (issuer, begun);
