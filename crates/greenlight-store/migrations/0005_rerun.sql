-- A job that was kept when its run ran again: the attempt in which it ran.
ALTER TABLE job ADD COLUMN ran_in INTEGER;
