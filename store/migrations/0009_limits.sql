-- Certificates that a client ordered under a profile in an hour of UTC (ISS-22), counted where a limit fits. `usual`
-- is seven times the mean of the same hour on the days before, or of what an operator has accepted since.
CREATE TABLE issued_hour (
    client  TEXT    NOT NULL,
    profile TEXT    NOT NULL,
    hour    INTEGER NOT NULL,
    issued  INTEGER NOT NULL CHECK (issued >= 0),
    usual   INTEGER NOT NULL CHECK (usual >= 0),
    PRIMARY KEY (client, profile, hour)
) STRICT, WITHOUT ROWID;

-- Clients that get nothing more under a profile until an operator lets them go on.
CREATE TABLE issuing_pause (
    client  TEXT    NOT NULL,
    profile TEXT    NOT NULL,
    since   INTEGER NOT NULL,
    issued  INTEGER NOT NULL,
    usual   INTEGER NOT NULL,
    PRIMARY KEY (client, profile)
) STRICT, WITHOUT ROWID;

-- An order that goes on after a voided intent was counted with that one.
CREATE INDEX intent_voided_by_order ON intent (order_row)
    WHERE order_row IS NOT NULL AND state = 'voided';
