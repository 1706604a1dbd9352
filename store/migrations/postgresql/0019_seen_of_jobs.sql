-- What the world has been seen to show of what a job did (promise 4), counted as each receipt comes: a job of millions is asked
-- about for the price of its waves. The entries of a step have positions in a row; these say which job and wave wrote an entry.
CREATE TABLE job_range (
    epoch BIGINT NOT NULL,
    first_idx BIGINT NOT NULL,
    last_idx BIGINT NOT NULL CHECK (last_idx >= first_idx),
    job BIGINT NOT NULL REFERENCES job (row),
    wave BIGINT NOT NULL,
    PRIMARY KEY (epoch, first_idx)
);
CREATE INDEX job_range_of ON job_range (job, wave, epoch, first_idx);
CREATE TABLE job_seen (
    job BIGINT NOT NULL REFERENCES job (row),
    wave BIGINT NOT NULL,
    method TEXT COLLATE "C" NOT NULL CHECK (method IN ('ocsp', 'crl')),
    receipted BIGINT NOT NULL,
    left_out BIGINT NOT NULL, -- awaited no more, without a receipt
    slowest BIGINT, -- seconds from its entry until its last point had seen it
    slowest_serial BIGINT REFERENCES serial (row),
    last_seen BIGINT, -- when the last point had seen the last of them
    PRIMARY KEY (job, wave, method)
);

-- What waits is asked for every few seconds, oldest first and how many: neither may cost a look at all of it.
CREATE INDEX awaited_by_method ON awaited (method, epoch, idx);
CREATE TABLE awaited_count (
    method TEXT COLLATE "C" PRIMARY KEY CHECK (method IN ('ocsp', 'crl')),
    waiting BIGINT NOT NULL
);
INSERT INTO awaited_count (method, waiting) SELECT method, count(*) FROM awaited GROUP BY method;
