-- Who ended a task, and what they said of it. The journal tells it all again.
ALTER TABLE tasks ADD COLUMN ended_by TEXT;

DELETE FROM tasks;
DELETE FROM sessions;
DELETE FROM requests;
DELETE FROM lockdowns;
DELETE FROM descriptions;
DELETE FROM api_keys;
DELETE FROM policy_revisions;
UPDATE progress SET next_index = 0;
