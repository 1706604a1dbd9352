-- What the world has been seen to show of what a job did (promise 4), counted as each receipt comes: a job of millions is asked
-- about for the price of its waves. The entries of a step have positions in a row; these say which job and wave wrote an entry.
CREATE TABLE job_range (
    epoch     INTEGER NOT NULL,
    first_idx INTEGER NOT NULL,
    last_idx  INTEGER NOT NULL CHECK (last_idx >= first_idx),
    job       INTEGER NOT NULL REFERENCES job (row),
    wave      INTEGER NOT NULL,
    PRIMARY KEY (epoch, first_idx)
) STRICT, WITHOUT ROWID;
CREATE INDEX job_range_of ON job_range (job, wave, epoch, first_idx);
CREATE TABLE job_seen (
    job            INTEGER NOT NULL REFERENCES job (row),
    wave           INTEGER NOT NULL,
    method         TEXT    NOT NULL CHECK (method IN ('ocsp', 'crl')),
    receipted      INTEGER NOT NULL,
    left_out       INTEGER NOT NULL,  -- awaited no more, without a receipt
    slowest        INTEGER,           -- seconds from its entry until its last point had seen it
    slowest_serial INTEGER REFERENCES serial (row),
    last_seen      INTEGER,           -- when the last point had seen the last of them
    PRIMARY KEY (job, wave, method)
) STRICT, WITHOUT ROWID;

-- What waits is asked for every few seconds, oldest first and how many: neither may cost a look at all of it.
CREATE INDEX awaited_by_method ON awaited (method, epoch, idx);
CREATE TABLE awaited_count (
    method  TEXT    PRIMARY KEY CHECK (method IN ('ocsp', 'crl')),
    waiting INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO awaited_count (method, waiting) SELECT method, count(*) FROM awaited GROUP BY method;
