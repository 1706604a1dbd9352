-- What has had its receipt for a while is looked at again: the newest of those, and some by lot.
CREATE INDEX receipt_by_time ON receipt (recorded);
CREATE INDEX receipt_entry_in_order ON receipt_entry (receipt);
