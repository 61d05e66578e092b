-- How many different values of classes may be seen under a task, and were.
ALTER TABLE tasks ADD COLUMN budget_values TEXT NOT NULL DEFAULT '{}';
ALTER TABLE requests ADD COLUMN budget_values TEXT NOT NULL DEFAULT '{}';
ALTER TABLE credentials ADD COLUMN values_seen TEXT NOT NULL DEFAULT '{}';
