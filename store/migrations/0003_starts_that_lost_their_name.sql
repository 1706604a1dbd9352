-- Starts of a node that a later start of the same name has taken over from. They get no lease, order
-- or intent again, should one of them turn out to be alive.
CREATE TABLE superseded_start (
    node TEXT NOT NULL,
    boot BLOB NOT NULL,
    PRIMARY KEY (node, boot)
) STRICT, WITHOUT ROWID;
