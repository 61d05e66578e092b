-- A request may be for a task, and a group may have to approve by several of its members. The journal tells all of it
-- again, so the index is built anew.
DROP TABLE requests;
CREATE TABLE requests (
    id             TEXT PRIMARY KEY,
    identity       TEXT NOT NULL,
    on_behalf_of   TEXT,
    targets        TEXT NOT NULL,
    -- Of an operation:
    session        TEXT,
    task           TEXT,
    binds          TEXT,
    mode           TEXT,
    -- Of a task:
    ttl_secs       INTEGER,
    asked_by       TEXT,
    granted        TEXT,
    title          TEXT NOT NULL,
    statement      TEXT NOT NULL,
    accesses       TEXT NOT NULL,
    needs          TEXT NOT NULL,
    reasons        TEXT NOT NULL,
    policies       TEXT NOT NULL,
    digest         TEXT NOT NULL,
    opened         TEXT NOT NULL,
    expires        TEXT NOT NULL,
    state          TEXT NOT NULL,
    approved_until TEXT,
    approvals      TEXT NOT NULL DEFAULT '{}',
    answer_reason  TEXT
) STRICT;
CREATE INDEX requests_by_state ON requests (state);

DELETE FROM tasks;
DELETE FROM sessions;
DELETE FROM lockdowns;
UPDATE progress SET next_index = 0;
