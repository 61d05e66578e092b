-- Which vault a lease is of: another knows nothing of it.
ALTER TABLE leases ADD COLUMN vault TEXT NOT NULL DEFAULT '';
