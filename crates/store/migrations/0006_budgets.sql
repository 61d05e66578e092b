-- How much may be done under a task, and how much was done.
ALTER TABLE tasks ADD COLUMN budget_operations INTEGER;
ALTER TABLE tasks ADD COLUMN budget_rows INTEGER;
ALTER TABLE tasks ADD COLUMN budget_bytes INTEGER;
ALTER TABLE requests ADD COLUMN budget_operations INTEGER;
ALTER TABLE requests ADD COLUMN budget_rows INTEGER;
ALTER TABLE requests ADD COLUMN budget_bytes INTEGER;
ALTER TABLE credentials ADD COLUMN operations INTEGER NOT NULL DEFAULT 0;
ALTER TABLE credentials ADD COLUMN rows_sent INTEGER NOT NULL DEFAULT 0;
ALTER TABLE credentials ADD COLUMN bytes_sent INTEGER NOT NULL DEFAULT 0;
