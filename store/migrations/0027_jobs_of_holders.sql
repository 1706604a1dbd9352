-- Jobs about holders, HSA-ids and organisations; and whose statements stood behind the plan and the start of one.
ALTER TABLE job ADD COLUMN organisations TEXT;  -- JSON: numbers of the holders' organisations; NULL: whatever these are
ALTER TABLE job ADD COLUMN planned_by INTEGER REFERENCES administrator (row);  -- NULL: nobody signed
ALTER TABLE job ADD COLUMN started_by INTEGER REFERENCES administrator (row);
CREATE TABLE job_term_of_more_kinds (
    row   INTEGER PRIMARY KEY,
    job   INTEGER NOT NULL REFERENCES job (row),
    tag   TEXT    NOT NULL CHECK (tag IN ('key', 'card', 'serial', 'certificate', 'holder', 'hsa-id')),
    value BLOB    NOT NULL,
    UNIQUE (job, tag, value)
) STRICT;
INSERT INTO job_term_of_more_kinds SELECT row, job, tag, value FROM job_term;
DROP TABLE job_term;
ALTER TABLE job_term_of_more_kinds RENAME TO job_term;
