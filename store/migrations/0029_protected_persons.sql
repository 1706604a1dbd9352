-- Protected persons: whom only callers with the role see. Who it is stands as keyed hashes, by which what is his is passed over, and sealed.
CREATE TABLE protected_person (
    row    INTEGER PRIMARY KEY,
    holder BLOB    NOT NULL UNIQUE CHECK (length(holder) = 32),  -- as in eid.holder
    number BLOB    CHECK (length(number) = 32),  -- as in blind_index under personal-number; NULL: known by a passport
    class  TEXT    NOT NULL CHECK (class IN ('confidentiality-marking', 'protected-registration')),
    since  INTEGER NOT NULL,
    person BLOB    NOT NULL  -- sealed
) STRICT;
CREATE INDEX protected_person_by_number ON protected_person (number) WHERE number IS NOT NULL;
