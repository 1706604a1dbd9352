-- Jobs about holders, HSA-ids and organisations; and whose statements stood behind the plan and the start of one.
ALTER TABLE job ADD COLUMN organisations TEXT COLLATE "C"; -- JSON: numbers of the holders' organisations; NULL: whatever these are
ALTER TABLE job ADD COLUMN planned_by BIGINT REFERENCES administrator (row); -- NULL: nobody signed
ALTER TABLE job ADD COLUMN started_by BIGINT REFERENCES administrator (row);
ALTER TABLE job_term DROP CONSTRAINT job_term_tag_check;
ALTER TABLE job_term ADD CONSTRAINT job_term_tag_check CHECK (tag IN ('key', 'card', 'serial', 'certificate', 'holder', 'hsa-id'));
