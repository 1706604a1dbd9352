-- Orders under way when the database was put back from a backup: nothing ends by their deadlines until somebody has taken a step of them.
ALTER TABLE eid_order ADD COLUMN parked BIGINT;  -- since when; NULL: not
CREATE INDEX eid_order_parked ON eid_order (parked) WHERE parked IS NOT NULL;
-- How much of persons a client was shown in an hour of UTC.
CREATE TABLE shown_hour (
    client TEXT COLLATE "C" NOT NULL,
    hour BIGINT NOT NULL,
    shown BIGINT NOT NULL CHECK (shown >= 0),
    PRIMARY KEY (client, hour)
);
-- One who is forgotten is found by his keys, and no whole table is read while the writer waits.
CREATE INDEX intent_of_key ON intent (data_key) WHERE data_key IS NOT NULL;
CREATE INDEX certificate_of_key ON certificate (data_key) WHERE data_key IS NOT NULL;
