-- Who ended a task, and what they said of it; what an approver was told that an operation would do. The journal tells it all
-- again.
ALTER TABLE tasks ADD COLUMN ended_by TEXT;
ALTER TABLE requests ADD COLUMN impact TEXT NOT NULL DEFAULT '[]';

DELETE FROM tasks;
DELETE FROM sessions;
DELETE FROM requests;
DELETE FROM lockdowns;
DELETE FROM descriptions;
DELETE FROM api_keys;
DELETE FROM policy_revisions;
UPDATE progress SET next_index = 0;
