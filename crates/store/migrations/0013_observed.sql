-- What the web front end looks for: classes that sessions had masked, facts of held operations, who answered, and which policies were in
-- force since when. The journal tells it all again.
ALTER TABLE sessions ADD COLUMN classes TEXT NOT NULL DEFAULT '{}';
ALTER TABLE requests ADD COLUMN facts TEXT NOT NULL DEFAULT '{}';
ALTER TABLE requests ADD COLUMN answered_by TEXT;

CREATE TABLE policy_revisions (
    record   INTEGER PRIMARY KEY,
    revision TEXT NOT NULL,
    since    TEXT NOT NULL,
    files    TEXT NOT NULL
) STRICT;

DELETE FROM tasks;
DELETE FROM sessions;
DELETE FROM requests;
DELETE FROM lockdowns;
DELETE FROM descriptions;
DELETE FROM api_keys;
UPDATE progress SET next_index = 0;
