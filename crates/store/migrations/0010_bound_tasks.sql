-- Whether the person whom a task is for named who may act for them.
ALTER TABLE tasks ADD COLUMN is_bound INTEGER NOT NULL DEFAULT 0;
