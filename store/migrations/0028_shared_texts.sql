-- Texts that many answers say alike and that are about nobody, such as the chain of an authority: kept once.
CREATE TABLE shared_text (
    row    INTEGER PRIMARY KEY,
    sha256 BLOB    NOT NULL UNIQUE CHECK (length(sha256) = 32),
    text   BLOB    NOT NULL
) STRICT;
-- Where such texts belong in the body: for each an offset in the sealed rest (4 octets) and the text's row (8), big-endian.
ALTER TABLE order_response ADD COLUMN cuts BLOB;  -- NULL: nothing was taken out
