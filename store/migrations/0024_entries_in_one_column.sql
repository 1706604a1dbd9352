-- A CRL is read from one index, in its own order; and each column of a row costs a third of what the row itself does. So all that
-- an entry rests on stands in one column: serial number, then effective time, state, reason and answer classes as one number, then
-- notAfter, then the invalidity date where there is one, in digits (store/src/sql/listed.rs reads them). The database derives it from
-- the others, so that it says what they say. It lies in the index alone, and of listed serials alone.
ALTER TABLE serial ADD COLUMN entry TEXT GENERATED ALWAYS AS (
    lower(hex(serial))
    || printf('%012x%010x', effective * 512
        + CASE state WHEN 'issued' THEN 0 WHEN 'activated' THEN 1 WHEN 'held-issued' THEN 2
            WHEN 'held-activated' THEN 3 WHEN 'revoked' THEN 4 WHEN 'voided' THEN 5 ELSE 7 END * 64
        + coalesce(reason, 15) * 4
        + CASE before_activation WHEN 'held' THEN 2 ELSE 0 END
        + CASE after_expiry WHEN 'unknown' THEN 1 ELSE 0 END, not_after)
    || CASE WHEN invalidity IS NULL THEN '' ELSE printf('%010x', invalidity) END
) VIRTUAL;
DROP INDEX serial_listed;
CREATE INDEX serial_listed ON serial (issuer, entry, not_after, state) WHERE listed = 1;
