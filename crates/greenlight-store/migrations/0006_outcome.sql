-- How a step ended before `continue-on-error`; nothing in rows that are older than this column, where the conclusion is all that is known.
ALTER TABLE step ADD COLUMN outcome TEXT CHECK (outcome IN ('success', 'skipped', 'failure', 'cancelled', 'timed_out', 'lost'));
